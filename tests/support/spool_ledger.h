/*
 * spool_ledger - what a spool has to hold after changes drawn from a seed, kept without it.
 *
 * Use     batch_new draws a few requests and enters them into the ledger at once;
 *         ledger_write_down and spool_write_down give the same text when the spool agrees.
 * Content is a piece of one random text, so that every octet can be looked at for little.
 */
#ifndef TESTS_SUPPORT_SPOOL_LEDGER_H
#define TESTS_SUPPORT_SPOOL_LEDGER_H

#include "support/disk_recorder.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "io/spool_database.h"

enum {
    LEDGER_MESSAGES = 60,
    LEDGER_RECIPIENTS = 3,
    LEDGER_ATTEMPTS = 8, /* more are not made of one delivery */
    LEDGER_FILES = 3,    /* at a time */
    LEDGER_TEXT = 400 * 1024,
    BATCH_REQUESTS = 4,
    BATCH_CHANGES = 2,
};

struct ledger_delivery {
    bool is_open, is_warned, is_given_up;
    enum spool_state state;
    unsigned attempts, wish;
    int64_t next_attempt_ms;
    char reply[24];
    unsigned history[LEDGER_ATTEMPTS]; /* their numbers */
};

struct ledger_message {
    uint64_t id;
    size_t place, size; /* of the content */
    bool is_file;
    unsigned count;
    struct ledger_delivery deliveries[LEDGER_RECIPIENTS];
};

struct ledger {
    uint64_t seed;
    struct ledger_message messages[LEDGER_MESSAGES]; /* by id */
    size_t count;
    char setting[24];
};

struct batch {
    struct arena *arena;
    struct spool_request requests[BATCH_REQUESTS];
    struct spool_change changes[BATCH_REQUESTS][BATCH_CHANGES];
    size_t count;
    struct content *contents[BATCH_REQUESTS];
    size_t content_count;
    const char *root;
};

static struct bytes ledger_content(const struct ledger_message *message)
{
    static char *text;

    if (text == NULL) {
        static char memory[LEDGER_TEXT];
        uint64_t seed = 1;

        for (size_t i = 0; i < LEDGER_TEXT; i++) {
            memory[i] = (char)('0' + recorder_random(&seed) % 64);
        }
        text = memory;
    }
    return bytes_of(text + message->place, message->size);
}

static const char *ledger_destination(uint64_t id, unsigned number)
{
    static const char *const NAMES[] = {"one.example", "two.example", "three.example"};

    return NAMES[(id + number) % 3];
}

static size_t ledger_count_files(const struct ledger *ledger)
{
    size_t count = 0;

    for (size_t i = 0; i < ledger->count; i++) {
        count += ledger->messages[i].is_file;
    }
    return count;
}

/* ---- drawing changes ---- */

static struct bytes batch_text(struct batch *batch, const char *text)
{
    return arena_copy(batch->arena, bytes_from_text(text));
}

static struct content *batch_content(struct batch *batch, const struct ledger_message *message,
                                     bool is_copied)
{
    struct bytes octets = ledger_content(message);
    struct content *content;
    char directory[120];

    if (is_copied) {
        content = content_from_bytes(octets);
    } else {
        snprintf(directory, sizeof(directory), "%s/spool", batch->root);
        content = content_new(arena_copy_text(batch->arena, bytes_from_text(directory)));
        if (content_append(content, octets) != CONTENT_OK ||
            content_seal(content) != CONTENT_OK) {
            abort();
        }
    }
    batch->contents[batch->content_count++] = content;
    return content;
}

static size_t draw_size(uint64_t *seed, bool may_be_file)
{
    uint64_t draw = recorder_random(seed) % 10;

    if (draw < 2 && may_be_file) {
        return CONTENT_MEMORY_LIMIT + 1 + recorder_random(seed) % 50000;
    }
    return draw < 4 ? recorder_random(seed) % 60000 : recorder_random(seed) % 3000;
}

static struct ledger_message *ledger_insert(struct ledger *ledger, uint64_t id)
{
    size_t at = ledger->count;

    assert(ledger->count < LEDGER_MESSAGES);
    for (; at > 0 && ledger->messages[at - 1].id > id; at--) {
        ledger->messages[at] = ledger->messages[at - 1];
    }
    ledger->count++;
    ledger->messages[at] = (struct ledger_message){.id = id};
    return &ledger->messages[at];
}

/* `is_plain`: as an older release could have written it. */
static void draw_add(uint64_t *seed, struct batch *batch, struct ledger *ledger,
                     struct spool_change *change, bool is_plain)
{
    struct ledger_message *entry = ledger_insert(ledger, recorder_random(seed));
    struct spool_message *message = arena_alloc(batch->arena, sizeof(*message));
    struct spool_delivery *rows;

