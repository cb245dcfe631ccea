/*
 * A message that is never sent, in the order it happens:
 *
 *   1 open            resolver, snapshot, a server of sessions that rehearses, a client at the other
 *                     end of a pair of sockets
 *   2 on_client_input one reply; say_next the next command, until the end
 *   3 on_answer       what DNS said ...
 *   4 on_verdicts     ... who sent it ...
 *   5 on_message      ... and what the queue would have got
 *   6 conclude        aliases, next hops, the outcome
 */
#include "daemon/explain_session.h"

#include "explain_call.h"

#include "io/content.h"
#include "io/stream_pair.h"
#include "mail/event_record.h"
#include "mail/header_block.h"
#include "mail/trace_field.h"
#include "protocol/smtp_content.h"
#include "protocol/smtp_reply.h"

#include <errno.h>

enum { TEXT_LIMIT = 4096, HEADER_LIMIT = 16 * 1024 * 1024, WIRE_LIMIT = 1024 * 1024 * 1024 };

static const char *const stage_texts[] = {
    [EXPLAIN_CONNECT] = "connect", [EXPLAIN_EHLO] = "ehlo", [EXPLAIN_MAIL] = "mail",
    [EXPLAIN_RCPT] = "rcpt",       [EXPLAIN_DATA] = "data", [EXPLAIN_CONTENT] = "content",
    [EXPLAIN_QUIT] = "quit",
};

static void note(struct explain_call *call, const char *text)
{
    report_lines_add(&call->report->notes, call->report->arena, bytes_from_text(text));
}

static struct bytes copy_words(struct explain_call *call, const char *text)
{
    return arena_copy(call->report->arena, bytes_from_text(text));
}

/* ---- 3 DNS ---- */

static void on_answer(void *context, struct bytes name, uint16_t type,
                      const struct dns_answer *answer)
{
    struct explain_call *call = context;

    lookup_trail_add(&call->report->lookups, call->stage_text, name, type, answer);
}

/* ---- 4 who sent it ---- */

static void keep_signatures(struct explain_call *call, const struct dkim_verdicts *dkim)
{
    struct arena *arena = call->report->arena;
    struct explain_signature **end = &call->report->checks.signatures;

    *end = NULL;
    for (size_t i = 0; i < dkim->count; i++) {
        struct explain_signature *signature = arena_alloc(arena, sizeof *signature);
        const struct dkim_verdict *verdict = &dkim->verdicts[i];

        *signature =
            (struct explain_signature){.result = auth_result_text(verdict->result),
                                       .why = verdict->why,
                                       .domain = arena_copy(arena, verdict->domain),
                                       .selector = arena_copy(arena, verdict->selector)};
        *end = signature;
        end = &signature->next;
    }
}

static const char *manner_text(enum forward_manner manner)
{
    switch (manner) {
    case FORWARD_AS_IT_IS:
        return "as it is";
    case FORWARD_MUNGED:
        return "with its author said in our name";
    case FORWARD_HELD:
        return "after an operator has released it";
    }
    return "";
}

static void keep_judgement(struct explain_call *call, const struct inbound_verdicts *shown)
{
    struct explain_forecast *forecast = &call->report->forecast;

    if (shown->verdicts->has_forwarded) {
        forecast->result = forecast_text(shown->judgement->forecast);
        forecast->why = shown->judgement->forecast_why;
        forecast->manner = shown->judgement->decision.disposition == DECISION_ACCEPT
                               ? manner_text(shown->judgement->manner)
                               : NULL;
    }
    for (size_t i = 0; i < shown->judgement->mark_count; i++) {
        report_lines_add(&forecast->marks, call->report->arena,
                         bytes_from_text(shown->judgement->marks[i]));
    }
}

