#include "support/check.h"

#include "io/clock.h"
#include "io/dns_resolver.h"
#include "support/dns_script_server.h"

/* One look-up as its owner sees it. */
struct ask {
    struct fixture *fixture;
    struct dns_facts *facts;
    struct dns_lookup *lookup;
    bool is_done;
};

struct fixture {
    struct dns_script_server *server;
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct loop_timer *guard;
    int pending;
};

static void on_guard(void *context)
{
    struct fixture *fixture = context;

    event_loop_stop(fixture->loop);
}

static void begin_with(struct fixture *fixture, uint16_t port, size_t cache_octets)
{
    struct ip_endpoint server = {{IP_V4, {127, 0, 0, 1}}, port};
    struct dns_resolver_options options = {&server, 1, cache_octets};
    struct strbuf why;

    strbuf_init(&why, 200);
    fixture->loop = event_loop_new();
    fixture->resolver = dns_resolver_new(fixture->loop, &options, &why);
    CHECK_TEXT("resolver", strbuf_text(&why), "");
    assert_non_null(fixture->resolver);
    fixture->guard = loop_timer_new(fixture->loop, on_guard, fixture);
    fixture->pending = 0;
    strbuf_clear(&why);
}

static void begin(struct fixture *fixture)
{
    fixture->server = dns_script_server_new();
    begin_with(fixture, fixture->server->port, 0);
}

static void end(struct fixture *fixture)
{
    dns_resolver_free(&fixture->resolver);
    loop_timer_free(&fixture->guard);
    event_loop_free(&fixture->loop);
    if (fixture->server != NULL) {
        dns_script_server_free(fixture->server);
    }
}

static void on_done(void *context)
{
    struct ask *ask = context;

    ask->is_done = true;
    ask->lookup = NULL;
    if (--ask->fixture->pending == 0) {
        event_loop_stop(ask->fixture->loop);
    }
}

static void start(struct fixture *fixture, struct ask *ask, uint64_t wait_ms)
{
    ask->fixture = fixture;
    ask->is_done = false;
    fixture->pending++;
    ask->lookup =
        dns_lookup_start(fixture->resolver, ask->facts, clock_now_ms() + wait_ms, on_done, ask);
    CHECK_TRUE("never from inside", !ask->is_done);
}

static void run(struct fixture *fixture)
{
    loop_timer_set(fixture->guard, 20000);
    event_loop_run(fixture->loop);
    loop_timer_stop(fixture->guard);
    CHECK_INT("all done in time", fixture->pending, 0);
}

/* Asks one question and waits for the answer, which is in ask->facts. */
static const struct dns_answer *ask_one(struct fixture *fixture, struct ask *ask,
                                        const char *name, uint64_t wait_ms)
{
    ask->facts = dns_facts_new();
    assert_null(dns_facts_get(ask->facts, bytes_from_text(name), DNS_TYPE_A));
    start(fixture, ask, wait_ms);
    run(fixture);
    return dns_facts_get(ask->facts, bytes_from_text(name), DNS_TYPE_A);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *name;
        enum dns_status status;
        const char *why;
        size_t count;
        uint32_t ttl;
        bool is_secure;
        int tcp;
    } cases[] = {
        {"ok.example", DNS_OK, NULL, 1, 300, false, 0},
        {"ad.example", DNS_OK, NULL, 1, 300, true, 0},
        {"nx.example", DNS_NXDOMAIN, NULL, 0, 300, false, 0},
        {"nodata.example", DNS_NODATA, NULL, 0, 300, false, 0},
        {"servfail.example", DNS_TEMPFAIL, "servfail", 0, 0, false, 0},
        {"refused.example", DNS_TEMPFAIL, "refused", 0, 0, false, 0},
        {"short.example", DNS_TEMPFAIL, "malformed", 0, 0, false, 0},
        {"big.example", DNS_OK, NULL, 60, 300, false, 0},
        {"wrongid.example", DNS_OK, NULL, 1, 300, false, 0},
        {"slow.example", DNS_OK, NULL, 1, 300, false, 0},
        /* Last: when the server closes the TCP connection, c-ares sends again what is in
           flight. */
        {"tc.example", DNS_OK, NULL, 100, 300, false, 1},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ask ask;
        int tcp_before = f.server->tcp_questions, before = f.server->questions;
        const struct dns_answer *answer = ask_one(&f, &ask, cases[i].name, 5000);

        assert_non_null(answer);
        CHECK_INT(cases[i].name, answer->status, cases[i].status);
        CHECK_TEXT(cases[i].name, answer->why, cases[i].why);
        CHECK_INT(cases[i].name, answer->count, cases[i].count);
        CHECK_INT(cases[i].name, answer->ttl, cases[i].ttl);
        CHECK_INT(cases[i].name, answer->is_secure, cases[i].is_secure);
        CHECK_INT(cases[i].name, f.server->tcp_questions - tcp_before, cases[i].tcp);
        CHECK_INT(cases[i].name, f.server->questions - before, 1);
        if (answer->count > 0) {
            CHECK_INT(cases[i].name, answer->records[0].address.octets[3], 1);
        }
        dns_facts_free(&ask.facts);
    }
    CHECK_INT("AD and EDNS in every question", f.server->wrong_questions, 0);
    end(&f);
}

