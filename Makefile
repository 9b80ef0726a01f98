# `make` lists what there is to do. Cargo builds; the Makefile names the steps around it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
# Packages for a program that is not there: it may have come from elsewhere.
unless = $(if $(shell command -v $(1)),,$(2))
# Packages of the tests' programs are asked for by name, only where one is missing.
PACKAGES := gcc g++ make cmake pkg-config python3 python3-venv perl binutils git valgrind \
            strace util-linux openssl curl kcat nats-server librdkafka-dev librdkafka1 librdkafka++1 \
            krb5-kdc krb5-admin-server krb5-user libsasl2-modules-gssapi-mit \
            php-cli php-dev ruby ruby-ffi luajit $(call unless,java,default-jre-headless) \
            $(call unless,mvn,maven)
PACKAGES_OF_PROOF := libjna-java python3-dev $(call unless,javac,default-jdk-headless) \
            $(call unless,go,golang-go) $(call unless,node,nodejs npm libnode-dev)
CBINDGEN := 0.29.4
SCHEMATHESIS := 4.32.5
PROMETHEUS_CLIENT := 0.26.0
ZIGBUILD := 0.24.0
ZIG := 0.17.1
TOOLS := .test-tools
XTASK := cargo run --release --quiet --package xtask --

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name text; do printf '%-13s %s\n' "$$name" "$$text"; done

