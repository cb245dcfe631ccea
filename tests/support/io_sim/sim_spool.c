/*
 * io/spool.h around the daemon's own spool_database, on the simulated disk. The two threads of
 * spool.c are one that takes everything that waits, does it, is busy for as long as its syncs
 * take, and then answers.
 */
#include "io/spool.h"

#include "base/memory.h"
#include "io/spool_database.h"
#include "sim_internal.h"

#include <stdlib.h>

enum {
    WAKE_MOST_US = 100,
    SYNC_MOST_US = 4000,
    READ_US = 50,
    READ_LIMIT = 10000,
    LOG_MOST = 400 * 1024, /* the log is moved early, so that it happens at all */
};

enum request_kind { COMMIT, DESTINATIONS, DUE, UNBOUNCED, ALL, AGES, SUMMARY, MESSAGE };

struct sim_request {
    struct list link; /* in waiting, then in taken, then in answered */
    enum request_kind kind;
    struct event_loop *loop;
    struct loop_task task;
    void *context;
    struct spool_request request;
    spool_done done;

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

struct spool {
    struct spool_database *database;
    struct list waiting, taken, answered;
    struct sim_event work, finish;
    bool is_busy;
    uint64_t log_most;
};

/* Nobody answered them before the spool was closed. */
static struct list orphans = {&orphans, &orphans};

static bool has_failed_to_the_last;

static struct {
    void (*tell)(void *context, const struct spool_change *change, bool is_durable);
    void *context;
} witness;

void sim_spool_set_witness(void (*tell)(void *context, const struct spool_change *change,
                                        bool is_durable),
                           void *context)
{
    witness.tell = tell;
    witness.context = context;
}

bool sim_spool_has_failed_to_the_last(void)
{
    return has_failed_to_the_last;
}

static void free_request(struct sim_request *request)
{
    list_remove(&request->link);
    content_drop(&request->message.content);
    arena_free(&request->arena);
    free(request);
}

/* ---- answers ---- */

static void on_answered(void *context)
{
    struct sim_request *request = context;

    switch (request->kind) {
    case COMMIT:
        request->done(request->context, request->request.status);
        break;
    case DESTINATIONS:
        request->destinations_done(request->context, request->status, request->destinations,
                                   request->count);
        break;
    case DUE:
    case UNBOUNCED:
    case ALL:
        request->rows_done(request->context, request->status, request->rows, request->count);
        break;
    case MESSAGE:
        request->message_done(request->context, request->status, &request->message,
                              request->rows, request->count);
        break;
    case AGES:
        request->ages_done(request->context, request->status, request->ages, request->count);
        break;
    case SUMMARY:
        request->summary_done(request->context, request->status, &request->summary);
        break;
    }
    free_request(request);
}

static void answer_taken(struct spool *spool)
{
    while (!list_is_empty(&spool->taken)) {
        struct sim_request *request = list_owner(spool->taken.next, struct sim_request, link);

        list_remove(&request->link);
        list_append(&spool->answered, &request->link);
        request->task = (struct loop_task){.run = on_answered, .context = request};
        event_loop_post(request->loop, &request->task);
    }
}

/* ---- the thread ---- */

static void tell_witness(const struct spool_request *request, bool is_durable)
{
    for (size_t i = 0; i < request->count && witness.tell != NULL; i++) {
        witness.tell(witness.context, &request->changes[i], is_durable);
    }
}

static void commit_taken(struct spool *spool)
{
    struct spool_request *requests[1024];
    size_t count = 0;

    for (struct list *node = spool->taken.next; node != &spool->taken; node = node->next) {
        struct sim_request *request = list_owner(node, struct sim_request, link);

        if (request->kind != COMMIT) {
            continue;
        }
        tell_witness(&request->request, false);
        if (spool_request_has_file(&request->request)) {
            spool_database_store_content(spool->database, &request->request);
            if (request->request.status != SPOOL_OK) {
                continue;
            }
        }
        requests[count++] = &request->request;
    }
    if (count > 0 && sim_power_is_on()) {
        spool_database_commit(spool->database, requests, count);
    }
    for (size_t i = 0; i < count && sim_power_is_on(); i++) {
        if (requests[i]->status == SPOOL_OK) {
            tell_witness(requests[i], true);
        }
    }
}

static void read_rows(struct spool *spool, struct sim_request *request)
{
    struct spool_database *database = spool->database;

    switch (request->kind) {
    case COMMIT:
        break;
    case DESTINATIONS:
        request->status = spool_database_read_destinations(
            database, request->arena, request->name, request->until_ms, request->limit,
            &request->destinations, &request->count);
        break;
    case DUE:
        request->status = spool_database_read_due(
            database, request->arena, request->name, &request->after, request->until_ms,
            request->limit, &request->rows, &request->count);
        break;
    case UNBOUNCED:
        request->status =
            spool_database_read_unbounced(database, request->arena, request->until_ms,
                                          request->limit, &request->rows, &request->count);
        break;
    case ALL:
        request->status =
            spool_database_read_all(database, request->arena, &request->filter, &request->after,
                                    request->limit, &request->rows, &request->count);
        break;
    case AGES:
        request->status =
            spool_database_read_ages(database, request->arena, request->name, request->until_ms,
                                     request->limit, &request->ages, &request->count);
        break;
    case SUMMARY:
        request->status =
            spool_database_read_summary(database, request->arena, &request->summary);
        break;
    case MESSAGE:
        request->status = spool_database_read_message(
            database, request->arena, request->after.message, request->with_content,
            &request->message, &request->rows, &request->count);
        break;
    }
}

static void tend_log(struct spool *spool)
{
    if (spool_database_log_size(spool->database) > spool->log_most) {
        if (sim_chance(2)) {
            spool_database_checkpoint_beside(spool->database);
        }
        spool_database_checkpoint(spool->database);
        spool->log_most = sim_random(LOG_MOST);
    }
}

static void on_work(void *context)
{
    struct spool *spool = context;
    uint64_t syncs = sim_disk_syncs(), busy_us = READ_US;
    size_t most = 1024;

    if (!sim_power_is_on()) {
        return;
    }
    while (!list_is_empty(&spool->waiting) && most-- > 0) {
        struct list *first = spool->waiting.next;

        list_remove(first);
        list_append(&spool->taken, first);
    }
    commit_taken(spool);
    for (struct list *node = spool->taken.next; node != &spool->taken && sim_power_is_on();
         node = node->next) {
        read_rows(spool, list_owner(node, struct sim_request, link));
    }
    if (sim_power_is_on()) {
        tend_log(spool);
    }
    for (uint64_t i = syncs; i < sim_disk_syncs(); i++) {
        busy_us += 50 + sim_random(SYNC_MOST_US);
    }
    sim_event_after(&spool->finish, busy_us);
}

static void on_finish(void *context)
{
    struct spool *spool = context;

    if (!sim_power_is_on()) {
        return;
    }
    answer_taken(spool);
    spool->is_busy = !list_is_empty(&spool->waiting);
    if (spool->is_busy) {
        sim_event_after(&spool->work, 1);
    }
}

/* ---- life ---- */

struct spool *spool_open(const struct spool_options *options, enum spool_status *status,
                         struct strbuf *why)
{
    struct spool_database *database = spool_database_open(options, status, why);
    struct spool *spool;

