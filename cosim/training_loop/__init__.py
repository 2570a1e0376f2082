"""A network that trains through the emitted memory port, bit for bit as it does through the golden one.

A 196-32-16-10 network with ReLU learns MNIST-5k, its images halved in size, by gradient descent with momentum in NumPy float32.
Every tensor goes to memory through the write side of the port and is read back through its read side before it is used: images
and activations, errors, gradients and weights as the four types, and beside them, with bypass, the FP32 weights and velocities
that the updates are made to. Calibration epochs in FP32, in which the port observes, come first, then FP8 or S2FP8. Modes,
estimators, forced biases and ends of epochs are written to the port's registers.

The same training runs twice in step, with the emitted Verilog, compiled by Verilator, and with `golden.memory`. What goes to
the port, what lies in memory, what comes back, the bias or squeeze before every tensor, and flags and raw statistics after
every epoch must be the same to the last bit, and so must the weights at the end.

The golden model has no clock. Therefore a tensor is not written before STATUS says that no estimator of its type is busy, and
two cycles pass after a register is written: then the hardware's biases, too, depend on nothing but the order of the tensors,
and its estimators miss no beat.
"""

from narrowfloat.cosim.training_loop.result import Result, run
from narrowfloat.cosim.training_loop.training import SCHEMES, SEED, TYPES, Plan, Scheme, small_images

__all__ = ["SCHEMES", "SEED", "TYPES", "Plan", "Result", "Scheme", "run", "small_images"]
