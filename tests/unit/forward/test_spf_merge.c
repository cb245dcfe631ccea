#include "support/check.h"

#include "auth/spf_record.h"
#include "forward/spf_merge.h"

static void merge(const char *records, const char *addresses, struct strbuf *out)
{
    struct bytes rest = bytes_from_text(records), texts[4];
    struct ip_address parsed[4];
    size_t record_count = 0, address_count = 0;

    while (rest.len > 0) {
        texts[record_count++] = bytes_cut(&rest, '|');
    }
    rest = bytes_from_text(addresses);
    while (rest.len > 0) {
        CHECK_TRUE(addresses,
                   ip_address_parse(bytes_cut(&rest, ' '), &parsed[address_count++]));
    }
    strbuf_reset(out);
    spf_merge_add(out, texts, record_count, parsed, address_count);
}

static void test_records(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *records, *addresses, *want;
    } cases[] = {
        {"none yet", "", "192.0.2.25", "v=spf1 ip4:192.0.2.25 -all"},
        {"both families", "", "192.0.2.25 2001:db8::25", "v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all"},
        {"no address", "", "", "v=spf1 -all"},
        {"one that has others", "v=spf1 mx include:_spf.example ~all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx include:_spf.example ~all"},
        {"before what refuses", "v=spf1 -ip4:192.0.2.0/24 -all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 -ip4:192.0.2.0/24 -all"},
        {"redirect stays, no all", "v=spf1 redirect=_spf.example", "192.0.2.25", "v=spf1 ip4:192.0.2.25 redirect=_spf.example"},
        {"behind all nothing counts, but it is kept", "v=spf1 -all mx", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx -all"},
        {"no last word", "v=spf1 mx", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx"},
        {"exp", "v=spf1 -all exp=why.example", "192.0.2.25", "v=spf1 ip4:192.0.2.25 exp=why.example -all"},
        {"there already", "v=spf1 ip4:192.0.2.25 -all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 -all"},
        {"two become one", "v=spf1 mx ~all|v=spf1 a MX -all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx a -all"},
        {"blanks", "v=spf1  mx   -all ", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx -all"},
        {"upper case", "V=SPF1 MX -ALL", "192.0.2.25", "v=spf1 ip4:192.0.2.25 MX -ALL"},
        {"a syntax error", "v=spf1 ipv4:192.0.2.1 -all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 -all"},
        {"one good, one bad", "v=spf1 nonsense ~all|v=spf1 mx ?all", "192.0.2.25", "v=spf1 ip4:192.0.2.25 mx ?all"},
        {"two redirects made a record that is a syntax error", "v=spf1 redirect=a.example|v=spf1 redirect=b.example", "192.0.2.25",
         "v=spf1 ip4:192.0.2.25 redirect=a.example include:b.example"},
        {"two explanations, the same", "v=spf1 mx exp=a.example -all|v=spf1 exp=b.example -all", "192.0.2.25",
         "v=spf1 ip4:192.0.2.25 mx exp=a.example -all"},
        {"nothing in it", "v=spf1", "192.0.2.25", "v=spf1 ip4:192.0.2.25"},
    };
    /* clang-format on */
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new();
        struct spf_record parsed;

        merge(cases[i].records, cases[i].addresses, &out);
        CHECK_BYTES(cases[i].name, strbuf_bytes(&out), bytes_from_text(cases[i].want));
        CHECK_TRUE(cases[i].name, spf_record_parse(strbuf_bytes(&out), arena, &parsed));
        arena_free(&arena);
    }
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
