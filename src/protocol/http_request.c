#include "protocol/http_request.h"

#include "protocol/ip_address.h"

struct bytes http_request_path_of(struct bytes target)
{
    return bytes_first(target, bytes_find(target, '?'));
}

static int hex_digit(char digit)
{
    unsigned char lower = ascii_lower((unsigned char)digit);

    return ascii_is_digit(lower)          ? lower - '0'
           : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                          : -1;
}

static void add_decoded(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char octet = text.data[i];
        if (octet == '+') {
            octet = ' ';
        } else if (octet == '%' && text.len - i > 2) {
            int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                octet = (char)(high << 4 | low);
                i += 2;
            }
        }
        strbuf_add_char(out, octet);
    }
}

bool http_request_parameter(struct bytes target, const char *name, struct strbuf *value)
{
    struct bytes query = bytes_skip(target, http_request_path_of(target).len);

    query = bytes_skip(query, 1);
    query = bytes_first(query, bytes_find(query, '#'));
    while (query.len > 0) {
        struct bytes rest = bytes_cut(&query, '&');
        struct bytes key = bytes_cut(&rest, '=');
        if (bytes_equal(key, bytes_from_text(name))) {
            add_decoded(value, rest);
            return true;
        }
    }
    return false;
}

static bool is_port(struct bytes text)
{
    uint64_t port;

    return text.len == 0 || (bytes_to_u64(text, &port) && port <= UINT16_MAX);
}

bool http_request_host_is_safe(struct bytes host, struct bytes our_name)
{
    struct ip_address address;

    if (host.len > 0 && host.data[0] == '[') {
        size_t end = bytes_find(host, ']');
        struct bytes port = bytes_skip(host, end + 1);
        bool is_ended = port.len == 0 || (port.data[0] == ':' && is_port(bytes_skip(port, 1)));
        return end < host.len && is_ended &&
               ip_address_parse(bytes_between(host, 1, end), &address);
    }
    struct bytes name = bytes_cut(&host, ':');
    if (!is_port(host)) {
        return false;
    }
    if (name.len > 0 && name.data[name.len - 1] == '.') {
        name.len--;
    }
    return ip_address_parse(name, &address) || bytes_equal_nocase(name, BYTES("localhost")) ||
           (our_name.len > 0 && bytes_equal_nocase(name, our_name));
}
