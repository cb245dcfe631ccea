/*
 * doctor_daily - `postilion doctor` inside the daemon: some time after the start, and once a day.
 *
 * Run      on a thread of its own with a loop of its own: no session and no delivery waits for it. It starts after
 *          doctor.delay (and up to half of that, by chance, so that not all hosts ask at once); then a day after the last
 *          one, and after a reload, but not within DOCTOR_PAUSE_MS of the last one.
 * Log      doctor-finding for warnings and errors that are new or say something else, doctor-mended for those that are gone,
 *          doctor-done.
 * Threads  all calls from the main loop's thread.
 */
#ifndef DAEMON_DOCTOR_DAILY_H
#define DAEMON_DOCTOR_DAILY_H

#include "daemon/doctor_shown.h"
#include "daemon/snapshot.h"

enum { DOCTOR_PAUSE_MS = 10 * 60 * 1000 };

struct doctor_daily;

/* *holds* the snapshot; `listening` is copied. */
struct doctor_daily *doctor_daily_new(struct event_loop *loop, struct snapshot *snapshot,
                                      const struct ip_endpoint *listening, size_t count);
/* A new configuration is in force. */
void doctor_daily_reload(struct doctor_daily *daily, struct snapshot *snapshot);
/* The last one; NULL: there is none yet, or it is switched off. Good until the loop turns. */
const struct doctor_result *doctor_daily_last(const struct doctor_daily *daily);
/* A run that is under way is stopped. Safe on NULL. */
void doctor_daily_free(struct doctor_daily **daily);

#endif
