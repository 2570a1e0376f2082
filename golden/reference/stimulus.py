"""What goes into the blocks: real tensors, corner cases by construction, random words. What must come out, the model says.

Mapped netlists are simulated with real tensors in the order in which they lie in memory. Neighbours in memory are neighbours in
time, as in use: what toggles, and so the energy, depends on it.
"""

import os
from functools import cache

import numpy as np
from narrowfloat.golden import s2fp8
from narrowfloat.golden.reference.network import load_mnist, train
from narrowfloat.golden.rounding import LogFlag

KEPT_TENSORS = "NARROWFLOAT_REAL_TENSORS"
TENSORS_FILE = "tensors.npz"
MAN_BITS = 23  # of FP32
SIGN = np.uint32(1 << 31)
INFINITY = 255 << MAN_BITS
WORKLOAD_SEED = 1
RUN_BEATS = 96  # of each tensor
RESULT_BEATS = 64  # of one result of a dot product
PRODUCTS = 1440  # of each lane of a multiplier; shares evenly among the tensors of either kind


@cache
def real_tensors():
    """Tensors of a network in training, by name, and the accuracy it reaches: see `golden.reference.network.train`.

    They come from the file that the environment's NARROWFLOAT_REAL_TENSORS names, which `keep_real_tensors` has made, or else
    from a training in this process. The last bits of the numbers differ between machines, as those of a float32 matrix product
    do.
    """
    kept = os.environ.get(KEPT_TENSORS)
    if kept is None:
        return train(*load_mnist())
    with np.load(kept) as archive:
        tensors = dict(archive)
    return tensors, float(tensors.pop("accuracy"))


def keep_real_tensors(folder):
    """Train, and put the tensors of `real_tensors` into `folder`, as `TENSORS_FILE`."""
    tensors, accuracy = train(*load_mnist())
    np.savez(folder / TENSORS_FILE, accuracy=accuracy, **tensors)


def encoder_corners(fmt, biases=None, swept=27):
    """FP32 words where an encoder's result changes or its flags do, with the bias that makes them so.

    At every bias, with both signs: every code's value and every midpoint between two neighbours, going on for two binades
    beyond the codes at each end, since there overflow and underflow are decided; the FP32 neighbours of each of these; and what
    `special_words` gives. At `swept` of the biases, spread evenly, also the words at a distance of 2**k from each of them, k up
    to 22: a sticky bit that was forgotten shows only where it is the only one set.

    Parameters
    ----------
    fmt : FloatFormat
    biases : iterable of int, optional
        Default all of `fmt.bias_range`.
    swept : int
        The first and the last bias are among them if there are at least two.

    Returns
    -------
    words : uint32 [n]
    biases : int32 [n]
        The bias for each word. Grouped by bias, within which the words rise, each once: shuffle them for lanes and beats to
        differ.
    """
    low, high = fmt.bias_range
    biases = np.arange(low, high + 1) if biases is None else np.array(list(biases))
    for bias in biases:
        fmt.check_bias(int(bias))
    swept_biases = biases[np.linspace(0, len(biases) - 1, min(swept, len(biases))).round().astype(int)]
    near = np.array([-1, 0, 1])
    far = 2 ** np.arange(MAN_BITS)
    far = np.concatenate([-far, [0], far])
    groups = []
    for bias in biases:
        points = decision_points(fmt, int(bias)).view(np.uint32).astype(np.int64)
        around = points[:, None] + (far if bias in swept_biases else near)
        magnitudes = around[(around >= 0) & (around < 2**31)].astype(np.uint32)
        groups.append(np.unique(np.concatenate([magnitudes, magnitudes | SIGN, special_words()])))
    return np.concatenate(groups), np.repeat(biases.astype(np.int32), [len(group) for group in groups])


def decision_points(fmt, bias):
    """All magnitudes that `fmt` can round to, and the midpoints between neighbours: float32 [n], rising.

    {E, M} goes on for two binades beyond either end, as if E had more bits. With gradual underflow nothing is below zero.
    """
    binade = 2**fmt.man_bits
    first = 0 if fmt.underflow == "gradual" else -2 * binade
    # In halves of a code, so that odd ones are midpoints. Every value has at most 9 significant bits: float64 is exact, and
    # float32 too unless the value is too large for it.
    halves = np.arange(2 * first, 2 * (2**fmt.magnitude_bits + 2 * binade) + 1)
    exponent, fraction = np.divmod(halves, 2 * binade)
    if fmt.underflow == "gradual":
        fraction = np.where(exponent > 0, fraction + 2 * binade, fraction)
        exponent = np.maximum(exponent, 1)
    else:
        fraction = fraction + 2 * binade
    values = np.ldexp(fraction.astype(np.float64), exponent - bias - fmt.man_bits - 1)
    return values[values <= np.finfo(np.float32).max].astype(np.float32)


