"""The memory port's registers and parameters. What it does is for co-simulation and proofs to show."""

import re

import numpy as np
import packaging.version
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from narrowfloat.command import main
from narrowfloat.golden.memory import ESTIMATORS, MODES
from narrowfloat.golden.s2fp8 import parameters
from narrowfloat.hdl import memory
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.memory import TYPES, MemoryPort, ParameterKeeper, port, register_table
from narrowfloat.hdl.memory.registers import release
from narrowfloat.hdl.parts.registers import ACCESSES, Field, Register, Registers, as_json, repeated, ro


@pytest.fixture(scope="module")
def emission():
    return emit(find("memory_port"), ["estimators=tracker", "types=2", "lanes=1"])


@pytest.mark.parametrize("s2fp8", [False, True])
@pytest.mark.parametrize("types", TYPES)
def test_registers_do_not_overlap(types, s2fp8):
    table = register_table(lanes=4, types=types, estimators=("median", "moments"), s2fp8=s2fp8)
    addresses = [register.address for register in table]
    assert addresses == sorted(set(addresses)) and all(address % 4 == 0 for address in addresses)
    assert len({register.name for register in table}) == len(table)
    for register in table:
        taken = [bit for field in register.fields for bit in range(field.lsb, field.msb + 1)]
        assert len(set(taken)) == len(taken) and max(taken) < 32
        assert all(field.access in ACCESSES and field.description for field in register.fields)


def test_model_and_hardware_have_the_same_codes():
    assert list(memory.ESTIMATORS) == list(ESTIMATORS)
    for s2fp8, modes in ((False, MODES[:4]), (True, MODES)):
        table = register_table(lanes=4, types=1, estimators=("tracker", "moments"), s2fp8=s2fp8)
        mode, estimator, _ = next(register for register in table if register.name == "CONTROL0").fields
        assert estimator.reset == list(ESTIMATORS).index("tracker")
        assert estimator.values == {name: list(ESTIMATORS).index(name) for name in ("tracker", "moments")}
        assert all(f"{code} {name}" in estimator.description for name, code in estimator.values.items())
        named = re.findall(r"(\d) (\w+)", mode.description.replace("S2FP8, not observed", "s2fp8_frozen").lower())
        assert named[: len(modes)] == [(str(code), name) for code, name in enumerate(modes)] and mode.width == 3


def test_encodings_have_values():
    control, _, _, status, *_ = (
        r for r in as_json(register_table(lanes=4, types=1, estimators=("median",))) if r["address"] >= 64
    )
    mode, estimator, on_epoch = control["fields"]
    assert mode["values"] == status["fields"][-1]["values"] == dict(zip(MODES[:4], range(4)))
    assert estimator["values"] == {"median": 0} and on_epoch["values"] == {"tensor": 0, "epoch": 1}


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("0.1.0", (0, 1, 0)),
        ("0.2.0rc1", (0, 2, 0)),
        ("1.2", (1, 2, 0)),
        ("3", (3, 0, 0)),
        ("1!4.5.6.7", (4, 5, 6)),
        ("0.3.1.post2.dev3+g12ab", (0, 3, 1)),
        ("12.0.7a1", (12, 0, 7)),
        ("1.0.dev4", (1, 0, 0)),
    ],
)
def test_version_register_has_the_release_numbers(version, numbers):
    assert release(version) == numbers
    assert numbers == (*packaging.version.Version(version).release, 0, 0)[:3]


def test_port_of_a_release_candidate_is_built(monkeypatch):
    monkeypatch.setattr(port, "version", lambda name: "0.2.0rc1")
    rtlil.convert(MemoryPort(lanes=1, types=1, estimators=("tracker",)))


def test_page_names_every_register_and_field(emission):
    page = emission.files[f"{emission.module}.md"]
    for register in emission.manifest["registers"]:
        start = page.index(f"\n### {register['name']}, {register['address']:#05x}\n")
        section = re.split("\n#+ ", page[start + 1 :])[0]
        assert register["description"] in section
        for field in register["fields"]:
            msb, lsb = field["msb"], field["lsb"]
            bits = f"[{msb}:{lsb}]" if msb > lsb else f"[{lsb}]"
            assert f"| {bits} | `{field['name']}` | {field['access']} |" in section and field["description"] in section


