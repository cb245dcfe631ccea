#include "io/dns_resolver.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "dns_cache.h"
#include "dns_channel.h"
#include "io/entropy.h"
#include "loop_internal.h"

#include <assert.h>
#include <stdlib.h>

/*
 * From a look-up to its end, in the order it happens:
 *
 *   1 dns_lookup_start  what the cache knows goes into the facts; for the rest ...
 *   2 wait_for          ... a query is joined or made, and waits for its place in the window
 *   3 send_waiting      queries go out, WINDOW at a time
 *   4 on_answer         one answer: into the cache and into the facts of all who wait for it
 *   5 on_turn           later, never from inside another call: tells the owners, repairs the
 *                       channel, fills the window again
 */

enum {
    WINDOW = 100, /* more at once overruns the socket's buffer (docs/decisions/c-ares.md) */
    CACHE_OCTETS = 8 * 1024 * 1024,
    EDNS_RECORD_OCTETS = 11,
    ID_POOL = 64,
};

/* A question that was asked or is about to be. */
struct dns_query {
    struct list link; /* in resolver->waiting or ->flying */
    struct list waiters;
    struct dns_resolver *resolver;
    struct dns_cache_key key;
    uint16_t type;
    uint16_t id;
    bool without_edns; /* the server did not understand it: asked once more without */
};

/* A look-up that waits for a query. */
struct waiter {
    struct list link;
    struct dns_lookup *lookup;
    struct dns_query *query; /* NULL when answered */
};

struct dns_lookup {
    struct list link; /* in resolver->done */
    struct dns_resolver *resolver;
    struct dns_facts *facts;
    struct loop_timer deadline;
    void (*on_done)(void *context);
    void *context;
    size_t open; /* waiters not answered yet */
    size_t count;
    struct waiter waiters[];
};

struct dns_resolver {
    struct loop_owned owned;
    struct event_loop *loop;
    struct ip_endpoint *servers;
    size_t server_count;
    struct dns_channel *channel;
    struct dns_channel *retired; /* lost EDNS; ends when its last answer is in. Or NULL */
    struct dns_cache *cache;
    struct hash_table *queries; /* by key: waiting and flying */
    struct list waiting, flying;
    struct list done;
    struct loop_task turn;
    struct arena *arena; /* for one answer */
    struct strbuf packet;
    uint16_t ids[ID_POOL];
    size_t ids_left;
    size_t lookups; /* not done and not cancelled */
    bool has_lost_edns;
    bool is_ending;
    struct dns_resolver_counters counters;
};

static struct bytes name_of(const struct dns_query *query)
{
    return bytes_of(query->key.octets + 2, query->key.len - 2);
}

static void schedule_turn(struct dns_resolver *resolver)
{
    if (!resolver->turn.is_pending && !resolver->is_ending) {
        event_loop_defer(resolver->loop, &resolver->turn);
    }
}

/* ---- queries ---- */

static struct dns_query *new_query(struct dns_resolver *resolver,
                                   const struct dns_cache_key *key, uint16_t type)
{
    struct dns_query *query = memory_zero(sizeof *query);

    query->resolver = resolver;
    query->key = *key;
    query->type = type;
    list_init(&query->waiters);
    list_append(&resolver->waiting, &query->link);
    resolver->counters.waiting++;
    (void)hash_table_put(resolver->queries, bytes_of(query->key.octets, query->key.len), query);
    return query;
}

/* The query is in no list any more. */
static void free_query(struct dns_query *query)
{
    (void)hash_table_remove(query->resolver->queries,
                            bytes_of(query->key.octets, query->key.len));
    free(query);
}

static bool is_id_used(const struct dns_resolver *resolver, uint16_t id)
{
    for (struct list *at = resolver->flying.next; at != &resolver->flying; at = at->next) {
        if (list_owner(at, struct dns_query, link)->id == id) {
            return true;
        }
    }
    return false;
}

/* Unpredictable (RFC 5452 §9.2); taken from the system by the dozen to spare system calls. */
static uint16_t next_id(struct dns_resolver *resolver)
{
    uint16_t id;

    do {
        if (resolver->ids_left == 0) {
            entropy_fill(resolver->ids, sizeof resolver->ids);
            resolver->ids_left = ID_POOL;
        }
        id = resolver->ids[--resolver->ids_left];
    } while (is_id_used(resolver, id));
    return id;
}

