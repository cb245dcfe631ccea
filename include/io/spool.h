/*
 * spool - messages and deliveries on stable storage: SQLite behind one thread.
 *
 * Promise  when a change is answered SPOOL_OK it is on stable storage (WAL, synchronous=FULL).
 * Threads  one that writes and reads, one for files and checkpoints, one for long readings.
 * Group    loops hand changes in from any thread; the spool thread takes all that wait into one
 *          transaction, commits, then answers each on the loop it came from. No timer is waited for,
 *          but by closes that may wait: they join the next commit, or have their own a few ms later.
 * Loops    must live until spool_close has returned: its thread may be about to wake them.
 * Atomic   all changes of one spool_commit happen or none, but for rows that are gone: those are passed
 *          over, SPOOL_GONE means that all were. A message that is added behind closes is added when one
 *          of them has happened.
 * Memory   everything a request points to is *borrowed* until its `done` has run.
 * Errors   a failed write or sync is final for every request of that batch: it is cut off the log and does
 *          not come back, unless the disk fails, too, at each try to cut it until the process has ended.
 *          The database is opened anew. SPOOL_FULL is answered while the disk is full or the free space is
 *          under the floor (only requests that add and close nothing are refused by the floor: what
 *          closes a delivery frees space). A damaged database is never written to.
 * Rows     text here is opaque to this room: addresses and records are mail's business.
 */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "io/content.h"
#include "io/event_loop.h"

enum spool_status {
    SPOOL_OK,
    SPOOL_FULL,    /* no space, or under the free-space floor */
    SPOOL_FAILED,  /* the disk failed */
    SPOOL_GONE,    /* no such message */
    SPOOL_DAMAGED, /* the database does not make sense: stop */
    SPOOL_LOCKED,  /* open only: another daemon has it */
};

enum spool_state {
    SPOOL_DUE,  /* to be tried at next_attempt_ms */
    SPOOL_HELD, /* waits for an operator */
    /* Held as well, but not for ever: it has failed for good, and nobody could be told.
     * next_attempt_ms says since when. */
    SPOOL_UNBOUNCED,
};

enum { SPOOL_ATTEMPTS = 20 }; /* kept of one delivery: the last */

/* What came of one attempt at a delivery that is still open. */
struct spool_attempt {
    uint32_t number;    /* the delivery's; in answers only */
    int64_t at_ms;      /* unix */
    struct bytes host;  /* the next hop's, or empty */
    struct bytes reply; /* text for people */
};

struct spool_message {
    uint64_t id;
    int64_t created_ms;      /* unix */
    struct bytes envelope;   /* opaque record */
    struct bytes prefix;     /* header fields put on top when sending */
    struct content *content; /* NULL: read without it, or its file is gone or cut short */
    uint64_t content_size;
    /* Answers of read_message only: of all open deliveries, by number, oldest first. */
    const struct spool_attempt *attempts;
    size_t attempt_count;
};

struct spool_delivery {
    uint64_t message;
    uint32_t number; /* 0.. within the message */
    enum spool_state state;
    struct bytes destination; /* the key deliveries are scheduled by */
    struct bytes recipient;   /* next hop's RCPT */
    struct bytes alias;       /* what the sender wrote to */
    struct bytes sender;      /* envelope sender to use, empty: null */
    uint32_t attempts;
    int64_t next_attempt_ms; /* unix */
    int64_t created_ms;      /* of the message */
    struct bytes last_reply; /* why it waits: text for people */
    unsigned notify;         /* opaque: what the sender wants to hear of it (RFC 3461) */
    struct bytes orcpt;      /* opaque: the recipient as the sender wrote it (RFC 3461) */
    struct bytes fallback;   /* where it goes when `recipient` is refused for good, or empty */
    bool is_warned;          /* the sender has been told that it is late */
    bool is_given_up;        /* by an operator: the next attempt is a bounce */
    uint64_t content_size;   /* of the message; in answers of read_all and read_message only */
};

/* In place of the fallback of a delivery whose message has been sent there by another one: an update that
 * would send it there as well closes it. */
#define SPOOL_FALLBACK_TAKEN "-"

enum spool_change_kind {
    SPOOL_ADD,   /* message and its deliveries */
    SPOOL_CLOSE, /* one delivery is done; the message goes with its last one */
    /* attempts, next_attempt_ms, last_reply, destination of one delivery; state and is_warned, but
     * what is held or warned of stays so; recipient, sender and fallback, unless the recipient is
     * empty. `attempt` joins its history. */
    SPOOL_UPDATE,
    SPOOL_DELETE, /* a message with all its deliveries; is_one: one of them */
    /* Operators, of a message (id) or of one delivery of it (is_one): */
    SPOOL_RETRY, /* due now; with is_one what is not held. Id 0: what is not held of `destination` */
    SPOOL_HOLD,    /* what is due: `value` becomes its last_reply */
    SPOOL_RELEASE, /* what is held: due now */
    SPOOL_GIVE_UP, /* due now, and marked: it is not tried any more, but bounced */
    SPOOL_SET,     /* the setting `name` is `value` from now on; empty: it is forgotten */
};

