#include "support/check.h"

#include "auth/dkim_header_guard.h"
#include "unit/auth/arc_mail.h"

/* ---- structure --------------------------------------------------------------------------- */

static void test_sound(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 3, 10, 50};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct arc_forge forges[50] = {{.key = keys.rsa}};
        struct mail mail;
        char name[32];

        (void)snprintf(name, sizeof name, "%u sets", counts[i]);
        mail_start(&mail, forges, counts[i]);
        verify(&mail);
        CHECK_INT(name, mail.status, AUTH_DONE);
        CHECK_INT(name, mail.verdict.newest, counts[i]);
        CHECK_INT(name, mail.verdict.is_closed, false);
        CHECK_INT(name, mail.wanted, 0);
        check_verdict(name, &mail, counts[i] == 0 ? AUTH_NONE : AUTH_PASS, NULL);
        for (size_t j = 0; j < mail.verdict.sealer_count; j++) {
            CHECK_INT(name, mail.verdict.sealers[j].instance, j + 1);
            CHECK_BYTES(name, mail.verdict.sealers[j].domain, BYTES("one.example"));
            CHECK_BYTES(name, mail.verdict.sealers[j].selector, BYTES("s"));
            CHECK_BYTES(name, mail.verdict.sealers[j].results,
                        BYTES("mx.one.example; dmarc=pass header.from=author.example"));
        }
        mail_end(&mail);
    }
}

/* The header is edited after it was sealed: the first `find` becomes `put`. */
static void edit(struct strbuf *header, const char *find, const char *put)
{
    struct bytes text = strbuf_bytes(header);
    size_t at = bytes_find_part(text, bytes_from_text(find));
    struct strbuf result;

    CHECK_TRUE(find, at < text.len);
    strbuf_init(&result, HEADER_OCTETS);
    strbuf_add(&result, bytes_first(text, at));
    strbuf_add_text(&result, put);
    strbuf_add(&result, bytes_skip(text, at + strlen(find)));
    strbuf_clear(header);
    *header = result;
}

#define NO_SET "an ARC set is not complete"
#define TWICE "an ARC instance stands twice"

