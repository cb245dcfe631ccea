/*
 *   1 alias_import_add      names are read and noted, values only kept: what a target without a domain means depends on all names
 *   2 alias_import_finish   domains that are only declared; then every value becomes our action, or is left out
 *   3 alias_import_add_file the lines of one domain
 */
#include "alias_import_internal.h"

#include "auth/idn_domain.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "forward/import_line.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

enum { SHOWN_LIMIT = 200, TEXT_LIMIT = 1024 * 1024 * 1024 };

/* As people are shown it. */
static struct bytes without_tabs(struct alias_import *import, struct bytes text)
{
    char *copy;

    if (bytes_find(text, '\t') == text.len) {
        return text;
    }
    copy = arena_copy_text(import->arena, text);
    for (size_t i = 0; i < text.len; i++) {
        copy[i] = copy[i] == '\t' ? ' ' : copy[i];
    }
    return bytes_of(copy, text.len);
}

/* ---- lists that grow ---- */

void alias_import_leave_out(struct alias_import *import, struct import_row *line,
                            struct bytes text, const char *why)
{
    if (import->problem_count == import->problem_capacity) {
        import->problem_capacity = import->problem_capacity * 2 + 16;
        import->problems =
            memory_resize(import->problems, import->problem_capacity, sizeof *import->problems);
    }
    if (line->problem_count++ == 0) {
        line->first_problem = import->problem_count;
    }
    import->problems[import->problem_count++] = (struct alias_import_problem){
        line->entry.source, line->entry.line, without_tabs(import, text), why};
}

static struct import_row *add_line(struct alias_import *import)
{
    struct import_row *line = arena_alloc(import->arena, sizeof *line);

    if (import->line_count == import->line_capacity) {
        import->line_capacity = import->line_capacity * 2 + 64;
        import->lines =
            memory_resize(import->lines, import->line_capacity, sizeof *import->lines);
    }
    import->lines[import->line_count++] = line;
    return line;
}

/* The one form in which domains can be compared. */
struct bytes alias_import_plain_domain(struct alias_import *import, struct bytes name)
{
    struct bytes ascii;

    return idn_domain_to_ascii(name, import->arena, &ascii)
               ? ascii
               : arena_copy_lower(import->arena, name);
}

/* The number of a domain of ours; it becomes one. */
static size_t domain_number(struct alias_import *import, struct bytes name)
{
    struct bytes folded = alias_import_plain_domain(import, name);
    char *found = hash_table_get(import->domain_numbers, folded);

    if (found == NULL) {
        import->domains =
            memory_resize(import->domains, import->domain_count + 1, sizeof *import->domains);
        import->domains[import->domain_count++].name = folded;
        /* the number as a pointer: one more, since NULL means "not there" */
        found = (char *)(uintptr_t)import->domain_count;
        (void)hash_table_put(import->domain_numbers, folded, found);
    }
    return (size_t)(uintptr_t)found - 1;
}

struct bytes alias_import_name_key(struct alias_import *import, struct bytes local,
                                   struct bytes domain)
{
    struct strbuf key;
    struct bytes copy;

    strbuf_init(&key, local.len + domain.len + 2);
    strbuf_add(&key, local);
    strbuf_add_char(&key, '@');
    strbuf_add(&key, domain);
    copy = arena_copy_lower(import->arena, strbuf_bytes(&key));
    strbuf_clear(&key);
    return copy;
}

/* ---- names ---- */

/* "john doe" without a domain, decoded. */
bool alias_import_read_local(struct alias_import *import, struct bytes text,
                             struct bytes *local)
{
    struct smtp_mailbox mailbox;
    struct strbuf whole;
    struct bytes copy;

    strbuf_init(&whole, text.len + 8);
    strbuf_addf(&whole, BYTES_FMT "@a.b", BYTES_ARG(text));
    copy = arena_copy(import->arena, strbuf_bytes(&whole));
    strbuf_clear(&whole);
    if (smtp_mailbox_parse(copy, true, false, import->arena, &mailbox) != SMTP_PATH_OK ||
        mailbox.local.len == 0 || !bytes_equal(mailbox.domain, BYTES("a.b"))) {
        return false;
    }
    *local = mailbox.local;
    return true;
}

/* As alias_line has it: quoted where it would be something else without. */
static struct bytes written_local(struct alias_import *import, struct bytes local)
{
    struct smtp_mailbox mailbox = {.local = local, .domain = BYTES("a.b")};
    bool is_special = bytes_equal(local, BYTES("*")) || bytes_starts_with(local, BYTES("/")) ||
                      bytes_starts_with(local, BYTES("#"));
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 8 * ALIAS_LOCAL_LIMIT);
    if (is_special) {
        strbuf_addf(&text, "\"" BYTES_FMT "\"@a.b", BYTES_ARG(local));
    } else {
        smtp_mailbox_add(&text, &mailbox);
    }
    copy = arena_copy(import->arena, bytes_first(strbuf_bytes(&text), text.len - 4));
    strbuf_clear(&text);
    return copy;
}

