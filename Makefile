# Everything a newcomer needs. `make up` and `make test` do their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCKS := requirements.lock requirements-dev.lock requirements-bootstrap.lock
READY := $(VENV)/.ready
# uv must use the interpreter it is given: looking for another would mean a download.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(BIN)/python
export UV_LINK_MODE ?= copy
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup up down test test-unit check bench plots lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it, the console script too

# --without-pip spares ensurepip, by far the slowest part of a new venv; the interpreter's own pip installs uv into it.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "cixml needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --without-pip $(VENV)

# uv does not read pip's configuration (a mirror, a proxy's certificate): where it can't get through, pip does the same.
$(READY): $(LOCKS) pyproject.toml | $(BIN)/python
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements-bootstrap.lock
	$(UV) pip sync --quiet --compile-bytecode --require-hashes $(LOCKS) || \
	  $(PYTHON) -m pip --python $(BIN)/python install --no-deps --require-hashes $(addprefix -r ,$(LOCKS))
	$(UV) pip install --quiet --offline --no-deps --no-build-isolation -e .
	@touch $@

up: setup ## Start the stack, index the bundled sample, search it; Ctrl-C stops
	$(BIN)/cixml up --sample

down: setup ## Stop the stack; its data stay in .cixml
	$(BIN)/cixml down

# More at a time than cores: tests of the whole product mostly wait. tests/conftest.py says what runs together.
test: setup ## Run every test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder

test-unit: setup ## Run the tests that need no server
	$(BIN)/python -m pytest tests/unit tests/architecture

check: setup ## Lint, types, import contracts, Dagster definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports
# A home of its own, because dagster.yaml here wants a running database.
	@mkdir -p $(VENV)/dagster-check
	DAGSTER_HOME=$(CURDIR)/$(VENV)/dagster-check $(BIN)/python -m dagster definitions validate -m cixml_assets.definitions --log-level warning

bench: setup ## Measure the product against a mock GPU server; prints JSON
	$(BIN)/python -m benchmarks

plots: setup ## Draw growth.json, the output of python -m benchmarks.growth, into docs/images
	$(UV) pip install --quiet --require-hashes -r requirements-plots.lock
	$(BIN)/python -m benchmarks.growth.plot growth.json

# No host, no command line and no comment goes into a lock, so it serves behind any mirror.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
lock: setup ## Resolve requirements*.in anew
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) requirements-dev.in -o requirements-dev.lock
	$(LOCK) requirements-bootstrap.in -o requirements-bootstrap.lock
	$(LOCK) requirements-plots.in -o requirements-plots.lock
