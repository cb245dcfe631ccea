#include "delivery_world.h"

/* ---- the plain way ---- */

static void test_plain(void **state)
{
    const struct delivery_report *report;
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    report = deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_INT("code", world.recipients[0].code, 250);
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "2.0.0");
    CHECK_BYTES("text", world.recipients[0].text, BYTES("250 2.0.0 taken"));
    CHECK_INT("trouble", report->trouble, DELIVERY_TROUBLE_NONE);
    CHECK_TEXT("stage", report->stage, "dot");
    CHECK_TRUE("fresh", !report->is_reused && !report->is_in_doubt);
    CHECK_BYTES("host", report->host, BYTES("127.0.0.1"));
    CHECK_BYTES("local", report->local, BYTES("127.0.0.1"));
    CHECK_BYTES("commands", commands(&world, 0),
                BYTES("EHLO mx.example.org\nMAIL FROM:<s@example.org> SIZE=46\n"
                      "RCPT TO:<one@d.example>\nDATA\n(content)\n"));
    CHECK_BYTES("wire", strbuf_bytes(&world.hops[0].wire),
                BYTES("Received: by us\r\n" STUFFED));
    CHECK_INT("one write each: EHLO, envelope, content", world.hops[0].reads, 3);
    world_clear(&world);
}

