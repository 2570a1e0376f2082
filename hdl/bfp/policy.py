"""The choice of a tensor's precision from its sums."""

from types import MappingProxyType

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import EPSILON_BITS, MAX_SUM_BITS, MIN_SUM_BITS, SUM_BITS
from narrowfloat.hdl.block import Block, Integer
from narrowfloat.hdl.parts.logic import wire
from narrowfloat.hdl.parts.registers import Register, Registers, rw
from narrowfloat.hdl.parts.stream import Register as StreamRegister
from narrowfloat.hdl.parts.stream import beats_of

ITERATION_BITS, LAYER_BITS = 16, 8


def _in_bytes(name, address, width, reset, description, fraction_bits=0):
    """A register for a value of some bytes: each is a field, as what can be written must lie within a byte."""
    fields = (
        rw(
            f"byte{index}",
            lsb,
            8,
            f"bits {lsb + 7} to {lsb} of {name}",
            reset=reset >> lsb & 255,
            fraction_bits=fraction_bits - lsb if fraction_bits else None,
        )
        for index, lsb in enumerate(range(0, width, 8))
    )
    return Register(name, address, description, tuple(fields))


# Alpha and beta after reset are what is known of the paper, 0.6 and 0.3.
_ALPHA, _BETA = (round(value * 2**EPSILON_BITS) for value in (0.6, 0.3))
_REGISTERS = (
    _in_bytes("ALPHA", 0, EPSILON_BITS, _ALPHA, "Where the threshold starts, in units of 2**-16.", EPSILON_BITS),
    _in_bytes(
        "BETA", 4, EPSILON_BITS, _BETA, "How far it falls over training, and by depth, in units of 2**-16.", EPSILON_BITS
    ),
    _in_bytes("ITERATIONS", 8, ITERATION_BITS, 1, "Iterations of the training, or units of several."),
    _in_bytes("LAYERS", 12, LAYER_BITS, 1, "Layers of the network."),
)


