#include "support/check.h"

#include "base/strbuf.h"
#include "forward/alias_check.h"
#include "forward/recipient_route.h"

static const struct siphash_key KEY = {{3, 4}};

enum { TODAY = 20000 };

static const char OWN[] = "postmaster: admin@x.test\n"
                          "abuse: admin@x.test\n"
                          "info: anna@x.test, bob@Y.test\n"
                          "all: info@own.test, ANNA@x.test, anna@X.test, info@second.test\n"
                          "no: :refuse: 553 5.7.27 Not for you\n"
                          "later: :defer:\n"
                          "void: :discard:\n"
                          "some: no@own.test, void@own.test, c@x.test\n"
                          "stuck: c@x.test, later@own.test\n"
                          "gone: void@own.test, no@own.test\n"
                          "empty: void@own.test\n"
                          "loop: loop@own.test\n"
                          "/team-.*/: team@x.test\n";
static const char SECOND[] = "postmaster: second@x.test\n"
                             "abuse: second@x.test\n"
                             "old: kept@x.test\n"
                             "*: *@new.test\n";

/* aliases and SRS addresses in the same domain, as small sites have it */
static const char BOTH[] = "srs0-list: list@x.test\n"
                           "*: any@x.test\n";

struct world {
    struct alias_table *aliases;
    struct srs_secret secret;
    struct srs_options srs;
    struct route_options options;
    struct arena *arena;
};

static void ignore_problem(void *context, const struct alias_problem *problem)
{
    (void)context;
    (void)problem; /* "loop" is wrong on purpose: the table was not refused */
}

static void set_up(struct world *world)
{
    struct alias_report report = {ignore_problem, NULL};

    *world = (struct world){.aliases = alias_table_new(KEY), .arena = arena_new()};
    alias_table_add_domain(world->aliases, BYTES("own.test"), BYTES(""));
    alias_table_add_domain(world->aliases, BYTES("Second.test"), BYTES("bounce.second.test"));
    alias_table_add_own_name(world->aliases, BYTES("mx.test"), false);
    alias_table_add_own_name(world->aliases, BYTES("srs.test"), true);
    alias_table_add_text(world->aliases, 0, 0, bytes_from_text(OWN), &report);
    alias_table_add_text(world->aliases, 1, 1, bytes_from_text(SECOND), &report);
    alias_table_add_domain(world->aliases, BYTES("both.test"), BYTES("both.test"));
    alias_table_add_text(world->aliases, 2, 2, bytes_from_text(BOTH), &report);
    world->secret = (struct srs_secret){BYTES("0123456789abcdef"), false};
    world->srs = (struct srs_options){.separator = '=',
                                      .max_age_days = 21,
                                      .secrets = &world->secret,
                                      .secret_count = 1,
                                      .is_own_domain = alias_table_is_own_domain,
                                      .own_domain_context = world->aliases};
    world->options = (struct route_options){
        .aliases = world->aliases, .srs = &world->srs, .srs_domain = BYTES("srs.test")};
}

static void tear_down(struct world *world)
{
    alias_table_free(&world->aliases);
    arena_free(&world->arena);
}

static struct smtp_mailbox mailbox(struct world *world, struct bytes path)
{
    struct smtp_mailbox result;
    size_t used;

    assert_int_equal(smtp_path_parse(path, true, world->arena, &result, &used), SMTP_PATH_OK);
    return result;
}

/* "kind alias srs-domain: target target" or "refuse 550 5.1.1 why" */
static void describe(const struct recipient_route *route, struct strbuf *out)
{
    static const char *const kinds[] = {[ROUTE_FORWARD] = "forward",
                                        [ROUTE_RETURN] = "return",
                                        [ROUTE_DISCARD] = "discard",
                                        [ROUTE_REFUSE] = "refuse",
                                        [ROUTE_NEEDS_TOKEN] = "needs-token"};

    if (route->kind == ROUTE_REFUSE) {
        strbuf_addf(out, "%s %u %s %s",
                    route->decision.disposition == DECISION_DEFER ? "defer" : "refuse",
                    route->decision.code, route->decision.enhanced, route->decision.why);
        assert_true(route->decision.text.len > 0);
        return;
    }
    strbuf_addf(out, "%s " BYTES_FMT, kinds[route->kind], BYTES_ARG(route->alias));
    if (route->kind == ROUTE_FORWARD) {
        strbuf_addf(out, " " BYTES_FMT, BYTES_ARG(route->srs_domain));
    }
    for (size_t i = 0; i < route->target_count; i++) {
        strbuf_add_char(out, ' ');
        smtp_mailbox_add(out, &route->targets[i]);
    }
}

