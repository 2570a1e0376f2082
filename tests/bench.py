"""Speed and memory of the golden model in one thread, beside other libraries: `python tests/bench.py [--quick]`.

All figures are nanoseconds, or bytes, per value, the least of many runs, in time of the processor: what else the machine does
disturbs that only by the caches that it takes.
"""

import argparse
import importlib.util
import sys
import time
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG
from rich import box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.golden.calls import CALLS, COUNT, SEED, memory, numbers

GFLOAT = {
    "float8_e4m3fn": "ocp_e4m3",
    "float8_e5m2": "ocp_e5m2",
    "float6_e2m3fn": "ocp_e2m3",
    "float6_e3m2fn": "ocp_e3m2",
    "float4_e2m1fn": "ocp_e2m1",
}
TORCHAO = ("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")  # what it converts without a scale
PEERS = ("ml_dtypes", "gfloat", "torchao")


def nanoseconds(seconds, *functions):
    """The least time per value of each function; they take turns, so that whatever disturbs the machine disturbs them alike."""
    least = [float("inf")] * len(functions)
    runs, end = 0, time.perf_counter() + seconds * len(functions)
    while runs < 3 or time.perf_counter() < end:
        for number, function in enumerate(functions):
            start = time.thread_time()
            function()
            least[number] = min(least[number], time.thread_time() - start)
        runs += 1
    return [each / COUNT * 1e9 for each in least]


def by_ml_dtypes(name, x, codes):
    dtype = getattr(ml_dtypes, name)
    return lambda: x.astype(dtype), lambda: codes.view(dtype).astype(np.float32)


def by_gfloat(name, x, codes):
    import gfloat
    import gfloat.formats

    info = getattr(gfloat.formats, f"format_info_{GFLOAT[name]}")
    return (
        lambda: gfloat.encode_ndarray(info, gfloat.round_ndarray(info, x, sat=True)),
        lambda: gfloat.decode_ndarray(info, codes),
    )


def by_torchao(name, x, codes):
    import torch
    from torchao.prototype.custom_fp_utils import _f32_to_floatx_unpacked, _floatx_unpacked_to_f32

    torch.set_num_threads(1)
    fmt, values, words = CATALOG[name], torch.from_numpy(x), torch.from_numpy(codes)
    return (
        lambda: _f32_to_floatx_unpacked(values, fmt.exp_bits, fmt.man_bits),
        lambda: _floatx_unpacked_to_f32(words, fmt.exp_bits, fmt.man_bits),
    )


def peers(name, x, codes):
    """Of each peer that is installed and has the format: its encoder and decoder."""
    if hasattr(ml_dtypes, name):
        yield "ml_dtypes", by_ml_dtypes(name, x, codes)
    refused = CATALOG[name].nan is None and not np.isfinite(x).all()
    if name in GFLOAT and importlib.util.find_spec("gfloat") and not refused:
        yield "gfloat", by_gfloat(name, x, codes)
    if name in TORCHAO and importlib.util.find_spec("torchao"):
        yield "torchao", by_torchao(name, x, codes)


def table(title, *headings):
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for number, heading in enumerate(headings):
        made.add_column(heading, no_wrap=True, justify="right" if number else "left")
    return made


def codec(seconds):
    """The codec beside its peers, and what is slower than ml_dtypes."""
    bits = np.random.default_rng(SEED).integers(0, 2**32, COUNT, dtype=np.uint32).view(np.float32)
    made = table("Codec beside its peers: ns per value", "call", "input", "here", *PEERS)
    slower = []
    for name, fmt in CATALOG.items():
        if not hasattr(ml_dtypes, name):
            continue
        for kind, x in (("Gaussian", numbers(COUNT)), ("bits", bits)):
            codes = encode(x, fmt)
            functions = {"here": (partial(encode, x, fmt), partial(decode, codes, fmt))} | dict(peers(name, x, codes))
            for number, what in enumerate(("encode", "decode")):
                with np.errstate(all="ignore"):
                    found = nanoseconds(seconds, *(each[number] for each in functions.values()))
                times = dict(zip(functions, found, strict=True))
                cells = [f"{times[whose]:.2f}" if whose in times else "" for whose in ("here", *PEERS)]
                made.add_row(f"{what} {name}", kind, *cells)
                if times["here"] > times["ml_dtypes"]:
                    slower.append(f"{what} {name} ({kind}) {times['here']:.2f} ns, ml_dtypes {times['ml_dtypes']:.2f} ns")
    return made, slower


def all_calls(seconds):
    """Time and memory of every public function that takes arrays, and which are above their limits."""
    x = numbers(COUNT)
    made = table("The golden model: per value", "call", "ns", "limit", "bytes", "limit", "np.copy")
    above = []
    for call in CALLS:
        function = call.make(COUNT)
        used = memory(call)
        mine, copy = nanoseconds(seconds, function, x.copy)
        limits = [str(limit or "") for limit in (call.limit, call.bytes)]
        made.add_row(call.name, f"{mine:.1f}", limits[0], f"{used:.1f}", limits[1], f"{copy:.2f}")
        if mine > (call.limit or mine) or used > (call.bytes or used):
            above.append(f"{call.name} {mine:.2f} ns, {used:.1f} bytes")
    return made, above


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the time for each figure")
    seconds = 0.05 if parser.parse_args().quick else 0.5
    console = Console()
    codec_table, slower = codec(seconds)
    console.print(codec_table)
    for name in PEERS[1:]:
        if not importlib.util.find_spec(name):
            console.print(f"{name} is not installed: pip install {name}")
    calls_table, above = all_calls(seconds)
    console.print(calls_table)
    console.print("np.copy: ns per float32 number that is copied, which shows how much the machine is disturbed.")
    faults = [f"slower than ml_dtypes: {each}" for each in slower] + [f"above its limit: {each}" for each in above]
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
