/* The control socket over a real spool, with clients at the other end. */
#include "support/check.h"

#include "base/memory.h"
#include "daemon/control_server.h"
#include "queue/queue_clerk.h"
#include "unit/io/loop_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

struct queue_set {
    unsigned refreshed;
    uint64_t last;
    bool is_retry;
};

void queue_set_refresh(struct queue_set *set, uint64_t id)
{
    set->refreshed++;
    set->last = id;
}

void queue_set_look_again(struct queue_set *set, struct bytes destination, bool is_retry)
{
    (void)destination;
    set->refreshed++;
    set->last = 0;
    set->is_retry = is_retry;
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
    struct pauses *pauses;
    unsigned commits_open;
    unsigned applied;
    enum pause_kind last_kind;
    char last_destination[40];
    bool is_paused;
};

static void apply(void *context, const struct pause_target *target, bool is_paused)
{
    struct world *world = context;

    world->applied++;
    world->last_kind = target->kind;
    snprintf(world->last_destination, sizeof world->last_destination, "%.*s",
             BYTES_ARG(target->destination));
    world->is_paused = is_paused;
}

static struct inbound_ledger *ledger;
static const struct client_limits client_limits;

static void describe(void *context, struct status_report *report)
{
    (void)context;
    report->ledger = ledger;
    report->client_limits = &client_limits;
    report->pid = 4711;
    report->sessions = 3;
    report->started_ms = report->now_ms - 90061000;
}

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
    world->pauses = pauses_new(apply, world);
    world->server = control_server_new(world->loop, world->listener,
                                       &(struct control_server_options){
                                           .spool = world->spool,
                                           .queues = &world->queues,
                                           .pauses = world->pauses,
                                           .describe = describe,
                                       });
}

static void tear_down(struct world *world)
{
    char command[80];

    run_for(world->loop, 2); /* what was put off is done */
    control_server_free(&world->server);
    pauses_free(&world->pauses);
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
        {"queue list --json\n", "+ok\n", 0},
        {"queue list\r\n", "+ok\n", 0},
        {"queue retry d000001.example\n", "+ok\n", 1},
        {"queue retry all\n", "+ok\n", 1},
        {"queue retry --all\n", "+ok\n", 1},
        {"queue retry --destination nowhere.example\n",
         "-none nothing in the queue is like that; nothing was changed\n", 0},
        {"queue delete --destination nowhere.example\n",
         "-none nothing in the queue is like that; nothing was changed\n", 0},
        {"queue hold --sender s@far.example\n", "+ok\n", 1},
        {"queue release --all\n",
         "-none nothing in the queue is like that; nothing was changed\n", 0},
        {"queue show 0000000000001\n", "-gone\n", 0},
        {"queue delete 0000000000001\n", "-gone\n", 0},
        {"queue list --by-domain\n", "+ok\n", 0},
        {"queue list --limit 2\n", "+ok\n", 0},
        {"status\n", "+ok\n", 0},
        {"status --json\n", "+ok\n", 0},
        {"client 192.0.2.1\n", "+ok\n", 0},
        {"client mx.example\n", NULL, 0},
        {"client\n", NULL, 0},
        {"pause inbound\n", "+ok\n", 0},
        {"resume d.example\n", "+ok\n", 0},
        {"pause\n", NULL, 0},
        {"pause a@b\n", NULL, 0},
        {"pause inbound outbound\n", NULL, 0},
        {"status now\n", NULL, 0},
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
    enum { MESSAGES = 3 * QUEUE_CLERK_PAGE };
    static const char *const orders[] = {"queue list --json\n", "queue list\n"};
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
    add_messages(&world, 1000, 2 * QUEUE_CLERK_PAGE + 1);
    client = dial(&world);
    send_text(&client, "queue retry all\n");
    CHECK_TRUE("retry", run_until(world.loop, has_ended, &client));
    CHECK_TEXT("retry", strbuf_text(&client.heard), "1001 deliveries to be tried now\n+ok\n");
    hang_up(&client);
    client = dial(&world);
    send_text(&client, "queue list --json\n");
    CHECK_TRUE("list", run_until(world.loop, has_ended, &client));
    CHECK_TRUE("all are due", strstr(strbuf_text(&client.heard), "4000000000") == NULL &&
                                  strstr(strbuf_text(&client.heard), "2096-") == NULL);
    CHECK_INT("told once", world.queues.refreshed, 1);
    hang_up(&client);
    tear_down(&world);
}

