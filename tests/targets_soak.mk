# The soak: tests/support/soak.py says what it does. A short one is part of make test.
.PHONY: soak
soak: deps peers ## load and faults for SOAK_SECONDS (600), then the ledger, memory and descriptors
	@$(MAKE) --no-print-directory $(PROGRAM)
	@POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) $(PYTHON) tests/support/soak.py
