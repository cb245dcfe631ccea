/*
 * queue_listing - the queue as an operator sees it: text tables and JSON lines.
 *
 * Use     by the queue tool for the spool of a stopped daemon, and by the daemon's control socket.
 * JSON    one object a line, the same members for every row; ids as text, times as UTC text. Octets
 *         that are not UTF-8 become U+FFFD.
 * Text    control characters and octets that are not UTF-8 are written as \xHH: what a peer said
 *         cannot play with the terminal.
 */
#ifndef MAIL_QUEUE_LISTING_H
#define MAIL_QUEUE_LISTING_H

#include "base/strbuf.h"

/* One delivery. */
struct queue_listing_row {
    uint64_t id;
    uint32_t number;
    int64_t created_ms; /* unix */
    uint64_t size;      /* octets of content */
    struct bytes sender, recipient, alias, destination;
    uint32_t attempts;
    bool is_held;
    int64_t next_attempt_ms;
    struct bytes last_reply;
    bool is_given_up;
    struct bytes fallback; /* or empty */
};

/* One attempt of a delivery that is still open. */
struct queue_listing_attempt {
    uint32_t number; /* of the delivery */
    int64_t at_ms;
    struct bytes host, reply;
};

/* What `show` tells of the message itself. */
struct queue_listing_message {
    uint64_t id;
    int64_t created_ms;
    uint64_t size;
    struct bytes sender; /* as it came in; empty: null sender */
    struct bytes client_ip, client_helo, session;
    struct bytes prefix; /* header fields of ours: what they say of the sender is shown */
    const struct queue_listing_attempt *attempts; /* by delivery, oldest first */
    size_t attempt_count;
};

/* list: header, rows, end. */
void queue_listing_add_header(struct strbuf *out);
void queue_listing_add_row(struct strbuf *out, const struct queue_listing_row *row,
                           int64_t now_ms);
void queue_listing_add_end(struct strbuf *out, uint64_t rows);
/* Instead of the end, when there may be more behind this row. */
void queue_listing_add_more(struct strbuf *out, uint64_t rows, uint64_t id, uint32_t number);
void queue_listing_add_row_json(struct strbuf *out, const struct queue_listing_row *row,
                                int64_t now_ms);
/* show */
void queue_listing_add_message(struct strbuf *out, const struct queue_listing_message *message,
                               const struct queue_listing_row *rows, size_t count,
                               int64_t now_ms);
void queue_listing_add_message_json(struct strbuf *out,
                                    const struct queue_listing_message *message,
                                    const struct queue_listing_row *rows, size_t count,
                                    int64_t now_ms);

#endif
