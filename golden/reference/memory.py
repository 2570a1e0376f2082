"""The memory port at the level of its interfaces: tensors for it, and what it must do in the order in which things happened."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.golden import s2fp8
from narrowfloat.golden.float_codec import encode
from narrowfloat.golden.memory import ESTIMATORS, MODES, OBSERVED, SQUEEZING, WORD_BYTES, CoreBeats, MemoryBeats
from narrowfloat.golden.memory import MemoryPort as Model
from narrowfloat.golden.memory.beats import kept_words
from narrowfloat.golden.reference.base import PortsReference
from narrowfloat.golden.reference.stimulus import random_words, random_words_in_range
from narrowfloat.golden.reference.streams import Interface, Stream
from narrowfloat.golden.statistics.readout import words as statistics_words

# Cycles after which an estimator's result must be there, whatever has ended; meanwhile it may be the one before.
SETTLING = 2000
RECENT = 8  # beats of which an estimator may not yet know
# Cycles after that in which a beat is taken in which it raises flags, but those of S2FP8.
RAISING = 2
_FLAGS = ("bypass", "packed", "squeezed", "flush", "own_bias")  # fields of TUSER that are one bit


class Difference(Exception):
    """The hardware did what the model does not allow; the message says what."""


@dataclass
class Write:
    """A register that was written: the cycle in which that took effect, its name, its fields."""

    cycle: int
    register: str
    fields: dict


class MemoryPort(PortsReference):
    """The port's model, which is told of beats and register writes in the order in which the hardware took them.

    A model without a clock cannot know in which cycle an estimator has finished: of a tensor that starts meanwhile the
    hardware's own bias or parameters are taken, if they are among those of the last `SETTLING` cycles.
    """

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.names, self.fmt = self.parameters["estimators"], self.port.fmt
        self.modes = MODES if self.parameters["s2fp8"] else MODES[:4]
        self.registers = {register["name"]: register for register in manifest["registers"]}

    def reset(self):
        names = ("lanes", "types", "fmt", "overflow", "s2fp8", "initial_bias", "bias_min", "bias_max")
        own = {name: self.parameters[name] for name in names}
        counters = {"cnt_width": self.parameters["cnt_width"]}
        estimators = {name: {} if name == "tracker" else counters for name in self.parameters["estimators"]}
        self.port = Model(**own, estimators=estimators)
        self.moments = {}

    # Traffic

    def encoding(self, t, number=0):
        """A mode of type `t` that encodes and is observed: with S2FP8 this for one type, that for the next."""
        return "s2fp8" if "s2fp8" in self.modes and (t + number) % 2 else "fp8"

    def encodings(self, number=0):
        """That of every type."""
        return [self.encoding(t, number) for t in range(self.types)]

    def tensors(self, beats, make=None):
        """A random `tensor` of every type."""
        return [self.tensor(t, beats, make) for t in range(self.types)]

    def tensor(self, t, beats, make=None):
        """A random tensor of a type, with some bytes not kept; ``make(number)`` gives other words."""
        number = beats * self.lanes - self.rng.integers(self.lanes)
        x = self.rng.standard_normal(number).astype(np.float32) * np.float32(2.0 ** self.rng.integers(-20, 5))
        x[self.rng.random(number) < 0.05] = 0
        random = self.rng.random(number) < 0.1
        words = np.where(random, random_words_in_range(self.rng, self.fmt, np.full(number, 15)), x.view(np.uint32))
        tensor = CoreBeats.of_tensor(words if make is None else make(number), t, lanes=self.lanes)
        rows = self.rng.random(beats) < 0.05
        tensor.keep[rows] &= self.rng.random(tensor.keep[rows].shape) < 0.7
        tensor.flush = self.rng.random(beats) < 0.05
        return tensor

    def random_words(self, number):
        """Any FP32 words, as ``make`` of `tensor`."""
        return random_words(self.rng, number)

    def no_tensor(self, beats):
        """Beats that pass untouched and, where they can be, some that have a bias of their own."""
        traffic = self.bypass(beats)
        if self.parameters["bias_port"]:
            traffic.own_bias = self.rng.random(beats) < 0.7
            traffic.bypass &= ~traffic.own_bias | (self.rng.random(beats) < 0.1)
            # Some in a row with the same.
            traffic.bias = np.repeat(self.rng.integers(64, size=beats), 3)[:beats].astype(np.uint8)
            traffic.type = np.repeat(self.rng.integers(self.types, size=beats), 5)[:beats].astype(np.uint8)
            traffic.words = random_words_in_range(self.rng, self.port.fmt, np.repeat(traffic.bias.astype(int), self.lanes))
            traffic.words = traffic.words.reshape(beats, self.lanes)
            traffic.flush = self.rng.random(beats) < 0.1
        return traffic

    def bypass(self, beats):
        """Beats that pass untouched."""
        traffic = CoreBeats.of_tensor(random_words(self.rng, beats * self.lanes), 0, lanes=self.lanes)
        traffic.bypass[:] = True
        traffic.type[:] = self.rng.integers(self.types, size=beats)
        traffic.keep[:] = self.rng.random(traffic.keep.shape) < 0.9
        traffic.last[:-1] = self.rng.random(beats - 1) < 0.1
        return traffic

    def interleave(self, streams, burst=1):
        """The beats of all `streams` mixed at random, each stream in its own order; about `burst` in a row from the same one.

        The last beat of the last stream has TLAST.
        """
        owners = np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])
        order = self.rng.permutation(-(-len(owners) // burst))
        owners = owners[np.argsort(np.repeat(order, burst)[: len(owners)], kind="stable")]
        return CoreBeats.join(streams)[np.argsort(np.argsort(owners, kind="stable"))]

    def memory_contents(self, beats):
        """Whatever a memory may hold: any slots and bytes kept, or none, any bias with every beat, bypass that is packed."""
        widths = Interface(self.manifest, "s_mem").user.widths
        user = {name: self.rng.integers(2**width, size=beats) for name, width in widths.items()}
        keep = self.rng.random((beats, WORD_BYTES * self.lanes)) < self.rng.choice([0, 0.1, 1, 1], size=(beats, 1))
        last = np.append(self.rng.random(beats - 1) < 0.2, True)
        words = random_words(self.rng, (beats, self.lanes))
        return self.beats("s_mem", Stream({"lane": words}, user, last, keep=keep))

    # Ports

    def stream(self, beats):
        """The `Stream` of `CoreBeats` or `MemoryBeats`."""
        words = beats.words if isinstance(beats, CoreBeats) else np.ascontiguousarray(beats.bytes).view("<u4")
        return Stream({"lane": words}, vars(beats), beats.last, keep=beats.keep)

    def beats(self, name, stream):
        """The `CoreBeats` or `MemoryBeats` of the interface of that name, of their `Stream`."""
        user = {"type": np.zeros(len(stream), np.uint8)} | {field: values.ravel() for field, values in stream.user.items()}
        user |= {field: user[field].astype(bool) for field in _FLAGS if field in user}
        words = np.ascontiguousarray(stream.data["lane"])
        if name.endswith("core"):
            return CoreBeats(words, stream.keep, last=stream.last, **user)
        return MemoryBeats(words.view(np.uint8), stream.keep, last=stream.last, **user)

    def pack_fields(self, register, values):
        """A register's word of its fields by name; ValueError if it has no such field."""
        places = {field["name"]: field["lsb"] for field in self.registers[register]["fields"]}
        if unknown := values.keys() - places.keys():
            raise ValueError(f"{register} has no field {', '.join(sorted(unknown))}")
        return sum(value << places[name] for name, value in values.items())

    def unpack_fields(self, register, word):
        """The fields of a register's word: int by name."""
        fields = self.registers[register]["fields"]
        return {field["name"]: word >> field["lsb"] & 2 ** (field["msb"] - field["lsb"] + 1) - 1 for field in fields}

    # What must come

    def replay(self, beats, cycles, packs, writes, end, missed):
        """What must be written to memory, given what happened; the model follows.

        Parameters
        ----------
        beats : CoreBeats
            What the core wrote, in the order in which it was taken.
        cycles : list of int
            The cycle in which each was taken.
        packs : MemoryBeats
            What the hardware wrote, of which only biases and parameters of tensors are looked at.
        writes : list of Write
        end : int
            The cycle in which all is over.
        missed : dict
            Of estimators, by name and type, how many values they have missed since reset, where that is to be followed.

        Raises
        ------
        Difference
            A tensor has a bias or parameters that it cannot have.
        """
        return _Replay(self, beats, cycles, packs, missed).run(writes, end)

    def apply(self, kind, write):
        """Do to the model what writing a register does; the types whose epoch ends.

        A write takes effect in three steps: at once on flags ("clears"), which beats raise `RAISING` cycles later, in the next
        cycle on ends of passes ("ends"), and one later on tensors that start ("starts").
        """
        register, values, port = write.register, write.fields, self.port
        if self.refused(register, values):
            return set()
        t = int(register[-1]) if register[-1].isdigit() else 0
        if register.startswith("CONTROL"):
            if kind == "ends":
                port.end_on_epoch[t] = bool(values["end_on_epoch"])
            elif kind == "starts":
                port.mode[t] = MODES[values["mode"]]
                port.estimator[t] = list(ESTIMATORS)[values["estimator"]]
        elif register.startswith("FORCE") and kind == "starts":
            port.force[t] = values["bias"] if values["enable"] else None
        elif register.startswith("FLAGS") and kind == "clears":
            port.clear_flags(t, self.pack_fields(register, values))
        elif register == "MOMENTS":
            self.moments = values
        elif register == "LOAD" and kind == "starts":
            mean, largest = (self.moments[f"{name}_whole"] << 8 | self.moments[f"{name}_fraction"] for name in ("mean", "max"))
            for of in range(self.types):
                if values["types"] >> of & 1:
                    port.load(of, mean, largest)
        elif register == "EPOCH" and kind == "ends":
            return {of for of in range(self.types) if values["types"] >> of & 1 and port.end_on_epoch[of]}
        return set()

    def refused(self, register, values):
        """Whether a write of these fields answers SLVERR: one is an encoding that does not have the value."""
        fields = self.registers[register]["fields"]
        encoded = [field for field in fields if "values" in field and field["access"] == "rw" and field["name"] in values]
        return any(values[field["name"]] not in field["values"].values() for field in encoded)

    def state(self, t):
        """What the registers must say of a type: ints by name, raw statistics as "estimator.statistic"."""
        port = self.port
        chosen = port.estimators[port.estimator[t]]
        state = {
            "BIAS.current": port.bias[t],
            "BIAS.next": port.next_bias(t),
            "FLAGS": int(port.flags[t]),
            "STATUS.settled": int(chosen.settled[t]),
            "STATUS.open": int(port.open[t]),
            "STATUS.mode": MODES.index(port.tensor_mode[t] if port.open[t] else port.mode[t]),
        }
        if "s2fp8" in self.modes:
            state |= vars(port.parameters[t]) | {"alpha": port.parameters[t].alpha % 2**s2fp8.ALPHA_BITS}
        for name in self.names:
            statistics = self.manifest["statistics"][name]
            raw = statistics_words(port.estimators[name].raw(t), statistics)
            state |= {f"{name}.{statistic}": int(word) for statistic, word in zip(statistics, raw, strict=True)}
        return state

    def read_state(self, t, words):
        """What the registers do say of a type, as `state` but for raw statistics; `words` are those of `state_registers`."""
        found = {name: self.unpack_fields(f"{name}{t}", word) for name, word in words.items()}
        state = {f"BIAS.{name}": found["BIAS"][name] for name in ("current", "next")} | {"FLAGS": words["FLAGS"]}
        state |= {f"STATUS.{name}": found["STATUS"][name] for name in ("settled", "open", "mode")}
        if "S2_ENCODE" in found:
            encode = found["S2_ENCODE"]
            alpha = encode["alpha_exponent"] << s2fp8.ALPHA_FRACTION_BITS | encode["alpha_fraction"]
            state |= {"alpha": alpha, "mean": encode["mean"], "inverse": found["S2_DECODE"]["inverse"]}
        return state

    @property
    def state_registers(self):
        """The registers that `read_state` looks at, without the type."""
        return ("BIAS", "FLAGS", "STATUS", "S2_ENCODE", "S2_DECODE")[: 5 if "s2fp8" in self.modes else 3]

    @property
    def raw_statistics(self):
        """By name as in `state`, the fields of STAT_INDEX with which they are read, but for the type."""
        return {
            f"{name}.{statistic}": {"estimator": list(ESTIMATORS).index(name), "index": index}
            for name in self.names
            for index, statistic in enumerate(self.manifest["statistics"][name])
        }

    def check_codes(self, beats, packs):
        """Hold codes against the biases or parameters that they were written with, whatever these are.

        Raises
        ------
        Difference
            A code is another, or bias or parameters changed within a tensor.
        """
        for t in range(self.types):
            of_type = packs[packs.type == t]
            for name in ("bias", "mean", "inverse"):
                breaks = np.flatnonzero(np.diff(getattr(of_type, name).astype(int)))
                if not of_type.last[breaks].all():
                    raise Difference(f"{name} of type {t} changed within a tensor")
            sources = of_type[np.repeat(np.arange(len(of_type)), of_type.keep.sum(axis=1))]
            x = beats[beats.type == t].kept_words().view(np.float32)
            if self.port.mode[t] in SQUEEZING:
                alphas = _alphas_by_inverse()
                alpha = np.array([alphas[inverse] for inverse in sources.inverse.tolist()])
                codes = s2fp8.encode(x, alpha, sources.mean, overflow=self.port.overflow)
            else:
                codes = encode(x, self.fmt, bias=sources.bias, overflow=self.port.overflow)
            if not np.array_equal(of_type.bytes[of_type.keep], codes):
                raise Difference(f"codes of type {t} are wrong")


