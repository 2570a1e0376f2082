"""One clock cycle of a testbench, in Verilog: what it offers and takes, and what it holds against the vectors."""

MARK_BITS = 32  # of the word by which a testbench knows its vectors
_SLOW = 40_000  # cycles that estimators may take
_PATIENCE = 1000  # cycles, beyond those that a beat takes
AXIL = ("aw", "w", "b", "ar", "r")


def range_of(width):
    """The range of a declaration of so many bits."""
    return f"[{width - 1}:0] " if width > 1 else ""


def literal(width, value):
    """A number of so many bits."""
    return f"{width}'h{value:x}"


class Cycle:
    """The task ``cycle`` for some `Vectors`, and what all parts of its testbench know.

    Parameters
    ----------
    made : hdl.files.vectors.Vectors
    sources : sequence of str
        The files of the design.
    """

    def __init__(self, made, sources):
        self.made, self.manifest, self.module, self.files = made, made.manifest, made.manifest["module"], sources
        self.ports = made.ports
        self.streams = list(made.parts)
        self.has_clock = "clk" in self.ports
        self.reset = next((name for name in ("rst", "rst_n") if name in self.ports), None)
        self.has_axil = "s_axil_awvalid" in self.ports
        self.reads = "read_enable" in self.ports
        self.width = max(
            MARK_BITS, 64 if "statistics" in self.manifest else 0, *(made.width(stream) for stream in self.streams)
        )
        self.index = max(1, (len(made.rows) - 1).bit_length())
        slow = self.manifest["initiation_interval"] + max(self.manifest["latency"].values())
        self.limit = _SLOW if self.reads or self.has_axil else _PATIENCE + 2 * slow
        self.after = 8 + slow

    def fail(self, condition, message, *values, indent=8):
        """A statement that ends the simulation with this message of `$display`, once."""
        text = "".join(f", {value}" for value in values)
        pad = " " * indent
        return (
            f'{pad}if (!failed && {condition}) begin\n{pad}  $display("FAIL: {self.module}: {message}"{text});\n'
            f"{pad}  stop;\n{pad}end"
        )

    def cycle(self):
        """The task."""
        clock = ["      clk = 1;", "      #5;", "      clk = 0;"] if self.has_clock else ["      #5;"]
        moves = [f"{stream}_moves" for stream in self.streams]
        moves += [f"{channel}_moves" for channel in AXIL] if self.has_axil else []
        moves += ["read_moves"] if self.reads else []
        lines = [
            "  // One clock cycle: inputs change while clk is low, and outputs are looked at before it rises.",
            "  task cycle;",
            "    begin",
            "      if (paused) shake;",
            *(line for number, name in enumerate(self.made.sources) for line in self._offer(name, number)),
            *(self._ready(name, number) for number, name in enumerate(self.made.sinks, len(self.made.sources))),
            "      #5;",
            *(f"      {move} = 0;" for move in moves),
            "      if (!in_reset) begin",
            *(line for name in self.made.sources for line in self._look_at_source(name)),
            *(line for name in self.made.sinks for line in self._look_at_sink(name)),
            *([self.fail("discarded !== 1'b0", "discarded is %b", "discarded")] if "discarded" in self.ports else []),
            *(self._look_at_axil() if self.has_axil else []),
            *(
                ["        read_moves = read_enable && read_done === 1'b1;", "        if (read_moves) seen = read_data;"]
                if self.reads
                else []
            ),
            "      end",
            *clock,
            "      cycles = cycles + 1;",
            f"      quiet = {' || '.join(moves)} ? 0 : quiet + 1;",
            *(line for name in self.streams for line in self._moved(name)),
            *(self._moved_axil() if self.has_axil else []),
            *(["      if (read_moves) read_enable = 0;"] if self.reads else []),
            *self._patience(),
            "    end",
            "  endtask",
            "",
        ]
        return "\n".join(lines)

    def _row(self, stream, suffix=""):
        parts = ", ".join(f"{part}{suffix}" for part in reversed(self.made.parts[stream]))
        top = self.made.width(stream) - 1
        return f"{{{parts}}} = vectors[{stream}_next[{self.index - 1}:0]][{top}:0];"

    def _offer(self, stream, number):
        pause = f"paused && noise[{4 * number + 3}:{4 * number}] < idle"
        return [
            f"      if (!in_reset && !{stream}_tvalid && {stream}_next < {stream}_end && !({pause})) begin",
            f"        {self._row(stream)}",
            f"        {stream}_tvalid = 1;",
            "      end",
        ]

    def _ready(self, stream, number):
        return f"      {stream}_tready = !in_reset && !(paused && noise[{4 * number + 3}:{4 * number}] < stall);"

    def _look_at_source(self, stream):
        if f"{stream}_tready" not in self.ports:
            return [f"        {stream}_moves = {stream}_tvalid;"]
        known = f"{stream}_tready !== 1'b0 && {stream}_tready !== 1'b1"
        return [
            self.fail(known, f"{stream}_tready is %b", f"{stream}_tready"),
            f"        {stream}_moves = {stream}_tvalid && {stream}_tready === 1'b1;",
        ]

    def _look_at_sink(self, stream):
        """A beat is compared as long as it waits, so that one that changes is found."""
        valid, beat = f"{stream}_tvalid", f"beat %0d of {stream}"
        number = f"{stream}_next - {stream}_first"
        lines = [
            self.fail(f"{valid} !== 1'b0 && {valid} !== 1'b1", f"{valid} is %b", valid),
            self.fail(f"{valid} === 1'b0 && {stream}_waits", f"{beat} was taken back while it waited", number),
            self.fail(f"{valid} === 1'b1 && {stream}_next == {stream}_end", f"{beat} is one too many", number),
            f"        if (!failed && {valid} === 1'b1) begin",
            f"          {self._row(stream, '_due')}",
        ]
        data, keep = f"{stream}_tdata", f"{stream}_tkeep"
        if keep in self.ports:
            width = self.ports[keep]["width"]
            lines.append("          // Bytes that are not kept may be anything.")
            lines.append(
                f"          for (place = 0; place < {width}; place = place + 1) "
                f"{stream}_kept[8 * place +: 8] = {{8{{{keep}_due[place]}}}};"
            )
        for part in reversed(self.made.parts[stream]):
            differs = f"{part} !== {part}_due"
            if part == data and keep in self.ports:
                differs = f"({part} & {stream}_kept) !== ({part}_due & {stream}_kept)"
            lines.append(self.fail(differs, f"{part} of beat %0d: expected %h, got %h", number, f"{part}_due", part, indent=10))
        return [
            *lines,
            "        end",
            f"        {stream}_moves = {valid} === 1'b1 && {stream}_tready;",
            f"        {stream}_waits = {valid} === 1'b1 && !{stream}_tready;",
        ]

    def _moved(self, stream):
        lines = [f"      if ({stream}_moves) begin", f"        {stream}_next = {stream}_next + 1;"]
        if stream in self.made.sources:
            parts = ", ".join(self.made.parts[stream])
            lines += [f"        {stream}_tvalid = 0;", f"        {{{parts}}} = ~{{{parts}}};  // it does not count now"]
        if stream == "tap":
            lines.append("        end_valid = 0;")
        if stream in self.made.sinks or not self.made.sinks:
            lines.append("        beats = beats + 1;")
        return [*lines, "      end"]

    def _look_at_axil(self):
        lines = [f"        {each}_moves = s_axil_{each}valid && s_axil_{each}ready === 1'b1;" for each in ("aw", "w", "ar")]
        for channel in ("b", "r"):
            lines.append(f"        {channel}_moves = s_axil_{channel}ready && s_axil_{channel}valid === 1'b1;")
        lines.append("        if (b_moves) answer = s_axil_bresp;")
        lines.append("        if (r_moves) {answer, seen} = {s_axil_rresp, s_axil_rdata};")
        return lines

    def _moved_axil(self):
        ends = {"aw": "valid", "w": "valid", "b": "ready", "ar": "valid", "r": "ready"}
        return [f"      if ({channel}_moves) s_axil_{channel}{end} = 0;" for channel, end in ends.items()]

    def _patience(self):
        moved = ", ".join(f"{stream} %0d of %0d" for stream in self.streams)
        numbers = [
            number
            for stream in self.streams
            for number in (f"{stream}_next - {stream}_first", f"{stream}_end - {stream}_first")
        ]
        axil = "s_axil_bready || s_axil_rready"
        return [
            *(
                [self.fail(f"quiet > {self.limit} && ({axil})", "time-out: s_axil does not answer", indent=6)]
                if self.has_axil
                else []
            ),
            self.fail(f"quiet > {self.limit}", f"time-out: no beat moves; moved are {moved}", *numbers, indent=6),
        ]
