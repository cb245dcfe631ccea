/*
 *   1 take_arguments     the command line
 *   2 setup_find         what can be found out (setup_facts)
 *   3 setup_write_files  with --write (setup_files)
 *   4 setup_find_records what DNS needs, and has (setup_facts)
 *   5 check              what was written, as `postilion check` would
 *   6 setup_report       all of it (setup_report), then the errors
 */
#include "daemon/setup_command.h"

#include "setup_call.h"

#include "auth/idn_domain.h"
#include "daemon/config.h"
#include "io/process.h"
#include "protocol/smtp_path.h"

#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "usage: postilion setup DOMAIN ... [--write DIR] [--postmaster ADDRESS] [--hostname H]\n"
    "                       [--srs-domain D] [--address A] ... [--user NAME]\n"
    "                       [--resolver HOST:PORT | --no-dns] [--json]\n"
    "  --write DIR           make the files; without it they are only shown\n"
    "  --postmaster ADDRESS  who reads mail to postmaster and abuse\n"
    "  --hostname H          the full name of this host (found out otherwise)\n"
    "  --srs-domain D        the domain of return addresses (srs.DOMAIN)\n"
    "  --address A           an address that mail is sent from (found out otherwise)\n"
    "  --user NAME           the account of the daemon (postilion)\n";

/* ---- 1: the command line ---- */

