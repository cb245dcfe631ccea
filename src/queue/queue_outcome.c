/*
 * The outcome of an attempt, in the order it happens:
 *
 *   1 judge_entry     sent, to be tried again (when?), refused but with a fallback, failed, or too old
 *     find_late       is a sender to be told that it takes long? Not in the same breath as a failure
 *   2 count_bounce    has the sender had enough of them today? Only when there is to be one
 *   3 plan_changes    rows to close, to put off or to send elsewhere, and a bounce for all that have
 *                     failed; without one they are held
 *   4 commit          all of it at once; while the disk does not take it, again every second
 *   5 on_recorded     the log, the bounce to its owner, the end of the job
 */
#include "queue_outcome.h"

#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"
#include "queue_bounce.h"
#include "queue_log.h"
#include "queue_route.h"

#include <assert.h>

enum { LAST_REPLY_LIMIT = 512, BOUNCE_KEY_LIMIT = 1024 };

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static void on_recorded(void *context, enum spool_status status);

/* Nothing is tried before the pause of its destination is over: what will be too old then has had its
 * last attempt, as with all the others that wait for it (sweep_rows). */
static int64_t next_possible_ms(const struct queue_destination *destination, int64_t next_ms)
{
    uint64_t now = queue_now_ms(destination->queue);
    int64_t resume_ms = destination->paused_until_ms > now
                            ? clock_unix_ms() + (int64_t)(destination->paused_until_ms - now)
                            : 0;

    return next_ms > resume_ms ? next_ms : resume_ms;
}

static void judge_temporary(struct queue_job *job, struct queue_job_entry *entry,
                            enum reply_class class)
{
    struct queue *queue = job->queue;
    const struct queue_delivery *delivery = entry->delivery;

    entry->next_ms =
        retry_schedule_next_ms(&queue->options.retry, class, delivery->created_ms,
                               clock_unix_ms(), delivery->attempts + 1, entropy_u32());
    entry->result =
        job->is_expiry || queue_is_expired(queue, delivery->created_ms,
                                           next_possible_ms(job->destination, entry->next_ms))
            ? QUEUE_RESULT_EXPIRED
            : QUEUE_RESULT_DEFERRED;
}

static void judge_entry(struct queue_job *job, size_t index)
{
    struct queue_job_entry *entry = &job->entries[index];

    switch (job->recipients[index].outcome) {
    case DELIVERY_SENT:
        entry->result = QUEUE_RESULT_SENT;
        break;
    case DELIVERY_TEMPORARY:
        judge_temporary(job, entry, job->recipients[index].class);
        break;
    case DELIVERY_PERMANENT:
        entry->result = entry->delivery->fallback.len > 0 && !entry->delivery->must_bounce
                            ? QUEUE_RESULT_REDIRECTED
                            : QUEUE_RESULT_FAILED;
        break;
    }
}

/* The connection is free only when it is recorded, so what waits for one makes it urgent. */
static void close_row(struct queue_job *job, const struct queue_delivery *delivery)
{
    if (delivery->is_settled) {
        return;
    }
    job->changes[job->change_count++] = (struct spool_change){
        .kind = SPOOL_CLOSE,
        .id = delivery->key.message,
        .number = (uint32_t)delivery->key.number,
        .may_wait = job->destination->waiting == 0 && !job->queue->is_draining};
}

static const struct spool_attempt *
copy_attempt(struct queue_job *job, const struct queue_job_entry *entry, struct bytes reply)
{
    const struct delivery_report *report;
    struct spool_attempt *attempt;

    if (job->attempt == NULL || entry->result == QUEUE_RESULT_MOVED) {
        return NULL; /* nobody was asked */
    }
    report = delivery_attempt_report(job->attempt);
    attempt = arena_alloc(job->arena, sizeof *attempt);
    *attempt = (struct spool_attempt){
        .at_ms = job->started_ms,
        .host = arena_copy(job->arena, report->host),
        .reply = arena_copy(job->arena, bytes_first(reply, LAST_REPLY_LIMIT)),
    };
    return attempt;
}

