/*
 * A client and a server stream with a wire between them that the test holds in its hands.
 */
#include "support/check.h"

#include "io/listener.h"
#include "io/stream.h"
#include "loop_driver.h"
#include "support/tls_certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <time.h>

enum { CLIENT, SERVER };

static struct test_certificate authority, certificate, stranger, expired;
static struct tls_context *server_context, *client_context, *strange_context, *expired_context;

/* One end, and what it was told. */
struct side {
    struct stream *stream;
    struct strbuf got;
    unsigned secures, ends, drains;
    enum stream_end end;
    size_t hold_back; /* consume nothing until so much is there */
    bool closes_when_secure;
};

struct world {
    struct event_loop *loop;
    struct side sides[2];
    int wire[2];        /* the far ends of the sides */
    size_t chunk;       /* octets the wire carries at a time */
    uint64_t passed[2]; /* from this side */
    uint64_t cut[2];    /* the wire breaks behind so many octets of this side; 0: never */
    uint64_t spoil[2];  /* one octet is changed; 0: none */
    bool drops_end;     /* a cut is silence, not an end */
    bool (*is_done)(struct world *world);
};

static void on_connected(void *context)
{
    (void)context;
}

static void on_input(void *context)
{
    struct side *side = context;
    struct bytes input = stream_input(side->stream);

    if (input.len >= side->hold_back) {
        strbuf_add(&side->got, input);
        stream_consume(side->stream, input.len);
    }
}

static void on_drained(void *context)
{
    ((struct side *)context)->drains++;
}

static void on_end(void *context, enum stream_end end)
{
    struct side *side = context;

    side->ends++;
    side->end = end;
}

static void on_secure(void *context)
{
    struct side *side = context;

    side->secures++;
    if (side->closes_when_secure) {
        stream_finish(&side->stream);
    }
}

static struct world *new_world(void)
{
    static const struct stream_callbacks callbacks = {on_connected, on_input, on_drained,
                                                      on_end};
    static struct world world;

    world = (struct world){.loop = event_loop_new(), .chunk = 65536};
    for (int i = 0; i < 2; i++) {
        int pair[2];
        struct stream_accepted accepted = {.handle = -1};

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        accepted.handle = pair[0];
        world.wire[i] = pair[1];
        strbuf_init(&world.sides[i].got, 64 * 1024 * 1024);
        world.sides[i].stream =
            stream_from_accepted(world.loop, &accepted, &callbacks, &world.sides[i]);
    }
    return &world;
}

static void clear_world(struct world *world)
{
    for (int i = 0; i < 2; i++) {
        stream_close(&world->sides[i].stream);
        close(world->wire[i]);
        strbuf_clear(&world->sides[i].got);
    }
    event_loop_free(&world->loop);
}

static void carry(struct world *world, int from)
{
    char octets[65536];
    size_t room = world->chunk;
    ssize_t got;

    if (world->cut[from] > 0 && world->cut[from] - world->passed[from] < room) {
        room = world->cut[from] - world->passed[from];
    }
    if (room == 0) {
        if (!world->drops_end) {
            shutdown(world->wire[!from], SHUT_WR);
        }
        return;
    }
    got = recv(world->wire[from], octets, room, MSG_PEEK);
    if (got == 0) {
        shutdown(world->wire[!from], SHUT_WR);
    }
    if (got <= 0) {
        return;
    }
    if (world->spoil[from] > world->passed[from] &&
        world->spoil[from] <= world->passed[from] + (uint64_t)got) {
        octets[world->spoil[from] - world->passed[from] - 1] ^= 0x41;
    }
    got = send(world->wire[!from], octets, (size_t)got, MSG_NOSIGNAL);
    if (got > 0) {
        world->passed[from] += (uint64_t)got;
        got = recv(world->wire[from], octets, (size_t)got, 0);
    }
}

struct driver {
    struct world *world;
    struct loop_timer *timer;
    uint64_t until_ms;
    bool was_done;
};

static void pump(void *context)
{
    struct driver *driver = context;
    struct world *world = driver->world;

    carry(world, CLIENT);
    carry(world, SERVER);
    driver->was_done = world->is_done(world);
    if (driver->was_done || clock_now_ms() > driver->until_ms) {
        event_loop_stop(world->loop);
        return;
    }
    loop_timer_set(driver->timer, 0);
}

