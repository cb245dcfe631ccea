/*
 * A whole session of room inbound, on the simulated world, against any client: what it says is held
 * against session_model (each command answered once and in order, nothing behind the end, each content
 * comes out once, as it is, and never as commands), its phase and its memory are looked at after every
 * event, and when the client falls silent it ends by itself.
 *
 * Input   four octets of options (seed of the world, that is: how the network cuts and when; what the
 *         queue answers; what kind of listener), then what the client sends, all at once.
 */
#include "inbound_session.h"

#include "fuzz/session_model.h"
#include "fuzz/session_mutator.h"

#include "base/memory.h"
#include "forward/alias_check.h"
#include "forward/alias_table.h"
#include "forward/delivery_route.h"
#include "io/listener.h"
#include "protocol/proxy_header.h"
#include "support/io_sim/sim_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    QUIET_MS = 5 * 1000, /* less than any wait */
    PATIENCE_MS = 60 * 1000,
    ALL_WAITS_MS = 60 * 60 * 1000,
    REPLIES_MOST = 8192,
    TRANSACTION_MOST = 512 * 1024, /* octets of its arena: three recipients and one line each */
    OUTPUT_MOST = STREAM_OUTPUT_HIGH + 8192 * 2,
};

/* Of the second and third octet of the input. */
enum { OPTION_PROXY = 1, OPTION_TRUSTED = 2, OPTION_JUDGING = 4, OPTION_TLS_OFF = 8 };

/* ---- the queue, played ---- */

struct queue_ticket {
    struct queue *queue;
    queue_done done;
    void *context;
    struct loop_task task;
    enum queue_verdict verdict;
};

struct queue {
    struct event_loop *loop;
    unsigned verdicts; /* two bits for each message in turn */
    struct model_submission submissions[MODEL_SUBMISSIONS];
    size_t count;
};

static void answer_ticket(void *context)
{
    struct queue_ticket *ticket = context;
    struct queue_answer answer = {.verdict = ticket->verdict,
                                  .code = 550,
                                  .enhanced = "5.1.1",
                                  .text = BYTES("refused by the next hop")};

    if (ticket->done != NULL) {
        ticket->done(ticket->context, &answer);
    }
    free(ticket);
}

struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, queue_done done,
                                  void *context)
{
    static const enum queue_verdict VERDICTS[] = {QUEUE_SAFE, QUEUE_REFUSED, QUEUE_FULL,
                                                  QUEUE_FAILED};
    struct queue_ticket *ticket = memory_zero(sizeof *ticket);
    size_t size = (size_t)content_size(submission->content), got = 0;
    struct model_submission *kept = &queue->submissions[queue->count];
    char *octets = memory_alloc(size + 1);

    require(queue->count < MODEL_SUBMISSIONS && submission->count > 0 && size <= MODEL_MESSAGE);
    ticket->verdict = VERDICTS[queue->verdicts >> queue->count % 4 * 2 & 3];
    require(content_read(submission->content, 0, octets, size, &got) && got == size);
    strbuf_init(&kept->content, SIZE_MAX / 2);
    strbuf_add(&kept->content, bytes_of(octets, size));
    kept->verdict = ticket->verdict;
    queue->count++;
    free(octets);
    ticket->queue = queue;
    ticket->done = done;
    ticket->context = context;
    ticket->task = (struct loop_task){.run = answer_ticket, .context = ticket};
    event_loop_post(queue->loop, &ticket->task);
    return ticket;
}

void queue_ticket_abandon(struct queue_ticket **ticket)
{
    if (*ticket != NULL) {
        (*ticket)->done = NULL;
        *ticket = NULL;
    }
}

void queue_ticket_hurry(struct queue_ticket *ticket)
{
    (void)ticket; /* it is answered in the next turn anyway */
}

/* ---- the world ---- */

static const char ALIASES[] = "postmaster: admin@mail.test\n"
                              "info: anna@x.test, bob@Y.test\n"
                              "no: :refuse: 553 5.7.27 Not for you\n"
                              "later: :defer:\n"
                              "void: :discard:\n"
                              "j\xc3\xb6rg: anna@x.test\n";

struct scene {
    struct event_loop *loop;
    struct queue queue;
    struct state_store *state;
    struct dns_resolver *resolver;
    struct message_id_source ids;
    struct alias_table *aliases;
    struct srs_secret secret;
    struct srs_options srs;
    struct delivery_route_table routes;
    struct ip_network trusted;
    struct inbound_options options;
    struct inbound_server *server;
    struct inbound_door door;
    struct listener *listener;
    /* the client */
    struct stream *client;
    struct bytes said;
    struct strbuf heard;
    bool has_ended, is_connected;
};

static void ignore_problem(void *context, const struct alias_problem *problem)
{
    (void)context, (void)problem;
}

