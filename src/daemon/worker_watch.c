#include "worker_watch.h"

#include "base/memory.h"
#include "daemon/event_keys.h"

#include <stdio.h>
#include <stdlib.h>

static void take_lines(void *context, struct bytes lines)
{
    struct worker_watch *watch = context;

    history_take(watch->history, lines);
}

static struct history_settings settings_of(const struct config *config)
{
    struct history_settings settings = config->history;

    settings.free_space = config->limits.free_space;
    return settings;
}

/* Lines that nobody logs are not made for a history that is off. */
static void watch_log(struct worker_watch *watch, const struct config *config)
{
    log_watch(config->history.span_ms > 0 ? take_lines : NULL, watch);
}

char *worker_watch_directory(const struct config *config)
{
    size_t size = config->state.len + sizeof "/history";
    char *directory = memory_alloc(size);

    snprintf(directory, size, "%s/history", config->state.data);
    return directory;
}

void worker_watch_start(struct worker_watch *watch, const struct config *config)
{
    struct history_settings settings = settings_of(config);
    char *directory = worker_watch_directory(config);

    watch->history = history_new(directory, &settings, event_keys_describe);
    watch_log(watch, config);
    free(directory);
}

void worker_watch_reload(struct worker_watch *watch, const struct config *config)
{
    struct history_settings settings = settings_of(config);

    history_set(watch->history, &settings);
    watch_log(watch, config);
}

void worker_watch_stop(struct worker_watch *watch)
{
    log_watch(NULL, NULL);
    history_free(&watch->history);
}
