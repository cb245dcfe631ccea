#include "daemon/explain_command.h"

#include "base/calendar.h"
#include "daemon/explain_session.h"
#include "io/clock.h"
#include "io/file_read.h"
#include "mail/sent_form.h"

#include <sysexits.h>

enum {
    RESOLVER_LIMIT = 8,
    WHY_LIMIT = 4096,
    ARGUMENT_LIMIT = 1000, /* octets of an address or a name */
    MESSAGE_LIMIT = 256 * 1024 * 1024,
    REPORT_LIMIT = 256 * 1024 * 1024,
};

static const char usage[] =
    "usage: postilion explain FROM TO [--ip A] [--helo H] [--message FILE|-]\n"
    "                         [--scan] [--ask] [--resolver HOST:PORT] [--json]\n";

struct arguments {
    FILE *err;
    struct bytes words[2]; /* FROM, TO */
    size_t word_count;
    struct bytes helo;
    struct ip_address client;
    const char *path; /* of the message, "-", or NULL */
    struct ip_endpoint resolvers[RESOLVER_LIMIT];
    size_t resolver_count;
    bool is_json, asks_servers, shows_to_scanners;
};

/* ---- the command line ---- */

static int refuse(const struct arguments *arguments, const char *what, const char *why)
{
    fprintf(arguments->err, "postilion explain: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static struct bytes without_brackets(struct bytes text)
{
    bool has_brackets = text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>';

    return has_brackets ? bytes_between(text, 1, text.len - 1) : text;
}

/* It becomes part of a line of SMTP, which it must not end. */
static bool is_one_line(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127) {
            return false;
        }
    }
    return text.len <= ARGUMENT_LIMIT;
}

static bool take_resolver(struct arguments *arguments, struct bytes text)
{
    bool is_good =
        arguments->resolver_count < RESOLVER_LIMIT &&
        ip_endpoint_parse(text, 53, &arguments->resolvers[arguments->resolver_count]);

    arguments->resolver_count += is_good;
    return is_good;
}

static int take_option(struct arguments *arguments, struct bytes name, const char *value)
{
    struct bytes text = bytes_from_text(value);

    if (bytes_equal(name, BYTES("--ip"))) {
        return ip_address_parse(text, &arguments->client)
                   ? EX_OK
                   : refuse(arguments, value, "no IP address");
    }
    if (bytes_equal(name, BYTES("--helo"))) {
        arguments->helo = text;
        return text.len > 0 && is_one_line(text) ? EX_OK
                                                 : refuse(arguments, "--helo", "no name");
    }
    if (bytes_equal(name, BYTES("--message"))) {
        arguments->path = value;
        return EX_OK;
    }
    if (bytes_equal(name, BYTES("--resolver"))) {
        return take_resolver(arguments, text)
                   ? EX_OK
                   : refuse(arguments, value, "no address of a resolver: 127.0.0.1:53");
    }
    return refuse(arguments, "unknown option", value);
}

static bool is_known_option(struct bytes name)
{
    return bytes_equal(name, BYTES("--ip")) || bytes_equal(name, BYTES("--helo")) ||
           bytes_equal(name, BYTES("--message")) || bytes_equal(name, BYTES("--resolver"));
}

static int take_word(struct arguments *arguments, const char *word)
{
    struct bytes text = without_brackets(bytes_from_text(word));

    if (arguments->word_count == 2) {
        return refuse(arguments, word, "this word is too much");
    }
    if (!is_one_line(text)) {
        return refuse(arguments, word, "no address");
    }
    arguments->words[arguments->word_count++] = text;
    return EX_OK;
}

static bool take_flag(struct arguments *arguments, const char *word)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--json", &arguments->is_json},
                 {"--ask", &arguments->asks_servers},
                 {"--scan", &arguments->shows_to_scanners}};

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(word, flags[i].name) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

/* Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct arguments *arguments, int argc, char **argv)
{
    int status = EX_OK;

    for (int i = 1; i < argc && status == EX_OK; i++) {
        struct bytes rest = bytes_from_text(argv[i]), name = bytes_cut(&rest, '=');

        if (take_flag(arguments, argv[i])) {
            continue;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            status = take_word(arguments, argv[i]);
        } else if (!is_known_option(name)) {
            status = refuse(arguments, argv[i], "unknown option");
        } else if (strchr(argv[i], '=') != NULL) {
            status = take_option(arguments, name, strchr(argv[i], '=') + 1);
        } else if (i + 1 < argc) {
            status = take_option(arguments, name, argv[++i]);
        } else {
            status = refuse(arguments, argv[i], "the value is missing");
        }
    }
    if (status == EX_OK && (arguments->word_count < 2 || arguments->words[1].len == 0)) {
        return refuse(arguments, "FROM TO", "who sends, and to whom?");
    }
    if (status == EX_OK && arguments->shows_to_scanners && arguments->path == NULL) {
        return refuse(
            arguments, "--scan",
            "what scanners say of a message that was made up means nothing: --message");
    }
    return status;
}

int explain_command_check(int argc, char **argv, FILE *err)
{
    struct arguments arguments = {.err = err};

    return take_arguments(&arguments, argc, argv);
}

/* ---- the message ---- */