static int refuse(const struct setup_call *call, const char *what, const char *why)
{
    fprintf(call->err, "postilion setup: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static int take_name(const struct setup_call *call, const char *what, const char *text,
                     struct bytes *name)
{
    struct bytes given = bytes_from_text(text);

    return idn_domain_to_ascii(given, call->arena, name) && bytes_find(*name, '.') < name->len
               ? EX_OK
               : refuse(call, what, "this is no domain name");
}

static int take_address(struct setup_call *call, const char *text)
{
    struct ip_address address;

    if (!ip_address_parse(bytes_from_text(text), &address)) {
        return refuse(call, text, "this is no IP address");
    }
    if (call->address_count == SETUP_ADDRESSES) {
        return refuse(call, text, "more than 8 addresses");
    }
    call->addresses[call->address_count++] = address;
    return EX_OK;
}

static int take_postmaster(struct setup_call *call, const char *text)
{
    struct bytes address = bytes_from_text(text);
    struct smtp_mailbox mailbox;

    if (smtp_mailbox_parse(address, true, false, call->arena, &mailbox) != SMTP_PATH_OK) {
        return refuse(call, "--postmaster", "name@domain is wanted");
    }
    call->postmaster = address;
    return EX_OK;
}

static int take_option(struct setup_call *call, const char *option, const char *value)
{
    if (value[0] == '\0') {
        return refuse(call, option, "the value is missing");
    }
    if (strcmp(option, "--write") == 0) {
        call->directory = value;
        call->is_writing = true;
        return EX_OK;
    }
    if (strcmp(option, "--postmaster") == 0) {
        return take_postmaster(call, value);
    }
    if (strcmp(option, "--hostname") == 0) {
        return take_name(call, option, value, &call->hostname);
    }
    if (strcmp(option, "--srs-domain") == 0) {
        return take_name(call, option, value, &call->srs_domain);
    }
    if (strcmp(option, "--address") == 0) {
        return take_address(call, value);
    }
    if (strcmp(option, "--user") == 0) {
        call->user = value;
        return EX_OK;
    }
    if (strcmp(option, "--resolver") == 0) {
        return ip_endpoint_parse(bytes_from_text(value), 53, &call->resolver)
                   ? EX_OK
                   : refuse(call, option, "ADDRESS or ADDRESS:PORT is wanted");
    }
    return refuse(call, option, "unknown option");
}

static bool has_domain(const struct setup_call *call, struct bytes domain)
{
    for (size_t i = 0; i < call->domain_count; i++) {
        if (bytes_equal(call->domains[i], domain)) {
            return true;
        }
    }
    return false;
}

static int take_domain(struct setup_call *call, const char *text)
{
    struct bytes domain;
    int status = take_name(call, text, text, &domain);

    if (status == EX_OK && !has_domain(call, domain)) {
        call->domains[call->domain_count++] = domain;
    }
    return status;
}

/* Values stand behind their option, or behind "=" in the same word. */
static int take_words(struct setup_call *call, int argc, char **argv)
{
    int status = EX_OK;

    for (int i = 1; i < argc && status == EX_OK; i++) {
        const char *equals = strchr(argv[i], '=');

        if (strcmp(argv[i], "--json") == 0) {
            call->is_json = true;
        } else if (strcmp(argv[i], "--no-dns") == 0) {
            call->has_dns = false;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            status = take_domain(call, argv[i]);
        } else if (equals != NULL) {
            struct bytes name = bytes_of(argv[i], (size_t)(equals - argv[i]));
            status = take_option(call, arena_copy_text(call->arena, name), equals + 1);
        } else if (i + 1 < argc) {
            status = take_option(call, argv[i], argv[i + 1]);
            i++;
        } else {
            status = refuse(call, argv[i], "the value is missing");
        }
    }
    return status;
}

static void choose_srs_domain(struct setup_call *call)
{
    struct strbuf text;

    if (call->srs_domain.len > 0) {
        return;
    }
    strbuf_init(&text, 1024);
    strbuf_addf(&text, "srs." BYTES_FMT, BYTES_ARG(call->domains[0]));
    call->srs_domain = bytes_from_text(arena_copy_text(call->arena, strbuf_bytes(&text)));
    strbuf_clear(&text);
}

static int take_arguments(struct setup_call *call, int argc, char **argv)
{
    unsigned account;
    int status;

    call->domains = arena_alloc(call->arena, (size_t)argc * sizeof *call->domains);
    status = take_words(call, argc, argv);
    if (status != EX_OK) {
        return status;
    }
    if (call->domain_count == 0) {
        return refuse(call, "DOMAIN", "the domain whose mail is forwarded is missing");
    }
    choose_srs_domain(call);
    if (call->is_writing && process_is_root() && !process_find_user(call->user, &account)) {
        fprintf(call->err,
                "postilion setup: there is no account \"%s\": make it first (systemd-sysusers "
                "postilion.conf), or say which with "
                "--user\n",
                call->user);
        return EX_NOUSER;
    }
    return EX_OK;
}

/* ---- 5: the check ---- */

static bool is_only_the_operators(const struct setup_call *call,
                                  const struct config_error *error)
{
    return call->postmaster.len == 0 && strstr(error->message, "postmaster") != NULL;
}

/* 0, or EX_CONFIG when there are errors that are not the operator's to mend. */
static int check(struct setup_call *call)
{
    struct config *config;
    const struct config_error *error;
    int status = EX_OK;

    call->errors = config_errors_new();
    config = config_load(setup_path(call, "postilion.conf"), call->errors);
    if (config != NULL) {
        config_report_rights(config, call->errors);
    }
    config_free(&config);
    for (size_t i = 0; (error = config_errors_get(call->errors, i)) != NULL; i++) {
        if (error->severity == CONFIG_ERROR && !is_only_the_operators(call, error)) {
            status = EX_CONFIG;
        }
    }
    return status;
}

static void print_errors(const struct setup_call *call)
{
    struct strbuf text;

    if (call->errors != NULL) {
        strbuf_init(&text, SETUP_TEXT_LIMIT);
        config_errors_print(call->errors, &text);
        fputs(strbuf_text(&text), call->err);
        strbuf_clear(&text);
    }
}

/* ---- the whole ---- */

static int run(struct setup_call *call)
{
    int status = EX_OK, written;

    if (!setup_find(call)) {
        return EX_USAGE;
    }
    if (call->is_writing) {
        status = setup_write_files(call);
        if (status != EX_OK) {
            return status;
        }
        status = check(call);
    }
    setup_find_records(call);
    written = setup_report(call);
    print_errors(call);
    return written == EX_OK ? status : written;
}

int setup_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct setup_call call = {.out = out,
                              .err = err,
                              .arena = arena_new(),
                              .user = "postilion",
                              .directory = "/etc/postilion",
                              .has_dns = true};
    int status = take_arguments(&call, argc, argv);

    if (status == EX_OK) {
        setup_start_dns(&call);
        status = run(&call);
        setup_stop_dns(&call);
    }
    if (call.errors != NULL) {
        config_errors_free(&call.errors);
    }
    signing_key_free(&call.key);
    arena_free(&call.arena);
    return status;
}
