#include "protocol/dns_record_text.h"

void dns_record_text_add(struct strbuf *out, const struct dns_record *record)
{
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        strbuf_add_text(out, ip_address_text(&record->address).text);
        break;
    case DNS_TYPE_MX:
        strbuf_addf(out, "%u " BYTES_FMT, record->mx.preference, BYTES_ARG(record->mx.host));
        break;
    case DNS_TYPE_TXT:
        strbuf_add(out, record->text);
        break;
    case DNS_TYPE_PTR:
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
        strbuf_add(out, record->name);
        break;
    default:
        strbuf_add_text(out, "?");
        break;
    }
}
