# Every task of the project. `make` alone lists them.

export PYTHON ?= python3
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
KEYSTOW_BIN ?= $(TARGET)/debug/keystow
MATRIX ?= all
JOBS ?= 60
FUZZ_SECONDS ?= 60
BENCH ?= all
tool_python = PYTHONPATH=$(CURDIR)/tools $(CURDIR)/.tools/py/bin/python -B

.DEFAULT_GOAL := help
.PHONY: help build release test lint unit sdk servers nodes stores matrix faults demo bench fuzz setup clean

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The whole workspace, as its tests are built: alone, each would be built with other features, and all below it anew.
build: ## Build the debug program, and those that stand in for others in the tests
	@$(CARGO) build --quiet --workspace --bins --examples

release: ## Build the release program
	$(CARGO) build --quiet --release --package keystow

test: ## Install what is missing, then lint and run every test
	@tools/setup.sh rust redis postgres servers sdk
	@$(MAKE) --no-print-directory lint unit
	@echo '==> two suites at a time'
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target sdk faults servers stores nodes matrix \
		JOBS=20 MATRIX=quick CRASHES=1 KILLS=6 FAULTS=12 NODE_KILLS=2 RESTARTS=1 STORE_BACKUPS=3
	@echo '==> everything passed'

lint: ## Check the format, and clippy without a warning
	@echo '==> lint'
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

unit: ## Run the Rust tests
	@echo '==> Rust tests'
	$(CARGO) test --quiet --workspace

sdk: build ## Run the vendors' unmodified SDKs against the program
	@tools/setup.sh redis sdk
	@echo '==> vendors'"'"' SDKs'
	@cd crates/keystow/tests/sdk && KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) -m unittest discover
	@echo "==> the SDK tests passed"

servers: build ## Load relabelled files into Redis and Valkey servers of many versions
	@tools/setup.sh redis servers sdk
	@echo '==> servers of many versions'
	@cd crates/keystow/tests/servers && KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) -m unittest discover
	@echo "==> every server loads what was relabelled for it"

nodes: build ## Share one PostgreSQL between two nodes, kill one, restart the database (JOBS backups)
	@tools/setup.sh redis postgres sdk
	@echo '==> several nodes'
	@cd crates/keystow/tests/nodes && JOBS=$(JOBS) KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) -m unittest discover
	@echo "==> the nodes share what they know and what they do"

stores: build ## Keep backups in S3 servers, through their faults too
	@tools/setup.sh redis sdk
	@echo '==> object stores'
	@cd crates/keystow/tests/stores && KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) -m unittest discover
	@echo "==> the stores keep what they are given"

matrix: build ## Back up and restore between servers of all versions and topologies
	@tools/setup.sh redis servers sdk
	@echo '==> versions and topologies'
	@cd crates/keystow/tests/matrix && MATRIX=$(MATRIX) KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) -m unittest discover
	@echo "==> what went in came out"

faults: build ## Kill, crash, fill and cut off servers, nodes, disks, stores (FULL=1 for hours of it; KILLS, … as in run.py)
	@tools/setup.sh redis postgres servers sdk
	@echo '==> faults'
	@KEYSTOW_BIN=$(KEYSTOW_BIN) $(tool_python) crates/keystow/tests/faults/run.py

demo: ## Show the main job on a throw-away Redis
	@tools/setup.sh rust redis sdk
	@echo '==> building the release program (some minutes the first time)'
	@$(MAKE) --no-print-directory release
	@KEYSTOW_BIN=$(TARGET)/release/keystow $(tool_python) tools/demo.py

bench: ## Measure against the peers (BENCH=capture, latency, download, encrypted, api, lists, rdb, restore or all)
	@tools/setup.sh rust redis postgres sdk bench
	@echo '==> building the release program (some minutes the first time)'
	@$(MAKE) --no-print-directory release
	@$(CARGO) build --quiet --release --package keystow --example hello
	@KEYSTOW_BIN=$(TARGET)/release/keystow $(tool_python) bench/run.py $(BENCH)

fuzz: ## Fuzz every target for FUZZ_SECONDS each
	@tools/setup.sh rust fuzz
	@set -eu; export RUSTC_BOOTSTRAP=1; \
	targets=$$($(CARGO) fuzz list); \
	for target in $$targets; do \
		echo "==> fuzzing $$target for $(FUZZ_SECONDS) s"; \
		$(CARGO) fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; \
	done

setup: ## Install everything that any task needs
	@tools/setup.sh

clean: ## Remove what was built and installed here
	$(CARGO) clean --quiet
	rm -rf .tools fuzz/target
