#include "inbound/inbound_ledger.h"

#include "base/memory.h"
#include "io/entropy.h"
#include "io/lock.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS = 16, SHARD_CAPACITY = 2048, BUDGET_CAPACITY = 65536 };
enum { MINUTE_MS = 60000, HOUR_MS = 3600000 };

struct shard {
    struct lock lock;
    struct client_rates *rates;
    size_t sessions;
};

struct inbound_ledger {
    struct siphash_key key;
    struct shard shards[SHARDS];
    struct lock budget_lock;
    struct forward_budget *budget;
    _Atomic uint64_t noted[LEDGER_REFUSALS];
    struct ledger_crowd everybody;
    struct lock forged_lock;
    uint64_t forged, forged_since_ms;
};

struct inbound_ledger *inbound_ledger_new(void)
{
    struct inbound_ledger *ledger = memory_zero(sizeof *ledger);

    ledger->key = entropy_hash_key();
    lock_init(&ledger->budget_lock);
    lock_init(&ledger->forged_lock);
    ledger->budget = forward_budget_new(entropy_hash_key(), BUDGET_CAPACITY);
    for (size_t i = 0; i < SHARDS; i++) {
        lock_init(&ledger->shards[i].lock);
        ledger->shards[i].rates = client_rates_new(entropy_hash_key(), SHARD_CAPACITY);
    }
    return ledger;
}

void inbound_ledger_free(struct inbound_ledger **ledger)
{
    if (*ledger == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        client_rates_free(&(*ledger)->shards[i].rates);
        lock_clear(&(*ledger)->shards[i].lock);
    }
    forward_budget_free(&(*ledger)->budget);
    lock_clear(&(*ledger)->budget_lock);
    lock_clear(&(*ledger)->forged_lock);
    free(*ledger);
    *ledger = NULL;
}

static void note_verdict(struct inbound_ledger *ledger, enum client_verdict verdict)
{
    switch (verdict) {
    case CLIENT_WELCOME:
        return;
    case CLIENT_PENALTY:
        inbound_ledger_note(ledger, LEDGER_PENALTY);
        return;
    case CLIENT_SESSIONS:
        inbound_ledger_note(ledger, LEDGER_SESSIONS);
        return;
    case CLIENT_CONNECTION_RATE:
        inbound_ledger_note(ledger, LEDGER_CONNECTION_RATE);
        return;
    case CLIENT_MESSAGE_RATE:
        inbound_ledger_note(ledger, LEDGER_MESSAGE_RATE);
        return;
    case CLIENT_RECIPIENT_RATE:
        inbound_ledger_note(ledger, LEDGER_RECIPIENT_RATE);
        return;
    }
}

enum client_verdict inbound_ledger_enter(struct inbound_ledger *ledger,
                                         const struct ip_address *address,
                                         const struct client_limits *limits, uint64_t now_ms,
                                         struct ledger_stay *stay)
{
    size_t index = (size_t)(client_rates_hash(&ledger->key, address) % SHARDS);
    struct shard *shard = &ledger->shards[index];
    struct client_row *row = NULL;
    enum client_verdict verdict;

    lock_take(&shard->lock);
    verdict = client_rates_enter(shard->rates, address, limits, now_ms, &row);
    shard->sessions += verdict == CLIENT_WELCOME;
    lock_give(&shard->lock);
    *stay = (struct ledger_stay){ledger, index, row, client_limits_exempt(limits, address)};
    note_verdict(ledger, verdict);
    return verdict;
}

struct client_standing inbound_ledger_look(struct inbound_ledger *ledger,
                                           const struct ip_address *address,
                                           const struct client_limits *limits, uint64_t now_ms)
{
    size_t index = (size_t)(client_rates_hash(&ledger->key, address) % SHARDS);
    struct client_standing standing;

    lock_take(&ledger->shards[index].lock);
    standing = client_rates_look(ledger->shards[index].rates, address, limits, now_ms);
    lock_give(&ledger->shards[index].lock);
    return standing;
}

static struct shard *shard_of(const struct ledger_stay *stay)
{
    return &stay->ledger->shards[stay->shard];
}

void ledger_stay_end(struct ledger_stay *stay)
{
    if (stay->row == NULL) {
        return;
    }
    lock_take(&shard_of(stay)->lock);
    client_rates_leave(shard_of(stay)->rates, stay->row);
    shard_of(stay)->sessions--;
    lock_give(&shard_of(stay)->lock);
    stay->row = NULL;
}

static bool is_free(const struct ledger_stay *stay)
{
    return stay->row == NULL || stay->is_exempt;
}

static bool is_unlimited(const struct client_limits *limits, enum client_doing doing)
{
    return doing == CLIENT_SENDS_MESSAGE ? limits->messages == 0 : limits->recipients == 0;
}

enum client_verdict ledger_stay_spend(const struct ledger_stay *stay,
                                      const struct client_limits *limits,
                                      enum client_doing doing, uint64_t now_ms)
{
    enum client_verdict verdict;

