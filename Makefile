# Everything that is done to this repository has one name here; `make help` lists them.
# Set-up first, always: it is quick when nothing is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One profile for demo, tests, lints and benches, so that dependencies are built once.
CARGO_FLAGS := --release --locked
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup ui build demo test crash soak lint bench eval attack deb clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: system packages, ONNX Runtime, models, sample media
	@scripts/setup.sh

ui: setup ## the pages of ui/, where they changed, and their unit tests
	@npm --prefix ui test --silent

# Building the tests leaves a program beside them whose clock a test can set: nobody is to install that one.
NO_TEST_CLOCK = rm -f "$(TARGET_DIR)/release/classveil"

build: setup ## build the program
	@cargo build $(CARGO_FLAGS)

demo: build ## the main job on the sample clip; results in demo-out/
	@CLASSVEIL="$(TARGET_DIR)/release/classveil" scripts/demo.sh

test: setup ## run all tests
	@cargo test $(CARGO_FLAGS)
	@$(NO_TEST_CLOCK)

# The tests try a few of these points each time; here all of them, and KILLS random moments.
KILLS ?= 500
crash: setup ## kill the vault at every system call that changes the disk, and at random moments
	@CLASSVEIL_TEST_KILLS=$(KILLS) cargo test $(CARGO_FLAGS) --test it -- --test-threads=1 \
	    --nocapture killed_at_random_moments
	@CLASSVEIL_TEST_EVERY_CRASH=1 cargo test $(CARGO_FLAGS) --test it -- --test-threads=1 \
	    killed_at_any_call an_error_at_any_call a_full_disk_at_any_call recovery_can_be_killed \
	    dropping_can_be_killed a_sync_that_fails
	@$(NO_TEST_CLOCK)

# The tests do it for half a minute. Figures go to docs/reliability.md by hand.
SOAK_MINUTES ?= 60

soak: setup ## record for an hour with a camera that dies every minute; SOAK_MINUTES=5 for less
	@mkdir -p "$(TARGET_DIR)"
	@CLASSVEIL_SOAK_S=$$(($(SOAK_MINUTES) * 60)) \
	    CLASSVEIL_SOAK_REPORT="$(abspath $(TARGET_DIR))/soak.json" \
	    cargo test $(CARGO_FLAGS) --test it -- --exact --nocapture \
	    service::soak::a_camera_that_dies_again_and_again
	@$(NO_TEST_CLOCK)

lint: setup ## formatting, lints and documentation, warnings as errors
	@cargo fmt --check
	@npm --prefix ui run --silent check
	@cargo clippy $(CARGO_FLAGS) --all-targets -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" cargo doc $(CARGO_FLAGS) --no-deps

bench: build ## criterion benches, then the whole program against its floor
	@cargo bench --locked --bench "*"
	@cargo build $(CARGO_FLAGS)
	@CLASSVEIL="$(TARGET_DIR)/release/classveil" scripts/bench.sh

eval: build ## how many frames leak: all scenes, all policies; writes docs/leaks.md
	@CLASSVEIL="$(TARGET_DIR)/release/classveil" scripts/eval.sh

attack: build ## try to name people behind the veil, in full; takes some minutes
	@"$(TARGET_DIR)/release/classveil" eval attack

# The tool that packs is built beside the program, once; it is no part of set-up.
DEB_TOOL := $(TARGET_DIR)/tools/bin/cargo-deb
DEB_TOOL_VERSION := 3.8.0

$(DEB_TOOL):
	@cargo install cargo-deb --version $(DEB_TOOL_VERSION) --locked --root "$(TARGET_DIR)/tools"

deb: build $(DEB_TOOL) ## pack a Debian package, into target/debian/
	@if grep -q test-clock "$(TARGET_DIR)/release/classveil"; then \
	    echo "deb: this program takes its clock from tests; it is not packed" >&2; exit 1; fi
	@mkdir -p "$(TARGET_DIR)/release/completions"
	@for shell in bash:classveil.bash zsh:_classveil fish:classveil.fish; do \
	    "$(TARGET_DIR)/release/classveil" completions "$${shell%%:*}" \
	        > "$(TARGET_DIR)/release/completions/$${shell#*:}"; \
	done
	@PATH="$(abspath $(TARGET_DIR))/tools/bin:$$PATH" cargo deb --no-build --strip

clean: ## remove what was built and the demo's results; fetched files stay
	@cargo clean
	@rm -rf demo-out .setup
