#include "daemon/config_errors.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SHOWN_LINE = 160, MESSAGE_LIMIT = 2000, PRINT_LIMIT = 1000000 };

struct config_errors {
    struct config_error kept[CONFIG_ERRORS_KEPT];
    size_t kept_count;
    size_t counts[2];
    bool is_last_kept;
    struct arena *arena;
};

struct config_errors *config_errors_new(void)
{
    struct config_errors *errors = memory_zero(sizeof *errors);

    errors->arena = arena_new();
    return errors;
}

void config_errors_free(struct config_errors **errors)
{
    if (*errors != NULL) {
        arena_free(&(*errors)->arena);
        free(*errors);
        *errors = NULL;
    }
}

static size_t count_characters(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

/* The line the offset lies in; *number is its number, *start where it begins. */
static struct bytes line_around(struct bytes text, size_t offset, unsigned *number,
                                size_t *start)
{
    size_t end;

    *number = 1;
    *start = 0;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.data[i] == '\n') {
            ++*number;
            *start = i + 1;
        }
    }
    for (end = *start; end < text.len && text.data[end] != '\n'; end++) {
    }
    return bytes_between(text, *start, end);
}

/* The line and what marks the place in it; control octets are shown as "?". */
static void add_marked_line(struct strbuf *out, struct bytes line, size_t offset, size_t len)
{
    size_t first = offset > SHOWN_LINE / 2 ? offset - SHOWN_LINE / 2 : 0;
    struct bytes shown = bytes_between(line, first, first + SHOWN_LINE);
    size_t marks;

    strbuf_add_text(out, "    ");
    for (size_t i = 0; i < shown.len; i++) {
        unsigned char octet = (unsigned char)shown.data[i];
        if (octet == '\r' && i + 1 == shown.len) {
            break;
        }
        strbuf_add_char(out,
                        octet == '\t' || (octet >= ' ' && octet != 0x7f) ? (char)octet : '?');
    }
    strbuf_add_text(out, "\n    ");
    for (size_t i = 0; i < offset - first && i < shown.len; i++) {
        if (((unsigned char)shown.data[i] & 0xc0) != 0x80) {
            strbuf_add_char(out, shown.data[i] == '\t' ? '\t' : ' ');
        }
    }
    marks = count_characters(bytes_between(shown, offset - first, offset - first + len));
    strbuf_add_char(out, '^');
    for (size_t i = 1; i < marks; i++) {
        strbuf_add_char(out, '~');
    }
    strbuf_add_char(out, '\n');
}

static void render(struct strbuf *out, struct config_place place, const char *kind,
                   const char *message, unsigned *line, unsigned *column)
{
    *line = 0;
    *column = 0;
    if (place.len == 0 && place.offset == 0) {
        strbuf_addf(out, "%s: %s: %s\n", place.file->name, kind, message);
        return;
    }
    size_t start;
    struct bytes text = line_around(place.file->text, place.offset, line, &start);
    size_t offset = place.offset - start;
    *column = (unsigned)count_characters(bytes_first(text, offset)) + 1;
    strbuf_addf(out, "%s:%u:%u: %s: %s\n", place.file->name, *line, *column, kind, message);
    add_marked_line(out, text, offset, place.len);
}

void config_errors_add(struct config_errors *errors, enum config_severity severity,
                       struct config_place place, const char *hint, const char *format, ...)
{
    struct config_error *error = &errors->kept[errors->kept_count];
    struct strbuf message, text;
    va_list arguments;

    errors->counts[severity]++;
    errors->is_last_kept = errors->kept_count < CONFIG_ERRORS_KEPT;
    if (!errors->is_last_kept) {
        return;
    }
    errors->kept_count++;
    strbuf_init(&message, MESSAGE_LIMIT);
    strbuf_init(&text, PRINT_LIMIT);
    va_start(arguments, format);
    strbuf_addv(&message, format, arguments);
    va_end(arguments);
    if (message.overflowed) {
        strbuf_add_text(&message, "this text is too long to be shown");
    }
    *error = (struct config_error){.severity = severity};
    render(&text, place, severity == CONFIG_ERROR ? "error" : "warning", strbuf_text(&message),
           &error->line, &error->column);
    if (hint != NULL) {
        strbuf_addf(&text, "  hint: %s\n", hint);
        error->hint = arena_copy_text(errors->arena, bytes_from_text(hint));
    }
    error->file = arena_copy_text(errors->arena, bytes_from_text(place.file->name));
    error->message = arena_copy_text(errors->arena, strbuf_bytes(&message));
    error->text = arena_copy(errors->arena, strbuf_bytes(&text));
    strbuf_clear(&message);
    strbuf_clear(&text);
}

void config_errors_add_note(struct config_errors *errors, struct config_place place,
                            const char *note)
{
    struct config_error *error;
    struct strbuf text;
    unsigned line, column;

    if (!errors->is_last_kept || errors->kept_count == 0) {
        return;
    }
    error = &errors->kept[errors->kept_count - 1];
    strbuf_init(&text, PRINT_LIMIT);
    strbuf_add(&text, error->text);
    render(&text, place, "note", note, &line, &column);
    error->text = arena_copy(errors->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
}

size_t config_errors_count(const struct config_errors *errors, enum config_severity severity)
{
    return errors->counts[severity];
}

const struct config_error *config_errors_get(const struct config_errors *errors, size_t index)
{
    return index < errors->kept_count ? &errors->kept[index] : NULL;
}

unsigned config_place_line(struct config_place place)
{
    unsigned line;
    size_t start;

    line_around(place.file->text, place.offset, &line, &start);
    return line;
}

/* The first error of the same file: files keep the order in which they were met. */
static size_t file_rank(const struct config_errors *errors, const struct config_error *error)
{
    size_t i = 0;

    while (strcmp(errors->kept[i].file, error->file) != 0) {
        i++;
    }
    return i;
}

static bool goes_before(const struct config_errors *errors, const struct config_error *a,
                        const struct config_error *b)
{
    size_t rank_a = file_rank(errors, a), rank_b = file_rank(errors, b);

    return rank_a != rank_b ? rank_a < rank_b : a->line < b->line;
}

void config_errors_print(const struct config_errors *errors, struct strbuf *out)
{
    size_t all = errors->counts[CONFIG_ERROR] + errors->counts[CONFIG_WARNING];
    const struct config_error *sorted[CONFIG_ERRORS_KEPT];

    for (size_t i = 0; i < errors->kept_count; i++) {
        size_t at = i;
        for (; at > 0 && goes_before(errors, &errors->kept[i], sorted[at - 1]); at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = &errors->kept[i];
    }
    for (size_t i = 0; i < errors->kept_count; i++) {
        strbuf_add(out, sorted[i]->text);
    }
    if (all > errors->kept_count) {
        strbuf_addf(out, "... and %zu more\n", all - errors->kept_count);
    }
}
