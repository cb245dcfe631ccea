#include "daemon/doctor_command.h"

#include "base/json.h"
#include "daemon/doctor.h"
#include "forward/alias_table.h"
#include "forward/doctor_dns.h"
#include "io/clock.h"

#include <sysexits.h>

enum { RESOLVER_LIMIT = 8, WHY_LIMIT = 4096, REPORT_LIMIT = 256 * 1024 * 1024 };

/* A name whose signature is broken on purpose, kept for such tests. */
static const char BROKEN_NAME[] = "dnssec-failed.org";

static const char usage[] =
    "usage: postilion doctor [DOMAIN] [--address A ...] [--port-25 HOST] [--resolver "
    "HOST:PORT]\n"
    "                        [--lists public|configured] [--offline] [--json]\n";

struct arguments {
    FILE *err;
    struct bytes domain;
    struct ip_address addresses[DOCTOR_ADDRESS_LIMIT];
    size_t address_count;
    struct ip_endpoint resolvers[RESOLVER_LIMIT];
    size_t resolver_count;
    struct bytes port_25, signed_name, broken_name;
    int lists; /* enum config_doctor_lists, or -1: as configured */
    bool is_offline, is_json;
};

/* ---- the command line ---- */

static int refuse(const struct arguments *arguments, const char *what, const char *why)
{
    fprintf(arguments->err, "postilion doctor: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static int take_address(struct arguments *arguments, const char *value)
{
    if (arguments->address_count == DOCTOR_ADDRESS_LIMIT ||
        !ip_address_parse(bytes_from_text(value),
                          &arguments->addresses[arguments->address_count])) {
        return refuse(arguments, value, "no IP address, or one too many");
    }
    arguments->address_count++;
    return EX_OK;
}

static int take_resolver(struct arguments *arguments, const char *value)
{
    if (arguments->resolver_count == RESOLVER_LIMIT ||
        !ip_endpoint_parse(bytes_from_text(value), 53,
                           &arguments->resolvers[arguments->resolver_count])) {
        return refuse(arguments, value, "no address of a resolver: 127.0.0.1:53");
    }
    arguments->resolver_count++;
    return EX_OK;
}

static int take_lists(struct arguments *arguments, const char *value)
{
    if (strcmp(value, "public") == 0) {
        arguments->lists = CONFIG_DOCTOR_PUBLIC;
    } else if (strcmp(value, "configured") == 0) {
        arguments->lists = CONFIG_DOCTOR_CONFIGURED;
    } else {
        return refuse(arguments, value, "public or configured");
    }
    return EX_OK;
}

/* NULL: there is no option of this name. */
static struct bytes *name_option(struct arguments *arguments, struct bytes name)
{
    if (bytes_equal(name, BYTES("--port-25"))) {
        return &arguments->port_25;
    }
    if (bytes_equal(name, BYTES("--signed"))) {
        return &arguments->signed_name;
    }
    return bytes_equal(name, BYTES("--broken")) ? &arguments->broken_name : NULL;
}

static int take_option(struct arguments *arguments, struct bytes name, const char *value)
{
    struct bytes *text = name_option(arguments, name);
    struct dns_name checked;

    if (bytes_equal(name, BYTES("--address"))) {
        return take_address(arguments, value);
    }
    if (bytes_equal(name, BYTES("--resolver"))) {
        return take_resolver(arguments, value);
    }
    if (bytes_equal(name, BYTES("--lists"))) {
        return take_lists(arguments, value);
    }
    *text = bytes_from_text(value);
    return dns_name_read(*text, &checked) ? EX_OK : refuse(arguments, value, "no host name");
}

static bool has_value(struct arguments *arguments, struct bytes name)
{
    return bytes_equal(name, BYTES("--address")) || bytes_equal(name, BYTES("--resolver")) ||
           bytes_equal(name, BYTES("--lists")) || name_option(arguments, name) != NULL;
}

static int take_word(struct arguments *arguments, const char *word)
{
    if (strcmp(word, "--json") == 0) {
        arguments->is_json = true;
    } else if (strcmp(word, "--offline") == 0) {
        arguments->is_offline = true;
    } else if (strncmp(word, "--", 2) == 0) {
        return refuse(arguments, word, "unknown option");
    } else if (arguments->domain.len > 0 || word[0] == '\0') {
        return refuse(arguments, word, "one domain, or none");
    } else {
        arguments->domain = bytes_from_text(word);
    }
    return EX_OK;
}

/* Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct arguments *arguments, int argc, char **argv)
{
    int status = EX_OK;

    arguments->lists = -1;
    arguments->broken_name = bytes_from_text(BROKEN_NAME);
    for (int i = 1; i < argc && status == EX_OK; i++) {
        struct bytes rest = bytes_from_text(argv[i]), name = bytes_cut(&rest, '=');
        const char *equals = strchr(argv[i], '=');

        if (!has_value(arguments, name)) {
            status = take_word(arguments, argv[i]);
        } else if (equals != NULL) {
            status = take_option(arguments, name, equals + 1);
        } else if (i + 1 < argc) {
            status = take_option(arguments, name, argv[++i]);
        } else {
            status = refuse(arguments, argv[i], "the value is missing");
        }
    }
    return status;
}

int doctor_command_check(int argc, char **argv, FILE *err)
{
    struct arguments arguments = {.err = err};

    return take_arguments(&arguments, argc, argv);
}

/* ---- the report ---- */

static void add_report(struct strbuf *out, const struct findings *findings, bool is_json,
                       int64_t now_ms)
{
    if (is_json) {
        json_open_object(out, NULL);
        json_time(out, "at", now_ms);
        findings_add_json(out, findings, FINDING_OK);
        json_close_object(out);
        strbuf_add_char(out, '\n');
        return;
    }
    findings_add_text(out, findings, FINDING_OK);
    strbuf_add_text(out, findings->first == NULL ? "" : "\n");
    findings_add_summary(out, findings);
    strbuf_add_char(out, '\n');
}

static int status_of(const struct findings *findings)
{
    if (findings->counts[FINDING_ERROR] > 0) {
        return DOCTOR_HAS_ERRORS;
    }
    return findings->counts[FINDING_WARNING] > 0 ? DOCTOR_HAS_WARNINGS : EX_OK;
}

static int examine(const struct arguments *arguments, const struct doctor_request *request,
                   FILE *out)
{
    struct doctor *doctor = doctor_new(request);
    struct arena *arena = arena_new();
    int status = EX_UNAVAILABLE;
    struct findings findings;
    struct strbuf text, why;

    strbuf_init(&text, REPORT_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    findings_init(&findings, arena);
    if (doctor_run(doctor, &findings, &why)) {
        add_report(&text, &findings, arguments->is_json, clock_unix_ms());
        fputs(strbuf_text(&text), out);
        status = fflush(out) == 0 ? status_of(&findings) : EX_IOERR;
    } else {
        fprintf(arguments->err, "postilion doctor: %s\n", strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    doctor_free(&doctor);
    arena_free(&arena);
    return status;
}

/* ---- the command ---- */

static bool is_ours(const struct config *config, struct bytes domain)
{
    return alias_table_find_domain(config->aliases, domain) != ALIAS_NO_DOMAIN ||
           alias_table_is_srs(config->aliases, domain) ||
           bytes_equal_nocase(domain, config->srs_domain);
}

int doctor_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err)
{
    struct arguments arguments = {.err = err};
    int status = take_arguments(&arguments, argc, argv);
    struct doctor_request request;

    if (status == EX_OK && arguments.domain.len > 0 && !is_ours(config, arguments.domain)) {
        status = refuse(&arguments, arguments.domain.data, "none of our domains");
    }
    if (status != EX_OK) {
        config_free(&config);
        return status;
    }
    request = (struct doctor_request){
        .snapshot = snapshot_new(config, config->listen.items, config->listen.count),
        .domain = arguments.domain,
        .addresses = arguments.addresses,
        .address_count = arguments.address_count,
        .resolvers = arguments.resolvers,
        .resolver_count = arguments.resolver_count,
        .listening = config->listen.items,
        .listening_count = config->listen.count,
        .port_25 = arguments.port_25,
        .signed_name = arguments.signed_name,
        .broken_name = arguments.broken_name,
        .is_offline = arguments.is_offline,
        .asks_public_lists = (arguments.lists < 0 ? config->doctor.lists : arguments.lists) ==
                             CONFIG_DOCTOR_PUBLIC,
    };
    status = examine(&arguments, &request, out);
    snapshot_drop(&request.snapshot);
    return status;
}
