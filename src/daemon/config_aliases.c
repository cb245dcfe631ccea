#include "config_internal.h"

#include "forward/alias_check.h"
#include "io/entropy.h"

/*
 * The aliases of a block are written down as lines of an alias file, so that there is one
 * grammar and one table for both. What is wrong in such a line is told where the directive
 * stands: each word that was written is remembered with its offset.
 */
#define ALIAS_FILE_LIMIT ((size_t)2 << 30)

struct written_word {
    size_t offset;
    const struct config_word *word;
};

struct alias_source {
    const struct config_file *file; /* an alias file, or NULL: a block */
    struct written_word *words;
    size_t word_count, word_capacity;
    struct strbuf text; /* of a block, moved into a file of the config at the end */
};

struct building {
    struct config_loading *loading;
    struct config_domain **domains; /* by their numbers in the table */
    struct alias_source *sources;
    size_t source_count;
};

static void note_word(struct building *building, struct alias_source *source,
                      const struct config_word *word)
{
    if (source->word_count == source->word_capacity) {
        size_t capacity = source->word_capacity * 2 + 16;
        struct written_word *grown =
            arena_alloc(building->loading->arena, capacity * sizeof *grown);
        if (source->word_count > 0) {
            memcpy(grown, source->words, source->word_count * sizeof *grown);
        }
        source->words = grown;
        source->word_capacity = capacity;
    }
    source->words[source->word_count++] = (struct written_word){source->text.len, word};
}

static bool needs_quotes(struct bytes name)
{
    if (name.len == 0 || name.data[0] == '/' || name.data[0] == '"') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char octet = (unsigned char)name.data[i];
        if (octet < 0x80 && !ascii_is_alnum(octet) &&
            strchr("@.!#$%&'*+-/=?^_`{|}~", octet) == NULL) {
            return true;
        }
    }
    return name.data[0] == '#';
}

static void write_name(struct building *building, struct alias_source *source,
                       const struct config_word *word)
{
    note_word(building, source, word);
    if (!needs_quotes(word->text)) {
        strbuf_add(&source->text, word->text);
    } else {
        strbuf_add_char(&source->text, '"');
        for (size_t i = 0; i < word->text.len; i++) {
            if (word->text.data[i] == '"' || word->text.data[i] == '\\') {
                strbuf_add_char(&source->text, '\\');
            }
            strbuf_add_char(&source->text, word->text.data[i]);
        }
        strbuf_add_char(&source->text, '"');
    }
    strbuf_add_text(&source->text, ": ");
}

static void write_words(struct building *building, struct alias_source *source,
                        const struct config_node *node, size_t from)
{
    for (size_t i = from; i < node->count; i++) {
        if (i > from) {
            strbuf_add_char(&source->text, ' ');
        }
        note_word(building, source, &node->words[i]);
        strbuf_add(&source->text, node->words[i].text);
    }
}

/* The words of a forward from `from` on: "fallback" is written as alias files have it. */
static void write_targets(struct building *building, struct alias_source *source,
                          const struct config_node *node, size_t from)
{
    for (size_t i = from; i < node->count; i++) {
        struct bytes word = node->words[i].text;
        if (i > from) {
            strbuf_add_char(&source->text, ' ');
        }
        note_word(building, source, &node->words[i]);
        strbuf_add(&source->text,
                   bytes_equal(word, BYTES("fallback")) ? BYTES(":fallback:") : word);
    }
}

static void write_forward(struct building *building, struct alias_source *source,
                          const struct config_node *node)
{
    if (node->count < 4 || !bytes_equal(node->words[2].text, BYTES("to"))) {
        config_error_at(building->loading, &node->words[node->count > 2 ? 2 : 1],
                        "write: forward NAME to ADDRESS",
                        node->count > 3 ? "the word \"to\" is missing"
                                        : "the address to forward to is missing");
        return;
    }
    for (size_t i = 3; i < node->count; i++) {
        if (node->words[i].text.len > 0 && strchr(":#", node->words[i].text.data[0]) != NULL) {
            config_error_at(building->loading, &node->words[i], "write it as name@domain",
                            "this is not a mail address");
            return;
        }
    }
    if (bytes_equal(node->words[3].text, BYTES("fallback")) ||
        bytes_equal(node->words[node->count - 1].text, BYTES("fallback"))) {
        config_error_at(building->loading, &node->words[3],
                        "write: forward NAME to ADDRESS fallback ADDRESS",
                        "an address stands on either side of \"fallback\"");
        return;
    }
    write_name(building, source, &node->words[1]);
    write_targets(building, source, node, 3);
    strbuf_add_char(&source->text, '\n');
}

/* One directive of a domain block as one line. */
static void write_alias(struct building *building, struct alias_source *source,
                        const struct config_node *node)
{
    struct bytes verb = node->words[0].text;

    if (bytes_equal(verb, BYTES("forward"))) {
        write_forward(building, source, node);
        return;
    }
    if (bytes_equal(verb, BYTES("discard")) && node->count > 2) {
        config_error_at(building->loading, &node->words[2], "write: discard NAME",
                        "discard takes one name");
        return;
    }
    write_name(building, source, &node->words[1]);
    strbuf_addf(&source->text, ":" BYTES_FMT ": ", BYTES_ARG(verb));
    write_words(building, source, node, 2);
    strbuf_add_char(&source->text, '\n');
}

