/*
 * reply_address - an address of ours that stands for an author whose From was munged.
 *
 * Form     REPLY0=TAG=TT=domain=local@our-domain; when that is too long for 64 octets,
 *          REPLY0=TAG=TT==TOKEN@our-domain, the author stored under a key made of TOKEN. The same
 *          separators, secrets, age and encoding as modern SRS addresses (mail/srs_address), also
 *          where SRS itself is classic, but tags are made for this purpose: an SRS address can
 *          never be turned into one of these or back.
 * Key      "reply=TOKEN": what *token is, in both directions. It is not the token of the same
 *          address as a sender, and a store that holds both never mixes them.
 * Use      mail to it goes on to the author, from anybody: whoever holds the address has had mail
 *          from the author through us.
 * Case     mailers change the case of local parts; tags do not mind, and the author's local part
 *          comes out as it came in (in the case the mailer left it).
 * Authors  in one of our own domains are authors like others: the address leads to the alias. An
 *          author that is one of our reply addresses already needs no other one, and an SRS
 *          address takes bounces only.
 */
#ifndef MAIL_REPLY_ADDRESS_H
#define MAIL_REPLY_ADDRESS_H

#include "mail/srs_address.h"

/* The address for an author (a full mailbox, no literal). SRS_OK; SRS_TOO_LONG: use _stored;
 * SRS_NOT_NEEDED: the author is such an address of ours; SRS_MALFORMED: no mail can be brought to
 * this author. */
enum srs_result reply_address_make(const struct srs_options *options, struct bytes our_domain,
                                   uint32_t today, const struct smtp_mailbox *author,
                                   struct arena *arena, struct smtp_mailbox *out);
/* For an author who was SRS_TOO_LONG. */
void reply_address_make_stored(const struct srs_options *options, struct bytes our_domain,
                               uint32_t today, const struct smtp_mailbox *author,
                               struct arena *arena, struct smtp_mailbox *out,
                               struct bytes *token);
/* "REPLY0" and a separator, in any case? */
bool reply_address_is_reply(struct bytes local);
/* As srs_reverse: SRS_OK and *author, SRS_TOKEN and *token, SRS_FORGED, SRS_EXPIRED ... */
enum srs_result reply_address_reverse(const struct srs_options *options, uint32_t today,
                                      const struct smtp_mailbox *recipient, struct arena *arena,
                                      struct smtp_mailbox *author, struct bytes *token);

#endif