static void test_without_pipelining(void **state)
{
    static const struct hop_script plain = {.ehlo = "250 hop\r\n"};
    static const struct hop_script old = {.ehlo = "502 what\r\n"};
    struct world world;

    (void)state;
    for (int i = 0; i < 2; i++) {
        world_init(&world);
        set_recipient(&world, 1, "two@d.example", "");
        add_hop(&world, i == 0 ? &plain : &old, 1);
        deliver(&world);
        CHECK_INT("first", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT("second", world.recipients[1].outcome, DELIVERY_SENT);
        CHECK_INT("one command a write", world.hops[0].reads, i == 0 ? 6 : 7);
        world_clear(&world);
    }
}

static void test_parameters(void **state)
{
    static const struct {
        const char *name, *ehlo;
        bool is_8bit, is_utf8;
        struct bytes want;
    } cases[] = {
        {"all", NULL, true, true, BYTES("<s@example.org> SIZE=46 BODY=8BITMIME SMTPUTF8")},
        {"7bit", NULL, false, false, BYTES("<s@example.org> SIZE=46")},
        {"8bit to a server without it", "250 hop\r\n", true, false, BYTES("<s@example.org>")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script script = {.ehlo = cases[i].ehlo};
        struct bytes line;
        struct world world;

        world_init(&world);
        world.request.is_8bit = cases[i].is_8bit;
        world.request.is_utf8 = cases[i].is_utf8;
        add_hop(&world, &script, 1);
        deliver(&world);
        line = bytes_skip(commands(&world, 0),
                          bytes_find_part(commands(&world, 0), BYTES("FROM:")) + 5);
        CHECK_BYTES(cases[i].name, bytes_cut(&line, '\n'), cases[i].want);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, DELIVERY_SENT);
        world_clear(&world);
    }
}

static void test_loop_marks(void **state)
{
    struct loop_mark mark_a = trace_field_loop_mark(BYTES("secret"), BYTES("a@example.org"));
    struct loop_mark mark_b = trace_field_loop_mark(BYTES("secret"), BYTES("b@example.org"));
    struct bytes wire, field;
    struct world world;

    (void)state;
    world_init(&world);
    set_recipient(&world, 0, "one@d.example", "a@example.org");
    set_recipient(&world, 1, "two@d.example", "A@example.org");
    set_recipient(&world, 2, "three@d.example", "b@example.org");
    add_hop(&world, &usual, 1);
    deliver(&world);
    wire = strbuf_bytes(&world.hops[0].wire);
    CHECK_TRUE("on top", bytes_starts_with(wire, BYTES("X-Postilion-Loop: ")));
    CHECK_TRUE("first", trace_field_has_loop_mark(wire, &mark_a));
    CHECK_TRUE("second", trace_field_has_loop_mark(wire, &mark_b));
    field = bytes_first(wire, bytes_find_part(wire, BYTES("Received:")));
    field = bytes_skip(field, bytes_find_part(field, bytes_from_text(mark_a.text)) + 1);
    CHECK_INT("each once", bytes_find_part(field, bytes_from_text(mark_a.text)), field.len);
    world_clear(&world);
}

static void test_big_content(void **state)
{
    enum { LINES = 70000, LINE = 75 };
    struct strbuf content, want;
    struct world world;

    (void)state;
    strbuf_init(&content, 1 << 24);
    strbuf_init(&want, 1 << 24);
    strbuf_add_text(&want, "Received: by us\r\n");
    for (unsigned i = 0; i < LINES; i++) {
        strbuf_addf(&content, "%s%064u 12345678\r\n", i % 3 == 0 ? "." : "x", i);
        strbuf_addf(&want, "%s%064u 12345678\r\n", i % 3 == 0 ? ".." : "x", i);
    }
    strbuf_add_text(&want, ".\r\n");
    CHECK_TRUE("5 MB", content.len > 5000000);
    world_init(&world);
    content_drop(&world.content);
    world.content = content_from_bytes(strbuf_bytes(&content));
    add_hop(&world, &usual, 1);
    deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_INT("octets", world.hops[0].wire.len, want.len);
    CHECK_TRUE("equal", bytes_equal(strbuf_bytes(&world.hops[0].wire), strbuf_bytes(&want)));
    world_clear(&world);
    strbuf_clear(&content);
    strbuf_clear(&want);
}

static void test_big_content_from_a_file(void **state)
{
    static char block[100003]; /* no multiple of a piece */
    struct world world;

    (void)state;
    memset(block, 'x', sizeof block);
    memcpy(block + sizeof block - 2, "\r\n", 2);
    world_init(&world);
    content_drop(&world.content);
    world.content = content_new("/tmp");
    for (int i = 0; i < 20; i++) {
        CHECK_INT("append", content_append(world.content, bytes_of(block, sizeof block)),
                  CONTENT_OK);
    }
    CHECK_INT("seal", content_seal(world.content), CONTENT_OK);
    CHECK_TRUE("in a file", content_memory(world.content).data == NULL);
    add_hop(&world, &usual, 1);
    deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_INT("octets", world.hops[0].wire.len, 17 + 20 * sizeof block + 3);
    world_clear(&world);
}

/* ---- answers ---- */

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        struct hop_script script;
        enum delivery_outcome outcome;
        unsigned code;
        const char *enhanced, *stage;
        enum delivery_trouble trouble;
        bool is_in_doubt;
    } cases[] = {
        /* clang-format off */
        {"banner 4xx", {.banner = "450 later\r\n"},
         DELIVERY_TEMPORARY, 450, "4.0.0", "banner", DELIVERY_TROUBLE_CONNECTION, false},
        {"banner 5xx speaks of the host", {.banner = "554 5.7.1 go away\r\n"},
         DELIVERY_TEMPORARY, 554, "4.7.1", "banner", DELIVERY_TROUBLE_CONNECTION, false},
        {"banner 521 (RFC 7504)", {.banner = "521 5.3.2 no mail here\r\n"},
         DELIVERY_PERMANENT, 521, "5.3.2", "banner", DELIVERY_TROUBLE_REPLY, false},
        {"banner garbage", {.banner = "SSH-2.0-hello\r\n"},
         DELIVERY_TEMPORARY, 0, "4.5.0", "banner", DELIVERY_TROUBLE_CONNECTION, false},
        {"EHLO 4xx", {.ehlo = "421 busy\r\n"},
         DELIVERY_TEMPORARY, 421, "4.0.0", "ehlo", DELIVERY_TROUBLE_CONNECTION, false},
        {"EHLO and HELO 5xx", {.ehlo = "550 no\r\n", .helo = "550 no\r\n"},
         DELIVERY_TEMPORARY, 550, "4.0.0", "ehlo", DELIVERY_TROUBLE_CONNECTION, false},
        {"EHLO codes that change", {.ehlo = "250-a\r\n550 b\r\n"},
         DELIVERY_TEMPORARY, 0, "4.5.0", "ehlo", DELIVERY_TROUBLE_CONNECTION, false},
        {"MAIL 4xx", {.mail = "451 4.7.0 grey\r\n"},
         DELIVERY_TEMPORARY, 451, "4.7.0", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"MAIL 5xx", {.mail = "550 5.1.8 bad sender\r\n"},
         DELIVERY_PERMANENT, 550, "5.1.8", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"MAIL 421 and gone", {.mail = "!421 4.3.2 bye\r\n"},
         DELIVERY_TEMPORARY, 421, "4.3.2", "mail", DELIVERY_TROUBLE_CONNECTION, false},
        {"RCPT 4xx", {.rcpt = {"450 4.2.1 full\r\n"}},
         DELIVERY_TEMPORARY, 450, "4.2.1", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"RCPT 5xx over several lines", {.rcpt = {"550-5.1.1 no such\r\n550 5.1.1 user\r\n"}},
         DELIVERY_PERMANENT, 550, "5.1.1", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"RCPT 5xx, DATA refused too", {.rcpt = {"550 no\r\n"}, .data = "554 no recipients\r\n"},
         DELIVERY_PERMANENT, 550, "5.0.0", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"RCPT 5xx, then gone", {.rcpt = {"550 5.1.1 no\r\n"}, .data = "!"},
         DELIVERY_PERMANENT, 550, "5.1.1", "data", DELIVERY_TROUBLE_REPLY, false},
        {"RCPT garbage", {.rcpt = {"hello\r\n"}},
         DELIVERY_TEMPORARY, 0, "4.5.0", "mail", DELIVERY_TROUBLE_CONNECTION, false},
        {"too many recipients, the old way", {.rcpt = {"552 5.5.3 too many\r\n"}},
         DELIVERY_TEMPORARY, 552, "4.5.3", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"DATA 4xx", {.data = "451 no\r\n"},
         DELIVERY_TEMPORARY, 451, "4.0.0", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"DATA 5xx", {.data = "554 5.6.0 no\r\n"},
         DELIVERY_PERMANENT, 554, "5.6.0", "envelope", DELIVERY_TROUBLE_REPLY, false},
        {"DATA 2xx is no answer", {.data = "250 what\r\n"},
         DELIVERY_TEMPORARY, 0, "4.5.0", "data", DELIVERY_TROUBLE_CONNECTION, false},
        {"dot 4xx", {.dot = "452 4.3.1 full\r\n"},
         DELIVERY_TEMPORARY, 452, "4.3.1", "dot", DELIVERY_TROUBLE_REPLY, false},
        {"dot 5xx", {.dot = "554 5.7.1 spam\r\n"},
         DELIVERY_PERMANENT, 554, "5.7.1", "dot", DELIVERY_TROUBLE_REPLY, false},
        {"dot 421", {.dot = "!421 4.3.2 bye\r\n"},
         DELIVERY_TEMPORARY, 421, "4.3.2", "dot", DELIVERY_TROUBLE_CONNECTION, false},
        {"dot garbage", {.dot = "ok\r\n"},
         DELIVERY_TEMPORARY, 0, "4.5.0", "dot", DELIVERY_TROUBLE_CONNECTION, true},
        {"garbage before the dot went out", {.data = "354 go\r\n?\r\n"},
         DELIVERY_TEMPORARY, 0, "4.5.0", "dot", DELIVERY_TROUBLE_CONNECTION, false},
        {"gone after the dot", {.dot = "."},
         DELIVERY_TEMPORARY, 0, "4.4.2", "dot", DELIVERY_TROUBLE_CONNECTION, true},
        {"gone at the banner", {.banner = "."},
         DELIVERY_TEMPORARY, 0, "4.4.2", "banner", DELIVERY_TROUBLE_CONNECTION, false},
        {"250 and gone", {.dot = "!250 2.0.0 ok\r\n"},
         DELIVERY_SENT, 250, "2.0.0", "dot", DELIVERY_TROUBLE_NONE, false},
        {"one octet at a time", {.is_octet_by_octet = true},
         DELIVERY_SENT, 250, "2.0.0", "dot", DELIVERY_TROUBLE_NONE, false},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].name;
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        add_hop(&world, &cases[i].script, 1);
        report = deliver(&world);
        CHECK_INT(name, world.recipients[0].outcome, cases[i].outcome);
        CHECK_INT(name, world.recipients[0].code, cases[i].code);
        CHECK_TEXT(name, world.recipients[0].enhanced, cases[i].enhanced);
        CHECK_TRUE(name, world.recipients[0].text.len > 0);
        CHECK_TEXT(name, report->stage, cases[i].stage);
        CHECK_INT(name, report->trouble, cases[i].trouble);
        CHECK_INT(name, report->is_in_doubt, cases[i].is_in_doubt);
        world_clear(&world);
    }
}

