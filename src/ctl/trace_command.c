#include "ctl/trace_command.h"

#include "base/calendar.h"
#include "io/clock.h"
#include "mail/event_story.h"
#include "mail/event_trace.h"
#include "mail/story_report.h"
#include "trace_bundle.h"
#include "trace_queue.h"
#include "trace_source.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { REPORT_LIMIT = 256 * 1024 * 1024, EXIT_NOTHING = 1, MOST_ROWS = 10000 };

static const char usage[] =
    "usage: postilion trace ID|ADDRESS|MESSAGE-ID [--json] [--bundle] [--log FILE|-]\n"
    "                       [--since SPAN] [--limit N]\n"
    "SPAN: 90m, 12h, 3d, 2w, or a time like 2026-11-22T08:00:00Z\n";

struct trace_call {
    const struct trace_command_options *options;
    const char *text; /* what is looked for */
    const char *log;
    bool is_json, is_bundle;
    int64_t since_ms;
    const char *since; /* as it was said */
    uint64_t limit;
    FILE *out, *err;
};

/* ---- the command line -------------------------------------------------------------------- */

static bool read_span(struct bytes word, int64_t *span_ms)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t number;

    for (size_t i = 0; i < sizeof units / sizeof units[0] && word.len > 1; i++) {
        if (word.data[word.len - 1] == units[i].unit &&
            bytes_to_u64(bytes_first(word, word.len - 1), &number) && number < 100000000) {
            *span_ms = (int64_t)number * units[i].seconds * 1000;
            return true;
        }
    }
    return false;
}

static bool read_since(struct trace_call *call, const char *word)
{
    struct bytes text = bytes_from_text(word);
    int64_t span_ms;

    call->since = word;
    if (calendar_read_timestamp(text, &call->since_ms)) {
        return true;
    }
    if (!read_span(text, &span_ms)) {
        return false;
    }
    call->since_ms = clock_unix_ms() - span_ms;
    return true;
}

static bool read_limit(struct trace_call *call, const char *word)
{
    return bytes_to_u64(bytes_from_text(word), &call->limit) && call->limit > 0 &&
           call->limit <= MOST_ROWS;
}

/* An option with a word behind it. */
static bool take_option(struct trace_call *call, const char *name, const char *word)
{
    if (strcmp(name, "--log") == 0) {
        call->log = word;
        return true;
    }
    if (strcmp(name, "--since") == 0) {
        return read_since(call, word);
    }
    return strcmp(name, "--limit") == 0 && read_limit(call, word);
}

static bool read_arguments(struct trace_call *call, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if (strcmp(word, "--json") == 0) {
            call->is_json = true;
        } else if (strcmp(word, "--bundle") == 0) {
            call->is_bundle = true;
        } else if (strncmp(word, "--", 2) == 0) {
            if (i + 1 == argc || !take_option(call, word, argv[++i])) {
                fprintf(call->err, "postilion trace: %s: not understood\n", word);
                return false;
            }
        } else if (call->text == NULL && word[0] != '\0') {
            call->text = word;
        } else {
            return false;
        }
    }
    return call->text != NULL;
}

