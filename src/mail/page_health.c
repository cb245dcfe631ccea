#include "mail/page_health.h"

#include "base/calendar.h"
#include "base/html.h"

#include <inttypes.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
enum { CERTIFICATE_WARNING_DAYS = 21, CERTIFICATE_BAD_DAYS = 7 };

const char *page_mood_class(enum page_mood mood)
{
    switch (mood) {
    case MOOD_GOOD:
        return "m-good";
    case MOOD_PLAIN:
        return "m-plain";
    case MOOD_WARNING:
        return "m-warn";
    case MOOD_BAD:
        break;
    }
    return "m-bad";
}

void page_health_add_span(struct strbuf *out, int64_t seconds)
{
    if (seconds < 0) {
        seconds = 0;
    }
    if (seconds < 2 * MINUTE) {
        strbuf_addf(out, "%" PRId64 " s", seconds);
    } else if (seconds < 2 * HOUR) {
        strbuf_addf(out, "%" PRId64 " min", seconds / MINUTE);
    } else if (seconds < DAY) {
        strbuf_addf(out, "%" PRId64 " h %" PRId64 " min", seconds / HOUR,
                    seconds % HOUR / MINUTE);
    } else {
        strbuf_addf(out, "%" PRId64 " d %" PRId64 " h", seconds / DAY, seconds % DAY / HOUR);
    }
}

void page_health_add_octets(struct strbuf *out, uint64_t octets)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    uint64_t tenths = octets > UINT64_MAX / 10 ? UINT64_MAX : octets * 10;
    size_t unit = 0;

    while (tenths >= 10000 && unit < sizeof units / sizeof units[0] - 1) {
        tenths = tenths / 1000;
        unit++;
    }
    if (tenths < 100 && unit > 0) {
        strbuf_addf(out, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
    } else {
        strbuf_addf(out, "%" PRIu64 " %s", tenths / 10, units[unit]);
    }
}

static int64_t certificate_days(const struct page_health *health)
{
    int64_t seconds = health->certificate_expires - health->now_ms / 1000;

    return seconds >= 0 ? seconds / DAY : -((-seconds + DAY - 1) / DAY);
}

enum page_mood page_health_certificate(const struct page_health *health)
{
    int64_t days = certificate_days(health);

    return !health->has_certificate          ? MOOD_PLAIN
           : days < CERTIFICATE_BAD_DAYS     ? MOOD_BAD
           : days < CERTIFICATE_WARNING_DAYS ? MOOD_WARNING
                                             : MOOD_GOOD;
}

enum page_mood page_health_disk(const struct page_health *health)
{
    return !health->knows_disk                           ? MOOD_PLAIN
           : health->disk_free <= health->disk_floor     ? MOOD_BAD
           : health->disk_free / 2 <= health->disk_floor ? MOOD_WARNING
                                                         : MOOD_GOOD;
}

enum page_mood page_health_queue(const struct page_health *health)
{
    return health->oldest_ms != 0 && health->now_ms - health->oldest_ms > DAY * INT64_C(1000)
               ? MOOD_WARNING
               : MOOD_GOOD;
}

/* ---- the strip ---- */

static void open_tile(struct strbuf *out, enum page_mood mood, const char *name)
{
    strbuf_addf(out, "<div class=\"%s\"><dt>%s</dt><dd>", page_mood_class(mood), name);
}

static void close_tile(struct strbuf *out)
{
    strbuf_add_text(out, "</dd></div>");
}

static bool is_paused(const struct page_health *health, const char *kind)
{
    for (size_t i = 0; i < health->pause_count; i++) {
        if (strcmp(health->pauses[i].kind, kind) == 0) {
            return true;
        }
    }
    return false;
}

static void add_mail_tile(struct strbuf *out, const struct page_health *health)
{
    bool in = is_paused(health, "inbound"), out_ = is_paused(health, "outbound");
    bool is_full = page_health_disk(health) == MOOD_BAD;

    open_tile(out, in || out_ || is_full ? MOOD_BAD : MOOD_GOOD, "Mail");
    strbuf_add_text(out, is_full      ? "no space"
                         : in && out_ ? "paused"
                         : in         ? "not taken"
                         : out_       ? "not sent"
                                      : "flows");
    strbuf_addf(out, "<small>%" PRIu64 " %s</small>", health->sessions,
                health->sessions == 1 ? "session" : "sessions");
    close_tile(out);
}

static void add_queue_tiles(struct strbuf *out, const struct page_health *health)
{
    open_tile(out, MOOD_PLAIN, "Queue");
    page_chart_add_number(out, health->messages);
    strbuf_addf(out, "<small>%" PRIu64 " %s, %" PRIu64 " held</small>", health->deliveries,
                health->deliveries == 1 ? "delivery" : "deliveries", health->held);
    close_tile(out);
    open_tile(out, page_health_queue(health), "Oldest message");
    if (health->oldest_ms == 0) {
        strbuf_add_text(out, "none<small>the queue is empty</small>");
    } else {
        page_health_add_span(out, (health->now_ms - health->oldest_ms) / 1000);
        strbuf_add_text(out, "<small>in the queue</small>");
    }
    close_tile(out);
}

