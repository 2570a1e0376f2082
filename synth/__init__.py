"""What the hardware costs: every unit through the same synthesis recipes, beside baselines."""

if __name__ != "narrowfloat.synth":  # from the checkout's root; a second copy's classes would not equal the first's
    raise ImportError("import narrowfloat.synth: the folder synth is a part of the package narrowfloat")
