"""A testbench that checks itself, in Verilog-2005, and the vectors that it reads."""

import hashlib

from narrowfloat.hdl.files import vectors as script
from narrowfloat.hdl.files.cycle import AXIL, MARK_BITS, Cycle, literal, range_of
from narrowfloat.hdl.verilog import language_of

_WAVES = 0x2545F491  # what pauses begin with


def files(manifest, sources):
    """The testbench of an emitted design and its vectors: texts by file name.

    Parameters
    ----------
    manifest : dict
    sources : sequence of str
        The files of the design, for the commands in the testbench's header.
    """
    made, name = script.vectors(manifest), f"{manifest['module']}_tb"
    made.rows[0] = int(hashlib.sha256(repr(made.rows).encode()).hexdigest()[: MARK_BITS // 4], 16)
    return {f"{name}.v": _Text(made, sources).text(), f"{name}.hex": _hex(made)}


def _hex(made):
    """The rows, each after what it is the first of."""
    lines = []
    for number, row in enumerate(made.rows):
        lines += [f"// {made.titles[number]}"] if number in made.titles else []
        lines.append(f"{row:x}")
    return "\n".join(lines) + "\n"


class _Text(Cycle):
    """The text of the testbench of some `Vectors`."""

    def text(self):
        parts = [self._head(), self._declarations(), self._instance(), self._failing(), self.cycle(), self._restart()]
        parts += [self._transfer()]
        parts += [self._registers()] if self.has_axil else []
        parts += [self._settle()] if self.reads else []
        parts += [self._statistics()] if "statistics" in self.manifest else []
        return "\n".join([*parts, self._main()])

    def _head(self):
        name, files = f"{self.module}_tb", " ".join([*self.files, f"{self.module}_tb.v"])
        return f"""\
// Testbench of {self.module}, in Verilog-2005.
// It sends what {name}.hex holds, with idle cycles and back-pressure, and compares
// every beat that leaves with what the NumPy model has given. Run it in the folder of that file:
//
//   $ iverilog {language_of(self.manifest["source"]).icarus} -o tb.vvp {files}
//   $ vvp tb.vvp
//
//   $ verilator --binary --timing --top-module {name} {files}
//   $ obj_dir/V{name}
//
// It prints one line, "PASS: {self.module}, N beats"
// or "FAIL: {self.module}: " and the first difference. Most simulators end with status 0
// either way: look for PASS. With the parameter STOP=1 a failure ends with $stop, which gives another status
// from Icarus (iverilog -P{name}.STOP=1, vvp -N) and from Verilator (-GSTOP=1).
// SPDX-License-Identifier: Apache-2.0
module {name};
  parameter VECTORS = "{name}.hex";
  parameter STOP = 0;
"""

    # Declarations

    def _declarations(self):
        lines = ["  // Ports."]
        for name, port in self.ports.items():
            kind, init = ("reg", " = 0") if port["direction"] == "input" else ("wire", "")
            lines.append(f"  {kind} {range_of(port['width'])}{name}{init};")
        lines += [
            "",
            "  // What the file holds.",
            f"  reg [{self.width - 1}:0] vectors [0:{len(self.made.rows) - 1}];",
            "",
            "  // Of every stream the rows that it still has to move, and of beats that leave what they must be.",
        ]
        for stream in self.streams:
            lines.append(f"  integer {stream}_first = 0, {stream}_next = 0, {stream}_end = 0;")
            lines.append(f"  reg {stream}_moves = 0;")
            if stream in self.made.sinks:
                lines.append(f"  reg {stream}_waits = 0;")
                lines += [f"  reg {range_of(self.ports[part]['width'])}{part}_due;" for part in self.made.parts[stream]]
                if f"{stream}_tkeep" in self.ports:
                    lines.append(f"  reg {range_of(self.ports[f'{stream}_tdata']['width'])}{stream}_kept;")
        if self.has_axil:
            lines += ["", "  // AXI4-Lite: which channels move, and the answer."]
            lines.append(f"  reg {', '.join(f'{channel}_moves = 0' for channel in AXIL)};")
            lines += ["  reg [1:0] answer = 0;", "  reg [31:0] seen = 0;"]
        elif self.reads:
            lines += ["", "  reg read_moves = 0;", "  reg [31:0] seen = 0;"]
        shares = "idle = 0, stall = 0" if self.made.sinks else "idle = 0"
        counts = ["cycles", "quiet", "beats"]
        counts += ["steps"] if self.has_axil or self.reads else []
        counts += ["place"] if any(f"{stream}_tkeep" in self.ports for stream in self.made.sinks) else []
        lines += [
            "",
            "  reg in_reset = 1, paused = 0, failed = 0;",
            f"  reg [31:0] noise = {literal(32, _WAVES)};",
            f"  reg [3:0] {shares};  // sixteenths of the cycles",
            f"  integer {', '.join(f'{count} = 0' for count in counts)};",
            "",
        ]
        return "\n".join(lines)

    def _instance(self):
        connections = ",\n".join(f"    .{name}({name})" for name in self.ports)
        return f"  {self.module} dut (\n{connections}\n  );\n"

    def _failing(self):
        stall = "\n        stall = share(noise[25:24]);" if self.made.sinks else ""
        return f"""\
  // Ends the simulation; the caller has said why.
  task stop;
    begin
      failed = 1;
      if (STOP != 0) $stop;
      else $finish;
    end
  endtask

  // The next pattern of pauses, by a xorshift; its share changes every 16 cycles: none, 1/8, 1/2 or 7/8.
  task shake;
    begin
      noise = noise ^ (noise << 13);
      noise = noise ^ (noise >> 17);
      noise = noise ^ (noise << 5);
      if (cycles % 16 == 0) begin
        idle = share(noise[9:8]);{stall}
      end
    end
  endtask

  function [3:0] share;
    input [1:0] which;
    case (which)
      2'd0: share = 0;
      2'd1: share = 2;
      2'd2: share = 8;
      default: share = 14;
    endcase
  endfunction
"""

    def _restart(self):
        active = 0 if self.reset == "rst_n" else 1
        lines = [
            "  // Resets the design." if self.reset else "  // Begins anew: the design has no registers.",
            "  task restart;",
            "    begin",
            "      paused = 0;",
        ]
        for stream in self.streams:
            lines += [f"      {stream}_tvalid = 0;"] if stream in self.made.sources else [f"      {stream}_waits = 0;"]
            lines += [f"      {stream}_{mark} = 0;" for mark in ("first", "next", "end")]
        if self.reset:
            # First inactive, so that an asynchronous reset has its edge everywhere.
            lines += [
                "      in_reset = 1;",
                f"      {self.reset} = {1 - active};",
                "      #5;",
                f"      {self.reset} = {active};",
                "      repeat (3) cycle;",
                f"      {self.reset} = {1 - active};",
                "      cycle;  // in which a TREADY that is a register rises",
            ]
        return "\n".join([*lines, "      in_reset = 0;", "      quiet = 0;", "    end", "  endtask", ""])

    def _transfer(self):
        left = " || ".join(f"{stream}_next < {stream}_end" for stream in self.streams)
        return f"""\
  // Moves all beats.
  task transfer;
    begin
      cycles = 0;
      quiet = 0;
      while (!failed && ({left})) cycle;
    end
  endtask

  // Sees that no other beats follow.
  task linger;
    begin
      paused = 0;
      quiet = 0;
      repeat ({self.after}) cycle;
    end
  endtask
"""

    # AXI4-Lite

    def _registers(self):
        address = range_of(self.ports["s_axil_awaddr"]["width"])
        refused = self.fail("answer !== 0", "register %h answers with %b", "address", "answer", indent=6)
        wrong = self.fail(
            "(seen & mask) !== word",
            "register %h, bits %h: expected %h, got %h",
            *("address", "mask", "word", "seen & mask"),
            indent=6,
        )
        late = self.fail(f"steps == {self.limit}", "time-out: register %h stays %h", "address", "seen", indent=6)
        return f"""\
  task write_register;
    input {address}address;
    input [31:0] word;
    begin
      s_axil_awaddr = address;
      s_axil_wdata = word;
      s_axil_wstrb = 4'hf;
      s_axil_awvalid = 1;
      s_axil_wvalid = 1;
      s_axil_bready = 1;
      quiet = 0;
      while (!failed && (s_axil_awvalid || s_axil_wvalid || s_axil_bready)) cycle;
{refused}
    end
  endtask

  task read_register;
    input {address}address;
    begin
      s_axil_araddr = address;
      s_axil_arvalid = 1;
      s_axil_rready = 1;
      quiet = 0;
      while (!failed && (s_axil_arvalid || s_axil_rready)) cycle;
{refused}
    end
  endtask

  task check_register;
    input {address}address;
    input [31:0] mask, word;
    begin
      read_register(address);
{wrong}
    end
  endtask

  task wait_for_register;
    input {address}address;
    input [31:0] mask, word;
    begin
      read_register(address);
      for (steps = 0; !failed && (seen & mask) !== word && steps < {self.limit}; steps = steps + 1) read_register(address);
{late}
    end
  endtask
"""

    # Estimators

    def _settle(self):
        return """\
  // Waits until the estimator has worked off what has ended.
  task settle;
    begin
      quiet = 0;
      for (steps = 0; !failed && steps < 8; steps = steps + 1) begin
        cycle;
        if (working !== 0) steps = -1;
      end
    end
  endtask
"""

    def _statistics(self):
        """Compares raw statistics, which registers or ports name."""
        row = f"vectors[steps[{self.index - 1}:0]]"
        if self.has_axil:
            at = {register["name"]: register["address"] for register in self.manifest["registers"]}
            body = [
                f"        write_register({self._address(at['STAT_INDEX'])}, {row}[63:32]);",
                f"        check_register({self._address(at['STAT_DATA'])}, 32'hffffffff, {row}[31:0]);",
            ]
        else:
            names = [(name, lsb) for name, lsb in (("read_index", 32), ("read_type", 48)) if name in self.ports]
            said = "".join(f", {name} %0d" for name, _ in names)
            body = [
                *(f"        {name} = {row}[{lsb + self.ports[name]['width'] - 1}:{lsb}];" for name, lsb in names),
                "        read_enable = 1;",
                "        quiet = 0;",
                "        while (!failed && read_enable) cycle;",
                self.fail(
                    f"seen !== {row}[31:0]",
                    f"read_data{said}: expected %h, got %h",
                    *(name for name, _ in names),
                    f"{row}[31:0]",
                    "seen",
                ),
            ]
        return "\n".join(
            [
                "  // Raw statistics, those of the rows from first on.",
                "  task check_statistics;",
                "    input integer first, count;",
                "    begin",
                "      for (steps = first; !failed && steps < first + count; steps = steps + 1) begin",
                *body,
                "      end",
                "    end",
                "  endtask",
                "",
            ]
        )

    # The whole

    def _main(self):
        mark = f"vectors[0][{MARK_BITS - 1}:0] !== {literal(MARK_BITS, self.made.rows[0])}"
        lines = ["  initial begin", "    $readmemh(VECTORS, vectors);"]
        lines.append(self.fail(mark, "%0s is missing, or not of this testbench", "VECTORS", indent=4))
        for step in self.made.steps:
            lines += getattr(self, f"_do_{type(step).__name__.lower()}")(step)
        return "\n".join(
            [
                *lines,
                "",
                "    if (!failed) begin",
                f'      $display("PASS: {self.module}, %0d beats", beats);',
                "      $finish;",
                "    end",
                "  end",
                "endmodule",
                "",
            ]
        )

    def _address(self, address):
        return literal(self.ports["s_axil_awaddr"]["width"], address)

    def _do_restart(self, _):
        return ["", "    restart;"]

    def _do_load(self, step):
        return [f"    seed_in = {literal(32, step.seed)};", "    seed_load = 1;", "    cycle;", "    seed_load = 0;"]

    def _do_transfer(self, step):
        lines = [""]
        for stream, rows in step.rows.items():
            lines.append(f"    {stream}_first = {rows.start}; {stream}_next = {rows.start}; {stream}_end = {rows.stop};")
        lines.append(f"    paused = {int(step.paused)};")
        if step.stop is not None:
            return [*lines, f"    repeat ({step.stop}) cycle;  // and then a reset in mid-stream"]
        lines.append("    transfer;")
        if step.cycles is not None:
            wrong = "%0d cycles instead of %0d: latency or throughput is off"
            lines.append(self.fail(f"cycles != {step.cycles}", wrong, "cycles", step.cycles, indent=4))
        return [*lines, "    linger;"]

    def _do_write(self, step):
        return [f"    write_register({self._address(step.address)}, {literal(32, step.word)});  // {step.name}"]

    def _do_check(self, step):
        task = "wait_for_register" if step.wait else "check_register"
        arguments = self._address(step.address), literal(32, step.mask), literal(32, step.word)
        return [f"    {task}({', '.join(arguments)});  // {step.name}"]

    def _do_settle(self, _):
        return ["    settle;"]

    def _do_outputs(self, step):
        return [
            self.fail(
                f"{name} !== {literal(self.ports[name]['width'], value)}",
                f"{name}: expected %h, got %h",
                literal(self.ports[name]["width"], value),
                name,
                indent=4,
            )
            for name, value in step.values.items()
        ]

    def _do_statistics(self, step):
        return ["", f"    check_statistics({step.rows.start}, {len(step.rows)});"]
