"""The codec's specification in the SMT-LIB theory of floating-point numbers, where rounding is the theory's own.

FP32 numbers are scaled by a power of two, which takes the bias away, in a sort so wide that this is exact. Codes are numbers of
a narrow sort: it has the format's mantissa and a larger range of exponents, for gradual underflow with the same lower end,
otherwise with one far below.
"""

import z3
from narrowfloat.golden.rounding import ROUNDINGS

from tests.formal.machine import TIMEOUT, Machine

MIN_MAN_BITS = 2  # z3 has no narrower significands

_WIDE = z3.FPSort(10, 24)
_WIDE_BIAS = 2**9 - 1
_QUIET = 1 << 22


def counterexample(codec, verilog, folder):
    """Inputs at which `verilog`, a text with a module `implementation`, is not what `codec` must be: ints by name, or None.

    z3 compares the two; `folder` takes the files of the export from Yosys.
    """
    machine = Machine(verilog, "implementation", folder)
    ports = machine.signals(machine.state("state"))
    solver = z3.SolverFor("QF_FPBV")
    solver.set(timeout=TIMEOUT)
    solver.add(z3.Not(z3.And(_encoder(codec, ports) if codec.design == "float_encoder" else _decoder(codec, ports))))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    assert answer == z3.sat, solver.reason_unknown()
    model = solver.model()
    return {name: model.eval(ports[name], model_completion=True).as_long() for name in codec.inputs}


class _Narrow:
    """Numbers of the format times 2**(bias - shift), as numbers of the narrow sort."""

    def __init__(self, fmt):
        self.fmt = fmt
        if fmt.underflow == "gradual":
            # With fewer exponent bits and many mantissa bits z3 5.4.1 finds that tiny numbers are not rounded to zero.
            self.exp_bits = max(fmt.exp_bits + 1, 8)
            self.shift, self.origin = 2 ** (self.exp_bits - 1) - 1, 0
        else:
            # {E, M} is less than what IEEE 754 packs by `origin`.
            self.exp_bits, self.shift, self.origin = 10, 0, _WIDE_BIAS << fmt.man_bits

    def round(self, number, mode, more_bits=0):
        """{E, M, `more_bits` further bits} of `number`, rounded: a signed integer, E having no bounds."""
        narrow = z3.fpToFP(mode, number, z3.FPSort(self.exp_bits, self.fmt.man_bits + more_bits + 1))
        return z3.fpToIEEEBV(narrow) - (self.origin << more_bits)

    def value(self, magnitude):
        """The number in the wide sort that {E, M} means."""
        sort = z3.FPSort(self.exp_bits, self.fmt.man_bits + 1)
        packed = z3.ZeroExt(1 + self.exp_bits - self.fmt.exp_bits, magnitude) + self.origin
        number = z3.fpToFP(z3.RNE(), z3.fpBVToFP(packed, sort), _WIDE)
        return z3.If(magnitude == 0, z3.FPVal(0, _WIDE), number) if self.fmt.underflow == "zero_code" else number


def _scale(number, power):
    """A number of the wide sort times 2**power, a bit vector."""
    return z3.fpMul(z3.RNE(), number, z3.fpFP(z3.BitVecVal(0, 1), power + _WIDE_BIAS, z3.BitVecVal(0, 23)))


def _widen(word):
    return z3.fpToFP(z3.RNE(), z3.fpBVToFP(word, z3.Float32()), _WIDE)


def _bias(codec, ports):
    return z3.ZeroExt(4, ports["bias"]) if "bias" in ports else z3.BitVecVal(codec.fmt.bias, 10)


