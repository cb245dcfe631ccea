# The driver that lets tests/e2e/test_arc_interop.py reach the ARC verifier without the daemon.
$(BUILD)/arc_driver: tests/support/arc_driver.c $(call archives_of,auth mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_auth)

EXTRA_TEST_PROGRAMS += $(BUILD)/arc_driver
