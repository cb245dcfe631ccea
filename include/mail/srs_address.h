/*
 * srs_address - SRS0 and SRS1 addresses: making, verifying and reversing them.
 *
 * Forward  SRS0=TAG=TT=domain=local@srs-domain; of an SRS0 sender (another forwarder's)
 *          SRS1=TAG=forwarder==rest@srs-domain; of an SRS1 sender SRS1 with our own tag
 *          around the same first forwarder. The null path and addresses in our own domains
 *          stay as they are.
 * Reverse  SRS0 gives the original sender; SRS1 gives the SRS0 address at the first
 *          forwarder. An SRS1 that leads back to ourselves is reversed once more.
 * Tags     modern: HMAC-SHA256, base32, 8 characters; classic: HMAC-SHA1 base64, 4
 *          characters, over the lower-cased fields, as Mail::SRS, libsrs2, postsrsd and pysrs
 *          make them. Both are verified without regard to case and in constant time; classic
 *          tags only for secrets that are marked classic (or when the format is classic).
 *          Others can be set to make longer classic tags; all of up to 26 characters are taken.
 * Limits   local part of the result 64 octets, address 254: above SRS_TOO_LONG (the caller
 *          stores a token instead, or refuses). Length is checked before anything is parsed.
 * Time     days since 1970 are an argument; the stamp is two base32 digits, modulo 1024.
 * Source   Wong, "SRS: Sender Rewriting Scheme" (2003); Mail::SRS 0.31 for the classic form.
 */
#ifndef MAIL_SRS_ADDRESS_H
#define MAIL_SRS_ADDRESS_H

#include "protocol/smtp_path.h"

enum { SRS_SECRET_LIMIT = 16, SRS_SECRET_MIN_OCTETS = 16 };

enum srs_format { SRS_FORMAT_MODERN, SRS_FORMAT_CLASSIC };

struct srs_secret {
    struct bytes octets;
    bool is_classic; /* tags in the classic format are accepted for it */
};

struct srs_options {
    enum srs_format format; /* of what we make */
    char separator;         /* '=', '+' or '-': behind SRS0/SRS1; all three are accepted */
    unsigned max_age_days;
    const struct srs_secret *secrets; /* first signs, all verify; at least one */
    size_t secret_count;
    /* Is this one of our own domains (aliases or SRS)? Senders there are not rewritten. */
    bool (*is_own_domain)(void *context, struct bytes domain);
    void *own_domain_context;
};

enum srs_result {
    SRS_OK,
    SRS_NOT_NEEDED, /* forward: null sender or own domain; reverse: not an SRS address */
    SRS_MALFORMED,  /* reverse: looks like SRS, but the form is wrong; forward: no mail can be
                       brought back to the sender's domain (literal, single label) */
    SRS_FORGED,     /* no secret makes this tag */
    SRS_EXPIRED,    /* older than max_age_days */
    SRS_FUTURE,     /* stamped later than today (one day is tolerated for clocks) */
    SRS_TOO_LONG,   /* forward: the local part would not fit in 64 octets */
    SRS_TOKEN,      /* reverse: the tag is good, the address is stored under *token */
};

/* Rewrites `sender` for forwarding. *out (arena memory) is set on SRS_OK only. */
enum srs_result srs_forward(const struct srs_options *options, struct bytes srs_domain,
                            uint32_t today, const struct smtp_mailbox *sender,
                            struct arena *arena, struct smtp_mailbox *out);
/* The short form for senders that are too long: SRS0=TAG=TT==TOKEN@srs-domain, TOKEN made from
 * the address by HMAC (so one sender has one token). *token is what the address is stored
 * under. */
void srs_forward_stored(const struct srs_options *options, struct bytes srs_domain,
                        uint32_t today, const struct smtp_mailbox *sender, struct arena *arena,
                        struct smtp_mailbox *out, struct bytes *token);
/* Is the local part of SRS form ("SRS0" or "SRS1" and a separator, in any case)? */
bool srs_is_srs(struct bytes local);
/* Verifies and reverses. *original on SRS_OK; *token on SRS_TOKEN. Memory in the arena. Domains
 * that come out are valid multi-label host names, never literals. */
enum srs_result srs_reverse(const struct srs_options *options, uint32_t today,
                            const struct smtp_mailbox *recipient, struct arena *arena,
                            struct smtp_mailbox *original, struct bytes *token);

#endif