static void make_options(struct scene *scene, unsigned options)
{
    struct alias_report report = {.problem = ignore_problem};

    scene->aliases = alias_table_new((struct siphash_key){{1, 2}});
    alias_table_add_domain(scene->aliases, BYTES("own.test"), BYTES(""));
    alias_table_add_own_name(scene->aliases, BYTES("mx.test"), false);
    alias_table_add_own_name(scene->aliases, BYTES("srs.test"), true);
    alias_table_add_text(scene->aliases, 0, 0, bytes_from_text(ALIASES), &report);
    scene->secret = (struct srs_secret){.octets = BYTES("0123456789abcdef")};
    scene->srs = (struct srs_options){.separator = '=',
                                      .max_age_days = 21,
                                      .secrets = &scene->secret,
                                      .secret_count = 1,
                                      .is_own_domain = alias_table_is_own_domain,
                                      .own_domain_context = scene->aliases};
    require(ip_network_parse(BYTES("198.51.100.0/24"), &scene->trusted));
    scene->options = (struct inbound_options){
        .hostname = BYTES("mx.test"),
        .routes = {.aliases = scene->aliases,
                   .srs = &scene->srs,
                   .srs_domain = BYTES("srs.test")},
        .long_sender = LONG_SENDER_STORE,
        .delivery_routes = &scene->routes,
        .loop_secret = BYTES("loop secret"),
        .spool_directory = "/spool",
        .message_size = MODEL_MESSAGE,
        .header_size = MODEL_HEADER,
        .recipients = MODEL_RECIPIENTS,
        .errors = MODEL_ERRORS,
        .hops = MODEL_HOPS,
        .command_timeout_ms = PATIENCE_MS,
        .data_timeout_ms = PATIENCE_MS,
        .min_rate = 1024,
        .authenticate = (options & OPTION_JUDGING) != 0,
        .auth_timeout_ms = PATIENCE_MS,
        .trusted = &scene->trusted,
        .trusted_count = (options & (OPTION_TRUSTED | OPTION_PROXY)) != 0,
    };
    scene->door.is_proxied = (options & OPTION_PROXY) != 0;
    scene->door.tls = options & OPTION_TLS_OFF ? INBOUND_TLS_OFF : INBOUND_TLS_STARTTLS;
}

static void on_accept(void *context, const struct stream_accepted *accepted)
{
    struct scene *scene = context;

    inbound_accept_by(scene->server, accepted, NULL, &scene->door);
}

static void on_connected(void *context)
{
    struct scene *scene = context;

    scene->is_connected = true;
    stream_write(scene->client, scene->said);
}

static void on_heard(void *context)
{
    struct scene *scene = context;
    struct bytes input = stream_input(scene->client);

    require(!scene->has_ended);
    strbuf_add(&scene->heard, input);
    stream_consume(scene->client, input.len);
}

static void on_client_end(void *context, enum stream_end end)
{
    struct scene *scene = context;

    (void)end;
    scene->has_ended = true;
}

static void begin(struct scene *scene, const uint8_t *data, struct bytes said)
{
    static const struct stream_callbacks callbacks = {on_connected, on_heard, NULL,
                                                      on_client_end};
    struct dns_resolver_options dns = {0};
    struct ip_endpoint address;
    struct strbuf why;

    strbuf_init(&why, 1000);
    sim_world_new(data[0] % 64);
    sim_dns_add_address("far.test", "192.0.2.8");
    scene->loop = event_loop_new();
    scene->queue.loop = scene->loop;
    scene->queue.verdicts = data[1];
    scene->state = state_store_open("/state", 1000, &why);
    make_options(scene, data[2]);
    scene->server = inbound_server_new(scene->loop, &scene->queue, &scene->ids, scene->state,
                                       &scene->options);
    if (scene->options.authenticate) {
        scene->resolver = dns_resolver_new(scene->loop, &dns, &why);
        inbound_server_set_resolver(scene->server, scene->resolver);
    }
    ip_endpoint_parse(BYTES("192.0.2.25:25"), 0, &address);
    scene->listener = listener_open(&address, &why);
    listener_start(scene->listener, scene->loop, on_accept, scene);
    scene->said = said;
    strbuf_init(&scene->heard, SIZE_MAX / 2);
    scene->client =
        stream_connect(sim_peer_loop(), &address, NULL, PATIENCE_MS, &callbacks, scene);
    strbuf_clear(&why);
}

static void end(struct scene *scene)
{
    stream_close(&scene->client);
    listener_close(&scene->listener);
    state_store_close(&scene->state);
    inbound_server_free(&scene->server);
    dns_resolver_free(&scene->resolver);
    sim_loop_run_leftovers(scene->loop);
    event_loop_free(&scene->loop);
    alias_table_free(&scene->aliases);
    for (size_t i = 0; i < scene->queue.count; i++) {
        strbuf_clear(&scene->queue.submissions[i].content);
    }
    strbuf_clear(&scene->heard);
    sim_world_free();
}

/* ---- the properties ---- */

