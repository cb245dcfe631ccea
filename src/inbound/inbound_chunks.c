/*
 * BDAT, in the order it happens:
 *
 *   1 inbound_chunk_begin   the line says how many octets follow, and from now on they are octets,
 *                           whatever becomes of them: a client may have sent them already
 *   2 inbound_chunk_input   kept, or thrown away when the answer is a refusal
 *   3 inbound_chunk_end     only now the answer; behind LAST the content is whole
 *
 * A BDAT line whose size cannot be read ends the session: nobody knows where commands go on. So does
 * one that announces more than we would read. After a refusal the transaction is over, and later
 * chunks of it, which may be on their way, are read and answered 503 (RFC 3030 §2).
 */
#include "inbound_session.h"

#include <assert.h>

static void refuse_chunk(struct inbound_chunk *chunk, unsigned code, const char *enhanced,
                         const char *text)
{
    chunk->code = code;
    chunk->enhanced = enhanced;
    chunk->text = text;
}

/* It may come where DATA may come, and behind another chunk. */
static void ask_dialogue(struct inbound_session *session)
{
    struct inbound_chunk *chunk = &session->chunk;

    if (!session->is_esmtp && session->dialogue.phase != SMTP_PHASE_CONNECTED) {
        refuse_chunk(chunk, 503, "5.5.1", "say EHLO first");
    } else if (smtp_dialogue_ask(&session->dialogue, SMTP_BDAT) == SMTP_DIALOGUE_MAY) {
        smtp_dialogue_granted(&session->dialogue);
    } else if (session->dialogue.phase == SMTP_PHASE_SENDER) {
        refuse_chunk(chunk, 554, "5.5.1", "no valid recipients");
    } else {
        refuse_chunk(chunk, 503, "5.5.1", "bad sequence of commands");
    }
}

static bool is_endless(const struct inbound_session *session)
{
    uint64_t before = session->transaction.decoder.octets;
    uint64_t most = session->options->message_size * INBOUND_EXCESS;

    return before > most || session->chunk.size > most - before;
}

static void bye_for_bad_line(struct inbound_session *session)
{
    inbound_session_bye(session, 501, "5.5.4", "BDAT takes a size and LAST, closing connection",
                        "bad-chunk");
}

bool inbound_chunk_is_lost(struct inbound_session *session, struct bytes line)
{
    if (!bytes_starts_with_nocase(line, BYTES("BDAT")) ||
        (line.len > 4 && ascii_is_alnum((unsigned char)line.data[4]))) {
        return false;
    }
    bye_for_bad_line(session);
    return true;
}

void inbound_chunk_begin(struct inbound_session *session, const struct smtp_command *command,
                         enum smtp_command_result result)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct inbound_chunk *chunk = &session->chunk;

    if (result != SMTP_COMMAND_OK) {
        bye_for_bad_line(session);
        return;
    }
    *chunk = (struct inbound_chunk){.is_open = true,
                                    .is_last = command->is_last_chunk,
                                    .size = command->chunk_size,
                                    .left = command->chunk_size,
                                    .begun_ms = event_loop_now_ms(session->server->loop)};
    if (is_endless(session)) {
        inbound_session_bye(session, 552, "5.3.4", "message too large, closing connection",
                            "too-large");
        return;
    }
    ask_dialogue(session);
    if (chunk->code == 0 && !transaction->is_chunked) {
        inbound_content_begin(session);
        transaction->is_chunked = true;
    }
    if (chunk->left == 0) {
        inbound_chunk_end(session);
    } else {
        inbound_session_extend(session);
    }
}

size_t inbound_chunk_input(struct inbound_session *session, struct bytes input)
{
    struct inbound_chunk *chunk = &session->chunk;
    struct bytes piece = input;

    if (chunk->left < input.len) {
        piece = bytes_first(input, (size_t)chunk->left);
    }
    chunk->left -= piece.len;
    if (chunk->code == 0) {
        inbound_content_chunk(session, piece);
    }
    return piece.len;
}

static void answer_chunk(struct inbound_session *session)
{
    struct strbuf text;

    strbuf_init(&text, 64);
    strbuf_add_u64(&text, session->chunk.size);
    strbuf_add_text(&text, " octets");
    inbound_session_reply(session, 250, "2.0.0", strbuf_bytes(&text));
    strbuf_clear(&text);
}

void inbound_chunk_end(struct inbound_session *session)
{
    struct inbound_chunk *chunk = &session->chunk;

    assert(chunk->is_open && chunk->left == 0);
    chunk->is_open = false;
    if (chunk->code != 0) {
        inbound_session_reply(session, chunk->code, chunk->enhanced,
                              bytes_from_text(chunk->text));
        return;
    }
    if (chunk->size >= INBOUND_FREE_CHUNK) {
        session->commands--;
    }
    if (chunk->is_last) {
        inbound_content_last_chunk(session);
    } else if (inbound_content_is_fine(session)) {
        answer_chunk(session);
    }
}
