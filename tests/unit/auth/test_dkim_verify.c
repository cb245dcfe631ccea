#include "support/check.h"

#include "auth/dkim_header_guard.h"
#include "auth/dkim_verify.h"

/* tests/e2e/test_dkim_interop.py has each way to be wrong; here is how the calls go together. */

#define ED25519_NAME "brisbane._domainkey.football.example.com"
#define RSA_NAME "test._domainkey.football.example.com"
#define ED25519_RECORD "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RSA_RECORD                                                                             \
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5" \
    "qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3"   \
    "rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

/* RFC 8463 A.3 */
#define ED25519_SIGNATURE                                                                      \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"                            \
    " d=football.example.com; i=@football.example.com;\r\n"                                    \
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"                                  \
    " subject : date : message-id : from : subject : date;\r\n"                                \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"                                    \
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"                          \
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define RSA_SIGNATURE                                                                          \
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"                                \
    " d=football.example.com; i=@football.example.com;\r\n"                                    \
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"                            \
    " date : message-id : from : subject : date;\r\n"                                          \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"                                    \
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"                          \
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"                          \
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define REST                                                                                   \
    "From: Joe SixPack <joe@football.example.com>\r\n"                                         \
    "To: Suzie Q <suzie@shopping.example.net>\r\n"                                             \
    "Subject: Is dinner ready?\r\n"                                                            \
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"                                          \
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define BODY "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n"

enum { SIGNED_AT = 1528637909 };

struct world {
    struct dkim_library *library;
    struct dns_facts *facts;
    struct arena *arena;
    struct dkim_verifier *verifier;
    struct dkim_verdicts verdicts;
};

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);

    world->library = dkim_library_new();
    world->facts = dns_facts_new();
    world->arena = arena_new();
    world->verifier = dkim_verifier_new(world->library, SIGNED_AT);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    dkim_verifier_free(&world->verifier);
    dkim_library_free(&world->library);
    dns_facts_free(&world->facts);
    arena_free(&world->arena);
    test_free(world);
    return 0;
}

static void put_text(struct world *world, const char *name, const char *text)
{
    struct dns_record record = {.type = DNS_TYPE_TXT, .text = bytes_from_text(text)};
    struct dns_answer answer = {.status = DNS_OK, .records = &record, .count = 1};

    dns_facts_put(world->facts, bytes_from_text(name), DNS_TYPE_TXT, &answer);
}

static size_t count_wanted(struct world *world)
{
    size_t count;

    (void)dns_facts_wanted(world->facts, &count);
    return count;
}

static enum auth_status finish(struct world *world)
{
    return dkim_verifier_finish(world->verifier, world->facts, world->arena, &world->verdicts);
}

static void check_verdict(struct world *world, size_t index, enum auth_result result,
                          const char *selector, const char *algorithm, const char *why)
{
    const struct dkim_verdict *verdict = &world->verdicts.verdicts[index];

    CHECK_TRUE(selector, index < world->verdicts.count);
    CHECK_INT(selector, verdict->result, result);
    CHECK_TEXT(selector, verdict->why, why);
    CHECK_BYTES(selector, verdict->selector, bytes_from_text(selector));
    CHECK_BYTES(selector, verdict->domain, BYTES("football.example.com"));
    CHECK_TEXT(selector, verdict->algorithm, algorithm);
}

