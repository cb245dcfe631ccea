/*
 * What comes back from the spool.
 *
 * Scan     once a minute, and at the start: all destinations, page by page, so that no page takes
 *          long however few of them are due soon; each queue keeps those it owns.
 *
 * Due      the rows of one destination, when its window has room. A row may be closed or put
 *          off while the answer is on its way: the job that takes it reads it once more.
 *
 * Sweep    the same rows while the destination is paused: only those that expire are taken.
 *
 * Holds    with each scan one queue looks for what was held without a bounce for long enough.
 *
 * Refresh  an operator changed something: forget what waits, lift pauses, read anew.
 */
#include "base/memory.h"
#include "io/clock.h"
#include "io/log.h"
#include "queue_handoff.h"

#include <stdlib.h>

struct queue_read {
    struct list link;                      /* queue->reads */
    struct queue *queue;                   /* NULL: it is gone */
    struct queue_destination *destination; /* is not freed while is_reading */
    bool is_sweep;
    size_t limit;
};

static struct queue_read *open_read(struct queue *queue)
{
    struct queue_read *read = memory_zero(sizeof *read);

    read->queue = queue;
    list_append(&queue->reads, &read->link);
    return read;
}

static void close_read(struct queue_read *read)
{
    list_remove(&read->link);
    free(read);
}

void queue_reads_forget(struct queue *queue)
{
    while (!list_is_empty(&queue->reads)) {
        struct queue_read *read = list_owner(queue->reads.next, struct queue_read, link);
        list_remove(&read->link);
        read->queue = NULL;
    }
}

static void log_failed_read(const char *what, enum spool_status status)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "spool-read-failed");
    log_text(&line, "what", what);
    log_text(&line, "why", spool_status_text(status));
    log_end(&line);
}

/* -- scan -- */

static void on_scanned(void *context, enum spool_status status,
                       const struct spool_destination *rows, size_t count);

static void scan_again_at(struct queue *queue, uint64_t when_ms)
{
    queue->scan_at_ms = when_ms;
    queue_wake_at(queue, when_ms);
}

static void read_page(struct queue *queue)
{
    spool_read_destinations(queue->set->spool, queue->loop, strbuf_bytes(&queue->scan_after),
                            INT64_MAX, QUEUE_SCAN_ROWS, on_scanned, open_read(queue));
}

void queue_scan_again(struct queue *queue)
{
    if (!queue->is_scanning) {
        strbuf_reset(&queue->scan_after);
        scan_again_at(queue, queue_now_ms(queue));
    }
}

/* -- what nobody wanted back -- */

struct hold_over {
    struct arena *arena; /* the rest lives in it, and this */
    struct spool_delivery *rows;
    struct spool_change *closes;
    uint64_t *closed; /* 0: an operator was faster */
    size_t count;
};

static void log_hold_over(const struct spool_delivery *row)
{
    struct message_id_text id = message_id_text(row->message);
    struct log_line line;

    log_begin(&line, LOG_WARNING, "dropped");
    log_text(&line, "id", id.text);
    log_address(&line, "sender", row->sender);
    log_address(&line, "to", row->recipient);
    if (row->alias.len > 0) {
        log_address(&line, "orig_to", row->alias);
    }
    log_text(&line, "status", "bounced");
    log_number(&line, "attempts", row->attempts);
    log_text(&line, "why", "hold-over");
    log_bytes(&line, "reply", row->last_reply);
    log_end(&line);
}

static void on_hold_over(void *context, enum spool_status status)
{
    struct hold_over *over = context;
    struct arena *arena = over->arena;

    /* Otherwise the next scan finds them again. */
    for (size_t i = 0; status == SPOOL_OK && i < over->count; i++) {
        if (over->closed[i] > 0) {
            log_hold_over(&over->rows[i]);
        }
    }
    arena_free(&arena);
}

static struct hold_over *copy_rows(const struct spool_delivery *rows, size_t count)
{
    struct arena *arena = arena_new();
    struct hold_over *over = arena_alloc(arena, sizeof *over);

    *over = (struct hold_over){.arena = arena, .count = count};
    over->rows = arena_alloc(arena, count * sizeof *rows);
    over->closes = arena_alloc(arena, count * sizeof *over->closes);
    over->closed = arena_alloc(arena, count * sizeof *over->closed);
    for (size_t i = 0; i < count; i++) {
        over->rows[i] = rows[i];
        over->rows[i].sender = arena_copy(arena, rows[i].sender);
        over->rows[i].recipient = arena_copy(arena, rows[i].recipient);
        over->rows[i].alias = arena_copy(arena, rows[i].alias);
        over->rows[i].last_reply = arena_copy(arena, rows[i].last_reply);
        over->closed[i] = 0;
        over->closes[i] = (struct spool_change){.kind = SPOOL_CLOSE,
                                                .id = rows[i].message,
                                                .number = rows[i].number,
                                                .is_hold_over = true,
                                                .affected = &over->closed[i]};
    }
    return over;
}

