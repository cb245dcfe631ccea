#include "queue_log.h"

#include "io/clock.h"
#include "io/log.h"

static void add_id(struct log_line *line, const char *key, uint64_t id)
{
    struct message_id_text text = message_id_text(id);

    log_text(line, key, text.text);
}

/* "host[ip]:port", the word of Postfix, so that patterns written for its logs go on working. */
static void add_relay(struct log_line *line, const struct queue_job *job)
{
    struct strbuf *text = &job->queue->scratch;
    const struct delivery_report *report =
        job->attempt == NULL ? NULL : delivery_attempt_report(job->attempt);

    if (report == NULL || report->endpoint.address.family == IP_NONE) {
        log_text(line, "relay", "none");
        return;
    }
    struct ip_text address = ip_address_text(&report->endpoint.address);

    strbuf_reset(text);
    strbuf_add(text, report->host);
    strbuf_add_char(text, '[');
    strbuf_add_text(text, address.text);
    strbuf_add_text(text, "]:");
    strbuf_add_u64(text, report->endpoint.port);
    log_bytes(line, "relay", strbuf_bytes(text));
}

/* How the connection to that relay was protected. */
static void add_tls(struct log_line *line, const struct queue_job *job)
{
    const struct delivery_report *report =
        job->attempt == NULL ? NULL : delivery_attempt_report(job->attempt);

    if (report == NULL || report->endpoint.address.family == IP_NONE) {
        return;
    }
    log_text(line, "tls", report->tls.version != NULL ? report->tls.version : "none");
    if (report->tls.version != NULL) {
        log_text(line, "cipher", report->tls.cipher);
        log_text(line, "verified", report->tls.is_verified ? "yes" : "no");
        if (report->tls.why_unverified != NULL) {
            log_text(line, "unverified", report->tls.why_unverified);
        }
        if (report->tls.is_resumed) {
            log_text(line, "tls_resumed", "yes");
        }
    }
}

static void add_seconds(struct strbuf *text, int64_t milliseconds)
{
    int64_t positive = milliseconds > 0 ? milliseconds : 0;

    strbuf_add_u64(text, (uint64_t)positive / 1000);
    strbuf_add_char(text, '.');
    strbuf_add_char(text, (char)('0' + positive / 100 % 10));
    strbuf_add_char(text, (char)('0' + positive / 10 % 10));
}

/* delays=a/b/c/d: until it was safe here, waiting here, connecting, handing it over. */
static void add_delays(struct log_line *line, const struct queue_job *job,
                       const struct queue_delivery *delivery)
{
    struct strbuf *text = &job->queue->scratch;
    const struct delivery_report *report =
        job->attempt == NULL ? NULL : delivery_attempt_report(job->attempt);
    int64_t durable_ms =
        delivery->message != NULL ? delivery->message->durable_ms : delivery->created_ms;
    int64_t connect_ms = report == NULL ? 0 : (int64_t)report->connect_ms;
    int64_t transfer_ms = report == NULL ? 0 : (int64_t)report->transfer_ms;

    strbuf_reset(text);
    add_seconds(text, job->started_ms - delivery->created_ms + connect_ms + transfer_ms);
    log_bytes(line, "delay", strbuf_bytes(text));
    strbuf_reset(text);
    add_seconds(text, durable_ms - delivery->created_ms);
    strbuf_add_char(text, '/');
    add_seconds(text, job->started_ms - durable_ms);
    strbuf_add_char(text, '/');
    add_seconds(text, connect_ms);
    strbuf_add_char(text, '/');
    add_seconds(text, transfer_ms);
    log_bytes(line, "delays", strbuf_bytes(text));
}

static void add_addresses(struct log_line *line, const struct queue_job *job,
                          const struct queue_delivery *delivery)
{
    struct bytes sender = job->message->envelope.sender;

    log_address(line, "from", sender);
    if (!bytes_equal(sender, delivery->sender)) {
        log_address(line, "sender", delivery->sender);
    }
    log_address(line, "to", delivery->address);
    if (delivery->alias.len > 0) {
        log_address(line, "orig_to", delivery->alias);
    }
}

struct result_words {
    enum log_level level;
    const char *event;
    const char *status;
};

static struct result_words words_for(const struct queue_job *job,
                                     const struct queue_job_entry *entry)
{
    switch (entry->result) {
    case QUEUE_RESULT_SENT:
        return (struct result_words){LOG_INFO, "delivered", "sent"};
    case QUEUE_RESULT_DEFERRED:
        return (struct result_words){LOG_INFO, "deferred", "deferred"};
    case QUEUE_RESULT_FAILED:
    case QUEUE_RESULT_EXPIRED:
        if (entry->is_unbounced) {
            return (struct result_words){LOG_WARNING, "held", "held"};
        }
        if (job->bounce == NULL || !dsn_wants_failure(entry->delivery->notify)) {
            return (struct result_words){LOG_WARNING, "dropped", "bounced"};
        }
        break;
    case QUEUE_RESULT_HELD:
        return (struct result_words){LOG_ERROR, "held", "held"};
    case QUEUE_RESULT_REFUSED:
        return (struct result_words){LOG_INFO, "refused", "refused"};
    case QUEUE_RESULT_MOVED:
        return (struct result_words){LOG_INFO, "rerouted", "deferred"};
    case QUEUE_RESULT_REDIRECTED:
        return (struct result_words){LOG_INFO, "redirected", "deferred"};
    }
    return (struct result_words){LOG_INFO, "bounced", "bounced"};
}

