#include "ctl/auth_command.h"

#include "auth_report.h"
#include "message_file.h"

#include "auth/results_text.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/dns_resolver.h"
#include "io/file_read.h"

#include <stdlib.h>
#include <sysexits.h>

enum {
    WHY_LIMIT = 4096,
    REPORT_LIMIT = 64 * 1024 * 1024,
    MESSAGE_LIMIT = 1024 * 1024 * 1024,
    CHUNK = 65536,
    RESOLVER_LIMIT = 8,
};

static const char usage[] =
    "usage: postilion auth spf --ip A [--helo H] [--from F] [--resolver HOST:PORT] [--json]\n"
    "       postilion auth message FILE|- --ip A [--helo H] [--from F]\n"
    "                              [--resolver HOST:PORT] [--json]\n";

struct auth_call {
    const struct auth_command_options *options;
    FILE *out, *err;
    struct arena *arena;
    /* What was asked for. */
    const char *path; /* message: the file, or "-" */
    struct ip_address client;
    struct bytes helo;
    struct smtp_mailbox sender;
    struct ip_endpoint resolvers[RESOLVER_LIMIT];
    size_t resolver_count;
    bool is_json;
    /* While it is evaluated. */
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct auth_report report;
    struct strbuf text; /* the report */
};

/* ---- the command line ---- */

