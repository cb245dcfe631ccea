#include "support/check.h"

#include "io/listener.h"
#include "io/stream.h"
#include "loop_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum action { DO_NOTHING, DO_CONSUME, DO_CLOSE, DO_FINISH };

/* One stream and what it was told. */
struct side {
    struct event_loop *loop;
    struct stream *stream;
    enum action on_input;
    enum action on_other; /* connected, drained, end: consume is nothing */
    struct strbuf got;
    unsigned inputs, connects, drains, ends;
    enum stream_end end;
};

static void act(struct side *side, enum action action)
{
    switch (action) {
    case DO_NOTHING:
        break;
    case DO_CONSUME:
        strbuf_add(&side->got, stream_input(side->stream));
        stream_consume(side->stream, stream_input(side->stream).len);
        break;
    case DO_CLOSE:
        stream_close(&side->stream);
        break;
    case DO_FINISH:
        stream_finish(&side->stream);
        break;
    }
}

static void on_connected(void *context)
{
    struct side *side = context;

    side->connects++;
    act(side, side->on_other);
}

static void on_input(void *context)
{
    struct side *side = context;

    side->inputs++;
    act(side, side->on_input);
}

static void on_drained(void *context)
{
    struct side *side = context;

    side->drains++;
    act(side, side->on_other);
}

static void on_end(void *context, enum stream_end end)
{
    struct side *side = context;

    side->ends++;
    side->end = end;
    act(side, side->on_other);
}

static const struct stream_callbacks CALLBACKS = {on_connected, on_input, on_drained, on_end};

static struct side new_side(void)
{
    struct side side = {.loop = event_loop_new(), .on_input = DO_CONSUME};

    strbuf_init(&side.got, 16 * 1024 * 1024);
    return side;
}

static void clear_side(struct side *side)
{
    stream_close(&side->stream);
    event_loop_free(&side->loop);
    strbuf_clear(&side->got);
}

/* A connected TCP pair on loopback: [0] non-blocking for the stream, [1] for the test. */
static void make_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&address, &len);
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[1], (struct sockaddr *)&address, len), 0);
    pair[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    assert_true(pair[0] >= 0);
    close(listening);
}

/* Returns the peer's descriptor. */
static int open_side(struct side *side)
{
    int pair[2];
    struct stream_accepted accepted = {.handle = -1};

    make_pair(pair);
    accepted.handle = pair[0];
    side->stream = stream_from_accepted(side->loop, &accepted, &CALLBACKS, side);
    return pair[1];
}

static void reset_peer(int fd)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool has_ended(void *context)
{
    return ((struct side *)context)->ends > 0;
}

static bool has_input(void *context)
{
    return ((struct side *)context)->inputs > 0;
}

static void test_input_and_reply(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);
    char reply[64];

    (void)state;
    say(peer, "EHLO a\r\n");
    stream_write(side.stream, BYTES("220 "));
    stream_write(side.stream, BYTES("ready\r\n"));
    CHECK_INT("collected", stream_output_waiting(side.stream), 11);
    CHECK_TRUE("done", run_until(side.loop, has_input, &side));
    CHECK_TEXT("input", strbuf_text(&side.got), "EHLO a\r\n");
    CHECK_INT("sent", stream_output_sent(side.stream), 11);
    CHECK_INT("one piece", recv(peer, reply, sizeof reply, 0), 11);
    CHECK_INT("local", stream_local(side.stream).address.family, IP_V4);
    close(peer);
    clear_side(&side);
}

static void test_unread_input_is_kept(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);
    static const char text[] = "partial line, a byte a time";

    (void)state;
    side.on_input = DO_NOTHING;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        side.inputs = 0;
        assert_int_equal(send(peer, text + i, 1, 0), 1);
        CHECK_TRUE("arrives", run_until(side.loop, has_input, &side));
        CHECK_BYTES("kept", stream_input(side.stream), bytes_of(text, i + 1));
    }
    stream_consume(side.stream, 8);
    CHECK_BYTES("rest", stream_input(side.stream), BYTES("line, a byte a time"));
    side.inputs = 0;
    say(peer, "!");
    CHECK_TRUE("arrives", run_until(side.loop, has_input, &side));
    CHECK_BYTES("behind the rest", stream_input(side.stream), BYTES("line, a byte a time!"));
    close(peer);
    clear_side(&side);
}

