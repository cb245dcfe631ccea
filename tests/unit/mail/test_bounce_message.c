#include "support/check.h"

#include "base/utf8.h"

#include "mail/bounce_message.h"
#include "protocol/smtp_path.h"

static const struct bounce_recipient refused = {
    .alias = {"info@example.org", 16},
    .hidden = {"bob@corp.example", 16},
    .status = "5.1.1",
    .remote = {"mx.corp.example", 15},
    .diagnostic = {"550 5.1.1 <BOB@corp.example>: no such user", 42},
    .is_remote = true,
    .last_attempt = 1795299990,
    .attempts = 1,
};

static struct bounce_facts facts_of(const struct bounce_recipient *recipients, size_t count)
{
    return (struct bounce_facts){
        .kind = BOUNCE_FAILED,
        .our_name = BYTES("mx.example.org"),
        .from_address = BYTES("postmaster@example.org"),
        .to_address = BYTES("alice@example.net"),
        .message_id = BYTES("0123456789abc"),
        .original_id = BYTES("0123456789abd"),
        .arrived = 1795299980,
        .now = 1795299990,
        .recipients = recipients,
        .recipient_count = count,
        .original_header = BYTES("From: Alice <alice@example.net>\r\nMessage-ID: "
                                 "<x@y>\r\nSubject: a\r\n b\r\n\r\nsecret body\r\n"),
    };
}

static bool holds(const struct strbuf *text, struct bytes part)
{
    return bytes_find_part(strbuf_bytes(text), part) < text->len;
}

static void check_lines(const char *name, const struct strbuf *message)
{
    struct bytes rest = strbuf_bytes(message);

    CHECK_TRUE(name, bytes_ends_with_nocase(rest, BYTES("\r\n")));
    while (rest.len != 0) {
        struct bytes line = bytes_cut(&rest, '\n');

        CHECK_TRUE(name, line.len >= 1 && line.len <= 999 && line.data[line.len - 1] == '\r');
        CHECK_TRUE(name, bytes_find(line, '\r') == line.len - 1);
        CHECK_TRUE(name, bytes_find(line, '\0') == line.len);
    }
}

static void test_refused(void **state)
{
    struct bounce_facts facts = facts_of(&refused, 1);
    struct strbuf out;
    static const struct bytes parts[] = {
        BYTES("To: <alice@example.net>\r\n"),
        BYTES("From: Mail Delivery System <postmaster@example.org>\r\n"),
        BYTES("Auto-Submitted: auto-replied\r\n"),
        BYTES("Message-ID: <0123456789abc@mx.example.org>\r\n"),
        BYTES("In-Reply-To: <x@y>\r\n"),
        BYTES("\r\n\r\nReporting-MTA: dns; mx.example.org\r\n"),
        BYTES("\r\n\r\nFinal-Recipient: rfc822; info@example.org\r\nAction: failed\r\nStatus: "
              "5.1.1\r\n"
              "Remote-MTA: dns; mx.corp.example\r\n"
              "Diagnostic-Code: smtp; 550 5.1.1 <info@example.org>: no such user\r\n"
              "Last-Attempt-Date: Sat, 21 Nov 2026 22:26:30 +0000\r\n"),
        BYTES("Content-Type: text/rfc822-headers\r\n\r\nFrom: Alice <alice@example.net>\r\n"),
        BYTES("\r\nSubject: a\r\n b\r\n\r\n--=_postilion_0123456789abc--\r\n"),
    };

    (void)state;
    strbuf_init(&out, 1 << 20);
    bounce_message_write(&out, &facts);
    check_lines("refused", &out);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        CHECK_TRUE(parts[i].data, holds(&out, parts[i]));
    }
    CHECK_TRUE("no body", !holds(&out, BYTES("secret body")));
    CHECK_TRUE("nothing hidden", !holds(&out, BYTES("bob@")) && !holds(&out, BYTES("BOB@")));
    CHECK_TRUE("seven bits", !holds(&out, BYTES("8bit")));
    strbuf_clear(&out);
}

