#include "ctl/salvage_command.h"

#include "daemon_call.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/disk.h"
#include "io/spool_salvage.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"
#include "protocol/smtp_path.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

enum { TEXT_LIMIT = 64 * 1024, SOMETHING_LOST = 1, ADDRESS_LIMIT = 1024 };

static const char usage[] =
    "usage: postilion queue salvage [--spool DIR | -c FILE] [--json] TARGET-DIR\n";

struct salvage_call {
    const char *from, *to;
    bool is_json;
    FILE *out;
};

bool salvage_command_is_meant(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "salvage") == 0;
}

bool salvage_command_has_spool(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--spool", 7) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what is believed ---- */

static bool is_readable(const struct spool_message *message)
{
    struct envelope envelope;

    return envelope_record_read(message->envelope, &envelope);
}

/* Rows of deliveries have no checksum: damage shows where octets stand that no address has. */
static bool is_address(struct bytes text)
{
    size_t at = bytes_find(text, '@');

    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];

        if (octet < ' ' || octet == 0x7f) {
            return false;
        }
    }
    return text.len <= ADDRESS_LIMIT && at > 0 && at + 1 < text.len && utf8_is_valid(text);
}

static bool is_believable(const struct spool_delivery *row)
{
    return is_address(row->recipient) && (row->sender.len == 0 || is_address(row->sender)) &&
           (row->alias.len == 0 || is_address(row->alias)) &&
           (row->fallback.len == 0 || is_address(row->fallback) ||
            bytes_equal(row->fallback, BYTES(SPOOL_FALLBACK_TAKEN))) &&
           utf8_is_valid(row->orcpt) && utf8_is_valid(row->destination);
}

/* ---- what is said ---- */

static void print(struct salvage_call *call, struct strbuf *line)
{
    fwrite(line->data, 1, line->len, call->out);
    strbuf_clear(line);
}

static void on_saved(void *context, uint64_t id, uint64_t deliveries)
{
    struct salvage_call *call = context;

    fprintf(call->out,
            call->is_json ? "{\"saved\":\"%s\",\"deliveries\":%" PRIu64 "}\n"
                          : "saved  %s  deliveries=%" PRIu64 "\n",
            message_id_text(id).text, deliveries);
}

static void add_word(struct strbuf *line, const char *name, struct bytes text, bool is_json)
{
    if (text.len == 0) {
        return;
    }
    strbuf_addf(line, is_json ? ",\"%s\":" : "  %s=", name);
    /* Quoted and escaped in both: it comes from a damaged file. */
    json_text(line, NULL, text);
}

static void on_lost(void *context, uint64_t id, const struct spool_delivery *row,
                    const char *why)
{
    struct salvage_call *call = context;
    struct strbuf line;

    strbuf_init(&line, TEXT_LIMIT);
    strbuf_addf(&line, call->is_json ? "{\"lost\":\"%s\"" : "lost   %s",
                message_id_text(id).text);
    if (row != NULL) {
        strbuf_addf(&line, call->is_json ? ",\"number\":%u" : "/%u", row->number);
        add_word(&line, "destination", row->destination, call->is_json);
        add_word(&line, "recipient", row->recipient, call->is_json);
    }
    add_word(&line, "why", bytes_from_text(why), call->is_json);
    strbuf_add_text(&line, call->is_json ? "}\n" : "\n");
    print(call, &line);
}

static void say_summary(struct salvage_call *call, const struct spool_salvage_summary *summary)
{
    if (call->is_json) {
        fprintf(call->out,
                "{\"saved_messages\":%" PRIu64 ",\"saved_deliveries\":%" PRIu64
                ",\"lost_messages\":%" PRIu64 ",\"lost_deliveries\":%" PRIu64
                ",\"lost_pages\":%" PRIu64 "}\n",
                summary->messages, summary->deliveries, summary->lost_messages,
                summary->lost_deliveries, summary->lost_pages);
        return;
    }
    fprintf(call->out,
            "%" PRIu64 " messages with %" PRIu64 " deliveries are saved in %s;"
            " %" PRIu64 " messages and %" PRIu64 " deliveries are lost\n",
            summary->messages, summary->deliveries, call->to, summary->lost_messages,
            summary->lost_deliveries);
    if (summary->lost_pages > 0) {
        fprintf(call->out,
                "%" PRIu64 " places make no sense: what else stood there is not known\n",
                summary->lost_pages);
    }
}

/* ---- the command ---- */

static bool parse(struct salvage_call *call, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            call->is_json = true;
        } else if (strcmp(argv[i], "--spool") == 0 && i + 1 < argc) {
            call->from = argv[++i];
        } else if (strncmp(argv[i], "--spool=", 8) == 0) {
            call->from = argv[i] + 8;
        } else if (argv[i][0] != '-' && argv[i][0] != '\0' && call->to == NULL) {
            call->to = argv[i];
        } else {
            return false;
        }
    }
    return call->from != NULL && call->to != NULL;
}

static bool has_spool(const char *directory)
{
    struct strbuf path;
    bool found;

    strbuf_init(&path, TEXT_LIMIT);
    strbuf_addf(&path, "%s/spool.db", directory);
    found = disk_exists(strbuf_text(&path));
    strbuf_clear(&path);
    return found;
}

static int carry_out(struct salvage_call *call, FILE *err)
{
    struct spool_salvage_options options = {.from = call->from,
                                            .to = call->to,
                                            .is_readable = is_readable,
                                            .is_believable = is_believable,
                                            .saved = on_saved,
                                            .lost = on_lost,
                                            .context = call};
    struct spool_salvage_summary summary;
    enum spool_status status;
    struct strbuf why;
    int code;

    strbuf_init(&why, TEXT_LIMIT);
    status = spool_salvage(&options, &summary, &why);
    if (status == SPOOL_OK) {
        say_summary(call, &summary);
        code = summary.lost_messages + summary.lost_deliveries + summary.lost_pages > 0
                   ? SOMETHING_LOST
                   : EX_OK;
    } else {
        fprintf(err, "postilion: %s\n", strbuf_text(&why));
        code = status == SPOOL_GONE ? EX_NOINPUT : spool_status_exit_code(status);
    }
    strbuf_clear(&why);
    return code;
}

int salvage_command_run(const char *spool_directory, int argc, char **argv, FILE *out,
                        FILE *err)
{
    struct salvage_call call = {.from = spool_directory, .out = out};

    if (!parse(&call, argc, argv)) {
        fputs(usage, err);
        return EX_USAGE;
    }
    if (has_spool(call.to)) {
        fprintf(err, "postilion: %s has a spool already\n", call.to);
        return EX_CANTCREAT;
    }
    return carry_out(&call, err);
}
