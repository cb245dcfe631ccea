#include "support/check.h"

#include "forward/client_rates.h"

#include <stdio.h>

#define HOUR_MS (UINT64_C(3600) * 1000)

static const struct siphash_key hash_key = {{1, 2}};

static struct ip_address address_of(const char *text)
{
    struct ip_address address;

    assert_true(ip_address_parse(bytes_from_text(text), &address));
    return address;
}

static enum client_verdict enter(struct client_rates *rates, const char *text,
                                 const struct client_limits *limits, uint64_t now_ms,
                                 struct client_row **row)
{
    struct ip_address address = address_of(text);

    return client_rates_enter(rates, &address, limits, now_ms, row);
}

/* Comes and goes. */
static enum client_verdict visit(struct client_rates *rates, const char *text,
                                 const struct client_limits *limits, uint64_t now_ms)
{
    struct client_row *row = NULL;
    enum client_verdict verdict = enter(rates, text, limits, now_ms, &row);

    if (verdict == CLIENT_WELCOME) {
        client_rates_leave(rates, row);
    }
    return verdict;
}

static void test_who_is_one_client(void **state)
{
    static const struct {
        const char *name, *first, *second;
        enum client_verdict want;
    } cases[] = {
        {"itself", "192.0.2.1", "192.0.2.1", CLIENT_CONNECTION_RATE},
        {"neighbours", "192.0.2.1", "192.0.2.2", CLIENT_WELCOME},
        {"one /64", "2001:db8::1", "2001:db8::ffff:0:0:2", CLIENT_CONNECTION_RATE},
        {"two /64 of a /48", "2001:db8:0:1::1", "2001:db8:0:2::1", CLIENT_WELCOME},
        {"this machine", "127.0.0.1", "127.0.0.1", CLIENT_WELCOME},
        {"this machine", "::1", "::1", CLIENT_WELCOME},
        {"not quite this machine", "127.0.0.2", "127.0.0.2", CLIENT_CONNECTION_RATE},
        {"our relay", "198.51.100.9", "198.51.100.9", CLIENT_WELCOME},
        {"beside it", "198.51.101.9", "198.51.101.9", CLIENT_CONNECTION_RATE},
    };
    struct ip_network relays;
    struct client_limits limits = {.connections = 1, .exempt = &relays, .exempt_count = 1};

    (void)state;
    assert_true(ip_network_parse(BYTES("198.51.100.0/24"), &relays));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client_rates *rates = client_rates_new(hash_key, 100);
        CHECK_INT(cases[i].name, visit(rates, cases[i].first, &limits, 1000), CLIENT_WELCOME);
        CHECK_INT(cases[i].name, visit(rates, cases[i].second, &limits, 1000), cases[i].want);
        CHECK_INT(cases[i].name, visit(rates, cases[i].second, &limits, 61000), CLIENT_WELCOME);
        client_rates_free(&rates);
    }
}

static void test_each_rate_for_itself(void **state)
{
    struct client_limits limits = {.connections = 2, .messages = 3, .recipients = 4};
    static const struct {
        enum client_doing doing;
        unsigned most;
        enum client_verdict beyond;
    } cases[] = {{CLIENT_SENDS_MESSAGE, 3, CLIENT_MESSAGE_RATE},
                 {CLIENT_NAMES_RECIPIENT, 4, CLIENT_RECIPIENT_RATE}};
    struct client_rates *rates = client_rates_new(hash_key, 100);
    struct client_row *row = NULL, *again = NULL;

    (void)state;
    CHECK_INT("in", enter(rates, "192.0.2.1", &limits, 0, &row), CLIENT_WELCOME);
    CHECK_INT("in twice", enter(rates, "192.0.2.1", &limits, 0, &again), CLIENT_WELCOME);
    CHECK_TRUE("one row", row == again);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (unsigned n = 0; n < cases[i].most; n++) {
            CHECK_INT("fine", client_rates_spend(row, &limits, cases[i].doing, 0),
                      CLIENT_WELCOME);
        }
        CHECK_INT("beyond", client_rates_spend(row, &limits, cases[i].doing, 0),
                  cases[i].beyond);
        CHECK_INT("later", client_rates_spend(row, &limits, cases[i].doing, 20000),
                  CLIENT_WELCOME);
    }
    CHECK_INT("connections", visit(rates, "192.0.2.1", &limits, 0), CLIENT_CONNECTION_RATE);
    client_rates_leave(rates, row);
    client_rates_leave(rates, again);
    client_rates_free(&rates);
}

