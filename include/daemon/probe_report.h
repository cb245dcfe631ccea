/*
 * probe_report - what `postilion probe` found out about the next hops of an address, for people and for programs.
 *
 * Shape   lists in the order things happened; all of it lives in `arena`, or is static. Empty text and NULL:
 *         there is nothing to say about it.
 * Text    in pieces, so that it can be shown while it happens. What strangers said is made printable; in JSON it
 *         stays what it is.
 * Times   in milliseconds; those of a dialogue count from where connecting began.
 */
#ifndef DAEMON_PROBE_REPORT_H
#define DAEMON_PROBE_REPORT_H

#include "daemon/alias_trail.h"
#include "daemon/lookup_trail.h"
#include "forward/decision.h"
#include "forward/next_hop_order.h"
#include "forward/reply_class.h"
#include "forward/tls_policy.h"
#include "io/stream.h"

/* The worst one is that of the whole, in this order. */
enum probe_outcome {
    PROBE_OUTCOME_ACCEPTED,
    PROBE_OUTCOME_TEMPORARY,
    PROBE_OUTCOME_NO_HOST, /* DNS or our configuration say that there is none */
    PROBE_OUTCOME_REFUSED,
};

enum probe_voice { PROBE_WE, PROBE_THEY, PROBE_REMARK };

/* A line of a dialogue. */
struct probe_line {
    struct probe_line *next;
    uint64_t at_ms;
    enum probe_voice voice;
    struct bytes text;
};

/* One wait: from our command, or from the answer before it, to its answer. */
struct probe_stage {
    struct probe_stage *next;
    const char *name; /* "connect", "banner" ... */
    uint64_t ms;
    unsigned code; /* of the reply; 0: none */
};

/* What came of a host, or of a target that has none. */
struct probe_finding {
    enum probe_outcome outcome;
    const char *stage;       /* "dns", "connect", "banner" ... "dot" */
    unsigned code;           /* of the reply that decided, or 0 */
    struct bytes reply;      /* its enhanced code and text, or our reason */
    const char *class;       /* reply_class_text, or NULL: accepted */
    const char *what;        /* happened, when it was not a reply */
    const char *means, *who; /* sentences */
    const char *advice;      /* another one, or NULL */
};

struct probe_host {
    struct probe_host *next;
    struct bytes host;
    struct ip_endpoint endpoint;
    uint16_t preference;
    enum tls_level tls_level;
    struct bytes local; /* our address */
    struct probe_line *lines, **lines_end;
    struct probe_stage *stages, **stages_end;
    struct report_lines keywords; /* of the last EHLO */
    struct stream_tls_facts tls;
    struct tls_peer peer;
    struct probe_finding verdict;
};

struct probe_hop {
    struct bytes host;
    struct ip_endpoint endpoint;
    uint16_t preference;
    enum tls_level tls_level;
};

struct probe_target {
    struct probe_target *next;
    struct bytes address, sender, destination;
    const char *by; /* how its next hops are found: "MX", "route", "--host" */
    struct probe_hop *hops;
    size_t hop_count;
    bool is_mx_secure, is_partial;
    struct probe_host *hosts, **hosts_end;
    struct probe_finding verdict; /* of the delivery; with --all the worst of its hosts' */
};

struct probe_report {
    struct arena *arena;
    struct bytes asked; /* the address or the domain, as it was given */
    struct bytes helo;
    bool is_all;
    bool is_data;         /* a message is sent */
    int64_t unix_seconds; /* now: for days left */
    struct alias_trail aliases;
    struct lookup_trail lookups;
    struct probe_target *targets, **targets_end;
    struct report_lines notes;
    struct decision
        refusal; /* by our own aliases: nothing was probed; ACCEPT: they had no objection */
};

void probe_report_init(struct probe_report *report, struct arena *arena);
/* Each is put behind the last, and is the caller's to fill in. */
struct probe_target *probe_report_target(struct probe_report *report);
struct probe_host *probe_report_host(struct probe_report *report, struct probe_target *target);
/* Copies the text. */
const struct probe_line *probe_report_line(struct probe_report *report, struct probe_host *host,
                                           enum probe_voice voice, uint64_t at_ms,
                                           struct bytes text);
void probe_report_stage(struct probe_report *report, struct probe_host *host, const char *name,
                        uint64_t ms, unsigned code);
enum probe_outcome probe_report_outcome(const struct probe_report *report);
const char *probe_outcome_text(enum probe_outcome outcome); /* "accepted" ... */

/* ---- text, in the order it is shown ---- */

void probe_report_add_head(struct strbuf *out, const struct probe_report *report);
void probe_report_add_target(struct strbuf *out, const struct probe_report *report,
                             const struct probe_target *target);
void probe_report_add_lookup(struct strbuf *out, const struct lookup_note *note);
void probe_report_add_hops(struct strbuf *out, const struct probe_target *target);
void probe_report_add_host(struct strbuf *out, const struct probe_host *host);
void probe_report_add_line(struct strbuf *out, const struct probe_line *line);
/* Its times and its verdict. */
void probe_report_add_host_end(struct strbuf *out, const struct probe_host *host);
void probe_report_add_target_end(struct strbuf *out, const struct probe_target *target);
void probe_report_add_end(struct strbuf *out, const struct probe_report *report);
/* Remarks about what was agreed on: several lines, without LF at the end. */
void probe_report_write_tls(struct strbuf *out, const struct probe_report *report,
                            const struct probe_host *host);

void probe_report_add_json(struct strbuf *out, const struct probe_report *report);

#endif
