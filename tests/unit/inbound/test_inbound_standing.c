/* What is thought of clients: who waits for what, who is refused with which words, who is not asked
 * about; and the wait before the greeting. */
#include "inbound_world.h"

/* -- the resolver, played: any number of askers -- */

enum { OPEN_LIMIT = 300, TICK_MS = 1 };

struct dns_resolver {
    struct event_loop *loop;
    const char *zone;    /* "NAME value value, NAME ..." as in the tests of room forward */
    const char *silence; /* names that end so have no answer before the deadline */
    bool is_warm;        /* the cache knows all that is not silent */
    size_t asked;        /* questions */
    char names[16384];   /* of them, a line each */
};

struct dns_asker {
    struct dns_resolver *resolver;
    struct dns_facts *facts; /* NULL: between evaluations */
    void (*on_answers)(void *context);
    void *context;
    size_t open;
    uint64_t until_ms[OPEN_LIMIT];
    struct loop_timer *timer;
};

static bool is_silent(const struct dns_resolver *resolver, struct bytes name)
{
    return resolver->silence != NULL &&
           bytes_ends_with_nocase(name, bytes_from_text(resolver->silence));
}

static void read_value(struct bytes word, struct dns_record *record, struct dns_answer *answer)
{
    if (word.data[0] == '"' && record->type == DNS_TYPE_TXT) {
        record->text = bytes_skip(word, 1);
        answer->count++;
    } else if (word.data[0] == '@' && record->type == DNS_TYPE_MX) {
        record->mx.host = bytes_skip(word, 1);
        answer->count++;
    } else if (record->type == DNS_TYPE_PTR && ascii_is_alpha((unsigned char)word.data[0])) {
        record->name = word;
        answer->count++;
    } else if (record->type == DNS_TYPE_A && ip_address_parse(word, &record->address)) {
        answer->count++;
    }
}

static void find_answer(const struct dns_resolver *resolver, struct bytes asked, uint16_t type,
                        struct dns_record *records, struct dns_answer *answer)
{
    struct bytes rest = bytes_from_text(resolver->zone);

    *answer = (struct dns_answer){.status = DNS_NXDOMAIN, .owner = asked};
    while (rest.len != 0 && answer->status == DNS_NXDOMAIN) {
        struct bytes entry = bytes_trim(bytes_cut(&rest, ','));
        struct bytes name = bytes_cut(&entry, ' ');

        if (!bytes_equal(name, asked) &&
            !(bytes_starts_with(name, BYTES("*")) &&
              bytes_ends_with_nocase(asked, bytes_skip(name, 1)))) {
            continue;
        }
        *answer = (struct dns_answer){.status = DNS_NODATA, .owner = asked, .records = records};
        while (entry.len != 0) {
            struct bytes word = bytes_cut(&entry, ' ');

            if (bytes_equal(word, BYTES("!"))) {
                answer->status = DNS_TEMPFAIL;
                return;
            }
            records[answer->count] = (struct dns_record){.type = type};
            read_value(word, &records[answer->count], answer);
        }
        answer->status = answer->count != 0 ? DNS_OK : DNS_NODATA;
    }
}

static void on_tick(void *context)
{
    static const struct dns_answer late = {.status = DNS_TEMPFAIL, .why = "timeout"};
    struct dns_asker *asker = context;
    uint64_t now_ms = event_loop_now_ms(asker->resolver->loop);
    size_t kept = 0, answered = 0;

    while (kept < asker->open) {
        size_t count;
        struct dns_question question = dns_facts_wanted(asker->facts, &count)[kept];
        struct dns_record records[16];
        struct dns_answer answer;

        assert_true(asker->open <= count);
        if (is_silent(asker->resolver, question.name) && now_ms < asker->until_ms[kept]) {
            kept++;
            continue;
        }
        find_answer(asker->resolver, question.name, question.type, records, &answer);
        dns_facts_put(asker->facts, question.name, question.type,
                      is_silent(asker->resolver, question.name) ? &late : &answer);
        asker->open--;
        answered++;
        memmove(&asker->until_ms[kept], &asker->until_ms[kept + 1],
                (asker->open - kept) * sizeof asker->until_ms[0]);
    }
    if (asker->open > 0) {
        loop_timer_set(asker->timer, TICK_MS);
    }
    if (answered > 0) {
        asker->on_answers(asker->context);
    }
}

