/* Look-ups beside the dialogue: what is asked when, what happens when no answer comes, who waits. */
#include "inbound_world.h"

/* -- the resolver, played: one asker, one session -- */

struct dns_asker {
    struct dns_resolver *resolver;
    struct dns_facts *facts; /* NULL: between evaluations */
    void (*on_answers)(void *context);
    void *context;
    size_t open;
    struct loop_timer *timer; /* the time by itself, or the deadline */
};

struct dns_resolver {
    struct event_loop *loop;
    struct dns_asker *asker; /* NULL: gone */
    size_t asks;             /* times that something new was to be looked up */
    size_t begun, ended;
    uint64_t delay_ms;   /* 0: the test answers, or the deadline does */
    bool is_silent;      /* only the deadline answers */
    bool knows_it_all;   /* the cache is warm */
    bool is_impossible;  /* nothing can be asked: answered from inside */
    size_t told;         /* times that on_answers ran */
    const char *record;  /* TXT of every name that begins with its first word; the rest: none */
    const char *silence; /* names that begin so have no answer */
};

static size_t count_open(const struct dns_resolver *resolver)
{
    return resolver->asker != NULL ? resolver->asker->open : 0;
}

static bool is_held_back(const struct dns_resolver *resolver, struct bytes name)
{
    return resolver->silence != NULL &&
           bytes_starts_with(name, bytes_from_text(resolver->silence));
}

static void put_answer(struct dns_resolver *resolver, struct dns_facts *facts,
                       const struct dns_question *question, bool is_late)
{
    struct bytes text = bytes_from_text(resolver->record == NULL ? "" : resolver->record);
    struct bytes name = bytes_cut(&text, ' ');
    struct dns_record record = {.type = DNS_TYPE_TXT, .ttl = 60, .text = text};
    struct dns_answer none = {.status = DNS_NXDOMAIN};
    struct dns_answer late = {.status = DNS_TEMPFAIL, .why = "timeout"};
    struct dns_answer answer = {
        .status = DNS_OK, .owner = question->name, .records = &record, .count = 1};
    bool is_known = name.len > 0 && question->type == DNS_TYPE_TXT &&
                    bytes_starts_with(question->name, name);

    dns_facts_put(facts, question->name, question->type,
                  is_late    ? &late
                  : is_known ? &answer
                             : &none);
}

/* All that is open is answered, but what is held back; and so is that when it is late. */
static void answer_open(struct dns_asker *asker, bool is_late)
{
    size_t kept = 0;

    while (kept < asker->open) {
        size_t count;
        const struct dns_question *at = dns_facts_wanted(asker->facts, &count) + kept;

        assert_true(asker->open <= count);
        if (!is_late && is_held_back(asker->resolver, at->name)) {
            kept++;
        } else {
            put_answer(asker->resolver, asker->facts, at, is_late);
            asker->open--;
        }
    }
    asker->resolver->told++;
    asker->on_answers(asker->context);
}

static void on_timer(void *context)
{
    struct dns_asker *asker = context;

    answer_open(asker, asker->resolver->delay_ms == 0 || asker->resolver->is_silent);
}

struct dns_asker *dns_asker_new(struct dns_resolver *resolver,
                                void (*on_answers)(void *context), void *context)
{
    struct dns_asker *asker = memory_zero(sizeof *asker);

    CHECK_TRUE("one a session", resolver->asker == NULL);
    asker->resolver = resolver;
    asker->on_answers = on_answers;
    asker->context = context;
    asker->timer = loop_timer_new(resolver->loop, on_timer, asker);
    return resolver->asker = asker;
}

void dns_asker_end(struct dns_asker *asker)
{
    if (asker != NULL && asker->facts != NULL) {
        dns_facts_set_source(asker->facts, NULL, NULL);
        asker->facts = NULL;
        asker->open = 0;
        asker->resolver->ended++;
        loop_timer_stop(asker->timer);
    }
}

void dns_asker_free(struct dns_asker **asker)
{
    if (*asker != NULL) {
        dns_asker_end(*asker);
        (*asker)->resolver->asker = NULL;
        loop_timer_free(&(*asker)->timer);
        free(*asker);
        *asker = NULL;
    }
}

static bool know(void *context, struct bytes name, uint16_t type, struct dns_answer *answer)
{
    struct dns_resolver *resolver = context;

    (void)name, (void)type;
    *answer = (struct dns_answer){.status = DNS_NXDOMAIN};
    return resolver->knows_it_all;
}

