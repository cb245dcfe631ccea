#include "support/check.h"

#include "protocol/smtp_command.h"

#define P(n) " P" #n "=1"

/* clang-format off */
static const struct {
    const char *name;
    struct bytes line;
    bool allow_utf8;
    enum smtp_command_result want;
    enum smtp_verb want_verb;
    struct bytes want_argument;
} CASES[] = {
    {"HELO", BYTES("HELO client.example"), 0, SMTP_COMMAND_OK, SMTP_HELO, BYTES("client.example")},
    {"any case", BYTES("eHlO [192.0.2.1]"), 0, SMTP_COMMAND_OK, SMTP_EHLO, BYTES("[192.0.2.1]")},
    {"EHLO without a name", BYTES("EHLO"), 0, SMTP_COMMAND_SYNTAX, SMTP_EHLO, BYTES("")},
    {"EHLO with two names", BYTES("EHLO a b"), 0, SMTP_COMMAND_SYNTAX, SMTP_EHLO, BYTES("a b")},
    {"EHLO with 8 bit", BYTES("EHLO \xc3\xa9"), 1, SMTP_COMMAND_SYNTAX, SMTP_EHLO, BYTES("\xc3\xa9")},
    {"EHLO with ESC", BYTES("EHLO a\x1b[1m"), 0, SMTP_COMMAND_SYNTAX, SMTP_EHLO, BYTES("a\x1b[1m")},
    {"blanks at the end", BYTES("NOOP \t "), 0, SMTP_COMMAND_OK, SMTP_NOOP, BYTES("")},
    {"NOOP with text", BYTES("NOOP some text"), 0, SMTP_COMMAND_OK, SMTP_NOOP, BYTES("some text")},
    {"DATA", BYTES("DATA"), 0, SMTP_COMMAND_OK, SMTP_DATA, BYTES("")},
    {"DATA with text", BYTES("DATA x"), 0, SMTP_COMMAND_SYNTAX, SMTP_DATA, BYTES("x")},
    {"RSET", BYTES("RSET"), 0, SMTP_COMMAND_OK, SMTP_RSET, BYTES("")},
    {"QUIT", BYTES("quit"), 0, SMTP_COMMAND_OK, SMTP_QUIT, BYTES("")},
    {"STARTTLS with text", BYTES("STARTTLS now"), 0, SMTP_COMMAND_SYNTAX, SMTP_STARTTLS, BYTES("now")},
    {"VRFY", BYTES("VRFY ann"), 0, SMTP_COMMAND_OK, SMTP_VRFY, BYTES("ann")},
    {"VRFY without a name", BYTES("VRFY"), 0, SMTP_COMMAND_SYNTAX, SMTP_VRFY, BYTES("")},
    {"BDAT", BYTES("BDAT 10 LAST"), 0, SMTP_COMMAND_OK, SMTP_BDAT, BYTES("10 LAST")},
    {"BDAT without LAST", BYTES("bdat 10"), 0, SMTP_COMMAND_OK, SMTP_BDAT, BYTES("10")},
    {"BDAT with blanks", BYTES("BDAT  0   last "), 0, SMTP_COMMAND_OK, SMTP_BDAT, BYTES("0   last")},
    {"BDAT of the largest size", BYTES("BDAT 18446744073709551615"), 0, SMTP_COMMAND_OK, SMTP_BDAT, BYTES("18446744073709551615")},
    {"BDAT larger than any number", BYTES("BDAT 18446744073709551616"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("18446744073709551616")},
    {"BDAT alone", BYTES("BDAT"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("")},
    {"BDAT without a size", BYTES("BDAT LAST"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("LAST")},
    {"BDAT below nothing", BYTES("BDAT -1"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("-1")},
    {"BDAT with a sign", BYTES("BDAT +1"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("+1")},
    {"BDAT in hex", BYTES("BDAT 0x10"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("0x10")},
    {"BDAT with a tab", BYTES("BDAT 1\tLAST"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("1\tLAST")},
    {"BDAT with two sizes", BYTES("BDAT 1 2"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("1 2")},
    {"BDAT with LASTLY", BYTES("BDAT 1 LASTLY"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("1 LASTLY")},
    {"BDAT with more", BYTES("BDAT 1 LAST 2"), 0, SMTP_COMMAND_SYNTAX, SMTP_BDAT, BYTES("1 LAST 2")},
    {"HELP", BYTES("HELP"), 0, SMTP_COMMAND_OK, SMTP_HELP, BYTES("")},
    {"nothing", BYTES(""), 0, SMTP_COMMAND_UNKNOWN, SMTP_UNKNOWN, BYTES("")},
    {"HTTP", BYTES("GET / HTTP/1.1"), 0, SMTP_COMMAND_UNKNOWN, SMTP_UNKNOWN, BYTES("/ HTTP/1.1")},
    {"the word unknown", BYTES("unknown"), 0, SMTP_COMMAND_UNKNOWN, SMTP_UNKNOWN, BYTES("")},
    {"blank first", BYTES(" NOOP"), 0, SMTP_COMMAND_UNKNOWN, SMTP_UNKNOWN, BYTES("NOOP")},
    {"longer verb", BYTES("NOOPS"), 0, SMTP_COMMAND_UNKNOWN, SMTP_UNKNOWN, BYTES("")},
    {"MAIL", BYTES("MAIL FROM:<a@b>"), 0, SMTP_COMMAND_OK, SMTP_MAIL, BYTES("FROM:<a@b>")},
    {"MAIL with a blank", BYTES("mail  from: <a@b>"), 0, SMTP_COMMAND_OK, SMTP_MAIL, BYTES("from: <a@b>")},
    {"MAIL null", BYTES("MAIL FROM:<>"), 0, SMTP_COMMAND_OK, SMTP_MAIL, BYTES("FROM:<>")},
    {"MAIL postmaster", BYTES("MAIL FROM:<postmaster>"), 0, SMTP_COMMAND_BAD_PATH, SMTP_MAIL, BYTES("FROM:<postmaster>")},
    {"MAIL TO", BYTES("MAIL TO:<a@b>"), 0, SMTP_COMMAND_SYNTAX, SMTP_MAIL, BYTES("TO:<a@b>")},
    {"MAIL alone", BYTES("MAIL"), 0, SMTP_COMMAND_SYNTAX, SMTP_MAIL, BYTES("")},
    {"MAIL without brackets", BYTES("MAIL FROM:a@b"), 0, SMTP_COMMAND_BAD_PATH, SMTP_MAIL, BYTES("FROM:a@b")},
    {"MAIL glued", BYTES("MAIL FROM:<a@b>SIZE=1"), 0, SMTP_COMMAND_SYNTAX, SMTP_MAIL, BYTES("FROM:<a@b>SIZE=1")},
    {"MAIL with 8 bit", BYTES("MAIL FROM:<\xff@b>"), 1, SMTP_COMMAND_BAD_UTF8, SMTP_MAIL, BYTES("FROM:<\xff@b>")},
    {"RCPT", BYTES("RCPT TO:<a@b>"), 0, SMTP_COMMAND_OK, SMTP_RCPT, BYTES("TO:<a@b>")},
    {"RCPT postmaster", BYTES("RCPT TO:<Postmaster>"), 0, SMTP_COMMAND_OK, SMTP_RCPT, BYTES("TO:<Postmaster>")},
    {"RCPT null", BYTES("RCPT TO:<>"), 0, SMTP_COMMAND_BAD_PATH, SMTP_RCPT, BYTES("TO:<>")},
    {"sixteen parameters", BYTES("MAIL FROM:<>" P(1) P(2) P(3) P(4) P(5) P(6) P(7) P(8) P(9) P(10) P(11) P(12) P(13) P(14) P(15) P(16)), 0, SMTP_COMMAND_OK, SMTP_MAIL, BYTES("FROM:<>" P(1) P(2) P(3) P(4) P(5) P(6) P(7) P(8) P(9) P(10) P(11) P(12) P(13) P(14) P(15) P(16))},
    {"seventeen parameters", BYTES("MAIL FROM:<>" P(1) P(2) P(3) P(4) P(5) P(6) P(7) P(8) P(9) P(10) P(11) P(12) P(13) P(14) P(15) P(16) P(17)), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<>" P(1) P(2) P(3) P(4) P(5) P(6) P(7) P(8) P(9) P(10) P(11) P(12) P(13) P(14) P(15) P(16) P(17))},
    {"parameter twice", BYTES("MAIL FROM:<> SIZE=1 size=2"), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> SIZE=1 size=2")},
    {"parameter without a value", BYTES("MAIL FROM:<> SIZE="), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> SIZE=")},
    {"parameter without a name", BYTES("MAIL FROM:<> =1"), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> =1")},
    {"two equal signs", BYTES("MAIL FROM:<> A=1=2"), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> A=1=2")},
    {"hyphen first", BYTES("MAIL FROM:<> -A=1"), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> -A=1")},
    {"8 bit in a value", BYTES("MAIL FROM:<> A=\xc3\xa9"), 0, SMTP_COMMAND_BAD_PARAMETER, SMTP_MAIL, BYTES("FROM:<> A=\xc3\xa9")},
    {"UTF-8 in a value", BYTES("MAIL FROM:<> A=\xc3\xa9"), 1, SMTP_COMMAND_OK, SMTP_MAIL, BYTES("FROM:<> A=\xc3\xa9")},
};
/* clang-format on */

static void commands_are_parsed(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_command command;

        CHECK_INT(CASES[i].name,
                  smtp_command_parse(CASES[i].line, CASES[i].allow_utf8, arena, &command),
                  CASES[i].want);
        CHECK_INT(CASES[i].name, command.verb, CASES[i].want_verb);
        CHECK_BYTES(CASES[i].name, command.argument, CASES[i].want_argument);
    }
    arena_free(&arena);
}

static void parts_of_mail(void **state)
{
    struct arena *arena = arena_new();
    struct smtp_command command;

    (void)state;
    CHECK_INT("result",
              smtp_command_parse(
                  BYTES("MAIL FROM:<\"a b\"@c.example>  SIZE=100 body=8BITMIME SMTPUTF8"),
                  false, arena, &command),
              SMTP_COMMAND_OK);
    CHECK_BYTES("local", command.path.local, BYTES("a b"));
    CHECK_BYTES("domain", command.path.domain, BYTES("c.example"));
    CHECK_INT("parameters", command.parameter_count, 3);
    CHECK_BYTES("size", smtp_command_parameter(&command, BYTES("size"))->value, BYTES("100"));
    CHECK_BYTES("body", smtp_command_parameter(&command, BYTES("BODY"))->value,
                BYTES("8BITMIME"));
    CHECK_TRUE("smtputf8", !smtp_command_parameter(&command, BYTES("SMTPUTF8"))->has_value);
    CHECK_TRUE("absent", smtp_command_parameter(&command, BYTES("RET")) == NULL);
    arena_free(&arena);
}

static void parts_of_bdat(void **state)
{
    struct arena *arena = arena_new();
    struct smtp_command command;

    (void)state;
    smtp_command_parse(BYTES("BDAT 007"), false, arena, &command);
    CHECK_INT("size", command.chunk_size, 7);
    CHECK_TRUE("not last", !command.is_last_chunk);
    smtp_command_parse(BYTES("BDAT 4294967296 LAST"), false, arena, &command);
    CHECK_INT("size", command.chunk_size, 4294967296);
    CHECK_TRUE("last", command.is_last_chunk);
    arena_free(&arena);
}

static void long_paths_are_told(void **state)
{
    struct arena *arena = arena_new();
    struct smtp_command command;
    char line[200];
    int len = snprintf(line, sizeof line, "RCPT TO:<%065d@b>", 0);

    (void)state;
    CHECK_INT("65", smtp_command_parse(bytes_of(line, (size_t)len), false, arena, &command),
              SMTP_COMMAND_PATH_TOO_LONG);
    arena_free(&arena);
}

static void verbs_have_names(void **state)
{
    (void)state;
    for (int verb = SMTP_UNKNOWN; verb < SMTP_VERB_COUNT; verb++) {
        assert_non_null(smtp_verb_text((enum smtp_verb)verb));
    }
    CHECK_TEXT("mail", smtp_verb_text(SMTP_MAIL), "MAIL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_parsed), cmocka_unit_test(parts_of_mail),
        cmocka_unit_test(parts_of_bdat),       cmocka_unit_test(long_paths_are_told),
        cmocka_unit_test(verbs_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
