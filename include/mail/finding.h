/*
 * finding - what a check of the installation found: how bad it is, why it matters, what mends it.
 *
 * Use     findings_init, then for each subject (the host, a domain) findings_begin and findings_add for all that was
 *         looked at, the good things too: who reads it wants to know what was looked at.
 * Memory  in the arena given. Once complete nothing is changed any more: threads may share it.
 * Output  text for people (grouped by subject, aligned, a summary as the last line), JSON for programs. What
 *         strangers said is made printable there.
 * Names   of checks are an interface (docs/LOGGING.md): a check has one name, and may find several things.
 */
#ifndef MAIL_FINDING_H
#define MAIL_FINDING_H

#include "base/arena.h"
#include "base/strbuf.h"

#include <stdint.h>

enum finding_severity {
    FINDING_OK,
    FINDING_NOTE,    /* worth knowing */
    FINDING_UNKNOWN, /* it could not be looked at, or there was no answer */
    FINDING_WARNING, /* some mail suffers, or will */
    FINDING_ERROR,   /* mail is lost, refused or open to abuse */
};
enum { FINDING_SEVERITIES = FINDING_ERROR + 1, FINDING_TEXT_LIMIT = 16 * 1024 };

enum finding_remedy {
    FINDING_NO_REMEDY,
    FINDING_PUBLISH, /* lines of a zone */
    FINDING_RUN,     /* a command */
    FINDING_DO,      /* in words */
};

struct finding {
    enum finding_severity severity;
    const char *kind;     /* of the subject: "host", "domain"; static */
    struct bytes subject; /* its name */
    const char *check;    /* "reverse-name"; static */
    struct bytes found;
    const char *why; /* it matters, one sentence; static; NULL when all is well */
    enum finding_remedy remedy;
    struct bytes fix; /* may have several lines */
    struct finding *next;
};

struct findings {
    struct arena *arena;
    const char *kind; /* of the subject now */
    struct bytes subject;
    struct finding *first, **end;
    unsigned counts[FINDING_SEVERITIES];
};

/* *borrows* the arena. */
void findings_init(struct findings *findings, struct arena *arena);
/* From now on it is about this one. `kind` is static, `name` copied. */
void findings_begin(struct findings *findings, const char *kind, struct bytes name);
/* One more; what was found is the format's text. Good until the arena is reset. */
struct finding *findings_add(struct findings *findings, enum finding_severity severity,
                             const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Takes back what was added since `before` was copied from *findings. */
void findings_go_back(struct findings *findings, const struct findings *before);
/* Puts what `more` has behind it; that one is empty then. */
void findings_join(struct findings *findings, struct findings *more);
void finding_set_why(struct finding *finding, const char *why);
void finding_set_fix(struct findings *findings, struct finding *finding,
                     enum finding_remedy remedy, struct bytes fix);
void finding_set_fixf(struct findings *findings, struct finding *finding,
                      enum finding_remedy remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Does `findings` say the very same? */
bool findings_has(const struct findings *findings, const struct finding *wanted);
/* Does it say anything of the same check of the same subject that is as bad? */
bool findings_has_like(const struct findings *findings, const struct finding *wanted);

const char *finding_severity_text(enum finding_severity severity); /* "warning" ... */
const char *finding_remedy_text(enum finding_remedy remedy);       /* "publish" ... */

/* `least`: what is less than that is left out, and subjects without anything as well. */
void findings_add_text(struct strbuf *out, const struct findings *findings,
                       enum finding_severity least);
/* "2 errors, 1 warning, 12 ok" */
void findings_add_summary(struct strbuf *out, const struct findings *findings);
/* Members of the object that is open: "ok", "note" ... with their numbers, "findings": [...]. */
void findings_add_json(struct strbuf *out, const struct findings *findings,
                       enum finding_severity least);

#endif
