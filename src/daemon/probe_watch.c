/*
 * What is seen of a connection, as it happens:
 *
 *   1 on_begun      a host, and the wait for its banner
 *   2 on_said       commands, each of which waits for its answer
 *   3 on_heard      answers: whose they are, how long they took, what they decide
 *   4 on_secured    TLS
 *   5 on_broken     why
 *   6 on_ended      times and verdict
 */
#include "probe_call.h"

#include "forward/reply_advice.h"
#include "io/clock.h"
#include "outbound/connection_words.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 64 * 1024, HEARD_LIMIT = 512 * 1024, SLOW_MS = 3000 };

static const char STARTTLS[] = "STARTTLS", TLS[] = "TLS", CONNECT[] = "connect",
                  BANNER[] = "banner", EHLO[] = "EHLO", MAIL[] = "MAIL", RCPT[] = "RCPT",
                  DATA[] = "DATA", DOT[] = "dot", RSET[] = "RSET", QUIT[] = "QUIT";

static uint64_t now_in(const struct probe_watch *seen)
{
    return clock_now_ms() - seen->began_ms;
}

/* ---- what is shown ---- */

static void add_line(struct probe_call *call, enum probe_voice voice, struct bytes text)
{
    struct strbuf shown;

    strbuf_init(&shown, TEXT_LIMIT);
    probe_report_add_line(&shown, probe_report_line(call->report, call->seen.host, voice,
                                                    now_in(&call->seen), text));
    probe_show(call, &shown);
    strbuf_clear(&shown);
}

static void add_lines(struct probe_call *call, enum probe_voice voice, struct bytes text)
{
    while (text.len > 0) {
        struct bytes line = bytes_cut(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        add_line(call, voice, line);
    }
}

static void remark(struct probe_call *call, const char *text)
{
    add_line(call, PROBE_REMARK, bytes_from_text(text));
}

static void show_tls(struct probe_call *call)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    probe_report_write_tls(&text, call->report, call->seen.host);
    add_lines(call, PROBE_REMARK, strbuf_bytes(&text));
    strbuf_clear(&text);
}

/* ---- verdicts ---- */

static enum probe_outcome outcome_of(const struct delivery_result *result)
{
    switch (result->outcome) {
    case DELIVERY_SENT:
        return PROBE_OUTCOME_ACCEPTED;
    case DELIVERY_TEMPORARY:
        return PROBE_OUTCOME_TEMPORARY;
    case DELIVERY_PERMANENT:
        return result->trouble == DELIVERY_TROUBLE_DNS ? PROBE_OUTCOME_NO_HOST
                                                       : PROBE_OUTCOME_REFUSED;
    }
    abort();
}

/* The text begins with the code, when there is one. */
static struct bytes without_code(const struct delivery_result *result)
{
    return result->code == 0 ? result->text : bytes_skip(result->text, 4);
}

struct probe_finding probe_finding_of_result(struct probe_call *call, const char *stage,
                                             const struct delivery_result *result)
{
    bool is_permanent = result->outcome == DELIVERY_PERMANENT;
    struct delivery_recipient classified = {.class = REPLY_CLASS_OTHER};
    struct probe_finding verdict = {.outcome = outcome_of(result),
                                    .stage = stage,
                                    .code = result->code,
                                    .reply =
                                        arena_copy(call->report->arena, without_code(result))};
    struct reply_advice advice;

    if (result->outcome == DELIVERY_SENT) {
        verdict.means = call->request->is_data ? "the next hop has taken the test message"
                                               : "the next hop takes mail for this address";
        return verdict;
    }
    delivery_result_give(result, &classified);
    advice = reply_advice_of(classified.class, is_permanent);
    verdict.class = reply_class_text(classified.class);
    verdict.means = reply_class_explanation(classified.class);
    verdict.who = advice.who;
    verdict.advice = advice.what;
    return verdict;
}

