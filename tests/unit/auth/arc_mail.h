/*
 * arc_mail - a message with a forged chain, and its verification with keys in DNS.
 */
#ifndef TESTS_UNIT_AUTH_ARC_MAIL_H
#define TESTS_UNIT_AUTH_ARC_MAIL_H

#include "auth/arc_chain.h"
#include "unit/auth/arc_forge.h"

#define HEADER                                                                                 \
    "From: Alice <alice@author.example>\r\nTo: bob@example.net\r\n"                            \
    "Subject:  folded  \r\n\t and   blank\r\n"

enum { NOW = 1790000000, HEADER_OCTETS = 512 * 1024 };

static const struct bytes body = {"Hello  there\t\r\n\r\nlast \r\n\r\n\r\n", 28};

/* Made once: keys take long. */
static struct {
    EVP_PKEY *rsa, *other, *ed25519, *weak;
    char rsa_p[1024], ed25519_p[64], other_p[1024], weak_p[256];
    struct dkim_key_cache *cache;
} keys;

static inline void make_key(EVP_PKEY **key, char *p, const char *type, size_t bits)
{
    struct strbuf text;

    *key = forge_key(type, bits);
    strbuf_init(&text, 1023);
    forge_public(*key, &text);
    memcpy(p, text.data, text.len + 1);
    strbuf_clear(&text);
}

static inline int make_keys(void **state)
{
    (void)state;
    make_key(&keys.rsa, keys.rsa_p, "RSA", 2048);
    make_key(&keys.other, keys.other_p, "RSA", 1024);
    make_key(&keys.weak, keys.weak_p, "RSA", 512);
    make_key(&keys.ed25519, keys.ed25519_p, "ED25519", 0);
    keys.cache = dkim_key_cache_new();
    return 0;
}

static inline int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(keys.rsa);
    EVP_PKEY_free(keys.other);
    EVP_PKEY_free(keys.weak);
    EVP_PKEY_free(keys.ed25519);
    dkim_key_cache_free(&keys.cache);
    return 0;
}

/* ---- a message and its verification ------------------------------------------------------ */

struct mail {
    struct strbuf header;
    struct arena *arena;
    struct dns_facts *facts;
    struct arc_verdict verdict;
    enum auth_status status;
    size_t wanted;
};

static inline void mail_start(struct mail *mail, const struct arc_forge *forges, unsigned count)
{
    *mail = (struct mail){.arena = arena_new(), .facts = dns_facts_new()};
    strbuf_init(&mail->header, HEADER_OCTETS);
    strbuf_add_text(&mail->header, HEADER);
    if (count != 0) {
        forge_chain(&mail->header, body, forges, count);
    }
}

static inline void mail_end(struct mail *mail)
{
    strbuf_clear(&mail->header);
    arena_free(&mail->arena);
    dns_facts_free(&mail->facts);
}

static inline void put_record(struct mail *mail, const char *name, const char *text)
{
    struct dns_record record = {.type = DNS_TYPE_TXT, .text = bytes_from_text(text)};
    struct dns_answer answer = {.status = DNS_OK, .records = &record, .count = 1};

    dns_facts_put(mail->facts, bytes_from_text(name), DNS_TYPE_TXT, &answer);
}

static inline void put_key(struct mail *mail, const char *name, const char *before,
                           const char *p)
{
    char text[2048];

    (void)snprintf(text, sizeof text, "%s%s", before, p);
    put_record(mail, name, text);
}

static inline void verify_cut(struct mail *mail, struct bytes text, size_t cut)
{
    struct arc_verifier *verifier = arc_verifier_new(keys.cache, NOW);
    size_t known = dns_facts_count(mail->facts);

    arc_verifier_header(verifier, strbuf_bytes(&mail->header), mail->facts);
    mail->wanted = dns_facts_count(mail->facts) - known;
    while (text.len != 0) {
        arc_verifier_body(verifier, bytes_first(text, cut));
        text = bytes_skip(text, cut);
    }
    mail->status = arc_verifier_finish(verifier, mail->facts, mail->arena, &mail->verdict);
    arc_verifier_free(&verifier);
}

/* With the usual keys in DNS. */
static inline void verify(struct mail *mail)
{
    put_key(mail, "s._domainkey.one.example", "v=DKIM1; k=rsa; p=", keys.rsa_p);
    put_key(mail, "ed._domainkey.one.example", "v=DKIM1; k=ed25519; p=", keys.ed25519_p);
    verify_cut(mail, body, SIZE_MAX);
}

static inline void check_verdict(const char *name, const struct mail *mail,
                                 enum auth_result result, const char *why)
{
    const struct arc_verdict *verdict = &mail->verdict;
    bool has_sealers = result == AUTH_PASS || result == AUTH_TEMPERROR;

    CHECK_TEXT(name, verdict->why, why);
    CHECK_INT(name, verdict->result, result);
    CHECK_INT(name, verdict->sealer_count, has_sealers ? verdict->newest : 0);
    CHECK_INT(name, verdict->oldest_pass, 0);
}

#define NO_FIELD "an ARC field cannot be read"
#define NO_SEAL "a seal did not verify"
#define NO_MESSAGE "message signature did not verify"

#endif
