#include "ctl/headers_command.h"

#include "message_file.h"

#include "base/calendar.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "mail/header_block.h"
#include "mail/hop_path.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { REPORT_LIMIT = 16 * 1024 * 1024 };

static const char usage[] = "usage: postilion headers [FILE|-] [--json]\n";

/* ---- text -------------------------------------------------------------------------------- */

static void add_span(struct strbuf *out, int64_t seconds)
{
    if (seconds < 0) {
        strbuf_add_char(out, '-');
        seconds = -seconds;
    }
    if (seconds >= 86400) {
        strbuf_addf(out, "%" PRId64 "d", seconds / 86400);
        seconds %= 86400;
    }
    if (seconds >= 3600) {
        strbuf_addf(out, "%" PRId64 "h", seconds / 3600);
        seconds %= 3600;
    }
    if (seconds >= 60) {
        strbuf_addf(out, "%" PRId64 "m", seconds / 60);
        seconds %= 60;
    }
    strbuf_addf(out, "%" PRId64 "s", seconds);
}

static void add_part(struct strbuf *out, const char *before, struct bytes text,
                     const char *after)
{
    if (text.len > 0) {
        strbuf_add_text(out, before);
        utf8_add_printable(out, text);
        strbuf_add_text(out, after);
    }
}

static struct bytes name_of(struct bytes server)
{
    return server.len > 0 ? server : BYTES("(nobody says who)");
}

static void add_hop(struct strbuf *out, const struct mail_hop *hop, size_t number)
{
    size_t start;

    strbuf_addf(out, "%3zu  ", number);
    start = out->len;
    if (hop->has_delay) {
        strbuf_add_text(out, hop->delay_seconds < 0 ? "" : "+");
        add_span(out, hop->delay_seconds);
    } else {
        strbuf_add_text(out, hop->has_time ? "start" : "no time");
    }
    while (out->len - start < 11) {
        strbuf_add_char(out, ' ');
    }
    start = out->len;
    if (hop->has_time) {
        calendar_add_timestamp(out, hop->unix_seconds * 1000);
        strbuf_truncate(out, out->len - 5); /* ".000Z" */
        strbuf_add_char(out, 'Z');
    }
    while (out->len - start < 22) {
        strbuf_add_char(out, ' ');
    }
    utf8_add_printable(out, name_of(hop->by));
    add_part(out, "\n       from ", hop->from, "");
    add_part(out, " (", hop->address, ")");
    add_part(out, "\n       with ", hop->protocol, "");
    add_part(out, "\n       id ", hop->id, "");
    add_part(out, "\n       for <", hop->recipient, ">");
    strbuf_add_char(out, '\n');
}

static void add_verdicts(struct strbuf *out, const struct hop_path *path, size_t hop)
{
    for (size_t i = 0; i < path->verdict_count; i++) {
        const struct hop_verdict *verdict = &path->verdicts[i];

        if (verdict->hop != hop) {
            continue;
        }
        strbuf_add_text(out, "       ");
        utf8_add_printable(out, verdict->method);
        strbuf_add_char(out, '=');
        utf8_add_printable(out, verdict->result);
        add_part(out, " ", verdict->identity, "");
        add_part(out, ", says ", verdict->server, "");
        if (verdict->arc_instance != 0) {
            strbuf_addf(out, " (ARC %u)", verdict->arc_instance);
        }
        strbuf_add_text(out, verdict->is_broken ? "   <-- it passed before\n" : "\n");
    }
}

static const struct hop_verdict *find_broken(const struct hop_path *path)
{
    for (size_t i = 0; i < path->verdict_count; i++) {
        if (path->verdicts[i].is_broken) {
            return &path->verdicts[i];
        }
    }
    return NULL;
}

/* What to do next. */
static void add_advice(struct strbuf *out, const struct hop_path *path)
{
    const struct hop_verdict *broken = find_broken(path);

    if (path->slowest < path->count && path->hops[path->slowest].delay_seconds > 10) {
        const struct mail_hop *hop = &path->hops[path->slowest];

        strbuf_addf(out, "\nSlowest: hop %zu, ", path->slowest + 1);
        add_span(out, hop->delay_seconds);
        strbuf_add_text(out, ". It waited at ");
        utf8_add_printable(
            out, name_of(path->slowest > 0 ? path->hops[path->slowest - 1].by : hop->from));
        add_part(out, " (look there for id ",
                 path->slowest > 0 ? path->hops[path->slowest - 1].id : BYTES(""), ")");
        strbuf_add_text(out, ", or ");
        utf8_add_printable(out, name_of(hop->by));
        add_part(out, " was slow to take it (id ", hop->id, ")");
        strbuf_add_text(out, ".\n");
    }
    if (path->skewed > 0) {
        strbuf_addf(out,
                    "\n%zu hop%s earlier than the one before: a clock is wrong there, or the "
                    "field was made up.\n",
                    path->skewed, path->skewed == 1 ? " is" : "s are");
    }
    if (broken != NULL) {
        strbuf_add_char(out, '\n');
        utf8_add_printable(out, broken->method);
        add_part(out, " of ", broken->identity, "");
        strbuf_addf(out, " broke on the way to hop %zu: the server before it %s.\n",
                    broken->hop + 1,
                    bytes_equal(broken->method, BYTES("spf"))
                        ? "sent the message on from an address that record does not name"
                        : "changed the message");
    }
    if (path->left_out > 0) {
        strbuf_addf(out, "\n%zu more hops, older than these, are left out.\n", path->left_out);
    }
}

