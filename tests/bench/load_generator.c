/*
 * load_generator - SMTP load: so many sessions at once, or so many messages a second.
 *
 *   load_generator -m COUNTS_FILE -p PORT [-c sessions] [-n messages] [-s size]
 *                  [-k messages_per_connection] [-q messages_per_second] [-t max_seconds]
 *                  [-M directory] [-X address]
 *   load_generator -m COUNTS_FILE -p PORT -I connections
 *
 * One thread, epoll, loopback only, from 127.1.0.1 to 127.1.0.16, PIPELINING where it is offered.
 * -q is an open loop: latency counts from the moment a message was due. As Postfix's client does, it
 * does not wait for the answer to QUIT. -M: message n is DIRECTORY/(n mod 20).eml, of the sender's domain
 * sender(n mod 20).test, instead of one that is made up. -X: each connection says by PROXY version 1 that it
 * comes from this address. -I opens connections, greets, prints a line, and holds them
 * until its standard input closes.
 * Prints one JSON object. Exit 0 only when every message was taken and came to the sink exactly once
 * with an SRS envelope. Latencies in ms: accept_ms from the final dot to its 250, transaction_ms from
 * the start of the connection.
 */
#include "load_counts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FDS_MAX 65536
#define SOURCES 16
#define DOMAINS 20
#define TRIES_MAX 50
#define RETRY_AFTER_NS 50000000
#define ANSWER_WAIT_NS                                                                         \
    10000000000 /* a connection that says nothing for so long is tried again */

enum phase { CONNECTING, GREETING, HELLO, ENVELOPE, CONTENT, HOLDING, LEAVING };

struct connection {
    int fd;
    enum phase phase;
    bool pipelining;
    unsigned answers; /* of the current envelope */
    unsigned sent;    /* messages on this connection */
    uint32_t sequence;
    int64_t start_ns, dot_ns, heard_ns;
    size_t line_len;
    char line[1024];
};

struct retry {
    uint32_t sequence;
    int64_t at_ns;
};

static struct {
    const char *counts_file, *directory, *client;
    uint16_t port;
    unsigned sessions, messages_per_connection, idle;
    uint32_t messages;
    size_t size;
    double rate, max_seconds;
} options = {.sessions = 1,
             .messages_per_connection = 1,
             .messages = 100,
             .size = 4096,
             .max_seconds = 60};

static struct load_counts *counts;
static struct connection *by_fd[FDS_MAX];
static int epoll_fd;
static unsigned active, holding, refused_count, retried_count, accepted_count;
static uint32_t next_sequence;
static int64_t start_ns;
static struct retry *retries;
static size_t retries_len;
static uint8_t *tries;
static float *accept_ms, *transaction_ms;
static struct iovec contents[DOMAINS];
static char first_error[160];

static void keep_error(const char *text)
{
    if (first_error[0] == '\0') {
        snprintf(first_error, sizeof(first_error), "%s", text);
        for (char *at = first_error; *at; at++) {
            *at = *at < ' ' || *at == '"' || *at == '\\' ? ' ' : *at;
        }
    }
}

static void write_all(int fd, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};

    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 100);
            continue;
        }
        if (sent < 0) {
            return; /* the reading side sees it too */
        }
        while (message.msg_iovlen > 0 && (size_t)sent >= message.msg_iov->iov_len) {
            sent -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
            message.msg_iov->iov_len -= (size_t)sent;
        }
    }
}

static void say(struct connection *connection, const char *text)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};

    write_all(connection->fd, &part, 1);
}

static int64_t due_ns(uint32_t sequence)
{
    return start_ns + (int64_t)(sequence / options.rate * 1e9);
}

static bool may_take_message(int64_t now_ns)
{
    for (size_t i = 0; i < retries_len; i++) {
        if (retries[i].at_ns <= now_ns) {
            return true;
        }
    }
    return next_sequence < options.messages &&
           (options.rate == 0 || due_ns(next_sequence) <= now_ns);
}

static void take_message(struct connection *connection, int64_t now_ns)
{
    connection->sequence = UINT32_MAX;
    for (size_t i = 0; i < retries_len && connection->sequence == UINT32_MAX; i++) {
        if (retries[i].at_ns <= now_ns) {
            connection->sequence = retries[i].sequence;
            retries[i] = retries[--retries_len];
        }
    }
    if (connection->sequence == UINT32_MAX) {
        connection->sequence = next_sequence++;
    }
    connection->start_ns = options.rate > 0 ? due_ns(connection->sequence) : now_ns;
}

static void forget(struct connection *connection)
{
    active -= connection->phase != LEAVING;
    holding -= connection->phase == HOLDING;
    close(connection->fd);
    by_fd[connection->fd] = NULL;
    free(connection);
}

