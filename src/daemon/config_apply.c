#include "config_internal.h"

#include "auth/idn_domain.h"
#include "daemon/config_value.h"

#include <stddef.h>
#include <stdlib.h>

enum { SECRET_FILE_LIMIT = 65536 };

static const char HOW_TO_MAKE[] = "make one: postilion srs secret --add FILE";

static void *value_of(struct config_loading *loading, const struct config_option *option)
{
    return (char *)loading->config + option->offset;
}

static struct config_word *value_words(const struct config_node *node, size_t *count)
{
    *count = node->count - 1;
    return node->words + 1;
}

const struct config_word *config_single_word(struct config_loading *loading,
                                             const struct config_option *option,
                                             const struct config_node *node)
{
    if (node->count > 2) {
        config_error_at(loading, &node->words[2], "one directive a line", "%s takes one value",
                        option->name);
        return NULL;
    }
    return &node->words[1];
}

static void apply_text(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    struct bytes *value = value_of(loading, option);

    if (word == NULL) {
        return;
    }
    if (word->text.len == 0) {
        config_error_at(loading, word, NULL, "%s is empty", option->name);
        return;
    }
    *value = bytes_of(arena_copy_text(loading->arena, word->text), word->text.len);
}

bool config_domain_to_ascii(struct config_loading *loading, struct bytes text,
                            struct bytes *name)
{
    if (bytes_is_ascii(text)) {
        *name = text;
        return smtp_domain_is_valid(text, false);
    }
    return idn_domain_to_ascii(text, loading->arena, name);
}

static bool is_host(struct config_loading *loading, const struct config_word *word,
                    struct bytes *name)
{
    struct ip_address address;

    if (ip_address_parse(word->text, &address)) {
        config_error_at(loading, word, NULL, "a host name is wanted here, not an address");
        return false;
    }
    if (!config_domain_to_ascii(loading, word->text, name)) {
        config_error_at(loading, word,
                        "letters, digits and hyphens between dots, no dot at the end",
                        "this is not a host name");
        return false;
    }
    return true;
}

static void apply_host(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    struct bytes name;

    if (word == NULL || !is_host(loading, word, &name)) {
        return;
    }
    if (memchr(word->text.data, '.', word->text.len) == NULL) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "other servers refuse such a name", "the name has no dot in it");
    }
    if (strcmp(option->context, "domain") == 0) {
        struct config_domain *domain = config_find_domain(loading, node->parent);
        if (domain != NULL) {
            domain->srs_domain = name;
        }
        return;
    }
    apply_text(loading, option, node);
}

static void apply_path(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);

    if (word != NULL && word->text.len > 0) {
        *(struct bytes *)value_of(loading, option) =
            bytes_from_text(config_resolve_path(loading, word));
    } else if (word != NULL) {
        config_error_at(loading, word, NULL, "%s is empty", option->name);
    }
}

static void add_range_text(struct strbuf *out, const struct config_option *option,
                           uint64_t value)
{
    switch (option->type) {
    case CONFIG_SIZE:
        config_value_add_size(out, value);
        return;
    case CONFIG_DURATION:
    case CONFIG_RETRY:
    case CONFIG_HISTORY:
        config_value_add_duration(out, value);
        return;
    case CONFIG_NUMBER:
    case CONFIG_COUNT:
    case CONFIG_BLOCK:
    case CONFIG_DOMAIN:
    case CONFIG_POLICY_FOR:
    case CONFIG_SEAL:
    case CONFIG_NAMES:
    case CONFIG_PATTERNS:
    case CONFIG_INCLUDE:
    case CONFIG_TEXT:
    case CONFIG_HOST:
    case CONFIG_PATH:
    case CONFIG_CHOICE:
    case CONFIG_ENDPOINTS:
    case CONFIG_NETWORKS:
    case CONFIG_SOURCE:
    case CONFIG_ROUTE:
    case CONFIG_TLS_FILE:
    case CONFIG_TLS_RULE:
    case CONFIG_CLIENT_RULE:
    case CONFIG_SCANNER:
    case CONFIG_ADMIN:
    case CONFIG_BLOCKLIST:
    case CONFIG_ALLOWLIST:
    case CONFIG_VERIFY:
    case CONFIG_SECRETS:
    case CONFIG_ALIAS:
    case CONFIG_ALIASES:
        strbuf_add_u64(out, value);
        return;
    }
}

