/*
 * postilion - the program: finds the command, loads what it needs, hands over.
 *
 * It stands above all rooms, because `serve`, `check` and `explain` live in daemon, `srs`, `queue`, `auth` and
 * `key` in ctl, and neither of these two may know the other.
 */
#include "ctl/auth_command.h"
#include "ctl/key_command.h"
#include "ctl/control_command.h"
#include "ctl/headers_command.h"
#include "ctl/import_command.h"
#include "ctl/queue_command.h"
#include "ctl/salvage_command.h"
#include "ctl/secret_command.h"
#include "ctl/srs_command.h"
#include "ctl/trace_command.h"
#include "daemon/check_command.h"
#include "daemon/doctor_command.h"
#include "daemon/explain_command.h"
#include "daemon/probe_command.h"
#include "daemon/setup_command.h"
#include "daemon/supervisor.h"
#include "daemon/version_command.h"
#include "io/clock.h"
#include "io/file_read.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char DEFAULT_CONFIG[] = "/etc/postilion/postilion.conf";

/* What stands behind the command, without -c FILE. */
struct arguments {
    const char *config_path;
    int argc;
    char **argv; /* argv[0] is the command */
};

struct command {
    const char *name;
    const char *usage;
    const char *help;
    int (*run)(const struct arguments *arguments);
};

static void print_errors(const struct config_errors *errors)
{
    struct strbuf text;

    strbuf_init(&text, 1024 * 1024);
    config_errors_print(errors, &text);
    fputs(strbuf_text(&text), stderr);
    strbuf_clear(&text);
}

/* NULL: it has errors, which have been printed. */
static struct config *load(const char *path)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_load(path, errors);

    if (config == NULL) {
        print_errors(errors);
    }
    config_errors_free(&errors);
    return config;
}

/* The same for the daemon: with all that must be right to start, and warnings are printed. */
static struct config *load_to_serve(const char *path)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_load(path, errors);

    if (config != NULL) {
        config_report_expired(config, errors, CONFIG_WARNING);
        config_report_rights(config, errors);
    }
    print_errors(errors);
    if (config_errors_count(errors, CONFIG_ERROR) > 0) {
        config_free(&config);
    }
    config_errors_free(&errors);
    return config;
}

static int run_serve(const struct arguments *arguments)
{
    struct config *config;

    bool is_rehearsal = arguments->argc == 2 && strcmp(arguments->argv[1], "--rehearse") == 0;

    if (arguments->argc > 1 && !is_rehearsal) {
        fprintf(stderr, "postilion serve: it takes no argument \"%s\"\n", arguments->argv[1]);
        return EX_USAGE;
    }
    config = load_to_serve(arguments->config_path);
    if (config == NULL) {
        return EX_CONFIG;
    }
    return is_rehearsal ? supervisor_rehearse(config)
                        : supervisor_run(arguments->config_path, config);
}

static int run_check(const struct arguments *arguments)
{
    return check_command_run(arguments->config_path, arguments->argc, arguments->argv, stdout,
                             stderr);
}

static int run_explain_option(const struct arguments *arguments)
{
    return explain_option_command_run(arguments->argc, arguments->argv, stdout, stderr);
}

static int run_explain(const struct arguments *arguments)
{
    int status = explain_command_check(arguments->argc, arguments->argv, stderr);
    struct config *config;

    if (status != EX_OK) {
        return status;
    }
    config = load(arguments->config_path);
    return config == NULL
               ? EX_CONFIG
               : explain_command_run(config, arguments->argc, arguments->argv, stdout, stderr);
}

static int run_probe(const struct arguments *arguments)
{
    int status = probe_command_check(arguments->argc, arguments->argv, stderr);
    struct config *config;

    if (status != EX_OK) {
        return status;
    }
    config = load(arguments->config_path);
    return config == NULL
               ? EX_CONFIG
               : probe_command_run(config, arguments->argc, arguments->argv, stdout, stderr);
}

