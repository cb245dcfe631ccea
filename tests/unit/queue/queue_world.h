/*
 * queue_world - everything around the queue, simulated: loops, time, spool, outbound, log.
 *
 * Use     include it in one test file; its functions take the place of those of io and
 * outbound. Nothing happens until world_run (until all is quiet) or world_advance (time
 * passes). Spool   rows in an array; commits and reads are answered in order, one step later.
 * commit_status makes commits fail; is_read_held keeps the answers of reads of due rows back.
 * Next hop  `attempt` decides what becomes of each attempt; is_attempt_held keeps them open.
 */
#ifndef TESTS_QUEUE_WORLD_H
#define TESTS_QUEUE_WORLD_H

#include "support/check.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"
#include "queue/queue.h"

#include <assert.h>
#include <stdlib.h>

enum {
    WORLD_LOOPS = 2,
    WORLD_LINES = 4096,
    WORLD_START_MS = 1000 * 1000,
    WORLD_HOLD_MS = 7 * 86400 * 1000,
    WORLD_BOUNCE_LIMIT = 3,
};

struct delivery_attempt {
    struct list link;
    struct delivery_request request;
    void (*on_done)(void *context);
    void *context;
    struct delivery_report report;
    bool is_done;
    size_t commits_at_start;
};

struct world_row {
    struct spool_delivery delivery; /* texts are owned */
    bool is_open;
};

struct world_message {
    struct spool_message message; /* texts are owned, content is held */
    bool is_open;
};

struct world_request {
    struct list link;
    enum { WORLD_COMMIT, WORLD_DESTINATIONS, WORLD_DUE, WORLD_UNBOUNCED, WORLD_MESSAGE } kind;
    bool is_answered; /* executed, the answer waits */
    enum spool_status status;
    const struct spool_change *changes;
    size_t count;
    uint64_t id;
    struct bytes after, destination; /* owned */
    int64_t after_ms, until_ms;
    uint64_t after_message;
    uint32_t after_number;
    size_t limit;
    spool_done done;
    spool_rows_done rows_done;
    spool_message_done message_done;
    spool_destinations_done destinations_done;
    void *context;
    struct spool_delivery *rows;
    size_t row_count;
};

struct event_loop {
    struct loop_task *first, **last; /* deferred */
    struct loop_task *posted, **posted_last;
};

struct outbound {
    size_t started;
};

struct loop_timer {
    struct list link;
    uint64_t when_ms; /* UINT64_MAX: not set */
    void (*run)(void *context);
    void *context;
};

struct world {
    uint64_t now_ms;
    int64_t unix_offset_ms;
    struct event_loop loops[WORLD_LOOPS];
    struct outbound outbounds[WORLD_LOOPS];
    struct list timers, requests, attempts;
    struct world_row *rows;
    size_t row_count, row_capacity;
    struct world_message *messages;
    size_t message_count, message_capacity;
    enum spool_status commit_status;
    bool is_read_held, is_attempt_held, is_post_held;
    void (*attempt)(struct delivery_attempt *attempt);
    struct bytes (*hosts)(struct bytes destination); /* NULL: each has its own */
    char *lines[WORLD_LINES];
    size_t line_count;
    /* counted since world_forget_counts */
    size_t commits, commit_tries, attempts_started, attempts_finished, posts, due_reads;
    size_t connections_back;
    size_t attempts_open, attempts_open_most, commits_when_finished;
    char commit_kinds[256]; /* of the last commit: "ACU.." */
    struct bytes last_update_reply;
    struct state_store *state; /* not NULL: bounces are counted */
    enum state_status state_status;
    uint64_t state_counts;
    struct queue_set *set;
    struct queue *queues[WORLD_LOOPS];
    struct message_id_source ids[WORLD_LOOPS];
};

static struct world world;

/* -- time, chance -- */

uint64_t clock_now_ms(void)
{
    return world.now_ms;
}

int64_t clock_unix_ms(void)
{
    return (int64_t)world.now_ms + world.unix_offset_ms;
}

int64_t clock_unix_seconds(void)
{
    return clock_unix_ms() / 1000;
}

void entropy_fill(void *data, size_t len)
{
    memset(data, 7, len);
}

uint32_t entropy_u32(void)
{
    return 0x80000000U; /* the middle of every jitter */
}

