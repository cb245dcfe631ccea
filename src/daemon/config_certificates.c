#include "config_internal.h"

#include "base/memory.h"
#include "io/clock.h"

enum { PEM_FILE_LIMIT = 1024 * 1024, DAY_SECONDS = 86400, SOON_DAYS = 14 };

static const char HOW_TO_CHAIN[] =
    "the certificate first, then the one that signed it, and so on";

/* ---- while the tree is walked ------------------------------------------------------------ */

static struct config_tls_pair *find_open_pair(const struct config_loading *loading)
{
    struct config_tls_pair *pair = loading->pairs;

    while (pair != NULL && pair->key_word != NULL) {
        pair = pair->next;
    }
    return pair;
}

static bool report_open_pair(struct config_loading *loading)
{
    const struct config_tls_pair *open = find_open_pair(loading);

    if (open != NULL && !loading->has_bad_pair) {
        config_error_at(loading, open->certificate_word, "its key follows: key FILE",
                        "this certificate has no key");
    }
    return open != NULL;
}

static struct config_file *read_pem(struct config_loading *loading,
                                    const struct config_word *word)
{
    return config_read_file(loading, config_resolve_path(loading, word), PEM_FILE_LIMIT,
                            word->place, NULL);
}

static bool add_certificate(struct config_loading *loading, const struct config_word *word)
{
    struct config_tls_pair *pair;

    if (report_open_pair(loading)) {
        return false;
    }
    pair = arena_alloc(loading->arena, sizeof *pair);
    *pair = (struct config_tls_pair){.certificate_word = word};
    *loading->last_pair = pair;
    loading->last_pair = &pair->next;
    loading->pair_count++;
    pair->certificate = read_pem(loading, word);
    return pair->certificate != NULL;
}

static bool add_key(struct config_loading *loading, const struct config_word *word)
{
    struct config_tls_pair *pair = find_open_pair(loading);

    if (pair == NULL) {
        if (!loading->has_bad_pair) {
            config_error_at(loading, word, "its certificate stands before it: certificate FILE",
                            "this key has no certificate");
        }
        return false;
    }
    pair->key_word = word;
    pair->key = read_pem(loading, word);
    if (pair->key != NULL) {
        config_check_secret(loading, word, pair->key);
    }
    return pair->key != NULL;
}

void config_apply_certificate(struct config_loading *loading,
                              const struct config_option *option,
                              const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    bool is_good;

    if (word != NULL && word->text.len == 0) {
        config_error_at(loading, word, NULL, "%s is empty", option->name);
        word = NULL;
    }
    is_good =
        word != NULL && (strcmp(option->name, "key") == 0 ? add_key(loading, word)
                                                          : add_certificate(loading, word));
    loading->has_bad_pair = loading->has_bad_pair || !is_good;
}

/* ---- when all is known ------------------------------------------------------------------- */

static void warn(struct config_loading *loading, const struct config_word *word,
                 const char *hint, const char *message)
{
    config_errors_add(loading->errors, CONFIG_WARNING, word->place, hint, "%s", message);
}

static void warn_of_dates(struct config_loading *loading, const struct config_word *word,
                          const struct tls_certificate_facts *facts)
{
    int64_t now = clock_unix_seconds();
    int64_t days = (facts->expires - now) / DAY_SECONDS;

    if (facts->begins > now) {
        warn(loading, word, "is the clock right?", "this certificate is not valid yet");
    } else if (facts->expires > now && days < SOON_DAYS) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "get a new one, then: kill -HUP, no session is disturbed",
                          "this certificate expires in %d days", (int)days);
    }
}

static void warn_of_chain(struct config_loading *loading, const struct config_word *word,
                          enum tls_chain chain)
{
    switch (chain) {
    case TLS_CHAIN_GOOD:
        return;
    case TLS_CHAIN_DISORDERED:
        warn(loading, word, HOW_TO_CHAIN, "the chain is in disorder, or one is missing in it");
        return;
    case TLS_CHAIN_ALONE:
        warn(loading, word, HOW_TO_CHAIN,
             "it stands alone, and this system does not know who signed it: nobody else will, "
             "either");
        return;
    }
}

/* False: it cannot be used, an error was told. */
static bool look_at(struct config_loading *loading, const struct config_tls_pair *pair,
                    struct tls_certificate *certificate, struct tls_certificate_facts *facts)
{
    struct strbuf why;
    bool is_good;