class _Replay:
    """One replay: events in their order, and what they leave to do."""

    def __init__(self, reference, beats, cycles, packs, missed):
        self.reference, self.port, self.types = reference, reference.port, reference.types
        self.beats, self.cycles, self.missed = beats, cycles, missed
        self.in_tensor = beats.in_tensor
        of_tensors = packs[packs.packed & packs.last & ~packs.own_bias]
        ends = {t: of_tensors[of_tensors.type == t] for t in range(self.types)}
        self.hardware = {t: zip(of.bias.tolist(), of.mean.tolist(), of.inverse.tolist(), strict=True) for t, of in ends.items()}
        self.history = {t: [] for t in range(self.types)}
        self.waiting = set()  # types whose pass has ended and whose estimators are still to be told
        self.results = []

    def run(self, writes, end):
        """All events; the `MemoryBeats` that must be written."""
        port, together = self.port, []  # beats between which nothing happens

        def write_together(cycle):
            if together:
                self.results.append(port.write(self.beats[np.array(together)]))
                together.clear()

        self.note(-SETTLING)
        opens, alone = self._opening()
        served_before = 0
        for cycle, kind, what in self._events(writes):
            if kind != "beat" or self.waiting or alone[what]:
                write_together(cycle)
                self.note(cycle)
            while self.waiting and served_before < cycle:  # cycles without a beat
                self.serve(served_before)
                served_before += 1
            served_before = max(served_before, cycle)
            if kind != "beat":
                self.waiting |= self.reference.apply(kind, what)
                self.note(cycle)
                continue
            t = int(self.beats.type[what])
            chosen = port.force[t], port.next_parameters[t]
            if opens[what] and MODES.index(port.mode[t]) >= MODES.index("fp8"):
                self._take_from_hardware(t, cycle)
            together.append(what)
            if self.waiting or alone[what]:
                write_together(cycle)
                port.force[t] = chosen[0]
                port.use(t, chosen[1])
                self.note(cycle)
                observed = self.in_tensor[what] and port.tensor_mode[t] in OBSERVED
                if self.waiting and not (observed and self.beats.last[what] and not port.end_on_epoch[t]):
                    self.serve(cycle)
            served_before = cycle + 1
        write_together(end)
        while self.waiting:
            self.serve(end)
        return MemoryBeats.join(self.results)

    def _events(self, writes):
        """(cycle, kind, what) in their order."""
        kinds = {"clears": -RAISING, "ends": 1, "starts": 2}
        events = [
            (write.cycle + later, place, kind, write) for write in writes for place, (kind, later) in enumerate(kinds.items())
        ]
        events += [(cycle, len(kinds), "beat", index) for index, cycle in enumerate(self.cycles)]
        return [(cycle, kind, what) for cycle, _, kind, what in sorted(events, key=lambda event: event[:2])]

    def note(self, cycle):
        """Keep what tensors that start now would have."""
        for t in range(self.types):
            self.history[t].append((cycle, self.port.next_bias(t), self.port.next_parameters[t]))

    def serve(self, cycle):
        """End the pass of the lowest type that waits: estimators miss what they say they have missed."""
        t = min(self.waiting)
        self.waiting.discard(t)
        beats = self.beats
        rest = [i for i, at in enumerate(self.cycles) if at > cycle and beats.type[i] == t and self.in_tensor[i]]
        kept = np.cumsum(kept_words(beats.keep[rest]).sum(axis=1)) if rest else np.zeros(0, int)
        late = {}
        for (name, of), number in self.missed.items():
            if of == t:
                new = number - self.port.estimators[name].raw(t).get("missed", 0)
                late[name] = int(np.searchsorted(kept, new) + 1) if new > 0 else 0
        self.port.end_pass(t, late=late)
        self.note(cycle)

    def _opening(self):
        """Which beats begin a tensor; and which ones, those and a few before each, the model is given one by one."""
        beats = self.beats
        opens = np.zeros(len(beats), bool)
        for t in range(self.types):
            rows = np.flatnonzero(self.in_tensor & (beats.type == t))
            opens[rows[:1]] = True
            opens[rows[1:]] = beats.last[rows[:-1]]
        alone = opens.copy()
        for distance in range(1, RECENT + 1):
            alone[:-distance] |= opens[distance:]
        return opens, alone

    def _take_from_hardware(self, t, cycle):
        """Let a tensor that starts have the bias or parameters that it has in hardware, if they are not too old."""
        port = self.port
        bias, mean, inverse = next(self.hardware[t], (None, 0, 0))
        recent = [entry for entry in self.history[t] if cycle - SETTLING < entry[0] <= cycle]
        recent += [entry for entry in self.history[t] if entry[0] <= cycle - SETTLING][-1:]
        if port.mode[t] in SQUEEZING:
            allowed = {(each.mean, each.inverse): each for _, _, each in recent}
            if (mean, inverse) in allowed:
                port.use(t, allowed[mean, inverse])
                return
            name, got = "mean and inverse", (mean, inverse)
        else:
            allowed = {bias for _, bias, _ in recent} if port.force[t] is None else {port.force[t]}
            if bias in allowed:
                port.force[t] = bias
                return
            name, got = "bias", bias
        raise Difference(f"{name} of type {t} in cycle {cycle}: got {got}, want one of {sorted(allowed)}")


