/*
 * inbound_ledger - what is counted for all loops together: what each client does, and what is sent on.
 *
 * Use      one a process. The acceptor enters a client for each connection, sessions note what it does.
 * Threads  any. Clients are spread over tables with a lock each, held for well under a microsecond.
 * Limits   forward/client_rates says what counts and what follows, and how memory is bounded.
 */
#ifndef INBOUND_INBOUND_LEDGER_H
#define INBOUND_INBOUND_LEDGER_H

#include "base/rate.h"
#include "forward/client_rates.h"
#include "forward/forward_budget.h"

struct inbound_ledger;

/* A client while it has a session; `row` NULL: nobody. */
struct ledger_stay {
    struct inbound_ledger *ledger;
    size_t shard;
    struct client_row *row;
    bool is_exempt; /* there it is counted, and that is all */
};

enum { LEDGER_FORGED_MOST = 1000 };

/* What was refused, for `status`. */
enum ledger_refusal {
    LEDGER_PENALTY,
    LEDGER_SESSIONS,
    LEDGER_CONNECTION_RATE,
    LEDGER_MESSAGE_RATE,
    LEDGER_RECIPIENT_RATE,
    LEDGER_UNKNOWN_RECIPIENTS, /* sessions that were ended */
    LEDGER_BAD_SIGNATURES,     /* sessions that were ended */
    LEDGER_FORWARD_BUDGET,
    LEDGER_DESTINATION_BUDGET,
    LEDGER_REFUSED_THERE, /* by the server behind an alias */
    LEDGER_UNVERIFIED,    /* which said nothing */
    LEDGER_REFUSALS,
};

struct inbound_ledger *inbound_ledger_new(void);
/* After everybody has left. */
void inbound_ledger_free(struct inbound_ledger **ledger);
/* CLIENT_WELCOME: then *stay, until ledger_stay_end. */
enum client_verdict inbound_ledger_enter(struct inbound_ledger *ledger,
                                         const struct ip_address *address,
                                         const struct client_limits *limits, uint64_t now_ms,
                                         struct ledger_stay *stay);
/* What is remembered of a client; asking changes nothing. */
struct client_standing inbound_ledger_look(struct inbound_ledger *ledger,
                                           const struct ip_address *address,
                                           const struct client_limits *limits, uint64_t now_ms);
/* These do nothing for nobody. */
void ledger_stay_end(struct ledger_stay *stay);
enum client_verdict ledger_stay_spend(const struct ledger_stay *stay,
                                      const struct client_limits *limits,
                                      enum client_doing doing, uint64_t now_ms);
/* True: a penalty begins. */
bool ledger_stay_blame(const struct ledger_stay *stay, const struct client_limits *limits,
                       enum client_offence offence, uint64_t now_ms);
void ledger_stay_praise(const struct ledger_stay *stay, size_t recipients, uint64_t now_ms);

/* What all clients of a place do, on any thread; all zeros: nothing yet. */
struct ledger_crowd {
    struct shared_rate messages, recipients;
};

bool ledger_crowd_spend(struct ledger_crowd *crowd, const struct crowd_limits *limits,
                        enum client_doing doing, uint64_t now_ms);
/* The crowd of everybody. */
struct ledger_crowd *inbound_ledger_everybody(struct inbound_ledger *ledger);

/* Somebody named an address as signed by us that is not. True: the LEDGER_FORGED_MOST + 1st within an hour. */
bool inbound_ledger_forged(struct inbound_ledger *ledger, uint64_t now_ms);

/* See forward/forward_budget. */
bool inbound_ledger_may_forward(struct inbound_ledger *ledger, struct bytes key,
                                struct forward_limits limits, uint64_t now_ms);
void inbound_ledger_forward(struct inbound_ledger *ledger, struct bytes key,
                            struct forward_limits limits, uint64_t now_ms);

size_t inbound_ledger_sessions(struct inbound_ledger *ledger); /* entered and not ended */
size_t inbound_ledger_size(struct inbound_ledger *ledger);     /* what it remembers */
void inbound_ledger_note(struct inbound_ledger *ledger, enum ledger_refusal refusal);
uint64_t inbound_ledger_noted(const struct inbound_ledger *ledger, enum ledger_refusal refusal);
const char *inbound_ledger_refusal_text(enum ledger_refusal refusal); /* as `why` in the log */

#endif
