#include "message_file.h"

#include "base/memory.h"
#include "io/file_read.h"

#include <stdlib.h>

enum { CHUNK = 65536, WHY_LIMIT = 4096 };

static bool read_input(struct strbuf *text, struct strbuf *why)
{
    char *chunk = memory_alloc(CHUNK);
    size_t got;

    while ((got = fread(chunk, 1, CHUNK, stdin)) > 0) {
        strbuf_add(text, bytes_of(chunk, got));
    }
    free(chunk);
    if (ferror(stdin) || text->overflowed) {
        strbuf_add_text(why, text->overflowed ? "the message is too large" : "cannot be read");
        return false;
    }
    return true;
}

static void write_as_sent(struct bytes text, struct strbuf *message)
{
    if (bytes_starts_with(text, BYTES("From "))) {
        (void)bytes_cut(&text, '\n');
    }
    while (text.len > 0) {
        struct bytes line = bytes_cut(&text, '\n');
        bool has_cr = line.len > 0 && line.data[line.len - 1] == '\r';
        strbuf_add(message, has_cr ? bytes_first(line, line.len - 1) : line);
        strbuf_add_text(message, "\r\n");
    }
}

bool message_file_read(const char *command, const char *path, struct strbuf *message, FILE *err)
{
    struct strbuf text, why;
    bool is_read;

    strbuf_init(&text, MESSAGE_FILE_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    is_read = strcmp(path, "-") == 0
                  ? read_input(&text, &why)
                  : file_read_whole(path, MESSAGE_FILE_LIMIT, &text, NULL, &why);
    if (is_read) {
        write_as_sent(strbuf_bytes(&text), message);
    } else {
        fprintf(err, "postilion %s: %s: %s\n", command, path, strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    return is_read;
}