static void on_verdicts(void *context, const struct inbound_verdicts *shown)
{
    struct explain_call *call = context;
    struct arena *arena = call->report->arena;
    const struct message_verdicts *verdicts = shown->verdicts;
    const struct spf_verdict *spf = &verdicts->spf_mail_from;

    call->report->checks = (struct explain_checks){
        .is_known = true,
        .has_author = shown->has_header,
        .iprev = auth_result_text(verdicts->iprev.result),
        .client_name = arena_copy(arena, verdicts->iprev.name),
        .spf = auth_result_text(spf->result),
        .spf_domain = arena_copy(arena, spf->domain),
        .spf_mechanism = arena_copy(arena, spf->mechanism),
        .spf_why = spf->why,
        .dmarc = auth_result_text(verdicts->dmarc.result),
        .dmarc_policy = dmarc_policy_text(verdicts->dmarc.policy),
        .dmarc_why = verdicts->dmarc.why,
        .author = arena_copy(arena, verdicts->dmarc.author),
        .aligned_domain = arena_copy(arena, verdicts->dmarc.aligned_domain),
        .arc = auth_result_text(verdicts->arc.result),
        .arc_why = verdicts->arc.why,
    };
    keep_signatures(call, &verdicts->dkim);
    if (shown->judgement != NULL) {
        keep_judgement(call, shown);
    }
}

/* ---- 5 what would be stored ---- */

static void keep_delivery(struct explain_call *call, const struct queue_recipient *recipient)
{
    struct explain_delivery *delivery = explain_report_delivery(call->report);
    struct arena *arena = call->report->arena;

    delivery->address = arena_copy(arena, recipient->address);
    delivery->alias = arena_copy(arena, recipient->alias);
    delivery->sender = arena_copy(arena, recipient->sender);
    delivery->destination = arena_copy(arena, recipient->destination);
    delivery->fallback = arena_copy(arena, recipient->fallback);
}

/* The mark of the alias is put on top when it is sent (outbound/delivery_transaction). */
static void keep_header(struct explain_call *call, const struct queue_submission *submission)
{
    const struct outbound_options *options = &call->snapshot->outbound;
    struct bytes alias = submission->recipients[0].alias;
    struct strbuf header;

    strbuf_init(&header, HEADER_LIMIT);
    if (alias.len > 0) {
        struct loop_mark mark = trace_field_loop_mark(options->loop_secret, alias);
        trace_field_add_loop(&header, options->helo_name, &mark, 1);
    }
    strbuf_add(&header, submission->prefix);
    call->report->header = arena_copy(call->report->arena, strbuf_bytes(&header));
    strbuf_clear(&header);
}

/* Fields of `header` that `other` has not. */
static void keep_difference(struct explain_call *call, struct bytes header, struct bytes other,
                            struct report_lines *lines)
{
    struct header_field field;

    while (header_field_next(&header, &field)) {
        if (bytes_find_part(other, field.whole) == other.len) {
            report_lines_add(lines, call->report->arena, field.whole);
        }
    }
}

static void keep_changes(struct explain_call *call, const struct content *content)
{
    struct bytes before = call->request->message;
    struct strbuf after;
    char chunk[TEXT_LIMIT];
    size_t got = sizeof chunk;
    bool is_fine = true;

    strbuf_init(&after, HEADER_LIMIT);
    while (is_fine && got == sizeof chunk && !after.overflowed) {
        is_fine = content_read(content, after.len, chunk, sizeof chunk, &got);
        strbuf_add(&after, bytes_of(chunk, is_fine ? got : 0));
    }
    before = bytes_first(before, header_block_length(before));
    strbuf_truncate(&after, header_block_length(strbuf_bytes(&after)));
    keep_difference(call, before, strbuf_bytes(&after), &call->report->removed);
    keep_difference(call, strbuf_bytes(&after), before, &call->report->changed);
    strbuf_clear(&after);
}

static void on_message(void *context, const struct queue_submission *submission)
{
    struct explain_call *call = context;

    for (size_t i = 0; i < submission->count; i++) {
        keep_delivery(call, &submission->recipients[i]);
    }
    call->report->is_return = submission->envelope->kind == ENVELOPE_RETURN;
    call->report->is_handoff = submission->handoff_ms > 0 && submission->held_why == NULL;
    call->report->held_why = submission->held_why;
    keep_header(call, submission);
    keep_changes(call, submission->content);
}

