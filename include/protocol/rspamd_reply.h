/*
 * rspamd_reply - asking rspamd about a message over HTTP, and what it answers.
 *
 * Asked    POST /checkv2: what is known of client and envelope in fields, the message as the body. Strangers choose
 *          some of it: controls become "?", so nothing they write makes a field.
 * Answer   a JSON object; of it "action", "score", "required_score" and the names in "symbols" are read. What its
 *          "milter" asks to be changed is not done: nothing of a message is.
 * Actions  "discard" (milters lose the message) counts as reject. "greylist" alone only says that the score is
 *          high enough for it; when rspamd wants the client to come again it says "soft reject".
 * Output   texts live in the arena, printable ASCII.
 * Errors   false: no such object, or an action that is not known here.
 * See      https://rspamd.com/doc/architecture/protocol.html
 */
#ifndef PROTOCOL_RSPAMD_REPLY_H
#define PROTOCOL_RSPAMD_REPLY_H

#include "base/arena.h"
#include "base/strbuf.h"

enum { RSPAMD_SYMBOLS_LIMIT = 400, RSPAMD_SCORE_LIMIT = 40 };

enum rspamd_action {
    RSPAMD_NO_ACTION,
    RSPAMD_GREYLIST,
    RSPAMD_ADD_HEADER,
    RSPAMD_REWRITE_SUBJECT,
    RSPAMD_QUARANTINE,
    RSPAMD_SOFT_REJECT,
    RSPAMD_REJECT,
};

struct rspamd_reply {
    enum rspamd_action action;
    struct bytes score;   /* "7.20/15.00" */
    struct bytes symbols; /* "A,B,C": as many as fit */
};

struct rspamd_question {
    uint64_t size;       /* octets of the message */
    struct bytes sender; /* empty: the null sender */
    const struct bytes *recipients;
    size_t recipient_count;
    struct bytes ip, helo;
    struct bytes client_name; /* empty: none that is confirmed */
    struct bytes id, our_name;
    struct bytes tls_version; /* empty: it came in clear */
};

/* The head of the request; the message follows. */
void rspamd_question_add(struct strbuf *out, const struct rspamd_question *question);
bool rspamd_reply_read(struct bytes json, struct arena *arena, struct rspamd_reply *reply);
const char *rspamd_action_text(enum rspamd_action action);

#endif
