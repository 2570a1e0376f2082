"""From Yosys' netlists of modules to Verilog-2005 that people read."""

from narrowfloat.hdl.verilog.design import Design

__all__ = ["Design"]
