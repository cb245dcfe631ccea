/*
 * dns_record_text - a record as people write it: "10 mx.example", "192.0.2.1". Text of strangers stays as
 * it came: whoever shows it makes it printable.
 */
#ifndef PROTOCOL_DNS_RECORD_TEXT_H
#define PROTOCOL_DNS_RECORD_TEXT_H

#include "protocol/dns_message.h"

void dns_record_text_add(struct strbuf *out, const struct dns_record *record);

#endif
