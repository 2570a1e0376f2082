"""`golden.memory` against plain loops over beats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.memory import MODES, PARTIAL, SLOTS, WORD_BYTES, CoreBeats, MemoryBeats, MemoryPort
from narrowfloat.golden.rounding import Flag
from narrowfloat.golden.s2fp8 import Parameters, parameters, tensor_parameters
from narrowfloat.golden.s2fp8 import decode as s2_decode
from narrowfloat.golden.s2fp8 import encode as s2_encode
from narrowfloat.golden.statistics import exact_median_bias

AB_E5M2 = CATALOG["ab_e5m2"]
TYPES, LANES = 2, 2


def f32(*values):
    return np.array(values, np.float32)


def port(mode="fp8", **options):
    made = MemoryPort(**{"lanes": LANES, "types": TYPES, "estimators": ("tracker",)} | options)
    made.mode = [mode] * made.types
    return made


def s2_port(mode="s2fp8", **options):
    return port(mode, **{"estimators": ("moments",), "s2fp8": True} | options)


def tensor(count, type_=0, seed=1, scale=1.0, lanes=LANES):
    x = np.random.default_rng(seed).standard_normal(count).astype(np.float32) * np.float32(scale)
    return x, CoreBeats.of_tensor(x, type_, lanes=lanes)


class SlowPort:
    """Write and read beat by beat, with forced biases, loaded parameters and modes that change between beats."""

    def __init__(self, modes, biases, parameters):
        self.modes, self.biases, self.parameters = modes, biases, parameters
        self.tensors, self.pack, self.out = {}, None, []

    def write(self, words, keep, type_, bypass, last, flush=False, own=None):
        encodes, squeezes = False, False
        if bypass:
            own = None
        if own is not None:
            encodes, bias = True, own
        elif not bypass:
            start = self.modes[type_], self.biases[type_], self.parameters[type_]
            mode, bias, found = self.tensors.setdefault(type_, start)
            squeezes = mode.startswith("s2fp8")
            encodes = squeezes or mode in ("fp8", "frozen")
            if last:
                del self.tensors[type_]
        if self.pack and not (encodes and self.pack["type"] == type_ and self.pack["own"] == own):
            self.flush()
        if not encodes:
            self.out.append({"type": type_, "bypass": bypass, "packed": False, "own": None, "read with": (0, False, 0, 0),
                             "last": last, "bytes": [(byte, kept) for byte, kept in zip(words.tobytes(), keep)]})  # fmt: skip
            return
        read_with = (0, True, found.mean, found.inverse) if squeezes else (bias, False, 0, 0)
        begun = {"type": type_, "bypass": False, "packed": True, "own": own, "read with": read_with, "bytes": []}
        self.pack = self.pack or begun
        x = words.view(np.float32)
        codes = s2_encode(x, found.alpha, found.mean) if squeezes else encode(x, AB_E5M2, bias=bias)
        whole = [all(keep[WORD_BYTES * lane : WORD_BYTES * (lane + 1)]) for lane in range(len(words))]
        self.pack["bytes"] += [(int(code), kept) for code, kept in zip(codes, whole)]
        self.pack["last"] = last
        if last or flush or len(self.pack["bytes"]) == SLOTS * len(words):
            self.flush()

    def flush(self):
        if self.pack:
            self.pack["bytes"] += [(0, False)] * (WORD_BYTES * LANES - len(self.pack["bytes"]))
            self.out.append(self.pack)
        self.pack = None


def rows(beats):
    """Memory beats as SlowPort lists them, bytes that are not kept as 0."""
    return [
        {"type": int(beats.type[i]), "bypass": bool(beats.bypass[i]), "packed": bool(beats.packed[i]),
         "own": int(beats.bias[i]) if beats.own_bias[i] else None,
         "read with": (beats.bias[i], beats.squeezed[i], beats.mean[i], beats.inverse[i]), "last": bool(beats.last[i]),
         "bytes": [(int(byte) if kept else 0, bool(kept)) for byte, kept in zip(beats.bytes[i], beats.keep[i])]}
        for i in range(len(beats))
    ]  # fmt: skip


def without_dropped_bytes(beats):
    return [beat | {"bytes": [(byte if kept else 0, bool(kept)) for byte, kept in beat["bytes"]]} for beat in beats]


beats_of_any_kind = st.lists(
    st.tuples(
        st.integers(0, TYPES - 1),
        st.booleans() | st.just(False),
        st.booleans(),
        st.sampled_from([0, 0xF, 0xF0, 0xFF, 0xFF, 0x7F, 0x31]),
        st.sampled_from(MODES),
        st.integers(0, 63),
        st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([None, None, None, 0, 17, 17, 63]),
    ),
    max_size=40,
)


@given(beats_of_any_kind, st.integers(0, 2**32 - 1), st.sets(st.integers(0, 40)))
def test_write_of_any_beats_in_any_parts(plan, seed, cuts):
    rng = np.random.default_rng(seed)
    words = rng.integers(2**32, size=(len(plan) + 2, LANES), dtype=np.uint32)
    # TLAST of both types at the end, so that nothing is held back
    plan = [*plan, *((t, False, True, 0xFF, "fp8", 3, (0, 0), False, None) for t in range(TYPES))]
    # passes that end with an epoch end never
    fast, slow = s2_port("fp8"), SlowPort(["fp8"] * TYPES, [15] * TYPES, [Parameters.of_bias(15)] * TYPES)
    fast.force, fast.end_on_epoch = [15] * TYPES, [True] * TYPES
    got, waiting = [], []
    for i, (type_, bypass, last, kept, mode, bias, moments, flush, own) in enumerate(plan):
        if i in cuts:  # modes and biases of the model change between calls
            got += rows(fast.write(CoreBeats.join(waiting))) if waiting else []
            waiting = []
            fast.mode[type_] = slow.modes[type_] = mode
            fast.force[type_] = slow.biases[type_] = bias
            fast.load(type_, *moments)
            slow.parameters[type_] = parameters(*moments)
        keep = np.array([kept >> bit & 1 for bit in range(WORD_BYTES * LANES)], bool)
        slow.write(words[i], keep, type_, bypass, last, flush, own)
        arrays = {"type": np.array([type_], np.uint8), "bypass": np.array([bypass]), "last": np.array([last])}
        arrays |= {"flush": np.array([flush]), "own_bias": np.array([own is not None]), "bias": np.array([own or 0], np.uint8)}
        waiting.append(CoreBeats(words[i : i + 1], keep[None], **arrays))
    got += rows(fast.write(CoreBeats.join(waiting)))
    assert got == without_dropped_bytes(slow.out)


@given(st.integers(1, 60), st.sampled_from([1, 2, 3, 4, 16]), st.sampled_from(["fp8", "frozen"]), st.integers(0, 63))
def test_what_comes_back_is_decoded_from_its_code(count, lanes, mode, bias):
    x, beats = tensor(count, lanes=lanes)
    memory = port(mode, lanes=lanes)
    memory.force = [bias] * TYPES
    packs = memory.write(beats)
    assert len(packs) == -(-len(beats) // SLOTS) and packs.last.tolist() == [False] * (len(packs) - 1) + [True]
    back = memory.read(packs)
    assert len(back) == len(beats) and np.array_equal(back.last, beats.last) and np.array_equal(back.keep, beats.keep)
    want = decode(encode(x, AB_E5M2, bias=bias), AB_E5M2, bias=bias)
    assert np.array_equal(back.kept_words(), want.view(np.uint32))


@given(st.integers(1, 60), st.sampled_from(["s2fp8", "s2fp8_frozen"]), st.integers(0, 65535), st.integers(0, 65535))
def test_what_comes_back_is_decoded_with_the_parameters_it_was_encoded_with(count, mode, mean, largest):
    x, beats = tensor(count)
    memory = s2_port(mode)
    memory.load(0, mean, largest)
    found = parameters(mean, largest)
    assert memory.parameters == [found, Parameters.of_bias(15)]
    packs = memory.write(beats)
    memory.load(0, 0, 0)
    want = s2_decode(s2_encode(x, found.alpha, found.mean), found.inverse, found.mean)
    assert np.array_equal(memory.read(packs).kept_words(), want.view(np.uint32))


@pytest.mark.parametrize("bias", range(64))
def test_alpha_1_and_whole_beta_is_the_mode_with_a_bias(bias):
    x, _ = tensor(200, scale=2.0 ** (15 - bias))
    x[:8] = 0, -0.0, np.inf, -np.inf, np.nan, 1e-42, 3e38, 2.0 ** (8 - bias)
    beats = CoreBeats.of_tensor(x, 0, lanes=LANES)
    memory = s2_port("frozen", fmt=CATALOG["float8_e5m2"])
    memory.force[0] = bias
    memory.load(0, 142 - bias << 8, 142 - bias + 15 << 8)
    plain = memory.write(beats)
    memory.mode[0] = "s2fp8_frozen"
    squeezed = memory.write(beats)
    assert squeezed.squeezed.all() and not plain.squeezed.any()
    assert np.array_equal(plain.bytes, squeezed.bytes)
    assert np.array_equal(memory.read(plain).words, memory.read(squeezed).words)


@pytest.mark.parametrize("mode", ["fp32", "calibrate"])
def test_words_pass_where_a_mode_does_not_encode(mode):
    _, beats = tensor(11)
    memory = port(mode)
    packs = memory.write(beats)
    assert not packs.packed.any() and not packs.bias.any()
    back = memory.read(packs)
    assert all(
        np.array_equal(getattr(back, name), getattr(beats, name)) for name in ("words", "keep", "type", "last", "bypass")
    )


def test_bypass_passes_and_counts_for_nothing():
    _, beats = tensor(12)
    beats.bypass[:] = True
    memory = port(estimators=("median", "tracker"))
    before = memory.estimators["tracker"].raw(0)
    packs = memory.write(beats)
    assert not packs.packed.any() and packs.bypass.all() and not memory.flags.any()
    assert memory.estimators["tracker"].raw(0) == before and memory.estimators["median"].raw(0)["total"] == 0
    assert np.array_equal(memory.read(packs).words, beats.words)


@pytest.mark.parametrize(
    ("mode", "observed"),
    [("fp32", False), ("calibrate", True), ("fp8", True), ("frozen", False), ("s2fp8", True), ("s2fp8_frozen", False)],
)
def test_modes_that_observe(mode, observed):
    memory = s2_port(mode, estimators=("histogram", "moments"))
    memory.end_on_epoch = [True] * TYPES
    memory.write(tensor(10)[1])
    assert memory.estimators["histogram"].raw(0)["total"] == 10 * observed
    memory.epoch([0, 1])
    assert memory.estimators["histogram"].settled.tolist() == [observed, False]


def test_pass_ends_with_each_tensor_unless_on_epoch():
    memory = port(estimators=("histogram",))
    memory.end_on_epoch = [False, True]
    for type_ in range(TYPES):
        memory.write(tensor(10, type_)[1])
    memory.epoch([0])
    assert memory.estimators["histogram"].settled.tolist() == [True, False]


def test_open_tensor_keeps_mode_and_bias():
    x, beats = tensor(24)
    memory = port()
    memory.force = [20, 20]
    first = memory.write(beats[:6])
    memory.force, memory.mode = [30, 30], ["fp32"] * TYPES
    assert memory.bias == [20, 30]
    packs = MemoryBeats.join([first, memory.write(beats[6:])])
    assert packs.packed.all() and set(packs.bias.tolist()) == {20}
    assert memory.bias == [30, 30]
    assert np.array_equal(
        memory.read(packs).kept_words().view(np.float32), decode(encode(x, AB_E5M2, bias=20), AB_E5M2, bias=20)
    )
    assert not memory.write(tensor(3)[1]).packed.any()


def test_parameters_follow_the_data():
    memory = s2_port()
    x, beats = tensor(4000, scale=1e-4)
    first = memory.write(beats)
    assert (first.mean == 127 << 8).all() and (first.inverse == 1 << 17).all()
    found = tensor_parameters(x)
    second = memory.write(beats)
    assert (second.mean == found.mean).all() and (second.inverse == found.inverse).all() and not second.bias.any()
    loss = np.abs(memory.read(second).kept_words().view(np.float32) - x)
    assert loss.max() < 0.1 * np.abs(x).max() and memory.parameters == [found, Parameters.of_bias(15)]


@pytest.mark.parametrize(
    "x", [np.zeros(9), np.full(9, -3e-5), np.r_[0, 0, 7.5], np.full(9, np.nan), np.full(9, 1e-42)], ids=str
)
def test_degenerate_tensors_have_parameters(x):
    x = x.astype(np.float32)
    memory = s2_port()
    for _ in range(2):
        packs = memory.write(CoreBeats.of_tensor(x, 0, lanes=LANES))
    assert memory.parameters[0] == tensor_parameters(x)
    got = memory.read(packs).kept_words().view(np.float32)
    # alpha is 120: neighbouring codes are 2**-9 apart, less than the numbers of short precision
    assert np.allclose(got, np.where(np.abs(x) < 2.0**-126, 0, x), rtol=2**-8, atol=0, equal_nan=True)


def test_open_tensor_keeps_its_parameters():
    _, beats = tensor(24)
    memory = s2_port("s2fp8_frozen")
    memory.load(0, 126 << 8, 130 << 8)
    first = memory.write(beats[:6])
    memory.load(0, 100 << 8, 110 << 8)
    assert memory.parameters[0] == parameters(126 << 8, 130 << 8)
    packs = MemoryBeats.join([first, memory.write(beats[6:])])
    assert (packs.mean == 126 << 8).all() and memory.parameters[0] == parameters(100 << 8, 110 << 8)


def test_flags_of_s2fp8():
    memory = s2_port("s2fp8_frozen")
    for value, flag in (
        (1e30, Flag.OVERFLOW),
        (np.inf, Flag.INVALID),
        (1e-30, Flag.UNDERFLOW),
        (np.nan, 0),
        (1, 0),
    ):
        memory.clear_flags(1)
        memory.write(CoreBeats.of_tensor(f32(value), 1, lanes=LANES))
        assert memory.flags.tolist() == [0, flag]


@pytest.mark.parametrize("mode", ["frozen", "s2fp8_frozen"])
@pytest.mark.parametrize(
    ("fmt", "infinity"), [("float8_e5m2", np.inf), ("float8_e5m2fnuz", np.nan), ("ab_e5m2_gradual", 2.0**17 - 2**14)]
)
def test_a_scaled_loss_sees_its_infinity(fmt, infinity, mode):
    """With overflow "format" what is too large comes back as what the format has for it, which in S2FP8 is infinity."""
    memory = MemoryPort(lanes=LANES, types=1, fmt=fmt, estimators=("moments",), overflow="format", s2fp8=True)
    memory.mode = [mode]
    x = f32(1, np.inf, 1e30, np.nan)
    back = memory.read(memory.write(CoreBeats.of_tensor(x, 0, lanes=LANES))).kept_words().view(np.float32)
    if mode == "s2fp8_frozen":
        infinity = np.inf
    nan = infinity if fmt == "ab_e5m2_gradual" and mode == "frozen" else np.nan
    assert np.array_equal(back, f32(1, infinity, infinity, nan), equal_nan=True)


@pytest.mark.parametrize("name", ["median", "histogram", "tracker", "moments"])
def test_bias_follows_the_data(name):
    memory = port("calibrate", estimators=(name,))
    x, beats = tensor(4000, scale=1e-4)
    assert memory.bias == [AB_E5M2.bias] * TYPES
    for _ in range(4):
        memory.write(beats)
    assert abs(memory.bias[0] - exact_median_bias(x)) <= 1 and memory.bias[1] == AB_E5M2.bias
    memory.force[0] = 3
    assert memory.bias[0] == 3


def test_estimator_that_is_not_there_is_refused():
    memory = port()
    memory.estimator[0] = "moments"
    with pytest.raises(ValueError, match="estimator must be one of .*, not 'moments'"):
        _ = memory.bias


def test_flags_are_sticky_and_of_kept_words_only():
    memory = port("frozen")
    beats = CoreBeats.of_tensor(f32(1e30, 1, np.nan), 1, lanes=LANES)
    memory.write(beats)
    assert memory.flags.tolist() == [0, Flag.OVERFLOW | Flag.INEXACT | Flag.INVALID]
    memory.clear_flags(1, Flag.OVERFLOW)
    assert memory.flags.tolist() == [0, Flag.INEXACT | Flag.INVALID]
    memory.clear_flags(1)
    beats.keep[0, 3] = beats.keep[1, 0] = False
    memory.write(beats)
    assert memory.flags.tolist() == [0, PARTIAL]
    memory.clear_flags(1, PARTIAL)
    assert not memory.flags.any()
    memory.write(CoreBeats.of_tensor(f32(1e-30), 0, lanes=LANES))
    assert memory.flags.tolist() == [Flag.UNDERFLOW | Flag.INEXACT, 0]


def test_pack_that_is_not_full_waits_for_the_next_beat():
    _, beats = tensor(24)
    memory = port()
    assert len(memory.write(beats[:3])) == 0
    assert len(memory.write(beats[3:4])) == 1
    assert len(memory.write(beats[4:6])) == 0
    packs = memory.write(tensor(1, 1)[1])
    assert packs.type.tolist() == [0, 1] and packs.keep.sum(axis=1).tolist() == [4, 1]
    nothing = memory.write(beats[:0])
    assert len(nothing) == len(memory.read(nothing)) == 0


def test_read_skips_slots_without_kept_codes():
    size = WORD_BYTES * LANES
    keep = np.zeros((4, size), bool)
    keep[0, [2, 7]] = keep[1, 0] = keep[3, 1:3] = True
    count = np.zeros(4)
    beats = MemoryBeats(
        np.full((4, size), 0x3C, np.uint8), keep, count.astype(np.uint8), np.array([False, False, False, True]),
        np.ones(4, bool), np.full(4, 15, np.uint8), np.array([True, False, True, False]),
    )  # fmt: skip
    back = port().read(beats)
    assert back.last.tolist() == [False, True, False, True, False]
    kept = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3], [], [1, 2]]
    assert [np.flatnonzero(row).tolist() for row in back.keep] == kept
    assert back.kept_words().view(np.float32).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lanes": 17}, "lanes must be an integer from 1 to 16, not 17"),
        ({"types": 3}, "types must be one of 1, 2, 4, 8, not 3"),
        ({"fmt": CATALOG["float8_e4m3fn"]}, "fmt must have 8 bits, 5 of them exponent, unlike float8_e4m3fn"),
        ({"fmt": "e4m3"}, "fmt must have 8 bits, 5 of them exponent, unlike e4m3"),
        ({"estimators": ()}, r"estimators must be one or more different ones of median, histogram, tracker, moments, not \(\)"),
        ({"estimators": ("mode",)}, "estimator must be one of median, histogram, tracker, moments, not 'mode'"),
        ({"estimators": "median"}, "estimators must be one or more different ones of .*, not 'median'"),
        ({"estimators": ["median"] * 2}, r"estimators must be one or more different .*, not \['median', 'median'\]"),
        ({"s2fp8": True}, "s2fp8 needs moments among the estimators, which are tracker"),
        ({"initial_bias": 9}, "initial_bias must be an integer from 10 to 40, not 9"),
        ({"bias_min": 41}, "bias_min must be an integer from 0 to 40, not 41"),
        ({"bias_max": 64}, "bias_max must be an integer from 0 to 63, not 64"),
    ],
)
def test_wrong_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        port(**options)


def test_wrong_settings():
    memory = port("fp16")
    with pytest.raises(ValueError, match="mode must be one of fp32, calibrate, fp8, frozen, not 'fp16'"):
        memory.write(tensor(3)[1])
    with pytest.raises(ValueError, match="mode must be one of fp32, calibrate, fp8, frozen, not 's2fp8'"):
        port("s2fp8").write(tensor(3)[1])
    memory = port()
    memory.force[0] = 64
    with pytest.raises(ValueError, match="force must be an integer from 0 to 63, not 64"):
        memory.write(tensor(3)[1])


def test_wrong_tensors():
    with pytest.raises(TypeError, match="x must be float32 or uint32, not float64"):
        CoreBeats.of_tensor(np.ones(3), 0)
    with pytest.raises(ValueError, match="x must not be empty"):
        CoreBeats.of_tensor(f32(), 0)
