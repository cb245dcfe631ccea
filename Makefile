# postilion: `make help` lists what can be made.
#
# The architecture is this table: a room may use itself and what stands right of it. It builds
# one archive per room, links each room's unit tests, and feeds `make rooms`.
ROOMS := base protocol mail auth forward io outbound queue inbound daemon ctl

USES_base     := base
USES_protocol := protocol base
USES_mail     := mail protocol base
USES_auth     := auth mail protocol base
USES_forward  := forward auth mail protocol base
USES_io       := io protocol base
USES_outbound := outbound io forward auth mail protocol base
USES_queue    := queue outbound io forward auth mail protocol base
USES_inbound  := inbound queue outbound io forward auth mail protocol base
USES_daemon   := daemon inbound queue outbound io forward auth mail protocol base
USES_ctl      := ctl queue outbound io forward auth mail protocol base

LIBS_protocol := -ljansson
LIBS_mail := -lcrypto
LIBS_auth := -lspf2 -lopendkim -lidn2 -lcrypto
LIBS_io   := -lssl -lcrypto -levent_core -levent_extra -levent_pthreads -lcares -lsqlite3 -lseccomp -lpthread

BUILD  ?= build
CC     ?= gcc
CFLAGS ?= -O2 -g
WERROR ?= -Werror
SAN    ?=
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Iinclude -Wall -Wextra -Wshadow -Wstrict-prototypes \
             -Wmissing-prototypes -Wwrite-strings -Wvla $(WERROR) $(HARDEN) $(CFLAGS) $(SAN)
# libopendkim is to find the d2i_PUBKEY_bio of auth/dkim_key_cache before that of libcrypto.
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--export-dynamic-symbol=d2i_PUBKEY_bio $(LDFLAGS) $(SAN)
PYTHON := /usr/bin/python3
Q := $(if $(V),,@) # V=1 shows every command

sources_of = $(wildcard src/$(1)/*.c)
objects_of = $(patsubst src/%.c,$(BUILD)/%.o,$(call sources_of,$(1)))
archives_of = $(foreach r,$(1),$(BUILD)/lib$(r).a)
libs_of = $(foreach r,$(1),$(LIBS_$(r)))

PROGRAM := $(BUILD)/postilion
# unit tests: one binary for each tests/unit/ROOM/test_*.c; other .c files there are helpers.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*/test_*.c))
SIM_TESTS := $(patsubst tests/sim/%.c,$(BUILD)/sim/%,$(wildcard tests/sim/test_*.c))
SIM_SUPPORT := $(patsubst tests/support/io_sim/%.c,$(BUILD)/io_sim/%.o,$(wildcard tests/support/io_sim/*.c)) \
               $(patsubst %,$(BUILD)/io/%.o,lock memory_use spool_database spool_commit spool_content spool_listing spool_reading spool_schema spool_vfs)

.SECONDARY: # what is built stays, so that nothing is built twice

.PHONY: all
all: deps-build $(PROGRAM) ## build build/postilion

$(PROGRAM): $(BUILD)/postilion.o $(call archives_of,ctl daemon inbound queue outbound io forward auth mail protocol base)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(call libs_of,$(ROOMS))

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define room_archive
$(BUILD)/lib$(1).a: $(call objects_of,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_archive,$(r))))

# A room's tests see the room and what stands below it, nothing else.
define room_tests
$(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(call archives_of,$(USES_$(1)))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -Itests -MMD -MP -MF $$@.d $$(ALL_LDFLAGS) -o $$@ $$< \
	    -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(call libs_of,$(USES_$(1))) -lcmocka -lpthread
endef
$(foreach r,$(ROOMS),$(eval $(call room_tests,$(r))))

# The simulated world in the place of io; the spool's SQLite half is io's own, on a simulated disk.
$(BUILD)/io_sim/%.o: tests/support/io_sim/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -Isrc -MMD -MP -c -o $@ $<

$(BUILD)/sim/%: tests/sim/%.c $(SIM_SUPPORT) $(call archives_of,inbound queue outbound forward auth mail protocol base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(SIM_SUPPORT) \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_auth) $(LIBS_protocol) -lcrypto -lsqlite3 -lcmocka -lpthread

.PHONY: deps-build deps
deps-build:
	@tests/support/install_packages build
deps: ## install what build and tests need (apt)
	@tests/support/install_packages build test

.PHONY: unit
unit: deps-build $(UNIT_TESTS) $(SIM_TESTS) ## build the unit tests
	@:

.PHONY: rooms
rooms: ## prove the arrows between the rooms
	@$(PYTHON) tests/support/check_rooms.py $(foreach r,$(ROOMS),$(r)=$(subst $(eval ) ,$(COMMA),$(USES_$(r))))
COMMA := ,

.PHONY: named-tests
named-tests: ## prove that the tests which documents name are there
	@$(PYTHON) tests/support/check_named_tests.py docs/ARCHITECTURE.md docs/THREAT_MODEL.md

.PHONY: format
format: ## check the format of every source file
	@clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

.PHONY: clean
clean: ## remove everything built
	rm -rf build build-*

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include tests/targets.mk
-include conf/install.mk conf/deb.mk

-include $(shell find $(BUILD) -name '*.d' -type f -not -path '*/peers/*' 2>/dev/null)
