# Everything a newcomer needs: `make demo` and `make test`. Nothing but Python 3.11+, and internet or Go 1.26.8, is asked for.
SHELL := /bin/bash
.DEFAULT_GOAL := demo
PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed
# By way of the environment, and unexpanded: file names hold spaces, quotes and dollar signs.
override VIDEO := $(value VIDEO)
export VIDEO
# Tests wait more than they compute. A file is one process's, with what its tests share; each process has its own servers
# (about 2 GB), hence no more than four.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
LOCK := $(PY) -m uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	--no-annotate

# Hundreds of processes are started; where this is set, as in many containers, each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup lock lint format test fast demo up clean

setup: $(INSTALLED)  ## the virtual environment and the servers; a second run does nothing
	@$(PY) -m dev setup

# --no-deps: the lock is the whole closure already, and two packages ask for things left out on purpose (pyproject.toml).
$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 (>= 3.11) is needed / 파이썬 3.11 이상이 필요합니다" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$($(PYTHON) --version) found, 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; \
		echo "파이썬 3.11 이상이 필요합니다: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv || { \
		echo "python3-venv is missing (Debian, Ubuntu: apt install python3-venv) / python3-venv가 필요합니다" >&2; exit 1; }
	@echo "Installing Python packages ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(if $(wildcard $(PY)),,$(INSTALLED))  ## rewrite the locks after a change of pyproject.toml
	$(LOCK) --extra dev -o requirements.lock
	$(LOCK) --constraint requirements.lock -o requirements-runtime.lock
	$(LOCK) --extra cuda --constraint requirements.lock -o requirements-cuda.lock
	$(LOCK:pyproject.toml=dev/toolchain/go.txt) -o dev/toolchain/go.lock

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright --warnings
	$(PY) -m dev.no_floats
	.venv/bin/lint-imports

format: $(INSTALLED)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test: setup  ## the whole suite, against real servers
	$(PY) -m pytest $(PARALLEL)

fast: setup
	$(PY) -m pytest -m "not slow and not servers" $(PARALLEL)

demo: setup  ## one real clip through the whole platform: make demo VIDEO=my.mov
	@$(PY) -m dev demo $(if $(VIDEO),--video "$$VIDEO")

up: setup  ## keep the platform running until Ctrl-C
	@$(PY) -m dev up

clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
