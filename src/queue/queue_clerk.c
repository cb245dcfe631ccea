/*
 * An order, in the order it happens:
 *
 *   1 queue_clerk_start  the first thing to read, or to change when it is about one message
 *   2 on_listed ...      list: a page goes out; as many as there are, as fast as they are taken
 *     on_aged ...        list --by-domain: counted, page by page, then printed
 *     on_shown           show
 *     on_found           a change: what the filter lets through ...
 *   3 on_changed         ... is changed in one commit, then the next page
 *   4 end                the number, refresh, done
 */
#include "queue/queue_clerk.h"

#include "base/memory.h"
#include "io/clock.h"
#include "mail/envelope_record.h"
#include "mail/queue_ages.h"
#include "mail/queue_listing.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TEXT_LIMIT = 64 * 1024 * 1024 };

struct queue_clerk {
    struct queue_clerk_options options;
    struct queue_order order;
    struct arena *texts; /* of the order */
    struct arena *page;  /* changes and what they point to */
    bool is_forgotten;
    bool is_paused; /* queue_clerk_go_on is awaited */
    int64_t started_ms;
    uint64_t after_message;
    uint32_t after_number;
    uint64_t listed;
    uint64_t changed;
    uint64_t *affected; /* one for each change of the page */
    size_t change_count;
    bool is_last_page;
    struct queue_ages *ages;
    struct bytes after; /* the last destination counted */
};

static void read_page(struct queue_clerk *clerk);

static bool is_change(const struct queue_clerk *clerk)
{
    return queue_order_done_text(clerk->order.kind) != NULL;
}

static void clerk_free(struct queue_clerk *clerk)
{
    queue_ages_free(&clerk->ages);
    arena_free(&clerk->texts);
    arena_free(&clerk->page);
    free(clerk);
}

static void write_text(struct queue_clerk *clerk, struct strbuf *text)
{
    if (!clerk->is_forgotten && text->len > 0) {
        clerk->options.write(clerk->options.context, strbuf_bytes(text));
    }
    strbuf_clear(text);
}

static void say_changed(struct queue_clerk *clerk)
{
    const char *what = queue_order_done_text(clerk->order.kind);
    struct strbuf text;

    strbuf_init(&text, 1000);
    if (clerk->order.is_json) {
        strbuf_addf(&text, "{\"changed\":%" PRIu64 "}\n", clerk->changed);
    } else {
        strbuf_addf(&text, "%" PRIu64 " deliver%s %s\n", clerk->changed,
                    clerk->changed == 1 ? "y" : "ies", what);
    }
    write_text(clerk, &text);
}

static void end(struct queue_clerk *clerk, enum spool_status status)
{
    if (is_change(clerk)) {
        if (clerk->options.on_changed != NULL && clerk->changed > 0) {
            clerk->options.on_changed(clerk->options.changed_context, &clerk->order,
                                      clerk->changed);
        }
        if (clerk->changed > 0) {
            say_changed(clerk);
        }
    }
    if (!clerk->is_forgotten) {
        clerk->options.done(clerk->options.context, status, clerk->changed);
    }
    clerk_free(clerk);
}

/* After each answer of the spool. True: it has ended. */
static bool must_end(struct queue_clerk *clerk, enum spool_status status)
{
    if (status == SPOOL_OK && !clerk->is_forgotten) {
        return false;
    }
    end(clerk, status);
    return true;
}

/* ---- list ---- */

static struct queue_listing_row listing_row(const struct spool_delivery *delivery)
{
    return (struct queue_listing_row){
        .id = delivery->message,
        .number = delivery->number,
        .created_ms = delivery->created_ms,
        .size = delivery->content_size,
        .sender = delivery->sender,
        .recipient = delivery->recipient,
        .alias = delivery->alias,
        .destination = delivery->destination,
        .attempts = delivery->attempts,
        .is_held = delivery->state != SPOOL_DUE,
        .next_attempt_ms = delivery->next_attempt_ms,
        .last_reply = delivery->last_reply,
        .is_given_up = delivery->is_given_up,
        .fallback = delivery->fallback,
    };
}

