#include "base/memory.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"
#include "queue_handoff.h"
#include "queue_provider.h"

#include <assert.h>
#include <stdlib.h>

enum { EVICT_TRIES = 16 };

struct queue_destination *queue_destination_get(struct queue *queue, struct bytes name)
{
    return hash_table_get(queue->destinations, name);
}

static bool is_paused_only(const struct queue_destination *destination)
{
    return destination->known == 0 && !destination->is_reading &&
           queue_now_ms(destination->queue) < destination->paused_until_ms;
}

/* Unreachable destinations must not keep out all others for as long as their pauses last: one of
 * them is forgotten. What it has is in the spool, where the scan finds it when it is due. The
 * end of a heap is where late times are. */
static bool make_room(struct queue *queue)
{
    for (size_t i = 0; i < EVICT_TRIES && i < queue->agenda.count; i++) {
        struct queue_destination *destination = list_owner(
            queue->agenda.items[queue->agenda.count - 1 - i], struct queue_destination, wake);
        if (is_paused_only(destination)) {
            queue_destination_free(destination);
            return true;
        }
    }
    return false;
}

/* NULL when there are too many: then the scan has to find it again. */
struct queue_destination *queue_destination_make(struct queue *queue, struct bytes name)
{
    struct queue_destination *destination = queue_destination_get(queue, name);

    if (destination != NULL) {
        return destination;
    }
    if (hash_table_count(queue->destinations) >= QUEUE_DESTINATIONS && !make_room(queue)) {
        return NULL;
    }
    destination = memory_alloc(sizeof *destination + name.len);
    *destination = (struct queue_destination){.queue = queue, .due_ms = QUEUE_NEVER};
    memcpy(destination + 1, name.data, name.len);
    destination->name = bytes_of(destination + 1, name.len);
    list_init(&destination->ready);
    list_init(&destination->window);
    list_init(&destination->member);
    strbuf_init(&destination->trouble, 1024);
    hash_table_put(queue->destinations, destination->name, destination);
    return destination;
}

void queue_destination_free(struct queue_destination *destination)
{
    queue_destination_drop_window(destination);
    assert(destination->known == 0 && destination->jobs_open == 0);
    list_remove(&destination->ready);
    destination->is_blocked = false;
    queue_provider_drop_member(destination);
    queue_agenda_remove(&destination->queue->agenda, &destination->wake);
    hash_table_remove(destination->queue->destinations, destination->name);
    strbuf_clear(&destination->trouble);
    free(destination);
}

struct queue_destination **queue_destination_list(struct queue *queue, size_t *count)
{
    size_t position = 0;

    *count = hash_table_count(queue->destinations);
    struct queue_destination **all = memory_resize(NULL, *count + 1, sizeof(void *));
    for (size_t i = 0; i < *count; i++) {
        all[i] = hash_table_next(queue->destinations, &position);
    }
    return all;
}

bool queue_destination_is_silent(const struct queue_destination *destination)
{
    return destination->jobs_open > 0 &&
           queue_now_ms(destination->queue) >= destination->progress_ms + QUEUE_ASK_SILENCE_MS;
}

static unsigned concurrency(const struct queue_destination *destination)
{
    const struct queue *queue = destination->queue;

    /* After a pause one attempt finds out whether it is worth more. And when many attempts are
     * open, each destination gets one, and sooner those that are slow, so that these cannot take all
     * there are. */
    if (destination->failures > 0 || queue_is_crowded(queue) ||
        (queue->job_count >= QUEUE_ATTEMPTS / 2 && queue_destination_is_silent(destination)) ||
        queue->options.concurrency == 0) {
        return 1;
    }
    if (destination->provider == NULL && queue->options.concurrency > QUEUE_WINDOW_START) {
        return QUEUE_WINDOW_START;
    }
    return queue->options.concurrency;
}

/* When it may not, an attempt of its own is open, and it is reviewed when that ends; or its provider
 * has no place, and it is called when there is one. */
