/*
 * client_rates - how much a client may do: what its network has done of late, and what follows.
 *
 * Who      a client is an IPv4 address, or an IPv6 /64: an IPv6 host has all of that to choose its
 *          address from. Its neighbourhood is the IPv4 /24, or the IPv6 /48. Whoever holds a whole /48
 *          has 65536 clients, so that counts, too: all of it may do CLIENT_WIDE times what one of its
 *          clients may. Neighbours in IPv4 share penalties alone.
 * Rates    a minute: connections, MAILs, RCPTs. What is refused does not count.
 * Offences recipients nobody has, and addresses that claim to be signed by us and are not. Both are
 *          weighed against recipients whose mail was accepted: a mailing list with stale addresses and a
 *          pool with one spammer among its users stay welcome. All halve every CLIENT_MEMORY_MS.
 * Penalty  no connection for `penalty_ms`: of the client after too many unknown recipients, of its
 *          neighbourhood after too many bad signatures.
 * Memory   clients without a session are forgotten when there are more than `capacity` (neighbourhoods
 *          counted for themselves), longest idle ones first, but those with a penalty a little later.
 * Threads  none: one table is for whoever holds it. Time is monotonic, and an argument.
 */
#ifndef FORWARD_CLIENT_RATES_H
#define FORWARD_CLIENT_RATES_H

#include "base/siphash.h"
#include "base/strbuf.h"
#include "forward/decision.h"
#include "protocol/ip_address.h"

enum {
    CLIENT_WIDE = 16,            /* clients' worth for an IPv6 /48 */
    CLIENT_UNKNOWN_SESSIONS = 5, /* sessions' worth of unknown recipients until a penalty */
    CLIENT_MEMORY_MS = 6 * 3600 * 1000, /* offences and merits halve */
};

/* 0 is no limit. */
struct client_limits {
    uint64_t sessions;                          /* at a time */
    uint64_t connections, messages, recipients; /* a minute */
    uint64_t unknown_recipients;                /* a session (forward/client_conduct) */
    uint64_t bad_signatures;                    /* a session */
    uint64_t delay_ms;                          /* the longest for an answer; 0: none */
    uint64_t penalty_ms;                        /* 0: none */
    const struct ip_network *exempt; /* relays of ours: all but `sessions` is not for them */
    size_t exempt_count;
};

enum client_verdict {
    CLIENT_WELCOME,
    CLIENT_PENALTY,
    CLIENT_SESSIONS,
    CLIENT_CONNECTION_RATE,
    CLIENT_MESSAGE_RATE,
    CLIENT_RECIPIENT_RATE,
};

enum client_offence { CLIENT_UNKNOWN_RECIPIENT, CLIENT_BAD_SIGNATURE, CLIENT_NO_OFFENCE };
enum client_doing { CLIENT_CONNECTS, CLIENT_SENDS_MESSAGE, CLIENT_NAMES_RECIPIENT };

/* Of all clients together: a minute, 0 is no limit. */
struct crowd_limits {
    uint64_t messages, recipients;
};

/* Our relays, and this machine when it talks to itself (127.0.0.1, ::1). */
bool client_limits_exempt(const struct client_limits *limits, const struct ip_address *address);

struct client_rates;
struct client_row; /* good from client_rates_enter to client_rates_leave */

struct client_rates *client_rates_new(struct siphash_key key, size_t capacity);
void client_rates_free(struct client_rates **rates);
/* A session begins, if it is welcome: then *row. */
enum client_verdict client_rates_enter(struct client_rates *rates,
                                       const struct ip_address *address,
                                       const struct client_limits *limits, uint64_t now_ms,
                                       struct client_row **row);
void client_rates_leave(struct client_rates *rates, struct client_row *row);
/* MAIL or RCPT. */
enum client_verdict client_rates_spend(struct client_row *row,
                                       const struct client_limits *limits,
                                       enum client_doing doing, uint64_t now_ms);
/* True: that was one too many, a penalty begins. */
bool client_rates_blame(struct client_row *row, const struct client_limits *limits,
                        enum client_offence offence, uint64_t now_ms);
/* A message with so many recipients was accepted. */
void client_rates_praise(struct client_row *row, size_t recipients, uint64_t now_ms);

/* What is remembered of a client, and what it would be told now. */
struct client_standing {
    bool is_exempt;
    size_t sessions;
    uint64_t penalty_ms; /* left; 0: none */
    bool may[3];         /* by enum client_doing: once more this minute? */
    uint64_t unknown, bad, accepted;
};
/* Asking changes nothing. */
struct client_standing client_rates_look(const struct client_rates *rates,
                                         const struct ip_address *address,
                                         const struct client_limits *limits, uint64_t now_ms);
/* Lines of a sentence each, for people; one at least. */
void client_standing_add(struct strbuf *out, const struct client_standing *standing);
size_t client_rates_count(const struct client_rates *rates); /* clients and neighbourhoods */
/* The part of an address that says which table is asked, where there are several: the same for all
 * addresses that have a row in common. */
uint64_t client_rates_hash(const struct siphash_key *key, const struct ip_address *address);
/* What to answer: 421 to connections, 451 to MAIL and RCPT. */
struct decision client_rates_decision(enum client_verdict verdict);
/* The same when all clients together, or all that came by one listener, do too much of it. */
struct decision client_rates_crowd_decision(enum client_doing doing, bool is_listener);

#endif