/* The spool borrows until it has answered, and the queue may be gone by then: all is copied. */
static struct spool_delivery *update_row(struct queue_job *job,
                                         const struct queue_job_entry *entry,
                                         enum spool_state state, struct bytes why)
{
    const struct queue_delivery *delivery = entry->delivery;
    struct spool_delivery *row = arena_alloc(job->arena, sizeof *row);
    bool is_tried = entry->result != QUEUE_RESULT_MOVED && job->attempt != NULL;

    *row = (struct spool_delivery){
        .message = delivery->key.message,
        .number = (uint32_t)delivery->key.number,
        .state = state,
        .destination = arena_copy(job->arena, entry->moved_to.len > 0 ? entry->moved_to
                                                                      : job->destination->name),
        .attempts = delivery->attempts + is_tried,
        .next_attempt_ms = entry->next_ms,
        .created_ms = delivery->created_ms,
        .last_reply = arena_copy(job->arena, bytes_first(why, LAST_REPLY_LIMIT)),
        .is_warned = entry->is_late,
    };
    job->changes[job->change_count++] =
        (struct spool_change){.kind = SPOOL_UPDATE,
                              .id = delivery->key.message,
                              .number = row->number,
                              .deliveries = row,
                              .delivery_count = 1,
                              .attempt = copy_attempt(job, entry, why)};
    return row;
}

/* Behind the closes of what it tells of: when a commit that was answered as failed had happened after all, the
 * second try ends at the first close with SPOOL_GONE, and not at a bounce that is there
 * already. */
static void add_bounce(struct queue_job *job)
{
    struct spool_message *message = arena_alloc(job->arena, sizeof *message);
    struct spool_delivery *row = arena_alloc(job->arena, sizeof *row);

    queue_message_rows(job->bounce, clock_unix_ms(), message, row);
    queue_message_announce(job->bounce);
    job->changes[job->change_count++] = (struct spool_change){.kind = SPOOL_ADD,
                                                              .id = job->bounce->id,
                                                              .message = message,
                                                              .deliveries = row,
                                                              .delivery_count = 1,
                                                              .affected = &job->bounces_added};
}

static void need_arena(struct queue_job *job)
{
    if (job->arena == NULL) {
        job->arena = arena_new();
    }
}

/* "550 5.1.1 no such user (not bounced: sender not proven)" */
static struct bytes unbounced_reason(struct queue_job *job, struct bytes reply)
{
    struct bytes words = bytes_from_text(bounce_rule_words(job->why)), reason;
    struct strbuf text;

    strbuf_init(&text, 2 * LAST_REPLY_LIMIT);
    strbuf_add(&text, bytes_first(reply, LAST_REPLY_LIMIT - 100));
    strbuf_addf(&text, " (not bounced: " BYTES_FMT ")", BYTES_ARG(words));
    reason = arena_copy(job->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return reason;
}

/* The bounce tells the sender; or an operator may look at it; or nobody wants to know. */
static void plan_failure(struct queue_job *job, struct queue_job_entry *entry,
                         struct bytes reply)
{
    if (job->bounce != NULL || job->queue->options.hold_ms == 0 ||
        !dsn_wants_failure(entry->delivery->notify)) {
        close_row(job, entry->delivery);
        return;
    }
    entry->is_unbounced = true;
    entry->next_ms = clock_unix_ms();
    update_row(job, entry, SPOOL_UNBOUNCED, unbounced_reason(job, reply));
}

/* Its fallback has no fallback, so this happens once. The attempts begin anew. When another target of the
 * same alias has been refused before, the message has gone there already, and this is its end: here when
 * it was known, else in the spool. */
static void plan_redirection(struct queue_job *job, struct queue_job_entry *entry,
                             struct bytes reply)
{
    const struct queue_delivery *delivery = entry->delivery;
    struct spool_delivery *row;

