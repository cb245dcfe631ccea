#include "io/log.h"

#include "time_after.h"

#include "base/calendar.h"
#include "base/memory.h"
#include "io/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    COLLECT_MS = 20,
    WAITING_LIMIT = 1024 * 1024, /* octets; more is dropped and counted */
    HURRY_AT = 64 * 1024,        /* octets; then the writer does not wait for its time */
    STUCK_MS = 2000,             /* a sink that takes nothing for so long is not waited for */
    LINE_TAIL = 16,              /* room kept for "...", closing marks and the line's end */
    SYSLOG_FACILITY = 2 << 3,    /* mail */
    PREFIX_SIZE = 64,
};

static const char SYSLOG_PATH[] = "/dev/log";

static _Atomic(enum log_level) current_level = LOG_INFO;
static _Atomic(enum log_format) current_format = LOG_LOGFMT;
static _Atomic(enum log_target) current_target = LOG_STDERR;

struct line_queue {
    char *octets; /* NULL while no writer runs */
    size_t len;
};

/* The lines that wait; whole lines only. All under `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t has_work; /* for the writer */
    pthread_cond_t is_done;  /* for those who flush */
    pthread_t thread;
    bool is_running;
    bool is_stopping;
    bool is_idle;     /* the writer sleeps until somebody wakes it */
    bool is_hurry;    /* somebody flushes */
    bool is_watching; /* `watch_take` runs */
    struct line_queue waiting;
    struct line_queue quiet; /* for the watch only */
    void (*watch_take)(void *context, struct bytes lines);
    void *watch_context;
    uint64_t taken;   /* octets ever put in */
    uint64_t written; /* octets ever written or given up */
    uint64_t dropped; /* lines, not yet reported */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .has_work = PTHREAD_COND_INITIALIZER,
            .is_done = PTHREAD_COND_INITIALIZER};

static atomic_bool is_watched; /* there is a watch_take */

/* In the place of all that. */
static void (*divert_take)(void *context, struct bytes line);
static void *divert_context;
static _Thread_local bool is_hushed; /* this thread says nothing */

static int syslog_socket = -1; /* the writer's; before log_start whoever writes */

/* ---- sinks ---- */

static const char *level_text(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARNING:
        return "warning";
    case LOG_ERROR:
        return "error";
    case LOG_FATAL:
        return "fatal";
    }
    return "fatal";
}

static int syslog_severity(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return 7;
    case LOG_INFO:
        return 6;
    case LOG_WARNING:
        return 4;
    case LOG_ERROR:
        return 3;
    case LOG_FATAL:
        return 2;
    }
    return 2;
}

static void write_stderr(struct bytes lines)
{
    while (lines.len > 0) {
        ssize_t written = write(STDERR_FILENO, lines.data, lines.len);

        if (written > 0) {
            lines = bytes_skip(lines, (size_t)written);
        } else if (written < 0 && errno == EAGAIN) {
            /* Somebody else made it non-blocking. */
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

            if (poll(&wait, 1, STUCK_MS) == 0) {
                return;
            }
        } else if (errno != EINTR) {
            return; /* nowhere to complain to */
        }
    }
}

static bool connect_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, SYSLOG_PATH, sizeof SYSLOG_PATH);
    if (syslog_socket >= 0) {
        close(syslog_socket);
    }
    syslog_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return syslog_socket >= 0 &&
           connect(syslog_socket, (struct sockaddr *)&address, sizeof address) == 0;
}

void log_close_syslog(void)
{
    if (syslog_socket >= 0) {
        close(syslog_socket);
        syslog_socket = -1;
    }
}

/* One datagram; the syslog daemon may have been restarted since the last one. */
static bool send_syslog(struct bytes line)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        struct pollfd wait = {.fd = syslog_socket, .events = POLLOUT};

        if (syslog_socket >= 0 && send(syslog_socket, line.data, line.len, MSG_NOSIGNAL) >= 0) {
            return true;
        }
        if (syslog_socket >= 0 && errno == EAGAIN) {
            poll(&wait, 1, 100);
        } else if (!connect_syslog()) {
            return false;
        }
    }
    return false;
}

