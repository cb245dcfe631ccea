#include "support/check.h"

#include "protocol/xclient.h"

/* clang-format off */
static const struct {
    const char *name;
    struct bytes arguments;
    bool want;
    const char *address; /* NULL: not said; "": said to be unknown */
    const char *helo;
    unsigned port;
} CASES[] = {
    {"address", BYTES("ADDR=192.0.2.1"), true, "192.0.2.1", NULL, 0},
    {"IPv6", BYTES("ADDR=IPV6:2001:db8::1"), true, "2001:db8::1", NULL, 0},
    {"IPv6 without its prefix", BYTES("ADDR=2001:db8::1"), true, "2001:db8::1", NULL, 0},
    {"everything", BYTES("NAME=a.test ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP HELO=b.test LOGIN=joe DESTADDR=192.0.2.2 DESTPORT=25"),
     true, "192.0.2.1", "b.test", 4711},
    {"small letters", BYTES("addr=192.0.2.1 proto=smtp"), true, "192.0.2.1", NULL, 0},
    {"blanks", BYTES("  ADDR=192.0.2.1   HELO=x "), true, "192.0.2.1", "x", 0},
    {"unknown", BYTES("NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[TEMPUNAVAIL]"), true, "", "", 0},
    {"xtext", BYTES("HELO=+5B192.0.2.1+5d"), true, NULL, "[192.0.2.1]", 0},
    {"xtext in an address", BYTES("ADDR=192+2E0.2.1"), true, "192.0.2.1", NULL, 0},
    {"xtext: a blank in a name", BYTES("HELO=a+20b"), false, NULL, NULL, 0},
    {"xtext: CR", BYTES("HELO=a+0Db"), false, NULL, NULL, 0},
    {"xtext: NUL", BYTES("HELO=a+00b"), false, NULL, NULL, 0},
    {"xtext: 8 bits", BYTES("HELO=a+E4b"), false, NULL, NULL, 0},
    {"xtext: cut off", BYTES("HELO=a+2"), false, NULL, NULL, 0},
    {"xtext: no digits", BYTES("HELO=a+2Gb"), false, NULL, NULL, 0},
    {"8 bits", BYTES("HELO=a\xe4" "b"), false, NULL, NULL, 0},
    {"no address", BYTES("ADDR=nonsense"), false, NULL, NULL, 0},
    {"no destination", BYTES("DESTADDR=nonsense"), false, NULL, NULL, 0},
    {"port too large", BYTES("PORT=65536"), false, NULL, NULL, 0},
    {"no protocol", BYTES("PROTO=LMTP"), false, NULL, NULL, 0},
    {"unknown attribute", BYTES("ADDR=192.0.2.1 COLOUR=red"), false, NULL, NULL, 0},
    {"no value", BYTES("HELO="), false, NULL, NULL, 0},
    {"no equals sign", BYTES("HELO"), false, NULL, NULL, 0},
    {"nothing", BYTES(" "), false, NULL, NULL, 0},
};
/* clang-format on */

static void attributes_are_read(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct xclient xclient;

        CHECK_INT(CASES[i].name, xclient_parse(CASES[i].arguments, arena, &xclient),
                  CASES[i].want);
        if (!CASES[i].want) {
            continue;
        }
        CHECK_INT(CASES[i].name, xclient.has_address, CASES[i].address != NULL);
        if (xclient.address.family != IP_NONE) {
            CHECK_TEXT(CASES[i].name, ip_address_text(&xclient.address).text, CASES[i].address);
        } else {
            CHECK_TRUE(CASES[i].name, CASES[i].address == NULL || CASES[i].address[0] == '\0');
        }
        CHECK_INT(CASES[i].name, xclient.has_helo, CASES[i].helo != NULL);
        if (xclient.has_helo) {
            CHECK_BYTES(CASES[i].name, xclient.helo, bytes_from_text(CASES[i].helo));
        }
        CHECK_INT(CASES[i].name, xclient.port, CASES[i].port);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes_are_read)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