    if (is_free(stay) || is_unlimited(limits, doing)) {
        return CLIENT_WELCOME;
    }
    lock_take(&shard_of(stay)->lock);
    verdict = client_rates_spend(stay->row, limits, doing, now_ms);
    lock_give(&shard_of(stay)->lock);
    note_verdict(stay->ledger, verdict);
    return verdict;
}

bool ledger_stay_blame(const struct ledger_stay *stay, const struct client_limits *limits,
                       enum client_offence offence, uint64_t now_ms)
{
    bool is_punished;

    if (is_free(stay)) {
        return false;
    }
    lock_take(&shard_of(stay)->lock);
    is_punished = client_rates_blame(stay->row, limits, offence, now_ms);
    lock_give(&shard_of(stay)->lock);
    return is_punished;
}

void ledger_stay_praise(const struct ledger_stay *stay, size_t recipients, uint64_t now_ms)
{
    if (is_free(stay)) {
        return;
    }
    lock_take(&shard_of(stay)->lock);
    client_rates_praise(stay->row, recipients, now_ms);
    lock_give(&shard_of(stay)->lock);
}

bool inbound_ledger_may_forward(struct inbound_ledger *ledger, struct bytes key,
                                struct forward_limits limits, uint64_t now_ms)
{
    bool has_room;

    lock_take(&ledger->budget_lock);
    has_room = forward_budget_has(ledger->budget, key, limits, now_ms);
    lock_give(&ledger->budget_lock);
    return has_room;
}

void inbound_ledger_forward(struct inbound_ledger *ledger, struct bytes key,
                            struct forward_limits limits, uint64_t now_ms)
{
    lock_take(&ledger->budget_lock);
    forward_budget_take(ledger->budget, key, limits, now_ms);
    lock_give(&ledger->budget_lock);
}

size_t inbound_ledger_sessions(struct inbound_ledger *ledger)
{
    size_t sessions = 0;

    for (size_t i = 0; i < SHARDS; i++) {
        lock_take(&ledger->shards[i].lock);
        sessions += ledger->shards[i].sessions;
        lock_give(&ledger->shards[i].lock);
    }
    return sessions;
}

size_t inbound_ledger_size(struct inbound_ledger *ledger)
{
    size_t size = 0;

    for (size_t i = 0; i < SHARDS; i++) {
        lock_take(&ledger->shards[i].lock);
        size += client_rates_count(ledger->shards[i].rates);
        lock_give(&ledger->shards[i].lock);
    }
    return size;
}

bool ledger_crowd_spend(struct ledger_crowd *crowd, const struct crowd_limits *limits,
                        enum client_doing doing, uint64_t now_ms)
{
    bool is_message = doing == CLIENT_SENDS_MESSAGE;
    struct rate_limit limit = {is_message ? limits->messages : limits->recipients, MINUTE_MS};

    return shared_rate_spend(is_message ? &crowd->messages : &crowd->recipients, limit, 1,
                             now_ms);
}

struct ledger_crowd *inbound_ledger_everybody(struct inbound_ledger *ledger)
{
    return &ledger->everybody;
}

bool inbound_ledger_forged(struct inbound_ledger *ledger, uint64_t now_ms)
{
    bool is_alarm;

    lock_take(&ledger->forged_lock);
    if (ledger->forged == 0 || now_ms >= ledger->forged_since_ms + HOUR_MS) {
        ledger->forged = 0;
        ledger->forged_since_ms = now_ms;
    }
    is_alarm = ++ledger->forged == LEDGER_FORGED_MOST + 1;
    lock_give(&ledger->forged_lock);
    return is_alarm;
}

void inbound_ledger_note(struct inbound_ledger *ledger, enum ledger_refusal refusal)
{
    atomic_fetch_add_explicit(&ledger->noted[refusal], 1, memory_order_relaxed);
}

uint64_t inbound_ledger_noted(const struct inbound_ledger *ledger, enum ledger_refusal refusal)
{
    return atomic_load_explicit(&ledger->noted[refusal], memory_order_relaxed);
}

const char *inbound_ledger_refusal_text(enum ledger_refusal refusal)
{
    switch (refusal) {
    case LEDGER_PENALTY:
        return "penalty";
    case LEDGER_SESSIONS:
        return "per-client";
    case LEDGER_CONNECTION_RATE:
        return "connection-rate";
    case LEDGER_MESSAGE_RATE:
        return "message-rate";
    case LEDGER_RECIPIENT_RATE:
        return "recipient-rate";
    case LEDGER_UNKNOWN_RECIPIENTS:
        return "unknown-recipients";
    case LEDGER_BAD_SIGNATURES:
        return "bad-signatures";
    case LEDGER_FORWARD_BUDGET:
        return "forward-budget";
    case LEDGER_DESTINATION_BUDGET:
        return "destination-budget";
    case LEDGER_REFUSED_THERE:
        return "recipient-refused-there";
    case LEDGER_UNVERIFIED:
        return "recipient-unverified";
    case LEDGER_REFUSALS:
        break;
    }
    abort();
}
