# Python 3.11 or newer with venv, and make: nothing else is needed for `make run`.
.DEFAULT_GOAL := help
.PHONY: help setup dev peers run quick check test bench lock clean

BIN := .venv/bin
# Tests that start no server, of those folders that there are.
QUICK_TESTS := $(wildcard tests/domain tests/properties tests/house tests/contracts tests/commits)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

setup:  ## the environment in .venv, from locked versions
	@scripts/setup

run: setup  ## serve examples/cwiq/shared.yaml on this machine
	@exec $(BIN)/pierhead serve --config examples/cwiq/shared.yaml

dev: setup
	@scripts/setup dev

peers:
	@scripts/peers

check: dev  ## lint, formatting, types, arrows between layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

quick: check  ## check, and the tests that need no server: under half a minute
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not server and not engine and not slow" --hypothesis-profile=quick $(QUICK_TESTS)

test: dev peers  ## every test, with real peers (installs them where it may)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

bench: dev peers  ## how fast it is, next to others
	$(BIN)/python -m bench --write docs

lock: dev  ## write requirements/*.txt anew from pyproject.toml
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/python scripts/lock

clean:  ## remove the environment and what tools left behind; never data
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
