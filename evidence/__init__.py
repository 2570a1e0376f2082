"""Experiments that hold published claims against this project's own measurements, one module per claim.

Each runs as `python -m evidence.NAME`; the results are committed as NAME.json beside it.
"""
