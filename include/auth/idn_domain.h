/*
 * idn_domain - a domain as it stands in mail to the form DNS asks for: lower case, A-labels.
 *
 * Input   ASCII or UTF-8 (U-labels), one trailing dot allowed.
 * Rules   ASCII is only folded to lower case and checked to be a host name (underscore taken);
 *         U-labels are mapped and encoded by UTS #46, non-transitional, so that what a reader
 *         sees and what we ask for are the same name.
 * Limit   IDN_INPUT_LIMIT octets in, 253 out.
 * RFC     5890, 5891, 9989 §4.3
 */
#ifndef AUTH_IDN_DOMAIN_H
#define AUTH_IDN_DOMAIN_H

#include "base/arena.h"

enum { IDN_INPUT_LIMIT = 1024 };

/* False when it is no domain name. *ascii lives in the arena. */
bool idn_domain_to_ascii(struct bytes domain, struct arena *arena, struct bytes *ascii);

#endif
