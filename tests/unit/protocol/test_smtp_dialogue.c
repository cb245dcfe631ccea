#include "support/check.h"

#include "protocol/smtp_dialogue.h"

/* What each command leads to, one letter a phase: C(onnected) G(reeted) S(ender) R(ecipient)
 * D (content) X (closing), and "-" for 503. Written again here from RFC 5321 §4.1.4, so that
 * the module's table is compared with something that is not itself. */
static const struct {
    enum smtp_verb verb;
    const char *want; /* from connected, greeted, sender, recipient, content, closing */
} CASES[] = {
    {SMTP_UNKNOWN, "------"}, {SMTP_HELO, "GGGGG-"},     {SMTP_EHLO, "GGGGG-"},
    {SMTP_MAIL, "-S----"},    {SMTP_RCPT, "--RR--"},     {SMTP_DATA, "---D--"},
    {SMTP_BDAT, "---DD-"},    {SMTP_RSET, "CGGGG-"},     {SMTP_NOOP, "CGSRD-"},
    {SMTP_QUIT, "XXXXX-"},    {SMTP_VRFY, "CGSRD-"},     {SMTP_EXPN, "CGSRD-"},
    {SMTP_HELP, "CGSRD-"},    {SMTP_STARTTLS, "-C----"}, {SMTP_XCLIENT, "CC----"},
};
static const char PHASES[] = "CGSRDX";

static void every_command_in_every_phase(void **state)
{
    (void)state;
    CHECK_INT("all verbs", COUNT_OF(CASES), SMTP_VERB_COUNT);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        for (int phase = 0; phase < SMTP_PHASE_COUNT; phase++) {
            struct smtp_dialogue dialogue = {.phase = (enum smtp_phase)phase};
            const char *name = smtp_verb_text(CASES[i].verb);
            char want = CASES[i].want[phase];

            if (want == '-') {
                CHECK_INT(name, smtp_dialogue_ask(&dialogue, CASES[i].verb),
                          SMTP_DIALOGUE_BAD_SEQUENCE);
                CHECK_INT(name, dialogue.phase, phase);
                CHECK_INT(name, dialogue.asked, SMTP_UNKNOWN);
                continue;
            }
            CHECK_INT(name, smtp_dialogue_ask(&dialogue, CASES[i].verb), SMTP_DIALOGUE_MAY);
            smtp_dialogue_refused(&dialogue);
            CHECK_INT(name, dialogue.phase, phase);
            CHECK_INT(name, smtp_dialogue_ask(&dialogue, CASES[i].verb), SMTP_DIALOGUE_MAY);
            smtp_dialogue_granted(&dialogue);
            CHECK_INT(name, PHASES[dialogue.phase], want);
            CHECK_INT(name, dialogue.asked, SMTP_UNKNOWN);
        }
    }
}

static void content_ends_the_transaction(void **state)
{
    struct smtp_dialogue dialogue = {.phase = SMTP_PHASE_CONTENT};

    (void)state;
    smtp_dialogue_content_done(&dialogue);
    CHECK_INT("greeted again", dialogue.phase, SMTP_PHASE_GREETED);
    CHECK_INT("no second content", smtp_dialogue_ask(&dialogue, SMTP_DATA),
              SMTP_DIALOGUE_BAD_SEQUENCE);
}

static void nothing_leads_out_of_closing(void **state)
{
    struct smtp_dialogue dialogue = {.phase = SMTP_PHASE_SENDER};

    (void)state;
    smtp_dialogue_ask(&dialogue, SMTP_RCPT);
    smtp_dialogue_close(&dialogue);
    smtp_dialogue_granted(&dialogue);
    CHECK_INT("granted too late", dialogue.phase, SMTP_PHASE_CLOSING);
    smtp_dialogue_content_done(&dialogue);
    CHECK_INT("content done too late", dialogue.phase, SMTP_PHASE_CLOSING);
    CHECK_TEXT("name", smtp_phase_text(dialogue.phase), "closing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_in_every_phase),
        cmocka_unit_test(content_ends_the_transaction),
        cmocka_unit_test(nothing_leads_out_of_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
