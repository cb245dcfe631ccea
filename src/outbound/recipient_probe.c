/*
 * From a question to its answer, in the order it happens:
 *
 *   1 recipient_probe_start  remembered, down, already being asked, or a new question
 *   2 ask_waiting            as many at a time as the destination gets connections for
 *   3 on_answer              what the reply means; remembered
 *     on_timeout             ... or time is up
 *   4 end_question           all who wait for it are told
 */
#include "outbound/recipient_probe.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "forward/recipient_check.h"
#include "io/entropy.h"
#include "io/log.h"

#include <stdlib.h>

struct recipient_prober {
    struct event_loop *loop;
    struct outbound *outbound;
    struct recipient_memory *memory;
    struct hash_table *servers;   /* by destination */
    struct hash_table *questions; /* by address: those that are open */
    unsigned generation;          /* answers to questions of before a reload are not kept */
};

/* What is known of a destination. There are as many as routes and domains that are verified. */
struct probe_server {
    struct bytes destination; /* behind the struct */
    unsigned open;            /* questions being asked */
    struct list waiting;      /* questions in line */
    unsigned failures;        /* in a row */
    uint64_t down_until_ms;
};

struct probe_question {
    struct recipient_prober *prober;
    struct probe_server *server;
    struct bytes address; /* behind the struct */
    struct list node;     /* in server->waiting */
    struct list probes;   /* who wants to know */
    struct delivery_recipient recipient;
    struct delivery_attempt *attempt; /* or NULL: it is in line */
    struct loop_timer *timer;
    unsigned generation;
    uint64_t positive_ms, negative_ms;
};

struct recipient_probe {
    struct list node;
    struct probe_question *question;
    void (*on_done)(void *context, const struct probe_result *result);
    void *context;
};

/* ---- the prober ---- */

struct recipient_prober *recipient_prober_new(struct event_loop *loop,
                                              struct outbound *outbound)
{
    struct recipient_prober *prober = memory_zero(sizeof *prober);

    prober->loop = loop;
    prober->outbound = outbound;
    prober->memory = recipient_memory_new(entropy_hash_key(), PROBE_REMEMBERED);
    prober->servers = hash_table_new(entropy_hash_key());
    prober->questions = hash_table_new(entropy_hash_key());
    return prober;
}

static bool is_idle(const struct probe_server *server)
{
    return server->open == 0 && list_is_empty(&server->waiting);
}

static struct probe_server *find_server(struct recipient_prober *prober,
                                        struct bytes destination)
{
    struct probe_server *server = hash_table_get(prober->servers, destination);
    char *name;

    if (server != NULL) {
        return server;
    }
    server = memory_zero(sizeof *server + destination.len + 1);
    name = (char *)(server + 1);
    memcpy(name, destination.data, destination.len);
    server->destination = bytes_of(name, destination.len);
    list_init(&server->waiting);
    hash_table_put(prober->servers, server->destination, server);
    return server;
}

static void forget_idle_servers(struct recipient_prober *prober)
{
    struct probe_server *server;
    size_t position = 0;

    while ((server = hash_table_next(prober->servers, &position)) != NULL) {
        server->failures = 0;
        server->down_until_ms = 0;
        if (is_idle(server)) {
            hash_table_remove(prober->servers, server->destination);
            free(server);
            position = 0; /* the table has changed */
        }
    }
}

void recipient_prober_forget(struct recipient_prober *prober)
{
    prober->generation++;
    recipient_memory_forget(prober->memory);
    forget_idle_servers(prober);
}

/* ---- questions ---- */

static void on_timeout(void *context);

static struct probe_question *new_question(struct recipient_prober *prober,
                                           const struct probe_request *request)
{
    struct probe_question *question = memory_zero(sizeof *question + request->address.len + 1);
    char *address = (char *)(question + 1);

    memcpy(address, request->address.data, request->address.len);
    question->prober = prober;
    question->server = find_server(prober, request->destination);
    question->address = bytes_of(address, request->address.len);
    question->recipient.address = question->address;
    question->generation = prober->generation;
    question->positive_ms = request->positive_ms;
    question->negative_ms = request->negative_ms;
    list_init(&question->node);
    list_init(&question->probes);
    question->timer = loop_timer_new(prober->loop, on_timeout, question);
    loop_timer_set(question->timer, request->timeout_ms);
    hash_table_put(prober->questions, question->address, question);
    return question;
}

/* Out of all lists: who asks the same from now on begins a new one. */
static void close_question(struct probe_question *question)
{
    hash_table_remove(question->prober->questions, question->address);
    list_remove(&question->node);
    loop_timer_free(&question->timer);
    if (question->attempt != NULL) {
        question->server->open--;
    }
}

static void free_question(struct probe_question *question)
{
    delivery_attempt_finish(&question->attempt);
    free(question);
}

