/* What mail/from_munge writes, read by the parser that judges From: our own domain and no other,
 * whatever the author's field looked like. */
#include "support/check.h"

#include "auth/from_domains.h"
#include "mail/from_munge.h"
#include "mail/header_block.h"

static const struct smtp_mailbox addresses[] = {
    {.local = {"REPLY0=TAG=JK=x.example=alice", 29}, .domain = {"our.example", 11}},
    {.local = {"REPLY0=TAG=JK=x.example=\"a@b>, c", 32}, .domain = {"OUR.example", 11}},
    {.local = {"REPLY0=TAG=JK==ABCDEFGHABCDEFGH", 31}, .domain = {"Our.Example", 11}},
};

/* clang-format off */
static const struct bytes fields[] = {
    BYTES("From: alice@x.example\r\n"),
    BYTES("From: Alice <alice@x.example>\r\n"),
    BYTES("From: \"Smith, A. <b@bank.example>; \\\"x\\\" (\" <alice@x.example>\r\n"),
    BYTES("From: ceo@bank.example <alice@x.example>\r\n"),
    BYTES("From: \"ceo@bank.example\" <alice@x.example>\r\n"),
    BYTES("From: \"ceo\"@bank.example <alice@x.example>\r\n"),
    BYTES("From: alice@x.example (ceo@bank.example)\r\n"),
    BYTES("From: (a \\) \\\" \\\\) <alice@x.example>\r\n"),
    BYTES("From: =?utf-8?q?ceo=40bank.example?= <alice@x.example>\r\n"),
    BYTES("From: =?utf-8?q?a,b;c:<?= <alice@x.example>\r\n"),
    BYTES("From: =?utf-8?q?a,b;c:(?= <alice@x.example>\r\n"),
    BYTES("From: =?utf-8?b?Y2VvQGJhbms=?=\r\n =?utf-8?q?J=C3=B6rg?= <alice@x.example>\r\n"),
    BYTES("From: [a] b: <alice@x.example>\r\n"),
    BYTES("From: J\xc3\xb6rg <j\xc3\xb6rg@b\xc3\xbc" "cher.example>\r\n"),
    BYTES("From: J\xf6rg <alice@x.example>\r\n"),
    BYTES("From: \"a@b\"@x.example\r\n"),
    BYTES("From: Alice <@a.example:alice . b @ x . example>\r\n"),
    BYTES("From: \"\\\\\" <alice@[192.0.2.1]>\r\n"),
};
/* clang-format on */

static void test_only_our_domain(void **state)
{
    struct arena *arena = arena_new();
    size_t munged = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields) * COUNT_OF(addresses); i++) {
        struct bytes header = fields[i / COUNT_OF(addresses)];
        const struct smtp_mailbox *address = &addresses[i % COUNT_OF(addresses)];
        const char *name = arena_copy_text(arena, header);
        struct from_author author;
        struct from_domains found;
        struct strbuf out;

        if (!from_munge_read_author(header, arena, &author)) {
            continue;
        }
        strbuf_init(&out, 20000);
        from_munge_write(&out, header, &author, address, BYTES("our.example"));
        CHECK_INT(name, from_domains_read(strbuf_bytes(&out), arena, &found), FROM_ONE_DOMAIN);
        CHECK_INT(name, found.fields, 1);
        CHECK_BYTES(name, found.domains[0], BYTES("our.example"));
        strbuf_clear(&out);
        munged++;
    }
    CHECK_INT("nearly all of them", munged,
              (COUNT_OF(fields) - 2) *
                  COUNT_OF(addresses)); /* not the "<" word, not the group */
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_our_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