/* "info@example.org", "@example.org", "info"; in alias files also "*". In a table of Postfix a star is a star. */
static bool read_address(struct alias_import *import, struct import_row *line,
                         struct bytes text, struct bytes *domain)
{
    size_t at = bytes_find_last(text, '@');
    struct bytes local = bytes_first(text, at);

    *domain = bytes_skip(text, at + 1);
    line->has_domain = at < text.len;
    if (line->has_domain && !smtp_domain_is_valid(*domain, true)) {
        alias_import_leave_out(import, line, line->text,
                               "the name has no good domain behind its @");
        return false;
    }
    if ((local.len == 0 && line->has_domain) ||
        (line->kind == ALIAS_IMPORT_ALIASES && bytes_equal(local, BYTES("*")))) {
        line->name_kind = ALIAS_NAME_ANY;
        line->local = BYTES("*");
        return true;
    }
    line->name_kind = ALIAS_NAME_EXACT;
    if (!alias_import_read_local(import, local, &line->local)) {
        alias_import_leave_out(import, line, line->text,
                               "the name is no local part of an address");
        return false;
    }
    return true;
}

static const char DOMAIN_MISSING[] = "the name has no domain: say which with --domain DOMAIN";

/* Notes the name. Of two equal ones the first counts. */
static void enter_name(struct alias_import *import, struct import_row *line,
                       struct bytes domain)
{
    struct bytes key;

    if (domain.len == 0) {
        domain = import->options.domain;
    }
    if (domain.len == 0) {
        alias_import_leave_out(import, line, line->text, DOMAIN_MISSING);
        return;
    }
    line->entry.domain = domain_number(import, domain);
    domain = import->domains[line->entry.domain].name;
    if (line->name_kind != ALIAS_NAME_ANY &&
        import_pattern_list_takes(&import->patterns, line->entry.domain,
                                  line->name_kind == ALIAS_NAME_EXACT
                                      ? arena_copy_text(import->arena, line->local)
                                      : NULL)) {
        alias_import_leave_out(
            import, line, line->text,
            "a pattern that came before takes this mail, and the first one counts");
        return;
    }
    if (line->name_kind != ALIAS_NAME_REGEX) {
        key = alias_import_name_key(
            import, line->name_kind == ALIAS_NAME_ANY ? BYTES("") : line->local, domain);
        if (hash_table_get(import->names, key) != NULL) {
            alias_import_leave_out(import, line, line->text,
                                   "this name came before, and the first one counts");
            return;
        }
        (void)hash_table_put(import->names, key, line);
    }
    switch (line->name_kind) {
    case ALIAS_NAME_ANY:
        line->entry.name = BYTES("*");
        break;
    case ALIAS_NAME_EXACT:
        line->entry.name = written_local(import, line->local);
        break;
    case ALIAS_NAME_REGEX:
        line->entry.name = line->local;
        break;
    }
}

static void read_pattern(struct alias_import *import, struct import_row *line)
{
    struct import_pattern pattern;
    struct bytes rest = line->text;
    struct strbuf name;
    const char *why;

    if (import_pattern_take(&rest, import->arena, &pattern, &why) == IMPORT_PATTERN_OTHER) {
        alias_import_leave_out(import, line, line->text, why);
        return;
    }
    line->value = rest;
    line->has_domain = true;
    if (pattern.is_any) {
        line->name_kind = ALIAS_NAME_ANY;
    } else {
        line->name_kind = ALIAS_NAME_REGEX;
        strbuf_init(&name, pattern.local.len + 4);
        strbuf_addf(&name, "/" BYTES_FMT "/", BYTES_ARG(pattern.local));
        line->local = arena_copy(import->arena, strbuf_bytes(&name));
        strbuf_clear(&name);
    }
    enter_name(import, line, pattern.domain);
    if (line->entry.name.len > 0) {
        import_pattern_list_add(&import->patterns, line->entry.domain, &pattern);
    }
}

/* Octets of the name at the start; a quoted local part may hold anything. */
size_t alias_import_name_length(struct bytes text, const char *ends)
{
    bool is_quoted = false;
    size_t i;

    for (i = 0; i < text.len; i++) {
        char octet = text.data[i];
        if (octet == '"') {
            is_quoted = !is_quoted;
        } else if (is_quoted && octet == '\\' && i + 1 < text.len) {
            i++;
        } else if (!is_quoted && octet != '\0' && strchr(ends, octet) != NULL) {
            break;
        }
    }
    return i;
}

