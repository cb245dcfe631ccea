#include "mail/message_id.h"

enum { COUNTER_BITS = 16, LOOP_BITS = 6, TIME_SHIFT = COUNTER_BITS + LOOP_BITS };

static const uint64_t counter_mask = (1U << COUNTER_BITS) - 1;
static const uint64_t loop_mask = (1U << LOOP_BITS) - 1;
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

uint64_t message_id_next(struct message_id_source *source, int64_t unix_ms)
{
    uint64_t now = unix_ms < 0 ? 0 : (uint64_t)unix_ms;
    uint64_t last = source->last >> TIME_SHIFT;
    uint64_t counter = 0;

    if (source->last != 0 && now <= last) {
        /* The clock stands still or went back: our own time goes on. */
        now = last;
        counter = (source->last & counter_mask) + 1;
        if (counter > counter_mask) {
            now++;
            counter = 0;
        }
    }
    source->last = now << TIME_SHIFT | (source->loop & loop_mask) << COUNTER_BITS | counter;
    return source->last;
}

struct message_id_text message_id_text(uint64_t id)
{
    struct message_id_text text = {""};

    for (size_t i = MESSAGE_ID_LENGTH; i > 0; i--) {
        text.text[i - 1] = alphabet[id & 31];
        id >>= 5;
    }
    return text;
}

/* 0..31, or 32 for what is no digit. */
static unsigned digit_of(char octet)
{
    char lower = (char)ascii_lower((unsigned char)octet);
    const char *found;

    if (lower == 'i' || lower == 'l') {
        lower = '1';
    } else if (lower == 'o') {
        lower = '0';
    }
    found = memchr(alphabet, lower, sizeof alphabet - 1);
    return found == NULL ? 32 : (unsigned)(found - alphabet);
}

bool message_id_parse(struct bytes text, uint64_t *id)
{
    uint64_t value = 0;

    /* 13 digits are 65 bits: the first digit has four. */
    if (text.len != MESSAGE_ID_LENGTH || digit_of(text.data[0]) > 15) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = digit_of(text.data[i]);

        if (digit > 31) {
            return false;
        }
        value = value << 5 | digit;
    }
    *id = value;
    return true;
}
