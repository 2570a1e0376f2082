"""From Yosys' netlists of modules to Verilog-2005 that people read."""

from narrowfloat.hdl.verilog.design import Design
from narrowfloat.hdl.verilog.dialect import systemverilog

__all__ = ["Design", "systemverilog"]
