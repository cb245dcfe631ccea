/*
 * dns_list - is a client, a sender's domain or a HELO name in a list that is kept in DNS?
 *
 * Ask     A of the address backwards (or of the name) under the list's zone. Only answers inside
 *         127.0.0.0/8 say something; of these the codes that the operator wants, or any. When it is
 *         listed, TXT of the same name says why.
 * Guard   a listing counts only when the list works: its test entry (127.0.0.2, or "test" for names)
 *         is listed and what must not be (127.0.0.1, "invalid") is not, as RFC 5782 §5 wants. A list
 *         that has gone and answers for everything, or for nothing, finds nobody. The test entries
 *         are asked for only when somebody is listed.
 * Refused answers 127.255.255.0/24 and 127.0.0.1 say that the list does not serve our resolver (too
 *         many questions, a public resolver): no answer at all.
 * Time    what has no answer is no listing.
 * DNS     by replay (auth/auth_result.h).
 * RFC     5782
 */
#ifndef FORWARD_DNS_LIST_H
#define FORWARD_DNS_LIST_H

#include "auth/auth_result.h"
#include "base/arena.h"
#include "forward/client_rule.h"
#include "protocol/dns_facts.h"

enum { DNS_LIST_LIMIT = 32, DNS_LIST_MATCHES = 16, DNS_LIST_TEXT_LIMIT = 160 };

enum dns_list_subject { DNS_LIST_CLIENT, DNS_LIST_SENDER, DNS_LIST_HELO };

/* An answer that counts: first <= answer <= last, or one that has any of the bits. */
struct dns_list_match {
    uint32_t first, last; /* 127.0.0.2 is 0x7f000002 */
    uint32_t bits;        /* not 0: these, instead of the range */
};

struct dns_list {
    struct bytes zone; /* lower case, A-labels */
    enum dns_list_subject subject;
    struct client_rule rule; /* of a block list */
    struct dns_list_match matches[DNS_LIST_MATCHES];
    size_t match_count; /* 0: whatever says that it is listed */
};

/* Who is looked for. A list about a name that is not there lists nobody. */
struct dns_list_identity {
    struct ip_address client;
    struct bytes sender; /* domain; empty: the null sender, or an address literal */
    struct bytes helo;   /* name; empty: a literal, or nothing that is a name */
};

enum dns_list_standing {
    DNS_LIST_CLEAR,
    DNS_LIST_LISTED,
    DNS_LIST_UNANSWERED,
    DNS_LIST_REFUSED,       /* it does not want to be asked by us */
    DNS_LIST_HAS_EVERYBODY, /* also what must not be listed */
    DNS_LIST_HAS_NO_TEST,   /* not even its test entry */
};

struct dns_list_verdict {
    enum dns_list_standing standing;
    uint32_t code; /* LISTED: the answer that counts; REFUSED: the one that said so */
    struct bytes
        text; /* LISTED: the list's own words, printable ASCII, in the arena; or empty */
};

/* "127.0.0.2", "127.0.0.2-127.0.0.9", "&0.0.0.6" (any of these bits). */
bool dns_list_match_parse(struct bytes text, struct dns_list_match *match);
/* The name to be asked for, in `out`. False: there is none for such an identity, or it is too long. */
bool dns_list_name(const struct dns_list *list, const struct dns_list_identity *identity,
                   struct dns_name *out);
/* On AUTH_NEEDS_DNS the verdict reads "unanswered". */
enum auth_status dns_list_check(const struct dns_list *list,
                                const struct dns_list_identity *identity,
                                struct dns_facts *facts, struct arena *arena,
                                struct dns_list_verdict *verdict);
/* What is wrong with a list, for the log: "query-refused" ...; NULL: nothing. */
const char *dns_list_trouble(enum dns_list_standing standing);

#endif
