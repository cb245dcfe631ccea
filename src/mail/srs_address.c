#include "mail/srs_address.h"

#include "signed_local.h"

#include <assert.h>

enum { PREFIX_LENGTH = 5 }; /* "SRS0=" */

static bool is_srs0(struct bytes local)
{
    return signed_local_has_prefix(local, SIGNED_SRS0);
}

static bool is_srs1(struct bytes local)
{
    return signed_local_has_prefix(local, SIGNED_SRS1);
}

bool srs_is_srs(struct bytes local)
{
    return is_srs0(local) || is_srs1(local);
}

static bool is_own(const struct srs_options *options, struct bytes domain)
{
    return options->is_own_domain != NULL &&
           options->is_own_domain(options->own_domain_context, domain);
}

/* ---- forward ---- */

/* "TAG=forwarder==rest" of another forwarder's SRS1 address; the tag is his business. */
static bool split_srs1(struct bytes local, struct bytes *tag, struct signed_fields *fields)
{
    struct bytes rest = bytes_skip(local, PREFIX_LENGTH);

    *tag = bytes_cut(&rest, '=');
    *fields = (struct signed_fields){.kind = SIGNED_SRS1};
    fields->domain = bytes_cut(&rest, '=');
    fields->local = rest;
    return tag->len != 0 && rest.len > 1 && signed_local_is_separator(rest.data[0]) &&
           signed_local_is_returnable(fields->domain);
}

static struct signed_fields choose_fields(const struct smtp_mailbox *sender, struct bytes stamp)
{
    struct signed_fields fields;
    struct bytes tag;

    if (is_srs0(sender->local) && sender->local.len > PREFIX_LENGTH) {
        /* Only "SRS0" goes: the separator behind it belongs to whoever chose it. */
        return (struct signed_fields){.kind = SIGNED_SRS1,
                                      .domain = sender->domain,
                                      .local = bytes_skip(sender->local, PREFIX_LENGTH - 1)};
    }
    if (is_srs1(sender->local) && split_srs1(sender->local, &tag, &fields)) {
        return fields;
    }
    return (struct signed_fields){
        .kind = SIGNED_SRS0, .stamp = stamp, .domain = sender->domain, .local = sender->local};
}

enum srs_result srs_forward(const struct srs_options *options, struct bytes srs_domain,
                            uint32_t today, const struct smtp_mailbox *sender,
                            struct arena *arena, struct smtp_mailbox *out)
{
    char stamp[SIGNED_STAMP_DIGITS];
    struct signed_fields fields;
    struct smtp_mailbox made;

    assert(options->secret_count > 0);
    if (smtp_mailbox_is_null(sender)) {
        return SRS_NOT_NEEDED;
    }
    if (!sender->is_literal && is_own(options, sender->domain)) {
        return SRS_NOT_NEEDED;
    }
    if (sender->is_literal || !signed_local_is_returnable(sender->domain)) {
        return SRS_MALFORMED;
    }
    signed_local_stamp(today, stamp);
    fields = choose_fields(sender, bytes_of(stamp, sizeof stamp));
    if (fields.domain.len + fields.local.len > SIGNED_LOCAL_LIMIT) {
        return SRS_TOO_LONG; /* before anything is hashed */
    }
    made = signed_local_mailbox(signed_local_write(options, &fields, arena), srs_domain);
    if (!signed_local_fits(&made)) {
        return SRS_TOO_LONG;
    }
    *out = made;
    return SRS_OK;
}

void srs_forward_stored(const struct srs_options *options, struct bytes srs_domain,
                        uint32_t today, const struct smtp_mailbox *sender, struct arena *arena,
                        struct smtp_mailbox *out, struct bytes *token)
{
    char stamp[SIGNED_STAMP_DIGITS];
    struct signed_fields fields = {.kind = SIGNED_SRS0, .stamp = bytes_of(stamp, sizeof stamp)};

    assert(options->secret_count > 0);
    signed_local_stamp(today, stamp);
    *token = signed_local_token(options, SIGNED_SRS0, sender, arena);
    fields.local = *token;
    *out = signed_local_mailbox(signed_local_write(options, &fields, arena), srs_domain);
}

/* ---- reverse ---- */

static enum srs_result reverse_srs0(const struct srs_options *options, uint32_t today,
                                    struct bytes local, struct arena *arena,
                                    struct smtp_mailbox *original, struct bytes *token)
{
    struct smtp_mailbox found = {.is_literal = false};
    enum srs_result result =
        signed_local_read_dated(options, SIGNED_SRS0, today, local, arena, &found, token);

    /* We rewrite no senders of our own domains, and a bounce that goes to ourselves goes round.
     */
    if (result == SRS_OK && is_own(options, found.domain)) {
        return SRS_MALFORMED;
    }
    if (result == SRS_OK) {
        *original = found;
    }
    return result;
}

static enum srs_result reverse_srs1(const struct srs_options *options, uint32_t today,
                                    struct bytes local, struct arena *arena,
                                    struct smtp_mailbox *original, struct bytes *token)
{
    struct signed_fields fields;
    struct bytes tag, inner;
    char *text;

    if (!split_srs1(local, &tag, &fields)) {
        return SRS_MALFORMED;
    }
    if (!signed_local_is_genuine(options, &fields, tag, arena)) {
        return SRS_FORGED;
    }
    text = arena_alloc(arena, fields.local.len + 4);
    memcpy(text, "SRS0", 4);
    memcpy(text + 4, fields.local.data, fields.local.len);
    inner = bytes_of(text, fields.local.len + 4);
    if (is_own(options, fields.domain)) {
        return reverse_srs0(options, today, inner, arena, original, token);
    }
    *original = signed_local_mailbox(inner, arena_copy(arena, fields.domain));
    return SRS_OK;
}

enum srs_result srs_reverse(const struct srs_options *options, uint32_t today,
                            const struct smtp_mailbox *recipient, struct arena *arena,
                            struct smtp_mailbox *original, struct bytes *token)
{
    assert(options->secret_count > 0);
    if (!srs_is_srs(recipient->local)) {
        return SRS_NOT_NEEDED;
    }
    if (!signed_local_is_readable(recipient->local)) {
        return SRS_MALFORMED;
    }
    return is_srs0(recipient->local)
               ? reverse_srs0(options, today, recipient->local, arena, original, token)
               : reverse_srs1(options, today, recipient->local, arena, original, token);
}
