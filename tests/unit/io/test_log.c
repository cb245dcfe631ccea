#include "support/check.h"

#include "io/log.h"

#include "base/strbuf.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int saved_stderr = -1;
static int log_file = -1;

static void redirect(void)
{
    char path[] = "/tmp/postilion-test-XXXXXX";

    saved_stderr = dup(STDERR_FILENO);
    log_file = mkstemp(path);
    unlink(path);
    dup2(log_file, STDERR_FILENO);
}

/* What was written since redirect; new memory. */
static char *restore(void)
{
    off_t size = lseek(log_file, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);

    assert_int_equal(pread(log_file, text, (size_t)size, 0), size);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(log_file);
    return text;
}

static void configure(enum log_level level, enum log_format format)
{
    struct log_options options = {level, format, LOG_STDERR};

    log_configure(&options);
}

/* The line without its time stamp. */
static const char *after_stamp(const char *line, const char *prefix)
{
    size_t stamp = strlen("2026-11-21T22:06:30.123Z");

    CHECK_TRUE(line, strncmp(line, prefix, strlen(prefix)) == 0);
    line += strlen(prefix);
    CHECK_INT("date and time", line[10], 'T');
    CHECK_INT("milliseconds", line[19], '.');
    CHECK_INT("UTC", line[23], 'Z');
    return line + stamp;
}

struct value_case {
    const char *name;
    struct bytes value;
    const char *want_logfmt;
    const char *want_json;
};

/* clang-format off */
static const struct value_case VALUES[] = {
    {"plain", BYTES("mx.example.org"), "mx.example.org", "\"mx.example.org\""},
    {"empty", BYTES(""), "\"\"", "\"\""},
    {"blank", BYTES("a b"), "\"a b\"", "\"a b\""},
    {"quote", BYTES("a\"b"), "\"a\\\"b\"", "\"a\\\"b\""},
    {"backslash", BYTES("a\\b"), "\"a\\\\b\"", "\"a\\\\b\""},
    {"forged line", BYTES("x\r\nts=1 event=sent"), "\"x\\r\\nts=1 event=sent\"",
     "\"x\\r\\nts=1 event=sent\""},
    {"forged field", BYTES("x status=sent"), "\"x status=sent\"", "\"x status=sent\""},
    {"equals sign", BYTES("a=b"), "\"a=b\"", "\"a=b\""},
    {"terminal escape", BYTES("\033[31m"), "\"\\x1b[31m\"", "\"\\\\x1b[31m\""},
    {"NUL", BYTES("a\0b"), "\"a\\x00b\"", "\"a\\\\x00b\""},
    {"tab, DEL", BYTES("a\tb\177"), "\"a\\tb\\x7f\"", "\"a\\tb\\\\x7f\""},
    {"UTF-8", BYTES("j\303\274rgen@\344\276\213.\360\237\230\200"),
     "j\303\274rgen@\344\276\213.\360\237\230\200",
     "\"j\303\274rgen@\344\276\213.\360\237\230\200\""},
    {"lone Latin-1", BYTES("j\374rgen"), "\"j\\xfcrgen\"", "\"j\\\\xfcrgen\""},
    {"cut UTF-8", BYTES("a\344\276"), "\"a\\xe4\\xbe\"", "\"a\\\\xe4\\\\xbe\""},
    {"over-long UTF-8", BYTES("\300\257"), "\"\\xc0\\xaf\"", "\"\\\\xc0\\\\xaf\""},
    {"surrogate", BYTES("\355\240\200"), "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""},
    {"C1 control", BYTES("\302\233"), "\"\\xc2\\x9b\"", "\"\\\\xc2\\\\x9b\""},
};
/* clang-format on */

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        for (int is_json = 0; is_json < 2; is_json++) {
            struct log_line line;
            char want[200];
            char *text;

            configure(LOG_INFO, is_json ? LOG_JSON : LOG_LOGFMT);
            redirect();
            log_begin(&line, LOG_WARNING, "reply");
            log_bytes(&line, "v", VALUES[i].value);
            log_number(&line, "n", -5);
            log_end(&line);
            text = restore();
            if (is_json) {
                snprintf(want, sizeof want,
                         "\",\"level\":\"warning\",\"event\":\"reply\",\"v\":%s,\"n\":-5}\n",
                         VALUES[i].want_json);
                CHECK_TEXT(VALUES[i].name, after_stamp(text, "{\"ts\":\""), want);
            } else {
                snprintf(want, sizeof want, " level=warning event=reply v=%s n=-5\n",
                         VALUES[i].want_logfmt);
                CHECK_TEXT(VALUES[i].name, after_stamp(text, "ts="), want);
            }
            free(text);
        }
    }
}

