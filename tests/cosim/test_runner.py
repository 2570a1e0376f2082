"""Co-simulation as users run it: it passes, it catches faults and says what they are, it refuses bad arguments."""

import json
import re
from pathlib import Path

import pytest
from narrowfloat.command import main
from narrowfloat.cosim import build, runner
from narrowfloat.cosim.runner import SIMULATORS, Job, run
from narrowfloat.golden.reference import stimulus
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit

# Every shipped design runs on one simulator at least: these, which Icarus is quick with, on Icarus. Other builds of the other
# designs run on Icarus in the tests of their families. `make sim` with SIM= runs any.
ICARUS = (
    ("float_encoder", ("formats=float8_e5m2",)),
    ("float_decoder", ("formats=ab_e5m2",)),
    ("float_decoder", ("formats=float8_e4m3fn",)),
    ("exponent_histogram", ()),
    ("median_tracker", ()),
    ("fast_mac", ("accumulator=fixed",)),
    ("lbfp_decoder", ()),
    ("lbfp_multiplier", ()),
    ("bfp_converter", ("lanes=4", "roundings=rtz,rne,sr", "precisions=2,4", "user_bits=4")),
    ("precision_policy", ()),
    ("s2_parameters", ()),
)
BOTH = ("float_decoder", ("formats=ab_e5m2",)), ("fast_mac", ("accumulator=fixed",)), ("precision_policy", ())
ALL = [
    *((name, settings, "icarus") for name, settings in ICARUS),
    *(
        (name, settings, "verilator")
        for name, settings in SHIPPED
        if (name, settings) not in ICARUS or (name, settings) in BOTH
    ),
]


@pytest.fixture(scope="session")
def simulate(tmp_path_factory, require_tool):
    """A function that emits a design, edits its Verilog if asked to, and simulates it."""

    def simulate(name, settings=(), simulator="icarus", edit=None, tests=None):
        folder = tmp_path_factory.mktemp("cosim")
        require_tool("iverilog" if simulator == "icarus" else "g++")
        emission = emit(find(name), settings)
        emission.write(folder)
        if edit:
            source = folder / f"{emission.module}.v"
            text = source.read_text()
            assert edit[0] in text
            source.write_text(text.replace(*edit, 1))
        return run(Job(folder, emission.module, simulator, seed=7, tests=tests, runs=folder))

    return simulate


def _id(value):
    return value if isinstance(value, str) else " ".join(value)


@pytest.mark.long
@pytest.mark.parametrize("name, settings, simulator", ALL, ids=_id)
def test_every_shipped_design(simulate, name, settings, simulator):
    result = simulate(name, settings, simulator)
    assert result.failure is None
    # a policy decides once per tensor
    fewer = {"precision_policy": 400, "s2_parameters": 3000}  # one tensor after the other
    assert result.vectors > (900_000 if name.startswith("float_") else fewer.get(name, 100_000))


def test_designs_that_run_on_icarus_are_shipped():
    assert set(BOTH) < set(ICARUS) < set(SHIPPED)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_decoder_of_three_formats(simulate, simulator):
    settings = ["formats=ab_e5m2,float8_e4m3fn,float8_e5m2", "stages=2", "user_bits=8"]
    result = simulate("float_decoder", settings, simulator, tests="corners|every_mix|reset")
    assert result.failure is None


def test_encoder_with_low_asynchronous_reset_on_icarus(simulate):
    settings = ["formats=float4_e2m1fn", "lanes=32", "reset=async_low", "roundings=sr", "flags=1", "user_bits=8"]
    result = simulate("float_encoder", settings, tests="every_mix|reset")
    assert result.failure is None
    assert result.vectors > 100_000


def test_codec_without_bias_port_on_icarus(simulate):
    settings = ["formats=float6_e3m2fn,float8_e5m2fnuz", "bias_port=0", "stages=3"]
    assert simulate("float_decoder", settings, tests="corners|every_mix|reset").failure is None