static void read_line(struct alias_import *import, struct import_row *line)
{
    bool is_virtual = line->kind == ALIAS_IMPORT_VIRTUAL;
    struct bytes name, domain;
    size_t len;

    if (memchr(line->text.data, '\0', line->text.len) != NULL ||
        memchr(line->text.data, '\r', line->text.len) != NULL) {
        alias_import_leave_out(import, line, line->text,
                               "the line holds NUL or CR: this is no text file");
        return;
    }
    if (line->text.len > ALIAS_LINE_LIMIT / 2) {
        alias_import_leave_out(import, line, bytes_first(line->text, SHOWN_LIMIT),
                               "the line is too long");
        return;
    }
    if (import_pattern_is_meant(line->text)) {
        read_pattern(import, line);
        return;
    }
    len = alias_import_name_length(line->text, is_virtual ? " \t:" : ":");
    name = bytes_trim(bytes_first(line->text, len));
    line->value = bytes_trim(bytes_skip(line->text, len + (len < line->text.len)));
    if (line->value.len == 0) {
        alias_import_leave_out(import, line, line->text,
                               is_virtual ? "no target behind the name"
                                          : "no target behind the name and its colon");
    } else if (read_address(import, line, name, &domain) && (!is_virtual || line->has_domain)) {
        enter_name(import, line, domain);
    } /* else it is a domain or a user: known when all names are */
}

void alias_import_add(struct alias_import *import, enum alias_import_kind kind,
                      struct bytes source, struct bytes text)
{
    struct import_lines lines = {.rest = text};
    struct import_line next;
    enum import_line_kind found;

    while ((found = import_line_next(&lines, import->arena, &next)) != IMPORT_LINE_END) {
        struct import_row *line;

        if (found == IMPORT_LINE_COMMENT) {
            strbuf_add(&import->comments, next.text);
            strbuf_add_char(&import->comments, '\n');
            continue;
        }
        strbuf_add(&import->comments, next.inside);
        line = add_line(import);
        *line = (struct import_row){
            .kind = kind,
            .text = next.text,
            .comments = arena_copy(import->arena, strbuf_bytes(&import->comments)),
            .entry = {.domain = NO_DOMAIN, .source = source, .line = next.number}};
        strbuf_reset(&import->comments);
        if (found == IMPORT_LINE_ORPHAN) {
            alias_import_leave_out(import, line, line->text,
                                   "it begins with a blank, and goes on with nothing");
        } else {
            read_line(import, line);
        }
    }
}

/* ---- the whole ---- */

/* What was a mailbox or a program must not become the mail of whoever has the catch-all. */
static bool has_other_taker(struct alias_import *import, const struct import_row *line)
{
    struct bytes domain = import->domains[line->entry.domain].name;

    return line->name_kind != ALIAS_NAME_ANY &&
           (hash_table_get(import->names, alias_import_name_key(import, BYTES(""), domain)) !=
                NULL ||
            (line->name_kind == ALIAS_NAME_EXACT &&
             import_pattern_list_has(&import->patterns, line->entry.domain)));
}

static void finish_line(struct alias_import *import, struct import_row *line)
{
    struct import_reading reading = {.import = import, .line = line};

    strbuf_init(&reading.targets, ALIAS_LINE_LIMIT - 1024);
    if (!alias_import_take_action(&reading)) {
        alias_import_take_targets(&reading);
    }
    if (reading.targets.overflowed) {
        alias_import_leave_out(import, line, bytes_first(line->text, SHOWN_LIMIT),
                               "the line is too long");
    } else if (reading.count == 0 && line->problem_count == 0) {
        alias_import_leave_out(import, line, line->text, "no target behind the name");
    } else if (reading.count == 0 && has_other_taker(import, line)) {
        strbuf_add_text(&reading.targets, ":defer:");
        reading.count = 1;
    }
    if (!reading.targets.overflowed && reading.count > 0) {
        line->entry.action = arena_copy(import->arena, strbuf_bytes(&reading.targets));
        import->entries[import->entry_count++] = &line->entry;
    }
    strbuf_clear(&reading.targets);
}

/* "example.org anything": a domain is declared. "john.doe jdoe" looks the same, but a user's target is a user. */
static bool is_declaration(const struct alias_import *import, const struct import_row *line)
{
    bool is_one_word = alias_import_name_length(line->value, " \t,@|/:") == line->value.len;

    return is_one_word && bytes_find(line->local, '.') < line->local.len &&
           smtp_domain_is_valid(line->local, true) &&
           (import->options.domain.len == 0 ||
            hash_table_get(import->domain_numbers, line->local) != NULL);
}

