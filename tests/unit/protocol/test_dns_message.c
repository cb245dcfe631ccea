#include "support/check.h"

#include "support/dns_packet.h"

#include <stdlib.h>

enum { ANSWER = DNS_QR | DNS_RD | DNS_RA };

struct fixture {
    struct arena *arena;
    struct strbuf packet;
    struct dns_answer answer;
};

static void begin(struct fixture *fixture)
{
    fixture->arena = arena_new();
    strbuf_init(&fixture->packet, 70000);
}

static void end(struct fixture *fixture)
{
    arena_free(&fixture->arena);
    strbuf_clear(&fixture->packet);
}

/* Reads from a copy that is gone afterwards: an answer must not point into the message. */
static void read_packet(struct fixture *fixture, const char *name, uint16_t type)
{
    size_t len = fixture->packet.len;
    char *copy = malloc(len + 1);

    memcpy(copy, strbuf_text(&fixture->packet), len);
    dns_answer_read(bytes_of(copy, len), bytes_from_text(name), type, fixture->arena,
                    &fixture->answer);
    memset(copy, 0xee, len);
    free(copy);
}

static void check_failed(const char *name, const struct dns_answer *answer, const char *why)
{
    CHECK_INT(name, answer->status, DNS_TEMPFAIL);
    CHECK_TEXT(name, answer->why, why);
    CHECK_INT(name, answer->count, 0);
}

static void test_names(void **state)
{
    static const struct {
        const char *name, *text, *want; /* want NULL: no DNS name */
    } cases[] = {
        {"lower case", "Mail.Example.ORG", "mail.example.org"},
        {"trailing dot", "example.org.", "example.org"},
        {"root", ".", ""},
        {"empty is the root", "", ""},
        {"underscore, star, dash", "_dmarc.*.a-b", "_dmarc.*.a-b"},
        {"printable octet", "0/25.2.0.192.in-addr.arpa", "0\\04725.2.0.192.in-addr.arpa"},
        {"escape stays", "a\\046b.example", "a\\046b.example"},
        {"escape of a letter", "\\065b.example", "ab.example"},
        {"escaped NUL", "a\\000b", "a\\000b"},
        {"escape too big", "a\\256", NULL},
        {"escape too short", "a\\04", NULL},
        {"escape of no digits", "a\\b12", NULL},
        {"two trailing dots", "example.org..", NULL},
        {"leading dot", ".example.org", NULL},
        {"empty label", "a..b", NULL},
        {"blank", "a b.example", NULL},
        {"control", "a\nb.example", NULL},
        {"eight bit", "b\xc3\xbc.example", NULL},
        {"label of 63", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123.x",
         "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123.x"},
        {"label of 64", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234.x",
         NULL},
    };
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 300);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool ok = dns_name_normalise(bytes_from_text(cases[i].text), &out);

        CHECK_INT(cases[i].name, ok, cases[i].want != NULL);
        if (ok) {
            CHECK_BYTES(cases[i].name, strbuf_bytes(&out), bytes_from_text(cases[i].want));
        }
    }
    strbuf_clear(&out);
}

static void test_name_length(void **state)
{
    char text[300];
    struct dns_name name;

    (void)state;
    /* 126 labels "a." and one more octet: 253 octets as text, 255 on the wire. */
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 == 0 ? 'a' : '.';
    }
    CHECK_TRUE("253", dns_name_read(bytes_of(text, 253), &name));
    CHECK_INT("253", name.len, 253);
    CHECK_TRUE("253 and a dot", dns_name_read(bytes_of(text, 254), &name));
    CHECK_TRUE("255", !dns_name_read(bytes_of(text, 255), &name));
    /* Short on the wire, too long as text. */
    memset(text, '+', 63);
    text[63] = '.';
    memset(text + 64, '+', 2);
    CHECK_TRUE("escapes up to 253", !dns_name_read(bytes_of(text, 66), &name));
    CHECK_TRUE("one label of escapes", dns_name_read(bytes_of(text, 63), &name));
    CHECK_INT("one label of escapes", name.len, 252);
}

