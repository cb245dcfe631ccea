#include "support/check.h"

#include "forward/rewrite_plan.h"

enum { TODAY = 20778 };

static bool is_own_domain(void *context, struct bytes domain)
{
    (void)context;
    return bytes_equal_nocase(domain, BYTES("srs.example.org")) ||
           bytes_equal_nocase(domain, BYTES("example.org"));
}

static const struct srs_secret secret = {{"0123456789abcdef", 16}, false};
static const struct srs_options srs = {.format = SRS_FORMAT_CLASSIC,
                                       .separator = '=',
                                       .max_age_days = 21,
                                       .secrets = &secret,
                                       .secret_count = 1,
                                       .is_own_domain = is_own_domain};

#define LONG_SENDER "bounces+12345678-abcd-someone=example.org@em1234.mailer.example"

static void test_plans(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum route_kind route;
        struct bytes srs_domain, sender;
        enum long_sender_rule rule;
        enum rewrite_kind want;
        struct bytes want_sender;
    } cases[] = {
        {"forward", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES("alice@example.net"), LONG_SENDER_STORE, REWRITE_SRS,
         BYTES("SRS0=5JPe=JK=example.net=alice@srs.example.org")},
        {"forward, quoted", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES("\"a b\"@example.net"), LONG_SENDER_STORE, REWRITE_SRS,
         BYTES("\"SRS0=C8Gj=JK=example.net=a b\"@srs.example.org")},
        {"null sender", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES(""), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("")},
        {"own domain", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES("\"x y\"@example.org"), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("\"x y\"@example.org")},
        {"return of a bounce", ROUTE_RETURN, BYTES(""), BYTES(""), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("")},
        {"return of other mail", ROUTE_RETURN, BYTES(""), BYTES("alice@example.net"), LONG_SENDER_STORE, REWRITE_SRS,
         BYTES("SRS0=5JPe=JK=example.net=alice@fwd.example.org")},
        {"reply to an author", ROUTE_REPLY, BYTES("srs.example.org"), BYTES("alice@example.net"), LONG_SENDER_STORE, REWRITE_SRS,
         BYTES("SRS0=5JPe=JK=example.net=alice@srs.example.org")},
        {"reply from an alias of ours", ROUTE_REPLY, BYTES("srs.example.org"), BYTES("bob@example.org"), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("bob@example.org")},
        {"bounce to an author", ROUTE_REPLY, BYTES("srs.example.org"), BYTES(""), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("")},
        {"discard", ROUTE_DISCARD, BYTES("srs.example.org"), BYTES("alice@example.net"), LONG_SENDER_STORE, REWRITE_KEEP, BYTES("alice@example.net")},
        {"literal", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES("a@[192.0.2.1]"), LONG_SENDER_STORE, REWRITE_REFUSE, BYTES("")},
        {"long, refused", ROUTE_FORWARD, BYTES("srs.example.org"), BYTES(LONG_SENDER), LONG_SENDER_REFUSE, REWRITE_REFUSE, BYTES("")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recipient_route route = {.kind = cases[i].route,
                                        .srs_domain = cases[i].srs_domain,
                                        .alias = BYTES("info@fwd.example.org")};
        struct smtp_mailbox sender = {.is_literal = false};
        struct rewrite_plan plan;

        if (cases[i].sender.len != 0) {
            CHECK_INT(cases[i].name,
                      smtp_mailbox_parse(cases[i].sender, true, true, arena, &sender),
                      SMTP_PATH_OK);
        }
        rewrite_plan_make(&srs, cases[i].rule, &route, TODAY, &sender, arena, &plan);
        CHECK_INT(cases[i].name, plan.kind, cases[i].want);
        CHECK_BYTES(cases[i].name, plan.sender, cases[i].want_sender);
        CHECK_INT(cases[i].name, plan.token.len, 0);
        CHECK_INT(cases[i].name, plan.decision.code, cases[i].want == REWRITE_REFUSE ? 553 : 0);
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void test_stored(void **state)
{
    struct recipient_route route = {.kind = ROUTE_FORWARD,
                                    .srs_domain = BYTES("srs.example.org")};
    struct smtp_mailbox sender, address, original;
    struct rewrite_plan plan;
    struct arena *arena = arena_new();
    struct bytes token;

    (void)state;
    CHECK_INT("sender", smtp_mailbox_parse(BYTES(LONG_SENDER), true, true, arena, &sender),
              SMTP_PATH_OK);
    rewrite_plan_make(&srs, LONG_SENDER_STORE, &route, TODAY, &sender, arena, &plan);
    CHECK_INT("kind", plan.kind, REWRITE_STORE);
    CHECK_BYTES("stored", plan.stored, BYTES(LONG_SENDER));
    CHECK_INT("address", smtp_mailbox_parse(plan.sender, false, false, arena, &address),
              SMTP_PATH_OK);
    CHECK_INT("token", srs_reverse(&srs, TODAY, &address, arena, &original, &token), SRS_TOKEN);
    CHECK_BYTES("token", token, plan.token);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