static bool run(struct world *world, uint64_t ms, bool (*is_done)(struct world *world))
{
    struct driver driver = {.world = world, .until_ms = clock_now_ms() + ms};

    world->is_done = is_done;
    driver.timer = loop_timer_new(world->loop, pump, &driver);
    loop_timer_set(driver.timer, 0);
    event_loop_run(world->loop);
    loop_timer_free(&driver.timer);
    return driver.was_done;
}

static struct stream_tls_options options_for(int side)
{
    return (struct stream_tls_options){
        .context = side == CLIENT ? client_context : server_context,
        .name = side == CLIENT ? BYTES("mx.example") : BYTES(""),
        .timeout_ms = 5000,
        .on_secure = on_secure,
    };
}

static void start(struct world *world, const struct stream_tls_options *client)
{
    struct stream_tls_options server = options_for(SERVER), usual = options_for(CLIENT);

    CHECK_TRUE("server starts", stream_start_tls(world->sides[SERVER].stream, &server));
    CHECK_TRUE("client starts",
               stream_start_tls(world->sides[CLIENT].stream, client != NULL ? client : &usual));
}

static bool are_secure(struct world *world)
{
    return world->sides[CLIENT].secures > 0 && world->sides[SERVER].secures > 0;
}

static bool have_ended(struct world *world)
{
    return world->sides[CLIENT].ends > 0 && world->sides[SERVER].ends > 0;
}

static bool has_client_ended(struct world *world)
{
    return world->sides[CLIENT].ends > 0;
}

static bool has_server_ended(struct world *world)
{
    return world->sides[SERVER].ends > 0;
}

static bool is_server_line(struct world *world)
{
    return world->sides[SERVER].got.len > 0 &&
           bytes_find(strbuf_bytes(&world->sides[SERVER].got), '\n') <
               world->sides[SERVER].got.len;
}

