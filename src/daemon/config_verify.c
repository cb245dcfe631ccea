#include "config_internal.h"

#include "daemon/config_value.h"

#include <stddef.h>

/* "defer" or "accept". */
static bool read_failure(const struct config_option *words, struct bytes text,
                         enum verify_failure *on_failure)
{
    int choice = config_value_choice(text, words->choices);

    if (choice >= 0) {
        *on_failure = (enum verify_failure)choice;
    }
    return choice >= 0;
}

static bool is_ours(const struct config_loading *loading, struct bytes domain)
{
    for (const struct config_domain *own = loading->domains; own != NULL; own = own->next) {
        if (bytes_equal_nocase(own->name, domain)) {
            return true;
        }
    }
    return false;
}

static void add_rule(struct config_loading *loading, const struct config_word *word,
                     enum verify_failure on_failure)
{
    struct verify_options *verify = &loading->config->verify;
    struct verify_rule *rules =
        arena_alloc(loading->arena, (verify->count + 1) * sizeof *rules);
    struct bytes domain;

    if (!config_domain_to_ascii(loading, word->text, &domain)) {
        config_error_at(loading, word,
                        "write: verify-recipients internal.example [defer|accept]",
                        "this is not a domain");
        return;
    }
    domain = arena_copy_lower(loading->arena, domain);
    if (recipient_check_rule(verify, domain) != NULL) {
        config_error_at(loading, word, NULL, "this domain is there twice");
        return;
    }
    if (is_ours(loading, domain)) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "name the domain that its aliases lead to",
                          "a domain of ours has no effect here");
    }
    if (verify->count > 0) {
        memcpy(rules, verify->rules, verify->count * sizeof *rules);
    }
    rules[verify->count] = (struct verify_rule){domain, on_failure};
    verify->rules = rules;
    verify->count++;
}

static void read_line(struct config_loading *loading, const struct config_node *node)
{
    const struct config_option *words = config_schema_find("verify", BYTES("on-failure"));
    enum verify_failure on_failure = (enum verify_failure)loading->config->verify_on_failure;
    size_t count = node->count;

    if (read_failure(words, node->words[count - 1].text, &on_failure)) {
        count--;
    }
    if (count < 2) {
        config_error_at(loading, &node->words[1],
                        "write: verify-recipients internal.example [defer|accept]",
                        "no domain is named");
    }
    for (size_t i = 1; i < count; i++) {
        add_rule(loading, &node->words[i], on_failure);
    }
}

void config_build_verify(struct config_loading *loading)
{
    for (const struct config_setting *s = loading->config->settings; s != NULL; s = s->next) {
        if (s->option->type == CONFIG_VERIFY && !s->is_default && s->node->count > 1) {
            read_line(loading, s->node);
        }
    }
}