static int run_srs(const struct arguments *arguments)
{
    struct srs_command_options options;
    struct config *config;
    int status;

    if (secret_command_is_meant(arguments->argc, arguments->argv)) {
        return secret_command_run(arguments->argc, arguments->argv, stdout, stderr);
    }
    config = load(arguments->config_path);
    if (config == NULL) {
        return EX_CONFIG;
    }
    options = (struct srs_command_options){
        .srs = &config->srs,
        .srs_domain = config->srs_domain,
        .today = (uint32_t)(clock_unix_seconds() / 86400),
        .long_rule = (enum long_sender_rule)config->srs_long,
        .state_directory = config->state.data,
    };
    status = srs_command_run(&options, arguments->argc - 1, arguments->argv + 1);
    config_free(&config);
    return status;
}

static int run_salvage(const struct arguments *arguments)
{
    struct config *config = NULL;
    int status;

    if (!salvage_command_has_spool(arguments->argc, arguments->argv)) {
        config = load(arguments->config_path);
        if (config == NULL) {
            return EX_CONFIG;
        }
    }
    status = salvage_command_run(config == NULL ? NULL : config->spool.data, arguments->argc,
                                 arguments->argv, stdout, stderr);
    config_free(&config);
    return status;
}

static int run_queue(const struct arguments *arguments)
{
    struct queue_command_options options;
    struct config *config;
    int status;

    if (salvage_command_is_meant(arguments->argc, arguments->argv)) {
        return run_salvage(arguments);
    }
    config = load(arguments->config_path);
    if (config == NULL) {
        return EX_CONFIG;
    }
    options = (struct queue_command_options){.spool_directory = config->spool.data,
                                             .control_path = config->control.data};
    status = queue_command_run(&options, arguments->argc, arguments->argv, stdout, stderr);
    config_free(&config);
    return status;
}

/* pause, resume, status: only a running daemon can say or do it. */
static int run_control(const struct arguments *arguments)
{
    struct config *config = load(arguments->config_path);
    int status;

    if (config == NULL) {
        return EX_CONFIG;
    }
    status = control_command_run(config->control.data, arguments->argc, arguments->argv, stdout,
                                 stderr);
    config_free(&config);
    return status;
}

/* A configuration is only needed for its resolver, and need not be there. */
static int run_auth(const struct arguments *arguments)
{
    bool is_named = arguments->config_path != DEFAULT_CONFIG;
    bool is_self_sufficient = auth_command_has_resolver(arguments->argc, arguments->argv);
    struct auth_command_options options = {.resolver_count = 0};
    struct config *config = NULL;
    int status;

    if (is_named || (!is_self_sufficient && file_exists(DEFAULT_CONFIG))) {
        config = load(arguments->config_path);
        if (config == NULL) {
            return EX_CONFIG;
        }
        options = (struct auth_command_options){
            .resolvers = config->resolvers.items,
            .resolver_count = config->resolvers.count,
            .receiver = config->hostname,
            .authserv_id = config->authserv_id,
        };
    }
    status = auth_command_run(&options, arguments->argc, arguments->argv, stdout, stderr);
    config_free(&config);
    return status;
}

static int run_doctor(const struct arguments *arguments)
{
    int status = doctor_command_check(arguments->argc, arguments->argv, stderr);
    struct config *config;

    if (status != EX_OK) {
        return status;
    }
    config = load(arguments->config_path);
    return config == NULL
               ? EX_CONFIG
               : doctor_command_run(config, arguments->argc, arguments->argv, stdout, stderr);
}

static int run_key(const struct arguments *arguments)
{
    return key_command_run(arguments->argc, arguments->argv, stdout, stderr);
}

static int run_setup(const struct arguments *arguments)
{
    return setup_command_run(arguments->argc, arguments->argv, stdout, stderr);
}

static int run_import(const struct arguments *arguments)
{
    return import_command_run(arguments->argc, arguments->argv, stdout, stderr);
}

static int run_headers(const struct arguments *arguments)
{
    return headers_command_run(arguments->argc, arguments->argv, stdout, stderr);
}

