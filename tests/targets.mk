# Targets of tests, demo and benchmark; the Makefile includes this.

FUZZ_BUILD := build-fuzz
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 3
PEERS := build/peers
PEER_PACKAGES := unbound exim4-daemon-light exim4-base libnss-wrapper postfix postsrsd fail2ban prometheus
SCANNER_PACKAGES := clamav-daemon rspamd
INNER_PACKAGES := exim4-daemon-heavy dovecot-core dovecot-lmtpd dovecot-sieve postfix-policyd-spf-python python3-spf-engine
PYTEST_ARGUMENTS ?= tests/e2e
TESTS = $(PYTHON) tests/support/run_tests.py
# Tests are built on all cores, unless the call says how many.
BUILD_TESTS = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

-include $(wildcard tests/targets_*.mk)

.PHONY: test
test: deps ## every test; the last line says N passed, N failed
	@$(BUILD_TESTS) peers $(PROGRAM) unit $(EXTRA_TEST_PROGRAMS)
	@$(BUILD_TESTS) fuzzers
	@$(TESTS) --command "rooms=$(MAKE) --no-print-directory rooms" "format=$(MAKE) --no-print-directory format" \
	    "named-tests=$(MAKE) --no-print-directory named-tests" \
	    --unit $(UNIT_TESTS) $(SIM_TESTS) \
	    --fuzz $(FUZZERS:%=$(FUZZ_BUILD)/%) --fuzz-seconds $(FUZZ_SECONDS) --pytest="$(PYTEST_ARGUMENTS)"

.PHONY: check
check: deps ## the quick part of make test: build, rooms, format, unit tests
	@$(BUILD_TESTS) $(PROGRAM) unit
	@$(TESTS) --command "rooms=$(MAKE) --no-print-directory rooms" "format=$(MAKE) --no-print-directory format" \
	    "named-tests=$(MAKE) --no-print-directory named-tests" \
	    --unit $(UNIT_TESTS) $(SIM_TESTS)

.PHONY: peers
peers:
	@tests/support/unpack_packages $(PEERS) $(PEER_PACKAGES)
	@tests/support/unpack_packages $(PEERS)/inner $(INNER_PACKAGES)
	@tests/support/unpack_packages $(PEERS) $(SCANNER_PACKAGES) || \
	    echo "no scanners: tests/e2e/test_scanners.py skips what needs them"

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
.PHONY: asan
asan: deps peers ## the whole suite under the address and undefined-behaviour sanitizers
	@$(BUILD_TESTS) BUILD=build-asan SAN="$(ASAN)" CFLAGS="-O1 -g -fno-omit-frame-pointer" sanitized

.PHONY: tsan
tsan: deps peers ## the whole suite under the thread sanitizer
	@$(BUILD_TESTS) BUILD=build-tsan SAN="-fsanitize=thread" CFLAGS="-O1 -g" sanitized

.PHONY: sanitized
sanitized: $(PROGRAM) $(UNIT_TESTS) $(SIM_TESTS) $(EXTRA_TEST_PROGRAMS)
	@POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) $(TESTS) --unit $(UNIT_TESTS) $(SIM_TESTS) --pytest="$(PYTEST_ARGUMENTS)"

# Fuzz targets link everything, compiled by clang with coverage and sanitizers.
.PHONY: fuzzers
fuzzers:
	@$(if $(FUZZERS),$(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=clang SAN="$(FUZZ_FLAGS)" CFLAGS="-O1 -g" \
	    $(FUZZERS:%=$(FUZZ_BUILD)/%))

$(FUZZ_BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(call archives_of,daemon inbound queue outbound io forward auth mail protocol base)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -fsanitize=fuzzer -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(call libs_of,$(ROOMS)) -lpthread

.PHONY: fuzz
fuzz: deps ## fuzz every parser for FUZZ_MINUTES (10) each
	@$(BUILD_TESTS) fuzzers
	@$(TESTS) --fuzz $(FUZZERS:%=$(FUZZ_BUILD)/%) --fuzz-seconds $$(( $${FUZZ_MINUTES:-10} * 60 ))

.PHONY: demo
demo: ## show mail forwarded and sealed, a bounce coming back, and refusals, on loopback
	@tests/support/install_packages build demo
	@$(MAKE) --no-print-directory $(PROGRAM)
	@$(PYTHON) tests/demo/demo.py

.PHONY: sample
sample: $(PROGRAM) ## write conf/postilion.conf and docs/man5/postilion.conf.5 from the option table
	@$(PROGRAM) check --sample > conf/postilion.conf
	@$(PROGRAM) check --manual > docs/man5/postilion.conf.5
