/*
 * Facts, in the order they are gathered:
 *
 *   1 start_gathering  every METRICS_REFRESH_MS, or when somebody asks
 *   2 on_summary       held deliveries, the oldest message
 *   3 on_ages          page by page, when it is time for that
 *   4 end_gathering    what was gathered is shown from now on; those who asked are told
 */
#include "daemon/metrics_board.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/lock.h"
#include "io/memory_use.h"

#include <stdlib.h>

enum {
    AGES_PAGE = 500,
    AGES_SHARE = 50, /* of the time, reading ages may take one part */
};

struct metrics_board {
    struct metrics_board_options options;
    struct loop_timer *refresh_timer, *minute_timer;
    struct list waiters; /* for the facts that are being gathered */
    struct list late;    /* for those after them */
    bool is_gathering;
    uint64_t begun_ms;
    uint64_t ages_after_ms;     /* not to be read again before that; clock of deadlines */
    struct metrics_facts facts; /* being gathered */
    struct strbuf directory;    /* of the spool */
    struct strbuf after;        /* the last destination whose ages are known */
    struct lock lock;           /* of `shown` */
    struct metrics_facts shown;
};

static void start_gathering(struct metrics_board *board);

static void move_all(struct list *from, struct list *to)
{
    while (!list_is_empty(from)) {
        struct list *node = from->next;
        list_remove(node);
        list_append(to, node);
    }
}

static void tell_waiters(struct metrics_board *board)
{
    while (!list_is_empty(&board->waiters)) {
        struct metrics_wait *wait = list_owner(board->waiters.next, struct metrics_wait, node);
        list_remove(&wait->node);
        wait->done(wait->context);
    }
    move_all(&board->late, &board->waiters);
}

static void end_gathering(struct metrics_board *board)
{
    lock_take(&board->lock);
    board->shown = board->facts;
    lock_give(&board->lock);
    tell_waiters(board);
    board->is_gathering = false;
    if (!list_is_empty(&board->waiters)) {
        start_gathering(board);
    } else {
        loop_timer_set(board->refresh_timer, METRICS_REFRESH_MS);
    }
}

/* ---- ages ---- */

static void read_ages(struct metrics_board *board);

static void end_ages(struct metrics_board *board)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t pause_ms = (now_ms - board->begun_ms) * AGES_SHARE;

    board->ages_after_ms = now_ms + (pause_ms > METRICS_AGES_MS ? pause_ms : METRICS_AGES_MS);
    end_gathering(board);
}

static void on_ages(void *context, enum spool_status status, const struct spool_age *rows,
                    size_t count)
{
    struct metrics_board *board = context;

    if (status != SPOOL_OK) {
        board->facts.has_ages = false;
        end_ages(board);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t age = 0; age < SPOOL_AGES; age++) {
            board->facts.due[age] += rows[i].due[age];
        }
    }
    if (count < AGES_PAGE) {
        end_ages(board);
        return;
    }
    strbuf_reset(&board->after);
    strbuf_add(&board->after, rows[count - 1].destination);
    read_ages(board);
}

static void read_ages(struct metrics_board *board)
{
    spool_read_ages(board->options.spool, board->options.loop, strbuf_bytes(&board->after),
                    board->facts.now_ms, AGES_PAGE, on_ages, board);
}

/* ---- the rest ---- */

static void on_summary(void *context, enum spool_status status,
                       const struct spool_summary *summary)
{
    struct metrics_board *board = context;
    bool is_time = clock_now_ms() >= board->ages_after_ms;

    if (status == SPOOL_OK) {
        board->facts.held = summary->held;
        board->facts.oldest_ms = summary->created_ms;
    }
    if (status == SPOOL_OK && (is_time || !list_is_empty(&board->waiters))) {
        board->facts.has_ages = true;
        memset(board->facts.due, 0, sizeof board->facts.due);
        strbuf_reset(&board->after);
        read_ages(board);
        return;
    }
    end_gathering(board);
}

