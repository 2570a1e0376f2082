"""The memory port: tensors encoded on their way to memory, with biases that follow the data. Bit-exact to `hdl.memory`.

After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, sections 4 and 5, and for S2FP8 Cambier et al. 2020, arXiv 2001.05674.
"""

from narrowfloat.golden.memory.beats import SLOTS, TYPES, WORD_BYTES, CoreBeats, MemoryBeats
from narrowfloat.golden.memory.port import ESTIMATORS, MODES, OBSERVED, PARTIAL, SQUEEZING, MemoryPort

__all__ = [
    "ESTIMATORS",
    "MODES",
    "OBSERVED",
    "PARTIAL",
    "SLOTS",
    "SQUEEZING",
    "TYPES",
    "WORD_BYTES",
    "CoreBeats",
    "MemoryBeats",
    "MemoryPort",
]
