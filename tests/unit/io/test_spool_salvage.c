/*
 * A spool with a bit of everything is made once; each case damages a copy of it and salvages that. What comes out
 * must be what was there, or be named as lost.
 */
#include "support/check.h"

#include "base/memory.h"
#include "io/disk.h"
#include "io/spool_database.h"
#include "io/spool_salvage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    MESSAGES = 400, /* every third is closed again: its pages are free, or its cells */
    FIRST_ID = 1000,
    ROUNDS = 150,
};

struct place {
    char root[40];
    char *octets; /* of spool.db as it was */
    size_t size;
};

struct outcome {
    struct spool_salvage_summary summary;
    enum spool_status status;
    unsigned saved[MESSAGES]; /* deliveries */
    unsigned lost[MESSAGES];  /* times it was named */
};

static struct place place;

static bool is_closed(size_t index)
{
    return index % 3 == 2;
}

static bool is_large(size_t index)
{
    return index == 30 || index == 31;
}

static uint32_t deliveries_of(size_t index)
{
    return 1 + index % 3;
}

static size_t open_messages(void)
{
    size_t count = 0;

    for (size_t i = 0; i < MESSAGES; i++) {
        count += !is_closed(i);
    }
    return count;
}

/* From a few octets to many overflow pages. */
static struct content *content_of(size_t index)
{
    size_t size = is_large(index) ? CONTENT_MEMORY_LIMIT + 1000 + index
                                  : 100 + (index * index * 37) % 20000;
    char *octets = memory_alloc(size);
    struct content *content;

    for (size_t i = 0; i < size; i++) {
        octets[i] = (char)(i * 31 + i / 256 + index);
    }
    content = content_from_bytes(bytes_of(octets, size));
    free(octets);
    return content;
}

static void shell(const char *format, const char *name)
{
    char command[200];

    snprintf(command, sizeof command, format, place.root, name, place.root);
    assert_int_equal(system(command), 0);
}

static char *path(const char *name)
{
    static char text[4][150];
    static unsigned next;
    char *out = text[next++ % 4];

    snprintf(out, sizeof text[0], "%s/%s", place.root, name);
    return out;
}

static struct spool_database *open_spool(const char *name)
{
    struct spool_options options = {.directory = path(name)};
    struct spool_database *database;
    enum spool_status status;
    struct strbuf why;

    strbuf_init(&why, 1000);
    database = spool_database_open(&options, &status, &why);
    CHECK_TEXT(name, strbuf_text(&why), "");
    strbuf_clear(&why);
    return database;
}

static void commit(struct spool_database *database, const struct spool_change *change)
{
    struct spool_request request = {.changes = change, .count = 1}, *requests[] = {&request};

    spool_database_commit(database, requests, 1);
    CHECK_INT("commit", request.status, SPOOL_OK);
}

static void add(struct spool_database *database, size_t index)
{
    struct spool_message message = {.id = FIRST_ID + index,
                                    .created_ms = (int64_t)(77 + index),
                                    .envelope = BYTES("an \0 envelope"),
                                    .prefix = BYTES("Received: x\r\n"),
                                    .content = content_of(index)};
    struct spool_delivery rows[4] = {{0}};
    struct spool_change change = {.kind = SPOOL_ADD,
                                  .message = &message,
                                  .deliveries = rows,
                                  .delivery_count = deliveries_of(index)};
    char name[40];

    snprintf(name, sizeof name, "dest%zu.example", index % 7);
    for (uint32_t i = 0; i < deliveries_of(index); i++) {
        rows[i] = (struct spool_delivery){.message = message.id,
                                          .number = i,
                                          .state = i == 2 ? SPOOL_HELD : SPOOL_DUE,
                                          .destination = bytes_from_text(name),
                                          .recipient = BYTES("r@d.example"),
                                          .alias = BYTES("a@us.example"),
                                          .sender = BYTES("s@us.example"),
                                          .notify = 3,
                                          .fallback = BYTES("f@d.example"),
                                          .next_attempt_ms = (int64_t)(5000 + i)};
    }
    commit(database, &change);
    content_drop(&message.content);
}

static void try_once(struct spool_database *database, size_t index)
{
    struct spool_attempt attempt = {
        .at_ms = 9, .host = BYTES("mx.example"), .reply = BYTES("451 later")};
    struct spool_delivery row = {.message = FIRST_ID + index,
                                 .destination = BYTES("dest0.example"),
                                 .attempts = 1,
                                 .next_attempt_ms = 6000,
                                 .last_reply = BYTES("451 later")};
    struct spool_change change = {.kind = SPOOL_UPDATE,
                                  .number = 0,
                                  .id = row.message,
                                  .deliveries = &row,
                                  .delivery_count = 1,
                                  .attempt = &attempt};

    commit(database, &change);
}

