/*
 * signed_local - what the local parts that we sign are made of: SRS0, SRS1 and REPLY0.
 *
 * Form     dated (SRS0, REPLY0): KIND=TAG=TT=domain=local or, for a stored address,
 *          KIND=TAG=TT==TOKEN; undated (SRS1): KIND=TAG=domain=local.
 * Purpose  the kind is part of what a modern tag and a token are made of: the tag of one kind is
 *          worth nothing under another. Classic tags do not know their kind (as everywhere), so
 *          kinds that only we make are never written or read in the classic form.
 * Limits   and the rest: see mail/srs_address and mail/reply_address, whose secret this is.
 */
#ifndef MAIL_SIGNED_LOCAL_H
#define MAIL_SIGNED_LOCAL_H

#include "mail/srs_address.h"

enum {
    SIGNED_STAMP_DIGITS = 2,
    SIGNED_LOCAL_LIMIT = 64,    /* of what we make */
    SIGNED_REVERSE_LIMIT = 254, /* no longer local part is looked at */
};

enum signed_kind { SIGNED_SRS0, SIGNED_SRS1, SIGNED_REPLY0 };

/* What the tag protects. */
struct signed_fields {
    enum signed_kind kind;
    struct bytes stamp; /* empty in SRS1 */
    struct bytes domain;
    struct bytes local;
};

/* Octets before the tag: the kind and a separator. */
size_t signed_local_prefix(enum signed_kind kind);
bool signed_local_has_prefix(struct bytes local, enum signed_kind kind);
bool signed_local_is_separator(char octet);
/* No longer than what is looked at, and nothing that cannot stand in a command? */
bool signed_local_is_readable(struct bytes local);
struct smtp_mailbox signed_local_mailbox(struct bytes local, struct bytes domain);
/* May mail be brought there: a valid name in the public tree? */
bool signed_local_is_returnable(struct bytes domain);

void signed_local_stamp(uint32_t today, char stamp[SIGNED_STAMP_DIGITS]);
struct bytes signed_local_write(const struct srs_options *options,
                                const struct signed_fields *fields, struct arena *arena);
/* The limits hold for what goes over the wire, quotes included (RFC 5321 §4.5.3.1.1). */
bool signed_local_fits(const struct smtp_mailbox *mailbox);
/* One address has one token for each kind: the domain is folded, the local part is not. */
struct bytes signed_local_token(const struct srs_options *options, enum signed_kind kind,
                                const struct smtp_mailbox *mailbox, struct arena *arena);

bool signed_local_is_genuine(const struct srs_options *options,
                             const struct signed_fields *fields, struct bytes tag,
                             struct arena *arena);
/* Verifies a local part of the dated form: SRS_OK and the mailbox in it, or SRS_TOKEN and the
 * token in upper case, or what is wrong. */
enum srs_result signed_local_read_dated(const struct srs_options *options,
                                        enum signed_kind kind, uint32_t today,
                                        struct bytes local, struct arena *arena,
                                        struct smtp_mailbox *mailbox, struct bytes *token);

#endif
