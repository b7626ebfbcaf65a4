SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
# Relative: make and the shell would split an absolute path at its spaces.
BIN := .venv/bin

ifeq (,$(wildcard jobs/store/root.py))
$(error $(CURDIR) is not the checkout: run make in the folder of the Makefile)
endif

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
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: .venv/.run ## draw the sample, build its index in Airflow, show a picture's look-alikes
	@$(BIN)/python -m scripts.demo

airflow: .venv/.run ## Airflow's UI on 127.0.0.1:8080, the DAGs ready to run
	@$(BIN)/python -m scripts.airflow_ui

# Passed on by the environment, so that a name may have spaces and quotes.
find: export LOOKALIKE_PICTURE = $(value PICTURE)
find: .venv/.run ## PICTURE=photo.jpg: its look-alikes in the published index, at once
	@test -n "$$LOOKALIKE_PICTURE" || { echo "error: name a picture: make find PICTURE=photo.jpg" >&2; exit 2; }
	@$(BIN)/python -m jobs.find -- "$$LOOKALIKE_PICTURE"

test: .venv/.dev ## run every test
	@$(BIN)/python -m pytest

test-fast: .venv/.dev ## the tests that need no Spark, Airflow or browser: under a minute
	@$(BIN)/python -m pytest -m "not slow"

test-cluster: .venv/.dev ## what holds when parts of the cluster die: needs Docker and about an hour
	@$(BIN)/python -m pytest tests/cluster -o addopts="-v -ra" -o timeout=3600

lint: .venv/.dev ## ruff, mypy, and which room may import which
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

bench-cars: .venv/.run ## the whole DAG on Stanford Cars: time per step, precision
	@$(BIN)/python -m benchmarks.cars

bench-geometry: .venv/.run ## which way to 224 x 224 suits Stanford Cars best
	@$(BIN)/python -m benchmarks.embedding.geometry

bench-search: .venv/.bench ## what a search costs: against Spark's own, among a million, against other libraries
	@$(BIN)/python -m benchmarks.search $(BENCH)

bench-embed: .venv/.bench ## what embedding costs: against the cores' limit, against the usual ways, by Spark
	@$(BIN)/python -m benchmarks.embedding $(BENCH)

bench-viewers: .venv/.dev ## fifty viewers in the gallery at once, against Airflow's own pages
	@$(BIN)/python -m benchmarks.viewers $(BENCH)

bench-live: .venv/.dev ## what an answer costs: a photo, an id, in the browser, a thousand at once
	@$(BIN)/python -m benchmarks.live $(BENCH)

pictures: .venv/.dev ## take the README's pictures anew, of an Airflow that runs
	@$(BIN)/python -m scripts.pictures

up: ## Airflow on PostgreSQL and a Spark cluster, in containers; the UI on 127.0.0.1:8080
	@cluster/up.sh

down: ## stop the containers; data stays
	@cluster/compose.sh down

logs: ## follow the containers' output
	@cluster/compose.sh logs --follow --tail=50

demo-cluster: ## the demo on the containers: the table, and where the montage is
	@cluster/up.sh && cluster/demo.sh

lock: .venv/.dev ## resolve requirements*.txt into their locks
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" requirements.txt -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements.lock requirements-cluster.txt -o requirements-cluster.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements-cluster.lock requirements-dev.txt -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements.lock requirements-bench.txt -o requirements-bench.lock

clean: ## remove the virtual environment, Airflow's files and caches; data stays
	@rm -rf .venv .airflow .pytest_cache .mypy_cache .ruff_cache
	@find dags jobs plugins service tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	@printf 'Kept: %s\n' "$$LOOKALIKE_DATA"

preflight:
	@PYTHON="$(PYTHON)" scripts/preflight.sh

.venv/.run: requirements.lock | preflight
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "Installing the pinned requirements into .venv (about 6 GB with PyTorch, some minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.bench: requirements-bench.lock .venv/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

.PHONY: help demo airflow test test-fast test-cluster lint bench-cars bench-geometry bench-search bench-embed bench-viewers up down logs demo-cluster lock clean preflight
