#include "protocol/smtp_dialogue.h"

#include <assert.h>

/* What a granted command leads to; 503 where it may not come. One more than the phase, so that
 * an empty place of the table means "may not". */
enum step {
    BAD,
    TO_CONNECTED = SMTP_PHASE_CONNECTED + 1,
    TO_GREETED = SMTP_PHASE_GREETED + 1,
    TO_SENDER = SMTP_PHASE_SENDER + 1,
    TO_RECIPIENT = SMTP_PHASE_RECIPIENT + 1,
    TO_CONTENT = SMTP_PHASE_CONTENT + 1,
    TO_CLOSING = SMTP_PHASE_CLOSING + 1,
    STAY,
};

/* After DATA no command is read until the final dot, so what the column "content" allows
 * concerns the time between two chunks of BDAT only (RFC 3030 §2). STARTTLS forgets the
 * greeting (RFC 3207 §4.2), and so does XCLIENT.
 * Nothing may come once the session closes. */
/* clang-format off */
static const enum step STEPS[SMTP_VERB_COUNT][SMTP_PHASE_COUNT] = {
    /*                  connected     greeted       sender        recipient     content */
    [SMTP_HELO]     = { TO_GREETED,   TO_GREETED,   TO_GREETED,   TO_GREETED,   TO_GREETED },
    [SMTP_EHLO]     = { TO_GREETED,   TO_GREETED,   TO_GREETED,   TO_GREETED,   TO_GREETED },
    [SMTP_MAIL]     = { BAD,          TO_SENDER,    BAD,          BAD,          BAD },
    [SMTP_RCPT]     = { BAD,          BAD,          TO_RECIPIENT, TO_RECIPIENT, BAD },
    [SMTP_DATA]     = { BAD,          BAD,          BAD,          TO_CONTENT,   BAD },
    [SMTP_BDAT]     = { BAD,          BAD,          BAD,          TO_CONTENT,   TO_CONTENT },
    [SMTP_RSET]     = { STAY,         STAY,         TO_GREETED,   TO_GREETED,   TO_GREETED },
    [SMTP_NOOP]     = { STAY,         STAY,         STAY,         STAY,         STAY },
    [SMTP_QUIT]     = { TO_CLOSING,   TO_CLOSING,   TO_CLOSING,   TO_CLOSING,   TO_CLOSING },
    [SMTP_VRFY]     = { STAY,         STAY,         STAY,         STAY,         STAY },
    [SMTP_EXPN]     = { STAY,         STAY,         STAY,         STAY,         STAY },
    [SMTP_HELP]     = { STAY,         STAY,         STAY,         STAY,         STAY },
    [SMTP_STARTTLS] = { BAD,          TO_CONNECTED, BAD,          BAD,          BAD },
    [SMTP_XCLIENT]  = { TO_CONNECTED, TO_CONNECTED, BAD,          BAD,          BAD },
};
/* clang-format on */

static void enter_phase(struct smtp_dialogue *dialogue, enum smtp_phase phase)
{
    dialogue->phase = phase;
    dialogue->asked = SMTP_UNKNOWN;
}

enum smtp_dialogue_answer smtp_dialogue_ask(struct smtp_dialogue *dialogue, enum smtp_verb verb)
{
    assert(dialogue->asked == SMTP_UNKNOWN); /* one command at a time */
    if (STEPS[verb][dialogue->phase] == BAD) {
        return SMTP_DIALOGUE_BAD_SEQUENCE;
    }
    dialogue->asked = verb;
    return SMTP_DIALOGUE_MAY;
}

void smtp_dialogue_granted(struct smtp_dialogue *dialogue)
{
    enum step step = STEPS[dialogue->asked][dialogue->phase];

    if (dialogue->phase == SMTP_PHASE_CLOSING) {
        return; /* closed while the answer was being found */
    }
    assert(step != BAD);
    enter_phase(dialogue, step == STAY ? dialogue->phase : (enum smtp_phase)(step - 1));
}

void smtp_dialogue_refused(struct smtp_dialogue *dialogue)
{
    enter_phase(dialogue, dialogue->phase);
}

void smtp_dialogue_content_done(struct smtp_dialogue *dialogue)
{
    if (dialogue->phase != SMTP_PHASE_CLOSING) {
        assert(dialogue->phase == SMTP_PHASE_CONTENT);
        enter_phase(dialogue, SMTP_PHASE_GREETED);
    }
}

void smtp_dialogue_close(struct smtp_dialogue *dialogue)
{
    enter_phase(dialogue, SMTP_PHASE_CLOSING);
}

const char *smtp_phase_text(enum smtp_phase phase)
{
    switch (phase) {
    case SMTP_PHASE_CONNECTED:
        return "connected";
    case SMTP_PHASE_GREETED:
        return "greeted";
    case SMTP_PHASE_SENDER:
        return "sender";
    case SMTP_PHASE_RECIPIENT:
        return "recipient";
    case SMTP_PHASE_CONTENT:
        return "content";
    case SMTP_PHASE_CLOSING:
        return "closing";
    case SMTP_PHASE_COUNT:
        break;
    }
    return "none";
}