static void test_mixed_recipients(void **state)
{
    static const struct hop_script script = {
        .rcpt = {"550 5.1.1 no\r\n", NULL, "450 4.2.1 later\r\n", NULL}};
    static const enum delivery_outcome want[] = {DELIVERY_PERMANENT, DELIVERY_SENT,
                                                 DELIVERY_TEMPORARY, DELIVERY_SENT};
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < 4; i++) {
        set_recipient(&world, i, "x@d.example", "");
    }
    add_hop(&world, &script, 1);
    CHECK_INT("trouble", deliver(&world)->trouble, DELIVERY_TROUBLE_REPLY);
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT("outcome", world.recipients[i].outcome, want[i]);
    }
    CHECK_INT("connections", world.hops[0].connections, 1);
    world_clear(&world);
}

static void test_refusals_survive_a_break(void **state)
{
    static const struct hop_script script = {.rcpt = {"550 5.1.1 no\r\n"}, .dot = "."};
    const struct delivery_report *report;
    struct world world;

    (void)state;
    world_init(&world);
    set_recipient(&world, 1, "two@d.example", "");
    add_hop(&world, &script, 1);
    report = deliver(&world);
    CHECK_INT("its own answer", world.recipients[0].outcome, DELIVERY_PERMANENT);
    CHECK_INT("nobody knows", world.recipients[1].outcome, DELIVERY_TEMPORARY);
    CHECK_TRUE("in doubt", report->is_in_doubt);
    world_clear(&world);
}

