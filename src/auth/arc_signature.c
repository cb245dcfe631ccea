#include "arc_signature.h"

#include "arc_fields.h"
#include "auth/idn_domain.h"

#include "base/encoding.h"

enum { CLOCK_DRIFT_SECONDS = 300 };

static bool list_names(struct bytes list, struct bytes name)
{
    while (list.len != 0) {
        if (bytes_equal_nocase(bytes_trim(bytes_cut(&list, ':')), name)) {
            return true;
        }
    }
    return false;
}

static bool read_algorithm(const struct tag_list *tags, enum signing_algorithm *algorithm)
{
    struct bytes name = tag_list_value(tags, "a");

    if (bytes_equal_nocase(name, BYTES("rsa-sha256"))) {
        *algorithm = SIGNING_RSA_SHA256;
        return true;
    }
    *algorithm = SIGNING_ED25519_SHA256;
    return bytes_equal_nocase(name, BYTES("ed25519-sha256"));
}

/* A name as it is asked for. The grammar has no last dot (RFC 6376 §3.5). */
static bool read_name(struct bytes value, struct arena *arena, struct bytes *name)
{
    return !bytes_ends_with_nocase(value, BYTES(".")) &&
           idn_domain_to_ascii(value, arena, name);
}

/* False: too long. What does not fit is left out, and the rest is somebody else's name. */
static bool make_key_name(struct arc_signature *signature, struct arena *arena)
{
    struct strbuf name;
    bool fits;

    strbuf_init(&name, DNS_NAME_LIMIT);
    strbuf_add(&name, signature->selector);
    strbuf_add_text(&name, "._domainkey.");
    strbuf_add(&name, signature->domain);
    signature->key_name = arena_copy(arena, strbuf_bytes(&name));
    fits = !name.overflowed;
    strbuf_clear(&name);
    return fits;
}

/* False: no base64, or nothing at all. */
static bool read_base64(struct bytes value, struct strbuf *octets)
{
    struct strbuf text;
    bool is_good;

    strbuf_init(&text, ARC_FIELD_OCTETS);
    tag_value_add_packed(&text, value);
    is_good = encoding_base64_decode(strbuf_bytes(&text), octets) && octets->len != 0;
    strbuf_clear(&text);
    return is_good;
}

static bool read_signature(const struct tag_list *tags, struct arena *arena,
                           struct arc_signature *signature)
{
    struct strbuf octets;
    bool is_good;

    strbuf_init(&octets, ARC_FIELD_OCTETS);
    is_good = read_base64(tag_list_value(tags, "b"), &octets);
    signature->signature = arena_copy(arena, strbuf_bytes(&octets));
    strbuf_clear(&octets);
    return is_good;
}

/* True when the tag is not there, too; then *number stays. */
static bool read_number(const struct tag_list *tags, const char *name, uint64_t *number)
{
    const struct tag *tag = tag_list_find(tags, name);

    return tag == NULL || bytes_to_u64(tag->value, number);
}

/* t= and, where it means something, x=. */
static const char *times_refusal(const struct tag_list *tags, bool has_expiry, int64_t now)
{
    uint64_t made = 0, expires = UINT64_MAX;
    uint64_t latest = (uint64_t)now + CLOCK_DRIFT_SECONDS;

    if (!read_number(tags, "t", &made) || (has_expiry && !read_number(tags, "x", &expires))) {
        return "a time cannot be read";
    }
    if (made > latest) {
        return "signature from the future";
    }
    if (expires <= made) {
        return "signature expires before it was made";
    }
    if (expires < UINT64_MAX - CLOCK_DRIFT_SECONDS &&
        expires + CLOCK_DRIFT_SECONDS < (uint64_t)now) {
        return "signature expired";
    }
    return NULL;
}

/* What both kinds have. */
static const char *read_common(const struct tag_list *tags, struct arena *arena,
                               struct arc_signature *signature)
{
    if (!read_algorithm(tags, &signature->algorithm)) {
        return "unknown algorithm";
    }
    if (!read_name(tag_list_value(tags, "d"), arena, &signature->domain) ||
        !read_name(tag_list_value(tags, "s"), arena, &signature->selector) ||
        !make_key_name(signature, arena)) {
        return "selector or domain is no host name";
    }
    return read_signature(tags, arena, signature) ? NULL : "signature cannot be read";
}

