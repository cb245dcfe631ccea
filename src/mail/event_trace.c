/*
 * In the order it happens:
 *
 *   1 event_trace_find    what the text may be, tried in turn
 *   2 find_message        by an id of a message
 *     find_session        by a session: the message that came of it, several, or none
 *     find_distinct       by an address or a Message-ID: one message, or several
 *   3 gather_message      its own lines, then ...
 *     gather_session      ... what came before it in its session
 *     gather_bounces      ... what became of bounces of ours
 *     gather_returns      ... bounces that came back, or what it is a bounce of
 */
#include "mail/event_trace.h"

#include "base/memory.h"
#include "mail/message_id.h"
#include "mail/srs_address.h"

#include <stdlib.h>

enum { SESSION_ID_LEAST = 14, SESSION_ID_MOST = 24, RELATED_LIMIT = 8, RETURN_LINES = 200 };

struct gathering {
    const struct event_source *source;
    struct arena *arena;
    struct event_record *records; /* in the arena when it grows */
    size_t count, capacity;
    struct bytes id, session;
    bool has_failed;
};

/* ---- lines ------------------------------------------------------------------------------- */

static bool has_value(const struct event_record *record, const char *name, struct bytes value)
{
    struct bytes found = event_record_get(record, name);

    return found.data != NULL && bytes_equal(found, value);
}

static bool has_address(const struct event_record *record, const char *name, struct bytes value)
{
    size_t position = 0;
    struct bytes found;

    while ((found = event_record_next(record, name, &position)).data != NULL) {
        if (bytes_equal_nocase(found, value)) {
            return true;
        }
    }
    return false;
}

bool event_trace_matches(const struct event_record *record, enum event_key key,
                         struct bytes value)
{
    switch (key) {
    case EVENT_KEY_MESSAGE:
        return has_value(record, "id", value) || has_value(record, "bounce_of", value);
    case EVENT_KEY_SESSION:
        return has_value(record, "s", value);
    case EVENT_KEY_ADDRESS:
        return has_address(record, "from", value) || has_address(record, "to", value) ||
               has_address(record, "orig_to", value) || has_address(record, "sender", value);
    case EVENT_KEY_MESSAGE_ID:
        return has_value(record, "message-id", value);
    }
    return false;
}

static struct event_record *add_record(struct gathering *gathering,
                                       const struct event_record *record)
{
    if (gathering->count == gathering->capacity) {
        struct event_record *before = gathering->records;

        gathering->capacity = gathering->capacity * 2 + 64;
        gathering->records =
            arena_alloc(gathering->arena, gathering->capacity * sizeof *gathering->records);
        if (gathering->count > 0) {
            memcpy(gathering->records, before, gathering->count * sizeof *before);
        }
    }
    gathering->records[gathering->count] = *record;
    return &gathering->records[gathering->count++];
}

/* Reads what a question finds into `found`. */
static bool ask(struct gathering *gathering, const struct event_question *question,
                struct gathering *found, bool *has_more)
{
    struct event_answer answer = {.count = 0};

    *found = (struct gathering){.arena = gathering->arena};
    if (!gathering->source->find(gathering->source->context, question, gathering->arena,
                                 &answer)) {
        gathering->has_failed = true;
        return false;
    }
    for (size_t i = 0; i < answer.count; i++) {
        struct event_record record;

        if (event_record_read(&record, answer.lines[i], gathering->arena)) {
            add_record(found, &record);
        }
    }
    if (has_more != NULL) {
        *has_more = answer.has_more;
    }
    return found->count > 0;
}

/* By time; what has the same stays in the order in which it was found. */
static void sort_records(struct gathering *gathering)
{
    struct event_record *spare =
        arena_alloc(gathering->arena, (gathering->count + 1) * sizeof *spare);
    struct event_record *from = gathering->records, *to = spare;

    for (size_t width = 1; width < gathering->count; width *= 2) {
        for (size_t start = 0; start < gathering->count; start += 2 * width) {
            size_t middle = start + width < gathering->count ? start + width : gathering->count;
            size_t end = middle + width < gathering->count ? middle + width : gathering->count;
            size_t left = start, right = middle;

            for (size_t i = start; i < end; i++) {
                bool is_left = left < middle &&
                               (right == end || from[left].time_ms <= from[right].time_ms);
                to[i] = is_left ? from[left++] : from[right++];
            }
        }
        struct event_record *swap = from;
        from = to;
        to = swap;
    }
    gathering->records = from;
}

/* ---- one message ------------------------------------------------------------------------- */

/* Lines of the session that belong to no message, and the last one of each other message: they say where one
 * transaction ends and the next begins. */
