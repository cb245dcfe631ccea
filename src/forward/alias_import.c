/*
 *   1 alias_import_add      names are read and noted, values only kept: what a target without a domain means depends on all names
 *   2 alias_import_finish   domains that are only declared; then every value becomes our action, or is left out
 *   3 alias_import_add_file the lines of one domain
 */
#include "forward/alias_import.h"

#include "auth/idn_domain.h"
#include "base/arena.h"
#include "base/hash_table.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "forward/import_line.h"
#include "forward/import_pattern.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

enum { SHOWN_LIMIT = 200, TEXT_LIMIT = 1024 * 1024 * 1024 };

#define NO_DOMAIN ((size_t)-1)

struct line {
    struct alias_import_entry entry; /* name empty: only comments, or left out */
    enum alias_import_kind kind;
    enum alias_name_kind name_kind;
    bool has_domain;       /* the name said one */
    struct bytes text;     /* as written, joined */
    struct bytes value;    /* behind the name */
    struct bytes local;    /* EXACT: decoded; REGEX: the pattern */
    struct bytes comments; /* above it */
    size_t first_problem, problem_count;
};

struct domain {
    struct bytes name;
};

struct alias_import {
    struct alias_import_options options;
    struct arena *arena;
    struct line **lines;
    size_t line_count, line_capacity;
    struct domain *domains;
    size_t domain_count;
    struct hash_table *domain_numbers; /* to struct line's index plus one */
    struct hash_table *names;          /* "local@domain", folded, to struct line */
    struct import_pattern_list patterns;
    struct alias_import_problem *problems;
    size_t problem_count, problem_capacity;
    const struct alias_import_entry **entries;
    size_t entry_count;
    struct strbuf comments; /* waiting for the line below them */
};

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

static void leave_out(struct alias_import *import, struct line *line, struct bytes text,
                      const char *why)
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

static struct line *add_line(struct alias_import *import)
{
    struct line *line = arena_alloc(import->arena, sizeof *line);

    if (import->line_count == import->line_capacity) {
        import->line_capacity = import->line_capacity * 2 + 64;
        import->lines =
            memory_resize(import->lines, import->line_capacity, sizeof *import->lines);
    }
    import->lines[import->line_count++] = line;
    return line;
}

/* The one form in which domains can be compared. */
static struct bytes plain_domain(struct alias_import *import, struct bytes name)
{
    struct bytes ascii;

    return idn_domain_to_ascii(name, import->arena, &ascii)
               ? ascii
               : arena_copy_lower(import->arena, name);
}