/* Log lines may come from somewhere else: then there need not be a configuration. */
static int run_trace(const struct arguments *arguments)
{
    bool has_log = trace_command_has_log(arguments->argc, arguments->argv);
    struct trace_command_options options = {.version = POSTILION_VERSION};
    struct config *config = NULL;
    int status;

    if (!has_log || arguments->config_path != DEFAULT_CONFIG || file_exists(DEFAULT_CONFIG)) {
        config = load(arguments->config_path);
        if (config == NULL) {
            return EX_CONFIG;
        }
        options.state_directory = config->state.data;
        options.spool_directory = config->spool.data;
        options.control_path = config->control.data;
        options.hostname = config->hostname;
        options.is_history_off = config->history.span_ms == 0;
    }
    status = trace_command_run(&options, arguments->argc, arguments->argv, stdout, stderr);
    config_free(&config);
    return status;
}

static int run_version(const struct arguments *arguments)
{
    (void)arguments;
    version_command_run(stdout);
    return EX_OK;
}

static int run_help(const struct arguments *arguments);

static const struct command commands[] = {
    {"serve", "serve", "run in the foreground: SIGHUP reloads, SIGTERM drains", run_serve},
    {"setup", "setup DOMAIN ... [--write DIR] [--postmaster ADDRESS]",
     "a configuration, its files, and the DNS records to publish: [--hostname H] [--srs-domain "
     "D] "
     "[--address A] [--user NAME] [--resolver HOST:PORT] [--no-dns] [--json]",
     run_setup},
    {"check", "check [--no-dns | --dump | --sample | --manual]",
     "every error with file, line, column and a hint, and the keys of seals in DNS", run_check},
    {"doctor", "doctor [DOMAIN] [--address A] [--offline] [--json]",
     "what is wrong with this installation, in DNS and here, and what mends it [--port-25 "
     "HOST] [--lists public|configured] "
     "[--resolver HOST:PORT] [--signed NAME] [--broken NAME]; status 0 nothing to do, 1 "
     "warnings, 2 errors",
     run_doctor},
    {"explain-option", "explain-option [NAME]", "what an option does, its range and default",
     run_explain_option},
    {"explain", "explain FROM TO [--ip A] [--helo H] [--message FILE|-]",
     "what would happen to mail, step by step, and why: nothing is sent, but with --scan to "
     "the "
     "scanners and with --ask a question to servers behind "
     "[--resolver HOST:PORT] [--json]; status 0 accepted, 1 refused, 75 deferred",
     run_explain},
    {"probe", "probe ADDRESS|DOMAIN [--data] [--host HOST[:PORT]] [--all]",
     "speak with the next hop up to RCPT, each step timed and explained; --data sends a test "
     "message [--from A] [--tls POLICY] [--timeout S] [--resolver HOST:PORT] [--json]; status "
     "0 "
     "accepted, 75 not now, 69 refused, 68 no host",
     run_probe},
    {"srs", "srs forward|reverse|secret ADDRESS ...",
     "what a sender becomes when it is forwarded, and whom an SRS or reply address stands for; "
     "secret [--add FILE] makes a secret",
     run_srs},
    {"queue", "queue list|show|retry|hold|release|bounce|delete|salvage",
     "the queue of a running or a stopped daemon: ID, --sender A, --recipient A, --destination "
     "D, "
     "--all, --held, --by-domain, --limit N, --after ID, --json; salvage [--spool DIR] "
     "TARGET-DIR "
     "copies what is whole of a damaged spool (no daemon may run; run it as the daemon's user)",
     run_queue},
    {"pause", "pause inbound|outbound|DESTINATION",
     "take no mail, or make no attempts, until it is resumed; also over a restart",
     run_control},
    {"resume", "resume inbound|outbound|DESTINATION", "the end of a pause", run_control},
    {"reload", "reload", "read the configuration and its files again, as SIGHUP does",
     run_control},
    {"restart", "restart",
     "another program, and all of its configuration, on the same sockets: nobody is refused",
     run_control},
    {"status", "status [--json|--metrics]",
     "what the running daemon does and has; --metrics: as Prometheus reads it", run_control},
    {"auth", "auth spf|message [FILE] --ip A [--helo H] [--from F]",
     "who sent this: SPF, DKIM, DMARC, ARC by hand [--resolver HOST:PORT] [--json]", run_auth},
    {"key", "key make SELECTOR|show FILE [--domain D]",
     "a key to seal with and its DNS record [--selector S] [--type rsa|ed25519] [--out FILE]",
     run_key},
    {"import", "import postfix-virtual|aliases|postsrsd FILE ...",
     "tables, aliases and SRS secrets of other programs: [--domain D] [--local D] [--output "
     "PATH] "
     "[--json]; what has no equal here is listed, with status 65",
     run_import},
    {"headers", "headers [FILE] [--json]",
     "the way a message took: hops, delays, wrong clocks, where SPF or DKIM broke",
     run_headers},
    {"trace", "trace ID|ADDRESS|MESSAGE-ID [--json] [--bundle] [--log FILE|-] [--since SPAN]",
     "the whole story of one message: session, checks, answers, every attempt, and on which "
     "side a "
     "failure lies [--limit N]; --bundle is evidence for somebody else; status 1: nothing is "
     "known",
     run_trace},
    {"version", "version", "the version of the program and of its libraries", run_version},
    {"help", "help [COMMAND]", "this text", run_help},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_command_help(const struct command *command)
{
    printf("usage: postilion %s [-c FILE]\n\n    %s\n", command->usage, command->help);
    printf("\n    -c FILE   the configuration (%s)\n", DEFAULT_CONFIG);
}

static int run_help(const struct arguments *arguments)
{
    const struct command *command =
        arguments->argc > 1 ? find_command(arguments->argv[1]) : NULL;

    if (command != NULL) {
        print_command_help(command);
        return EX_OK;
    }
    printf(
        "postilion: a forwarding MTA\n\nusage: postilion COMMAND [ARGUMENT ...] [-c FILE]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-52s %s\n", commands[i].usage, commands[i].help);
    }
    printf("\n  -c FILE   the configuration (%s)\n  --help    about a command\n",
           DEFAULT_CONFIG);
    return EX_OK;
}

