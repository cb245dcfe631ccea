#include "sim_peers.h"

#include "base/list.h"
#include "base/memory.h"
#include "sim_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MS = 700, CONNECT_MS = 30 * 1000, REPLY_MS = 20 * 60 * 1000 };

/* ---- client ---- */

enum client_step { STEP_BANNER, STEP_EHLO, STEP_ENVELOPE, STEP_CONTENT, STEP_QUIT, STEP_DONE };

struct sim_client {
    struct ip_endpoint to;
    struct sim_letter *letters;
    size_t count, at;
    bool is_pipelined;
    uint32_t rude; /* one in so many; 0: none */
    enum client_step step;
    unsigned asked, answered; /* commands of the envelope: MAIL, RCPTs, DATA */
    struct stream *stream;
    struct loop_timer *timer;
};

static void start_connection(void *context);

static void say(struct sim_client *client, const char *format, const char *argument)
{
    struct strbuf line;

    strbuf_init(&line, 65536);
    strbuf_add_text(&line, format);
    strbuf_add_text(&line, argument);
    strbuf_add_text(&line, argument[0] != '\0' || format[4] == ' ' ? ">\r\n" : "\r\n");
    stream_write(client->stream, strbuf_bytes(&line));
    strbuf_clear(&line);
}

static unsigned recipient_count(const struct sim_letter *letter)
{
    unsigned count = 0;

    while (count < SIM_RECIPIENTS && letter->recipients[count] != NULL) {
        count++;
    }
    return count;
}

/* Commands of the envelope from `asked` on: one, or all that may go together. */
static void ask_more(struct sim_client *client)
{
    struct sim_letter *letter = &client->letters[client->at];
    unsigned recipients = recipient_count(letter);

    do {
        if (client->asked == 0) {
            letter->is_begun = true;
            say(client, "MAIL FROM:<", letter->sender);
        } else if (client->asked <= recipients) {
            say(client, "RCPT TO:<", letter->recipients[client->asked - 1]);
        } else {
            say(client, "DATA", "");
        }
    } while (client->asked++ <= recipients && client->is_pipelined);
}

static void start_letter(struct sim_client *client)
{
    if (client->at == client->count) {
        client->step = STEP_QUIT;
        say(client, "QUIT", "");
        return;
    }
    client->step = STEP_ENVELOPE;
    client->asked = client->answered = 0;
    ask_more(client);
}

static void keep_reply(struct sim_client *client, unsigned code, struct bytes line)
{
    struct sim_letter *letter = &client->letters[client->at];

    letter->code = code;
    snprintf(letter->reply, sizeof letter->reply, BYTES_FMT, BYTES_ARG(line));
    letter->answered_ms = sim_world_now_ms();
}

static void end_letter(struct sim_client *client)
{
    client->at++;
    start_letter(client);
}

static void give_up_connection(struct sim_client *client);

static void send_content(struct sim_client *client)
{
    struct bytes content = client->letters[client->at].content;

    client->step = STEP_CONTENT;
    if (client->rude > 0 && sim_chance(client->rude)) {
        stream_write(client->stream, bytes_first(content, sim_random((uint32_t)content.len)));
        stream_flush(client->stream);
        give_up_connection(client);
        return;
    }
    stream_write(client->stream, content);
    stream_write(client->stream, BYTES(".\r\n"));
}

static void on_envelope_reply(struct sim_client *client, unsigned code, struct bytes line)
{
    unsigned last = recipient_count(&client->letters[client->at]) + 1;
    unsigned which = client->answered++;

    if (code >= 400) {
        keep_reply(client, code, line);
    }
    if (which == last && code == 354) {
        send_content(client);
    } else if (which == last) {
        end_letter(client);
    } else if (client->answered == client->asked) {
        ask_more(client);
    }
}

static void give_up_connection(struct sim_client *client)
{
    stream_close(&client->stream);
    if (client->at < client->count && client->letters[client->at].is_begun) {
        client->at++;
    }
    client->step = client->at == client->count ? STEP_DONE : STEP_BANNER;
    if (client->step == STEP_DONE) {
        loop_timer_stop(client->timer);
    } else {
        loop_timer_set(client->timer, RETRY_MS);
    }
}