static void test_silence(void **state)
{
    struct fixture f;
    struct ask ask;
    uint64_t started = clock_now_ms(), took;
    const struct dns_answer *answer;

    (void)state;
    begin(&f);
    answer = ask_one(&f, &ask, "silent.example", 200);
    took = clock_now_ms() - started;
    CHECK_INT("silence", answer->status, DNS_TEMPFAIL);
    CHECK_TEXT("silence", answer->why, "timeout");
    CHECK_TRUE("at the deadline", took >= 195 && took < 2000);
    dns_facts_free(&ask.facts);
    /* Past already: nobody is asked. */
    answer = ask_one(&f, &ask, "ok.example", 0);
    CHECK_TEXT("too late", answer->why, "timeout");
    CHECK_INT("too late", f.server->questions, 1);
    dns_facts_free(&ask.facts);
    end(&f);
}

/* c-ares gives up by itself after both tries: sooner than the deadline. */
static void test_tries(void **state)
{
    struct fixture f;
    struct ask ask;
    const struct dns_answer *answer;

    (void)state;
    begin(&f);
    setenv("RES_OPTIONS", "retrans:50 retry:7", 1);
    dns_resolver_free(&f.resolver);
    loop_timer_free(&f.guard);
    event_loop_free(&f.loop);
    begin_with(&f, f.server->port, 0);
    unsetenv("RES_OPTIONS");
    answer = ask_one(&f, &ask, "silent.example", 15000);
    CHECK_TEXT("tries", answer->why, "timeout");
    CHECK_INT("two, whatever the environment says", f.server->questions, 2);
    dns_facts_free(&ask.facts);
    end(&f);
}

