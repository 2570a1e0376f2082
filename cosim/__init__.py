"""Co-simulation of the emitted Verilog against the golden model."""

if __name__ != "narrowfloat.cosim":  # from the checkout's root; a second copy's classes would not equal the first's
    raise ImportError("import narrowfloat.cosim: the folder cosim is a part of the package narrowfloat")
