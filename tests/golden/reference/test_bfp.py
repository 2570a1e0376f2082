"""The references of block floating point against the model of numbers, and what goes through their designs' ports."""

import json

import numpy as np
import pytest
from narrowfloat.golden.bfp import convert, decode, matmul, precision, relative_improvement
from narrowfloat.golden.bfp.systolic import Array, passes
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.reference import Interface, Stream, load
from narrowfloat.golden.reference.bfp.systolic_array import KINDS
from narrowfloat.golden.reference.streams import bits_of
from narrowfloat.golden.rounding import ROUNDINGS
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

BUILDS = (
    ("fast_mac", ("lanes=5", "chunk_bits=3", "user_bits=64", "reset=async_low")),
    ("fast_mac", ("lanes=4", "accumulator=fp32", "max_bits=2")),
    ("fast_mac", ("lanes=4", "accumulator=fp32", "max_bits=8")),
    ("fast_mac", ("lanes=4", "accumulator=segmented")),
    ("bfp_converter", ("fmt=m4e3g15", "lanes=5", "roundings=rtz,rne,sr", "user_bits=64")),
    ("bfp_converter", ("lanes=1", "fmt=m6g4", "precisions=2,4", "sums=0", "roundings=sr")),
    ("precision_policy", ("sum_bits=64", "user_bits=64")),
    ("systolic_array", ("rows=2", "columns=3", "lanes=5", "width=16", "reset=async_low")),
    ("systolic_array", ("rows=3", "columns=1", "lanes=4", "max_bits=6", "accumulator=fp32")),
    ("systolic_array", ("rows=2", "columns=2", "lanes=4", "max_bits=8", "accumulator=segmented")),
)
each_build = pytest.mark.parametrize(
    "name, settings", BUILDS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)


def reference(name, settings):
    return load(json.loads(json.dumps(emit(find(name), settings).manifest)), np.random.default_rng(7))


def by_name(traffic, name):
    return traffic if isinstance(traffic, dict) else {name: traffic}


@each_build
def test_streams_go_through_the_ports_unchanged(name, settings):
    """In and out: corners, random traffic; as it comes back it leads to the same results."""
    design = reference(name, settings)
    for traffic in (next(iter(design.corners())), design.random(design.few_beats)):
        results = design.model(traffic)
        for stream_name, stream in [*by_name(traffic, "s_axis").items(), *by_name(results, "m_axis").items()]:
            interface = Interface(design.manifest, stream_name)
            back = interface.unpack(interface.pack(stream))
            assert np.array_equal(back.last, stream.last)
            for port, columns, sent in ((interface.data, back.data, stream.data), (interface.user, back.user, stream.user)):
                for field, values in columns.items():
                    assert np.array_equal(values, bits_of(sent[field], port.widths[field]).reshape(values.shape)), field


@each_build
def test_beat_by_beat_is_as_all_at_once(name, settings):
    design = reference(name, settings)
    traffic = design.random(design.few_beats)
    whole = by_name(design.model(traffic), "m_axis")
    design.reset()
    beats = max(map(len, by_name(traffic, "s_axis").values()))
    parts = []
    for beat in range(beats):
        rows = slice(beat, beat + 1)
        parts.append(
            design.model({k: stream[rows] for k, stream in traffic.items()} if isinstance(traffic, dict) else traffic[rows])
        )
    for stream_name, stream in whole.items():
        joined = Stream.join([by_name(part, "m_axis")[stream_name] for part in parts])
        assert len(joined) and np.array_equal(joined.last, stream.last)
        for columns, want in ((joined.data, stream.data), (joined.user, stream.user)):
            assert columns.keys() == want.keys()
            for field, values in columns.items():
                assert np.array_equal(values, want[field]), field


