#include "support/check.h"

#include "io/content.h"
#include "io/memory_use.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char pattern(size_t index)
{
    return (char)(index * 31 + index / 257);
}

static char *new_pattern(size_t size)
{
    char *text = malloc(size + 1);

    for (size_t i = 0; i < size; i++) {
        text[i] = pattern(i);
    }
    return text;
}

static void check_reads(const char *name, const struct content *content, size_t size)
{
    size_t at = 0, got;
    char block[5003];

    do {
        CHECK_TRUE(name, content_read(content, at, block, sizeof block, &got));
        for (size_t i = 0; i < got; i++) {
            if (block[i] != pattern(at + i)) {
                fail_msg("%s: octet %zu is wrong", name, at + i);
            }
        }
        at += got;
    } while (got == sizeof block);
    CHECK_INT(name, at, size);
    CHECK_TRUE(name, content_read(content, size + 5, block, sizeof block, &got));
    CHECK_INT("behind the end", got, 0);
}

static void test_sizes_and_pieces(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        size_t size, piece;
        bool want_file;
    } cases[] = {
        {"empty", 0, 1, false},
        {"small, octet by octet", 9000, 1, false},
        {"at the limit", CONTENT_MEMORY_LIMIT, 4096, false},
        {"at the limit in one", CONTENT_MEMORY_LIMIT, CONTENT_MEMORY_LIMIT, false},
        {"one over the limit", CONTENT_MEMORY_LIMIT + 1, 4097, true},
        {"large, lines", 1000 * 1000, 77, true},
        {"large, blocks", 3 * 1000 * 1000, 65536, true},
        {"large in one", 3 * 1000 * 1000, 3 * 1000 * 1000, true},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = new_pattern(cases[i].size);
        struct content *content = content_new("/tmp");

        for (size_t at = 0; at < cases[i].size; at += cases[i].piece) {
            struct bytes piece =
                bytes_between(bytes_of(text, cases[i].size), at, at + cases[i].piece);

            CHECK_INT(cases[i].name, content_append(content, piece), CONTENT_OK);
        }
        CHECK_INT(cases[i].name, content_size(content), cases[i].size);
        check_reads(cases[i].name, content, cases[i].size); /* before it is sealed, too */
        CHECK_INT(cases[i].name, content_seal(content), CONTENT_OK);
        CHECK_INT(cases[i].name, content_size(content), cases[i].size);
        CHECK_INT(cases[i].name, content_file(content) >= 0, cases[i].want_file);
        CHECK_INT(cases[i].name, content_memory(content).data == NULL, cases[i].want_file);
        check_reads(cases[i].name, content, cases[i].size);
        if (cases[i].want_file) {
            struct stat status;

            fstat(content_file(content), &status);
            CHECK_INT("no name", status.st_nlink, 0);
            CHECK_INT("private", status.st_mode & 0777, 0600);
            CHECK_INT("whole", status.st_size, cases[i].size);
        }
        content_drop(&content);
        CHECK_TRUE("NULL", content == NULL);
        free(text);
    }
}

static void test_holders(void **state)
{
    struct content *content = content_from_bytes(BYTES("hello"));
    struct content *other = content;

    (void)state;
    content_hold(other);
    content_drop(&content);
    content_drop(&content);
    CHECK_BYTES("still there", content_memory(other), BYTES("hello"));
    content_drop(&other);
}

static void test_from_file(void **state)
{
    char path[] = "/tmp/postilion-test-XXXXXX";
    int file = mkstemp(path);
    struct content *content;
    char text[20];
    size_t got;

    (void)state;
    unlink(path);
    assert_int_equal(write(file, "hello", 5), 5);
    content = content_from_file(file, 5);
    CHECK_TRUE("reads", content_read(content, 1, text, 3, &got));
    CHECK_BYTES("part", bytes_of(text, got), BYTES("ell"));
    assert_int_equal(ftruncate(file, 3), 0);
    CHECK_TRUE("octets that are gone are an error", !content_read(content, 0, text, 5, &got));
    content_drop(&content);
}

static void test_no_directory(void **state)
{
    char *text = new_pattern(CONTENT_MEMORY_LIMIT + 1);
    struct content *content = content_new("/nowhere/at/all");
    size_t got;

    (void)state;
    CHECK_INT("fails", content_append(content, bytes_of(text, CONTENT_MEMORY_LIMIT + 1)),
              CONTENT_FAILED);
    CHECK_INT("for good", content_append(content, BYTES("x")), CONTENT_FAILED);
    CHECK_INT("when sealed", content_seal(content), CONTENT_FAILED);
    CHECK_TRUE("when read", !content_read(content, 0, text, 1, &got));
    CHECK_TRUE("no memory", content_memory(content).data == NULL);
    content_drop(&content);
    free(text);
}

