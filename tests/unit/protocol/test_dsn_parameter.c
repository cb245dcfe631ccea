#include "support/check.h"

#include "protocol/dsn_parameter.h"

static void notify_is_read(void **state)
{
    static const struct {
        const char *value;
        bool want;
        unsigned notify;
    } cases[] = {
        {"NEVER", true, DSN_NOTIFY_NEVER},
        {"never", true, DSN_NOTIFY_NEVER},
        {"SUCCESS", true, DSN_NOTIFY_SUCCESS},
        {"Success,Failure,Delay", true,
         DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY},
        {"DELAY,FAILURE", true, DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY},
        {"NEVER,FAILURE", false, 0},
        {"FAILURE,FAILURE", false, 0},
        {"FAILURE,", false, 0},
        {",FAILURE", false, 0},
        {"", false, 0},
        {"SOMETIMES", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned notify = 0;

        CHECK_INT(cases[i].value, dsn_read_notify(bytes_from_text(cases[i].value), &notify),
                  cases[i].want);
        CHECK_INT(cases[i].value, notify, cases[i].notify);
    }
}

static void return_is_read(void **state)
{
    enum dsn_return ret = DSN_RETURN_UNSAID;

    (void)state;
    CHECK_TRUE("full", dsn_read_return(BYTES("Full"), &ret) && ret == DSN_RETURN_FULL);
    CHECK_TRUE("headers", dsn_read_return(BYTES("hdrs"), &ret) && ret == DSN_RETURN_HEADERS);
    CHECK_TRUE("something else", !dsn_read_return(BYTES("HEADERS"), &ret));
    CHECK_TRUE("nothing", !dsn_read_return(BYTES(""), &ret));
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes value;
    bool want_envid, want_orcpt, want_orcpt_utf8;
} XTEXTS[] = {
    {"plain", BYTES("QQ314159"), true, false, false},
    {"encoded", BYTES("a+2Bb+3Dc+20d"), true, false, false},
    {"small hex digits", BYTES("a+2bb"), false, false, false},
    {"cut off", BYTES("a+2"), false, false, false},
    {"control character", BYTES("a+0Ab"), false, false, false},
    {"DEL", BYTES("a+7Fb"), false, false, false},
    {"8 bits encoded", BYTES("a+E4b"), false, false, false},
    {"equals sign", BYTES("a=b"), false, false, false},
    {"blank", BYTES("a b"), false, false, false},
    {"8 bits", BYTES("a\xc3\xa4"), false, false, false},
    {"nothing", BYTES(""), false, false, false},
    {"address", BYTES("rfc822;a@b.test"), true, true, true},
    {"address in xtext", BYTES("rfc822;a+2Bb@b.test"), true, true, true},
    {"no type", BYTES(";a@b.test"), true, false, false},
    {"no address", BYTES("rfc822;"), true, false, false},
    {"a type that is none", BYTES("rfc 822;a"), false, false, false},
    {"another type", BYTES("X.400-thing;x"), true, false, false},
    {"another type that is an atom", BYTES("X400;x"), true, true, true},
    {"UTF-8", BYTES("utf-8;j\xc3\xb6@b.test"), false, false, true},
    {"UTF-8 as rfc822", BYTES("rfc822;j\xc3\xb6@b.test"), false, false, false},
    {"broken UTF-8", BYTES("utf-8;j\xc3@b.test"), false, false, false},
    {"UTF-8 by numbers", BYTES("UTF-8;j\\x{F6}@b.test"), true, true, true},
    {"UTF-8 with a blank", BYTES("utf-8;j\xc3\xb6 @b.test"), false, false, false},
    {"UTF-8 with an equals sign", BYTES("utf-8;j\xc3\xb6=@b.test"), false, false, false},
};
/* clang-format on */

static void xtext_is_checked(void **state)
{
    char longest[DSN_ORCPT_LIMIT + 1];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(XTEXTS); i++) {
        CHECK_INT(XTEXTS[i].name, dsn_envid_is_valid(XTEXTS[i].value), XTEXTS[i].want_envid);
        CHECK_INT(XTEXTS[i].name, dsn_orcpt_is_valid(XTEXTS[i].value, false),
                  XTEXTS[i].want_orcpt);
        CHECK_INT(XTEXTS[i].name, dsn_orcpt_is_valid(XTEXTS[i].value, true),
                  XTEXTS[i].want_orcpt_utf8);
    }
    memset(longest, 'x', sizeof longest);
    CHECK_TRUE("envid at its limit", dsn_envid_is_valid(bytes_of(longest, DSN_ENVID_LIMIT)));
    CHECK_TRUE("envid over it", !dsn_envid_is_valid(bytes_of(longest, DSN_ENVID_LIMIT + 1)));
    memcpy(longest, "rfc822;", 7);
    CHECK_TRUE("orcpt at its limit",
               dsn_orcpt_is_valid(bytes_of(longest, DSN_ORCPT_LIMIT), false));
    CHECK_TRUE("orcpt over it",
               !dsn_orcpt_is_valid(bytes_of(longest, DSN_ORCPT_LIMIT + 1), false));
}