/* What is said to MAIL is about the sender, whatever its words remind of. */
static void blame_sender(struct probe_finding *verdict)
{
    verdict->means = "the next hop refuses the envelope sender, whoever the mail is for";
    verdict->who = "you";
    verdict->advice = "see that the sender's domain has MX or address records, and SPF that "
                      "names the address we "
                      "send from; --from tries another sender";
}

static void decide(struct probe_call *call, const char *stage,
                   const struct delivery_result *result)
{
    call->seen.host->verdict = probe_finding_of_result(call, stage, result);
    call->seen.is_decided = true;
}

static bool is_about_sender(const struct delivery_result *result)
{
    struct delivery_recipient classified = {.class = REPLY_CLASS_OTHER};

    delivery_result_give(result, &classified);
    return result->code != 421 &&
           (classified.class == REPLY_CLASS_OTHER || classified.class == REPLY_CLASS_POLICY ||
            classified.class == REPLY_CLASS_UNKNOWN_USER);
}

/* An answer to the envelope or to the message. The first refusal counts: what comes behind it is only its echo. */
static void judge_reply(struct probe_call *call, const char *stage,
                        const struct smtp_reply *reply)
{
    struct probe_watch *seen = &call->seen;
    bool is_good = reply->code < 400;
    struct smtp_exchange_recipient answer = {.reply = *reply, .is_accepted = is_good};
    struct delivery_result result;

    if (seen->is_decided && seen->host->verdict.outcome != PROBE_OUTCOME_ACCEPTED) {
        return;
    }
    if (is_good && stage != DOT && (stage != RCPT || call->request->is_data)) {
        return;
    }
    result = delivery_result_of_answer(&answer, stage == DOT, call->report->arena);
    decide(call, stage, &result);
    if (stage == MAIL && !is_good && is_about_sender(&result)) {
        blame_sender(&seen->host->verdict);
    }
}

static void add_words(struct probe_finding *verdict, struct connection_words words)
{
    verdict->what = words.what;
    verdict->means = words.means;
    verdict->who = words.who;
    verdict->advice = NULL;
}

static const char *stage_of(const struct next_hop_connection *connection)
{
    switch (connection->stage) {
    case SMTP_STAGE_BANNER:
        return connection->is_connected ? BANNER : CONNECT;
    case SMTP_STAGE_EHLO:
        return EHLO;
    case SMTP_STAGE_STARTTLS:
        return STARTTLS;
    case SMTP_STAGE_MAIL:
        return MAIL;
    case SMTP_STAGE_RCPT:
        return RCPT;
    case SMTP_STAGE_DATA:
        return DATA;
    case SMTP_STAGE_CONTENT:
    case SMTP_STAGE_DOT:
        return DOT;
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_IDLE:
        return RSET;
    case SMTP_STAGE_QUIT:
        return QUIT;
    }
    abort();
}

/* The answer that did not come: of several commands that were sent together, the first without one. */
static const char *awaited_stage(const struct probe_call *call,
                                 const struct next_hop_connection *connection)
{
    bool is_awaited = connection->fault == CONNECTION_FAULT_END ||
                      connection->fault == CONNECTION_FAULT_TIMEOUT;

    return is_awaited && call->seen.pending != NULL ? call->seen.pending->stage
                                                    : stage_of(connection);
}

/* A refused greeting says more by its words than by being one. */
static void judge_fault(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct delivery_result result = delivery_result_of_fault(connection, call->report->arena);
    struct probe_finding *verdict = &call->seen.host->verdict;
    struct connection_words words =
        result.code != 0
            ? connection_words_of_reply(result.code, connection->stage)
            : connection_words_of(connection->fault, connection->end, connection->stage);
    bool is_told = result.code != 0;

    decide(call, awaited_stage(call, connection), &result);
    if (connection->fault == CONNECTION_FAULT_TLS) {
        verdict->what = connection->is_tls_missing ? "no encryption" : "TLS failed";
        verdict->reply =
            arena_copy(call->report->arena, bytes_from_text(connection->tls_trouble));
        return;
    }
    if (is_told && strcmp(verdict->class, reply_class_text(REPLY_CLASS_OTHER)) != 0 &&
        strcmp(verdict->class, reply_class_text(REPLY_CLASS_CONNECTION)) != 0) {
        verdict->what = words.what;
        return;
    }
    add_words(verdict, words);
    if (!is_told) {
        verdict->reply = BYTES("");
    }
}

