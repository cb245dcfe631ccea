/* What tests of addresses that we sign share: the day, secrets, options, and addresses as text. */
#ifndef TESTS_SIGNED_ADDRESSES_H
#define TESTS_SIGNED_ADDRESSES_H

#include "support/check.h"

#include "mail/srs_address.h"

enum { TODAY = 20778 }; /* stamp JK */

static inline bool is_own_domain(void *context, struct bytes domain)
{
    (void)context;
    return bytes_equal_nocase(domain, BYTES("srs.example.org")) ||
           bytes_equal_nocase(domain, BYTES("example.org"));
}

static const struct srs_secret new_secret = {{"0123456789abcdef", 16}, false};
static const struct srs_secret rotated[] = {
    {{"0123456789abcdef", 16}, false},
    {{"the-old-secret-of-last-year", 27}, false},
    {{"secret-of-postsrsd-before", 25}, true},
};

static const struct srs_options modern = {.format = SRS_FORMAT_MODERN,
                                          .separator = '=',
                                          .max_age_days = 21,
                                          .secrets = &new_secret,
                                          .secret_count = 1,
                                          .is_own_domain = is_own_domain};
static const struct srs_options classic = {.format = SRS_FORMAT_CLASSIC,
                                           .separator = '=',
                                           .max_age_days = 21,
                                           .secrets = &new_secret,
                                           .secret_count = 1,
                                           .is_own_domain = is_own_domain};

static inline struct smtp_mailbox mailbox_of(const char *name, struct bytes text,
                                             struct arena *arena)
{
    struct smtp_mailbox mailbox = {.is_literal = false};

    if (text.len != 0) {
        CHECK_INT(name, smtp_mailbox_parse(text, true, true, arena, &mailbox), SMTP_PATH_OK);
    }
    return mailbox;
}

static inline struct bytes text_of(const struct smtp_mailbox *mailbox, struct arena *arena)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 1000);
    smtp_mailbox_add(&text, mailbox);
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

#endif
