# Drivers that let tests/e2e reach one module without the daemon:
# srs_driver for test_srs_interop.py, bounce_driver for test_bounce_format.py.
$(BUILD)/%_driver: tests/support/%_driver.c $(call archives_of,ctl io forward mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(call libs_of,ctl io) -lcrypto -lpthread

EXTRA_TEST_PROGRAMS += $(BUILD)/srs_driver $(BUILD)/bounce_driver
