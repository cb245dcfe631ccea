#include "protocol/http_response.h"

void http_response_init(struct http_response *response, size_t body_limit)
{
    *response =
        (struct http_response){.stage = HTTP_STAGE_STATUS, .result = HTTP_RESPONSE_NEED_MORE};
    strbuf_init(&response->body, body_limit);
    strbuf_init(&response->line, HTTP_RESPONSE_HEAD_LIMIT);
}

void http_response_clear(struct http_response *response)
{
    strbuf_clear(&response->body);
    strbuf_clear(&response->line);
}

static bool fail(struct http_response *response, enum http_response_result result)
{
    response->result = result;
    return false;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* "HTTP/1.1 200 OK"; the reason may be missing, and even the blank before it. */
static bool read_status(struct http_response *response, struct bytes line)
{
    uint64_t status;

    if (line.len < 12 || !bytes_starts_with(line, BYTES("HTTP/1.")) ||
        !ascii_is_digit((unsigned char)line.data[7]) || line.data[8] != ' ' ||
        !bytes_to_u64(bytes_between(line, 9, 12), &status) || status < 100 || status > 599 ||
        (line.len > 12 && line.data[12] != ' ')) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    response->status = (unsigned)status;
    response->stage = HTTP_STAGE_FIELDS;
    return true;
}

static bool read_length(struct http_response *response, struct bytes value)
{
    uint64_t length;

    if (!bytes_to_u64(value, &length) || (response->has_length && length != response->left)) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    response->has_length = true;
    response->left = length;
    return true;
}

static bool is_token(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char octet = (unsigned char)name.data[i];

        if (!ascii_is_alnum(octet) &&
            (octet == 0 || strchr("!#$%&'*+-.^_`|~", octet) == NULL)) {
            return false;
        }
    }
    return name.len > 0;
}

static bool read_field(struct http_response *response, struct bytes line)
{
    struct bytes value = line;
    size_t colon = bytes_find(line, ':');
    struct bytes name = bytes_cut(&value, ':');

    if (colon == line.len || !is_token(name)) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    value = bytes_trim(value);
    if (bytes_equal_nocase(name, BYTES("Content-Length"))) {
        return read_length(response, value);
    }
    if (bytes_equal_nocase(name, BYTES("Transfer-Encoding"))) {
        if (response->is_chunked || !bytes_equal_nocase(value, BYTES("chunked"))) {
            return fail(response, HTTP_RESPONSE_MALFORMED);
        }
        response->is_chunked = true;
    }
    return true;
}

/* RFC 9112 §6.3: how long the body is. */
static bool end_fields(struct http_response *response)
{
    if (response->has_length && response->is_chunked) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    if (response->status < 200) {
        response->stage = HTTP_STAGE_STATUS;
        response->has_length = response->is_chunked = false;
    } else if (response->status == 204 || response->status == 304) {
        response->stage = HTTP_STAGE_DONE;
    } else if (response->is_chunked) {
        response->stage = HTTP_STAGE_CHUNK_SIZE;
    } else if (!response->has_length) {
        response->stage = HTTP_STAGE_BODY_TO_END;
    } else if (response->left > response->body.limit) {
        return fail(response, HTTP_RESPONSE_TOO_LARGE);
    } else {
        response->stage = response->left > 0 ? HTTP_STAGE_BODY : HTTP_STAGE_DONE;
    }
    return true;
}

