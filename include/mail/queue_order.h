/*
 * queue_order - what an operator wants of the queue, as words and as a line on the control socket.
 *
 *   list [FILTER] [--held] [--limit N] [--after ID/NUMBER]   deliveries that are open
 *   list --by-domain                                         how many wait where, by age
 *   show ID                                                  one message
 *   retry ID|DOMAIN|all|FILTER     due now; by id also what is held
 *   hold ID|FILTER                 not tried until it is released
 *   release ID|FILTER              what is held: due now
 *   bounce ID|FILTER               not tried any more: a bounce to the sender, as far as the rules allow
 *   delete ID|FILTER               without a bounce
 *
 *   FILTER   any of --sender A, --recipient A (next hop's or alias), --destination D, which all have
 *            to match, or --all
 *   --json   anywhere
 *
 * Wire     one line "queue VERB ... [--json]" LF, no blanks in words. The answer is lines of text or
 *          JSON, then one line that begins with '+' (done) or '-' (not: the rest says why; the first
 *          word is spool_status_text, "none" or "usage"), then the end. Without that last line it was
 *          cut short.
 */
#ifndef MAIL_QUEUE_ORDER_H
#define MAIL_QUEUE_ORDER_H

#include "base/strbuf.h"

enum { QUEUE_ORDER_LINE_LIMIT = 1024 };

enum queue_order_kind {
    QUEUE_LIST,
    QUEUE_AGES,
    QUEUE_SHOW,
    QUEUE_RETRY,
    QUEUE_HOLD,
    QUEUE_RELEASE,
    QUEUE_BOUNCE,
    QUEUE_DELETE,
};

struct queue_order {
    enum queue_order_kind kind;
    bool is_json;
    uint64_t id; /* 0: none */
    bool is_all, held_only;
    bool has_sender;                     /* which may be empty: the null sender */
    struct bytes sender;                 /* as it came in */
    struct bytes recipient, destination; /* empty: any */
    uint64_t limit;                      /* 0: all */
    uint64_t after_id;
    uint32_t after_number;
};

/* The words behind "queue". Views into the words. False: *why (static). */
bool queue_order_parse(const struct bytes *words, size_t count, struct queue_order *order,
                       const char **why);
/* The whole line, "queue" included, without its end. */
bool queue_order_parse_line(struct bytes line, struct queue_order *order, const char **why);
/* False: it has words that no line can carry. */
bool queue_order_write(struct strbuf *out, const struct queue_order *order);
/* "retried", "held" ... for the verbs that change something. */
const char *queue_order_done_text(enum queue_order_kind kind);
bool queue_order_is_filtered(const struct queue_order *order);

/* What of a delivery a filter looks at. `sender` is the one it is sent with: of an SRS address the
 * sender inside counts as well, unless it is stored under a token. Addresses and domains are
 * compared in any case. */
struct queue_order_row {
    struct bytes sender, recipient, alias, destination;
};
bool queue_order_matches(const struct queue_order *order, const struct queue_order_row *row);

#endif
