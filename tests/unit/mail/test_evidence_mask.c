#include "support/check.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "mail/evidence_mask.h"

#include <stdlib.h>

#define HEAD "ts=2026-11-22T08:00:00.000Z level=info event="
#define SRS "SRS0=P35JO7MP=JL=sender.test=anna@srs.fwd.test"

/* A forward with two recipients, the second to a mailbox whose local part needs quotes; and one whose target is in the sender's
 * domain. */
static const char *const LINES[] = {
    HEAD "accepted s=65b2122d000000 id=6h04s18km0000 client=192.0.2.7 helo=mail.sender.test "
         "from=<anna@sender.test>"
         " orig_to=<info@fwd.test> orig_to=<sales@fwd.test> message-id=<one@sender.test> "
         "author=sender.test",
    HEAD "delivered id=6h04s18km0000 from=<anna@sender.test> sender=\"<" SRS
         ">\" to=<bert.b@dest.test>"
         " orig_to=<info@fwd.test> relay=mx.dest.test[192.0.2.9]:25 reply=\"250 ok "
         "<bert.b@dest.test>\"",
    HEAD
    "deferred id=6h04s18km0000 from=<anna@sender.test> sender=\"<" SRS
    ">\" to=\"<\\\"a b\\\"@corp.test>\""
    " orig_to=<sales@fwd.test> relay=in.other.test[2001:db8::1]:25 reply=\"450 4.2.0 later\"",
    HEAD "delivered id=6h04s18km0000 from=<anna@sender.test> sender=\"<" SRS
         ">\" to=<carl@sender.test>"
         " orig_to=<sales@fwd.test> relay=none",
    HEAD "accepted s=65b2122d000001 id=6h04s1fnc0000 client=192.0.2.44 helo=out.dest.test "
         "from=<> orig_to=\"<" SRS ">\""
         " author=back.test message-id=<b1@inner.back.test>",
    HEAD "delivered id=6h04s1fnc0000 from=<> to=<anna@sender.test> orig_to=\"<" SRS
         ">\" relay=mx.sender.test[192.0.2.7]:25",
};

static struct arena *arena;
static struct event_record records[COUNT_OF(LINES)];

static struct evidence_mask learn(const char *asked)
{
    struct evidence_mask mask;

    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        assert_true(event_record_read(&records[i], bytes_from_text(LINES[i]), arena));
    }
    evidence_mask_learn(&mask, records, COUNT_OF(LINES), BYTES("6h04s18km0000"),
                        bytes_from_text(asked), arena);
    return mask;
}

static void test_words_of_others(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *text, *want;
    } CASES[] = {
        {"as it is", "550 5.1.1 <bert.b@dest.test>: unknown", "550 5.1.1 <target-1@hidden-1.invalid>: unknown"},
        {"another case", "550 <BERT.b@Dest.TEST>", "550 <target-1@hidden-1.invalid>"},
        {"percent", "550 bert.b%40dest.test", "550 target-1@hidden-1.invalid"},
        {"percent, all of it", "550 %62ert%2Eb%40dest%2etest", "550 target-1@hidden-1.invalid"},
        {"quoted-printable", "550 bert.b=40dest.test", "550 target-1@hidden-1.invalid"},
        {"backslash", "550 bert\\.b\\@dest.test \\x62ert.b\\x40dest.test", "550 target-1@hidden-1.invalid target-1@hidden-1.invalid"},
        {"HTML", "550 bert.b&#64;dest.test bert.b&#x40;dest.test", "550 target-1@hidden-1.invalid target-1@hidden-1.invalid"},
        {"the percent hack", "550 <bert.b%dest.test@gateway.test>", "550 <target-1@hidden-1.invalid@gateway.test>"},
        {"VERP", "550 bounces+bert.b=dest.test@list.test", "550 bounces+target-1@hidden-1.invalid@list.test"},
        {"quotes it did not have", "550 <\"bert.b\"@dest.test>", "550 <\"target-1@hidden-1.invalid>"},
        {"quotes it has", "550 <\"a b\"@corp.test>", "550 <target-2@hidden-2.invalid>"},
        {"quotes it has, escaped", "550 <\\\"a b\\\"@CORP.test>", "550 <target-2@hidden-2.invalid>"},
        {"local part", "550 bert.b: mailbox full", "550 target-1: mailbox full"},
        {"local part inside of a word", "550 albert.bb is no word of its own", "550 albert.bb is no word of its own"},
        {"domain", "450 dest.test is busy", "450 hidden-1.invalid is busy"},
        {"host below the domain", "450 mx7.dest.test is busy", "450 mx7.hidden-1.invalid is busy"},
        {"its server", "450 mx.dest.test[192.0.2.9] is busy", "450 relay-1.invalid[hidden-address] is busy"},
        {"a server elsewhere", "450 in.other.test [2001:DB8::1]", "450 relay-2.invalid [hidden-address]"},
        {"our own reason", "connect: refused [mx9.dest.test (192.0.2.99:25)]", "connect: refused [hidden]"},
        {"a target in the sender's domain", "550 <carl@sender.test> at sender.test", "550 <target-3@hidden.invalid> at sender.test"},
        {"our hash", "550 <srs0=p35jo7mp=JL=sender.test=anna@srs.fwd.test>", "550 <srs0=hash-1=JL=sender.test=anna@srs.fwd.test>"},
        {"our hash, encoded", "550 SRS0%3DP35JO7MP%3DJL", "550 SRS0%3Dhash-1%3DJL"},
        {"twice", "550 bert.b@dest.testbert.b@dest.test", "550 target-1@hidden-1.invalidtarget-1@hidden-1.invalid"},
        {"after a false start", "550 bert.bert.b@dest.test", "550 bert.target-1@hidden-1.invalid"},
        {"codes stay", "250 2.0.0", "250 2.0.0"},
        {"at the end of the text", "550 bert.b@dest.tes", "550 target-1@dest.tes"},
        {"half an escape", "550 bert.b%4", "550 target-1%4"},
        {"nothing to hide", "250 ok anna@sender.test", "250 ok anna@sender.test"},
        {"empty", "", ""},
    };
    /* clang-format on */
    struct evidence_mask mask = learn("info@fwd.test");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        CHECK_BYTES(CASES[i].name,
                    evidence_mask_words(&mask, bytes_from_text(CASES[i].text), arena),
                    bytes_from_text(CASES[i].want));
    }
    arena_reset(arena);
}

