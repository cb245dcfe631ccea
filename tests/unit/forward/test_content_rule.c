#include "support/check.h"

#include "base/strbuf.h"
#include "forward/content_rule.h"

#include <stdlib.h>

static const struct bytes ENDINGS[] = {{"exe", 3}};
static const struct bytes TYPES[] = {{"application/x-msdownload", 24}};
static const struct content_rules RULES = {
    .extensions = {ENDINGS, 1}, .types = {TYPES, 1}, .fields = 5, .field_size = 100};

/* ---- header ------------------------------------------------------------------------------- */

#define ROW(name, text, why)                                                                   \
    {                                                                                          \
        name, {text, sizeof(text) - 1}, why                                                    \
    }

static const struct {
    const char *name;
    struct bytes header;
    const char *why; /* NULL: nothing is wrong */
} HEADERS[] = {
    ROW("fine", "From: a@b\r\nDate: x\r\nMessage-ID: <a>\r\nTo: c\r\nX: y\r\n", NULL),
    ROW("several From are judged elsewhere", "From: a@b\r\nFrom: c@d\r\n", NULL),
    ROW("fields of other names may come often", "From: a@b\r\nReceived: x\r\nReceived: y\r\n",
        NULL),
    ROW("no From", "Date: x\r\nFromage: y\r\n", "header-no-from"),
    ROW("empty", "", "header-no-from"),
    ROW("two Date", "From: a@b\r\nDate: x\r\ndate: y\r\n", "header-duplicate"),
    ROW("two Message-ID", "Message-ID: x\r\nFrom: a@b\r\nMessage-Id: y\r\n",
        "header-duplicate"),
    ROW("two Subject, blank in front of the colon", "Subject: x\r\nFrom: a\r\nSubject : y\r\n",
        "header-duplicate"),
    ROW("two Date, a line that is no field between them",
        "From: a@b\r\nDate: x\r\nnone\r\nDate: y\r\n", "header-duplicate"),
    ROW("From behind a line that is no field", "none\r\n\tmore\r\nFrom: a@b\r\n", NULL),
    ROW("a line that is none at the end", "From: a@b\r\nnone", NULL),
    ROW("NUL", "From: a@b\r\nX: \0\r\n", "header-nul"),
    ROW("NUL comes before the rest", "X: \0\r\nDate: x\r\nDate: y\r\n", "header-nul"),
};

static void check_answer(const char *name, const struct content_answer *answer, bool is_refused,
                         unsigned code, const char *why)
{
    CHECK_INT(name, answer->decision.disposition,
              is_refused ? DECISION_REFUSE : DECISION_ACCEPT);
    if (is_refused) {
        CHECK_INT(name, answer->decision.code, code);
        CHECK_TEXT(name, answer->decision.why, why);
        CHECK_TRUE(name, answer->decision.text.len > 0 && answer->decision.enhanced != NULL);
    } else {
        CHECK_TEXT(name, answer->mark == NULL ? "" : answer->mark, why);
    }
}

static void insane_headers_are_marked_or_refused(void **state)
{
    struct arena *arena = arena_new();
    struct content_answer answer;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(HEADERS); i++) {
        const char *why = HEADERS[i].why == NULL ? "" : HEADERS[i].why;

        content_rule_for_header(&RULES, HEADER_SANITY_TAG, HEADER_8BIT_ACCEPT,
                                HEADERS[i].header, false, arena, &answer);
        check_answer(HEADERS[i].name, &answer, false, 0, why);
        content_rule_for_header(&RULES, HEADER_SANITY_REFUSE, HEADER_8BIT_ACCEPT,
                                HEADERS[i].header, false, arena, &answer);
        check_answer(HEADERS[i].name, &answer, HEADERS[i].why != NULL, 550, why);
        content_rule_for_header(&RULES, HEADER_SANITY_OFF, HEADER_8BIT_ACCEPT,
                                HEADERS[i].header, false, arena, &answer);
        check_answer(HEADERS[i].name, &answer, false, 0, "");
    }
    arena_free(&arena);
}