static bool is_client_line(struct world *world)
{
    return bytes_find(strbuf_bytes(&world->sides[CLIENT].got), '\n') <
           world->sides[CLIENT].got.len;
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

/* ---- ---- */

static void check_dialogue(struct world *world)
{
    struct side *client = &world->sides[CLIENT], *server = &world->sides[SERVER];

    stream_write(client->stream, BYTES("EHLO client\r\n"));
    CHECK_TRUE("server hears", run(world, 10000, is_server_line));
    CHECK_BYTES("server", strbuf_bytes(&server->got), BYTES("EHLO client\r\n"));
    stream_write(server->stream, BYTES("250 "));
    stream_write(server->stream, BYTES("hello\r\n"));
    CHECK_TRUE("client hears", run(world, 10000, is_client_line));
    CHECK_BYTES("client", strbuf_bytes(&client->got), BYTES("250 hello\r\n"));
}

static void test_whole_and_byte_by_byte(void **state)
{
    static const size_t chunks[] = {65536, 1, 2, 7, 1000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(chunks); i++) {
        struct world *world = new_world();
        struct stream_tls_facts facts;

        world->chunk = chunks[i];
        CHECK_TRUE("in clear", stream_tls_facts(world->sides[CLIENT].stream).version == NULL);
        start(world, NULL);
        CHECK_INT("not from inside", world->sides[CLIENT].secures, 0);
        CHECK_TRUE("secure", run(world, 10000, are_secure));
        check_dialogue(world);
        facts = stream_tls_facts(world->sides[CLIENT].stream);
        CHECK_TEXT("version", facts.version, "TLSv1.3");
        CHECK_TRUE("cipher", strncmp(facts.cipher, "TLS_", 4) == 0);
        CHECK_TRUE("verified", facts.is_verified && facts.why_unverified == NULL);
        CHECK_TRUE("not resumed", !facts.is_resumed);
        CHECK_INT("once", world->sides[CLIENT].secures, 1);
        CHECK_TEXT("no error", stream_tls_error(world->sides[CLIENT].stream), "");
        stream_finish(&world->sides[CLIENT].stream);
        CHECK_TRUE("end", run(world, 10000, has_server_ended));
        CHECK_INT("a clean one", world->sides[SERVER].end, STREAM_END_EOF);
        clear_world(world);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        struct bytes host;
        enum stream_tls_verify verify;
        struct tls_context **trusting, **serving;
        const char *unverified; /* NULL: verified */
        bool is_refused;
    } cases[] = {
        {"right", BYTES("mx.example"), STREAM_TLS_VERIFY_NAME, &client_context, &server_context,
         NULL, false},
        {"with a dot", BYTES("mx.example."), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, NULL, false},
        {"other case", BYTES("MX.Example"), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, NULL, false},
        {"wildcard", BYTES("a.wild.example"), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, NULL, false},
        {"address", BYTES("192.0.2.7"), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, NULL, false},
        {"another address", BYTES("192.0.2.8"), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, "IP address mismatch", true},
        {"another name", BYTES("mx.example.org"), STREAM_TLS_VERIFY_NAME, &client_context,
         &server_context, "hostname mismatch", true},
        {"no name", BYTES(""), STREAM_TLS_VERIFY_NAME, &client_context, &server_context, "",
         true},
        {"another name, nobody minds", BYTES("mx.example.org"), STREAM_TLS_VERIFY_NONE,
         &client_context, &server_context, "hostname mismatch", false},
        {"stranger", BYTES("mx.example"), STREAM_TLS_VERIFY_NAME, &client_context,
         &strange_context, "self-signed certificate", true},
        {"stranger, nobody minds", BYTES("mx.example"), STREAM_TLS_VERIFY_NONE, &client_context,
         &strange_context, "self-signed certificate", false},
        {"expired", BYTES("mx.example"), STREAM_TLS_VERIFY_NAME, &client_context,
         &expired_context, "certificate has expired", true},
        {"expired, nobody minds", BYTES("mx.example"), STREAM_TLS_VERIFY_NONE, &client_context,
         &expired_context, "certificate has expired", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT), server = options_for(SERVER);
        struct side *side = &world->sides[CLIENT];

        client.name = cases[i].host;
        client.verify = cases[i].verify;
        client.context = *cases[i].trusting;
        server.context = *cases[i].serving;
        stream_start_tls(world->sides[SERVER].stream, &server);
        stream_start_tls(side->stream, &client);
        CHECK_TRUE(cases[i].name,
                   run(world, 5000, cases[i].is_refused ? has_client_ended : are_secure));
        CHECK_INT(cases[i].name, side->secures, !cases[i].is_refused);
        if (cases[i].is_refused) {
            CHECK_INT(cases[i].name, side->end, STREAM_END_TLS);
            CHECK_TRUE(cases[i].name,
                       strstr(stream_tls_error(side->stream), cases[i].unverified) != NULL);
        } else {
            struct stream_tls_facts facts = stream_tls_facts(side->stream);

            CHECK_INT(cases[i].name, facts.is_verified, cases[i].unverified == NULL);
            CHECK_TEXT(cases[i].name, facts.why_unverified, cases[i].unverified);
        }
        clear_world(world);
    }
}

/* Also of a handshake that fails for what is shown. */
static void test_what_the_server_shows(void **state)
{
    static const struct {
        const char *name;
        enum stream_tls_verify verify;
        struct tls_context **serving;
        bool is_refused, is_expired;
    } cases[] = {
        {"verified", STREAM_TLS_VERIFY_NAME, &server_context, false, false},
        {"nobody minds", STREAM_TLS_VERIFY_NONE, &expired_context, false, true},
        {"refused", STREAM_TLS_VERIFY_NAME, &expired_context, true, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT), server = options_for(SERVER);
        struct tls_peer peer = {.arena = arena_new(), .count = 7};
        const struct tls_peer_certificate *shown = &peer.certificates[0];
        int64_t now = time(NULL);

        client.name = BYTES("mx.example");
        client.verify = cases[i].verify;
        client.peer = &peer;
        server.context = *cases[i].serving;
        stream_start_tls(world->sides[SERVER].stream, &server);
        stream_start_tls(world->sides[CLIENT].stream, &client);
        CHECK_TRUE(cases[i].name,
                   run(world, 5000, cases[i].is_refused ? has_client_ended : are_secure));
        CHECK_TRUE(cases[i].name, peer.count >= 1);
        CHECK_BYTES(cases[i].name, shown->issuer, BYTES("CN=test authority"));
        CHECK_BYTES(cases[i].name, shown->names[0], BYTES("mx.example"));
        CHECK_INT(cases[i].name, shown->expires < now, cases[i].is_expired);
        CHECK_TRUE(cases[i].name, shown->begins < now && shown->key_bits >= 256);
        arena_free(&peer.arena);
        clear_world(world);
    }
}

static void test_refused_verification_is_told(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options client = options_for(CLIENT);

    (void)state;
    client.name = BYTES("elsewhere.example");
    client.verify = STREAM_TLS_VERIFY_NAME;
    start(world, &client);
    CHECK_TRUE("both end", run(world, 5000, have_ended));
    CHECK_INT("server", world->sides[SERVER].end, STREAM_END_TLS);
    CHECK_TRUE("the alert", strstr(stream_tls_error(world->sides[SERVER].stream),
                                   "alert bad certificate") != NULL);
    clear_world(world);
}

static void test_clear_octets(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options options = options_for(SERVER);

    (void)state;
    world->sides[SERVER].hold_back = 1000;
    stream_write(world->sides[CLIENT].stream, BYTES("MAIL FROM:<injected>\r\n"));
    run(world, 50, never);
    CHECK_TRUE("refused", !stream_start_tls(world->sides[SERVER].stream, &options));
    CHECK_TRUE("nothing begun", stream_tls_facts(world->sides[SERVER].stream).version == NULL);
    stream_consume(world->sides[SERVER].stream, stream_input(world->sides[SERVER].stream).len);
    CHECK_TRUE("consumed: begins", stream_start_tls(world->sides[SERVER].stream, &options));
    /* What still comes in clear is a handshake that fails, never input. */
    stream_write(world->sides[CLIENT].stream, BYTES("RCPT TO:<late>\r\n"));
    CHECK_TRUE("fails", run(world, 5000, has_server_ended));
    CHECK_INT("tls", world->sides[SERVER].end, STREAM_END_TLS);
    CHECK_INT("never input", world->sides[SERVER].got.len, 0);
    clear_world(world);
}

static void test_answer_in_clear_goes_out_first(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options server = options_for(SERVER), client = options_for(CLIENT);

    (void)state;
    stream_write(world->sides[SERVER].stream, BYTES("220 go\r\n"));
    stream_start_tls(world->sides[SERVER].stream, &server);
    CHECK_TRUE("in clear", run(world, 5000, is_client_line));
    CHECK_BYTES("220", strbuf_bytes(&world->sides[CLIENT].got), BYTES("220 go\r\n"));
    stream_start_tls(world->sides[CLIENT].stream, &client);
    CHECK_TRUE("secure", run(world, 5000, are_secure));
    strbuf_reset(&world->sides[CLIENT].got);
    check_dialogue(world);
    clear_world(world);
}

static bool is_client_settled(struct world *world)
{
    return world->sides[CLIENT].secures > 0 || world->sides[CLIENT].ends > 0;
}

static bool is_server_settled(struct world *world)
{
    return world->sides[SERVER].secures > 0 || world->sides[SERVER].ends > 0;
}

static bool is_client_secure(struct world *world)
{
    return world->sides[CLIENT].secures > 0;
}

static void start_impatient(struct world *world)
{
    struct stream_tls_options server = options_for(SERVER), client = options_for(CLIENT);

    server.timeout_ms = client.timeout_ms = 100; /* a spoilt length may only make it wait */
    stream_start_tls(world->sides[SERVER].stream, &server);
    stream_start_tls(world->sides[CLIENT].stream, &client);
}

/* Either side's octets end at each place of the handshake, or one of them is another one. */
static void test_cut_and_spoilt_handshakes(void **state)
{
    uint64_t whole[2];
    unsigned ignored = 0;
    struct world *world = new_world();

    (void)state;
    start(world, NULL);
    CHECK_TRUE("whole", run(world, 5000, is_client_secure));
    whole[SERVER] = world->passed[SERVER];
    CHECK_TRUE("whole", run(world, 5000, are_secure));
    whole[CLIENT] = world->passed[CLIENT];
    clear_world(world);
    for (int from = CLIENT; from <= SERVER; from++) {
        for (uint64_t at = 1; at < whole[from]; at += at < 12 ? 1 : 13) {
            for (int is_spoilt = 0; is_spoilt <= 1; is_spoilt++) {
                struct side *deaf;
                char name[60];

                snprintf(name, sizeof name, "%s of side %d at %d", is_spoilt ? "spoilt" : "cut",
                         from, (int)at);
                world = new_world();
                deaf = &world->sides[!from];
                *(is_spoilt ? &world->spoil[from] : &world->cut[from]) = at;
                start_impatient(world);
                CHECK_TRUE(name, run(world, 5000,
                                     from == CLIENT ? is_server_settled : is_client_settled));
                if (is_spoilt && deaf->secures > 0) {
                    ignored++; /* versions in front of records in clear mean nothing */
                } else {
                    CHECK_INT(name, deaf->secures, 0);
                    CHECK_INT(name, deaf->ends, 1);
                    CHECK_INT(name, deaf->end, STREAM_END_TLS);
                    CHECK_TRUE(name, stream_tls_error(deaf->stream)[0] != '\0');
                }
                clear_world(world);
            }
        }
    }
    CHECK_TRUE("few", ignored <= 8);
}

static void test_silence(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options client = options_for(CLIENT);
    uint64_t began_ms = clock_now_ms();

    (void)state;
    client.timeout_ms = 100;
    world->cut[SERVER] = 100;
    world->drops_end = true;
    start(world, &client);
    CHECK_TRUE("ends", run(world, 5000, has_client_ended));
    CHECK_TRUE("in time", clock_now_ms() - began_ms < 2000);
    CHECK_INT("tls", world->sides[CLIENT].end, STREAM_END_TLS);
    CHECK_TEXT("why", stream_tls_error(world->sides[CLIENT].stream),
               "handshake: the connection was timeout");
    clear_world(world);
}

static void test_garbage(void **state)
{
    static const struct {
        const char *name;
        struct bytes octets;
    } cases[] = {
        {"smtp", BYTES("500 what?\r\n500 what?\r\n")},
        {"zeros", BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        {"alert", BYTES("\x15\x03\x03\x00\x02\x02\x28")},
        {"huge record", BYTES("\x16\x03\x03\xff\xff\x02\x00\x00\x00\x00\x00\x00\x00")},
        {"data first", BYTES("\x17\x03\x03\x00\x05hello")},
        {"old version", BYTES("\x16\x03\x00\x00\x04\x02\x00\x00\x00\x00\x00\x00")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT);

        stream_write(world->sides[SERVER].stream, cases[i].octets);
        stream_start_tls(world->sides[CLIENT].stream, &client);
        CHECK_TRUE(cases[i].name, run(world, 5000, has_client_ended));
        CHECK_INT(cases[i].name, world->sides[CLIENT].end, STREAM_END_TLS);
        CHECK_INT(cases[i].name, world->sides[CLIENT].secures, 0);
        clear_world(world);
    }
}

/* ---- after the handshake ---- */

static bool is_all_there(struct world *world)
{
    return world->sides[SERVER].got.len >= 5 * 1024 * 1024;
}

static void test_large_writes(void **state)
{
    static const size_t chunks[] = {65536, 5000};

    (void)state;
    for (size_t k = 0; k < COUNT_OF(chunks); k++) {
        struct world *world = new_world();
        size_t size = 5 * 1024 * 1024;
        char *much = malloc(size);

        for (size_t i = 0; i < size; i++) {
            much[i] = (char)(i * 31 + i / 251);
        }
        world->chunk = chunks[k];
        start(world, NULL);
        CHECK_TRUE("secure", run(world, 5000, are_secure));
        stream_write(world->sides[CLIENT].stream, bytes_of(much, size));
        CHECK_TRUE("counted as it is sent",
                   stream_output_waiting(world->sides[CLIENT].stream) > size);
        CHECK_TRUE("all there", run(world, 10000, is_all_there));
        CHECK_TRUE("the same",
                   bytes_equal(strbuf_bytes(&world->sides[SERVER].got), bytes_of(much, size)));
        CHECK_INT("drained", world->sides[CLIENT].drains, 1);
        CHECK_INT("nothing waits", stream_output_waiting(world->sides[CLIENT].stream), 0);
        free(much);
        clear_world(world);
    }
}

/* A reader that does not read: the input stays at its limit, and nothing is lost after. */
static void test_slow_reader(void **state)
{
    struct world *world = new_world();
    struct side *server = &world->sides[SERVER];
    size_t size = 5 * 1024 * 1024;
    char *much = calloc(size, 1);

    (void)state;
    start(world, NULL);
    CHECK_TRUE("secure", run(world, 5000, are_secure));
    server->hold_back = SIZE_MAX;
    stream_write(world->sides[CLIENT].stream, bytes_of(much, size));
    run(world, 200, never);
    CHECK_INT("bounded", stream_input(server->stream).len, STREAM_INPUT_LIMIT);
    CHECK_TRUE("stopped", stream_output_waiting(world->sides[CLIENT].stream) > size / 2);
    server->hold_back = STREAM_INPUT_LIMIT / 2;
    strbuf_add(&server->got, bytes_first(stream_input(server->stream), 10));
    stream_consume(server->stream, 10);
    run(world, 300, is_all_there);
    server->hold_back = 0;
    CHECK_TRUE("goes on", run(world, 10000, is_all_there) ||
                              server->got.len + stream_input(server->stream).len == size);
    CHECK_INT("no end", server->ends, 0);
    free(much);
    clear_world(world);
}

static void test_spoilt_and_cut_data(void **state)
{
    (void)state;
    for (int is_spoilt = 0; is_spoilt <= 1; is_spoilt++) {
        struct world *world = new_world();

        start(world, NULL);
        CHECK_TRUE("secure", run(world, 5000, are_secure));
        run(world, 20, never); /* the tickets */
        if (is_spoilt) {
            world->spoil[CLIENT] = world->passed[CLIENT] + 20;
        } else {
            world->cut[CLIENT] = world->passed[CLIENT] + 20;
        }
        stream_write(world->sides[CLIENT].stream, BYTES("a message\r\n"));
        CHECK_TRUE("ends", run(world, 5000, has_server_ended));
        CHECK_INT("how", world->sides[SERVER].end, is_spoilt ? STREAM_END_TLS : STREAM_END_EOF);
        CHECK_INT("nothing of it", world->sides[SERVER].got.len, 0);
        clear_world(world);
    }
}

static void test_finish_from_inside(void **state)
{
    struct world *world = new_world();

    (void)state;
    world->sides[SERVER].closes_when_secure = true;
    start(world, NULL);
    CHECK_TRUE("ends", run(world, 5000, has_client_ended));
    CHECK_INT("a clean end", world->sides[CLIENT].end, STREAM_END_EOF);
    CHECK_TRUE("gone", world->sides[SERVER].stream == NULL);
    clear_world(world);
}

/* The last words of a stream that finishes arrive, and its own half stays open to be heard. */
static void test_last_words(void **state)
{
    struct world *world = new_world();

    (void)state;
    start(world, NULL);
    CHECK_TRUE("secure", run(world, 5000, are_secure));
    stream_write(world->sides[SERVER].stream, BYTES("221 bye\r\n"));
    stream_finish(&world->sides[SERVER].stream);
    CHECK_TRUE("ends", run(world, 5000, has_client_ended));
    CHECK_BYTES("words", strbuf_bytes(&world->sides[CLIENT].got), BYTES("221 bye\r\n"));
    CHECK_INT("a clean end", world->sides[CLIENT].end, STREAM_END_EOF);
    stream_write(world->sides[CLIENT].stream, BYTES("too late\r\n")); /* does no harm */
    run(world, 20, never);
    clear_world(world);
}

static void test_resumption(void **state)
{
    struct tls_session *session = NULL;

    (void)state;
    for (int round = 0; round < 4; round++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT), server = options_for(SERVER);
        struct stream_tls_facts facts;

        client.session = session;
        /* the last round: another server, which does not know it */
        server.context = round == 3 ? strange_context : server_context;
        stream_start_tls(world->sides[SERVER].stream, &server);
        stream_start_tls(world->sides[CLIENT].stream, &client);
        CHECK_TRUE("secure", run(world, 5000, are_secure));
        check_dialogue(world);
        facts = stream_tls_facts(world->sides[CLIENT].stream);
        CHECK_INT("client", facts.is_resumed, round == 1 || round == 2);
        CHECK_INT("server", stream_tls_facts(world->sides[SERVER].stream).is_resumed,
                  round == 1 || round == 2);
        CHECK_INT("verified", facts.is_verified, round != 3);
        tls_session_free(&session);
        session = stream_tls_session(world->sides[CLIENT].stream);
        CHECK_TRUE("a session", session != NULL);
        if (round % 2 == 0) {
            stream_finish(&world->sides[CLIENT].stream); /* however it is closed */
        }
        clear_world(world);
    }
    tls_session_free(&session);
}

/* A session that was begun without looking must not pass where one looks. */
static void test_unverified_session(void **state)
{
    struct tls_session *session = NULL;

    (void)state;
    for (int round = 0; round < 2; round++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT), server = options_for(SERVER);

        client.session = session;
        client.verify = round == 0 ? STREAM_TLS_VERIFY_NONE : STREAM_TLS_VERIFY_NAME;
        server.context = strange_context;
        stream_start_tls(world->sides[SERVER].stream, &server);
        stream_start_tls(world->sides[CLIENT].stream, &client);
        CHECK_TRUE("settled", run(world, 5000, is_client_settled));
        if (round == 0) {
            run(world, 20, never);
            session = stream_tls_session(world->sides[CLIENT].stream);
            CHECK_TRUE("a session", session != NULL);
        } else {
            CHECK_INT("refused", world->sides[CLIENT].end, STREAM_END_TLS);
            CHECK_INT("refused", world->sides[CLIENT].secures, 0);
        }
        clear_world(world);
    }
    tls_session_free(&session);
}

