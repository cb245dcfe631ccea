#include "protocol/ip_address.h"

#include <assert.h>

static const uint8_t MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Four decimal numbers without leading zeros: "010" is 8 to some and 10 to others. */
static bool parse_v4(struct bytes text, uint8_t octets[4])
{
    for (int i = 0; i < 4; i++) {
        bool has_dot = bytes_find(text, '.') < text.len;
        struct bytes digits = bytes_cut(&text, '.');
        uint64_t number;

        if (has_dot != (i < 3) || digits.len > 3 || !bytes_to_u64(digits, &number) ||
            number > 255 || (digits.len > 1 && digits.data[0] == '0')) {
            return false;
        }
        octets[i] = (uint8_t)number;
    }
    return true;
}

static int hex_digit(char octet)
{
    unsigned char lower = ascii_lower((unsigned char)octet);

    if (ascii_is_digit(lower)) {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool parse_group(struct bytes digits, uint8_t octets[2])
{
    unsigned number = 0;

    if (digits.len < 1 || digits.len > 4) {
        return false;
    }
    for (size_t i = 0; i < digits.len; i++) {
        int digit = hex_digit(digits.data[i]);
        if (digit < 0) {
            return false;
        }
        number = number << 4 | (unsigned)digit;
    }
    octets[0] = (uint8_t)(number >> 8);
    octets[1] = (uint8_t)number;
    return true;
}

/* Groups between colons, an IPv4 address in the place of the last two when `may_end_in_v4`.
 * Returns how many octets they make, or -1. */
static int parse_groups(struct bytes text, bool may_end_in_v4, uint8_t octets[16])
{
    int count = 0;

    while (text.len > 0) {
        bool is_last = bytes_find(text, ':') == text.len;
        struct bytes group = bytes_cut(&text, ':');

        if (is_last && may_end_in_v4 && bytes_find(group, '.') < group.len) {
            return count <= 12 && parse_v4(group, octets + count) ? count + 4 : -1;
        }
        if (count > 14 || !parse_group(group, octets + count)) {
            return -1;
        }
        count += 2;
        if (!is_last && text.len == 0) {
            return -1; /* a colon at the end */
        }
    }
    return count;
}

static bool parse_v6(struct bytes text, uint8_t octets[16])
{
    size_t gap = bytes_find_part(text, BYTES("::"));
    uint8_t tail[16] = {0};
    int head_count, tail_count;

    memset(octets, 0, 16);
    if (gap == text.len) {
        return parse_groups(text, true, octets) == 16;
    }
    head_count = parse_groups(bytes_first(text, gap), false, octets);
    tail_count = parse_groups(bytes_skip(text, gap + 2), true, tail);
    /* "::" stands for at least one group. */
    if (head_count < 0 || tail_count < 0 || head_count + tail_count > 14) {
        return false;
    }
    memcpy(octets + 16 - tail_count, tail, (size_t)tail_count);
    return true;
}

static void unmap(struct ip_address *address)
{
    if (memcmp(address->octets, MAPPED_PREFIX, sizeof MAPPED_PREFIX) == 0) {
        struct ip_address v4 = {.family = IP_V4};
        memcpy(v4.octets, address->octets + 12, 4);
        *address = v4;
    }
}

bool ip_address_parse(struct bytes text, struct ip_address *address)
{
    *address = (struct ip_address){.family = IP_NONE};
    if (text.len > 45) {
        return false;
    }
    if (parse_v4(text, address->octets)) {
        address->family = IP_V4;
        return true;
    }
    if (bytes_find(text, ':') < text.len && parse_v6(text, address->octets)) {
        address->family = IP_V6;
        unmap(address);
        return true;
    }
    *address = (struct ip_address){.family = IP_NONE};
    return false;
}

static bool parse_port(struct bytes text, uint16_t *port)
{
    uint64_t number;

    if (text.len > 5 || !bytes_to_u64(text, &number) || number > 65535) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

/* What follows the address: nothing (the default) or ":port". */
static bool parse_port_part(struct bytes rest, uint16_t default_port, uint16_t *port)
{
    if (rest.len == 0) {
        *port = default_port;
        return default_port != 0;
    }
    return rest.data[0] == ':' && parse_port(bytes_skip(rest, 1), port);
}

bool ip_endpoint_parse(struct bytes text, uint16_t default_port, struct ip_endpoint *endpoint)
{
    *endpoint = (struct ip_endpoint){.port = 0};
    if (text.len > 0 && text.data[0] == '[') {
        size_t close = bytes_find(text, ']');
        struct bytes inside = bytes_between(text, 1, close);

        return close < text.len && ip_address_parse(inside, &endpoint->address) &&
               parse_port_part(bytes_skip(text, close + 1), default_port, &endpoint->port);
    }
    size_t colon = bytes_find(text, ':');
    return ip_address_parse(bytes_first(text, colon), &endpoint->address) &&
           parse_port_part(bytes_skip(text, colon), default_port, &endpoint->port);
}

static bool bits_are_zero_from(const uint8_t octets[16], unsigned bit, unsigned end)
{
    for (; bit < end; bit++) {
        if (octets[bit / 8] & (0x80 >> bit % 8)) {
            return false;
        }
    }
    return true;
}

bool ip_network_parse(struct bytes text, struct ip_network *network)
{
    size_t slash = bytes_find(text, '/');
    struct bytes address_text = bytes_first(text, slash);
    bool is_written_v6 = bytes_find(address_text, ':') < address_text.len;
    uint64_t bits = is_written_v6 ? 128 : 32;

    *network = (struct ip_network){.prefix_bits = 0};
    if (!ip_address_parse(address_text, &network->address)) {
        return false;
    }
    if (slash < text.len) {
        struct bytes digits = bytes_skip(text, slash + 1);
        uint64_t most = bits;

        if (digits.len > 3 || !bytes_to_u64(digits, &bits) || bits > most) {
            return false;
        }
    }
    if (is_written_v6 && network->address.family == IP_V4) {
        if (bits < 96) {
            return false; /* reaches into the mapped prefix: not all zero behind it */
        }
        bits -= 96;
    }
    network->prefix_bits = (unsigned)bits;
    return bits_are_zero_from(network->address.octets, network->prefix_bits,
                              network->address.family == IP_V4 ? 32 : 128);
}

bool ip_literal_parse(struct bytes text, struct ip_address *address)
{
    bool is_tagged = bytes_starts_with_nocase(text, BYTES("IPv6:"));
    struct bytes inside = is_tagged ? bytes_skip(text, 5) : text;
    bool has_colon = bytes_find(inside, ':') < inside.len;

    *address = (struct ip_address){.family = IP_NONE};
    return has_colon == is_tagged && ip_address_parse(inside, address);
}

struct text_writer {
    struct ip_text text;
    size_t len;
};

static void put(struct text_writer *writer, char octet)
{
    assert(writer->len + 1 < sizeof writer->text.text);
    writer->text.text[writer->len++] = octet;
}

static void put_text(struct text_writer *writer, const char *text)
{
    while (*text != '\0') {
        put(writer, *text++);
    }
}

static void put_number(struct text_writer *writer, unsigned number, unsigned base)
{
    if (number >= base) {
        put_number(writer, number / base, base);
    }
    put(writer, "0123456789abcdef"[number % base]);
}

static unsigned group_at(const uint8_t octets[16], int group)
{
    return (unsigned)octets[2 * group] << 8 | octets[2 * group + 1];
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 §4.2). */
static void find_zero_run(const uint8_t octets[16], int *start, int *end)
{
    *start = *end = -1;
    for (int i = 0; i < 8; i++) {
        int stop = i;
        while (stop < 8 && group_at(octets, stop) == 0) {
            stop++;
        }
        if (stop - i >= 2 && stop - i > *end - *start) {
            *start = i;
            *end = stop;
        }
        i = stop > i ? stop - 1 : i;
    }
}

static void put_v6(struct text_writer *writer, const uint8_t octets[16])
{
    int start, end;

    find_zero_run(octets, &start, &end);
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            put_text(writer, "::");
            i = end - 1;
            continue;
        }
        if (i > 0 && i != end) {
            put(writer, ':');
        }
        put_number(writer, group_at(octets, i), 16);
    }
}

static void put_address(struct text_writer *writer, const struct ip_address *address)
{
    switch (address->family) {
    case IP_NONE:
        put_text(writer, "none");
        break;
    case IP_V4:
        for (int i = 0; i < 4; i++) {
            if (i > 0) {
                put(writer, '.');
            }
            put_number(writer, address->octets[i], 10);
        }
        break;
    case IP_V6:
        put_v6(writer, address->octets);
        break;
    }
}

struct ip_text ip_address_text(const struct ip_address *address)
{
    struct text_writer writer = {.len = 0};

    put_address(&writer, address);
    return writer.text;
}

struct ip_text ip_endpoint_text(const struct ip_endpoint *endpoint)
{
    struct text_writer writer = {.len = 0};
    bool is_v6 = endpoint->address.family == IP_V6;

    put_text(&writer, is_v6 ? "[" : "");
    put_address(&writer, &endpoint->address);
    put_text(&writer, is_v6 ? "]:" : ":");
    put_number(&writer, endpoint->port, 10);
    return writer.text;
}

struct ip_text ip_literal_text(const struct ip_address *address)
{
    struct text_writer writer = {.len = 0};

    put_text(&writer, address->family == IP_V6 ? "[IPv6:" : "[");
    put_address(&writer, address);
    put(&writer, ']');
    return writer.text;
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family &&
           memcmp(a->octets, b->octets, a->family == IP_V6 ? 16 : 4) == 0;
}

bool ip_network_contains(const struct ip_network *network, const struct ip_address *address)
{
    unsigned whole = network->prefix_bits / 8, rest = network->prefix_bits % 8;

    if (network->address.family != address->family || address->family == IP_NONE ||
        memcmp(network->address.octets, address->octets, whole) != 0) {
        return false;
    }
    return rest == 0 ||
           ((network->address.octets[whole] ^ address->octets[whole]) >> (8 - rest)) == 0;
}

static bool v4_is_never_next_hop(const uint8_t octets[4])
{
    return octets[0] == 0 || octets[0] == 127 || (octets[0] == 169 && octets[1] == 254) ||
           (octets[0] >= 224 && octets[0] <= 239) || memcmp(octets, "\xff\xff\xff\xff", 4) == 0;
}

bool ip_address_is_never_next_hop(const struct ip_address *address)
{
    static const uint8_t NAT64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t ZERO[12] = {0};
    const uint8_t *octets = address->octets;

    switch (address->family) {
    case IP_NONE:
        return true;
    case IP_V4:
        return v4_is_never_next_hop(octets);
    case IP_V6:
        break;
    }
    if (octets[0] == 0xff || (octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80)) {
        return true; /* multicast, link-local */
    }
    if (memcmp(octets, ZERO, 12) == 0) {
        /* :: and ::1, and the old IPv4-compatible form of the same trouble */
        return v4_is_never_next_hop(octets + 12);
    }
    if (memcmp(octets, MAPPED_PREFIX, 12) == 0 || memcmp(octets, NAT64, 12) == 0) {
        return v4_is_never_next_hop(octets + 12);
    }
    return octets[0] == 0x20 && octets[1] == 0x02 && v4_is_never_next_hop(octets + 2);
}

bool ip_address_is_private(const struct ip_address *address)
{
    const uint8_t *octets = address->octets;

    switch (address->family) {
    case IP_NONE:
        return false;
    case IP_V4:
        return octets[0] == 10 || (octets[0] == 172 && (octets[1] & 0xf0) == 16) ||
               (octets[0] == 192 && octets[1] == 168) ||
               (octets[0] == 100 && (octets[1] & 0xc0) == 64);
    case IP_V6:
        return (octets[0] & 0xfe) == 0xfc;
    }
    return false;
}

bool ip_address_is_loopback(const struct ip_address *address)
{
    static const uint8_t LOOPBACK[16] = {[15] = 1};

    switch (address->family) {
    case IP_NONE:
        return false;
    case IP_V4:
        return address->octets[0] == 127;
    case IP_V6:
        return memcmp(address->octets, LOOPBACK, sizeof LOOPBACK) == 0;
    }
    return false;
}

bool ip_address_is_unspecified(const struct ip_address *address)
{
    static const uint8_t zeros[16];

    return memcmp(address->octets, zeros, address->family == IP_V4 ? 4 : 16) == 0;
}