static void test_which_recipient_is_shown(void **state)
{
    struct evidence_mask mask = learn("info@fwd.test");
    struct event_record line = evidence_mask_record(&mask, &records[0], arena);
    size_t position = 0;

    (void)state;
    CHECK_BYTES("asked for", mask.about, BYTES("info@fwd.test"));
    CHECK_BYTES("shown", event_record_next(&line, "orig_to", &position),
                BYTES("info@fwd.test"));
    CHECK_BYTES("another", event_record_next(&line, "orig_to", &position),
                BYTES("recipient-1@fwd.test"));
    mask = learn("BERT.B@dest.test");
    CHECK_BYTES("by its target", mask.about, BYTES("info@fwd.test"));
    mask = learn("");
    CHECK_BYTES("nobody asked for one of two", mask.about, BYTES(""));
    CHECK_INT("both are hidden", evidence_mask_count(&mask, EVIDENCE_RECIPIENT), 2);
    evidence_mask_learn(&mask, &records[1], 1, BYTES("6h04s18km0000"), BYTES(""), arena);
    CHECK_BYTES("there is only one", mask.about, BYTES("info@fwd.test"));
    arena_reset(arena);
}

static void test_what_stays(void **state)
{
    struct evidence_mask mask = learn("info@fwd.test");
    struct event_record line = evidence_mask_record(&mask, &records[0], arena);

    (void)state;
    CHECK_BYTES("client", event_record_get(&line, "client"), BYTES("192.0.2.7"));
    CHECK_BYTES("helo", event_record_get(&line, "helo"), BYTES("mail.sender.test"));
    CHECK_BYTES("sender", event_record_get(&line, "from"), BYTES("anna@sender.test"));
    CHECK_BYTES("Message-ID", event_record_get(&line, "message-id"), BYTES("one@sender.test"));
    line = evidence_mask_record(&mask, &records[5], arena);
    CHECK_BYTES("what comes back goes to the sender", event_record_get(&line, "to"),
                BYTES("anna@sender.test"));
    CHECK_BYTES("by the sender's server", event_record_get(&line, "relay"),
                BYTES("mx.sender.test[192.0.2.7]:25"));
    arena_reset(arena);
}

/* What came back came from where it went. */
static void test_the_client_of_a_return_is_hidden(void **state)
{
    struct evidence_mask mask = learn("info@fwd.test");
    struct event_record line = evidence_mask_record(&mask, &records[4], arena);

    (void)state;
    CHECK_BYTES("client", event_record_get(&line, "client"), BYTES("hidden-address"));
    CHECK_BYTES("helo", event_record_get(&line, "helo"), BYTES("relay-3.invalid"));
    CHECK_BYTES("author", event_record_get(&line, "author"), BYTES("hidden-3.invalid"));
    CHECK_BYTES("Message-ID", event_record_get(&line, "message-id"),
                BYTES("hidden-message-id"));
    arena_reset(arena);
}

static bool holds(struct bytes text, const char *part)
{
    for (size_t i = 0; i < text.len; i++) {
        if (bytes_starts_with_nocase(bytes_skip(text, i), bytes_from_text(part))) {
            return true;
        }
    }
    return false;
}

