/* The control socket over a real spool, with clients at the other end. */
#include "support/check.h"

#include "base/memory.h"
#include "daemon/control_server.h"
#include "unit/io/loop_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

struct queue_set {
    unsigned refreshed;
    uint64_t last;
};

void queue_set_refresh(struct queue_set *set, uint64_t id)
{
    set->refreshed++;
    set->last = id;
}

struct client {
    int fd;
    struct strbuf heard;
    bool has_ended;
};

struct world {
    char directory[40];
    char path[60];
    struct event_loop *loop;
    struct listener *listener;
    struct spool *spool;
    struct queue_set queues;
    struct control_server *server;
    unsigned commits_open;
};

static void set_up(struct world *world)
{
    struct spool_options options = {.directory = world->directory};
    enum spool_status status;
    struct strbuf why;

    *world = (struct world){.directory = "/tmp/test-control-XXXXXX"};
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/socket", world->directory);
    strbuf_init(&why, 1000);
    options.directory = world->directory;
    world->loop = event_loop_new();
    world->listener = listener_open_unix(world->path, 0600, &why);
    world->spool = spool_open(&options, &status, &why);
    CHECK_TEXT("set up", strbuf_text(&why), "");
    strbuf_clear(&why);
    world->server =
        control_server_new(world->loop, world->listener, world->spool, &world->queues);
}

static void tear_down(struct world *world)
{
    char command[80];

    run_for(world->loop, 2); /* what was put off is done */
    control_server_free(&world->server);
    spool_close(&world->spool);
    listener_close(&world->listener);
    event_loop_free(&world->loop);
    snprintf(command, sizeof command, "rm -rf %s", world->directory);
    assert_int_equal(system(command), 0);
}

static void on_added(void *context, enum spool_status status)
{
    struct world *world = context;

    CHECK_INT("add", status, SPOOL_OK);
    world->commits_open--;
}

static bool is_added(void *context)
{
    struct world *world = context;

    return world->commits_open == 0;
}

/* `count` messages from `id` on, one delivery each, to one destination each. */
static void add_messages(struct world *world, uint64_t id, size_t count)
{
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\n"));
    struct spool_message *messages = memory_zero(count * sizeof *messages);
    struct spool_delivery *deliveries = memory_zero(count * sizeof *deliveries);
    struct spool_change *changes = memory_zero(count * sizeof *changes);
    char(*names)[40] = memory_zero(count * sizeof *names);

    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "d%06zu.example", i);
        messages[i] =
            (struct spool_message){.id = id + i, .created_ms = 1000, .content = content};
        deliveries[i] = (struct spool_delivery){.message = id + i,
                                                .destination = bytes_from_text(names[i]),
                                                .recipient = BYTES("r@there.example"),
                                                .alias = BYTES("a@here.example"),
                                                .sender = BYTES("s@far.example"),
                                                .attempts = 1,
                                                .next_attempt_ms = INT64_C(4000000000000),
                                                .last_reply = BYTES("451 later")};
        changes[i] = (struct spool_change){.kind = SPOOL_ADD,
                                           .message = &messages[i],
                                           .deliveries = &deliveries[i],
                                           .delivery_count = 1};
    }
    world->commits_open++;
    spool_commit(world->spool, world->loop, changes, count, on_added, world);
    CHECK_TRUE("added", run_until(world->loop, is_added, world));
    content_drop(&content);
    free(messages);
    free(deliveries);
    free(changes);
    free(names);
}

