# Each target makes .venv and installs what it needs, again only when the metadata changed.
PYTHON ?= python3
BIN := .venv/bin
# Two processes: much of a test is tracing, which Python does on one core.
WORKERS ?= -n 2 --dist loadgroup
export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1
export NO_MKDOCS_2_WARNING ?= 1

.PHONY: help train test test-fast test-scoring faults lint docs docs-serve notebooks bench release-check clean

help: ## Shows the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/:/'

train: .venv/.train ## Trains the main job: Glow on handwritten digits, beside others.
	$(BIN)/python -m train $(ARGS)

# In four runs, with fresh processes: what TensorFlow has traced stays in memory, some
# GiB a run. Exit code 5 says that ARGS selects none of a run's tests.
STEPS := tests/bijectors/ tests/networks/
MODELS := tests/distributions/
UPPER := $(addprefix tests/,serving training train) $(wildcard tests/test_*.py)
OTHERS := $(filter-out $(STEPS) $(MODELS) tests/serving/ tests/training/ tests/train/ \
	tests/__pycache__/,$(wildcard tests/*/))

test: .venv/.test ## Runs all tests, the slow ones and the doctests included.
	$(BIN)/python -m pytest $(WORKERS) $(ARGS) $(STEPS) || test $$? = 5
	$(BIN)/python -m pytest $(WORKERS) $(ARGS) $(MODELS) || test $$? = 5
	$(BIN)/python -m pytest $(WORKERS) $(ARGS) $(OTHERS) || test $$? = 5
	$(BIN)/python -m pytest $(WORKERS) $(ARGS) $(UPPER) || test $$? = 5

test-fast: .venv/.test ## Runs the tests that take seconds.
	$(BIN)/python -m pytest -m "not slow" $(WORKERS) $(ARGS)

# Apache Beam holds protobuf at 6: its tests have an environment of their own.
test-scoring: .venv-scoring/.test ## Runs the tests that need Apache Beam.
	.venv-scoring/bin/python -m pytest tests/scoring tests/test_doctests.py -k scoring $(ARGS)

faults: .venv/.test ## Kills jobs at 40 moments, compares bits; writes docs/faults.md.
	$(BIN)/python -m tests.train.faults $(ARGS)

lint: .venv/.test ## Checks style, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Not quiet: what is not shown is not counted, and a warning would pass.
docs: .venv/.docs ## Builds the documentation into site/; a broken link fails.
	$(BIN)/mkdocs build

docs-serve: .venv/.docs ## Shows the documentation in a browser while it is written.
	$(BIN)/mkdocs serve

notebooks: .venv/.test .venv/.docs ## Runs docs/notebooks/*.py, writes them as notebooks.
	PATH=$(CURDIR)/$(BIN):$$PATH .ci/notebooks $(ARGS)

bench: .venv/.bench ## Times the flows beside their networks and TFP; prints ratios.
	$(BIN)/python -m benchmarks $(ARGS)

release-check: ## Builds and checks what a release uploads, on every Python here.
	bash .ci/release_check

clean: ## Removes the virtual environments and what was built.
	rm -rf .venv .venv-scoring .cache site build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache

.venv/.train: EXTRAS = train
.venv/.test: EXTRAS = train,test
.venv/.bench: EXTRAS = bench
.venv/.docs: EXTRAS = docs

.venv/.%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

.venv-scoring/.test: setup.cfg pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet --editable ".[scoring,test]"
	touch $@
