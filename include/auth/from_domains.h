/*
 * from_domains - whose name a message carries: the domains of its From field (RFC5322.From).
 *
 * Input   the header of a message as it came, or the value of one field.
 * Output  every different domain, lower case, as A-labels, in the order they stand there.
 * Rules   comments, quoted strings, groups, obsolete routes and blanks around dots are read as
 *         RFC 5322 has them; names for show are skipped, encoded words too. Where mail in the
 *         wild is looser than the grammar (an unquoted "a@b.example <a@b.example>", a comma in
 *         a name, ";" between addresses) every domain a reader could take for the author's
 *         counts, so that nobody hides a second one behind a parser of another opinion. What
 *         could be read as anything at all (open quotes, octet NUL, "<a@b@c>") is malformed.
 *         Address literals and bare local parts are nobody's domain.
 * Limit   FROM_FIELD_LIMIT octets a field, FROM_DOMAIN_LIMIT domains; more is malformed. Time
 *         is linear.
 * RFC     5322 §3.4, §3.6.2, §4.4; 6532; 6854; 9989 §5.3.1, §11.5
 */
#ifndef AUTH_FROM_DOMAINS_H
#define AUTH_FROM_DOMAINS_H

#include "base/arena.h"

enum { FROM_FIELD_LIMIT = 65536, FROM_DOMAIN_LIMIT = 8 };

enum from_result {
    FROM_ONE_DOMAIN,
    FROM_SEVERAL_DOMAINS,
    FROM_NO_DOMAIN,      /* no From field, or one that names no domain */
    FROM_MALFORMED,      /* domains that could be read are listed all the same */
    FROM_SEVERAL_FIELDS, /* the domains of all of them are listed */
};

struct from_domains {
    enum from_result result;
    size_t fields; /* From fields in the header */
    struct bytes domains[FROM_DOMAIN_LIMIT];
    size_t count;
    const char *why; /* MALFORMED: what is wrong, for the log; else NULL */
};

/* The From fields of a header. */
enum from_result from_domains_read(struct bytes header, struct arena *arena,
                                   struct from_domains *found);
/* The value of one field. */
enum from_result from_domains_parse(struct bytes value, struct arena *arena,
                                    struct from_domains *found);
const char *from_result_text(enum from_result result); /* "one-domain" ... for the log */

#endif
