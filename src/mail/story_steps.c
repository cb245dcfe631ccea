/* The steps of a story and their sentences, in the order of time. */
#include "story_internal.h"

#include "base/calendar.h"

#include <inttypes.h>

/* ---- writing ----------------------------------------------------------------------------- */

static struct story_step *begin_step(struct story_teller *teller, const char *kind,
                                     int64_t time_ms, const struct event_record *record)
{
    struct story_step *step = arena_alloc(teller->arena, sizeof *step);

    *step = (struct story_step){.time_ms = time_ms, .kind = kind, .record = record};
    *teller->steps_end = step;
    teller->steps_end = &step->next;
    teller->lines_end = &step->lines;
    teller->step_count++;
    if (teller->step_count > STORY_STEPS) {
        teller->story->steps = teller->story->steps->next;
        teller->story->steps_left_out++;
    }
    return step;
}

__attribute__((format(printf, 2, 3))) static void say(struct story_teller *teller,
                                                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    strbuf_addv(&teller->text, format, arguments);
    va_end(arguments);
}

/* The sentence becomes a line of the step; an empty one none. */
static void end_line(struct story_teller *teller)
{
    struct story_line *line;

    if (teller->text.len > 0) {
        line = arena_alloc(teller->arena, sizeof *line);
        line->text = arena_copy(teller->arena, strbuf_bytes(&teller->text));
        *teller->lines_end = line;
        teller->lines_end = &line->next;
    }
    strbuf_reset(&teller->text);
}

/* "before VALUE", when there is one. */
static void say_field(struct story_teller *teller, const char *before,
                      const struct event_record *record, const char *name)
{
    struct bytes value = story_field(teller, record, name);

    if (value.len > 0) {
        say(teller, "%s" BYTES_FMT, before, BYTES_ARG(value));
    }
}

/* "before A, B, C" */
static void say_each(struct story_teller *teller, const char *before,
                     const struct event_record *record, const char *name)
{
    size_t position = 0;
    struct bytes value;

    while ((value = event_record_next(record, name, &position)).data != NULL) {
        say(teller, "%s" BYTES_FMT, before, BYTES_ARG(value));
        before = ", ";
    }
}

/* "250 2.0.0 the words" */
static void say_reply(struct story_teller *teller, const struct event_record *record)
{
    say(teller, "\"");
    say_field(teller, "", record, "code");
    say_field(teller, " ", record, "dsn");
    say_field(teller, " ", record, "reply");
    say(teller, "\"");
}

/* ---- the session ------------------------------------------------------------------------- */

static void say_protection(struct story_teller *teller, const struct event_record *record)
{
    if (story_has(record, "tls") && !story_is(record, "tls", "none")) {
        say_field(teller, ", ", record, "tls");
        say_field(teller, " ", record, "cipher");
    } else {
        say(teller, ", in clear text");
    }
}

/* Only these lines say whether the session was encrypted. */
static const struct event_record *line_about_tls(const struct story_teller *teller)
{
    const struct event_record *end = teller->story->accepted;

    return end != NULL && event_record_is(end, "accepted") ? end : teller->session_end;
}

static int64_t session_begin(const struct story_teller *teller, int64_t otherwise_ms)
{
    return teller->session_end == NULL
               ? otherwise_ms
               : teller->session_end->time_ms -
                     (int64_t)event_record_number(teller->session_end, "ms");
}

static void tell_session(struct story_teller *teller, const struct event_record *first)
{
    const struct event_record *about_tls = line_about_tls(teller);
    const struct event_story *story = teller->story;
    int64_t begin_ms = session_begin(teller, first->time_ms);

    begin_step(teller, "session", begin_ms < first->time_ms ? begin_ms : first->time_ms,
               teller->session_end);
    say(teller, "client " BYTES_FMT, BYTES_ARG(story->client));
    say_field(teller, ", through our relay ", first, "via");
    if (story->helo.len > 0) {
        say(teller, ", calls itself " BYTES_FMT, BYTES_ARG(story->helo));
    }
    if (about_tls != NULL) {
        say_protection(teller, about_tls);
    }
    end_line(teller);
}

