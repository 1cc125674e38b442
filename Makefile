# One command for each habit; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# What shows the packet code, and is quick enough to be run twice.
PACKET_TESTS := $(addprefix tests/test_,$(addsuffix .py,wire cookies reception replay replay_edges fit limit \
	serve_udp serve_native serve_tcp serve_streams serve_edges))
A_MILLION := tests/test_limit.py::test_a_million_forged_networks_leave_a_limited_one_limited_and_memory_bounded

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "geodns needs Python 3.11 or newer (found: $$($(PYTHON) --version)); try: make PYTHON=python3.11 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

install: $(STAMP)  ## make .venv with everything in it

databases: $(STAMP)  ## build the synthetic geo databases into data/synthetic
	@$(BIN)/python -m geodns.demo.databases data/synthetic

demo: databases  ## start a real server on 127.0.0.1:5300 (DNS) and :8053 (API) and say what to try
	@exec $(BIN)/geodns demo

test: databases  ## run every test
	$(BIN)/python -m pytest

differential: $(STAMP)  ## compare with NSD, Knot and BIND: make differential N=1000000 SEED=0
	$(BIN)/python -m tests.differential --n $(or $(N),100000) --seed $(or $(SEED),0)

coverage: $(STAMP)  ## branch coverage of the code that packets pass: less than all of it fails
	@mkdir -p build
	$(BIN)/python -m coverage run -m pytest $(PACKET_TESTS) --deselect $(A_MILLION)
	$(BIN)/python -m coverage report

fuzz: $(STAMP)  ## let libFuzzer look for packets, zones and calls that nobody thought of: make fuzz SECONDS=60
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

lint: $(STAMP)  ## ruff and mypy --strict
	$(BIN)/ruff check geodns tests bench
	$(BIN)/ruff format --check geodns tests bench
	$(BIN)/mypy

format: $(STAMP)  ## let ruff format the code
	$(BIN)/ruff format geodns tests bench
	$(BIN)/ruff check --fix -q geodns tests bench

bench: databases  ## measure both lanes beside gdnsd, Knot, PowerDNS and NSD: make bench BENCH=--quick for a look
	$(BIN)/python -m bench $(BENCH)

lock: $(STAMP)  ## pin the dependencies anew from pyproject.toml
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean:  ## remove what make made
	rm -rf $(VENV) data/synthetic bench/out build *.egg-info

.PHONY: help install databases demo test differential coverage fuzz lint format bench lock clean
