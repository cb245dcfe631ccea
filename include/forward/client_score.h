/*
 * client_score - what follows from who the client is: accept, tag, defer or refuse.
 *
 * Input   what was found out (client_score_add for each), and the operator's rules. A rule acts by
 *         itself (tag, defer, refuse), or gives points; points add up, and their sum is compared with
 *         the thresholds. The severest of all stands; of equally severe ones the first that was added.
 * Output  a decision; each control has a reply of its own:
 *
 *         early-talker      554 5.5.1   spoke before our greeting
 *         pipelining        554 5.5.1   sent commands before our answer to EHLO
 *         helo, helo-local  550 5.5.4   RFC 5321 §4.1.1.1
 *         reverse-name      550 5.7.25  RFC 7372
 *         blocklist         550 5.7.1   with the list's zone and its own words
 *         sender-domain     550 5.1.8, null MX: 550 5.7.27 (RFC 7505)
 *         (the sum)         550 5.7.1   client-score, names what was found
 *
 *         with `defer` the same as 450 4.x.x.
 * Wait    a finding that is only "cannot be said now" (is_open) never refuses: where the rule says
 *         refuse or defer it is 451, otherwise it is nothing, and it has no points.
 * Text    printable ASCII, CLIENT_TEXT_LIMIT octets, in the arena.
 * RFC     5321 §4.5.1: postmaster is for everybody; asking for other recipients only is the caller's.
 */
#ifndef FORWARD_CLIENT_SCORE_H
#define FORWARD_CLIENT_SCORE_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "forward/client_rule.h"
#include "forward/decision.h"

enum { CLIENT_TEXT_LIMIT = 460, CLIENT_FINDING_LIMIT = 48 };

enum client_control {
    CLIENT_EARLY_TALKER,
    CLIENT_PIPELINING,
    CLIENT_HELO,       /* what no honest server says */
    CLIENT_HELO_LOCAL, /* what only means something where the client is */
    CLIENT_REVERSE_NAME,
    CLIENT_BLOCKLIST, /* each list has a rule of its own */
    CLIENT_SENDER_DOMAIN,
    CLIENT_CONTROLS,
};

struct client_rules {
    struct client_rule of[CLIENT_CONTROLS]; /* that of CLIENT_BLOCKLIST is not used */
    unsigned tag_at, defer_at, refuse_at;   /* points; 0: never */
};

struct client_finding {
    enum client_control control;
    struct client_rule rule;
    const char *what;     /* for the log: "our-name", "null-mx" ...; static; or NULL */
    const char *words;    /* for the client: "is our own name"; static; or NULL */
    struct bytes subject; /* the HELO, the address, the list's zone, the domain */
    struct bytes listed;  /* blocklist: what is listed: the address or a name */
    struct bytes text;    /* blocklist: its own words */
    bool is_null_mx;
    bool is_open;
};

/* Findings and what they come to. Zero it, set `rules` and `arena`. */
struct client_judgement {
    const struct client_rules *rules;
    struct arena *arena;
    struct client_finding findings[CLIENT_FINDING_LIMIT];
    size_t count;
};

struct client_answer {
    struct decision decision;
    unsigned points;
    bool is_tagged; /* with accept: it is to be marked */
};

/* With the rule of its control, where there is one. A rule that is off leaves no finding. */
void client_score_add(struct client_judgement *judgement, const struct client_finding *finding);
/* Of what was added so far. */
struct client_answer client_score_judge(const struct client_judgement *judgement);
/* "early-talker" ... */
const char *client_control_text(enum client_control control);
/* "blocklist:bl.example", "helo:our-name": short, printable, for logs and the header. */
void client_finding_add_text(struct strbuf *out, const struct client_finding *finding);
/* How many points there may be at most: what the rules give, and `listed` points of lists. */
unsigned client_rules_most(const struct client_rules *rules, unsigned listed);

#endif
