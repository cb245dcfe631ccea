/*
 * config - the configuration as plain values, read once and never changed.
 *
 * Use     config_load makes it; `shared` is the hold counter of the snapshot (base/shared.h); the
 *         last shared_drop frees it. daemon/config_build makes the options of each room from it.
 * Errors  config_load returns NULL when there was any error; warnings alone do not matter.
 * Paths   relative ones in the file are taken from the directory of the file they stand in.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "auth/message_seal.h"
#include "base/hash_table.h"
#include "base/shared.h"
#include "daemon/config_errors.h"
#include "daemon/config_tree.h"
#include "forward/accept_policy.h"
#include "forward/alias_table.h"
#include "forward/bounce_rule.h"
#include "forward/client_score.h"
#include "forward/delivery_route.h"
#include "forward/dns_list.h"
#include "forward/grey_list.h"
#include "forward/recipient_check.h"
#include "forward/retry_schedule.h"
#include "forward/rewrite_plan.h"
#include "forward/tls_policy.h"
#include "inbound/scan_options.h"
#include "io/history.h"
#include "io/log.h"
#include "io/tls_context.h"
#include "mail/srs_address.h"
#include "protocol/ip_address.h"

struct config_endpoints {
    const struct ip_endpoint *items;
    size_t count;
};

enum { CONFIG_LISTENERS = 32 };

struct config_networks {
    const struct ip_network *items;
    size_t count;
};

struct config_lists {
    const struct dns_list *items;
    size_t count;
};

enum config_delivery_mode { CONFIG_MODE_HANDOFF, CONFIG_MODE_STORE };
/* In the order of the option's words. */
enum config_sandbox { CONFIG_SANDBOX_ON, CONFIG_SANDBOX_STRICT, CONFIG_SANDBOX_OFF };
enum config_srs_accept { CONFIG_SRS_ACCEPT_NULL, CONFIG_SRS_ACCEPT_ANY };

/* What a listener does about TLS: as inbound_tls, in the order of the option's words. */
enum config_listener_tls {
    CONFIG_LISTENER_STARTTLS,
    CONFIG_LISTENER_IMPLICIT,
    CONFIG_LISTENER_OFF
};

struct config_limits {
    uint64_t message_size; /* octets */
    uint64_t header_size;  /* octets */
    uint64_t recipients;   /* a message */
    uint64_t connections;  /* in all */
    uint64_t per_client;   /* connections of one address */
    uint64_t errors;       /* a session */
    uint64_t hops;         /* Received fields */
    uint64_t command_timeout_ms;
    uint64_t data_timeout_ms;
    uint64_t min_rate;        /* octets a second */
    uint64_t free_space;      /* octets */
    uint64_t memory;          /* octets */
    uint64_t connection_rate; /* of all, a minute; 0 (here and below): no limit */
    uint64_t message_rate, recipient_rate;
    uint64_t client_connection_rate;
    uint64_t client_message_rate;
    uint64_t client_recipient_rate;
    uint64_t unknown_recipients; /* a session */
    uint64_t bad_signatures;     /* a session */
    uint64_t tarpit_ms;
    uint64_t penalty_ms;
};

/* Where the status page is served; both empty: nowhere. */
struct config_admin {
    struct ip_endpoint endpoint;
    struct bytes path; /* of a Unix socket */
};

/* What a listener has for itself, by its number; 0: nothing. */
struct config_door {
    uint64_t connections;
    uint64_t connection_rate; /* a minute */
    uint64_t message_rate, recipient_rate;
    uint64_t banner_wait_ms;
};

struct config_delivery {
    int mode; /* enum config_delivery_mode */
    uint64_t handoff_wait_ms;
    uint64_t port;
    struct ip_address source_v4, source_v6; /* IP_NONE: any */
    struct bytes helo;                      /* default: hostname */
    uint64_t concurrency;                   /* per destination */
    uint64_t reuse;                         /* messages over one connection */
    uint64_t reuse_ms;                      /* its age */
    uint64_t destination_rate;              /* recipients an hour to one; 0: no limit */
    struct retry_schedule retry;            /* with expire_seconds */
    uint64_t expire_ms;
    uint64_t warn_ms; /* 0: never */
    int tls;          /* enum tls_level */
    struct tls_policy_table tls_policies;
    struct tls_context *tls_context; /* NULL: TLS is off everywhere */
    int bounce;                      /* enum bounce_policy */
    uint64_t bounce_limit;
    uint64_t hold_ms;
};

/* Where the value of an option comes from: for `check --dump`. */
struct config_setting {
    const struct config_option *option; /* daemon/config_schema */
    const struct config_node *node;
    bool is_default;
    struct config_setting *next;
};

/* Of the doctor block. */
enum config_doctor_run { CONFIG_DOCTOR_DAILY, CONFIG_DOCTOR_OFF };
enum config_doctor_lists { CONFIG_DOCTOR_PUBLIC, CONFIG_DOCTOR_CONFIGURED };

struct config_doctor {
    int run;                          /* enum config_doctor_run */
    int lists;                        /* enum config_doctor_lists */
    uint64_t delay_ms;                /* from the start to the first one */
    struct config_networks addresses; /* single ones: how the world sees us */
    struct bytes port_25;             /* a host to try; empty: next hops */
};

