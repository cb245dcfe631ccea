/*
 * outcome_forecast - will DMARC pass for the copy we send on?
 *
 * Input   the checks' verdicts as it came in, and the same check over what the next hop will find
 *         (message_facts.forwarded).
 * Output  the forecast, and why, static: "aligned-dkim", "own-sender" (pass); "arc-trusted"
 *         (vouched); "spf-only", "dkim-broken", "failed-on-arrival" (fail); "p-none",
 *         "no-record", "temperror", "permerror", "unknown" (none).
 * RFC     9989 §5.3
 */
#ifndef FORWARD_OUTCOME_FORECAST_H
#define FORWARD_OUTCOME_FORECAST_H

#include "forward/accept_policy.h"

enum forecast outcome_forecast(const struct message_facts *facts, const char **why);
/* A trusted chain speaks for the author. With authors in several domains nobody speaks for all. */
bool outcome_is_vouched(const struct message_facts *facts);

#endif