static void on_unbounced(void *context, enum spool_status status,
                         const struct spool_delivery *rows, size_t count)
{
    struct queue_read *read = context;
    struct queue *queue = read->queue;

    close_read(read);
    if (queue == NULL) {
        return;
    }
    queue_check_idle(queue);
    if (status != SPOOL_OK) {
        log_failed_read("held", status);
    } else if (count > 0 && !queue->is_draining) {
        struct hold_over *over = copy_rows(rows, count);
        spool_commit(queue->set->spool, queue->loop, over->closes, count, on_hold_over, over);
    }
}

/* A page with each scan: those that have waited for days can wait for minutes. */
static void end_holds(struct queue *queue)
{
    if (queue->index == 0) {
        spool_read_unbounced(queue->set->spool, queue->loop,
                             clock_unix_ms() - (int64_t)queue->options.hold_ms, QUEUE_SCAN_ROWS,
                             on_unbounced, open_read(queue));
    }
}

/* Begins a scan, or goes on with one that had to wait. */
void queue_scan(struct queue *queue)
{
    if (queue->is_scanning) {
        return;
    }
    queue->is_scanning = true;
    queue->scan_at_ms = QUEUE_NEVER;
    if (queue->scan_after.len == 0) {
        queue->scan_began_ms = queue_now_ms(queue);
        queue->scanned_until_ms = clock_unix_ms() + QUEUE_HORIZON_MS;
        end_holds(queue);
    }
    read_page(queue);
}

/* Later than any pause could have set it: the clock was ahead then. */
static bool is_too_late(const struct queue *queue, int64_t next_ms)
{
    const struct retry_schedule *retry = &queue->options.retry;
    uint64_t longest = 0;

    for (size_t i = 0; i < retry->count; i++) {
        longest = retry->pauses_seconds[i] > longest ? retry->pauses_seconds[i] : longest;
    }
    return next_ms > clock_unix_ms() + QUEUE_CLOCK_JUMP_MS + 2 * 1000 * (int64_t)longest;
}

static void on_brought_forward(void *context, enum spool_status status)
{
    (void)status; /* the next scan sees whether it was done, and finds the rows */
    free(context);
}

static void bring_forward(struct queue *queue, struct bytes name)
{
    struct spool_change *change = memory_alloc(sizeof *change + name.len);
    struct log_line line;

    memcpy(change + 1, name.data, name.len);
    *change = (struct spool_change){.kind = SPOOL_RETRY,
                                    .destination = bytes_of(change + 1, name.len),
                                    .now_ms = clock_unix_ms()};
    spool_commit(queue->set->spool, queue->loop, change, 1, on_brought_forward, change);
    log_begin(&line, LOG_WARNING, "brought-forward");
    log_bytes(&line, "destination", name);
    log_text(&line, "why", "its next attempt was set by a clock that was ahead");
    log_end(&line);
}

static void note_destination(struct queue *queue, const struct spool_destination *row)
{
    if (queue_owner(queue->set, row->name) != queue->index) {
        return;
    }
    if (row->earliest_ms >= queue->scanned_until_ms) {
        if (is_too_late(queue, row->earliest_ms)) {
            bring_forward(queue, row->name);
        }
        return;
    }
    struct queue_destination *destination = queue_destination_make(queue, row->name);

    if (destination != NULL) {
        queue_due_at(destination, row->earliest_ms);
        queue_destination_review(destination);
    }
}

static void on_scanned(void *context, enum spool_status status,
                       const struct spool_destination *rows, size_t count)
{
    struct queue_read *read = context;
    struct queue *queue = read->queue;

    close_read(read);
    if (queue == NULL) {
        return;
    }
    queue->is_scanning = false;
    queue_check_idle(queue);
    if (queue->is_draining) {
        return;
    }
    if (status != SPOOL_OK) {
        log_failed_read("destinations", status);
        scan_again_at(queue, queue_now_ms(queue) + QUEUE_RETRY_MS);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        note_destination(queue, &rows[i]);
    }
    strbuf_reset(&queue->scan_after);
    if (count < QUEUE_SCAN_ROWS) {
        scan_again_at(queue, queue->scan_began_ms + QUEUE_SCAN_MS);
        return;
    }
    strbuf_add(&queue->scan_after, rows[count - 1].name);
    if (hash_table_count(queue->destinations) < QUEUE_DESTINATIONS) {
        queue_scan(queue);
    } else {
        scan_again_at(queue, queue_now_ms(queue) + QUEUE_RETRY_MS);
    }
}

