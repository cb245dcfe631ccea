/*
 * config_internal - what the files of the configuration loader share while it runs.
 *
 *   config_load     reads files, follows includes, walks the tree by the schema, checks the whole
 *   config_apply    one directive into its value
 *   config_routes   static next hops
 *   config_policies policy blocks of domains and addresses
 *   config_seals    seal blocks and their keys
 *   config_certificates  the tls block: our certificates and keys
 *   config_rights   who may read and write what is named in it
 *   config_tls      TLS of outgoing connections: files and rules
 *   config_clients  what is thought of clients: rules, block lists and allow lists
 *   config_scanners where messages are shown to scanners
 *   config_admin    where the status page is served
 *   config_verify   whose servers are asked about recipients
<<<<<<< HEAD
 *   config_history  how long lines are kept
=======
 *   config_doctor   the daemon looking after itself
>>>>>>> fe4c105 (wip)
 *   config_aliases  domain blocks and alias files into the alias table
 */
#ifndef DAEMON_CONFIG_INTERNAL_H
#define DAEMON_CONFIG_INTERNAL_H

#include "daemon/config.h"
#include "daemon/config_schema.h"

/* An option of a domain's own policy block. */
struct config_override {
    const struct config_node *node;
    size_t offset; /* in struct accept_policy */
    int choice;
    struct config_override *next;
};

/* A policy-for block of a domain. */
struct config_local_policy {
    const struct config_node *node;
    struct bytes local; /* lower case */
    struct config_override *overrides;
    struct config_local_policy *next;
};

/* A certificate and its key. */
struct config_tls_pair {
    const struct config_word *certificate_word, *key_word; /* NULL: no key has come yet */
    struct config_file *certificate, *key;
    struct config_tls_pair *next;
};

/* A selector and its key. */
struct config_seal_pair {
    const struct config_word *selector;
    const struct signing_key *key; /* NULL: no key-file has come yet */
    struct config_seal_pair *next;
};

struct config_seal_block {
    const struct config_node *node;
    const struct config_word *name; /* d=; NULL: the usual one */
    struct config_seal_pair *pairs, **last_pair;
    size_t pair_count;
    bool with_arc, with_dkim;
    bool says_something;
    bool is_broken; /* an error in it was told already */
};

/* A domain block; what stands in it is gathered while the tree is walked. */
struct config_domain {
    const struct config_node *node;
    struct bytes name;
    struct bytes srs_domain;
    struct config_override *overrides;
    struct config_local_policy *locals;
    struct config_seal_block *seal; /* or NULL */
    struct config_domain *next;
};

/* A file of the delivery block: what stands in it, and where it is named. */
struct config_tls_file {
    const struct config_word *word; /* NULL: not set */
    struct config_file *file;       /* NULL: it cannot be read, which was told */
};

struct config_loading {
    struct config *config;
    struct config_errors *errors;
    struct arena *arena; /* the config's */
    struct config_file *defaults;
    struct config_setting **last_setting;
    struct config_domain *domains, **last_domain;
    struct delivery_route *routes;
    size_t route_count, route_capacity;
    struct srs_secret secrets[SRS_SECRET_LIMIT];
    size_t secret_count, classic_count;
    struct config_tls_file tls_ca, tls_certificate, tls_key;
    struct config_seal_block *seal; /* the one at the top, or NULL */
    struct config_tls_pair *pairs, **last_pair;
    size_t pair_count;
    bool has_bad_pair;               /* an error was told already */
    const struct config_node *block; /* the block being walked */
};

/* Reads a file into the config's list; NULL and an error at `place` when it cannot be read. */
struct config_file *config_read_file(struct config_loading *loading, const char *path,
                                     size_t limit, struct config_place place, const char *hint);
/* An absolute path, or one beside the file the word stands in. */
const char *config_resolve_path(struct config_loading *loading, const struct config_word *word);
void config_error_at(struct config_loading *loading, const struct config_word *word,
                     const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts the directive's value into the config. */
void config_apply(struct config_loading *loading, const struct config_option *option,
                  const struct config_node *node);
/* A domain name as DNS knows it: U-labels become A-labels. False: it is none. */
bool config_domain_to_ascii(struct config_loading *loading, struct bytes text,
                            struct bytes *name);
/* Exactly one word behind the name, or NULL and an error. */
const struct config_word *config_single_word(struct config_loading *loading,
                                             const struct config_option *option,
                                             const struct config_node *node);
/* The word's place in the option's choices, or -1 and an error. */
int config_read_choice(struct config_loading *loading, const struct config_option *option,
                       const struct config_word *word);
/* The domain whose block this is, or NULL: it was refused, an error was told. */
struct config_domain *config_find_domain(const struct config_loading *loading,
                                         const struct config_node *block);
/* A policy-for block begins. */
void config_enter_local_policy(struct config_loading *loading, const struct config_node *node);
/* An option of a policy block inside a domain. */
void config_override_policy(struct config_loading *loading, const struct config_option *option,
                            const struct config_node *node, int choice);
/* Makes the policies of domains and addresses, when config->aliases is there. */
void config_build_policies(struct config_loading *loading);
/* Looks whether what is to be munged can be, when policies and seals are there. */
void config_check_munging(struct config_loading *loading);
/* A seal block begins, at the top or in a domain. */
void config_enter_seal(struct config_loading *loading, const struct config_node *node);
/* An option of a seal block. */
void config_apply_seal(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node);
/* An option of the tls block. */
void config_apply_certificate(struct config_loading *loading,
                              const struct config_option *option,
                              const struct config_node *node);
/* Makes config->tls. */
void config_build_certificates(struct config_loading *loading);
/* Makes the seals of all domains. */
void config_build_seals(struct config_loading *loading);
/* Where the status page is served. */
void config_apply_admin(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node);
/* A static next hop. */
void config_apply_route(struct config_loading *loading, const struct config_node *node);
/* A TLS file of the delivery block, a delivery-tls line. */
void config_apply_tls_file(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node);
void config_apply_tls_rule(struct config_loading *loading, const struct config_option *option,
                           const struct config_node *node);
/* Makes the TLS context of outgoing connections. */
void config_build_tls(struct config_loading *loading);
/* A file with a secret in it: others may not read it, let alone write it. */
void config_check_secret(struct config_loading *loading, const struct config_word *word,
                         struct config_file *file);
/* What stood in it is in use elsewhere now. */
void config_wipe_file(struct config_file *file);
/* NULL: there is no such setting. */
const struct config_setting *config_find_setting(const struct config *config,
                                                 const char *context, const char *name);
/* The doctor block, when all of it is there. */
void config_check_doctor(struct config_loading *loading);
/* A rule of the client block; a block list or allow list. */
void config_apply_client_rule(struct config_loading *loading,
                              const struct config_option *option,
                              const struct config_node *node);
void config_apply_list(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node);
/* Makes client_rules whole, and looks whether points can have any effect. */
void config_check_clients(struct config_loading *loading);
/* Where a scanner listens. */
void config_apply_scanner(struct config_loading *loading, const struct config_option *option,
                          const struct config_node *node);
/* How long the history is, and how big. */
void config_apply_history(struct config_loading *loading, const struct config_option *option,
                          const struct config_node *node);
/* Makes the rules of config->verify. */
void config_build_verify(struct config_loading *loading);
/* Builds config->aliases from the domain blocks. */
void config_build_aliases(struct config_loading *loading);

#endif
