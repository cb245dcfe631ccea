#include "config_internal.h"

#include "base/memory.h"
#include "base/siphash.h"
#include "io/sandbox.h"

#include <stdlib.h>

/*
 * From a file to a config, in the order it happens:
 *
 *   1 config_read_file   the text, then its tree (daemon/config_tree)
 *   2 follow_includes    other files' directives take the place of `include`
 *   3 walk_block         each directive is found in the schema and put into its value
 *   4 apply_defaults     what was not set takes the table's default, by the same way
 *   5 complete           what depends on more than one directive
 */
enum { CONFIG_FILE_LIMIT = 4 * 1024 * 1024, INCLUDE_DEPTH = 8, DAY_MS = 86400000 };

static const char OUTSIDE[] = "it is outside of the directories a running daemon may open; "
                              "restart the daemon to have it read";

static void walk_block(struct config_loading *loading, const char *context,
                       struct config_node *block);

void config_error_at(struct config_loading *loading, const struct config_word *word,
                     const char *hint, const char *format, ...)
{
    struct strbuf message;
    va_list arguments;

    strbuf_init(&message, 4096);
    va_start(arguments, format);
    strbuf_addv(&message, format, arguments);
    va_end(arguments);
    config_errors_add(loading->errors, CONFIG_ERROR, word->place, hint, "%s",
                      strbuf_text(&message));
    strbuf_clear(&message);
}

/* --- files ------------------------------------------------------------------------------- */

static struct config_file *add_file(struct config_loading *loading, const char *name)
{
    struct config_file *file = arena_alloc(loading->arena, sizeof *file);

    file->name = name;
    file->next = loading->config->files;
    loading->config->files = file;
    return file;
}

struct config_file *config_read_file(struct config_loading *loading, const char *path,
                                     size_t limit, struct config_place place, const char *hint)
{
    struct strbuf text, why;
    struct file_stamp stamp;
    struct config_file *file = NULL;

    strbuf_init(&text, limit);
    strbuf_init(&why, 200);
    if (file_read_whole(path, limit, &text, &stamp, &why)) {
        file = add_file(loading, path);
        file->owned = text;
        file->text = strbuf_bytes(&text);
        file->stamp = stamp;
        file->is_on_disk = true;
    } else {
        config_errors_add(loading->errors, CONFIG_ERROR, place, hint, "cannot read %s: %s",
                          path, sandbox_may_read(path) ? strbuf_text(&why) : OUTSIDE);
    }
    strbuf_clear(&why);
    return file;
}

const char *config_resolve_path(struct config_loading *loading, const struct config_word *word)
{
    const char *beside = word->place.file->name;
    const char *slash = strrchr(beside, '/');
    struct strbuf path;
    const char *result;

    strbuf_init(&path, 8192);
    if (word->text.len > 0 && word->text.data[0] != '/' && slash != NULL) {
        strbuf_add(&path, bytes_of(beside, (size_t)(slash - beside) + 1));
    }
    strbuf_add(&path, word->text);
    result = arena_copy_text(loading->arena, strbuf_bytes(&path));
    strbuf_clear(&path);
    return result;
}

static void follow_includes(struct config_loading *loading, struct config_node *block,
                            unsigned depth);

/* The directives of one file, their own includes followed. */
static struct config_node *read_tree(struct config_loading *loading, const char *path,
                                     struct config_place place, unsigned depth)
{
    struct config_file *file = config_read_file(loading, path, CONFIG_FILE_LIMIT, place, NULL);
    struct config_node *root;

    if (file == NULL) {
        return NULL;
    }
    root = config_tree_parse(file, loading->arena, loading->errors);
    follow_includes(loading, root, depth);
    return root;
}

/* Puts the children of `root` where *link points, and returns where the next one goes. */
static struct config_node **splice(struct config_node **link, struct config_node *root,
                                   struct config_node *parent)
{
    struct config_node *node = root->first_child;

    while (node != NULL) {
        struct config_node *next = node->next;
        node->parent = parent;
        *link = node;
        link = &node->next;
        node = next;
    }
    return link;
}