static void test_addresses(void **state)
{
    struct log_line line;
    char *text;

    (void)state;
    configure(LOG_INFO, LOG_LOGFMT);
    redirect();
    log_begin(&line, LOG_INFO, "sent");
    log_address(&line, "from", BYTES(""));
    log_address(&line, "to", BYTES("a@example.org"));
    log_address(&line, "orig_to", BYTES("\"a b\"@x"));
    log_end(&line);
    text = restore();
    CHECK_TEXT(
        "line", after_stamp(text, "ts="),
        " level=info event=sent from=<> to=<a@example.org> orig_to=\"<\\\"a b\\\"@x>\"\n");
    free(text);
}

static void test_levels(void **state)
{
    struct log_line line;
    char *text;

    (void)state;
    configure(LOG_WARNING, LOG_LOGFMT);
    redirect();
    log_begin(&line, LOG_INFO, "quiet");
    CHECK_TRUE("off", !line.is_on);
    log_text(&line, "a", "b");
    log_end(&line);
    text = restore();
    CHECK_TEXT("nothing", text, "");
    free(text);
}

/* Whatever is put in, the line ends, quotes close, and nothing runs over. */
static void test_long_values_are_cut(void **state)
{
    static const struct bytes fillers[] = {BYTES("a"), BYTES("\""), BYTES("\001"),
                                           BYTES("\360\237\230\200"), BYTES("a b")};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(fillers); i++) {
        struct bytes filler = fillers[i / 2];
        struct strbuf value;
        struct log_line line;
        char *text;
        size_t len;

        strbuf_init(&value, 20000);
        while (value.len < 10000) {
            strbuf_add(&value, filler);
        }
        configure(LOG_INFO, i % 2 ? LOG_JSON : LOG_LOGFMT);
        redirect();
        for (size_t before = 3980; before < 4096; before++) {
            log_begin(&line, LOG_INFO, "long");
            log_bytes(&line, "first", bytes_first(strbuf_bytes(&value), before / filler.len));
            log_bytes(&line, "second", strbuf_bytes(&value));
            log_address(&line, "third", strbuf_bytes(&value));
            log_number(&line, "fourth", INT64_MIN);
            CHECK_TRUE("fits", line.len <= LOG_LINE_LIMIT - 2);
            log_end(&line);
        }
        text = restore();
        len = strlen(text);
        CHECK_TRUE("cut is marked", strstr(text, "...") != NULL);
        CHECK_BYTES("the line ends", bytes_of(text + len - 1, 1), BYTES("\n"));
        if (i % 2) {
            CHECK_BYTES("JSON ends", bytes_of(text + len - 2, 2), BYTES("}\n"));
        }
        for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
            CHECK_TRUE("every line starts", strncmp(at, i % 2 ? "{\"ts\":" : "ts=", 3) == 0);
        }
        free(text);
        strbuf_clear(&value);
    }
}

enum { THREADS = 4, LINES = 2000 };

static void *log_many(void *context)
{
    for (int i = 0; i < LINES; i++) {
        struct log_line line;

        log_begin(&line, LOG_INFO, "tick");
        log_number(&line, "thread", *(int *)context);
        log_number(&line, "n", i);
        log_end(&line);
        if (i % 100 == 0) {
            usleep(1000);
        }
    }
    return NULL;
}

