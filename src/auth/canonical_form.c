#include "auth/canonical_form.h"

#include "base/memory.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Fetched once: EVP_sha256() would look it up, under a lock, for every hash. */
static const EVP_MD *sha256(void)
{
    static _Atomic(EVP_MD *) fetched;
    EVP_MD *method = atomic_load_explicit(&fetched, memory_order_acquire);

    if (method == NULL) {
        EVP_MD *first = NULL;

        method = EVP_MD_fetch(NULL, "SHA256", NULL);
        assert(method != NULL);
        if (!atomic_compare_exchange_strong(&fetched, &first, method)) {
            EVP_MD_free(method);
            method = first;
        }
    }
    return method;
}

void canonical_digest(struct bytes text, unsigned char digest[BODY_HASH_OCTETS])
{
    int done =
        EVP_Digest(text.len == 0 ? "" : text.data, text.len, digest, NULL, sha256(), NULL);

    assert(done == 1);
    (void)done;
}

/* --- header --- */

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

static struct bytes without_line_end(struct bytes text)
{
    if (text.len >= 2 && text.data[text.len - 2] == '\r' && text.data[text.len - 1] == '\n') {
        text.len -= 2;
    }
    return text;
}

/* Octets of blanks and CRLF at the start. */
static size_t fold_length(struct bytes text)
{
    size_t at = 0;

    while (at < text.len) {
        if (is_blank(text.data[at])) {
            at++;
        } else if (at + 1 < text.len && text.data[at] == '\r' && text.data[at + 1] == '\n') {
            at += 2;
        } else {
            break;
        }
    }
    return at;
}

static size_t word_length(struct bytes text)
{
    size_t at = 0;

    while (at < text.len && !is_blank(text.data[at]) &&
           (text.data[at] != '\r' || at + 1 == text.len || text.data[at + 1] != '\n')) {
        at++;
    }
    return at;
}

/* The words of the text, one space between them; *has_words says whether one stands before it. */
static void add_words(struct strbuf *out, struct bytes text, bool *has_words)
{
    while (text.len != 0) {
        size_t fold = fold_length(text);
        size_t word = word_length(bytes_skip(text, fold));

        if (word != 0) {
            if (fold != 0 && *has_words) {
                strbuf_add_char(out, ' ');
            }
            strbuf_add(out, bytes_between(text, fold, fold + word));
            *has_words = true;
        }
        text = bytes_skip(text, fold + word);
    }
}

static void add_relaxed_name(struct strbuf *out, struct bytes name)
{
    size_t start = out->len;

    strbuf_add(out, name);
    for (size_t i = start; i < out->len; i++) {
        out->data[i] = (char)ascii_lower((unsigned char)out->data[i]);
    }
    strbuf_add_char(out, ':');
}

void canonical_field_add(struct strbuf *out, enum canonical_form form,
                         const struct header_field *field)
{
    bool has_words = false;

    switch (form) {
    case CANONICAL_SIMPLE:
        strbuf_add(out, without_line_end(field->whole));
        break;
    case CANONICAL_RELAXED:
        add_relaxed_name(out, field->name);
        add_words(out, field->value, &has_words);
        break;
    }
    strbuf_add_text(out, "\r\n");
}

/* Where in a tag list the value of b= stands, with the white space around it; empty when it has
 * none. Not by tag_list: a list that is none must not be signed differently. */
static struct bytes signature_value(struct bytes list)
{
    struct bytes rest = list;

    while (rest.len != 0) {
        struct bytes value = bytes_cut(&rest, ';');
        size_t equals = bytes_find(value, '=');

        if (equals < value.len &&
            bytes_equal(bytes_trim(bytes_first(value, equals)), BYTES("b"))) {
            return bytes_skip(value, equals + 1);
        }
    }
    return bytes_skip(list, list.len);
}

