# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of 3.11 or later that really runs (a shim may be there without its Python).
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --quiet
# uv trusts the authorities that the machine trusts, not its own.
export UV_SYSTEM_CERTS := 1

.PHONY: help demo dev test container-test check format docs lock bench-ack bench-console bench-cost bench-hang bench-jobs bench-path bench-records bench-shards chaos chaos-hosts chaos-workers screenshots version release clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: .venv/run  ## the main job, once: a signed callback, its answer, its jobs
	@$(BIN)/deskbell demo

dev: .venv/run  ## the same stack, kept running, reloading; data in .deskbell/; Ctrl-C ends it
	@$(BIN)/deskbell dev

test: check  ## all checks and all tests; COVER=1 measures which lines they run, which takes half as long again
	$(BIN)/pytest -n 4 --dist worksteal --durations=25 $(if $(COVER),--cov --cov-report=term:skip-covered)

check: .venv/test  ## what CI checks before the tests: style, types, import order, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m tests.security.audit

container-test: .venv/test  ## the image and the compose file in a real Docker Engine (needs root on Debian 12)
	tests/containers/run

format: .venv/test  ## put the code in the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/test  ## write what the documents take from the code, and build their site, offline, into site/
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.log_events
	$(BIN)/python -m tools.walks
	$(BIN)/zensical build --clean --strict

lock: .venv/test  ## resolve the dependencies anew and write both lock files
	$(LOCK) --upgrade --all-extras --group build -o requirements.lock
	$(LOCK) --upgrade --all-extras --group build --group docs --group test -c requirements.lock -o requirements-test.lock

bench-ack: .venv/run  ## acknowledged callbacks per second, beside FastAPI with five job queues, rasa-sdk and slack-bolt (needs wrk)
	@$(BIN)/python -m bench.ack.rates

bench-console: .venv/run  ## milliseconds of each page of the operator's console, with much on Redis, and bytes of a first visit
	@$(BIN)/python -m bench.console.times

bench-cost: .venv/run  ## what accepting costs as it grows: bytes of Redis' memory, queue, connections, body (needs wrk)
	@$(BIN)/python -m bench.ack.cost

bench-hang: .venv/run  ## what hanging calls cost other calls: p99 of answers with and without them
	@$(BIN)/python -m bench.ack.hang

bench-jobs: .venv/run  ## jobs per second, latency and memory of one worker process, beside RQ, Celery, dramatiq, arq and taskiq
	@$(BIN)/python -m bench.jobs.rates

bench-path: .venv/run  ## callbacks per second until their jobs are done, latency and CPU, beside FastAPI with five job queues
	@$(BIN)/python -m bench.path.rates

bench-records: .venv/run  ## milliseconds of a search among a million callbacks on record
	@$(BIN)/python -m bench.records

bench-shards: .venv/run  ## acknowledged and drained per second with 1, 2 and 4 shards on a cluster, and the CPU of an event (needs wrk)
	@$(BIN)/python -m bench.shards

chaos: .venv/run  ## inject faults into all that an answer depends on, under load, and show that no accepted callback is lost
	@$(BIN)/python -m bench.chaos.callbacks

chaos-hosts: .venv/run  ## cut several hosts off from each other and lose them, under load, and show that all is done once (root; iproute2, nginx)
	@$(BIN)/python -m bench.chaos.hosts.run

chaos-workers: .venv/run  ## kill and freeze workers and Redis under load, and show that no job is lost
	@$(BIN)/python -m bench.chaos.workers

screenshots: .venv/test  ## pictures of every page of the operator's console, into .screenshots/, and those of the documents (needs Chromium)
	@$(BIN)/python -m tools.screenshots .screenshots

version: .venv/test  ## give the changelog's "Unreleased" a version, before a release: make version VERSION=0.2.0
	@$(BIN)/python -m tools.release version "$(VERSION)"

release: .venv/test  ## what is committed as a release in dist/: packages, tried on each Python at hand, bill of materials, tag's text
	@$(BIN)/python -m tools.release release dist

clean:  ## remove what the targets above have made
	rm -rf .venv .deskbell .bench .cache .screenshots dist site

.venv/run: requirements.lock pyproject.toml | .venv/made
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/test: requirements-test.lock .venv/run
	$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@

.venv/made:
	@test -n "$(PYTHON)" || { echo "Deskbell needs Python 3.11 or later; there is none on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
