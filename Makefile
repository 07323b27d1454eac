# The verbs of this repository. `make setup` needs python3 (3.11 or newer), a package registry and nothing else.

PYTHON ?= python3
CONFIG ?= config/demo.yaml
JOBS   ?= 2
ARGS   ?=
MINUTES ?= 10

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What is compiled: Python files that carry a `# cython:` directive, and the declarations beside them.
COMPILED := $(shell grep -rl --include='*.py' '^\# cython:' imbalanced) $(shell find imbalanced -name '*.pxd')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test lint fmt types bench soak seeds planted report docs dist clean FORCE

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: $(VENV)/.built ## the virtual environment with everything for running and testing, extensions compiled

run: setup ## the demo; CONFIG=FILE runs another configuration
	@exec $(BIN)/imbalanced run -c $(CONFIG)

test: setup ## the whole test suite; ARGS="-k book" narrows it
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: setup ## ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: setup ## ruff, applied
	$(BIN)/ruff check --fix-only --exit-zero .
	$(BIN)/ruff format .

types: setup ## mypy --strict
	$(BIN)/mypy

bench: setup ## benchmarks as ratios; JSON=FILE also writes them
	$(BIN)/python -m benchmarks $(if $(JSON),--json $(JSON)) $(ARGS)

soak: setup ## the daemon under load and faults; MINUTES=10, JSON=FILE
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(if $(JSON),--json $(JSON)) $(ARGS)

seeds: setup ## simulated worlds with faults, each a seed; SEEDS=1..10000, ARGS=-v shows every frame
	@$(BIN)/python -m imbalanced.sim.worlds --seeds $(or $(SEEDS),1..2000) --jobs $(JOBS) $(ARGS)

planted: setup ## signals on synthetic markets with planted events; SEEDS=1..20, JSON=FILE
	$(BIN)/python -m benchmarks.planted --seeds $(or $(SEEDS),1..20) $(if $(JSON),--json $(JSON)) $(ARGS)

report: setup ## what signals were worth on recordings; CAPTURES="FILE...", JSON=FILE, MARKDOWN=FILE
	$(BIN)/python -m benchmarks.captures_report $(CAPTURES) $(if $(JSON),--json $(JSON)) $(if $(MARKDOWN),--markdown $(MARKDOWN)) $(ARGS)

docs: setup ## the reference pages in docs/, from the code
	$(BIN)/python -m docs.generate

dist: setup ## wheel and sdist in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean: ## everything that make can make again
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find imbalanced \( -name '*.so' -o -name '*.c' \) -delete
	find imbalanced tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# The build tools come first and pinned, so that the package is built with them and not with the newest there is.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt setuptools Cython
	IMBALANCED_NO_EXTENSIONS=1 $(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

# A library older than its source would be imported all the same. So: the stamp bears the time at which the build began
# (an edit during the build counts as new), a changed source is translated again whatever its times say, and the list of
# sources is a prerequisite too (a removed one is a change).
$(VENV)/.built: setup.py $(COMPILED) $(VENV)/.sources $(VENV)/.installed
	@touch $(VENV)/.building
	@rm -f $(patsubst %.py,%.c,$(filter imbalanced/%.py,$?))
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel $(JOBS) $(if $(filter setup.py %.pxd,$?),--force)
	@mv $(VENV)/.building $@

$(VENV)/.sources: FORCE | $(BIN)/python
	@echo '$(sort $(COMPILED))' | cmp -s - $@ || echo '$(sort $(COMPILED))' > $@
