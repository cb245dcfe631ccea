/*
 * A search, in the order it happens; 2 on a thread of its own:
 *
 *   1 start_next   one at a time
 *   2 search       the history is read
 *   3 on_found     of one message: is it still in the queue?
 *   4 on_message
 *   5 finish       told and answered
 */
#include "daemon/admin_trace.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/history_search.h"
#include "io/process.h"
#include "mail/event_trace.h"
#include "mail/message_id.h"
#include "mail/page_trace.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { PAGE_LIMIT = 16 * 1024 * 1024, WHY_LIMIT = 4096 };

struct job {
    struct list node;
    struct admin_trace *owner;
    struct http_request *request;
    struct arena *arena;
    struct bytes query, hostname;
    bool is_json, is_kept;
    struct process_thread *thread; /* while it searches */
    struct loop_task found_task;
    enum event_trace_result result;
    struct event_trace found;
    struct story_input input;
    struct strbuf why;
};

struct admin_trace {
    struct admin_trace_options options;
    char *directory;
    struct list waiting;
    size_t waiting_count;
    struct job *running;     /* or NULL */
    atomic_bool is_stopping; /* a search ends early */
};

static void free_job(struct job *job)
{
    arena_free(&job->arena);
    strbuf_clear(&job->why);
    free(job);
}

/* ---- searching ---- */

static enum history_kind kind_of(enum event_key key)
{
    switch (key) {
    case EVENT_KEY_MESSAGE:
        return HISTORY_MESSAGE;
    case EVENT_KEY_SESSION:
        return HISTORY_SESSION;
    case EVENT_KEY_ADDRESS:
        return HISTORY_ADDRESS;
    case EVENT_KEY_MESSAGE_ID:
        break;
    }
    return HISTORY_MESSAGE_ID;
}

static bool find_lines(void *context, const struct event_question *question,
                       struct arena *arena, struct event_answer *answer)
{
    struct job *job = context;
    struct history_question asked = {.key = {kind_of(question->key), question->value},
                                     .limit = question->limit,
                                     .is_distinct = question->is_distinct,
                                     .is_stopped = &job->owner->is_stopping};
    struct history_answer found;
    struct bytes *lines;

    if (!history_search(job->owner->directory, &asked, arena, &found, &job->why)) {
        return false;
    }
    lines = arena_alloc(arena, (found.count + 1) * sizeof *lines);
    for (size_t i = 0; i < found.count; i++) {
        lines[i] = found.lines[i].line;
    }
    *answer = (struct event_answer){lines, found.count, found.has_more};
    return true;
}

static void search(void *context)
{
    struct job *job = context;
    struct event_source source = {find_lines, job};

    job->result =
        event_trace_find(&source, job->query, EVENT_TRACE_ROWS, job->arena, &job->found);
    event_loop_post(job->owner->options.loop, &job->found_task);
}

/* ---- the answer ---- */

static enum page_trace_result result_of(const struct job *job)
{
    if (job->query.len == 0) {
        return PAGE_TRACE_EMPTY;
    }
    switch (job->result) {
    case EVENT_TRACE_NOTHING:
        break;
    case EVENT_TRACE_ONE:
        return PAGE_TRACE_ONE;
    case EVENT_TRACE_SEVERAL:
        return PAGE_TRACE_SEVERAL;
    case EVENT_TRACE_FAILED:
        return PAGE_TRACE_FAILED;
    }
    return job->is_kept ? PAGE_TRACE_NOTHING : PAGE_TRACE_OFF;
}

static void answer(const struct job *job)
{
    struct page_trace page = {.hostname = job->hostname,
                              .now_ms = clock_unix_ms(),
                              .query = job->query,
                              .result = result_of(job),
                              .rows = job->found.records,
                              .count = job->found.count,
                              .has_more = job->found.has_more,
                              .why = strbuf_bytes(&job->why)};
    const struct admin_trace_options *options = &job->owner->options;
    struct event_story story;
    struct strbuf body;

    if (page.result == PAGE_TRACE_ONE) {
        event_story_tell(&job->input, job->arena, &story);
        page.story = &story;
    }
    strbuf_init(&body, PAGE_LIMIT);
    if (job->is_json) {
        page_trace_add_json(&body, &page);
    } else {
        page_trace_add(&body, &page);
    }
    options->answer(options->context, job->request, job->is_json, &body);
    strbuf_clear(&body);
}

