"""What LBFP's arithmetic loses: of a product by every antilog, and of whole dot products beside INT8.

Relative errors are those of all products of nonzero codes, from the exact product of the numbers that the codes mean: the
antilog's own. Dot products are of 256 pairs; their signal to quantization noise ratio, in dB, counts everything between the
real numbers and the accumulator. Exponents are per tensor and from `golden.lbfp.calibration`, by Kullback-Leibler divergence
if not said otherwise. INT8 is symmetric, per tensor, unclipped or with the scale that has the least squared error.
"""

from dataclasses import dataclass

import numpy as np
from narrowfloat.golden.formats import LOGARITHMS, LogBlockFormat
from narrowfloat.golden.lbfp import antilog_table, decode, encode, lsb_exponent, matmul, table_guard_bits
from narrowfloat.golden.lbfp.calibration import calibrate
from narrowfloat.golden.reference.inference import mlp_images
from narrowfloat.golden.reference.stimulus import real_tensors

from evidence.harness.experiment import Experiment
from evidence.harness.report import new_table, sqnr

SEED = 1
ROWS, LENGTH = 256, 256
LBFP8 = LOGARITHMS["lbfp8"]

SYNTHETIC = {
    "Gaussian": lambda rng, shape: (rng.normal(size=shape), rng.normal(size=shape)),
    "Laplace": lambda rng, shape: (rng.laplace(size=shape), rng.laplace(size=shape)),
    "ReLU": lambda rng, shape: (np.maximum(rng.normal(size=shape), 0), rng.normal(size=shape)),
    "Student t": lambda rng, shape: (rng.standard_t(4, shape), rng.standard_t(4, shape)),
}


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A way to multiply. `product` is what `golden.lbfp.multiply` takes, None for exact products; `gain` divides the results,
    `method` calibrates the exponents."""

    title: str
    fmt: LogBlockFormat = LBFP8
    product: dict | None
    gain: float = 1.0
    method: str = "kl"


def modes():
    """All that is compared, INT8 apart."""
    mitchell, lut = {"antilog": "mitchell"}, {"antilog": "lut", "guard_bits": 5}
    mean_of_mitchell = 1 + float(np.mean(table_errors(LBFP8, mitchell)))
    return [
        Mode(title="LBFP8, exact products", product=None),
        Mode(title="the same, exponents by squared error", product=None, method="mse"),
        *(
            Mode(title=f"LBFP8, {words}, G = {guard_bits}", product={"antilog": antilog, "guard_bits": guard_bits})
            for words, antilog, several in (("LUT", "lut", range(4, 9)), ("two segments", "two_segment", (4, 6)))
            for guard_bits in several
        ),
        Mode(title="LBFP8, Mitchell", product=mitchell),
        Mode(title="LBFP8, Mitchell, its mean in the scale", product=mitchell, gain=mean_of_mitchell),
        *(
            Mode(title=f"LBFP8, LUT, G = 5, 16 bits {words}", product=lut | {"out_bits": 16, "output": output})
            for words, output in (("two's complement", "twos_complement"), ("sign-magnitude", "sign_magnitude"))
        ),
        *(Mode(title=f"{name.upper()}, LUT, G = 5", fmt=LOGARITHMS[name], product=lut) for name in ("lbfp7", "lbfp6", "lbfp5")),
    ]


def measure():
    """All that goes into the JSON file."""
    pairs = data(np.random.default_rng(SEED))
    return {
        "products": [row for mode in modes() if (row := product_errors(mode))],
        "dot_products": [
            *(
                {"mode": mode.title, "sqnr": {name: of_products(a, b, lbfp(a, b, mode)) for name, (a, b) in pairs.items()}}
                for mode in modes()
            ),
            *(
                {
                    "mode": f"INT8, {words}",
                    "sqnr": {name: of_products(a, b, int8(a, b, clips)) for name, (a, b) in pairs.items()},
                }
                for words, clips in (("unclipped", False), ("best scale", True))
            ),
        ],
    }


def table_errors(fmt, product):
    """The relative error of every entry of an antilog table: float64 [2**frac_bits]."""
    kind = product.get("antilog", "lut"), product.get("guard_bits")
    table = antilog_table(fmt, *kind)
    return table / 2.0 ** (table_guard_bits(fmt, *kind) + np.arange(len(table)) / len(table)) - 1


def product_errors(mode):
    """Relative errors of full products in percent, or None where bits are cut off: then small ones have any."""
    if mode.product is None or "out_bits" in mode.product:
        return None
    errors = (1 + table_errors(mode.fmt, mode.product)) / mode.gain - 1
    c = np.arange(1, mode.fmt.max_magnitude + 1)
    every = 100 * errors[np.add.outer(c, c) % len(errors)]
    return {
        "mode": mode.title,
        "max": round(float(np.abs(every).max()), 4),
        "mean": round(float(np.abs(every).mean()), 4),
        "bias": round(float(every.mean()), 4),
        "by_fraction": [round(100 * float(error), 4) for error in errors],
    }


def data(rng):
    """Pairs of float32 matrices by name, each row of one to be multiplied with each row of the other."""
    pairs = {name: draw(rng, (ROWS, LENGTH)) for name, draw in SYNTHETIC.items()}
    tensors, _ = real_tensors()
    weights = tensors["epoch12/fc2.weight"]
    pairs["MNIST, layer 1"] = mlp_images(ROWS), tensors["epoch12/fc1.weight"]
    pairs["MNIST, layer 2"] = tensors["epoch12/fc1.activation"], weights
    pairs["MNIST, errors"] = tensors["epoch12/fc2.error"], weights.T
    return {name: tuple(np.ascontiguousarray(part, np.float32) for part in pair) for name, pair in pairs.items()}


def lbfp(a, b, mode):
    """The dot products of all rows in LBFP, as float64."""
    exponents = [calibrate(x, mode.fmt, mode.method) for x in (a, b)]
    codes = [encode(x, mode.fmt, exponent) for x, exponent in zip((a, b), exponents, strict=True)]
    if mode.product is None:
        values = [decode(part, mode.fmt, exponent).astype(np.float64) for part, exponent in zip(codes, exponents, strict=True)]
        return values[0] @ values[1].T
    scale = {name: value for name, value in mode.product.items() if name != "output"}
    return matmul(*codes, mode.fmt, **mode.product) * 2.0 ** lsb_exponent(mode.fmt, sum(exponents), **scale) / mode.gain


def int8(a, b, clips):
    """The dot products of all rows in INT8, as float64."""
    rounded = []
    for x in (a, b):
        exact = x.astype(np.float64)
        largest = np.abs(exact).max()
        tried = [_int8(exact, largest * share) for share in (np.linspace(0.1, 1, 91) if clips else (1.0,))]
        rounded.append(min(tried, key=lambda values: np.square(values - exact).sum()))
    return rounded[0] @ rounded[1].T


def _int8(x, largest):
    unit = largest / 127
    return np.clip(np.rint(x / unit), -127, 127) * unit


def of_products(a, b, found):
    """The SQNR of dot products against those of the real numbers, in dB."""
    return sqnr(a.astype(np.float64) @ b.astype(np.float64).T, found)


def tables(found):
    """Two rich tables."""
    yield new_table(
        "relative error of products, %",
        ["antilog"],
        ["maximum", "mean", "bias"],
        ((row["mode"], f"{row['max']:.2f}", f"{row['mean']:.2f}", f"{row['bias']:+.2f}") for row in found["products"]),
    )
    yield new_table(
        "SQNR of dot products, dB",
        ["arithmetic"],
        found["dot_products"][0]["sqnr"],
        ((row["mode"], *(f"{value:.1f}" for value in row["sqnr"].values())) for row in found["dot_products"]),
    )


def plot(found):
    """Errors by fraction of the logarithm, and SQNRs."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    titles = ("relative error of a product by the fraction of its logarithm, %", "SQNR of dot products, dB")
    figure = make_subplots(rows=2, cols=1, subplot_titles=titles, vertical_spacing=0.12)
    for row, color in zip(found["products"], qualitative.Dark24, strict=False):
        errors = row["by_fraction"]
        fractions = [f / len(errors) for f in range(len(errors))]
        style = {"mode": "lines+markers", "line": {"color": color}, "legendgroup": row["mode"]}
        figure.add_scatter(x=fractions, y=errors, name=row["mode"], row=1, col=1, **style)
    for row, color in zip(found["dot_products"], [*qualitative.Dark24[-1:], *qualitative.Dark24], strict=False):
        names, values = zip(*row["sqnr"].items(), strict=True)
        figure.add_bar(x=names, y=values, name=row["mode"], marker_color=color, row=2, col=1)
    figure.update_layout(height=1100, template="plotly_white")
    return figure


EXPERIMENT = Experiment(name="lbfp_error", doc=__doc__, measure=measure, tables=tables, plot=plot)