static void tell_session_end(struct story_teller *teller)
{
    const struct event_record *end = teller->session_end;

    /* Of a session that ended well the message says it all. */
    if (end == NULL || (teller->input->id.len > 0 && story_is(end, "why", "quit"))) {
        return;
    }
    begin_step(teller, "session", end->time_ms, end);
    say_field(teller, "the session ended: ", end, "why");
    say_field(teller, "; messages taken: ", end, "messages");
    say_field(teller, ", refused: ", end, "refused");
    end_line(teller);
}

/* ---- what was found out ------------------------------------------------------------------ */

static void tell_checks(struct story_teller *teller, const struct event_record *record)
{
    if (!story_has(record, "spf")) {
        return;
    }
    begin_step(teller, "checks", record->time_ms, NULL);
    say_field(teller, "SPF ", record, "spf");
    say_field(teller, ", DKIM ", record, "dkim");
    say_field(teller, ", DMARC ", record, "dmarc");
    say_field(teller, " for ", record, "author");
    say_field(teller, ", ARC ", record, "arc");
    say_field(teller, ", reverse name ", record, "iprev");
    end_line(teller);
    say_field(teller, "judged by the client its Received field names: ", record, "origin");
    end_line(teller);
    if (story_has(record, "forecast") && !story_is(record, "forecast", "none")) {
        say_field(teller, "forecast of DMARC at the next hop: ", record, "forecast");
        say_field(teller, " (", record, "forecast-why");
        say(teller, ")");
        end_line(teller);
    }
    if (story_is(record, "manner", "munged")) {
        say(teller, "From was said in our name");
    }
    end_line(teller);
    say_each(teller, "noted and let go: ", record, "mark");
    say_field(teller, " (", record, "what");
    say(teller, "%s", story_has(record, "what") && teller->text.len > 0 ? ")" : "");
    end_line(teller);
}

static void tell_found(struct story_teller *teller, const struct event_record *record)
{
    begin_step(teller, "checks", record->time_ms, record);
    say_each(teller, "found about the client: ", record, "found");
    say_field(teller, "; points ", record, "points");
    say_field(teller, ": ", record, "verdict");
    end_line(teller);
}

static void tell_scan(struct story_teller *teller, const struct event_record *record)
{
    begin_step(teller, "scan", record->time_ms, record);
    say_field(teller, "", record, "scan");
    if (event_record_is(record, "scan-failed")) {
        say_field(teller, " gave no answer: ", record, "why");
        say_field(teller, ", it said \"", record, "said");
        say(teller, "%s", story_has(record, "said") ? "\"" : "");
    } else {
        say_field(teller, ": ", record, "result");
        say_field(teller, " ", record, "virus");
        say_field(teller, ", score ", record, "score");
        say_field(teller, ", ", record, "symbols");
    }
    say_field(teller, " (", record, "ms");
    say(teller, " ms)");
    end_line(teller);
}

/* ---- answers ----------------------------------------------------------------------------- */

static void say_cause(struct story_teller *teller, const struct event_record *record)
{
    const struct event_cause *cause = story_cause_of(record);

    if (cause != NULL) {
        say(teller, "%s (%s)", cause->meaning, cause->word);
    } else {
        say_field(teller, "why: ", record, "why");
    }
}

static void tell_recipient_refused(struct story_teller *teller,
                                   const struct event_record *record)
{
    bool is_deferred = event_record_is(record, "recipient-deferred");
    struct story_step *step = begin_step(teller, "answer", record->time_ms, record);

    step->outcome = story_state_text(is_deferred ? STORY_DEFERRED : STORY_REFUSED);
    say_field(teller, "recipient <", record, "to");
    say(teller, "> %s: ", is_deferred ? "is to come again" : "refused");
    say_reply(teller, record);
    end_line(teller);
    say_cause(teller, record);
    end_line(teller);
}

static void say_taken(struct story_teller *teller, const struct event_record *record)
{
    say_field(teller, "taken: \"250 2.0.0 ok id=", record, "id");
    say(teller, "\"");
    say_field(teller, ", ", record, "size");
    say(teller, " octets");
    end_line(teller);
    if (story_is(record, "how", "stored")) {
        say(teller, "it was on stable storage here");
    } else if (story_is(record, "how", "delivered")) {
        say(teller, "every next hop had taken it while the client waited; nothing was stored");
    } else if (story_is(record, "how", "discarded")) {
        say(teller, "it goes to nobody: its aliases say discard");
    }
    end_line(teller);
}

