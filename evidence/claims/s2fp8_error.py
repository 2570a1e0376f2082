"""What S2FP8 loses of single tensors beside E5M2, adaptive bias and scaled E4M3: noise, and numbers that become zero or
saturate.

SQNR is the signal to quantization noise ratio in dB; flushed is the share of the numbers other than zero that become zero, in
percent; saturated is how many numbers round to above the largest.
Parameters, bias and scale are those of the tensor itself. S2FP8 is what the hardware computes in short precision and in
full, and Eq. 5 in float64 with alpha and beta in float64; `differ` is how many codes in 1000 the hardware's converter gives
otherwise than Eq. 5 with the hardware's alpha and mu. E4M3 is scaled so that the largest number becomes 448.
"""

from functools import partial

import numpy as np
from narrowfloat.golden import float_codec, s2fp8
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.rounding import Flag, LogFlag
from narrowfloat.golden.statistics import exact_median_bias

from evidence.harness.experiment import Experiment
from evidence.harness.report import new_table, sqnr

SEED = 1
SIZE = 2**18

SYNTHETIC = {
    "Gaussian": lambda rng: rng.normal(size=SIZE),
    "Laplace": lambda rng: rng.laplace(size=SIZE),
    "uniform": lambda rng: rng.uniform(-1, 1, SIZE),
    "lognormal, sigma 1": lambda rng: rng.choice([-1e-6, 1e-6], SIZE) * np.exp(rng.normal(size=SIZE)),
    "lognormal, sigma 3": lambda rng: rng.choice([-1e-6, 1e-6], SIZE) * np.exp(3 * rng.normal(size=SIZE)),
}
REAL = (
    *("epoch12/fc1.weight", "epoch12/fc1.activation", "epoch0/fc1.error", "epoch12/fc1.error"),
    *("epoch12/fc2.error", "epoch0/fc1.gradient", "epoch12/fc1.gradient"),
)


def hardware(x, precision="short"):
    """The tensor as S2FP8's converters of that precision keep it, and how many numbers saturate."""
    found = s2fp8.tensor_parameters(x)
    codes, flags = s2fp8.encode(x, found.alpha, found.mean, precision=precision, flags=True)
    values = s2fp8.decode(codes, found.inverse, found.mean, precision=precision)
    return values, np.count_nonzero(flags & LogFlag.SATURATED)


def exact(x):
    """The tensor by Eq. 5 in float64, and how many numbers saturate."""
    alpha, beta = s2fp8.exact_parameters(x)
    values = s2fp8.exact_decode(s2fp8.exact_encode(x, alpha, beta), alpha, beta)
    # halfway from the largest number to the next power of two
    limit = (np.log2(61440) - beta) / alpha
    return values, np.count_nonzero(np.abs(x.astype(np.float64)) >= np.exp2(limit))


def with_bias(x):
    """The tensor in E5M2 with the bias of its median, and how many numbers saturate."""
    return _in_floats(x, CATALOG["ab_e5m2"], exact_median_bias(x))


def plain(x):
    """The tensor in E5M2 with bias 15, and how many numbers saturate."""
    return _in_floats(x, CATALOG["float8_e5m2"], 15)


def scaled(x):
    """The tensor in E4M3, its largest number made that of the format, and how many numbers saturate."""
    scale = 448 / np.abs(x).max().astype(np.float64)
    values, saturated = _in_floats((x * scale).astype(np.float32), CATALOG["float8_e4m3fn"], 7)
    return values / scale, saturated


def _in_floats(x, fmt, bias):
    codes, flags = float_codec.encode(x, fmt, bias=bias, flags=True)
    return float_codec.decode(codes, fmt, bias=bias), np.count_nonzero(flags & Flag.OVERFLOW)


FORMATS = {
    "S2FP8": hardware,
    "S2FP8, full precision": partial(hardware, precision="full"),
    "S2FP8, Eq. 5": exact,
    "E5M2, adaptive bias": with_bias,
    "E5M2": plain,
    "E4M3, scaled": scaled,
}


def measure():
    """All that goes into the JSON file."""
    return {"tensors": [row(name, x) for name, x in data().items()]}


def data():
    """Tensors by name: float32."""
    rng = np.random.default_rng(SEED)
    tensors = {name: draw(rng).astype(np.float32) for name, draw in SYNTHETIC.items()}
    trained, _ = real_tensors()
    return tensors | {f"MNIST, {name}": trained[name] for name in REAL}


def row(name, x):
    """Alpha and beta as the hardware has them, and what each format keeps."""
    found = s2fp8.tensor_parameters(x)
    exact_codes = s2fp8.exact_encode(x, found.squeeze, found.shift)
    difference = {
        precision: np.abs(s2fp8.encode(x, found.alpha, found.mean, precision=precision).astype(int) - exact_codes)
        for precision in s2fp8.PRECISIONS
    }
    kept = {title: convert(x) for title, convert in FORMATS.items()}
    return {
        "tensor": name,
        "alpha": round(found.squeeze, 3),
        "beta": round(found.shift, 2),
        "differ": {precision: round(1000 * float(np.mean(each > 0)), 3) for precision, each in difference.items()},
        "largest_difference": {precision: int(each.max()) for precision, each in difference.items()},
        "sqnr": {title: sqnr(x, values) for title, (values, _) in kept.items()},
        "flushed": {title: flushed(x, values) for title, (values, _) in kept.items()},
        "saturated": {title: int(saturated) for title, (_, saturated) in kept.items()},
    }


def flushed(x, found):
    """The share of the numbers other than zero that became zero, in percent."""
    return round(100 * float(np.mean(found[x != 0] == 0)), 3)


def tables(found):
    """One rich table: of each format SQNR and, where there are any, the flushed share and the number of saturated."""

    def cell(title, each):
        share, saturated = each["flushed"][title], each["saturated"][title]
        return f"{each['sqnr'][title]:.1f}" + f"; {share:.1f}" * bool(share) + f"; {saturated} sat" * bool(saturated)

    yield new_table(
        "SQNR, dB; flushed, %; saturated, numbers",
        ["tensor"],
        ["alpha", "beta", *(f"differ, {precision}" for precision in s2fp8.PRECISIONS), *FORMATS],
        (
            (
                each["tensor"],
                f"{each['alpha']:.2f}",
                f"{each['beta']:.1f}",
                *(f"{each['differ'][precision]:.2f}" for precision in s2fp8.PRECISIONS),
                *(cell(title, each) for title in FORMATS),
            )
            for each in found["tensors"]
        ),
    )


def plot(found):
    """SQNRs and shares of what is flushed."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, subplot_titles=("SQNR, dB", "flushed, %"), vertical_spacing=0.2)
    names = [each["tensor"] for each in found["tensors"]]
    for title, color in zip(FORMATS, qualitative.Dark24, strict=False):
        for number, metric in enumerate(("sqnr", "flushed"), 1):
            values = [each[metric][title] for each in found["tensors"]]
            style = {"name": title, "legendgroup": title, "marker_color": color, "showlegend": number == 1}
            figure.add_bar(x=names, y=values, row=number, col=1, **style)
    figure.update_layout(height=900, template="plotly_white")
    return figure


EXPERIMENT = Experiment(name="s2fp8_error", doc=__doc__, measure=measure, tables=tables, plot=plot)