bool trace_command_has_log(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log") == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what is said ------------------------------------------------------------------------ */

static int print(struct trace_call *call, const struct strbuf *report)
{
    fwrite(strbuf_text(report), 1, report->len, call->out);
    return report->overflowed ? EX_SOFTWARE : EX_OK;
}

static int show_story(struct trace_call *call, const struct event_trace *trace,
                      struct arena *arena)
{
    struct story_input input = {
        .records = trace->records,
        .count = trace->count,
        .id = trace->id,
        .session = trace->session,
        .address = trace->is_address ? trace->value : BYTES(""),
    };
    struct event_story story;
    struct strbuf report;
    int status = EX_OK;

    trace_queue_ask(call->options, trace->id, arena, &input);
    event_story_tell(&input, arena, &story);
    strbuf_init(&report, REPORT_LIMIT);
    if (call->is_bundle) {
        if (!trace_bundle_add(&report, &input, &story, call->options, call->is_json, arena)) {
            fputs("postilion trace: there is too much to mask in this one\n", call->err);
            status = EX_SOFTWARE;
        }
    } else if (call->is_json) {
        story_report_add_json(&report, &story);
        strbuf_add_char(&report, '\n');
    } else {
        story_report_add_text(&report, &story);
    }
    if (status == EX_OK) {
        status = print(call, &report);
    }
    strbuf_clear(&report);
    return status;
}

/* Newest first. */
static int show_rows(struct trace_call *call, const struct event_trace *trace)
{
    struct strbuf report;
    int status;

    strbuf_init(&report, REPORT_LIMIT);
    for (size_t i = trace->count; i-- > 0;) {
        if (call->is_json) {
            story_report_add_row_json(&report, &trace->records[i]);
        } else {
            story_report_add_row(&report, &trace->records[i]);
        }
    }
    status = print(call, &report);
    strbuf_clear(&report);
    if (call->is_bundle) {
        fputs("postilion trace: --bundle is about one message: name it by its id\n", call->err);
        return EX_USAGE;
    }
    if (!call->is_json) {
        fprintf(call->out,
                "\n%s%zu messages, newest first; postilion trace ID tells the story of one%s\n",
                trace->has_more ? "the last " : "", trace->count,
                trace->has_more ? " (more: --limit N)" : "");
    }
    return status;
}

static int say_nothing(struct trace_call *call, const struct trace_source *source)
{
    fprintf(call->err, "postilion trace: nothing is known of \"%s\"", call->text);
    if (call->since != NULL) {
        fprintf(call->err, " since %s", call->since);
    }
    fputs("\n", call->err);
    if (call->log != NULL) {
        fprintf(call->err,
                "  %s was searched: are these the lines of that time, with log level info?\n",
                call->log);
    } else if (call->options->is_history_off) {
        fputs("  \"history off\" is configured. Where the log goes to journald:\n"
              "  journalctl -u postilion -o cat | postilion trace ... --log -\n",
              call->err);
    } else if (source->segments == 0) {
        fprintf(call->err, "  there is no history in %s yet: has the daemon run with one?\n",
                source->directory);
    } else {
        fputs("  An id, a whole address, or a Message-ID is looked for, as long as \"history\" "
              "goes back.\n"
              "  Older lines: journalctl -u postilion -o cat | postilion trace ... --log -\n",
              call->err);
    }
    if (source->damaged > 0) {
        fprintf(call->err, "  %zu files of the history could not be read\n", source->damaged);
    }
    return EXIT_NOTHING;
}

static int search(struct trace_call *call, struct trace_source *source)
{
    struct arena *arena = arena_new();
    struct event_trace trace;
    int status = EX_OK;

    switch (event_trace_find(&source->source, bytes_from_text(call->text), (size_t)call->limit,
                             arena, &trace)) {
    case EVENT_TRACE_NOTHING:
        status = say_nothing(call, source);
        break;
    case EVENT_TRACE_ONE:
        status = show_story(call, &trace, arena);
        break;
    case EVENT_TRACE_SEVERAL:
        status = show_rows(call, &trace);
        break;
    case EVENT_TRACE_FAILED:
        fprintf(
            call->err,
            "postilion trace: %s\n  Only root and the daemon's user may read the history.\n",
            strbuf_text(&source->why));
        status = EX_IOERR;
        break;
    }
    arena_free(&arena);
    return status;
}

int trace_command_run(const struct trace_command_options *options, int argc, char **argv,
                      FILE *out, FILE *err)
{
    struct trace_call call = {
        .options = options, .out = out, .err = err, .limit = EVENT_TRACE_ROWS};
    struct trace_source source;
    struct strbuf directory;
    int status;

    if (!read_arguments(&call, argc, argv)) {
        fputs(usage, err);
        return EX_USAGE;
    }
    trace_source_init(&source, call.since_ms);
    strbuf_init(&directory, 4096);
    if (call.log == NULL) {
        strbuf_addf(&directory, "%s/history", options->state_directory);
        trace_source_use_history(&source, strbuf_text(&directory));
        status = search(&call, &source);
    } else if (!trace_source_use_file(&source, call.log)) {
        fprintf(err, "postilion trace: %s: %s\n", call.log, strbuf_text(&source.why));
        status = EX_NOINPUT;
    } else {
        status = search(&call, &source);
    }
    strbuf_clear(&directory);
    trace_source_clear(&source);
    return status;
}