static void test_query(void **state)
{
    static const char want[] = "\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01"
                               "\x01x\x03org\x00\x00\x0f\x00\x01"
                               "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 600);
    CHECK_TRUE("query", dns_query_write(&out, 0x1234, BYTES("X.org"), DNS_TYPE_MX));
    CHECK_BYTES("query", strbuf_bytes(&out), bytes_of(want, sizeof want - 1));
    strbuf_reset(&out);
    CHECK_TRUE("no name", !dns_query_write(&out, 1, BYTES("a..b"), DNS_TYPE_MX));
    CHECK_INT("no name", out.len, 0);
    strbuf_clear(&out);
}

static void test_mx(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER | DNS_AD, "Example.org", DNS_TYPE_MX, 3, 0);
    /* Owner as a pointer to the question, host "mx1" + pointer. */
    strbuf_add(&f.packet, BYTES("\xc0\x0c\x00\x0f\x00\x01\x00\x00\x01\x2c\x00\x08"
                                "\x00\x0a\x03MX1\xc0\x0c"));
    dns_packet_name_record(&f.packet, "example.org", DNS_TYPE_MX, 60, 20, "a/b.example");
    dns_packet_name_record(&f.packet, "other.org", DNS_TYPE_MX, 1, 5, "mx.other.org");
    read_packet(&f, "example.ORG", DNS_TYPE_MX);
    CHECK_INT("mx", f.answer.status, DNS_OK);
    CHECK_TRUE("mx", f.answer.is_secure);
    CHECK_TRUE("mx", f.answer.why == NULL);
    CHECK_INT("mx", f.answer.count, 2);
    CHECK_INT("mx", f.answer.ttl, 60);
    CHECK_BYTES("owner", f.answer.owner, BYTES("example.org"));
    CHECK_INT("first", f.answer.records[0].mx.preference, 10);
    CHECK_INT("first", f.answer.records[0].ttl, 300);
    CHECK_BYTES("first", f.answer.records[0].mx.host, BYTES("mx1.example.org"));
    CHECK_INT("second", f.answer.records[1].mx.preference, 20);
    CHECK_BYTES("second", f.answer.records[1].mx.host, BYTES("a\\047b.example"));
    end(&f);
}

static void test_null_mx(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "n.org", DNS_TYPE_MX, 1, 0);
    dns_packet_name_record(&f.packet, "n.org", DNS_TYPE_MX, 60, 0, "");
    read_packet(&f, "n.org", DNS_TYPE_MX);
    CHECK_INT("null mx", f.answer.status, DNS_OK);
    CHECK_BYTES("null mx", f.answer.records[0].mx.host, BYTES(""));
    CHECK_TRUE("null mx", !f.answer.is_secure);
    end(&f);
}

static void test_addresses(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "h.org", DNS_TYPE_AAAA, 2, 0);
    dns_packet_record(&f.packet, "h.org", DNS_TYPE_AAAA, 60,
                      BYTES("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"));
    dns_packet_record(&f.packet, "h.org", DNS_TYPE_AAAA, 60,
                      BYTES("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01"));
    read_packet(&f, "h.org", DNS_TYPE_AAAA);
    CHECK_INT("aaaa", f.answer.count, 2);
    CHECK_INT("aaaa", f.answer.records[0].address.family, IP_V6);
    CHECK_INT("aaaa", f.answer.records[0].address.octets[15], 1);
    CHECK_INT("mapped", f.answer.records[1].address.family, IP_V4);
    CHECK_INT("mapped", f.answer.records[1].address.octets[0], 127);
    CHECK_INT("mapped", f.answer.records[1].address.octets[15], 0);
    end(&f);
}