    if (database == NULL) {
        return NULL;
    }
    spool = memory_zero(sizeof *spool);
    spool->database = database;
    spool->work = (struct sim_event){.run = on_work, .context = spool};
    spool->finish = (struct sim_event){.run = on_finish, .context = spool};
    spool->log_most = sim_random(LOG_MOST);
    list_init(&spool->waiting);
    list_init(&spool->taken);
    list_init(&spool->answered);
    return spool;
}

static void orphan_requests(struct list *requests)
{
    while (!list_is_empty(requests)) {
        struct sim_request *request = list_owner(requests->next, struct sim_request, link);

        list_remove(&request->link);
        if (request->task.is_pending) {
            continue; /* answered; the loop hears of it, or runs it among its leftovers */
        }
        request->request.status = request->status = SPOOL_FAILED;
        request->count = 0;
        list_append(&orphans, &request->link);
    }
}

void sim_spool_answer_orphans(void)
{
    while (!list_is_empty(&orphans)) {
        on_answered(list_owner(orphans.next, struct sim_request, link));
    }
}

/* The loops do not run any more: what waits is committed, nobody is told. */
void spool_close(struct spool **place)
{
    struct spool *spool = *place;
    uint64_t operations;

    if (spool == NULL) {
        return;
    }
    sim_event_stop(&spool->work);
    sim_event_stop(&spool->finish);
    orphan_requests(&spool->taken);
    while (!list_is_empty(&spool->waiting) && sim_power_is_on()) {
        struct list *first = spool->waiting.next;

        list_remove(first);
        list_append(&spool->taken, first);
    }
    if (sim_power_is_on()) {
        commit_taken(spool);
    }
    orphan_requests(&spool->taken);
    orphan_requests(&spool->waiting);
    orphan_requests(&spool->answered);
    operations = sim_disk_operations();
    spool_database_close(&spool->database);
    has_failed_to_the_last = sim_disk_operations() > operations && sim_disk_is_failing();
    free(spool);
    *place = NULL;
}

struct spool_counters spool_count(const struct spool *spool)
{
    return spool_database_count(spool->database);
}

/* ---- requests ---- */

static struct sim_request *new_request(struct spool *spool, struct event_loop *loop,
                                       enum request_kind kind, void *context)
{
    struct sim_request *request = memory_zero(sizeof *request);