/* Returns how many lines were lost. */
static uint64_t write_lines(enum log_target target, struct bytes lines)
{
    uint64_t lost = 0;

    switch (target) {
    case LOG_STDERR:
        write_stderr(lines);
        break;
    case LOG_SYSLOG:
        while (lines.len > 0) {
            lost += !send_syslog(bytes_cut(&lines, '\n'));
        }
        break;
    }
    return lost;
}

/* ---- the writer ---- */

static bool must_hurry(void)
{
    return writer.is_hurry || writer.is_stopping || writer.waiting.len >= HURRY_AT ||
           writer.quiet.len >= HURRY_AT;
}

static bool has_lines(void)
{
    return writer.waiting.len > 0 || writer.quiet.len > 0;
}

/* Asleep until the first line; then lines gather for COLLECT_MS. Only the first line of a quiet
 * time costs its thread a wake-up. */
static void wait_for_lines(void)
{
    struct timespec until;

    while (!has_lines() && !writer.is_stopping) {
        writer.is_idle = true;
        pthread_cond_wait(&writer.has_work, &writer.lock);
    }
    writer.is_idle = false;
    until = time_after(COLLECT_MS);
    while (!must_hurry() && pthread_cond_clockwait(&writer.has_work, &writer.lock,
                                                   CLOCK_MONOTONIC, &until) != ETIMEDOUT) {
    }
}

/* The lock is held, but not while the watch looks: whoever ends it waits for that. */
static void show_watch(struct bytes waiting, struct bytes quiet)
{
    void (*take)(void *context, struct bytes lines) = writer.watch_take;
    void *context = writer.watch_context;

    if (take == NULL) {
        return;
    }
    writer.is_watching = true;
    pthread_mutex_unlock(&writer.lock);
    if (waiting.len > 0) {
        take(context, waiting);
    }
    if (quiet.len > 0) {
        take(context, quiet);
    }
    pthread_mutex_lock(&writer.lock);
    writer.is_watching = false;
    pthread_cond_broadcast(&writer.is_done);
}

/* Takes what waits and leaves an empty place for more. */
static struct bytes swap_queue(struct line_queue *queue, char **spare)
{
    struct bytes lines = bytes_of(queue->octets, queue->len);

    queue->octets = *spare;
    queue->len = 0;
    *spare = (char *)lines.data;
    return lines;
}

static void log_dropped(uint64_t lines)
{
    struct log_line line;

    if (lines > 0) {
        log_begin(&line, LOG_ERROR, "log-dropped");
        log_number(&line, "lines", (int64_t)lines);
        log_end(&line);
    }
}

static void *run_writer(void *unused)
{
    char *spare = memory_alloc(WAITING_LIMIT);
    char *spare_quiet = memory_alloc(WAITING_LIMIT);

    (void)unused;
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        enum log_target target = atomic_load(&current_target);
        struct bytes lines, quiet;
        uint64_t dropped, lost;

        wait_for_lines();
        if (!has_lines() && writer.dropped == 0) {
            break;
        }
        lines = swap_queue(&writer.waiting, &spare);
        quiet = swap_queue(&writer.quiet, &spare_quiet);
        dropped = writer.dropped;
        writer.dropped = 0;
        show_watch(lines, quiet);
        pthread_mutex_unlock(&writer.lock);

        lost = write_lines(target, lines);
        log_dropped(dropped);

        pthread_mutex_lock(&writer.lock);
        writer.written += lines.len + quiet.len;
        writer.dropped += writer.is_stopping ? 0 : lost;
        pthread_cond_broadcast(&writer.is_done);
    }
    writer.is_running = false;
    pthread_cond_broadcast(&writer.is_done);
    pthread_mutex_unlock(&writer.lock);
    free(spare);
    free(spare_quiet);
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(void)
{
    sigset_t all, before;
    bool is_started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_started = pthread_create(&writer.thread, NULL, run_writer, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started) {
        pthread_setname_np(writer.thread, "log");
    }
    return is_started;
}

static void free_queues(void)
{
    free(writer.waiting.octets);
    free(writer.quiet.octets);
    writer.waiting = writer.quiet = (struct line_queue){0};
}

