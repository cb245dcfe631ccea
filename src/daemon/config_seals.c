#include "config_internal.h"

#include "auth/idn_domain.h"
#include "base/memory.h"
#include "io/entropy.h"

#include <stdlib.h>

enum { KEY_FILE_LIMIT = 65536, NAME_TEXT_LIMIT = 600 };

static const char HOW_TO_MAKE[] = "make one with: postilion key make SELECTOR";

/* ---- while the tree is walked ------------------------------------------------------------ */

void config_enter_seal(struct config_loading *loading, const struct config_node *node)
{
    struct config_seal_block *seal = arena_alloc(loading->arena, sizeof *seal);

    *seal = (struct config_seal_block){.node = node, .with_arc = true};
    seal->last_pair = &seal->pairs;
    if (node->parent->count == 0) {
        loading->seal = seal;
    } else if (config_find_domain(loading, node->parent) != NULL) {
        config_find_domain(loading, node->parent)->seal = seal;
    }
}

/* NULL: the domain was refused, or this is a default, which stands in no block. */
static struct config_seal_block *find_seal(const struct config_loading *loading,
                                           const struct config_node *block)
{
    struct config_domain *domain;

    if (block->parent == NULL || block->parent->count == 0) {
        return block->parent == NULL ? NULL : loading->seal;
    }
    domain = config_find_domain(loading, block->parent);
    return domain == NULL ? NULL : domain->seal;
}

/* The pair whose key-file is still to come, or NULL. */
static struct config_seal_pair *find_open_pair(const struct config_seal_block *seal)
{
    struct config_seal_pair *pair = seal->pairs;

    while (pair != NULL && pair->key != NULL) {
        pair = pair->next;
    }
    return pair;
}

static bool report_open_pair(struct config_loading *loading,
                             const struct config_seal_block *seal)
{
    const struct config_seal_pair *open = find_open_pair(seal);

    if (open != NULL && !seal->is_broken) {
        config_error_at(loading, open->selector, "its key-file follows the selector",
                        "this selector has no key");
    }
    return open != NULL;
}

static bool apply_selector(struct config_loading *loading, struct config_seal_block *seal,
                           const struct config_word *word)
{
    struct config_seal_pair *pair;

    if (word->text.len > 63 || !smtp_domain_is_valid(word->text, false)) {
        config_error_at(loading, word, "letters, digits and hyphens between dots",
                        "this is not a selector");
        return false;
    }
    if (report_open_pair(loading, seal)) {
        return false;
    }
    pair = arena_alloc(loading->arena, sizeof *pair);
    *pair = (struct config_seal_pair){.selector = word};
    *seal->last_pair = pair;
    seal->last_pair = &pair->next;
    seal->pair_count++;
    return true;
}

static const struct config_key *find_key(const struct config *config, struct bytes path)
{
    const struct config_key *key = config->keys;

    while (key != NULL && !bytes_equal(key->path, path)) {
        key = key->next;
    }
    return key;
}

/* What was in the file is wiped: the key is all that is kept of it. */
static struct signing_key *parse_key(struct config_loading *loading,
                                     const struct config_word *word, struct config_file *file)
{
    const char *why = NULL;
    struct signing_key *key = signing_key_read(file->text, &why);

    config_wipe_file(file);
    if (key == NULL) {
        config_error_at(loading, word, HOW_TO_MAKE, "cannot use the key in %s: %s", file->name,
                        why);
    }
    return key;
}

/* A key several domains sign with is read once. */
static const struct signing_key *read_key(struct config_loading *loading,
                                          const struct config_word *word)
{
    struct config *config = loading->config;
    const char *path = config_resolve_path(loading, word);
    const struct config_key *known = find_key(config, bytes_from_text(path));
    struct config_key *key;
    struct config_file *file;

    if (known != NULL) {
        return known->key;
    }
    file = config_read_file(loading, path, KEY_FILE_LIMIT, word->place, HOW_TO_MAKE);
    if (file == NULL) {
        return NULL;
    }
    config_check_secret(loading, word, file);
    key = arena_alloc(loading->arena, sizeof *key);
    *key = (struct config_key){.path = bytes_from_text(path),
                               .key = parse_key(loading, word, file),
                               .next = config->keys};
    if (key->key != NULL) {
        config->keys = key;
    }
    return key->key;
}