struct flood {
    struct side *side;
    int peer;
    size_t sent;
    size_t size;
    size_t step; /* consumed per tick when the side does nothing */
    bool was_full;
};

static char pattern(size_t index)
{
    return (char)('a' + (index * 7 + index / 251) % 26);
}

static bool play_flood(void *context)
{
    struct flood *flood = context;
    struct stream *stream = flood->side->stream;
    char block[50000];

    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = pattern(flood->sent + i);
    }
    if (flood->sent < flood->size) {
        size_t left = flood->size - flood->sent;
        ssize_t sent = send(flood->peer, block, left < sizeof block ? left : sizeof block,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        flood->sent += sent > 0 ? (size_t)sent : 0;
    }
    CHECK_TRUE("limit", stream_input(stream).len <= STREAM_INPUT_LIMIT);
    flood->was_full |= stream_input(stream).len == STREAM_INPUT_LIMIT;
    if (flood->step > 0) {
        struct bytes part = bytes_first(stream_input(stream), flood->step);

        strbuf_add(&flood->side->got, part);
        stream_consume(stream, part.len);
    }
    return flood->side->got.len == flood->size;
}

static void check_flood(const char *name, size_t size, size_t step)
{
    struct side side = new_side();
    struct flood flood = {.side = &side, .peer = open_side(&side), .size = size, .step = step};

    side.on_input = step == 0 ? DO_CONSUME : DO_NOTHING;
    CHECK_TRUE(name, run_until(side.loop, play_flood, &flood));
    for (size_t i = 0; i < size; i++) {
        if (side.got.data[i] != pattern(i)) {
            fail_msg("%s: octet %zu is wrong", name, i);
        }
    }
    CHECK_INT(name, flood.was_full, step != 0);
    close(flood.peer);
    clear_side(&side);
}

static void test_floods(void **state)
{
    (void)state;
    check_flood("read at once", 5 * 1000 * 1000, 0);
    check_flood("read in odd steps, with pauses", 1000 * 1000, 3001);
    check_flood("read in big odd steps", 3 * 1000 * 1000, 48611);
}

/* Turns of the loop, counted by a task that defers itself once a wake-up is impossible to have
 * from outside; CPU time is: a loop that spins burns all of it. */
static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool is_full(void *context)
{
    return stream_input(((struct side *)context)->stream).len == STREAM_INPUT_LIMIT;
}

static void test_paused_stream_does_not_spin(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);
    char *block = calloc(1, 100 * 1000);
    double before;

    (void)state;
    side.on_input = DO_NOTHING;
    assert_int_equal(send(peer, block, 100 * 1000, 0), 100 * 1000);
    close(peer); /* the end waits behind it */
    CHECK_TRUE("full", run_until(side.loop, is_full, &side));
    before = cpu_seconds();
    run_for(side.loop, 300);
    CHECK_TRUE("does not spin", cpu_seconds() - before < 0.1);
    CHECK_INT("no end yet", side.ends, 0);
    side.on_input = DO_CONSUME;
    stream_consume(side.stream, STREAM_INPUT_LIMIT);
    CHECK_TRUE("goes on", run_until(side.loop, has_ended, &side));
    CHECK_INT("the rest came before the end", side.got.len, 100 * 1000 - STREAM_INPUT_LIMIT);
    CHECK_INT("end", side.end, STREAM_END_EOF);
    free(block);
    clear_side(&side);
}

static void test_half_close(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);
    char reply[16];
    double before;

    (void)state;
    say(peer, "last line\r\n");
    shutdown(peer, SHUT_WR);
    CHECK_TRUE("ends", run_until(side.loop, has_ended, &side));
    CHECK_TEXT("input before the end", strbuf_text(&side.got), "last line\r\n");
    CHECK_INT("end", side.end, STREAM_END_EOF);
    before = cpu_seconds();
    run_for(side.loop, 200);
    CHECK_TRUE("the end does not spin", cpu_seconds() - before < 0.1);
    stream_write(side.stream, BYTES("250 ok\r\n"));
    run_for(side.loop, 5);
    CHECK_INT("may still answer", recv(peer, reply, sizeof reply, MSG_DONTWAIT), 8);
    CHECK_INT("once", side.ends, 1);
    close(peer);
    clear_side(&side);
}

