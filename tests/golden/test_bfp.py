"""`golden.bfp`: conversion, chunks, dot products, accumulators and the precision policy, against exact rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrowfloat.golden.bfp import (
    accumulate_fixed,
    accumulate_fp32,
    chunks,
    convert,
    decode,
    dot,
    from_mxint8,
    precision,
    relative_improvement,
)
from narrowfloat.golden.formats import BLOCKS, CATALOG, BlockFormat
from narrowfloat.golden.lfsr import lane_bits

BFP2, BFP4 = BLOCKS["bfp2"], BLOCKS["bfp4"]
FORMATS = [
    BlockFormat.parse(f"m{m}e{e}g{g}") for m, e, g in ((2, 8, 4), (4, 8, 16), (6, 4, 8), (8, 3, 5), (8, 8, 64), (2, 4, 16))
]
BY_NAME = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)

# Words whose alignment or rounding is delicate, exponents close together so that groups mix them, and anything at all.
near = st.builds(
    lambda sign, exponent, fraction: sign << 31 | exponent << 23 | fraction,
    st.integers(0, 1),
    st.integers(118, 130),
    st.sampled_from([0, 1, 2**22, 2**22 + 1, 2**23 - 1, 2**20, 3 << 21, 5 << 18, 2**11 - 1]) | st.integers(0, 2**23 - 1),
)
special = st.sampled_from([0, 1 << 31, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001])
words = st.lists(near | near | near | special | st.integers(0, 2**32 - 1), min_size=1, max_size=70)


def array(values):
    return np.array(values, np.uint32).view(np.float32)


def power(exponent):
    return Fraction(2) ** exponent


def rational(word):
    """The value of an FP32 word as conversion reads it, 255 like any exponent, and its exponent; None for zero."""
    exponent, fraction = word >> 23 & 255, word & 0x7FFFFF
    if exponent == 0:
        return Fraction(0), None
    value = (1 + Fraction(fraction, 2**23)) * power(exponent - 127)
    return (-value if word >> 31 else value), exponent


def counted(word, fmt, overflow):
    """Whether a word's exponent counts for that of its group."""
    is_special, is_nan = word >> 23 & 255 == 255, word & 0x7FFFFF != 0
    return not is_special or fmt.exp_bits == 8 and (is_nan or overflow == "format")


def expected_group(group, fmt, rounding, random, offset, overflow):
    """Code, signs, magnitudes and saturation of a group of words, in rational arithmetic."""
    values, exponents = zip(*map(rational, group))
    known = [exponent for word, exponent in zip(group, exponents) if exponent is not None and counted(word, fmt, overflow)]
    top = max(known, default=254 if any(word >> 23 & 255 == 255 for word in group) else 0)
    code = min(max(top - offset, 0), 2**fmt.exp_bits - 1)
    unit = power(code + offset - 127 - (fmt.man_bits - 1))
    magnitudes, signs, saturated = [], [], []
    for value, exponent, r in zip(values, exponents, random):
        exact = abs(value) / unit
        k = {
            "rtz": lambda exact=exact: math.floor(exact),
            "rne": lambda exact=exact: round(exact),  # a Fraction's ties go to even
            "sr": lambda exact=exact, r=r: (round(exact * 256) + r) // 256,
        }[rounding]()
        saturated.append(exponent is not None and exponent > code + offset)
        magnitudes.append(2**fmt.man_bits - 1 if saturated[-1] else min(k, 2**fmt.man_bits - 1))
        signs.append(value < 0 and magnitudes[-1] > 0)
    return code, signs, magnitudes, saturated


# Conversion


