# Everything a person types. The work is done by tools/stack, tools/node and pytest, each usable on its own (--help).

PYTHON ?= python3
export STACK ?= dev
export KUBE_CONTEXT RENDER EMULATE NODES CACHE

VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help up preview down status doctor password clean test test-unit test-engine test-clouds test-cluster test-faults test-long lint format bench bench-failover environment cluster

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  STACK=name         another Pulumi.name.yaml than dev"
	@echo "  KUBE_CONTEXT=name  a cluster of yours instead of the embedded one"
	@echo "  RENDER=1           write YAML to rendered/ instead of deploying"
	@echo "  EMULATE=1          for a stack in a cloud: one that is emulated on this machine"
	@echo "  NODES=3            nodes of the embedded cluster, a zone each"

up: ## Deploy STACK and prove that it works
	@$(PYTHON) tools/stack up

preview: ## Show what up would change
	@$(PYTHON) tools/stack preview

down: ## Destroy STACK, and the embedded cluster with the last one
	@$(PYTHON) tools/stack down

status: ## Show the cluster, the stack's pods and how to connect
	@$(PYTHON) tools/stack status

doctor: ## Print what the running caches miss of the best practices
	@$(PYTHON) tools/stack doctor

password: ## Print the password of CACHE
	@$(PYTHON) tools/stack password

test: lint test-unit test-engine test-clouds test-cluster ## Run every check

test-unit: environment ## Test without engine and cluster
	$(PYTEST) tests/unit -m "not long" --numprocesses 2 --dist loadfile

test-engine: environment ## Test with the real Pulumi engine
	$(PYTEST) tests/engine

test-clouds: environment ## Test the clouds' stacks with the real engine, in emulated clouds
	$(PYTEST) tests/clouds -m "not long" --numprocesses 2

test-cluster: environment ## Test on the real embedded cluster
	$(PYTEST) tests/cluster -m "not long"

test-faults: environment ## Test every fault and alert, also those that take long
	$(PYTEST) tests/cluster/faults

test-long: environment ## Test what takes long: properties by many more random programs than make test, tokens that end
	$(PYTEST) tests/unit tests/clouds -m long --numprocesses 2 --dist loadfile

lint: environment ## Check style, types, shell scripts and workflows
	@tools/lint

format: environment ## Format the Python code
	$(VENV)/ruff check --fix --quiet .
	$(VENV)/ruff format .

bench: environment ## Measure against plain pulumi_kubernetes, and what the runtime does against others
	$(VENV)/python -m bench
	$(VENV)/python -m bench.client
	$(VENV)/python -m bench.memcached_client
	$(VENV)/python -m bench.patterns
	$(VENV)/python -m bench.tiers
	$(VENV)/python -m bench.replicate
	$(VENV)/python -m bench.multicloud

bench-failover: environment ## Measure how long clients of a SentinelGroup and of a cluster wait
	$(VENV)/python -m bench.failover
	$(VENV)/python -m bench.cluster_failover

environment:
	@$(PYTHON) tools/stack environment

clean: ## Remove the embedded cluster, the environment and what was built in the checkout
	@$(PYTHON) tools/stack clean