static void on_reply(struct sim_client *client, unsigned code, struct bytes line)
{
    switch (client->step) {
    case STEP_BANNER:
        if (code != 220) {
            give_up_connection(client);
            break;
        }
        client->step = STEP_EHLO;
        stream_write(client->stream, BYTES("EHLO client.example\r\n"));
        break;
    case STEP_EHLO:
        start_letter(client);
        break;
    case STEP_ENVELOPE:
        on_envelope_reply(client, code, line);
        break;
    case STEP_CONTENT:
        keep_reply(client, code, line);
        end_letter(client);
        break;
    case STEP_QUIT:
        give_up_connection(client);
        break;
    case STEP_DONE:
        break;
    }
}

/* One whole line, or false. */
static bool take_line(struct stream *stream, struct strbuf *line)
{
    struct bytes input = stream_input(stream);
    size_t end = bytes_find(input, '\n');

    strbuf_reset(line);
    if (end == input.len) {
        return false;
    }
    strbuf_add(line, bytes_trim(bytes_first(input, end)));
    stream_consume(stream, end + 1);
    return true;
}

static void on_client_input(void *context)
{
    struct sim_client *client = context;
    struct strbuf line;

    strbuf_init(&line, 65536);
    loop_timer_set(client->timer, REPLY_MS);
    while (client->stream != NULL && take_line(client->stream, &line)) {
        if (line.len < 4 || line.data[3] != '-') {
            on_reply(client, (unsigned)strtoul(strbuf_text(&line), NULL, 10),
                     strbuf_bytes(&line));
        }
    }
    strbuf_clear(&line);
}

static void on_client_end(void *context, enum stream_end end)
{
    (void)end;
    give_up_connection(context);
}

static void on_client_connected(void *context)
{
    (void)context;
}

static void start_connection(void *context)
{
    static const struct stream_callbacks CALLBACKS = {on_client_connected, on_client_input,
                                                      NULL, on_client_end};
    struct sim_client *client = context;

    if (client->stream != NULL) { /* no reply for too long */
        give_up_connection(client);
        return;
    }
    client->step = STEP_BANNER;
    client->stream =
        stream_connect(sim_peer_loop(), &client->to, NULL, CONNECT_MS, &CALLBACKS, client);
}

struct sim_client *sim_client_new(const char *to, struct sim_letter *letters, size_t count,
                                  bool pipelined)
{
    struct sim_client *client = memory_zero(sizeof *client);

    ip_endpoint_parse(bytes_from_text(to), 0, &client->to);
    client->letters = letters;
    client->count = count;
    client->is_pipelined = pipelined;
    client->timer = loop_timer_new(sim_peer_loop(), start_connection, client);
    loop_timer_set(client->timer, 0);
    return client;
}

void sim_client_set_rude(struct sim_client *client, uint32_t one_in)
{
    client->rude = one_in;
}

bool sim_client_is_done(void *client)
{
    return ((struct sim_client *)client)->step == STEP_DONE;
}

void sim_client_free(struct sim_client **client)
{
    stream_close(&(*client)->stream);
    loop_timer_free(&(*client)->timer);
    free(*client);
    *client = NULL;
}

/* ---- next hop ---- */

struct hop_peer {
    struct list link;
    struct sim_hop *hop;
    struct stream *stream;
    struct strbuf sender, recipients, content;
    bool has_mail, is_content;
    struct loop_timer *slow;
    struct strbuf late; /* what is said when it is over; not empty: it is slow now */
};

static void close_peer(struct hop_peer *peer)
{
    stream_close(&peer->stream);
    list_remove(&peer->link);
    loop_timer_free(&peer->slow);
    strbuf_clear(&peer->late);
    strbuf_clear(&peer->sender);
    strbuf_clear(&peer->recipients);
    strbuf_clear(&peer->content);
    peer->hop->open--;
    free(peer);
}

static void say_late(void *context)
{
    struct hop_peer *peer = context;

    stream_write(peer->stream, strbuf_bytes(&peer->late));
    strbuf_reset(&peer->late);
}