static void check_route(struct world *world, const char *name, struct bytes sender,
                        struct bytes recipient, const struct route_token *token,
                        const char *want)
{
    struct smtp_mailbox from = mailbox(world, sender), to = mailbox(world, recipient);
    struct recipient_route route;
    struct strbuf got;

    strbuf_init(&got, 4096);
    recipient_route_find(&world->options, TODAY, &from, &to, token, world->arena, &route);
    describe(&route, &got);
    CHECK_TEXT(name, strbuf_text(&got), want);
    strbuf_clear(&got);
}

static const struct {
    const char *name;
    struct bytes recipient;
    const char *want;
} cases[] = {
    {"alias", BYTES("<Info@OWN.test>"),
     "forward Info@own.test srs.test anna@x.test bob@Y.test"},
    {"sub-address", BYTES("<info+a.b@own.test>"),
     "forward info+a.b@own.test srs.test anna@x.test bob@Y.test"},
    {"unknown", BYTES("<nobody@own.test>"), "refuse 550 5.1.1 unknown-recipient"},
    {"other domain", BYTES("<info@x.test>"), "refuse 550 5.7.1 relay-denied"},
    {"percent hack is a local part", BYTES("<info%x.test@own.test>"),
     "refuse 550 5.1.1 unknown-recipient"},
    {"domain below ours", BYTES("<info@sub.own.test>"), "refuse 550 5.7.1 relay-denied"},
    {"literal", BYTES("<info@[127.0.0.1]>"), "refuse 550 5.7.1 relay-denied"},
    {"regex", BYTES("<team-9@own.test>"), "forward team-9@own.test srs.test team@x.test"},
    {"nested without repeats", BYTES("<all@own.test>"),
     "forward all@own.test srs.test anna@x.test bob@Y.test ANNA@x.test info@new.test"},
    {"mapping", BYTES("<Any+tag@second.test>"),
     "forward Any+tag@second.test bounce.second.test Any+tag@new.test"},
    {"mapping of a quoted name", BYTES("<\"a b\"@second.test>"),
     "forward \"a b\"@second.test bounce.second.test \"a b\"@new.test"},
    {"name before mapping", BYTES("<old@second.test>"),
     "forward old@second.test bounce.second.test kept@x.test"},
    {"refuse", BYTES("<no@own.test>"), "refuse 553 5.7.27 alias-refuse"},
    {"defer", BYTES("<later@own.test>"), "defer 450 4.2.1 alias-defer"},
    {"discard", BYTES("<void@own.test>"), "discard void@own.test"},
    {"refused targets are left out", BYTES("<some@own.test>"),
     "forward some@own.test srs.test c@x.test"},
    {"one deferred target defers all", BYTES("<stuck@own.test>"),
     "defer 450 4.2.1 alias-defer"},
    {"discarded and refused", BYTES("<gone@own.test>"), "refuse 553 5.7.27 alias-refuse"},
    {"all discarded", BYTES("<empty@own.test>"), "discard empty@own.test"},
    {"a loop never spins", BYTES("<loop@own.test>"), "defer 451 4.3.5 alias-depth"},
    {"bare postmaster", BYTES("<PostMaster>"),
     "forward PostMaster@own.test srs.test admin@x.test"},
    {"postmaster of a domain", BYTES("<postmaster@second.test>"),
     "forward postmaster@second.test bounce.second.test second@x.test"},
    {"postmaster of our host name", BYTES("<postmaster@MX.test>"),
     "forward postmaster@own.test srs.test admin@x.test"},
    {"postmaster of the SRS domain", BYTES("<postmaster@srs.test>"),
     "forward postmaster@own.test srs.test admin@x.test"},
    {"others at our host name", BYTES("<info@mx.test>"), "refuse 550 5.1.1 unknown-recipient"},
    {"others in the SRS domain", BYTES("<info@bounce.second.test>"),
     "refuse 550 5.1.1 unknown-recipient"},
    {"SRS form outside an SRS domain", BYTES("<SRS0=a=b=x.test=u@own.test>"),
     "refuse 550 5.1.1 unknown-recipient"},
    {"an alias that looks like SRS", BYTES("<srs0-list@both.test>"),
     "forward srs0-list@both.test both.test list@x.test"},
    {"a catch-all takes no SRS address", BYTES("<SRS0=zzz@both.test>"),
     "refuse 550 5.1.3 srs-malformed"},
    {"nor a forged one", BYTES("<SRS1=AAAAAAAA=x.test==BB=AA=y.test=u@both.test>"),
     "refuse 550 5.7.1 srs-forged"},
    {"malformed", BYTES("<SRS0=zzz@srs.test>"), "refuse 550 5.1.3 srs-malformed"},
    {"forged", BYTES("<SRS0=AAAAAAAA=AA=x.test=u@srs.test>"), "refuse 550 5.7.1 srs-forged"},
};

