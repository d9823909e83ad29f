# Bare `make` lists the targets. Everything runs in .venv, which `setup` makes.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.setup-done

.PHONY: help setup demo test test-unit test-wheel proofs check format build clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(STAMP)  ## make .venv with everything for development (again only when pyproject.toml changes)

# Dependency groups need pip 25.1.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "raysweep needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e '.[demo]' --group dev
	touch $(STAMP)

demo: $(STAMP)  ## run a real sweep on real data
	$(BIN)/raysweep demo

# In the order of the folders: by the number of tests, as xdist has it, the longest file, of few tests, would run last and alone.
test: $(STAMP)  ## run every test
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-unit: $(STAMP)  ## run the quick tests, without Ray
	$(BIN)/pytest tests/unit -n 2

test-wheel: $(STAMP)  ## build the wheel; try it in a fresh environment, and in the smallest one that serves a model
	set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(BIN)/python -m build --wheel --outdir "$$work/dist" . ; \
	$(BIN)/python -m venv "$$work/venv"; \
	"$$work/venv/bin/python" -m pip install --quiet "$$work"/dist/*.whl; \
	cd "$$work"; \
	RAYSWEEP_HOME="$$work/home" venv/bin/python $(CURDIR)/tests/wheel_check.py; \
	cd $(CURDIR); \
	$(BIN)/python tests/serving_check.py "$$work"/dist/*.whl

proofs: $(STAMP)  ## what takes too long for every day: each check switched off, tables of noise, 400 simulated sweeps, kill -9 again and again
	$(BIN)/python tests/proofs/data_gate.py
	$(BIN)/python tests/proofs/noise.py
	$(BIN)/python tests/proofs/final_check.py
	$(BIN)/python tests/proofs/crashes.py
	$(BIN)/python tests/proofs/crashes.py --store s3
	$(BIN)/python tests/proofs/crashes.py --victim worker
	$(BIN)/python tests/proofs/lost_node.py
	$(BIN)/python tests/proofs/lost_node.py --store s3
	$(BIN)/python tests/proofs/autoscaled.py
	$(BIN)/python tests/proofs/cluster.py
	$(BIN)/python tests/proofs/cluster.py --every 2 --trials 8 --rounds 800 --at kept
	$(BIN)/python tests/proofs/reproduce.py
	$(BIN)/python tests/proofs/storage_faults.py
	$(BIN)/python tests/proofs/slurm.py
	$(BIN)/python tests/proofs/image.py
	$(BIN)/python tests/benchmarks/publish_memory.py

check: $(STAMP)  ## lint, formatting, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## put the code into its format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

build: $(STAMP)  ## build the sdist and the wheel into dist/
	$(BIN)/python -m build

clean:  ## remove what was built and cached, not .venv
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