    if (bytes_equal(delivery->fallback, BYTES(SPOOL_FALLBACK_TAKEN))) {
        close_row(job, delivery);
        return;
    }
    entry->next_ms = clock_unix_ms();
    entry->moved_to = queue_route_destination(job->queue, delivery->fallback, job->arena);
    row = update_row(job, entry, SPOOL_DUE, reply);
    row->attempts = 0;
    row->recipient = arena_copy(job->arena, delivery->fallback);
    row->sender = arena_copy(job->arena, delivery->sender);
}

static bool has_failed(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->entries[i].result == QUEUE_RESULT_FAILED ||
            job->entries[i].result == QUEUE_RESULT_EXPIRED) {
            return true;
        }
    }
    return false;
}

static bool has_late(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->entries[i].is_late) {
            return true;
        }
    }
    return false;
}

static void find_late(struct queue_job *job)
{
    int64_t warn_ms = (int64_t)job->queue->options.warn_ms;

    if (warn_ms == 0 || has_failed(job) || queue_bounce_has_relayed(job) ||
        !queue_bounce_may_warn(job)) {
        return;
    }
    for (size_t i = 0; i < job->count; i++) {
        struct queue_job_entry *entry = &job->entries[i];
        const struct queue_delivery *delivery = entry->delivery;

        entry->is_late = entry->result == QUEUE_RESULT_DEFERRED && !delivery->is_warned &&
                         clock_unix_ms() - delivery->created_ms >= warn_ms &&
                         dsn_wants_delay(delivery->notify);
    }
}

static void forget_late(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        job->entries[i].is_late = false;
    }
}

static void plan_entry(struct queue_job *job, size_t index)
{
    struct queue_job_entry *entry = &job->entries[index];
    struct bytes text = job->recipients[index].text;

    switch (entry->result) {
    case QUEUE_RESULT_SENT:
        close_row(job, entry->delivery);
        return;
    case QUEUE_RESULT_FAILED:
    case QUEUE_RESULT_EXPIRED:
        plan_failure(job, entry, text);
        return;
    case QUEUE_RESULT_DEFERRED:
        need_arena(job);
        update_row(job, entry, SPOOL_DUE, text);
        return;
    case QUEUE_RESULT_HELD:
        need_arena(job);
        update_row(job, entry, SPOOL_HELD,
                   job->message->is_readable ? BYTES("the content file is missing or cut")
                                             : BYTES("the envelope record is damaged"));
        return;
    case QUEUE_RESULT_REFUSED:
        return; /* it has no row */
    case QUEUE_RESULT_MOVED:
        need_arena(job);
        update_row(job, entry, SPOOL_DUE, BYTES("the route has changed"));
        return;
    case QUEUE_RESULT_REDIRECTED:
        need_arena(job);
        plan_redirection(job, entry, text);
        return;
    }
}

/* The spool passes over a bounce when no change before it happens: those it tells of come first, and when an
 * operator has deleted them all, nobody is told. */
static void plan_changes(struct queue_job *job)
{
    if (has_failed(job) || has_late(job) || queue_bounce_has_relayed(job)) {
        need_arena(job);
        job->bounce = queue_bounce_new(job);
    }
    for (size_t i = 0; i < job->count && job->bounce != NULL; i++) {
        if (queue_bounce_tells_of(job, i)) {
            plan_entry(job, i);
        }
    }
    if (job->bounce != NULL) {
        add_bounce(job);
    }
    for (size_t i = 0; i < job->count; i++) {
        if (job->bounce == NULL || !queue_bounce_tells_of(job, i)) {
            plan_entry(job, i);
        }
    }
}

static void commit(struct queue_job *job)
{
    job->is_with_spool = true;
    spool_commit(job->queue->set->spool, job->queue->loop, job->changes, job->change_count,
                 on_recorded, job);
}

static void record(struct queue_job *job)
{
    plan_changes(job);
    if (job->change_count == 0) {
        queue_log_outcome(job);
        queue_job_end(job, false);
        return;
    }
    commit(job);
}

static void on_bounce_counted(void *context, enum state_status status, uint64_t count)
{
    struct queue_job *job = context;

    job->is_with_spool = false;
    if (job->queue == NULL) {
        queue_job_free(job);
        return;
    }
    /* When they cannot be counted the sender is told: it has proven itself. */
    job->is_bounce_limit_reached =
        status == STATE_OK && count > job->queue->options.bounce_limit;
    if (job->is_bounce_limit_reached) {
        forget_late(job);
    }
    record(job);
}

