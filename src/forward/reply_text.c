#include "forward/reply_text.h"

void reply_text_add(struct strbuf *out, struct bytes foreign, size_t limit, const char *without)
{
    foreign = bytes_first(foreign, limit);
    for (size_t i = 0; i < foreign.len; i++) {
        char octet = foreign.data[i];
        bool is_bad = octet < ' ' || octet > '~' || strchr(without, octet) != NULL;

        strbuf_add_char(out, is_bad ? '?' : octet);
    }
}

static struct bytes keep(struct arena *arena, struct strbuf *text)
{
    struct bytes copy = arena_copy(arena, strbuf_bytes(text));

    strbuf_clear(text);
    return copy;
}

struct bytes reply_text_clean(struct arena *arena, struct bytes foreign, size_t limit,
                              const char *without)
{
    struct strbuf text;

    strbuf_init(&text, limit);
    reply_text_add(&text, foreign, limit, without);
    return keep(arena, &text);
}

struct bytes reply_text_make(struct arena *arena, const char *pattern, struct bytes what)
{
    struct bytes rest = bytes_from_text(pattern);
    struct bytes before = bytes_cut(&rest, '%');
    struct strbuf text;

    strbuf_init(&text, REPLY_TEXT_LIMIT);
    strbuf_add(&text, before);
    if (before.len < strlen(pattern)) {
        strbuf_add(&text, what);
    }
    strbuf_add(&text, rest);
    return keep(arena, &text);
}
