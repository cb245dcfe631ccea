#include "config_internal.h"

static bool read_hop(struct config_loading *loading, const struct config_word *word,
                     struct route_hop *hop)
{
    switch (route_hop_read(word->text, hop)) {
    case ROUTE_HOP_OK:
        return true;
    case ROUTE_HOP_BAD_PORT:
        config_error_at(loading, word, "ports go from 1 to 65535", "this is not a port");
        return false;
    case ROUTE_HOP_BAD_HOST:
        config_error_at(
            loading, word,
            "write mail.example.net, mail.example.net:2525, 192.0.2.1:25 or [2001:db8::1]:25",
            "this is not a next hop");
        return false;
    }
    return false;
}

static struct bytes join_words(struct arena *arena, const struct config_word *words,
                               size_t count)
{
    size_t len = 0;
    char *text;

    for (size_t i = 0; i < count; i++) {
        len += words[i].text.len + 1;
    }
    text = arena_alloc(arena, len + 1);
    len = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            text[len++] = ' ';
        }
        memcpy(text + len, words[i].text.data, words[i].text.len);
        len += words[i].text.len;
    }
    return bytes_of(text, len);
}

static void add_route(struct config_loading *loading, const struct delivery_route *route)
{
    if (loading->route_count == loading->route_capacity) {
        size_t capacity = loading->route_capacity * 2 + 8;
        struct delivery_route *grown = arena_alloc(loading->arena, capacity * sizeof *grown);
        if (loading->route_count > 0) {
            memcpy(grown, loading->routes, loading->route_count * sizeof *grown);
        }
        loading->routes = grown;
        loading->route_capacity = capacity;
    }
    loading->routes[loading->route_count++] = *route;
}

static const struct config_node *find_route_node(const struct config_loading *loading,
                                                 struct bytes domain,
                                                 const struct config_node *but)
{
    for (const struct config_setting *s = loading->config->settings; s != NULL; s = s->next) {
        if (s->option->type == CONFIG_ROUTE && s->node != but && s->node->count > 1 &&
            bytes_equal_nocase(s->node->words[1].text, domain)) {
            return s->node;
        }
    }
    return NULL;
}

void config_apply_route(struct config_loading *loading, const struct config_node *node)
{
    const struct config_word *words = node->words;
    const struct config_node *first = find_route_node(loading, words[1].text, node);
    struct delivery_route route = {.domain = words[1].text};

    if (!bytes_equal(route.domain, BYTES("*")) &&
        !config_domain_to_ascii(loading, words[1].text, &route.domain)) {
        config_error_at(loading, &words[1], NULL, "this is not a domain, nor *");
        return;
    }
    route.domain = arena_copy_lower(loading->arena, route.domain);
    if (first != NULL) {
        config_error_at(loading, &words[1], "name all hosts in one line",
                        "a second route for this domain");
        config_errors_add_note(loading->errors, first->words[1].place, "first set here");
        return;
    }
    if (node->count < 4 || !bytes_equal(words[2].text, BYTES("to"))) {
        config_error_at(loading, &words[node->count > 2 ? 2 : 1], "write: route DOMAIN to HOST",
                        node->count > 2 && !bytes_equal(words[2].text, BYTES("to"))
                            ? "the word \"to\" is missing"
                            : "the route leads nowhere");
        return;
    }
    route.use_mx = node->count == 4 && bytes_equal(words[3].text, BYTES("mx"));
    if (node->count - 3 > DELIVERY_ROUTE_HOPS) {
        config_error_at(loading, &words[3 + DELIVERY_ROUTE_HOPS], NULL, "more than 16 hosts");
        return;
    }
    for (size_t i = 3; i < node->count && !route.use_mx; i++) {
        if (bytes_equal(words[i].text, BYTES("mx"))) {
            config_error_at(loading, &words[i], NULL, "\"mx\" stands alone");
        } else if (read_hop(loading, &words[i], &route.hops[route.hop_count])) {
            route.hop_count++;
        }
    }
    route.destination =
        route.use_mx ? BYTES("") : join_words(loading->arena, words + 3, node->count - 3);
    add_route(loading, &route);
}
