/*
 * inbound_rehearsal - sessions that do all they always do, and leave nothing behind.
 *
 * Use     `postilion explain`: the very code of the daemon runs, so that the two cannot disagree. What
 *         a session would hand to the queue is shown instead, and counts as stored; what it would
 *         write into the state store is forgotten, and counts as written.
 * Memory  what is shown is good during the call. Nothing is called from inside inbound_accept.
 */
#ifndef INBOUND_INBOUND_REHEARSAL_H
#define INBOUND_INBOUND_REHEARSAL_H

#include "auth/message_check.h"
#include "inbound/inbound_server.h"

/* What is known of a sender when its transaction ends. */
struct inbound_verdicts {
    const struct message_verdicts *verdicts;
    const struct accept_answer *judgement; /* NULL: it did not come so far */
    bool has_header;                       /* else nobody was asked about its author */
};

struct inbound_rehearsal {
    void *context;
    bool shows_to_scanners; /* who may learn from it */
    /* In the place of the state store; replaces what is in *value. */
    enum state_status (*read_state)(void *context, struct bytes key, struct strbuf *value);
    void (*on_verdicts)(void *context, const struct inbound_verdicts *verdicts);
    void (*on_message)(void *context, const struct queue_submission *submission);
};

/* Before the first session. *borrows* it as long as the server lives; queue and state store may then be
 * NULL. */
void inbound_server_rehearse(struct inbound_server *server,
                             const struct inbound_rehearsal *rehearsal);

#endif