struct siphash_key entropy_hash_key(void)
{
    return (struct siphash_key){{1, 2}};
}

/* -- loops -- */

static inline void put_task(struct loop_task ***last, struct loop_task *task)
{
    assert(!task->is_pending);
    task->is_pending = true;
    task->next = NULL;
    **last = task;
    *last = &task->next;
}

void event_loop_defer(struct event_loop *loop, struct loop_task *task)
{
    put_task(&loop->last, task);
}

void event_loop_post(struct event_loop *loop, struct loop_task *task)
{
    world.posts++;
    put_task(&loop->posted_last, task);
}

uint64_t event_loop_now_ms(const struct event_loop *loop)
{
    (void)loop;
    return world.now_ms;
}

struct loop_timer *loop_timer_new(struct event_loop *loop, void (*run)(void *), void *context)
{
    struct loop_timer *timer = memory_zero(sizeof *timer);

    (void)loop;
    timer->run = run;
    timer->context = context;
    timer->when_ms = UINT64_MAX;
    list_append(&world.timers, &timer->link);
    return timer;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms)
{
    timer->when_ms = world.now_ms + delay_ms;
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->when_ms = UINT64_MAX;
}

void loop_timer_free(struct loop_timer **timer)
{
    if (*timer != NULL) {
        list_remove(&(*timer)->link);
        free(*timer);
        *timer = NULL;
    }
}

/* -- log: "event key=value ..." -- */

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->level = level;
    line->len = (size_t)snprintf(line->text, sizeof line->text, "%s", event);
}

void log_bytes(struct log_line *line, const char *key, struct bytes value)
{
    line->len += (size_t)snprintf(line->text + line->len, sizeof line->text - line->len,
                                  " %s=" BYTES_FMT, key, BYTES_ARG(value));
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_bytes(line, key, bytes_from_text(value));
}

void log_address(struct log_line *line, const char *key, struct bytes address)
{
    line->len += (size_t)snprintf(line->text + line->len, sizeof line->text - line->len,
                                  " %s=<" BYTES_FMT ">", key, BYTES_ARG(address));
}

void log_number(struct log_line *line, const char *key, int64_t value)
{
    line->len += (size_t)snprintf(line->text + line->len, sizeof line->text - line->len,
                                  " %s=%lld", key, (long long)value);
}

void log_end(struct log_line *line)
{
    if (world.line_count < WORLD_LINES) {
        world.lines[world.line_count++] = strdup(line->text);
    }
}

static inline size_t world_lines_with(const char *a, const char *b)
{
    size_t count = 0;

    for (size_t i = 0; i < world.line_count; i++) {
        count += strstr(world.lines[i], a) != NULL && strstr(world.lines[i], b) != NULL;
    }
    return count;
}

/* -- content -- */

struct content {
    int holders;
    struct strbuf text;
};

struct content *content_from_bytes(struct bytes octets)
{
    struct content *content = memory_zero(sizeof *content);

    content->holders = 1;
    strbuf_init(&content->text, SIZE_MAX / 2);
    strbuf_add(&content->text, octets);
    return content;
}

uint64_t content_size(const struct content *content)
{
    return content->text.len;
}

struct bytes content_memory(const struct content *content)
{
    return strbuf_bytes(&content->text);
}

bool content_read(const struct content *content, uint64_t offset, void *data, size_t size,
                  size_t *got)
{
    (void)content, (void)offset, (void)data, (void)size, (void)got;
    return false;
}

void content_hold(struct content *content)
{
    content->holders++;
}

void content_drop(struct content **content)
{
    if (*content != NULL && --(*content)->holders == 0) {
        strbuf_clear(&(*content)->text);
        free(*content);
    }
    *content = NULL;
}

/* -- state store: one count for every key -- */

void state_store_count(struct state_store *store, struct event_loop *loop, struct bytes key,
                       uint64_t limit, int64_t expires_unix_ms,
                       void (*done)(void *context, enum state_status status, uint64_t count),
                       void *context)
{
    (void)store, (void)loop, (void)expires_unix_ms;
    CHECK_TRUE("key", bytes_starts_with(key, BYTES("bounces ")));
    world.state_counts++;
    done(context, world.state_status,
         world.state_counts > limit ? limit + 1 : world.state_counts);
}

/* -- spool -- */

