#include "config_internal.h"

#include "io/process.h"

static const char HOW_TO_CLOSE[] = "chmod 640";

void config_check_secret(struct config_loading *loading, const struct config_word *word,
                         struct config_file *file)
{
    file->is_secret = true;
    if (file->stamp.is_writable_by_others) {
        config_error_at(loading, word, HOW_TO_CLOSE, "everybody on this machine can write %s",
                        file->name);
    } else if (file->stamp.is_open_to_others) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place, HOW_TO_CLOSE,
                          "everybody on this machine can read %s", file->name);
    }
}

void config_wipe_file(struct config_file *file)
{
    strbuf_clear_wiped(&file->owned);
    file->text = BYTES("");
}

/* ---- what the daemon lives in ------------------------------------------------------------ */

struct rights_report {
    const struct config *config;
    struct config_errors *errors;
    unsigned account; /* the worker's */
    bool has_account;
};

static struct config_place place_of(const struct config *config, const char *option)
{
    const struct config_setting *setting = config_find_setting(config, "", option);

    if (setting == NULL || setting->is_default) {
        return (struct config_place){config->files, 0, 0};
    }
    return setting->node->words[1].place;
}

/* A directory only its owner may change, and that is the worker. One that is missing is made. */
static void report_directory(const struct rights_report *report, const char *option,
                             struct bytes path)
{
    struct config_place place = place_of(report->config, option);
    struct file_rights rights;

    if (!file_read_rights(path.data, &rights)) {
        return;
    }
    if (!rights.is_directory) {
        config_errors_add(report->errors, CONFIG_ERROR, place, NULL, "%s is no directory",
                          path.data);
    } else if (rights.others_may_write) {
        config_errors_add(report->errors, CONFIG_ERROR, place, "chmod 700",
                          "everybody on this machine can write into %s", path.data);
    } else if (report->has_account && rights.owner != report->account) {
        struct strbuf hint;

        strbuf_init(&hint, 500);
        strbuf_addf(&hint, "chown it to \"%s\", or correct the option \"user\"",
                    report->config->user.data);
        config_errors_add(report->errors, CONFIG_ERROR, place, strbuf_text(&hint),
                          "%s belongs to another account than the one that works in it",
                          path.data);
        strbuf_clear(&hint);
    }
}

/* Whoever may put another socket in its place hears the operator's commands, or shows him another page. */
static void report_socket(const struct rights_report *report, const char *option,
                          struct bytes path)
{
    struct bytes directory = bytes_first(path, bytes_find_last(path, '/'));
    struct file_rights rights;
    struct strbuf text;

    if (directory.len == 0 || directory.len == path.len) {
        return;
    }
    strbuf_init(&text, 8192);
    strbuf_add(&text, directory);
    if (file_read_rights(strbuf_text(&text), &rights) && rights.others_may_write &&
        !rights.is_sticky) {
        config_errors_add(report->errors, CONFIG_ERROR, place_of(report->config, option),
                          "chmod 750, or put the socket elsewhere",
                          "everybody on this machine can put another socket into %s",
                          strbuf_text(&text));
    }
    strbuf_clear(&text);
}

/* Whoever may write them says where mail goes. */
static void report_files(const struct rights_report *report)
{
    for (const struct config_file *file = report->config->files; file != NULL;
         file = file->next) {
        if (file->is_on_disk && file->stamp.is_writable_by_others) {
            config_errors_add(report->errors, CONFIG_WARNING, (struct config_place){file, 0, 0},
                              "chmod o-w", "everybody on this machine can write this file");
        }
    }
}

void config_report_rights(const struct config *config, struct config_errors *errors)
{
    struct rights_report report = {.config = config, .errors = errors};

    /* Who does not start as root stays who they are. */
    report.has_account =
        process_find_user(process_is_root() ? config->user.data : "", &report.account);
    report_directory(&report, "spool", config->spool);
    report_directory(&report, "state", config->state);
    report_socket(&report, "control", config->control);
    report_socket(&report, "admin", config->admin.path);
    report_files(&report);
}