static int hex_value(unsigned char octet)
{
    unsigned char lower = ascii_lower(octet);

    if (ascii_is_digit(octet)) {
        return octet - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Extensions behind ";" mean nothing. */
static bool read_chunk_size(struct http_response *response, struct bytes line)
{
    struct bytes rest = line;
    struct bytes digits = bytes_trim(bytes_cut(&rest, ';'));
    uint64_t size = 0;

    if (digits.len == 0 || digits.len > 8) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    for (size_t i = 0; i < digits.len; i++) {
        int value = hex_value((unsigned char)digits.data[i]);

        if (value < 0) {
            return fail(response, HTTP_RESPONSE_MALFORMED);
        }
        size = size * 16 + (uint64_t)value;
    }
    if (size > response->body.limit - response->body.len) {
        return fail(response, HTTP_RESPONSE_TOO_LARGE);
    }
    response->left = size;
    response->stage = size > 0 ? HTTP_STAGE_CHUNK : HTTP_STAGE_TRAILER;
    return true;
}

static bool read_line(struct http_response *response, struct bytes line)
{
    switch (response->stage) {
    case HTTP_STAGE_STATUS:
        return read_status(response, line);
    case HTTP_STAGE_FIELDS:
        return line.len == 0 ? end_fields(response) : read_field(response, line);
    case HTTP_STAGE_CHUNK_SIZE:
        return read_chunk_size(response, line);
    case HTTP_STAGE_CHUNK_END:
        response->stage = HTTP_STAGE_CHUNK_SIZE;
        return line.len == 0 || fail(response, HTTP_RESPONSE_MALFORMED);
    case HTTP_STAGE_TRAILER:
        if (line.len == 0) {
            response->stage = HTTP_STAGE_DONE;
        }
        return true;
    case HTTP_STAGE_BODY:
    case HTTP_STAGE_BODY_TO_END:
    case HTTP_STAGE_CHUNK:
    case HTTP_STAGE_DONE:
        break;
    }
    return false;
}

/* Up to and with its LF. */
static bool take_line(struct http_response *response, struct bytes *input)
{
    size_t end = bytes_find(*input, '\n');
    size_t used = end < input->len ? end + 1 : end;
    struct bytes line;
    bool is_fine;

    response->head_size += used;
    if (response->head_size > HTTP_RESPONSE_HEAD_LIMIT) {
        return fail(response, HTTP_RESPONSE_TOO_LARGE);
    }
    strbuf_add(&response->line, bytes_first(*input, used));
    *input = bytes_skip(*input, used);
    if (used == end) {
        return true;
    }
    line = strbuf_bytes(&response->line);
    line.len--;
    if (line.len == 0 || bytes_find(line, '\r') != line.len - 1 ||
        bytes_find(line, '\0') < line.len) {
        return fail(response, HTTP_RESPONSE_MALFORMED);
    }
    line.len--;
    is_fine = read_line(response, line);
    strbuf_reset(&response->line);
    return is_fine;
}

/* ---- the body ----------------------------------------------------------------------------- */

static bool take_body(struct http_response *response, struct bytes *input)
{
    struct bytes piece = *input;

    if (response->stage != HTTP_STAGE_BODY_TO_END) {
        piece =
            bytes_first(piece, response->left < piece.len ? (size_t)response->left : piece.len);
        response->left -= piece.len;
    }
    strbuf_add(&response->body, piece);
    *input = bytes_skip(*input, piece.len);
    if (response->body.overflowed) {
        return fail(response, HTTP_RESPONSE_TOO_LARGE);
    }
    if (response->left == 0 && response->stage == HTTP_STAGE_BODY) {
        response->stage = HTTP_STAGE_DONE;
    } else if (response->left == 0 && response->stage == HTTP_STAGE_CHUNK) {
        response->stage = HTTP_STAGE_CHUNK_END;
    }
    return true;
}

static bool is_in_body(const struct http_response *response)
{
    return response->stage == HTTP_STAGE_BODY || response->stage == HTTP_STAGE_BODY_TO_END ||
           response->stage == HTTP_STAGE_CHUNK;
}

enum http_response_result http_response_add(struct http_response *response, struct bytes input)
{
    while (response->result == HTTP_RESPONSE_NEED_MORE && input.len > 0) {
        if (!(is_in_body(response) ? take_body : take_line)(response, &input)) {
            break;
        }
        if (response->stage == HTTP_STAGE_DONE) {
            response->result = HTTP_RESPONSE_READY;
        }
    }
    return response->result;
}

enum http_response_result http_response_end(struct http_response *response)
{
    if (response->result == HTTP_RESPONSE_NEED_MORE) {
        response->result = response->stage == HTTP_STAGE_BODY_TO_END ? HTTP_RESPONSE_READY
                                                                     : HTTP_RESPONSE_MALFORMED;
    }
    return response->result;
}