static void test_too_many_recipients(void **state)
{
    static const struct hop_script script = {
        .rcpt = {NULL, NULL, "452 4.5.3 too many\r\n", "452 4.5.3 too many\r\n"}};
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < 4; i++) {
        set_recipient(&world, i, "x@d.example", "");
    }
    add_hop(&world, &script, 1);
    deliver(&world);
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT("in a second transaction", world.recipients[i].outcome, DELIVERY_SENT);
    }
    CHECK_INT("connections", world.hops[0].connections, 1);
    world_clear(&world);
}

/* The connection ends between the transaction that was full and the one for the rest. */
static void test_too_many_then_gone(void **state)
{
    static const struct hop_script script = {.rcpt = {NULL, "452 4.5.3 too many\r\n"},
                                             .dot = "!250 2.0.0 ok\r\n"};
    struct world world;

    (void)state;
    world_init(&world);
    set_recipient(&world, 1, "two@d.example", "");
    add_hop(&world, &script, 1);
    add_hop(&world, &usual, 1);
    deliver(&world);
    CHECK_INT("first", world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_INT("second", world.recipients[1].outcome, DELIVERY_TEMPORARY);
    CHECK_INT("second", world.recipients[1].code, 452);
    world_clear(&world);
}

static void test_announcements(void **state)
{
    static const struct hop_script small = {.ehlo = "250-hop\r\n250 SIZE 45\r\n"};
    static const struct hop_script fits = {.ehlo = "250-hop\r\n250 SIZE 46\r\n"};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &small, 1);
    deliver(&world);
    CHECK_INT("too large", world.recipients[0].outcome, DELIVERY_PERMANENT);
    CHECK_TEXT("too large", world.recipients[0].enhanced, "5.3.4");
    CHECK_BYTES("not even asked", commands(&world, 0), BYTES("EHLO mx.example.org\n"));
    world_clear(&world);

    world_init(&world);
    add_hop(&world, &fits, 1);
    deliver(&world);
    CHECK_INT("just fits", world.recipients[0].outcome, DELIVERY_SENT);
    world_clear(&world);
}

/* ---- broken connections and time ---- */

static void make_big(struct world *world, size_t size)
{
    char *data = memory_alloc(size);

    memset(data, 'x', size);
    memcpy(data + size - 2, "\r\n", 2);
    content_drop(&world->content);
    world->content = content_from_bytes(bytes_of(data, size));
    free(data);
}

static void test_drop_in_content(void **state)
{
    static const struct hop_script scripts[] = {{.drop_after_content = 100000},
                                                {.banner = NULL}};
    const struct delivery_report *report;
    struct world world;

    (void)state;
    world_init(&world);
    make_big(&world, 16 * 1024 * 1024);
    add_hop(&world, scripts, 2);
    add_hop(&world, &usual, 1);
    report = deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_TEMPORARY);
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "4.4.2");
    CHECK_TEXT("stage", report->stage, "content");
    CHECK_TRUE("the dot never left", !report->is_in_doubt);
    CHECK_INT("not sent again at once", world.hops[0].connections + world.hops[1].connections,
              1);
    world_clear(&world);
}

