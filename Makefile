# Five verbs: setup, demo, test, check, bench. Needs only make and a Python of 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON     ?= python3.13 python3.12 python3.11 python3
VENV       := .venv
PY         := $(VENV)/bin/python
READY      := $(VENV)/.ready
TESTING    := $(VENV)/.ready-dev
CODE       := $(wildcard engine providers cache data tests bench)
# A benchmark is a file of bench/ that can be run; what it shares with others cannot.
# The soak takes an hour and is asked for by its own name.
BENCHMARKS  = $(filter-out soak,$(basename $(notdir $(shell grep -ls '__main__' bench/*.py))))
UV         := uv==0.13.9

# The first interpreter that answers and is new enough; one plain line when there is none.
define FIND_PYTHON
python=''; \
for candidate in $(PYTHON); do \
    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
    then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
    echo "error: no Python 3.11 or newer among: $(PYTHON) (install one, or say: make PYTHON=/path/to/python3)" >&2; \
    exit 1; \
fi
endef

# $(call MAKE_VENV,FOLDER): a virtual environment, or one plain line that says how to mend it.
define MAKE_VENV
if ! "$$python" -m venv --clear $(1) >/dev/null 2>&1; then \
    rm -rf $(1); \
    echo "error: '$$python -m venv' failed; on Debian or Ubuntu: apt-get install $$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; \
    exit 1; \
fi
endef

.PHONY: help setup demo test check bench torture mutants coverage soak gallery lock clean

help:                   ## this list
	@echo "alignsweep: what make can do"
	@sed -n 's/^\([a-z][a-z]*\):.*## \(.*\)$$/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    while IFS='|' read -r verb what; do printf '%-14s %s\n' "$$verb" "$$what"; done

setup: $(READY)         ## make .venv from the lock (once; again when the lock changes)

$(READY): pyproject.toml requirements.lock
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    $(FIND_PYTHON); \
	    echo "setting up $(VENV) with $$("$$python" -V 2>&1) …"; \
	    $(call MAKE_VENV,$(VENV)); \
	fi
	@echo "installing the locked packages, hashes checked …"
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@echo "installing alignsweep from this folder …"
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
	@echo "ready: $(VENV)/bin/alignsweep"

# What only tests and checks need is installed when they are run, so that a demo need not wait for it.
$(TESTING): $(READY) requirements-dev.lock
	@echo "installing what the tests need, hashes checked …"
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(READY)          ## see it work: a whole sweep on a simulator, no key, no money
	@$(VENV)/bin/alignsweep demo $(ARGS)

test: $(TESTING)        ## run the tests (make test ARGS="-k journal")
	@$(PY) -m pytest $(ARGS)

check: $(TESTING)       ## lint, format, types and layers
	@echo "ruff check …"
	@$(PY) -m ruff check --quiet $(CODE)
	@echo "ruff format …"
	@$(PY) -m ruff format --check --quiet $(CODE) || \
	    { echo "mend it with: $(PY) -m ruff format $(CODE)" >&2; exit 1; }
	@echo "mypy, strict …"
	@$(PY) -m mypy --no-error-summary $(CODE)
	@echo "layers …"
	@$(PY) -m pytest -q tests/test_layers.py
	@echo "all clean"

bench: $(TESTING)       ## run the benchmarks (make bench BENCHMARKS=throughput)
	@for name in $(BENCHMARKS); do \
	    echo "bench $$name …"; $(PY) -m "bench.$$name" $(ARGS) || exit 1; \
	done

torture: $(TESTING)     ## the tests that take minutes: a thousand simulated days and their like
	@ALIGNSWEEP_TORTURE=1 $(PY) -m pytest -m torture $(ARGS)

mutants: $(TESTING)     ## plant some sixty bugs, one at a time: the tests must catch each (ARGS="money")
	@$(PY) -m tests.mutants $(ARGS)

# The suites of the files that tests/coverage.ini names.
COVERING = journal salvage retry retry_after breaker budget purse pacing limits delivered concurrency \
           promises_pacing silence several_accounts storms load ctl verdict verdict_schema \
           built_in_rubrics rubric session rundir

coverage: $(TESTING)    ## every branch of what keeps money, promises and scores is tested
	@mkdir -p build
	@$(PY) -m coverage run --rcfile tests/coverage.ini -m pytest -q $(COVERING:%=tests/test_%.py) $(ARGS)
	@$(PY) -m coverage report --rcfile tests/coverage.ini

soak: $(TESTING)        ## an hour at 300 requests/s: memory and descriptors stay flat (ARGS="5" minutes)
	@$(PY) -m bench.soak $(ARGS)

gallery: $(TESTING)     ## pictures of reports, plots, workbook and live view, in build/gallery
	@$(PY) -m tests.gallery
	@$(PY) -m tests.gallery_console

# $(call COMPILE,OPTIONS,FILE,WHAT): resolve into a file that names no registry, under three lines of ours.
define COMPILE
.venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 $(1) \
    --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
    $(if $(UPGRADE),--upgrade) -o $(2); \
{ echo "# $(3)"; \
  echo "# Made from pyproject.toml; do not edit. To make it anew: make lock (or: make lock UPGRADE=1)"; \
  echo "# By hand: pip install --require-hashes -r $(2)"; \
  grep -v '^#' $(2); } > $(2).new && mv $(2).new $(2); \
echo "$(2): $$(grep -c '==' $(2)) packages"
endef

lock:                   ## resolve both locks anew (UPGRADE=1 takes newer versions)
	@$(FIND_PYTHON); $(call MAKE_VENV,.venv-lock)
	@echo "resolving for CPython 3.11 and newer, on every platform …"
	@.venv-lock/bin/python -m pip install -qq --disable-pip-version-check '$(UV)'
	@$(call COMPILE,--extra fast --extra prices --group build,requirements.lock,What alignsweep needs to run: 'make setup' installs it. The extras 'fast' and 'prices' are included.)
	@$(call COMPILE,--all-extras --group build --group dev -c requirements.lock,requirements-dev.lock,The same and what tests and checks need: 'make test' installs it. All extras are included.)
	@rm -rf .venv-lock

clean:                  ## remove what make made (never runs/)
	@rm -rf .venv .venv-lock .venv-counterparts .venv-aimock dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
