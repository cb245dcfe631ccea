/*
 * load_clients - very many SMTP clients at once, moved by commands on standard input.
 *
 *   load_clients PORT
 *
 * One thread, epoll, loopback only, from 127.1.0.1 to 127.1.0.16. Each command is one line, and each is
 * answered by one line of JSON:
 *
 *   open PLAIN SECURE       so many more clients, which say EHLO (the latter STARTTLS, too) and stay
 *   visit COUNT GAP_MS      clients one after the other: connect, banner, EHLO, QUIT; how long each took
 *   noop COUNT GAP_MS       NOOPs of one client that stays; how long each took
 *   say COMMAND             one command of everybody who stays
 *   shake COUNT AT_ONCE full|resumed     clients with STARTTLS that come and go
 *   quit                    those who stay say QUIT
 *
 * "good" counts clients whom the server answered as it should have, up to the 221 of those who went.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOURCES = 16, OPENING = 256, EVENTS = 256, PATIENCE_MS = 20000, COUNT_MAX = 200000 };

enum step { BANNER, HELLO, UPGRADE, HANDSHAKE, HELLO_AGAIN, STAYS, NOOP, LEAVING };

struct client {
    int fd;
    enum step step;
    bool is_secure, is_visitor;
    SSL *ssl; /* or NULL */
    int64_t begun_ns;
    size_t len;
    char input[2048];
    struct client *next; /* of those who stay */
};

static uint16_t port;
static int epoll_fd;
static SSL_CTX *tls;
static SSL_SESSION *ticket;
static bool is_resuming;
static struct client *staying;
static unsigned busy, good, bad, resumed;
static double *took_ms;
static size_t took_count;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note_time(int64_t since_ns)
{
    if (took_count < COUNT_MAX) {
        took_ms[took_count++] = (double)(now_ns() - since_ns) / 1e6;
    }
}

/* ---- one client ---- */