@BY_NAME
@pytest.mark.parametrize("rounding", ["rtz", "rne", "sr"])
@given(values=words, overflow=st.sampled_from(["saturate", "format"]), data=st.data())
def test_convert_equals_rational_arithmetic(fmt, rounding, values, overflow, data):
    offset = data.draw(st.integers(112, 130) | st.integers(0, 255)) if fmt.exp_bits < 8 else 0
    padded = values + [0] * (-len(values) % fmt.group)
    random = np.array(data.draw(st.lists(st.integers(0, 255), min_size=len(padded), max_size=len(padded))))
    random = random.reshape(-1, fmt.group)
    given_random = {"random_bits": random} if rounding == "sr" else {}
    blocks, saturated, invalid = convert(
        array(values), fmt, rounding=rounding, overflow=overflow, offset=offset, flags=True, **given_random
    )
    for index, group in enumerate(np.reshape(padded, (-1, fmt.group)).tolist()):
        got = (
            blocks.codes[index],
            blocks.signs[index].tolist(),
            blocks.magnitudes[index].tolist(),
            saturated[index].tolist(),
        )
        assert got == expected_group(group, fmt, rounding, random[index].tolist(), offset, overflow)
        assert invalid[index].tolist() == [word >> 23 & 255 == 255 for word in group]
    weights = [power(int(weight)) for weight in blocks.weights]
    exact = [None if nan else int(n) * weight for row, weight, nan in zip(blocks.integers, weights, blocks.is_nan) for n in row]
    for value, want in zip(decode(blocks).tolist(), exact[: len(values)], strict=True):
        assert math.isnan(value) if want is None else value == want


