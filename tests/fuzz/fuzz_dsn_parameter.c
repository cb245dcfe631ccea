/*
 * DSN parameters: what is accepted is written back as one word of a command line and accepted again;
 * without SMTPUTF8 that word is ASCII; what xtext stands for is printable.
 */
#include "protocol/dsn_parameter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_one_word(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (octet <= ' ' || octet == 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static void check_notify(struct bytes value)
{
    struct strbuf out;
    unsigned notify = 0, again = 0;

    if (!dsn_read_notify(value, &notify)) {
        return;
    }
    require(notify != 0 && (notify == DSN_NOTIFY_NEVER || (notify & DSN_NOTIFY_NEVER) == 0));
    strbuf_init(&out, 1000);
    dsn_add_rcpt_parameters(&out, notify, BYTES(""), false);
    require(bytes_starts_with(strbuf_bytes(&out), BYTES(" NOTIFY=")));
    require(dsn_read_notify(bytes_skip(strbuf_bytes(&out), 8), &again) && again == notify);
    require(!dsn_wants_success(dsn_notify_without_success(notify)));
    require(dsn_notify_without_success(notify) != 0);
    strbuf_clear(&out);
}

static void check_envid(struct bytes value)
{
    struct strbuf out;

    if (!dsn_envid_is_valid(value)) {
        return;
    }
    strbuf_init(&out, 1000);
    dsn_xtext_decode(&out, value);
    for (size_t i = 0; i < out.len; i++) {
        require(out.data[i] >= ' ' && out.data[i] <= '~');
    }
    strbuf_reset(&out);
    dsn_add_mail_parameters(&out, DSN_RETURN_UNSAID, value);
    require(bytes_starts_with(strbuf_bytes(&out), BYTES(" ENVID=")));
    require(bytes_equal(bytes_skip(strbuf_bytes(&out), 7), value) && is_one_word(value));
    strbuf_clear(&out);
}

static void check_orcpt(struct bytes value)
{
    struct strbuf out;
    struct bytes written;

    require(!dsn_orcpt_is_valid(value, false) || dsn_orcpt_is_valid(value, true));
    if (!dsn_orcpt_is_valid(value, true)) {
        return;
    }
    strbuf_init(&out, 16384);
    for (int is_utf8 = 0; is_utf8 <= 1; is_utf8++) {
        strbuf_reset(&out);
        dsn_add_rcpt_parameters(&out, 0, value, is_utf8 != 0);
        require(!out.overflowed);
        require(bytes_starts_with(strbuf_bytes(&out), BYTES(" ORCPT=")));
        written = bytes_skip(strbuf_bytes(&out), 7);
        require(is_one_word(written));
        require(is_utf8 != 0 ? bytes_equal(written, value) : bytes_is_ascii(written));
        require(written.len > DSN_ORCPT_LIMIT || dsn_orcpt_is_valid(written, is_utf8 != 0));
    }
    strbuf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes value = bytes_of(data, size);
    struct strbuf out;

    check_notify(value);
    check_envid(value);
    check_orcpt(value);
    strbuf_init(&out, 3 * size + 100);
    dsn_add_orcpt(&out, value);
    require(is_one_word(strbuf_bytes(&out)) && bytes_is_ascii(strbuf_bytes(&out)));
    strbuf_clear(&out);
    return 0;
}
