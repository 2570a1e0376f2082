"""The blocks of block floating point at the level of their streams."""