static void gather_session(struct gathering *gathering)
{
    struct event_question question = {
        .key = EVENT_KEY_SESSION, .value = gathering->session, .limit = EVENT_TRACE_LINES};
    struct gathering found;

    if (gathering->session.len == 0 || !ask(gathering, &question, &found, NULL)) {
        return;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (gathering->id.len == 0 || !has_value(&found.records[i], "id", gathering->id)) {
            add_record(gathering, &found.records[i]);
        }
    }
}

static void gather_bounces(struct gathering *gathering)
{
    size_t count = gathering->count, bounces = 0;

    for (size_t i = 0; i < count && bounces < RELATED_LIMIT; i++) {
        struct bytes id = event_record_get(&gathering->records[i], "id");
        struct event_question question = {
            .key = EVENT_KEY_MESSAGE, .value = id, .limit = EVENT_TRACE_LINES};
        struct gathering found;

        if (!event_record_is(&gathering->records[i], "bounce-queued") || id.len == 0 ||
            !has_value(&gathering->records[i], "bounce_of", gathering->id)) {
            continue;
        }
        bounces++;
        if (!ask(gathering, &question, &found, NULL)) {
            continue;
        }
        for (size_t j = 0; j < found.count; j++) {
            if (!event_record_is(&found.records[j], "bounce-queued")) {
                add_record(gathering, &found.records[j]);
            }
        }
    }
}

static bool is_signed_address(struct bytes address)
{
    return srs_is_srs(bytes_first(address, bytes_find_last(address, '@')));
}

static bool was_asked(const struct bytes *asked, size_t count, struct bytes address)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(asked[i], address)) {
            return true;
        }
    }
    return false;
}

/* Lines of other messages with this SRS address: what came back to it, or what was sent under it. */
static void gather_by_address(struct gathering *gathering, struct bytes address)
{
    struct event_question question = {.key = EVENT_KEY_ADDRESS,
                                      .value = arena_copy_lower(gathering->arena, address),
                                      .limit = RETURN_LINES};
    struct gathering found;

    if (!ask(gathering, &question, &found, NULL)) {
        return;
    }
    for (size_t i = 0; i < found.count; i++) {
        struct bytes id = event_record_get(&found.records[i], "id");

        if (id.len > 0 && !bytes_equal(id, gathering->id)) {
            add_record(gathering, &found.records[i]);
        }
    }
}

static void gather_returns(struct gathering *gathering)
{
    struct bytes asked[RELATED_LIMIT];
    size_t count = 0, own = gathering->count;

    for (size_t i = 0; i < own; i++) {
        static const char *const NAMES[] = {"sender", "orig_to"};

        for (size_t n = 0; n < 2 && count < RELATED_LIMIT; n++) {
            struct bytes address = event_record_get(&gathering->records[i], NAMES[n]);

            if (address.len > 0 && has_value(&gathering->records[i], "id", gathering->id) &&
                is_signed_address(address) && !was_asked(asked, count, address)) {
                asked[count++] = address;
                gather_by_address(gathering, address);
            }
        }
    }
}

static enum event_trace_result finish(struct gathering *gathering, struct event_trace *trace)
{
    sort_records(gathering);
    if (gathering->has_failed || gathering->count == 0) {
        gathering->id = (struct bytes){NULL, 0};
        return gathering->has_failed ? EVENT_TRACE_FAILED : EVENT_TRACE_NOTHING;
    }
    trace->records = gathering->records;
    trace->count = gathering->count;
    trace->id = gathering->id;
    trace->session = gathering->session;
    return EVENT_TRACE_ONE;
}

static enum event_trace_result gather_message(struct gathering *gathering, struct bytes id,
                                              struct event_trace *trace)
{
    struct event_question question = {
        .key = EVENT_KEY_MESSAGE, .value = id, .limit = EVENT_TRACE_LINES};
    struct gathering found;

    gathering->id = id;
    if (ask(gathering, &question, &found, &trace->has_more)) {
        for (size_t i = 0; i < found.count; i++) {
            struct event_record *record = add_record(gathering, &found.records[i]);
            struct bytes session = event_record_get(record, "s");

            if (session.len > 0) {
                gathering->session = session;
            }
        }
        gather_returns(gathering);
        gather_bounces(gathering);
        gather_session(gathering);
    }
    return finish(gathering, trace);
}

static enum event_trace_result find_message(struct gathering *gathering, struct bytes text,
                                            struct event_trace *trace)
{
    uint64_t number;

    if (!message_id_parse(text, &number)) {
        return EVENT_TRACE_NOTHING;
    }
    trace->value = arena_copy(gathering->arena, bytes_from_text(message_id_text(number).text));
    return gather_message(gathering, trace->value, trace);
}