static inline struct bytes own(struct bytes text)
{
    char *copy = memory_alloc(text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    return bytes_of(copy, text.len);
}

static inline void disown(struct bytes text)
{
    free((void *)(uintptr_t)text.data);
}

static inline struct world_request *new_request(int kind, void *context)
{
    struct world_request *request = memory_zero(sizeof *request);

    request->kind = kind;
    request->context = context;
    list_append(&world.requests, &request->link);
    return request;
}

void spool_commit(struct spool *spool, struct event_loop *loop,
                  const struct spool_change *changes, size_t count, spool_done done,
                  void *context)
{
    struct world_request *request = new_request(WORLD_COMMIT, context);

    (void)spool, (void)loop;
    request->changes = changes;
    request->count = count;
    request->done = done;
}

void spool_read_destinations(struct spool *spool, struct event_loop *loop, struct bytes after,
                             int64_t until_ms, size_t limit, spool_destinations_done done,
                             void *context)
{
    struct world_request *request = new_request(WORLD_DESTINATIONS, context);

    (void)spool, (void)loop;
    request->after = own(after);
    request->until_ms = until_ms;
    request->limit = limit;
    request->destinations_done = done;
}

void spool_read_due(struct spool *spool, struct event_loop *loop, struct bytes destination,
                    int64_t after_ms, uint64_t after_message, uint32_t after_number,
                    int64_t until_ms, size_t limit, spool_rows_done done, void *context)
{
    struct world_request *request = new_request(WORLD_DUE, context);

    (void)spool, (void)loop;
    world.due_reads++;
    request->destination = own(destination);
    request->after_ms = after_ms;
    request->after_message = after_message;
    request->after_number = after_number;
    request->until_ms = until_ms;
    request->limit = limit;
    request->rows_done = done;
}

void spool_read_unbounced(struct spool *spool, struct event_loop *loop, int64_t until_ms,
                          size_t limit, spool_rows_done done, void *context)
{
    struct world_request *request = new_request(WORLD_UNBOUNCED, context);

    (void)spool, (void)loop;
    request->until_ms = until_ms;
    request->limit = limit;
    request->rows_done = done;
}

void spool_read_message(struct spool *spool, struct event_loop *loop, uint64_t id,
                        bool with_content, spool_message_done done, void *context)
{
    struct world_request *request = new_request(WORLD_MESSAGE, context);

    (void)spool, (void)loop, (void)with_content;
    request->id = id;
    request->message_done = done;
}

const char *spool_status_text(enum spool_status status)
{
    return status == SPOOL_FULL ? "full" : "failed";
}

static inline struct world_row *find_row(uint64_t message, uint32_t number)
{
    for (size_t i = 0; i < world.row_count; i++) {
        struct world_row *row = &world.rows[i];
        if (row->is_open && row->delivery.message == message &&
            row->delivery.number == number) {
            return row;
        }
    }
    return NULL;
}

static inline void world_add_row(const struct spool_delivery *from)
{
    if (world.row_count == world.row_capacity) {
        world.row_capacity = world.row_capacity * 2 + 64;
        world.rows = memory_resize(world.rows, world.row_capacity, sizeof *world.rows);
    }
    struct world_row *row = &world.rows[world.row_count++];

    *row = (struct world_row){*from, true};
    row->delivery.destination = own(from->destination);
    row->delivery.recipient = own(from->recipient);
    row->delivery.alias = own(from->alias);
    row->delivery.sender = own(from->sender);
    row->delivery.last_reply = own(from->last_reply);
    row->delivery.orcpt = own(from->orcpt);
    row->delivery.fallback = own(from->fallback);
}

static inline void world_add_message(const struct spool_message *from)
{
    if (world.message_count == world.message_capacity) {
        world.message_capacity = world.message_capacity * 2 + 64;
        world.messages =
            memory_resize(world.messages, world.message_capacity, sizeof *world.messages);
    }
    struct world_message *message = &world.messages[world.message_count++];

    *message = (struct world_message){*from, true};
    message->message.envelope = own(from->envelope);
    message->message.prefix = own(from->prefix);
    content_hold(from->content);
}

static inline void apply_change(const struct spool_change *change)
{
    struct world_row *row;

    switch (change->kind) {
    case SPOOL_ADD:
        if (change->affected != NULL) {
            *change->affected = 1;
        }
        world_add_message(change->message);
        for (size_t i = 0; i < change->delivery_count; i++) {
            world_add_row(&change->deliveries[i]);
        }
        break;
    case SPOOL_CLOSE:
        find_row(change->id, change->number)->is_open = false;
        if (change->affected != NULL) {
            *change->affected = 1;
        }
        break;
    case SPOOL_UPDATE:
        row = find_row(change->deliveries->message, change->deliveries->number);
        row->delivery.state = change->deliveries->state;
        row->delivery.attempts = change->deliveries->attempts;
        row->delivery.is_warned = row->delivery.is_warned || change->deliveries->is_warned;
        row->delivery.next_attempt_ms = change->deliveries->next_attempt_ms;
        disown(row->delivery.last_reply);
        row->delivery.last_reply = own(change->deliveries->last_reply);
        disown(row->delivery.destination);
        row->delivery.destination = own(change->deliveries->destination);
        if (change->deliveries->recipient.len > 0) {
            disown(row->delivery.recipient);
            disown(row->delivery.sender);
            disown(row->delivery.fallback);
            row->delivery.recipient = own(change->deliveries->recipient);
            row->delivery.sender = own(change->deliveries->sender);
            row->delivery.fallback = own(change->deliveries->fallback);
        }
        break;
    case SPOOL_RETRY:
        for (size_t i = 0; i < world.row_count && change->id == 0; i++) {
            if (bytes_equal(world.rows[i].delivery.destination, change->destination)) {
                world.rows[i].delivery.next_attempt_ms = change->now_ms;
            }
        }
        break;
    case SPOOL_DELETE:
    case SPOOL_HOLD:
    case SPOOL_RELEASE:
    case SPOOL_GIVE_UP:
    case SPOOL_SET:
        break;
    }
}

static inline bool is_missing(const struct spool_change *change)
{
    if (change->kind == SPOOL_CLOSE) {
        return find_row(change->id, change->number) == NULL;
    }
    return change->kind == SPOOL_UPDATE &&
           find_row(change->deliveries->message, change->deliveries->number) == NULL;
}

/* What is gone is passed over, a report only comes behind a close that happens. */
static inline void execute_commit(struct world_request *request)
{
    size_t rows = 0, gone = 0, closes = 0, closed = 0, kinds = 0;

    world.commit_tries++;
    request->status = world.commit_status;
    for (size_t i = 0; i < request->count; i++) {
        bool is_gone = is_missing(&request->changes[i]);

        rows += request->changes[i].kind != SPOOL_ADD;
        gone += is_gone;
    }
    if (request->status == SPOOL_OK && gone > 0 && gone == rows) {
        request->status = SPOOL_GONE;
    }
    if (request->status != SPOOL_OK) {
        return;
    }
    world.commits++;
    memset(world.commit_kinds, 0, sizeof world.commit_kinds);
    for (size_t i = 0; i < request->count; i++) {
        const struct spool_change *change = &request->changes[i];

        closes += change->kind == SPOOL_CLOSE;
        closed += change->kind == SPOOL_CLOSE && !is_missing(change);
        if (is_missing(change) || (change->kind == SPOOL_ADD && closes > 0 && closed == 0)) {
            continue;
        }
        apply_change(change);
        if (kinds < sizeof world.commit_kinds - 1) {
            world.commit_kinds[kinds++] = "ACUDR"[change->kind];
        }
    }
}

static inline int compare_rows(const void *left, const void *right)
{
    const struct spool_delivery *a = left, *b = right;

    if (a->next_attempt_ms != b->next_attempt_ms) {
        return a->next_attempt_ms < b->next_attempt_ms ? -1 : 1;
    }
    if (a->message != b->message) {
        return a->message < b->message ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

static inline void execute_due(struct world_request *request)
{
    struct spool_delivery after = {.next_attempt_ms = request->after_ms,
                                   .message = request->after_message,
                                   .number = request->after_number};

    request->rows = memory_resize(NULL, world.row_count + 1, sizeof *request->rows);
    for (size_t i = 0; i < world.row_count; i++) {
        const struct spool_delivery *row = &world.rows[i].delivery;
        if (world.rows[i].is_open && row->state == SPOOL_DUE &&
            bytes_equal(row->destination, request->destination) &&
            row->next_attempt_ms < request->until_ms && compare_rows(&after, row) < 0) {
            request->rows[request->row_count++] = *row;
        }
    }
    qsort(request->rows, request->row_count, sizeof *request->rows, compare_rows);
    if (request->row_count > request->limit) {
        request->row_count = request->limit;
    }
}

static inline void answer_destinations(struct world_request *request)
{
    struct spool_destination *found = memory_resize(NULL, world.row_count + 1, sizeof *found);
    struct bytes after = request->after;
    size_t count = 0;

    /* By name, one after the other. */
    while (count < request->limit) {
        struct spool_destination next = {.name = {NULL, 0}};
        for (size_t i = 0; i < world.row_count; i++) {
            const struct spool_delivery *row = &world.rows[i].delivery;
            if (!world.rows[i].is_open || row->state != SPOOL_DUE ||
                row->next_attempt_ms >= request->until_ms ||
                bytes_compare(row->destination, after) <= 0) {
                continue;
            }
            int order =
                next.name.data == NULL ? -1 : bytes_compare(row->destination, next.name);
            if (order < 0 || (order == 0 && row->next_attempt_ms < next.earliest_ms)) {
                next = (struct spool_destination){row->destination, row->next_attempt_ms};
            }
        }
        if (next.name.data == NULL) {
            break;
        }
        found[count++] = next;
        after = next.name;
    }
    request->destinations_done(request->context, SPOOL_OK, found, count);
    free(found);
}

static inline void answer_message(struct world_request *request)
{
    struct spool_delivery *rows = memory_resize(NULL, world.row_count + 1, sizeof *rows);
    const struct spool_message *message = NULL;
    size_t count = 0;

    for (size_t i = 0; i < world.row_count; i++) {
        if (world.rows[i].is_open && world.rows[i].delivery.message == request->id) {
            rows[count++] = world.rows[i].delivery;
        }
    }
    for (size_t i = 0; i < world.message_count; i++) {
        if (world.messages[i].message.id == request->id) {
            message = &world.messages[i].message;
        }
    }
    if (message == NULL || count == 0) {
        request->message_done(request->context, SPOOL_GONE, NULL, NULL, 0);
    } else {
        request->message_done(request->context, SPOOL_OK, message, rows, count);
    }
    free(rows);
}

static inline void answer_unbounced(struct world_request *request)
{
    request->rows = memory_resize(NULL, world.row_count + 1, sizeof *request->rows);
    for (size_t i = 0; i < world.row_count && request->row_count < request->limit; i++) {
        const struct spool_delivery *row = &world.rows[i].delivery;
        if (world.rows[i].is_open && row->state == SPOOL_UNBOUNCED &&
            row->next_attempt_ms < request->until_ms) {
            request->rows[request->row_count++] = *row;
        }
    }
    request->rows_done(request->context, SPOOL_OK, request->rows, request->row_count);
}

static inline void answer_request(struct world_request *request)
{
    switch (request->kind) {
    case WORLD_COMMIT:
        execute_commit(request);
        request->done(request->context, request->status);
        break;
    case WORLD_DESTINATIONS:
        answer_destinations(request);
        break;
    case WORLD_DUE:
        if (!request->is_answered) {
            execute_due(request);
        }
        request->rows_done(request->context, SPOOL_OK, request->rows, request->row_count);
        break;
    case WORLD_UNBOUNCED:
        answer_unbounced(request);
        break;
    case WORLD_MESSAGE:
        answer_message(request);
        break;
    }
    disown(request->after);
    disown(request->destination);
    free(request->rows);
    free(request);
}

/* One request, if there is one that may be answered. */
static inline bool answer_next_request(void)
{
    struct list *node = world.requests.next;

    while (node != &world.requests) {
        struct world_request *request = list_owner(node, struct world_request, link);
        node = node->next;
        if (request->kind == WORLD_DUE && world.is_read_held) {
            if (!request->is_answered) {
                execute_due(request); /* it has seen the rows; its answer is slow */
                request->is_answered = true;
            }
            continue;
        }
        list_remove(&request->link);
        answer_request(request);
        return true;
    }
    return false;
}

static inline size_t world_open_rows(void)
{
    size_t count = 0;

    for (size_t i = 0; i < world.row_count; i++) {
        count += world.rows[i].is_open;
    }
    return count;
}

/* -- outbound -- */

struct delivery_attempt *delivery_attempt_start(struct outbound *outbound,
                                                const struct delivery_request *request,
                                                void (*on_done)(void *context), void *context)
{
    struct delivery_attempt *attempt = memory_zero(sizeof *attempt);

    outbound->started++;
    attempt->request = *request;
    attempt->on_done = on_done;
    attempt->context = context;
    attempt->commits_at_start = world.commits;
    attempt->report.host = BYTES("mx.next.test");
    attempt->report.stage = "dot";
    list_append(&world.attempts, &attempt->link);
    if (request->may_connect != NULL &&
        !request->may_connect(context, world.hosts != NULL ? world.hosts(request->destination)
                                                           : request->destination)) {
        attempt->report.is_put_off = true;
        return attempt;
    }
    world.attempts_started++;
    world.attempts_open++;
    if (world.attempts_open > world.attempts_open_most) {
        world.attempts_open_most = world.attempts_open;
    }
    return attempt;
}

const struct delivery_report *delivery_attempt_report(const struct delivery_attempt *attempt)
{
    return &attempt->report;
}

void delivery_attempt_give_back(struct delivery_attempt *attempt)
{
    assert(attempt->is_done);
    world.connections_back++;
}

void delivery_attempt_finish(struct delivery_attempt **attempt)
{
    if (*attempt != NULL) {
        if (!(*attempt)->report.is_put_off) {
            world.attempts_finished++;
            world.attempts_open--;
        }
        world.commits_when_finished = world.commits;
        list_remove(&(*attempt)->link);
        free(*attempt);
        *attempt = NULL;
    }
}

static inline void set_outcome(struct delivery_attempt *attempt, enum delivery_outcome outcome,
                               unsigned code, const char *enhanced, const char *text)
{
    for (size_t i = 0; i < attempt->request.count; i++) {
        struct delivery_recipient *recipient = &attempt->request.recipients[i];
        recipient->outcome = outcome;
        recipient->code = code;
        snprintf(recipient->enhanced, sizeof recipient->enhanced, "%s", enhanced);
        recipient->text = bytes_from_text(text);
        recipient->class = reply_class_of(&(struct reply_facts){
            .origin = code == 0 ? REPLY_FROM_CONNECTION : REPLY_FROM_PEER,
            .code = code,
            .enhanced = recipient->enhanced,
            .text = recipient->text,
        });
    }
    attempt->report.trouble =
        outcome == DELIVERY_SENT ? DELIVERY_TROUBLE_NONE : DELIVERY_TROUBLE_REPLY;
    attempt->report.stage = "envelope";
}

static inline void attempt_sent(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_SENT, 250, "2.0.0", "250 2.0.0 ok");
}

static inline void attempt_greylisted(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 450, "4.7.1", "450 4.7.1 come back later");
}

static inline void attempt_unknown(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_PERMANENT, 550, "5.1.1", "550 5.1.1 no such user");
}

