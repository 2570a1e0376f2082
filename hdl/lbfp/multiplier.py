"""Products of logarithmic numbers in fixed point."""

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.block import Lanewise, Stages
from narrowfloat.hdl.lbfp.products import Power, Products, Shift, log_sum, log_sum_layout, look_up, pairs, power_layout
from narrowfloat.hdl.parts.stream import beats


class LbfpMultiplier(Products, Lanewise):
    """Products of codes, `lanes` per beat, one beat per clock.

    Equation: with t = ca + cb, ``A[t mod 2**F] << (t >> F)``, negative if the signs differ, in units of
    ``2**(Ea + Eb - 2**(I + 1) - G)`` (`golden.lbfp.multiply`). A[f] is about ``2**(G + f / 2**F)``, as `antilog` says, and G is
    `guard_bits`. The shared exponents are not needed.

    ============  ==================================================================================
    rounding      that of the table A; then bits below `out_bits` are cut off: in two's complement
                  toward minus infinity, with sign and magnitude toward zero
    zero          the product is positive zero if a factor is zero; what becomes zero by cutting keeps its sign
    overflow      none
    ============  ==================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Sources: Mitchell 1962 for the antilogarithm as 1 + f; "LBFP", APCCAS 2020.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {a: code lanes, b: code lanes}, last, user: {user}}.
    o : Out(stream.Signature)
        Payload {data: product lanes, last, user: {user}}. Fraction bits are those without the shared exponents.

    Fields
    ------
    m_axis.lane
        A product.
    """

    stages = Stages(
        1,
        output="at the output",
        middle="behind the sum of logarithms",
        input="at the input",
        powers="behind the table of powers",
    )

    def members(self):
        bits = self.table.out_bits
        signed_magnitude = data.StructLayout({"magnitude": bits - 1, "sign": 1})
        product = {"twos_complement": signed(bits), "sign_magnitude": signed_magnitude}[self.output]
        return {"i": In(pairs(self.fmt, self.lanes, self.tag)), "o": Out(beats(product, self.lanes, self.tag))}

    @property
    def fraction_bits(self):
        return {"m_axis_tdata": -self.table.lsb_offset}

    def phases(self):
        powers = power_layout(self.fmt, self.table, self.output)
        return [
            self.phase("middle", (log_sum_layout(self.fmt), {}), self._add),
            self.phase("powers", (powers, {}), self._look_up),
            self.phase("output", None, self._shift),
        ]

    def _add(self, m, source, sink):
        for lane in range(self.lanes):
            log_sum(m, self.fmt, source.p.data.a[lane], source.p.data.b[lane], sink.p.lanes[lane])

    def _look_up(self, m, source, sink):
        for lane, (given, result) in enumerate(zip(source.p.lanes, sink.p.lanes, strict=True)):
            m.submodules[f"power{lane}"] = power = Power(self.fmt, self.table, self.output)
            look_up(m, self.fmt, power, given, result)

    def _shift(self, m, source, sink):
        self.in_each_lane(
            m,
            "shift",
            lambda: Shift(self.fmt, self.table, self.output),
            lambda lane, shift: [shift.i.eq(source.p.lanes[lane]), sink.p.data[lane].eq(shift.product)],
        )
