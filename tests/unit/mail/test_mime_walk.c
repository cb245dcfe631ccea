#include "support/check.h"

#include "base/encoding.h"
#include "base/strbuf.h"
#include "mail/mime_parameters.h"
#include "mail/mime_walk.h"

#include <stdlib.h>
#include <time.h>

enum { LOG_LIMIT = 8 * 1024 * 1024 };

static char letter_of(enum mime_finding finding)
{
    switch (finding) {
    case MIME_FOUND_TYPE:
        return 'T';
    case MIME_FOUND_KIND:
        return 'K';
    case MIME_FOUND_NAME:
        return 'N';
    case MIME_FOUND_ENTRY:
        return 'E';
    }
    return '?';
}

/* "[N:evil.exe]" */
static void on_found(void *context, enum mime_finding finding, struct bytes text)
{
    struct strbuf *log = context;

    strbuf_addf(log, "[%c:", letter_of(finding));
    strbuf_add(log, text);
    strbuf_add_char(log, ']');
}

struct outcome {
    struct strbuf log;
    enum mime_trouble trouble;
    const char *why;
    size_t memory; /* the most at any time */
};

static void walk_message(struct outcome *outcome, struct bytes message, size_t step)
{
    struct mime_walk *walk;

    strbuf_init(&outcome->log, LOG_LIMIT);
    walk = mime_walk_new(on_found, &outcome->log);
    outcome->memory = 0;
    while (message.len > 0) {
        mime_walk_add(walk, bytes_first(message, step));
        message = bytes_skip(message, step);
        if (mime_walk_memory(walk) > outcome->memory) {
            outcome->memory = mime_walk_memory(walk);
        }
    }
    mime_walk_end(walk);
    outcome->trouble = mime_walk_trouble(walk);
    outcome->why = mime_walk_why(walk);
    mime_walk_free(&walk);
    assert_null(walk);
}

static bool has(const struct outcome *outcome, struct bytes finding)
{
    return bytes_find_part(strbuf_bytes(&outcome->log), finding) < outcome->log.len;
}

/* Whole and octet by octet; the caller clears the log. */
static void walk_both_ways(const char *name, struct outcome *outcome, struct bytes message)
{
    struct outcome other;

    walk_message(outcome, message, SIZE_MAX);
    walk_message(&other, message, 1);
    CHECK_BYTES(name, strbuf_bytes(&other.log), strbuf_bytes(&outcome->log));
    CHECK_INT(name, other.trouble, outcome->trouble);
    strbuf_clear(&other.log);
}

struct walk_case {
    const char *name;
    struct bytes message;
    struct bytes want; /* is found; empty: nothing but types is */
    enum mime_trouble trouble;
};

static void check_cases(const struct walk_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome;

        walk_both_ways(cases[i].name, &outcome, cases[i].message);
        if (cases[i].want.len > 0
                ? !has(&outcome, cases[i].want)
                : has(&outcome, BYTES("[N:")) || has(&outcome, BYTES("[E:"))) {
            fail_msg("%s: found %s", cases[i].name, strbuf_text(&outcome.log));
        }
        CHECK_INT(cases[i].name, outcome.trouble, cases[i].trouble);
        strbuf_clear(&outcome.log);
    }
}

#define EVIL BYTES("[N:evil.exe]")
#define TYPE "Content-Type: application/octet-stream; "
#define DISPOSITION "Content-Disposition: attachment; "