    request->kind = kind;
    request->loop = loop;
    request->context = context;
    request->arena = arena_new();
    list_append(&spool->waiting, &request->link);
    if (!spool->is_busy) {
        spool->is_busy = true;
        sim_event_after(&spool->work, sim_random(WAKE_MOST_US));
    }
    return request;
}

void spool_commit(struct spool *spool, struct event_loop *loop,
                  const struct spool_change *changes, size_t count, spool_done done,
                  void *context)
{
    struct sim_request *request = new_request(spool, loop, COMMIT, context);

    request->request = (struct spool_request){.changes = changes, .count = count};
    request->done = done;
}

static size_t bounded(size_t limit)
{
    return limit < READ_LIMIT ? limit : READ_LIMIT;
}

void spool_read_destinations(struct spool *spool, struct event_loop *loop, struct bytes after,
                             int64_t until_ms, size_t limit, spool_destinations_done done,
                             void *context)
{
    struct sim_request *request = new_request(spool, loop, DESTINATIONS, context);

    request->name = arena_copy(request->arena, after);
    request->until_ms = until_ms;
    request->limit = bounded(limit);
    request->destinations_done = done;
}

void spool_read_due(struct spool *spool, struct event_loop *loop, struct bytes destination,
                    int64_t after_ms, uint64_t after_message, uint32_t after_number,
                    int64_t until_ms, size_t limit, spool_rows_done done, void *context)
{
    struct sim_request *request = new_request(spool, loop, DUE, context);

    request->name = arena_copy(request->arena, destination);
    request->after = (struct spool_position){after_ms, after_message, after_number};
    request->until_ms = until_ms;
    request->limit = bounded(limit);
    request->rows_done = done;
}

void spool_read_unbounced(struct spool *spool, struct event_loop *loop, int64_t until_ms,
                          size_t limit, spool_rows_done done, void *context)
{
    struct sim_request *request = new_request(spool, loop, UNBOUNCED, context);

    request->until_ms = until_ms;
    request->limit = bounded(limit);
    request->rows_done = done;
}

void spool_read_message(struct spool *spool, struct event_loop *loop, uint64_t id,
                        bool with_content, spool_message_done done, void *context)
{
    struct sim_request *request = new_request(spool, loop, MESSAGE, context);

    request->after.message = id;
    request->with_content = with_content;
    request->message_done = done;
}

void spool_read_ages(struct spool *spool, struct event_loop *loop, struct bytes after,
                     int64_t now_ms, size_t limit, spool_ages_done done, void *context)
{
    struct sim_request *request = new_request(spool, loop, AGES, context);

    request->name = arena_copy(request->arena, after);
    request->until_ms = now_ms;
    request->limit = bounded(limit);
    request->ages_done = done;
}

void spool_read_summary(struct spool *spool, struct event_loop *loop, spool_summary_done done,
                        void *context)
{
    struct sim_request *request = new_request(spool, loop, SUMMARY, context);

    request->summary_done = done;
}

void spool_read_all(struct spool *spool, struct event_loop *loop,
                    const struct spool_filter *filter, uint64_t after_message,
                    uint32_t after_number, size_t limit, spool_rows_done done, void *context)
{
    struct sim_request *request = new_request(spool, loop, ALL, context);

    if (filter != NULL) {
        request->filter = *filter;
    }
    request->after.message = after_message;
    request->after.number = after_number;
    request->limit = bounded(limit);
    request->rows_done = done;
}
