/*
 * setup_call - one call of `postilion setup`, from its command line to its report.
 *
 *   setup_command  the command line, and the order of it all
 *   setup_facts    what can be found out: addresses, names, certificate; DNS
 *   setup_files    the files, and what is in them
 *   setup_report   text and JSON
 */
#ifndef DAEMON_SETUP_CALL_H
#define DAEMON_SETUP_CALL_H

#include "base/strbuf.h"
#include "daemon/config_errors.h"
#include "forward/publish_record.h"
#include "io/dns_resolver.h"

#include <stdio.h>

enum {
    SETUP_ADDRESSES = 8,
    SETUP_TEXT_LIMIT = 16 * 1024 * 1024,
    SETUP_WHY_LIMIT = 4096,
    SETUP_DNS_MS = 8000,
};

struct setup_file {
    const char *path;
    const char *note; /* what is in it, or is to be done; static */
    bool is_kept;     /* it was there */
};

struct setup_call {
    FILE *out, *err;
    struct arena *arena;

    /* said, or found out; the sources are static words */
    struct bytes *domains; /* A-labels */
    size_t domain_count;
    struct bytes hostname;
    const char *hostname_source;
    struct ip_address addresses[SETUP_ADDRESSES];
    size_t address_count;
    const char *address_source;
    bool is_route_known;       /* the addresses are those of the default routes */
    struct ip_address unnamed; /* IPv6 without a reverse name: nothing is sent from it */
    struct bytes srs_domain;
    struct bytes postmaster;                   /* or empty */
    const char *certificate, *certificate_key; /* where one was found, or NULL */
    int64_t certificate_expires;

    const char *user;
    const char *directory; /* of the files, also when they are not written */
    bool is_writing, is_json, has_dns;
    struct ip_endpoint resolver; /* address.family IP_NONE: those of resolv.conf */

    struct signing_key *key; /* NULL: not made */
    struct setup_file *files;
    size_t file_count;
    struct publish_list records;
    struct config_errors *errors; /* of the configuration that was written, or NULL */

    struct event_loop *loop;
    struct dns_resolver *dns;
    struct dns_facts *facts;
    uint64_t deadline_ms;
};

/* ---- setup_facts ---- */
void setup_start_dns(struct setup_call *call);
void setup_stop_dns(struct setup_call *call); /* safe when it was not started */
/* Addresses, host name and certificate. False: no name, which has been told. */
bool setup_find(struct setup_call *call);
void setup_find_records(struct setup_call *call);

/* ---- setup_files ---- */
#define SETUP_SELECTOR "s1"
/* FILE in the directory; in the arena. */
const char *setup_path(const struct setup_call *call, const char *file);
/* The alias file of a domain, without the directory. */
const char *setup_alias_file(const struct setup_call *call, size_t domain);
void setup_add_configuration(const struct setup_call *call, struct strbuf *out);
/* All of them. A sysexits code; what went wrong has been told. */
int setup_write_files(struct setup_call *call);

/* ---- setup_report ---- */
int setup_report(const struct setup_call *call);

#endif