static void test_edited(void **state)
{
    /* Two sets; the first place from the top is edited. */
    static const struct {
        const char *name, *find, *put;
        enum auth_result want;
        const char *why;
        unsigned newest;
    } cases[] = {
        {"nothing changed", "To: bob", "To: bob", AUTH_PASS, NULL, 2},
        {"a signed field", "To: bob", "To: Bob", AUTH_FAIL, NO_MESSAGE, 2},
        {"a signed field gone", "To: bob@example.net\r\n", "", AUTH_FAIL, NO_MESSAGE, 2},
        {"a second one below", "To: bob", "To: a@b.example\r\nTo: bob", AUTH_PASS, NULL, 2},
        {"a field nobody signed", "From:", "X-New: 1\r\nFrom:", AUTH_PASS, NULL, 2},
        {"blanks in a signed field", "To: bob", "TO : \r\n\t bob", AUTH_PASS, NULL, 2},
        {"no seal", "ARC-Seal: i=2", "X-Seal: i=2", AUTH_FAIL, NO_SET, 2},
        {"no signature", "ARC-Message-Signature: i=2", "X-S: i=2", AUTH_FAIL, NO_SET, 2},
        {"no results", "ARC-Authentication-Results: i=2", "X-R: i=2", AUTH_FAIL, NO_SET, 2},
        {"no older seal", "ARC-Seal: i=1", "X-Seal: i=1", AUTH_FAIL, NO_SET, 2},
        {"no older signature", "ARC-Message-Signature: i=1", "X-S: i=1", AUTH_FAIL, NO_SET, 2},
        {"no older results", "ARC-Authentication-Results: i=1", "X: i=1", AUTH_FAIL, NO_SET, 2},
        {"one field alone", "From:", "ARC-Seal: i=3; cv=pass\r\nFrom:", AUTH_FAIL, NO_SET, 3},
        {"the highest instance", "From:", "ARC-Seal: i=99\r\nFrom:", AUTH_FAIL,
         "more ARC sets than allowed", 99},
        {"results twice", "From:", "ARC-Authentication-Results: i=1; x\r\nFrom:", AUTH_FAIL,
         TWICE, 2},
        {"signature twice", "From:", "ARC-Message-Signature: i=2; a=b\r\nFrom:", AUTH_FAIL,
         TWICE, 2},
        {"seal twice", "From:", "ARC-Seal: i=1; a=b\r\nFrom:", AUTH_FAIL, TWICE, 2},
        {"instance 0", "From:", "ARC-Seal: i=0\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"instance 51", "From:", "ARC-Seal: i=51\r\nFrom:", AUTH_FAIL,
         "more ARC sets than allowed", 51},
        {"instance of three digits", "From:", "ARC-Seal: i=001\r\nFrom:", AUTH_FAIL, NO_FIELD,
         2},
        {"no instance", "From:", "ARC-Seal: a=b\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"instance negative", "From:", "ARC-Seal: i=-1\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"instance no number", "From:", "ARC-Seal: i=a\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"instance huge", "From:", "ARC-Seal: i=18446744073709551617\r\nFrom:", AUTH_FAIL,
         NO_FIELD, 2},
        {"empty field", "From:", "ARC-Seal:\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"results without instance",
         "From:", "ARC-Authentication-Results: mx; x=y\r\nFrom:", AUTH_FAIL, NO_FIELD, 2},
        {"results changed", "mx.one.example", "mx.two.example", AUTH_FAIL, NO_SEAL, 2},
        {"another ARC field", "From:", "ARC-Something: i=x\r\nFrom:", AUTH_PASS, NULL, 2},
        {"an empty field", "From:", "X: \r\nFrom:", AUTH_PASS, NULL, 2},
        {"bare CR", "From:", "X: a\rb\r\nFrom:", AUTH_FAIL, "bare CR or LF in the header", 2},
        {"bare LF", "From:", "X: a\nb\r\nFrom:", AUTH_FAIL, "bare CR or LF in the header", 2},
        {"name in upper case", "ARC-Seal: i=2", "arc-SEAL: i=2", AUTH_PASS, NULL, 2},
        {"seal refolded", "ARC-Seal: i=2; a=", "ARC-Seal:\r\n  i=2;\r\n\ta=", AUTH_PASS, NULL,
         2},
        {"blank added in the seal", "ARC-Seal: i=2;", "ARC-Seal: i = 2;", AUTH_FAIL, NO_SEAL,
         2},
        {"signature refolded", "ARC-Message-Signature: i=2; a=",
         "ARC-Message-Signature:  i=2; \r\n a=", AUTH_PASS, NULL, 2},
        {"a tag added to the seal", "ARC-Seal: i=2;", "ARC-Seal: i=2; z=z;", AUTH_FAIL, NO_SEAL,
         2},
        {"domain in other case", "d=one.example; s=s; t=1790000000;\r\n\tb",
         "d=One.example; s=s; t=1790000000;\r\n\tb", AUTH_FAIL, NO_SEAL, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_forge forges[2] = {{.key = keys.rsa}};
        struct mail mail;

        mail_start(&mail, forges, 2);
        edit(&mail.header, cases[i].find, cases[i].put);
        verify(&mail);
        CHECK_INT(cases[i].name, mail.status, AUTH_DONE);
        check_verdict(cases[i].name, &mail, cases[i].want, cases[i].why);
        CHECK_INT(cases[i].name, mail.verdict.newest, cases[i].newest);
        mail_end(&mail);
    }
}

static void test_gap(void **state)
{
    static const char *const names[] = {"ARC-Seal: i=2", "ARC-Message-Signature: i=2",
                                        "ARC-Authentication-Results: i=2"};
    struct arc_forge forges[3] = {{.key = keys.rsa}};
    struct mail mail;

    (void)state;
    mail_start(&mail, forges, 3);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        edit(&mail.header, names[i], "X: y");
    }
    verify(&mail);
    check_verdict("no second set", &mail, AUTH_FAIL, NO_SET);
    CHECK_INT("newest", mail.verdict.newest, 3);
    mail_end(&mail);
}

/* ---- algorithms and keys ----------------------------------------------------------------- */

#define OF_ED25519(text) "i=%i; a=ed25519-sha256; " text "d=one.example; s=ed; b=%b"

static void test_algorithms(void **state)
{
    struct arc_forge ed25519 = {.key = keys.ed25519,
                                .message = OF_ED25519("c=relaxed/relaxed; h=from:to; bh=%h; "),
                                .seal = OF_ED25519("cv=%c; ")};
    struct arc_forge mixed[3] = {{.key = keys.rsa}, ed25519, {.key = keys.rsa}};
    struct arc_forge sha1[] = {{.key = keys.rsa, .digest = EVP_sha1()}};
    struct mail mail;

    (void)state;
    mail_start(&mail, &ed25519, 1);
    verify(&mail);
    check_verdict("ed25519", &mail, AUTH_PASS, NULL);
    edit(&mail.header, "To: bob", "To: bab");
    verify(&mail);
    check_verdict("ed25519 broken", &mail, AUTH_FAIL, NO_MESSAGE);
    mail_end(&mail);

    mail_start(&mail, mixed, 3);
    verify(&mail);
    check_verdict("mixed", &mail, AUTH_PASS, NULL);
    CHECK_BYTES("mixed", mail.verdict.sealers[1].selector, BYTES("ed"));
    mail_end(&mail);

    mail_start(&mail, sha1, 1);
    verify(&mail);
    check_verdict("SHA-1 under the name of SHA-256", &mail, AUTH_FAIL, NO_MESSAGE);
    mail_end(&mail);
}