/* On the spool's reading thread: looks at what does not change. */
static bool matches(const void *context, const struct spool_delivery *row)
{
    const struct queue_clerk *clerk = context;

    if (row->created_ms > clerk->started_ms && is_change(clerk)) {
        return false;
    }
    return queue_order_matches(&clerk->order,
                               &(struct queue_order_row){.sender = row->sender,
                                                         .recipient = row->recipient,
                                                         .alias = row->alias,
                                                         .destination = row->destination});
}

static size_t page_size(const struct queue_clerk *clerk)
{
    uint64_t left = clerk->order.limit > 0 ? clerk->order.limit - clerk->listed : UINT64_MAX;

    return left < QUEUE_CLERK_PAGE ? (size_t)left : QUEUE_CLERK_PAGE;
}

static void add_page(struct queue_clerk *clerk, struct strbuf *text,
                     const struct spool_delivery *rows, size_t count)
{
    int64_t now_ms = clock_unix_ms();

    if (clerk->listed == 0 && count > 0 && !clerk->order.is_json) {
        queue_listing_add_header(text);
    }
    for (size_t i = 0; i < count; i++) {
        struct queue_listing_row row = listing_row(&rows[i]);

        if (clerk->order.is_json) {
            queue_listing_add_row_json(text, &row, now_ms);
        } else {
            queue_listing_add_row(text, &row, now_ms);
        }
    }
}

static void add_end(struct queue_clerk *clerk, struct strbuf *text, bool is_all)
{
    bool is_chosen = queue_order_is_filtered(&clerk->order) || clerk->order.held_only ||
                     clerk->order.after_id != 0;

    if (clerk->order.is_json) {
        return;
    }
    if (!is_all) {
        queue_listing_add_more(text, clerk->listed, clerk->after_message, clerk->after_number);
    } else if (clerk->listed == 0 && is_chosen) {
        strbuf_add_text(text, "Nothing in the queue is like that.\n");
    } else {
        queue_listing_add_end(text, clerk->listed);
    }
}

static void on_listed(void *context, enum spool_status status,
                      const struct spool_delivery *rows, size_t count)
{
    struct queue_clerk *clerk = context;
    bool is_all, is_enough;
    struct strbuf text;

    if (must_end(clerk, status)) {
        return;
    }
    is_all = count < page_size(clerk);
    strbuf_init(&text, TEXT_LIMIT);
    add_page(clerk, &text, rows, count);
    if (count > 0) {
        clerk->after_message = rows[count - 1].message;
        clerk->after_number = rows[count - 1].number;
    }
    clerk->listed += count;
    is_enough = is_all || clerk->listed == clerk->order.limit;
    if (is_enough) {
        add_end(clerk, &text, is_all);
    }
    write_text(clerk, &text);
    if (is_enough) {
        end(clerk, SPOOL_OK);
    } else {
        clerk->is_paused = !clerk->options.may_go_on(clerk->options.context);
        if (!clerk->is_paused) {
            read_page(clerk);
        }
    }
}

/* ---- list --by-domain ---- */

