/*
 * sim_peers - clients that send mail into the simulated world, and next hops that take it.
 *
 * Client   sends its messages one after the other; with `pipelined` a command group at once. A
 *          message whose connection breaks is not sent again: nobody knows what became of it. One
 *          that could not be begun is. With sim_client_set_rude some connections break in the middle
 *          of a message.
 * Hop      answers as its `answer` function says; NULL is the usual answer. "!text" says it and
 *          closes; "-" is silence; "." closes without a word; "~text" is said
 *          after SIM_SLOW_MS; SIM_TAKE_AND_CLOSE, after the dot,
 *          takes the message and closes.
 */
#ifndef TESTS_IO_SIM_SIM_PEERS_H
#define TESTS_IO_SIM_SIM_PEERS_H

#include "base/strbuf.h"
#include "io/listener.h"

enum { SIM_RECIPIENTS = 4, SIM_REPLY_SIZE = 256 };

struct sim_letter {
    const char *sender;
    const char *recipients[SIM_RECIPIENTS]; /* NULL: no more */
    struct bytes content;                   /* as on the wire, without the final dot */
    /* out: */
    bool is_begun;
    unsigned
        code; /* the last reply: to the dot, or to what ended the transaction; 0: none came */
    char reply[SIM_REPLY_SIZE];
    uint64_t answered_ms;
};

struct sim_client;

struct sim_client *sim_client_new(const char *to, struct sim_letter *letters, size_t count,
                                  bool pipelined);
/* One in so many messages is broken off within its content; 0: none. */
void sim_client_set_rude(struct sim_client *client, uint32_t one_in);
bool sim_client_is_done(void *client);
void sim_client_free(struct sim_client **client);

enum sim_stage {
    SIM_STAGE_BANNER,
    SIM_STAGE_EHLO,
    SIM_STAGE_MAIL,
    SIM_STAGE_RCPT,
    SIM_STAGE_DATA,
    SIM_STAGE_DOT,
};

#define SIM_TAKE_AND_CLOSE "!"

enum { SIM_SLOW_MS = 20 * 1000 };

struct sim_taken {
    struct strbuf sender;     /* what stood in MAIL FROM:<> */
    struct strbuf recipients; /* "a@b c@d" */
    struct strbuf content;    /* dots removed */
    uint64_t when_ms;
};

struct sim_hop {
    const char *(*answer)(void *context, enum sim_stage stage, struct bytes argument);
    void *context;
    struct sim_taken *taken;
    size_t taken_count;
    unsigned connections, open, transactions; /* ever, now, MAIL commands ever */
    /* private */
    struct listener *listener;
    struct ip_endpoint address;
    struct list *peers;
};

void sim_hop_open(struct sim_hop *hop, const char *address);
void sim_hop_listen(struct sim_hop *hop, bool on);
/* Messages taken whose content contains `text`. */
size_t sim_hop_count(const struct sim_hop *hop, const char *text);
void sim_hop_close(struct sim_hop *hop);

#endif