struct dns_asker *dns_asker_new(struct dns_resolver *resolver,
                                void (*on_answers)(void *context), void *context)
{
    struct dns_asker *asker = memory_zero(sizeof *asker);

    asker->resolver = resolver;
    asker->on_answers = on_answers;
    asker->context = context;
    asker->timer = loop_timer_new(resolver->loop, on_tick, asker);
    return asker;
}

void dns_asker_end(struct dns_asker *asker)
{
    if (asker != NULL && asker->facts != NULL) {
        dns_facts_set_source(asker->facts, NULL, NULL);
        asker->facts = NULL;
        asker->open = 0;
        loop_timer_stop(asker->timer);
    }
}

void dns_asker_free(struct dns_asker **asker)
{
    if (*asker != NULL) {
        dns_asker_end(*asker);
        loop_timer_free(&(*asker)->timer);
        free(*asker);
        *asker = NULL;
    }
}

static bool know(void *context, struct bytes name, uint16_t type, struct dns_answer *answer)
{
    static struct dns_record records[16];
    struct dns_resolver *resolver = context;

    if (!resolver->is_warm || is_silent(resolver, name)) {
        return false;
    }
    find_answer(resolver, name, type, records, answer);
    return true;
}

void dns_asker_begin(struct dns_asker *asker, struct dns_facts *facts)
{
    assert_null(asker->facts);
    asker->facts = facts;
    dns_facts_set_source(facts, know, asker->resolver);
}

bool dns_asker_ask(struct dns_asker *asker, uint64_t deadline_ms)
{
    struct dns_resolver *resolver = asker->resolver;
    size_t count, used;
    const struct dns_question *wanted = dns_facts_wanted(asker->facts, &count);

    CHECK_TRUE("not asked too late", deadline_ms > event_loop_now_ms(resolver->loop));
    for (; asker->open < count; asker->open++) {
        assert_true(asker->open < OPEN_LIMIT);
        asker->until_ms[asker->open] = deadline_ms;
        resolver->asked++;
        used = strlen(resolver->names);
        snprintf(resolver->names + used, sizeof resolver->names - used, BYTES_FMT " %s\n",
                 BYTES_ARG(wanted[asker->open].name), dns_type_text(wanted[asker->open].type));
    }
    if (asker->open > 0) {
        loop_timer_set(asker->timer, TICK_MS);
    }
    return false;
}

size_t dns_asker_open(const struct dns_asker *asker)
{
    return asker->open;
}

/* -- the world with it -- */

#define LISTED "7.2.0.192.bl.test 127.0.0.3 \"spam,"
#define TEST "2.0.0.127.bl.test 127.0.0.2,"
#define NAMED "7.2.0.192.in-addr.arpa mail.far.test,mail.far.test 192.0.2.7,"
#define MAIL_RCPT "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n"

static struct dns_list lists[DNS_LIST_LIMIT], allows[DNS_LIST_LIMIT];

static struct dns_list a_list(struct bytes zone, enum client_action action, unsigned points)
{
    return (struct dns_list){.zone = zone, .rule = {action, points}};
}

static void begin(struct world *world, struct dns_resolver *resolver, const char *zone)
{
    static const struct bytes own_names[] = {{"mx.test", 7}};

    world_init(world);
    *resolver = (struct dns_resolver){.loop = world->loop, .zone = zone};
    world->options.authserv_id = world->options.hostname;
    world->options.clients = (struct client_options){.blocklists = lists,
                                                     .allowlists = allows,
                                                     .lists_timeout_ms = 300,
                                                     .own_names = own_names,
                                                     .own_name_count = 1};
    world->options.clients.rules.of[CLIENT_EARLY_TALKER].action = CLIENT_REFUSE;
    inbound_server_set_resolver(world->server, resolver);
}

static void block_by(struct world *world, struct dns_list list)
{
    lists[world->options.clients.blocklist_count++] = list;
}

static void allow_by(struct world *world, struct dns_list list)
{
    allows[world->options.clients.allowlist_count++] = list;
}

static void set_rule(struct world *world, enum client_control control,
                     enum client_action action)
{
    world->options.clients.rules.of[control] = (struct client_rule){action, 5};
}