static void on_aged(void *context, enum spool_status status, const struct spool_age *rows,
                    size_t count)
{
    struct queue_clerk *clerk = context;
    struct strbuf text;

    if (must_end(clerk, status)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct queue_ages_row row = {.destination = rows[i].destination, .held = rows[i].held};

        memcpy(row.due, rows[i].due, sizeof row.due);
        queue_ages_add(clerk->ages, &row);
    }
    if (count == QUEUE_CLERK_PAGE) {
        arena_reset(clerk->page);
        clerk->after = arena_copy(clerk->page, rows[count - 1].destination);
        read_page(clerk);
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    queue_ages_print(clerk->ages, &text, clerk->order.is_json);
    write_text(clerk, &text);
    end(clerk, SPOOL_OK);
}

_Static_assert((int)SPOOL_AGES == (int)QUEUE_AGES_BUCKETS &&
                   (int)SPOOL_AGE_FIRST_MS == QUEUE_AGES_FIRST_MINUTES * 60 * 1000,
               "the spool counts what the table shows");

/* ---- show ---- */

static void add_shown(struct queue_clerk *clerk, struct strbuf *text,
                      const struct spool_message *message,
                      const struct spool_delivery *deliveries, size_t count)
{
    struct queue_listing_row *rows = memory_zero((count + 1) * sizeof *rows);
    struct queue_listing_attempt *attempts =
        memory_zero((message->attempt_count + 1) * sizeof *attempts);
    struct queue_listing_message shown = {.id = message->id,
                                          .created_ms = message->created_ms,
                                          .size = message->content_size,
                                          .prefix = message->prefix,
                                          .attempts = attempts,
                                          .attempt_count = message->attempt_count};
    struct envelope envelope;

    if (envelope_record_read(message->envelope, &envelope)) {
        shown.sender = envelope.sender;
        shown.client_ip = envelope.client_ip;
        shown.client_helo = envelope.client_helo;
        shown.session = envelope.session;
    } else {
        shown.sender = BYTES("(the envelope cannot be read)");
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = listing_row(&deliveries[i]);
    }
    for (size_t i = 0; i < message->attempt_count; i++) {
        const struct spool_attempt *attempt = &message->attempts[i];
        attempts[i] = (struct queue_listing_attempt){attempt->number, attempt->at_ms,
                                                     attempt->host, attempt->reply};
    }
    if (clerk->order.is_json) {
        queue_listing_add_message_json(text, &shown, rows, count, clock_unix_ms());
    } else {
        queue_listing_add_message(text, &shown, rows, count, clock_unix_ms());
    }
    free(rows);
    free(attempts);
}

static void on_shown(void *context, enum spool_status status,
                     const struct spool_message *message,
                     const struct spool_delivery *deliveries, size_t count)
{
    struct queue_clerk *clerk = context;
    struct strbuf text;

    if (must_end(clerk, status)) {
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    add_shown(clerk, &text, message, deliveries, count);
    write_text(clerk, &text);
    end(clerk, SPOOL_OK);
}

/* ---- changes ---- */

static enum spool_change_kind change_kind(enum queue_order_kind kind)
{
    switch (kind) {
    case QUEUE_RETRY:
        return SPOOL_RETRY;
    case QUEUE_HOLD:
        return SPOOL_HOLD;
    case QUEUE_RELEASE:
        return SPOOL_RELEASE;
    case QUEUE_BOUNCE:
        return SPOOL_GIVE_UP;
    case QUEUE_DELETE:
        return SPOOL_DELETE;
    case QUEUE_LIST:
    case QUEUE_AGES:
    case QUEUE_SHOW:
        break;
    }
    abort();
}

static void on_changed(void *context, enum spool_status status)
{
    struct queue_clerk *clerk = context;

    for (size_t i = 0; status == SPOOL_OK && i < clerk->change_count; i++) {
        clerk->changed += clerk->affected[i];
    }
    if (!must_end(clerk, status)) {
        if (clerk->is_last_page) {
            end(clerk, SPOOL_OK);
        } else {
            read_page(clerk);
        }
    }
}

/* One for each row; without rows one for the message of the order. */
static void commit_changes(struct queue_clerk *clerk, const struct spool_delivery *rows,
                           size_t count)
{
    size_t change_count = count == 0 ? 1 : count;
    struct spool_change *changes;

    arena_reset(clerk->page);
    changes = arena_alloc(clerk->page, change_count * sizeof *changes);
    clerk->affected = arena_alloc(clerk->page, change_count * sizeof *clerk->affected);
    clerk->change_count = change_count;
    for (size_t i = 0; i < change_count; i++) {
        clerk->affected[i] = 0;
        changes[i] = (struct spool_change){
            .kind = change_kind(clerk->order.kind),
            .id = count == 0 ? clerk->order.id : rows[i].message,
            .number = count == 0 ? 0 : rows[i].number,
            .is_one = count > 0,
            .value = BYTES("held by an operator"),
            .now_ms = clock_unix_ms(),
            .affected = &clerk->affected[i],
        };
    }
    spool_commit(clerk->options.spool, clerk->options.loop, changes, change_count, on_changed,
                 clerk);
}

static void on_found(void *context, enum spool_status status, const struct spool_delivery *rows,
                     size_t count)
{
    struct queue_clerk *clerk = context;

    if (must_end(clerk, status)) {
        return;
    }
    clerk->is_last_page = count < QUEUE_CLERK_PAGE;
    if (count == 0) {
        end(clerk, SPOOL_OK);
        return;
    }
    clerk->after_message = rows[count - 1].message;
    clerk->after_number = rows[count - 1].number;
    commit_changes(clerk, rows, count);
}

/* ---- all of them ---- */

static void read_page(struct queue_clerk *clerk)
{
    const struct queue_clerk_options *options = &clerk->options;
    struct spool_filter filter = {.held_only = clerk->order.held_only ||
                                               clerk->order.kind == QUEUE_RELEASE,
                                  .matches = matches,
                                  .context = clerk};

    switch (clerk->order.kind) {
    case QUEUE_LIST:
        spool_read_all(options->spool, options->loop, &filter, clerk->after_message,
                       clerk->after_number, page_size(clerk), on_listed, clerk);
        return;
    case QUEUE_AGES:
        spool_read_ages(options->spool, options->loop, clerk->after, clerk->started_ms,
                        QUEUE_CLERK_PAGE, on_aged, clerk);
        return;
    case QUEUE_SHOW:
        spool_read_message(options->spool, options->loop, clerk->order.id, false, on_shown,
                           clerk);
        return;
    case QUEUE_RETRY:
    case QUEUE_HOLD:
    case QUEUE_RELEASE:
    case QUEUE_BOUNCE:
    case QUEUE_DELETE:
        spool_read_all(options->spool, options->loop, &filter, clerk->after_message,
                       clerk->after_number, QUEUE_CLERK_PAGE, on_found, clerk);
        return;
    }
}

struct queue_clerk *queue_clerk_start(const struct queue_clerk_options *options,
                                      const struct queue_order *order)
{
    struct queue_clerk *clerk = memory_zero(sizeof *clerk);

    clerk->options = *options;
    clerk->texts = arena_new();
    clerk->page = arena_new();
    clerk->order = *order;
    clerk->order.sender = arena_copy(clerk->texts, order->sender);
    clerk->order.recipient = arena_copy(clerk->texts, order->recipient);
    clerk->order.destination = arena_copy_lower(clerk->texts, order->destination);
    clerk->started_ms = clock_unix_ms();
    clerk->after_message = order->after_id;
    clerk->after_number = order->after_number;
    clerk->after = BYTES("");
    if (order->kind == QUEUE_AGES) {
        clerk->ages = queue_ages_new((size_t)(order->limit < SIZE_MAX ? order->limit : 0));
    }
    if (is_change(clerk) && order->id != 0) {
        clerk->is_last_page = true;
        commit_changes(clerk, NULL, 0);
    } else {
        read_page(clerk);
    }
    return clerk;
}

void queue_clerk_go_on(struct queue_clerk *clerk)
{
    if (clerk->is_paused) {
        clerk->is_paused = false;
        read_page(clerk);
    }
}

void queue_clerk_forget(struct queue_clerk **place)
{
    struct queue_clerk *clerk = *place;

    if (clerk == NULL) {
        return;
    }
    *place = NULL;
    clerk->is_forgotten = true;
    if (clerk->is_paused) {
        clerk_free(clerk);
    }
}
