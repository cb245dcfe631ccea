/*
 * sender_proof - did the envelope sender prove to be that sender? Only then may a bounce be written.
 *
 * Proof   an SPF pass of MAIL FROM; a DKIM pass of its domain or of one above it, which speaks for
 *         what is below it (RFC 6376 §3.1); or authors proven by DKIM, when MAIL FROM is in the
 *         domain of the author or below it. Nothing proves the null sender, and no chain vouches
 *         for an envelope: what was sealed is not who is to be told.
 * Limits  a signature can be sent again by others (replay): so many bounces to one sender a day.
 */
#ifndef FORWARD_SENDER_PROOF_H
#define FORWARD_SENDER_PROOF_H

#include "auth/message_check.h"

bool sender_is_proven(const struct smtp_mailbox *sender,
                      const struct message_verdicts *verdicts, struct arena *arena);

#endif
