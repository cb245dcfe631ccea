/*
 * dkim_signature - what is known of one signature of a message, from the library and from us.
 */
#ifndef AUTH_DKIM_SIGNATURE_H
#define AUTH_DKIM_SIGNATURE_H

#include "auth/canonical_form.h"
#include "auth/dkim_body_length.h"
#include "auth/dkim_verify.h"

#include <sys/types.h>

#include <opendkim/dkim.h>

enum { DKIM_MIN_KEY_BITS = 1024 }; /* RFC 8301 §3.2 */

enum { DKIM_BODY_FORMS = CANONICAL_RELAXED + 1 };

/* What is known of the body at its end. */
struct dkim_body {
    bool is_hashed_here;                       /* ... and not by the library */
    struct dkim_body_length length;            /* counted only when the library hashes */
    struct strbuf hash_texts[DKIM_BODY_FORMS]; /* base64; only of forms that were asked for */
};

struct dkim_signature {
    DKIM_SIGINFO *info; /* NULL: the library has nothing on it */
    bool is_settled;    /* result and why are final, whatever key and body say */
    enum auth_result result;
    const char *why;
    char key_name[DNS_NAME_LIMIT + 1];
    const struct dns_answer *key; /* only while the library verifies */
};

void dkim_signature_settle(struct dkim_signature *signature, enum auth_result result,
                           const char *why);
/* What the library made of a signature at the end of the header; settled when no key can make it
 * pass, else its key_name is written. */
void dkim_signature_take(struct dkim_signature *signature, DKIM_SIGINFO *info,
                         int64_t unix_seconds);
/* It has l=. */
bool dkim_signature_has_length(const struct dkim_signature *signature);
/* How it canonicalises the body. */
enum canonical_form dkim_signature_body_form(const struct dkim_signature *signature);
/* The library asks for the key: signature->key into text. */
DKIM_CBSTAT dkim_signature_answer(struct dkim_signature *signature, unsigned char *text,
                                  size_t capacity);
/* After dkim_eom: settles it. */
void dkim_signature_judge(struct dkim_signature *signature, DKIM_STAT eom_status,
                          const struct dkim_body *body);
void dkim_signature_write(const struct dkim_signature *signature, struct arena *arena,
                          struct dkim_verdict *verdict);

#endif
