#include "support/check.h"

#include "base/memory.h"
#include "io/disk.h"
#include "io/spool_database.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct place {
    char directory[40];
    char database[60];
    struct strbuf why;
    enum spool_status status;
};

static struct place make_place(void)
{
    struct place place = {.directory = "/tmp/test-spool-XXXXXX"};

    assert_non_null(mkdtemp(place.directory));
    snprintf(place.database, sizeof(place.database), "%s/spool.db", place.directory);
    strbuf_init(&place.why, 1000);
    return place;
}

static void remove_place(struct place *place)
{
    char command[80];

    snprintf(command, sizeof(command), "rm -rf %s", place->directory);
    assert_int_equal(system(command), 0);
    strbuf_clear(&place->why);
}

static struct spool_database *open_in(struct place *place)
{
    struct spool_options options = {.directory = place->directory};

    strbuf_reset(&place->why);
    return spool_database_open(&options, &place->status, &place->why);
}

static struct spool_database *open_well(struct place *place)
{
    struct spool_database *database = open_in(place);

    if (database == NULL) {
        fail_msg("not opened: %s", strbuf_text(&place->why));
    }
    return database;
}

static enum spool_status commit(struct spool_database *database,
                                const struct spool_change *changes, size_t count)
{
    struct spool_request request = {.changes = changes, .count = count};
    struct spool_request *requests[] = {&request};

    spool_database_commit(database, requests, 1);
    return request.status;
}

static enum spool_status add(struct spool_database *database, uint64_t id,
                             const char *destination, int64_t due_ms, uint32_t deliveries,
                             struct content *content)
{
    struct spool_message message = {.id = id,
                                    .created_ms = 77,
                                    .envelope = BYTES("an \0 envelope"),
                                    .prefix = BYTES("Received: x\r\n"),
                                    .content = content};
    struct spool_delivery rows[8] = {{0}};
    struct spool_change change = {.kind = SPOOL_ADD,
                                  .message = &message,
                                  .deliveries = rows,
                                  .delivery_count = deliveries};

    for (uint32_t i = 0; i < deliveries; i++) {
        rows[i] = (struct spool_delivery){.message = id,
                                          .number = i,
                                          .destination = bytes_from_text(destination),
                                          .recipient = BYTES("r@d.example"),
                                          .alias = BYTES("a@us.example"),
                                          .sender = BYTES("s@us.example"),
                                          .next_attempt_ms = due_ms + i};
    }
    return commit(database, &change, 1);
}

static enum spool_status close_one(struct spool_database *database, uint64_t id,
                                   uint32_t number)
{
    struct spool_change change = {.kind = SPOOL_CLOSE, .id = id, .number = number};

    return commit(database, &change, 1);
}

static size_t count_files(const struct place *place)
{
    char path[60];
    DIR *names;
    size_t count = 0;

    snprintf(path, sizeof(path), "%s/content", place->directory);
    names = opendir(path);
    assert_non_null(names);
    for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(names);
    return count;
}

static struct content *small_content(void)
{
    return content_from_bytes(BYTES("Subject: x\r\n\r\nbody\r\n"));
}

static struct content *large_content(size_t size)
{
    char *octets = memory_alloc(size);
    struct content *content;

    for (size_t i = 0; i < size; i++) {
        octets[i] = (char)(i * 31 + i / 256);
    }
    content = content_from_bytes(bytes_of(octets, size));
    free(octets);
    return content;
}

/* ---- tests ---- */

