#include "support/check.h"

#include "base/crc32c.h"
#include "mail/envelope_record.h"

static const struct envelope full = {
    .kind = ENVELOPE_RETURN,
    .sender = {"\"a b\"@example.net", 17},
    .is_8bit = true,
    .is_utf8 = false,
    .is_auto_submitted = true,
    .is_proven = true,
    .client_ip = {"2001:db8::1", 11},
    .client_helo = {"mail.example.net", 16},
    .session = {"7f3a", 4},
    .bounce_of = {"0123456789abc", 13},
    .ret = DSN_RETURN_HEADERS,
    .envid = {"QQ+2B1", 6},
};

static void check_same(const char *name, const struct envelope *got,
                       const struct envelope *want)
{
    CHECK_INT(name, got->kind, want->kind);
    CHECK_BYTES(name, got->sender, want->sender);
    CHECK_INT(name, got->is_8bit, want->is_8bit);
    CHECK_INT(name, got->is_utf8, want->is_utf8);
    CHECK_INT(name, got->is_auto_submitted, want->is_auto_submitted);
    CHECK_INT(name, got->is_proven, want->is_proven);
    CHECK_INT(name, got->is_own_sender, want->is_own_sender);
    CHECK_BYTES(name, got->client_ip, want->client_ip);
    CHECK_BYTES(name, got->client_helo, want->client_helo);
    CHECK_BYTES(name, got->session, want->session);
    CHECK_BYTES(name, got->bounce_of, want->bounce_of);
    CHECK_INT(name, got->is_utf8_header, want->is_utf8_header);
    CHECK_INT(name, got->requires_tls, want->requires_tls);
    CHECK_INT(name, got->ret, want->ret);
    CHECK_BYTES(name, got->envid, want->envid);
}

static void test_round_trip(void **state)
{
    struct envelope null_sender = {.kind = ENVELOPE_BOUNCE};
    struct envelope utf8 = {
        .kind = ENVELOPE_FORWARD, .sender = BYTES("j\xc3\xb6@x.example"), .is_utf8 = true};
    struct envelope utf8_header = {.kind = ENVELOPE_FORWARD,
                                   .sender = BYTES("a@x.example"),
                                   .is_utf8 = true,
                                   .is_utf8_header = true,
                                   .ret = DSN_RETURN_FULL};
    struct envelope own = {.sender = BYTES("a@x.example"), .kind = ENVELOPE_FORWARD};
    const struct {
        const char *name;
        const struct envelope *envelope;
    } cases[] = {{"full", &full},
                 {"null sender", &null_sender},
                 {"UTF-8", &utf8},
                 {"UTF-8 header", &utf8_header},
                 {"own", &own}};

    (void)state;
    own.is_own_sender = true;
    own.requires_tls = true;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf record;
        struct envelope got;

        strbuf_init(&record, 4096);
        strbuf_add_text(&record, "before");
        envelope_record_write(&record, cases[i].envelope);
        CHECK_TRUE(cases[i].name,
                   envelope_record_read(bytes_skip(strbuf_bytes(&record), 6), &got));
        check_same(cases[i].name, &got, cases[i].envelope);
        strbuf_clear(&record);
    }
}

/* Adds the checksum to hand-made octets. */
static bool read_sealed(struct bytes octets, struct envelope *envelope)
{
    struct strbuf record;
    uint32_t checksum = crc32c(0, octets);
    bool is_read;

    strbuf_init(&record, 4096);
    strbuf_add(&record, octets);
    for (int shift = 24; shift >= 0; shift -= 8) {
        strbuf_add_char(&record, (char)(checksum >> shift & 255));
    }
    is_read = envelope_record_read(strbuf_bytes(&record), envelope);
    strbuf_clear(&record);
    return is_read;
}

static void test_hand_made(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes octets;
        bool want;
    } cases[] = {
        {"smallest", BYTES("\1" "\1\0\1\1" "\2\0\0"), true},
        {"a newer field is skipped", BYTES("\1" "\1\0\1\1" "\x63\0\2hi" "\2\0\0"), true},
        {"a newer field twice", BYTES("\1" "\1\0\1\1" "\x63\0\2hi" "\x63\0\2hi" "\2\0\0"), true},
        {"newer flags are ignored", BYTES("\1" "\1\0\1\1" "\2\0\0" "\3\0\1\xf0"), true},
        {"no kind", BYTES("\1" "\2\0\0"), false},
        {"no sender", BYTES("\1" "\1\0\1\1"), false},
        {"unknown kind", BYTES("\1" "\1\0\1\4" "\2\0\0"), false},
        {"kind zero", BYTES("\1" "\1\0\1\0" "\2\0\0"), false},
        {"kind of two octets", BYTES("\1" "\1\0\2\1\1" "\2\0\0"), false},
        {"sender twice", BYTES("\1" "\1\0\1\1" "\2\0\0" "\2\0\1a"), false},
        {"length beyond the end", BYTES("\1" "\1\0\1\1" "\2\0\2a"), false},
        {"high octet of the length", BYTES("\1" "\1\0\1\1" "\2\1\1a"), false},
        {"half a field head", BYTES("\1" "\1\0\1\1" "\2\0\0" "\3\0"), false},
        {"LF in the sender", BYTES("\1" "\1\0\1\1" "\2\0\3a\nb"), false},
        {"CR in the sender", BYTES("\1" "\1\0\1\1" "\2\0\3a\rb"), false},
        {"NUL in the sender", BYTES("\1" "\1\0\1\1" "\2\0\3a\0b"), false},
        {"LF in the greeting", BYTES("\1" "\1\0\1\1" "\2\0\0" "\5\0\1\n"), false},
        {"flags without a value", BYTES("\1" "\1\0\1\1" "\2\0\0" "\3\0\0"), false},
        {"return nobody knows", BYTES("\1" "\1\0\1\1" "\2\0\0" "\10\0\1\3"), false},
        {"return zero", BYTES("\1" "\1\0\1\1" "\2\0\0" "\10\0\1\0"), false},
        {"envid", BYTES("\1" "\1\0\1\1" "\2\0\0" "\11\0\1x"), true},
        {"envid that is no xtext", BYTES("\1" "\1\0\1\1" "\2\0\0" "\11\0\3x y"), false},
        {"another version", BYTES("\2" "\1\0\1\1" "\2\0\0"), false},
        {"nothing", BYTES(""), false},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct envelope envelope = {.kind = ENVELOPE_BOUNCE, .session = BYTES("untouched")};

        CHECK_INT(cases[i].name, read_sealed(cases[i].octets, &envelope), cases[i].want);
        if (!cases[i].want) {
            CHECK_BYTES(cases[i].name, envelope.session, BYTES("untouched"));
        } else {
            CHECK_INT(cases[i].name, envelope.kind, ENVELOPE_FORWARD);
        }
    }
}

static void test_every_flipped_bit_is_seen(void **state)
{
    struct strbuf record;

    (void)state;
    strbuf_init(&record, 4096);
    envelope_record_write(&record, &full);
    for (size_t bit = 0; bit < record.len * 8; bit++) {
        struct envelope got;

        record.data[bit / 8] = (char)(record.data[bit / 8] ^ (1 << bit % 8));
        CHECK_TRUE("flipped", !envelope_record_read(strbuf_bytes(&record), &got));
        record.data[bit / 8] = (char)(record.data[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t len = 0; len < record.len; len++) {
        struct envelope got;

        CHECK_TRUE("cut", !envelope_record_read(bytes_of(record.data, len), &got));
    }
    strbuf_clear(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hand_made),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