static struct client dial(struct world *world)
{
    struct client client = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strbuf_init(&client.heard, 64 * 1024 * 1024);
    strcpy(address.sun_path, world->path);
    client.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static void hang_up(struct client *client)
{
    close(client->fd);
    strbuf_clear(&client->heard);
}

static bool has_ended(void *context)
{
    struct client *client = context;
    char octets[65536];

    for (;;) {
        ssize_t got = recv(client->fd, octets, sizeof octets, MSG_DONTWAIT);
        if (got > 0) {
            strbuf_add(&client->heard, bytes_of(octets, (size_t)got));
        } else {
            client->has_ended = got == 0 || errno != EAGAIN;
            return client->has_ended;
        }
    }
}

static void send_text(struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The last line of the whole answer. */
static const char *last_line(struct client *client)
{
    const char *text = strbuf_text(&client->heard);
    size_t end = strlen(text);

    while (end > 1 && text[end - 2] != '\n') {
        end--;
    }
    return text + (end > 0 ? end - 1 : 0);
}

static size_t count_lines(const struct client *client)
{
    size_t count = 0;

    for (const char *at = strbuf_text(&client->heard); *at != '\0'; at++) {
        count += *at == '\n';
    }
    return count;
}

static void test_orders(void **state)
{
    static const struct {
        const char *order;
        const char *want; /* the answer's last line */
        unsigned refreshed;
    } cases[] = {
        {"queue list\n", "+ok\n", 0},
        {"queue list json\n", "+ok\n", 0},
        {"queue list\r\n", "+ok\n", 0},
        {"queue retry d000001.example\n", "+ok\n", 1},
        {"queue retry all\n", "+ok\n", 1},
        {"queue dance\n", NULL, 0},
        {"\n", NULL, 0},
        {"GET / HTTP/1.1\nHost: x\n\n", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client client;
        set_up(&world);
        add_messages(&world, 1000, 3);
        client = dial(&world);
        send_text(&client, cases[i].order);
        CHECK_TRUE(cases[i].order, run_until(world.loop, has_ended, &client));
        if (cases[i].want != NULL) {
            CHECK_TEXT(cases[i].order, last_line(&client), cases[i].want);
        } else {
            CHECK_BYTES(cases[i].order, bytes_first(strbuf_bytes(&client.heard), 7),
                        BYTES("-usage:"));
            CHECK_INT(cases[i].order, count_lines(&client), 1);
        }
        CHECK_INT(cases[i].order, world.queues.refreshed, cases[i].refreshed);
        hang_up(&client);
        tear_down(&world);
    }
}

/* Octet by octet, with its side closed behind the order: it still gets the answer. */
static void test_order_in_pieces(void **state)
{
    static const char ORDER[] = "queue list\n";
    struct world world;
    struct client client;

    (void)state;
    set_up(&world);
    add_messages(&world, 1000, 2);
    client = dial(&world);
    for (size_t i = 0; ORDER[i] != '\0'; i++) {
        assert_int_equal(send(client.fd, ORDER + i, 1, 0), 1);
        run_for(world.loop, 1);
    }
    shutdown(client.fd, SHUT_WR);
    CHECK_TRUE("pieces", run_until(world.loop, has_ended, &client));
    CHECK_TEXT("pieces", last_line(&client), "+ok\n");
    hang_up(&client);
    tear_down(&world);
}

static void test_line_too_long(void **state)
{
    struct world world;
    struct client client;
    char text[3000];

    (void)state;
    set_up(&world);
    client = dial(&world);
    memset(text, 'q', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    send_text(&client, text);
    CHECK_TRUE("long", run_until(world.loop, has_ended, &client));
    CHECK_TEXT("long", strbuf_text(&client.heard), "-usage: line too long\n");
    hang_up(&client);
    tear_down(&world);
}

/* More than a page, taken slowly: nothing is missing, nothing comes twice. */
static void test_long_listing(void **state)
{
    enum { MESSAGES = 3 * CONTROL_PAGE };
    static const char *const orders[] = {"queue list json\n", "queue list\n"};
    struct world world;

    (void)state;
    set_up(&world);
    add_messages(&world, 1000, MESSAGES);
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct client client = dial(&world);
        send_text(&client, orders[i]);
        run_for(world.loop, 200); /* it does not read yet */
        CHECK_TRUE(orders[i], run_until(world.loop, has_ended, &client));
        CHECK_TRUE(orders[i], count_lines(&client) > MESSAGES);
        CHECK_TRUE(orders[i], i > 0 || count_lines(&client) == MESSAGES + 1);
        CHECK_TEXT(orders[i], last_line(&client), "+ok\n");
        hang_up(&client);
    }
    tear_down(&world);
}

static void test_retry_all_of_many_destinations(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    set_up(&world);
    add_messages(&world, 1000, 2 * CONTROL_PAGE + 1);
    client = dial(&world);
    send_text(&client, "queue retry all\n");
    CHECK_TRUE("retry", run_until(world.loop, has_ended, &client));
    CHECK_TEXT("retry", last_line(&client), "+ok\n");
    hang_up(&client);
    client = dial(&world);
    send_text(&client, "queue list json\n");
    CHECK_TRUE("list", run_until(world.loop, has_ended, &client));
    CHECK_TRUE("all are due", strstr(strbuf_text(&client.heard), "4000000000") == NULL &&
                                  strstr(strbuf_text(&client.heard), "2096-") == NULL);
    CHECK_INT("told once", world.queues.refreshed, 1);
    hang_up(&client);
    tear_down(&world);
}

static bool is_refreshed(void *context)
{
    struct world *world = context;

    return world->queues.refreshed > 0;
}

/* Whoever asked has gone; what was changed by then is told to the queue all the same. */
static void test_operator_who_hangs_up(void **state)
{
    static const char *const orders[] = {"queue list\n", "queue retry all\n",
                                         "queue retry d000001.example\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct world world;
        struct client client;
        set_up(&world);
        add_messages(&world, 1000, 2 * CONTROL_PAGE);
        client = dial(&world);
        send_text(&client, orders[i]);
        setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger));
        hang_up(&client);
        if (i > 0) {
            CHECK_TRUE(orders[i], run_until(world.loop, is_refreshed, &world));
        } else {
            run_for(world.loop, 50);
        }
        tear_down(&world);
    }
}

static void test_too_many_clients(void **state)
{
    struct world world;
    struct client clients[CONTROL_CLIENTS + 1];

    (void)state;
    set_up(&world);
    for (size_t i = 0; i <= CONTROL_CLIENTS; i++) {
        clients[i] = dial(&world);
        run_for(world.loop, 1);
    }
    CHECK_TRUE("one too many", run_until(world.loop, has_ended, &clients[CONTROL_CLIENTS]));
    CHECK_TEXT("one too many", strbuf_text(&clients[CONTROL_CLIENTS].heard),
               "-busy: too many clients\n");
    hang_up(&clients[0]);
    run_for(world.loop, 5);
    hang_up(&clients[CONTROL_CLIENTS]);
    clients[CONTROL_CLIENTS] = dial(&world);
    send_text(&clients[CONTROL_CLIENTS], "queue list\n");
    CHECK_TRUE("one has gone", run_until(world.loop, has_ended, &clients[CONTROL_CLIENTS]));
    CHECK_TEXT("one has gone", last_line(&clients[CONTROL_CLIENTS]), "+ok\n");
    for (size_t i = 1; i <= CONTROL_CLIENTS; i++) {
        hang_up(&clients[i]);
    }
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_order_in_pieces),
        cmocka_unit_test(test_line_too_long),
        cmocka_unit_test(test_long_listing),
        cmocka_unit_test(test_retry_all_of_many_destinations),
        cmocka_unit_test(test_operator_who_hangs_up),
        cmocka_unit_test(test_too_many_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