/* False: an error was told. Nothing found where nobody may look would pass for nothing there. */
static bool remember_pattern(struct config_loading *loading, const struct config_word *word,
                             const char *pattern)
{
    struct bytes fixed = bytes_first(bytes_from_text(pattern), strcspn(pattern, "*?["));
    size_t slash = bytes_find_last(fixed, '/');
    struct config_pattern *remembered = arena_alloc(loading->arena, sizeof *remembered);

    remembered->directory = slash == fixed.len ? "."
                            : slash == 0
                                ? "/"
                                : arena_copy_text(loading->arena, bytes_first(fixed, slash));
    remembered->next = loading->config->patterns;
    loading->config->patterns = remembered;
    if (!sandbox_may_read(remembered->directory)) {
        config_error_at(loading, word, NULL, "cannot read %s: %s", pattern, OUTSIDE);
        return false;
    }
    return true;
}

static struct config_node **include_files(struct config_loading *loading,
                                          const struct config_node *node,
                                          struct config_node **link, unsigned depth)
{
    const struct config_word *word = &node->words[1];
    struct config_node *parent = node->parent;
    const char *pattern;
    char **paths;
    size_t count;

    if (node->count != 2 || node->has_block) {
        config_error_at(loading, &node->words[0], "write: include conf.d/*.conf",
                        "include takes one pattern");
        return link;
    }
    if (depth == INCLUDE_DEPTH) {
        config_error_at(loading, word, "does a file include itself?",
                        "files include each other more than 8 deep");
        return link;
    }
    pattern = config_resolve_path(loading, word);
    if (!remember_pattern(loading, word, pattern)) {
        return link;
    }
    count = file_glob(pattern, loading->arena, &paths);
    if (count == 0 && strpbrk(pattern, "*?[") == NULL) {
        config_error_at(loading, word, NULL, "cannot read %s: no such file", pattern);
    }
    for (size_t i = 0; i < count; i++) {
        struct config_node *root = read_tree(loading, paths[i], word->place, depth + 1);
        if (root != NULL) {
            link = splice(link, root, parent);
        }
    }
    return link;
}

static void follow_includes(struct config_loading *loading, struct config_node *block,
                            unsigned depth)
{
    struct config_node **link = &block->first_child;
    struct config_node *node = block->first_child;

    while (node != NULL) {
        struct config_node *next = node->next;
        if (bytes_equal(node->words[0].text, BYTES("include"))) {
            link = include_files(loading, node, link, depth);
        } else {
            *link = node;
            link = &node->next;
            follow_includes(loading, node, depth);
        }
        node = next;
    }
    *link = NULL;
}

/* --- {file:PATH} and {env:NAME} ---------------------------------------------------------- */

static bool add_substitute(struct config_loading *loading, const struct config_word *word,
                           struct bytes inside, struct strbuf *out)
{
    bool is_file = bytes_starts_with(inside, BYTES("file:"));
    struct config_word name = *word;
    const char *value;

    name.text = bytes_skip(inside, is_file ? 5 : 4);
    if (is_file) {
        struct config_file *file = config_read_file(
            loading, config_resolve_path(loading, &name), 65536, word->place, NULL);
        if (file == NULL) {
            return false;
        }
        struct bytes rest = file->text;
        strbuf_add(out, bytes_trim(bytes_cut(&rest, '\n')));
        return true;
    }
    value = getenv(arena_copy_text(loading->arena, name.text));
    if (value == NULL) {
        config_error_at(loading, word, NULL, "the environment has no %.*s",
                        BYTES_ARG(name.text));
        return false;
    }
    strbuf_add_text(out, value);
    return true;
}

