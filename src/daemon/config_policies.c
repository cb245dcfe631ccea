#include "config_internal.h"

#include "io/entropy.h"

#include <stddef.h>

enum { LOCAL_LIMIT = 64 }; /* RFC 5321 §4.5.3.1.1 */

/* What an address is found by: the number of its domain, then the local part in lower case. */
struct local_key {
    char octets[sizeof(size_t) + LOCAL_LIMIT];
    size_t len;
};

static bool make_key(struct local_key *key, size_t domain, struct bytes local)
{
    if (local.len > LOCAL_LIMIT) {
        return false;
    }
    memcpy(key->octets, &domain, sizeof domain);
    for (size_t i = 0; i < local.len; i++) {
        key->octets[sizeof domain + i] = (char)ascii_lower((unsigned char)local.data[i]);
    }
    key->len = sizeof domain + local.len;
    return true;
}

static struct bytes key_bytes(const struct local_key *key)
{
    return bytes_of(key->octets, key->len);
}

/* ---- while the tree is walked ------------------------------------------------------------ */

struct config_domain *config_find_domain(const struct config_loading *loading,
                                         const struct config_node *block)
{
    struct config_domain *domain = loading->domains;

    while (domain != NULL && domain->node != block) {
        domain = domain->next;
    }
    return domain;
}

void config_enter_local_policy(struct config_loading *loading, const struct config_node *node)
{
    struct config_domain *domain = config_find_domain(loading, node->parent);
    const struct config_word *word = &node->words[1];
    struct config_local_policy *local;

    if (domain == NULL) {
        return;
    }
    if (word->text.len == 0 || word->text.len > LOCAL_LIMIT || word->text.data[0] == '/' ||
        bytes_equal(word->text, BYTES("*")) || bytes_find(word->text, '@') < word->text.len) {
        config_error_at(loading, word, "write the part before the @: policy-for abuse {",
                        "a policy is for one name");
        return;
    }
    for (local = domain->locals; local != NULL; local = local->next) {
        if (bytes_equal_nocase(local->local, word->text)) {
            config_error_at(loading, word, "put all of it into one block",
                            "this address has two policies");
            config_errors_add_note(loading->errors, local->node->words[1].place,
                                   "first set here");
            return;
        }
    }
    local = arena_alloc(loading->arena, sizeof *local);
    *local = (struct config_local_policy){node, word->text, NULL, domain->locals};
    domain->locals = local;
}

/* The list the block's options go into; NULL: the block was refused, an error was told. */
static struct config_override **find_overrides(struct config_domain *domain,
                                               const struct config_node *block)
{
    struct config_local_policy *local;

    if (domain == NULL || bytes_equal(block->words[0].text, BYTES("policy"))) {
        return domain == NULL ? NULL : &domain->overrides;
    }
    for (local = domain->locals; local != NULL; local = local->next) {
        if (local->node == block) {
            return &local->overrides;
        }
    }
    return NULL;
}

/* A domain has its own rules for what was found out, but every message is looked into once. */
void config_override_policy(struct config_loading *loading, const struct config_option *option,
                            const struct config_node *node, int choice)
{
    struct config_override **overrides =
        find_overrides(config_find_domain(loading, node->parent->parent), node->parent);
    size_t policy = offsetof(struct config, policy);
    struct config_override *override;

    if (option->offset < policy || option->offset >= policy + sizeof loading->config->policy) {
        config_error_at(loading, &node->words[0],
                        "it belongs into the policy block outside of all domains",
                        "%s cannot be set for a domain alone", option->name);
        return;
    }
    if (overrides == NULL) {
        return;
    }
    override = arena_alloc(loading->arena, sizeof *override);
    *override = (struct config_override){option->offset - policy, choice, *overrides};
    *overrides = override;
}

/* ---- when all is known ------------------------------------------------------------------- */

/* The one that says the same, of the common policy and those of the first `count` domains. */
static const struct accept_policy *share_policy(const struct config *config, size_t count,
                                                const struct accept_policy *policy)
{
    if (memcmp(policy, &config->policy, sizeof *policy) == 0) {
        return &config->policy;
    }
    for (size_t i = 0; i < count; i++) {
        if (memcmp(policy, config->domain_policies[i], sizeof *policy) == 0) {
            return config->domain_policies[i];
        }
    }
    return policy;
}

static const struct accept_policy *make_policy(struct config_loading *loading, size_t count,
                                               const struct accept_policy *usual,
                                               const struct config_override *overrides)
{
    struct accept_policy *policy;

    if (overrides == NULL) {
        return usual;
    }
    policy = arena_alloc(loading->arena, sizeof *policy);
    *policy = *usual;
    for (const struct config_override *o = overrides; o != NULL; o = o->next) {
        memcpy((char *)policy + o->offset, &o->choice, sizeof o->choice);
    }
    return share_policy(loading->config, count, policy);
}

static void add_local_policy(struct config_loading *loading, size_t number,
                             const struct config_local_policy *local)
{
    struct config *config = loading->config;
    const struct accept_policy *policy =
        make_policy(loading, number + 1, config->domain_policies[number], local->overrides);
    struct local_key *key = arena_alloc(loading->arena, sizeof *key);
    struct alias_match match;

    if (!alias_table_find(config->aliases, number, local->local, &match)) {
        config_errors_add(loading->errors, CONFIG_WARNING, local->node->words[1].place, NULL,
                          "the domain has no such address");
    }
    if (make_key(key, number, local->local)) {
        hash_table_put(config->local_policies, key_bytes(key), (void *)policy);
    }
}

/* Domains are numbered in the order of their blocks (config_aliases). */
void config_build_policies(struct config_loading *loading)
{
    struct config *config = loading->config;
    size_t count = 0;

    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next) {
        count++;
    }
    config->domain_policies =
        arena_alloc(loading->arena, (count + 1) * sizeof config->domain_policies[0]);
    config->local_policies = hash_table_new(entropy_hash_key());
    count = 0;
    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next) {
        config->domain_policies[count] =
            make_policy(loading, count, &config->policy, d->overrides);
        for (const struct config_local_policy *local = d->locals; local != NULL;
             local = local->next) {
            add_local_policy(loading, count, local);
        }
        count++;
    }
}

static const struct accept_policy *find_local(const struct config *config, size_t domain,
                                              struct bytes local)
{
    struct local_key key;

    return make_key(&key, domain, local)
               ? hash_table_get(config->local_policies, key_bytes(&key))
               : NULL;
}

const struct accept_policy *config_policy_for(const void *context, struct bytes domain,
                                              struct bytes local)
{
    const struct config *config = context;
    size_t number = alias_table_find_domain(config->aliases, domain);
    const struct accept_policy *policy = NULL;

    if (number == ALIAS_NO_DOMAIN) {
        return &config->policy;
    }
    if (hash_table_count(config->local_policies) > 0) {
        policy = find_local(config, number, local);
        if (policy == NULL) {
            policy = find_local(config, number, bytes_first(local, bytes_find(local, '+')));
        }
    }
    return policy != NULL ? policy : config->domain_policies[number];
}
