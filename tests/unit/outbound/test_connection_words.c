#include "support/check.h"

#include "outbound/connection_words.h"

static void check_words(const char *name, struct connection_words words)
{
    CHECK_TRUE(name, words.what != NULL && words.what[0] != '\0');
    CHECK_TRUE(name, words.means != NULL && words.means[0] != '\0');
    CHECK_TRUE(name, words.who != NULL && words.who[0] != '\0');
}

/* Whatever goes wrong wherever has words. */
static void test_every_fault(void **state)
{
    (void)state;
    for (int fault = CONNECTION_FAULT_NONE; fault <= CONNECTION_FAULT_CONTENT; fault++) {
        for (int end = STREAM_END_EOF; end <= STREAM_END_FAILED; end++) {
            for (int stage = SMTP_STAGE_BANNER; stage <= SMTP_STAGE_QUIT; stage++) {
                check_words("fault",
                            connection_words_of((enum connection_fault)fault,
                                                (enum stream_end)end, (enum smtp_stage)stage));
            }
        }
    }
    for (int stage = SMTP_STAGE_BANNER; stage <= SMTP_STAGE_QUIT; stage++) {
        static const unsigned codes[] = {0, 220, 421, 451, 521, 554};

        for (size_t i = 0; i < COUNT_OF(codes); i++) {
            check_words("reply", connection_words_of_reply(codes[i], (enum smtp_stage)stage));
        }
    }
}

/* Different troubles have different words: that is what they are for. */
static void test_words_differ(void **state)
{
    static const struct {
        enum connection_fault fault;
        enum stream_end end;
        enum smtp_stage stage;
        const char *what;
    } cases[] = {
        {CONNECTION_FAULT_CONNECT, STREAM_END_REFUSED, SMTP_STAGE_BANNER, "connection refused"},
        {CONNECTION_FAULT_CONNECT, STREAM_END_RESET, SMTP_STAGE_BANNER, "connection reset"},
        {CONNECTION_FAULT_CONNECT, STREAM_END_TIMEOUT, SMTP_STAGE_BANNER, "no answer: timeout"},
        {CONNECTION_FAULT_CONNECT, STREAM_END_UNREACHABLE, SMTP_STAGE_BANNER,
         "network unreachable"},
        {CONNECTION_FAULT_END, STREAM_END_EOF, SMTP_STAGE_BANNER,
         "connection closed before the banner"},
        {CONNECTION_FAULT_END, STREAM_END_RESET, SMTP_STAGE_BANNER,
         "connection reset before the banner"},
        {CONNECTION_FAULT_END, STREAM_END_RESET, SMTP_STAGE_RCPT,
         "connection reset in the middle of the envelope"},
        {CONNECTION_FAULT_TIMEOUT, STREAM_END_EOF, SMTP_STAGE_BANNER,
         "connected, but no banner in time"},
        {CONNECTION_FAULT_TIMEOUT, STREAM_END_EOF, SMTP_STAGE_DOT,
         "no answer to the message in time"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct connection_words words =
            connection_words_of(cases[i].fault, cases[i].end, cases[i].stage);

        CHECK_TEXT(cases[i].what, words.what, cases[i].what);
        for (size_t j = 0; j < i; j++) {
            CHECK_TRUE(cases[i].what, strcmp(words.what, cases[j].what) != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_words_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