static void add_pauses(const struct pauses *pauses, struct metrics_facts *facts)
{
    struct pause_target target;
    int64_t since_ms;

    for (size_t i = 0; pauses_get(pauses, i, &target, &since_ms); i++) {
        switch (target.kind) {
        case PAUSE_INBOUND:
            facts->is_inbound_paused = true;
            break;
        case PAUSE_OUTBOUND:
            facts->is_outbound_paused = true;
            break;
        case PAUSE_DESTINATION:
            facts->destinations_paused++;
            break;
        }
    }
}

/* What the spool said before stays until it has said something newer. */
static void start_gathering(struct metrics_board *board)
{
    const struct metrics_board_options *options = &board->options;
    struct metrics_facts facts = board->facts;

    board->is_gathering = true;
    board->begun_ms = clock_now_ms();
    board->facts = (struct metrics_facts){.now_ms = clock_unix_ms(),
                                          .held = facts.held,
                                          .oldest_ms = facts.oldest_ms,
                                          .has_ages = facts.has_ages};
    memcpy(board->facts.due, facts.due, sizeof facts.due);
    add_pauses(options->pauses, &board->facts);
    options->describe(options->context, &board->facts);
    board->facts.has_free_space =
        disk_free_space(strbuf_text(&board->directory), &board->facts.free_space) == DISK_OK;
    spool_read_summary(options->spool, options->loop, on_summary, board);
}

static void on_refresh_timer(void *context)
{
    start_gathering(context);
}

static void end_minute(struct metrics_board *board, bool is_end)
{
    uint64_t messages = spool_count(board->options.spool).messages;
    uint64_t pause_ms =
        event_feed_minute(board->options.feed, clock_unix_ms(), messages, is_end);

    if (!is_end) {
        loop_timer_set(board->minute_timer, pause_ms);
    }
}

static void on_minute_timer(void *context)
{
    end_minute(context, false);
}

struct metrics_board *metrics_board_new(const struct metrics_board_options *options)
{
    struct metrics_board *board = memory_zero(sizeof *board);

    board->options = *options;
    strbuf_init(&board->after, 1024);
    strbuf_init(&board->directory, 8192);
    strbuf_add_text(&board->directory, options->spool_directory);
    lock_init(&board->lock);
    list_init(&board->waiters);
    list_init(&board->late);
    board->refresh_timer = loop_timer_new(options->loop, on_refresh_timer, board);
    board->minute_timer = loop_timer_new(options->loop, on_minute_timer, board);
    on_minute_timer(board);
    start_gathering(board);
    return board;
}

void metrics_board_stop(struct metrics_board *board)
{
    if (board != NULL) {
        end_minute(board, true);
        loop_timer_free(&board->refresh_timer);
        loop_timer_free(&board->minute_timer);
    }
}

void metrics_board_free(struct metrics_board **board_place)
{
    struct metrics_board *board = *board_place;

    if (board == NULL) {
        return;
    }
    loop_timer_free(&board->refresh_timer);
    loop_timer_free(&board->minute_timer);
    lock_clear(&board->lock);
    strbuf_clear(&board->after);
    strbuf_clear(&board->directory);
    free(board);
    *board_place = NULL;
}

/* ---- looking ---- */

static void add_counts(void *context, const struct event_view *view)
{
    event_counts_add_prometheus(context, view->counts);
}

void metrics_board_add(struct metrics_board *board, struct strbuf *out)
{
    struct metrics_facts facts;

    lock_take(&board->lock);
    facts = board->shown;
    lock_give(&board->lock);
    facts.now_ms = clock_unix_ms();
    facts.spool = spool_count(board->options.spool);
    facts.clients_memory = memory_use_now();
    facts.clients_memory_limit = memory_use_limit();
    process_use_now(&facts.process);
    event_feed_look(board->options.feed, add_counts, out);
    metrics_report_add(out, &facts);
}

void metrics_board_refresh(struct metrics_board *board, struct metrics_wait *wait)
{
    if (board->is_gathering) {
        list_append(&board->late, &wait->node);
        return;
    }
    list_append(&board->waiters, &wait->node);
    loop_timer_stop(board->refresh_timer);
    start_gathering(board);
}
