#include "support/check.h"

#include "io/listener.h"
#include "loop_driver.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

struct taker {
    struct listener *listener;
    struct event_loop *loop;
    struct stream_accepted taken[512];
    size_t count;
    bool stops;
    size_t want;
};

static void take(void *context, const struct stream_accepted *accepted)
{
    struct taker *taker = context;

    taker->taken[taker->count++] = *accepted;
    if (taker->stops) {
        listener_stop(taker->listener);
    }
}

static bool has_all(void *context)
{
    struct taker *taker = context;

    return taker->count >= taker->want;
}

static struct ip_endpoint loopback(void)
{
    return (struct ip_endpoint){.address = {.family = IP_V4, .octets = {127, 0, 0, 1}}};
}

static int dial(struct ip_endpoint to)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(to.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static struct taker new_taker(struct ip_endpoint address)
{
    struct taker taker = {.loop = event_loop_new()};
    struct strbuf why;

    strbuf_init(&why, 1000);
    taker.listener = listener_open(&address, &why);
    CHECK_TEXT("opens", strbuf_text(&why), "");
    return taker;
}

static void clear_taker(struct taker *taker)
{
    for (size_t i = 0; i < taker->count; i++) {
        stream_accepted_drop(&taker->taken[i], BYTES(""));
    }
    listener_close(&taker->listener);
    event_loop_free(&taker->loop);
}

static void test_accepts_a_burst(void **state)
{
    struct taker taker = new_taker(loopback());
    int clients[300];

    (void)state;
    CHECK_TRUE("real port", listener_address(taker.listener).port != 0);
    listener_start(taker.listener, taker.loop, take, &taker);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = dial(listener_address(taker.listener));
    }
    taker.want = COUNT_OF(clients);
    CHECK_TRUE("all", run_until(taker.loop, has_all, &taker));
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        CHECK_INT("non-blocking", fcntl(taker.taken[i].handle, F_GETFL) & O_NONBLOCK,
                  O_NONBLOCK);
        CHECK_INT("close on exec", fcntl(taker.taken[i].handle, F_GETFD), FD_CLOEXEC);
        CHECK_INT("peer", taker.taken[i].peer.address.family, IP_V4);
        CHECK_INT("local", taker.taken[i].local.port, listener_address(taker.listener).port);
        close(clients[i]);
    }
    clear_taker(&taker);
}

static void test_stop_from_inside_and_start_again(void **state)
{
    struct taker taker = new_taker(loopback());
    int clients[3];

    (void)state;
    taker.stops = true;
    listener_start(taker.listener, taker.loop, take, &taker);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = dial(listener_address(taker.listener));
    }
    run_for(taker.loop, 20);
    CHECK_INT("one only", taker.count, 1);
    taker.stops = false;
    taker.want = 3;
    listener_start(taker.listener, taker.loop, take, &taker);
    CHECK_TRUE("the others waited", run_until(taker.loop, has_all, &taker));
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        close(clients[i]);
    }
    clear_taker(&taker);
}

static void test_handle_is_taken_up(void **state)
{
    struct taker taker = new_taker(loopback());
    struct listener *second = listener_from_handle(dup(listener_handle(taker.listener)));

    (void)state;
    CHECK_INT("same port", listener_address(second).port,
              listener_address(taker.listener).port);
    listener_close(&second);
    clear_taker(&taker);
}

static void test_wildcard_knows_its_local_end_later(void **state)
{
    struct taker taker = new_taker((struct ip_endpoint){.address = {.family = IP_V4}});
    static const struct stream_callbacks callbacks;
    struct stream *stream;
    int client;

    (void)state;
    listener_start(taker.listener, taker.loop, take, &taker);
    client = dial(listener_address(taker.listener));
    taker.want = 1;
    CHECK_TRUE("accepted", run_until(taker.loop, has_all, &taker));
    CHECK_INT("not asked", taker.taken[0].local.address.family, IP_NONE);
    stream = stream_from_accepted(taker.loop, &taker.taken[0], &callbacks, NULL);
    CHECK_INT("asked", stream_local(stream).address.octets[0], 127);
    stream_close(&stream);
    taker.count = 0;
    close(client);
    clear_taker(&taker);
}

static void test_address_in_use(void **state)
{
    struct taker taker = new_taker(loopback());
    struct ip_endpoint address = listener_address(taker.listener);
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    CHECK_TRUE("refused", listener_open(&address, &why) == NULL);
    CHECK_TRUE("names the step",
               bytes_starts_with(strbuf_bytes(&why), BYTES("bind to 127.0.0.1:")));
    CHECK_TRUE("names the error", strstr(strbuf_text(&why), "in use") != NULL);
    strbuf_clear(&why);
    clear_taker(&taker);
}

