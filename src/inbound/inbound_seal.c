/*
 * What we sign a message with before it goes on, in the order it happens:
 *
 *   1 inbound_seal_begin   at DATA: the recipients say whose seal it is
 *   2 inbound_seal_body    the body is hashed as it streams
 *   3 inbound_seal_munge   the author cannot be proven at the next hop: said in our name instead
 *   4 inbound_seal_add     header and results are final: the fields that go on top
 *
 * Without a seal all of it does nothing.
 */
#include "inbound_session.h"

#include "io/clock.h"
#include "mail/from_munge.h"
#include "mail/header_block.h"
#include "mail/reply_address.h"

#include <assert.h>

enum {
    SEAL_LIMIT = 64 * 1024,
    MUNGED_EXCESS = 16 * 1024, /* what munging adds of its own */
    COPY_PIECE = 64 * 1024,
};

const struct seal *inbound_seal_of(const struct inbound_session *session, struct bytes domain)
{
    const struct inbound_options *options = session->options;

    return options->seal_for == NULL ? NULL : options->seal_for(options->seal_context, domain);
}

void inbound_seal_begin(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->seal != NULL) {
        transaction->seal_hash = body_hash_new(CANONICAL_RELAXED);
    }
}

void inbound_seal_body(struct inbound_session *session, struct bytes octets)
{
    if (session->transaction.seal_hash != NULL) {
        body_hash_add(session->transaction.seal_hash, octets);
    }
}

void inbound_seal_reset(struct inbound_session *session)
{
    body_hash_free(&session->transaction.seal_hash);
}

bool inbound_seal_can_munge(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    struct from_author author;

    return transaction->seal != NULL &&
           from_munge_read_author(strbuf_bytes(&transaction->header), transaction->arena,
                                  &author);
}

/* ---- munging ----------------------------------------------------------------------------- */

/* An address of ours through which the author can be reached. Stored when it is too long, or when
 * it would make a message for which nobody asked SMTPUTF8 need it. */
static bool make_reply_address(struct inbound_session *session,
                               const struct from_author *author, struct smtp_mailbox *address)
{
    struct inbound_transaction *transaction = &session->transaction;
    const struct srs_options *srs = session->options->routes.srs;
    uint32_t today = (uint32_t)(clock_unix_seconds() / 86400);
    enum srs_result result = reply_address_make(srs, transaction->own_domain, today,
                                                &author->mailbox, transaction->arena, address);
    struct bytes token;
    struct strbuf text;

    if (result == SRS_OK && (transaction->is_utf8 || bytes_is_ascii(address->local))) {
        return true;
    }
    if (result != SRS_OK && result != SRS_TOO_LONG) {
        return false;
    }
    reply_address_make_stored(srs, transaction->own_domain, today, &author->mailbox,
                              transaction->arena, address, &token);
    strbuf_init(&text, 1024);
    smtp_mailbox_add(&text, &author->mailbox);
    transaction->reply_token = token;
    transaction->reply_author = arena_copy(transaction->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return true;
}

/* The content with another header: what stood behind the old one is copied as it is. */
static enum content_status copy_behind(const struct content *from, uint64_t offset,
                                       struct content *to)
{
    enum content_status status = CONTENT_OK;
    static _Thread_local char piece[COPY_PIECE];
    size_t got = 1;

    while (status == CONTENT_OK && got > 0) {
        if (!content_read(from, offset, piece, sizeof piece, &got)) {
            return CONTENT_FAILED;
        }
        offset += got;
        if (got > 0) {
            status = content_append(to, bytes_of(piece, got));
        }
    }
    return status == CONTENT_OK ? content_seal(to) : status;
}

/* `kept`: octets of the old header that were stored. */
static void replace_header(struct inbound_session *session, uint64_t kept, struct bytes header)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct content *munged = content_new(session->options->spool_directory);
    enum content_status status = content_append(munged, header);

    if (status == CONTENT_OK) {
        status = copy_behind(transaction->content, kept, munged);
    }
    content_drop(&transaction->content);
    transaction->content = munged;
    transaction->content_status = status;
}

bool inbound_seal_munge(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct bytes header = strbuf_bytes(&transaction->header);
    struct smtp_mailbox address;
    struct from_author author;
    struct strbuf kept, munged;

    if (!from_munge_read_author(header, transaction->arena, &author) ||
        !make_reply_address(session, &author, &address)) {
        return false;
    }
    strbuf_init(&kept, header.len + 1);
    inbound_content_add_kept(session, header, &kept);
    strbuf_init(&munged, 2 * header.len + MUNGED_EXCESS); /* the old From is said twice */
    from_munge_write(&munged, strbuf_bytes(&kept), &author, &address, transaction->own_domain);
    assert(!munged.overflowed);
    replace_header(session, kept.len, strbuf_bytes(&munged));
    strbuf_clear(&transaction->header);
    strbuf_clear(&kept);
    transaction->header = munged;
    transaction->is_munged = true;
    return true;
}

/* ---- sealing ----------------------------------------------------------------------------- */

static void log_failure(const struct inbound_session *session)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_ERROR, "seal-failed");
    log_bytes(&line, "domain", session->transaction.seal->domain);
    log_end(&line);
}

/* The header as it leaves, from our own signatures down: what seals look at. */
static struct bytes whole_header(struct inbound_session *session,
                                 const struct strbuf *signatures, struct strbuf *whole)
{
    strbuf_add(whole, strbuf_bytes(signatures));
    strbuf_add(whole, strbuf_bytes(&session->transaction.header));
    return strbuf_bytes(whole);
}

/* What our Authentication-Results field says. */
static struct bytes results_in(const struct inbound_session *session, struct bytes trace)
{
    struct header_field field;

    if (header_block_find(trace, BYTES("Authentication-Results"), &field)) {
        return field.value;
    }
    return session->options->authserv_id;
}

void inbound_seal_add(struct inbound_session *session, struct bytes trace, struct strbuf *out)
{
    struct inbound_transaction *transaction = &session->transaction;
    static const struct arc_verdict unknown = {.result = AUTH_TEMPERROR};
    const struct seal *seal = transaction->seal;
    struct seal_input input = {.unix_seconds = clock_unix_seconds(),
                               .results = results_in(session, trace),
                               .chain = transaction->check == NULL
                                            ? &unknown
                                            : &message_check_verdicts(transaction->check)->arc};
    struct strbuf signatures, whole;
    bool is_signed = true;

    if (seal == NULL) {
        return;
    }
    body_hash_finish(transaction->seal_hash, input.body_hash);
    strbuf_init(&signatures, SEAL_LIMIT);
    strbuf_init(&whole, transaction->header.len + SEAL_LIMIT);
    input.header = strbuf_bytes(&transaction->header);
    if (seal->with_dkim || transaction->is_munged) {
        is_signed = message_seal_add_dkim(&signatures, seal, &input);
    }
    if (seal->with_arc) {
        input.header = whole_header(session, &signatures, &whole);
        is_signed = message_seal_add_arc(out, seal, &input) && is_signed;
    }
    strbuf_add(out, strbuf_bytes(&signatures));
    if (!is_signed) {
        log_failure(session);
    }
    strbuf_clear(&whole);
    strbuf_clear(&signatures);
}
