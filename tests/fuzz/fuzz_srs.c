/* Property: reversing anything never crashes and never invents an address with control
 * characters or without a host name; forward then reverse gives every valid sender back, octet
 * by octet, and the rewritten address is one that may be sent. Input: first octet chooses the
 * options. */
#include "mail/srs_address.h"

#include <stdlib.h>

enum { TODAY = 20778 };

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
    return bytes_equal_nocase(domain, BYTES("srs.example.org"));
}

static void check_original(const struct smtp_mailbox *original)
{
    demand(!original->is_literal && smtp_domain_is_valid(original->domain, true));
    demand(bytes_find(original->domain, '.') < original->domain.len);
    for (size_t i = 0; i < original->local.len; i++) {
        demand((unsigned char)original->local.data[i] >= ' ');
    }
}

static void check_any(const struct srs_options *options, const struct smtp_mailbox *recipient,
                      struct arena *arena)
{
    struct smtp_mailbox original;
    struct bytes token;

    switch (srs_reverse(options, TODAY, recipient, arena, &original, &token)) {
    case SRS_OK:
        check_original(&original);
        break;
    case SRS_TOKEN:
        demand(token.len == 16);
        break;
    case SRS_NOT_NEEDED:
        demand(!srs_is_srs(recipient->local));
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

/* What was sent out comes back as the wire carries it: written, parsed, reversed. */
static void check_comes_back(const struct srs_options *options,
                             const struct smtp_mailbox *sender,
                             const struct smtp_mailbox *rewritten, struct arena *arena)
{
    struct smtp_mailbox received, original;
    struct bytes token;
    struct strbuf wire;
    size_t used;

    strbuf_init(&wire, 1024);
    smtp_path_add(&wire, rewritten);
    demand(smtp_path_parse(strbuf_bytes(&wire), true, arena, &received, &used) == SMTP_PATH_OK);
    demand(used == wire.len && used <= 256);
    demand(srs_reverse(options, TODAY, &received, arena, &original, &token) == SRS_OK);
    check_original(&original);
    if (rewritten->local.data[3] == '0') {
        demand(smtp_mailbox_equal(&original, sender));
        demand(original.is_utf8 == sender->is_utf8);
    } else if (sender->local.data[3] == '0') {
        demand(bytes_equal(bytes_skip(original.local, 4), bytes_skip(sender->local, 4)) &&
               bytes_equal(original.domain, sender->domain));
    }
    strbuf_clear(&wire);
}

static void check_sender(const struct srs_options *options, struct bytes text,
                         struct arena *arena)
{
    struct smtp_mailbox sender, rewritten, original;
    struct bytes token, again;

    if (smtp_mailbox_parse(text, true, false, arena, &sender) != SMTP_PATH_OK) {
        return;
    }
    check_any(options, &sender, arena);
    if (srs_forward(options, BYTES("srs.example.org"), TODAY, &sender, arena, &rewritten) ==
        SRS_OK) {
        check_comes_back(options, &sender, &rewritten, arena);
    }
    srs_forward_stored(options, BYTES("srs.example.org"), TODAY, &sender, arena, &rewritten,
                       &token);
    demand(rewritten.local.len <= 64);
    demand(srs_reverse(options, TODAY, &rewritten, arena, &original, &again) == SRS_TOKEN);
    demand(bytes_equal(token, again));
}

/* A sealed address: tag and stamp are right, so that what stands behind them is looked at. */
static void check_sealed(const struct srs_options *options, struct bytes text,
                         struct arena *arena)
{
    struct smtp_mailbox sender = {.domain = BYTES("a.example")};
    struct smtp_mailbox rewritten;

    sender.local = text;
    if (srs_forward(options, BYTES("srs.example.org"), TODAY, &sender, arena, &rewritten) ==
        SRS_OK) {
        check_any(options, &rewritten, arena);
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
    struct smtp_mailbox recipient = {.domain = BYTES("srs.example.org")};
    struct arena *arena;

    if (size == 0) {
        return 0;
    }
    arena = arena_new();
    options.format = data[0] & 1 ? SRS_FORMAT_CLASSIC : SRS_FORMAT_MODERN;
    options.separator = "=+-="[data[0] >> 1 & 3];
    recipient.local = bytes_of(data + 1, size - 1);
    check_any(&options, &recipient, arena);
    check_sealed(&options, recipient.local, arena);
    check_sender(&options, recipient.local, arena);
    arena_free(&arena);
    return 0;
}