static void tell_answer(struct story_teller *teller, const struct event_record *record)
{
    bool is_taken = event_record_is(record, "accepted");
    bool is_deferred = event_record_is(record, "message-deferred");
    struct story_step *step;

    tell_checks(teller, record);
    step = begin_step(teller, "answer", record->time_ms, record);
    if (is_taken) {
        step->outcome = "accepted";
        say_taken(teller, record);
        return;
    }
    step->outcome = story_state_text(is_deferred ? STORY_DEFERRED : STORY_REFUSED);
    say(teller, "%s after the content: ", is_deferred ? "to come again" : "refused");
    say_reply(teller, record);
    end_line(teller);
    say_cause(teller, record);
    say_field(teller, ": ", record, "what");
    say_field(teller, ": ", record, "virus");
    end_line(teller);
}

/* Where it goes, and under which sender: known from the attempts, decided when it was taken. */
static void tell_rewrite(struct story_teller *teller, int64_t time_ms)
{
    const struct event_story *story = teller->story;
    bool has_begun = false;

    for (const struct story_delivery *at = story->deliveries; at != NULL; at = at->next) {
        if (at->orig_to.len == 0 && at->sender.len == 0) {
            continue;
        }
        if (!has_begun) {
            begin_step(teller, "rewrite", time_ms, NULL);
            has_begun = true;
        }
        if (at->orig_to.len > 0) {
            say(teller, "<" BYTES_FMT "> leads to ", BYTES_ARG(at->orig_to));
        }
        say(teller, "<" BYTES_FMT ">", BYTES_ARG(at->to));
        if (at->sender.len > 0) {
            say(teller, ", under the sender <" BYTES_FMT ">", BYTES_ARG(at->sender));
        }
        end_line(teller);
    }
}

/* ---- attempts ---------------------------------------------------------------------------- */

static const char *attempt_words(const struct event_record *record)
{
    switch (story_state_of(record)) {
    case STORY_DELIVERED:
        return "delivered";
    case STORY_WAITING:
        return event_record_is(record, "rerouted") ? "moved to another route" : "deferred";
    case STORY_BOUNCED:
        return "failed for good, the sender is told";
    case STORY_DROPPED:
        return "failed for good, nobody is told";
    case STORY_REFUSED:
        return "refused, the client was told";
    case STORY_HELD:
        return "kept for an operator";
    case STORY_MOVED:
        return "refused, it goes to the fallback instead";
    case STORY_UNKNOWN:
    case STORY_DEFERRED:
    case STORY_DISCARDED:
    case STORY_DELETED:
    case STORY_MIXED:
        break;
    }
    return "attempt";
}

static void say_relay(struct story_teller *teller, const struct event_record *record)
{
    if (!story_has(record, "relay") || story_is(record, "relay", "none")) {
        say(teller, "no next hop was reached");
    } else {
        say_field(teller, "at ", record, "relay");
        say_protection(teller, record);
        if (story_has(record, "verified")) {
            say(teller, story_is(record, "verified", "yes") ? ", certificate verified"
                                                            : ", certificate not verified");
        }
        say(teller, "%s", story_is(record, "reused", "yes") ? ", over an open connection" : "");
    }
    end_line(teller);
}

static void say_next(struct story_teller *teller, const struct event_record *record)
{
    uint64_t seconds = event_record_number(record, "next");

    if (story_has(record, "next")) {
        say(teller, "next attempt in %" PRIu64 " s, at ", seconds);
        calendar_add_timestamp(&teller->text, record->time_ms + (int64_t)seconds * 1000);
    }
    end_line(teller);
}

static void say_outcome(struct story_teller *teller, const struct event_record *record)
{
    const struct event_cause *cause = story_cause_of(record);
    const struct event_cause *hold = event_cause_of_hold(event_record_get(record, "why"));

    say(teller, "%s", attempt_words(record));
    say_field(teller, " at stage ", record, "stage");
    say_field(teller, ": \"", record, "reply");
    say(teller, "%s", event_record_get(record, "reply").len > 0 ? "\"" : "");
    end_line(teller);
    if (cause != NULL) {
        say(teller, "%s (%s)", cause->meaning, cause->word);
        end_line(teller);
    }
    if (hold != NULL) {
        say(teller, "%s (%s)", hold->meaning, hold->word);
        end_line(teller);
    }
    if (story_is(record, "why", "expired")) {
        say(teller, "it had waited as long as delivery.expire allows");
        end_line(teller);
    }
    say_field(teller, "from now on for ", record, "fallback");
    end_line(teller);
    say_field(teller, "from now on by the route of ", record, "destination");
    end_line(teller);
    if (story_is(record, "in_doubt", "yes")) {
        say(teller, "the content had been sent whole and its reply never came: the next "
                    "attempt may make a duplicate");
        end_line(teller);
    }
}