class PrecisionPolicy(Block):
    """Mantissa bits for a tensor from its sums of relative improvement: 2, or 4 if that is at least epsilon.

    Equation: ``numerator / denominator >= alpha - beta * iteration / iterations - beta * layer / layers``, multiplied out:
    ``numerator * 2**16 * I * L >= (alpha * I * L - beta * (i * L + l * I)) * denominator``. An epsilon below 0 needs no care:
    the right side is then negative or 0. A tensor of zeros gets 4.

    One pair of multiplicands is added, or not, per cycle: no multiplier, no divider, nothing is rounded. The last product's low
    bits are dropped as they come, as the sign is all that matters.

    Latency: ``sum_bits + 37`` cycles, and no more than one tensor at a time: the transfer at the input happens at the end.
    `alpha` and the other registers are to be changed between tensors.

    Source: FAST, HPCA 2022, Algorithm 1, as far as it is known; the denominator is the sum of magnitudes.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {numerator, denominator}, last, user: {iteration, layer, user}}.
    o : Out(stream.Signature)
        Payload {data: {precision}, last, user: {user}}.
    axil : In(AxiLite)
        Registers ALPHA, BETA, ITERATIONS, LAYERS.

    Fields
    ------
    numerator, denominator
        The sums of the tensor, as `bfp_converter` gives them.
    iteration
        i, the iteration of the training, in the same units as ITERATIONS.
    layer
        l, the layer of the tensor.
    precision
        The mantissa bits that the tensor is to have: the words are these bits.

    Protocol
    --------
    TLAST
        Passes through, and changes nothing.
    constant
        Hold a beat at the input, unchanged, until it is taken, and registers while one is offered.
    registers
        I is ITERATIONS, L is LAYERS, both 1 after reset; alpha and beta are ALPHA and BETA divided by 2**16.
    """

    sum_bits = Integer(SUM_BITS, MIN_SUM_BITS, MAX_SUM_BITS, "Width of each sum, as of `bfp_converter`.")
    user_bits = Integer(0, 0, 64, "Width of a tag that passes through.", place=3)

    encodings = MappingProxyType({"precision": {"2": 0, "4": 1}})

    @property
    def latency(self):
        return self.sum_bits + 37

    @property
    def initiation_interval(self):
        return self.latency

    def prepare(self):
        self._registers = Registers(_REGISTERS)
        self.registers = self._registers.table

    def members(self):
        sums = data.StructLayout({"numerator": self.sum_bits, "denominator": self.sum_bits})
        return {
            "i": In(beats_of(sums, {"iteration": ITERATION_BITS, "layer": LAYER_BITS, **self.tag})),
            "o": Out(beats_of(data.StructLayout({"precision": 1}), self.tag)),
            "axil": self._registers.signature.members["axil"],
        }

    def build(self, m):
        m.submodules.registers = registers = self._registers
        m.submodules.output = output = StreamRegister(self.o.payload.shape())
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        alpha, beta, iterations, layers = (
            Cat(vars(value).values()) for value in (registers.alpha, registers.beta, registers.iterations, registers.layers)
        )
        user = self.i.p.user

        # total = total + x * a - y * b, from the lowest bits of x and y on, halved every cycle; its lowest bits go where those
        # of x were. With w = EPSILON_BITS + ITERATION_BITS + LAYER_BITS: a < 2**w, |b| < 2**(w + 1), so |total| <
        # 2**w + 2**(w + 1), and twice that before it is halved.
        width = EPSILON_BITS + ITERATION_BITS + LAYER_BITS
        a = Signal(width, reset_less=True)
        b = Signal(signed(width + 2), reset_less=True)
        x, y = (Signal(self.sum_bits, name=name, reset_less=True) for name in "xy")
        total = Signal(signed(width + 3), reset_less=True)
        doubled = Signal(signed(width + 4))
        steps = Signal(range(max(self.sum_bits, EPSILON_BITS) + 1))
        m.d.comb += doubled.eq(total + Mux(x[0], a, 0) - Mux(y[0], b, 0))

        def product(bits):
            """What total is after so many steps, with all its bits."""
            return Cat(x[self.sum_bits - bits :], total).as_signed()

        def start(new_x, new_y, count):
            return [x.eq(new_x), y.eq(new_y), steps.eq(count), total.eq(0)]

        adding = wire(m, 1, steps.any())
        negated_iteration = wire(m, signed(ITERATION_BITS + 1), -user.iteration)
        with m.If(adding):
            m.d.sync += [steps.eq(steps - 1), total.eq(doubled >> 1), x.eq(Cat(x[1:], doubled[0])), y.eq(y >> 1)]
        with m.Else(), m.FSM():
            with m.State("idle"), m.If(self.i.valid):
                m.d.sync += [a.eq(iterations), b.eq(negated_iteration), *start(user.layer, layers, LAYER_BITS)]
                m.next = "spent"
            with m.State("spent"):
                m.d.sync += [b.eq(product(LAYER_BITS)), *start(layers, 0, LAYER_BITS)]
                m.next = "whole"
            with m.State("whole"):
                m.d.sync += [a.eq(product(LAYER_BITS)), *start(alpha, beta, EPSILON_BITS)]
                m.next = "epsilon"
            with m.State("epsilon"):
                m.d.sync += [b.eq(product(EPSILON_BITS)), a.eq(a << EPSILON_BITS)]
                m.d.sync += start(self.i.p.data.numerator, self.i.p.data.denominator, self.sum_bits)
                m.next = "compare"
            with m.State("compare"):
                m.d.comb += [output.i.valid.eq(1), self.i.ready.eq(output.i.ready)]
                with m.If(output.i.ready):
                    m.next = "idle"
        m.d.comb += [output.i.p.data.precision.eq(~total[-1]), output.i.p.last.eq(self.i.p.last)]
        m.d.comb += [output.i.p.user[name].eq(user[name]) for name in self.tag]
