"""The unit that sits in a memory controller: FP32 on the core's side, eight-bit floats on the memory's.

Tensors of each of a few types go to memory as codes with an exponent bias that statistics of the passing data choose for that
type, and come back as FP32. After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, sections 4 and 5. On request they may be
shifted and squeezed as well, after Cambier et al. 2020, arXiv 2001.05674.
"""

from narrowfloat.hdl.memory.parameters import ParameterKeeper
from narrowfloat.hdl.memory.port import MemoryPort
from narrowfloat.hdl.memory.read import ReadPath
from narrowfloat.hdl.memory.registers import ESTIMATORS, register_table
from narrowfloat.hdl.memory.streams import TYPES
from narrowfloat.hdl.memory.write import WritePath

__all__ = ["ESTIMATORS", "TYPES", "MemoryPort", "ParameterKeeper", "ReadPath", "WritePath", "register_table"]
