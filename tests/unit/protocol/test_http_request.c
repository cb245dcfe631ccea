#include "support/check.h"

#include "protocol/http_request.h"

static void test_parameters(void **state)
{
    static const struct {
        const char *name;
        struct bytes target;
        const char *want; /* of q; NULL: there is none */
    } cases[] = {
        {"none", BYTES("/trace"), NULL},
        {"an empty query", BYTES("/trace?"), NULL},
        {"plain", BYTES("/trace?q=anna@x.example"), "anna@x.example"},
        {"encoded", BYTES("/trace?q=%3Canna%2Bb%40x.example%3E"), "<anna+b@x.example>"},
        {"blanks", BYTES("/trace?q=a+b%20c"), "a b c"},
        {"the first counts", BYTES("/?a=1&q=2&q=3"), "2"},
        {"empty", BYTES("/?q=&a=1"), ""},
        {"without a value", BYTES("/?q"), ""},
        {"broken", BYTES("/?q=%zz%4%"), "%zz%4%"},
        {"another one begins so", BYTES("/?qq=1&xq=2"), NULL},
        {"a fragment", BYTES("/?a=1#&q=2"), NULL},
        {"equals signs", BYTES("/?q=SRS0=a=b"), "SRS0=a=b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf value;
        strbuf_init(&value, 100);
        bool is_there = http_request_parameter(cases[i].target, "q", &value);
        CHECK_INT(cases[i].name, is_there, cases[i].want != NULL);
        if (is_there) {
            CHECK_TEXT(cases[i].name, strbuf_text(&value), cases[i].want);
        }
        strbuf_clear(&value);
    }
    CHECK_BYTES("path", http_request_path_of(BYTES("/a/b?c=/d")), BYTES("/a/b"));
}

static void test_hosts(void **state)
{
    static const struct {
        struct bytes host;
        bool want;
    } cases[] = {
        {BYTES("127.0.0.1"), true},
        {BYTES("127.0.0.1:8025"), true},
        {BYTES("192.0.2.1:1"), true},
        {BYTES("[::1]"), true},
        {BYTES("[::1]:65535"), true},
        {BYTES("[2001:db8::1]:80"), true},
        {BYTES("localhost"), true},
        {BYTES("LocalHost:8025"), true},
        {BYTES("localhost."), true},
        {BYTES("mx.own.test"), true},
        {BYTES("MX.OWN.TEST:80"), true},
        {BYTES(""), false},
        {BYTES(":80"), false},
        {BYTES("."), false},
        {BYTES("own.test"), false},
        {BYTES("a.mx.own.test"), false},
        {BYTES("mx.own.test.evil.example"), false},
        {BYTES("127.0.0.1.evil.example"), false},
        {BYTES("localhost:80:80"), false},
        {BYTES("localhost:65536"), false},
        {BYTES("localhost:x"), false},
        {BYTES("localhost@evil.example"), false},
        {BYTES("::1"), false},
        {BYTES("[::1"), false},
        {BYTES("[::1]x"), false},
        {BYTES("[evil.example]"), false},
        {BYTES("0x7f.1"), false},
        {BYTES("2130706433"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].host.data,
                  http_request_host_is_safe(cases[i].host, BYTES("mx.own.test")),
                  cases[i].want);
    }
    CHECK_INT("without a name of ours", http_request_host_is_safe(BYTES(""), BYTES("")), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