static void has_said(const struct client *client, const char *text)
{
    if (strstr(strbuf_text(&client->heard), text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, strbuf_text(&client->heard));
    }
}

static void send_message(struct world *world, struct client *client)
{
    say(world, client, "DATA\r\n", "354");
    say(world, client, "From: a@far.test\r\n\r\nx\r\n.\r\n", "250/2.0.0");
}

static void test_nothing_is_asked_when_all_is_off(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, "*bl.test 127.0.0.3");
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    send_message(&world, client);
    CHECK_INT("asked", resolver.asked, 0);
    CHECK_TRUE("no field", strstr(world.queue.prefix, "x-client") == NULL);
    world_clear(&world);
}

static void test_a_listed_client(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, LISTED TEST);
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    has_said(client, "550 5.7.1 192.0.2.7 is in the block list bl.test: spam\r\n");
    CHECK_INT("A, then TXT and both test entries", resolver.asked, 4);
    say(&world, client, "RSET\r\n" MAIL_RCPT, "250/2.0.0 250/2.1.0 550/5.7.1");
    CHECK_INT("what is known of the client stays", resolver.asked, 4);
    say(&world, client, "RCPT TO:<PostMaster@own.test>\r\n", "250/2.1.5");
    send_message(&world, client);
    CHECK_TRUE("but marked",
               strstr(world.queue.prefix,
                      "x-client=fail (blocklist:bl.test) policy.points=0") != NULL);
    world_clear(&world);
}

static void test_what_a_list_must_be_like(void **state)
{
    static const struct {
        const char *name, *zone, *silence, *want;
    } cases[] = {
        {"not listed", TEST, NULL, "250/2.1.0 250/2.1.5"},
        {"it has everybody", "*bl.test 127.0.0.2", NULL, "250/2.1.0 250/2.1.5"},
        {"it has no test entry", LISTED, NULL, "250/2.1.0 250/2.1.5"},
        {"it refuses", "*bl.test 127.255.255.254", NULL, "250/2.1.0 250/2.1.5"},
        {"it does not answer", LISTED TEST, "bl.test", "250/2.1.0 250/2.1.5"},
        {"its test entry does not", LISTED TEST, "2.0.0.127.bl.test", "250/2.1.0 250/2.1.5"},
        {"it fails", "*bl.test !", NULL, "250/2.1.0 250/2.1.5"},
        {"the other one has it", "*bad.bl.test 127.0.0.2," LISTED TEST, NULL,
         "250/2.1.0 550/5.7.1"},
        {"the other one has it, this one is silent", LISTED TEST, "bad.bl.test",
         "250/2.1.0 550/5.7.1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dns_resolver resolver;
        struct world world;
        struct client *client;

        begin(&world, &resolver, cases[i].zone);
        resolver.silence = cases[i].silence;
        block_by(&world, a_list(BYTES("bad.bl.test"), CLIENT_REFUSE, 0));
        block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
        client = world_greet(&world);
        say_bytes(&world, client, cases[i].name, BYTES(MAIL_RCPT), cases[i].want);
        world_clear(&world);
    }
}

/* One that does not answer holds nobody up for longer than it may. */
static void test_a_slow_list_has_its_deadline(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;
    uint64_t begun_ms;

    (void)state;
    begin(&world, &resolver, TEST);
    resolver.silence = "bl.test";
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    begun_ms = clock_now_ms();
    say(&world, client, MAIL_RCPT "NOOP\r\n", "250/2.1.0 250/2.1.5 250/2.0.0");
    CHECK_TRUE("it had its time", clock_now_ms() - begun_ms >= 290);
    CHECK_TRUE("no more", clock_now_ms() - begun_ms < 3000);
    begun_ms = clock_now_ms();
    say(&world, client, "RSET\r\n" MAIL_RCPT, "250/2.0.0 250/2.1.0 250/2.1.5");
    CHECK_TRUE("once", clock_now_ms() - begun_ms < 250);
    world_clear(&world);
}

/* RSET ends the look-ups, so the time before it is no time that the lists had: else whoever says RSET and
 * comes back when that is over would be in no list. */
static void test_time_that_was_broken_off_does_not_count(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;
    uint64_t begun_ms;

    (void)state;
    begin(&world, &resolver, LISTED TEST);
    resolver.silence = "bl.test";
    world.options.clients.lists_timeout_ms = 100;
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    begun_ms = clock_now_ms();
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRSET\r\n", "250/2.1.0 250/2.0.0");
    while (clock_now_ms() - begun_ms < 150) {
        some_turns(&world, 1);
    }
    resolver.silence = NULL;
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    world_clear(&world);
}

static void test_mail_to_postmaster_does_not_wait(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, TEST);
    resolver.silence = "bl.test";
    world.options.clients.lists_timeout_ms = 60000;
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<postmaster@own.test>\r\n",
        "250/2.1.0 250/2.1.5");
    send_message(&world, client);
    world_clear(&world);
}

