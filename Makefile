# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-long test-soak test-browser test-engines browsers chaos trials lint format docs lock bench clean

setup: $(READY)  ## Prepare .venv, so that .venv/bin/furrow works

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV): 150 packages, 400 MB to download and 1.4 GB on the disk, tools of the tests included."
	@echo "The largest is chDB, the embedded ClickHouse: 174 MB, 530 MB unpacked. A minute or two, as the network goes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## The main job once, in a temporary directory: sessions in, incidents and tickets out
	$(BIN)/furrow demo

# More workers than cores: tests of whole installations mostly wait. The tests of a file stay in one worker.
WORKERS ?= 4
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(READY)  ## The test suite, on real embedded engines
	$(BIN)/python -m pytest $(PARALLEL)

test-long: $(READY)  ## The tests that need whole installations for many minutes: commands, backup, erasure, Prefect, servers
	$(BIN)/python -m pytest $(PARALLEL) -m "long and not soak"

test-soak: $(READY)  ## What CI does not run: the wheel with everything from the registries, a fresh installation under chaos
	$(BIN)/python -m pytest -m soak tests/packaging tests/chaos

test-browser: $(READY)  ## The tests with a real Chromium (Debian's packages chromium and chromium-driver)
	$(BIN)/python -m pytest $(PARALLEL) -m "browser and not engines" tests/browser

test-engines: $(READY)  ## furrow.js in Firefox and WebKit; one that is missing is skipped
	$(BIN)/python -m pytest -m engines tests/browser

BROWSERS = chromium chromium-driver firefox-esr webkit2gtk-driver xvfb
browsers:  ## Install the browsers of the tests that are missing (Debian's packages; root, or with sudo)
	@missing="$$(for package in $(BROWSERS); do dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>&1 \
		| grep --quiet --line-regexp installed || echo $$package; done)"; \
	[ -z "$$missing" ] || { set -ex; $(SUDO) apt-get update -qq; \
		$(SUDO) apt-get install -qq --no-install-recommends $$missing; }
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)

SEEDS = 1000-1199
FRESH = $(if $(filter command line,$(origin SEEDS)),,1-20)
chaos: $(READY)  ## Everything killed, cut, late and doubled, an hour of it; SEEDS=1000-1019 alone for a few scenarios
	$(BIN)/python -m tests.chaos --seeds "$(SEEDS)" --fresh "$(FRESH)"

trials: $(READY)  ## All faults between the export and each tracker
	FURROW_TEST_TRIALS_EVERY=1 $(BIN)/python -m pytest -n $(WORKERS) tests/integration/test_ticket_trials.py

lint: $(READY)  ## What CI checks beside the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.house

format: $(READY)  ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## Write the tables of docs/configuration.md that are made from the code
	$(BIN)/python -m scripts.reference

# Both locks hold the hashes of every file of a release, for all platforms, and no address of a registry. What is pinned stays as
# it is unless pyproject.toml wants it otherwise; `make lock UPGRADE=--upgrade` takes the newest of all,
# `make lock UPGRADE="--upgrade-package NAME"` of one.
UPGRADE ?=
LOCK_TOOL := build/lock-tool
COMPILE = $(LOCK_TOOL)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --strip-extras \
	--custom-compile-command "make lock" --group build $(UPGRADE)

lock:  ## Write requirements.lock (with the tools of tests), requirements-run.lock and THIRD_PARTY_LICENSES.md from pyproject.toml
	$(PYTHON) -m venv $(LOCK_TOOL)
	$(LOCK_TOOL)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(COMPILE) --group dev pyproject.toml --output-file requirements.lock
	$(COMPILE) --constraints requirements.lock pyproject.toml --output-file requirements-run.lock
	$(MAKE) setup
	$(BIN)/python -m scripts.third_party

bench: $(READY)  ## How fast it is beside a bare scan on this machine; a few minutes, the last line is JSON
	$(BIN)/python -m bench

clean:  ## Remove everything that is not in the repository
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
