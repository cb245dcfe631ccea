#include "mail/reply_address.h"

#include "signed_local.h"

#include <assert.h>

#define KEY_PREFIX BYTES("reply=")

bool reply_address_is_reply(struct bytes local)
{
    return signed_local_has_prefix(local, SIGNED_REPLY0);
}

static bool is_own(const struct srs_options *options, struct bytes domain)
{
    return options->is_own_domain != NULL &&
           options->is_own_domain(options->own_domain_context, domain);
}

static struct bytes store_key(struct bytes token, struct arena *arena)
{
    struct bytes prefix = KEY_PREFIX;
    char *key = arena_alloc(arena, prefix.len + token.len);

    memcpy(key, prefix.data, prefix.len);
    memcpy(key + prefix.len, token.data, token.len);
    return bytes_of(key, prefix.len + token.len);
}

enum srs_result reply_address_make(const struct srs_options *options, struct bytes our_domain,
                                   uint32_t today, const struct smtp_mailbox *author,
                                   struct arena *arena, struct smtp_mailbox *out)
{
    char stamp[SIGNED_STAMP_DIGITS];
    struct signed_fields fields = {.kind = SIGNED_REPLY0,
                                   .stamp = bytes_of(stamp, sizeof stamp),
                                   .domain = author->domain,
                                   .local = author->local};
    struct smtp_mailbox made;

    assert(options->secret_count > 0);
    if (author->is_literal || !signed_local_is_returnable(author->domain) ||
        !signed_local_is_readable(author->local)) {
        return SRS_MALFORMED;
    }
    if (is_own(options, author->domain)) {
        if (reply_address_is_reply(author->local)) {
            return SRS_NOT_NEEDED;
        }
        if (srs_is_srs(author->local)) {
            return SRS_MALFORMED;
        }
    }
    if (fields.domain.len + fields.local.len > SIGNED_LOCAL_LIMIT) {
        return SRS_TOO_LONG; /* before anything is hashed */
    }
    signed_local_stamp(today, stamp);
    made = signed_local_mailbox(signed_local_write(options, &fields, arena), our_domain);
    if (!signed_local_fits(&made)) {
        return SRS_TOO_LONG;
    }
    *out = made;
    return SRS_OK;
}

void reply_address_make_stored(const struct srs_options *options, struct bytes our_domain,
                               uint32_t today, const struct smtp_mailbox *author,
                               struct arena *arena, struct smtp_mailbox *out,
                               struct bytes *token)
{
    char stamp[SIGNED_STAMP_DIGITS];
    struct signed_fields fields = {.kind = SIGNED_REPLY0,
                                   .stamp = bytes_of(stamp, sizeof stamp)};

    assert(options->secret_count > 0);
    signed_local_stamp(today, stamp);
    fields.local = signed_local_token(options, SIGNED_REPLY0, author, arena);
    *token = store_key(fields.local, arena);
    *out = signed_local_mailbox(signed_local_write(options, &fields, arena), our_domain);
}

enum srs_result reply_address_reverse(const struct srs_options *options, uint32_t today,
                                      const struct smtp_mailbox *recipient, struct arena *arena,
                                      struct smtp_mailbox *author, struct bytes *token)
{
    enum srs_result result;
    struct bytes found;

    assert(options->secret_count > 0);
    if (!reply_address_is_reply(recipient->local)) {
        return SRS_NOT_NEEDED;
    }
    if (!signed_local_is_readable(recipient->local)) {
        return SRS_MALFORMED;
    }
    result = signed_local_read_dated(options, SIGNED_REPLY0, today, recipient->local, arena,
                                     author, &found);
    if (result == SRS_TOKEN) {
        *token = store_key(found, arena);
    }
    return result;
}
