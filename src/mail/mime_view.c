#include "mime_view.h"

#include "base/memory.h"

#include <stdlib.h>

enum { PIECE = 1024 };

void mime_message_note(struct mime_message *message, enum mime_trouble trouble, const char *why)
{
    if (trouble > message->trouble) {
        message->trouble = trouble;
        message->why = why;
    }
}

void mime_message_tell(struct mime_message *message, enum mime_finding finding,
                       struct bytes text)
{
    if (text.len > MIME_TOLD - message->told) {
        mime_message_note(message, MIME_TOO_COMPLEX, "names");
        return;
    }
    message->told += text.len;
    message->found(message->context, finding, text);
}

static void on_archive_finding(void *context, enum archive_finding finding, struct bytes text)
{
    struct mime_message *message = context;

    switch (finding) {
    case ARCHIVE_ENTRY:
        mime_message_tell(message, MIME_FOUND_ENTRY, text);
        break;
    case ARCHIVE_KIND:
        mime_message_tell(message, MIME_FOUND_KIND, text);
        break;
    case ARCHIVE_UNREADABLE:
        mime_message_note(message, MIME_AMBIGUOUS, "archive");
        break;
    }
}

void mime_view_open(struct mime_view *view, struct mime_message *message,
                    enum mime_encoding encoding)
{
    mime_view_close(view, message);
    *view = (struct mime_view){.decoding.encoding = encoding, .is_open = true};
}

void mime_view_add_scan(struct mime_view *view, struct mime_message *message)
{
    view->scan = memory_alloc(sizeof *view->scan);
    message->memory += sizeof *view->scan;
    archive_scan_init(view->scan, &message->archive_budget, on_archive_finding, message);
}

void mime_view_add_walk(struct mime_view *view, struct mime_message *message,
                        const struct bytes *header)
{
    view->walk = mime_walk_nested(message, header);
}

/* CRLF and a CR that stands alone are LF in what is decoded: some client takes them so. */
static size_t make_lines(struct mime_view *view, char *octets, size_t length)
{
    size_t kept = 0;

    for (size_t i = 0; i < length; i++) {
        char octet = octets[i];

        if (octet == '\n' && view->is_behind_cr) {
            view->is_behind_cr = false;
            continue;
        }
        view->is_behind_cr = octet == '\r';
        octets[kept++] = octet == '\r' ? '\n' : octet;
    }
    return kept;
}

static void feed_decoded(struct mime_view *view, char *octets, size_t length)
{
    if (view->scan != NULL) {
        archive_scan_add(view->scan, bytes_of(octets, length));
    }
    if (view->walk != NULL) {
        length = make_lines(view, octets, length);
        mime_walk_add(view->walk, bytes_of(octets, length));
    }
}

void mime_view_feed(struct mime_view *view, struct bytes octets)
{
    char decoded[PIECE + MIME_DECODING_EXCESS];

    if (view->decoding.encoding == MIME_IDENTITY && view->walk == NULL) {
        archive_scan_add(view->scan, octets);
        return;
    }
    while (octets.len > 0) {
        struct bytes piece = bytes_first(octets, PIECE);

        feed_decoded(view, decoded, mime_decode(&view->decoding, piece, decoded));
        octets = bytes_skip(octets, piece.len);
    }
}

/* A group of base64 may be short of its padding. */
static void feed_rest(struct mime_view *view)
{
    if (view->decoding.encoding == MIME_BASE64) {
        mime_view_feed(view, BYTES("="));
    }
}

void mime_view_close(struct mime_view *view, struct mime_message *message)
{
    if (!view->is_open) {
        return;
    }
    view->is_open = false;
    feed_rest(view);
    if (view->scan != NULL) {
        archive_scan_end(view->scan);
        message->memory -= sizeof *view->scan;
        free(view->scan);
        view->scan = NULL;
    }
    if (view->walk != NULL) {
        mime_walk_end(view->walk);
        mime_walk_drop(&view->walk);
    }
}