static void test_many_threads_one_writer(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int next[THREADS] = {0};
    size_t lines = 0;
    char *text;

    (void)state;
    configure(LOG_INFO, LOG_LOGFMT);
    redirect();
    log_start();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, log_many, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_stop();
    text = restore();
    for (char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        int thread, number;

        assert_int_equal(
            sscanf(strstr(at, "event="), "event=tick thread=%d n=%d", &thread, &number), 2);
        CHECK_INT("in order", number, next[thread]++);
        lines++;
    }
    CHECK_INT("all there", lines, THREADS * LINES);
    free(text);
}

static void test_flush_and_restart(void **state)
{
    struct log_line line;
    char *text;

    (void)state;
    configure(LOG_INFO, LOG_LOGFMT);
    for (int round = 0; round < 3; round++) {
        redirect();
        log_start();
        log_begin(&line, LOG_FATAL, "end");
        log_end(&line);
        log_flush();
        text = restore();
        CHECK_TRUE("written", strstr(text, "event=end") != NULL);
        free(text);
        log_stop();
    }
}

/* A pipe that nobody reads: lines are dropped and counted, nobody waits. */
static void test_sink_that_takes_nothing(void **state)
{
    int ends[2];
    int kept = dup(STDERR_FILENO);
    struct strbuf text;
    struct log_line line;
    char block[65536];
    ssize_t got;

    (void)state;
    configure(LOG_INFO, LOG_LOGFMT);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_start();
    for (int i = 0; i < 40000; i++) {
        log_begin(&line, LOG_INFO, "flood");
        log_text(&line, "text",
                 "seventy octets of text or so, to fill the pipe and the memory behind");
        log_end(&line);
    }
    strbuf_init(&text, 64 * 1024 * 1024);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100; i++) {
        while ((got = read(ends[0], block, sizeof block)) > 0) {
            strbuf_add(&text, bytes_of(block, (size_t)got));
        }
        usleep(1000);
    }
    log_flush();
    while ((got = read(ends[0], block, sizeof block)) > 0) {
        strbuf_add(&text, bytes_of(block, (size_t)got));
    }
    log_stop();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[0]);
    CHECK_TRUE("says how many",
               strstr(strbuf_text(&text), "level=error event=log-dropped lines=") != NULL);
    strbuf_clear(&text);
}

static void take_line(void *context, struct bytes line)
{
    strbuf_add(context, line);
    strbuf_add_char(context, '|');
}

static void *say_something(void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_INFO, "other-thread");
    log_end(&line);
    return NULL;
}

