/*
 * content_sender - the octets of one message on their way into a stream.
 *
 * Order   the head (our own fields), the content, the final dot; dot-stuffed. Chunked: "BDAT size LAST",
 *         the head, the content, as they are.
 * Pace    in pieces of CONTENT_PIECE octets until more than STREAM_OUTPUT_HIGH waits in the
 *         stream; fill again from on_drained. What fits goes out with its final dot in one
 *         system call.
 * Memory  scratch is shared by all connections of a loop: nothing of it is kept between calls.
 */
#ifndef OUTBOUND_CONTENT_SENDER_H
#define OUTBOUND_CONTENT_SENDER_H

#include "io/content.h"
#include "io/stream.h"
#include "protocol/smtp_content.h"

enum { CONTENT_PIECE = 64 * 1024 };

struct content_scratch {
    struct strbuf wire; /* what is about to be written */
    char *piece;        /* CONTENT_PIECE octets of a file, or NULL until first needed */
};

void content_scratch_init(struct content_scratch *scratch);
void content_scratch_clear(struct content_scratch *scratch);

struct content_sender {
    struct bytes head;             /* borrowed, what is left of it */
    const struct content *content; /* borrowed */
    uint64_t offset;
    struct smtp_content_encoder encoder;
    bool is_chunked; /* by BDAT */
    bool has_begun;  /* chunked: the command has been written */
    bool
        is_finished; /* the final dot, or the last octet of the chunk, has been written into the stream */
};

enum content_sender_status {
    CONTENT_SENDER_FINISHED,
    CONTENT_SENDER_WAIT,  /* for on_drained */
    CONTENT_SENDER_FAILED /* the content cannot be read: close the connection before its end */
};

enum content_sender_status content_sender_fill(struct content_sender *sender,
                                               struct stream *stream,
                                               struct content_scratch *scratch);

#endif
