#include "auth/dkim_verify.h"

#include "auth/dkim_body_length.h"
#include "auth/dkim_header_guard.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include <opendkim/dkim.h>

/*
 * A message's way, in the order it happens:
 *
 *   1 dkim_verifier_header  the guard's choice of fields goes to the library ...
 *   2 take_signature        ... whose signatures are looked at: those that cannot pass are settled
 *   3 want_key              ... the others need a key
 *   4 dkim_verifier_body    hashed as it comes, when a signature is open
 *   5 dkim_verifier_finish  all answers there: the library verifies ...
 *   6 answer_key            ... and asks for each key here
 *   7 judge                 its findings become a result
 */

enum {
    CLOCK_DRIFT_SECONDS = 300,
    /* The library compares t= and x= with a clock of its own; this much is let through there, so
     * that the time we were given decides. Not more: it subtracts without looking for overflow,
     * and t= below this reads as the far future. */
    LIBRARY_DRIFT_SECONDS = 10 * 365 * 86400,
    MIN_KEY_BITS = 1024,
    SIGNATURE_START_OCTETS = 8,
};

struct dkim_library {
    DKIM_LIB *handle;
};

struct signature {
    DKIM_SIGINFO *info; /* NULL: the library has nothing on it */
    bool is_settled;    /* result and why are final, whatever key and body say */
    enum auth_result result;
    const char *why;
    char key_name[DNS_NAME_LIMIT + 1];
    const struct dns_answer *key; /* only while the library verifies */
};

struct dkim_verifier {
    struct dkim_library *library;
    int64_t unix_seconds;
    DKIM *handle; /* NULL: nothing to verify */
    struct signature signatures[DKIM_SIGNATURE_LIMIT];
    size_t count;
    size_t unchecked;
    bool is_open; /* a signature may still pass */
    bool is_finished;
    bool counts_length; /* an open signature has l= */
    struct dkim_body_length length;
    bool has_body;
    char tail[2]; /* the last octets of the body */
};

/* libopendkim 2.11 writes one pointer behind an array when h= names every field and one more
 * (dkim_canon_selecthdrs): the room it takes has to be there. */
enum { ALLOCATION_PADDING = 16 };

static void *allocate_padded(void *closure, size_t size)
{
    (void)closure;
    return memory_alloc(size + ALLOCATION_PADDING);
}

static void free_padded(void *closure, void *memory)
{
    (void)closure;
    free(memory);
}

static struct signature *find_signature(struct dkim_verifier *verifier,
                                        const DKIM_SIGINFO *info)
{
    for (size_t i = 0; i < verifier->count; i++) {
        if (verifier->signatures[i].info == info) {
            return &verifier->signatures[i];
        }
    }
    return NULL;
}

/* The record's text when the answer has exactly one that can be one. */
static const struct dns_record *key_record(const struct dns_answer *answer)
{
    const struct dns_record *found = NULL;

    for (size_t i = 0; i < answer->count; i++) {
        if (answer->records[i].type != DNS_TYPE_TXT) {
            continue;
        }
        if (found != NULL) {
            return NULL; /* RFC 6376 §3.6.2.2: undefined, so refused */
        }
        found = &answer->records[i];
    }
    return found;
}

static DKIM_CBSTAT refuse_key(struct signature *signature, int error, const char *why,
                              DKIM_CBSTAT status)
{
    /* Without an error of its own the library would call the signature forged. */
    dkim_sig_seterror(signature->info, error);
    signature->why = why;
    return status;
}

