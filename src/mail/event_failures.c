#include "mail/event_failures.h"

#include "base/memory.h"

#include <stdlib.h>

struct kept_text {
    size_t len;
    char text[EVENT_FAILURE_TEXT];
};

struct kept_failure {
    struct kept_text domain, class, relay, tls, reply;
    uint64_t failures; /* 0: the place is free */
    uint64_t delivered;
    int64_t since_ms, last_ms;
};

struct event_failures {
    struct kept_failure kept[EVENT_FAILURES];
};

struct event_failures *event_failures_new(void)
{
    return memory_zero(sizeof(struct event_failures));
}

void event_failures_free(struct event_failures **failures)
{
    free(*failures);
    *failures = NULL;
}

static struct bytes view(const struct kept_text *kept)
{
    return bytes_of(kept->text, kept->len);
}

static void keep(struct kept_text *kept, struct bytes text)
{
    kept->len = text.len < EVENT_FAILURE_TEXT ? text.len : EVENT_FAILURE_TEXT;
    if (kept->len > 0) {
        memcpy(kept->text, text.data, kept->len);
    }
}

static struct bytes domain_of(const struct event_record *record)
{
    struct bytes address = event_record_get(record, "to");
    size_t at = bytes_find_last(address, '@');

    return at < address.len ? bytes_first(bytes_skip(address, at + 1), EVENT_FAILURE_TEXT)
                            : (struct bytes){NULL, 0};
}

static struct kept_failure *find(struct event_failures *failures, struct bytes domain)
{
    for (size_t i = 0; i < EVENT_FAILURES; i++) {
        struct kept_failure *kept = &failures->kept[i];

        if (kept->failures > 0 && bytes_equal_nocase(view(&kept->domain), domain)) {
            return kept;
        }
    }
    return NULL;
}

/* Which of two places is given up rather? */
static bool is_less(const struct kept_failure *a, const struct kept_failure *b, int64_t now_ms)
{
    bool is_a_old = now_ms - a->last_ms > EVENT_FAILURE_MS;
    bool is_b_old = now_ms - b->last_ms > EVENT_FAILURE_MS;

    if (is_a_old != is_b_old) {
        return is_a_old;
    }
    return a->failures != b->failures ? a->failures < b->failures : a->last_ms < b->last_ms;
}

static struct kept_failure *make_place(struct event_failures *failures, int64_t now_ms)
{
    struct kept_failure *least = &failures->kept[0];

    for (size_t i = 1; i < EVENT_FAILURES; i++) {
        if (is_less(&failures->kept[i], least, now_ms)) {
            least = &failures->kept[i];
        }
    }
    *least = (struct kept_failure){.since_ms = now_ms};
    return least;
}

/* What is wrong with one recipient says nothing about its destination. */
static bool is_of_recipient(struct bytes class)
{
    return bytes_equal(class, BYTES("unknown-user")) ||
           bytes_equal(class, BYTES("mailbox-full")) ||
           bytes_equal(class, BYTES("mailbox-busy")) || bytes_equal(class, BYTES("too-big"));
}

static void take_failure(struct event_failures *failures, const struct event_record *record)
{
    struct bytes domain = domain_of(record);
    struct bytes class = event_record_get(record, "class");
    struct kept_failure *kept;

    if (domain.len == 0 || class.len == 0 || is_of_recipient(class)) {
        return;
    }
    kept = find(failures, domain);
    if (kept != NULL && record->time_ms - kept->last_ms > EVENT_FAILURE_MS) {
        *kept = (struct kept_failure){.since_ms = record->time_ms};
    } else if (kept == NULL) {
        kept = make_place(failures, record->time_ms);
    }
    kept->failures++;
    kept->last_ms = record->time_ms;
    keep(&kept->domain, domain);
    bytes_fold(kept->domain.text, view(&kept->domain));
    keep(&kept->class, class);
    keep(&kept->relay, event_record_get(record, "relay"));
    keep(&kept->tls, event_record_get(record, "tls"));
    keep(&kept->reply, event_record_get(record, "reply"));
}

void event_failures_take(struct event_failures *failures, const struct event_record *record)
{
    static const char *const FAILED[] = {"deferred", "bounced", "dropped", "held", "refused"};

    if (event_record_is(record, "delivered")) {
        struct kept_failure *kept = find(failures, domain_of(record));
        if (kept != NULL) {
            kept->delivered++;
        }
        return;
    }
    for (size_t i = 0; i < sizeof FAILED / sizeof *FAILED; i++) {
        if (event_record_is(record, FAILED[i])) {
            take_failure(failures, record);
            return;
        }
    }
}

static int compare(const void *left, const void *right)
{
    const struct event_failure *a = left, *b = right;

    if (a->failures != b->failures) {
        return a->failures < b->failures ? 1 : -1;
    }
    return bytes_compare(a->domain, b->domain);
}

size_t event_failures_list(const struct event_failures *failures, int64_t now_ms,
                           struct event_failure list[EVENT_FAILURES])
{
    size_t count = 0;

    for (size_t i = 0; i < EVENT_FAILURES; i++) {
        const struct kept_failure *kept = &failures->kept[i];

        if (kept->failures > 0 && now_ms - kept->last_ms <= EVENT_FAILURE_MS) {
            list[count++] = (struct event_failure){.domain = view(&kept->domain),
                                                   .class = view(&kept->class),
                                                   .relay = view(&kept->relay),
                                                   .tls = view(&kept->tls),
                                                   .reply = view(&kept->reply),
                                                   .failures = kept->failures,
                                                   .delivered = kept->delivered,
                                                   .since_ms = kept->since_ms,
                                                   .last_ms = kept->last_ms};
        }
    }
    qsort(list, count, sizeof *list, compare);
    return count;
}
