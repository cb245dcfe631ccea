/* What a next hop offers, and what is done with it: CHUNKING, SMTPUTF8, DSN. */
#include "delivery_world.h"

#define CHUNKING_EHLO "250-hop\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 20000000\r\n"
#define ENVELOPE                                                                               \
    "EHLO mx.example.org\nMAIL FROM:<s@example.org> SIZE=46\nRCPT TO:<one@d.example>\n"

static const struct hop_script chunking = {.ehlo = CHUNKING_EHLO};

static void test_chunk(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &chunking, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_TEXT("stage", deliver(&world)->stage, "dot");
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_BYTES("text", world.recipients[0].text, BYTES("250 2.0.0 taken"));
        delivery_attempt_finish(&world.attempt);
    }
    CHECK_BYTES("commands", commands(&world, 0),
                BYTES(ENVELOPE "BDAT 46 LAST\n(chunk)\n"
                               "MAIL FROM:<s@example.org> SIZE=46\nRCPT TO:<one@d.example>\n"
                               "BDAT 46 LAST\n(chunk)\n"));
    CHECK_BYTES("as it is", strbuf_bytes(&world.hops[0].wire),
                BYTES("Received: by us\r\n" CONTENT "Received: by us\r\n" CONTENT));
    CHECK_INT("one connection", world.hops[0].connections, 1);
    CHECK_INT("one write each: EHLO, envelope, content, envelope, content", world.hops[0].reads,
              5);
    world_clear(&world);
}

static void test_chunk_answers(void **state)
{
    static const struct {
        const char *name;
        struct hop_script script;
        enum delivery_outcome outcomes[2];
        const char *stage;
        bool is_in_doubt;
        const char *end; /* of the commands */
    } cases[] = {
        /* clang-format off */
        {"one recipient refused", {.ehlo = CHUNKING_EHLO, .rcpt = {"550 no\r\n"}},
         {DELIVERY_PERMANENT, DELIVERY_SENT}, "dot", false, "BDAT 46 LAST\n(chunk)\n"},
        {"all refused: nothing of the content leaves", {.ehlo = CHUNKING_EHLO, .rcpt = {"550 no\r\n", "551 no\r\n"}},
         {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, "envelope", false, "RCPT TO:<two@d.example>\n"},
        {"MAIL refused", {.ehlo = CHUNKING_EHLO, .mail = "550 no\r\n", .rcpt = {"503 no\r\n", "503 no\r\n"}},
         {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, "envelope", false, "RCPT TO:<two@d.example>\n"},
        {"without pipelining", {.ehlo = "250-hop\r\n250 CHUNKING\r\n"},
         {DELIVERY_SENT, DELIVERY_SENT}, "dot", false, "BDAT 46 LAST\n(chunk)\n"},
        {"content refused", {.ehlo = CHUNKING_EHLO, .dot = "554 5.7.1 spam\r\n"},
         {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, "dot", false, "(chunk)\n"},
        {"content deferred", {.ehlo = CHUNKING_EHLO, .dot = "451 later\r\n"},
         {DELIVERY_TEMPORARY, DELIVERY_TEMPORARY}, "dot", false, "(chunk)\n"},
        {"gone behind the content", {.ehlo = CHUNKING_EHLO, .dot = "."},
         {DELIVERY_TEMPORARY, DELIVERY_TEMPORARY}, "dot", true, "(chunk)\n"},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct delivery_report *report;
        struct world world;
        struct bytes said;

        world_init(&world);
        set_recipient(&world, 1, "two@d.example", "");
        add_hop(&world, &cases[i].script, 1);
        report = deliver(&world);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, cases[i].outcomes[0]);
        CHECK_INT(cases[i].name, world.recipients[1].outcome, cases[i].outcomes[1]);
        CHECK_TEXT(cases[i].name, report->stage, cases[i].stage);
        CHECK_INT(cases[i].name, report->is_in_doubt, cases[i].is_in_doubt);
        said = commands(&world, 0);
        CHECK_BYTES(cases[i].name, bytes_skip(said, said.len - strlen(cases[i].end)),
                    bytes_from_text(cases[i].end));
        world_clear(&world);
    }
}

/* A refused envelope is undone, and the connection is good for the next message. */
static void test_chunk_after_a_refusal(void **state)
{
    static const struct hop_script script = {.ehlo = CHUNKING_EHLO,
                                             .rcpt = {"550 no\r\n", NULL}};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &script, 1);
    deliver(&world);
    delivery_attempt_finish(&world.attempt);
    set_recipient(&world, 1, "two@d.example", "");
    deliver(&world);
    CHECK_INT("second", world.recipients[1].outcome, DELIVERY_SENT);
    CHECK_BYTES("commands", commands(&world, 0),
                BYTES(ENVELOPE "RSET\nMAIL FROM:<s@example.org> SIZE=46\n"
                               "RCPT TO:<one@d.example>\nRCPT TO:<two@d.example>\n"
                               "BDAT 46 LAST\n(chunk)\n"));
    world_clear(&world);
}

static void test_big_chunk(void **state)
{
    enum { LINES = 70000 };
    struct strbuf content;
    struct world world;

    (void)state;
    strbuf_init(&content, 1 << 24);
    for (unsigned i = 0; i < LINES; i++) {
        strbuf_addf(&content, ".%064u 12345678\r\n", i);
    }
    for (int is_file = 0; is_file <= 1; is_file++) {
        world_init(&world);
        content_drop(&world.content);
        if (is_file) {
            world.content = content_new("/tmp");
            content_append(world.content, strbuf_bytes(&content));
            CHECK_INT("seal", content_seal(world.content), CONTENT_OK);
            CHECK_TRUE("in a file", content_memory(world.content).data == NULL);
        } else {
            world.content = content_from_bytes(strbuf_bytes(&content));
        }
        add_hop(&world, &chunking, 1);
        deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT("octets", world.hops[0].wire.len, 17 + content.len);
        CHECK_TRUE("equal", bytes_equal(bytes_skip(strbuf_bytes(&world.hops[0].wire), 17),
                                        strbuf_bytes(&content)));
        world_clear(&world);
    }
    strbuf_clear(&content);
}

/* What was not all sent cannot have been taken. */
static void test_drop_in_a_chunk(void **state)
{
    static const struct hop_script script = {.ehlo = CHUNKING_EHLO,
                                             .drop_after_content = 100000};
    const struct delivery_report *report;
    struct world world;
    char *data = memory_alloc(8000000);

    (void)state;
    memset(data, 'x', 8000000);
    memcpy(data + 8000000 - 2, "\r\n", 2);
    world_init(&world);
    content_drop(&world.content);
    world.content = content_from_bytes(bytes_of(data, 8000000));
    free(data);
    add_hop(&world, &script, 1);
    report = deliver(&world);
    CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_TEMPORARY);
    CHECK_TEXT("stage", report->stage, "content");
    CHECK_TRUE("no doubt", !report->is_in_doubt);
    CHECK_INT("no other connection", world.hops[0].connections, 1);
    world_clear(&world);
}

