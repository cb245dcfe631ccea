#include "daemon/config_fixed.h"

#include <stddef.h>
#include <stdlib.h>

/* Where the option's value is, in any configuration. */
static const void *value_in(const struct config *config, const struct config_option *option)
{
    return (const char *)config + option->offset;
}

static bool keep_text(struct arena *arena, struct bytes *fresh, const struct bytes *running)
{
    if (bytes_equal(*fresh, *running)) {
        return false;
    }
    *fresh = bytes_from_text(arena_copy_text(arena, *running));
    return true;
}

static bool keep_number(uint64_t *fresh, uint64_t running)
{
    bool has_changed = *fresh != running;

    *fresh = running;
    return has_changed;
}

/* One for each listener. */
static bool keep_door_number(struct config *fresh, const struct config *running, size_t offset)
{
    bool has_changed = false;

    for (size_t i = 0; i < CONFIG_LISTENERS; i++) {
        size_t at = offset + i * sizeof fresh->doors[0];
        uint64_t value;
        memcpy(&value, (const char *)running + at, sizeof value);
        has_changed |= keep_number((uint64_t *)(void *)((char *)fresh + at), value);
    }
    return has_changed;
}

static bool keep_choice(int *fresh, int running)
{
    bool has_changed = *fresh != running;

    *fresh = running;
    return has_changed;
}

static bool keep_endpoints(struct arena *arena, struct config_endpoints *fresh,
                           const struct config_endpoints *running)
{
    bool has_changed = fresh->count != running->count;
    struct ip_endpoint *items;

    for (size_t i = 0; i < running->count && !has_changed; i++) {
        has_changed = !ip_address_equal(&fresh->items[i].address, &running->items[i].address) ||
                      fresh->items[i].port != running->items[i].port;
    }
    if (has_changed) {
        items = arena_alloc(arena, (running->count + 1) * sizeof *items);
        for (size_t i = 0; i < running->count; i++) {
            items[i] = running->items[i];
        }
        *fresh = (struct config_endpoints){items, running->count};
    }
    return has_changed;
}

static bool keep_admin(struct arena *arena, struct config_admin *fresh,
                       const struct config_admin *running)
{
    bool has_changed = keep_text(arena, &fresh->path, &running->path) ||
                       fresh->endpoint.port != running->endpoint.port ||
                       !ip_address_equal(&fresh->endpoint.address, &running->endpoint.address);

    fresh->endpoint = running->endpoint;
    return has_changed;
}

/* True: it had changed. */
static bool keep(struct config *fresh, const struct config *running,
                 const struct config_option *option)
{
    void *value = (char *)fresh + option->offset;
    const void *wanted = value_in(running, option);

    switch (option->type) {
    case CONFIG_TEXT:
    case CONFIG_HOST:
    case CONFIG_PATH:
        return keep_text(fresh->arena, value, wanted);
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        if (strcmp(option->context, "listen") == 0) {
            return keep_door_number(fresh, running, option->offset);
        }
        return keep_number(value, *(const uint64_t *)wanted);
    case CONFIG_CHOICE:
        if (option->offset == offsetof(struct config, listener_tls)) {
            return keep_number(value, *(const uint64_t *)wanted); /* one for each listener */
        }
        return keep_choice(value, *(const int *)wanted);
    case CONFIG_ENDPOINTS:
        return keep_endpoints(fresh->arena, value, wanted);
    case CONFIG_ADMIN:
        return keep_admin(fresh->arena, value, wanted);
    case CONFIG_BLOCK:
    case CONFIG_DOMAIN:
    case CONFIG_POLICY_FOR:
    case CONFIG_COUNT:
    case CONFIG_SEAL:
    case CONFIG_NAMES:
    case CONFIG_PATTERNS:
    case CONFIG_INCLUDE:
    case CONFIG_NETWORKS:
    case CONFIG_RETRY:
    case CONFIG_SOURCE:
    case CONFIG_ROUTE:
    case CONFIG_TLS_FILE:
    case CONFIG_TLS_RULE:
    case CONFIG_CLIENT_RULE:
    case CONFIG_SCANNER:
    case CONFIG_BLOCKLIST:
    case CONFIG_ALLOWLIST:
    case CONFIG_VERIFY:
    case CONFIG_HISTORY:
    case CONFIG_SECRETS:
    case CONFIG_ALIAS:
    case CONFIG_ALIASES:
        break;
    }
    abort(); /* no option of these types needs a restart */
}

void config_keep_fixed(struct config *fresh, const struct config *running,
                       void (*changed)(void *context, const struct config_option *option),
                       void *context)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (!option->is_reloadable && keep(fresh, running, option) && changed != NULL) {
            changed(context, option);
        }
    }
}
