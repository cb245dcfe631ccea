/*
 * Replies: the answer is the same whatever has arrived behind the reply; kept text is printable
 * and within its limit; what smtp_reply_add writes for any text is read back as one reply.
 */
#include "protocol/smtp_path.h"

#include "base/utf8.h"
#include "protocol/smtp_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_text(const struct smtp_reply *reply)
{
    require(reply->text_len <= SMTP_REPLY_TEXT_KEPT && reply->text[reply->text_len] == '\0');
    require(utf8_is_valid(bytes_of(reply->text, reply->text_len)));
    for (size_t i = 0; i < reply->text_len; i++) {
        require((unsigned char)reply->text[i] >= ' ' && reply->text[i] != 0x7f);
    }
    require(strlen(smtp_reply_enhanced(reply)) >= 5);
}

static void count_octets(void *context, struct bytes text)
{
    *(size_t *)context += text.len + 2;
}

static void check_reading(struct bytes input)
{
    static struct smtp_reply reply, again;
    size_t used = 0, used_again = 0, told = 0;

    switch (smtp_reply_next(input, &reply, &used)) {
    case SMTP_REPLY_READY:
        require(used > 0 && used <= input.len && reply.code >= 200 && reply.code < 600);
        check_text(&reply);
        require(smtp_reply_next(bytes_first(input, used), &again, &used_again) ==
                SMTP_REPLY_READY);
        require(used == used_again && again.code == reply.code);
        require(smtp_reply_next(bytes_first(input, used - 1), &again, &used_again) ==
                SMTP_REPLY_NEED_MORE);
        smtp_reply_each_line(bytes_first(input, used), count_octets, &told);
        require(told <= used + 2);
        break;
    case SMTP_REPLY_NEED_MORE:
        break;
    case SMTP_REPLY_MALFORMED:
        require(reply.code == 0);
        check_text(&reply);
        break;
    }
}

static void check_writing(struct bytes text)
{
    struct smtp_reply reply;
    struct strbuf out;
    size_t used = 0;

    text = bytes_first(text, 8000);
    strbuf_init(&out, 20000);
    smtp_reply_add(&out, 550, "5.7.1", text);
    require(!out.overflowed);
    require(smtp_reply_next(strbuf_bytes(&out), &reply, &used) == SMTP_REPLY_READY);
    require(used == out.len && reply.code == 550 && strcmp(reply.enhanced, "5.7.1") == 0);
    strbuf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reading(bytes_of(data, size));
    check_writing(bytes_of(data, size));
    return 0;
}