static void write_packet(struct dns_query *query, struct strbuf *packet)
{
    bool is_name;

    strbuf_reset(packet);
    is_name = dns_query_write(packet, query->id, name_of(query), query->type);
    assert(is_name); /* it is normalised */
    if (query->without_edns) {
        strbuf_truncate(packet, packet->len - EDNS_RECORD_OCTETS);
        packet->data[11] = 0; /* number of additional records */
    }
}

static void send_query(struct dns_query *query)
{
    struct dns_resolver *resolver = query->resolver;

    query->id = next_id(resolver);
    write_packet(query, &resolver->packet);
    list_append(&resolver->flying, &query->link);
    resolver->counters.in_flight++;
    resolver->counters.asked++;
    dns_channel_send(resolver->channel, strbuf_bytes(&resolver->packet), query);
    /* The query may be gone: what fails at once is answered from inside. */
}

static void send_waiting(struct dns_resolver *resolver)
{
    while (resolver->counters.in_flight < WINDOW && !list_is_empty(&resolver->waiting)) {
        struct dns_query *query = list_owner(resolver->waiting.next, struct dns_query, link);

        list_remove(&query->link);
        resolver->counters.waiting--;
        if (list_is_empty(&query->waiters)) {
            free_query(query); /* everybody has gone in the meantime */
        } else {
            send_query(query);
        }
    }
}

/* ---- answers ---- */

static void finish_lookup(struct dns_lookup *lookup)
{
    loop_timer_clear(&lookup->deadline);
    list_append(&lookup->resolver->done, &lookup->link);
    schedule_turn(lookup->resolver);
}

static void settle_waiter(struct waiter *waiter, const struct dns_answer *answer)
{
    struct dns_lookup *lookup = waiter->lookup;
    struct dns_query *query = waiter->query;

    list_remove(&waiter->link);
    waiter->query = NULL;
    dns_facts_put(lookup->facts, name_of(query), query->type, answer);
    lookup->open--;
}

static void settle_query(struct dns_query *query, const struct dns_answer *answer)
{
    struct dns_resolver *resolver = query->resolver;

    if (answer->status == DNS_TEMPFAIL) {
        resolver->counters.failed++;
    } else {
        resolver->counters.answered++;
    }
    dns_cache_put(resolver->cache, &query->key, event_loop_now_ms(resolver->loop), answer);
    while (!list_is_empty(&query->waiters)) {
        struct waiter *waiter = list_owner(query->waiters.next, struct waiter, link);

        settle_waiter(waiter, answer);
        if (waiter->lookup->open == 0) {
            finish_lookup(waiter->lookup);
        }
    }
    free_query(query);
}

/* We sent an OPT record and got none: c-ares may have turned EDNS off (the server answered
 * FORMERR to somebody's question); then large answers would all go to TCP from now on. */
static void check_edns(struct dns_resolver *resolver, struct bytes message)
{
    bool has_additional = message.len >= 12 && (message.data[10] | message.data[11]) != 0;

    if (!has_additional && !dns_channel_has_edns(resolver->channel)) {
        resolver->has_lost_edns = true;
        schedule_turn(resolver);
    }
}

/* On a channel without EDNS, FORMERR comes through to us: ask once more, without. */
static bool ask_without_edns(struct dns_query *query, const struct dns_answer *answer)
{
    struct dns_resolver *resolver = query->resolver;

    if (query->without_edns || answer->why == NULL || strcmp(answer->why, "formerr") != 0) {
        return false;
    }
    query->without_edns = true;
    list_insert(&resolver->waiting, &query->link);
    resolver->counters.waiting++;
    return true;
}

static void on_answer(void *context, struct bytes message, const char *why)
{
    struct dns_query *query = context;
    struct dns_resolver *resolver = query->resolver;
    struct dns_answer answer = {.status = DNS_TEMPFAIL, .why = why};

    list_remove(&query->link);
    resolver->counters.in_flight--;
    if (why == NULL) {
        arena_reset(resolver->arena);
        dns_answer_read(message, name_of(query), query->type, resolver->arena, &answer);
        if (!query->without_edns) {
            check_edns(resolver, message);
        }
    }
    if (!ask_without_edns(query, &answer)) {
        settle_query(query, &answer);
    }
    if (!list_is_empty(&resolver->waiting) || resolver->retired != NULL) {
        schedule_turn(resolver);
    }
}

