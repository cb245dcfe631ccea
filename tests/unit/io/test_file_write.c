#include "support/check.h"

#include "io/file_read.h"
#include "io/file_write.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test-file-write-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path_of("new"));
    (void)unlink(path_of("link"));
    return rmdir(directory);
}

static void check_write(const char *name, const char *text, enum file_write_status want,
                        const char *want_why)
{
    struct strbuf why;

    strbuf_init(&why, 1000);
    CHECK_INT(name, file_write_secret(path_of(name), bytes_from_text(text), &why), want);
    CHECK_TEXT(name, strbuf_text(&why), want_why);
    strbuf_clear(&why);
}

static void check_content(const char *name, const char *want)
{
    struct strbuf text, why;

    strbuf_init(&text, 1000);
    strbuf_init(&why, 1000);
    CHECK_TRUE(name, file_read_whole(path_of(name), 1000, &text, NULL, &why));
    CHECK_TEXT(name, strbuf_text(&text), want);
    strbuf_clear(&text);
    strbuf_clear(&why);
}

static void test_new_file(void **state)
{
    mode_t mask = umask(0);
    struct stat status;

    (void)state;
    check_write("new", "first\n", FILE_WRITE_OK, "");
    umask(mask);
    check_content("new", "first\n");
    assert_int_equal(stat(path_of("new"), &status), 0);
    CHECK_INT("mode", status.st_mode & 0777, 0600);
}

static void test_nothing_is_overwritten(void **state)
{
    (void)state;
    check_write("new", "first", FILE_WRITE_OK, "");
    check_write("new", "second", FILE_WRITE_EXISTS, "File exists");
    check_content("new", "first");
    assert_int_equal(unlink(path_of("new")), 0);
    assert_int_equal(symlink("new", path_of("link")), 0);
    check_write("link", "through a link that points nowhere", FILE_WRITE_EXISTS, "File exists");
    CHECK_TRUE("link", !file_exists(path_of("new")));
    check_write("", "a directory", FILE_WRITE_FAILED, "Is a directory");
}

static void test_no_such_directory(void **state)
{
    (void)state;
    check_write("a/b", "text", FILE_WRITE_FAILED, "No such file or directory");
}

/* A file that cannot be finished is not left behind. */
static void test_half_written(void **state)
{
    struct rlimit saved, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    small = (struct rlimit){.rlim_cur = 4, .rlim_max = saved.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    check_write("new", "more than four", FILE_WRITE_FAILED, "File too large");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
    signal(SIGXFSZ, handler);
    CHECK_TRUE("gone", !file_exists(path_of("new")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_written, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
