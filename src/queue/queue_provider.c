#include "queue_provider.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* ---- providers ---- */

static void free_provider(struct queue_provider *provider)
{
    assert(provider->member_count == 0 && provider->attempts_open == 0);
    list_remove(&provider->idle);
    hash_table_remove(provider->queue->providers, provider->hosts);
    strbuf_clear(&provider->trouble);
    free(provider);
}

static void note_idle(struct queue_provider *provider)
{
    struct queue *queue = provider->queue;

    if (provider->member_count > 0 || provider->attempts_open > 0 ||
        !list_is_empty(&provider->idle)) {
        return;
    }
    list_append(&queue->idle_providers, &provider->idle);
    if (++queue->idle_provider_count > QUEUE_PROVIDERS_KEPT) {
        queue->idle_provider_count--;
        free_provider(list_owner(queue->idle_providers.next, struct queue_provider, idle));
    }
}

static void note_used(struct queue_provider *provider)
{
    if (!list_is_empty(&provider->idle)) {
        list_remove(&provider->idle);
        provider->queue->idle_provider_count--;
    }
}

static struct queue_provider *make_provider(struct queue *queue, struct bytes hosts)
{
    struct queue_provider *provider = hash_table_get(queue->providers, hosts);

    if (provider != NULL) {
        return provider;
    }
    provider = memory_alloc(sizeof *provider + hosts.len);
    *provider = (struct queue_provider){.queue = queue, .window = QUEUE_WINDOW_START};
    memcpy(provider + 1, hosts.data, hosts.len);
    provider->hosts = bytes_of(provider + 1, hosts.len);
    provider->slot = siphash(&queue->set->key, hosts) % QUEUE_PROVIDER_SLOTS;
    list_init(&provider->members);
    list_init(&provider->blocked);
    list_init(&provider->idle);
    strbuf_init(&provider->trouble, 1024);
    hash_table_put(queue->providers, provider->hosts, provider);
    return provider;
}

void queue_providers_free(struct queue *queue)
{
    while (!list_is_empty(&queue->idle_providers)) {
        free_provider(list_owner(queue->idle_providers.next, struct queue_provider, idle));
    }
    assert(hash_table_count(queue->providers) == 0);
    hash_table_free(&queue->providers);
}

/* ---- members ---- */

void queue_provider_drop_member(struct queue_destination *destination)
{
    struct queue_provider *provider = destination->provider;

    if (provider == NULL) {
        return;
    }
    destination->provider = NULL;
    if (destination->is_blocked) {
        list_remove(&destination->ready);
        destination->is_blocked = false;
    }
    list_remove(&destination->member);
    provider->member_count--;
    note_idle(provider);
}

static void join(struct queue_destination *destination, struct queue_provider *provider)
{
    if (destination->provider == provider) {
        return;
    }
    note_used(provider);
    queue_provider_drop_member(destination);
    destination->provider = provider;
    destination->failures = provider->failures;
    list_append(&provider->members, &destination->member);
    provider->member_count++;
}

/* ---- places ---- */

static unsigned cap(const struct queue_provider *provider)
{
    unsigned concurrency = provider->queue->options.concurrency;

    return concurrency == 0 ? 1 : concurrency;
}

static unsigned width(const struct queue_provider *provider)
{
    if (provider->failures > 0) {
        return 1;
    }
    return provider->window < cap(provider) ? provider->window : cap(provider);
}

static atomic_uint *open_in_all(const struct queue_provider *provider)
{
    return &provider->queue->set->attempts_open[provider->slot];
}

bool queue_provider_has_room(const struct queue_provider *provider)
{
    return provider->attempts_open == 0 ||
           (provider->attempts_open < width(provider) &&
            atomic_load_explicit(open_in_all(provider), memory_order_relaxed) < cap(provider));
}

bool queue_provider_is_silent(const struct queue_provider *provider)
{
    return provider->attempts_open > 0 &&
           queue_now_ms(provider->queue) >= provider->progress_ms + QUEUE_ASK_SILENCE_MS;
}

void queue_provider_take(struct queue_job *job, struct queue_provider *provider)
{
    assert(job->provider == NULL);
    note_used(provider);
    job->provider = provider;
    if (provider->attempts_open++ == 0) {
        provider->progress_ms = queue_now_ms(job->queue);
    }
    atomic_fetch_add_explicit(open_in_all(provider), 1, memory_order_relaxed);
}

/* As many as there are places, each destination in turn. */
static void unblock(struct queue_provider *provider)
{
    unsigned places = width(provider) > provider->attempts_open
                          ? width(provider) - provider->attempts_open
                          : provider->attempts_open == 0;

    while (places-- > 0 && !list_is_empty(&provider->blocked)) {
        struct queue_destination *destination =
            list_owner(provider->blocked.next, struct queue_destination, ready);
        list_remove(&destination->ready);
        destination->is_blocked = false;
        destination->is_troubled = false; /* looked at when it is its turn */
        list_append(&provider->queue->ready, &destination->ready);
        queue_pump(provider->queue);
    }
}

void queue_provider_leave(struct queue_job *job)
{
    struct queue_provider *provider = job->provider;

    if (provider == NULL) {
        return;
    }
    job->provider = NULL;
    provider->attempts_open--;
    provider->progress_ms = queue_now_ms(provider->queue);
    atomic_fetch_sub_explicit(open_in_all(provider), 1, memory_order_relaxed);
    unblock(provider);
    note_idle(provider);
}

bool queue_provider_admit(void *context, struct bytes hosts)
{
    struct queue_job *job = context;
    struct queue_provider *provider = make_provider(job->queue, hosts);

    if (job->provider == provider) {
        return true;
    }
    join(job->destination, provider);
    queue_provider_leave(job);
    if (queue_now_ms(job->queue) < provider->paused_until_ms ||
        !queue_provider_has_room(provider)) {
        return false;
    }
    queue_provider_take(job, provider);
    return true;
}

/* ---- the window ---- */

void queue_provider_widen(struct queue_provider *provider)
{
    if (provider == NULL) {
        return;
    }
    if (provider->still_old > 0) {
        provider->still_old--;
        return;
    }
    if (provider->attempts_open < width(provider) || provider->window >= cap(provider)) {
        return; /* nothing is learned from a window that is not full */
    }
    provider->successes++;
    if (provider->successes >= provider->window || provider->window < QUEUE_WINDOW_START) {
        provider->successes = 0;
        provider->window++;
        unblock(provider);
    }
}

void queue_provider_narrow(struct queue_provider *provider)
{
    if (provider == NULL) {
        return;
    }
    provider->successes = 0;
    if (provider->still_old > 0) {
        provider->still_old--; /* it began before, and says the same */
        return;
    }
    provider->still_old = provider->attempts_open - (provider->attempts_open > 0);
    provider->window = provider->window > 1 ? provider->window / 2 : 1;
}
