/* After any command that failed, and after any message that did, the session stands where it stood: a
 * generated table, every failure in every phase, and behind each the commands that would show it. */
#include "inbound_world.h"

enum phase { CONNECTED, GREETED, SENDER, RECIPIENT, CHUNKS, PHASES };

/* clang-format off */
static const char *const WAYS[PHASES] = { /* into the phase */
    "", "EHLO c\r\n", "EHLO c\r\nMAIL FROM:<s@far.test>\r\n",
    "EHLO c\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n",
    "EHLO c\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nBDAT 8\r\nS: x\r\n\r\n",
};
static const char *const WAY_REPLIES[PHASES] = {
    "220", "220 250", "220 250 250/2.1.0", "220 250 250/2.1.0 250/2.1.5", "220 250 250/2.1.0 250/2.1.5 250/2.0.0",
};

static const struct {
    const char *name, *octets;
    const char *want[PHASES];
} PROBES[] = {
    {"MAIL", "MAIL FROM:<t@far.test>\r\n", {"503/5.5.1", "250/2.1.0", "503/5.5.1", "503/5.5.1", "503/5.5.1"}},
    {"RCPT", "RCPT TO:<anna@own.test>\r\n", {"503/5.5.1", "503/5.5.1", "250/2.1.5", "250/2.1.5", "503/5.5.1"}},
    {"DATA", "DATA\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "354", "503/5.5.1"}},
    {"BDAT", "BDAT 6 LAST\r\nRSET\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "250/2.0.0", "250/2.0.0"}},
    {"BDAT 0 LAST", "BDAT 0 LAST\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "250/2.0.0", "250/2.0.0"}},
};

#define EVERYWHERE(code) {code, code, code, code, code}
#define IN_TURN "503/5.5.1"
/* The session stands where it stood; NULL: it is no failure there. */
static const struct {
    const char *name, *octets;
    const char *want[PHASES];
} FAILURES[] = {
    {"unknown", "WHAT\r\n", EVERYWHERE("500/5.5.1")},
    {"nothing", "\r\n", EVERYWHERE("500/5.5.1")},
    {"bare LF", "NOOP\n", EVERYWHERE("500/5.5.2")},
    {"bare CR", "NO\rOP\r\n", EVERYWHERE("500/5.5.2")},
    {"NUL behind a command", "RSET\0\r\n", EVERYWHERE("500/5.5.2")},
    {"HELO without a name", "HELO\r\n", EVERYWHERE("501/5.5.4")},
    {"EHLO without a name", "EHLO \r\n", EVERYWHERE("501/5.5.4")},
    {"EHLO of two words", "EHLO a b\r\n", EVERYWHERE("501/5.5.4")},
    {"RSET with an argument", "RSET x\r\n", EVERYWHERE("501/5.5.4")},
    {"QUIT with an argument", "QUIT x\r\n", EVERYWHERE("501/5.5.4")},
    {"VRFY without one", "VRFY\r\n", EVERYWHERE("501/5.5.4")},
    {"EXPN", "EXPN x\r\n", EVERYWHERE("502/5.5.1")},
    {"DATA with an argument", "DATA x\r\n", EVERYWHERE("501/5.5.4")},
    {"MAIL without FROM", "MAIL\r\n", EVERYWHERE("501/5.5.4")},
    {"MAIL with a bad address", "MAIL FROM:<a@>\r\n", EVERYWHERE("501/5.1.7")},
    {"MAIL with a bad parameter", "MAIL FROM:<a@b.test> =\r\n", EVERYWHERE("501/5.5.4")},
    {"MAIL with an unknown parameter", "MAIL FROM:<a@b.test> X=1\r\n", {IN_TURN, "555/5.5.4", IN_TURN, IN_TURN, IN_TURN}},
    {"MAIL with a bad SIZE", "MAIL FROM:<a@b.test> SIZE=x\r\n", {IN_TURN, "501/5.5.4", IN_TURN, IN_TURN, IN_TURN}},
    {"MAIL with too much SIZE", "MAIL FROM:<a@b.test> SIZE=99999\r\n", {IN_TURN, "552/5.3.4", IN_TURN, IN_TURN, IN_TURN}},
    {"MAIL with BINARYMIME", "MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n", {IN_TURN, "555/5.6.1", IN_TURN, IN_TURN, IN_TURN}},
    {"MAIL with UTF-8", "MAIL FROM:<\xc3\xa4@b.test>\r\n", {"553/5.6.7", "553/5.6.7", "553/5.6.7", "553/5.6.7", "553/5.6.7"}},
    {"RCPT without TO", "RCPT x\r\n", EVERYWHERE("501/5.5.4")},
    {"RCPT with a bad address", "RCPT TO:<a@>\r\n", EVERYWHERE("501/5.1.3")},
    {"RCPT with an unknown parameter", "RCPT TO:<anna@own.test> X=1\r\n", {IN_TURN, IN_TURN, "555/5.5.4", "555/5.5.4", IN_TURN}},
    {"RCPT with a bad NOTIFY", "RCPT TO:<anna@own.test> NOTIFY=x\r\n", {IN_TURN, IN_TURN, "501/5.5.4", "501/5.5.4", IN_TURN}},
    {"RCPT unknown", "RCPT TO:<nobody@own.test>\r\n", {IN_TURN, IN_TURN, "550/5.1.1", "550/5.1.1", IN_TURN}},
    {"RCPT to be relayed", "RCPT TO:<a@elsewhere.test>\r\n", {IN_TURN, IN_TURN, "550/5.7.1", "550/5.7.1", IN_TURN}},
    {"RCPT refused by its alias", "RCPT TO:<no@own.test>\r\n", {IN_TURN, IN_TURN, "553/5.7.27", "553/5.7.27", IN_TURN}},
    {"RCPT deferred by its alias", "RCPT TO:<later@own.test>\r\n", {IN_TURN, IN_TURN, "450/4.2.1", "450/4.2.1", IN_TURN}},
    {"STARTTLS with an argument", "STARTTLS x\r\n", EVERYWHERE("501/5.5.4")},
    {"STARTTLS without TLS", "STARTTLS\r\n", {IN_TURN, "502/5.5.1", IN_TURN, IN_TURN, IN_TURN}},
    {"XCLIENT", "XCLIENT ADDR=192.0.2.1\r\n", {"550/5.7.0", "550/5.7.0", IN_TURN, IN_TURN, IN_TURN}},
    {"MAIL out of turn", "MAIL FROM:<a@b.test>\r\n", {IN_TURN, NULL, IN_TURN, IN_TURN, IN_TURN}},
    {"RCPT out of turn", "RCPT TO:<anna@own.test>\r\n", {IN_TURN, IN_TURN, NULL, NULL, IN_TURN}},
    {"DATA out of turn", "DATA\r\n", {IN_TURN, IN_TURN, "554/5.5.1", NULL, IN_TURN}},
    {"BDAT out of turn", "BDAT 6\r\nRSET\r\n", {IN_TURN, IN_TURN, "554/5.5.1", NULL, NULL}},
    {"BDAT LAST out of turn", "BDAT 6 LAST\r\nQUIT\r\n", {IN_TURN, IN_TURN, "554/5.5.1", NULL, NULL}},
};

/* A message that failed, from the phase RECIPIENT: no transaction is left behind, whatever the reason. */
static const struct {
    const char *name, *octets, *want;
    enum queue_verdict verdict;
} ENDINGS[] = {
    {"refused by the next hop", "DATA\r\nS: x\r\n\r\n.\r\n", "354 550/5.1.1", QUEUE_REFUSED},
    {"the spool is full", "DATA\r\nS: x\r\n\r\n.\r\n", "354 452/4.3.1", QUEUE_FULL},
    {"the spool failed", "DATA\r\nS: x\r\n\r\n.\r\n", "354 451/4.3.0", QUEUE_FAILED},
    {"too many hops", "DATA\r\nReceived: a\r\nReceived: a\r\nReceived: a\r\nReceived: a\r\n\r\n.\r\n", "354 554/5.4.6", QUEUE_SAFE},
    {"taken", "DATA\r\nS: x\r\n\r\n.\r\n", "354 250/2.0.0", QUEUE_SAFE},
    {"refused, in chunks", "BDAT 8\r\nS: x\r\n\r\nBDAT 0 LAST\r\n", "250/2.0.0 550/5.1.1", QUEUE_REFUSED},
    {"full, in chunks", "BDAT 8 LAST\r\nS: x\r\n\r\n", "452/4.3.1", QUEUE_FULL},
    {"failed, in chunks", "BDAT 8 LAST\r\nS: x\r\n\r\n", "451/4.3.0", QUEUE_FAILED},
    {"too many hops, in chunks", "BDAT 54 LAST\r\nReceived: a\r\nReceived: a\r\nReceived: a\r\nReceived: a\r\n\r\n", "554/5.4.6", QUEUE_SAFE},
    {"taken, in chunks", "BDAT 8 LAST\r\nS: x\r\n\r\n", "250/2.0.0", QUEUE_SAFE},
    {"RSET", "RSET\r\n", "250/2.0.0", QUEUE_SAFE},
    {"RSET between chunks", "BDAT 8\r\nS: x\r\n\r\nRSET\r\n", "250/2.0.0 250/2.0.0", QUEUE_SAFE},
    {"EHLO", "EHLO d\r\n", "250", QUEUE_SAFE},
    {"EHLO between chunks", "BDAT 8\r\nS: x\r\n\r\nEHLO d\r\n", "250/2.0.0 250", QUEUE_SAFE},
};
/* clang-format on */

/* NULs may be inside: up to the end of the last line. */
static struct bytes octets_of(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && text[len - 1] != '\n' ? bytes_of(text, len + 3) : bytes_of(text, len);
}

static struct client *enter(struct world *world, enum phase phase)
{
    struct client *client = world_connect(world);

    say(world, client, WAYS[phase], WAY_REPLIES[phase]);
    return client;
}

/* The session has to be in this phase: what would another one answer? */
static void probe(struct world *world, struct client *client, const char *name, size_t index,
                  enum phase phase)
{
    char label[256];

    snprintf(label, sizeof label, "%s, then %s in phase %d", name, PROBES[index].name, phase);
    say_bytes(world, client, label, bytes_from_text(PROBES[index].octets),
              PROBES[index].want[phase]);
}

static void test_nothing_stays_of_a_command_that_failed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FAILURES); i++) {
        struct world world;

        world_init(&world);
        for (enum phase phase = CONNECTED; phase < PHASES; phase++) {
            for (size_t j = 0; j < COUNT_OF(PROBES) && FAILURES[i].want[phase] != NULL; j++) {
                struct client *client = enter(&world, phase);

                say_bytes(&world, client, FAILURES[i].name, octets_of(FAILURES[i].octets),
                          FAILURES[i].want[phase]);
                probe(&world, client, FAILURES[i].name, j, phase);
            }
        }
        world_clear(&world);
    }
}

