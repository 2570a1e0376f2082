"""Two trainings in step, each with its port; all that passes is compared."""

import numpy as np
from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.training_loop.training import TYPES, Ask, Load, Store
from narrowfloat.golden.memory import CoreBeats
from narrowfloat.golden.reference.base import spell_code, spell_float32


class _Side:
    """A training with its port and what lies in memory."""

    def __init__(self, training, port):
        self.training, self.port = training, port
        self._requests = training.run()
        self._answer = None
        self._memory = {}
        self.weights = None

    def ask(self):
        """The training's next request, None when it has ended."""
        try:
            return self._requests.send(self._answer)
        except StopIteration as end:
            self.weights = end.value
            return None

    def serve(self, request):
        """Serve a request; returns what the port gave."""
        if isinstance(request, Ask):
            self._answer = getattr(self.port, request.name)(**request.arguments)
            return self._answer
        if isinstance(request, Store):
            beats = CoreBeats.of_tensor(request.values, request.type or 0, lanes=self.port.lanes)
            beats.bypass[:] = request.type is None
            stored = self.port.write(beats, request.type)
            self._memory[request.name] = stored, request.values.shape
            self._answer = None
            return stored
        stored, shape = self._memory[request.name]
        loaded = self.port.read(stored)
        words = loaded.kept_words()
        # the comparison reports a wrong number of words
        self._answer = words.view(np.float32).reshape(shape) if words.size == np.prod(shape) else None
        return loaded

    def bias(self, name):
        """The bias with which the tensor `name` was stored; 0 if it is not encoded."""
        return int(self._memory[name][0].bias[0])


def lockstep(hardware, model, advance=lambda: None):
    """Run two trainings, each with its port, and compare all that passes.

    Parameters
    ----------
    hardware, model : tuple
        Of a `Training` and a `Hardware` or `Model`.
    advance : callable
        Is called after every step.

    Returns
    -------
    words : int
        How many have been written and read.

    Raises
    ------
    narrowfloat.cosim.report.Mismatch
        With the step, the tensor, the index of its first value that differs, and what was got and wanted.
    """
    ours, theirs = _Side(*hardware), _Side(*model)
    fmt = theirs.port.port.fmt
    words, step = 0, 0
    while True:
        request, wanted = ours.ask(), theirs.ask()
        try:
            if request is None and wanted is None:
                for layer, (got, want) in enumerate(zip(ours.weights, theirs.weights, strict=True), start=1):
                    _compare_words(f"fc{layer}.state", "at the end", got.view(np.uint32), want.view(np.uint32), "0")
                return words
            if isinstance(request, Store):
                computed = (request.values.view(np.uint32), wanted.values.view(np.uint32))
                _compare_words(request.name, "computed", *computed, "none yet")
            got, want = ours.serve(request), theirs.serve(wanted)
            if isinstance(request, Store):
                _compare_stored(request, got, want, fmt)
                words += request.values.size
            elif isinstance(request, Load):
                _compare_loaded(request.name, got, want, ours.bias(request.name))
                words += got.words.size
            elif got != want:
                raise Mismatch(_difference(request, got, want))
        except Mismatch as mismatch:
            raise Mismatch(f"step {theirs.training.step}: {mismatch}") from None
        if theirs.training.step > step:
            step = theirs.training.step
            advance()


def _compare_words(name, when, got, want, bias):
    got, want = got.reshape(-1), want.reshape(-1)
    differs = got != want
    if differs.any():
        index = int(np.argmax(differs))
        raise Mismatch(
            f"{name} {when}, value {index}: got {spell_float32(got[index])}, want {spell_float32(want[index])}, "
            f"bias {bias}; {differs.sum()} differ"
        )


def _compare_stored(request, got, want, fmt):
    """Compare two `MemoryBeats` of the tensor that `request` stores."""
    name, count = request.name, request.values.size
    _compare_lengths(name, "in memory", got, want)
    if np.array_equal(got.packed, want.packed):
        packed = bool(want.packed[0])
        codes = [beats.bytes.view(np.uint8 if packed else np.uint32) for beats in (got, want)]
        differs = codes[0] != codes[1]
        differs |= (got.bias != want.bias)[:, None]
        differs = differs.reshape(-1)[:count]
        if differs.any():
            index = int(np.argmax(differs))
            row = index // codes[0].shape[1]
            spelled = [
                _spell_stored(code.reshape(-1)[index], beats, row, fmt) for code, beats in zip(codes, (got, want), strict=True)
            ]
            word = request.values.reshape(-1).view(np.uint32)[index]
            raise Mismatch(
                f"{name} in memory, value {index}, {spell_float32(word)}: got {spelled[0]}, want {spelled[1]}; "
                f"{differs.sum()} differ"
            )
    _compare_fields(name, "in memory", got, want)


def _spell_stored(code, beats, row, fmt):
    """A word as a message shows it, or a code with the parameters that decode it."""
    if not beats.packed[row]:
        return spell_float32(code)
    if beats.squeezed[row]:
        return f"{code:#04x} in S2FP8 with the mean {beats.mean[row]} and the inverse {beats.inverse[row]}"
    return f"{spell_code(code, fmt, beats.bias[row])} at bias {beats.bias[row]}"


def _compare_loaded(name, got, want, bias):
    """Compare two `CoreBeats` of the tensor `name`."""
    _compare_lengths(name, "read back", got, want)
    if np.array_equal(got.keep, want.keep):
        _compare_words(name, "read back", got.kept_words(), want.kept_words(), bias)
    _compare_fields(name, "read back", got, want)


def _compare_lengths(name, where, got, want):
    if len(got) != len(want):
        raise Mismatch(f"{name} {where}: got {len(got)} beats, want {len(want)}")


def _compare_fields(name, where, got, want):
    for part, expected in vars(want).items():
        found = getattr(got, part)
        differs = (found != expected).reshape(len(want), -1)
        if differs.any():
            beat = int(np.argmax(differs.any(axis=1)))
            raise Mismatch(f"{name} {where}, beat {beat}: {part}: got {found[beat]}, want {expected[beat]}")


def _difference(request, got, want):
    """Where two answers of the port's registers differ."""
    if request.name in ("bias", "squeeze"):
        got, want = (", ".join(map(str, answer.values())) for answer in (got, want))
        return f"{request.name} of the next {TYPES[request.arguments['type']]}: got {got}, want {want}"
    name = next(name for name in want if got[name] != want[name])
    return f"{name}: got {got[name]}, want {want[name]}"