/* The message of this connection goes another time. */
static void fail(struct connection *connection, const char *why)
{
    keep_error(why);
    if (tries[connection->sequence]++ < TRIES_MAX) {
        retries[retries_len++] = (struct retry){.sequence = connection->sequence,
                                                .at_ns = load_now_ns() + RETRY_AFTER_NS};
        retried_count++;
    } else {
        refused_count++;
    }
    forget(connection);
}

static void leave(struct connection *connection)
{
    say(connection, "QUIT\r\n");
    shutdown(connection->fd, SHUT_WR);
    connection->phase = LEAVING;
    active--;
}

static void open_connection(void)
{
    static unsigned turn;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    struct connection *connection = calloc(1, sizeof(*connection));

    if (fd < 0 || fd >= FDS_MAX || !connection) {
        die("socket");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    source.sin_addr.s_addr = htonl(0x7f010001u + turn++ % SOURCES);
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) != 0) {
        die("bind");
    }
    *connection = (struct connection){.fd = fd, .phase = CONNECTING, .heard_ns = load_now_ns()};
    by_fd[fd] = connection;
    active++;
    if (!options.idle) {
        take_message(connection, connection->heard_ns);
    }
    if (connect(fd, (struct sockaddr *)&target, sizeof(target)) != 0 && errno != EINPROGRESS) {
        fail(connection, strerror(errno));
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (options.client) { /* on loopback a connection is there at once */
        char line[128];
        snprintf(line, sizeof(line), "PROXY TCP4 %s 127.0.0.1 40000 25\r\n", options.client);
        poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
        say(connection, line);
    }
}

static void send_envelope(struct connection *connection)
{
    char commands[3][128];
    struct iovec parts[3];
    int count = connection->pipelining ? 3 : 1;
    int first = connection->pipelining ? 0 : (int)connection->answers;

    snprintf(commands[0], sizeof(commands[0]), "MAIL FROM:<s%u@sender%u.test>\r\n",
             connection->sequence % 1000, connection->sequence % DOMAINS);
    snprintf(commands[1], sizeof(commands[1]), "RCPT TO:<u%u@fwd.test>\r\n",
             connection->sequence % 1000);
    snprintf(commands[2], sizeof(commands[2]), "DATA\r\n");
    for (int i = 0; i < count; i++) {
        parts[i] = (struct iovec){.iov_base = commands[first + i],
                                  .iov_len = strlen(commands[first + i])};
    }
    connection->phase = ENVELOPE;
    write_all(connection->fd, parts, count);
}

static void send_content(struct connection *connection)
{
    char id[64];
    int id_len = snprintf(id, sizeof(id), "X-Load-Id: %llu-%u\r\n",
                          (unsigned long long)counts->run, connection->sequence);
    struct iovec parts[2] = {{.iov_base = id, .iov_len = (size_t)id_len},
                             contents[connection->sequence % DOMAINS]};

    connection->phase = CONTENT;
    connection->dot_ns = load_now_ns();
    write_all(connection->fd, parts, 2);
}

static void on_accepted(struct connection *connection)
{
    int64_t now_ns = load_now_ns();

    accept_ms[accepted_count] = (float)(now_ns - connection->dot_ns) / 1e6f;
    transaction_ms[accepted_count++] = (float)(now_ns - connection->start_ns) / 1e6f;
    connection->sent++;
    if (connection->sent < options.messages_per_connection && may_take_message(now_ns)) {
        take_message(connection, now_ns);
        connection->answers = 0;
        send_envelope(connection);
    } else {
        leave(connection);
    }
}

/* A whole reply has come. False: the connection is gone. */
static bool on_reply(struct connection *connection, int code)
{
    static const int wanted[] = {250, 250, 354};

    switch (connection->phase) {
    case CONNECTING:
    case GREETING:
        if (code != 220) {
            fail(connection, connection->line);
            return false;
        }
        connection->phase = HELLO;
        say(connection, "EHLO mail.sender.test\r\n");
        return true;
    case HELLO:
        if (code != 250) {
            fail(connection, connection->line);
            return false;
        }
        if (options.idle) {
            connection->phase = HOLDING;
            holding++;
        } else {
            send_envelope(connection);
        }
        return true;
    case ENVELOPE:
        if (code != wanted[connection->answers]) {
            fail(connection, connection->line);
            return false;
        }
        connection->answers++;
        if (connection->answers == 3) {
            send_content(connection);
        } else if (!connection->pipelining) {
            send_envelope(connection);
        }
        return true;
    case CONTENT:
        if (code != 250) {
            fail(connection, connection->line);
            return false;
        }
        on_accepted(connection);
        return true;
    case HOLDING:
    case LEAVING:
        return true;
    }
    return true;
}

