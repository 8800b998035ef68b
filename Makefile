# Two commands do everything on a fresh machine: `make book` and `make test`.
SHELL := bash
PROFILE ?= quick
DATA ?= auto
CHAPTERS ?=
PYTHON ?= python3
MEDXAI_DATA ?= data/external
export MEDXAI_DATA
export MPLBACKEND = Agg
# Dozens of processes import the same packages: one compiles them, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# Spaces in names are escaped: make takes them for the end of a name.
SOURCES := $(shell git ls-files --cached --others --exclude-standard 2>/dev/null | sed "s/ /\\\\ /g")
# Tests see other data when MEDXAI_DATA points elsewhere, so its value is part of the stamp's name: one word of it.
SPACE := $(subst ,, )
# What the browser tests find barriers with; without npm that test is skipped.
AXE := _build/axe/node_modules/axe-core/axe.min.js
AXE_VERSION := 4.14.1
TESTED := _build/tested$(subst $(SPACE),_,$(subst /,-,$(MEDXAI_DATA)))

.DEFAULT_GOAL := help
.PHONY: help book test sweep weekly lint lock student grade clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

book: .venv/installed ## Build the site (PROFILE=smoke|quick|full DATA=auto|real|simulated CHAPTERS="01_dataset ...")
	@$(BIN)/medxai build --profile $(PROFILE) --data $(DATA) $(if $(CHAPTERS),--chapters $(CHAPTERS))

test: $(TESTED) ## Lint, unit tests, every chapter and the whole site at the smoke profile, browser tests
	@echo "Tests of this tree: $$(cat $(TESTED))"

$(TESTED): .venv/installed $(AXE) $(SOURCES)
	@mkdir -p _build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	@set -o pipefail; $(BIN)/python -m pytest --numprocesses 2 --durations 30 2>&1 | tee _build/pytest.log
	@tail -q -n 1 _build/pytest.log > $@

# Two at a time, each on one thread: threads that share busy cores wait for each other.
$(TESTED): export OMP_NUM_THREADS = 1

$(AXE): Makefile
	@! command -v npm > /dev/null || \
	  npm install --prefix _build/axe --no-audit --no-fund --silent axe-core@$(AXE_VERSION) || \
	  echo "npm could not get axe-core: the test that looks for barriers in pages is skipped" >&2
	@! test -e $@ || touch $@

sweep: .venv/installed ## A tenth of the sweep of all methods over families of networks; `make weekly` runs all of it
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m pushed --numprocesses 2

weekly: .venv/installed ## The tests that take minutes, of which `make test` runs a smaller form
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m weekly

student: .venv/installed ## Write the notebooks without solutions to _build/student
	@$(BIN)/medxai student _build/student

grade: .venv/installed ## Mark the notebooks that students handed in (FOLDER=... holds them; SECONDS=60 for each exercise)
	@test -n "$(FOLDER)" || { echo "say where the notebooks are: make grade FOLDER=..."; exit 2; }
	@$(BIN)/medxai grade "$(FOLDER)" $(if $(SECONDS),--seconds $(SECONDS))

lock: .venv/installed ## Refresh requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra book --extra test --upgrade \
	  --no-header --no-emit-index-url --no-annotate pyproject.toml --output-file requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "medxai needs Python 3.11 or newer: set PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

clean: ## Remove what was built and cached (not downloads)
	rm -rf _build results .snakemake

