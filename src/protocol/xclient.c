#include "protocol/xclient.h"

enum { VALUE_LIMIT = 255 };

static int hex_value(char octet)
{
    return octet >= '0' && octet <= '9'   ? octet - '0'
           : octet >= 'A' && octet <= 'F' ? octet - 'A' + 10
           : octet >= 'a' && octet <= 'f' ? octet - 'a' + 10
                                          : -1;
}

/* xtext (RFC 3461 §4): "+2B" stands for "+". What is decoded must be printable ASCII: nothing of it
 * may break a line or a log. */
static bool decode(struct bytes text, struct arena *arena, struct bytes *value)
{
    char *octets = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        int octet = (unsigned char)text.data[i];
        if (octet == '+') {
            int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;
            octet = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (octet < ' ' || octet > '~') {
            return false;
        }
        octets[len++] = (char)octet;
    }
    *value = bytes_of(octets, len);
    return len > 0 && len <= VALUE_LIMIT;
}

static bool is_unavailable(struct bytes value)
{
    return bytes_equal_nocase(value, BYTES("[UNAVAILABLE]")) ||
           bytes_equal_nocase(value, BYTES("[TEMPUNAVAIL]"));
}

static bool read_address(struct bytes value, struct ip_address *address)
{
    *address = (struct ip_address){.family = IP_NONE};
    return is_unavailable(value) || ip_literal_parse(value, address) ||
           ip_address_parse(value, address);
}

static bool read_port(struct bytes value, uint16_t *port)
{
    uint64_t number = 0;

    if (!is_unavailable(value) && (!bytes_to_u64(value, &number) || number > UINT16_MAX)) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

/* A HELO name is one word, as in EHLO. */
static bool read_helo(struct bytes value, struct bytes *helo)
{
    *helo = is_unavailable(value) ? BYTES("") : value;
    return bytes_find(value, ' ') == value.len;
}

static bool read_protocol(struct bytes value, bool *is_esmtp)
{
    *is_esmtp = bytes_equal_nocase(value, BYTES("ESMTP"));
    return *is_esmtp || bytes_equal_nocase(value, BYTES("SMTP"));
}

static bool read_attribute(struct bytes name, struct bytes value, struct xclient *xclient)
{
    struct ip_address destination;
    uint16_t port;

    if (bytes_equal_nocase(name, BYTES("ADDR"))) {
        xclient->has_address = true;
        return read_address(value, &xclient->address);
    }
    if (bytes_equal_nocase(name, BYTES("HELO"))) {
        xclient->has_helo = true;
        return read_helo(value, &xclient->helo);
    }
    if (bytes_equal_nocase(name, BYTES("PROTO"))) {
        xclient->has_protocol = true;
        return read_protocol(value, &xclient->is_esmtp);
    }
    if (bytes_equal_nocase(name, BYTES("PORT"))) {
        return read_port(value, &xclient->port);
    }
    if (bytes_equal_nocase(name, BYTES("DESTADDR"))) {
        return read_address(value, &destination);
    }
    if (bytes_equal_nocase(name, BYTES("DESTPORT"))) {
        return read_port(value, &port);
    }
    /* The reverse name is looked up here, and nobody logs in at a border MX. */
    return bytes_equal_nocase(name, BYTES("NAME")) || bytes_equal_nocase(name, BYTES("LOGIN"));
}

bool xclient_parse(struct bytes arguments, struct arena *arena, struct xclient *xclient)
{
    bool has_any = false;

    *xclient = (struct xclient){.port = 0};
    while (arguments.len > 0) {
        struct bytes word = bytes_cut(&arguments, ' ');
        size_t equals = bytes_find(word, '=');
        struct bytes value;

        if (word.len == 0) {
            continue;
        }
        if (equals == word.len || !decode(bytes_skip(word, equals + 1), arena, &value) ||
            !read_attribute(bytes_first(word, equals), value, xclient)) {
            return false;
        }
        has_any = true;
    }
    return has_any;
}
