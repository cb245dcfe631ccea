#include "auth/from_domains.h"

#include "base/quoting.h"

#include "auth/idn_domain.h"
#include "mail/header_block.h"

#include <stdlib.h>

struct reader {
    struct bytes rest;
    struct arena *arena;
    struct from_domains *found;
};

/* One address of the list, as far as it has been read. */
struct item {
    bool has_word;    /* something stands there that could be a local part or a name */
    bool has_address; /* in "< >" */
    bool has_odd_at;  /* an @ that leads to no domain: fine in a name, not as an address */
};

static bool refuse(struct reader *reader, const char *why)
{
    if (reader->found->why == NULL) {
        reader->found->why = why;
    }
    return false;
}

static char first(const struct reader *reader)
{
    return reader->rest.data[0];
}

static void skip(struct reader *reader, size_t count)
{
    reader->rest = bytes_skip(reader->rest, count);
}

static bool skip_comment(struct reader *reader)
{
    size_t length = quoting_comment_length(reader->rest);

    skip(reader, length);
    return length > 0 || refuse(reader, "open-comment");
}

static bool skip_quoted(struct reader *reader)
{
    size_t length = quoting_string_length(reader->rest);

    skip(reader, length);
    return length > 0 || refuse(reader, "open-quotes");
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static bool skip_blanks(struct reader *reader)
{
    while (reader->rest.len != 0) {
        if (is_blank(first(reader))) {
            skip(reader, 1);
        } else if (first(reader) != '(') {
            break;
        } else if (!skip_comment(reader)) {
            return false;
        }
    }
    return true;
}

static bool is_atom_octet(char octet)
{
    return !is_blank(octet) && memchr("()<>[]:;@\\,\".", octet, 13) == NULL;
}

static size_t atom_length(struct bytes text)
{
    size_t len = 0;

    while (len < text.len && is_atom_octet(text.data[len])) {
        len++;
    }
    return len;
}

/* Octets of an encoded word at the start, or 0. One that hides what addresses are made of is
 * read as it stands: others may read it so, too. */
static size_t encoded_word_length(struct bytes text)
{
    size_t questions = 0;

    if (!bytes_starts_with(text, BYTES("=?"))) {
        return 0;
    }
    for (size_t i = 2; i < text.len && i < 256; i++) {
        char octet = text.data[i];

        if (is_blank(octet) || memchr("<>@\"", octet, 4) != NULL) {
            return 0;
        }
        if (octet == '?' && ++questions == 3) {
            return i + 1 < text.len && text.data[i + 1] == '=' ? i + 2 : 0;
        }
    }
    return 0;
}

/* False: no more room. */
static bool note_domain(struct reader *reader, struct bytes domain)
{
    struct from_domains *found = reader->found;

    for (size_t i = 0; i < found->count; i++) {
        if (bytes_equal(found->domains[i], domain)) {
            return true;
        }
    }
    if (found->count == FROM_DOMAIN_LIMIT) {
        return refuse(reader, "too-many-domains");
    }
    found->domains[found->count++] = domain;
    return true;
}

/* "[...]" behind an @ */
static bool skip_literal(struct reader *reader)
{
    size_t end = bytes_find(reader->rest, ']');

    if (end == reader->rest.len) {
        return refuse(reader, "open-literal");
    }
    skip(reader, end + 1);
    return true;
}

/* Labels and dots, blanks and comments allowed around the dots (RFC 5322 §4.4 obs-domain). */
static bool collect_labels(struct reader *reader, struct strbuf *name)
{
    for (;;) {
        size_t len = atom_length(reader->rest);

        strbuf_add(name, bytes_first(reader->rest, len));
        skip(reader, len);
        if (!skip_blanks(reader)) {
            return false;
        }
        if (reader->rest.len == 0 || first(reader) != '.') {
            return true;
        }
        strbuf_add_char(name, '.');
        skip(reader, 1);
        if (!skip_blanks(reader)) {
            return false;
        }
    }
}

/* What stands behind an @. *is_domain: a domain or a literal, so an address. */
static bool read_domain(struct reader *reader, bool *is_domain)
{
    struct strbuf name;
    struct bytes domain;
    bool is_good;

    *is_domain = true;
    if (!skip_blanks(reader)) {
        return false;
    }
    if (reader->rest.len != 0 && first(reader) == '[') {
        return skip_literal(reader);
    }
    strbuf_init(&name, IDN_INPUT_LIMIT);
    is_good = collect_labels(reader, &name);
    if (is_good) {
        *is_domain = !name.overflowed &&
                     idn_domain_to_ascii(strbuf_bytes(&name), reader->arena, &domain);
        is_good = !*is_domain || note_domain(reader, domain);
    }
    strbuf_clear(&name);
    return is_good;
}

/* "@one,@two:" before the address, obsolete; nobody's domain. */
static bool skip_route(struct reader *reader)
{
    size_t colon = bytes_find(reader->rest, ':');

    if (colon == reader->rest.len ||
        bytes_find(bytes_first(reader->rest, colon), '>') != colon ||
        bytes_find(bytes_first(reader->rest, colon), '<') != colon) {
        return refuse(reader, "bad-route");
    }
    skip(reader, colon + 1);
    return true;
}

/* Words and dots up to the @; *has_word: there were some. */
static bool skip_local_part(struct reader *reader, bool *has_word)
{
    *has_word = false;
    while (skip_blanks(reader)) {
        size_t len = atom_length(reader->rest);

        if (reader->rest.len == 0) {
            return refuse(reader, "open-angle");
        }
        if (first(reader) == '@' || first(reader) == '>') {
            return true;
        }
        *has_word = true;
        if (first(reader) == '"') {
            if (!skip_quoted(reader)) {
                return false;
            }
        } else if (len != 0 || first(reader) == '.') {
            skip(reader, len == 0 ? 1 : len);
        } else {
            return refuse(reader, "bad-local-part");
        }
    }
    return false;
}

/* "<local@domain>", "<>" and "<local>" */
static bool read_angle(struct reader *reader, struct item *item)
{
    bool has_word, is_domain;

    skip(reader, 1);
    item->has_address = true;
    if (!skip_blanks(reader)) {
        return false;
    }
    if (reader->rest.len != 0 && (first(reader) == '@' || first(reader) == ',') &&
        !skip_route(reader)) {
        return false;
    }
    if (!skip_local_part(reader, &has_word)) {
        return false;
    }
    if (first(reader) == '@') {
        skip(reader, 1);
        if (!read_domain(reader, &is_domain)) {
            return false;
        }
        if (!has_word || !is_domain) {
            return refuse(reader, has_word ? "bad-domain" : "no-local-part");
        }
    }
    if (!skip_blanks(reader)) {
        return false;
    }
    if (reader->rest.len == 0 || first(reader) != '>') {
        return refuse(reader, "open-angle");
    }
    skip(reader, 1);
    return true;
}

/* An @ outside of "< >": the address itself, or part of a name that should have been quoted. */
static bool read_bare_at(struct reader *reader, struct item *item)
{
    bool is_domain;

    skip(reader, 1);
    if (!item->has_word) {
        item->has_odd_at = true;
        return true;
    }
    if (!read_domain(reader, &is_domain)) {
        return false;
    }
    item->has_odd_at |= !is_domain;
    item->has_word = false;
    return true;
}

static bool finish_item(struct reader *reader, struct item *item)
{
    if (item->has_odd_at && !item->has_address) {
        return refuse(reader, "bad-address");
    }
    *item = (struct item){0};
    return true;
}

static bool read_word(struct reader *reader, struct item *item)
{
    size_t len = encoded_word_length(reader->rest);

    if (len == 0) {
        len = atom_length(reader->rest);
    }
    item->has_word = true;
    skip(reader, len == 0 ? 1 : len); /* a lone special in a name, as in "[List] Name" */
    return true;
}

static bool read_token(struct reader *reader, struct item *item)
{
    switch (first(reader)) {
    case ',':
    case ';': /* end of a group, or what some programs put between addresses */
        skip(reader, 1);
        return finish_item(reader, item);
    case ':': /* what stood before it is the name of a group */
        skip(reader, 1);
        *item = (struct item){0};
        return true;
    case '<':
        return read_angle(reader, item);
    case '>':
        return refuse(reader, "stray-angle");
    case '@':
        return read_bare_at(reader, item);
    case '"':
        item->has_word = true;
        return skip_quoted(reader);
    default:
        return read_word(reader, item);
    }
}

/* NUL ends the text for some readers, a bare CR or LF starts a line for others: what follows is
 * then seen by some and not by others. */
static bool has_foul_octet(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        char octet = value.data[i];

        if (octet == '\0' || (octet == '\n' && (i == 0 || value.data[i - 1] != '\r')) ||
            (octet == '\r' && i + 1 < value.len && value.data[i + 1] != '\n')) {
            return true;
        }
    }
    return false;
}

