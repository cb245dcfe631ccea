/* Properties: every name and value lies inside the text, in its order, and is what the grammar of
 * RFC 6376 §3.2 allows; written again, with or without white space around, the list reads the
 * same; twice the list is none. */
#include "auth/tag_list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_octets(const struct tag *tag)
{
    demand(tag->name.len != 0 && ascii_is_alpha((unsigned char)tag->name.data[0]));
    for (size_t i = 0; i < tag->name.len; i++) {
        demand(ascii_is_alnum((unsigned char)tag->name.data[i]) || tag->name.data[i] == '_');
    }
    for (size_t i = 0; i < tag->value.len; i++) {
        unsigned char octet = (unsigned char)tag->value.data[i];

        demand(octet != ';' && octet != 127);
        demand(octet >= ' ' || octet == '\t' || octet == '\r' || octet == '\n');
    }
    demand(bytes_equal(bytes_trim(tag->value), tag->value));
}

static void check_places(struct bytes text, const struct tag_list *list)
{
    const char *at = text.data;

    demand(list->count != 0 && list->count <= TAG_LIST_LIMIT);
    for (size_t i = 0; i < list->count; i++) {
        const struct tag *tag = &list->tags[i];

        demand(tag->name.data >= at);
        at = tag->name.data + tag->name.len;
        demand(tag->value.data >= at);
        at = tag->value.data + tag->value.len;
        demand(at <= text.data + text.len);
        demand(tag_list_find(list, "b") != tag || bytes_equal(tag->name, BYTES("b")));
        check_octets(tag);
    }
}

static void write_again(const struct tag_list *list, const char *blank, struct strbuf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        strbuf_add_text(out, blank);
        strbuf_add(out, list->tags[i].name);
        strbuf_add_text(out, blank);
        strbuf_add_char(out, '=');
        strbuf_add_text(out, blank);
        strbuf_add(out, list->tags[i].value);
        strbuf_add_text(out, blank);
        strbuf_add_char(out, ';');
    }
}

static void check_again(const struct tag_list *list, const char *blank, size_t size)
{
    struct tag_list again;
    struct strbuf text;

    strbuf_init(&text, size + TAG_LIST_LIMIT * 32);
    write_again(list, blank, &text);
    demand(!text.overflowed && tag_list_parse(strbuf_bytes(&text), &again));
    demand(again.count == list->count);
    for (size_t i = 0; i < list->count; i++) {
        demand(bytes_equal(again.tags[i].name, list->tags[i].name));
        demand(bytes_equal(again.tags[i].value, list->tags[i].value));
    }
    strbuf_clear(&text);
    strbuf_init(&text, 2 * size + TAG_LIST_LIMIT * 64);
    write_again(list, blank, &text);
    write_again(list, blank, &text);
    demand(!tag_list_parse(strbuf_bytes(&text), &again) && again.count == 0);
    strbuf_clear(&text);
}

static void check_packed(struct bytes value)
{
    struct strbuf packed;

    strbuf_init(&packed, value.len + 1);
    tag_value_add_packed(&packed, value);
    demand(!packed.overflowed);
    for (size_t i = 0; i < packed.len; i++) {
        demand(packed.data[i] != ' ' && packed.data[i] != '\t' && packed.data[i] != '\r' &&
               packed.data[i] != '\n');
    }
    strbuf_clear(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct tag_list list;

    if (!tag_list_parse(text, &list)) {
        demand(list.count == 0);
        return 0;
    }
    check_places(text, &list);
    check_again(&list, "", size);
    check_again(&list, " ", size);
    check_again(&list, "\r\n\t", size);
    for (size_t i = 0; i < list.count; i++) {
        check_packed(list.tags[i].value);
    }
    return 0;
}
