/*
 * delivery_attempt - one try to hand a message to the next hop of a destination.
 *
 * Flow    1 an idle connection of the destination; without one:
 *         2 its next hops (DNS by replay, static route; remembered for their TTL), and a new
 *           connection: hosts in order until one greets
 *         3 one SMTP transaction with all recipients; results per recipient
 *         4 on_done, never from inside start; the caller makes the outcome durable, then calls
 *           delivery_attempt_finish, and only then the connection may be used again: so a crash
 *           can double at most one message per connection.
 * Hosts   a host that cannot be reached, greets 4xx/5xx or breaks before the envelope is
 *         answered is left for the next one; a 5xx answer to MAIL, RCPT or DATA is the
 *         destination's answer (RFC 5321 §5.1 leaves the choice); with a 4xx one more host is
 *         asked, and counts only when it takes the message. After content has gone out no other
 *         host is tried.
 * Sharing destinations with the same mail hosts share connections: see host_group.
 * UTF-8   a next hop without SMTPUTF8 gets a message that does not need it without saying so; else a
 *         header or a sender in UTF-8 fails them all (5.6.7), a recipient in UTF-8 that one.
 * TLS     mail that REQUIRETLS was said for (RFC 8689) goes only to a host that offers the same, with a
 *         certificate for its name, and whose name came from DNSSEC or a static route; a host that does
 *         not is left for the next one, and when there is none it fails (5.7.30, 5.7.10); what may only
 *         be trouble of today is tried again. A bounce says it where it may, and goes all the same (§5).
 * Limits  what a host announces by LIMITS (RFC 9422) is kept to: recipients go in as many transactions, and
 *         these over as many connections, as that takes.
 * Reports RET, ENVID, NOTIFY and ORCPT are passed on where DSN is offered (RFC 3461 §5.2).
 * Asking  a request can be a question: MAIL and RCPT, never content. SENT then means that the RCPT was accepted.
 *         Servers count what is no mail (Exim drops who says RSET eleven times, Postfix who is refused twenty
 *         times): after DELIVERY_QUESTIONS a connection is not kept.
 * Watch   who names one sees next hops and connections as they come, and may choose among the hosts.
 * Reuse   a kept connection that breaks before the content went out is no failure: a new one to
 *         the same host is tried.
 * Time    per-stage deadlines of RFC 5321 §4.5.3.2; connect 30 s a host.
 * Threads one `outbound` per loop; it owns the connections of the destinations that loop owns.
 */
#ifndef OUTBOUND_DELIVERY_ATTEMPT_H
#define OUTBOUND_DELIVERY_ATTEMPT_H

#include "base/shared.h"
#include "forward/next_hop_order.h"
#include "forward/tls_policy.h"
#include "forward/reply_class.h"
#include "io/content.h"
#include "io/dns_resolver.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "mail/trace_field.h"
#include "outbound/connection_watch.h"
#include "protocol/dsn_parameter.h"

enum { DELIVERY_QUESTIONS = 8 };

struct outbound_options {
    struct shared *snapshot; /* what the rest points into; held by each attempt */
    struct bytes helo_name;
    struct bytes loop_secret; /* for trace_field_loop_mark */
    const struct delivery_route_table *routes;
    struct tls_policy_table tls_policies;
    struct tls_context *tls_context; /* NULL: all policies are off */
    struct next_hop_options next_hops;
    struct ip_address source_v4, source_v6; /* IP_NONE: any */
    unsigned reuse_messages;                /* messages over one connection, 100 */
    uint64_t reuse_idle_ms;                 /* how long an idle connection is kept, 10 s */
    uint64_t reuse_ms;                      /* its whole life between messages, 5 min; 0: any */
    uint64_t connect_timeout_ms;            /* 30 s */
    uint64_t command_timeout_ms;            /* banner, EHLO, MAIL, RCPT: 5 min */
    uint64_t data_timeout_ms;               /* 354: 2 min */
    uint64_t block_timeout_ms;              /* no progress in the content: 3 min */
    uint64_t dot_timeout_ms;                /* 10 min */
    uint64_t handshake_timeout_ms;          /* 60 s; 0: as command_timeout_ms */
    uint64_t dns_timeout_ms;                /* of a round of look-ups; 0: 30 s */
};

struct outbound;

struct outbound *outbound_new(struct event_loop *loop, struct dns_resolver *resolver,
                              const struct outbound_options *options);