/* What is certain is said at once, whatever else is open: but not before the allow lists. */
static void test_a_refusal_does_not_wait(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, LISTED TEST);
    resolver.silence = "slow.test";
    world.options.clients.lists_timeout_ms = 60000;
    block_by(&world, a_list(BYTES("slow.test"), CLIENT_REFUSE, 0));
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    world_clear(&world);
    begin(&world, &resolver, LISTED TEST "*wl.test !");
    resolver.silence = "wl.test";
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    allow_by(&world, a_list(BYTES("wl.test"), CLIENT_OFF, 0));
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    CHECK_TRUE("the allow list was waited for",
               strstr(resolver.names, "7.2.0.192.wl.test A") != NULL);
    world_clear(&world);
}

static void test_who_is_allowed(void **state)
{
    struct ip_network network;
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver,
          LISTED TEST "7.2.0.192.wl.test 127.0.0.5,2.0.0.127.wl.test 127.0.0.2");
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    allow_by(&world, a_list(BYTES("wl.test"), CLIENT_OFF, 0));
    set_rule(&world, CLIENT_SENDER_DOMAIN, CLIENT_REFUSE);
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    send_message(&world, client);
    CHECK_TRUE("no field", strstr(world.queue.prefix, "x-client") == NULL);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    world_clear(&world);
    /* one that allows everybody allows nobody */
    begin(&world, &resolver, LISTED TEST "*wl.test 127.0.0.2");
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    allow_by(&world, a_list(BYTES("wl.test"), CLIENT_OFF, 0));
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    world_clear(&world);
    begin(&world, &resolver, LISTED TEST);
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    CHECK_TRUE("network", ip_network_parse(BYTES("192.0.2.0/24"), &network));
    world.options.clients.allowed = &network;
    world.options.clients.allowed_count = 1;
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    CHECK_INT("nobody was asked", resolver.asked, 0);
    world_clear(&world);
    begin(&world, &resolver, LISTED TEST);
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    world.options.trusted = &network; /* a relay of ours is not judged, either */
    world.options.trusted_count = 1;
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    CHECK_INT("nobody was asked", resolver.asked, 0);
    world_clear(&world);
}

