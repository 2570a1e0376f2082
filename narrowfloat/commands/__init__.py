"""The sub-commands of `narrowfloat`: a module each. Only that of the sub-command that is called is imported."""
