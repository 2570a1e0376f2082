"""Networks in PyTorch whose tensors are stored, and whose products are computed, as the hardware does it."""