/* It says no in the middle of the content, and goes: that is its answer (RFC 5321 §4.2.5). */
static void test_answered_in_the_middle_of_the_content(void **state)
{
    static const struct {
        const char *name, *ehlo, *said;
        enum delivery_outcome outcome;
        unsigned code;
        const char *enhanced;
        enum delivery_trouble trouble;
        unsigned connections;
    } cases[] = {
        /* clang-format off */
        {"552", NULL, "552 5.3.4 too big\r\n", DELIVERY_PERMANENT, 552, "5.3.4", DELIVERY_TROUBLE_REPLY, 1},
        {"554 of several lines", NULL, "554-no\r\n554 no\r\n", DELIVERY_PERMANENT, 554, "5.0.0", DELIVERY_TROUBLE_REPLY, 1},
        {"451", NULL, "451 4.3.0 later\r\n", DELIVERY_TEMPORARY, 451, "4.3.0", DELIVERY_TROUBLE_REPLY, 1},
        {"421 is about the connection", NULL, "421 4.3.2 bye\r\n", DELIVERY_TEMPORARY, 421, "4.3.2", DELIVERY_TROUBLE_CONNECTION, 1},
        {"half an answer is none", NULL, "552-too big\r\n", DELIVERY_TEMPORARY, 0, "4.4.2", DELIVERY_TROUBLE_CONNECTION, 1},
        {"552 in a chunk", "250-hop\r\n250 CHUNKING\r\n", "552 5.3.4 too big\r\n", DELIVERY_PERMANENT, 552, "5.3.4", DELIVERY_TROUBLE_REPLY, 1},
        {"502 in a chunk: by DATA", "250-hop\r\n250 CHUNKING\r\n", "502 what\r\n", DELIVERY_SENT, 250, "2.0.0", DELIVERY_TROUBLE_NONE, 2},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script scripts[] = {{.ehlo = cases[i].ehlo,
                                        .rcpt = {NULL, "550 5.1.1 unknown\r\n"},
                                        .drop_after_content = 100000,
                                        .last_words = cases[i].said},
                                       {.rcpt = {NULL, "550 5.1.1 unknown\r\n"}}};
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        make_big(&world, 16 * 1024 * 1024);
        set_recipient(&world, 1, "two@d.example", "");
        add_hop(&world, scripts, 2);
        report = deliver(&world);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, cases[i].outcome);
        CHECK_INT(cases[i].name, world.recipients[0].code, cases[i].code);
        CHECK_TEXT(cases[i].name, world.recipients[0].enhanced, cases[i].enhanced);
        CHECK_TEXT("had its own", world.recipients[1].enhanced, "5.1.1");
        CHECK_INT(cases[i].name, report->trouble,
                  cases[i].outcome == DELIVERY_SENT ? DELIVERY_TROUBLE_REPLY
                                                    : cases[i].trouble);
        CHECK_TRUE(cases[i].name, !report->is_in_doubt);
        CHECK_INT(cases[i].name, world.hops[0].connections, cases[i].connections);
        world_clear(&world);
    }
}

static void test_silence(void **state)
{
    static const struct {
        const char *name, *stage;
        struct hop_script script;
        bool is_in_doubt;
    } cases[] = {
        {"banner", "banner", {.banner = "-"}, false},
        {"ehlo", "ehlo", {.ehlo = "-"}, false},
        {"mail", "mail", {.ehlo = "250 hop\r\n", .mail = "-"}, false},
        {"the whole group", "mail", {.mail = "-", .rcpt = {"-"}, .data = "-"}, false},
        {"rcpt", "rcpt", {.ehlo = "250 hop\r\n", .rcpt = {"-"}}, false},
        {"data", "data", {.data = "-"}, false},
        {"dot", "dot", {.dot = "-"}, true},
        {"half a reply", "dot", {.dot = "250-never\r\n"}, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        world.options.command_timeout_ms = 40;
        world.options.data_timeout_ms = 40;
        world.options.dot_timeout_ms = 40;
        add_hop(&world, &cases[i].script, 1);
        report = deliver(&world);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, DELIVERY_TEMPORARY);
        CHECK_TEXT(cases[i].name, world.recipients[0].enhanced, "4.4.2");
        CHECK_TEXT(cases[i].name, report->stage, cases[i].stage);
        CHECK_INT(cases[i].name, report->is_in_doubt, cases[i].is_in_doubt);
        CHECK_INT(cases[i].name, report->trouble, DELIVERY_TROUBLE_CONNECTION);
        world_clear(&world);
    }
}

/* Octets that trickle in are no answer: the wait for a reply has one end. */
static void test_trickle(void **state)
{
    static const struct hop_script script = {.is_octet_by_octet = true, .drip_ms = 10};
    struct world world;

    (void)state;
    world_init(&world);
    world.options.command_timeout_ms = 80;
    add_hop(&world, &script, 1);
    CHECK_TEXT("stage", deliver(&world)->stage, "banner");
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "4.4.2");
    world_clear(&world);
}

static void test_next_hop_takes_nothing(void **state)
{
    static const struct hop_script script = {.is_deaf = true};
    const struct delivery_report *report;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.block_timeout_ms = 60;
    make_big(&world, 16 * 1024 * 1024);
    add_hop(&world, &script, 1);
    report = deliver(&world);
    CHECK_TEXT("stage", report->stage, "content");
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "4.4.2");
    CHECK_TRUE("no dot", !report->is_in_doubt);
    world_clear(&world);
}

