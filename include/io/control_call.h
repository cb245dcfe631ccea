/*
 * control_call - one order to the running daemon, over its control socket; waits for the answer.
 *
 * Use     by the operator's tools, which have nothing else to do meanwhile.
 * Wire    mail/queue_order: a line out; lines back, the last of them beginning with '+' or '-'.
 * Limit   `wait_ms` without any octet is a failure. An answer's line may be as long as it likes:
 *         it is handed on in pieces.
 */
#ifndef IO_CONTROL_CALL_H
#define IO_CONTROL_CALL_H

#include "base/strbuf.h"

enum control_result {
    CONTROL_DONE,    /* '+' */
    CONTROL_REFUSED, /* '-' */
    CONTROL_NOBODY,  /* nobody listens there */
    CONTROL_FAILED,  /* no permission, no answer in time, or it was cut short */
};

/* `each` gets what stands before the last line, as it comes. *last: the last line without its
 * sign; or why it failed. */
enum control_result control_call(const char *path, struct bytes line, int wait_ms,
                                 void (*each)(void *context, struct bytes part), void *context,
                                 struct strbuf *last);

#endif
