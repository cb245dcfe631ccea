#include "config_files.h"

/* With a spool, a state and places for the sockets. */
static int make_files(void **state)
{
    config_files_make(state);
    config_files_write("aliases", BYTES("info: anna@dest.test\n"), 0600);
    mkdir(config_files_path("spool"), 0700);
    mkdir(config_files_path("state"), 0700);
    mkdir(config_files_path("run"), 0700);
    mkdir(config_files_path("door"), 0700);
    return 0;
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
                "a@dest.test\n aliases aliases\n}\nadmin unix:door/admin.sock\n",
                user, spool);
    config = config_files_load(strbuf_text(&text), errors);
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
    {"or another page", "door", 0703, 0700, "14 error everybody on this machine can put another socket into %s/door\n"},
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
        assert_int_equal(chmod(config_files_path(modes[i].what), modes[i].mode), 0);
        report("root", "spool", &told);
        assert_int_equal(chmod(config_files_path(modes[i].what), modes[i].usual), 0);
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
    assert_int_equal(chown(config_files_path("spool"), 65534, 65534), 0);
    assert_int_equal(chown(config_files_path("state"), 65534, 65534), 0);
    check_spool("the worker's", "nobody", "spool", "");
    check_spool("another's", "root", "spool",
                "spool belongs to another account than the one that works in it");
    assert_int_equal(chown(config_files_path("spool"), 0, 0), 0);
    assert_int_equal(chown(config_files_path("state"), 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_owner),
    };

    return cmocka_run_group_tests(tests, make_files, config_files_remove);
}
