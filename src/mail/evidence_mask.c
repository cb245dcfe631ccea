#include "mail/evidence_mask.h"

#include "base/strbuf.h"
#include "mail/hidden_address.h"
#include "mail/reply_address.h"
#include "mail/srs_address.h"

#define HIDDEN_ADDRESS "hidden-address"
#define HIDDEN_MESSAGE_ID "hidden-message-id"

enum { TEXT_LIMIT = 1024 * 1024 * 1024, LOCAL_LEAST = 3, HASH_LEAST = 6, OWN_LIMIT = 64 };

/* ---- octets as they may be written ------------------------------------------------------- */

static int digit_of(struct bytes text, size_t at)
{
    unsigned char octet = at < text.len ? ascii_lower((unsigned char)text.data[at]) : 0;

    return ascii_is_digit(octet)          ? octet - '0'
           : octet >= 'a' && octet <= 'f' ? octet - 'a' + 10
                                          : -1;
}

static int two_digits(struct bytes text, size_t at)
{
    int high = digit_of(text, at), low = digit_of(text, at + 1);

    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* "&#64;" or "&#x40;" at the start: its length, else 0. */
static size_t read_reference(struct bytes text, int *octet)
{
    bool is_hex = text.len > 2 && ascii_lower((unsigned char)text.data[2]) == 'x';
    size_t at = is_hex ? 3 : 2;

    *octet = 0;
    for (; at < text.len && at < 8 && digit_of(text, at) >= 0; at++) {
        *octet = *octet * (is_hex ? 16 : 10) + digit_of(text, at);
    }
    return at < text.len && text.data[at] == ';' && *octet < 256 ? at + 1 : 0;
}

/* The octet that is written in another way at the start of the text, and how long that is; 0: none is. */
static size_t read_written(struct bytes text, int *octet)
{
    if (text.len < 2) {
        return 0;
    }
    if (text.data[0] == '%' || text.data[0] == '=') {
        *octet = two_digits(text, 1);
        return *octet >= 0 ? 3 : 0;
    }
    if (text.data[0] == '\\') {
        *octet = text.data[1] == 'x' ? two_digits(text, 2) : -1;
        if (*octet >= 0) {
            return 4;
        }
        *octet = (unsigned char)text.data[1];
        return 2;
    }
    return text.data[0] == '&' && text.data[1] == '#' ? read_reference(text, octet) : 0;
}

static bool is_octet(unsigned char octet, char wanted)
{
    return ascii_lower(octet) == (unsigned char)wanted;
}

/* How much of the text, from its start, is that secret; 0: it does not begin with it. */
static size_t match(struct bytes text, const struct evidence_secret *secret)
{
    bool is_address = secret->kind == EVIDENCE_TARGET || secret->kind == EVIDENCE_RECIPIENT;
    size_t mark = is_address ? bytes_find_last(secret->text, '@') : secret->text.len;
    size_t at = 0, found = 0;

    while (found < secret->text.len) {
        struct bytes rest = bytes_skip(text, at);
        char wanted = secret->text.data[found];
        int octet = -1;
        size_t written;

        if (rest.len == 0) {
            return 0;
        }
        written = read_written(rest, &octet);
        if (is_octet((unsigned char)rest.data[0], wanted) ||
            (found == mark && strchr("=%+:", rest.data[0]) != NULL &&
             !(written > 0 && octet == '@'))) {
            at++;
            found++;
        } else if (written > 0 && is_octet((unsigned char)octet, wanted)) {
            at += written;
            found++;
        } else if (found > 0 && rest.data[0] == '"') {
            at++;
        } else if (found > 0 && rest.len > 1 && rest.data[0] == '\\' && rest.data[1] == '"') {
            at += 2;
        } else {
            return 0;
        }
    }
    return at;
}

/* ---- masking ----------------------------------------------------------------------------- */

static bool is_word_octet(struct bytes text, size_t at)
{
    unsigned char octet = (unsigned char)text.data[at];

    return ascii_is_alnum(octet) || octet >= 0x80;
}

/* A local part is a word of its own, or it would be found in half of all words; a short one only where it is quoted. */
static bool is_word(struct bytes text, size_t at, size_t len)
{
    size_t end = at + len;
    char before = at > 0 ? text.data[at - 1] : ' ',
         behind = end < text.len ? text.data[end] : ' ';

    if (len < LOCAL_LEAST) {
        return (before == '<' && behind == '>') || (before == '"' && behind == '"') ||
               (before == '\'' && behind == '\'');
    }
    return (at == 0 || !is_word_octet(text, at - 1)) &&
           (end >= text.len || !is_word_octet(text, end));
}

static const struct evidence_secret *find_at(const struct evidence_mask *mask,
                                             struct bytes text, size_t at, bool of_others,
                                             size_t *len)
{
    for (size_t i = 0; i < mask->count; i++) {
        const struct evidence_secret *secret = &mask->secrets[i];

        if (secret->kind == EVIDENCE_LOCAL && !of_others) {
            continue;
        }
        *len = match(bytes_skip(text, at), secret);
        if (*len > 0 && (secret->kind != EVIDENCE_LOCAL || is_word(text, at, *len))) {
            return secret;
        }
    }
    return NULL;
}

struct bytes evidence_mask_text(const struct evidence_mask *mask, struct bytes text,
                                bool of_others, struct arena *arena)
{
    struct strbuf out;
    struct bytes masked;
    size_t plain = 0, len = 0;

    strbuf_init(&out, TEXT_LIMIT);
    for (size_t at = 0; at < text.len;) {
        const struct evidence_secret *secret = find_at(mask, text, at, of_others, &len);

        if (secret == NULL) {
            at++;
            continue;
        }
        strbuf_add(&out, bytes_between(text, plain, at));
        strbuf_add(&out, secret->mask);
        at += len;
        plain = at;
    }
    if (plain == 0) {
        return text;
    }
    strbuf_add(&out, bytes_skip(text, plain));
    masked = arena_copy(arena, strbuf_bytes(&out));
    strbuf_clear(&out);
    return masked;
}

static bool is_of_others(struct bytes name)
{
    return bytes_equal(name, BYTES("reply")) || bytes_equal(name, BYTES("said"));
}

/* The codes at the start of a reply hold nothing but numbers, and a local part may be one. */
static size_t codes_length(struct bytes text)
{
    size_t len = 0;

    while (len < text.len && (ascii_is_digit((unsigned char)text.data[len]) ||
                              memchr(". -", text.data[len], 3) != NULL)) {
        len++;
    }
    return len;
}

struct bytes evidence_mask_words(const struct evidence_mask *mask, struct bytes text,
                                 struct arena *arena)
{
    struct bytes shown = hidden_names_without(text);
    size_t codes = codes_length(shown);
    struct bytes rest = bytes_skip(shown, codes);
    struct bytes hidden = evidence_mask_text(mask, rest, true, arena);
    struct bytes end = shown.len < text.len ? BYTES(" [hidden]") : BYTES("");
    char *whole;

    if (hidden.data == rest.data && end.len == 0) {
        return text;
    }
    whole = arena_alloc(arena, codes + hidden.len + end.len + 1);
    memcpy(whole, text.data, codes);
    memcpy(whole + codes, hidden.data, hidden.len);
    memcpy(whole + codes + hidden.len, end.data, end.len);
    return bytes_of(whole, codes + hidden.len + end.len);
}

struct event_record evidence_mask_record(const struct evidence_mask *mask,
                                         const struct event_record *record, struct arena *arena)
{
    struct event_field *fields = arena_alloc(arena, (record->count + 1) * sizeof *fields);
    struct event_record masked = *record;

    for (size_t i = 0; i < record->count; i++) {
        struct event_field field = record->fields[i];

        fields[i].name = field.name;
        fields[i].value = is_of_others(field.name)
                              ? evidence_mask_words(mask, field.value, arena)
                              : evidence_mask_text(mask, field.value, false, arena);
    }
    masked.fields = fields;
    return masked;
}

/* ---- learning ---------------------------------------------------------------------------- */

struct lesson {
    struct evidence_mask *mask;
    const struct event_record *records;
    size_t count;
    struct arena *arena;
    struct bytes own[OWN_LIMIT]; /* names that are the sender's or ours: they stay */
    size_t own_count;
    struct bytes id; /* of the message, or empty */
};

static struct bytes domain_of(struct bytes address)
{
    return bytes_skip(address, bytes_find_last(address, '@') + 1);
}

static struct bytes local_of(struct bytes address)
{
    return bytes_first(address, bytes_find_last(address, '@'));
}

static bool is_signed(struct bytes address)
{
    return srs_is_srs(local_of(address)) || reply_address_is_reply(local_of(address));
}

static struct evidence_secret *find_secret(struct lesson *lesson, enum evidence_kind kind,
                                           struct bytes text)
{
    for (size_t i = 0; i < lesson->mask->count; i++) {
        struct evidence_secret *secret = &lesson->mask->secrets[i];

        if (secret->kind == kind && bytes_equal_nocase(secret->text, text)) {
            return secret;
        }
    }
    return NULL;
}

static void add_secret(struct lesson *lesson, enum evidence_kind kind, struct bytes text,
                       struct bytes written)
{
    struct evidence_mask *mask = lesson->mask;

    if (text.len == 0 || find_secret(lesson, kind, text) != NULL) {
        return;
    }
    if (mask->count == EVIDENCE_SECRETS) {
        mask->has_overflowed = true;
        return;
    }
    mask->secrets[mask->count++] = (struct evidence_secret){
        .kind = kind, .text = arena_copy_lower(lesson->arena, text), .mask = written};
}

/* The next number of its kind. */
static struct bytes number_mask(struct lesson *lesson, enum evidence_kind kind,
                                const char *before, struct bytes behind)
{
    struct strbuf text;
    struct bytes mask;

    strbuf_init(&text, 1024);
    strbuf_addf(&text, "%s-%zu" BYTES_FMT, before, evidence_mask_count(lesson->mask, kind) + 1,
                BYTES_ARG(behind));
    mask = arena_copy(lesson->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return mask;
}

static bool is_own(const struct lesson *lesson, struct bytes name)
{
    for (size_t i = 0; i < lesson->own_count; i++) {
        if (bytes_equal_nocase(lesson->own[i], name)) {
            return true;
        }
    }
    return false;
}

static void add_own(struct lesson *lesson, struct bytes name)
{
    if (name.len > 0 && lesson->own_count < OWN_LIMIT && !is_own(lesson, name)) {
        lesson->own[lesson->own_count++] = name;
    }
}

/* Does it come from where the message went: a bounce that came back? */
static bool is_from_there(const struct lesson *lesson, const struct event_record *record)
{
    struct bytes id = event_record_get(record, "id");

    return id.len > 0 && !bytes_equal(id, lesson->id);
}

/* Names anybody who has the message knows already. */
static void learn_own(struct lesson *lesson, const struct event_record *record)
{
    static const char *const NAMES[] = {"helo", "client", "via", "author", "origin"};

    add_own(lesson, domain_of(event_record_get(record, "sender")));
    add_own(lesson, domain_of(event_record_get(record, "orig_to")));
    if (is_from_there(lesson, record)) {
        return;
    }
    add_own(lesson, domain_of(event_record_get(record, "from")));
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        add_own(lesson, event_record_get(record, NAMES[i]));
    }
}

static void learn_recipient(struct lesson *lesson, struct bytes address)
{
    struct bytes domain = bytes_skip(address, bytes_find_last(address, '@'));

    if (address.len > 0 && !is_signed(address) &&
        !bytes_equal_nocase(address, lesson->mask->about)) {
        add_secret(lesson, EVIDENCE_RECIPIENT, address,
                   number_mask(lesson, EVIDENCE_RECIPIENT, "recipient", domain));
    }
}

static void learn_host(struct lesson *lesson, struct bytes host, struct bytes address)
{
    if (is_own(lesson, host) || is_own(lesson, address)) {
        return;
    }
    if (find_secret(lesson, EVIDENCE_RELAY, host) == NULL) {
        add_secret(lesson, EVIDENCE_RELAY, host,
                   number_mask(lesson, EVIDENCE_RELAY, "relay", BYTES(".invalid")));
    }
    add_secret(lesson, EVIDENCE_RELAY, address, BYTES(HIDDEN_ADDRESS));
}

/* "host[address]:port" */
static void learn_relay(struct lesson *lesson, struct bytes relay)
{
    struct bytes host = bytes_first(relay, bytes_find(relay, '['));
    struct bytes address = bytes_skip(relay, host.len + 1);

    address = bytes_first(address, bytes_find(address, ']'));
    if (address.len > 0) {
        learn_host(lesson, host, address);
    }
}

static struct bytes hide_domain(struct lesson *lesson, struct bytes domain)
{
    struct evidence_secret *known = find_secret(lesson, EVIDENCE_DOMAIN, domain);
    struct bytes mask;

    if (known != NULL) {
        return known->mask;
    }
    if (is_own(lesson, domain)) {
        return BYTES("hidden.invalid"); /* alone it stays where it stands */
    }
    mask = number_mask(lesson, EVIDENCE_DOMAIN, "hidden", BYTES(".invalid"));
    add_secret(lesson, EVIDENCE_DOMAIN, domain, mask);
    return mask;
}

/* The client of a bounce that came back, and what that calls itself. */
static void learn_returned(struct lesson *lesson, const struct event_record *record)
{
    struct bytes message_id = event_record_get(record, "message-id");
    struct bytes author = event_record_get(record, "author");

    learn_host(lesson, event_record_get(record, "helo"), event_record_get(record, "client"));
    if (author.len > 0) {
        hide_domain(lesson, author);
    }
    add_secret(lesson, EVIDENCE_RELAY, message_id, BYTES(HIDDEN_MESSAGE_ID));
}

static void learn_target(struct lesson *lesson, struct bytes address)
{
    struct bytes domain = domain_of(address), local = local_of(address), hidden, mask, at;
    struct strbuf text;

    if (find_secret(lesson, EVIDENCE_TARGET, address) != NULL) {
        return;
    }
    hidden = hide_domain(lesson, domain);
    strbuf_init(&text, 1024);
    strbuf_addf(&text, "@" BYTES_FMT, BYTES_ARG(hidden));
    at = arena_copy(lesson->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    mask = number_mask(lesson, EVIDENCE_TARGET, "target", at);
    add_secret(lesson, EVIDENCE_TARGET, address, mask);
    mask = bytes_first(mask, bytes_find(mask, '@'));
    add_secret(lesson, EVIDENCE_LOCAL, local, mask);
    /* Servers that take anna+list for anna speak of anna. */
    add_secret(lesson, EVIDENCE_LOCAL, bytes_first(local, bytes_find(local, '+')), mask);
}

/* SRS0=TAG=..., SRS1=TAG=..., REPLY0=TAG=...: the kind is behind it, so that "=TAG=" alone is found, too. */
static void learn_hash(struct lesson *lesson, struct bytes address)
{
    struct bytes local = local_of(address), tag;
    size_t kind = srs_is_srs(local) ? 4 : 6;

    if (!is_signed(address)) {
        return;
    }
    tag = bytes_skip(local, kind + 1);
    tag = bytes_first(tag, bytes_find(tag, '='));
    if (tag.len >= HASH_LEAST) {
        add_secret(lesson, EVIDENCE_HASH, tag,
                   number_mask(lesson, EVIDENCE_HASH, "hash", BYTES("")));
    } else if (tag.len > 0) {
        /* Too short to be looked for alone: the kind before it stays. */
        char *before = arena_alloc(lesson->arena, kind + sizeof "=hash");

        memcpy(before, local.data, kind + 1);
        memcpy(before + kind + 1, "hash", sizeof "hash");
        add_secret(lesson, EVIDENCE_HASH, bytes_first(local, kind + 1 + tag.len),
                   number_mask(lesson, EVIDENCE_HASH, before, BYTES("")));
    }
}

/* A forward has both, and they differ; of a bounce on its way back `to` is the sender's own. */
static bool is_forward(const struct event_record *record)
{
    struct bytes to = event_record_get(record, "to"),
                 written = event_record_get(record, "orig_to");

    return to.len > 0 && written.len > 0 && !srs_is_srs(local_of(written)) &&
           !bytes_equal_nocase(to, written);
}

static void learn_record(struct lesson *lesson, const struct event_record *record)
{
    size_t position = 0;
    struct bytes address;

    learn_hash(lesson, event_record_get(record, "sender"));
    learn_hash(lesson, event_record_get(record, "to"));
    if (is_from_there(lesson, record) && event_record_get(record, "client").len > 0) {
        learn_returned(lesson, record);
    }
    if (is_forward(record)) {
        learn_target(lesson, event_record_get(record, "to"));
        if (event_record_get(record, "fallback").len > 0) {
            learn_target(lesson, event_record_get(record, "fallback"));
        }
        learn_relay(lesson, event_record_get(record, "relay"));
    }
    while ((address = event_record_next(record, "orig_to", &position)).data != NULL) {
        learn_hash(lesson, address);
        learn_recipient(lesson, address);
    }
    if (bytes_starts_with(record->event, BYTES("recipient-"))) {
        learn_recipient(lesson, event_record_get(record, "to"));
    }
}

/* Which recipient it is about: the one that was asked for, by itself or by its target; or the only one. */
static struct bytes find_about(const struct lesson *lesson, struct bytes asked)
{
    struct bytes only = BYTES("");
    bool are_several = false;

    for (size_t i = 0; i < lesson->count; i++) {
        const struct event_record *record = &lesson->records[i];
        bool is_refusal = bytes_starts_with(record->event, BYTES("recipient-"));
        size_t position = 0;
        struct bytes address;

        while ((address = event_record_next(record, is_refusal ? "to" : "orig_to", &position))
                   .data != NULL) {
            if (is_signed(address)) {
                continue;
            }
            if (asked.len > 0 && (bytes_equal_nocase(address, asked) ||
                                  bytes_equal_nocase(event_record_get(record, "to"), asked))) {
                return address;
            }
            are_several = are_several || (only.len > 0 && !bytes_equal_nocase(only, address));
            only = address;
        }
    }
    return are_several ? BYTES("") : only;
}

/* What is inside of something longer is found only where that is not. */
static void sort_secrets(struct evidence_mask *mask)
{
    for (size_t i = 1; i < mask->count; i++) {
        struct evidence_secret secret = mask->secrets[i];
        size_t at = i;

        for (; at > 0 && mask->secrets[at - 1].text.len < secret.text.len; at--) {
            mask->secrets[at] = mask->secrets[at - 1];
        }
        mask->secrets[at] = secret;
    }
}

void evidence_mask_learn(struct evidence_mask *mask, const struct event_record *records,
                         size_t count, struct bytes id, struct bytes asked, struct arena *arena)
{
    struct lesson lesson = {
        .mask = mask, .records = records, .count = count, .arena = arena, .id = id};

    *mask = (struct evidence_mask){.count = 0};
    mask->secrets = arena_alloc(arena, EVIDENCE_SECRETS * sizeof *mask->secrets);
    mask->about = find_about(&lesson, asked);
    for (size_t i = 0; i < count; i++) {
        learn_own(&lesson, &records[i]);
    }
    for (size_t i = 0; i < count; i++) {
        learn_record(&lesson, &records[i]);
    }
    sort_secrets(mask);
}

size_t evidence_mask_count(const struct evidence_mask *mask, enum evidence_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < mask->count; i++) {
        bool has_number = !bytes_equal(mask->secrets[i].mask, BYTES(HIDDEN_ADDRESS)) &&
                          !bytes_equal(mask->secrets[i].mask, BYTES(HIDDEN_MESSAGE_ID));

        count += mask->secrets[i].kind == kind && has_number;
    }
    return count;
}
