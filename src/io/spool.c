/*
 * Three threads around spool_database:
 *
 *   writer  takes everything that waits, makes one transaction of the changes, then reads what
 * was asked for, then posts the answers helper  what may take long and needs no transaction:
 * gives large content its name before its request goes to the writer, and moves the log into
 * the database beside commits
 *   reader  what operators ask: listings may go through millions of rows
 */
#include "io/spool.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/spool_database.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    LOG_START = 8 * 1024 * 1024, /* the helper begins to move the log */
    LOG_REMAINDER =
        1 * 1024 * 1024, /* little enough for the writer to finish between two commits */
    LOG_LIMIT = 64 * 1024 * 1024, /* the writer finishes however much it is */
    READ_LIMIT = 10000,           /* rows of one answer */
    /* Between two messages of one busy client, so that its commits carry the closes along. A
     * crash meanwhile delivers again what has waited: as many deliveries as are open. */
    CLOSE_WAIT_MS = 4,
};

enum submission_kind {
    SUBMISSION_COMMIT,
    SUBMISSION_DESTINATIONS,
    SUBMISSION_DUE,
    SUBMISSION_UNBOUNCED,
    SUBMISSION_MESSAGE,
    SUBMISSION_ALL, /* from here on: the reader's */
    SUBMISSION_AGES,
    SUBMISSION_SUMMARY,
};

struct submission {
    struct submission *next;
    enum submission_kind kind;
    struct event_loop *loop;
    struct loop_task task;
    void *context;
    struct spool_request request; /* COMMIT */
    spool_done done;

    /* reads: what is asked, then what was found */
    struct arena *arena;
    enum spool_status status;
    struct bytes name;
    struct spool_position after;
    int64_t until_ms;
    size_t limit;
    bool with_content;
    struct spool_delivery *rows;
    struct spool_destination *destinations;
    struct spool_message message;
    struct spool_filter filter;
    struct spool_age *ages;
    struct spool_summary summary;
    size_t count;
    spool_rows_done rows_done;
    spool_message_done message_done;
    spool_destinations_done destinations_done;
    spool_ages_done ages_done;
    spool_summary_done summary_done;
};

struct submission_queue {
    struct submission *first;
    struct submission **last;
};

enum writer_state {
    WRITER_WORKS, /* or has been told to */
    WRITER_DOZES, /* what is urgent wakes it */
    WRITER_SLEEPS,
};

enum log_move {
    LOG_RESTS,
    LOG_WANTED, /* the helper is to move it */
    LOG_MOVING,
    LOG_MOVED, /* all but what was committed meanwhile */
};

struct spool {
    struct spool_database *database; /* the writer's, but for what any thread may call */
    pthread_t writer, helper, reader;
    void (*on_damaged)(void *context); /* NULL: nobody wants to know, or it has been said */
    void *context;
    pthread_mutex_t mutex; /* for all below */
    pthread_cond_t writer_wake, helper_wake, reader_wake;
    enum writer_state writer_state;
    bool is_writer_stopped, is_helper_stopped, is_reader_stopped;
    bool is_urgent; /* something in `waiting` may not wait for company */
    struct submission_queue waiting;
    struct submission_queue with_files; /* the helper's, then `waiting` */
    struct submission_queue readings;   /* the reader's */
    enum log_move log_move;
    uint64_t log_moved; /* its size when the helper began */
};

/* ---- queues ---- */