/* delays=a/b/c/d */
static void say_delays(struct story_teller *teller, const struct event_record *record)
{
    static const char *const WORDS[] = {"until it was safe here", "waiting here", "connecting",
                                        "handing it over"};
    struct bytes rest = story_field(teller, record, "delays");

    say_field(teller, ", ", record, "delay");
    if (story_has(record, "delay")) {
        say(teller, " s after it came in");
    }
    if (bytes_starts_with(event_record_get(record, "delay"), BYTES("0."))) {
        return; /* nobody asks where less than a second went */
    }
    for (size_t i = 0; i < 4 && rest.len > 0; i++) {
        struct bytes seconds = bytes_cut(&rest, '/');

        say(teller, "%s" BYTES_FMT " %s", i == 0 ? " (" : ", ", BYTES_ARG(seconds), WORDS[i]);
    }
    say(teller, "%s", rest.data != NULL && story_has(record, "delays") ? ")" : "");
}

static void tell_attempt(struct story_teller *teller, const struct event_record *record,
                         const char *kind)
{
    struct story_step *step = begin_step(teller, kind, record->time_ms, record);

    step->outcome = story_attempt_word(record);
    say_field(teller, "attempt ", record, "attempts");
    say_field(teller, " for <", record, "to");
    say(teller, ">");
    say_delays(teller, record);
    end_line(teller);
    say_relay(teller, record);
    say_outcome(teller, record);
    say_next(teller, record);
}

/* ---- what else happens ------------------------------------------------------------------- */

static void tell_made(struct story_teller *teller, const struct event_record *record,
                      bool is_own)
{
    begin_step(teller, "bounce", record->time_ms, record);
    if (is_own) {
        say_field(teller, "this is a bounce of ours about message ", record, "bounce_of");
        say_field(teller, ", for <", record, "to");
    } else {
        say_field(teller, "a bounce was made, message ", record, "id");
        say_field(teller, ", for <", record, "to");
    }
    say_field(teller, ">: ", record, "why");
    end_line(teller);
}

static void tell_returned(struct story_teller *teller, const struct event_record *record)
{
    if (event_record_is(record, "accepted")) {
        begin_step(teller, "returned", record->time_ms, record);
        say_field(teller, "a bounce came back to the address it was sent under: message ",
                  record, "id");
        say_field(teller, ", from client ", record, "client");
        say_field(teller, " (", record, "helo");
        say(teller, "%s", story_has(record, "helo") ? ")" : "");
        end_line(teller);
        if (teller->story->is_return_shared) {
            say(teller, "others of this sender were sent under the same address: it may be "
                        "about one of them");
        }
        end_line(teller);
    } else if (story_is_attempt(record)) {
        tell_attempt(teller, record, "returned");
    }
}

/* Whatever else has its id, in the log's own words. */
static void tell_line(struct story_teller *teller, const struct event_record *record)
{
    bool is_operator = bytes_starts_with(record->event, BYTES("queue-"));

    begin_step(teller, is_operator ? "operator" : "note", record->time_ms, record);
    say(teller, BYTES_FMT, BYTES_ARG(record->event));
    for (size_t i = 0; i < record->count; i++) {
        struct event_field field = record->fields[i];

        if (!bytes_equal(field.name, BYTES("id")) && !bytes_equal(field.name, BYTES("s")) &&
            !bytes_equal(field.name, BYTES("client"))) {
            say(teller, " " BYTES_FMT "=" BYTES_FMT, BYTES_ARG(field.name),
                BYTES_ARG(field.value));
        }
    }
    end_line(teller);
}

