#include "message_file.h"

#include "io/file_read.h"
#include "mail/sent_form.h"

enum { WHY_LIMIT = 4096 };

bool message_file_read(const char *command, const char *path, struct strbuf *message, FILE *err)
{
    struct strbuf text, why;
    bool is_read;

    strbuf_init(&text, MESSAGE_FILE_LIMIT);
    strbuf_init(&why, WHY_LIMIT);
    is_read = strcmp(path, "-") == 0
                  ? file_read_input(&text, &why)
                  : file_read_whole(path, MESSAGE_FILE_LIMIT, &text, NULL, &why);
    if (is_read) {
        sent_form_add(message, strbuf_bytes(&text));
    } else {
        fprintf(err, "postilion %s: %s: %s\n", command, path, strbuf_text(&why));
    }
    strbuf_clear(&why);
    strbuf_clear(&text);
    return is_read;
}
