#include "auth/dmarc_record.h"

#include <stdlib.h>

enum tag { TAG_P, TAG_SP, TAG_NP, TAG_ADKIM, TAG_ASPF, TAG_PSD, TAG_T, TAG_RUA, TAG_COUNT };

static const char *const tag_names[TAG_COUNT] = {
    [TAG_P] = "p",       [TAG_SP] = "sp",   [TAG_NP] = "np", [TAG_ADKIM] = "adkim",
    [TAG_ASPF] = "aspf", [TAG_PSD] = "psd", [TAG_T] = "t",   [TAG_RUA] = "rua",
};

/* A tag's value, empty when it was given so; .data is NULL when the tag is absent. */
struct tags {
    struct bytes values[TAG_COUNT];
};

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

static struct bytes trim_blanks(struct bytes text)
{
    while (text.len != 0 && is_blank(text.data[0])) {
        text = bytes_skip(text, 1);
    }
    while (text.len != 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* "v = DMARC1" and nothing before it */
static bool cut_version(struct bytes *rest)
{
    struct bytes version = bytes_cut(rest, ';');
    struct bytes name = bytes_cut(&version, '=');

    return name.len != 0 && !is_blank(name.data[0]) &&
           bytes_equal_nocase(trim_blanks(name), BYTES("v")) &&
           bytes_equal(trim_blanks(version), BYTES("DMARC1"));
}

static void note_tag(struct tags *tags, struct bytes name, struct bytes value)
{
    for (size_t i = 0; i < TAG_COUNT; i++) {
        if (bytes_equal_nocase(name, bytes_from_text(tag_names[i])) &&
            tags->values[i].data == NULL) {
            tags->values[i] = value;
        }
    }
}

static bool find_policy(struct bytes value, enum dmarc_policy *policy)
{
    static const enum dmarc_policy all[] = {DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE,
                                            DMARC_POLICY_REJECT};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (bytes_equal_nocase(value, bytes_from_text(dmarc_policy_text(all[i])))) {
            *policy = all[i];
            return true;
        }
    }
    return false;
}

/* Absent is fine: *policy stays what it inherits. */
static bool take_policy(struct bytes value, enum dmarc_policy *policy)
{
    return value.data == NULL || find_policy(value, policy);
}

/* scheme ":" something, no blanks or controls inside (RFC 3986 §3) */
static bool is_uri(struct bytes uri)
{
    size_t colon = bytes_find(uri, ':');

    for (size_t i = 0; i < uri.len; i++) {
        unsigned char octet = (unsigned char)uri.data[i];
        bool may_stand = i < colon ? ascii_is_alnum(octet) || memchr("+-.", octet, 3) != NULL
                                   : octet > ' ' && octet < 127;

        if (!may_stand) {
            return false;
        }
    }
    return colon != 0 && colon + 1 < uri.len && ascii_is_alpha((unsigned char)uri.data[0]);
}

static bool has_uri(struct bytes list)
{
    while (list.len != 0) {
        if (is_uri(trim_blanks(bytes_cut(&list, ',')))) {
            return true;
        }
    }
    return false;
}

static bool says(struct bytes value, const char *word)
{
    return bytes_equal_nocase(value, bytes_from_text(word));
}

static void take_policies(const struct tags *tags, struct dmarc_record *record)
{
    bool is_good = tags->values[TAG_P].data != NULL;

    is_good &= take_policy(tags->values[TAG_P], &record->own);
    record->below = record->own;
    is_good &= take_policy(tags->values[TAG_SP], &record->below);
    record->nowhere = record->below;
    is_good &= take_policy(tags->values[TAG_NP], &record->nowhere);
    if (!is_good) {
        record->own = record->below = record->nowhere = DMARC_POLICY_NONE;
    }
    record->has_policy = is_good || record->has_report_address;
}

bool dmarc_record_parse(struct bytes text, struct dmarc_record *record)
{
    struct tags tags = {0};

    *record = (struct dmarc_record){.psd = DMARC_PSD_UNKNOWN};
    if (!cut_version(&text)) {
        return false;
    }
    while (text.len != 0) {
        struct bytes value = bytes_cut(&text, ';');
        size_t equals = bytes_find(value, '=');

        if (equals < value.len) {
            struct bytes name = trim_blanks(bytes_cut(&value, '='));

            note_tag(&tags, name, trim_blanks(value));
        }
    }
    record->has_report_address = has_uri(tags.values[TAG_RUA]);
    take_policies(&tags, record);
    record->is_strict_dkim = says(tags.values[TAG_ADKIM], "s");
    record->is_strict_spf = says(tags.values[TAG_ASPF], "s");
    record->is_testing = says(tags.values[TAG_T], "y");
    if (says(tags.values[TAG_PSD], "y")) {
        record->psd = DMARC_PSD_YES;
    } else if (says(tags.values[TAG_PSD], "n")) {
        record->psd = DMARC_PSD_NO;
    }
    return true;
}

const char *dmarc_policy_text(enum dmarc_policy policy)
{
    switch (policy) {
    case DMARC_POLICY_NONE:
        return "none";
    case DMARC_POLICY_QUARANTINE:
        return "quarantine";
    case DMARC_POLICY_REJECT:
        return "reject";
    }
    abort();
}
