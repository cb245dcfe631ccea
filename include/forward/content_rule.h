/*
 * content_rule - what follows from what a message carries, and from how its header is made.
 *
 * Files    content_findings is told what mail/mime_walk finds; the first thing that is blocked stays.
 *          A structure that clients may read in another way than we do counts as blocked: it would be
 *          the way around every list.
 *
 *          blocked-file      550 5.7.1   an attachment, or a file in an archive, by its name
 *          blocked-type      550 5.7.1   a media type, as declared or as its octets say
 *          mime-unreadable   550 5.6.0   too complex or ambiguous
 *
 * Header   caps hold whatever the rules say:
 *
 *          too-many-fields, field-too-large    552 5.3.4
 *          header-nul        550 5.6.0   a NUL
 *          header-duplicate  550 5.6.0   two of what RFC 5322 §3.6 allows once. Not From: that is
 *                                        rule 1 of forward/accept_policy
 *          header-no-from    550 5.6.0   no From at all
 *          header-8bit       550 5.6.7   octets beyond ASCII without SMTPUTF8 (a rule of its own)
 *
 * Text     printable ASCII; what the message says of itself is escaped and cut. In the arena.
 */
#ifndef FORWARD_CONTENT_RULE_H
#define FORWARD_CONTENT_RULE_H

#include "base/arena.h"
#include "forward/blocked_file.h"
#include "forward/decision.h"
#include "mail/mime_walk.h"

/* The first of each is the default. */
enum blocked_content_rule {
    BLOCKED_CONTENT_REFUSE,
    BLOCKED_CONTENT_TAG,
    BLOCKED_CONTENT_HOLD,
    BLOCKED_CONTENT_ACCEPT,
};
enum header_sanity_rule { HEADER_SANITY_TAG, HEADER_SANITY_REFUSE, HEADER_SANITY_OFF };
enum header_8bit_rule { HEADER_8BIT_ACCEPT, HEADER_8BIT_TAG, HEADER_8BIT_REFUSE };

struct content_rules {
    struct file_patterns extensions, types;
    uint64_t fields;     /* of a header; 0: as many as there are */
    uint64_t field_size; /* octets of one; 0: any */
};

enum { CONTENT_NAME_LIMIT = 120 };

struct content_findings {
    const struct content_rules *rules; /* *borrowed* */
    bool is_blocked;
    enum mime_finding finding; /* of what is blocked */
    size_t name_length;
    char name[CONTENT_NAME_LIMIT]; /* its last octets */
};

struct content_answer {
    struct decision decision;
    const char *mark;  /* with accept: what is wrong all the same, or NULL; static */
    struct bytes what; /* the file, type or field it is about; may be empty */
    bool is_held;
};

/* Is there anything to look for? */
bool content_rules_block(const struct content_rules *rules);
/* For mime_walk: context is a struct content_findings. */
void content_findings_add(void *context, enum mime_finding finding, struct bytes text);

void content_rule_for_files(enum blocked_content_rule rule,
                            const struct content_findings *findings, enum mime_trouble trouble,
                            const char *trouble_why, struct arena *arena,
                            struct content_answer *answer);
/* `header`: its fields, without the empty line. */
void content_rule_for_header(const struct content_rules *rules, enum header_sanity_rule sanity,
                             enum header_8bit_rule eight_bit, struct bytes header, bool is_utf8,
                             struct arena *arena, struct content_answer *answer);

#endif
