#include "queue_bounce.h"

#include "forward/bounce_rule.h"
#include "io/clock.h"
#include "mail/bounce_message.h"
#include "mail/header_block.h"
#include "mail/hidden_address.h"
#include "queue_route.h"

#include <assert.h>

enum {
    HEADER_READ_LIMIT = 64 * 1024,
    BOUNCE_TEXT_LIMIT =
        16 * 1024 * 1024, /* QUEUE_GROUP recipients and BOUNCE_HEADER_LIMIT fit well */
    RECORD_LIMIT = 64 * 1024,
    PREFIX_LIMIT = 16 * 1024,
};

static bool is_reported(const struct queue_job_entry *entry)
{
    return (entry->result == QUEUE_RESULT_FAILED || entry->result == QUEUE_RESULT_EXPIRED) &&
           dsn_wants_failure(entry->delivery->notify);
}

static bool has_reported(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (is_reported(&job->entries[i])) {
            return true;
        }
    }
    return false;
}

static bool is_late(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->entries[i].is_late) {
            return true;
        }
    }
    return false;
}

static bool is_relayed(const struct queue_job *job, size_t index)
{
    return job->entries[index].result == QUEUE_RESULT_SENT &&
           dsn_wants_success(job->entries[index].delivery->notify) &&
           !job->recipients[index].is_dsn_passed;
}

bool queue_bounce_has_relayed(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (is_relayed(job, i)) {
            return true;
        }
    }
    return false;
}

bool queue_bounce_tells_of(const struct queue_job *job, size_t index)
{
    return is_reported(&job->entries[index]) || is_relayed(job, index) ||
           job->entries[index].is_late;
}

/* Why its destination could not be reached may have been said of somebody else's mail. */
static struct bytes told(const struct queue_job *job, size_t index)
{
    const struct delivery_recipient *recipient = &job->recipients[index];

    if (recipient->code == 0 && hidden_names_is_reply(recipient->text)) {
        return BYTES("the next hop took no mail");
    }
    return hidden_names_without(recipient->text);
}

/* Who said so, unless it is we who say it: then the name of the host only tells where the alias leads. */
static struct bounce_attempt told_attempt(int64_t at_ms, struct bytes host, struct bytes reply)
{
    return (struct bounce_attempt){.at = at_ms / 1000,
                                   .host = hidden_names_is_reply(reply) ? host : BYTES(""),
                                   .reply = hidden_names_without(reply)};
}

/* Only the last attempts count that were made at this address, not those at one it was sent to before it
 * went to its fallback; then the one that has just ended. */
static size_t history_of(const struct queue_job *job, size_t index, struct bounce_attempt *out)
{
    const struct queue_delivery *delivery = job->entries[index].delivery;
    size_t count = 0, seen = 0, skipped, kept = 0;

    for (size_t i = 0; i < job->history_count; i++) {
        count += job->history[i].number == delivery->key.number;
    }
    skipped = count > delivery->attempts ? count - delivery->attempts : 0;
    for (size_t i = 0; i < job->history_count; i++) {
        const struct spool_attempt *attempt = &job->history[i];
        if (attempt->number == delivery->key.number && seen++ >= skipped) {
            out[kept++] = told_attempt(attempt->at_ms, attempt->host, attempt->reply);
        }
    }
    if (job->attempt != NULL) {
        out[kept++] = told_attempt(job->started_ms, delivery_attempt_report(job->attempt)->host,
                                   job->recipients[index].text);
    }
    return kept;
}

void queue_bounce_keep_history(struct queue_job *job, const struct spool_message *message)
{
    struct spool_attempt *copy =
        arena_alloc(job->arena, (message->attempt_count + 1) * sizeof *copy);

    for (size_t i = 0; i < message->attempt_count; i++) {
        copy[i] = message->attempts[i];
        copy[i].host = arena_copy(job->arena, message->attempts[i].host);
        copy[i].reply = arena_copy(job->arena, message->attempts[i].reply);
    }
    job->history = copy;
    job->history_count = message->attempt_count;
}

static bool is_only_expired(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        if (job->entries[i].result == QUEUE_RESULT_FAILED) {
            return false;
        }
    }
    return true;
}

/* The header as it came in; what cannot be read is left out rather than holding up the bounce.
 */
static struct bytes original_header(const struct queue_message *message, struct arena *arena)
{
    struct bytes start = content_memory(message->content);

    if (start.data == NULL) {
        char *copy = arena_alloc(arena, HEADER_READ_LIMIT);
        size_t got = 0;
        if (!content_read(message->content, 0, copy, HEADER_READ_LIMIT, &got)) {
            got = 0;
        }
        start = bytes_of(copy, got);
    }
    start = bytes_first(start, HEADER_READ_LIMIT);
    return bytes_first(start, header_block_length(start));
}

static enum bounce_kind kind_of(const struct queue_job *job)
{
    if (has_reported(job)) {
        return is_only_expired(job) ? BOUNCE_EXPIRED : BOUNCE_FAILED;
    }
    return is_late(job) ? BOUNCE_DELAYED : BOUNCE_RELAYED;
}

