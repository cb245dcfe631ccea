/*
 * results_field - Authentication-Results: writing ours, finding those that only claim to be.
 *
 * Writing   one result a line, folded at 78 columns where the words allow it. Every value that
 *           is not a token or a plain address is quoted; controls, line ends and octets outside
 *           ASCII become "?" (callers give domains as A-labels); values and comments are cut at
 *           RESULT_TEXT_LIMIT octets. So nothing a stranger chose can end a value, a comment or
 *           the field. The same input gives the same octets.
 * Finding   a field carries our name when the authserv-id in front, comments, folding, quoting,
 *           case and version aside, is ours; also when no authserv-id can be read at all
 *           (nothing there, a comment or quotes never closed) and our name stands somewhere in
 *           it, since another reader may find it there. Fields of other names stay, whatever
 *           they say of us in comments.
 * RFC       8601 §2.2, §5; 7208 §9.1; 5322 §3.2
 */
#ifndef MAIL_RESULTS_FIELD_H
#define MAIL_RESULTS_FIELD_H

#include "base/strbuf.h"

enum { RESULT_TEXT_LIMIT = 330 }; /* local part 64, "@", domain 255, a little air */

struct result_property {
    const char *type; /* "smtp", "header", "policy", "polrec" ... */
    const char *name; /* "mailfrom", "d" ... */
    struct bytes value;
};

struct result_entry {
    const char *method;   /* "spf", "dkim" ... */
    const char *result;   /* "pass" ... */
    struct bytes comment; /* may be empty */
    struct bytes reason;  /* may be empty */
    const struct result_property *properties;
    size_t property_count;
};

/* "Authentication-Results: ...\r\n"; without entries: "none". */
void results_field_add(struct strbuf *out, struct bytes authserv_id,
                       const struct result_entry *entries, size_t count);

struct received_spf {
    const char *result;   /* "pass" ... */
    struct bytes comment; /* may be empty */
    struct bytes client_ip, envelope_from, helo, receiver;
    const char *identity;   /* "mailfrom" or "helo" */
    struct bytes mechanism; /* may be empty */
};

/* "Received-SPF: ...\r\n" */
void results_field_add_received_spf(struct strbuf *out, const struct received_spf *facts);

/* The next field of *header to take out, whole with its line ends; *header moves behind it.
 * False: there is no other. Taking out exactly these views leaves no field that is found. */
bool results_field_next_ours(struct bytes *header, struct bytes authserv_id,
                             struct bytes *field);
/* Does the value of an Authentication-Results field carry our name? */
bool results_field_names_us(struct bytes value, struct bytes authserv_id);

#endif
