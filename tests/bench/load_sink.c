/*
 * load_sink - the next hop of a benchmark: an SMTP server that takes everything at once.
 *
 *   load_sink COUNTS_FILE PORT SRS_DOMAIN
 *
 * One thread, epoll, loopback only. Counts every message once (load_counts.h) and checks that its
 * envelope sender is an SRS0 address at SRS_DOMAIN stamped today or a day beside it. Ends on SIGTERM
 * or after an hour.
 */
#include "load_counts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE 131072
#define HEADER_KEPT 8192
#define FDS_MAX 65536

struct connection {
    bool in_content;
    size_t line_len;
    size_t header_len;
    char tail[4]; /* the last octets of the content so far, for a dot line cut in two */
    char from[512];
    char line[2048];
    char header[HEADER_KEPT];
};

static struct load_counts *counts;
static const char *srs_domain;
static struct connection *by_fd[FDS_MAX];

/* The two base32 digits of an SRS time stamp: days since 1970, modulo 1024. */
static bool is_stamp_of_today(const char *stamp)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const char *high = stamp[0] ? strchr(digits, toupper((unsigned char)stamp[0])) : NULL;
    const char *low =
        high && stamp[1] ? strchr(digits, toupper((unsigned char)stamp[1])) : NULL;

    if (!low || stamp[2] != '=') {
        return false;
    }
    int day = (int)((high - digits) * 32 + (low - digits));
    int age = (int)((time(NULL) / 86400 - day) % 1024 + 1024) % 1024;
    return age <= 1 || age == 1023;
}

/* SRS0=TAG=TT=host=local@srs-domain */
static bool is_srs_sender(const char *from)
{
    const char *at = strrchr(from, '@');

    if (!at || strcasecmp(at + 1, srs_domain) != 0 || strncasecmp(from, "SRS0", 4) != 0 ||
        !strchr("=+-", from[4])) {
        return false;
    }
    const char *tag_end = strchr(from + 5, '=');
    if (!tag_end || tag_end - (from + 5) < 4 || !is_stamp_of_today(tag_end + 1)) {
        return false;
    }
    const char *host = tag_end + 4;
    const char *local = strchr(host, '=');
    return local && local > host && local + 1 < at;
}

static void count_message(struct connection *connection)
{
    unsigned long long run = 0;
    unsigned sequence = 0;

    connection->header[connection->header_len] = '\0';
    const char *id = strcasestr(connection->header, "X-Load-Id: ");
    if (!id || sscanf(id + 11, "%llu-%u", &run, &sequence) != 2 || run != counts->run ||
        sequence >= LOAD_MESSAGES_MAX) {
        counts->foreign++;
        return;
    }
    if (!is_srs_sender(connection->from)) {
        counts->wrong_envelope++;
    }
    if (atomic_fetch_add(&counts->seen[sequence], 1) != 0) {
        counts->duplicates++;
    } else {
        counts->delivered++;
    }
    counts->last_ns = load_now_ns();
}

/* The answers of one read go out together: one write, as a good server does. */
struct answers {
    char text[4096];
    size_t len;
};

static void flush_answers(int fd, struct answers *answers)
{
    if (answers->len > 0 && send(fd, answers->text, answers->len, MSG_NOSIGNAL) < 0 &&
        errno != EPIPE && errno != ECONNRESET) {
        die("send");
    }
    answers->len = 0;
}

static void answer(int fd, struct answers *answers, const char *text)
{
    size_t len = strlen(text);

    if (answers->len + len > sizeof(answers->text)) {
        flush_answers(fd, answers);
    }
    memcpy(answers->text + answers->len, text, len);
    answers->len += len;
}

static void keep_sender(struct connection *connection, const char *line)
{
    const char *start = strchr(line, '<');
    const char *end = start ? strchr(start, '>') : NULL;

    snprintf(connection->from, sizeof(connection->from), "%.*s",
             end ? (int)(end - start - 1) : 0, end ? start + 1 : "");
}