/* ---- a peer made of OpenSSL itself, for what ours would not do ---- */

struct rough_peer {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static bool drive_rough(struct world *world)
{
    (void)world;
    return true;
}

static void turn(struct world *world)
{
    run(world, 5, drive_rough);
    run(world, 3, never);
}

static struct rough_peer new_rough_server(struct world *world, int version)
{
    struct rough_peer peer = {.context = SSL_CTX_new(TLS_server_method())};

    SSL_CTX_use_certificate(peer.context, certificate.x509);
    SSL_CTX_use_PrivateKey(peer.context, certificate.key);
    SSL_CTX_set_max_proto_version(peer.context, version);
    SSL_CTX_set_min_proto_version(peer.context, version);
    SSL_CTX_set_security_level(peer.context, 0);
    peer.ssl = SSL_new(peer.context);
    peer.fd = world->wire[CLIENT];
    SSL_set_fd(peer.ssl, peer.fd);
    return peer;
}

static void shake_rough(struct world *world, struct rough_peer *peer)
{
    int was = world->wire[CLIENT];

    world->wire[CLIENT] = -1; /* the wire carries nothing, the peer reads for itself */
    for (int i = 0; i < 200 && world->sides[CLIENT].ends == 0 &&
                    (SSL_accept(peer->ssl) != 1 || world->sides[CLIENT].secures == 0);
         i++) {
        turn(world);
    }
    world->wire[CLIENT] = was;
}

static void clear_rough(struct rough_peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
}

static void test_versions(void **state)
{
    static const struct {
        int version;
        const char *want; /* NULL: refused */
    } cases[] = {
        {TLS1_3_VERSION, "TLSv1.3"}, {TLS1_2_VERSION, "TLSv1.2"}, {TLS1_1_VERSION, NULL}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT);
        struct rough_peer peer = new_rough_server(world, cases[i].version);

        stream_start_tls(world->sides[CLIENT].stream, &client);
        shake_rough(world, &peer);
        CHECK_INT("secure", world->sides[CLIENT].secures, cases[i].want != NULL);
        CHECK_TEXT("version", stream_tls_facts(world->sides[CLIENT].stream).version,
                   cases[i].want);
        clear_rough(&peer);
        clear_world(world);
    }
}

