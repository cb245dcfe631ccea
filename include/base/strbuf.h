/*
 * strbuf - owned text that grows up to a limit.
 *
 * Shape   embed it; strbuf_init before use, strbuf_clear when done. `data` is NUL-terminated
 *         whenever it is not NULL (len does not count the NUL).
 * Limit   in octets, given at init. What does not fit is left out whole (never half an addition)
 *         and `overflowed` stays set until reset: build the whole text, check once.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include "base/bytes.h"

#include <stdarg.h>

struct strbuf {
    char *data;
    size_t len;
    size_t capacity; /* octets allocated, including the NUL */
    size_t limit;
    bool overflowed;
};

void strbuf_init(struct strbuf *buf, size_t limit);
/* Frees the memory; the strbuf can be used again with the same limit. */
void strbuf_clear(struct strbuf *buf);
/* The same for one that held a secret: overwritten first. */
void strbuf_clear_wiped(struct strbuf *buf);
/* Empties it, keeps the memory. */
void strbuf_reset(struct strbuf *buf);
/* Cuts back to len octets (len <= buf->len). */
void strbuf_truncate(struct strbuf *buf, size_t len);
/* Removes the first `count` octets. */
void strbuf_drop_first(struct strbuf *buf, size_t count);

void strbuf_add(struct strbuf *buf, struct bytes text);
void strbuf_add_lower(struct strbuf *buf, struct bytes text); /* ASCII letters folded */
void strbuf_add_char(struct strbuf *buf, char octet);
void strbuf_add_text(struct strbuf *buf, const char *text);
void strbuf_add_u64(struct strbuf *buf, uint64_t number);
void strbuf_addf(struct strbuf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void strbuf_addv(struct strbuf *buf, const char *format, va_list arguments);

static inline struct bytes strbuf_bytes(const struct strbuf *buf)
{
    return (struct bytes){buf->data, buf->len};
}

/* Never NULL. */
static inline const char *strbuf_text(const struct strbuf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

#endif
