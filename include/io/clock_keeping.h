/*
 * clock_keeping - does anything keep this machine's clock in time?
 *
 * Source  the kernel's own flag: who sets the clock (chrony, ntpd, systemd-timesyncd) clears it. The call changes nothing;
 *         a sandbox may forbid it all the same.
 */
#ifndef IO_CLOCK_KEEPING_H
#define IO_CLOCK_KEEPING_H

enum clock_keeping { CLOCK_KEEPING_UNKNOWN, CLOCK_KEEPING_YES, CLOCK_KEEPING_NO };

enum clock_keeping clock_keeping_now(void);

#endif
