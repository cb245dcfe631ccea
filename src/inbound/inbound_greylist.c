/*
 * Greylisting, in the order it happens:
 *
 *   1 inbound_greylist_gate  does the rule concern this client and sender?
 *   2 on_client_read         a network that has come again often enough is let in
 *   3 on_three_read          was this sender here before, from there, for this recipient?
 *   4 on_noted               what is remembered now is written: the three, then a first pass of it for
 *                            the network
 *   5 finish                 the recipient goes on, or is asked to come again
 *
 * What cannot be read or remembered is let in: mail that is late for ever is worse than spam.
 */
#include "inbound_session.h"

#include "io/clock.h"

static const struct grey_options *options_of(const struct inbound_session *session)
{
    return &session->options->grey;
}

static void finish(struct inbound_session *session, bool is_deferred)
{
    session->asked.grey.stage = is_deferred ? INBOUND_GREY_LATER : INBOUND_GREY_FINE;
    inbound_recipient_go_on(session);
}

static void write_key(const struct inbound_session *session, bool of_client, struct strbuf *key)
{
    strbuf_init(key, GREY_KEY_LIMIT);
    if (of_client) {
        grey_list_add_client_key(key, &session->peer.address);
    } else {
        grey_list_add_key(key, &session->peer.address, &session->transaction.sender,
                          &session->asked.ruling);
    }
}

static void read_memory(struct inbound_session *session, bool of_client,
                        void (*done)(struct inbound_session *session, enum state_status status,
                                     struct bytes value))
{
    struct strbuf key;

    write_key(session, of_client, &key);
    inbound_state_read(session, strbuf_bytes(&key), done);
    strbuf_clear(&key);
}

static void
write_memory(struct inbound_session *session, bool of_client, const struct grey_answer *answer,
             void (*done)(struct inbound_session *session, enum state_status status))
{
    struct strbuf key, value;

    write_key(session, of_client, &key);
    strbuf_init(&value, GREY_MEMORY_LIMIT);
    grey_memory_add(&value, &answer->memory);
    inbound_state_remember(session, strbuf_bytes(&key), strbuf_bytes(&value),
                           answer->expires_ms, done);
    strbuf_clear(&key);
    strbuf_clear(&value);
}

/* NULL: there is none, or nobody can read it. */
static const struct grey_memory *take_memory(enum state_status status, struct bytes value,
                                             struct grey_memory *memory)
{
    return status == STATE_OK && grey_memory_read(value, memory) ? memory : NULL;
}

static void on_client_noted(struct inbound_session *session, enum state_status status)
{
    (void)status; /* it passes a few more times before its network is known */
    finish(session, false);
}

static void on_client_to_count(struct inbound_session *session, enum state_status status,
                               struct bytes value)
{
    struct grey_memory memory;
    struct grey_answer answer = grey_list_count_client(options_of(session), clock_unix_ms(),
                                                       take_memory(status, value, &memory));

    write_memory(session, true, &answer, on_client_noted);
}

/* A sender that could not be noted would be new for ever. */
static void on_noted(struct inbound_session *session, enum state_status status)
{
    const struct grey_answer *answer = &session->asked.grey.answer;

    if (answer->is_new_pass && options_of(session)->client_passes > 0) {
        read_memory(session, true, on_client_to_count);
        return;
    }
    finish(session, answer->is_deferred && status == STATE_OK);
}

static void on_three_read(struct inbound_session *session, enum state_status status,
                          struct bytes value)
{
    struct grey_answer *answer = &session->asked.grey.answer;
    struct grey_memory memory;

    if (status == STATE_FAILED) {
        finish(session, false);
        return;
    }
    *answer = grey_list_judge(options_of(session), clock_unix_ms(),
                              take_memory(status, value, &memory));
    if (answer->is_noted) {
        write_memory(session, false, answer, on_noted);
    } else {
        finish(session, answer->is_deferred);
    }
}

static void on_client_read(struct inbound_session *session, enum state_status status,
                           struct bytes value)
{
    struct grey_answer answer;
    struct grey_memory memory;

    if (!grey_list_knows_client(options_of(session), clock_unix_ms(),
                                take_memory(status, value, &memory), &answer)) {
        read_memory(session, false, on_three_read);
    } else if (answer.is_noted) {
        write_memory(session, true, &answer, on_client_noted);
    } else {
        finish(session, false);
    }
}

static bool is_concerned(const struct inbound_session *session,
                         const struct inbound_asked *asked)
{
    struct sender_facts facts;

    if (asked->policy == NULL || asked->policy->greylist == GREYLIST_OFF ||
        !inbound_has_state(session) || inbound_standing_is_allowed(session)) {
        return false;
    }
    facts = inbound_auth_sender_facts(session);
    return grey_list_concerns(asked->policy->greylist, &facts);
}

enum inbound_gate inbound_greylist_gate(struct inbound_session *session,
                                        const struct inbound_asked *asked,
                                        struct decision *decision)
{
    switch (asked->grey.stage) {
    case INBOUND_GREY_UNASKED:
        if (!is_concerned(session, asked)) {
            return INBOUND_GATE_OPEN;
        }
        inbound_session_begin_wait(session, INBOUND_WAITS_GATE);
        read_memory(session, true, on_client_read);
        return INBOUND_GATE_WAITS;
    case INBOUND_GREY_FINE:
        return INBOUND_GATE_OPEN;
    case INBOUND_GREY_LATER:
        *decision = grey_list_decision(&asked->grey.answer, session->transaction.arena);
        return INBOUND_GATE_SHUT;
    }
    return INBOUND_GATE_OPEN;
}
