/* Property: foreign octets are refused or read; what was read is written and read the same; a
 * record with a checksum made to fit gets further than chance would let it. */
#include "base/crc32c.h"
#include "mail/envelope_record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_round_trip(const struct envelope *envelope, size_t limit)
{
    struct strbuf record;
    struct envelope again;

    strbuf_init(&record, limit + 64);
    envelope_record_write(&record, envelope);
    demand(!record.overflowed);
    demand(envelope_record_read(strbuf_bytes(&record), &again));
    demand(again.kind == envelope->kind && bytes_equal(again.sender, envelope->sender));
    demand(again.is_8bit == envelope->is_8bit && again.is_utf8 == envelope->is_utf8 &&
           again.is_auto_submitted == envelope->is_auto_submitted);
    demand(bytes_equal(again.client_ip, envelope->client_ip) &&
           bytes_equal(again.client_helo, envelope->client_helo) &&
           bytes_equal(again.session, envelope->session) &&
           bytes_equal(again.bounce_of, envelope->bounce_of));
    demand(again.ret == envelope->ret && bytes_equal(again.envid, envelope->envid) &&
           again.is_utf8_header == envelope->is_utf8_header &&
           again.requires_tls == envelope->requires_tls);
    demand(bytes_find(again.sender, '\n') == again.sender.len);
    strbuf_clear(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes octets = bytes_of(data, size);
    struct envelope envelope;
    struct strbuf sealed;
    uint32_t checksum = crc32c(0, octets);

    if (envelope_record_read(octets, &envelope)) {
        check_round_trip(&envelope, size);
    }
    strbuf_init(&sealed, size + 4);
    strbuf_add(&sealed, octets);
    for (int shift = 24; shift >= 0; shift -= 8) {
        strbuf_add_char(&sealed, (char)(checksum >> shift & 255));
    }
    if (envelope_record_read(strbuf_bytes(&sealed), &envelope)) {
        check_round_trip(&envelope, size);
    }
    strbuf_clear(&sealed);
    return 0;
}
