/* Property: reversing anything never crashes and never invents an address with control
 * characters or without a host name; every author for whom an address is made comes back from it
 * as the wire carries it, octet by octet; no tag is good for SRS and for replies. Input: first
 * octet chooses the options. */
#include "mail/reply_address.h"

#include <stdlib.h>

enum { TODAY = 20778 };

#define OUR_DOMAIN BYTES("example.org")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_own_domain(void *context, struct bytes domain)
{
    (void)context;
    return bytes_equal_nocase(domain, OUR_DOMAIN);
}

static void check_author(const struct smtp_mailbox *author)
{
    demand(!author->is_literal && smtp_domain_is_valid(author->domain, true));
    demand(bytes_find(author->domain, '.') < author->domain.len);
    for (size_t i = 0; i < author->local.len; i++) {
        demand((unsigned char)author->local.data[i] >= ' ');
    }
}

static void check_any(const struct srs_options *options, struct bytes local,
                      struct arena *arena)
{
    struct smtp_mailbox recipient = {.local = local, .domain = OUR_DOMAIN}, author;
    struct bytes token;

    switch (reply_address_reverse(options, TODAY, &recipient, arena, &author, &token)) {
    case SRS_OK:
        check_author(&author);
        break;
    case SRS_TOKEN:
        demand(token.len == 22 && bytes_starts_with(token, BYTES("reply=")));
        break;
    case SRS_NOT_NEEDED:
        demand(!reply_address_is_reply(local));
        break;
    case SRS_MALFORMED:
    case SRS_FORGED:
    case SRS_EXPIRED:
    case SRS_FUTURE:
        break;
    case SRS_TOO_LONG:
        abort();
    }
}

/* Its tag says nothing under the other kind. */
static void check_purpose(const struct srs_options *options, const struct smtp_mailbox *reply,
                          struct arena *arena)
{
    struct bytes rest = bytes_skip(reply->local, 7);
    struct smtp_mailbox turned = *reply, found;
    struct strbuf local;
    struct bytes token;

    strbuf_init(&local, 300);
    strbuf_add_text(&local, "SRS0=");
    strbuf_add(&local, rest);
    turned.local = strbuf_bytes(&local);
    demand(srs_reverse(options, TODAY, &turned, arena, &found, &token) == SRS_FORGED);
    strbuf_clear(&local);
}

static void check_comes_back(const struct srs_options *options,
                             const struct smtp_mailbox *author, const struct smtp_mailbox *made,
                             struct arena *arena)
{
    struct smtp_mailbox received, found;
    struct bytes token;
    struct strbuf wire;
    size_t used;

    strbuf_init(&wire, 1024);
    smtp_path_add(&wire, made);
    demand(smtp_path_parse(strbuf_bytes(&wire), true, arena, &received, &used) == SMTP_PATH_OK);
    demand(used == wire.len && used <= 256);
    demand(reply_address_reverse(options, TODAY, &received, arena, &found, &token) == SRS_OK);
    check_author(&found);
    demand(smtp_mailbox_equal(&found, author) && found.is_utf8 == author->is_utf8);
    check_purpose(options, made, arena);
    strbuf_clear(&wire);
}

static void check_stored(const struct srs_options *options, const struct smtp_mailbox *author,
                         struct arena *arena)
{
    struct smtp_mailbox made, found;
    struct bytes token, again;

    reply_address_make_stored(options, OUR_DOMAIN, TODAY, author, arena, &made, &token);
    demand(made.local.len <= 64);
    demand(reply_address_reverse(options, TODAY, &made, arena, &found, &again) == SRS_TOKEN);
    demand(bytes_equal(token, again));
    check_purpose(options, &made, arena);
}

static void check_mailbox(const struct srs_options *options, struct bytes text,
                          struct arena *arena)
{
    struct smtp_mailbox author, made;

    if (smtp_mailbox_parse(text, true, true, arena, &author) != SMTP_PATH_OK) {
        return;
    }
    check_any(options, author.local, arena);
    switch (reply_address_make(options, OUR_DOMAIN, TODAY, &author, arena, &made)) {
    case SRS_OK:
        check_comes_back(options, &author, &made, arena);
        break;
    case SRS_TOO_LONG:
        check_stored(options, &author, arena);
        break;
    case SRS_NOT_NEEDED:
        demand(reply_address_is_reply(author.local));
        break;
    case SRS_MALFORMED:
        break;
    case SRS_FORGED:
    case SRS_EXPIRED:
    case SRS_FUTURE:
    case SRS_TOKEN:
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct srs_secret secrets[] = {{{"0123456789abcdef", 16}, false},
                                                {{"fedcba9876543210", 16}, true}};
    struct srs_options options = {.max_age_days = 21,
                                  .secrets = secrets,
                                  .secret_count = 2,
                                  .is_own_domain = is_own_domain};
    struct arena *arena;

    if (size == 0) {
        return 0;
    }
    arena = arena_new();
    options.format = data[0] & 1 ? SRS_FORMAT_CLASSIC : SRS_FORMAT_MODERN;
    options.separator = "=+-="[data[0] >> 1 & 3];
    check_any(&options, bytes_of(data + 1, size - 1), arena);
    check_mailbox(&options, bytes_of(data + 1, size - 1), arena);
    arena_free(&arena);
    return 0;
}
