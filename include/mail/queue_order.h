/*
 * queue_order - what an operator wants of the queue, as words and as a line on the control socket.
 *
 *   list                  all deliveries that are open
 *   show ID               one message
 *   retry ID|DOMAIN|all   due now: a message's deliveries, those to a destination, all
 *   delete ID             a message with all its deliveries, without a bounce
 *
 * Wire     one line "queue VERB ... [json]" LF. The answer is lines of text or JSON, then one line
 *          that begins with '+' (done) or '-' (not: the rest says why; the first word is
 *          spool_status_text, or "usage"), then the end. Without that last line it was cut short.
 */
#ifndef MAIL_QUEUE_ORDER_H
#define MAIL_QUEUE_ORDER_H

#include "base/strbuf.h"

enum { QUEUE_ORDER_LINE_LIMIT = 1024 };

enum queue_order_kind { QUEUE_LIST, QUEUE_SHOW, QUEUE_RETRY, QUEUE_DELETE };

struct queue_order {
    enum queue_order_kind kind;
    bool is_json;
    uint64_t id;              /* 0: none */
    struct bytes destination; /* RETRY without id; empty: all */
};

/* The words behind "queue"; "json" or "--json" anywhere. Views into the words. False: *why. */
bool queue_order_parse(const struct bytes *words, size_t count, struct queue_order *order,
                       const char **why);
/* The whole line, "queue" included, without its end. */
bool queue_order_parse_line(struct bytes line, struct queue_order *order, const char **why);
void queue_order_write(struct strbuf *out, const struct queue_order *order);

#endif
