#include "mail/queue_order.h"

#include "mail/message_id.h"
#include "mail/srs_address.h"

#include <stdlib.h>

enum { WORDS_LIMIT = 24 };

static const struct {
    const char *verb;
    enum queue_order_kind kind;
    bool has_target;
    const char *done; /* NULL: it changes nothing */
} VERBS[] = {
    {"list", QUEUE_LIST, false, NULL},          {"list", QUEUE_AGES, false, NULL},
    {"show", QUEUE_SHOW, true, NULL},           {"retry", QUEUE_RETRY, true, "to be tried now"},
    {"hold", QUEUE_HOLD, true, "held"},         {"release", QUEUE_RELEASE, true, "released"},
    {"bounce", QUEUE_BOUNCE, true, "given up"}, {"delete", QUEUE_DELETE, true, "deleted"},
};

static size_t place_of(enum queue_order_kind kind)
{
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (VERBS[i].kind == kind) {
            return i;
        }
    }
    abort();
}

const char *queue_order_done_text(enum queue_order_kind kind)
{
    return VERBS[place_of(kind)].done;
}

bool queue_order_is_filtered(const struct queue_order *order)
{
    return order->has_sender || order->recipient.len > 0 || order->destination.len > 0;
}

/* ---- words ---- */

static bool parse_position(struct bytes word, struct queue_order *order)
{
    struct bytes rest = word, id = bytes_cut(&rest, '/');
    uint64_t number = UINT32_MAX;

    if (id.len < word.len && (!bytes_to_u64(rest, &number) || number > UINT32_MAX)) {
        return false;
    }
    order->after_number = (uint32_t)number;
    return message_id_parse(id, &order->after_id);
}

static struct bytes bare_address(struct bytes word)
{
    if (word.len >= 2 && word.data[0] == '<' && word.data[word.len - 1] == '>') {
        return bytes_first(bytes_skip(word, 1), word.len - 2);
    }
    return word;
}

/* NULL, or what is wrong with its value. */
static const char *set_option(struct queue_order *order, struct bytes name, struct bytes value)
{
    if (bytes_equal(name, BYTES("--sender"))) {
        order->has_sender = true;
        order->sender = bare_address(value);
    } else if (bytes_equal(name, BYTES("--recipient"))) {
        order->recipient = bare_address(value);
        return order->recipient.len == 0 ? "--recipient: an address is wanted" : NULL;
    } else if (bytes_equal(name, BYTES("--destination"))) {
        order->destination = value;
        return value.len == 0 ? "--destination: a domain is wanted" : NULL;
    } else if (bytes_equal(name, BYTES("--limit"))) {
        return bytes_to_u64(value, &order->limit) && order->limit > 0
                   ? NULL
                   : "--limit: a number is wanted";
    } else if (bytes_equal(name, BYTES("--after"))) {
        return parse_position(value, order) ? NULL : "--after: ID/NUMBER is wanted";
    } else {
        return "no such option";
    }
    return NULL;
}

static bool set_flag(struct queue_order *order, struct bytes word)
{
    if (bytes_equal(word, BYTES("--json")) || bytes_equal(word, BYTES("json"))) {
        order->is_json = true;
    } else if (bytes_equal(word, BYTES("--all"))) {
        order->is_all = true;
    } else if (bytes_equal(word, BYTES("--held"))) {
        order->held_only = true;
    } else if (bytes_equal(word, BYTES("--by-domain"))) {
        order->kind = QUEUE_AGES;
    } else {
        return false;
    }
    return true;
}

/* Takes all options; what is left are the verb and its target. */
static const char *take_options(const struct bytes *words, size_t count,
                                struct queue_order *order, struct bytes *kept,
                                size_t *kept_count)
{
    *kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (set_flag(order, words[i])) {
            continue;
        }
        if (words[i].len >= 2 && words[i].data[0] == '-' && words[i].data[1] == '-') {
            const char *why = i + 1 == count ? "an option without its value"
                                             : set_option(order, words[i], words[i + 1]);
            if (why != NULL) {
                return why;
            }
            i++;
        } else if (*kept_count == 2) {
            return "too many words";
        } else {
            kept[(*kept_count)++] = words[i];
        }
    }
    return NULL;
}

static const char *parse_verb(struct bytes word, struct queue_order *order)
{
    bool is_by_domain = order->kind == QUEUE_AGES;

    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (bytes_equal(word, bytes_from_text(VERBS[i].verb))) {
            order->kind = is_by_domain ? QUEUE_AGES : VERBS[i].kind;
            return is_by_domain && VERBS[i].kind != QUEUE_LIST ? "--by-domain goes with list"
                                                               : NULL;
        }
    }
    return "list, show, retry, hold, release, bounce or delete is wanted";
}

/* Everything is a target that has to be said: an order for nothing in particular is a slip. */
static const char *parse_target(const struct bytes *word, struct queue_order *order)
{
    bool is_chosen = order->is_all || queue_order_is_filtered(order);

    if (word == NULL) {
        return order->kind != QUEUE_SHOW && is_chosen
                   ? NULL
                   : "a message id is wanted, or a filter, or --all";
    }
    if (is_chosen) {
        return "a message id goes without filters";
    }
    if (message_id_parse(*word, &order->id) && order->id != 0) {
        return NULL;
    }
    order->id = 0;
    if (order->kind != QUEUE_RETRY) {
        return "not a message id";
    }
    if (bytes_equal(*word, BYTES("all"))) {
        order->is_all = true;
    } else {
        order->destination = *word;
    }
    return NULL;
}

