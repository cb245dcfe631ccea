/* Look-ups beside the dialogue: what is asked when, what happens when no answer comes, who waits. */
#include "inbound_world.h"

/* -- the resolver, played -- */

enum { STARTS_LIMIT = 100 };

struct dns_lookup {
    struct dns_facts *facts;
    void (*on_done)(void *context);
    void *context;
    struct loop_timer *timer;
    struct dns_resolver *resolver;
    size_t number;
};

struct dns_resolver {
    struct event_loop *loop;
    struct dns_lookup *lookups[STARTS_LIMIT]; /* by the order they began; NULL when over */
    size_t started, cancelled, most_at_once;
    uint64_t delay_ms;  /* 0: until the test answers */
    bool leaves_open;   /* a look-up ends and has no answers: hurry is on the other side */
    const char *record; /* TXT of every name that begins with its first word; the rest: none */
};

static size_t count_open(const struct dns_resolver *resolver)
{
    size_t count = 0;

    for (size_t i = 0; i < resolver->started; i++) {
        count += resolver->lookups[i] != NULL;
    }
    return count;
}

static void put_answer(struct dns_resolver *resolver, struct dns_facts *facts,
                       const struct dns_question *question)
{
    struct bytes text = bytes_from_text(resolver->record == NULL ? "" : resolver->record);
    struct bytes name = bytes_cut(&text, ' ');
    struct dns_record record = {.type = DNS_TYPE_TXT, .ttl = 60, .text = text};
    struct dns_answer none = {.status = DNS_NXDOMAIN};
    struct dns_answer answer = {
        .status = DNS_OK, .owner = question->name, .records = &record, .count = 1};
    bool is_known = name.len > 0 && question->type == DNS_TYPE_TXT &&
                    bytes_starts_with(question->name, name);

    dns_facts_put(facts, question->name, question->type, is_known ? &answer : &none);
}

/* The look-up ends. */
static void answer_lookup(void *context)
{
    struct dns_lookup *lookup = context;
    struct dns_resolver *resolver = lookup->resolver;
    void (*on_done)(void *context) = lookup->on_done;
    void *done_context = lookup->context;
    size_t wanted = 1;

    while (!resolver->leaves_open && wanted > 0) {
        const struct dns_question *first = dns_facts_wanted(lookup->facts, &wanted);
        if (wanted > 0) {
            put_answer(resolver, lookup->facts, first);
        }
    }
    resolver->lookups[lookup->number] = NULL;
    loop_timer_free(&lookup->timer);
    free(lookup);
    on_done(done_context);
}

struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context)
{
    struct dns_lookup *lookup = memory_zero(sizeof *lookup);

    assert_true(resolver->started < STARTS_LIMIT);
    CHECK_TRUE("not asked too late", deadline_ms > event_loop_now_ms(resolver->loop));
    *lookup = (struct dns_lookup){.facts = facts,
                                  .on_done = on_done,
                                  .context = context,
                                  .resolver = resolver,
                                  .number = resolver->started};
    lookup->timer = loop_timer_new(resolver->loop, answer_lookup, lookup);
    if (resolver->delay_ms > 0) {
        loop_timer_set(lookup->timer, resolver->delay_ms);
    }
    resolver->lookups[resolver->started++] = lookup;
    if (count_open(resolver) > resolver->most_at_once) {
        resolver->most_at_once = count_open(resolver);
    }
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup **lookup)
{
    struct dns_lookup *ending = *lookup;

    if (ending != NULL) {
        *lookup = NULL;
        ending->resolver->cancelled++;
        ending->resolver->lookups[ending->number] = NULL;
        loop_timer_free(&ending->timer);
        free(ending);
    }
}

/* -- the world with it -- */

static struct accept_policy policy;

static const struct accept_policy *policy_for(const void *context, struct bytes domain,
                                              struct bytes local)
{
    (void)context, (void)domain, (void)local;
    return &policy;
}

static void begin(struct world *world, struct dns_resolver *resolver)
{
    world_init(world);
    policy = (struct accept_policy){.iprev = IPREV_OFF};
    *resolver = (struct dns_resolver){.loop = world->loop};
    world->options.authenticate = true;
    world->options.authserv_id = world->options.hostname;
    world->options.auth_timeout_ms = 5000;
    world->options.policy_for = policy_for;
    inbound_server_set_resolver(world->server, resolver);
}

static void end(struct world *world, struct dns_resolver *resolver)
{
    world_clear(world);
    CHECK_INT("nothing is asked any more", count_open(resolver), 0);
}

static void answer_all(struct dns_resolver *resolver)
{
    for (size_t i = 0; i < resolver->started; i++) {
        if (resolver->lookups[i] != NULL) {
            answer_lookup(resolver->lookups[i]);
        }
    }
}

static const char ENVELOPE[] = "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n";
static const char ENVELOPE_WANT[] = "250/2.1.0 250/2.1.5 354";