/* ---- 1 ---- */

static void on_begun(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct probe_watch *seen = &call->seen;
    struct arena *arena = call->report->arena;
    struct probe_host *host = probe_report_host(call->report, call->target);
    struct strbuf shown;

    *seen = (struct probe_watch){.host = host, .began_ms = clock_now_ms()};
    seen->pending_end = &seen->pending;
    strbuf_init(&seen->heard, HEARD_LIMIT);
    host->host = arena_copy(arena, bytes_from_text(connection->host));
    host->endpoint = connection->endpoint;
    host->tls_level = connection->tls_wanted.level;
    call->watch.connection.peer = &host->peer;
    strbuf_init(&shown, TEXT_LIMIT);
    probe_report_add_host(&shown, host);
    probe_show(call, &shown);
    strbuf_clear(&shown);
}

static void await_answer(struct probe_call *call, const char *stage)
{
    struct probe_watch *seen = &call->seen;
    struct probe_pending *pending = arena_alloc(call->report->arena, sizeof *pending);

    *pending = (struct probe_pending){.stage = stage, .said_ms = now_in(seen)};
    *seen->pending_end = pending;
    seen->pending_end = &pending->next;
}

static void on_connected(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct probe_watch *seen = &call->seen;
    struct ip_text local = ip_address_text(&connection->local.address);
    struct strbuf text;

    seen->heard_ms = now_in(seen);
    probe_report_stage(call->report, seen->host, CONNECT, seen->heard_ms, 0);
    seen->host->local = arena_copy(call->report->arena, bytes_from_text(local.text));
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(&text, "connected from %s", local.text);
    remark(call, strbuf_text(&text));
    strbuf_clear(&text);
    await_answer(call, BANNER);
}

/* ---- 2 ---- */

static const char *stage_of_command(struct bytes command)
{
    static const struct {
        struct bytes verb;
        const char *stage;
    } verbs[] = {
        {BYTES("EHLO"), EHLO}, {BYTES("HELO"), EHLO}, {BYTES("STARTTLS"), STARTTLS},
        {BYTES("MAIL"), MAIL}, {BYTES("RCPT"), RCPT}, {BYTES("DATA"), DATA},
        {BYTES("RSET"), RSET}, {BYTES("QUIT"), QUIT},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (bytes_starts_with(command, verbs[i].verb)) {
            return verbs[i].stage;
        }
    }
    return DOT; /* that ends a content nobody is to get */
}

static void on_said(struct probe_call *call, struct bytes octets)
{
    while (octets.len > 0) {
        struct bytes line = bytes_trim(bytes_cut(&octets, '\n'));
        const char *stage = stage_of_command(line);

        if (stage == MAIL) {
            call->seen.is_decided = false; /* another try on the same connection */
        }
        add_line(call, PROBE_WE, line);
        await_answer(call, stage);
    }
}

static void on_content(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(&text, "%s(the test message: %llu octets)",
                connection->sender.is_chunked ? "BDAT " : "",
                (unsigned long long)call->message_size);
    add_line(call, PROBE_WE, strbuf_bytes(&text));
    strbuf_clear(&text);
    await_answer(call, DOT);
}

/* ---- 3 ---- */

static void keep_keyword(void *context, struct bytes text)
{
    struct probe_call *call = context;

    report_lines_add(&call->seen.host->keywords, call->report->arena, text);
}

