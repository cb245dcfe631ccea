/*
 * decision - what policy says of a command or a message: accept, defer or refuse.
 *
 * Shape   by value; texts are static or live in the arena of whoever asked.
 */
#ifndef FORWARD_DECISION_H
#define FORWARD_DECISION_H

#include "base/bytes.h"

enum disposition { DECISION_ACCEPT, DECISION_DEFER, DECISION_REFUSE };

struct decision {
    enum disposition disposition;
    unsigned code;        /* 250, 451, 550 ...; 0 with accept */
    const char *enhanced; /* "5.1.1"; NULL: the configured text brings its own */
    struct bytes text;    /* for the client, without codes */
    const char *why;      /* for the log: "unknown-recipient" */
};

#endif
