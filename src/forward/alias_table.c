#include "forward/alias_table.h"

#include "auth/idn_domain.h"
#include "base/hash_table.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "protocol/smtp_path.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOMAIN_LIMIT = 255, MESSAGE_LIMIT = 1024 };

/* A domain's texts lie behind each other in one space of 32-bit offsets. */
struct alias_text {
    struct bytes text;
    uint32_t base;
    unsigned source;
};

struct slot {
    uint32_t offset; /* of the line in the domain's space, plus one; 0: free */
    uint32_t hash;
};

struct alias_regex {
    regex_t compiled;
    uint32_t offset;
};

struct alias_domain {
    struct bytes name;
    struct bytes srs_domain;
    struct alias_text *texts;
    size_t text_count;
    uint64_t end; /* where the next text begins */
    struct slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    struct alias_regex *regexes;
    size_t regex_count;
    uint32_t any_offset; /* plus one; 0: none */
    uint32_t *nested;    /* lines with targets in our own domains */
    size_t nested_count;
    size_t nested_capacity;
};

struct own_name {
    struct own_name *next;
    size_t domain; /* or ALIAS_NO_DOMAIN */
    bool is_srs;
    size_t len;
    char folded[];
};

struct alias_table {
    struct siphash_key key;
    struct alias_domain *domains;
    size_t domain_count;
    struct hash_table *names;
    struct own_name *first_name;
};

/* One text being added. */
struct loading {
    struct alias_table *table;
    struct alias_domain *domain;
    size_t number;
    const struct alias_text *text;
    const struct alias_report *report;
    struct arena *arena;
    struct bytes last_domain; /* most targets have the same domain as the one before */
    bool last_is_own;
};

struct alias_table *alias_table_new(struct siphash_key key)
{
    struct alias_table *table = memory_zero(sizeof *table);

    table->key = key;
    table->names = hash_table_new(key);
    return table;
}

void alias_table_free(struct alias_table **table)
{
    struct alias_table *old = *table;

    if (old == NULL) {
        return;
    }
    for (size_t i = 0; i < old->domain_count; i++) {
        struct alias_domain *domain = &old->domains[i];
        for (size_t r = 0; r < domain->regex_count; r++) {
            regfree(&domain->regexes[r].compiled);
        }
        free(domain->regexes);
        free(domain->texts);
        free(domain->slots);
        free(domain->nested);
    }
    while (old->first_name != NULL) {
        struct own_name *next = old->first_name->next;
        free(old->first_name);
        old->first_name = next;
    }
    hash_table_free(&old->names);
    free(old->domains);
    free(old);
    *table = NULL;
}

static const struct own_name *find_name(const struct alias_table *table, struct bytes name);

/* Names in the table are A-labels, or what was no name; targets may be written otherwise. */
static const struct own_name *find_name_in_utf8(const struct alias_table *table,
                                                struct bytes name)
{
    struct arena *arena = arena_new();
    const struct own_name *own = NULL;
    struct bytes ascii;

    if (idn_domain_to_ascii(name, arena, &ascii)) {
        own = find_name(table, ascii);
    }
    arena_free(&arena);
    return own;
}

static const struct own_name *find_name(const struct alias_table *table, struct bytes name)
{
    char folded[DOMAIN_LIMIT];

    if (!bytes_is_ascii(name)) {
        return find_name_in_utf8(table, name);
    }
    if (name.len == 0 || name.len > sizeof folded) {
        return NULL;
    }
    bytes_fold(folded, name);
    return hash_table_get(table->names, bytes_of(folded, name.len));
}

static struct own_name *take_name(struct alias_table *table, struct bytes name)
{
    struct own_name *own = (struct own_name *)find_name(table, name);

    if (own != NULL) {
        return own;
    }
    own = memory_zero(sizeof *own + name.len);
    own->domain = ALIAS_NO_DOMAIN;
    own->len = name.len;
    bytes_fold(own->folded, name);
    own->next = table->first_name;
    table->first_name = own;
    hash_table_put(table->names, bytes_of(own->folded, own->len), own);
    return own;
}

size_t alias_table_add_domain(struct alias_table *table, struct bytes domain,
                              struct bytes srs_domain)
{
    struct own_name *own = take_name(table, domain);

    if (own->domain != ALIAS_NO_DOMAIN) {
        return ALIAS_NO_DOMAIN;
    }
    own->domain = table->domain_count;
    table->domains =
        memory_resize(table->domains, table->domain_count + 1, sizeof *table->domains);
    table->domains[table->domain_count++] =
        (struct alias_domain){.name = domain, .srs_domain = srs_domain};
    if (srs_domain.len > 0) {
        alias_table_add_own_name(table, srs_domain, true);
    }
    return own->domain;
}

