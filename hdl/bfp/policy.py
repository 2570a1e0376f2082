"""The choice of a tensor's precision from its sums."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import EPSILON_BITS, SUM_BITS
from narrowfloat.golden.checks import check_int
from narrowfloat.hdl.bfp.common import MAX_SUM_BITS, MAX_USER_BITS, MIN_SUM_BITS
from narrowfloat.hdl.parts.registers import Field, Registers, as_json
from narrowfloat.hdl.parts.registers import Register as MappedRegister
from narrowfloat.hdl.parts.stream import Register

ITERATION_BITS, LAYER_BITS = 16, 8


def _byte_fields(name, width, reset, what):
    """A value of some bytes, as the fields of a register: each lies within a byte, so that it can be written."""
    return tuple(
        Field(
            name=f"byte{index}",
            lsb=8 * index,
            width=8,
            access="rw",
            description=f"bits {8 * index + 7} to {8 * index} of {what}",
            reset=reset >> 8 * index & 255,
        )
        for index in range(width // 8)
    )


# Alpha and beta after reset are what is known of the paper, 0.6 and 0.3.
_POLICY_REGISTERS = tuple(
    MappedRegister(name=name, address=4 * index, description=description, fields=_byte_fields(name, width, reset, name))
    for index, (name, width, reset, description) in enumerate(
        (
            ("ALPHA", EPSILON_BITS, round(0.6 * 2**EPSILON_BITS), "Where the threshold starts, in units of 2**-16."),
            (
                "BETA",
                EPSILON_BITS,
                round(0.3 * 2**EPSILON_BITS),
                "By how much it falls over training, and by depth: units of 2**-16.",
            ),
            ("ITERATIONS", ITERATION_BITS, 1, "Iterations of the training, or units of several."),
            ("LAYERS", LAYER_BITS, 1, "Layers of the network."),
        )
    )
)


class PrecisionPolicy(wiring.Component):
    """Mantissa bits for a tensor from its sums of relative improvement: 2, or 4 if that is at least epsilon.

    Equation: ``numerator / denominator >= alpha - beta * iteration / iterations - beta * layer / layers``, multiplied out:
    ``numerator * 2**16 * I * L >= (alpha * I * L - beta * (i * L + l * I)) * denominator``. An epsilon below 0 needs no care:
    the right side is then negative or 0. A tensor of zeros gets 4.

    One pair of multiplicands is added, or not, per cycle: no multiplier, no divider, nothing is rounded. The last product's low
    bits are dropped as they come, as the sign is all that matters.

    Latency: ``sum_bits + 37`` cycles, and no more than one tensor at a time: the transfer at the input happens at the end.
    `alpha` and the other registers are to be changed between tensors.

    Source: FAST, HPCA 2022, Algorithm 1, as far as it is known; the denominator is the sum of magnitudes.

    Parameters
    ----------
    sum_bits : int
        As of the `BfpConverter`, 16 to 64.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {numerator, denominator}, last, user: {iteration, layer, user}}.
    o : Out(stream.Signature)
        Payload {data: {precision}, last, user: {user}}: 0 means 2 bits, 1 means 4.
    axil : In(AxiLite)
        Registers ALPHA, BETA, ITERATIONS, LAYERS.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    clocked = True

    def __init__(self, *, sum_bits=SUM_BITS, user_bits=0):
        check_int("sum_bits", sum_bits, MIN_SUM_BITS, MAX_SUM_BITS)
        check_int("user_bits", user_bits, 0, MAX_USER_BITS)
        self._sum_bits = sum_bits
        self._tag = {"user": user_bits} if user_bits else {}
        self.latency = sum_bits + 37
        self._registers = Registers(_POLICY_REGISTERS)
        self.registers = self._registers.table
        self.facts = {"initiation_interval": self.latency, "registers": as_json(self.registers)}
        pair = data.StructLayout({"numerator": sum_bits, "denominator": sum_bits})
        user = data.StructLayout({"iteration": ITERATION_BITS, "layer": LAYER_BITS, **self._tag})
        answer = {"data": data.StructLayout({"precision": 1}), "last": 1, "user": data.StructLayout(self._tag)}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"data": pair, "last": 1, "user": user}))),
                "o": Out(stream.Signature(data.StructLayout(answer))),
                "axil": self._registers.signature.members["axil"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = self._registers
        m.submodules.output = output = Register(self.o.payload.shape())
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        alpha, beta, iterations, layers = (
            Cat(getattr(registers, f"{register.name}_{field.name}".lower()) for field in register.fields)
            for register in _POLICY_REGISTERS
        )
        user = self.i.p.user

        # total = total + x * a - y * b, from the lowest bits of x and y on, halved every cycle; its lowest bits go where those
        # of x were. With w = EPSILON_BITS + ITERATION_BITS + LAYER_BITS: a < 2**w, |b| < 2**(w + 1), so |total| <
        # 2**w + 2**(w + 1), and twice that before it is halved.
        width = EPSILON_BITS + ITERATION_BITS + LAYER_BITS
        a, b = Signal(width, reset_less=True), Signal(signed(width + 2), reset_less=True)
        x, y = (Signal(self._sum_bits, name=name, reset_less=True) for name in "xy")
        total, doubled = Signal(signed(width + 3), reset_less=True), Signal(signed(width + 4))
        steps = Signal(range(max(self._sum_bits, EPSILON_BITS) + 1))
        m.d.comb += doubled.eq(total + Mux(x[0], a, 0) - Mux(y[0], b, 0))

        def product(bits):
            """What total is after so many steps, with all its bits."""
            return Cat(x[self._sum_bits - bits :], total).as_signed()

        def start(new_x, new_y, count):
            return [x.eq(new_x), y.eq(new_y), steps.eq(count), total.eq(0)]

        with m.If(steps.any()):
            m.d.sync += [steps.eq(steps - 1), total.eq(doubled >> 1), x.eq(Cat(x[1:], doubled[0])), y.eq(y >> 1)]
        with m.Else(), m.FSM():
            with m.State("idle"), m.If(self.i.valid):
                m.d.sync += [a.eq(iterations), b.eq(-user.iteration), *start(user.layer, layers, LAYER_BITS)]
                m.next = "spent"
            with m.State("spent"):
                m.d.sync += [b.eq(product(LAYER_BITS)), *start(layers, 0, LAYER_BITS)]
                m.next = "whole"
            with m.State("whole"):
                m.d.sync += [a.eq(product(LAYER_BITS)), *start(alpha, beta, EPSILON_BITS)]
                m.next = "epsilon"
            with m.State("epsilon"):
                m.d.sync += [b.eq(product(EPSILON_BITS)), a.eq(a << EPSILON_BITS)]
                m.d.sync += start(self.i.p.data.numerator, self.i.p.data.denominator, self._sum_bits)
                m.next = "compare"
            with m.State("compare"):
                m.d.comb += [output.i.valid.eq(1), self.i.ready.eq(output.i.ready)]
                with m.If(output.i.ready):
                    m.next = "idle"
        m.d.comb += [output.i.p.data.precision.eq(~total[-1]), output.i.p.last.eq(self.i.p.last)]
        if self._tag:
            m.d.comb += output.i.p.user.user.eq(user.user)
        return m
