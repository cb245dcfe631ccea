/*
 * pauses - what an operator has paused: taking mail, sending mail, or one destination.
 *
 * Remembered  in the spool's settings ("pause inbound", "pause outbound", "pause to DOMAIN", with the
 *             time), so that a restart does not end a pause.
 * Threads     the main loop's. The parts that obey are told through `apply`.
 */
#ifndef DAEMON_PAUSES_H
#define DAEMON_PAUSES_H

#include "base/arena.h"
#include "io/spool.h"

enum pause_kind { PAUSE_INBOUND, PAUSE_OUTBOUND, PAUSE_DESTINATION };

struct pause_target {
    enum pause_kind kind;
    struct bytes destination; /* DESTINATION; lower case */
};

struct pauses;

struct pauses *pauses_new(void (*apply)(void *context, const struct pause_target *target,
                                        bool is_paused),
                          void *context);
void pauses_free(struct pauses **pauses); /* safe on NULL */
/* What an earlier run left in the spool: applied, and logged. */
void pauses_restore(struct pauses *pauses, const struct spool_summary *summary);

/* "inbound", "outbound" or a domain. False: none of these. `memory` keeps the domain. */
bool pause_target_parse(struct bytes word, struct arena *memory, struct pause_target *target);
/* The setting that remembers it, for SPOOL_SET. */
void pause_target_setting(struct strbuf *out, const struct pause_target *target);

/* Obeys, and logs. False: it was so before. */
bool pauses_set(struct pauses *pauses, const struct pause_target *target, int64_t now_ms,
                bool is_paused);
/* The `index`th, by kind and name; false: there are no more. */
bool pauses_get(const struct pauses *pauses, size_t index, struct pause_target *target,
                int64_t *since_ms);

#endif
