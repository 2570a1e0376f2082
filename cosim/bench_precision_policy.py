"""The precision policy against the golden model."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster
from narrowfloat.cosim.drivers import AxiStream
from narrowfloat.cosim.report import Mismatch, manifest, rerun
from narrowfloat.golden.bfp import precision, relative_improvement
from narrowfloat.golden.formats import BLOCKS
from narrowfloat.golden.reference.stimulus import real_tensors

SETTINGS = ("alpha", "beta", "iterations", "layers")
WIDTHS = {"alpha": 16, "beta": 16, "iterations": 16, "layers": 8}


class PolicyBench:
    """A policy under test: sets its registers, sends it sums, and compares what it answers."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        self.width = self.manifest["parameters"]["sum_bits"]
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.stream = AxiStream(dut, self.manifest)
        low = any(port["name"] == "rst_n" for port in self.manifest["ports"])
        bus = AxiLiteBus.from_prefix(dut, "s_axil")
        self.axil = AxiLiteMaster(bus, dut.clk, dut.rst_n if low else dut.rst, not low)
        self.addresses = {register["name"].lower(): register["address"] for register in self.manifest["registers"]}
        self.settings = {}

    async def start(self):
        """Reset, and read what the registers are then."""
        await self.stream.start()
        await self.read_settings()

    async def read_settings(self):
        """Take the registers' values for what is set."""
        for name, address in self.addresses.items():
            self.settings[name] = int.from_bytes((await self.axil.read(address, 4)).data, "little")

    async def set(self, **values):
        """Write registers."""
        for name, value in values.items():
            await self.axil.write(self.addresses[name], int(value).to_bytes(4, "little"))
        self.settings |= {name: int(value) for name, value in values.items()}

    def random_settings(self):
        """As in use, or anything at all but for no iterations or layers."""
        if self.rng.random() < 0.5:
            iterations, layers = int(self.rng.integers(1, 1000)), int(self.rng.integers(1, 60))
            return {"alpha": 39322, "beta": 19661, "iterations": iterations, "layers": layers}
        return {name: int(self.rng.integers(name in ("iterations", "layers"), 2**width)) for name, width in WIDTHS.items()}

    def random_requests(self, count):
        """Sums of ratios near the threshold, exactly at it, and of any size; iterations and layers up to the end and beyond."""
        requests = []
        largest = 2**self.width - 1
        for _ in range(count):
            iteration = int(self.rng.integers(self.settings["iterations"] + 1))
            layer = int(self.rng.integers(self.settings["layers"] + 1))
            if self.rng.random() < 0.1:
                iteration, layer = int(self.rng.integers(2**16)), int(self.rng.integers(2**8))
            request = {"iteration": iteration, "layer": layer}
            size = int(self.rng.integers(self.width + 1))
            request["denominator"] = int(self.rng.integers(2**size, dtype=np.uint64)) if size else 0
            request["numerator"] = self._numerator(request, largest)
            requests.append(request)
        return requests

    def _numerator(self, request, largest):
        s = self.settings
        whole = s["iterations"] * s["layers"]
        epsilon = s["alpha"] * whole - s["beta"] * (request["iteration"] * s["layers"] + request["layer"] * s["iterations"])
        at_threshold = -(-max(0, epsilon) * request["denominator"] // (whole << 16))
        choice = self.rng.random()
        if choice < 0.6:
            return min(max(at_threshold + int(self.rng.integers(-2, 3)), 0), largest)
        return int(self.rng.integers(largest, dtype=np.uint64)) >> int(self.rng.integers(self.width))

    async def run(self, requests, idle=None, stall=None):
        """Send `requests` and compare the answers with the model's; with nothing in the way also the time they take."""
        count = len(requests)
        columns = {name: np.array([request[name] for request in requests], np.uint64) for name in requests[0]}
        user = {"iteration": columns["iteration"], "layer": columns["layer"]}
        user["user"] = self.rng.integers(2 ** self.manifest["parameters"]["user_bits"], size=count, dtype=np.uint64)
        last = self.rng.random(count) < 0.5
        data = {name: columns[name] for name in ("numerator", "denominator")}
        latency = self.manifest["latency"]
        # The driver gives up after some multiple of these cycles.
        free = np.zeros(2 * latency, bool)
        before = self.stream.cycles
        packed = self.stream.pack(data, user, last)
        answers, tags, got_last = await self.stream.send(
            packed, free if idle is None else idle, free if stall is None else stall
        )
        cycles = self.stream.cycles - before
        if idle is None and stall is None:
            want = count * self.manifest["initiation_interval"] + 1
            assert cycles == want, f"{count} tensors took {cycles} cycles, not {want}: latency or throughput is off"
        got = answers["precision"][:, 0]
        for index, request in enumerate(requests):
            want = precision(**request, **self.settings)
            if 2 + 2 * got[index] != want:
                raise Mismatch(f"tensor {index}, {request}, {self.settings}: got {2 + 2 * got[index]}, want {want}; {rerun()}")
        assert np.array_equal(got_last, last), f"tlast of {np.argmax(got_last != last)} is wrong; {rerun()}"
        if "user" in tags:
            assert np.array_equal(tags["user"][:, 0], user["user"]), f"tags differ: tensors were lost or reordered; {rerun()}"
        self.stream.report(1)


async def _started(dut):
    bench = PolicyBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def after_reset_the_registers_are_the_papers(dut):
    bench = await _started(dut)
    assert bench.settings == {"alpha": 39322, "beta": 19661, "iterations": 1, "layers": 1}
    await bench.run(bench.random_requests(20))


@cocotb.test
async def random_tensors_at_random_settings(dut):
    bench = await _started(dut)
    for _ in range(20):
        await bench.set(**bench.random_settings())
        await bench.run(bench.random_requests(20))


@cocotb.test
async def corners_of_every_field(dut):
    bench = await _started(dut)
    largest = 2**bench.width - 1
    for _ in range(20):
        await bench.set(**{name: bench.rng.choice([1, 2**width - 1]) for name, width in WIDTHS.items()})
        ends = {"numerator": largest, "denominator": largest, "iteration": 2**16 - 1, "layer": 2**8 - 1}
        await bench.run([{name: (0, 1, end)[bench.rng.integers(3)] for name, end in ends.items()} for _ in range(20)])


@cocotb.test
async def real_tensors_over_a_training(dut):
    bench = await _started(dut)
    sums = []
    for tensor in real_tensors()[0].values():
        top = int((tensor.view(np.uint32).ravel() >> 23 & 255).max())
        found = relative_improvement(tensor.ravel(), BLOCKS["bfp4"], max(0, top - 8), width=bench.width)
        sums.append(dict(zip(("numerator", "denominator"), found[:2])))
    await bench.set(alpha=39322, beta=19661, iterations=10, layers=4)
    for iteration in range(0, 11, 5):
        await bench.run([{**pair, "iteration": iteration, "layer": index % 5} for index, pair in enumerate(sums)])


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    for idle_share in (0, 0.5, 0.99):
        for stall_share in (0, 0.5, 0.99):
            await bench.set(**bench.random_settings())
            await bench.run(bench.random_requests(6), bench.rng.random(997) < idle_share, bench.rng.random(1009) < stall_share)


@cocotb.test
async def reset_in_mid_work(dut):
    bench = await _started(dut)
    for _ in range(5):
        await bench.set(**bench.random_settings())
        request = bench.random_requests(1)
        data = {name: np.array([request[0][name]], np.uint64) for name in ("numerator", "denominator")}
        user = {name: np.array([request[0].get(name, 0)], np.uint64) for name in ("iteration", "layer", "user")}
        (beat,) = bench.stream.pack(data, user, np.ones(1, bool))
        dut.s_axis_tdata.value, dut.s_axis_tuser.value, dut.s_axis_tvalid.value = beat[0], beat[1], 1
        for _ in range(int(bench.rng.integers(1, bench.manifest["latency"]))):
            await RisingEdge(dut.clk)
        await bench.stream.reset()
        await bench.read_settings()
        assert bench.settings["iterations"] == 1
        await bench.run(bench.random_requests(3))