def test_manifest(emission):
    manifest = emission.manifest
    assert manifest["latency"] == {"m_mem": 2, "m_core": 1} and manifest["initiation_interval"] == 1
    assert manifest["statistics"].keys() == {"tracker"}
    ports = {port["name"]: port for port in manifest["ports"]}
    fields = {
        name: [(f["name"], f["lsb"], f["msb"]) for f in port["fields"]] for name, port in ports.items() if "fields" in port
    }
    core, memory = [("type", 0, 0), ("bypass", 1, 1)], [("packed", 2, 2), ("bias", 3, 8)]
    assert fields["m_core_tuser"] == core and fields["s_core_tuser"] == [*core, ("flush", 2, 2)]
    assert fields["s_mem_tuser"] == fields["m_mem_tuser"] == core + memory
    assert [ports[f"{face}_tkeep"]["width"] for face in ("s_core", "m_mem", "s_mem", "m_core")] == [4] * 4
    highest = max(register["address"] for register in manifest["registers"])
    assert ports["s_axil_awaddr"]["width"] == ports["s_axil_araddr"]["width"] == highest.bit_length()


def test_s2fp8_comes_with_its_parameters_and_registers():
    manifest = emit(find("memory_port"), ["estimators=moments", "s2fp8=1", "types=4", "lanes=2"]).manifest
    assert manifest["latency"] == {"m_mem": 3, "m_core": 2}
    port = next(port for port in manifest["ports"] if port["name"] == "m_mem_tuser")
    fields = {field["name"]: (field["lsb"], field["msb"]) for field in port["fields"]}
    assert fields == {
        "type": (0, 1), "bypass": (2, 2), "packed": (3, 3), "bias": (4, 9), "squeezed": (10, 10), "mean": (11, 26),
        "inverse": (27, 48),
    }  # fmt: skip
    points = {field["name"]: field["fraction_bits"] for field in port["fields"] if "fraction_bits" in field}
    assert points == {"mean": 8, "inverse": 17}
    registers = {register["name"]: register["address"] for register in manifest["registers"]}
    assert registers["MOMENTS"] == 0x18 and registers["LOAD"] == 0x1C
    assert [registers[f"{name}2"] for name in ("CONTROL", "S2_ENCODE", "S2_DECODE")] == [0x80, 0x94, 0x98]