static void read_all_octets(void)
{
    struct stat facts;
    int fd = open(path("whole/spool.db"), O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    place.size = (size_t)facts.st_size;
    place.octets = memory_alloc(place.size);
    assert_int_equal(read(fd, place.octets, place.size), place.size);
    close(fd);
}

static int make_whole(void **state)
{
    struct spool_change setting = {
        .kind = SPOOL_SET, .name = BYTES("pause outbound"), .value = BYTES("12")};
    struct spool_database *database;

    (void)state;
    place = (struct place){.root = "/tmp/test-salvage-XXXXXX"};
    assert_non_null(mkdtemp(place.root));
    database = open_spool("whole");
    for (size_t i = 0; i < MESSAGES; i++) {
        add(database, i);
        if (i % 4 == 0) {
            try_once(database, i);
        }
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        if (is_closed(i)) {
            commit(database, &(struct spool_change){.kind = SPOOL_DELETE, .id = FIRST_ID + i});
        }
    }
    commit(database, &setting);
    spool_database_close(&database);
    read_all_octets();
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    shell("rm -rf %s%.0s%.0s", "");
    free(place.octets);
    return 0;
}

/* ---- a case ---- */

static bool is_readable(const struct spool_message *message)
{
    return bytes_equal(message->envelope, BYTES("an \0 envelope"));
}

static bool is_believable(const struct spool_delivery *row)
{
    return bytes_equal(row->recipient, BYTES("r@d.example")) &&
           bytes_equal(row->alias, BYTES("a@us.example")) &&
           bytes_equal(row->sender, BYTES("s@us.example")) &&
           bytes_equal(row->fallback, BYTES("f@d.example")) && row->orcpt.len == 0;
}

static size_t index_of(uint64_t id)
{
    assert_true(id >= FIRST_ID && id < FIRST_ID + MESSAGES);
    return (size_t)(id - FIRST_ID);
}

static void on_saved(void *context, uint64_t id, uint64_t deliveries)
{
    ((struct outcome *)context)->saved[index_of(id)] = (unsigned)deliveries;
}

static void on_lost(void *context, uint64_t id, const struct spool_delivery *row,
                    const char *why)
{
    struct outcome *outcome = context;

    assert_non_null(why);
    /* The damage may be in the id itself. */
    if (id >= FIRST_ID && id < FIRST_ID + MESSAGES) {
        outcome->lost[id - FIRST_ID] += row == NULL ? 100 : 1;
    }
}

static void copy_whole(void)
{
    shell("cd %s && rm -rf sick new && mkdir sick && cp -r whole/content whole/spool.db "
          "sick%s%.0s",
          "");
}

static void write_sick(uint64_t offset, const void *octets, size_t size)
{
    int fd = open(path("sick/spool.db"), O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, octets, size, (off_t)offset), size);
    close(fd);
}

static struct outcome salvage(void)
{
    struct outcome outcome = {.status = SPOOL_FAILED};
    struct spool_salvage_options options = {.from = path("sick"),
                                            .to = path("new"),
                                            .is_readable = is_readable,
                                            .is_believable = is_believable,
                                            .saved = on_saved,
                                            .lost = on_lost,
                                            .context = &outcome};
    struct strbuf why;

    strbuf_init(&why, 1000);
    outcome.status = spool_salvage(&options, &outcome.summary, &why);
    CHECK_TEXT("why", strbuf_text(&why), "");
    CHECK_INT("salvage", outcome.status, SPOOL_OK);
    strbuf_clear(&why);
    return outcome;
}

static void check_content(const char *name, const struct content *got, size_t index)
{
    struct content *want = content_of(index);
    size_t size = (size_t)content_size(want), count = 0;
    char *octets = memory_alloc(size);

    CHECK_TRUE(name, got != NULL && content_size(got) == size);
    CHECK_TRUE(name, content_read(got, 0, octets, size, &count) && count == size);
    CHECK_TRUE(name, memcmp(octets, content_memory(want).data, size) == 0);
    free(octets);
    content_drop(&want);
}

