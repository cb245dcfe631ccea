#include "protocol/dns_record_text.h"

#include "base/encoding.h"

/* "3 1 1 ab12..." (RFC 6698 §2.2) */
static void add_tlsa(struct strbuf *out, struct bytes rdata)
{
    for (size_t i = 0; i < 3 && i < rdata.len; i++) {
        strbuf_addf(out, "%u ", (unsigned char)rdata.data[i]);
    }
    encoding_hex_add(out, bytes_skip(rdata, 3));
}

void dns_record_text_add(struct strbuf *out, const struct dns_record *record)
{
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        strbuf_add_text(out, ip_address_text(&record->address).text);
        break;
    case DNS_TYPE_MX:
        strbuf_addf(out, "%u " BYTES_FMT, record->mx.preference, BYTES_ARG(record->mx.host));
        strbuf_add_text(out, record->mx.host.len == 0 ? "." : ""); /* the null MX */
        break;
    case DNS_TYPE_TXT:
        strbuf_add(out, record->text);
        break;
    case DNS_TYPE_PTR:
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
        strbuf_add(out, record->name);
        break;
    case DNS_TYPE_TLSA:
        add_tlsa(out, record->rdata);
        break;
    default:
        strbuf_add_text(out, "?");
        break;
    }
}
