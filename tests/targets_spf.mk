# Driver that lets tests/e2e/test_spf_suites.py reach auth/spf_check without the daemon.
$(BUILD)/spf_driver: tests/support/spf_driver.c $(call archives_of,$(USES_auth))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_auth)

EXTRA_TEST_PROGRAMS += $(BUILD)/spf_driver