static void test_kinds(void **state)
{
    struct bounce_facts facts = facts_of(&refused, 1);
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 1 << 20);
    facts.kind = BOUNCE_DELAYED;
    facts.retry_until = 86400;
    bounce_message_write(&out, &facts);
    CHECK_TRUE("delayed", holds(&out, BYTES("Action: delayed\r\n")) &&
                              holds(&out, BYTES("Subject: Delayed")));
    CHECK_TRUE("until when", holds(&out, BYTES("\r\nWill-Retry-Until: "
                                               "Fri, 2 Jan 1970 00:00:00 +0000\r\n")));
    strbuf_reset(&out);
    facts.kind = BOUNCE_EXPIRED;
    bounce_message_write(&out, &facts);
    CHECK_TRUE("expired",
               holds(&out, BYTES("Action: failed\r\n")) && holds(&out, BYTES("gave up")));
    CHECK_TRUE("nothing will be tried", !holds(&out, BYTES("Will-Retry-Until")));
    strbuf_clear(&out);
}

/* What the sender asked to be told (RFC 3461, RFC 3464). */
static void test_dsn_fields(void **state)
{
    struct bounce_recipient recipient = refused;
    struct bounce_facts facts;
    struct strbuf out;

    (void)state;
    recipient.orcpt = BYTES("rfc822;Info+2Bx@example.org");
    facts = facts_of(&recipient, 1);
    facts.envid = BYTES("QQ+2B31+0AX");
    strbuf_init(&out, 1 << 20);
    bounce_message_write(&out, &facts);
    check_lines("dsn", &out);
    CHECK_TRUE("envelope, no line break in it",
               holds(&out, BYTES("\r\n\r\nOriginal-Envelope-Id: QQ+31 X\r\nReporting-MTA:")));
    CHECK_TRUE("recipient", holds(&out, BYTES("\r\n\r\nOriginal-Recipient: rfc822; "
                                              "Info+x@example.org\r\nFinal-Recipient: rfc822; "
                                              "info@example.org\r\n")));
    strbuf_reset(&out);
    recipient.orcpt = BYTES("nonsense");
    facts.kind = BOUNCE_RELAYED;
    bounce_message_write(&out, &facts);
    CHECK_TRUE("relayed", holds(&out, BYTES("Action: relayed\r\n")) &&
                              holds(&out, BYTES("Subject: Mail passed on\r\n")));
    CHECK_TRUE("no such type", !holds(&out, BYTES("Original-Recipient")));
    strbuf_clear(&out);
}

static void test_explanation_and_history(void **state)
{
    static const struct bounce_attempt history[] = {
        {1795299000, BYTES("mx1.corp.example"),
         BYTES("450 4.2.0 <bob@corp.example> busy\r\n.")},
        {1795299900, BYTES(""), BYTES("connection refused")},
    };
    struct bounce_recipient recipient = refused;
    struct bounce_facts facts;
    struct strbuf out;

    (void)state;
    recipient.explanation = "the recipient's mailbox is full";
    recipient.attempts = 3;
    recipient.history = history;
    recipient.history_count = COUNT_OF(history);
    facts = facts_of(&recipient, 1);
    facts.kind = BOUNCE_EXPIRED;
    strbuf_init(&out, 1 << 20);
    bounce_message_write(&out, &facts);
    check_lines("history", &out);
    CHECK_TRUE("explained",
               holds(&out, BYTES("   That is: the recipient's mailbox is full.\r\n")));
    CHECK_TRUE("tried", holds(&out, BYTES("   Tried 3 times:\r\n   (the last 2 of them)\r\n")));
    CHECK_TRUE("first", holds(&out, BYTES("  mx1.corp.example\r\n      450 4.2.0 "
                                          "<info@example.org> busy")));
    CHECK_TRUE("second", holds(&out, BYTES("+0000\r\n      connection refused\r\n")));
    CHECK_TRUE("nothing hidden", !holds(&out, BYTES("bob@")));
    strbuf_reset(&out);
    facts.kind = BOUNCE_FAILED;
    bounce_message_write(&out, &facts);
    CHECK_TRUE("a refusal has no history", !holds(&out, BYTES("Tried")));
    strbuf_clear(&out);
}

