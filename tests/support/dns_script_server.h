/*
 * dns_script_server - a DNS server on loopback, in a thread, that behaves as the name asked for
 * says.
 *
 * Names   the first label up to a digit or dash chooses: "ok" an address, "ad" the same with
 * AD, "nx", "nodata", "servfail", "refused"; "tc" only TC over UDP, 100 addresses over TCP;
 *         "big" 60 addresses over UDP; "wrongid" first an answer of another id with another
 *         address; "silent"; "slow" after 100 ms; "hold" when no question has come for 50 ms;
 *         "formerr" no EDNS understood;
 *         "rst" TC over UDP, over TCP FORMERR, an answer and a reset at once; "short" an answer cut in the middle; "ttl" 0 seconds.
 */
#ifndef TESTS_SUPPORT_DNS_SCRIPT_SERVER_H
#define TESTS_SUPPORT_DNS_SCRIPT_SERVER_H

#include "support/dns_packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPT_HELD_LIMIT = 2000 };

struct script_question {
    struct sockaddr_in from;
    unsigned id;
    char name[256];
    unsigned type;
    bool has_opt;
};

struct dns_script_server {
    pthread_t thread;
    int udp, tcp;
    int stop[2];
    uint16_t port;
    atomic_int questions, tcp_questions, wrong_questions; /* without AD bit or EDNS 1232 */
    atomic_int most_held, released;                       /* of those held: answered */
    struct script_question held[SCRIPT_HELD_LIMIT];
    int held_count;
};

static inline bool script_read_question(const uint8_t *data, size_t len,
                                        struct script_question *question)
{
    size_t at = 12, out = 0;

    if (len < 17) {
        return false;
    }
    question->id = (unsigned)data[0] << 8 | data[1];
    while (at < len && data[at] != 0) {
        for (unsigned i = 1; i <= data[at] && at + i < len && out < 250; i++) {
            question->name[out++] = (char)data[at + i];
        }
        at += 1u + data[at];
        question->name[out++] = '.';
    }
    question->name[out > 0 ? out - 1 : 0] = '\0';
    question->type = at + 2 < len ? data[at + 2] : 0;
    question->has_opt = data[11] == 1;
    return true;
}

static inline bool script_is_well_asked(const uint8_t *data, size_t len)
{
    static const uint8_t opt[11] = {0, 0, 41, 1232 >> 8, 1232 & 0xff};

    return data[2] == 1 && data[3] == 0x20 && len > 28 &&
           memcmp(data + len - 11, opt, sizeof opt) == 0;
}

static inline bool script_is(const struct script_question *question, const char *kind)
{
    size_t len = strlen(kind);

    return strncmp(question->name, kind, len) == 0 &&
           !ascii_is_alpha((unsigned char)question->name[len]);
}

static inline void script_addresses(struct strbuf *out, const struct script_question *question,
                                    unsigned flags, unsigned count, uint32_t ttl, char last)
{
    dns_packet_begin(out, question->id, flags, question->name, question->type, count, 0);
    for (unsigned i = 0; i < count; i++) {
        char octets[4] = {(char)192, 0, 2, (char)(last + (char)i)};

        /* The owner as a pointer to the question. */
        strbuf_add(out, BYTES("\xc0\x0c\0\1\0\1"));
        dns_packet_u32(out, ttl);
        dns_packet_u16(out, 4);
        strbuf_add(out, bytes_of(octets, 4));
    }
}

/* Writes the answer to a question; nothing for "silent". */
static inline void script_answer(const struct script_question *question, bool is_tcp,
                                 struct strbuf *out)
{
    unsigned flags = DNS_QR | DNS_RD | DNS_RA;

    if (script_is(question, "silent")) {
        return;
    }
    if (script_is(question, "nx") || script_is(question, "nodata")) {
        flags |= script_is(question, "nx") ? 3 : 0;
        dns_packet_begin(out, question->id, flags, question->name, question->type, 0, 1);
        dns_packet_soa(out, "example", 600, 300);
    } else if (script_is(question, "servfail") || script_is(question, "refused")) {
        flags |= script_is(question, "servfail") ? 2 : 5;
        dns_packet_begin(out, question->id, flags, question->name, question->type, 0, 0);
    } else if (script_is(question, "formerr") && question->has_opt) {
        dns_packet_begin(out, question->id, flags | 1, question->name, question->type, 0, 0);
    } else if ((script_is(question, "tc") || script_is(question, "rst")) && !is_tcp) {
        script_addresses(out, question, flags | DNS_TC, 0, 300, 1);
    } else if (script_is(question, "tc")) {
        script_addresses(out, question, flags, 100, 300, 1);
    } else if (script_is(question, "big")) {
        script_addresses(out, question, flags, 60, 300, 1);
    } else if (script_is(question, "short")) {
        script_addresses(out, question, flags, 2, 300, 1);
        strbuf_truncate(out, out->len - 5);
    } else {
        flags |= script_is(question, "ad") ? DNS_AD : 0;
        script_addresses(out, question, flags, 1, script_is(question, "ttl") ? 0 : 300, 1);
    }
}