/* Takes -c FILE (or -cFILE) out, wherever it stands. False: FILE is missing. */
static bool take_config_option(int argc, char **argv, struct arguments *arguments)
{
    arguments->argc = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
            if (i + 1 == argc) {
                return false;
            }
            arguments->config_path = argv[++i];
        } else if (strncmp(argv[i], "-c", 2) == 0) {
            arguments->config_path = argv[i] + 2;
        } else {
            arguments->argv[arguments->argc++] = argv[i];
        }
    }
    arguments->argv[arguments->argc] = NULL;
    return true;
}

static bool wants_help(const struct arguments *arguments)
{
    for (int i = 1; i < arguments->argc; i++) {
        if (strcmp(arguments->argv[i], "--help") == 0 ||
            strcmp(arguments->argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.config_path = DEFAULT_CONFIG, .argv = argv + 1};
    const struct command *command;

    if (argc < 2) {
        run_help(&arguments);
        return EX_USAGE;
    }
    if (!take_config_option(argc - 1, argv + 1, &arguments) || arguments.argc == 0) {
        fputs("postilion: -c needs a file, and a command must be there\n", stderr);
        return EX_USAGE;
    }
    if (strcmp(arguments.argv[0], "--help") == 0 || strcmp(arguments.argv[0], "-h") == 0) {
        return run_help(&arguments);
    }
    command = find_command(strcmp(arguments.argv[0], "--version") == 0 ? "version"
                                                                       : arguments.argv[0]);
    if (command == NULL) {
        fprintf(stderr, "postilion: unknown command \"%s\"; see postilion help\n",
                arguments.argv[0]);
        return EX_USAGE;
    }
    if (wants_help(&arguments)) {
        print_command_help(command);
        return EX_OK;
    }
    return command->run(&arguments);
}
