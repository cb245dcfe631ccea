/* Delivery attempts whose next hops come from DNS; the resolver is a table in this file. */
#include "support/check.h"

#include "outbound/delivery_attempt.h"
#include "scripted_hop.h"

struct zone_entry {
    const char *name;
    uint16_t type;
    enum dns_status status;
    const char *data[2]; /* MX hosts (preference 10, 20) or addresses */
};

static const struct zone_entry zone[] = {
    {"good.example", DNS_TYPE_MX, DNS_OK, {"mx.good.example", "dead.good.example"}},
    {"mx.good.example", DNS_TYPE_A, DNS_OK, {"127.0.0.1"}},
    {"dead.good.example", DNS_TYPE_A, DNS_OK, {"127.0.0.3"}},
    {"half.example", DNS_TYPE_MX, DNS_OK, {"mx.good.example", "broken.half.example"}},
    {"broken.half.example", DNS_TYPE_A, DNS_TEMPFAIL, {NULL}},
    {"whole.example", DNS_TYPE_MX, DNS_OK, {"mx.good.example"}},
    {"null.example", DNS_TYPE_MX, DNS_OK, {""}},
    {"gone.example", DNS_TYPE_MX, DNS_NXDOMAIN, {NULL}},
    {"broken.example", DNS_TYPE_MX, DNS_TEMPFAIL, {NULL}},
    {"self.example", DNS_TYPE_MX, DNS_OK, {"mx.example.org"}},
    {"inside.example", DNS_TYPE_MX, DNS_OK, {"mx.inside.example"}},
    {"mx.inside.example", DNS_TYPE_A, DNS_OK, {"169.254.1.1"}},
};

/* ---- the resolver ---- */

struct dns_lookup {
    struct loop_task task;
    struct dns_facts *facts;
    void (*on_done)(void *context); /* NULL: cancelled */
    void *context;
};

static struct event_loop *resolver_loop;
static unsigned lookups, cancelled;
static bool is_resolver_silent;
static bool is_zone_signed;

static void answer_question(struct dns_facts *facts, struct bytes name, uint16_t type)
{
    struct dns_record records[2] = {{.type = type, .ttl = 300}, {.type = type, .ttl = 300}};
    struct dns_answer answer = {
        .status = DNS_NODATA, .ttl = 300, .owner = name, .is_secure = is_zone_signed};

    for (size_t i = 0; i < COUNT_OF(zone); i++) {
        if (zone[i].type != type || !bytes_equal(name, bytes_from_text(zone[i].name))) {
            continue;
        }
        answer.status = zone[i].status;
        for (size_t k = 0; k < 2 && zone[i].data[k] != NULL; k++) {
            struct bytes data = bytes_from_text(zone[i].data[k]);

            if (type == DNS_TYPE_MX) {
                records[k].mx.preference = (uint16_t)(10 * (k + 1));
                records[k].mx.host = data;
            } else {
                ip_address_parse(data, &records[k].address);
            }
            answer.count++;
        }
        answer.records = records;
    }
    dns_facts_put(facts, name, type, &answer);
}

static void run_lookup(void *context)
{
    struct dns_lookup *lookup = context;
    const struct dns_question *wanted;
    size_t count;

    if (lookup->on_done == NULL) {
        free(lookup);
        return;
    }
    while ((wanted = dns_facts_wanted(lookup->facts, &count)) != NULL && count > 0) {
        answer_question(lookup->facts, wanted[0].name, wanted[0].type);
    }
    lookup->on_done(lookup->context);
    free(lookup);
}

struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context)
{
    struct dns_lookup *lookup = memory_zero(sizeof *lookup);

    (void)resolver;
    assert_true(deadline_ms > event_loop_now_ms(resolver_loop));
    lookups++;
    *lookup =
        (struct dns_lookup){{.run = run_lookup, .context = lookup}, facts, on_done, context};
    if (!is_resolver_silent) {
        event_loop_defer(resolver_loop, &lookup->task);
    }
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup **lookup)
{
    if (*lookup == NULL) {
        return;
    }
    cancelled++;
    (*lookup)->on_done = NULL;
    if (!(*lookup)->task.is_pending) {
        free(*lookup);
    }
    *lookup = NULL;
}