void dns_asker_begin(struct dns_asker *asker, struct dns_facts *facts)
{
    asker->facts = facts;
    asker->resolver->begun++;
    dns_facts_set_source(facts, know, asker->resolver);
}

bool dns_asker_ask(struct dns_asker *asker, uint64_t deadline_ms)
{
    struct dns_resolver *resolver = asker->resolver;
    uint64_t now_ms = event_loop_now_ms(resolver->loop);
    size_t count;
    const struct dns_question *wanted = dns_facts_wanted(asker->facts, &count);

    CHECK_TRUE("not asked too late", deadline_ms > now_ms);
    if (count == asker->open) {
        return false;
    }
    resolver->asks++;
    if (resolver->is_impossible) {
        put_answer(resolver, asker->facts, &wanted[asker->open], true);
        return true;
    }
    asker->open = count;
    if (resolver->delay_ms == 0 || resolver->is_silent) {
        loop_timer_set(asker->timer, deadline_ms - now_ms);
    } else {
        loop_timer_set(asker->timer, resolver->delay_ms);
    }
    return false;
}

size_t dns_asker_open(const struct dns_asker *asker)
{
    return asker->open;
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
    for (unsigned i = 0; i < 100 && count_open(resolver) > 0; i++) {
        answer_open(resolver->asker, false);
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
    CHECK_INT("asked at MAIL", resolver.asks, 1);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\nNOOP\r\n", "");
    CHECK_INT("and at the header", resolver.asks, 2);
    answer_all(&resolver);
    hear(&world, client, "answered", "250/2.0.0 250/2.0.0");
    CHECK_TRUE("our field",
               strstr(world.queue.prefix, "Authentication-Results: mx.test;") != NULL);
    end(&world, &resolver);
}

/* Who does not answer holds up nobody else's chain: nor the refusal that comes of it. */
static void test_each_answer_counts_at_once(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    policy.spf_fail = SPF_FAIL_REFUSE;
    resolver.record = "far.test v=spf1 include:far.test.more.test -all";
    resolver.silence = "7.2.0.192";
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n", "250/2.1.0");
    for (unsigned i = 0; i < 20 && resolver.told < 20; i++) {
        answer_open(resolver.asker, false);
    }
    CHECK_TRUE("the name of the client is still open", count_open(&resolver) > 0);
    CHECK_TRUE("level by level", resolver.asks >= 2);
    hear(&world, client, "the chain has an end", "250/2.1.5");
    say(&world, client, "RSET\r\n", "250/2.0.0");
    resolver.record = "far.test v=spf1 -all";
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n", "250/2.1.0");
    answer_open(resolver.asker, false);
    hear(&world, client, "refused", "550/5.7.23");
    CHECK_TRUE("and the name is still open", count_open(&resolver) > 0);
    end(&world, &resolver);
}

/* Nothing waits, nothing is asked: the whole message is answered in the turn it came in. */
static void test_a_warm_cache_keeps_nobody_waiting(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver);
    policy.spf_fail = SPF_FAIL_REFUSE;
    resolver.knows_it_all = true;
    client = world_greet(&world);
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\nNOOP\r\n", "250/2.0.0 250/2.0.0");
    CHECK_INT("nothing is asked", resolver.asks, 0);
    CHECK_TRUE("our field", strstr(world.queue.prefix, "dmarc=none") != NULL);
    resolver.knows_it_all = false;
    resolver.is_impossible = true;
    policy.auth_temperror = AUTH_TEMPERROR_ACCEPT;
    say(&world, client, ENVELOPE, ENVELOPE_WANT);
    say(&world, client, "From: a@far.test\r\n\r\nx\r\n.\r\nNOOP\r\n", "250/2.0.0 250/2.0.0");
    CHECK_INT("nothing was waited for", resolver.told, 0);
    CHECK_TRUE("our field", strstr(world.queue.prefix, "dmarc=temperror") != NULL);
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
    resolver.is_silent = true;
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
    resolver.is_silent = true;
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nRSET\r\n",
        "250/2.1.0 250/2.1.5 250/2.0.0");
    CHECK_TRUE("a few rounds", resolver.asks <= 5);
    resolver.is_silent = false;
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
        CHECK_INT("each evaluation", resolver.ended, resolver.begun);
        end(&world, &resolver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_waits_for_its_answers),
        cmocka_unit_test(test_each_answer_counts_at_once),
        cmocka_unit_test(test_a_warm_cache_keeps_nobody_waiting),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_a_recipient_waits_within_bounds),
        cmocka_unit_test(test_the_text_of_a_refusal_is_whole),
        cmocka_unit_test(test_nobody_waits_for_the_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
