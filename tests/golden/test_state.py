"""Objects with state: what they hand out stays as it was, and each call that is for a type refuses what is none."""

import copy
import inspect

import numpy as np
import pytest
from narrowfloat.golden.lbfp.calibration import Histogram
from narrowfloat.golden.memory import CoreBeats, MemoryPort
from narrowfloat.golden.s2fp8 import parameters
from narrowfloat.golden.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker

ESTIMATORS = (MedianEstimator, ExponentHistogram, MedianTracker, LogMoments)
TYPES = 2
SETTINGS = ("mode", "estimator", "force", "end_on_epoch")  # of a memory port, which are there to be written


def port():
    made = MemoryPort(types=TYPES, estimators=("tracker", "moments"), s2fp8=True)
    made.mode = ["fp8", "s2fp8"]
    return made


def feed_estimator(estimator):
    for _ in range(4):
        estimator.observe(np.full((20, 4), 1e-6, np.float32))
        estimator.end(0)


def feed_port(port):
    for type_ in range(TYPES):
        beats = CoreBeats.of_tensor(np.array([1e30, 1e-30, np.nan] * 50, np.float32), type_)
        port.write(beats)
        port.write(beats[:-1])  # a tensor stays open


MAKERS = [
    *(pytest.param(lambda made=made: made(TYPES), feed_estimator, id=made.__name__) for made in ESTIMATORS),
    pytest.param(Histogram, lambda histogram: histogram.observe([3.0, 1e9]), id="Histogram"),
    pytest.param(port, feed_port, id="MemoryPort"),
]


def members(thing):
    """What public attributes, properties and functions without an argument but a type give, by name."""
    found = {}
    for name in dir(thing):
        if not name.startswith("_") and name != "estimators":
            value = getattr(thing, name)
            if not callable(value):
                found[name] = value
    if hasattr(thing, "raw"):
        found["raw"] = thing.raw(0)
    return found


@pytest.mark.parametrize(("make", "feed"), MAKERS)
def test_what_was_handed_out_stays_as_it_was(make, feed):
    thing = make()
    kept = members(thing)
    before = copy.deepcopy(kept)
    feed(thing)
    np.testing.assert_equal(kept, before)
    changed = members(thing)
    assert any(not np.array_equal(changed[name], before[name]) for name in before)


@pytest.mark.parametrize(("make", "feed"), MAKERS)
def test_writing_to_what_was_handed_out_changes_nothing(make, feed):
    thing = make()
    before = copy.deepcopy(members(thing))
    for name, value in members(thing).items():
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = 1
        elif isinstance(value, (list, dict)) and name not in SETTINGS:
            value.clear()
    np.testing.assert_equal(members(thing), before)


OTHERS = {
    "words": np.ones((1, 1), np.float32),
    "mean": 1,
    "largest": 2,
    "parameters": parameters(1, 2),
}
CALLS = [
    pytest.param(make, name, parameter, id=f"{make.__name__}.{name}")
    for make in (*ESTIMATORS, port)
    for name, method in inspect.getmembers(type(make()), inspect.isfunction)
    for parameter in inspect.signature(method).parameters
    if not name.startswith("_") and parameter in ("type", "type_", "types")
]


def test_there_are_calls_for_a_type():
    names = {each.id.split(".")[1] for each in CALLS}
    assert names == {"observe", "end", "raw", "next_bias", "load", "use", "clear_flags", "epoch", "end_pass"}


@pytest.mark.parametrize("wrong", [-1, 9, 0.0, 1.5, np.float32(0), True, np.True_, "0", None])
@pytest.mark.parametrize(("make", "name", "parameter"), CALLS)
def test_what_is_no_type(make, name, parameter, wrong):
    thing = make()
    before = copy.deepcopy(members(thing))
    needed = {each: OTHERS[each] for each in inspect.signature(getattr(thing, name)).parameters if each in OTHERS}
    with pytest.raises(ValueError, match=r"^type must be an integer from 0 to \d+, not [^\n]+$"):
        getattr(thing, name)(**needed, **{parameter: [wrong] if name == "epoch" else wrong})
    np.testing.assert_equal(members(thing), before)


@pytest.mark.parametrize("wrong", [-1, 9])
def test_beats_of_a_type_that_is_not_there(wrong):
    with pytest.raises(ValueError, match=rf"types must be an integer from 0 to 1, not {wrong}"):
        MedianTracker(TYPES).observe(np.ones((2, 1), np.float32), [0, wrong])
    beats = CoreBeats.of_tensor(np.ones(8, np.float32), 0)
    beats.type = np.array([0, wrong])
    with pytest.raises(ValueError, match=rf"type must be an integer from 0 to 1, not {wrong}"):
        port().write(beats)
    with pytest.raises(ValueError, match=rf"type must be an integer from 0 to 7, not {wrong}"):
        CoreBeats.of_tensor(np.ones(8, np.float32), wrong)


def test_types_of_beats_are_integers():
    with pytest.raises(TypeError, match="types must be of integers, not float64"):
        MedianTracker(TYPES).observe(np.ones((2, 1), np.float32), [0.0, 1.0])
