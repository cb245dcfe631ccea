#include "config_internal.h"

#include "daemon/config_value.h"

#include <stdio.h>

static const uint64_t SIZE_LEAST = UINT64_C(16) << 20, SIZE_MOST = UINT64_C(1) << 50,
                      DEFAULT_SIZE = UINT64_C(1) << 30;

static bool read_size(struct config_loading *loading, const struct config_word *word,
                      uint64_t *size)
{
    if (!config_value_size(word->text, size)) {
        config_error_at(loading, word, "a number, with M or G behind it: 1G",
                        "this is not a size");
        return false;
    }
    if (*size < SIZE_LEAST || *size > SIZE_MOST) {
        config_error_at(
            loading, word, "the size of a history is at least 16M and at most 1024T",
            *size < SIZE_LEAST ? "the value is too small" : "the value is too large");
        return false;
    }
    return true;
}

static bool read_span(struct config_loading *loading, const struct config_option *option,
                      const struct config_word *word, uint64_t *span_ms)
{
    if (!config_value_duration(word->text, span_ms)) {
        config_error_at(loading, word, "how long, then how much: history 14d 1G; or off",
                        "this is not a time");
        return false;
    }
    if (*span_ms < option->least || *span_ms > option->most) {
        config_error_at(loading, word, "history is at least 1h and at most 3650d",
                        *span_ms < option->least ? "the value is too small"
                                                 : "the value is too large");
        return false;
    }
    return true;
}

void config_apply_history(struct config_loading *loading, const struct config_option *option,
                          const struct config_node *node)
{
    struct history_settings *history = &loading->config->history;
    const struct config_word *words = node->words + 1;
    uint64_t span_ms = 0, size = DEFAULT_SIZE;
    size_t count = node->count - 1;
    bool is_off;

    if (count == 0 || count > 2) {
        config_error_at(loading, node->words, "history 14d 1G",
                        "history takes a time and a size");
        return;
    }
    is_off = bytes_equal(words[0].text, BYTES("off"));
    if (is_off && count == 2) {
        config_error_at(loading, &words[1], NULL, "off has no size");
        return;
    }
    if ((is_off || read_span(loading, option, &words[0], &span_ms)) &&
        (count == 1 || read_size(loading, &words[1], &size))) {
        *history = (struct history_settings){.span_ms = span_ms, .size = size};
    }
}

const char *config_history_directory(const struct config *config, struct arena *arena)
{
    size_t size = config->state.len + sizeof "/history";
    char *directory = arena_alloc(arena, size);

    snprintf(directory, size, "%s/history", config->state.data);
    return directory;
}
