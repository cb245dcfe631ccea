#include "support/check.h"

#include "auth/arc_chain.h"
#include "auth/dkim_header_guard.h"
#include "unit/auth/arc_forge.h"

#define HEADER                                                                                 \
    "From: Alice <alice@author.example>\r\nTo: bob@example.net\r\n"                            \
    "Subject:  folded  \r\n\t and   blank\r\n"

enum { NOW = 1790000000, HEADER_OCTETS = 512 * 1024 };

static const struct bytes body = {"Hello  there\t\r\n\r\nlast \r\n\r\n\r\n", 28};

/* Made once: keys take long. */
static struct {
    EVP_PKEY *rsa, *other, *ed25519, *weak;
    char rsa_p[1024], ed25519_p[64], other_p[1024], weak_p[256];
    struct dkim_key_cache *cache;
} keys;

static void make_key(EVP_PKEY **key, char *p, const char *type, size_t bits)
{
    struct strbuf text;

    *key = forge_key(type, bits);
    strbuf_init(&text, 1023);
    forge_public(*key, &text);
    memcpy(p, text.data, text.len + 1);
    strbuf_clear(&text);
}

static int make_keys(void **state)
{
    (void)state;
    make_key(&keys.rsa, keys.rsa_p, "RSA", 2048);
    make_key(&keys.other, keys.other_p, "RSA", 1024);
    make_key(&keys.weak, keys.weak_p, "RSA", 512);
    make_key(&keys.ed25519, keys.ed25519_p, "ED25519", 0);
    keys.cache = dkim_key_cache_new();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(keys.rsa);
    EVP_PKEY_free(keys.other);
    EVP_PKEY_free(keys.weak);
    EVP_PKEY_free(keys.ed25519);
    dkim_key_cache_free(&keys.cache);
    return 0;
}

/* ---- a message and its verification ------------------------------------------------------ */

struct mail {
    struct strbuf header;
    struct arena *arena;
    struct dns_facts *facts;
    struct arc_verdict verdict;
    enum auth_status status;
    size_t wanted;
};

static void mail_start(struct mail *mail, const struct arc_forge *forges, unsigned count)
{
    *mail = (struct mail){.arena = arena_new(), .facts = dns_facts_new()};
    strbuf_init(&mail->header, HEADER_OCTETS);
    strbuf_add_text(&mail->header, HEADER);
    if (count != 0) {
        forge_chain(&mail->header, body, forges, count);
    }
}

static void mail_end(struct mail *mail)
{
    strbuf_clear(&mail->header);
    arena_free(&mail->arena);
    dns_facts_free(&mail->facts);
}

static void put_record(struct mail *mail, const char *name, const char *text)
{
    struct dns_record record = {.type = DNS_TYPE_TXT, .text = bytes_from_text(text)};
    struct dns_answer answer = {.status = DNS_OK, .records = &record, .count = 1};

    dns_facts_put(mail->facts, bytes_from_text(name), DNS_TYPE_TXT, &answer);
}

static void put_key(struct mail *mail, const char *name, const char *before, const char *p)
{
    char text[2048];

    (void)snprintf(text, sizeof text, "%s%s", before, p);
    put_record(mail, name, text);
}

static void verify_cut(struct mail *mail, struct bytes text, size_t cut)
{
    struct arc_verifier *verifier = arc_verifier_new(keys.cache, NOW);
    size_t known = dns_facts_count(mail->facts);

    arc_verifier_header(verifier, strbuf_bytes(&mail->header), mail->facts);
    mail->wanted = dns_facts_count(mail->facts) - known;
    while (text.len != 0) {
        arc_verifier_body(verifier, bytes_first(text, cut));
        text = bytes_skip(text, cut);
    }
    mail->status = arc_verifier_finish(verifier, mail->facts, mail->arena, &mail->verdict);
    arc_verifier_free(&verifier);
}

/* With the usual keys in DNS. */
static void verify(struct mail *mail)
{
    put_key(mail, "s._domainkey.one.example", "v=DKIM1; k=rsa; p=", keys.rsa_p);
    put_key(mail, "ed._domainkey.one.example", "v=DKIM1; k=ed25519; p=", keys.ed25519_p);
    verify_cut(mail, body, SIZE_MAX);
}

