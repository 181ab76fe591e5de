# make demo        run the whole pipeline once and show the labels; DASHBOARD=1 then shows them in a browser
# make demo CSV=purchases.csv   the same on your own purchases, until every user is labelled: docs/own-data.md
# make up          start the local stack in the background: Kafka, Schema Registry, Flink SQL
# make status      show what is running and where
# make datagen     start a stream of transactions, as Confluent's Datagen connector produces it
# make run-sql     run sql/*.sql in order, then show the live table until Ctrl-C
# make sql         open Flink's SQL client with the five tables declared
# make dashboard   show the labels of the local stack in a browser until Ctrl-C
# make down        stop the stack; topics and schemas stay
# make test        run all: check, unit, integration (Kafka), end-to-end (Flink), oldest versions, container
# make test-unit   run the tests that need no service
# make test-container   build the image and run it; needs root on Debian
# make test-oldest run the unit tests and the client with the oldest versions that the requirements files allow
# make chaos       inject faults for ten minutes or more and print a table; SEED=n repeats a run
# make soak        check that the client does not grow at a steady rate with outages; half an hour, or MINUTES=n
# make bench       measure the client and other programs; BENCH=--quick for small sizes, --large for 10 million users
# make simulate    estimate cells, state, rates and cores for more users than one machine can label; USERS=1e9
# make img         redraw the pictures of the pages from runs of the pipeline; about five minutes
# make cdnow       download purchases of real customers, to try make demo CSV=
# make lock        rewrite the lock files of the local stack and of the images
# make check       run linter, type checker and layout rules
# make setup       install virtual environment, packages, Java runtime and jars; other targets run it first
#
# Settings: PYTHON=python3.12   WORKERS=3   OLDEST_PYTHON=python3.11   KAFKA_PORT=9092   REGISTRY_PORT=8081   SQL_PORT=8083   DASHBOARD=1   DASHBOARD_PORT=8501   SEED=1   MINUTES=30   BENCH=--quick   USERS=1e9
# Settings with CSV: CSV=purchases.csv   USER=customer   AMOUNT=price   DELIMITER=tab   DECIMAL=,   OUT=labels   K=4   SCALE=log   FIT=cells

PYTHON ?= python3
SEED ?= 1
WORKERS ?= 3
MINUTES ?= 30
USERS ?= 1e9
VENV := .venv
BIN := $(VENV)/bin
CODE := user_classifier.py classifier dashboard local tests $(wildcard benchmarks img)
# Tests that need a real broker and registry, but no Flink.
BROKER_TESTS := $(wildcard tests/browser tests/faults tests/integration tests/upgrades tests/hostile tests/secure)
# In parallel, as they mostly wait; tests/support/workers.py has the order. Each worker has its own services.
IN_PARALLEL := -n $(WORKERS) --by-services
# The image can be built and run only by root on Debian, see tests/container/debian.py.
BUILDS_IMAGES := $(shell [ "$$(id -u)" = 0 ] && grep -sx ID=debian /etc/os-release)
export KAFKA_PORT REGISTRY_PORT SQL_PORT DASHBOARD_PORT
# These settings count only on make's command line, because every shell sets USER. make exports them, so the recipe can
# pass them as shell variables, whatever characters they contain.
option = $(if $(filter command,$(origin $(1))),$(2)="$$$(1)")
OWN_DATA = $(call option,CSV,--csv) $(call option,USER,--user) $(call option,AMOUNT,--amount) \
  $(call option,DELIMITER,--delimiter) $(call option,DECIMAL,--decimal) $(call option,OUT,--out) \
  $(call option,K,-k) $(call option,SCALE,--scale) $(call option,FIT,--fit)

# Stamp files: a step runs again when its prerequisites change.
INSTALLED := $(VENV)/installed
TEST_TOOLS := $(VENV)/test-tools-installed
DASHBOARD_TOOLS := $(VENV)/dashboard-tools-installed
BENCH_TOOLS := $(VENV)/bench-tools-installed
IMG_TOOLS := $(VENV)/img-tools-installed
FETCHED := .local/artifacts/verified
# Purchases of real customers, for tests, benchmarks and pictures.
CDNOW := .local/cdnow/lifetimes/datasets/CDNOW_master.txt

# The oldest versions have wheels only for Python 3.11 and 3.12.
OLDEST := .local/oldest
OLDEST_PYTHON ?= $(firstword $(shell command -v python3.11 python3.12) $(PYTHON))
REQUIREMENTS := requirements.txt $(wildcard */requirements.txt)
OLDEST_INSTALLED := $(OLDEST)/installed

.PHONY: help setup layout demo dashboard browser cdnow up down status datagen run-sql sql check lint types test test-unit test-services test-integration test-end-to-end test-oldest test-container chaos soak bench simulate img lock

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(FETCHED)

demo: $(FETCHED) $(if $(DASHBOARD),$(DASHBOARD_TOOLS))
	@$(BIN)/python -m local demo $(OWN_DATA) $(if $(DASHBOARD),--dashboard)

dashboard: $(DASHBOARD_TOOLS) $(FETCHED)
	@$(BIN)/python -m local dashboard

cdnow: $(CDNOW)

up down status datagen run-sql sql: $(FETCHED)
	@$(BIN)/python -m local $@

check: lint types layout

lint: $(TEST_TOOLS)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(TEST_TOOLS)
	$(BIN)/mypy $(CODE)

layout: $(TEST_TOOLS)
	$(BIN)/pytest -q tests/unit/test_layout.py