/* False: an error was told. */
static bool substitute(struct config_loading *loading, struct config_word *word)
{
    struct bytes rest = word->text;
    struct strbuf out;
    bool has_any = false, is_good = true;

    strbuf_init(&out, 65536);
    while (rest.len > 0) {
        bool is_file = bytes_starts_with(rest, BYTES("{file:"));
        if (is_file || bytes_starts_with(rest, BYTES("{env:"))) {
            size_t close = bytes_find(rest, '}');
            if (close == rest.len) {
                config_error_at(loading, word, "write {file:/path} or {env:NAME}",
                                "the closing brace is missing");
                is_good = false;
                break;
            }
            has_any = true;
            is_good =
                add_substitute(loading, word, bytes_between(rest, 1, close), &out) && is_good;
            rest = bytes_skip(rest, close + 1);
        } else {
            strbuf_add_char(&out, rest.data[0]);
            rest = bytes_skip(rest, 1);
        }
    }
    if (has_any) {
        word->text = arena_copy(loading->arena, strbuf_bytes(&out));
    }
    strbuf_clear_wiped(&out);
    return is_good;
}

/* --- the walk ---------------------------------------------------------------------------- */

static void report_elsewhere(struct config_loading *loading, const char *context,
                             const struct config_word *word, const struct config_option *other)
{
    struct strbuf hint;

    strbuf_init(&hint, 500);
    if (other->context[0] == '\0') {
        strbuf_addf(&hint, "\"%s\" stands outside of all blocks", other->name);
    } else {
        strbuf_addf(&hint, "\"%s\" belongs into a block: %s { ... }", other->name,
                    other->context);
    }
    config_error_at(loading, word, strbuf_text(&hint), "\"%.*s\" is not known %s%s",
                    BYTES_ARG(word->text), context[0] == '\0' ? "here" : "in the block ",
                    context);
    strbuf_clear(&hint);
}

static void report_unknown(struct config_loading *loading, const char *context,
                           const struct config_node *node)
{
    const struct config_word *word = &node->words[0];
    const struct config_option *other = config_schema_find_any(word->text, 0);
    const char *near = config_schema_suggest(context, word->text);
    const char *elsewhere = config_schema_suggest_any(word->text);
    struct strbuf hint;

    if (word->text.len == 0 ||
        (node->parent->is_unclosed && config_schema_find("", word->text) != NULL)) {
        return; /* told already: the block before it is never closed */
    }
    if (other != NULL) {
        report_elsewhere(loading, context, word, other);
        return;
    }
    strbuf_init(&hint, 500);
    if (near != NULL) {
        strbuf_addf(&hint, "did you mean \"%s\"?", near);
    } else if (elsewhere != NULL) {
        strbuf_addf(&hint,
                    "did you mean \"%s\"? It stands elsewhere, see \"postilion "
                    "explain-option %s\"",
                    elsewhere, elsewhere);
    }
    config_error_at(loading, word, hint.len == 0 ? NULL : strbuf_text(&hint),
                    "unknown option \"%.*s\"", BYTES_ARG(word->text));
    strbuf_clear(&hint);
}

static void add_setting(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node, bool is_default)
{
    struct config_setting *setting = arena_alloc(loading->arena, sizeof *setting);

    *setting = (struct config_setting){option, node, is_default, NULL};
    *loading->last_setting = setting;
    loading->last_setting = &setting->next;
}

/* `parent` NULL: wherever it stands, but a domain's policy says nothing about the common one. */
static const struct config_node *find_set(const struct config_loading *loading,
                                          const struct config_option *option,
                                          const struct config_node *parent)
{
    for (const struct config_setting *s = loading->config->settings; s != NULL; s = s->next) {
        if (s->option == option &&
            (parent == NULL ? !config_node_is_nested(s->node) : s->node->parent == parent)) {
            return s->node;
        }
    }
    return NULL;
}

/* Is the directive's outer form what the table says? */
static bool has_form(struct config_loading *loading, const struct config_option *option,
                     const struct config_node *node)
{
    bool is_block = option->type == CONFIG_BLOCK || option->type == CONFIG_DOMAIN ||
                    option->type == CONFIG_POLICY_FOR || option->type == CONFIG_SEAL;
    size_t words = option->type == CONFIG_BLOCK || option->type == CONFIG_SEAL ? 1 : 2;
    struct strbuf hint;
    bool is_good = true;

    strbuf_init(&hint, 500);
    strbuf_addf(&hint, "write: %s %s", option->name, option->arguments);
    if (is_block && !node->has_block) {
        config_error_at(loading, &node->words[0], strbuf_text(&hint),
                        "%s needs a block in braces", option->name);
        is_good = false;
    } else if (!is_block && node->has_block && !config_schema_has_block(option)) {
        config_errors_add(loading->errors, CONFIG_ERROR, node->open, strbuf_text(&hint),
                          "%s takes no block", option->name);
        is_good = false;
    } else if (node->count < words) {
        config_error_at(loading, &node->words[0], strbuf_text(&hint), "%s needs a value",
                        option->name);
        is_good = false;
    } else if (is_block && node->count > words) {
        config_error_at(loading, &node->words[words], strbuf_text(&hint),
                        "this word is too much");
        is_good = false;
    }
    strbuf_clear(&hint);
    return is_good;
}