static const char *trouble_word(enum delivery_trouble trouble)
{
    switch (trouble) {
    case DELIVERY_TROUBLE_NONE:
        return "none";
    case DELIVERY_TROUBLE_DNS:
        return "dns";
    case DELIVERY_TROUBLE_CONNECTION:
        return "connection";
    case DELIVERY_TROUBLE_TLS:
        return "tls";
    case DELIVERY_TROUBLE_REPLY:
        break;
    }
    return "reply";
}

/* What kind of failure it is, told from codes and words (forward/reply_class). */
static void add_class(struct log_line *line, const struct queue_job *job,
                      const struct queue_job_entry *entry)
{
    const struct delivery_recipient *recipient = &job->recipients[entry - job->entries];

    log_text(line, "class", reply_class_text(recipient->class));
}

static void add_result(struct log_line *line, const struct queue_job *job,
                       const struct queue_job_entry *entry)
{
    const struct delivery_report *report =
        job->attempt == NULL ? NULL : delivery_attempt_report(job->attempt);

    switch (entry->result) {
    case QUEUE_RESULT_SENT:
        break;
    case QUEUE_RESULT_REFUSED:
        log_text(line, "why", "told-the-client");
        add_class(line, job, entry);
        break;
    case QUEUE_RESULT_DEFERRED:
        log_text(line, "why", trouble_word(report->trouble));
        add_class(line, job, entry);
        log_number(line, "next", (entry->next_ms - clock_unix_ms()) / 1000);
        break;
    case QUEUE_RESULT_FAILED:
    case QUEUE_RESULT_EXPIRED:
        log_text(line, "why", job->why);
        add_class(line, job, entry);
        break;
    case QUEUE_RESULT_HELD:
        log_text(line, "why",
                 job->message->is_readable ? "content-missing" : "damaged-envelope");
        break;
    case QUEUE_RESULT_REDIRECTED:
        log_text(line, "why", "fallback");
        log_address(line, "fallback", entry->delivery->fallback);
        break;
    case QUEUE_RESULT_MOVED:
        log_text(line, "why", "route-changed");
        log_bytes(line, "destination",
                  entry->moved_to.len > 0 ? entry->moved_to : job->destination->name);
        break;
    }
    if (report == NULL) {
        return;
    }
    if (entry->result != QUEUE_RESULT_SENT && report->stage != NULL) {
        log_text(line, "stage", report->stage);
    }
    if (report->is_in_doubt && entry->result != QUEUE_RESULT_SENT) {
        log_text(line, "in_doubt", "yes");
    }
    if (report->is_reused) {
        log_text(line, "reused", "yes");
    }
}

void queue_log_outcome(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        const struct queue_job_entry *entry = &job->entries[i];
        const struct delivery_recipient *recipient = &job->recipients[i];
        struct result_words words = words_for(job, entry);
        struct log_line line;

        log_begin(&line, words.level, words.event);
        add_id(&line, "id", job->message->id);
        add_addresses(&line, job, entry->delivery);
        log_text(&line, "status", words.status);
        add_relay(&line, job);
        add_tls(&line, job);
        if (recipient->enhanced[0] != '\0') {
            log_text(&line, "dsn", recipient->enhanced);
        }
        add_delays(&line, job, entry->delivery);
        log_number(&line, "attempts",
                   (int64_t)entry->delivery->attempts + (job->attempt != NULL));
        add_result(&line, job, entry);
        if (recipient->text.len > 0) {
            log_bytes(&line, "reply", recipient->text);
        }
        log_end(&line);
    }
}

void queue_log_bounce(const struct queue_job *job)
{
    const struct queue_message *bounce = job->bounce;
    struct log_line line;

    log_begin(&line, LOG_INFO, "bounce-queued");
    add_id(&line, "id", bounce->id);
    add_id(&line, "bounce_of", job->message->id);
    log_address(&line, "from", BYTES(""));
    log_address(&line, "to", bounce->deliveries[0].address);
    log_text(&line, "why", job->why);
    log_end(&line);
}

static void log_trouble(const struct queue_job *job, const char *event,
                        enum spool_status status)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, event);
    add_id(&line, "id", job->entries[0].delivery->key.message);
    log_bytes(&line, "destination", job->destination->name);
    log_number(&line, "deliveries", (int64_t)job->count);
    log_text(&line, "why", spool_status_text(status));
    log_end(&line);
}

void queue_log_unrecorded(const struct queue_job *job, enum spool_status status)
{
    log_trouble(job, "outcome-not-recorded", status);
}

void queue_log_unread(const struct queue_job *job, enum spool_status status)
{
    log_trouble(job, "message-not-read", status);
}
