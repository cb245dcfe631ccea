#include "support/check.h"

#include "forward/client_conduct.h"

static const struct client_limits usual = {
    .unknown_recipients = 20, .bad_signatures = 5, .delay_ms = 10000};

static void test_what_is_an_offence(void **state)
{
    static const struct {
        const char *why;
        enum client_offence want;
    } cases[] = {
        {"unknown-recipient", CLIENT_UNKNOWN_RECIPIENT},
        {"srs-forged", CLIENT_BAD_SIGNATURE},
        {"srs-malformed", CLIENT_BAD_SIGNATURE},
        {"srs-future", CLIENT_BAD_SIGNATURE},
        {"reply-forged", CLIENT_BAD_SIGNATURE},
        {"srs-expired", CLIENT_NO_OFFENCE},
        {"srs-token-gone", CLIENT_NO_OFFENCE},
        {"srs-sender-not-null", CLIENT_NO_OFFENCE},
        {"relay-denied", CLIENT_NO_OFFENCE},
        {"greylisted", CLIENT_NO_OFFENCE},
        {"refused-by-alias", CLIENT_NO_OFFENCE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct decision decision = {.why = cases[i].why};
        CHECK_INT(cases[i].why, client_conduct_offence(&decision), cases[i].want);
    }
}

static void test_slower_and_slower(void **state)
{
    static const uint64_t want_ms[] = {0,     0,     0,     0,     0,     500,
                                       1000,  2000,  4000,  8000,  10000, 10000,
                                       10000, 10000, 10000, 10000, 10000, 10000};
    struct client_conduct conduct = {{0}, 0};
    bool is_over = false;
    unsigned count = 0;

    (void)state;
    for (; count < COUNT_OF(want_ms); count++) {
        CHECK_INT("delay",
                  client_conduct_blame(&conduct, &usual, CLIENT_UNKNOWN_RECIPIENT, 0, &is_over),
                  want_ms[count]);
        CHECK_TRUE("not over", !is_over);
    }
    while (!is_over && count < 1000) {
        client_conduct_blame(&conduct, &usual, CLIENT_UNKNOWN_RECIPIENT, 0, &is_over);
        count++;
    }
    CHECK_INT("the last", count, 20);
}

static void test_budgets(void **state)
{
    static const struct {
        const char *name;
        struct client_limits limits;
        enum client_offence offence;
        uint64_t accepted, open;
        unsigned want,
            want_at_once; /* the one that ends it (0: none), those answered at once */
    } cases[] = {
        {"unknown",
         {.unknown_recipients = 20, .delay_ms = 1},
         CLIENT_UNKNOWN_RECIPIENT,
         0,
         0,
         20,
         5},
        {"a list",
         {.unknown_recipients = 20, .delay_ms = 1},
         CLIENT_UNKNOWN_RECIPIENT,
         60,
         0,
         80,
         65},
        {"a list's first message",
         {.unknown_recipients = 20, .delay_ms = 1},
         CLIENT_UNKNOWN_RECIPIENT,
         0,
         60,
         80,
         65},
        {"no delays", {.unknown_recipients = 20}, CLIENT_UNKNOWN_RECIPIENT, 0, 0, 20, 20},
        {"one at most",
         {.unknown_recipients = 1, .delay_ms = 1},
         CLIENT_UNKNOWN_RECIPIENT,
         0,
         0,
         1,
         0},
        {"forged", {.bad_signatures = 5, .delay_ms = 1}, CLIENT_BAD_SIGNATURE, 0, 0, 5, 1},
        {"nothing makes up for it",
         {.bad_signatures = 5, .delay_ms = 1},
         CLIENT_BAD_SIGNATURE,
         50,
         50,
         5,
         1},
        {"no limit",
         {.bad_signatures = 5, .delay_ms = 1},
         CLIENT_UNKNOWN_RECIPIENT,
         0,
         0,
         0,
         500},
        {"nothing",
         {.unknown_recipients = 1, .bad_signatures = 1, .delay_ms = 1},
         CLIENT_NO_OFFENCE,
         0,
         0,
         0,
         500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client_conduct conduct = {.accepted = cases[i].accepted};
        unsigned end = 0, at_once = 0;
        for (unsigned n = 1; n <= 500 && end == 0; n++) {
            bool is_over = false;
            at_once += client_conduct_blame(&conduct, &cases[i].limits, cases[i].offence,
                                            cases[i].open, &is_over) == 0;
            end = is_over ? n : 0;
        }
        CHECK_INT(cases[i].name, end, cases[i].want);
        CHECK_INT(cases[i].name, at_once, cases[i].want_at_once);
    }
}

/* Whoever knows one good address may not name it again and again to look for others. */
static void test_what_is_taken_back_does_not_count(void **state)
{
    struct client_conduct conduct = {{0}, 0};
    bool is_over = false;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        client_conduct_blame(&conduct, &usual, CLIENT_UNKNOWN_RECIPIENT, 100, &is_over);
        CHECK_TRUE("a transaction of good ones", !is_over);
    }
    client_conduct_blame(&conduct, &usual, CLIENT_UNKNOWN_RECIPIENT, 1, &is_over);
    CHECK_TRUE("RSET, and one more", is_over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_an_offence),
        cmocka_unit_test(test_slower_and_slower),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_what_is_taken_back_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
