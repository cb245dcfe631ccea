#include "auth/dkim_verify.h"

#include "auth/dkim_header_guard.h"
#include "auth/dkim_memory.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "dkim_signature.h"

#include <assert.h>
#include <stdlib.h>

/*
 * A message's way, in the order it happens:
 *
 *   1 dkim_verifier_header  the guard's choice of fields goes to the library ...
 *   2 take_signatures       ... whose signatures are looked at: those that cannot pass are settled
 *   3 want_key              ... the others need a key
 *   4 dkim_verifier_body    hashed as it comes, when a signature is open: here, because the library
 *                           takes four times as long; by it, when a signature has l=
 *   5 dkim_verifier_finish  all answers there: the library verifies ...
 *   6 answer_key            ... and asks for each key here
 *   7 dkim_signature_judge  its findings become a result
 */

enum {
    /* The library compares t= and x= with a clock of its own; this much is let through there, so
     * that the time we were given decides. Not more: it subtracts without looking for overflow,
     * and t= below this reads as the far future. */
    LIBRARY_DRIFT_SECONDS = 10 * 365 * 86400,
    HASH_TEXT_OCTETS = 44,
};

struct dkim_library {
    DKIM_LIB *handle;
    struct dkim_key_cache *keys;
    struct dkim_memory *memory;
};

struct dkim_verifier {
    struct dkim_library *library;
    int64_t unix_seconds;
    DKIM *handle; /* NULL: nothing to verify */
    struct dkim_signature signatures[DKIM_SIGNATURE_LIMIT];
    size_t count;
    size_t unchecked;
    bool is_open; /* a signature may still pass */
    bool is_finished;
    struct dkim_body body;
    struct body_hash *hashes[DKIM_BODY_FORMS]; /* NULL: no open signature has that form */
    bool has_body;
    char tail[2]; /* the last octets of the body */
};

static struct dkim_signature *find_signature(struct dkim_verifier *verifier,
                                             const DKIM_SIGINFO *info)
{
    for (size_t i = 0; i < verifier->count; i++) {
        if (verifier->signatures[i].info == info) {
            return &verifier->signatures[i];
        }
    }
    return NULL;
}

static DKIM_CBSTAT answer_key(DKIM *handle, DKIM_SIGINFO *info, unsigned char *text,
                              size_t capacity)
{
    struct dkim_signature *signature = find_signature(dkim_get_user_context(handle), info);

    assert(signature != NULL);
    return dkim_signature_answer(signature, text, capacity);
}

static void set_option(DKIM_LIB *handle, dkim_opts_t option, void *value, size_t size)
{
    DKIM_STAT status = dkim_options(handle, DKIM_OP_SETOPT, option, value, size);

    assert(status == DKIM_STAT_OK);
    (void)status;
}

struct dkim_library *dkim_library_new(void)
{
    struct dkim_library *library = memory_zero(sizeof *library);
    unsigned int flags = DKIM_LIBFLAGS_DELAYSIGPROC; /* keys are asked for at the end */
    unsigned int min_key_bits = DKIM_MIN_KEY_BITS;
    uint64_t drift = LIBRARY_DRIFT_SECONDS;

    library->handle = dkim_init(dkim_memory_take, dkim_memory_give);
    assert(library->handle != NULL);
    library->keys = dkim_key_cache_new();
    library->memory = dkim_memory_new();
    set_option(library->handle, DKIM_OPTS_FLAGS, &flags, sizeof flags);
    set_option(library->handle, DKIM_OPTS_MINKEYBITS, &min_key_bits, sizeof min_key_bits);
    set_option(library->handle, DKIM_OPTS_CLOCKDRIFT, &drift, sizeof drift);
    dkim_set_key_lookup(library->handle, answer_key);
    return library;
}

void dkim_library_free(struct dkim_library **library)
{
    if (*library == NULL) {
        return;
    }
    dkim_close((*library)->handle);
    dkim_key_cache_free(&(*library)->keys);
    dkim_memory_free(&(*library)->memory);
    free(*library);
    *library = NULL;
}

struct dkim_key_cache_counts dkim_library_keys(const struct dkim_library *library)
{
    return dkim_key_cache_counts(library->keys);
}

struct dkim_verifier *dkim_verifier_new(struct dkim_library *library, int64_t unix_seconds)
{
    struct dkim_verifier *verifier = dkim_memory_take(library->memory, sizeof *verifier);