bool queue_destination_may_start(const struct queue_destination *destination)
{
    return destination->jobs_open < concurrency(destination) &&
           (destination->provider == NULL || queue_provider_has_room(destination->provider));
}

/* How many more may wait in memory. A few always may, or destinations that are slow would
 * starve the others by filling the memory. */
size_t queue_destination_room(const struct queue_destination *destination)
{
    size_t waiting = destination->queue->waiting;
    size_t all = waiting < QUEUE_WAITING ? QUEUE_WAITING - waiting : 0;
    size_t share = destination->waiting < QUEUE_SHARE ? QUEUE_SHARE - destination->waiting : 0;
    size_t window =
        destination->waiting < QUEUE_WINDOW ? QUEUE_WINDOW - destination->waiting : 0;

    all = all > share ? all : share;
    return window < all ? window : all;
}

static void stand_in(struct list *line, struct queue_destination *destination, bool is_blocked)
{
    bool is_troubled = line == &destination->queue->troubled;

    if (!list_is_empty(&destination->ready) && destination->is_blocked == is_blocked &&
        destination->is_troubled == is_troubled) {
        return; /* it keeps its place */
    }
    list_remove(&destination->ready);
    list_append(line, &destination->ready);
    destination->is_blocked = is_blocked;
    destination->is_troubled = is_troubled;
}

static void update_ready(struct queue_destination *destination, bool wants_attempt)
{
    if (wants_attempt && queue_destination_may_start(destination)) {
        struct queue *queue = destination->queue;
        stand_in(destination->failures > 0 ? &queue->troubled : &queue->ready, destination,
                 false);
        queue_pump(queue);
    } else if (wants_attempt && destination->jobs_open < concurrency(destination)) {
        stand_in(&destination->provider->blocked, destination, true);
    } else {
        list_remove(&destination->ready);
        destination->is_blocked = false;
    }
}

static void update_wake(struct queue_destination *destination, bool is_paused, uint64_t now)
{
    struct queue *queue = destination->queue;
    /* While a read is open or the window is well filled, the next review comes by itself. */
    uint64_t when = now < destination->paused_until_ms ? destination->paused_until_ms
                    : is_paused || destination->is_reading || destination->due_ms <= now
                        ? QUEUE_NEVER
                        : destination->due_ms;

    if (when == QUEUE_NEVER || queue->is_draining) {
        queue_agenda_remove(&queue->agenda, &destination->wake);
    } else if (destination->wake.place == 0 || destination->wake.when_ms != when) {
        queue_agenda_set(&queue->agenda, &destination->wake, when);
        queue_wake_at(queue, when);
    }
}

static bool wants_read(const struct queue_destination *destination, bool is_paused,
                       uint64_t now)
{
    if (destination->is_reading || destination->queue->is_draining) {
        return false;
    }
    if (is_paused) {
        return destination->is_sweeping && destination->sweep_jobs == 0;
    }
    return destination->waiting < QUEUE_WINDOW / 2 &&
           (destination->has_more || destination->due_ms <= now);
}

static bool is_unreachable(const struct queue_destination *destination)
{
    return queue_now_ms(destination->queue) < destination->paused_until_ms;
}

bool queue_destination_is_paused(const struct queue_destination *destination)
{
    return is_unreachable(destination) ||
           queue_is_paused(destination->queue, destination->name);
}

void queue_destination_sweep(struct queue_destination *destination)
{
    destination->is_sweeping = destination->has_more;
    destination->sweep_after_ms = -1;
    destination->sweep_after_message = 0;
    destination->sweep_after_number = 0;
}

static bool is_needed(const struct queue_destination *destination, bool is_paused)
{
    return destination->known > 0 || destination->is_reading || destination->jobs_open > 0 ||
           (!destination->queue->is_draining &&
            (is_paused ? is_unreachable(destination) || destination->is_sweeping
                       : destination->has_more || destination->due_ms != QUEUE_NEVER));
}

