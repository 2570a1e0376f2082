"""What every block computes: the bit-exact NumPy reference of Narrowfloat."""

if __name__ != "narrowfloat.golden":  # from the checkout's root; a second copy's classes would not equal the first's
    raise ImportError("import narrowfloat.golden: the folder golden is a part of the package narrowfloat")