static void drop(struct client *client, bool is_good)
{
    busy--;
    good += is_good;
    bad += !is_good;
    if (client->ssl != NULL) {
        SSL_set_shutdown(client->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(client->ssl);
    }
    close(client->fd);
    free(client);
}

static bool say(struct client *client, const char *text)
{
    int len = (int)strlen(text);

    return client->ssl != NULL ? SSL_write(client->ssl, text, len) == len
                               : send(client->fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool leave(struct client *client)
{
    client->step = LEAVING;
    return say(client, "QUIT\r\n");
}

static void stay(struct client *client)
{
    client->step = STAYS;
    client->next = staying;
    staying = client;
    busy--;
    good++;
}

static bool start_handshake(struct client *client)
{
    client->ssl = SSL_new(tls);
    SSL_set_fd(client->ssl, client->fd);
    SSL_set_connect_state(client->ssl);
    if (is_resuming && ticket != NULL) {
        SSL_set_session(client->ssl, ticket);
    }
    client->step = HANDSHAKE;
    return true;
}

/* A reply is whole. False: it is not the one it should be, or all is done. */
static bool step(struct client *client, char kind)
{
    switch (client->step) {
    case BANNER:
        client->step = HELLO;
        return kind == '2' && say(client, "EHLO load.test\r\n");
    case HELLO:
        if (kind == '2' && client->is_secure) {
            client->step = UPGRADE;
            return say(client, "STARTTLS\r\n");
        }
        break;
    case UPGRADE:
        return kind == '2' && start_handshake(client);
    case HELLO_AGAIN:
        break;
    case NOOP:
        client->step = STAYS;
        busy--;
        good += kind == '2' || kind == '3';
        bad += kind != '2' && kind != '3';
        return true;
    case HANDSHAKE:
    case STAYS:
    case LEAVING:
        return false;
    }
    if (kind != '2') {
        return false;
    }
    if (client->is_visitor) {
        return leave(client);
    }
    stay(client);
    return true;
}

/* The first digit of a whole reply at the start of the input, which is used up then; else 0. */
static char take_reply(struct client *client)
{
    char *at = client->input, *end;

    while ((end = memchr(at, '\n', client->len - (size_t)(at - client->input))) != NULL) {
        if (end - at >= 4 && at[3] == ' ') {
            char kind = at[0];
            client->len -= (size_t)(end + 1 - client->input);
            memmove(client->input, end + 1, client->len);
            return kind;
        }
        at = end + 1;
    }
    return '\0';
}

/* 1: something came; 0: nothing now; -1: the end. */
static int hear(struct client *client)
{
    size_t room = sizeof client->input - client->len;
    char *place = client->input + client->len;
    ssize_t got;

    if (client->ssl == NULL) {
        got = recv(client->fd, place, room, 0);
        if (got <= 0) {
            return got < 0 && errno == EAGAIN ? 0 : -1;
        }
    } else {
        got = SSL_read(client->ssl, place, (int)room);
        if (got <= 0) {
            return SSL_get_error(client->ssl, (int)got) == SSL_ERROR_WANT_READ ? 0 : -1;
        }
    }
    client->len += (size_t)got;
    return 1;
}

/* True: it is done. */
static bool shake_hands(struct client *client, bool *is_alive)
{
    int result = SSL_do_handshake(client->ssl);

    if (result != 1) {
        *is_alive = SSL_get_error(client->ssl, result) == SSL_ERROR_WANT_READ;
        return false;
    }
    resumed += SSL_session_reused(client->ssl) == 1;
    client->step = HELLO_AGAIN;
    *is_alive = say(client, "EHLO load.test\r\n");
    return *is_alive;
}

static void forget(struct client *client)
{
    for (struct client **place = &staying; *place != NULL; place = &(*place)->next) {
        if (*place == client) {
            *place = client->next;
            return;
        }
    }
}

static void serve(struct client *client)
{
    bool is_alive = true;
    int heard = 1;
    char kind;

    while (is_alive && heard > 0) {
        if (client->step == HANDSHAKE && !shake_hands(client, &is_alive)) {
            break;
        }
        heard = hear(client);
        while (is_alive && heard > 0 && (kind = take_reply(client)) != '\0') {
            if (client->step == LEAVING) {
                if (client->is_visitor) {
                    note_time(client->begun_ns);
                }
                drop(client, kind == '2');
                return;
            }
            if (client->step == NOOP) {
                note_time(client->begun_ns);
            }
            is_alive = step(client, kind);
        }
    }
    if (is_alive && heard >= 0) {
        return;
    }
    if (client->step == STAYS || client->step == NOOP) {
        forget(client);
        busy += client->step == STAYS;
    }
    drop(client, false);
}

/* ---- all of them ---- */

static bool begin(bool is_secure, bool is_visitor)
{
    static unsigned count;
    static const int ON = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct client *client = calloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

    from.sin_addr.s_addr = htonl(0x7f010001 + count++ % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->is_secure = is_secure;
    client->is_visitor = is_visitor;
    client->begun_ns = now_ns();
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    busy++;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof ON);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &ON, sizeof ON);
    if (client->fd < 0 || bind(client->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(client->fd, (const struct sockaddr *)&to, sizeof to) != 0 &&
         errno != EINPROGRESS)) {
        fprintf(stderr, "load_clients: %s\n", strerror(errno));
        drop(client, false);
        return false;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
    return true;
}

/* False: nobody was heard for too long. */
static bool turn(void)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, PATIENCE_MS);

    for (int i = 0; i < count; i++) {
        serve(events[i].data.ptr);
    }
    return count > 0;
}

static bool wait_for_all(unsigned most)
{
    while (busy > most) {
        if (!turn()) {
            return false;
        }
    }
    return true;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b;
}

static double percentile(unsigned percent)
{
    return took_count == 0 ? 0 : took_ms[(took_count - 1) * percent / 100];
}

static void report(int64_t since_ns)
{
    unsigned stay_count = 0;
    double seconds = (double)(now_ns() - since_ns) / 1e9;

    for (const struct client *client = staying; client != NULL; client = client->next) {
        stay_count++;
    }
    qsort(took_ms, took_count, sizeof *took_ms, compare);
    printf("{\"good\": %u, \"bad\": %u, \"resumed\": %u, \"staying\": %u, \"seconds\": %.3f, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n",
           good, bad + busy, resumed, stay_count, seconds, percentile(50), percentile(99),
           percentile(100));
    fflush(stdout);
}

static void open_many(unsigned plain, unsigned secure)
{
    for (unsigned i = 0; i < plain + secure; i++) {
        /* in turn, so that both kinds come from every address */
        bool is_secure = (uint64_t)(i + 1) * secure / (plain + secure) !=
                         (uint64_t)i * secure / (plain + secure);

        if (!begin(is_secure, false) || !wait_for_all(OPENING)) {
            return;
        }
    }
    wait_for_all(0);
}

static void pause_ms(unsigned ms)
{
    const struct timespec gap = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&gap, NULL);
}

