/*
 * The queue is two buffers: receivers fill one, the thread writes the other. The thread is made with the
 * first line, so that a history that is off costs nothing.
 */
#include "io/history.h"

#include "history_files.h"
#include "history_segment.h"
#include "time_after.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/log.h"
#include "io/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    COLLECT_MS = 1000,
    HURRY_AT = HISTORY_QUEUE / 4, /* octets; then the thread does not wait for its time */
    CLOSE_MS = 2000,              /* a disk that hangs is not waited for longer */
    BUSY_PATIENCE_MS = 60000,     /* somebody else holds the file: for so long lines wait */
    RETRY_MS = 30000,             /* after trouble */
    LOOK_MS = 60000,              /* between looks at ages and sizes */
    OVERFLOW_SAID_MS = 3600000,   /* said once in this time */
    CLOCK_JUMP_MS = 3600000,
    SEGMENTS = 16, /* so many make the size */
};

struct history {
    char *directory;
    history_describe *describe;

    pthread_mutex_t mutex;         /* for what follows */
    pthread_cond_t wake;           /* for the thread */
    pthread_cond_t done;           /* for those who flush */
    struct process_thread *thread; /* NULL: nothing has come yet */
    struct history_settings settings;
    char *waiting; /* whole lines */
    size_t waiting_len;
    uint64_t taken, settled; /* octets: ever put in; ever kept or dropped */
    uint64_t overflowed;     /* lines that found the queue full */
    struct history_numbers numbers;
    bool is_stopping;
    bool has_ended; /* the thread */
    bool is_idle, is_hurry;
    bool is_told_to_retry;

    /* The thread's own. */
    char *batch;
    struct arena *arena;
    struct history_segment segment;
    char current[HISTORY_NAME + 1]; /* its name; "": none is open */
    char spoilt[HISTORY_NAME + 1];  /* the last one that could not be used */
    uint64_t retry_at_ms;           /* 0: there is no trouble */
    uint64_t trouble_lost;          /* lines, since it began */
    uint64_t look_at_ms;
    uint64_t overflow_said, overflow_said_ms;
    int64_t clock_gap_ms; /* between wall clock and monotonic clock, at the last look */
    uint64_t no_ageing_until_ms;
};

static uint64_t count_lines(struct bytes lines)
{
    uint64_t count = 0;

    while (lines.len > 0) {
        bytes_cut(&lines, '\n');
        count++;
    }
    return count;
}

/* ---- trouble ---- */

static void note_lost(struct history *history, struct bytes lines)
{
    uint64_t count = count_lines(lines);

    history->trouble_lost += count;
    pthread_mutex_lock(&history->mutex);
    history->numbers.dropped += count;
    pthread_mutex_unlock(&history->mutex);
}

static void set_trouble(struct history *history, bool is_in_trouble)
{
    pthread_mutex_lock(&history->mutex);
    history->numbers.is_in_trouble = is_in_trouble;
    pthread_mutex_unlock(&history->mutex);
}

static void close_segment(struct history *history)
{
    history_segment_close(&history->segment);
    history->current[0] = '\0';
}

static void begin_trouble(struct history *history, const char *why)
{
    struct log_line line;

    close_segment(history);
    if (history->retry_at_ms == 0) {
        log_begin(&line, LOG_WARNING, "history-trouble");
        log_text(&line, "directory", history->directory);
        log_text(&line, "why", why);
        log_end(&line);
        set_trouble(history, true);
    }
    history->retry_at_ms = clock_now_ms() + RETRY_MS;
}

static void end_trouble(struct history *history)
{
    struct log_line line;

    if (history->retry_at_ms == 0) {
        return;
    }
    log_begin(&line, LOG_INFO, "history-resumed");
    log_number(&line, "lost", (int64_t)history->trouble_lost);
    log_end(&line);
    history->retry_at_ms = 0;
    history->trouble_lost = 0;
    set_trouble(history, false);
}

static const char *status_text(enum segment_status status)
{
    switch (status) {
    case SEGMENT_OK:
    case SEGMENT_EMPTY:
        return "none";
    case SEGMENT_BUSY:
        return "another process holds the file";
    case SEGMENT_FULL:
        return "the disk is full";
    case SEGMENT_DAMAGED:
        return "the file is damaged";
    case SEGMENT_FAILED:
        return "the disk failed";
    }
    return "none";
}

static void say_overflowed(struct history *history, uint64_t overflowed)
{
    uint64_t now_ms = clock_now_ms();
    struct log_line line;

    if (overflowed == history->overflow_said ||
        (history->overflow_said > 0 && now_ms - history->overflow_said_ms < OVERFLOW_SAID_MS)) {
        return;
    }
    log_begin(&line, LOG_WARNING, "history-dropped");
    log_number(&line, "lines", (int64_t)(overflowed - history->overflow_said));
    log_end(&line);
    history->overflow_said = overflowed;
    history->overflow_said_ms = now_ms;
}

