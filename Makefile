# Every target is one call of a script that works without make.
.PHONY: help setup dev test check lint types floors docs site lock smoke torture bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with everything that tests and checks need
	@./scripts/setup dev

dev: ## run everything here: API, worker and mailbox; Ctrl-C ends it
	@exec ./scripts/dev

test: ## all checks and all tests
	@exec ./scripts/test

check: ## lint, format, types, floors, sizes, locks
	@./scripts/check

lint: ## style and likely bugs
	@./scripts/check lint format

types: ## mypy, strict
	@./scripts/check types

floors: ## who may import whom
	@./scripts/check floors

docs: ## write the generated pages of docs/ anew
	@./scripts/setup dev && .venv/bin/python scripts/docs.py

site: ## the documentation as pages, in site/index.html
	@exec ./scripts/site

lock: ## make requirements/*.txt from pyproject.toml again
	@./scripts/lock

smoke: ## send real jobs through a stack of its own
	@./scripts/setup runtime && exec .venv/bin/treadle smoke

torture: ## 20,000 jobs under kill -9, pauses and outages; ARGS="--rung sqlite --jobs 2000 --seconds 60"
	@exec ./scripts/torture $(ARGS)

bench: ## side by side with other job systems; ARGS="--quick"
	@exec ./scripts/bench $(ARGS)

clean: ## remove what can be made again; never data/ or output/
	@rm -rf .venv .bench build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis test-artifacts \
		src/treadle/admin/static/vendor tests/browser/vendor