static void add_certificate_tile(struct strbuf *out, const struct page_health *health)
{
    int64_t days = certificate_days(health);

    open_tile(out, page_health_certificate(health), "Certificate");
    if (!health->has_certificate) {
        strbuf_add_text(out, "none<small>mail comes in clear</small>");
    } else if (days < 0) {
        strbuf_add_text(out, "expired");
    } else {
        strbuf_addf(out, "%" PRId64 " %s<small>until it expires</small>", days,
                    days == 1 ? "day" : "days");
    }
    close_tile(out);
}

static void add_resolver_tile(struct strbuf *out, const struct page_health *health)
{
    switch (health->validates) {
    case PAGE_UNKNOWN:
        open_tile(out, MOOD_PLAIN, "DNSSEC");
        strbuf_add_text(out, "not known<small>the doctor has not looked</small>");
        break;
    case PAGE_NO:
        open_tile(out, MOOD_WARNING, "DNSSEC");
        strbuf_add_text(out, "no<small>the resolver does not validate</small>");
        break;
    case PAGE_YES:
        open_tile(out, MOOD_GOOD, "DNSSEC");
        strbuf_add_text(out, "validated<small>by the resolver</small>");
        break;
    }
    close_tile(out);
}

static void add_disk_tile(struct strbuf *out, const struct page_health *health)
{
    open_tile(out, page_health_disk(health), "Disk");
    if (health->knows_disk) {
        page_health_add_octets(out, health->disk_free);
        strbuf_add_text(out, "<small>free for the spool</small>");
    } else {
        strbuf_add_text(out, "not known");
    }
    close_tile(out);
}

static void add_reload_tile(struct strbuf *out, const struct page_health *health)
{
    open_tile(out, health->reload_failed ? MOOD_BAD : MOOD_GOOD, "Configuration");
    strbuf_add_text(out, health->reload_failed ? "not loaded" : "in force");
    strbuf_add_text(out, "<small>");
    if (health->reload_ms == 0) {
        strbuf_add_text(out, "since the start");
    } else {
        strbuf_add_text(out, health->reload_failed ? "tried " : "read ");
        page_health_add_span(out, (health->now_ms - health->reload_ms) / 1000);
        strbuf_add_text(out, " ago");
    }
    strbuf_add_text(out, "</small>");
    close_tile(out);
}

void page_health_add_strip(struct strbuf *out, const struct page_health *health)
{
    strbuf_add_text(out, "<dl class=\"strip\">");
    add_mail_tile(out, health);
    add_queue_tiles(out, health);
    add_certificate_tile(out, health);
    add_resolver_tile(out, health);
    add_disk_tile(out, health);
    add_reload_tile(out, health);
    open_tile(out, MOOD_PLAIN, "Up");
    page_health_add_span(out, (health->now_ms - health->started_ms) / 1000);
    strbuf_addf(out, "<small>postilion %s</small>", health->version);
    close_tile(out);
    strbuf_add_text(out, "</dl>");
}

/* ---- what wants somebody ---- */

static void open_notice(struct strbuf *out, bool *has_list, enum page_mood mood)
{
    if (!*has_list) {
        strbuf_add_text(out, "<ul class=\"notices\" aria-label=\"What wants somebody\">");
        *has_list = true;
    }
    strbuf_addf(out, "<li class=\"%s\">", page_mood_class(mood));
}

static void add_pause_notices(struct strbuf *out, const struct page_health *health,
                              bool *has_list)
{
    for (size_t i = 0; i < health->pause_count; i++) {
        const struct page_pause *pause = &health->pauses[i];
        open_notice(out, has_list, MOOD_WARNING);
        strbuf_add_text(out, "<b>Paused: ");
        if (pause->destination.len > 0) {
            strbuf_add_text(out, "mail to ");
            html_add_short(out, pause->destination, 255);
        } else {
            strbuf_add_text(out, strcmp(pause->kind, "inbound") == 0 ? "taking mail"
                                                                     : "sending mail");
        }
        strbuf_add_text(out, "</b> for ");
        page_health_add_span(out, (health->now_ms - pause->since_ms) / 1000);
        strbuf_add_text(out, ", by an operator. <span class=\"said\">postilion resume ");
        html_add_short(
            out, pause->destination.len > 0 ? pause->destination : bytes_from_text(pause->kind),
            255);
        strbuf_add_text(out, "</span> ends it.</li>");
    }
}

void page_health_add_notices(struct strbuf *out, const struct page_health *health,
                             const struct page_finding *findings, size_t count)
{
    bool has_list = false;

    if (health->reload_failed) {
        open_notice(out, &has_list, MOOD_BAD);
        strbuf_add_text(out, "<b>The last reload failed.</b> The configuration has errors, the "
                             "one of before stays in force. <span class=\"said\">postilion "
                             "check</span> names them.</li>");
    }
    if (page_health_disk(health) == MOOD_BAD) {
        open_notice(out, &has_list, MOOD_BAD);
        strbuf_add_text(out, "<b>There is no space for mail.</b> Clients are told to come "
                             "again until there is more than limits.free-space.</li>");
    }
    add_pause_notices(out, health, &has_list);
    for (size_t i = 0; i < count; i++) {
        if (findings[i].mood == MOOD_BAD) {
            open_notice(out, &has_list, MOOD_BAD);
            strbuf_add_text(out, "<b>");
            html_add_short(out, findings[i].title, 200);
            strbuf_add_text(out, "</b> <a href=\"#doctor\">what to do</a></li>");
        }
    }
    strbuf_add_text(out, has_list ? "</ul>" : "");
}
