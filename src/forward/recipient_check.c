#include "forward/recipient_check.h"

#include "mail/hidden_address.h"

#include <stdlib.h>

enum { REFUSAL_LIMIT = 2048 };

const struct verify_rule *recipient_check_rule(const struct verify_options *options,
                                               struct bytes domain)
{
    for (size_t i = 0; i < options->count; i++) {
        if (bytes_equal_nocase(options->rules[i].domain, domain)) {
            return &options->rules[i];
        }
    }
    return NULL;
}

bool recipient_check_concerns(const struct verify_options *options,
                              const struct recipient_route *route)
{
    if (options->count == 0 || route->kind != ROUTE_FORWARD) {
        return false;
    }
    for (size_t i = 0; i < route->target_count; i++) {
        if (recipient_check_rule(options, route->targets[i].domain) == NULL ||
            (route->fallbacks != NULL && route->fallbacks[i].len > 0)) {
            return false;
        }
    }
    return route->target_count > 0;
}

bool recipient_check_is_refusal(unsigned code, enum reply_class class)
{
    if (code < 500 || code > 599) {
        return false;
    }
    switch (class) {
    case REPLY_CLASS_OTHER:
    case REPLY_CLASS_MAILBOX_BUSY:
    case REPLY_CLASS_MAILBOX_FULL:
    case REPLY_CLASS_UNKNOWN_USER:
    case REPLY_CLASS_CONTENT:
    case REPLY_CLASS_TOO_BIG:
    case REPLY_CLASS_POLICY:
        return true;
    case REPLY_CLASS_DNS:
    case REPLY_CLASS_CONNECTION:
    case REPLY_CLASS_TLS:
    case REPLY_CLASS_GREYLIST:
    case REPLY_CLASS_RATE_LIMIT:
    case REPLY_CLASS_AUTHENTICATION:
    case REPLY_CLASS_REPUTATION:
    case REPLY_CLASS_LOOP:
    case REPLY_CLASS_SERVER:
        return false;
    }
    abort();
}

void recipient_check_note(struct recipient_findings *findings,
                          const struct recipient_answer *answer, struct bytes target,
                          struct bytes alias, struct arena *arena)
{
    struct strbuf text;

    if (!answer->is_refused) {
        findings->is_any_accepted = true;
        return;
    }
    if (findings->is_any_refused) {
        return;
    }
    findings->is_any_refused = true;
    strbuf_init(&text, REFUSAL_LIMIT);
    hidden_address_add(&text, answer->text, target, alias);
    findings->refusal = (struct recipient_answer){
        .is_refused = true,
        .is_unknown = answer->is_unknown,
        .code = answer->code,
        .enhanced = arena_copy_text(arena, bytes_from_text(answer->enhanced)),
        .text = text.overflowed || text.len == 0 ? BYTES("no such recipient there")
                                                 : arena_copy(arena, strbuf_bytes(&text)),
    };
    strbuf_clear(&text);
}

void recipient_check_note_unknown(struct recipient_findings *findings,
                                  enum verify_failure on_failure)
{
    switch (on_failure) {
    case VERIFY_DEFER:
        findings->is_any_unknown = true;
        return;
    case VERIFY_ACCEPT:
        findings->is_any_let_in = true;
        return;
    }
    abort();
}

bool recipient_check_is_settled(const struct recipient_findings *findings)
{
    return findings->is_any_accepted || findings->is_any_let_in;
}

struct decision recipient_check_decide(const struct recipient_findings *findings)
{
    if (recipient_check_is_settled(findings)) {
        return (struct decision){.disposition = DECISION_ACCEPT};
    }
    if (findings->is_any_unknown || !findings->is_any_refused) {
        return (struct decision){
            .disposition = DECISION_DEFER,
            .code = 451,
            .enhanced = "4.4.3",
            .text = BYTES("cannot verify this recipient now, try again later"),
            .why = "recipient-unverified",
        };
    }
    return (struct decision){
        .disposition = DECISION_REFUSE,
        .code = findings->refusal.code,
        .enhanced = findings->refusal.enhanced,
        .text = findings->refusal.text,
        .why = findings->refusal.is_unknown ? "recipient-unknown-there"
                                            : "recipient-refused-there",
    };
}
