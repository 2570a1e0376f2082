"""A scoreboard beside any emitted design with one AXI4-Stream in: what goes in, and what must come out of every stream."""

from cocotbext.axi import AxiStreamFrame
from narrowfloat.golden.reference import Interface, Stream, load

INPUT = "s_axis"


class Scoreboard:
    """Makes traffic, predicts what leaves, and compares.

    Beats travel as cocotbext-axi sees them with `byte_lanes=1`: each is one element of a frame, TDATA as a whole.

    Parameters
    ----------
    manifest : dict
        MODULE.json of the design.
    rng : numpy.random.Generator
        What traffic is drawn from.

    Attributes
    ----------
    outputs : list of str
        The streams that leave, by the prefixes of their ports.
    """

    def __init__(self, manifest, rng):
        self.manifest, self.reference = manifest, load(manifest, rng)
        valid = [
            port["name"] for port in manifest["ports"] if port["direction"] == "output" and port["name"].endswith("_tvalid")
        ]
        self.outputs = [name.removesuffix("_tvalid") for name in valid]

    def frames(self, beats):
        """Frames of so many new beats, about; what must leave for them is expected from now on."""
        self.traffic = self.reference.sample(beats)
        self.traffic.last[-1] = True
        expected = self.reference.model(self.traffic)
        self.expected = {"m_axis": expected} if isinstance(expected, Stream) else expected
        return list(_frames(Interface(self.manifest, INPUT).pack(self.traffic)))

    def count(self, name):
        """How many frames must leave in the stream of that name."""
        return int(self.expected[name].last.sum())

    def check(self, name, frames):
        """Compare all frames that left in a stream; AssertionError says what was wrong first.

        Both sides are compared as the module's ports have them: unsigned, and with the padding of TDATA.
        """
        left = [beat for frame in frames for beat in _beats(frame)]
        wanted = Interface(self.manifest, name).pack(self.expected[name])
        assert len(left) == len(wanted), f"{name}: {len(left)} beats left, not {len(wanted)}"
        for number, (found, want) in enumerate(zip(left, wanted, strict=True)):
            assert found == want, self.difference(name, number, found, want)

    def difference(self, name, number, found, want):
        """In words, the first field in which a beat that left is wrong."""
        interface = Interface(self.manifest, name)
        found, want = interface.unpack([found]), interface.unpack([want])
        origin = int(self.expected[name].origin[number])
        for kind in ("data", "user"):
            for field, columns in getattr(want, kind).items():
                for column, value in enumerate(columns[0]):
                    wrong = getattr(found, kind)[field][0, column]
                    if wrong != value:
                        got, right = (self.reference.spell(field, each, self.traffic, origin) for each in (wrong, value))
                        operand = self.reference.describe(self.traffic, origin, column)
                        return f"{name}, beat {number}, {field} {column}: {operand}: got {got}, want {right}"
        return f"{name}, beat {number}: TLAST or padding is wrong"


def _frames(beats):
    """Beats (TDATA, TUSER, TLAST) as frames."""
    frame = []
    for data, user, last in beats:
        frame.append((data, user))
        if last:
            tdata, tuser = zip(*frame, strict=True)
            yield AxiStreamFrame(tdata=tdata, tuser=list(tuser))
            frame = []


def _beats(frame):
    """The beats (TDATA, TUSER, TLAST) of a frame; TUSER is 0 where there is none."""
    size = len(frame.tdata)
    users = frame.tuser or [0] * size
    return [(data, user, number == size - 1) for number, (data, user) in enumerate(zip(frame.tdata, users, strict=True))]
