#include "worker_watch.h"

#include "daemon/event_keys.h"
#include "io/clock.h"
#include "io/history_search.h"
#include "io/process.h"

static const int64_t RECALLED_MS = INT64_C(7) * 24 * 3600 * 1000;

static void take_lines(void *context, struct bytes lines)
{
    struct worker_watch *watch = context;

    if (atomic_load_explicit(&watch->is_kept, memory_order_relaxed)) {
        history_take(watch->history, lines);
    }
}

static struct history_settings settings_of(const struct config *config)
{
    struct history_settings settings = config->history;

    settings.free_space = config->limits.free_space;
    return settings;
}

/* Lines since the start come by themselves. A history that cannot be read leaves charts empty. */
static void recall(void *context)
{
    struct worker_watch *watch = context;
    struct history_question question = {.key = {HISTORY_EVENT, BYTES("minute")},
                                        .since_ms = watch->started_ms - RECALLED_MS,
                                        .is_stopped = &watch->is_stopping};
    struct arena *arena = arena_new();
    struct history_answer answer;
    struct strbuf why;

    strbuf_init(&why, 4096);
    if (history_search(watch->directory, &question, arena, &answer, &why)) {
        for (size_t i = 0; i < answer.count; i++) {
            if (answer.lines[i].time_ms < watch->started_ms) {
                event_feed_recall(watch->feed, answer.lines[i].line);
            }
        }
    }
    strbuf_clear(&why);
    arena_free(&arena);
}

void worker_watch_start(struct worker_watch *watch, const struct config *config)
{
    struct history_settings settings = settings_of(config);

    watch->arena = arena_new();
    watch->directory = config_history_directory(config, watch->arena);
    watch->history = history_new(watch->directory, &settings, event_keys_describe);
    watch->started_ms = clock_unix_ms();
    atomic_init(&watch->is_kept, settings.span_ms > 0);
    atomic_init(&watch->is_stopping, false);
    watch->feed = event_feed_start(take_lines, watch);
    watch->recall = process_thread_start("charts", recall, watch);
}

void worker_watch_reload(struct worker_watch *watch, const struct config *config)
{
    struct history_settings settings = settings_of(config);

    history_set(watch->history, &settings);
    atomic_store(&watch->is_kept, settings.span_ms > 0);
}

void worker_watch_stop(struct worker_watch *watch)
{
    atomic_store(&watch->is_stopping, true);
    process_thread_join(&watch->recall);
    event_feed_stop(watch->feed);
    event_feed_free(&watch->feed);
    history_free(&watch->history);
    arena_free(&watch->arena);
}