/* Those who are told may ask again, or cancel others. */
static void end_question(struct probe_question *question, const struct probe_result *result)
{
    close_question(question);
    while (!list_is_empty(&question->probes)) {
        struct recipient_probe *probe =
            list_owner(question->probes.next, struct recipient_probe, node);
        void (*on_done)(void *context, const struct probe_result *result) = probe->on_done;
        void *context = probe->context;

        list_remove(&probe->node);
        free(probe);
        on_done(context, result);
    }
    free_question(question);
}

static void end_without_answer(struct probe_question *question, const char *why)
{
    const struct probe_result result = {.verdict = PROBE_UNKNOWN, .why = why};

    end_question(question, &result);
}

void recipient_prober_free(struct recipient_prober **prober)
{
    struct recipient_prober *gone = *prober;
    struct probe_question *question;
    size_t position = 0;

    if (gone == NULL) {
        return;
    }
    *prober = NULL;
    while ((question = hash_table_next(gone->questions, &position)) != NULL) {
        position = 0;
        close_question(question);
        while (!list_is_empty(&question->probes)) {
            struct recipient_probe *probe =
                list_owner(question->probes.next, struct recipient_probe, node);
            list_remove(&probe->node);
            free(probe);
        }
        free_question(question);
    }
    forget_idle_servers(gone);
    hash_table_free(&gone->questions);
    hash_table_free(&gone->servers);
    recipient_memory_free(&gone->memory);
    free(gone);
}

/* ---- 2 asking ---- */

static void on_answer(void *context);

static void ask(struct probe_question *question)
{
    const struct delivery_request request = {
        .destination = question->server->destination,
        .sender = BYTES(""),
        .prefix = BYTES(""),
        .recipients = &question->recipient,
        .count = 1,
    };

    list_remove(&question->node);
    question->server->open++;
    question->attempt =
        delivery_attempt_start(question->prober->outbound, &request, on_answer, question);
}

static void ask_waiting(struct probe_server *server)
{
    while (server->open < PROBE_CONNECTIONS && !list_is_empty(&server->waiting)) {
        ask(list_owner(server->waiting.next, struct probe_question, node));
    }
}

/* ---- a destination that is down ---- */

static void log_down(const struct probe_server *server, struct bytes why, uint64_t pause_ms)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "verify-down");
    log_bytes(&line, "destination", server->destination);
    log_bytes(&line, "why", why);
    log_number(&line, "pause_ms", pause_ms);
    log_end(&line);
}

static void note_down(struct recipient_prober *prober, struct probe_server *server,
                      struct bytes why)
{
    uint64_t now = event_loop_now_ms(prober->loop), pause_ms = PROBE_DOWN_MS;
    struct list in_line;

    if (server->down_until_ms > now) {
        return; /* another question has said so */
    }
    for (unsigned i = 0; i < server->failures && pause_ms < PROBE_DOWN_MOST_MS; i++) {
        pause_ms *= 2;
    }
    pause_ms = pause_ms > PROBE_DOWN_MOST_MS ? PROBE_DOWN_MOST_MS : pause_ms;
    server->failures++;
    server->down_until_ms = now + pause_ms;
    log_down(server, why, pause_ms);
    /* Nobody stands in line for it now; who is told may not be able to change this line. */
    list_init(&in_line);
    while (!list_is_empty(&server->waiting)) {
        struct list *node = server->waiting.next;

        list_remove(node);
        list_append(&in_line, node);
    }
    while (!list_is_empty(&in_line)) {
        end_without_answer(list_owner(in_line.next, struct probe_question, node), "down");
    }
}

/* ---- 3 answers ---- */

/* The text begins with the codes where they are a server's. */
static struct bytes without_codes(const struct delivery_recipient *recipient)
{
    struct bytes text = bytes_skip(recipient->text, 4);

    if (bytes_starts_with(text, bytes_from_text(recipient->enhanced))) {
        text = bytes_skip(text, strlen(recipient->enhanced));
    }
    return bytes_trim(text);
}

static void log_unanswered(const struct probe_question *question)
{
    const struct delivery_recipient *recipient = &question->recipient;
    struct log_line line;

    /* What it has against us stays until somebody looks. */
    log_begin(&line, recipient->code >= 500 ? LOG_WARNING : LOG_INFO, "verify-unanswered");
    log_address(&line, "to", question->address);
    log_bytes(&line, "host", delivery_attempt_report(question->attempt)->host);
    log_number(&line, "code", recipient->code);
    log_bytes(&line, "reply", recipient->text);
    log_text(&line, "class", reply_class_text(recipient->class));
    log_end(&line);
}

static void remember(struct probe_question *question, const struct recipient_answer *answer)
{
    struct recipient_prober *prober = question->prober;
    uint64_t keep_ms = answer->is_refused ? question->negative_ms : question->positive_ms;

    if (keep_ms > 0 && question->generation == prober->generation) {
        recipient_memory_put(prober->memory, question->address, answer,
                             event_loop_now_ms(prober->loop) + keep_ms);
    }
}

