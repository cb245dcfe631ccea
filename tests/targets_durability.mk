# The durability proof runs on the shipped objects; only their system calls pass the recorder
# (tests/support/disk_recorder.h).
DISK_RECORDER_LINKING := $(patsubst %,-Wl$(COMMA)--wrap=%,open close pwrite ftruncate fdatasync fsync mkdir \
                         unlink linkat pthread_mutex_lock)
$(BUILD)/unit/io/test_spool_cuts: ALL_LDFLAGS += $(DISK_RECORDER_LINKING)
