#include "dkim_signature.h"

#include "base/encoding.h"

#include <assert.h>
#include <stdio.h>

enum { CLOCK_DRIFT_SECONDS = 300, SIGNATURE_START_OCTETS = 8 };

void dkim_signature_settle(struct dkim_signature *signature, enum auth_result result,
                           const char *why)
{
    signature->is_settled = true;
    signature->result = result;
    signature->why = why;
}

static struct bytes tag_value(const struct dkim_signature *signature, bool of_key,
                              const char *tag)
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

static struct bytes domain_of(const struct dkim_signature *signature)
{
    const char *text = (const char *)dkim_sig_getdomain(signature->info);
    struct bytes domain = bytes_from_text(text);

    return is_host_name(domain) ? domain : BYTES("");
}

static struct bytes selector_of(const struct dkim_signature *signature)
{
    const char *text = (const char *)dkim_sig_getselector(signature->info);
    struct bytes selector = bytes_from_text(text);

    return is_host_name(selector) ? selector : BYTES("");
}

/* False: there can be no such name. */
static bool write_key_name(struct dkim_signature *signature)
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
static bool settle_by_time(struct dkim_signature *signature, int64_t unix_seconds)
{
    struct bytes expires = tag_value(signature, false, "x");
    struct bytes signed_at = tag_value(signature, false, "t");
    uint64_t now = unix_seconds < 0 ? 0 : (uint64_t)unix_seconds;
    uint64_t seconds;

    if (expires.data != NULL) {
        if (!bytes_to_u64(expires, &seconds)) {
            dkim_signature_settle(signature, AUTH_PERMERROR, "bad x=");
        } else if (now > CLOCK_DRIFT_SECONDS && now - CLOCK_DRIFT_SECONDS >= seconds) {
            dkim_signature_settle(signature, AUTH_FAIL, "signature expired");
        }
    }
    if (signed_at.data != NULL && !signature->is_settled) {
        if (!bytes_to_u64(signed_at, &seconds)) {
            dkim_signature_settle(signature, AUTH_PERMERROR, "bad t=");
        } else if (seconds > now + CLOCK_DRIFT_SECONDS) {
            dkim_signature_settle(signature, AUTH_PERMERROR, "signed in the future");
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

static dkim_alg_t algorithm_of(const struct dkim_signature *signature)
{
    dkim_alg_t algorithm = DKIM_SIGN_UNKNOWN;

    dkim_sig_getsignalg(signature->info, &algorithm);
    return algorithm;
}

void dkim_signature_take(struct dkim_signature *signature, DKIM_SIGINFO *info,
                         int64_t unix_seconds)
{
    int error = dkim_sig_geterror(info);

    signature->info = info;
    if (error != DKIM_SIGERROR_UNKNOWN) {
        dkim_signature_settle(signature, result_of_error(error), text_of_error(error));
    } else if (algorithm_of(signature) == DKIM_SIGN_RSASHA1) {
        dkim_signature_settle(signature, AUTH_PERMERROR,
                              "rsa-sha1 is not accepted"); /* RFC 8301 §3.1 */
    } else if (!write_key_name(signature)) {
        dkim_signature_settle(signature, AUTH_PERMERROR, "selector or domain is no host name");
    } else {
        settle_by_time(signature, unix_seconds);
    }
    if (signature->is_settled) {
        dkim_sig_ignore(info); /* no key will be asked for */
    }
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

static DKIM_CBSTAT refuse_key(struct dkim_signature *signature, int error, const char *why,
                              DKIM_CBSTAT status)
{
    /* Without an error of its own the library would call the signature forged. */
    dkim_sig_seterror(signature->info, error);
    signature->why = why;
    return status;
}

/* Never DKIM_CBSTAT_DEFAULT: the library would ask DNS itself, waiting, or abort. */
DKIM_CBSTAT dkim_signature_answer(struct dkim_signature *signature, unsigned char *text,
                                  size_t capacity)
{
    const struct dns_record *record;

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

bool dkim_signature_has_length(const struct dkim_signature *signature)
{
    return tag_value(signature, false, "l").data != NULL;
}

enum canonical_form dkim_signature_body_form(const struct dkim_signature *signature)
{
    dkim_canon_t header_form, body_form;

    return dkim_sig_getcanons(signature->info, &header_form, &body_form) == DKIM_STAT_OK &&
                   body_form == DKIM_CANON_RELAXED
               ? CANONICAL_RELAXED
               : CANONICAL_SIMPLE;
}

/* True: l= is there and does not sign all of the body. */
static bool leaves_text_unsigned(const struct dkim_signature *signature,
                                 const struct dkim_body_length *body)
{
    struct bytes text = tag_value(signature, false, "l");
    uint64_t length, whole = 0;

    if (text.data == NULL) {
        return false;
    }
    switch (dkim_signature_body_form(signature)) {
    case CANONICAL_SIMPLE:
        whole = dkim_body_length_simple(body);
        break;
    case CANONICAL_RELAXED:
        whole = dkim_body_length_relaxed(body);
        break;
    }
    return !bytes_to_u64(text, &length) || length != whole;
}

/* The library does not compare the key's k= with the signature's a=. */
static bool is_key_of_algorithm(const struct dkim_signature *signature)
{
    struct bytes type = tag_value(signature, true, "k");

    return bytes_equal_nocase(type, algorithm_of(signature) == DKIM_SIGN_ED25519SHA256
                                        ? BYTES("ed25519")
                                        : BYTES("rsa"));
}

/* A modulus of 1,024 bits stands in DER as 02 81 81 00 and an octet with its first bit set, near
 * the start of p=. */
static bool has_short_modulus(const struct dkim_signature *signature)
{
    enum {
        LOOK_AT = 44
    }; /* characters: 33 octets, where the modulus has begun at the latest */
    struct bytes key = tag_value(signature, true, "p");
    char start[LOOK_AT];
    size_t len = 0, at;
    struct strbuf octets;
    bool is_short;

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

/* The library looks at the size only where its own body hash matched, and counts in whole octets:
 * 1,017 bits are 1,024 to it. */
static bool is_key_too_short(const struct dkim_signature *signature)
{
    unsigned int bits = 0;

    if (algorithm_of(signature) == DKIM_SIGN_ED25519SHA256) {
        return false;
    }
    return dkim_sig_getkeysize(signature->info, &bits) != DKIM_STAT_OK ||
           bits < DKIM_MIN_KEY_BITS ||
           (bits == DKIM_MIN_KEY_BITS && has_short_modulus(signature));
}

struct findings {
    int error;
    unsigned int flags;
    int body_hash;
};

/* When the body was hashed here, the library saw none. What it found of bh= is then about an empty
 * body, and so is a bad signature whose header verified: DKIM_SIGFLAG_PASSED says that much and
 * nothing else. Both are replaced by what the body's own hash says. */
static struct findings read_findings(const struct dkim_signature *signature,
                                     const struct dkim_body *body)
{
    struct findings findings = {.error = dkim_sig_geterror(signature->info),
                                .flags = dkim_sig_getflags(signature->info),
                                .body_hash = dkim_sig_getbh(signature->info)};
    bool has_verified =
        (findings.flags & DKIM_SIGFLAG_PASSED) != 0 &&
        (findings.error == DKIM_SIGERROR_OK ||
         (findings.error == DKIM_SIGERROR_BADSIG && findings.body_hash == DKIM_SIGBH_MISMATCH));

    if (body->is_hashed_here && has_verified) {
        const struct strbuf *ours = &body->hash_texts[dkim_signature_body_form(signature)];
        bool is_same = ours->len != 0 &&
                       bytes_equal(tag_value(signature, false, "bh"), strbuf_bytes(ours));

        findings.error = is_same ? DKIM_SIGERROR_OK : DKIM_SIGERROR_BADSIG;
        findings.body_hash = is_same ? DKIM_SIGBH_MATCH : DKIM_SIGBH_MISMATCH;
    }
    return findings;
}

/* Of a signature the library has no error for. */
static bool is_verified(const struct findings *findings)
{
    return (findings->flags & DKIM_SIGFLAG_PASSED) != 0 &&
           (findings->flags & DKIM_SIGFLAG_IGNORE) == 0 &&
           findings->body_hash == DKIM_SIGBH_MATCH;
}

/* Signature by signature: what dkim_eom returns is about one of them only, and the library's own
 * DKIM_SIG_CHECK holds for some that broke a rule. */
void dkim_signature_judge(struct dkim_signature *signature, DKIM_STAT eom_status,
                          const struct dkim_body *body)
{
    struct findings findings = read_findings(signature, body);
    int error = findings.error;

    if (error == DKIM_SIGERROR_UNKNOWN && eom_status == DKIM_STAT_SYNTAX) {
        dkim_signature_settle(signature, AUTH_PERMERROR, "message cannot be canonicalised");
    } else if (error != DKIM_SIGERROR_OK && signature->why != NULL) {
        dkim_signature_settle(signature, result_of_error(error), signature->why);
    } else if (error == DKIM_SIGERROR_BADSIG ||
               (error == DKIM_SIGERROR_OK && !is_verified(&findings))) {
        dkim_signature_settle(signature, AUTH_FAIL,
                              findings.body_hash == DKIM_SIGBH_MISMATCH
                                  ? "body hash did not verify"
                                  : "signature did not verify");
    } else if (error != DKIM_SIGERROR_OK) {
        dkim_signature_settle(signature, result_of_error(error), text_of_error(error));
    } else if (!is_key_of_algorithm(signature)) {
        dkim_signature_settle(signature, AUTH_PERMERROR, "key of another type");
    } else if (is_key_too_short(signature)) {
        dkim_signature_settle(signature, AUTH_POLICY, text_of_error(DKIM_SIGERROR_KEYTOOSMALL));
    } else if (leaves_text_unsigned(signature, &body->length)) {
        dkim_signature_settle(signature, AUTH_POLICY, "l= leaves text unsigned");
    } else {
        dkim_signature_settle(signature, AUTH_PASS, NULL);
    }
}

static struct bytes copy_signature_start(const struct dkim_signature *signature,
                                         struct arena *arena)
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

static const char *algorithm_text(const struct dkim_signature *signature)
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

void dkim_signature_write(const struct dkim_signature *signature, struct arena *arena,
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
    if (verdict->result == AUTH_PASS) {
        verdict->signed_names = arena_copy(arena, tag_value(signature, false, "h"));
    }
}