static void test_a_hushed_thread_says_nothing_others_do(void **state)
{
    struct log_line line;
    pthread_t other;
    char *text;

    (void)state;
    configure(LOG_INFO, LOG_LOGFMT);
    redirect();
    log_hush(true);
    log_begin(&line, LOG_ERROR, "no");
    log_number(&line, "n", 1);
    log_end(&line);
    assert_int_equal(pthread_create(&other, NULL, say_something, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    log_hush(false);
    text = restore();
    CHECK_TEXT("written", after_stamp(text, "ts="), " level=info event=other-thread\n");
    free(text);
}

static void test_diverted_lines_go_nowhere_else(void **state)
{
    struct strbuf taken;
    struct log_line line;
    char *text;

    (void)state;
    strbuf_init(&taken, 1000);
    configure(LOG_INFO, LOG_LOGFMT);
    redirect();
    log_divert(take_line, &taken);
    log_begin(&line, LOG_DEBUG, "no");
    log_end(&line);
    log_begin(&line, LOG_INFO, "one");
    log_number(&line, "n", 1);
    log_end(&line);
    log_divert(NULL, NULL);
    log_begin(&line, LOG_INFO, "two");
    log_end(&line);
    text = restore();
    CHECK_TEXT("taken", after_stamp(strbuf_text(&taken), "ts="), " level=info event=one n=1|");
    CHECK_TEXT("written", after_stamp(text, "ts="), " level=info event=two\n");
    free(text);
    strbuf_clear(&taken);
}

struct watched {
    pthread_mutex_t lock;
    struct strbuf lines;
};

static void watch_lines(void *context, struct bytes lines)
{
    struct watched *watched = context;

    pthread_mutex_lock(&watched->lock);
    strbuf_add(&watched->lines, lines);
    pthread_mutex_unlock(&watched->lock);
}

static size_t count_of(struct bytes text, const char *what)
{
    size_t count = 0;

    for (size_t at; (at = bytes_find_part(text, bytes_from_text(what))) < text.len; count++) {
        text = bytes_skip(text, at + strlen(what));
    }
    return count;
}

static void log_event(enum log_level level, const char *event)
{
    struct log_line line;

    log_begin(&line, level, event);
    log_text(&line, "key", "value");
    log_end(&line);
}

static void test_a_line_nobody_but_the_watch_sees(void **state)
{
    struct watched watched = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct log_line line;
    char *text;

    (void)state;
    strbuf_init(&watched.lines, 100000);
    configure(LOG_DEBUG, LOG_LOGFMT);
    redirect();
    log_start();
    log_begin_unseen(&line, "too-early");
    log_end(&line);
    log_watch(watch_lines, &watched);
    log_begin_unseen(&line, "minute");
    log_number(&line, "start", 60);
    log_end(&line);
    log_flush();
    log_watch(NULL, NULL);
    log_stop();
    text = restore();
    CHECK_TEXT("the target", text, "");
    CHECK_INT("lines", count_of(strbuf_bytes(&watched.lines), "\n"), 1);
    CHECK_INT("kept",
              count_of(strbuf_bytes(&watched.lines), " level=info event=minute start=60\n"), 1);
    free(text);
    strbuf_clear(&watched.lines);
    configure(LOG_INFO, LOG_LOGFMT);
}

/* What happened is told to whoever keeps it, whatever of it the operator wants to read. */
static void test_watch_gets_what_the_level_leaves_out(void **state)
{
    struct watched watched = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct bytes lines;
    char *text;

    (void)state;
    strbuf_init(&watched.lines, 1000000);
    configure(LOG_WARNING, LOG_LOGFMT);
    redirect();
    log_start();
    log_watch(watch_lines, &watched);
    for (int i = 0; i < 3000; i++) {
        log_event(LOG_DEBUG, "never");
        log_event(LOG_INFO, "kept");
        if (i % 100 == 0) {
            log_event(LOG_WARNING, "loud");
        }
        if (i % 1000 == 0) {
            log_flush(); /* or more waits than there is room for */
        }
    }
    log_flush();
    log_watch(NULL, NULL);
    log_event(LOG_INFO, "too-late");
    log_stop();
    text = restore();
    lines = strbuf_bytes(&watched.lines);
    CHECK_INT("kept", count_of(lines, " level=info event=kept key=value\n"), 3000);
    CHECK_INT("loud", count_of(lines, " level=warning event=loud key=value\n"), 30);
    CHECK_INT("all", count_of(lines, "\n"), 3030);
    CHECK_INT("written loud", count_of(bytes_from_text(text), "event=loud"), 30);
    CHECK_INT("written", count_of(bytes_from_text(text), "\n"), 30);
    free(text);
    strbuf_clear(&watched.lines);
    configure(LOG_INFO, LOG_LOGFMT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_a_hushed_thread_says_nothing_others_do),
        cmocka_unit_test(test_diverted_lines_go_nowhere_else),
        cmocka_unit_test(test_a_line_nobody_but_the_watch_sees),
        cmocka_unit_test(test_watch_gets_what_the_level_leaves_out),
        cmocka_unit_test(test_many_threads_one_writer),
        cmocka_unit_test(test_flush_and_restart),
        cmocka_unit_test(test_sink_that_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