static void start_next(struct admin_trace *trace);

static void finish(struct job *job)
{
    struct admin_trace *trace = job->owner;

    answer(job);
    free_job(job);
    trace->running = NULL;
    start_next(trace);
}

static void on_message(void *context, enum spool_status status,
                       const struct spool_message *message,
                       const struct spool_delivery *deliveries, size_t count)
{
    struct job *job = context;
    struct story_waiting *waiting = arena_alloc(job->arena, (count + 1) * sizeof *waiting);

    (void)message;
    for (size_t i = 0; i < count && status == SPOOL_OK; i++) {
        waiting[i] = (struct story_waiting){
            .recipient = arena_copy(job->arena, deliveries[i].recipient),
            .reply = arena_copy(job->arena, deliveries[i].last_reply),
            .is_held = deliveries[i].state != SPOOL_DUE,
            .next_ms = deliveries[i].next_attempt_ms,
            .attempts = deliveries[i].attempts,
        };
    }
    if (status == SPOOL_OK || status == SPOOL_GONE) {
        job->input.waiting = waiting;
        job->input.waiting_count = status == SPOOL_OK ? count : 0;
        job->input.queue =
            job->input.waiting_count > 0 ? STORY_QUEUE_THERE : STORY_QUEUE_NOT_THERE;
    }
    finish(job);
}

static void on_found(void *context)
{
    struct job *job = context;
    uint64_t id;

    process_thread_join(&job->thread);
    job->input = (struct story_input){
        .records = job->found.records,
        .count = job->found.count,
        .id = job->found.id,
        .session = job->found.session,
        .address = job->found.is_address ? job->found.value : BYTES(""),
        .queue = STORY_QUEUE_UNKNOWN,
    };
    if (job->result == EVENT_TRACE_ONE && message_id_parse(job->found.id, &id)) {
        spool_read_message(job->owner->options.spool, job->owner->options.loop, id, false,
                           on_message, job);
    } else {
        finish(job);
    }
}

static void start_next(struct admin_trace *trace)
{
    struct job *job;

    if (trace->running != NULL || list_is_empty(&trace->waiting)) {
        return;
    }
    job = list_owner(trace->waiting.next, struct job, node);
    list_remove(&job->node);
    trace->waiting_count--;
    trace->running = job;
    job->thread = process_thread_start("trace", search, job);
}

bool admin_trace_start(struct admin_trace *trace, const struct admin_trace_call *call)
{
    struct job *job;

    if (trace->waiting_count == ADMIN_TRACE_WAITING) {
        return false;
    }
    job = memory_zero(sizeof *job);
    job->owner = trace;
    job->request = call->request;
    job->arena = arena_new();
    job->query = arena_copy(job->arena, bytes_trim(call->query));
    job->hostname = arena_copy(job->arena, call->hostname);
    job->is_json = call->is_json;
    job->is_kept = call->is_kept;
    job->found_task = (struct loop_task){.run = on_found, .context = job};
    strbuf_init(&job->why, WHY_LIMIT);
    if (job->query.len == 0) {
        answer(job);
        free_job(job);
        return true;
    }
    list_append(&trace->waiting, &job->node);
    trace->waiting_count++;
    start_next(trace);
    return true;
}

struct admin_trace *admin_trace_new(const struct admin_trace_options *options)
{
    struct admin_trace *trace = memory_zero(sizeof *trace);
    size_t size = strlen(options->directory) + 1;

    trace->options = *options;
    trace->directory = memory_alloc(size);
    memcpy(trace->directory, options->directory, size);
    trace->options.directory = trace->directory;
    list_init(&trace->waiting);
    return trace;
}

void admin_trace_stop(struct admin_trace *trace)
{
    if (trace != NULL && trace->running != NULL) {
        atomic_store(&trace->is_stopping, true);
        process_thread_join(&trace->running->thread);
    }
}

void admin_trace_free(struct admin_trace **trace_place)
{
    struct admin_trace *trace = *trace_place;

    if (trace == NULL) {
        return;
    }
    admin_trace_stop(trace);
    if (trace->running != NULL) {
        free_job(trace->running);
    }
    while (!list_is_empty(&trace->waiting)) {
        struct job *job = list_owner(trace->waiting.next, struct job, node);
        list_remove(&job->node);
        free_job(job);
    }
    free(trace->directory);
    free(trace);
    *trace_place = NULL;
}
