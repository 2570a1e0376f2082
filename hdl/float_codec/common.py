"""What encoder and decoder share: formats, the bias, and what one beat sets for all its lanes."""

from amaranth.hdl import Const
from amaranth.lib import data
from narrowfloat.golden.formats import BIAS_BITS, FloatFormat
from narrowfloat.hdl.block import Effect, Format, Integer, Lanewise, Relation, Several, Switch
from narrowfloat.hdl.parts.logic import pick_or_last
from narrowfloat.hdl.parts.shapes import ROUNDINGS, rounding_field


class FloatCodec(Lanewise):
    """What encoder and decoder have in common.

    Fields
    ------
    bias
        The exponent bias of all codes of the beat. Codes have to be read with the bias that they were written with.
    format
        The format of the beat.
    """

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
    effects = (Effect("for formats of fewer than 8 exponent bits", lambda formats: formats[0].exp_bits < 8, ("bias_port",)),)
    roundings = ()

    @property
    def biased(self):
        """Whether each beat brings its bias: with 8 exponent bits none does."""
        return self.bias_port and self.formats[0].exp_bits < 8

    def prepare(self):
        self.code_bits = max(fmt.bits for fmt in self.formats)
        self.man_bits = max(fmt.man_bits for fmt in self.formats)
        self.exp_bits = max(fmt.exp_bits for fmt in self.formats)
        self.control = {
            **({"bias": BIAS_BITS} if self.biased else {}),
            **({"rounding": rounding_field(self.roundings)} if len(self.roundings) > 1 else {}),
            **({"format": range(len(self.formats))} if len(self.formats) > 1 else {}),
        }

    @property
    def control_layout(self):
        """What one beat sets for all its lanes; what is not built is not there."""
        return data.StructLayout(self.control)

    def choose(self, control, values):
        """Of `values`, one for each format, the one for the format of the beat, or the last where it has the code of none."""
        return pick_or_last(values, control.format if len(values) > 1 else None)

    def bias(self, control):
        """The bias of the beat."""
        return control.bias if self.biased else self.choose(control, [Const(fmt.bias, BIAS_BITS) for fmt in self.formats])

    def pass_control(self, m, source, sink):
        """Pass what a beat sets from the input to the first boundary."""
        m.d.comb += [sink.p.control[name].eq(source.p.user[name]) for name in self.control]

    @property
    def encodings(self):
        formats = {fmt.name: number for number, fmt in enumerate(self.formats)}
        roundings = {rounding: ROUNDINGS[rounding] for rounding in self.roundings}
        words = {"format": formats, "rounding": roundings}
        return {name: words[name] for name in self.control if name in words}