static void test_reset(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);

    (void)state;
    reset_peer(peer);
    CHECK_TRUE("ends", run_until(side.loop, has_ended, &side));
    CHECK_INT("end", side.end, STREAM_END_RESET);
    stream_write(side.stream, BYTES("to nobody"));
    stream_flush(side.stream);
    stream_consume(side.stream, 0);
    CHECK_INT("nothing waits", stream_output_waiting(side.stream), 0);
    run_for(side.loop, 5);
    CHECK_INT("once", side.ends, 1);
    clear_side(&side);
}

/* The peer says why it goes and goes; our next write breaks. What it said must be read. */
static void test_last_words_survive_a_broken_write(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);

    (void)state;
    stream_write(side.stream, BYTES("MAIL FROM:<a@b>\r\n"));
    stream_flush(side.stream);
    usleep(2000);
    say(peer, "421 4.3.2 bye\r\n");
    close(peer); /* with unread input: a reset follows */
    usleep(2000);
    stream_write(side.stream, BYTES("RCPT TO:<c@d>\r\n"));
    stream_flush(side.stream);
    stream_write(side.stream, BYTES("DATA\r\n"));
    stream_flush(side.stream);
    CHECK_TRUE("ends", run_until(side.loop, has_ended, &side));
    CHECK_TEXT("last words", strbuf_text(&side.got), "421 4.3.2 bye\r\n");
    CHECK_INT("end", side.end, STREAM_END_RESET);
    clear_side(&side);
}

struct slow_reader {
    struct side *side;
    int peer;
    size_t got;
    size_t want;
    size_t written;
    bool writes_on_drain;
    bool saw_end;
};

static bool read_slowly(void *context)
{
    struct slow_reader *reader = context;
    static char block[40000];
    ssize_t got = recv(reader->peer, block, sizeof block, MSG_DONTWAIT);

    for (ssize_t i = 0; i < got; i++) {
        if (block[i] != pattern(reader->got + (size_t)i)) {
            fail_msg("octet %zu is wrong", reader->got + (size_t)i);
        }
    }
    reader->got += got > 0 ? (size_t)got : 0;
    reader->saw_end |= got == 0;
    return reader->got == reader->want && (reader->side->stream != NULL || reader->saw_end);
}

static void write_pattern(struct stream *stream, size_t from, size_t count)
{
    char *text = malloc(count);

    for (size_t i = 0; i < count; i++) {
        text[i] = pattern(from + i);
    }
    stream_write(stream, bytes_of(text, count));
    free(text);
}

