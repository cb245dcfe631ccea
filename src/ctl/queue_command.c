#include "ctl/queue_command.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/control_call.h"
#include "io/disk.h"
#include "io/spool_database.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"
#include "mail/queue_listing.h"
#include "mail/queue_order.h"

#include <stdlib.h>
#include <sysexits.h>

enum {
    ANSWER_WAIT_MS = 30000,
    WHY_LIMIT = 4096,
    TEXT_LIMIT = 64 * 1024 * 1024,
    PAGE_ROWS = 1000,
};

static const char usage[] = "usage: postilion queue list [--json]\n"
                            "       postilion queue show ID [--json]\n"
                            "       postilion queue retry ID|DOMAIN|all\n"
                            "       postilion queue delete ID\n";

struct queue_call {
    const struct queue_command_options *options;
    const struct queue_order *order;
    struct spool_database *database; /* offline */
    int64_t now_ms;
    FILE *out, *err;
};

static int exit_code_of(enum spool_status status)
{
    switch (status) {
    case SPOOL_OK:
        return EX_OK;
    case SPOOL_GONE:
    case SPOOL_DAMAGED:
        return EX_DATAERR;
    case SPOOL_FULL:
    case SPOOL_FAILED:
        return EX_IOERR;
    case SPOOL_LOCKED:
        return EX_TEMPFAIL;
    }
    abort();
}

static const char *describe(enum spool_status status)
{
    switch (status) {
    case SPOOL_OK:
        return "done";
    case SPOOL_GONE:
        return "no such message";
    case SPOOL_DAMAGED:
        return "the spool is damaged";
    case SPOOL_FULL:
        return "no space on the disk";
    case SPOOL_FAILED:
        return "the disk failed";
    case SPOOL_LOCKED:
        return "the spool is in use";
    }
    abort();
}

/* ---- through the daemon ---- */

static void print_part(void *context, struct bytes part)
{
    fwrite(part.data, 1, part.len, context);
}

/* "-gone ...": the first word is a spool_status_text, or "usage". Says it and returns the code. */
static int refuse(struct queue_call *call, struct bytes last)
{
    static const enum spool_status all[] = {SPOOL_GONE, SPOOL_DAMAGED, SPOOL_FULL,
                                            SPOOL_FAILED};
    struct bytes rest = last, word = bytes_cut(&rest, ' ');

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (bytes_equal(word, bytes_from_text(spool_status_text(all[i])))) {
            fprintf(call->err, "postilion: %s\n", describe(all[i]));
            return exit_code_of(all[i]);
        }
    }
    fprintf(call->err, "postilion: %.*s\n", (int)last.len, last.data);
    return bytes_equal(word, BYTES("usage")) ? EX_USAGE : EX_SOFTWARE;
}

/* False: nobody is there. */
static bool ask_daemon(struct queue_call *call, int *code)
{
    struct strbuf line, last;
    bool is_answered = true;

    if (call->options->control_path == NULL || call->options->control_path[0] == '\0') {
        return false;
    }
    strbuf_init(&line, QUEUE_ORDER_LINE_LIMIT);
    strbuf_init(&last, WHY_LIMIT);
    queue_order_write(&line, call->order);
    if (line.overflowed) {
        fputs(usage, call->err);
        *code = EX_USAGE;
        goto cleanup;
    }
    switch (control_call(call->options->control_path, strbuf_bytes(&line), ANSWER_WAIT_MS,
                         print_part, call->out, &last)) {
    case CONTROL_DONE:
        *code = EX_OK;
        break;
    case CONTROL_REFUSED:
        *code = refuse(call, strbuf_bytes(&last));
        break;
    case CONTROL_NOBODY:
        is_answered = false;
        break;
    case CONTROL_FAILED:
        fprintf(call->err, "postilion: the daemon at %s: %s\n", call->options->control_path,
                strbuf_text(&last));
        *code = EX_TEMPFAIL;
        break;
    }
cleanup:
    strbuf_clear(&line);
    strbuf_clear(&last);
    return is_answered;
}

/* ---- on the spool itself ---- */

static struct queue_listing_row row_of(const struct spool_delivery *delivery)
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
        .is_held = delivery->state == SPOOL_HELD,
        .next_attempt_ms = delivery->next_attempt_ms,
        .last_reply = delivery->last_reply,
    };
}

static void print_rows(struct queue_call *call, const struct spool_delivery *rows, size_t count)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        struct queue_listing_row row = row_of(&rows[i]);

        if (call->order->is_json) {
            queue_listing_add_row_json(&text, &row, call->now_ms);
        } else {
            queue_listing_add_row(&text, &row, call->now_ms);
        }
    }
    fwrite(strbuf_text(&text), 1, text.len, call->out);
    strbuf_clear(&text);
}

