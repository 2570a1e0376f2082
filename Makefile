# The commands of Narrowfloat. The first that runs in a fresh clone sets up .venv (see bootstrap.py), later ones start at once.
#
#   make sim DESIGN=float_encoder SIM=icarus SEED=7 WAVES=1     DESIGN: one or more, default all; SIM: verilator or icarus
#   make sim DESIGN=s2_encoder SET="lanes=3 stages=0"            SET: parameters of one design, not as it is shipped
#   make synth DESIGN=float_encoder CHECK=1                     CHECK: fail if anything got worse by more than 2 %
#   make test LONG=1                                            the long tests instead of the quick ones
#   make lock UPGRADE=1                                         newest versions instead of only what is missing
#   make PYTHON=python3.12 ...                                  the Python that sets up .venv, 3.11 or newer

PYTHON ?= python3
SIM ?= verilator
BIN := .venv/bin/
READY := .venv/ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Several processes run at once: each has one thread of linear algebra, or they get in each other's way.
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help sim test synth verilog lint sweep exhaustive formal evidence bench docs lock clean

help: ## list these commands
	@$(PYTHON) -c 'import re; [print(f"make {t:11}{d}") for t, d in re.findall(r"^(\w+):.*## (.+)", open("Makefile").read(), re.M)]'

sim: $(READY) ## co-simulate every unit against the golden model on real tensors (DESIGN= SET= SIM= SEED= WAVES=1)
	@$(BIN)narrowfloat sim $(DESIGN) $(addprefix --set ,$(SET)) --sim $(SIM) $(if $(SEED),--seed $(SEED)) $(if $(filter-out 0,$(WAVES)),--waves)

test: $(READY) ## all quick tests; LONG=1 runs the long ones instead
	@$(BIN)python -m pytest -n 2 --dist worksteal $(if $(filter-out 0,$(LONG)),-m long)

synth: $(READY) ## area, delay and power of every unit on FPGAs and standard cells (DESIGN= CHECK=1)
	@$(BIN)narrowfloat synth $(DESIGN) $(if $(filter-out 0,$(CHECK)),--check)

verilog: $(READY) ## emit every catalogued design under build/rtl/
	@$(BIN)narrowfloat emit --all --out build/rtl

lint: $(READY) ## every design at the corners of its parameters through four linters (minutes; DESIGN=)
	@$(BIN)narrowfloat lint $(DESIGN)

sweep: $(READY) ## random legal configurations, emitted, linted and simulated; goes on where it was (COUNT= SIM= SEED=)
	@$(BIN)narrowfloat sweep $(if $(COUNT),--count $(COUNT)) --sim $(SIM) $(if $(SEED),--seed $(SEED))

exhaustive: $(READY) ## every input there is, or a large sample, at native speed against the golden model (minutes; DESIGN=)
	@$(BIN)narrowfloat exhaustive $(DESIGN)

formal: $(READY) ## prove the codec equal to an independent specification, for every input and bias
	@$(BIN)python -m pytest -n 2 --dist worksteal tests/formal -m "long or not long"

evidence: $(READY) ## hold the papers' claims against our own experiments (an hour or two; needs PyTorch, see docs/verification.md)
	@$(BIN)python -m evidence

bench: $(READY) ## the golden model's speed and memory, beside other libraries
	@$(BIN)python tests/bench.py

docs: $(READY) ## the documentation as a site under build/site/, its figures filled in
	@$(BIN)python -m docs.scripts.build

lock: $(READY) ## resolve requirements.lock anew from pyproject.toml (UPGRADE=1 for newest versions)
	@$(BIN)python -m pip install -q uv && $(BIN)uv pip compile -q pyproject.toml --all-extras --group build --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.lock $(if $(UPGRADE),--upgrade)

clean: ## remove all that was generated; .venv stays
	@$(PYTHON) -c 'import shutil; shutil.rmtree("build", ignore_errors=True)'

$(READY): bootstrap.py requirements.lock pyproject.toml
	@$(PYTHON) bootstrap.py