static void test_large_output_to_slow_reader(void **state)
{
    struct side side = new_side();
    int small = 65536;
    struct slow_reader reader = {
        .side = &side, .peer = open_side(&side), .want = 3 * 1024 * 1024};

    (void)state;
    setsockopt(reader.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (size_t at = 0; at < reader.want; at += 1024) {
        write_pattern(side.stream, at, 1024);
    }
    CHECK_TRUE("all arrives", run_until(side.loop, read_slowly, &reader));
    CHECK_INT("drained", side.drains, 1);
    CHECK_INT("waiting", stream_output_waiting(side.stream), 0);
    CHECK_INT("sent", stream_output_sent(side.stream), reader.want);
    close(reader.peer);
    clear_side(&side);
}

static void test_finish_sends_what_waits(void **state)
{
    struct side side = new_side();
    struct slow_reader reader = {
        .side = &side, .peer = open_side(&side), .want = 3 * 1024 * 1024};

    (void)state;
    write_pattern(side.stream, 0, reader.want);
    stream_finish(&side.stream);
    CHECK_TRUE("taken", side.stream == NULL);
    CHECK_TRUE("all arrives, then the end", run_until(side.loop, read_slowly, &reader));
    CHECK_INT("no callback", side.drains + side.ends + side.inputs, 0);
    close(reader.peer);
    clear_side(&side);
}

/* The peer still writes when we finish: it must get the last reply, not a reset. */
struct talker {
    int peer;
    char got[64];
    size_t len;
    bool saw_end;
    int error;
    unsigned rounds;
};

static bool talk_on(void *context)
{
    struct talker *talker = context;
    static const char block[1000];
    ssize_t got;

    if (++talker->rounds < 30) {
        if (send(talker->peer, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            talker->error = errno;
        }
        return talker->error != 0;
    }
    got = recv(talker->peer, talker->got + talker->len, sizeof talker->got - talker->len,
               MSG_DONTWAIT);
    if (got > 0) {
        talker->len += (size_t)got;
    }
    talker->saw_end |= got == 0;
    if (got < 0 && errno != EAGAIN) {
        talker->error = errno;
    }
    return talker->saw_end || talker->error != 0;
}

static void test_finish_while_the_peer_talks(void **state)
{
    struct side side = new_side();
    struct talker talker = {.peer = open_side(&side)};

    (void)state;
    say(talker.peer, "too much");
    stream_write(side.stream, BYTES("421 bye\r\n"));
    stream_finish(&side.stream);
    CHECK_TRUE("ends", run_until(side.loop, talk_on, &talker));
    CHECK_INT("no reset", talker.error, 0);
    CHECK_TEXT("reply", talker.got, "421 bye\r\n");
    close(talker.peer);
    run_for(side.loop, 5);
    clear_side(&side);
}

static void quit(void *context)
{
    struct side *side = context;

    stream_consume(side->stream, stream_input(side->stream).len);
    stream_write(side->stream, BYTES("221 bye\r\n"));
    stream_finish(&side->stream);
}

static bool peer_sees_end(void *context)
{
    char text[64];

    return recv(*(int *)context, text, sizeof text, MSG_DONTWAIT) == 0;
}

static bool socket_is_closed(void *context)
{
    return fcntl(*(int *)context, F_GETFD) < 0;
}

static void test_finish_after_quit_closes_at_once(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct stream_callbacks callbacks = {on_connected, quit, NULL, on_end};
    struct side side = {.loop = loop};
    struct stream_accepted accepted = {.handle = -1};
    int pair[2];

    (void)state;
    make_pair(pair);
    accepted.handle = pair[0];
    side.stream = stream_from_accepted(loop, &accepted, &callbacks, &side);
    say(pair[1], "QUIT\r\n");
    CHECK_TRUE("peer sees the end", run_until(loop, peer_sees_end, &pair[1]));
    CHECK_TRUE("closed, not lingering", socket_is_closed(&pair[0]));
    close(pair[1]);
    event_loop_free(&loop);
}

static void test_lingering_is_bounded(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);
    uint64_t start = clock_now_ms();
    int handle = peer + 1; /* accepted after it was made */

    (void)state;
    CHECK_TRUE("open", !socket_is_closed(&handle));
    stream_write(side.stream, BYTES("421 timeout\r\n"));
    stream_finish(&side.stream);
    CHECK_TRUE("goes", run_until(side.loop, socket_is_closed, &handle));
    CHECK_TRUE("after the wait", clock_now_ms() - start >= STREAM_LINGER_MS - 10);
    CHECK_TRUE("not long after", clock_now_ms() - start < STREAM_LINGER_MS + 1000);
    close(peer);
    clear_side(&side);
}

static void test_loop_frees_lingering_streams(void **state)
{
    struct side side = new_side();
    int peer = open_side(&side);

    (void)state;
    stream_write(side.stream, BYTES("421 timeout\r\n"));
    stream_finish(&side.stream);
    clear_side(&side); /* the address sanitizer looks for leaks */
    close(peer);
}

static void test_close_from_inside_callbacks(void **state)
{
    static const enum action actions[] = {DO_CLOSE, DO_FINISH};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        struct side input = new_side(), end = new_side(), drained = new_side(),
                    connected = new_side();
        int peer = open_side(&input);
        struct strbuf why;
        struct listener *listener;
        struct ip_endpoint address = {.address = {.family = IP_V4, .octets = {127, 0, 0, 1}}};
        struct slow_reader reader = {
            .side = &drained, .peer = open_side(&drained), .want = 8 * 1024 * 1024};

        input.on_input = actions[i];
        say(peer, "hello");
        run_for(input.loop, 10);
        CHECK_INT("input", input.inputs, 1);
        CHECK_INT("nothing after close", input.ends, 0);
        close(peer);
        clear_side(&input);

        peer = open_side(&end);
        end.on_other = actions[i];
        close(peer);
        run_for(end.loop, 10);
        CHECK_INT("end", end.ends, 1);
        clear_side(&end);

        drained.on_other = actions[i];
        write_pattern(drained.stream, 0, reader.want);
        CHECK_TRUE("drained", run_until(drained.loop, read_slowly, &reader) || i == 0);
        CHECK_INT("drained", drained.drains, 1);
        close(reader.peer);
        clear_side(&drained);

        strbuf_init(&why, 1000);
        listener = listener_open(&address, &why);
        address = listener_address(listener);
        connected.on_other = actions[i];
        connected.stream =
            stream_connect(connected.loop, &address, NULL, 1000, &CALLBACKS, &connected);
        CHECK_INT("not from inside", connected.connects, 0);
        run_for(connected.loop, 10);
        CHECK_INT("connected", connected.connects, 1);
        listener_close(&listener);
        clear_side(&connected);
    }
}