/* ---- the turn ---- */

static void renew_channel(struct dns_resolver *resolver)
{
    struct dns_channel *fresh;
    struct strbuf why;

    if (resolver->retired != NULL && dns_channel_in_flight(resolver->retired) == 0) {
        dns_channel_free(&resolver->retired);
    }
    if (!resolver->has_lost_edns || resolver->retired != NULL) {
        return;
    }
    strbuf_init(&why, 200);
    fresh = dns_channel_new(resolver->loop, resolver->servers, resolver->server_count,
                            on_answer, &why);
    strbuf_clear(&why);
    if (fresh != NULL) {
        resolver->retired = resolver->channel;
        resolver->channel = fresh;
        resolver->has_lost_edns = false;
    }
    if (resolver->retired != NULL && dns_channel_in_flight(resolver->retired) == 0) {
        dns_channel_free(&resolver->retired);
    }
}

/* Owners may start, cancel and even free the resolver from here. */
static void tell_owners(struct dns_resolver *resolver)
{
    struct list done;

    list_init(&done);
    while (!list_is_empty(&resolver->done)) {
        struct list *first = resolver->done.next;

        list_remove(first);
        list_append(&done, first);
    }
    while (!list_is_empty(&done)) {
        struct dns_lookup *lookup = list_owner(done.next, struct dns_lookup, link);
        void (*on_done)(void *context) = lookup->on_done;
        void *context = lookup->context;

        list_remove(&lookup->link);
        resolver->lookups--;
        free(lookup);
        on_done(context);
    }
}

static void on_turn(void *context)
{
    struct dns_resolver *resolver = context;

    if (resolver->is_ending) {
        return;
    }
    renew_channel(resolver);
    send_waiting(resolver);
    tell_owners(resolver);
}

/* ---- look-ups ---- */

static bool is_special_name(struct bytes name)
{
    /* RFC 7686 §2: must not be looked up in the DNS. */
    return bytes_equal(name, BYTES("onion")) || bytes_ends_with_nocase(name, BYTES(".onion"));
}

/* Answers what needs no question: known, forbidden to ask, or too late. */
static bool answer_now(struct dns_resolver *resolver, const struct dns_question *question,
                       const struct dns_cache_key *key, uint64_t deadline_ms,
                       struct dns_answer *answer)
{
    uint64_t now_ms = event_loop_now_ms(resolver->loop);

    if (dns_cache_get(resolver->cache, key, now_ms, answer)) {
        resolver->counters.cache_hits++;
        return true;
    }
    if (is_special_name(question->name)) {
        *answer = (struct dns_answer){.status = DNS_NXDOMAIN, .ttl = DNS_TTL_MAX};
        return true;
    }
    if (deadline_ms <= now_ms) {
        *answer = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "timeout"};
        return true;
    }
    return false;
}

static void wait_for(struct dns_lookup *lookup, const struct dns_question *question,
                     const struct dns_cache_key *key)
{
    struct dns_resolver *resolver = lookup->resolver;
    struct waiter *waiter = &lookup->waiters[lookup->count++];
    struct dns_query *query =
        hash_table_get(resolver->queries, bytes_of(key->octets, key->len));

    if (query != NULL) {
        resolver->counters.merged++;
    } else {
        query = new_query(resolver, key, question->type);
    }
    *waiter = (struct waiter){.lookup = lookup, .query = query};
    list_append(&query->waiters, &waiter->link);
    lookup->open++;
}

static void settle_open_waiters(struct dns_lookup *lookup, const struct dns_answer *answer)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (lookup->waiters[i].query != NULL) {
            settle_waiter(&lookup->waiters[i], answer);
        }
    }
}

static void on_deadline(void *context)
{
    static const struct dns_answer too_late = {.status = DNS_TEMPFAIL, .why = "timeout"};
    struct dns_lookup *lookup = context;

    settle_open_waiters(lookup, &too_late);
    finish_lookup(lookup);
}

/* Answers or asks every wanted question. An answer takes its question off the list. */
static void work_off(struct dns_lookup *lookup, uint64_t deadline_ms)
{
    size_t at = 0, count;

    for (;;) {
        const struct dns_question *wanted = dns_facts_wanted(lookup->facts, &count);
        struct dns_cache_key key;
        struct dns_answer answer;

        if (at >= count) {
            return;
        }
        dns_cache_key(wanted[at].name, wanted[at].type, &key);
        if (answer_now(lookup->resolver, &wanted[at], &key, deadline_ms, &answer)) {
            dns_facts_put(lookup->facts, wanted[at].name, wanted[at].type, &answer);
        } else {
            wait_for(lookup, &wanted[at], &key);
            at++;
        }
    }
}

struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context)
{
    struct dns_lookup *lookup;
    uint64_t now_ms;
    size_t wanted;

    (void)dns_facts_wanted(facts, &wanted);
    lookup = memory_zero(sizeof *lookup + wanted * sizeof lookup->waiters[0]);
    lookup->resolver = resolver;
    lookup->facts = facts;
    lookup->on_done = on_done;
    lookup->context = context;
    list_init(&lookup->link);
    loop_timer_init(&lookup->deadline, resolver->loop, on_deadline, lookup);
    resolver->lookups++;
    work_off(lookup, deadline_ms);
    if (lookup->open == 0) {
        finish_lookup(lookup);
        return lookup;
    }
    now_ms = event_loop_now_ms(resolver->loop); /* may have gone on since answer_now looked */
    loop_timer_set(&lookup->deadline, deadline_ms > now_ms ? deadline_ms - now_ms : 0);
    send_waiting(resolver);
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup **lookup)
{
    struct dns_lookup *ending = *lookup;

    if (ending == NULL) {
        return;
    }
    *lookup = NULL;
    for (size_t i = 0; i < ending->count; i++) {
        if (ending->waiters[i].query != NULL) {
            list_remove(&ending->waiters[i].link);
        }
    }
    list_remove(&ending->link);
    loop_timer_clear(&ending->deadline);
    ending->resolver->lookups--;
    free(ending);
}

/* ---- the resolver ---- */

static void destroy_resolver(struct loop_owned *owned)
{
    free(list_owner(owned, struct dns_resolver, owned));
}

struct dns_resolver *dns_resolver_new(struct event_loop *loop,
                                      const struct dns_resolver_options *options,
                                      struct strbuf *why)
{
    size_t octets = options->cache_octets != 0 ? options->cache_octets : CACHE_OCTETS;
    struct dns_channel *channel =
        dns_channel_new(loop, options->servers, options->server_count, on_answer, why);
    struct dns_resolver *resolver;

    if (channel == NULL) {
        return NULL;
    }
    resolver = memory_zero(sizeof *resolver);
    resolver->owned.destroy = destroy_resolver;
    list_init(&resolver->owned.link);
    resolver->loop = loop;
    resolver->channel = channel;
    resolver->server_count = options->server_count;
    if (options->server_count > 0) {
        resolver->servers =
            memory_resize(NULL, options->server_count, sizeof *resolver->servers);
        memcpy(resolver->servers, options->servers,
               options->server_count * sizeof *resolver->servers);
    }
    resolver->cache = dns_cache_new(entropy_hash_key(), octets);
    resolver->queries = hash_table_new(entropy_hash_key());
    list_init(&resolver->waiting);
    list_init(&resolver->flying);
    list_init(&resolver->done);
    resolver->turn = (struct loop_task){.run = on_turn, .context = resolver};
    resolver->arena = arena_new();
    strbuf_init(&resolver->packet, 1024);
    return resolver;
}

void dns_resolver_free(struct dns_resolver **resolver)
{
    struct dns_resolver *ending = *resolver;

    if (ending == NULL) {
        return;
    }
    assert(ending->lookups == 0);
    *resolver = NULL;
    ending->is_ending = true;
    dns_channel_free(&ending->retired);
    dns_channel_free(&ending->channel);
    while (!list_is_empty(&ending->waiting)) {
        struct dns_query *query = list_owner(ending->waiting.next, struct dns_query, link);

        list_remove(&query->link);
        free_query(query);
    }
    hash_table_free(&ending->queries);
    dns_cache_free(&ending->cache);
    arena_free(&ending->arena);
    strbuf_clear(&ending->packet);
    free(ending->servers);
    event_loop_discard(ending->loop, &ending->owned); /* the turn may still be pending */
}

struct dns_resolver_counters dns_resolver_count(const struct dns_resolver *resolver)
{
    struct dns_resolver_counters counters = resolver->counters;

    counters.cache_entries = dns_cache_entries(resolver->cache);
    counters.cache_octets = dns_cache_octets(resolver->cache);
    return counters;
}