/* Never DKIM_CBSTAT_DEFAULT: the library would ask DNS itself, waiting, or abort. */
static DKIM_CBSTAT answer_key(DKIM *handle, DKIM_SIGINFO *info, unsigned char *text,
                              size_t capacity)
{
    struct signature *signature = find_signature(dkim_get_user_context(handle), info);
    const struct dns_record *record;

    assert(signature != NULL);
    if (signature->key == NULL || signature->key->status == DNS_TEMPFAIL) {
        return refuse_key(signature, DKIM_SIGERROR_KEYFAIL, "no answer for the key",
                          DKIM_CBSTAT_TRYAGAIN);
    }
    if (signature->key->status != DNS_OK || signature->key->count == 0) {
        return DKIM_CBSTAT_NOTFOUND;
    }
    record = key_record(signature->key);
    if (record == NULL) {
        return refuse_key(signature, DKIM_SIGERROR_DNSSYNTAX, "not one key record",
                          DKIM_CBSTAT_ERROR);
    }
    if (record->text.len > DKIM_KEY_RECORD_LIMIT || record->text.len >= capacity) {
        return refuse_key(signature, DKIM_SIGERROR_DNSSYNTAX, "key record too long",
                          DKIM_CBSTAT_ERROR);
    }
    if (record->text.len == 0 || memchr(record->text.data, '\0', record->text.len) != NULL) {
        return refuse_key(signature, DKIM_SIGERROR_DNSSYNTAX, "bad key record",
                          DKIM_CBSTAT_ERROR);
    }
    memcpy(text, record->text.data, record->text.len);
    text[record->text.len] = '\0';
    return DKIM_CBSTAT_CONTINUE;
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
    unsigned int min_key_bits = MIN_KEY_BITS;
    uint64_t drift = LIBRARY_DRIFT_SECONDS;

    library->handle = dkim_init(allocate_padded, free_padded);
    assert(library->handle != NULL);
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
    free(*library);
    *library = NULL;
}

struct dkim_verifier *dkim_verifier_new(struct dkim_library *library, int64_t unix_seconds)
{
    struct dkim_verifier *verifier = memory_zero(sizeof *verifier);

    verifier->library = library;
    verifier->unix_seconds = unix_seconds;
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
    free(*verifier);
    *verifier = NULL;
}

static void settle(struct signature *signature, enum auth_result result, const char *why)
{
    signature->is_settled = true;
    signature->result = result;
    signature->why = why;
}

static void settle_all(struct dkim_verifier *verifier, enum auth_result result, const char *why)
{
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            settle(&verifier->signatures[i], result, why);
        }
    }
}

static struct bytes tag_value(const struct signature *signature, bool of_key, const char *tag)
{
    unsigned char name[4];

    assert(strlen(tag) < sizeof name);
    memcpy(name, tag, strlen(tag) + 1);
    return bytes_from_text((const char *)dkim_sig_gettagvalue(signature->info, of_key, name));
}

static bool is_label_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) || octet == '-' || octet == '_';
}

/* Labels of letters, digits, "-" and "_": nothing else is asked for or written anywhere. */
static bool is_host_name(struct bytes name)
{
    size_t label = 0;

    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_label_octet(name.data[i]) || ++label > 63) {
            return false;
        }
    }
    return label != 0 && name.len <= DNS_NAME_LIMIT;
}

static struct bytes domain_of(const struct signature *signature)
{
    const char *text = (const char *)dkim_sig_getdomain(signature->info);
    struct bytes domain = bytes_from_text(text);

    return is_host_name(domain) ? domain : BYTES("");
}

static struct bytes selector_of(const struct signature *signature)
{
    const char *text = (const char *)dkim_sig_getselector(signature->info);
    struct bytes selector = bytes_from_text(text);

    return is_host_name(selector) ? selector : BYTES("");
}

/* False: there can be no such name. */
static bool write_key_name(struct signature *signature)
{
    struct bytes selector = selector_of(signature);
    struct bytes domain = domain_of(signature);
    int length;

    if (selector.len == 0 || domain.len == 0) {
        return false;
    }
    length =
        snprintf(signature->key_name, sizeof signature->key_name,
                 BYTES_FMT "._domainkey." BYTES_FMT, BYTES_ARG(selector), BYTES_ARG(domain));
    return length > 0 && (size_t)length < sizeof signature->key_name;
}

