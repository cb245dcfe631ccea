/*
 * dns_message - DNS queries as octets, answers as values.
 *
 * Names   see dns_name.
 * Query   one question, RD and AD set, an OPT record (EDNS 1232, DO clear) last and without
 *         options (research: c-ares cuts its final 11 octets on FORMERR).
 * Answer  every length and pointer checked; compression pointers must point backwards, at most
 *         64 a name; CNAME chain of at most DNS_CHAIN_LIMIT followed inside the message; at
 * most DNS_RECORD_LIMIT records kept; the question must be the one asked. One record that
 *         cannot be read makes the whole answer TEMPFAIL. IPv4-mapped AAAA records become IPv4
 *         addresses, so that a deny list sees one form.
 * RFC     1035 §4, 2308 (negative TTL), 6840 §5.7 (AD in queries), 6891 (EDNS), 7505, 6698
 */
#ifndef PROTOCOL_DNS_MESSAGE_H
#define PROTOCOL_DNS_MESSAGE_H

#include "base/arena.h"
#include "protocol/dns_name.h"

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_TLSA = 52,
};

enum { DNS_CHAIN_LIMIT = 8, DNS_RECORD_LIMIT = 128 };

/* What a look-up says. Only OK has records. */
enum dns_status {
    DNS_OK,
    DNS_NODATA,   /* the name exists, not this type */
    DNS_NXDOMAIN, /* the name does not exist */
    DNS_TEMPFAIL, /* SERVFAIL, REFUSED, time-out, garbage, chain too long: try again later */
};

struct dns_record {
    uint16_t type;
    uint32_t ttl; /* seconds */
    union {
        struct ip_address address; /* A, AAAA */
        struct {
            uint16_t preference;
            struct bytes host; /* "" is the null MX (RFC 7505) */
        } mx;
        struct bytes text;  /* TXT: its strings joined */
        struct bytes name;  /* PTR, NS, CNAME */
        struct bytes rdata; /* TLSA and others: as it came */
    };
};

struct dns_answer {
    enum dns_status status;
    const char *why;   /* TEMPFAIL: "servfail", "timeout", "malformed" ...; else NULL; static */
    bool is_secure;    /* the resolver set AD */
    bool is_truncated; /* TC: ask over TCP */
    uint32_t ttl;      /* seconds: lowest of chain and records; negative: RFC 2308 §5 */
    struct bytes owner; /* the name the records belong to, behind all CNAMEs; empty: TEMPFAIL */
    struct dns_record *records;
    size_t count;
};

/* Writes a query. False: the name cannot be a DNS name (then nobody needs to be asked). */
bool dns_query_write(struct strbuf *out, uint16_t id, struct bytes name, uint16_t type);
/* Fills *answer (memory in the arena). Never fails: what cannot be read is TEMPFAIL. */
void dns_answer_read(struct bytes message, struct bytes asked_name, uint16_t asked_type,
                     struct arena *arena, struct dns_answer *answer);
/* Octets of one block of memory that holds a copy of the answer's records and names ... */
size_t dns_answer_size(const struct dns_answer *answer);
/* ... and the copy, into `memory` of that size, aligned for any type. */
void dns_answer_copy(const struct dns_answer *answer, void *memory, struct dns_answer *copy);
const char *dns_type_text(uint16_t type); /* "MX", or "other" */
const char *dns_status_text(enum dns_status status);

#endif
