"""Dot products of logarithmic numbers in fixed point."""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for
from narrowfloat.golden.lbfp import OUTPUTS
from narrowfloat.hdl.block import Choice, Integer, Stages, Switch
from narrowfloat.hdl.lbfp.products import Power, Products, Shift, log_sum, log_sum_layout, look_up, pairs, power_layout
from narrowfloat.hdl.parts.logic import named, wire
from narrowfloat.hdl.parts.pipeline import Phase, pipeline
from narrowfloat.hdl.parts.stream import beats_of


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
    stages = Stages(
        0,
        products="between products and adders",
        input="at the input",
        sum="in front of the accumulator",
        sums="amid the tree of adders",
        powers="behind the table of powers",
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
        levels = (self.lanes - 1).bit_length()
        half = (levels + 1) // 2
        phases = [
            self._phase("logarithms", {"lanes": data.ArrayLayout(log_sum_layout(self.fmt), self.lanes)}, self._add),
            self._phase("powers", {"lanes": data.ArrayLayout(self._power_layout, self.lanes)}, self._look_up),
            self._phase("products", self._terms(0), self._shift),
            self._phase("sums", self._terms(half), lambda m, source, sink: self._tree(m, half, source, sink)),
            self._phase("sum", self._terms(levels), lambda m, source, sink: self._tree(m, levels - half, source, sink)),
        ]
        self._accumulate(m, pipeline(m, self.i, phases, type(self).stages.cuts[: self.stages]))

    def _phase(self, name, fields, logic):
        """A phase that makes `fields`, while the rest of a beat passes through."""
        shape = data.StructLayout({**fields, "last": 1, "user": self.i.p.user.shape()})

        def passing(m, source, sink):
            m.d.comb += [sink.p.last.eq(source.p.last), sink.p.user.eq(source.p.user)]
            logic(m, source, sink)

        return Phase(name, shape, passing)

    @property
    def _power_layout(self):
        return power_layout(self.fmt, self.table, self.output)

    def _add(self, m, source, sink):
        for a, b, result in zip(source.p.data.a, source.p.data.b, sink.p.lanes, strict=True):
            log_sum(m, self.fmt, a, b, result)

    def _look_up(self, m, source, sink):
        for lane, (given, result) in enumerate(zip(source.p.lanes, sink.p.lanes, strict=True)):
            m.submodules[f"power{lane}"] = power = Power(self.fmt, self.table, self.output)
            look_up(m, self.fmt, power, given, result)

    def _shift(self, m, source, sink):
        for lane, given in enumerate(source.p.lanes):
            m.submodules[f"shift{lane}"] = shift = Shift(self.fmt, self.table, self.output)
            m.d.comb += shift.i.eq(given)
            term = sink.p[f"term{lane}"]
            if self.output == "twos_complement":
                m.d.comb += term.eq(shift.product.as_signed())
                continue
            sign = shift.product[-1]
            m.d.comb += [
                term.eq(Cat((bit ^ sign for bit in shift.product[:-1]), sign).as_signed()),
                sink.p.carries[lane].eq(sign),
            ]

    def _terms(self, levels):
        """What is left to add behind so many levels of a tree of adders of two, each of which takes a carry: on FPGAs they
        become carry chains, in cells full adders."""
        widths, carries = [self.table.out_bits] * self.lanes, self.lanes if self.output == "sign_magnitude" else 0
        for _ in range(levels):
            # Two numbers of w bits and a carry are from -2**w to 2**w - 1, which w + 1 bits hold.
            sums = [max(pair) + 1 for pair in zip(widths[::2], widths[1::2])]
            widths, carries = sums + widths[2 * len(sums) :], max(carries - len(sums), 0)
        return {**{f"term{number}": signed(width) for number, width in enumerate(widths)}, "carries": carries}

    def _tree(self, m, levels, source, sink):
        terms = [source.p[name] for name in source.p.shape().members if name.startswith("term")]
        carries = list(source.p.carries)
        for _ in range(levels):
            sums = []
            for left, right in zip(terms[::2], terms[1::2]):
                shape = signed(max(len(left), len(right)) + 1)
                carry = carries.pop(0) if carries else 0
                sums.append(wire(m, shape, left + right + carry, f"sum{len(terms)}_{len(sums)}"))
            terms = sums + terms[2 * len(sums) :]
        m.d.comb += [sink.p[f"term{number}"].eq(term) for number, term in enumerate(terms)]
        m.d.comb += sink.p.carries.eq(Cat(carries))

    def _accumulate(self, m, products):
        done = Signal()
        fresh = Signal(init=1)
        total = Signal(signed(self._sum_bits), reset_less=True)
        term, carry = products.p.term0, products.p.carries
        taken = Signal()
        m.d.comb += [products.ready.eq(~done | self.o.ready), taken.eq(products.valid & products.ready)]
        with m.If(taken):
            m.d.sync += [
                total.eq(Mux(fresh, 0, total) + term + carry),
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
