#include "daemon/probe_command.h"

#include "daemon/probe_session.h"

#include <sysexits.h>

enum { RESOLVER_LIMIT = 8, WHY_LIMIT = 4096, REPORT_LIMIT = 64 * 1024 * 1024 };

static const char usage[] =
    "usage: postilion probe ADDRESS|DOMAIN [--from A] [--data] [--host HOST[:PORT]]\n"
    "                       [--tls off|opportunistic|required|verified] [--all]\n"
    "                       [--timeout SECONDS] [--resolver HOST:PORT] [--json]\n";

struct arguments {
    FILE *err;
    struct arena *arena;
    struct bytes asked;
    struct probe_order request;
    struct ip_endpoint resolvers[RESOLVER_LIMIT];
    bool is_json;
};

/* ---- the command line ---- */

static int refuse(const struct arguments *arguments, const char *what, const char *why)
{
    fprintf(arguments->err, "postilion probe: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static struct bytes without_brackets(struct bytes text)
{
    bool has_brackets = text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>';

    return has_brackets ? bytes_between(text, 1, text.len - 1) : text;
}

static bool is_mailbox(const struct arguments *arguments, struct bytes text)
{
    struct smtp_mailbox mailbox;

    return smtp_mailbox_parse(text, true, true, arguments->arena, &mailbox) == SMTP_PATH_OK;
}

/* A domain stands for its postmaster, whom every domain has (RFC 5321 §4.5.1). */
static struct bytes postmaster_of(const struct arguments *arguments, struct bytes domain)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 512);
    strbuf_add_text(&text, "postmaster@");
    strbuf_add(&text, domain);
    copy = arena_copy(arguments->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static int take_word(struct arguments *arguments, const char *word)
{
    struct bytes text = without_brackets(bytes_from_text(word));
    bool is_domain = bytes_find(text, '@') == text.len;

    if (arguments->asked.len > 0) {
        return refuse(arguments, word, "this word is too much");
    }
    arguments->asked = text;
    arguments->request.address = is_domain ? postmaster_of(arguments, text) : text;
    if (text.len == 0 || !is_mailbox(arguments, arguments->request.address)) {
        return refuse(arguments, word, is_domain ? "no domain" : "no address");
    }
    return EX_OK;
}

static int take_sender(struct arguments *arguments, const char *value)
{
    struct bytes text = without_brackets(bytes_from_text(value));

    arguments->request.has_sender = true;
    arguments->request.sender = text;
    return text.len == 0 || is_mailbox(arguments, text)
               ? EX_OK
               : refuse(arguments, value, "no address");
}

static int take_host(struct arguments *arguments, const char *value)
{
    struct route_hop hop;

    arguments->request.host = bytes_from_text(value);
    return route_hop_read(arguments->request.host, &hop) == ROUTE_HOP_OK
               ? EX_OK
               : refuse(arguments, value, "no host: mail.example.net:25, [192.0.2.1]:25");
}

static int take_policy(struct arguments *arguments, const char *value)
{
    for (int level = TLS_LEVEL_OFF; level <= TLS_LEVEL_VERIFIED; level++) {
        if (strcmp(value, tls_level_text((enum tls_level)level)) == 0) {
            arguments->request.tls = level;
            return EX_OK;
        }
    }
    return refuse(arguments, value, "no TLS policy");
}

static int take_timeout(struct arguments *arguments, const char *value)
{
    uint64_t seconds = 0;

    if (!bytes_to_u64(bytes_from_text(value), &seconds) || seconds == 0 ||
        seconds > PROBE_TIMEOUT_MOST) {
        return refuse(arguments, value, "seconds, 1 to 3600");
    }
    arguments->request.timeout_ms = seconds * 1000;
    return EX_OK;
}

static int take_resolver(struct arguments *arguments, const char *value)
{
    struct probe_order *request = &arguments->request;

    if (request->resolver_count == RESOLVER_LIMIT ||
        !ip_endpoint_parse(bytes_from_text(value), 53,
                           &arguments->resolvers[request->resolver_count])) {
        return refuse(arguments, value, "no address of a resolver: 127.0.0.1:53");
    }
    request->resolver_count++;
    return EX_OK;
}

static const struct option {
    const char *name;
    int (*take)(struct arguments *arguments, const char *value);
} options[] = {
    {"--from", take_sender},     {"--host", take_host},         {"--tls", take_policy},
    {"--timeout", take_timeout}, {"--resolver", take_resolver},
};

static bool take_flag(struct arguments *arguments, const char *word)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--data", &arguments->request.is_data},
                 {"--all", &arguments->request.is_all},
                 {"--json", &arguments->is_json}};

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(word, flags[i].name) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static const struct option *find_option(struct bytes name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (bytes_equal(name, bytes_from_text(options[i].name))) {
            return &options[i];
        }
    }
    return NULL;
}

/* Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct arguments *arguments, int argc, char **argv)
{
    int status = EX_OK;

    for (int i = 1; i < argc && status == EX_OK; i++) {
        struct bytes rest = bytes_from_text(argv[i]), name = bytes_cut(&rest, '=');
        const struct option *option = find_option(name);

        if (take_flag(arguments, argv[i])) {
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0) {
            status = take_word(arguments, argv[i]);
        } else if (option == NULL) {
            status = refuse(arguments, argv[i], "unknown option");
        } else if (strchr(argv[i], '=') != NULL) {
            status = option->take(arguments, strchr(argv[i], '=') + 1);
        } else if (i + 1 < argc) {
            status = option->take(arguments, argv[++i]);
        } else {
            status = refuse(arguments, argv[i], "the value is missing");
        }
    }
    if (status == EX_OK && arguments->asked.len == 0) {
        return refuse(arguments, "ADDRESS", "who is to be probed?");
    }
    return status;
}

static void init_arguments(struct arguments *arguments, FILE *err)
{
    *arguments = (struct arguments){
        .err = err,
        .arena = arena_new(),
        .request = {.tls = -1, .timeout_ms = (uint64_t)PROBE_TIMEOUT * 1000},
    };
}

int probe_command_check(int argc, char **argv, FILE *err)
{
    struct arguments arguments;
    int status;

    init_arguments(&arguments, err);
    status = take_arguments(&arguments, argc, argv);
    arena_free(&arguments.arena);
    return status;
}

/* ---- all of it ---- */

static int status_of(enum probe_outcome outcome)
{
    switch (outcome) {
    case PROBE_OUTCOME_ACCEPTED:
        return EX_OK;
    case PROBE_OUTCOME_TEMPORARY:
        return EX_TEMPFAIL;
    case PROBE_OUTCOME_NO_HOST:
        return EX_NOHOST;
    case PROBE_OUTCOME_REFUSED:
        return EX_UNAVAILABLE;
    }
    return EX_SOFTWARE;
}

static void print(void *context, struct bytes text)
{
    FILE *out = context;

    fwrite(text.data, 1, text.len, out);
    fflush(out);
}

static int probe(struct arguments *arguments, FILE *out)
{
    struct probe_report report;
    struct strbuf text, why;
    int status = EX_OSERR;

    probe_report_init(&report, arguments->arena);
    report.asked = arguments->asked;
    strbuf_init(&text, REPORT_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    if (!arguments->is_json) {
        arguments->request.show = print;
        arguments->request.context = out;
    }
    if (probe_session_run(&arguments->request, &report, &why)) {
        if (arguments->is_json) {
            probe_report_add_json(&text, &report);
            fputs(strbuf_text(&text), out);
        }
        status = fflush(out) == 0 && !ferror(out) ? status_of(probe_report_outcome(&report))
                                                  : EX_IOERR;
    } else {
        fprintf(arguments->err, "postilion probe: %s\n", strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    return status;
}

int probe_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err)
{
    struct arguments arguments;
    int status;

    init_arguments(&arguments, err);
    status = take_arguments(&arguments, argc, argv);
    if (status == EX_OK) {
        arguments.request.config = config;
        arguments.request.resolvers = arguments.resolvers;
        status = probe(&arguments, out);
    } else {
        config_free(&config);
    }
    arena_free(&arguments.arena);
    return status;
}
