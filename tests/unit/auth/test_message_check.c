#include "support/check.h"

#include "auth/message_check.h"

struct row {
    const char *name;
    uint16_t type;
    const char *data; /* NULL: there is none; "!": the look-up fails */
};

/* A client that is confirmed, a sender whose SPF record names it, and a DMARC record. */
static const struct row zone[] = {
    {"1.2.0.192.in-addr.arpa", DNS_TYPE_PTR, "mail.example.com"},
    {"mail.example.com", DNS_TYPE_A, "192.0.2.1"},
    {"mail.example.com", DNS_TYPE_TXT, "v=spf1 a -all"},
    {"example.com", DNS_TYPE_TXT, "v=spf1 ip4:192.0.2.1 -all"},
    {"_dmarc.example.com", DNS_TYPE_TXT, "v=DMARC1; p=reject"},
    {"slow.example", DNS_TYPE_TXT, "!"},
};

static void answer(struct dns_facts *facts, const struct dns_question *question)
{
    struct dns_record record = {.type = question->type, .ttl = 60};
    struct dns_answer found = {.status = DNS_NXDOMAIN};

    for (size_t i = 0; i < COUNT_OF(zone); i++) {
        if (zone[i].type != question->type ||
            !bytes_equal(bytes_from_text(zone[i].name), question->name)) {
            continue;
        }
        if (strcmp(zone[i].data, "!") == 0) {
            found = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "timeout"};
            break;
        }
        found =
            (struct dns_answer){.status = DNS_OK, .records = &record, .count = 1, .ttl = 60};
        if (question->type == DNS_TYPE_A) {
            ip_address_parse(bytes_from_text(zone[i].data), &record.address);
        } else if (question->type == DNS_TYPE_PTR) {
            record.name = bytes_from_text(zone[i].data);
        } else {
            record.text = bytes_from_text(zone[i].data);
        }
    }
    dns_facts_put(facts, question->name, question->type, &found);
}

/* Answers what is wanted, a round at a time; the number of rounds until nothing is. */
static unsigned answer_all(struct message_check *check)
{
    struct dns_facts *facts = message_check_dns(check);
    unsigned rounds = 0;

    for (; rounds < 40; rounds++) {
        enum auth_status status = message_check_step(check);
        size_t count;
        const struct dns_question *wanted = dns_facts_wanted(facts, &count);

        if (status == AUTH_DONE || count == 0) {
            break;
        }
        while (count > 0) {
            answer(facts, wanted);
            wanted = dns_facts_wanted(facts, &count);
        }
    }
    return rounds;
}

static struct message_check_facts client(const char *sender_domain)
{
    struct message_check_facts facts = {
        .helo = BYTES("mail.example.com"),
        .sender = {.local = BYTES("anna"), .domain = bytes_from_text(sender_domain)},
        .receiver = BYTES("mx.example.org"),
        .unix_seconds = 1795305700,
    };

    ip_address_parse(BYTES("192.0.2.1"), &facts.client);
    return facts;
}

static const struct bytes HEADER = {"From: Anna <anna@example.com>\r\nSubject: x\r\n", 44};

static void test_everything_is_asked_and_known(void **state)
{
    struct message_checker *checker = message_checker_new();
    struct message_check_facts facts = client("example.com");
    struct message_check *check = message_check_new(checker, &facts);
    const struct message_verdicts *verdicts = message_check_verdicts(check);

    (void)state;
    CHECK_TRUE("nothing is known yet", !message_check_knows_sender(check));
    CHECK_INT("open", verdicts->spf_mail_from.result, AUTH_TEMPERROR);
    answer_all(check);
    CHECK_TRUE("the sender is known before the content", message_check_knows_sender(check));
    CHECK_INT("spf", verdicts->spf_mail_from.result, AUTH_PASS);
    CHECK_INT("helo", verdicts->spf_helo.result, AUTH_PASS);
    CHECK_INT("iprev", verdicts->iprev.result, AUTH_PASS);
    message_check_header(check, HEADER);
    answer_all(check);
    CHECK_INT("not before the end", message_check_step(check), AUTH_NEEDS_DNS);
    message_check_body(check, BYTES("text\r\n"));
    message_check_end(check);
    CHECK_TRUE("few rounds", answer_all(check) <= 3);
    CHECK_INT("done", message_check_step(check), AUTH_DONE);
    CHECK_INT("not signed", verdicts->dkim.count, 0);
    CHECK_INT("dmarc", verdicts->dmarc.result, AUTH_PASS);
    CHECK_BYTES("author", verdicts->dmarc.author, BYTES("example.com"));
    message_check_free(&check);
    message_checker_free(&checker);
}

/* Time is up in the middle: what is open may not read as a failure. */
static void test_what_is_open_reads_temperror(void **state)
{
    struct message_checker *checker = message_checker_new();
    struct message_check_facts facts = client("example.com");
    struct message_check *check = message_check_new(checker, &facts);
    const struct message_verdicts *verdicts = message_check_verdicts(check);

    (void)state;
    message_check_header(check, HEADER);
    message_check_end(check);
    CHECK_INT("nothing answered", message_check_step(check), AUTH_NEEDS_DNS);
    CHECK_INT("spf", verdicts->spf_mail_from.result, AUTH_TEMPERROR);
    CHECK_INT("dmarc", verdicts->dmarc.result, AUTH_TEMPERROR);
    CHECK_INT("iprev", verdicts->iprev.result, AUTH_TEMPERROR);
    message_check_free(&check);
    message_checker_free(&checker);
}

static void test_trouble_of_one_look_up_is_its_own(void **state)
{
    struct message_checker *checker = message_checker_new();
    struct message_check_facts facts = client("slow.example");
    struct message_check *check = message_check_new(checker, &facts);
    const struct message_verdicts *verdicts = message_check_verdicts(check);

    (void)state;
    message_check_end(check); /* no content at all: an empty header */
    answer_all(check);
    CHECK_INT("done", message_check_step(check), AUTH_DONE);
    CHECK_INT("spf", verdicts->spf_mail_from.result, AUTH_TEMPERROR);
    CHECK_INT("helo", verdicts->spf_helo.result, AUTH_PASS);
    CHECK_INT("from", verdicts->from.result, FROM_NO_DOMAIN);
    message_check_free(&check);
    message_checker_free(&checker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_asked_and_known),
        cmocka_unit_test(test_what_is_open_reads_temperror),
        cmocka_unit_test(test_trouble_of_one_look_up_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
