/*
 * queue_clerk - carries out one order of an operator on the spool, in pages that hold up nobody.
 *
 * Use      by the daemon's control socket and by the queue tool on a stopped daemon's spool: an
 *          order does and says the same at both.
 * Rows     each change is one commit a page: what was changed when an order ends in the middle stays
 *          changed. Deliveries that came after it began are left alone.
 * Threads  everything on the loop; callbacks never from inside queue_clerk_start.
 */
#ifndef QUEUE_QUEUE_CLERK_H
#define QUEUE_QUEUE_CLERK_H

#include "io/spool.h"
#include "mail/queue_order.h"

enum { QUEUE_CLERK_PAGE = 500 };

/* What is said of an order that wanted to change something, and found nothing. */
#define QUEUE_CLERK_NONE "nothing in the queue is like that; nothing was changed"

struct queue_clerk_options {
    struct spool *spool;
    struct event_loop *loop;
    /* A part of the answer: whole lines. */
    void (*write)(void *context, struct bytes text);
    /* False: wait for queue_clerk_go_on. */
    bool (*may_go_on)(void *context);
    /* The end. `changed`: deliveries, of an order that changes something. After it the clerk is gone. */
    void (*done)(void *context, enum spool_status status, uint64_t changed);
    void *context;
    /* Rows have been changed, perhaps not all: also after queue_clerk_forget. NULL: nobody wants to
     * know. The order is good during the call. */
    void (*on_changed)(void *context, const struct queue_order *order, uint64_t changed);
    void *changed_context;
};

struct queue_clerk;

/* Copies the order. */
struct queue_clerk *queue_clerk_start(const struct queue_clerk_options *options,
                                      const struct queue_order *order);
void queue_clerk_go_on(struct queue_clerk *clerk);
/* Nobody listens any more: it ends at the next page. Safe on NULL. */
void queue_clerk_forget(struct queue_clerk **clerk);

#endif
