"""What encoder and decoder share: formats, the bias, and what one beat sets for all its lanes."""

from amaranth.hdl import Array, Const
from amaranth.lib import data
from narrowfloat.golden.formats import BIAS_BITS, FloatFormat
from narrowfloat.hdl.block import Format, Integer, Lanewise, Relation, Several, Switch
from narrowfloat.hdl.shapes import ROUNDINGS, Rounding


def control_layout(formats, bias_port, roundings=()):
    """What one beat sets for all its lanes; what is not built is not there."""
    fields = {}
    if bias_port:
        fields["bias"] = BIAS_BITS
    if len(roundings) > 1:
        fields["rounding"] = Rounding
    if len(formats) > 1:
        fields["format"] = range(len(formats))
    return data.StructLayout(fields)


def fields_of(layout):
    return {name: field.shape for name, field in layout}


def bias_of(formats, bias_port, control):
    if bias_port:
        return control.bias
    return for_format(formats, control, [Const(fmt.bias, BIAS_BITS) for fmt in formats])


def for_format(formats, control, values):
    """Of `values`, one for each format, the one for the format of the beat."""
    return values[0] if len(formats) == 1 else Array(values)[control.format]


def code_bits(formats):
    return max(fmt.bits for fmt in formats)


def max_man_bits(formats):
    return max(fmt.man_bits for fmt in formats)


def max_exp_bits(formats):
    return max(fmt.exp_bits for fmt in formats)


class FloatCodec(Lanewise):
    """What encoder and decoder have in common."""

    formats = Several(
        ("ab_e5m2",), Format("ab_e5m2", FloatFormat), "Formats; with more than one, each beat chooses among them.", place=0
    )
    bias_port = Switch(True, "Whether each beat brings its bias. Otherwise every format has its own.", place=1)
    user_bits = Integer(0, 0, 64, "Width of a tag that passes through.", place=1)
    relations = (
        Relation(
            "a format of 8 exponent bits must be the only one, as its bias cannot be chosen",
            lambda formats: len(formats) == 1 or all(fmt.exp_bits < 8 for fmt in formats),
        ),
    )
    roundings = ()

    @property
    def biased(self):
        """Whether each beat brings its bias: with 8 exponent bits none does."""
        return self.bias_port and self.formats[0].exp_bits < 8

    @property
    def control(self):
        """Layout of what one beat sets for all its lanes."""
        return control_layout(self.formats, self.biased, self.roundings)

    @property
    def encodings(self):
        formats = {fmt.name: number for number, fmt in enumerate(self.formats)}
        roundings = {rounding: ROUNDINGS[rounding].value for rounding in self.roundings}
        words = {"format": formats, "rounding": roundings}
        return {name: words[name] for name in dict(iter(self.control)) if name in words}
