# The backlog: tests/e2e/test_backlog.py says what is measured. A small one is part of make test.
$(BUILD)/spool_fill: tests/support/spool_fill.c $(call archives_of,io mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_io)

EXTRA_TEST_PROGRAMS += $(BUILD)/spool_fill $(BUILD)/load_sink

.PHONY: backlog
backlog: deps peers ## BACKLOG_MESSAGES (1000000) that wait: memory, restart, listing, latency, drain
	@$(MAKE) --no-print-directory $(PROGRAM) $(BUILD)/spool_fill $(BUILD)/load_sink
	@BACKLOG_MESSAGES=$${BACKLOG_MESSAGES:-1000000} POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) \
	    $(PYTHON) -m pytest -q -s tests/e2e/test_backlog.py