static void test_refused(void **state)
{
    const struct delivery_report *report;
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    listener_close(&world.hops[0].listener);
    report = deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_TEMPORARY);
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "4.4.1");
    CHECK_TEXT("stage", report->stage, "connect");
    CHECK_INT("trouble", report->trouble, DELIVERY_TROUBLE_CONNECTION);
    world_clear(&world);
}

/* ---- several hosts ---- */

static void test_second_host(void **state)
{
    static const struct {
        const char *name;
        struct hop_script first, second;
        enum delivery_outcome outcome;
        unsigned code, tried;
    } cases[] = {
        /* clang-format off */
        {"banner 4xx", {.banner = "421 no\r\n"}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"gone at EHLO", {.ehlo = "."}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"gone at MAIL", {.mail = "."}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"gone at DATA", {.data = "."}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"garbage at RCPT", {.rcpt = {"?\r\n"}}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"MAIL 4xx", {.mail = "451 x\r\n"}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"RCPT 4xx", {.rcpt = {"450 x\r\n"}}, {.banner = NULL}, DELIVERY_SENT, 250, 1},
        {"RCPT 4xx, then 5xx: temporary stays", {.rcpt = {"450 x\r\n"}}, {.rcpt = {"550 x\r\n"}},
         DELIVERY_TEMPORARY, 450, 1},
        {"RCPT 4xx, then gone", {.rcpt = {"450 x\r\n"}}, {.banner = "."}, DELIVERY_TEMPORARY, 450, 1},
        {"RCPT 5xx is the answer", {.rcpt = {"550 x\r\n"}}, {.banner = NULL},
         DELIVERY_PERMANENT, 550, 0},
        {"dot 4xx is the answer", {.dot = "450 x\r\n"}, {.banner = NULL},
         DELIVERY_TEMPORARY, 450, 0},
        {"gone after the dot", {.dot = "."}, {.banner = NULL}, DELIVERY_TEMPORARY, 0, 0},
        {"garbage right behind 354: the content may be out", {.data = "354 go\r\n?\r\n"},
         {.banner = NULL}, DELIVERY_TEMPORARY, 0, 0},
        {"521 and 521", {.banner = "521 x\r\n"}, {.banner = "521 x\r\n"},
         DELIVERY_PERMANENT, 521, 1},
        {"521 and 421", {.banner = "521 x\r\n"}, {.banner = "421 x\r\n"},
         DELIVERY_TEMPORARY, 421, 1},
        {"421 and 521", {.banner = "421 x\r\n"}, {.banner = "521 x\r\n"},
         DELIVERY_TEMPORARY, 421, 1},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;

        world_init(&world);
        add_hop(&world, &cases[i].first, 1);
        add_hop(&world, &cases[i].second, 1);
        deliver(&world);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, cases[i].outcome);
        CHECK_INT(cases[i].name, world.recipients[0].code, cases[i].code);
        CHECK_INT(cases[i].name, world.hops[1].connections, cases[i].tried);
        world_clear(&world);
    }
}

static void test_failed_host_is_tried_last(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.options.reuse_idle_ms = 0;
    add_hop(&world, &(struct hop_script){.banner = "."}, 1);
    add_hop(&world, &usual, 1);
    for (unsigned i = 0; i < 3; i++) {
        deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        delivery_attempt_finish(&world.attempt);
        CHECK_INT("only once", world.hops[0].connections, 1);
        CHECK_INT("the other", world.hops[1].connections, i + 1);
    }
    world_clear(&world);
}

/* ---- kept connections ---- */

static void test_reuse(void **state)
{
    const struct delivery_report *report;
    unsigned reads;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.reuse_messages = 3;
    add_hop(&world, &usual, 1);
    for (unsigned i = 0; i < 7; i++) {
        reads = world.hops[0].reads;
        report = deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT("reused", report->is_reused, i % 3 != 0);
        if (i % 3 != 0) {
            CHECK_INT("two writes", world.hops[0].reads - reads, 2);
        }
        delivery_attempt_finish(&world.attempt);
        run_for(&world, 20);
    }
    CHECK_INT("connections", world.hops[0].connections, 3);
    world_clear(&world);
}

/* Its hosts, as the queue would be asked about them. */
static char asked_about[128];
static bool may_connect_answer;

static bool may_connect(void *context, struct bytes hosts)
{
    (void)context;
    snprintf(asked_about, sizeof asked_about, BYTES_FMT, BYTES_ARG(hosts));
    return may_connect_answer;
}

