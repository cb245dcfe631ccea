#include "support/check.h"

#include "base/memory.h"
#include "ctl/queue_command.h"
#include "io/spool_database.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

struct place {
    char directory[40];
    char control[60];
    struct queue_command_options options;
    char *out, *err;
    size_t out_size, err_size;
};

static void make_place(struct place *place)
{
    *place = (struct place){.directory = "/tmp/test-queue-XXXXXX"};
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->control, sizeof(place->control), "%s/control", place->directory);
    place->options.spool_directory = place->directory;
    place->options.control_path = place->control;
}

static void remove_place(struct place *place)
{
    char command[80];

    free(place->out);
    free(place->err);
    snprintf(command, sizeof(command), "rm -rf %s", place->directory);
    assert_int_equal(system(command), 0);
}

static int run(struct place *place, const char *first, const char *second, const char *third)
{
    char *argv[] = {(char *)"queue", (char *)first, (char *)second, (char *)third, NULL};
    int argc = 1 + (first != NULL) + (second != NULL) + (third != NULL);
    FILE *out, *err;
    int code;

    free(place->out);
    free(place->err);
    out = open_memstream(&place->out, &place->out_size);
    err = open_memstream(&place->err, &place->err_size);
    code = queue_command_run(&place->options, argc, argv, out, err);
    fclose(out);
    fclose(err);
    return code;
}

static struct spool_database *open_spool(struct place *place)
{
    struct spool_options options = {.directory = place->directory};
    enum spool_status status;
    struct strbuf why;
    struct spool_database *database;

    strbuf_init(&why, 1000);
    database = spool_database_open(&options, &status, &why);
    assert_non_null(database);
    strbuf_clear(&why);
    return database;
}

static void add(struct place *place, uint64_t id, const char *destination)
{
    struct spool_database *database = open_spool(place);
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\nbody\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD,
                                .sender = BYTES("who@sender.example"),
                                .client_ip = BYTES("192.0.2.7")};
    struct spool_message message = {.id = id, .created_ms = 1000, .content = content};
    struct spool_delivery delivery = {.message = id,
                                      .destination = bytes_from_text(destination),
                                      .recipient = BYTES("r@there.example"),
                                      .alias = BYTES("a@here.example"),
                                      .sender = BYTES("SRS0=x@here.example"),
                                      .attempts = 2,
                                      .next_attempt_ms = INT64_C(4000000000000),
                                      .last_reply = BYTES("451 later")};
    struct spool_change change = {
        .kind = SPOOL_ADD, .message = &message, .deliveries = &delivery, .delivery_count = 1};
    struct spool_request request = {.changes = &change, .count = 1};
    struct spool_request *requests[] = {&request};
    struct strbuf record;

    strbuf_init(&record, 1000);
    envelope_record_write(&record, &envelope);
    message.envelope = strbuf_bytes(&record);
    spool_database_commit(database, requests, 1);
    CHECK_INT("add", request.status, SPOOL_OK);
    spool_database_close(&database);
    strbuf_clear(&record);
    content_drop(&content);
}

static int64_t next_attempt_of(struct place *place, uint64_t id)
{
    struct spool_database *database = open_spool(place);
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;
    int64_t next_attempt_ms;

    CHECK_INT("read",
              spool_database_read_message(database, arena, id, false, &message, &rows, &count),
              SPOOL_OK);
    next_attempt_ms = rows[0].next_attempt_ms;
    arena_free(&arena);
    spool_database_close(&database);
    return next_attempt_ms;
}

#define HAS(name, text, part) CHECK_TRUE(name, strstr((text), (part)) != NULL)

