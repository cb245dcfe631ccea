#include "support/check.h"

#include "io/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, KEPT = 64 };

struct world {
    struct listener *listener;
    struct http_server *server;
    struct ip_endpoint address;
    atomic_uint requests;
    struct http_request *kept[KEPT]; /* on the server's thread, while it runs */
    atomic_uint kept_count;
    struct loop_task answer_task;
};

static void answer(struct http_request *request)
{
    struct http_answer answer = {
        .status = 200, .content_type = "text/plain", .body = http_request_target(request)};

    http_request_answer(request, &answer);
}

static void answer_kept(void *context)
{
    struct world *world = context;

    while (atomic_load(&world->kept_count) > 0) {
        answer(world->kept[atomic_fetch_sub(&world->kept_count, 1) - 1]);
    }
}

/* "/keep...": later, or never. */
static void on_request(void *context, struct http_request *request)
{
    struct world *world = context;

    atomic_fetch_add(&world->requests, 1);
    if (bytes_starts_with(http_request_target(request), BYTES("/keep"))) {
        world->kept[atomic_load(&world->kept_count)] = request;
        atomic_fetch_add(&world->kept_count, 1);
    } else {
        answer(request);
    }
}

static void set_up(struct world *world)
{
    const struct http_server_options options = {on_request, world};
    struct strbuf why;

    *world = (struct world){.requests = 0};
    strbuf_init(&why, 1000);
    assert_true(ip_endpoint_parse(BYTES("127.0.0.1:0"), 0, &world->address));
    world->listener = listener_open(&world->address, &why);
    assert_non_null(world->listener);
    world->address = listener_address(world->listener);
    world->answer_task = (struct loop_task){.run = answer_kept, .context = world};
    world->server = http_server_new(world->listener, &options);
    http_server_set_name(world->server, BYTES("mx.own.test"));
    http_server_start(world->server);
    strbuf_clear(&why);
}

static void clear(struct world *world)
{
    http_server_stop(world->server);
    http_server_free(&world->server);
    listener_close(&world->listener);
}

static int connect_to(const struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(world->address.port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(handle, (struct sockaddr *)&address, sizeof address), 0);
    return handle;
}

static void say(int handle, const char *text)
{
    assert_int_equal(send(handle, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All there is until the end. */
static void read_all(int handle, struct strbuf *out)
{
    char part[4096];
    ssize_t got;

    do {
        struct pollfd ready = {.fd = handle, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        got = recv(handle, part, sizeof part, 0);
        if (got > 0) {
            strbuf_add(out, bytes_of(part, (size_t)got));
        }
    } while (got > 0);
    close(handle);
}

static void ask(const struct world *world, const char *request, struct strbuf *out)
{
    int handle = connect_to(world);

    strbuf_reset(out);
    say(handle, request);
    read_all(handle, out);
}

static void wait_for(const atomic_uint *number, unsigned wanted)
{
    for (unsigned i = 0; atomic_load(number) < wanted; i++) {
        assert_true(i < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
}

static void test_requests(void **state)
{
    static const struct {
        const char *name, *request, *status, *body;
    } cases[] = {
        {"plain", "GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n",
         "\r\n\r\n/a?b=c"},
        {"our name", "GET / HTTP/1.1\r\nHost: MX.own.test:1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
         "\r\n\r\n/"},
        {"head", "HEAD /abc HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n",
         "\r\n\r\n"},
        {"old", "GET /a HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.0 200 OK\r\n",
         "\r\n\r\n/a"},
        {"no host", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 403 Forbidden\r\n", NULL},
        {"a second host that was overlooked",
         "GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n", "One Host, please.\n"},
        {"another's host", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
         "HTTP/1.1 403 Forbidden\r\n", NULL},
        {"to change something",
         "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 405 Method Not Allowed\r\n", NULL},
        {"by way of us", "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n", NULL},
    };
    struct world world;
    struct strbuf out;

    (void)state;
    set_up(&world);
    strbuf_init(&out, 100000);
    ask(&world, cases[0].request, &out);
    assert_non_null(strstr(strbuf_text(&out), "\r\nConnection: close\r\n"));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask(&world, cases[i].request, &out);
        if (!bytes_starts_with(strbuf_bytes(&out), bytes_from_text(cases[i].status))) {
            fail_msg("%s: %s", cases[i].name, strbuf_text(&out));
        }
        if (cases[i].body != NULL &&
            !bytes_ends_with_nocase(strbuf_bytes(&out), bytes_from_text(cases[i].body))) {
            fail_msg("%s: %s", cases[i].name, strbuf_text(&out));
        }
        assert_non_null(strstr(strbuf_text(&out), "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_non_null(
            strstr(strbuf_text(&out), "\r\nContent-Security-Policy: default-src 'none'; "));
    }
    strbuf_clear(&out);
    clear(&world);
}

static void test_answers_that_come_later(void **state)
{
    struct world world;
    struct strbuf out;
    int waiting, gone;

    (void)state;
    set_up(&world);
    strbuf_init(&out, 100000);
    waiting = connect_to(&world);
    say(waiting, "GET /keep/1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    gone = connect_to(&world);
    say(gone, "GET /keep/2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&world.kept_count, 2);
    close(gone);
    ask(&world, "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n", &out);
    assert_non_null(strstr(strbuf_text(&out), "/now"));
    event_loop_post(http_server_loop(world.server), &world.answer_task);
    strbuf_reset(&out);
    read_all(waiting, &out);
    assert_non_null(strstr(strbuf_text(&out), "\r\n\r\n/keep/1"));
    strbuf_clear(&out);
    clear(&world);
}

/* Those who wait for an answer when the server ends, one of them gone. */
static void test_the_end_before_the_answer(void **state)
{
    struct world world;
    int waiting, gone;

    (void)state;
    set_up(&world);
    waiting = connect_to(&world);
    say(waiting, "GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n");
    gone = connect_to(&world);
    say(gone, "GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&world.kept_count, 2);
    close(gone);
    poll(NULL, 0, 50);
    clear(&world);
    close(waiting);
}

static void test_no_more_than_so_many_at_a_time(void **state)
{
    int handles[HTTP_CONNECTIONS + 8];
    struct world world;
    struct strbuf out;

    (void)state;
    set_up(&world);
    strbuf_init(&out, 100000);
    for (size_t i = 0; i < COUNT_OF(handles); i++) {
        handles[i] = connect_to(&world);
        say(handles[i], "GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    wait_for(&world.requests, HTTP_CONNECTIONS);
    poll(NULL, 0, 300);
    CHECK_INT("served at a time", atomic_load(&world.requests), HTTP_CONNECTIONS);
    event_loop_post(http_server_loop(world.server), &world.answer_task);
    for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
        strbuf_reset(&out);
        read_all(handles[i], &out);
        assert_non_null(strstr(strbuf_text(&out), " 200 OK\r\n"));
    }
    wait_for(&world.requests, COUNT_OF(handles));
    for (size_t i = HTTP_CONNECTIONS; i < COUNT_OF(handles); i++) {
        close(handles[i]);
    }
    strbuf_clear(&out);
    clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_answers_that_come_later),
        cmocka_unit_test(test_the_end_before_the_answer),
        cmocka_unit_test(test_no_more_than_so_many_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
