#include "base/strbuf.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

void strbuf_init(struct strbuf *buf, size_t limit)
{
    *buf = (struct strbuf){.limit = limit};
}

void strbuf_clear(struct strbuf *buf)
{
    free(buf->data);
    *buf = (struct strbuf){.limit = buf->limit};
}

void strbuf_clear_wiped(struct strbuf *buf)
{
    if (buf->data != NULL) {
        memory_wipe(buf->data, buf->capacity);
    }
    strbuf_clear(buf);
}

void strbuf_reset(struct strbuf *buf)
{
    strbuf_truncate(buf, 0);
    buf->overflowed = false;
}

void strbuf_truncate(struct strbuf *buf, size_t len)
{
    if (buf->data != NULL && len <= buf->len) {
        buf->len = len;
        buf->data[len] = '\0';
    }
}

void strbuf_drop_first(struct strbuf *buf, size_t count)
{
    if (count >= buf->len) {
        strbuf_truncate(buf, 0);
        return;
    }
    memmove(buf->data, buf->data + count, buf->len - count);
    strbuf_truncate(buf, buf->len - count);
}

/* Room for `extra` more octets and the NUL, or the overflow mark. */
static bool make_room(struct strbuf *buf, size_t extra)
{
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;

    if (extra > buf->limit - buf->len) {
        buf->overflowed = true;
        return false;
    }
    if (buf->len + extra < buf->capacity) {
        return true;
    }
    while (capacity <= buf->len + extra) {
        capacity *= 2;
    }
    if (capacity > buf->limit + 1) {
        capacity = buf->limit + 1;
    }
    buf->data = memory_resize(buf->data, capacity, 1);
    buf->capacity = capacity;
    return true;
}

void strbuf_add(struct strbuf *buf, struct bytes text)
{
    if (text.len == 0 || !make_room(buf, text.len)) {
        return;
    }
    memcpy(buf->data + buf->len, text.data, text.len);
    buf->len += text.len;
    buf->data[buf->len] = '\0';
}

void strbuf_add_lower(struct strbuf *buf, struct bytes text)
{
    size_t before = buf->len;

    strbuf_add(buf, text);
    if (buf->len > before) {
        bytes_fold(buf->data + before, text);
    }
}

void strbuf_add_char(struct strbuf *buf, char octet)
{
    if (make_room(buf, 1)) {
        buf->data[buf->len++] = octet;
        buf->data[buf->len] = '\0';
    }
}

void strbuf_add_text(struct strbuf *buf, const char *text)
{
    strbuf_add(buf, bytes_from_text(text));
}

void strbuf_add_u64(struct strbuf *buf, uint64_t number)
{
    char digits[20];
    size_t start = sizeof digits;

    do {
        digits[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    strbuf_add(buf, bytes_of(digits + start, sizeof digits - start));
}

void strbuf_addf(struct strbuf *buf, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    strbuf_addv(buf, format, arguments);
    va_end(arguments);
}

/* Straight into the room there is; only a text that does not fit is made twice. */
void strbuf_addv(struct strbuf *buf, const char *format, va_list arguments)
{
    size_t room = buf->data == NULL ? 0 : buf->capacity - buf->len;
    va_list again;
    int len;

    va_copy(again, arguments);
    len = vsnprintf(room == 0 ? NULL : buf->data + buf->len, room, format, arguments);
    if (len > 0 && (size_t)len >= room) {
        if (room > 0) {
            buf->data[buf->len] = '\0'; /* the part that was written */
        }
        len = make_room(buf, (size_t)len)
                  ? vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again)
                  : 0;
    }
    buf->len += len > 0 ? (size_t)len : 0;
    va_end(again);
}
