#include "config_internal.h"

#include "base/memory.h"
#include "io/clock.h"

enum { PEM_FILE_LIMIT = 4 * 1024 * 1024, SOON_SECONDS = 14 * 86400 };

/* ---- while the tree is walked ------------------------------------------------------------ */

void config_apply_tls_file(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    bool is_key = strcmp(option->name, "tls-key") == 0;
    struct config_tls_file *place = is_key ? &loading->tls_key
                                    : strcmp(option->name, "tls-ca") == 0
                                        ? &loading->tls_ca
                                        : &loading->tls_certificate;

    if (word == NULL) {
        return;
    }
    if (word->text.len == 0) {
        config_error_at(loading, word, NULL, "%s is empty", option->name);
        return;
    }
    place->word = word;
    place->file = config_read_file(loading, config_resolve_path(loading, word), PEM_FILE_LIMIT,
                                   word->place, NULL);
    if (is_key && place->file != NULL) {
        config_check_secret(loading, word, place->file);
    }
}

/* A domain, or the address that a route leads to as it is written in the log; empty: neither. */
static struct bytes read_domain(struct arena *arena, struct bytes text)
{
    struct ip_address address;

    if (ip_address_parse(text, &address)) {
        struct ip_text canonical = ip_address_text(&address);

        return arena_copy(arena, bytes_from_text(canonical.text));
    }
    if (text.len > 1 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    if (!smtp_domain_is_valid(text, true)) {
        return BYTES("");
    }
    return arena_copy_lower(arena, text);
}

/* The line of an earlier rule for the same domain, or NULL. */
static const struct config_node *find_rule(const struct config_loading *loading,
                                           const struct config_option *option,
                                           const struct config_node *node, struct bytes domain)
{
    for (const struct config_setting *s = loading->config->settings; s != NULL; s = s->next) {
        if (s->option == option && s->node != node && s->node->count > 1 &&
            bytes_equal(read_domain(loading->arena, s->node->words[1].text), domain)) {
            return s->node;
        }
    }
    return NULL;
}

void config_apply_tls_rule(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node)
{
    const struct config_option *levels = config_schema_find("delivery", BYTES("tls"));
    struct tls_policy_table *table = &loading->config->delivery.tls_policies;
    struct bytes domain = read_domain(loading->arena, node->words[1].text);
    const struct config_node *first;
    struct tls_rule *rules;
    int level;

    if (domain.len == 0) {
        config_error_at(loading, &node->words[1], NULL, "this is not a domain");
        return;
    }
    if (node->count != 3) {
        config_error_at(loading, &node->words[node->count > 3 ? 3 : 1],
                        "write: delivery-tls DOMAIN off|opportunistic|required|verified",
                        node->count > 3 ? "this word is too much" : "the level is missing");
        return;
    }
    level = config_read_choice(loading, levels, &node->words[2]);
    first = find_rule(loading, option, node, domain);
    if (first != NULL) {
        config_error_at(loading, &node->words[1], NULL, "a second rule for this domain");
        config_errors_add_note(loading->errors, first->words[1].place, "first set here");
    } else if (level >= 0) {
        rules = arena_alloc(loading->arena, (table->count + 1) * sizeof *rules);
        for (size_t i = 0; i < table->count; i++) {
            rules[i] = table->rules[i];
        }
        rules[table->count] = (struct tls_rule){domain, (enum tls_level)level};
        table->rules = rules;
        table->count++;
    }
}

/* ---- when all is known ------------------------------------------------------------------- */

static bool is_wanted(const struct tls_policy_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->rules[i].level != TLS_LEVEL_OFF) {
            return true;
        }
    }
    return table->usual != TLS_LEVEL_OFF;
}

/* False: an error was told. */
static bool are_files_complete(struct config_loading *loading)
{
    const struct config_tls_file *files[] = {&loading->tls_ca, &loading->tls_certificate,
                                             &loading->tls_key};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i]->word != NULL && files[i]->file == NULL) {
            return false;
        }
    }
    if ((loading->tls_certificate.word == NULL) == (loading->tls_key.word == NULL)) {
        return true;
    }
    if (loading->tls_key.word == NULL) {
        config_error_at(loading, loading->tls_certificate.word, "add: tls-key FILE",
                        "this certificate has no key");
    } else {
        config_error_at(loading, loading->tls_key.word, "add: tls-certificate FILE",
                        "this key has no certificate");
    }
    return false;
}

static struct tls_context *make_context(struct config_loading *loading,
                                        const struct tls_context_options *options,
                                        const struct config_word *blamed)
{
    struct strbuf why;
    struct tls_context *context;
    struct config_place nowhere = {loading->config->files, 0, 0};

    strbuf_init(&why, 1000);
    context = tls_context_new(options, &why);
    if (context == NULL) {
        config_errors_add(loading->errors, CONFIG_ERROR,
                          blamed != NULL ? blamed->place : nowhere, NULL, "%s",
                          strbuf_text(&why));
    }
    strbuf_clear(&why);
    return context;
}

static void warn_of_end(struct config_loading *loading, const struct tls_context *context)
{
    int64_t left = tls_context_expires(context) - clock_unix_seconds();

    if (loading->tls_certificate.word != NULL && left < SOON_SECONDS) {
        config_errors_add(loading->errors, CONFIG_WARNING, loading->tls_certificate.word->place,
                          NULL,
                          left <= 0 ? "this certificate has expired"
                                    : "this certificate expires within 14 days");
    }
}

void config_build_tls(struct config_loading *loading)
{
    struct config_delivery *delivery = &loading->config->delivery;
    struct tls_context_options options = {.role = TLS_CLIENT};
    struct tls_certificate own;
    bool is_complete = are_files_complete(loading);

    delivery->tls_policies.usual = (enum tls_level)delivery->tls;
    if (!is_complete ||
        (!is_wanted(&delivery->tls_policies) && !loading->config->requiretls &&
         loading->tls_certificate.word == NULL && loading->tls_ca.word == NULL)) {
        return;
    }
    if (loading->tls_ca.word != NULL) {
        options.trusted = loading->tls_ca.file->text;
        /* alone first, so that it is known which file an error is in */
        delivery->tls_context = make_context(loading, &options, loading->tls_ca.word);
        if (delivery->tls_context == NULL) {
            return;
        }
        tls_context_drop(&delivery->tls_context);
    }
    if (loading->tls_key.word != NULL) {
        own = (struct tls_certificate){loading->tls_certificate.file->text,
                                       loading->tls_key.file->text};
        options.certificates = &own;
        options.certificate_count = 1;
    }
    delivery->tls_context = make_context(loading, &options, loading->tls_certificate.word);
    if (delivery->tls_context != NULL) {
        warn_of_end(loading, delivery->tls_context);
    }
    if (loading->tls_key.word != NULL) { /* the context has what it needs of it */
        config_wipe_file(loading->tls_key.file);
    }
}
