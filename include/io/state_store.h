/*
 * state_store - small durable facts outside the spool: key, value, expiry (SQLite in the state
 * directory, own thread). May be deleted without losing mail.
 *
 * Limit   at most `entries` rows; a new key above that is refused (STATE_FULL), expired rows go. What
 *         is only remembered takes half of them at most, so that no stranger fills the rest.
 */
#ifndef IO_STATE_STORE_H
#define IO_STATE_STORE_H

#include "base/strbuf.h"
#include "io/event_loop.h"

enum state_status { STATE_OK, STATE_MISSING, STATE_FULL, STATE_FAILED };

struct state_store;

struct state_store *state_store_open(const char *directory, size_t entries, struct strbuf *why);
void state_store_close(struct state_store **store);
/* One entry of a store that nobody has open: STATE_OK and its value, STATE_MISSING (also when there
 * is no store at all), or STATE_FAILED and *why. Changes nothing. */
enum state_status state_store_read(const char *directory, struct bytes key,
                                   struct strbuf *value, struct strbuf *why);
/* Durable when done says STATE_OK; an existing key gets the later expiry. Views *borrowed* until done. */
void state_store_put(struct state_store *store, struct event_loop *loop, struct bytes key,
                     struct bytes value, int64_t expires_unix_ms,
                     void (*done)(void *context, enum state_status status), void *context);
/* The same for what can be done without: STATE_FULL already when half of the entries are taken. */
void state_store_remember(struct state_store *store, struct event_loop *loop, struct bytes key,
                          struct bytes value, int64_t expires_unix_ms,
                          void (*done)(void *context, enum state_status status), void *context);
/* Counts one use of `key`, which is *copied*: `count` says the how-manieth it is, durably, and limit + 1 when
 * there have been as many as `limit` already. A count lives until it expires; the expiry of its first
 * use stays, so the next one after that is the first again. */
void state_store_count(struct state_store *store, struct event_loop *loop, struct bytes key,
                       uint64_t limit, int64_t expires_unix_ms,
                       void (*done)(void *context, enum state_status status, uint64_t count),
                       void *context);
/* `value` is good during the callback. Expired entries are missing. */
void state_store_get(struct state_store *store, struct event_loop *loop, struct bytes key,
                     void (*done)(void *context, enum state_status status, struct bytes value),
                     void *context);

#endif