#define TRANSACTION "MAIL FROM:<s@example.org> SIZE=46\nRCPT TO:<one@d.example>\n"
#define DATA_EHLO "250-hop\r\n250-CHUNKING\r\n250 SIZE 20000000\r\n"

/* CHUNKING is offered, and BDAT is not known: that is no answer to the message. */
static void test_refused_bdat_is_data_at_once(void **state)
{
    static const struct {
        const char *name;
        struct hop_script script;
        enum delivery_outcome outcome;
        const char *text;
        const char *commands; /* NULL: not looked at */
        unsigned connections;
    } cases[] = {
        /* clang-format off */
        {"502", {.ehlo = CHUNKING_EHLO, .bdat = "502 not here\r\n"}, DELIVERY_SENT, "250 2.0.0 taken",
         ENVELOPE "BDAT 46 LAST\n(chunk)\nRSET\n" TRANSACTION "DATA\n(content)\n", 1},
        {"500 with an enhanced code", {.ehlo = CHUNKING_EHLO, .bdat = "500 5.5.2 what?\r\n"}, DELIVERY_SENT, "250 2.0.0 taken",
         ENVELOPE "BDAT 46 LAST\n(chunk)\nRSET\n" TRANSACTION "DATA\n(content)\n", 1},
        {"503, without pipelining", {.ehlo = DATA_EHLO, .bdat = "503 DATA first\r\n"}, DELIVERY_SENT, "250 2.0.0 taken",
         ENVELOPE "BDAT 46 LAST\n(chunk)\nRSET\n" TRANSACTION "DATA\n(content)\n", 1},
        {"504, and DATA is refused, too", {.ehlo = CHUNKING_EHLO, .bdat = "504 no\r\n", .data = "503 no\r\n"},
         DELIVERY_PERMANENT, "503 no", ENVELOPE "BDAT 46 LAST\n(chunk)\nRSET\n" TRANSACTION "DATA\n", 1},
        {"500, then it goes", {.ehlo = CHUNKING_EHLO, .bdat = "!500 no\r\n"}, DELIVERY_SENT, "250 2.0.0 taken",
         ENVELOPE "BDAT 46 LAST\n" ENVELOPE "DATA\n(content)\n", 2},
        {"takes the chunk for commands", {.ehlo = CHUNKING_EHLO, .knows_no_bdat = true}, DELIVERY_SENT, "250 2.0.0 taken",
         NULL, 2},
        {"the same, an octet at a time", {.ehlo = CHUNKING_EHLO, .knows_no_bdat = true, .is_octet_by_octet = true},
         DELIVERY_SENT, "250 2.0.0 taken", NULL, 2},
        {"500 about the content", {.ehlo = CHUNKING_EHLO, .bdat = "500 5.7.1 spam\r\n"},
         DELIVERY_PERMANENT, "500 5.7.1 spam", ENVELOPE "BDAT 46 LAST\n(chunk)\n", 1},
        {"554", {.ehlo = CHUNKING_EHLO, .bdat = "554 5.5.1 spam\r\n"},
         DELIVERY_PERMANENT, "554 5.5.1 spam", ENVELOPE "BDAT 46 LAST\n(chunk)\n", 1},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        /* The second connection is another server behind the same address. */
        struct hop_script scripts[] = {cases[i].script, usual};
        scripts[1].ehlo = CHUNKING_EHLO;
        add_hop(&world, scripts, 2);
        report = deliver(&world);
        CHECK_INT(cases[i].name, world.recipients[0].outcome, cases[i].outcome);
        CHECK_BYTES(cases[i].name, world.recipients[0].text, bytes_from_text(cases[i].text));
        CHECK_TRUE(cases[i].name, !report->is_in_doubt);
        CHECK_INT(cases[i].name, world.hops[0].connections, cases[i].connections);
        if (cases[i].commands != NULL) {
            CHECK_BYTES(cases[i].name, commands(&world, 0), bytes_from_text(cases[i].commands));
        }
        world_clear(&world);
    }
}

