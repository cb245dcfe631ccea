#include "auth/idn_domain.h"

#include "base/utf8.h"

#include "protocol/dns_message.h"
#include "protocol/smtp_path.h"

#include <idn2.h>

static bool is_host_name(struct bytes name)
{
    return name.len != 0 && name.len <= DNS_NAME_LIMIT && smtp_domain_is_valid(name, false);
}

static struct bytes without_last_dot(struct bytes name)
{
    bool has_dot = name.len > 1 && name.data[name.len - 1] == '.';

    return bytes_first(name, name.len - has_dot);
}

/* Dots of other scripts become dots only in the mapping, hence the second look at the end. */
static bool encode_labels(struct bytes domain, struct arena *arena, struct bytes *ascii)
{
    const char *text;
    uint8_t *encoded = NULL;
    bool is_good;

    if (!utf8_is_valid(domain) || memchr(domain.data, '\0', domain.len) != NULL) {
        return false;
    }
    text = arena_copy_text(arena, domain);
    if (idn2_lookup_u8((const uint8_t *)text, &encoded,
                       IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return false;
    }
    *ascii = without_last_dot(bytes_from_text((const char *)encoded));
    is_good = is_host_name(*ascii);
    *ascii = is_good ? arena_copy_lower(arena, *ascii) : BYTES("");
    idn2_free(encoded);
    return is_good;
}

bool idn_domain_to_ascii(struct bytes domain, struct arena *arena, struct bytes *ascii)
{
    *ascii = BYTES("");
    if (domain.len == 0 || domain.len > IDN_INPUT_LIMIT) {
        return false;
    }
    if (!bytes_is_ascii(domain)) {
        return encode_labels(domain, arena, ascii);
    }
    domain = without_last_dot(domain);
    if (!is_host_name(domain)) {
        return false;
    }
    *ascii = arena_copy_lower(arena, domain);
    return true;
}
