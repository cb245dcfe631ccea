#include "daemon_call.h"

#include "io/control_call.h"

#include <stdlib.h>
#include <sysexits.h>

enum {
    ANSWER_WAIT_MS = 600 * 1000 /* of silence: an order may be about millions */,
    WHY_LIMIT = 4096
};

int spool_status_exit_code(enum spool_status status)
{
    switch (status) {
    case SPOOL_OK:
        return EX_OK;
    case SPOOL_GONE:
    case SPOOL_DAMAGED:
        return EX_DATAERR;
    case SPOOL_FULL:
    case SPOOL_FAILED:
        return EX_IOERR;
    case SPOOL_LOCKED:
        return EX_TEMPFAIL;
    }
    abort();
}

const char *spool_status_words(enum spool_status status)
{
    switch (status) {
    case SPOOL_OK:
        return "done";
    case SPOOL_GONE:
        return "no such message";
    case SPOOL_DAMAGED:
        return "the spool is damaged";
    case SPOOL_FULL:
        return "no space on the disk";
    case SPOOL_FAILED:
        return "the disk failed";
    case SPOOL_LOCKED:
        return "the spool is in use";
    }
    abort();
}

static void print_part(void *context, struct bytes part)
{
    fwrite(part.data, 1, part.len, context);
}

/* "-gone ...": the first word is a spool_status_text, "none" or "usage". Says it; the exit status. */
static int refuse(struct bytes last, FILE *err)
{
    static const enum spool_status all[] = {SPOOL_GONE, SPOOL_DAMAGED, SPOOL_FULL,
                                            SPOOL_FAILED};
    struct bytes rest = last, word = bytes_cut(&rest, ' ');

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (bytes_equal(word, bytes_from_text(spool_status_text(all[i])))) {
            fprintf(err, "postilion: %s\n", spool_status_words(all[i]));
            return spool_status_exit_code(all[i]);
        }
    }
    if (bytes_equal(word, BYTES("none"))) {
        fprintf(err, "postilion: %.*s\n", BYTES_ARG(rest));
        return EX_DATAERR;
    }
    fprintf(err, "postilion: %.*s\n", BYTES_ARG(last));
    return bytes_equal(word, BYTES("usage:")) ? EX_USAGE : EX_SOFTWARE;
}

bool daemon_call(const char *control_path, struct bytes line, FILE *out, FILE *err, int *code)
{
    struct strbuf last;
    bool is_answered = true;

    if (control_path == NULL || control_path[0] == '\0') {
        return false;
    }
    strbuf_init(&last, WHY_LIMIT);
    switch (control_call(control_path, line, ANSWER_WAIT_MS, print_part, out, &last)) {
    case CONTROL_DONE:
        *code = EX_OK;
        break;
    case CONTROL_REFUSED:
        *code = refuse(strbuf_bytes(&last), err);
        break;
    case CONTROL_NOBODY:
        is_answered = false;
        break;
    case CONTROL_FAILED:
        fprintf(err, "postilion: the daemon at %s: %s\n", control_path, strbuf_text(&last));
        *code = EX_TEMPFAIL;
        break;
    }
    strbuf_clear(&last);
    return is_answered;
}
