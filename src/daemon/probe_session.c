/*
 * A conversation with the next hops of an address, in the order it happens:
 *
 *   1 open            resolver, options: those of deliveries, and what shall be other
 *   2 probe_targets_find  whom the address stands for
 *   3 probe_target    one delivery attempt (outbound/delivery_attempt), or with --all one to each host; what is seen of
 *                     it goes to probe_watch.c
 *   4 take_result     what came of it
 */
#include "probe_call.h"

#include "base/calendar.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 256 * 1024, MESSAGE_LIMIT = 64 * 1024, GOODBYE_MS = 100 };

void probe_show(struct probe_call *call, const struct strbuf *text)
{
    if (call->request->show != NULL) {
        call->request->show(call->request->context, strbuf_bytes(text));
    }
}

static void show(struct probe_call *call,
                 void (*add)(struct strbuf *out, const struct probe_target *target))
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    add(&text, call->target);
    probe_show(call, &text);
    strbuf_clear(&text);
}

/* ---- 1 options ---- */

static void on_answer(void *context, struct bytes name, uint16_t type,
                      const struct dns_answer *answer)
{
    struct probe_call *call = context;
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    probe_report_add_lookup(
        &text, lookup_trail_add(&call->report->lookups, "next-hop", name, type, answer));
    probe_show(call, &text);
    strbuf_clear(&text);
}