void outbound_set_options(struct outbound *outbound, const struct outbound_options *options);
/* Closes idle connections; no attempt may be open. */
void outbound_free(struct outbound **outbound);
/* Closes all idle connections (QUIT), for draining. */
void outbound_close_idle(struct outbound *outbound);

enum delivery_outcome {
    DELIVERY_SENT,      /* 2xx after the dot; of a question: to RCPT */
    DELIVERY_TEMPORARY, /* try again */
    DELIVERY_PERMANENT, /* will not work */
};

/* What kind of trouble: back-off of the destination depends on it. */
enum delivery_trouble {
    DELIVERY_TROUBLE_NONE,
    DELIVERY_TROUBLE_DNS,
    DELIVERY_TROUBLE_CONNECTION, /* no host could be reached, or all broke */
    DELIVERY_TROUBLE_TLS,        /* one was reached, but not as the policy wants it */
    DELIVERY_TROUBLE_REPLY,      /* the next hop said 4xx or 5xx */
};

struct delivery_recipient {
    struct bytes address; /* "local@domain" as sent in RCPT (borrowed until finish) */
    struct bytes alias;   /* for the loop mark; ORCPT where the sender said none */
    unsigned notify;      /* what the sender wants to hear of it: enum dsn_notify */
    struct bytes orcpt;   /* as the sender wrote it, or empty */
    /* out, good until finish: */
    enum delivery_outcome outcome;
    unsigned code;          /* reply code, or 0 when the reason is ours */
    char enhanced[12];      /* "5.1.1", never empty */
    struct bytes text;      /* "250 2.0.0 ok" as far as kept, or our reason; printable */
    enum reply_class class; /* unless it was sent */
    bool is_own_answer;     /* of a question: it is the answer to its own RCPT */
    bool is_dsn_passed; /* SENT, and the next hop has been told what the sender wants to hear */
};

struct delivery_watch {
    void *context;
    /* The next hops, in the order they are tried; once they have been looked up. */
    void (*on_hops)(void *context, const struct next_hop_list *list);
    bool (*may_try)(void *context, const struct next_hop *hop); /* NULL: any of them */
    struct connection_watch connection;
};

struct delivery_request {
    uint64_t id; /* of the message: log */
    struct bytes destination;
    struct bytes sender; /* "local@domain", empty: null */
    bool is_8bit;
    bool is_utf8;        /* SMTPUTF8 was said */
    bool is_utf8_header; /* ... and the header needs it */
    bool requires_tls;   /* REQUIRETLS was said */
    enum dsn_return ret; /* for the next hop's reports */
    struct bytes envid;
    struct bytes prefix;                   /* goes before the content */
    struct content *content;               /* borrowed until finish; NULL: a question */
    struct delivery_recipient *recipients; /* borrowed until finish */
    size_t count;
    /* Asked once, as soon as it is known whose hosts the mail goes to and before a connection is used:
     * `hosts` names them all, the same for every destination they serve (host_group). False: not now;
     * the attempt ends, report.is_put_off. May be called from inside start. NULL: always. */
    bool (*may_connect)(void *context, struct bytes hosts);
    const struct delivery_watch *watch; /* borrowed until finish, or NULL: nobody */
};

struct delivery_report {
    struct bytes host; /* MX host that gave the final answer, or empty */
    struct ip_endpoint endpoint;
    struct bytes local; /* "" or our source address: text */
    enum delivery_trouble trouble;
    bool is_put_off;     /* may_connect said so: nothing was tried, there are no results */
    bool is_in_doubt;    /* the dot is out, its reply never came: a retry may double it */
    const char *stage;   /* where it ended: "dns", "connect", "envelope" (MAIL, RCPT, DATA were
                            answered), "dot", or the smtp_stage_text that broke; static */
    uint64_t connect_ms; /* 0 on a reused connection */
    uint64_t transfer_ms;
    bool is_reused;
    struct stream_tls_facts tls; /* with `endpoint` */
};

struct delivery_attempt;

struct delivery_attempt *delivery_attempt_start(struct outbound *outbound,
                                                const struct delivery_request *request,
                                                void (*on_done)(void *context), void *context);
const struct delivery_report *delivery_attempt_report(const struct delivery_attempt *attempt);
/* After on_done: gives only the connection back; report and results stay as they are until finish. For
 * a message that is not durable and whose client waits: there is nothing to record first. */
void delivery_attempt_give_back(struct delivery_attempt *attempt);
/* After on_done: gives the connection back and frees the attempt. Before it: aborts (the
 * connection is closed, on_done will not run). Safe on NULL. */
void delivery_attempt_finish(struct delivery_attempt **attempt);

#endif
