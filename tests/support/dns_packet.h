/*
 * dns_packet - DNS messages for tests, piece by piece, right or wrong as the test wants them.
 *
 * Use     dns_packet_begin, records, dns_packet_end (writes the counts that were given to
 * begin).
 */
#ifndef TESTS_SUPPORT_DNS_PACKET_H
#define TESTS_SUPPORT_DNS_PACKET_H

#include "base/strbuf.h"
#include "protocol/dns_message.h"

enum { DNS_QR = 0x8000, DNS_TC = 0x0200, DNS_RD = 0x0100, DNS_RA = 0x0080, DNS_AD = 0x0020 };

static inline void dns_packet_u16(struct strbuf *out, unsigned value)
{
    strbuf_add_char(out, (char)(value >> 8));
    strbuf_add_char(out, (char)value);
}

static inline void dns_packet_u32(struct strbuf *out, uint32_t value)
{
    dns_packet_u16(out, value >> 16);
    dns_packet_u16(out, value & 0xffff);
}

/* Labels as they stand between the dots; no escapes. */
static inline void dns_packet_name(struct strbuf *out, const char *text)
{
    struct bytes rest = bytes_from_text(text);

    while (rest.len > 0) {
        struct bytes label = bytes_cut(&rest, '.');

        strbuf_add_char(out, (char)label.len);
        strbuf_add(out, label);
    }
    strbuf_add_char(out, 0);
}

/* Header and question. */
static inline void dns_packet_begin(struct strbuf *out, unsigned id, unsigned flags,
                                    const char *name, unsigned type, unsigned answers,
                                    unsigned authorities)
{
    dns_packet_u16(out, id);
    dns_packet_u16(out, flags);
    dns_packet_u16(out, 1);
    dns_packet_u16(out, answers);
    dns_packet_u16(out, authorities);
    dns_packet_u16(out, 0);
    dns_packet_name(out, name);
    dns_packet_u16(out, type);
    dns_packet_u16(out, 1);
}

static inline void dns_packet_record(struct strbuf *out, const char *owner, unsigned type,
                                     uint32_t ttl, struct bytes rdata)
{
    dns_packet_name(out, owner);
    dns_packet_u16(out, type);
    dns_packet_u16(out, 1);
    dns_packet_u32(out, ttl);
    dns_packet_u16(out, (unsigned)rdata.len);
    strbuf_add(out, rdata);
}

/* A record whose data is a name (NS, CNAME, PTR), or a preference and a name (MX). */
static inline void dns_packet_name_record(struct strbuf *out, const char *owner, unsigned type,
                                          uint32_t ttl, int preference, const char *target)
{
    struct strbuf rdata;

    strbuf_init(&rdata, 300);
    if (preference >= 0) {
        dns_packet_u16(&rdata, (unsigned)preference);
    }
    dns_packet_name(&rdata, target);
    dns_packet_record(out, owner, type, ttl, strbuf_bytes(&rdata));
    strbuf_clear(&rdata);
}

static inline void dns_packet_soa(struct strbuf *out, const char *zone, uint32_t ttl,
                                  uint32_t minimum)
{
    struct strbuf rdata;

    strbuf_init(&rdata, 600);
    dns_packet_name(&rdata, "ns.example");
    dns_packet_name(&rdata, "hostmaster.example");
    dns_packet_u32(&rdata, 1);
    dns_packet_u32(&rdata, 7200);
    dns_packet_u32(&rdata, 3600);
    dns_packet_u32(&rdata, 86400);
    dns_packet_u32(&rdata, minimum);
    dns_packet_record(out, zone, DNS_TYPE_SOA, ttl, strbuf_bytes(&rdata));
    strbuf_clear(&rdata);
}

#endif