/* The first line is the server's name. */
static void keep_keywords(struct probe_call *call, struct bytes octets)
{
    struct probe_host *host = call->seen.host;

    report_lines_init(&host->keywords);
    smtp_reply_each_line(octets, keep_keyword, call);
    if (host->keywords.first != NULL) {
        host->keywords.first = host->keywords.first->next;
    }
}

/* What follows from what it offers. */
static void remark_offers(struct probe_call *call, const struct next_hop_connection *connection)
{
    const struct smtp_extensions *offers = next_hop_connection_extensions(connection);
    uint64_t ours = call->snapshot->config->limits.message_size;
    enum tls_level level = call->seen.host->tls_level;
    struct strbuf text;

    if (level != TLS_LEVEL_OFF && offers->starttls && connection->tls.version == NULL) {
        return; /* it will be asked again, under TLS */
    }
    strbuf_init(&text, TEXT_LIMIT);
    if (level == TLS_LEVEL_OPPORTUNISTIC && connection->tls.version == NULL) {
        strbuf_add_text(&text, "it does not offer STARTTLS: mail goes there in clear text\n");
    }
    if (offers->size_limit > 0 && offers->size_limit < ours) {
        strbuf_addf(&text,
                    "it takes messages up to %llu octets, we up to %llu "
                    "(\"limits { message-size }\")\n",
                    (unsigned long long)offers->size_limit, (unsigned long long)ours);
    }
    if (offers->mail_max > 0) {
        strbuf_addf(&text, "it takes %u messages over one connection\n", offers->mail_max);
    }
    if (offers->rcpt_max > 0) {
        strbuf_addf(&text, "it takes %u recipients of one message\n", offers->rcpt_max);
    }
    add_lines(call, PROBE_REMARK, strbuf_bytes(&text));
    strbuf_clear(&text);
}

static void remark_slow(struct probe_call *call, const char *stage, uint64_t ms)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(
        &text,
        stage == BANNER
            ? "the banner took %llu s: it makes strangers wait, or looks us up in slow DNS"
            : "that took %llu s: the server is busy, or asks others before it answers",
        (unsigned long long)(ms / 1000));
    remark(call, strbuf_text(&text));
    strbuf_clear(&text);
}

static void on_reply(struct probe_call *call, const struct next_hop_connection *connection,
                     struct bytes octets, const struct smtp_reply *reply)
{
    struct probe_watch *seen = &call->seen;
    struct probe_pending *answered = seen->pending;
    uint64_t now_ms = now_in(seen), since_ms;

    add_lines(call, PROBE_THEY, octets);
    seen->pending = answered->next;
    if (seen->pending == NULL) {
        seen->pending_end = &seen->pending;
    }
    since_ms = answered->said_ms > seen->heard_ms ? answered->said_ms : seen->heard_ms;
    seen->heard_ms = now_ms;
    probe_report_stage(call->report, seen->host, answered->stage, now_ms - since_ms,
                       reply->code);
    if (now_ms - since_ms >= SLOW_MS) {
        remark_slow(call, answered->stage, now_ms - since_ms);
    }
    if (answered->stage == EHLO && reply->code < 400) {
        keep_keywords(call, octets);
        remark_offers(call, connection);
    } else if (answered->stage == MAIL || answered->stage == RCPT || answered->stage == DATA ||
               answered->stage == DOT) {
        judge_reply(call, answered->stage, reply);
    }
}

/* What comes before it is asked for waits: the dialogue takes it for the answer to what it says next, and so is it here. */
static void take_replies(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct strbuf *heard = &call->seen.heard;
    struct smtp_reply reply;
    size_t used;

    while (call->seen.pending != NULL && heard->len > 0 &&
           smtp_reply_next(strbuf_bytes(heard), &reply, &used) == SMTP_REPLY_READY) {
        on_reply(call, connection, bytes_first(strbuf_bytes(heard), used), &reply);
        strbuf_drop_first(heard, used);
    }
}