/* A forked child has no writer; what waits is the parent's to write. */
static void forget_writer(void)
{
    pthread_mutex_init(&writer.lock, NULL);
    pthread_cond_init(&writer.has_work, NULL);
    pthread_cond_init(&writer.is_done, NULL);
    writer.is_running = false;
    free_queues();
    writer.watch_take = NULL;
    writer.is_watching = false;
    atomic_store(&is_watched, false);
    writer.dropped = 0;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_writer);
}

void log_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&writer.lock);
    if (!writer.is_running) {
        writer.waiting = (struct line_queue){.octets = memory_alloc(WAITING_LIMIT)};
        writer.quiet = (struct line_queue){.octets = memory_alloc(WAITING_LIMIT)};
        writer.is_stopping = writer.is_hurry = writer.is_idle = false;
        writer.is_running = start_thread();
        if (!writer.is_running) {
            free_queues(); /* lines are written by whoever makes them */
        }
    }
    pthread_mutex_unlock(&writer.lock);
}

/* False: the sink is stuck. The lock is held. */
static bool wait_until_written(uint64_t goal)
{
    struct timespec until = time_after(STUCK_MS);

    writer.is_hurry = true;
    pthread_cond_signal(&writer.has_work);
    while (writer.is_running && writer.written < goal) {
        if (pthread_cond_clockwait(&writer.is_done, &writer.lock, CLOCK_MONOTONIC, &until) ==
            ETIMEDOUT) {
            return false;
        }
    }
    writer.is_hurry = false;
    return true;
}

