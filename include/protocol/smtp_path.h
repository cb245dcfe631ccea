/*
 * smtp_path - mailboxes and paths: one parser for all of them, one writer.
 *
 * Shape   `local` is decoded (no quotes, no backslashes), `domain` as written, without brackets
 *         when it is a literal. What is routed, logged and sent is made from this form only.
 * Limits  local part 64 octets, domain 255, path 256 (RFC 5321 §4.5.3.1); above that
 *         SMTP_PATH_TOO_LONG.
 * Rules   source routes ("@a,@b:") are parsed and dropped (RFC 5321 §4.1.1.3, appendix C);
 *         domains are letters, digits, hyphens (underscore is taken, as every peer does) in
 *         labels of 1..63, one trailing dot refused, or an address literal; with `allow_utf8`
 *         valid UTF-8 is taken in local parts and domains (RFC 6531). NUL, CR, LF never.
 * Memory  decoded parts live in the arena; without quoting they are views of the input.
 * RFC     5321 §4.1.2, 6531 §3.3
 */
#ifndef PROTOCOL_SMTP_PATH_H
#define PROTOCOL_SMTP_PATH_H

#include "base/arena.h"
#include "base/strbuf.h"

struct smtp_mailbox {
    struct bytes local;  /* decoded; empty together with domain: the null path <> */
    struct bytes domain; /* as written; empty for the bare <postmaster> */
    bool is_literal;     /* domain is the inside of [ ] */
    bool is_utf8;        /* holds octets above 127 */
};

enum smtp_path_result {
    SMTP_PATH_OK,
    SMTP_PATH_SYNTAX,
    SMTP_PATH_TOO_LONG,
    SMTP_PATH_BAD_UTF8,
};

static inline bool smtp_mailbox_is_null(const struct smtp_mailbox *mailbox)
{
    return mailbox->local.len == 0 && mailbox->domain.len == 0;
}

/* "<...>" at the start of `input` (also "<>" and, in any case, "<postmaster>"); *used tells how
 * many octets belong to it. */
enum smtp_path_result smtp_path_parse(struct bytes input, bool allow_utf8, struct arena *arena,
                                      struct smtp_mailbox *mailbox, size_t *used);
/* The whole input is one "local@domain" (quoted local part allowed), as in configuration. The
 * 64 octet limit on local parts is not enforced here when `long_local` is set (SRS). */
enum smtp_path_result smtp_mailbox_parse(struct bytes input, bool allow_utf8, bool long_local,
                                         struct arena *arena, struct smtp_mailbox *mailbox);
/* True for a domain by the rules above (no literal). */
bool smtp_domain_is_valid(struct bytes domain, bool allow_utf8);

/* Writes "local@domain", the local part quoted where it must be; nothing for the null path. */
void smtp_mailbox_add(struct strbuf *out, const struct smtp_mailbox *mailbox);
/* The same between "<" and ">". */
void smtp_path_add(struct strbuf *out, const struct smtp_mailbox *mailbox);
/* Local part octet by octet, domain without case (RFC 5321 §2.4). */
bool smtp_mailbox_equal(const struct smtp_mailbox *a, const struct smtp_mailbox *b);

#endif
