"""The emitted testbenches: they pass on every design and, where it is changed, say how it differs."""

import os
import random
import re

import pytest
from narrowfloat import sweep
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.files import testbench
from narrowfloat.tools import ICARUS, VERILATOR, VVP, start

from tests.formal.mutation import mutants
from tests.hdl.small import SMALL

EVERY_SHIPPED = pytest.mark.parametrize(
    "name, settings",
    SHIPPED,
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
# With a clock and without, with padding, several streams, a seed that is loaded, registers, and estimators.
KINDS = (
    ("float_decoder", "formats=float6_e2m3fn", "lanes=3", "reset=async_low"),
    ("float_encoder", "formats=ab_e5m2", "lanes=1", "stages=0", "user_bits=64"),
    ("float_encoder", "formats=float4_e2m1fn", "roundings=sr", "seed_port=1", "stages=3", "reset=sync_low"),
    ("systolic_array", "rows=1", "columns=1", "lanes=4", "max_bits=2"),
    ("precision_policy", "reset=async_high"),
    ("median_tracker", "types=3", "lanes=2"),
    ("log_moments", "types=1", "lanes=2"),
    ("memory_port", "lanes=2", "types=2", "estimators=tracker", "reset=async_low"),
    ("lbfp_decoder", "lanes=3", "stages=0", "ready=registered", "reset=sync_low"),
    ("memory_port", "lanes=1", "types=1", "estimators=tracker", "ready=registered"),
)
OF_KINDS = pytest.mark.parametrize("configuration", KINDS, ids=" ".join)
# What of the compiler's options the configuration of the PyPI package leaves out.
_GXX = {"MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=gnu++20"}
ROUNDS = 6  # of long tests, of each design


@pytest.fixture
def simulate(tmp_path, require_tool):
    """A function that runs a design's testbench on Icarus, with another text of the design if that is given; its output."""
    require_tool("iverilog")

    def run(emission, text=None, *options):
        emission.write(tmp_path)
        source = emission.manifest["source"]
        if text is not None:
            (tmp_path / source).write_text(text)
        language = "-g2012" if source.endswith(".sv") else "-g2005"
        arguments = [language, "-Wall", *options, "-o", "tb.vvp", source, f"{emission.module}_tb.v"]
        done = ICARUS.start(arguments, tmp_path)
        assert done.returncode == 0 and (text is not None or done.stderr == ""), done.stderr
        return VVP.start(["-N", "tb.vvp"], tmp_path, seconds=300)

    return run


def assert_passes(emission, done):
    assert re.fullmatch(rf"PASS: {emission.module}, [1-9]\d* beats\n", done.stdout) and done.stderr == "", done.stdout
    assert done.returncode == 0


def failure(emission, done):
    """What a testbench says, which must be one line."""
    assert done.stdout.startswith(f"FAIL: {emission.module}: ") and done.stdout.count("\n") == 1, done.stdout
    return done.stdout.removeprefix(f"FAIL: {emission.module}: ")


def around(emission, **connections):
    """A design in which another one is, whose ports are connected as `connections` say; `body` holds statements."""
    body, module = connections.pop("body", ""), emission.module
    text = re.sub(rf"^module {module}\b", f"module {module}_inner", emission.text, flags=re.MULTILINE)
    ports = emission.manifest["ports"]
    declared = ", ".join(f"{port['direction']} [{port['width'] - 1}:0] {port['name']}" for port in ports)
    connected = ", ".join(f".{port['name']}({connections.get(port['name'], port['name'])})" for port in ports)
    return f"{text}\nmodule {module}({declared});\n{body}\n{module}_inner inner({connected});\nendmodule\n"


@EVERY_SHIPPED
def test_shipped_designs_pass(name, settings, emitted, simulate):
    emission = emitted(name, settings)
    assert_passes(emission, simulate(emission))
    assert len(emission.files[f"{emission.module}_tb.hex"]) < 50_000


@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_sum_of_logarithms_that_one_beat_saturates(lanes, emitted, simulate):
    emission = emitted("log_moments", ("types=1", f"lanes={lanes}", "cnt_width=1", "bias_min=0", "bias_max=63"))
    assert_passes(emission, simulate(emission))


@OF_KINDS
def test_every_kind_passes(configuration, emitted, simulate):
    name, *settings = configuration
    emission = emitted(name, settings)
    assert_passes(emission, simulate(emission))


@pytest.mark.parametrize("configuration", KINDS[1:5], ids=" ".join)
def test_systemverilog_does_the_same(configuration, simulate):
    name, *settings = configuration
    emission = emit(find(name), settings, systemverilog=True)
    lint.check(emission)
    assert_passes(emission, simulate(emission))
    assert "always @" not in emission.text and not re.search(r"\breg\b", re.sub("//.*", "", emission.text))
    assert f"{emission.module}.v" not in emission.files and emission.files[f"{emission.module}.f"] == f"{emission.module}.sv\n"
    assert f"files: [{emission.module}.sv]" in emission.files[f"{emission.module}.core"]


def check_random(name, number, simulate):
    design = DESIGNS[name]
    settings = design.settings(sweep.small_draw(design, random.Random(f"testbench {name} {number}")))
    emission = emit(design, settings)
    done = simulate(emission)
    assert done.stdout.startswith("PASS"), f"{name} {' '.join(settings)}: {done.stdout}"
    assert_passes(emission, done)


@pytest.mark.parametrize("name", [name for name in DESIGNS if name not in (*SMALL, "memory_port")])
def test_random_configuration_passes(name, simulate):
    check_random(name, 0, simulate)


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 1 + ROUNDS))
@pytest.mark.parametrize("name", DESIGNS)
def test_random_configurations_pass(name, number, simulate):
    check_random(name, number, simulate)