static bool is_in_range(struct config_loading *loading, const struct config_option *option,
                        const struct config_word *word, uint64_t value)
{
    struct strbuf hint;

    if (value >= option->least && value <= option->most) {
        return true;
    }
    strbuf_init(&hint, 200);
    strbuf_addf(&hint, "%s is at least ", option->name);
    add_range_text(&hint, option, option->least);
    strbuf_add_text(&hint, " and at most ");
    add_range_text(&hint, option, option->most);
    config_error_at(loading, word, strbuf_text(&hint), "%s",
                    value < option->least ? "the value is too small"
                                          : "the value is too large");
    strbuf_clear(&hint);
    return false;
}

/* The word as the option's kind of number, in its range. */
static bool read_number(struct config_loading *loading, const struct config_option *option,
                        const struct config_word *word, uint64_t *value)
{
    uint64_t number;

    if (option->type == CONFIG_SIZE) {
        if (!config_value_size(word->text, value)) {
            config_error_at(loading, word, "a number, with K, M or G behind it: 50M",
                            "this is not a size");
            return false;
        }
    } else if (option->type == CONFIG_NUMBER || option->type == CONFIG_COUNT) {
        if (!bytes_to_u64(word->text, value)) {
            config_error_at(loading, word, NULL, "%s takes a number%s%s", option->name,
                            option->choices == NULL ? "" : " or ",
                            option->choices == NULL ? "" : option->choices);
            return false;
        }
    } else if (!config_value_duration(word->text, value)) {
        bool is_bare = bytes_to_u64(word->text, &number);
        config_error_at(loading, word, "a number with ms, s, m, h, d or w behind it: 5m",
                        is_bare ? "this time has no unit" : "this is not a time");
        return false;
    }
    return is_in_range(loading, option, word, *value);
}

/* The block stands right behind its addresses: they are the last ones so far. */
static size_t first_of_block(const struct config *config, const struct config_node *node)
{
    size_t count = config->listen.count;

    return node->parent->count > count ? 0 : count - (node->parent->count - 1);
}

/* A member of struct config_door, of each listener the block is about. */
static void set_doors(struct config *config, const struct config_option *option,
                      const struct config_node *node, uint64_t number)
{
    size_t member = option->offset - offsetof(struct config, doors);

    for (size_t i = first_of_block(config, node); i < config->listen.count; i++) {
        memcpy((char *)&config->doors[i] + member, &number, sizeof number);
    }
}

static void apply_number(struct config_loading *loading, const struct config_option *option,
                         const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    uint64_t *value = value_of(loading, option);
    uint64_t number;

    if (word == NULL) {
        return;
    }
    if (strcmp(option->context, "listen") == 0) {
        if (read_number(loading, option, word, &number)) {
            set_doors(loading->config, option, node, number);
        }
        return;
    }
    if (option->choices != NULL && config_value_choice(word->text, option->choices) >= 0) {
        *value = 0;
    } else if (read_number(loading, option, word, &number)) {
        *value = number;
    }
}

static void report_choice(struct config_loading *loading, const struct config_option *option,
                          const struct config_word *word)
{
    struct bytes rest = bytes_from_text(option->choices);
    struct strbuf hint;

    strbuf_init(&hint, 200);
    strbuf_addf(&hint, "%s takes ", option->name);
    while (rest.len > 0) {
        struct bytes choice = bytes_cut(&rest, '|');
        strbuf_add(&hint, choice);
        strbuf_add_text(&hint, rest.len == 0                      ? ""
                               : memchr(rest.data, '|', rest.len) ? ", "
                                                                  : " or ");
    }
    if (option->later != NULL && config_value_choice(word->text, option->later) >= 0) {
        config_error_at(loading, word, strbuf_text(&hint), "\"%.*s\" is not in this version",
                        BYTES_ARG(word->text));
    } else {
        config_error_at(loading, word, strbuf_text(&hint), "unknown word \"%.*s\"",
                        BYTES_ARG(word->text));
    }
    strbuf_clear(&hint);
}

int config_read_choice(struct config_loading *loading, const struct config_option *option,
                       const struct config_word *word)
{
    int choice = config_value_choice(word->text, option->choices);

    if (choice < 0) {
        report_choice(loading, option, word);
    }
    return choice;
}

