/*
 * story_internal - what the files of mail/event_story share: event_story.c (whose line is whose, recipients, the
 * end), story_steps.c (steps and their sentences), story_verdict.c (on which side it lies).
 */
#ifndef MAIL_STORY_INTERNAL_H
#define MAIL_STORY_INTERNAL_H

#include "base/strbuf.h"
#include "mail/event_story.h"

enum { STORY_TEXT_LIMIT = 64 * 1024 };

/* What a line is to the story. */
enum story_role {
    STORY_ROLE_OTHER,
    STORY_ROLE_OWN,     /* has its id */
    STORY_ROLE_SESSION, /* of its session, before its end, and of no message */
    STORY_ROLE_MADE,    /* a bounce was made of it */
    STORY_ROLE_BOUNCE,  /* about such a bounce */
    STORY_ROLE_RETURN,  /* about a bounce that came back */
    STORY_ROLE_ORIGIN,  /* about a message it may be the bounce of */
};

struct story_teller {
    const struct story_input *input;
    struct arena *arena;
    struct event_story *story;
    enum story_role *roles;                 /* of input->records */
    const struct event_record *session_end; /* or NULL */
    int64_t after_ms, until_ms;             /* its part of the session */
    struct strbuf text;                     /* a sentence that is being written */
    struct story_step **steps_end;
    size_t step_count;
    struct story_line **lines_end;
};

/* A field as text that can be shown; empty when it is not there. */
struct bytes story_field(const struct story_teller *teller, const struct event_record *record,
                         const char *name);
bool story_has(const struct event_record *record, const char *name);
bool story_is(const struct event_record *record, const char *name, const char *value);
/* Does the line tell of an attempt at a delivery? */
bool story_is_attempt(const struct event_record *record);
/* Its event; NULL: none. */
const char *story_attempt_word(const struct event_record *record);
enum story_state story_state_of(const struct event_record *record);
/* The cause of a line: refusals by their why, failures by their class; or NULL. */
const struct event_cause *story_cause_of(const struct event_record *record);
void story_add_word(struct story_word **words, struct bytes text, struct arena *arena);

void story_tell_steps(struct story_teller *teller);
void story_judge(struct story_teller *teller);

#endif
