/*
 * log_source - lines of a log in a test, as a source for mail/event_trace.
 */
#ifndef TESTS_UNIT_MAIL_LOG_SOURCE_H
#define TESTS_UNIT_MAIL_LOG_SOURCE_H

#include "mail/event_trace.h"

struct log_source {
    const char *text; /* lines, each with its end */
    bool is_broken;
};

static bool is_line_of(const struct bytes *kept, size_t count, struct bytes line,
                       struct arena *arena)
{
    struct event_record record, other;
    struct bytes subject;

    event_record_read(&record, line, arena);
    subject = event_record_get(&record, "id");
    for (size_t i = 0; i < count; i++) {
        event_record_read(&other, kept[i], arena);
        if (subject.len > 0 ? bytes_equal(event_record_get(&other, "id"), subject)
                            : event_record_get(&other, "id").len == 0 &&
                                  bytes_equal(event_record_get(&other, "s"),
                                              event_record_get(&record, "s"))) {
            return true;
        }
    }
    return false;
}

/* As a history answers: the newest, oldest first. */
static bool find_lines(void *context, const struct event_question *question,
                       struct arena *arena, struct event_answer *answer)
{
    const struct log_source *source = context;
    struct bytes rest = bytes_from_text(source->text), all[1000], *kept;
    size_t count = 0, kept_count = 0;

    if (source->is_broken) {
        return false;
    }
    while (rest.len > 0 && count < 1000) {
        struct event_record record;

        all[count] = bytes_cut(&rest, '\n');
        if (event_record_read(&record, all[count], arena) &&
            event_trace_matches(&record, question->key, question->value)) {
            count++;
        }
    }
    kept = arena_alloc(arena, (count + 1) * sizeof *kept);
    for (size_t i = count; i-- > 0;) {
        if (question->is_distinct && is_line_of(kept, kept_count, all[i], arena)) {
            continue;
        }
        if (kept_count == question->limit) {
            answer->has_more = true;
            break;
        }
        kept[kept_count++] = all[i];
    }
    for (size_t i = 0; i < kept_count / 2; i++) {
        struct bytes swap = kept[i];
        kept[i] = kept[kept_count - 1 - i];
        kept[kept_count - 1 - i] = swap;
    }
    answer->lines = kept;
    answer->count = kept_count;
    return true;
}

#endif
