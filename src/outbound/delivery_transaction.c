#include "outbound/delivery_transaction.h"

#include <assert.h>

enum {
    LOOP_FIELD_LIMIT =
        1024 * 1024, /* a mark is 17 octets: more recipients than any request has */
    MAIL_LINE_LIMIT = 2048,
    RCPT_PARAMETERS_LIMIT = 16384, /* every octet of the longest ORCPT in its longest form */
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

bool transaction_needs_utf8(const struct delivery_request *request)
{
    return request->is_utf8_header || !bytes_is_ascii(request->sender);
}

size_t transaction_leave_out_utf8(struct transaction *transaction, size_t *left_out)
{
    size_t kept = 0, count = 0;

    for (size_t i = 0; i < transaction->count; i++) {
        if (!bytes_is_ascii(transaction->recipients[i].path)) {
            left_out[count++] = transaction->indexes[i];
            continue;
        }
        transaction->recipients[kept] = transaction->recipients[i];
        transaction->indexes[kept++] = transaction->indexes[i];
    }
    transaction->count = kept;
    return count;
}

static struct bytes domain_of(struct bytes address)
{
    return bytes_skip(address, bytes_find_last(address, '@') + 1);
}

/* Is the domain of this recipient that of one of the first `count`? */
static bool has_domain(const struct transaction *transaction, size_t count, size_t position)
{
    struct bytes domain = domain_of(transaction->recipients[position].path);

    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(domain_of(transaction->recipients[i].path), domain)) {
            return true;
        }
    }
    return false;
}

void transaction_keep_to_limits(struct transaction *transaction,
                                const struct smtp_extensions *extensions)
{
    size_t kept = 0, domains = 0;

    for (size_t i = 0; i < transaction->count; i++) {
        bool is_new = extensions->rcpt_domain_max > 0 && !has_domain(transaction, kept, i);

        if ((extensions->rcpt_max > 0 && kept == extensions->rcpt_max) ||
            (is_new && domains == extensions->rcpt_domain_max)) {
            continue;
        }
        domains += is_new;
        transaction->recipients[kept] = transaction->recipients[i];
        transaction->indexes[kept++] = transaction->indexes[i];
    }
    transaction->count = kept;
}

/* Does MAIL say SMTPUTF8? A client that said it is believed where it costs nothing. */
static bool says_utf8(const struct transaction *transaction,
                      const struct delivery_request *request,
                      const struct smtp_extensions *extensions)
{
    bool is_wanted = request->is_utf8 || transaction_needs_utf8(request);

    for (size_t i = 0; i < transaction->count && !is_wanted; i++) {
        is_wanted = !bytes_is_ascii(transaction->recipients[i].path);
    }
    return is_wanted && extensions->smtputf8;
}

void transaction_write_rcpt_parameters(struct transaction *transaction,
                                       const struct delivery_request *request,
                                       const struct smtp_extensions *extensions,
                                       struct arena *arena)
{
    bool is_utf8 = says_utf8(transaction, request, extensions);
    struct strbuf text;

    strbuf_init(&text, RCPT_PARAMETERS_LIMIT);
    for (size_t i = 0; i < transaction->count; i++) {
        const struct delivery_recipient *recipient =
            &request->recipients[transaction->indexes[i]];

        strbuf_reset(&text);
        if (extensions->dsn) {
            dsn_add_rcpt_parameters(&text, recipient->notify, recipient->orcpt, is_utf8);
            /* The sender knows the alias and not where it leads: so will a report (RFC 3461 §5.2.1). */
            if (recipient->orcpt.len == 0 && recipient->alias.len > 0 &&
                bytes_is_ascii(recipient->alias)) {
                strbuf_add_text(&text, " ORCPT=");
                dsn_add_orcpt(&text, recipient->alias);
            }
        }
        assert(!text.overflowed);
        transaction->recipients[i].parameters = arena_copy(arena, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
}

void transaction_write_mail_line(struct transaction *transaction,
                                 const struct delivery_request *request,
                                 const struct smtp_extensions *extensions, uint64_t size,
                                 bool is_secure)
{
    struct strbuf *line = &transaction->mail_line;

    strbuf_reset(line);
    strbuf_add_char(line, '<');
    strbuf_add(line, request->sender);
    strbuf_add_char(line, '>');
    if (extensions->size && request->content != NULL) {
        strbuf_add_text(line, " SIZE=");
        strbuf_add_u64(line, size);
    }
    /* 8-bit content goes out as it is even where 8BITMIME is missing: converting it would break
     * every signature, and servers that mind are gone. */
    if (request->is_8bit && extensions->eight_bit_mime) {
        strbuf_add_text(line, " BODY=8BITMIME");
    }
    if (says_utf8(transaction, request, extensions)) {
        strbuf_add_text(line, " SMTPUTF8");
    }
    if (request->requires_tls && extensions->requiretls && is_secure) {
        strbuf_add_text(line, " REQUIRETLS");
    }
    if (extensions->dsn) {
        dsn_add_mail_parameters(line, request->ret, request->envid);
    }
    assert(!line->overflowed);
}
