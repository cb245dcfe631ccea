/*
 * config_internal - what the files of the configuration loader share while it runs.
 *
 *   config_load     reads files, follows includes, walks the tree by the schema, checks the whole
 *   config_apply    one directive into its value
 *   config_policies policy blocks of domains and addresses
 *   config_aliases  domain blocks and alias files into the alias table
 */
#ifndef DAEMON_CONFIG_INTERNAL_H
#define DAEMON_CONFIG_INTERNAL_H

#include "daemon/config.h"
#include "daemon/config_schema.h"

/* An option of a domain's own policy block. */
struct config_override {
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

/* A domain block; what stands in it is gathered while the tree is walked. */
struct config_domain {
    const struct config_node *node;
    struct bytes name;
    struct bytes srs_domain;
    struct config_override *overrides;
    struct config_local_policy *locals;
    struct config_domain *next;
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
/* Builds config->aliases from the domain blocks. */
void config_build_aliases(struct config_loading *loading);

#endif
