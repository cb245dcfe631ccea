#include "trace_source.h"

#include "base/memory.h"
#include "io/file_read.h"
#include "io/history_search.h"

#include <stdlib.h>

enum { WHY_LIMIT = 4096 };

void trace_source_init(struct trace_source *source, int64_t since_ms)
{
    *source = (struct trace_source){.since_ms = since_ms};
    source->source.context = source;
    strbuf_init(&source->text, TRACE_FILE_LIMIT);
    strbuf_init(&source->why, WHY_LIMIT);
}

void trace_source_clear(struct trace_source *source)
{
    strbuf_clear(&source->text);
    strbuf_clear(&source->why);
}

/* ---- the history ------------------------------------------------------------------------- */

static enum history_kind kind_of(enum event_key key)
{
    switch (key) {
    case EVENT_KEY_MESSAGE:
        return HISTORY_MESSAGE;
    case EVENT_KEY_SESSION:
        return HISTORY_SESSION;
    case EVENT_KEY_ADDRESS:
        return HISTORY_ADDRESS;
    case EVENT_KEY_MESSAGE_ID:
        return HISTORY_MESSAGE_ID;
    }
    return HISTORY_MESSAGE;
}

static bool find_in_history(void *context, const struct event_question *question,
                            struct arena *arena, struct event_answer *answer)
{
    struct trace_source *source = context;
    struct history_question asked = {
        .key = {.kind = kind_of(question->key), .value = question->value},
        .since_ms = source->since_ms,
        .limit = question->limit,
        .is_distinct = question->is_distinct,
    };
    struct history_answer found = {.count = 0};
    struct bytes *lines;

    strbuf_reset(&source->why);
    if (!history_search(source->directory, &asked, arena, &found, &source->why)) {
        return false;
    }
    source->segments = found.segments;
    source->damaged = found.damaged;
    lines = arena_alloc(arena, (found.count + 1) * sizeof *lines);
    for (size_t i = 0; i < found.count; i++) {
        lines[i] = found.lines[i].line;
    }
    *answer =
        (struct event_answer){.lines = lines, .count = found.count, .has_more = found.has_more};
    return true;
}

void trace_source_use_history(struct trace_source *source, const char *directory)
{
    source->directory = directory;
    source->source.find = find_in_history;
}

/* ---- a file ------------------------------------------------------------------------------ */

/* What is found of a file, newest first. */
struct finding {
    const struct event_question *question;
    struct bytes *lines, *subjects;
    size_t count;
    bool has_more;
};

/* May the line hold the value? Only what no log escapes is looked for; addresses may stand there in any case, so
 * only the mark between their parts is. */
static bool may_match(struct bytes line, const struct event_question *question)
{
    struct bytes part = question->value;

    if (question->key == EVENT_KEY_ADDRESS) {
        return bytes_find(line, '@') < line.len;
    }
    part = bytes_first(part, bytes_find(part, '\\'));
    part = bytes_first(part, bytes_find(part, '"'));
    return !bytes_is_ascii(part) || memmem(line.data, line.len, part.data, part.len) != NULL;
}

static struct bytes subject_of(const struct event_record *record)
{
    struct bytes id = event_record_get(record, "id");

    return id.len > 0 ? id : event_record_get(record, "s");
}

static bool was_found(const struct finding *finding, struct bytes subject)
{
    for (size_t i = 0; i < finding->count; i++) {
        if (bytes_equal(finding->subjects[i], subject)) {
            return true;
        }
    }
    return false;
}

/* False: enough. */
static bool take_line(struct finding *finding, struct bytes line, int64_t since_ms,
                      struct arena *scratch, struct arena *arena)
{
    struct event_record record;
    struct bytes subject;

    arena_reset(scratch);
    if (!may_match(line, finding->question) || !event_record_read(&record, line, scratch) ||
        record.time_ms < since_ms ||
        !event_trace_matches(&record, finding->question->key, finding->question->value)) {
        return true;
    }
    subject = subject_of(&record);
    if (finding->question->is_distinct && (subject.len == 0 || was_found(finding, subject))) {
        return true;
    }
    if (finding->count == finding->question->limit) {
        finding->has_more = true;
        return false;
    }
    finding->subjects[finding->count] = arena_copy(arena, subject);
    finding->lines[finding->count++] = line;
    return true;
}

/* The last line, without its end; *rest becomes what stands before it. */
static struct bytes cut_last_line(struct bytes *rest)
{
    struct bytes text = *rest;
    size_t end;

    if (text.len > 0 && text.data[text.len - 1] == '\n') {
        text.len--;
    }
    end = bytes_find_last(text, '\n');
    *rest = end == text.len ? BYTES("") : bytes_first(text, end + 1);
    return bytes_skip(text, rest->len);
}

static bool find_in_file(void *context, const struct event_question *question,
                         struct arena *arena, struct event_answer *answer)
{
    struct trace_source *source = context;
    struct finding finding = {.question = question};
    struct bytes rest = strbuf_bytes(&source->text);
    struct arena *scratch = arena_new();
    struct bytes *lines;

    finding.lines = arena_alloc(arena, (question->limit + 1) * sizeof *finding.lines);
    finding.subjects = arena_alloc(arena, (question->limit + 1) * sizeof *finding.subjects);
    while (rest.len > 0 &&
           take_line(&finding, cut_last_line(&rest), source->since_ms, scratch, arena)) {
    }
    lines = arena_alloc(arena, (finding.count + 1) * sizeof *lines);
    for (size_t i = 0; i < finding.count; i++) {
        lines[i] = finding.lines[finding.count - 1 - i];
    }
    *answer = (struct event_answer){
        .lines = lines, .count = finding.count, .has_more = finding.has_more};
    arena_free(&scratch);
    return true;
}

bool trace_source_use_file(struct trace_source *source, const char *path)
{
    source->source.find = find_in_file;
    return strcmp(path, "-") == 0
               ? file_read_input(&source->text, &source->why)
               : file_read_whole(path, TRACE_FILE_LIMIT, &source->text, NULL, &source->why);
}