static void mark_listeners(struct config *config, const struct config_option *option,
                           const struct config_node *node, int choice)
{
    bool is_proxy = strcmp(option->name, "proxy-protocol") == 0;

    for (size_t i = first_of_block(config, node); i < config->listen.count; i++) {
        if (is_proxy) {
            config->proxy_listeners |= (unsigned)choice << i;
        } else {
            config->listener_tls |= (uint64_t)choice << 2 * i;
        }
    }
}

static void apply_choice(struct config_loading *loading, const struct config_option *option,
                         const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    int choice = word == NULL ? -1 : config_read_choice(loading, option, word);

    if (choice < 0) {
        return;
    }
    if (config_node_is_nested(node)) {
        config_override_policy(loading, option, node, choice);
        return;
    }
    if (strcmp(option->context, "listen") == 0) {
        mark_listeners(loading->config, option, node, choice);
        return;
    }
    memcpy(value_of(loading, option), &choice, sizeof choice);
}

static void apply_count(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    uint64_t number;
    int count;

    if (word == NULL || !read_number(loading, option, word, &number)) {
        return;
    }
    count = (int)number;
    if (config_node_is_nested(node)) {
        config_override_policy(loading, option, node, count);
    } else {
        memcpy(value_of(loading, option), &count, sizeof count);
    }
}

static bool has_room(struct config_loading *loading, const struct config_option *option,
                     const struct config_node *node)
{
    if (node->count - 1 <= option->most) {
        return true;
    }
    config_error_at(loading, &node->words[option->most + 1], NULL,
                    "%s takes at most %llu values", option->name,
                    (unsigned long long)option->most);
    return false;
}

static bool is_same_endpoint(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && a->port != 0 && ip_address_equal(&a->address, &b->address);
}

/* Directives that may repeat add to those before: not more than this in all. */
static bool has_room_beside(struct config_loading *loading, const struct config_option *option,
                            size_t count, const struct config_word *word)
{
    if (count > option->most) {
        config_error_at(loading, word, NULL, "%s takes at most %llu values in all",
                        option->name, (unsigned long long)option->most);
    }
    return count <= option->most;
}

static void apply_endpoints(struct config_loading *loading, const struct config_option *option,
                            const struct config_node *node)
{
    struct config_endpoints *value = value_of(loading, option);
    size_t count, before = value->count;
    const struct config_word *words = value_words(node, &count);
    struct ip_endpoint *items = arena_alloc(loading->arena, (before + count) * sizeof *items);
    uint16_t default_port = strcmp(option->name, "resolver") == 0 ? 53 : 0;

    if (!has_room(loading, option, node)) {
        return;
    }
    if (!has_room_beside(loading, option, before + count, &words[0])) {
        return;
    }
    for (size_t i = 0; i < before; i++) {
        items[i] = value->items[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct ip_endpoint *item = &items[before + i];
        if (!ip_endpoint_parse(words[i].text, default_port, item)) {
            config_error_at(loading, &words[i], "write 192.0.2.1:25 or [2001:db8::1]:25",
                            "this is not an address with a port");
            continue;
        }
        for (size_t j = 0; j < before + i; j++) {
            if (is_same_endpoint(&items[j], item)) {
                config_error_at(loading, &words[i], NULL, "this address is there twice");
                if (j >= before) {
                    config_errors_add_note(loading->errors, words[j - before].place,
                                           "first set here");
                }
            }
        }
    }
    *value = (struct config_endpoints){items, before + count};
}

static void apply_networks(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node)
{
    size_t count;
    const struct config_word *words = value_words(node, &count);
    struct ip_network *items = arena_alloc(loading->arena, count * sizeof *items);

    if (!has_room(loading, option, node)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!ip_network_parse(words[i].text, &items[i])) {
            config_error_at(
                loading, &words[i],
                "write 192.0.2.0/24 or 2001:db8::/32; behind the prefix all bits are 0",
                "this is not a network");
        }
    }
    *(struct config_networks *)value_of(loading, option) =
        (struct config_networks){items, count};
}

