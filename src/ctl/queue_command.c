#include "ctl/queue_command.h"

#include "base/memory.h"
#include "daemon_call.h"
#include "io/disk.h"
#include "mail/queue_order.h"
#include "queue/queue_clerk.h"

#include <stdlib.h>
#include <sysexits.h>

enum { WHY_LIMIT = 4096 };

static const char usage[] =
    "usage: postilion queue list [FILTER] [--held] [--limit N] [--after ID/NUMBER] [--json]\n"
    "       postilion queue list --by-domain [--limit N] [--json]\n"
    "       postilion queue show ID [--json]\n"
    "       postilion queue retry ID|DOMAIN|FILTER|--all\n"
    "       postilion queue hold|release|bounce|delete ID|FILTER|--all\n"
    "       postilion queue salvage [--spool DIR] [--json] TARGET-DIR\n"
    "FILTER: --sender ADDRESS  --recipient ADDRESS  --destination DOMAIN\n";

struct queue_call {
    const struct queue_command_options *options;
    const struct queue_order *order;
    FILE *out, *err;
    /* offline */
    struct event_loop *loop;
    int code;
};

/* False: nobody is there. */
static bool ask_daemon(struct queue_call *call, int *code)
{
    struct strbuf line;
    bool is_answered = true;

    strbuf_init(&line, QUEUE_ORDER_LINE_LIMIT);
    if (!queue_order_write(&line, call->order) || line.overflowed) {
        fputs(usage, call->err);
        *code = EX_USAGE;
    } else {
        is_answered = daemon_call(call->options->control_path, strbuf_bytes(&line), call->out,
                                  call->err, code);
    }
    strbuf_clear(&line);
    return is_answered;
}

/* ---- on the spool itself ---- */

static void write_part(void *context, struct bytes text)
{
    struct queue_call *call = context;

    fwrite(text.data, 1, text.len, call->out);
}

static bool may_go_on(void *context)
{
    (void)context;
    return true;
}

static void on_done(void *context, enum spool_status status, uint64_t changed)
{
    struct queue_call *call = context;

    call->code = spool_status_exit_code(status);
    if (status != SPOOL_OK) {
        fprintf(call->err, "postilion: %s\n", spool_status_words(status));
    } else if (changed == 0 && queue_order_done_text(call->order->kind) != NULL) {
        fprintf(call->err, "postilion: %s\n", QUEUE_CLERK_NONE);
        call->code = EX_DATAERR;
    }
    event_loop_stop(call->loop);
}

static void carry_out(struct queue_call *call, struct spool *spool)
{
    struct queue_clerk_options options = {.spool = spool,
                                          .loop = call->loop,
                                          .write = write_part,
                                          .may_go_on = may_go_on,
                                          .done = on_done,
                                          .context = call};

    queue_clerk_start(&options, call->order);
    event_loop_run(call->loop);
}

/* Looking must not make a spool where there is none. */
static bool has_spool(const char *directory)
{
    struct strbuf path;
    bool found;

    strbuf_init(&path, WHY_LIMIT);
    strbuf_addf(&path, "%s/spool.db", directory);
    found = disk_exists(strbuf_text(&path));
    strbuf_clear(&path);
    return found;
}

static int open_and_carry_out(struct queue_call *call)
{
    struct spool_options options = {.directory = call->options->spool_directory};
    enum spool_status status;
    struct spool *spool;
    struct strbuf why;

    if (!has_spool(options.directory)) {
        fprintf(call->err, "postilion: there is no spool in %s\n", options.directory);
        return EX_NOINPUT;
    }
    strbuf_init(&why, WHY_LIMIT);
    call->loop = event_loop_new();
    spool = spool_open(&options, &status, &why);
    if (spool == NULL) {
        fprintf(call->err, "postilion: %s%s\n", strbuf_text(&why),
                status == SPOOL_LOCKED ? ", which does not answer on the control socket" : "");
        call->code = spool_status_exit_code(status);
    } else {
        carry_out(call, spool);
        spool_close(&spool);
    }
    event_loop_free(&call->loop);
    strbuf_clear(&why);
    return call->code;
}

int queue_command_run(const struct queue_command_options *options, int argc, char **argv,
                      FILE *out, FILE *err)
{
    struct queue_order order;
    struct queue_call call = {.options = options, .order = &order, .out = out, .err = err};
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    struct bytes *words;
    const char *why = NULL;
    int code = EX_OK;

    if (count == 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, out);
        return EX_OK;
    }
    words = memory_resize(NULL, count + 1, sizeof(*words));
    for (size_t i = 0; i < count; i++) {
        words[i] = bytes_from_text(argv[i + 1]);
    }
    if (!queue_order_parse(words, count, &order, &why)) {
        fprintf(err, "postilion queue: %s\n%s", why, usage);
        code = EX_USAGE;
    } else if (!ask_daemon(&call, &code)) {
        code = open_and_carry_out(&call);
    }
    free(words);
    return code;
}
