"""Experiments that hold published claims against this project's own measurements.

``python -m evidence`` runs them. `claims` has a module for each experiment, `harness` what all of them share, `training` the
networks and their arithmetic in PyTorch. NAME.json holds the committed results of the experiment NAME.
"""