/* ---- the tests ---- */

struct world {
    struct event_loop *loop;
    struct scripted_hop hop;
    struct ip_network loopback;
    struct outbound_options options;
    struct outbound *outbound;
    struct content *content;
    struct delivery_recipient recipient;
    struct delivery_attempt *attempt;
    struct loop_timer *guard;
    bool is_done;
    bool requires_tls;
};

static const struct hop_script usual = {.banner = NULL};

static void stop(void *context)
{
    event_loop_stop(((struct world *)context)->loop);
}

static void on_done(void *context)
{
    ((struct world *)context)->is_done = true;
    stop(context);
}

static void world_init(struct world *world)
{
    *world = (struct world){.loop = event_loop_new()};
    resolver_loop = world->loop;
    lookups = cancelled = 0;
    is_resolver_silent = is_zone_signed = false;
    hop_open(&world->hop, world->loop, "127.0.0.1:0", &usual, 1);
    ip_network_parse(BYTES("127.0.0.0/8"), &world->loopback);
    world->options = (struct outbound_options){
        .helo_name = BYTES("mx.example.org"),
        .next_hops = {.own_names = {BYTES("mx.example.org")},
                      .own_name_count = 1,
                      .allowed = &world->loopback,
                      .allowed_count = 1,
                      .port = listener_address(world->hop.listener).port,
                      .use_ipv4 = true,
                      .use_ipv6 = true},
        .reuse_messages = 100,
        .connect_timeout_ms = 2000,
        .command_timeout_ms = 2000,
        .data_timeout_ms = 2000,
        .block_timeout_ms = 2000,
        .dot_timeout_ms = 2000,
    };
    world->outbound = outbound_new(world->loop, NULL, &world->options);
    world->content = content_from_bytes(BYTES("a: b\r\n\r\nc\r\n"));
    world->guard = loop_timer_new(world->loop, stop, world);
}

static void start(struct world *world, struct bytes destination)
{
    struct delivery_request request = {
        .destination = destination,
        .sender = BYTES("s@y.example"),
        .requires_tls = world->requires_tls,
        .content = world->content,
        .recipients = &world->recipient,
        .count = 1,
    };

    world->recipient = (struct delivery_recipient){.address = BYTES("x@y.example")};
    world->is_done = false;
    world->attempt = delivery_attempt_start(world->outbound, &request, on_done, world);
}

static void deliver(struct world *world, struct bytes destination)
{
    start(world, destination);
    loop_timer_set(world->guard, 10000);
    event_loop_run(world->loop);
    CHECK_TRUE("done in time", world->is_done);
}

static void world_clear(struct world *world)
{
    delivery_attempt_finish(&world->attempt);
    outbound_free(&world->outbound);
    hop_clear(&world->hop);
    loop_timer_set(world->guard, 0);
    event_loop_run(world->loop);
    loop_timer_free(&world->guard);
    content_drop(&world->content);
    event_loop_free(&world->loop);
}