/* Whoever has a /48 has 65536 clients. */
static void test_a_whole_network_of_clients(void **state)
{
    struct client_limits rate = {.connections = 10}, at_once = {.sessions = 10};
    struct client_rates *rates = client_rates_new(hash_key, 1000);
    struct client_row *row;
    unsigned visits = 0, sessions = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        char from[64];
        snprintf(from, sizeof from, "2001:db8:7:%x::1", i);
        visits += visit(rates, from, &rate, 0) == CLIENT_WELCOME;
        sessions += enter(rates, from, &at_once, 0, &row) == CLIENT_WELCOME;
    }
    CHECK_INT("a minute", visits, 10 * CLIENT_WIDE);
    CHECK_INT("at a time", sessions, 10 * CLIENT_WIDE);
    CHECK_INT("another one", visit(rates, "2001:db8:8::1", &rate, 0), CLIENT_WELCOME);
    client_rates_free(&rates);
}

/* A whole /32 of IPv6, a client each time: what is remembered is bounded, who is there is not
 * forgotten, and neither is a penalty as long as there is somebody else to forget. */
static void test_more_clients_than_there_is_room(void **state)
{
    enum { ROOM = 50 };
    struct client_limits limits = {.sessions = 1, .bad_signatures = 1, .penalty_ms = HOUR_MS};
    struct client_rates *rates = client_rates_new(hash_key, ROOM);
    struct client_row *steady, *bad;

    (void)state;
    CHECK_INT("steady", enter(rates, "192.0.2.1", &limits, 0, &steady), CLIENT_WELCOME);
    CHECK_INT("bad", enter(rates, "198.51.100.1", &limits, 0, &bad), CLIENT_WELCOME);
    CHECK_TRUE("penalty", client_rates_blame(bad, &limits, CLIENT_BAD_SIGNATURE, 0));
    client_rates_leave(rates, bad);
    for (unsigned i = 0; i < 20000; i++) {
        char from[64];
        snprintf(from, sizeof from, "2001:db8:%x:%x::1", i, i);
        CHECK_INT(from, visit(rates, from, &limits, 1000), CLIENT_WELCOME);
    }
    CHECK_INT("clients and neighbourhoods", client_rates_count(rates), 2 * ROOM);
    CHECK_INT("still there", visit(rates, "192.0.2.1", &limits, 1000), CLIENT_SESSIONS);
    CHECK_INT("still bad", visit(rates, "198.51.100.77", &limits, 1000), CLIENT_PENALTY);
    client_rates_leave(rates, steady);
    client_rates_free(&rates);
}

/* More have sessions than there is room for: none of them is forgotten. */
static void test_all_are_there(void **state)
{
    struct client_limits limits = {.sessions = 1};
    struct client_rates *rates = client_rates_new(hash_key, 5);
    struct client_row *rows[100];

    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char from[32];
        snprintf(from, sizeof from, "192.0.2.%u", i);
        CHECK_INT(from, enter(rates, from, &limits, 0, &rows[i]), CLIENT_WELCOME);
    }
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char from[32];
        snprintf(from, sizeof from, "192.0.2.%u", i);
        CHECK_INT(from, visit(rates, from, &limits, 0), CLIENT_SESSIONS);
        client_rates_leave(rates, rows[i]);
    }
    CHECK_INT("room for others", visit(rates, "203.0.113.1", &limits, 0), CLIENT_WELCOME);
    client_rates_free(&rates);
}