static inline void attempt_unreachable(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 0, "4.4.1", "connection refused");
    attempt->report.trouble = DELIVERY_TROUBLE_CONNECTION;
    attempt->report.stage = "connect";
}

static inline bool finish_one_attempt(bool is_held)
{
    for (struct list *node = world.attempts.next; node != &world.attempts; node = node->next) {
        struct delivery_attempt *attempt = list_owner(node, struct delivery_attempt, link);
        if (!attempt->is_done && (!is_held || attempt->report.is_put_off)) {
            attempt->is_done = true;
            if (!attempt->report.is_put_off) {
                world.attempt(attempt);
            }
            attempt->on_done(attempt->context);
            return true;
        }
    }
    return false;
}

static inline bool finish_next_attempt(void)
{
    return finish_one_attempt(false);
}

/* -- the run -- */

static inline bool run_first_task(struct loop_task **first, struct loop_task ***last)
{
    struct loop_task *task = *first;

    if (task == NULL) {
        return false;
    }
    *first = task->next;
    if (*first == NULL) {
        *last = first;
    }
    task->is_pending = false;
    task->run(task->context);
    return true;
}

static inline bool run_next_task(void)
{
    for (size_t i = 0; i < WORLD_LOOPS; i++) {
        struct event_loop *loop = &world.loops[i];
        if (run_first_task(&loop->first, &loop->last) ||
            (!world.is_post_held && run_first_task(&loop->posted, &loop->posted_last))) {
            return true;
        }
    }
    return false;
}

