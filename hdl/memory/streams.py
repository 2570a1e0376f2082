"""Streams and encodings of the memory port."""

from amaranth.lib import data, stream
from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.golden.s2fp8 import INVERSE_BITS, MEAN_BITS
from narrowfloat.hdl.parts.shapes import Flags

SLOTS = 4  # words of the core in one of the memory
TYPES = (1, 2, 4, 8)  # powers of two, so that every code of a type field names one
CODE_BITS = 8
WORD_BYTES = 4
# Pipeline registers of the S2FP8 codec: in the middle, where half of its delay is past, and at the end.
S2FP8_STAGES = 2
# What encoding raises: as `Flags`, and whether of a word some bytes were kept, but not all.
PortFlags = data.StructLayout({name: 1 for name, _ in (*Flags, ("partial", None))})


def type_bits(types):
    """Width of a field that holds a tensor type."""
    return (types - 1).bit_length()


def mode_bits(s2fp8):
    """Bits of a mode: bit 1 encodes, or with S2FP8 bit 2 as well; an odd number of ones is observed."""
    return 3 if s2fp8 else 2


def _words(lanes, user):
    """Signature of a stream of beats of `lanes` words with a keep bit for each byte."""
    fields = {"data": data.ArrayLayout(32, lanes), "keep": WORD_BYTES * lanes, "last": 1, "user": data.StructLayout(user)}
    return stream.Signature(data.StructLayout(fields))


def core_stream(lanes, types):
    """Signature of the stream to the core: words, and whose they are."""
    return _words(lanes, {"type": type_bits(types), "bypass": 1})


def written_stream(lanes, types, bias_port):
    """Signature of the stream from the core: the same, and whether a pack is not to wait; maybe a bias."""
    bias = {"own_bias": 1, "bias": BIAS_BITS} if bias_port else {}
    return _words(lanes, {"type": type_bits(types), "bypass": 1, "flush": 1, **bias})


def memory_stream(lanes, types, s2fp8, bias_port):
    """Signature of the streams of the memory's side: words or packed codes, and how to read them."""
    squeezed = {"squeezed": 1, "mean": MEAN_BITS, "inverse": INVERSE_BITS} if s2fp8 else {}
    whose = {"own_bias": 1} if bias_port else {}
    return _words(lanes, {"type": type_bits(types), "bypass": 1, "packed": 1, "bias": BIAS_BITS, **whose, **squeezed})
