# Thin front over the CMake presets (CMakePresets.json). `make help` lists the targets.
DEMO_SECONDS ?= 30
AVALANCHE_SECONDS ?= 30
AVALANCHE_LOAD ?= transfers
AVALANCHE_RATE ?= 1000
AVALANCHE_PLANE ?= direct
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 30
FUZZ ?=
SIM_SEEDS ?= 100
KILLS ?= 100
SEED ?= 1
SOAK_MINUTES ?= 30
SOAK_RATE ?= 110000
KILLS_APP ?= transfers
JOBS ?= $(shell nproc)
WERROR ?= OFF
export CTEST_PARALLEL_LEVEL ?= 1
export CTEST_OUTPUT_ON_FAILURE = 1

# The JUnit files are what .ci/run counts. A stale one must not survive a build that fails.
configure = cmake --preset $(1) -DDSMR_WERROR=$(WERROR) -Wno-dev --log-level=WARNING
build = cmake --build --preset $(1) -j $(JOBS)
ctest = rm -f build/$(1)/$(2).xml; \
	ctest --test-dir build/$(1) --no-tests=error --output-junit $(2).xml

.PHONY: help all demo test unit e2e interop avalanche asan tsan clang fuzz sim simbench scale kills soak overload catchup cores bench gate mutants canaries fmt lint tidy install example clean deps

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

deps: ## install what is missing (Debian packages, cargo)
	@tools/install_deps.sh

all: deps ## release build: programs and library
	$(call configure,release)
	$(call build,release) --target programs libdsmr

demo: all ## four validators on this machine for DEMO_SECONDS of load
	build/release/bin/dsmr demo --duration $(DEMO_SECONDS)

test: unit e2e interop ## every test but sanitizers and long runs

unit: deps # unit tests, scenarios and the fuzzers' corpora, with all O(n) checks
	$(call configure,dev)
	$(call build,dev)
	$(call ctest,dev,tests) -j $(JOBS) -LE e2e

e2e: all # real processes of the release build, and a program built against the installed library
	$(call build,release) --target e2e_helpers
	$(call ctest,release,tests) -L e2e

interop: all # nodes of AvalancheGo with the release build's plugin; the first time builds the node
	$(call build,release) --target dsmr-avalanche-44
	tools/avalanche.sh build || [ $$? -eq 77 ]
	$(call ctest,release,interop) -L interop

avalanche: all ## five nodes of AvalancheGo with the plugin, under load for AVALANCHE_SECONDS
	tools/avalanche.sh network --seconds $(AVALANCHE_SECONDS) --load $(AVALANCHE_LOAD) \
		--rate $(AVALANCHE_RATE) --plane $(AVALANCHE_PLANE)

asan: deps ## unit tests and scenarios under AddressSanitizer and UBSan
	$(call configure,asan)
	$(call build,asan)
	$(call ctest,asan,tests) -j $(JOBS) -LE e2e

tsan: deps ## what uses threads under ThreadSanitizer
	$(call configure,tsan)
	$(call build,tsan) --target threaded_tests
	$(call ctest,tsan,tests) -j $(JOBS) -L threads

clang: deps ## everything compiled by clang, warnings are errors
	$(call configure,clang)
	$(call build,clang)

fuzz: deps ## each fuzzer (or those that FUZZ names) for FUZZ_SECONDS, from its corpus
	$(call configure,fuzz)
	$(call build,fuzz) --target fuzzers
	tools/run_fuzzers.sh build/fuzz $(FUZZ_SECONDS) $(JOBS) $(FUZZ)

sim: all ## SIM_SEEDS simulated networks under faults, a line each
	build/release/bin/dsmr-sim --seeds 1..$(SIM_SEEDS) --jobs $(JOBS)

simbench: all ## virtual seconds of a network of 4 per second of one core: keyed hash, then real BLS
	build/release/bin/dsmr-sim --validators 4 --seeds 1..50 --minutes 1 | tail -n 2
	build/release/bin/dsmr-sim --validators 4 --seeds 1..8 --minutes 0.1 --profile bls | tail -n 2

kills: all ## KILLS times kill -9 at random moments under load, from SEED; KILLS_APP=transfers or opaque
	python3 -B test/e2e/kills.py --kills $(KILLS) --seed $(SEED) --app $(KILLS_APP)
soak: all ## SOAK_MINUTES of SOAK_RATE transactions a second: memory, disk and latency must not drift
	python3 -B bench/soak.py --minutes $(SOAK_MINUTES) --rate $(SOAK_RATE)

overload: all ## twice the load that is carried, and the time after it (OVERLOAD=options of bench/overload.py)
	python3 -B bench/overload.py $(OVERLOAD)

catchup: all ## a validator that was away under load (CATCHUP=options of bench/catchup.py)
	python3 -B bench/catchup.py $(CATCHUP)

cores: all ## the same load on one core and on two (CORES=options of bench/cores.py)
	python3 -B bench/cores.py $(CORES)

scale: all ## the sweep of docs/scale.md: what is missing in docs/scale, hours if all of it
	tools/scale.py

bench: all ## whole networks beside what this machine allows (BENCH=options of tools/bench.py), then micro benchmarks
	tools/bench.py $(BENCH)
	$(call build,release) --target benches
	@for bench in build/release/bench/bench_*; do [ -x $$bench ] && echo "== $$bench" && $$bench; done

mutants: deps ## each patch of test/mutants in a copy of the tree: its test must fail
	tools/run_mutants.py

canaries: deps ## a simulator with each bug of test/canaries: it must find it
	$(call configure,release)
	$(call build,release) --target dsmr-sim
	JOBS=$(JOBS) tools/run_canaries.py

gate: deps ## counts instructions of the data path's stages: none may take a tenth more than its mark
	$(call configure,release)
	$(call build,release) --target bench_gate
	python3 -B tools/gate.py build/release/bench/bench_gate

fmt: ## clang-format everything
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

lint: deps ## format, layers, symbols, invariants, clang-tidy
	$(call configure,dev)
	$(call build,dev)
	tools/lint.sh build/dev

install: all ## to DESTDIR and PREFIX: programs, man pages, completions, library, headers
	DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

clean: ## remove build/
	rm -rf build