    strbuf_init(&why, 1000);
    *certificate = (struct tls_certificate){pair->certificate->text, pair->key->text};
    is_good = tls_certificate_look(certificate, loading->config->hostname, facts, &why);
    if (is_good) {
        warn_of_dates(loading, pair->certificate_word, facts);
        warn_of_chain(loading, pair->certificate_word, facts->chain);
    } else {
        config_error_at(loading, pair->certificate_word, NULL, "%s", strbuf_text(&why));
    }
    strbuf_clear(&why);
    return is_good;
}

/* The context has what it needs of it. */
static void wipe_keys(const struct config_loading *loading)
{
    for (struct config_tls_pair *pair = loading->pairs; pair != NULL; pair = pair->next) {
        if (pair->key != NULL) {
            config_wipe_file(pair->key);
        }
    }
}

static void make_context(struct config_loading *loading,
                         const struct tls_certificate *certificates)
{
    const struct tls_context_options options = {.role = TLS_SERVER,
                                                .certificates = certificates,
                                                .certificate_count = loading->pair_count};
    struct strbuf why;

    strbuf_init(&why, 1000);
    loading->config->tls = tls_context_new(&options, &why);
    if (loading->config->tls == NULL) {
        config_error_at(loading, loading->pairs->certificate_word, NULL, "%s",
                        strbuf_text(&why));
    }
    strbuf_clear(&why);
}

static void use_pairs(struct config_loading *loading)
{
    struct config *config = loading->config;
    struct config_certificate *kept =
        arena_alloc(loading->arena, loading->pair_count * sizeof *kept);
    struct tls_certificate *certificates =
        arena_alloc(loading->arena, loading->pair_count * sizeof *certificates);
    bool is_good = true, has_name = false;
    size_t count = 0;

    for (const struct config_tls_pair *pair = loading->pairs; pair != NULL; pair = pair->next) {
        struct tls_certificate_facts facts = {.expires = 0};
        is_good = look_at(loading, pair, &certificates[count], &facts) && is_good;
        has_name = has_name || facts.has_name;
        kept[count++] = (struct config_certificate){.place = pair->certificate_word->place,
                                                    .file = pair->certificate,
                                                    .begins = facts.begins,
                                                    .expires = facts.expires,
                                                    .chain = facts.chain};
    }
    if (!is_good) {
        return;
    }
    if (!has_name && config->hostname.len > 0) {
        config_errors_add(
            loading->errors, CONFIG_WARNING, loading->pairs->certificate_word->place,
            "senders that verify us (MTA-STS, DANE) ask for the name in our MX",
            "no certificate is for the hostname " BYTES_FMT, BYTES_ARG(config->hostname));
    }
    config->certificates = kept;
    config->certificate_count = count;
    make_context(loading, certificates);
}

/* A listener that says it has TLS must have it. */
static void check_listeners(struct config_loading *loading)
{
    const struct config_setting *setting = loading->config->settings;

    for (; setting != NULL; setting = setting->next) {
        const struct config_node *node = setting->node;
        if (!setting->is_default && strcmp(setting->option->context, "listen") == 0 &&
            strcmp(setting->option->name, "tls") == 0 && node->count > 1 &&
            (bytes_equal(node->words[1].text, BYTES("starttls")) ||
             bytes_equal(node->words[1].text, BYTES("implicit")))) {
            config_error_at(loading, &node->words[0],
                            "add: tls { certificate FILE, and in the next line: key FILE }",
                            "there is no certificate for TLS");
        }
    }
}

void config_build_certificates(struct config_loading *loading)
{
    if (loading->pair_count == 0 && !loading->has_bad_pair) {
        check_listeners(loading);
    } else if (!report_open_pair(loading) && !loading->has_bad_pair) {
        use_pairs(loading);
    }
    wipe_keys(loading);
}

/* ---- afterwards -------------------------------------------------------------------------- */

enum config_listener_tls config_listener_tls(const struct config *config, size_t listener)
{
    return (enum config_listener_tls)(config->listener_tls >> 2 * listener & 3);
}

void config_report_expired(const struct config *config, struct config_errors *errors,
                           enum config_severity severity)
{
    int64_t now = clock_unix_seconds();

    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        if (certificate->expires <= now) {
            config_errors_add(errors, severity, certificate->place,
                              "get a new one, then: kill -HUP, no session is disturbed",
                              "this certificate has expired %d days ago",
                              (int)((now - certificate->expires) / DAY_SECONDS));
        }
    }
}
