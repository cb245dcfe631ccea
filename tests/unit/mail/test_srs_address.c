#include "signed_addresses.h"

#define OLD_SECRET BYTES("the-old-secret-of-last-year")

static enum srs_result forward(const struct srs_options *options, const char *name,
                               struct bytes sender, struct arena *arena, struct bytes *out)
{
    struct smtp_mailbox mailbox = mailbox_of(name, sender, arena);
    struct smtp_mailbox made = {.is_literal = false};
    enum srs_result result =
        srs_forward(options, BYTES("srs.example.org"), TODAY, &mailbox, arena, &made);

    *out = text_of(&made, arena);
    return result;
}

static enum srs_result reverse(const struct srs_options *options, const char *name,
                               uint32_t today, struct bytes recipient, struct arena *arena,
                               struct bytes *out)
{
    struct smtp_mailbox mailbox = mailbox_of(name, recipient, arena);
    struct smtp_mailbox original = {.is_literal = false};
    struct bytes token = {NULL, 0};
    enum srs_result result = srs_reverse(options, today, &mailbox, arena, &original, &token);

    *out = result == SRS_TOKEN ? token : text_of(&original, arena);
    return result;
}

static void test_forward(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        const struct srs_options *options;
        struct bytes sender;
        enum srs_result want;
        struct bytes address;
    } cases[] = {
        {"modern", &modern, BYTES("alice@example.net"), SRS_OK, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org")},
        {"modern, quoted", &modern, BYTES("\"a b\"@example.net"), SRS_OK, BYTES("\"SRS0=7U2XT5SS=JK=example.net=a b\"@srs.example.org")},
        {"modern, of SRS0", &modern, BYTES("SRS0=abcd=KX=first.example=bob@fwd.example"), SRS_OK,
         BYTES("SRS1=M2HAGTZZ=fwd.example==abcd=KX=first.example=bob@srs.example.org")},
        {"classic", &classic, BYTES("alice@example.net"), SRS_OK, BYTES("SRS0=5JPe=JK=example.net=alice@srs.example.org")},
        {"classic keeps the case", &classic, BYTES("Alice.B@Example.NET"), SRS_OK, BYTES("SRS0=8KYJ=JK=Example.NET=Alice.B@srs.example.org")},
        {"classic, of SRS0", &classic, BYTES("SRS0=abcd=KX=first.example=bob@fwd.example"), SRS_OK,
         BYTES("SRS1=dwfl=fwd.example==abcd=KX=first.example=bob@srs.example.org")},
        {"classic, of SRS0+", &classic, BYTES("SRS0+abcd=KX=first.example=bob@fwd.example"), SRS_OK,
         BYTES("SRS1=IRlp=fwd.example=+abcd=KX=first.example=bob@srs.example.org")},
        {"classic, of SRS1: the first forwarder stays", &classic, BYTES("SRS1=wxyz=fwd.example==abcd=KX=first.example=bob@second.example"), SRS_OK,
         BYTES("SRS1=dwfl=fwd.example==abcd=KX=first.example=bob@srs.example.org")},
        {"null sender", &modern, BYTES(""), SRS_NOT_NEEDED, BYTES("")},
        {"own domain", &modern, BYTES("info@EXAMPLE.org"), SRS_NOT_NEEDED, BYTES("")},
        {"own SRS address", &modern, BYTES("SRS0=AAAAAAAA=JK=x.example=a@srs.example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"address literal", &modern, BYTES("a@[192.0.2.1]"), SRS_MALFORMED, BYTES("")},
        {"single label", &modern, BYTES("root@localhost"), SRS_MALFORMED, BYTES("")},
        {"address in disguise", &modern, BYTES("root@192.0.2.1"), SRS_MALFORMED, BYTES("")},
        {"too long", &modern, BYTES("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee@example.net"), SRS_TOO_LONG, BYTES("")},
        {"quotes count", &modern, BYTES("\" 2345678901234567890123456789012345\"@example.net"), SRS_TOO_LONG, BYTES("")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes got;

        CHECK_INT(cases[i].name,
                  forward(cases[i].options, cases[i].name, cases[i].sender, arena, &got),
                  cases[i].want);
        CHECK_BYTES(cases[i].name, got, cases[i].address);
        arena_reset(arena);
    }
    arena_free(&arena);
}

/* The octet that makes the difference between a local part of 64 octets and one of 65. */
static void test_length_limits(void **state)
{
    static const char digits[] = "1234567890123456789012345678901234567890";
    struct arena *arena = arena_new();

    (void)state;
    for (size_t len = 30; len <= 40; len++) {
        char sender[100];
        struct bytes got;
        enum srs_result want = 18 + 11 + len <= 64 ? SRS_OK : SRS_TOO_LONG;

        snprintf(sender, sizeof sender, "%.*s@example.net", (int)len, digits);
        CHECK_INT(sender, forward(&modern, sender, bytes_from_text(sender), arena, &got), want);
        snprintf(sender, sizeof sender, "\"%.*s \"@example.net", (int)len - 3, digits);
        CHECK_INT(sender, forward(&modern, sender, bytes_from_text(sender), arena, &got), want);
    }
    arena_free(&arena);
}

static void test_round_trip(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes sender;
    } cases[] = {
        {"plain", BYTES("alice@example.net")},
        {"case", BYTES("Alice.B@Example.NET")},
        {"all of atext", BYTES("!#$%&'*+-/=?^_`{|}~@x.example")},
        {"separators", BYTES("a=b=c==d@x.example")},
        {"quoted blank", BYTES("\"a b\"@x.example")},
        {"quoted at", BYTES("\"a@b\"@x.example")},
        {"quotes and backslashes", BYTES("\"\\\"\\\\>\"@x.example")},
        {"dots", BYTES("\".a..b.\"@x.example")},
        {"empty local part", BYTES("\"\"@x.example")},
        {"UTF-8 local part", BYTES("j\xc3\xb6rg@x.example")},
        {"UTF-8 domain", BYTES("a@b\xc3\xbc" "cher.example")},
        {"bare SRS0 tag", BYTES("SRS0=@x.example")},
        {"SRS1 that is none", BYTES("SRS1=abc@x.example")},
        {"SRS1 to a literal", BYTES("SRS1=abcd=localhost==x@x.example")},
        {"SRS0 of another", BYTES("SRS0-abcd=KX=f.example=Bob@x.example")},
        {"nearly SRS", BYTES("SRS0.abc@x.example")},
        {"underscore", BYTES("a@_b.example")},
    };
    /* clang-format on */
    struct srs_options options;
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * 6; i++) {
        const char *name = cases[i / 6].name;
        struct bytes srs, back;

        options = i % 2 == 0 ? modern : classic;
        options.separator = "=+-"[i / 2 % 3];
        CHECK_INT(name, forward(&options, name, cases[i / 6].sender, arena, &srs), SRS_OK);
        CHECK_INT(name, srs.data[4 + (srs.data[0] == '"')], options.separator);
        CHECK_INT(name, reverse(&options, name, TODAY, srs, arena, &back), SRS_OK);
        CHECK_BYTES(name, back, cases[i / 6].sender);
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void test_reverse(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        const struct srs_options *options;
        uint32_t today;
        struct bytes recipient;
        enum srs_result want;
        struct bytes address;
    } cases[] = {
        {"genuine", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"lower case", &modern, TODAY, BYTES("srs0=3ajb5uae=jk=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"upper case", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=EXAMPLE.NET=ALICE@SRS.EXAMPLE.ORG"), SRS_OK, BYTES("ALICE@EXAMPLE.NET")},
        {"other separator", &modern, TODAY, BYTES("SRS0+3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic", &classic, TODAY, BYTES("SRS0=5JPe=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic, five digits (hash-length of postsrsd)", &classic, TODAY, BYTES("SRS0=5JPeS=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic, eight digits", &classic, TODAY, BYTES("SRS0=5JPeSHeE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic, all digits", &classic, TODAY, BYTES("SRS0=5JPeSHeEV/JRV20ZMY+AtfNlay=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic, more than all", &classic, TODAY, BYTES("SRS0=5JPeSHeEV/JRV20ZMY+AtfNlayAA=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"classic, three digits", &classic, TODAY, BYTES("SRS0=5JP=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"classic, the fifth digit is another", &classic, TODAY, BYTES("SRS0=5JPeA=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"classic, eight digits of a secret that is not", &modern, TODAY, BYTES("SRS0=5JPeSHeE=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"classic, lower case", &classic, TODAY, BYTES("srs0-5jpe=jk=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"modern tags with format classic", &classic, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"classic of a secret that is not", &modern, TODAY, BYTES("SRS0=5JPe=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"SRS1", &classic, TODAY, BYTES("SRS1=dwfl=fwd.example==abcd=KX=first.example=bob@srs.example.org"), SRS_OK, BYTES("SRS0=abcd=KX=first.example=bob@fwd.example")},
        {"SRS1 with plus", &classic, TODAY, BYTES("SRS1=IRlp=fwd.example=+abcd=KX=first.example=bob@srs.example.org"), SRS_OK, BYTES("SRS0+abcd=KX=first.example=bob@fwd.example")},
        {"SRS1 never expires", &classic, TODAY + 300, BYTES("SRS1=dwfl=fwd.example==abcd=KX=first.example=bob@srs.example.org"), SRS_OK, BYTES("SRS0=abcd=KX=first.example=bob@fwd.example")},
        {"SRS1 to another forwarder", &classic, TODAY, BYTES("SRS1=dwfl=fwd2.example==abcd=KX=first.example=bob@srs.example.org"), SRS_FORGED, BYTES("")},
        {"SRS1 without tag", &classic, TODAY, BYTES("SRS1=fwd.example==abcd=KX=first.example=bob@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"SRS1 with empty tag", &classic, TODAY, BYTES("SRS1==fwd.example==abcd=KX=first.example=bob@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"SRS1 without second separator", &classic, TODAY, BYTES("SRS1=dwfl=fwd.example=abcd=KX=first.example=bob@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"not SRS", &modern, TODAY, BYTES("alice@srs.example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"nearly SRS", &modern, TODAY, BYTES("SRS0@srs.example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"SRS2", &modern, TODAY, BYTES("SRS2=a=b=c=d@srs.example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"other tag", &modern, TODAY, BYTES("SRS0=AAAAAAAA=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"first digit of the tag", &modern, TODAY, BYTES("SRS0=3=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"four digits of a modern tag", &modern, TODAY, BYTES("SRS0=3AJB=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"tag and more", &modern, TODAY, BYTES("SRS0=3AJB5UAEA=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"empty tag", &modern, TODAY, BYTES("SRS0==JK=example.net=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"other local part", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.net=alicf@srs.example.org"), SRS_FORGED, BYTES("")},
        {"other domain", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.com=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"other stamp", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JL=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"fields moved", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.ne=talice@srs.example.org"), SRS_FORGED, BYTES("")},
        {"no local part", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=example.net@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"only the tag", &modern, TODAY, BYTES("SRS0=3AJB5UAE@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"nothing behind it", &modern, TODAY, BYTES("SRS0=@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"stamp of one digit", &modern, TODAY, BYTES("SRS0=3AJB5UAE=J=example.net=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"stamp of three digits", &modern, TODAY, BYTES("SRS0=3AJB5UAE=AJK=example.net=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"stamp outside the alphabet", &modern, TODAY, BYTES("SRS0=3AJB5UAE=J1=example.net=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"literal", &modern, TODAY, BYTES("\"SRS0=3AJB5UAE=JK=[192.0.2.1]=alice\"@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"number as host", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=127.0.0.1=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"single label", &modern, TODAY, BYTES("SRS0=3AJB5UAE=JK=localhost=alice@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"the last day", &modern, TODAY + 21, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"a day too late", &modern, TODAY + 22, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_EXPIRED, BYTES("")},
        {"a clock one day behind", &modern, TODAY - 1, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"from the future", &modern, TODAY - 2, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_FUTURE, BYTES("")},
        {"after the cycle it is good again", &modern, TODAY + 1024, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"forged and expired", &modern, TODAY + 22, BYTES("SRS0=AAAAAAAA=JK=example.net=alice@srs.example.org"), SRS_FORGED, BYTES("")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes got;

        CHECK_INT(cases[i].name,
                  reverse(cases[i].options, cases[i].name, cases[i].today, cases[i].recipient,
                          arena, &got),
                  cases[i].want);
        CHECK_BYTES(cases[i].name, got, cases[i].address);
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void test_rotation(void **state)
{
    struct srs_secret old = {OLD_SECRET, false};
    struct srs_secret old_classic = {BYTES("secret-of-postsrsd-before"), true};
    struct srs_options before = modern, before_classic = classic, after = modern;
    struct arena *arena = arena_new();
    struct bytes srs, fresh, back;

    (void)state;
    before.secrets = &old;
    before_classic.secrets = &old_classic;
    after.secrets = rotated;
    after.secret_count = COUNT_OF(rotated);
    CHECK_INT("old", forward(&before, "old", BYTES("a@x.example"), arena, &srs), SRS_OK);
    CHECK_INT("old", reverse(&modern, "old", TODAY, srs, arena, &back), SRS_FORGED);
    CHECK_INT("old", reverse(&after, "old", TODAY, srs, arena, &back), SRS_OK);
    CHECK_BYTES("old", back, BYTES("a@x.example"));
    CHECK_INT("classic", forward(&before_classic, "classic", BYTES("a@x.example"), arena, &srs),
              SRS_OK);
    CHECK_INT("classic", reverse(&after, "classic", TODAY, srs, arena, &back), SRS_OK);
    CHECK_BYTES("classic", back, BYTES("a@x.example"));
    CHECK_INT("first signs",
              forward(&after, "first", BYTES("alice@example.net"), arena, &fresh), SRS_OK);
    CHECK_INT("first signs", reverse(&modern, "first", TODAY, fresh, arena, &back), SRS_OK);
    before_classic.secrets = &rotated[1]; /* a classic tag of a secret that is not marked so */
    CHECK_INT("unmarked",
              forward(&before_classic, "unmarked", BYTES("a@x.example"), arena, &srs), SRS_OK);
    CHECK_INT("unmarked", reverse(&after, "unmarked", TODAY, srs, arena, &back), SRS_FORGED);
    arena_free(&arena);
}

/* An SRS1 address whose first forwarder is us is taken apart to the sender himself. */
static void test_srs1_to_ourselves(void **state)
{
    struct srs_options stranger = modern;
    struct arena *arena = arena_new();
    struct bytes srs0, srs1, back;

    (void)state;
    stranger.is_own_domain = NULL; /* same secret, does not know that srs.example.org is us */
    CHECK_INT("srs0", forward(&modern, "srs0", BYTES("a@x.example"), arena, &srs0), SRS_OK);
    CHECK_INT("srs1", forward(&stranger, "srs1", srs0, arena, &srs1), SRS_OK);
    CHECK_BYTES("srs1", bytes_first(srs1, 5), BYTES("SRS1="));
    CHECK_INT("twice", reverse(&modern, "twice", TODAY, srs1, arena, &back), SRS_OK);
    CHECK_BYTES("twice", back, BYTES("a@x.example"));
    CHECK_INT("expired", reverse(&modern, "expired", TODAY + 40, srs1, arena, &back),
              SRS_EXPIRED);
    CHECK_INT("own sender", forward(&stranger, "own", BYTES("info@example.org"), arena, &srs0),
              SRS_OK);
    CHECK_INT("own sender", reverse(&modern, "own", TODAY, srs0, arena, &back), SRS_MALFORMED);
    arena_free(&arena);
}

static void test_stored(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes sender;
    } cases[] = {
        {"plain", BYTES("Very.Long@example.net")},
        {"case of the domain", BYTES("Very.Long@Example.NET")},
        {"case of the local part", BYTES("very.long@example.net")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();
    struct bytes tokens[COUNT_OF(cases)];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_mailbox sender = mailbox_of(cases[i].name, cases[i].sender, arena), made;
        struct bytes text, back;

        srs_forward_stored(&modern, BYTES("srs.example.org"), TODAY, &sender, arena, &made,
                           &tokens[i]);
        text = text_of(&made, arena);
        CHECK_BYTES(cases[i].name, bytes_between(text, 13, 18), BYTES("=JK=="));
        CHECK_INT(cases[i].name, reverse(&modern, cases[i].name, TODAY, text, arena, &back),
                  SRS_TOKEN);
        CHECK_BYTES(cases[i].name, back, tokens[i]);
        for (size_t j = 0; j < text.len; j++) {
            ((char *)(uintptr_t)text.data)[j] = (char)ascii_lower((unsigned char)text.data[j]);
        }
        CHECK_INT(cases[i].name, reverse(&modern, cases[i].name, TODAY, text, arena, &back),
                  SRS_TOKEN);
        CHECK_BYTES(cases[i].name, back, tokens[i]);
        CHECK_INT(cases[i].name,
                  reverse(&modern, cases[i].name, TODAY + 22, text, arena, &back), SRS_EXPIRED);
    }
    CHECK_BYTES("token", tokens[0], BYTES("2PBGHJIH3YVF7WFG"));
    CHECK_BYTES("one sender", tokens[1], tokens[0]);
    CHECK_TRUE("another sender", !bytes_equal(tokens[2], tokens[0]));
    arena_free(&arena);
}

static void test_stored_forms(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes recipient;
        enum srs_result want;
    } cases[] = {
        {"forged", BYTES("SRS0=AAAAAAAA=JK==ABCDEFGHABCDEFGH@srs.example.org"), SRS_FORGED},
        {"short", BYTES("SRS0=AAAAAAAA=JK==ABCDEFGHABCDEFG@srs.example.org"), SRS_MALFORMED},
        {"no base32", BYTES("SRS0=AAAAAAAA=JK==ABCDEFGHABCDEFG1@srs.example.org"), SRS_MALFORMED},
        {"empty", BYTES("SRS0=AAAAAAAA=JK==@srs.example.org"), SRS_MALFORMED},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes got;

        CHECK_INT(cases[i].name,
                  reverse(&modern, cases[i].name, TODAY, cases[i].recipient, arena, &got),
                  cases[i].want);
    }
    arena_free(&arena);
}

static void test_long_input_is_not_looked_at(void **state)
{
    static const char start[] = "SRS0=AAAAAAAA=JK=x.example=";
    struct arena *arena = arena_new();
    struct smtp_mailbox recipient = {.domain = BYTES("srs.example.org")};
    struct smtp_mailbox original;
    struct bytes token;
    char many[255];

    (void)state;
    memset(many, 'a', sizeof many);
    memcpy(many, start, sizeof start - 1);
    recipient.local = bytes_of(many, sizeof many);
    CHECK_INT("long", srs_reverse(&modern, TODAY, &recipient, arena, &original, &token),
              SRS_MALFORMED);
    CHECK_INT("nothing allocated", arena_used(arena), 0);
    recipient.local = bytes_of(many, sizeof many - 1);
    CHECK_INT("one less", srs_reverse(&modern, TODAY, &recipient, arena, &original, &token),
              SRS_FORGED);
    recipient.local = BYTES("SRS0=AAAAAAAA=JK=example.net=a\r\nb");
    CHECK_INT("line end", srs_reverse(&modern, TODAY, &recipient, arena, &original, &token),
              SRS_MALFORMED);
    arena_free(&arena);
}

/* The whole address has a limit too: 254 octets. */
static void test_long_srs_domain(void **state)
{
    struct arena *arena = arena_new();
    struct smtp_mailbox sender = {.local = BYTES("alice"), .domain = BYTES("example.net")};
    struct smtp_mailbox made;
    char domain[255];
    size_t local = 18 + 11 + 5;

    (void)state;
    memset(domain, 'd', sizeof domain);
    CHECK_INT(
        "254",
        srs_forward(&modern, bytes_of(domain, 254 - local - 1), TODAY, &sender, arena, &made),
        SRS_OK);
    CHECK_INT(
        "255",
        srs_forward(&modern, bytes_of(domain, 255 - local - 1), TODAY, &sender, arena, &made),
        SRS_TOO_LONG);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_reverse),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_srs1_to_ourselves),
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_stored_forms),
        cmocka_unit_test(test_long_input_is_not_looked_at),
        cmocka_unit_test(test_long_srs_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