def test_wrong_operator_is_caught_and_shown(simulate):
    result = simulate("float_decoder", ["stages=3", "user_bits=9"], edit=("i_exponent} + ", "i_exponent} - "), tests="corners")
    first, waves = result.failure.splitlines()
    assert re.match(
        r"corners: lane \d, vector \d+: ab_e5m2 bias \d+ of 0x\w\w \(\S+\): got 0x\w{8} \(\S+\), "
        r"want 0x\w{8} \(\S+\); \d+ differ; rerun: make sim DESIGN=\S+ SIM=icarus SEED=7$",
        first,
    )
    assert re.match(r"waves: \S+\.(fst|vcd)$", waves) and Path(waves.split()[1]).stat().st_size > 1000


def test_register_without_enable_is_caught(simulate):
    edit = ("if (i_ready & i_valid)", "if (1'b1)")
    failure = simulate("float_decoder", edit=edit, tests="every_mix").failure
    assert re.match(r"every_mix_of_idle_cycles_and_back_pressure: beat \d+ changed while it waited: tdata .* became ", failure)


def test_padding_that_is_not_zero_is_caught(simulate):
    failure = simulate("s2_parameters", edit=("{7'h0, ", "{7'h40, "), tests="latency").failure
    assert re.match(r"latency_and_throughput: beat 0 of m_axis has padding that is not zero: 0x80\w{12}; ", failure)


def test_padding_that_is_not_ignored_is_caught(simulate):
    edit = ("assign m_axis_tlast = s_axis_tlast;", "assign m_axis_tlast = s_axis_tlast ^ s_axis_tdata[7];")
    settings = ["formats=float4_e2m1fn", "lanes=1", "stages=0"]
    assert simulate("float_decoder", settings, tests="latency").failure is None
    assert simulate("float_decoder", settings, edit=edit, tests="latency").failure.startswith(
        "latency_and_throughput: tlast of"
    )


def test_register_that_ignores_reset_is_caught(simulate):
    edit = ("if (rst) o_valid <= 1'b0;", "if (1'b0) o_valid <= 1'b0;")
    assert simulate("float_decoder", edit=edit, tests="reset_in").failure is not None


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_verilog_that_does_not_compile_is_reported(simulate, simulator):
    failure = simulate("float_decoder", simulator=simulator, edit=("assign", "assing")).failure
    assert re.match(rf"{simulator} could not build it: see \S+/build.log$", failure)


def test_simulations_share_one_training_and_have_one_thread_each(simulate, monkeypatch, tmp_path):
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    trained, seen = [], []

    def train(folder):
        trained.append(folder)
        (folder / stimulus.TENSORS_FILE).touch()

    def simulation(job, program, folder, variables):
        seen.append((Path(variables[stimulus.KEPT_TENSORS]).exists(), variables["OPENBLAS_NUM_THREADS"]))

    monkeypatch.setattr(stimulus, "keep_real_tensors", train)
    monkeypatch.setattr(runner, "_simulate", simulation)
    monkeypatch.setattr(build, "simulation", lambda *arguments: tmp_path)
    for _ in range(2):
        assert "ended early" in simulate("lbfp_decoder", simulator="verilator").failure
    # a run that fails is repeated with waves
    assert len(trained) == 1 and seen == [(True, "1")] * 4


def test_run_without_a_test_fails(simulate):
    assert simulate("float_decoder", tests="no_such_test").failure.startswith("no test ran")


def test_command_writes_json(tmp_path, capsys, monkeypatch, require_tool):
    require_tool("iverilog")
    path = tmp_path / "runs.json"
    assert main(["sim", "lbfp_decoder_x4", "--sim", "icarus", "--seed", "3", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())
    assert row.keys() == {"design", "parameters", "simulator", "seed", "vectors", "cycles", "seconds", "passed"}
    assert (row["design"], row["simulator"], row["seed"], row["passed"]) == ("lbfp_decoder", "icarus", 3, True)
    assert "bit-exact" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["float_codec"], f"unknown design 'float_codec': use one of {', '.join(DESIGNS)}, or a module that"),
        (["--seed", "-1"], "--seed must be 0 or more, not -1"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, message, capsys):
    assert main(["sim", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"narrowfloat sim: {message}") and error.count("\n") == 1


def test_missing_simulator_gets_one_line(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert main(["sim", "float_decoder", "--sim", "icarus"]) == 2
    error = capsys.readouterr().err
    assert error == "narrowfloat sim: Icarus Verilog is missing: sudo apt-get install iverilog\n"
