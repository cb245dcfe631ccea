/*
 * What the end of an attempt says about its destination.
 *
 *   lost          its DNS does not answer: it pauses, alone; others may have the same hosts.
 *   out of reach  no connection, no greeting: whoever the mail is for, it would not get there.
 *                 All of the destination, and of its provider, pauses.
 *   in doubt      the connection broke when it knew the message, or a "too much" to its envelope or content:
 *                 that may be this message's own fault. A second message has to come to the same end before
 *                 everybody pauses; until then fewer attempts are made at once.
 *   reached       it answered, whatever it said.
 */
#include "queue_provider.h"

enum judgement { REACHED, LOST, IN_DOUBT, OUT_OF_REACH };

/* Of the stages a connection may break in. */
static bool has_seen_message(const char *stage)
{
    static const char *const before[] = {"dns", "connect", "banner", "ehlo", "starttls", "tls"};

    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        if (strcmp(stage, before[i]) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_too_much(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->recipients[i].outcome == DELIVERY_TEMPORARY &&
            job->recipients[i].class == REPLY_CLASS_RATE_LIMIT) {
            return true;
        }
    }
    return false;
}

static enum judgement judge(const struct queue_job *job)
{
    const struct delivery_report *report = delivery_attempt_report(job->attempt);

    switch (report->trouble) {
    case DELIVERY_TROUBLE_DNS:
        return job->recipients[0].outcome == DELIVERY_TEMPORARY ? LOST : REACHED;
    case DELIVERY_TROUBLE_CONNECTION:
    case DELIVERY_TROUBLE_TLS:
        if (job->recipients[0].outcome != DELIVERY_TEMPORARY) {
            return REACHED;
        }
        return has_seen_message(report->stage) ? IN_DOUBT : OUT_OF_REACH;
    case DELIVERY_TROUBLE_REPLY:
        return is_too_much(job) ? IN_DOUBT : REACHED;
    case DELIVERY_TROUBLE_NONE:
        break;
    }
    return REACHED;
}

/* "Too many connections" to one of several: the others are good. */
static bool is_one_too_many(const struct queue_job *job)
{
    const struct queue_provider *provider = job->provider;

    return provider != NULL && provider->failures == 0 && provider->attempts_open > 1 &&
           is_too_much(job);
}

/* Attempts that were under way when another one found the destination unreachable say nothing new. */
static void pause_unless_paused(struct queue_job *job,
                                void (*pause)(struct queue_destination *destination,
                                              struct bytes why))
{
    if (queue_now_ms(job->queue) >= job->destination->paused_until_ms) {
        pause(job->destination, job->recipients[0].text);
    }
}

static void clear(struct queue_provider *provider)
{
    if (provider != NULL) {
        provider->suspect = 0;
    }
}

/* Whoever knew the message has a provider. */
static bool is_second(struct queue_provider *provider, uint64_t id)
{
    bool is_other = provider == NULL || (provider->suspect != 0 && provider->suspect != id);

    if (provider != NULL) {
        provider->suspect = id;
    }
    return is_other;
}

void queue_judge_attempt(struct queue_job *job)
{
    struct queue_provider *provider = job->destination->provider;

    switch (judge(job)) {
    case REACHED:
        clear(provider);
        queue_destination_reached(job->destination);
        queue_provider_widen(job->provider);
        return;
    case LOST:
        pause_unless_paused(job, queue_destination_pause_alone);
        return;
    case IN_DOUBT:
        queue_provider_narrow(job->provider);
        if (is_second(provider, job->message->id)) {
            pause_unless_paused(job, queue_destination_pause);
        }
        return;
    case OUT_OF_REACH:
        queue_provider_narrow(job->provider);
        if (!is_one_too_many(job)) {
            pause_unless_paused(job, queue_destination_pause);
        }
        return;
    }
}