/* A server that cannot take the address as it is written will never take it. */
static bool is_unspeakable(const struct delivery_recipient *recipient)
{
    return recipient->code == 0 && strcmp(recipient->enhanced, "5.6.7") == 0;
}

/* True: it is an answer. */
static bool read_answer(const struct probe_question *question, struct recipient_answer *answer)
{
    const struct delivery_recipient *recipient = &question->recipient;

    *answer = (struct recipient_answer){
        .code = recipient->code,
        .enhanced = recipient->enhanced,
        .text = without_codes(recipient),
    };
    switch (recipient->outcome) {
    case DELIVERY_SENT:
        return true;
    case DELIVERY_TEMPORARY:
        return false;
    case DELIVERY_PERMANENT:
        answer->is_refused = true;
        answer->is_unknown = recipient->class == REPLY_CLASS_UNKNOWN_USER;
        if (is_unspeakable(recipient)) {
            answer->code = 553;
            answer->text = recipient->text;
            return true;
        }
        return recipient->is_own_answer &&
               recipient_check_is_refusal(recipient->code, recipient->class);
    }
    abort();
}

static bool is_down(enum delivery_trouble trouble)
{
    switch (trouble) {
    case DELIVERY_TROUBLE_DNS:
    case DELIVERY_TROUBLE_CONNECTION:
    case DELIVERY_TROUBLE_TLS:
        return true;
    case DELIVERY_TROUBLE_NONE:
    case DELIVERY_TROUBLE_REPLY:
        return false;
    }
    abort();
}

static void on_answer(void *context)
{
    struct probe_question *question = context;
    struct recipient_prober *prober = question->prober;
    struct probe_server *server = question->server;
    struct recipient_answer answer;

    delivery_attempt_give_back(question->attempt);
    if (read_answer(question, &answer)) {
        const struct probe_result result = {
            .verdict = answer.is_refused ? PROBE_REFUSED : PROBE_ACCEPTED, .answer = answer};
        server->failures = 0;
        server->down_until_ms = 0;
        remember(question, &answer);
        end_question(question, &result);
    } else if (is_down(delivery_attempt_report(question->attempt)->trouble)) {
        note_down(prober, server, question->recipient.text);
        end_without_answer(question, "down");
    } else {
        log_unanswered(question);
        end_without_answer(question, "no-answer");
    }
    ask_waiting(server);
}

/* In line: the others take long. Being asked: the destination does. */
static void on_timeout(void *context)
{
    struct probe_question *question = context;
    struct recipient_prober *prober = question->prober;
    struct probe_server *server = question->server;
    bool is_asked = question->attempt != NULL;

    end_without_answer(question, is_asked ? "timeout" : "busy");
    if (is_asked) {
        note_down(prober, server, BYTES("timeout"));
    }
    ask_waiting(server);
}

/* ---- 1 start ---- */

static bool is_known(struct recipient_prober *prober, const struct probe_request *request,
                     struct probe_result *result)
{
    uint64_t now = event_loop_now_ms(prober->loop);
    const struct recipient_answer *answer =
        recipient_memory_get(prober->memory, request->address, now);

    if (answer != NULL) {
        *result = (struct probe_result){
            .verdict = answer->is_refused ? PROBE_REFUSED : PROBE_ACCEPTED,
            .is_remembered = true,
            .answer = *answer,
        };
        return true;
    }
    *result = (struct probe_result){.verdict = PROBE_UNKNOWN};
    if (find_server(prober, request->destination)->down_until_ms > now) {
        result->why = "down";
        return true;
    }
    return false;
}

struct recipient_probe *
recipient_probe_start(struct recipient_prober *prober, const struct probe_request *request,
                      struct probe_result *result,
                      void (*on_done)(void *context, const struct probe_result *result),
                      void *context)
{
    struct probe_question *question;
    struct recipient_probe *probe;

    if (is_known(prober, request, result)) {
        return NULL;
    }
    question = hash_table_get(prober->questions, request->address);
    if (question == NULL) {
        if (hash_table_count(prober->questions) >= PROBE_QUESTIONS) {
            result->why = "busy";
            return NULL;
        }
        question = new_question(prober, request);
        list_append(&question->server->waiting, &question->node);
        ask_waiting(question->server);
    }
    probe = memory_zero(sizeof *probe);
    probe->question = question;
    probe->on_done = on_done;
    probe->context = context;
    list_init(&probe->node);
    list_append(&question->probes, &probe->node);
    return probe;
}

void recipient_probe_cancel(struct recipient_probe **probe)
{
    struct recipient_probe *cancelled = *probe;
    struct probe_question *question;

    if (cancelled == NULL) {
        return;
    }
    *probe = NULL;
    question = cancelled->question;
    list_remove(&cancelled->node);
    free(cancelled);
    /* What is being asked goes on: its answer is remembered. */
    if (question->attempt == NULL && list_is_empty(&question->probes) &&
        !list_is_empty(&question->node)) {
        close_question(question);
        free_question(question);
    }
}
