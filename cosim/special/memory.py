"""The memory port against its reference, in every mode."""

from itertools import cycle

import numpy as np
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiResp
from narrowfloat.cosim.bench import FREE
from narrowfloat.cosim.driver import Pauses
from narrowfloat.cosim.memory_bench import PortBench
from narrowfloat.cosim.report import manifest, rerun
from narrowfloat.golden.memory import ESTIMATORS, CoreBeats
from narrowfloat.golden.reference.stimulus import real_tensors

PARAMETERS = manifest()["parameters"]
EVEN_TYPES = 0b01010101


@PortBench.test()
async def registers_answer_on_every_mix_of_pauses(bench):
    parameters = bench.manifest["parameters"]
    assert await bench.read_register("ID") == {"value": int.from_bytes(b"PMFN", "little")}
    version = await bench.read_register("VERSION")
    assert f"{version['major']}.{version['minor']}.{version['patch']}" == bench.manifest["versions"]["narrowfloat"]
    built = sum(1 << code for code, name in enumerate(ESTIMATORS) if name in parameters["estimators"])
    config = {"lanes": bench.reference.lanes, "types": bench.types, "estimators": built}
    config |= {name: int(parameters[name]) for name in ("s2fp8", "bias_port")}
    assert await bench.read_register("CONFIG") == config
    await bench.registers.check_after_reset()
    await bench.check_registers()
    for place in bench.reference.raw_statistics.values():
        for t in range(bench.types, 8):
            await bench.write_register("STAT_INDEX", **place, type=t)
            assert await bench.read_register("STAT_DATA") == {"word": 0}, f"type {t} is not there, but has a statistic"
    axil, registers = bench.registers.axil, bench.reference.registers
    write, read = axil.write_if, axil.read_if
    channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
    writable = {
        name: sum((1 << field["msb"] + 1) - (1 << field["lsb"]) for field in register["fields"] if field["access"] == "rw")
        for name, register in registers.items()
    }
    plain = [name for name in registers if writable[name]] + ["ID", "CONFIG"]
    words = {name: await bench.registers.read(name) for name in plain}
    taken = {register["address"] for register in registers.values()}
    free = sorted(set(range(0, 1 << len(bench.dut.s_axil_awaddr), 4)) - taken)
    for share in (0, 0.3, 0.8):
        for channel in channels:
            channel.set_pause_generator(cycle((bench.rng.random(97) < share).tolist()))
        for _ in range(60):
            name = bench.rng.choice(plain)
            first = int(bench.rng.integers(4))
            length = int(bench.rng.integers(1, 5 - first))
            value = int(bench.rng.integers(2**32)) & (1 << 8 * length) - 1
            answer = await axil.write(registers[name]["address"] + first, value.to_bytes(length, "little"))
            fields = bench.reference.unpack_fields(name, value << 8 * first)
            bytes_of = {field["name"]: field["lsb"] // 8 for field in registers[name]["fields"]}
            written = {field: code for field, code in fields.items() if first <= bytes_of[field] < first + length}
            refused = bench.reference.refused(name, written)
            assert answer.resp == (AxiResp.SLVERR if refused else AxiResp.OKAY), f"{written} to {name}; {rerun()}"
            mask = ((1 << 8 * length) - 1 << 8 * first) & writable[name] & -(not refused)
            words[name] = words[name] & ~mask | value << 8 * first & mask
            # a random other one, so that writes that go astray are found
            name = bench.rng.choice(plain)
            got = await bench.registers.read(name)
            assert got == words[name], f"{name}: got {got:#x}, want {words[name]:#x}; {rerun()}"
            if free:
                address = int(bench.rng.choice(free))
                assert (await axil.read(address, 4)).resp == AxiResp.SLVERR, f"read of {address:#x}; {rerun()}"
                assert (await axil.write(address, bytes(4))).resp == AxiResp.SLVERR, f"write of {address:#x}; {rerun()}"
    await bench.reset()
    await bench.registers.check_after_reset()
    await bench.check_registers()


@PortBench.test()
async def every_mode_with_every_mix_of_idle_cycles_and_back_pressure(bench):
    """Types interleave beat by beat and in bursts, with bypass among them."""
    for number, (idle, stall) in enumerate([(0, 0), (0.1, 0.5), (0.5, 0.1), (0.9, 0), (0, 0.9), (0.5, 0.5)]):
        await bench.control_all([bench.modes[(t + number) % len(bench.modes)] for t in range(bench.types)], number)
        streams = [bench.reference.tensor(t, int(bench.rng.integers(100, 300))) for t in range(bench.types)]
        beats = bench.reference.interleave([*streams, bench.reference.no_tensor(80)], burst=[1, 7][number % 2])
        await bench.run(beats, bench.pauses(idle, stall))
        await bench.check_registers()


@PortBench.test()
async def tensors_of_one_beat(bench):
    """Of types that no estimator ends with them, so that all their statistics can be foreseen."""
    await bench.control_all([bench.modes[(t + 2) % len(bench.modes)] for t in range(bench.types)], end_on_epoch=True)
    singles = [bench.reference.tensor(int(t), 1) for t in bench.rng.integers(bench.types, size=500)]
    await bench.run(CoreBeats.join(singles), bench.pauses(0.2, 0.2))
    await bench.run(CoreBeats.join(singles))
    await bench.check_registers()


@PortBench.test()
async def special_tensors(bench):
    """All zeros, all equal, two values, outliers, not a word kept."""
    await bench.control_all(bench.reference.encodings())

    def equal(value):
        return lambda number: np.full(number, value, np.float32)

    def with_outliers(number):
        x = bench.rng.standard_normal(number).astype(np.float32) * np.float32(1e-4)
        x[:2] = 1e-38, 1e10
        return x

    def of_two(number):
        return bench.rng.choice(np.array([0.5, -8], np.float32), number)

    for make in (equal(0), equal(-3e-5), of_two, with_outliers, equal(np.nan), bench.reference.random_words):
        tensors = bench.reference.tensors(40, make)
        tensors[-1].keep[-5:] = False
        for _ in range(2):
            await bench.run(bench.reference.interleave(tensors, burst=5))
        await bench.check_registers()


@PortBench.test()
async def control_at_random_moments(bench):
    """Modes, estimators, forced biases, flags that are cleared, epochs: tensors stay whole, and all follows the model."""
    # What is missed after an epoch's end in mid-stream is read from counters, which must not saturate for that.
    countable = bench.manifest["parameters"]["cnt_width"] >= 16
    for number in range(6):
        # The even types are observed through epochs, which may end in mid-tensor; the others end none, whatever their mode.
        modes = [mode if t % 2 == 0 else "frozen" for t, mode in enumerate(bench.reference.encodings(number))]
        await bench.control_all(modes, number, end_on_epoch=True)
        streams = []
        for t in range(bench.types):
            lengths = bench.rng.integers(1, [4, 60][number % 2], size=[60, 6][number % 2])
            streams.append(CoreBeats.join([bench.reference.tensor(t, int(length)) for length in lengths]))
        beats = bench.reference.interleave([*streams, bench.reference.no_tensor(60)], burst=[1, 6, 20][number % 3])

        async def change(number=number):
            ended = set()
            for _ in range(60):
                await ClockCycles(bench.dut.clk, int(bench.rng.integers(1, 30)))
                t = int(bench.rng.integers(bench.types))
                what = bench.rng.integers(6)
                if what == 0 and t % 2:
                    await bench.control(t, bench.modes[bench.rng.integers(len(bench.modes))], None, True)
                elif what == 1:
                    await bench.force(t, None if bench.rng.random() < 0.3 else int(bench.rng.integers(64)))
                elif what == 2 and ("s2fp8" not in bench.modes or bench.reference.encoding(t, number) == "fp8" and t % 2 == 0):
                    # flags of S2FP8 come some cycles later, which the model does not know
                    await bench.write_register(f"FLAGS{t}", overflow=1, inexact=int(bench.rng.integers(2)))
                elif what == 3 and t % 2 == 0 and not ended and countable:
                    types = int(bench.rng.integers(1, 2**bench.types)) & EVEN_TYPES
                    ended.add(types)
                    await bench.write_register("EPOCH", types=types)
                elif what == 4:
                    await bench.read_register(f"BIAS{t}")
                elif what == 5 and t % 2 and "s2fp8" in bench.modes:
                    mean, spread = (int(bench.rng.integers(high)) for high in (2**16, 2**12))
                    await bench.load([t], mean, min(mean + spread, 2**16 - 1))

        share = 0.3 * (number % 3)
        await bench.run(beats, bench.pauses(share, share) if share else FREE, change(), late=True)
        await bench.check_registers()


@PortBench.test()
async def read_whatever_memory_holds(bench):
    """Any slots and bytes kept, or none; any bias with every beat; bypass that says it is packed."""
    for pauses in (FREE, *(Pauses(bench.rng.random(997) < idle, bench.rng.random(1009) < 1 - idle) for idle in (0.3, 0.7))):
        beats = bench.reference.memory_contents(600)
        want = bench.reference.port.read(beats)
        _, returned = await bench.send({"s_mem": bench.reference.stream(beats)}, {"m_core": len(want)}, pauses)
        bench.compare(returned, want, "m_core")


@PortBench.test()
async def never_a_stall(bench):
    """A beat per clock through epochs of all types, whose ends all fall into the stream; and the latencies."""
    for t in range(bench.types):
        await bench.control(t, bench.reference.encoding(t), bench.names[t % len(bench.names)], end_on_epoch=t % 2 == 1)
    epochs = [[bench.reference.tensor(t, 150) for t in bench.rng.permutation(bench.types)] for _ in range(5)]
    mixed = [bench.reference.interleave(bench.reference.tensors(60), burst) for burst in (1, 2, 3)]
    beats = CoreBeats.join([*(tensor for tensors in epochs for tensor in tensors), *mixed])

    async def end_epochs():
        for _ in range(12):
            await ClockCycles(bench.dut.clk, 200)
            await bench.write_register("EPOCH", types=2**bench.types - 1)

    await bench.stream_only(beats, end_epochs())
    gaps = np.diff(bench.driver.sources["s_core"].cycles, prepend=0) != 1
    assert not gaps.any(), f"{gaps.sum()} beats had to wait; {rerun()}"
    await bench.reset()
    await bench.control_all(["frozen"] * bench.types)
    beats = bench.reference.tensor(0, 4)
    beats.keep[:], beats.flush[:] = True, False  # a beat of nothing does not come back
    await bench.run(beats)
    latency = bench.manifest["latency"]
    ends = bench.driver.sources | bench.driver.sinks
    core, out, back, returned = (ends[name].cycles for name in ("s_core", "m_mem", "s_mem", "m_core"))
    assert out[0] - core[-1] == latency["m_mem"], f"{out[0] - core[-1]} cycles to write; {rerun()}"
    # a packed beat is accepted with its last slot, or with a buffer before its first
    cycles = returned[0 if bench.is_buffered else -1] - back[-1]
    assert cycles == latency["m_core"], f"{cycles} cycles to read; {rerun()}"
    assert returned[-1] - returned[0] == 3, f"4 beats took {returned[-1] - returned[0] + 1} cycles; {rerun()}"


@PortBench.test()
async def real_tensors_through_calibration_and_fp8(bench):
    """As in training: epochs in FP32 that are observed, then FP8."""
    tensors = {name: tensor.reshape(-1)[:3000] for name, tensor in real_tensors()[0].items()}
    chosen = [list(tensors.values())[t % len(tensors)] for t in range(bench.types)]
    for epoch in range(6):
        modes = ["calibrate"] * bench.types if epoch < 4 else bench.reference.encodings()
        await bench.control_all(modes, end_on_epoch=True)
        beats = [CoreBeats.of_tensor(tensor, t, lanes=bench.reference.lanes) for t, tensor in enumerate(chosen)]
        await bench.run(bench.reference.interleave(beats, burst=8))
        await bench.write_register("EPOCH", types=2**bench.types - 1)
        await bench.settle()
        bench.catch_up()
        await bench.check_registers()


@PortBench.test(skip=not PARAMETERS["s2fp8"])
async def squeezed_tensors_with_the_statistics_of_the_ones_before(bench):
    """Every type in S2FP8, twice the same, so that the second time the parameters suit; then with loaded statistics."""
    await bench.control_all(["s2fp8"] * bench.types)
    scales = 2.0 ** bench.rng.integers(-90, 60, size=bench.types)
    tensors = [
        bench.reference.tensor(t, 60, lambda number, scale=scale: bench.rng.standard_normal(number, np.float32) * scale)
        for t, scale in enumerate(np.float32(scales))
    ]
    for pauses in (FREE, bench.pauses(0.3, 0.3)):
        beats = bench.reference.interleave(tensors, burst=5)
        _, returned = await bench.run(beats, pauses)
        await bench.check_registers()
    ratios = returned.kept_words().view(np.float32) / beats.kept_words().view(np.float32)
    assert np.median(np.abs(ratios - 1)) < 0.05, f"the parameters do not suit; {rerun()}"
    for mean in (0, 1, 30000, 65535):
        await bench.control_all(["s2fp8_frozen"] * bench.types)
        await bench.load(range(bench.types), mean, 40000)
        await bench.write_register("FLAGS0", overflow=1, underflow=1, invalid=1)
        await bench.run(bench.reference.interleave(tensors, burst=3))
        await bench.check_registers()


@PortBench.test(skip=not PARAMETERS["s2fp8"] or PARAMETERS["fmt"] != "float8_e5m2")
async def alpha_1_and_whole_beta_is_a_bias(bench):
    """The same codes in memory and the same words back, from S2FP8 with alpha = 1 and from FP8 with the bias 15 + beta."""
    for bias in (0, 1, 14, 15, 40, 62, 63):
        tensors = bench.reference.tensors(40, bench.reference.random_words) + bench.reference.tensors(40)
        beats = bench.reference.interleave(tensors, burst=4)
        seen = []
        await bench.load(range(bench.types), 142 - bias << 8, 142 - bias + 15 << 8)
        for mode in ("frozen", "s2fp8_frozen"):
            await bench.control_all([mode] * bench.types)
            for t in range(bench.types):
                await bench.force(t, bias)
            seen.append(await bench.run(beats))
        (plain, words), (squeezed, words_of_squeezed) = seen
        assert squeezed.squeezed.all() and not plain.squeezed.any()
        for name in ("bytes", "keep", "last", "type"):
            assert np.array_equal(getattr(plain, name), getattr(squeezed, name)), f"bias {bias}: {name}; {rerun()}"
        bench.compare(words_of_squeezed, words, "m_core")


@PortBench.test()
async def reset_in_mid_stream(bench):
    for _ in range(4):
        await bench.control_all(bench.reference.encodings())
        beats = bench.reference.interleave(bench.reference.tensors(50), burst=3)
        await bench.interrupt(bench.around(beats)[0], bench.pauses(0.3, 0.5), int(bench.rng.integers(10, 50 * bench.types)))
        await bench.check_registers()
        await bench.control_all([bench.modes[t % len(bench.modes)] for t in range(bench.types)])
        await bench.run(bench.reference.interleave(bench.reference.tensors(40), burst=2))
        await bench.check_registers()
        await bench.reset()
