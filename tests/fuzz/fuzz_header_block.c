/* Property: the fields one after the other are the header, octet by octet; name and value lie
 * in their field; counting and finding agree; an unfolded value has no line ends. */
#include "mail/header_block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_of(data, size);
    struct bytes rest = message;
    struct header_field field, found;
    struct strbuf value;
    size_t at = 0;

    strbuf_init(&value, size + 1);
    while (header_field_next(&rest, &field)) {
        demand(field.whole.data == message.data + at && field.whole.len > 0);
        demand(field.name.data == field.whole.data && field.name.len > 0);
        demand(field.value.data + field.value.len == field.whole.data + field.whole.len);
        at += field.whole.len;
        demand(rest.len == 0 || bytes_ends_with_nocase(field.whole, BYTES("\r\n")));
        demand(header_block_count(message, field.name) > 0);
        demand(header_block_find(message, field.name, &found) &&
               found.whole.data <= field.whole.data);
        strbuf_reset(&value);
        header_value_add(&value, field.value);
        demand(!value.overflowed && bytes_find(strbuf_bytes(&value), '\n') == value.len &&
               bytes_find(strbuf_bytes(&value), '\r') == value.len);
    }
    demand(at + rest.len == size);
    demand(header_block_length(message) == at);
    strbuf_clear(&value);
    return 0;
}
