/*
 *   1 take_arguments   the command line
 *   2 read_files       all of them, or nothing is done
 *   3 import_aliases   the tables (here), or import_postsrsd (import_srs.c)
 *   4 write_files      and what goes into the configuration
 */
#include "ctl/import_command.h"

#include "import_call.h"

#include "auth/idn_domain.h"
#include "base/json.h"
#include "base/utf8.h"
#include "forward/alias_import.h"
#include "io/entropy.h"
#include "io/file_read.h"
#include "io/file_write.h"

#include <string.h>
#include <sysexits.h>

enum { FILE_LIMIT = 256 * 1024 * 1024, WHY_LIMIT = 4096, SHOWN_LIMIT = 200, PATH_LIMIT = 8192 };

static const char usage[] =
    "usage: postilion import postfix-virtual FILE ... [--domain D] [--local D] [--output PATH] "
    "[--json]\n"
    "       postilion import aliases FILE ... --domain D [--local D] [--output PATH] [--json]\n"
    "       postilion import postsrsd FILE ... [--domain D] [--output FILE] [--json]\n"
    "  --domain D     the domain of names that have none; the SRS domain\n"
    "  --local D      where the mailboxes of that machine are now\n"
    "  --output PATH  a new file; or a directory, for one file a domain\n";

enum import_kind { IMPORT_VIRTUAL, IMPORT_ALIASES, IMPORT_POSTSRSD };

static const struct {
    const char *word;
    enum import_kind kind;
} kinds[] = {{"postfix-virtual", IMPORT_VIRTUAL},
             {"aliases", IMPORT_ALIASES},
             {"postsrsd", IMPORT_POSTSRSD}};

/* ---- shared with import_srs.c ---- */

void import_say_left_out(const struct import_call *call, struct bytes source, unsigned line,
                         struct bytes text, const char *why)
{
    struct strbuf shown;

    strbuf_init(&shown, 8 * SHOWN_LIMIT);
    utf8_add_printable(&shown, bytes_first(text, SHOWN_LIMIT));
    fprintf(call->err, BYTES_FMT ":%u: left out: %s: %s\n", BYTES_ARG(source), line,
            strbuf_text(&shown), why);
    strbuf_clear(&shown);
}

void import_add_problem_json(struct strbuf *json, struct bytes source, unsigned line,
                             struct bytes text, const char *why)
{
    json_open_object(json, NULL);
    json_text(json, "source", source);
    json_number(json, "line", line);
    json_text(json, "text", text);
    json_words(json, "why", why);
    json_close_object(json);
}

int import_write(FILE *out, struct strbuf *text)
{
    bool is_written =
        fwrite(strbuf_text(text), 1, text->len, out) == text->len && fflush(out) == 0;

    strbuf_clear(text);
    return is_written ? EX_OK : EX_IOERR;
}

/* ---- 1: the command line ---- */

static int refuse(const struct import_call *call, const char *what, const char *why)
{
    fprintf(call->err, "postilion import: %s: %s\n%s", what, why, usage);
    return EX_USAGE;
}

static int take_domain(const struct import_call *call, const char *option, const char *value,
                       struct bytes *domain)
{
    return idn_domain_to_ascii(bytes_from_text(value), call->arena, domain)
               ? EX_OK
               : refuse(call, option, "this is no domain");
}

static int take_option(struct import_call *call, enum import_kind kind, const char *option,
                       const char *value)
{
    if (strcmp(option, "--domain") == 0) {
        return take_domain(call, option, value, &call->domain);
    }
    if (strcmp(option, "--local") == 0 && kind != IMPORT_POSTSRSD) {
        return take_domain(call, option, value, &call->local_domain);
    }
    if (strcmp(option, "--output") == 0) {
        call->output = value;
        return value[0] != '\0' ? EX_OK : refuse(call, option, "the value is missing");
    }
    return refuse(call, option, "unknown option");
}

/* From argv[2] on. Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct import_call *call, enum import_kind kind, int argc,
                          char **argv)
{
    int status = EX_OK;

    call->files = arena_alloc(call->arena, (size_t)argc * sizeof *call->files);
    for (int i = 2; i < argc && status == EX_OK; i++) {
        const char *equals = strchr(argv[i], '=');

        if (strcmp(argv[i], "--json") == 0) {
            call->is_json = true;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            call->files[call->file_count++].name = argv[i];
        } else if (equals != NULL) {
            struct bytes name = bytes_of(argv[i], (size_t)(equals - argv[i]));
            status = take_option(call, kind, arena_copy_text(call->arena, name), equals + 1);
        } else if (i + 1 < argc) {
            status = take_option(call, kind, argv[i], argv[i + 1]);
            i++;
        } else {
            status = refuse(call, argv[i], "the value is missing");
        }
    }
    if (status == EX_OK && call->file_count == 0) {
        return refuse(call, "FILE", "the file to import is missing");
    }
    if (status == EX_OK && kind == IMPORT_ALIASES && call->domain.len == 0) {
        return refuse(call, "--domain", "names in aliases have no domain: say which they get");
    }
    return status;
}

/* ---- 2: files ---- */