static void test_verdicts(void **state)
{
    static const struct {
        const char *destination;
        enum delivery_outcome outcome;
        const char *enhanced, *stage;
    } cases[] = {
        {"good.example", DELIVERY_SENT, "2.0.0", "dot"},
        {"null.example", DELIVERY_PERMANENT, "5.1.10", "dns"},
        {"gone.example", DELIVERY_PERMANENT, "5.1.2", "dns"},
        {"broken.example", DELIVERY_TEMPORARY, "4.4.3", "dns"},
        {"self.example", DELIVERY_PERMANENT, "5.4.6", "dns"},
        {"inside.example", DELIVERY_PERMANENT, "5.4.4", "dns"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        deliver(&world, bytes_from_text(cases[i].destination));
        report = delivery_attempt_report(world.attempt);
        CHECK_INT(cases[i].destination, world.recipient.outcome, cases[i].outcome);
        CHECK_TEXT(cases[i].destination, world.recipient.enhanced, cases[i].enhanced);
        CHECK_TEXT(cases[i].destination, report->stage, cases[i].stage);
        CHECK_INT(cases[i].destination, report->trouble,
                  i == 0 ? DELIVERY_TROUBLE_NONE : DELIVERY_TROUBLE_DNS);
        CHECK_TRUE(cases[i].destination, world.recipient.text.len > 0);
        world_clear(&world);
    }
}

/* The host that was found never takes mail; another one could not be found just now. */
static void test_521_by_the_only_host_that_was_found(void **state)
{
    static const struct hop_script script = {.banner = "521 5.3.2 no mail here\r\n"};
    struct world world;

    (void)state;
    world_init(&world);
    world.hop.scripts = &script;
    deliver(&world, BYTES("half.example"));
    CHECK_INT("others may take it", world.recipient.outcome, DELIVERY_TEMPORARY);
    CHECK_TEXT("temporary", world.recipient.enhanced, "4.3.2");
    delivery_attempt_finish(&world.attempt);
    deliver(&world, BYTES("whole.example"));
    CHECK_INT("there is no other", world.recipient.outcome, DELIVERY_PERMANENT);
    world_clear(&world);
}

static void test_remembered_until_reload(void **state)
{
    struct world world;
    unsigned asked;

    (void)state;
    world_init(&world);
    deliver(&world, BYTES("good.example"));
    CHECK_BYTES("host", delivery_attempt_report(world.attempt)->host, BYTES("mx.good.example"));
    asked = lookups;
    CHECK_TRUE("asked", asked > 0);
    delivery_attempt_finish(&world.attempt);
    deliver(&world, BYTES("good.example"));
    CHECK_INT("remembered", lookups, asked);
    CHECK_INT("not kept", world.hop.connections, 2);
    delivery_attempt_finish(&world.attempt);
    outbound_set_options(world.outbound, &world.options);
    deliver(&world, BYTES("good.example"));
    CHECK_INT("forgotten", lookups, 2 * asked);
    world_clear(&world);
}

static void test_abort_during_look_up(void **state)
{
    struct world world;

    (void)state;
    for (int i = 0; i < 2; i++) {
        world_init(&world);
        is_resolver_silent = i == 1;
        start(&world, BYTES("good.example"));
        delivery_attempt_finish(&world.attempt);
        CHECK_INT("cancelled", cancelled, 1);
        loop_timer_set(world.guard, 10);
        event_loop_run(world.loop);
        CHECK_TRUE("never told", !world.is_done);
        CHECK_INT("no connection", world.hop.connections, 0);
        world_clear(&world);
    }
}

/* RFC 8689 §4.2.1: a certificate proves a name, and somebody must have signed that it is the right one;
 * also when the hosts are remembered. */
static void test_requiretls_needs_signed_mx_records(void **state)
{
    struct tls_context_options options = {.role = TLS_CLIENT};
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    for (int is_signed = 0; is_signed <= 1; is_signed++) {
        struct world world;

        world_init(&world);
        is_zone_signed = is_signed;
        world.requires_tls = true;
        world.options.tls_context = tls_context_new(&options, &why);
        assert_non_null(world.options.tls_context);
        outbound_set_options(world.outbound, &world.options);
        for (unsigned i = 1; i <= 2; i++) {
            deliver(&world, BYTES("whole.example"));
            CHECK_INT("outcome", world.recipient.outcome, DELIVERY_PERMANENT);
            CHECK_TEXT("status", world.recipient.enhanced, is_signed ? "5.7.10" : "5.7.30");
            CHECK_INT("asked for STARTTLS", world.hop.connections, is_signed ? i : 0);
            delivery_attempt_finish(&world.attempt);
        }
        CHECK_TRUE("nothing of the envelope",
                   bytes_find_part(strbuf_bytes(&world.hop.commands), BYTES("MAIL")) ==
                       world.hop.commands.len);
        world_clear(&world);
        tls_context_drop(&world.options.tls_context);
    }
    strbuf_clear(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_521_by_the_only_host_that_was_found),
        cmocka_unit_test(test_remembered_until_reload),
        cmocka_unit_test(test_abort_during_look_up),
        cmocka_unit_test(test_requiretls_needs_signed_mx_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
