/* BDAT: what is content is never a command and what is a command never content, whatever a client does;
 * and what MAIL and RCPT said beside their addresses reaches the queue. */
#include "inbound_world.h"

#define MAIL_INFO "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n"
#define OK_INFO "250/2.1.0 250/2.1.5 "

/* clang-format off */
static const struct {
    const char *name;
    struct bytes octets; /* after the greeting, in one go */
    const char *want;
    unsigned submitted;
    struct bytes content; /* of the last */
} CASES[] = {
    {"one chunk", BYTES(MAIL_INFO "BDAT 10 LAST\r\nS: x\r\n\r\na\n" "QUIT\r\n"), OK_INFO "550/5.6.11 end", 0, BYTES("")},
    {"one chunk of lines", BYTES(MAIL_INFO "BDAT 11 LAST\r\nS: x\r\n\r\na\r\n" "NOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\na\r\n")},
    {"many chunks", BYTES(MAIL_INFO "BDAT 3\r\nS: BDAT 2\r\nx\rBDAT 1\r\n\nBDAT 5 LAST\r\n\r\na\r\n"), OK_INFO "250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\na\r\n")},
    {"an empty last chunk", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    {"nothing at all", BYTES(MAIL_INFO "BDAT 0 LAST\r\n"), OK_INFO "250/2.0.0", 1, BYTES("")},
    {"an empty chunk in between", BYTES(MAIL_INFO "BDAT 0\r\nBDAT 8\r\nS: x\r\n\r\nBDAT 0\r\nBDAT 3 LAST\r\nb\r\n"), OK_INFO "250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\nb\r\n")},
    {"no CRLF at the end", BYTES(MAIL_INFO "BDAT 9 LAST\r\nS: x\r\n\r\naNOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\na\r\n")},
    {"a header without an end", BYTES(MAIL_INFO "BDAT 4 LAST\r\nS: x"), OK_INFO "250/2.0.0", 1, BYTES("S: x\r\n")},
    {"dots are content", BYTES(MAIL_INFO "BDAT 14 LAST\r\nS: x\r\n\r\n.\r\n..aNOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\n.\r\n..a\r\n")},
    {"an end of DATA inside is content", BYTES(MAIL_INFO "BDAT 33 LAST\r\nS: x\r\n\r\n.\r\nMAIL FROM:<x@x.test>\r\nNOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\n.\r\nMAIL FROM:<x@x.test>\r\n")},
    {"BDAT inside is content", BYTES(MAIL_INFO "BDAT 21 LAST\r\nS: x\r\n\r\nBDAT 1 LAST\r\nNOOP\r\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\nBDAT 1 LAST\r\n")},
    {"pipelined with its envelope and the next", BYTES(MAIL_INFO "BDAT 8 LAST\r\nS: x\r\n\r\n" MAIL_INFO "BDAT 8 LAST\r\nS: y\r\n\r\n"), OK_INFO "250/2.0.0 " OK_INFO "250/2.0.0", 2, BYTES("S: y\r\n\r\n")},
    {"DATA after BDAT of another message", BYTES(MAIL_INFO "BDAT 8 LAST\r\nS: x\r\n\r\n" MAIL_INFO "DATA\r\nS: y\r\n\r\n..\r\n.\r\n"), OK_INFO "250/2.0.0 " OK_INFO "354 250/2.0.0", 2, BYTES("S: y\r\n\r\n.\r\n")},
    {"BDAT after DATA of another message", BYTES(MAIL_INFO "DATA\r\nS: y\r\n\r\n..\r\n.\r\n" MAIL_INFO "BDAT 10 LAST\r\nS: x\r\n\r\n.."), OK_INFO "354 250/2.0.0 " OK_INFO "250/2.0.0", 2, BYTES("S: x\r\n\r\n..\r\n")},
    {"case does not matter", BYTES(MAIL_INFO "bdat  8   last  \r\nS: x\r\n\r\n"), OK_INFO "250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    {"NUL", BYTES(MAIL_INFO "BDAT 12 LAST\r\nS: x\r\n\r\n\0a\r\n"), OK_INFO "250/2.0.0", 1, BYTES("S: x\r\n\r\n\0a\r\n")},
    /* bare line ends: as with DATA */
    {"bare CR", BYTES(MAIL_INFO "BDAT 12 LAST\r\nS: x\r\n\r\na\rb\nNOOP\r\n"), OK_INFO "550/5.6.11 end", 0, BYTES("")},
    {"bare LF", BYTES(MAIL_INFO "BDAT 12 LAST\r\nS: x\r\n\r\na\nb\nNOOP\r\n"), OK_INFO "550/5.6.11 end", 0, BYTES("")},
    {"CR at the very end", BYTES(MAIL_INFO "BDAT 10 LAST\r\nS: x\r\n\r\na\rNOOP\r\n"), OK_INFO "550/5.6.11 end", 0, BYTES("")},
    {"CR and LF in two chunks are one line end", BYTES(MAIL_INFO "BDAT 10\r\nS: x\r\n\r\na\rBDAT 1 LAST\r\n\n"), OK_INFO "250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\na\r\n")},
    {"CR, and no LF in the next chunk", BYTES(MAIL_INFO "BDAT 10\r\nS: x\r\n\r\na\rBDAT 1 LAST\r\nb"), OK_INFO "250/2.0.0 550/5.6.11 end", 0, BYTES("")},
    {"bare LF in an early chunk", BYTES(MAIL_INFO "BDAT 10\r\nS: x\r\n\r\na\nBDAT 0 LAST\r\n"), OK_INFO "550/5.6.11 end", 0, BYTES("")},
    /* order */
    {"BDAT before a recipient", BYTES("MAIL FROM:<s@far.test>\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"), "250/2.1.0 554/5.5.1 250/2.0.0", 0, BYTES("")},
    {"all recipients refused", BYTES("MAIL FROM:<s@far.test>\r\nRCPT TO:<nobody@own.test>\r\nBDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"), "250/2.1.0 550/5.1.1 554/5.5.1 554/5.5.1 250/2.0.0", 0, BYTES("")},
    {"MAIL refused", BYTES("MAIL FROM:<s@far.test> X=1\r\nRCPT TO:<info@own.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), "555/5.5.4 503/5.5.1 503/5.5.1 250/2.0.0", 0, BYTES("")},
    {"BDAT after LAST", BYTES(MAIL_INFO "BDAT 8 LAST\r\nS: x\r\n\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n"), OK_INFO "250/2.0.0 503/5.5.1 250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    {"BDAT twice LAST is one message", BYTES(MAIL_INFO "BDAT 8 LAST\r\nS: x\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n"), OK_INFO "250/2.0.0 503/5.5.1 250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    {"DATA between chunks", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\nDATA\r\nBDAT 3 LAST\r\na\r\n"), OK_INFO "250/2.0.0 503/5.5.1 250/2.0.0", 1, BYTES("S: x\r\n\r\na\r\n")},
    {"BDAT inside DATA is content", BYTES(MAIL_INFO "DATA\r\nBDAT 5 LAST\r\n.\r\nNOOP\r\n"), OK_INFO "354 250/2.0.0 250/2.0.0", 1, BYTES("BDAT 5 LAST\r\n")},
    {"MAIL and RCPT between chunks", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\n" MAIL_INFO "NOOP\r\nBDAT 0 LAST\r\n"), OK_INFO "250/2.0.0 503/5.5.1 503/5.5.1 250/2.0.0 250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    {"RSET between chunks", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n" MAIL_INFO "BDAT 8 LAST\r\nS: y\r\n\r\n"), OK_INFO "250/2.0.0 250/2.0.0 503/5.5.1 " OK_INFO "250/2.0.0", 1, BYTES("S: y\r\n\r\n")},
    {"EHLO between chunks", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\nEHLO b\r\nBDAT 6 LAST\r\nQUIT\r\nDATA\r\n"), OK_INFO "250/2.0.0 250 503/5.5.1 503/5.5.1", 0, BYTES("")},
    {"QUIT between chunks", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\nQUIT\r\nBDAT 0 LAST\r\n"), OK_INFO "250/2.0.0 221/2.0.0 end", 0, BYTES("")},
    {"a line in between that is none", BYTES(MAIL_INFO "BDAT 8\r\nS: x\r\n\r\n\r\nBDAT 0 LAST\r\n"), OK_INFO "250/2.0.0 500/5.5.1 250/2.0.0", 1, BYTES("S: x\r\n\r\n")},
    /* where the octets end is not known */
    {"no size", BYTES(MAIL_INFO "BDAT\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"no number", BYTES(MAIL_INFO "BDAT x LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"below nothing", BYTES(MAIL_INFO "BDAT -6 LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"a size that overflows", BYTES(MAIL_INFO "BDAT 18446744073709551622 LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"two sizes", BYTES(MAIL_INFO "BDAT 6 8 LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"LAST twice", BYTES(MAIL_INFO "BDAT 6 LAST LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"hexadecimal", BYTES(MAIL_INFO "BDAT 0x6 LAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"no size where it may not come", BYTES("BDAT LAST\r\nNOOP\r\n"), "501/5.5.4 end", 0, BYTES("")},
    {"bare LF", BYTES(MAIL_INFO "BDAT 6\nRSET\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"bare CR", BYTES(MAIL_INFO "BDAT 6\rLAST\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"NUL", BYTES(MAIL_INFO "BDAT 6\0\r\nNOOP\r\n"), OK_INFO "501/5.5.4 end", 0, BYTES("")},
    {"bare LF where it may not come", BYTES("bdat 6 LAST\nRSET\r\nNOOP\r\n"), "501/5.5.4 end", 0, BYTES("")},
    {"a word that only begins so", BYTES("BDATA 6\r\nBDATA 6\nNOOP\r\n"), "500/5.5.1 500/5.5.2 250/2.0.0", 0, BYTES("")},
    {"a size beyond all reason", BYTES(MAIL_INFO "BDAT 9000000000000000000 LAST\r\nNOOP\r\n"), OK_INFO "552/5.3.4 end", 0, BYTES("")},
    {"the same where it may not come", BYTES("BDAT 16385\r\nNOOP\r\n"), "552/5.3.4 end", 0, BYTES("")},
};
/* clang-format on */

static void test_chunks(void **state)
{
    (void)state;
    for (int bytewise = 0; bytewise <= 1; bytewise++) {
        for (size_t i = 0; i < COUNT_OF(CASES); i++) {
            struct world world;
            struct client *client;

            world_init(&world);
            client = world_greet(&world);
            world.is_bytewise = bytewise != 0;
            say_bytes(&world, client, CASES[i].name, CASES[i].octets, CASES[i].want);
            CHECK_INT(CASES[i].name, world.queue.submitted, CASES[i].submitted);
            CHECK_BYTES(CASES[i].name, strbuf_bytes(&world.queue.content), CASES[i].content);
            world_clear(&world);
        }
    }
}

/* By BDAT, cut in every place, a message is what it is by DATA. */
static void test_every_cut(void **state)
{
    static const struct bytes MESSAGE = BYTES(
        "S: x\r\nAuthentication-Results: mx.test; spf=pass\r\nT: y\r\n\r\nBDAT 3\r\n.\r\n");
    static const struct bytes WANT = BYTES("S: x\r\nT: y\r\n\r\nBDAT 3\r\n.\r\n");
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.options.authserv_id = BYTES("mx.test");
    client = world_greet(&world);
    for (size_t cut = 0; cut <= MESSAGE.len; cut++) {
        char text[512];
        int len =
            snprintf(text, sizeof text, "%sBDAT %zu\r\n%.*sBDAT %zu LAST\r\n%s", MAIL_INFO, cut,
                     (int)cut, MESSAGE.data, MESSAGE.len - cut, MESSAGE.data + cut);
        say_bytes(&world, client, "cut", bytes_of(text, (size_t)len),
                  OK_INFO "250/2.0.0 250/2.0.0");
        CHECK_BYTES("cut", strbuf_bytes(&world.queue.content), WANT);
    }
    world_clear(&world);
}

static void test_long_line(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    strbuf_init(&text, 10000);
    strbuf_add_text(&text, "BDAT 6 ");
    while (text.len < 3000) {
        strbuf_add_char(&text, ' ');
    }
    strbuf_add_text(&text, "LAST\r\nRSET\r\nNOOP\r\n");
    say_bytes(&world, client, "long line", strbuf_bytes(&text), "501/5.5.4 end");
    strbuf_clear(&text);
    world_clear(&world);
}

static void add_chunk(struct strbuf *out, size_t size, const char *last)
{
    strbuf_addf(out, "BDAT %zu%s\r\n", size, last);
    for (size_t i = 0; i < size; i++) {
        strbuf_add_char(out, i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x');
    }
}

/* Limits hold while it streams, and what is on its way behind a refusal is not taken for commands. */
static void test_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t chunks[3]; /* behind eight octets of header */
        const char *want;
    } cases[] = {
        {"at the limit",
         {2048, 1024, 1024},
         "250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0"},
        {"over it in the last chunk",
         {2048, 1024, 1152},
         "250/2.0.0 250/2.0.0 250/2.0.0 552/5.3.4 250/2.0.0"},
        {"over it in the first chunk",
         {8192, 64, 64},
         "250/2.0.0 552/5.3.4 503/5.5.1 503/5.5.1 250/2.0.0"},
        {"over it in the second",
         {64, 8192, 64},
         "250/2.0.0 250/2.0.0 552/5.3.4 503/5.5.1 250/2.0.0"},
        {"far over it", {17000, 64, 64}, "250/2.0.0 552/5.3.4 end"},
        {"far over it behind a refusal",
         {8192, 17000, 64},
         "250/2.0.0 552/5.3.4 552/5.3.4 end"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        struct strbuf text;
        char want[256];

        world_init(&world);
        world.options.message_size = 8 + 4096;
        client = world_greet(&world);
        strbuf_init(&text, 100000);
        strbuf_add_text(&text, MAIL_INFO "BDAT 8\r\nS: x\r\n\r\n");
        add_chunk(&text, cases[i].chunks[0], "");
        add_chunk(&text, cases[i].chunks[1], "");
        add_chunk(&text, cases[i].chunks[2], " LAST");
        strbuf_add_text(&text, "NOOP\r\n");
        snprintf(want, sizeof want, OK_INFO "%s", cases[i].want);
        say_bytes(&world, client, cases[i].name, strbuf_bytes(&text), want);
        strbuf_clear(&text);
        world_clear(&world);
    }
}

static void test_header_too_large(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    strbuf_init(&text, 100000);
    strbuf_add_text(&text, MAIL_INFO "BDAT 1030\r\nX: ");
    for (unsigned i = 0; i < 1027 - 4; i++) {
        strbuf_add_char(&text, 'h');
    }
    strbuf_add_text(&text, "\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n");
    say_bytes(&world, client, "header", strbuf_bytes(&text),
              OK_INFO "552/5.3.4 503/5.5.1 250/2.0.0");
    strbuf_clear(&text);
    world_clear(&world);
}

/* Chunks of some size cost none of the commands a client has; tiny ones do. */
static void test_many_chunks(void **state)
{
    static const struct {
        const char *name;
        size_t size;
        unsigned count;
        const char *want;
    } cases[] = {
        {"large ones", 512, 2000, "250/2.0.0"},
        {"small ones", 64, 1003, "421/4.7.0 end"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        struct strbuf text, want;

        world_init(&world);
        world.options.message_size = 16 * 1024 * 1024;
        client = world_greet(&world);
        strbuf_init(&text, 4 * 1024 * 1024);
        strbuf_init(&want, 100000);
        say(&world, client, MAIL_INFO "BDAT 8\r\nS: x\r\n\r\n", OK_INFO "250/2.0.0");
        for (unsigned n = 0; n < cases[i].count; n++) {
            add_chunk(&text, cases[i].size, "");
            if (cases[i].size >= 512 || n < 1000 + 2 * 3 - 4) {
                strbuf_add_text(&want, "250/2.0.0 ");
            }
        }
        strbuf_add_text(&text, "BDAT 0 LAST\r\n");
        strbuf_add_text(&want, cases[i].want);
        say_bytes(&world, client, cases[i].name, strbuf_bytes(&text), strbuf_text(&want));
        strbuf_clear(&text);
        strbuf_clear(&want);
        world_clear(&world);
    }
}

/* A client that goes away in the middle of a chunk has sent nothing. */
static void test_cut_off(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    say(&world, client, MAIL_INFO "BDAT 9 LAST\r\nS: x\r\n\r\n", "250/2.1.0 250/2.1.5");
    client_end(client);
    hear(&world, client, "cut off", "end");
    CHECK_INT("cut off", world.queue.submitted, 0);
    world_quiet(&world, "cut off");
    world_clear(&world);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *text;
    const char *envelope; /* part of what the queue is told */
    const char *deliveries;
    const char *received; /* part of the trace field */
} PARAMETERS[] = {
    {"nothing said", "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\n", "utf8=00 ret=0 envid= ",
     "anna@x.test for anna@own.test at x.test srs\n", "with ESMTP id"},
    {"everything said", "MAIL FROM:<s@far.test> RET=FULL ENVID=q+2B1\r\nRCPT TO:<anna@own.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.test\r\n",
     "utf8=00 ret=1 envid=q+2B1 ", "anna@x.test for anna@own.test at x.test srs notify=5 orcpt=rfc822;x+2By@z.test\n", "with ESMTP id"},
    {"each recipient its own", "MAIL FROM:<s@far.test> RET=HDRS\r\nRCPT TO:<anna@own.test> NOTIFY=NEVER\r\nRCPT TO:<postmaster> ORCPT=rfc822;p\r\n",
     "ret=2 envid= ", "anna@x.test for anna@own.test at x.test srs notify=8 orcpt=\nadmin@mail.test for postmaster@own.test at mail.test srs notify=0 orcpt=rfc822;p\n", "with ESMTP id"},
    {"what a refused one said is forgotten", "MAIL FROM:<s@far.test>\r\nRCPT TO:<nobody@own.test> NOTIFY=NEVER ORCPT=rfc822;n\r\nRCPT TO:<anna@own.test>\r\n",
     "ret=0 envid= ", "anna@x.test for anna@own.test at x.test srs\n", "with ESMTP id"},
    {"one of several reports success", "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;i@own.test\r\n",
     "ret=0", "anna@x.test for info@own.test at x.test srs notify=3 orcpt=rfc822;i@own.test\n"
     "bob@Y.test for info@own.test at y.test srs notify=2 orcpt=rfc822;i@own.test\n", "with ESMTP id"},
    {"the same target twice", "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test> NOTIFY=NEVER\r\nRCPT TO:<case@own.test> NOTIFY=DELAY\r\n",
     "ret=0", "anna@x.test for anna@own.test at x.test srs notify=4 orcpt=\n", "with ESMTP id"},
    {"SMTPUTF8 that nothing needs", "MAIL FROM:<s@far.test> SMTPUTF8\r\nRCPT TO:<anna@own.test>\r\n", "utf8=10 ",
     "anna@x.test for anna@own.test at x.test srs\n", "with UTF8SMTP id"},
    {"an alias in UTF-8", "MAIL FROM:<s@far.test> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@own.test>\r\n", "utf8=10 ",
     "anna@x.test for j\xc3\xb6rg@own.test at x.test srs\n", "with UTF8SMTP id"},
    {"targets in UTF-8", "MAIL FROM:<s@far.test>\r\nRCPT TO:<uni@own.test>\r\n", "utf8=00 ",
     "\xc3\xa4@x.test for uni@own.test at x.test srs\nbob@xn--bcher-kva.test for uni@own.test at xn--bcher-kva.test srs\n", "with ESMTP id"},
    {"a sender in UTF-8", "MAIL FROM:<\xc3\xa4@b\xc3\xbc" "cher.test> SMTPUTF8\r\nRCPT TO:<anna@own.test>\r\n",
     "from=\xc3\xa4@xn--bcher-kva.test forward 8bit=0 auto=0 utf8=10 ", "anna@x.test for anna@own.test at x.test srs\n", "with UTF8SMTP id"},
};
/* clang-format on */

static void test_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PARAMETERS); i++) {
        struct world world;
        struct client *client;
        struct strbuf text;

        world_init(&world);
        client = world_greet(&world);
        strbuf_init(&text, 4096);
        strbuf_add_text(&text, PARAMETERS[i].text);
        strbuf_add_text(&text, "BDAT 8 LAST\r\nS: x\r\n\r\n");
        client_send(&world, client, strbuf_bytes(&text));
        client->want = 3;
        turn_until(world.loop, has_heard_enough, client);
        some_turns(&world, 3);
        CHECK_INT(PARAMETERS[i].name, world.queue.submitted, 1);
        CHECK_TEXT(PARAMETERS[i].name, world.queue.deliveries, PARAMETERS[i].deliveries);
        if (strstr(world.queue.envelope, PARAMETERS[i].envelope) == NULL) {
            fail_msg("%s: \"%s\" is not in \"%s\"", PARAMETERS[i].name, PARAMETERS[i].envelope,
                     world.queue.envelope);
        }
        if (strstr(world.queue.prefix, PARAMETERS[i].received) == NULL) {
            fail_msg("%s: \"%s\" is not in \"%s\"", PARAMETERS[i].name, PARAMETERS[i].received,
                     world.queue.prefix);
        }
        CHECK_TRUE(PARAMETERS[i].name, bytes_is_ascii(bytes_from_text(world.queue.prefix)));
        strbuf_clear(&text);
        world_clear(&world);
    }
}

/* It is needed when the header says so; without SMTPUTF8 an 8-bit header is no reason. */
static void test_utf8_header(void **state)
{
    static const struct {
        const char *parameter, *header, *want;
    } cases[] = {
        {" SMTPUTF8", "S: \xc3\xa4", "utf8=11 "},
        {" SMTPUTF8", "S: aa", "utf8=10 "},
        {"", "S: \xc3\xa4", "utf8=00 "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        char text[256];

        world_init(&world);
        client = world_greet(&world);
        snprintf(
            text, sizeof text,
            "MAIL FROM:<s@far.test>%s\r\nRCPT TO:<anna@own.test>\r\nDATA\r\n%s\r\n\r\n.\r\n",
            cases[i].parameter, cases[i].header);
        say(&world, client, text, OK_INFO "354 250/2.0.0");
        CHECK_TRUE(cases[i].want, strstr(world.queue.envelope, cases[i].want) != NULL);
        world_clear(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),      cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_header_too_large),
        cmocka_unit_test(test_many_chunks), cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_cut_off),     cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_utf8_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
