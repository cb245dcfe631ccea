/*
 * doctor_routes - do addresses lead where they should? SRS, tried with the secrets there are; postmaster, abuse,
 * catch-all of a domain.
 *
 * SRS     an address of ours is written, read back, changed, and read at other times, by each secret: what must be
 *         refused is, what must come back does.
 * RFC     5321 §4.5.1 (postmaster); 2142 (abuse)
 */
#ifndef FORWARD_DOCTOR_ROUTES_H
#define FORWARD_DOCTOR_ROUTES_H

#include "forward/recipient_route.h"
#include "mail/finding.h"

void doctor_routes_srs(struct findings *findings, const struct srs_options *options,
                       struct bytes srs_domain, uint32_t today);
void doctor_routes_domain(struct findings *findings, const struct route_options *options,
                          struct bytes domain, uint32_t today);
/* Domains that postmaster's mail of this domain goes on to; at most `limit`, in the arena. */
size_t doctor_routes_targets(const struct route_options *options, struct bytes domain,
                             uint32_t today, struct arena *arena, struct bytes *targets,
                             size_t limit);

#endif
