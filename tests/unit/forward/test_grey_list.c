#include "support/check.h"

#include "forward/grey_list.h"

enum { MINUTE = 60 * 1000 };

#define HOUR (INT64_C(60) * MINUTE)
#define DAY (24 * HOUR)
#define NOW (INT64_C(1700000000000))

static const struct grey_options options = {
    .delay_ms = 5 * MINUTE, .window_ms = DAY, .memory_ms = 36 * DAY, .client_passes = 2};

static void test_whom_it_concerns(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum greylist_rule rule;
        enum auth_result spf, iprev;
        bool want;
    } cases[] = {
        {"off",                       GREYLIST_OFF,        AUTH_FAIL, AUTH_FAIL, false},
        {"all, however good",         GREYLIST_ALL,        AUTH_PASS, AUTH_PASS, true},
        {"both speak for it",         GREYLIST_SUSPICIOUS, AUTH_PASS, AUTH_PASS, false},
        {"no name leads back",        GREYLIST_SUSPICIOUS, AUTH_PASS, AUTH_FAIL, true},
        {"no SPF record",             GREYLIST_SUSPICIOUS, AUTH_NONE, AUTH_PASS, true},
        {"nobody knows yet",          GREYLIST_SUSPICIOUS, AUTH_TEMPERROR, AUTH_PASS, true},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sender_facts facts = {.spf = cases[i].spf, .iprev = cases[i].iprev};

        CHECK_INT(cases[i].name, grey_list_concerns(cases[i].rule, &facts), cases[i].want);
    }
}

struct three {
    const char *client, *sender_local, *sender_domain, *recipient_local;
};

static void add_key(struct strbuf *key, const struct three *three)
{
    struct smtp_mailbox sender = {.local = bytes_from_text(three->sender_local),
                                  .domain = bytes_from_text(three->sender_domain)};
    struct smtp_mailbox recipient = {.local = bytes_from_text(three->recipient_local),
                                     .domain = BYTES("example.org")};
    struct ip_address client;

    assert_true(ip_address_parse(bytes_from_text(three->client), &client));
    strbuf_init(key, GREY_KEY_LIMIT);
    grey_list_add_key(key, &client, &sender, &recipient);
}

static void test_what_is_the_same(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct three a, b;
        bool want;
    } cases[] = {
        {"a pool of servers",      {"192.0.2.1", "anna", "a.example", "info"}, {"192.0.2.99", "anna", "a.example", "info"}, true},
        {"another network",        {"192.0.2.1", "anna", "a.example", "info"}, {"192.0.3.1", "anna", "a.example", "info"}, false},
        {"one /64",                {"2001:db8::1", "anna", "a.example", "info"}, {"2001:db8::ffff:1", "anna", "a.example", "info"}, true},
        {"another /64",            {"2001:db8::1", "anna", "a.example", "info"}, {"2001:db8:0:1::1", "anna", "a.example", "info"}, false},
        {"case",                   {"192.0.2.1", "Anna", "A.example", "Info"}, {"192.0.2.1", "anna", "a.EXAMPLE", "info"}, true},
        {"numbers",                {"192.0.2.1", "bounce-123-anna", "a.example", "info"}, {"192.0.2.1", "bounce-98765-anna", "a.example", "info"}, true},
        {"a number is not nothing", {"192.0.2.1", "anna1", "a.example", "info"}, {"192.0.2.1", "anna", "a.example", "info"}, false},
        {"+anything",              {"192.0.2.1", "list+anna=x", "a.example", "info"}, {"192.0.2.1", "list+bob=y", "a.example", "info"}, true},
        {"SRS of two days",        {"192.0.2.1", "SRS0=ab12=TT=b.example=x", "f.example", "info"}, {"192.0.2.1", "srs0=cd34=TU=c.example=y", "f.example", "info"}, true},
        {"BATV of two days",       {"192.0.2.1", "prvs=0123abcdef=anna", "a.example", "info"}, {"192.0.2.1", "prvs=9876fedcba=anna", "a.example", "info"}, true},
        {"another recipient",      {"192.0.2.1", "anna", "a.example", "info"}, {"192.0.2.1", "anna", "a.example", "sales"}, false},
        {"another domain",         {"192.0.2.1", "anna", "a.example", "info"}, {"192.0.2.1", "anna", "b.example", "info"}, false},
        {"the null sender",        {"192.0.2.1", "", "", "info"}, {"192.0.2.1", "", "", "info"}, true},
        {"no sender for another",  {"192.0.2.1", "", "", "info"}, {"192.0.2.1", "a", "", "info"}, false},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf a, b;

        add_key(&a, &cases[i].a);
        add_key(&b, &cases[i].b);
        CHECK_INT(cases[i].name, bytes_equal(strbuf_bytes(&a), strbuf_bytes(&b)),
                  cases[i].want);
        strbuf_clear(&a);
        strbuf_clear(&b);
    }
}

