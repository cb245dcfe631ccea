/*
 * scan_options - which scanners look at messages, where they are, and how long they have.
 *
 * Shape   plain values inside the configuration snapshot. All zero: nobody is asked, and that costs nothing.
 */
#ifndef INBOUND_SCAN_OPTIONS_H
#define INBOUND_SCAN_OPTIONS_H

#include "forward/scan_rule.h"
#include "protocol/ip_address.h"

struct scanner_place {
    bool is_set;
    const char *path;            /* of a Unix socket; or NULL, and */
    struct ip_endpoint endpoint; /* that is where it listens */
};

struct scan_options {
    struct scanner_place clamd, rspamd;
    struct scan_rules rules;
    uint64_t timeout_ms;  /* from the end of the content until both have answered */
    uint64_t max_size;    /* octets; what is larger is not shown to them */
    uint64_t concurrency; /* messages of one loop at the same time; more wait */
};

#endif
