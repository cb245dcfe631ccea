#include "config_internal.h"

#include "auth/idn_domain.h"

#include <stddef.h>

enum { POINTS_LIMIT = 1000, ZONE_LIMIT = 189 }; /* 32 nibbles with their dots stand before it */

/* ---- rules ------------------------------------------------------------------------------- */

/* "off", "tag", "defer", "refuse". */
static bool read_action(struct bytes text, struct client_rule *rule)
{
    static const char *const words[] = {[CLIENT_OFF] = "off",
                                        [CLIENT_TAG] = "tag",
                                        [CLIENT_DEFER] = "defer",
                                        [CLIENT_REFUSE] = "refuse"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_equal(text, bytes_from_text(words[i]))) {
            *rule = (struct client_rule){.action = (enum client_action)i};
            return true;
        }
    }
    return false;
}

static bool read_points(struct bytes text, struct client_rule *rule)
{
    uint64_t points;

    if (!bytes_to_u64(text, &points) || points == 0 || points > POINTS_LIMIT) {
        return false;
    }
    *rule = (struct client_rule){.action = CLIENT_POINTS, .points = (unsigned)points};
    return true;
}

void config_apply_client_rule(struct config_loading *loading,
                              const struct config_option *option,
                              const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    struct client_rule rule;

    if (word == NULL) {
        return;
    }
    if (!read_action(word->text, &rule) && !read_points(word->text, &rule)) {
        config_error_at(loading, word,
                        "off, tag, defer, refuse, or a number of points from 1 to 1000",
                        "%s does not know this word", option->name);
        return;
    }
    memcpy((char *)loading->config + option->offset, &rule, sizeof rule);
}

/* ---- lists ------------------------------------------------------------------------------- */

static bool read_zone(struct config_loading *loading, const struct config_word *word,
                      struct bytes *zone)
{
    struct dns_name name;
    struct bytes ascii;

    if (!idn_domain_to_ascii(word->text, loading->arena, &ascii) ||
        !dns_name_read(ascii, &name) || bytes_find(ascii, '.') == ascii.len ||
        name.len > ZONE_LIMIT) {
        config_error_at(loading, word, "write the name its keepers give: bl.example.net",
                        "this is not the zone of a list");
        return false;
    }
    *zone = arena_copy(loading->arena, bytes_of(name.octets, name.len));
    return true;
}

static bool is_keyword(struct bytes text)
{
    struct client_rule rule;

    return bytes_equal(text, BYTES("weight")) || bytes_equal(text, BYTES("match")) ||
           bytes_equal(text, BYTES("for")) || read_action(text, &rule);
}

/* Returns how many words it took. */
static size_t read_matches(struct config_loading *loading, const struct config_node *node,
                           size_t first, struct dns_list *list)
{
    size_t at = first;

    for (; at < node->count && !is_keyword(node->words[at].text); at++) {
        if (list->match_count == DNS_LIST_MATCHES) {
            config_error_at(loading, &node->words[at], NULL, "more than 16 answers to match");
            return node->count - first;
        }
        if (!dns_list_match_parse(node->words[at].text, &list->matches[list->match_count++])) {
            config_error_at(loading, &node->words[at],
                            "write 127.0.0.2, 127.0.0.2-127.0.0.9, or &0.0.0.6 for any of "
                            "these bits",
                            "this is not an answer of a list");
        }
    }
    if (at == first) {
        config_error_at(loading, &node->words[first - 1], "write: match 127.0.0.2-127.0.0.9",
                        "no answers are named");
    }
    return at - first;
}

static void read_subject(struct config_loading *loading, const struct config_word *word,
                         struct dns_list *list)
{
    if (bytes_equal(word->text, BYTES("client"))) {
        list->subject = DNS_LIST_CLIENT;
    } else if (bytes_equal(word->text, BYTES("sender"))) {
        list->subject = DNS_LIST_SENDER;
    } else if (bytes_equal(word->text, BYTES("helo"))) {
        list->subject = DNS_LIST_HELO;
    } else {
        config_error_at(loading, word, "for client, for sender or for helo",
                        "a list is about one of these");
    }
}

