/*
 * sandbox - what of the world this process can still reach: files (Landlock).
 *
 * Use     once, before other threads are started, after hardening_forbid_new_privileges; it holds for all
 *         threads and for good. What is open already stays usable.
 * Files   only what the rules name, with everything below it; nothing can be executed. Where the
 *         kernel knows how: no TCP port can be bound but a free one, no signal goes out.
 * Old     kernels know less: SANDBOX_UNAVAILABLE and nothing has changed.
 */
#ifndef IO_SANDBOX_H
#define IO_SANDBOX_H

#include "base/strbuf.h"

enum sandbox_access {
    SANDBOX_READ,
    SANDBOX_CHANGE, /* read, write, make, remove */
};

/* One that is not there is left out. */
struct sandbox_rule {
    const char *path;
    enum sandbox_access access;
};

enum sandbox_result { SANDBOX_ON, SANDBOX_UNAVAILABLE, SANDBOX_FAILED };

/* *why gets the reason when it is not on. */
enum sandbox_result sandbox_restrict_files(const struct sandbox_rule *rules, size_t count,
                                           struct strbuf *why);
/* False: the rules of this process are in the way, whatever the rights of the file say. */
bool sandbox_may_read(const char *path);

#endif