static bool read_form(struct bytes name, enum canonical_form *form)
{
    *form = bytes_equal_nocase(name, BYTES("relaxed")) ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
    return *form == CANONICAL_RELAXED || bytes_equal_nocase(name, BYTES("simple"));
}

/* "header/body"; either is simple when it is not named (RFC 6376 §3.5). */
static bool read_forms(const struct tag_list *tags, struct arc_message_scope *scope)
{
    const struct tag *tag = tag_list_find(tags, "c");
    struct bytes header = tag == NULL ? BYTES("simple") : tag->value;
    size_t slash = bytes_find(header, '/');
    struct bytes body = slash == header.len ? BYTES("simple") : bytes_skip(header, slash + 1);

    return read_form(bytes_first(header, slash), &scope->header_form) &&
           read_form(body, &scope->body_form);
}

static bool read_body_hash(const struct tag_list *tags, struct arc_message_scope *scope)
{
    struct strbuf octets;
    bool is_good;

    strbuf_init(&octets, ARC_FIELD_OCTETS);
    is_good =
        read_base64(tag_list_value(tags, "bh"), &octets) && octets.len == BODY_HASH_OCTETS;
    if (is_good) {
        memcpy(scope->body_hash, octets.data, BODY_HASH_OCTETS);
    }
    strbuf_clear(&octets);
    return is_good;
}

/* l= need not be obeyed: a signature only passes here when bh= is the hash of all of the body. */
static const char *read_scope(const struct tag_list *tags, struct arc_message_scope *scope)
{
    const struct tag *query = tag_list_find(tags, "q");
    uint64_t length;

    if (!read_forms(tags, scope)) {
        return "unknown canonicalization";
    }
    if (!read_body_hash(tags, scope)) {
        return "body hash cannot be read";
    }
    if (!read_number(tags, "l", &length)) {
        return "l= cannot be read";
    }
    if (query != NULL && !list_names(query->value, BYTES("dns/txt"))) {
        return "unknown way to the key";
    }
    scope->names = tag_list_value(tags, "h");
    if (!list_names(scope->names, BYTES("From"))) {
        return "From is not signed";
    }
    if (list_names(scope->names, ARC_SEAL_NAME)) {
        return "ARC-Seal is signed by a message signature";
    }
    return NULL;
}

const char *arc_signature_read_message(struct bytes value, int64_t unix_seconds,
                                       struct arena *arena, struct arc_signature *signature,
                                       struct arc_message_scope *scope)
{
    struct tag_list tags;
    const char *why;

    if (!tag_list_parse(value, &tags)) {
        return "an ARC field cannot be read";
    }
    why = read_common(&tags, arena, signature);
    if (why == NULL) {
        why = read_scope(&tags, scope);
    }
    return why != NULL ? why : times_refusal(&tags, true, unix_seconds);
}

static bool read_claim(const struct tag_list *tags, enum auth_result *claim)
{
    static const enum auth_result claims[] = {AUTH_NONE, AUTH_PASS, AUTH_FAIL};
    struct bytes word = tag_list_value(tags, "cv");

    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        if (bytes_equal_nocase(word, bytes_from_text(auth_result_text(claims[i])))) {
            *claim = claims[i];
            return true;
        }
    }
    return false;
}

const char *arc_signature_read_seal(struct bytes value, int64_t unix_seconds,
                                    struct arena *arena, struct arc_signature *signature,
                                    enum auth_result *claim)
{
    struct tag_list tags;
    const char *why;

    if (!tag_list_parse(value, &tags)) {
        return "an ARC field cannot be read";
    }
    if (!read_claim(&tags, claim)) {
        return "cv= cannot be read";
    }
    if (tag_list_find(&tags, "h") != NULL) {
        return "a seal has h="; /* RFC 8617 §4.1.3: then it must be taken for invalid */
    }
    why = read_common(&tags, arena, signature);
    return why != NULL ? why : times_refusal(&tags, false, unix_seconds);
}
