# The fuzz target of whole sessions runs on the simulated world, not on io; it plays the queue itself.
SESSION_WORLD = $(filter-out %/sim_daemon.o,$(SIM_SUPPORT))

$(FUZZ_BUILD)/fuzz_inbound_session: tests/fuzz/fuzz_inbound_session.c $(SESSION_WORLD) \
        $(call archives_of,inbound queue outbound forward auth mail protocol base)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -Isrc/inbound -fsanitize=fuzzer -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(SESSION_WORLD) \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_auth) $(LIBS_protocol) -lcrypto -lsqlite3 -lpthread
