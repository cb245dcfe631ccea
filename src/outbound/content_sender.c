#include "outbound/content_sender.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* Stuffing makes three octets (".\r\n") four at the worst. */
enum { WIRE_LIMIT = 2 * CONTENT_PIECE + 64 };

void content_scratch_init(struct content_scratch *scratch)
{
    *scratch = (struct content_scratch){.piece = NULL};
    strbuf_init(&scratch->wire, WIRE_LIMIT);
}

void content_scratch_clear(struct content_scratch *scratch)
{
    strbuf_clear(&scratch->wire);
    free(scratch->piece);
    scratch->piece = NULL;
}

/* The next octets of the message, at most a piece; empty at its end. */
static bool next_piece(struct content_sender *sender, struct content_scratch *scratch,
                       struct bytes *piece)
{
    struct bytes memory;
    size_t got = 0;

    if (sender->head.len > 0) {
        *piece = bytes_first(sender->head, CONTENT_PIECE);
        sender->head = bytes_skip(sender->head, piece->len);
        return true;
    }
    if (sender->offset >= content_size(sender->content)) {
        *piece = (struct bytes){NULL, 0};
        return true;
    }
    memory = content_memory(sender->content);
    if (memory.data != NULL) {
        *piece = bytes_first(bytes_skip(memory, (size_t)sender->offset), CONTENT_PIECE);
        sender->offset += piece->len;
        return true;
    }
    if (scratch->piece == NULL) {
        scratch->piece = memory_alloc(CONTENT_PIECE);
    }
    if (!content_read(sender->content, sender->offset, scratch->piece, CONTENT_PIECE, &got) ||
        got == 0) {
        return false; /* a file shorter than it was is a disk that failed, not an end */
    }
    *piece = bytes_of(scratch->piece, got);
    sender->offset += got;
    return true;
}

static uint64_t octets_left(const struct content_sender *sender)
{
    return sender->head.len + content_size(sender->content) - sender->offset;
}

/* One BDAT for all of it: its size is known (RFC 3030 §2). */
static void begin_chunk(struct content_sender *sender, struct strbuf *wire)
{
    strbuf_add_text(wire, "BDAT ");
    strbuf_add_u64(wire, octets_left(sender));
    strbuf_add_text(wire, " LAST\r\n");
    sender->has_begun = true;
}

/* The next octets as they go over the wire; views of the message itself where nothing changes. */
static struct bytes to_wire(struct content_sender *sender, struct bytes piece,
                            struct strbuf *wire)
{
    strbuf_reset(wire);
    if (sender->is_chunked) {
        sender->is_finished = octets_left(sender) == 0;
        return piece;
    }
    if (piece.len > 0) {
        smtp_content_encode(&sender->encoder, piece, wire);
    } else {
        smtp_content_finish(&sender->encoder, wire);
        sender->is_finished = true;
    }
    assert(!wire->overflowed);
    return strbuf_bytes(wire);
}

enum content_sender_status content_sender_fill(struct content_sender *sender,
                                               struct stream *stream,
                                               struct content_scratch *scratch)
{
    struct strbuf *wire = &scratch->wire;
    struct bytes piece;

    if (sender->is_chunked && !sender->has_begun) {
        strbuf_reset(wire);
        begin_chunk(sender, wire);
        stream_write(stream, strbuf_bytes(wire));
    }
    /* "<=": on_drained is promised only after the output was over the mark. */
    while (!sender->is_finished && stream_output_waiting(stream) <= STREAM_OUTPUT_HIGH) {
        if (!next_piece(sender, scratch, &piece)) {
            return CONTENT_SENDER_FAILED;
        }
        stream_write(stream, to_wire(sender, piece, wire));
    }
    return sender->is_finished ? CONTENT_SENDER_FINISHED : CONTENT_SENDER_WAIT;
}
