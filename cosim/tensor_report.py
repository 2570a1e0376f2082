"""What the formats made of the real tensors: a table from what came out of the simulated hardware."""

import numpy as np
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.statistics import exact_median_bias
from rich.table import Table

ADAPTIVE = "ab_e5m2"


def sqnr(x, y):
    """Ratio of signal to quantization noise of `y`, which stands for `x`, in dB."""
    x = x.astype(np.float64)
    noise = np.square(x - y).sum()
    return np.inf if noise == 0 else 10 * np.log10(np.square(x).sum() / noise)


def tensor_table(results):
    """A rich table of the real tensors that went through encoder and decoder; None if not both of the adaptive format ran."""
    outputs = {
        (result.design, tuple(result.parameters["formats"])): result.tensors
        for result in results
        if result.failure is None and "formats" in result.parameters
    }
    decoders = [formats[0] for design, formats in outputs if design == "float_decoder" and len(formats) == 1]
    if ("float_encoder", (ADAPTIVE,)) not in outputs or ADAPTIVE not in decoders:
        return None
    codes = np.load(outputs["float_encoder", (ADAPTIVE,)])
    values = {name: np.load(outputs["float_decoder", (name,)]) for name in decoders}
    fmt = FloatFormat.parse(ADAPTIVE)
    others = [name for name in decoders if name != ADAPTIVE]
    table = Table("tensor", title="Real tensors through encoder and decoder")
    for heading in (
        "values",
        "bias",
        "SQNR dB",
        "zeros %",
        "saturated %",
        *(f"{name}, fixed bias: SQNR dB" for name in others),
    ):
        table.add_column(heading, justify="right")
    tensors, accuracy = real_tensors()
    for name, tensor in tensors.items():
        tensor = tensor.reshape(-1)  # what came out has values of no tensor where the last beat is not full
        decoded = {other: values[other][name][: tensor.size].astype(np.uint32).view(np.float32) for other in decoders}
        magnitudes = codes[name][: tensor.size] & (2**fmt.magnitude_bits - 1)
        bias = exact_median_bias(tensor)
        largest = np.abs(decoded[ADAPTIVE]).max() if (magnitudes == fmt.max_finite).any() else np.inf
        table.add_row(
            name,
            f"{tensor.size:,}",
            str(bias),
            f"{sqnr(tensor, decoded[ADAPTIVE]):.1f}",
            f"{100 * np.mean(magnitudes == 0):.1f}",
            f"{100 * np.mean(np.abs(tensor) > largest):.2f}",
            *(f"{sqnr(tensor, decoded[other]):.1f}" for other in others),
        )
    table.caption = f"MNIST-5k, 784-128-64-10, held-out accuracy {accuracy:.3f}; bias from each tensor's exact median"
    return table
