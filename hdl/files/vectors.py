"""What a testbench does, step by step, and the integers that it sends and awaits: from the manifest and the model."""

from dataclasses import dataclass, field, replace

import numpy as np
from narrowfloat.golden.memory import ESTIMATORS, MODES
from narrowfloat.golden.reference import Interface, Reference, load
from narrowfloat.golden.reference.bfp.precision_policy import PrecisionPolicy
from narrowfloat.golden.reference.memory import MemoryPort
from narrowfloat.golden.reference.memory import Write as PortWrite
from narrowfloat.golden.reference.statistics import Estimator
from narrowfloat.golden.reference.streams import Stream, bits_of
from narrowfloat.golden.s2fp8 import ALPHA_FRACTION_BITS

SEED = 1  # of all traffic
BEATS = 400  # of a transfer, of each stream
_DIGITS = 12_000  # that the beats of a transfer may take
_FEWEST = 16
_STATISTICS = 96  # that are read
_WHOLE = 0xFFFFFFFF
_TENSOR = 12  # beats, of each type
_ROUNDS = 4


@dataclass
class Restart:
    """The design is reset, or without a clock forgets nothing."""


@dataclass
class Load:
    """The design loads a seed through its ports."""

    seed: int


@dataclass
class Transfer:
    """Beats go in and come out.

    Attributes
    ----------
    rows : dict of ranges
        By stream, the rows of `Vectors` that it sends or awaits.
    paused : bool
        Whether there are idle cycles and back-pressure.
    cycles : int or None
        How many it takes, where that is to be held; without pauses only.
    stop : int or None
        After so many cycles the transfer ends, whatever is inside.
    """

    rows: dict
    paused: bool = False
    cycles: int | None = None
    stop: int | None = None


@dataclass
class Write:
    """A register is written."""

    name: str
    address: int
    word: int


@dataclass
class Check:
    """A register is read; of the bits in `mask` it must be `word`. With `wait` it is read until it is."""

    name: str
    address: int
    mask: int
    word: int
    wait: bool = False


@dataclass
class Settle:
    """An estimator works on what has ended until it has nothing left to do."""


@dataclass
class Outputs:
    """Ports must have these values, by name."""

    values: dict


@dataclass
class Statistics:
    """Raw statistics are read and compared, those of these rows."""

    rows: range