/* What the new spool has is what the old one had. */
static void check_saved(const char *name, const struct outcome *outcome)
{
    struct spool_database *database = open_spool("new");
    struct arena *arena = arena_new();

    for (size_t i = 0; i < MESSAGES; i++) {
        struct spool_message message;
        struct spool_delivery *rows;
        size_t count;
        enum spool_status status = spool_database_read_message(database, arena, FIRST_ID + i,
                                                               true, &message, &rows, &count);

        CHECK_INT(name, status, outcome->saved[i] > 0 ? SPOOL_OK : SPOOL_GONE);
        if (status == SPOOL_OK) {
            CHECK_INT(name, count, outcome->saved[i]);
            CHECK_INT(name, message.created_ms, 77 + i);
            check_content(name, message.content, i);
            for (size_t k = 0; k < count; k++) {
                CHECK_BYTES(name, rows[k].fallback, BYTES("f@d.example"));
                CHECK_INT(name, rows[k].state, rows[k].number == 2 ? SPOOL_HELD : SPOOL_DUE);
            }
            content_drop(&message.content);
        }
    }
    arena_free(&arena);
    spool_database_close(&database);
}

/* Saved, or named as lost, or a place that nobody can read is told of. */
static void check_account(const char *name, const struct outcome *outcome)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        unsigned missing = is_closed(i) ? 0 : deliveries_of(i) - outcome->saved[i];

        CHECK_TRUE(name, outcome->saved[i] <= deliveries_of(i));
        if (missing > 0 && outcome->summary.lost_pages == 0) {
            CHECK_TRUE(name, outcome->lost[i] >= missing);
        }
        if (outcome->lost[i] > 0 && !is_closed(i)) {
            CHECK_TRUE(name, missing > 0);
        }
    }
}

static void check_all_saved(const char *name, const struct outcome *outcome)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        CHECK_INT(name, outcome->saved[i], is_closed(i) ? 0 : deliveries_of(i));
        CHECK_INT(name, outcome->lost[i], 0);
    }
    CHECK_INT(name, outcome->summary.messages, open_messages());
    CHECK_INT(name, outcome->summary.lost_messages, 0);
    CHECK_INT(name, outcome->summary.lost_deliveries, 0);
    CHECK_INT(name, outcome->summary.lost_pages, 0);
    check_saved(name, outcome);
}

/* ---- tests ---- */

static void test_whole(void **state)
{
    struct outcome outcome;
    struct spool_database *database;
    struct spool_summary summary;
    struct spool_message message;
    struct spool_delivery *rows;
    struct arena *arena = arena_new();
    size_t count;

    (void)state;
    copy_whole();
    outcome = salvage();
    check_all_saved("whole", &outcome);
    database = open_spool("new");
    CHECK_INT("settings", spool_database_read_summary(database, arena, &summary), SPOOL_OK);
    CHECK_INT("one", summary.setting_count, 1);
    CHECK_BYTES("which", summary.settings[0].name, BYTES("pause outbound"));
    spool_database_read_message(database, arena, FIRST_ID, false, &message, &rows, &count);
    CHECK_INT("its attempts", message.attempt_count, 1);
    CHECK_BYTES("what was said", message.attempts[0].reply, BYTES("451 later"));
    CHECK_INT("counted", rows[0].attempts, 1);
    spool_database_close(&database);
    arena_free(&arena);
}

static void test_what_only_the_log_has(void **state)
{
    struct spool_database *database;
    struct outcome outcome;

    (void)state;
    copy_whole();
    database = open_spool("sick");
    commit(database, &(struct spool_change){.kind = SPOOL_DELETE, .id = FIRST_ID});
    add(database, 2);
    /* As a crash would leave them. */
    shell("cd %s && mkdir crashed && cp -r sick/spool.db sick/spool.db-wal sick/content "
          "crashed%s%.0s",
          "");
    spool_database_close(&database);
    shell("cd %s && rm -r sick && mv crashed sick%s%.0s", "");
    outcome = salvage();
    CHECK_INT("closed in the log", outcome.saved[0], 0);
    CHECK_INT("added in the log", outcome.saved[2], deliveries_of(2));
    CHECK_INT("all others", outcome.summary.messages, open_messages());
    CHECK_INT("nothing lost", outcome.summary.lost_messages + outcome.summary.lost_pages, 0);
    check_saved("log", &outcome);
}

static void test_no_header(void **state)
{
    static const char zeros[PAGE];
    struct outcome outcome;

    (void)state;
    copy_whole();
    write_sick(0, zeros, PAGE);
    outcome = salvage();
    check_all_saved("no page 1", &outcome);
}

static void test_no_index(void **state)
{
    static const char zeros[PAGE];
    struct outcome outcome;

    (void)state;
    for (unsigned root = 4; root <= 5; root++) { /* due, held */
        copy_whole();
        write_sick((root - 1) * PAGE, zeros, PAGE);
        outcome = salvage();
        check_all_saved("no index", &outcome);
    }
}

