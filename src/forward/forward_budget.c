#include "forward/forward_budget.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/rate.h"

#include <stdlib.h>

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

struct budget_row {
    uint64_t id;
    struct list node;
    struct rate hourly, daily;
};

struct forward_budget {
    struct siphash_key key;
    struct hash_table *rows;
    struct list used; /* longest ago first */
    size_t capacity;
};

struct forward_budget *forward_budget_new(struct siphash_key key, size_t capacity)
{
    struct forward_budget *budget = memory_zero(sizeof *budget);

    budget->key = key;
    budget->rows = hash_table_new(key);
    budget->capacity = capacity;
    list_init(&budget->used);
    return budget;
}

static struct bytes id_bytes(const uint64_t *id)
{
    return bytes_of(id, sizeof *id);
}

static void forget_oldest(struct forward_budget *budget)
{
    struct budget_row *row = list_owner(budget->used.next, struct budget_row, node);

    hash_table_remove(budget->rows, id_bytes(&row->id));
    list_remove(&row->node);
    free(row);
}

void forward_budget_free(struct forward_budget **budget)
{
    if (*budget == NULL) {
        return;
    }
    while (!list_is_empty(&(*budget)->used)) {
        forget_oldest(*budget);
    }
    hash_table_free(&(*budget)->rows);
    free(*budget);
    *budget = NULL;
}

void forward_budget_add_mailbox_key(struct strbuf *key, struct bytes own_domain,
                                    struct bytes target_local, struct bytes target_domain,
                                    struct forward_limits limits)
{
    strbuf_add_text(key, "mailbox ");
    strbuf_add_u64(key, limits.hourly);
    strbuf_add_char(key, ' ');
    strbuf_add_u64(key, limits.daily);
    strbuf_add_char(key, ' ');
    strbuf_add(key, own_domain);
    strbuf_add_char(key, ' ');
    strbuf_add(key, target_local);
    strbuf_add_char(key, '@');
    strbuf_add(key, target_domain);
}

void forward_budget_add_destination_key(struct strbuf *key, struct bytes destination)
{
    strbuf_add_text(key, "destination ");
    strbuf_add(key, destination);
}

static struct budget_row *find(const struct forward_budget *budget, struct bytes key,
                               uint64_t *id)
{
    *id = siphash_nocase(&budget->key, key);
    return hash_table_get(budget->rows, id_bytes(id));
}

static struct rate_limit an_hour(struct forward_limits limits)
{
    return (struct rate_limit){limits.hourly, HOUR_MS};
}

static struct rate_limit a_day(struct forward_limits limits)
{
    return (struct rate_limit){limits.daily, DAY_MS};
}

bool forward_budget_has(const struct forward_budget *budget, struct bytes key,
                        struct forward_limits limits, uint64_t now_ms)
{
    uint64_t id;
    const struct budget_row *row = find(budget, key, &id);

    return row == NULL || (rate_has(&row->hourly, an_hour(limits), 1, now_ms) &&
                           rate_has(&row->daily, a_day(limits), 1, now_ms));
}

static struct budget_row *add_row(struct forward_budget *budget, uint64_t id)
{
    struct budget_row *row;

    if (hash_table_count(budget->rows) >= budget->capacity) {
        forget_oldest(budget);
    }
    row = memory_zero(sizeof *row);
    row->id = id;
    list_init(&row->node);
    hash_table_put(budget->rows, id_bytes(&row->id), row);
    return row;
}

void forward_budget_take(struct forward_budget *budget, struct bytes key,
                         struct forward_limits limits, uint64_t now_ms)
{
    uint64_t id;
    struct budget_row *row = find(budget, key, &id);

    if (row == NULL) {
        row = add_row(budget, id);
    }
    list_remove(&row->node);
    list_append(&budget->used, &row->node);
    rate_take(&row->hourly, an_hour(limits), 1, now_ms);
    rate_take(&row->daily, a_day(limits), 1, now_ms);
}

size_t forward_budget_count(const struct forward_budget *budget)
{
    return hash_table_count(budget->rows);
}

struct decision forward_budget_decision(bool is_destination)
{
    return (struct decision){
        .disposition = DECISION_DEFER,
        .code = 452,
        .enhanced = "4.7.1",
        .text = is_destination
                    ? BYTES("too much mail for where this address leads, try again later")
                    : BYTES("too much mail for this address, try again later"),
        .why = is_destination ? "destination-budget" : "forward-budget",
    };
}
