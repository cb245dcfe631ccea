/*
 * inbound_world - a server of sessions on a real loop, with a queue and a state store that the test
 * plays, and clients at the other end of socket pairs.
 *
 * Use      include it in one test file: its queue_submit, state_store_get and so on take the place of
 *          the real ones. say() sends, waits for as many replies as it is to get, and compares.
 * Replies  "250/2.1.0": code and enhanced code; "end": the connection was closed behind the last.
 */
#ifndef TESTS_INBOUND_WORLD_H
#define TESTS_INBOUND_WORLD_H

#include "support/check.h"

#include "base/memory.h"
#include "forward/alias_check.h"
#include "forward/delivery_route.h"
#include "inbound/inbound_server.h"
#include "io/clock.h"
#include "unit/io/loop_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* As run_until, but as fast as the loop turns. */
static inline void turn(void *context)
{
    struct loop_driver *driver = context;

    driver->was_done = driver->is_done(driver->context);
    if (driver->was_done || clock_now_ms() > driver->deadline_ms) {
        event_loop_stop(driver->loop);
        return;
    }
    loop_timer_set(driver->timer, 0);
}

static inline bool turn_until(struct event_loop *loop, bool (*is_done)(void *context),
                              void *context)
{
    struct loop_driver driver = {.loop = loop, .is_done = is_done, .context = context};

    driver.deadline_ms = clock_now_ms() + 10000;
    driver.timer = loop_timer_new(loop, turn, &driver);
    loop_timer_set(driver.timer, 0);
    event_loop_run(loop);
    loop_timer_free(&driver.timer);
    return driver.was_done;
}

/* -- the queue, played -- */

struct queue_ticket {
    queue_done done;
    void *context;
    struct loop_task task;
    enum queue_verdict verdict;
};

struct queue {
    struct event_loop *loop;
    bool is_held;                /* answers wait for answer_queue */
    enum queue_verdict verdict;  /* of the answers */
    struct queue_ticket *ticket; /* open, or NULL */
    unsigned submitted, abandoned, hurried;
    char envelope[1024];   /* of the last: "from=... kind=... 8bit=..." */
    char deliveries[8192]; /* "address<sender@destination" a line, in order */
    char prefix[4096];
    struct strbuf content;
    uint64_t id;
    const char *held_why; /* of the last; NULL: it is not held */
};

static inline void answer_ticket(void *context)
{
    struct queue_ticket *ticket = context;

    struct queue_answer answer = {.verdict = ticket->verdict,
                                  .code = 550,
                                  .enhanced = "5.1.1",
                                  .text = BYTES("refused by the next hop")};

    ticket->done(ticket->context, &answer);
    free(ticket);
}

static inline void answer_queue(struct queue *queue, enum queue_verdict verdict)
{
    struct queue_ticket *ticket = queue->ticket;

    assert_non_null(ticket);
    queue->ticket = NULL;
    ticket->verdict = verdict;
    answer_ticket(ticket);
}

static inline void note_submission(struct queue *queue,
                                   const struct queue_submission *submission)
{
    const struct envelope *envelope = submission->envelope;
    char *at = queue->deliveries;
    size_t room = sizeof queue->deliveries;
    size_t got = 0, size = (size_t)content_size(submission->content);
    char *octets = memory_alloc(size + 1);

    snprintf(queue->envelope, sizeof queue->envelope,
             "from=" BYTES_FMT " %s 8bit=%d auto=%d utf8=%d%d ret=%d envid=" BYTES_FMT
             " ip=" BYTES_FMT " helo=" BYTES_FMT,
             BYTES_ARG(envelope->sender),
             envelope->kind == ENVELOPE_RETURN ? "return" : "forward", envelope->is_8bit,
             envelope->is_auto_submitted, envelope->is_utf8, envelope->is_utf8_header,
             envelope->ret, BYTES_ARG(envelope->envid), BYTES_ARG(envelope->client_ip),
             BYTES_ARG(envelope->client_helo));
    queue->deliveries[0] = '\0';
    for (size_t i = 0; i < submission->count && room > 600; i++) {
        const struct queue_recipient *recipient = &submission->recipients[i];
        char wishes[600] = "";
        if (recipient->notify != 0 || recipient->orcpt.len > 0) {
            snprintf(wishes, sizeof wishes, " notify=%u orcpt=" BYTES_FMT, recipient->notify,
                     BYTES_ARG(recipient->orcpt));
        }
        int used = snprintf(at, room, BYTES_FMT " for " BYTES_FMT " at " BYTES_FMT "%s%s\n",
                            BYTES_ARG(recipient->address), BYTES_ARG(recipient->alias),
                            BYTES_ARG(recipient->destination),
                            srs_is_srs(recipient->sender) ? " srs" : "", wishes);
        at += used;
        room -= (size_t)used;
    }
    snprintf(queue->prefix, sizeof queue->prefix, BYTES_FMT, BYTES_ARG(submission->prefix));
    assert_true(content_read(submission->content, 0, octets, size, &got));
    strbuf_reset(&queue->content);
    strbuf_add(&queue->content, bytes_of(octets, got));
    free(octets);
    queue->id = submission->id;
    queue->held_why = submission->held_why;
}

struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, queue_done done,
                                  void *context)
{
    struct queue_ticket *ticket = memory_zero(sizeof *ticket);

    queue->submitted++;
    note_submission(queue, submission);
    *ticket =
        (struct queue_ticket){.done = done, .context = context, .verdict = queue->verdict};
    if (queue->is_held) {
        queue->ticket = ticket;
    } else {
        ticket->task = (struct loop_task){.run = answer_ticket, .context = ticket};
        event_loop_post(queue->loop, &ticket->task);
    }
    return ticket;
}

static inline void ignore_answer(void *context, const struct queue_answer *answer)
{
    (void)context, (void)answer;
}

static struct queue *abandoning; /* whose tickets are given up: there is one queue a test */

void queue_ticket_abandon(struct queue_ticket **ticket)
{
    if (*ticket != NULL) {
        abandoning->abandoned++;
        (*ticket)->done = ignore_answer;
        *ticket = NULL;
    }
}

void queue_ticket_hurry(struct queue_ticket *ticket)
{
    if (ticket != NULL) {
        abandoning->hurried++;
    }
}

/* -- the state store, played -- */

struct state_request {
    struct state_request *next;
    void *context;
    void (*put_done)(void *context, enum state_status status);
    void (*get_done)(void *context, enum state_status status, struct bytes value);
    void (*count_done)(void *context, enum state_status status, uint64_t count);
    struct bytes key, value; /* borrowed: ASan finds what was not kept */
};

struct state_store {
    bool is_held;
    enum state_status status; /* of the answers; OK: what is stored */
    struct state_request *first;
    struct event_loop *loop;
    struct loop_task task;
    char key[256], value[1024]; /* the one entry it has */
    unsigned gets, puts;
    unsigned counts;
    char counted[64];     /* the kind of key that `count` is about */
    uint64_t count;       /* how often that was used so far */
    uint64_t count_limit; /* that was asked with */
    char counted_key[1024];
};

static inline void answer_request(struct state_store *store, struct state_request *request)
{
    enum state_status status = store->status;

    if (request->count_done != NULL) {
        bool is_meant = bytes_starts_with(request->key, bytes_from_text(store->counted));
        request->count_done(request->context, status, is_meant ? ++store->count : 1);
    } else if (request->put_done != NULL) {
        snprintf(store->key, sizeof store->key, BYTES_FMT, BYTES_ARG(request->key));
        snprintf(store->value, sizeof store->value, BYTES_FMT, BYTES_ARG(request->value));
        request->put_done(request->context, status);
    } else if (status == STATE_OK && bytes_equal(request->key, bytes_from_text(store->key))) {
        char *value = strdup(store->value); /* good during the callback only */
        request->get_done(request->context, STATE_OK, bytes_from_text(value));
        free(value);
    } else {
        request->get_done(request->context, status == STATE_OK ? STATE_MISSING : status,
                          BYTES(""));
    }
    free(request);
}

static inline void state_answer(void *context)
{
    struct state_store *store = context;

    while (store->first != NULL) {
        struct state_request *request = store->first;
        store->first = request->next;
        answer_request(store, request);
    }
}

static inline void take_request(struct state_store *store, struct event_loop *loop,
                                struct state_request request)
{
    struct state_request *copy = memory_alloc(sizeof *copy);
    struct state_request **last = &store->first;

    *copy = request;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = copy;
    if (!store->is_held && !store->task.is_pending) {
        store->task = (struct loop_task){.run = state_answer, .context = store};
        event_loop_post(loop, &store->task);
    }
}

void state_store_put(struct state_store *store, struct event_loop *loop, struct bytes key,
                     struct bytes value, int64_t expires_unix_ms,
                     void (*done)(void *context, enum state_status status), void *context)
{
    assert_true(expires_unix_ms > clock_unix_ms());
    store->puts++;
    take_request(store, loop,
                 (struct state_request){
                     .context = context, .put_done = done, .key = key, .value = value});
}

