#include "support/check.h"

#include "unit/auth/arc_mail.h"

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
    {"x= equals t=", 1, 1, {.message = USUAL_MESSAGE("t=1790000000; x=1790000000")}, AUTH_FAIL,
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

#define LABEL "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_SELECTOR                                                                          \
    LABEL "." LABEL "." LABEL ".yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy-my"

/* What did not fit was left out of the name: the key was looked for below myone.example, which is
 * somebody else's. */
static void test_a_long_selector_found_a_strangers_key(void **state)
{
    const struct arc_forge forge = {
        .key = keys.rsa,
        .seal = "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=" LONG_SELECTOR "; b=%b",
    };
    struct mail mail;

    (void)state;
    assert_int_equal(strlen(LONG_SELECTOR "one.example"), DNS_NAME_LIMIT);
    mail_start(&mail, &forge, 1);
    put_key(&mail, LONG_SELECTOR "one.example", "v=DKIM1; k=rsa; p=", keys.rsa_p);
    verify(&mail);
    check_verdict("too long together", &mail, AUTH_FAIL, NO_HOST);
    mail_end(&mail);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seals),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_a_long_selector_found_a_strangers_key),
        cmocka_unit_test(test_closed),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
