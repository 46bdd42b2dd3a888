# make study: install, run the default study, or another scale's with STUDY=smoke, and write its report. make
# pretrained: the same for the published models of workflow/scales/real_models.yaml; it trains nothing. make published:
# install what drawing needs, and draw the published studies. make test: install and test. make docs: write the pages that
# are generated. make ui: look at a study in MLflow.
# With LOCKED=cpu or LOCKED=cuda every file that pip installs has the SHA-256 of envs/locked-*.txt.
PYTHON ?= python3
STUDY ?= nano
PORT ?= 5000
BIN := $(CURDIR)/.venv/bin
OVERLAY := $(if $(filter nano,$(STUDY)),,--configfile workflow/scales/$(STUDY).yaml)
INSTALL := "$(BIN)/python" -m pip install --quiet --disable-pip-version-check
PIP := $(INSTALL) --constraint envs/constraints.txt $(if $(LOCKED),--no-deps --no-build-isolation)
export PATH := $(BIN):$(PATH)

.PHONY: install gguf capabilities study pretrained published test test-services lint format docs ui clean

install: .venv/installed

gguf: .venv/gguf

capabilities: .venv/capabilities

study: $(if $(filter real_models,$(STUDY)),.venv/gguf,.venv/installed)
	snakemake $(OVERLAY)
	snakemake $(OVERLAY) --quiet --report "$$(spikesink folder $(OVERLAY))/report.html"
	spikesink summary $(OVERLAY)

pretrained:
	$(MAKE) study STUDY=real_models

# Draw all tables and figures of the published studies in git, and write a report of each.
published: .venv/drawing
	snakemake published
	for study in $(notdir $(patsubst %/,%,$(wildcard results/published/*/))); do \
		snakemake published_$$study --quiet --report results/published/$$study/report.html || exit; \
	done

test: .venv/tested lint
	pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

# Tests with a real SLURM, PostgreSQL, pdflatex and browser on this machine. Run as root, with Debian's packages
# slurm-wlm, munge, postgresql, texlive-latex-base, texlive-latex-recommended and chromium.
test-services: .venv/tested
	pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder tests/slurm tests/services

lint: .venv/tested
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow

format: .venv/tested
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

docs: .venv/installed
	python docs/generate.py

# Listens on the loopback interface only. One person needs no job runner and one worker; more would slow the start.
ui: .venv/installed
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true \
	mlflow server --host 127.0.0.1 --port $(PORT) --workers 1 \
		--backend-store-uri sqlite:///results/mlflow.db --artifacts-destination results/mlartifacts

# Installed in layers: for drawing, for training and measuring, for GGUF files, for standard tasks, for tests only.
# transformers is not in the first two, because it would slow the start of every training run.
.venv/drawing: pyproject.toml envs/constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -c "import os, sys; sys.exit(bool(set('{}:') & set(os.getcwd())) and f'setuptools cannot install into {os.getcwd()}: rename the folder that has a brace or a colon in its name')"
	$(PYTHON) -m venv .venv
	$(if $(LOCKED),$(INSTALL) --require-hashes --no-deps --requirement envs/locked-$(LOCKED).txt)
	$(PIP) --editable .
	touch .venv/drawing

.venv/installed: .venv/drawing
	$(PIP) --editable ".[train]"
	touch .venv/installed

.venv/gguf: .venv/installed
	$(if $(LOCKED),$(INSTALL) --require-hashes --no-deps --requirement envs/locked-gguf.txt)
	$(PIP) --editable ".[train,gguf]"
	touch .venv/gguf

.venv/capabilities: .venv/installed
	$(if $(LOCKED),$(INSTALL) --require-hashes --no-deps --requirement envs/locked-capabilities.txt)
	$(PIP) --editable ".[train,capabilities]"
	touch .venv/capabilities

.venv/tested: .venv/installed
	$(if $(LOCKED),$(INSTALL) --require-hashes --no-deps --requirement envs/locked-dev.txt)
	$(PIP) --editable ".[train,dev]"
	touch .venv/tested

clean:
	rm -rf .venv build src/spikesink.egg-info