/* ---- ages and sizes ---- */

static bool may_age(struct history *history)
{
    uint64_t now_ms = clock_now_ms();
    int64_t gap_ms = clock_unix_ms() - (int64_t)now_ms;
    int64_t jump_ms = gap_ms - history->clock_gap_ms;

    if (jump_ms > CLOCK_JUMP_MS || jump_ms < -CLOCK_JUMP_MS) {
        history->no_ageing_until_ms = now_ms + CLOCK_JUMP_MS;
    }
    history->clock_gap_ms = gap_ms;
    return now_ms >= history->no_ageing_until_ms;
}

/* One segment less than the size, for the one that grows. */
static void look_around(struct history *history, const struct history_settings *settings)
{
    struct history_bounds bounds = {
        .now_ms = clock_unix_ms(),
        .span_ms = may_age(history) ? settings->span_ms : 0,
        .size = settings->size - settings->size / SEGMENTS,
        .current = history->current,
    };
    uint64_t octets = history_files_trim(history->directory, &bounds);

    pthread_mutex_lock(&history->mutex);
    history->numbers.octets = octets;
    pthread_mutex_unlock(&history->mutex);
    history->look_at_ms = clock_now_ms() + LOOK_MS;
}

static bool has_space(const struct history *history, const struct history_settings *settings)
{
    uint64_t octets;

    return disk_free_space(history->directory, &octets) != DISK_OK ||
           octets >= settings->free_space;
}

/* ---- segments ---- */

/* The last one of this day, or the one behind it when that is big enough or could not be used. */
static unsigned number_to_open(const struct history *history, const char *day, uint64_t size)
{
    struct history_files files;
    unsigned number = 1;

    history_files_list(&files, history->directory);
    for (size_t i = 0; i < files.count; i++) {
        const struct history_file *file = &files.files[i];

        if (strncmp(file->name, day, HISTORY_DAY) == 0) {
            number = history_files_number(file->name);
            number += file->size >= size / SEGMENTS || strcmp(file->name, history->spoilt) == 0;
        }
    }
    history_files_clear(&files);
    return number < HISTORY_NUMBER_MOST ? number : HISTORY_NUMBER_MOST;
}

static enum segment_status try_to_open(struct history *history, const char *day, uint64_t size,
                                       struct strbuf *why)
{
    char name[HISTORY_NAME + 1];
    enum segment_status status;
    char *path;

    history_files_name(name, day, number_to_open(history, day, size));
    path = history_files_path(history->directory, name);
    status = history_segment_open(&history->segment, path, why);
    free(path);
    if (status == SEGMENT_OK) {
        memcpy(history->current, name, sizeof name);
    } else if (status == SEGMENT_DAMAGED) {
        memcpy(history->spoilt, name, sizeof name);
    }
    return status;
}

static bool is_stopping(struct history *history)
{
    bool is_so;

    pthread_mutex_lock(&history->mutex);
    is_so = history->is_stopping;
    pthread_mutex_unlock(&history->mutex);
    return is_so;
}

static enum segment_status open_segment(struct history *history, const char *day,
                                        const struct history_settings *settings,
                                        struct strbuf *why)
{
    enum disk_status made = disk_make_directory(history->directory);
    uint64_t until_ms = clock_now_ms() + BUSY_PATIENCE_MS;
    bool was_damaged = false, is_second;
    enum segment_status status;

    if (made != DISK_OK) {
        strbuf_addf(why, "%s cannot be made", history->directory);
        return made == DISK_FULL ? SEGMENT_FULL : SEGMENT_FAILED;
    }
    look_around(history, settings); /* what is too old makes room first */
    do {
        strbuf_reset(why);
        status = try_to_open(history, day, settings->size, why);
        is_second = was_damaged;
        was_damaged = was_damaged || status == SEGMENT_DAMAGED;
    } while ((status == SEGMENT_BUSY && clock_now_ms() < until_ms && !is_stopping(history)) ||
             (status == SEGMENT_DAMAGED && !is_second));
    return status;
}

static bool is_fit(struct history *history, const char *day,
                   const struct history_settings *settings)
{
    return history->current[0] != '\0' && strncmp(history->current, day, HISTORY_DAY) == 0 &&
           history_segment_is_there(&history->segment) &&
           history_segment_octets(&history->segment) < settings->size / SEGMENTS;
}

