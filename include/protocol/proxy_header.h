/*
 * proxy_header - the PROXY protocol: what a load balancer says about the client, before all else.
 *
 * Input   everything received and not yet used; nothing is copied.
 * Output  the client's endpoint and the one it connected to; both IP_NONE when the balancer speaks
 *         for itself (v1 UNKNOWN, v2 LOCAL and UNSPEC: a health check).
 * Limit   v1: 107 octets with CRLF; v2: PROXY_HEADER_LIMIT octets with its extensions, which
 *         are skipped.
 * Errors  see enum proxy_header_result. What is no header is known at its first wrong octet.
 * Source  HAProxy's doc/proxy-protocol.txt, versions 1 and 2
 */
#ifndef PROTOCOL_PROXY_HEADER_H
#define PROTOCOL_PROXY_HEADER_H

#include "protocol/ip_address.h"

enum { PROXY_HEADER_LIMIT = 536 };

enum proxy_header_result {
    PROXY_HEADER_READY,
    PROXY_HEADER_NEED_MORE,
    PROXY_HEADER_MALFORMED, /* no header, or one that contradicts itself */
    PROXY_HEADER_TOO_LONG,
};

struct proxy_header {
    struct ip_endpoint client, server;
};

/* `used` is how many octets the header took; with PROXY_HEADER_READY only. */
enum proxy_header_result proxy_header_parse(struct bytes input, struct proxy_header *header,
                                            size_t *used);

#endif
