"""What may go into each design and what must come out of it, beat by beat: NumPy only."""