static void test_merge_and_cache(void **state)
{
    struct fixture f;
    struct ask asks[10];
    struct dns_resolver_counters counters;
    const struct dns_answer *answer;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        asks[i].facts = dns_facts_new();
        (void)dns_facts_get(asks[i].facts, BYTES("slow.example"), DNS_TYPE_A);
        start(&f, &asks[i], 5000);
    }
    run(&f);
    CHECK_INT("the server sees one", f.server->questions, 1);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        answer = dns_facts_get(asks[i].facts, BYTES("slow.example"), DNS_TYPE_A);
        assert_non_null(answer);
        CHECK_INT("merged", answer->status, DNS_OK);
        dns_facts_free(&asks[i].facts);
    }
    answer = ask_one(&f, &asks[0], "SLOW.example.", 5000);
    CHECK_INT("cached", answer->count, 1);
    CHECK_TRUE("what is left of its time", answer->ttl <= 300 && answer->ttl > 290);
    dns_facts_free(&asks[0].facts);
    (void)ask_one(&f, &asks[0], "nx.example", 5000);
    dns_facts_free(&asks[0].facts);
    answer = ask_one(&f, &asks[0], "nx.example", 5000);
    CHECK_INT("negative", answer->status, DNS_NXDOMAIN);
    dns_facts_free(&asks[0].facts);
    (void)ask_one(&f, &asks[0], "servfail.example", 5000);
    dns_facts_free(&asks[0].facts);
    (void)ask_one(&f, &asks[0], "servfail.example", 5000);
    dns_facts_free(&asks[0].facts);
    (void)ask_one(&f, &asks[0], "ttl.example", 5000);
    dns_facts_free(&asks[0].facts);
    answer = ask_one(&f, &asks[0], "ttl.example", 5000);
    CHECK_TRUE("TTL 0 counts as 5 s", answer->ttl <= 5 && answer->ttl >= 3);
    dns_facts_free(&asks[0].facts);
    CHECK_INT("failures are not kept", f.server->questions, 1 + 1 + 2 + 1);
    counters = dns_resolver_count(f.resolver);
    CHECK_INT("merged", counters.merged, 9);
    CHECK_INT("hits", counters.cache_hits, 3);
    CHECK_INT("asked", counters.asked, 5);
    CHECK_INT("answered", counters.answered, 3);
    CHECK_INT("failed", counters.failed, 2);
    CHECK_INT("entries", counters.cache_entries, 3);
    CHECK_INT("in flight", counters.in_flight, 0);
    end(&f);
}

/* Many look-ups of many questions: the server never has more than a hundred at once. */
static void test_thousand(void **state)
{
    static struct ask asks[10];
    struct fixture f;
    char name[40];

    (void)state;
    begin(&f);
    for (unsigned i = 0; i < 10; i++) {
        asks[i].facts = dns_facts_new();
        for (unsigned j = 0; j < 100; j++) {
            snprintf(name, sizeof name, "hold%u.example", i * 100 + j);
            (void)dns_facts_get(asks[i].facts, bytes_from_text(name), DNS_TYPE_A);
        }
        start(&f, &asks[i], 15000);
    }
    CHECK_INT("window", dns_resolver_count(f.resolver).in_flight, 100);
    CHECK_INT("window", dns_resolver_count(f.resolver).waiting, 900);
    run(&f);
    CHECK_INT("each once", f.server->questions, 1000);
    CHECK_INT("window", f.server->most_held, 100);
    CHECK_INT("all answered", dns_resolver_count(f.resolver).answered, 1000);
    for (unsigned i = 0; i < 10; i++) {
        size_t wanted;

        (void)dns_facts_wanted(asks[i].facts, &wanted);
        CHECK_INT("nothing left", wanted, 0);
        dns_facts_free(&asks[i].facts);
    }
    end(&f);
}

static void test_cancel(void **state)
{
    struct fixture f;
    struct ask gone, other, cached;

    (void)state;
    begin(&f);
    gone.facts = dns_facts_new();
    (void)dns_facts_get(gone.facts, BYTES("slow.example"), DNS_TYPE_A);
    start(&f, &gone, 5000);
    dns_lookup_cancel(&gone.lookup);
    dns_lookup_cancel(&gone.lookup); /* safe on NULL */
    dns_facts_free(&gone.facts);
    f.pending--;
    (void)ask_one(&f, &other, "slow2.example", 5000);
    dns_facts_free(&other.facts);
    CHECK_TRUE("no call after cancel", !gone.is_done);
    (void)ask_one(&f, &other, "slow.example", 5000);
    CHECK_INT("its answer went into the cache", dns_resolver_count(f.resolver).cache_hits, 1);
    CHECK_INT("its answer went into the cache", f.server->questions, 2);
    dns_facts_free(&other.facts);
    /* Done, but not told yet: cancelled all the same. */
    cached.facts = dns_facts_new();
    (void)dns_facts_get(cached.facts, BYTES("slow.example"), DNS_TYPE_A);
    start(&f, &cached, 5000);
    dns_lookup_cancel(&cached.lookup);
    f.pending--;
    (void)ask_one(&f, &other, "ok.example", 5000);
    CHECK_TRUE("no call after cancel", !cached.is_done);
    dns_facts_free(&cached.facts);
    dns_facts_free(&other.facts);
    /* Cancelled while waiting for the window: never asked. Ended with questions in flight. */
    gone.facts = dns_facts_new();
    for (int i = 0; i < 150; i++) {
        char name[32];

        snprintf(name, sizeof name, "silent%d.example", i);
        (void)dns_facts_get(gone.facts, bytes_from_text(name), DNS_TYPE_A);
    }
    start(&f, &gone, 5000);
    dns_lookup_cancel(&gone.lookup);
    f.pending--;
    dns_facts_free(&gone.facts);
    end(&f);
}

