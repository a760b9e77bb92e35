# Everything a person or CI does here. 'make' lists the targets; 'make test' and 'make demo' set up by themselves.

PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
WORKERS ?= 2
MUTANTS ?=

# What 'make test' runs once more with its stores in PostgreSQL; 'make test-postgres' runs all.
ON_POSTGRES := tests/across_rows/test_windows.py tests/across_rows/test_folds.py tests/across_rows/test_serial.py tests/search/test_text_search.py tests/states/test_components.py

# The long runs that kill processes or the server. Others of 'make crash' interrupt every instruction, or build a wheel.
CRASH_ON_POSTGRES := tests/promises tests/across_rows/test_fold_failures.py tests/states/test_promotion.py tests/backends/test_postgres_killed.py

BIN := .venv/bin
READY := .venv/.ready
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-postgres app test test-postgres test-ray check format lint types crash crash-postgres mutants bench soak lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything pinned; again only when a pin changed

$(READY): pyproject.toml constraints.txt examples/fashion_search/pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $@

demo: setup ## the fashion-search example, end to end in the terminal
	@$(BIN)/python -m fashion_search demo

demo-postgres: setup ## the same with its store in a PostgreSQL server of its own, which ends with it
	@$(BIN)/python -m scripts.demo_postgres

app: setup ## the fashion-search example as a shop in the browser, on this machine
	@$(BIN)/python -m fashion_search app

docs: setup ## the docs as a site, in site/; what builds it is installed the first time
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --constraint constraints.txt --no-build-isolation --editable '.[docs]'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "site/index.html is there to be opened; 'python3 -m http.server -d site' serves it, and then its search works, too"

test: check ## all that CI runs: check, then the tests (PYTEST_ARGS="-k page" picks, WORKERS=0 takes one process)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)
	@$(if $(PYTEST_ARGS),,MOTION_TEST_BACKEND=postgres $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(ON_POSTGRES))

check: setup ## formatting, lint and strict types, without changing a file
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "'make format' puts these right"; exit 1; }
	@$(MAKE) --no-print-directory --keep-going lint types

format: setup ## put formatting, import order and other simple findings right
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

lint: setup ## ruff's rules
	@$(BIN)/ruff check --quiet .

types: setup ## mypy --strict, the tests and the example too
	@$(BIN)/mypy --no-error-summary src tests $(wildcard benchmarks examples/*.py) && ours=0 || ours=1; \
	cd examples/fashion_search && ../../$(BIN)/mypy --no-error-summary --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache/fashion_search . && exit $$ours

test-postgres: setup ## the tests once more, with their stores in PostgreSQL (PYTEST_ARGS="tests/store" picks)
	@MOTION_TEST_BACKEND=postgres $(BIN)/python -m pytest -q $(or $(PYTEST_ARGS),tests)

test-ray: setup ## the tests of what runs on Ray, which is installed the first time (245 MB more on disk)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --constraint constraints.txt --no-build-isolation --editable '.[ray]'
	@RAY_USAGE_STATS_ENABLED=0 $(BIN)/python -m pytest -q tests/executors/test_ray.py tests/executors/test_ray_fits.py tests/executors/test_ray_nodes.py \
		examples/fashion_search/tests/test_database.py $(PYTEST_ARGS)
	@RAY_USAGE_STATS_ENABLED=0 $(BIN)/python -m pytest -q tests/docs/test_docs.py -k guides/ray.md

crash: setup ## the long crash run: kill processes at many points, reopen, compare
	@$(BIN)/python -m pytest -q -m crash --timeout 14400 $(PYTEST_ARGS)

crash-postgres: setup ## the part of it that is about stores, in PostgreSQL (PYTEST_ARGS="-k later" picks)
	@MOTION_TEST_BACKEND=postgres $(BIN)/python -m pytest -q -m crash --timeout 14400 $(CRASH_ON_POSTGRES) $(PYTEST_ARGS)

mutants: setup ## take rules of the engine out, one at a time: the test that guards each must fail (MUTANTS=P6 takes some)
	@$(BIN)/python tests/mutants.py -k "$(MUTANTS)"

bench: setup ## the measurements behind every figure in the docs (BENCH_ARGS="load set" takes some, "--help" lists them)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

soak: setup ## an hour of simulated shoppers, 50 questions a second: nothing lost, memory flat (SOAK_ARGS="--minutes 10 --rate 20")
	@$(BIN)/python -m fashion_search soak $(SOAK_ARGS)

lock: ## constraints.txt anew, from the newest releases that pyproject.toml allows
	@scripts/setup.sh lock

clean: ## remove .venv, caches and builds; stores stay
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
