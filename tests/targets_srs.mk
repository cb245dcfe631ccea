# srs_driver: `postilion srs` without a configuration, for tests/e2e/test_srs_interop.py.
$(BUILD)/srs_driver: tests/support/srs_driver.c $(call archives_of,ctl forward mail protocol base)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lcrypto

EXTRA_TEST_PROGRAMS += $(BUILD)/srs_driver