static void test_txt(void **state)
{
    static const struct {
        const char *name;
        struct bytes rdata, want;
        const char *why;
    } cases[] = {
        {"strings are joined", BYTES("\x07v=spf1 \x04-all"), BYTES("v=spf1 -all"), NULL},
        {"empty string", BYTES("\0"), BYTES(""), NULL},
        {"NUL inside",
         BYTES("\x03"
               "a\0b"),
         BYTES("a\0b"), NULL},
        {"no string", BYTES(""), BYTES(""), "malformed"},
        {"string too long",
         BYTES("\x05"
               "abc"),
         BYTES(""), "malformed"},
        {"second too long",
         BYTES("\x01"
               "a\x02"
               "b"),
         BYTES(""), "malformed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;

        begin(&f);
        dns_packet_begin(&f.packet, 1, ANSWER, "t.org", DNS_TYPE_TXT, 1, 0);
        dns_packet_record(&f.packet, "t.org", DNS_TYPE_TXT, 60, cases[i].rdata);
        read_packet(&f, "t.org", DNS_TYPE_TXT);
        if (cases[i].why != NULL) {
            check_failed(cases[i].name, &f.answer, cases[i].why);
        } else {
            CHECK_INT(cases[i].name, f.answer.count, 1);
            CHECK_BYTES(cases[i].name, f.answer.records[0].text, cases[i].want);
        }
        end(&f);
    }
}

/* How the record's data must look, for every type that has a shape. */
static void test_bad_rdata(void **state)
{
    static const struct {
        const char *name;
        uint16_t type;
        struct bytes rdata;
    } cases[] = {
        {"A of 3", DNS_TYPE_A, BYTES("\x01\x02\x03")},
        {"A of 5", DNS_TYPE_A, BYTES("\x01\x02\x03\x04\x05")},
        {"A of 0 (CVE-2023-32067 kind)", DNS_TYPE_A, BYTES("")},
        {"AAAA of 4", DNS_TYPE_AAAA, BYTES("\x01\x02\x03\x04")},
        {"MX of 0", DNS_TYPE_MX, BYTES("")},
        {"MX of 1", DNS_TYPE_MX, BYTES("\0")},
        {"MX without a host", DNS_TYPE_MX, BYTES("\0\x0a")},
        {"MX host without end", DNS_TYPE_MX, BYTES("\0\x0a\x02mx")},
        {"MX with octets behind", DNS_TYPE_MX, BYTES("\0\x0a\x02mx\0x")},
        {"MX pointer cut", DNS_TYPE_MX, BYTES("\0\x0a\xc0")},
        {"MX pointer to itself", DNS_TYPE_MX, BYTES("\0\x0a\xc0\x25")},
        {"MX pointer forwards", DNS_TYPE_MX, BYTES("\0\x0a\xc0\xff")},
        {"MX pointer into the header", DNS_TYPE_MX, BYTES("\0\x0a\xc0\x00")},
        {"MX label kind 01", DNS_TYPE_MX,
         BYTES("\0\x0a\x41"
               "a\0")},
        {"NS of 0", DNS_TYPE_NS, BYTES("")},
        {"PTR with octets behind", DNS_TYPE_PTR,
         BYTES("\x01"
               "a\0\0")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;

        begin(&f);
        dns_packet_begin(&f.packet, 1, ANSWER, "t.org", cases[i].type, 1, 0);
        dns_packet_record(&f.packet, "t.org", cases[i].type, 60, cases[i].rdata);
        read_packet(&f, "t.org", cases[i].type);
        check_failed(cases[i].name, &f.answer, "malformed");
        end(&f);
    }
}

static void test_other_types(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "_25._tcp.mx.org", DNS_TYPE_TLSA, 1, 0);
    dns_packet_record(&f.packet, "_25._tcp.mx.org", DNS_TYPE_TLSA, 60, BYTES("\3\1\1abcd"));
    read_packet(&f, "_25._tcp.mx.org", DNS_TYPE_TLSA);
    CHECK_BYTES("tlsa", f.answer.records[0].rdata, BYTES("\3\1\1abcd"));
    strbuf_reset(&f.packet);
    dns_packet_begin(&f.packet, 1, ANSWER, "1.2.in-addr.arpa", DNS_TYPE_PTR, 1, 0);
    dns_packet_name_record(&f.packet, "1.2.in-addr.arpa", DNS_TYPE_PTR, 60, -1, "Host.ORG");
    read_packet(&f, "1.2.in-addr.arpa", DNS_TYPE_PTR);
    CHECK_BYTES("ptr", f.answer.records[0].name, BYTES("host.org"));
    end(&f);
}

static void test_codes(void **state)
{
    static const struct {
        const char *name;
        unsigned flags;
        const char *why;
    } cases[] = {
        {"formerr", ANSWER | 1, "formerr"},
        {"servfail", ANSWER | 2, "servfail"},
        {"notimp", ANSWER | 4, "notimp"},
        {"refused", ANSWER | 5, "refused"},
        {"yxdomain", ANSWER | 6, "error-code"},
        {"truncated", ANSWER | DNS_TC, "truncated"},
        {"no answer", DNS_RD, "malformed"},
        {"other opcode", ANSWER | 0x0800, "malformed"},
        {"servfail, AD", ANSWER | DNS_AD | 2, "servfail"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;

        begin(&f);
        dns_packet_begin(&f.packet, 1, cases[i].flags, "a.org", DNS_TYPE_A, 1, 0);
        dns_packet_record(&f.packet, "a.org", DNS_TYPE_A, 60, BYTES("\x0a\0\0\1"));
        read_packet(&f, "a.org", DNS_TYPE_A);
        check_failed(cases[i].name, &f.answer, cases[i].why);
        CHECK_INT(cases[i].name, f.answer.is_truncated, (cases[i].flags & DNS_TC) != 0);
        CHECK_TRUE(cases[i].name, !f.answer.is_secure);
        end(&f);
    }
}

static void test_wrong_question(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_A, 1, 0);
    dns_packet_record(&f.packet, "a.org", DNS_TYPE_A, 60, BYTES("\x0a\0\0\1"));
    read_packet(&f, "b.org", DNS_TYPE_A);
    check_failed("other name", &f.answer, "wrong-question");
    read_packet(&f, "a.org", DNS_TYPE_AAAA);
    check_failed("other type", &f.answer, "wrong-question");
    f.packet.data[5] = 0;
    read_packet(&f, "a.org", DNS_TYPE_A);
    check_failed("no question", &f.answer, "malformed");
    end(&f);
}

static void test_negative(void **state)
{
    static const struct {
        const char *name;
        unsigned code;
        bool has_soa, has_ns;
        uint32_t soa_ttl, minimum;
        enum dns_status want;
        uint32_t want_ttl;
    } cases[] = {
        {"nxdomain, minimum lower", 3, true, false, 3600, 300, DNS_NXDOMAIN, 300},
        {"nxdomain, ttl lower", 3, true, false, 100, 300, DNS_NXDOMAIN, 100},
        {"nxdomain, no soa", 3, false, false, 0, 0, DNS_NXDOMAIN, 0},
        {"nodata", 0, true, false, 3600, 60, DNS_NODATA, 60},
        {"nodata with ns and soa", 0, true, true, 3600, 60, DNS_NODATA, 60},
        {"nodata, no soa", 0, false, false, 0, 0, DNS_NODATA, 0},
        {"ttl with the top bit is 0", 0, true, false, 0x80000000, 60, DNS_NODATA, 0},
        {"referral: not an answer", 0, false, true, 0, 0, DNS_TEMPFAIL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;

        begin(&f);
        dns_packet_begin(&f.packet, 1, ANSWER | cases[i].code, "x.org", DNS_TYPE_MX, 0,
                         (unsigned)cases[i].has_soa + cases[i].has_ns);
        if (cases[i].has_ns) {
            dns_packet_name_record(&f.packet, "org", DNS_TYPE_NS, 60, -1, "ns.org");
        }
        if (cases[i].has_soa) {
            dns_packet_soa(&f.packet, "org", cases[i].soa_ttl, cases[i].minimum);
        }
        read_packet(&f, "x.org", DNS_TYPE_MX);
        CHECK_INT(cases[i].name, f.answer.status, cases[i].want);
        CHECK_INT(cases[i].name, f.answer.ttl, cases[i].want_ttl);
        end(&f);
    }
}

static void test_soa_cut(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER | 3, "x.org", DNS_TYPE_MX, 0, 1);
    dns_packet_record(&f.packet, "org", DNS_TYPE_SOA, 60, BYTES("\0\0\0\0\0\1\0\0"));
    read_packet(&f, "x.org", DNS_TYPE_MX);
    check_failed("short soa", &f.answer, "malformed");
    end(&f);
}

/* A chain of `links` CNAMEs from c0.org, in order or backwards, and one address at its end. */
static void write_chain(struct fixture *f, int links, bool backwards)
{
    dns_packet_begin(&f->packet, 1, ANSWER, "c0.org", DNS_TYPE_A, (unsigned)links + 1, 0);
    for (int i = 0; i < links; i++) {
        int link = backwards ? links - 1 - i : i;
        char from[32], to[32];

        snprintf(from, sizeof from, "c%d.org", link);
        snprintf(to, sizeof to, "c%d.org", link + 1);
        dns_packet_name_record(&f->packet, from, DNS_TYPE_CNAME, (uint32_t)(100 - link), -1,
                               to);
    }
    char last[32];
    snprintf(last, sizeof last, "c%d.org", links);
    dns_packet_record(&f->packet, last, DNS_TYPE_A, 600, BYTES("\xc0\0\2\1"));
}

static void test_chains(void **state)
{
    (void)state;
    for (int links = 0; links <= 10; links++) {
        for (int backwards = 0; backwards < 2; backwards++) {
            struct fixture f;
            char name[32];

            begin(&f);
            snprintf(name, sizeof name, "%d links", links);
            write_chain(&f, links, backwards);
            read_packet(&f, "c0.org", DNS_TYPE_A);
            if (links > DNS_CHAIN_LIMIT) {
                check_failed(name, &f.answer, "cname-chain");
            } else {
                char owner[32];

                snprintf(owner, sizeof owner, "c%d.org", links);
                CHECK_INT(name, f.answer.status, DNS_OK);
                CHECK_INT(name, f.answer.count, 1);
                CHECK_INT(name, f.answer.ttl, links == 0 ? 600 : 101 - links);
                CHECK_BYTES(name, f.answer.owner, bytes_from_text(owner));
            }
            end(&f);
        }
    }
}

static void test_chain_kinds(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_A, 2, 0);
    dns_packet_name_record(&f.packet, "a.org", DNS_TYPE_CNAME, 60, -1, "b.org");
    dns_packet_name_record(&f.packet, "b.org", DNS_TYPE_CNAME, 60, -1, "a.org");
    read_packet(&f, "a.org", DNS_TYPE_A);
    check_failed("loop", &f.answer, "cname-chain");

    strbuf_reset(&f.packet);
    dns_packet_begin(&f.packet, 1, ANSWER | 3, "a.org", DNS_TYPE_A, 1, 1);
    dns_packet_name_record(&f.packet, "a.org", DNS_TYPE_CNAME, 30, -1, "b.org");
    dns_packet_soa(&f.packet, "org", 600, 600);
    read_packet(&f, "a.org", DNS_TYPE_A);
    CHECK_INT("chain to nothing", f.answer.status, DNS_NXDOMAIN);
    CHECK_INT("chain to nothing", f.answer.ttl, 30);
    CHECK_BYTES("chain to nothing", f.answer.owner, BYTES("b.org"));

    strbuf_reset(&f.packet);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_CNAME, 1, 0);
    dns_packet_name_record(&f.packet, "a.org", DNS_TYPE_CNAME, 30, -1, "b.org");
    read_packet(&f, "a.org", DNS_TYPE_CNAME);
    CHECK_INT("asked for the CNAME", f.answer.status, DNS_OK);
    CHECK_BYTES("asked for the CNAME", f.answer.records[0].name, BYTES("b.org"));
    end(&f);
}