static void test_renegotiation_is_declined(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options client = options_for(CLIENT);
    struct rough_peer peer = new_rough_server(world, TLS1_2_VERSION);
    int was = world->wire[CLIENT];
    char octets[100];

    (void)state;
    stream_start_tls(world->sides[CLIENT].stream, &client);
    shake_rough(world, &peer);
    CHECK_INT("secure", world->sides[CLIENT].secures, 1);
    SSL_renegotiate(peer.ssl);
    SSL_do_handshake(peer.ssl); /* the request */
    world->wire[CLIENT] = -1;
    turn(world);
    world->wire[CLIENT] = was;
    ERR_clear_error();
    CHECK_TRUE("declined", SSL_read(peer.ssl, octets, sizeof octets) <= 0 &&
                               ERR_GET_REASON(ERR_peek_error()) == SSL_R_NO_RENEGOTIATION);
    CHECK_INT("once", world->sides[CLIENT].secures, 1);
    clear_rough(&peer);
    clear_world(world);
}

/* With finish the peer knows that nothing was cut off; with close it cannot. */
static void test_close_notify(void **state)
{
    (void)state;
    for (int is_finished = 0; is_finished <= 1; is_finished++) {
        struct world *world = new_world();
        struct stream_tls_options client = options_for(CLIENT);
        struct rough_peer peer = new_rough_server(world, TLS1_3_VERSION);
        char octets[100];

        stream_start_tls(world->sides[CLIENT].stream, &client);
        shake_rough(world, &peer);
        stream_write(world->sides[CLIENT].stream, BYTES("QUIT\r\n"));
        stream_flush(world->sides[CLIENT].stream);
        if (is_finished) {
            stream_finish(&world->sides[CLIENT].stream);
        } else {
            stream_close(&world->sides[CLIENT].stream);
        }
        world->wire[CLIENT] = -1;
        turn(world);
        world->wire[CLIENT] = peer.fd;
        CHECK_INT("all of it", SSL_read(peer.ssl, octets, sizeof octets), 6);
        CHECK_TRUE("then the end", SSL_read(peer.ssl, octets, sizeof octets) <= 0);
        CHECK_INT("how", SSL_get_shutdown(peer.ssl) == SSL_RECEIVED_SHUTDOWN, is_finished);
        clear_rough(&peer);
        clear_world(world);
    }
}

