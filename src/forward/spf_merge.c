#include "forward/spf_merge.h"

#include "auth/spf_record.h"

#include <string.h>

static void add_addresses(struct strbuf *out, const struct ip_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        strbuf_addf(out, " %s:%s", addresses[i].family == IP_V4 ? "ip4" : "ip6",
                    ip_address_text(&addresses[i]).text);
    }
}

static bool has_word(struct bytes text, struct bytes word)
{
    while (text.len > 0) {
        if (bytes_equal_nocase(bytes_cut(&text, ' '), word)) {
            return true;
        }
    }
    return false;
}

/* "all" with any qualifier, or none */
static bool is_all(struct bytes word)
{
    return bytes_equal_nocase(word, BYTES("all")) ||
           (word.len == 4 && strchr("+-~?", word.data[0]) != NULL &&
            bytes_equal_nocase(bytes_skip(word, 1), BYTES("all")));
}

static bool begins(struct bytes word, const char *name)
{
    return bytes_starts_with_nocase(word, bytes_from_text(name));
}

/* A second redirect= or exp= is a syntax error: the record would say nothing at all. */
static bool has_modifier(struct bytes text, struct bytes word)
{
    const char *name = begins(word, "redirect=") ? "redirect=" : "exp=";

    if (!begins(word, name)) {
        return false;
    }
    while (text.len > 0) {
        if (begins(bytes_cut(&text, ' '), name)) {
            return true;
        }
    }
    return false;
}

/* Its terms but the last word on everybody else, which goes to *all. */
static void add_terms(struct strbuf *out, struct bytes record, struct bytes *all)
{
    (void)bytes_cut(&record, ' '); /* "v=spf1" */
    while (record.len > 0) {
        struct bytes word = bytes_cut(&record, ' ');
        if (is_all(word)) {
            *all = word;
        } else if (word.len > 0 && !has_word(strbuf_bytes(out), word)) {
            if (has_modifier(strbuf_bytes(out), word)) {
                if (!begins(word, "redirect=")) {
                    continue;
                }
                strbuf_add_text(out, " include:");
                strbuf_add(out, bytes_skip(word, strlen("redirect=")));
                continue;
            }
            strbuf_add_char(out, ' ');
            strbuf_add(out, word);
        }
    }
}

static bool is_readable(struct bytes record)
{
    struct arena *arena = arena_new();
    struct spf_record parsed;
    bool is_good = spf_record_parse(record, arena, &parsed);

    arena_free(&arena);
    return is_good;
}

void spf_merge_add(struct strbuf *out, const struct bytes *records, size_t record_count,
                   const struct ip_address *addresses, size_t address_count)
{
    struct bytes all = BYTES("");
    size_t kept = 0;
    struct strbuf text; /* whole or not at all, whatever `out` has before it */

    strbuf_init(&text, (size_t)(record_count + 1) * SPF_RECORD_LIMIT);
    strbuf_add_text(&text, "v=spf1");
    add_addresses(&text, addresses, address_count);
    for (size_t i = 0; i < record_count; i++) {
        if (is_readable(records[i])) {
            add_terms(&text, records[i], &all);
            kept++;
        }
    }
    if (kept == 0) {
        all = BYTES("-all");
    }
    if (all.len > 0) {
        strbuf_add_char(&text, ' ');
        strbuf_add(&text, all);
    }
    strbuf_add(out, strbuf_bytes(&text));
    strbuf_clear(&text);
}
