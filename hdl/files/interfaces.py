"""What the ports of a manifest are to one another: clock, reset, and buses by the names that AXI gives their signals."""

import re
from dataclasses import dataclass

AXI_STREAM = re.compile("(.+)_(tvalid|tready|tlast|tkeep|tdata|tuser)")
AXI_LITE = re.compile("(s_axil)_(.+)")


@dataclass(frozen=True)
class Reset:
    """The reset: the name of its port, and how it acts."""

    name: str
    active_low: bool
    asynchronous: bool


@dataclass(frozen=True)
class Bus:
    """A bus: its name, which its ports begin with, whether it is AXI4-Lite or AXI4-Stream, whether the module is its master,
    and its ports, as the manifest has them, by AXI's names."""

    name: str
    lite: bool
    master: bool
    ports: dict[str, dict]


def clock(manifest):
    """The name of the clock's port, or None of a module without registers."""
    return next((port["name"] for port in manifest["ports"] if port["name"] == "clk"), None)


def reset(manifest):
    """The `Reset`, or None of a module without registers."""
    kind = manifest["parameters"]["reset"]
    found = Reset("rst_n" if kind.endswith("_low") else "rst", kind.endswith("_low"), kind.startswith("async"))
    return found if any(port["name"] == found.name for port in manifest["ports"]) else None


def is_buffered(manifest):
    """Whether each stream enters through a buffer, from which its TREADY comes."""
    return manifest["parameters"].get("ready") == "registered"


def data_ports(manifest):
    """All ports but clock and reset."""
    return [port for port in manifest["ports"] if port["name"] not in ("clk", "rst", "rst_n")]


def buses(manifest):
    """Each `Bus`, in the order of the ports.

    The ports of an estimator that listens to a stream, ``tap_...``, are none: they take part in no handshake, and their TKEEP
    has a bit for each lane.
    """
    found = {}
    for port in manifest["ports"]:
        for pattern in (AXI_STREAM, AXI_LITE):
            if match := pattern.fullmatch(port["name"]):
                found.setdefault((match[1], pattern is AXI_LITE), {})[match[2].upper()] = port
                break
    return [
        Bus(name, lite, not lite and ports["TVALID"]["direction"] == "output", ports)
        for (name, lite), ports in found.items()
        if lite or "TREADY" in ports
    ]


def title(manifest, what):
    """Lines for the head of a file: what it is, and under which licence."""
    made = f"Narrowfloat {manifest['versions']['narrowfloat']}: {what} {manifest['module']}"
    return [made, "SPDX-License-Identifier: Apache-2.0"]
