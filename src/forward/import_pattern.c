#include "forward/import_pattern.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "protocol/smtp_path.h"

#include <regex.h>
#include <stdlib.h>

enum { PATTERN_LIMIT = 1000 };

static enum import_pattern_result other(const char **why, const char *reason)
{
    *why = reason;
    return IMPORT_PATTERN_OTHER;
}

static bool begins_with_word(struct bytes line, struct bytes word)
{
    return bytes_starts_with_nocase(line, word) &&
           (line.len == word.len || strchr(" \t/!", line.data[word.len]) != NULL);
}

bool import_pattern_is_meant(struct bytes line)
{
    return bytes_starts_with(line, BYTES("/")) || bytes_starts_with(line, BYTES("!/")) ||
           begins_with_word(line, BYTES("if")) || begins_with_word(line, BYTES("endif"));
}

/* Index of the next of `octets` that is neither escaped nor within [...]; text.len: none. */
static size_t find_bare(struct bytes text, const char *octets, size_t start)
{
    bool is_in_set = false;

    for (size_t i = start; i < text.len; i++) {
        char octet = text.data[i];
        if (octet == '\\' && !is_in_set) {
            i++;
        } else if (is_in_set) {
            is_in_set = octet != ']';
        } else if (octet != '\0' && strchr(octets, octet) != NULL) {
            return i;
        } else if (octet == '[') {
            is_in_set = true;
            i += i + 1 < text.len && text.data[i + 1] == '^';
            i += i + 1 < text.len && text.data[i + 1] == ']'; /* "[]a]" */
        }
    }
    return text.len;
}

static size_t find_last_bare(struct bytes text, const char *octets)
{
    size_t last = text.len;

    for (size_t i = find_bare(text, octets, 0); i < text.len;
         i = find_bare(text, octets, i + 1)) {
        last = i;
    }
    return last;
}

/* "a|b" with nothing around it: what stands before and behind would belong to one side only. */
static bool has_bare_choice(struct bytes text)
{
    int depth = 0;

    for (size_t i = find_bare(text, "()|", 0); i < text.len;
         i = find_bare(text, "()|", i + 1)) {
        depth += text.data[i] == '(' ? 1 : text.data[i] == ')' ? -1 : 0;
        if (depth < 0 || (depth == 0 && text.data[i] == '|')) {
            return true;
        }
    }
    return depth != 0;
}

/* What only pcre knows: "(?", "\d", "a++" and the like. */
static bool has_foreign_syntax(struct bytes text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] == '\\') {
            i++;
            if (ascii_is_alnum((unsigned char)text.data[i])) {
                return true;
            }
        } else if (text.data[i] == '(' && text.data[i + 1] == '?') {
            return true;
        } else if (strchr("*+?", text.data[i]) != NULL &&
                   strchr("*+", text.data[i + 1]) != NULL) {
            return true; /* possessive; for regcomp a repetition of a repetition, which it cannot afford */
        }
    }
    return false;
}

/* "example\.org$" as a name. An unescaped dot is meant as one. */
static bool take_domain(struct bytes text, struct arena *arena, struct bytes *domain)
{
    struct strbuf name;
    bool is_good;

    if (text.len > 0 && text.data[text.len - 1] == '$') {
        text.len--;
    }
    strbuf_init(&name, PATTERN_LIMIT + 1);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len) {
            i++;
        }
        strbuf_add_char(&name, text.data[i]);
    }
    is_good = name.len == 0 || smtp_domain_is_valid(strbuf_bytes(&name), true);
    *domain = arena_copy_lower(arena, strbuf_bytes(&name));
    strbuf_clear(&name);
    return is_good;
}

static bool is_everything(struct bytes text)
{
    static const struct bytes forms[] = {{".*", 2}, {".+", 2}, {"(.*)", 4}, {"(.+)", 4}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (bytes_equal(text, forms[i])) {
            return true;
        }
    }
    return text.len == 0;
}

