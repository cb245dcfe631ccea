/* One message in, at most one out: every end of data that some server took for one (CVE-2023-51764, 51765,
 * 51766, and the list of smtp-smuggling.com), by DATA and by BDAT, alone and with a second transaction
 * behind it, in one go and octet by octet; and where commands could pass as content or content as
 * commands otherwise. BDAT itself: test_inbound_chunks. */
#include "inbound_world.h"

#define MAIL_INFO "EHLO c\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n"
#define OK_INFO "220 250 250/2.1.0 250/2.1.5 "
#define SECOND "MAIL FROM:<evil@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\nS: y\r\n\r\nb"

enum fate {
    REFUSED, /* 550 5.6.11, and the session is closed */
    CONTENT, /* it is nothing but content */
    ENDS,    /* it is the end, and what follows are commands */
};

/* clang-format off */
static const struct {
    const char *name;
    struct bytes end;
    enum fate by_data, by_chunk;
    struct bytes kept; /* CONTENT by DATA: what it is without the stuffing */
} ENDS_OF_DATA[] = {
    {"CRLF . CRLF", BYTES("\r\n.\r\n"), ENDS, CONTENT, BYTES("")},
    {"LF . LF", BYTES("\n.\n"), REFUSED, REFUSED, BYTES("")},
    {"LF . CRLF", BYTES("\n.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"LF . CR", BYTES("\n.\r"), REFUSED, REFUSED, BYTES("")},
    {"CR . CR", BYTES("\r.\r"), REFUSED, REFUSED, BYTES("")},
    {"CR . LF", BYTES("\r.\n"), REFUSED, REFUSED, BYTES("")},
    {"CR . CRLF", BYTES("\r.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . CR", BYTES("\r\n.\r"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . LF", BYTES("\r\n.\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . CR CR LF", BYTES("\r\n.\r\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . LF CR", BYTES("\r\n.\n\r"), REFUSED, REFUSED, BYTES("")},
    {"LF LF . CRLF", BYTES("\n\n.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"LF CR . CRLF", BYTES("\n\r.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CR CR . CRLF", BYTES("\r\r.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CR LF LF . CRLF", BYTES("\r\n\n.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CR LF CR . CRLF", BYTES("\r\n\r.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"LF . NUL LF", BYTES("\n.\0\n"), REFUSED, REFUSED, BYTES("")},
    {"CR NUL LF . CRLF", BYTES("\r\0\n.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . CR NUL LF", BYTES("\r\n.\r\0\n"), REFUSED, REFUSED, BYTES("")},
    {"CR NUL . CR", BYTES("\r\0.\r"), REFUSED, REFUSED, BYTES("")},
    {"LF NUL . LF", BYTES("\n\0.\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF NUL . CRLF", BYTES("\r\n\0.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF NUL NUL . CRLF", BYTES("\r\n\0\0.\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF NUL . NUL CRLF", BYTES("\r\n\0.\0\r\n"), REFUSED, REFUSED, BYTES("")},
    {"CRLF . NUL . CRLF", BYTES("\r\n.\0.\r\n"), REFUSED, CONTENT, BYTES("")},
    {"CRLF . NUL CRLF", BYTES("\r\n.\0\r\n"), CONTENT, CONTENT, BYTES("\r\n\0\r\n")},
    {"CRLF .. CRLF", BYTES("\r\n..\r\n"), CONTENT, CONTENT, BYTES("\r\n.\r\n")},
    {"CRLF . blank CRLF", BYTES("\r\n. \r\n"), CONTENT, CONTENT, BYTES("\r\n \r\n")},
    {"CRLF blank . CRLF", BYTES("\r\n .\r\n"), CONTENT, CONTENT, BYTES("\r\n .\r\n")},
    {"CRLF . tab CRLF", BYTES("\r\n.\t\r\n"), CONTENT, CONTENT, BYTES("\r\n\t\r\n")},
    {"no CRLF before the dot", BYTES(".\r\n"), CONTENT, CONTENT, BYTES(".\r\n")},
    {"LF as two octets of UTF-8", BYTES("\xc0\x8a.\xc0\x8a"), CONTENT, CONTENT, BYTES("\xc0\x8a.\xc0\x8a")},
    {"NEL . NEL", BYTES("\x85.\x85"), CONTENT, CONTENT, BYTES("\x85.\x85")},
    {"LINE SEPARATOR", BYTES("\xe2\x80\xa8.\xe2\x80\xa8"), CONTENT, CONTENT, BYTES("\xe2\x80\xa8.\xe2\x80\xa8")},
    {"VT . VT", BYTES("\v.\v"), CONTENT, CONTENT, BYTES("\v.\v")},
    {"FF . FF", BYTES("\f.\f"), CONTENT, CONTENT, BYTES("\f.\f")},
};
/* clang-format on */

/* Sends all of it over a new connection, in one go or octet by octet. */
static void talk(struct world *world, bool is_bytewise, const char *name, struct bytes octets,
                 const char *want)
{
    struct client *client = world_connect(world);

    world->is_bytewise = is_bytewise;
    say_bytes(world, client, name, octets, want);
    world->is_bytewise = false;
}

static void end_data(const char *name, struct bytes end, enum fate fate, struct bytes kept,
                     bool has_second, bool is_bytewise)
{
    static const char *const WANT[] = {
        [REFUSED] = OK_INFO "354 550/5.6.11 end",
        [CONTENT] = OK_INFO "354 250/2.0.0 250/2.0.0",
        [ENDS] = OK_INFO "354 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.0.0",
    };
    const char *want = WANT[fate];
    struct strbuf octets, content;
    struct world world;

    world_init(&world);
    strbuf_init(&octets, 10000);
    strbuf_init(&content, 10000);
    strbuf_add_text(&octets, MAIL_INFO "DATA\r\nS: x\r\n\r\na");
    strbuf_add(&octets, end);
    strbuf_add_text(&octets, has_second ? SECOND : "");
    strbuf_add_text(&octets, fate == ENDS && !has_second ? "" : "\r\n.\r\n");
    strbuf_add_text(&octets, "NOOP\r\n");
    if (fate == ENDS && !has_second) {
        want = OK_INFO "354 250/2.0.0 250/2.0.0";
    }
    talk(&world, is_bytewise, name, strbuf_bytes(&octets), want);
    CHECK_INT(name, world.queue.submitted,
              fate == REFUSED              ? 0
              : fate == ENDS && has_second ? 2
                                           : 1);
    if (fate == CONTENT) {
        strbuf_add_text(&content, "S: x\r\n\r\na");
        strbuf_add(&content, kept);
        strbuf_add_text(&content, has_second ? SECOND : "");
        strbuf_add_text(&content, "\r\n");
        CHECK_BYTES(name, strbuf_bytes(&world.queue.content), strbuf_bytes(&content));
    }
    strbuf_clear(&content);
    strbuf_clear(&octets);
    world_clear(&world);
}

static void end_chunk(const char *name, struct bytes end, enum fate fate, bool is_bytewise)
{
    struct strbuf octets, content;
    struct world world;

    world_init(&world);
    strbuf_init(&octets, 10000);
    strbuf_init(&content, 10000);
    strbuf_add_text(&content, "S: x\r\n\r\na");
    strbuf_add(&content, end);
    strbuf_add_text(&content, SECOND "\r\n");
    strbuf_addf(&octets, MAIL_INFO "BDAT %zu LAST\r\n", content.len);
    strbuf_add(&octets, strbuf_bytes(&content));
    strbuf_add_text(&octets, "NOOP\r\n");
    talk(&world, is_bytewise, name, strbuf_bytes(&octets),
         fate == REFUSED ? OK_INFO "550/5.6.11 end" : OK_INFO "250/2.0.0 250/2.0.0");
    CHECK_INT(name, world.queue.submitted, fate != REFUSED);
    if (fate == CONTENT) {
        CHECK_BYTES(name, strbuf_bytes(&world.queue.content), strbuf_bytes(&content));
    }
    strbuf_clear(&content);
    strbuf_clear(&octets);
    world_clear(&world);
}

static void test_ends_of_data(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ENDS_OF_DATA); i++) {
        for (unsigned way = 0; way < 4; way++) {
            end_data(ENDS_OF_DATA[i].name, ENDS_OF_DATA[i].end, ENDS_OF_DATA[i].by_data,
                     ENDS_OF_DATA[i].kept, way & 1, way & 2);
        }
        for (unsigned is_bytewise = 0; is_bytewise <= 1; is_bytewise++) {
            end_chunk(ENDS_OF_DATA[i].name, ENDS_OF_DATA[i].end, ENDS_OF_DATA[i].by_chunk,
                      is_bytewise);
        }
    }
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes octets; /* behind the banner */
    const char *want;
    unsigned submitted;
} DIALOGUES[] = {
    /* the first line is where the envelope ends */
    {"a dot is all there is", BYTES(MAIL_INFO "DATA\r\n.\r\nNOOP\r\n"), OK_INFO "354 250/2.0.0 250/2.0.0", 1},
    {"LF before the first dot", BYTES(MAIL_INFO "DATA\r\n\n.\r\nNOOP\r\n.\r\nNOOP\r\n"), OK_INFO "354 550/5.6.11 end", 0},
    {"DATA ended by LF is none", BYTES(MAIL_INFO "DATA\n.\r\nNOOP\r\n"), OK_INFO "500/5.5.2 500/5.5.1 250/2.0.0", 0},
    {"DATA with CR inside is none", BYTES(MAIL_INFO "DATA\r\r\nNOOP\r\n"), OK_INFO "500/5.5.2 250/2.0.0", 0},
    {"DATA with NUL is none", BYTES(MAIL_INFO "DATA\0\r\nNOOP\r\n"), OK_INFO "500/5.5.2 250/2.0.0", 0},
    {"NUL in front of DATA", BYTES(MAIL_INFO "\0DATA\r\nNOOP\r\n"), OK_INFO "500/5.5.2 250/2.0.0", 0},
    /* pipelined behind what was refused */
    {"content behind a refused DATA is commands", BYTES("EHLO c\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<nobody@own.test>\r\nDATA\r\nNOOP\r\n.\r\nNOOP\r\n"),
     "220 250 250/2.1.0 550/5.1.1 554/5.5.1 250/2.0.0 500/5.5.1 250/2.0.0", 0},
    {"a lone dot behind one recipient refused, one taken", BYTES(MAIL_INFO "RCPT TO:<nobody@own.test>\r\nDATA\r\n.\r\nNOOP\r\n"), OK_INFO "550/5.1.1 354 250/2.0.0 250/2.0.0", 1},
    {"DATA twice", BYTES(MAIL_INFO "DATA\r\nDATA\r\n.\r\nDATA\r\nNOOP\r\n"), OK_INFO "354 250/2.0.0 503/5.5.1 250/2.0.0", 1},
    {"QUIT as content", BYTES(MAIL_INFO "DATA\r\nQUIT\r\n.\r\nNOOP\r\n"), OK_INFO "354 250/2.0.0 250/2.0.0", 1},
    {"nothing behind QUIT", BYTES("EHLO c\r\nQUIT\r\nMAIL FROM:<s@far.test>\r\n"), "220 250 221/2.0.0 end", 0},
    {"RSET in the middle of an envelope", BYTES(MAIL_INFO "RSET\r\nDATA\r\nMAIL FROM:<t@far.test>\r\nDATA\r\n"), OK_INFO "250/2.0.0 503/5.5.1 250/2.1.0 554/5.5.1", 0},
    /* line ends in commands */
    {"a command in a command by LF", BYTES("EHLO c\r\nMAIL FROM:<s@far.test>\nRCPT TO:<info@own.test>\r\nNOOP\r\n"), "220 250 500/5.5.2 503/5.5.1 250/2.0.0", 0},
    {"a command in a command by CR", BYTES("EHLO c\r\nMAIL FROM:<s@far.test>\rRCPT TO:<info@own.test>\r\nNOOP\r\n"), "220 250 500/5.5.2 250/2.0.0", 0},
    {"a command in a name by CR", BYTES("EHLO c\rMAIL FROM:<s@far.test>\r\nNOOP\r\n"), "220 500/5.5.2 250/2.0.0", 0},
    {"NUL in an address", BYTES("EHLO c\r\nMAIL FROM:<s\0@far.test>\r\nNOOP\r\n"), "220 250 500/5.5.2 250/2.0.0", 0},
    {"only CRs", BYTES("\r\r\r\r\nNOOP\r\n"), "220 500/5.5.2 250/2.0.0", 0},
    {"LF CR", BYTES("NOOP\n\rNOOP\r\n"), "220 500/5.5.2 500/5.5.2", 0},
    /* what a relay alone may say */
    {"a PROXY header from a client", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO c\r\n"), "220 500/5.5.1 250", 0},
    {"a PROXY header of version 2 from a client", BYTES("\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04NOOP\r\n"), "220 500/5.5.1 500/5.5.1 500/5.5.2 500/5.5.2 500/5.5.2", 0},
    {"XCLIENT from a client", BYTES("XCLIENT ADDR=127.0.0.1\r\nEHLO c\r\n"), "220 550/5.7.0 250", 0},
    {"XCLIENT in an envelope", BYTES(MAIL_INFO "XCLIENT ADDR=127.0.0.1\r\nDATA\r\n.\r\n"), OK_INFO "503/5.5.1 354 250/2.0.0", 1},
    {"XCLIENT in content", BYTES(MAIL_INFO "DATA\r\nXCLIENT ADDR=127.0.0.1\r\n.\r\n"), OK_INFO "354 250/2.0.0", 1},
};
/* clang-format on */

static void test_dialogues(void **state)
{
    (void)state;
    for (unsigned is_bytewise = 0; is_bytewise <= 1; is_bytewise++) {
        for (size_t i = 0; i < COUNT_OF(DIALOGUES); i++) {
            struct world world;

            world_init(&world);
            talk(&world, is_bytewise, DIALOGUES[i].name, DIALOGUES[i].octets,
                 DIALOGUES[i].want);
            CHECK_INT(DIALOGUES[i].name, world.queue.submitted, DIALOGUES[i].submitted);
            world_clear(&world);
        }
    }
}

/* A line over the limit is one line, its tail no command. */
static void test_a_long_line_is_one_line(void **state)
{
    static const size_t LENGTHS[] = {2047, 2048, 2049, 4096, 60000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        for (unsigned is_chunk = 0; is_chunk <= 1; is_chunk++) {
            struct strbuf octets;
            struct world world;

            world_init(&world);
            strbuf_init(&octets, 100000);
            strbuf_add_text(&octets, is_chunk ? "BDAT 5 " : "NOOP ");
            while (octets.len < LENGTHS[i]) {
                strbuf_add_text(&octets, "x");
            }
            strbuf_add_text(&octets, "MAIL FROM:<s@far.test>\r\nNOOP\r\n");
            talk(&world, false, "long line", strbuf_bytes(&octets),
                 is_chunk ? "220 501/5.5.4 end" : "220 500/5.5.2 250/2.0.0");
            strbuf_clear(&octets);
            world_clear(&world);
        }
    }
}

/* However the network cuts it: its end may come in the same read as the octet that is too many. */
static void test_an_endless_line_ends_the_session(void **state)
{
    struct strbuf octets;
    struct world world;

    (void)state;
    world_init(&world);
    strbuf_init(&octets, 100000);
    while (octets.len < 70000) {
        strbuf_add_text(&octets, "NOOP NOOP ");
    }
    strbuf_add_text(&octets, "\r\nNOOP\r\n");
    talk(&world, false, "endless line", strbuf_bytes(&octets), "220 500/5.5.2 421/4.5.2 end");
    strbuf_clear(&octets);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_of_data),
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_a_long_line_is_one_line),
        cmocka_unit_test(test_an_endless_line_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