void canonical_signature_add(struct strbuf *out, enum canonical_form form,
                             const struct header_field *field)
{
    struct bytes list = without_line_end(field->value);
    struct bytes removed = signature_value(list);
    struct bytes before = bytes_first(list, (size_t)(removed.data - list.data));
    struct bytes behind = bytes_skip(list, before.len + removed.len);
    bool has_words = false;

    switch (form) {
    case CANONICAL_SIMPLE:
        strbuf_add(out, bytes_first(field->whole, (size_t)(list.data - field->whole.data)));
        strbuf_add(out, before);
        strbuf_add(out, behind);
        break;
    case CANONICAL_RELAXED:
        add_relaxed_name(out, field->name);
        add_words(out, before, &has_words);
        add_words(out, behind, &has_words);
        break;
    }
}

/* --- the fields that h= names --- */

enum { NAME_CHAINS = 256 };

struct named_field {
    struct header_field field;
    struct named_field *above; /* the next of its chain, upward; NULL: none */
};

/* Names as they hash; who makes them collide gains a comparison a field and name, no more. */
static size_t chain_of(struct bytes name)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < name.len; i++) {
        sum = (sum ^ ascii_lower((unsigned char)name.data[i])) * 16777619u;
    }
    return (sum ^ sum >> 16) % NAME_CHAINS;
}

static size_t count_fields(struct bytes header)
{
    struct header_field field;
    size_t count = 0;

    while (header_field_next(&header, &field)) {
        count++;
    }
    return count;
}

void canonical_header_add(struct strbuf *out, enum canonical_form form, struct bytes header,
                          struct bytes names)
{
    struct named_field *chains[NAME_CHAINS] = {NULL};
    struct named_field *fields = memory_resize(NULL, count_fields(header) + 1, sizeof *fields);

    for (struct named_field *next = fields; header_field_next(&header, &next->field); next++) {
        size_t chain = chain_of(next->field.name);

        next->above = chains[chain];
        chains[chain] = next;
    }
    while (names.len != 0) {
        struct bytes name = bytes_trim(bytes_cut(&names, ':'));
        struct named_field **at = &chains[chain_of(name)];

        while (*at != NULL && !bytes_equal_nocase((*at)->field.name, name)) {
            at = &(*at)->above;
        }
        if (*at != NULL) {
            canonical_field_add(out, form, &(*at)->field);
            *at = (*at)->above; /* taken */
        }
    }
    free(fields);
}

/* --- body --- */

enum { BODY_PIECE = 4096, BODY_LARGE = 1024 };

struct body_hash {
    EVP_MD_CTX *context;
    enum canonical_form form;
    bool has_text;  /* an octet was hashed */
    bool has_blank; /* held back: white space */
    bool has_cr;    /* held back, behind the white space: is it a line end? */
    size_t lines;   /* held back, before both: line ends */
    size_t len;
    char piece[BODY_PIECE]; /* len octets that wait to be hashed with more */
};

struct body_hash *body_hash_new(enum canonical_form form)
{
    struct body_hash *hash = memory_alloc(sizeof *hash);
    int done;

    memset(hash, 0, offsetof(struct body_hash, piece));
    hash->form = form;
    hash->context = EVP_MD_CTX_new();
    assert(hash->context != NULL);
    done = EVP_DigestInit_ex2(hash->context, sha256(), NULL);
    assert(done == 1);
    (void)done;
    return hash;
}

void body_hash_free(struct body_hash **hash)
{
    if (*hash != NULL) {
        EVP_MD_CTX_free((*hash)->context);
        free(*hash);
        *hash = NULL;
    }
}

static void digest_now(struct body_hash *hash, struct bytes text)
{
    int done = EVP_DigestUpdate(hash->context, text.data, text.len);

    assert(done == 1);
    (void)done;
}

static void flush(struct body_hash *hash)
{
    digest_now(hash, bytes_of(hash->piece, hash->len));
    hash->len = 0;
}

static void emit(struct body_hash *hash, struct bytes text)
{
    if (text.len > BODY_PIECE - hash->len) {
        flush(hash);
    }
    if (text.len >= BODY_LARGE) {
        flush(hash);
        digest_now(hash, text);
    } else {
        memcpy(hash->piece + hash->len, text.data, text.len);
        hash->len += text.len;
    }
}