static void tell_waiting(struct story_teller *teller, const struct story_waiting *waiting)
{
    begin_step(teller, "queue", 0, NULL);
    say(teller, "<" BYTES_FMT "> is in the queue, ", BYTES_ARG(waiting->recipient));
    if (waiting->is_held) {
        say(teller, "held for an operator");
    } else {
        say(teller, "next attempt at ");
        calendar_add_timestamp(&teller->text, waiting->next_ms);
    }
    say(teller, ", attempts so far: %" PRIu64, waiting->attempts);
    if (waiting->reply.len > 0) {
        say(teller, "; last: \"" BYTES_FMT "\"", BYTES_ARG(waiting->reply));
    }
    end_line(teller);
}

/* ---- the whole --------------------------------------------------------------------------- */

/* A recipient of a message that was taken, who gets nothing. */
static void tell_nobody(struct story_teller *teller, const struct event_record *record)
{
    begin_step(teller, "rewrite", record->time_ms, record);
    say_field(teller, "<", record, "orig_to");
    say(teller, event_record_is(record, "discarded")
                    ? "> goes to nobody: its alias says discard"
                    : "> has had its copy before: the message is on its way round");
    end_line(teller);
}

static void tell_inbound(struct story_teller *teller, const struct event_record *record)
{
    if (event_record_is(record, "recipient-refused") ||
        event_record_is(record, "recipient-deferred")) {
        tell_recipient_refused(teller, record);
    } else if (event_record_is(record, "client-judged")) {
        tell_found(teller, record);
    } else if (event_record_is(record, "scanned") || event_record_is(record, "scan-failed")) {
        tell_scan(teller, record);
    } else if (event_record_is(record, "discarded") ||
               event_record_is(record, "loop-stopped")) {
        tell_nobody(teller, record);
    } else {
        tell_line(teller, record);
    }
}

static void tell_own(struct story_teller *teller, const struct event_record *record)
{
    if (event_record_is(record, "bounce-queued")) {
        tell_made(teller, record, true);
        tell_rewrite(teller, record->time_ms);
    } else if (record == teller->story->accepted) {
        tell_answer(teller, record);
        tell_rewrite(teller, record->time_ms);
    } else if (story_is_attempt(record)) {
        tell_attempt(teller, record, "attempt");
    } else {
        tell_inbound(teller, record);
    }
}

static void tell_record(struct story_teller *teller, const struct event_record *record,
                        enum story_role role)
{
    switch (role) {
    case STORY_ROLE_OWN:
        tell_own(teller, record);
        break;
    case STORY_ROLE_SESSION:
        tell_inbound(teller, record);
        break;
    case STORY_ROLE_MADE:
        tell_made(teller, record, false);
        break;
    case STORY_ROLE_BOUNCE:
        if (story_is_attempt(record)) {
            tell_attempt(teller, record, "bounce");
        }
        break;
    case STORY_ROLE_RETURN:
        tell_returned(teller, record);
        break;
    case STORY_ROLE_ORIGIN:
    case STORY_ROLE_OTHER:
        break;
    }
}

/* The first line that names its session. */
static const struct event_record *find_session(const struct story_teller *teller)
{
    for (size_t i = 0; i < teller->input->count; i++) {
        bool is_its =
            teller->roles[i] == STORY_ROLE_OWN || teller->roles[i] == STORY_ROLE_SESSION;

        if (is_its && story_has(&teller->input->records[i], "s")) {
            return &teller->input->records[i];
        }
    }
    return NULL;
}

void story_tell_steps(struct story_teller *teller)
{
    const struct story_input *input = teller->input;
    const struct event_record *session = find_session(teller);

    if (session != NULL) {
        tell_session(teller, session);
    }
    if (teller->story->accepted == NULL && teller->story->bounce_of.len == 0 &&
        teller->story->deliveries != NULL) {
        /* The line of its acceptance is older than what is kept. */
        tell_rewrite(teller, input->count > 0 ? input->records[0].time_ms : 0);
    }
    for (size_t i = 0; i < input->count; i++) {
        const struct event_record *record = &input->records[i];

        if (record == teller->session_end && session != NULL) {
            tell_session_end(teller);
        } else {
            tell_record(teller, record, teller->roles[i]);
        }
    }
    for (size_t i = 0; i < input->waiting_count; i++) {
        tell_waiting(teller, &input->waiting[i]);
    }
}
