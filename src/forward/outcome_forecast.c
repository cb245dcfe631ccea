#include "forward/outcome_forecast.h"

bool outcome_is_vouched(const struct message_facts *facts)
{
    return facts->arc == AUTH_PASS && facts->arc_voucher.len != 0 &&
           facts->from == FROM_ONE_DOMAIN;
}

/* What it lived by here and will not have there. */
static const char *why_it_fails(const struct dmarc_verdict *here)
{
    if (here->result != AUTH_PASS) {
        return "failed-on-arrival";
    }
    switch (here->aligned_by) {
    case DMARC_BY_DKIM:
        return "dkim-broken";
    case DMARC_BY_SPF:
    case DMARC_BY_NOTHING:
        break;
    }
    return "spf-only";
}

enum forecast outcome_forecast(const struct message_facts *facts, const char **why)
{
    const struct dmarc_verdict *there = facts->forwarded;

    if (there == NULL) {
        *why = "unknown";
        return FORECAST_NONE;
    }
    if (there->result == AUTH_PASS) {
        *why = there->aligned_by == DMARC_BY_DKIM ? "aligned-dkim" : "own-sender";
        return FORECAST_PASS;
    }
    if (there->result != AUTH_FAIL) {
        *why = there->result == AUTH_NONE ? "no-record" : auth_result_text(there->result);
        return FORECAST_NONE;
    }
    if (there->policy == DMARC_POLICY_NONE) {
        *why = "p-none";
        return FORECAST_NONE;
    }
    if (outcome_is_vouched(facts)) {
        *why = "arc-trusted";
        return FORECAST_VOUCHED;
    }
    *why = why_it_fails(facts->dmarc);
    return FORECAST_FAIL;
}

const char *forecast_text(enum forecast forecast)
{
    switch (forecast) {
    case FORECAST_NONE:
        return "none";
    case FORECAST_PASS:
        return "pass";
    case FORECAST_VOUCHED:
        return "vouched";
    case FORECAST_FAIL:
        return "fail";
    }
    return "";
}
