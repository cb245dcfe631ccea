#include "support/check.h"

#include "daemon/config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory with a secret, a spool, a state and a place for the control socket. */
static char directory[64];

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), 0600), 0);
}

static int make_files(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test-rights-XXXXXX");
    assert_non_null(mkdtemp(directory));
    write_file("secret", "a secret of sixteen octets and more\n");
    write_file("aliases", "info: anna@dest.test\n");
    mkdir(path_of("spool"), 0700);
    mkdir(path_of("state"), 0700);
    mkdir(path_of("run"), 0700);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(path_of("secret"));
    unlink(path_of("aliases"));
    rmdir(path_of("spool"));
    rmdir(path_of("state"));
    rmdir(path_of("run"));
    return rmdir(directory);
}

/* Every message of a load and of config_report_rights, one a line. */
static void report(const char *user, const char *spool, struct strbuf *told)
{
    struct config_errors *errors = config_errors_new();
    const struct config_error *error;
    struct config *config;
    struct strbuf text;

    strbuf_init(&text, 10000);
    strbuf_addf(&text,
                "hostname mx.test\nuser %s\nspool %s\nstate state\ncontrol run/control.sock\n"
                "srs {\n secret-file secret\n}\n"
                "domain fwd.test {\n forward postmaster to a@dest.test\n forward abuse to "
                "a@dest.test\n aliases aliases\n}\n",
                user, spool);
    config = config_load_text(path_of("test.conf"), strbuf_bytes(&text), errors);
    if (config != NULL) {
        config_report_rights(config, errors);
    }
    for (size_t i = 0; (error = config_errors_get(errors, i)) != NULL; i++) {
        strbuf_addf(told, "%u %s %s\n", error->line,
                    error->severity == CONFIG_ERROR ? "error" : "warning", error->message);
    }
    config_free(&config);
    config_errors_free(&errors);
    strbuf_clear(&text);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *what; /* gets this mode for the test */
    unsigned mode, usual;
    const char *want; /* behind the mode of the test, "%s" for the directory */
} modes[] = {
    {"all is well", "spool", 0700, 0700, ""},
    {"the group may write", "spool", 0770, 0700, ""},
    {"others may write the spool", "spool", 0702, 0700, "3 error everybody on this machine can write into %s/spool\n"},
    {"a sticky spool is no better", "spool", 01707, 0700, "3 error everybody on this machine can write into %s/spool\n"},
    {"others may write the state", "state", 0702, 0700, "4 error everybody on this machine can write into %s/state\n"},
    {"others may put a socket there", "run", 0703, 0700, "5 error everybody on this machine can put another socket into %s/run\n"},
    {"but not in the place of ours", "run", 01777, 0700, ""},
    {"others may read a secret", "secret", 0604, 0600, "7 warning everybody on this machine can read %s/secret\n"},
    {"others may write a secret", "secret", 0602, 0600, "7 error everybody on this machine can write %s/secret\n"},
    {"others may read aliases", "aliases", 0644, 0600, ""},
    {"others may write aliases", "aliases", 0606, 0600, "0 warning everybody on this machine can write this file\n"},
};
/* clang-format on */

static void test_modes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct strbuf told, want;

        strbuf_init(&told, 10000);
        strbuf_init(&want, 10000);
        if (modes[i].want[0] != '\0') {
            const char *gap = strstr(modes[i].want, "%s");
            strbuf_add(&want, gap == NULL
                                  ? bytes_from_text(modes[i].want)
                                  : bytes_of(modes[i].want, (size_t)(gap - modes[i].want)));
            strbuf_addf(&want, "%s%s", gap == NULL ? "" : directory,
                        gap == NULL ? "" : gap + 2);
        }
        assert_int_equal(chmod(path_of(modes[i].what), modes[i].mode), 0);
        report("root", "spool", &told);
        assert_int_equal(chmod(path_of(modes[i].what), modes[i].usual), 0);
        CHECK_BYTES(modes[i].name, strbuf_bytes(&told), strbuf_bytes(&want));
        strbuf_clear(&told);
        strbuf_clear(&want);
    }
}

static void check_spool(const char *name, const char *user, const char *spool, const char *want)
{
    struct strbuf told;

    strbuf_init(&told, 10000);
    report(user, spool, &told);
    if (strstr(strbuf_text(&told), want) == NULL || (want[0] == '\0' && told.len > 0)) {
        fail_msg("%s: got %s", name, strbuf_text(&told));
    }
    strbuf_clear(&told);
}

static void test_owner(void **state)
{
    (void)state;
    check_spool("missing: it is made", "root", "nowhere", "");
    check_spool("a file", "root", "secret", "secret is no directory");
    if (geteuid() != 0) {
        skip(); /* only root can have directories of others */
    }
    check_spool("ours, but the worker is another", "nobody", "spool",
                "spool belongs to another account than the one that works in it");
    assert_int_equal(chown(path_of("spool"), 65534, 65534), 0);
    assert_int_equal(chown(path_of("state"), 65534, 65534), 0);
    check_spool("the worker's", "nobody", "spool", "");
    check_spool("another's", "root", "spool",
                "spool belongs to another account than the one that works in it");
    assert_int_equal(chown(path_of("spool"), 0, 0), 0);
    assert_int_equal(chown(path_of("state"), 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_owner),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