    memset(verifier, 0, sizeof *verifier);
    verifier->library = library;
    verifier->unix_seconds = unix_seconds;
    verifier->body.is_hashed_here = true;
    for (size_t form = 0; form < DKIM_BODY_FORMS; form++) {
        strbuf_init(&verifier->body.hash_texts[form], HASH_TEXT_OCTETS);
    }
    return verifier;
}

void dkim_verifier_free(struct dkim_verifier **verifier)
{
    if (*verifier == NULL) {
        return;
    }
    if ((*verifier)->handle != NULL) {
        dkim_free((*verifier)->handle);
    }
    for (size_t form = 0; form < DKIM_BODY_FORMS; form++) {
        body_hash_free(&(*verifier)->hashes[form]);
        strbuf_clear(&(*verifier)->body.hash_texts[form]);
    }
    dkim_memory_give((*verifier)->library->memory, *verifier);
    *verifier = NULL;
}

static void settle_all(struct dkim_verifier *verifier, enum auth_result result, const char *why)
{
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            dkim_signature_settle(&verifier->signatures[i], result, why);
        }
    }
}

static size_t count_unsettled(const struct dkim_verifier *verifier)
{
    size_t count = 0;

    for (size_t i = 0; i < verifier->count; i++) {
        count += !verifier->signatures[i].is_settled;
    }
    return count;
}

/* The library lists those it took, in the order of the message. */
static void take_signatures(struct dkim_verifier *verifier)
{
    DKIM_SIGINFO **list = NULL;
    int count = 0, next = 0;

    if (dkim_getsiglist(verifier->handle, &list, &count) != DKIM_STAT_OK || count < 0 ||
        (size_t)count != count_unsettled(verifier)) {
        settle_all(verifier, AUTH_PERMERROR, "signature cannot be read");
        return;
    }
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            dkim_signature_take(&verifier->signatures[i], list[next++], verifier->unix_seconds);
        }
    }
}

static void want_key(struct dkim_verifier *verifier, struct dkim_signature *signature,
                     struct dns_facts *facts)
{
    verifier->is_open = true;
    verifier->body.is_hashed_here &= !dkim_signature_has_length(signature);
    (void)dns_facts_get(facts, bytes_from_text(signature->key_name), DNS_TYPE_TXT);
}

static void start_hashes(struct dkim_verifier *verifier)
{
    for (size_t i = 0; i < verifier->count && verifier->body.is_hashed_here; i++) {
        const struct dkim_signature *signature = &verifier->signatures[i];

        if (!signature->is_settled) {
            enum canonical_form form = dkim_signature_body_form(signature);

            if (verifier->hashes[form] == NULL) {
                verifier->hashes[form] = body_hash_new(form);
            }
        }
    }
}

static void end_header(struct dkim_verifier *verifier, struct dns_facts *facts)
{
    switch (dkim_eoh(verifier->handle)) {
    case DKIM_STAT_OK:
        take_signatures(verifier);
        break;
    case DKIM_STAT_SYNTAX:
        settle_all(verifier, AUTH_PERMERROR, "no usable From field");
        break;
    default:
        settle_all(verifier, AUTH_PERMERROR, "signature cannot be read");
        break;
    }
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            want_key(verifier, &verifier->signatures[i], facts);
        }
    }
    start_hashes(verifier);
}

static void feed_field(struct dkim_verifier *verifier, struct dkim_header_guard *guard,
                       const struct header_field *field)
{
    struct bytes text = dkim_header_guard_text(field);
    enum dkim_field kind = dkim_header_guard_next(guard, field);
    struct dkim_signature *signature;

    if (kind == DKIM_FIELD_PLAIN) {
        (void)dkim_header(verifier->handle, (u_char *)text.data, text.len);
        return;
    }
    if (kind == DKIM_FIELD_ONE_TOO_MANY) {
        verifier->unchecked++;
        return;
    }
    signature = &verifier->signatures[verifier->count++];
    if (kind == DKIM_FIELD_TOO_LONG) {
        dkim_signature_settle(signature, AUTH_NEUTRAL, "signature field too long");
    } else if (kind == DKIM_FIELD_TOO_COSTLY) {
        dkim_signature_settle(signature, AUTH_NEUTRAL, "too many ways to hash the body");
    } else if (dkim_header(verifier->handle, (u_char *)text.data, text.len) != DKIM_STAT_OK) {
        dkim_signature_settle(signature, AUTH_PERMERROR, "signature cannot be read");
    }
}

void dkim_verifier_header(struct dkim_verifier *verifier, struct bytes header,
                          struct dns_facts *facts)
{
    struct dkim_header_guard guard = {0};
    struct header_field field;
    const char *refusal;
    DKIM_STAT status;

