/*
 * In this order:
 *
 *   1 find_end         the line that ended its transaction, and so its part of the session
 *   2 assign_roles     what each line is to the story
 *   3 collect          who, to whom, what became of each recipient, what came of it
 *   4 find_state       all of that in one word
 *   5 story_tell_steps (story_steps.c)
 *   6 story_judge      (story_verdict.c)
 */
#include "story_internal.h"

#include "base/utf8.h"

#include <inttypes.h>

const char *story_state_text(enum story_state state)
{
    switch (state) {
    case STORY_UNKNOWN:
        return "unknown";
    case STORY_DELIVERED:
        return "delivered";
    case STORY_WAITING:
        return "waiting";
    case STORY_HELD:
        return "held";
    case STORY_BOUNCED:
        return "bounced";
    case STORY_DROPPED:
        return "dropped";
    case STORY_REFUSED:
        return "refused";
    case STORY_DEFERRED:
        return "deferred";
    case STORY_DISCARDED:
        return "discarded";
    case STORY_DELETED:
        return "deleted";
    case STORY_MOVED:
        return "moved";
    case STORY_MIXED:
        return "mixed";
    }
    return "unknown";
}

/* ---- records ----------------------------------------------------------------------------- */

struct bytes story_field(const struct story_teller *teller, const struct event_record *record,
                         const char *name)
{
    struct bytes value = event_record_get(record, name), shown;
    struct strbuf text;

    if (value.len == 0) {
        return BYTES("");
    }
    strbuf_init(&text, 8 * EVENT_LINE_LIMIT);
    utf8_add_printable(&text, value);
    shown = arena_copy(teller->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return shown;
}

bool story_has(const struct event_record *record, const char *name)
{
    return event_record_get(record, name).data != NULL;
}

bool story_is(const struct event_record *record, const char *name, const char *value)
{
    return bytes_equal(event_record_get(record, name), bytes_from_text(value));
}

static const struct {
    const char *event;
    enum story_state state;
} attempts[] = {
    {"delivered", STORY_DELIVERED}, {"deferred", STORY_WAITING}, {"bounced", STORY_BOUNCED},
    {"dropped", STORY_DROPPED},     {"refused", STORY_REFUSED},  {"held", STORY_HELD},
    {"redirected", STORY_MOVED},    {"rerouted", STORY_WAITING},
};

const char *story_attempt_word(const struct event_record *record)
{
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        if (event_record_is(record, attempts[i].event)) {
            return attempts[i].event;
        }
    }
    return NULL;
}

bool story_is_attempt(const struct event_record *record)
{
    return story_attempt_word(record) != NULL;
}

enum story_state story_state_of(const struct event_record *record)
{
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        if (event_record_is(record, attempts[i].event)) {
            return attempts[i].state;
        }
    }
    return STORY_UNKNOWN;
}

const struct event_cause *story_cause_of(const struct event_record *record)
{
    return story_is_attempt(record) ? event_cause_of_failure(event_record_get(record, "class"))
                                    : event_cause_of_refusal(event_record_get(record, "why"));
}

void story_add_word(struct story_word **words, struct bytes text, struct arena *arena)
{
    while (*words != NULL) {
        if (bytes_equal((*words)->text, text)) {
            return;
        }
        words = &(*words)->next;
    }
    *words = arena_alloc(arena, sizeof **words);
    (*words)->text = text;
}

static bool has_word(const struct story_word *words, struct bytes text)
{
    for (; words != NULL; words = words->next) {
        if (bytes_equal(words->text, text)) {
            return true;
        }
    }
    return false;
}

/* ---- 1 its end --------------------------------------------------------------------------- */

static bool is_end(const struct event_record *record)
{
    return event_record_is(record, "accepted") || event_record_is(record, "message-refused") ||
           event_record_is(record, "message-deferred");
}

static bool has_id(const struct event_record *record, struct bytes id)
{
    return id.len > 0 && bytes_equal(event_record_get(record, "id"), id);
}

static bool is_of_session(const struct story_teller *teller, const struct event_record *record)
{
    return teller->input->session.len > 0 &&
           bytes_equal(event_record_get(record, "s"), teller->input->session);
}

