/*
 * state_copy - what a state store remembers now, also while a daemon has it open.
 *
 * Shape   its files are copied into a private directory under /tmp, which is gone with the copy: nothing
 *         of the store is locked, changed or created.
 * Errors  STATE_FAILED and *why: it may not be read, or changed all the time.
 */
#ifndef IO_STATE_COPY_H
#define IO_STATE_COPY_H

#include "io/state_store.h"

struct state_copy;

/* NULL: *why. A store that is not there is an empty one. */
struct state_copy *state_copy_new(const char *directory, struct strbuf *why);
/* As state_store_read. */
enum state_status state_copy_read(const struct state_copy *copy, struct bytes key,
                                  struct strbuf *value, struct strbuf *why);
void state_copy_free(struct state_copy **copy); /* safe on NULL */

#endif