static void apply_names(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node)
{
    struct arc_trust *value = value_of(loading, option);
    size_t count, before = value->count;
    const struct config_word *words = value_words(node, &count);
    struct bytes *items = arena_alloc(loading->arena, (before + count) * sizeof *items);

    if (config_node_is_nested(node)) {
        config_error_at(loading, &node->words[0],
                        "it belongs into the policy block outside of all domains",
                        "%s cannot be set for a domain alone", option->name);
        return;
    }
    if (!has_room_beside(loading, option, before + count, &words[0])) {
        return;
    }
    for (size_t i = 0; i < before; i++) {
        items[i] = value->domains[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes ascii = BYTES("");
        struct ip_address address;
        if (ip_address_parse(words[i].text, &address) ||
            !idn_domain_to_ascii(words[i].text, loading->arena, &ascii) ||
            bytes_find(ascii, '.') == ascii.len) {
            config_error_at(loading, &words[i],
                            "write each as its seals say it in d=: lists.example.net",
                            "this is not the name of a domain");
        }
        items[before + i] = ascii;
    }
    *value = (struct arc_trust){items, before + count};
}

/* "exe", ".exe" and "*.exe" all say the same; types have a slash. */
static bool read_pattern(struct config_loading *loading, const struct config_option *option,
                         const struct config_word *word, struct bytes *pattern)
{
    bool is_type = option->offset == offsetof(struct config, content.types);
    struct bytes text = word->text;
    struct strbuf lower;

    if (!is_type && bytes_starts_with(text, BYTES("*."))) {
        text = bytes_skip(text, 2);
    } else if (!is_type && bytes_starts_with(text, BYTES("."))) {
        text = bytes_skip(text, 1);
    }
    if (is_type != (bytes_find(text, '/') < text.len) || text.len == 0) {
        config_error_at(loading, word,
                        is_type ? "write it as application/x-msdownload, or video/*"
                                : "write what names end in: exe, or tar.gz",
                        is_type ? "this is not a media type" : "this is not the end of a name");
        return false;
    }
    strbuf_init(&lower, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        strbuf_add_char(&lower, (char)ascii_lower((unsigned char)text.data[i]));
    }
    *pattern = arena_copy(loading->arena, strbuf_bytes(&lower));
    strbuf_clear(&lower);
    return true;
}

static void apply_patterns(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node)
{
    struct file_patterns *value = value_of(loading, option);
    size_t count, before = value->count;
    const struct config_word *words = value_words(node, &count);
    struct bytes *items = arena_alloc(loading->arena, (before + count) * sizeof *items);

    if (!has_room_beside(loading, option, before + count, &words[0])) {
        return;
    }
    for (size_t i = 0; i < before; i++) {
        items[i] = value->items[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_pattern(loading, option, &words[i], &items[before + i])) {
            return;
        }
    }
    *value = (struct file_patterns){items, before + count};
}

static void apply_retry(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node)
{
    size_t count;
    const struct config_word *words = value_words(node, &count);
    struct retry_schedule *retry = value_of(loading, option);

    if (count > RETRY_PAUSES) {
        config_error_at(loading, &words[RETRY_PAUSES], "the last pause repeats",
                        "more than 16 pauses");
        return;
    }
    retry->count = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t pause = 0;
        if (read_number(loading, option, &words[i], &pause)) {
            retry->pauses_seconds[i] = (uint32_t)(pause / 1000);
        }
    }
}

static void apply_source(struct config_loading *loading, const struct config_node *node)
{
    size_t count;
    const struct config_word *words = value_words(node, &count);
    struct config_delivery *delivery = &loading->config->delivery;

    for (size_t i = 0; i < count; i++) {
        struct ip_address address, *place;
        if (!ip_address_parse(words[i].text, &address)) {
            config_error_at(loading, &words[i], NULL, "this is not an IP address");
            continue;
        }
        place = address.family == IP_V4 ? &delivery->source_v4 : &delivery->source_v6;
        if (place->family != IP_NONE) {
            config_error_at(loading, &words[i], "one IPv4 and one IPv6 address at most",
                            "a second address of the same family");
        }
        *place = address;
    }
}

/* --- secrets ----------------------------------------------------------------------------- */