def special_words():
    """FP32 words that no format's grid brings: uint32 [n].

    With both signs: every exponent with a mantissa of zeros and of ones, among them zero and infinity; subnormals and NaNs with
    one bit set.
    """
    exponents = np.arange(256) << MAN_BITS
    one_bit = 1 << np.arange(MAN_BITS)
    magnitudes = np.concatenate([exponents, exponents | (2**MAN_BITS - 1), one_bit, INFINITY | one_bit]).astype(np.uint32)
    return np.concatenate([magnitudes, magnitudes | SIGN])


def random_words(rng, count):
    """Uniform FP32 words, NaNs among them: uint32 [count]."""
    return rng.integers(2**32, size=count, dtype=np.uint32)


def random_words_in_range(rng, fmt, biases):
    """One random FP32 word for each of `biases` (an integer array): uint32, of its shape.

    Uniform, except that in half of them, chosen at random, the exponent is one from two binades below the format's smallest
    number to one above its largest: few uniform words lie there.
    """
    words = random_words(rng, np.shape(biases))
    below = fmt.man_bits if fmt.underflow == "gradual" else 0
    exponents = 127 - biases + rng.integers(-below - 2, 2**fmt.exp_bits + 1, size=np.shape(biases))
    in_range = np.clip(exponents, 0, 255).astype(np.uint32) << np.uint32(MAN_BITS) | words & np.uint32(SIGN | (2**MAN_BITS - 1))
    return np.where(rng.random(np.shape(biases)) < 0.5, in_range, words)


def log_corners(fmt, exponent):
    """FP32 words where an encoder's result changes or its flags do, for logarithms with the shared exponent E: uint32 [n].

    With both signs: every threshold of rounding on its grid, every power of two, and where half of the smallest number ends, in
    every binade from three below the codes to two above them, each with its two FP32 neighbours.
    """
    bits = fmt.frac_bits + 4
    steps = 2**fmt.frac_bits
    thresholds = np.ceil((np.exp2((np.arange(steps) + 0.5) / steps) - 1) * 2**bits)
    smallest = np.ceil((np.exp2(1 / steps) - 1) * 2**bits)
    fractions = np.unique(np.append(thresholds, [0, smallest])).astype(np.int64) << MAN_BITS - bits
    fields = np.arange(exponent - 2**fmt.int_bits - 3, exponent + 3) + 127
    fields = fields[(fields >= 0) & (fields < 255)]
    points = (fields[:, None] << MAN_BITS) + fractions + np.array([-1, 0, 1])[:, None, None]
    magnitudes = np.unique(points[(points >= 0) & (points < 2**31)]).astype(np.uint32)
    return np.concatenate([magnitudes, magnitudes | SIGN])


def s2_corners(alpha, mean, places=range(MAN_BITS), precision="short"):
    """FP32 words where the encoder's result changes at these parameters of `golden.s2fp8`, by bisection: uint32 [n].

    With both signs: the first word of every code that there is, and the words at a distance of 2**k from it, for k in `places`.
    """
    codes = np.arange(1, s2fp8.FORMAT.max_finite + 2)
    low, high = np.zeros(codes.shape, np.int64), np.full(codes.shape, INFINITY)
    while (high - low > 1).any():
        middle = low + high >> 1
        x = middle.astype(np.uint32).view(np.float32)
        found, flags = s2fp8.encode(x, alpha, mean, precision=precision, flags=True)
        reached = found + (flags == LogFlag.SATURATED) >= codes
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    far = 2 ** np.array(places)
    points = high[:, None] + np.concatenate([-far, [0], far])
    magnitudes = np.unique(points[(points >= 0) & (points < 2**31)]).astype(np.uint32)
    return np.concatenate([magnitudes, magnitudes | SIGN])


def runs(tensors, count):
    """From each tensor `count` neighbours, beginning where a fixed random number says: float32 [len(tensors), count]."""
    rng = np.random.default_rng(WORKLOAD_SEED)
    flat = [tensor.ravel() for tensor in tensors.values()]
    return np.stack([np.resize(values[rng.integers(max(1, len(values) - count)) :], count) for values in flat])


def operands(lanes):
    """What multipliers are simulated with: two lists of runs of real tensors, float32 [runs, values], equally many.

    The first are of activations, errors and gradients, the others of weights.
    """
    tensors = real_tensors()[0]
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith("weight")}
    others = {name: tensor for name, tensor in tensors.items() if name not in weights}
    return [runs(group, PRODUCTS * lanes // len(group)) for group in (others, weights)]
