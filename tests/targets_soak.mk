# The soak: tests/support/soak.py and soak_seeds.py say what they do. Short ones are part of make test.
SEED_TESTS := $(BUILD)/sim/test_crash_recovery $(BUILD)/unit/io/test_spool_cuts

.PHONY: soak
soak: deps peers ## load and faults for SOAK_SECONDS (600), then as long simulation and power cuts with new seeds
	@$(MAKE) --no-print-directory $(PROGRAM) $(SEED_TESTS)
	@POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) $(PYTHON) tests/support/soak.py
	@$(PYTHON) tests/support/soak_seeds.py $(SEED_TESTS)
