# Everything runs in .venv, made on the first call and reused while pyproject.toml and constraints.txt stay the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test test-long lint types bench docs install clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else f"oddjet needs Python 3.10 to 3.13, but $(PYTHON) is {v[0]}.{v[1]}: call make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## set up .venv

run: $(STAMP)  ## simulate, skim, train, score, hunt, and write the report
	$(BIN)/oddjet run analysis/quickstart.yaml

test: $(STAMP)  ## all tests, a process a core
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

test-long: $(STAMP)  ## the demonstrations that take minutes each
	$(BIN)/pytest -m long

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

bench: $(STAMP)  ## speed and memory, as ratios within one run
	$(BIN)/oddjet bench

docs: $(STAMP)  ## redraw the pictures of docs/ and the README from the quickstart
	$(BIN)/python docs/make_pictures.py

clean:  ## remove .venv and the quickstart's outputs
	rm -rf $(VENV) runs