/* -- due rows of one destination -- */

static void on_due(void *context, enum spool_status status, const struct spool_delivery *rows,
                   size_t count);

static void read_later(struct queue_destination *destination, uint64_t delay_ms)
{
    destination->due_ms = queue_now_ms(destination->queue) + delay_ms;
}

/* Known rows come back with the others, for they are due; so the limit is counted on top of
 * them. Reading from the start each time needs no cursor that could miss a row. */
void queue_read_due(struct queue_destination *destination)
{
    struct queue *queue = destination->queue;
    bool is_sweep = destination->is_sweeping;
    size_t room = is_sweep ? QUEUE_SWEEP_ROWS : queue_destination_room(destination);

    if (room == 0) {
        read_later(destination, QUEUE_RETRY_MS);
        destination->has_more = false;
        return;
    }
    struct queue_read *read = open_read(queue);
    int64_t until_ms = clock_unix_ms() + 1;

    read->destination = destination;
    read->is_sweep = is_sweep;
    read->limit = is_sweep ? room : room + destination->known;
    destination->is_reading = true;
    if (is_sweep) {
        spool_read_due(queue->set->spool, queue->loop, destination->name,
                       destination->sweep_after_ms, destination->sweep_after_message,
                       destination->sweep_after_number, until_ms, read->limit, on_due, read);
        return;
    }
    destination->has_more = false;
    destination->due_ms = QUEUE_NEVER;
    /* Up to the horizon of the scan, to see what comes next here. */
    if (queue->scanned_until_ms > until_ms) {
        until_ms = queue->scanned_until_ms;
    }
    spool_read_due(queue->set->spool, queue->loop, destination->name, -1, 0, 0, until_ms,
                   read->limit, on_due, read);
}

static bool may_take(struct queue *queue, const struct spool_delivery *row)
{
    return !queue_delivery_is_known(queue, row->message, row->number);
}

/* A fresh row whose hand-over is still on its way to us. */
static bool is_on_its_way(struct queue *queue, const struct spool_delivery *row)
{
    return row->attempts == 0 && queue_set_is_handing_over(queue->set, row->message);
}

static void take_row(struct queue_destination *destination, const struct spool_delivery *row)
{
    struct queue_delivery *delivery = queue_delivery_from_row(destination, row);

    if (delivery->must_bounce) {
        queue_job_expire(destination, &delivery, 1);
    } else {
        queue_delivery_wait(delivery);
    }
}

static void take_rows(struct queue_destination *destination, const struct spool_delivery *rows,
                      size_t count, size_t limit)
{
    struct queue *queue = destination->queue;
    int64_t now_ms = clock_unix_ms();
    size_t taken = 0;
    bool is_held_up = false, is_full = count == limit;

    for (size_t i = 0; i < count; i++) {
        if (!may_take(queue, &rows[i])) {
            continue;
        }
        if (rows[i].next_attempt_ms > now_ms) {
            queue_due_at(destination, rows[i].next_attempt_ms);
            is_full = false;
            break;
        }
        if (is_on_its_way(queue, &rows[i])) {
            is_held_up = true;
            continue;
        }
        take_row(destination, &rows[i]);
        taken++;
    }
    if (is_full && taken > 0) {
        destination->has_more = true;
    } else if (is_full || is_held_up) {
        read_later(destination, QUEUE_HANDOVER_WAIT_MS);
    }
}

/* Jobs for what is too old to wait until the pause is over, one for each message. */
static void sweep_rows(struct queue_destination *destination, const struct spool_delivery *rows,
                       size_t count)
{
    struct queue *queue = destination->queue;
    int64_t resume_ms =
        clock_unix_ms() + (int64_t)(destination->paused_until_ms - queue_now_ms(queue));
    bool is_stopped = queue_is_paused(queue, destination->name);
    struct queue_delivery *old[QUEUE_GROUP];
    size_t old_count = 0;

    for (size_t i = 0; i < count; i++) {
        const struct spool_delivery *row = &rows[i];
        if (!may_take(queue, row) || is_on_its_way(queue, row) ||
            (!row->is_given_up &&
             (is_stopped || !queue_is_expired(queue, row->created_ms, resume_ms)))) {
            continue;
        }
        if (old_count == QUEUE_GROUP ||
            (old_count > 0 && old[0]->key.message != row->message)) {
            queue_job_expire(destination, old, old_count);
            old_count = 0;
        }
        old[old_count++] = queue_delivery_from_row(destination, row);
    }
    if (old_count > 0) {
        queue_job_expire(destination, old, old_count);
    }
    if (count < QUEUE_SWEEP_ROWS) {
        destination->is_sweeping = false;
        return;
    }
    destination->sweep_after_ms = rows[count - 1].next_attempt_ms;
    destination->sweep_after_message = rows[count - 1].message;
    destination->sweep_after_number = rows[count - 1].number;
}

