#include "io/entropy.h"

#include "base/encoding.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

enum { SECRET_OCTETS = 32 };

void entropy_fill(void *data, size_t len)
{
    char *at = data;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        /* Only a signal may interrupt it; a kernel without getrandom is not supported. */
        assert(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}

uint32_t entropy_u32(void)
{
    uint32_t number;

    entropy_fill(&number, sizeof number);
    return number;
}

struct siphash_key entropy_hash_key(void)
{
    struct siphash_key key;

    entropy_fill(&key, sizeof key);
    return key;
}

void entropy_add_secret(struct strbuf *out)
{
    unsigned char octets[SECRET_OCTETS];

    entropy_fill(octets, sizeof octets);
    encoding_base64_add(out, bytes_of(octets, sizeof octets));
    strbuf_add_char(out, '\n');
    memory_wipe(octets, sizeof octets);
}
