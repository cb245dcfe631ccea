#include "support/check.h"

#include "io/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* DIRECTORY/{read,change,none}, each with a file "f". */
static char directory[64];

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static int try_open(const char *name, int flags)
{
    int fd = open(path_of(name), flags | O_CLOEXEC, 0600);
    int error = errno;

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 ? 0 : error;
}

static int try_run(void)
{
    char *arguments[] = {(char *)(uintptr_t) "true", NULL};

    execv("/bin/true", arguments);
    return errno;
}

static int try_bind(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;

    close(fd);
    return error;
}

static void check(const char *what, int got, int want)
{
    if (got != want) {
        print_error("%s: got %s, want %s\n", what, strerror(got), strerror(want));
        _exit(1);
    }
}

enum { CANNOT = 77 };

static void look(void)
{
    const struct sandbox_rule rules[] = {{path_of("read"), SANDBOX_READ},
                                         {path_of("change"), SANDBOX_CHANGE},
                                         {path_of("missing"), SANDBOX_READ},
                                         {"/usr/lib", SANDBOX_READ}};
    enum sandbox_result result;
    struct strbuf why;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    check("before", sandbox_may_read(path_of("none/f")), true);
    strbuf_init(&why, 1000);
    result = sandbox_restrict_files(rules, COUNT_OF(rules), &why);
    if (result == SANDBOX_UNAVAILABLE) {
        print_message("skipped: %s\n", strbuf_text(&why));
        _exit(CANNOT);
    }
    check("restrict", result, SANDBOX_ON);
    check("read", try_open("read/f", O_RDONLY), 0);
    check("list", try_open("read", O_RDONLY | O_DIRECTORY), 0);
    check("write what is to be read", try_open("read/f", O_WRONLY), EACCES);
    check("make where is to be read", try_open("read/g", O_WRONLY | O_CREAT), EACCES);
    check("write", try_open("change/f", O_RDWR | O_TRUNC), 0);
    check("make", try_open("change/g", O_RDWR | O_CREAT), 0);
    check("no name", try_open("change", O_RDWR | O_TMPFILE), 0);
    check("make a directory", mkdir(path_of("change/d"), 0700) == 0 ? 0 : errno, 0);
    check("move", rename(path_of("change/g"), path_of("change/d/g")) == 0 ? 0 : errno, 0);
    check("move out", rename(path_of("change/d/g"), path_of("none/g")) == 0 ? 0 : errno,
          EACCES);
    check("remove", unlink(path_of("change/d/g")) == 0 ? 0 : errno, 0);
    check("remove the directory", rmdir(path_of("change/d")) == 0 ? 0 : errno, 0);
    check("read elsewhere", try_open("none/f", O_RDONLY), EACCES);
    check("read through a link", try_open("change/link", O_RDONLY), EACCES);
    check("remove elsewhere", unlink(path_of("none/f")) == 0 ? 0 : errno, EACCES);
    check("run a program", try_run(), EACCES);
    check("may read", sandbox_may_read(path_of("read/f")), true);
    check("may change", sandbox_may_read(path_of("change")), true);
    check("may not read", sandbox_may_read(path_of("none/f")), false);
    check("may not through a link", sandbox_may_read(path_of("change/link")), false);
    check("a name that only begins so", sandbox_may_read(path_of("read-not")), false);
    check("is not there", sandbox_may_read(path_of("nowhere")), true);
    check("free port", try_bind(0), 0);
    strbuf_clear(&why);
    _exit(0);
}

static void test_files(void **state)
{
    int status, id = fork();

    (void)state;
    assert_true(id >= 0);
    if (id == 0) {
        look();
    }
    assert_int_equal(waitpid(id, &status, 0), id);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void make_file(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int make_files(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test-sandbox-XXXXXX");
    assert_non_null(mkdtemp(directory));
    mkdir(path_of("read"), 0700);
    mkdir(path_of("read-not"), 0700);
    mkdir(path_of("change"), 0700);
    mkdir(path_of("none"), 0700);
    make_file("read/f");
    make_file("change/f");
    make_file("none/f");
    return symlink("../none/f", path_of("change/link"));
}

static int remove_files(void **state)
{
    (void)state;
    unlink(path_of("read/f"));
    unlink(path_of("change/f"));
    unlink(path_of("change/link"));
    unlink(path_of("none/f"));
    rmdir(path_of("read"));
    rmdir(path_of("read-not"));
    rmdir(path_of("change"));
    rmdir(path_of("none"));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files)};

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
