/*
 * What operators are told about refusals: the options it names are those there are.
 */
#include "support/check.h"

#include "daemon/config_schema.h"
#include "forward/refusal_words.h"
#include "forward/reply_advice.h"

static const struct bytes whys[] = {
    BYTES("relay-denied"),
    BYTES("unknown-recipient"),
    BYTES("srs-expired"),
    BYTES("srs-sender-not-null"),
    BYTES("sender-too-long"),
    BYTES("greylisted"),
    BYTES("early-talker"),
    BYTES("pipelining"),
    BYTES("helo"),
    BYTES("helo-local"),
    BYTES("reverse-name"),
    BYTES("sender-domain"),
    BYTES("client-score"),
    BYTES("spf-fail"),
    BYTES("iprev"),
    BYTES("own-domain-spoof"),
    BYTES("dmarc-reject"),
    BYTES("dmarc-quarantine"),
    BYTES("doomed"),
    BYTES("spf-temperror"),
    BYTES("too-large"),
    BYTES("header-too-large"),
    BYTES("too-many-fields"),
    BYTES("field-too-large"),
    BYTES("blocked-file"),
    BYTES("mime-unreadable"),
    BYTES("header-nul"),
    BYTES("header-8bit"),
    BYTES("virus"),
    BYTES("spam"),
    BYTES("scan-failed"),
    BYTES("scan-too-large"),
    BYTES("hops"),
    BYTES("message-rate"),
    BYTES("recipient-rate"),
    BYTES("forward-budget"),
    BYTES("destination-budget"),
    BYTES("return-rate"),
    BYTES("return-used-up"),
    BYTES("storage-full"),
};

/* Each word of "policy { a b }" is an option of that block, or behind one of its options its value. */
static void check_options(const char *name, const char *text)
{
    const char *at = text;

    while ((at = strstr(at, " { ")) != NULL) {
        const char *begin = at, *end = strstr(at, " }");
        struct bytes rest, option;
        char block[32] = "";
        bool is_any = false;

        while (begin > text && begin[-1] != '"') {
            begin--;
        }
        CHECK_TRUE(name, end != NULL && (size_t)(at - begin) < sizeof block);
        memcpy(block, begin, (size_t)(at - begin));
        rest = bytes_of(at + 3, (size_t)(end - at - 3));
        while (rest.len > 0) {
            option = bytes_cut(&rest, ' ');
            is_any = is_any || config_schema_find(block, option) != NULL;
            CHECK_TRUE(name, is_any);
        }
        at = end;
    }
}

static void test_options_of_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whys); i++) {
        struct refusal_words words = refusal_words_of(whys[i]);

        CHECK_TRUE(whys[i].data, words.means != NULL && words.change != NULL);
        check_options(whys[i].data, words.change);
    }
    CHECK_TRUE("no such word", refusal_words_of(BYTES("nonsense")).means == NULL);
    CHECK_TRUE("none", refusal_words_of(BYTES("")).means == NULL);
}

static void test_options_of_advice(void **state)
{
    (void)state;
    for (int class = 0; class < REPLY_CLASS_COUNT; class ++) {
        struct reply_advice advice = reply_advice_of((enum reply_class) class, false);

        if (strstr(advice.what, "{ }") == NULL) {
            check_options(reply_class_text((enum reply_class) class), advice.what);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_refusals),
        cmocka_unit_test(test_options_of_advice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