    entry->size = draw_size(seed, ledger_count_files(ledger) < LEDGER_FILES);
    entry->place = recorder_random(seed) % (LEDGER_TEXT - entry->size);
    entry->is_file = entry->size > CONTENT_MEMORY_LIMIT;
    entry->count = 1 + (unsigned)(recorder_random(seed) % LEDGER_RECIPIENTS);
    *message = (struct spool_message){
        .id = entry->id,
        .created_ms = 1000,
        .envelope = BYTES("envelope"),
        .prefix = BYTES("Received: x\r\n"),
        .content = batch_content(batch, entry, recorder_random(seed) % 2 == 0)};
    rows = arena_alloc(batch->arena, entry->count * sizeof(*rows));
    for (unsigned i = 0; i < entry->count; i++) {
        struct ledger_delivery *delivery = &entry->deliveries[i];

        *delivery = (struct ledger_delivery){
            .is_open = true, .next_attempt_ms = 1000, .wish = is_plain ? 0 : i};
        rows[i] = (struct spool_delivery){.number = i,
                                          .destination =
                                              bytes_from_text(ledger_destination(entry->id, i)),
                                          .recipient = BYTES("r@there.example"),
                                          .alias = BYTES("a@here.example"),
                                          .sender = BYTES("s@srs.example"),
                                          .next_attempt_ms = delivery->next_attempt_ms,
                                          .notify = delivery->wish};
    }
    *change = (struct spool_change){.kind = SPOOL_ADD,
                                    .message = message,
                                    .deliveries = rows,
                                    .delivery_count = entry->count};
}

static void forget_if_done(struct ledger *ledger, struct ledger_message *message)
{
    size_t at = (size_t)(message - ledger->messages);

    for (unsigned i = 0; i < message->count; i++) {
        if (message->deliveries[i].is_open) {
            return;
        }
    }
    ledger->count--;
    memmove(message, message + 1, (ledger->count - at) * sizeof(*message));
}

static void draw_close(struct ledger *ledger, struct ledger_message *message, unsigned number,
                       struct spool_change *change)
{
    *change = (struct spool_change){.kind = SPOOL_CLOSE, .id = message->id, .number = number};
    message->deliveries[number].is_open = false;
    forget_if_done(ledger, message);
}

static void draw_deferral(uint64_t *seed, struct batch *batch,
                          const struct ledger_message *message, unsigned number,
                          struct ledger_delivery *delivery, struct spool_change *change)
{
    struct spool_delivery *row = arena_alloc(batch->arena, sizeof(*row));
    struct spool_attempt *attempt = arena_alloc(batch->arena, sizeof(*attempt));
    int64_t next = 2000 + (int64_t)(recorder_random(seed) % 100000);

    snprintf(delivery->reply, sizeof(delivery->reply), "451 try %u", delivery->attempts);
    if (delivery->attempts < LEDGER_ATTEMPTS) {
        delivery->history[delivery->attempts++] = (unsigned)next;
    }
    delivery->next_attempt_ms = delivery->is_given_up && delivery->next_attempt_ms < next
                                    ? delivery->next_attempt_ms
                                    : next;
    delivery->is_warned = delivery->is_warned || delivery->attempts > 2;
    *attempt = (struct spool_attempt){.at_ms = next,
                                      .host = BYTES("mx.example"),
                                      .reply = batch_text(batch, delivery->reply)};
    *row = (struct spool_delivery){.message = message->id,
                                   .number = number,
                                   .attempts = delivery->attempts,
                                   .next_attempt_ms = next,
                                   .destination =
                                       bytes_from_text(ledger_destination(message->id, number)),
                                   .last_reply = attempt->reply,
                                   .is_warned = delivery->is_warned};
    *change = (struct spool_change){
        .kind = SPOOL_UPDATE, .deliveries = row, .delivery_count = 1, .attempt = attempt};
}

static void draw_order(uint64_t *seed, const struct ledger_message *message, unsigned number,
                       struct ledger_delivery *delivery, struct spool_change *change)
{
    static const enum spool_change_kind ORDERS[] = {SPOOL_HOLD, SPOOL_RELEASE, SPOOL_GIVE_UP};

    *change = (struct spool_change){.kind = ORDERS[recorder_random(seed) % 3],
                                    .id = message->id,
                                    .number = number,
                                    .is_one = true,
                                    .value = BYTES("held"),
                                    .now_ms = 7000};
    if (change->kind == SPOOL_HOLD && delivery->state == SPOOL_DUE) {
        delivery->state = SPOOL_HELD;
        snprintf(delivery->reply, sizeof(delivery->reply), "held");
    } else if (change->kind == SPOOL_GIVE_UP ||
               (change->kind == SPOOL_RELEASE && delivery->state == SPOOL_HELD)) {
        delivery->state = SPOOL_DUE;
        delivery->next_attempt_ms = 7000;
        delivery->is_given_up = change->kind == SPOOL_GIVE_UP;
    }
}