static void note_no_state(struct explain_call *call, struct bytes why)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    strbuf_add_text(&text,
                    "what the state store remembers is not known, greylisting takes everybody "
                    "as new: ");
    strbuf_add(&text, why);
    note(call, strbuf_text(&text));
    strbuf_clear(&text);
}

/* As it is now, with or without a daemon. Without it whoever is greylisted is new, and stored addresses
 * cannot be looked up, which is not the same as being gone. */
static enum state_status read_state(void *context, struct bytes key, struct strbuf *value)
{
    struct explain_call *call = context;
    bool is_grey = bytes_starts_with(key, BYTES("grey"));
    enum state_status status = STATE_FAILED;
    struct strbuf why;

    if (call->request->client.family == IP_NONE && is_grey) {
        return STATE_FAILED; /* nobody is asked to come again when nobody knows who it is */
    }
    strbuf_init(&why, TEXT_LIMIT);
    if (call->state == NULL && !call->has_no_state) {
        call->state = state_copy_new(call->snapshot->config->state.data, &why);
    }
    if (call->state != NULL) {
        status = state_copy_read(call->state, key, value, &why);
    }
    if (status == STATE_FAILED) {
        if (!call->has_no_state) {
            note_no_state(call, strbuf_bytes(&why));
        }
        call->has_no_state = true;
        status = is_grey ? STATE_MISSING : STATE_FAILED;
    }
    strbuf_clear(&why);
    return status;
}

/* The word for what refused or deferred it. */
static void keep_why(struct explain_call *call, struct bytes line)
{
    static const char *const events[] = {"message-refused", "message-deferred",
                                         "recipient-refused", "recipient-deferred",
                                         "client-limited"};
    struct event_record record;

    if (!event_record_read(&record, line, call->report->arena)) {
        return;
    }
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (event_record_is(&record, events[i])) {
            call->report->why =
                arena_copy(call->report->arena, event_record_get(&record, "why"));
        }
    }
}

static void on_log(void *context, struct bytes line)
{
    struct explain_call *call = context;

    keep_why(call, line);
    report_lines_add(&call->report->log, call->report->arena,
                     bytes_skip(line, bytes_find_part(line, BYTES("event="))));
}

/* ---- 2 the client ---- */

static void say(struct explain_call *call, enum explain_stage stage, struct strbuf *line)
{
    call->stage = stage;
    call->stage_text = stage_texts[stage];
    call->command = arena_copy(call->report->arena, strbuf_bytes(line));
    strbuf_add_text(line, "\r\n");
    stream_write(call->client, strbuf_bytes(line));
}

static void say_mail(struct explain_call *call, struct strbuf *line)
{
    const struct explain_request *request = call->request;

    strbuf_addf(line, "MAIL FROM:<" BYTES_FMT "> SIZE=%zu", BYTES_ARG(request->from),
                request->message.len);
    if (!bytes_is_ascii(request->message)) {
        strbuf_add_text(line, " BODY=8BITMIME");
    }
    if (call->is_utf8) {
        strbuf_add_text(line, " SMTPUTF8");
    }
    say(call, EXPLAIN_MAIL, line);
}

static void say_content(struct explain_call *call)
{
    struct smtp_content_encoder encoder = {.state = 0};
    struct strbuf wire;

    call->stage = EXPLAIN_CONTENT;
    call->stage_text = stage_texts[EXPLAIN_CONTENT];
    call->command = BYTES("(the message)");
    strbuf_init(&wire, WIRE_LIMIT);
    smtp_content_encode(&encoder, call->request->message, &wire);
    smtp_content_finish(&encoder, &wire);
    stream_write(call->client, strbuf_bytes(&wire));
    strbuf_clear(&wire);
}