static bool read_all(int fd, char *text, size_t size)
{
    ssize_t got = recv(fd, text, size - 1, 0);

    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static void test_no_descriptors_left(void **state)
{
    struct taker taker = new_taker(loopback());
    struct rlimit before, limit;
    struct rusage usage_before, usage_after;
    int clients[4], fillers[2000];
    size_t filled = 0;
    char text[100];
    double used;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = dial(listener_address(taker.listener));
    }
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = 200;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (filled < COUNT_OF(fillers) && (fillers[filled] = open("/dev/null", O_RDONLY)) >= 0) {
        filled++;
    }
    listener_start(taker.listener, taker.loop, take, &taker);
    getrusage(RUSAGE_THREAD, &usage_before);
    run_for(taker.loop, 150);
    getrusage(RUSAGE_THREAD, &usage_after);
    used = (double)(usage_after.ru_utime.tv_usec + usage_after.ru_stime.tv_usec -
                    usage_before.ru_utime.tv_usec - usage_before.ru_stime.tv_usec) /
               1e6 +
           (double)(usage_after.ru_utime.tv_sec + usage_after.ru_stime.tv_sec -
                    usage_before.ru_utime.tv_sec - usage_before.ru_stime.tv_sec);
    CHECK_TRUE("does not spin", used < 0.1);
    CHECK_INT("none taken", taker.count, 0);
    CHECK_TRUE("told", read_all(clients[0], text, sizeof text));
    CHECK_TRUE("421", strncmp(text, "421 ", 4) == 0);
    setrlimit(RLIMIT_NOFILE, &before);
    while (filled > 0) {
        close(fillers[--filled]);
    }
    taker.want = 1;
    CHECK_TRUE("goes on", run_until(taker.loop, has_all, &taker));
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        close(clients[i]);
    }
    clear_taker(&taker);
}

static void test_unix_socket(void **state)
{
    char directory[] = "/tmp/postilion-test-XXXXXX";
    char path[64], other[64];
    struct taker taker = {.loop = event_loop_new(), .want = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    struct strbuf why;
    int client, file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/control", directory);
    snprintf(other, sizeof other, "%s/file", directory);
    strbuf_init(&why, 1000);

    /* A dead socket is in the way. */
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(client, (struct sockaddr *)&address, sizeof address), 0);
    close(client);

    taker.listener = listener_open_unix(path, 0660, &why);
    CHECK_TEXT("opens", strbuf_text(&why), "");
    stat(path, &status);
    CHECK_INT("mode", status.st_mode & 0777, 0660);
    CHECK_TRUE("a living one stays", listener_open_unix(path, 0660, &why) == NULL);
    CHECK_TRUE("says so", strstr(strbuf_text(&why), "in use") != NULL);
    file = open(other, O_CREAT | O_WRONLY, 0600);
    close(file);
    CHECK_TRUE("no socket", listener_open_unix(other, 0660, &why) == NULL);
    CHECK_INT("is kept", access(other, F_OK), 0);

    listener_start(taker.listener, taker.loop, take, &taker);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_TRUE("accepts", run_until(taker.loop, has_all, &taker));
    CHECK_INT("no address", taker.taken[0].peer.address.family, IP_NONE);
    close(client);
    clear_taker(&taker);
    CHECK_INT("gone", access(path, F_OK), -1);
    unlink(other);
    rmdir(directory);
    strbuf_clear(&why);
}

static void *close_soon(void *context)
{
    struct listener *listener = context;

    usleep(120 * 1000);
    listener_close(&listener);
    return NULL;
}

/* One that has the address and goes away soon, one that stays. */
static void test_address_that_is_taken(void **state)
{
    struct listener *first, *second;
    struct ip_endpoint address = loopback();
    struct strbuf why;
    pthread_t thread;
    uint64_t started_ms;

    (void)state;
    strbuf_init(&why, 1000);
    first = listener_open(&address, &why);
    address = listener_address(first);
    started_ms = clock_now_ms();
    CHECK_TRUE("stays", listener_open_patiently(&address, 150, &why) == NULL);
    CHECK_TRUE("waited", clock_now_ms() >= started_ms + 150);
    CHECK_TRUE("says it", strstr(strbuf_text(&why), "Address already in use") != NULL);
    CHECK_TRUE("once", strstr(strstr(strbuf_text(&why), "bind") + 1, "bind") == NULL);
    strbuf_reset(&why);
    assert_int_equal(pthread_create(&thread, NULL, close_soon, first), 0);
    second = listener_open_patiently(&address, 5000, &why);
    pthread_join(thread, NULL);
    CHECK_TRUE("goes away", second != NULL);
    CHECK_TEXT("no complaint", strbuf_text(&why), "");
    listener_close(&second);
    address.address.octets[0] = 192; /* 192.0.0.1 is not ours: waiting does not help */
    started_ms = clock_now_ms();
    CHECK_TRUE("not ours", listener_open_patiently(&address, 5000, &why) == NULL);
    CHECK_TRUE("at once", clock_now_ms() < started_ms + 1000);
    strbuf_clear(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_a_burst),
        cmocka_unit_test(test_stop_from_inside_and_start_again),
        cmocka_unit_test(test_handle_is_taken_up),
        cmocka_unit_test(test_wildcard_knows_its_local_end_later),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_address_that_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
