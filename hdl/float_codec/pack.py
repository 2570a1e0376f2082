"""The code of an encoder lane."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.float_codec.range import ranged
from narrowfloat.hdl.parts.logic import Circuit, decide, is_none_of, wire
from narrowfloat.hdl.parts.shapes import ROUNDINGS, Flags


class Pack(Circuit):
    """A lane's code and flags: {E, M} in range, or what stands for a value that is not, or is none."""

    def __init__(self, codec):
        self._codec = codec
        super().__init__(
            {
                "i": In(ranged(codec)),
                "control": In(codec.control_layout),
                "code": Out(codec.code_bits),
                **({"flags": Out(Flags)} if codec.flags else {}),
            }
        )

    def build(self, m):
        self._toward_zero = Signal()
        toward_zero = {"rtz": 1, "rto": 1, "rdn": ~self.i.sign, "rup": self.i.sign}
        by_mode = {ROUNDINGS[name]: toward_zero.get(name, 0) for name in self._codec.roundings}
        decide(m, self._toward_zero, self.control, by_mode)
        results = [(fmt, self.i.formats[fmt.name]) for fmt in self._codec.formats]
        m.d.comb += self.code.eq(self._codec.choose(self.control, [self._finish(m, fmt, lane) for fmt, lane in results]))
        if not self._codec.flags:
            return
        m.d.comb += self.flags.eq(self._codec.choose(self.control, [self._flags(m, fmt, lane) for fmt, lane in results]))
        numbers = range(len(self._codec.formats))
        modes = [ROUNDINGS[name] for name in self._codec.roundings]
        with m.If(is_none_of(self.control, "format", numbers) | is_none_of(self.control, "rounding", modes)):
            m.d.comb += self.flags.invalid.eq(1)

    def _finish(self, m, fmt, lane):
        """The code, with overflow and special values in place."""
        magnitude = lane.magnitude if _has_numbers_only(fmt) else self._clamp(fmt, lane)
        sign = self.i.sign
        if fmt.specials == "fnuz":
            is_nan = self.i.nan | (lane.too_large & ~self._stays_finite(fmt) & (self._on_overflow(fmt) == fmt.nan))
            sign = is_nan | (sign & magnitude.any())
        return wire(m, fmt.bits, Cat(magnitude, sign) if fmt.signed else magnitude, f"code_{fmt.name}")

    def _flags(self, m, fmt, lane):
        special = self.i.nan | self.i.infinity
        number = ~special
        if fmt.specials == "fnu":
            number = number & ~self.i.sign & self.i.nonzero
        flags = Signal(Flags, name=f"flags_{fmt.name}")
        m.d.comb += [
            flags.overflow.eq(number & lane.too_large),
            flags.underflow.eq(number & lane.changed & lane.tiny),
            flags.inexact.eq(number & (lane.changed | lane.too_large)),
            flags.invalid.eq(special if _has_numbers_only(fmt) else self._invalid(fmt)),
        ]
        return flags

    def _on_overflow(self, fmt):
        """{E, M} of what is too large."""
        if self._codec.overflow == "saturate" or fmt.specials == "none":
            return fmt.max_finite
        return fmt.nan if fmt.infinity is None else fmt.infinity

    def _stays_finite(self, fmt):
        """Whether what is too large becomes the largest finite number although overflow follows the format."""
        return Const(0, 1) if self._on_overflow(fmt) == fmt.max_finite else self._toward_zero & ~self.i.infinity

    def _clamp(self, fmt, lane):
        largest = Mux(self._stays_finite(fmt), fmt.max_finite, Const(self._on_overflow(fmt), fmt.magnitude_bits))
        # A Mux of a constant would become a synchronous reset of the output register, behind its enable.
        too_large = lane.too_large.replicate(fmt.magnitude_bits)
        magnitude = (lane.magnitude & ~too_large) | (largest & too_large)
        if fmt.nan is None:
            return magnitude
        to_nan = self.i.nan | self.i.sign | ~self.i.nonzero if fmt.specials == "fnu" else self.i.nan
        return Mux(to_nan, fmt.nan, magnitude)

    def _invalid(self, fmt):
        infinity_lost = self._on_overflow(fmt) != fmt.infinity
        if fmt.specials == "fnu":
            return ~self.i.nan & (self.i.sign | ~self.i.nonzero | self.i.infinity)
        return (self.i.nan & (fmt.nan is None)) | (self.i.infinity & infinity_lost)


def _has_numbers_only(fmt):
    """Whether each code is a number and the largest exponent is that of FP32's special values."""
    return fmt.underflow == "clamp_exponent" and fmt.specials == "none"
