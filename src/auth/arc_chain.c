#include "auth/arc_chain.h"

#include "arc_fields.h"
#include "arc_signature.h"
#include "auth/dkim_header_guard.h"
#include "auth/verification_key.h"
#include "base/memory.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

/*
 * A message's way, in the order it happens:
 *
 *   1 arc_verifier_header  the sets are gathered; no ARC field: done
 *   2 read_seals           every seal's claim, the newest first ...
 *   3 read_message         ... and the newest message signature; what no key can mend fails here
 *   4 digest_*             what was signed is hashed: nothing of the header is kept
 *   5 want_keys            every key is asked for at once
 *   6 arc_verifier_body    hashed as it comes
 *   7 arc_verifier_finish  body hash, then the signatures whose keys are known
 */

enum { CANONICAL_LIMIT = 2 * DKIM_HEADER_LIMIT };

struct arc_verifier {
    struct dkim_key_cache *keys;
    int64_t unix_seconds;
    struct arena *arena; /* NULL: no ARC field */
    bool is_settled;
    enum auth_result result;
    const char *why;
    unsigned newest;
    bool is_closed;
    size_t count; /* sets */
    /* The newest message signature, then the seals from the newest to the first. */
    struct arc_signature *signatures;
    struct bytes *results; /* as signatures: of the same set; [0] is not used */
    struct arc_message_scope scope;
    struct body_hash *body; /* NULL: not wanted, or finished */
};

struct arc_verifier *arc_verifier_new(struct dkim_key_cache *keys, int64_t unix_seconds)
{
    struct arc_verifier *verifier = memory_zero(sizeof *verifier);

    verifier->keys = keys;
    verifier->unix_seconds = unix_seconds;
    verifier->is_settled = true;
    verifier->result = AUTH_NONE;
    return verifier;
}

void arc_verifier_free(struct arc_verifier **verifier)
{
    if (*verifier == NULL) {
        return;
    }
    body_hash_free(&(*verifier)->body);
    if ((*verifier)->arena != NULL) {
        arena_free(&(*verifier)->arena);
    }
    free(*verifier);
    *verifier = NULL;
}

static void settle(struct arc_verifier *verifier, enum auth_result result, const char *why)
{
    verifier->is_settled = true;
    verifier->result = result;
    verifier->why = why;
}

/* ---- header ------------------------------------------------------------------------------ */

static struct arc_signature *seal_of(const struct arc_verifier *verifier, size_t instance)
{
    return &verifier->signatures[1 + verifier->count - instance];
}

/* cv= must be none at the first, pass above; the newest may close the chain. */
static const char *claim_refusal(struct arc_verifier *verifier, size_t instance,
                                 enum auth_result claim)
{
    if (instance == verifier->count && claim == AUTH_FAIL) {
        verifier->is_closed = true;
        return "the chain failed before";
    }
    return claim == (instance == 1 ? AUTH_NONE : AUTH_PASS) ? NULL : "cv= is wrong";
}

static const char *read_seals(struct arc_verifier *verifier, const struct arc_fields *fields)
{
    for (size_t instance = verifier->count; instance >= 1; instance--) {
        const struct arc_set *set = &fields->sets[instance - 1];
        enum auth_result claim = AUTH_NONE;
        const char *why =
            arc_signature_read_seal(set->seal.value, verifier->unix_seconds, verifier->arena,
                                    seal_of(verifier, instance), &claim);
        /* A chain closed by a seal that is wrong in other ways is closed all the same. */
        const char *claim_why = claim_refusal(verifier, instance, claim);

        if (claim_why != NULL && (why == NULL || verifier->is_closed)) {
            return claim_why;
        }
        if (why != NULL) {
            return why;
        }
        verifier->results[1 + verifier->count - instance] =
            arena_copy(verifier->arena, set->results_text);
    }
    return NULL;
}

/* Everything else of the header, as if the signature were not there yet. */
static void add_signed_fields(struct strbuf *out, const struct arc_verifier *verifier,
                              struct bytes header, const struct header_field *signature)
{
    size_t above = (size_t)(signature->whole.data - header.data);
    struct strbuf others;

    strbuf_init(&others, header.len);
    strbuf_add(&others, bytes_first(header, above));
    strbuf_add(&others, bytes_skip(header, above + signature->whole.len));
    canonical_header_add(out, verifier->scope.header_form, strbuf_bytes(&others),
                         verifier->scope.names);
    strbuf_clear(&others);
}

