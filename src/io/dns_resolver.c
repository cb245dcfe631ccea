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
 * From a question to its answer, in the order it happens:
 *
 *   1 find_known     what the cache knows goes into the facts at once; for the rest ...
 *   2 dns_asker_ask  ... a query is joined, or made and put into the asker's line
 *   3 send_waiting   queries go out: askers take turns, SHARE of each and WINDOW in all at a time
 *   4 on_answer      one answer: into the cache and into the facts of all who wait for it
 *   5 on_turn        later, never from inside another call: tells the askers, repairs the
 *                    channel, fills the window again
 *
 * A look-up is an asker that speaks up only when nothing is open.
 */

enum {
    WINDOW = 100, /* more at once overruns the socket's buffer (docs/decisions/c-ares.md) */
    /* In one asker's name: a stranger's names may lead to servers that never answer, and each of
     * those questions keeps its place for six seconds. */
    SHARE = 24,
    CACHE_OCTETS = 8 * 1024 * 1024,
    EDNS_RECORD_OCTETS = 11,
    ID_POOL = 64,
};

/* A question that was asked or is about to be. */
struct dns_query {
    struct list link;        /* in resolver->flying or asker->line */
    struct list share;       /* flying: in asker->flying */
    struct dns_asker *asker; /* in whose name; NULL: flying, and the asker is gone */
    struct list waiters;
    struct dns_resolver *resolver;
    struct dns_cache_key key;
    uint16_t type;
    uint16_t id;
    bool is_flying;
    bool without_edns; /* the server did not understand it: asked once more without */
};

/* An asker that waits for a query. */
struct waiter {
    struct list link; /* in query->waiters */
    struct list mine; /* in asker->waiters */
    struct dns_asker *asker;
    struct dns_query *query;
    uint64_t until_ms;
};

struct dns_asker {
    struct list ring; /* in resolver->ring: something is in line and may go out */
    struct list news; /* in resolver->news: there are answers the owner was not told of */
    struct dns_resolver *resolver;
    struct dns_facts *facts; /* NULL: between evaluations */
    struct list waiters;
    size_t open;      /* waiters: the first ones of what the facts want */
    struct list line; /* queries not sent yet */
    struct list flying;
    size_t flying_count;
    struct loop_timer timer;
    uint64_t timer_ms; /* what it is set to; UINT64_MAX: off */
    void (*on_answers)(void *context);
    void *context;
};

struct dns_lookup {
    struct dns_asker asker;
    void (*on_done)(void *context);
    void *context;
};

