#include "support/check.h"

#include "auth/results_text.h"
#include "mail/results_field.h"

static struct message_check_facts plain_facts(void)
{
    struct message_check_facts facts = {
        .helo = BYTES("Out.Sender.Example"),
        .sender = {.local = BYTES("anna"), .domain = BYTES("sender.example")},
        .receiver = BYTES("mx.example.org"),
    };

    (void)ip_address_parse(BYTES("192.0.2.7"), &facts.client);
    return facts;
}

static void check_results(const char *name, const struct message_check_facts *facts,
                          const struct message_verdicts *verdicts, const char *want)
{
    struct strbuf out;

    strbuf_init(&out, 65536);
    results_text_add(&out, BYTES("mx.example.org"), verdicts, facts);
    CHECK_TEXT(name, strbuf_text(&out), want);
    strbuf_clear(&out);
}

static void test_all_is_well(void **state)
{
    struct arc_sealer sealers[] = {{.instance = 1, .domain = BYTES("list.example")},
                                   {.instance = 2, .domain = BYTES("relay.example")}};
    struct dkim_verdict signatures[] = {
        {.result = AUTH_PASS,
         .domain = BYTES("sender.example"),
         .selector = BYTES("sel1"),
         .signature_start = BYTES("aB3+/x9="),
         .algorithm = "rsa-sha256"},
        {.result = AUTH_TEMPERROR,
         .domain = BYTES("list.example"),
         .selector = BYTES("k"),
         .signature_start = BYTES("0123abcd"),
         .algorithm = "ed25519-sha256",
         .why = "key not available"},
    };
    struct message_check_facts facts = plain_facts();
    struct message_verdicts verdicts = {
        .iprev = {AUTH_PASS, BYTES("out.sender.example"), "confirmed"},
        .spf_helo = {.result = AUTH_NONE, .why = "no SPF record"},
        .spf_mail_from = {.result = AUTH_PASS, .mechanism = BYTES("ip4:192.0.2.0/24")},
        .dkim = {signatures, 2, 0},
        .from = {.domains = {BYTES("sender.example")}, .count = 1},
        .dmarc = {.result = AUTH_PASS,
                  .published = DMARC_POLICY_REJECT,
                  .author = BYTES("sender.example"),
                  .record_domain = BYTES("sender.example")},
        .arc = {.result = AUTH_PASS, .newest = 2, .sealers = sealers, .sealer_count = 2},
    };

    (void)state;
    check_results("all", &facts, &verdicts,
                  "Authentication-Results: mx.example.org;\r\n"
                  "\tiprev=pass (out.sender.example) policy.iprev=192.0.2.7\r\n"
                  "\tsmtp.remote-ip=192.0.2.7;\r\n"
                  "\tspf=pass (ip4:192.0.2.0/24) smtp.mailfrom=anna@sender.example;\r\n"
                  "\tspf=none (no SPF record) smtp.helo=out.sender.example;\r\n"
                  "\tdkim=pass header.d=sender.example header.s=sel1 header.a=rsa-sha256\r\n"
                  "\theader.b=\"aB3+/x9=\";\r\n"
                  "\tdkim=temperror (key not available) header.d=list.example header.s=k\r\n"
                  "\theader.a=ed25519-sha256 header.b=0123abcd;\r\n"
                  "\tdmarc=pass header.from=sender.example polrec.p=reject\r\n"
                  "\tpolrec.domain=sender.example;\r\n"
                  "\tarc=pass (i=2 list.example, relay.example) header.oldest-pass=0\r\n"
                  "\tsmtp.remote-ip=192.0.2.7\r\n");
}

static void test_nothing_known(void **state)
{
    struct message_check_facts facts = plain_facts();
    struct message_verdicts verdicts = {
        .iprev = {.result = AUTH_PERMERROR, .why = "no-name"},
        .spf_helo = {.result = AUTH_NEUTRAL},
        .spf_mail_from = {.result = AUTH_SOFTFAIL, .mechanism = BYTES("~all")},
        .dmarc = {.result = AUTH_NONE, .why = "no-author"},
    };

    (void)state;
    (void)ip_address_parse(BYTES("2001:db8::7"), &facts.client);
    facts.sender = (struct smtp_mailbox){.is_literal = false};
    check_results("null sender, IPv6, unsigned", &facts, &verdicts,
                  "Authentication-Results: mx.example.org;\r\n"
                  "\tiprev=permerror (no-name) policy.iprev=\"2001:db8::7\"\r\n"
                  "\tsmtp.remote-ip=\"2001:db8::7\";\r\n"
                  "\tspf=softfail (~all) smtp.mailfrom=postmaster@out.sender.example;\r\n"
                  "\tspf=neutral smtp.helo=out.sender.example;\r\n"
                  "\tdkim=none;\r\n"
                  "\tdmarc=none (no-author);\r\n"
                  "\tarc=none\r\n");
}

/* A name of a stranger's choice ends no value, no comment and no line. */
static void test_hostile_names(void **state)
{
    struct message_check_facts facts = plain_facts();
    struct dkim_verdict signature = {.result = AUTH_POLICY, .why = "l= leaves text unsigned"};
    struct message_verdicts verdicts = {
        .iprev = {.result = AUTH_TEMPERROR, .why = "dns"},
        .spf_helo = {.result = AUTH_PERMERROR, .why = "syntax error"},
        .spf_mail_from = {.result = AUTH_FAIL, .mechanism = BYTES("-all)\r\nX: y")},
        .dkim = {&signature, 1, 3},
        .from = {.domains = {BYTES("author.example")}, .count = 1},
        .dmarc = {.result = AUTH_FAIL, .why = "not-aligned"},
        .arc = {.result = AUTH_FAIL, .why = "a set is missing", .newest = 3},
    };

    (void)state;
    facts.helo = BYTES("x\"; dkim=pass");
    facts.sender = (struct smtp_mailbox){.local = BYTES("a\"b; c"),
                                         .domain = BYTES("b\xc3\xbc"
                                                         "cher.example"),
                                         .is_utf8 = true};
    check_results("hostile", &facts, &verdicts,
                  "Authentication-Results: mx.example.org;\r\n"
                  "\tiprev=temperror (dns) policy.iprev=192.0.2.7 smtp.remote-ip=192.0.2.7;\r\n"
                  "\tspf=fail (-all\\)??X: y) smtp.mailfrom=\"\\\"a\\\\\\\"b; "
                  "c\\\"@xn--bcher-kva.example\";\r\n"
                  "\tspf=permerror (syntax error) smtp.helo=\"x\\\"; dkim=pass\";\r\n"
                  "\tdkim=policy (l= leaves text unsigned);\r\n"
                  "\tdkim=policy (too many signatures, the rest was not checked);\r\n"
                  "\tdmarc=fail (not-aligned) header.from=author.example;\r\n"
                  "\tarc=fail (a set is missing) smtp.remote-ip=192.0.2.7\r\n");
}

static void test_received_spf(void **state)
{
    struct message_check_facts facts = plain_facts();
    struct message_verdicts verdicts = {
        .spf_mail_from = {.result = AUTH_FAIL, .mechanism = BYTES("-all")},
    };
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 65536);
    results_text_add_received_spf(&out, &verdicts, &facts);
    CHECK_TEXT(
        "fail", strbuf_text(&out),
        "Received-SPF: fail client-ip=192.0.2.7; envelope-from=\"anna@sender.example\";\r\n"
        "\thelo=out.sender.example; mechanism=-all; identity=mailfrom;\r\n"
        "\treceiver=mx.example.org\r\n");
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_received_spf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
