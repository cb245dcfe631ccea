#include "import_call.h"

#include "base/json.h"
#include "forward/postsrsd_settings.h"
#include "io/file_read.h"
#include "io/file_write.h"

#include <string.h>
#include <sysexits.h>

enum { SECRET_FILE_LIMIT = 64 * 1024, WHY_LIMIT = 4096 };

struct postsrsd_import {
    const struct import_call *call;
    struct postsrsd_settings settings;
    const char *secret_path; /* where they came from; NULL: no file was given or named */
    struct strbuf secrets;   /* one a line */
    size_t secret_count;
    size_t left_out;
    struct strbuf json; /* of what was left out */
};

static void leave_out(struct postsrsd_import *import, const char *source, unsigned line,
                      struct bytes text, const char *why)
{
    import->left_out++;
    import_say_left_out(import->call, bytes_from_text(source), line, text, why);
    import_add_problem_json(&import->json, bytes_from_text(source), line, text, why);
}

static void take_secrets(struct postsrsd_import *import, const char *path, struct bytes text)
{
    struct bytes secret;

    import->secret_path = path;
    while (postsrsd_next_secret(&text, &secret)) {
        strbuf_add(&import->secrets, secret);
        strbuf_add_char(&import->secrets, '\n');
        import->secret_count++;
    }
}

static void take_settings(struct postsrsd_import *import, const char *path, struct bytes text)
{
    struct postsrsd_settings *settings = &import->settings;

    settings->problem_count = 0;
    postsrsd_settings_read(text, settings);
    for (size_t i = 0; i < settings->problem_count; i++) {
        leave_out(import, path, settings->problems[i].line, settings->problems[i].text,
                  settings->problems[i].why);
    }
}

/* The secrets that the settings name, when no file of them was given. */
static int read_named_secrets(struct postsrsd_import *import)
{
    const struct import_call *call = import->call;
    struct bytes named = import->settings.secret_path;
    struct strbuf text, why;
    const char *path;
    int status = EX_OK;

    if (import->secret_path != NULL || named.len == 0) {
        return EX_OK;
    }
    path = arena_copy_text(call->arena, named);
    strbuf_init(&text, SECRET_FILE_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    if (file_read_whole(path, SECRET_FILE_LIMIT, &text, NULL, &why)) {
        take_secrets(import, path, strbuf_bytes(&text));
    } else {
        fprintf(call->err, "postilion import: %s: %s\n", path, strbuf_text(&why));
        status = EX_NOINPUT;
    }
    strbuf_clear_wiped(&text);
    strbuf_clear(&why);
    return status;
}

/* What cannot be guessed is said, and left to the operator. */
static struct bytes find_domain(struct postsrsd_import *import)
{
    const struct postsrsd_settings *settings = &import->settings;

    if (import->call->domain.len > 0) {
        return import->call->domain;
    }
    return settings->srs_domain.len > 0 ? settings->srs_domain : settings->first_domain;
}

static void report_missing(struct postsrsd_import *import)
{
    const char *source = import->call->files[0].name;

    if (find_domain(import).len == 0) {
        leave_out(import, source, 0, BYTES("the SRS domain"),
                  "it is not in these files: say which with --domain DOMAIN (`postconf -h "
                  "mydomain` with "
                  "postsrsd 1.x)");
    }
    if (import->secret_count == 0) {
        leave_out(import, source, 0, BYTES("the secrets"),
                  "they are not in these files: name /etc/postsrsd.secret, too");
    }
}

static int write_secrets(const struct postsrsd_import *import)
{
    const struct import_call *call = import->call;
    int status = EX_CANTCREAT;
    struct strbuf why;

    strbuf_init(&why, WHY_LIMIT);
    switch (
        file_write_shared(call->output, strbuf_bytes(&import->secrets), "postilion", &why)) {
    case FILE_WRITE_OK:
        status = EX_OK;
        break;
    case FILE_WRITE_EXISTS:
        fprintf(call->err,
                "postilion import: %s: it is there already, and nothing is written over\n",
                call->output);
        break;
    case FILE_WRITE_FAILED:
        fprintf(call->err, "postilion import: %s: %s\n", call->output, strbuf_text(&why));
        break;
    }
    strbuf_clear(&why);
    return status;
}

/* The file that goes into the configuration. */
static const char *classic_path(const struct postsrsd_import *import)
{
    return import->call->output != NULL ? import->call->output : import->secret_path;
}

static void add_block(struct postsrsd_import *import, struct strbuf *out)
{
    struct bytes domain = find_domain(import);

    strbuf_add_text(
        out, "# for postilion.conf: addresses that postsrsd made still lead back\nsrs {\n");
    if (domain.len > 0) {
        strbuf_addf(out, "    domain              " BYTES_FMT "\n", BYTES_ARG(domain));
    }
    strbuf_add_text(out, "    secret-file         /etc/postilion/srs.secret\n");
    if (import->secret_count > 0) {
        strbuf_add_text(out, "    classic-secret-file ");
        import_add_path(import->call, classic_path(import), out);
        strbuf_add_char(out, '\n');
    }
    if (import->settings.separator != 0 && import->settings.separator != '=') {
        strbuf_addf(out, "    separator           %c\n", import->settings.separator);
    }
    strbuf_add_text(out, "}\n");
}

static void add_json(struct postsrsd_import *import, struct strbuf *out)
{
    char separator = import->settings.separator == 0 ? '=' : import->settings.separator;
    struct bytes domain = find_domain(import);

    json_open_object(out, NULL);
    if (domain.len > 0) {
        json_text(out, "srs_domain", domain);
    } else {
        json_null(out, "srs_domain");
    }
    json_text(out, "separator", bytes_of(&separator, 1));
    json_number(out, "secrets", (int64_t)import->secret_count);
    json_words(out, "classic_secret_file",
               import->secret_count > 0
                   ? file_real_path(classic_path(import), import->call->arena)
                   : NULL);
    json_open_array(out, "left_out");
    strbuf_add(out, strbuf_bytes(&import->json));
    json_close_array(out);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}

static int finish(struct postsrsd_import *import)
{
    const struct import_call *call = import->call;
    struct strbuf text;
    int status = read_named_secrets(import);

    if (status == EX_OK && call->output != NULL && import->secret_count > 0) {
        status = write_secrets(import);
    }
    if (status != EX_OK) {
        return status;
    }
    report_missing(import);
    strbuf_init(&text, IMPORT_TEXT_LIMIT);
    if (call->is_json) {
        add_json(import, &text);
    } else {
        add_block(import, &text);
    }
    status = import_write(call->out, &text);
    return status == EX_OK && import->left_out > 0 ? EX_DATAERR : status;
}

int import_postsrsd(const struct import_call *call)
{
    struct postsrsd_import import = {.call = call};
    int status;

    strbuf_init(&import.secrets, SECRET_FILE_LIMIT);
    strbuf_init(&import.json, IMPORT_TEXT_LIMIT);
    for (size_t i = 0; i < call->file_count; i++) {
        struct bytes text = strbuf_bytes(&call->files[i].text);
        if (postsrsd_settings_are_meant(text)) {
            take_settings(&import, call->files[i].name, text);
        } else {
            take_secrets(&import, call->files[i].name, text);
        }
    }
    status = finish(&import);
    strbuf_clear_wiped(&import.secrets);
    strbuf_clear(&import.json);
    return status;
}