static void test_replay(void **state)
{
    struct world *world = *state;

    dkim_verifier_header(world->verifier, BYTES(ED25519_SIGNATURE RSA_SIGNATURE REST "\r\n"),
                         world->facts);
    CHECK_INT("both keys are wanted", count_wanted(world), 2);
    CHECK_TRUE("open", dkim_verifier_needs_body(world->verifier));
    dkim_verifier_body(world->verifier, BYTES(BODY));
    CHECK_INT("no key", finish(world), AUTH_NEEDS_DNS);
    check_verdict(world, 0, AUTH_TEMPERROR, "brisbane", "ed25519-sha256",
                  "no answer for the key");
    check_verdict(world, 1, AUTH_TEMPERROR, "test", "rsa-sha256", "no answer for the key");
    put_text(world, ED25519_NAME, ED25519_RECORD);
    CHECK_INT("one key", finish(world), AUTH_NEEDS_DNS);
    CHECK_INT("the other is still wanted", count_wanted(world), 1);
    put_text(world, RSA_NAME, RSA_RECORD);
    CHECK_INT("both keys", finish(world), AUTH_DONE);
    check_verdict(world, 0, AUTH_PASS, "brisbane", "ed25519-sha256", NULL);
    check_verdict(world, 1, AUTH_PASS, "test", "rsa-sha256", NULL);
    CHECK_BYTES("b=", world->verdicts.verdicts[0].signature_start, BYTES("/gCrinpc"));
    CHECK_TRUE("settled", !dkim_verifier_needs_body(world->verifier));
    dns_facts_reset(world->facts);
    CHECK_INT("once more", finish(world), AUTH_DONE);
    check_verdict(world, 0, AUTH_PASS, "brisbane", "ed25519-sha256", NULL);
    CHECK_INT("nothing is asked again", count_wanted(world), 0);
}

static void test_cuts(void **state)
{
    struct world *world = *state;

    for (size_t cut = 0; cut <= sizeof BODY - 1; cut++) {
        dkim_verifier_free(&world->verifier);
        world->verifier = dkim_verifier_new(world->library, SIGNED_AT);
        put_text(world, RSA_NAME, RSA_RECORD);
        dkim_verifier_header(world->verifier, BYTES(RSA_SIGNATURE REST), world->facts);
        for (size_t at = 0; cut == 0 && at < sizeof BODY - 1; at++) {
            dkim_verifier_body(world->verifier, bytes_between(BYTES(BODY), at, at + 1));
        }
        dkim_verifier_body(world->verifier, bytes_first(BYTES(BODY), cut));
        dkim_verifier_body(world->verifier, bytes_skip(BYTES(BODY), cut == 0 ? 999 : cut));
        CHECK_INT("done", finish(world), AUTH_DONE);
        check_verdict(world, 0, AUTH_PASS, "test", "rsa-sha256", NULL);
    }
}

static void test_body_missing(void **state)
{
    struct world *world = *state;

    put_text(world, RSA_NAME, RSA_RECORD);
    dkim_verifier_header(world->verifier, BYTES(RSA_SIGNATURE REST), world->facts);
    CHECK_INT("done", finish(world), AUTH_DONE);
    check_verdict(world, 0, AUTH_FAIL, "test", "rsa-sha256", "body hash did not verify");
}

static void test_not_signed(void **state)
{
    struct world *world = *state;

    dkim_verifier_header(world->verifier, BYTES(REST "\r\n"), world->facts);
    CHECK_TRUE("no body", !dkim_verifier_needs_body(world->verifier));
    dkim_verifier_body(world->verifier, BYTES(BODY));
    CHECK_INT("done", finish(world), AUTH_DONE);
    CHECK_INT("none", world->verdicts.count, 0);
    CHECK_INT("nothing is asked", count_wanted(world), 0);
}

static void test_no_header_at_all(void **state)
{
    struct world *world = *state;

    CHECK_INT("done", finish(world), AUTH_DONE);
    CHECK_INT("none", world->verdicts.count, 0);
    dkim_verifier_header(world->verifier, BYTES(""), world->facts);
    CHECK_INT("done", finish(world), AUTH_DONE);
    CHECK_INT("none", world->verdicts.count, 0);
}