void state_store_remember(struct state_store *store, struct event_loop *loop, struct bytes key,
                          struct bytes value, int64_t expires_unix_ms,
                          void (*done)(void *context, enum state_status status), void *context)
{
    state_store_put(store, loop, key, value, expires_unix_ms, done, context);
}

void state_store_get(struct state_store *store, struct event_loop *loop, struct bytes key,
                     void (*done)(void *context, enum state_status status, struct bytes value),
                     void *context)
{
    store->gets++;
    take_request(store, loop,
                 (struct state_request){.context = context, .get_done = done, .key = key});
}

void state_store_count(struct state_store *store, struct event_loop *loop, struct bytes key,
                       uint64_t limit, int64_t expires_unix_ms,
                       void (*done)(void *context, enum state_status status, uint64_t count),
                       void *context)
{
    assert_true(expires_unix_ms > clock_unix_ms());
    store->counts++;
    store->count_limit = limit;
    /* The key is copied by the store: here for as long as the request lives, and a little longer. */
    snprintf(store->counted_key, sizeof store->counted_key, BYTES_FMT, BYTES_ARG(key));
    take_request(store, loop,
                 (struct state_request){.context = context,
                                        .count_done = done,
                                        .key = bytes_from_text(store->counted_key)});
}

/* -- what asks other servers about recipients, played -- */

struct recipient_probe {
    struct recipient_prober *prober;
    void (*on_done)(void *context, const struct probe_result *result);
    void *context;
};

/* Addresses that begin with "known" are known at once: "known-no" is refused, others are taken. */
struct recipient_prober {
    struct recipient_probe *open; /* the last question, until it is answered */
    unsigned asked, cancelled;
    char questions[1024]; /* "address@destination 10000" a line */
};

static const struct probe_result world_taken = {
    .verdict = PROBE_ACCEPTED,
    .answer = {.code = 250, .enhanced = "2.1.5", .text = {"ok", 2}},
};
static const struct probe_result world_refused = {
    .verdict = PROBE_REFUSED,
    .answer = {true, true, 556, "5.1.99", {"<anna@x.test> is not here", 25}},
};

struct recipient_probe *
recipient_probe_start(struct recipient_prober *prober, const struct probe_request *request,
                      struct probe_result *result,
                      void (*on_done)(void *context, const struct probe_result *result),
                      void *context)
{
    size_t at = strlen(prober->questions);

    prober->asked++;
    snprintf(prober->questions + at, sizeof prober->questions - at,
             "%s" BYTES_FMT " " BYTES_FMT, at > 0 ? "\n" : "", BYTES_ARG(request->address),
             BYTES_ARG(request->destination));
    if (bytes_starts_with(request->address, BYTES("known"))) {
        *result = bytes_starts_with(request->address, BYTES("known-no")) ? world_refused
                                                                         : world_taken;
        return NULL;
    }
    prober->open = memory_zero(sizeof *prober->open);
    *prober->open =
        (struct recipient_probe){.prober = prober, .on_done = on_done, .context = context};
    return prober->open;
}

void recipient_probe_cancel(struct recipient_probe **probe)
{
    if (*probe != NULL) {
        (*probe)->prober->cancelled++;
        (*probe)->prober->open = NULL;
        free(*probe);
        *probe = NULL;
    }
}

static inline void answer_probe(struct recipient_prober *prober,
                                const struct probe_result *result)
{
    struct recipient_probe probe = *prober->open;

    free(prober->open);
    prober->open = NULL;
    probe.on_done(probe.context, result);
}

/* -- the server -- */

static const char WORLD_ALIASES[] = "postmaster: admin@mail.test\n"
                                    "info: anna@x.test, bob@Y.test\n"
                                    "anna: anna@x.test\n"
                                    "case: anna@X.TEST\n"
                                    "no: :refuse: 553 5.7.27 Not for you\n"
                                    "later: :defer:\n"
                                    "void: :discard:\n"
                                    "j\xc3\xb6rg: anna@x.test\n"
                                    "uni: \xc3\xa4@x.test, bob@b\xc3\xbc"
                                    "cher.test\n";

enum { WORLD_CLIENTS = 64, HEARD_LIMIT = 16 * 1024 * 1024 };

struct client {
    int fd;
    struct strbuf heard;
    size_t told; /* octets of it that were compared already */
    bool has_ended;
    bool is_deaf; /* never reads */
    size_t want;  /* replies waited for */
};

