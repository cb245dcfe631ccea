#include "protocol/proxy_header.h"

enum {
    V1_LIMIT = 107, /* "PROXY TCP6 " and the longest of everything, with CRLF */
    V2_FIXED = 16,  /* signature, version and command, family, length */
    V2_ADDRESSES_V4 = 12,
    V2_ADDRESSES_V6 = 36,
};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 }; /* with the version */
enum {
    FAMILY_UNSPEC = 0x00,
    FAMILY_TCP_V4 = 0x11,
    FAMILY_TCP_V6 = 0x21
}; /* with the protocol */

static const char V2_SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool agrees(struct bytes input, struct bytes with)
{
    size_t len = input.len < with.len ? input.len : with.len;

    return bytes_equal(bytes_first(input, len), bytes_first(with, len));
}

/* ---- version 1: a line ------------------------------------------------------------------- */

/* Digits without a zero in front: one port has one form. */
static bool read_port(struct bytes text, uint16_t *port)
{
    uint64_t number;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0') ||
        !bytes_to_u64(text, &number) || number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

/* An IPv4-mapped address is IPv4 once it is parsed; in the line it is of its text's family. */
static bool read_address(struct bytes text, bool is_v6, struct ip_address *address)
{
    return (bytes_find(text, ':') < text.len) == is_v6 && ip_address_parse(text, address);
}

static bool read_line(struct bytes line, struct proxy_header *header)
{
    struct bytes family, client, server, client_port;
    bool is_v6;

    (void)bytes_cut(&line, ' '); /* PROXY */
    family = bytes_cut(&line, ' ');
    if (bytes_equal(family, BYTES("UNKNOWN"))) {
        return true; /* what follows is to be ignored */
    }
    is_v6 = bytes_equal(family, BYTES("TCP6"));
    if (!is_v6 && !bytes_equal(family, BYTES("TCP4"))) {
        return false;
    }
    client = bytes_cut(&line, ' ');
    server = bytes_cut(&line, ' ');
    client_port = bytes_cut(&line, ' ');
    return read_address(client, is_v6, &header->client.address) &&
           read_address(server, is_v6, &header->server.address) &&
           read_port(client_port, &header->client.port) &&
           read_port(line, &header->server.port);
}

static enum proxy_header_result parse_v1(struct bytes input, struct proxy_header *header,
                                         size_t *used)
{
    struct bytes seen = bytes_first(input, V1_LIMIT);
    size_t end = bytes_find(seen, '\r');

    if (end + 1 >= seen.len) {
        return input.len >= V1_LIMIT ? PROXY_HEADER_TOO_LONG : PROXY_HEADER_NEED_MORE;
    }
    if (seen.data[end + 1] != '\n' || !read_line(bytes_first(seen, end), header)) {
        return PROXY_HEADER_MALFORMED;
    }
    *used = end + 2;
    return PROXY_HEADER_READY;
}

/* ---- version 2: binary ------------------------------------------------------------------- */

static unsigned octet_at(struct bytes input, size_t at)
{
    return (unsigned char)input.data[at];
}

static struct ip_endpoint read_endpoint(struct bytes address, struct bytes port)
{
    static const char mapped[12] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";
    struct ip_endpoint endpoint = {.port =
                                       (uint16_t)(octet_at(port, 0) << 8 | octet_at(port, 1))};

    if (address.len == 16 && bytes_starts_with(address, bytes_of(mapped, sizeof mapped))) {
        address = bytes_skip(address, sizeof mapped);
    }
    endpoint.address.family = address.len == 4 ? IP_V4 : IP_V6;
    memcpy(endpoint.address.octets, address.data, address.len);
    return endpoint;
}

/* Both addresses, then both ports; extensions may follow. */
static bool read_addresses(struct bytes body, size_t wanted, struct proxy_header *header)
{
    size_t len = (wanted - 4) / 2;

    if (body.len < wanted) {
        return false;
    }
    header->client = read_endpoint(bytes_first(body, len), bytes_skip(body, 2 * len));
    header->server =
        read_endpoint(bytes_between(body, len, 2 * len), bytes_skip(body, 2 * len + 2));
    return true;
}

static bool read_body(unsigned command, unsigned family, struct bytes body,
                      struct proxy_header *header)
{
    if (command == COMMAND_LOCAL) {
        return true; /* whatever stands behind it */
    }
    switch (family) {
    case FAMILY_UNSPEC:
        return true;
    case FAMILY_TCP_V4:
        return read_addresses(body, V2_ADDRESSES_V4, header);
    case FAMILY_TCP_V6:
        return read_addresses(body, V2_ADDRESSES_V6, header);
    default:
        return false; /* datagrams and Unix sockets carry no SMTP client */
    }
}

static enum proxy_header_result parse_v2(struct bytes input, struct proxy_header *header,
                                         size_t *used)
{
    bool has_command = input.len > sizeof V2_SIGNATURE;
    unsigned command = has_command ? octet_at(input, sizeof V2_SIGNATURE) : COMMAND_LOCAL;
    size_t len;

    if (command != COMMAND_LOCAL && command != COMMAND_PROXY) {
        return PROXY_HEADER_MALFORMED;
    }
    if (input.len < V2_FIXED) {
        return PROXY_HEADER_NEED_MORE;
    }
    len = octet_at(input, 14) << 8 | octet_at(input, 15);
    if (V2_FIXED + len > PROXY_HEADER_LIMIT) {
        return PROXY_HEADER_TOO_LONG;
    }
    if (input.len < V2_FIXED + len) {
        return PROXY_HEADER_NEED_MORE;
    }
    if (!read_body(command, octet_at(input, 13), bytes_between(input, V2_FIXED, V2_FIXED + len),
                   header)) {
        return PROXY_HEADER_MALFORMED;
    }
    *used = V2_FIXED + len;
    return PROXY_HEADER_READY;
}

enum proxy_header_result proxy_header_parse(struct bytes input, struct proxy_header *header,
                                            size_t *used)
{
    struct proxy_header found = {.client = {.port = 0}};
    enum proxy_header_result result = PROXY_HEADER_MALFORMED;

    *header = found;
    if (agrees(input, BYTES("PROXY "))) {
        result = parse_v1(input, &found, used);
    } else if (agrees(input, bytes_of(V2_SIGNATURE, sizeof V2_SIGNATURE))) {
        result = parse_v2(input, &found, used);
    }
    if (result == PROXY_HEADER_READY) {
        *header = found;
    }
    return result;
}
