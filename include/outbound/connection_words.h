/*
 * connection_words - what it usually means that a connection to a next hop came to nothing, for people.
 *
 * Input   the fault, how the stream ended, and the stage it happened in. Timeout, refused, reset and unreachable are
 *         different things with different causes, and so is each stage.
 * Output  sentences without their full stop; static.
 */
#ifndef OUTBOUND_CONNECTION_WORDS_H
#define OUTBOUND_CONNECTION_WORDS_H

#include "outbound/next_hop_connection.h"

struct connection_words {
    const char *what;  /* happened */
    const char *means; /* usually */
    const char *who;   /* has to act */
};

/* Of NONE and of CONTENT: they say that it is ours. */
struct connection_words connection_words_of(enum connection_fault fault, enum stream_end end,
                                            enum smtp_stage stage);
/* A greeting that was no welcome, or 421 later: by its code. */
struct connection_words connection_words_of_reply(unsigned code, enum smtp_stage stage);

#endif
