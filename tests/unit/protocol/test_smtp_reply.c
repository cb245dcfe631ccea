#include "support/check.h"

#include "protocol/smtp_reply.h"

static void replies_are_written(void **state)
{
    static const struct {
        unsigned code;
        const char *enhanced;
        struct bytes text;
        struct bytes want;
    } CASES[] = {
        {250, "2.0.0", BYTES("ok"), BYTES("250 2.0.0 ok\r\n")},
        {220, NULL, BYTES("mx.example ESMTP"), BYTES("220 mx.example ESMTP\r\n")},
        {550, "5.1.1", BYTES("a\r\nb\0c\x7f"), BYTES("550 5.1.1 a??b?c?\r\n")},
        {250, "2.0.0", BYTES(""), BYTES("250 2.0.0\r\n")},
        {250, NULL, BYTES(""), BYTES("250\r\n")},
        {250, NULL, BYTES("\xc3\xa9"), BYTES("250 \xc3\xa9\r\n")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct strbuf out;

        strbuf_init(&out, 4096);
        smtp_reply_add(&out, CASES[i].code, CASES[i].enhanced, CASES[i].text);
        CHECK_BYTES("written", strbuf_bytes(&out), CASES[i].want);
        strbuf_clear(&out);
    }
}

/* Long texts: no line over 512 octets, nothing lost, each line with its codes. */
static void long_texts_are_broken(void **state)
{
    static const char *const WORDS[] = {"word ", "x", "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        struct strbuf text, out, joined;
        struct bytes rest;

        strbuf_init(&text, 4096);
        strbuf_init(&out, 8192);
        strbuf_init(&joined, 8192);
        for (int count = 0; count < 600; count++) {
            strbuf_add_text(&text, WORDS[i]);
        }
        smtp_reply_add(&out, 550, "5.7.1", strbuf_bytes(&text));
        rest = strbuf_bytes(&out);
        while (rest.len > 0) {
            struct bytes line = bytes_cut(&rest, '\n');

            CHECK_TRUE("line limit", line.len + 1 <= 512);
            CHECK_TRUE("codes", bytes_starts_with(line, rest.len > 0 ? BYTES("550-5.7.1 ")
                                                                     : BYTES("550 5.7.1 ")));
            strbuf_add(&joined, bytes_between(line, 10, line.len - 1));
        }
        CHECK_BYTES(WORDS[i], strbuf_bytes(&joined), strbuf_bytes(&text));
        strbuf_clear(&text);
        strbuf_clear(&out);
        strbuf_clear(&joined);
    }
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes input;
    enum smtp_reply_result want;
    unsigned want_code;
    const char *want_enhanced; /* as smtp_reply_enhanced tells */
    const char *want_text;
    size_t want_used;
} CASES[] = {
    {"one line", BYTES("250 2.1.0 sender ok\r\n354"), SMTP_REPLY_READY, 250, "2.1.0", "sender ok", 21},
    {"no enhanced code", BYTES("550 no\r\n"), SMTP_REPLY_READY, 550, "5.0.0", "no", 8},
    {"several lines", BYTES("550-5.1.1 no such\r\n550 5.1.1 user\r\n"), SMTP_REPLY_READY, 550, "5.1.1", "no such / user", 35},
    {"enhanced codes differ", BYTES("550-5.1.1 a\r\n550 5.7.1 b\r\n"), SMTP_REPLY_READY, 550, "5.1.1", "a / b", 26},
    {"enhanced code of another class", BYTES("550 4.7.1 a\r\n"), SMTP_REPLY_READY, 550, "5.0.0", "4.7.1 a", 13},
    {"enhanced code without text", BYTES("451 4.3.0\r\n"), SMTP_REPLY_READY, 451, "4.3.0", "", 11},
    {"not quite an enhanced code", BYTES("550 5.1.1234 a\r\n"), SMTP_REPLY_READY, 550, "5.0.0", "5.1.1234 a", 16},
    {"longest enhanced code", BYTES("550 5.123.456 a\r\n"), SMTP_REPLY_READY, 550, "5.123.456", "a", 17},
    {"no text", BYTES("250 \r\n"), SMTP_REPLY_READY, 250, "2.0.0", "", 6},
    {"bare code", BYTES("250\r\n"), SMTP_REPLY_READY, 250, "2.0.0", "", 5},
    {"bare code as the last line", BYTES("250-a\r\n250\r\n"), SMTP_REPLY_READY, 250, "2.0.0", "a", 12},
    {"354", BYTES("354 go on\r\n"), SMTP_REPLY_READY, 354, "2.0.0", "go on", 11},
    {"LF alone", BYTES("250-a\n250 b\n"), SMTP_REPLY_READY, 250, "2.0.0", "a / b", 12},
    {"control octets", BYTES("250 a\x1b[1m\tb\0c\r\n"), SMTP_REPLY_READY, 250, "2.0.0", "a?[1m?b?c", 15},
    {"UTF-8", BYTES("250 \xc3\xa9\xff\xc2\x9b\r\n"), SMTP_REPLY_READY, 250, "2.0.0", "\xc3\xa9???", 11},
    {"nothing", BYTES(""), SMTP_REPLY_NEED_MORE, 0, NULL, NULL, 0},
    {"half a line", BYTES("250 o"), SMTP_REPLY_NEED_MORE, 0, NULL, NULL, 0},
    {"half a reply", BYTES("250-a\r\n250"), SMTP_REPLY_NEED_MORE, 0, NULL, NULL, 0},
    {"code changes", BYTES("250-a\r\n550 b\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "250-a??550 b", 0},
    {"code 199", BYTES("199 a\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "199 a", 0},
    {"code 600", BYTES("600 a\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "600 a", 0},
    {"short code", BYTES("25\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "25", 0},
    {"four digits", BYTES("2500 a\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "2500 a", 0},
    {"HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "HTTP/1.1 400 Bad Request", 0},
    {"empty line", BYTES("\r\n"), SMTP_REPLY_MALFORMED, 0, "4.0.0", "", 0},
};
/* clang-format on */

static void check_reply(const char *name, const struct smtp_reply *reply, size_t i)
{
    if (CASES[i].want != SMTP_REPLY_NEED_MORE) {
        CHECK_INT(name, reply->code, CASES[i].want_code);
        CHECK_TEXT(name, smtp_reply_enhanced(reply), CASES[i].want_enhanced);
        CHECK_TEXT(name, reply->text, CASES[i].want_text);
        CHECK_INT(name, reply->text_len, strlen(CASES[i].want_text));
    }
}

static void replies_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_reply reply;
        size_t used = 0;

        CHECK_INT(CASES[i].name, smtp_reply_next(CASES[i].input, &reply, &used), CASES[i].want);
        CHECK_INT(CASES[i].name, used, CASES[i].want_used);
        check_reply(CASES[i].name, &reply, i);
    }
}

static void replies_are_read_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        enum smtp_reply_result result = SMTP_REPLY_NEED_MORE;
        struct smtp_reply reply;
        size_t used = 0;

        for (size_t len = 0; len <= CASES[i].input.len && result == SMTP_REPLY_NEED_MORE;
             len++) {
            result = smtp_reply_next(bytes_first(CASES[i].input, len), &reply, &used);
        }
        CHECK_INT(CASES[i].name, result, CASES[i].want);
        CHECK_INT(CASES[i].name, used, CASES[i].want_used);
        if (result == SMTP_REPLY_READY) {
            check_reply(CASES[i].name, &reply, i);
        }
    }
}

static void endless_replies_are_refused(void **state)
{
    struct strbuf input;
    struct smtp_reply reply;
    size_t used = 0;

    (void)state;
    strbuf_init(&input, 100000);
    for (int line = 0; line < SMTP_REPLY_LINES - 1; line++) {
        strbuf_add_text(&input, "250-x\r\n");
    }
    CHECK_INT("one line left", smtp_reply_next(strbuf_bytes(&input), &reply, &used),
              SMTP_REPLY_NEED_MORE);
    strbuf_add_text(&input, "250-x\r\n");
    CHECK_INT("too many lines", smtp_reply_next(strbuf_bytes(&input), &reply, &used),
              SMTP_REPLY_MALFORMED);
    strbuf_reset(&input);
    strbuf_addf(&input, "250 %0*d", SMTP_REPLY_LINE_LIMIT - 5, 0);
    CHECK_INT("line below the limit", smtp_reply_next(strbuf_bytes(&input), &reply, &used),
              SMTP_REPLY_NEED_MORE);
    strbuf_add_char(&input, 'x');
    CHECK_INT("line at the limit", smtp_reply_next(strbuf_bytes(&input), &reply, &used),
              SMTP_REPLY_MALFORMED);
    strbuf_reset(&input);
    strbuf_addf(&input, "250 %0*d\r\n", SMTP_REPLY_TEXT_KEPT + 1, 0);
    CHECK_INT("long text", smtp_reply_next(strbuf_bytes(&input), &reply, &used),
              SMTP_REPLY_READY);
    CHECK_INT("cut text", reply.text_len, SMTP_REPLY_TEXT_KEPT);
    CHECK_TRUE("cut text", reply.was_cut);
    strbuf_clear(&input);
}

static void add_line(void *context, struct bytes text)
{
    strbuf_add(context, text);
    strbuf_add_char(context, '|');
}

static void lines_are_handed_out(void **state)
{
    struct strbuf lines;

    (void)state;
    strbuf_init(&lines, 100);
    smtp_reply_each_line(BYTES("250-mx.example\r\n250-SIZE 10\n250\r\n"), add_line, &lines);
    CHECK_BYTES("lines", strbuf_bytes(&lines), BYTES("mx.example|SIZE 10||"));
    strbuf_clear(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_written),
        cmocka_unit_test(long_texts_are_broken),
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(replies_are_read_byte_by_byte),
        cmocka_unit_test(endless_replies_are_refused),
        cmocka_unit_test(lines_are_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
