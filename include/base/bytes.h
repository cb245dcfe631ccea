/*
 * bytes - a view of somebody else's octets.
 *
 * Shape   pointer and length, passed by value; never NUL-terminated, may hold NUL. An empty
 *         view may have a NULL pointer.
 * Rule    parsers take a view and return parts of it; they write nothing into their input.
 *         The view is good as long as the memory it points to.
 * Case    "nocase" folds ASCII letters only and leaves every other octet alone, whatever the
 *         locale: that is what SMTP and DNS compare by (RFC 5321 §2.4, RFC 4343).
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t len;
};

/* A view of a string literal, without its NUL. */
#define BYTES(literal) ((struct bytes){("" literal), sizeof(literal) - 1})

/* For printf("%.*s"): printf("name=" BYTES_FMT, BYTES_ARG(name)). */
#define BYTES_FMT "%.*s"
#define BYTES_ARG(view) (int)(view).len, ((view).data == NULL ? "" : (view).data)

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

static inline struct bytes bytes_from_text(const char *text)
{
    return (struct bytes){text, text == NULL ? 0 : strlen(text)};
}

/* The first `count` octets, or all when there are fewer. */
static inline struct bytes bytes_first(struct bytes view, size_t count)
{
    return (struct bytes){view.data, count < view.len ? count : view.len};
}

/* What is left after the first `count` octets; empty when there are fewer. */
static inline struct bytes bytes_skip(struct bytes view, size_t count)
{
    if (count == 0 || view.data == NULL) {
        return view;
    }
    if (count >= view.len) {
        return (struct bytes){view.data + view.len, 0};
    }
    return (struct bytes){view.data + count, view.len - count};
}

/* From `start` (inclusive) to `end` (exclusive). */
static inline struct bytes bytes_between(struct bytes view, size_t start, size_t end)
{
    return bytes_first(bytes_skip(view, start), end > start ? end - start : 0);
}

static inline unsigned char ascii_lower(unsigned char octet)
{
    return octet >= 'A' && octet <= 'Z' ? (unsigned char)(octet + 32) : octet;
}

static inline bool ascii_is_digit(unsigned char octet)
{
    return octet >= '0' && octet <= '9';
}

static inline bool ascii_is_alpha(unsigned char octet)
{
    return ascii_lower(octet) >= 'a' && ascii_lower(octet) <= 'z';
}

static inline bool ascii_is_alnum(unsigned char octet)
{
    return ascii_is_digit(octet) || ascii_is_alpha(octet);
}

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_nocase(struct bytes a, struct bytes b);
/* <0, 0, >0 as memcmp; a prefix sorts before the longer one. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_starts_with(struct bytes view, struct bytes prefix);
bool bytes_starts_with_nocase(struct bytes view, struct bytes prefix);
bool bytes_ends_with_nocase(struct bytes view, struct bytes suffix);
/* Index of the first (last) `octet`, or view.len when there is none. */
size_t bytes_find(struct bytes view, char octet);
size_t bytes_find_last(struct bytes view, char octet);
/* Index of the first occurrence of `part`, or view.len. An empty part is found at 0. */
size_t bytes_find_part(struct bytes view, struct bytes part);
/* Without blanks (SP, HTAB, CR, LF) at both ends. */
struct bytes bytes_trim(struct bytes view);
/* Cuts at the first `octet`: returns what stands before it and leaves the rest behind it in
 * *view. Without the octet all is returned and *view becomes empty. */
struct bytes bytes_cut(struct bytes *view, char octet);
/* No octet above 127. */
bool bytes_is_ascii(struct bytes view);
/* Writes the text with its ASCII letters in lower case to `to`, which has room for it and may be the
 * text itself. */
void bytes_fold(char *to, struct bytes text);
/* Strict decimal: digits only, at least one, no overflow. */
bool bytes_to_u64(struct bytes view, uint64_t *value);
/* Same octets, in time that depends on the lengths only (for secrets and hashes). */
bool bytes_equal_constant_time(struct bytes a, struct bytes b);

#endif
