#include "tls_peer_copy.h"

#include "tls_certificate.h"

#include <openssl/x509v3.h>

static struct bytes copy_name(struct arena *arena, const X509_NAME *name)
{
    BIO *text = BIO_new(BIO_s_mem());
    struct bytes copy = {NULL, 0};
    char *octets;
    long len;

    if (text == NULL) {
        return copy;
    }
    X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    len = BIO_get_mem_data(text, &octets);
    if (len > 0) {
        copy = arena_copy(arena, bytes_of(octets, (size_t)len));
    }
    BIO_free(text);
    return copy;
}

static void add_name(struct tls_peer_certificate *copy, struct arena *arena,
                     const ASN1_STRING *name)
{
    struct bytes text = {(const char *)ASN1_STRING_get0_data(name),
                         (size_t)ASN1_STRING_length(name)};

    if (copy->name_count == TLS_PEER_NAMES) {
        copy->more_names++;
    } else {
        copy->names[copy->name_count++] = arena_copy(arena, text);
    }
}

static void copy_names(struct tls_peer_certificate *copy, struct arena *arena,
                       const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS) {
            add_name(copy, arena, name->d.dNSName);
        }
    }
    GENERAL_NAMES_free(names);
}

static const char *key_text(const EVP_PKEY *key)
{
    switch (key == NULL ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return "RSA";
    case EVP_PKEY_EC:
        return "EC";
    case EVP_PKEY_ED25519:
        return "Ed25519";
    case EVP_PKEY_ED448:
        return "Ed448";
    default:
        return "unknown";
    }
}

static void copy_certificate(struct tls_peer_certificate *copy, struct arena *arena,
                             X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);

    *copy = (struct tls_peer_certificate){
        .subject = copy_name(arena, X509_get_subject_name(certificate)),
        .issuer = copy_name(arena, X509_get_issuer_name(certificate)),
        .begins = tls_certificate_seconds(X509_get0_notBefore(certificate), INT64_MIN),
        .expires = tls_certificate_seconds(X509_get0_notAfter(certificate), INT64_MAX),
        .key = key_text(key),
        .key_bits = key == NULL ? 0 : EVP_PKEY_get_bits(key),
    };
    copy_names(copy, arena, certificate);
}

void tls_peer_copy(struct tls_peer *peer, STACK_OF(X509) * chain)
{
    int count = chain == NULL ? 0 : sk_X509_num(chain);

    peer->count = 0;
    for (int i = 0; i < count && i < TLS_PEER_LIMIT; i++) {
        copy_certificate(&peer->certificates[peer->count++], peer->arena,
                         sk_X509_value(chain, i));
    }
}
