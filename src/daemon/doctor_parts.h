/*
 * doctor_parts - one examination while it runs.
 *
 * Private to room daemon. Files: doctor.c (the order, look-ups), doctor_host_facts.c (files, disks, clock, certificates,
 * addresses), doctor_connect.c (connections up to the greeting), doctor_relay.c (the rehearsed session).
 */
#ifndef DAEMON_DOCTOR_PARTS_H
#define DAEMON_DOCTOR_PARTS_H

#include "daemon/doctor.h"
#include "forward/doctor_dns.h"
#include "forward/doctor_host.h"

#include <stdatomic.h>

struct doctor {
    const struct doctor_request *request;
    struct snapshot *snapshot;
    const struct config *config;
    struct event_loop *loop;
    struct dns_resolver *resolver; /* NULL: nobody is asked */
    struct dns_facts *facts;
    struct arena *arena; /* the findings' */
    struct findings *findings;
    struct doctor_names names;
    struct ip_address sending[DOCTOR_ADDRESS_LIMIT], receiving[2 * DOCTOR_ADDRESS_LIMIT];
    int64_t now;
    bool is_deaf; /* the resolver does not answer */
    atomic_bool is_stopped;
};

/* doctor_host_facts.c */
void doctor_find_addresses(struct doctor *doctor);
void doctor_look_at_host(struct doctor *doctor);
/* `names`: what the world calls us in MX records. */
void doctor_look_at_certificates(struct doctor *doctor, const struct bytes *names,
                                 size_t count);

/* doctor_connect.c */
/* Fills in what each call came to; host and endpoint are given. All at once. */
void doctor_connect(struct doctor *doctor, struct doctor_call *calls, size_t count,
                    bool is_outward);

/* doctor_relay.c */
void doctor_try_relay(struct doctor *doctor);

#endif
