/*
 * alias_line - the grammar of one alias: a name and what happens with its mail.
 *
 * Form    NAME: target, target        targets separated by commas or blanks, "#" comments
 *         NAME: target, target :fallback: mailbox
 *         NAME: :refuse: [550 [5.1.1]] [text]
 *         NAME: :defer: [450 [4.2.1]] [text]
 *         NAME: :discard:
 * Name    info         exact, case does not matter (ASCII)
 *         info@DOMAIN  the same, when DOMAIN is the domain the line stands for
 *         "john doe"   quoted as in an address
 *         /regex/      POSIX extended, whole local part, case does not matter; "\/" is a slash
 *         *            every name that nothing else matches
 * Target  a mailbox; with the name "*" also *@DOMAIN, which keeps the local part.
 * Fallback where mail goes that a target refuses for good: one mailbox, not in a domain of ours, so that
 *         nothing can go round. A nested alias may have one of its own for what stands behind it.
 * Input   one line without its line end; nothing is copied, all parts are views of it.
 * Errors  a static message, the octets it is about, perhaps a hint.
 */
#ifndef FORWARD_ALIAS_LINE_H
#define FORWARD_ALIAS_LINE_H

#include "base/bytes.h"

enum {
    ALIAS_LOCAL_LIMIT = 64,
    ALIAS_REPLY_LIMIT = 400,
    ALIAS_LINE_LIMIT = 65536,
    ALIAS_TARGETS_LIMIT = 1000, /* behind one name, nested ones counted */
};

enum alias_name_kind { ALIAS_NAME_EXACT, ALIAS_NAME_REGEX, ALIAS_NAME_ANY };
enum alias_action { ALIAS_FORWARD, ALIAS_REFUSE, ALIAS_DEFER, ALIAS_DISCARD };

struct alias_line {
    enum alias_name_kind kind;
    struct bytes
        name;       /* EXACT: decoded only when it is not quoted; REGEX: between the slashes */
    bool is_quoted; /* the name stood in quotes and may hold backslashes */
    struct bytes domain; /* behind "@" in the name, or empty */
    enum alias_action action;
    struct bytes targets;  /* FORWARD */
    struct bytes fallback; /* the same; empty: none */
    struct bytes reply;    /* REFUSE and DEFER: text as written, may be empty */
};

struct alias_line_error {
    struct bytes where; /* part of the line */
    const char *message;
    const char *hint; /* or NULL */
};

enum alias_line_result { ALIAS_LINE_ENTRY, ALIAS_LINE_BLANK, ALIAS_LINE_WRONG };

/* Splits a line; targets and reply are not looked into. */
enum alias_line_result alias_line_split(struct bytes line, struct alias_line *entry,
                                        struct alias_line_error *error);
/* The local part a quoted or plain name stands for; `octets` holds at least ALIAS_LOCAL_LIMIT.
 * False when it is too long. */
bool alias_line_decode_name(const struct alias_line *entry, char *octets, size_t *len);
/* The next target of a list, or false at its end. */
bool alias_line_next_target(struct bytes *rest, struct bytes *target);

struct alias_reply {
    unsigned code;     /* 550, or 450 */
    char enhanced[12]; /* "5.1.1" */
    struct bytes text;
};

/* Reads "550 5.1.1 text"; what is missing gets its default. */
bool alias_reply_parse(struct bytes text, bool is_defer, struct alias_reply *reply,
                       struct alias_line_error *error);

#endif