static void test_nothing_is_tried_before_it_may(void **state)
{
    const struct delivery_report *report;
    struct world world;
    char want[128];

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    world.request.may_connect = may_connect;
    snprintf(want, sizeof want, "127.0.0.1:%u", world.route.hops[0].port);
    for (unsigned i = 0; i < 4; i++) {
        may_connect_answer = i % 2 == 1; /* with no connection, then with one that rests */
        asked_about[0] = '\0';
        report = deliver(&world);
        CHECK_TEXT("asked", asked_about, want);
        CHECK_INT("put off", report->is_put_off, !may_connect_answer);
        CHECK_INT("connections", world.hops[0].connections, i > 0);
        delivery_attempt_finish(&world.attempt);
    }
    world_clear(&world);
}

static void test_domains_with_the_same_hosts_share_connections(void **state)
{
    struct delivery_route routes[2];
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    routes[0] = routes[1] = world.route;
    routes[0].domain = BYTES("one.example");
    routes[0].destination = BYTES("one");
    routes[1].domain = BYTES("two.example");
    routes[1].destination = BYTES("two");
    world.routes = (struct delivery_route_table){routes, COUNT_OF(routes)};
    for (unsigned i = 0; i < 6; i++) {
        const char *domain = i % 2 == 0 ? "one.example" : "two.example";
        const struct delivery_report *report;

        world.request.destination =
            delivery_route_destination(&world.routes, bytes_from_text(domain), world.arena);
        report = deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT("reused", report->is_reused, i > 0);
        delivery_attempt_finish(&world.attempt);
        run_for(&world, 20);
    }
    CHECK_INT("connections", world.hops[0].connections, 1);
    world_clear(&world);
}

static void test_a_connection_grows_old(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.options.reuse_ms = 1;
    add_hop(&world, &usual, 1);
    for (unsigned i = 0; i < 2; i++) {
        deliver(&world);
        run_for(&world, 5);
        delivery_attempt_finish(&world.attempt);
    }
    CHECK_INT("connections", world.hops[0].connections, 2);
    world_clear(&world);
}

static void test_refused_transaction_is_reset(void **state)
{
    static const struct hop_script script = {.rcpt = {"550 no\r\n"}, .data = "554 no\r\n"};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &script, 1);
    for (unsigned i = 0; i < 2; i++) {
        deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_PERMANENT);
        delivery_attempt_finish(&world.attempt);
    }
    CHECK_INT("connections", world.hops[0].connections, 1);
    CHECK_TRUE("RSET",
               bytes_find_part(commands(&world, 0), BYTES("RSET\n")) < commands(&world, 0).len);
    world_clear(&world);
}

/* The kept connection turns out dead in every way it can; the message goes over a new one, with
 * no failure noted. */
static void test_dead_kept_connection(void **state)
{
    static const char *const ways[] = {"!421 4.4.2 idle too long\r\n", "."};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct world world;
        const struct delivery_report *report;

        world_init(&world);
        add_hop(&world, &usual, 1);
        add_hop(&world, &usual, 1);
        deliver(&world);
        delivery_attempt_finish(&world.attempt);
        world.hops[0].open[0]->script = &(struct hop_script){.mail = ways[i]};
        report = deliver(&world);
        CHECK_INT(ways[i], world.hops[1].connections, 0);
        CHECK_INT(ways[i], world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT(ways[i], world.hops[0].connections, 2);
        CHECK_INT(ways[i], report->trouble, DELIVERY_TROUBLE_NONE);
        CHECK_TRUE(ways[i], !report->is_reused);
        delivery_attempt_finish(&world.attempt);
        hop_close(world.hops[0].open[1]);
        run_for(&world, 20);
        deliver(&world);
        CHECK_INT("not held against the host", world.hops[0].connections, 3);
        world_clear(&world);
    }
}

static void test_kept_connection_watched(void **state)
{
    static const char *const said[] = {NULL, "421 bye\r\n", "250 what\r\n", "2"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        add_hop(&world, &usual, 1);
        deliver(&world);
        delivery_attempt_finish(&world.attempt);
        if (said[i] == NULL) {
            hop_close(world.hops[0].open[0]);
        } else {
            stream_write(world.hops[0].open[0]->stream, bytes_from_text(said[i]));
            stream_flush(world.hops[0].open[0]->stream);
        }
        run_for(&world, 20);
        report = deliver(&world);
        CHECK_TRUE("a new one", !report->is_reused);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        world_clear(&world);
    }
}