/* As one text for regcomp: the shortest that says what was meant. */
static bool take_local(struct bytes text, struct arena *arena, struct import_pattern *pattern)
{
    bool is_from_start = bytes_starts_with(text, BYTES("^"));
    struct bytes rest = bytes_skip(text, is_from_start ? 1 : 0);
    struct strbuf local;
    regex_t compiled;
    bool is_good;

    pattern->is_any = is_everything(rest);
    if (pattern->is_any) {
        return !is_from_start || rest.len > 0; /* "^@" is nobody */
    }
    strbuf_init(&local, PATTERN_LIMIT + 4);
    strbuf_add_text(&local, is_from_start ? "" : ".*");
    strbuf_add(&local, rest);
    is_good =
        memchr(rest.data, '\0', rest.len) == NULL &&
        regcomp(&compiled, strbuf_text(&local), REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0;
    if (is_good) {
        regfree(&compiled);
    }
    pattern->local = arena_copy(arena, strbuf_bytes(&local));
    strbuf_clear(&local);
    return is_good;
}

static enum import_pattern_result read_pattern(struct bytes text, struct arena *arena,
                                               struct import_pattern *pattern, const char **why)
{
    size_t at = find_last_bare(text, "@");

    if (text.len > PATTERN_LIMIT) {
        return other(why, "a pattern of more than 1000 octets");
    }
    if (has_foreign_syntax(text)) {
        return other(why, "this is written in pcre's own syntax; here they are POSIX extended");
    }
    if (at == text.len) {
        return other(why, "the pattern says no domain behind an @");
    }
    if (!take_domain(bytes_skip(text, at + 1), arena, &pattern->domain)) {
        return other(why, "the pattern stands for more than one domain");
    }
    text = bytes_first(text, at);
    if (find_bare(text, "@$", 0) < text.len || has_bare_choice(text)) {
        return other(why, "the pattern cannot be cut at its @ into local part and domain");
    }
    if (!take_local(text, arena, pattern)) {
        return other(why, "the local part of the pattern is no good regular expression");
    }
    return IMPORT_PATTERN_OK;
}

enum import_pattern_result import_pattern_take(struct bytes *line, struct arena *arena,
                                               struct import_pattern *pattern, const char **why)
{
    struct bytes inside = bytes_skip(*line, 1), flags;
    size_t end = 0;

    *pattern = (struct import_pattern){.is_any = false};
    if (!bytes_starts_with(*line, BYTES("/"))) {
        return other(why, "if, endif and ! have no equal here");
    }
    while (end < inside.len && inside.data[end] != '/') {
        end += inside.data[end] == '\\' ? 2 : 1;
    }
    if (end >= inside.len) {
        return other(why, "the pattern has no closing slash");
    }
    *line = bytes_skip(inside, end + 1);
    flags = bytes_first(*line, 0);
    while (flags.len < line->len && ascii_is_alnum((unsigned char)line->data[flags.len])) {
        flags.len++;
    }
    *line = bytes_trim(bytes_skip(*line, flags.len));
    if (flags.len > 0) {
        return other(why, "flags behind the pattern have no equal here");
    }
    return read_pattern(bytes_first(inside, end), arena, pattern, why);
}

/* ---- those that were taken ---- */

struct import_pattern_item {
    struct import_pattern_item *next;
    size_t domain;
    bool is_any;
    regex_t compiled; /* not is_any: over whole local parts */
};

void import_pattern_list_add(struct import_pattern_list *list, size_t domain,
                             const struct import_pattern *pattern)
{
    struct import_pattern_item *item = memory_zero(sizeof *item);
    struct strbuf text;

    item->domain = domain;
    item->is_any = pattern->is_any;
    strbuf_init(&text, PATTERN_LIMIT + 16);
    strbuf_addf(&text, "^(" BYTES_FMT ")$", BYTES_ARG(pattern->local));
    if (item->is_any || regcomp(&item->compiled, strbuf_text(&text),
                                REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0) {
        item->next = list->first;
        list->first = item;
    } else {
        free(item);
    }
    strbuf_clear(&text);
}

bool import_pattern_list_takes(const struct import_pattern_list *list, size_t domain,
                               const char *local)
{
    for (const struct import_pattern_item *item = list->first; item != NULL;
         item = item->next) {
        if (item->domain == domain &&
            (item->is_any ||
             (local != NULL && regexec(&item->compiled, local, 0, NULL, 0) == 0))) {
            return true;
        }
    }
    return false;
}

bool import_pattern_list_has(const struct import_pattern_list *list, size_t domain)
{
    for (const struct import_pattern_item *item = list->first; item != NULL;
         item = item->next) {
        if (item->domain == domain) {
            return true;
        }
    }
    return false;
}

void import_pattern_list_clear(struct import_pattern_list *list)
{
    while (list->first != NULL) {
        struct import_pattern_item *item = list->first;

        list->first = item->next;
        if (!item->is_any) {
            regfree(&item->compiled);
        }
        free(item);
    }
}