static inline bool run_next_timer(uint64_t until_ms)
{
    struct loop_timer *first = NULL;

    for (struct list *node = world.timers.next; node != &world.timers; node = node->next) {
        struct loop_timer *timer = list_owner(node, struct loop_timer, link);
        if (timer->when_ms <= until_ms && (first == NULL || timer->when_ms < first->when_ms)) {
            first = timer;
        }
    }
    if (first == NULL) {
        return false;
    }
    if (first->when_ms > world.now_ms) {
        world.now_ms = first->when_ms;
    }
    first->when_ms = UINT64_MAX;
    first->run(first->context);
    return true;
}

/* Until nothing moves any more without time passing. */
static inline void world_run(void)
{
    size_t steps = 0;

    while (run_next_task() || answer_next_request() ||
           finish_one_attempt(world.is_attempt_held) || run_next_timer(world.now_ms)) {
        assert(++steps < 1000 * 1000);
    }
}

static inline void world_advance(uint64_t milliseconds)
{
    uint64_t end = world.now_ms + milliseconds;

    world_run();
    while (run_next_timer(end)) {
        world_run();
    }
    world.now_ms = end;
    world_run();
}

static inline void world_forget_counts(void)
{
    world.commits = world.commit_tries = world.attempts_started = world.attempts_finished = 0;
    world.posts = world.due_reads = world.attempts_open_most = 0;
}

