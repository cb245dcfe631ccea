/* A line of the log, read back: names are words; what was read, logged once more by io/log in either form, reads the same. */
#include "base/memory.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "io/log.h"
#include "mail/event_record.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keep(void *context, struct bytes line)
{
    strbuf_add(context, line);
}

static void need(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Shown as text in JSON, where there is no other way. */
static bool is_text(struct bytes value)
{
    while (value.len > 0) {
        size_t len = utf8_length(value);
        struct bytes character = bytes_first(value, len);

        if (len == 0 || (utf8_is_control(character) &&
                         bytes_find(BYTES("\r\n\t"), character.data[0]) == 3)) {
            return false;
        }
        value = bytes_skip(value, len);
    }
    return true;
}

static void check_again(const struct event_record *record, enum log_format format,
                        struct arena *arena)
{
    struct log_options options = {.format = format};
    struct event_record again;
    struct strbuf text;
    struct log_line line;

    strbuf_init(&text, LOG_LINE_LIMIT);
    log_configure(&options);
    log_divert(keep, &text);
    log_begin(&line, LOG_INFO, "again");
    for (size_t i = 0; i < record->count; i++) {
        log_bytes(&line, arena_copy_text(arena, record->fields[i].name),
                  record->fields[i].value);
    }
    log_end(&line);
    need(event_record_read(&again, strbuf_bytes(&text), arena));
    need(event_record_is(&again, "again"));
    need(again.count == record->count);
    for (size_t i = 0; i < again.count; i++) {
        need(bytes_equal(again.fields[i].name, record->fields[i].name));
        need(bytes_equal(again.fields[i].value, record->fields[i].value) ||
             (format == LOG_JSON && !is_text(record->fields[i].value)));
    }
    strbuf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes line = bytes_of((const char *)data, size);
    struct arena *arena = arena_new();
    struct event_record record;

    if (event_record_read(&record, line, arena)) {
        size_t octets = 0;
        bool is_small;

        need(record.count <= EVENT_FIELD_LIMIT);
        for (size_t i = 0; i < record.count; i++) {
            struct event_field field = record.fields[i];
            const char *name = arena_copy_text(arena, field.name);

            need(field.name.len > 0 && strlen(name) == field.name.len);
            need(event_record_get(&record, name).data != NULL);
            octets += field.name.len + 6 + 6 * field.value.len;
        }
        is_small = octets < LOG_LINE_LIMIT / 2;
        /* Names of the head are its own. */
        for (size_t i = 0; i < record.count; i++) {
            struct bytes name = record.fields[i].name;

            is_small = is_small && !bytes_equal(name, BYTES("ts")) &&
                       !bytes_equal(name, BYTES("level")) && !bytes_equal(name, BYTES("event"));
        }
        if (is_small) {
            check_again(&record, LOG_LOGFMT, arena);
            check_again(&record, LOG_JSON, arena);
        }
    }
    arena_free(&arena);
    return 0;
}
