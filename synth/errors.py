"""How well products of narrow numbers stand for products of real tensors."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.freshness import fingerprint
from narrowfloat.golden.reference.stimulus import operands
from narrowfloat.synth.vectors import real_tensors

_MULTIPLIERS = ("lbfp_multiplier", "multiplier", "minifloat_multiplier", "approximate_multiplier", "posit_multiplier")


def sqnr_db(exact, products, groups):
    """Signal over noise of `products` in dB, float64 [n], each of the `groups`, integers [n], scaled to be nearest to `exact`.

    The noise is that of both roundings, of the factors to codes and of their product.
    """
    noise = 0.0
    for group in np.unique(groups):
        x, y = exact[groups == group], products[groups == group]
        power = np.sum(y * y)
        noise += np.sum((x - y * (np.sum(x * y) / power if power else 0)) ** 2)
    return 10 * np.log10(np.sum(exact**2) / noise)


@dataclass(frozen=True)
class ProductError:
    """The recipe "error" of the target "model": of single multipliers, from the products that the model expects."""

    target: str = "model"

    def missing(self):
        """What must be installed first: nothing."""
        return

    def key(self, unit):
        """Texts on which the metrics depend beside the unit's Verilog."""
        return [fingerprint(__name__), unit.vectors_digest()]

    def measure(self, unit, folder):
        """Metrics of `unit` by recipe."""
        if unit.design not in _MULTIPLIERS or unit.parameters.get("lanes", 1) > 1 or unit.clocked:
            return {}
        real_tensors()
        factors = operands(1)
        exact = np.prod([x.ravel().astype(np.float64) for x in factors], axis=0)
        if unit.parameters.get("numbers") == "unsigned":
            exact = np.abs(exact)
        # Both factors are scaled tensor by tensor.
        a, b = (np.arange(len(exact)) // x.shape[1] for x in factors)
        return {"error": {"sqnr_db": round(float(sqnr_db(exact, _values(unit), a * len(exact) + b)), 2)}}


def _values(unit):
    """What the products that leave the unit mean, up to a factor."""
    outputs = unit.vectors().outputs
    if unit.design == "posit_multiplier":
        fields = ([value or 0 for value in outputs[name]] for name in ("sign", "scale", "significand"))
        sign, scale, significand = (np.array(field) for field in fields)
        return np.where(sign, -1.0, 1.0) * significand * 2.0 ** ((scale ^ 64) - 64)
    name = "m_axis_tdata" if unit.design == "lbfp_multiplier" else "product"
    form = unit.parameters.get("output") or unit.parameters["numbers"]
    words, top = np.array(outputs[name], np.float64), 2.0 ** (unit.outputs[name] - 1)
    if form == "unsigned":
        return words
    if form == "sign_magnitude":
        return np.where(words < top, words, top - words)
    return np.where(words < top, words, words - 2 * top)


MEASUREMENTS = (ProductError(),)
