"""The list of packages, computed: the folders at the top are the layers, which are sub-packages of `narrowfloat`."""

from setuptools import find_packages, setup

LAYERS = ("golden", "hdl", "cosim", "synth")

setup(
    package_dir={f"narrowfloat.{layer}": layer for layer in LAYERS},
    packages=[
        *find_packages(include=["narrowfloat", "narrowfloat.*"]),
        *(f"narrowfloat.{package}" for layer in LAYERS for package in find_packages(include=[layer, f"{layer}.*"])),
    ],
)
