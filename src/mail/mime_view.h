/*
 * mime_view - one way to read an attachment: decoded, then looked into.
 *
 * Private to mail/mime_walk, with whom it shares what all walks of one message have in common. A view
 * holds a scan for archives, a walk for encoded messages and texts, or both.
 */
#ifndef MAIL_MIME_VIEW_H
#define MAIL_MIME_VIEW_H

#include "mail/archive_scan.h"
#include "mail/mime_decoding.h"
#include "mail/mime_walk.h"

/* What all walks of one message share. */
struct mime_message {
    void (*found)(void *context, enum mime_finding finding, struct bytes text);
    void *context;
    uint32_t archive_budget;
    unsigned parts;
    size_t told; /* octets of types and names */
    unsigned walks;
    size_t memory;
    enum mime_trouble trouble;
    const char *why;
};

struct mime_view {
    struct mime_decoding decoding;
    struct archive_scan *scan; /* or NULL */
    struct mime_walk *walk;    /* or NULL */
    bool is_behind_cr;
    bool is_open;
};

/* mime_view.c */
/* The first trouble of the worst kind stays. */
void mime_message_note(struct mime_message *message, enum mime_trouble trouble,
                       const char *why);
/* Each octet of a message can be read in many ways, and each reading is compared with all that is looked
 * for: so there is an end to it. */
void mime_message_tell(struct mime_message *message, enum mime_finding finding,
                       struct bytes text);
void mime_view_open(struct mime_view *view, struct mime_message *message,
                    enum mime_encoding encoding);
void mime_view_add_scan(struct mime_view *view, struct mime_message *message);
/* `header`: what the walk is to read first; NULL: it reads text that has none. */
void mime_view_add_walk(struct mime_view *view, struct mime_message *message,
                        const struct bytes *header);
void mime_view_feed(struct mime_view *view, struct bytes octets);
/* All has come: what it found last is told. Does nothing when it is not open. */
void mime_view_close(struct mime_view *view, struct mime_message *message);

/* mime_walk.c */
/* A walk inside of another; NULL: there are too many. */
struct mime_walk *mime_walk_nested(struct mime_message *message, const struct bytes *header);
void mime_walk_drop(struct mime_walk **walk);

#endif
