#include "config_internal.h"

#include "auth/idn_domain.h"
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
    *override = (struct config_override){node, option->offset - policy, choice, *overrides};
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

static void apply_overrides(struct accept_policy *policy,
                            const struct config_override *overrides)
{
    for (const struct config_override *o = overrides; o != NULL; o = o->next) {
        memcpy((char *)policy + o->offset, &o->choice, sizeof o->choice);
    }
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
    apply_overrides(policy, overrides);
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

/* ---- can be munged what is to be munged? ------------------------------------------------- */

struct munge_check {
    struct config_loading *loading;
    const struct config_domain *domain;
    const struct seal *seal; /* what would sign it, or NULL */
    bool is_usual_told;      /* of the common policy */
    bool is_any_munged;
};

static bool asks_for_munging(const struct accept_policy *policy)
{
    return policy->doomed == DOOMED_MUNGE ||
           policy->doomed_quarantine == DOOMED_QUARANTINE_MUNGE;
}

static bool is_about_munging(size_t offset)
{
    return offset == offsetof(struct accept_policy, doomed) ||
           offset == offsetof(struct accept_policy, doomed_quarantine) ||
           offset == offsetof(struct accept_policy, munge_from);
}

/* Where the list says something about it, or NULL: it is as for the others. */
static const struct config_word *find_override(const struct config_override *override)
{
    while (override != NULL && !is_about_munging(override->offset)) {
        override = override->next;
    }
    return override == NULL ? NULL : &override->node->words[0];
}

/* The common policy: its `offset` was set somewhere outside of all domains. */
static const struct config_word *find_common(const struct config *config, size_t offset)
{
    for (const struct config_setting *s = config->settings; s != NULL; s = s->next) {
        if (s->option->offset == offsetof(struct config, policy) + offset &&
            s->option->type == CONFIG_CHOICE && !s->is_default &&
            !config_node_is_nested(s->node)) {
            return &s->node->words[0];
        }
    }
    return NULL;
}

static const struct config_word *find_common_munging(const struct config *config)
{
    size_t offset = config->policy.doomed == DOOMED_MUNGE
                        ? offsetof(struct accept_policy, doomed)
                        : offsetof(struct accept_policy, doomed_quarantine);

    return find_common(config, offset);
}

static bool is_below(struct bytes name, struct bytes parent)
{
    return name.len > parent.len && bytes_ends_with_nocase(name, parent) &&
           name.data[name.len - parent.len - 1] == '.';
}

/* A munged author is in the domain; DMARC passes when the signature's domain belongs to it. */
static void check_seal(const struct munge_check *check, const struct config_word *word)
{
    const struct config_domain *domain = check->domain;
    const struct config_seal_block *block =
        domain->seal != NULL ? domain->seal : check->loading->seal;
    struct bytes name;

    if (block != NULL && block->is_broken) {
        return; /* told already */
    }
    if (check->seal == NULL) {
        config_error_at(check->loading, word,
                        "add to the domain: seal { selector NAME, key-file FILE }",
                        "mail to " BYTES_FMT " cannot be munged without a key to sign with",
                        BYTES_ARG(domain->name));
    } else if (idn_domain_to_ascii(domain->name, check->loading->arena, &name) &&
               !bytes_equal(name, check->seal->domain) &&
               !is_below(name, check->seal->domain) && !is_below(check->seal->domain, name)) {
        config_error_at(check->loading, word,
                        "add to the domain a seal block of its own, or say its name in: "
                        "seal { domain NAME",
                        "mail to " BYTES_FMT " cannot be munged: it is signed as " BYTES_FMT,
                        BYTES_ARG(domain->name), BYTES_ARG(check->seal->domain));
    }
}

/* `word` NULL: nothing is said about it here, it is the common policy that is looked at. */
static void check_policy(struct munge_check *check, const struct accept_policy *policy,
                         const struct config_word *word)
{
    bool is_common = word == NULL;

    if (!asks_for_munging(policy)) {
        return;
    }
    if (is_common) {
        word = find_common_munging(check->loading->config);
    }
    check->is_any_munged = true;
    if (policy->munge_from == MUNGE_WHEN_NEEDED) {
        check_seal(check, word);
    } else if (!is_common || !check->is_usual_told) {
        config_error_at(check->loading, word, "add: munge-from when-needed",
                        "\"munge\" says nothing while munge-from is never");
        check->is_usual_told |= is_common;
    }
}

void config_check_munging(struct config_loading *loading)
{
    struct config *config = loading->config;
    struct munge_check check = {.loading = loading};
    const struct config_word *word =
        find_common(config, offsetof(struct accept_policy, munge_from));
    size_t number = 0;

    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next, number++) {
        const struct config_word *own = find_override(d->overrides);

        check.domain = d;
        check.seal = config->domain_seals[number];
        check_policy(&check, config->domain_policies[number], own);
        for (const struct config_local_policy *local = d->locals; local != NULL;
             local = local->next) {
            struct accept_policy policy = *config->domain_policies[number];
            const struct config_word *here = find_override(local->overrides);

            if (here != NULL) {
                apply_overrides(&policy, local->overrides);
                check_policy(&check, &policy, here);
            }
        }
    }
    if (word != NULL && config->policy.munge_from == MUNGE_WHEN_NEEDED &&
        !check.is_any_munged) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "add: doomed munge, or doomed-quarantine munge",
                          "nothing is munged: no rule says so");
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
