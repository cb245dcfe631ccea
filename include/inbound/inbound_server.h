/*
 * inbound_server - the SMTP sessions of one loop.
 *
 * Use     the acceptor hands each connection to the loop with the fewest sessions;
 *         inbound_accept makes a session of it. Sessions talk to the queue of their own loop.
 * Limits  see struct inbound_options; every wait has a deadline.
 */
#ifndef INBOUND_INBOUND_SERVER_H
#define INBOUND_INBOUND_SERVER_H

#include "auth/message_seal.h"
#include "base/shared.h"
#include "forward/accept_policy.h"
#include "forward/client_score.h"
#include "forward/dns_list.h"
#include "forward/grey_list.h"
#include "forward/recipient_check.h"
#include "forward/recipient_route.h"
#include "forward/rewrite_plan.h"
#include "inbound/inbound_ledger.h"
#include "inbound/scan_options.h"
#include "io/dns_resolver.h"
#include "io/state_store.h"
#include "io/stream.h"
#include "outbound/recipient_probe.h"
#include "queue/queue.h"

#include <stdatomic.h>

/* What is thought of clients; all zero: nothing is looked at. */
struct client_options {
    struct client_rules rules;
    const struct dns_list *blocklists; /* at most DNS_LIST_LIMIT */
    size_t blocklist_count;
    const struct dns_list *allowlists; /* at most DNS_LIST_LIMIT; of clients */
    size_t allowlist_count;
    const struct ip_network *allowed;
    size_t allowed_count;
    uint64_t lists_timeout_ms;
    const struct bytes *own_names; /* that nobody else may say in HELO */
    size_t own_name_count;
    const struct ip_address *own_addresses;
    size_t own_address_count;
};

/* Lives inside the configuration snapshot; each session holds that. */
struct inbound_options {
    struct shared *snapshot;     /* what this and all it points to is part of; may be NULL */
    struct bytes hostname;       /* banner, EHLO, Received */
    struct route_options routes; /* aliases, SRS */
    enum long_sender_rule long_sender;
    uint64_t return_rate; /* messages an hour to one address we signed; 0: no limit */
    uint64_t return_uses; /* messages in all; 0: no limit */
    const struct delivery_route_table *delivery_routes;
    uint64_t destination_rate; /* recipients an hour to one destination; 0: no limit */
    uint64_t
        handoff_ms; /* how long the next hops may be asked before the client is answered; 0:
                            messages are written first */
    struct bytes loop_secret;
    const char *spool_directory; /* for content that does not fit in memory */
    uint64_t message_size;       /* octets; announced by SIZE */
    size_t header_size;
    unsigned recipients;         /* per message */
    unsigned errors;             /* per session, then 421 */
    unsigned hops;               /* Received fields */
    uint64_t command_timeout_ms; /* 5 min */
    uint64_t data_timeout_ms;    /* without progress */
    uint64_t min_rate;           /* octets a second while content comes in */
    /* Who sent this? Needs a resolver (inbound_server_set_resolver). */
    bool authenticate;
    bool received_spf;        /* write Received-SPF, too */
    struct bytes authserv_id; /* Authentication-Results; empty: incoming ones are left alone */
    uint64_t auth_timeout_ms; /* from the final dot until what is open reads temperror */
    /* The policy for mail to an address of ours; NULL: the default of accept_policy. */
    const struct accept_policy *(*policy_for)(const void *context, struct bytes domain,
                                              struct bytes local);
    const void *policy_context;
    /* What forwards of a domain of ours are sealed with; NULL (or what it says): nothing. */
    const struct seal *(*seal_for)(const void *context, struct bytes domain);
    const void *seal_context;
    struct arc_trust arc_trust;
    struct content_rules content; /* what no message may carry */
    struct scan_options scan;     /* who else looks at it */
    struct grey_options grey;
    struct verify_options verify; /* needs a prober (inbound_server_set_prober) */
    struct client_options clients;
    struct client_limits limits;
    struct crowd_limits crowd;
    struct tls_context *tls;          /* our certificates; NULL: there is no TLS */
    bool offers_requiretls;           /* to clients that are encrypted (RFC 8689) */
    const struct ip_network *trusted; /* relays that are believed about their clients */
    size_t trusted_count;
};

struct inbound_server;

struct inbound_server *inbound_server_new(struct event_loop *loop, struct queue *queue,
                                          struct message_id_source *ids,
                                          struct state_store *state,
                                          const struct inbound_options *options);
/* *borrows* the resolver of the loop. Without one nobody is authenticated. */
void inbound_server_set_resolver(struct inbound_server *server, struct dns_resolver *resolver);
/* *borrows* what is counted for all loops. Without one no client is counted. */
void inbound_server_set_ledger(struct inbound_server *server, struct inbound_ledger *ledger);
/* *borrows* what asks other servers about recipients. Without one nobody is asked. */
void inbound_server_set_prober(struct inbound_server *server, struct recipient_prober *prober);
void inbound_server_set_options(struct inbound_server *server,
                                const struct inbound_options *options);
enum inbound_tls { INBOUND_TLS_STARTTLS, INBOUND_TLS_IMPLICIT, INBOUND_TLS_OFF };

/* What is counted of a listener, by all loops. */
struct inbound_door_use {
    atomic_size_t sessions; /* that came by it: the session counts down when it ends */
    struct ledger_crowd crowd;
    struct crowd_limits limits; /* does not change */
};

/* What is special about the listener a connection came by. */
struct inbound_door {
    bool
        is_proxied; /* a PROXY header comes first: from a relay that is trusted, or it is closed */
    enum inbound_tls tls;
    uint64_t banner_wait_ms;      /* clients that speak within it are no mail servers */
    struct inbound_door_use *use; /* or NULL */
};

/* *takes* the connection, and the client's stay (NULL: nobody's), which ends with the session. */
void inbound_accept(struct inbound_server *server, const struct stream_accepted *accepted,
                    const struct ledger_stay *stay);
/* The same for any listener. */
void inbound_accept_by(struct inbound_server *server, const struct stream_accepted *accepted,
                       const struct ledger_stay *stay, const struct inbound_door *door);
/* Sessions that are between messages get 421; the others finish theirs, then get it. on_idle runs
 * once, when no session is left. */
void inbound_drain(struct inbound_server *server, void (*on_idle)(void *context),
                   void *context);
/* Like a drain that may end: until then who comes, and who is between messages, gets 421. */
void inbound_pause(struct inbound_server *server, bool is_paused);
size_t inbound_session_count(const struct inbound_server *server); /* any thread, approximate */
/* Closes what is open; after the loop has stopped. */
void inbound_server_free(struct inbound_server **server);

#endif