static inline void script_reply(struct dns_script_server *server,
                                const struct script_question *question)
{
    struct strbuf out;

    strbuf_init(&out, 5000);
    if (script_is(question, "wrongid")) {
        struct script_question other = *question;

        other.id ^= 1;
        script_addresses(&out, &other, DNS_QR | DNS_RD | DNS_RA, 1, 300, 99);
        (void)sendto(server->udp, out.data, out.len, 0,
                     (const struct sockaddr *)&question->from, sizeof question->from);
        strbuf_reset(&out);
    }
    script_answer(question, false, &out);
    if (out.len > 0) {
        (void)sendto(server->udp, out.data, out.len, 0,
                     (const struct sockaddr *)&question->from, sizeof question->from);
    }
    strbuf_clear(&out);
}

static inline void script_release(struct dns_script_server *server)
{
    if (server->held_count > server->most_held) {
        server->most_held = server->held_count;
    }
    for (int i = 0; i < server->held_count; i++) {
        script_reply(server, &server->held[i]);
    }
    server->released += server->held_count;
    server->held_count = 0;
}

static inline void script_take_udp(struct dns_script_server *server)
{
    struct script_question question = {0};
    socklen_t from_len = sizeof question.from;
    uint8_t data[2000];
    ssize_t len = recvfrom(server->udp, data, sizeof data, 0, (struct sockaddr *)&question.from,
                           &from_len);

    if (len < 0 || !script_read_question(data, (size_t)len, &question)) {
        return;
    }
    server->questions++;
    if (!script_is_well_asked(data, (size_t)len)) {
        server->wrong_questions++;
    }
    if (script_is(&question, "slow")) {
        usleep(100 * 1000);
    }
    if (script_is(&question, "hold")) {
        assert(server->held_count < SCRIPT_HELD_LIMIT);
        server->held[server->held_count++] = question;
    } else {
        script_reply(server, &question);
    }
}

/* One connection with one question: enough for us. */
static inline void script_take_tcp(struct dns_script_server *server)
{
    int fd = accept(server->tcp, NULL, NULL);
    struct script_question question = {0};
    struct strbuf out, framed;
    uint8_t data[2000];
    size_t len = 0;

    while (len < 2 || len < 2u + ((unsigned)data[0] << 8 | data[1])) {
        ssize_t got = read(fd, data + len, sizeof data - len);

        if (got <= 0) {
            close(fd);
            return;
        }
        len += (size_t)got;
    }
    server->tcp_questions++;
    strbuf_init(&out, 5000);
    strbuf_init(&framed, 10000);
    if (script_read_question(data + 2, len - 2, &question)) {
        if (script_is(&question, "rst")) {
            struct linger at_once = {.l_onoff = 1};

            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            dns_packet_begin(&out, question.id, DNS_QR | DNS_RD | DNS_RA | 1, question.name,
                             question.type, 0, 0);
            dns_packet_u16(&framed, (unsigned)out.len);
            strbuf_add(&framed, strbuf_bytes(&out));
            strbuf_reset(&out);
        }
        script_answer(&question, true, &out);
        dns_packet_u16(&framed, (unsigned)out.len);
        strbuf_add(&framed, strbuf_bytes(&out));
        (void)!write(fd, framed.data, framed.len);
    }
    strbuf_clear(&out);
    strbuf_clear(&framed);
    close(fd);
}

static inline void *script_run(void *context)
{
    struct dns_script_server *server = context;

    for (;;) {
        struct pollfd fds[] = {{.fd = server->udp, .events = POLLIN},
                               {.fd = server->tcp, .events = POLLIN},
                               {.fd = server->stop[0], .events = POLLIN}};
        int ready = poll(fds, 3, server->held_count > 0 ? 50 : -1);

        if (ready == 0) {
            script_release(server);
        }
        if (fds[2].revents != 0) {
            return NULL;
        }
        if (fds[0].revents != 0) {
            script_take_udp(server);
        }
        if (fds[1].revents != 0) {
            script_take_tcp(server);
        }
    }
}

/* Both sockets on one free port. */
static inline void script_bind(struct dns_script_server *server)
{
    for (;;) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;

        server->udp = socket(AF_INET, SOCK_DGRAM, 0);
        server->tcp = socket(AF_INET, SOCK_STREAM, 0);
        assert(bind(server->udp, (struct sockaddr *)&address, len) == 0);
        assert(getsockname(server->udp, (struct sockaddr *)&address, &len) == 0);
        server->port = ntohs(address.sin_port);
        if (bind(server->tcp, (struct sockaddr *)&address, len) == 0 &&
            listen(server->tcp, 10) == 0) {
            return;
        }
        close(server->udp);
        close(server->tcp);
    }
}

static inline struct dns_script_server *dns_script_server_new(void)
{
    struct dns_script_server *server = calloc(1, sizeof *server);

    script_bind(server);
    assert(pipe(server->stop) == 0);
    assert(pthread_create(&server->thread, NULL, script_run, server) == 0);
    return server;
}

static inline void dns_script_server_free(struct dns_script_server *server)
{
    (void)!write(server->stop[1], "x", 1);
    pthread_join(server->thread, NULL);
    close(server->udp);
    close(server->tcp);
    close(server->stop[0]);
    close(server->stop[1]);
    free(server);
}

#endif