/* What cannot pass asks for no key and needs no body. */
static void test_settled_by_the_header(void **state)
{
    static const struct {
        const char *name;
        struct bytes header;
        enum auth_result want;
        const char *why;
    } cases[] = {
        {"unreadable", BYTES("DKIM-Signature: rubbish\r\n" REST), AUTH_PERMERROR,
         "signature cannot be read"},
        {"NUL", BYTES(RSA_SIGNATURE "X: \0\r\n" REST), AUTH_PERMERROR, "NUL in the header"},
        {"no From", BYTES(RSA_SIGNATURE "To: a@example.com\r\n"), AUTH_PERMERROR,
         "no usable From field"},
        {"rsa-sha1",
         BYTES("DKIM-Signature: v=1; a=rsa-sha1; d=a.example; s=s; h=from; bh=YQ==; "
               "b=YQ==\r\n" REST),
         AUTH_PERMERROR, "rsa-sha1 is not accepted"},
        {"expired",
         BYTES("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; x=1528637609; "
               "bh=YQ==;"
               " b=YQ==\r\n" REST),
         AUTH_FAIL, "signature expired"},
        {"from the future",
         BYTES("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; t=1528638210; "
               "bh=YQ==;"
               " b=YQ==\r\n" REST),
         AUTH_PERMERROR, "signed in the future"},
        {"no host name",
         BYTES("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=../s; h=from; bh=YQ==;"
               " b=YQ==\r\n" REST),
         AUTH_PERMERROR, "selector or domain is no host name"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dkim_verifier_free(&world->verifier);
        world->verifier = dkim_verifier_new(world->library, SIGNED_AT);
        dkim_verifier_header(world->verifier, cases[i].header, world->facts);
        CHECK_INT(cases[i].name, count_wanted(world), 0);
        CHECK_TRUE(cases[i].name, !dkim_verifier_needs_body(world->verifier));
        dkim_verifier_body(world->verifier, BYTES(BODY));
        CHECK_INT(cases[i].name, finish(world), AUTH_DONE);
        CHECK_INT(cases[i].name, world->verdicts.count, 1);
        CHECK_INT(cases[i].name, world->verdicts.verdicts[0].result, cases[i].want);
        CHECK_TEXT(cases[i].name, world->verdicts.verdicts[0].why, cases[i].why);
    }
}

/* One that is settled keeps its reason while the library works on another. */
static void test_settled_beside_open(void **state)
{
    struct world *world = *state;

    put_text(world, RSA_NAME, RSA_RECORD);
    dkim_verifier_header(world->verifier,
                         BYTES("DKIM-Signature: v=1; a=rsa-sha1; d=football.example.com; s=old;"
                               " h=from; bh=YQ==; b=YQ==\r\n" RSA_SIGNATURE
                               "DKIM-Signature: rubbish\r\n" REST),
                         world->facts);
    CHECK_INT("only what may pass is asked", count_wanted(world), 0);
    dkim_verifier_body(world->verifier, BYTES(BODY));
    CHECK_INT("done", finish(world), AUTH_DONE);
    CHECK_INT("count", world->verdicts.count, 3);
    check_verdict(world, 0, AUTH_PERMERROR, "old", "rsa-sha1", "rsa-sha1 is not accepted");
    check_verdict(world, 1, AUTH_PASS, "test", "rsa-sha256", NULL);
    CHECK_TEXT("third", world->verdicts.verdicts[2].why, "signature cannot be read");
}

static void test_answers_that_are_no_key(void **state)
{
    struct dns_record other = {.type = DNS_TYPE_CNAME, .name = BYTES("a.example")};
    struct dns_record two[] = {{.type = DNS_TYPE_TXT, .text = BYTES(RSA_RECORD)},
                               {.type = DNS_TYPE_TXT, .text = BYTES("other")}};
    struct dns_record nul = {.type = DNS_TYPE_TXT, .text = BYTES(RSA_RECORD "\0")};
    const struct {
        const char *name;
        struct dns_answer answer;
        enum auth_result want;
        const char *why;
    } cases[] = {
        {"no name", {.status = DNS_NXDOMAIN}, AUTH_PERMERROR, "key not found in DNS"},
        {"no data", {.status = DNS_NODATA}, AUTH_PERMERROR, "key not found in DNS"},
        {"no answer", {.status = DNS_TEMPFAIL}, AUTH_TEMPERROR, "no answer for the key"},
        {"no record", {.status = DNS_OK}, AUTH_PERMERROR, "key not found in DNS"},
        {"no TXT",
         {.status = DNS_OK, .records = &other, .count = 1},
         AUTH_PERMERROR,
         "not one key record"},
        {"two",
         {.status = DNS_OK, .records = two, .count = 2},
         AUTH_PERMERROR,
         "not one key record"},
        {"NUL",
         {.status = DNS_OK, .records = &nul, .count = 1},
         AUTH_PERMERROR,
         "bad key record"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dkim_verifier_free(&world->verifier);
        world->verifier = dkim_verifier_new(world->library, SIGNED_AT);
        dns_facts_reset(world->facts);
        dkim_verifier_header(world->verifier, BYTES(RSA_SIGNATURE REST), world->facts);
        dkim_verifier_body(world->verifier, BYTES(BODY));
        dns_facts_put(world->facts, BYTES(RSA_NAME), DNS_TYPE_TXT, &cases[i].answer);
        CHECK_INT(cases[i].name, finish(world), AUTH_DONE);
        check_verdict(world, 0, cases[i].want, "test", "rsa-sha256", cases[i].why);
    }
}

static void test_too_many_signatures(void **state)
{
    struct world *world = *state;
    struct strbuf header;

    strbuf_init(&header, DKIM_HEADER_LIMIT);
    for (int i = 0; i < DKIM_SIGNATURE_LIMIT + 3; i++) {
        strbuf_add_text(&header, RSA_SIGNATURE);
    }
    strbuf_add_text(&header, REST);
    put_text(world, RSA_NAME, RSA_RECORD);
    dkim_verifier_header(world->verifier, strbuf_bytes(&header), world->facts);
    dkim_verifier_body(world->verifier, BYTES(BODY));
    CHECK_INT("done", finish(world), AUTH_DONE);
    CHECK_INT("count", world->verdicts.count, DKIM_SIGNATURE_LIMIT);
    CHECK_INT("unchecked", world->verdicts.unchecked, 3);
    for (size_t i = 0; i < DKIM_SIGNATURE_LIMIT; i++) {
        check_verdict(world, i, AUTH_PASS, "test", "rsa-sha256", NULL);
    }
    strbuf_clear(&header);
}

/* The library gets its keys from dkim_key_cache, and a wrong key is wrong from there too. */
static void test_keys_are_kept(void **state)
{
    struct world *world = *state;

    put_text(world, RSA_NAME, RSA_RECORD);
    for (size_t turn = 0; turn < 6; turn++) {
        bool is_changed = turn % 2 == 1;

        dkim_verifier_free(&world->verifier);
        world->verifier = dkim_verifier_new(world->library, SIGNED_AT);
        dkim_verifier_header(world->verifier,
                             is_changed ? BYTES(RSA_SIGNATURE "Subject: added\r\n" REST)
                                        : BYTES(RSA_SIGNATURE REST),
                             world->facts);
        dkim_verifier_body(world->verifier, BYTES(BODY));
        CHECK_INT("done", finish(world), AUTH_DONE);
        check_verdict(world, 0, is_changed ? AUTH_FAIL : AUTH_PASS, "test", "rsa-sha256",
                      is_changed ? "signature did not verify" : NULL);
        CHECK_INT("one key", dkim_library_keys(world->library).keys, 1);
        CHECK_INT("parsed once", dkim_library_keys(world->library).misses, 1);
        CHECK_INT("then found", dkim_library_keys(world->library).hits, turn);
    }
}

/* Left in the middle: everything is given back (the sanitizers look). */
static void test_abandoned(void **state)
{
    struct world *world = *state;

    dkim_verifier_header(world->verifier, BYTES(RSA_SIGNATURE REST), world->facts);
    dkim_verifier_body(world->verifier, BYTES("Hi"));
    dkim_verifier_free(&world->verifier);
    dkim_verifier_free(&world->verifier);
    CHECK_TRUE("gone", world->verifier == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cuts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_body_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_signed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_header_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settled_by_the_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settled_beside_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_that_are_no_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abandoned, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