struct dns_resolver {
    struct loop_owned owned;
    struct event_loop *loop;
    struct ip_endpoint *servers;
    size_t server_count;
    struct dns_channel *channel;
    struct dns_channel *retired; /* lost EDNS; ends when its last answer is in. Or NULL */
    struct dns_cache *cache;
    struct hash_table *queries; /* by key: in line and flying */
    struct list flying;
    struct list ring; /* askers, by turns */
    struct list news;
    struct loop_task turn;
    struct arena *arena; /* for one answer */
    struct strbuf packet;
    uint16_t ids[ID_POOL];
    size_t ids_left;
    size_t askers;
    bool has_lost_edns;
    bool is_ending;
    struct dns_resolver_counters counters;
    void (*on_answer)(void *context, struct bytes name, uint16_t type,
                      const struct dns_answer *answer); /* or NULL */
    void *on_answer_context;
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

/* Something of the asker's line may go out when its turn comes. */
static void join_ring(struct dns_asker *asker)
{
    if (!list_is_empty(&asker->line) && asker->flying_count < SHARE &&
        list_is_empty(&asker->ring)) {
        list_append(&asker->resolver->ring, &asker->ring);
    }
}

/* The query is in no list. */
static void stand_in_line(struct dns_query *query, struct dns_asker *asker)
{
    query->asker = asker;
    list_append(&asker->line, &query->link);
    join_ring(asker);
    asker->resolver->counters.waiting++;
}

static void leave_line(struct dns_query *query)
{
    list_remove(&query->link);
    query->resolver->counters.waiting--;
    if (list_is_empty(&query->asker->line)) {
        list_remove(&query->asker->ring);
    }
}

static struct dns_query *new_query(struct dns_asker *asker, const struct dns_cache_key *key,
                                   uint16_t type)
{
    struct dns_query *query = memory_zero(sizeof *query);

    query->resolver = asker->resolver;
    query->key = *key;
    query->type = type;
    list_init(&query->share);
    list_init(&query->waiters);
    (void)hash_table_put(asker->resolver->queries, bytes_of(query->key.octets, query->key.len),
                         query);
    stand_in_line(query, asker);
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
    query->is_flying = true;
    write_packet(query, &resolver->packet);
    list_append(&resolver->flying, &query->link);
    list_append(&query->asker->flying, &query->share);
    query->asker->flying_count++;
    resolver->counters.in_flight++;
    resolver->counters.asked++;
    dns_channel_send(resolver->channel, strbuf_bytes(&resolver->packet), query);
    /* The query may be gone: what fails at once is answered from inside. */
}

static void send_waiting(struct dns_resolver *resolver)
{
    while (resolver->counters.in_flight < WINDOW && !list_is_empty(&resolver->ring)) {
        struct dns_asker *asker = list_owner(resolver->ring.next, struct dns_asker, ring);
        struct dns_query *query = list_owner(asker->line.next, struct dns_query, link);

        list_remove(&asker->ring);
        leave_line(query);
        if (list_is_empty(&query->waiters)) {
            free_query(query); /* everybody has gone in the meantime */
        } else {
            send_query(query);
        }
        join_ring(asker);
    }
}

/* Its answer has come: the next of the same asker may go out. */
static void land_query(struct dns_query *query)
{
    list_remove(&query->link);
    list_remove(&query->share);
    query->is_flying = false;
    query->resolver->counters.in_flight--;
    if (query->asker != NULL) {
        query->asker->flying_count--;
        join_ring(query->asker);
    }
}

/* ---- answers ---- */

static void tell_later(struct dns_asker *asker)
{
    if (list_is_empty(&asker->news)) {
        list_append(&asker->resolver->news, &asker->news);
    }
    schedule_turn(asker->resolver);
}

static void drop_waiter(struct waiter *waiter)
{
    list_remove(&waiter->link);
    list_remove(&waiter->mine);
    waiter->asker->open--;
    free(waiter);
}

static void settle_waiter(struct waiter *waiter, const struct dns_answer *answer)
{
    struct dns_asker *asker = waiter->asker;

    dns_facts_put(asker->facts, name_of(waiter->query), waiter->query->type, answer);
    drop_waiter(waiter);
    if (asker->open == 0) {
        loop_timer_stop(&asker->timer);
        asker->timer_ms = UINT64_MAX;
    }
    tell_later(asker);
}

static void settle_query(struct dns_query *query, const struct dns_answer *answer)
{
    struct dns_resolver *resolver = query->resolver;

    if (answer->status == DNS_TEMPFAIL) {
        resolver->counters.failed++;
    } else {
        resolver->counters.answered++;
    }
    if (resolver->on_answer != NULL) {
        resolver->on_answer(resolver->on_answer_context, name_of(query), query->type, answer);
    }
    dns_cache_put(resolver->cache, &query->key, event_loop_now_ms(resolver->loop), answer);
    while (!list_is_empty(&query->waiters)) {
        settle_waiter(list_owner(query->waiters.next, struct waiter, link), answer);
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
    if (list_is_empty(&query->waiters) || query->without_edns || answer->why == NULL ||
        strcmp(answer->why, "formerr") != 0) {
        return false;
    }
    query->without_edns = true;
    stand_in_line(query, list_owner(query->waiters.next, struct waiter, link)->asker);
    return true;
}

static void on_answer(void *context, struct bytes message, const char *why)
{
    struct dns_query *query = context;
    struct dns_resolver *resolver = query->resolver;
    struct dns_answer answer = {.status = DNS_TEMPFAIL, .why = why};

    land_query(query);
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
    if (!list_is_empty(&resolver->ring) || resolver->retired != NULL) {
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
    struct list news;

    list_init(&news);
    while (!list_is_empty(&resolver->news)) {
        struct list *first = resolver->news.next;

        list_remove(first);
        list_append(&news, first);
    }
    while (!list_is_empty(&news)) {
        struct dns_asker *asker = list_owner(news.next, struct dns_asker, news);

        list_remove(&asker->news);
        asker->on_answers(asker->context);
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

/* ---- askers ---- */

static bool is_special_name(struct bytes name)
{
    /* RFC 7686 §2: must not be looked up in the DNS. */
    return bytes_equal(name, BYTES("onion")) || bytes_ends_with_nocase(name, BYTES(".onion"));
}

static bool find_known(struct dns_resolver *resolver, struct bytes name,
                       const struct dns_cache_key *key, struct dns_answer *answer)
{
    if (dns_cache_get(resolver->cache, key, event_loop_now_ms(resolver->loop), answer)) {
        resolver->counters.cache_hits++;
        return true;
    }
    if (is_special_name(name)) {
        *answer = (struct dns_answer){.status = DNS_NXDOMAIN, .ttl = DNS_TTL_MAX};
        return true;
    }
    return false;
}

/* The source of an evaluation's facts. */
static bool answer_from_cache(void *context, struct bytes name, uint16_t type,
                              struct dns_answer *answer)
{
    struct dns_asker *asker = context;
    struct dns_cache_key key;

    dns_cache_key(name, type, &key);
    return find_known(asker->resolver, name, &key, answer);
}

static void on_deadline(void *context);

static void init_asker(struct dns_asker *asker, struct dns_resolver *resolver,
                       void (*on_answers)(void *context), void *context)
{
    *asker = (struct dns_asker){.resolver = resolver,
                                .on_answers = on_answers,
                                .context = context,
                                .timer_ms = UINT64_MAX};
    list_init(&asker->ring);
    list_init(&asker->news);
    list_init(&asker->waiters);
    list_init(&asker->line);
    list_init(&asker->flying);
    loop_timer_init(&asker->timer, resolver->loop, on_deadline, asker);
    resolver->askers++;
}

/* Queries that others wait for go into their lines. */
static void empty_line(struct dns_asker *asker)
{
    while (!list_is_empty(&asker->line)) {
        struct dns_query *query = list_owner(asker->line.next, struct dns_query, link);

        leave_line(query);
        if (list_is_empty(&query->waiters)) {
            free_query(query);
        } else {
            stand_in_line(query, list_owner(query->waiters.next, struct waiter, link)->asker);
        }
    }
}

static void clear_asker(struct dns_asker *asker)
{
    dns_asker_end(asker);
    while (!list_is_empty(&asker->flying)) {
        struct dns_query *query = list_owner(asker->flying.next, struct dns_query, share);

        list_remove(&query->share);
        query->asker = NULL;
    }
    loop_timer_clear(&asker->timer);
    asker->resolver->askers--;
}

struct dns_asker *dns_asker_new(struct dns_resolver *resolver,
                                void (*on_answers)(void *context), void *context)
{
    struct dns_asker *asker = memory_alloc(sizeof *asker);

    init_asker(asker, resolver, on_answers, context);
    return asker;
}

void dns_asker_free(struct dns_asker **asker)
{
    if (*asker != NULL) {
        clear_asker(*asker);
        free(*asker);
        *asker = NULL;
    }
}

void dns_asker_begin(struct dns_asker *asker, struct dns_facts *facts)
{
    assert(asker->facts == NULL);
    asker->facts = facts;
    dns_facts_set_source(facts, answer_from_cache, asker);
}

void dns_asker_end(struct dns_asker *asker)
{
    if (asker == NULL || asker->facts == NULL) {
        return;
    }
    dns_facts_set_source(asker->facts, NULL, NULL);
    asker->facts = NULL;
    while (!list_is_empty(&asker->waiters)) {
        drop_waiter(list_owner(asker->waiters.next, struct waiter, mine));
    }
    list_remove(&asker->news);
    empty_line(asker);
    loop_timer_stop(&asker->timer);
    asker->timer_ms = UINT64_MAX;
}

size_t dns_asker_open(const struct dns_asker *asker)
{
    return asker->open;
}

static void set_deadline(struct dns_asker *asker, uint64_t until_ms)
{
    uint64_t now_ms = event_loop_now_ms(asker->resolver->loop);

    if (until_ms < asker->timer_ms) {
        asker->timer_ms = until_ms;
        loop_timer_set(&asker->timer, until_ms > now_ms ? until_ms - now_ms : 0);
    }
}

static void on_deadline(void *context)
{
    static const struct dns_answer too_late = {.status = DNS_TEMPFAIL, .why = "timeout"};
    struct dns_asker *asker = context;
    uint64_t now_ms = event_loop_now_ms(asker->resolver->loop);
    struct list *next;

    asker->timer_ms = UINT64_MAX;
    for (struct list *at = asker->waiters.next; at != &asker->waiters; at = next) {
        struct waiter *waiter = list_owner(at, struct waiter, mine);

        next = at->next;
        if (waiter->until_ms <= now_ms) {
            settle_waiter(waiter, &too_late);
        } else {
            set_deadline(asker, waiter->until_ms);
        }
    }
}

/* What stands in the line of somebody who has used up his share need not wait for him. */
static void take_over(struct dns_asker *asker, struct dns_query *query)
{
    if (!query->is_flying && query->asker->flying_count >= SHARE &&
        asker->flying_count < SHARE) {
        leave_line(query);
        stand_in_line(query, asker);
    }
}

static void wait_for(struct dns_asker *asker, uint16_t type, const struct dns_cache_key *key,
                     uint64_t until_ms)
{
    struct dns_resolver *resolver = asker->resolver;
    struct waiter *waiter = memory_alloc(sizeof *waiter);
    struct dns_query *query =
        hash_table_get(resolver->queries, bytes_of(key->octets, key->len));

    if (query != NULL) {
        resolver->counters.merged++;
        take_over(asker, query);
    } else {
        query = new_query(asker, key, type);
    }
    *waiter = (struct waiter){.asker = asker, .query = query, .until_ms = until_ms};
    list_append(&query->waiters, &waiter->link);
    list_append(&asker->waiters, &waiter->mine);
    asker->open++;
    set_deadline(asker, until_ms);
}

/* Known, forbidden to ask, or too late. */
static bool answer_now(struct dns_asker *asker, const struct dns_question *question,
                       const struct dns_cache_key *key, uint64_t deadline_ms,
                       struct dns_answer *answer)
{
    if (find_known(asker->resolver, question->name, key, answer)) {
        return true;
    }
    *answer = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "timeout"};
    return deadline_ms <= event_loop_now_ms(asker->resolver->loop);
}

/* What is open already stands in front of what the facts want: an answer takes its question off. */
bool dns_asker_ask(struct dns_asker *asker, uint64_t deadline_ms)
{
    size_t open_before = asker->open, count;
    bool is_more_known = false;

    for (;;) {
        const struct dns_question *wanted = dns_facts_wanted(asker->facts, &count);
        struct dns_cache_key key;
        struct dns_answer answer;

        if (asker->open >= count) {
            break;
        }
        wanted += asker->open;
        dns_cache_key(wanted->name, wanted->type, &key);
        if (answer_now(asker, wanted, &key, deadline_ms, &answer)) {
            dns_facts_put(asker->facts, wanted->name, wanted->type, &answer);
            is_more_known = true;
        } else {
            wait_for(asker, wanted->type, &key, deadline_ms);
        }
    }
    if (asker->open > open_before) {
        send_waiting(asker->resolver);
    }
    return is_more_known;
}

/* ---- look-ups ---- */

static void on_lookup_answers(void *context)
{
    struct dns_lookup *lookup = context;
    void (*on_done)(void *context) = lookup->on_done;
    void *done_context = lookup->context;

    if (lookup->asker.open == 0) {
        clear_asker(&lookup->asker);
        free(lookup);
        on_done(done_context);
    }
}

struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context)
{
    struct dns_lookup *lookup = memory_alloc(sizeof *lookup);

    lookup->on_done = on_done;
    lookup->context = context;
    init_asker(&lookup->asker, resolver, on_lookup_answers, lookup);
    dns_asker_begin(&lookup->asker, facts);
    (void)dns_asker_ask(&lookup->asker, deadline_ms);
    if (lookup->asker.open == 0) {
        tell_later(&lookup->asker);
    }
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup **lookup)
{
    if (*lookup != NULL) {
        clear_asker(&(*lookup)->asker);
        free(*lookup);
        *lookup = NULL;
    }
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
    list_init(&resolver->flying);
    list_init(&resolver->ring);
    list_init(&resolver->news);
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
    assert(ending->askers == 0);
    *resolver = NULL;
    ending->is_ending = true;
    dns_channel_free(&ending->retired);
    dns_channel_free(&ending->channel);
    hash_table_free(&ending->queries);
    dns_cache_free(&ending->cache);
    arena_free(&ending->arena);
    strbuf_clear(&ending->packet);
    free(ending->servers);
    event_loop_discard(ending->loop, &ending->owned); /* the turn may still be pending */
}

void dns_resolver_watch(struct dns_resolver *resolver,
                        void (*take)(void *context, struct bytes name, uint16_t type,
                                     const struct dns_answer *answer),
                        void *context)
{
    resolver->on_answer = take;
    resolver->on_answer_context = context;
}

struct dns_resolver_counters dns_resolver_count(const struct dns_resolver *resolver)
{
    struct dns_resolver_counters counters = resolver->counters;

    counters.cache_entries = dns_cache_entries(resolver->cache);
    counters.cache_octets = dns_cache_octets(resolver->cache);
    return counters;
}