static const char *check_listing(const struct queue_order *order, size_t count)
{
    if (count > 1) {
        return "no more words are wanted";
    }
    if (order->kind == QUEUE_AGES &&
        (order->held_only || order->after_id != 0 || queue_order_is_filtered(order))) {
        return "--by-domain goes without filters";
    }
    return NULL;
}

bool queue_order_parse(const struct bytes *words, size_t count, struct queue_order *order,
                       const char **why)
{
    struct bytes kept[2];
    size_t kept_count;

    *order = (struct queue_order){.kind = QUEUE_LIST};
    *why = take_options(words, count, order, kept, &kept_count);
    if (*why == NULL) {
        *why = parse_verb(kept_count == 0 ? BYTES("") : kept[0], order);
    }
    if (*why != NULL) {
        return false;
    }
    if (VERBS[place_of(order->kind)].has_target) {
        *why = order->held_only || order->limit > 0 || order->after_id != 0
                   ? "--held, --limit and --after go with list"
                   : parse_target(kept_count > 1 ? &kept[1] : NULL, order);
    } else {
        *why = check_listing(order, kept_count);
    }
    return *why == NULL;
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

static bool add_option(struct strbuf *out, const char *name, struct bytes value,
                       bool is_address)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.data[i] <= ' ') {
            return false;
        }
    }
    strbuf_addf(out, " %s %s", name, is_address ? "<" : "");
    strbuf_add(out, value);
    strbuf_add_text(out, is_address ? ">" : "");
    return true;
}

bool queue_order_write(struct strbuf *out, const struct queue_order *order)
{
    bool is_sayable = true;

    strbuf_addf(out, "queue %s", VERBS[place_of(order->kind)].verb);
    if (order->id != 0) {
        strbuf_addf(out, " %s", message_id_text(order->id).text);
    }
    strbuf_add_text(out, order->kind == QUEUE_AGES ? " --by-domain" : "");
    strbuf_add_text(out, order->is_all ? " --all" : "");
    strbuf_add_text(out, order->held_only ? " --held" : "");
    if (order->has_sender) {
        is_sayable = add_option(out, "--sender", order->sender, true);
    }
    if (order->recipient.len > 0) {
        is_sayable = add_option(out, "--recipient", order->recipient, true) && is_sayable;
    }
    if (order->destination.len > 0) {
        is_sayable = add_option(out, "--destination", order->destination, false) && is_sayable;
    }
    if (order->limit > 0) {
        strbuf_addf(out, " --limit %llu", (unsigned long long)order->limit);
    }
    if (order->after_id != 0) {
        strbuf_addf(out, " --after %s/%lu", message_id_text(order->after_id).text,
                    (unsigned long)order->after_number);
    }
    strbuf_add_text(out, order->is_json ? " --json\n" : "\n");
    return is_sayable;
}

/* ---- the filter ---- */

/* Of "TAG=TT=domain=local" what is behind the stamp. */
static bool skip_stamp(struct bytes *text)
{
    bytes_cut(text, '='); /* tag */
    bytes_cut(text, '='); /* day */
    return text->len > 0;
}

/* SRS0=TAG=TT=domain=local, SRS1=TAG=forwarder==TAG=TT=domain=local; the tags are not looked at. */
static bool is_inside_srs(struct bytes address, struct bytes wanted)
{
    struct bytes local, domain, wanted_local = wanted;
    size_t at = bytes_find_last(address, '@'), wanted_at = bytes_find_last(wanted, '@');
    bool is_second;

    local = bytes_first(address, at);
    if (at == address.len || wanted_at == wanted.len || !srs_is_srs(local)) {
        return false;
    }
    is_second = local.data[3] == '1';
    local = bytes_skip(local, 5);
    if (is_second) {
        bytes_cut(&local, '='); /* tag */
        bytes_cut(&local, '='); /* forwarder */
        local = bytes_skip(local, local.len > 0 ? 1 : 0);
    }
    if (!skip_stamp(&local)) {
        return false;
    }
    domain = bytes_cut(&local, '=');
    wanted_local = bytes_first(wanted, wanted_at);
    return domain.len > 0 && bytes_equal_nocase(local, wanted_local) &&
           bytes_equal_nocase(domain, bytes_skip(wanted, wanted_at + 1));
}

bool queue_order_matches(const struct queue_order *order, const struct queue_order_row *row)
{
    if (order->has_sender && !bytes_equal_nocase(order->sender, row->sender) &&
        !is_inside_srs(row->sender, order->sender)) {
        return false;
    }
    if (order->recipient.len > 0 && !bytes_equal_nocase(order->recipient, row->recipient) &&
        !bytes_equal_nocase(order->recipient, row->alias)) {
        return false;
    }
    return order->destination.len == 0 ||
           bytes_equal_nocase(order->destination, row->destination);
}