/* ---- one of several ---------------------------------------------------------------------- */

static enum event_trace_result show_several(struct gathering *found, struct event_trace *trace)
{
    sort_records(found);
    trace->records = found->records;
    trace->count = found->count;
    return EVENT_TRACE_SEVERAL;
}

/* Keeps the last line of each message. */
static void keep_last(struct gathering *found)
{
    size_t kept = 0;

    for (size_t i = 0; i < found->count; i++) {
        struct bytes id = event_record_get(&found->records[i], "id");
        bool is_last = id.len > 0;

        for (size_t j = i + 1; j < found->count && is_last; j++) {
            is_last = !has_value(&found->records[j], "id", id);
        }
        if (is_last) {
            found->records[kept++] = found->records[i];
        }
    }
    found->count = kept;
}

static enum event_trace_result gather_session_alone(struct gathering *gathering,
                                                    struct bytes session,
                                                    struct event_trace *trace)
{
    gathering->session = session;
    gather_session(gathering);
    return finish(gathering, trace);
}

static enum event_trace_result find_session(struct gathering *gathering, struct bytes text,
                                            struct event_trace *trace)
{
    struct event_question question = {.key = EVENT_KEY_SESSION, .limit = EVENT_TRACE_LINES};
    struct gathering found;
    struct bytes rest = text;

    while (rest.len > 0 && (ascii_is_digit((unsigned char)rest.data[0]) ||
                            (ascii_lower((unsigned char)rest.data[0]) >= 'a' &&
                             ascii_lower((unsigned char)rest.data[0]) <= 'f'))) {
        rest = bytes_skip(rest, 1);
    }
    if (text.len < SESSION_ID_LEAST || text.len > SESSION_ID_MOST || rest.len > 0) {
        return EVENT_TRACE_NOTHING;
    }
    question.value = trace->value = arena_copy_lower(gathering->arena, text);
    if (!ask(gathering, &question, &found, &trace->has_more)) {
        return gathering->has_failed ? EVENT_TRACE_FAILED : EVENT_TRACE_NOTHING;
    }
    keep_last(&found);
    if (found.count == 0) {
        return gather_session_alone(gathering, question.value, trace);
    }
    return found.count == 1
               ? gather_message(gathering, event_record_get(&found.records[0], "id"), trace)
               : show_several(&found, trace);
}

static enum event_trace_result find_distinct(struct gathering *gathering, enum event_key key,
                                             struct bytes value, size_t limit,
                                             struct event_trace *trace)
{
    struct event_question question = {
        .key = key, .value = value, .limit = limit, .is_distinct = true};
    struct gathering found;
    struct bytes id;

    trace->value = value;
    trace->is_address = key == EVENT_KEY_ADDRESS;
    if (!ask(gathering, &question, &found, &trace->has_more)) {
        return gathering->has_failed ? EVENT_TRACE_FAILED : EVENT_TRACE_NOTHING;
    }
    if (found.count > 1 || trace->has_more) {
        return show_several(&found, trace);
    }
    id = event_record_get(&found.records[0], "id");
    if (id.len > 0) {
        return gather_message(gathering, id, trace);
    }
    return gather_session_alone(gathering, event_record_get(&found.records[0], "s"), trace);
}

/* Without what people copy along: blanks, brackets, the "id=" of our reply. */
static struct bytes bare(struct bytes text)
{
    text = bytes_trim(text);
    if (bytes_starts_with(text, BYTES("id="))) {
        text = bytes_skip(text, 3);
    }
    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>') {
        text = bytes_between(text, 1, text.len - 1);
    }
    return text;
}

enum event_trace_result event_trace_find(const struct event_source *source, struct bytes text,
                                         size_t limit, struct arena *arena,
                                         struct event_trace *trace)
{
    struct gathering gathering = {.source = source, .arena = arena};
    enum event_trace_result result;

    memset(trace, 0, sizeof *trace);
    text = bare(text);
    result = find_message(&gathering, text, trace);
    if (result == EVENT_TRACE_NOTHING) {
        result = find_session(&gathering, text, trace);
    }
    if (result == EVENT_TRACE_NOTHING && bytes_find(text, '@') < text.len) {
        result = find_distinct(&gathering, EVENT_KEY_ADDRESS, arena_copy_lower(arena, text),
                               limit, trace);
    }
    if (result == EVENT_TRACE_NOTHING && text.len > 0) {
        result = find_distinct(&gathering, EVENT_KEY_MESSAGE_ID, text, limit, trace);
    }
    return result;
}