/* Of the second message: d000001.example. */
static bool next_attempt_was_changed(struct world *world)
{
    struct client client = dial(world);
    bool is_changed;

    send_text(&client, "queue list --json --destination d000001.example\n");
    CHECK_TRUE("list", run_until(world->loop, has_ended, &client));
    is_changed = strstr(strbuf_text(&client.heard), "\"next_attempt\":\"2096-") == NULL;
    hang_up(&client);
    return is_changed;
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
        add_messages(&world, 1000, 2 * QUEUE_CLERK_PAGE);
        client = dial(&world);
        send_text(&client, orders[i]);
        run_for(world.loop, 5); /* the first page, perhaps the next */
        setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger));
        hang_up(&client);
        run_for(world.loop, 100);
        if (next_attempt_was_changed(&world)) {
            CHECK_INT(orders[i], world.queues.refreshed, 1);
        } else {
            CHECK_INT(orders[i], world.queues.refreshed, 0);
        }
        tear_down(&world);
    }
}

static void ask(struct world *world, const char *order, struct client *client)
{
    *client = dial(world);
    send_text(client, order);
    CHECK_TRUE(order, run_until(world->loop, has_ended, client));
}

static void expect(struct world *world, const char *order, const char *want)
{
    struct client client;

    ask(world, order, &client);
    CHECK_TEXT(order, strbuf_text(&client.heard), want);
    hang_up(&client);
}

static void test_pauses_are_obeyed_and_kept(void **state)
{
    struct world world;
    struct spool_summary summary;
    struct arena *arena = arena_new();
    struct pauses *again;
    struct client client;

    (void)state;
    set_up(&world);
    expect(&world, "pause outbound\n", "paused\n+ok\n");
    CHECK_INT("applied", world.applied, 1);
    CHECK_INT("what", world.last_kind, PAUSE_OUTBOUND);
    expect(&world, "pause outbound\n", "it is paused already\n+ok\n");
    CHECK_INT("once", world.applied, 1);
    expect(&world, "pause Dest.EXAMPLE\n", "paused\n+ok\n");
    CHECK_TEXT("lower case", world.last_destination, "dest.example");
    expect(&world, "pause inbound\n", "paused\n+ok\n");
    expect(&world, "resume outbound\n", "resumed\n+ok\n");
    CHECK_INT("resumed", world.is_paused, false);
    expect(&world, "resume outbound\n", "it was not paused\n+ok\n");
    ask(&world, "status --json\n", &client);
    CHECK_TRUE("inbound first",
               strstr(strbuf_text(&client.heard),
                      "\"paused\":[{\"what\":\"inbound\",\"since\":\"") != NULL);
    CHECK_TRUE("then the destination",
               strstr(strbuf_text(&client.heard), "{\"what\":\"destination\",\"destination\":"
                                                  "\"dest.example\",\"since\":\"") != NULL);
    hang_up(&client);

    CHECK_INT("read", spool_summary_now(world.spool, arena, &summary), SPOOL_OK);
    world.applied = 0;
    again = pauses_new(apply, &world);
    pauses_restore(again, &summary);
    CHECK_INT("restored", world.applied, 2);
    CHECK_TEXT("the destination", world.last_destination, "dest.example");
    CHECK_INT("paused", world.is_paused, true);
    pauses_free(&again);
    arena_free(&arena);
    tear_down(&world);
}