/* x= and t= against the time we were given. True: settled. */
static bool settle_by_time(struct signature *signature, int64_t unix_seconds)
{
    struct bytes expires = tag_value(signature, false, "x");
    struct bytes signed_at = tag_value(signature, false, "t");
    uint64_t now = unix_seconds < 0 ? 0 : (uint64_t)unix_seconds;
    uint64_t seconds;

    if (expires.data != NULL) {
        if (!bytes_to_u64(expires, &seconds)) {
            settle(signature, AUTH_PERMERROR, "bad x=");
        } else if (now > CLOCK_DRIFT_SECONDS && now - CLOCK_DRIFT_SECONDS >= seconds) {
            settle(signature, AUTH_FAIL, "signature expired");
        }
    }
    if (signed_at.data != NULL && !signature->is_settled) {
        if (!bytes_to_u64(signed_at, &seconds)) {
            settle(signature, AUTH_PERMERROR, "bad t=");
        } else if (seconds > now + CLOCK_DRIFT_SECONDS) {
            settle(signature, AUTH_PERMERROR, "signed in the future");
        }
    }
    return signature->is_settled;
}

static enum auth_result result_of_error(int error)
{
    switch (error) {
    case DKIM_SIGERROR_BADSIG:
    case DKIM_SIGERROR_EXPIRED:
        return AUTH_FAIL;
    case DKIM_SIGERROR_KEYFAIL:
    case DKIM_SIGERROR_UNKNOWN:
        return AUTH_TEMPERROR;
    case DKIM_SIGERROR_KEYTOOSMALL:
    case DKIM_SIGERROR_MBSFAILED:
        return AUTH_POLICY;
    default: /* not an enum of ours */
        return AUTH_PERMERROR;
    }
}

static const char *text_of_error(int error)
{
    const char *text = error == DKIM_SIGERROR_UNKNOWN ? NULL : dkim_sig_geterrorstr(error);

    return text == NULL ? "not verified" : text;
}

static dkim_alg_t algorithm_of(const struct signature *signature)
{
    dkim_alg_t algorithm = DKIM_SIGN_UNKNOWN;

    dkim_sig_getsignalg(signature->info, &algorithm);
    return algorithm;
}

/* What the library made of a signature; settled when no key can make it pass. */
static void take_signature(struct signature *signature, DKIM_SIGINFO *info,
                           int64_t unix_seconds)
{
    int error = dkim_sig_geterror(info);

    signature->info = info;
    if (error != DKIM_SIGERROR_UNKNOWN) {
        settle(signature, result_of_error(error), text_of_error(error));
    } else if (algorithm_of(signature) == DKIM_SIGN_RSASHA1) {
        settle(signature, AUTH_PERMERROR, "rsa-sha1 is not accepted"); /* RFC 8301 §3.1 */
    } else if (!write_key_name(signature)) {
        settle(signature, AUTH_PERMERROR, "selector or domain is no host name");
    } else {
        settle_by_time(signature, unix_seconds);
    }
    if (signature->is_settled) {
        dkim_sig_ignore(info); /* no key will be asked for */
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
            take_signature(&verifier->signatures[i], list[next++], verifier->unix_seconds);
        }
    }
}

static void want_key(struct dkim_verifier *verifier, struct signature *signature,
                     struct dns_facts *facts)
{
    verifier->is_open = true;
    verifier->counts_length |= tag_value(signature, false, "l").data != NULL;
    (void)dns_facts_get(facts, bytes_from_text(signature->key_name), DNS_TYPE_TXT);
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
}

