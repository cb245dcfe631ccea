#include "support/check.h"

#include "forward/sender_proof.h"

static void test_proof(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct smtp_mailbox sender;
        enum auth_result spf;
        struct bytes signer; /* d= of a signature with `dkim` */
        enum auth_result dkim;
        struct bytes author; /* proven by DKIM; empty: not */
        bool want;
    } cases[] = {
        {"spf", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_PASS, BYTES(""), AUTH_NONE, BYTES(""), true},
        {"spf neutral", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NEUTRAL, BYTES(""), AUTH_NONE, BYTES(""), false},
        {"null sender with the HELO's SPF", {.local = BYTES("")}, AUTH_PASS, BYTES(""), AUTH_NONE, BYTES(""), false},
        {"signed", {.local = BYTES("a"), .domain = BYTES("X.example")}, AUTH_FAIL, BYTES("x.example"), AUTH_PASS, BYTES(""), true},
        {"signature broken", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NONE, BYTES("x.example"), AUTH_FAIL, BYTES(""), false},
        {"signed from above", {.local = BYTES("a"), .domain = BYTES("bounce.x.example")}, AUTH_NONE, BYTES("x.example"), AUTH_PASS, BYTES(""), true},
        {"signed from below", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NONE, BYTES("u.x.example"), AUTH_PASS, BYTES(""), false},
        {"name that only ends alike", {.local = BYTES("a"), .domain = BYTES("ax.example")}, AUTH_NONE, BYTES("x.example"), AUTH_PASS, BYTES(""), false},
        {"top-level signer", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NONE, BYTES("example"), AUTH_PASS, BYTES(""), false},
        {"somebody else's signature", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NONE, BYTES("y.example"), AUTH_PASS, BYTES(""), false},
        {"author", {.local = BYTES("a"), .domain = BYTES("b.x.example")}, AUTH_NONE, BYTES("m.x.example"), AUTH_PASS, BYTES("x.example"), true},
        {"another author", {.local = BYTES("a"), .domain = BYTES("x.example")}, AUTH_NONE, BYTES("y.example"), AUTH_PASS, BYTES("y.example"), false},
        {"international", {.local = BYTES("a"), .domain = BYTES("b\xc3\xbc" "cher.example")}, AUTH_NONE, BYTES("xn--bcher-kva.example"), AUTH_PASS, BYTES(""), true},
        {"address literal", {.local = BYTES("a"), .domain = BYTES("[192.0.2.1]"), .is_literal = true}, AUTH_NONE, BYTES("2.1"), AUTH_PASS, BYTES(""), false},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new();
        struct dkim_verdict signature = {.result = cases[i].dkim, .domain = cases[i].signer};
        struct message_verdicts verdicts = {
            .spf_mail_from.result = cases[i].spf,
            .dkim = {&signature, cases[i].signer.len > 0, 0},
            .dmarc = {.author = cases[i].author,
                      .aligned_by = DMARC_BY_DKIM,
                      .is_every_author_proven = cases[i].author.len > 0}};

        CHECK_INT(cases[i].name, sender_is_proven(&cases[i].sender, &verdicts, arena),
                  cases[i].want);
        arena_free(&arena);
    }
}

/* SPF alone proves an author by the sender it belongs to, and that is asked above. */
static void test_author_proven_by_spf(void **state)
{
    struct smtp_mailbox sender = {.local = BYTES("a"), .domain = BYTES("x.example")};
    struct message_verdicts verdicts = {.dmarc = {.author = BYTES("x.example"),
                                                  .aligned_by = DMARC_BY_SPF,
                                                  .is_every_author_proven = true}};
    struct arena *arena = arena_new();

    (void)state;
    CHECK_TRUE("no", !sender_is_proven(&sender, &verdicts, arena));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_proof),
                                       cmocka_unit_test(test_author_proven_by_spf)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