static void test_each_control(void **state)
{
    static const struct {
        const char *name, *zone, *dialogue, *want;
        enum client_control control;
    } cases[] = {
        {"HELO: our name", "", "EHLO mx.test\r\n" MAIL_RCPT, "250 250/2.1.0 550/5.5.4",
         CLIENT_HELO},
        {"HELO: bare address", "", "HELO 192.0.2.7\r\n" MAIL_RCPT, "250 250/2.1.0 550/5.5.4",
         CLIENT_HELO},
        {"HELO: a literal is fine", "", "EHLO [192.0.2.7]\r\n" MAIL_RCPT,
         "250 250/2.1.0 250/2.1.5", CLIENT_HELO},
        {"HELO: another literal is another control", "", "EHLO [192.0.2.8]\r\n" MAIL_RCPT,
         "250 250/2.1.0 250/2.1.5", CLIENT_HELO},
        {"HELO: another literal", "", "EHLO [192.0.2.8]\r\n" MAIL_RCPT,
         "250 250/2.1.0 550/5.5.4", CLIENT_HELO_LOCAL},
        {"HELO: the next one is better", "",
         "EHLO mx.test\r\n" MAIL_RCPT "EHLO a.test\r\n" MAIL_RCPT,
         "250 250/2.1.0 550/5.5.4 250 250/2.1.0 250/2.1.5", CLIENT_HELO},
        {"no reverse name", "", "EHLO a.test\r\n" MAIL_RCPT, "250 250/2.1.0 550/5.7.25",
         CLIENT_REVERSE_NAME},
        {"reverse name unknown", "7.2.0.192.in-addr.arpa !", "EHLO a.test\r\n" MAIL_RCPT,
         "250 250/2.1.0 451/4.7.25", CLIENT_REVERSE_NAME},
        {"reverse name", NAMED, "EHLO a.test\r\n" MAIL_RCPT, "250 250/2.1.0 250/2.1.5",
         CLIENT_REVERSE_NAME},
        {"no sender's domain", "", "EHLO a.test\r\n" MAIL_RCPT, "250 250/2.1.0 550/5.1.8",
         CLIENT_SENDER_DOMAIN},
        {"null MX", "far.test @", "EHLO a.test\r\n" MAIL_RCPT, "250 250/2.1.0 550/5.7.27",
         CLIENT_SENDER_DOMAIN},
        {"sender's domain unknown", "far.test !", "EHLO a.test\r\n" MAIL_RCPT,
         "250 250/2.1.0 451/4.1.8", CLIENT_SENDER_DOMAIN},
        {"sender's domain", "far.test @mx.far.test", "EHLO a.test\r\n" MAIL_RCPT,
         "250 250/2.1.0 250/2.1.5", CLIENT_SENDER_DOMAIN},
        {"null sender", "", "EHLO a.test\r\nMAIL FROM:<>\r\nRCPT TO:<info@own.test>\r\n",
         "250 250/2.1.0 250/2.1.5", CLIENT_SENDER_DOMAIN},
        {"one sender after the other", "far.test @mx.far.test",
         "EHLO a.test\r\n" MAIL_RCPT
         "RSET\r\nMAIL FROM:<s@gone.test>\r\nRCPT TO:<info@own.test>\r\nRSET\r\n" MAIL_RCPT,
         "250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.1.0 550/5.1.8 250/2.0.0 250/2.1.0 250/2.1.5",
         CLIENT_SENDER_DOMAIN},
        {"commands behind EHLO", "", "EHLO a.test\r\n" MAIL_RCPT, "250 250/2.1.0 554/5.5.1",
         CLIENT_PIPELINING},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int is_warm = 0; is_warm < 2; is_warm++) {
            struct dns_resolver resolver;
            struct world world;
            struct client *client;

            begin(&world, &resolver, cases[i].zone);
            resolver.is_warm = is_warm;
            set_rule(&world, cases[i].control, CLIENT_REFUSE);
            client = world_connect(&world);
            hear(&world, client, "banner", "220");
            say_bytes(&world, client, cases[i].name, bytes_from_text(cases[i].dialogue),
                      cases[i].want);
            CHECK_TRUE(cases[i].name, is_warm == 0 || resolver.asked == 0);
            world_clear(&world);
        }
    }
}

static void test_waiting_for_the_answer_to_ehlo(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, "");
    set_rule(&world, CLIENT_PIPELINING, CLIENT_REFUSE);
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    world_clear(&world);
}

/* Each gives a little; what speaks against the sender goes with its MAIL. */
static void test_points_add_up(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, LISTED TEST "far.test @mx.far.test");
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_POINTS, 3));
    set_rule(&world, CLIENT_HELO_LOCAL, CLIENT_POINTS);
    set_rule(&world, CLIENT_SENDER_DOMAIN, CLIENT_POINTS);
    world.options.clients.rules.tag_at = 5;
    world.options.clients.rules.refuse_at = 13;
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    send_message(&world, client);
    CHECK_TRUE("three points are no mark", strstr(world.queue.prefix, "x-client") == NULL);
    say(&world, client, "EHLO client\r\n" MAIL_RCPT, "250 250/2.1.0 250/2.1.5");
    send_message(&world, client);
    CHECK_TRUE("eight are",
               strstr(world.queue.prefix, "x-client=fail (helo-local:single-label, "
                                          "blocklist:bl.test) policy.points=8") != NULL);
    say(&world, client, "MAIL FROM:<s@gone.test>\r\nRCPT TO:<info@own.test>\r\n",
        "250/2.1.0 550/5.7.1");
    has_said(client, "550 5.7.1 Too much speaks against this client (13 points): "
                     "helo-local:single-label, blocklist:bl.test, sender-domain:missing\r\n");
    say(&world, client, "RSET\r\n" MAIL_RCPT, "250/2.0.0 250/2.1.0 250/2.1.5");
    world_clear(&world);
}

