/*
 * What scanners think of a message, in the order it happens:
 *
 *   1 inbound_scan_begin    the content is whole: it waits for a place ...
 *   2 begin_calls           ... and is shown to clamd and rspamd at the same time, while DNS answers about its sender are
 *                           still to come
 *   3 on_call_done          an answer, or none; on_timeout ends what is open
 *   4 finish                the place goes to who waits longest, inbound_content_learned is told
 *   5 inbound_scan_judge    room forward decides
 *   6 inbound_scan_add      what was let go all the same is said in a field of ours
 *
 * Messages that are rehearsed are not shown unless somebody insists: scanners learn from what they see.
 *
 * Places are few, so that a slow scanner holds up no more of memory than those take. Time runs from 1 on, whether
 * there is a place or not.
 */
#include "inbound_session.h"

#include "scan_call.h"

#include "base/memory.h"
#include "mail/results_field.h"

#include <stdlib.h>

enum { SCANNERS = 2 };

struct inbound_scan {
    struct list link; /* while it waits for a place */
    struct inbound_session *session;
    struct loop_timer *timer;
    struct scan_call *calls[SCANNERS]; /* what is open; by enum scanner */
    bool is_waiting;                   /* for a place */
    bool has_place;
    uint64_t begun_ms;
    uint64_t waited_ms; /* for its place */
    struct scan_findings findings;
    struct scan_answer answer;
};

static const struct scan_options *options_of(const struct inbound_session *session)
{
    return &session->options->scan;
}

static const struct scanner_place *place_of(const struct scan_options *options,
                                            enum scanner scanner)
{
    return scanner == SCANNER_CLAMD ? &options->clamd : &options->rspamd;
}

static enum scan_state *state_of(struct inbound_scan *scan, enum scanner scanner)
{
    return scanner == SCANNER_CLAMD ? &scan->findings.virus_state : &scan->findings.spam_state;
}

/* ---- the log ------------------------------------------------------------------------------ */

static const char *result_of(const struct scan_call *call)
{
    if (call->scanner == SCANNER_RSPAMD) {
        return rspamd_action_text(call->spam.action);
    }
    return call->virus.len > 0 ? "virus" : "clean";
}

static void begin_line(const struct inbound_scan *scan, struct log_line *line,
                       enum log_level level, const char *event, enum scanner scanner)
{
    const struct inbound_session *session = scan->session;

    inbound_session_log(session, line, level, event);
    log_text(line, "scan", scanner_text(scanner));
    log_number(line, "ms",
               (int64_t)(event_loop_now_ms(session->server->loop) - scan->begun_ms));
    if (scan->waited_ms > 0) {
        log_number(line, "waited", (int64_t)scan->waited_ms);
    }
}

static void log_done(const struct inbound_scan *scan, const struct scan_call *call)
{
    struct log_line line;

    begin_line(scan, &line, LOG_INFO, "scanned", call->scanner);
    log_text(&line, "result", result_of(call));
    if (call->virus.len > 0) {
        log_bytes(&line, "virus", call->virus);
    }
    if (call->spam.score.len > 0) {
        log_bytes(&line, "score", call->spam.score);
    }
    if (call->spam.symbols.len > 0) {
        log_bytes(&line, "symbols", call->spam.symbols);
    }
    log_end(&line);
}

static void log_too_large(const struct inbound_scan *scan, enum scanner scanner)
{
    struct log_line line;

    begin_line(scan, &line, LOG_INFO, "scanned", scanner);
    log_text(&line, "result", "too-large");
    log_end(&line);
}

static void log_failed(const struct inbound_scan *scan, enum scanner scanner, const char *why,
                       struct bytes said)
{
    struct log_line line;

    begin_line(scan, &line, LOG_WARNING, "scan-failed", scanner);
    log_text(&line, "why", why);
    if (said.len > 0) {
        log_bytes(&line, "said", said);
    }
    log_end(&line);
}

/* ---- places ------------------------------------------------------------------------------- */

static void begin_calls(struct inbound_scan *scan);

static void leave_place(struct inbound_scan *scan)
{
    struct inbound_server *server = scan->session->server;
    struct inbound_scan *next;

    if (scan->is_waiting) {
        scan->is_waiting = false;
        list_remove(&scan->link);
    }
    if (!scan->has_place) {
        return;
    }
    scan->has_place = false;
    server->scans--;
    if (!server->is_stopped && !list_is_empty(&server->waiting_scans)) {
        next = list_owner(server->waiting_scans.next, struct inbound_scan, link);
        next->is_waiting = false;
        list_remove(&next->link);
        begin_calls(next);
    }
}

