/*
 * doctor - looks at this installation: what a configuration, this machine and the world say of it.
 *
 * Use     doctor_new, doctor_run (waits until all is known), doctor_free; on one thread, with a loop of its own. Only
 *         doctor_stop may be called from another one: then doctor_run returns soon, with what it has.
 * World   questions to the resolver; connections to our own listeners and to port 25 of a few hosts, up to their
 *         greeting; a session of the daemon's own code that a stranger tries to relay through. Nothing is sent, nothing written.
 * Output  findings (mail/finding) in the order host, SRS domains, domains.
 * Time    DOCTOR_STEP_MS for each subject's look-ups, DOCTOR_CALL_MS for connections, all of them at once.
 */
#ifndef DAEMON_DOCTOR_H
#define DAEMON_DOCTOR_H

#include "daemon/snapshot.h"
#include "mail/finding.h"

enum { DOCTOR_STEP_MS = 10000, DOCTOR_CALL_MS = 15000, DOCTOR_DOMAINS_DAILY = 200 };

struct doctor_request {
    struct snapshot *snapshot; /* *held* while it runs */
    struct bytes domain;       /* only this one; empty: the host and every domain */
    const struct ip_address
        *addresses; /* how the world sees us; none: those of the configuration */
    size_t address_count;
    const struct ip_endpoint *resolvers; /* none: those of the configuration */
    size_t resolver_count;
    const struct ip_endpoint *listening; /* where we can be connected to */
    size_t listening_count;
    struct bytes port_25;                  /* a host; empty: as configured */
    struct bytes signed_name, broken_name; /* for DNSSEC: doctor_resolver.h */
    bool is_offline;                       /* nobody is asked */
    bool asks_public_lists;
    bool is_daemon;      /* inside the worker: what its sandbox forbids is left out */
    size_t domain_limit; /* 0: all */
};

struct doctor;

/* All of the request is *borrowed*. */
struct doctor *doctor_new(const struct doctor_request *request);
/* False: it could not begin, *why. */
bool doctor_run(struct doctor *doctor, struct findings *findings, struct strbuf *why);
void doctor_stop(struct doctor *doctor);  /* any thread */
void doctor_free(struct doctor **doctor); /* safe on NULL */

#endif
