/*
 * next_hop_connection - one SMTP connection to one address: stream, dialogue, deadlines.
 *
 * Holder  at any time exactly one (a delivery attempt, or the pool while the connection rests);
 *         gets the events. They never come from inside a function of this module, and the
 *         holder may free the connection from inside one.
 * Life    new -> READY -> mail -> DONE -> rest -> mail ...; BROKEN at any time. After BROKEN
 *         only reading its members and free are left.
 * Time    one deadline per wait (RFC 5321 §4.5.3.2), counted from its beginning: octets that
 *         trickle in do not extend it. While content goes out, progress does, if it is enough to
 *         come to an end (CONNECTION_RATE). One timer,
 *         re-armed lazily, so a message on a kept connection costs no timer work.
 * TLS     by the level given (forward/tls_policy), before READY. A handshake that failed is
 *         remembered: a new connection of an opportunistic level then stays in clear.
 * Memory  nothing of the options that made it is kept, so it may outlive a reload.
 */
#ifndef OUTBOUND_NEXT_HOP_CONNECTION_H
#define OUTBOUND_NEXT_HOP_CONNECTION_H

#include "base/list.h"
#include "forward/next_hop_order.h"
#include "forward/tls_policy.h"
#include "outbound/connection_watch.h"
#include "outbound/content_sender.h"
#include "outbound/tls_memory.h"
#include "protocol/smtp_exchange.h"

/* Octets of content a second that a next hop has to take: 50 MB in two days, when a message that is
 * not delivered expires. Who takes less keeps a connection busy for ever. */
enum { CONNECTION_RATE = 350 };

enum connection_event {
    CONNECTION_READY,  /* greeted: a transaction may begin; once */
    CONNECTION_DONE,   /* the transaction is over: see the recipients */
    CONNECTION_RESTED, /* rested for as long as it may: free it */
    CONNECTION_BROKEN, /* see `fault` */
};

enum connection_fault {
    CONNECTION_FAULT_NONE,
    CONNECTION_FAULT_CONNECT, /* never connected: `end` says why */
    CONNECTION_FAULT_END,     /* the peer closed, reset ...: `end` */
    CONNECTION_FAULT_TIMEOUT,
    CONNECTION_FAULT_REPLY,   /* garbage, 421, a refused greeting: next_hop_connection_last */
    CONNECTION_FAULT_TLS,     /* not as the policy wants it: `tls_trouble` */
    CONNECTION_FAULT_CONTENT, /* our own content could not be read */
};

struct connection_times {
    uint64_t connect_ms, command_ms, data_ms, block_ms, dot_ms;
    uint64_t handshake_ms; /* 0: as command_ms */
};

struct connection_tls {
    enum tls_level level;
    struct tls_context *context; /* NULL: level is off; *holds* it */
    struct tls_memory *memory;   /* *borrows*; NULL: level is off */
};

struct connection_settings {
    struct bytes helo_name;
    const struct ip_address *source; /* or NULL: any */
    struct connection_times times;
    struct connection_tls tls;
    const struct connection_watch *watch; /* or NULL; *borrows* */
};

typedef void (*connection_handler)(void *context, enum connection_event event);

struct next_hop_connection {
    /* to read */
    char *host;
    struct ip_endpoint endpoint;
    struct ip_endpoint local; /* IP_NONE until connected */
    enum connection_fault fault;
    enum stream_end end;
    enum smtp_stage stage; /* now, or where it broke */
    bool is_connected;
    bool is_in_doubt;   /* the final dot is out and unanswered */
    unsigned messages;  /* transactions that were begun */
    unsigned questions; /* those of them without content */
    struct stream_tls_facts tls;
    const char *tls_trouble; /* with CONNECTION_FAULT_TLS; good as long as the connection */
    bool is_tls_missing;     /* ... and it was not even begun */
    bool may_be_retried_in_clear; /* ... by a new connection to the same host */

    /* for the pool */
    struct list node;
    struct host_group *resting_at; /* while it rests */
    unsigned generation;           /* of the pool, when it was made */
    uint64_t group;                /* serial number of the hosts it was made to */
    uint64_t made_ms;

    /* private */
    struct event_loop *loop;
    struct stream *stream;
    struct smtp_exchange *exchange;
    struct content_sender sender;
    struct content_scratch *scratch; /* borrowed */
    struct connection_times times;
    struct connection_tls tls_wanted;
    bool is_greeted; /* READY was told, or will be now */
    struct loop_timer *timer;
    uint64_t deadline_ms; /* 0: none */
    uint64_t timer_at_ms; /* 0: not armed */
    uint64_t dot_mark;    /* stream_output_sent when the final dot will be out */
    uint64_t sent_before; /* stream_output_sent when the deadline was set */
    bool is_resting;
    const struct connection_watch *watch; /* or NULL */
    connection_handler handler;
    void *context;
};

/* Begins to connect; READY or BROKEN follows. */
struct next_hop_connection *next_hop_connection_new(struct event_loop *loop,
                                                    struct content_scratch *scratch,
                                                    const struct connection_settings *settings,
                                                    const struct next_hop *hop,
                                                    connection_handler handler, void *context);
/* May mail that wants this level go over it? */
bool next_hop_connection_fulfils(const struct next_hop_connection *connection,
                                 enum tls_level level);
/* Gives the connection to another holder. */
void next_hop_connection_hand_over(struct next_hop_connection *connection,
                                   connection_handler handler, void *context);
/* True when a transaction may begin. */
bool next_hop_connection_is_usable(const struct next_hop_connection *connection);
/* Has it had all the transactions the next hop lets one have (RFC 9422, MAILMAX)? */
bool next_hop_connection_is_used_up(const struct next_hop_connection *connection);
/* Has it been progress that the peer took so many octets of the content in a wait? */
bool next_hop_connection_is_progress(uint64_t octets, uint64_t wait_ms);
/* Begins a transaction on a usable connection; DONE or BROKEN follows. All is borrowed until
 * then. */
void next_hop_connection_mail(struct next_hop_connection *connection, struct bytes mail_line,
                              struct smtp_exchange_recipient *recipients, size_t count,
                              struct bytes head, const struct content *content);
/* The same without content: DONE when each recipient is answered. */
void next_hop_connection_ask(struct next_hop_connection *connection, struct bytes mail_line,
                             struct smtp_exchange_recipient *recipients, size_t count);
/* Waits for its next message for so long, then RESTED. */
void next_hop_connection_rest(struct next_hop_connection *connection, uint64_t idle_ms);
/* Content goes by DATA from now on. */
void next_hop_connection_forgo_chunks(struct next_hop_connection *connection);
/* After DONE or BROKEN: BDAT was offered and is not known. Who has no answer may be asked again by DATA: after
 * DONE here, if it is usable. */
bool next_hop_connection_has_refused_chunk(const struct next_hop_connection *connection);
const struct smtp_extensions *
next_hop_connection_extensions(const struct next_hop_connection *connection);
const struct smtp_reply *next_hop_connection_last(const struct next_hop_connection *connection);
/* Says QUIT when that is in place, otherwise just closes. Safe on NULL. */
void next_hop_connection_free(struct next_hop_connection **connection);
/* Closes at once. Safe on NULL. */
void next_hop_connection_abort(struct next_hop_connection **connection);

#endif