static bool is_first(struct config_loading *loading, const struct config_option *option,
                     const struct config_node *node)
{
    const struct config_node *first =
        option->may_repeat ? NULL : find_set(loading, option, node->parent);

    if (first == NULL) {
        return true;
    }
    config_error_at(loading, &node->words[0], NULL, "%s is set twice", option->name);
    config_errors_add_note(loading->errors, first->words[0].place, "first set here");
    return false;
}

static void enter_domain(struct config_loading *loading, const struct config_node *node)
{
    const struct config_word *word = &node->words[1];
    struct config_domain *domain;

    struct bytes name = word->text;

    if (!config_domain_to_ascii(loading, word->text, &name)) {
        config_error_at(loading, word, NULL, "this is not a domain");
        return;
    }
    for (domain = loading->domains; domain != NULL; domain = domain->next) {
        if (bytes_equal_nocase(domain->name, name)) {
            config_error_at(loading, word, "put all of it into one block",
                            "this domain is set twice");
            config_errors_add_note(loading->errors, domain->node->words[1].place,
                                   "first set here");
            return;
        }
    }
    domain = arena_alloc(loading->arena, sizeof *domain);
    *domain = (struct config_domain){.node = node, .name = name};
    *loading->last_domain = domain;
    loading->last_domain = &domain->next;
}

static void walk_directive(struct config_loading *loading, const char *context,
                           struct config_node *node)
{
    const struct config_option *option = config_schema_find(context, node->words[0].text);

    if (option == NULL) {
        report_unknown(loading, context, node);
        return;
    }
    if (node->is_broken || !has_form(loading, option, node) ||
        !is_first(loading, option, node)) {
        return;
    }
    for (size_t i = 1; i < node->count; i++) {
        node->is_broken = !substitute(loading, &node->words[i]) || node->is_broken;
    }
    if (node->is_broken) {
        return;
    }
    add_setting(loading, option, node, false);
    if (option->type == CONFIG_DOMAIN) {
        enter_domain(loading, node);
    } else if (option->type == CONFIG_POLICY_FOR) {
        config_enter_local_policy(loading, node);
    } else if (option->type == CONFIG_SEAL) {
        config_enter_seal(loading, node);
    }
    config_apply(loading, option, node);
    if (node->has_block) {
        walk_block(loading, option->type == CONFIG_POLICY_FOR ? "policy" : option->name, node);
    }
}

static void walk_block(struct config_loading *loading, const char *context,
                       struct config_node *block)
{
    for (struct config_node *node = block->first_child; node != NULL; node = node->next) {
        walk_directive(loading, context, node);
    }
}

/* The table's default is read as if it stood in a file. */
static void apply_default(struct config_loading *loading, const struct config_option *option)
{
    struct config_file *file = arena_alloc(loading->arena, sizeof *file);
    struct config_node *root;
    struct strbuf line;

    strbuf_init(&line, 1000);
    strbuf_addf(&line, "%s %s\n", option->name, option->fallback);
    file->name = "default";
    file->text = arena_copy(loading->arena, strbuf_bytes(&line));
    strbuf_clear(&line);
    root = config_tree_parse(file, loading->arena, loading->errors);
    add_setting(loading, option, root->first_child, true);
    config_apply(loading, option, root->first_child);
}

static void apply_defaults(struct config_loading *loading)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (option->fallback != NULL && find_set(loading, option, NULL) == NULL) {
            apply_default(loading, option);
        }
    }
}

/* --- the whole --------------------------------------------------------------------------- */

