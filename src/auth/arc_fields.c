#include "arc_fields.h"

#include "auth/tag_list.h"

#include <string.h>

enum { INSTANCE_DIGITS = 2 };

enum kind { KIND_RESULTS, KIND_SIGNATURE, KIND_SEAL, KIND_OTHER };

static enum kind kind_of(struct bytes name)
{
    if (name.len < 4 || !bytes_starts_with_nocase(name, BYTES("ARC-"))) {
        return KIND_OTHER;
    }
    if (bytes_equal_nocase(name, ARC_RESULTS_NAME)) {
        return KIND_RESULTS;
    }
    if (bytes_equal_nocase(name, ARC_SIGNATURE_NAME)) {
        return KIND_SIGNATURE;
    }
    return bytes_equal_nocase(name, ARC_SEAL_NAME) ? KIND_SEAL : KIND_OTHER;
}

/* Octets of white space and comments at the start; an open comment is none (RFC 5322 §3.2.2). */
static size_t comment_length(struct bytes text)
{
    size_t depth = 0, at, outside = 0;

    for (at = 0; at < text.len; at++) {
        char octet = text.data[at];

        if (octet == '(') {
            depth++;
        } else if (octet == ')' && depth != 0) {
            depth--;
        } else if (octet == '\\' && depth != 0) {
            at++;
        } else if (depth == 0 && octet != ' ' && octet != '\t' && octet != '\r' &&
                   octet != '\n') {
            break;
        }
        if (depth == 0) {
            outside = at + 1;
        }
    }
    return outside;
}

static bool take(struct bytes *rest, char octet)
{
    *rest = bytes_skip(*rest, comment_length(*rest));
    if (rest->len == 0 || rest->data[0] != octet) {
        return false;
    }
    *rest = bytes_skip(*rest, 1);
    return true;
}

/* 0: no instance. */
static unsigned read_instance(struct bytes digits)
{
    uint64_t number;

    return digits.len <= INSTANCE_DIGITS && bytes_to_u64(digits, &number) ? (unsigned)number
                                                                          : 0;
}

/* [CFWS] "i" [CFWS] "=" [CFWS] 1*2DIGIT [CFWS] ";" (RFC 8617 §4.1.1) */
static unsigned results_instance(struct bytes value, struct bytes *text)
{
    struct bytes rest = value;
    size_t digits = 0;
    unsigned instance;

    if (!take(&rest, 'i') || !take(&rest, '=')) {
        return 0;
    }
    rest = bytes_skip(rest, comment_length(rest));
    while (digits < rest.len && ascii_is_digit((unsigned char)rest.data[digits])) {
        digits++;
    }
    instance = read_instance(bytes_first(rest, digits));
    rest = bytes_skip(rest, digits);
    if (!take(&rest, ';')) {
        return 0;
    }
    *text = bytes_trim(rest);
    return instance;
}

static unsigned tagged_instance(struct bytes value)
{
    struct tag_list tags;

    return tag_list_parse(value, &tags) ? read_instance(tag_list_value(&tags, "i")) : 0;
}

/* Puts one field where it belongs; NULL or what is wrong with it. */
static const char *place(struct arc_fields *fields, enum kind kind,
                         const struct header_field *field)
{
    struct bytes text = {NULL, 0};
    unsigned instance = kind == KIND_RESULTS ? results_instance(field->value, &text)
                                             : tagged_instance(field->value);
    struct arc_set *set;
    struct header_field *at = NULL;

    if (instance == 0) {
        return "an ARC field cannot be read";
    }
    fields->highest = instance > fields->highest ? instance : fields->highest;
    if (instance > ARC_SET_LIMIT) {
        return "more ARC sets than allowed";
    }
    set = &fields->sets[instance - 1];
    switch (kind) {
    case KIND_RESULTS:
        at = &set->results;
        set->results_text = text;
        break;
    case KIND_SIGNATURE:
        at = &set->signature;
        break;
    case KIND_SEAL:
        at = &set->seal;
        break;
    case KIND_OTHER:
        return NULL;
    }
    if (at->whole.len != 0) {
        return "an ARC instance stands twice";
    }
    *at = *field;
    return NULL;
}

static bool is_complete(const struct arc_set *set)
{
    return set->results.whole.len != 0 && set->signature.whole.len != 0 &&
           set->seal.whole.len != 0;
}

const char *arc_fields_gather(struct bytes header, struct arc_fields *fields)
{
    struct header_field field;
    const char *why = NULL;

    memset(fields, 0, sizeof *fields);
    while (header_field_next(&header, &field)) {
        enum kind kind = kind_of(field.name);
        const char *trouble = NULL;

        if (kind == KIND_OTHER) {
            continue;
        }
        if (field.whole.len > ARC_FIELD_OCTETS) {
            trouble = "an ARC field is too long";
        } else {
            trouble = place(fields, kind, &field);
        }
        why = why == NULL ? trouble : why;
    }
    for (unsigned i = 0; i < fields->highest && why == NULL; i++) {
        if (!is_complete(&fields->sets[i])) {
            why = "an ARC set is not complete";
        }
    }
    fields->count = why == NULL ? fields->highest : 0;
    return why;
}

bool arc_fields_are_closed(const struct arc_fields *fields)
{
    const struct header_field *newest;
    struct tag_list tags;

    if (fields->highest == 0 || fields->highest > ARC_SET_LIMIT) {
        return false;
    }
    newest = &fields->sets[fields->highest - 1].seal;
    return tag_list_parse(newest->value, &tags) &&
           bytes_equal_nocase(tag_list_value(&tags, "cv"), BYTES("fail"));
}