/* What other messages of the session have ended before it is not about this one. */
static void find_end(struct story_teller *teller)
{
    const struct story_input *input = teller->input;

    teller->after_ms = INT64_MIN;
    teller->until_ms = INT64_MAX;
    for (size_t i = 0; i < input->count; i++) {
        const struct event_record *record = &input->records[i];

        if (is_end(record) && has_id(record, input->id)) {
            teller->story->accepted = record;
            teller->until_ms = record->time_ms;
        }
        if (event_record_is(record, "session-end") && is_of_session(teller, record)) {
            teller->session_end = record;
        }
    }
    for (size_t i = 0; i < input->count && teller->story->accepted != NULL; i++) {
        const struct event_record *record = &input->records[i];

        if (is_end(record) && is_of_session(teller, record) && !has_id(record, input->id) &&
            record->time_ms < teller->until_ms) {
            teller->after_ms = record->time_ms;
        }
    }
}

/* ---- 2 roles ----------------------------------------------------------------------------- */

static bool is_about_recipient(const struct event_record *record)
{
    return event_record_is(record, "recipient-refused") ||
           event_record_is(record, "recipient-deferred");
}

static bool is_asked_for(const struct story_teller *teller, const struct event_record *record)
{
    struct bytes address = teller->input->address;

    return address.len == 0 || !is_about_recipient(record) ||
           bytes_equal_nocase(event_record_get(record, "from"), address) ||
           bytes_equal_nocase(event_record_get(record, "to"), address);
}

/* Commands of this transaction, and what was thought of the client before it. */
static bool is_in_its_part(const struct story_teller *teller, const struct event_record *record)
{
    if (event_record_is(record, "session-end")) {
        return false; /* told in the session's step */
    }
    if (teller->input->id.len == 0) {
        return is_asked_for(teller, record);
    }
    if (record->time_ms > teller->until_ms) {
        return false;
    }
    if (is_about_recipient(record) && teller->story->accepted != NULL) {
        return record->time_ms > teller->after_ms &&
               bytes_equal(event_record_get(record, "from"),
                           event_record_get(teller->story->accepted, "from"));
    }
    return true;
}

/* Does the story's own message have this as `name`? */
static bool own_has(const struct story_teller *teller, const char *name, struct bytes value)
{
    for (size_t i = 0; i < teller->input->count && value.len > 0; i++) {
        if (teller->roles[i] == STORY_ROLE_OWN &&
            bytes_equal_nocase(event_record_get(&teller->input->records[i], name), value)) {
            return true;
        }
    }
    return false;
}

static enum story_role role_of(const struct story_teller *teller,
                               const struct event_record *record)
{
    struct bytes id = event_record_get(record, "id");

    if (has_word(teller->story->bounces, id)) {
        return STORY_ROLE_BOUNCE;
    }
    if (id.len == 0) {
        return is_of_session(teller, record) && is_in_its_part(teller, record)
                   ? STORY_ROLE_SESSION
                   : STORY_ROLE_OTHER;
    }
    if (own_has(teller, "sender", event_record_get(record, "orig_to"))) {
        return STORY_ROLE_RETURN;
    }
    if (own_has(teller, "orig_to", event_record_get(record, "sender"))) {
        return STORY_ROLE_ORIGIN;
    }
    return STORY_ROLE_OTHER;
}

static void assign_roles(struct story_teller *teller)
{
    const struct story_input *input = teller->input;

    for (size_t i = 0; i < input->count; i++) {
        const struct event_record *record = &input->records[i];

        if (has_id(record, input->id)) {
            teller->roles[i] = STORY_ROLE_OWN;
        } else if (input->id.len > 0 &&
                   bytes_equal(event_record_get(record, "bounce_of"), input->id)) {
            teller->roles[i] = STORY_ROLE_MADE;
            story_add_word(&teller->story->bounces, event_record_get(record, "id"),
                           teller->arena);
        }
    }
    for (size_t i = 0; i < input->count; i++) {
        if (teller->roles[i] == STORY_ROLE_OTHER) {
            teller->roles[i] = role_of(teller, &input->records[i]);
        }
    }
}

/* ---- 3 facts ----------------------------------------------------------------------------- */

static struct story_delivery *find_delivery(struct story_teller *teller, struct bytes to)
{
    struct story_delivery **at = &teller->story->deliveries;

    while (*at != NULL && !bytes_equal((*at)->to, to)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        *at = arena_alloc(teller->arena, sizeof **at);
        (*at)->to = to;
    }
    return *at;
}

