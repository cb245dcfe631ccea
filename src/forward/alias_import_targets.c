/* What stands behind a name: addresses, files, programs, words. What has no equal here is left out, and said. */
#include "alias_import_internal.h"

#include "forward/import_line.h"
#include "protocol/smtp_path.h"

static void leave_target(struct import_reading *reading, struct bytes target, const char *why)
{
    alias_import_leave_out(reading->import, reading->line, target, why);
}

static void add_target(struct import_reading *reading, struct bytes target)
{
    if (reading->count == ALIAS_TARGETS_LIMIT) {
        leave_target(reading, arena_copy(reading->import->arena, target),
                     "more than 1000 targets behind one name");
        return;
    }
    strbuf_add_text(&reading->targets, reading->count++ > 0 ? ", " : "");
    strbuf_add(&reading->targets, target);
}

static void add_mailbox(struct import_reading *reading, struct bytes local, struct bytes domain,
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
static void take_bare(struct import_reading *reading, struct bytes target, bool is_mailbox)
{
    struct alias_import *import = reading->import;
    struct import_row *line = reading->line;
    struct bytes local, domain = import->options.domain;
    const struct import_row *named;

    if (!alias_import_read_local(import, target, &local)) {
        leave_target(reading, target, "this is no address");
        return;
    }
    named = hash_table_get(import->names, alias_import_name_key(import, local, domain));
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
static void take_domain(struct import_reading *reading, struct bytes domain)
{
    struct import_row *line = reading->line;
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

static void take_address(struct import_reading *reading, struct bytes target)
{
    struct alias_import *import = reading->import;
    struct import_row *line = reading->line;
    struct smtp_mailbox mailbox;

    if (target.data[0] == '@') {
        take_domain(reading, bytes_skip(target, 1));
    } else if (smtp_mailbox_parse(target, true, false, import->arena, &mailbox) !=
               SMTP_PATH_OK) {
        leave_target(reading, target, "this is no address");
    } else if (line->name_kind == ALIAS_NAME_EXACT &&
               bytes_equal_nocase(mailbox.local, line->local) &&
               bytes_equal(alias_import_plain_domain(import, mailbox.domain),
                           import->domains[line->entry.domain].name)) {
        take_bare(reading, bytes_first(target, bytes_find_last(target, '@')), true);
    } else {
        add_mailbox(reading, mailbox.local, mailbox.domain, mailbox.is_literal);
    }
}

/* "$1@example.net" behind "/^(.*)@example\.org$/": the same as "@example.net". */
static bool take_captured(struct import_reading *reading, struct bytes target)
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
static void take_target(struct import_reading *reading, struct bytes target)
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
static bool take_named(struct import_reading *reading, struct bytes item)
{
    size_t open = bytes_find_last(item, '<');

    if (open == item.len || item.data[item.len - 1] != '>') {
        return false;
    }
    take_target(reading, bytes_skip(item, open));
    return true;
}

/* What stands between two commas. */
static void take_item(struct import_reading *reading, struct bytes item)
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
        size_t next = len + alias_import_name_length(bytes_skip(value, len), "#");
        if (next < value.len && (next == 0 || strchr(" \t,", value.data[next - 1]) != NULL)) {
            return bytes_first(value, next);
        }
        len = next + 1;
    }
    return value;
}

void alias_import_take_targets(struct import_reading *reading)
{
    struct bytes rest = without_comment(reading->line->value);

    while (rest.len > 0) {
        size_t len = alias_import_name_length(rest, ",");
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

static void write_reply(struct import_reading *reading, enum alias_action action,
                        struct bytes text)
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

bool alias_import_take_action(struct import_reading *reading)
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