# Types are checked on one core, so unit tests, which include the layout test, run next to it.
test: $(TEST_TOOLS) $(CDNOW)
	@$(MAKE) --no-print-directory -j 3 lint types test-unit
	@$(MAKE) --no-print-directory test-services IMAGE_TESTS=$(if $(BUILDS_IMAGES),tests/container)
	@$(MAKE) --no-print-directory test-oldest
	$(if $(BUILDS_IMAGES),,@echo "$(NO_IMAGE)")

test-unit: $(TEST_TOOLS) $(CDNOW)
	$(BIN)/pytest -n 2 tests/unit

# The tests of the page need a browser: an installed one, else Debian's if this user may install it.
browser: $(TEST_TOOLS)
	@$(BIN)/python -m tests.browser.chromium --install

test-services: $(TEST_TOOLS) $(FETCHED) $(CDNOW) browser
	$(BIN)/pytest $(IN_PARALLEL) $(IMAGE_TESTS) tests/end_to_end $(BROKER_TESTS)

test-integration: $(TEST_TOOLS) $(FETCHED) $(CDNOW) browser
	$(BIN)/pytest $(IN_PARALLEL) $(BROKER_TESTS)

test-end-to-end: $(TEST_TOOLS) $(FETCHED) $(CDNOW)
	$(BIN)/pytest tests/end_to_end

# Old libraries may raise deprecation warnings that newer ones do not.
test-oldest: $(OLDEST_INSTALLED) $(FETCHED) $(CDNOW)
	$(OLDEST)/bin/python -m tests.lower_bounds --check
	$(OLDEST)/bin/node --version
	$(OLDEST)/bin/pytest -W default::DeprecationWarning -n 2 tests/unit tests/integration/test_reports.py

# Without Docker: Debian's buildah and debootstrap.
NO_IMAGE := test-container: skipped, because it needs root on Debian; the image is not tested
test-container: $(TEST_TOOLS) $(FETCHED)
	$(if $(BUILDS_IMAGES),$(BIN)/pytest tests/container,@echo "$(NO_IMAGE)")

chaos: $(TEST_TOOLS) $(FETCHED)
	$(BIN)/python -m tests.faults.chaos --seed $(SEED)

soak: $(TEST_TOOLS) $(FETCHED)
	$(BIN)/python -m tests.faults.soak --seed $(SEED) --minutes $(MINUTES)

bench: $(BENCH_TOOLS) $(FETCHED) $(CDNOW)
	@$(BIN)/python -m benchmarks $(BENCH)

simulate: $(BENCH_TOOLS)
	@$(BIN)/python -m benchmarks.scale_out --users $(USERS)

img: $(IMG_TOOLS) $(FETCHED) $(CDNOW)
	@$(BIN)/python -m img

lock: $(TEST_TOOLS)
	$(BIN)/python -m local lock
	@# For every Python and platform that the packages support; the file must not name a package registry.
	$(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command 'make lock' requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command 'make lock' -c requirements.lock requirements.txt \
	  dashboard/requirements.txt --output-file dashboard/requirements.lock
	$(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command 'make lock' deploy/sbom.txt --output-file deploy/sbom.lock

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements.txt local/requirements.txt local/requirements-no-deps.txt | $(BIN)/python
	@# pip resumes interrupted downloads from version 25.1.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@echo "installing packages; the largest are Flink (330 MB) and the Java runtime (35 MB)"
	$(BIN)/pip install --disable-pip-version-check --resume-retries 5 -r requirements.txt -r local/requirements.txt
	$(BIN)/pip install --disable-pip-version-check --resume-retries 5 --no-deps -r local/requirements-no-deps.txt
	@touch $@

$(TEST_TOOLS): tests/requirements.txt $(DASHBOARD_TOOLS)
	$(BIN)/pip install --disable-pip-version-check --quiet -r tests/requirements.txt
	@touch $@

$(CDNOW): tests/requirements-cdnow.txt | $(INSTALLED)
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-compile --upgrade --target .local/cdnow -r $<
	@touch $@

$(DASHBOARD_TOOLS): dashboard/requirements.txt $(INSTALLED)
	$(BIN)/pip install --disable-pip-version-check --quiet -r dashboard/requirements.txt
	@touch $@

$(OLDEST_INSTALLED): $(REQUIREMENTS) tests/lower_bounds.py
	@$(OLDEST_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "the oldest versions need Python 3.11 or 3.12: make test-oldest OLDEST_PYTHON=/path/to/python3.11"; exit 1; }
	$(OLDEST_PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST_PYTHON) -m tests.lower_bounds > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@echo "installing the oldest versions; a minute or more"
	$(OLDEST)/bin/pip install --disable-pip-version-check --quiet --resume-retries 5 \
	  -c $(OLDEST)/constraints.txt $(addprefix -r ,$(REQUIREMENTS))
	@touch $@

$(BENCH_TOOLS): benchmarks/requirements.txt $(INSTALLED)
	$(BIN)/pip install --disable-pip-version-check --quiet -r benchmarks/requirements.txt
	@touch $@

$(IMG_TOOLS): img/requirements.txt img/package.json $(INSTALLED)
	$(BIN)/pip install --disable-pip-version-check --quiet -r img/requirements.txt
	@mkdir -p $(VENV)/img-node && cp img/package.json $(VENV)/img-node
	@# npm of the virtual environment, which needs the node of the same folder.
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm install --prefix $(VENV)/img-node --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(FETCHED): local/artifacts.lock.toml $(wildcard local/java/*.java) $(INSTALLED)
	@$(BIN)/python -m local fetch
	@touch $@
