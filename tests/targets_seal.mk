# The driver that lets tests/e2e/test_seal_interop.py reach our signer without the daemon.
$(BUILD)/seal_driver: tests/support/seal_driver.c $(call archives_of,auth mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_auth)

EXTRA_TEST_PROGRAMS += $(BUILD)/seal_driver
