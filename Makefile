# One command for each habit; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# The native lane is built where there is cargo, and for Linux alone; `make CARGO= …` does without it.
CARGO   ?= $(and $(filter Linux,$(shell uname -s)),$(shell command -v cargo 2>/dev/null))
CRATE   := --locked --manifest-path native/Cargo.toml --target-dir native/target
LIBRARY := geodns/_native.abi3.so
# As setuptools-rust has it, and without asking any Python: else each of them would build PyO3 anew.
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYO3_NO_PYTHON := 1

PYTHONS := geodns tests bench setup.py

# What shows the packet code, and is quick enough to be run twice.
PACKET_TESTS := $(addprefix tests/test_,$(addsuffix .py,wire cookies reception replay replay_edges fit limit \
	serve_udp serve_native serve_tcp serve_streams serve_edges))
A_MILLION := tests/test_limit.py::test_a_million_forged_networks_leave_a_limited_one_limited_and_memory_bounded

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "geodns needs Python 3.11 or newer (found: $$($(PYTHON) --version)); try: make PYTHON=python3.11 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	CARGO=false $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(LIBRARY): native/Cargo.toml native/Cargo.lock native/build.rs $(shell find native/src) \
		geodns/core/table.py geodns/_native.pyi
	$(CARGO) build --release --features extension-module $(CRATE) || \
		{ echo "the native lane was not built: \`make CARGO= …\` does without it"; exit 1; }
	@cp native/target/release/libgeodns_native.so $@.new && mv $@.new $@  # whoever runs keeps the old one

ifneq ($(CARGO),)
native: $(LIBRARY)  ## build the native lane, where there is cargo
else
native:
	@echo "there is no cargo, or this is not Linux: no native lane, the Python lane answers"
endif

install: $(STAMP) native  ## make .venv with everything in it

databases: $(STAMP)  ## build the synthetic geo databases into data/synthetic
	@$(BIN)/python -m geodns.demo.databases data/synthetic

demo: databases native  ## start a real server on 127.0.0.1:5300 (DNS) and :8053 (API) and say what to try
	@exec $(BIN)/geodns demo

test: databases native  ## run every test
	$(BIN)/python -m pytest
ifneq ($(CARGO),)
	$(CARGO) test --release --no-default-features $(CRATE)
endif

differential: $(STAMP)  ## compare with NSD, Knot and BIND: make differential N=1000000 SEED=0
	$(BIN)/python -m tests.differential --n $(or $(N),100000) --seed $(or $(SEED),0)

lanes: $(STAMP) native  ## put the same packets to both lanes: make lanes N=10000000 SEED=0
	PYTHONPATH=.:tests $(BIN)/python -m tests.lanes --n $(or $(N),100000) --seed $(or $(SEED),0)

failover: $(STAMP) native  ## kill real backends, and see when geodns and unbound know: make failover N=200 LANE=native
	PYTHONPATH=.:tests/e2e $(BIN)/python -m tests.failover --n $(or $(N),200) --seed $(or $(SEED),0) --lane $(or $(LANE),python)

kills: $(STAMP)  ## kill -9 whoever writes overrides, and read what is left: make kills N=1000
	@scratch=$$(mktemp -d) && $(BIN)/python -m tests.kills $$scratch/state --n $(or $(N),1000) --seed $(or $(SEED),0); \
		code=$$?; rm -rf $$scratch; exit $$code

simulate: $(STAMP)  ## hold what is promised against many seeds of faults: make simulate N=10000
	SEEDS=$(or $(N),10000) $(BIN)/python -m pytest -s tests/test_sim_seeds.py

coverage: $(STAMP)  ## branch coverage of the code that packets pass: less than all of it fails
	@mkdir -p build
	$(BIN)/python -m coverage run -m pytest $(PACKET_TESTS) --deselect $(A_MILLION)
	$(BIN)/python -m coverage report

fuzz: $(STAMP) native  ## let libFuzzer look for packets, zones and calls that nobody thought of: make fuzz SECONDS=60
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || { echo "the Rust parser by itself: wants cargo-fuzz and a nightly toolchain"; exit 0; }; \
		cd native/fuzz && for target in packet table; do \
		corpus=$(CURDIR)/build/fuzz/native/$$target && mkdir -p $$corpus && \
		$(CARGO) +nightly fuzz run --fuzz-dir . $$target $$corpus ../../tests/fuzz/seeds/packet -- \
		-max_len=1500 -max_total_time=$(or $(SECONDS),60) || exit 1; done

lint: $(STAMP)  ## ruff and mypy --strict; rustfmt and Clippy, where there is cargo
	$(BIN)/ruff check $(PYTHONS)
	$(BIN)/ruff format --check $(PYTHONS)
	$(BIN)/mypy
ifneq ($(CARGO),)
	$(CARGO) fmt --check --manifest-path native/Cargo.toml
	$(CARGO) clippy --all-targets $(CRATE) -- -D warnings
endif

format: $(STAMP)  ## let ruff and rustfmt format the code
	$(BIN)/ruff format $(PYTHONS)
	$(BIN)/ruff check --fix -q $(PYTHONS)
ifneq ($(CARGO),)
	$(CARGO) fmt --manifest-path native/Cargo.toml
endif

bench: databases native  ## measure both lanes beside gdnsd, Knot, PowerDNS and NSD: make bench BENCH=--quick for a look
	$(BIN)/python -m bench $(BENCH)

probes: $(STAMP)  ## what 20,000 TCP probes and 2,000 HTTPS ones cost, and answers beside them: make probes PROBES="tcp dns"
	$(BIN)/python -m bench.probes $(PROBES)

lock: $(STAMP)  ## pin the dependencies anew from pyproject.toml
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean:  ## remove what make made
	rm -rf $(VENV) data/synthetic bench/out build *.egg-info native/target $(LIBRARY)

.PHONY: help native install databases demo test differential lanes failover kills coverage fuzz lint format bench probes lock clean