static bool read_list(struct reader *reader)
{
    struct item item = {0};

    if (reader->rest.len > FROM_FIELD_LIMIT) {
        return refuse(reader, "too-long");
    }
    if (has_foul_octet(reader->rest)) {
        return refuse(reader, "control-octet");
    }
    while (skip_blanks(reader)) {
        if (reader->rest.len == 0) {
            return finish_item(reader, &item);
        }
        if (!read_token(reader, &item)) {
            return false;
        }
    }
    return false;
}

static enum from_result conclude(struct from_domains *found)
{
    if (found->fields > 1) {
        found->result = FROM_SEVERAL_FIELDS;
    } else if (found->why != NULL) {
        found->result = FROM_MALFORMED;
    } else if (found->count == 0) {
        found->result = FROM_NO_DOMAIN;
    } else {
        found->result = found->count == 1 ? FROM_ONE_DOMAIN : FROM_SEVERAL_DOMAINS;
    }
    return found->result;
}

enum from_result from_domains_read(struct bytes header, struct arena *arena,
                                   struct from_domains *found)
{
    struct header_field field;

    *found = (struct from_domains){.fields = 0};
    while (header_field_next(&header, &field)) {
        if (bytes_equal_nocase(field.name, BYTES("From"))) {
            struct reader reader = {.rest = field.value, .arena = arena, .found = found};

            found->fields++;
            (void)read_list(&reader); /* what is wrong stands in found->why */
        }
    }
    return conclude(found);
}

enum from_result from_domains_parse(struct bytes value, struct arena *arena,
                                    struct from_domains *found)
{
    struct reader reader = {.rest = value, .arena = arena, .found = found};

    *found = (struct from_domains){.fields = 1};
    (void)read_list(&reader);
    return conclude(found);
}

const char *from_result_text(enum from_result result)
{
    switch (result) {
    case FROM_ONE_DOMAIN:
        return "one-domain";
    case FROM_SEVERAL_DOMAINS:
        return "several-domains";
    case FROM_NO_DOMAIN:
        return "no-domain";
    case FROM_MALFORMED:
        return "malformed";
    case FROM_SEVERAL_FIELDS:
        return "several-fields";
    }
    abort();
}