static void queue_init(struct submission_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_add(struct submission_queue *queue, struct submission *submission)
{
    submission->next = NULL;
    *queue->last = submission;
    queue->last = &submission->next;
}

static struct submission *queue_take_all(struct submission_queue *queue)
{
    struct submission *first = queue->first;

    queue_init(queue);
    return first;
}

static struct submission *queue_take_first(struct submission_queue *queue)
{
    struct submission *first = queue->first;

    queue->first = first->next;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    return first;
}

static bool may_wait(const struct submission *submission)
{
    const struct spool_request *request = &submission->request;

    for (size_t i = 0; i < request->count; i++) {
        if (!request->changes[i].may_wait) {
            return false;
        }
    }
    return submission->kind == SUBMISSION_COMMIT;
}

static void hand_to_writer(struct spool *spool, struct submission *submission)
{
    bool is_urgent = !may_wait(submission);
    bool must_wake;

    pthread_mutex_lock(&spool->mutex);
    must_wake = spool->writer_state == WRITER_SLEEPS ||
                (spool->writer_state == WRITER_DOZES && is_urgent);
    spool->writer_state = must_wake ? WRITER_WORKS : spool->writer_state;
    spool->is_urgent = spool->is_urgent || is_urgent;
    queue_add(&spool->waiting, submission);
    pthread_mutex_unlock(&spool->mutex);
    if (must_wake) {
        pthread_cond_signal(&spool->writer_wake);
    }
}

static void hand_to_helper(struct spool *spool, struct submission *submission)
{
    pthread_mutex_lock(&spool->mutex);
    queue_add(&spool->with_files, submission);
    pthread_mutex_unlock(&spool->mutex);
    pthread_cond_signal(&spool->helper_wake);
}

static void hand_to_reader(struct spool *spool, struct submission *submission)
{
    pthread_mutex_lock(&spool->mutex);
    queue_add(&spool->readings, submission);
    pthread_mutex_unlock(&spool->mutex);
    pthread_cond_signal(&spool->reader_wake);
}

/* ---- answers, on the loop that asked ---- */

static void on_answered(void *context)
{
    struct submission *submission = context;

    switch (submission->kind) {
    case SUBMISSION_COMMIT:
        submission->done(submission->context, submission->request.status);
        break;
    case SUBMISSION_DESTINATIONS:
        submission->destinations_done(submission->context, submission->status,
                                      submission->destinations, submission->count);
        break;
    case SUBMISSION_DUE:
    case SUBMISSION_UNBOUNCED:
    case SUBMISSION_ALL:
        submission->rows_done(submission->context, submission->status, submission->rows,
                              submission->count);
        break;
    case SUBMISSION_MESSAGE:
        submission->message_done(submission->context, submission->status, &submission->message,
                                 submission->rows, submission->count);
        content_drop(&submission->message.content);
        break;
    case SUBMISSION_AGES:
        submission->ages_done(submission->context, submission->status, submission->ages,
                              submission->count);
        break;
    case SUBMISSION_SUMMARY:
        submission->summary_done(submission->context, submission->status, &submission->summary);
        break;
    }
    arena_free(&submission->arena);
    free(submission);
}

static void answer(struct submission *submission)
{
    submission->task = (struct loop_task){.run = on_answered, .context = submission};
    event_loop_post(submission->loop, &submission->task);
}

/* ---- the writer ---- */

static void commit_all(struct spool *spool, struct submission *first)
{
    struct spool_request **requests = NULL;
    size_t count = 0, i = 0;

    for (struct submission *at = first; at != NULL; at = at->next) {
        count += at->kind == SUBMISSION_COMMIT ? 1 : 0;
    }
    if (count == 0) {
        return;
    }
    requests = memory_resize(NULL, count, sizeof(struct spool_request *));
    for (struct submission *at = first; at != NULL; at = at->next) {
        if (at->kind == SUBMISSION_COMMIT) {
            requests[i++] = &at->request;
        }
    }
    spool_database_commit(spool->database, requests, count);
    free(requests);
}

static void read_rows(struct spool *spool, struct submission *submission)
{
    switch (submission->kind) {
    case SUBMISSION_COMMIT:
        break;
    case SUBMISSION_DESTINATIONS:
        submission->status = spool_database_read_destinations(
            spool->database, submission->arena, submission->name, submission->until_ms,
            submission->limit, &submission->destinations, &submission->count);
        break;
    case SUBMISSION_DUE:
        submission->status = spool_database_read_due(
            spool->database, submission->arena, submission->name, &submission->after,
            submission->until_ms, submission->limit, &submission->rows, &submission->count);
        break;
    case SUBMISSION_UNBOUNCED:
        submission->status = spool_database_read_unbounced(
            spool->database, submission->arena, submission->until_ms, submission->limit,
            &submission->rows, &submission->count);
        break;
    case SUBMISSION_ALL:
        submission->status = spool_database_read_all(
            spool->database, submission->arena, &submission->filter, &submission->after,
            submission->limit, &submission->rows, &submission->count);
        break;
    case SUBMISSION_AGES:
        submission->status = spool_database_read_ages(
            spool->database, submission->arena, submission->name, submission->until_ms,
            submission->limit, &submission->ages, &submission->count);
        break;
    case SUBMISSION_SUMMARY:
        submission->status = spool_database_read_summary(spool->database, submission->arena,
                                                         &submission->summary);
        break;
    case SUBMISSION_MESSAGE:
        submission->status = spool_database_read_message(
            spool->database, submission->arena, submission->after.message,
            submission->with_content, &submission->message, &submission->rows,
            &submission->count);
        break;
    }
}

static void serve(struct spool *spool, struct submission *first)
{
    commit_all(spool, first);
    /* Answers to commits first: somebody's client waits for them. */
    for (int reads = 0; reads < 2; reads++) {
        struct submission **link = &first;

        while (*link != NULL) {
            struct submission *submission = *link;

            if (reads == 0 && submission->kind != SUBMISSION_COMMIT) {
                link = &submission->next;
                continue;
            }
            *link = submission->next;
            read_rows(spool, submission);
            answer(submission);
        }
    }
}

/* The log may not grow without end, and moving it may not stand in the way of commits: the
 * helper moves nearly all, the writer the rest, and the log begins anew. When space is short the
 * writer moves it at once: what closes deliveries has to find room in it. */
static void tend_log(struct spool *spool)
{
    uint64_t size = spool_database_log_size(spool->database);
    bool finish = size > 0 && spool_database_is_tight(spool->database);

    pthread_mutex_lock(&spool->mutex);
    /* Or it has no time for it: files come first, and there may be no end of them. */
    if (spool->log_move == LOG_MOVED || (spool->log_move == LOG_WANTED && size >= LOG_LIMIT)) {
        finish |= size <= spool->log_moved + LOG_REMAINDER || size >= LOG_LIMIT;
        spool->log_move = LOG_RESTS;
    }
    if (spool->log_move == LOG_RESTS && !finish && size >= LOG_START) {
        spool->log_move = LOG_WANTED;
        spool->log_moved = size;
        pthread_cond_signal(&spool->helper_wake);
    }
    pthread_mutex_unlock(&spool->mutex);
    if (finish) {
        spool_database_checkpoint(spool->database);
    }
}

static void tell_damage(struct spool *spool)
{
    if (spool->on_damaged != NULL && spool_database_is_damaged(spool->database)) {
        spool->on_damaged(spool->context);
        spool->on_damaged = NULL;
    }
}

/* For something urgent, and no longer than closes may wait. */
static void doze(struct spool *spool)
{
    uint64_t until_ms = clock_now_ms() + CLOSE_WAIT_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    int status = 0;

    while (!spool->is_urgent && !spool->is_writer_stopped && status == 0) {
        spool->writer_state = WRITER_DOZES;
        status = pthread_cond_timedwait(&spool->writer_wake, &spool->mutex, &until);
    }
}

/* After a commit the closes of its messages are likely to come, and then the next message, whose
 * commit takes them along: alone they cost as much as a message does. NULL: there is no more to
 * come. */
static struct submission *wait_for_work(struct spool *spool)
{
    struct submission *first;

    pthread_mutex_lock(&spool->mutex);
    doze(spool);
    while (spool->waiting.first == NULL && !spool->is_writer_stopped) {
        spool->writer_state = WRITER_SLEEPS;
        pthread_cond_wait(&spool->writer_wake, &spool->mutex);
        if (spool->waiting.first != NULL) {
            doze(spool);
        }
    }
    spool->writer_state = WRITER_WORKS;
    spool->is_urgent = false;
    first = queue_take_all(&spool->waiting);
    pthread_mutex_unlock(&spool->mutex);
    return first;
}

static void *run_writer(void *context)
{
    struct spool *spool = context;

    for (;;) {
        struct submission *first = wait_for_work(spool);

        if (first == NULL) {
            return NULL;
        }
        serve(spool, first);
        tell_damage(spool);
        tend_log(spool);
    }
}

/* ---- the helper ---- */

static void store_content(struct spool *spool, struct submission *submission)
{
    spool_database_store_content(spool->database, &submission->request);
    if (submission->request.status == SPOOL_OK) {
        hand_to_writer(spool, submission);
    } else {
        answer(submission);
    }
}

static void move_log(struct spool *spool)
{
    spool_database_checkpoint_beside(spool->database);
    pthread_mutex_lock(&spool->mutex);
    spool->log_move = LOG_MOVED;
    pthread_mutex_unlock(&spool->mutex);
}

static void *run_helper(void *context)
{
    struct spool *spool = context;

    for (;;) {
        struct submission *submission = NULL;
        bool must_move;

        pthread_mutex_lock(&spool->mutex);
        while (spool->with_files.first == NULL && spool->log_move != LOG_WANTED &&
               !spool->is_helper_stopped) {
            pthread_cond_wait(&spool->helper_wake, &spool->mutex);
        }
        if (spool->with_files.first != NULL) {
            submission = queue_take_first(&spool->with_files);
        }
        must_move = submission == NULL && spool->log_move == LOG_WANTED;
        if (must_move) {
            spool->log_move = LOG_MOVING;
        }
        pthread_mutex_unlock(&spool->mutex);
        if (submission != NULL) {
            store_content(spool, submission);
        } else if (must_move) {
            move_log(spool);
        } else {
            return NULL;
        }
    }
}

/* ---- the reader ---- */

/* NULL: there is no more to come. */
static struct submission *wait_for_reading(struct spool *spool)
{
    struct submission *submission = NULL;

    pthread_mutex_lock(&spool->mutex);
    while (spool->readings.first == NULL && !spool->is_reader_stopped) {
        pthread_cond_wait(&spool->reader_wake, &spool->mutex);
    }
    if (spool->readings.first != NULL) {
        submission = queue_take_first(&spool->readings);
    }
    pthread_mutex_unlock(&spool->mutex);
    return submission;
}

static void *run_reader(void *context)
{
    struct spool *spool = context;
    struct submission *submission;

    while ((submission = wait_for_reading(spool)) != NULL) {
        read_rows(spool, submission);
        answer(submission);
    }
    return NULL;
}

/* ---- opening and closing ---- */

struct spool *spool_open(const struct spool_options *options, enum spool_status *status,
                         struct strbuf *why)
{
    struct spool_database *database = spool_database_open(options, status, why);
    struct spool *spool;
    pthread_condattr_t monotonic;

    if (database == NULL) {
        return NULL;
    }
    spool = memory_zero(sizeof(*spool));
    spool->database = database;
    spool->on_damaged = options->on_damaged;
    spool->context = options->context;
    queue_init(&spool->waiting);
    queue_init(&spool->with_files);
    queue_init(&spool->readings);
    pthread_mutex_init(&spool->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&spool->writer_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&spool->helper_wake, NULL);
    pthread_cond_init(&spool->reader_wake, NULL);
    if (pthread_create(&spool->writer, NULL, run_writer, spool) != 0 ||
        pthread_create(&spool->helper, NULL, run_helper, spool) != 0 ||
        pthread_create(&spool->reader, NULL, run_reader, spool) != 0) {
        abort(); /* as for memory: there is no way to go on */
    }
    return spool;
}

void spool_close(struct spool **spool)
{
    struct spool *old = *spool;

    if (old == NULL) {
        return;
    }
    pthread_mutex_lock(&old->mutex);
    old->is_helper_stopped = true;
    pthread_mutex_unlock(&old->mutex);
    pthread_cond_signal(&old->helper_wake);
    pthread_mutex_lock(&old->mutex);
    old->is_reader_stopped = true;
    pthread_mutex_unlock(&old->mutex);
    pthread_cond_signal(&old->reader_wake);
    pthread_join(old->reader, NULL);
    pthread_join(old->helper, NULL); /* first: what it had is the writer's now */
    pthread_mutex_lock(&old->mutex);
    old->is_writer_stopped = true;
    pthread_mutex_unlock(&old->mutex);
    pthread_cond_signal(&old->writer_wake);
    pthread_join(old->writer, NULL);
    spool_database_close(&old->database);
    pthread_cond_destroy(&old->writer_wake);
    pthread_cond_destroy(&old->helper_wake);
    pthread_cond_destroy(&old->reader_wake);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *spool = NULL;
}

/* ---- submissions ---- */

static struct submission *make_submission(enum submission_kind kind, struct event_loop *loop,
                                          void *context)
{
    struct submission *submission = memory_zero(sizeof(*submission));

    submission->kind = kind;
    submission->loop = loop;
    submission->context = context;
    if (kind != SUBMISSION_COMMIT) {
        submission->arena = arena_new();
    }
    return submission;
}

void spool_commit(struct spool *spool, struct event_loop *loop,
                  const struct spool_change *changes, size_t count, spool_done done,
                  void *context)
{
    struct submission *submission = make_submission(SUBMISSION_COMMIT, loop, context);

    submission->request = (struct spool_request){.changes = changes, .count = count};
    submission->done = done;
    if (spool_request_has_file(&submission->request)) {
        hand_to_helper(spool, submission);
    } else {
        hand_to_writer(spool, submission);
    }
}

static size_t bounded(size_t limit)
{
    return limit < READ_LIMIT ? limit : READ_LIMIT;
}

void spool_read_destinations(struct spool *spool, struct event_loop *loop, struct bytes after,
                             int64_t until_ms, size_t limit, spool_destinations_done done,
                             void *context)
{
    struct submission *submission = make_submission(SUBMISSION_DESTINATIONS, loop, context);

    submission->name = arena_copy(submission->arena, after);
    submission->until_ms = until_ms;
    submission->limit = bounded(limit);
    submission->destinations_done = done;
    hand_to_writer(spool, submission);
}

void spool_read_due(struct spool *spool, struct event_loop *loop, struct bytes destination,
                    int64_t after_ms, uint64_t after_message, uint32_t after_number,
                    int64_t until_ms, size_t limit, spool_rows_done done, void *context)
{
    struct submission *submission = make_submission(SUBMISSION_DUE, loop, context);

    submission->name = arena_copy(submission->arena, destination);
    submission->after = (struct spool_position){after_ms, after_message, after_number};
    submission->until_ms = until_ms;
    submission->limit = bounded(limit);
    submission->rows_done = done;
    hand_to_writer(spool, submission);
}

void spool_read_message(struct spool *spool, struct event_loop *loop, uint64_t id,
                        bool with_content, spool_message_done done, void *context)
{
    struct submission *submission = make_submission(SUBMISSION_MESSAGE, loop, context);

    submission->after.message = id;
    submission->with_content = with_content;
    submission->message_done = done;
    hand_to_writer(spool, submission);
}

void spool_read_unbounced(struct spool *spool, struct event_loop *loop, int64_t until_ms,
                          size_t limit, spool_rows_done done, void *context)
{
    struct submission *submission = make_submission(SUBMISSION_UNBOUNCED, loop, context);

    submission->until_ms = until_ms;
    submission->limit = bounded(limit);
    submission->rows_done = done;
    hand_to_writer(spool, submission);
}

void spool_read_all(struct spool *spool, struct event_loop *loop,
                    const struct spool_filter *filter, uint64_t after_message,
                    uint32_t after_number, size_t limit, spool_rows_done done, void *context)
{
    struct submission *submission = make_submission(SUBMISSION_ALL, loop, context);

    if (filter != NULL) {
        submission->filter = *filter;
    }
    submission->after = (struct spool_position){0, after_message, after_number};
    submission->limit = bounded(limit);
    submission->rows_done = done;
    hand_to_reader(spool, submission);
}

void spool_read_ages(struct spool *spool, struct event_loop *loop, struct bytes after,
                     int64_t now_ms, size_t limit, spool_ages_done done, void *context)
{
    struct submission *submission = make_submission(SUBMISSION_AGES, loop, context);

    submission->name = arena_copy(submission->arena, after);
    submission->until_ms = now_ms;
    submission->limit = bounded(limit);
    submission->ages_done = done;
    hand_to_reader(spool, submission);
}

void spool_read_summary(struct spool *spool, struct event_loop *loop, spool_summary_done done,
                        void *context)
{
    struct submission *submission = make_submission(SUBMISSION_SUMMARY, loop, context);

    submission->summary_done = done;
    hand_to_reader(spool, submission);
}

enum spool_status spool_summary_now(struct spool *spool, struct arena *arena,
                                    struct spool_summary *summary)
{
    return spool_database_read_summary(spool->database, arena, summary);
}

struct spool_counters spool_count(const struct spool *spool)
{
    return spool_database_count(spool->database);
}