@pytest.mark.parametrize("rounding", ["rtz", "rne", "sr"])
def test_fewer_bits_than_there_is_room_for(rounding):
    """They are what a format of fewer bits has."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal(4096, np.float32)
    random = rng.integers(0, 256, (256, 16))
    wide = convert(x, BlockFormat.parse("m8"), rounding=rounding, bits=4, random_bits=random)
    narrow = convert(x, BFP4, rounding=rounding, random_bits=random)
    assert np.array_equal(decode(wide), decode(narrow))


def test_example_of_four_numbers():
    x = np.array([0.9, -0.34, 0.11, 0.02], np.float32)
    for man_bits, magnitudes in ((2, [3, 1, 0, 0]), (4, [14, 5, 1, 0])):
        blocks = convert(x, BlockFormat(name="made", man_bits=man_bits, group=4))
        assert blocks.exponents.tolist() == [127 - 1]
        assert blocks.magnitudes.tolist() == [magnitudes]
        assert blocks.signs.tolist() == [[False, magnitudes[1] > 0, False, False]]


def test_groups_lie_along_the_last_axis_of_any_shape():
    x = np.random.default_rng(1).standard_normal((3, 2, 37), np.float32)
    blocks = convert(x, BFP4)
    assert blocks.codes.shape == (3, 2, 3) and blocks.magnitudes.shape == (3, 2, 3, 16) and decode(blocks).shape == x.shape
    assert (blocks.magnitudes[..., 2, 5:] == 0).all()
    for row in np.ndindex(3, 2):
        alone = convert(x[row], BFP4)
        assert np.array_equal(alone.integers, blocks.integers[row]) and np.array_equal(alone.codes, blocks.codes[row])


@pytest.mark.parametrize("shape", [(0, 4), (0, 16), (2, 0, 37)])
def test_no_rows_have_no_values(shape):
    assert decode(convert(np.zeros(shape, np.float32), BFP4)).shape == shape


@BY_NAME
def test_conversion_of_decoded_groups_changes_nothing(fmt):
    x = np.random.default_rng(2).standard_normal((50, 64), np.float32)
    offset = 120 if fmt.exp_bits < 8 else 0
    once = convert(x, fmt, offset=offset)
    twice = convert(decode(once), fmt, offset=offset)
    assert np.array_equal(decode(once), decode(twice))


def test_without_anything_but_zeros_and_subnormals_the_exponent_is_zero():
    blocks = convert(array([0, 1 << 31, 1, 0x807FFFFF]), BlockFormat.parse("m2g4"))
    assert (blocks.codes.tolist(), blocks.integers.tolist(), blocks.signs.any()) == ([0], [[0] * 4], False)


# Chunks


@given(values=words, man_bits=st.sampled_from([4, 6, 8]), data=st.data())
def test_chunks_are_groups_of_two_bits(values, man_bits, data):
    fmt = BlockFormat(name="made", man_bits=man_bits, group=8)
    rounding = data.draw(st.sampled_from(["rtz", "rne"]))
    blocks = convert(array(values), fmt, rounding=rounding)
    parts = chunks(blocks)
    assert parts.shape == (man_bits // 2, *blocks.magnitudes.shape)
    total = [[Fraction(0)] * 8 for _ in blocks.codes]
    for j, part in enumerate(parts):
        for group, exponent in enumerate(blocks.exponents.tolist()):
            weight = power(exponent - 2 * j - 127 - 1)
            total[group] = [sum_ + int(h) * weight for sum_, h in zip(total[group], part[group])]
    exact = [[int(k) * power(int(w)) for k in row] for row, w in zip(blocks.magnitudes, blocks.weights)]
    assert total == exact


@pytest.mark.parametrize("man_bits", [4, 6, 8])
def test_truncation_to_fewer_bits_is_the_high_chunks(man_bits):
    x = np.random.default_rng(3).standard_normal(16 * 4000, np.float32) * np.exp2(np.arange(64000) % 13).astype(np.float32)
    parts = chunks(convert(x, BlockFormat(name="made", man_bits=man_bits)))
    for fewer in range(1, man_bits // 2):
        high = sum(part.astype(int) << 2 * (fewer - 1 - j) for j, part in enumerate(parts[:fewer]))
        assert np.array_equal(high, convert(x, BlockFormat(name="made", man_bits=2 * fewer)).magnitudes)


# Dot products and accumulators


@given(values=words, others=words, man_bits=st.tuples(*[st.sampled_from([2, 4, 6, 8])] * 2))
def test_dot_product_is_that_of_the_values(values, others, man_bits):
    count = min(len(values), len(others))
    a, b = (
        convert(array(words[:count]), BlockFormat(name="made", man_bits=m, group=8))
        for words, m in zip((values, others), man_bits)
    )
    sums, weights = dot(a, b)
    assert sums.dtype == np.int64
    values = zip(decode(a).tolist(), decode(b).tolist())
    exact = [0 if math.isnan(x + y) else Fraction(x) * Fraction(y) for x, y in values]
    for group in np.flatnonzero(~(a.is_nan | b.is_nan)).tolist():
        total, weight = int(sums[group]), int(weights[group])
        assert total * power(weight) == sum(exact[8 * group : 8 * group + 8])


def test_dot_products_broadcast():
    rng = np.random.default_rng(4)
    a, b = convert(rng.standard_normal((5, 1, 32), np.float32), BFP4), convert(rng.standard_normal((3, 32), np.float32), BFP2)
    sums, weights = dot(a, b)
    assert sums.shape == weights.shape == (5, 3, 2)
    assert sums[4, 1, 1] == int(a.integers[4, 0, 1].astype(int) @ b.integers[1, 1])


def round_to_fp32(value):
    """The nearest FP32 number to a rational, ties to even, as a word; +0 for 0."""
    if value == 0:
        return 0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < power(exponent)
    ulp = power(max(exponent, -126) - 23)
    whole = round(size / ulp)
    magnitude = whole if exponent < -126 else whole + (exponent + 126 << 23)
    return (value < 0) << 31 | min(magnitude, 0x7F800000)


finite = st.integers(0, 2**32 - 1).filter(lambda word: word >> 23 & 255 != 255)


@given(acc=near | finite, total=st.integers(-(2**23), 2**23), weight=st.integers(-280, 260), nearby=st.booleans())
def test_fp32_accumulator_rounds_once(acc, total, weight, nearby):
    if nearby:  # so that both overlap, cancel and tie
        weight = (acc >> 23 & 255) - 127 - 47 + weight % 70
    x = array([acc])[0]
    got = int(accumulate_fp32(x, np.int64(total), weight).view(np.uint32))
    if total == 0:
        assert got == acc
    else:
        assert got == round_to_fp32(Fraction(float(x)) + total * power(weight))


def test_fp32_accumulator_at_ties_overflow_and_special_values():
    one = np.float32(1)
    cases = [
        (one, 1, -24, one),  # a tie, to even
        (np.nextafter(one, np.float32(2)), 1, -24, np.float32(1 + 2**-22)),
        (np.float32(3.4028235e38), 1, 102, np.float32(3.4028235e38)),
        (np.float32(3.4028235e38), 1, 103, np.inf),
        (np.float32(1), -1, 0, np.float32(0)),
        (np.float32(-0.0), 0, 5, np.float32(-0.0)),
        (np.float32(-0.0), 1, -149, np.float32(2**-149)),
        (np.float32(0), 3, -151, np.float32(2**-149)),
        (np.float32(np.inf), -5, 250, np.inf),
        (np.float32(0), -5, 250, -np.inf),
    ]
    for acc, total, weight, want in cases:
        got = accumulate_fp32(acc, total, weight)
        assert got.view(np.uint32) == np.float32(want).view(np.uint32), (acc, total, weight)
    for total, word in ((1, 0x7FC00000), (0, 0xFF800001), (-3, 0x7FFFFFFF)):
        assert accumulate_fp32(np.uint32(word).view(np.float32), total, 0).view(np.uint32) == 0x7FC00000


@given(
    total=st.integers(-(2**31), 2**31),
    weight=st.integers(-280, 260),
    width=st.integers(8, 62),
    base=st.integers(-280, 260),
    data=st.data(),
)
def test_fixed_accumulator_equals_rational_arithmetic(total, weight, width, base, data):
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    acc = data.draw(st.integers(low, high) | st.sampled_from([low, high]))
    if data.draw(st.booleans()):
        base = weight + base % 100 - 66
    addend = math.floor(total * power(weight - base))
    exact = acc + addend if low <= addend <= high else addend
    got, saturated = accumulate_fixed(np.int64(acc), np.int64(total), weight, width=width, base=base)
    assert (int(got), bool(saturated)) == (min(max(exact, low), high), not low <= exact <= high)


# Precision


@given(values=words, reference=st.integers(100, 135) | st.integers(0, 255), width=st.sampled_from([16, 40, 64]), data=st.data())
def test_sums_of_relative_improvement(values, reference, width, data):
    exp_bits = data.draw(st.sampled_from([3, 8]))
    offset = data.draw(st.integers(110, 130)) if exp_bits == 3 else 0
    fmt = BlockFormat(name="made", man_bits=2, exp_bits=exp_bits, group=8)
    wide, narrow = (
        convert(array(values), BlockFormat(name="made", man_bits=m, exp_bits=exp_bits, group=8), offset=offset) for m in (4, 2)
    )
    totals = [0, 0]
    for group in np.flatnonzero(~wide.is_nan).tolist():
        is_number = [word >> 23 & 255 != 255 for word in values[8 * group : 8 * group + 8]]  # zeros that fill it add nothing
        sizes = [
            [int(k) * power(int(b.weights[group])) for k, number in zip(b.magnitudes[group], is_number) if number]
            for b in (wide, narrow)
        ]
        unit = power(reference - 127 - 3)
        totals[0] += math.floor(sum(abs(a - b) for a, b in zip(*sizes)) / unit)
        totals[1] += math.floor(sum(sizes[1]) / unit)
    largest = 2**width - 1
    want = (*(min(total, largest) for total in totals), max(totals) > largest)
    assert relative_improvement(array(values), fmt, reference, offset=offset, width=width) == want


@given(
    sums=st.tuples(*[st.integers(0, 2**40 - 1) | st.integers(0, 5)] * 2),
    alpha=st.integers(0, 65535),
    beta=st.integers(0, 65535),
    steps=st.tuples(st.integers(1, 65535), st.integers(1, 255)),
    done=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_precision_equals_rational_arithmetic(sums, alpha, beta, steps, done):
    iteration, layer = (int(share * total) for share, total in zip(done, steps))
    a, b = Fraction(alpha, 2**16), Fraction(beta, 2**16)
    epsilon = max(0, a - b * Fraction(iteration, steps[0]) - b * Fraction(layer, steps[1]))
    want = 4 if sums[0] >= epsilon * sums[1] else 2
    settings = {"iteration": iteration, "iterations": steps[0], "layer": layer, "layers": steps[1]}
    assert precision(*sums, alpha=alpha, beta=beta, **settings) == want


def test_precision_rises_over_training_and_depth():
    x = np.random.default_rng(5).standard_normal(2**16, np.float32)
    sums = relative_improvement(x, BFP4, 115)[:2]
    assert 0.22 < sums[0] / sums[1] < 0.62
    chosen = [
        [
            precision(*sums, alpha=39322, beta=19661, iteration=iteration, iterations=100, layer=layer, layers=20)
            for layer in range(0, 21, 5)
        ]
        for iteration in range(0, 101, 10)
    ]
    assert chosen[0][0] == 2 and chosen[-1][-1] == 4
    assert all(row == sorted(row) for row in chosen) and all(list(column) == sorted(column) for column in zip(*chosen))


# Stochastic rounding


def noise(draws):
    """Random bits as 16 lanes of hardware get them, [draws / 16, 16]."""
    return lane_bits(1, draws // 16, 16)


FRACTION = 0.3


def rounded_up(random):
    """Whether 8.3 units in the last place became 9, for each random number."""
    x = np.full(random.shape, 1 + FRACTION / 8, np.float32)
    return convert(x, BFP4, rounding="sr", random_bits=random[:, None, :]).magnitudes[:, 0, :] == 9


def check_statistics(draws):
    ups = np.concatenate([rounded_up(part) for part in np.array_split(noise(draws), -(-draws // 2**20))])
    kept = round(FRACTION * 256) / 256
    deviation = math.sqrt(kept * (1 - kept) / draws)
    assert abs(ups.mean() - FRACTION) < 2**-9 + 4 * deviation
    assert abs(ups.mean() - kept) < 4 * deviation
    assert abs(ups.var() - kept * (1 - kept)) < 4 * deviation
    # Between lanes, at the same beat and one and two beats later; 4.5 standard deviations, as there are 752 pairs.
    centred = (ups - ups.mean(axis=0)) / ups.std(axis=0)
    for later in range(3):
        count = len(centred) - later
        correlation = centred[:count].T @ centred[later:] / count
        if later == 0:
            np.fill_diagonal(correlation, 0)
        assert np.abs(correlation).max() < 4.5 / math.sqrt(count)


def test_statistics_of_stochastic_rounding():
    check_statistics(2**19)


@pytest.mark.long
def test_statistics_of_stochastic_rounding_at_ten_million_draws():
    check_statistics(10_000_000)


def test_every_fraction_is_rounded_up_as_often_as_it_should():
    """Over all random numbers the mean is the number itself, rounded to 8 fraction bits: over all numbers it is exact."""
    units = np.arange(8 * 64, 16 * 64, 3) / 64 + 2**-10
    x = np.ascontiguousarray(np.broadcast_to((units / 8).astype(np.float32)[:, None, None], (len(units), 256, 4)))
    random = np.broadcast_to(np.arange(256)[:, None, None], (len(units), 256, 1, 4))
    blocks = convert(x, BlockFormat.parse("m4g4"), rounding="sr", random_bits=random)
    mean = blocks.magnitudes.mean(axis=(1, 2, 3))
    inside = units < 15
    assert np.array_equal(mean[inside], np.round(units[inside] * 256) / 256)
    assert (mean[~inside] == 15).all()


# Arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: convert(x.astype(float), BFP4), TypeError, r"x must be float32, .*, not float64, .*: convert with"),
        (
            lambda x: convert(x, CATALOG["lbfp8"]),
            TypeError,
            r"fmt must be a BlockFormat or the name of one, not LogBlockFormat\(",
        ),
        (lambda x: convert(x[0], BFP4), ValueError, r"x must have numbers along its last axis to group, not the shape \(\)"),
        (lambda x: convert(x[:0], BFP4), ValueError, r"x must have numbers along its last axis to group, not the shape \(0,\)"),
        (lambda x: convert(x, BFP4, overflow="wrap"), ValueError, r"overflow must be one of saturate, format, not 'wrap'"),
        (lambda x: convert(x, BFP4, rounding="rna"), ValueError, r"rounding must be one of rtz, rne, sr, not 'rna'"),
        (lambda x: convert(x, BFP4, bits=5), ValueError, r"bits of bfp4 must be an integer from 1 to 4, not 5"),
        (lambda x: convert(x, BFP4, offset=1), ValueError, r"offset of bfp4 must be 0, not 1"),
        (
            lambda x: convert(x, BlockFormat.parse("m4e4"), offset=256),
            ValueError,
            r"offset of m4e4 must be an integer from 0 to 255, not 256",
        ),
        (lambda x: convert(x, BFP4, rounding="sr"), ValueError, r"rounding 'sr' needs random_bits: for each number an integer"),
        (
            lambda x: convert(x, BFP4, rounding="sr", random_bits=np.zeros(16)),
            TypeError,
            r"random_bits must be of integers, not float64",
        ),
        (
            lambda x: convert(x, BFP4, rounding="sr", random_bits=np.zeros(16, int)),
            ValueError,
            r"random_bits must have the shape of the groups, \(1, 16\), not \(16,\)",
        ),
        (
            lambda x: convert(x, BFP4, rounding="sr", random_bits=np.full((1, 16), 256)),
            ValueError,
            r"random_bits must be an integer from 0 to 255, not 256",
        ),
        (
            lambda x: dot(convert(x, BFP4), convert(x, BlockFormat.parse("m4g8"))),
            ValueError,
            r"groups must be of the same size, not 16 and 8",
        ),
        (lambda x: accumulate_fp32(0.0, 1, 1), TypeError, r"acc must be float32, not float64"),
        (
            lambda x: accumulate_fp32(x, 2**53 + 1, 1),
            ValueError,
            r"sums must be an integer from -2147483648 to 2147483647, not 9",
        ),
        (lambda x: accumulate_fp32(x, 1, 10**400), TypeError, r"weights must be of integers, not object"),
        (
            lambda x: accumulate_fixed(128, 1, 1, width=8, base=0),
            ValueError,
            r"acc must be an integer from -128 to 127, not 128",
        ),
        (lambda x: accumulate_fixed(0, 2**63, 1, width=8, base=0), ValueError, r"sums must be an integer from .*, not 9223372"),
        (lambda x: accumulate_fixed(0, 0.5, 1, width=8, base=0), TypeError, r"sums must be of integers, not float64"),
        (lambda x: accumulate_fixed(0, 1, 10**400, width=8, base=0), TypeError, r"weights must be of integers, not object"),
        (lambda x: accumulate_fixed(0, 1, 1, width=63, base=0), ValueError, r"width must be an integer from 8 to 62, not 63"),
        (lambda x: relative_improvement(x, BFP4, 256), ValueError, r"reference must be an integer from 0 to 255, not 256"),
        (lambda x: relative_improvement(x, BFP4, 0, width=8), ValueError, r"width must be an integer from 16 to 64, not 8"),
        (
            lambda x: precision(1, 1, alpha=65536, beta=0, iteration=0, iterations=1, layer=0, layers=1),
            ValueError,
            r"alpha must be an integer from 0 to 65535, not 65536",
        ),
        (
            lambda x: precision(1, 1, alpha=1, beta=0, iteration=0, iterations=0, layer=0, layers=1),
            ValueError,
            r"iterations must be an integer of at least 1, not 0",
        ),
        (
            lambda x: precision(-1, 1, alpha=1, beta=0, iteration=0, iterations=1, layer=0, layers=1),
            ValueError,
            r"numerator must be an integer of at least 0, not -1",
        ),
        (lambda x: from_mxint8(np.uint8([1]), np.zeros(32, np.int8)), ValueError, r"elements must be of the shape"),
        (lambda x: from_mxint8(np.uint8([1]), np.zeros((1, 32))), TypeError, r"elements must be int8, not float64"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(np.ones(3, np.float32))
    assert "\n" not in str(caught.value)