static void test_a_message_waits_for_its_answers(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    client = world_greet(&world);
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    CHECK_INT("asked at MAIL", resolver.started, 1);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\nNOOP\r\n", "");
    CHECK_INT("and at the header", resolver.started, 2);
    answer_all(&resolver);
    hear(&world, client, "answered", "250/2.0.0 250/2.0.0");
    CHECK_TRUE("our field",
               strstr(world.queue.prefix, "Authentication-Results: mx.test;") != NULL);
    end(&world, &resolver);
}

/* The second question comes while the first look-up of all still waits for another one. */
static void test_a_new_question_is_asked_at_once(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    resolver.record = "far.test v=spf1 a:more.test -all";
    client = world_greet(&world);
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: a@else.test\r\n", "");
    say(&world, client, "\r\n", "");
    CHECK_INT("two", resolver.started, 2);
    resolver.leaves_open = true; /* what the second one asks is still on its way */
    {
        struct dns_facts *facts = resolver.lookups[0]->facts;
        size_t wanted;
        for (size_t i = 0; i < 3; i++) { /* those of the first */
            put_answer(&resolver, facts, dns_facts_wanted(facts, &wanted));
        }
    }
    answer_lookup(resolver.lookups[0]);
    CHECK_INT("three", resolver.started, 3);
    resolver.leaves_open = false;
    say(&world, client, ".\r\n", "");
    answer_all(&resolver);
    hear(&world, client, "answered", "550/5.7.23");
    end(&world, &resolver);
}

/* What had no answer in time refuses nobody for good: not even who speaks for us. */
static void test_time_is_up(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    world.options.auth_timeout_ms = 50;
    resolver.delay_ms = 20;
    resolver.leaves_open = true;
    client = world_greet(&world);
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: boss@own.test\r\n\r\nx\r\n.\r\n", "451/4.7.26");
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\n", "451/4.7.1");
    policy.auth_temperror = AUTH_TEMPERROR_ACCEPT;
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\n", "250/2.0.0");
    CHECK_TRUE("stated", strstr(world.queue.prefix, "dmarc=temperror") != NULL);
    end(&world, &resolver);
}

/* A recipient that waits for the sender's verdict does so as long as a message would. */
static void test_a_recipient_waits_within_bounds(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    policy.spf_fail = SPF_FAIL_REFUSE;
    world.options.auth_timeout_ms = 50;
    resolver.delay_ms = 20;
    resolver.leaves_open = true;
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nRSET\r\n",
        "250/2.1.0 250/2.1.5 250/2.0.0");
    CHECK_TRUE("a few rounds", resolver.started <= 5);
    resolver.leaves_open = false;
    resolver.record = "far.test v=spf1 -all";
    say(&world, client,
        "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nRCPT "
        "TO:<anna@own.test>\r\nDATA\r\n",
        "250/2.1.0 550/5.7.23 550/5.7.23 554/5.5.1");
    end(&world, &resolver);
}

/* The refusal's text lives as long as the transaction: not shorter than it takes to say it. */
static void test_the_text_of_a_refusal_is_whole(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    resolver.delay_ms = 1;
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<s@far.test>\r\n", "250/2.1.0");
    for (size_t i = 0; i < 200;
         i++) { /* so much that the text is in memory that goes at once */
        say(&world, client, "RCPT TO:<nobody.with.a.name.so.long.that.it.fills@own.test>\r\n",
            "550/5.1.1");
    }
    say(&world, client, "RCPT TO:<info@own.test>\r\nDATA\r\n", "250/2.1.5 354");
    say(&world, client, "From: boss@own.test\r\n\r\nx\r\n.\r\n", "550/5.7.26");
    CHECK_TRUE("names the domain", bytes_find_part(strbuf_bytes(&client->heard),
                                                   BYTES("a domain of ours (own.test)")) <
                                       strbuf_bytes(&client->heard).len);
    end(&world, &resolver);
}

static void test_nobody_waits_for_the_answers(void **state)
{
    static const char *const ends[] = {"RSET\r\n", "EHLO other.test\r\n", "QUIT\r\n", NULL};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct dns_resolver resolver;
        struct world world;
        struct client *client;
        begin(&world, &resolver);
        client = world_greet(&world);
        if (ends[i] != NULL) {
            say(&world, client, "MAIL FROM:<s@far.test>\r\n", "250/2.1.0");
            client_send(&world, client, bytes_from_text(ends[i]));
            some_turns(&world, 5);
        } else {
            say(&world, client, ENVELOPE, ENVELOPE_WANT);
            say(&world, client, "From: a@far.test\r\n\r\n.\r\n", "");
            inbound_server_free(&world.server);
        }
        CHECK_INT("given up", count_open(&resolver), 0);
        CHECK_INT("all of them", resolver.cancelled, resolver.started);
        end(&world, &resolver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_waits_for_its_answers),
        cmocka_unit_test(test_a_new_question_is_asked_at_once),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_a_recipient_waits_within_bounds),
        cmocka_unit_test(test_the_text_of_a_refusal_is_whole),
        cmocka_unit_test(test_nobody_waits_for_the_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
