SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin

# Airflow's own files stay in the checkout. Everything here can be set from outside.
export AIRFLOW_HOME ?= $(CURDIR)/.airflow
export AIRFLOW__CORE__DAGS_FOLDER := $(CURDIR)/dags
export AIRFLOW__CORE__PLUGINS_FOLDER := $(CURDIR)/plugins
export AIRFLOW__CORE__LOAD_EXAMPLES := False
export AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION := False
# As JSON: what Airflow can't read as a URI silently becomes --master yarn.
export AIRFLOW_CONN_SPARK_DEFAULT ?= {"conn_type":"spark","host":"local[*]"}
export LOOKALIKE_DATA ?= $(CURDIR)/data
export PYTHONPATH := $(CURDIR)
ifneq (,$(findstring local[,$(AIRFLOW_CONN_SPARK_DEFAULT)))
export SPARK_LOCAL_IP ?= 127.0.0.1
endif

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## draw the sample, build its index in Airflow, show a picture's look-alikes
	@$(BIN)/python -m scripts.demo

airflow: $(VENV)/.run ## Airflow's UI on 127.0.0.1:8080, the DAGs ready to run
	@$(BIN)/python -m scripts.airflow_ui

test: $(VENV)/.dev ## run every test
	@$(BIN)/python -m pytest

test-fast: $(VENV)/.dev ## the tests that need no Spark, Airflow or browser: under a minute
	@$(BIN)/python -m pytest -m "not slow"

test-cluster: $(VENV)/.dev ## what holds when parts of the cluster die: needs Docker and about an hour
	@$(BIN)/python -m pytest tests/cluster -o addopts="-v -ra" -o timeout=3600

lint: $(VENV)/.dev ## ruff, mypy, and which room may import which
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

bench-cars: $(VENV)/.run ## the whole DAG on Stanford Cars: time per step, precision
	@$(BIN)/python -m benchmarks.cars

bench-geometry: $(VENV)/.run ## which way to 224 x 224 suits Stanford Cars best
	@$(BIN)/python -m benchmarks.embedding.geometry

bench-search: $(VENV)/.bench ## what a search costs: against Spark's own, among a million, against other libraries
	@$(BIN)/python -m benchmarks.search $(BENCH)

bench-embed: $(VENV)/.bench ## what embedding costs: against the cores' limit, against the usual ways, by Spark
	@$(BIN)/python -m benchmarks.embedding $(BENCH)

bench-viewers: $(VENV)/.dev ## fifty viewers in the gallery at once, against Airflow's own pages
	@$(BIN)/python -m benchmarks.viewers $(BENCH)

up: ## Airflow on PostgreSQL and a Spark cluster, in containers; the UI on 127.0.0.1:8080
	@cluster/up.sh

down: ## stop the containers; data stays
	@cluster/compose.sh down

logs: ## follow the containers' output
	@cluster/compose.sh logs --follow --tail=50

demo-cluster: ## the demo on the containers: the table, and where the montage is
	@cluster/up.sh && cluster/demo.sh

lock: $(VENV)/.dev ## resolve requirements*.txt into their locks
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" requirements.txt -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements.lock requirements-cluster.txt -o requirements-cluster.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements-cluster.lock requirements-dev.txt -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements.lock requirements-bench.txt -o requirements-bench.lock

clean: ## remove the virtual environment, Airflow's files and caches; data stays
	@rm -rf $(VENV) .airflow .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: $(LOOKALIKE_DATA)"

preflight:
	@PYTHON="$(PYTHON)" scripts/preflight.sh

$(VENV)/.run: requirements.lock | preflight
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned requirements into .venv (about 6 GB with PyTorch, some minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

.PHONY: help demo airflow test test-fast test-cluster lint bench-cars bench-geometry bench-search bench-embed bench-viewers up down logs demo-cluster lock clean preflight
