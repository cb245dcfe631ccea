#include "support/check.h"

#include "io/file_read.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text, unsigned mode)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test-file-read-XXXXXX");
    assert_non_null(mkdtemp(directory));
    write_file("a.conf", "hello\n", 0600);
    write_file("b.conf", "", 0644);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path_of("a.conf"));
    unlink(path_of("b.conf"));
    return rmdir(directory);
}

static const struct {
    const char *name;
    const char *file;
    size_t limit;
    bool want;
    const char *want_text; /* or why */
} cases[] = {
    {"whole", "a.conf", 100, true, "hello\n"},
    {"exactly at the limit", "a.conf", 6, true, "hello\n"},
    {"one over the limit", "a.conf", 5, false, "file too large"},
    {"empty", "b.conf", 100, true, ""},
    {"missing", "c.conf", 100, false, "No such file or directory"},
    {"directory", ".", 100, false, "it is a directory"},
    {"no regular file, limited", "../../dev/zero", 10000, false, "file too large"},
};

static void test_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf text, why;
        strbuf_init(&text, 10);
        strbuf_init(&why, 200);
        CHECK_INT(cases[i].name,
                  file_read_whole(path_of(cases[i].file), cases[i].limit, &text, NULL, &why),
                  cases[i].want);
        CHECK_TEXT(cases[i].name, strbuf_text(cases[i].want ? &text : &why),
                   cases[i].want_text);
        strbuf_clear(&text);
        strbuf_clear(&why);
    }
}

static void test_stamp(void **state)
{
    struct strbuf text, why;
    struct file_stamp read, now;

    (void)state;
    strbuf_init(&text, 100);
    strbuf_init(&why, 100);
    assert_true(file_read_whole(path_of("a.conf"), 100, &text, &read, &why));
    assert_true(file_read_stamp(path_of("a.conf"), &now));
    CHECK_TRUE("the same", file_stamp_equal(&read, &now));
    CHECK_TRUE("private", !read.is_open_to_others);
    assert_true(file_read_stamp(path_of("b.conf"), &now));
    CHECK_TRUE("another file", !file_stamp_equal(&read, &now));
    CHECK_TRUE("public", now.is_open_to_others);
    write_file("a.conf", "longer text\n", 0600);
    assert_true(file_read_stamp(path_of("a.conf"), &now));
    CHECK_TRUE("changed", !file_stamp_equal(&read, &now));
    CHECK_TRUE("missing", !file_read_stamp(path_of("c.conf"), &now));
    strbuf_clear(&text);
    strbuf_clear(&why);
}

static void test_glob(void **state)
{
    struct arena *arena = arena_new();
    char **paths;

    (void)state;
    CHECK_INT("both", file_glob(path_of("*.conf"), arena, &paths), 2);
    CHECK_TRUE("in order", strstr(paths[0], "/a.conf") != NULL);
    CHECK_TRUE("in order", strstr(paths[1], "/b.conf") != NULL);
    CHECK_INT("none", file_glob(path_of("*.none"), arena, &paths), 0);
    CHECK_TRUE("there", file_exists(directory));
    CHECK_TRUE("not there", !file_exists(path_of("c.conf")));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_stamp),
        cmocka_unit_test(test_glob),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
