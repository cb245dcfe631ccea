#include "support/check.h"

#include "outbound/tls_memory.h"

#define MX BYTES("mx.example")

static void test_failures(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct tls_memory *memory = tls_memory_new(loop);

    (void)state;
    CHECK_TRUE("unknown", !tls_memory_has_failed(memory, MX, 25));
    tls_memory_note_success(memory, MX, 25); /* makes nothing */
    tls_memory_note_failure(memory, MX, 25);
    CHECK_TRUE("failed", tls_memory_has_failed(memory, MX, 25));
    CHECK_TRUE("in either case", tls_memory_has_failed(memory, BYTES("MX.Example"), 25));
    CHECK_TRUE("another port", !tls_memory_has_failed(memory, MX, 26));
    CHECK_TRUE("another name", !tls_memory_has_failed(memory, BYTES("mx.example:25"), 2));
    tls_memory_note_success(memory, MX, 25);
    CHECK_TRUE("forgiven", !tls_memory_has_failed(memory, MX, 25));
    tls_memory_note_failure(memory, MX, 25);
    tls_memory_forget(memory);
    CHECK_TRUE("forgotten", !tls_memory_has_failed(memory, MX, 25));
    tls_memory_keep_session(memory, MX, 25, NULL);
    CHECK_TRUE("no session", tls_memory_session(memory, MX, 25) == NULL);
    tls_memory_free(&memory);
    tls_memory_free(&memory);
    event_loop_free(&loop);
}

static void test_limit(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct tls_memory *memory = tls_memory_new(loop);
    char name[40];

    (void)state;
    for (int i = 0; i <= TLS_HOSTS_KEPT; i++) {
        snprintf(name, sizeof name, "mx%d.example", i);
        tls_memory_note_failure(memory, bytes_from_text(name), 25);
        /* used all the time, so it stays */
        CHECK_TRUE(name, tls_memory_has_failed(memory, BYTES("mx0.example"), 25));
    }
    CHECK_TRUE("the longest unused is gone",
               !tls_memory_has_failed(memory, BYTES("mx1.example"), 25));
    CHECK_TRUE("the next is there", tls_memory_has_failed(memory, BYTES("mx2.example"), 25));
    tls_memory_free(&memory);
    event_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
