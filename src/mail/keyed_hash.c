/* The plain digest functions are "deprecated" in OpenSSL 3 in favour of handles that must be
 * fetched, locked and freed: HMAC() takes four times as long and meets the other threads in the
 * provider's lock. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "mail/keyed_hash.h"

#include "base/memory.h"

#include <openssl/sha.h>

#include <assert.h>

enum { BLOCK = 64, INNER = 0x36, OUTER = 0x5c };

/* Secrets longer than a block are hashed first (RFC 2104 §2). */
static void pad_key(const uint8_t *key, size_t len, uint8_t pad, uint8_t block[BLOCK])
{
    memset(block, pad, BLOCK);
    for (size_t i = 0; i < len; i++) {
        block[i] = key[i] ^ pad;
    }
}

static void hmac_sha256(struct bytes secret, struct bytes text,
                        uint8_t out[SHA256_DIGEST_LENGTH])
{
    uint8_t short_key[SHA256_DIGEST_LENGTH];
    uint8_t block[BLOCK];
    const uint8_t *key = (const uint8_t *)secret.data;
    size_t key_len = secret.len;
    SHA256_CTX digest;

    if (key_len > BLOCK) {
        SHA256(key, key_len, short_key);
        key = short_key;
        key_len = sizeof short_key;
    }
    pad_key(key, key_len, INNER, block);
    SHA256_Init(&digest);
    SHA256_Update(&digest, block, sizeof block);
    SHA256_Update(&digest, text.data, text.len);
    SHA256_Final(out, &digest);
    pad_key(key, key_len, OUTER, block);
    SHA256_Init(&digest);
    SHA256_Update(&digest, block, sizeof block);
    SHA256_Update(&digest, out, SHA256_DIGEST_LENGTH);
    SHA256_Final(out, &digest);
    memory_wipe(block, sizeof block);
    memory_wipe(&digest, sizeof digest);
    memory_wipe(short_key, sizeof short_key);
}

static void hmac_sha1(struct bytes secret, struct bytes text, uint8_t out[SHA_DIGEST_LENGTH])
{
    uint8_t short_key[SHA_DIGEST_LENGTH];
    uint8_t block[BLOCK];
    const uint8_t *key = (const uint8_t *)secret.data;
    size_t key_len = secret.len;
    SHA_CTX digest;

    if (key_len > BLOCK) {
        SHA1(key, key_len, short_key);
        key = short_key;
        key_len = sizeof short_key;
    }
    pad_key(key, key_len, INNER, block);
    SHA1_Init(&digest);
    SHA1_Update(&digest, block, sizeof block);
    SHA1_Update(&digest, text.data, text.len);
    SHA1_Final(out, &digest);
    pad_key(key, key_len, OUTER, block);
    SHA1_Init(&digest);
    SHA1_Update(&digest, block, sizeof block);
    SHA1_Update(&digest, out, SHA_DIGEST_LENGTH);
    SHA1_Final(out, &digest);
    memory_wipe(block, sizeof block);
    memory_wipe(&digest, sizeof digest);
    memory_wipe(short_key, sizeof short_key);
}

static void write_digits(const uint8_t *octets, unsigned bits, const char *alphabet, char *out,
                         size_t digits)
{
    uint32_t held = 0;
    unsigned count = 0;

    for (size_t i = 0; i < digits; i++) {
        if (count < bits) {
            held = (held << 8 | *octets++) & 0xffff;
            count += 8;
        }
        count -= bits;
        out[i] = alphabet[held >> count & ((1U << bits) - 1)];
    }
}

void keyed_hash_sha256_base32(struct bytes secret, struct bytes text, char *out, size_t digits)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    assert(digits <= KEYED_HASH_DIGITS);
    hmac_sha256(secret, text, hash);
    write_digits(hash, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", out, digits);
}

void keyed_hash_sha1_base64(struct bytes secret, struct bytes text, char *out, size_t digits)
{
    uint8_t hash[SHA_DIGEST_LENGTH];

    assert(digits <= KEYED_HASH_DIGITS);
    hmac_sha1(secret, text, hash);
    write_digits(hash, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                 out, digits);
}
