/*
 * publish_record - the DNS records that a host that forwards mail needs, and what of them stands there already.
 *
 * Input    the host, its domains and its keys; names in A-labels, lower case, without a dot at the end.
 * Output   one entry a record, in the order an operator goes through them: host, domains, SRS domains, keys. Equal ones once. Memory in the
 *          arena; `why` and `advice` are static.
 * DNS      by replay (auth_result.h): AUTH_NEEDS_DNS until all is known, three rounds mostly. Until then, and for what
 *          has no answer, the state is PUBLISH_UNKNOWN. `facts` NULL: nothing is asked, all of it is PUBLISH_UNKNOWN.
 * Right    means: does what it is for, in whatever words. An MX is right when one of its hosts is this one; an SPF record when each
 *          address passes; a DMARC record also when it stands at a parent.
 * Strangers' text (`present`) is printable: what is not became \xNN.
 * RFC      1035 §3.3, §5.1; 5321 §5; 7208; 6376 §3.6; 9989 §4.10; 6698, 7672 §3.1
 */
#ifndef FORWARD_PUBLISH_RECORD_H
#define FORWARD_PUBLISH_RECORD_H

#include "auth/auth_result.h"
#include "auth/signing_key.h"
#include "protocol/dns_facts.h"

enum { PUBLISH_MX_LIMIT = 20, PUBLISH_DIGEST_OCTETS = 32 };

enum publish_kind {
    PUBLISH_HOST_ADDRESS, /* A or AAAA of hostname */
    PUBLISH_REVERSE_NAME, /* PTR: where the address was rented */
    PUBLISH_HOST_SPF,     /* for bounces, whose sender is empty: HELO is asked about */
    PUBLISH_DOMAIN_MX,
    PUBLISH_RETURN_MX, /* of an SRS domain */
    PUBLISH_RETURN_SPF,
    PUBLISH_KEY,
    PUBLISH_DMARC,
    PUBLISH_TLSA,
};

enum publish_state {
    PUBLISH_RIGHT,
    PUBLISH_MISSING,
    PUBLISH_WRONG, /* something stands there, and does not do */
    PUBLISH_UNKNOWN,
};

struct publish_key {
    struct bytes selector, domain;
    const struct signing_key *key;
};

struct publish_host {
    struct bytes hostname;
    const struct ip_address *addresses; /* mail comes and goes by these */
    size_t address_count;
    const struct bytes *domains; /* with aliases */
    size_t domain_count;
    const struct bytes *srs_domains;
    size_t srs_domain_count;
    const struct publish_key *keys;
    size_t key_count;
    const unsigned char
        *tlsa_digest; /* SHA-256 of the certificate's public key; NULL: no TLSA record */
};

struct publish_record {
    enum publish_kind kind;
    enum publish_state state;
    struct bytes name; /* without a dot at the end */
    uint16_t type;     /* enum dns_type */
    struct bytes
        value; /* what to publish. TXT: the text itself, whole and unquoted; names with a dot at the end */
    struct bytes present; /* WRONG: what stands there now */
    const char *why;      /* one sentence */
    const char *advice;   /* or NULL: what is not as good as it could be, or how to change it */
};

struct publish_list {
    struct publish_record *records;
    size_t count;
};

enum auth_status publish_records(const struct publish_host *host, struct dns_facts *facts,
                                 struct arena *arena, struct publish_list *list);
const char *publish_state_text(enum publish_state state); /* "right" ... */
/* The value as a zone file has it: text quoted, in strings of at most 255 octets. */
void publish_record_add_value(struct strbuf *out, const struct publish_record *record);
/* One line of a zone file, without its end: NAME. IN TYPE VALUE. */
void publish_record_add_line(struct strbuf *out, const struct publish_record *record);
/* All that is not right, as a snippet of a zone file, with its reasons as comments; PTR records, which belong to
 * others, as comments. Returns how many records that are. */
size_t publish_list_add_zone(struct strbuf *out, const struct publish_list *list);

#endif
