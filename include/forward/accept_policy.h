/*
 * accept_policy - what follows from who a message proved to be.
 *
 * Input   the operator's choices and the checks' verdicts on the identities that came in, before
 *         any rewriting: afterwards our own SRS would pass for them.
 * Output  a decision; with accept, what the message is to be marked for. The first that applies:
 *
 *         1 several From fields, or one nobody can read   550 5.6.0  (rule of dmarc-reject)
 *         2 own domain in From or MAIL FROM, not proven   550 5.7.26 own-domain-spoof
 *           (or a failed author whom nothing but our own name on the copy would make pass)
 *         3 DMARC fail, reject asked for                  550 5.7.1  dmarc-reject
 *         4 DMARC fail, quarantine asked for              554 5.7.1  dmarc-quarantine
 *         5 SPF fail                                      550 5.7.23 spf-fail
 *         6 no reverse name that leads back               550 5.7.25 iprev
 *         7 a check that could still refuse, unanswered   451        auth-temperror
 *         8 fine here, certain to fail DMARC at the next hop (see Doomed)  550 5.7.1 doomed
 *
 * Proof   of an own domain: an aligned DKIM or SPF pass for each author; for MAIL FROM an SPF
 *         pass, a signature of its domain, or authors of ours that are proven.
 * SPF     "refuse-unless-dkim" lets go what carries a DKIM pass aligned with its author, or of
 *         the MAIL FROM domain: it was forwarded once already. "refuse" is said before the
 *         content is seen (accept_policy_for_sender).
 * ARC     an author vouched for by a sealer in arc-trust counts as proven for rules 2 to 5 and 8:
 *         the chain stands in for what broke on the way (mark "arc-trusted"). It is asked before
 *         any of them refuses, and when its keys have no answer yet, it is 451 4.7.29 arc-temperror
 *         instead, whatever auth-temperror says. "spf-fail refuse" asks no chain, as it asks no
 *         signature; with authors in several domains none speaks for all.
 * Doomed  DMARC passed here, but will not once the copy has left with its new envelope sender: it
 *         lived by SPF alone, and the author's domain asks for reject (`doomed`) or quarantine
 *         (`doomed_quarantine`). What failed here already and was let in by another rule is not
 *         judged again. The rule says refuse, forward all the same, munge (needs munge_from and a
 *         message that can be munged: otherwise as refuse), or hold.
 * Wait    what is only temporary is never refused: when a key or a record is missing that could
 *         save the message from rules 2 to 6, it is deferred, or marked. A refusal that stands
 *         without the missing answer is given at once.
 * Text    names what failed and what helps; printable ASCII, REPLY_TEXT_LIMIT octets, in the
 *         arena.
 * RFC     7208 §8, 7372, 8601, 9989 §7.4
 */
#ifndef FORWARD_ACCEPT_POLICY_H
#define FORWARD_ACCEPT_POLICY_H

#include "auth/auth_result.h"
#include "auth/dmarc_check.h"
#include "auth/from_domains.h"
#include "base/arena.h"
#include "forward/content_rule.h"
#include "forward/decision.h"
#include "forward/reply_text.h"

enum { ACCEPT_MARK_LIMIT = 7 };

/* The first of each is the default. */
enum spf_fail_rule { SPF_FAIL_REFUSE_UNLESS_DKIM, SPF_FAIL_REFUSE, SPF_FAIL_TAG };
enum dmarc_reject_rule { DMARC_REJECT_REFUSE, DMARC_REJECT_TAG };
enum dmarc_quarantine_rule {
    DMARC_QUARANTINE_TAG,
    DMARC_QUARANTINE_REFUSE,
    DMARC_QUARANTINE_ACCEPT,
};
enum auth_temperror_rule { AUTH_TEMPERROR_DEFER, AUTH_TEMPERROR_ACCEPT };
enum own_domain_rule { OWN_DOMAIN_REFUSE, OWN_DOMAIN_TAG, OWN_DOMAIN_ACCEPT };
enum iprev_rule { IPREV_OFF, IPREV_TAG, IPREV_REFUSE };
enum doomed_rule { DOOMED_REFUSE, DOOMED_FORWARD, DOOMED_MUNGE, DOOMED_HOLD };
enum doomed_quarantine_rule {
    DOOMED_QUARANTINE_FORWARD,
    DOOMED_QUARANTINE_REFUSE,
    DOOMED_QUARANTINE_MUNGE,
    DOOMED_QUARANTINE_HOLD,
};
enum munge_rule { MUNGE_NEVER, MUNGE_WHEN_NEEDED };
/* Judged by forward/grey_list. */
enum greylist_rule { GREYLIST_OFF, GREYLIST_SUSPICIOUS, GREYLIST_ALL };