static void on_heard(struct probe_call *call, const struct next_hop_connection *connection,
                     struct bytes octets)
{
    strbuf_add(&call->seen.heard, octets);
    take_replies(call, connection);
}

static void show_unasked(struct probe_call *call)
{
    struct strbuf *heard = &call->seen.heard;

    if (heard->len > 0) {
        add_lines(call, PROBE_THEY, strbuf_bytes(heard));
        strbuf_reset(heard);
    }
}

/* ---- 4 to 6 ---- */

static void on_secured(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct probe_watch *seen = &call->seen;
    uint64_t now_ms = now_in(seen);

    seen->host->tls = connection->tls;
    probe_report_stage(call->report, seen->host, TLS, now_ms - seen->heard_ms, 0);
    seen->heard_ms = now_ms;
    show_tls(call);
}

/* What was waited for in vain. */
static void add_unanswered(struct probe_call *call,
                           const struct next_hop_connection *connection)
{
    struct probe_watch *seen = &call->seen;
    const char *stage = connection->is_connected ? NULL : CONNECT;

    if (connection->fault == CONNECTION_FAULT_TLS && !connection->is_tls_missing) {
        stage = TLS;
    } else if (connection->fault == CONNECTION_FAULT_REPLY) {
        return;
    } else if (seen->pending != NULL) {
        stage = seen->pending->stage;
    }
    if (stage != NULL) {
        probe_report_stage(call->report, seen->host, stage, now_in(seen) - seen->heard_ms, 0);
    }
}

static void on_broken(struct probe_call *call, const struct next_hop_connection *connection)
{
    struct probe_watch *seen = &call->seen;
    bool is_decided = seen->is_decided;

    show_unasked(call);
    add_unanswered(call, connection);
    if (connection->fault == CONNECTION_FAULT_TLS && !connection->is_tls_missing) {
        show_tls(call);
    }
    if (!is_decided) {
        judge_fault(call, connection);
    }
    if (connection->may_be_retried_in_clear) {
        remark(call, "TLS failed; the policy is \"opportunistic\": once more, in clear text");
    }
}

static void on_ended(struct probe_call *call)
{
    struct probe_watch *seen = &call->seen;
    struct delivery_result nothing = {.outcome = DELIVERY_TEMPORARY,
                                      .trouble = DELIVERY_TROUBLE_CONNECTION,
                                      .enhanced = "4.4.2",
                                      .text = BYTES("it ended without an answer")};
    struct strbuf shown;

    if (!seen->is_decided) {
        decide(call, MAIL, &nothing);
    }
    if (seen->heard.len > 0) {
        show_unasked(call);
        remark(call, "nobody asked for that");
    }
    strbuf_init(&shown, TEXT_LIMIT);
    probe_report_add_host_end(&shown, seen->host);
    probe_show(call, &shown);
    strbuf_clear(&shown);
    strbuf_clear(&seen->heard);
    seen->host = NULL;
}

void probe_watch_note(void *context, enum connection_note what,
                      const struct next_hop_connection *connection, struct bytes octets)
{
    struct probe_call *call = context;

    switch (what) {
    case CONNECTION_NOTE_BEGUN:
        on_begun(call, connection);
        return;
    case CONNECTION_NOTE_CONNECTED:
        on_connected(call, connection);
        return;
    case CONNECTION_NOTE_SAID:
        on_said(call, octets);
        take_replies(call, connection);
        return;
    case CONNECTION_NOTE_HEARD:
        on_heard(call, connection, octets);
        return;
    case CONNECTION_NOTE_SECURED:
        on_secured(call, connection);
        return;
    case CONNECTION_NOTE_CONTENT:
        on_content(call, connection);
        return;
    case CONNECTION_NOTE_BROKEN:
        on_broken(call, connection);
        return;
    case CONNECTION_NOTE_ENDED:
        on_ended(call);
        return;
    }
    abort();
}
