# Everything from a fresh checkout. Nothing has to be activated: each target creates the environment that
# it needs in $(VENV), once, and again when the dependencies change.

PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
EXPERIMENT ?= embedded
PORT ?= 5000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two simultaneous set-ups of one environment would get in each other's way.
.NOTPARALLEL:
SHELL := /bin/bash

VENV_DIRECTORY := $(abspath $(VENV))
IN_VENV := PATH="$(VENV_DIRECTORY)/bin:$$PATH"
# Snakemake runs its jobs in shells that must find the environment's own commands.
SNAKEMAKE := $(IN_VENV) snakemake
SNAKEFILES := Snakefile workflow
DEPENDENCIES := pyproject.toml requirements/constraints.txt

# A study is hundreds of short processes. Without cached bytecode, each would compile PyTorch again.
unexport PYTHONDONTWRITEBYTECODE

# Libraries keep caches in the home directory, but an isolated account may have none that is writable.
ifneq ($(shell test -n "$$HOME" && test -d "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(VENV_DIRECTORY)/home
endif

# Which build of PyTorch: auto takes CUDA's (5 GB) where there is an NVIDIA driver, else the CPU's (1 GB).
override TORCH := $(or $(TORCH),auto)
ifeq ($(filter auto cpu cuda,$(TORCH)),)
$(error TORCH=$(TORCH) is unknown: leave it out, or use TORCH=cpu or TORCH=cuda)
endif
# Another choice than that of the last call installs another build.
TORCH_STAMP := $(VENV)/.torch$(patsubst %,-%,$(filter-out auto,$(TORCH)))
# Modules are compiled on first import. Most of what is installed is never imported.
PIP_OPTIONS := --disable-pip-version-check --no-compile --quiet \
	--constraint requirements/constraints.txt
INSTALL := $(VENV)/bin/python -m pip install $(PIP_OPTIONS)

.PHONY: help
help: ## list all targets
	@awk '/^[a-z]+:.*## / {sub(/:.*## /, "\t"); split($$0, part, "\t"); \
		printf "make %-12s %s\n", part[1], part[2]}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "settings: CORES=N EXPERIMENT=NAME TORCH=auto|cpu|cuda PYTHON=python3.12 VENV=DIRECTORY PORT=N"

.PHONY: reproduce
reproduce: $(VENV)/.installed ## set up, then run the study: results/EXPERIMENT/report.html
	$(SNAKEMAKE) --cores $(CORES) --config experiment=$(EXPERIMENT)

.PHONY: test
test: $(VENV)/.installed-test ## set up, then run the tests
	$(IN_VENV) pytest

.PHONY: lint
lint: $(VENV)/.installed-dev ## check style, types and workflow
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) mypy
	$(IN_VENV) python requirements/lock.py
	$(IN_VENV) snakefmt --check $(SNAKEFILES)
	$(SNAKEMAKE) --lint

.PHONY: format
format: $(VENV)/.installed-dev ## repair what a machine can repair
	$(IN_VENV) ruff check --fix .
	$(IN_VENV) ruff format .
	$(IN_VENV) snakefmt $(SNAKEFILES)

.PHONY: unlock
unlock: $(VENV)/.installed ## remove the lock of a run that was killed, so that it can continue
	$(SNAKEMAKE) --unlock --config experiment=$(EXPERIMENT)

.PHONY: mlflow
mlflow: $(VENV)/.installed ## serve the tracked runs, and print the address of their page
	@test -f results/mlflow/mlflow.db || { echo "make mlflow: no tracked run yet; run make reproduce first" >&2; exit 1; }
	@echo "the runs: $$($(IN_VENV) python -m glassguard.tracking.address results/mlflow/mlflow.db $(PORT))"
	$(IN_VENV) MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true \
		mlflow server --workers 1 --backend-store-uri sqlite:///results/mlflow/mlflow.db \
		--host 127.0.0.1 --port $(PORT)

.PHONY: docs
docs: $(VENV)/.installed-docs ## build the documentation site: site/index.html
	$(IN_VENV) python docs/reference.py --check
	$(IN_VENV) NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "to search it as well: $(VENV)/bin/python -m http.server --directory site $(PORT)"

.PHONY: pictures
pictures: $(VENV)/.installed ## redraw docs/images from results/embedded (needs graphviz)
	cp results/embedded/figures/attack_examples.png docs/images/result.png
	$(SNAKEMAKE) --rulegraph dot 2>/dev/null | $(IN_VENV) python docs/draw_dag.py > docs/images/dag.svg

.PHONY: screenshots
screenshots: $(VENV)/.installed-docs ## retake the pictures of docs/tracking.md from the tracked runs (needs Chromium)
	$(IN_VENV) python docs/screenshots.py results/mlflow/mlflow.db

.PHONY: lock
lock: $(VENV)/.installed-dev ## lock what changed in pyproject.toml (UPGRADE=1: everything)
	$(IN_VENV) python requirements/lock.py $(if $(UPGRADE),--upgrade,--fix)

.PHONY: clean
clean: ## remove the environment and all caches, keep the results
	rm -rf $(VENV) .cache site .snakemake .pytest_cache .mypy_cache .ruff_cache build dist src/*.egg-info
	find src tests workflow requirements -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "glassguard needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing); try PYTHON=python3.12, for example" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the venv module: install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(VENV)/home
	@touch $@

# PyTorch comes first and alone, so that its own index serves no other package.
$(TORCH_STAMP): $(VENV)/.created $(DEPENDENCIES) requirements/pytorch.py
	@echo "installing PyTorch into $(VENV) (once, a minute or more)"
	@$(VENV)/bin/python requirements/pytorch.py $(TORCH) $(PIP_OPTIONS)
	@rm -f $(VENV)/.torch-*
	@touch $(VENV)/.torch $@

$(VENV)/.installed: $(TORCH_STAMP) $(DEPENDENCIES)
	@echo "installing the pinned dependencies into $(VENV) (once, a few minutes)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(TORCH_STAMP) $(DEPENDENCIES)
	@echo "installing the pinned dependencies and those of the tests into $(VENV) (once, a few minutes)"
	@$(INSTALL) --editable '.[slurm,test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(TORCH_STAMP) $(DEPENDENCIES)
	@echo "installing the pinned dependencies and those of the documentation into $(VENV) (once, a few minutes)"
	@$(INSTALL) --editable '.[docs,slurm,test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-test

$(VENV)/.installed-dev: $(TORCH_STAMP) $(DEPENDENCIES)
	@echo "installing the pinned dependencies and the developers' tools into $(VENV) (once, a few minutes)"
	@$(INSTALL) --editable '.[dev,slurm,test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-test
