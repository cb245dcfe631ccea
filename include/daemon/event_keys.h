/*
 * event_keys - what a line of the log is about, for the history.
 *
 * Kept     every line of info and above but connection-refused without a session: how many of those there are
 *          whoever attacks decides, and they are about no message.
 * Keys     id and bounce_of; s; from, to, orig_to and sender, in lower case; message-id; the event. The first is the
 *          message, else the session, else the event. The null sender is no key.
 */
#ifndef DAEMON_EVENT_KEYS_H
#define DAEMON_EVENT_KEYS_H

#include "io/history.h"

/* A history_describe. */
bool event_keys_describe(struct bytes line, struct arena *arena, struct history_facts *facts);

#endif
