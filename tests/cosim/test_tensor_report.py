"""The table of real tensors, from files as the generic bench writes them."""

import numpy as np
import pytest
from narrowfloat.cosim.runner import Job, Result
from narrowfloat.cosim.tensor_report import sqnr, tensor_table
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.statistics import exact_median_bias

LANES = 5  # of which the tensors are no multiples


def through(design, name, tmp_path, failure=None):
    """The result of a run whose hardware does what the model does, the last beat filled up."""
    fmt = FloatFormat.parse(name)
    kept = {}
    for key, tensor in real_tensors()[0].items():
        bias = exact_median_bias(tensor) if name == "ab_e5m2" else None
        codes = encode(tensor.reshape(-1), fmt, bias=bias)
        values = codes if design == "float_encoder" else decode(codes, fmt, bias=bias).view(np.uint32)
        kept[key] = np.pad(values, (0, -values.size % LANES), constant_values=1)
    path = tmp_path / f"{design}_{name}.npz"
    np.savez(path, **kept)
    job = Job(tmp_path, "module", "verilator", 1)
    return Result(job, design, {"formats": [name]}, 1, 1, 1.0, failure, path)


@pytest.fixture
def results(tmp_path):
    runs = [("float_encoder", "ab_e5m2"), ("float_decoder", "ab_e5m2"), ("float_decoder", "float8_e4m3fn")]
    return [through(design, name, tmp_path) for design, name in runs]


def test_table_has_the_models_figures_of_every_tensor(results):
    table = tensor_table(results)
    columns = {column.header: list(column.cells) for column in table.columns}
    tensors, _ = real_tensors()
    assert columns["tensor"] == list(tensors)
    assert columns["values"] == [f"{tensor.size:,}" for tensor in tensors.values()]
    ours, fixed = FloatFormat.parse("ab_e5m2"), FloatFormat.parse("float8_e4m3fn")
    ratios = columns["SQNR dB"], columns["float8_e4m3fn, fixed bias: SQNR dB"]
    for tensor, row, theirs in zip(tensors.values(), *ratios, strict=True):
        bias = exact_median_bias(tensor)
        assert row == f"{sqnr(tensor, decode(encode(tensor, ours, bias=bias), ours, bias=bias)):.1f}"
        assert theirs == f"{sqnr(tensor, decode(encode(tensor, fixed), fixed)):.1f}"


def test_no_table_without_both_halves_of_the_adaptive_format(results, tmp_path):
    assert tensor_table(results[1:]) is None
    assert tensor_table([through("float_encoder", "ab_e5m2", tmp_path, failure="it failed"), *results[1:]]) is None