static void message_comes_back(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    CHECK_INT("add", add(database, UINT64_MAX - 5, "d.example", 1000, 2, content), SPOOL_OK);
    spool_database_close(&database);
    database = open_well(&place);
    CHECK_INT("read",
              spool_database_read_message(database, arena, UINT64_MAX - 5, true, &message,
                                          &rows, &count),
              SPOOL_OK);
    CHECK_INT("created", message.created_ms, 77);
    CHECK_BYTES("envelope", message.envelope, BYTES("an \0 envelope"));
    CHECK_BYTES("prefix", message.prefix, BYTES("Received: x\r\n"));
    CHECK_BYTES("content", content_memory(message.content), content_memory(content));
    CHECK_INT("size", message.content_size, content_size(content));
    CHECK_INT("rows", count, 2);
    CHECK_INT("number", rows[1].number, 1);
    CHECK_INT("id", rows[1].message == UINT64_MAX - 5, 1);
    CHECK_INT("due", rows[1].next_attempt_ms, 1001);
    CHECK_BYTES("recipient", rows[1].recipient, BYTES("r@d.example"));
    CHECK_BYTES("alias", rows[1].alias, BYTES("a@us.example"));
    CHECK_BYTES("sender", rows[1].sender, BYTES("s@us.example"));
    CHECK_INT("created of row", rows[1].created_ms, 77);
    CHECK_INT("size of row", rows[1].content_size, content_size(content));
    CHECK_INT("messages", spool_database_count(database).messages, 1);
    CHECK_INT("deliveries", spool_database_count(database).deliveries, 2);
    content_drop(&message.content);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void message_goes_with_its_last_delivery(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = large_content(1024 * 1024);
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    CHECK_INT("add", add(database, 9, "d.example", 1000, 2, content), SPOOL_OK);
    CHECK_INT("file", count_files(&place), 1);
    CHECK_INT("close 1", close_one(database, 9, 1), SPOOL_OK);
    CHECK_INT("close 1 again", close_one(database, 9, 1), SPOOL_GONE);
    CHECK_INT("file stays", count_files(&place), 1);
    CHECK_INT("close 0", close_one(database, 9, 0), SPOOL_OK);
    CHECK_INT("file is gone", count_files(&place), 0);
    CHECK_INT("gone",
              spool_database_read_message(database, arena, 9, true, &message, &rows, &count),
              SPOOL_GONE);
    CHECK_INT("messages", spool_database_count(database).messages, 0);
    CHECK_INT("deliveries", spool_database_count(database).deliveries, 0);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

/* What streamed in is a file without a name; it gets one. */
static void spilled_content_survives(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = content_new(place.directory);
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count, got;
    char part[4096], back[4096];

    (void)state;
    for (int i = 0; i < 256; i++) {
        memset(part, i, sizeof(part));
        CHECK_INT("append", content_append(content, bytes_of(part, sizeof(part))), CONTENT_OK);
    }
    CHECK_INT("seal", content_seal(content), CONTENT_OK);
    CHECK_TRUE("it is a file", content_file(content) >= 0);
    CHECK_INT("add", add(database, 10, "d.example", 1000, 1, content), SPOOL_OK);
    content_drop(&content);
    spool_database_close(&database);
    database = open_well(&place);
    CHECK_INT("read",
              spool_database_read_message(database, arena, 10, true, &message, &rows, &count),
              SPOOL_OK);
    CHECK_INT("size", content_size(message.content), sizeof(part) * 256);
    for (size_t i = 0; i < 256; i++) {
        memset(part, (int)i, sizeof(part));
        CHECK_TRUE("read",
                   content_read(message.content, i * sizeof(part), back, sizeof(back), &got));
        CHECK_INT("whole", got, sizeof(back));
        CHECK_INT("same", memcmp(part, back, sizeof(part)), 0);
    }
    content_drop(&message.content);
    CHECK_INT("delete",
              commit(database, &(struct spool_change){.kind = SPOOL_DELETE, .id = 10}, 1),
              SPOOL_OK);
    CHECK_INT("files", count_files(&place), 0);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void orphans_go_at_the_start(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = large_content(300000);
    char path[90];

    (void)state;
    CHECK_INT("add", add(database, 11, "d.example", 1000, 1, content), SPOOL_OK);
    spool_database_close(&database);
    snprintf(path, sizeof(path), "%s/content/%016x", place.directory, 12);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/content/README", place.directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    database = open_well(&place);
    CHECK_INT("what is used and what is not ours stays", count_files(&place), 2);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

static void what_is_gone_spoils_nothing_else(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct spool_change changes[] = {{.kind = SPOOL_CLOSE, .id = 1},
                                     {.kind = SPOOL_CLOSE, .id = 99}};
    struct spool_change closes_2 = {.kind = SPOOL_CLOSE, .id = 2};
    struct spool_request first = {.changes = changes, .count = 2};
    struct spool_request second = {.changes = &closes_2, .count = 1};
    struct spool_request *requests[] = {&first, &second};

    (void)state;
    CHECK_INT("add", add(database, 1, "d", 1, 1, content), SPOOL_OK);
    CHECK_INT("add", add(database, 2, "d", 1, 1, content), SPOOL_OK);
    spool_database_commit(database, requests, 2);
    CHECK_INT("one of it was there", first.status, SPOOL_OK);
    CHECK_INT("the other is not harmed", second.status, SPOOL_OK);
    CHECK_INT("left", spool_database_count(database).messages, 0);
    CHECK_INT("nothing of it is there", commit(database, changes, 2), SPOOL_GONE);
    CHECK_INT("add", add(database, 1, "d", 1, 1, content), SPOOL_OK);
    CHECK_INT("an id twice", add(database, 1, "d", 1, 1, content), SPOOL_FAILED);
    CHECK_INT("1 is still there", close_one(database, 1, 0), SPOOL_OK);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

/* A report comes with the end of what it tells of, once: not when an operator deleted all of it, and not
 * again when a commit that was answered as failed had happened. */
static void report_comes_once(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct spool_message report = {.id = 7, .created_ms = 1, .content = content};
    struct spool_delivery row = {.message = 7, .destination = BYTES("r.example")};
    struct spool_delivery put_off = {.message = 2, .destination = BYTES("d")};
    uint64_t added = 0;
    struct spool_change changes[] = {{.kind = SPOOL_CLOSE, .id = 1},
                                     {.kind = SPOOL_CLOSE, .id = 99},
                                     {.kind = SPOOL_ADD,
                                      .id = 7,
                                      .message = &report,
                                      .deliveries = &row,
                                      .delivery_count = 1,
                                      .affected = &added}};
    struct spool_change late[] = {
        {.kind = SPOOL_UPDATE, .id = 2, .deliveries = &put_off, .delivery_count = 1},
        changes[2]};

    (void)state;
    report.content_size = content_size(content);
    CHECK_INT("add", add(database, 1, "d", 1, 1, content), SPOOL_OK);
    CHECK_INT("add", add(database, 2, "d", 1, 1, content), SPOOL_OK);
    CHECK_INT("one is gone", commit(database, changes, 3), SPOOL_OK);
    CHECK_INT("report", added, 1);
    added = 0;
    CHECK_INT("again", commit(database, changes, 3), SPOOL_GONE);
    CHECK_INT("no report", added, 0);
    CHECK_INT("late, the report is there", commit(database, late, 2), SPOOL_OK);
    CHECK_INT("report", added, 1);
    CHECK_INT("it goes", close_one(database, 7, 0), SPOOL_OK);
    added = 0;
    CHECK_INT("all gone", commit(database, changes, 3), SPOOL_GONE);
    CHECK_INT("no report", added, 0);
    CHECK_INT("left", spool_database_count(database).messages, 1);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

/* Two refused targets of one alias: one copy goes to its fallback. */
static void fallback_is_taken_once(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_message message = {.id = 1, .created_ms = 1, .content = content};
    struct spool_delivery deliveries[3], to[2];
    struct spool_change adding = {
        .kind = SPOOL_ADD, .message = &message, .deliveries = deliveries, .delivery_count = 3};
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    message.content_size = content_size(content);
    for (uint32_t i = 0; i < 3; i++) {
        deliveries[i] = (struct spool_delivery){.message = 1,
                                                .number = i,
                                                .destination = BYTES("a.example"),
                                                .recipient = BYTES("x@a.example"),
                                                .fallback = i == 2 ? BYTES("other@b.example")
                                                                   : BYTES("box@b.example")};
    }
    CHECK_INT("add", commit(database, &adding, 1), SPOOL_OK);
    for (uint32_t i = 0; i < 2; i++) {
        struct spool_change redirect = {
            .kind = SPOOL_UPDATE, .deliveries = &to[i], .delivery_count = 1};
        to[i] = (struct spool_delivery){.message = 1,
                                        .number = i,
                                        .destination = BYTES("b.example"),
                                        .recipient = BYTES("box@b.example")};
        CHECK_INT("redirect", commit(database, &redirect, 1), SPOOL_OK);
    }
    spool_database_read_all(database, arena, NULL, &(struct spool_position){0}, 100, &rows,
                            &count);
    CHECK_INT("the second is closed", count, 2);
    CHECK_BYTES("the first goes there", rows[0].recipient, BYTES("box@b.example"));
    CHECK_BYTES("and nowhere else", rows[0].fallback, BYTES(""));
    CHECK_INT("the third", rows[1].number, 2);
    CHECK_BYTES("has another one", rows[1].fallback, BYTES("other@b.example"));
    CHECK_INT("counted", spool_database_count(database).deliveries, 2);
    arena_free(&arena);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

static void unbounced_rows_by_age(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    for (uint64_t id = 1; id <= 4; id++) {
        struct spool_delivery row = {.message = id,
                                     .state = id == 4 ? SPOOL_HELD : SPOOL_UNBOUNCED,
                                     .destination = BYTES("a.example"),
                                     .next_attempt_ms = 5000 + (int64_t)id};
        struct spool_change hold = {
            .kind = SPOOL_UPDATE, .deliveries = &row, .delivery_count = 1};

        CHECK_INT("add", add(database, id, "a.example", 1, 1, content), SPOOL_OK);
        CHECK_INT("hold", commit(database, &hold, 1), SPOOL_OK);
    }
    CHECK_INT("read", spool_database_read_unbounced(database, arena, 5003, 10, &rows, &count),
              SPOOL_OK);
    CHECK_INT("neither 3, which is younger, nor 4, which an operator has", count, 2);
    CHECK_INT("oldest first", rows[0].message, 1);
    CHECK_INT("state", rows[0].state, SPOOL_UNBOUNCED);
    spool_database_read_unbounced(database, arena, 9000, 1, &rows, &count);
    CHECK_INT("limit", count, 1);
    for (uint64_t id = 1; id <= 4; id += 3) {
        struct spool_change over = {.kind = SPOOL_CLOSE, .id = id, .is_hold_over = true};
        CHECK_INT("what an operator has stays", commit(database, &over, 1),
                  id == 1 ? SPOOL_OK : SPOOL_GONE);
    }
    CHECK_INT("not due",
              spool_database_read_due(database, arena, BYTES("a.example"),
                                      &(struct spool_position){0}, 9000, 9, &rows, &count),
              SPOOL_OK);
    CHECK_INT("none", count, 0);
    arena_free(&arena);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

static void due_rows_by_destination(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_destination *destinations;
    struct spool_delivery *rows;
    struct spool_delivery held = {.message = 20,
                                  .number = 0,
                                  .state = SPOOL_HELD,
                                  .destination = BYTES("held.example"),
                                  .next_attempt_ms = 1};
    struct spool_change hold = {.kind = SPOOL_UPDATE, .deliveries = &held, .delivery_count = 1};
    size_t count;

    (void)state;
    for (uint64_t i = 1; i <= 10; i++) {
        CHECK_INT("add",
                  add(database, i, i % 2 ? "a.example" : "b.example", (int64_t)(1000 - i), 1,
                      content),
                  SPOOL_OK);
    }
    CHECK_INT("add", add(database, 20, "held.example", 1, 1, content), SPOOL_OK);
    CHECK_INT("hold", commit(database, &hold, 1), SPOOL_OK);
    CHECK_INT("add", add(database, 21, "late.example", 5000, 1, content), SPOOL_OK);

    CHECK_INT("destinations",
              spool_database_read_destinations(database, arena, BYTES(""), 2000, 10,
                                               &destinations, &count),
              SPOOL_OK);
    CHECK_INT("two", count, 2);
    CHECK_BYTES("first", destinations[0].name, BYTES("a.example"));
    CHECK_INT("earliest", destinations[0].earliest_ms, 991);
    CHECK_INT("after",
              spool_database_read_destinations(database, arena, BYTES("a.example"), 6000, 10,
                                               &destinations, &count),
              SPOOL_OK);
    CHECK_INT("two", count, 2);
    CHECK_BYTES("second", destinations[1].name, BYTES("late.example"));

    CHECK_INT("due",
              spool_database_read_due(database, arena, BYTES("a.example"),
                                      &(struct spool_position){0}, 998, 2, &rows, &count),
              SPOOL_OK);
    CHECK_INT("limit", count, 2);
    CHECK_INT("oldest attempt first", rows[0].message, 9);
    CHECK_INT("due, on",
              spool_database_read_due(
                  database, arena, BYTES("a.example"),
                  &(struct spool_position){rows[1].next_attempt_ms, rows[1].message, 0}, 998, 9,
                  &rows, &count),
              SPOOL_OK);
    CHECK_INT("5 and 3, not 1", count, 2);
    CHECK_INT("5", rows[0].message, 5);

    CHECK_INT("held",
              spool_database_read_due(database, arena, BYTES("held.example"),
                                      &(struct spool_position){0}, 998, 9, &rows, &count),
              SPOOL_OK);
    CHECK_INT("held is not due", count, 0);
    CHECK_INT(
        "retry",
        commit(database, &(struct spool_change){.kind = SPOOL_RETRY, .id = 20, .now_ms = 5}, 1),
        SPOOL_OK);
    spool_database_read_due(database, arena, BYTES("held.example"), &(struct spool_position){0},
                            998, 9, &rows, &count);
    CHECK_INT("now it is", count, 1);
    CHECK_INT("retry of a destination",
              commit(database,
                     &(struct spool_change){.kind = SPOOL_RETRY,
                                            .destination = BYTES("late.example"),
                                            .now_ms = 6},
                     1),
              SPOOL_OK);
    spool_database_read_due(database, arena, BYTES("late.example"), &(struct spool_position){0},
                            998, 9, &rows, &count);
    CHECK_INT("late is due now", count, 1);
    CHECK_INT("retry of nothing",
              commit(database, &(struct spool_change){.kind = SPOOL_RETRY, .id = 777}, 1),
              SPOOL_GONE);

    CHECK_INT("all",
              spool_database_read_all(database, arena, NULL, &(struct spool_position){0}, 100,
                                      &rows, &count),
              SPOOL_OK);
    CHECK_INT("all", count, 12);
    spool_database_read_all(database, arena, NULL, &(struct spool_position){.message = 9}, 2,
                            &rows, &count);
    CHECK_INT("behind 9", rows[0].message, 10);
    CHECK_INT("limit", count, 2);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void update_changes_one_delivery(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_delivery *rows;
    struct spool_delivery later = {.message = 5,
                                   .number = 1,
                                   .destination = BYTES("other.example"),
                                   .attempts = 3,
                                   .next_attempt_ms = 99,
                                   .last_reply = BYTES("451 try \xff later")};
    struct spool_change change = {
        .kind = SPOOL_UPDATE, .deliveries = &later, .delivery_count = 1};
    size_t count;

    (void)state;
    CHECK_INT("add", add(database, 5, "d.example", 1, 2, content), SPOOL_OK);
    CHECK_INT("update", commit(database, &change, 1), SPOOL_OK);
    spool_database_read_all(database, arena, NULL, &(struct spool_position){0}, 100, &rows,
                            &count);
    CHECK_INT("rows", count, 2);
    CHECK_BYTES("not this", rows[0].destination, BYTES("d.example"));
    CHECK_BYTES("destination", rows[1].destination, BYTES("other.example"));
    CHECK_INT("attempts", rows[1].attempts, 3);
    CHECK_INT("next", rows[1].next_attempt_ms, 99);
    CHECK_BYTES("reply", rows[1].last_reply, BYTES("451 try \xff later"));
    CHECK_BYTES("recipient stays", rows[1].recipient, BYTES("r@d.example"));
    later.number = 7;
    CHECK_INT("no such", commit(database, &change, 1), SPOOL_GONE);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void second_opener_is_refused(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    sqlite3 *other = NULL;
    char copy[80];
    pid_t child;
    int result;

    (void)state;
    CHECK_TRUE("refused", open_in(&place) == NULL);
    CHECK_INT("locked", place.status, SPOOL_LOCKED);
    CHECK_TRUE("says who", strstr(strbuf_text(&place.why), "in use") != NULL);
    child = fork();
    if (child == 0) { /* an administrator's sqlite3 must not touch a log it does not know of */
        snprintf(copy, sizeof(copy), "file:%s?vfs=unix", place.database);
        sqlite3_open_v2(copy, &other, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL);
        _exit(sqlite3_exec(other, "SELECT * FROM message", NULL, NULL, NULL) & 0xff);
    }
    waitpid(child, &result, 0);
    CHECK_INT("busy for sqlite3 too", WEXITSTATUS(result), SQLITE_BUSY);
    spool_database_close(&database);
    database = open_well(&place);
    spool_database_close(&database);
    remove_place(&place);
}

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *data = memory_alloc(1 << 20);

    assert_non_null(file);
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

static void write_at(const char *path, long offset, const char *data, size_t size)
{
    FILE *file = fopen(path, "r+b");

    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    fwrite(data, 1, size, file);
    fclose(file);
}

static void fill(struct place *place)
{
    struct spool_database *database = open_well(place);
    struct content *content = small_content();

    for (uint64_t i = 1; i <= 200; i++) {
        CHECK_INT("add", add(database, i, "d.example", 1, 1, content), SPOOL_OK);
    }
    content_drop(&content);
    spool_database_close(&database);
}

static void damage_is_reported_and_left_alone(void **state)
{
    const struct {
        const char *name;
        long offset;
        const char *data;
        size_t size;
    } cases[] = {
        {"the header", 0, "this is not a database", 22},
        {"the schema's page", 100, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
        {"a page of a table", 4096 * 3, "\xff\x01\x02\x03\xff\xff\xff\xff\xff\xff", 10},
        {"cells of a page", 4096 * 8 + 8, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
         12},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct place place = make_place();
        size_t size, size_after;
        char *before, *after;

        fill(&place);
        write_at(place.database, cases[i].offset, cases[i].data, cases[i].size);
        before = read_whole(place.database, &size);
        if (open_in(&place) != NULL) {
            fail_msg("%s: opened", cases[i].name);
        }
        CHECK_INT(cases[i].name, place.status, SPOOL_DAMAGED);
        CHECK_TRUE(cases[i].name, place.why.len > 0);
        after = read_whole(place.database, &size_after);
        CHECK_BYTES(cases[i].name, bytes_of(after, size_after), bytes_of(before, size));
        free(before);
        free(after);
        remove_place(&place);
    }
}

/* Damage that comes to light in the run: the content's checksum. */
static void damage_found_later_stops_everything(void **state)
{
    struct place place = make_place();
    struct spool_database *database;
    struct arena *arena = arena_new();
    struct content *content = small_content();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t size, count, size_after, at;
    char *data, *after;

    (void)state;
    fill(&place);
    data = read_whole(place.database, &size);
    for (at = 0; at < size; at++) {
        if (bytes_starts_with(bytes_of(data + at, size - at),
                              BYTES("Subject: x\r\n\r\nbody"))) {
            write_at(place.database, (long)at, "Subject: y", 10);
        }
    }
    free(data);
    data = read_whole(place.database, &size);
    database = open_well(&place);
    for (uint64_t id = 1; id <= 200; id++) {
        place.status =
            spool_database_read_message(database, arena, id, true, &message, &rows, &count);
        content_drop(&message.content);
        if (place.status != SPOOL_OK) {
            break;
        }
    }
    CHECK_INT("found", place.status, SPOOL_DAMAGED);
    CHECK_INT("add", add(database, 1000, "d.example", 1, 1, content), SPOOL_DAMAGED);
    spool_database_close(&database);
    after = read_whole(place.database, &size_after);
    CHECK_BYTES("untouched", bytes_of(after, size_after), bytes_of(data, size));
    free(data);
    free(after);
    content_drop(&content);
    arena_free(&arena);
    remove_place(&place);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *connection = NULL;

    assert_int_equal(
        sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
}

static void other_versions_are_refused(void **state)
{
    struct place place = make_place();

    (void)state;
    fill(&place);
    run_sql(place.database, "PRAGMA user_version=3");
    CHECK_TRUE("newer", open_in(&place) == NULL);
    CHECK_INT("newer", place.status, SPOOL_FAILED);
    CHECK_TRUE("says so", strstr(strbuf_text(&place.why), "newer release") != NULL);
    run_sql(place.database, "PRAGMA user_version=2");
    run_sql(place.database, "PRAGMA application_id=7");
    CHECK_TRUE("foreign", open_in(&place) == NULL);
    CHECK_INT("foreign", place.status, SPOOL_DAMAGED);
    remove_place(&place);
}

/* As the releases with schema version 1 made it, with one message of two deliveries. */
static const char VERSION_1[] =
    "PRAGMA page_size=4096;PRAGMA journal_mode=WAL;"
    "BEGIN;"
    "CREATE TABLE message("
    " id INTEGER PRIMARY KEY, created INTEGER NOT NULL, size INTEGER NOT NULL,"
    " is_file INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " envelope BLOB NOT NULL, prefix BLOB NOT NULL, content BLOB);"
    "CREATE TABLE delivery("
    " message INTEGER NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL, created INTEGER NOT NULL,"
    " destination TEXT NOT NULL, recipient TEXT NOT NULL, alias TEXT NOT NULL,"
    " sender TEXT NOT NULL, last_reply TEXT NOT NULL,"
    " PRIMARY KEY(message, number)) WITHOUT ROWID;"
    "CREATE INDEX due ON delivery(destination, state, next_attempt, message, number);"
    "PRAGMA application_id=1349481332;"
    "PRAGMA user_version=1;"
    "INSERT INTO message VALUES(-9223372036854775803, 1000, 5, 0, 0, 'envelope', 'prefix',"
    " 'hello');"
    "INSERT INTO delivery VALUES(-9223372036854775803, 0, 0, 3, 2000, 1000, 'd.example',"
    " 'r@d.example', 'a@us.example', 's@us.example', '450 later');"
    "INSERT INTO delivery VALUES(-9223372036854775803, 1, 1, 0, 1000, 1000, 'e.example',"
    " 'r@e.example', 'b@us.example', '', 'held');"
    "COMMIT;";

static void schema_text(const char *path, struct strbuf *out)
{
    static const char query[] =
        "SELECT m.name || ':' || group_concat(c.name || c.type || c.[notnull] || c.pk)"
        " FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type='table'"
        " GROUP BY m.name UNION ALL SELECT name || sql FROM sqlite_schema WHERE type='index'"
        " AND sql IS NOT NULL ORDER BY 1";
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY, "unix"),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, query, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        strbuf_addf(out, "%s\n", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    sqlite3_close(connection);
}

static void check_same_schema(const struct place *upgraded)
{
    struct place fresh = make_place();
    struct spool_database *database = open_well(&fresh);
    struct strbuf got, want;

    spool_database_close(&database);
    strbuf_init(&got, 10000);
    strbuf_init(&want, 10000);
    schema_text(upgraded->database, &got);
    schema_text(fresh.database, &want);
    CHECK_TRUE("there is a schema", want.len > 300);
    CHECK_BYTES("as if made new", strbuf_bytes(&got), strbuf_bytes(&want));
    strbuf_clear(&got);
    strbuf_clear(&want);
    remove_place(&fresh);
}

static void older_versions_are_upgraded(void **state)
{
    struct place place = make_place();
    struct spool_database *database;
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    run_sql(place.database, VERSION_1);
    database = open_well(&place);
    CHECK_INT("messages", spool_database_count(database).messages, 1);
    CHECK_INT("read",
              spool_database_read_message(database, arena, 5, false, &message, &rows, &count),
              SPOOL_OK);
    CHECK_BYTES("envelope", message.envelope, BYTES("envelope"));
    CHECK_INT("deliveries", count, 2);
    CHECK_INT("attempts", rows[0].attempts, 3);
    CHECK_INT("next", rows[0].next_attempt_ms, 2000);
    CHECK_BYTES("reply", rows[0].last_reply, BYTES("450 later"));
    CHECK_INT("held", rows[1].state, SPOOL_HELD);
    CHECK_INT("no wish", rows[0].notify, 0);
    CHECK_BYTES("no fallback", rows[0].fallback, BYTES(""));
    CHECK_INT("no history", message.attempt_count, 0);
    CHECK_INT("close", close_one(database, 5, 0), SPOOL_OK);
    spool_database_close(&database);
    check_same_schema(&place);
    database = open_well(&place);
    CHECK_INT("deliveries", spool_database_count(database).deliveries, 1);
    spool_database_close(&database);
    arena_free(&arena);
    remove_place(&place);
}

static void columns_come_back(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_delivery row = {.number = 3,
                                 .notify = 5,
                                 .orcpt = BYTES("rfc822;a"),
                                 .recipient = BYTES("r@d.example"),
                                 .sender = BYTES("s@us.example"),
                                 .fallback = BYTES("f@d.example")};
    struct spool_message message = {.id = 5, .content = content};
    struct spool_change change = {
        .kind = SPOOL_ADD, .message = &message, .deliveries = &row, .delivery_count = 1};
    struct spool_delivery later = {.message = 5,
                                   .number = 3,
                                   .state = SPOOL_HELD,
                                   .destination = BYTES("d"),
                                   .is_warned = true};
    struct spool_change update = {
        .kind = SPOOL_UPDATE, .deliveries = &later, .delivery_count = 1};
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    CHECK_INT("add", commit(database, &change, 1), SPOOL_OK);
    spool_database_read_message(database, arena, 5, false, &message, &rows, &count);
    CHECK_INT("notify", rows[0].notify, 5);
    CHECK_BYTES("orcpt", rows[0].orcpt, BYTES("rfc822;a"));
    CHECK_BYTES("fallback", rows[0].fallback, BYTES("f@d.example"));
    CHECK_INT("not warned", rows[0].is_warned, false);

    CHECK_INT("update", commit(database, &update, 1), SPOOL_OK);
    later = (struct spool_delivery){.message = 5, .number = 3, .destination = BYTES("d")};
    CHECK_INT("update", commit(database, &update, 1), SPOOL_OK);
    spool_database_read_message(database, arena, 5, false, &message, &rows, &count);
    CHECK_INT("stays warned", rows[0].is_warned, true);
    CHECK_INT("stays held", rows[0].state, SPOOL_HELD);
    CHECK_BYTES("recipient", rows[0].recipient, BYTES("r@d.example"));
    CHECK_BYTES("fallback", rows[0].fallback, BYTES("f@d.example"));

    later.recipient = BYTES("f@d.example");
    later.sender = BYTES("new@us.example");
    CHECK_INT("redirect", commit(database, &update, 1), SPOOL_OK);
    spool_database_read_message(database, arena, 5, false, &message, &rows, &count);
    CHECK_BYTES("recipient", rows[0].recipient, BYTES("f@d.example"));
    CHECK_BYTES("sender", rows[0].sender, BYTES("new@us.example"));
    CHECK_BYTES("fallback", rows[0].fallback, BYTES(""));
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static int64_t count_rows(const char *path, const char *table)
{
    char query[60];
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t count = -1;

    snprintf(query, sizeof(query), "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY, "unix"),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, query, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        count = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return count;
}

static void attempts_are_kept_and_bounded(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    CHECK_INT("add", add(database, 5, "d", 1, 2, content), SPOOL_OK);
    CHECK_INT("add", add(database, 6, "d", 1, 1, content), SPOOL_OK);
    for (uint32_t i = 1; i <= 25; i++) {
        struct spool_delivery row = {.message = 5, .number = 1, .attempts = i};
        struct spool_attempt attempt = {
            .at_ms = 1000 + i, .host = BYTES("mx.d"), .reply = BYTES("450 later")};
        struct spool_change update = {
            .kind = SPOOL_UPDATE, .deliveries = &row, .delivery_count = 1, .attempt = &attempt};

        CHECK_INT("update", commit(database, &update, 1), SPOOL_OK);
        row.message = 6;
        row.number = 0;
        CHECK_INT("update", commit(database, &update, 1), SPOOL_OK);
    }
    CHECK_INT("read",
              spool_database_read_message(database, arena, 5, false, &message, &rows, &count),
              SPOOL_OK);
    CHECK_INT("the last", message.attempt_count, SPOOL_ATTEMPTS);
    CHECK_INT("number", message.attempts[0].number, 1);
    CHECK_INT("oldest first", message.attempts[0].at_ms, 1006);
    CHECK_INT("newest last", message.attempts[19].at_ms, 1025);
    CHECK_BYTES("host", message.attempts[0].host, BYTES("mx.d"));
    CHECK_BYTES("reply", message.attempts[0].reply, BYTES("450 later"));
    CHECK_INT("close", close_one(database, 5, 1), SPOOL_OK);
    CHECK_INT("delete",
              commit(database, &(struct spool_change){.kind = SPOOL_DELETE, .id = 6}, 1),
              SPOOL_OK);
    spool_database_close(&database);
    CHECK_INT("none is left", count_rows(place.database, "attempt"), 0);
    CHECK_INT("but its message", count_rows(place.database, "delivery"), 1);
    content_drop(&content);
    arena_free(&arena);
    remove_place(&place);
}

/* What one delivery or one message is asked to become; `want` rows are affected. */
static void operators_change_rows(void **state)
{
    const struct {
        const char *name;
        enum spool_change_kind kind;
        uint64_t id;
        bool is_one;
        uint32_t number;
        enum spool_status status;
        uint64_t want;
        enum spool_state first, second; /* of message 5 afterwards */
    } cases[] = {
        {"hold one", SPOOL_HOLD, 5, true, 1, SPOOL_OK, 1, SPOOL_DUE, SPOOL_HELD},
        {"again", SPOOL_HOLD, 5, true, 1, SPOOL_OK, 0, SPOOL_DUE, SPOOL_HELD},
        {"retry leaves what is held", SPOOL_RETRY, 5, true, 1, SPOOL_OK, 0, SPOOL_DUE,
         SPOOL_HELD},
        {"retry of all", SPOOL_RETRY, 5, false, 0, SPOOL_OK, 2, SPOOL_DUE, SPOOL_DUE},
        {"hold all", SPOOL_HOLD, 5, false, 0, SPOOL_OK, 2, SPOOL_HELD, SPOOL_HELD},
        {"hold all again", SPOOL_HOLD, 5, false, 0, SPOOL_OK, 0, SPOOL_HELD, SPOOL_HELD},
        {"release one", SPOOL_RELEASE, 5, true, 0, SPOOL_OK, 1, SPOOL_DUE, SPOOL_HELD},
        {"release all", SPOOL_RELEASE, 5, false, 0, SPOOL_OK, 1, SPOOL_DUE, SPOOL_DUE},
        {"one that is gone", SPOOL_HOLD, 5, true, 7, SPOOL_OK, 0, SPOOL_DUE, SPOOL_DUE},
        {"a message that is gone", SPOOL_RELEASE, 9, false, 0, SPOOL_GONE, 0, SPOOL_DUE,
         SPOOL_DUE},
        {"delete one that is gone", SPOOL_DELETE, 9, true, 0, SPOOL_OK, 0, SPOOL_DUE,
         SPOOL_DUE},
        {"give up", SPOOL_GIVE_UP, 5, true, 0, SPOOL_OK, 1, SPOOL_DUE, SPOOL_DUE},
    };
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    CHECK_INT("add", add(database, 5, "d", 1, 2, content), SPOOL_OK);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t affected = 99;
        struct spool_change change = {.kind = cases[i].kind,
                                      .id = cases[i].id,
                                      .is_one = cases[i].is_one,
                                      .number = cases[i].number,
                                      .value = BYTES("wait"),
                                      .now_ms = 4000 + (int64_t)i,
                                      .affected = &affected};

        CHECK_INT(cases[i].name, commit(database, &change, 1), cases[i].status);
        CHECK_INT(cases[i].name, affected, cases[i].want);
        spool_database_read_message(database, arena, 5, false, &message, &rows, &count);
        CHECK_INT(cases[i].name, rows[0].state, cases[i].first);
        CHECK_INT(cases[i].name, rows[1].state, cases[i].second);
    }
    CHECK_INT("released at", rows[1].next_attempt_ms, 4007);
    CHECK_INT("given up at", rows[0].next_attempt_ms, 4011);
    CHECK_INT("given up", rows[0].is_given_up, true);
    CHECK_INT("and only that", rows[1].is_given_up, false);
    CHECK_BYTES("why it was held", rows[1].last_reply, BYTES("wait"));
    CHECK_INT("delete one",
              commit(database,
                     &(struct spool_change){.kind = SPOOL_DELETE, .id = 5, .is_one = true}, 1),
              SPOOL_OK);
    CHECK_INT("deliveries", spool_database_count(database).deliveries, 1);
    CHECK_INT("messages", spool_database_count(database).messages, 1);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static bool is_even(const void *context, const struct spool_delivery *row)
{
    (void)context;
    return row->message % 2 == 0;
}

static void listing_takes_what_the_filter_lets_through(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_filter filter = {.matches = is_even};
    struct spool_delivery *rows;
    size_t count;

    (void)state;
    for (uint64_t id = 1; id <= 10; id++) {
        CHECK_INT("add", add(database, id, "d", 1, 1, content), SPOOL_OK);
    }
    commit(database, &(struct spool_change){.kind = SPOOL_HOLD, .id = 4}, 1);
    commit(database, &(struct spool_change){.kind = SPOOL_HOLD, .id = 7}, 1);
    spool_database_read_all(database, arena, &filter, &(struct spool_position){.message = 2}, 3,
                            &rows, &count);
    CHECK_INT("limit counts what matches", count, 3);
    CHECK_INT("behind 2", rows[0].message, 4);
    CHECK_INT("size", rows[0].content_size, content_size(content));
    spool_database_read_all(database, arena, &filter, &(struct spool_position){.message = 8}, 3,
                            &rows, &count);
    CHECK_INT("the end", count, 1);
    filter.held_only = true;
    spool_database_read_all(database, arena, &filter, &(struct spool_position){0}, 10, &rows,
                            &count);
    CHECK_INT("held and even", count, 1);
    CHECK_INT("4", rows[0].message, 4);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void ages_by_destination(void **state)
{
    enum { MINUTE = 60000 };
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_age *rows;
    size_t count;

    (void)state;
    for (uint64_t id = 1; id <= 6; id++) { /* they came at 77 ms */
        add(database, id,
            id <= 3   ? "a.example"
            : id <= 5 ? "b.example"
                      : "c.example",
            1, 1, content);
    }
    commit(database, &(struct spool_change){.kind = SPOOL_HOLD, .id = 2}, 1);
    CHECK_INT("read",
              spool_database_read_ages(database, arena, BYTES(""), 77 + 10 * MINUTE, 2, &rows,
                                       &count),
              SPOOL_OK);
    CHECK_INT("a page", count, 2);
    CHECK_BYTES("first", rows[0].destination, BYTES("a.example"));
    CHECK_INT("up to ten minutes", rows[0].due[1], 2);
    CHECK_INT("none else", rows[0].due[0] + rows[0].due[2], 0);
    CHECK_INT("held", rows[0].held, 1);
    CHECK_INT("second", rows[1].due[1], 2);
    spool_database_read_ages(database, arena, BYTES("b.example"), 77 + 10 * MINUTE + 1, 2,
                             &rows, &count);
    CHECK_INT("the rest", count, 1);
    CHECK_INT("older", rows[0].due[2], 1);
    spool_database_read_ages(database, arena, BYTES("b.example"), INT64_C(77) + 1281 * MINUTE,
                             2, &rows, &count);
    CHECK_INT("oldest", rows[0].due[SPOOL_AGES - 1], 1);
    spool_database_read_ages(database, arena, BYTES("b.example"), 0, 2, &rows, &count);
    CHECK_INT("from the future", rows[0].due[0], 1);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static enum spool_status set(struct spool_database *database, struct bytes name,
                             struct bytes value)
{
    return commit(database,
                  &(struct spool_change){.kind = SPOOL_SET, .name = name, .value = value}, 1);
}

static void settings_are_remembered(void **state)
{
    struct place place = make_place();
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct arena *arena = arena_new();
    struct spool_summary summary;

    (void)state;
    CHECK_INT("empty", spool_database_read_summary(database, arena, &summary), SPOOL_OK);
    CHECK_INT("no setting", summary.setting_count, 0);
    CHECK_INT("no message", summary.created_ms, 0);
    CHECK_INT("set", set(database, BYTES("b"), BYTES("1")), SPOOL_OK);
    CHECK_INT("set", set(database, BYTES("a"), BYTES("2")), SPOOL_OK);
    CHECK_INT("set", set(database, BYTES("b"), BYTES("3")), SPOOL_OK);
    CHECK_INT("set", set(database, BYTES("c"), BYTES("4")), SPOOL_OK);
    CHECK_INT("forget", set(database, BYTES("c"), BYTES("")), SPOOL_OK);
    CHECK_INT("forget what is not there", set(database, BYTES("d"), BYTES("")), SPOOL_OK);
    add(database, 5, "d", 1, 3, content);
    commit(database, &(struct spool_change){.kind = SPOOL_HOLD, .id = 5}, 1);
    spool_database_close(&database);
    database = open_well(&place);
    spool_database_read_summary(database, arena, &summary);
    CHECK_INT("settings", summary.setting_count, 2);
    CHECK_BYTES("by name", summary.settings[0].name, BYTES("a"));
    CHECK_BYTES("the last value", summary.settings[1].value, BYTES("3"));
    CHECK_INT("held", summary.held, 3);
    CHECK_INT("oldest", summary.created_ms, 77);
    content_drop(&content);
    arena_free(&arena);
    spool_database_close(&database);
    remove_place(&place);
}

static void plain_sqlite_reads_it_when_closed(void **state)
{
    struct place place = make_place();

    (void)state;
    fill(&place);
    run_sql(place.database, "PRAGMA integrity_check; DELETE FROM delivery WHERE message & 1;");
    remove_place(&place);
}

/* Needs root: a file system that is really full. */
static bool mount_small(struct place *place)
{
    if (mount("tmpfs", place->directory, "tmpfs", 0, "size=4m") == 0) {
        return true;
    }
    remove_place(place);
    return false;
}

static uint64_t add_until_full(struct spool_database *database, struct content *content)
{
    enum spool_status status = SPOOL_OK;
    uint64_t id = 0;

    while (status == SPOOL_OK && id < 1000) {
        status = add(database, ++id, "d.example", 1, 1, content);
        if (id % 8 == 0) {
            struct timespec pause = {.tv_nsec = 25000000};

            nanosleep(&pause, NULL); /* the floor is looked at every 20 ms */
        }
    }
    CHECK_INT("full", status, SPOOL_FULL);
    CHECK_TRUE("a few fitted", id > 10);
    CHECK_INT("counted", spool_database_count(database).messages, id - 1);
    return id;
}

static void full_file_system(void **state)
{
    struct place place = make_place();
    struct spool_database *database;
    struct content *content = large_content(100000);
    struct timespec pause = {.tv_nsec = 25000000};
    uint64_t id;

    (void)state;
    if (!mount_small(&place)) {
        content_drop(&content);
        skip();
    }
    database = open_well(&place);
    id = add_until_full(database, content);
    CHECK_INT("still full", add(database, 2000, "d.example", 1, 1, content), SPOOL_FULL);
    assert_int_equal(mount("tmpfs", place.directory, "tmpfs", MS_REMOUNT, "size=12m"), 0);
    nanosleep(&pause, NULL); /* the space is looked at every 20 ms */
    CHECK_INT("space again", add(database, id, "d.example", 1, 1, content), SPOOL_OK);
    spool_database_close(&database);
    database = open_well(&place);
    CHECK_INT("all there", spool_database_count(database).messages, id);
    content_drop(&content);
    spool_database_close(&database);
    umount(place.directory);
    remove_place(&place);
}

/* With a floor what closes deliveries still finds room. */
static void floor_keeps_room_for_closing(void **state)
{
    struct place place = make_place();
    struct spool_options options = {.directory = place.directory, .free_space_floor = 1500000};
    struct spool_database *database;
    struct content *content = large_content(100000);
    uint64_t id;

    (void)state;
    if (!mount_small(&place)) {
        content_drop(&content);
        skip();
    }
    database = spool_database_open(&options, &place.status, &place.why);
    assert_non_null(database);
    id = add_until_full(database, content);
    for (uint64_t other = 1; other < id; other++) {
        CHECK_INT("close", close_one(database, other, 0), SPOOL_OK);
    }
    CHECK_INT("empty", spool_database_count(database).messages, 0);
    content_drop(&content);
    spool_database_close(&database);
    umount(place.directory);
    remove_place(&place);
}

/* Failures could not be recorded at the floor, and their places were taken for as long. */
static void bounce_was_refused_at_the_floor(void **state)
{
    struct place place = make_place();
    struct spool_options options = {.directory = place.directory,
                                    .free_space_floor = UINT64_MAX};
    struct spool_database *database = open_well(&place);
    struct content *content = small_content();
    struct spool_message bounce = {.id = 2, .content = content};
    struct spool_delivery row = {.message = 2, .destination = BYTES("d.example")};
    struct spool_change changes[] = {
        {.kind = SPOOL_CLOSE, .id = 1},
        {.kind = SPOOL_ADD, .message = &bounce, .deliveries = &row, .delivery_count = 1},
    };

    (void)state;
    CHECK_INT("add", add(database, 1, "d.example", 1, 1, content), SPOOL_OK);
    spool_database_close(&database);
    database = spool_database_open(&options, &place.status, &place.why);
    assert_non_null(database);
    CHECK_INT("new mail", add(database, 3, "d.example", 1, 1, content), SPOOL_FULL);
    CHECK_INT("close and bounce", commit(database, changes, 2), SPOOL_OK);
    CHECK_INT("left", spool_database_count(database).messages, 1);
    content_drop(&content);
    spool_database_close(&database);
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_comes_back),
        cmocka_unit_test(message_goes_with_its_last_delivery),
        cmocka_unit_test(spilled_content_survives),
        cmocka_unit_test(orphans_go_at_the_start),
        cmocka_unit_test(what_is_gone_spoils_nothing_else),
        cmocka_unit_test(report_comes_once),
        cmocka_unit_test(fallback_is_taken_once),
        cmocka_unit_test(unbounced_rows_by_age),
        cmocka_unit_test(due_rows_by_destination),
        cmocka_unit_test(update_changes_one_delivery),
        cmocka_unit_test(second_opener_is_refused),
        cmocka_unit_test(damage_is_reported_and_left_alone),
        cmocka_unit_test(damage_found_later_stops_everything),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(older_versions_are_upgraded),
        cmocka_unit_test(columns_come_back),
        cmocka_unit_test(attempts_are_kept_and_bounded),
        cmocka_unit_test(operators_change_rows),
        cmocka_unit_test(listing_takes_what_the_filter_lets_through),
        cmocka_unit_test(ages_by_destination),
        cmocka_unit_test(settings_are_remembered),
        cmocka_unit_test(plain_sqlite_reads_it_when_closed),
        cmocka_unit_test(full_file_system),
        cmocka_unit_test(floor_keeps_room_for_closing),
        cmocka_unit_test(bounce_was_refused_at_the_floor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