static void test_key_updates(void **state)
{
    struct world *world = new_world();
    struct stream_tls_options client = options_for(CLIENT);
    struct rough_peer peer = new_rough_server(world, TLS1_3_VERSION);

    (void)state;
    stream_start_tls(world->sides[CLIENT].stream, &client);
    shake_rough(world, &peer);
    world->wire[CLIENT] = -1;
    for (int i = 0; i < 20000 && world->sides[CLIENT].ends == 0; i++) {
        SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(peer.ssl);
        if (i % 200 == 199) {
            turn(world);
        }
    }
    CHECK_INT("not for ever", world->sides[CLIENT].end, STREAM_END_TLS);
    world->wire[CLIENT] = peer.fd;
    clear_rough(&peer);
    clear_world(world);
}

/* ---- ---- */

static struct tls_context *make_context(enum tls_role role, const struct test_certificate *own)
{
    struct tls_certificate pair = {{NULL, 0}, {NULL, 0}};
    struct tls_context_options options = {.role = role,
                                          .trusted = strbuf_bytes(&authority.chain)};
    struct strbuf why;
    struct tls_context *context;

    if (own != NULL) {
        pair =
            (struct tls_certificate){strbuf_bytes(&own->chain), strbuf_bytes(&own->key_text)};
        options.certificates = &pair;
        options.certificate_count = 1;
    }
    strbuf_init(&why, 1000);
    context = tls_context_new(&options, &why);
    CHECK_TEXT("context", strbuf_text(&why), "");
    strbuf_clear(&why);
    return context;
}