struct world {
    struct event_loop *loop;
    struct queue queue;
    struct state_store state;
    struct message_id_source ids;
    struct alias_table *aliases;
    struct srs_secret secret;
    struct srs_options srs;
    struct delivery_route_table routes;
    struct inbound_options options;
    struct inbound_server *server;
    struct inbound_ledger *ledger;
    struct client clients[WORLD_CLIENTS];
    size_t client_count;
    bool is_bytewise;
    struct shared snapshot;
    unsigned idle;
};

static inline void fail_on_problem(void *context, const struct alias_problem *problem)
{
    (void)context;
    fail_msg("alias: %s", problem->message);
}

static inline void keep_snapshot(struct shared *shared)
{
    (void)shared;
}

static inline void world_set_options(struct world *world)
{
    world->secret = (struct srs_secret){BYTES("0123456789abcdef"), false};
    world->srs = (struct srs_options){.separator = '=',
                                      .max_age_days = 21,
                                      .secrets = &world->secret,
                                      .secret_count = 1,
                                      .is_own_domain = alias_table_is_own_domain,
                                      .own_domain_context = world->aliases};
    world->options = (struct inbound_options){
        .snapshot = &world->snapshot,
        .hostname = BYTES("mx.test"),
        .routes = {.aliases = world->aliases,
                   .srs = &world->srs,
                   .srs_domain = BYTES("srs.test")},
        .long_sender = LONG_SENDER_STORE,
        .delivery_routes = &world->routes,
        .loop_secret = BYTES("loop secret"),
        .spool_directory = "/tmp",
        .message_size = 4096,
        .header_size = 1024,
        .recipients = 3,
        .errors = 1000,
        .hops = 3,
        .command_timeout_ms = 60000,
        .data_timeout_ms = 60000,
        .min_rate = 1024,
    };
}

static inline void world_init(struct world *world)
{
    struct alias_report report = {fail_on_problem, NULL};

    *world = (struct world){.loop = event_loop_new()};
    world->aliases = alias_table_new((struct siphash_key){{3, 4}});
    alias_table_add_domain(world->aliases, BYTES("own.test"), BYTES(""));
    alias_table_add_own_name(world->aliases, BYTES("mx.test"), false);
    alias_table_add_own_name(world->aliases, BYTES("srs.test"), true);
    alias_table_add_text(world->aliases, 0, 0, bytes_from_text(WORLD_ALIASES), &report);
    shared_init(&world->snapshot, keep_snapshot);
    world_set_options(world);
    world->queue.loop = world->loop;
    world->queue.verdict = QUEUE_SAFE;
    strbuf_init(&world->queue.content, HEARD_LIMIT);
    abandoning = &world->queue;
    world->server = inbound_server_new(world->loop, &world->queue, &world->ids, &world->state,
                                       &world->options);
    world->ledger = inbound_ledger_new();
    inbound_server_set_ledger(world->server, world->ledger);
}

static inline void world_clear(struct world *world)
{
    inbound_server_free(&world->server);
    CHECK_INT("after the end", inbound_ledger_sessions(world->ledger), 0);
    inbound_ledger_free(&world->ledger);
    CHECK_INT("after the end", atomic_load(&world->snapshot.holders), 1);
    if (world->queue.ticket != NULL) {
        answer_queue(&world->queue, QUEUE_FAILED);
    }
    state_answer(&world->state);
    for (size_t i = 0; i < world->client_count; i++) {
        if (world->clients[i].fd >= 0) {
            close(world->clients[i].fd);
        }
        strbuf_clear(&world->clients[i].heard);
    }
    strbuf_clear(&world->queue.content);
    alias_table_free(&world->aliases);
    event_loop_free(&world->loop);
}

/* -- clients -- */

/* What the client has heard and not compared yet: "220 250/2.1.0 end"; returns how many. */
static inline size_t describe_replies(const struct client *client, char *out, size_t room)
{
    struct bytes rest = bytes_skip(strbuf_bytes(&client->heard), client->told);
    size_t count = 0;

    out[0] = '\0';
    while (rest.len > 4) {
        size_t end = bytes_find(rest, '\n');
        struct bytes line = bytes_first(rest, end);
        bool is_last = line.data[3] == ' ';
        size_t enhanced = bytes_find(bytes_skip(line, 4), ' ');
        size_t at = strlen(out);
        if (end == rest.len) {
            break;
        }
        rest = bytes_skip(rest, end + 1);
        if (!is_last) {
            continue;
        }
        count++;
        snprintf(out + at, room - at, "%s%.3s", at > 0 ? " " : "", line.data);
        if (enhanced >= 5 && line.data[5] == '.' && line.data[4] == line.data[0]) {
            at = strlen(out);
            snprintf(out + at, room - at, "/%.*s", (int)enhanced, line.data + 4);
        }
    }
    if (client->has_ended) {
        size_t at = strlen(out);
        snprintf(out + at, room - at, "%send", at > 0 ? " " : "");
        count++;
    }
    return count;
}