void queue_destination_review(struct queue_destination *destination)
{
    struct queue *queue = destination->queue;
    uint64_t now = queue_now_ms(queue);
    bool is_paused = queue_destination_is_paused(destination);

    if (!is_paused) {
        destination->is_sweeping = false;
    }
    if (wants_read(destination, is_paused, now)) {
        queue_read_due(destination);
    }
    update_ready(destination, !is_paused && !queue->is_draining && destination->waiting > 0);
    update_wake(destination, is_paused, now);
    if (!is_needed(destination, is_paused)) {
        queue_destination_free(destination);
    }
}

/* What waits goes back to being rows: a pause may be long, and memory is for what can move. */
void queue_destination_drop_window(struct queue_destination *destination)
{
    while (!list_is_empty(&destination->window)) {
        struct queue_delivery *delivery =
            list_owner(destination->window.next, struct queue_delivery, link);
        queue_delivery_unwait(delivery);
        queue_handoff_give_up(delivery);
        queue_delivery_release(delivery);
        destination->has_more = true;
    }
    list_remove(&destination->ready);
    destination->is_blocked = false;
}

static void stop(struct queue_destination *destination, unsigned failures, uint64_t until_ms,
                 struct bytes why)
{
    destination->failures = failures;
    destination->paused_until_ms = until_ms;
    strbuf_reset(&destination->trouble);
    strbuf_add(&destination->trouble, bytes_first(why, destination->trouble.limit - 1));
    queue_destination_drop_window(destination);
    queue_destination_sweep(destination);
}

static void stop_provider(struct queue_provider *provider, unsigned failures, uint64_t until_ms,
                          struct bytes why)
{
    provider->failures = failures;
    provider->paused_until_ms = until_ms;
    provider->window = 1;
    provider->successes = 0;
    strbuf_reset(&provider->trouble);
    strbuf_add(&provider->trouble, bytes_first(why, provider->trouble.limit - 1));
    for (struct list *node = provider->members.next; node != &provider->members;
         node = node->next) {
        struct queue_destination *member = list_owner(node, struct queue_destination, member);
        stop(member, failures, until_ms, why);
        queue_destination_review(member); /* stays: it is paused */
    }
}

static void log_pause(const struct queue_destination *destination, size_t destinations,
                      struct bytes why)
{
    uint64_t pause_ms = destination->paused_until_ms - queue_now_ms(destination->queue);
    struct log_line line;

    log_begin(&line, LOG_WARNING, "destination-paused");
    log_bytes(&line, "destination", destination->name);
    if (destinations > 1) {
        log_number(&line, "destinations", (int64_t)destinations);
    }
    log_number(&line, "failures", destination->failures);
    log_number(&line, "seconds", (int64_t)(pause_ms / 1000));
    log_bytes(&line, "why", why);
    log_end(&line);
}

static uint64_t pause_end(const struct queue *queue, unsigned failures)
{
    return queue_now_ms(queue) +
           retry_schedule_pause_ms(&queue->options.retry, failures, entropy_u32());
}

void queue_destination_pause_alone(struct queue_destination *destination, struct bytes why)
{
    unsigned failures = destination->failures + 1;

    stop(destination, failures, pause_end(destination->queue, failures), why);
    log_pause(destination, 1, why);
}

void queue_destination_pause(struct queue_destination *destination, struct bytes why)
{
    struct queue_provider *provider = destination->provider;

    if (provider == NULL) {
        queue_destination_pause_alone(destination, why);
        return;
    }
    unsigned failures = provider->failures + 1;

    stop_provider(provider, failures, pause_end(destination->queue, failures), why);
    log_pause(destination, provider->member_count, why);
}

void queue_destination_pause_too(struct queue_destination *destination)
{
    const struct queue_provider *provider = destination->provider;

    stop(destination, provider->failures, provider->paused_until_ms,
         strbuf_bytes(&provider->trouble));
}

static void start_again(struct queue_destination *destination)
{
    destination->failures = 0;
    destination->paused_until_ms = 0;
}