static void test_connect_refused(void **state)
{
    struct side side = new_side();
    struct strbuf why;
    struct ip_endpoint address = {.address = {.family = IP_V4, .octets = {127, 0, 0, 1}}};
    struct listener *listener;

    (void)state;
    strbuf_init(&why, 1000);
    listener = listener_open(&address, &why);
    address = listener_address(listener);
    listener_close(&listener); /* now nobody listens there */
    side.stream =
        stream_connect(side.loop, &address, &address.address, 5000, &CALLBACKS, &side);
    CHECK_INT("not from inside", side.ends, 0);
    CHECK_TRUE("ends", run_until(side.loop, has_ended, &side));
    CHECK_INT("end", side.end, STREAM_END_REFUSED);
    CHECK_TEXT("text", stream_end_text(side.end), "refused");
    clear_side(&side);
}

static void test_connect_failures(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct ip_endpoint to;
        struct ip_address from;
        enum stream_end want;
    } cases[] = {
        {"no address", {{IP_NONE, {0}}, 25}, {IP_NONE, {0}}, STREAM_END_FAILED},
        {"source is not ours", {{IP_V4, {127, 0, 0, 1}}, 9}, {IP_V4, {192, 0, 2, 1}},
         STREAM_END_FAILED},
        {"families differ", {{IP_V4, {127, 0, 0, 1}}, 9},
         {IP_V6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, STREAM_END_FAILED},
        {"broadcast", {{IP_V4, {255, 255, 255, 255}}, 9}, {IP_NONE, {0}},
         STREAM_END_UNREACHABLE},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct side side = new_side();
        const struct ip_address *from = cases[i].from.family == IP_NONE ? NULL : &cases[i].from;

        side.stream = stream_connect(side.loop, &cases[i].to, from, 1000, &CALLBACKS, &side);
        CHECK_INT(cases[i].name, side.ends, 0);
        CHECK_TRUE(cases[i].name, run_until(side.loop, has_ended, &side));
        CHECK_INT(cases[i].name, side.end, cases[i].want);
        clear_side(&side);
    }
}