/* Of the tls block. */
struct config_certificate {
    struct config_place place;
    const struct config_file *file; /* the certificates, the key is forgotten */
    int64_t begins, expires;        /* seconds since 1970 */
    enum tls_chain chain;
};

/* Where an include looks for files: the directory before the first wildcard. */
struct config_pattern {
    const char *directory;
    struct config_pattern *next;
};

/* Freed with the config. */
struct config_key {
    struct bytes path;
    struct signing_key *key;
    struct config_key *next;
};

struct config {
    struct shared shared; /* first: the snapshot's counter */
    struct arena *arena;
    const char *path;

    /* All strings end in NUL behind their length. */
    struct bytes hostname;
    struct bytes user;
    uint64_t workers; /* 0: auto */
    struct config_endpoints listen;
    unsigned proxy_listeners; /* a bit for each of `listen`: a PROXY header comes first */
    uint64_t listener_tls;    /* two bits for each of `listen`: enum config_listener_tls */
    struct config_door doors[CONFIG_LISTENERS];
    struct config_networks trusted;
    struct tls_context *tls; /* of the tls block; NULL: there is none */
    const struct config_certificate *certificates;
    size_t certificate_count;
    int requiretls;                    /* bool */
    struct config_endpoints resolvers; /* none: those of resolv.conf */
    struct bytes spool, state, control;
    struct config_admin admin;
    int core_dumps; /* bool */
    int sandbox;    /* enum config_sandbox */
    struct log_options log;
    struct history_settings history; /* without free_space: that is in `limits` */

    struct srs_options srs;  /* ready: secrets read, own domains known */
    struct bytes srs_domain; /* default: hostname */
    const struct config_file *srs_secrets, *srs_classic_secrets; /* NULL: there is none */
    int srs_accept;                                              /* enum config_srs_accept */
    int srs_long;                                                /* enum long_sender_rule */
    int srs_separator;                                           /* index into "=+-" */
    uint64_t srs_max_age_ms;
    uint64_t srs_return_rate; /* messages an hour to one return or reply address; 0: no limit */
    uint64_t srs_return_uses; /* messages in all; 0: no limit */
    int srs_format;           /* enum srs_format */

    struct config_doctor doctor;

    struct alias_table *aliases;
    struct delivery_route_table routes;
    struct config_networks allowed_next_hops;
    struct config_delivery delivery;
    struct config_limits limits;
    struct bytes authserv_id; /* default: hostname */
    int authenticate;         /* bool */
    int received_spf;         /* bool: that field, too */
    struct accept_policy policy;
    const struct accept_policy **domain_policies; /* by the domains' numbers in `aliases` */
    struct hash_table *local_policies;            /* those of single addresses */
    struct arc_trust arc_trust;
    struct content_rules content;
    struct scan_options scan;
    struct grey_options grey;
    struct verify_options verify;     /* ready, rules and all */
    int verify_on_failure;            /* enum verify_failure: where a rule says nothing */
    struct client_rules client_rules; /* ready, thresholds and all */
    uint64_t client_tag_at, client_defer_at, client_refuse_at; /* points; 0: never */
    uint64_t lists_timeout_ms;
    struct config_lists blocklists, allowlists;
    struct config_networks allowed_clients;

    const struct seal *seal;          /* of the block at the top, or NULL */
    const struct seal **domain_seals; /* by the domains' numbers; NULL: none */
    const struct seal *const *seals;  /* each of them once */
    size_t seal_count;
    struct config_key *keys;

    struct config_file *files; /* every file that was read, with its stamp */
    struct config_pattern *patterns;
    struct config_setting *settings; /* in the order of the schema, then of the file */
};

/* `path` is read with everything it includes. NULL when `errors` counts an error. */
struct config *config_load(const char *path, struct config_errors *errors);
/* The same for a text that is in memory already. */
struct config *config_load_text(const char *name, struct bytes text,
                                struct config_errors *errors);
void config_free(struct config **config); /* drops a hold; safe on NULL */
enum config_listener_tls config_listener_tls(const struct config *config, size_t listener);
/* Certificates whose time is over. They stop nobody from serving, since most clients do not look:
 * how bad that is the caller says. */
void config_report_expired(const struct config *config, struct config_errors *errors,
                           enum config_severity severity);
/* Who may read and write spool, state, control socket and files: adds warnings, and errors that must
 * stop a daemon that would start. */
void config_report_rights(const struct config *config, struct config_errors *errors);
/* Where the history is, whether it is on or off: for history_search. */
const char *config_history_directory(const struct config *config, struct arena *arena);
/* What holds for mail to this address, whatever its case: its own policy, that of its domain, or the
 * common one. Equal policies of domains are one and the same. The context is the config (inbound_options.policy_for). */
const struct accept_policy *config_policy_for(const void *config, struct bytes domain,
                                              struct bytes local);
/* What signs mail forwarded by this domain, whatever its case, or that of no domain of ours; NULL:
 * nothing does. Equal ones are one and the same. The context is the config. */
const struct seal *config_seal_for(const void *config, struct bytes domain);
/* Is one of its alias files another one now? (The configuration itself is read again only when
 * somebody says so: it may be half edited.) */
bool config_is_stale(const struct config *config);
/* A number for the state its files are in now: the same as long as none changes again. */
uint64_t config_files_now(const struct config *config);

#endif