def _encoder(codec, ports):
    """What must hold of the encoder's ports."""
    fmt, narrow = codec.fmt, _Narrow(codec.fmt)
    bits = fmt.magnitude_bits
    paper = fmt.underflow == "clamp_exponent"
    sign, exponent, fraction = (z3.Extract(high, low, ports["word"]) for high, low in ((31, 31), (30, 23), (22, 0)))
    x = z3.fpAbs(_widen(ports["word"]))
    is_nan, is_infinity = z3.fpIsNaN(x), z3.fpIsInf(x)
    is_finite = z3.Not(z3.Or(is_nan, is_infinity))
    power = _bias(codec, ports) - narrow.shift
    scaled = operand = _scale(x, power)
    if paper:
        # There the exponents 0 and 255 are as good as any. Next to them E is out of range, too, whatever the bias.
        exponent = z3.If(exponent == 0, z3.BitVecVal(1, 8), z3.If(exponent == 255, z3.BitVecVal(254, 8), exponent))
        operand = _scale(_widen(z3.Concat(z3.BitVecVal(0, 1), exponent, fraction)), power)

    built = [ROUNDINGS.index(name) for name in codec.roundings]
    rounding = ports.get("rounding", z3.BitVecVal(built[-1], 3))
    is_built = z3.Or([rounding == code for code in built])
    rounding = z3.If(is_built, rounding, built[-1])

    def is_mode(name):
        return rounding == ROUNDINGS.index(name) if name in codec.roundings else z3.BoolVal(False)

    # of magnitudes
    toward_zero = z3.Or(is_mode("rtz"), z3.If(sign == 1, is_mode("rup"), is_mode("rdn")))
    away = z3.If(sign == 1, is_mode("rdn"), is_mode("rup"))
    mode = z3.If(is_mode("rne"), z3.RNE(), z3.If(toward_zero, z3.RTZ(), z3.If(away, z3.RTP(), z3.RNA())))
    rounded = narrow.round(operand, mode)
    if "sr" in codec.roundings:
        more = narrow.round(operand, z3.RNE(), codec.sr_bits)
        total = more + z3.ZeroExt(more.size() - codec.sr_bits, ports["random"])
        rounded = z3.If(is_mode("sr"), z3.Extract(more.size() - 1, codec.sr_bits, total), rounded)

    too_large = rounded > fmt.max_finite
    magnitude = z3.Extract(bits - 1, 0, rounded)
    if paper:
        mantissa = magnitude & 2**fmt.man_bits - 1
        lowest, highest = (e << fmt.man_bits | mantissa for e in (0, 2**fmt.exp_bits - 1))
        magnitude = z3.If(rounded < 0, lowest, z3.If(too_large, highest, magnitude))
    elif fmt.underflow == "zero_code":
        magnitude = z3.If(rounded < 0, 0, z3.If(rounded == 0, 1, magnitude))

    def constant(value):
        return z3.Concat(sign, z3.BitVecVal(value, bits))

    number, largest = z3.Concat(sign, magnitude), constant(fmt.max_finite)
    nan = largest if fmt.nan is None else constant(fmt.nan)
    if fmt.specials == "fnuz":
        number = z3.If(magnitude == 0, 0, number)
        nan = z3.BitVecVal(1 << bits, fmt.bits)
    infinity = largest
    if codec.overflow == "format":
        infinity = nan if fmt.infinity is None else constant(fmt.infinity)
    if paper:
        code, invalid = number, z3.Not(is_finite)
    else:
        overflown = z3.If(z3.And(is_finite, toward_zero), largest, infinity)
        code = z3.If(is_nan, nan, z3.If(z3.Or(is_infinity, too_large), overflown, number))
        infinity_is_lost = codec.overflow == "saturate" or fmt.infinity is None
        invalid = z3.Or(z3.And(is_nan, fmt.nan is None), z3.And(is_infinity, infinity_is_lost))
    claims = [ports["code"] == z3.ZeroExt(codec.code_bits - fmt.bits, code)]
    if codec.flags:
        smallest_normal = {"gradual": 2**fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
        inexact = z3.And(is_finite, z3.Or(too_large, z3.Not(z3.fpEQ(scaled, narrow.value(magnitude)))))
        underflow = z3.And(inexact, scaled < narrow.value(z3.BitVecVal(smallest_normal, bits)))
        raised = (z3.And(is_finite, too_large), underflow, inexact, z3.Or(invalid, z3.Not(is_built)))
        claims += [(z3.Extract(bit, bit, ports["flags"]) == 1) == flag for bit, flag in enumerate(raised)]
    return claims


def _decoder(codec, ports):
    """What must hold of the decoder's ports."""
    fmt, narrow = codec.fmt, _Narrow(codec.fmt)
    code, word = z3.Extract(fmt.bits - 1, 0, ports["code"]), ports["word"]
    sign, magnitude = z3.Extract(fmt.bits - 1, fmt.bits - 1, code), z3.Extract(fmt.magnitude_bits - 1, 0, code)
    value = _scale(narrow.value(magnitude), narrow.shift - _bias(codec, ports))
    is_value = z3.And(z3.Extract(31, 31, word) == sign, z3.fpEQ(z3.fpAbs(_widen(word)), value))
    if fmt.specials == "fnuz":
        is_infinity, is_nan = z3.BoolVal(False), code == 1 << fmt.magnitude_bits
    else:
        is_infinity = z3.BoolVal(False) if fmt.infinity is None else magnitude == fmt.infinity
        is_nan = z3.And(z3.UGT(magnitude, fmt.max_finite), z3.Not(is_infinity))
    payload = z3.Concat(z3.Extract(fmt.man_bits - 1, 0, code), z3.BitVecVal(0, 23 - fmt.man_bits))
    infinity, nan = (z3.Concat(sign, z3.BitVecVal(255, 8), fraction) for fraction in (z3.BitVecVal(0, 23), payload | _QUIET))
    return [z3.If(is_nan, word == nan, z3.If(is_infinity, word == infinity, is_value))]
