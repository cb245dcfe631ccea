/*
 * delivery_result - what an answer or a trouble means for a recipient.
 *
 * Rule    only a 5xx answer to the envelope or to the content, and what next_hop_order decides
 *         for good, are permanent. A refused greeting speaks of the host or of us, not of the
 *         recipient: temporary, save 521 (RFC 7504: this host never takes mail).
 * Memory  texts live in the arena given, or are static.
 */
#ifndef OUTBOUND_DELIVERY_RESULT_H
#define OUTBOUND_DELIVERY_RESULT_H

#include "base/arena.h"
#include "outbound/delivery_attempt.h"
#include "outbound/next_hop_connection.h"

struct delivery_result {
    enum delivery_outcome outcome;
    enum delivery_trouble trouble;
    unsigned code;
    char enhanced[12];
    struct bytes text;
    bool is_after_content; /* said behind the final dot */
};

/* Of a recipient whose answer is there. */
struct delivery_result
delivery_result_of_answer(const struct smtp_exchange_recipient *recipient,
                          bool is_after_content, struct arena *arena);
/* Of a broken connection, for those who got no answer of their own. */
struct delivery_result delivery_result_of_fault(const struct next_hop_connection *connection,
                                                struct arena *arena);
/* Of NEXT_HOP_FAILED. */
struct delivery_result delivery_result_of_decision(const struct decision *decision,
                                                   struct arena *arena);
/* The next hop's announcement forbids it: `text` is static. */
struct delivery_result delivery_result_of_announcement(const char *enhanced, const char *text);

/* "this transaction is full": the recipient may go into the next one at once (RFC 5321
 * §4.5.3.1.10). */
bool delivery_result_is_too_many(const struct smtp_reply *reply);
/* Classifies it, too. */
void delivery_result_give(const struct delivery_result *result,
                          struct delivery_recipient *recipient);

#endif
