#include "support/check.h"

#include "auth/spf_macro.h"

static struct spf_macro_values sample_values(const char *client)
{
    struct spf_macro_values values = {
        .sender = BYTES("strong-bad@email.example.com"),
        .local = BYTES("strong-bad"),
        .sender_domain = BYTES("email.example.com"),
        .domain = BYTES("email.example.com"),
        .helo = BYTES("mail.example.com"),
        .receiver = BYTES("mx.example.org"),
        .client_name = BYTES("mx.example.com"),
        .unix_seconds = 1700000000,
    };
    struct ip_address address;

    ip_address_parse(bytes_from_text(client), &address);
    spf_macro_set_client(&values, &address);
    return values;
}

/* The examples of RFC 7208 §7.4, and what they leave open. */
static void test_expansion(void **state)
{
    static const struct {
        const char *text;
        const char *want4, *want6; /* NULL: as for IPv4 */
    } cases[] = {
        /* clang-format off */
        {"%{s}", "strong-bad@email.example.com", NULL},
        {"%{o}", "email.example.com", NULL},
        {"%{d}", "email.example.com", NULL},
        {"%{d4}", "email.example.com", NULL},
        {"%{d3}", "email.example.com", NULL},
        {"%{d2}", "example.com", NULL},
        {"%{d1}", "com", NULL},
        {"%{dr}", "com.example.email", NULL},
        {"%{d2r}", "example.email", NULL},
        {"%{l}", "strong-bad", NULL},
        {"%{l-}", "strong.bad", NULL},
        {"%{lr}", "strong-bad", NULL},
        {"%{lr-}", "bad.strong", NULL},
        {"%{l1r-}", "strong", NULL},
        {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com",
         "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"},
        {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com", NULL},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
         "bad.strong.lp.1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6."
         "_spf.example.com"},
        {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net", NULL},
        {"%{c}", "192.0.2.3", "2001:db8::cb01"},
        {"%{h}/%{p}/%{r}/%{t}", "mail.example.com/mx.example.com/mx.example.org/1700000000", NULL},
        {"%{S}", "strong-bad%40email.example.com", NULL},
        {"100%% %-%_.", "100% %20 .", NULL},
        {"%{l999-}", "strong.bad", NULL},
        /* clang-format on */
    };
    struct spf_macro_values values4 = sample_values("192.0.2.3");
    struct spf_macro_values values6 = sample_values("2001:db8::cb01");
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes text = bytes_from_text(cases[i].text);
        const char *want6 = cases[i].want6 == NULL ? cases[i].want4 : cases[i].want6;

        CHECK_TRUE(cases[i].text, spf_macro_is_valid(text, SPF_MACRO_IN_EXPLANATION));
        spf_macro_expand_text(text, &values4, 400, &out);
        CHECK_TEXT(cases[i].text, strbuf_text(&out), cases[i].want4);
        if (cases[i].want6 != NULL) {
            spf_macro_expand_text(text, &values6, 400, &out);
            CHECK_TEXT(cases[i].text, strbuf_text(&out), want6);
        }
    }
    strbuf_clear(&out);
}

static void add_many(struct strbuf *out, const char *text, unsigned times)
{
    for (; times > 0; times--) {
        strbuf_add_text(out, text);
    }
}

/* What a name cannot hold goes from its left, whole labels at a time. */
static void test_long_names(void **state)
{
    static const struct {
        const char *name, *part;
        unsigned times;
        const char *end;
        size_t want_len;
        const char *want_start;
    } cases[] = {
        {"plain text", "abcdefg.", 40, "x.example", 249, "abcdefg."},
        {"one octet too long", "abc.", 61, "xx.example", 250, "abc."},
        {"macros", "%{l}.", 1600, "x.example", 251, "strong-bad."},
        {"no dot to cut at", "%{l-}-", 1, "", 11, "strong.bad-"},
        {"one endless label", "aaaaaaaaaa", 30, "", 0, ""},
        {"empty macros", "%{h1}", 1600, "x.example", 9, "x.example"},
    };
    struct spf_macro_values values = sample_values("192.0.2.3");
    struct strbuf text, out;

    (void)state;
    values.helo = BYTES("ends.in.dot.");
    strbuf_init(&text, 10000);
    strbuf_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        strbuf_reset(&text);
        add_many(&text, cases[i].part, cases[i].times);
        strbuf_add_text(&text, cases[i].end);
        spf_macro_expand_domain(strbuf_bytes(&text), &values, &out);
        CHECK_INT(cases[i].name, out.len, cases[i].want_len);
        CHECK_TRUE(cases[i].name,
                   bytes_starts_with(strbuf_bytes(&out), bytes_from_text(cases[i].want_start)));
        CHECK_TRUE(cases[i].name,
                   bytes_ends_with_nocase(strbuf_bytes(&out), bytes_from_text(cases[i].end)) ||
                       cases[i].want_len == 0);
    }
    strbuf_clear(&text);
    strbuf_clear(&out);
}

/* A name for dns_facts: unusual octets as \ddd, no final dot. */
static void test_names(void **state)
{
    struct spf_macro_values values = sample_values("192.0.2.3");
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    values.local = BYTES("a\\065 b\xc3\xa9");
    spf_macro_expand_domain(BYTES("%{l}.x.example."), &values, &out);
    CHECK_TEXT("escapes", strbuf_text(&out), "a\\092065\\032b\\195\\169.x.example");
    strbuf_clear(&out);
}

static void test_text_is_cut(void **state)
{
    struct spf_macro_values values = sample_values("192.0.2.3");
    struct strbuf text, out;

    (void)state;
    strbuf_init(&text, 100000);
    strbuf_init(&out, 10000);
    add_many(&text, "%{s} is bad. ", 500);
    spf_macro_expand_text(strbuf_bytes(&text), &values, 400, &out);
    CHECK_INT("cut", out.len, 400);
    strbuf_clear(&text);
    strbuf_clear(&out);
}

static void test_uses(void **state)
{
    (void)state;
    CHECK_TRUE("p", spf_macro_uses(BYTES("x%{p}.y"), 'p'));
    CHECK_TRUE("P", spf_macro_uses(BYTES("%{P2r-}"), 'p'));
    CHECK_TRUE("text", !spf_macro_uses(BYTES("p%%{p}%{d}"), 'p'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_text_is_cut),
        cmocka_unit_test(test_uses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
