#include "mail/queue_ages.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "mail/queue_listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_WIDTH = 32, COLUMN_WIDTH = 8 };

struct kept_row {
    struct queue_ages_row row;
    uint64_t total;
    char *name;
};

struct queue_ages {
    size_t limit;
    struct kept_row *rows; /* up to twice the limit, then the smaller half goes */
    size_t count;
    size_t left_out;
    struct queue_ages_row sum;
};

struct queue_ages *queue_ages_new(size_t limit)
{
    struct queue_ages *ages = memory_zero(sizeof *ages);

    ages->limit = limit == 0 || limit > QUEUE_AGES_LIMIT ? QUEUE_AGES_LIMIT : limit;
    ages->rows = memory_zero(2 * ages->limit * sizeof *ages->rows);
    return ages;
}

static void cut(struct queue_ages *ages, size_t count)
{
    while (ages->count > count) {
        free(ages->rows[--ages->count].name);
        ages->left_out++;
    }
}

void queue_ages_free(struct queue_ages **ages)
{
    if (*ages != NULL) {
        cut(*ages, 0);
        free((*ages)->rows);
        free(*ages);
        *ages = NULL;
    }
}

static uint64_t total_of(const struct queue_ages_row *row)
{
    uint64_t total = row->held;

    for (size_t i = 0; i < QUEUE_AGES_BUCKETS; i++) {
        total += row->due[i];
    }
    return total;
}

/* The most first, then by name. */
static int compare(const void *a, const void *b)
{
    const struct kept_row *first = a, *second = b;

    if (first->total != second->total) {
        return first->total > second->total ? -1 : 1;
    }
    return bytes_compare(first->row.destination, second->row.destination);
}

static void keep_the_most(struct queue_ages *ages)
{
    qsort(ages->rows, ages->count, sizeof *ages->rows, compare);
    cut(ages, ages->limit);
}

void queue_ages_add(struct queue_ages *ages, const struct queue_ages_row *row)
{
    struct kept_row *kept;

    if (ages->count == 2 * ages->limit) {
        keep_the_most(ages);
    }
    kept = &ages->rows[ages->count++];
    *kept = (struct kept_row){.row = *row, .total = total_of(row)};
    kept->name = memory_alloc(row->destination.len + 1);
    if (row->destination.len > 0) {
        memcpy(kept->name, row->destination.data, row->destination.len);
    }
    kept->row.destination = bytes_of(kept->name, row->destination.len);
    ages->sum.held += row->held;
    for (size_t i = 0; i < QUEUE_AGES_BUCKETS; i++) {
        ages->sum.due[i] += row->due[i];
    }
}

bool queue_ages_get(struct queue_ages *ages, size_t index, struct queue_ages_row *row)
{
    if (index == 0) {
        keep_the_most(ages);
    }
    if (index >= ages->count || index >= ages->limit) {
        return false;
    }
    *row = ages->rows[index].row;
    return true;
}

void queue_ages_sum(const struct queue_ages *ages, struct queue_ages_row *row)
{
    *row = ages->sum;
}

static void add_cell(struct strbuf *out, const char *text)
{
    strbuf_addf(out, " %*s", COLUMN_WIDTH - 1, text);
}

static void add_number(struct strbuf *out, uint64_t number)
{
    strbuf_addf(out, " %*" PRIu64, COLUMN_WIDTH - 1, number);
}

static void add_header(struct strbuf *out)
{
    char minutes[20];

    strbuf_addf(out, "%-*s", NAME_WIDTH, "");
    add_cell(out, "T");
    for (size_t i = 0; i < QUEUE_AGES_BUCKETS - 1; i++) {
        snprintf(minutes, sizeof minutes, "%d", QUEUE_AGES_FIRST_MINUTES << i);
        add_cell(out, minutes);
    }
    snprintf(minutes, sizeof minutes, "%d+",
             QUEUE_AGES_FIRST_MINUTES << (QUEUE_AGES_BUCKETS - 2));
    add_cell(out, minutes);
    add_cell(out, "held");
    strbuf_add_char(out, '\n');
}

static void add_line(struct strbuf *out, const struct queue_ages_row *row)
{
    size_t start = out->len;

    utf8_add_printable(out, row->destination);
    while (out->len - start < NAME_WIDTH && !out->overflowed) {
        strbuf_add_char(out, ' ');
    }
    add_number(out, total_of(row));
    for (size_t i = 0; i < QUEUE_AGES_BUCKETS; i++) {
        add_number(out, row->due[i]);
    }
    add_number(out, row->held);
    strbuf_add_char(out, '\n');
}

static void add_object(struct strbuf *out, const struct kept_row *kept)
{
    strbuf_add_text(out, "{\"destination\":");
    json_text(out, NULL, kept->row.destination);
    strbuf_addf(out, ",\"total\":%" PRIu64 ",\"held\":%" PRIu64 ",\"due\":[", kept->total,
                kept->row.held);
    for (size_t i = 0; i < QUEUE_AGES_BUCKETS; i++) {
        strbuf_addf(out, "%s%" PRIu64, i == 0 ? "" : ",", kept->row.due[i]);
    }
    strbuf_add_text(out, "]}\n");
}

void queue_ages_print(struct queue_ages *ages, struct strbuf *out, bool is_json)
{
    keep_the_most(ages);
    if (!is_json && total_of(&ages->sum) == 0) {
        queue_listing_add_end(out, 0);
        return;
    }
    if (!is_json) {
        struct queue_ages_row sum = ages->sum;

        sum.destination = BYTES("TOTAL");
        add_header(out);
        add_line(out, &sum);
    }
    for (size_t i = 0; i < ages->count; i++) {
        if (is_json) {
            add_object(out, &ages->rows[i]);
        } else {
            add_line(out, &ages->rows[i].row);
        }
    }
    if (!is_json && ages->left_out > 0) {
        strbuf_addf(out, "and %zu more destinations\n", ages->left_out);
    }
}
