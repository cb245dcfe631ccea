#include "auth/message_seal.h"

#include "mail/header_block.h"

#include "arc_fields.h"
#include "base/encoding.h"

#include <string.h>

enum {
    LINE_COLUMNS = 78,
    FIELD_LIMIT = 64 * 1024,  /* of one field of ours */
    TEXT_LIMIT = 1024 * 1024, /* of all that one signature covers; a header is smaller */
    REPEAT_LIMIT = 8,         /* of fields of one name: the lowest are signed */
    NAMES_LIMIT = 3000,       /* of h=: libopendkim reads 4095 octets of it */
};

struct signed_name {
    const char *name;
    bool is_oversigned; /* once more than it is there: none can be added (RFC 6376 §8.15) */
};

/* RFC 6376 §5.4.1, and what decides how the body is shown. */
static const struct signed_name signed_names[] = {
    {"From", true},
    {"Subject", true},
    {"To", true},
    {"Date", true},
    {"Message-ID", true},
    {"Cc", false},
    {"Reply-To", false},
    {"Sender", false},
    {"MIME-Version", false},
    {"Content-Type", false},
    {"Content-Transfer-Encoding", false},
    {"Content-Disposition", false},
    {"Content-ID", false},
    {"Content-Description", false},
    {"Content-Language", false},
    {"In-Reply-To", false},
    {"References", false},
    {"Resent-From", false},
    {"Resent-To", false},
    {"Resent-Cc", false},
    {"Resent-Date", false},
    {"Resent-Message-ID", false},
    {"List-Id", false},
    {"List-Help", false},
    {"List-Unsubscribe", false},
    {"List-Unsubscribe-Post", false},
    {"List-Subscribe", false},
    {"List-Post", false},
    {"List-Owner", false},
    {"List-Archive", false},
    {"DKIM-Signature", false}, /* by ARC only */
};

enum {
    NAME_COUNT = sizeof signed_names / sizeof signed_names[0],
    NAME_COUNT_DKIM = NAME_COUNT - 1,
};

/* --- a field that folds --- */

static void start_field(struct strbuf *field, struct bytes name)
{
    strbuf_init(field, FIELD_LIMIT);
    strbuf_add(field, name);
    strbuf_add_char(field, ':');
}

static size_t column(const struct strbuf *field)
{
    size_t line = bytes_find_last(strbuf_bytes(field), '\n');

    return line == field->len ? field->len : field->len - line - 1;
}

/* A part that stands in one line, behind a space or a fold. */
static void add_part(struct strbuf *field, struct bytes part)
{
    strbuf_add_text(field, column(field) + 1 + part.len > LINE_COLUMNS ? "\r\n\t" : " ");
    strbuf_add(field, part);
}

static void add_tag(struct strbuf *field, const char *name, struct bytes value)
{
    struct strbuf tag;

    strbuf_init(&tag, FIELD_LIMIT);
    strbuf_add_text(&tag, name);
    strbuf_add_char(&tag, '=');
    strbuf_add(&tag, value);
    strbuf_add_char(&tag, ';');
    add_part(field, strbuf_bytes(&tag));
    strbuf_clear(&tag);
}

static void add_number_tag(struct strbuf *field, const char *name, uint64_t number)
{
    struct strbuf digits;

    strbuf_init(&digits, 32);
    strbuf_add_u64(&digits, number);
    add_tag(field, name, strbuf_bytes(&digits));
    strbuf_clear(&digits);
}

/* h=, folded behind colons. */
static void add_names_tag(struct strbuf *field, struct bytes names)
{
    bool is_first = true;

    while (names.len != 0) {
        size_t end = bytes_find(names, ':');
        struct bytes name = bytes_first(names, end + 1);

        if (is_first) {
            struct strbuf start;

            strbuf_init(&start, FIELD_LIMIT);
            strbuf_add_text(&start, "h=");
            strbuf_add(&start, name);
            add_part(field, strbuf_bytes(&start));
            strbuf_clear(&start);
            is_first = false;
        } else {
            if (column(field) + name.len + 1 > LINE_COLUMNS) {
                strbuf_add_text(field, "\r\n\t");
            }
            strbuf_add(field, name);
        }
        names = bytes_skip(names, end + 1);
    }
    strbuf_add_char(field, ';');
}

/* Text that may be cut anywhere. */
static void add_cut(struct strbuf *field, struct bytes text)
{
    while (text.len != 0) {
        size_t at = column(field);
        size_t room = at < LINE_COLUMNS ? LINE_COLUMNS - at : 0;

        strbuf_add(field, bytes_first(text, room));
        text = bytes_skip(text, room);
        if (text.len != 0) {
            strbuf_add_text(field, "\r\n\t");
        }
    }
}

/* --- what is signed --- */

