"""The simple way, for a block whose model is a function of arrays: an encoder, and `narrowfloat.encode`."""

import cocotb
import numpy as np
from bench import RNG, receive, reset, sink, source
from cocotbext.axi import AxiStreamFrame
from narrowfloat import encode

LANES = 4
BIASES = 64


@cocotb.test()
@cocotb.parametrize(source_rate=[0, 0.5], sink_rate=[0, 0.5])
async def encoder_is_the_function(dut, source_rate, sink_rate):
    # A word is an element, and so is a code.
    words, codes = source(dut, "s_axis", LANES, source_rate), sink(dut, "m_axis", LANES, sink_rate)
    await reset(dut)
    tensors = []
    for bias in RNG.permutation(BIASES).tolist():
        x = RNG.normal(scale=np.exp2(RNG.uniform(-40, 20)), size=LANES * RNG.integers(1, 9)).astype(np.float32)
        tensors.append((x, bias))
        words.send_nowait(AxiStreamFrame(x.view(np.uint32).tolist(), tuser=bias))  # TUSER of every beat is the bias
    for (x, bias), frame in zip(tensors, await receive(codes, len(tensors)), strict=True):
        np.testing.assert_array_equal(frame.tdata, encode(x, "ab_e5m2", bias=bias), f"bias {bias}")
