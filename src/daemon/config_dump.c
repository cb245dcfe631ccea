#include "daemon/config_dump.h"

#include "daemon/config_schema.h"

enum { ORIGIN_COLUMN = 56 };

/* "    # FILE:LINE" in its column. `start` is where the line began. */
static void add_origin(struct strbuf *out, size_t start, const struct config_setting *setting)
{
    struct config_place place = setting->node->words[0].place;

    do {
        strbuf_add_char(out, ' ');
    } while (out->len - start < ORIGIN_COLUMN && !out->overflowed);
    if (setting->is_default) {
        strbuf_add_text(out, "# default\n");
    } else {
        strbuf_addf(out, "# %s:%u\n", place.file->name, config_place_line(place));
    }
}

/* The words as they were written, quotes and all. */
static void add_words(struct strbuf *out, const struct config_node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_place *place = &node->words[i].place;
        if (i > 0) {
            strbuf_add_char(out, ' ');
        }
        strbuf_add(out,
                   bytes_between(place->file->text, place->offset, place->offset + place->len));
    }
}

static void add_setting(struct strbuf *out, const struct config_setting *setting,
                        const char *indent)
{
    size_t start = out->len;

    strbuf_add_text(out, indent);
    add_words(out, setting->node);
    if (setting->node->has_block) {
        strbuf_add_text(out, " {");
    }
    add_origin(out, start, setting);
}

static void add_children(struct strbuf *out, const struct config_setting *parent,
                         const char *indent)
{
    for (const struct config_setting *in = parent->next; in != NULL; in = in->next) {
        if (in->node->parent == parent->node) {
            add_setting(out, in, indent);
        }
    }
}

/* A value nobody set, and what it follows; `source` NULL: nothing. */
static void add_default(struct strbuf *out, const char *indent, const char *name,
                        struct bytes value, const char *source)
{
    size_t start = out->len;

    strbuf_addf(out, "%s%s " BYTES_FMT, indent, name, BYTES_ARG(value));
    do {
        strbuf_add_char(out, ' ');
    } while (out->len - start < ORIGIN_COLUMN && !out->overflowed);
    strbuf_addf(out, "# default%s%s\n", source == NULL ? "" : ": ",
                source == NULL ? "" : source);
}

/* Names that follow hostname when they are not set. */
static void add_derived_host(struct strbuf *out, const struct config *config,
                             const struct config_option *option, const char *indent)
{
    const struct bytes *value =
        (const struct bytes *)(const void *)((const char *)config + option->offset);

    if (value->len > 0) { /* others stand for none at all */
        add_default(out, indent, option->name, *value, "hostname");
    }
}

static bool has_child(const struct config_node *block, const char *name)
{
    for (const struct config_node *node = block->first_child; node != NULL; node = node->next) {
        if (bytes_equal(node->words[0].text, bytes_from_text(name))) {
            return true;
        }
    }
    return false;
}

/* What is in a block that stands in another one, or in a seal block. */
static void add_inside(struct strbuf *out, const struct config_setting *block,
                       const struct seal *seal, const char *indent, const char *source)
{
    add_children(out, block, indent);
    if (block->option->type != CONFIG_SEAL || seal == NULL) {
        return; /* an empty seal block stays one: it says that there is none */
    }
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (strcmp(option->context, "seal") != 0 || has_child(block->node, option->name)) {
            continue;
        }
        if (option->type == CONFIG_HOST) {
            add_default(out, indent, option->name, seal->domain, source);
        } else if (option->fallback != NULL) {
            add_default(out, indent, option->name, bytes_from_text(option->fallback), NULL);
        }
    }
}

static void add_option(struct strbuf *out, const struct config *config,
                       const struct config_option *option, const char *indent)
{
    size_t count = 0;

    for (const struct config_setting *s = config->settings; s != NULL; s = s->next) {
        if (s->option == option && !config_node_is_nested(s->node)) {
            add_setting(out, s, indent);
            if (s->node->has_block) {
                add_inside(out, s, config->seal, "    ", "srs.domain");
                strbuf_add_text(out, "}\n");
            }
            count++;
        }
    }
    if (count == 0 && option->type == CONFIG_HOST) {
        add_derived_host(out, config, option, indent);
    }
}

static void add_block(struct strbuf *out, const struct config *config,
                      const struct config_option *block)
{
    strbuf_addf(out, "%s {\n", block->name);
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].context, block->name) == 0) {
            add_option(out, config, &config_options[i], "    ");
        }
    }
    strbuf_add_text(out, "}\n");
}

/* Domains keep the order of their directives: it matters. */
static void add_domains(struct strbuf *out, const struct config *config)
{
    for (const struct config_setting *s = config->settings; s != NULL; s = s->next) {
        if (s->option->type != CONFIG_DOMAIN) {
            continue;
        }
        add_setting(out, s, "");
        for (const struct config_setting *in = s->next; in != NULL; in = in->next) {
            if (in->node->parent == s->node) {
                add_setting(out, in, "    ");
                if (in->node->has_block) {
                    add_inside(out, in, config_seal_for(config, s->node->words[1].text),
                               "        ", "the domain");
                    strbuf_add_text(out, "    }\n");
                }
            }
        }
        strbuf_add_text(out, "}\n");
    }
}

void config_dump(const struct config *config, struct strbuf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (option->context[0] != '\0') {
            continue;
        }
        if (option->type == CONFIG_DOMAIN) {
            add_domains(out, config);
        } else if (option->type == CONFIG_BLOCK) {
            add_block(out, config, option);
        } else {
            add_option(out, config, option, "");
        }
    }
}