static void feed_field(struct dkim_verifier *verifier, struct dkim_header_guard *guard,
                       const struct header_field *field)
{
    struct bytes text = dkim_header_guard_text(field);
    enum dkim_field kind = dkim_header_guard_next(guard, field);
    struct signature *signature;

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
        settle(signature, AUTH_NEUTRAL, "signature field too long");
    } else if (kind == DKIM_FIELD_TOO_COSTLY) {
        settle(signature, AUTH_NEUTRAL, "too many ways to hash the body");
    } else if (dkim_header(verifier->handle, (u_char *)text.data, text.len) != DKIM_STAT_OK) {
        settle(signature, AUTH_PERMERROR, "signature cannot be read");
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
        settle(&verifier->signatures[0], AUTH_PERMERROR, refusal);
        return;
    }
    verifier->handle =
        dkim_verify(verifier->library->handle, (const unsigned char *)"", NULL, &status);
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
    (void)dkim_body(verifier->handle, (u_char *)octets.data, octets.len);
    if (verifier->counts_length) {
        dkim_body_length_add(&verifier->length, octets);
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

/* True: l= is there and does not sign all of the body. */
static bool leaves_text_unsigned(const struct dkim_verifier *verifier,
                                 const struct signature *signature)
{
    struct bytes text = tag_value(signature, false, "l");
    dkim_canon_t header_form, body_form;
    uint64_t length;

    if (text.data == NULL) {
        return false;
    }
    if (!bytes_to_u64(text, &length) ||
        dkim_sig_getcanons(signature->info, &header_form, &body_form) != DKIM_STAT_OK) {
        return true;
    }
    return length != (body_form == DKIM_CANON_RELAXED
                          ? dkim_body_length_relaxed(&verifier->length)
                          : dkim_body_length_simple(&verifier->length));
}

/* The library does not compare the key's k= with the signature's a=. */
static bool is_key_of_algorithm(const struct signature *signature)
{
    struct bytes type = tag_value(signature, true, "k");

    return bytes_equal_nocase(type, algorithm_of(signature) == DKIM_SIGN_ED25519SHA256
                                        ? BYTES("ed25519")
                                        : BYTES("rsa"));
}

/* The library counts a key's size in whole octets: 1,017 bits are 1,024 to it. A modulus of 1,024
 * stands in DER as 02 81 81 00 and an octet with its first bit set, near the start of p=. */
static bool has_short_modulus(const struct signature *signature)
{
    enum {
        LOOK_AT = 44
    }; /* characters: 33 octets, where the modulus has begun at the latest */
    struct bytes key = tag_value(signature, true, "p");
    unsigned int bits = 0;
    char start[LOOK_AT];
    size_t len = 0, at;
    struct strbuf octets;
    bool is_short;

    if (dkim_sig_getkeysize(signature->info, &bits) != DKIM_STAT_OK || bits != MIN_KEY_BITS) {
        return false;
    }
    for (size_t i = 0; i < key.len && len < LOOK_AT; i++) {
        if ((unsigned char)key.data[i] > ' ') {
            start[len++] = key.data[i];
        }
    }
    strbuf_init(&octets, LOOK_AT);
    (void)encoding_base64_decode(bytes_of(start, len), &octets);
    at = bytes_find_part(strbuf_bytes(&octets), BYTES("\x02\x81\x81\x00")) + 4;
    is_short = at >= octets.len || (unsigned char)octets.data[at] < 0x80;
    strbuf_clear(&octets);
    return is_short;
}

/* Signature by signature: what dkim_eom returns is about one of them only, and the library's own
 * DKIM_SIG_CHECK holds for some that broke a rule. */
static void judge(const struct dkim_verifier *verifier, struct signature *signature,
                  DKIM_STAT eom_status)
{
    int error = dkim_sig_geterror(signature->info);
    unsigned int flags = dkim_sig_getflags(signature->info);
    int body_hash = dkim_sig_getbh(signature->info);

    if (error == DKIM_SIGERROR_UNKNOWN && eom_status == DKIM_STAT_SYNTAX) {
        settle(signature, AUTH_PERMERROR, "message cannot be canonicalised");
    } else if (error != DKIM_SIGERROR_OK && signature->why != NULL) {
        settle(signature, result_of_error(error), signature->why);
    } else if (error == DKIM_SIGERROR_BADSIG ||
               (error == DKIM_SIGERROR_OK &&
                ((flags & DKIM_SIGFLAG_PASSED) == 0 || (flags & DKIM_SIGFLAG_IGNORE) != 0 ||
                 body_hash != DKIM_SIGBH_MATCH))) {
        settle(signature, AUTH_FAIL,
               body_hash == DKIM_SIGBH_MISMATCH ? "body hash did not verify"
                                                : "signature did not verify");
    } else if (error != DKIM_SIGERROR_OK) {
        settle(signature, result_of_error(error), text_of_error(error));
    } else if (!is_key_of_algorithm(signature)) {
        settle(signature, AUTH_PERMERROR, "key of another type");
    } else if (has_short_modulus(signature)) {
        settle(signature, AUTH_POLICY, text_of_error(DKIM_SIGERROR_KEYTOOSMALL));
    } else if (leaves_text_unsigned(verifier, signature)) {
        settle(signature, AUTH_POLICY, "l= leaves text unsigned");
    } else {
        settle(signature, AUTH_PASS, NULL);
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
    status = dkim_eom(verifier->handle, NULL);
    for (size_t i = 0; i < verifier->count; i++) {
        if (!verifier->signatures[i].is_settled) {
            judge(verifier, &verifier->signatures[i], status);
        }
        verifier->signatures[i].key = NULL;
    }
}

/* False: an answer is missing. */
static bool take_keys(struct dkim_verifier *verifier, struct dns_facts *facts)
{
    bool has_all = true;

    for (size_t i = 0; i < verifier->count; i++) {
        struct signature *signature = &verifier->signatures[i];

        if (!signature->is_settled) {
            signature->key =
                dns_facts_get(facts, bytes_from_text(signature->key_name), DNS_TYPE_TXT);
            has_all &= signature->key != NULL;
        }
    }
    return has_all;
}

static struct bytes copy_signature_start(const struct signature *signature, struct arena *arena)
{
    struct bytes value = tag_value(signature, false, "b");
    char *start = arena_alloc(arena, SIGNATURE_START_OCTETS);
    size_t len = 0;

    for (size_t i = 0; i < value.len && len < SIGNATURE_START_OCTETS; i++) {
        char octet = value.data[i];

        if (ascii_is_alnum((unsigned char)octet) || octet == '+' || octet == '/' ||
            octet == '=') {
            start[len++] = octet;
        }
    }
    return bytes_of(start, len);
}

static const char *algorithm_text(const struct signature *signature)
{
    if (dkim_sig_geterror(signature->info) > DKIM_SIGERROR_OK &&
        signature->key_name[0] == '\0') {
        return NULL; /* refused at once: it reads as rsa-sha1 whatever it is */
    }
    switch (algorithm_of(signature)) {
    case DKIM_SIGN_RSASHA1:
        return "rsa-sha1";
    case DKIM_SIGN_RSASHA256:
        return "rsa-sha256";
    case DKIM_SIGN_ED25519SHA256:
        return "ed25519-sha256";
    default: /* not an enum of ours */
        return NULL;
    }
}

static void write_verdict(const struct signature *signature, struct arena *arena,
                          struct dkim_verdict *verdict)
{
    verdict->result = signature->is_settled ? signature->result : AUTH_TEMPERROR;
    verdict->why = signature->is_settled ? signature->why : "no answer for the key";
    if (signature->info == NULL) {
        return;
    }
    verdict->domain = arena_copy(arena, domain_of(signature));
    verdict->selector = arena_copy(arena, selector_of(signature));
    verdict->signature_start = copy_signature_start(signature, arena);
    verdict->algorithm = algorithm_text(signature);
    verdict->is_testing = (dkim_sig_getflags(signature->info) & DKIM_SIGFLAG_TESTKEY) != 0;
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
        write_verdict(&verifier->signatures[i], arena, &verdicts->verdicts[i]);
    }
    return has_all ? AUTH_DONE : AUTH_NEEDS_DNS;
}
