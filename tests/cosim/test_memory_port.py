"""The memory port beyond what is shipped, and faults that its bench must catch."""

import re

import pytest
from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

SMALL = ("lanes=1", "types=2", "estimators=tracker")
SQUEEZING = ("lanes=1", "types=2", "estimators=moments", "s2fp8=1", "fmt=float8_e5m2", "bias_max=31")
SMALLEST = ("lanes=1", "types=1", "estimators=tracker", "reset=async_low")
BUILDS = (
    ("lanes=2", "types=2", "estimators=moments,tracker", "cnt_width=5", "fmt=ab_e5m2_gradual", "reset=sync_low"),
    SQUEEZING,
    ("lanes=3", "types=8", "estimators=moments,histogram", "cnt_width=6"),
    ("lanes=3", "types=1", "estimators=moments,tracker", "s2fp8=1", "reset=async_low"),
    ("lanes=16", "types=4", "estimators=median", "fmt=float8_e5m2", "bias_max=31"),
)
EVERYWHERE = "every_mode|one_beat|control|never|read_|reset|registers"
FAULTS = {
    "open": (
        SMALL,
        "control_at_random_moments",
        r"open <= \{stays_open1, stays_open0\};",
        "open <= {stays_open1, 1'h0};",
        (
            r"(bias of type 0 in cycle \d+: got \d+, want one of \[.*\]"
            r"|m_mem: beat \d+ of type 0: \w+: got \w+, want \w+; \d+ differ)"
        ),
    ),
    "flag": (
        SMALL,
        "special_tensors",
        r"flags1_overflow_sticky <= axil[^;]*;",
        "flags1_overflow_sticky <= 1'h0;",
        r"type 1: FLAGS: got \d+, want \d+; \d+ differ",
    ),
    "slot": (
        SMALL,
        "read_whatever_memory_holds",
        r"left <= (final_ [^;]*);",
        r"left <= (\1) & 4'hb;",
        r"m_core: \d+ beats passed, \d+ are due",
    ),
    "order": (
        SMALL,
        "every_mode",
        r"assign m_mem_tuser = (\w+);",
        r"assign m_mem_tuser = \1 ^ 1'h1;",
        r"(m_mem: got \d+ beats, want \d+|m_mem: beat \d+ of type \d: type: got \d, want \d; \d+ differ)",
    ),
    "loaded": (
        SQUEEZING,
        "squeezed_tensors",
        r"loaded <= \(loaded[^;]*;",
        "loaded <= 2'h0;",
        r"mean and inverse of type \d in cycle \d+: got \(\d+, \d+\), want one of \[.*\]",
    ),
    "stale": (
        SQUEEZING,
        "squeezed_tensors",
        r"stale <= (\(stale[^;]*);",
        r"stale <= (\1) & 2'h1;",
        r"type 1: alpha: got 0, want \d+; type 1: mean: got 32512, want \d+; .*; 3 differ",
    ),
}


@pytest.fixture
def simulate(tmp_path, require_tool):
    """A function that emits a port, edits its Verilog if asked to, and simulates it on Icarus."""

    def simulate(settings, tests=None, old=None, new=None):
        require_tool("iverilog")
        emission = emit(find("memory_port"), settings)
        emission.write(tmp_path)
        if old:
            source = tmp_path / f"{emission.module}.v"
            text, number = re.subn(old, new, source.read_text(), count=1)
            assert number == 1
            source.write_text(text)
        return run(Job(tmp_path, emission.module, "icarus", seed=3, tests=tests, runs=tmp_path))

    return simulate


def test_smallest_build_on_icarus(simulate):
    result = simulate(SMALLEST, EVERYWHERE)
    assert result.failure is None
    assert result.vectors > 5000


def test_s2fp8_on_icarus(simulate):
    result = simulate(SQUEEZING, "squeezed|one_beat")
    assert result.failure is None
    assert result.vectors > 500


@pytest.mark.long
@pytest.mark.parametrize("settings", BUILDS, ids=lambda settings: "-".join(settings[:3]))
def test_build_on_icarus(settings, simulate):
    # a test that is named runs where it would be skipped
    squeezing = "|squeezed|alpha_1" if settings == SQUEEZING else "|squeezed" if "s2fp8=1" in settings else ""
    result = simulate(settings, EVERYWHERE + squeezing)
    assert result.failure is None
    assert result.vectors > 5000


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught_and_shown(fault, simulate):
    settings, tests, old, new, message = FAULTS[fault]
    failure = simulate(settings, tests, old, new).failure
    assert re.match(rf"\w+: {message}; rerun: make sim DESIGN=memory_port_x1_\w+ SIM=icarus SEED=3\n", failure), failure