/* Is there a segment to write to? */
static bool make_ready(struct history *history, const struct history_settings *settings)
{
    enum segment_status status = SEGMENT_OK;
    char day[HISTORY_DAY + 1];
    struct strbuf why;

    if (history->retry_at_ms > clock_now_ms()) {
        return false;
    }
    if (!has_space(history, settings)) {
        begin_trouble(history, "less than limits.free-space is left");
        return false;
    }
    history_files_day(day, clock_unix_ms());
    if (is_fit(history, day, settings)) {
        return true;
    }
    close_segment(history);
    strbuf_init(&why, 1024);
    status = open_segment(history, day, settings, &why);
    if (status != SEGMENT_OK) {
        begin_trouble(history, why.len > 0 ? strbuf_text(&why) : status_text(status));
    }
    strbuf_clear(&why);
    return status == SEGMENT_OK;
}

/* ---- batches ---- */

static enum segment_status write_lines(struct history *history, struct bytes lines,
                                       uint64_t *kept)
{
    enum segment_status status = history_segment_begin(&history->segment);
    struct history_facts facts;

    *kept = 0;
    while (lines.len > 0 && status == SEGMENT_OK) {
        struct bytes line = bytes_cut(&lines, '\n');

        facts.count = 0;
        facts.line = line;
        if (history->describe(line, history->arena, &facts)) {
            status = history_segment_add(&history->segment, &facts);
            (*kept)++;
        }
        arena_reset(history->arena);
    }
    return status == SEGMENT_OK ? history_segment_commit(&history->segment) : status;
}

/* One after the other fails only when the disk does. */
static enum segment_status write_patiently(struct history *history,
                                           const struct history_settings *settings,
                                           struct bytes lines, uint64_t *kept)
{
    uint64_t until_ms = clock_now_ms() + BUSY_PATIENCE_MS;
    enum segment_status status;
    bool is_second = false;

    for (;;) {
        status = write_lines(history, lines, kept);
        if (status == SEGMENT_BUSY && clock_now_ms() < until_ms && !is_stopping(history)) {
            continue; /* SQLite has slept meanwhile */
        }
        if (status != SEGMENT_DAMAGED || is_second) {
            return status;
        }
        memcpy(history->spoilt, history->current, sizeof history->current);
        close_segment(history);
        is_second = true;
        if (!make_ready(history, settings)) {
            return status;
        }
    }
}

static void keep(struct history *history, const struct history_settings *settings,
                 struct bytes lines)
{
    enum segment_status status;
    uint64_t kept = 0;

    if (!make_ready(history, settings)) {
        note_lost(history, lines);
        return;
    }
    status = write_patiently(history, settings, lines, &kept);
    if (status != SEGMENT_OK) {
        begin_trouble(history, status_text(status));
        note_lost(history, lines);
        return;
    }
    end_trouble(history);
    pthread_mutex_lock(&history->mutex);
    history->numbers.kept += kept;
    pthread_mutex_unlock(&history->mutex);
}

/* ---- the thread ---- */

/* Until there are lines and a second has passed, or it is time to look around. */
static void wait_for_lines(struct history *history)
{
    struct timespec until = time_after(LOOK_MS);
    int result = 0;

    while (history->waiting_len == 0 && !history->is_stopping && result != ETIMEDOUT) {
        history->is_idle = true;
        result =
            pthread_cond_clockwait(&history->wake, &history->mutex, CLOCK_MONOTONIC, &until);
    }
    history->is_idle = false;
    until = time_after(COLLECT_MS);
    result = 0;
    while (history->waiting_len > 0 && history->waiting_len < HURRY_AT && !history->is_hurry &&
           !history->is_stopping && result != ETIMEDOUT) {
        result =
            pthread_cond_clockwait(&history->wake, &history->mutex, CLOCK_MONOTONIC, &until);
    }
}

/* The lock is held, and let go meanwhile. */
static void serve_once(struct history *history)
{
    struct history_settings settings = history->settings;
    uint64_t overflowed = history->overflowed;
    bool is_told_to_retry = history->is_told_to_retry;
    struct bytes lines = bytes_of(history->waiting, history->waiting_len);

    history->waiting = history->batch;
    history->waiting_len = 0;
    history->batch = (char *)lines.data;
    history->is_told_to_retry = false;
    pthread_mutex_unlock(&history->mutex);
    if (is_told_to_retry) {
        history->retry_at_ms = history->retry_at_ms == 0 ? 0 : clock_now_ms();
        history->look_at_ms = 0;
    }
    if (lines.len > 0) {
        keep(history, &settings, lines);
    }
    if (history->look_at_ms <= clock_now_ms() && settings.span_ms > 0) {
        look_around(history, &settings);
    }
    say_overflowed(history, overflowed);
    pthread_mutex_lock(&history->mutex);
    history->settled += lines.len;
    pthread_cond_broadcast(&history->done);
}

