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

static int rename_to(const char *from, const char *to)
{
    char old[128];

    strcpy(old, path_of(from)); /* path_of has one place only */
    return rename(old, path_of(to));
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

static bool add_first(const char *name, const char *text, struct strbuf *why)
{
    strbuf_init(why, 1000);
    return file_write_first(path_of(name), bytes_from_text(text), 100, why);
}

static void test_in_front(void **state)
{
    struct stat status;
    struct strbuf why;

    (void)state;
    check_write("new", "old\n", FILE_WRITE_OK, "");
    assert_int_equal(chmod(path_of("new"), 0640), 0);
    if (getuid() == 0) {
        assert_int_equal(chown(path_of("new"), 65534, 65533), 0);
    }
    CHECK_TRUE("added", add_first("new", "first\n", &why));
    strbuf_clear(&why);
    check_content("new", "first\nold\n");
    assert_int_equal(stat(path_of("new"), &status), 0);
    CHECK_INT("mode", status.st_mode & 07777, 0640);
    if (getuid() == 0) {
        CHECK_INT("owner", status.st_uid, 65534);
        CHECK_INT("group", status.st_gid, 65533);
    }
    CHECK_TRUE("nothing beside it", !file_exists(path_of("new.new")));
}

/* A link to the file, as configuration management makes them, stays one. */
static void test_in_front_through_a_link(void **state)
{
    struct stat status;
    struct strbuf why;

    (void)state;
    check_write("new", "old\n", FILE_WRITE_OK, "");
    assert_int_equal(symlink("new", path_of("link")), 0);
    CHECK_TRUE("added", add_first("link", "first\n", &why));
    strbuf_clear(&why);
    check_content("new", "first\nold\n");
    assert_int_equal(lstat(path_of("link"), &status), 0);
    CHECK_TRUE("still a link", S_ISLNK(status.st_mode));
}

static void test_in_front_of_what_cannot_be(void **state)
{
    struct strbuf why;

    (void)state;
    CHECK_TRUE("missing", !add_first("new", "x", &why));
    CHECK_TEXT("missing", strbuf_text(&why), "No such file or directory");
    strbuf_clear(&why);
    CHECK_TRUE("a directory", !add_first("", "x", &why));
    strbuf_clear(&why);
    check_write("new", "old\n", FILE_WRITE_OK, "");
    check_write("link", "x", FILE_WRITE_OK, "");
    assert_int_equal(rename_to("link", "new.new"), 0);
    CHECK_TRUE("somebody is at it", !add_first("new", "x", &why));
    CHECK_TRUE("somebody is at it", strstr(strbuf_text(&why), "somebody else") != NULL);
    strbuf_clear(&why);
    check_content("new", "old\n");
    assert_int_equal(unlink(path_of("new.new")), 0);
}

/* The old content is there until the new one is whole. */
static void test_in_front_half_written(void **state)
{
    struct rlimit saved, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct strbuf why;

    (void)state;
    check_write("new", "old\n", FILE_WRITE_OK, "");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    small = (struct rlimit){.rlim_cur = 6, .rlim_max = saved.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_TRUE("fails", !add_first("new", "first\n", &why));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
    signal(SIGXFSZ, handler);
    strbuf_clear(&why);
    check_content("new", "old\n");
    CHECK_TRUE("gone", !file_exists(path_of("new.new")));
}

static void test_modes(void **state)
{
    mode_t mask = umask(077);
    struct stat status;
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    CHECK_INT("public", file_write_public(path_of("new"), BYTES("x"), &why), FILE_WRITE_OK);
    assert_int_equal(stat(path_of("new"), &status), 0);
    CHECK_INT("public", status.st_mode & 0777, 0644);
    CHECK_INT("there", file_write_public(path_of("new"), BYTES("x"), &why), FILE_WRITE_EXISTS);
    CHECK_INT("nobody's",
              file_write_shared(path_of("link"), BYTES("x"), "no-such-account", &why),
              FILE_WRITE_OK);
    assert_int_equal(stat(path_of("link"), &status), 0);
    CHECK_INT("nobody's", status.st_mode & 0777, 0600);
    assert_int_equal(unlink(path_of("link")), 0);
    if (getuid() == 0) {
        CHECK_INT("shared", file_write_shared(path_of("link"), BYTES("x"), "daemon", &why),
                  FILE_WRITE_OK);
        assert_int_equal(stat(path_of("link"), &status), 0);
        CHECK_INT("shared", status.st_mode & 0777, 0640);
        CHECK_INT("shared", status.st_gid, 1);
    }
    umask(mask);
    strbuf_clear(&why);
}

static void test_directories(void **state)
{
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 1000);
    CHECK_INT("new", file_write_directory(path_of("new"), &why), FILE_WRITE_OK);
    CHECK_INT("there", file_write_directory(path_of("new"), &why), FILE_WRITE_EXISTS);
    assert_int_equal(rmdir(path_of("new")), 0);
    check_write("new", "x", FILE_WRITE_OK, "");
    CHECK_INT("a file", file_write_directory(path_of("new"), &why), FILE_WRITE_FAILED);
    CHECK_TEXT("a file", strbuf_text(&why), "it is no directory");
    strbuf_reset(&why);
    CHECK_INT("nowhere", file_write_directory(path_of("a/b"), &why), FILE_WRITE_FAILED);
    CHECK_TEXT("nowhere", strbuf_text(&why), "No such file or directory");
    strbuf_clear(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_front, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_front_through_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_front_of_what_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_front_half_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_directories, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