static void test_cases(void **state)
{
    struct world world;

    (void)state;
    set_up(&world);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_route(&world, cases[i].name, BYTES("<>"), cases[i].recipient, NULL,
                    cases[i].want);
    }
    tear_down(&world);
}

/* An SRS address made on `day` in the given domain, between < and >. */
static struct bytes make_return(struct world *world, uint32_t day, struct bytes domain)
{
    struct smtp_mailbox sender = mailbox(world, BYTES("<User@sender.test>")), made;
    struct strbuf text;
    struct bytes path;

    assert_int_equal(srs_forward(&world->srs, domain, day, &sender, world->arena, &made),
                     SRS_OK);
    strbuf_init(&text, 1000);
    smtp_path_add(&text, &made);
    path = arena_copy(world->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return path;
}

static void test_returns(void **state)
{
    struct world world;
    struct bytes good;
    char want[400];

    (void)state;
    set_up(&world);
    good = make_return(&world, TODAY, BYTES("srs.test"));
    snprintf(want, sizeof want, "return %.*s User@sender.test", (int)good.len - 2,
             good.data + 1);
    check_route(&world, "good", BYTES("<>"), good, NULL, want);
    check_route(&world, "not from null", BYTES("<a@b.test>"), good, NULL,
                "refuse 550 5.7.1 srs-sender-not-null");
    world.options.accept_any_return = true;
    check_route(&world, "accept any", BYTES("<a@b.test>"), good, NULL, want);
    check_route(&world, "expired", BYTES("<>"),
                make_return(&world, TODAY - 22, BYTES("srs.test")), NULL,
                "refuse 550 5.1.6 srs-expired");
    check_route(&world, "future", BYTES("<>"),
                make_return(&world, TODAY + 5, BYTES("srs.test")), NULL,
                "refuse 550 5.7.1 srs-future");
    good = make_return(&world, TODAY - 3, BYTES("bounce.second.test"));
    snprintf(want, sizeof want, "return %.*s User@sender.test", (int)good.len - 2,
             good.data + 1);
    check_route(&world, "a domain's own SRS domain", BYTES("<>"), good, NULL, want);
    tear_down(&world);
}

static void test_tokens(void **state)
{
    struct world world;
    struct smtp_mailbox sender, made;
    struct route_token found = {true, BYTES("long.name@sender.test")};
    struct route_token gone = {true, BYTES("")}, not_asked = {false, BYTES("")};
    struct bytes token;
    struct strbuf text;
    char want[400];

    (void)state;
    set_up(&world);
    sender = mailbox(&world, BYTES("<long.name@sender.test>"));
    srs_forward_stored(&world.srs, BYTES("srs.test"), TODAY, &sender, world.arena, &made,
                       &token);
    strbuf_init(&text, 1000);
    smtp_path_add(&text, &made);
    snprintf(want, sizeof want, "needs-token %.*s", (int)text.len - 2, text.data + 1);
    check_route(&world, "not asked yet", BYTES("<>"), strbuf_bytes(&text), NULL, want);
    check_route(&world, "asked nothing", BYTES("<>"), strbuf_bytes(&text), &not_asked, want);
    snprintf(want, sizeof want, "return %.*s long.name@sender.test", (int)text.len - 2,
             text.data + 1);
    check_route(&world, "found", BYTES("<>"), strbuf_bytes(&text), &found, want);
    check_route(&world, "gone", BYTES("<>"), strbuf_bytes(&text), &gone,
                "refuse 550 5.1.6 srs-token-gone");
    strbuf_clear(&text);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