/* Every message cut short anywhere is a temporary failure, never a wrong answer. */
static void test_cut(void **state)
{
    struct fixture f;
    size_t len;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "example.org", DNS_TYPE_MX, 2, 0);
    dns_packet_name_record(&f.packet, "example.org", DNS_TYPE_MX, 60, 10, "mx1.example.org");
    dns_packet_name_record(&f.packet, "example.org", DNS_TYPE_MX, 60, 20, "mx2.example.org");
    len = f.packet.len;
    while (len-- > 0) {
        strbuf_truncate(&f.packet, len);
        read_packet(&f, "example.org", DNS_TYPE_MX);
        check_failed("cut", &f.answer, "malformed");
    }
    end(&f);
}

static void test_counts(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_A, 2, 0);
    dns_packet_record(&f.packet, "a.org", DNS_TYPE_A, 60, BYTES("\x0a\0\0\1"));
    read_packet(&f, "a.org", DNS_TYPE_A);
    check_failed("count lies", &f.answer, "malformed");

    strbuf_reset(&f.packet);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_A, 200, 0);
    for (int i = 0; i < 200; i++) {
        char octets[4] = {10, 0, 0, (char)i};

        dns_packet_record(&f.packet, "a.org", DNS_TYPE_A, 60, bytes_of(octets, 4));
    }
    read_packet(&f, "a.org", DNS_TYPE_A);
    CHECK_INT("many", f.answer.status, DNS_OK);
    CHECK_INT("many", f.answer.count, DNS_RECORD_LIMIT);
    end(&f);
}