static int make_all(void **state)
{
    (void)state;
    make_certificate(&authority, NULL, NULL, false, 24);
    make_certificate(&certificate, "DNS:mx.example,DNS:*.wild.example,IP:192.0.2.7", &authority,
                     false, 24);
    make_certificate(&stranger, "DNS:mx.example", NULL, true, 24);
    make_certificate(&expired, "DNS:mx.example", &authority, false, 0);
    X509_gmtime_adj(X509_getm_notAfter(expired.x509), -60);
    X509_sign(expired.x509, authority.key, EVP_sha256());
    strbuf_reset(&expired.chain);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, expired.x509);
    add_pem(&expired.chain, bio);
    client_context = make_context(TLS_CLIENT, NULL);
    server_context = make_context(TLS_SERVER, &certificate);
    strange_context = make_context(TLS_SERVER, &stranger);
    expired_context = make_context(TLS_SERVER, &expired);
    return 0;
}

static int clear_all(void **state)
{
    (void)state;
    clear_certificate(&authority);
    clear_certificate(&certificate);
    clear_certificate(&stranger);
    clear_certificate(&expired);
    tls_context_drop(&client_context);
    tls_context_drop(&server_context);
    tls_context_drop(&strange_context);
    tls_context_drop(&expired_context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_byte_by_byte),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_the_server_shows),
        cmocka_unit_test(test_refused_verification_is_told),
        cmocka_unit_test(test_clear_octets),
        cmocka_unit_test(test_answer_in_clear_goes_out_first),
        cmocka_unit_test(test_cut_and_spoilt_handshakes),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_large_writes),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_spoilt_and_cut_data),
        cmocka_unit_test(test_finish_from_inside),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_unverified_session),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_renegotiation_is_declined),
        cmocka_unit_test(test_close_notify),
        cmocka_unit_test(test_key_updates),
    };

    return cmocka_run_group_tests(tests, make_all, clear_all);
}
