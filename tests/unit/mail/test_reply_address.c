#include "signed_addresses.h"

#include "mail/reply_address.h"

#define OUR_DOMAIN BYTES("example.org")

static enum srs_result make(const struct srs_options *options, const char *name,
                            struct bytes author, struct arena *arena, struct bytes *out)
{
    struct smtp_mailbox mailbox = mailbox_of(name, author, arena);
    struct smtp_mailbox made = {.is_literal = false};
    enum srs_result result =
        reply_address_make(options, OUR_DOMAIN, TODAY, &mailbox, arena, &made);

    *out = text_of(&made, arena);
    return result;
}

static enum srs_result reverse(const struct srs_options *options, const char *name,
                               uint32_t today, struct bytes recipient, struct arena *arena,
                               struct bytes *out)
{
    struct smtp_mailbox mailbox = mailbox_of(name, recipient, arena);
    struct smtp_mailbox author = {.is_literal = false};
    struct bytes token = {NULL, 0};
    enum srs_result result =
        reply_address_reverse(options, today, &mailbox, arena, &author, &token);

    *out = result == SRS_TOKEN ? token : text_of(&author, arena);
    return result;
}

static void test_make(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        const struct srs_options *options;
        struct bytes author;
        enum srs_result want;
        struct bytes address;
    } cases[] = {
        {"plain", &modern, BYTES("alice@example.net"), SRS_OK, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org")},
        {"the same where SRS is classic", &classic, BYTES("alice@example.net"), SRS_OK, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org")},
        {"quoted", &modern, BYTES("\"a b\"@example.net"), SRS_OK, BYTES("\"REPLY0=V3DR377X=JK=example.net=a b\"@example.org")},
        {"null", &modern, BYTES(""), SRS_MALFORMED, BYTES("")},
        {"address literal", &modern, BYTES("a@[192.0.2.1]"), SRS_MALFORMED, BYTES("")},
        {"single label", &modern, BYTES("root@localhost"), SRS_MALFORMED, BYTES("")},
        {"address in disguise", &modern, BYTES("root@192.0.2.1"), SRS_MALFORMED, BYTES("")},
        {"author of ours", &modern, BYTES("Info@Example.ORG"), SRS_OK, BYTES("REPLY0=PBBHWUN6=JK=Example.ORG=Info@example.org")},
        {"one of ours already", &modern, BYTES("reply0=x=y=z.example=a@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"a stored one already", &modern, BYTES("REPLY0=UBINDSVL=JK==ABCDEFGHABCDEFGH@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"bounces only", &modern, BYTES("SRS0=x=y=z.example=a@srs.example.org"), SRS_MALFORMED, BYTES("")},
        {"that of another", &modern, BYTES("REPLY0=x=y=z.example=a@o.example"), SRS_OK, BYTES("REPLY0=XEBKDDSW=JK=o.example=REPLY0=x=y=z.example=a@example.org")},
        {"too long", &modern, BYTES("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee@example.net"), SRS_TOO_LONG, BYTES("")},
        {"quotes count", &modern, BYTES("\" 23456789012345678901234567890123\"@example.net"), SRS_TOO_LONG, BYTES("")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes got;

        CHECK_INT(cases[i].name,
                  make(cases[i].options, cases[i].name, cases[i].author, arena, &got),
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
    for (size_t len = 28; len <= 38; len++) {
        char author[100];
        struct bytes got;
        enum srs_result want = 20 + 11 + len <= 64 ? SRS_OK : SRS_TOO_LONG;

        snprintf(author, sizeof author, "%.*s@example.net", (int)len, digits);
        CHECK_INT(author, make(&modern, author, bytes_from_text(author), arena, &got), want);
        snprintf(author, sizeof author, "\"%.*s \"@example.net", (int)len - 3, digits);
        CHECK_INT(author, make(&modern, author, bytes_from_text(author), arena, &got), want);
    }
    arena_free(&arena);
}

static const struct {
    const char *name;
    struct bytes author;
} authors[] = {
    {"plain", BYTES("alice@example.net")},
    {"case", BYTES("Alice.B@Example.NET")},
    {"sub-address", BYTES("alice+lists.x@example.net")},
    {"all of atext", BYTES("!#$%&'*+-/=?^_`{|}~@x.example")},
    {"separators", BYTES("a=b=c==d@x.example")},
    {"quoted blank", BYTES("\"a b\"@x.example")},
    {"quoted at", BYTES("\"a@b\"@x.example")},
    {"quotes and backslashes", BYTES("\"\\\"\\\\>\"@x.example")},
    {"dots", BYTES("\".a..b.\"@x.example")},
    {"empty local part", BYTES("\"\"@x.example")},
    {"UTF-8 local part", BYTES("j\xc3\xb6rg@x.example")},
    {"UTF-8 domain", BYTES("a@b\xc3\xbc"
                           "cher.example")},
    {"an SRS0 author", BYTES("SRS0=a=b=c.example=d@x.example")},
    {"reply address of another", BYTES("REPLY0=a=b=c.example=d@x.example")},
    {"underscore", BYTES("a@_b.example")},
    {"author of ours", BYTES("info@example.org")},
};

/* As the wire carries it: written, parsed, reversed. */
static void test_round_trip(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(authors) * 6; i++) {
        const char *name = authors[i / 6].name;
        struct srs_options options = i % 2 == 0 ? modern : classic;
        struct bytes address, back;

        options.separator = "=+-"[i / 2 % 3];
        CHECK_INT(name, make(&options, name, authors[i / 6].author, arena, &address), SRS_OK);
        CHECK_INT(name, address.data[6 + (address.data[0] == '"')], options.separator);
        CHECK_INT(name, reverse(&options, name, TODAY, address, arena, &back), SRS_OK);
        CHECK_BYTES(name, back, authors[i / 6].author);
        arena_reset(arena);
    }
    arena_free(&arena);
}

static void change_case(struct bytes text, bool is_upper)
{
    char *octets = (char *)(uintptr_t)text.data;

    for (size_t i = 0; i < text.len; i++) {
        if (ascii_is_alpha((unsigned char)octets[i])) {
            octets[i] = (char)(is_upper ? octets[i] & ~32 : octets[i] | 32);
        }
    }
}

static void test_case_changes(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(authors) * 2; i++) {
        const char *name = authors[i / 2].name;
        struct bytes address, back, want = arena_copy(arena, authors[i / 2].author);

        CHECK_INT(name, make(&modern, name, want, arena, &address), SRS_OK);
        change_case(address, i % 2 == 0);
        change_case(want, i % 2 == 0);
        CHECK_INT(name, reverse(&modern, name, TODAY, address, arena, &back), SRS_OK);
        CHECK_BYTES(name, back, want);
    }
    arena_free(&arena);
}

static void test_reverse(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        uint32_t today;
        struct bytes recipient;
        enum srs_result want;
        struct bytes address;
    } cases[] = {
        {"genuine", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org"), SRS_OK, BYTES("alice@example.net")},
        {"other domain of ours", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@srs.example.org"), SRS_OK, BYTES("alice@example.net")},
        {"other separator", TODAY, BYTES("REPLY0+UBINDSVL=JK=example.net=alice@example.org"), SRS_OK, BYTES("alice@example.net")},
        {"not one", TODAY, BYTES("alice@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"nearly one", TODAY, BYTES("REPLY0@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"nearly one, dot", TODAY, BYTES("REPLY0.x=y@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"REPLY1", TODAY, BYTES("REPLY1=UBINDSVL=JK=example.net=alice@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"an SRS address", TODAY, BYTES("SRS0=3AJB5UAE=JK=example.net=alice@example.org"), SRS_NOT_NEEDED, BYTES("")},
        {"other tag", TODAY, BYTES("REPLY0=AAAAAAAA=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"the tag of SRS", TODAY, BYTES("REPLY0=3AJB5UAE=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"the classic tag of SRS", TODAY, BYTES("REPLY0=5JPe=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"first digit of the tag", TODAY, BYTES("REPLY0=U=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"four digits of the tag", TODAY, BYTES("REPLY0=UBIN=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"tag and more", TODAY, BYTES("REPLY0=UBINDSVLA=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"empty tag", TODAY, BYTES("REPLY0==JK=example.net=alice@example.org"), SRS_MALFORMED, BYTES("")},
        {"other local part", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.net=alicf@example.org"), SRS_FORGED, BYTES("")},
        {"other domain", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.com=alice@example.org"), SRS_FORGED, BYTES("")},
        {"other stamp", TODAY, BYTES("REPLY0=UBINDSVL=JL=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"fields moved", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.ne=talice@example.org"), SRS_FORGED, BYTES("")},
        {"no local part", TODAY, BYTES("REPLY0=UBINDSVL=JK=example.net@example.org"), SRS_MALFORMED, BYTES("")},
        {"only the tag", TODAY, BYTES("REPLY0=UBINDSVL@example.org"), SRS_MALFORMED, BYTES("")},
        {"nothing behind it", TODAY, BYTES("REPLY0=@example.org"), SRS_MALFORMED, BYTES("")},
        {"stamp of one digit", TODAY, BYTES("REPLY0=UBINDSVL=J=example.net=alice@example.org"), SRS_MALFORMED, BYTES("")},
        {"stamp outside the alphabet", TODAY, BYTES("REPLY0=UBINDSVL=J1=example.net=alice@example.org"), SRS_MALFORMED, BYTES("")},
        {"literal", TODAY, BYTES("\"REPLY0=UBINDSVL=JK=[192.0.2.1]=alice\"@example.org"), SRS_MALFORMED, BYTES("")},
        {"single label", TODAY, BYTES("REPLY0=UBINDSVL=JK=localhost=alice@example.org"), SRS_MALFORMED, BYTES("")},
        {"the last day", TODAY + 21, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org"), SRS_OK, BYTES("alice@example.net")},
        {"a day too late", TODAY + 22, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org"), SRS_EXPIRED, BYTES("")},
        {"a clock one day behind", TODAY - 1, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org"), SRS_OK, BYTES("alice@example.net")},
        {"from the future", TODAY - 2, BYTES("REPLY0=UBINDSVL=JK=example.net=alice@example.org"), SRS_FUTURE, BYTES("")},
        {"forged and expired", TODAY + 22, BYTES("REPLY0=AAAAAAAA=JK=example.net=alice@example.org"), SRS_FORGED, BYTES("")},
        {"stored, forged", TODAY, BYTES("REPLY0=AAAAAAAA=JK==ABCDEFGHABCDEFGH@example.org"), SRS_FORGED, BYTES("")},
        {"stored, short", TODAY, BYTES("REPLY0=AAAAAAAA=JK==ABCDEFGHABCDEFG@example.org"), SRS_MALFORMED, BYTES("")},
        {"stored, no base32", TODAY, BYTES("REPLY0=AAAAAAAA=JK==ABCDEFGHABCDEFG1@example.org"), SRS_MALFORMED, BYTES("")},
        {"stored, empty", TODAY, BYTES("REPLY0=AAAAAAAA=JK==@example.org"), SRS_MALFORMED, BYTES("")},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes got;

        CHECK_INT(
            cases[i].name,
            reverse(&modern, cases[i].name, cases[i].today, cases[i].recipient, arena, &got),
            cases[i].want);
        CHECK_BYTES(cases[i].name, got, cases[i].address);
        arena_reset(arena);
    }
    arena_free(&arena);
}

/* Any octet changed but for its case: forged or no such address at all. */
static void test_every_octet_counts(void **state)
{
    struct arena *arena = arena_new();
    struct smtp_mailbox author = mailbox_of("author", BYTES("alice@example.net"), arena);
    struct smtp_mailbox made, found;
    struct bytes token;

    (void)state;
    CHECK_INT("made", reply_address_make(&modern, OUR_DOMAIN, TODAY, &author, arena, &made),
              SRS_OK);
    for (size_t i = 0; i < made.local.len; i++) {
        for (unsigned other = ' '; other < 256; other++) {
            struct smtp_mailbox changed = made;
            char name[40];
            unsigned char was = (unsigned char)made.local.data[i];

            if (ascii_lower((unsigned char)other) == ascii_lower(was) ||
                (i == 6 && strchr("=+-", (int)other) != NULL)) {
                continue;
            }
            changed.local = arena_copy(arena, made.local);
            ((char *)(uintptr_t)changed.local.data)[i] = (char)other;
            snprintf(name, sizeof name, "octet %zu as 0x%02x", i, other);
            CHECK_TRUE(name, reply_address_reverse(&modern, TODAY, &changed, arena, &found,
                                                   &token) != SRS_OK);
        }
    }
    arena_free(&arena);
}

/* The same tag under another kind, in both directions, whole addresses and stored ones. */
static void test_purposes_do_not_mix(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(authors) * 4; i++) {
        const char *name = authors[i / 4].name;
        const struct srs_options *options = i % 2 == 0 ? &modern : &classic;
        bool is_stored = i / 2 % 2 == 1;
        struct smtp_mailbox author = mailbox_of(name, authors[i / 4].author, arena);
        struct smtp_mailbox srs = {.is_literal = false}, reply, found;
        struct bytes srs_token, reply_token, token;
        char turned[100];

        if (is_stored) {
            srs_forward_stored(options, OUR_DOMAIN, TODAY, &author, arena, &srs, &srs_token);
            reply_address_make_stored(options, OUR_DOMAIN, TODAY, &author, arena, &reply,
                                      &reply_token);
            CHECK_TRUE(name, !bytes_equal(srs_token, bytes_skip(reply_token, 6)));
        } else {
            CHECK_INT(name,
                      reply_address_make(options, OUR_DOMAIN, TODAY, &author, arena, &reply),
                      SRS_OK);
            (void)srs_forward(options, OUR_DOMAIN, TODAY, &author, arena, &srs);
        }
        snprintf(turned, sizeof turned, "SRS0=" BYTES_FMT,
                 BYTES_ARG(bytes_skip(reply.local, 7)));
        reply.local = bytes_from_text(turned);
        CHECK_INT(name, srs_reverse(options, TODAY, &reply, arena, &found, &token), SRS_FORGED);
        if (srs.local.len == 0 || srs.local.data[3] != '0') {
            continue; /* an author of ours, or one that became SRS1 */
        }
        snprintf(turned, sizeof turned, "REPLY0=" BYTES_FMT,
                 BYTES_ARG(bytes_skip(srs.local, 5)));
        srs.local = bytes_from_text(turned);
        CHECK_INT(name, reply_address_reverse(options, TODAY, &srs, arena, &found, &token),
                  SRS_FORGED);
    }
    arena_free(&arena);
}

static void test_rotation(void **state)
{
    struct srs_options before = modern, unmarked = classic, after = modern;
    struct arena *arena = arena_new();
    struct bytes address, back;

    (void)state;
    before.secrets = &rotated[1];
    unmarked.secrets = &rotated[2];
    after.secrets = rotated;
    after.secret_count = COUNT_OF(rotated);
    CHECK_INT("old", make(&before, "old", BYTES("a@x.example"), arena, &address), SRS_OK);
    CHECK_INT("old", reverse(&modern, "old", TODAY, address, arena, &back), SRS_FORGED);
    CHECK_INT("old", reverse(&after, "old", TODAY, address, arena, &back), SRS_OK);
    CHECK_BYTES("old", back, BYTES("a@x.example"));
    CHECK_INT("classic", make(&unmarked, "classic", BYTES("a@x.example"), arena, &address),
              SRS_OK);
    CHECK_INT("classic", reverse(&after, "classic", TODAY, address, arena, &back), SRS_OK);
    CHECK_INT("first signs", make(&after, "first", BYTES("alice@example.net"), arena, &address),
              SRS_OK);
    CHECK_INT("first signs", reverse(&modern, "first", TODAY, address, arena, &back), SRS_OK);
    arena_free(&arena);
}

static void test_stored(void **state)
{
    static const struct bytes same[] = {BYTES("Very.Long@example.net"),
                                        BYTES("Very.Long@Example.NET"),
                                        BYTES("very.long@example.net")};
    struct arena *arena = arena_new();
    struct bytes tokens[COUNT_OF(same)];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct smtp_mailbox author = mailbox_of("author", same[i], arena), made;
        struct bytes text, back;

        reply_address_make_stored(&modern, OUR_DOMAIN, TODAY, &author, arena, &made,
                                  &tokens[i]);
        text = text_of(&made, arena);
        CHECK_BYTES("form", bytes_between(text, 15, 20), BYTES("=JK=="));
        CHECK_TRUE("length", made.local.len <= 64);
        CHECK_BYTES("key", bytes_first(tokens[i], 6), BYTES("reply="));
        CHECK_INT("key", tokens[i].len, 22);
        CHECK_INT("token", reverse(&modern, "token", TODAY, text, arena, &back), SRS_TOKEN);
        CHECK_BYTES("token", back, tokens[i]);
        change_case(text, false);
        CHECK_INT("lower", reverse(&modern, "lower", TODAY, text, arena, &back), SRS_TOKEN);
        CHECK_BYTES("lower", back, tokens[i]);
        CHECK_INT("expired", reverse(&modern, "expired", TODAY + 22, text, arena, &back),
                  SRS_EXPIRED);
    }
    CHECK_BYTES("one author", tokens[1], tokens[0]);
    CHECK_TRUE("another author", !bytes_equal(tokens[2], tokens[0]));
    arena_free(&arena);
}

static void test_what_cannot_be_an_address(void **state)
{
    static const char start[] = "REPLY0=AAAAAAAA=JK=x.example=";
    struct arena *arena = arena_new();
    struct smtp_mailbox recipient = {.domain = OUR_DOMAIN};
    struct smtp_mailbox control = {.local = BYTES("a\r\nb"), .domain = BYTES("x.example")};
    struct smtp_mailbox found;
    struct bytes token;
    char many[255];

    (void)state;
    memset(many, 'a', sizeof many);
    memcpy(many, start, sizeof start - 1);
    recipient.local = bytes_of(many, sizeof many);
    CHECK_INT("long", reply_address_reverse(&modern, TODAY, &recipient, arena, &found, &token),
              SRS_MALFORMED);
    CHECK_INT("nothing allocated", arena_used(arena), 0);
    recipient.local = bytes_of(many, sizeof many - 1);
    CHECK_INT("one less",
              reply_address_reverse(&modern, TODAY, &recipient, arena, &found, &token),
              SRS_FORGED);
    recipient.local = BYTES("REPLY0=AAAAAAAA=JK=example.net=a\r\nb");
    CHECK_INT("line end",
              reply_address_reverse(&modern, TODAY, &recipient, arena, &found, &token),
              SRS_MALFORMED);
    CHECK_INT("made", reply_address_make(&modern, OUR_DOMAIN, TODAY, &control, arena, &found),
              SRS_MALFORMED);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_case_changes),
        cmocka_unit_test(test_reverse),
        cmocka_unit_test(test_every_octet_counts),
        cmocka_unit_test(test_purposes_do_not_mix),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_what_cannot_be_an_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