static int read_files(const struct import_call *call)
{
    int status = EX_OK;
    struct strbuf why;

    strbuf_init(&why, WHY_LIMIT);
    for (size_t i = 0; i < call->file_count; i++) {
        struct import_file *file = &call->files[i];

        strbuf_init(&file->text, FILE_LIMIT);
        strbuf_reset(&why);
        if (!file_read_whole(file->name, FILE_LIMIT, &file->text, NULL, &why)) {
            fprintf(call->err, "postilion import: %s: %s\n", file->name, strbuf_text(&why));
            status = EX_NOINPUT;
        }
    }
    strbuf_clear(&why);
    return status;
}

/* ---- 4: where aliases go ---- */

static bool is_directory(const char *path)
{
    struct file_rights rights;

    return path[strlen(path) - 1] == '/' ||
           (file_read_rights(path, &rights) && rights.is_directory);
}

/* The file of one domain. */
static const char *path_of(const struct import_call *call, const struct alias_import *import,
                           size_t domain)
{
    struct bytes output = bytes_from_text(call->output);
    struct strbuf path;
    const char *copy;

    if (!is_directory(call->output)) {
        return call->output;
    }
    while (output.len > 1 && output.data[output.len - 1] == '/') {
        output.len--;
    }
    strbuf_init(&path, PATH_LIMIT);
    strbuf_addf(&path, BYTES_FMT "/" BYTES_FMT ".aliases", BYTES_ARG(output),
                BYTES_ARG(alias_import_domain_name(import, domain)));
    copy = arena_copy_text(call->arena, strbuf_bytes(&path));
    strbuf_clear(&path);
    return copy;
}

/* All that would fail is told before the first file is written. */
static int check_output(const struct import_call *call, const struct alias_import *import)
{
    size_t count = alias_import_domain_count(import);

    if (count > 1 && !is_directory(call->output)) {
        fprintf(call->err,
                "postilion import: %s: these are aliases of %zu domains, a file each: write "
                "%s/ for a directory\n",
                call->output, count, call->output);
        return EX_USAGE;
    }
    for (size_t i = 0; i < count; i++) {
        const char *path = path_of(call, import, i);
        if (file_exists(path)) {
            fprintf(call->err,
                    "postilion import: %s: it is there already, and nothing is written over\n",
                    path);
            return EX_CANTCREAT;
        }
    }
    return EX_OK;
}

static int write_file(const struct import_call *call, const struct alias_import *import,
                      size_t domain)
{
    const char *path = path_of(call, import, domain);
    struct strbuf text, why;
    bool is_written;

    strbuf_init(&text, IMPORT_TEXT_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    alias_import_add_file(import, domain, &text);
    is_written = file_write_public(path, strbuf_bytes(&text), &why) == FILE_WRITE_OK;
    if (!is_written) {
        fprintf(call->err, "postilion import: %s: %s\n", path, strbuf_text(&why));
    }
    strbuf_clear(&text);
    strbuf_clear(&why);
    return is_written ? EX_OK : EX_CANTCREAT;
}

static int write_files(const struct import_call *call, const struct alias_import *import)
{
    int status = check_output(call, import);
    struct strbuf why;

    strbuf_init(&why, WHY_LIMIT);
    if (status == EX_OK && is_directory(call->output) &&
        file_write_directory(call->output, &why) == FILE_WRITE_FAILED) {
        fprintf(call->err, "postilion import: %s: %s\n", call->output, strbuf_text(&why));
        status = EX_CANTCREAT;
    }
    strbuf_clear(&why);
    for (size_t i = 0; i < alias_import_domain_count(import) && status == EX_OK; i++) {
        status = write_file(call, import, i);
    }
    return status;
}

/* ---- 3: what is said ---- */

/* As one word of the configuration. */
void import_add_path(const struct import_call *call, const char *path, struct strbuf *out)
{
    const char *real = file_real_path(path, call->arena);
    bool is_plain = strpbrk(real, " \t#{}\"\\") == NULL;

    strbuf_add_text(out, is_plain ? "" : "\"");
    for (const char *at = real; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            strbuf_add_char(out, '\\');
        }
        strbuf_add_char(out, *at);
    }
    strbuf_add_text(out, is_plain ? "" : "\"");
}

/* For the configuration, when files were written; else the aliases themselves. */
static void add_text(const struct import_call *call, const struct alias_import *import,
                     struct strbuf *out)
{
    size_t count = alias_import_domain_count(import);