static void test_words_behind_the_last_answer(void **state)
{
    static const struct hop_script scripts[] = {{.unasked = "250 ok\r\n"}, {.banner = NULL}};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, scripts, 2);
    deliver(&world);
    CHECK_INT("the answer counts", world.recipients[0].outcome, DELIVERY_SENT);
    delivery_attempt_finish(&world.attempt);
    CHECK_TRUE("the connection does not", !deliver(&world)->is_reused);
    world_clear(&world);
}

static void test_rest_ends(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.options.reuse_idle_ms = 30;
    add_hop(&world, &usual, 1);
    deliver(&world);
    delivery_attempt_finish(&world.attempt);
    run_for(&world, 100);
    CHECK_TRUE("QUIT", bytes_ends_with_nocase(commands(&world, 0), BYTES("QUIT\n")));
    CHECK_TRUE("a new one", !deliver(&world)->is_reused);
    world_clear(&world);
}

static void test_close_idle_and_reload(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    deliver(&world);
    delivery_attempt_finish(&world.attempt);
    outbound_close_idle(world.outbound);
    run_for(&world, 20);
    CHECK_TRUE("QUIT", bytes_ends_with_nocase(commands(&world, 0), BYTES("QUIT\n")));
    CHECK_TRUE("a new one", !deliver(&world)->is_reused);
    outbound_set_options(world.outbound, &world.options);
    delivery_attempt_finish(&world.attempt); /* made before the reload: not kept */
    CHECK_TRUE("a new one", !deliver(&world)->is_reused);
    world_clear(&world);
}

/* ---- the caller ---- */

static void test_abort(void **state)
{
    static const struct hop_script scripts[] = {{.banner = "-"}, {.dot = "-"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct world world;

        world_init(&world);
        add_hop(&world, &scripts[i], 1);
        start(&world);
        run_for(&world, 30);
        CHECK_TRUE("still open", !world.is_done);
        delivery_attempt_finish(&world.attempt);
        run_for(&world, 30);
        CHECK_TRUE("never told", !world.is_done);
        CHECK_TRUE("closed", world.hops[0].open[0]->stream == NULL);
        world_clear(&world);
    }
}

/* The route is gone: settled inside start, told later, unless aborted before. */
static void test_abort_before_told(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.options.routes = NULL;
    start(&world);
    delivery_attempt_finish(&world.attempt);
    run_for(&world, 10);
    CHECK_TRUE("never told", !world.is_done);
    deliver(&world);
    CHECK_INT("temporary", world.recipients[0].outcome, DELIVERY_TEMPORARY);
    CHECK_TEXT("enhanced", world.recipients[0].enhanced, "4.3.5");
    world_clear(&world);
}

static int snapshots_destroyed;

static void destroy_snapshot(struct shared *snapshot)
{
    (void)snapshot;
    snapshots_destroyed++;
}

static void test_snapshot_is_held(void **state)
{
    struct shared snapshot;
    struct world world;

    (void)state;
    shared_init(&snapshot, destroy_snapshot);
    world_init(&world);
    world.options.snapshot = &snapshot;
    add_hop(&world, &usual, 1);
    start(&world);
    shared_drop(&snapshot);
    world.options.snapshot = NULL;
    outbound_set_options(world.outbound, &world.options);
    CHECK_INT("held by the attempt", snapshots_destroyed, 0);
    run(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
    delivery_attempt_finish(&world.attempt);
    CHECK_INT("dropped", snapshots_destroyed, 1);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_without_pipelining),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_loop_marks),
        cmocka_unit_test(test_big_content),
        cmocka_unit_test(test_big_content_from_a_file),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_mixed_recipients),
        cmocka_unit_test(test_refusals_survive_a_break),
        cmocka_unit_test(test_too_many_recipients),
        cmocka_unit_test(test_too_many_then_gone),
        cmocka_unit_test(test_announcements),
        cmocka_unit_test(test_drop_in_content),
        cmocka_unit_test(test_answered_in_the_middle_of_the_content),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_next_hop_takes_nothing),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_second_host),
        cmocka_unit_test(test_failed_host_is_tried_last),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_nothing_is_tried_before_it_may),
        cmocka_unit_test(test_domains_with_the_same_hosts_share_connections),
        cmocka_unit_test(test_a_connection_grows_old),
        cmocka_unit_test(test_refused_transaction_is_reset),
        cmocka_unit_test(test_dead_kept_connection),
        cmocka_unit_test(test_kept_connection_watched),
        cmocka_unit_test(test_words_behind_the_last_answer),
        cmocka_unit_test(test_rest_ends),
        cmocka_unit_test(test_close_idle_and_reload),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_before_told),
        cmocka_unit_test(test_snapshot_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
