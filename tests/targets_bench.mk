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

$(BUILD)/history_bench: tests/support/history_bench.c $(call archives_of,daemon io mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
	    $(call libs_of,protocol mail io) -lpthread

EXTRA_TEST_PROGRAMS += $(BUILD)/history_bench

.PHONY: history-bench
history-bench: $(BUILD)/history_bench ## measure what the history of events costs the processor
	@for count in 1 20 500 2000; do \
	    directory=$$(mktemp -d) && $(BUILD)/history_bench $$directory 20000 $$count; rm -rf $$directory; done
