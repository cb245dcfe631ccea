/*
 * event_counts - what happened, counted from the lines of the log.
 *
 * Input    one log line after the other (mail/event_record); each costs well under a microsecond.
 * Output   counters, and histograms of sizes and times; as numbers, or as Prometheus' text.
 * Labels   every counter has one place for each pair of words that its two labels may have. The words
 *          are fixed when this is compiled: a word that is not known, whoever said it, is counted as "other",
 *          so nothing that comes from a peer makes a place, a name or memory.
 * Memory   one block of constant size.
 * Threads  none: whoever shares it locks it.
 * Format   Prometheus text exposition 0.0.4; counters begin at 0 with the process, all places are shown.
 */
#ifndef MAIL_EVENT_COUNTS_H
#define MAIL_EVENT_COUNTS_H

#include "base/strbuf.h"
#include "mail/event_record.h"

enum event_count {
    COUNT_LOG_LINES, /* by level */
    COUNT_LOG_LOST,
    COUNT_SESSIONS,            /* by TLS version */
    COUNT_SESSION_ENDS,        /* by reason */
    COUNT_CONNECTIONS_REFUSED, /* by reason */
    COUNT_CLIENTS_PENALISED,   /* by reason */
    COUNT_FORGERY_ALARMS,
    COUNT_CLIENTS_LIMITED,   /* by reason */
    COUNT_HANDSHAKES_FAILED, /* by side */
    COUNT_ACCEPTED,          /* messages, by what the 250 rests on */
    COUNT_REFUSED,           /* messages, by reason */
    COUNT_DEFERRED,          /* messages, by reason */
    COUNT_RECIPIENTS_ACCEPTED,
    COUNT_RECIPIENTS_REFUSED,  /* by reason */
    COUNT_RECIPIENTS_DEFERRED, /* by reason */
    COUNT_RECIPIENTS_ENDED,    /* accepted, and nothing is sent: by reason */
    COUNT_AUTHENTICATION,      /* by method and result */
    COUNT_MARKS,               /* by mark */
    COUNT_FORECASTS,           /* by forecast and reason */
    COUNT_MANNERS,             /* messages forwarded, by manner */
    COUNT_FINDINGS,            /* about clients, by finding */
    COUNT_VERDICTS,            /* on clients, by verdict */
    COUNT_LIST_TROUBLES,       /* by reason */
    COUNT_VERIFY_TROUBLES,     /* by event */
    COUNT_SCANS,               /* by scanner and result */
    COUNT_SCAN_FAILURES,       /* by scanner and reason */
    COUNT_SEAL_FAILURES,
    COUNT_SRS_RETURNS,       /* recipients that are SRS addresses, by result */
    COUNT_DELIVERIES,        /* attempts, by outcome */
    COUNT_DELIVERY_FAILURES, /* by outcome and class */
    COUNT_DELIVERY_TLS,      /* delivered, by TLS version and verified */
    COUNT_BOUNCES,           /* by reason */
    COUNT_UNREPORTED,        /* failed, and nobody is told: by outcome and reason */
    COUNT_DESTINATION_PAUSES,
    COUNT_STORAGE_TROUBLES, /* by event */
    COUNT_RELOADS,          /* by result */
};

enum { EVENT_COUNTS = COUNT_RELOADS + 1 };

enum event_histogram {
    HISTOGRAM_MESSAGE_SIZE,   /* octets of accepted messages */
    HISTOGRAM_ANSWER,         /* ms from the final dot to its answer */
    HISTOGRAM_CLAMD,          /* ms from the final dot to what it says */
    HISTOGRAM_RSPAMD,         /* the same */
    HISTOGRAM_DELIVERY_DELAY, /* ms from arrival to delivery */
};

enum { EVENT_HISTOGRAMS = HISTOGRAM_DELIVERY_DELAY + 1, EVENT_BUCKETS = 16 };

struct event_counts;

struct event_counts *event_counts_new(void);
void event_counts_free(struct event_counts **counts); /* safe on NULL */
void event_counts_take(struct event_counts *counts, const struct event_record *record);

/* The sum of all places that have these words; NULL: any word, as for a label there is not. */
uint64_t event_counts_get(const struct event_counts *counts, enum event_count which,
                          const char *first, const char *second);

/* One place of a counter. */
struct event_place {
    const char *first, *second; /* words of its labels; NULL: there is no such label */
    uint64_t value;
};
/* The `index`th; false: there are no more. */
bool event_counts_place(const struct event_counts *counts, enum event_count which, size_t index,
                        struct event_place *place);

struct event_buckets {
    uint64_t count, sum;
    size_t bound_count;
    uint64_t bounds[EVENT_BUCKETS]; /* octets or ms, rising */
    uint64_t up_to[EVENT_BUCKETS];  /* how many were not above that bound */
};
void event_counts_histogram(const struct event_counts *counts, enum event_histogram which,
                            struct event_buckets *buckets);

void event_counts_add_prometheus(struct strbuf *out, const struct event_counts *counts);

#endif
