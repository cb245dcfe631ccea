#include "probe_call.h"

#include "auth/idn_domain.h"
#include "io/clock.h"

enum { ADDRESS_LIMIT = 2048, SECONDS_OF_DAY = 86400 };

static struct bytes address_text(struct probe_call *call, const struct smtp_mailbox *mailbox)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, ADDRESS_LIMIT);
    smtp_mailbox_add(&text, mailbox);
    copy = arena_copy(call->report->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

/* As the next hop of a forward would see it, and nobody's secret is needed for it: SPF is asked about the domain, a
 * call-back is answered, and what comes back reaches the postmaster. */
static struct bytes usual_sender(struct probe_call *call, const struct recipient_route *route)
{
    struct bytes domain =
        route->srs_domain.len > 0 ? route->srs_domain : call->snapshot->config->srs_domain;
    struct strbuf text;
    struct bytes copy;

    if (route->kind == ROUTE_RETURN) {
        return BYTES("");
    }
    strbuf_init(&text, ADDRESS_LIMIT);
    strbuf_addf(&text, "postmaster@" BYTES_FMT, BYTES_ARG(domain));
    copy = arena_copy(call->report->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static struct bytes literal_text(struct arena *arena, struct bytes inside)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, ADDRESS_LIMIT);
    strbuf_addf(&text, "[" BYTES_FMT "]", BYTES_ARG(inside));
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static void add_target(struct probe_call *call, const struct recipient_route *route,
                       const struct smtp_mailbox *mailbox)
{
    struct arena *arena = call->report->arena;
    struct smtp_mailbox address = *mailbox;
    struct probe_target *target = probe_report_target(call->report);
    struct bytes domain;

    if (!address.is_literal && !bytes_is_ascii(mailbox->domain) &&
        !idn_domain_to_ascii(mailbox->domain, arena, &address.domain)) {
        address.domain = mailbox->domain;
    }
    domain = address.is_literal ? literal_text(arena, address.domain) : address.domain;
    target->address = address_text(call, &address);
    target->sender =
        call->request->has_sender ? call->request->sender : usual_sender(call, route);
    target->destination = delivery_route_destination(call->options.routes, domain, arena);
    target->by = call->request->host.len > 0                         ? "--host"
                 : delivery_route_is_static_key(target->destination) ? "route"
                 : address.is_literal                                ? "address literal"
                                                                     : "MX";
}

static struct decision defer(struct bytes text, const char *why)
{
    return (struct decision){DECISION_DEFER, 451, "4.3.0", text, why};
}

static void take_route(struct probe_call *call, const struct recipient_route *route)
{
    struct probe_report *report = call->report;
    size_t shown = route->target_count < PROBE_TARGETS ? route->target_count : PROBE_TARGETS;

    switch (route->kind) {
    case ROUTE_FORWARD:
    case ROUTE_RETURN:
    case ROUTE_REPLY:
        for (size_t i = 0; i < shown; i++) {
            add_target(call, route, &route->targets[i]);
        }
        if (route->target_count > shown) {
            report_lines_add(&report->notes, report->arena,
                             BYTES("only the first 20 targets of the alias are probed"));
        }
        return;
    case ROUTE_DISCARD:
        report_lines_add(&report->notes, report->arena,
                         BYTES("mail for this address is thrown away (discard): no next hop"));
        return;
    case ROUTE_REFUSE:
        report->refusal = route->decision;
        return;
    case ROUTE_NEEDS_TOKEN:
        report->refusal = defer(
            BYTES("what this address stands for is stored: ask \"postilion srs reverse\", "
                  "then probe that"),
            "stored");
        return;
    }
}

void probe_targets_find(struct probe_call *call, const struct smtp_mailbox *address)
{
    struct probe_report *report = call->report;
    const struct route_options *options = &call->snapshot->inbound.routes;
    struct smtp_mailbox null_sender = {.local = {NULL, 0}}, ascii = *address;
    struct recipient_route route = {.kind = ROUTE_FORWARD};
    struct route_token unasked = {.is_known = false};
    uint32_t today = (uint32_t)(report->unix_seconds / SECONDS_OF_DAY);

    if (!address->is_literal && !bytes_is_ascii(address->domain)) {
        (void)idn_domain_to_ascii(address->domain, report->arena, &ascii.domain);
    }
    if (address->is_literal || !alias_table_is_own(options->aliases, ascii.domain)) {
        add_target(call, &route, address);
        return;
    }
    alias_trail_follow(&report->aliases, options->aliases, address_text(call, address));
    recipient_route_find(options, today, &null_sender, &ascii, &unasked, report->arena, &route);
    take_route(call, &route);
}