static struct delivery_route_table world_routes;

static inline struct queue_options world_options(void)
{
    return (struct queue_options){
        .retry = {.pauses_seconds = {60, 300, 900}, .count = 3, .expire_seconds = 172800},
        .concurrency = 3,
        .our_name = BYTES("mx.example.org"),
        .bounce_from = BYTES("postmaster@example.org"),
        .bounces = BOUNCE_ALL,
        .hold_ms = WORLD_HOLD_MS,
        .bounce_limit = WORLD_BOUNCE_LIMIT,
        .routes = &world_routes,
    };
}

/* Queues over whatever the spool holds; `loops` of them. */
static inline void world_boot(size_t loops)
{
    struct queue_options options = world_options();

    world.set = queue_set_new(NULL, loops);
    queue_set_count_bounces(world.set, world.state);
    for (size_t i = 0; i < loops; i++) {
        world.ids[i].loop = (unsigned)i;
        world.queues[i] = queue_new(world.set, i, &world.loops[i], &world.outbounds[i],
                                    &world.ids[i], &options);
    }
}

static inline void world_start(void)
{
    for (size_t i = 0; i < WORLD_LOOPS; i++) {
        if (world.queues[i] != NULL) {
            queue_start(world.queues[i]);
        }
    }
    world_run();
}

