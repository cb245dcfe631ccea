/*
 * stream_pair - the two ends of one connection inside this process.
 *
 * Use     each end is taken as a listener's would be (stream_from_accepted); `peer` and `local` are the
 *         caller's to fill in: nothing crosses a network, so that any address may be played.
 */
#ifndef IO_STREAM_PAIR_H
#define IO_STREAM_PAIR_H

#include "io/stream.h"

/* False: the system has none left; errno says why. */
bool stream_pair_open(struct stream_accepted *one, struct stream_accepted *other);

#endif
