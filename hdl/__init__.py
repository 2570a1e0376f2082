"""The blocks as Amaranth components, and the way from them to Verilog that a tool flow takes."""

if __name__ != "narrowfloat.hdl":  # from the checkout's root; a second copy's classes would not equal the first's
    raise ImportError("import narrowfloat.hdl: the folder hdl is a part of the package narrowfloat")
