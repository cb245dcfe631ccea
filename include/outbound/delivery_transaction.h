/*
 * delivery_transaction - one MAIL command and what belongs to it: who, and what goes in front.
 *
 * Head    the loop mark of the aliases of these very recipients, then the prefix of the
 * message. Memory  recipients and indexes live in the arena given; head and mail line in the
 * transaction.
 */
#ifndef OUTBOUND_DELIVERY_TRANSACTION_H
#define OUTBOUND_DELIVERY_TRANSACTION_H

#include "base/arena.h"
#include "outbound/delivery_attempt.h"
#include "protocol/smtp_exchange.h"

/* Where a recipient of the attempt stands. */
enum recipient_state {
    RECIPIENT_OPEN,     /* no answer yet */
    RECIPIENT_TOO_MANY, /* 452 to its RCPT while others were accepted */
    RECIPIENT_DEFERRED, /* 4xx; the outcome is filled in */
    RECIPIENT_SECOND,   /* 4xx, and another host is to be asked */
    RECIPIENT_CLOSED,
};

struct transaction {
    struct smtp_exchange_recipient *recipients;
    size_t *indexes; /* in request->recipients */
    size_t count;
    struct strbuf head;
    struct strbuf mail_line; /* what stands behind "MAIL FROM:" */
};

void transaction_init(struct transaction *transaction, size_t prefix_len);
void transaction_clear(struct transaction *transaction);
/* Puts in all recipients that are in the state wanted. */
void transaction_choose(struct transaction *transaction, const struct delivery_request *request,
                        const enum recipient_state *states, enum recipient_state wanted,
                        struct arena *arena);
void transaction_write_head(struct transaction *transaction,
                            const struct delivery_request *request,
                            const struct outbound_options *options, struct arena *arena);
/* Can a message with this header and sender go to no next hop without SMTPUTF8? */
bool transaction_needs_utf8(const struct delivery_request *request);
/* Leaves out recipients that only a next hop with SMTPUTF8 takes; their indexes go to `left_out`, which
 * has room for all. Returns how many. */
size_t transaction_leave_out_utf8(struct transaction *transaction, size_t *left_out);
/* Leaves out those who are too many for the LIMITS of the next hop (RFC 9422): they are for the
 * transaction after this one. */
void transaction_keep_to_limits(struct transaction *transaction,
                                const struct smtp_extensions *extensions);
/* What goes behind each RCPT; lives in the arena. */
void transaction_write_rcpt_parameters(struct transaction *transaction,
                                       const struct delivery_request *request,
                                       const struct smtp_extensions *extensions,
                                       struct arena *arena);
/* `size`: of head and content together. `is_secure`: the connection is. */
void transaction_write_mail_line(struct transaction *transaction,
                                 const struct delivery_request *request,
                                 const struct smtp_extensions *extensions, uint64_t size,
                                 bool is_secure);

#endif
