"""Timing constraints of an emitted module as the top of a design, for standard cells (SDC) and for Vivado (XDC)."""

from narrowfloat.hdl.files.interfaces import clock, reset, title

PERIOD = 10.0
FRACTION = 0.3  # of the period, that the outside takes of what enters and of what leaves


def files(manifest):
    """``MODULE.sdc`` and ``MODULE.xdc``."""
    units = {"sdc": "in the unit of the cells' library, often ns", "xdc": "in ns"}
    return {f"{manifest['module']}.{suffix}": _text(manifest, unit) for suffix, unit in units.items()}


def _text(manifest, unit):
    clk, rst = clock(manifest), reset(manifest)
    ports = [port for port in manifest["ports"] if port["name"] != clk]
    inputs = [_pattern(port) for port in ports if port["direction"] == "input"]
    outputs = [_pattern(port) for port in ports if port["direction"] == "output"]
    lines = [
        *(f"# {line}" for line in title(manifest, "timing constraints of")),
        "#",
        f"# To be edited: the period, {unit}, and what part of it the outside takes before inputs and after outputs.",
        f"set clk_period {PERIOD}",
        f"set input_fraction {FRACTION}",
        f"set output_fraction {FRACTION}",
        "",
        *([] if clk else ["# The module has no registers: the clock is that of its surroundings."]),
        f"create_clock -name clk -period $clk_period{f' [get_ports {clk}]' if clk else ''}",
        _delay("input", inputs),
        _delay("output", outputs),
    ]
    if rst and rst.asynchronous:
        lines += [
            "",
            f"# {rst.name} acts at once. Release it synchronously to clk, for instance by a synchronizer outside.",
            f"set_false_path -from [get_ports {rst.name}]",
        ]
    return "\n".join(lines) + "\n"


def _delay(side, patterns):
    return f"set_{side}_delay -clock clk [expr {{$clk_period * ${side}_fraction}}] [get_ports {{{' '.join(patterns)}}}]"


def _pattern(port):
    return port["name"] if port["width"] == 1 else f"{port['name']}[*]"