@pytest.mark.parametrize("accumulator", ["fixed", "fp32", "segmented"])
def test_every_dataflow_of_the_array_gives_the_product_of_matrices_in_the_cycles_of_the_model(accumulator):
    design = reference("systolic_array", ("rows=2", "columns=3", "lanes=4", f"accumulator={accumulator}"))
    array = Array(2, 3, 4)
    rng = np.random.default_rng(3)
    for kind in KINDS:
        for x_bits, y_bits in ((2, 4), (4, 2)):
            a, b = (
                convert(rng.standard_normal((rows, 19), np.float32), BlockFormat(name="some", man_bits=bits, group=4))
                for rows, bits in ((5, x_bits), (7, y_bits))
            )
            traffic, places = design.product(kind, a, b)
            window = design.window(a, b)
            design.reset()
            got = design.gathered(places, design.model(traffic), (5, 7), window)
            if accumulator == "fixed":
                sums, saturated = matmul(a, b, accumulator="fixed", window=window)
                assert not saturated.any()
                want = np.ldexp(sums.astype(np.float64), window - 256).astype(np.float32)
            else:
                want = matmul(a, b, accumulator=accumulator, bits=4)
            assert np.array_equal(got, want), kind
            assert np.allclose(got, decode(a).astype(np.float64) @ decode(b).T, rtol=1e-4, atol=1e-3)
            each = passes(x_bits, y_bits)
            cycles = array.in_place(20, 5, 7, each) if kind == "gradient" else array.stationary(5, 20, 7, each)
            assert design.cycles(traffic) == cycles + (accumulator == "segmented")


def test_array_looks_at_no_bits_below_the_chunks_of_a_group():
    design = reference("systolic_array", ("rows=1", "columns=1", "lanes=4", "accumulator=fp32"))
    traffic = design.random_product("gradient")
    traffic["s_axis"].user["chunks"] = np.zeros(len(traffic["s_axis"]), int)
    want = design.model(traffic)
    traffic["s_axis"].data["x"] = traffic["s_axis"].data["x"] | 3
    assert np.array_equal(design.model(traffic).data["sum"], want.data["sum"])


def test_converter_gives_what_convert_and_relative_improvement_do():
    """A tensor that ends within a group, and another."""
    design = reference("bfp_converter", ("fmt=m4e3g16", "lanes=4", "roundings=rne,rtz", "precisions=2,4"))
    for beats in (11, 4):
        tensor = design.tensor(design.rng.standard_normal(4 * beats, np.float32).view(np.uint32), ROUNDINGS.index("rne"), 0)
        x = tensor.data["lane"].view(np.float32).ravel()
        offset, base = (int(tensor.user[name][-1]) for name in ("offset", "reference"))
        leaves = design.model(tensor)
        blocks = convert(x, design.fmt, rounding="rne", bits=2, offset=offset)
        codes = leaves["m_axis"].data["lane"].ravel()
        assert np.array_equal(codes & 15, blocks.magnitudes.ravel()[: 4 * beats])
        assert np.array_equal(codes >> 4, blocks.signs.ravel()[: 4 * beats])
        assert np.array_equal(leaves["m_axis"].user["exponent"], np.repeat(blocks.codes, 4)[:beats])
        sums = leaves["m_sums"]
        got = [int(values[0]) for values in (sums.data["numerator"], sums.data["denominator"], sums.user["saturated"])]
        assert got == [*relative_improvement(x, design.fmt, base, offset=offset)]
        assert sums.origin.tolist() == [beats - 1]


def test_policy_has_the_settings_of_reset_until_they_are_set():
    design = reference("precision_policy", ())
    assert design.settings == {"alpha": 39322, "beta": 19661, "iterations": 1, "layers": 1}
    request = {"numerator": 2, "denominator": 7, "iteration": 3, "layer": 1}
    stream = design.requests([tuple(request.values())])
    for settings in ({"iterations": 10, "layers": 4}, {"alpha": 0}):
        design.settings |= settings
        (bits,) = design.model(stream).data["precision"] * 2 + 2
        assert bits == precision(**request, **design.settings)
    design.reset()
    assert design.settings["alpha"] == 39322 and design.settings["layers"] == 1
