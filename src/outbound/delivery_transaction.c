#include "outbound/delivery_transaction.h"

#include <assert.h>

enum {
    LOOP_FIELD_LIMIT =
        1024 * 1024, /* a mark is 17 octets: more recipients than any request has */
    MAIL_LINE_LIMIT = 2048,
};

void transaction_init(struct transaction *transaction, size_t prefix_len)
{
    *transaction = (struct transaction){.count = 0};
    strbuf_init(&transaction->head, LOOP_FIELD_LIMIT + prefix_len);
    strbuf_init(&transaction->mail_line, MAIL_LINE_LIMIT);
}

void transaction_clear(struct transaction *transaction)
{
    strbuf_clear(&transaction->head);
    strbuf_clear(&transaction->mail_line);
}

void transaction_choose(struct transaction *transaction, const struct delivery_request *request,
                        const enum recipient_state *states, enum recipient_state wanted,
                        struct arena *arena)
{
    size_t count = 0;

    for (size_t i = 0; i < request->count; i++) {
        count += states[i] == wanted;
    }
    transaction->recipients = arena_alloc(arena, count * sizeof *transaction->recipients);
    transaction->indexes = arena_alloc(arena, count * sizeof *transaction->indexes);
    transaction->count = 0;
    for (size_t i = 0; i < request->count; i++) {
        if (states[i] == wanted) {
            transaction->recipients[transaction->count].path = request->recipients[i].address;
            transaction->indexes[transaction->count++] = i;
        }
    }
}

static bool is_first_with_alias(const struct transaction *transaction,
                                const struct delivery_recipient *all, size_t position)
{
    for (size_t i = 0; i < position; i++) {
        if (bytes_equal_nocase(all[transaction->indexes[i]].alias,
                               all[transaction->indexes[position]].alias)) {
            return false;
        }
    }
    return true;
}

void transaction_write_head(struct transaction *transaction,
                            const struct delivery_request *request,
                            const struct outbound_options *options, struct arena *arena)
{
    struct loop_mark *marks = arena_alloc(arena, transaction->count * sizeof *marks);
    size_t count = 0;

    for (size_t i = 0; i < transaction->count; i++) {
        struct bytes alias = request->recipients[transaction->indexes[i]].alias;

        if (alias.len > 0 && is_first_with_alias(transaction, request->recipients, i)) {
            marks[count++] = trace_field_loop_mark(options->loop_secret, alias);
        }
    }
    strbuf_reset(&transaction->head);
    if (count > 0) {
        trace_field_add_loop(&transaction->head, options->helo_name, marks, count);
    }
    strbuf_add(&transaction->head, request->prefix);
    assert(!transaction->head.overflowed);
}

void transaction_write_mail_line(struct transaction *transaction,
                                 const struct delivery_request *request,
                                 const struct smtp_extensions *extensions, uint64_t size)
{
    struct strbuf *line = &transaction->mail_line;

    strbuf_reset(line);
    strbuf_add_char(line, '<');
    strbuf_add(line, request->sender);
    strbuf_add_char(line, '>');
    if (extensions->size) {
        strbuf_add_text(line, " SIZE=");
        strbuf_add_u64(line, size);
    }
    /* 8-bit content goes out as it is even where 8BITMIME is missing: converting it would break
     * every signature, and servers that mind are gone. */
    if (request->is_8bit && extensions->eight_bit_mime) {
        strbuf_add_text(line, " BODY=8BITMIME");
    }
    if (request->is_utf8) {
        strbuf_add_text(line, " SMTPUTF8");
    }
    assert(!line->overflowed);
}
