PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Warnings of pip (its own age, mirrors) would bury the one line that matters; errors still show.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

export HF_HUB_DISABLE_TELEMETRY := 1
# No test and no demo may depend on a hub being in reach.
demo mptpn-demo test bench: export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo mptpn-demo test lint bench refhl-phantom clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP)  ## create the virtual environment: the tested versions, this package editable

# torch first: on its own it is the long download, and whatever follows finds it satisfied.
$(STAMP): setup.py constraints.txt
	@echo "Installing into $(VENV) (torch is the long part) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@$(PIP) -e '.[onedl,data,eval,export,web,dev]'
	@touch $@
	@echo "$(VENV) is ready."

demo: $(STAMP)  ## train and test a small model on made-up slices
	@$(BIN)/python tools/demo.py

PHANTOM := configs/phantom
mptpn-demo: $(STAMP)  ## MPTPN's two stages on made-up slices; with CONTROL=1 also stage 2 without stage 1
	@$(BIN)/python tools/two_stages.py $(PHANTOM)/ppe-simsiam-c8_phantom_96x96.py $(PHANTOM)/mptpn-c8_phantom_96x96.py \
		--phantom data/phantom_96 --work-dir work_dirs/mptpn-demo $(if $(CONTROL),--control)

# A file's tests stay in one process, with the fixtures that they share.
test: $(STAMP)  ## run the tests, report coverage
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile -m 'not shared_data' --cov=mmseg_textseg --cov-report=term-missing:skip-covered

lint: $(STAMP)  ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: $(STAMP)  ## time our models and their parts beside other ways to do the same job
	@$(BIN)/python tools/benchmark.py --out work_dirs/benchmark

refhl-phantom: $(STAMP)  ## write a made-up stand-in where the LSMS configs look for RefHL-Seg
	@$(BIN)/python tools/make_phantom.py --out data/refhl --cases 60 --size 480 --seed 0

clean:  ## remove caches and build products; keeps the environment, data and work_dirs
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .coverage htmlcov
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './.git/*' -prune -exec rm -rf {} +