/* What stands behind the zone. */
static void read_words(struct config_loading *loading, const struct config_node *node,
                       bool is_allow, struct dns_list *list)
{
    for (size_t at = 2; at < node->count; at++) {
        const struct config_word *word = &node->words[at];
        const struct config_word *next = at + 1 < node->count ? &node->words[at + 1] : word;

        if (bytes_equal(word->text, BYTES("match"))) {
            at += read_matches(loading, node, at + 1, list);
        } else if (!is_allow && bytes_equal(word->text, BYTES("for"))) {
            read_subject(loading, next, list);
            at++;
        } else if (!is_allow && bytes_equal(word->text, BYTES("weight"))) {
            if (!read_points(next->text, &list->rule)) {
                config_error_at(loading, next, "a number of points from 1 to 1000",
                                "this is not a weight");
            }
            at++;
        } else if (is_allow || !read_action(word->text, &list->rule)) {
            config_error_at(loading, word,
                            is_allow ? "write: allowlist ZONE [match ...], or networks alone"
                                     : "write: blocklist ZONE [tag|defer|refuse|weight N] "
                                       "[match ...] [for client|sender|helo]",
                            "this word has no meaning here");
        }
    }
}

/* A list is a value of the config, one behind the other. */
static struct dns_list *add_list(struct config_loading *loading, const struct config_node *node,
                                 struct config_lists *lists)
{
    struct dns_list *items;

    if (lists->count == DNS_LIST_LIMIT) {
        config_error_at(loading, &node->words[0], NULL, "more than %d lists", DNS_LIST_LIMIT);
        return NULL;
    }
    items = arena_alloc(loading->arena, (lists->count + 1) * sizeof *items);
    if (lists->count > 0) {
        memcpy(items, lists->items, lists->count * sizeof *items);
    }
    items[lists->count] = (struct dns_list){.rule = {.action = CLIENT_REFUSE}};
    lists->items = items;
    return &items[lists->count++];
}

static void add_networks(struct config_loading *loading, const struct config_node *node)
{
    struct config_networks *value = &loading->config->allowed_clients;
    size_t before = value->count, count = node->count - 1;
    struct ip_network *items = arena_alloc(loading->arena, (before + count) * sizeof *items);

    if (before > 0) {
        memcpy(items, value->items, before * sizeof *items);
    }
    for (size_t i = 0; i < count; i++) {
        if (!ip_network_parse(node->words[i + 1].text, &items[before + i])) {
            config_error_at(
                loading, &node->words[i + 1],
                "write 192.0.2.0/24 or 2001:db8::/32; behind the prefix all bits are 0",
                "this is not a network");
        }
    }
    *value = (struct config_networks){items, before + count};
}

/* Zones begin with a letter, or have one; addresses do not look like names. */
static bool is_network(struct bytes text)
{
    struct ip_address address;
    struct bytes before = bytes_first(text, bytes_find(text, '/'));

    return ip_address_parse(before, &address) || before.len < text.len;
}

void config_apply_list(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node)
{
    bool is_allow = strcmp(option->name, "allowlist") == 0;
    struct config *config = loading->config;
    struct dns_list *list;
    struct bytes zone;

    if (is_allow && is_network(node->words[1].text)) {
        add_networks(loading, node);
        return;
    }
    if (!read_zone(loading, &node->words[1], &zone)) {
        return;
    }
    list = add_list(loading, node, is_allow ? &config->allowlists : &config->blocklists);
    if (list != NULL) {
        list->zone = zone;
        read_words(loading, node, is_allow, list);
    }
}

/* ---- the whole --------------------------------------------------------------------------- */

static bool has_points(const struct config *config, unsigned *most)
{
    unsigned listed = 0;

    for (size_t i = 0; i < config->blocklists.count; i++) {
        const struct client_rule *rule = &config->blocklists.items[i].rule;
        listed += rule->action == CLIENT_POINTS ? rule->points : 0;
    }
    *most = client_rules_most(&config->client_rules, listed);
    return *most > 0;
}

/* The threshold, unless it is "never" or above another one. */
static unsigned lower_of(unsigned lowest, uint64_t threshold)
{
    return threshold != 0 && threshold < lowest ? (unsigned)threshold : lowest;
}

void config_check_clients(struct config_loading *loading)
{
    struct config *config = loading->config;
    struct client_rules *rules = &config->client_rules;
    unsigned most, lowest = lower_of(lower_of(lower_of(UINT32_MAX, config->client_tag_at),
                                              config->client_defer_at),
                                     config->client_refuse_at);

    rules->tag_at = (unsigned)config->client_tag_at;
    rules->defer_at = (unsigned)config->client_defer_at;
    rules->refuse_at = (unsigned)config->client_refuse_at;
    if (!has_points(config, &most) || most >= lowest) {
        return;
    }
    for (const struct config_setting *s = config->settings; s != NULL; s = s->next) {
        if (!s->is_default &&
            (s->option->type == CONFIG_CLIENT_RULE || s->option->type == CONFIG_BLOCKLIST)) {
            config_errors_add(loading->errors, CONFIG_WARNING, s->node->words[0].place,
                              "lower client.tag-at or refuse-at, or give more points",
                              "all points together are %u, which has no effect", most);
            return;
        }
    }
}
