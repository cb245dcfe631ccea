#include "config_internal.h"

static bool read_place(struct config_loading *loading, const struct config_word *word,
                       struct scanner_place *place)
{
    if (bytes_starts_with(word->text, BYTES("/"))) {
        place->path = arena_copy_text(loading->arena, word->text);
        return true;
    }
    return ip_endpoint_parse(word->text, 0, &place->endpoint) && place->endpoint.port != 0;
}

void config_apply_scanner(struct config_loading *loading, const struct config_option *option,
                          const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    struct scanner_place place = {.is_set = true};

    if (word == NULL || bytes_equal(word->text, BYTES("off"))) {
        return;
    }
    if (!read_place(loading, word, &place)) {
        config_error_at(
            loading, word,
            "write the path of a Unix socket (/run/clamav/clamd.ctl), 127.0.0.1:3310, or off",
            "this is not where a scanner listens");
        return;
    }
    memcpy((char *)loading->config + option->offset, &place, sizeof place);
}
