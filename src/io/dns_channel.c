#include "dns_channel.h"

#include "base/list.h"
#include "base/memory.h"
#include "loop_internal.h"

#include <ares.h>
#include <assert.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>

enum {
    TIMEOUT_MS = 2000, /* doubled with the second try: six seconds in all for one server */
    TRIES = 2,
    UDP_OCTETS = 1232,
    SOCKET_OCTETS = 425984, /* asked for; the kernel may grant less. 100 answers must fit */
};

/* A socket of the channel, as libevent sees it. */
struct watched {
    struct list link;
    struct dns_channel *channel;
    ares_socket_t socket;
    short wanted; /* EV_READ, EV_WRITE */
    struct event *event;
};

struct dns_channel {
    struct event_loop *loop;
    ares_channel handle;
    struct list sockets;
    struct loop_timer timer;
    dns_channel_answer *on_answer;
    size_t in_flight;
};

/* One message on its way. */
struct sent {
    struct dns_channel *channel;
    void *query;
};

/* ---- the clock of c-ares ---- */

static void set_timer(struct dns_channel *channel)
{
    struct timeval delay;

    if (channel->in_flight == 0) {
        loop_timer_stop(&channel->timer);
    } else if (ares_timeout(channel->handle, NULL, &delay) != NULL) {
        loop_timer_set(&channel->timer,
                       (uint64_t)delay.tv_sec * 1000 + (uint64_t)delay.tv_usec / 1000 + 1);
    }
}

static void on_timer(void *context)
{
    struct dns_channel *channel = context;

    ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(channel);
}

/* ---- sockets ---- */

static void on_socket(evutil_socket_t socket, short what, void *context)
{
    /* c-ares may close the socket, and `watched` is gone then. */
    struct watched *watched = context;
    struct dns_channel *channel = watched->channel;
    struct event_loop *loop = channel->loop;

    event_loop_enter(loop);
    ares_process_fd(channel->handle, (what & EV_READ) != 0 ? socket : ARES_SOCKET_BAD,
                    (what & EV_WRITE) != 0 ? socket : ARES_SOCKET_BAD);
    set_timer(channel);
    event_loop_leave(loop);
}

static struct watched *find_watched(struct dns_channel *channel, ares_socket_t socket)
{
    for (struct list *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
        struct watched *watched = list_owner(at, struct watched, link);

        if (watched->socket == socket) {
            return watched;
        }
    }
    return NULL;
}

static void unwatch(struct watched *watched)
{
    list_remove(&watched->link);
    event_free(watched->event);
    free(watched);
}

/* c-ares says what it waits for on a socket; nothing at all: it is about to close it. */
static void on_socket_state(void *context, ares_socket_t socket, int readable, int writable)
{
    struct dns_channel *channel = context;
    struct watched *watched = find_watched(channel, socket);
    short wanted = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

    if (watched != NULL && watched->wanted == wanted) {
        return;
    }
    if (watched != NULL) {
        unwatch(watched);
    }
    if (wanted == 0) {
        return;
    }
    watched = memory_zero(sizeof *watched);
    watched->channel = channel;
    watched->socket = socket;
    watched->wanted = wanted;
    watched->event = event_new(event_loop_base(channel->loop), socket,
                               (short)(wanted | EV_PERSIST), on_socket, watched);
    assert(watched->event != NULL);
    event_add(watched->event, NULL);
    list_append(&channel->sockets, &watched->link);
}

/* ---- making and ending ---- */

static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static struct ares_addr_port_node server_node(const struct ip_endpoint *server)
{
    struct ares_addr_port_node node = {.udp_port = server->port, .tcp_port = server->port};

    if (server->address.family == IP_V4) {
        node.family = AF_INET;
        memcpy(&node.addr.addr4, server->address.octets, 4);
    } else {
        node.family = AF_INET6;
        memcpy(&node.addr.addr6, server->address.octets, 16);
    }
    return node;
}

static int set_servers(ares_channel handle, const struct ip_endpoint *servers, size_t count)
{
    struct ares_addr_port_node *nodes = memory_resize(NULL, count, sizeof *nodes);
    int status;

    for (size_t i = 0; i < count; i++) {
        nodes[i] = server_node(&servers[i]);
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
    }
    status = ares_set_servers_ports(handle, nodes);
    free(nodes);
    return status;
}