/* What was said of a client under rules that have gone, and whose place in memory others have now. */
static void test_a_verdict_came_back_with_the_place_of_its_rules(void **state)
{
    struct inbound_options between, *first;
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver, LISTED TEST);
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    say(&world, client, "RSET\r\n", "250/2.0.0");
    first = &world.options;
    between = world.options;
    between.clients = (struct client_options){.blocklists = lists};
    inbound_server_set_options(world.server, &between);
    say(&world, client, MAIL_RCPT "RSET\r\n", "250/2.1.0 250/2.1.5 250/2.0.0");
    lists[0].rule.action = CLIENT_TAG;
    set_rule(&world, CLIENT_HELO, CLIENT_DEFER);
    inbound_server_set_options(world.server, first);
    say(&world, client, MAIL_RCPT "RSET\r\n", "250/2.1.0 250/2.1.5 250/2.0.0");
    world_clear(&world);
}

static void test_lists_of_names(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;

    (void)state;
    begin(&world, &resolver,
          "test.names.test 127.0.0.2,far.test.names.test 127.0.0.2,"
          "test.helo.test 127.0.0.2,bad.test.helo.test 127.0.0.2");
    block_by(&world, a_list(BYTES("names.test"), CLIENT_REFUSE, 0));
    block_by(&world, a_list(BYTES("helo.test"), CLIENT_REFUSE, 0));
    lists[0].subject = DNS_LIST_SENDER;
    lists[1].subject = DNS_LIST_HELO;
    client = world_greet(&world);
    say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
    has_said(client, "550 5.7.1 far.test is in the block list names.test; ask there");
    say(&world, client, "RSET\r\nMAIL FROM:<s@good.test>\r\nRCPT TO:<info@own.test>\r\n",
        "250/2.0.0 250/2.1.0 250/2.1.5");
    say(&world, client, "EHLO bad.test\r\nMAIL FROM:<>\r\nRCPT TO:<info@own.test>\r\n",
        "250 250/2.1.0 550/5.7.1");
    has_said(client, "550 5.7.1 bad.test is in the block list helo.test; ask there");
    world_clear(&world);
}

/* Nobody is left holding what a client that goes away was waiting for. */
static void test_gone_while_it_waits(void **state)
{
    struct dns_resolver resolver;
    struct world world;

    (void)state;
    begin(&world, &resolver, LISTED TEST);
    resolver.silence = "bl.test";
    block_by(&world, a_list(BYTES("bl.test"), CLIENT_REFUSE, 0));
    for (int i = 0; i < 3; i++) {
        struct client *client = world_greet(&world);

        say(&world, client, MAIL_RCPT, "250/2.1.0");
        if (i == 1) {
            client_end(client);
            hear(&world, client, "still answered", "250/2.1.5 end");
        } else {
            client_reset(client);
        }
    }
    world_quiet(&world, "gone");
    world_clear(&world);
}

/* Whoever only says MAIL is not looked up without end. */
static void test_no_questions_for_nothing(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client;
    char mail[64];

    (void)state;
    begin(&world, &resolver, "*.test @mx.test");
    set_rule(&world, CLIENT_SENDER_DOMAIN, CLIENT_REFUSE);
    client = world_greet(&world);
    for (int i = 0; i < 200; i++) {
        snprintf(mail, sizeof mail, "MAIL FROM:<a@x%d.test>\r\nRSET\r\n", i);
        say(&world, client, mail, "250/2.1.0 250/2.0.0");
    }
    CHECK_TRUE("asked", resolver.asked <= 40);
    say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
    world_clear(&world);
}

/* -- before the greeting -- */

static struct client *connect_to(struct world *world, uint64_t wait_ms, const char *first)
{
    struct client *client = &world->clients[world->client_count++];
    struct stream_accepted accepted = {.peer = {.port = 4000}};
    struct inbound_door door = {.banner_wait_ms = wait_ms};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    assert_true(ip_address_parse(BYTES("192.0.2.7"), &accepted.peer.address));
    *client = (struct client){.fd = pair[0]};
    strbuf_init(&client->heard, HEARD_LIMIT);
    accepted.handle = pair[1];
    if (first != NULL) {
        assert_int_equal(send(pair[0], first, strlen(first), 0), (ssize_t)strlen(first));
    }
    inbound_accept_by(world->server, &accepted, NULL, &door);
    return client;
}