setup: ## install the system's packages that the build and the tests need
	@missing=(); \
	for package in $(PACKAGES) $(MORE_PACKAGES); do \
	  status=$$(dpkg-query -W -f='$${Status}' "$$package" 2>/dev/null || true); \
	  [[ $$status == 'install ok installed' ]] || missing+=("$$package"); \
	done; \
	if (( $${#missing[@]} )); then \
	  as_root=(); (( EUID == 0 )) || as_root=(sudo); \
	  "$${as_root[@]}" apt-get update; \
	  "$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends "$${missing[@]}"; \
	fi

build: setup preload ## build the libraries, the service and the tools
	cargo build --release

# What is preloaded meets every program of a machine: it asks for no newer glibc than that of 2012.
# Zig links for an old glibc on any system. A folder of its own, for other features than the drop-in.
MACHINE := $(shell uname -m)-unknown-linux-gnu
PRELOAD := superstream superstream-plugin superstream-hooks
ZIGBUILD_RUN = PATH="$(CURDIR)/$(TOOLS)/zig/bin:$$PATH" cargo-zigbuild zigbuild --release \
  --target $(MACHINE).2.17
preload: $(TOOLS)/zig/bin/cargo-zigbuild ## build what carries no engine: preload, plugin, hooks
	$(ZIGBUILD_RUN) --target-dir target/preload --no-default-features \
	  --package superstream --package superstream-plugin
# The hooks are called by everybody's dlsym: without unwinding they need nothing of the standard
# library.
	CARGO_PROFILE_RELEASE_PANIC=abort $(ZIGBUILD_RUN) --target-dir target/hooks \
	  --package superstream-hooks
	@mkdir -p target/release/preload
	@for package in $(PRELOAD); do \
	  folder=preload; [[ $$package != *-hooks ]] || folder=hooks; \
	  install -m 755 "target/$$folder/$(MACHINE)/release/lib$${package//-/_}.so" \
	    "target/release/preload/lib$$package.so"; \
	done

$(TOOLS)/zig/bin/cargo-zigbuild:
	python3 -m venv $(TOOLS)/zig
	$(TOOLS)/zig/bin/pip install --quiet --disable-pip-version-check \
	  cargo-zigbuild==$(ZIGBUILD) ziglang==$(ZIG)

demo: dist ## show the main job: one producer, stock, observed and tuned, side by side
	@target/release/superstream-demo

# The products as their users have them, built in release mode.
FROM_OUTSIDE = cargo test --package superstream-tests

# Nothing that is installed by itself: without link-time optimisation their tests are quick to link.
LIBRARIES := superstream-nats superstream-veltix

# Most of what these do is to wait, each for a service of its own.
WAITING := report_faults reporting
OTHERS := $(filter-out $(WAITING),$(patsubst tests/%.rs,%,$(wildcard tests/*.rs)) peers)

# The matrix comes after the tests: they build a program that it reads.
test: build ## check everything: format, lints, tests, MATRIX.md, the header
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- --deny warnings
	cargo clippy --release --no-default-features --target-dir target/preload \
	  $(PRELOAD:%=--package %) -- --deny warnings
	cargo test --release --workspace --exclude superstream-tests $(LIBRARIES:%=--exclude %)
	cargo test $(LIBRARIES:%=--package %)
	$(MAKE) --no-print-directory fuzz-veltix
	$(FROM_OUTSIDE) --lib $(OTHERS:%=--test %)
	$(FROM_OUTSIDE) $(WAITING:%=--test %) -- --test-threads 8
	$(MAKE) --no-print-directory check-counters test-engines
	$(XTASK) matrix --check
	$(MAKE) --no-print-directory check-header check-api

bench: dist ## measure what Superstream costs and saves, against its bounds
	cargo bench --package superstream-tests --bench cost
	target/release/superstream-demo --check
	$(MAKE) --no-print-directory bench-veltix

# The Python library's own benchmark and the same rows with ours, in turn.
VELTIX_ROUNDS ?= 3
bench-veltix: ## measure the Veltix endpoint beside the Python library
	crates/veltix/benches/compare/run $(VELTIX_ROUNDS)

# The decoder and the state machine of Veltix against bytes that nobody would think of.
FUZZ_SECONDS ?= 10
fuzz-veltix: ## feed the Veltix decoder and session what nobody would send
	crates/veltix/fuzz/run $(FUZZ_SECONDS)

# What rewriting records would save, beside compression and linger. On the wheel's own librdkafka, and
# without anything of ours.
bench-payload: setup ## measure what payload reduction would save (docs/payload-reduction.md)
	python=$$(tests/python/venv 2.16.1); "$$python" benches/payload.py

# The engines of applications, with the preload library in front of them. Some need the libraries
# that lie beside them.
ENGINES := debian 2.16.1
ENGINE_TESTS := engine_rules life failures
test-engines: preload
	@for engine in $(ENGINES); do \
	  echo "== librdkafka: $$engine"; \
	  [[ $$engine == debian ]] || export LD_LIBRARY_PATH=$$(tests/engines/fetch $$engine); \
	  SUPERSTREAM_TEST_ENGINE=$$engine \
	    $(FROM_OUTSIDE) $(ENGINE_TESTS:%=--test %); \
	done

proof: MORE_PACKAGES := $(PACKAGES_OF_PROOF)
proof: build ## the long versions of the tests that `make test` runs in small
	SUPERSTREAM_PROOF=1 $(FROM_OUTSIDE) --test engine_rules --test memory \
	  --test truth --test crowd
	$(MAKE) --no-print-directory test-engines ENGINES='debian 2.12.1 2.16.1' \
	  ENGINE_TESTS='memory process recovery environment faults connection_id'
	$(MAKE) --no-print-directory test-engines ENGINES='1.5.0 1.9.2 2.3.0 2.12.1 2.13.0'
	$(MAKE) --no-print-directory test-engines ENGINES=1.0.0 ENGINE_TESTS=engine_rules
	SUPERSTREAM_PROOF=1 $(FROM_OUTSIDE) --test python_client --test reach
	$(MAKE) --no-print-directory check-threads
	$(MAKE) --no-print-directory check-api API_SECONDS=300
	$(MAKE) --no-print-directory fuzz-veltix FUZZ_SECONDS=300

# All interleavings of the threads that count, and then many of them at once under ThreadSanitizer,
# after it has found the race that it must find. Its flags are unstable ones of the same compiler,
# whose runtime for it comes with every toolchain.
TSAN_CARGO = RUSTC_BOOTSTRAP=1 \
  RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg superstream_tsan' \
  cargo
TSAN_TARGET = --target $(MACHINE) --target-dir target/threads
TSAN_TEST = TSAN_OPTIONS=suppressions=$(CURDIR)/crates/counters/tests/threads.tsan $(TSAN_CARGO) test \
  --quiet --package superstream-counters $(TSAN_TARGET)
check-counters:
	RUSTFLAGS='--cfg loom' cargo test --quiet --package superstream-counters --lib \
	  --target-dir target/loom
	$(TSAN_TEST) --no-run
	! $(TSAN_TEST) --test race -- --ignored --test-threads 1 &> target/threads/race.txt
	grep --quiet 'ThreadSanitizer: data race .*tests/race.rs' target/threads/race.txt
	$(TSAN_TEST) --test threads -- --test-threads 1

# The same for all that the preload library does while clients come and go under load.
THREADS_ROUNDS ?= 8
LINKER_OF_MACHINE = CARGO_TARGET_$(shell echo $(MACHINE) | tr a-z- A-Z_)_LINKER
check-threads:
	$(LINKER_OF_MACHINE)=$(CURDIR)/tests/threads/cc CARGO_PROFILE_RELEASE_LTO=off \
	  $(TSAN_CARGO) build --release --no-default-features --package superstream $(TSAN_TARGET)
	tests/threads/run target/release target/threads/$(MACHINE)/release/libsuperstream.so \
	  $(THREADS_ROUNDS)

check-header: $(TOOLS)/bin/cbindgen
	$(TOOLS)/bin/cbindgen --quiet --config cbindgen.toml --output $(TOOLS)/superstream.h src/entry.rs
	diff -u include/superstream.h $(TOOLS)/superstream.h

# The service against its own API description, with requests that nobody would think of.
API_SECONDS ?= 20
PYTHON_TOOLS := $(TOOLS)/python/schemathesis-$(SCHEMATHESIS)-prometheus_client-$(PROMETHEUS_CLIENT)
check-api: $(PYTHON_TOOLS)
	crates/service/tests/schemathesis.sh target/release/superstream-service \
	  $(TOOLS)/python/bin/st $(API_SECONDS)
	crates/service/tests/openmetrics.sh target/release/superstream-service $(TOOLS)/python/bin/python

$(PYTHON_TOOLS):
	python3 -m venv $(TOOLS)/python
	$(TOOLS)/python/bin/pip install --quiet --disable-pip-version-check \
	  prometheus_client==$(PROMETHEUS_CLIENT) schemathesis==$(SCHEMATHESIS)
	touch $@

$(TOOLS)/bin/cbindgen:
	cargo install --quiet --locked --root $(TOOLS) --version $(CBINDGEN) cbindgen

matrix: build ## write MATRIX.md (run the tests first)
	$(XTASK) matrix

dist: build ## fill dist/ with what an installation consists of
	$(XTASK) dist

install: build ## install below PREFIX (/usr/local); DESTDIR is heeded
	$(XTASK) dist --prefix "$(DESTDIR)$(PREFIX)"

clean: ## remove what was built
	cargo clean
	rm -rf dist $(TOOLS)

.PHONY: help setup build preload demo test test-engines bench bench-payload bench-veltix fuzz-veltix proof check-counters check-threads check-header check-api matrix dist install clean