static void test_roots_that_are_gone(void **state)
{
    static const char zeros[PAGE];
    struct outcome outcome;

    (void)state;
    for (unsigned root = 2; root <= 3; root++) { /* message, delivery */
        copy_whole();
        write_sick((root - 1) * PAGE, zeros, PAGE);
        outcome = salvage();
        check_account("root", &outcome);
        /* The root of the deliveries has rows itself, between its children. */
        CHECK_TRUE("most is there", outcome.summary.messages + 10 > open_messages());
        CHECK_INT("the root of messages has none", outcome.summary.lost_messages > 0,
                  root == 3 && outcome.summary.messages < open_messages());
        check_saved("root", &outcome);
    }
}

static void test_content_files(void **state)
{
    struct outcome outcome;
    char name[50];

    (void)state;
    copy_whole();
    snprintf(name, sizeof name, "sick/content/%016x", FIRST_ID + 30);
    assert_int_equal(unlink(path(name)), 0);
    snprintf(name, sizeof name, "sick/content/%016x", FIRST_ID + 31);
    assert_int_equal(truncate(path(name), 5000), 0);
    outcome = salvage();
    CHECK_TRUE("missing", outcome.saved[30] == 0 && outcome.lost[30] == 100);
    CHECK_TRUE("cut", outcome.saved[31] == 0 && outcome.lost[31] == 100);
    CHECK_INT("both", outcome.summary.lost_messages, 2);
    CHECK_INT("all others", outcome.summary.messages, open_messages() - 2);
    check_saved("content files", &outcome);
}

static void test_cut_files(void **state)
{
    struct outcome outcome;

    (void)state;
    for (unsigned parts = 0; parts <= 8; parts++) {
        copy_whole();
        assert_int_equal(truncate(path("sick/spool.db"), (off_t)(place.size * parts / 8 + 100)),
                         0);
        outcome = salvage();
        check_account("cut", &outcome);
        CHECK_TRUE("something", parts < 3 || outcome.summary.messages > 0);
        check_saved("cut", &outcome);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* One to ten pages: zeros, noise, another page's octets, or a few octets only. */
static void damage(uint64_t seed)
{
    size_t pages = place.size / PAGE, count = 1 + next_random(&seed) % 10;
    char octets[PAGE];

    for (size_t i = 0; i < count; i++) {
        size_t page = next_random(&seed) % pages, size = PAGE, from = 0;

        switch (next_random(&seed) % 4) {
        case 0:
            memset(octets, 0, PAGE);
            break;
        case 1:
            for (size_t k = 0; k < PAGE; k++) {
                octets[k] = (char)next_random(&seed);
            }
            break;
        case 2:
            memcpy(octets, place.octets + next_random(&seed) % pages * PAGE, PAGE);
            break;
        default:
            from = next_random(&seed) % PAGE;
            size = from + 8 < PAGE ? 8 : PAGE - from;
            for (size_t k = 0; k < size; k++) {
                octets[k] = (char)next_random(&seed);
            }
            break;
        }
        write_sick(page * PAGE + from, octets, size);
    }
}

static void test_random_pages(void **state)
{
    uint64_t saved = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct outcome outcome;
        char name[40];

        snprintf(name, sizeof name, "seed %d", (int)seed);
        copy_whole();
        damage(seed);
        shell("cp %s/sick/spool.db %s%s/before", "");
        outcome = salvage();
        shell("cmp %s/sick/spool.db %s%s/before", ""); /* it is only read */
        check_account(name, &outcome);
        check_saved(name, &outcome);
        saved += outcome.summary.messages;
        CHECK_TRUE(name, outcome.summary.messages > open_messages() / 2);
    }
    /* Ten pages of a thousand are one in a hundred. */
    CHECK_TRUE("nearly all", saved > ROUNDS * open_messages() * 95 / 100);
}

static void test_somebody_has_it(void **state)
{
    struct spool_salvage_options options = {.from = path("sick"), .to = path("new")};
    struct spool_salvage_summary summary;
    struct spool_database *database;
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    copy_whole();
    database = open_spool("sick");
    CHECK_INT("locked", spool_salvage(&options, &summary, &why), SPOOL_LOCKED);
    spool_database_close(&database);
    CHECK_TRUE("nothing is made", !disk_exists(path("new")));
    options.from = path("nowhere");
    CHECK_INT("none", spool_salvage(&options, &summary, &why), SPOOL_GONE);
    options.from = path("sick");
    options.to = path("whole");
    CHECK_INT("not over another", spool_salvage(&options, &summary, &why), SPOOL_FAILED);
    strbuf_clear(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_what_only_the_log_has),
        cmocka_unit_test(test_no_header),
        cmocka_unit_test(test_no_index),
        cmocka_unit_test(test_roots_that_are_gone),
        cmocka_unit_test(test_content_files),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_random_pages),
        cmocka_unit_test(test_somebody_has_it),
    };

    return cmocka_run_group_tests(tests, make_whole, remove_all);
}