static void draw_delete(struct ledger *ledger, struct ledger_message *message,
                        struct spool_change *change)
{
    *change = (struct spool_change){.kind = SPOOL_DELETE, .id = message->id};
    for (unsigned i = 0; i < message->count; i++) {
        message->deliveries[i].is_open = false;
    }
    forget_if_done(ledger, message);
}

static void draw_setting(uint64_t *seed, struct batch *batch, struct ledger *ledger,
                         struct spool_change *change)
{
    uint64_t draw = recorder_random(seed);

    ledger->setting[0] = '\0'; /* forgotten */
    if (draw % 4 != 0) {
        snprintf(ledger->setting, sizeof(ledger->setting), "v%u", (unsigned)(draw % 1000));
    }
    *change = (struct spool_change){
        .kind = SPOOL_SET, .name = BYTES("name"), .value = batch_text(batch, ledger->setting)};
}

static struct ledger_delivery *draw_delivery(uint64_t *seed, struct ledger *ledger,
                                             struct ledger_message **message, unsigned *number)
{
    *message = &ledger->messages[recorder_random(seed) % ledger->count];
    *number = (unsigned)(recorder_random(seed) % (*message)->count);
    while (!(*message)->deliveries[*number].is_open) {
        *number = (*number + 1) % (*message)->count;
    }
    return &(*message)->deliveries[*number];
}

/* Returns how many changes it is made of. */
static size_t draw_changes(uint64_t *seed, struct batch *batch, struct ledger *ledger,
                           struct spool_change *changes)
{
    uint64_t draw = recorder_random(seed) % 20;
    struct ledger_message *message;
    struct ledger_delivery *delivery;
    unsigned number;

    if (ledger->count < 2 || draw < 6) {
        draw_add(seed, batch, ledger, &changes[0], false);
        return 1;
    }
    delivery = draw_delivery(seed, ledger, &message, &number);
    if (draw < 11) {
        draw_close(ledger, message, number, &changes[0]);
    } else if (draw < 15) {
        draw_deferral(seed, batch, message, number, delivery, &changes[0]);
    } else if (draw < 17) {
        draw_order(seed, message, number, delivery, &changes[0]);
    } else if (draw == 17) {
        draw_delete(ledger, message, &changes[0]);
    } else if (draw == 18) {
        draw_setting(seed, batch, ledger, &changes[0]);
    } else { /* a bounce */
        draw_close(ledger, message, number, &changes[0]);
        draw_add(seed, batch, ledger, &changes[1], false);
        return 2;
    }
    return 1;
}

static struct batch *batch_empty(const char *root)
{
    struct batch *batch = memory_zero(sizeof(*batch));

    batch->arena = arena_new();
    batch->root = root;
    return batch;
}

/* The spool below `root` is where its files are made. */
static struct batch *batch_new(uint64_t *seed, const char *root, struct ledger *ledger)
{
    struct batch *batch = batch_empty(root);

    batch->count = 1 + recorder_random(seed) % BATCH_REQUESTS;
    for (size_t i = 0; i < batch->count; i++) {
        batch->requests[i].changes = batch->changes[i];
        batch->requests[i].count = draw_changes(seed, batch, ledger, batch->changes[i]);
    }
    return batch;
}

static struct batch *batch_new_message(uint64_t *seed, const char *root, struct ledger *ledger)
{
    struct batch *batch = batch_empty(root);

    batch->count = 1;
    batch->requests[0] = (struct spool_request){.changes = batch->changes[0], .count = 1};
    draw_add(seed, batch, ledger, &batch->changes[0][0], true);
    return batch;
}

static void batch_free(struct batch **batch)
{
    for (size_t i = 0; i < (*batch)->content_count; i++) {
        content_drop(&(*batch)->contents[i]);
    }
    arena_free(&(*batch)->arena);
    free(*batch);
    *batch = NULL;
}

/* ---- as text ---- */

static void write_delivery(struct strbuf *out, const struct spool_delivery *row)
{
    strbuf_addf(out, "%016llx/%u state %d attempts %u next %lld wish %u warned %d given up %d",
                (unsigned long long)row->message, (unsigned)row->number, (int)row->state,
                (unsigned)row->attempts, (long long)row->next_attempt_ms, row->notify,
                row->is_warned, row->is_given_up);
    strbuf_addf(out, " to " BYTES_FMT " of " BYTES_FMT " alias " BYTES_FMT " at " BYTES_FMT,
                BYTES_ARG(row->recipient), BYTES_ARG(row->sender), BYTES_ARG(row->alias),
                BYTES_ARG(row->destination));
    strbuf_addf(out, ": " BYTES_FMT "\n", BYTES_ARG(row->last_reply));
}