static size_t name_index(struct bytes name)
{
    size_t i = 0;

    while (i < NAME_COUNT && !bytes_equal_nocase(name, bytes_from_text(signed_names[i].name))) {
        i++;
    }
    return i;
}

static void add_name(struct strbuf *names, const char *name)
{
    if (names->len != 0) {
        strbuf_add_char(names, ':');
    }
    strbuf_add_text(names, name);
}

/* The value of h= for this header, by the first `count` of signed_names. */
static void list_names(struct strbuf *names, struct bytes header, size_t count)
{
    size_t seen[NAME_COUNT + 1] = {0};
    struct header_field field;

    while (header_field_next(&header, &field)) {
        seen[name_index(field.name)]++;
    }
    for (size_t i = 0; i < count; i++) {
        size_t times = seen[i] < REPEAT_LIMIT ? seen[i] : REPEAT_LIMIT;

        times += signed_names[i].is_oversigned;
        for (; times != 0 && names->len < NAMES_LIMIT; times--) {
            add_name(names, signed_names[i].name);
        }
    }
}

/* The field as it stands in `text`, which ends with it. */
static struct header_field field_of(const struct strbuf *text)
{
    struct bytes rest = strbuf_bytes(text);
    struct header_field field = {0};

    (void)header_field_next(&rest, &field);
    return field;
}

/* Ends a field with b=, a signature over `covered` and the field itself. */
static bool sign_field(struct strbuf *field, struct strbuf *covered,
                       const struct signing_key *key)
{
    unsigned char digest[BODY_HASH_OCTETS];
    struct header_field itself;
    struct strbuf signature;
    bool is_signed;

    strbuf_add_text(field, "\r\n\tb=");
    itself = field_of(field);
    canonical_signature_add(covered, CANONICAL_RELAXED, &itself);
    canonical_digest(strbuf_bytes(covered), digest);
    strbuf_init(&signature, FIELD_LIMIT);
    is_signed =
        !covered->overflowed && !field->overflowed && signing_key_sign(key, digest, &signature);
    add_cut(field, strbuf_bytes(&signature));
    strbuf_add_text(field, "\r\n");
    strbuf_clear(&signature);
    return is_signed;
}

static struct bytes algorithm_of(const struct seal_key *key)
{
    return bytes_from_text(signing_algorithm_text(signing_key_algorithm(key->key)));
}

/* DKIM-Signature, or ARC-Message-Signature when there is an instance. */
static bool add_message_signature(struct strbuf *field, const struct seal *seal,
                                  const struct seal_key *key, const struct seal_input *input,
                                  unsigned instance)
{
    struct bytes header = input->header;
    struct strbuf names, covered, body;
    bool is_signed;

    strbuf_init(&names, FIELD_LIMIT);
    strbuf_init(&covered, TEXT_LIMIT);
    strbuf_init(&body, FIELD_LIMIT);
    list_names(&names, header, instance == 0 ? NAME_COUNT_DKIM : NAME_COUNT);
    encoding_base64_add(&body, bytes_of(input->body_hash, sizeof input->body_hash));
    if (instance == 0) {
        add_number_tag(field, "v", 1);
    } else {
        add_number_tag(field, "i", instance);
    }
    add_tag(field, "a", algorithm_of(key));
    add_tag(field, "c", BYTES("relaxed/relaxed"));
    add_tag(field, "d", seal->domain);
    add_tag(field, "s", key->selector);
    add_number_tag(field, "t", (uint64_t)input->unix_seconds);
    add_names_tag(field, strbuf_bytes(&names));
    add_tag(field, "bh", strbuf_bytes(&body));
    canonical_header_add(&covered, CANONICAL_RELAXED, header, strbuf_bytes(&names));
    is_signed = sign_field(field, &covered, key->key);
    strbuf_clear(&names);
    strbuf_clear(&covered);
    strbuf_clear(&body);
    return is_signed;
}

bool message_seal_add_dkim(struct strbuf *out, const struct seal *seal,
                           const struct seal_input *input)
{
    bool is_signed = true;

    for (size_t i = 0; i < seal->key_count && is_signed; i++) {
        struct strbuf field;

        start_field(&field, BYTES("DKIM-Signature"));
        is_signed = add_message_signature(&field, seal, &seal->keys[i], input, 0);
        if (is_signed) {
            strbuf_add(out, strbuf_bytes(&field));
        }
        strbuf_clear(&field);
    }
    return is_signed;
}

bool message_seal_add_dkim_whole(struct strbuf *out, const struct seal *seal,
                                 struct bytes message, int64_t unix_seconds)
{
    struct seal_input input = {.unix_seconds = unix_seconds};
    struct body_hash *hash = body_hash_new(CANONICAL_RELAXED);

    input.header = bytes_first(message, header_block_length(message));
    body_hash_add(hash, bytes_skip(message, input.header.len + 2)); /* the empty line */
    body_hash_finish(hash, input.body_hash);
    body_hash_free(&hash);
    return message_seal_add_dkim(out, seal, &input);
}