static void check_required(struct config_loading *loading, const struct config_file *file)
{
    struct config_place whole = {file, 0, 0};
    const struct config_option *srs = config_schema_find("", BYTES("srs"));
    const struct config_node *block = find_set(loading, srs, NULL);

    if (find_set(loading, config_schema_find("", BYTES("hostname")), NULL) == NULL) {
        config_errors_add(loading->errors, CONFIG_ERROR, whole,
                          "add the full name of this machine: hostname mx.example.org",
                          "hostname is missing");
    }
    if (find_set(loading, config_schema_find("srs", BYTES("secret-file")), NULL) == NULL) {
        config_errors_add(loading->errors, CONFIG_ERROR,
                          block == NULL ? whole : block->words[0].place,
                          "postilion srs secret --add /etc/postilion/srs.secret; then: srs { "
                          "secret-file /etc/postilion/srs.secret }",
                          "SRS has no secret-file");
    }
    if (find_set(loading, config_schema_find("", BYTES("domain")), NULL) == NULL) {
        config_errors_add(loading->errors, CONFIG_ERROR, whole,
                          "add: domain example.org { forward postmaster to you@mail.example }",
                          "no domain is configured, so no mail would be taken");
    }
}

static void check_trust(struct config_loading *loading)
{
    const struct config_node *node =
        find_set(loading, config_schema_find("listen", BYTES("proxy-protocol")), NULL);

    if (loading->config->proxy_listeners != 0 && loading->config->trusted.count == 0) {
        config_error_at(loading, &node->words[0], "add: trust ADDRESS-OF-THE-PROXY",
                        "nobody may send a PROXY header");
    }
}

static void complete_srs(struct config_loading *loading)
{
    struct config *config = loading->config;
    struct srs_secret *secrets =
        arena_alloc(loading->arena, (loading->secret_count + 1) * sizeof *secrets);

    memcpy(secrets, loading->secrets, loading->secret_count * sizeof *secrets);
    if (config->srs_domain.len == 0) {
        config->srs_domain = config->hostname;
    }
    config->srs = (struct srs_options){
        .format = (enum srs_format)config->srs_format,
        .separator = "=+-"[config->srs_separator],
        .max_age_days = (unsigned)(config->srs_max_age_ms / DAY_MS),
        .secrets = secrets,
        .secret_count = loading->secret_count,
        .is_own_domain = alias_table_is_own_domain,
    };
}

const struct config_setting *config_find_setting(const struct config *config,
                                                 const char *context, const char *name)
{
    for (const struct config_setting *setting = config->settings; setting != NULL;
         setting = setting->next) {
        if (strcmp(setting->option->context, context) == 0 &&
            strcmp(setting->option->name, name) == 0) {
            return setting;
        }
    }
    return NULL;
}

/* Whoever asks nobody who they are cannot know whom a bounce would hit. */
static void check_bounces(struct config_loading *loading)
{
    const struct config *config = loading->config;
    const struct config_setting *setting =
        config_find_setting(config, "policy", "authenticate");

    if (!config->authenticate && setting != NULL && !setting->is_default &&
        (config->delivery.bounce == BOUNCE_PROVEN ||
         config->delivery.bounce == BOUNCE_OWN_DOMAINS)) {
        config_errors_add(loading->errors, CONFIG_WARNING, setting->node->words[1].place,
                          "\"bounce all\" in the delivery block bounces it, also to strangers",
                          "nobody's sender is proven, so what cannot be delivered is held and "
                          "never bounced");
    }
}

static void complete(struct config_loading *loading, const struct config_file *file)
{
    struct config *config = loading->config;

    check_required(loading, file);
    check_trust(loading);
    complete_srs(loading);
    if (config->delivery.helo.len == 0) {
        config->delivery.helo = config->hostname;
    }
    if (config->authserv_id.len == 0) {
        config->authserv_id = config->hostname;
    }
    config->delivery.retry.expire_seconds = (uint32_t)(config->delivery.expire_ms / 1000);
    for (size_t i = 0; i < loading->route_count; i++) {
        for (size_t hop = 0; hop < loading->routes[i].hop_count; hop++) {
            if (loading->routes[i].hops[hop].port == 0) {
                loading->routes[i].hops[hop].port = (uint16_t)config->delivery.port;
            }
        }
    }
    config->routes = (struct delivery_route_table){loading->routes, loading->route_count};
    config_build_certificates(loading);
    config_build_tls(loading);
    config_build_aliases(loading);
    config_build_policies(loading);
    config_build_seals(loading);
    config_check_munging(loading);
    config_check_doctor(loading);
    config_check_clients(loading);
    config_build_verify(loading);
    check_bounces(loading);
    config->srs.own_domain_context = config->aliases;
}