static void say_next(struct explain_call *call, bool is_good, struct strbuf *line)
{
    const struct explain_request *request = call->request;

    if (!is_good && call->stage != EXPLAIN_CONNECT && call->stage != EXPLAIN_QUIT) {
        strbuf_add_text(line, "QUIT");
        say(call, EXPLAIN_QUIT, line);
        return;
    }
    switch (call->stage) {
    case EXPLAIN_CONNECT:
        if (!is_good) {
            event_loop_stop(call->loop);
            return;
        }
        strbuf_addf(line, "EHLO " BYTES_FMT, BYTES_ARG(request->helo));
        say(call, EXPLAIN_EHLO, line);
        return;
    case EXPLAIN_EHLO:
        say_mail(call, line);
        return;
    case EXPLAIN_MAIL:
        strbuf_addf(line, "RCPT TO:<" BYTES_FMT ">", BYTES_ARG(request->to));
        say(call, EXPLAIN_RCPT, line);
        return;
    case EXPLAIN_RCPT:
        strbuf_add_text(line, "DATA");
        say(call, EXPLAIN_DATA, line);
        return;
    case EXPLAIN_DATA:
        say_content(call);
        return;
    case EXPLAIN_CONTENT:
        strbuf_add_text(line, "QUIT");
        say(call, EXPLAIN_QUIT, line);
        return;
    case EXPLAIN_QUIT:
        event_loop_stop(call->loop);
        return;
    }
}

/* The last answer before QUIT decides. */
static void keep_reply(struct explain_call *call, const struct smtp_reply *reply)
{
    struct explain_exchange *exchange = explain_report_exchange(call->report);
    struct bytes text = bytes_of(reply->text, reply->text_len);

    exchange->stage = stage_texts[call->stage];
    exchange->command = call->command;
    exchange->code = reply->code;
    exchange->enhanced = copy_words(call, reply->enhanced);
    exchange->text = arena_copy(call->report->arena, text);
    call->command = BYTES("");
    if (call->stage != EXPLAIN_QUIT) {
        call->report->answer = exchange;
    }
}

static void on_client_input(void *context)
{
    struct explain_call *call = context;
    struct smtp_reply reply;
    struct strbuf line;
    size_t used;

    while (smtp_reply_next(stream_input(call->client), &reply, &used) == SMTP_REPLY_READY) {
        stream_consume(call->client, used);
        keep_reply(call, &reply);
        strbuf_init(&line, WIRE_LIMIT);
        say_next(call, reply.code < 400, &line);
        strbuf_clear(&line);
    }
}

static void on_client_end(void *context, enum stream_end end)
{
    struct explain_call *call = context;

    (void)end;
    event_loop_stop(call->loop);
}

/* ---- 6 what comes of it ---- */

static bool is_hopeless(const struct explain_report *report)
{
    for (const struct explain_delivery *at = report->deliveries; at != NULL; at = at->next) {
        if (at->failure.disposition != DECISION_REFUSE) {
            return false;
        }
    }
    return report->deliveries != NULL;
}

static void conclude(struct explain_call *call)
{
    struct explain_report *report = call->report;
    unsigned code = report->answer == NULL ? 421 : report->answer->code;

    report->outcome = code < 400   ? DECISION_ACCEPT
                      : code < 500 ? DECISION_DEFER
                                   : DECISION_REFUSE;
    alias_trail_follow(&report->aliases, call->snapshot->inbound.routes.aliases,
                       call->request->to);
    explain_hops_find(call);
    explain_limits_find(call);
    if (report->outcome != DECISION_ACCEPT || !is_hopeless(report)) {
        return;
    }
    if (report->is_handoff) {
        report->outcome = DECISION_REFUSE;
        note(call,
             "it can be sent to nobody, and with \"delivery { mode handoff }\" that is what "
             "the client is told in the place of the last reply");
    } else {
        note(call,
             "it can be sent to nobody: after the reply it fails, and is bounced or held as "
             "\"delivery { bounce }\" says");
    }
}

