/*
 * key_check - do the keys we sign with stand in DNS?
 *
 * Way      one TXT look-up for each key, SELECTOR._domainkey.DOMAIN, through the resolvers given,
 *          all at once; what is not answered in KEY_CHECK_MS is not known, which is no error.
 * Output   lines for the operator about every key that is not simply published: "NAME: error:
 *          ...", "NAME: warning: ..." with the record to publish, and one "note: ..." when there
 *          was no answer. What DNS says is escaped.
 */
#ifndef DAEMON_KEY_CHECK_H
#define DAEMON_KEY_CHECK_H

#include "auth/message_seal.h"
#include "protocol/ip_address.h"

enum { KEY_CHECK_MS = 3000 };

struct key_check_counts {
    size_t published;
    size_t wrong;   /* another key, a revoked one, one not for mail: signatures fail */
    size_t missing; /* no key record: signatures count for nothing; or several records */
    size_t unknown; /* no answer */
};

/* No resolvers: those of /etc/resolv.conf. */
struct key_check_counts key_check_run(const struct seal *const *seals, size_t seal_count,
                                      const struct ip_endpoint *resolvers,
                                      size_t resolver_count, struct strbuf *out);

#endif
