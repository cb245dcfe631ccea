#include "daemon/check_command.h"

#include "daemon/config.h"
#include "daemon/config_dump.h"
#include "daemon/config_manual.h"
#include "daemon/config_schema.h"
#include "daemon/descriptors.h"
#include "daemon/key_check.h"
#include "io/process.h"

#include <string.h>
#include <sysexits.h>

enum { TEXT_LIMIT = 256 * 1024 * 1024 };

struct check_options {
    bool is_dump;
    bool has_dns; /* may DNS be asked? */
};

static int write_text(FILE *out, struct strbuf *text)
{
    int status = fwrite(strbuf_text(text), 1, text->len, out) == text->len && fflush(out) == 0
                     ? EX_OK
                     : EX_IOERR;

    strbuf_clear(text);
    return status;
}

static int write_from_table(FILE *out, void (*write)(struct strbuf *out))
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    write(&text);
    return write_text(out, &text);
}

static void add_count(struct strbuf *out, size_t count, const char *one, const char *many)
{
    strbuf_addf(out, "%zu %s", count, count == 1 ? one : many);
}

static void write_summary(const char *path, const struct config *config, size_t errors,
                          size_t warnings, FILE *out)
{
    struct strbuf text;

    strbuf_init(&text, 8192);
    strbuf_addf(&text, "%s: ", path);
    if (errors == 0) {
        strbuf_add_text(&text, "good, ");
        add_count(&text, alias_table_domain_count(config->aliases), "domain", "domains");
        strbuf_add_text(&text, ", ");
        add_count(&text, alias_table_entry_count(config->aliases), "alias", "aliases");
    } else {
        add_count(&text, errors, "error", "errors");
    }
    if (warnings > 0) {
        strbuf_add_text(&text, ", ");
        add_count(&text, warnings, "warning", "warnings");
    }
    strbuf_add_char(&text, '\n');
    write_text(out, &text);
}

/* Do the keys of seals stand in DNS? */
static struct key_check_counts check_keys(const struct config *config, FILE *err)
{
    struct key_check_counts counts;
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    counts = key_check_run(config->seals, config->seal_count, config->resolvers.items,
                           config->resolvers.count, &text);
    write_text(err, &text);
    return counts;
}

static int check(const char *path, const struct check_options *options, FILE *out, FILE *err)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_load(path, errors);
    struct key_check_counts keys = {.wrong = 0};
    size_t error_count;
    int status;
    struct strbuf text;

    if (config != NULL) {
        config_report_expired(config, errors, CONFIG_ERROR);
        config_report_rights(config, errors);
        descriptors_report(config, process_raise_file_limit(descriptors_wanted(config)),
                           errors);
    }
    error_count = config_errors_count(errors, CONFIG_ERROR);
    strbuf_init(&text, TEXT_LIMIT);
    config_errors_print(errors, &text);
    write_text(err, &text);
    if (config != NULL && options->is_dump) {
        config_dump(config, &text);
        status = write_text(out, &text);
    } else {
        if (config != NULL && options->has_dns) {
            keys = check_keys(config, err);
        }
        error_count += keys.wrong;
        status = error_count == 0 ? EX_OK : EX_CONFIG;
        write_summary(path, config, error_count,
                      config_errors_count(errors, CONFIG_WARNING) + keys.missing,
                      error_count == 0 ? out : err);
    }
    config_free(&config);
    config_errors_free(&errors);
    return status;
}

int check_command_run(const char *config_path, int argc, char **argv, FILE *out, FILE *err)
{
    struct check_options options = {.is_dump = false, .has_dns = true};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dump") == 0) {
            options.is_dump = true;
        } else if (strcmp(argv[i], "--no-dns") == 0) {
            options.has_dns = false;
        } else if (strcmp(argv[i], "--sample") == 0) {
            return write_from_table(out, config_schema_write_sample);
        } else if (strcmp(argv[i], "--manual") == 0) {
            return write_from_table(out, config_manual_write);
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs("usage: postilion [-c FILE] check [--no-dns | --dump | --sample | --manual]\n"
                  "Tells everything that is wrong in the configuration; exit status 78 then.\n"
                  "  --no-dns  do not look whether DNS has the keys of seals\n"
                  "  --dump    the effective value of every option and where it comes from\n"
                  "  --sample  an annotated sample file with all options\n"
                  "  --manual  postilion.conf(5), for man\n",
                  out);
            return EX_OK;
        } else {
            fprintf(err, "postilion check: unknown argument \"%s\", see --help\n", argv[i]);
            return EX_USAGE;
        }
    }
    return check(config_path, &options, out, err);
}

static void list_options(struct strbuf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        strbuf_addf(out, "%s%s%s %s\n", option->context, option->context[0] == '\0' ? "" : ".",
                    option->name, option->arguments);
    }
}

int explain_option_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct strbuf text;
    const char *near;

    strbuf_init(&text, TEXT_LIMIT);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs("usage: postilion explain-option [NAME]\n"
              "What an option means, its range and its default; without NAME a list of all.\n",
              out);
        return EX_OK;
    }
    if (argc > 2) {
        fprintf(err, "postilion explain-option: one name at a time, see --help\n");
        return EX_USAGE;
    }
    if (argc < 2) {
        list_options(&text);
        return write_text(out, &text);
    }
    if (config_schema_explain(bytes_from_text(argv[1]), &text)) {
        return write_text(out, &text);
    }
    near = config_schema_suggest_any(bytes_from_text(argv[1]));
    fprintf(err, "postilion explain-option: no option \"%s\"", argv[1]);
    if (near != NULL) {
        fprintf(err, ", did you mean \"%s\"?", near);
    }
    fputs("\n", err);
    return EX_USAGE;
}