static bool apply_key_file(struct config_loading *loading, struct config_seal_block *seal,
                           const struct config_word *word)
{
    struct config_seal_pair *pair = find_open_pair(seal);

    if (word->text.len == 0) {
        config_error_at(loading, word, NULL, "key-file is empty");
        return false;
    }
    if (pair == NULL) {
        if (!seal->is_broken) {
            config_error_at(loading, word, "its selector stands before it: selector s1",
                            "this key has no selector");
        }
        return false;
    }
    pair->key = read_key(loading, word);
    return pair->key != NULL;
}

static bool apply_name(struct config_loading *loading, struct config_seal_block *seal,
                       const struct config_word *word)
{
    struct bytes ascii;

    seal->name = word;
    if (!idn_domain_to_ascii(word->text, loading->arena, &ascii)) {
        config_error_at(loading, word, NULL, "this is not a domain");
        return false;
    }
    return true;
}

void config_apply_seal(struct config_loading *loading, const struct config_option *option,
                       const struct config_node *node)
{
    struct config_seal_block *seal = find_seal(loading, node->parent);
    const struct config_word *word;
    int choice = 0;
    bool is_good;

    if (seal == NULL) {
        return;
    }
    seal->says_something = true;
    word = config_single_word(loading, option, node);
    if (word == NULL) {
        is_good = false;
    } else if (strcmp(option->name, "selector") == 0) {
        is_good = apply_selector(loading, seal, word);
    } else if (strcmp(option->name, "key-file") == 0) {
        is_good = apply_key_file(loading, seal, word);
    } else if (strcmp(option->name, "domain") == 0) {
        is_good = apply_name(loading, seal, word);
    } else {
        choice = config_read_choice(loading, option, word);
        is_good = choice >= 0;
        if (strcmp(option->name, "arc") == 0) {
            seal->with_arc = choice == 1;
        } else {
            seal->with_dkim = choice == 1;
        }
    }
    seal->is_broken = seal->is_broken || !is_good;
}

/* ---- when all is known ------------------------------------------------------------------- */

/* What DNS has one record for: a selector of a domain. */
struct published {
    const struct config_seal_block *block;
    const struct config_seal_pair *pair;
};

struct building {
    struct config_loading *loading;
    struct hash_table *published; /* by "selector._domainkey.domain" */
    const struct seal **seals;
    size_t count;
};

static struct bytes write_name(struct arena *arena, struct bytes selector, struct bytes domain)
{
    struct strbuf text;
    struct bytes name;

    strbuf_init(&text, NAME_TEXT_LIMIT);
    strbuf_add_lower(&text, selector);
    strbuf_add_text(&text, "._domainkey.");
    strbuf_add(&text, domain);
    name = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return name;
}

/* One name, one key: the next server has no other way to tell them apart. */
static bool is_published_once(struct building *building, const struct config_seal_block *block,
                              const struct config_seal_pair *pair, struct bytes domain)
{
    struct config_loading *loading = building->loading;
    struct bytes name = write_name(loading->arena, pair->selector->text, domain);
    const struct published *known = hash_table_get(building->published, name);
    struct published *fresh;

    if (known == NULL) {
        fresh = arena_alloc(loading->arena, sizeof *fresh);
        *fresh = (struct published){block, pair};
        hash_table_put(building->published, name, fresh);
        return true;
    }
    if (known->block != block && known->pair->key == pair->key) {
        return true;
    }
    config_error_at(loading, pair->selector, "each key needs a selector of its own",
                    known->block == block ? "this selector is there twice"
                                          : "two different keys for " BYTES_FMT,
                    BYTES_ARG(name));
    config_errors_add_note(loading->errors, known->pair->selector->place, "first set here");
    return false;
}

