#include "daemon/event_keys.h"

#include "mail/event_record.h"

static const struct {
    const char *name;
    enum history_kind kind;
} fields[] = {
    {"id", HISTORY_MESSAGE},     {"bounce_of", HISTORY_MESSAGE},
    {"s", HISTORY_SESSION},      {"from", HISTORY_ADDRESS},
    {"to", HISTORY_ADDRESS},     {"orig_to", HISTORY_ADDRESS},
    {"sender", HISTORY_ADDRESS}, {"message-id", HISTORY_MESSAGE_ID},
};

static void add_key(struct history_facts *facts, enum history_kind kind, struct bytes value,
                    struct arena *arena)
{
    if (value.len > 0 && facts->count < HISTORY_KEYS) {
        facts->keys[facts->count++] = (struct history_key){
            kind, kind == HISTORY_ADDRESS ? arena_copy_lower(arena, value) : value};
    }
}

bool event_keys_describe(struct bytes line, struct arena *arena, struct history_facts *facts)
{
    struct event_record record;

    if (!event_record_read(&record, line, arena) || bytes_equal(record.level, BYTES("debug")) ||
        (event_record_is(&record, "connection-refused") &&
         event_record_get(&record, "s").len == 0)) {
        return false;
    }
    facts->time_ms = record.time_ms;
    facts->line = line;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        size_t position = 0;
        struct bytes value;

        while ((value = event_record_next(&record, fields[i].name, &position)).data != NULL) {
            add_key(facts, fields[i].kind, value, arena);
        }
    }
    add_key(facts, HISTORY_EVENT, record.event, arena);
    return true;
}
