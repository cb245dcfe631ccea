# The benchmark: tests/bench/bench.py says what it measures and how.
$(BUILD)/load_%: tests/bench/load_%.c tests/bench/load_counts.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(LOAD_LIBRARIES)
$(BUILD)/load_clients: LOAD_LIBRARIES = -lssl -lcrypto

EXTRA_TEST_PROGRAMS += $(BUILD)/load_clients

.PHONY: bench
bench: deps ## measure postilion beside Postfix, Postfix with rspamd, and Exim (root; BENCH_QUICK=1 for a short run, BENCH_MODE=handoff)
	@tests/support/unpack_packages $(PEERS) unbound postfix postsrsd rspamd exim4-daemon-light exim4-base
	@$(MAKE) --no-print-directory $(PROGRAM) $(BUILD)/load_generator $(BUILD)/load_sink $(BUILD)/load_clients
	@POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) $(PYTHON) tests/bench/bench.py
