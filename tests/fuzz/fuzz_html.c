/* Property: whatever a peer said, on a page it is text: UTF-8 without an octet that opens a tag or leaves an
 * attribute; of valid characters none is lost; a shortened text is the beginning of the whole one. What a
 * request's target and Host say is found within them, and a decoded value is not longer than its code. */
#include "base/html.h"
#include "base/utf8.h"
#include "protocol/http_request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_page(struct bytes text)
{
    struct strbuf whole, part;

    strbuf_init(&whole, 16 * text.len + 16);
    strbuf_init(&part, 16 * text.len + 16);
    html_add(&whole, text);
    demand(!whole.overflowed && utf8_is_valid(strbuf_bytes(&whole)));
    demand(whole.len == 0 || strpbrk(strbuf_text(&whole), "<>\"'`=") == NULL);
    demand(memchr(strbuf_text(&whole), '\0', whole.len) == NULL);
    html_add_short(&part, text, 7);
    if (bytes_ends_with_nocase(strbuf_bytes(&part), BYTES("\xE2\x80\xA6")) &&
        !bytes_equal(strbuf_bytes(&part), strbuf_bytes(&whole))) {
        strbuf_truncate(&part, part.len - 3);
    }
    demand(bytes_starts_with(strbuf_bytes(&whole), strbuf_bytes(&part)));
    strbuf_clear(&whole);
    strbuf_clear(&part);
}

/* What is written into a link is read back from it. */
static void check_link(struct bytes text)
{
    struct strbuf link, back;

    strbuf_init(&link, 3 * text.len + 16);
    strbuf_init(&back, 3 * text.len + 16);
    strbuf_add_text(&link, "/trace?q=");
    html_add_query_value(&link, text);
    demand(http_request_parameter(strbuf_bytes(&link), "q", &back));
    demand(bytes_equal(strbuf_bytes(&back), text));
    strbuf_clear(&link);
    strbuf_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct strbuf value;

    check_page(text);
    check_link(text);
    strbuf_init(&value, size + 1);
    if (http_request_parameter(text, "q", &value)) {
        demand(value.len <= size && !value.overflowed);
    }
    strbuf_clear(&value);
    demand(http_request_path_of(text).len <= size);
    if (http_request_host_is_safe(text, BYTES("mx.own.test"))) {
        demand(size < 64 && memchr(text.data, '@', size) == NULL);
    }
    return 0;
}
