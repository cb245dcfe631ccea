#include "mail/trace_field.h"

#include "base/calendar.h"
#include "mail/header_block.h"
#include "mail/keyed_hash.h"

enum { CLIENT_TEXT_LIMIT = 255, FOLD_COLUMN = 78, ALIAS_LIMIT = 512 };

static const char loop_field[] = "X-Postilion-Loop";

static bool is_host_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) || memchr(".-_:[]", octet, 6) != NULL;
}

/* What a client said of itself. Only what names and address literals are made of comes through,
 * so it can open no comment, end no clause and start no field. */
static void add_host(struct strbuf *out, struct bytes host)
{
    host = bytes_first(host, CLIENT_TEXT_LIMIT);
    if (host.len == 0) {
        strbuf_add_text(out, "unknown");
        return;
    }
    while (host.len != 0) {
        size_t good = 0;

        while (good < host.len && is_host_octet(host.data[good])) {
            good++;
        }
        strbuf_add(out, bytes_first(host, good));
        if (good < host.len) {
            strbuf_add_char(out, '?');
        }
        host = bytes_skip(host, good + 1);
    }
}

/* A recipient belongs in the field when it is printable; outside ASCII only in a message that
 * was sent as such (RFC 6531 §3.7.3). */
static bool may_name_recipient(const struct received_facts *facts)
{
    bool may_utf8 = bytes_starts_with(facts->protocol, BYTES("UTF8"));

    for (size_t i = 0; i < facts->recipient.len; i++) {
        unsigned char octet = (unsigned char)facts->recipient.data[i];

        if (octet < ' ' || octet == 127 || (octet > 127 && !may_utf8)) {
            return false;
        }
    }
    return facts->recipient.len != 0 && facts->recipient.len <= ALIAS_LIMIT;
}

void trace_field_add_received(struct strbuf *out, const struct received_facts *facts)
{
    strbuf_add_text(out, "Received: from ");
    add_host(out, facts->helo);
    strbuf_add_text(out, " (");
    add_host(out, facts->client_name);
    if (facts->client.family != IP_NONE) {
        strbuf_add_char(out, ' ');
        strbuf_add_text(out, ip_literal_text(&facts->client).text);
    }
    strbuf_add_text(out, ")\r\n\t");
    if (facts->tls_version.len > 0) {
        strbuf_addf(out, "(using " BYTES_FMT " with cipher " BYTES_FMT ")\r\n\t",
                    BYTES_ARG(facts->tls_version), BYTES_ARG(facts->tls_cipher));
    }
    strbuf_add_text(out, "by ");
    add_host(out, facts->our_name);
    strbuf_add_text(out, " with ");
    strbuf_add(out, facts->protocol);
    strbuf_add_text(out, " id ");
    strbuf_add(out, facts->id);
    if (may_name_recipient(facts)) {
        strbuf_add_text(out, "\r\n\tfor <");
        strbuf_add(out, facts->recipient);
        strbuf_add_char(out, '>');
    }
    strbuf_add_text(out, ";\r\n\t");
    calendar_add_mail_date(out, facts->unix_seconds);
    strbuf_add_text(out, "\r\n");
}

struct loop_mark trace_field_loop_mark(struct bytes secret, struct bytes alias_address)
{
    struct loop_mark mark = {""};
    char folded[ALIAS_LIMIT];
    struct bytes text = bytes_first(alias_address, sizeof folded); /* paths are shorter */

    bytes_fold(folded, text);
    keyed_hash_sha256_base32(secret, bytes_of(folded, text.len), mark.text, LOOP_MARK_LENGTH);
    return mark;
}

void trace_field_add_loop(struct strbuf *out, struct bytes our_name,
                          const struct loop_mark *marks, size_t count)
{
    size_t line = out->len;

    strbuf_add_text(out, loop_field);
    strbuf_add_text(out, ": ");
    add_host(out, our_name);
    for (size_t i = 0; i < count; i++) {
        if (out->len - line + 1 + LOOP_MARK_LENGTH > FOLD_COLUMN) {
            strbuf_add_text(out, "\r\n");
            line = out->len;
            strbuf_add_char(out, '\t');
        } else {
            strbuf_add_char(out, ' ');
        }
        strbuf_add(out, bytes_of(marks[i].text, LOOP_MARK_LENGTH));
    }
    strbuf_add_text(out, "\r\n");
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static struct bytes next_word(struct bytes *text)
{
    struct bytes rest = bytes_trim(*text);
    size_t len = 0;

    while (len < rest.len && !is_blank(rest.data[len])) {
        len++;
    }
    *text = bytes_skip(rest, len);
    return bytes_first(rest, len);
}

bool trace_field_has_loop_marks(struct bytes header)
{
    struct header_field field;

    return header_block_find(header, bytes_from_text(loop_field), &field);
}

bool trace_field_has_loop_mark(struct bytes header, const struct loop_mark *mark)
{
    struct bytes wanted = bytes_of(mark->text, LOOP_MARK_LENGTH);
    struct bytes name = bytes_from_text(loop_field);
    struct header_field field;

    while (header_field_next(&header, &field)) {
        if (bytes_equal_nocase(field.name, name)) {
            struct bytes value = field.value;
            struct bytes word = next_word(&value);

            while (word.len != 0) {
                if (bytes_equal(word, wanted)) {
                    return true;
                }
                word = next_word(&value);
            }
        }
    }
    return false;
}
