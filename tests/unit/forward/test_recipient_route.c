#include "support/check.h"

#include "base/strbuf.h"
#include "forward/alias_check.h"
#include "forward/recipient_route.h"
#include "mail/reply_address.h"

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
                          "safe: a@x.test, inner@own.test, b@x.test :fallback: \"s x\"@Y.test\n"
                          "inner: c@x.test, d@x.test, a@x.test :fallback: in@y.test\n"
                          "uni: a@x.test :fallback: b@B\xc3\xbc"
                          "cher.test\n"
                          "/team-.*/: team@x.test\n";
static const char SECOND[] = "postmaster: second@x.test\n"
                             "abuse: second@x.test\n"
                             "old: kept@x.test\n"
                             "*: *@new.test\n";

/* aliases and SRS addresses in the same domain, as small sites have it */
static const char BOTH[] = "srs0-list: list@x.test\n"
                           "reply0-all: all@x.test\n"
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
    static const char *const kinds[] = {
        [ROUTE_FORWARD] = "forward", [ROUTE_RETURN] = "return",
        [ROUTE_REPLY] = "reply",     [ROUTE_DISCARD] = "discard",
        [ROUTE_REFUSE] = "refuse",   [ROUTE_NEEDS_TOKEN] = "needs-token"};

    if (route->kind == ROUTE_REFUSE) {
        strbuf_addf(out, "%s %u %s %s",
                    route->decision.disposition == DECISION_DEFER ? "defer" : "refuse",
                    route->decision.code, route->decision.enhanced, route->decision.why);
        assert_true(route->decision.text.len > 0);
        return;
    }
    strbuf_addf(out, "%s " BYTES_FMT, kinds[route->kind], BYTES_ARG(route->alias));
    if (route->kind == ROUTE_FORWARD || route->kind == ROUTE_REPLY) {
        strbuf_addf(out, " " BYTES_FMT, BYTES_ARG(route->srs_domain));
    }
    for (size_t i = 0; i < route->target_count; i++) {
        strbuf_add_char(out, ' ');
        smtp_mailbox_add(out, &route->targets[i]);
        if (route->fallbacks != NULL && route->fallbacks[i].len > 0) {
            strbuf_addf(out, "|" BYTES_FMT, BYTES_ARG(route->fallbacks[i]));
        }
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
    {"fallbacks, the innermost first", BYTES("<safe@own.test>"),
     "forward safe@own.test srs.test a@x.test|\"s x\"@y.test c@x.test|in@y.test "
     "d@x.test|in@y.test b@x.test|\"s x\"@y.test"},
    {"fallback in another alphabet", BYTES("<uni@own.test>"),
     "forward uni@own.test srs.test a@x.test|b@xn--bcher-kva.test"},
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
    {"reply form at our host name", BYTES("<REPLY0=AAAAAAAA=AA=x.test=u@mx.test>"),
     "refuse 550 5.1.1 unknown-recipient"},
    {"reply form elsewhere", BYTES("<REPLY0=AAAAAAAA=AA=x.test=u@x.test>"),
     "refuse 550 5.7.1 relay-denied"},
    {"an alias of reply form", BYTES("<Reply0-All@both.test>"),
     "forward Reply0-All@both.test both.test all@x.test"},
    {"a mapping takes no reply address", BYTES("<REPLY0=zzz@second.test>"),
     "refuse 550 5.1.3 reply-malformed"},
    {"a catch-all takes no reply address", BYTES("<REPLY0=AAAAAAAA=AA=x.test=u@both.test>"),
     "refuse 550 5.7.1 reply-forged"},
    {"forged reply address", BYTES("<reply0=AAAAAAAA=AA=x.test=u@own.test>"),
     "refuse 550 5.7.1 reply-forged"},
    {"forged, in the SRS domain", BYTES("<REPLY0=AAAAAAAA=AA=x.test=u@srs.test>"),
     "refuse 550 5.7.1 reply-forged"},
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

/* A reply address made on `day` in the given domain, between < and >. */
static struct bytes make_reply(struct world *world, uint32_t day, struct bytes author_path,
                               struct bytes domain)
{
    struct smtp_mailbox author = mailbox(world, author_path), made;
    struct strbuf text;
    struct bytes path;

    assert_int_equal(reply_address_make(&world->srs, domain, day, &author, world->arena, &made),
                     SRS_OK);
    strbuf_init(&text, 1000);
    smtp_path_add(&text, &made);
    path = arena_copy(world->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return path;
}

static void test_replies(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        int age;
        struct bytes author, domain;
        const char *want; /* behind "reply ADDRESS ", or all of it */
    } replies[] = {
        {"good", 0, BYTES("<Ann+x@far.test>"), BYTES("own.test"), "srs.test Ann+x@far.test"},
        {"quoted", 0, BYTES("<\"a b\"@far.test>"), BYTES("own.test"), "srs.test \"a b\"@far.test"},
        {"UTF-8", 0, BYTES("<j\xc3\xb6rg@far.test>"), BYTES("own.test"), "srs.test j\xc3\xb6rg@far.test"},
        {"the domain's own SRS domain", 21, BYTES("<ann@far.test>"), BYTES("second.test"), "bounce.second.test ann@far.test"},
        {"in an SRS domain", 0, BYTES("<ann@far.test>"), BYTES("bounce.second.test"), "bounce.second.test ann@far.test"},
        {"expired", 22, BYTES("<ann@far.test>"), BYTES("own.test"), "refuse 550 5.1.6 reply-expired"},
        {"future", -5, BYTES("<ann@far.test>"), BYTES("own.test"), "refuse 550 5.7.1 reply-future"},
        {"author of ours", 0, BYTES("<info@OWN.test>"), BYTES("own.test"), "srs.test anna@x.test bob@Y.test"},
        {"author of ours with a tag", 0, BYTES("<info+a@own.test>"), BYTES("second.test"), "bounce.second.test anna@x.test bob@Y.test"},
        {"author of ours, mapped", 0, BYTES("<Old.Ann@second.test>"), BYTES("own.test"), "srs.test Old.Ann@new.test"},
        {"author of ours who is gone", 0, BYTES("<gone.ann@own.test>"), BYTES("own.test"), "refuse 550 5.1.1 unknown-recipient"},
        {"author of ours who takes nothing", 0, BYTES("<no@own.test>"), BYTES("own.test"), "refuse 553 5.7.27 alias-refuse"},
        {"author of ours, a loop", 0, BYTES("<loop@own.test>"), BYTES("own.test"), "defer 451 4.3.5 alias-depth"},
        {"author at our host name", 0, BYTES("<root@mx.test>"), BYTES("own.test"), "refuse 550 5.1.1 unknown-recipient"},
        {"postmaster at our host name", 0, BYTES("<postmaster@mx.test>"), BYTES("own.test"), "srs.test admin@x.test"},
    };
    /* clang-format on */
    static const struct bytes senders[] = {BYTES("<>"), BYTES("<reader@else.test>"),
                                           BYTES("<info@own.test>")};
    struct world world;

    (void)state;
    set_up(&world);
    for (size_t i = 0; i < COUNT_OF(replies) * COUNT_OF(senders); i++) {
        size_t row = i / COUNT_OF(senders);
        struct bytes path = make_reply(&world, (uint32_t)(TODAY - replies[row].age),
                                       replies[row].author, replies[row].domain);
        bool is_refused = strncmp(replies[row].want, "refuse", 6) == 0 ||
                          strncmp(replies[row].want, "defer", 5) == 0;
        char want[400];

        snprintf(want, sizeof want, "reply %.*s %s", (int)path.len - 2, path.data + 1,
                 replies[row].want);
        check_route(&world, replies[row].name, senders[i % COUNT_OF(senders)], path, NULL,
                    is_refused ? replies[row].want : want);
    }
    tear_down(&world);
}

/* The domain of an author became ours after the address was made, and what it says is signed
 * itself: it is not followed once more, and no catch-all takes it. */
static void test_signed_author_of_ours(void **state)
{
    static const struct bytes authors[] = {BYTES("<REPLY0=a=b=c.test=d@both.test>"),
                                           BYTES("<SRS0=a=b=c.test=d@both.test>")};
    struct world world;

    (void)state;
    set_up(&world);
    for (size_t i = 0; i < COUNT_OF(authors); i++) {
        struct bytes path;

        world.srs.is_own_domain = NULL;
        path = make_reply(&world, TODAY, authors[i], BYTES("own.test"));
        world.srs.is_own_domain = alias_table_is_own_domain;
        check_route(&world, "signed author", BYTES("<>"), path, NULL,
                    "refuse 550 5.1.1 unknown-recipient");
    }
    tear_down(&world);
}

static void test_reply_tokens(void **state)
{
    struct world world;
    struct smtp_mailbox author, made, from = {.is_literal = false};
    struct route_token found = {true, BYTES("long.name@far.test")};
    struct route_token ours = {true, BYTES("info@own.test")};
    struct route_token gone = {true, BYTES("")}, not_asked = {false, BYTES("")};
    struct recipient_route route;
    struct bytes token, path;
    struct strbuf text;
    char want[400];

    (void)state;
    set_up(&world);
    author = mailbox(&world, BYTES("<long.name@far.test>"));
    reply_address_make_stored(&world.srs, BYTES("own.test"), TODAY, &author, world.arena, &made,
                              &token);
    recipient_route_find(&world.options, TODAY, &from, &made, &not_asked, world.arena, &route);
    CHECK_INT("asks", route.kind, ROUTE_NEEDS_TOKEN);
    CHECK_BYTES("for what was stored", route.token, token);
    CHECK_BYTES("of replies", bytes_first(route.token, 6), BYTES("reply="));
    strbuf_init(&text, 1000);
    smtp_path_add(&text, &made);
    path = strbuf_bytes(&text);
    snprintf(want, sizeof want, "reply %.*s srs.test long.name@far.test", (int)path.len - 2,
             path.data + 1);
    check_route(&world, "found", BYTES("<a@b.test>"), path, &found, want);
    snprintf(want, sizeof want, "reply %.*s srs.test anna@x.test bob@Y.test", (int)path.len - 2,
             path.data + 1);
    check_route(&world, "ours", BYTES("<a@b.test>"), path, &ours, want);
    check_route(&world, "gone", BYTES("<a@b.test>"), path, &gone,
                "refuse 550 5.1.6 reply-token-gone");
    strbuf_clear(&text);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_signed_author_of_ours),
        cmocka_unit_test(test_reply_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