static void test_penalties(void **state)
{
    static const struct {
        const char *name;
        enum client_offence offence;
        size_t accepted;       /* before */
        unsigned harmless;     /* offences that do no harm; one more does */
        const char *neighbour; /* of 192.0.2.1 */
        enum client_verdict want, want_neighbour;
    } cases[] = {
        {"unknown recipients", CLIENT_UNKNOWN_RECIPIENT, 0, 20, "192.0.2.2", CLIENT_PENALTY,
         CLIENT_WELCOME},
        {"a mailing list", CLIENT_UNKNOWN_RECIPIENT, 300, 320, "192.0.2.2", CLIENT_PENALTY,
         CLIENT_WELCOME},
        {"forged addresses", CLIENT_BAD_SIGNATURE, 0, 2, "192.0.2.2", CLIENT_PENALTY,
         CLIENT_PENALTY},
        {"another network", CLIENT_BAD_SIGNATURE, 0, 2, "192.0.3.1", CLIENT_PENALTY,
         CLIENT_WELCOME},
        {"a pool of servers", CLIENT_BAD_SIGNATURE, 1000, 100, "192.0.2.2", CLIENT_PENALTY,
         CLIENT_PENALTY},
    };
    struct client_limits limits = {
        .unknown_recipients = 4, .bad_signatures = 3, .penalty_ms = HOUR_MS};
    struct client_limits none = {.unknown_recipients = 4, .bad_signatures = 3};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client_rates *rates = client_rates_new(hash_key, 100);
        struct client_row *row;
        CHECK_INT(cases[i].name, enter(rates, "192.0.2.1", &limits, 5, &row), CLIENT_WELCOME);
        client_rates_praise(row, cases[i].accepted, 5);
        for (unsigned n = 0; n < cases[i].harmless; n++) {
            CHECK_TRUE(cases[i].name, !client_rates_blame(row, &limits, cases[i].offence, 10));
        }
        CHECK_INT(cases[i].name, visit(rates, "192.0.2.1", &limits, 10), CLIENT_WELCOME);
        CHECK_TRUE(cases[i].name, client_rates_blame(row, &limits, cases[i].offence, 10));
        client_rates_leave(rates, row);
        CHECK_INT(cases[i].name, visit(rates, "192.0.2.1", &limits, 11), cases[i].want);
        CHECK_INT(cases[i].name, visit(rates, cases[i].neighbour, &limits, 11),
                  cases[i].want_neighbour);
        CHECK_INT(cases[i].name, visit(rates, "192.0.2.1", &limits, HOUR_MS + 9),
                  cases[i].want);
        CHECK_INT("no penalties any more", visit(rates, "192.0.2.1", &none, 11),
                  CLIENT_WELCOME);
        CHECK_INT("over", visit(rates, "192.0.2.1", &limits, HOUR_MS + 10), CLIENT_WELCOME);
        client_rates_free(&rates);
    }
}

static void test_what_is_long_ago(void **state)
{
    struct client_limits limits = {.unknown_recipients = 2, .penalty_ms = HOUR_MS};
    struct client_rates *rates = client_rates_new(hash_key, 100);
    struct client_row *row;
    uint64_t now_ms = 7;

    (void)state;
    CHECK_INT("in", enter(rates, "192.0.2.1", &limits, now_ms, &row), CLIENT_WELCOME);
    for (unsigned day = 0; day < 100; day++, now_ms += 24 * HOUR_MS) {
        for (unsigned n = 0; n < 9; n++) {
            CHECK_TRUE("nine a day",
                       !client_rates_blame(row, &limits, CLIENT_UNKNOWN_RECIPIENT, now_ms));
        }
    }
    client_rates_praise(row, 1000, now_ms);
    now_ms += 365 * 24 * HOUR_MS;
    for (unsigned n = 0; n < 10; n++) {
        CHECK_TRUE("ten", !client_rates_blame(row, &limits, CLIENT_UNKNOWN_RECIPIENT, now_ms));
    }
    CHECK_TRUE("merits of last year",
               client_rates_blame(row, &limits, CLIENT_UNKNOWN_RECIPIENT, now_ms - 1));
    client_rates_leave(rates, row);
    client_rates_free(&rates);
}

