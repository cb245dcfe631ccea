/*
 *   1 arm          when the next one is due
 *   2 start        a thread
 *   3 run          on it: doctor_run, a result
 *   4 on_done      on the main loop again: the log, the result becomes the last one
 */
#include "daemon/doctor_daily.h"

#include "base/memory.h"
#include "daemon/doctor.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"
#include "io/process.h"

#include <stdlib.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, WHY_LIMIT = 4096, LISTENERS = CONFIG_LISTENERS };

/* A name whose signature is broken on purpose, kept for such tests. */
static const char BROKEN_NAME[] = "dnssec-failed.org";

struct doctor_daily {
    struct event_loop *loop;
    struct snapshot *snapshot;
    struct ip_endpoint listening[LISTENERS];
    size_t listening_count;
    struct loop_timer *timer;
    uint64_t last_ms; /* monotonic; 0: none has been finished */

    /* of the run that is under way */
    struct process_thread *thread; /* NULL: there is none */
    struct doctor_request request;
    struct doctor *doctor;
    struct doctor_result *fresh;
    struct strbuf why;
    bool is_done; /* it came to its end */
    struct loop_task done;

    struct doctor_result *last; /* or NULL */
};

/* ---- results ----------------------------------------------------------------------------- */

static struct doctor_result *result_new(void)
{
    struct doctor_result *result = memory_zero(sizeof *result);

    result->arena = arena_new();
    result->at_ms = clock_unix_ms();
    findings_init(&result->findings, result->arena);
    return result;
}

static void result_free(struct doctor_result **result)
{
    if (*result != NULL) {
        arena_free(&(*result)->arena);
        free(*result);
        *result = NULL;
    }
}

const struct doctor_result *doctor_daily_last(const struct doctor_daily *daily)
{
    return daily->last;
}

/* ---- the log ----------------------------------------------------------------------------- */

static void log_finding(const char *event, enum log_level level, const struct finding *finding)
{
    struct log_line line;

    log_begin(&line, level, event);
    log_text(&line, "severity", finding_severity_text(finding->severity));
    log_text(&line, "kind", finding->kind);
    log_bytes(&line, "subject", finding->subject);
    log_text(&line, "check", finding->check);
    log_bytes(&line, "found", finding->found);
    if (finding->remedy != FINDING_NO_REMEDY) {
        log_text(&line, "remedy", finding_remedy_text(finding->remedy));
        log_bytes(&line, "fix", finding->fix);
    }
    log_end(&line);
}

static void log_findings(const struct findings *now, const struct findings *before)
{
    for (const struct finding *at = now->first; at != NULL; at = at->next) {
        if (at->severity >= FINDING_WARNING && (before == NULL || !findings_has(before, at))) {
            log_finding("doctor-finding",
                        at->severity == FINDING_ERROR ? LOG_ERROR : LOG_WARNING, at);
        }
    }
    for (const struct finding *at = before == NULL ? NULL : before->first; at != NULL;
         at = at->next) {
        if (at->severity >= FINDING_WARNING && !findings_has_like(now, at)) {
            log_finding("doctor-mended", LOG_INFO, at);
        }
    }
}

static void log_done(const struct findings *findings, int64_t took_ms)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "doctor-done");
    for (unsigned i = 0; i < FINDING_SEVERITIES; i++) {
        log_number(&line, finding_severity_text((enum finding_severity)i), findings->counts[i]);
    }
    log_number(&line, "took_ms", took_ms);
    log_end(&line);
}

static void log_failure(const struct strbuf *why)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "doctor-failed");
    log_bytes(&line, "why", strbuf_bytes(why));
    log_end(&line);
}

/* ---- 1 when ------------------------------------------------------------------------------ */

static bool is_off(const struct doctor_daily *daily)
{
    return daily->snapshot->config->doctor.run == CONFIG_DOCTOR_OFF;
}

static void arm(struct doctor_daily *daily, uint64_t delay_ms)
{
    loop_timer_stop(daily->timer);
    if (!is_off(daily)) {
        loop_timer_set(daily->timer, delay_ms);
    }
}

/* And up to half of it more: hosts that were started together are not to ask together. */
static uint64_t jittered(uint64_t delay_ms)
{
    return delay_ms + (uint64_t)entropy_u32() * (delay_ms / 2) / UINT32_MAX;
}

