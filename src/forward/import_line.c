#include "forward/import_line.h"

#include "base/strbuf.h"

static bool begins_with_blank(struct bytes line)
{
    return line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
}

static bool is_comment(struct bytes line)
{
    struct bytes text = bytes_trim(line);

    return text.len == 0 || text.data[0] == '#';
}

static bool goes_on(struct bytes line)
{
    return begins_with_blank(line) && !is_comment(line);
}

/* Is there a line that goes on, with only comments before it? How many lines up to there. */
static size_t find_next_part(struct bytes rest)
{
    for (size_t count = 1; rest.len > 0; count++) {
        struct bytes line = bytes_cut(&rest, '\n');
        if (goes_on(line)) {
            return count;
        }
        if (!is_comment(line)) {
            return 0;
        }
    }
    return 0;
}

static struct bytes copied(struct arena *arena, struct strbuf *text)
{
    struct bytes copy = arena_copy(arena, strbuf_bytes(text));

    strbuf_clear(text);
    return copy;
}

static void join(struct import_lines *lines, size_t count, struct arena *arena,
                 struct import_line *line)
{
    struct strbuf text, inside;

    strbuf_init(&text, line->text.len + lines->rest.len + 2);
    strbuf_init(&inside, lines->rest.len + 2);
    strbuf_add(&text, line->text);
    for (; count > 0; count = count > 0 ? count : find_next_part(lines->rest)) {
        struct bytes part = bytes_cut(&lines->rest, '\n');
        lines->number++;
        count--;
        if (goes_on(part)) {
            strbuf_add_char(&text, ' ');
            strbuf_add(&text, bytes_trim(part));
        } else {
            strbuf_add(&inside, bytes_trim(part));
            strbuf_add_char(&inside, '\n');
        }
    }
    line->text = copied(arena, &text);
    line->inside = copied(arena, &inside);
}

enum import_line_kind import_line_next(struct import_lines *lines, struct arena *arena,
                                       struct import_line *line)
{
    struct bytes first;
    size_t count;

    if (lines->rest.len == 0) {
        return IMPORT_LINE_END;
    }
    first = bytes_cut(&lines->rest, '\n');
    *line = (struct import_line){.text = bytes_trim(first), .number = ++lines->number};
    if (is_comment(first)) {
        return IMPORT_LINE_COMMENT;
    }
    count = find_next_part(lines->rest);
    if (count > 0) {
        join(lines, count, arena, line);
    }
    return begins_with_blank(first) ? IMPORT_LINE_ORPHAN : IMPORT_LINE_TEXT;
}