static bool is_equal(const struct seal *a, const struct seal *b)
{
    bool is_same = bytes_equal(a->domain, b->domain) && a->key_count == b->key_count &&
                   a->with_arc == b->with_arc && a->with_dkim == b->with_dkim;

    for (size_t i = 0; is_same && i < a->key_count; i++) {
        is_same = a->keys[i].key == b->keys[i].key &&
                  bytes_equal_nocase(a->keys[i].selector, b->keys[i].selector);
    }
    return is_same;
}

static const struct seal *share_seal(struct building *building, const struct seal *seal)
{
    for (size_t i = 0; i < building->count; i++) {
        if (is_equal(seal, building->seals[i])) {
            return building->seals[i];
        }
    }
    building->seals[building->count++] = seal;
    return seal;
}

static bool has_rsa(const struct seal *seal)
{
    for (size_t i = 0; i < seal->key_count; i++) {
        if (signing_key_algorithm(seal->keys[i].key) == SIGNING_RSA_SHA256) {
            return true;
        }
    }
    return false;
}

/* False: nothing can be made of the block, told or empty. */
static bool is_complete(struct config_loading *loading, struct config_seal_block *block)
{
    if (!block->is_broken && report_open_pair(loading, block)) {
        block->is_broken = true;
    }
    if (!block->is_broken && block->pair_count == 0 && block->says_something) {
        config_error_at(loading, &block->node->words[0],
                        "add: selector NAME, then key-file FILE", "this seal has no key");
        block->is_broken = true;
    }
    return !block->is_broken && block->pair_count > 0;
}

static const struct seal *make_seal(struct building *building, struct config_seal_block *block,
                                    struct bytes usual_domain)
{
    struct config_loading *loading = building->loading;
    struct bytes domain =
        block != NULL && block->name != NULL ? block->name->text : usual_domain;
    struct seal_key *keys;
    struct seal *seal;

    if (block == NULL || !is_complete(loading, block) ||
        !idn_domain_to_ascii(domain, loading->arena, &domain)) {
        return NULL; /* a name that is none was told where it stands */
    }
    keys = arena_alloc(loading->arena, block->pair_count * sizeof *keys);
    seal = arena_alloc(loading->arena, sizeof *seal);
    *seal = (struct seal){.domain = domain,
                          .keys = keys,
                          .with_arc = block->with_arc,
                          .with_dkim = block->with_dkim};
    for (const struct config_seal_pair *pair = block->pairs; pair != NULL; pair = pair->next) {
        block->is_broken =
            !is_published_once(building, block, pair, domain) || block->is_broken;
        keys[seal->key_count++] = (struct seal_key){pair->selector->text, pair->key};
    }
    if (seal->with_arc && !has_rsa(seal)) {
        config_error_at(loading, &block->node->words[0],
                        "add a selector with an RSA key, or: arc no", "ARC needs an RSA key");
        block->is_broken = true;
    }
    return share_seal(building, seal);
}

/* Domains are numbered in the order of their blocks (config_aliases). */
void config_build_seals(struct config_loading *loading)
{
    struct config *config = loading->config;
    struct building building = {.loading = loading};
    size_t count = 0;

    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next) {
        count++;
    }
    building.published = hash_table_new(entropy_hash_key());
    building.seals = arena_alloc(loading->arena, (count + 1) * sizeof *building.seals);
    config->domain_seals =
        arena_alloc(loading->arena, (count + 1) * sizeof config->domain_seals[0]);
    config->seal = make_seal(&building, loading->seal, config->srs_domain);
    count = 0;
    for (const struct config_domain *d = loading->domains; d != NULL; d = d->next) {
        config->domain_seals[count++] =
            d->seal == NULL ? config->seal : make_seal(&building, d->seal, d->name);
    }
    config->seals = building.seals;
    config->seal_count = building.count;
    hash_table_free(&building.published);
}

const struct seal *config_seal_for(const void *context, struct bytes domain)
{
    const struct config *config = context;
    size_t number = alias_table_find_domain(config->aliases, domain);

    return number == ALIAS_NO_DOMAIN ? config->seal : config->domain_seals[number];
}