/* False: the peer is gone. */
static bool answer(struct hop_peer *peer, const char *text)
{
    if (text[0] == '-') {
        return true;
    }
    if (text[0] == '!' || text[0] == '.') {
        stream_write(peer->stream, bytes_from_text(text + 1));
        stream_flush(peer->stream);
        close_peer(peer);
        return false;
    }
    if (text[0] == '~' || peer->late.len > 0) { /* what comes behind it waits with it */
        strbuf_add_text(&peer->late, text + (text[0] == '~'));
        loop_timer_set(peer->slow, SIM_SLOW_MS);
        return true;
    }
    stream_write(peer->stream, bytes_from_text(text));
    return true;
}

static bool is_yes(const char *text)
{
    return text[0] == '2' || text[0] == '3' || (text[0] == '~' && is_yes(text + 1));
}

static const char *choose(struct hop_peer *peer, enum sim_stage stage, struct bytes argument,
                          const char *usual)
{
    struct sim_hop *hop = peer->hop;
    const char *text = hop->answer == NULL ? NULL : hop->answer(hop->context, stage, argument);

    return text == NULL ? usual : text;
}

static void keep(struct sim_hop *hop, const struct hop_peer *peer)
{
    struct sim_taken *taken;

    hop->taken = memory_resize(hop->taken, hop->taken_count + 1, sizeof *hop->taken);
    taken = &hop->taken[hop->taken_count++];
    strbuf_init(&taken->sender, SIZE_MAX / 2);
    strbuf_init(&taken->recipients, SIZE_MAX / 2);
    strbuf_init(&taken->content, SIZE_MAX / 2);
    strbuf_add(&taken->sender, strbuf_bytes(&peer->sender));
    strbuf_add(&taken->recipients, strbuf_bytes(&peer->recipients));
    strbuf_add(&taken->content, strbuf_bytes(&peer->content));
    taken->when_ms = sim_world_now_ms();
}

static bool end_content(struct hop_peer *peer)
{
    const char *text =
        choose(peer, SIM_STAGE_DOT, strbuf_bytes(&peer->content), "250 2.0.0 taken\r\n");

    peer->is_content = peer->has_mail = false;
    if (strcmp(text, SIM_TAKE_AND_CLOSE) == 0 || is_yes(text)) {
        keep(peer->hop, peer);
    }
    return answer(peer, text);
}

/* The part between < and >. */
static struct bytes path_of(struct bytes line)
{
    struct bytes path = bytes_skip(line, bytes_find(line, '<') + 1);

    return bytes_first(path, bytes_find(path, '>'));
}

static bool on_mail(struct hop_peer *peer, struct bytes path)
{
    const char *text;

    peer->hop->transactions++;
    text = choose(peer, SIM_STAGE_MAIL, path, "250 2.1.0 ok\r\n");
    peer->has_mail = is_yes(text);
    strbuf_reset(&peer->sender);
    strbuf_reset(&peer->recipients);
    strbuf_add(&peer->sender, path);
    return answer(peer, text);
}

static bool on_rcpt(struct hop_peer *peer, struct bytes path)
{
    const char *text = choose(peer, SIM_STAGE_RCPT, path, "250 2.1.5 ok\r\n");

    if (!peer->has_mail) {
        text = "503 5.5.1 MAIL first\r\n";
    }
    if (is_yes(text)) {
        strbuf_add_text(&peer->recipients, peer->recipients.len > 0 ? " " : "");
        strbuf_add(&peer->recipients, path);
    }
    return answer(peer, text);
}

static bool on_data(struct hop_peer *peer)
{
    const char *text = choose(peer, SIM_STAGE_DATA, BYTES(""), "354 go on\r\n");

    if (peer->recipients.len == 0) {
        text = "554 5.5.1 nobody\r\n";
    }
    strbuf_reset(&peer->content);
    peer->is_content = is_yes(text);
    return answer(peer, text);
}