/* The number of a domain of ours; it becomes one. */
static size_t domain_number(struct alias_import *import, struct bytes name)
{
    struct bytes folded = plain_domain(import, name);
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

static struct bytes name_key(struct alias_import *import, struct bytes local,
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
static bool read_local(struct alias_import *import, struct bytes text, struct bytes *local)
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

/* "info@example.org", "@example.org", "*@example.org", "info", "*" */
static bool read_address(struct alias_import *import, struct line *line, struct bytes text,
                         struct bytes *domain)
{
    size_t at = bytes_find_last(text, '@');
    struct bytes local = bytes_first(text, at);

    *domain = bytes_skip(text, at + 1);
    line->has_domain = at < text.len;
    if (line->has_domain && !smtp_domain_is_valid(*domain, true)) {
        leave_out(import, line, line->text, "the name has no good domain behind its @");
        return false;
    }
    if ((local.len == 0 && line->has_domain) || bytes_equal(local, BYTES("*"))) {
        line->name_kind = ALIAS_NAME_ANY;
        line->local = BYTES("*");
        return true;
    }
    line->name_kind = ALIAS_NAME_EXACT;
    if (!read_local(import, local, &line->local)) {
        leave_out(import, line, line->text, "the name is no local part of an address");
        return false;
    }
    return true;
}

static const char DOMAIN_MISSING[] = "the name has no domain: say which with --domain DOMAIN";

/* Notes the name. Of two equal ones the first counts. */
static void enter_name(struct alias_import *import, struct line *line, struct bytes domain)
{
    struct bytes key;

    if (domain.len == 0) {
        domain = import->options.domain;
    }
    if (domain.len == 0) {
        leave_out(import, line, line->text, DOMAIN_MISSING);
        return;
    }
    line->entry.domain = domain_number(import, domain);
    domain = import->domains[line->entry.domain].name;
    if (line->name_kind != ALIAS_NAME_ANY &&
        import_pattern_list_takes(&import->patterns, line->entry.domain,
                                  line->name_kind == ALIAS_NAME_EXACT
                                      ? arena_copy_text(import->arena, line->local)
                                      : NULL)) {
        leave_out(import, line, line->text,
                  "a pattern that came before takes this mail, and the first one counts");
        return;
    }
    if (line->name_kind != ALIAS_NAME_REGEX) {
        key = name_key(import, line->name_kind == ALIAS_NAME_ANY ? BYTES("") : line->local,
                       domain);
        if (hash_table_get(import->names, key) != NULL) {
            leave_out(import, line, line->text,
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

static void read_pattern(struct alias_import *import, struct line *line)
{
    struct import_pattern pattern;
    struct bytes rest = line->text;
    struct strbuf name;
    const char *why;

    if (import_pattern_take(&rest, import->arena, &pattern, &why) == IMPORT_PATTERN_OTHER) {
        leave_out(import, line, line->text, why);
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
static size_t name_length(struct bytes text, const char *ends)
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

static void read_line(struct alias_import *import, struct line *line)
{
    bool is_virtual = line->kind == ALIAS_IMPORT_VIRTUAL;
    struct bytes name, domain;
    size_t len;

    if (memchr(line->text.data, '\0', line->text.len) != NULL ||
        memchr(line->text.data, '\r', line->text.len) != NULL) {
        leave_out(import, line, line->text, "the line holds NUL or CR: this is no text file");
        return;
    }
    if (line->text.len > ALIAS_LINE_LIMIT / 2) {
        leave_out(import, line, bytes_first(line->text, SHOWN_LIMIT), "the line is too long");
        return;
    }
    if (import_pattern_is_meant(line->text)) {
        read_pattern(import, line);
        return;
    }
    len = name_length(line->text, is_virtual ? " \t:" : ":");
    name = bytes_trim(bytes_first(line->text, len));
    line->value = bytes_trim(bytes_skip(line->text, len + (len < line->text.len)));
    if (line->value.len == 0) {
        leave_out(import, line, line->text,
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
        struct line *line;

        if (found == IMPORT_LINE_COMMENT) {
            strbuf_add(&import->comments, next.text);
            strbuf_add_char(&import->comments, '\n');
            continue;
        }
        strbuf_add(&import->comments, next.inside);
        line = add_line(import);
        *line = (struct line){
            .kind = kind,
            .text = next.text,
            .comments = arena_copy(import->arena, strbuf_bytes(&import->comments)),
            .entry = {.domain = NO_DOMAIN, .source = source, .line = next.number}};
        strbuf_reset(&import->comments);
        if (found == IMPORT_LINE_ORPHAN) {
            leave_out(import, line, line->text,
                      "it begins with a blank, and goes on with nothing");
        } else {
            read_line(import, line);
        }
    }
}

/* ---- targets ---- */

/* One line's value on its way to our action. */
struct reading {
    struct alias_import *import;
    struct line *line;
    struct strbuf targets;
    size_t count;
};

static void leave_target(struct reading *reading, struct bytes target, const char *why)
{
    leave_out(reading->import, reading->line, target, why);
}

static void add_target(struct reading *reading, struct bytes target)
{
    if (reading->count == ALIAS_TARGETS_LIMIT) {
        leave_target(reading, arena_copy(reading->import->arena, target),
                     "more than 1000 targets behind one name");
        return;
    }
    strbuf_add_text(&reading->targets, reading->count++ > 0 ? ", " : "");
    strbuf_add(&reading->targets, target);
}

static void add_mailbox(struct reading *reading, struct bytes local, struct bytes domain,
                        bool is_literal)
{
    struct smtp_mailbox mailbox = {.local = local, .domain = domain, .is_literal = is_literal};
    struct strbuf text;

    strbuf_init(&text, ALIAS_LINE_LIMIT);
    if (bytes_starts_with(local, BYTES("#")) || bytes_equal(local, BYTES("*"))) {
        strbuf_addf(&text, "\"" BYTES_FMT "\"@%s" BYTES_FMT "%s", BYTES_ARG(local),
                    is_literal ? "[" : "", BYTES_ARG(domain), is_literal ? "]" : "");
    } else {
        smtp_mailbox_add(&text, &mailbox);
    }
    add_target(reading, strbuf_bytes(&text));
    strbuf_clear(&text);
}

static const char ITSELF[] =
    "it leads to itself, which means a mailbox: say where that is now with --local DOMAIN";

/* "bob": another alias, or a mailbox of that machine. */
static void take_bare(struct reading *reading, struct bytes target, bool is_mailbox)
{
    struct alias_import *import = reading->import;
    struct line *line = reading->line;
    struct bytes local, domain = import->options.domain;
    const struct line *named;

    if (!read_local(import, target, &local)) {
        leave_target(reading, target, "this is no address");
        return;
    }
    named = hash_table_get(import->names, name_key(import, local, domain));
    if (named != NULL && named != line && !is_mailbox && line->kind == ALIAS_IMPORT_ALIASES) {
        add_mailbox(reading, local, domain, false);
    } else if (import->options.local_domain.len > 0) {
        add_mailbox(reading, local, import->options.local_domain, false);
    } else {
        leave_target(reading, target,
                     line->name_kind == ALIAS_NAME_EXACT &&
                             bytes_equal_nocase(local, line->local)
                         ? ITSELF
                         : "a mailbox of that machine: say where it is now with "
                           "--local DOMAIN");
    }
}

/* "@example.net": the same local part there. */
static void take_domain(struct reading *reading, struct bytes domain)
{
    struct line *line = reading->line;
    struct strbuf text;

    if (!smtp_domain_is_valid(domain, true)) {
        leave_target(reading, domain, "this is no domain");
        return;
    }
    switch (line->name_kind) {
    case ALIAS_NAME_EXACT:
        add_mailbox(reading, line->local, domain, false);
        break;
    case ALIAS_NAME_ANY:
        strbuf_init(&text, 512);
        strbuf_addf(&text, "*@" BYTES_FMT, BYTES_ARG(domain));
        add_target(reading, strbuf_bytes(&text));
        strbuf_clear(&text);
        break;
    case ALIAS_NAME_REGEX:
        leave_target(reading, domain, "only a whole domain can go to another one");
        break;
    }
}

static void take_address(struct reading *reading, struct bytes target)
{
    struct alias_import *import = reading->import;
    struct line *line = reading->line;
    struct smtp_mailbox mailbox;

    if (target.data[0] == '@') {
        take_domain(reading, bytes_skip(target, 1));
    } else if (smtp_mailbox_parse(target, true, false, import->arena, &mailbox) !=
               SMTP_PATH_OK) {
        leave_target(reading, target, "this is no address");
    } else if (line->name_kind == ALIAS_NAME_EXACT &&
               bytes_equal_nocase(mailbox.local, line->local) &&
               bytes_equal(plain_domain(import, mailbox.domain),
                           import->domains[line->entry.domain].name)) {
        take_bare(reading, bytes_first(target, bytes_find_last(target, '@')), true);
    } else {
        add_mailbox(reading, mailbox.local, mailbox.domain, mailbox.is_literal);
    }
}

/* "$1@example.net" behind "/^(.*)@example\.org$/": the same as "@example.net". */
static bool take_captured(struct reading *reading, struct bytes target)
{
    static const struct bytes forms[] = {{"$1@", 3}, {"${1}@", 5}, {"$(1)@", 5}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (bytes_starts_with(target, forms[i]) && reading->line->name_kind == ALIAS_NAME_ANY) {
            take_domain(reading, bytes_skip(target, forms[i].len));
            return true;
        }
    }
    return false;
}

static const char *foreign_target(struct bytes target)
{
    if (target.data[0] == '|') {
        return "a program: mail is only forwarded here";
    }
    if (target.data[0] == '/') {
        return "a file: mail is only forwarded here";
    }
    if (bytes_starts_with_nocase(target, BYTES(":include:"))) {
        return "import that file, too: its addresses belong here";
    }
    if (target.data[0] == ':') {
        return "this word has no equal here";
    }
    return NULL;
}

/* One word or address. */
static void take_target(struct reading *reading, struct bytes target)
{
    bool is_pattern = import_pattern_is_meant(reading->line->text);
    const char *why;

    if (target.len > 1 && target.data[0] == '<' && target.data[target.len - 1] == '>') {
        target = bytes_between(target, 1, target.len - 1);
    }
    if (target.len == 0) {
        return;
    }
    why = foreign_target(target);
    if (why != NULL) {
        leave_target(reading, target, why);
    } else if (is_pattern && memchr(target.data, '$', target.len) != NULL) {
        if (!take_captured(reading, target)) {
            leave_target(reading, target,
                         "what the pattern found cannot be put into targets here");
        }
    } else if (target.data[0] == '\\') {
        take_bare(reading, bytes_skip(target, 1), true);
    } else if (bytes_find_last(target, '@') < target.len) {
        take_address(reading, target);
    } else {
        take_bare(reading, target, false);
    }
}

/* Programs and files may be quoted whole. */
static struct bytes without_quotes(struct bytes item)
{
    if (item.len > 2 && item.data[0] == '"' && item.data[item.len - 1] == '"' &&
        (strchr("|/:", item.data[1]) != NULL)) {
        return bytes_between(item, 1, item.len - 1);
    }
    return item;
}

/* "Anna Example <anna@a.example>": between the brackets. */
static bool take_named(struct reading *reading, struct bytes item)
{
    size_t open = bytes_find_last(item, '<');

    if (open == item.len || item.data[item.len - 1] != '>') {
        return false;
    }
    take_target(reading, bytes_skip(item, open));
    return true;
}

/* What stands between two commas. */
static void take_item(struct reading *reading, struct bytes item)
{
    struct bytes target;

    item = without_quotes(bytes_trim(item));
    if (item.len == 0) {
        return;
    }
    if (foreign_target(item) != NULL) {
        if (bytes_equal(item, BYTES("/dev/null"))) {
            return; /* beside other targets it adds nothing */
        }
        take_target(reading, item);
        return;
    }
    if (take_named(reading, item)) {
        return;
    }
    while (alias_line_next_target(&item, &target)) {
        take_target(reading, target);
    }
}

/* "a@x, b@y # since May": no program takes it for addresses on purpose. */
static struct bytes without_comment(struct bytes value)
{
    size_t len = 0;

    while (len < value.len) {
        size_t next = len + name_length(bytes_skip(value, len), "#");
        if (next < value.len && (next == 0 || strchr(" \t,", value.data[next - 1]) != NULL)) {
            return bytes_first(value, next);
        }
        len = next + 1;
    }
    return value;
}

static void take_targets(struct reading *reading)
{
    struct bytes rest = without_comment(reading->line->value);

    while (rest.len > 0) {
        size_t len = name_length(rest, ",");
        take_item(reading, bytes_first(rest, len));
        rest = bytes_skip(rest, len + 1);
    }
}

/* ---- what is no list of addresses ---- */

struct action_word {
    struct bytes word;
    enum alias_action action;
};

static const struct action_word action_words[] = {
    {{":fail:", 6}, ALIAS_REFUSE},    {{":unknown:", 9}, ALIAS_REFUSE},
    {{":refuse:", 8}, ALIAS_REFUSE},  {{"error:", 6}, ALIAS_REFUSE},
    {{":defer:", 7}, ALIAS_DEFER},    {{":blackhole:", 11}, ALIAS_DISCARD},
    {{":discard:", 9}, ALIAS_DISCARD}};

static void write_reply(struct reading *reading, enum alias_action action, struct bytes text)
{
    struct alias_line_error error;
    struct alias_reply reply;
    bool is_defer = action == ALIAS_DEFER || (text.len > 3 && text.data[0] == '4' &&
                                              ascii_is_digit((unsigned char)text.data[1]) &&
                                              ascii_is_digit((unsigned char)text.data[2]));

    if (alias_reply_parse(text, is_defer, &reply, &error)) {
        strbuf_addf(&reading->targets, "%s" BYTES_FMT,
                    is_defer       ? text.len > 0 ? ":defer: " : ":defer:"
                    : text.len > 0 ? ":refuse: "
                                   : ":refuse:",
                    BYTES_ARG(text));
    } else {
        leave_target(reading, text,
                     "this text cannot be an answer: it says the mail is taken "
                     "all the same, or it is too long");
        strbuf_add_text(&reading->targets, is_defer ? ":defer:" : ":refuse:");
    }
    reading->count = 1;
}

static bool take_action(struct reading *reading)
{
    struct bytes value = without_quotes(reading->line->value);

    for (size_t i = 0; i < sizeof action_words / sizeof action_words[0]; i++) {
        const struct action_word *word = &action_words[i];
        if (!bytes_starts_with_nocase(value, word->word)) {
            continue;
        }
        if (word->action == ALIAS_DISCARD) {
            strbuf_add_text(&reading->targets, ":discard:");
            reading->count = 1;
        } else {
            write_reply(reading, word->action, bytes_trim(bytes_skip(value, word->word.len)));
        }
        return true;
    }
    if (bytes_equal(value, BYTES("/dev/null"))) {
        strbuf_add_text(&reading->targets, ":discard:");
        reading->count = 1;
        return true;
    }
    return false;
}

/* ---- the whole ---- */

/* What was a mailbox or a program must not become the mail of whoever has the catch-all. */
static bool has_other_taker(struct alias_import *import, const struct line *line)
{
    struct bytes domain = import->domains[line->entry.domain].name;

    return line->name_kind != ALIAS_NAME_ANY &&
           (hash_table_get(import->names, name_key(import, BYTES(""), domain)) != NULL ||
            (line->name_kind == ALIAS_NAME_EXACT &&
             import_pattern_list_has(&import->patterns, line->entry.domain)));
}

static void finish_line(struct alias_import *import, struct line *line)
{
    struct reading reading = {.import = import, .line = line};

    strbuf_init(&reading.targets, ALIAS_LINE_LIMIT - 1024);
    if (!take_action(&reading)) {
        take_targets(&reading);
    }
    if (reading.targets.overflowed) {
        leave_out(import, line, bytes_first(line->text, SHOWN_LIMIT), "the line is too long");
    } else if (reading.count == 0 && line->problem_count == 0) {
        leave_out(import, line, line->text, "no target behind the name");
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
static bool is_declaration(const struct alias_import *import, const struct line *line)
{
    bool is_one_word = name_length(line->value, " \t,@|/:") == line->value.len;

    return is_one_word && bytes_find(line->local, '.') < line->local.len &&
           smtp_domain_is_valid(line->local, true) &&
           (import->options.domain.len == 0 ||
            hash_table_get(import->domain_numbers, line->local) != NULL);
}

static void settle_bare_names(struct alias_import *import)
{
    for (size_t i = 0; i < import->line_count; i++) {
        struct line *line = import->lines[i];

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
        struct line *line = import->lines[i];
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
        struct line *line = import->lines[i];
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

static void add_left_out(const struct alias_import *import, const struct line *line,
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
        const struct line *line = import->lines[i];

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
