"""What every block computes: the bit-exact NumPy reference of Narrowfloat."""
