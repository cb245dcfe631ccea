/*
 * queue_ages - how many deliveries wait for which destination, and for how long: the table that
 * tells a slow queue from a broken destination.
 *
 * Use     queue_ages_add for each destination, in any order; then one of the prints. Of many
 *         destinations those with the most deliveries are kept (`limit`), all are counted.
 * Text    one line a destination, the most first, below a line of totals. The columns are ages in
 *         minutes, as in qshape.
 * JSON    one object a line, {"destination":...,"total":N,"held":N,"due":[...]}; "due" by the same
 *         ages. Totals are for whoever reads it.
 */
#ifndef MAIL_QUEUE_AGES_H
#define MAIL_QUEUE_AGES_H

#include "base/strbuf.h"

enum { QUEUE_AGES_BUCKETS = 10, QUEUE_AGES_FIRST_MINUTES = 5, QUEUE_AGES_LIMIT = 1000 };

struct queue_ages_row {
    struct bytes destination;
    uint64_t due[QUEUE_AGES_BUCKETS]; /* up to 5, 10, 20 ... 1280 minutes, and older */
    uint64_t held;
};

struct queue_ages;

struct queue_ages *queue_ages_new(size_t limit); /* 0: QUEUE_AGES_LIMIT */
void queue_ages_free(struct queue_ages **ages);  /* safe on NULL */
void queue_ages_add(struct queue_ages *ages, const struct queue_ages_row *row); /* copies */
/* The `index`th, the most first; false: there are no more. Good until the next one is added. */
bool queue_ages_get(struct queue_ages *ages, size_t index, struct queue_ages_row *row);
/* Of all, those that were not kept included; without a destination. */
void queue_ages_sum(const struct queue_ages *ages, struct queue_ages_row *row);
void queue_ages_print(struct queue_ages *ages, struct strbuf *out, bool is_json);

#endif
