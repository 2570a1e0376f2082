"""What the golden model takes of memory and of time, and that its tables give what is computed for each value by itself."""

import time

import numpy as np
import pytest
from narrowfloat.golden import lbfp, s2fp8
from narrowfloat.golden.formats import LOGARITHMS
from narrowfloat.golden.parts import PART, in_parts, parts, take

from tests.golden.calls import CALLS, COUNT, memory, numbers

EVERY_CODE = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_parts_cover_all(size):
    covered = np.zeros(size, int)
    for part in parts(size):
        covered[part] += 1
    assert (covered == 1).all()


def test_in_parts_and_take_of_several_parts():
    values = np.arange(2 * PART + 3)
    results = np.empty(values.shape, np.int64), np.empty(values.shape, np.int64)
    in_parts(lambda each, own, one: (each + own, each * one), results, values, values[::-1], np.array(2))
    assert (results[0] == values[-1]).all()
    assert (results[1] == 2 * values).all()
    assert (take(values[::-1], values) == values[::-1]).all()


@pytest.mark.parametrize("call", [call for call in CALLS if call.bytes], ids=lambda call: call.name)
def test_memory_of_a_value(call):
    assert memory(call) <= call.bytes


@pytest.mark.long
@pytest.mark.parametrize("call", [call for call in CALLS if call.limit], ids=lambda call: call.name)
def test_time_of_a_value_beside_a_logarithm(call):
    """A busy machine slows both down; four times the limit is left, to which `make bench` holds the call on a quiet one."""
    function, values = call.make(COUNT), numbers(COUNT).astype(np.float64) ** 2
    times = []
    for each in (lambda: np.log2(values), function):
        runs = []
        for _ in range(10):
            start = time.perf_counter()
            each()
            runs.append(time.perf_counter() - start)
        times.append(min(runs))
    assert times[1] < 4 * call.limit * times[0]  # a logarithm takes a nanosecond or less


@pytest.mark.parametrize("inverse", [0, 1, 12345, 1 << 17, 2**22 - 1])
def test_s2fp8_decode_every_code_by_one_parameter_and_by_one_for_each(inverse):
    for mean in (0, 100, 127 << 8, 2**16 - 1):
        of_each = s2fp8.decode(EVERY_CODE, np.full(256, inverse), np.full(256, mean))
        assert s2fp8.decode(EVERY_CODE, inverse, mean).tobytes() == of_each.tobytes()


@pytest.mark.parametrize("fmt", LOGARITHMS)
def test_lbfp_decode_every_code_by_one_exponent_and_by_one_for_each(fmt):
    codes = EVERY_CODE[: 2 ** LOGARITHMS[fmt].bits]
    for exponent in (-128, -127, -120, 0, 127):
        of_each = lbfp.decode(codes, fmt, np.full(codes.shape, exponent))
        assert lbfp.decode(codes, fmt, exponent).tobytes() == of_each.tobytes()