/* ---- 3 on its thread --------------------------------------------------------------------- */

static void on_done(void *context);

static void run(void *context)
{
    struct doctor_daily *daily = context;

    daily->is_done = doctor_run(daily->doctor, &daily->fresh->findings, &daily->why);
    event_loop_post(daily->loop, &daily->done);
}

/* ---- 2 and 4 on the main loop ------------------------------------------------------------ */

static void start(void *context)
{
    struct doctor_daily *daily = context;

    if (daily->thread != NULL || is_off(daily)) {
        return;
    }
    daily->request = (struct doctor_request){
        .snapshot = daily->snapshot,
        .listening = daily->listening,
        .listening_count = daily->listening_count,
        .broken_name = bytes_from_text(BROKEN_NAME),
        .asks_public_lists = daily->snapshot->config->doctor.lists == CONFIG_DOCTOR_PUBLIC,
        .is_daemon = true,
        .domain_limit = DOCTOR_DOMAINS_DAILY,
    };
    daily->doctor = doctor_new(&daily->request);
    daily->fresh = result_new();
    strbuf_reset(&daily->why);
    daily->is_done = false;
    daily->done = (struct loop_task){.run = on_done, .context = daily};
    daily->thread = process_thread_start("doctor", run, daily);
}

static void on_done(void *context)
{
    struct doctor_daily *daily = context;
    int64_t took_ms = clock_unix_ms() - daily->fresh->at_ms;

    process_thread_join(&daily->thread);
    doctor_free(&daily->doctor);
    daily->last_ms = clock_now_ms();
    if (is_off(daily)) { /* since it began */
        result_free(&daily->fresh);
    } else if (daily->is_done) {
        log_findings(&daily->fresh->findings,
                     daily->last == NULL ? NULL : &daily->last->findings);
        log_done(&daily->fresh->findings, took_ms);
        result_free(&daily->last);
        daily->last = daily->fresh;
        daily->fresh = NULL;
    } else {
        log_failure(&daily->why);
        result_free(&daily->fresh);
    }
    arm(daily, DAY_MS);
}

/* ---- from outside ------------------------------------------------------------------------ */

struct doctor_daily *doctor_daily_new(struct event_loop *loop, struct snapshot *snapshot,
                                      const struct ip_endpoint *listening, size_t count)
{
    struct doctor_daily *daily = memory_zero(sizeof *daily);

    daily->loop = loop;
    daily->snapshot = snapshot;
    shared_hold(&snapshot->shared);
    daily->listening_count = count < LISTENERS ? count : LISTENERS;
    memcpy(daily->listening, listening, daily->listening_count * sizeof *listening);
    daily->timer = loop_timer_new(loop, start, daily);
    strbuf_init(&daily->why, WHY_LIMIT);
    arm(daily, jittered(snapshot->config->doctor.delay_ms));
    return daily;
}

void doctor_daily_reload(struct doctor_daily *daily, struct snapshot *snapshot)
{
    uint64_t since_ms = clock_now_ms() - daily->last_ms;
    uint64_t delay_ms = snapshot->config->doctor.delay_ms;

    snapshot_drop(&daily->snapshot);
    daily->snapshot = snapshot;
    shared_hold(&snapshot->shared);
    if (is_off(daily)) {
        result_free(&daily->last);
    }
    if (daily->last_ms != 0 && since_ms < DOCTOR_PAUSE_MS &&
        delay_ms < DOCTOR_PAUSE_MS - since_ms) {
        delay_ms = DOCTOR_PAUSE_MS - since_ms;
    }
    arm(daily, jittered(delay_ms));
}

void doctor_daily_free(struct doctor_daily **daily)
{
    if (*daily == NULL) {
        return;
    }
    loop_timer_free(&(*daily)->timer);
    if ((*daily)->thread != NULL) {
        doctor_stop((*daily)->doctor);
        process_thread_join(&(*daily)->thread);
        doctor_free(&(*daily)->doctor);
    }
    result_free(&(*daily)->fresh);
    result_free(&(*daily)->last);
    snapshot_drop(&(*daily)->snapshot);
    strbuf_clear(&(*daily)->why);
    free(*daily);
    *daily = NULL;
}
