/*
 * Any octets as a virtual table or an aliases file. Properties: what we write loads in our own alias table without a complaint,
 * has one name for each entry that was reported, and says of each what was reported; what is left out has a reason
 * and a line of the input.
 */
#include "forward/alias_import.h"
#include "forward/alias_table.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void on_problem(void *context, const struct alias_problem *problem)
{
    (void)context;
    if (!problem->is_warning) {
        fprintf(stderr, "our own alias file is wrong: %s\n", problem->message);
    }
    require(problem->is_warning);
}

/* The next entry of the domain from *at on. */
static const struct alias_import_entry *next_entry(const struct alias_import *import,
                                                   size_t domain, size_t *at)
{
    while (*at < alias_import_entry_count(import)) {
        const struct alias_import_entry *entry = alias_import_entry(import, (*at)++);
        if (entry->domain == domain) {
            return entry;
        }
    }
    return NULL;
}

static void check_text(const struct alias_import *import, size_t domain, struct bytes text)
{
    size_t at = 0;

    while (text.len > 0) {
        struct bytes line = bytes_cut(&text, '\n');
        const struct alias_import_entry *entry;
        struct alias_line_error error;
        struct alias_line split;
        struct strbuf want;

        if (alias_line_split(line, &split, &error) == ALIAS_LINE_BLANK) {
            continue;
        }
        entry = next_entry(import, domain, &at);
        require(entry != NULL);
        strbuf_init(&want, line.len + entry->name.len + entry->action.len + 8);
        strbuf_add(&want, entry->name);
        strbuf_add_text(&want, ": ");
        strbuf_add(&want, entry->action);
        require(bytes_equal(strbuf_bytes(&want), line));
        strbuf_clear(&want);
    }
    require(next_entry(import, domain, &at) == NULL);
}

static void check_import(const struct alias_import *import, unsigned lines)
{
    size_t count = alias_import_domain_count(import);
    struct strbuf *texts = calloc(count + 1, sizeof *texts);
    struct alias_table *table = alias_table_new((struct siphash_key){{5, 6}});
    const struct alias_report report = {on_problem, NULL};

    for (size_t i = 0; i < count; i++) {
        require(alias_table_add_domain(table, alias_import_domain_name(import, i), BYTES("")) ==
                i);
    }
    for (size_t i = 0; i < count; i++) {
        strbuf_init(&texts[i], 16 * 1024 * 1024);
        alias_import_add_file(import, i, &texts[i]);
        check_text(import, i, strbuf_bytes(&texts[i]));
        alias_table_add_text(table, i, 0, strbuf_bytes(&texts[i]), &report);
    }
    require(alias_table_entry_count(table) == alias_import_entry_count(import));
    for (size_t i = 0; i < alias_import_problem_count(import); i++) {
        const struct alias_import_problem *problem = alias_import_problem(import, i);
        require(problem->why != NULL && problem->line > 0 && problem->line <= lines);
    }
    alias_table_free(&table);
    for (size_t i = 0; i < count; i++) {
        strbuf_clear(&texts[i]);
    }
    free(texts);
}

/* The first octet chooses. Repetitions of repetitions are regcomp's own business. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct alias_import_options options = {.key = {{7, 8}}};
    struct alias_import *import;
    struct bytes text;
    unsigned lines = 1, repetitions = 0;

    if (size == 0 || memchr(data, '{', size) != NULL) {
        return 0;
    }
    options.domain = data[0] & 1 ? BYTES("own.test") : BYTES("");
    options.local_domain = data[0] & 2 ? BYTES("in.test") : BYTES("");
    text = bytes_of(data + 1, size - 1);
    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n';
        repetitions += text.data[i] == '+';
    }
    if (repetitions > 8) {
        return 0;
    }
    import = alias_import_new(&options);
    alias_import_add(import, data[0] & 4 ? ALIAS_IMPORT_ALIASES : ALIAS_IMPORT_VIRTUAL,
                     BYTES("first"), text);
    alias_import_finish(import);
    check_import(import, lines);
    alias_import_free(&import);
    return 0;
}