void alias_table_add_own_name(struct alias_table *table, struct bytes name, bool is_srs)
{
    struct own_name *own = take_name(table, name);

    own->is_srs = own->is_srs || is_srs;
}

size_t alias_table_domain_count(const struct alias_table *table)
{
    return table->domain_count;
}

size_t alias_table_entry_count(const struct alias_table *table)
{
    size_t count = 0;

    for (size_t i = 0; i < table->domain_count; i++) {
        const struct alias_domain *domain = &table->domains[i];
        count += domain->count + domain->regex_count + (domain->any_offset != 0);
    }
    return count;
}

struct bytes alias_table_domain_name(const struct alias_table *table, size_t domain)
{
    return table->domains[domain].name;
}

struct bytes alias_table_srs_domain(const struct alias_table *table, size_t domain)
{
    return table->domains[domain].srs_domain;
}

size_t alias_table_find_domain(const struct alias_table *table, struct bytes domain)
{
    const struct own_name *own = find_name(table, domain);

    return own == NULL ? ALIAS_NO_DOMAIN : own->domain;
}

bool alias_table_is_own(const struct alias_table *table, struct bytes domain)
{
    return find_name(table, domain) != NULL;
}

bool alias_table_is_srs(const struct alias_table *table, struct bytes domain)
{
    const struct own_name *own = find_name(table, domain);

    return own != NULL && own->is_srs;
}

bool alias_table_is_own_domain(void *context, struct bytes domain)
{
    return alias_table_is_own(context, domain);
}

/* --- lines ------------------------------------------------------------------------------- */

static const struct alias_text *text_at(const struct alias_domain *domain, uint32_t offset)
{
    size_t i = domain->text_count - 1;

    while (domain->texts[i].base > offset) {
        i--;
    }
    return &domain->texts[i];
}

static struct bytes line_at(const struct alias_text *text, size_t start)
{
    const char *begin = text->text.data + start;
    const char *end = memchr(begin, '\n', text->text.len - start);
    size_t len = end == NULL ? text->text.len - start : (size_t)(end - begin);

    if (len > 0 && begin[len - 1] == '\r') {
        len--; /* files from elsewhere end their lines in CR LF */
    }
    return bytes_of(begin, len);
}

static void fill_match(const struct alias_domain *domain, uint32_t offset, size_t entry,
                       struct alias_match *match)
{
    const struct alias_text *text = text_at(domain, offset);
    struct bytes line = line_at(text, offset - text->base);
    struct alias_line_error error;

    alias_line_split(line, &match->line, &error);
    match->entry = entry;
    match->place = (struct alias_place){
        text->source, (size_t)(match->line.name.data - text->text.data), match->line.name.len};
}

/* --- exact names ------------------------------------------------------------------------- */

/* The slot that holds the name, or the free one where it would go. */
static size_t find_slot(const struct alias_domain *domain, uint32_t hash, struct bytes local,
                        bool *is_found)
{
    size_t mask = domain->capacity - 1;
    size_t i = hash & mask;

    for (*is_found = false; domain->slots[i].offset != 0; i = (i + 1) & mask) {
        if (domain->slots[i].hash == hash) {
            uint32_t offset = domain->slots[i].offset - 1;
            const struct alias_text *text = text_at(domain, offset);
            struct alias_line line;
            struct alias_line_error error;
            char octets[ALIAS_LOCAL_LIMIT];
            size_t len;
            alias_line_split(line_at(text, offset - text->base), &line, &error);
            if (alias_line_decode_name(&line, octets, &len) &&
                bytes_equal_nocase(bytes_of(octets, len), local)) {
                *is_found = true;
                break;
            }
        }
    }
    return i;
}

/* At most half full, so that a probe is short. */
static void reserve_slots(struct alias_domain *domain, size_t count)
{
    size_t capacity = domain->capacity < 16 ? 16 : domain->capacity;
    struct slot *old = domain->slots;
    size_t old_capacity = domain->capacity;

    while (capacity < count * 2) {
        capacity *= 2;
    }
    if (capacity == old_capacity) {
        return;
    }
    domain->slots = memory_zero(capacity * sizeof *domain->slots);
    domain->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].offset != 0) {
            size_t place = old[i].hash & (capacity - 1);
            while (domain->slots[place].offset != 0) {
                place = (place + 1) & (capacity - 1);
            }
            domain->slots[place] = old[i];
        }
    }
    free(old);
}