/* Pointers that each lead to the one before: 64 are followed, 65 are not. */
static void test_pointers(void **state)
{
    (void)state;
    for (unsigned pointers = 63; pointers <= 66; pointers++) {
        struct fixture f;
        char name[32];
        size_t at;

        begin(&f);
        snprintf(name, sizeof name, "%u pointers", pointers);
        dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_A, 2, 0);
        /* A record of a foreign name that carries the chain in its data ... */
        strbuf_add(&f.packet, BYTES("\0\0\x63\0\1\0\0\0\0"));
        dns_packet_u16(&f.packet, 2 * (pointers - 1));
        at = f.packet.len;
        for (unsigned i = 0; i + 1 < pointers; i++) {
            dns_packet_u16(&f.packet, (unsigned)(0xc000 | (i == 0 ? 12 : at + 2 * (i - 1))));
        }
        /* ... and one whose owner is the last pointer. */
        dns_packet_u16(&f.packet, (unsigned)(0xc000 | (at + 2 * (pointers - 2))));
        strbuf_add(&f.packet, BYTES("\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"));
        read_packet(&f, "a.org", DNS_TYPE_A);
        CHECK_INT(name, f.answer.status, pointers <= 64 ? DNS_OK : DNS_TEMPFAIL);
        CHECK_INT(name, f.answer.count, pointers <= 64 ? 1 : 0);
        end(&f);
    }
}

