/*
 * dsn_parameter - what a sender says about the reports it wants: RET, ENVID, NOTIFY, ORCPT.
 *
 * Shape   ENVID and ORCPT are kept and passed on as written (xtext), never decoded on the way:
 *         what the sender compares is what it wrote. dsn_xtext_decode is for texts in reports.
 * Checks  ENVID: xtext of printable ASCII, DSN_ENVID_LIMIT octets. ORCPT: "type;xtext",
 *         DSN_ORCPT_LIMIT octets; with type utf-8 also the \x{HEX} form, and UTF-8 itself where
 *         SMTPUTF8 was said. NOTIFY: NEVER alone, or a list of the others, each once.
 * RFC     3461 §4, §5.2.7 (aliases), 6533 §3
 */
#ifndef PROTOCOL_DSN_PARAMETER_H
#define PROTOCOL_DSN_PARAMETER_H

#include "base/strbuf.h"

enum { DSN_ENVID_LIMIT = 100, DSN_ORCPT_LIMIT = 500 };

/* Kept in the spool: the numbers stay. */
enum dsn_return {
    DSN_RETURN_UNSAID = 0,
    DSN_RETURN_FULL = 1,
    DSN_RETURN_HEADERS = 2,
};

/* Flags; 0: NOTIFY was not said, which means failures and, if we like, delays. Kept in the spool:
 * the numbers stay. */
enum dsn_notify {
    DSN_NOTIFY_SUCCESS = 1,
    DSN_NOTIFY_FAILURE = 2,
    DSN_NOTIFY_DELAY = 4,
    DSN_NOTIFY_NEVER = 8,
};

bool dsn_read_return(struct bytes value, enum dsn_return *ret);
bool dsn_read_notify(struct bytes value, unsigned *notify);
bool dsn_envid_is_valid(struct bytes value);
bool dsn_orcpt_is_valid(struct bytes value, bool allow_utf8);

/* May a report about this be written? */
static inline bool dsn_wants_failure(unsigned notify)
{
    return notify == 0 || (notify & DSN_NOTIFY_FAILURE) != 0;
}

static inline bool dsn_wants_delay(unsigned notify)
{
    return notify == 0 || (notify & DSN_NOTIFY_DELAY) != 0;
}

static inline bool dsn_wants_success(unsigned notify)
{
    return (notify & DSN_NOTIFY_SUCCESS) != 0;
}

/* For each of several addresses behind one alias: nobody is told of success several times over. */
unsigned dsn_notify_without_success(unsigned notify);
/* One delivery stands for two recipients: what either of them wants. */
unsigned dsn_notify_both(unsigned one, unsigned other);

/* " RET=HDRS ENVID=x", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b"; nothing where nothing is said. An ORCPT in
 * UTF-8 is written as \x{HEX} unless `is_utf8`: SMTPUTF8 is said. */
void dsn_add_mail_parameters(struct strbuf *out, enum dsn_return ret, struct bytes envid);
void dsn_add_rcpt_parameters(struct strbuf *out, unsigned notify, struct bytes orcpt,
                             bool is_utf8);
/* "rfc822;" and the address in xtext. */
void dsn_add_orcpt(struct strbuf *out, struct bytes address);
/* The text that xtext stands for; what is no xtext stays as it is. */
void dsn_xtext_decode(struct strbuf *out, struct bytes xtext);

#endif