static void test_a_table_for_each(void **state)
{
    static const struct {
        const char *name, *first, *second;
        bool want;
    } cases[] = {
        {"one /24", "192.0.2.1", "192.0.2.255", true},
        {"two", "192.0.2.1", "192.0.3.1", false},
        {"one /48", "2001:db8::1", "2001:db8:0:ffff::1", true},
        {"two", "2001:db8::1", "2001:db8:1::1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip_address first = address_of(cases[i].first);
        struct ip_address second = address_of(cases[i].second);
        CHECK_INT(cases[i].name,
                  client_rates_hash(&hash_key, &first) == client_rates_hash(&hash_key, &second),
                  cases[i].want);
    }
}

static void check_standing(const char *name, struct client_rates *rates, const char *client,
                           const struct client_limits *limits, uint64_t now_ms,
                           const char *want)
{
    struct ip_address address = address_of(client);
    struct client_standing standing = client_rates_look(rates, &address, limits, now_ms);
    struct strbuf text;

    strbuf_init(&text, 4096);
    client_standing_add(&text, &standing);
    CHECK_TEXT(name, strbuf_text(&text), want);
    strbuf_clear(&text);
}

/* Asking changes nothing: not what is known, and not how much. */
static void test_looking_at_a_client(void **state)
{
    static const char nothing[] = "nothing is remembered of it\n";
    struct client_limits limits = {.connections = 2,
                                   .messages = 1,
                                   .recipients = 10,
                                   .unknown_recipients = 1,
                                   .bad_signatures = 1,
                                   .penalty_ms = 60000};
    struct client_rates *rates = client_rates_new(hash_key, 100);
    struct client_row *row = NULL;

    (void)state;
    for (int i = 0; i < 5; i++) {
        check_standing("nobody", rates, "192.0.2.1", &limits, 0, nothing);
        CHECK_INT("remembered", client_rates_count(rates), 0);
    }
    CHECK_INT("in", enter(rates, "192.0.2.1", &limits, 0, &row), CLIENT_WELCOME);
    check_standing("open", rates, "192.0.2.1", &limits, 0, "1 connection(s) of it are open\n");
    CHECK_INT("mail", client_rates_spend(row, &limits, CLIENT_SENDS_MESSAGE, 0),
              CLIENT_WELCOME);
    client_rates_praise(row, 3, 0);
    check_standing("used up", rates, "192.0.2.1", &limits, 0,
                   "it has sent as many messages as it may this minute\n"
                   "1 connection(s) of it are open\n"
                   "of late mail for 3 recipient(s) was taken from it\n");
    check_standing("a neighbour", rates, "192.0.2.2", &limits, 0, nothing);
    CHECK_INT("blamed", client_rates_blame(row, &limits, CLIENT_BAD_SIGNATURE, 0), true);
    client_rates_leave(rates, row);
    check_standing(
        "with its neighbours", rates, "192.0.2.2", &limits, 1500,
        "it is kept out for another 59 s: too many addresses that do not exist, or that "
        "were not made here\n");
    check_standing("over", rates, "192.0.2.2", &limits, 60000, nothing);
    check_standing("another network", rates, "198.51.100.1", &limits, 0, nothing);
    check_standing("this machine", rates, "127.0.0.1", &limits, 0,
                   "no rate is for it: a relay that is trusted, or this machine\n");
    client_rates_free(&rates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_one_client),
        cmocka_unit_test(test_each_rate_for_itself),
        cmocka_unit_test(test_a_whole_network_of_clients),
        cmocka_unit_test(test_more_clients_than_there_is_room),
        cmocka_unit_test(test_all_are_there),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_what_is_long_ago),
        cmocka_unit_test(test_a_table_for_each),
        cmocka_unit_test(test_looking_at_a_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
