/* On which side a failure lies, and whose logs to read next. */
#include "story_internal.h"

#include "base/calendar.h"

__attribute__((format(printf, 2, 3))) static void say(struct story_teller *teller,
                                                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    strbuf_addv(&teller->text, format, arguments);
    va_end(arguments);
}

static struct bytes take_text(struct story_teller *teller)
{
    struct bytes text = arena_copy(teller->arena, strbuf_bytes(&teller->text));

    strbuf_reset(&teller->text);
    return text;
}

/* ---- the line that decides --------------------------------------------------------------- */

/* The last attempt with that end; of failures any. */
static const struct event_record *last_attempt(const struct story_teller *teller,
                                               bool is_failure)
{
    const struct event_record *last = NULL;

    for (size_t i = 0; i < teller->input->count; i++) {
        const struct event_record *record = &teller->input->records[i];

        if (teller->roles[i] == STORY_ROLE_OWN && story_is_attempt(record) &&
            (story_state_of(record) != STORY_DELIVERED) == is_failure) {
            last = record;
        }
    }
    return last;
}

/* The failure of a recipient who has not got it. */
static const struct event_record *open_failure(const struct story_teller *teller)
{
    const struct event_record *last = NULL;

    for (const struct story_delivery *at = teller->story->deliveries; at != NULL;
         at = at->next) {
        if (at->state != STORY_DELIVERED && at->last != NULL &&
            (last == NULL || at->last->time_ms >= last->time_ms)) {
            last = at->last;
        }
    }
    return last;
}

static const struct event_record *last_refusal(const struct story_teller *teller)
{
    const struct event_record *end = teller->story->accepted, *last = NULL;

    if (end != NULL && !event_record_is(end, "accepted")) {
        return end;
    }
    for (size_t i = 0; i < teller->input->count; i++) {
        const struct event_record *record = &teller->input->records[i];

        if (teller->roles[i] == STORY_ROLE_SESSION &&
            (event_record_is(record, "recipient-refused") ||
             event_record_is(record, "recipient-deferred"))) {
            last = record;
        }
    }
    return last;
}

/* ---- authentication that failed behind us ------------------------------------------------ */

static void judge_authentication(struct story_teller *teller)
{
    const struct event_record *end = teller->story->accepted;

    if (end == NULL || !story_has(end, "dkim")) {
        teller->story->side = EVENT_SIDE_NEXT_HOP;
    } else if (story_is(end, "forecast-why", "dkim-broken")) {
        teller->story->side = EVENT_SIDE_OURS;
        say(teller, " Its signature covers something that we have to take out or add to.");
    } else if (story_is(end, "dkim", "pass")) {
        teller->story->side = EVENT_SIDE_NEXT_HOP;
        say(teller, " DKIM passed when it came here, and no signed octet was changed.");
    } else {
        teller->story->side = EVENT_SIDE_SENDER;
        say(teller, " It had no DKIM signature that is good, and nothing else survives "
                    "forwarding: the sender has to sign.");
    }
}

/* ---- the verdict ------------------------------------------------------------------------- */

static const char *side_words(enum event_side side)
{
    switch (side) {
    case EVENT_SIDE_NONE:
        return "Nothing has failed";
    case EVENT_SIDE_SENDER:
        return "It lies on the sender's side";
    case EVENT_SIDE_OURS:
        return "It lies here";
    case EVENT_SIDE_NEXT_HOP:
        return "It lies behind us, at the next hop";
    }
    return "";
}

static void judge_cause(struct story_teller *teller, const struct event_cause *cause,
                        const struct event_record *record)
{
    struct event_story *story = teller->story;
    struct bytes advice = BYTES("");

    if (cause == NULL) {
        story->side = story_is_attempt(record) ? EVENT_SIDE_NEXT_HOP : EVENT_SIDE_SENDER;
        story->verdict = arena_copy(teller->arena, bytes_from_text(side_words(story->side)));
        return;
    }
    story->side = cause->side;
    if (story_is_attempt(record) &&
        bytes_equal(bytes_from_text(cause->word), BYTES("authentication"))) {
        judge_authentication(teller);
        advice = take_text(teller);
    }
    say(teller, "%s: %s; %s." BYTES_FMT, side_words(story->side), cause->meaning, cause->advice,
        BYTES_ARG(advice));
    story->verdict = take_text(teller);
}

static const struct event_cause *cause_of_failure(const struct event_record *record)
{
    const struct event_cause *cause = story_cause_of(record);
    const struct event_cause *hold = event_cause_of_hold(event_record_get(record, "why"));

    return cause == NULL ? hold : cause;
}

/* "refused-by-next-hop" is only what the client heard: the attempts know more. */
static const struct event_record *line_behind(const struct story_teller *teller,
                                              const struct event_record *refusal)
{
    const struct event_record *attempt = last_attempt(teller, true);

    return story_is(refusal, "why", "refused-by-next-hop") && attempt != NULL ? attempt
                                                                              : refusal;
}

static void judge_delivered(struct story_teller *teller)
{
    struct event_story *story = teller->story;

    story->side = EVENT_SIDE_NONE;
    if (story->returns != NULL && !story->is_return_shared) {
        story->side = EVENT_SIDE_NEXT_HOP;
        say(teller,
            "The next hop took it, and a bounce came back later (message " BYTES_FMT
            "): its text, which the sender has, says what failed behind that server.",
            BYTES_ARG(story->returns->text));
    } else if (story->bounce_of.len > 0) {
        say(teller, "Nothing has failed with this bounce: the sender's server took it.");
    } else {
        say(teller, "Nothing has failed here: the next hop took it and answers for it.");
    }
    story->verdict = take_text(teller);
}

