# What a developer runs. `make` alone lists it.

BIN := .venv/bin
READY := .venv/.ready-$(notdir $(PYTHON))
# Half as many again as there are cores: tests wait, too, for leases, sweeps and goodbyes.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); n=$$((n + n / 2)); [ $$n -gt 8 ] && echo 8 || echo $$n)

# Some hundred processes that the tests start would each compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup dev test check format bench clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done

setup: $(READY) ## make .venv with everything in uv.lock (PYTHON=python3.13 chooses another interpreter)

$(READY): pyproject.toml uv.lock .ci/setup
	@PYTHON="$(PYTHON)" .ci/setup
	@rm -f .venv/.ready-*; touch $@

dev: setup ## run the gateway with its own PostgreSQL and Valkey and a demo CRM (ARGS="--port 8090")
	@$(BIN)/gateway dev $(ARGS)

test: setup ## run every test (ARGS="-k resume" chooses some)
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: setup ## formatting, lint, types, layers
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

format: setup ## let ruff rewrite the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: setup ## measure the speed of a gateway of its own on this machine
	@$(BIN)/python -m loadtests $(ARGS)

clean: ## remove what was generated, but neither .venv nor data
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
