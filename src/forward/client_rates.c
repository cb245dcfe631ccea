#include "forward/client_rates.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/rate.h"

#include <assert.h>
#include <stdlib.h>

enum { MINUTE_MS = 60000, DOINGS = 3, SPARED = 8 };

/* Clients, and what they are part of. */
enum width { NARROW, WIDE, WIDTHS };

/* Octets only: it is hashed as it lies in memory. */
struct client_key {
    uint8_t family;
    uint8_t width;
    uint8_t octets[8];
};

struct client_row {
    struct client_key key;
    struct list node;          /* while nobody is there: among the idle ones */
    struct client_row *around; /* of a client: its neighbourhood */
    size_t sessions;           /* of a neighbourhood: those of all its clients */
    struct rate rates[DOINGS];
    uint64_t unknown, bad, accepted; /* recipients, halved by time */
    uint64_t halved_ms;
    uint64_t penalty_until_ms;
};

struct client_rates {
    struct hash_table *rows;
    struct list idle[WIDTHS]; /* longest first */
    size_t counts[WIDTHS];
    size_t capacity;
};

bool client_limits_exempt(const struct client_limits *limits, const struct ip_address *address)
{
    static const struct ip_address own[] = {
        {IP_V4, {127, 0, 0, 1}},
        {IP_V6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
    };

    for (size_t i = 0; i < limits->exempt_count; i++) {
        if (ip_network_contains(&limits->exempt[i], address)) {
            return true;
        }
    }
    return ip_address_equal(address, &own[0]) || ip_address_equal(address, &own[1]);
}

struct client_rates *client_rates_new(struct siphash_key key, size_t capacity)
{
    struct client_rates *rates = memory_zero(sizeof *rates);

    rates->rows = hash_table_new(key);
    rates->capacity = capacity;
    list_init(&rates->idle[NARROW]);
    list_init(&rates->idle[WIDE]);
    return rates;
}

static struct client_key key_of(const struct ip_address *address, enum width width)
{
    static const uint8_t lengths[WIDTHS][2] = {{4, 8}, {3, 6}};
    struct client_key key = {.family = (uint8_t)address->family, .width = (uint8_t)width};

    memcpy(key.octets, address->octets, lengths[width][address->family == IP_V6]);
    return key;
}

static struct bytes key_bytes(const struct client_key *key)
{
    return bytes_of(key, sizeof *key);
}

uint64_t client_rates_hash(const struct siphash_key *key, const struct ip_address *address)
{
    struct client_key wide = key_of(address, WIDE);

    return siphash(key, key_bytes(&wide));
}

static void forget(struct client_rates *rates, struct client_row *row)
{
    rates->counts[row->key.width]--;
    hash_table_remove(rates->rows, key_bytes(&row->key));
    list_remove(&row->node);
    free(row);
}

/* One of those that have been idle longest; if some of them have no penalty, of these. */
static void make_room(struct client_rates *rates, enum width width, uint64_t now_ms)
{
    struct list *idle = &rates->idle[width];
    unsigned seen = 0;

    if (rates->counts[width] < rates->capacity || list_is_empty(idle)) {
        return;
    }
    for (struct list *node = idle->next; node != idle && seen < SPARED;
         node = node->next, seen++) {
        struct client_row *row = list_owner(node, struct client_row, node);
        if (row->penalty_until_ms <= now_ms) {
            forget(rates, row);
            return;
        }
    }
    forget(rates, list_owner(idle->next, struct client_row, node));
}

static struct client_row *find_row(struct client_rates *rates, const struct ip_address *address,
                                   enum width width, uint64_t now_ms)
{
    struct client_key key = key_of(address, width);
    struct client_row *row = hash_table_get(rates->rows, key_bytes(&key));

    if (row != NULL) {
        return row;
    }
    make_room(rates, width, now_ms);
    row = memory_zero(sizeof *row);
    row->key = key;
    row->halved_ms = now_ms;
    list_append(&rates->idle[width], &row->node);
    hash_table_put(rates->rows, key_bytes(&row->key), row);
    rates->counts[width]++;
    return row;
}

static void pin(struct client_row *row)
{
    if (row->sessions++ == 0) {
        list_remove(&row->node);
    }
}

static void unpin(struct client_rates *rates, struct client_row *row)
{
    assert(row->sessions > 0);
    if (--row->sessions == 0) {
        list_append(&rates->idle[row->key.width], &row->node);
    }
}

/* Asked again and again, it is not idle. */
static void touch(struct client_rates *rates, struct client_row *row)
{
    if (row->sessions == 0) {
        list_remove(&row->node);
        list_append(&rates->idle[row->key.width], &row->node);
    }
}

static uint64_t allowance(const struct client_limits *limits, enum client_doing doing)
{
    switch (doing) {
    case CLIENT_CONNECTS:
        return limits->connections;
    case CLIENT_SENDS_MESSAGE:
        return limits->messages;
    case CLIENT_NAMES_RECIPIENT:
        return limits->recipients;
    }
    abort();
}

/* False: nothing was taken. */
static bool spend(struct client_row *row, const struct client_limits *limits,
                  enum client_doing doing, uint64_t now_ms)
{
    struct rate_limit limit = {allowance(limits, doing), MINUTE_MS};
    struct rate_limit wide = {limit.count * CLIENT_WIDE, MINUTE_MS};
    struct rate *own = &row->rates[doing], *around = &row->around->rates[doing];
    bool is_shared = row->key.family == IP_V6;

    if (!rate_has(own, limit, 1, now_ms) || (is_shared && !rate_has(around, wide, 1, now_ms))) {
        return false;
    }
    rate_take(own, limit, 1, now_ms);
    if (is_shared) {
        rate_take(around, wide, 1, now_ms);
    }
    return true;
}

static bool has_too_many_sessions(const struct client_row *row,
                                  const struct client_limits *limits)
{
    if (limits->sessions == 0) {
        return false;
    }
    return row->sessions >= limits->sessions ||
           (row->key.family == IP_V6 &&
            row->around->sessions >= limits->sessions * CLIENT_WIDE);
}

enum client_verdict client_rates_enter(struct client_rates *rates,
                                       const struct ip_address *address,
                                       const struct client_limits *limits, uint64_t now_ms,
                                       struct client_row **row)
{
    struct client_row *around = find_row(rates, address, WIDE, now_ms);
    struct client_row *own = find_row(rates, address, NARROW, now_ms);
    bool is_exempt = client_limits_exempt(limits, address);

    own->around = around; /* may be another one now */
    touch(rates, around);
    touch(rates, own);
    if (!is_exempt && limits->penalty_ms > 0 &&
        (own->penalty_until_ms > now_ms || around->penalty_until_ms > now_ms)) {
        return CLIENT_PENALTY;
    }
    if (has_too_many_sessions(own, limits)) {
        return CLIENT_SESSIONS;
    }
    if (!is_exempt && !spend(own, limits, CLIENT_CONNECTS, now_ms)) {
        return CLIENT_CONNECTION_RATE;
    }
    pin(around);
    pin(own);
    *row = own;
    return CLIENT_WELCOME;
}

void client_rates_leave(struct client_rates *rates, struct client_row *row)
{
    unpin(rates, row->around);
    unpin(rates, row);
}

enum client_verdict client_rates_spend(struct client_row *row,
                                       const struct client_limits *limits,
                                       enum client_doing doing, uint64_t now_ms)
{
    static const enum client_verdict verdicts[DOINGS] = {
        CLIENT_CONNECTION_RATE, CLIENT_MESSAGE_RATE, CLIENT_RECIPIENT_RATE};

    return spend(row, limits, doing, now_ms) ? CLIENT_WELCOME : verdicts[doing];
}

static void grow_older(struct client_row *row, uint64_t now_ms)
{
    /* Loops do not agree to the millisecond on what time it is. */
    uint64_t halves =
        now_ms > row->halved_ms ? (now_ms - row->halved_ms) / CLIENT_MEMORY_MS : 0;

    if (halves > 0) {
        unsigned shift = halves > 63 ? 63 : (unsigned)halves;
        row->unknown >>= shift;
        row->bad >>= shift;
        row->accepted >>= shift;
        row->halved_ms += halves * CLIENT_MEMORY_MS;
    }
}

/* Of a bad signature one in ten good recipients makes up for: forging them is no accident. */
static bool is_too_much(struct client_row *row, const struct client_limits *limits,
                        enum client_offence offence)
{
    switch (offence) {
    case CLIENT_UNKNOWN_RECIPIENT:
        row->unknown++;
        return limits->unknown_recipients > 0 &&
               row->unknown >
                   limits->unknown_recipients * CLIENT_UNKNOWN_SESSIONS + row->accepted;
    case CLIENT_BAD_SIGNATURE:
        row->bad++;
        return limits->bad_signatures > 0 && row->bad >= limits->bad_signatures &&
               row->bad > row->accepted / 10;
    case CLIENT_NO_OFFENCE:
        return false;
    }
    return false;
}

bool client_rates_blame(struct client_row *row, const struct client_limits *limits,
                        enum client_offence offence, uint64_t now_ms)
{
    struct client_row *punished = offence == CLIENT_BAD_SIGNATURE ? row->around : row;

    grow_older(row, now_ms);
    if (!is_too_much(row, limits, offence) || limits->penalty_ms == 0) {
        return false;
    }
    row->unknown = row->bad = 0; /* afterwards it begins anew */
    punished->penalty_until_ms = now_ms + limits->penalty_ms;
    return true;
}

void client_rates_praise(struct client_row *row, size_t recipients, uint64_t now_ms)
{
    grow_older(row, now_ms);
    row->accepted += recipients;
}

static const struct client_row *find_known(const struct client_rates *rates,
                                           const struct ip_address *address, enum width width)
{
    static const struct client_row nobody;
    struct client_key key = key_of(address, width);
    const struct client_row *row = hash_table_get(rates->rows, key_bytes(&key));

    return row != NULL ? row : &nobody;
}

static uint64_t time_left(uint64_t until_ms, uint64_t now_ms)
{
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

struct client_standing client_rates_look(const struct client_rates *rates,
                                         const struct ip_address *address,
                                         const struct client_limits *limits, uint64_t now_ms)
{
    const struct client_row *own = find_known(rates, address, NARROW);
    const struct client_row *around = find_known(rates, address, WIDE);
    struct client_row aged = *own;
    uint64_t penalty_ms = time_left(own->penalty_until_ms, now_ms);
    uint64_t penalty_around_ms = time_left(around->penalty_until_ms, now_ms);
    struct client_standing standing = {.is_exempt = client_limits_exempt(limits, address),
                                       .sessions = own->sessions};

    grow_older(&aged, now_ms);
    standing.unknown = aged.unknown;
    standing.bad = aged.bad;
    standing.accepted = aged.accepted;
    if (!standing.is_exempt && limits->penalty_ms > 0) {
        standing.penalty_ms = penalty_ms > penalty_around_ms ? penalty_ms : penalty_around_ms;
    }
    for (int doing = 0; doing < DOINGS; doing++) {
        struct rate_limit limit = {allowance(limits, (enum client_doing)doing), MINUTE_MS};
        struct rate_limit wide = {limit.count * CLIENT_WIDE, MINUTE_MS};

        standing.may[doing] =
            standing.is_exempt ||
            (rate_has(&own->rates[doing], limit, 1, now_ms) &&
             (address->family != IP_V6 || rate_has(&around->rates[doing], wide, 1, now_ms)));
    }
    return standing;
}

static void add_counts(struct strbuf *out, const struct client_standing *standing)
{
    if (standing->sessions > 0) {
        strbuf_addf(out, "%zu connection(s) of it are open\n", standing->sessions);
    }
    if (standing->unknown > 0) {
        strbuf_addf(out, "of late it named %llu recipient(s) that do not exist\n",
                    (unsigned long long)standing->unknown);
    }
    if (standing->bad > 0) {
        strbuf_addf(out, "of late it named %llu return address(es) that were not made here\n",
                    (unsigned long long)standing->bad);
    }
    if (standing->accepted > 0) {
        strbuf_addf(out, "of late mail for %llu recipient(s) was taken from it\n",
                    (unsigned long long)standing->accepted);
    }
}

void client_standing_add(struct strbuf *out, const struct client_standing *standing)
{
    static const char *const used_up[DOINGS] = {
        "it has connected as often as it may this minute\n",
        "it has sent as many messages as it may this minute\n",
        "it has named as many recipients as it may this minute\n"};
    size_t before = out->len;

    if (standing->is_exempt) {
        strbuf_add_text(out, "no rate is for it: a relay that is trusted, or this machine\n");
    }
    if (standing->penalty_ms > 0) {
        strbuf_addf(
            out,
            "it is kept out for another %llu s: too many addresses that do not exist, or "
            "that were not made here\n",
            (unsigned long long)((standing->penalty_ms + 999) / 1000));
    }
    for (int doing = 0; doing < DOINGS; doing++) {
        strbuf_add_text(out, standing->may[doing] ? "" : used_up[doing]);
    }
    add_counts(out, standing);
    if (out->len == before) {
        strbuf_add_text(out, "nothing is remembered of it\n");
    }
}

size_t client_rates_count(const struct client_rates *rates)
{
    return rates->counts[NARROW] + rates->counts[WIDE];
}

static struct decision defer(unsigned code, const char *enhanced, struct bytes text,
                             const char *why)
{
    return (struct decision){DECISION_DEFER, code, enhanced, text, why};
}

struct decision client_rates_decision(enum client_verdict verdict)
{
    switch (verdict) {
    case CLIENT_WELCOME:
        break;
    case CLIENT_PENALTY:
        return defer(421, "4.7.0",
                     BYTES("your network has abused this server, try again later"), "penalty");
    case CLIENT_SESSIONS:
        return defer(421, "4.7.0",
                     BYTES("too many connections from your address, try again later"),
                     "per-client");
    case CLIENT_CONNECTION_RATE:
        return defer(421, "4.7.0", BYTES("you connect too often, try again later"),
                     "connection-rate");
    case CLIENT_MESSAGE_RATE:
        return defer(451, "4.7.1", BYTES("too many messages a minute, try again later"),
                     "message-rate");
    case CLIENT_RECIPIENT_RATE:
        return defer(451, "4.7.1", BYTES("too many recipients a minute, try again later"),
                     "recipient-rate");
    }
    return (struct decision){.disposition = DECISION_ACCEPT};
}

struct decision client_rates_crowd_decision(enum client_doing doing, bool is_listener)
{
    if (doing == CLIENT_SENDS_MESSAGE) {
        return defer(451, "4.3.2", BYTES("too much mail in all this minute, try again later"),
                     is_listener ? "listener-message-rate" : "total-message-rate");
    }
    return defer(451, "4.3.2", BYTES("too many recipients in all this minute, try again later"),
                 is_listener ? "listener-recipient-rate" : "total-recipient-rate");
}

void client_rates_free(struct client_rates **rates)
{
    struct client_row *row;
    size_t position = 0;

    if (*rates == NULL) {
        return;
    }
    while ((row = hash_table_next((*rates)->rows, &position)) != NULL) {
        free(row); /* nobody looks at its key any more */
    }
    hash_table_free(&(*rates)->rows);
    free(*rates);
    *rates = NULL;
}