void log_flush(void)
{
    pthread_mutex_lock(&writer.lock);
    if (writer.is_running) {
        wait_until_written(writer.taken);
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_stop(void)
{
    bool is_done;

    pthread_mutex_lock(&writer.lock);
    if (!writer.is_running) {
        pthread_mutex_unlock(&writer.lock);
        return;
    }
    writer.is_stopping = true;
    is_done = wait_until_written(UINT64_MAX);
    if (is_done) {
        free_queues();
    }
    pthread_mutex_unlock(&writer.lock);
    if (is_done) {
        pthread_join(writer.thread, NULL);
    } else {
        pthread_detach(writer.thread); /* stuck in the sink; the process is about to end */
    }
}

/* The lock is held. */
static void queue_line(struct line_queue *queue, struct bytes prefix, struct bytes line)
{
    size_t len = prefix.len + line.len;

    if (queue->len + len > WAITING_LIMIT) {
        writer.dropped++;
        return;
    }
    memcpy(queue->octets + queue->len, prefix.data, prefix.len);
    memcpy(queue->octets + queue->len + prefix.len, line.data, line.len);
    queue->len += len;
    writer.taken += len;
    if (writer.is_idle || (queue->len >= HURRY_AT && queue->len - len < HURRY_AT)) {
        writer.is_idle = false;
        pthread_cond_signal(&writer.has_work);
    }
}

static void put_line(struct bytes prefix, struct bytes line, bool is_quiet)
{
    pthread_mutex_lock(&writer.lock);
    if (writer.is_running) {
        queue_line(is_quiet ? &writer.quiet : &writer.waiting, prefix, line);
    } else if (!is_quiet) {
        char whole[PREFIX_SIZE + LOG_LINE_LIMIT];

        memcpy(whole, prefix.data, prefix.len);
        memcpy(whole + prefix.len, line.data, line.len);
        write_lines(atomic_load(&current_target), bytes_of(whole, prefix.len + line.len));
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_configure(const struct log_options *options)
{
    log_flush(); /* lines that wait were made for the old target */
    atomic_store(&current_level, options->level);
    atomic_store(&current_format, options->format);
    atomic_store(&current_target, options->target);
}

/* ---- lines ---- */

/* What may still be added so that the end of the value and of the line fit behind it. */
static size_t room(const struct log_line *line)
{
    return line->len < LOG_LINE_LIMIT - LINE_TAIL ? LOG_LINE_LIMIT - LINE_TAIL - line->len : 0;
}

/* For our own marks and keys; the tail's room may be used. */
static void put_raw(struct log_line *line, struct bytes text)
{
    if (text.len <= LOG_LINE_LIMIT - line->len) {
        memcpy(line->text + line->len, text.data, text.len);
        line->len += text.len;
    }
}

static bool is_continuation(struct bytes text, size_t index, unsigned char low,
                            unsigned char high)
{
    return index < text.len && (unsigned char)text.data[index] >= low &&
           (unsigned char)text.data[index] <= high;
}

/* Length of the printable UTF-8 character that `text` starts with (RFC 3629 §4), else 0. */
static size_t printable_length(struct bytes text)
{
    unsigned char first = (unsigned char)text.data[0];
    size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    unsigned char low = first == 0xe0   ? 0xa0
                        : first == 0xf0 ? 0x90
                        : first == 0xc2 ? 0xa0
                                        : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    /* 0xc2 0x80-0x9f would be UTF-8 but are the C1 controls: terminals obey them. */
    if (first < 0x80) {
        return first >= 0x20 && first != 0x7f;
    }
    if (first < 0xc2 || first > 0xf4 || !is_continuation(text, 1, low, high)) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if (!is_continuation(text, i, 0x80, 0xbf)) {
            return 0;
        }
    }
    return len;
}

/* The next character of `text` as it stands in the line; at most 7 octets. Returns how many
 * octets of `text` it stands for. */
static size_t escape_next(struct bytes text, bool is_json, char out[8], size_t *out_len)
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char octet = (unsigned char)text.data[0];
    size_t len = printable_length(text);
    char short_form = octet == '"'    ? '"'
                      : octet == '\\' ? '\\'
                      : octet == '\r' ? 'r'
                      : octet == '\n' ? 'n'
                      : octet == '\t' ? 't'
                                      : '\0';

    *out_len = 0;
    if (short_form != '\0') {
        out[(*out_len)++] = '\\';
        out[(*out_len)++] = short_form;
        return 1;
    }
    if (len > 0) {
        memcpy(out, text.data, len);
        *out_len = len;
        return len;
    }
    /* JSON knows characters only, so an octet is shown as text there: a backslash, x, two
     * digits. */
    if (is_json) {
        out[(*out_len)++] = '\\';
    }
    out[(*out_len)++] = '\\';
    out[(*out_len)++] = 'x';
    out[(*out_len)++] = HEX[octet >> 4];
    out[(*out_len)++] = HEX[octet & 15];
    return 1;
}

static bool needs_quotes(struct bytes value)
{
    for (size_t i = 0; i < value.len;) {
        size_t len = printable_length(bytes_skip(value, i));

        if (len == 0 || strchr(" \"\\=", value.data[i]) != NULL) {
            return true;
        }
        i += len;
    }
    return value.len == 0;
}

static void put_escaped(struct log_line *line, struct bytes value, bool is_json)
{
    while (value.len > 0) {
        char piece[8];
        size_t piece_len;
        size_t used = escape_next(value, is_json, piece, &piece_len);

        if (piece_len > room(line)) {
            put_raw(line, BYTES("..."));
            return;
        }
        put_raw(line, bytes_of(piece, piece_len));
        value = bytes_skip(value, used);
    }
}

/* Without room for the key and a little of the value the field is left out: false. */
static bool put_key(struct log_line *line, const char *key, bool is_json)
{
    struct bytes name = bytes_from_text(key);

    if (name.len + 24 > room(line)) {
        return false;
    }
    if (line->has_value) {
        put_raw(line, is_json ? BYTES(",") : BYTES(" "));
    }
    line->has_value = true;
    put_raw(line, is_json ? BYTES("\"") : BYTES(""));
    put_raw(line, name);
    put_raw(line, is_json ? BYTES("\":") : BYTES("="));
    return true;
}

static bool is_json_now(const struct log_line *line)
{
    return line->len > 0 && line->text[0] == '{';
}

/* `open` and `close` stand around the value, inside the quotes. */
static void put_value(struct log_line *line, const char *key, struct bytes open,
                      struct bytes value, struct bytes close)
{
    bool is_json = is_json_now(line);
    bool is_quoted =
        is_json || (open.len == 0 && value.len == 0) || (value.len > 0 && needs_quotes(value));

    if (!put_key(line, key, is_json)) {
        return;
    }
    put_raw(line, is_quoted ? BYTES("\"") : BYTES(""));
    put_raw(line, open);
    put_escaped(line, value, is_json);
    put_raw(line, close);
    put_raw(line, is_quoted ? BYTES("\"") : BYTES(""));
}

/* The date is made once a second. */
static void put_time(struct log_line *line)
{
    static _Thread_local struct {
        int64_t second;
        size_t len;
        char text[32]; /* "2026-11-21T22:06:30" */
    } cached = {.second = -1};
    int64_t now_ms = clock_unix_ms();
    char ms[5] = {'.', (char)('0' + now_ms % 1000 / 100), (char)('0' + now_ms % 100 / 10),
                  (char)('0' + now_ms % 10), 'Z'};

    if (cached.second != now_ms / 1000) {
        struct strbuf text;

        strbuf_init(&text, sizeof cached.text);
        calendar_add_timestamp(&text, now_ms);
        cached.second = now_ms / 1000;
        cached.len = bytes_find(strbuf_bytes(&text), '.');
        memcpy(cached.text, text.data, cached.len);
        strbuf_clear(&text);
    }
    put_raw(line, bytes_of(cached.text, cached.len));
    put_raw(line, bytes_of(ms, sizeof ms));
}

void log_hush(bool is_on)
{
    is_hushed = is_on;
}

void log_divert(void (*take)(void *context, struct bytes line), void *context)
{
    divert_take = take;
    divert_context = context;
}

void log_watch(void (*take)(void *context, struct bytes lines), void *context)
{
    pthread_mutex_lock(&writer.lock);
    while (writer.is_watching) {
        pthread_cond_wait(&writer.is_done, &writer.lock);
    }
    writer.watch_take = take;
    writer.watch_context = context;
    atomic_store(&is_watched, take != NULL);
    pthread_mutex_unlock(&writer.lock);
}

static void begin(struct log_line *line, enum log_level level, const char *event)
{
    bool is_json;

    line->level = level;
    line->len = 0;
    line->has_value = false;
    line->is_on = !line->is_quiet || (level >= LOG_INFO && divert_take == NULL &&
                                      atomic_load_explicit(&is_watched, memory_order_relaxed));
    line->is_on = line->is_on && !is_hushed;
    if (!line->is_on) {
        return;
    }
    is_json = atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_JSON;
    put_raw(line, is_json ? BYTES("{") : BYTES(""));
    put_key(line, "ts", is_json);
    put_raw(line, is_json ? BYTES("\"") : BYTES(""));
    put_time(line);
    put_raw(line, is_json ? BYTES("\"") : BYTES(""));
    log_text(line, "level", level_text(level));
    log_text(line, "event", event);
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->is_quiet = level < atomic_load_explicit(&current_level, memory_order_relaxed);
    begin(line, level, event);
}

void log_begin_unseen(struct log_line *line, const char *event)
{
    line->is_quiet = true;
    begin(line, LOG_INFO, event);
}

void log_bytes(struct log_line *line, const char *key, struct bytes value)
{
    if (line->is_on) {
        put_value(line, key, BYTES(""), value, BYTES(""));
    }
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_bytes(line, key, bytes_from_text(value));
}

void log_address(struct log_line *line, const char *key, struct bytes address)
{
    if (line->is_on) {
        put_value(line, key, BYTES("<"), address, BYTES(">"));
    }
}

void log_number(struct log_line *line, const char *key, int64_t value)
{
    char text[24];
    int len;

    if (line->is_on && put_key(line, key, is_json_now(line))) {
        len = snprintf(text, sizeof text, "%lld", (long long)value);
        put_raw(line, bytes_of(text, (size_t)len));
    }
}

void log_end(struct log_line *line)
{
    char prefix[PREFIX_SIZE];
    int prefix_len = 0;

    if (!line->is_on) {
        return;
    }
    line->is_on = false;
    if (divert_take != NULL) {
        divert_take(divert_context, bytes_of(line->text, line->len));
        return;
    }
    put_raw(line, is_json_now(line) ? BYTES("}\n") : BYTES("\n"));
    if (atomic_load_explicit(&current_target, memory_order_relaxed) == LOG_SYSLOG) {
        prefix_len = snprintf(prefix, sizeof prefix, "<%d>postilion[%d]: ",
                              SYSLOG_FACILITY + syslog_severity(line->level), (int)getpid());
    }
    put_line(bytes_of(prefix, (size_t)prefix_len), bytes_of(line->text, line->len),
             line->is_quiet);
}
