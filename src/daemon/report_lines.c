#include "daemon/report_lines.h"

#include "base/json.h"
#include "base/utf8.h"

void report_lines_init(struct report_lines *lines)
{
    lines->first = NULL;
    lines->end = &lines->first;
}

void report_lines_add(struct report_lines *lines, struct arena *arena, struct bytes text)
{
    struct report_line *line = arena_alloc(arena, sizeof *line);

    line->text = arena_copy(arena, text);
    *lines->end = line;
    lines->end = &line->next;
}

void report_lines_add_text(struct strbuf *out, const char *indent,
                           const struct report_lines *lines)
{
    for (const struct report_line *line = lines->first; line != NULL; line = line->next) {
        strbuf_add_text(out, indent);
        utf8_add_printable(out, line->text);
        strbuf_add_char(out, '\n');
    }
}

void report_words_add(struct strbuf *out, const char *label, int label_width, const char *words)
{
    struct bytes rest = bytes_from_text(words);
    size_t start = 2 + (size_t)label_width, column = start;

    if (rest.len == 0) {
        return;
    }
    strbuf_addf(out, "  %-*s", label_width, label);
    for (bool is_first = true; rest.len > 0; is_first = false) {
        struct bytes word = bytes_cut(&rest, ' ');

        if (!is_first && column + 1 + word.len > REPORT_WIDTH) {
            strbuf_addf(out, "\n  %-*s", label_width, "");
            column = start;
        } else if (!is_first) {
            strbuf_add_char(out, ' ');
            column++;
        }
        strbuf_add(out, word);
        column += word.len;
    }
    strbuf_add_char(out, '\n');
}

void report_lines_add_json(struct strbuf *out, const char *key,
                           const struct report_lines *lines)
{
    json_open_array(out, key);
    for (const struct report_line *line = lines->first; line != NULL; line = line->next) {
        json_text(out, NULL, line->text);
    }
    json_close_array(out);
}