def difference(got, want):
    """In words, the first difference between beats of either side, or None; bytes that are not kept may be anything."""
    if len(got) != len(want):
        return f"got {len(got)} beats, want {len(want)}"
    of_whom = "type", "bypass", "packed", "own_bias", "squeezed"
    for name in ("keep", *of_whom, "bias", "mean", "inverse", "last", "words", "bytes"):
        if not hasattr(want, name):
            continue
        left, right = getattr(got, name), getattr(want, name)
        if name in ("words", "bytes"):
            left, right = (np.where(want.keep, np.ascontiguousarray(each).view(np.uint8), 0) for each in (left, right))
        differs = (left != right).reshape(len(want), -1).any(axis=1)
        if differs.any():
            row = int(np.argmax(differs))
            seen, due = (_spell(getattr(beats, name)[row]) for beats in (got, want))
            return f"beat {row} of type {want.type[row]}: {name}: got {seen}, want {due}; {differs.sum()} differ"
    return None


def _alphas_by_inverse():
    """alpha by 1 / alpha; of all that statistics can give, no two have the same."""
    steps = 1 << s2fp8.ALPHA_FRACTION_BITS
    return {s2fp8.inverse(alpha): alpha for alpha in range(-5 * steps, 7 * steps)}


def _spell(value):
    return value.tobytes().hex() if np.ndim(value) else str(value)