static size_t list_recipients(const struct queue_job *job, struct bounce_recipient *out)
{
    const struct delivery_report *report =
        job->attempt == NULL ? NULL : delivery_attempt_report(job->attempt);
    size_t count = 0;

    for (size_t i = 0; i < job->count; i++) {
        const struct queue_delivery *delivery = job->entries[i].delivery;
        const struct delivery_recipient *recipient = &job->recipients[i];
        bool has_passed = is_relayed(job, i);
        struct bounce_attempt *history = NULL;
        size_t history_count = 0;
        if (!queue_bounce_tells_of(job, i)) {
            continue;
        }
        if (job->entries[i].result == QUEUE_RESULT_EXPIRED && job->history_count > 0) {
            history = arena_alloc(job->arena, (job->history_count + 1) * sizeof *history);
            history_count = history_of(job, i, history);
        }
        out[count++] = (struct bounce_recipient){
            .alias = delivery->alias,
            .hidden = delivery->address,
            .status = recipient->enhanced,
            .remote = report == NULL || recipient->code == 0 ? BYTES("") : report->host,
            .diagnostic = told(job, i),
            .is_remote = recipient->code != 0,
            .last_attempt = job->started_ms / 1000,
            .attempts = delivery->attempts + (report != NULL),
            .is_relayed = has_passed,
            .explanation = has_passed || recipient->class == REPLY_CLASS_OTHER
                               ? NULL
                               : reply_class_explanation(recipient->class),
            .orcpt = delivery->orcpt,
            .history = history,
            .history_count = history_count,
        };
    }
    return count;
}

static void write_text(struct queue_job *job, uint64_t id, struct strbuf *text)
{
    const struct queue_message *message = job->message;
    const struct queue_options *options = &job->queue->options;
    struct message_id_text our_id = message_id_text(id);
    struct message_id_text original_id = message_id_text(message->id);
    struct bounce_recipient *recipients =
        arena_alloc(job->arena, job->count * sizeof *recipients);
    struct bounce_facts facts = {
        .kind = kind_of(job),
        .envid = message->envelope.envid,
        .our_name = options->our_name,
        .from_address = options->bounce_from,
        .to_address = message->envelope.sender,
        .message_id = bytes_from_text(our_id.text),
        .original_id = bytes_from_text(original_id.text),
        .arrived = message->created_ms / 1000,
        .now = clock_unix_seconds(),
        .retry_until = retry_schedule_end_ms(&options->retry, message->created_ms) / 1000,
        .recipients = recipients,
        .original_header = original_header(message, job->arena),
    };

    facts.recipient_count = list_recipients(job, recipients);
    bounce_message_write(text, &facts);
    assert(!text->overflowed);
}

static struct queue_message *make_message(struct queue_job *job, uint64_t id, struct bytes text)
{
    const struct envelope *original = &job->message->envelope;
    struct message_id_text original_id = message_id_text(job->message->id);
    struct content *content = content_from_bytes(text);
    struct strbuf record, prefix;
    struct envelope envelope = {
        .kind = ENVELOPE_BOUNCE,
        .is_8bit = !bytes_is_ascii(text),
        .is_utf8 = !bytes_is_ascii(original->sender),
        .requires_tls = original->requires_tls, /* RFC 8689 §5 */
        .is_auto_submitted = true,
        .bounce_of = bytes_from_text(original_id.text),
    };
    /* No alias: nothing of ours led here, and a loop mark for the sender's address would
     * stop the bounce where that address is an alias itself. */
    struct queue_recipient recipient = {
        .destination = queue_route_destination(job->queue, original->sender, job->arena),
        .address = original->sender,
    };

    strbuf_init(&record, RECORD_LIMIT);
    envelope_record_write(&record, &envelope);
    strbuf_init(&prefix, PREFIX_LIMIT);
    if (job->queue->options.bounce_seal != NULL) { /* unsigned it still tells the sender */
        (void)message_seal_add_dkim_whole(&prefix, job->queue->options.bounce_seal, text,
                                          clock_unix_seconds());
    }
    struct queue_message *bounce =
        queue_message_new(job->queue->set, &(struct queue_message_parts){
                                               .id = id,
                                               .created_ms = clock_unix_ms(),
                                               .record = strbuf_bytes(&record),
                                               .prefix = strbuf_bytes(&prefix),
                                               .content = content,
                                               .recipients = &recipient,
                                               .count = 1,
                                           });
    strbuf_clear(&prefix);
    strbuf_clear(&record);
    content_drop(&content);
    return bounce;
}

bool queue_bounce_may_warn(const struct queue_job *job)
{
    return bounce_rule_for_delay(job->queue->options.bounces, &job->message->envelope).is_sent;
}

bool queue_bounce_is_wanted(struct queue_job *job)
{
    const struct envelope *envelope = &job->message->envelope;
    struct bounce_rule_answer answer =
        bounce_rule_for_failure(job->queue->options.bounces, envelope, is_only_expired(job));

    job->why = envelope->kind == ENVELOPE_BOUNCE ? "double-bounce" : answer.why;
    if (!has_reported(job)) {
        bool has_relayed = queue_bounce_has_relayed(job);
        job->why = !has_relayed ? "not-wanted" : answer.is_sent ? "relayed" : job->why;
        return has_relayed && answer.is_sent;
    }
    if (answer.is_sent && job->is_bounce_limit_reached) {
        job->why = "bounce-limit";
        return false;
    }
    return answer.is_sent;
}

struct queue_message *queue_bounce_new(struct queue_job *job)
{
    struct strbuf text;

    if (is_late(job)) {
        job->why = "delayed";
    } else if (!queue_bounce_is_wanted(job)) {
        return NULL;
    }
    uint64_t id = message_id_next(job->queue->ids, clock_unix_ms());

    strbuf_init(&text, BOUNCE_TEXT_LIMIT);
    write_text(job, id, &text);
    struct queue_message *bounce = make_message(job, id, strbuf_bytes(&text));
    strbuf_clear(&text);
    return bounce;
}