static const char *read_message(struct arc_verifier *verifier, struct bytes header,
                                const struct arc_fields *fields)
{
    const struct header_field *field = &fields->sets[verifier->count - 1].signature;
    struct arc_signature *signature = &verifier->signatures[0];
    struct strbuf text;
    const char *why = arc_signature_read_message(field->value, verifier->unix_seconds,
                                                 verifier->arena, signature, &verifier->scope);

    if (why != NULL) {
        return why;
    }
    strbuf_init(&text, CANONICAL_LIMIT);
    add_signed_fields(&text, verifier, header, field);
    canonical_signature_add(&text, verifier->scope.header_form, field);
    why = text.overflowed ? "header too long" : NULL;
    canonical_digest(strbuf_bytes(&text), signature->digest);
    strbuf_clear(&text);
    return why;
}

static void digest_add(EVP_MD_CTX *context, struct strbuf *text)
{
    int done = EVP_DigestUpdate(context, strbuf_text(text), text->len);

    assert(done == 1 && !text->overflowed);
    (void)done;
    strbuf_reset(text);
}

/* The digest of what was added so far; more may follow. */
static void digest_read(EVP_MD_CTX *context, EVP_MD_CTX *copy, unsigned char *digest)
{
    int done =
        EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, digest, NULL) == 1;

    assert(done);
    (void)done;
}

/* Each seal signs all sets up to its own, itself last and without its b= (RFC 8617 §5.1.1): what
 * it shares with the one before is hashed once. */
static void digest_seals(struct arc_verifier *verifier, const struct arc_fields *fields)
{
    EVP_MD_CTX *all = EVP_MD_CTX_new(), *upto = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
    struct strbuf text;
    int done = all != NULL && upto != NULL && copy != NULL &&
               EVP_DigestInit_ex(all, EVP_sha256(), NULL) == 1;

    assert(done);
    strbuf_init(&text, CANONICAL_LIMIT);
    for (size_t instance = 1; instance <= verifier->count; instance++) {
        const struct arc_set *set = &fields->sets[instance - 1];

        canonical_field_add(&text, CANONICAL_RELAXED, &set->results);
        canonical_field_add(&text, CANONICAL_RELAXED, &set->signature);
        digest_add(all, &text);
        done = EVP_MD_CTX_copy_ex(upto, all);
        assert(done == 1);
        canonical_signature_add(&text, CANONICAL_RELAXED, &set->seal);
        digest_add(upto, &text);
        digest_read(upto, copy, seal_of(verifier, instance)->digest);
        canonical_field_add(&text, CANONICAL_RELAXED, &set->seal);
        digest_add(all, &text);
    }
    (void)done;
    strbuf_clear(&text);
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(upto);
    EVP_MD_CTX_free(all);
}

static bool is_asked_before(const struct arc_verifier *verifier, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (bytes_equal(verifier->signatures[i].key_name,
                        verifier->signatures[index].key_name)) {
            return true;
        }
    }
    return false;
}

/* All or none: nobody is asked for a chain that has too many. */
static const char *want_keys(const struct arc_verifier *verifier, struct dns_facts *facts)
{
    struct bytes names[ARC_KEY_LIMIT];
    size_t count = 0;

    for (size_t i = 0; i < verifier->count + 1; i++) {
        if (is_asked_before(verifier, i)) {
            continue;
        }
        if (count == ARC_KEY_LIMIT) {
            return "too many different keys";
        }
        names[count++] = verifier->signatures[i].key_name;
    }
    for (size_t i = 0; i < count; i++) {
        (void)dns_facts_get(facts, names[i], DNS_TYPE_TXT);
    }
    return NULL;
}

static const char *read_chain(struct arc_verifier *verifier, struct bytes header,
                              const struct arc_fields *fields, struct dns_facts *facts)
{
    const char *why;

    verifier->signatures =
        arena_alloc(verifier->arena, (fields->count + 1) * sizeof *verifier->signatures);
    verifier->results =
        arena_alloc(verifier->arena, (fields->count + 1) * sizeof *verifier->results);
    why = read_seals(verifier, fields);
    if (why == NULL) {
        why = read_message(verifier, header, fields);
    }
    if (why == NULL) {
        why = want_keys(verifier, facts);
    }
    if (why == NULL) {
        digest_seals(verifier, fields);
    }
    return why;
}

void arc_verifier_header(struct arc_verifier *verifier, struct bytes header,
                         struct dns_facts *facts)
{
    struct arc_fields fields;
    const char *why = arc_fields_gather(header, &fields);
    const char *refusal;

    assert(verifier->arena == NULL);
    if (why == NULL && fields.count == 0) {
        return;
    }
    verifier->newest = fields.highest;
    verifier->count = fields.count;
    refusal = dkim_header_refusal(header);
    why = refusal == NULL ? why : refusal;
    if (why == NULL) {
        verifier->arena = arena_new();
        why = read_chain(verifier, header, &fields, facts);
    }
    if (why != NULL) {
        settle(verifier, AUTH_FAIL, why);
        return;
    }
    verifier->is_settled = false;
    verifier->body = body_hash_new(verifier->scope.body_form);
}

