#include "daemon/pauses.h"

#include "base/memory.h"
#include "io/log.h"

#include <stdlib.h>

static const struct bytes SETTING = {"pause ", 6};
static const struct bytes SETTING_TO = {"to ", 3};

struct pause {
    struct pause_target target;
    int64_t since_ms;
    char *text;
};

struct pauses {
    void (*apply)(void *context, const struct pause_target *target, bool is_paused);
    void *context;
    struct pause *all; /* in order; an operator has a handful */
    size_t count, capacity;
};

struct pauses *pauses_new(void (*apply)(void *context, const struct pause_target *target,
                                        bool is_paused),
                          void *context)
{
    struct pauses *pauses = memory_zero(sizeof *pauses);

    pauses->apply = apply;
    pauses->context = context;
    return pauses;
}

void pauses_free(struct pauses **pauses)
{
    if (*pauses == NULL) {
        return;
    }
    for (size_t i = 0; i < (*pauses)->count; i++) {
        free((*pauses)->all[i].text);
    }
    free((*pauses)->all);
    free(*pauses);
    *pauses = NULL;
}

static int compare(const struct pause_target *a, const struct pause_target *b)
{
    return a->kind != b->kind ? (int)a->kind - (int)b->kind
                              : bytes_compare(a->destination, b->destination);
}

/* The first that is not before it. */
static size_t find(const struct pauses *pauses, const struct pause_target *target)
{
    size_t place = 0;

    while (place < pauses->count && compare(&pauses->all[place].target, target) < 0) {
        place++;
    }
    return place;
}

static void insert(struct pauses *pauses, size_t place, const struct pause_target *target,
                   int64_t since_ms)
{
    struct pause *pause;

    if (pauses->count == pauses->capacity) {
        pauses->capacity = pauses->capacity == 0 ? 8 : pauses->capacity * 2;
        pauses->all = memory_resize(pauses->all, pauses->capacity, sizeof *pauses->all);
    }
    pause = &pauses->all[place];
    memmove(pause + 1, pause, (pauses->count - place) * sizeof *pause);
    pauses->count++;
    *pause = (struct pause){.target = *target, .since_ms = since_ms};
    pause->text = memory_alloc(target->destination.len + 1);
    if (target->destination.len > 0) {
        memcpy(pause->text, target->destination.data, target->destination.len);
    }
    pause->target.destination = bytes_of(pause->text, target->destination.len);
}

static void take_out(struct pauses *pauses, size_t place)
{
    struct pause *pause = &pauses->all[place];

    free(pause->text);
    pauses->count--;
    memmove(pause, pause + 1, (pauses->count - place) * sizeof *pause);
}

static struct bytes name_of(const struct pause_target *target)
{
    switch (target->kind) {
    case PAUSE_INBOUND:
        return BYTES("inbound");
    case PAUSE_OUTBOUND:
        return BYTES("outbound");
    case PAUSE_DESTINATION:
        return target->destination;
    }
    abort();
}

static void log_pause(const struct pause_target *target, bool is_paused)
{
    struct log_line line;

    log_begin(&line, is_paused ? LOG_WARNING : LOG_INFO, is_paused ? "paused" : "resumed");
    log_text(&line, "what",
             target->kind == PAUSE_INBOUND    ? "inbound"
             : target->kind == PAUSE_OUTBOUND ? "outbound"
                                              : "destination");
    if (target->kind == PAUSE_DESTINATION) {
        log_bytes(&line, "destination", target->destination);
    }
    log_text(&line, "why", "operator");
    log_end(&line);
}

bool pauses_set(struct pauses *pauses, const struct pause_target *target, int64_t now_ms,
                bool is_paused)
{
    size_t place = find(pauses, target);
    bool is_there = place < pauses->count && compare(&pauses->all[place].target, target) == 0;

    if (is_there == is_paused) {
        return false;
    }
    if (is_paused) {
        insert(pauses, place, target, now_ms);
    }
    pauses->apply(pauses->context, target, is_paused);
    log_pause(target, is_paused);
    if (!is_paused) {
        take_out(pauses, place); /* the last: `target` may be what pauses_get gave */
    }
    return true;
}

bool pauses_get(const struct pauses *pauses, size_t index, struct pause_target *target,
                int64_t *since_ms)
{
    if (index >= pauses->count) {
        return false;
    }
    *target = pauses->all[index].target;
    *since_ms = pauses->all[index].since_ms;
    return true;
}

bool pause_target_parse(struct bytes word, struct arena *memory, struct pause_target *target)
{
    char *lower;

    *target = (struct pause_target){.kind = PAUSE_INBOUND};
    if (bytes_equal(word, BYTES("inbound"))) {
        return true;
    }
    target->kind = PAUSE_OUTBOUND;
    if (bytes_equal(word, BYTES("outbound"))) {
        return true;
    }
    if (word.len == 0 || word.len > 255 || word.data[0] == '-') {
        return false;
    }
    lower = arena_alloc(memory, word.len);
    for (size_t i = 0; i < word.len; i++) {
        unsigned char octet = ascii_lower((unsigned char)word.data[i]);

        if (octet <= ' ' || octet == 0x7f || octet == '@') {
            return false;
        }
        lower[i] = (char)octet;
    }
    *target = (struct pause_target){.kind = PAUSE_DESTINATION,
                                    .destination = bytes_of(lower, word.len)};
    return true;
}

void pause_target_setting(struct strbuf *out, const struct pause_target *target)
{
    strbuf_add(out, SETTING);
    if (target->kind == PAUSE_DESTINATION) {
        strbuf_add(out, SETTING_TO);
    }
    strbuf_add(out, name_of(target));
}

void pauses_restore(struct pauses *pauses, const struct spool_summary *summary)
{
    struct arena *memory = arena_new();

    for (size_t i = 0; i < summary->setting_count; i++) {
        struct bytes name = summary->settings[i].name;
        struct pause_target target;
        uint64_t since_ms = 0;

        if (!bytes_starts_with(name, SETTING)) {
            continue;
        }
        name = bytes_skip(name, SETTING.len);
        name = bytes_skip(name, bytes_starts_with(name, SETTING_TO) ? SETTING_TO.len : 0);
        if (pause_target_parse(name, memory, &target)) {
            bytes_to_u64(summary->settings[i].value, &since_ms);
            pauses_set(pauses, &target, (int64_t)since_ms, true);
        }
    }
    arena_free(&memory);
}
