#include "support/check.h"

#include "forward/reply_class.h"
#include "mail/event_cause.h"

struct class_case {
    unsigned code;
    const char *enhanced;
    const char *text;
    enum reply_class want;
};

/* clang-format off */
/* As servers say it; addresses and names are changed. */
static const struct class_case envelope_cases[] = {
    {450, "4.2.1", "The user you are trying to contact is receiving mail at a rate that / prevents additional messages from being delivered. gsmtp", REPLY_CLASS_MAILBOX_BUSY},
    {450, "4.2.1", "The user you are trying to contact is receiving mail too quickly. / Please resend your message at a later time. gsmtp", REPLY_CLASS_MAILBOX_BUSY},
    {550, "5.2.1", "The user you are trying to contact is receiving mail at a rate that prevents additional messages", REPLY_CLASS_MAILBOX_BUSY},
    {432, "4.3.2", "STOREDRV.Deliver; recipient thread limit exceeded", REPLY_CLASS_MAILBOX_BUSY},
    {450, "4.2.0", "<a@b.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/", REPLY_CLASS_GREYLIST},
    {451, "4.7.1", "Greylisting in action, please come back later", REPLY_CLASS_GREYLIST},
    {451, "4.0.0", "Please try again later; your IP is graylisted", REPLY_CLASS_GREYLIST},
    {450, "4.7.1", "<x>: Sender is not yet authorized to deliver mail from", REPLY_CLASS_GREYLIST},
    {450, "4.0.0", "try again later", REPLY_CLASS_GREYLIST},
    {451, "4.7.1", "Temporarily rejected. Try again later.", REPLY_CLASS_GREYLIST},
    {421, "4.7.28", "Gmail has detected an unusual rate of unsolicited mail originating from your SPF domain [x.example]", REPLY_CLASS_RATE_LIMIT},
    {421, "4.7.0", "[192.0.2.1 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address", REPLY_CLASS_RATE_LIMIT},
    {550, "5.7.1", "[192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP address", REPLY_CLASS_REPUTATION},
    {451, "4.7.650", "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)", REPLY_CLASS_RATE_LIMIT},
    {451, "4.7.500", "Server busy. Please try again later from [192.0.2.1]. (AS77714)", REPLY_CLASS_RATE_LIMIT},
    {421, "4.0.0", "RP-001 (SNT004) Unfortunately, some messages weren't sent. We have limits for how many messages can be sent per hour and per day", REPLY_CLASS_RATE_LIMIT},
    {421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", REPLY_CLASS_RATE_LIMIT},
    {421, "4.7.0", "mx.example Error: too many connections from 192.0.2.1", REPLY_CLASS_RATE_LIMIT},
    {450, "4.7.1", "Error: too much mail from 192.0.2.1", REPLY_CLASS_RATE_LIMIT},
    {421, "4.0.0", "Too many concurrent SMTP connections; please try again later.", REPLY_CLASS_RATE_LIMIT},
    {421, "4.7.0", "gmx.net (mxgmx016) Nemesis ESMTP Service not available / Service is temporarily unavailable / Connection rate limit reached", REPLY_CLASS_RATE_LIMIT},
    {452, "4.0.0", "Too many recipients received this hour", REPLY_CLASS_RATE_LIMIT},
    {452, "4.5.3", "Error: too many recipients", REPLY_CLASS_OTHER},
    {452, "4.2.2", "The recipient's inbox is out of storage space.", REPLY_CLASS_MAILBOX_FULL},
    {552, "5.2.2", "The email account that you tried to reach is over quota", REPLY_CLASS_MAILBOX_FULL},
    {552, "5.0.0", "Requested mail action aborted: exceeded storage allocation", REPLY_CLASS_MAILBOX_FULL},
    {452, "4.1.1", "<a@b.example> mailbox full", REPLY_CLASS_MAILBOX_FULL},
    {550, "5.7.1", "<a@b.example>: Recipient address rejected: mailbox is full", REPLY_CLASS_MAILBOX_FULL},
    {550, "5.1.1", "The email account that you tried to reach does not exist.", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.2.1", "The email account that you tried to reach is disabled.", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.4.1", "Recipient address rejected: Access denied. AS(201806281)", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.5.0", "Requested action not taken: mailbox unavailable (S2017062302).", REPLY_CLASS_UNKNOWN_USER},
    {554, "5.0.0", "delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [0]", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.1.1", "<a@b.example>: Recipient address rejected: User unknown in virtual mailbox table", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.0.0", "Unrouteable address", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.0.0", "No Such User Here", REPLY_CLASS_UNKNOWN_USER},
    {550, "5.1.1", "", REPLY_CLASS_UNKNOWN_USER},
    {450, "4.1.1", "<a@b.example>: Recipient address rejected: unverified address", REPLY_CLASS_GREYLIST},
    {451, "4.3.0", "<a@b.example>: Temporary lookup failure", REPLY_CLASS_SERVER},
    {451, "4.3.5", "Server configuration problem", REPLY_CLASS_SERVER},
    {452, "4.3.1", "Insufficient system storage", REPLY_CLASS_SERVER},
    {421, "4.3.2", "All server ports are busy", REPLY_CLASS_SERVER},
    {421, "4.0.0", "closing connection", REPLY_CLASS_SERVER},
    {550, "5.7.1", "Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/192.0.2.1 (AS16012609)", REPLY_CLASS_REPUTATION},
    {554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", REPLY_CLASS_REPUTATION},
    {550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", REPLY_CLASS_REPUTATION},
    {550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]", REPLY_CLASS_REPUTATION},
    {550, "5.7.511", "Access denied, banned sender", REPLY_CLASS_REPUTATION},
    {553, "5.7.1", "[BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", REPLY_CLASS_REPUTATION},
    {554, "5.7.1", "Email rejected due to IP reputation", REPLY_CLASS_REPUTATION},
    {550, "5.0.0", "rejected: listed at bl.example", REPLY_CLASS_REPUTATION},
    {554, "5.0.0", "IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)", REPLY_CLASS_REPUTATION},
    {550, "5.7.0", "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", REPLY_CLASS_REPUTATION},
    {550, "5.7.25", "[192.0.2.1] The IP address sending this message does not have a PTR record setup", REPLY_CLASS_POLICY},
    {450, "4.7.25", "Client host rejected: cannot find your hostname, [192.0.2.1]", REPLY_CLASS_POLICY},
    {450, "4.7.1", "Client host rejected: cannot find your reverse hostname, [192.0.2.1]", REPLY_CLASS_POLICY},
    {550, "5.7.23", "The message was rejected because of Sender Policy Framework violation", REPLY_CLASS_AUTHENTICATION},
    {550, "5.7.27", "This mail has been blocked because SPF does not pass", REPLY_CLASS_AUTHENTICATION},
    {450, "4.1.8", "<a@b.example>: Sender address rejected: Domain not found", REPLY_CLASS_POLICY},
    {550, "5.1.8", "Sender address rejected: domain does not exist", REPLY_CLASS_POLICY},
    {554, "5.7.1", "<a@b.example>: Relay access denied", REPLY_CLASS_POLICY},
    {530, "5.7.0", "Must issue a STARTTLS command first", REPLY_CLASS_TLS},
    {530, "5.7.0", "Authentication required", REPLY_CLASS_POLICY},
    {550, "5.7.1", "", REPLY_CLASS_POLICY},
    {550, "5.4.6", "Hop count exceeded - possible mail loop ATTR34", REPLY_CLASS_LOOP},
    {550, "5.0.0", "no", REPLY_CLASS_OTHER},
    {0, "5.6.7", "the next hop does not take SMTPUTF8", REPLY_CLASS_OTHER},
    {0, "5.3.4", "larger than the next hop's limit", REPLY_CLASS_TOO_BIG},
    {550, "5.7.133", "RESOLVER.RST.SenderNotAuthenticatedForGroup", REPLY_CLASS_POLICY},
    {550, "5", "", REPLY_CLASS_OTHER},
    {550, "", "", REPLY_CLASS_OTHER},
    {550, "5.x.y", "", REPLY_CLASS_OTHER},
};

static const struct class_case content_cases[] = {
    {550, "5.7.26", "Unauthenticated email from x.example is not accepted due to domain's DMARC policy.", REPLY_CLASS_AUTHENTICATION},
    {550, "5.7.26", "This mail has been blocked because the sender is unauthenticated.", REPLY_CLASS_AUTHENTICATION},
    {421, "4.7.26", "This mail is unauthenticated, which poses a security risk", REPLY_CLASS_AUTHENTICATION},
    {550, "5.7.509", "Access denied, sending domain x.example does not pass DMARC verification and has a DMARC policy of reject.", REPLY_CLASS_AUTHENTICATION},
    {550, "5.7.515", "Access denied, sending domain X.EXAMPLE doesn't meet the required authentication level.", REPLY_CLASS_AUTHENTICATION},
    {554, "5.7.9", "Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes (DMARC)", REPLY_CLASS_AUTHENTICATION},
    {550, "5.7.1", "Rejected by header based Anti-Spoofing policy", REPLY_CLASS_AUTHENTICATION},
    {554, "5.7.9", "Message not accepted for policy reasons.", REPLY_CLASS_POLICY},
    {550, "5.7.1", "[192.0.2.1 12] Gmail has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", REPLY_CLASS_CONTENT},
    {550, "5.7.1", "Gmail has detected that this message is likely suspicious due to the very low reputation of the sending domain.", REPLY_CLASS_REPUTATION},
    {552, "5.7.0", "This message was blocked because its content presents a potential security issue.", REPLY_CLASS_CONTENT},
    {554, "5.7.1", "Spam message rejected", REPLY_CLASS_CONTENT},
    {550, "5.0.0", "This message contains a virus (Eicar-Test-Signature)", REPLY_CLASS_CONTENT},
    {550, "5.6.11", "bare LF", REPLY_CLASS_CONTENT},
    {550, "5.6.0", "", REPLY_CLASS_CONTENT},
    {552, "5.3.4", "Message size exceeds fixed limit", REPLY_CLASS_TOO_BIG},
    {552, "5.0.0", "message too big for us", REPLY_CLASS_TOO_BIG},
    {552, "5.0.0", "no", REPLY_CLASS_TOO_BIG},
    {451, "4.7.1", "Try again later", REPLY_CLASS_GREYLIST},
    {451, "4.0.0", "later", REPLY_CLASS_OTHER},
    {554, "5.4.0", "Error: too many hops", REPLY_CLASS_LOOP},
    {554, "5.0.0", "Transaction failed", REPLY_CLASS_OTHER},
    {451, "4.3.0", "Error: queue file write error", REPLY_CLASS_SERVER},
};
/* clang-format on */

static void check_cases(const struct class_case *cases, size_t count, bool is_after_content)
{
    for (size_t i = 0; i < count; i++) {
        struct reply_facts facts = {
            .origin = REPLY_FROM_PEER,
            .code = cases[i].code,
            .enhanced = cases[i].enhanced,
            .text = bytes_from_text(cases[i].text),
            .is_after_content = is_after_content,
        };
        CHECK_TEXT(cases[i].text, reply_class_text(reply_class_of(&facts)),
                   reply_class_text(cases[i].want));
    }
}

static void test_answers_to_the_envelope(void **state)
{
    (void)state;
    check_cases(envelope_cases, COUNT_OF(envelope_cases), false);
}

static void test_answers_to_the_content(void **state)
{
    (void)state;
    check_cases(content_cases, COUNT_OF(content_cases), true);
}

static void test_where_it_comes_from(void **state)
{
    static const struct {
        const char *name;
        enum reply_origin origin;
        unsigned code;
        const char *text;
        enum reply_class want;
    } cases[] = {
        {"dns, whatever it says", REPLY_FROM_DNS, 0, "spam", REPLY_CLASS_DNS},
        {"no connection", REPLY_FROM_CONNECTION, 0, "spam: too many", REPLY_CLASS_CONNECTION},
        {"no tls", REPLY_FROM_TLS, 0, "handshake", REPLY_CLASS_TLS},
        {"a greeting", REPLY_FROM_CONNECTION, 421, "later", REPLY_CLASS_CONNECTION},
        {"a busy one", REPLY_FROM_CONNECTION, 421, "Too many connections",
         REPLY_CLASS_RATE_LIMIT},
        {"a block", REPLY_FROM_CONNECTION, 554, "on a blacklist", REPLY_CLASS_REPUTATION},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct reply_facts facts = {.origin = cases[i].origin,
                                    .code = cases[i].code,
                                    .enhanced = "4.7.0",
                                    .text = bytes_from_text(cases[i].text)};
        CHECK_INT(cases[i].name, reply_class_of(&facts), cases[i].want);
    }
    CHECK_INT(
        "our own name among the mail hosts",
        reply_class_of(&(struct reply_facts){.origin = REPLY_FROM_DNS, .enhanced = "5.4.6"}),
        REPLY_CLASS_LOOP);
}

static void test_long_texts_are_cut(void **state)
{
    static char text[REPLY_CLASS_TEXT + 8];
    struct reply_facts facts = {.code = 550, .enhanced = "5.0.0"};

    (void)state;
    memset(text, '.', sizeof text);
    memcpy(text + REPLY_CLASS_TEXT - 4, "spam", 4);
    facts.text = bytes_of(text, sizeof text);
    CHECK_INT("the last that is read", reply_class_of(&facts), REPLY_CLASS_CONTENT);
    memset(text, '.', sizeof text);
    memcpy(text + REPLY_CLASS_TEXT - 3, "spam", 4);
    CHECK_INT("one octet behind", reply_class_of(&facts), REPLY_CLASS_OTHER);
}

static void test_every_class_has_its_words(void **state)
{
    (void)state;
    for (int a = 0; a < REPLY_CLASS_COUNT; a++) {
        const char *name = reply_class_text((enum reply_class)a);

        CHECK_TRUE("a sentence", strlen(reply_class_explanation((enum reply_class)a)) > 20);
        CHECK_TRUE(name, event_cause_of_failure(bytes_from_text(name)) != NULL);
        for (int b = 0; b < a; b++) {
            CHECK_TRUE("names differ", strcmp(reply_class_text((enum reply_class)a),
                                              reply_class_text((enum reply_class)b)) != 0);
        }
    }
    CHECK_TRUE("block", reply_class_is_block(REPLY_CLASS_REPUTATION));
    CHECK_TRUE("no block", !reply_class_is_block(REPLY_CLASS_CONTENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_to_the_envelope),
        cmocka_unit_test(test_answers_to_the_content),
        cmocka_unit_test(test_where_it_comes_from),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_every_class_has_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