void queue_destination_reached(struct queue_destination *destination)
{
    struct queue_provider *provider = destination->provider;
    struct list *node;

    start_again(destination);
    if (provider == NULL || provider->failures == 0) {
        return;
    }
    provider->failures = 0;
    provider->paused_until_ms = 0;
    for (node = provider->members.next; node != &provider->members;) {
        struct queue_destination *member = list_owner(node, struct queue_destination, member);
        node = node->next;
        start_again(member);
        if (member != destination) {
            queue_destination_review(member); /* may free it */
        }
    }
}

void queue_destination_resume(struct queue_destination *destination)
{
    destination->failures = destination->failures > 0; /* still one attempt first */
    destination->paused_until_ms = 0;
    if (destination->provider != NULL) {
        destination->provider->paused_until_ms = 0;
    }
}

/* The scan has been over this time already: remember it here. Later ones it will find. */
void queue_due_at(struct queue_destination *destination, int64_t due_unix_ms)
{
    struct queue *queue = destination->queue;
    int64_t delay = due_unix_ms - clock_unix_ms();
    uint64_t due = queue_now_ms(queue) + (delay > 0 ? (uint64_t)delay : 0);

    if (due < destination->due_ms) {
        destination->due_ms = due;
    }
}

static struct bytes key_bytes(const struct queue_delivery_key *key)
{
    return bytes_of(key, sizeof *key);
}

bool queue_delivery_is_known(struct queue *queue, uint64_t message, uint32_t number)
{
    struct queue_delivery_key key = {message, number};

    return hash_table_get(queue->known, key_bytes(&key)) != NULL;
}

static struct bytes append_text(char **at, struct bytes text)
{
    struct bytes copy = {*at, text.len};

    if (text.len != 0) {
        memcpy(*at, text.data, text.len);
        *at += text.len;
    }
    return copy;
}

struct queue_delivery *queue_delivery_from_row(struct queue_destination *destination,
                                               const struct spool_delivery *row)
{
    struct queue_delivery *delivery =
        memory_alloc(sizeof *delivery + row->recipient.len + row->alias.len + row->sender.len +
                     row->orcpt.len + row->fallback.len);
    char *text = (char *)(delivery + 1);

    *delivery = (struct queue_delivery){
        .key = {row->message, row->number},
        .owner = destination->queue->index,
        .created_ms = row->created_ms,
        .attempts = row->attempts,
        .name = destination->name,
        .address = append_text(&text, row->recipient),
        .alias = append_text(&text, row->alias),
        .sender = append_text(&text, row->sender),
        .notify = row->notify,
        .orcpt = append_text(&text, row->orcpt),
        .fallback = append_text(&text, row->fallback),
        .is_warned = row->is_warned,
        .must_bounce = row->is_given_up,
    };
    queue_delivery_know(destination, delivery);
    return delivery;
}

void queue_delivery_know(struct queue_destination *destination, struct queue_delivery *delivery)
{
    list_init(&delivery->link);
    delivery->destination = destination;
    destination->known++;
    hash_table_put(destination->queue->known, key_bytes(&delivery->key), delivery);
}

void queue_delivery_wait(struct queue_delivery *delivery)
{
    list_append(&delivery->destination->window, &delivery->link);
    delivery->destination->waiting++;
    delivery->destination->queue->waiting++;
}

void queue_delivery_wait_first(struct queue_delivery *delivery)
{
    list_insert(&delivery->destination->window, &delivery->link);
    delivery->destination->waiting++;
    delivery->destination->queue->waiting++;
}

void queue_delivery_unwait(struct queue_delivery *delivery)
{
    list_remove(&delivery->link);
    delivery->destination->waiting--;
    delivery->destination->queue->waiting--;
}

void queue_delivery_release(struct queue_delivery *delivery)
{
    struct queue_destination *destination = delivery->destination;

    list_remove(&delivery->link);
    destination->known--;
    hash_table_remove(destination->queue->known, key_bytes(&delivery->key));
    if (delivery->message != NULL) {
        struct queue_message *message = delivery->message;
        queue_message_drop(&message); /* the delivery lies in it */
    } else {
        free(delivery);
    }
}