static void destroy(struct shared *shared)
{
    struct config *config = (struct config *)(void *)shared;

    for (struct config_key *key = config->keys; key != NULL; key = key->next) {
        signing_key_free(&key->key);
    }
    tls_context_drop(&config->tls);
    tls_context_drop(&config->delivery.tls_context);
    alias_table_free(&config->aliases);
    hash_table_free(&config->local_policies);
    for (struct config_file *file = config->files; file != NULL; file = file->next) {
        strbuf_clear_wiped(&file->owned); /* it may hold a secret */
    }
    arena_free_wiped(&config->arena); /* {file:...} may have brought one in */
    free(config);
}

void config_free(struct config **config)
{
    if (*config != NULL) {
        shared_drop(&(*config)->shared);
        *config = NULL;
    }
}

static struct config *new_config(struct config_loading *loading, struct config_errors *errors,
                                 const char *path)
{
    struct config *config = memory_zero(sizeof *config);

    shared_init(&config->shared, destroy);
    config->arena = arena_new();
    config->path = arena_copy_text(config->arena, bytes_from_text(path));
    *loading =
        (struct config_loading){.config = config, .errors = errors, .arena = config->arena};
    loading->last_setting = &config->settings;
    loading->last_domain = &loading->domains;
    loading->last_pair = &loading->pairs;
    return config;
}

static struct config *load_file(struct config_loading *loading, const struct config_file *file)
{
    struct config_node *root = config_tree_parse(file, loading->arena, loading->errors);

    follow_includes(loading, root, 0);
    walk_block(loading, "", root);
    apply_defaults(loading);
    complete(loading, file);
    if (config_errors_count(loading->errors, CONFIG_ERROR) > 0) {
        config_free(&loading->config);
    }
    return loading->config;
}

struct config *config_load(const char *path, struct config_errors *errors)
{
    struct config_loading loading;
    struct config *config = new_config(&loading, errors, path);
    struct config_file here = {.name = "postilion"};
    struct config_file *file = config_read_file(&loading, config->path, CONFIG_FILE_LIMIT,
                                                (struct config_place){&here, 0, 0},
                                                "postilion -c FILE names another one");

    if (file == NULL) {
        config_free(&loading.config);
        return NULL;
    }
    return load_file(&loading, file);
}

struct config *config_load_text(const char *name, struct bytes text,
                                struct config_errors *errors)
{
    struct config_loading loading;
    struct config *config = new_config(&loading, errors, name);
    struct config_file *file = add_file(&loading, config->path);

    file->text = arena_copy(loading.arena, text);
    return load_file(&loading, file);
}

bool config_is_stale(const struct config *config)
{
    for (const struct config_file *file = config->files; file != NULL; file = file->next) {
        struct file_stamp now;
        if (file->is_watched &&
            (!file_read_stamp(file->name, &now) || !file_stamp_equal(&file->stamp, &now))) {
            return true;
        }
    }
    return false;
}

uint64_t config_files_now(const struct config *config)
{
    struct siphash_key key = {{0, 0}};

    for (const struct config_file *file = config->files; file != NULL; file = file->next) {
        struct file_stamp now = {.inode = 0};
        uint64_t facts[4] = {0};
        if (file->is_on_disk) {
            facts[0] = file_read_stamp(file->name, &now);
            facts[1] = (uint64_t)now.modified_ns;
            facts[2] = now.size;
            facts[3] = now.inode;
        }
        key.words[0] = siphash(&key, bytes_of(facts, sizeof facts));
    }
    return key.words[0];
}
