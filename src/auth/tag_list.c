#include "auth/tag_list.h"

#include "base/utf8.h"

#include "protocol/smtp_path.h"

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* Octets of folding white space at the start: blanks, and line ends that blanks follow. */
static size_t fold_length(struct bytes text)
{
    size_t at = 0;

    while (at < text.len) {
        if (is_blank(text.data[at])) {
            at++;
        } else if (at + 2 < text.len && text.data[at] == '\r' && text.data[at + 1] == '\n' &&
                   is_blank(text.data[at + 2])) {
            at += 3;
        } else {
            break;
        }
    }
    return at;
}

static bool is_name_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) || octet == '_';
}

/* Takes the name and the "=" behind it from the start of *rest. */
static bool take_name(struct bytes *rest, struct bytes *name)
{
    size_t len = 0;

    *rest = bytes_skip(*rest, fold_length(*rest));
    while (len < rest->len && is_name_octet(rest->data[len])) {
        len++;
    }
    if (len == 0 || !ascii_is_alpha((unsigned char)rest->data[0])) {
        return false;
    }
    *name = bytes_first(*rest, len);
    *rest = bytes_skip(*rest, len);
    *rest = bytes_skip(*rest, fold_length(*rest));
    if (rest->len == 0 || rest->data[0] != '=') {
        return false;
    }
    *rest = bytes_skip(*rest, 1);
    return true;
}

/* Takes the value, and the ";" behind it if there is one. */
static bool take_value(struct bytes *rest, struct bytes *value)
{
    size_t at, end;
    bool has_high = false;

    *rest = bytes_skip(*rest, fold_length(*rest));
    for (at = end = 0; at < rest->len && rest->data[at] != ';';) {
        unsigned char octet = (unsigned char)rest->data[at];
        size_t fold = fold_length(bytes_skip(*rest, at));

        if (fold != 0) {
            at += fold;
        } else if (octet > ' ' && octet != 127) {
            has_high = has_high || octet > 127;
            end = ++at;
        } else {
            return false;
        }
    }
    *value = bytes_first(*rest, end);
    *rest = bytes_skip(*rest, at == rest->len ? at : at + 1);
    return !has_high || utf8_is_valid(*value);
}

static bool has_name(const struct tag_list *list, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (bytes_equal(list->tags[i].name, name)) {
            return true;
        }
    }
    return false;
}

bool tag_list_parse(struct bytes text, struct tag_list *list)
{
    struct bytes rest = text;

    list->count = 0;
    if (rest.len >= 2 && bytes_equal(bytes_skip(rest, rest.len - 2), BYTES("\r\n"))) {
        rest.len -= 2; /* the end of the field */
    }
    do {
        struct tag tag;

        if (list->count == TAG_LIST_LIMIT || !take_name(&rest, &tag.name) ||
            !take_value(&rest, &tag.value) || has_name(list, tag.name)) {
            list->count = 0;
            return false;
        }
        list->tags[list->count++] = tag;
    } while (fold_length(rest) != rest.len);
    return true;
}

const struct tag *tag_list_find(const struct tag_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (bytes_equal(list->tags[i].name, bytes_from_text(name))) {
            return &list->tags[i];
        }
    }
    return NULL;
}

struct bytes tag_list_value(const struct tag_list *list, const char *name)
{
    const struct tag *tag = tag_list_find(list, name);

    return tag == NULL ? (struct bytes){NULL, 0} : tag->value;
}

void tag_value_add_packed(struct strbuf *out, struct bytes value)
{
    while (value.len != 0) {
        size_t len = 0;

        while (len < value.len && value.data[len] != ' ' && value.data[len] != '\t' &&
               value.data[len] != '\r' && value.data[len] != '\n') {
            len++;
        }
        strbuf_add(out, bytes_first(value, len));
        value = bytes_skip(value, len + 1);
    }
}
