"""What the units of block floating point share."""

from amaranth.lib import data, stream

MIN_SUM_BITS, MAX_SUM_BITS = 16, 64
MAX_USER_BITS = 64


def element(fmt):
    """Layout of a number: k, and above it the sign."""
    return data.StructLayout({"magnitude": fmt.man_bits, "sign": 1})


def beat(fields, user):
    """Signature of a stream of beats with several fields of data."""
    return stream.Signature(data.StructLayout({"data": data.StructLayout(fields), "last": 1, "user": data.StructLayout(user)}))