/* False: the client quits. */
static bool take_command(int fd, struct connection *connection, struct answers *answers)
{
    switch (toupper((unsigned char)connection->line[0])) {
    case 'E':
        answer(fd, answers,
               "250-sink\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n"
               "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
        return true;
    case 'M':
        keep_sender(connection, connection->line);
        answer(fd, answers, "250 2.1.0 ok\r\n");
        return true;
    case 'D':
        connection->in_content = true;
        connection->header_len = 0;
        memcpy(connection->tail, "xx\r\n", 4);
        answer(fd, answers, "354 go\r\n");
        return true;
    case 'Q':
        answer(fd, answers, "221 2.0.0 bye\r\n");
        return false;
    default: /* HELO, RCPT, RSET, NOOP */
        answer(fd, answers, "250 2.0.0 ok\r\n");
        return true;
    }
}

static size_t take_line(int fd, struct connection *connection, const char *data, size_t len,
                        struct answers *answers, bool *goes_on)
{
    const char *end = memchr(data, '\n', len);
    size_t used = end ? (size_t)(end - data) + 1 : len;

    if (connection->line_len + used >= sizeof(connection->line)) {
        *goes_on = false;
        return len;
    }
    memcpy(connection->line + connection->line_len, data, used);
    connection->line_len += used;
    if (end) {
        connection->line[connection->line_len] = '\0';
        connection->line_len = 0;
        *goes_on = take_command(fd, connection, answers);
    }
    return used;
}

/* data has four octets before it that may be written: the end of what came before goes there, so
 * that CRLF.CRLF is found over the seam. */
static size_t take_content(int fd, struct connection *connection, char *data, size_t len,
                           struct answers *answers)
{
    char saved[4];

    memcpy(saved, data - 4, 4);
    memcpy(data - 4, connection->tail, 4);
    char *end = memmem(data - 4, len + 4, "\r\n.\r\n", 5);
    size_t used = end ? (size_t)(end + 5 - data) : len;
    size_t room = HEADER_KEPT - 1 - connection->header_len;
    size_t kept = used < room ? used : room;
    memcpy(connection->header + connection->header_len, data, kept);
    connection->header_len += kept;
    if (end) {
        count_message(connection);
        connection->in_content = false;
        answer(fd, answers, "250 2.0.0 taken\r\n");
    } else {
        memcpy(connection->tail, data + len - 4,
               4); /* len >= 0: the old tail lies before data */
    }
    memcpy(data - 4, saved, 4);
    return used;
}

static void drop(int fd)
{
    close(fd);
    free(by_fd[fd]);
    by_fd[fd] = NULL;
}

static void on_readable(int fd, char *buffer)
{
    struct connection *connection = by_fd[fd];
    struct answers answers = {.len = 0};
    bool goes_on = true;
    ssize_t got = recv(fd, buffer, READ_SIZE, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    for (size_t at = 0; goes_on && got > 0 && at < (size_t)got;) {
        at +=
            connection->in_content
                ? take_content(fd, connection, buffer + at, (size_t)got - at, &answers)
                : take_line(fd, connection, buffer + at, (size_t)got - at, &answers, &goes_on);
    }
    flush_answers(fd, &answers);
    if (got <= 0 || !goes_on) {
        drop(fd);
    }
}

static void accept_all(int listener, int epoll)
{
    static const char greeting[] = "220 sink ESMTP\r\n";
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= FDS_MAX || !(by_fd[fd] = malloc(sizeof(*by_fd[fd])))) {
            die("accept");
        }
        by_fd[fd]->in_content = false;
        by_fd[fd]->line_len = 0;
        counts->connections++;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        if (send(fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL) < 0) {
            drop(fd);
        }
    }
}

static int open_listener(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0) {
        die("listen");
    }
    return fd;
}

int main(int argc, char **argv)
{
    static char buffer[READ_SIZE + 4];

    if (argc != 4) {
        fprintf(stderr, "load_sink COUNTS_FILE PORT SRS_DOMAIN\n");
        return 2;
    }
    counts = load_counts_map(argv[1]);
    srs_domain = argv[3];
    alarm(3600);
    int listener = open_listener((uint16_t)atoi(argv[2]));
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) {
                accept_all(listener, epoll);
            } else if (by_fd[events[i].data.fd]) {
                on_readable(events[i].data.fd, buffer + 4);
            }
        }
    }
}