static void check_session(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    enum smtp_phase phase = session->dialogue.phase;

    require(!session->is_closed && phase < SMTP_PHASE_CLOSING);
    require(arena_used(transaction->arena) <= TRANSACTION_MOST);
    require(arena_used(session->server->command_arena) <= TRANSACTION_MOST);
    require(transaction->header.len <= MODEL_HEADER + STREAM_INPUT_LIMIT);
    require(stream_output_waiting(session->stream) <= OUTPUT_MOST);
    require(transaction->recipient_count <= MODEL_RECIPIENTS);
    require(transaction->content == NULL ||
            content_size(transaction->content) <= MODEL_MESSAGE);
    require((phase == SMTP_PHASE_CONTENT) == (transaction->content != NULL));
    require(phase != SMTP_PHASE_RECIPIENT || transaction->recipient_count > 0);
    require(phase >= SMTP_PHASE_SENDER || transaction->recipient_count == 0);
    require(phase >= SMTP_PHASE_CONTENT || transaction->id == 0);
    require(session->chunk.left <= MODEL_EXCESS * MODEL_MESSAGE);
    require(session->errors < MODEL_ERRORS);
}

/* Asked by the world after every event. */
static bool look(void *context)
{
    struct scene *scene = context;
    struct list *sessions = &scene->server->sessions;

    for (struct list *node = sessions->next; node != sessions; node = node->next) {
        check_session(list_owner(node, struct inbound_session, node));
    }
    return false;
}

/* The codes of all replies; each has to be one. */
static size_t read_replies(struct bytes heard, unsigned *codes)
{
    unsigned before = 0; /* of the line before, when it was not the last of its reply */
    size_t count = 0;

    while (heard.len > 0) {
        size_t len = bytes_find_part(heard, BYTES("\r\n"));
        struct bytes line = bytes_first(heard, len);
        unsigned code = 0;

        require(len < heard.len && len >= 4 && len < 512 && bytes_find(line, '\n') == len &&
                bytes_find(line, '\r') == len && bytes_find(line, '\0') == len);
        for (size_t i = 0; i < 3; i++) {
            require(line.data[i] >= '0' && line.data[i] <= '9');
            code = code * 10 + (unsigned)(line.data[i] - '0');
        }
        require(line.data[3] == ' ' || line.data[3] == '-');
        require(before == 0 || before == code);
        before = line.data[3] == '-' ? code : 0;
        if (before == 0) {
            require(count < REPLIES_MOST);
            codes[count++] = code;
        }
        heard = bytes_skip(heard, len + 2);
    }
    require(before == 0);
    return count;
}

/* False: no banner is due. */
static bool skip_proxy_header(const struct scene *scene, struct bytes *said)
{
    struct proxy_header header;
    size_t used = 0;

    if (!scene->door.is_proxied) {
        return true;
    }
    if (proxy_header_parse(*said, &header, &used) != PROXY_HEADER_READY) {
        return false;
    }
    *said = bytes_skip(*said, used);
    return true;
}

/* What was proxied is another client than the one that connected, and may be trusted or not. */
static bool is_xclient_trusted(const struct scene *scene, struct bytes said)
{
    struct proxy_header header;
    size_t used = 0;

    return scene->options.trusted_count > 0 &&
           (!scene->door.is_proxied ||
            proxy_header_parse(said, &header, &used) != PROXY_HEADER_READY ||
            header.client.address.family == IP_NONE ||
            ip_network_contains(&scene->trusted, &header.client.address));
}

static void check_dialogue(struct scene *scene)
{
    static unsigned codes[REPLIES_MOST];
    struct model model = {.input = scene->said,
                          .codes = codes,
                          .submissions = scene->queue.submissions,
                          .submission_count = scene->queue.count,
                          .has_ended = scene->has_ended,
                          .is_trusted = is_xclient_trusted(scene, scene->said),
                          .is_judging = scene->options.authenticate};

    model.code_count = read_replies(strbuf_bytes(&scene->heard), codes);
    if (skip_proxy_header(scene, &model.input)) {
        model_check(&model);
    } else {
        require(model.code_count == 0);
    }
}

/* The client says no more: the session is to end by itself, with one last reply. */
static void check_end(struct scene *scene)
{
    static unsigned codes[REPLIES_MOST];
    size_t before = read_replies(strbuf_bytes(&scene->heard), codes), after;
    bool had_ended = scene->has_ended;

    sim_world_run(look, scene, ALL_WAITS_MS);
    after = read_replies(strbuf_bytes(&scene->heard), codes);
    require(scene->has_ended && inbound_session_count(scene->server) == 0);
    require(after == before + !had_ended);
    require(had_ended || codes[after - 1] == 421);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;

    if (size < OPTION_OCTETS || size > OPTION_OCTETS + DIALOGUE_LIMIT) {
        return 0;
    }
    memset(&scene, 0, sizeof scene);
    begin(&scene, data, bytes_of(data + OPTION_OCTETS, size - OPTION_OCTETS));
    sim_world_run(look, &scene, QUIET_MS);
    check_dialogue(&scene);
    check_end(&scene);
    end(&scene);
    return 0;
}
