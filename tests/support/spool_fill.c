/*
 * spool_fill - a spool with a backlog, as a bad day leaves it.
 *
 *   spool_fill DIRECTORY COUNT SIZE DESTINATION SHARE DUE_SECONDS ID_BASE
 *
 * COUNT messages of SIZE octets; SHARE percent of them to DESTINATION, the rest to
 * d0000.test ... d9999.test. They came in during the last day, have been tried twice, and are due in
 * DUE_SECONDS (negative: ago). ID_BASE makes the ids of two calls different.
 */
#include "base/memory.h"
#include "io/clock.h"
#include "io/spool_database.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 1000, DESTINATIONS = 10000, DAY_MS = 86400 * 1000 };

struct filler {
    struct spool_database *database;
    struct content *content;
    struct strbuf record;
    struct message_id_source ids;
    const char *destination;
    unsigned share;
    int64_t due_ms;
};

static const char PREFIX[] =
    "Authentication-Results: mx.fwd.test; spf=pass smtp.mailfrom=sender.test\r\n"
    "Received: from client.example (client.example [192.0.2.7])\r\n"
    "\tby mx.fwd.test (postilion) with ESMTP id 0123456789abc;\r\n"
    "\tSun, 22 Nov 2026 00:00:00 +0000\r\n";

static void add_row(struct filler *filler, struct arena *arena, uint64_t place,
                    int64_t created_ms, struct spool_message *message,
                    struct spool_delivery *row)
{
    bool is_main = place * 61 % 100 < filler->share;
    char *name = arena_alloc(arena, 40);

    snprintf(name, 40, "d%04u.test", (unsigned)(place * 7919 % DESTINATIONS));
    *message = (struct spool_message){
        .id = message_id_next(&filler->ids, created_ms),
        .created_ms = created_ms,
        .envelope = strbuf_bytes(&filler->record),
        .prefix = bytes_from_text(PREFIX),
        .content = filler->content,
    };
    *row = (struct spool_delivery){
        .message = message->id,
        .destination = bytes_from_text(is_main ? filler->destination : name),
        .recipient = BYTES("anna@dest.test"),
        .alias = BYTES("info@fwd.test"),
        .sender = BYTES("SRS0=ABCDEFGH=AB=sender.test=anna@srs.fwd.test"),
        .attempts = 2,
        .next_attempt_ms = filler->due_ms + (int64_t)(place % 600000),
        .created_ms = created_ms,
        .last_reply = BYTES("451 4.3.0 try again later, please"),
    };
}

static bool add_batch(struct filler *filler, uint64_t first, size_t count, uint64_t total,
                      int64_t now_ms)
{
    static struct spool_message messages[BATCH];
    static struct spool_delivery rows[BATCH];
    static struct spool_change changes[BATCH];
    struct arena *arena = arena_new();
    struct spool_request request = {.changes = changes, .count = count};
    struct spool_request *requests[] = {&request};

    for (size_t i = 0; i < count; i++) {
        uint64_t place = first + i;
        add_row(filler, arena, place, now_ms - DAY_MS + (int64_t)(place * DAY_MS / total),
                &messages[i], &rows[i]);
        changes[i] = (struct spool_change){.kind = SPOOL_ADD,
                                           .message = &messages[i],
                                           .deliveries = &rows[i],
                                           .delivery_count = 1};
    }
    spool_database_commit(filler->database, requests, 1);
    arena_free(&arena);
    if (spool_database_log_size(filler->database) > 32 * 1024 * 1024) {
        spool_database_checkpoint(filler->database);
    }
    return request.status == SPOOL_OK;
}

static struct content *make_content(size_t size)
{
    static const char HEADER[] = "From: anna@sender.test\r\nSubject: backlog\r\n\r\n";
    struct strbuf text;
    struct content *content;

    strbuf_init(&text, size + 1000);
    strbuf_add_text(&text, HEADER);
    while (text.len < size) {
        strbuf_add_text(&text,
                        "a line of text that says nothing at all, as most of them do\r\n");
    }
    content = content_from_bytes(strbuf_bytes(&text));
    strbuf_clear(&text);
    return content;
}

int main(int argc, char **argv)
{
    struct filler filler = {0};
    struct spool_options options = {0};
    struct envelope envelope = {.kind = ENVELOPE_FORWARD,
                                .sender = BYTES("anna@sender.test"),
                                .client_ip = BYTES("192.0.2.7"),
                                .client_helo = BYTES("client.example"),
                                .session = BYTES("0123456789abcd")};
    enum spool_status status;
    struct strbuf why;
    bool is_filled = true;

    if (argc != 8) {
        fputs("usage: spool_fill DIRECTORY COUNT SIZE DESTINATION SHARE DUE_SECONDS ID_BASE\n",
              stderr);
        return 2;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    int64_t now_ms = clock_unix_ms();

    options.directory = argv[1];
    strbuf_init(&why, 4096);
    filler.database = spool_database_open(&options, &status, &why);
    if (filler.database == NULL) {
        fprintf(stderr, "spool_fill: %s\n", strbuf_text(&why));
        return 1;
    }
    filler.content = make_content(strtoull(argv[3], NULL, 10));
    filler.destination = argv[4];
    filler.share = (unsigned)strtoul(argv[5], NULL, 10);
    filler.due_ms = now_ms + 1000 * strtoll(argv[6], NULL, 10);
    filler.ids.loop = (unsigned)strtoul(argv[7], NULL, 10);
    strbuf_init(&filler.record, 4096);
    envelope_record_write(&filler.record, &envelope);
    for (uint64_t at = 0; is_filled && at < count; at += BATCH) {
        size_t batch = count - at < BATCH ? (size_t)(count - at) : BATCH;
        is_filled = add_batch(&filler, at, batch, count, now_ms);
    }
    content_drop(&filler.content);
    strbuf_clear(&filler.record);
    strbuf_clear(&why);
    spool_database_close(&filler.database);
    return is_filled ? 0 : 1;
}
