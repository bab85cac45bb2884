# The commands of a developer; `make` alone lists them.

BIN := .venv/bin
READY := .venv/.ready-$(notdir $(PYTHON))
# 2 per core: tests also wait for leases, sweeps and goodbyes.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); n=$$((2 * n)); [ $$n -gt 8 ] && echo 8 || echo $$n)
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist worksteal

# The tests start hundreds of processes; each would compile all modules again without .pyc files.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup dev test test-all test-profile mutants check contract format bench clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: $(READY) ## create .venv with the packages of uv.lock (PYTHON=python3.13 selects another interpreter)

$(READY): pyproject.toml uv.lock .ci/setup
	@PYTHON="$(PYTHON)" .ci/setup
	@rm -f .venv/.ready-*; touch $@

dev: setup ## run the gateway with its own PostgreSQL and Valkey and a demo CRM (ARGS="--port 8090")
	@$(BIN)/gateway dev $(ARGS)

test: setup ## run the tests, but for the slow ones (ARGS="-k resume" selects some)
	@$(PYTEST) -m "not slow" --durations 10 --durations-min 5 $(ARGS)

test-all: setup ## run all tests: what continuous integration runs
	@$(PYTEST) $(ARGS)

test-profile: setup ## run all tests and show where their CPU goes
	@$(PYTEST) -p tests.support.cpu_profile $(ARGS)

mutants: setup ## put faults into the code, one at a time, and show which no test notices (30 minutes)
	@$(BIN)/python -m tests.mutants $(ARGS)

check: setup ## check formatting, lint, types and the layers of imports
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

format: setup ## format the code and apply safe lint fixes (ruff)
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

contract: setup ## check the REST API against /openapi.json with Schemathesis, ten minutes (ARGS="--examples 10" is shorter)
	@$(BIN)/python -m tests.contract.openapi $(ARGS)

bench: setup ## run the benchmarks against a gateway that they start (ARGS="fanout" runs one)
	@$(BIN)/python -m loadtests $(ARGS)

clean: ## remove caches and build results, but not .venv and no data
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis build dist
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