static void test_refused_bdat_is_remembered(void **state)
{
    static const struct hop_script script = {.ehlo = CHUNKING_EHLO, .bdat = "502 no\r\n"};
    struct world world;
    struct bytes said;
    size_t first;

    (void)state;
    world_init(&world);
    world.options.reuse_messages = 1; /* the next one has a connection of its own */
    set_recipient(&world, 1, "two@d.example", "");
    add_hop(&world, &script, 1);
    for (int i = 0; i < 2; i++) {
        deliver(&world);
        CHECK_INT("first", world.recipients[0].outcome, DELIVERY_SENT);
        CHECK_INT("second", world.recipients[1].outcome, DELIVERY_SENT);
        delivery_attempt_finish(&world.attempt);
    }
    CHECK_INT("connections", world.hops[0].connections, 2);
    said = commands(&world, 0);
    first = bytes_find_part(said, BYTES("BDAT"));
    CHECK_TRUE("tried once", first < said.len);
    said = bytes_skip(said, first + 4);
    CHECK_TRUE("and not again", bytes_find_part(said, BYTES("BDAT")) == said.len);
    world_clear(&world);
}

#define UTF8_ADDRESS "j\xc3\xb6@d.example"

static void test_utf8(void **state)
{
    static const struct {
        const char *name;
        bool is_said, is_header, has_utf8_sender, is_offered;
        const char *addresses[2];
        enum delivery_outcome outcomes[2];
        const char *want; /* behind MAIL FROM:<...>; NULL: not even asked */
    } cases[] = {
        /* clang-format off */
        {"said, and offered", true, false, false, true, {"a@d.example", "b@d.example"}, {DELIVERY_SENT, DELIVERY_SENT}, " SMTPUTF8"},
        {"said, not offered, not needed", true, false, false, false, {"a@d.example", "b@d.example"}, {DELIVERY_SENT, DELIVERY_SENT}, ""},
        {"not said, offered", false, false, false, true, {"a@d.example", "b@d.example"}, {DELIVERY_SENT, DELIVERY_SENT}, ""},
        {"header, offered", true, true, false, true, {"a@d.example", "b@d.example"}, {DELIVERY_SENT, DELIVERY_SENT}, " SMTPUTF8"},
        {"header, not offered", true, true, false, false, {"a@d.example", "b@d.example"}, {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, NULL},
        {"sender, offered", true, false, true, true, {"a@d.example", "b@d.example"}, {DELIVERY_SENT, DELIVERY_SENT}, " SMTPUTF8"},
        {"sender, not offered", true, false, true, false, {"a@d.example", "b@d.example"}, {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, NULL},
        {"a target of ours, offered", false, false, false, true, {"a@d.example", UTF8_ADDRESS}, {DELIVERY_SENT, DELIVERY_SENT}, " SMTPUTF8"},
        {"a target of ours, not offered", false, false, false, false, {UTF8_ADDRESS, "b@d.example"}, {DELIVERY_PERMANENT, DELIVERY_SENT}, ""},
        {"all targets, not offered", true, false, false, false, {UTF8_ADDRESS, UTF8_ADDRESS}, {DELIVERY_PERMANENT, DELIVERY_PERMANENT}, NULL},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script script = {.ehlo = cases[i].is_offered ? "250-hop\r\n250 SMTPUTF8\r\n"
                                                                : "250 hop\r\n"};
        struct bytes said, line;
        struct world world;

        world_init(&world);
        world.request.is_utf8 = cases[i].is_said;
        world.request.is_utf8_header = cases[i].is_header;
        if (cases[i].has_utf8_sender) {
            world.request.sender = BYTES("\xc3\xa4@example.org");
        }
        set_recipient(&world, 0, cases[i].addresses[0], "");
        set_recipient(&world, 1, cases[i].addresses[1], "");
        add_hop(&world, &script, 1);
        deliver(&world);
        for (int r = 0; r < 2; r++) {
            CHECK_INT(cases[i].name, world.recipients[r].outcome, cases[i].outcomes[r]);
            if (cases[i].outcomes[r] == DELIVERY_PERMANENT) {
                CHECK_TEXT(cases[i].name, world.recipients[r].enhanced, "5.6.7");
            }
        }
        said = commands(&world, 0);
        CHECK_INT(cases[i].name, bytes_find_part(said, BYTES("MAIL FROM:")) < said.len,
                  cases[i].want != NULL);
        if (cases[i].want != NULL) {
            line = bytes_skip(said, bytes_find_part(said, BYTES("MAIL FROM:")));
            line = bytes_cut(&line, '\n');
            CHECK_BYTES(cases[i].name, bytes_skip(line, bytes_find(line, '>') + 1),
                        bytes_from_text(cases[i].want));
        }
        world_clear(&world);
    }
}

static void test_dsn(void **state)
{
    static const struct {
        const char *name, *ehlo, *alias;
        unsigned notify;
        struct bytes orcpt;
        enum dsn_return ret;
        struct bytes envid;
        const char *want_mail, *want_rcpt;
        bool want_passed;
    } cases[] = {
        /* clang-format off */
        {"not offered", "250 hop\r\n", "i@example.org", DSN_NOTIFY_SUCCESS, BYTES("rfc822;x"), DSN_RETURN_FULL, BYTES("q"),
         "<s@example.org>", "<one@d.example>", false},
        {"everything", "250-hop\r\n250 DSN\r\n", "i@example.org", DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY, BYTES("rfc822;x+2By"), DSN_RETURN_HEADERS, BYTES("q+3D"),
         "<s@example.org> RET=HDRS ENVID=q+3D", "<one@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By", true},
        {"nothing said: the alias", "250-hop\r\n250 DSN\r\n", "i+j@example.org", 0, BYTES(""), DSN_RETURN_UNSAID, BYTES(""),
         "<s@example.org>", "<one@d.example> ORCPT=rfc822;i+2Bj@example.org", true},
        {"an alias in UTF-8", "250-hop\r\n250 DSN\r\n", "j\xc3\xb6@example.org", DSN_NOTIFY_NEVER, BYTES(""), DSN_RETURN_UNSAID, BYTES(""),
         "<s@example.org>", "<one@d.example> NOTIFY=NEVER", true},
        {"no alias", "250-hop\r\n250 DSN\r\n", "", 0, BYTES(""), DSN_RETURN_UNSAID, BYTES(""), "<s@example.org>", "<one@d.example>", true},
        {"in UTF-8, without SMTPUTF8", "250-hop\r\n250 DSN\r\n", "", 0, BYTES("utf-8;j\xc3\xb6@x"), DSN_RETURN_UNSAID, BYTES(""),
         "<s@example.org>", "<one@d.example> ORCPT=utf-8;j\\x{F6}@x", true},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script script = {.ehlo = cases[i].ehlo};
        char want[512];
        struct world world;

        world_init(&world);
        set_recipient(&world, 0, "one@d.example", cases[i].alias);
        world.recipients[0].notify = cases[i].notify;
        world.recipients[0].orcpt = cases[i].orcpt;
        world.request.ret = cases[i].ret;
        world.request.envid = cases[i].envid;
        add_hop(&world, &script, 1);
        deliver(&world);
        snprintf(want, sizeof want,
                 "EHLO mx.example.org\nMAIL FROM:%s\nRCPT TO:%s\nDATA\n(content)\n",
                 cases[i].want_mail, cases[i].want_rcpt);
        CHECK_BYTES(cases[i].name, commands(&world, 0), bytes_from_text(want));
        CHECK_INT(cases[i].name, world.recipients[0].is_dsn_passed, cases[i].want_passed);
        world_clear(&world);
    }
}

/* RFC 9422: what a next hop announces is kept to, over as many transactions and connections as it takes. */
static void test_limits(void **state)
{
    static const struct {
        const char *name, *ehlo;
        const char *rcpt[HOP_RECIPIENTS];
        const char *addresses[4];
        const char *want; /* M: MAIL, 1-4: RCPT, D: content, |: a new connection */
        enum delivery_outcome outcomes[4];
    } cases[] = {
        /* clang-format off */
        {"no limits", "250-hop\r\n250 LIMITS\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M1234D", {0}},
        {"two of four", "250-hop\r\n250 LIMITS RCPTMAX=2\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M12DM34D", {0}},
        {"one by one", "250-hop\r\n250 limits rcptmax=1\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M1DM2DM3DM4D", {0}},
        {"as one group", "250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=3\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M123DM4D", {0}},
        {"refused ones", "250-hop\r\n250 LIMITS RCPTMAX=2\r\n", {"550 no\r\n", "550 no\r\n"}, {"1@d", "2@d", "3@d", "4@d"}, "M12RM34",
         {DELIVERY_PERMANENT, DELIVERY_PERMANENT, DELIVERY_PERMANENT, DELIVERY_PERMANENT}},
        {"fewer than announced", "250-hop\r\n250 LIMITS RCPTMAX=3\r\n", {NULL, "452 4.5.3 too many\r\n", "452 4.5.3 too many\r\n"},
         {"1@d", "2@d", "3@d", "4@d"}, "M123DM4DM23DM3D", {0}},
        {"a domain at a time", "250-hop\r\n250 LIMITS RCPTDOMAINMAX=1\r\n", {NULL}, {"1@d", "2@e", "3@D", "4@e"}, "M13DM24D", {0}},
        {"domains and recipients", "250-hop\r\n250 LIMITS RCPTDOMAINMAX=2 RCPTMAX=3\r\n", {NULL}, {"1@d", "2@e", "3@f", "4@d"}, "M124DM3D", {0}},
        {"a message a connection", "250-hop\r\n250 LIMITS RCPTMAX=2 MAILMAX=1\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M12D|M34D", {0}},
        {"two a connection", "250-hop\r\n250 LIMITS RCPTMAX=1 MAILMAX=2\r\n", {NULL}, {"1@d", "2@d", "3@d", "4@d"}, "M1DM2D|M3DM4D", {0}},
        {"nonsense is no limit", "250-hop\r\n250 LIMITS RCPTMAX=0 RCPTMAX=01 MAILMAX=-1 RCPTDOMAINMAX=1000000 RCPTMAX RCPTMAXX=1 =1\r\n", {NULL},
         {"1@d", "2@e", "3@d", "4@d"}, "M1234D", {0}},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script script = {.ehlo = cases[i].ehlo};
        char got[256] = "";
        struct world world;
        struct bytes rest, line;

        memcpy(script.rcpt, cases[i].rcpt, sizeof script.rcpt);
        world_init(&world);
        for (size_t j = 0; j < 4; j++) {
            set_recipient(&world, j, cases[i].addresses[j], "");
        }
        add_hop(&world, &script, 1);
        deliver(&world);
        delivery_attempt_give_back(world.attempt);
        for (size_t j = 0; j < 4; j++) {
            CHECK_INT(cases[i].name, world.recipients[j].outcome, cases[i].outcomes[j]);
        }
        for (rest = commands(&world, 0); rest.len > 0;) {
            size_t at = strlen(got);

            line = bytes_cut(&rest, '\n');
            if (at > 0 && bytes_starts_with(line, BYTES("EHLO"))) {
                got[at] = '|';
            } else if (bytes_starts_with(line, BYTES("RCPT"))) {
                got[at] = line.data[9];
            } else if (bytes_starts_with(line, BYTES("MAIL"))) {
                got[at] = 'M';
            } else if (bytes_starts_with(line, BYTES("(content)"))) {
                got[at] = 'D';
            } else if (bytes_starts_with(line, BYTES("RSET"))) {
                got[at] = 'R';
            }
        }
        CHECK_TEXT(cases[i].name, got, cases[i].want);
        world_clear(&world);
    }
}

/* A connection that has had its MAILMAX is not kept for the next message. */
static void test_used_up_connection_does_not_rest(void **state)
{
    static const struct hop_script script = {.ehlo = "250-hop\r\n250 LIMITS MAILMAX=2\r\n"};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &script, 1);
    for (unsigned i = 0; i < 4; i++) {
        deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome, DELIVERY_SENT);
        delivery_attempt_finish(&world.attempt);
        CHECK_INT("two messages each", world.hops[0].connections, i / 2 + 1);
    }
    world_clear(&world);
}

