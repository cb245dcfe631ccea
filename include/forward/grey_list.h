/*
 * grey_list - "come again": whoever was never here before is asked to, once, since those who send and
 * forget do not.
 *
 * Input   what is remembered of the three (client network, sender, recipient) and of the network
 *         alone, as text; the clock; the operator's figures.
 * Output  what to say now, and what to remember from now on.
 * Keys    the network of a client: /24 of IPv4, /64 of IPv6, so that a pool of servers is one. Of the
 *         sender what stays the same from one message to the next: no +anything, digits are alike, of
 *         SRS and BATV addresses (which change every day) the domain alone.
 * Memory  what came again in time is remembered for `memory_ms` from its last message; a network that has
 *         come again for `client_passes` different three is asked no more.
 * Errors  a memory that cannot be read is none.
 */
#ifndef FORWARD_GREY_LIST_H
#define FORWARD_GREY_LIST_H

#include "base/strbuf.h"
#include "forward/accept_policy.h"
#include "protocol/ip_address.h"
#include "protocol/smtp_path.h"

struct grey_options {
    uint64_t delay_ms;  /* not taken before */
    uint64_t window_ms; /* must come again within */
    uint64_t memory_ms;
    uint64_t client_passes; /* 0: each three for itself, always */
};

enum { GREY_MEMORY_LIMIT = 80, GREY_KEY_LIMIT = 2048 };

/* Milliseconds since 1970. */
struct grey_memory {
    int64_t first_ms; /* of a network: unused */
    int64_t seen_ms;  /* last noted */
    unsigned passes;  /* 0: it has not come again yet */
};

struct grey_answer {
    bool is_deferred;
    uint64_t wait_ms; /* deferred: no use to come before */
    bool is_new_pass; /* it has come again for the first time: counts for its network */
    bool is_noted;    /* `memory` is to be kept until `expires_ms` */
    struct grey_memory memory;
    int64_t expires_ms;
};

/* Does the rule ask such a client to come again? "suspicious": unless its sender's SPF record and its own
 * reverse name both speak for it. A verdict nobody has yet speaks for nobody. */
bool grey_list_concerns(enum greylist_rule rule, const struct sender_facts *facts);
void grey_list_add_client_key(struct strbuf *key, const struct ip_address *client);
void grey_list_add_key(struct strbuf *key, const struct ip_address *client,
                       const struct smtp_mailbox *sender, const struct smtp_mailbox *recipient);
void grey_memory_add(struct strbuf *out, const struct grey_memory *memory);
bool grey_memory_read(struct bytes text, struct grey_memory *memory);
/* `known`: NULL when there is none. */
struct grey_answer grey_list_judge(const struct grey_options *options, int64_t now_ms,
                                   const struct grey_memory *known);
/* Of the network alone: true when it is asked no more; then *answer says what to note. */
bool grey_list_knows_client(const struct grey_options *options, int64_t now_ms,
                            const struct grey_memory *known, struct grey_answer *answer);
/* After a first pass of one of its three. */
struct grey_answer grey_list_count_client(const struct grey_options *options, int64_t now_ms,
                                          const struct grey_memory *known);
struct decision grey_list_decision(const struct grey_answer *answer, struct arena *arena);

#endif