/* --- ARC --- */

/* What is to be added to a chain. */
struct next_set {
    unsigned instance; /* 0: nothing */
    const char *verdict;
    size_t covered; /* earlier sets that the seal covers */
};

static struct next_set next_set(const struct arc_verdict *chain,
                                const struct arc_fields *fields)
{
    unsigned newest = chain->newest > fields->highest ? chain->newest : fields->highest;
    struct next_set next = {0, NULL, 0};

    if (chain->is_closed || newest >= ARC_SET_LIMIT || arc_fields_are_closed(fields)) {
        return next;
    }
    switch (chain->result) {
    case AUTH_NONE:
        next.verdict = "none";
        break;
    case AUTH_PASS:
        next.verdict = "pass";
        next.covered = fields->count;
        break;
    case AUTH_FAIL:
        next.verdict = "fail"; /* our own set only (RFC 8617 §5.1.2) */
        break;
    case AUTH_TEMPERROR:
    case AUTH_PERMERROR:
    case AUTH_NEUTRAL:
    case AUTH_SOFTFAIL:
    case AUTH_POLICY:
        return next;
    }
    /* The header is another than the one the verdict is about: nothing true can be said of it. */
    if (chain->result != AUTH_FAIL && fields->count != newest) {
        return next;
    }
    next.instance = newest + 1;
    return next;
}

static void add_results(struct strbuf *field, unsigned instance, struct bytes results)
{
    struct bytes text = bytes_trim(results);
    struct bytes line = bytes_first(text, bytes_find(text, '\r'));

    add_number_tag(field, "i", instance);
    add_part(field, line);
    strbuf_add(field, bytes_skip(text, line.len));
    strbuf_add_text(field, "\r\n");
}

static void cover(struct strbuf *covered, struct header_field field)
{
    canonical_field_add(covered, CANONICAL_RELAXED, &field);
}

static bool add_seal(struct strbuf *field, const struct seal *seal, const struct seal_key *key,
                     int64_t unix_seconds, const struct next_set *next, struct strbuf *covered)
{
    add_number_tag(field, "i", next->instance);
    add_tag(field, "a", algorithm_of(key));
    add_number_tag(field, "t", (uint64_t)unix_seconds);
    add_tag(field, "cv", bytes_from_text(next->verdict));
    add_tag(field, "d", seal->domain);
    add_tag(field, "s", key->selector);
    return sign_field(field, covered, key->key);
}

static bool add_set(struct strbuf *out, const struct seal *seal, const struct seal_key *key,
                    const struct seal_input *input, const struct next_set *next,
                    const struct arc_fields *fields)
{
    struct strbuf results, signature, own_seal, covered;
    bool is_signed;

    start_field(&results, ARC_RESULTS_NAME);
    start_field(&signature, ARC_SIGNATURE_NAME);
    start_field(&own_seal, ARC_SEAL_NAME);
    strbuf_init(&covered, ARC_SET_LIMIT * 3 * ARC_FIELD_OCTETS + TEXT_LIMIT);
    add_results(&results, next->instance, input->results);
    is_signed = !results.overflowed &&
                add_message_signature(&signature, seal, key, input, next->instance);
    if (is_signed) {
        for (size_t i = 0; i < next->covered; i++) {
            cover(&covered, fields->sets[i].results);
            cover(&covered, fields->sets[i].signature);
            cover(&covered, fields->sets[i].seal);
        }
        cover(&covered, field_of(&results));
        cover(&covered, field_of(&signature));
        is_signed = add_seal(&own_seal, seal, key, input->unix_seconds, next, &covered);
    }
    if (is_signed) {
        strbuf_add(out, strbuf_bytes(&own_seal));
        strbuf_add(out, strbuf_bytes(&signature));
        strbuf_add(out, strbuf_bytes(&results));
    }
    strbuf_clear(&results);
    strbuf_clear(&signature);
    strbuf_clear(&own_seal);
    strbuf_clear(&covered);
    return is_signed;
}

/* Most of the world verifies RSA only. NULL: there is none. */
static const struct seal_key *first_rsa_key(const struct seal *seal)
{
    for (size_t i = 0; i < seal->key_count; i++) {
        if (signing_key_algorithm(seal->keys[i].key) == SIGNING_RSA_SHA256) {
            return &seal->keys[i];
        }
    }
    return NULL;
}

bool message_seal_add_arc(struct strbuf *out, const struct seal *seal,
                          const struct seal_input *input)
{
    const struct seal_key *key = first_rsa_key(seal);
    struct arc_fields fields;
    struct next_set next;

    if (key == NULL) {
        return true;
    }
    (void)arc_fields_gather(input->header, &fields);
    next = next_set(input->chain, &fields);
    return next.instance == 0 || add_set(out, seal, key, input, &next, &fields);
}
