# Comfort for those who work on asyncflow; the README's commands need no make.
# BIN names the environment: `make check BIN=/path/to/venv/bin`.

BIN ?= .venv/bin

.PHONY: check static format lint types layers test fuzz fix bench constraints

check: static test          ## everything a change must pass

static: format lint types layers

format:
	$(BIN)/ruff format --check

lint:
	$(BIN)/ruff check

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

test:
	$(BIN)/python -m pytest

fuzz:                       ## ten minutes and two; needs the extra `fuzz`
	$(BIN)/python tests/fuzz/run_schemathesis.py --seconds 600

fix:                        ## what tools can put right by themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench:                      ## W1 to W7 beside their floors in less than ten minutes; bench/README.md has more
	$(BIN)/python -m bench.run

constraints:                ## pin anew; the file names no index and no host
	uv pip compile --universal --upgrade --no-header --no-emit-index-url --no-annotate --all-extras \
	    --python-version 3.11 pyproject.toml -o constraints.txt