/* Everything that LOCALDOMAIN, RES_OPTIONS and the options of resolv.conf could change is given
 * here: c-ares takes from there only what is still open. Only the servers may come from there.
 */
static int init_handle(struct dns_channel *channel, const struct ip_endpoint *servers,
                       size_t server_count)
{
    static char hosts_never[] = "b", no_file[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP | ARES_FLAG_STAYOPEN,
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .ndots = 1,
        .socket_send_buffer_size = SOCKET_OCTETS,
        .socket_receive_buffer_size = SOCKET_OCTETS,
        .domains = NULL,
        .ndomains = 0,
        .lookups = hosts_never,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
        .ednspsz = UDP_OCTETS,
        .resolvconf_path = no_file,
    };
    int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                ARES_OPT_SOCK_SNDBUF | ARES_OPT_SOCK_RCVBUF | ARES_OPT_DOMAINS |
                ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ |
                ARES_OPT_NOROTATE | (server_count > 0 ? ARES_OPT_RESOLVCONF : 0);
    int status = ares_init_options(&channel->handle, &options, given);

    if (status == ARES_SUCCESS && server_count > 0) {
        status = set_servers(channel->handle, servers, server_count);
        if (status != ARES_SUCCESS) {
            ares_destroy(channel->handle);
        }
    }
    return status;
}

struct dns_channel *dns_channel_new(struct event_loop *loop, const struct ip_endpoint *servers,
                                    size_t server_count, dns_channel_answer *on_answer,
                                    struct strbuf *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct dns_channel *channel = memory_zero(sizeof *channel);
    int status;

    (void)pthread_once(&once, init_library);
    channel->loop = loop;
    channel->on_answer = on_answer;
    list_init(&channel->sockets);
    loop_timer_init(&channel->timer, loop, on_timer, channel);
    status = library_status;
    if (status == ARES_SUCCESS) {
        status = init_handle(channel, servers, server_count);
    }
    if (status != ARES_SUCCESS) {
        strbuf_addf(why, "c-ares: %s", ares_strerror(status));
        free(channel);
        return NULL;
    }
    return channel;
}

void dns_channel_free(struct dns_channel **channel)
{
    struct dns_channel *ending = *channel;

    if (ending == NULL) {
        return;
    }
    *channel = NULL;
    ares_destroy(ending->handle); /* answers everything, closes the sockets */
    while (!list_is_empty(&ending->sockets)) {
        unwatch(list_owner(ending->sockets.next, struct watched, link));
    }
    loop_timer_clear(&ending->timer);
    free(ending);
}

/* ---- messages ---- */

static const char *why_of_status(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return "timeout";
    case ARES_ECONNREFUSED:
        return "server-unreachable";
    case ARES_EDESTRUCTION:
        return "shutdown";
    default:
        return "resolver-error";
    }
}

/* c-ares passes the message with NXDOMAIN and SERVFAIL too, so the message decides; the status
 * only matters when there is none. */
static void on_ares_answer(void *context, int status, int timeouts, unsigned char *message,
                           int len)
{
    struct sent *sent = context;

    (void)timeouts;
    sent->channel->in_flight--;
    if (message != NULL && len > 0) {
        sent->channel->on_answer(sent->query, bytes_of(message, (size_t)len), NULL);
    } else {
        sent->channel->on_answer(sent->query, BYTES(""), why_of_status(status));
    }
    free(sent);
}

void dns_channel_send(struct dns_channel *channel, struct bytes message, void *query)
{
    struct sent *sent = memory_alloc(sizeof *sent);

    *sent = (struct sent){.channel = channel, .query = query};
    channel->in_flight++;
    ares_send(channel->handle, (const unsigned char *)message.data, (int)message.len,
              on_ares_answer, sent);
    set_timer(channel);
}

size_t dns_channel_in_flight(const struct dns_channel *channel)
{
    return channel->in_flight;
}

bool dns_channel_has_edns(const struct dns_channel *channel)
{
    struct ares_options options;
    int given = 0;
    bool has_edns;

    if (ares_save_options(channel->handle, &options, &given) != ARES_SUCCESS) {
        return false;
    }
    has_edns = (options.flags & ARES_FLAG_EDNS) != 0;
    ares_destroy_options(&options);
    return has_edns;
}