static bool read_message(const struct arguments *arguments, struct strbuf *message)
{
    struct strbuf text, why;
    bool is_read;

    strbuf_init(&text, MESSAGE_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    is_read = strcmp(arguments->path, "-") == 0
                  ? file_read_input(&text, &why)
                  : file_read_whole(arguments->path, MESSAGE_LIMIT, &text, NULL, &why);
    if (is_read) {
        sent_form_add(message, strbuf_bytes(&text));
    } else {
        fprintf(arguments->err, "postilion explain: %s: %s\n", arguments->path,
                strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    return is_read;
}

/* As little as a message may be. */
static void make_message(const struct explain_request *request, struct strbuf *message)
{
    struct bytes domain = bytes_skip(request->from, bytes_find_last(request->from, '@') + 1);
    int64_t now = clock_unix_seconds();

    if (request->from.len > 0) {
        strbuf_addf(message, "From: <" BYTES_FMT ">\r\n", BYTES_ARG(request->from));
    } else {
        strbuf_addf(message, "From: <mailer-daemon@" BYTES_FMT ">\r\n",
                    BYTES_ARG(request->helo));
    }
    strbuf_addf(message,
                "To: <" BYTES_FMT ">\r\nSubject: explain\r\nDate: ", BYTES_ARG(request->to));
    calendar_add_mail_date(message, now);
    strbuf_addf(message, "\r\nMessage-ID: <explain.%lld@" BYTES_FMT ">\r\n\r\nexplain\r\n",
                (long long)now, BYTES_ARG(domain.len > 0 ? domain : request->helo));
}

/* ---- all of it ---- */

static struct bytes usual_helo(struct bytes from)
{
    size_t at = bytes_find_last(from, '@');

    return at + 1 < from.len ? bytes_skip(from, at + 1) : BYTES("client.invalid");
}

static int status_of(const struct explain_report *report)
{
    switch (report->outcome) {
    case DECISION_ACCEPT:
        return EX_OK;
    case DECISION_DEFER:
        return EX_TEMPFAIL;
    case DECISION_REFUSE:
        return EXPLAIN_REFUSED;
    }
    return EX_SOFTWARE;
}

static int explain(const struct arguments *arguments, struct explain_request *request,
                   FILE *out)
{
    struct arena *arena = arena_new();
    struct explain_report report;
    int status = EX_UNAVAILABLE;
    struct strbuf text, why;

    explain_report_init(&report, arena);
    report.from = request->from;
    report.to = request->to;
    report.helo = request->helo;
    report.is_made_up = arguments->path == NULL;
    if (request->client.family != IP_NONE) {
        report.client =
            arena_copy(arena, bytes_from_text(ip_address_text(&request->client).text));
    }
    strbuf_init(&text, REPORT_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    if (explain_session_run(request, &report, &why)) {
        (arguments->is_json ? explain_report_add_json : explain_report_add_text)(&text,
                                                                                 &report);
        fputs(strbuf_text(&text), out);
        status = fflush(out) == 0 ? status_of(&report) : EX_IOERR;
    } else {
        fprintf(arguments->err, "postilion explain: %s\n", strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    arena_free(&arena);
    return status;
}

int explain_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err)
{
    struct arguments arguments = {.err = err};
    struct explain_request request = {.config = config};
    struct strbuf message;
    int status = take_arguments(&arguments, argc, argv);

    if (status != EX_OK) {
        config_free(&config);
        return status;
    }
    request.resolvers = arguments.resolvers;
    request.resolver_count = arguments.resolver_count;
    request.from = arguments.words[0];
    request.to = arguments.words[1];
    request.asks_servers = arguments.asks_servers;
    request.shows_to_scanners = arguments.shows_to_scanners;
    request.client = arguments.client;
    request.helo = arguments.helo.len > 0 ? arguments.helo : usual_helo(request.from);
    strbuf_init(&message, (size_t)2 * MESSAGE_LIMIT);
    if (arguments.path == NULL) {
        make_message(&request, &message);
    } else if (!read_message(&arguments, &message)) {
        strbuf_clear(&message);
        config_free(&config);
        return EX_NOINPUT;
    }
    request.message = strbuf_bytes(&message);
    status = explain(&arguments, &request, out);
    strbuf_clear(&message);
    return status;
}