static void on_readable(struct connection *connection)
{
    char buffer[4096];
    ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        if (connection->phase == LEAVING || options.idle) {
            forget(connection);
        } else {
            fail(connection, got < 0 ? strerror(errno) : "the server closed the connection");
        }
        return;
    }
    connection->heard_ns = load_now_ns();
    for (ssize_t i = 0; i < got; i++) {
        if (connection->line_len < sizeof(connection->line) - 1) {
            connection->line[connection->line_len++] = buffer[i];
        }
        if (buffer[i] != '\n') {
            continue;
        }
        connection->line[connection->line_len] = '\0';
        if (connection->phase == HELLO && connection->line_len > 14 &&
            strncasecmp(connection->line + 4, "PIPELINING", 10) == 0) {
            connection->pipelining = true;
        }
        bool is_last = connection->line_len < 4 || connection->line[3] != '-';
        connection->line_len = 0;
        if (is_last && !on_reply(connection, atoi(connection->line))) {
            return;
        }
    }
}

/* A burst may overflow a server's backlog; such a connection looks open and is never greeted. */
static void give_up_the_silent(int64_t now_ns)
{
    for (int fd = 0; fd < FDS_MAX; fd++) {
        struct connection *connection = by_fd[fd];
        if (connection && connection->phase < CONTENT &&
            now_ns - connection->heard_ns > ANSWER_WAIT_NS) {
            fail(connection, "no answer in time");
        }
    }
}

static void turn_loop(int wait_ms)
{
    struct epoll_event events[512];
    int ready = epoll_wait(epoll_fd, events, 512, wait_ms);

    for (int i = 0; i < ready; i++) {
        struct connection *connection = by_fd[events[i].data.fd];
        if (connection) {
            on_readable(connection);
        }
    }
}

static void hold_idle_connections(void)
{
    unsigned opened = 0;
    int64_t end_ns = start_ns + (int64_t)(options.max_seconds * 1e9);

    while (holding < options.idle && load_now_ns() < end_ns) {
        while (opened < options.idle && opened - holding < 16) {
            open_connection();
            opened++;
        }
        turn_loop(10);
    }
    printf("{\"idle\": %u}\n", holding);
    fflush(stdout);
    while (read(STDIN_FILENO, &(char){0}, 1) > 0) {
    }
    printf("{\"idle_at_end\": %u}\n", holding);
}

static void send_messages(void)
{
    int64_t end_ns = start_ns + (int64_t)(options.max_seconds * 1e9);
    int64_t swept_ns = start_ns;

    for (;;) {
        int64_t now_ns = load_now_ns();
        if (now_ns > end_ns) {
            keep_error("the run took too long");
            return;
        }
        while (active < options.sessions && may_take_message(now_ns)) {
            open_connection();
        }
        if (accepted_count + refused_count >= options.messages &&
            counts->delivered >= accepted_count) {
            return;
        }
        if (now_ns - swept_ns > 1000000000) {
            give_up_the_silent(now_ns);
            swept_ns = now_ns;
        }
        bool is_waiting = active == 0 || retries_len > 0 || options.rate > 0;
        turn_loop(is_waiting ? 1 : 100);
    }
}

static struct iovec write_content(void)
{
    static const char line[] =
        "The quick brown fox jumps over the lazy dog, 0123456789 times a day.\r\n";
    char *content = malloc(options.size + 1024);
    size_t len = (size_t)sprintf(
        content,
        "Received: from client.sender.test (client.sender.test [192.0.2.7])\r\n"
        "\tby mail.sender.test with ESMTPSA id 4Xyz; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        "From: Sender <s@sender.test>\r\nTo: User <user@fwd.test>\r\nSubject: benchmark "
        "message\r\n"
        "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <load.%d@sender.test>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        (int)getpid());
    while (len < options.size) {
        memcpy(content + len, line, sizeof(line) - 1);
        len += sizeof(line) - 1;
    }
    memcpy(content + len, ".\r\n", 3);
    return (struct iovec){.iov_base = content, .iov_len = len + 3};
}

/* A file as it is: no line in it begins with a dot, the last one ends with CRLF. */
static struct iovec read_content(size_t number)
{
    enum { LIMIT = 1024 * 1024 };
    char path[1024];
    char *content = malloc(LIMIT + 3);
    FILE *file;
    size_t len;