static void test_pause_that_was_kept_but_not_obeyed(void **state)
{
    enum { MANY = 1500 }; /* the 1001st was the first */
    struct world world = {0};
    struct pauses *pauses = pauses_new(apply, &world);
    struct pause_target target;
    char name[40];
    int64_t since_ms;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "d%u.example", (i * 7) % MANY);
        target = (struct pause_target){PAUSE_DESTINATION, bytes_from_text(name)};
        CHECK_TRUE(name, pauses_set(pauses, &target, i, true));
        CHECK_INT(name, world.applied, i + 1);
    }
    CHECK_TRUE("all are listed", pauses_get(pauses, MANY - 1, &target, &since_ms) &&
                                     !pauses_get(pauses, MANY, &target, &since_ms));
    CHECK_BYTES("in order", target.destination, BYTES("d999.example"));
    /* What is given back is what was listed; a sanitizer says when it is gone too early. */
    CHECK_TRUE("resumed", pauses_set(pauses, &target, 0, false) && !world.is_paused);
    CHECK_TEXT("which", world.last_destination, "d999.example");
    pauses_free(&pauses);
}

static void test_status(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    set_up(&world);
    add_messages(&world, 1000, 3);
    expect(&world, "queue hold --destination d000001.example\n", "1 delivery held\n+ok\n");
    ask(&world, "status\n", &client);
    CHECK_TRUE("up",
               strstr(strbuf_text(&client.heard), "process 4711, up 1d 01:01:01\n") != NULL);
    CHECK_TRUE("queue", strstr(strbuf_text(&client.heard),
                               "3 messages, 3 deliveries, 1 of them held\n") != NULL);
    CHECK_TRUE("oldest",
               strstr(strbuf_text(&client.heard), "oldest     1970-01-01T00:00:01") != NULL);
    hang_up(&client);
    ask(&world, "status --json\n", &client);
    CHECK_TRUE("json",
               strstr(strbuf_text(&client.heard),
                      "\"sessions\":3,\"messages\":3,\"deliveries\":3,\"held\":1,") != NULL);
    hang_up(&client);
    tear_down(&world);
}

/* One thing after the other to the same three deliveries. */
static void test_changes(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    set_up(&world);
    add_messages(&world, 1000, 3);
    expect(&world, "queue hold --recipient R@there.example\n", "3 deliveries held\n+ok\n");
    CHECK_INT("nothing to try", world.queues.is_retry, false);
    expect(&world, "queue retry --all\n",
           "-none nothing in the queue is like that; nothing was changed\n");
    expect(&world, "queue release --destination D000000.example --json\n",
           "{\"changed\":1}\n+ok\n");
    CHECK_INT("to try", world.queues.is_retry, true);
    ask(&world, "queue list --held\n", &client);
    CHECK_TRUE("two", strstr(strbuf_text(&client.heard), "2 deliveries\n") != NULL);
    CHECK_TRUE("why", strstr(strbuf_text(&client.heard), "held by an operator") != NULL);
    hang_up(&client);
    expect(&world, "queue bounce --destination d000001.example\n",
           "1 delivery given up\n+ok\n");
    ask(&world, "queue list --json --destination d000001.example\n", &client);
    CHECK_TRUE("marked", strstr(strbuf_text(&client.heard), "\"given_up\":true") != NULL);
    hang_up(&client);
    ask(&world, "queue list --limit 2\n", &client);
    CHECK_TRUE("more",
               strstr(strbuf_text(&client.heard), "2 deliveries; for more: --after ") != NULL);
    hang_up(&client);
    ask(&world, "queue list --by-domain --json\n", &client);
    CHECK_TRUE("held",
               strstr(strbuf_text(&client.heard),
                      "{\"destination\":\"d000002.example\",\"total\":1,\"held\":1,") != NULL);
    CHECK_INT("three and the end", count_lines(&client), 4);
    hang_up(&client);
    expect(&world, "queue delete --sender s@far.example\n", "3 deliveries deleted\n+ok\n");
    expect(&world, "queue list\n", "The queue is empty.\n+ok\n");
    CHECK_INT("messages", spool_count(world.spool).messages, 0);
    tear_down(&world);
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
        cmocka_unit_test(test_pauses_are_obeyed_and_kept),
        cmocka_unit_test(test_pause_that_was_kept_but_not_obeyed),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_too_many_clients),
    };

    int failed;

    ledger = inbound_ledger_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    inbound_ledger_free(&ledger);
    return failed;
}