static void names_are_found_however_they_are_written(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct walk_case CASES[] = {
#define ROW(name, message, want, trouble) {name, {message, sizeof(message) - 1}, {want, sizeof(want) - 1}, trouble}
        ROW("quoted filename", DISPOSITION "filename=\"evil.exe\"\r\n\r\nx\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("nothing", "Subject: x\r\n\r\nText\r\n", "", MIME_NO_TROUBLE),
        ROW("bare filename", DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("bare filename with blanks", DISPOSITION "filename=my evil.exe\r\n\r\n", "[N:my evil.exe]", MIME_NO_TROUBLE),
        ROW("bare filename, then a word", DISPOSITION "filename=evil.exe harmless.txt\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("only name= of Content-Type", TYPE "name=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("Content-Type without any type", "Content-Type: name=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("Content-Disposition without any type", "Content-Disposition: filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("other case", "cONTENT-dISPOSITION: ATTACHMENT; FILENAME=\"evil.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("blank in front of the colon", "Content-Disposition : attachment; filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("blanks around =", DISPOSITION "filename = \"evil.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("comments around =", DISPOSITION "filename (a=b) = (c) \"evil.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("folded between parameters", DISPOSITION "\r\n\tfilename=\"evil.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("folded inside of the name, taken out", DISPOSITION "filename=\"evil.\r\n exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("folded inside of the name, kept", DISPOSITION "filename=\"a.txt\r\n evil.exe\"\r\n\r\n", "[N:a.txt evil.exe]", MIME_NO_TROUBLE),
        ROW("semicolon in quotes", DISPOSITION "filename=\"a;evil.exe\"\r\n\r\n", "[N:a;evil.exe]", MIME_NO_TROUBLE),
        ROW("quote never closed", DISPOSITION "filename=\"evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("text behind the quote", DISPOSITION "filename=\"evil\".exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("backslashes as escapes", DISPOSITION "filename=\"ev\\il.e\\xe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("an escaped quote ends it for some", DISPOSITION "filename=\"evil.exe\\\"; .txt\"\r\n\r\n", "[N:evil.exe\\]", MIME_NO_TROUBLE),
        ROW("in another parameter's quotes", DISPOSITION "x=\"; filename=evil.exe\"\r\n\r\n", "[N:evil.exe\"]", MIME_NO_TROUBLE),
        ROW("twice, the second", DISPOSITION "filename=a.txt; filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("twice, the first", DISPOSITION "filename=evil.exe; filename=a.txt\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two Content-Disposition fields", DISPOSITION "filename=a.txt\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two Content-Type fields", TYPE "name=a.txt\r\n" TYPE "name=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("name and filename differ", TYPE "name=evil.exe\r\n" DISPOSITION "filename=a.txt\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 with charset", DISPOSITION "filename*=utf-8'en'evil%2Eexe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 without charset", DISPOSITION "filename*=evil%2eexe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 in quotes", DISPOSITION "filename*=\"utf-8''evil%2Eexe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 continued", DISPOSITION "filename*0=\"evil.\"; filename*1=\"exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 continued, out of order", DISPOSITION "filename*1=exe;\r\n filename*0=evil.\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231 continued, some encoded", DISPOSITION "filename*0*=utf-8''evil%2E; filename*1=exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231, percent where nobody says so", DISPOSITION "filename*0*=utf-8''evil; filename*1=%2Eexe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231, ten and more", DISPOSITION "name*0=e;name*1=v;name*2=i;name*3=l;name*4=.;name*5=e;name*6=x;name*7=e;name*8=.;name*9=e;name*10=xe\r\n\r\n", "[N:evil.exe.exe]", MIME_NO_TROUBLE),
        ROW("RFC 2231, one number twice", DISPOSITION "filename*0=evil.; filename*1=txt; filename*1=exe\r\n\r\n", "[N:evil.", MIME_AMBIGUOUS),
        ROW("RFC 2231, a number missing", DISPOSITION "filename*0=evil.exe; filename*2=.txt\r\n\r\n", "[N:evil.exe]", MIME_AMBIGUOUS),
        ROW("RFC 2231 in a charset that hides letters", DISPOSITION "filename*=utf-7''evil.+AGUAeABl-\r\n\r\n", "[N:", MIME_AMBIGUOUS),
        ROW("encoded word, base64", DISPOSITION "filename=\"=?utf-8?B?ZXZpbC5leGU=?=\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word, base64 without padding", DISPOSITION "filename=\"=?utf-8?b?ZXZpbC5leGU?=\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word, Q", TYPE "name==?iso-8859-1?Q?evil=2Eexe?=\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word with language", DISPOSITION "filename=\"=?utf-8*en?q?evil.exe?=\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two encoded words", DISPOSITION "filename=\"=?utf-8?q?evil=2E?=\r\n =?utf-8?q?exe?=\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word, then text", DISPOSITION "filename=\"=?utf-8?q?evil?=.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word never closed", DISPOSITION "filename=\"=?utf-8?q?evil.exe\"\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word within RFC 2231", DISPOSITION "filename*=utf-8''%3D%3Futf-8%3Fq%3Fevil.exe%3F%3D\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("encoded word in UTF-16", DISPOSITION "filename=\"=?utf-16?B?AGU=?=\"\r\n\r\n", "[N:", MIME_AMBIGUOUS),
        ROW("NUL in the name", DISPOSITION "filename=\"evil.exe\0.txt\"\r\n\r\n", "[N:evil.exe\0.txt]", MIME_NO_TROUBLE),
        ROW("what is no name", TYPE "charset=evil.exe; boundary=evil.exe\r\n\r\n", "", MIME_NO_TROUBLE),
#undef ROW
    };
    /* clang-format on */

    check_cases(CASES, COUNT_OF(CASES));
}

#define MIXED(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"
#define PART(boundary) "--" boundary "\r\n" DISPOSITION "filename=evil.exe\r\n\r\nx\r\n"

static void parts_are_found_however_they_are_delimited(void **state)
{
    (void)state;
    /* clang-format off */
#define ROW(name, message, want, trouble) {name, {message, sizeof(message) - 1}, {want, sizeof(want) - 1}, trouble}
    static const struct walk_case CASES[] = {
        ROW("plain", MIXED("b") PART("b") "--b--\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("no MIME-Version, LF lines", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: x; filename=evil.exe\n\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("quoted boundary", MIXED("\"a b\"") PART("a b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("quoted boundary that ends in blanks", MIXED("\"ab \"") PART("ab"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("boundary in two sections that ends in blanks", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=\"b \"\r\n\r\n" PART("ab"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("boundary in two sections", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n" PART("ab"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("blanks behind the boundary", MIXED("b") "--b \t \r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("no closing boundary", MIXED("b") PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("no line end at the end", MIXED("b") "--b\r\n" DISPOSITION "filename=evil.exe", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("behind the closing boundary", MIXED("b") "--b\r\n\r\n--b--\r\n" PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two boundaries in one field, the first", "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n" PART("a"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two boundaries in one field, the second", "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n" PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two boundaries in one field, both used", "Content-Type: multipart/mixed; boundary=a; xboundary=b\r\n\r\n" PART("a") "--b\r\n", "[N:evil.exe]", MIME_AMBIGUOUS),
        ROW("two Content-Type fields, the first", "Content-Type: multipart/mixed; boundary=a\r\n" MIXED("b") PART("a"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two Content-Type fields, the second", "Content-Type: multipart/mixed; boundary=a\r\n" MIXED("b") PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("two Content-Type fields of two classes", "Content-Type: application/pdf\r\n" MIXED("b") PART("b"), "[N:evil.exe]", MIME_AMBIGUOUS),
        ROW("a line that begins like the boundary", MIXED("b") "--bx\r\n" DISPOSITION "filename=evil.exe\r\n", "", MIME_AMBIGUOUS),
        ROW("text behind the closing boundary", MIXED("b") "--b\r\n\r\n--b--x\r\n", "", MIME_AMBIGUOUS),
        ROW("inner boundary begins like the outer one", MIXED("b") "--b\r\n" MIXED("bb") PART("bb") "--bb--\r\n--b--\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("multipart without boundary", "Content-Type: multipart/mixed\r\n\r\n--b\r\n", "", MIME_AMBIGUOUS),
        ROW("multipart with an empty boundary", MIXED("\"\"") "--\r\n", "", MIME_AMBIGUOUS),
        ROW("nested", MIXED("a") "--a\r\n" MIXED("b") PART("b") "--b--\r\n--a--\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("nested, inner never closed", MIXED("a") "--a\r\n" MIXED("b") "--b\r\n\r\n" PART("a"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("nested with one boundary", MIXED("a") "--a\r\n" MIXED("a") PART("a") "--a--\r\n--a--\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("in a message", "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n" MIXED("b") PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("in a message of a digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("in the first piece of a message", "Content-Type: message/partial; number=1; total=2; id=x\r\n\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("a report is no message", "Content-Type: message/delivery-status\r\n\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "", MIME_NO_TROUBLE),
        ROW("boundary in the middle of a header", MIXED("b") "--b\r\nContent-Type: text/plain\r\n" PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("fields behind a line that is none", MIXED("b") "--b\r\nnot a field\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("fields behind a line of blanks", MIXED("b") "--b\r\nX: y\r\n \r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("multipart behind a line that is none", "From me\r\n" MIXED("b") PART("b"), "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("message behind a line that is none", "From me\r\nContent-Type: message/rfc822\r\n\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("text that is not looked at", MIXED("b") "--b\r\n\r\n" DISPOSITION "filename=evil.exe\r\n--b--\r\n" DISPOSITION "filename=evil.exe\r\n", "", MIME_NO_TROUBLE),
        ROW("message in base64", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQ29udGVudC1EaXNwb3NpdGlvbjogYXR0YWNobWVudDsgZmlsZW5hbWU9ZXZpbC5leGUK\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("message that is called base64 but is not", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" DISPOSITION "filename=evil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("message in quoted-printable", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nContent-Disposition: x; file=\r\nname=3Devil.exe\r\n\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("message in base64 with lines that end in CR", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nWDogeQ1Db250ZW50LURpc3Bvc2l0aW9uOiB4OyBmaWxlbmFtZT1ldmlsLmV4ZQ0NeA==\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("multipart in base64", "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\nLS1iCkNvbnRlbnQtRGlzcG9zaXRpb246IHg7IGZpbGVuYW1lPWV2aWwuZXhlCgo=\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("uuencode in a text", "Subject: x\r\n\r\nHello\r\nbegin 644 evil.exe\r\n#0V%T\r\n`\r\nend\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("uuencode in front of the first part", MIXED("b") "begin 0755 evil.exe\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("uuencode as old clients take it", "\r\nbegin  evil.exe\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("uuencode in a base64 text", "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nYmVnaW4gNjQ0IGV2aWwuZXhlCg==\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("uuencode in a quoted-printable text", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=62egin 644=20evil.exe\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("begin-base64", "\r\nbegin-base64 644 evil.exe\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("yEnc", "\r\n=ybegin line=128 size=1 name=evil.exe\r\n", "[N:evil.exe]", MIME_NO_TROUBLE),
        ROW("a sentence that begins with begin", "\r\nbegin with evil.exe\r\nbegin 1990 evil.exe\r\n", "", MIME_NO_TROUBLE),
    };
#undef ROW
    /* clang-format on */

    check_cases(CASES, COUNT_OF(CASES));
}

static void types_are_told_as_they_are_declared(void **state)
{
    struct outcome outcome;

    (void)state;
    walk_both_ways("types", &outcome,
                   BYTES("Content-Type: Multipart / Mixed (really); boundary=b\r\n\r\n"
                         "--b\r\nContent-Type: \"text/HTML\"\r\n\r\n<p>\r\n"
                         "--b\r\nContent-Type: application/x-msdownload\r\n\r\n--b--\r\n"));
    CHECK_TEXT("types", strbuf_text(&outcome.log),
               "[T:multipart/mixed][T:text/html][T:application/x-msdownload]");
    CHECK_INT("types", outcome.trouble, MIME_NO_TROUBLE);
    strbuf_clear(&outcome.log);
}

/* ---- archives ------------------------------------------------------------------------------ */

static void add_16(struct strbuf *out, size_t number)
{
    strbuf_add_char(out, (char)number);
    strbuf_add_char(out, (char)(number >> 8));
}

static void add_zeros(struct strbuf *out, size_t count)
{
    while (count-- > 0) {
        strbuf_add_char(out, '\0');
    }
}

struct entry {
    struct bytes name, extra, data;
    unsigned flags, method;
};

static void add_local(struct strbuf *out, struct entry entry)
{
    strbuf_add(out, BYTES("PK\3\4\24\0"));
    add_16(out, entry.flags);
    add_16(out, entry.method);
    add_zeros(out, 16); /* sizes are not believed */
    add_16(out, entry.name.len);
    add_16(out, entry.extra.len);
    strbuf_add(out, entry.name);
    strbuf_add(out, entry.extra);
    strbuf_add(out, entry.data);
}

static void add_central(struct strbuf *out, struct entry entry)
{
    strbuf_add(out, BYTES("PK\1\2\24\0\24\0"));
    add_16(out, entry.flags);
    add_16(out, entry.method);
    add_zeros(out, 16);
    add_16(out, entry.name.len);
    add_16(out, entry.extra.len);
    add_zeros(out, 14);
    strbuf_add(out, entry.name);
    strbuf_add(out, entry.extra);
}

/* In lines of 76, as an attachment. */
static void add_attachment(struct strbuf *message, struct bytes octets)
{
    struct strbuf text;
    struct bytes rest;

    strbuf_init(&text, 2 * octets.len + 100);
    encoding_base64_add(&text, octets);
    strbuf_add_text(message, "Content-Type: application/octet-stream\r\n"
                             "Content-Transfer-Encoding: base64\r\n\r\n");
    for (rest = strbuf_bytes(&text); rest.len > 0; rest = bytes_skip(rest, 76)) {
        strbuf_add(message, bytes_first(rest, 76));
        strbuf_add_text(message, "\r\n");
    }
    strbuf_clear(&text);
}

static void check_archive(const char *name, struct bytes archive, struct bytes want,
                          enum mime_trouble trouble)
{
    struct outcome outcome;
    struct strbuf message;

    strbuf_init(&message, 4 * archive.len + 1000);
    add_attachment(&message, archive);
    walk_both_ways(name, &outcome, strbuf_bytes(&message));
    if (want.len > 0 ? !has(&outcome, want)
                     : has(&outcome, BYTES("[E:")) || has(&outcome, BYTES("[K:"))) {
        fail_msg("%s: found %s", name, strbuf_text(&outcome.log));
    }
    CHECK_INT(name, outcome.trouble, trouble);
    strbuf_clear(&outcome.log);
    strbuf_clear(&message);
}

#define IN_ZIP BYTES("[E:evil.exe]")

static void names_in_zip_archives_are_found(void **state)
{
    static const struct entry EVIL_ENTRY = {BYTES("evil.exe"), BYTES(""), BYTES("data"), 0, 8};
    static const struct entry GOOD_ENTRY = {BYTES("a.txt"), BYTES(""), BYTES("data"), 0, 8};
    struct strbuf zip;

    (void)state;
    strbuf_init(&zip, 100000);
    add_local(&zip, EVIL_ENTRY);
    check_archive("in a local header", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, GOOD_ENTRY);
    add_central(&zip, EVIL_ENTRY);
    check_archive("in a central header alone", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    strbuf_add_text(&zip, "a stub in front, with a P and a PK in it");
    add_zeros(&zip, 20000);
    strbuf_add_text(&zip, "PPK");
    add_local(&zip, EVIL_ENTRY);
    check_archive("behind a stub", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("inner.zip"), BYTES(""), BYTES(""), 0, 0});
    add_local(&zip, EVIL_ENTRY);
    check_archive("in a stored archive", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("a.txt"), BYTES("\x75\x70\xd\0\1....evil.exe"),
                                   BYTES(""), 0, 8});
    check_archive("in the extra field for UTF-8", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("hidden.txt"), BYTES(""), BYTES(""), 0, 8});
    zip.data[26] =
        (char)0xe8; /* its name is said to be 1000 octets, with the next header in them */
    zip.data[27] = 3;
    add_local(&zip, EVIL_ENTRY);
    add_zeros(&zip, 3000);
    check_archive("in another header's name", strbuf_bytes(&zip), IN_ZIP, MIME_NO_TROUBLE);
    zip.data[27] = 30;
    check_archive("in a name that is too long", strbuf_bytes(&zip), IN_ZIP, MIME_AMBIGUOUS);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("evil.exe/"), BYTES(""), BYTES(""), 0, 0});
    add_local(&zip, (struct entry){BYTES(""), BYTES(""), BYTES(""), 0, 0});
    check_archive("a folder", strbuf_bytes(&zip), BYTES(""), MIME_NO_TROUBLE);
    strbuf_clear(&zip);
}

static void kinds_of_archives_are_told(void **state)
{
    struct strbuf zip;

    (void)state;
    check_archive("7z", BYTES("7z\xbc\xaf\x27\x1c\0\4"),
                  BYTES("[K:application/x-7z-compressed]"), MIME_NO_TROUBLE);
    check_archive("rar", BYTES("Rar!\x1a\7\1\0"), BYTES("[K:application/vnd.rar]"),
                  MIME_NO_TROUBLE);
    check_archive("gzip", BYTES("\x1f\x8b\x8\0\0\0\0\0\0\3"), BYTES("[K:application/gzip]"),
                  MIME_NO_TROUBLE);
    check_archive("gzip with a name", BYTES("\x1f\x8b\x8\xc\0\0\0\0\0\3\2\0xxevil.exe\0data"),
                  IN_ZIP, MIME_NO_TROUBLE);
    check_archive("program", BYTES("MZ\x90\0\3\0\0\0"), BYTES("[K:application/x-msdownload]"),
                  MIME_NO_TROUBLE);
    check_archive("text", BYTES("MZ is how this text begins; PK\3\4 stands in it"), BYTES(""),
                  MIME_NO_TROUBLE);
    strbuf_init(&zip, 10000);
    add_local(&zip, (struct entry){BYTES("a.txt"), BYTES(""), BYTES(""), 1, 8});
    check_archive("encrypted", strbuf_bytes(&zip), BYTES("[K:application/x-zip-encrypted]"),
                  MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("a.zip"), BYTES(""), BYTES(""), 0, 8});
    check_archive("nested", strbuf_bytes(&zip), BYTES("[K:application/x-zip-nested]"),
                  MIME_NO_TROUBLE);
    strbuf_reset(&zip);
    add_local(&zip, (struct entry){BYTES("a"), BYTES(""), BYTES("Rar!\x1a\7\1"), 0, 0});
    check_archive("rar in zip", strbuf_bytes(&zip), BYTES("[K:application/vnd.rar]"),
                  MIME_NO_TROUBLE);
    strbuf_clear(&zip);
}

/* Both readings of a crooked attachment are looked into. */
static void archives_are_found_however_they_are_encoded(void **state)
{
    static const char ZIP[] = "UEsDBBQAAAAIAAAAAAAAAAAAAAAAAAAAAAAIAAAAZXZpbC5leGU=\r\n";
    static const struct {
        const char *name, *before;
    } CASES[] = {
        {"plain", "Content-Transfer-Encoding: base64\r\n\r\n"},
        {"with a comment", "Content-Transfer-Encoding: (x) BASE64 (y)\r\n\r\n"},
        {"with a semicolon", "Content-Transfer-Encoding: \"base64\";\r\n\r\n"},
        {"encoding twice, the first",
         "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"},
        {"encoding twice, the second",
         "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n"},
        {"encoding twice, both known", "Content-Transfer-Encoding: quoted-printable\r\n"
                                       "Content-Transfer-Encoding: base64\r\n\r\n"},
        {"other octets between", "Content-Transfer-Encoding: base64\r\n\r\n  !\r\n"},
        {"no empty line", "Content-Transfer-Encoding: base64\r\n"},
        {"odd octets where the header breaks",
         "Content-Transfer-Encoding: base64\r\nQ\r\nX: y\r\n\r\n"},
        {"encoding behind a line that is none",
         "not a field\r\nContent-Transfer-Encoding: base64\r\n\r\n"},
        {"behind other base64", "Content-Transfer-Encoding: base64\r\n\r\nQQ==\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct outcome outcome;
        struct strbuf message;

        strbuf_init(&message, 10000);
        strbuf_addf(&message, "Content-Type: application/zip\r\n%s%s", CASES[i].before, ZIP);
        walk_both_ways(CASES[i].name, &outcome, strbuf_bytes(&message));
        CHECK_TRUE(CASES[i].name, has(&outcome, IN_ZIP));
        strbuf_clear(&outcome.log);
        strbuf_clear(&message);
    }
}

static void base64_needs_no_padding(void **state)
{
    struct outcome outcome;

    (void)state;
    walk_both_ways(
        "no padding", &outcome,
        BYTES("Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
              "UEsDBBQAAAAIAAAAAAAAAAAAAAAAAAAAAAAIAAAAZXZpbC5leGU\r\n"));
    CHECK_TRUE("no padding", has(&outcome, IN_ZIP));
    strbuf_clear(&outcome.log);
}

static void archives_in_uuencode_are_looked_into(void **state)
{
    struct outcome outcome;

    (void)state;
    walk_both_ways("uuencoded", &outcome,
                   BYTES("\r\nbegin 644 a.zip\r\n"
                         "F4$L#!!0````(```````````````````````(````979I;\"YE>&4`\r\n"
                         "`\r\nend\r\n"));
    CHECK_TRUE("uuencoded", has(&outcome, IN_ZIP));
    strbuf_clear(&outcome.log);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void check_limit(const char *name, struct strbuf *message, enum mime_trouble trouble,
                        const char *why)
{
    struct outcome outcome;

    CHECK_TRUE(name, !message->overflowed);
    walk_both_ways(name, &outcome, strbuf_bytes(message));
    CHECK_INT(name, outcome.trouble, trouble);
    CHECK_TEXT(name, outcome.why == NULL ? "" : outcome.why, why);
    CHECK_TRUE(name, outcome.memory < 256 * 1024);
    strbuf_clear(&outcome.log);
    strbuf_reset(message);
}

static void add_levels(struct strbuf *message, int count)
{
    strbuf_add_text(message, "Content-Type: multipart/mixed; boundary=b0\r\n\r\n");
    for (int i = 1; i < count; i++) {
        strbuf_addf(message, "--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n",
                    i - 1, i);
    }
}

static void what_is_too_complex_ends_the_walk(void **state)
{
    struct strbuf message;

    (void)state;
    strbuf_init(&message, 4 * 1024 * 1024);
    add_levels(&message, MIME_DEPTH);
    check_limit("as deep as it may be", &message, MIME_NO_TROUBLE, "");
    add_levels(&message, MIME_DEPTH + 1);
    check_limit("one deeper", &message, MIME_TOO_COMPLEX, "depth");
    for (int i = 0; i < MIME_DEPTH + 1; i++) {
        strbuf_add_text(&message, "Content-Type: message/rfc822\r\n\r\n");
    }
    check_limit("messages too deep", &message, MIME_TOO_COMPLEX, "depth");
    strbuf_add_text(&message, MIXED("b"));
    for (int i = 0; i < MIME_PARTS - 1; i++) {
        strbuf_add_text(&message, "--b\r\n\r\n");
    }
    check_limit("as many parts as may be", &message, MIME_NO_TROUBLE, "");
    strbuf_add_text(&message, MIXED("b"));
    for (int i = 0; i < MIME_PARTS; i++) {
        strbuf_add_text(&message, "--b\r\n\r\n");
    }
    check_limit("one part more", &message, MIME_TOO_COMPLEX, "parts");
    strbuf_add_text(&message, TYPE "name=\"");
    for (int i = 0; i < 10000; i++) {
        strbuf_add_text(&message, "a");
    }
    check_limit("a field too long", &message, MIME_TOO_COMPLEX, "field");
    strbuf_add_text(&message, "Content-Type: multipart/mixed; boundary=");
    for (int i = 0; i < 300; i++) {
        strbuf_add_text(&message, "a");
    }
    strbuf_add_text(&message, "\r\n\r\n");
    check_limit("a boundary too long", &message, MIME_TOO_COMPLEX, "boundary");
    strbuf_add_text(&message, DISPOSITION);
    for (int i = 0; i < 1500; i++) {
        strbuf_add_text(&message, "name=");
    }
    check_limit("more names than anybody reads", &message, MIME_AMBIGUOUS, "name");
    strbuf_clear(&message);
}

/* Each of them took the way over all in front of it, or behind it. */
static void comments_are_not_passed_again_and_again(void **state)
{
    static const char *const units[] = {"()=)", "(name=()"};
    struct strbuf message;

    (void)state;
    strbuf_init(&message, 1024 * 1024);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        strbuf_add_text(&message, DISPOSITION);
        while (message.len < MIME_VALUE_LIMIT - 100) {
            strbuf_add_text(&message, units[i]);
        }
        check_limit(units[i], &message, MIME_AMBIGUOUS, "name");
    }
    strbuf_add_text(&message, DISPOSITION "(a) (b) file (c) name (d) = (e) evil.exe");
    check_limit("as many as anybody writes", &message, MIME_NO_TROUBLE, "");
    strbuf_clear(&message);
}

/* A hundred names in a few hundred octets, in each of many fields. */
static void names_of_many_readings_have_an_end(void **state)
{
    struct strbuf message;

    (void)state;
    strbuf_init(&message, 4 * 1024 * 1024);
    for (int fields = 0; fields < 100; fields++) {
        strbuf_add_text(&message, TYPE);
        for (int segments = 0; segments < 10; segments++) {
            for (int names = 0; names < 20; names++) {
                strbuf_add_text(&message, "name=");
            }
            for (int dots = 0; dots < 400; dots++) {
                strbuf_add_char(&message, '.');
            }
            strbuf_add_char(&message, ';');
        }
        strbuf_add_text(&message, "\r\n");
    }
    check_limit("names", &message, MIME_TOO_COMPLEX, "names");
    strbuf_clear(&message);
}

/* What only begins like an encoded word was looked through up to the end of its value, again and again: 20
 * ms each time. */
static void words_without_an_end_are_not_looked_through(void **state)
{
    static const char *const units[] = {"=?a?bc", "=?a?z?b", " =?"};
    struct strbuf message;
    clock_t begun = clock();

    (void)state;
    strbuf_init(&message, 1024 * 1024);
    for (int fields = 0; fields < 60; fields++) {
        size_t from = message.len;

        strbuf_add_text(&message, DISPOSITION "name=name=name=name=");
        while (message.len - from < MIME_VALUE_LIMIT - 100) {
            strbuf_add_text(&message, units[fields % 3]);
        }
        strbuf_add_text(&message, "\r\n");
    }
    check_limit("words", &message, MIME_NO_TROUBLE, "");
    CHECK_TRUE("soon", clock() - begun < 3 * CLOCKS_PER_SEC);
    strbuf_clear(&message);
}

static void messages_encoded_in_messages_have_an_end(void **state)
{
    struct strbuf message, inner;

    (void)state;
    strbuf_init(&message, 1024 * 1024);
    strbuf_init(&inner, 1024 * 1024);
    for (int i = 0; i < 4; i++) {
        strbuf_reset(&message);
        strbuf_add_text(&message, "Content-Type: message/rfc822\r\n"
                                  "Content-Transfer-Encoding: base64\r\n\r\n");
        encoding_base64_add(&message, strbuf_bytes(&inner));
        strbuf_reset(&inner);
        strbuf_add(&inner, strbuf_bytes(&message));
    }
    check_limit("four times", &message, MIME_TOO_COMPLEX, "encoding");
    strbuf_clear(&inner);
    strbuf_clear(&message);
}

static void long_lines_are_read_alike(void **state)
{
    struct strbuf message;
    struct outcome outcome;

    (void)state;
    strbuf_init(&message, 100000);
    for (size_t extra = 0; extra < 4; extra++) {
        strbuf_reset(&message);
        strbuf_add_text(&message, MIXED("b"));
        for (size_t i = 0; i < MIME_LINE - 2 + extra; i++) {
            strbuf_add_char(&message, 'x');
        }
        strbuf_add_text(&message, "\r\n" PART("b") "Content-Disposition: ");
        walk_both_ways("long line", &outcome, strbuf_bytes(&message));
        CHECK_TRUE("long line", has(&outcome, EVIL));
        strbuf_clear(&outcome.log);
    }
    strbuf_clear(&message);
}

/* What stands behind is told apart by nobody who reads the line to its end. */
static void a_delimiter_is_not_longer_than_what_is_read(void **state)
{
    struct strbuf message;

    (void)state;
    strbuf_init(&message, 100000);
    for (size_t extra = 0; extra < 2; extra++) {
        strbuf_add_text(&message, MIXED("b") "--b");
        for (size_t i = 0; i < MIME_LINE - 4 + extra; i++) {
            strbuf_add_char(&message, ' ');
        }
        strbuf_add_text(&message, "\n");
        check_limit(extra == 0 ? "as long as may be" : "one blank more", &message,
                    extra == 0 ? MIME_NO_TROUBLE : MIME_AMBIGUOUS,
                    extra == 0 ? "" : "boundary");
    }
    strbuf_clear(&message);
}

static void a_walk_that_is_given_up_tells_nothing_more(void **state)
{
    struct strbuf log;
    struct mime_walk *walk;

    (void)state;
    strbuf_init(&log, 1000);
    walk = mime_walk_new(on_found, &log);
    mime_walk_add(walk, BYTES(DISPOSITION "filename=evil.exe"));
    mime_walk_free(&walk);
    CHECK_INT("given up", log.len, 0);
    strbuf_clear(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_however_they_are_written),
        cmocka_unit_test(parts_are_found_however_they_are_delimited),
        cmocka_unit_test(types_are_told_as_they_are_declared),
        cmocka_unit_test(names_in_zip_archives_are_found),
        cmocka_unit_test(kinds_of_archives_are_told),
        cmocka_unit_test(archives_are_found_however_they_are_encoded),
        cmocka_unit_test(base64_needs_no_padding),
        cmocka_unit_test(archives_in_uuencode_are_looked_into),
        cmocka_unit_test(what_is_too_complex_ends_the_walk),
        cmocka_unit_test(comments_are_not_passed_again_and_again),
        cmocka_unit_test(names_of_many_readings_have_an_end),
        cmocka_unit_test(words_without_an_end_are_not_looked_through),
        cmocka_unit_test(messages_encoded_in_messages_have_an_end),
        cmocka_unit_test(long_lines_are_read_alike),
        cmocka_unit_test(a_delimiter_is_not_longer_than_what_is_read),
        cmocka_unit_test(a_walk_that_is_given_up_tells_nothing_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
