#include "support/check.h"

#include "io/inherited_sockets.h"
#include "io/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Two listeners on free ports, and a descriptor that is none. */
static struct listener *first, *second;
static int no_socket;

static int make_sockets(void **state)
{
    struct ip_endpoint loopback;
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    assert_true(ip_endpoint_parse(BYTES("127.0.0.1:0"), 0, &loopback));
    first = listener_open(&loopback, &why);
    second = listener_open(&loopback, &why);
    no_socket = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(first != NULL && second != NULL && no_socket >= 0);
    return 0;
}

static int close_sockets(void **state)
{
    (void)state;
    listener_close(&first);
    listener_close(&second);
    return close(no_socket);
}

/* What is found when the environment says this. */
static size_t find(struct inherited_sockets *sockets, int process, const char *list)
{
    char value[256];

    snprintf(value, sizeof value, "%d:%s", process, list);
    setenv("POSTILION_SOCKETS", value, 1);
    inherited_sockets_find(sockets);
    assert_null(getenv("POSTILION_SOCKETS"));
    return sockets->count;
}

static void test_lists(void **state)
{
    struct inherited_sockets sockets;
    char list[64];

    (void)state;
    snprintf(list, sizeof list, "%d", listener_handle(first));
    CHECK_INT("ours", find(&sockets, process_id(), list), 1);
    CHECK_INT("of another process", find(&sockets, process_id() + 1, list), 0);
    CHECK_INT("no number", find(&sockets, process_id(), "x,,-1,99999999999999999999"), 0);
    CHECK_INT("not open", find(&sockets, process_id(), "900"), 0);
    snprintf(list, sizeof list, "%d,%d", no_socket, listener_handle(second));
    CHECK_INT("one is no socket", find(&sockets, process_id(), list), 1);
    CHECK_INT("that one is left", sockets.handles[0], listener_handle(second));
    setenv("POSTILION_SOCKETS", "", 1);
    inherited_sockets_find(&sockets);
    CHECK_INT("empty", sockets.count, 0);
}

static void test_addresses(void **state)
{
    struct ip_endpoint wanted = listener_address(second), other;
    struct inherited_sockets sockets;
    struct listener *taken;
    char list[64];
    int copies[2] = {dup(listener_handle(first)), dup(listener_handle(second))};

    (void)state;
    snprintf(list, sizeof list, "%d,%d", copies[0], copies[1]);
    assert_int_equal(find(&sockets, process_id(), list), 2);
    assert_true(ip_endpoint_parse(BYTES("127.0.0.2:0"), 0, &other));
    assert_null(inherited_socket_take(&sockets, &other));
    assert_null(inherited_socket_take_unix(&sockets, "/nowhere"));
    taken = inherited_socket_take(&sockets, &wanted);
    assert_non_null(taken);
    CHECK_INT("by its port", listener_handle(taken), copies[1]);
    assert_null(inherited_socket_take(&sockets, &wanted)); /* once */
    listener_close(&taken);
    wanted.port = 0;
    taken = inherited_socket_take(&sockets, &wanted);
    assert_non_null(taken);
    CHECK_INT("any port", listener_handle(taken), copies[0]);
    listener_close(&taken);
    CHECK_INT("none is left", inherited_sockets_close(&sockets), 0);
}

static void test_pass(void **state)
{
    struct inherited_sockets sockets;
    int handles[2] = {listener_handle(first), listener_handle(second)};

    (void)state;
    inherited_sockets_pass(handles, 2, process_id(), true);
    CHECK_INT("outlives exec", fcntl(handles[0], F_GETFD), 0);
    inherited_sockets_find(&sockets);
    CHECK_INT("both", sockets.count, 2);
    CHECK_INT("a restart", sockets.is_restart, true);
    CHECK_INT("not another one", fcntl(handles[0], F_GETFD), FD_CLOEXEC);
    inherited_sockets_pass(handles, 2, process_id(), true);
    inherited_sockets_pass(handles, 2, process_id(), false);
    CHECK_INT("taken back", fcntl(handles[1], F_GETFD), FD_CLOEXEC);
    assert_null(getenv("POSTILION_SOCKETS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_pass),
    };

    return cmocka_run_group_tests(tests, make_sockets, close_sockets);
}