static void visit_many(unsigned count, unsigned gap_ms)
{
    for (unsigned i = 0; i < count; i++) {
        if (!begin(false, true) || !wait_for_all(0)) {
            return;
        }
        pause_ms(gap_ms);
    }
}

static void shake_many(unsigned count, unsigned at_once)
{
    for (unsigned i = 0; i < count; i++) {
        if (!begin(true, true) || !wait_for_all(at_once - 1)) {
            return;
        }
    }
    wait_for_all(0);
}

static void say_noops(unsigned count, unsigned gap_ms)
{
    struct client *client = staying;

    for (unsigned i = 0; i < count && client != NULL; i++) {
        busy++;
        client->step = NOOP;
        client->begun_ns = now_ns();
        if (!say(client, "NOOP\r\n") || !wait_for_all(0) || bad > 0) {
            return;
        }
        pause_ms(gap_ms);
    }
}

static void all_say(const char *text)
{
    for (struct client *client = staying, *next; client != NULL; client = next) {
        next = client->next;
        busy++;
        client->step = NOOP;
        client->begun_ns = now_ns();
        if (!say(client, text)) {
            forget(client);
            drop(client, false);
        }
    }
    wait_for_all(0);
}

static void quit_all(void)
{
    while (staying != NULL) {
        struct client *client = staying;

        staying = client->next;
        busy++;
        if (!leave(client)) {
            drop(client, false);
        }
    }
    wait_for_all(0);
}

static bool obey(const char *line)
{
    unsigned first, second;
    char kind[20], command[160];

    if (sscanf(line, "open %u %u", &first, &second) == 2) {
        open_many(first, second);
    } else if (sscanf(line, "visit %u %u", &first, &second) == 2) {
        visit_many(first, second);
    } else if (sscanf(line, "say %150[^\n]", command) == 1) {
        strcat(command, "\r\n");
        all_say(command);
    } else if (sscanf(line, "noop %u %u", &first, &second) == 2) {
        say_noops(first, second);
    } else if (sscanf(line, "shake %u %u %19s", &first, &second, kind) == 3 && second > 0) {
        is_resuming = strcmp(kind, "resumed") == 0;
        shake_many(first, second);
    } else if (strcmp(line, "quit\n") == 0) {
        quit_all();
    } else {
        return false;
    }
    return true;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    char line[200];

    if (argc != 2) {
        fprintf(stderr, "usage: load_clients PORT\n");
        return 2;
    }
    port = (uint16_t)atoi(argv[1]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    took_ms = calloc(COUNT_MAX, sizeof *took_ms);
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls, keep_ticket);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int64_t since_ns = now_ns();

        good = bad = resumed = 0;
        took_count = 0;
        if (!obey(line)) {
            fprintf(stderr, "load_clients: what is %s", line);
            return 2;
        }
        report(since_ns);
    }
    return 0;
}