static void write_attempt(struct strbuf *out, unsigned number, long long at_ms)
{
    strbuf_addf(out, "    %u tried at %lld\n", number, at_ms);
}

static void write_message(struct strbuf *out, uint64_t id, uint64_t size)
{
    strbuf_addf(out, "  %016llx of %llu octets\n", (unsigned long long)id,
                (unsigned long long)size);
}

static void ledger_write_delivery(const struct ledger_message *message, unsigned number,
                                  struct strbuf *out)
{
    const struct ledger_delivery *delivery = &message->deliveries[number];
    struct spool_delivery row = {
        .message = message->id,
        .number = number,
        .state = delivery->state,
        .attempts = delivery->attempts,
        .next_attempt_ms = delivery->next_attempt_ms,
        .notify = delivery->wish,
        .is_warned = delivery->is_warned,
        .is_given_up = delivery->is_given_up,
        .recipient = BYTES("r@there.example"),
        .sender = BYTES("s@srs.example"),
        .alias = BYTES("a@here.example"),
        .destination = bytes_from_text(ledger_destination(message->id, number)),
        .last_reply = bytes_from_text(delivery->reply),
    };

    write_delivery(out, &row);
}

static void ledger_write_down(const struct ledger *ledger, struct strbuf *out)
{
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_message *message = &ledger->messages[i];

        write_message(out, message->id, message->size);
        strbuf_add(out, ledger_content(message));
        for (unsigned j = 0; j < message->count; j++) {
            if (message->deliveries[j].is_open) {
                ledger_write_delivery(message, j, out);
            }
        }
        for (unsigned j = 0; j < message->count; j++) {
            for (unsigned k = 0; k < message->deliveries[j].attempts; k++) {
                if (message->deliveries[j].is_open) {
                    write_attempt(out, j, message->deliveries[j].history[k]);
                }
            }
        }
    }
    strbuf_addf(out, "setting %s\n", ledger->setting);
}

static void write_content(struct strbuf *out, const struct content *content)
{
    struct bytes octets = content_memory(content);
    char part[16 * 1024];
    size_t got = sizeof(part);

    if (octets.data != NULL) {
        strbuf_add(out, octets);
        return;
    }
    for (uint64_t offset = 0; got == sizeof(part); offset += got) {
        if (!content_read(content, offset, part, sizeof(part), &got)) {
            strbuf_add_text(out, "unreadable\n");
            return;
        }
        strbuf_add(out, bytes_of(part, got));
    }
}

static size_t spool_write_message(struct spool_database *database, uint64_t id,
                                  struct strbuf *out)
{
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count = 0;

    if (spool_database_read_message(database, arena, id, true, &message, &rows, &count) !=
            SPOOL_OK ||
        message.content == NULL) {
        strbuf_addf(out, "%016llx cannot be read\n", (unsigned long long)id);
    } else {
        write_message(out, id, message.content_size);
        write_content(out, message.content);
        if (!bytes_equal(message.envelope, BYTES("envelope")) ||
            !bytes_equal(message.prefix, BYTES("Received: x\r\n"))) {
            strbuf_add_text(out, "with another envelope\n");
        }
        for (size_t i = 0; i < count; i++) {
            write_delivery(out, &rows[i]);
        }
        for (size_t i = 0; i < message.attempt_count; i++) {
            write_attempt(out, message.attempts[i].number, message.attempts[i].at_ms);
        }
    }
    content_drop(&message.content);
    arena_free(&arena);
    return count;
}

static void spool_write_down(struct spool_database *database, struct strbuf *out)
{
    struct arena *arena = arena_new();
    struct spool_position start = {0};
    struct spool_summary summary = {0};
    struct spool_delivery *rows;
    size_t count = 0, told = 0;

    if (spool_database_read_all(database, arena, NULL, &start, 1000, &rows, &count) !=
            SPOOL_OK ||
        spool_database_read_summary(database, arena, &summary) != SPOOL_OK) {
        strbuf_add_text(out, "it cannot be read\n");
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || rows[i].message != rows[i - 1].message) {
            told += spool_write_message(database, rows[i].message, out);
        }
    }
    if (told != count) {
        strbuf_addf(out, "%zu listed, %zu found\n", count, told);
    }
    strbuf_add_text(out, "setting ");
    if (summary.setting_count > 0) {
        strbuf_add(out, summary.settings[0].value);
    }
    strbuf_add_char(out, '\n');
    arena_free(&arena);
}

#endif