@dataclass
class Vectors:
    """Steps, and rows of integers by number.

    Attributes
    ----------
    parts : dict of tuples of str
        By stream the ports that make a row of it, the lowest first.
    """

    manifest: dict
    parts: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    rows: list = field(default_factory=lambda: [0])
    titles: dict = field(default_factory=dict)

    def __post_init__(self):
        self.ports = {port["name"]: port for port in self.manifest["ports"]}
        for name in self.ports:
            if name.endswith("_tvalid"):
                stream = name.removesuffix("_tvalid")
                candidates = [f"{stream}_t{part}" for part in ("data", "user", "keep", "last")]
                candidates += ["end_valid", "end_type"] if stream == "tap" else []
                self.parts[stream] = tuple(each for each in candidates if each in self.ports)
        self.sources = [name for name in self.parts if self.ports[f"{name}_tvalid"]["direction"] == "input"]
        self.sinks = [name for name in self.parts if name not in self.sources]

    def width(self, stream):
        """Bits of a row of a stream."""
        return sum(self.ports[part]["width"] for part in self.parts[stream])

    def beats(self):
        """How many beats of every stream fit a transfer."""
        digits = sum(-(-self.width(stream) // 4) + 1 for stream in self.parts)
        return max(_FEWEST, min(BEATS, _DIGITS // digits))

    def add(self, title, rows):
        """The range of numbers that new rows have; `title` says what they are."""
        first = len(self.rows)
        self.rows += rows
        self.titles[first] = title
        return range(first, len(self.rows))

    def add_beats(self, stream, beats):
        """The same for beats of a stream, a `Stream`; what enters in the padding of TDATA is now zeros and now ones."""
        interface = Interface(self.manifest, stream)
        columns = (
            {name: bits_of(values[name], width) for name, width in port.widths.items()}
            for values, port in ((beats.data, interface.data), (beats.user, interface.user))
        )
        beats = Stream(*columns, beats.last, keep=beats.keep)
        padding = interface.data.padding if stream in self.sources else 0
        packed = [
            (data | padding * (number % 2), user, *keep, int(last))
            for number, (data, user, last, *keep) in enumerate(interface.pack(beats))
        ]
        widths = [
            self.ports[name]["width"] if name in self.ports else 0
            for name in (f"{stream}_t{part}" for part in ("data", "user", *["keep"] * (interface.keep.words > 0), "last"))
        ]
        return self.add(", ".join(reversed(self.parts[stream])), [_joined(row, widths) for row in packed])

    def transfer(self, reference, traffic, **options):
        """A `Transfer` of traffic for the reference of a design with streams alone."""
        wanted = reference.model(traffic)
        beats = dict(zip(self.sources, [traffic], strict=False)) if not isinstance(traffic, dict) else dict(traffic)
        beats |= dict(zip(self.sinks, [wanted], strict=False)) if not isinstance(wanted, dict) else wanted
        return Transfer({name: self.add_beats(name, stream) for name, stream in beats.items()}, **options)


def vectors(manifest):
    """The `Vectors` of an emitted design with this manifest."""
    reference = load(manifest, np.random.default_rng(SEED))
    made = Vectors(manifest)
    kinds = {PrecisionPolicy: _policy, MemoryPort: _port, Estimator: _estimator, Reference: _streams}
    next(fill for kind, fill in kinds.items() if isinstance(reference, kind))(made, reference)
    return made


def _joined(values, widths):
    row = 0
    for value, width in zip(reversed(values), reversed(widths), strict=True):
        row = row << width | value
    return row


def _streams(made, reference):
    """Corners and random values without a pause; a reset in mid-stream; others with pauses, and another seed if it loads."""
    beats, manifest = made.beats(), made.manifest
    traffic = reference.sample(beats)
    made.steps += [Restart(), made.transfer(reference, traffic, cycles=reference.cycles(traffic))]
    steps = [Restart()]
    if "seed_load" in made.ports:
        seed = int(reference.rng.integers(2**32))
        manifest = manifest | {"parameters": manifest["parameters"] | {"seed": seed}}
        steps.append(Load(seed))
    reference = load(manifest, reference.rng)
    whole = made.transfer(reference, reference.sample(beats), paused=True)
    made.steps += [*steps, Transfer(whole.rows, paused=True, stop=beats), *steps, whole]


def _policy(made, reference):
    """As after reset, then with other settings."""
    registers = {register["name"]: register for register in made.manifest["registers"]}
    made.steps += [Restart(), *_after_reset(made.manifest)]
    traffic = reference.sample(made.beats() // 2)
    made.steps.append(made.transfer(reference, traffic, cycles=reference.cycles(traffic)))
    for paused in (False, True):
        for name, register in registers.items():
            value = int(reference.rng.integers(1, 2 << register["fields"][0]["msb"]))
            reference.settings[name.lower()] = value
            made.steps.append(Write(name, register["address"], value))
            made.steps.append(Check(name, register["address"], _WHOLE, value))
        made.steps.append(made.transfer(reference, reference.sample(made.beats() // 4), paused=paused))


def _after_reset(manifest):
    """Checks of every register whose value after reset is known."""
    for register in manifest["registers"]:
        fields = [each for each in register["fields"] if "reset" in each]
        if mask := sum((2 << each["msb"]) - (1 << each["lsb"]) for each in fields):
            word = sum(each["reset"] << each["lsb"] for each in fields)
            yield Check(register["name"], register["address"], mask, word)


def _estimator(made, reference):
    """Tensors of all types at once, each of which ends with its last beat; a reset in mid-stream; others with idle cycles."""
    beats = made.beats() // 2
    made.steps += [Restart(), replace(_tensors(made, reference, beats), paused=True, stop=beats), Restart()]
    reference.reset()
    for number in range(max(2, reference.epochs)):
        made.steps += [replace(_tensors(made, reference, beats), paused=number > 0), Settle()]
        made.steps.append(Outputs(_outputs(made, reference)))
    words = [word | index << 32 | t << 48 for t in range(reference.types) for index, word in enumerate(reference.raw(t))]
    made.steps.append(Statistics(made.add("type, index and word of raw statistics", _some(words, reference.rng))))


def _tensors(made, reference, beats):
    """A `Transfer` of beats of all types and of their ends, of which the reference is told."""
    cycles = reference.mixture(beats)
    ends = {int(np.flatnonzero(cycles.types == t)[-1]): t for t in set(cycles.types.tolist())}
    first = 0
    for row, t in sorted(ends.items()):
        reference.observe([(cycles, slice(first, row + 1))])
        reference.model.end(t, 0)
        first = row + 1
    keeps = cycles.keep @ (1 << np.arange(reference.lanes))
    values = {
        "tap_tdata": [int.from_bytes(row.astype("<u4").tobytes(), "little") for row in cycles.words],
        "tap_tuser": cycles.types.tolist(),
        "tap_tkeep": keeps.tolist(),
        "end_valid": [int(row in ends) for row in range(beats)],
        "end_type": [ends.get(row, 0) for row in range(beats)],
    }
    parts = made.parts["tap"]
    widths = [made.ports[part]["width"] for part in parts]
    rows = [_joined(row, widths) for row in zip(*(values[part] for part in parts), strict=True)]
    return Transfer({"tap": made.add(", ".join(reversed(parts)), rows)})


def _outputs(made, reference):
    """What the ports of an estimator must have once it has settled."""
    biases, settled = zip(*map(reference.bias, range(reference.types)), strict=True)
    values = {"bias": biases, "settled": settled, "busy": [0] * reference.types}
    if "mean" in made.ports:
        raw = [reference.model.raw(t) for t in range(reference.types)]
        values |= {name: [each[name] for each in raw] for name in ("mean", "max")}
    return {
        name: _joined([int(value) for value in each], [made.ports[name]["width"] // reference.types] * reference.types)
        for name, each in values.items()
    }


def _some(rows, rng):
    """All rows, or of many some at random, in their order."""
    chosen = np.sort(rng.permutation(len(rows))[:_STATISTICS])
    return [int(rows[index]) for index in chosen]


class _Registers:
    """Registers of a memory port, written and checked by steps that the model follows."""

    def __init__(self, made, reference):
        self.made, self.reference = made, reference
        self.addresses = {name: register["address"] for name, register in reference.registers.items()}

    def write(self, name, **fields):
        self.made.steps.append(Write(name, self.addresses[name], self.reference.pack_fields(name, fields)))
        for kind in ("clears", "ends", "starts"):
            for t in self.reference.apply(kind, PortWrite(0, name, fields)):
                self.reference.port.end_pass(t)

    def check(self, name, wait=False, **fields):
        """Of the fields that are given."""
        mask = self.reference.pack_fields(name, {field: self._ones(name, field) for field in fields})
        word = self.reference.pack_fields(name, fields)
        self.made.steps.append(Check(name, self.addresses[name], mask, word, wait))

    def _ones(self, name, field):
        (found,) = (each for each in self.reference.registers[name]["fields"] if each["name"] == field)
        return (2 << found["msb"] - found["lsb"]) - 1


def _port(made, reference):
    """Registers after reset; then tensors of all types in changing modes, with bypass, and after each round the registers."""
    types = reference.types
    length = max(3, min(_TENSOR, 2 * made.beats() // types))
    made.steps += [
        Restart(),
        *_after_reset(made.manifest),
        replace(_through(made, reference, length), paused=True, stop=length),
    ]
    made.steps += [Restart(), *_after_reset(made.manifest)]
    reference.reset()
    registers = _Registers(made, reference)
    for number in range(_ROUNDS):
        for t in range(types):
            mode, estimator = (names[(t + number) % len(names)] for names in (reference.modes, reference.names))
            codes = {"mode": MODES.index(mode), "estimator": list(ESTIMATORS).index(estimator)}
            registers.write(f"CONTROL{t}", **codes, end_on_epoch=number % 2)
            registers.check(f"CONTROL{t}", **codes)
            forced = (t + number) % 3 == 0
            registers.write(f"FORCE{t}", enable=int(forced), bias=int(reference.rng.integers(64)) * forced)
        made.steps.append(replace(_through(made, reference, length), paused=number > 0))
        if number % 2:
            registers.write("EPOCH", types=2**types - 1)
        for t in range(types):
            registers.check(f"STATUS{t}", wait=True, busy=0)
            _check_state(registers, t)
    index = reference.raw_statistics
    words = [
        reference.pack_fields("STAT_INDEX", place | {"type": t}) << 32 | state[name]
        for t in range(types)
        for state in [reference.state(t)]
        for name, place in index.items()
    ]
    made.steps.append(Statistics(made.add("STAT_INDEX and STAT_DATA", _some(words, reference.rng))))


def _through(made, reference, length):
    """A `Transfer` of a tensor of every type and of bypass, of so many beats each, to memory and back."""
    beats = reference.interleave(
        [*reference.tensors(length), reference.no_tensor(length)], burst=int(reference.rng.integers(1, 4))
    )
    written = reference.port.write(beats)
    memory = made.add_beats("m_mem", reference.stream(written))
    core = [
        made.add_beats(name, reference.stream(each))
        for name, each in (("s_core", beats), ("m_core", reference.port.read(written)))
    ]
    return Transfer({"s_core": core[0], "m_mem": memory, "s_mem": memory, "m_core": core[1]})


def _check_state(registers, t):
    """Checks of what the registers say of a type."""
    state = registers.reference.state(t)
    registers.check(f"BIAS{t}", current=state["BIAS.current"], next=state["BIAS.next"])
    registers.check(f"STATUS{t}", **{name: state[f"STATUS.{name}"] for name in ("settled", "open", "mode")})
    flags = registers.reference.unpack_fields(f"FLAGS{t}", state["FLAGS"])
    registers.check(f"FLAGS{t}", **flags)
    registers.write(f"FLAGS{t}", **flags)
    if "alpha" in state:
        exponent, fraction = divmod(state["alpha"], 2**ALPHA_FRACTION_BITS)
        registers.check(f"S2_ENCODE{t}", alpha_exponent=exponent, alpha_fraction=fraction, mean=state["mean"])
        registers.check(f"S2_DECODE{t}", inverse=state["inverse"])