    snprintf(path, sizeof(path), "%s/%zu.eml", options.directory, number);
    file = fopen(path, "rb");
    if (!file || !content) {
        die(path);
    }
    len = fread(content, 1, LIMIT, file);
    fclose(file);
    memcpy(content + len, ".\r\n", 3);
    return (struct iovec){.iov_base = content, .iov_len = len + 3};
}

static void prepare_contents(void)
{
    for (size_t i = 0; i < DOMAINS; i++) {
        contents[i] = options.directory ? read_content(i)
                      : i == 0          ? write_content()
                                        : contents[0];
    }
}

static int compare_floats(const void *left, const void *right)
{
    float a = *(const float *)left;
    float b = *(const float *)right;
    return (a > b) - (a < b);
}

static double percentile(const float *sorted, double part)
{
    return accepted_count == 0 ? 0 : (double)sorted[(size_t)((accepted_count - 1) * part)];
}

static bool report(void)
{
    struct rusage usage;
    int64_t last_ns = counts->last_ns > start_ns ? counts->last_ns : load_now_ns();
    double seconds = (double)(last_ns - start_ns) / 1e9;
    uint32_t missing = 0;

    for (uint32_t i = 0; i < options.messages; i++) {
        missing += counts->seen[i] == 0;
    }
    qsort(accept_ms, accepted_count, sizeof(*accept_ms), compare_floats);
    qsort(transaction_ms, accepted_count, sizeof(*transaction_ms), compare_floats);
    getrusage(RUSAGE_SELF, &usage);
    bool good = accepted_count == options.messages && missing == 0 && counts->duplicates == 0 &&
                counts->wrong_envelope == 0;
    printf(
        "{\"good\": %s, \"messages\": %u, \"accepted\": %u, \"refused\": %u, \"retried\": %u, "
        "\"missing\": %u, \"duplicates\": %llu, \"wrong_envelope\": %llu, \"foreign\": %llu, "
        "\"sink_connections\": %llu, \"seconds\": %.4f, \"rate\": %.1f, ",
        good ? "true" : "false", options.messages, accepted_count, refused_count, retried_count,
        missing, (unsigned long long)counts->duplicates,
        (unsigned long long)counts->wrong_envelope, (unsigned long long)counts->foreign,
        (unsigned long long)counts->connections, seconds, (double)counts->delivered / seconds);
    printf("\"accept_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, "
           "\"transaction_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, "
           "\"generator_cpu\": %.3f, \"first_error\": \"%s\"}\n",
           percentile(accept_ms, .5), percentile(accept_ms, .99), percentile(accept_ms, 1),
           percentile(transaction_ms, .5), percentile(transaction_ms, .99),
           percentile(transaction_ms, 1),
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           first_error);
    return good;
}

static void read_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "m:p:c:n:s:k:q:t:I:M:X:")) != -1) {
        switch (option) {
        case 'm':
            options.counts_file = optarg;
            break;
        case 'p':
            options.port = (uint16_t)atoi(optarg);
            break;
        case 'c':
            options.sessions = (unsigned)atoi(optarg);
            break;
        case 'n':
            options.messages = (uint32_t)atoi(optarg);
            break;
        case 's':
            options.size = (size_t)atol(optarg);
            break;
        case 'k':
            options.messages_per_connection = (unsigned)atoi(optarg);
            break;
        case 'q':
            options.rate = atof(optarg);
            break;
        case 't':
            options.max_seconds = atof(optarg);
            break;
        case 'M':
            options.directory = optarg;
            break;
        case 'X':
            options.client = optarg;
            break;
        case 'I':
            options.idle = (unsigned)atoi(optarg);
            break;
        default:
            options.port = 0;
            break;
        }
    }
    if (!options.counts_file || options.port == 0 || options.messages > LOAD_MESSAGES_MAX ||
        options.sessions == 0) {
        fprintf(stderr, "load_generator: bad arguments, see the head of load_generator.c\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    counts = load_counts_map(options.counts_file);
    counts->run = (uint64_t)load_now_ns();
    counts->delivered = counts->duplicates = counts->wrong_envelope = counts->foreign = 0;
    counts->connections = 0;
    counts->last_ns = 0;
    for (uint32_t i = 0; i < LOAD_MESSAGES_MAX; i++) {
        counts->seen[i] = 0;
    }
    prepare_contents();
    accept_ms = malloc((options.messages + 1) * sizeof(*accept_ms));
    transaction_ms = malloc((options.messages + 1) * sizeof(*transaction_ms));
    retries = malloc((options.messages + 1) * sizeof(*retries));
    tries = calloc(options.messages + 1, 1);
    epoll_fd = epoll_create1(0);
    start_ns = load_now_ns();
    if (options.idle) {
        hold_idle_connections();
        return holding == options.idle ? 0 : 1;
    }
    send_messages();
    return report() ? 0 : 1;
}
