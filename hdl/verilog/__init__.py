"""From Yosys' netlists of modules to Verilog-2005 that people read."""

from narrowfloat.hdl.verilog.design import Design
from narrowfloat.hdl.verilog.dialect import SYSTEM_VERILOG, VERILOG, Language, language_of, systemverilog

__all__ = ["SYSTEM_VERILOG", "VERILOG", "Design", "Language", "language_of", "systemverilog"]