/* ---- body and end ------------------------------------------------------------------------ */

bool arc_verifier_needs_body(const struct arc_verifier *verifier)
{
    return verifier->body != NULL;
}

void arc_verifier_body(struct arc_verifier *verifier, struct bytes octets)
{
    if (verifier->body != NULL) {
        body_hash_add(verifier->body, octets);
    }
}

static void judge_body(struct arc_verifier *verifier)
{
    unsigned char digest[BODY_HASH_OCTETS];

    if (verifier->body == NULL) {
        return;
    }
    body_hash_finish(verifier->body, digest);
    body_hash_free(&verifier->body);
    if (memcmp(digest, verifier->scope.body_hash, sizeof digest) != 0) {
        settle(verifier, AUTH_FAIL, "body hash did not verify");
    }
}

/* NULL: it verifies. */
static const char *verify(struct arc_verifier *verifier, struct arc_signature *signature,
                          const struct dns_answer *answer)
{
    struct verification_key *key;
    const char *why;

    if (answer->status != DNS_OK || answer->count == 0) {
        return "key not found";
    }
    if (answer->count != 1) {
        return "not one key record";
    }
    key = verification_key_read(answer->records[0].text, signature->algorithm, verifier->keys,
                                &why);
    if (key == NULL) {
        return why;
    }
    signature->is_verified =
        verification_key_verify(key, signature->digest, signature->signature);
    verification_key_free(&key);
    if (signature->is_verified) {
        return NULL;
    }
    return signature == &verifier->signatures[0] ? "message signature did not verify"
                                                 : "a seal did not verify";
}

/* One that does not verify ends it, whatever the others wait for. */
static enum auth_status judge_signatures(struct arc_verifier *verifier, struct dns_facts *facts)
{
    bool is_waiting = false, is_lost = false;

    for (size_t i = 0; i < verifier->count + 1; i++) {
        struct arc_signature *signature = &verifier->signatures[i];
        const struct dns_answer *answer;
        const char *why;

        if (signature->is_verified) {
            continue;
        }
        answer = dns_facts_get(facts, signature->key_name, DNS_TYPE_TXT);
        if (answer == NULL) {
            is_waiting = true;
        } else if (answer->status == DNS_TEMPFAIL) {
            is_lost = true;
        } else if ((why = verify(verifier, signature, answer)) != NULL) {
            settle(verifier, AUTH_FAIL, why);
            return AUTH_DONE;
        }
    }
    if (is_waiting) {
        return AUTH_NEEDS_DNS;
    }
    settle(verifier, is_lost ? AUTH_TEMPERROR : AUTH_PASS,
           is_lost ? "no answer for a key" : NULL);
    return AUTH_DONE;
}

/* What they say is only of use when the chain passes, and long: while keys are waited for this is done
 * again and again. */
static void write_sealers(const struct arc_verifier *verifier, struct arena *arena,
                          struct arc_verdict *verdict)
{
    bool has_passed = verdict->result == AUTH_PASS;

    verdict->sealer_count = verifier->count;
    verdict->sealers = arena_alloc(arena, verifier->count * sizeof *verdict->sealers);
    for (size_t instance = 1; instance <= verifier->count; instance++) {
        const struct arc_signature *seal = seal_of(verifier, instance);
        size_t index = (size_t)(seal - verifier->signatures);

        verdict->sealers[instance - 1] = (struct arc_sealer){
            .instance = (unsigned)instance,
            .domain = arena_copy(arena, seal->domain),
            .selector = arena_copy(arena, seal->selector),
            .results = has_passed ? arena_copy(arena, verifier->results[index]) : BYTES("")};
    }
}

enum auth_status arc_verifier_finish(struct arc_verifier *verifier, struct dns_facts *facts,
                                     struct arena *arena, struct arc_verdict *verdict)
{
    enum auth_status status = AUTH_DONE;

    judge_body(verifier);
    if (!verifier->is_settled) {
        status = judge_signatures(verifier, facts);
    }
    *verdict = (struct arc_verdict){.result = verifier->result,
                                    .why = verifier->why,
                                    .newest = verifier->newest,
                                    .is_closed = verifier->is_closed};
    if (status == AUTH_NEEDS_DNS) {
        verdict->result = AUTH_TEMPERROR;
        verdict->why = "no answer for a key";
    }
    if (verdict->result == AUTH_PASS || verdict->result == AUTH_TEMPERROR) {
        write_sealers(verifier, arena, verdict);
    }
    return status;
}
