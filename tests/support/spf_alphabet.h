/*
 * spf_alphabet - is this text one that libspf2 may be given? (auth/spf_rewrite.h)
 *
 * Written apart from the code that makes the text, and stricter where it can be.
 */
#ifndef TESTS_SUPPORT_SPF_ALPHABET_H
#define TESTS_SUPPORT_SPF_ALPHABET_H

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

static inline bool spf_take(struct bytes *text, const char *part)
{
    struct bytes wanted = bytes_from_text(part);

    if (!bytes_starts_with(*text, wanted)) {
        return false;
    }
    *text = bytes_skip(*text, wanted.len);
    return true;
}

static inline size_t spf_take_all_of(struct bytes *text, const char *set)
{
    size_t count = 0;

    while (count < text->len && text->data[count] != '\0' &&
           strchr(set, text->data[count]) != NULL) {
        count++;
    }
    *text = bytes_skip(*text, count);
    return count;
}

static inline bool spf_take_token(struct bytes *text)
{
    return spf_take(text, "t") && spf_take_all_of(text, "0123456789") > 0 &&
           spf_take(text, ".x");
}

static inline bool spf_take_prefix(struct bytes *text)
{
    size_t digits;

    if (!spf_take(text, "//") && !spf_take(text, "/")) {
        return true;
    }
    digits = spf_take_all_of(text, "0123456789");
    return digits > 0 && digits <= 3;
}

static inline bool spf_take_term(struct bytes *text)
{
    if (text->len == 0 || strchr("-+~?", text->data[0]) == NULL) {
        return false;
    }
    *text = bytes_skip(*text, 1);
    if (spf_take(text, "all")) {
        return true;
    }
    if (spf_take(text, "ip4:")) {
        return spf_take_all_of(text, "0123456789.") >= 7 && spf_take_prefix(text);
    }
    if (spf_take(text, "ip6:")) {
        return spf_take_all_of(text, "0123456789abcdef:.") >= 2 && spf_take_prefix(text);
    }
    if (spf_take(text, "a:") || spf_take(text, "mx:")) {
        return spf_take_token(text) && spf_take_prefix(text);
    }
    return (spf_take(text, "exists:") || spf_take(text, "include:")) && spf_take_token(text);
}

/* A whole rewritten record, or one token on its own. */
static inline bool spf_text_is_closed(const char *handed)
{
    struct bytes text = bytes_from_text(handed);

    if (!spf_take(&text, "v=spf1")) {
        return spf_take_token(&text) && text.len == 0;
    }
    while (text.len > 0) {
        if (spf_take(&text, " redirect=")) {
            return spf_take_token(&text) && text.len == 0;
        }
        if (!spf_take(&text, " ") || !spf_take_term(&text)) {
            return false;
        }
    }
    return true;
}

/* For spf_watcher.on_library_text: ends the program at the first text that is not closed. */
static inline void spf_require_closed(void *context, const char *text)
{
    (void)context;
    if (!spf_text_is_closed(text)) {
        fprintf(stderr, "handed to libspf2: \"%s\"\n", text);
        abort();
    }
}

#endif
