/*
 * reply_advice - what follows from a failure for people: who has to act, and what to do.
 *
 * Use     for commands and pages that an operator reads, behind reply_class_explanation. Advice, never a decision.
 * Output  sentences without their full stop; static.
 */
#ifndef FORWARD_REPLY_ADVICE_H
#define FORWARD_REPLY_ADVICE_H

#include "forward/reply_class.h"

struct reply_advice {
    const char *who;  /* "nobody: it solves itself", "you", "the recipient" ... */
    const char *what; /* to do */
};

struct reply_advice reply_advice_of(enum reply_class class, bool is_permanent);

#endif
