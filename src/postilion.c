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
    const char *operands;
    const char *help; /* a line */
    const char *more; /* lines: its options, and what its exit status says */
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

/* Commands that take the configuration for themselves; a wrong command line is told before mistakes of a file. */
static int run_configured(const struct arguments *arguments,
                          int (*check)(int argc, char **argv, FILE *err),
                          int (*run)(struct config *config, int argc, char **argv, FILE *out,
                                     FILE *err))
{
    int status = check(arguments->argc, arguments->argv, stderr);
    struct config *config;

    if (status != EX_OK) {
        return status;
    }
    config = load(arguments->config_path);
    return config == NULL ? EX_CONFIG
                          : run(config, arguments->argc, arguments->argv, stdout, stderr);
}

static int run_explain(const struct arguments *arguments)
{
    return run_configured(arguments, explain_command_check, explain_command_run);
}

static int run_probe(const struct arguments *arguments)
{
    return run_configured(arguments, probe_command_check, probe_command_run);
}

static int run_doctor(const struct arguments *arguments)
{
    return run_configured(arguments, doctor_command_check, doctor_command_run);
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

/* clang-format off */
static const struct command commands[] = {
    {"serve", "", "run in the foreground",
     "  SIGHUP     read the configuration again\n"
     "  SIGTERM    take no more mail, let sessions end, and stop\n"
     "  SIGUSR2    what restart does\n",
     run_serve},
    {"setup", "DOMAIN ...", "a configuration, its files, and the DNS records to publish",
     "  --write DIR            make the files there; else nothing is written\n"
     "  --postmaster ADDRESS   where mail to postmaster and abuse goes\n"
     "  --hostname H  --srs-domain D  --address A  --user NAME\n"
     "                         what would be found out otherwise\n"
     "  --resolver HOST:PORT   whom to ask; --no-dns: nobody\n"
     "  --json\n",
     run_setup},
    {"check", "", "every error of the configuration, with line and hint",
     "  --no-dns   without comparing the keys of seals with DNS\n"
     "  --dump     every value, and where it comes from\n"
     "  --sample   a file with every option and its default\n"
     "  --manual   postilion.conf(5)\n",
     run_check},
    {"doctor", "[DOMAIN]", "what is wrong here and in DNS, and what mends it",
     "  --address A            an address under which the world sees this host (behind NAT)\n"
     "  --port-25 HOST         where to try port 25, up to the greeting\n"
     "  --lists public|configured   which block lists are asked about our addresses\n"
     "  --signed NAME  --broken NAME   with which names DNSSEC is tried\n"
     "  --resolver HOST:PORT   whom to ask; --offline: nobody\n"
     "  --json\n"
     "\nstatus: 0 nothing to do, 1 warnings, 2 errors\n",
     run_doctor},
    {"explain-option", "[NAME]", "what an option does, its range and default", "", run_explain_option},
    {"explain", "FROM TO", "what would happen to mail, step by step, and why",
     "  --ip A                 the client's address\n"
     "  --helo H               what it says in HELO\n"
     "  --message FILE|-       what it sends\n"
     "  --scan                 show it to the scanners, too\n"
     "  --ask                  ask the servers behind about the recipient, too\n"
     "  --resolver HOST:PORT  --json\n"
     "\nNothing is sent or stored. status: 0 accepted, 1 refused, 75 deferred\n",
     run_explain},
    {"probe", "ADDRESS|DOMAIN", "speak with the next hop up to RCPT, step by step",
     "  --data                 send a test message, too\n"
     "  --from A               the envelope sender\n"
     "  --all                  ask every host of the list\n"
     "  --host HOST[:PORT]     ask this one\n"
     "  --tls POLICY           off, opportunistic, required or verified\n"
     "  --timeout S            seconds that each step may take\n"
     "  --resolver HOST:PORT  --json\n"
     "\nstatus: 0 accepted, 75 not now, 69 refused, 68 no host\n",
     run_probe},
    {"srs", "forward|reverse|secret ...", "SRS addresses by hand, and secrets for them",
     "  forward ADDRESS ...    what a sender becomes when it is forwarded\n"
     "  reverse ADDRESS ...    whom an SRS or reply address stands for\n"
     "  secret [--add FILE]    make a secret; put it in front of those in FILE\n",
     run_srs},
    {"queue", "list|show|retry|hold|release|bounce|delete|salvage", "the queue of a running or a stopped daemon",
     "  list                   [--held] [--limit N] [--after ID] [--by-domain] [--json]\n"
     "  show ID                all about one message\n"
     "  retry|hold|release|bounce|delete\n"
     "                         what is named by ID, --sender A, --recipient A, --destination D or --all\n"
     "  salvage TARGET-DIR     copy what is whole of a damaged spool [--spool DIR]; no daemon may run\n",
     run_queue},
    {"pause", "inbound|outbound|DESTINATION", "take no mail, or make no attempts, until resumed",
     "\nA pause outlives a restart.\n", run_control},
    {"resume", "inbound|outbound|DESTINATION", "the end of a pause", "", run_control},
    {"reload", "", "read the configuration and its files again, as SIGHUP does", "", run_control},
    {"restart", "", "another program on the same sockets: nobody is refused", "",
     run_control},
    {"status", "", "what the running daemon does and has",
     "  --json\n  --metrics  as Prometheus reads it\n", run_control},
    {"auth", "spf|message ...", "who sent this: SPF, DKIM, DMARC, ARC by hand",
     "  spf                    SPF of a client and a sender\n"
     "  message [FILE]         every verdict on a message\n"
     "  --ip A                 the client's address\n"
     "  --helo H  --from F     what it said\n"
     "  --resolver HOST:PORT  --json\n",
     run_auth},
    {"key", "make SELECTOR|show FILE", "a key to seal with, and its DNS record",
     "  make SELECTOR          [--type rsa|ed25519] [--out FILE]\n"
     "  show FILE              [--selector S]\n"
     "  --domain D\n",
     run_key},
    {"import", "postfix-virtual|aliases|postsrsd FILE ...", "tables, aliases and SRS secrets of other programs",
     "  postfix-virtual|aliases FILE ...   [--domain D] [--local D]\n"
     "  postsrsd FILE ...                  [--domain D]\n"
     "  --output PATH          where to; --json\n"
     "\nWhat has no equal here is listed: status 65\n",
     run_import},
    {"headers", "[FILE]", "the way a message took: hops, delays, what broke DKIM", "  --json\n",
     run_headers},
    {"trace", "ID|ADDRESS|MESSAGE-ID", "the story of a message, and on which side a failure lies",
     "  --bundle               as evidence for somebody else, private addresses masked\n"
     "  --since SPAN           90m, 12h, 3d, or a time\n"
     "  --limit N              how many are listed when several match\n"
     "  --log FILE|-           from lines of the log, not from the history\n"
     "  --json\n"
     "\nstatus: 0, or 1 when nothing is known\n",
     run_trace},
    {"version", "", "the version of the program and of its libraries", "", run_version},
    {"help", "[COMMAND]", "this text, or more about a command", "", run_help},
};
/* clang-format on */

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0], USAGE_WIDTH = 36 };

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
    printf("usage: postilion %s%s%s [-c FILE]\n\n%s\n\n", command->name,
           command->operands[0] == '\0' ? "" : " ", command->operands, command->help);
    printf("  -c FILE                the configuration (%s)\n%s", DEFAULT_CONFIG,
           command->more);
}

/* A line of the list of commands; what they take is cut where it is too much for it. */
static void print_summary(const struct command *command)
{
    char usage[USAGE_WIDTH + 1];
    int len = snprintf(usage, sizeof usage, "%s %s", command->name, command->operands);

    if (len > USAGE_WIDTH) {
        memcpy(usage + USAGE_WIDTH - 3, "...", 3);
    }
    printf("  %-*s  %s\n", USAGE_WIDTH, usage, command->help);
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
        print_summary(&commands[i]);
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