/* What was held back counts: text follows. */
static void emit_held(struct body_hash *hash)
{
    for (; hash->lines != 0; hash->lines--) {
        emit(hash, BYTES("\r\n"));
    }
    if (hash->has_blank) {
        emit(hash, BYTES(" "));
        hash->has_blank = false;
    }
    if (hash->has_cr) {
        emit(hash, BYTES("\r"));
        hash->has_cr = false;
    }
    hash->has_text = true;
}

enum { WORD = 8 };

/* The high bit of each octet of `word` that equals `octet`. */
static uint64_t octets_equal(uint64_t word, unsigned char octet)
{
    const uint64_t ones = UINT64_MAX / 255, low = ones * 127;
    uint64_t differs = word ^ ones * octet;

    return ~(((differs & low) + low) | differs | low);
}

/* How many octets at the start relaxed leaves as they are, as far as these octets alone tell: words
 * with one space between them. */
static size_t plain_length(struct bytes text)
{
    size_t at = 0;

    /* Eight at a time, each time beginning with the last one again, so that every pair of
     * neighbours stands in one word. */
    while (at + WORD <= text.len) {
        uint64_t word, spaces;

        memcpy(&word, text.data + at, WORD);
        spaces = octets_equal(word, ' ');
        if ((octets_equal(word, '\r') | octets_equal(word, '\t') | (spaces & spaces << 8)) !=
            0) {
            break;
        }
        at += WORD - 1;
    }
    while (at < text.len && text.data[at] != '\r' && text.data[at] != '\t' &&
           (text.data[at] != ' ' || at == 0 || text.data[at - 1] != ' ')) {
        at++;
    }
    return at != 0 && text.data[at - 1] == ' ' ? at - 1 : at;
}

static size_t text_length(enum canonical_form form, struct bytes text)
{
    switch (form) {
    case CANONICAL_SIMPLE:
        return bytes_find(text, '\r');
    case CANONICAL_RELAXED:
        return plain_length(text);
    }
    return 0;
}

static bool is_line_end(struct bytes text)
{
    return text.len >= 2 && text.data[0] == '\r' && text.data[1] == '\n';
}

/* Takes one octet that is held back, or behind one that is; true: it is done with. */
static bool take_held(struct body_hash *hash, char octet)
{
    if (hash->has_cr && octet == '\n') {
        hash->lines++;
        hash->has_cr = hash->has_blank = false; /* white space before a line end is dropped */
        return true;
    }
    if (hash->has_cr) {
        emit_held(hash); /* a CR that ends no line is text */
    }
    if (octet == '\r') {
        hash->has_cr = true;
        return true;
    }
    if (hash->form == CANONICAL_RELAXED && is_blank(octet)) {
        hash->has_blank = true;
        return true;
    }
    return false;
}

void body_hash_add(struct body_hash *hash, struct bytes octets)
{
    while (octets.len != 0) {
        size_t plain;

        if (is_line_end(octets) && !hash->has_cr) {
            hash->lines++;
            hash->has_blank = false;
            octets = bytes_skip(octets, 2);
            continue;
        }
        if (take_held(hash, octets.data[0])) {
            octets = bytes_skip(octets, 1);
            continue;
        }
        /* The first octet is text whatever stands behind it. */
        plain = text_length(hash->form, octets);
        emit_held(hash);
        emit(hash, bytes_first(octets, plain));
        octets = bytes_skip(octets, plain);
    }
}

void body_hash_finish(struct body_hash *hash, unsigned char digest[BODY_HASH_OCTETS])
{
    int done;

    hash->has_blank = hash->has_blank && hash->has_cr;
    if (hash->has_cr) {
        emit_held(hash);
    }
    if (hash->has_text || hash->form == CANONICAL_SIMPLE) {
        emit(hash, BYTES("\r\n"));
    }
    flush(hash);
    done = EVP_DigestFinal_ex(hash->context, digest, NULL);
    assert(done == 1);
    (void)done;
}