/* A pointer forwards to what would be the right name: it could lead round and round. */
static void test_pointer_forwards(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_TLSA, 1, 0);
    strbuf_add(&f.packet, BYTES("\xc0\x23\0\x34\0\1\0\0\0\x3c\0\7\1a\3org\0"));
    read_packet(&f, "a.org", DNS_TYPE_TLSA);
    check_failed("forwards", &f.answer, "malformed");
    f.packet.data[24] = 12; /* the same, backwards to the question */
    read_packet(&f, "a.org", DNS_TYPE_TLSA);
    CHECK_INT("backwards", f.answer.count, 1);
    end(&f);
}

static void test_copy(void **state)
{
    struct fixture f;
    struct dns_answer copy;
    size_t size;
    char *memory;

    (void)state;
    begin(&f);
    dns_packet_begin(&f.packet, 1, ANSWER, "a.org", DNS_TYPE_TXT, 2, 0);
    dns_packet_record(&f.packet, "a.org", DNS_TYPE_TXT, 60, BYTES("\3one"));
    dns_packet_record(&f.packet, "a.org", DNS_TYPE_TXT, 60, BYTES("\5three"));
    read_packet(&f, "a.org", DNS_TYPE_TXT);
    size = dns_answer_size(&f.answer);
    memory = malloc(size);
    dns_answer_copy(&f.answer, memory, &copy);
    end(&f);
    CHECK_INT("copy", copy.count, 2);
    CHECK_BYTES("copy", copy.owner, BYTES("a.org"));
    CHECK_BYTES("copy", copy.records[0].text, BYTES("one"));
    CHECK_BYTES("copy", copy.records[1].text, BYTES("three"));
    CHECK_TRUE("exact size", copy.owner.data + copy.owner.len == memory + size);
    free(memory);
}

static void test_reverse_names(void **state)
{
    struct ip_address v4 = {.family = IP_V4, .octets = {192, 0, 2, 7}};
    struct ip_address v6 = {.family = IP_V6, .octets = {0x20, 1, 0xd, 0xb8, [15] = 0xab}};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 100);
    dns_reverse_name_add(&out, &v4);
    CHECK_TEXT("v4", strbuf_text(&out), "7.2.0.192.in-addr.arpa");
    strbuf_reset(&out);
    dns_reverse_name_add(&out, &v6);
    CHECK_TEXT("v6", strbuf_text(&out),
               "b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    strbuf_clear(&out);
    CHECK_TEXT("type", dns_type_text(DNS_TYPE_TLSA), "TLSA");
    CHECK_TEXT("type", dns_type_text(99), "other");
    CHECK_TEXT("status", dns_status_text(DNS_NXDOMAIN), "nxdomain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_length),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_mx),
        cmocka_unit_test(test_null_mx),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_txt),
        cmocka_unit_test(test_bad_rdata),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_wrong_question),
        cmocka_unit_test(test_negative),
        cmocka_unit_test(test_soa_cut),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_chain_kinds),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_pointer_forwards),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_reverse_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