static void test_a_sender_comes_again(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        bool is_known;
        struct grey_memory known;
        struct grey_answer want;
    } cases[] = {
        {"never here before", false, {0, 0, 0},
         {true, 5 * MINUTE, false, true, {NOW, NOW, 0}, NOW + DAY}},
        {"a moment before it is time", true, {NOW - 5 * MINUTE + 1, NOW - MINUTE, 0},
         {true, 1, false, false, {0, 0, 0}, 0}},
        {"when it is time", true, {NOW - 5 * MINUTE, NOW - 5 * MINUTE, 0},
         {false, 0, true, true, {NOW - 5 * MINUTE, NOW, 1}, NOW + 36 * DAY}},
        {"known, noted just now", true, {NOW - DAY, NOW - HOUR + 1, 1},
         {false, 0, false, false, {0, 0, 0}, 0}},
        {"known, noted an hour ago", true, {NOW - DAY, NOW - HOUR, 1},
         {false, 0, false, true, {NOW - DAY, NOW, 1}, NOW + 36 * DAY}},
        {"the clock was set back", true, {NOW + DAY, NOW + DAY, 0},
         {true, 5 * MINUTE, false, false, {0, 0, 0}, 0}},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].name;
        const struct grey_answer *want = &cases[i].want;
        struct grey_answer got =
            grey_list_judge(&options, NOW, cases[i].is_known ? &cases[i].known : NULL);

        CHECK_INT(name, got.is_deferred, want->is_deferred);
        CHECK_INT(name, got.wait_ms, want->wait_ms);
        CHECK_INT(name, got.is_new_pass, want->is_new_pass);
        CHECK_INT(name, got.is_noted, want->is_noted);
        CHECK_INT(name, got.memory.first_ms, want->memory.first_ms);
        CHECK_INT(name, got.memory.seen_ms, want->memory.seen_ms);
        CHECK_INT(name, got.memory.passes, want->memory.passes);
        CHECK_INT(name, got.expires_ms, want->expires_ms);
    }
}

static void test_a_network_becomes_known(void **state)
{
    struct grey_answer first = grey_list_count_client(&options, NOW, NULL);
    struct grey_answer second = grey_list_count_client(&options, NOW + 1, &first.memory);
    struct grey_options never = options;
    struct grey_answer answer;

    (void)state;
    never.client_passes = 0;
    CHECK_INT("first", first.memory.passes, 1);
    CHECK_INT("second", second.memory.passes, 2);
    CHECK_TRUE("nobody", !grey_list_knows_client(&options, NOW, NULL, &answer));
    CHECK_TRUE("once", !grey_list_knows_client(&options, NOW, &first.memory, &answer));
    CHECK_TRUE("often enough", grey_list_knows_client(&options, NOW, &second.memory, &answer));
    CHECK_TRUE("switched off", !grey_list_knows_client(&never, NOW, &second.memory, &answer));
}

static void test_memories_are_read_back(void **state)
{
    static const struct grey_memory memory = {NOW, NOW + 5, 7};
    static const char *const broken[] = {"",
                                         "1",
                                         "1 2",
                                         "1 2 ",
                                         "1 2 x",
                                         "1 2 3 4",
                                         "-1 2 3",
                                         "9223372036854775808 2 3",
                                         "1 2 4294967296"};
    struct grey_memory got;
    struct strbuf text;

    (void)state;
    strbuf_init(&text, GREY_MEMORY_LIMIT);
    grey_memory_add(&text, &memory);
    CHECK_TRUE("readable", grey_memory_read(strbuf_bytes(&text), &got));
    CHECK_INT("first", got.first_ms, memory.first_ms);
    CHECK_INT("seen", got.seen_ms, memory.seen_ms);
    CHECK_INT("passes", got.passes, memory.passes);
    strbuf_clear(&text);
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        CHECK_TRUE(broken[i], !grey_memory_read(bytes_from_text(broken[i]), &got));
    }
}

static void test_it_says_when_to_come(void **state)
{
    struct arena *arena = arena_new();
    struct grey_answer answer = {.is_deferred = true, .wait_ms = 1001};
    struct decision decision = grey_list_decision(&answer, arena);

    (void)state;
    CHECK_INT("temporary", decision.disposition, DECISION_DEFER);
    CHECK_INT("code", decision.code, 451);
    CHECK_BYTES("text", decision.text,
                BYTES("First mail from this sender and server; try again in 2 s"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whom_it_concerns),
        cmocka_unit_test(test_what_is_the_same),
        cmocka_unit_test(test_a_sender_comes_again),
        cmocka_unit_test(test_a_network_becomes_known),
        cmocka_unit_test(test_memories_are_read_back),
        cmocka_unit_test(test_it_says_when_to_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