    if (call->output != NULL) {
        strbuf_add_text(out, count == 0 ? "" : "# for postilion.conf:\n");
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes name = alias_import_domain_name(import, i);

        if (call->output != NULL) {
            strbuf_addf(out, "domain " BYTES_FMT " {\n    aliases ", BYTES_ARG(name));
            import_add_path(call, path_of(call, import, i), out);
            strbuf_add_text(out, "\n}\n");
            continue;
        }
        if (count > 1) {
            strbuf_addf(out, "%s# ---- " BYTES_FMT " ----\n", i > 0 ? "\n" : "",
                        BYTES_ARG(name));
        }
        alias_import_add_file(import, i, out);
    }
}

static void add_domain_json(const struct import_call *call, const struct alias_import *import,
                            size_t domain, struct strbuf *json)
{
    json_open_object(json, NULL);
    json_text(json, "domain", alias_import_domain_name(import, domain));
    json_words(json, "file", call->output == NULL ? NULL : path_of(call, import, domain));
    json_open_array(json, "aliases");
    for (size_t i = 0; i < alias_import_entry_count(import); i++) {
        const struct alias_import_entry *entry = alias_import_entry(import, i);
        if (entry->domain != domain) {
            continue;
        }
        json_open_object(json, NULL);
        json_text(json, "name", entry->name);
        json_text(json, "action", entry->action);
        json_text(json, "source", entry->source);
        json_number(json, "line", entry->line);
        json_close_object(json);
    }
    json_close_array(json);
    json_close_object(json);
}

static void add_json(const struct import_call *call, const struct alias_import *import,
                     struct strbuf *json)
{
    json_open_object(json, NULL);
    json_open_array(json, "domains");
    for (size_t i = 0; i < alias_import_domain_count(import); i++) {
        add_domain_json(call, import, i, json);
    }
    json_close_array(json);
    json_open_array(json, "left_out");
    for (size_t i = 0; i < alias_import_problem_count(import); i++) {
        const struct alias_import_problem *problem = alias_import_problem(import, i);
        import_add_problem_json(json, problem->source, problem->line, problem->text,
                                problem->why);
    }
    json_close_array(json);
    json_close_object(json);
    strbuf_add_char(json, '\n');
}

static void say_problems(const struct import_call *call, const struct alias_import *import)
{
    size_t count = alias_import_problem_count(import);

    for (size_t i = 0; i < count; i++) {
        const struct alias_import_problem *problem = alias_import_problem(import, i);
        import_say_left_out(call, problem->source, problem->line, problem->text, problem->why);
    }
    fprintf(call->err, "%zu aliases in %zu %s, %zu left out\n",
            alias_import_entry_count(import), alias_import_domain_count(import),
            alias_import_domain_count(import) == 1 ? "domain" : "domains", count);
}

static int import_aliases(const struct import_call *call, enum alias_import_kind kind)
{
    struct alias_import_options options = {
        .domain = call->domain, .local_domain = call->local_domain, .key = entropy_hash_key()};
    struct alias_import *import = alias_import_new(&options);
    struct strbuf text;
    int status = EX_OK;

    for (size_t i = 0; i < call->file_count; i++) {
        alias_import_add(import, kind, bytes_from_text(call->files[i].name),
                         strbuf_bytes(&call->files[i].text));
    }
    alias_import_finish(import);
    if (call->output != NULL) {
        status = write_files(call, import);
    }
    if (status == EX_OK) {
        strbuf_init(&text, IMPORT_TEXT_LIMIT);
        if (call->is_json) {
            add_json(call, import, &text);
        } else {
            add_text(call, import, &text);
        }
        status = import_write(call->out, &text);
    }
    if (status == EX_OK) {
        say_problems(call, import);
        status = alias_import_problem_count(import) > 0 ? EX_DATAERR : EX_OK;
    }
    alias_import_free(&import);
    return status;
}

static int import_kind(const struct import_call *call, enum import_kind kind)
{
    switch (kind) {
    case IMPORT_VIRTUAL:
        return import_aliases(call, ALIAS_IMPORT_VIRTUAL);
    case IMPORT_ALIASES:
        return import_aliases(call, ALIAS_IMPORT_ALIASES);
    case IMPORT_POSTSRSD:
        return import_postsrsd(call);
    }
    return EX_SOFTWARE;
}

int import_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct import_call call = {.out = out, .err = err};
    size_t kind = 0, kind_count = sizeof kinds / sizeof kinds[0];
    int status;

    while (argc > 1 && kind < kind_count && strcmp(argv[1], kinds[kind].word) != 0) {
        kind++;
    }
    if (argc < 2 || kind == kind_count) {
        fputs(usage, err);
        return EX_USAGE;
    }
    call.arena = arena_new();
    status = take_arguments(&call, kinds[kind].kind, argc, argv);
    if (status == EX_OK) {
        status = read_files(&call);
        if (status == EX_OK) {
            status = import_kind(&call, kinds[kind].kind);
        }
        for (size_t i = 0; i < call.file_count; i++) {
            strbuf_clear_wiped(&call.files[i].text);
        }
    }
    arena_free(&call.arena);
    return status;
}
