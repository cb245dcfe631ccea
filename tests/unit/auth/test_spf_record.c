#include "support/check.h"

#include "auth/spf_record.h"

static void test_selection(void **state)
{
    static const struct {
        const char *name;
        struct bytes text;
        bool want;
    } cases[] = {
        {"alone", BYTES("v=spf1"), true},
        {"case", BYTES("V=SpF1 -all"), true},
        {"no space", BYTES("v=spf1-all"), false},
        {"other version", BYTES("v=spf10 -all"), false},
        {"tab", BYTES("v=spf1\t-all"), false},
        {"space first", BYTES(" v=spf1 -all"), false},
        {"nothing", BYTES(""), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name, spf_record_is_spf(cases[i].text), cases[i].want);
    }
}

/* What parses, and what does not; a record is refused for any error, wherever it stands. */
static void test_grammar(void **state)
{
    static const struct {
        const char *term;
        bool want;
    } cases[] = {
        /* clang-format off */
        {"", true}, {"all", true}, {"-all", true}, {"--all", false}, {"-", false}, {"ALL", true},
        {"all:", false}, {"all/8", false}, {"all.", false}, {"!all", false},
        {"a", true}, {"a:", false}, {"a/24", true}, {"a//64", true}, {"a/24//64", true},
        {"a/24/64", false}, {"a//64/24", false}, {"a/33", false}, {"a//129", false},
        {"a/032", false}, {"a/", false}, {"a//", false}, {"a///64", false},
        {"a/0", true}, {"a//0", true}, {"a/00", false}, {"a/1000", false}, {"a/-1", false},
        {"a:x.example", true}, {"a:x.example.", true}, {"a:x.example..", false},
        {"a:x.example/24//64", true}, {"a:example", false}, {"a:.example", true},
        {"a:1.2.3.4", false}, {"a:x.1a", true}, {"a:x.a-1", true}, {"a:x.-a", false},
        {"a:x.a-", false}, {"a:x.a_b", false}, {"a:x:8080.example", true},
        {"a:%{d}", true}, {"a:%{d}.", false}, {"a:%%", true}, {"a:x%", false}, {"a:%{d", false},
        {"a:%{c}.example", false}, {"a:%{t}", false}, {"a:%{r}", false}, {"a:%{q}", false},
        {"a:%{d1r.-}", true}, {"a:%{dr1}", false}, {"a:%{d0}", false}, {"a:%{d129}", true},
        {"a:%{d99999999999999999999}", true}, {"a:%{d.-+,/_=}", true}, {"a:%{d|}", false},
        {"a:%{}", false}, {"a:%{1}", false}, {"a:%(d)", false}, {"a:%{d}/24", true},
        {"mx", true}, {"mx:x.example//0", true}, {"mx=x", true}, {"mx:", false},
        {"ptr", true}, {"ptr:x.example", true}, {"ptr/24", false}, {"ptr:", false},
        {"exists", false}, {"exists:", false}, {"exists:%{ir}.x.example", true},
        {"exists:x.example/24", false}, {"include", false}, {"include:", false},
        {"include:x.example", true}, {"include:x.example/24", false}, {"include=x", true},
        {"ip4:192.0.2.1", true}, {"ip4:192.0.2.1/0", true}, {"ip4:192.0.2.1/32", true},
        {"ip4:192.0.2.1/33", false}, {"ip4:192.0.2.1//32", false}, {"ip4:192.0.2", false},
        {"ip4:192.0.2.01", false}, {"ip4:::ffff:192.0.2.1", false}, {"ip4", false},
        {"ip4:192.0.2.1:25", false}, {"ip4:", false}, {"ip4:x.example", false},
        {"ip6:2001:db8::", true}, {"ip6:2001:db8::/129", false}, {"ip6:2001:db8::/0", true},
        {"ip6:::ffff:192.0.2.1", true}, {"ip6:192.0.2.1", false}, {"ip6:::1//64", false},
        {"ip6::cafe::1", false}, {"ip6:2001:db8::/064", false}, {"ip6:::1%lo", false},
        {"redirect=x.example", true}, {"redirect:x.example", false}, {"redirect=", false},
        {"redirect=x.example redirect=x.example", false}, {"-redirect=x.example", false},
        {"exp=x.example", true}, {"exp=", false}, {"exp=%{c}", false}, {"EXP=x.example", true},
        {"exp=x.example exp=y.example", false}, {"exp", false}, {"redirect=example", false},
        {"z=", true}, {"z=%{c}%{t}", true}, {"z=%x", false}, {"z=% ", false}, {"=z", false},
        {"1z=x", false}, {"z.a-b_c=x:y/z", true}, {"z/a=x", false}, {"exp-text=%{d}", true},
        {"z=1 z=2", true}, {"unknown", false}, {"unknown:x", false}, {"a\tmx", false},
        {"  a   mx  ", true}, {"a:x.\xc3\xa9x", false}, {"z=\x7f", false}, {"\x01", false},
        /* clang-format on */
    };
    struct arena *arena = arena_new();
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct spf_record record;

        strbuf_reset(&text);
        strbuf_addf(&text, "v=spf1 ip4:198.51.100.1 %s", cases[i].term);
        CHECK_INT(cases[i].term, spf_record_parse(strbuf_bytes(&text), arena, &record),
                  cases[i].want);
        strbuf_addf(&text, " ip4:198.51.100.2");
        CHECK_INT(cases[i].term, spf_record_parse(strbuf_bytes(&text), arena, &record),
                  cases[i].want);
    }
    strbuf_clear(&text);
    arena_free(&arena);
}

