"""Narrowfloat: verified hardware for number formats of eight bits and fewer, and its NumPy models."""