static void test_closed_port(void **state)
{
    struct fixture f;
    struct ask ask;
    const struct dns_answer *answer;
    uint64_t started;
    uint16_t port;

    (void)state;
    f.server = dns_script_server_new();
    port = f.server->port;
    dns_script_server_free(f.server);
    f.server = NULL;
    begin_with(&f, port, 0);
    started = clock_now_ms();
    ask.facts = dns_facts_new();
    for (int i = 0; i < 200; i++) {
        char name[32];

        snprintf(name, sizeof name, "x%d.example", i);
        (void)dns_facts_get(ask.facts, bytes_from_text(name), DNS_TYPE_A);
    }
    start(&f, &ask, 15000);
    run(&f);
    CHECK_TRUE("soon", clock_now_ms() - started < 5000);
    for (int i = 0; i < 200; i++) {
        char name[32];

        snprintf(name, sizeof name, "x%d.example", i);
        answer = dns_facts_get(ask.facts, bytes_from_text(name), DNS_TYPE_A);
        assert_non_null(answer);
        CHECK_INT(name, answer->status, DNS_TEMPFAIL);
        CHECK_TEXT(name, answer->why, "server-unreachable");
    }
    dns_facts_free(&ask.facts);
    end(&f);
}

/* One FORMERR must not cost all later questions their EDNS: large answers stay on UDP. */
static void test_edns_lost(void **state)
{
    struct fixture f;
    struct ask ask;
    const struct dns_answer *answer;

    (void)state;
    begin(&f);
    answer = ask_one(&f, &ask, "formerr.example", 5000);
    CHECK_INT("without EDNS", answer->status, DNS_OK);
    dns_facts_free(&ask.facts);
    answer = ask_one(&f, &ask, "big.example", 5000);
    CHECK_INT("with EDNS again", answer->count, 60);
    CHECK_INT("with EDNS again", f.server->tcp_questions, 0);
    dns_facts_free(&ask.facts);
    /* Several at once: the later ones reach the channel when EDNS is off. */
    ask.facts = dns_facts_new();
    for (int i = 0; i < 50; i++) {
        char name[32];

        snprintf(name, sizeof name, "formerr%d.example", i);
        (void)dns_facts_get(ask.facts, bytes_from_text(name), DNS_TYPE_A);
    }
    start(&f, &ask, 10000);
    run(&f);
    for (int i = 0; i < 50; i++) {
        char name[32];

        snprintf(name, sizeof name, "formerr%d.example", i);
        answer = dns_facts_get(ask.facts, bytes_from_text(name), DNS_TYPE_A);
        CHECK_INT(name, answer->status, DNS_OK);
    }
    dns_facts_free(&ask.facts);
    answer = ask_one(&f, &ask, "big2.example", 5000);
    CHECK_INT("with EDNS again", answer->count, 60);
    CHECK_INT("with EDNS again", f.server->tcp_questions, 0);
    dns_facts_free(&ask.facts);
    end(&f);
}

