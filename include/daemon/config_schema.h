/*
 * config_schema - the one table of all options.
 *
 * Use     parser, check, dump, explain-option and the sample file are driven by it.
 */
#ifndef DAEMON_CONFIG_SCHEMA_H
#define DAEMON_CONFIG_SCHEMA_H

#include "base/bytes.h"
#include "base/strbuf.h"

enum config_type {
    CONFIG_BLOCK,      /* NAME { ... } */
    CONFIG_DOMAIN,     /* domain D { ... } */
    CONFIG_POLICY_FOR, /* policy-for LOCAL { ... }: options of the policy block */
    CONFIG_SEAL,       /* seal { ... } */
    CONFIG_INCLUDE,
    CONFIG_TEXT,      /* struct bytes: one word */
    CONFIG_HOST,      /* struct bytes: a host name */
    CONFIG_PATH,      /* struct bytes */
    CONFIG_NUMBER,    /* uint64_t, also one of `choices`: 0 */
    CONFIG_SIZE,      /* uint64_t: octets */
    CONFIG_DURATION,  /* uint64_t: milliseconds */
    CONFIG_COUNT,     /* int: a number in a policy block */
    CONFIG_CHOICE,    /* int: index into `choices` */
    CONFIG_ENDPOINTS, /* struct config_endpoints */
    CONFIG_NETWORKS,  /* struct config_networks */
    CONFIG_NAMES,     /* struct arc_trust: domains as A-labels */
    CONFIG_PATTERNS,  /* struct file_patterns: words in lower case */
    CONFIG_RETRY,     /* struct retry_schedule */
    CONFIG_SOURCE,    /* addresses to send from, one of each family */
    CONFIG_ROUTE,
    CONFIG_TLS_FILE,    /* certificate, key or authorities of outgoing connections */
    CONFIG_TLS_RULE,    /* delivery-tls */
    CONFIG_SECRETS,     /* file of SRS secrets */
    CONFIG_CLIENT_RULE, /* struct client_rule */
    CONFIG_SCANNER,     /* struct scanner_place */
    CONFIG_ADMIN,       /* struct config_admin */
    CONFIG_BLOCKLIST,
    CONFIG_ALLOWLIST,
    CONFIG_VERIFY,  /* verify-recipients */
    CONFIG_HISTORY, /* struct history_settings */
    CONFIG_ALIAS,   /* forward, refuse, defer, discard */
    CONFIG_ALIASES, /* file of aliases */
};

struct config_option {
    const char *context; /* the block it stands in; "" is the top */
    const char *name;
    enum config_type type;
    size_t offset;         /* of the value in struct config */
    const char *arguments; /* for people */
    const char *choices;   /* "a|b": words it takes */
    const char *later;     /* "c|d": words of versions to come */
    uint64_t least, most;  /* NUMBER; SIZE in octets; DURATION in milliseconds */
    const char *fallback;  /* the default as it would be written, or NULL */
    bool may_repeat;
    bool is_reloadable; /* SIGHUP is enough */
    const char *sample; /* line of the sample file; NULL: the default as a comment */
    const char *documentation;
};

extern const struct config_option config_options[];
extern const size_t config_option_count;

/* NULL when there is none. */
const struct config_option *config_schema_find(const char *context, struct bytes name);
/* An option of this name in any block; `from` is the index to start at. */
const struct config_option *config_schema_find_any(struct bytes name, size_t from);
/* May options stand in a block behind it? */
bool config_schema_has_block(const struct config_option *option);
/* The nearest name in the block, or NULL when none is near. */
const char *config_schema_suggest(const char *context, struct bytes name);
const char *config_schema_suggest_any(struct bytes name); /* in any block */
/* How far two words are apart: inserted, removed, changed or swapped letters, up to `limit`
 * + 1. */
size_t config_schema_distance(struct bytes a, struct bytes b, size_t limit);

/* The annotated sample file. */
void config_schema_write_sample(struct strbuf *out);
/* What `postilion explain-option NAME` shows; false when there is no such option. NAME is
 * "port" or "delivery.port". */
bool config_schema_explain(struct bytes name, struct strbuf *out);

#endif