bool alias_table_find_exact(const struct alias_table *table, size_t domain, struct bytes local,
                            struct alias_match *match)
{
    const struct alias_domain *of = &table->domains[domain];
    bool is_found;
    size_t slot;

    if (of->capacity == 0 || local.len == 0 || local.len > ALIAS_LOCAL_LIMIT) {
        return false;
    }
    slot = find_slot(of, (uint32_t)siphash_nocase(&table->key, local), local, &is_found);
    if (is_found) {
        fill_match(of, of->slots[slot].offset - 1, slot, match);
    }
    return is_found;
}

static bool find_regex(const struct alias_domain *domain, struct bytes local,
                       struct alias_match *match)
{
    char text[ALIAS_LOCAL_LIMIT + 1];

    if (domain->regex_count == 0 || local.len > ALIAS_LOCAL_LIMIT ||
        memchr(local.data, '\0', local.len) != NULL) {
        return false;
    }
    memcpy(text, local.data, local.len);
    text[local.len] = '\0';
    for (size_t i = 0; i < domain->regex_count; i++) {
        /* The leftmost longest match: the whole name matches when this is all of it. */
        regmatch_t found;
        if (regexec(&domain->regexes[i].compiled, text, 1, &found, 0) == 0 &&
            found.rm_so == 0 && (size_t)found.rm_eo == local.len) {
            fill_match(domain, domain->regexes[i].offset, domain->capacity + i, match);
            return true;
        }
    }
    return false;
}

bool alias_table_find_any(const struct alias_table *table, size_t domain,
                          struct alias_match *match)
{
    const struct alias_domain *of = &table->domains[domain];

    if (of->any_offset == 0) {
        return false;
    }
    fill_match(of, of->any_offset - 1, of->capacity + of->regex_count, match);
    return true;
}

bool alias_table_find(const struct alias_table *table, size_t domain, struct bytes local,
                      struct alias_match *match)
{
    size_t plus = bytes_find(local, '+');

    return local.len > 0 &&
           (alias_table_find_exact(table, domain, local, match) ||
            (plus < local.len &&
             alias_table_find_exact(table, domain, bytes_first(local, plus), match)) ||
            find_regex(&table->domains[domain], local, match) ||
            alias_table_find_any(table, domain, match));
}

size_t alias_table_entry_limit(const struct alias_table *table, size_t domain)
{
    return table->domains[domain].capacity + table->domains[domain].regex_count + 1;
}

/* --- loading ----------------------------------------------------------------------------- */

static void report_at(struct loading *loading, struct bytes where, const char *message,
                      const char *hint, const struct alias_place *first)
{
    struct alias_problem problem = {
        .domain = loading->number,
        .has_place = true,
        .place = {loading->text->source, (size_t)(where.data - loading->text->text.data),
                  where.len},
        .has_first = first != NULL,
        .message = message,
        .hint = hint,
    };

    if (first != NULL) {
        problem.first = *first;
    }
    loading->report->problem(loading->report->context, &problem);
}

static void report_duplicate(struct loading *loading, struct bytes where, uint32_t first_offset)
{
    struct alias_match first;

    fill_match(loading->domain, first_offset, 0, &first);
    report_at(loading, where, "this name is set twice", "put all targets behind one name",
              &first.place);
}

static bool is_own_target_domain(struct loading *loading, struct bytes domain)
{
    if (!bytes_equal(domain, loading->last_domain)) {
        loading->last_domain = domain;
        loading->last_is_own = alias_table_is_own(loading->table, domain);
    }
    return loading->last_is_own;
}

static const char *target_error(enum smtp_path_result result)
{
    switch (result) {
    case SMTP_PATH_OK:
        break;
    case SMTP_PATH_SYNTAX:
        return "this is not a mail address";
    case SMTP_PATH_TOO_LONG:
        return "this address is too long (64 octets before the @, 254 in all)";
    case SMTP_PATH_BAD_UTF8:
        return "this address is not valid UTF-8";
    }
    return NULL;
}

/* "*@domain" or a mailbox. */
static bool check_target(struct loading *loading, const struct alias_line *line,
                         struct bytes target, bool *is_own)
{
    struct smtp_mailbox mailbox;
    const char *message;