@EVERY_SHIPPED
def test_verilator_has_nothing_to_say(name, settings, emitted, tmp_path):
    emission = emitted(name, settings)
    emission.write(tmp_path)
    files = [f"{emission.module}.v", f"{emission.module}_tb.v"]
    done = VERILATOR.start(["--lint-only", "--timing", "-Wall", "--top-module", f"{emission.module}_tb", *files], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@OF_KINDS
def test_testbench_is_verilog_2005(configuration, emitted, tmp_path, require_tool):
    require_tool("iverilog")
    name, *settings = configuration
    emission = emitted(name, settings)
    emission.write(tmp_path)
    ports = emission.manifest["ports"]
    declared = ", ".join(f"{port['direction']} [{port['width'] - 1}:0] {port['name']}" for port in ports)
    (tmp_path / "stub.v").write_text(f"module {emission.module}({declared});\nendmodule\n")
    done = ICARUS.start(["-g2005", "-Wall", "-o", os.devnull, f"{emission.module}_tb.v", "stub.v"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def check_on_verilator(emission, folder):
    emission.write(folder)
    name = f"{emission.module}_tb"
    arguments = ["--binary", "--timing", "-Wall", "-CFLAGS", "-O0", "--top-module", name, f"{emission.module}.v", f"{name}.v"]
    VERILATOR.run(arguments, folder, variables=_GXX)
    done = start(name, [folder / "obj_dir" / f"V{name}"], folder)
    assert done.returncode == 0 and f"PASS: {emission.module}, " in done.stdout and "FAIL" not in done.stdout, done.stdout
    elsewhere = start(name, [folder / "obj_dir" / f"V{name}"], folder.parent)
    assert f"FAIL: {emission.module}: {name}.hex is missing" in elsewhere.stdout


def test_decoder_on_verilator(emitted, tmp_path):
    check_on_verilator(emitted("float_decoder", ("lanes=1", "formats=float8_e5m2")), tmp_path)


@pytest.mark.long
@OF_KINDS
def test_every_kind_on_verilator(configuration, emitted, tmp_path):
    name, *settings = configuration
    check_on_verilator(emitted(name, settings), tmp_path)


@pytest.mark.parametrize(
    "name, settings, count, found",
    [
        ("float_encoder", ("formats=float8_e4m3fn", "lanes=1"), 24, 19),
        ("float_decoder", ("formats=ab_e5m2", "lanes=1"), 24, 22),
        ("lbfp_multiplier", ("lanes=1",), 24, 21),
        ("bfp_converter", ("lanes=4", "precisions=2,4", "sums=0"), 12, 9),
        ("precision_policy", (), 12, 7),
        ("median_tracker", (), 24, 16),
        ("memory_port", ("lanes=2", "types=2", "estimators=tracker"), 24, 17),
    ],
)
def test_faults_of_netlists_are_found(name, settings, count, found, emitted, tmp_path, simulate):
    """Of faults at random places; the others change nothing that can be seen, or nothing that these vectors see."""
    emission = emitted(name, settings)
    texts = mutants(emission.text, emission.module, count, tmp_path)
    failed = [simulate(emission, text).stdout.startswith("FAIL") for text in texts]
    assert sum(failed) >= found


@pytest.fixture(scope="module")
def decoder():
    return emit(find("float_decoder"), ("formats=float8_e5m2", "lanes=1"))


def test_other_code_is_the_first_difference(decoder, simulate):
    word = int(decoder.files[f"{decoder.module}_tb.hex"].split()[-1], 16) % 2**32
    text = around(
        decoder, m_axis_tdata="data", body=f"wire [31:0] data; assign m_axis_tdata = data ^ (data == 32'h{word:08x});"
    )
    said = failure(decoder, simulate(decoder, text))
    assert re.fullmatch(rf"m_axis_tdata of beat \d+: expected {word:08x}, got {word ^ 1:08x}\n", said)


def test_beat_that_is_dropped_is_missed(decoder, simulate):
    """One in the middle, and the last one of a transfer, which no other follows."""
    body = "reg [9:0] seen; wire valid; wire drop = seen == {at}; assign m_axis_tvalid = valid & ~drop;\n"
    body += "always @(posedge clk) seen <= rst ? 0 : seen + (valid & (m_axis_tready | drop));"
    transfer = re.search(r"m_axis_first = (\d+); .* m_axis_end = (\d+);", decoder.files[f"{decoder.module}_tb.v"])
    last = int(transfer[2]) - int(transfer[1]) - 1
    for at, said in ((10, r"m_axis_\w+ of beat 10: "), (last, rf"time-out: .* m_axis {last} of {last + 1}\n")):
        text = around(decoder, m_axis_tvalid="valid", m_axis_tready="m_axis_tready | drop", body=body.format(at=at))
        assert re.match(said, failure(decoder, simulate(decoder, text)))


def test_beat_that_comes_twice_is_one_too_many(decoder, simulate):
    transfer = re.search(r"m_axis_first = (\d+); .* m_axis_end = (\d+);", decoder.files[f"{decoder.module}_tb.v"])
    beats = int(transfer[2]) - int(transfer[1])
    body = f"wire valid; wire more = count == {beats}; assign m_axis_tvalid = valid | more;\n"
    body += "reg [9:0] count; always @(posedge clk) count <= rst ? 0 : count + (m_axis_tvalid & m_axis_tready);"
    text = around(decoder, m_axis_tvalid="valid", body=body)
    assert failure(decoder, simulate(decoder, text)) == f"beat {beats} of m_axis is one too many\n"


def test_beat_that_is_taken_back_is_seen(decoder, simulate):
    body = "reg waited; wire valid; assign m_axis_tvalid = valid & ~waited;\n"
    body += "always @(posedge clk) waited <= m_axis_tvalid & ~m_axis_tready;"
    text = around(decoder, m_axis_tvalid="valid", body=body)
    assert re.fullmatch(r"beat \d+ of m_axis was taken back while it waited\n", failure(decoder, simulate(decoder, text)))


def test_beat_that_changes_while_it_waits_is_seen(decoder, simulate):
    body = "reg waited; wire [31:0] data; assign m_axis_tdata = data ^ waited;\n"
    body += "always @(posedge clk) waited <= m_axis_tvalid & ~m_axis_tready;"
    assert re.match(
        r"m_axis_tdata of beat \d+", failure(decoder, simulate(decoder, around(decoder, m_axis_tdata="data", body=body)))
    )


def test_hang_is_a_time_out(decoder, simulate):
    text = around(decoder, s_axis_tvalid="1'b0", s_axis_tready="ignored", body="wire ignored; assign s_axis_tready = 1'b0;")
    said = failure(decoder, simulate(decoder, text))
    assert re.fullmatch(r"time-out: no beat moves; moved are s_axis 0 of \d+, m_axis 0 of \d+\n", said)


def test_cycle_more_is_seen(decoder, simulate):
    """Of a block that takes a beat in every other cycle."""
    body = "reg turn; always @(posedge clk) turn <= rst ? 0 : ~turn; wire ready; assign s_axis_tready = ready & turn;"
    text = around(decoder, s_axis_tvalid="s_axis_tvalid & turn", s_axis_tready="ready", body=body)
    assert "latency or throughput is off" in failure(decoder, simulate(decoder, text))


def test_unknown_handshake_is_seen(decoder, simulate):
    text = around(decoder, m_axis_tvalid="ignored", body="wire ignored; assign m_axis_tvalid = 1'bx;")
    assert failure(decoder, simulate(decoder, text)) == "m_axis_tvalid is x\n"


def test_other_vectors_are_refused(decoder, simulate):
    done = simulate(decoder, None, f'-P{decoder.module}_tb.VECTORS="other.hex"')
    assert f"FAIL: {decoder.module}: other.hex is missing, or not of this testbench\n" in done.stdout


def test_failure_ends_with_another_status_if_asked_to(decoder, simulate):
    text = around(decoder, m_axis_tvalid="ignored", body="wire ignored; assign m_axis_tvalid = 1'b0;")
    assert simulate(decoder, text).returncode == 0
    assert simulate(decoder, text, f"-P{decoder.module}_tb.STOP=1").returncode == 1


def test_same_manifest_gives_the_same_files(decoder):
    files = testbench.files(decoder.manifest, [f"{decoder.module}.v"])
    assert files.items() <= decoder.files.items()
