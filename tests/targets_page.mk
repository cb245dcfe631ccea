# The status page of a day that never was, for screenshots.
$(BUILD)/page_sample: tests/support/page_sample.c $(call archives_of,mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_mail) $(LIBS_protocol)

EXTRA_TEST_PROGRAMS += $(BUILD)/page_sample

.PHONY: screenshots
screenshots: deps ## docs/status-page*.png, by Chromium, from a week that is made up
	@$(MAKE) --no-print-directory $(BUILD)/page_sample
	@$(PYTHON) tests/support/screenshots.py $(BUILD)/page_sample docs
