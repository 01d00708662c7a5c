# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-long test-browser chaos lint format docs bench clean

setup: $(READY)  ## Prepare .venv, so that .venv/bin/furrow works

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## The main job once, in a temporary directory: sessions in, incidents and tickets out
	$(BIN)/furrow demo

test: $(READY)  ## The test suite, on real embedded engines
	$(BIN)/python -m pytest

test-long: $(READY)  ## The tests that need whole installations for many minutes: operations in Prefect, servers, workers
	$(BIN)/python -m pytest -m long

test-browser: $(READY)  ## The tests with a real Chromium (Debian's packages chromium and chromium-driver)
	$(BIN)/python -m pytest -m browser

SEEDS = 1000-1199
FRESH = $(if $(filter command line,$(origin SEEDS)),,1-20)
chaos: $(READY)  ## Everything killed, cut, late and doubled, an hour of it; SEEDS=1000-1019 alone for a few scenarios
	$(BIN)/python -m tests.chaos --seeds "$(SEEDS)" --fresh "$(FRESH)"

lint: $(READY)  ## What CI checks beside the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## Write the tables of docs/configuration.md that are made from the code
	$(BIN)/python -m furrow.reference

bench: $(READY)  ## How fast it is beside a bare scan on this machine; a few minutes, the last line is JSON
	$(BIN)/python -m bench

clean:  ## Remove everything that is not in the repository
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