/* A backlog of one that is full: the system drops further SYNs. */
static void test_connect_timeout(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct ip_endpoint to = {.address = {.family = IP_V4, .octets = {127, 0, 0, 1}}};
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    int fillers[4];
    struct side side = new_side();
    uint64_t start;

    (void)state;
    assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listening, 0), 0);
    getsockname(listening, (struct sockaddr *)&address, &len);
    to.port = ntohs(address.sin_port);
    for (size_t i = 0; i < COUNT_OF(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, len);
    }
    usleep(5000);
    start = clock_now_ms();
    side.stream = stream_connect(side.loop, &to, NULL, 150, &CALLBACKS, &side);
    stream_write(side.stream, BYTES("too early to go out"));
    CHECK_TRUE("ends", run_until(side.loop, has_ended, &side));
    CHECK_INT("end", side.end, STREAM_END_TIMEOUT);
    CHECK_TRUE("in time", clock_now_ms() - start >= 150 && clock_now_ms() - start < 1000);
    for (size_t i = 0; i < COUNT_OF(fillers); i++) {
        close(fillers[i]);
    }
    close(listening);
    clear_side(&side);
}

/* ---- many connections through a listener ---- */

enum { MANY = 2000 };

struct crowd {
    struct event_loop *loop;
    struct stream *servers[MANY];
    struct side clients[MANY];
    size_t accepted, answered;
};

struct crowd_server {
    struct crowd *crowd;
    struct stream **place;
};

static void serve_line(void *context)
{
    struct stream **place = context;

    stream_consume(*place, stream_input(*place).len);
    stream_write(*place, BYTES("221 bye\r\n"));
    stream_finish(place);
}

static void serve_end(void *context, enum stream_end end)
{
    (void)end;
    stream_close(context);
}

static void serve(void *context, const struct stream_accepted *accepted)
{
    static const struct stream_callbacks callbacks = {NULL, serve_line, NULL, serve_end};
    struct crowd *crowd = context;
    struct stream **place = &crowd->servers[crowd->accepted++];

    CHECK_INT("peer", accepted->peer.address.family, IP_V4);
    *place = stream_from_accepted(crowd->loop, accepted, &callbacks, place);
    stream_write(*place, BYTES("220 hello\r\n"));
}

static bool all_have_ended(void *context)
{
    struct crowd *crowd = context;
    size_t ended = 0;

    for (size_t i = 0; i < MANY; i++) {
        ended += crowd->clients[i].ends;
    }
    return ended == MANY;
}

static void test_thousands_of_connections(void **state)
{
    struct rlimit limit;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    struct ip_endpoint address = {.address = {.family = IP_V4, .octets = {127, 0, 0, 1}}};
    struct strbuf why;
    struct listener *listener;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    strbuf_init(&why, 1000);
    crowd->loop = event_loop_new();
    listener = listener_open(&address, &why);
    address = listener_address(listener);
    listener_start(listener, crowd->loop, serve, crowd);
    for (size_t i = 0; i < MANY; i++) {
        struct side *client = &crowd->clients[i];

        client->on_input = DO_CONSUME;
        strbuf_init(&client->got, 100);
        client->stream = stream_connect(crowd->loop, &address, NULL, 5000, &CALLBACKS, client);
        stream_write(client->stream, BYTES("QUIT\r\n"));
    }
    CHECK_TRUE("all served", run_until(crowd->loop, all_have_ended, crowd));
    for (size_t i = 0; i < MANY; i++) {
        CHECK_TEXT("dialogue", strbuf_text(&crowd->clients[i].got), "220 hello\r\n221 bye\r\n");
        CHECK_INT("end", crowd->clients[i].end, STREAM_END_EOF);
        stream_close(&crowd->clients[i].stream);
        strbuf_clear(&crowd->clients[i].got);
    }
    listener_close(&listener);
    event_loop_free(&crowd->loop);
    free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_and_reply),
        cmocka_unit_test(test_unread_input_is_kept),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_paused_stream_does_not_spin),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_last_words_survive_a_broken_write),
        cmocka_unit_test(test_large_output_to_slow_reader),
        cmocka_unit_test(test_finish_sends_what_waits),
        cmocka_unit_test(test_finish_while_the_peer_talks),
        cmocka_unit_test(test_finish_after_quit_closes_at_once),
        cmocka_unit_test(test_lingering_is_bounded),
        cmocka_unit_test(test_loop_frees_lingering_streams),
        cmocka_unit_test(test_close_from_inside_callbacks),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_connect_failures),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_thousands_of_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