static void check_verdict(const char *name, const struct mail *mail, enum auth_result result,
                          const char *why)
{
    const struct arc_verdict *verdict = &mail->verdict;
    bool has_sealers = result == AUTH_PASS || result == AUTH_TEMPERROR;

    CHECK_TEXT(name, verdict->why, why);
    CHECK_INT(name, verdict->result, result);
    CHECK_INT(name, verdict->sealer_count, has_sealers ? verdict->newest : 0);
    CHECK_INT(name, verdict->oldest_pass, 0);
}

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

#define NO_FIELD "an ARC field cannot be read"
#define NO_SET "an ARC set is not complete"
#define TWICE "an ARC instance stands twice"
#define NO_SEAL "a seal did not verify"
#define NO_MESSAGE "message signature did not verify"

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

/* ---- what the fields say ----------------------------------------------------------------- */

#define SEAL(instance, rest) "i=" instance "; a=rsa-sha256; cv=" rest
#define SEAL_END "; d=one.example; s=s; t=1790000000; b=%b"
#define MESSAGE(algorithm, rest) "i=%i; a=" algorithm "; " rest "; s=s; bh=%h; b=%b"
#define USUAL "c=relaxed/relaxed; d=one.example; h=from:to:subject"
#define USUAL_MESSAGE(more) MESSAGE("rsa-sha256", USUAL "; " more)
#define NO_CV "cv= cannot be read"
#define WRONG_CV "cv= is wrong"
#define NO_HOST "selector or domain is no host name"

struct said {
    const char *name;
    unsigned count;    /* sets */
    unsigned instance; /* the one that is made so; the others are as they should be */
    struct arc_forge forge;
    enum auth_result want;
    const char *why;
};