static inline void listen_to(struct client *client)
{
    char octets[4096];
    ssize_t got;

    while (!client->is_deaf && !client->has_ended && client->fd >= 0) {
        got = recv(client->fd, octets, sizeof octets, MSG_DONTWAIT);
        if (got > 0) {
            strbuf_add(&client->heard, bytes_of(octets, (size_t)got));
        } else if (got == 0 || errno != EAGAIN) {
            client->has_ended = true;
        } else {
            return;
        }
    }
}

static inline bool has_heard_enough(void *context)
{
    struct client *client = context;
    char replies[65536];

    listen_to(client);
    return describe_replies(client, replies, sizeof replies) >= client->want;
}

static inline bool is_soon(void *context)
{
    unsigned *turns = context;

    return (*turns)-- == 0;
}

static inline void some_turns(struct world *world, unsigned turns)
{
    turn_until(world->loop, is_soon, &turns);
}

static inline void client_send(struct world *world, struct client *client, struct bytes octets)
{
    size_t step = world->is_bytewise ? 1 : 32768;

    for (size_t at = 0; at < octets.len;) {
        size_t len = octets.len - at < step ? octets.len - at : step;
        ssize_t sent = send(client->fd, octets.data + at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        if (sent < 0 && errno != EAGAIN) {
            return; /* hung up on */
        }
        some_turns(world, 1);
    }
}

static inline size_t count_words(const char *text)
{
    size_t count = text[0] != '\0';

    for (; *text != '\0'; text++) {
        count += *text == ' ';
    }
    return count;
}

/* Waits for the replies in `want` and sees that no others come. */
static inline void hear(struct world *world, struct client *client, const char *name,
                        const char *want)
{
    char got[65536];

    client->want = count_words(want);
    turn_until(world->loop, has_heard_enough, client);
    some_turns(world, 1);
    listen_to(client);
    describe_replies(client, got, sizeof got);
    CHECK_TEXT(name, got, want);
    client->told = strbuf_bytes(&client->heard).len;
}

static inline void say_bytes(struct world *world, struct client *client, const char *name,
                             struct bytes octets, const char *want)
{
    client_send(world, client, octets);
    hear(world, client, name, want);
}

static inline void say(struct world *world, struct client *client, const char *text,
                       const char *want)
{
    say_bytes(world, client, text, bytes_from_text(text), want);
}

/* A connection from 192.0.2.7; the banner is still to be heard. */
static inline struct client *world_connect(struct world *world)
{
    struct client *client = &world->clients[world->client_count++ % WORLD_CLIENTS];
    struct stream_accepted accepted = {.peer = {.port = 4000}};
    struct ledger_stay stay;
    int pair[2];

    if (world->client_count > WORLD_CLIENTS) {
        world->client_count = WORLD_CLIENTS;
        client = &world->clients[WORLD_CLIENTS - 1];
        close(client->fd);
        strbuf_clear(&client->heard);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    assert_true(ip_address_parse(BYTES("192.0.2.7"), &accepted.peer.address));
    *client = (struct client){.fd = pair[0]};
    strbuf_init(&client->heard, HEARD_LIMIT);
    accepted.handle = pair[1];
    assert_int_equal(inbound_ledger_enter(world->ledger, &accepted.peer.address,
                                          &world->options.limits,
                                          event_loop_now_ms(world->loop), &stay),
                     CLIENT_WELCOME);
    inbound_accept(world->server, &accepted, &stay);
    return client;
}

static inline struct client *world_greet(struct world *world)
{
    struct client *client = world_connect(world);

    hear(world, client, "banner", "220");
    say(world, client, "EHLO client.test\r\n", "250");
    return client;
}

static inline void client_end(struct client *client)
{
    shutdown(client->fd, SHUT_WR);
}

static inline void client_reset(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

static inline bool has_no_session(void *context)
{
    return inbound_session_count(context) == 0;
}

/* All sessions have ended, and their memory is gone. */
static inline void world_quiet(struct world *world, const char *name)
{
    CHECK_TRUE(name, turn_until(world->loop, has_no_session, world->server));
    CHECK_INT(name, inbound_ledger_sessions(world->ledger), 0);
    some_turns(world, 1);
}

#endif