static void test_hostile_diagnostic(void **state)
{
    struct bounce_recipient two[2] = {refused, refused};
    struct bounce_facts facts;
    static char many[3000];
    struct strbuf out;

    (void)state;
    memset(many, 'x', sizeof many);
    two[0].diagnostic = bytes_of(many, sizeof many);
    two[1].alias = BYTES("sales@example.org");
    two[1].hidden = BYTES("carol@corp.example");
    two[1].diagnostic = BYTES("550 a\r\n\r\n--=_postilion_0123456789abc\r\n\xff\x01 <carol> "
                              "bob@corp.example Carol@Corp.Example");
    facts = facts_of(two, 2);
    strbuf_init(&out, 1 << 20);
    bounce_message_write(&out, &facts);
    check_lines("hostile", &out);
    CHECK_TRUE("no part of its own",
               !holds(&out, BYTES("\r\n--=_postilion_0123456789abc\r\n?")));
    CHECK_TRUE("printable", holds(&out, BYTES("??")));
    CHECK_TRUE("nobody", !holds(&out, BYTES("carol")) && !holds(&out, BYTES("Carol")) &&
                             !holds(&out, BYTES("bob@")));
    CHECK_TRUE("both",
               holds(&out, BYTES("rfc822; info@")) && holds(&out, BYTES("rfc822; sales@")));
    strbuf_clear(&out);
}

static void test_hostile_header(void **state)
{
    struct bounce_facts facts = facts_of(&refused, 1);
    struct strbuf header, out;

    (void)state;
    strbuf_init(&header, 1 << 20);
    strbuf_init(&out, 1 << 20);
    strbuf_add_text(&header, "Subject: ");
    for (size_t i = 0; i < 600; i++) {
        strbuf_add_text(&header, "\xc3\xa4\xc3\xa4");
    }
    strbuf_add_text(
        &header,
        "\r\nX: a\nb\rc\r\nCc: bob@corp.example\r\n\t--=_postilion_0123456789abc--\r\n");
    for (size_t i = 0; i < 3000; i++) {
        strbuf_addf(&header, "X-%zu: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", i);
    }
    facts.original_header = strbuf_bytes(&header);
    bounce_message_write(&out, &facts);
    check_lines("hostile", &out);
    CHECK_TRUE("no half characters", utf8_is_valid(strbuf_bytes(&out)));
    CHECK_TRUE("bounded", out.len < BOUNCE_HEADER_LIMIT + 4096);
    CHECK_TRUE("some", holds(&out, BYTES("X-100: ")));
    CHECK_TRUE(
        "8-bit part",
        holds(&out, BYTES("text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n")));
    CHECK_TRUE("8-bit message",
               holds(&out, BYTES("\"\r\nContent-Transfer-Encoding: 8bit\r\n")));
    CHECK_TRUE("bare line ends", holds(&out, BYTES("X: a?b?c\r\n")));
    CHECK_TRUE("hidden", holds(&out, BYTES("Cc: info@example.org\r\n")));
    CHECK_TRUE("boundary", !holds(&out, BYTES("\t--=_")));
    strbuf_clear(&header);
    strbuf_clear(&out);
}

static void test_utf8_address(void **state)
{
    struct bounce_recipient recipient = refused;
    struct bounce_facts facts;
    struct strbuf out;

    (void)state;
    recipient.alias = BYTES("b\xc3\xbcro@example.org");
    recipient.is_remote = false;
    recipient.remote = BYTES("");
    facts = facts_of(&recipient, 1);
    strbuf_init(&out, 1 << 20);
    bounce_message_write(&out, &facts);
    check_lines("utf-8", &out);
    CHECK_TRUE("type", holds(&out, BYTES("Content-Type: message/global-delivery-status\r\n")));
    CHECK_TRUE("address",
               holds(&out, BYTES("Final-Recipient: utf-8; b\xc3\xbcro@example.org\r\n")));
    CHECK_TRUE("header", holds(&out, BYTES("Content-Type: message/global-headers\r\n")));
    CHECK_TRUE("ours", holds(&out, BYTES("Diagnostic-Code: x-postilion; 550")));
    CHECK_TRUE("no remote", !holds(&out, BYTES("Remote-MTA")));
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_dsn_fields),
        cmocka_unit_test(test_explanation_and_history),
        cmocka_unit_test(test_hostile_diagnostic),
        cmocka_unit_test(test_hostile_header),
        cmocka_unit_test(test_utf8_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
