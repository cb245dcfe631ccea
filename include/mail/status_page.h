/*
 * status_page - the daemon at a glance, as a page for people.
 *
 * Output  HTML5, whole, no script, nothing fetched from anywhere; one stylesheet in the page
 *         (mail/page_frame).
 * Input   plain values; what a peer said is escaped (base/html), everything else is ours.
 * Absent  a part whose facts are not there (count 0, NULL) says so or is left out.
 * Times   UTC.
 */
#ifndef MAIL_STATUS_PAGE_H
#define MAIL_STATUS_PAGE_H

#include "mail/page_chart.h"
#include "mail/queue_ages.h"

enum page_span { PAGE_HOUR, PAGE_DAY, PAGE_WEEK };
enum { PAGE_SPANS = PAGE_WEEK + 1 };

enum page_answer { PAGE_UNKNOWN, PAGE_NO, PAGE_YES };

/* How good or bad something is. */
enum page_mood { MOOD_GOOD, MOOD_PLAIN, MOOD_WARNING, MOOD_BAD };

struct page_pause {
    const char *kind;         /* "inbound", "outbound", "destination" */
    struct bytes destination; /* or empty */
    int64_t since_ms;
};

struct page_health {
    const char *version;
    struct bytes hostname;
    int64_t now_ms, started_ms;
    uint64_t sessions;
    uint64_t messages, deliveries, held;
    int64_t oldest_ms; /* 0: the queue is empty */
    const struct page_pause *pauses;
    size_t pause_count;
    bool has_certificate;
    int64_t certificate_expires; /* seconds since 1970: of the first one to expire */
    enum page_answer validates;  /* the resolver: DNSSEC */
    bool knows_disk;
    uint64_t disk_free, disk_floor; /* octets; below the floor no mail is taken */
    int64_t reload_ms;              /* of the last one; 0: there was none */
    bool reload_failed;
    bool keeps_history; /* messages can be searched for */
};

/* A destination mail does not reach. */
struct page_failing {
    struct bytes destination;
    uint64_t failures;         /* attempts, since since_ms */
    uint64_t delivered;        /* in the same time */
    int64_t since_ms, last_ms; /* 0: not known */
    struct bytes kind, reply;  /* of the last one */
    struct bytes relay, tls;
};

struct page_finding {
    enum page_mood mood;
    struct bytes title, what, why, fix; /* all but the title may be empty */
};

struct page_shares {
    const char *title;
    const struct chart_part *parts;
    size_t count;
};

/* Several bars below one headline. */
struct page_group {
    const struct page_shares *shares;
    size_t count;
};

struct page_charts {
    const struct chart *charts; /* the first one is the widest */
    size_t count;
};

struct page_ranking {
    const struct chart_rank *ranks;
    size_t count;
};

struct status_page {
    struct page_health health;
    enum page_span span;
    struct page_charts flow[PAGE_SPANS], authentication[PAGE_SPANS];
    struct queue_ages *ages; /* NULL: not known */
    const struct page_failing *failing;
    size_t failing_count;
    struct page_group arrival, afterwards, tls, returns;
    struct page_ranking refusals;
    int64_t findings_ms; /* when they were looked for; 0: not yet */
    const struct page_finding *findings;
    size_t finding_count;
};

void status_page_add(struct strbuf *out, const struct status_page *page);

#endif