/* The order of events behind the uses after free of c-ares (CVE-2025-31498 and kin); what comes
 * of the questions does not matter, only that all come back and the resolver still works. */
static void test_reset_over_tcp(void **state)
{
    struct fixture f;
    struct ask ask;
    size_t wanted;

    (void)state;
    begin(&f);
    for (int round = 0; round < 3; round++) {
        char name[32];

        ask.facts = dns_facts_new();
        for (int i = 0; i < 20; i++) {
            snprintf(name, sizeof name, i % 4 == 3 ? "ok%d-%d.example" : "rst%d-%d.example",
                     round, i);
            (void)dns_facts_get(ask.facts, bytes_from_text(name), DNS_TYPE_A);
        }
        start(&f, &ask, 3000);
        run(&f);
        (void)dns_facts_wanted(ask.facts, &wanted);
        CHECK_INT("all came back", wanted, 0);
        dns_facts_free(&ask.facts);
        snprintf(name, sizeof name, "big%d.example", round);
        CHECK_INT(name, ask_one(&f, &ask, name, 5000)->count, 60);
        dns_facts_free(&ask.facts);
    }
    end(&f);
}

static void test_nothing_to_do(void **state)
{
    struct fixture f;
    struct ask ask;

    (void)state;
    begin(&f);
    ask.facts = dns_facts_new();
    start(&f, &ask, 1000);
    run(&f);
    CHECK_TRUE("done all the same", ask.is_done);
    dns_facts_free(&ask.facts);
    CHECK_INT("onion", ask_one(&f, &ask, "abc.onion", 1000)->status, DNS_NXDOMAIN);
    CHECK_INT("nobody was asked", f.server->questions, 0);
    dns_facts_free(&ask.facts);
    end(&f);
}

static void test_cache_limit(void **state)
{
    struct fixture f;
    struct ask ask;
    struct dns_resolver_counters counters;
    int before;

    (void)state;
    f.server = dns_script_server_new();
    begin_with(&f, f.server->port, 16 * 1024);
    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof name, "ok%d.example", i);
        (void)ask_one(&f, &ask, name, 5000);
        dns_facts_free(&ask.facts);
        (void)ask_one(&f, &ask, "ok0.example", 5000); /* used all the time */
        dns_facts_free(&ask.facts);
    }
    counters = dns_resolver_count(f.resolver);
    CHECK_TRUE("limit",
               counters.cache_octets <= 16 * 1024 && counters.cache_octets > 14 * 1024);
    CHECK_TRUE("entries", counters.cache_entries > 20 && counters.cache_entries < 90);
    before = f.server->questions;
    CHECK_INT("asked once", before, 100);
    (void)ask_one(&f, &ask, "ok99.example", 5000);
    dns_facts_free(&ask.facts);
    CHECK_INT("new ones are there", f.server->questions, before);
    (void)ask_one(&f, &ask, "ok1.example", 5000);
    dns_facts_free(&ask.facts);
    CHECK_INT("old ones went", f.server->questions, before + 1);
    end(&f);
}

/* ---- askers ---- */

struct asking {
    struct fixture *fixture;
    struct dns_facts *facts;
    struct dns_asker *asker;
    int told;
    size_t open_when_told;
};

static void on_answers(void *context)
{
    struct asking *asking = context;

    asking->told++;
    asking->open_when_told = dns_asker_open(asking->asker);
    event_loop_stop(asking->fixture->loop);
}

static void begin_asking(struct fixture *fixture, struct asking *asking)
{
    *asking = (struct asking){.fixture = fixture, .facts = dns_facts_new()};
    asking->asker = dns_asker_new(fixture->resolver, on_answers, asking);
    dns_asker_begin(asking->asker, asking->facts);
}

static void end_asking(struct asking *asking)
{
    dns_asker_free(&asking->asker);
    dns_asker_free(&asking->asker); /* safe on NULL */
    dns_facts_free(&asking->facts);
}

