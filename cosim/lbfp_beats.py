"""What the benches of the LBFP blocks share."""

from narrowfloat.cosim.beats import StreamBench
from narrowfloat.golden.formats import LogBlockFormat


class LbfpBench(StreamBench):
    """An LBFP block under test, with its format."""

    def __init__(self, dut):
        super().__init__(dut)
        self.fmt = LogBlockFormat.parse(self.parameters["fmt"])
