#include "support/check.h"

#include "protocol/clamd_reply.h"

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct bytes input;
        enum clamd_result result;
        struct bytes what;
    } cases[] = {
        {"clean", BYTES("stream: OK\0"), CLAMD_CLEAN, BYTES("")},
        {"nothing yet", BYTES(""), CLAMD_NEED_MORE, BYTES("")},
        {"no NUL yet", BYTES("stream: OK"), CLAMD_NEED_MORE, BYTES("")},
        {"found", BYTES("stream: Win.Test.EICAR_HDB-1 FOUND\0"), CLAMD_FOUND,
         BYTES("Win.Test.EICAR_HDB-1")},
        {"a name with blanks, and FOUND in it", BYTES("stream: A FOUND B FOUND\0"), CLAMD_FOUND,
         BYTES("A FOUND B")},
        {"a signature called OK", BYTES("stream: OK FOUND\0"), CLAMD_FOUND, BYTES("OK")},
        {"found without a name", BYTES("stream:  FOUND\0"), CLAMD_MALFORMED, BYTES("")},
        {"too large", BYTES("INSTREAM size limit exceeded. ERROR\0"), CLAMD_TOO_LARGE,
         BYTES("")},
        {"an error", BYTES("stream: Can't allocate memory ERROR\0"), CLAMD_ERROR,
         BYTES("stream: Can't allocate memory")},
        {"an error about the command", BYTES("UNKNOWN COMMAND ERROR\0"), CLAMD_ERROR,
         BYTES("UNKNOWN COMMAND")},
        {"clean, and more behind it", BYTES("stream: OK\0stream: X FOUND\0"), CLAMD_CLEAN,
         BYTES("")},
        {"OK in lower case", BYTES("stream: ok\0"), CLAMD_MALFORMED, BYTES("")},
        {"OK and something", BYTES("stream: OK \0"), CLAMD_MALFORMED, BYTES("")},
        {"about something else", BYTES("/tmp/x: OK\0"), CLAMD_MALFORMED, BYTES("")},
        {"a line end and no NUL", BYTES("stream: OK\n"), CLAMD_NEED_MORE, BYTES("")},
        {"a line end before the NUL", BYTES("stream: OK\n\0"), CLAMD_MALFORMED, BYTES("")},
        {"another protocol", BYTES("HTTP/1.1 200 OK\r\n\r\n\0"), CLAMD_MALFORMED, BYTES("")},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes what;

        CHECK_INT(cases[i].name, clamd_reply_read(cases[i].input, &what), cases[i].result);
        CHECK_BYTES(cases[i].name, what, cases[i].what);
    }
}

static void test_endless_reply(void **state)
{
    (void)state;
    char octets[CLAMD_REPLY_LIMIT];
    struct bytes what;

    memset(octets, 'x', sizeof octets);
    CHECK_INT("one less", clamd_reply_read(bytes_of(octets, sizeof octets - 1), &what),
              CLAMD_NEED_MORE);
    CHECK_INT("at the limit", clamd_reply_read(bytes_of(octets, sizeof octets), &what),
              CLAMD_MALFORMED);
}

static void test_asking(void **state)
{
    (void)state;
    char head[CLAMD_HEAD_SIZE];

    CHECK_BYTES("the command", CLAMD_COMMAND, BYTES("zINSTREAM\0"));
    clamd_piece_head(0x01020384, head);
    CHECK_BYTES("network order", bytes_of(head, sizeof head), BYTES("\x01\x02\x03\x84"));
    clamd_piece_head(0, head);
    CHECK_BYTES("the end", bytes_of(head, sizeof head), BYTES("\0\0\0\0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_endless_reply),
        cmocka_unit_test(test_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