static const struct dns_answer *get(struct asking *asking, const char *name)
{
    return dns_facts_get(asking->facts, bytes_from_text(name), DNS_TYPE_A);
}

static void get_many(struct asking *asking, const char *kind, unsigned count)
{
    char name[40];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%u.example", kind, i);
        (void)get(asking, name);
    }
}

static bool ask(struct asking *asking, uint64_t wait_ms)
{
    return dns_asker_ask(asking->asker, clock_now_ms() + wait_ms);
}

static void run_once(struct fixture *fixture)
{
    loop_timer_set(fixture->guard, 20000);
    event_loop_run(fixture->loop);
}

static void test_answers_come_one_by_one(void **state)
{
    struct fixture f;
    struct asking a;
    uint64_t started = clock_now_ms();

    (void)state;
    begin(&f);
    begin_asking(&f, &a);
    (void)get(&a, "silent.example");
    (void)get(&a, "ok.example");
    CHECK_TRUE("nothing is known", !ask(&a, 600));
    CHECK_TRUE("asked once", !ask(&a, 600));
    run_once(&f);
    CHECK_TRUE("at once", clock_now_ms() - started < 400);
    CHECK_INT("the other one is open", a.open_when_told, 1);
    CHECK_INT("there", get(&a, "ok.example")->status, DNS_OK);
    (void)get(&a, "nx.example"); /* what comes of it */
    CHECK_TRUE("asked", !ask(&a, 5000));
    run_once(&f);
    CHECK_INT("there", get(&a, "nx.example")->status, DNS_NXDOMAIN);
    CHECK_INT("still open", dns_asker_open(a.asker), 1);
    run_once(&f);
    CHECK_INT("each has its own deadline", get(&a, "silent.example")->status, DNS_TEMPFAIL);
    CHECK_TRUE("its own", clock_now_ms() - started < 2000);
    CHECK_INT("told", a.told, 3);
    CHECK_INT("each once", f.server->questions, 3);
    dns_asker_end(a.asker);
    dns_asker_end(a.asker);
    dns_facts_reset(a.facts);
    dns_asker_begin(a.asker, a.facts); /* the next evaluation */
    CHECK_INT("from the cache, while it is asked", get(&a, "ok.example")->status, DNS_OK);
    CHECK_INT("negative ones, too", get(&a, "nx.example")->status, DNS_NXDOMAIN);
    CHECK_INT("special ones, too", get(&a, "x.onion")->status, DNS_NXDOMAIN);
    CHECK_TRUE("nothing to do", !ask(&a, 5000));
    (void)get(&a, "ok2.example");
    CHECK_TRUE("too late: answered from inside", ask(&a, 0));
    CHECK_INT("too late", get(&a, "ok2.example")->status, DNS_TEMPFAIL);
    CHECK_INT("nobody was told of it", a.told, 3);
    CHECK_INT("nobody was asked", f.server->questions, 3);
    end_asking(&a);
    end(&f);
}

/* Until so many of the questions it held are answered; ours have gone out already, and nobody reads answers meanwhile. */
static void wait_released(struct dns_script_server *server, int count)
{
    for (int tries = 0; server->released < count; tries++) {
        assert_true(tries < 20000);
        poll(NULL, 0, 1);
    }
}

/* All that came at the same time is told of once. */
static void test_answers_that_come_together(void **state)
{
    struct fixture f;
    struct asking a;

    (void)state;
    begin(&f);
    begin_asking(&f, &a);
    get_many(&a, "hold", 20); /* the server answers them in one go */
    (void)ask(&a, 20000);
    wait_released(f.server, 20);
    while (dns_asker_open(a.asker) > 0) {
        run_once(&f);
    }
    CHECK_TRUE("a few times at most", a.told <= 5);
    end_asking(&a);
    end(&f);
}

