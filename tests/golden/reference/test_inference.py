"""The integer network against the same layers in real arithmetic, and the batch that goes to the dot product's bench."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.lbfp import antilog_table, encode, encode_fixed
from narrowfloat.golden.reference.inference import Layer, accuracies, infer, mlp, mlp_batch
from narrowfloat.golden.reference.network import load_mnist, split

LBFP8 = CATALOG["lbfp8"]


def test_batch_is_the_first_layer_of_held_out_images():
    batch = mlp_batch(5)
    first = mlp()[0]
    assert batch.a.shape == (5, 784) and batch.b.shape == (128, 784) and batch.a.dtype == batch.b.dtype == np.uint8
    images, labels = load_mnist()
    assert np.array_equal(batch.a, encode(images[split(labels)[1][:5]], LBFP8, batch.exponent_a))
    assert np.array_equal(batch.b, first.weights) and np.array_equal(batch.exponents_b, first.exponents)
    assert len(np.unique(batch.a)) > 50 and len(np.unique(batch.b)) > 200 and len(np.unique(batch.exponents_b)) > 1


def test_two_layers_by_hand():
    """In rationals: products 2**(E - 8) A[f] 2**i / 32, the sum, the offset to the nearest unit of it, ReLU, the next layer."""
    rng = np.random.default_rng(5)
    layers = [
        Layer(rng.integers(0, 256, shape, np.uint8), np.arange(shape[0], dtype=np.int32) - 2, exponent, offsets)
        for shape, exponent, offsets in (
            ((3, 4), 1, np.array([0.3, -0.2, 1.7], np.float32)),
            ((2, 3), 3, np.array([-0.1, 0.4], np.float32)),
        )
    ]
    images = rng.random((6, 4), np.float32)
    table = antilog_table(LBFP8).tolist()

    def product(a, b, exponent):
        t = a % 128 + b % 128
        size = table[t % 16] * 2 ** (t // 16) if a % 128 and b % 128 else 0
        return Fraction(-size if a // 128 != b // 128 else size) * Fraction(2) ** (exponent - 16 - 5)

    for image, scores in zip(images, infer(layers, images), strict=True):
        codes = encode(image, LBFP8, 1).tolist()
        for layer, following in ((layers[0], 3), (layers[1], None)):
            values = []
            for row, exponent, offset in zip(
                layer.weights.tolist(), layer.exponents.tolist(), layer.offsets.tolist(), strict=True
            ):
                exponent += layer.input_exponent
                unit = Fraction(2) ** (exponent - 21)
                values.append(
                    sum(product(a, b, exponent) for a, b in zip(codes, row, strict=True)) + round(offset / unit) * unit
                )
            if following is None:
                assert values == scores.tolist()
            else:
                codes = [int(encode_fixed(np.array(int(max(v, 0) * 2**30)), LBFP8, following, -30)) for v in values]


@pytest.mark.parametrize(
    "product", [{}, {"antilog": "mitchell"}, {"out_bits": 16}, {"out_bits": 16, "output": "sign_magnitude"}], ids=str
)
def test_accuracy_stays(product):
    """Within 0.5 points of FP32's on the thousand held-out images, Mitchell's antilog within one."""
    wide, narrow = accuracies(**product)
    assert wide > 0.9 and narrow >= wide - (0.01 if product.get("antilog") else 0.005)
