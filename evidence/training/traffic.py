"""How many numbers a network in training moves to and from DRAM."""

from evidence.training.arms import TYPES


class Traffic:
    """Counts the numbers that training a chain of layers moves to and from DRAM.

    In every training step, of a layer with n inputs, m outputs and k parameters:

    ==========  ====================  ==============================================================
    type        written               read
    ==========  ====================  ==============================================================
    activation  m                     n going forward, n for the gradient; of the last layer m for the loss
    error       m, by what follows    m for the gradient; m for the error below, if there is one
    weight      k, by the optimizer   k going forward; k for the error below, if there is one
    gradient    k                     k, by the optimizer
    ==========  ====================  ==============================================================

    Functions of single elements (ReLU) are applied before a tensor is written. The optimizer's own numbers are not counted.
    """

    def __init__(self, model, layers):
        self._moved = {type: {"written": 0, "read": 0} for type in TYPES}
        self.parameters = 0  # times steps
        self._last = layers[-1]
        for layer in layers:
            layer.register_forward_hook(self._count)

    def _count(self, layer, inputs, output):
        if not layer.training:
            return
        (x,), m = inputs, output.numel()
        k = sum(parameter.numel() for parameter in layer.parameters())
        passes_error = int(x.requires_grad)
        for type, written, read in (
            ("activation", m, 2 * x.numel() + (m if layer is self._last else 0)),
            ("error", m, m * (1 + passes_error)),
            ("weight", k, k * (1 + passes_error)),
            ("gradient", k, k),
        ):
            self._moved[type]["written"] += written
            self._moved[type]["read"] += read
        self.parameters += k

    def take(self):
        """The counts since the last call: by type, and `parameters`, the number of parameters that were updated."""
        taken = self._moved | {"parameters": self.parameters}
        self._moved = {type: {"written": 0, "read": 0} for type in TYPES}
        self.parameters = 0
        return taken