static void octets_beyond_ascii_need_smtputf8(void **state)
{
    static const struct {
        const char *name;
        enum header_8bit_rule rule;
        bool is_utf8, is_refused;
        const char *why;
    } CASES[] = {
        {"accepted", HEADER_8BIT_ACCEPT, false, false, ""},
        {"marked", HEADER_8BIT_TAG, false, false, "header-8bit"},
        {"refused", HEADER_8BIT_REFUSE, false, true, "header-8bit"},
        {"with SMTPUTF8", HEADER_8BIT_REFUSE, true, false, ""},
    };
    struct arena *arena = arena_new();
    struct content_answer answer;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        content_rule_for_header(&RULES, HEADER_SANITY_REFUSE, CASES[i].rule,
                                BYTES("From: \xc3\xa9\r\n"), CASES[i].is_utf8, arena, &answer);
        check_answer(CASES[i].name, &answer, CASES[i].is_refused, 550, CASES[i].why);
        content_rule_for_header(&RULES, HEADER_SANITY_REFUSE, CASES[i].rule,
                                BYTES("From: e\r\n"), CASES[i].is_utf8, arena, &answer);
        check_answer(CASES[i].name, &answer, false, 550, "");
    }
    arena_free(&arena);
}

static void caps_hold_whatever_the_rules_say(void **state)
{
    static const struct content_rules NO_CAPS = {.fields = 0};
    struct arena *arena = arena_new();
    struct content_answer answer;
    struct strbuf header;

    (void)state;
    strbuf_init(&header, 10000);
    strbuf_add_text(&header, "From: a\r\nA: a\r\nA: a\r\nA: a\r\nA: a\r\n");
    content_rule_for_header(&RULES, HEADER_SANITY_OFF, HEADER_8BIT_ACCEPT,
                            strbuf_bytes(&header), false, arena, &answer);
    check_answer("as many as may be", &answer, false, 0, "");
    strbuf_add_text(&header, "A: a\r\n");
    content_rule_for_header(&RULES, HEADER_SANITY_OFF, HEADER_8BIT_ACCEPT,
                            strbuf_bytes(&header), false, arena, &answer);
    check_answer("one more", &answer, true, 552, "too-many-fields");
    content_rule_for_header(&NO_CAPS, HEADER_SANITY_OFF, HEADER_8BIT_ACCEPT,
                            strbuf_bytes(&header), false, arena, &answer);
    check_answer("no caps", &answer, false, 0, "");
    for (size_t extra = 0; extra < 2; extra++) {
        strbuf_reset(&header);
        strbuf_add_text(&header, "From: a\r\nBig: x\r\n "); /* folds count */
        while (header.len < 9 + 100 - 2 + extra) {
            strbuf_add_char(&header, 'x');
        }
        strbuf_add_text(&header, "\r\n");
        content_rule_for_header(&RULES, HEADER_SANITY_OFF, HEADER_8BIT_ACCEPT,
                                strbuf_bytes(&header), false, arena, &answer);
        check_answer(extra == 0 ? "as large as may be" : "one octet more", &answer, extra > 0,
                     552, extra > 0 ? "field-too-large" : "");
    }
    CHECK_BYTES("text", answer.decision.text, BYTES("The header field Big is too large"));
    strbuf_clear(&header);
    arena_free(&arena);
}

/* ---- files -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum mime_finding finding;
    struct bytes found;
    const char *why;   /* NULL: it is not blocked */
    const char *shown; /* stands in the text */
} FOUND[] = {
    {"attachment", MIME_FOUND_NAME, {"evil.exe", 8}, "blocked-file", "\"evil.exe\""},
    {"file in an archive",
     MIME_FOUND_ENTRY,
     {"a/evil.exe", 10},
     "blocked-file",
     "\"a/evil.exe\""},
    {"declared type",
     MIME_FOUND_TYPE,
     {"application/x-msdownload", 24},
     "blocked-type",
     "application/x-msdownload"},
    {"type by its octets",
     MIME_FOUND_KIND,
     {"application/x-msdownload", 24},
     "blocked-type",
     "application/x-msdownload"},
    {"a strange name",
     MIME_FOUND_NAME,
     {"e\r\n\"\\\xff.exe", 10},
     "blocked-file",
     "\"e?????.exe\""},
    {"a text", MIME_FOUND_NAME, {"a.txt", 5}, NULL, NULL},
    {"a type that is a name", MIME_FOUND_NAME, {"application/x-msdownload", 24}, NULL, NULL},
    {"a name that is a type", MIME_FOUND_TYPE, {"text/x.exe", 10}, NULL, NULL},
};