static void test_nothing_stays_of_a_message_that_is_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ENDINGS); i++) {
        for (size_t j = 0; j < COUNT_OF(PROBES); j++) {
            struct world world;
            struct client *client;

            world_init(&world);
            world.queue.verdict = ENDINGS[i].verdict;
            client = enter(&world, RECIPIENT);
            say_bytes(&world, client, ENDINGS[i].name, bytes_from_text(ENDINGS[i].octets),
                      ENDINGS[i].want);
            probe(&world, client, ENDINGS[i].name, j, GREETED);
            world_clear(&world);
        }
    }
}

/* A chunk that is too large ends the transaction, and its later chunks go nowhere. */
static void test_nothing_stays_of_a_message_too_large(void **state)
{
    (void)state;
    for (size_t j = 0; j < COUNT_OF(PROBES); j++) {
        for (int is_chunked = 0; is_chunked <= 1; is_chunked++) {
            struct world world;
            struct client *client;
            struct strbuf text;

            world_init(&world);
            client = enter(&world, RECIPIENT);
            strbuf_init(&text, 10000);
            strbuf_add_text(&text,
                            is_chunked ? "BDAT 5000\r\nS: x\r\n\r\n" : "DATA\r\nS: x\r\n\r\n");
            for (size_t i = 8; i < 5000; i++) {
                strbuf_add_char(&text, i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'y');
            }
            strbuf_add_text(&text, is_chunked ? "" : "\r\n.\r\n");
            say_bytes(&world, client, "too large", strbuf_bytes(&text),
                      is_chunked ? "552/5.3.4" : "354 552/5.3.4");
            probe(&world, client, "too large", j, GREETED);
            strbuf_clear(&text);
            world_clear(&world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_stays_of_a_command_that_failed),
        cmocka_unit_test(test_nothing_stays_of_a_message_that_is_over),
        cmocka_unit_test(test_nothing_stays_of_a_message_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
