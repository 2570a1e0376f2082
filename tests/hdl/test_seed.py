"""The seed of emitted Verilog: its parameter SEED, and what the ports for it do, in a testbench in plain Verilog."""

import subprocess

import numpy as np
import pytest
from amaranth.sim import Simulator
from narrowfloat.golden.lfsr import lane_bits, start, words
from narrowfloat.hdl.block import Integer
from narrowfloat.hdl.catalog import DESIGNS, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.parts.lfsr import MAX_SEED, SEEDING_CYCLES, Lfsr, Seeder, start_function
from narrowfloat.hdl.parts.logic import Circuit

from tests.golden.chance import distance_from_normal, z

SEEDS = (0, 1, 2, 77, 2**31, 2**32 - 1)
# Half way between two codes, so that the highest random bit decides.
HALF_WAY = 0x3F880000
SETTINGS = ("formats=float8_e4m3fn", "roundings=sr", "lanes=2")


@pytest.fixture
def simulate(require_tool, tmp_path):
    """What Icarus prints of sources."""

    def run(*sources):
        for number, source in enumerate(sources):
            (tmp_path / f"source{number}.v").write_text(source)
        program = tmp_path / "program"
        paths = [str(tmp_path / f"source{number}.v") for number in range(len(sources))]
        built = subprocess.run(
            [require_tool("iverilog"), "-g2012", "-o", program, *paths], capture_output=True, text=True, check=False
        )
        assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
        done = subprocess.run(["vvp", "-n", program], capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout.split()

    return run


def test_function_in_verilog_gives_every_start(simulate):
    rng = np.random.default_rng(3)
    pairs = [(seed, register) for seed in (*SEEDS, *rng.integers(2**32, size=100).tolist()) for register in range(8)]
    calls = "\n".join(f"    $display(\"%h\", lfsr_start(32'd{seed}, 3'd{register}));" for seed, register in pairs)
    found = simulate(f"module bench;\n{start_function()}  initial begin\n{calls}\n  end\nendmodule\n")
    assert [int(word, base=16) for word in found] == [start(*pair) for pair in pairs]


class Seeding(Circuit):
    """A register that seeds itself."""

    def __init__(self, register, width):
        self.lfsr, self.seeder = Lfsr(5, register, width, seeds=True), Seeder()
        self.register = register
        super().__init__({})

    def build(self, m):
        m.submodules.lfsr, m.submodules.seeder = self.lfsr, self.seeder
        m.d.comb += [
            self.lfsr.squares.eq(self.seeder.busy),
            self.lfsr.first.eq(self.seeder.first),
            self.lfsr.moves.eq(self.seeder.moves[self.register]),
        ]


@pytest.mark.parametrize(("seed", "register", "width"), [(0, 0, 1), (77, 5, 128), (2**32 - 1, 7, 95), (1, 2, 32)])
def test_register_seeds_itself_whatever_it_did_before(seed, register, width):
    block, got = Seeding(register, width), []

    async def testbench(ctx):
        for interrupted in (True, False):
            ctx.set(block.lfsr.step, 1)
            for _ in range(7):
                await ctx.tick()
            ctx.set(block.seeder.seed, 12345 if interrupted else seed)
            ctx.set(block.seeder.load, 1)
            await ctx.tick()
            ctx.set(block.seeder.load, 0)
            for _ in range(40 if interrupted else SEEDING_CYCLES):
                assert ctx.get(block.seeder.busy)
                await ctx.tick()
        assert not ctx.get(block.seeder.busy)
        for _ in range(20):
            got.append(ctx.get(block.lfsr.word))
            await ctx.tick()

    simulator = Simulator(block)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert [[word >> n & 1 for n in range(width)] for word in got] == words(seed, register, 20, width).tolist()


def bench(overrides, loads=""):
    """A testbench that prints the codes of 200 beats of half ways and more, a line each."""
    return f"""
module bench;
  reg clk = 0, rst = 1, valid = 0, load = 0;
  reg [31:0] seed = 0;
  wire ready, out_valid, last;
  wire [15:0] codes;
  integer sent = 0;
  dut #({overrides}) dut (.clk(clk), .rst(rst), .s_axis_tvalid(valid), .s_axis_tready(ready), .s_axis_tlast(1'b0),
    .s_axis_tdata({{2{{32'h{HALF_WAY:08x}}}}}), .s_axis_tuser(6'd7), .m_axis_tvalid(out_valid), .m_axis_tready(1'b1),
    .m_axis_tlast(last), .m_axis_tdata(codes){loads});
  always #5 clk = ~clk;
  always @(posedge clk) begin
    if (out_valid) $display("%h", codes);
    if (valid && ready) sent <= sent + 1;
    if (sent == 300) $finish;
    load <= sent == 99 && valid && ready;
    if (valid && !ready) $display("waits");
  end
  initial begin
    seed = 9;
    #22 rst = 0; valid = 1;
  end
endmodule
"""


def rounded_up(lines):
    """Which codes of [beats, lanes] were rounded up."""
    codes = np.array([np.frombuffer(bytes.fromhex(word), np.uint8)[::-1] for word in lines])
    assert set(codes.ravel().tolist()) == {0x38, 0x39}
    return codes == 0x39


@pytest.mark.parametrize("seed", [None, *SEEDS])
def test_parameter_of_the_module_is_the_seed_of_the_model(seed, simulate):
    text = emit(find("float_encoder"), [*SETTINGS, "seed=33"], "dut").text
    lines = simulate(text, bench("" if seed is None else f".SEED(32'd{seed})"))
    assert np.array_equal(rounded_up(lines)[:250], lane_bits(33 if seed is None else seed, 250, 2) >= 128)


def test_port_loads_another_seed(simulate):
    text = emit(find("float_encoder"), [*SETTINGS, "seed_port=1"], "dut").text
    lines = simulate(text, bench(".SEED(5)", ", .seed_in(seed), .seed_load(load)"))
    waits = [number for number, line in enumerate(lines) if line == "waits"]
    assert len(waits) == SEEDING_CYCLES + 1
    up = rounded_up([line for line in lines if line != "waits"])
    assert np.array_equal(up[:100], lane_bits(5, 100, 2) >= 128)
    assert np.array_equal(up[100:290], lane_bits(9, 190, 2) >= 128)


def bench_of_seeds(count):
    """A testbench that loads seeds from a file, one after the other, and of 64 beats of each prints which were rounded up."""
    return f"""
module bench;
  reg clk = 0, rst = 1, valid = 0, load = 0;
  reg [31:0] seeds [0:{count - 1}];
  reg [31:0] seed;
  reg [{64 * 4 - 1}:0] up;
  wire ready, out_valid, last;
  wire [31:0] codes;
  integer number, sent, got;
  dut dut (.clk(clk), .rst(rst), .s_axis_tvalid(valid), .s_axis_tready(ready), .s_axis_tlast(1'b0),
    .s_axis_tdata({{4{{32'h{HALF_WAY:08x}}}}}), .s_axis_tuser(6'd7), .m_axis_tvalid(out_valid), .m_axis_tready(1'b1),
    .m_axis_tlast(last), .m_axis_tdata(codes), .seed_in(seed), .seed_load(load));
  always #5 clk = ~clk;
  initial begin
    $readmemh("seeds.hex", seeds);
    #22 rst = 0;
    for (number = 0; number < {count}; number = number + 1) begin
      @(negedge clk) seed = seeds[number]; load = 1;
      @(negedge clk) load = 0;
      valid = 1; sent = 0; got = 0;
      while (got < 64) begin
        @(posedge clk);
        if (valid && ready) sent = sent + 1;
        if (out_valid) begin
          up = {{up, codes[0], codes[8], codes[16], codes[24]}};
          got = got + 1;
        end
        @(negedge clk) valid = sent < 64;
      end
      $display("%h", up);
    end
    $finish;
  end
endmodule
"""


@pytest.mark.long
def test_statistics_of_the_source_in_verilog(simulate, tmp_path):
    """Seeds 1 to 64 and ten thousand others: bit by bit those of the model, and z values that are normal, by Kolmogorov and
    Smirnov at one of a thousand."""
    seeds = [*range(1, 65), *np.random.default_rng(20261130).integers(2**32, size=10_000).tolist()]
    (tmp_path / "seeds.hex").write_text("\n".join(f"{seed:x}" for seed in seeds))
    settings = ["formats=float8_e4m3fn", "roundings=sr", "lanes=4", "seed_port=1"]
    text = emit(find("float_encoder"), settings, "dut").text
    lines = simulate(text, bench_of_seeds(len(seeds)))
    up = np.unpackbits(np.array([np.frombuffer(bytes.fromhex(line), np.uint8) for line in lines]), axis=1)
    up = up.reshape(len(seeds), 64, 4)
    for seed, found in zip(seeds, up, strict=True):
        assert np.array_equal(found, lane_bits(seed, 64, 4) >= 128), seed
    per_seed, per_lane, beside = up[:64].sum(axis=(1, 2)), up[:64].sum(axis=1), (up[:63] == up[1:64]).sum(axis=(1, 2))
    assert abs(z(per_seed, 256)).max() < 4 and abs(z(per_lane, 64)).max() < 4.3 and abs(z(beside, 256)).max() < 4
    assert distance_from_normal(up[64:].sum(axis=(1, 2)), 256) < 1.95


def test_seed_changes_nothing_in_the_text_but_the_default():
    texts = [emit(find("float_encoder"), [*SETTINGS, f"seed={seed}"], "dut").text for seed in (3, 4)]
    assert texts[0].replace("seed=3", "seed=4").replace("SEED = 32'd3", "SEED = 32'd4") == texts[1]


def test_every_design_with_a_seed_has_the_parameter():
    seeded = {design for design in DESIGNS.values() if any(parameter.name == "seed" for parameter in design.parameters)}
    assert {design.name for design in seeded} == {"float_encoder", "bfp_converter"}
    for design in seeded:
        (seed,) = (parameter for parameter in design.parameters if parameter.name == "seed")
        assert isinstance(seed, Integer) and (seed.low, seed.high) == (0, MAX_SEED)
        emission = emit(design, ["roundings=sr"])
        assert f"module {emission.module} #(\n  parameter [31:0] SEED = 32'd1\n) (" in emission.text


@pytest.mark.parametrize("name", ["SEED", "lfsr_start", "s_axis_tdata", "clk", "inside", "checker", "always_ff"])
def test_module_is_not_called_like_what_is_in_it_or_a_keyword(name):
    with pytest.raises(
        ValueError, match=f"^a module's name must .*, not '{name}'$|^a module's name must .* as '{name}' is: [^\n]*$"
    ):
        emit(find("float_encoder"), SETTINGS, name)
