#include "tls_tickets.h"

#include "base/memory.h"
#include "base/shared.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

enum { NAME_SIZE = 16 };

struct ticket_key {
    unsigned char name[NAME_SIZE]; /* in clear in the ticket */
    unsigned char cipher[32];
    unsigned char hash[32];
    uint64_t made_ms;
};

struct tls_tickets {
    struct shared shared; /* first */
    pthread_mutex_t lock;
    struct ticket_key keys[2]; /* the one that seals, the one before it */
};

static void make_key(struct ticket_key *key)
{
    entropy_fill(key->name, sizeof key->name);
    entropy_fill(key->cipher, sizeof key->cipher);
    entropy_fill(key->hash, sizeof key->hash);
    key->made_ms = clock_now_ms();
}

static void destroy(struct shared *shared)
{
    struct tls_tickets *tickets = (struct tls_tickets *)(void *)shared;

    pthread_mutex_destroy(&tickets->lock);
    memory_wipe(tickets->keys, sizeof tickets->keys);
    free(tickets);
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = memory_zero(sizeof *tickets);

    shared_init(&tickets->shared, destroy);
    pthread_mutex_init(&tickets->lock, NULL);
    make_key(&tickets->keys[0]);
    make_key(&tickets->keys[1]);
    return tickets;
}

struct tls_tickets *tls_tickets_hold(struct tls_tickets *tickets)
{
    shared_hold(&tickets->shared);
    return tickets;
}

void tls_tickets_drop(struct tls_tickets **tickets)
{
    if (*tickets != NULL) {
        shared_drop(&(*tickets)->shared);
        *tickets = NULL;
    }
}

/* After a long pause both keys are too old. */
static void rotate(struct tls_tickets *tickets)
{
    uint64_t age_ms = clock_now_ms() - tickets->keys[0].made_ms;

    if (age_ms >= TLS_TICKET_KEY_SECONDS * 1000) {
        tickets->keys[1] = tickets->keys[0];
        make_key(&tickets->keys[0]);
        if (age_ms >= 2 * TLS_TICKET_KEY_SECONDS * 1000) {
            make_key(&tickets->keys[1]);
        }
    }
}

/* A copy, so that the lock is not held while others compute. The number of the key, or -1. */
static int find_key(struct tls_tickets *tickets, const unsigned char *name,
                    struct ticket_key *key)
{
    int found = name == NULL ? 0 : -1;

    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    for (int i = 0; i < 2 && found < 0; i++) {
        if (memcmp(tickets->keys[i].name, name, NAME_SIZE) == 0) {
            found = i;
        }
    }
    if (found >= 0) {
        *key = tickets->keys[found];
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool prepare(const struct ticket_key *key, const unsigned char *start,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hash,
                                          sizeof key->hash),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, start, is_sealing) ==
               1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* OpenSSL's call-back: 1 go on, 2 the same and give the client a fresh one, 0 no such key (a full
 * handshake), -1 failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *start,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    int found = find_key(tickets, is_sealing ? NULL : name, &key);
    /* TLS 1.3 wants each ticket used once: a resumed session gets the next one. */
    bool is_renewed = found > 0 || SSL_version(ssl) == TLS1_3_VERSION;
    int result;

    if (found < 0) {
        return 0;
    }
    if (is_sealing) {
        memcpy(name, key.name, NAME_SIZE);
        if (RAND_bytes(start, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) {
            return -1;
        }
    }
    result = !prepare(&key, start, cipher, mac, is_sealing) ? -1
             : is_renewed && !is_sealing                    ? 2
                                                            : 1;
    memory_wipe(&key, sizeof key);
    return result;
}

void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl)
{
    SSL_CTX_set_app_data(ssl, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
}
