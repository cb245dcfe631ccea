/*
 * The daemon's own code, in a rehearsed session: a stranger at a foreign address tries to send to strangers, in the
 * forms by which relays were opened in the past.
 */
#include "doctor_parts.h"

#include "forward/alias_table.h"
#include "inbound/inbound_rehearsal.h"
#include "io/log.h"
#include "io/stream_pair.h"
#include "protocol/smtp_reply.h"

enum { TRIES = 8, LINE_LIMIT = 2000, SESSION_MS = 10000, TEXT_LIMIT = 1000, MANY = 1000 };

enum relay_stage { RELAY_GREETING, RELAY_EHLO, RELAY_MAIL, RELAY_RCPT };

struct relay {
    struct doctor *doctor;
    struct inbound_options options;
    struct inbound_rehearsal rehearsal;
    struct message_id_source ids;
    struct inbound_server *server;
    struct stream *client;
    enum relay_stage stage;
    struct doctor_relay_try tries[TRIES];
    size_t count, next;
};

/* ---- what is tried ---- */

static void add_try(struct relay *relay, const char *format, struct bytes domain)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '@' && at[1] == '~') {
            strbuf_addf(&text, "@" BYTES_FMT, BYTES_ARG(domain));
            at++;
        } else {
            strbuf_add_char(&text, *at);
        }
    }
    relay->tries[relay->count++] = (struct doctor_relay_try){
        .recipient = arena_copy(relay->doctor->arena, strbuf_bytes(&text))};
    strbuf_clear(&text);
}

/* A name of ours that does not take whatever is written before it. */
static struct bytes closed_name(const struct doctor *doctor)
{
    const struct alias_table *aliases = doctor->config->aliases;
    size_t own = alias_table_find_domain(aliases, doctor->config->hostname);
    struct alias_match match;

    for (size_t i = 0; i < alias_table_domain_count(aliases) && i < MANY; i++) {
        if (!alias_table_find_any(aliases, i, &match)) {
            return alias_table_domain_name(aliases, i);
        }
    }
    return own == ALIAS_NO_DOMAIN ? doctor->config->hostname : BYTES("");
}

static void collect_tries(struct relay *relay)
{
    struct bytes name = closed_name(relay->doctor);

    add_try(relay, "stranger@elsewhere.example", name);
    add_try(relay, "stranger@[198.51.100.7]", name);
    if (name.len == 0) {
        return;
    }
    add_try(relay, "stranger%elsewhere.example@~", name);
    add_try(relay, "elsewhere.example!stranger@~", name);
    add_try(relay, "\"stranger@elsewhere.example\"@~", name);
    add_try(relay, "\"stranger%elsewhere.example\"@~", name);
    add_try(relay, "@~:stranger@elsewhere.example", name);
    add_try(relay, "stranger@elsewhere.example@~", name);
}

/* ---- the client ---- */

static void say(struct relay *relay, const char *text)
{
    stream_write(relay->client, bytes_from_text(text));
}

static void say_next(struct relay *relay)
{
    struct strbuf line;

    if (relay->next == relay->count) {
        event_loop_stop(relay->doctor->loop);
        return;
    }
    strbuf_init(&line, LINE_LIMIT);
    strbuf_addf(&line, "RCPT TO:<" BYTES_FMT ">\r\n",
                BYTES_ARG(relay->tries[relay->next].recipient));
    stream_write(relay->client, strbuf_bytes(&line));
    strbuf_clear(&line);
}

static void take_reply(struct relay *relay, unsigned code)
{
    if (relay->stage != RELAY_RCPT && code >= 400) {
        event_loop_stop(relay->doctor->loop);
        return;
    }
    switch (relay->stage) {
    case RELAY_GREETING:
        relay->stage = RELAY_EHLO;
        say(relay, "EHLO client.elsewhere.example\r\n");
        return;
    case RELAY_EHLO:
        relay->stage = RELAY_MAIL;
        say(relay, "MAIL FROM:<stranger@sender.example>\r\n");
        return;
    case RELAY_MAIL:
        relay->stage = RELAY_RCPT;
        say_next(relay);
        return;
    case RELAY_RCPT:
        relay->tries[relay->next++].code = code;
        say_next(relay);
        return;
    }
}

static void on_input(void *context)
{
    struct relay *relay = context;
    struct smtp_reply reply;
    size_t used;

    while (smtp_reply_next(stream_input(relay->client), &reply, &used) == SMTP_REPLY_READY) {
        stream_consume(relay->client, used);
        take_reply(relay, reply.code);
    }
}

static void on_end(void *context, enum stream_end end)
{
    struct relay *relay = context;

    (void)end;
    event_loop_stop(relay->doctor->loop);
}

static void on_time(void *context)
{
    struct relay *relay = context;

    event_loop_stop(relay->doctor->loop);
}

/* ---- the session ---- */

static enum state_status read_state(void *context, struct bytes key, struct strbuf *value)
{
    (void)context, (void)key, (void)value;
    return STATE_MISSING;
}

static void on_verdicts(void *context, const struct inbound_verdicts *verdicts)
{
    (void)context, (void)verdicts;
}

static void on_message(void *context, const struct queue_submission *submission)
{
    (void)context, (void)submission;
}

/* Without what only the daemon can ask, and without what would slow such a client down or close its session. */
static void open_server(struct relay *relay)
{
    struct inbound_options *options = &relay->options;

    *options = relay->doctor->snapshot->inbound;
    options->authenticate = false;
    options->clients = (struct client_options){.lists_timeout_ms = 0};
    options->scan = (struct scan_options){.timeout_ms = 0};
    options->verify = (struct verify_options){.count = 0};
    options->grey = (struct grey_options){.delay_ms = 0};
    options->limits = (struct client_limits){.sessions = 0};
    options->errors = MANY;
    relay->rehearsal = (struct inbound_rehearsal){.context = relay,
                                                  .read_state = read_state,
                                                  .on_verdicts = on_verdicts,
                                                  .on_message = on_message};
    relay->server = inbound_server_new(relay->doctor->loop, NULL, &relay->ids, NULL, options);
    inbound_server_rehearse(relay->server, &relay->rehearsal);
}

static bool connect_client(struct relay *relay)
{
    static const struct stream_callbacks callbacks = {.on_input = on_input, .on_end = on_end};
    struct stream_accepted client, server;

    if (!stream_pair_open(&client, &server)) {
        return false;
    }
    server.peer.port = 25;
    (void)ip_address_parse(BYTES("198.51.100.25"), &server.peer.address);
    relay->client = stream_from_accepted(relay->doctor->loop, &client, &callbacks, relay);
    inbound_accept(relay->server, &server, NULL);
    return true;
}

void doctor_try_relay(struct doctor *doctor)
{
    struct relay relay = {.doctor = doctor};
    struct loop_timer *timer;

    if (atomic_load(&doctor->is_stopped)) {
        return;
    }
    timer = loop_timer_new(doctor->loop, on_time, &relay);
    log_hush(true);
    collect_tries(&relay);
    open_server(&relay);
    if (connect_client(&relay)) {
        loop_timer_set(timer, SESSION_MS);
        event_loop_run(doctor->loop);
    }
    stream_close(&relay.client);
    inbound_server_free(&relay.server);
    log_hush(false);
    loop_timer_free(&timer);
    doctor_host_relay(doctor->findings, relay.tries, relay.count);
}