static struct config_place place_in_config(const struct building *building,
                                           const struct alias_place *place)
{
    const struct alias_source *source = &building->sources[place->source];
    size_t low = 0, high = source->word_count;

    if (source->file != NULL) {
        return (struct config_place){source->file, place->offset,
                                     place->len > 0 ? place->len : 1};
    }
    while (high - low > 1) { /* the last word that begins at or before the place */
        size_t middle = low + (high - low) / 2;
        if (source->words[middle].offset <= place->offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return source->words[low].word->place;
}

static void on_problem(void *context, const struct alias_problem *problem)
{
    struct building *building = context;
    struct config_place place = building->domains[problem->domain]->node->words[1].place;

    if (problem->has_place) {
        place = place_in_config(building, &problem->place);
    }
    config_errors_add(building->loading->errors,
                      problem->is_warning ? CONFIG_WARNING : CONFIG_ERROR, place, problem->hint,
                      "%s", problem->message);
    if (problem->has_first) {
        config_errors_add_note(building->loading->errors,
                               place_in_config(building, &problem->first), "first set here");
    }
}

static struct alias_report report_to(struct building *building)
{
    return (struct alias_report){on_problem, building};
}

/* The directives of the block come first, whatever their order with `aliases`. */
static void add_block(struct building *building, size_t number, const struct config_node *block)
{
    size_t index = building->source_count++;
    struct alias_source *source = &building->sources[index];
    struct alias_report report = report_to(building);
    struct config_file *file;

    strbuf_init(&source->text, ALIAS_FILE_LIMIT);
    for (const struct config_node *node = block->first_child; node != NULL; node = node->next) {
        const struct config_option *option = config_schema_find("domain", node->words[0].text);
        if (option != NULL && option->type == CONFIG_ALIAS && node->count > 1) {
            write_alias(building, source, node);
        }
    }
    file = arena_alloc(building->loading->arena, sizeof *file);
    file->name = "";
    file->owned = source->text;
    file->next = building->loading->config->files;
    building->loading->config->files = file;
    alias_table_add_text(building->loading->config->aliases, number, (unsigned)index,
                         strbuf_bytes(&file->owned), &report);
}

static void add_alias_file(struct building *building, size_t number,
                           const struct config_node *node)
{
    struct config_loading *loading = building->loading;
    struct alias_report report = report_to(building);
    struct config_file *file;

    if (node->count != 2) {
        config_error_at(loading, &node->words[node->count > 2 ? 2 : 0], "write: aliases FILE",
                        "aliases takes one file");
        return;
    }
    file = config_read_file(loading, config_resolve_path(loading, &node->words[1]),
                            ALIAS_FILE_LIMIT, node->words[1].place, NULL);
    if (file != NULL) {
        size_t index = building->source_count++;
        file->is_watched = true;
        building->sources[index].file = file;
        alias_table_add_text(loading->config->aliases, number, (unsigned)index, file->text,
                             &report);
    }
}

static bool is_alias_file(const struct config_node *node)
{
    return bytes_equal(node->words[0].text, BYTES("aliases"));
}

static size_t count_sources(const struct config_loading *loading)
{
    size_t count = 0;

    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next) {
        count++;
        for (const struct config_node *n = d->node->first_child; n != NULL; n = n->next) {
            count += is_alias_file(n);
        }
    }
    return count;
}

/* All names must be known before the first text is read: targets are judged by them. */
static size_t add_names(struct building *building)
{
    struct config *config = building->loading->config;
    size_t count = 0;

    for (struct config_domain *d = building->loading->domains; d != NULL; d = d->next) {
        alias_table_add_domain(config->aliases, d->name, d->srs_domain);
        building->domains[count++] = d;
    }
    if (config->hostname.len > 0) {
        alias_table_add_own_name(config->aliases, config->hostname, false);
    }
    if (config->srs_domain.len > 0) {
        alias_table_add_own_name(config->aliases, config->srs_domain, true);
    }
    return count;
}

void config_build_aliases(struct config_loading *loading)
{
    struct building building = {.loading = loading};
    size_t sources = count_sources(loading), domains;
    struct alias_report report = report_to(&building);

    building.domains = arena_alloc(loading->arena, (sources + 1) * sizeof *building.domains);
    building.sources = arena_alloc(loading->arena, (sources + 1) * sizeof *building.sources);
    loading->config->aliases = alias_table_new(entropy_hash_key());
    domains = add_names(&building);
    for (size_t i = 0; i < domains; i++) {
        const struct config_node *block = building.domains[i]->node;
        add_block(&building, i, block);
        for (const struct config_node *n = block->first_child; n != NULL; n = n->next) {
            if (is_alias_file(n)) {
                add_alias_file(&building, i, n);
            }
        }
    }
    alias_check(loading->config->aliases, &report);
}