static void test_before_the_greeting(void **state)
{
    static const struct {
        const char *name, *first, *want;
        enum client_action action;
    } cases[] = {
        {"silent", NULL, "220", CLIENT_REFUSE},
        {"refused", "EHLO a.test\r\n", "554/5.5.1 end", CLIENT_REFUSE},
        {"not even a line", "x", "554/5.5.1 end", CLIENT_REFUSE},
        {"sent away", "EHLO a.test\r\n", "421/4.5.1 end", CLIENT_DEFER},
        {"off", "EHLO a.test\r\n", "220 250", CLIENT_OFF},
        {"noted", "EHLO a.test\r\n", "220 250", CLIENT_TAG},
        {"points", "EHLO a.test\r\n", "220 250", CLIENT_POINTS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dns_resolver resolver;
        struct world world;
        struct client *client;
        uint64_t begun_ms = clock_now_ms();

        begin(&world, &resolver, "");
        set_rule(&world, CLIENT_EARLY_TALKER, cases[i].action);
        world.options.clients.rules.refuse_at = 5;
        client = connect_to(&world, 150, cases[i].first);
        hear(&world, client, cases[i].name, cases[i].want);
        CHECK_TRUE(cases[i].name, cases[i].want[0] != '2' || clock_now_ms() - begun_ms >= 145);
        if (cases[i].action == CLIENT_TAG) {
            say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
            send_message(&world, client);
            CHECK_TRUE("marked",
                       strstr(world.queue.prefix, "x-client=fail (early-talker)") != NULL);
        } else if (cases[i].action == CLIENT_POINTS) {
            say(&world, client, MAIL_RCPT, "250/2.1.0 550/5.7.1");
        } else if (cases[i].action == CLIENT_OFF) {
            say(&world, client, MAIL_RCPT, "250/2.1.0 250/2.1.5");
        }
        world_clear(&world);
    }
}

/* It speaks in the middle of the wait; or it goes. */
static void test_in_the_middle_of_the_wait(void **state)
{
    struct dns_resolver resolver;
    struct world world;
    struct client *client, *leaving, *closing;
    struct ip_network network;

    (void)state;
    begin(&world, &resolver, "");
    client = connect_to(&world, 60000, NULL);
    leaving = connect_to(&world, 60000, NULL);
    closing = connect_to(&world, 60000, NULL);
    some_turns(&world, 3);
    client_reset(leaving);
    client_end(closing);
    say(&world, client, "E", "554/5.5.1 end");
    hear(&world, closing, "nobody is there to be greeted", "end");
    world_quiet(&world, "gone");
    CHECK_TRUE("network", ip_network_parse(BYTES("192.0.2.0/24"), &network));
    world.options.clients.allowed = &network;
    world.options.clients.allowed_count = 1;
    client = connect_to(&world, 60000, "EHLO a.test\r\n");
    hear(&world, client, "who is allowed does not wait", "220 250");
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_asked_when_all_is_off),
        cmocka_unit_test(test_a_listed_client),
        cmocka_unit_test(test_what_a_list_must_be_like),
        cmocka_unit_test(test_a_slow_list_has_its_deadline),
        cmocka_unit_test(test_time_that_was_broken_off_does_not_count),
        cmocka_unit_test(test_mail_to_postmaster_does_not_wait),
        cmocka_unit_test(test_a_refusal_does_not_wait),
        cmocka_unit_test(test_who_is_allowed),
        cmocka_unit_test(test_each_control),
        cmocka_unit_test(test_waiting_for_the_answer_to_ehlo),
        cmocka_unit_test(test_points_add_up),
        cmocka_unit_test(test_a_verdict_came_back_with_the_place_of_its_rules),
        cmocka_unit_test(test_lists_of_names),
        cmocka_unit_test(test_gone_while_it_waits),
        cmocka_unit_test(test_no_questions_for_nothing),
        cmocka_unit_test(test_before_the_greeting),
        cmocka_unit_test(test_in_the_middle_of_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