static void stopped_daemon(void **state)
{
    struct place place;
    struct message_id_text first = message_id_text(5000000), second = message_id_text(6000000);

    (void)state;
    make_place(&place);
    CHECK_INT("no spool", run(&place, "list", NULL, NULL), EX_NOINPUT);
    add(&place, 5000000, "gmail.example");
    add(&place, 6000000, "corp.example");
    CHECK_INT("list", run(&place, "list", NULL, NULL), EX_OK);
    HAS("list", place.out, first.text);
    HAS("list", place.out, second.text);
    HAS("list", place.out,
        "<SRS0=x@here.example> <a@here.example> -> <r@there.example> at corp");
    HAS("list", place.out, " 20 ");
    HAS("list", place.out, "451 later");
    HAS("list", place.out, "2 deliveries");
    CHECK_INT("json", run(&place, "list", "--json", NULL), EX_OK);
    HAS("json", place.out, "\"destination\":\"corp.example\",\"state\":\"due\",\"attempts\":2");
    CHECK_TRUE("no table", strstr(place.out, "deliveries") == NULL);
    CHECK_INT("show", run(&place, "show", first.text, NULL), EX_OK);
    HAS("show", place.out, "<who@sender.example>");
    HAS("show", place.out, "192.0.2.7");
    CHECK_INT("show json", run(&place, "--json", "show", first.text), EX_OK);
    HAS("show json", place.out, "\"client_ip\":\"192.0.2.7\"");

    CHECK_INT("retry", run(&place, "retry", "gmail.example", NULL), EX_OK);
    CHECK_TRUE("now", next_attempt_of(&place, 5000000) < INT64_C(4000000000000));
    CHECK_TRUE("not now", next_attempt_of(&place, 6000000) == INT64_C(4000000000000));
    CHECK_INT("retry", run(&place, "retry", "all", NULL), EX_OK);
    CHECK_TRUE("now", next_attempt_of(&place, 6000000) < INT64_C(4000000000000));
    CHECK_INT("delete", run(&place, "delete", first.text, NULL), EX_OK);
    CHECK_INT("delete again", run(&place, "delete", first.text, NULL), EX_DATAERR);
    HAS("delete again", place.err, "no such message");
    CHECK_INT("show", run(&place, "show", first.text, NULL), EX_DATAERR);
    CHECK_INT("delete", run(&place, "delete", second.text, NULL), EX_OK);
    CHECK_INT("list", run(&place, "list", NULL, NULL), EX_OK);
    HAS("list", place.out, "empty");
    remove_place(&place);
}

static void usage_and_locks(void **state)
{
    struct place place;
    struct spool_database *database;

    (void)state;
    make_place(&place);
    CHECK_INT("nothing", run(&place, NULL, NULL, NULL), EX_USAGE);
    CHECK_INT("a word", run(&place, "frob", NULL, NULL), EX_USAGE);
    HAS("a word", place.err, "usage: postilion queue");
    CHECK_INT("help", run(&place, "--help", NULL, NULL), EX_OK);
    CHECK_INT("not an id", run(&place, "show", "x!", NULL), EX_USAGE);
    database = open_spool(&place);
    CHECK_INT("in use", run(&place, "list", NULL, NULL), EX_TEMPFAIL);
    HAS("in use", place.err, "in use by another process");
    spool_database_close(&database);
    remove_place(&place);
}

/* ---- a daemon that says what it is told to ---- */

struct fake_daemon {
    int listener;
    const char *answer;
    char heard[100];
};

static void *serve_one(void *context)
{
    struct fake_daemon *fake = context;
    int peer = accept(fake->listener, NULL, NULL);
    ssize_t got = recv(peer, fake->heard, sizeof(fake->heard) - 1, 0);

    fake->heard[got > 0 ? got : 0] = '\0';
    for (const char *at = fake->answer; *at != '\0'; at++) { /* cut anywhere */
        assert_int_equal(send(peer, at, 1, MSG_NOSIGNAL), 1);
    }
    close(peer);
    return NULL;
}

static void running_daemon(void **state)
{
    const struct {
        const char *name, *answer;
        int code;
        const char *out, *err;
    } cases[] = {
        {"done", "line 1\nline 2\n+ok\n", EX_OK, "line 1\nline 2\n", ""},
        {"nothing to say", "+\n", EX_OK, "", ""},
        {"refused", "-gone no such message\n", EX_DATAERR, "", "postilion: no such message\n"},
        {"disk", "-full no space\n", EX_IOERR, "", "postilion: no space on the disk\n"},
        {"cut short", "line 1\nline", EX_TEMPFAIL, "line 1\nline", NULL},
        {"cut in the last line", "+o", EX_TEMPFAIL, "", NULL},
        {"nothing", "", EX_TEMPFAIL, "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct place place;
        struct fake_daemon fake = {.answer = cases[i].answer};
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        pthread_t thread;

        make_place(&place);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", place.control);
        fake.listener = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fake.listener, 1), 0);
        pthread_create(&thread, NULL, serve_one, &fake);
        CHECK_INT(cases[i].name, run(&place, "retry", "d.example", "--json"), cases[i].code);
        pthread_join(thread, NULL);
        close(fake.listener);
        CHECK_TEXT(cases[i].name, fake.heard, "queue retry --destination d.example --json\n");
        CHECK_TEXT(cases[i].name, place.out, cases[i].out);
        if (cases[i].err != NULL) {
            CHECK_TEXT(cases[i].name, place.err, cases[i].err);
        } else {
            HAS(cases[i].name, place.err, "cut short");
        }
        remove_place(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_daemon),
        cmocka_unit_test(usage_and_locks),
        cmocka_unit_test(running_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