    if (bytes_starts_with(target, BYTES("*@"))) {
        mailbox.domain = bytes_skip(target, 2);
        mailbox.is_literal = false;
        message = line->kind != ALIAS_NAME_ANY ? "only the name \"*\" can go to a whole domain"
                  : !smtp_domain_is_valid(mailbox.domain, true) ? "this is not a domain"
                                                                : NULL;
    } else {
        message =
            target_error(smtp_mailbox_parse(target, true, false, loading->arena, &mailbox));
    }
    if (message != NULL) {
        report_at(loading, target, message,
                  bytes_find(target, '@') == target.len ? "write it as name@domain" : NULL,
                  NULL);
        return false;
    }
    *is_own = !mailbox.is_literal && is_own_target_domain(loading, mailbox.domain);
    return true;
}

/* Outside of our domains: a fallback has no fallback, and no alias of ours sends it on. */
static bool check_fallback(struct loading *loading, const struct alias_line *line)
{
    bool is_own = false;

    if (line->fallback.len == 0) {
        return true;
    }
    if (bytes_starts_with(line->fallback, BYTES("*@"))) {
        report_at(loading, line->fallback, "a fallback is one address", NULL, NULL);
        return false;
    }
    if (!check_target(loading, line, line->fallback, &is_own)) {
        return false;
    }
    if (is_own) {
        report_at(loading, line->fallback, "a fallback in our own domain",
                  "name the address outside that it would lead to", NULL);
        return false;
    }
    return true;
}

/* All targets, so that all mistakes are told at once. */
static bool check_targets(struct loading *loading, const struct alias_line *line,
                          bool *is_nested)
{
    struct bytes rest = line->targets, target;
    size_t count = 0;
    bool is_good = check_fallback(loading, line);

    while (alias_line_next_target(&rest, &target)) {
        bool is_own = false;
        is_good = check_target(loading, line, target, &is_own) && is_good;
        *is_nested = *is_nested || is_own;
        count++;
    }
    if (count > ALIAS_TARGETS_LIMIT) {
        report_at(loading, line->name, "more than 1000 addresses stand behind this name",
                  "long lists belong to a mailing list manager", NULL);
        return false;
    }
    if (count == 0) {
        report_at(loading, line->name, "this name has no target",
                  "write \"name: :discard:\" to throw its mail away", NULL);
        return false;
    }
    return is_good;
}

static bool check_action(struct loading *loading, const struct alias_line *line,
                         bool *is_nested)
{
    struct alias_line_error error;
    struct alias_reply reply;

    switch (line->action) {
    case ALIAS_FORWARD:
        return check_targets(loading, line, is_nested);
    case ALIAS_REFUSE:
    case ALIAS_DEFER:
        if (!alias_reply_parse(line->reply, line->action == ALIAS_DEFER, &reply, &error)) {
            report_at(loading, error.where, error.message, error.hint, NULL);
            return false;
        }
        return true;
    case ALIAS_DISCARD:
        return true;
    }
    return false;
}

static void add_exact(struct loading *loading, const struct alias_line *line, uint32_t offset)
{
    struct alias_domain *domain = loading->domain;
    char octets[ALIAS_LOCAL_LIMIT];
    size_t len, slot;
    uint32_t hash;
    bool is_found;

    if (!alias_line_decode_name(line, octets, &len)) {
        report_at(loading, line->name, "this name is over 64 octets", NULL, NULL);
        return;
    }
    if (!utf8_is_valid(bytes_of(octets, len))) {
        report_at(loading, line->name, "this name is not valid UTF-8", NULL, NULL);
        return;
    }
    reserve_slots(domain, domain->count + 1);
    hash = (uint32_t)siphash_nocase(&loading->table->key, bytes_of(octets, len));
    slot = find_slot(domain, hash, bytes_of(octets, len), &is_found);
    if (is_found) {
        report_duplicate(loading, line->name, domain->slots[slot].offset - 1);
        return;
    }
    domain->slots[slot] = (struct slot){offset + 1, hash};
    domain->count++;
}

static void add_regex(struct loading *loading, const struct alias_line *line, uint32_t offset)
{
    struct alias_domain *domain = loading->domain;
    struct strbuf pattern;
    regex_t compiled;
    char message[MESSAGE_LIMIT];
    int code;

    strbuf_init(&pattern, ALIAS_LINE_LIMIT + 8);
    for (size_t i = 0; i < line->name.len; i++) {
        if (line->name.data[i] == '\\' && i + 1 < line->name.len &&
            line->name.data[i + 1] == '/') {
            i++;
        }
        strbuf_add_char(&pattern, line->name.data[i]);
    }
    code = regcomp(&compiled, strbuf_text(&pattern), REG_EXTENDED | REG_ICASE);
    strbuf_clear(&pattern);
    if (code != 0) {
        size_t used = (size_t)snprintf(message, 64, "bad regular expression: ");
        regerror(code, NULL, message + used, sizeof message - used);
        report_at(loading, line->name, message, NULL, NULL);
        return;
    }
    domain->regexes =
        memory_resize(domain->regexes, domain->regex_count + 1, sizeof *domain->regexes);
    domain->regexes[domain->regex_count++] = (struct alias_regex){compiled, offset};
}