/* As a crash would: memory goes, rows stay. */
static inline void world_stop(void)
{
    for (size_t i = 0; i < WORLD_LOOPS; i++) {
        queue_free(&world.queues[i]);
    }
    world.is_read_held = false;
    world.is_attempt_held = false;
    world.is_post_held = false;
    world_run(); /* answers to a queue that is gone */
    queue_set_free(&world.set);
}

static inline void world_init(size_t loops)
{
    memset(&world, 0, sizeof world);
    world.now_ms = WORLD_START_MS;
    world.unix_offset_ms = 1700000000000;
    for (size_t i = 0; i < WORLD_LOOPS; i++) {
        world.loops[i].last = &world.loops[i].first;
        world.loops[i].posted_last = &world.loops[i].posted;
    }
    list_init(&world.timers);
    list_init(&world.requests);
    list_init(&world.attempts);
    world.attempt = attempt_sent;
    world_boot(loops);
}

static inline void world_clear(void)
{
    world_stop();
    for (size_t i = 0; i < world.row_count; i++) {
        disown(world.rows[i].delivery.destination);
        disown(world.rows[i].delivery.recipient);
        disown(world.rows[i].delivery.alias);
        disown(world.rows[i].delivery.sender);
        disown(world.rows[i].delivery.last_reply);
        disown(world.rows[i].delivery.orcpt);
        disown(world.rows[i].delivery.fallback);
    }
    for (size_t i = 0; i < world.message_count; i++) {
        disown(world.messages[i].message.envelope);
        disown(world.messages[i].message.prefix);
        content_drop(&world.messages[i].message.content);
    }
    for (size_t i = 0; i < world.line_count; i++) {
        free(world.lines[i]);
    }
    free(world.rows);
    free(world.messages);
}

#endif
