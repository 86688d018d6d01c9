# Every command a user has. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
CHECKERS := $(VENV)/checkers
# The first interpreter that is new enough; PYTHON=… overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# cmake, ruff and the like come from their wheels: the same versions everywhere.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: prerequisites
prerequisites:
	@[ -n "$(PYTHON)" ] || { echo "veloz: no Python 3.11 or newer found. Install it: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { v=$$($(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
		echo "veloz: $(PYTHON) cannot make a virtual environment. Install it: apt install $$v-venv" >&2; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || { echo "veloz: no C++ compiler found ($${CXX:-g++}). Install it: apt install g++" >&2; exit 1; }

# The installer, its hash checked by pip; everything else is then installed by it, hashes checked too.
$(BIN)/uv: requirements.lock | prerequisites
	@echo "setting up $(VENV)" >&2
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@touch $@

INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -c requirements.lock -r pyproject.toml

$(VENV)/.run: pyproject.toml requirements.lock | $(BIN)/uv
	@$(INSTALL) --extra app --extra local && touch $@

$(VENV)/.deploy: pyproject.toml requirements.lock | $(BIN)/uv
	@$(INSTALL) --extra app --extra local --extra deploy && touch $@ $(VENV)/.run

$(VENV)/.test: pyproject.toml requirements.lock $(CHECKERS)/.done | $(BIN)/uv
	@$(INSTALL) --extra app --extra local --extra deploy --extra test && touch $@ $(VENV)/.run $(VENV)/.deploy

# Checkov and SSLyze want older libraries than Pulumi does, so they have an environment of their own.
$(CHECKERS)/.done: .ci/checkers.lock | $(BIN)/uv
	@[ -x $(CHECKERS)/bin/python ] || $(PYTHON) -m venv --without-pip $(CHECKERS)
	@$(BIN)/uv pip install --quiet --python $(CHECKERS)/bin/python --require-hashes -r .ci/checkers.lock && touch $@

.PHONY: setup
setup: $(VENV)/.test ## install what `make run` and `make test` need into .venv

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: $(BIN)/uv ## write the locks anew from pyproject.toml and .ci/checkers.in (UPGRADE=1 takes newer versions)
	@$(COMPILE) --all-extras -o requirements.lock pyproject.toml
	@$(COMPILE) -o .ci/checkers.lock .ci/checkers.in

.PHONY: engine
engine: $(VENV)/.run ## build the release engine
	@$(BIN)/python -m app.build release

.PHONY: run
run: $(VENV)/.run ## the whole system on this machine; ARGS="--help" lists its options
	@$(BIN)/python -m app local $(ARGS)

ENGINE_TEST = cd engine && cmake --preset $(1) && cmake --build --preset $(1) -j $(JOBS) && ctest --preset $(1) -j $(JOBS)

# Status 5: ARGS chose no test of this half.
PYTEST = $(BIN)/python -m pytest $(1) $(ARGS) || [ $$? -eq 5 ]

.PHONY: test test-engine test-python
test: test-engine test-python ## everything that can be checked on this machine
test-engine: $(VENV)/.test
	$(call ENGINE_TEST,release)
	$(call ENGINE_TEST,asan)
test-python: $(VENV)/.test
	$(call PYTEST,-n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone")
	$(call PYTEST,-n 0 -m alone)

# One test at a time: their figures are seconds, and the machine is small. FAULT_KILLS=… FAULT_SEED=… ARGS="-k rolling" change it.
FAULT_KILLS ?= 200
FAULT_SECONDS ?= 7200
.PHONY: faults
faults: $(VENV)/.test ## kill, stop and cut off gateways, engines and Valkey under load, at the promises' figures; at most two hours
	VELOZ_FAULT_FULL=1 VELOZ_FAULT_KILLS=$(FAULT_KILLS) VELOZ_FAULT_SEED=$(FAULT_SEED) \
		timeout --signal=INT --kill-after=60 $(FAULT_SECONDS) $(BIN)/python -m pytest -n 0 tests/faults tests/app/http/test_slow_readers.py $(ARGS)

CXX_SOURCES = $(shell git ls-files -co --exclude-standard 'engine/*.cpp' 'engine/*.hpp' 'engine/*.h')

.PHONY: lint
lint: $(VENV)/.test ## ruff, mypy --strict and clang-format, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)

.PHONY: format
format: $(VENV)/.test ## put Python and C++ sources into the form `make lint` asks for
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_SOURCES)

.PHONY: bench
bench: $(VENV)/.test ## the engine's benchmark: orders a second in process
	cd engine && cmake --preset release && cmake --build --preset release -j $(JOBS) --target veloz_bench
	engine/build/release/veloz_bench

# HOSTNAME=… counts on the command line alone: shells and containers have a variable of that name.
TOLD = $(if $(filter command,$(origin HOSTNAME)),--hostname '$(HOSTNAME)') $(if $(RENEW),--renew)
STACKS = STACK='$(STACK)' TOPOLOGY='$(TOPOLOGY)' CONFIRM='$(CONFIRM)' $(BIN)/python -m stacks

.PHONY: init preview up rollback destroy render
init: $(VENV)/.deploy ## make a stack's file and secrets: STACK=… [TOPOLOGY=single|compose|kubernetes] [HOSTNAME=…] [RENEW=1]
	@$(STACKS) init $(TOLD) $(ARGS)
preview: $(VENV)/.deploy ## show what `make up` would change, and what the policy says: STACK=…
	@$(STACKS) preview $(ARGS)
up: $(VENV)/.deploy ## deploy a stack, wait until it serves, prove it, record the release: STACK=…
	@$(STACKS) up $(ARGS)
rollback: $(VENV)/.deploy ## return to the last good release before this one: STACK=…
	@$(STACKS) rollback $(ARGS)
destroy: $(VENV)/.deploy ## take a deployment away; its data too only with CONFIRM=<stack>: STACK=…
	@$(STACKS) destroy $(ARGS)
render: $(VENV)/.deploy ## print a Kubernetes stack's objects as YAML: STACK=…
	@$(STACKS) render $(ARGS)

# Here HOST is a bare machine; shells have variables of such names.
HOSTS = HOST='$(if $(filter command,$(origin HOST)),$(HOST))' SSH_KEY='$(SSH_KEY)' ROLES='$(ROLES)' STACK='$(STACK)' $(BIN)/python -m hosts
.PHONY: tune verify untune firewall provision
tune: $(VENV)/.deploy ## tune a bare host's kernel and network: HOST=[user@]address [SSH_KEY=file] [ROLES=…] [STACK=…] [ARGS=--dry-run]
	@$(HOSTS) tune $(ARGS)
verify: $(VENV)/.deploy ## read every value of a host back: want, have, verdict; the same arguments
	@$(HOSTS) verify $(ARGS)
untune: $(VENV)/.deploy ## put back what was there before `make tune`: HOST=…
	@$(HOSTS) untune $(ARGS)
firewall: $(VENV)/.deploy ## close a host but for what the description opens, never locking out: HOST=…
	@$(HOSTS) firewall $(ARGS)
provision: $(VENV)/.deploy ## a bare host until it serves: packages, tuning, firewall, the system itself: HOST=…
	@$(HOSTS) provision $(ARGS)

# One at a time: they share a Docker daemon and a cluster. What the machine has not is named and skipped.
E2E = tests/e2e/test_images.py tests/e2e/test_single_up.py tests/e2e/test_compose_up.py tests/e2e/test_kubernetes_up.py \
	tests/e2e/test_kubernetes_scaled.py tests/e2e/test_kubernetes_ingress.py tests/e2e/test_kubernetes_reach.py \
	tests/e2e/test_private_registry.py tests/e2e/test_files_that_go.py tests/e2e/test_watched_balancers.py
# Bare hosts are made by the command that VELOZ_E2E_HOST names (tests/e2e/bare_host.py); VELOZ_E2E_EVERY=8 takes every eighth step.
E2E += $(sort $(wildcard tests/e2e/test_host_*.py))
.PHONY: e2e
e2e: $(VENV)/.test ## images and deployments for real, on Docker and a cluster where there are; says what is missing
	VELOZ_E2E=1 $(BIN)/python -m pytest -n 0 $(E2E) $(ARGS)

.PHONY: clean
clean: ## remove what was built; .veloz, the data, stays
	rm -rf $(VENV) build engine/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