static bool on_command(struct hop_peer *peer, struct bytes line)
{
    if (bytes_starts_with(line, BYTES("EHLO"))) {
        return answer(peer,
                      choose(peer, SIM_STAGE_EHLO, line,
                             "250-hop\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n"));
    }
    if (bytes_starts_with(line, BYTES("MAIL"))) {
        return on_mail(peer, path_of(line));
    }
    if (bytes_starts_with(line, BYTES("RCPT"))) {
        return on_rcpt(peer, path_of(line));
    }
    if (bytes_starts_with(line, BYTES("DATA"))) {
        return on_data(peer);
    }
    if (bytes_starts_with(line, BYTES("QUIT"))) {
        return answer(peer, "!221 2.0.0 bye\r\n");
    }
    return answer(peer, "250 2.0.0 ok\r\n");
}

static bool on_hop_line(struct hop_peer *peer, struct bytes line)
{
    if (!peer->is_content) {
        return on_command(peer, line);
    }
    if (bytes_equal(line, BYTES("."))) {
        return end_content(peer);
    }
    strbuf_add(&peer->content, bytes_skip(line, line.len > 0 && line.data[0] == '.'));
    strbuf_add_text(&peer->content, "\r\n");
    return true;
}

static void on_hop_input(void *context)
{
    struct hop_peer *peer = context;
    struct strbuf line;
    bool is_there = true;

    strbuf_init(&line, SIZE_MAX / 2);
    while (is_there) {
        struct bytes input = stream_input(peer->stream);
        size_t end = bytes_find_part(input, BYTES("\r\n"));

        if (end == input.len) {
            break;
        }
        strbuf_reset(&line);
        strbuf_add(&line, bytes_first(input, end));
        stream_consume(peer->stream, end + 2);
        is_there = on_hop_line(peer, strbuf_bytes(&line));
    }
    strbuf_clear(&line);
}

static void on_hop_end(void *context, enum stream_end end)
{
    (void)end;
    close_peer(context);
}

static void on_hop_accept(void *context, const struct stream_accepted *accepted)
{
    static const struct stream_callbacks CALLBACKS = {NULL, on_hop_input, NULL, on_hop_end};
    struct sim_hop *hop = context;
    struct hop_peer *peer = memory_zero(sizeof *peer);

    peer->hop = hop;
    peer->slow = loop_timer_new(sim_peer_loop(), say_late, peer);
    strbuf_init(&peer->late, SIZE_MAX / 2);
    strbuf_init(&peer->sender, SIZE_MAX / 2);
    strbuf_init(&peer->recipients, SIZE_MAX / 2);
    strbuf_init(&peer->content, SIZE_MAX / 2);
    peer->stream = stream_from_accepted(sim_peer_loop(), accepted, &CALLBACKS, peer);
    list_append(hop->peers, &peer->link);
    hop->connections++;
    hop->open++;
    answer(peer, choose(peer, SIM_STAGE_BANNER, BYTES(""), "220 hop.example ESMTP\r\n"));
}

void sim_hop_listen(struct sim_hop *hop, bool on)
{
    struct strbuf why;

    if (on == (hop->listener != NULL)) {
        return;
    }
    if (!on) {
        listener_close(&hop->listener);
        return;
    }
    strbuf_init(&why, 1000);
    hop->listener = listener_open(&hop->address, &why);
    strbuf_clear(&why);
    listener_start(hop->listener, sim_peer_loop(), on_hop_accept, hop);
}

void sim_hop_open(struct sim_hop *hop, const char *address)
{
    *hop = (struct sim_hop){.peers = memory_alloc(sizeof(struct list))};
    list_init(hop->peers);
    ip_endpoint_parse(bytes_from_text(address), 25, &hop->address);
    sim_hop_listen(hop, true);
}

size_t sim_hop_count(const struct sim_hop *hop, const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < hop->taken_count; i++) {
        struct bytes content = strbuf_bytes(&hop->taken[i].content);

        count += bytes_find_part(content, bytes_from_text(text)) < content.len;
    }
    return count;
}

void sim_hop_close(struct sim_hop *hop)
{
    listener_close(&hop->listener);
    while (!list_is_empty(hop->peers)) {
        close_peer(list_owner(hop->peers->next, struct hop_peer, link));
    }
    for (size_t i = 0; i < hop->taken_count; i++) {
        strbuf_clear(&hop->taken[i].sender);
        strbuf_clear(&hop->taken[i].recipients);
        strbuf_clear(&hop->taken[i].content);
    }
    free(hop->taken);
    free(hop->peers);
}