static void add_secret(struct config_loading *loading, const struct config_word *word,
                       const char *path, struct bytes octets, bool is_classic)
{
    if (octets.len < SRS_SECRET_MIN_OCTETS) {
        if (!is_classic) {
            config_error_at(loading, word, HOW_TO_MAKE,
                            "a secret in %s has %zu octets, 16 are needed", path, octets.len);
            return;
        }
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "remove it once its last bounces are back",
                          "a secret in %s has only %zu octets", path, octets.len);
    }
    if (loading->secret_count == SRS_SECRET_LIMIT) {
        config_error_at(loading, word, "remove the oldest ones", "more than 16 secrets in all");
        return;
    }
    if (!is_classic) {
        /* what signs stands first, whatever the order of the two options */
        size_t at = loading->secret_count - loading->classic_count;
        memmove(&loading->secrets[at + 1], &loading->secrets[at],
                loading->classic_count * sizeof loading->secrets[0]);
        loading->secrets[at] = (struct srs_secret){octets, false};
    } else {
        loading->secrets[loading->secret_count] = (struct srs_secret){octets, true};
        loading->classic_count++;
    }
    loading->secret_count++;
}

static void apply_secrets(struct config_loading *loading, const struct config_option *option,
                          const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    bool is_classic = strcmp(option->name, "classic-secret-file") == 0;
    struct config_file *file;
    struct bytes rest;
    const char *path;
    size_t found = 0;

    if (word == NULL) {
        return;
    }
    path = config_resolve_path(loading, word);
    file = config_read_file(loading, path, SECRET_FILE_LIMIT, word->place, HOW_TO_MAKE);
    if (file == NULL) {
        return;
    }
    config_check_secret(loading, word, file);
    *(is_classic ? &loading->config->srs_classic_secrets : &loading->config->srs_secrets) =
        file;
    rest = file->text;
    while (rest.len > 0) {
        struct bytes line = bytes_trim(bytes_cut(&rest, '\n'));
        if (line.len > 0) {
            add_secret(loading, word, path, line, is_classic);
            found++;
        }
    }
    if (found == 0) {
        config_error_at(loading, word, HOW_TO_MAKE, "there is no secret in %s", path);
    }
}

/* Long, because each kind has its line and the compiler names the one that is missing. */
void config_apply(struct config_loading *loading, const struct config_option *option,
                  const struct config_node *node)
{
    if (strcmp(option->context, "seal") == 0) {
        config_apply_seal(loading, option, node);
        return;
    }
    if (strcmp(option->context, "tls") == 0 && option->type == CONFIG_TLS_FILE) {
        config_apply_certificate(loading, option, node);
        return;
    }
    switch (option->type) {
    case CONFIG_BLOCK:
    case CONFIG_DOMAIN:
    case CONFIG_POLICY_FOR:
    case CONFIG_SEAL:
    case CONFIG_INCLUDE:
    case CONFIG_VERIFY:
    case CONFIG_ALIAS:
    case CONFIG_ALIASES:
        return; /* walked by config_load, or gathered by config_aliases and config_verify */
    case CONFIG_TEXT:
        apply_text(loading, option, node);
        return;
    case CONFIG_HOST:
        apply_host(loading, option, node);
        return;
    case CONFIG_PATH:
        apply_path(loading, option, node);
        return;
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        apply_number(loading, option, node);
        return;
    case CONFIG_COUNT:
        apply_count(loading, option, node);
        return;
    case CONFIG_CHOICE:
        apply_choice(loading, option, node);
        return;
    case CONFIG_ENDPOINTS:
        apply_endpoints(loading, option, node);
        return;
    case CONFIG_NETWORKS:
        apply_networks(loading, option, node);
        return;
    case CONFIG_NAMES:
        apply_names(loading, option, node);
        return;
    case CONFIG_PATTERNS:
        apply_patterns(loading, option, node);
        return;
    case CONFIG_RETRY:
        apply_retry(loading, option, node);
        return;
    case CONFIG_SOURCE:
        apply_source(loading, node);
        return;
    case CONFIG_ROUTE:
        config_apply_route(loading, node);
        return;
    case CONFIG_TLS_FILE:
        config_apply_tls_file(loading, option, node);
        return;
    case CONFIG_TLS_RULE:
        config_apply_tls_rule(loading, option, node);
        return;
    case CONFIG_CLIENT_RULE:
        config_apply_client_rule(loading, option, node);
        return;
    case CONFIG_SCANNER:
        config_apply_scanner(loading, option, node);
        return;
    case CONFIG_ADMIN:
        config_apply_admin(loading, option, node);
        return;
    case CONFIG_HISTORY:
        config_apply_history(loading, option, node);
        return;
    case CONFIG_BLOCKLIST:
    case CONFIG_ALLOWLIST:
        config_apply_list(loading, option, node);
        return;
    case CONFIG_SECRETS:
        apply_secrets(loading, option, node);
        return;
    }
}
