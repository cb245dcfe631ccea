/*
 * What decides about mail besides all that is explained, and is not known here: what was asked of nobody, and what the
 * daemon counts in its memory.
 */
#include "explain_call.h"

#include "io/control_call.h"

enum { TEXT_LIMIT = 4096, DAEMON_WAIT_MS = 2000 };

static void add(struct report_lines *lines, struct explain_call *call, struct strbuf *text)
{
    report_lines_add(lines, call->report->arena, strbuf_bytes(text));
    strbuf_clear(text);
}

static struct bytes domain_of(struct bytes address)
{
    return bytes_skip(address, bytes_find_last(address, '@') + 1);
}

/* ---- who was not asked ---- */

static void note_servers(struct explain_call *call)
{
    const struct verify_options *options = &call->snapshot->inbound.verify;

    for (const struct explain_delivery *at = call->report->deliveries; at != NULL;
         at = at->next) {
        struct strbuf text;

        if (call->request->asks_servers ||
            recipient_check_rule(options, domain_of(at->address)) == NULL) {
            continue;
        }
        strbuf_init(&text, TEXT_LIMIT);
        strbuf_addf(&text,
                    "not asked: the servers of " BYTES_FMT
                    " (\"verify-recipients\"), whether they take " BYTES_FMT
                    ": --ask asks them, \"postilion probe\" shows the conversation",
                    BYTES_ARG(domain_of(at->address)), BYTES_ARG(at->address));
        add(&call->report->notes, call, &text);
    }
}

static void note_scanners(struct explain_call *call)
{
    const struct scan_options *scan = &call->snapshot->config->scan;
    bool has_both = scan->clamd.is_set && scan->rspamd.is_set;
    struct strbuf text;

    if (call->request->shows_to_scanners || (!scan->clamd.is_set && !scan->rspamd.is_set)) {
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(
        &text,
        "the scanners are not asked (%s): they would learn from a message that never came; "
        "--scan shows it to them all the same",
        has_both             ? "clamd, rspamd"
        : scan->clamd.is_set ? "clamd"
                             : "rspamd");
    add(&call->report->notes, call, &text);
}

/* ---- what is counted ---- */

static void add_limit(struct explain_call *call, uint64_t limit, const char *option,
                      const char *what)
{
    struct strbuf text;

    if (limit == 0) {
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(&text, "%llu %s (%s)", (unsigned long long)limit, what, option);
    add(&call->report->limits, call, &text);
}

static void add_client_limits(struct explain_call *call)
{
    const struct client_limits *limits = &call->snapshot->inbound.limits;

    add_limit(call, limits->sessions, "limits.per-client",
              "connections of this client at a time");
    if (client_limits_exempt(limits, &call->request->client)) {
        return;
    }
    add_limit(call, limits->connections, "limits.client-connection-rate",
              "connections of it a minute");
    add_limit(call, limits->messages, "limits.client-message-rate", "messages of it a minute");
    add_limit(call, limits->recipients, "limits.client-recipient-rate",
              "recipients of it a minute");
    add_limit(call, limits->unknown_recipients, "limits.unknown-recipients",
              "recipients that do not exist, in one session: then it is kept out for a while");
}

static void keep_answer(void *context, struct bytes part)
{
    strbuf_add(context, part);
}

/* The daemon that runs with this configuration, if there is one and it may be asked. */
static void ask_daemon(struct explain_call *call)
{
    const char *path = call->snapshot->config->control.data;
    struct ip_text address = ip_address_text(&call->request->client);
    struct strbuf order, answer, last;
    struct bytes rest;

    strbuf_init(&order, TEXT_LIMIT);
    strbuf_init(&answer, TEXT_LIMIT);
    strbuf_init(&last, TEXT_LIMIT);
    strbuf_addf(&order, "client %s\n", address.text);
    if (control_call(path, strbuf_bytes(&order), DAEMON_WAIT_MS, keep_answer, &answer, &last) ==
        CONTROL_DONE) {
        rest = strbuf_bytes(&answer);
        while (rest.len > 0) {
            report_lines_add(&call->report->standing, call->report->arena,
                             bytes_cut(&rest, '\n'));
        }
    }
    strbuf_clear(&last);
    strbuf_clear(&answer);
    strbuf_clear(&order);
}

static void add_budgets(struct explain_call *call)
{
    const struct config *config = call->snapshot->config;
    struct bytes domain = domain_of(call->request->to), local = call->request->to;
    const struct accept_policy *policy;

    local = bytes_first(local, bytes_find_last(local, '@'));
    policy = config_policy_for(config, domain, local);
    if (call->report->is_return) {
        add_limit(call, config->srs_return_rate, "srs.return-rate",
                  "messages an hour to one return address");
        add_limit(call, config->srs_return_uses, "srs.return-uses",
                  "messages in all to one return address");
        return;
    }
    add_limit(call, (uint64_t)policy->forwards_hourly, "policy.forwards-per-hour",
              "messages an hour to one mailbox behind an alias");
    add_limit(call, (uint64_t)policy->forwards_daily, "policy.forwards-per-day",
              "messages a day to one mailbox behind an alias");
    add_limit(call, config->delivery.destination_rate, "delivery.destination-rate",
              "recipients an hour at one destination");
}

void explain_limits_find(struct explain_call *call)
{
    note_scanners(call);
    note_servers(call);
    if (call->request->client.family != IP_NONE) {
        add_client_limits(call);
        ask_daemon(call);
    }
    if (call->report->deliveries != NULL) {
        add_budgets(call);
    }
}