static void take_place(struct inbound_scan *scan)
{
    struct inbound_server *server = scan->session->server;

    if (server->scans < options_of(scan->session)->concurrency) {
        begin_calls(scan);
    } else {
        scan->is_waiting = true;
        list_append(&server->waiting_scans, &scan->link);
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool is_open(const struct inbound_scan *scan)
{
    return scan->findings.virus_state == SCAN_OPEN || scan->findings.spam_state == SCAN_OPEN;
}

/* The session may be gone afterwards. */
static void finish(struct inbound_scan *scan)
{
    struct inbound_session *session = scan->session;

    loop_timer_stop(scan->timer);
    leave_place(scan);
    inbound_content_learned(session);
}

static void on_call_done(void *context, struct scan_call *call)
{
    struct inbound_scan *scan = context;
    enum scanner scanner = call->scanner;

    *state_of(scan, scanner) = call->state;
    switch (call->state) {
    case SCAN_DONE:
        if (scanner == SCANNER_CLAMD) {
            scan->findings.virus = call->virus;
        } else {
            scan->findings.spam = call->spam;
        }
        log_done(scan, call);
        break;
    case SCAN_TOO_LARGE:
        log_too_large(scan, scanner);
        break;
    case SCAN_FAILED:
        log_failed(scan, scanner, call->why, call->said);
        break;
    case SCAN_NOT_ASKED:
    case SCAN_OPEN:
        break;
    }
    scan_call_free(&scan->calls[scanner]);
    if (!is_open(scan)) {
        finish(scan);
    }
}

/* Whoever still is open has failed. */
static void on_timeout(void *context)
{
    struct inbound_scan *scan = context;
    const char *why = scan->is_waiting ? "no-place" : "timeout";

    for (int i = 0; i < SCANNERS; i++) {
        enum scanner s = (enum scanner)i;

        if (*state_of(scan, s) == SCAN_OPEN) {
            *state_of(scan, s) = SCAN_FAILED;
            scan_call_free(&scan->calls[s]);
            log_failed(scan, s, why, BYTES(""));
        }
    }
    finish(scan);
}

/* Of the client that counts: not a relay that is trusted. */
static void describe(const struct inbound_session *session, struct rspamd_question *question)
{
    const struct inbound_transaction *transaction = &session->transaction;
    struct bytes *recipients = arena_alloc(
        transaction->arena, (transaction->recipient_count + 1) * sizeof *recipients);
    struct message_id_text id = message_id_text(transaction->id);
    bool is_late = transaction->check != NULL && transaction->facts.is_client_late;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        recipients[i] = transaction->recipients[i].route.alias;
    }
    *question = (struct rspamd_question){
        .size = content_size(transaction->content),
        .sender = transaction->sender_text,
        .recipients = recipients,
        .recipient_count = transaction->recipient_count,
        .ip = is_late ? transaction->client_text : bytes_from_text(session->peer_text.text),
        .helo = is_late ? transaction->facts.helo : strbuf_bytes(&session->helo),
        .client_name = inbound_auth_client_name(session),
        .id = arena_copy(transaction->arena, bytes_from_text(id.text)),
        .our_name = session->options->hostname,
        .tls_version =
            session->tls_version == NULL ? BYTES("") : bytes_from_text(session->tls_version),
    };
}

static void begin_calls(struct inbound_scan *scan)
{
    struct inbound_session *session = scan->session;
    const struct scan_options *options = options_of(session);
    struct rspamd_question question;

    scan->has_place = true;
    scan->waited_ms = event_loop_now_ms(session->server->loop) - scan->begun_ms;
    session->server->scans++;
    describe(session, &question);
    for (int i = 0; i < SCANNERS; i++) {
        enum scanner s = (enum scanner)i;
        struct scan_request request = {
            .scanner = s,
            .place = place_of(options, s),
            .content = session->transaction.content,
            .question = &question,
            .timeout_ms = options->timeout_ms,
            .arena = session->transaction.arena,
        };

        if (*state_of(scan, s) == SCAN_OPEN) {
            scan->calls[s] = scan_call_new(session->server->loop, &request, on_call_done, scan);
        }
    }
}

static bool is_kept_from_scanners(const struct inbound_session *session)
{
    const struct inbound_rehearsal *rehearsal = session->server->rehearsal;

    return rehearsal != NULL && !rehearsal->shows_to_scanners;
}

bool inbound_scan_begin(struct inbound_session *session)
{
    const struct scan_options *options = options_of(session);
    struct inbound_transaction *transaction = &session->transaction;
    bool is_too_large = content_size(transaction->content) > options->max_size;
    struct inbound_scan *scan;

    if (is_kept_from_scanners(session) || (!options->clamd.is_set && !options->rspamd.is_set)) {
        return true;
    }
    scan = transaction->scan = memory_zero(sizeof *scan);
    scan->session = session;
    scan->begun_ms = event_loop_now_ms(session->server->loop);
    scan->findings.is_return = transaction->recipient_count > 0 &&
                               transaction->recipients[0].route.kind == ROUTE_RETURN;
    for (int i = 0; i < SCANNERS; i++) {
        enum scanner s = (enum scanner)i;

        if (place_of(options, s)->is_set) {
            *state_of(scan, s) = is_too_large ? SCAN_TOO_LARGE : SCAN_OPEN;
        }
        if (place_of(options, s)->is_set && is_too_large) {
            log_too_large(scan, s);
        }
    }
    if (is_too_large) {
        return true;
    }
    scan->timer = loop_timer_new(session->server->loop, on_timeout, scan);
    loop_timer_set(scan->timer, options->timeout_ms);
    take_place(scan);
    return false;
}

bool inbound_scan_is_done(const struct inbound_session *session)
{
    return session->transaction.scan == NULL || !is_open(session->transaction.scan);
}

void inbound_scan_reset(struct inbound_session *session)
{
    struct inbound_scan *scan = session->transaction.scan;

    if (scan == NULL) {
        return;
    }
    session->transaction.scan = NULL;
    for (size_t i = 0; i < SCANNERS; i++) {
        scan_call_free(&scan->calls[i]);
    }
    leave_place(scan);
    loop_timer_free(&scan->timer);
    free(scan);
}

size_t inbound_scan_memory(const struct inbound_session *session)
{
    const struct inbound_scan *scan = session->transaction.scan;
    size_t held = scan == NULL ? 0 : sizeof *scan;

    for (size_t i = 0; scan != NULL && i < SCANNERS; i++) {
        held += scan->calls[i] != NULL ? SCAN_CALL_COST : 0;
    }
    return held;
}

/* ---- what follows ------------------------------------------------------------------------- */

struct decision inbound_scan_judge(struct inbound_session *session)
{
    struct inbound_scan *scan = session->transaction.scan;

    if (scan == NULL) {
        return (struct decision){.disposition = DECISION_ACCEPT};
    }
    scan_rule_judge(&options_of(session)->rules, &scan->findings, session->transaction.arena,
                    &scan->answer);
    return scan->answer.decision;
}

const char *inbound_scan_held_why(const struct inbound_session *session)
{
    return session->transaction.scan == NULL ? NULL
                                             : session->transaction.scan->answer.held_why;
}

void inbound_scan_add(const struct inbound_session *session, struct strbuf *prefix)
{
    const struct inbound_scan *scan = session->transaction.scan;
    struct result_property properties[3];
    struct result_entry entries[2];
    size_t count = 0;

    if (scan != NULL && scan->answer.virus_mark != NULL) {
        properties[0] = (struct result_property){"policy", "what", scan->answer.virus_name};
        entries[count++] = (struct result_entry){.method = "x-virus",
                                                 .result = "fail",
                                                 .properties = properties,
                                                 .property_count = 1};
    }
    if (scan != NULL && scan->answer.spam_mark != NULL) {
        properties[1] =
            (struct result_property){"policy", "rule", bytes_from_text(scan->answer.spam_mark)};
        properties[2] = (struct result_property){"policy", "score", scan->findings.spam.score};
        entries[count++] =
            (struct result_entry){.method = "x-spam",
                                  .result = "fail",
                                  .properties = properties + 1,
                                  .property_count = scan->findings.spam.score.len > 0 ? 2 : 1};
    }
    inbound_trace_add_marks(session, prefix, entries, count);
}

void inbound_scan_log(const struct inbound_session *session, struct log_line *line)
{
    const struct inbound_scan *scan = session->transaction.scan;

    if (scan == NULL) {
        return;
    }
    if (scan->answer.virus_mark != NULL) {
        log_text(line, "mark", scan->answer.virus_mark);
    }
    if (scan->answer.virus_name.len > 0) {
        log_bytes(line, "virus", scan->answer.virus_name);
    }
    if (scan->answer.spam_mark != NULL) {
        log_text(line, "mark", scan->answer.spam_mark);
    }
}
