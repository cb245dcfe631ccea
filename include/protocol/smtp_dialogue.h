/*
 * smtp_dialogue - the order of a server's dialogue: which command may come when.
 *
 * Shape   one table, verb by phase. The session asks with smtp_dialogue_ask, does the work,
 *         then says granted or refused; between the two no other command is looked at. Failed
 *         commands leave the phase as it was; a failed DATA (after 354) goes back to GREETED,
 *         because the transaction is over (RFC 5321 §4.1.1.4, §4.1.4).
 */
#ifndef PROTOCOL_SMTP_DIALOGUE_H
#define PROTOCOL_SMTP_DIALOGUE_H

#include "protocol/smtp_command.h"

enum smtp_phase {
    SMTP_PHASE_CONNECTED, /* banner sent, no HELO yet */
    SMTP_PHASE_GREETED,   /* HELO or EHLO granted; no transaction */
    SMTP_PHASE_SENDER,    /* MAIL granted */
    SMTP_PHASE_RECIPIENT, /* at least one RCPT granted */
    SMTP_PHASE_CONTENT,   /* 354 sent */
    SMTP_PHASE_CLOSING,   /* QUIT, or we gave up */
    SMTP_PHASE_COUNT,
};

struct smtp_dialogue {
    enum smtp_phase phase;
    enum smtp_verb asked; /* SMTP_UNKNOWN: nothing is pending */
};

enum smtp_dialogue_answer {
    SMTP_DIALOGUE_MAY,
    SMTP_DIALOGUE_BAD_SEQUENCE, /* 503 */
};

enum smtp_dialogue_answer smtp_dialogue_ask(struct smtp_dialogue *dialogue,
                                            enum smtp_verb verb);
void smtp_dialogue_granted(struct smtp_dialogue *dialogue);
void smtp_dialogue_refused(struct smtp_dialogue *dialogue);
/* The content has been read and answered, whatever the answer: back to GREETED. */
void smtp_dialogue_content_done(struct smtp_dialogue *dialogue);
void smtp_dialogue_close(struct smtp_dialogue *dialogue);
const char *smtp_phase_text(enum smtp_phase phase); /* "connected" ... */

#endif
