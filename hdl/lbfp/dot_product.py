"""Dot products of logarithmic numbers in fixed point."""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for
from narrowfloat.golden.lbfp import OUTPUTS
from narrowfloat.hdl.block import Choice, Integer, Switch
from narrowfloat.hdl.lbfp.products import Products, Shift, log_sum, pairs
from narrowfloat.hdl.parts.logic import named, wire
from narrowfloat.hdl.parts.stream import beats_of, registered


class LbfpDotProduct(Products):
    """Dot products of codes: `lanes` products per beat, any number of beats up to `max_beats` per result, a beat per clock.

    Equation: the exact sum of the products of `LbfpMultiplier`, cut to `out_bits` each, in units of ``2**exponent``, where
    ``exponent = Ea + Eb - 2**(I + 1) - G`` plus the number of bits cut off (`golden.lbfp.dot`). The shared exponents enter
    once, with the last beat.

    ============  ====================================================================================================
    rounding      that of the table A; then products lose their lowest bits, with output "sign_magnitude" toward zero,
                  with "twos_complement" toward minus infinity, which adds up to a bias in long sums
    overflow      none for up to `max_beats` beats: the sum has the bits for that many of the largest products
    ============  ====================================================================================================

    A negative product of sign and magnitude enters the tree of adders inverted, and its sign as the carry of one of them: there
    are as many adders, with that of the accumulator, as there are products.

    Latency: `stages` + 1 cycles from the last beat of a result. Throughput: a beat per clock. The accumulator is the output
    register: while a result waits there, no beat is taken.

    Sources: "LBFP", APCCAS 2020; Johnson 2018, arXiv 1811.01721, for the sum of logarithmic products in fixed point.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {a: code lanes, b: code lanes}, last, user: {exponent_a, exponent_b, user}}.
    o : Out(stream.Signature)
        Payload {data: {sum}, last, user: {exponent, user}}; `sum` and `exponent` are signed.

    Fields
    ------
    exponent_a, exponent_b
        The shared exponents Ea and Eb of all codes of the result. Those of its last beat count.
    sum
        The sum of all products.
    exponent
        The last bit of the sum means ``2**exponent``.
    user
        The tag. That of the last beat of a result goes out with it, the others count for nothing.

    Protocol
    --------
    TLAST
        Of what enters: the last beat of a result. Of what leaves: always 1.
    order
        A result is the sum of the products of all lanes of the beats from the one after the last TLAST, or after reset, to the
        next one with TLAST. Lanes that are not needed have the code 0.
    constant
        The shared exponents in all beats of a result.
    wrong input
        With more than `max_beats` beats the sum may wrap around.
    """

    lanes = Integer(16, 1, 64, "Products per beat.", place=1)
    stages = Integer(
        0, 0, 2, "Registers beside the accumulator: none; between products and adders; at the input, too.", place=1
    )
    output = Choice(
        "sign_magnitude", OUTPUTS, "How products are cut: toward zero, or in two's complement toward minus infinity."
    )
    max_beats = Integer(2**14, 1, 2**24, "Beats of a result at most.")
    exponents = Switch(True, "Whether exponents come in and go out, or are dealt with elsewhere.")
    user_bits = Integer(0, 0, 64, "Width of a tag; the last beat's goes out with the result.", place=3)
    usual_bits = 14

    @property
    def latency(self):
        return self.stages + 1

    @property
    def facts(self):
        return {**super().facts, "sum_bits": self._sum_bits}

    @property
    def fraction_bits(self):
        return {} if self.exponents else {"sum": -self.table.lsb_offset}

    def prepare(self):
        super().prepare()
        # Cut toward minus infinity, the most negative product may be one more than the largest in magnitude.
        largest = self.table.largest + (self.output == "twos_complement" and self.table.dropped > 0)
        self._sum_bits = (largest * self.lanes * self.max_beats).bit_length() + 1

    def members(self):
        exponent = signed(self.fmt.exp_bits)
        ends = [2 * end + self.table.lsb_offset for end in self.fmt.exponent_range]
        incoming = {"exponent_a": exponent, "exponent_b": exponent} if self.exponents else {}
        outgoing = {"exponent": signed(max(bits_for(end, True) for end in ends))} if self.exponents else {}
        return {
            "i": In(pairs(self.fmt, self.lanes, incoming | self.tag)),
            "o": Out(beats_of(data.StructLayout({"sum": signed(self._sum_bits)}), outgoing | self.tag)),
        }

    def build(self, m):
        source = registered(m, "input_register", self.i) if self.stages >= 2 else self.i
        product = signed(self.table.out_bits)
        products = stream.Signature(
            data.StructLayout(
                {
                    "terms": data.ArrayLayout(product, self.lanes),
                    "carries": self.lanes if self.output == "sign_magnitude" else 0,
                    "last": 1,
                    "user": source.p.user.shape(),
                }
            )
        ).create(path=("products",))
        m.d.comb += [
            products.valid.eq(source.valid),
            source.ready.eq(products.ready),
            products.p.last.eq(source.p.last),
            products.p.user.eq(source.p.user),
        ]
        self._multiply(m, source, products)
        if self.stages >= 1:
            products = registered(m, "product_register", products)
        self._accumulate(m, products)

    def _multiply(self, m, source, products):
        for lane in range(self.lanes):
            m.submodules[f"shift{lane}"] = shift = Shift(self.fmt, self.table, self.output)
            log_sum(m, self.fmt, source.p.data.a[lane], source.p.data.b[lane], shift.i)
            if self.output == "twos_complement":
                m.d.comb += products.p.terms[lane].eq(shift.product.as_signed())
                continue
            sign = shift.product[-1]
            m.d.comb += [
                products.p.terms[lane].eq(Cat((bit ^ sign for bit in shift.product[:-1]), sign).as_signed()),
                products.p.carries[lane].eq(sign),
            ]

    def _accumulate(self, m, products):
        done = Signal()
        fresh = Signal(init=1)
        total = Signal(signed(self._sum_bits), reset_less=True)
        # A tree of adders of two, each with a carry: on FPGAs it becomes carry chains, in cells full adders. Two numbers of w
        # bits and a carry are from -2**w to 2**w - 1, which w + 1 bits hold.
        carries = iter(products.p.carries)
        terms = list(products.p.terms)
        while len(terms) > 1:
            sums = []
            for left, right in zip(terms[::2], terms[1::2]):
                shape = signed(max(len(left), len(right)) + 1)
                sums.append(wire(m, shape, left + right + next(carries, 0), f"sum{len(terms)}_{len(sums)}"))
            terms = sums + terms[2 * len(sums) :]
        taken = Signal()
        m.d.comb += [products.ready.eq(~done | self.o.ready), taken.eq(products.valid & products.ready)]
        with m.If(taken):
            m.d.sync += [
                total.eq(Mux(fresh, 0, total) + terms[0] + next(carries, 0)),
                fresh.eq(products.p.last),
            ]
        with m.If(products.ready):
            m.d.sync += done.eq(taken & products.p.last)
        m.d.comb += [self.o.valid.eq(done), self.o.p.data.sum.eq(total), self.o.p.last.eq(1)]

        user, given = self.o.p.user, products.p.user
        held = {name: given[name] for name in self.tag}
        if self.exponents:
            exponent = named(m, given.exponent_a + given.exponent_b, "exponent_of_products")
            held = {"exponent": exponent + self.table.lsb_offset, **held}
        for name, value in held.items():
            register = Signal(user[name].shape(), name=f"held_{name}", reset_less=True)
            with m.If(taken & products.p.last):
                m.d.sync += register.eq(value)
            m.d.comb += user[name].eq(register)
