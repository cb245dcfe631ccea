/*
 * clock - the only room door to time.
 *
 * now_ms   monotonic: deadlines, pauses. Never goes back.
 * unix     wall time: stamps, dates, ages of messages. May jump.
 * Sim      tests/support/io_sim has the same symbols on virtual time.
 */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void);
int64_t clock_unix_ms(void);
int64_t clock_unix_seconds(void);

#endif