/* However much one asks that nobody answers, others are answered at once. */
static void test_nobody_takes_it_all(void **state)
{
    struct fixture f;
    struct asking greedy, other;
    uint64_t started = clock_now_ms();

    (void)state;
    begin(&f);
    begin_asking(&f, &greedy);
    begin_asking(&f, &other);
    get_many(&greedy, "silent", 150);
    (void)get(&greedy, "ok.example");
    (void)ask(&greedy, 15000);
    CHECK_INT("its share", dns_resolver_count(f.resolver).in_flight, 24);
    CHECK_INT("in line", dns_resolver_count(f.resolver).waiting, 127);
    (void)get(&other, "ok.example"); /* stands at the end of the other one's line */
    (void)get(&other, "ok2.example");
    (void)ask(&other, 15000);
    while (dns_asker_open(other.asker) > 0) {
        run_once(&f);
    }
    CHECK_TRUE("soon", clock_now_ms() - started < 1000);
    CHECK_INT("answered", get(&other, "ok.example")->status, DNS_OK);
    CHECK_INT("for both", get(&greedy, "ok.example")->status, DNS_OK);
    /* The next evaluation of the same one has no new share ... */
    dns_asker_end(greedy.asker);
    CHECK_INT("nothing in line", dns_resolver_count(f.resolver).waiting, 0);
    dns_facts_reset(greedy.facts);
    dns_asker_begin(greedy.asker, greedy.facts);
    (void)get(&greedy, "ok3.example");
    (void)ask(&greedy, 15000);
    CHECK_INT("in line", dns_resolver_count(f.resolver).waiting, 1);
    /* ... and whoever waits for the same goes on when it leaves. */
    (void)get(&other, "silent0.example");
    (void)ask(&other, 15000);
    dns_asker_free(&greedy.asker);
    CHECK_INT("nothing in line", dns_resolver_count(f.resolver).waiting, 0);
    CHECK_INT("open", dns_asker_open(other.asker), 1);
    end_asking(&greedy);
    end_asking(&other);
    end(&f);
}

/* What stands in the line of somebody who leaves is asked in the name of who waits for it. */
static void test_a_line_is_handed_on(void **state)
{
    struct fixture f;
    struct asking first, second;

    (void)state;
    begin(&f);
    begin_asking(&f, &first);
    begin_asking(&f, &second);
    get_many(&first, "silent", 30);
    (void)ask(&first, 15000);
    get_many(&second, "quiet", 20); /* answered */
    get_many(&second, "silent", 30);
    (void)ask(&second, 15000);
    end_asking(&first);
    CHECK_INT("all go out or stand in line",
              dns_resolver_count(f.resolver).in_flight + dns_resolver_count(f.resolver).waiting,
              50);
    while (dns_asker_open(second.asker) > 30) {
        run_once(&f);
    }
    CHECK_INT("a share of them at a time", dns_resolver_count(f.resolver).in_flight, 30);
    CHECK_INT("the rest in line", dns_resolver_count(f.resolver).waiting, 0);
    end_asking(&second);
    end(&f);
}

static void test_system_servers(void **state)
{
    struct dns_resolver_options options = {0};
    struct event_loop *loop = event_loop_new();
    struct strbuf why;
    struct dns_resolver *resolver;

    (void)state;
    strbuf_init(&why, 200);
    resolver = dns_resolver_new(loop, &options, &why);
    assert_non_null(resolver);
    dns_resolver_free(&resolver);
    dns_resolver_free(&resolver);
    strbuf_clear(&why);
    event_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_merge_and_cache),
        cmocka_unit_test(test_thousand),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_closed_port),
        cmocka_unit_test(test_edns_lost),
        cmocka_unit_test(test_reset_over_tcp),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_cache_limit),
        cmocka_unit_test(test_system_servers),
        cmocka_unit_test(test_answers_come_one_by_one),
        cmocka_unit_test(test_answers_that_come_together),
        cmocka_unit_test(test_nobody_takes_it_all),
        cmocka_unit_test(test_a_line_is_handed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