static void settle_bare_names(struct alias_import *import)
{
    for (size_t i = 0; i < import->line_count; i++) {
        struct import_row *line = import->lines[i];

        if (line->kind != ALIAS_IMPORT_VIRTUAL || line->has_domain || line->problem_count > 0) {
            continue;
        }
        line->local = arena_copy_lower(import->arena, line->local);
        if (is_declaration(import, line)) {
            line->entry.domain = domain_number(import, line->local);
        } else {
            enter_name(import, line, BYTES(""));
        }
    }
}

/* Lines that belong to no domain stand with the ones above them. */
static void settle_homeless(struct alias_import *import)
{
    size_t domain = 0;

    for (size_t i = 0; i < import->line_count; i++) {
        struct import_row *line = import->lines[i];
        if (line->entry.domain == NO_DOMAIN) {
            line->entry.domain = domain;
        }
        domain = line->entry.domain;
    }
}

/* In the order of the lines, in which people look for them. Those of one line stand together: either its name was
 * wrong, or its targets were looked at. */
static void order_problems(struct alias_import *import)
{
    struct alias_import_problem *ordered =
        memory_resize(NULL, import->problem_count + 1, sizeof *ordered);
    size_t count = 0;

    for (size_t i = 0; i < import->line_count; i++) {
        struct import_row *line = import->lines[i];
        size_t first = count;
        for (size_t k = 0; k < line->problem_count; k++) {
            ordered[count++] = import->problems[line->first_problem + k];
        }
        line->first_problem = first;
    }
    free(import->problems);
    import->problems = ordered;
}

void alias_import_finish(struct alias_import *import)
{
    settle_bare_names(import);
    import->entries = memory_resize(NULL, import->line_count + 1, sizeof(*import->entries));
    for (size_t i = 0; i < import->line_count; i++) {
        if (import->lines[i]->entry.name.len > 0) {
            finish_line(import, import->lines[i]);
        }
    }
    settle_homeless(import);
    order_problems(import);
}

struct alias_import *alias_import_new(const struct alias_import_options *options)
{
    struct alias_import *import = memory_zero(sizeof *import);

    import->options = *options;
    import->arena = arena_new();
    import->domain_numbers = hash_table_new(options->key);
    import->names = hash_table_new(options->key);
    strbuf_init(&import->comments, TEXT_LIMIT);
    if (options->domain.len > 0) {
        (void)domain_number(import, options->domain);
    }
    return import;
}

void alias_import_free(struct alias_import **import)
{
    if (*import == NULL) {
        return;
    }
    hash_table_free(&(*import)->domain_numbers);
    hash_table_free(&(*import)->names);
    import_pattern_list_clear(&(*import)->patterns);
    arena_free(&(*import)->arena);
    strbuf_clear(&(*import)->comments);
    free((*import)->lines);
    free((*import)->domains);
    free((*import)->problems);
    free((void *)(*import)->entries);
    free(*import);
    *import = NULL;
}

size_t alias_import_domain_count(const struct alias_import *import)
{
    return import->domain_count;
}

struct bytes alias_import_domain_name(const struct alias_import *import, size_t domain)
{
    return import->domains[domain].name;
}

size_t alias_import_entry_count(const struct alias_import *import)
{
    return import->entry_count;
}

const struct alias_import_entry *alias_import_entry(const struct alias_import *import,
                                                    size_t index)
{
    return import->entries[index];
}

size_t alias_import_problem_count(const struct alias_import *import)
{
    return import->problem_count;
}

const struct alias_import_problem *alias_import_problem(const struct alias_import *import,
                                                        size_t index)
{
    return &import->problems[index];
}

/* ---- our file ---- */

static void add_comments(struct strbuf *out, struct bytes comments)
{
    while (comments.len > 0) {
        strbuf_add(out, bytes_cut(&comments, '\n'));
        strbuf_add_char(out, '\n');
    }
}

static void add_left_out(const struct alias_import *import, const struct import_row *line,
                         struct strbuf *out)
{
    for (size_t i = 0; i < line->problem_count; i++) {
        const struct alias_import_problem *problem = &import->problems[line->first_problem + i];
        strbuf_add_text(out, "# left out: ");
        utf8_add_printable(out, bytes_first(problem->text, SHOWN_LIMIT));
        strbuf_addf(out, "   (%s)\n", problem->why);
    }
}

void alias_import_add_file(const struct alias_import *import, size_t domain, struct strbuf *out)
{
    for (size_t i = 0; i < import->line_count; i++) {
        const struct import_row *line = import->lines[i];

        if (line->entry.domain != domain) {
            continue;
        }
        add_comments(out, line->comments);
        add_left_out(import, line, out);
        if (line->entry.action.len > 0) {
            strbuf_addf(out, BYTES_FMT ": " BYTES_FMT "\n", BYTES_ARG(line->entry.name),
                        BYTES_ARG(line->entry.action));
        }
    }
    if (domain + 1 == import->domain_count) {
        add_comments(out, strbuf_bytes(&import->comments));
    }
}
