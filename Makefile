# Everything runs in .venv, made on the first call and reused while pyproject.toml and constraints.txt stay the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Only files whose hashes are in constraints.txt are installed, pip itself first; nothing is built but the package itself.
PIP := $(BIN)/python -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help run test test-long lint types constraints bench docs install clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else f"oddjet needs Python 3.10 to 3.13, but $(PYTHON) is {v[0]}.{v[1]}: call make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^pip==/,/[^\\]$$/p' constraints.txt >$(VENV)/pip.txt
	$(PIP) --require-hashes --no-deps --only-binary :all: --requirement $(VENV)/pip.txt
	$(PIP) --require-hashes --no-deps --only-binary :all: --requirement constraints.txt
	$(PIP) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP)  ## set up .venv

run: $(STAMP)  ## simulate, skim, train, score, hunt, and write the report
	$(BIN)/oddjet run analysis/quickstart.yaml

# Each process has one core: pools of threads would wait for one another. What is compiled is kept for the next.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: export TF_NUM_INTRAOP_THREADS = 1
test: export TF_NUM_INTEROP_THREADS = 1
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)  ## all tests, a process a core
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

test-long: $(STAMP)  ## the demonstrations that take minutes each
	$(BIN)/pytest -m long

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

# EnergyFlow needs wasserstein for its metrics alone, which are not used here; it would have to be compiled.
constraints: $(STAMP)  ## write constraints.txt after pyproject.toml changed; UPGRADE=--upgrade for newer versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-python-downloads --generate-hashes --no-annotate \
		--custom-compile-command 'make constraints' --extra dev --no-emit-package wasserstein \
		$(UPGRADE) --output-file constraints.txt pyproject.toml

bench: $(STAMP)  ## speed and memory, as ratios within one run
	$(BIN)/oddjet bench

docs: $(STAMP)  ## redraw the pictures of docs/ and the README from the quickstart
	$(BIN)/python docs/make_pictures.py

clean:  ## remove .venv and the quickstart's outputs
	rm -rf $(VENV) runs
