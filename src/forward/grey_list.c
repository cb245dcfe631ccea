#include "forward/grey_list.h"

#include <assert.h>
#include <inttypes.h>

#define HOUR_MS (INT64_C(3600) * 1000)

enum { TEXT_LIMIT = 200 };

bool grey_list_concerns(enum greylist_rule rule, const struct sender_facts *facts)
{
    switch (rule) {
    case GREYLIST_OFF:
        return false;
    case GREYLIST_SUSPICIOUS:
        return facts->spf != AUTH_PASS || facts->iprev != AUTH_PASS;
    case GREYLIST_ALL:
        return true;
    }
    return false;
}

/* ---- keys ------------------------------------------------------------------------------- */

static void add_network(struct strbuf *key, const struct ip_address *client)
{
    struct ip_address network = {.family = client->family};

    memcpy(network.octets, client->octets, client->family == IP_V4 ? 3 : 8);
    strbuf_add_text(key, ip_address_text(&network).text);
}

void grey_list_add_client_key(struct strbuf *key, const struct ip_address *client)
{
    strbuf_add_text(key, "grey-client ");
    add_network(key, client);
}

static bool starts_with(struct bytes text, struct bytes first)
{
    return text.len >= first.len && bytes_equal_nocase(bytes_first(text, first.len), first);
}

/* Signed addresses of others, which are new every day. */
static bool is_signed(struct bytes local)
{
    return starts_with(local, BYTES("SRS0")) || starts_with(local, BYTES("SRS1")) ||
           starts_with(local, BYTES("prvs=")) || starts_with(local, BYTES("btv1="));
}

/* Mailing lists number their senders. */
static void add_without_numbers(struct strbuf *key, struct bytes local)
{
    bool was_digit = false;

    for (size_t i = 0; i < local.len; i++) {
        bool is_digit = local.data[i] >= '0' && local.data[i] <= '9';

        if (!is_digit) {
            strbuf_add_lower(key, bytes_of(local.data + i, 1));
        } else if (!was_digit) {
            strbuf_add_char(key, '#');
        }
        was_digit = is_digit;
    }
}

static void add_sender(struct strbuf *key, const struct smtp_mailbox *sender)
{
    struct bytes rest = sender->local;

    if (!is_signed(sender->local)) {
        add_without_numbers(key, bytes_cut(&rest, '+'));
    }
    strbuf_add_char(key, '@');
    strbuf_add_lower(key, sender->domain);
}

/* NUL is in no address: one three, one key. */
void grey_list_add_key(struct strbuf *key, const struct ip_address *client,
                       const struct smtp_mailbox *sender, const struct smtp_mailbox *recipient)
{
    strbuf_add_text(key, "grey ");
    add_network(key, client);
    strbuf_add_char(key, '\0');
    add_sender(key, sender);
    strbuf_add_char(key, '\0');
    strbuf_add_lower(key, recipient->local);
    strbuf_add_char(key, '@');
    strbuf_add_lower(key, recipient->domain);
}

/* ---- what is remembered ------------------------------------------------------------------ */

void grey_memory_add(struct strbuf *out, const struct grey_memory *memory)
{
    strbuf_add_u64(out, (uint64_t)memory->first_ms);
    strbuf_add_char(out, ' ');
    strbuf_add_u64(out, (uint64_t)memory->seen_ms);
    strbuf_add_char(out, ' ');
    strbuf_add_u64(out, memory->passes);
}

bool grey_memory_read(struct bytes text, struct grey_memory *memory)
{
    uint64_t first, seen, passes;

    if (!bytes_to_u64(bytes_cut(&text, ' '), &first) ||
        !bytes_to_u64(bytes_cut(&text, ' '), &seen) || !bytes_to_u64(text, &passes) ||
        first > INT64_MAX || seen > INT64_MAX || passes > UINT32_MAX) {
        return false;
    }
    *memory = (struct grey_memory){(int64_t)first, (int64_t)seen, (unsigned)passes};
    return true;
}

/* A clock that was set back makes nobody wait longer than somebody new. */
static uint64_t since(int64_t now_ms, int64_t then_ms)
{
    return now_ms > then_ms ? (uint64_t)(now_ms - then_ms) : 0;
}

/* ---- answers ----------------------------------------------------------------------------- */

static struct grey_answer note(const struct grey_options *options, int64_t now_ms,
                               struct grey_memory memory)
{
    memory.seen_ms = now_ms;
    return (struct grey_answer){
        .is_noted = true, .memory = memory, .expires_ms = now_ms + (int64_t)options->memory_ms};
}

/* Often enough for its memory to last, and seldom enough not to cost a write each time. */
static struct grey_answer refresh(const struct grey_options *options, int64_t now_ms,
                                  const struct grey_memory *known)
{
    if (since(now_ms, known->seen_ms) < (uint64_t)HOUR_MS &&
        since(now_ms, known->seen_ms) < options->memory_ms / 4) {
        return (struct grey_answer){.is_noted = false};
    }
    return note(options, now_ms, *known);
}

struct grey_answer grey_list_judge(const struct grey_options *options, int64_t now_ms,
                                   const struct grey_memory *known)
{
    struct grey_answer answer;
    uint64_t age_ms;

    if (known == NULL) {
        return (struct grey_answer){
            .is_deferred = true,
            .wait_ms = options->delay_ms,
            .is_noted = true,
            .memory = {.first_ms = now_ms, .seen_ms = now_ms},
            .expires_ms = now_ms + (int64_t)options->window_ms,
        };
    }
    if (known->passes > 0) {
        return refresh(options, now_ms, known);
    }
    age_ms = since(now_ms, known->first_ms);
    if (age_ms < options->delay_ms) {
        return (struct grey_answer){.is_deferred = true, .wait_ms = options->delay_ms - age_ms};
    }
    answer = note(options, now_ms, *known);
    answer.memory.passes = 1;
    answer.is_new_pass = true;
    return answer;
}

bool grey_list_knows_client(const struct grey_options *options, int64_t now_ms,
                            const struct grey_memory *known, struct grey_answer *answer)
{
    if (known == NULL || options->client_passes == 0 ||
        known->passes < options->client_passes) {
        return false;
    }
    *answer = refresh(options, now_ms, known);
    return true;
}

struct grey_answer grey_list_count_client(const struct grey_options *options, int64_t now_ms,
                                          const struct grey_memory *known)
{
    struct grey_memory memory = {.first_ms = now_ms};

    if (known != NULL) {
        memory = *known;
    }
    memory.passes += memory.passes < UINT32_MAX;
    return note(options, now_ms, memory);
}

struct decision grey_list_decision(const struct grey_answer *answer, struct arena *arena)
{
    struct strbuf text;
    struct decision decision = {
        .disposition = DECISION_DEFER, .code = 451, .enhanced = "4.7.1", .why = "greylisted"};

    assert(answer->is_deferred);
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_addf(&text, "First mail from this sender and server; try again in %" PRIu64 " s",
                (answer->wait_ms + 999) / 1000);
    decision.text = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return decision;
}