static void test_terms(void **state)
{
    struct bytes text = BYTES("v=spf1 ~A:x.example/24//64 -ip6:::FFFF:192.0.2.1/100 "
                              "Redirect=r.example ?mx//7 all EXP=e.example ip4:1.2.3.4");
    struct arena *arena = arena_new();
    struct spf_record record;
    const struct spf_term *term;

    (void)state;
    assert_true(spf_record_parse(text, arena, &record));
    term = record.terms;
    CHECK_INT("a", term->mechanism, SPF_MECHANISM_A);
    CHECK_INT("a", term->qualifier, '~');
    CHECK_INT("a", term->prefix4, 24);
    CHECK_INT("a", term->prefix6, 64);
    CHECK_BYTES("a", term->domain_spec, BYTES("x.example"));
    CHECK_BYTES("a", term->text, BYTES("~A:x.example/24//64"));
    term = term->next;
    CHECK_INT("ip6", term->mechanism, SPF_MECHANISM_IP6);
    CHECK_INT("ip6 stays IPv6", term->address.family, IP_V6);
    CHECK_INT("ip6", term->address.octets[11], 0xff);
    CHECK_INT("ip6", term->prefix6, 100);
    term = term->next;
    CHECK_INT("mx", term->mechanism, SPF_MECHANISM_MX);
    CHECK_INT("mx", term->qualifier, '?');
    CHECK_INT("mx", term->prefix4, 32);
    CHECK_INT("mx", term->prefix6, 7);
    CHECK_INT("all", term->next->mechanism, SPF_MECHANISM_ALL);
    CHECK_TRUE("behind all", term->next->next == NULL && record.has_all);
    CHECK_BYTES("redirect", record.redirect, BYTES("r.example"));
    CHECK_BYTES("exp", record.explanation, BYTES("e.example"));
    arena_free(&arena);
}

static void test_limits(void **state)
{
    struct arena *arena = arena_new();
    struct spf_record record;
    struct strbuf text;
    unsigned count = 0;

    (void)state;
    strbuf_init(&text, 2 * SPF_RECORD_LIMIT);
    strbuf_add_text(&text, "v=spf1");
    while (text.len + 2 <= SPF_RECORD_LIMIT) {
        strbuf_add_text(&text, " a");
    }
    assert_true(spf_record_parse(strbuf_bytes(&text), arena, &record));
    for (const struct spf_term *term = record.terms; term != NULL; term = term->next) {
        count++;
    }
    CHECK_INT("terms kept", count, SPF_TERM_LIMIT + 1);
    strbuf_add_text(&text, " a");
    CHECK_TRUE("too long", !spf_record_parse(strbuf_bytes(&text), arena, &record));
    strbuf_clear(&text);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