static void print_frame(struct queue_call *call, bool is_header, uint64_t rows)
{
    struct strbuf text;

    if (call->order->is_json) {
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    if (is_header) {
        queue_listing_add_header(&text);
    } else {
        queue_listing_add_end(&text, rows);
    }
    fputs(strbuf_text(&text), call->out);
    strbuf_clear(&text);
}

static enum spool_status list_all(struct queue_call *call)
{
    struct spool_position after = {0};
    struct arena *arena = arena_new();
    enum spool_status status = SPOOL_OK;
    size_t count = PAGE_ROWS;
    uint64_t listed = 0;

    while (count == PAGE_ROWS) {
        struct spool_delivery *rows;

        arena_reset(arena);
        status = spool_database_read_all(call->database, arena, NULL, &after, PAGE_ROWS, &rows,
                                         &count);
        if (status != SPOOL_OK) {
            break;
        }
        if (listed == 0 && count > 0) {
            print_frame(call, true, 0);
        }
        print_rows(call, rows, count);
        listed += count;
        if (count > 0) {
            after.message = rows[count - 1].message;
            after.number = rows[count - 1].number;
        }
    }
    if (status == SPOOL_OK) {
        print_frame(call, false, listed);
    }
    arena_free(&arena);
    return status;
}

static void print_message(struct queue_call *call, const struct spool_message *message,
                          const struct spool_delivery *deliveries, size_t count)
{
    struct queue_listing_row *rows = memory_resize(NULL, count + 1, sizeof(*rows));
    struct envelope envelope = {0};
    struct queue_listing_message head = {
        .id = message->id, .created_ms = message->created_ms, .size = message->content_size};
    struct strbuf text;

    if (envelope_record_read(message->envelope, &envelope)) {
        head.sender = envelope.sender;
        head.client_ip = envelope.client_ip;
        head.client_helo = envelope.client_helo;
        head.session = envelope.session;
    } else {
        fprintf(call->err, "postilion: %s: the envelope cannot be read\n",
                message_id_text(message->id).text);
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = row_of(&deliveries[i]);
    }
    strbuf_init(&text, TEXT_LIMIT);
    if (call->order->is_json) {
        queue_listing_add_message_json(&text, &head, rows, count, call->now_ms);
    } else {
        queue_listing_add_message(&text, &head, rows, count, call->now_ms);
    }
    fwrite(strbuf_text(&text), 1, text.len, call->out);
    strbuf_clear(&text);
    free(rows);
}

static enum spool_status show_one(struct queue_call *call)
{
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;
    enum spool_status status = spool_database_read_message(
        call->database, arena, call->order->id, false, &message, &rows, &count);

    if (status == SPOOL_OK) {
        print_message(call, &message, rows, count);
    }
    arena_free(&arena);
    return status;
}

static enum spool_status commit_one(struct queue_call *call, const struct spool_change *change)
{
    struct spool_request request = {.changes = change, .count = 1};
    struct spool_request *requests[] = {&request};

    spool_database_commit(call->database, requests, 1);
    return request.status;
}

static enum spool_status retry_all(struct queue_call *call)
{
    struct arena *arena = arena_new();
    struct spool_destination *rows;
    struct bytes after = {"", 0};
    enum spool_status status = SPOOL_OK;
    size_t count = PAGE_ROWS;

    while (count == PAGE_ROWS && status == SPOOL_OK) {
        status = spool_database_read_destinations(call->database, arena, after, INT64_MAX,
                                                  PAGE_ROWS, &rows, &count);
        for (size_t i = 0; i < count && status == SPOOL_OK; i++) {
            struct spool_change change = {
                .kind = SPOOL_RETRY, .destination = rows[i].name, .now_ms = call->now_ms};

            status = commit_one(call, &change);
            after = rows[i].name;
        }
    }
    arena_free(&arena);
    return status;
}

static enum spool_status carry_out(struct queue_call *call)
{
    const struct queue_order *order = call->order;
    struct spool_change change = {.id = order->id, .now_ms = call->now_ms};

    switch (order->kind) {
    case QUEUE_LIST:
        return list_all(call);
    case QUEUE_SHOW:
        return show_one(call);
    case QUEUE_RETRY:
        if (order->id == 0 && order->destination.len == 0) {
            return retry_all(call);
        }
        change.kind = SPOOL_RETRY;
        change.destination = order->destination;
        return commit_one(call, &change);
    case QUEUE_DELETE:
        change.kind = SPOOL_DELETE;
        return commit_one(call, &change);
    }
    abort();
}

/* Looking must not make a spool where there is none. */
static bool has_spool(const char *directory)
{
    struct strbuf path;
    bool found;

    strbuf_init(&path, WHY_LIMIT);
    strbuf_addf(&path, "%s/spool.db", directory);
    found = disk_exists(strbuf_text(&path));
    strbuf_clear(&path);
    return found;
}

static int open_and_carry_out(struct queue_call *call)
{
    struct spool_options options = {.directory = call->options->spool_directory};
    enum spool_status status;
    struct strbuf why;

    if (!has_spool(options.directory)) {
        fprintf(call->err, "postilion: there is no spool in %s\n", options.directory);
        return EX_NOINPUT;
    }
    strbuf_init(&why, WHY_LIMIT);
    call->database = spool_database_open(&options, &status, &why);
    if (call->database == NULL) {
        fprintf(call->err, "postilion: %s%s\n", strbuf_text(&why),
                status == SPOOL_LOCKED ? ", which does not answer on the control socket" : "");
    } else {
        status = carry_out(call);
        if (status != SPOOL_OK) {
            fprintf(call->err, "postilion: %s\n", describe(status));
        }
        spool_database_close(&call->database);
    }
    strbuf_clear(&why);
    return exit_code_of(status);
}

int queue_command_run(const struct queue_command_options *options, int argc, char **argv,
                      FILE *out, FILE *err)
{
    struct queue_order order;
    struct queue_call call = {
        .options = options, .order = &order, .now_ms = clock_unix_ms(), .out = out, .err = err};
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    struct bytes *words;
    const char *why = NULL;
    int code = EX_OK;

    if (count == 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, out);
        return EX_OK;
    }
    words = memory_resize(NULL, count + 1, sizeof(*words));
    for (size_t i = 0; i < count; i++) {
        words[i] = bytes_from_text(argv[i + 1]);
    }
    if (!queue_order_parse(words, count, &order, &why)) {
        fprintf(err, "postilion queue: %s\n%s", why, usage);
        code = EX_USAGE;
    } else if (!ask_daemon(&call, &code)) {
        code = open_and_carry_out(&call);
    }
    free(words);
    return code;
}