/* A second host's LIMITS hold when it is asked about those whom the first one deferred. */
static void test_limits_of_the_second_host(void **state)
{
    static const struct hop_script first = {.rcpt = {"450 later\r\n", "450 later\r\n",
                                                     "450 later\r\n"}},
                                   second = {.ehlo = "250-hop\r\n250 LIMITS RCPTMAX=2\r\n",
                                             .rcpt = {NULL, "450 later\r\n"}};
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &first, 1);
    add_hop(&world, &second, 1);
    set_recipient(&world, 1, "two@d.example", "");
    set_recipient(&world, 2, "three@d.example", "");
    deliver(&world);
    CHECK_INT("first", world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_INT("second", world.recipients[1].outcome, DELIVERY_TEMPORARY);
    CHECK_INT("third", world.recipients[2].outcome, DELIVERY_SENT);
    world_clear(&world);
}

/* What was to be encrypted all the way stays here where nobody promises that; not so a bounce (RFC 8689
 * §5), which does not pass on the wish in clear. */
static void test_requiretls_in_clear(void **state)
{
    static const struct hop_script script = {.ehlo = "250-hop\r\n250 REQUIRETLS\r\n"};

    (void)state;
    for (int is_bounce = 0; is_bounce <= 1; is_bounce++) {
        const struct delivery_report *report;
        struct world world;

        world_init(&world);
        add_hop(&world, &script, 1);
        world.request.requires_tls = true;
        if (is_bounce) {
            world.request.sender = BYTES("");
        }
        report = deliver(&world);
        CHECK_INT("outcome", world.recipients[0].outcome,
                  is_bounce ? DELIVERY_SENT : DELIVERY_PERMANENT);
        CHECK_TEXT("status", world.recipients[0].enhanced, is_bounce ? "2.0.0" : "5.7.10");
        CHECK_INT("no trouble of the destination", report->trouble,
                  is_bounce ? DELIVERY_TROUBLE_NONE : DELIVERY_TROUBLE_REPLY);
        CHECK_INT("connections", world.hops[0].connections, is_bounce);
        CHECK_BYTES("commands", commands(&world, 0),
                    is_bounce ? BYTES("EHLO mx.example.org\nMAIL FROM:<>\nRCPT "
                                      "TO:<one@d.example>\nDATA\n(content)\n")
                              : BYTES(""));
        world_clear(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk),
        cmocka_unit_test(test_chunk_answers),
        cmocka_unit_test(test_chunk_after_a_refusal),
        cmocka_unit_test(test_big_chunk),
        cmocka_unit_test(test_drop_in_a_chunk),
        cmocka_unit_test(test_refused_bdat_is_data_at_once),
        cmocka_unit_test(test_refused_bdat_is_remembered),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_dsn),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_used_up_connection_does_not_rest),
        cmocka_unit_test(test_limits_of_the_second_host),
        cmocka_unit_test(test_requiretls_in_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