static void add_text(struct strbuf *out, const struct hop_path *path)
{
    strbuf_addf(out, "%zu hop%s", path->count, path->count == 1 ? "" : "s");
    if (path->has_total) {
        strbuf_add_text(out, ", ");
        add_span(out, path->total_seconds);
        strbuf_add_text(out, " from the first to the last");
    }
    strbuf_add_text(out, "\n\n");
    for (size_t i = 0; i < path->count; i++) {
        add_hop(out, &path->hops[i], i + 1);
        add_verdicts(out, path, i);
    }
    if (path->count == 0) {
        add_verdicts(out, path, 0);
    }
    add_advice(out, path);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_hop_json(struct strbuf *out, const struct mail_hop *hop)
{
    json_open_object(out, NULL);
    json_text(out, "by", hop->by);
    json_text(out, "from", hop->from);
    json_text(out, "address", hop->address);
    json_text(out, "with", hop->protocol);
    json_text(out, "id", hop->id);
    json_text(out, "for", hop->recipient);
    if (hop->has_time) {
        json_time(out, "time", hop->unix_seconds * 1000);
        json_number(out, "zone_minutes", hop->zone_minutes);
    } else {
        json_null(out, "time");
    }
    if (hop->has_delay) {
        json_number(out, "delay_seconds", hop->delay_seconds);
    } else {
        json_null(out, "delay_seconds");
    }
    json_close_object(out);
}

static void add_verdict_json(struct strbuf *out, const struct hop_verdict *verdict)
{
    json_open_object(out, NULL);
    json_number(out, "hop", (int64_t)verdict->hop + 1);
    json_text(out, "server", verdict->server);
    json_number(out, "arc_instance", verdict->arc_instance);
    json_text(out, "method", verdict->method);
    json_text(out, "result", verdict->result);
    json_text(out, "identity", verdict->identity);
    json_bool(out, "broken", verdict->is_broken);
    json_close_object(out);
}

static void add_json(struct strbuf *out, const struct hop_path *path)
{
    json_open_object(out, NULL);
    json_open_array(out, "hops");
    for (size_t i = 0; i < path->count; i++) {
        add_hop_json(out, &path->hops[i]);
    }
    json_close_array(out);
    json_open_array(out, "results");
    for (size_t i = 0; i < path->verdict_count; i++) {
        add_verdict_json(out, &path->verdicts[i]);
    }
    json_close_array(out);
    if (path->has_written) {
        json_time(out, "written", path->written_seconds * 1000);
    }
    if (path->has_total) {
        json_number(out, "total_seconds", path->total_seconds);
    }
    if (path->slowest < path->count) {
        json_number(out, "slowest", (int64_t)path->slowest + 1);
    }
    json_number(out, "skewed", (int64_t)path->skewed);
    json_number(out, "left_out", (int64_t)path->left_out);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}

/* ---- the command ------------------------------------------------------------------------- */

static int report(struct bytes header, bool is_json, FILE *out, FILE *err)
{
    struct hop_path *path = memory_zero(sizeof *path);
    struct arena *arena = arena_new();
    struct strbuf text;
    int status = EX_OK;

    strbuf_init(&text, REPORT_LIMIT);
    hop_path_read(header, arena, path);
    if (header.len == 0) {
        fputs("postilion headers: there is no header in it\n", err);
        status = EX_DATAERR;
    } else if (is_json) {
        add_json(&text, path);
    } else {
        add_text(&text, path);
    }
    fwrite(strbuf_text(&text), 1, text.len, out);
    strbuf_clear(&text);
    arena_free(&arena);
    free(path);
    return status;
}

static int read_and_report(const char *name, bool is_json, FILE *out, FILE *err)
{
    struct strbuf message;
    int status = EX_NOINPUT;

    strbuf_init(&message, 2 * (size_t)MESSAGE_FILE_LIMIT);
    if (message_file_read("headers", name, &message, err)) {
        struct bytes text = strbuf_bytes(&message);

        status = report(bytes_first(text, header_block_length(text)), is_json, out, err);
    }
    strbuf_clear(&message);
    return status;
}

int headers_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    const char *name = NULL;
    bool is_json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            is_json = true;
        } else if (name != NULL || (argv[i][0] == '-' && argv[i][1] != '\0')) {
            fprintf(err, "postilion headers: %s: not understood\n%s", argv[i], usage);
            return EX_USAGE;
        } else {
            name = argv[i];
        }
    }
    return read_and_report(name == NULL ? "-" : name, is_json, out, err);
}