static void collect_attempt(struct story_teller *teller, const struct event_record *record)
{
    struct story_delivery *delivery = find_delivery(teller, story_field(teller, record, "to"));

    delivery->orig_to = story_field(teller, record, "orig_to");
    delivery->sender = story_field(teller, record, "sender");
    delivery->attempts = event_record_number(record, "attempts");
    delivery->state = story_state_of(record);
    delivery->last = record;
    if (event_record_is(record, "redirected")) {
        struct story_delivery *fallback =
            find_delivery(teller, story_field(teller, record, "fallback"));

        fallback->orig_to = delivery->orig_to;
        fallback->state = STORY_WAITING;
    }
}

static void collect_from(struct story_teller *teller, const struct event_record *record)
{
    struct event_story *story = teller->story;

    if (!story->has_from && story_has(record, "from")) {
        story->has_from = true;
        story->from = story_field(teller, record, "from");
    }
}

/* What the sender wrote to: of recipients that were not taken `to` says it. */
static void collect_recipients(struct story_teller *teller, const struct event_record *record)
{
    size_t position = 0;
    struct bytes address;

    if (is_about_recipient(record)) {
        story_add_word(&teller->story->recipients, story_field(teller, record, "to"),
                       teller->arena);
        return;
    }
    while ((address = event_record_next(record, "orig_to", &position)).data != NULL) {
        story_add_word(&teller->story->recipients, address, teller->arena);
    }
}

static void collect_own(struct story_teller *teller, const struct event_record *record)
{
    struct event_story *story = teller->story;

    collect_from(teller, record);
    collect_recipients(teller, record);
    if (story_has(record, "message-id")) {
        story->message_id = story_field(teller, record, "message-id");
    }
    if (story_has(record, "bounce_of")) {
        story->bounce_of = story_field(teller, record, "bounce_of");
    }
    if (story_is_attempt(record)) {
        collect_attempt(teller, record);
    }
}

static void collect_session(struct story_teller *teller, const struct event_record *record)
{
    struct event_story *story = teller->story;

    if (story_has(record, "client")) {
        story->client = story_field(teller, record, "client");
    }
    if (story_has(record, "helo")) {
        story->helo = story_field(teller, record, "helo");
    }
}

static void collect(struct story_teller *teller)
{
    const struct story_input *input = teller->input;
    struct event_story *story = teller->story;

    for (size_t i = 0; i < input->count; i++) {
        const struct event_record *record = &input->records[i];

        switch (teller->roles[i]) {
        case STORY_ROLE_OWN:
            collect_own(teller, record);
            collect_session(teller, record);
            break;
        case STORY_ROLE_SESSION:
            collect_session(teller, record);
            if (is_about_recipient(record)) {
                collect_from(teller, record);
                collect_recipients(teller, record);
            }
            break;
        case STORY_ROLE_RETURN:
            story_add_word(&story->returns, event_record_get(record, "id"), teller->arena);
            break;
        case STORY_ROLE_ORIGIN:
            story_add_word(&story->origins, event_record_get(record, "id"), teller->arena);
            break;
        case STORY_ROLE_MADE:
        case STORY_ROLE_BOUNCE:
        case STORY_ROLE_OTHER:
            break;
        }
    }
    if (teller->session_end != NULL) {
        collect_session(teller, teller->session_end);
    }
}

/* What is told, and no more: other messages stay private. */
static void collect_lines(struct story_teller *teller)
{
    const struct story_input *input = teller->input;
    struct event_story *story = teller->story;

    story->lines = arena_alloc(teller->arena, (input->count + 1) * sizeof *story->lines);
    for (size_t i = 0; i < input->count; i++) {
        if ((teller->roles[i] != STORY_ROLE_OTHER && teller->roles[i] != STORY_ROLE_ORIGIN) ||
            &input->records[i] == teller->session_end) {
            story->lines[story->line_count++] = &input->records[i];
        }
    }
}

/* Other messages went out under the same address (same sender, same day): which of them came back nobody can say. */
static bool is_return_shared(const struct story_teller *teller)
{
    for (size_t i = 0; i < teller->input->count; i++) {
        const struct event_record *record = &teller->input->records[i];

        if (teller->roles[i] == STORY_ROLE_OTHER && story_is_attempt(record) &&
            own_has(teller, "sender", event_record_get(record, "sender"))) {
            return true;
        }
    }
    return false;
}

/* ---- 4 the state ------------------------------------------------------------------------- */

static bool is_deleted(const struct story_teller *teller)
{
    for (size_t i = 0; i < teller->input->count; i++) {
        if (teller->roles[i] == STORY_ROLE_OWN &&
            event_record_is(&teller->input->records[i], "queue-deleted")) {
            return true;
        }
    }
    return false;
}

