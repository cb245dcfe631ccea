/*
 * alias_check - what can only be said of an alias table as a whole.
 *
 * Errors   targets in our own domains that nothing matches, loops (named from end to end),
 *          more than ALIAS_DEPTH_LIMIT aliases behind each other, more than
 *          ALIAS_TARGETS_LIMIT addresses behind one, no postmaster (RFC 5321 §4.5.1).
 * Warnings no abuse (RFC 2142 §4), catch-all.
 * Cost     linear in the aliases whose targets are in our own domains; others are not visited.
 */
#ifndef FORWARD_ALIAS_CHECK_H
#define FORWARD_ALIAS_CHECK_H

#include "forward/alias_table.h"

enum { ALIAS_DEPTH_LIMIT = 10 };

void alias_check(const struct alias_table *table, const struct alias_report *report);

#endif