/* A size limit for files stands in for a full disk: EFBIG is treated as ENOSPC is. */
static void test_no_space(void **state)
{
    static const size_t pieces[] = {100, 65536, 1000 * 1000};
    struct rlimit before, limit;
    char *text = new_pattern(1000 * 1000);

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 400 * 1000;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct content *content = content_new("/tmp");
        enum content_status status = CONTENT_OK;

        for (size_t at = 0; at < 1000 * 1000 && status == CONTENT_OK; at += pieces[i]) {
            status = content_append(
                content, bytes_between(bytes_of(text, 1000 * 1000), at, at + pieces[i]));
        }
        CHECK_INT("full", status, CONTENT_FULL);
        CHECK_INT("full", content_seal(content), CONTENT_FULL);
        content_drop(&content);
    }
    {
        struct content *content = content_new("/tmp");

        CHECK_INT("fits", content_append(content, bytes_of(text, 390 * 1000)), CONTENT_OK);
        CHECK_INT("fits", content_append(content, bytes_of(text, 20 * 1000)), CONTENT_OK);
        CHECK_INT("the last octets do not", content_seal(content), CONTENT_FULL);
        content_drop(&content);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    free(text);
}

/* When all contents together hold much, big ones go to files earlier; small ones never do. */
static void test_memory_of_all_contents(void **state)
{
    enum { SIZE = 200 * 1024, COUNT = CONTENT_MEMORY_TOTAL / SIZE + 2 };
    static char octets[SIZE];
    static struct content *contents[COUNT];
    struct content *late, *small, *after;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        contents[i] = content_new("/tmp");
        assert_int_equal(content_append(contents[i], bytes_of(octets, SIZE)), CONTENT_OK);
    }
    CHECK_INT("the first", content_file(contents[0]), -1);
    late = content_new("/tmp");
    small = content_new("/tmp");
    assert_int_equal(content_append(late, bytes_of(octets, SIZE)), CONTENT_OK);
    assert_int_equal(content_append(small, bytes_of(octets, CONTENT_MEMORY_LEAST)), CONTENT_OK);
    assert_int_equal(content_seal(late), CONTENT_OK);
    CHECK_TRUE("late and big", content_file(late) >= 0);
    CHECK_INT("late and big", content_size(late), SIZE);
    CHECK_INT("late and small", content_file(small), -1);
    for (size_t i = 0; i < COUNT; i++) {
        content_drop(&contents[i]);
    }
    after = content_new("/tmp");
    assert_int_equal(content_append(after, bytes_of(octets, SIZE)), CONTENT_OK);
    CHECK_INT("when there is room again", content_file(after), -1);
    content_drop(&late);
    content_drop(&small);
    content_drop(&after);
}

static void test_memory_is_short(void **state)
{
    static const size_t pieces[] = {100, 5000, 20000};
    char *text = new_pattern(100 * 1000);
    size_t before = memory_use_now();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct content *content = content_new("/tmp");
        char *copy = malloc(100 * 1000);
        size_t got, most = 0;

        memory_use_change(0, 1); /* somebody else's last straw */
        memory_use_set_limit(before);
        for (size_t at = 0; at < 100 * 1000; at += pieces[i]) {
            assert_int_equal(content_append(content, bytes_of(text + at, pieces[i])),
                             CONTENT_OK);
            most = memory_use_now() > most ? memory_use_now() : most;
        }
        memory_use_set_limit(SIZE_MAX);
        memory_use_change(1, 0);
        CHECK_TRUE("little is held", most - before <= 2 * CONTENT_MEMORY_SHORT);
        CHECK_INT("sealed", content_seal(content), CONTENT_OK);
        CHECK_TRUE("in a file", content_file(content) >= 0);
        CHECK_TRUE("reads", content_read(content, 0, copy, 100 * 1000, &got));
        CHECK_INT("all of it", got, 100 * 1000);
        CHECK_TRUE("the same", memcmp(copy, text, got) == 0);
        content_drop(&content);
        CHECK_INT("given back", memory_use_now(), before);
        free(copy);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_pieces), cmocka_unit_test(test_holders),
        cmocka_unit_test(test_from_file),        cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_no_space),         cmocka_unit_test(test_memory_of_all_contents),
        cmocka_unit_test(test_memory_is_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