/* ---- 1 all of it ---- */

static bool open_resolver(struct explain_call *call, struct strbuf *why)
{
    const struct explain_request *request = call->request;
    const struct config *config = request->config;
    bool is_given = request->resolver_count > 0;
    struct dns_resolver_options options = {
        .servers = is_given ? request->resolvers : config->resolvers.items,
        .server_count = is_given ? request->resolver_count : config->resolvers.count,
    };

    call->resolver = dns_resolver_new(call->loop, &options, why);
    if (call->resolver != NULL) {
        dns_resolver_watch(call->resolver, on_answer, call);
    }
    return call->resolver != NULL;
}

/* What only the daemon can do is left out, and what nobody can be asked about. */
static void open_server(struct explain_call *call)
{
    struct inbound_options *options = &call->snapshot->inbound;

    call->rehearsal =
        (struct inbound_rehearsal){.context = call,
                                   .read_state = read_state,
                                   .on_verdicts = on_verdicts,
                                   .on_message = on_message,
                                   .shows_to_scanners = call->request->shows_to_scanners};
    options->spool_directory = "/tmp";
    if (call->request->client.family == IP_NONE) {
        options->authenticate = false;
        options->clients = (struct client_options){.lists_timeout_ms = 0};
        note(call,
             "without --ip nothing is asked about the client: no SPF, DKIM, DMARC, ARC, no "
             "lists and no greylisting");
    }
    call->server = inbound_server_new(call->loop, NULL, &call->ids, NULL, options);
    inbound_server_rehearse(call->server, &call->rehearsal);
    inbound_server_set_resolver(call->server, call->resolver);
    if (call->request->asks_servers) {
        call->outbound = outbound_new(call->loop, call->resolver, &call->snapshot->outbound);
        call->prober = recipient_prober_new(call->loop, call->outbound);
        inbound_server_set_prober(call->server, call->prober);
    }
}

static bool connect_client(struct explain_call *call, struct strbuf *why)
{
    static const struct stream_callbacks callbacks = {.on_input = on_client_input,
                                                      .on_end = on_client_end};
    struct stream_accepted client, server;

    if (!stream_pair_open(&client, &server)) {
        strbuf_addf(why, "no sockets: %s", strerror(errno));
        return false;
    }
    server.peer = (struct ip_endpoint){.address = call->request->client, .port = 25};
    call->client = stream_from_accepted(call->loop, &client, &callbacks, call);
    inbound_accept(call->server, &server, NULL);
    return true;
}

static void close_all(struct explain_call *call)
{
    log_divert(NULL, NULL);
    stream_close(&call->client);
    state_copy_free(&call->state);
    inbound_server_free(&call->server);
    recipient_prober_free(&call->prober);
    outbound_free(&call->outbound);
    if (call->resolver != NULL) {
        dns_resolver_free(&call->resolver);
    }
    snapshot_drop(&call->snapshot);
    event_loop_free(&call->loop);
}

bool explain_session_run(const struct explain_request *request, struct explain_report *report,
                         struct strbuf *why)
{
    struct bytes header = bytes_first(request->message, header_block_length(request->message));
    const struct config *config = request->config;
    struct explain_call call = {
        .request = request,
        .report = report,
        .loop = event_loop_new(),
        .snapshot = snapshot_new(request->config, config->listen.items, config->listen.count),
        .stage_text = stage_texts[EXPLAIN_CONNECT],
        .is_utf8 = !bytes_is_ascii(header) || !bytes_is_ascii(request->from) ||
                   !bytes_is_ascii(request->to),
    };
    bool is_done = false;

    log_divert(on_log, &call);
    if (open_resolver(&call, why)) {
        open_server(&call);
        if (connect_client(&call, why)) {
            event_loop_run(call.loop);
            conclude(&call);
            is_done = true;
        }
    }
    close_all(&call);
    return is_done;
}