/* clang-format off */
static const struct said said_by_seals[] = {
    {"cv=none", 1, 1, {.seal = SEAL("%i", "none") SEAL_END}, AUTH_PASS, NULL},
    {"cv=pass at 1", 1, 1, {.seal = SEAL("%i", "pass") SEAL_END}, AUTH_FAIL, WRONG_CV},
    {"cv=none at 2", 2, 2, {.seal = SEAL("%i", "none") SEAL_END}, AUTH_FAIL, WRONG_CV},
    {"cv=none at 2 of 3", 3, 2, {.seal = SEAL("%i", "none") SEAL_END}, AUTH_FAIL, WRONG_CV},
    {"cv=fail at 1 of 2", 2, 1, {.seal = SEAL("%i", "fail") SEAL_END}, AUTH_FAIL, WRONG_CV},
    {"cv= empty", 1, 1, {.seal = SEAL("%i", "") SEAL_END}, AUTH_FAIL, NO_CV},
    {"cv= unknown", 1, 1, {.seal = SEAL("%i", "maybe") SEAL_END}, AUTH_FAIL, NO_CV},
    {"cv= softfail", 1, 1, {.seal = SEAL("%i", "softfail") SEAL_END}, AUTH_FAIL, NO_CV},
    {"no cv=", 1, 1, {.seal = "i=%i; a=rsa-sha256" SEAL_END}, AUTH_FAIL, NO_CV},
    {"h=", 1, 1, {.seal = SEAL("%i", "%c") "; h=from" SEAL_END}, AUTH_FAIL, "a seal has h="},
    {"h= at 1 of 2", 2, 1, {.seal = SEAL("%i", "%c") "; h=" SEAL_END}, AUTH_FAIL, "a seal has h="},
    {"unknown tag", 1, 1, {.seal = SEAL("%i", "%c") "; xx=y" SEAL_END}, AUTH_PASS, NULL},
    {"c=", 1, 1, {.seal = SEAL("%i", "%c") "; c=simple/simple" SEAL_END}, AUTH_PASS, NULL},
    {"last ;", 1, 1, {.seal = SEAL("%i", "%c") SEAL_END ";"}, AUTH_PASS, NULL},
    {"tag twice", 1, 1, {.seal = SEAL("%i", "%c") "; s=s" SEAL_END}, AUTH_FAIL, NO_FIELD},
    {"instance twice", 1, 1, {.seal = SEAL("%i", "%c") "; i=1" SEAL_END}, AUTH_FAIL, NO_FIELD},
    {"two ;", 1, 1, {.seal = SEAL("%i", "%c") ";" SEAL_END}, AUTH_FAIL, NO_FIELD},
    {"tag in upper case", 1, 1, {.seal = "i=%i; A=rsa-sha256; cv=%c" SEAL_END}, AUTH_FAIL,
     "unknown algorithm"},
    {"leading zero", 1, 1, {.seal = SEAL("0%i", "%c") SEAL_END}, AUTH_PASS, NULL},
    {"white space", 1, 1, {.seal = "i =\r\n 1 ; a = rsa-sha256\r\n\t; cv =\tnone" SEAL_END}, AUTH_PASS,
     NULL},
    {"no a=", 1, 1, {.seal = "i=%i; cv=%c" SEAL_END}, AUTH_FAIL, "unknown algorithm"},
    {"rsa-sha1", 1, 1, {.seal = "i=%i; a=rsa-sha1; cv=%c" SEAL_END}, AUTH_FAIL, "unknown algorithm"},
    {"rsa-sha512", 1, 1, {.seal = "i=%i; a=rsa-sha512; cv=%c" SEAL_END}, AUTH_FAIL, "unknown algorithm"},
    {"another algorithm's key", 1, 1, {.seal = "i=%i; a=ed25519-sha256; cv=%c" SEAL_END}, AUTH_FAIL,
     "key of another type"},
    {"no d=", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; s=s; b=%b"}, AUTH_FAIL, NO_HOST},
    {"d= empty", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=; s=s; b=%b"}, AUTH_FAIL, NO_HOST},
    {"d= with a dot", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example.; s=s; b=%b"}, AUTH_FAIL, NO_HOST},
    {"d= no host", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=a/b; s=s; b=%b"}, AUTH_FAIL, NO_HOST},
    {"d= upper case", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=ONE.Example; s=S; b=%b"}, AUTH_PASS, NULL},
    {"d= in UTF-8", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=\xc3\xa9.example; s=s; b=%b"}, AUTH_TEMPERROR,
     "no answer for a key"},
    {"no s=", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; b=%b"}, AUTH_FAIL, NO_HOST},
    {"s= a path", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=../x; b=%b"}, AUTH_FAIL, NO_HOST},
    {"no b=", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s"}, AUTH_FAIL,
     "signature cannot be read"},
    {"b= empty", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; b="}, AUTH_FAIL,
     "signature cannot be read"},
    {"b= no base64", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; b=!%b"}, AUTH_FAIL,
     "signature cannot be read"},
    {"b= cut", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; b=AAAA"}, AUTH_FAIL, NO_SEAL},
    {"b= in front", 1, 1, {.seal = "b=%b; i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s"}, AUTH_PASS, NULL},
    {"b= with blanks", 1, 1, {.seal = "b = \r\n %b \r\n ; i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s"},
     AUTH_PASS, NULL},
    {"no t=", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; b=%b"}, AUTH_PASS, NULL},
    {"t= no number", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; t=now; b=%b"}, AUTH_FAIL,
     "a time cannot be read"},
    {"t= of long ago", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; t=1; b=%b"}, AUTH_PASS, NULL},
    {"t= within the drift", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; t=1790000300; b=%b"},
     AUTH_PASS, NULL},
    {"t= in the future", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; t=1790000301; b=%b"},
     AUTH_FAIL, "signature from the future"},
    {"x= means nothing", 1, 1, {.seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; x=1; b=%b"}, AUTH_PASS, NULL},
    {"older seal malformed", 2, 1, {.seal = "i=%i; cv=none"}, AUTH_FAIL, "unknown algorithm"},
};

static const struct said said_by_signatures[] = {
    {"as it should be", 1, 1, {.message = USUAL_MESSAGE("t=1790000000")}, AUTH_PASS, NULL},
    {"simple/simple", 1, 1, {.message = MESSAGE("rsa-sha256", "c=simple/simple; d=one.example; h=from:to")},
     AUTH_PASS, NULL},
    {"simple/relaxed", 1, 1, {.message = MESSAGE("rsa-sha256", "c=simple/relaxed; d=one.example; h=from:subject")},
     AUTH_PASS, NULL},
    {"relaxed/simple", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed/simple; d=one.example; h=from:to")},
     AUTH_PASS, NULL},
    {"c=relaxed", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed; d=one.example; h=from:to")}, AUTH_PASS, NULL},
    {"no c=", 1, 1, {.message = MESSAGE("rsa-sha256", "d=one.example; h=from:to:subject")}, AUTH_PASS, NULL},
    {"c= unknown", 1, 1, {.message = MESSAGE("rsa-sha256", "c=nofws; d=one.example; h=from")}, AUTH_FAIL,
     "unknown canonicalization"},
    {"c= unknown body", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed/x; d=one.example; h=from")}, AUTH_FAIL,
     "unknown canonicalization"},
    {"c= empty", 1, 1, {.message = MESSAGE("rsa-sha256", "c=; d=one.example; h=from")}, AUTH_FAIL,
     "unknown canonicalization"},
    {"v=", 1, 1, {.message = USUAL_MESSAGE("v=1")}, AUTH_PASS, NULL},
    {"From not signed", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed; d=one.example; h=to:subject")}, AUTH_FAIL,
     "From is not signed"},
    {"h= empty", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed; d=one.example; h=")}, AUTH_FAIL,
     "From is not signed"},
    {"no h=", 1, 1, {.message = MESSAGE("rsa-sha256", "c=relaxed; d=one.example")}, AUTH_FAIL,
     "From is not signed"},
    {"h= in any case, with blanks", 1, 1, {.message = MESSAGE("rsa-sha256",
     "c=relaxed/relaxed; d=one.example; h=\r\n TO : FROM\r\n :subject")}, AUTH_PASS, NULL},
    {"h= names what is not there", 1, 1, {.message = MESSAGE("rsa-sha256",
     "c=relaxed/relaxed; d=one.example; h=from:from:x-none:to:to")}, AUTH_PASS, NULL},
    {"signs a seal", 2, 2, {.message = MESSAGE("rsa-sha256", "c=relaxed; d=one.example; h=from:ARC-Seal")}, AUTH_FAIL,
     "ARC-Seal is signed by a message signature"},
    {"signs older ARC fields", 2, 2, {.message = MESSAGE("rsa-sha256", "c=relaxed/relaxed; d=one.example; "
     "h=from:arc-message-signature:arc-authentication-results")}, AUTH_PASS, NULL},
    {"signs an older signature and one more", 2, 2, {.message = MESSAGE("rsa-sha256",
     "c=relaxed/relaxed; d=one.example; h=from:arc-message-signature:arc-message-signature")}, AUTH_PASS, NULL},
    {"bh= of another body", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; "
     "bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b=%b"}, AUTH_FAIL, "body hash did not verify"},
    {"bh= empty", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; bh=; b=%b"}, AUTH_FAIL,
     "body hash cannot be read"},
    {"no bh=", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; b=%b"}, AUTH_FAIL,
     "body hash cannot be read"},
    {"bh= too short", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; bh=AAAA; b=%b"}, AUTH_FAIL,
     "body hash cannot be read"},
    {"bh= no base64", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; bh=%h=; b=%b"}, AUTH_FAIL,
     "body hash cannot be read"},
    {"bh= folded", 1, 1, {.message = "i=%i; a=rsa-sha256; d=one.example; s=s; h=from; bh=\r\n %h\r\n ; b=%b"},
     AUTH_PASS, NULL},
    {"l= of anything, all is signed", 1, 1, {.message = USUAL_MESSAGE("l=3")}, AUTH_PASS, NULL},
    {"l= no number", 1, 1, {.message = USUAL_MESSAGE("l=-1")}, AUTH_FAIL, "l= cannot be read"},
    {"q=dns/txt", 1, 1, {.message = USUAL_MESSAGE("q=ldap : dns/txt")}, AUTH_PASS, NULL},
    {"q= unknown", 1, 1, {.message = USUAL_MESSAGE("q=ldap")}, AUTH_FAIL, "unknown way to the key"},
    {"t= in the future", 1, 1, {.message = USUAL_MESSAGE("t=1790000301")}, AUTH_FAIL, "signature from the future"},
    {"t= within the drift", 1, 1, {.message = USUAL_MESSAGE("t=1790000300")}, AUTH_PASS, NULL},
    {"t= of long ago", 1, 1, {.message = USUAL_MESSAGE("t=0")}, AUTH_PASS, NULL},
    {"t= over 64 bits", 1, 1, {.message = USUAL_MESSAGE("t=18446744073709551616")}, AUTH_FAIL, "a time cannot be read"},
    {"x= past", 1, 1, {.message = USUAL_MESSAGE("x=1789999699")}, AUTH_FAIL, "signature expired"},
    {"x= past within the drift", 1, 1, {.message = USUAL_MESSAGE("x=1789999700")}, AUTH_PASS, NULL},
    {"x= before t=", 1, 1, {.message = USUAL_MESSAGE("t=1790000000; x=1789999999")}, AUTH_FAIL,
     "signature expires before it was made"},
    {"x= at the end of time", 1, 1, {.message = USUAL_MESSAGE("x=18446744073709551615")}, AUTH_PASS, NULL},
    {"x= no number", 1, 1, {.message = USUAL_MESSAGE("x=never")}, AUTH_FAIL, "a time cannot be read"},
    {"rsa-sha1", 1, 1, {.message = MESSAGE("rsa-sha1", USUAL)}, AUTH_FAIL, "unknown algorithm"},
    {"tag twice", 1, 1, {.message = USUAL_MESSAGE("d=one.example")}, AUTH_FAIL, NO_FIELD},
    {"expired, but older", 2, 1, {.message = USUAL_MESSAGE("x=1")}, AUTH_PASS, NULL},
    {"bad algorithm, but older", 2, 1, {.message = MESSAGE("rsa-sha1", USUAL)}, AUTH_PASS, NULL},
    {"results in UTF-8", 1, 1, {.results = "i=%i; mx.one.example; spf=pass smtp.mailfrom=\xc3\xa9@x.example"},
     AUTH_PASS, NULL},
    {"results with comments", 1, 1, {.results = "(a;b) i (c) = (d) %i (e) ; (f) mx; none"}, AUTH_PASS, NULL},
    {"results with the instance twice", 1, 1, {.results = "i=%i; i=%i; mx; none"}, AUTH_PASS, NULL},
    {"results of nothing", 1, 1, {.results = "i=%i;"}, AUTH_PASS, NULL},
};
/* clang-format on */

static void check_said(const struct said *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct said *want = &cases[i];
        struct arc_forge forges[3] = {{.key = keys.rsa}};
        struct mail mail;

        forges[want->instance - 1] = want->forge;
        forges[0].key = keys.rsa;
        mail_start(&mail, forges, want->count);
        verify(&mail);
        check_verdict(want->name, &mail, want->want, want->why);
        CHECK_INT(want->name, mail.verdict.newest, want->count);
        CHECK_INT(want->name, mail.verdict.is_closed, false);
        mail_end(&mail);
    }
}

static void test_seals(void **state)
{
    (void)state;
    check_said(said_by_seals, COUNT_OF(said_by_seals));
}

static void test_signatures(void **state)
{
    (void)state;
    check_said(said_by_signatures, COUNT_OF(said_by_signatures));
}

static void test_closed(void **state)
{
    static const char *const seals[] = {
        "i=%i; a=rsa-sha256; cv=fail; d=one.example; s=s; b=%b",
        "i=%i; cv=FAIL",              /* whatever else is wrong with it */
        "i=%i; cv=fail; a=x; h=from", /* the same */
    };

    (void)state;
    for (unsigned count = 1; count <= 3; count++) {
        for (size_t i = 0; i < COUNT_OF(seals); i++) {
            struct arc_forge forges[3] = {{.key = keys.rsa}};
            struct mail mail;

            forges[count - 1] =
                (struct arc_forge){.key = keys.rsa, .seal = seals[i], .seals_alone = true};
            mail_start(&mail, forges, count);
            verify(&mail);
            CHECK_INT(seals[i], mail.verdict.is_closed, true);
            check_verdict(seals[i], &mail, AUTH_FAIL, "the chain failed before");
            CHECK_INT(seals[i], mail.verdict.newest, count);
            mail_end(&mail);
        }
    }
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
        cmocka_unit_test(test_seals),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_closed),
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
