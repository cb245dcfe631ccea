#include "mail/hidden_address.h"

static bool is_part_at(struct bytes text, size_t at, struct bytes part)
{
    return part.len != 0 && bytes_starts_with_nocase(bytes_skip(text, at), part);
}

/* "<local>" alone gives the address away as well; many servers name it so. */
static bool is_local_in_brackets(struct bytes text, size_t at, struct bytes hidden)
{
    struct bytes local = bytes_first(hidden, bytes_find_last(hidden, '@'));
    struct bytes rest = bytes_skip(text, at + 1);

    return text.data[at] == '<' && is_part_at(rest, 0, local) && rest.len > local.len &&
           rest.data[local.len] == '>';
}

/* Octets before the next place where the address or "<local>" may begin. */
static size_t plain_run(struct bytes text, size_t at, struct bytes hidden)
{
    unsigned char first = hidden.len == 0 ? '<' : ascii_lower((unsigned char)hidden.data[0]);
    size_t end = at;

    while (end < text.len && text.data[end] != '<' &&
           ascii_lower((unsigned char)text.data[end]) != first) {
        end++;
    }
    return end - at;
}

void hidden_address_add(struct strbuf *out, struct bytes text, struct bytes hidden,
                        struct bytes alias)
{
    size_t at = 0;

    while (at < text.len) {
        size_t run = plain_run(text, at, hidden);

        if (run > 0) {
            strbuf_add(out, bytes_between(text, at, at + run));
            at += run;
        } else if (is_part_at(text, at, hidden)) {
            strbuf_add(out, alias);
            at += hidden.len;
        } else if (is_local_in_brackets(text, at, hidden)) {
            strbuf_add_char(out, '<');
            strbuf_add(out, alias);
            strbuf_add_char(out, '>');
            at += bytes_find_last(hidden, '@') + 2;
        } else {
            strbuf_add_char(out, text.data[at++]);
        }
    }
}

#define NAMES_BEGIN " ["

void hidden_names_add(struct strbuf *out, struct bytes names)
{
    strbuf_add_text(out, NAMES_BEGIN);
    strbuf_add(out, names);
    strbuf_add_char(out, ']');
}

bool hidden_names_is_reply(struct bytes text)
{
    for (size_t i = 0; i < 3; i++) {
        if (i >= text.len || text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len == 3 || text.data[3] == ' ' || text.data[3] == '-';
}

struct bytes hidden_names_without(struct bytes text)
{
    return hidden_names_is_reply(text)
               ? text
               : bytes_first(text, bytes_find_part(text, BYTES(NAMES_BEGIN)));
}
