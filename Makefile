# Two commands do everything on a machine with python3.11, make and git: `make demo` and `make test`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export UV_NO_PROGRESS := 1
COMPILE := $(UV) pip compile --quiet --generate-hashes --python-version 3.11 \
  --python-platform x86_64-manylinux_2_28 --custom-compile-command "make lock"
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --require-hashes

.PHONY: setup demo test lint format bench lock clean help

setup: $(VENV)/.setup  ## install what a laptop needs; the command is then .venv/bin/dpcloud

$(VENV)/.setup: requirements-setup.txt requirements.txt pyproject.toml
	@echo "setting up $(VENV) (two minutes or so)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt
	$(INSTALL) -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	$(BIN)/python -m dpcloud.startup
	touch $@

$(VENV)/.setup-dev: $(VENV)/.setup requirements-dev.txt
	$(INSTALL) -r requirements-dev.txt
	touch $@

demo: $(VENV)/.setup  ## the main job: the private mean of TotalPop in a census table, by both engines
	@rm -rf build/demo && mkdir -p build/demo && cp $(VENV)/share/dpcloud/census.csv build/demo/
	DPCLOUD_HOME=build/demo/home $(BIN)/dpcloud run --engine both --query MEAN --column TotalPop --epsilon 1 \
	  --lower 0 --upper 20000 --file build/demo/census.csv --progress

test: lint  ## lint and all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.setup-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.setup-dev  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.setup-dev  ## measure the speed beside plain Spark and the libraries; BENCH_MAX=1e9 for the largest
	$(BIN)/python bench/run.py

lock: $(VENV)/.setup  ## compile the pinned requirement files from pyproject.toml
	$(COMPILE) --group setup -o requirements-setup.txt
	$(COMPILE) pyproject.toml --extra laptop -o requirements.txt
	$(COMPILE) pyproject.toml -c requirements.txt --no-emit-package pyspark --no-emit-package py4j \
	  -o requirements-cluster.txt
	$(COMPILE) pyproject.toml --extra laptop --extra dev -c requirements.txt -o requirements-dev.txt

clean:  ## remove what was built (not the ledger in the user's data folder)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache src/*.egg-info

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