static void test_no_octet_of_it_is_left(void **state)
{
    static const char *const SECRETS[] = {"bert.b", "dest.test",  "a b\"@",     "corp.test",
                                          "carl@",  "other.test", "192.0.2.9",  "2001:db8::1",
                                          "P35JO7", "sales@",     "192.0.2.44", "back.test"};
    struct evidence_mask mask = learn("info@fwd.test");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct event_record line = evidence_mask_record(&mask, &records[i], arena);

        CHECK_INT(LINES[i], line.count, records[i].count);
        for (size_t f = 0; f < line.count; f++) {
            for (size_t s = 0; s < COUNT_OF(SECRETS); s++) {
                CHECK_TRUE(SECRETS[s], !holds(line.fields[f].value, SECRETS[s]));
            }
        }
    }
    arena_reset(arena);
}

static void test_old_hashes_and_short_local_parts(void **state)
{
    struct event_record record;
    struct evidence_mask mask;

    (void)state;
    assert_true(event_record_read(
        &record,
        BYTES(HEAD "bounced id=6h04s18km0000 from=<anna@sender.test>"
                   " sender=\"<SRS0=aB+c=JL=sender.test=anna@srs.fwd.test>\" to=<x@dest.test>"
                   " orig_to=<info@fwd.test> reply=\"550 <x>: xx\""),
        arena));
    evidence_mask_learn(&mask, &record, 1, BYTES("6h04s18km0000"), BYTES(""), arena);
    CHECK_BYTES("four characters",
                evidence_mask_text(&mask, event_record_get(&record, "sender"), false, arena),
                BYTES("SRS0=hash-1=JL=sender.test=anna@srs.fwd.test"));
    CHECK_BYTES("a short one only in brackets",
                evidence_mask_words(&mask, event_record_get(&record, "reply"), arena),
                BYTES("550 <target-1>: xx"));
    arena_reset(arena);
}

/* bert+list was masked, and the server's "bert" stood there. */
static void test_a_local_part_without_its_tag_is_hidden(void **state)
{
    struct event_record record;
    struct evidence_mask mask;

    (void)state;
    assert_true(event_record_read(
        &record,
        BYTES(HEAD "bounced id=6h04s18km0000 from=<anna@sender.test> to=<bert+list@dest.test>"
                   " orig_to=<info@fwd.test>"
                   " reply=\"550 <Bert@dest.test>: bert is not bert+list or albert\""),
        arena));
    evidence_mask_learn(&mask, &record, 1, BYTES("6h04s18km0000"), BYTES(""), arena);
    CHECK_BYTES("words", evidence_mask_words(&mask, event_record_get(&record, "reply"), arena),
                BYTES("550 <target-1@hidden-1.invalid>: target-1 is not target-1 or albert"));
    arena_reset(arena);
}

/* Only the first recipient's was. */
static void test_the_hashes_of_all_recipients_are_hidden(void **state)
{
    static const char LINE[] =
        HEAD "accepted id=6h04s18km0000 from=<> orig_to=<info@fwd.test> orig_to=\"<" SRS ">\""
             " orig_to=\"<SRS0=QQ7XW2ZK=JL=sender.test=carl@srs.fwd.test>\"";
    struct event_record record;
    struct evidence_mask mask;
    struct bytes masked;

    (void)state;
    assert_true(event_record_read(&record, bytes_from_text(LINE), arena));
    evidence_mask_learn(&mask, &record, 1, BYTES("6h04s18km0000"), BYTES(""), arena);
    masked = evidence_mask_text(&mask, bytes_from_text(LINE), false, arena);
    CHECK_TRUE("the second one's", !holds(masked, "P35JO7MP"));
    CHECK_TRUE("the third one's", !holds(masked, "QQ7XW2ZK"));
    arena_reset(arena);
}

static void test_too_much_to_hide(void **state)
{
    struct event_record *many = memory_zero(EVIDENCE_SECRETS * sizeof *many);
    struct evidence_mask mask;

    (void)state;
    for (size_t i = 0; i < EVIDENCE_SECRETS; i++) {
        char line[300];

        snprintf(
            line, sizeof line,
            HEAD
            "delivered id=6h04s18km0000 from=<a@b.test> to=<t%zu@d%zu.test> orig_to=<i@f.test>",
            i, i);
        assert_true(
            event_record_read(&many[i], arena_copy(arena, bytes_from_text(line)), arena));
    }
    evidence_mask_learn(&mask, many, EVIDENCE_SECRETS, BYTES("6h04s18km0000"), BYTES(""),
                        arena);
    CHECK_TRUE("said", mask.has_overflowed);
    evidence_mask_learn(&mask, many, 100, BYTES("6h04s18km0000"), BYTES(""), arena);
    CHECK_TRUE("not yet", !mask.has_overflowed);
    free(many);
    arena_reset(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_others),
        cmocka_unit_test(test_which_recipient_is_shown),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_the_client_of_a_return_is_hidden),
        cmocka_unit_test(test_no_octet_of_it_is_left),
        cmocka_unit_test(test_old_hashes_and_short_local_parts),
        cmocka_unit_test(test_a_local_part_without_its_tag_is_hidden),
        cmocka_unit_test(test_the_hashes_of_all_recipients_are_hidden),
        cmocka_unit_test(test_too_much_to_hide),
    };
    int failed;

    arena = arena_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