enum {
    S = DSN_NOTIFY_SUCCESS,
    F = DSN_NOTIFY_FAILURE,
    D = DSN_NOTIFY_DELAY,
    N = DSN_NOTIFY_NEVER
};

static void wishes_are_combined(void **state)
{
    static const struct {
        unsigned one, other, both;
    } cases[] = {
        {0, 0, 0}, {N, N, N}, {N, S, S}, {N, 0, 0}, {0, S, S | F}, {S, D, S | D}, {F, 0, F},
    };
    static const struct {
        unsigned notify, want;
    } without[] = {{0, 0}, {N, N}, {S, N}, {S | F, F}, {S | F | D, F | D}, {D, D}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT("both", dsn_notify_both(cases[i].one, cases[i].other), cases[i].both);
        CHECK_INT("both", dsn_notify_both(cases[i].other, cases[i].one), cases[i].both);
    }
    for (size_t i = 0; i < COUNT_OF(without); i++) {
        CHECK_INT("without success", dsn_notify_without_success(without[i].notify),
                  without[i].want);
    }
    CHECK_TRUE("unsaid", dsn_wants_failure(0) && dsn_wants_delay(0) && !dsn_wants_success(0));
    CHECK_TRUE("never", !dsn_wants_failure(N) && !dsn_wants_delay(N) && !dsn_wants_success(N));
    CHECK_TRUE("success", !dsn_wants_failure(S) && !dsn_wants_delay(S) && dsn_wants_success(S));
}

static void parameters_are_written(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 1000);
    dsn_add_mail_parameters(&out, DSN_RETURN_UNSAID, BYTES(""));
    dsn_add_rcpt_parameters(&out, 0, BYTES(""), false);
    CHECK_BYTES("nothing", strbuf_bytes(&out), BYTES(""));
    dsn_add_mail_parameters(&out, DSN_RETURN_HEADERS, BYTES("x+2B"));
    dsn_add_mail_parameters(&out, DSN_RETURN_FULL, BYTES(""));
    CHECK_BYTES("mail", strbuf_bytes(&out), BYTES(" RET=HDRS ENVID=x+2B RET=FULL"));
    strbuf_reset(&out);
    dsn_add_rcpt_parameters(&out, S | F | D, BYTES("rfc822;a@b"), false);
    dsn_add_rcpt_parameters(&out, N, BYTES(""), true);
    CHECK_BYTES("rcpt", strbuf_bytes(&out),
                BYTES(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a@b NOTIFY=NEVER"));
    strbuf_reset(&out);
    dsn_add_rcpt_parameters(&out, 0, BYTES("utf-8;j\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80@b"),
                            false);
    dsn_add_rcpt_parameters(&out, 0, BYTES("utf-8;j\xc3\xb6@b"), true);
    CHECK_BYTES("UTF-8", strbuf_bytes(&out),
                BYTES(" ORCPT=utf-8;j\\x{F6}\\x{20AC}\\x{1F600}@b ORCPT=utf-8;j\xc3\xb6@b"));
    strbuf_reset(&out);
    dsn_add_orcpt(&out, BYTES("\"a +b\"=@x.test"));
    CHECK_BYTES("orcpt", strbuf_bytes(&out), BYTES("rfc822;\"a+20+2Bb\"+3D@x.test"));
    CHECK_TRUE("is one", dsn_orcpt_is_valid(strbuf_bytes(&out), false));
    strbuf_reset(&out);
    dsn_xtext_decode(&out, BYTES("a+20+2Bb+3D+2+"));
    CHECK_BYTES("decoded", strbuf_bytes(&out), BYTES("a +b=+2+"));
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notify_is_read),         cmocka_unit_test(return_is_read),
        cmocka_unit_test(xtext_is_checked),       cmocka_unit_test(wishes_are_combined),
        cmocka_unit_test(parameters_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
