#include "support/check.h"

#include "base/utf8.h"

#include "mail/from_munge.h"
#include "mail/header_block.h"

#include <stdlib.h>

#define ADDRESS "REPLY0=TAG=JK=x.example=alice@our.example"
#define NEW "<" ADDRESS ">"

static const struct smtp_mailbox address = {.local = {"REPLY0=TAG=JK=x.example=alice", 29},
                                            .domain = {"our.example", 11}};

/* The munged header, or "" when there is no one author. */
static struct bytes munge(struct bytes header, struct arena *arena)
{
    struct from_author author;
    struct strbuf out;
    struct bytes copy;

    if (!from_munge_read_author(header, arena, &author)) {
        return BYTES("");
    }
    strbuf_init(&out, 200000);
    from_munge_write(&out, header, &author, &address, BYTES("our.example"));
    CHECK_TRUE("fits", !out.overflowed);
    copy = arena_copy(arena, strbuf_bytes(&out));
    strbuf_clear(&out);
    return copy;
}

static struct bytes join(struct arena *arena, const char *name, struct bytes value)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 200000);
    strbuf_add_text(&text, name);
    strbuf_add(&text, value);
    strbuf_add_text(&text, "\r\n");
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static struct bytes author_text(const struct from_author *author, struct arena *arena)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 2000);
    smtp_mailbox_add(&text, &author->mailbox);
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