@pytest.mark.parametrize(
    "setting, message",
    [
        ("s2fp8=1", "s2fp8 needs moments among the estimators, unlike estimators=median,histogram,tracker s2fp8=1\n"),
        ("s2fp8=yes", "s2fp8 must be one of 0, 1, false, true, not 'yes'"),
        ("lanes=17", "lanes must be an integer from 1 to 16, not 17"),
        ("types=3", "types must be one of 1, 2, 4, 8, not '3'"),
        ("fmt=float8_e4m3fn", "fmt must have 8 bits, 5 of them exponent, unlike fmt=float8_e4m3fn"),
        ("fmt=e5m3", "fmt must have 8 bits, 5 of them exponent, unlike fmt=e5m3"),
        ("estimators=mean", "estimators must be one of median, histogram, tracker, moments, not 'mean'"),
        ("estimators=tracker,tracker", "estimators must be one or more different values, each one of median, histogram,"),
        ("bias_max=9", "bias_min must not be above bias_max, unlike bias_min=10 bias_max=9"),
        ("initial_bias=41", "initial_bias must be from bias_min to bias_max, unlike bias_min=10 bias_max=40 initial_bias=41"),
        ("cnt_width=0", "cnt_width must be an integer from 1 to 64, not 0"),
    ],
)
def test_wrong_parameters_get_one_line(setting, message, tmp_path, capsys):
    assert main(["emit", "memory_port", "--set", setting, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"narrowfloat emit: {message}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def found(keeper, context, t):
    kept = context.get(keeper.parameters[t])
    alpha = kept.alpha - 2**11 if kept.alpha >= 2**10 else kept.alpha
    return alpha, kept.mean, kept.inverse


def simulate(component, bench):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def expected(statistics):
    return tuple(vars(parameters(*statistics)).values())


@pytest.mark.parametrize("types", TYPES)
def test_parameters_are_kept_of_one_tensor_and_at_last_of_the_latest(types):
    """Whatever ends or is loaded while they are computed: at any time alpha and mean belong together."""
    rng = np.random.default_rng(types)
    keeper = ParameterKeeper(types)

    async def bench(context):
        allowed, latest = [{(0, 127 << 8, 1 << 17)} for _ in range(types)], {}
        for _ in range(15):
            given = {name: int(rng.integers(2**16)) for name in ("mean", "max")}
            context.set(keeper.given, given)
            for cycle in range(80 + 39 * (types + 1)):
                context.set(keeper.ends, 0)
                context.set(keeper.load, 0)
                t = int(rng.integers(types))
                if cycle < 80 and rng.random() < 0.05:
                    context.set(keeper.load, 1 << t)
                    latest[t] = tuple(given.values())
                elif cycle < 80 and rng.random() < 0.05:
                    latest[t] = tuple(int(value) for value in rng.integers(2**16, size=2))
                    context.set(keeper.mean[t], latest[t][0])
                    context.set(keeper.max[t], latest[t][1])
                    context.set(keeper.ends, 1 << t)
                allowed[t] |= {expected(latest[t])} if t in latest else set()
                await context.tick()
                assert all(found(keeper, context, t) in allowed[t] for t in range(types))
            assert context.get(keeper.busy) == 0
            for t, statistics in latest.items():
                assert found(keeper, context, t) == expected(statistics)

    simulate(keeper, bench)


def test_parameters_come_38_cycles_after_an_end():
    keeper = ParameterKeeper(1)

    async def bench(context):
        context.set(keeper.mean[0], 1000)
        context.set(keeper.max[0], 9000)
        context.set(keeper.ends, 1)
        await context.tick()
        context.set(keeper.ends, 0)
        await context.tick().repeat(36)
        assert found(keeper, context, 0) == (0, 127 << 8, 1 << 17) and context.get(keeper.busy)
        await context.tick()
        assert found(keeper, context, 0) == expected((1000, 9000)) and not context.get(keeper.busy)

    simulate(keeper, bench)


def field(**changed):
    return Field(**{"name": "f", "lsb": 0, "width": 8, "access": "rw", "description": "d"} | changed)


def register(*fields, **changed):
    return Register(**{"name": "R", "address": 0, "description": "d", "fields": fields} | changed)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: field(access="wo"), "access must be one of ro, rw, w1c, strobe, not 'wo'"),
        (lambda: field(lsb=30), "width must be an integer from 1 to 2, not 8"),
        (lambda: field(lsb=4), "bits 11:4 of f must lie within a byte, as they can be written"),
        (lambda: field(access="strobe", reset=1), "reset must be 0, not 1"),
        (lambda: field(slow=True), "f must be ro to be slow, not rw"),
        (lambda: register(address=6), "address of R must be a multiple of 4, not 0x6"),
        (lambda: register(field(), field(name="g")), "fields of R must rise and not overlap, unlike g at bit 0"),
        (
            lambda: register(field(), field(name="g", lsb=8, access="ro", slow=True)),
            "a slow field must be alone in its register, unlike those of R",
        ),
        (lambda: Registers([register(), register(name="S")]), "registers must differ in address, and 2 have 0x0"),
        (lambda: Registers([register(), register(address=4)]), "registers must differ in name, and 2 have R"),
    ],
)
def test_wrong_tables_are_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_registers_and_fields_are_attributes():
    value = register(field(), ro("count", 8, 4, "c"), name="VALUE", address=8)
    each = register(ro("word", 0, 32, "d", slow=True), name="EACH", description="of {}")
    registers = Registers([*repeated(2, 4, [each]), value])
    assert [r.name for r in registers.table] == ["EACH0", "EACH1", "VALUE"]
    assert [(r.address, r.description) for r in registers.table[:2]] == [(0, "of 0"), (4, "of 1")]
    assert registers.value.f is registers.value_f and registers.value.count is registers.value_count
    assert registers.each[1].word is registers.each1_word and registers.each[0].word_done is registers.each0_word_done