struct spool_change {
    enum spool_change_kind kind;
    uint64_t id;     /* the message; but for ADD, UPDATE, SET */
    uint32_t number; /* CLOSE; is_one */
    bool is_one;     /* operators: of `number` only; that it is gone is no mistake then */
    bool may_wait;   /* CLOSE: nobody waits for it */
    bool
        is_hold_over; /* CLOSE: only if it is SPOOL_UNBOUNCED still, an operator may have released it */
    struct bytes destination; /* RETRY with id 0 */
    struct bytes name, value; /* SET; HOLD: value */
    int64_t now_ms;           /* RETRY, RELEASE, GIVE_UP */
    uint64_t *
        affected; /* operators: how many deliveries were changed; ADD, CLOSE: 1 when done; or NULL */
    const struct spool_message *message;     /* ADD */
    const struct spool_delivery *deliveries; /* ADD: all; UPDATE: one */
    size_t delivery_count;
    const struct spool_attempt *attempt; /* UPDATE; or NULL */
};

struct spool_options {
    const char *directory;
    uint64_t free_space_floor; /* octets */
    /* The database turned out to be damaged: the program has to stop. Called once, from the
     * spool's thread. NULL: nobody wants to know. */
    void (*on_damaged)(void *context);
    void *context;
};

struct spool_counters {
    uint64_t messages, deliveries, commits, changes;
};

struct spool;

/* Opens or makes the spool, takes its lock, checks and upgrades the schema, starts the thread.
 * NULL on failure: *status and *why (for the operator). */
struct spool *spool_open(const struct spool_options *options, enum spool_status *status,
                         struct strbuf *why);
/* Commits what waits, checkpoints, stops the thread. */
void spool_close(struct spool **spool);

typedef void (*spool_done)(void *context, enum spool_status status);

void spool_commit(struct spool *spool, struct event_loop *loop,
                  const struct spool_change *changes, size_t count, spool_done done,
                  void *context);

/* Reads. Rows are good during the callback only, except the content, which the callback may hold. */
typedef void (*spool_rows_done)(void *context, enum spool_status status,
                                const struct spool_delivery *rows, size_t count);
typedef void (*spool_message_done)(void *context, enum spool_status status,
                                   const struct spool_message *message,
                                   const struct spool_delivery *deliveries, size_t count);
struct spool_destination {
    struct bytes name;
    int64_t earliest_ms; /* next attempt of its first delivery that is due */
};
typedef void (*spool_destinations_done)(void *context, enum spool_status status,
                                        const struct spool_destination *rows, size_t count);

/* Destinations with something due before `until_ms`, by name, after `after` (empty: from the start);
 * fewer than `limit` rows: that was the end. */
void spool_read_destinations(struct spool *spool, struct event_loop *loop, struct bytes after,
                             int64_t until_ms, size_t limit, spool_destinations_done done,
                             void *context);
/* Deliveries of one destination that are due before `until_ms`, oldest attempt first; those behind
 * (after_ms, after_message, after_number) in that order. */
void spool_read_due(struct spool *spool, struct event_loop *loop, struct bytes destination,
                    int64_t after_ms, uint64_t after_message, uint32_t after_number,
                    int64_t until_ms, size_t limit, spool_rows_done done, void *context);
/* What has been SPOOL_UNBOUNCED since before `until_ms`, oldest message first. */
void spool_read_unbounced(struct spool *spool, struct event_loop *loop, int64_t until_ms,
                          size_t limit, spool_rows_done done, void *context);
/* One message with its content (unless !with_content), all its open deliveries and their attempts. */
void spool_read_message(struct spool *spool, struct event_loop *loop, uint64_t id,
                        bool with_content, spool_message_done done, void *context);

/* What follows is for operators: it may take long (seconds for millions of rows), and is done on a
 * thread of its own that no delivery waits for. */

struct spool_filter {
    bool held_only;
    /* NULL: all. Asked on a thread of the spool's; the context is *borrowed* until the answer. */
    bool (*matches)(const void *context, const struct spool_delivery *row);
    const void *context;
};

/* Open deliveries by (message, number), from behind (after_message, after_number); those the filter
 * (NULL: all) lets through. Fewer than `limit`: that was the end. */
void spool_read_all(struct spool *spool, struct event_loop *loop,
                    const struct spool_filter *filter, uint64_t after_message,
                    uint32_t after_number, size_t limit, spool_rows_done done, void *context);

enum { SPOOL_AGES = 10, SPOOL_AGE_FIRST_MS = 5 * 60 * 1000 };

/* How old what waits for one destination is. */
struct spool_age {
    struct bytes destination;
    uint64_t due[SPOOL_AGES]; /* up to 5, 10, 20 ... minutes; the last: older than all */
    uint64_t held;
};
typedef void (*spool_ages_done)(void *context, enum spool_status status,
                                const struct spool_age *rows, size_t count);
/* Destinations by name, from behind `after`; fewer than `limit`: that was the end. */
void spool_read_ages(struct spool *spool, struct event_loop *loop, struct bytes after,
                     int64_t now_ms, size_t limit, spool_ages_done done, void *context);

struct spool_setting {
    struct bytes name, value;
};

struct spool_summary {
    uint64_t held;      /* deliveries */
    int64_t created_ms; /* of the oldest message; 0: there is none */
    const struct spool_setting *settings;
    size_t setting_count;
};
typedef void (*spool_summary_done)(void *context, enum spool_status status,
                                   const struct spool_summary *summary);
void spool_read_summary(struct spool *spool, struct event_loop *loop, spool_summary_done done,
                        void *context);
/* The same at once, for the start: it waits for the disk. Lives in `arena`. */
enum spool_status spool_summary_now(struct spool *spool, struct arena *arena,
                                    struct spool_summary *summary);
struct spool_counters spool_count(const struct spool *spool); /* any thread, approximate */
const char *spool_status_text(enum spool_status status);

#endif
