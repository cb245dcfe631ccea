/*
 * What scanners answer: an HTTP response says the same however the network cut it, whole and octet by octet, and
 * keeps no more than its limit; behind a result more input changes nothing. What is read of JSON is printable. A verdict
 * of clamd points into its input, and what is behind its NUL means nothing.
 */
#include "protocol/clamd_reply.h"
#include "protocol/http_response.h"
#include "protocol/rspamd_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_LIMIT = 4096 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void feed(struct http_response *response, struct bytes input, size_t size)
{
    http_response_init(response, BODY_LIMIT);
    while (input.len > 0) {
        http_response_add(response, bytes_first(input, size));
        input = bytes_skip(input, size);
    }
    require(response->body.len <= BODY_LIMIT);
    require(response->line.len <= HTTP_RESPONSE_HEAD_LIMIT);
}

static void check_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        require(text.data[i] > ' ' && text.data[i] <= '~');
    }
}

static void check_json(struct bytes json)
{
    struct arena *arena = arena_new();
    struct rspamd_reply reply;

    if (rspamd_reply_read(json, arena, &reply)) {
        require(rspamd_action_text(reply.action)[0] != '\0');
        require(reply.symbols.len <= RSPAMD_SYMBOLS_LIMIT);
    }
    check_printable(reply.score);
    check_printable(reply.symbols);
    arena_free(&arena);
}

static void check_response(struct bytes input)
{
    struct http_response whole, single;
    enum http_response_result result;

    feed(&whole, input, input.len + 1);
    feed(&single, input, 1);
    require(whole.result == single.result && whole.status == single.status);
    require(bytes_equal(strbuf_bytes(&whole.body), strbuf_bytes(&single.body)));
    result = http_response_end(&whole);
    require(result != HTTP_RESPONSE_NEED_MORE && result == http_response_end(&single));
    require(http_response_add(&whole, BYTES("HTTP/1.1 200 OK\r\n\r\n")) == result);
    require(bytes_equal(strbuf_bytes(&whole.body), strbuf_bytes(&single.body)));
    if (result == HTTP_RESPONSE_READY) {
        require(whole.status >= 200 && whole.status < 600);
        check_json(strbuf_bytes(&whole.body));
    }
    http_response_clear(&whole);
    http_response_clear(&single);
}

static void check_clamd(struct bytes input)
{
    struct bytes what, again;
    enum clamd_result result = clamd_reply_read(input, &what);
    size_t end = bytes_find(input, '\0');

    require(what.len == 0 ||
            (what.data >= input.data && what.data + what.len <= input.data + input.len));
    require((result == CLAMD_FOUND) <= (what.len > 0));
    if (end < input.len) {
        require(result != CLAMD_NEED_MORE);
        require(clamd_reply_read(bytes_first(input, end + 1), &again) == result);
        require(bytes_equal(what, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);

    check_response(input);
    check_json(input);
    check_clamd(input);
    return 0;
}