static void judge(enum blocked_content_rule rule, const struct content_findings *findings,
                  enum mime_trouble trouble, struct arena *arena, struct content_answer *answer)
{
    content_rule_for_files(rule, findings, trouble,
                           trouble == MIME_NO_TROUBLE ? NULL : "boundary", arena, answer);
}

static void what_is_blocked_is_refused_marked_or_held(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(FOUND); i++) {
        struct content_findings findings = {.rules = &RULES};
        const char *why = FOUND[i].why == NULL ? "" : FOUND[i].why;
        struct content_answer answer;

        content_findings_add(&findings, FOUND[i].finding, FOUND[i].found);
        content_findings_add(&findings, MIME_FOUND_NAME, BYTES("harmless.txt"));
        judge(BLOCKED_CONTENT_REFUSE, &findings, MIME_NO_TROUBLE, arena, &answer);
        check_answer(FOUND[i].name, &answer, FOUND[i].why != NULL, 550, why);
        if (FOUND[i].shown != NULL) {
            struct bytes shown = bytes_from_text(FOUND[i].shown);
            CHECK_TRUE(FOUND[i].name,
                       bytes_find_part(answer.decision.text, shown) < answer.decision.text.len);
        }
        judge(BLOCKED_CONTENT_TAG, &findings, MIME_NO_TROUBLE, arena, &answer);
        check_answer(FOUND[i].name, &answer, false, 0, why);
        CHECK_TRUE(FOUND[i].name, !answer.is_held);
        judge(BLOCKED_CONTENT_HOLD, &findings, MIME_NO_TROUBLE, arena, &answer);
        check_answer(FOUND[i].name, &answer, false, 0, why);
        CHECK_INT(FOUND[i].name, answer.is_held, FOUND[i].why != NULL);
        judge(BLOCKED_CONTENT_ACCEPT, &findings, MIME_NO_TROUBLE, arena, &answer);
        check_answer(FOUND[i].name, &answer, false, 0, "");
    }
    arena_free(&arena);
}

static void what_cannot_be_read_for_certain_is_blocked(void **state)
{
    struct arena *arena = arena_new();
    struct content_findings findings = {.rules = &RULES};
    struct content_answer answer;

    (void)state;
    judge(BLOCKED_CONTENT_REFUSE, &findings, MIME_AMBIGUOUS, arena, &answer);
    check_answer("ambiguous", &answer, true, 550, "mime-unreadable");
    judge(BLOCKED_CONTENT_HOLD, &findings, MIME_TOO_COMPLEX, arena, &answer);
    check_answer("too complex", &answer, false, 0, "mime-unreadable");
    CHECK_TRUE("too complex", answer.is_held);
    content_findings_add(&findings, MIME_FOUND_NAME, BYTES("evil.exe"));
    judge(BLOCKED_CONTENT_REFUSE, &findings, MIME_AMBIGUOUS, arena, &answer);
    check_answer("a file says more", &answer, true, 550, "blocked-file");
    content_findings_add(&findings, MIME_FOUND_NAME, BYTES("second.exe"));
    judge(BLOCKED_CONTENT_REFUSE, &findings, MIME_NO_TROUBLE, arena, &answer);
    CHECK_BYTES("the first stays", answer.what, BYTES("evil.exe"));
    arena_free(&arena);
}

static void long_names_are_shown_by_their_end(void **state)
{
    struct arena *arena = arena_new();
    struct content_findings findings = {.rules = &RULES};
    struct content_answer answer;
    char name[1000];

    (void)state;
    memset(name, 'x', sizeof name);
    memcpy(name + sizeof name - 4, ".exe", 4);
    content_findings_add(&findings, MIME_FOUND_NAME, bytes_of(name, sizeof name));
    judge(BLOCKED_CONTENT_REFUSE, &findings, MIME_NO_TROUBLE, arena, &answer);
    CHECK_INT("long name", answer.what.len, CONTENT_NAME_LIMIT);
    CHECK_TRUE("long name", bytes_ends_with_nocase(answer.what, BYTES("x.exe")));
    CHECK_TRUE("long name", answer.decision.text.len < 400);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insane_headers_are_marked_or_refused),
        cmocka_unit_test(octets_beyond_ascii_need_smtputf8),
        cmocka_unit_test(caps_hold_whatever_the_rules_say),
        cmocka_unit_test(what_is_blocked_is_refused_marked_or_held),
        cmocka_unit_test(what_cannot_be_read_for_certain_is_blocked),
        cmocka_unit_test(long_names_are_shown_by_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
