#include "support/check.h"

#include "protocol/http_response.h"

enum { BODY_LIMIT = 40 };

/* In pieces of `size` octets; then the connection ends, when it is to. */
static enum http_response_result feed(struct http_response *response, struct bytes input,
                                      size_t size, bool is_ended)
{
    enum http_response_result result = HTTP_RESPONSE_NEED_MORE;

    http_response_init(response, BODY_LIMIT);
    while (input.len > 0) {
        result = http_response_add(response, bytes_first(input, size));
        input = bytes_skip(input, size);
    }
    return is_ended ? http_response_end(response) : result;
}

static const struct {
    const char *name;
    struct bytes input;
    bool is_ended;
    enum http_response_result result;
    unsigned status;
    struct bytes body;
} cases[] = {
    {"a length", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false,
     HTTP_RESPONSE_READY, 200, BYTES("hello")},
    {"more behind the body", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello"), false,
     HTTP_RESPONSE_READY, 200, BYTES("he")},
    {"names in any case, blanks around the value",
     BYTES("HTTP/1.0 200 OK\r\ncontent-LENGTH:\t 2 \r\n\r\nhi"), false, HTTP_RESPONSE_READY,
     200, BYTES("hi")},
    {"nothing in it", BYTES("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), false,
     HTTP_RESPONSE_READY, 500, BYTES("")},
    {"no reason", BYTES("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), false,
     HTTP_RESPONSE_READY, 200, BYTES("")},
    {"no content", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), false, HTTP_RESPONSE_READY, 204,
     BYTES("")},
    {"half a body", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), false,
     HTTP_RESPONSE_NEED_MORE, 200, BYTES("hel")},
    {"half a body, then the end", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
     true, HTTP_RESPONSE_MALFORMED, 200, BYTES("hel")},
    {"half a header, then the end", BYTES("HTTP/1.1 200 OK\r\nContent-Le"), true,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"up to the end", BYTES("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello"), true,
     HTTP_RESPONSE_READY, 200, BYTES("hello")},
    {"up to an end that has not come", BYTES("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello"),
     false, HTTP_RESPONSE_NEED_MORE, 200, BYTES("hello")},
    {"chunks",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nTrailer: z\r\n\r\n"),
     false, HTTP_RESPONSE_READY, 200, BYTES("hello world")},
    {"a chunk in hex",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
           "00A\r\n0123456789\r\n0\r\n\r\n"),
     false, HTTP_RESPONSE_READY, 200, BYTES("0123456789")},
    {"chunks without their end",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), true,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("hello")},
    {"a chunk longer than it says",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"),
     false, HTTP_RESPONSE_MALFORMED, 200, BYTES("he")},
    {"a chunk size that is none",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"a chunk size with too many digits",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000000\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"an interim response before it",
     BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), false,
     HTTP_RESPONSE_READY, 200, BYTES("x")},
    {"both lengths",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"two lengths that agree",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), false,
     HTTP_RESPONSE_READY, 200, BYTES("x")},
    {"two lengths that differ",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"a length with a sign", BYTES("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"another coding", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
     false, HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"chunked twice",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
           "chunked\r\n\r\n"),
     false, HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"a folded field", BYTES("HTTP/1.1 200 OK\r\nX: y\r\n z: 1\r\n\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"a blank before the colon", BYTES("HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"no colon", BYTES("HTTP/1.1 200 OK\r\nhello\r\n\r\n"), false, HTTP_RESPONSE_MALFORMED, 200,
     BYTES("")},
    {"a bare LF", BYTES("HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\nx"), false,
     HTTP_RESPONSE_MALFORMED, 0, BYTES("")},
    {"a bare CR", BYTES("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), false, HTTP_RESPONSE_MALFORMED,
     200, BYTES("")},
    {"a NUL", BYTES("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), false, HTTP_RESPONSE_MALFORMED, 200,
     BYTES("")},
    {"another protocol", BYTES("220 mx.example.org ESMTP\r\n"), false, HTTP_RESPONSE_MALFORMED,
     0, BYTES("")},
    {"another version", BYTES("HTTP/2 200 OK\r\n"), false, HTTP_RESPONSE_MALFORMED, 0,
     BYTES("")},
    {"a status of two digits", BYTES("HTTP/1.1 20 OK\r\n"), false, HTTP_RESPONSE_MALFORMED, 0,
     BYTES("")},
    {"nothing, then the end", BYTES(""), true, HTTP_RESPONSE_MALFORMED, 0, BYTES("")},
    {"a length over the limit", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n"), false,
     HTTP_RESPONSE_TOO_LARGE, 200, BYTES("")},
    {"a length beyond all numbers",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"), false,
     HTTP_RESPONSE_MALFORMED, 200, BYTES("")},
    {"chunks over the limit",
     BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n24\r\n"), false,
     HTTP_RESPONSE_TOO_LARGE, 200, BYTES("hello")},
};

static void test_responses(void **state)
{
    (void)state;
    static const size_t sizes[] = {100000, 1, 2, 7};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            struct http_response response;

            CHECK_INT(cases[i].name,
                      feed(&response, cases[i].input, sizes[s], cases[i].is_ended),
                      cases[i].result);
            CHECK_INT(cases[i].name, response.status, cases[i].status);
            CHECK_BYTES(cases[i].name, strbuf_bytes(&response.body), cases[i].body);
            http_response_clear(&response);
        }
    }
}

static void test_endless_parts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *first, *again;
    } parts[] = {
        {"a line", "HTTP/1.1 200 ", "x"},
        {"fields", "HTTP/1.1 200 OK\r\n", "X: y\r\n"},
        {"interim responses", "", "HTTP/1.1 100 Continue\r\n\r\n"},
        {"a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"},
        {"a body up to the end", "HTTP/1.1 200 OK\r\n\r\n", "x"},
        {"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
    };

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct http_response response;
        size_t given = 0;

        http_response_init(&response, BODY_LIMIT);
        http_response_add(&response, bytes_from_text(parts[i].first));
        while (response.result == HTTP_RESPONSE_NEED_MORE && given < 100000) {
            http_response_add(&response, bytes_from_text(parts[i].again));
            given++;
        }
        CHECK_INT(parts[i].name, response.result, HTTP_RESPONSE_TOO_LARGE);
        CHECK_TRUE(parts[i].name, response.body.len <= BODY_LIMIT);
        http_response_clear(&response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_endless_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
