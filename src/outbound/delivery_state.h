/*
 * delivery_state - what the files of one attempt share, and how they call each other.
 *
 *   delivery_attempt.c   start, end, finish
 *   delivery_hosts.c     where to: a connection that rests, next hops, a new connection
 *   delivery_dialogue.c  what is said there, and what the answers come to
 *   delivery_requiretls.c  mail that is to be encrypted all the way
 */
#ifndef DELIVERY_STATE_H
#define DELIVERY_STATE_H

#include "outbound/delivery_attempt.h"
#include "outbound/delivery_result.h"
#include "outbound/delivery_transaction.h"
#include "outbound/destination_pool.h"

struct outbound {
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct outbound_options options;
    struct destination_pool *pool;
    struct tls_memory *tls_memory;
    struct content_scratch scratch;
};

struct delivery_attempt {
    struct outbound *outbound;
    struct outbound_options options; /* of its start; snapshot held */
    struct delivery_request request;
    struct arena *arena;
    struct delivery_report report;
    enum recipient_state *states;
    struct delivery_result trouble; /* the last, for those without an answer */
    bool is_every_host_final;       /* all so far greeted 521 */

    struct destination *destination;
    struct next_hops *hops; /* being made, or shared; or NULL */
    bool is_tried[NEXT_HOP_LIMIT];
    uint8_t order[NEXT_HOP_LIMIT]; /* of `hops`, for this attempt */
    struct ip_endpoint preferred;  /* where a kept connection turned out dead; or IP_NONE */
    struct bytes answered_host;    /* with is_second_opinion: the host that said 4xx */
    bool is_second_opinion;
    bool is_without_chunks; /* a host has refused BDAT ... */
    bool is_repeating;      /* ... and on this connection DATA comes next */
    bool is_admitted;       /* may_connect said yes */
    bool has_set_out;       /* a connection was taken or made */

    struct dns_facts *facts;   /* during look-ups */
    struct dns_lookup *lookup; /* pending, or NULL */
    unsigned dns_rounds;
    uint32_t shuffle;

    struct next_hop_connection *connection; /* or NULL */
    struct transaction transaction;
    uint64_t connect_began_ms, transfer_began_ms;

    struct loop_task done_task;
    void (*on_done)(void *context); /* NULL: aborted while the task waited */
    void *context;
    bool is_over;
};

/* delivery_hosts.c */
/* A transaction begins, on a connection that rests or a new one; or it is settled that there is none. */
void delivery_find_connection(struct delivery_attempt *attempt);
/* The same, when a connection or a host has been of no use. */
void delivery_find_hosts(struct delivery_attempt *attempt);
/* The next connection goes to the same host as this one. */
void delivery_prefer_same_host(struct delivery_attempt *attempt);
/* ... and is made now, in its stead. */
void delivery_try_host_again(struct delivery_attempt *attempt);

/* delivery_dialogue.c */
void delivery_start_transaction(struct delivery_attempt *attempt);
void delivery_on_connection_event(void *context, enum connection_event event);

/* delivery_requiretls.c */
/* Is it mail that may only go where it stays encrypted? */
bool delivery_is_strict(const struct delivery_attempt *attempt);
bool delivery_may_have_it(const struct delivery_attempt *attempt,
                          const struct next_hop_connection *connection);
/* The next hops are known. False: none of them may have it, `trouble` says why. */
bool delivery_may_set_out(struct delivery_attempt *attempt);
struct delivery_result delivery_trouble_without_requiretls(void);
/* What broke the connection. */
struct delivery_result delivery_trouble_of_connection(const struct delivery_attempt *attempt);

/* delivery_attempt.c */
/* Whoever has no answer gets the last trouble; on_done follows, not from inside. */
void delivery_settle(struct delivery_attempt *attempt);

#endif