static void run_history(void *context)
{
    struct history *history = context;

    pthread_mutex_lock(&history->mutex);
    for (;;) {
        wait_for_lines(history);
        if (history->waiting_len == 0 && history->is_stopping) {
            break;
        }
        serve_once(history);
    }
    pthread_mutex_unlock(&history->mutex);
    close_segment(history);
    pthread_mutex_lock(&history->mutex);
    history->has_ended = true;
    pthread_cond_broadcast(&history->done);
    pthread_mutex_unlock(&history->mutex);
}

static void start_thread(struct history *history)
{
    if (history->thread == NULL) {
        history->waiting = memory_alloc(HISTORY_QUEUE);
        history->batch = memory_alloc(HISTORY_QUEUE);
        history->arena = arena_new();
        history->clock_gap_ms = clock_unix_ms() - (int64_t)clock_now_ms();
        history->thread = process_thread_start("history", run_history, history);
    }
}

/* As many whole lines as fit. */
static size_t fitting(struct bytes lines, size_t room)
{
    struct bytes part = bytes_first(lines, room);

    return part.len == lines.len ? part.len : bytes_find_last(part, '\n') + 1;
}

void history_take(void *context, struct bytes lines)
{
    struct history *history = context;
    uint64_t overflowed;
    size_t room, len;

    pthread_mutex_lock(&history->mutex);
    if (history->settings.span_ms == 0 || lines.len == 0) {
        pthread_mutex_unlock(&history->mutex);
        return;
    }
    start_thread(history);
    room = HISTORY_QUEUE - history->waiting_len;
    len = fitting(lines, room);
    if (len > room) {
        len = 0; /* not even the first one */
    }
    memcpy(history->waiting + history->waiting_len, lines.data, len);
    history->waiting_len += len;
    history->taken += len;
    overflowed = count_lines(bytes_skip(lines, len));
    history->overflowed += overflowed;
    history->numbers.dropped += overflowed;
    if (history->is_idle || history->waiting_len >= HURRY_AT) {
        history->is_idle = false;
        pthread_cond_signal(&history->wake);
    }
    pthread_mutex_unlock(&history->mutex);
}

/* ---- the ends ---- */

struct history *history_new(const char *directory, const struct history_settings *settings,
                            history_describe *describe)
{
    struct history *history = memory_zero(sizeof *history);

    history->directory = memory_alloc(strlen(directory) + 1);
    memcpy(history->directory, directory, strlen(directory) + 1);
    history->describe = describe;
    history->settings = *settings;
    pthread_mutex_init(&history->mutex, NULL);
    pthread_cond_init(&history->wake, NULL);
    pthread_cond_init(&history->done, NULL);
    return history;
}

void history_set(struct history *history, const struct history_settings *settings)
{
    pthread_mutex_lock(&history->mutex);
    history->settings = *settings;
    history->is_told_to_retry = true;
    pthread_mutex_unlock(&history->mutex);
}

struct history_numbers history_numbers_now(struct history *history)
{
    struct history_numbers numbers;

    pthread_mutex_lock(&history->mutex);
    numbers = history->numbers;
    pthread_mutex_unlock(&history->mutex);
    return numbers;
}

bool history_flush(struct history *history, unsigned timeout_ms)
{
    struct timespec until = time_after(timeout_ms);
    uint64_t goal;
    bool is_done;

    pthread_mutex_lock(&history->mutex);
    goal = history->taken;
    history->is_hurry = true;
    pthread_cond_signal(&history->wake);
    while (history->settled < goal &&
           pthread_cond_clockwait(&history->done, &history->mutex, CLOCK_MONOTONIC, &until) !=
               ETIMEDOUT) {
    }
    history->is_hurry = false;
    is_done = history->settled >= goal;
    pthread_mutex_unlock(&history->mutex);
    return is_done;
}

/* False: it hangs in the disk. */
static bool has_stopped(struct history *history)
{
    struct timespec until = time_after(CLOSE_MS);
    bool has_ended;

    pthread_mutex_lock(&history->mutex);
    history->is_stopping = true;
    pthread_cond_signal(&history->wake);
    while (!history->has_ended &&
           pthread_cond_clockwait(&history->done, &history->mutex, CLOCK_MONOTONIC, &until) !=
               ETIMEDOUT) {
    }
    has_ended = history->has_ended;
    pthread_mutex_unlock(&history->mutex);
    return has_ended;
}

void history_free(struct history **history)
{
    struct history *old = *history;

    *history = NULL;
    if (old == NULL) {
        return;
    }
    if (old->thread != NULL) {
        if (!has_stopped(old)) {
            return; /* what it uses has to stay; the process is about to end */
        }
        process_thread_join(&old->thread);
    }
    pthread_cond_destroy(&old->done);
    pthread_cond_destroy(&old->wake);
    pthread_mutex_destroy(&old->mutex);
    arena_free(&old->arena);
    free(old->batch);
    free(old->waiting);
    free(old->directory);
    free(old);
}
