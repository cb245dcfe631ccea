#include "mail/queue_order.h"

#include "mail/message_id.h"

#include <stdlib.h>

enum { WORDS_LIMIT = 8 };

static const struct {
    const char *verb;
    enum queue_order_kind kind;
    bool has_target;
} VERBS[] = {
    {"list", QUEUE_LIST, false},
    {"show", QUEUE_SHOW, true},
    {"retry", QUEUE_RETRY, true},
    {"delete", QUEUE_DELETE, true},
};

static bool find_verb(struct bytes word, size_t *found)
{
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (bytes_equal(word, bytes_from_text(VERBS[i].verb))) {
            *found = i;
            return true;
        }
    }
    return false;
}

static bool parse_target(struct bytes word, struct queue_order *order, const char **why)
{
    if (message_id_parse(word, &order->id) && order->id != 0) {
        return true;
    }
    order->id = 0;
    if (order->kind != QUEUE_RETRY) {
        *why = "not a message id";
        return false;
    }
    if (!bytes_equal(word, BYTES("all"))) {
        order->destination = word;
    }
    return true;
}

/* Words of the line, json apart. */
static size_t sort_words(const struct bytes *words, size_t count, struct bytes *kept,
                         bool *is_json)
{
    size_t kept_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(words[i], BYTES("json")) || bytes_equal(words[i], BYTES("--json"))) {
            *is_json = true;
        } else if (kept_count < WORDS_LIMIT) {
            kept[kept_count++] = words[i];
        }
    }
    return kept_count;
}

bool queue_order_parse(const struct bytes *words, size_t count, struct queue_order *order,
                       const char **why)
{
    struct bytes kept[WORDS_LIMIT];
    size_t verb = 0;

    *order = (struct queue_order){.kind = QUEUE_LIST};
    count = sort_words(words, count, kept, &order->is_json);
    if (count == 0 || !find_verb(kept[0], &verb)) {
        *why = "list, show, retry or delete is wanted";
        return false;
    }
    order->kind = VERBS[verb].kind;
    if (count != (VERBS[verb].has_target ? 2U : 1U)) {
        *why = VERBS[verb].has_target ? "one message id is wanted" : "no more words are wanted";
        return false;
    }
    return VERBS[verb].has_target ? parse_target(kept[1], order, why) : true;
}

bool queue_order_parse_line(struct bytes line, struct queue_order *order, const char **why)
{
    struct bytes words[WORDS_LIMIT];
    size_t count = 0;

    while (line.len > 0 && count < WORDS_LIMIT) {
        struct bytes word = bytes_cut(&line, ' ');

        if (word.len > 0) {
            words[count++] = word;
        }
    }
    if (count == 0 || line.len > 0 || !bytes_equal(words[0], BYTES("queue"))) {
        *why = "not an order for the queue";
        return false;
    }
    return queue_order_parse(words + 1, count - 1, order, why);
}

static const char *verb_of(enum queue_order_kind kind)
{
    switch (kind) {
    case QUEUE_LIST:
        return "list";
    case QUEUE_SHOW:
        return "show";
    case QUEUE_RETRY:
        return "retry";
    case QUEUE_DELETE:
        return "delete";
    }
    abort();
}

void queue_order_write(struct strbuf *out, const struct queue_order *order)
{
    strbuf_addf(out, "queue %s", verb_of(order->kind));
    if (order->id != 0) {
        strbuf_addf(out, " %s", message_id_text(order->id).text);
    } else if (order->destination.len > 0) {
        strbuf_add_char(out, ' ');
        strbuf_add(out, order->destination);
    } else if (order->kind == QUEUE_RETRY) {
        strbuf_add_text(out, " all");
    }
    strbuf_add_text(out, order->is_json ? " json\n" : "\n");
}
