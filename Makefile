# Forbear's commands. Each works as the first one typed on a machine that has Python 3.11+, make and gcc.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The system's certificates, where Debian keeps them: behind a company's proxy uv's own list is not enough.
CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),UV_SYSTEM_CERTS=1)
# Where HOME can't be written to, what would lie there lies beside the environment.
HOMELESS := $(shell test -w "$${XDG_CACHE_HOME:-$$HOME}" || echo yes)
CACHE := $(if $(UV_CACHE_DIR),,$(if $(HOMELESS),UV_CACHE_DIR=$(CURDIR)/$(VENV)/.uv-cache))
UV := UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1 $(CERTS) $(CACHE) $(BIN)/uv
PIP := --quiet --python $(BIN)/python --require-hashes

# The environment is ours: each command starts several times faster from kept bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test bench lock
help:
	@echo "make demo   a real loan book, one night, the console"
	@echo "make test   all checks and tests"
	@echo "make bench  the benchmarks (installs zen-engine and openfisca-core)"
	@echo "make lock   compile requirements/ again from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)"

setup: $(VENV)/.base

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Forbear needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh scripts/apt.sh python3-venv
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.base: $(BIN)/uv requirements/base.txt pyproject.toml
	@$(UV) pip sync $(PIP) requirements/uv.txt requirements/base.txt
	@$(BIN)/python scripts/link.py
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	@$(UV) pip sync $(PIP) requirements/uv.txt requirements/dev.txt
	@touch $@

demo: setup
	@$(if $(HOMELESS),FORBEAR_HOME=$${FORBEAR_HOME:-$(CURDIR)/$(VENV)/.forbear}) $(BIN)/forbear demo $(DEMO_ARGS)

test: $(VENV)/.dev
	@command -v chromium >/dev/null || sh scripts/apt.sh chromium fonts-noto-cjk
	@command -v java >/dev/null || sh scripts/apt.sh openjdk-17-jre-headless
	@command -v soffice >/dev/null || sh scripts/apt.sh libreoffice-calc-nogui || echo "Without LibreOffice its kept answers are used."
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: $(VENV)/.base
	@$(UV) pip install $(PIP) -r requirements/bench.txt
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/nightly.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/ledger.py

COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header $(LOCK_ARGS) pyproject.toml
lock: $(BIN)/uv
	$(COMPILE) -o requirements/base.txt
	$(COMPILE) -c requirements/base.txt --extra dev -o requirements/dev.txt
	$(COMPILE) -c requirements/base.txt --extra bench -o requirements/bench.txt
	$(COMPILE) -c requirements/base.txt --extra spark -o requirements/spark.txt
	$(COMPILE) -c requirements/base.txt --extra ml -o requirements/ml.txt
	echo uv | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header - -o requirements/uv.txt
