#include "ctl/secret_command.h"

#include "io/entropy.h"
#include "io/file_read.h"
#include "io/file_write.h"
#include "mail/srs_address.h"

#include <string.h>
#include <sysexits.h>

enum { FILE_LIMIT = 64 * 1024, WHY_LIMIT = 4096 };

static const char usage[] =
    "usage: postilion srs secret               prints a new secret\n"
    "       postilion srs secret --add FILE    puts one in front of those in FILE\n";

bool secret_command_is_meant(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "secret") == 0;
}

static size_t count_lines(struct bytes text)
{
    size_t count = 0;

    while (text.len > 0) {
        count += bytes_trim(bytes_cut(&text, '\n')).len > 0;
    }
    return count;
}

/* How many secrets are in the file; false: it cannot be read, which has been told. */
static bool count_secrets(const char *path, size_t *count, FILE *err)
{
    struct strbuf text, why;
    bool is_read;

    strbuf_init(&text, FILE_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    is_read = file_read_whole(path, FILE_LIMIT, &text, NULL, &why);
    if (is_read) {
        *count = count_lines(strbuf_bytes(&text));
    } else {
        fprintf(err, "postilion srs: %s: %s\n", path, strbuf_text(&why));
    }
    strbuf_clear_wiped(&text);
    strbuf_clear(&why);
    return is_read;
}

static int write_secret(const char *path, bool is_new, FILE *err)
{
    struct strbuf secret, why;
    bool is_written;

    strbuf_init(&secret, 100);
    strbuf_init(&why, WHY_LIMIT);
    entropy_add_secret(&secret);
    if (is_new) {
        is_written =
            file_write_shared(path, strbuf_bytes(&secret), "postilion", &why) == FILE_WRITE_OK;
    } else {
        is_written = file_write_first(path, strbuf_bytes(&secret), FILE_LIMIT, &why);
    }
    if (!is_written) {
        fprintf(err, "postilion srs: %s: %s\n", path, strbuf_text(&why));
    }
    strbuf_clear_wiped(&secret);
    strbuf_clear(&why);
    return is_written ? EX_OK : EX_CANTCREAT;
}

static int add(const char *path, FILE *out, FILE *err)
{
    bool is_new = !file_exists(path);
    size_t count = 0;
    int status;

    if (!is_new && !count_secrets(path, &count, err)) {
        return EX_CANTCREAT;
    }
    if (count >= SRS_SECRET_LIMIT) {
        fprintf(err,
                "postilion srs: %s: %zu secrets are in it, and %d are taken: remove the last "
                "lines, which are the "
                "oldest\n",
                path, count, SRS_SECRET_LIMIT);
        return EX_DATAERR;
    }
    status = write_secret(path, is_new, err);
    if (status != EX_OK) {
        return status;
    }
    if (is_new) {
        fprintf(out, "%s: made, with one secret\n", path);
    } else {
        fprintf(out,
                "%s: a new secret is first, %zu older %s accepted\n"
                "next: postilion reload; when srs.max-age (21 days by default) is over, remove "
                "the last line\n",
                path, count, count == 1 ? "one is still" : "ones are still");
    }
    return EX_OK;
}

int secret_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct strbuf secret;

    if (argc == 4 && strcmp(argv[2], "--add") == 0 && argv[3][0] != '\0') {
        return add(argv[3], out, err);
    }
    if (argc != 2) {
        fputs(usage, err);
        return EX_USAGE;
    }
    strbuf_init(&secret, 100);
    entropy_add_secret(&secret);
    fputs(strbuf_text(&secret), out);
    strbuf_clear_wiped(&secret);
    return fflush(out) == 0 ? EX_OK : EX_IOERR;
}