static void test_records(void **state)
{
    static const struct {
        const char *name, *before; /* p= is added */
        enum auth_result want;
        const char *why;
    } cases[] = {
        {"usual", "v=DKIM1; k=rsa; p=", AUTH_PASS, NULL},
        {"p= alone", "p=", AUTH_PASS, NULL},
        {"testing, own domain only", "v=DKIM1; t=y:s; p=", AUTH_PASS, NULL},
        {"for others", "v=DKIM1; s=web; p=", AUTH_FAIL, "key not for mail"},
        {"revoked", "v=DKIM1; p=; n=", AUTH_FAIL, "key revoked"},
        {"no record", "v=spf1 ", AUTH_FAIL, "no DKIM key record"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_forge forge = {.key = keys.rsa};
        struct mail mail;

        mail_start(&mail, &forge, 1);
        put_key(&mail, "s._domainkey.one.example", cases[i].before, keys.rsa_p);
        verify_cut(&mail, body, SIZE_MAX);
        check_verdict(cases[i].name, &mail, cases[i].want, cases[i].why);
        mail_end(&mail);
    }
}

static void test_other_keys(void **state)
{
    struct arc_forge weak = {.key = keys.weak}, rsa = {.key = keys.rsa};
    struct mail mail;

    (void)state;
    mail_start(&mail, &weak, 1);
    put_key(&mail, "s._domainkey.one.example", "p=", keys.weak_p);
    verify_cut(&mail, body, SIZE_MAX);
    check_verdict("512 bits", &mail, AUTH_FAIL, "key too small");
    mail_end(&mail);

    mail_start(&mail, &rsa, 1);
    put_key(&mail, "s._domainkey.one.example", "p=", keys.other_p);
    verify_cut(&mail, body, SIZE_MAX);
    check_verdict("somebody else's", &mail, AUTH_FAIL, NO_MESSAGE);
    mail_end(&mail);

    mail_start(&mail, &rsa, 1);
    put_key(&mail, "s._domainkey.one.example", "k=ed25519; p=", keys.ed25519_p);
    verify_cut(&mail, body, SIZE_MAX);
    check_verdict("another type", &mail, AUTH_FAIL, "key of another type");
    mail_end(&mail);
}

static void test_answers(void **state)
{
    struct dns_record records[2] = {{.type = DNS_TYPE_TXT, .text = BYTES("v=DKIM1; p=")},
                                    {.type = DNS_TYPE_TXT, .text = BYTES("v=DKIM1; p=")}};
    const struct {
        const char *name;
        struct dns_answer answer;
        enum auth_result want;
        const char *why;
    } cases[] = {
        {"NXDOMAIN", {.status = DNS_NXDOMAIN}, AUTH_FAIL, "key not found"},
        {"NODATA", {.status = DNS_NODATA}, AUTH_FAIL, "key not found"},
        {"no record", {.status = DNS_OK}, AUTH_FAIL, "key not found"},
        {"SERVFAIL", {.status = DNS_TEMPFAIL}, AUTH_TEMPERROR, "no answer for a key"},
        {"two records",
         {.status = DNS_OK, .records = records, .count = 2},
         AUTH_FAIL,
         "not one key record"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_forge forge = {.key = keys.rsa};
        struct mail mail;

        mail_start(&mail, &forge, 1);
        dns_facts_put(mail.facts, BYTES("s._domainkey.one.example"), DNS_TYPE_TXT,
                      &cases[i].answer);
        verify_cut(&mail, body, SIZE_MAX);
        CHECK_INT(cases[i].name, mail.status, AUTH_DONE);
        check_verdict(cases[i].name, &mail, cases[i].want, cases[i].why);
        mail_end(&mail);
    }
}

/* ---- limits ------------------------------------------------------------------------------ */

/* Templates of set i with a domain of its own. */
static void forge_many(struct arc_forge *forges, unsigned count)
{
    forges[0].key = keys.rsa;
    for (unsigned i = 0; i < count; i++) {
        forges[i].seal = "i=%i; a=rsa-sha256; cv=%c; d=n%i.example; s=s; b=%b";
    }
}

static void test_key_limit(void **state)
{
    (void)state;
    /* one more key is that of the message signature */
    for (unsigned count = ARC_KEY_LIMIT - 1; count <= ARC_KEY_LIMIT; count++) {
        struct arc_forge forges[ARC_KEY_LIMIT] = {0};
        bool is_over = count == ARC_KEY_LIMIT;
        struct mail mail;

        forge_many(forges, count);
        mail_start(&mail, forges, count);
        verify_cut(&mail, body, SIZE_MAX);
        CHECK_INT("wanted", mail.wanted, is_over ? 0 : ARC_KEY_LIMIT);
        check_verdict("keys", &mail, is_over ? AUTH_FAIL : AUTH_TEMPERROR,
                      is_over ? "too many different keys" : "no answer for a key");
        for (unsigned i = 1; i <= count && !is_over; i++) {
            char name[64];

            (void)snprintf(name, sizeof name, "s._domainkey.n%u.example", i);
            put_key(&mail, name, "p=", keys.rsa_p);
        }
        verify(&mail);
        check_verdict("keys known", &mail, is_over ? AUTH_FAIL : AUTH_PASS,
                      is_over ? "too many different keys" : NULL);
        mail_end(&mail);
    }
}

static void test_51_sets(void **state)
{
    struct arc_forge forges[51] = {{.key = keys.rsa}};
    struct mail mail;

    (void)state;
    mail_start(&mail, forges, 51);
    verify(&mail);
    check_verdict("51 sets", &mail, AUTH_FAIL, "more ARC sets than allowed");
    CHECK_INT("newest", mail.verdict.newest, 51);
    mail_end(&mail);
}

static void test_field_size(void **state)
{
    static char results[ARC_FIELD_OCTETS + 1];
    static const char start[] = "i=%i; mx.one.example; x=\"";
    /* what stands around the value, and "%i" is one octet shorter than it looks */
    size_t most = ARC_FIELD_OCTETS - (sizeof "ARC-Authentication-Results: \r\n" - 1) + 1;

    (void)state;
    for (size_t len = most; len <= most + 1; len++) {
        struct arc_forge forge = {.key = keys.rsa, .results = results};
        struct mail mail;

        memset(results, 'y', len);
        memcpy(results, start, sizeof start - 1);
        results[len - 1] = '"';
        results[len] = '\0';
        mail_start(&mail, &forge, 1);
        verify(&mail);
        check_verdict("size", &mail, len == most ? AUTH_PASS : AUTH_FAIL,
                      len == most ? NULL : "an ARC field is too long");
        mail_end(&mail);
    }
}

static void test_header_limits(void **state)
{
    struct arc_forge forge = {.key = keys.rsa};
    struct mail mail;

    (void)state;
    mail_start(&mail, &forge, 1);
    for (size_t i = 0; i < DKIM_FIELD_LIMIT; i++) {
        strbuf_add_text(&mail.header, "A: b\r\n");
    }
    verify(&mail);
    check_verdict("fields", &mail, AUTH_FAIL, "too many header fields");
    mail_end(&mail);

    mail_start(&mail, &forge, 1);
    strbuf_add(&mail.header, BYTES("A: \0\r\n"));
    verify(&mail);
    check_verdict("NUL", &mail, AUTH_FAIL, "NUL in the header");
    mail_end(&mail);
}

/* ---- replay and body --------------------------------------------------------------------- */

static void test_replay(void **state)
{
    struct arc_forge forges[2] = {
        {.key = keys.rsa, .seal = "i=%i; a=rsa-sha256; cv=%c; d=two.example; s=s; b=%b"}};
    struct arc_verifier *verifier = arc_verifier_new(keys.cache, NOW);
    struct mail mail;

    (void)state;
    mail_start(&mail, forges, 2);
    CHECK_INT("before", arc_verifier_needs_body(verifier), false);
    arc_verifier_header(verifier, strbuf_bytes(&mail.header), mail.facts);
    CHECK_INT("open", arc_verifier_needs_body(verifier), true);
    CHECK_INT("asked at once", dns_facts_count(mail.facts), 2);
    arc_verifier_body(verifier, body);
    for (int i = 0; i < 2; i++) {
        mail.status = arc_verifier_finish(verifier, mail.facts, mail.arena, &mail.verdict);
        CHECK_INT("waits", mail.status, AUTH_NEEDS_DNS);
        check_verdict("waits", &mail, AUTH_TEMPERROR, "no answer for a key");
    }
    put_key(&mail, "s._domainkey.one.example", "p=", keys.rsa_p);
    mail.status = arc_verifier_finish(verifier, mail.facts, mail.arena, &mail.verdict);
    CHECK_INT("waits for the other", mail.status, AUTH_NEEDS_DNS);
    put_key(&mail, "s._domainkey.two.example", "p=", keys.rsa_p);
    for (int i = 0; i < 2; i++) {
        mail.status = arc_verifier_finish(verifier, mail.facts, mail.arena, &mail.verdict);
        CHECK_INT("done", mail.status, AUTH_DONE);
        check_verdict("done", &mail, AUTH_PASS, NULL);
    }
    arc_verifier_free(&verifier);
    CHECK_BYTES("outlives the verifier", mail.verdict.sealers[0].domain, BYTES("two.example"));
    mail_end(&mail);
}

static void test_failure_does_not_wait(void **state)
{
    struct arc_forge forges[2] = {
        {.key = keys.rsa, .seal = "i=%i; a=rsa-sha256; cv=%c; d=two.example; s=s; b=%b"}};
    struct mail mail;

    (void)state;
    mail_start(&mail, forges, 2);
    verify_cut(&mail, BYTES("another body\r\n"), SIZE_MAX);
    CHECK_INT("body", mail.status, AUTH_DONE);
    check_verdict("body", &mail, AUTH_FAIL, "body hash did not verify");
    put_key(&mail, "s._domainkey.one.example", "p=", keys.other_p);
    verify_cut(&mail, body, SIZE_MAX);
    CHECK_INT("one key", mail.status, AUTH_DONE);
    check_verdict("one key", &mail, AUTH_FAIL, NO_MESSAGE);
    mail_end(&mail);

    mail_start(&mail, forges, 2);
    dns_facts_put(mail.facts, BYTES("s._domainkey.one.example"), DNS_TYPE_TXT,
                  &(struct dns_answer){.status = DNS_TEMPFAIL});
    put_key(&mail, "s._domainkey.two.example", "p=", keys.other_p);
    verify_cut(&mail, body, SIZE_MAX);
    check_verdict("fails anyway", &mail, AUTH_FAIL, NO_SEAL);
    mail_end(&mail);
}

static void test_settled_asks_nothing(void **state)
{
    struct arc_forge forge = {.key = keys.rsa, .seal = "i=%i; cv=none"};
    struct arc_verifier *verifier = arc_verifier_new(keys.cache, NOW);
    struct mail mail;

    (void)state;
    mail_start(&mail, &forge, 1);
    arc_verifier_header(verifier, strbuf_bytes(&mail.header), mail.facts);
    CHECK_INT("body", arc_verifier_needs_body(verifier), false);
    CHECK_INT("keys", dns_facts_count(mail.facts), 0);
    arc_verifier_free(&verifier);
    arc_verifier_free(&verifier);
    mail_end(&mail);
}

static void test_body(void **state)
{
    static const struct {
        const char *name;
        struct bytes text;
        size_t cut;
        bool passes;
    } cases[] = {
        {"octet by octet", {"Hello  there\t\r\n\r\nlast \r\n\r\n\r\n", 28}, 1, true},
        {"blanks differ", BYTES("Hello there\r\n\r\nlast\r\n"), SIZE_MAX, true},
        {"by seven", BYTES("Hello there\r\n\r\nlast\r\n"), 7, true},
        {"empty line gone", BYTES("Hello there\r\nlast\r\n"), SIZE_MAX, false},
        {"more text", BYTES("Hello there\r\n\r\nlast\r\nx\r\n"), SIZE_MAX, false},
        {"less text", BYTES("Hello there\r\n\r\n"), SIZE_MAX, false},
        {"none", BYTES(""), SIZE_MAX, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_forge forge = {.key = keys.rsa};
        struct mail mail;

        mail_start(&mail, &forge, 1);
        put_key(&mail, "s._domainkey.one.example", "p=", keys.rsa_p);
        verify_cut(&mail, cases[i].text, cases[i].cut);
        check_verdict(cases[i].name, &mail, cases[i].passes ? AUTH_PASS : AUTH_FAIL,
                      cases[i].passes ? NULL : "body hash did not verify");
        mail_end(&mail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_edited),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_other_keys),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_key_limit),
        cmocka_unit_test(test_51_sets),
        cmocka_unit_test(test_field_size),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_failure_does_not_wait),
        cmocka_unit_test(test_settled_asks_nothing),
        cmocka_unit_test(test_body),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