static bool is_waiting(const struct story_input *input, struct bytes recipient, bool *is_held)
{
    for (size_t i = 0; i < input->waiting_count; i++) {
        if (bytes_equal(input->waiting[i].recipient, recipient)) {
            *is_held = input->waiting[i].is_held;
            return true;
        }
    }
    return false;
}

/* The queue knows what the last line cannot say. */
static void correct_by_queue(struct story_teller *teller)
{
    const struct story_input *input = teller->input;
    bool was_deleted = is_deleted(teller);

    for (struct story_delivery *at = teller->story->deliveries; at != NULL; at = at->next) {
        bool is_open = at->state == STORY_WAITING || at->state == STORY_HELD;
        bool is_held = false;

        if (!is_open) {
            continue;
        }
        if (input->queue == STORY_QUEUE_THERE && is_waiting(input, at->to, &is_held)) {
            at->state = is_held ? STORY_HELD : STORY_WAITING;
        } else if (was_deleted) {
            at->state = STORY_DELETED;
        } else if (input->queue != STORY_QUEUE_UNKNOWN) {
            at->state = STORY_UNKNOWN;
        }
    }
    for (size_t i = 0; i < input->waiting_count; i++) {
        struct story_delivery *delivery = find_delivery(teller, input->waiting[i].recipient);

        if (delivery->last == NULL) {
            delivery->state = input->waiting[i].is_held ? STORY_HELD : STORY_WAITING;
            delivery->attempts = input->waiting[i].attempts;
        }
    }
}

static enum story_state state_without_deliveries(const struct story_teller *teller)
{
    const struct event_record *end = teller->story->accepted;
    enum story_state state = STORY_UNKNOWN;

    if (end != NULL && event_record_is(end, "message-refused")) {
        return STORY_REFUSED;
    }
    if (end != NULL && event_record_is(end, "message-deferred")) {
        return STORY_DEFERRED;
    }
    if (end != NULL && story_is(end, "how", "discarded")) {
        return STORY_DISCARDED;
    }
    if (end != NULL || teller->input->id.len > 0) {
        return is_deleted(teller) ? STORY_DELETED : STORY_UNKNOWN;
    }
    for (size_t i = 0; i < teller->input->count; i++) {
        const struct event_record *record = &teller->input->records[i];

        if (teller->roles[i] != STORY_ROLE_SESSION) {
            continue;
        }
        if (event_record_is(record, "recipient-refused")) {
            return STORY_REFUSED;
        }
        if (event_record_is(record, "recipient-deferred")) {
            state = STORY_DEFERRED;
        }
    }
    return state;
}

static enum story_state find_state(const struct story_teller *teller)
{
    const struct event_record *end = teller->story->accepted;
    const struct story_delivery *at = teller->story->deliveries;
    enum story_state state = STORY_MOVED;
    size_t known = 0;

    if (end != NULL && !event_record_is(end, "accepted")) {
        return state_without_deliveries(teller);
    }
    for (; at != NULL; at = at->next) {
        if (at->state == STORY_MOVED) {
            continue;
        }
        known++;
        if (state != STORY_MOVED && state != at->state) {
            return STORY_MIXED;
        }
        state = at->state;
    }
    if (known == 0) {
        return state_without_deliveries(teller);
    }
    if (end != NULL && known < event_record_number(end, "deliveries") &&
        state != STORY_WAITING) {
        return STORY_MIXED; /* of the others no line says anything */
    }
    return state;
}

/* ---- the whole --------------------------------------------------------------------------- */

void event_story_tell(const struct story_input *input, struct arena *arena,
                      struct event_story *story)
{
    struct story_teller teller = {.input = input, .arena = arena, .story = story};

    memset(story, 0, sizeof *story);
    story->id = input->id;
    story->session = input->session;
    teller.roles = arena_alloc(arena, (input->count + 1) * sizeof *teller.roles);
    teller.steps_end = &story->steps;
    strbuf_init(&teller.text, STORY_TEXT_LIMIT);
    find_end(&teller);
    assign_roles(&teller);
    collect(&teller);
    collect_lines(&teller);
    story->is_return_shared = is_return_shared(&teller);
    correct_by_queue(&teller);
    story->state = find_state(&teller);
    story_tell_steps(&teller);
    story_judge(&teller);
    strbuf_clear(&teller.text);
}
