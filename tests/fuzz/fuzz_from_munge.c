/* Property: what was added taken away and From put back, a munged header is the header that came,
 * octet by octet; the new From names our domain alone, its line and all others we write are short,
 * and it has one author who is our address; names never hold an "@". Input: the header. */
#include "auth/from_domains.h"
#include "mail/from_munge.h"
#include "mail/header_block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_mailbox address = {.local = {"REPLY0=TAG=JK=x.example=alice", 29},
                                            .domain = {"our.example", 11}};

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_lines(struct bytes field)
{
    while (field.len != 0) {
        size_t end = bytes_find_part(field, BYTES("\r\n"));

        demand(end <= 998 && end < field.len);
        field = bytes_skip(field, end + 2);
    }
}

static struct header_field take_field(struct bytes *rest, struct bytes name)
{
    struct header_field field;

    demand(header_field_next(rest, &field) && bytes_equal(field.name, name));
    check_lines(field.whole);
    return field;
}

static void check_from(struct bytes value, struct arena *arena)
{
    struct from_domains found;
    struct from_author again;
    struct strbuf header;

    demand(from_domains_parse(value, arena, &found) == FROM_ONE_DOMAIN);
    demand(bytes_equal(found.domains[0], BYTES("our.example")));
    strbuf_init(&header, value.len + 10);
    strbuf_add_text(&header, "From:");
    strbuf_add(&header, value);
    demand(from_munge_read_author(strbuf_bytes(&header), arena, &again));
    demand(smtp_mailbox_equal(&again.mailbox, &address));
    demand(bytes_find(again.name, '@') == again.name.len);
    demand(bytes_ends_with_nocase(again.name, BYTES("via our.example\"")));
    strbuf_clear(&header);
}

/* The old value is whole, folded anew perhaps. */
static void check_original(struct bytes value, struct bytes before)
{
    struct strbuf one, other;

    strbuf_init(&one, value.len);
    strbuf_init(&other, before.len);
    header_value_add(&one, value);
    header_value_add(&other, before);
    demand(bytes_equal(strbuf_bytes(&one), strbuf_bytes(&other)));
    strbuf_clear(&one);
    strbuf_clear(&other);
}

/* "Name: author" and a comma before what was there. */
static void check_reply_to(const struct header_field *field, const struct header_field *before,
                           struct bytes author)
{
    struct bytes prefix = bytes_first(before->whole, before->whole.len - before->value.len);
    struct bytes rest = field->whole;

    if (bytes_equal(field->whole, before->whole)) {
        return; /* it was the author */
    }
    demand(bytes_starts_with(rest, prefix));
    rest = bytes_skip(rest, prefix.len + 1);
    demand(bytes_starts_with(rest, author));
    rest = bytes_skip(rest, author.len);
    demand(rest.len >= before->value.len);
    demand(bytes_equal(bytes_skip(rest, rest.len - before->value.len), before->value));
    rest = bytes_first(rest, rest.len - before->value.len);
    demand(rest.len <= 4 && bytes_starts_with(BYTES(",\r\n "), rest));
    demand((rest.len == 0) == (bytes_trim(before->value).len == 0));
}

static void check_munged(struct bytes out, struct bytes header,
                         const struct from_author *author, struct arena *arena)
{
    bool has_reply_to = header_block_count(header, BYTES("Reply-To")) != 0;
    struct header_field before, after;
    struct strbuf text;

    strbuf_init(&text, 1024);
    smtp_mailbox_add(&text, &author->mailbox);
    demand(header_block_find(header, BYTES("From"), &before));
    check_original(take_field(&out, BYTES("X-Original-From")).value, before.value);
    if (!has_reply_to) {
        after = take_field(&out, BYTES("Reply-To"));
        demand(bytes_equal(bytes_trim(after.value), strbuf_bytes(&text)));
    }
    while (header_field_next(&header, &before)) {
        if (bytes_equal_nocase(before.name, BYTES("From"))) {
            check_from(take_field(&out, BYTES("From")).value, arena);
            continue;
        }
        demand(header_field_next(&out, &after));
        if (has_reply_to && bytes_equal_nocase(before.name, BYTES("Reply-To"))) {
            check_reply_to(&after, &before, strbuf_bytes(&text));
            has_reply_to = false;
        } else {
            demand(bytes_equal(before.whole, after.whole));
        }
    }
    demand(bytes_equal(out, header));
    strbuf_clear(&text);
}

static void check_header(struct bytes header, struct arena *arena)
{
    struct from_author author;
    struct strbuf out;

    if (!from_munge_read_author(header, arena, &author)) {
        return;
    }
    strbuf_init(&out, 2 * header.len + 16384);
    from_munge_write(&out, header, &author, &address, BYTES("our.example"));
    demand(!out.overflowed);
    check_munged(strbuf_bytes(&out), header, &author, arena);
    strbuf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct arena *arena = arena_new();
    struct strbuf header;

    check_header(input, arena);
    strbuf_init(&header, size + 100); /* the input as a name, which it may be more often */
    strbuf_add_text(&header, "From: ");
    strbuf_add(&header, input);
    strbuf_add_text(&header, " <alice@x.example>\r\n");
    check_header(strbuf_bytes(&header), arena);
    strbuf_clear(&header);
    arena_free(&arena);
    return 0;
}