static void judge_unknown(struct story_teller *teller)
{
    struct event_story *story = teller->story;

    if (story->accepted != NULL || story->deliveries != NULL) {
        say(teller, "What became of it no line says%s.",
            teller->input->queue == STORY_QUEUE_NOT_THERE
                ? ", and it is not in the queue: the lines may be older or newer than what was "
                  "searched"
                : "; the queue could not be asked");
    } else if (story->bounce_of.len > 0) {
        say(teller, "It was made and not tried yet.");
    } else {
        say(teller, "No message came of this session.");
    }
    story->verdict = take_text(teller);
}

static void judge_waiting(struct story_teller *teller)
{
    const struct event_record *failure = open_failure(teller);

    if (failure != NULL) {
        judge_cause(teller, cause_of_failure(failure), failure);
        return;
    }
    say(teller,
        "It waits in the queue and has not been tried yet: is its destination paused, or "
        "are others before it? postilion status says.");
    teller->story->side = EVENT_SIDE_OURS;
    teller->story->verdict = take_text(teller);
}

static void judge_by_hand(struct story_teller *teller, const char *words)
{
    teller->story->side = EVENT_SIDE_OURS;
    say(teller, "%s", words);
    teller->story->verdict = take_text(teller);
}

static void judge_refused(struct story_teller *teller)
{
    const struct event_record *refusal = last_refusal(teller);

    if (refusal == NULL) {
        refusal = open_failure(teller);
    }
    if (refusal != NULL) {
        refusal = line_behind(teller, refusal);
        judge_cause(teller, cause_of_failure(refusal), refusal);
    }
}

static void judge_side(struct story_teller *teller)
{
    const struct event_record *failure = open_failure(teller);

    switch (teller->story->state) {
    case STORY_DELIVERED:
        judge_delivered(teller);
        break;
    case STORY_REFUSED:
    case STORY_DEFERRED:
        judge_refused(teller);
        break;
    case STORY_WAITING:
        judge_waiting(teller);
        break;
    case STORY_DISCARDED:
        judge_by_hand(teller,
                      "Nothing has failed: the alias says that this mail is thrown away.");
        break;
    case STORY_DELETED:
        judge_by_hand(teller, "An operator deleted it from the queue.");
        break;
    case STORY_HELD:
    case STORY_BOUNCED:
    case STORY_DROPPED:
    case STORY_MOVED:
    case STORY_MIXED:
        if (failure != NULL) {
            judge_cause(teller, cause_of_failure(failure), failure);
        } else {
            judge_unknown(teller);
        }
        break;
    case STORY_UNKNOWN:
        judge_unknown(teller);
        break;
    }
}

/* ---- whose logs -------------------------------------------------------------------------- */

static void say_time(struct story_teller *teller, int64_t time_ms)
{
    say(teller, ", at ");
    calendar_add_timestamp(&teller->text, time_ms);
}

static void say_message_id(struct story_teller *teller)
{
    if (teller->story->message_id.len > 0) {
        say(teller, ", Message-ID <" BYTES_FMT ">", BYTES_ARG(teller->story->message_id));
    }
}

static void say_words(struct story_teller *teller, const struct event_record *record)
{
    struct bytes reply = story_field(teller, record, "reply");

    if (reply.len > 0) {
        say(teller, ", by the words \"" BYTES_FMT "\"", BYTES_ARG(reply));
    }
}

static void read_next_hop(struct story_teller *teller)
{
    const struct event_record *failure = open_failure(teller);
    const struct event_record *record = failure != NULL ? failure : last_attempt(teller, false);
    struct bytes relay;

    if (record == NULL) {
        record = last_attempt(teller, true);
    }
    if (record == NULL) {
        return;
    }
    relay = story_field(teller, record, "relay");
    if (relay.len == 0 || bytes_equal(relay, BYTES("none"))) {
        say(teller, "those of our resolver and network");
    } else {
        say(teller, "those of " BYTES_FMT, BYTES_ARG(relay));
    }
    say_time(teller, record->time_ms);
    say_words(teller, record);
    say_message_id(teller);
}

static void read_sender(struct story_teller *teller)
{
    const struct event_record *refusal = last_refusal(teller);
    const struct event_story *story = teller->story;

    if (story->client.len == 0) {
        return;
    }
    say(teller, "those of the client " BYTES_FMT, BYTES_ARG(story->client));
    if (story->helo.len > 0) {
        say(teller, " (" BYTES_FMT ")", BYTES_ARG(story->helo));
    }
    if (refusal != NULL) {
        say_time(teller, refusal->time_ms);
        say_words(teller, refusal);
    } else if (story->accepted != NULL) {
        say_time(teller, story->accepted->time_ms);
    }
    say_message_id(teller);
}

static void read_ours(struct story_teller *teller)
{
    const struct event_record *record = open_failure(teller);

    if (record == NULL) {
        record = last_refusal(teller);
    }
    if (record != NULL) {
        say(teller, "ours");
        say_time(teller, record->time_ms);
    }
}

static void find_logs(struct story_teller *teller)
{
    if (teller->story->state == STORY_DELETED || teller->story->state == STORY_DISCARDED) {
        return; /* as somebody here wanted it */
    }
    switch (teller->story->side) {
    case EVENT_SIDE_NONE:
        if (teller->story->state == STORY_DELIVERED) {
            read_next_hop(teller);
        }
        break;
    case EVENT_SIDE_SENDER:
        read_sender(teller);
        break;
    case EVENT_SIDE_OURS:
        read_ours(teller);
        break;
    case EVENT_SIDE_NEXT_HOP:
        read_next_hop(teller);
        break;
    }
    teller->story->read_next = take_text(teller);
}

void story_judge(struct story_teller *teller)
{
    judge_side(teller);
    find_logs(teller);
}