static bool open_resolver(struct probe_call *call, struct strbuf *why)
{
    const struct probe_order *request = call->request;
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

static void set_times(struct outbound_options *options, uint64_t timeout_ms)
{
    options->connect_timeout_ms = timeout_ms;
    options->command_timeout_ms = timeout_ms;
    options->data_timeout_ms = timeout_ms;
    options->block_timeout_ms = timeout_ms;
    options->dot_timeout_ms = timeout_ms;
    options->handshake_timeout_ms = timeout_ms;
    options->dns_timeout_ms = timeout_ms;
}

/* A route of its own for everybody: so the rules for the domain and for the host hold (forward/tls_policy). */
static void name_host(struct probe_call *call)
{
    struct arena *arena = call->report->arena;
    struct delivery_route *route = arena_alloc(arena, sizeof *route);

    *route = (struct delivery_route){
        .domain = BYTES("*"), .destination = call->request->host, .hop_count = 1};
    (void)route_hop_read(call->request->host, &route->hops[0]);
    call->one_route = (struct delivery_route_table){route, 1};
    call->options.routes = &call->one_route;
}

/* False: *why. */
static bool set_policy(struct probe_call *call, struct strbuf *why)
{
    struct tls_context_options context = {.role = TLS_CLIENT};

    if (call->request->tls < 0) {
        return true;
    }
    call->options.tls_policies =
        (struct tls_policy_table){.usual = (enum tls_level)call->request->tls};
    if (call->options.tls_context == NULL && call->request->tls != TLS_LEVEL_OFF) {
        call->own_context = tls_context_new(&context, why);
        call->options.tls_context = call->own_context;
        return call->own_context != NULL;
    }
    return true;
}

static bool open_options(struct probe_call *call, struct strbuf *why)
{
    call->options = call->snapshot->outbound;
    call->options.reuse_messages = 0;
    set_times(&call->options, call->request->timeout_ms);
    if (call->request->host.len > 0) {
        name_host(call);
    }
    return set_policy(call, why);
}

/* ---- 3 an attempt ---- */

static void on_hops(void *context, const struct next_hop_list *list)
{
    struct probe_call *call = context;
    struct probe_target *target = call->target;

    if (target->hops != NULL) {
        return;
    }
    target->hops = arena_alloc(call->report->arena, (list->count + 1) * sizeof *target->hops);
    target->hop_count = list->count;
    target->is_mx_secure = list->is_mx_secure;
    target->is_partial = list->is_partial;
    for (size_t i = 0; i < list->count; i++) {
        const struct next_hop *hop = &list->hops[i];

        target->hops[i] = (struct probe_hop){
            .host = arena_copy(call->report->arena, hop->host),
            .endpoint = hop->endpoint,
            .preference = hop->preference,
            .tls_level =
                call->options.tls_context == NULL
                    ? TLS_LEVEL_OFF
                    : tls_policy_find(&call->options.tls_policies, call->options.routes,
                                      target->destination, hop->host),
        };
    }
    if (call->request->is_all) {
        call->only = target->hops[0].endpoint;
    }
    show(call, probe_report_add_hops);
}

static bool may_try(void *context, const struct next_hop *hop)
{
    const struct probe_call *call = context;

    return call->only.address.family == IP_NONE ||
           (hop->endpoint.port == call->only.port &&
            ip_address_equal(&hop->endpoint.address, &call->only.address));
}

static void stop(void *context)
{
    struct probe_call *call = context;

    event_loop_stop(call->loop);
}

/* The last words have time to go out, and to be answered. */
static void say_goodbye(struct probe_call *call)
{
    struct loop_timer *timer = loop_timer_new(call->loop, stop, call);

    loop_timer_set(timer, GOODBYE_MS);
    event_loop_run(call->loop);
    loop_timer_free(&timer);
}

static void write_message(struct probe_call *call, struct strbuf *message)
{
    const struct config *config = call->snapshot->config;
    int64_t now = clock_unix_seconds();

    strbuf_addf(message, "From: <postmaster@" BYTES_FMT ">\r\nTo: <" BYTES_FMT ">\r\n",
                BYTES_ARG(config->hostname), BYTES_ARG(call->target->address));
    strbuf_add_text(message,
                    "Subject: test message of postilion probe, please ignore\r\nDate: ");
    calendar_add_mail_date(message, now);
    strbuf_addf(message,
                "\r\nMessage-ID: <probe.%lld.%08x@" BYTES_FMT ">\r\n"
                "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
                (long long)now, (unsigned)entropy_u32(), BYTES_ARG(config->hostname));
    strbuf_addf(message,
                "This is a test. The operator of " BYTES_FMT
                " sent it by hand (postilion probe --data)\r\n"
                "to see whether mail arrives here. There is nothing to do.\r\n",
                BYTES_ARG(config->hostname));
}

/* As our own bounces are: by the key of our host name's domain, if there is one. */
static void sign(struct probe_call *call, struct bytes message, struct strbuf *signatures)
{
    const struct config *config = call->snapshot->config;
    const struct seal *seal = config_seal_for(config, config->hostname);

    if (seal != NULL) {
        (void)message_seal_add_dkim_whole(signatures, seal, message, clock_unix_seconds());
    }
}

static struct delivery_result result_of(const struct delivery_recipient *recipient,
                                        const struct delivery_report *report)
{
    struct delivery_result result = {.outcome = recipient->outcome,
                                     .trouble = report->trouble,
                                     .code = recipient->code,
                                     .text = recipient->text};

    memcpy(result.enhanced, recipient->enhanced, sizeof result.enhanced);
    return result;
}

/* ---- 4 results ---- */

/* The host that had the last word in what came of it. */
static const struct probe_host *deciding_host(const struct probe_target *target,
                                              enum probe_outcome outcome)
{
    const struct probe_host *found = target->hosts;

    for (const struct probe_host *at = target->hosts; at != NULL; at = at->next) {
        if (at->verdict.outcome == outcome || found->verdict.outcome != outcome) {
            found = at;
        }
    }
    return found;
}

static void take_result(struct probe_call *call, const struct delivery_recipient *recipient,
                        const struct delivery_report *report)
{
    struct delivery_result result = result_of(recipient, report);
    struct probe_target *target = call->target;
    struct probe_finding verdict = probe_finding_of_result(call, report->stage, &result);

    if (call->seen.host != NULL && !call->seen.is_decided) {
        call->seen.host->verdict = verdict; /* it was not even asked */
        call->seen.is_decided = true;
    }
    if (target->hosts == NULL) {
        target->verdict = verdict;
        show(call, probe_report_add_target_end);
    } else if (call->request->is_all) {
        const struct probe_host *last = target->hosts;

        while (last->next != NULL) {
            last = last->next;
        }
        if (last == target->hosts || last->verdict.outcome > target->verdict.outcome) {
            target->verdict = last->verdict;
        }
    } else {
        target->verdict = deciding_host(target, verdict.outcome)->verdict;
        if (target->verdict.outcome != verdict.outcome) {
            target->verdict = verdict; /* what a delivery makes of it is what counts */
        }
    }
}

/* What to type next. */
static void note_queue(struct probe_call *call)
{
    const struct probe_target *target = call->target;
    struct strbuf text;

    if (target->verdict.outcome == PROBE_OUTCOME_ACCEPTED || call->request->host.len > 0 ||
        delivery_route_is_static_key(target->destination)) {
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(&text,
                "mail that waits for it: postilion queue list --destination " BYTES_FMT
                "; to try it at once when this is mended: postilion queue retry " BYTES_FMT,
                BYTES_ARG(target->destination), BYTES_ARG(target->destination));
    report_lines_add(&call->report->notes, call->report->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
}

static void attempt(struct probe_call *call)
{
    struct outbound *outbound = outbound_new(call->loop, call->resolver, &call->options);
    struct delivery_recipient recipient = {.address = call->target->address};
    struct delivery_request request = {
        .destination = call->target->destination,
        .sender = call->target->sender,
        .is_utf8 =
            !bytes_is_ascii(call->target->address) || !bytes_is_ascii(call->target->sender),
        .is_utf8_header = call->request->is_data && !bytes_is_ascii(call->target->address),
        .recipients = &recipient,
        .count = 1,
        .watch = &call->watch,
    };
    struct delivery_attempt *attempt;
    struct strbuf message, signatures;

    strbuf_init(&message, MESSAGE_LIMIT);
    strbuf_init(&signatures, MESSAGE_LIMIT);
    if (call->request->is_data) {
        write_message(call, &message);
        sign(call, strbuf_bytes(&message), &signatures);
        request.prefix = strbuf_bytes(&signatures);
        request.content = content_from_bytes(strbuf_bytes(&message));
        call->message_size = signatures.len + message.len;
    }
    attempt = delivery_attempt_start(outbound, &request, stop, call);
    event_loop_run(call->loop);
    take_result(call, &recipient, delivery_attempt_report(attempt));
    delivery_attempt_finish(&attempt);
    say_goodbye(call);
    outbound_free(&outbound);
    content_drop(&request.content);
    strbuf_clear(&signatures);
    strbuf_clear(&message);
}

static void probe_target(struct probe_call *call)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    probe_report_add_target(&text, call->report, call->target);
    probe_show(call, &text);
    strbuf_clear(&text);
    call->only = (struct ip_endpoint){.port = 0};
    attempt(call);
    for (size_t i = 1; call->request->is_all && i < call->target->hop_count; i++) {
        call->only = call->target->hops[i].endpoint;
        attempt(call);
    }
    note_queue(call);
}

/* ---- all of it ---- */

/* What a delivery would log is shown here in other words. */
static void forget_line(void *context, struct bytes line)
{
    (void)context, (void)line;
}

static void probe(struct probe_call *call, const struct smtp_mailbox *address)
{
    struct strbuf text;

    log_divert(forget_line, NULL);
    probe_targets_find(call, address);
    strbuf_init(&text, TEXT_LIMIT);
    probe_report_add_head(&text, call->report);
    probe_show(call, &text);
    for (struct probe_target *at = call->report->targets; at != NULL; at = at->next) {
        call->target = at;
        probe_target(call);
    }
    strbuf_reset(&text);
    probe_report_add_end(&text, call->report);
    probe_show(call, &text);
    strbuf_clear(&text);
    log_divert(NULL, NULL);
}

bool probe_session_run(const struct probe_order *request, struct probe_report *report,
                       struct strbuf *why)
{
    const struct config *config = request->config;
    struct probe_call call = {
        .request = request,
        .report = report,
        .loop = event_loop_new(),
        .snapshot = snapshot_new(request->config, config->listen.items, config->listen.count),
    };
    struct smtp_mailbox address;
    bool is_done = false;

    call.watch = (struct delivery_watch){
        .context = &call,
        .on_hops = on_hops,
        .may_try = may_try,
        .connection = {.context = &call, .note = probe_watch_note},
    };
    report->helo = arena_copy(report->arena, call.snapshot->outbound.helo_name);
    report->is_all = request->is_all;
    report->is_data = request->is_data;
    report->unix_seconds = clock_unix_seconds();
    if (smtp_mailbox_parse(request->address, true, true, report->arena, &address) !=
        SMTP_PATH_OK) {
        strbuf_add_text(why, "this is no address");
    } else if (open_options(&call, why) && open_resolver(&call, why)) {
        probe(&call, &address);
        is_done = true;
    }
    if (call.resolver != NULL) {
        dns_resolver_free(&call.resolver);
    }
    snapshot_drop(&call.snapshot);
    tls_context_drop(&call.own_context);
    event_loop_free(&call.loop);
    return is_done;
}
