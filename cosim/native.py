"""Emitted designs at native speed: compiled by Verilator into a shared library that works off whole arrays.

This is for arithmetic, where the number of vectors counts: a beat goes in and one comes out with every clock. Idle cycles and
back-pressure are for the benches.
"""

import ctypes
import json
from typing import ClassVar

import numpy as np
from narrowfloat.cosim import build
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.reference.streams import Port

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_uint64


class Native:
    """An instance of an emitted design with a driver in C++.

    Parameters
    ----------
    manifest : pathlib.Path
        The MODULE.json of the design, beside its MODULE.v.

    Raises
    ------
    narrowfloat.tools.ToolError
        Verilator or the C++ compiler is missing or fails.
    """

    driver: str
    functions: dict  # of the driver, by name: the type of the result, and those of the arguments

    def __init__(self, manifest):
        self.manifest = json.loads(manifest.read_text())
        self._library = ctypes.CDLL(str(build.library(manifest.with_suffix(".v"), self.driver)))
        for name, (result, *arguments) in self.functions.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._library.model_new.restype = _POINTER
        self._handle = _POINTER(self._library.model_new())

    def __del__(self):
        if hasattr(self, "_handle"):
            self._library.model_delete(self._handle)


class Model(Native):
    """An instance of an emitted design with the ports of `hdl.parts.axi.AxiStreamTop`."""

    driver = "native.cpp"
    functions: ClassVar = {
        "model_run": (_NUMBER, _POINTER, _NUMBER, _NUMBER, _POINTER, _POINTER, ctypes.c_bool, _POINTER, _POINTER),
        "model_gather": (_NUMBER, _POINTER, _NUMBER, _NUMBER, *[_POINTER] * 5),
    }

    def __init__(self, manifest):
        super().__init__(manifest)
        names = "s_axis_tdata", "s_axis_tuser", "m_axis_tdata", "m_axis_tuser"
        self._input, self._input_user, self._output, self._output_user = (Port(self.manifest, name) for name in names)

    @property
    def lanes(self):
        """How many values a beat has."""
        return self.manifest["parameters"]["lanes"]

    @property
    def user_fields(self):
        """Names of the fields that go in beside the lanes."""
        return self._input_user.fields.keys()

    def run(self, lanes, **user):
        """Send beats and return those that come out. The block's state goes on where the last run left it.

        Other threads may run other instances meanwhile.

        Parameters
        ----------
        lanes : numpy.ndarray or dict
            Unsigned integers, shape (beats, lanes), or such arrays by field name.
        user : numpy.ndarray or int
            A value for each name in `user_fields`: shape (beats,), or (beats, lanes) of a field that each lane has. If all are
            scalars, they hold for all beats.

        Returns
        -------
        lanes : numpy.ndarray
            Of the smallest unsigned dtype; shape (beats, lanes).
        user : dict
            Arrays (beats, 1), or (beats, lanes), by field name.

        Raises
        ------
        ValueError
            Fields are missing, unknown or of a wrong shape, or a value does not fit into its field.
        TypeError
            Values are not integers.
        narrowfloat.cosim.report.Mismatch
            The block did not take or return a beat in its cycle.
        """
        lanes = lanes if isinstance(lanes, dict) else {"lane": lanes}
        beats = len(next(iter(lanes.values())))
        if user.keys() != self.user_fields:
            raise ValueError(f"user fields must be {', '.join(self.user_fields) or 'none'}, not {', '.join(user) or 'none'}")
        same_user = all(np.ndim(values) == 0 for values in user.values())
        s_data = self._input.pack(beats, lanes)
        s_user = self._input_user.pack(1 if same_user else beats, user)
        m_data, m_user = (np.empty((beats, port.words), np.uint32) for port in (self._output, self._output_user))
        done = self._library.model_run(
            *(self._handle, beats, self.manifest["latency"]["m_axis"]),
            *(s_data.ctypes.data, s_user.ctypes.data, same_user, m_data.ctypes.data, m_user.ctypes.data),
        )
        if done != beats:
            raise Mismatch(f"{self.manifest['module']}: beat {done} was not taken at once, or not returned after its latency")
        return self._output.unpack(m_data)["lane"], self._output_user.unpack(m_user)

    def gather(self, lanes, last, **user):
        """Send beats to a block that gives one result for all of them up to one with `last`, and return the results.

        Parameters
        ----------
        lanes : dict
            As for `run`.
        last : numpy.ndarray
            bool [beats].
        user : numpy.ndarray
            As for `run`.

        Returns
        -------
        data, user : dict
            Arrays of the smallest unsigned dtype, (results, 1), by field name.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The block did not take a beat in its cycle, or gave another number of results.
        """
        beats, results = len(last), int(last.sum())
        s_data, s_user = self._input.pack(beats, lanes), self._input_user.pack(beats, user)
        s_last = last.astype(np.uint8)
        # one more than all beats may give
        m_data, m_user = (np.empty((beats + 1, port.words), np.uint32) for port in (self._output, self._output_user))
        got = self._library.model_gather(
            *(self._handle, beats, self.manifest["latency"]["m_axis"]),
            *(array.ctypes.data for array in (s_data, s_user, s_last, m_data, m_user)),
        )
        if got != results:
            found = f"{got} results instead of {results}" if got <= beats else "a beat that was not taken at once"
            raise Mismatch(f"{self.manifest['module']}: {found}")
        return self._output.unpack(m_data[:results]), self._output_user.unpack(m_user[:results])