static void note_nested(struct alias_domain *domain, uint32_t offset)
{
    if (domain->nested_count == domain->nested_capacity) {
        domain->nested_capacity = domain->nested_capacity * 2 + 16;
        domain->nested =
            memory_resize(domain->nested, domain->nested_capacity, sizeof *domain->nested);
    }
    domain->nested[domain->nested_count++] = offset;
}

static void load_line(struct loading *loading, struct bytes octets, uint32_t offset)
{
    struct alias_line line;
    struct alias_line_error error;
    bool is_nested = false;

    switch (alias_line_split(octets, &line, &error)) {
    case ALIAS_LINE_BLANK:
        return;
    case ALIAS_LINE_WRONG:
        report_at(loading, error.where, error.message, error.hint, NULL);
        return;
    case ALIAS_LINE_ENTRY:
        break;
    }
    if (line.domain.len > 0 && !bytes_equal_nocase(line.domain, loading->domain->name)) {
        report_at(loading, line.domain, "this is not the domain these aliases are for",
                  "leave out the @ and the domain", NULL);
        return;
    }
    if (!check_action(loading, &line, &is_nested)) {
        return;
    }
    switch (line.kind) {
    case ALIAS_NAME_EXACT:
        add_exact(loading, &line, offset);
        break;
    case ALIAS_NAME_REGEX:
        add_regex(loading, &line, offset);
        break;
    case ALIAS_NAME_ANY:
        if (loading->domain->any_offset != 0) {
            report_duplicate(loading, line.name, loading->domain->any_offset - 1);
            return;
        }
        loading->domain->any_offset = offset + 1;
        break;
    }
    if (is_nested) {
        note_nested(loading->domain, offset);
    }
}

static size_t count_lines(struct bytes text)
{
    size_t count = 1;
    const char *next = text.data, *end = text.data + text.len;

    while (next != end && (next = memchr(next, '\n', (size_t)(end - next))) != NULL) {
        next++;
        count++;
    }
    return count;
}

void alias_table_add_text(struct alias_table *table, size_t domain, unsigned source,
                          struct bytes text, const struct alias_report *report)
{
    struct alias_domain *of = &table->domains[domain];
    struct loading loading = {.table = table, .domain = of, .number = domain, .report = report};

    if (text.len == 0) {
        return;
    }
    of->texts = memory_resize(of->texts, of->text_count + 1, sizeof *of->texts);
    of->texts[of->text_count] = (struct alias_text){text, (uint32_t)of->end, source};
    loading.text = &of->texts[of->text_count];
    if (of->end + text.len + 1 >= UINT32_MAX) {
        report_at(&loading, bytes_first(text, 0), "over 4 GiB of aliases in one domain", NULL,
                  NULL);
        return;
    }
    of->text_count++;
    reserve_slots(of, of->count + count_lines(text));
    loading.arena = arena_new();
    for (size_t start = 0; start < text.len;) {
        const char *end = memchr(text.data + start, '\n', text.len - start);
        load_line(&loading, line_at(loading.text, start), (uint32_t)(of->end + start));
        arena_reset(loading.arena);
        start = end == NULL ? text.len : (size_t)(end - text.data) + 1;
    }
    arena_free(&loading.arena);
    of->end += text.len + 1;
}

bool alias_table_nested(const struct alias_table *table, size_t domain, size_t index,
                        struct alias_match *match)
{
    const struct alias_domain *of = &table->domains[domain];
    char octets[ALIAS_LOCAL_LIMIT];
    size_t len;

    if (index >= of->nested_count) {
        return false;
    }
    fill_match(of, of->nested[index], 0, match);
    switch (match->line.kind) {
    case ALIAS_NAME_EXACT:
        /* its number is its slot, known only now that the table does not grow any more */
        if (alias_line_decode_name(&match->line, octets, &len)) {
            alias_table_find_exact(table, domain, bytes_of(octets, len), match);
        }
        break;
    case ALIAS_NAME_REGEX:
        for (size_t i = 0; i < of->regex_count; i++) {
            if (of->regexes[i].offset == of->nested[index]) {
                match->entry = of->capacity + i;
            }
        }
        break;
    case ALIAS_NAME_ANY:
        match->entry = of->capacity + of->regex_count;
        break;
    }
    return true;
}
