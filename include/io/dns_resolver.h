/*
 * dns_resolver - looks up what dns_facts want, through c-ares; one per loop, with a cache.
 *
 * Rules   own packets through ares_send (AD set, EDNS 1232), own answer parser; equal questions
 *         in flight are asked once; at most 100 in flight, 24 of them in one asker's name, the
 *         rest waits and askers take turns; answers are
 *         cached by TTL (5 s .. 1 day, negative by RFC 2308, temporary failures not at all),
 *         size-bounded, least recently used out first; keyed hash.
 * Errors  none: what cannot be had by the deadline is DNS_TEMPFAIL in the facts.
 * Research: the traps of c-ares 1.18 are listed in docs/decisions/c-ares.md.
 */
#ifndef IO_DNS_RESOLVER_H
#define IO_DNS_RESOLVER_H

#include "io/event_loop.h"
#include "protocol/dns_facts.h"

struct dns_resolver_options {
    const struct ip_endpoint *servers; /* none: those of /etc/resolv.conf */
    size_t server_count;
    size_t cache_octets; /* 0: the default, 8 MiB */
};

struct dns_resolver_counters {
    uint64_t asked, answered, failed, cache_hits, merged;
    size_t cache_entries, cache_octets, in_flight, waiting;
};

struct dns_resolver;
struct dns_lookup;
struct dns_asker;

/* NULL: c-ares would not start; *why says why. */
struct dns_resolver *dns_resolver_new(struct event_loop *loop,
                                      const struct dns_resolver_options *options,
                                      struct strbuf *why);
/* Pending look-ups must be cancelled, and askers freed. */
void dns_resolver_free(struct dns_resolver **resolver);

/* ---- one look-up: all at once, one report at the end ---- */

/* Looks up every question that `facts` (borrowed until done or cancel) want, all at once, and
 * puts the answers in; on_done runs later, never from inside this call. */
struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context);
/* Safe on NULL; on_done will not run. The answer still goes into the cache. */
void dns_lookup_cancel(struct dns_lookup **lookup);

/* ---- an asker: goes along with evaluations, one after the other ---- */

/* For one client: what it makes us ask counts as its share, also when the answer is no longer
 * wanted. on_answers runs when answers have come (once for all that came at the same time; the time
 * being up is an answer), never from inside another call. */
struct dns_asker *dns_asker_new(struct dns_resolver *resolver,
                                void (*on_answers)(void *context), void *context);
void dns_asker_free(struct dns_asker **asker); /* safe on NULL */
/* An evaluation begins. From now on `facts` (borrowed until the end, and answered by nobody else)
 * have what the cache knows while they are asked. */
void dns_asker_begin(struct dns_asker *asker, struct dns_facts *facts);
/* Looks up what the facts want and was not asked before. True: something is answered already,
 * without on_answers; evaluate again. */
bool dns_asker_ask(struct dns_asker *asker, uint64_t deadline_ms);
/* Questions without answer. */
size_t dns_asker_open(const struct dns_asker *asker);
/* Safe on NULL and without a beginning; on_answers will not run. Answers still go into the cache. */
void dns_asker_end(struct dns_asker *asker);

/* `take` runs for each answer as it comes from the network, before those who asked hear of it; for
 * commands that show what was asked. */
void dns_resolver_watch(struct dns_resolver *resolver,
                        void (*take)(void *context, struct bytes name, uint16_t type,
                                     const struct dns_answer *answer),
                        void *context);

struct dns_resolver_counters dns_resolver_count(const struct dns_resolver *resolver);

#endif