/* clang-format off */
/* What stands behind "From:", whose mailbox that is, and what the new name is before NEW. */
static const struct {
    const char *name;
    struct bytes value;
    struct bytes author;
    struct bytes from;
} readable[] = {
    {"plain", BYTES(" Alice <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"no blank", BYTES("Alice<alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"several words", BYTES(" Alice  B.\tSmith <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice B. Smith via our.example\"")},
    {"address only", BYTES(" alice@x.example"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"address in brackets", BYTES(" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"case", BYTES(" Alice.B+x@X.Example"), BYTES("Alice.B+x@X.Example"), BYTES(" \"Alice.B+x via our.example\"")},
    {"quoted", BYTES(" \"Smith, Alice\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Smith, Alice via our.example\"")},
    {"quoted with escapes", BYTES(" \"Alice \\\"A\\\\\\\" <Smith>\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice \\\"A\\\\\\\" <Smith> via our.example\"")},
    {"empty quotes", BYTES(" \"\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"quotes within a word", BYTES(" Al\"ic\"e <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"obsolete dots", BYTES(" Alice B. Smith <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice B. Smith via our.example\"")},
    {"obsolete route", BYTES(" Alice <@a.example,@b.example:alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"obsolete blanks", BYTES(" Alice < alice . b (c) @ x . example > (d)"), BYTES("alice.b@x.example"), BYTES(" \"Alice via our.example\"")},
    {"obsolete quotes in a local part", BYTES(" Alice <\"al\\ice\".b@x.example>"), BYTES("alice.b@x.example"), BYTES(" \"Alice via our.example\"")},
    {"quoted local part", BYTES(" \"a b\"@x.example"), BYTES("\"a b\"@x.example"), BYTES(" \"a b via our.example\"")},
    {"dots that do not belong there", BYTES(" a..b.@x.example"), BYTES("\"a..b.\"@x.example"), BYTES(" \"a..b. via our.example\"")},
    {"literal", BYTES(" Alice <alice@[IPv6:2001:db8::1]>"), BYTES("alice@[IPv6:2001:db8::1]"), BYTES(" \"Alice via our.example\"")},
    {"bare literal", BYTES(" alice@[192.0.2.1]"), BYTES("alice@[192.0.2.1]"), BYTES(" \"alice via our.example\"")},
    {"comment as name", BYTES(" alice@x.example (Alice Smith)"), BYTES("alice@x.example"), BYTES(" \"Alice Smith via our.example\"")},
    {"comment in brackets form", BYTES(" <alice@x.example> (Alice \\) (S) Smith)"), BYTES("alice@x.example"), BYTES(" \"Alice ) (S) Smith via our.example\"")},
    {"comment in front", BYTES(" (Alice) <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"comment beside a name", BYTES(" Alice (the boss) Smith <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice Smith via our.example\"")},
    {"comment with an encoded word", BYTES(" alice@x.example (=?utf-8?q?J=C3=B6rg?=)"), BYTES("alice@x.example"), BYTES(" =?utf-8?q?J=C3=B6rg?= \"via our.example\"")},
    {"comment with an address", BYTES(" alice@x.example (ceo@bank.example)"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"empty comment", BYTES(" alice@x.example ()"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"folded", BYTES("\r\n Alice\r\n\tSmith\r\n <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice Smith via our.example\"")},
    {"folded in quotes", BYTES(" \"Alice\r\n Smith\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice Smith via our.example\"")},
    {"UTF-8", BYTES(" J\xc3\xb6rg <j\xc3\xb6rg@b\xc3\xbc" "cher.example>"), BYTES("j\xc3\xb6rg@b\xc3\xbc" "cher.example"), BYTES(" \"J\xc3\xb6rg via our.example\"")},
    {"eight bits", BYTES(" J\xf6rg <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"brackets in a name", BYTES(" [List] Alice <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"[List] Alice via our.example\"")},

    {"name is the address", BYTES(" \"alice@x.example\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"name is another address", BYTES(" \"ceo@bank.example\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"unquoted address as name", BYTES(" ceo@bank.example <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"address behind a name", BYTES(" \"The CEO <ceo@bank.example>\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"The CEO via our.example\"")},
    {"address put together of two words", BYTES(" \"ceo\"@bank.example <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"escaped at", BYTES(" \"ceo\\@bank.example\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"full width at", BYTES(" \"ceo\xef\xbc\xa0" "bank.example\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"small at", BYTES(" ceo\xef\xb9\xab" "bank.example <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"overlong at", BYTES(" ceo\xc1\x80" "bank.example <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"control octets", BYTES(" Ali\ace B\xc2\x85ob Smith <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Smith via our.example\"")},
    {"text that runs backwards", BYTES(" \xe2\x80\xaeknab Alice <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Alice via our.example\"")},
    {"nothing to say", BYTES(" \"a@b\"@x.example"), BYTES("\"a@b\"@x.example"), BYTES(" \"via our.example\"")},

    {"encoded word", BYTES(" =?utf-8?Q?J=C3=B6rg?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" =?utf-8?Q?J=C3=B6rg?= \"via our.example\"")},
    {"in base64, with a language", BYTES(" =?UTF-8*de?B?SsO2cmc=?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" =?UTF-8*de?B?SsO2cmc=?= \"via our.example\"")},
    {"between words", BYTES(" Dr. =?iso-8859-1?q?J=F6rg?= Smith <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"Dr.\" =?iso-8859-1?q?J=F6rg?= \"Smith via our.example\"")},
    {"several, folded", BYTES(" =?utf-8?q?J=C3=B6rg?=\r\n =?utf-8?b?IFM=?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" =?utf-8?q?J=C3=B6rg?= =?utf-8?b?IFM=?= \"via our.example\"")},
    {"in quotes", BYTES(" \"=?utf-8?q?J=C3=B6rg?=\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" =?utf-8?q?J=C3=B6rg?= \"via our.example\"")},
    {"with octets a name must not have", BYTES(" =?utf-8?q?Doe,_J.\"?= <alice@x.example>"), BYTES("alice@x.example"), BYTES("")},
    {"with a comma", BYTES(" =?utf-8?q?Doe,_J.?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" =?utf-8?q?Doe=2C_J=2E?= \"via our.example\"")},
    {"that hides an address", BYTES(" =?utf-8?q?ceo=40bank.example?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"that hides one in base64", BYTES(" =?us-ascii?B?Y2VvQGJhbmsuZXhhbXBsZQ==?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"that hides one in latin 1", BYTES(" The =?iso-8859-1?q?ceo=40bank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"that hides one in quotes", BYTES(" \"The =?utf-8?q?ceo=40bank?=\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"that hides one in two words", BYTES(" =?utf-8?q?ceo?= =?utf-8?q?=40bank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"full width at, hidden", BYTES(" =?utf-8?b?Y2Vv77ygYmFuaw==?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"overlong at, hidden", BYTES(" =?utf-8?q?ceo=C1=80bank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"a line end, hidden", BYTES(" =?utf-8?q?ceo=0D=0Abank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"set not known here", BYTES(" =?utf-7?q?ceo+AEA-bank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"set with escapes", BYTES(" =?iso-2022-jp?B?GyRCJWYbKEI=?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"wrong base64", BYTES(" =?utf-8?b?J?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"wrong hexadecimal", BYTES(" =?utf-8?q?a=4?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"sloppy, with blanks", BYTES(" \"=?utf-8?q?the ceo=40bank?=\" <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"sloppy, without a blank", BYTES(" x=?utf-8?q?ceo=40bank?= <alice@x.example>"), BYTES("alice@x.example"), BYTES(" \"alice via our.example\"")},
    {"local part that hides one", BYTES(" =?utf-8?q?ceo=40bank?=@x.example"), BYTES("=?utf-8?q?ceo=40bank?=@x.example"), BYTES(" \"via our.example\"")},
};

static const struct {
    const char *name;
    struct bytes value;
} unreadable[] = {
    {"empty", BYTES("")},
    {"blank", BYTES(" ")},
    {"no address", BYTES(" Alice")},
    {"null", BYTES(" Alice <>")},
    {"no domain", BYTES(" Alice <alice>")},
    {"no local part", BYTES(" Alice <@x.example>")},
    {"two", BYTES(" alice@x.example, bob@y.example")},
    {"two with names", BYTES(" Alice <alice@x.example>, Bob <bob@y.example>")},
    {"two without comma", BYTES(" Alice <alice@x.example> <bob@y.example>")},
    {"two with semicolon", BYTES(" alice@x.example; bob@y.example")},
    {"two in brackets", BYTES(" <alice@x.example, bob@y.example>")},
    {"empty element", BYTES(" , alice@x.example")},
    {"unquoted comma", BYTES(" Smith, Alice <alice@x.example>")},
    {"group", BYTES(" Friends: alice@x.example;")},
    {"group of none", BYTES(" undisclosed:;")},
    {"group of one with a name", BYTES(" A: Alice <alice@x.example>;")},
    {"open quotes", BYTES(" \"Alice <alice@x.example>")},
    {"open comment", BYTES(" (Alice <alice@x.example>")},
    {"open angle", BYTES(" Alice <alice@x.example")},
    {"stray angle", BYTES(" Alice> <alice@x.example>")},
    {"text behind", BYTES(" <alice@x.example> Alice")},
    {"two at signs", BYTES(" <alice@x.example@y.example>")},
    {"blank in a local part", BYTES(" <al ice@x.example>")},
    {"blank in a domain", BYTES(" <alice@x.exa mple>")},
    {"open literal", BYTES(" alice@[192.0.2.1")},
    {"backslash", BYTES(" Al\\ice <alice@x.example>")},
    {"route with quotes", BYTES(" <@\":alice@x.example>")},
    {"route with a comment", BYTES(" <@(:alice@x.example>")},
    {"NUL", BYTES(" Alice\0 <alice@x.example>")},
    {"bare CR", BYTES(" Alice\r <alice@x.example>")},
    {"bare LF", BYTES(" Alice\n <alice@x.example>")},
    {"eight bits in the address", BYTES(" <j\xf6rg@x.example>")},
};
/* clang-format on */

static void test_readable(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(readable); i++) {
        const char *name = readable[i].name;
        struct bytes header = join(arena, "from:", readable[i].value);
        struct from_author author;
        struct header_field field;
        struct bytes out, want;

        if (readable[i].from.len == 0) {
            CHECK_TRUE(name, !from_munge_read_author(header, arena, &author));
            continue;
        }
        CHECK_TRUE(name, from_munge_read_author(header, arena, &author));
        CHECK_BYTES(name, author_text(&author, arena), readable[i].author);
        out = munge(header, arena);
        want = join(arena, "X-Original-From:", readable[i].value);
        CHECK_BYTES(name, bytes_first(out, want.len), want);
        out = bytes_skip(out, want.len);
        want = join(arena, "Reply-To: ", readable[i].author);
        CHECK_BYTES(name, bytes_first(out, want.len), want);
        out = bytes_skip(out, want.len);
        CHECK_TRUE(name, header_field_next(&out, &field));
        CHECK_INT(name, out.len, 0);
        CHECK_BYTES(name, field.name, BYTES("From"));
        out = bytes_trim(field.value);
        CHECK_BYTES(name, bytes_skip(out, out.len - sizeof NEW + 1), BYTES(NEW));
        out = bytes_trim(bytes_first(out, out.len - sizeof NEW + 1));
        CHECK_BYTES(name, out, bytes_skip(readable[i].from, 1));
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void test_unreadable(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(unreadable); i++) {
        struct from_author author;

        CHECK_TRUE(
            unreadable[i].name,
            !from_munge_read_author(join(arena, "From:", unreadable[i].value), arena, &author));
    }
    arena_free(&arena);
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes header, want;
} headers[] = {
    {"no From", BYTES("To: bob@y.example\r\n"), BYTES("")},
    {"no header", BYTES(""), BYTES("")},
    {"two From fields", BYTES("From: alice@x.example\r\nFROM : alice@x.example\r\n"), BYTES("")},
    {"everything else as it was",
     BYTES("received: by x;\r\n\tnow\r\nSubject:no blank\r\nfrom : Alice <alice@x.example>\r\nX-A: \xfe\r\nfrom-x: a\r\n"),
     BYTES("X-Original-From: Alice <alice@x.example>\r\nReply-To: alice@x.example\r\nreceived: by x;\r\n\tnow\r\nSubject:no blank\r\n"
           "From: \"Alice via our.example\" " NEW "\r\nX-A: \xfe\r\nfrom-x: a\r\n")},
    {"the body behind it", BYTES("From: a@x.example\r\n\r\nFrom: b@y.example\r\nReply-To: c\r\n"),
     BYTES("X-Original-From: a@x.example\r\nReply-To: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\n\r\nFrom: b@y.example\r\nReply-To: c\r\n")},
    {"no last line end", BYTES("From: a@x.example"),
     BYTES("X-Original-From: a@x.example\r\nReply-To: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\n")},
    {"Reply-To", BYTES("Reply-To: list@y.example\r\nFrom: a@x.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nReply-To: a@x.example,\r\n list@y.example\r\nFrom: \"a via our.example\" " NEW "\r\n")},
    {"Reply-To without blank", BYTES("From: a@x.example\r\nREPLY-TO:list@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nREPLY-TO: a@x.example,\r\n list@y.example\r\n")},
    {"Reply-To, folded", BYTES("From: a@x.example\r\nReply-To:\r\n\tl@y.example,\r\n m@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: a@x.example,\r\n\tl@y.example,\r\n m@y.example\r\n")},
    {"Reply-To, empty", BYTES("From: a@x.example\r\nReply-To: \r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: a@x.example \r\n")},
    {"Reply-To is the author", BYTES("From: A <a@x.example>\r\nReply-To: Ann <a@X.example>\r\n"),
     BYTES("X-Original-From: A <a@x.example>\r\nFrom: \"A via our.example\" " NEW "\r\nReply-To: Ann <a@X.example>\r\n")},
    {"Reply-To has the author and others", BYTES("From: a@x.example\r\nReply-To: a@x.example, l@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: a@x.example,\r\n a@x.example, l@y.example\r\n")},
    {"several Reply-To", BYTES("Reply-To: l@y.example\r\nFrom: a@x.example\r\nReply-To: m@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nReply-To: a@x.example,\r\n l@y.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: m@y.example\r\n")},
    {"Reply-To, malformed", BYTES("From: a@x.example\r\nReply-To: \"open <l@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: a@x.example,\r\n \"open <l@y.example\r\n")},
    {"Reply-To begins with a bare CR", BYTES("From: a@x.example\r\nReply-To:\rl@y.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nFrom: \"a via our.example\" " NEW "\r\nReply-To: a@x.example,\r\n \rl@y.example\r\n")},
    {"munged before", BYTES("X-Original-From: z@z.example\r\nFrom: a@x.example\r\n"),
     BYTES("X-Original-From: a@x.example\r\nReply-To: a@x.example\r\nX-Original-From: z@z.example\r\nFrom: \"a via our.example\" " NEW "\r\n")},
};
/* clang-format on */

static void test_headers(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        CHECK_BYTES(headers[i].name, munge(headers[i].header, arena), headers[i].want);
        arena_reset(arena);
    }
    arena_free(&arena);
}

/* Octets of the longest line, without its CRLF. */
static size_t longest_line(struct bytes text)
{
    size_t longest = 0;

    while (text.len != 0) {
        size_t end = bytes_find_part(text, BYTES("\r\n"));

        longest = end > longest ? end : longest;
        text = bytes_skip(text, end + 2);
    }
    return longest;
}

static struct bytes repeat(struct arena *arena, const char *before, const char *part,
                           size_t count, const char *after)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 200000);
    strbuf_add_text(&text, before);
    for (size_t i = 0; i < count; i++) {
        strbuf_add_text(&text, part);
    }
    strbuf_add_text(&text, after);
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

/* A name of any length is cut where a character ends, and no line of ours is too long. */
static void test_long_names(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *before, *part, *after;
        size_t count;
        const char *last; /* words of the name that are left, at its end */
    } cases[] = {
        {"one word", "From: ", "a", " <a@x.example>\r\n", 900, "a via our.example\""},
        {"two octets a character", "From: x", "\xc3\xb6", " <a@x.example>\r\n", 400, "\xc3\xb6 via our.example\""},
        {"three octets a character", "From: ", "\xe2\x82\xac", " <a@x.example>\r\n", 200, "\xe2\x82\xac via our.example\""},
        {"quotes", "From: \"", "\\\"", "\" <a@x.example>\r\n", 400, "\\\" via our.example\""},
        {"words", "From: ", "word ", "<a@x.example>\r\n", 5000, "wor via our.example\""},
        {"encoded words", "From:", " =?utf-8?q?=C3=B6_=C3=B6_=C3=B6_=C3=B6?=", " <a@x.example>\r\n", 400, "=?utf-8?q?=C3=B6_=C3=B6_=C3=B6_=C3=B6?= \"via our.example\""},
        {"encoded words that show little", "From:", " =?utf-8*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?q?.?=", " <a@x.example>\r\n", 800, "?q?=2E?= \"via our.example\""},
        {"an address beyond what is shown", "From: ", "word ", "=?utf-8?q?=40?= <a@x.example>\r\n", 100, "\"a via our.example\""},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].name;
        struct bytes header =
            repeat(arena, cases[i].before, cases[i].part, cases[i].count, cases[i].after);
        struct bytes out = munge(header, arena), last = bytes_from_text(cases[i].last);
        struct header_field field;
        struct strbuf value;

        CHECK_TRUE(name, header_block_find(out, BYTES("From"), &field));
        CHECK_TRUE(name, longest_line(out) <= 998);
        CHECK_TRUE(name, utf8_is_valid(field.value));
        strbuf_init(&value, 20000);
        header_value_add(&value, field.value);
        strbuf_truncate(&value, value.len - sizeof NEW);
        CHECK_BYTES(name, bytes_skip(strbuf_bytes(&value), value.len - last.len), last);
        CHECK_TRUE(name, value.len < 4096 + 500);
        strbuf_clear(&value);
        CHECK_TRUE(name, header_block_find(out, BYTES("X-Original-From"), &field));
        strbuf_init(&value, 200000);
        header_value_add(&value, field.value);
        CHECK_BYTES(name, strbuf_bytes(&value), bytes_trim(bytes_skip(header, 5)));
        strbuf_clear(&value);
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void test_cut_to_the_octet(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t len = FROM_NAME_LIMIT - 2; len <= FROM_NAME_LIMIT + 2; len++) {
        struct bytes out =
            munge(repeat(arena, "From: ", "a", len, " <a@x.example>\r\n"), arena);
        size_t shown = len < FROM_NAME_LIMIT ? len : FROM_NAME_LIMIT;
        struct bytes want =
            repeat(arena, "From: \"", "a", shown, " via our.example\"\r\n " NEW);

        CHECK_TRUE("cut", bytes_find_part(out, want) < out.len);
    }
    arena_free(&arena);
}

static void test_what_cannot_be_folded(void **state)
{
    struct arena *arena = arena_new();
    struct from_author author;

    (void)state;
    CHECK_TRUE("900",
               from_munge_read_author(repeat(arena, "From: ", "a", 899, " <a@x.example>\r\n"),
                                      arena, &author));
    CHECK_TRUE("more",
               !from_munge_read_author(repeat(arena, "From: ", "a", 901, " <a@x.example>\r\n"),
                                       arena, &author));
    CHECK_TRUE("blanks",
               !from_munge_read_author(repeat(arena, "From:", " ", 1000, "a@x.example\r\n"),
                                       arena, &author));
    CHECK_TRUE("address",
               !from_munge_read_author(repeat(arena, "From: ", "a", 510, "@x.example\r\n"),
                                       arena, &author));
    CHECK_TRUE("value",
               !from_munge_read_author(
                   repeat(arena, "From: ", "a ", 40000, "<a@x.example>\r\n"), arena, &author));
    arena_free(&arena);
}

/* Lines of other fields, of any length, go through as they are. */
static void test_long_lines_of_others(void **state)
{
    struct arena *arena = arena_new();
    struct bytes before = repeat(arena, "X-Long: ", "0123456789", 2000, "\r\n");
    struct bytes after = repeat(arena, "References: ", "<a@b> ", 3000, "\r\n");
    struct bytes header, out;

    (void)state;
    header = repeat(arena, before.data == NULL ? "" : arena_copy_text(arena, before),
                    "From: a@x.example\r\n", 1, arena_copy_text(arena, after));
    out = munge(header, arena);
    CHECK_TRUE("before", bytes_find_part(out, before) < out.len);
    CHECK_BYTES("after", bytes_skip(out, out.len - after.len), after);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readable),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_cut_to_the_octet),
        cmocka_unit_test(test_what_cannot_be_folded),
        cmocka_unit_test(test_long_lines_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