static void use_rows(const struct queue_read *read, enum spool_status status,
                     const struct spool_delivery *rows, size_t count)
{
    struct queue_destination *destination = read->destination;
    struct queue *queue = destination->queue;
    bool is_paused = queue_destination_is_paused(destination);

    if (status != SPOOL_OK) {
        log_failed_read("due", status);
        destination->is_sweeping = false;
        read_later(destination, QUEUE_RETRY_MS);
    } else if (queue->is_draining) {
        destination->has_more = true;
    } else if (read->is_sweep) {
        if (is_paused && destination->is_sweeping) {
            sweep_rows(destination, rows, count);
        }
    } else if (is_paused) {
        destination->has_more = true; /* it was reached no more while we read */
        destination->is_sweeping = count > 0;
    } else {
        take_rows(destination, rows, count, read->limit);
    }
}

static void on_due(void *context, enum spool_status status, const struct spool_delivery *rows,
                   size_t count)
{
    struct queue_read *read = context;
    struct queue *queue = read->queue;
    struct queue_destination *destination = read->destination;

    if (queue != NULL) {
        destination->is_reading = false;
        use_rows(read, status, rows, count);

        queue_destination_review(destination);
    }
    close_read(read);
    if (queue != NULL) {
        queue_check_idle(queue);
    }
}

/* -- refresh -- */

struct refresh {
    struct loop_task task;
    struct queue_set *set;
    size_t index;
    uint64_t id;
};

static void on_refresh(void *context)
{
    struct refresh *refresh = context;
    struct queue *queue = refresh->set->queues[refresh->index];

    if (queue != NULL && !queue->is_draining) {
        queue_refresh(queue, refresh->id);
    }
    free(refresh);
}

void queue_set_refresh(struct queue_set *set, uint64_t id)
{
    atomic_fetch_add(&set->orders, 1);
    for (size_t i = 0; i < set->loops; i++) {
        struct refresh *refresh = memory_zero(sizeof *refresh);
        refresh->task = (struct loop_task){.run = on_refresh, .context = refresh};
        refresh->set = set;
        refresh->index = i;
        refresh->id = id;
        event_loop_post(set->event_loops[i], &refresh->task);
    }
}

void queue_destination_forget_waiting(struct queue_destination *destination, uint64_t id)
{
    struct list *node = destination->window.next;

    while (node != &destination->window) {
        struct queue_delivery *delivery = list_owner(node, struct queue_delivery, link);
        node = node->next;
        if (id == 0 || delivery->key.message == id) {
            queue_delivery_unwait(delivery);
            queue_handoff_give_up(delivery);
            queue_delivery_release(delivery);
            destination->has_more = true;
        }
    }
}

/* The rows of one message tell where an operator wants to see an attempt now. */
static void on_refreshed(void *context, enum spool_status status,
                         const struct spool_message *message,
                         const struct spool_delivery *deliveries, size_t count)
{
    struct queue_read *read = context;
    struct queue *queue = read->queue;
    int64_t now_ms = clock_unix_ms();

    (void)message;
    close_read(read);
    if (queue == NULL) {
        return;
    }
    queue_check_idle(queue);
    for (size_t i = 0; status == SPOOL_OK && !queue->is_draining && i < count; i++) {
        const struct spool_delivery *row = &deliveries[i];
        if (row->state != SPOOL_DUE || row->next_attempt_ms > now_ms ||
            queue_owner(queue->set, row->destination) != queue->index) {
            continue;
        }
        struct queue_destination *destination = queue_destination_make(queue, row->destination);
        if (destination != NULL) {
            queue_destination_resume(destination);
            destination->has_more = true;
            destination->must_look_again = destination->jobs_open > 0;
            queue_destination_sweep(destination);
            queue_destination_review(destination);
        }
    }
}

void queue_refresh(struct queue *queue, uint64_t id)
{
    size_t count;
    struct queue_destination **all = queue_destination_list(queue, &count);

    for (size_t i = 0; i < count; i++) {
        queue_destination_forget_waiting(all[i], id);
        if (id == 0) {
            queue_destination_resume(all[i]);
            all[i]->has_more = true;
        }
        queue_destination_review(all[i]);
    }
    free(all);
    if (id != 0) {
        spool_read_message(queue->set->spool, queue->loop, id, false, on_refreshed,
                           open_read(queue));
        return;
    }
    queue_scan_again(queue);
}