/* False: nobody is counted. */
static bool count_bounce(struct queue_job *job)
{
    struct queue *queue = job->queue;
    struct strbuf key;

    if (queue->set->state == NULL || queue->options.bounce_limit == 0 ||
        (!has_late(job) && (!has_failed(job) || !queue_bounce_is_wanted(job)))) {
        return false;
    }
    strbuf_init(&key, BOUNCE_KEY_LIMIT);
    strbuf_add_text(&key, "bounces ");
    strbuf_add_lower(&key, job->message->envelope.sender);
    job->is_with_spool = true;
    state_store_count(queue->set->state, queue->loop, strbuf_bytes(&key),
                      queue->options.bounce_limit, clock_unix_ms() + DAY_MS, on_bounce_counted,
                      job);
    strbuf_clear(&key);
    return true;
}

void queue_record_outcome(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        judge_entry(job, i);
    }
    find_late(job);
    if (!count_bounce(job)) {
        record(job);
    }
}

void queue_record_nothing(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        bool is_sent = job->recipients[i].outcome == DELIVERY_SENT;
        job->entries[i].result = is_sent ? QUEUE_RESULT_SENT : QUEUE_RESULT_REFUSED;
    }
    queue_log_outcome(job);
    queue_job_end(job, false);
}

void queue_record_hold(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        job->entries[i].result = QUEUE_RESULT_HELD;
        job->entries[i].next_ms = job->entries[i].delivery->created_ms;
    }
    plan_changes(job);
    commit(job);
}

void queue_record_move(struct queue_job *job)
{
    plan_changes(job);
    commit(job);
}

static void record_later(struct queue_job *job, enum spool_status status)
{
    struct queue *queue = job->queue;

    if (!job->is_failure_said) {
        job->is_failure_said = true;
        queue_log_unrecorded(job, status);
    }
    list_append(&queue->unrecorded, &job->waiting);
    if (queue->record_again_ms == QUEUE_NEVER) {
        queue->record_again_ms = queue_now_ms(queue) + QUEUE_RETRY_MS;
        queue_wake_at(queue, queue->record_again_ms);
    }
}

void queue_record_again(struct queue *queue)
{
    queue->record_again_ms = QUEUE_NEVER;
    while (!list_is_empty(&queue->unrecorded)) {
        struct queue_job *job = list_owner(queue->unrecorded.next, struct queue_job, waiting);
        list_remove(&job->waiting);
        commit(job);
    }
}

static void hand_over_bounce(struct queue_job *job)
{
    if (job->bounce == NULL) {
        return;
    }
    if (job->bounces_added == 0) {
        queue_message_withdraw(job->bounce);
        return;
    }
    queue_log_bounce(job);
    job->bounce->durable_ms = clock_unix_ms();
    queue_message_hand_over(job->bounce, job->queue);
}

/* The rows tell the scan; what it has been over already is remembered here. */
static void remember_deferred(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        const struct queue_job_entry *entry = &job->entries[i];
        if (entry->result == QUEUE_RESULT_DEFERRED &&
            entry->next_ms < job->queue->scanned_until_ms) {
            queue_due_at(job->destination, entry->next_ms);
        }
    }
}

static void on_recorded(void *context, enum spool_status status)
{
    struct queue_job *job = context;

    job->is_with_spool = false;
    if (job->queue == NULL) {
        if (job->bounce != NULL) {
            queue_message_withdraw(job->bounce);
        }
        queue_job_free(job);
        return;
    }
    /* GONE: an operator deleted them all meanwhile; there is nothing left to record. */
    if (status != SPOOL_OK && status != SPOOL_GONE) {
        record_later(job, status);
        return;
    }
    queue_log_outcome(job);
    if (status == SPOOL_OK) {
        hand_over_bounce(job);
    } else if (job->bounce != NULL) {
        queue_message_withdraw(job->bounce);
    }
    remember_deferred(job);
    queue_route_tell_owners(job);
    queue_job_end(job, job->entries[0].result == QUEUE_RESULT_MOVED);
}