struct accept_policy {
    enum spf_fail_rule spf_fail;
    enum dmarc_reject_rule dmarc_reject;
    enum dmarc_quarantine_rule dmarc_quarantine;
    enum auth_temperror_rule auth_temperror;
    enum own_domain_rule own_domain_spoof;
    enum iprev_rule iprev;
    enum doomed_rule doomed;
    enum doomed_quarantine_rule doomed_quarantine;
    enum munge_rule munge_from;
    enum greylist_rule greylist;
    /* Judged by forward/content_rule, whether or not anybody is authenticated. */
    enum blocked_content_rule blocked_content;
    enum header_sanity_rule header_sanity;
    enum header_8bit_rule header_8bit;
    /* Kept by forward/forward_budget: recipients a mailbox; 0: no limit. */
    int forwards_hourly;
    int forwards_daily;
};

/* What is known of a client and a sender, before any content. */
struct sender_facts {
    struct bytes client;  /* address as text */
    enum auth_result spf; /* of MAIL FROM; of HELO with the null sender */
    struct bytes spf_domain;
    struct bytes spf_explanation; /* the domain's own words, or empty */
    enum auth_result iprev;
    bool is_own_sender; /* MAIL FROM is in a domain we serve */
};

struct message_facts {
    struct sender_facts sender;
    enum from_result from;
    bool is_own_author; /* one of the author domains is served here */
    const struct dmarc_verdict *dmarc;
    enum auth_result sender_signature; /* DKIM of the MAIL FROM domain: pass, temperror, none */
    /* What the next hop will find; NULL: nobody can say. */
    const struct dmarc_verdict *forwarded;
    enum auth_result arc;     /* pass, fail, none; temperror: it might pass yet */
    bool is_arc_relevant;     /* arc-trust names somebody: a temperror is worth waiting for */
    struct bytes arc_voucher; /* the trusted sealer that vouches for the author; or empty */
    bool can_munge;           /* one readable author, and a key to sign with */
};

/* What becomes of DMARC at the next hop. */
enum forecast {
    FORECAST_NONE,    /* no policy applies there, or nobody can say */
    FORECAST_PASS,    /* an aligned signature, or our sender, carries it */
    FORECAST_VOUCHED, /* it will not pass, but a trusted chain goes with it */
    FORECAST_FAIL,    /* fails, and the author's domain asks for quarantine or reject */
};

enum forward_manner { FORWARD_AS_IT_IS, FORWARD_MUNGED, FORWARD_HELD };

struct accept_answer {
    struct decision decision;
    const char *marks[ACCEPT_MARK_LIMIT]; /* with accept: "spf-fail" ..., static */
    size_t mark_count;
    enum forward_manner manner; /* with accept */
    enum forecast forecast;
    const char *forecast_why; /* for the log: "spf-only" ...; static */
};

const char *forecast_text(enum forecast forecast); /* "pass" ... */

/* At MAIL or RCPT: what no content can change (spf-fail refuse, iprev refuse). */
void accept_policy_for_sender(const struct accept_policy *policy,
                              const struct sender_facts *facts, struct arena *arena,
                              struct accept_answer *answer);
/* After the content: everything. */
void accept_policy_for_message(const struct accept_policy *policy,
                               const struct message_facts *facts, struct arena *arena,
                               struct accept_answer *answer);
/* What holds for mail to an address of ours that leads back to a sender. A bounce on its way back has
 * proven itself by the tag in its address; whoever writes bounces seldom signs them. But what says it
 * is from a domain of ours would be taken for it at the next server, where our own HELO speaks for the
 * null sender. */
struct accept_policy accept_policy_of_returns(const struct accept_policy *usual);

#endif
