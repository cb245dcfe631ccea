#include "support/check.h"

#include "mail/received_client.h"

/* clang-format off */
static const struct {
    const char *name;
    const char *value;
    const char *address; /* NULL: none can be believed */
    const char *helo;
} CASES[] = {
    {"Postfix", " from mail.a.test (host.a.test [192.0.2.1])\r\n\tby mx.test (Postfix) with ESMTP id 1\r\n", "192.0.2.1", "mail.a.test"},
    {"Postfix, IPv6", " from mail.a.test (unknown [IPv6:2001:db8::1])\r\n\tby mx.test\r\n", "2001:db8::1", "mail.a.test"},
    {"Exim", " from host.a.test ([192.0.2.1] helo=mail.a.test)\r\n\tby mx.test with esmtp\r\n", "192.0.2.1", "host.a.test"},
    {"Exim without a name", " from [192.0.2.1] (helo=mail.a.test)\r\n\tby mx.test\r\n", "192.0.2.1", ""},
    {"Exim, the client's port", " from [192.0.2.1] (port=99 helo=[198.51.100.1])\r\n\tby mx.test\r\n", "192.0.2.1", ""},
    {"sendmail", " from mail.a.test (host.a.test [192.0.2.1] (may be forged))\r\n\tby mx.test\r\n", "192.0.2.1", "mail.a.test"},
    {"sendmail, ident", " from mail.a.test (joe@host.a.test [192.0.2.1]) by mx.test\r\n", "192.0.2.1", "mail.a.test"},
    {"Exchange", " from mail.a.test (192.0.2.1) by\r\n mx.test (192.0.2.2) with Microsoft SMTP Server\r\n", "192.0.2.1", "mail.a.test"},
    {"Exchange, IPv6", " from mail.a.test (2001:db8::1) by mx.test\r\n", "2001:db8::1", "mail.a.test"},
    {"the name is a literal", " from [198.51.100.1] (unknown [192.0.2.1]) by mx.test\r\n", "192.0.2.1", ""},
    {"any case", " FROM a.test (unknown [192.0.2.1]) BY mx.test\r\n", "192.0.2.1", "a.test"},
    /* what the client chose */
    {"only a literal", " from [198.51.100.1] by mx.test\r\n", NULL, ""},
    {"qmail", " from unknown (HELO [198.51.100.1]) (192.0.2.1) by mx.test\r\n", NULL, ""},
    {"helo in the comment", " from a.test (helo=[198.51.100.1]) by mx.test\r\n", NULL, ""},
    {"behind the name", " from a.test (x y [198.51.100.1]) by mx.test\r\n", NULL, ""},
    {"in a later comment", " from a.test (b.test) (b.test [198.51.100.1]) by mx.test\r\n", NULL, ""},
    {"of the server", " from a.test by mx.test (mx.test [198.51.100.1])\r\n", NULL, ""},
    {"glued to more", " from a.test (b.test [198.51.100.1]x) by mx.test\r\n", NULL, ""},
    {"no from", " by mx.test (Postfix, from userid 0)\r\n", NULL, ""},
    {"no address", " from a.test (b.test [nonsense]) by mx.test\r\n", NULL, ""},
    {"no end", " from a.test (b.test [192.0.2.1", NULL, ""},
    {"empty", "\r\n", NULL, ""},
};
/* clang-format on */

static void the_client_is_found(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct received_client client;
        bool is_found = received_client_read(bytes_from_text(CASES[i].value), arena, &client);

        CHECK_INT(CASES[i].name, is_found, CASES[i].address != NULL);
        if (is_found && CASES[i].address != NULL) {
            CHECK_TEXT(CASES[i].name, ip_address_text(&client.address).text, CASES[i].address);
            CHECK_BYTES(CASES[i].name, client.helo, bytes_from_text(CASES[i].helo));
        }
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_client_is_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