    assert(verifier->handle == NULL && verifier->count == 0);
    if (!header_block_find(header, BYTES("DKIM-Signature"), &field)) {
        return;
    }
    refusal = dkim_header_refusal(header);
    if (refusal != NULL) {
        verifier->count = 1; /* one verdict for all */
        dkim_signature_settle(&verifier->signatures[0], AUTH_PERMERROR, refusal);
        return;
    }
    verifier->handle = dkim_verify(verifier->library->handle, (const unsigned char *)"",
                                   verifier->library->memory, &status);
    assert(verifier->handle != NULL);
    dkim_set_user_context(verifier->handle, verifier);
    while (header_field_next(&header, &field)) {
        feed_field(verifier, &guard, &field);
    }
    end_header(verifier, facts);
}

bool dkim_verifier_needs_body(const struct dkim_verifier *verifier)
{
    return verifier->is_open && !verifier->is_finished;
}

static void feed_body(struct dkim_verifier *verifier, struct bytes octets)
{
    if (!verifier->body.is_hashed_here) {
        (void)dkim_body(verifier->handle, (u_char *)octets.data, octets.len);
        dkim_body_length_add(&verifier->body.length, octets);
        return;
    }
    for (size_t form = 0; form < DKIM_BODY_FORMS; form++) {
        if (verifier->hashes[form] != NULL) {
            body_hash_add(verifier->hashes[form], octets);
        }
    }
}

void dkim_verifier_body(struct dkim_verifier *verifier, struct bytes octets)
{
    if (!dkim_verifier_needs_body(verifier) || octets.len == 0) {
        return;
    }
    verifier->has_body = true;
    verifier->tail[0] = octets.len > 1 ? octets.data[octets.len - 2] : verifier->tail[1];
    verifier->tail[1] = octets.data[octets.len - 1];
    feed_body(verifier, octets);
}

static void finish_hashes(struct dkim_verifier *verifier)
{
    for (size_t form = 0; form < DKIM_BODY_FORMS; form++) {
        unsigned char digest[BODY_HASH_OCTETS];

        if (verifier->hashes[form] != NULL) {
            body_hash_finish(verifier->hashes[form], digest);
            encoding_base64_add(&verifier->body.hash_texts[form],
                                bytes_of(digest, sizeof digest));
        }
    }
}

static void verify(struct dkim_verifier *verifier)
{
    DKIM_STAT status;

    /* RFC 6376 §3.4.3, §3.4.4: a last line without CRLF gets one. Only BDAT can bring such. */
    if (verifier->has_body &&
        !bytes_equal(bytes_of(verifier->tail, sizeof verifier->tail), BYTES("\r\n"))) {
        feed_body(verifier, BYTES("\r\n"));
    }
    finish_hashes(verifier);
    dkim_key_cache_enter(verifier->library->keys);
    status = dkim_eom(verifier->handle, NULL);
    dkim_key_cache_leave();
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            dkim_signature_judge(&verifier->signatures[i], status, &verifier->body);
        }
        verifier->signatures[i].key = NULL;
    }
}

/* False: an answer is missing. */
static bool take_keys(struct dkim_verifier *verifier, struct dns_facts *facts)
{
    bool has_all = true;

    for (size_t i = 0; i < verifier->count; i++) {
        struct dkim_signature *signature = &verifier->signatures[i];

        if (!signature->is_settled) {
            signature->key =
                dns_facts_get(facts, bytes_from_text(signature->key_name), DNS_TYPE_TXT);
            has_all &= signature->key != NULL;
        }
    }
    return has_all;
}

enum auth_status dkim_verifier_finish(struct dkim_verifier *verifier, struct dns_facts *facts,
                                      struct arena *arena, struct dkim_verdicts *verdicts)
{
    bool has_all = true;

    if (dkim_verifier_needs_body(verifier)) {
        has_all = take_keys(verifier, facts);
        if (has_all) {
            verify(verifier);
            verifier->is_finished = true;
        }
    }
    *verdicts = (struct dkim_verdicts){
        .verdicts = arena_alloc(arena, verifier->count * sizeof *verdicts->verdicts + 1),
        .count = verifier->count,
        .unchecked = verifier->unchecked};
    for (size_t i = 0; i < verifier->count; i++) {
        dkim_signature_write(&verifier->signatures[i], arena, &verdicts->verdicts[i]);
    }
    return has_all ? AUTH_DONE : AUTH_NEEDS_DNS;
}
