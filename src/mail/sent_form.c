#include "mail/sent_form.h"

void sent_form_add(struct strbuf *out, struct bytes text)
{
    if (bytes_starts_with(text, BYTES("From "))) {
        (void)bytes_cut(&text, '\n');
    }
    while (text.len > 0) {
        struct bytes line = bytes_cut(&text, '\n');
        bool has_cr = line.len > 0 && line.data[line.len - 1] == '\r';
        strbuf_add(out, has_cr ? bytes_first(line, line.len - 1) : line);
        strbuf_add_text(out, "\r\n");
    }
}
