#include "base/quoting.h"

size_t quoting_comment_length(struct bytes text)
{
    size_t depth = 0;

    for (size_t at = 0; at < text.len; at++) {
        if (text.data[at] == '\\') {
            at++;
        } else if (text.data[at] == '(') {
            depth++;
        } else if (text.data[at] == ')' && --depth == 0) {
            return at + 1;
        }
    }
    return 0;
}

size_t quoting_string_length(struct bytes text)
{
    for (size_t at = 1; at < text.len; at++) {
        if (text.data[at] == '\\') {
            at++;
        } else if (text.data[at] == '"') {
            return at + 1;
        }
    }
    return 0;
}
