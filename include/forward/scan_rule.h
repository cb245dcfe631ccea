/*
 * scan_rule - what follows from what the scanners say of a message: clamd of viruses, rspamd of spam.
 *
 * Order    what is for good comes first, so that nobody is asked to come again in vain:
 *
 *          virus             550 5.7.1   clamd has found one
 *          spam              550 5.7.1   rspamd says reject
 *          scan-failed       451 4.3.0   a scanner gave no answer
 *          spam-later        451 4.7.1   rspamd says soft reject
 *          scan-too-large    552 5.3.4   more than scanners are given
 *
 * Marks    with accept: what was found all the same. "add header" and "rewrite subject" are marks, whatever the rule: no
 *          octet of a message is changed.
 * Bounces  on their way back are only marked as spam, never refused or held as such: losing one helps nobody. A virus
 *          in them is a virus.
 * Text     printable ASCII; a signature's name is escaped and cut. In the arena.
 */
#ifndef FORWARD_SCAN_RULE_H
#define FORWARD_SCAN_RULE_H

#include "forward/decision.h"
#include "protocol/rspamd_reply.h"

/* The first of each is the default. */
enum virus_rule { VIRUS_REFUSE, VIRUS_HOLD, VIRUS_TAG };
enum spam_rule { SPAM_REFUSE, SPAM_HOLD, SPAM_TAG };
enum scan_failure_rule { SCAN_FAILURE_DEFER, SCAN_FAILURE_ACCEPT };
enum scan_size_rule { SCAN_LARGE_ACCEPT, SCAN_LARGE_REFUSE };

struct scan_rules {
    int virus;      /* enum virus_rule */
    int spam;       /* enum spam_rule */
    int on_failure; /* enum scan_failure_rule */
    int too_large;  /* enum scan_size_rule */
};

enum scan_state {
    SCAN_NOT_ASKED,
    SCAN_OPEN, /* no answer yet */
    SCAN_DONE,
    SCAN_TOO_LARGE,
    SCAN_FAILED,
};

struct scan_findings {
    enum scan_state virus_state, spam_state;
    struct bytes virus; /* the signature's name; empty: clean */
    struct rspamd_reply spam;
    bool is_return; /* a bounce on its way back */
};

struct scan_answer {
    struct decision decision;
    const char *virus_mark, *spam_mark; /* with accept, or NULL; static */
    struct bytes virus_name;            /* as it can be written */
    const char *held_why;               /* NULL: it is not held */
};

enum { SCAN_NAME_LIMIT = 120 };

void scan_rule_judge(const struct scan_rules *rules, const struct scan_findings *findings,
                     struct arena *arena, struct scan_answer *answer);

#endif