static int refuse(struct auth_call *call, const char *what, const char *why)
{
    fprintf(call->err, "postilion auth: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static struct bytes without_brackets(struct bytes text)
{
    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>') {
        return bytes_between(text, 1, text.len - 1);
    }
    return text;
}

static void take_sender(struct auth_call *call, struct bytes text)
{
    size_t at;

    text = without_brackets(text);
    at = bytes_find_last(text, '@');
    call->sender = (struct smtp_mailbox){.is_literal = false};
    if (text.len == 0 ||
        smtp_mailbox_parse(text, true, true, call->arena, &call->sender) == SMTP_PATH_OK) {
        return;
    }
    call->sender = (struct smtp_mailbox){.is_literal = false};
    call->sender.local = at < text.len ? bytes_first(text, at) : BYTES("postmaster");
    call->sender.domain = at < text.len ? bytes_skip(text, at + 1) : text;
}

static bool take_resolver(struct auth_call *call, struct bytes text)
{
    static const struct bytes here = {"localhost", 9};
    struct strbuf address;
    bool is_good;

    strbuf_init(&address, WHY_LIMIT);
    if (bytes_starts_with_nocase(text, here)) {
        strbuf_add_text(&address, "127.0.0.1");
        text = bytes_skip(text, here.len);
    }
    strbuf_add(&address, text);
    is_good =
        call->resolver_count < RESOLVER_LIMIT &&
        ip_endpoint_parse(strbuf_bytes(&address), 53, &call->resolvers[call->resolver_count]);
    call->resolver_count += is_good;
    strbuf_clear(&address);
    return is_good;
}

static int take_option(struct auth_call *call, struct bytes name, const char *value)
{
    struct bytes text = bytes_from_text(value);

    if (bytes_equal(name, BYTES("--ip"))) {
        return ip_address_parse(text, &call->client) ? EX_OK
                                                     : refuse(call, value, "no IP address");
    }
    if (bytes_equal(name, BYTES("--helo"))) {
        call->helo = text;
        return EX_OK;
    }
    if (bytes_equal(name, BYTES("--from"))) {
        take_sender(call, text);
        return EX_OK;
    }
    if (bytes_equal(name, BYTES("--resolver"))) {
        return take_resolver(call, text)
                   ? EX_OK
                   : refuse(call, value, "no address of a resolver: 127.0.0.1:53");
    }
    fprintf(call->err, "postilion auth: unknown option " BYTES_FMT "\n%s", BYTES_ARG(name),
            usage);
    return EX_USAGE;
}

/* From argv[2] on. Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct auth_call *call, bool is_message, int argc, char **argv)
{
    int status = EX_OK;

    for (int i = 2; i < argc && status == EX_OK; i++) {
        struct bytes rest = bytes_from_text(argv[i]), name = bytes_cut(&rest, '=');
        if (strcmp(argv[i], "--json") == 0) {
            call->is_json = true;
        } else if (!bytes_starts_with(name, BYTES("--"))) {
            if (!is_message || call->path != NULL) {
                return refuse(call, argv[i], "this word is too much");
            }
            call->path = argv[i];
        } else if (strchr(argv[i], '=') != NULL) {
            status = take_option(call, name, strchr(argv[i], '=') + 1);
        } else if (i + 1 < argc) {
            status = take_option(call, name, argv[++i]);
        } else {
            status = refuse(call, argv[i], "the value is missing");
        }
    }
    if (status == EX_OK && call->client.family == IP_NONE) {
        return refuse(call, "--ip", "the client's address is missing");
    }
    if (status == EX_OK && call->helo.len == 0 && smtp_mailbox_is_null(&call->sender)) {
        return refuse(call, "--from, --helo", "there is no name to ask about");
    }
    if (status == EX_OK && is_message && call->path == NULL) {
        return refuse(call, "FILE",
                      "the message is missing, \"-\" reads it from standard input");
    }
    return status;
}

bool auth_command_has_resolver(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--resolver") == 0 || strncmp(argv[i], "--resolver=", 11) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- evaluation ---- */

static void on_answers(void *context)
{
    struct auth_call *call = context;

    event_loop_stop(call->loop);
}

static void note_lookups(struct auth_call *call, const struct dns_question *wanted,
                         size_t count)
{
    struct auth_report *report = &call->report;

    for (size_t i = 0; i < count && report->lookup_count < DNS_FACTS_LIMIT; i++) {
        report->lookups[report->lookup_count++] =
            (struct auth_lookup){arena_copy(call->arena, wanted[i].name), wanted[i].type};
    }
}

/* Evaluates and looks up in turns until there is nothing left to ask. */
static void run_to_end(struct auth_call *call, struct dns_facts *facts,
                       enum auth_status (*step)(void *context), void *context)
{
    uint64_t deadline_ms =
        event_loop_now_ms(call->loop) + UINT64_C(1000) * AUTH_COMMAND_SECONDS;

    call->report.facts = facts;
    while (step(context) == AUTH_NEEDS_DNS) {
        size_t count;
        const struct dns_question *wanted = dns_facts_wanted(facts, &count);
        if (count == 0) {
            return;
        }
        note_lookups(call, wanted, count);
        (void)dns_lookup_start(call->resolver, facts, deadline_ms, on_answers, call);
        event_loop_run(call->loop);
    }
}

static int start_resolver(struct auth_call *call)
{
    bool is_given = call->resolver_count > 0;
    struct dns_resolver_options options = {
        .servers = is_given ? call->resolvers : call->options->resolvers,
        .server_count = is_given ? call->resolver_count : call->options->resolver_count,
    };
    struct strbuf why;

    strbuf_init(&why, WHY_LIMIT);
    call->loop = event_loop_new();
    call->resolver = dns_resolver_new(call->loop, &options, &why);
    if (call->resolver == NULL) {
        fprintf(call->err, "postilion auth: no resolver: %s\n", strbuf_text(&why));
    }
    strbuf_clear(&why);
    return call->resolver == NULL ? EX_UNAVAILABLE : EX_OK;
}

/* ---- auth spf ---- */

struct spf_call {
    struct auth_call *call;
    struct spf_checker *checker;
    struct spf_identity identity;
    struct dns_facts *facts;
    struct spf_verdict verdict;
};

static void note_record(void *context, unsigned depth, struct bytes domain, struct bytes record)
{
    struct auth_call *call = context;
    struct auth_report *report = &call->report;

    if (report->record_count < AUTH_RECORD_LIMIT) {
        report->records[report->record_count++] = (struct auth_record){
            depth, arena_copy(call->arena, domain), arena_copy(call->arena, record)};
    }
}

/* Each evaluation walks the whole way again; what the last one saw is the walk. */
static enum auth_status step_spf(void *context)
{
    struct spf_call *spf = context;

    spf->call->report.record_count = 0;
    return spf_check(spf->checker, &spf->identity, SPF_MAIL_FROM, spf->facts, spf->call->arena,
                     &spf->verdict);
}

static int run_spf(struct auth_call *call)
{
    const struct spf_watcher watcher = {.context = call, .on_record = note_record};
    struct spf_call spf = {
        .call = call,
        .checker = spf_checker_new(),
        .identity = {.client = call->client,
                     .helo = call->helo,
                     .sender = call->sender,
                     .receiver = call->options->receiver,
                     .unix_seconds = clock_unix_seconds()},
        .facts = dns_facts_new(),
    };

    spf_checker_watch(spf.checker, &watcher);
    run_to_end(call, spf.facts, step_spf, &spf);
    (call->is_json ? auth_report_add_spf_json : auth_report_add_spf)(&call->text, &call->report,
                                                                     &spf.verdict);
    dns_facts_free(&spf.facts);
    spf_checker_free(&spf.checker);
    return EX_OK;
}

/* ---- auth message ---- */

/* The header with its last line end; the body is what stands behind the empty line. */
static void split_message(struct bytes message, struct bytes *header, struct bytes *body)
{
    size_t end = bytes_find_part(message, BYTES("\r\n\r\n"));

    if (bytes_starts_with(message, BYTES("\r\n"))) {
        *header = BYTES("");
        *body = bytes_skip(message, 2);
    } else {
        *header = bytes_first(message, end + 2);
        *body = bytes_skip(message, end + 4);
    }
}

static enum auth_status step_message(void *context)
{
    return message_check_step(context);
}

static void check_message(struct auth_call *call, struct bytes message)
{
    const struct message_check_facts facts = {
        .client = call->client,
        .helo = call->helo,
        .sender = call->sender,
        .receiver = call->options->receiver,
        .unix_seconds = clock_unix_seconds(),
    };
    struct bytes authserv_id = call->options->authserv_id;
    struct message_checker *checker = message_checker_new();
    struct message_check *check = message_check_new(checker, &facts);
    struct bytes header, body;
    struct strbuf field;

    split_message(message, &header, &body);
    message_check_header(check, header);
    message_check_body(check, body);
    message_check_end(check);
    run_to_end(call, message_check_dns(check), step_message, check);
    strbuf_init(&field, REPORT_LIMIT);
    results_text_add(&field, authserv_id.len > 0 ? authserv_id : BYTES("localhost"),
                     message_check_verdicts(check), &facts);
    call->report.results_field = strbuf_bytes(&field);
    (call->is_json ? auth_report_add_message_json : auth_report_add_message)(
        &call->text, &call->report, message_check_verdicts(check));
    strbuf_clear(&field);
    message_check_free(&check);
    message_checker_free(&checker);
}

static int run_message(struct auth_call *call)
{
    struct strbuf message;
    bool is_read;

    strbuf_init(&message, (size_t)2 * MESSAGE_LIMIT);
    is_read = message_file_read("auth", call->path, &message, call->err);
    if (is_read) {
        check_message(call, strbuf_bytes(&message));
    }
    strbuf_clear(&message);
    return is_read ? EX_OK : EX_NOINPUT;
}

int auth_command_run(const struct auth_command_options *options, int argc, char **argv,
                     FILE *out, FILE *err)
{
    bool is_message = argc > 1 && strcmp(argv[1], "message") == 0;
    struct auth_call *call;
    int status;

    if (argc < 2 || (!is_message && strcmp(argv[1], "spf") != 0)) {
        fputs(usage, err);
        return EX_USAGE;
    }
    call = memory_zero(sizeof *call);
    call->options = options;
    call->out = out;
    call->err = err;
    call->arena = arena_new();
    strbuf_init(&call->text, REPORT_LIMIT);
    status = take_arguments(call, is_message, argc, argv);
    if (status == EX_OK) {
        status = start_resolver(call);
    }
    if (status == EX_OK) {
        status = is_message ? run_message(call) : run_spf(call);
    }
    fputs(strbuf_text(&call->text), out);
    if (call->resolver != NULL) {
        dns_resolver_free(&call->resolver);
    }
    if (call->loop != NULL) {
        event_loop_free(&call->loop);
    }
    strbuf_clear(&call->text);
    arena_free(&call->arena);
    free(call);
    return status;
}
