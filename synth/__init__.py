"""What the hardware costs: every unit through the same synthesis recipes, beside baselines."""
