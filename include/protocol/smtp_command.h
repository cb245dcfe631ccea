/*
 * smtp_command - one command line as a value.
 *
 * Input   a line without CRLF (from smtp_line). Parts are views of it or live in the arena.
 * Errors  see enum smtp_command_result; `verb` is set even then when it is known, so that the
 *         reply can be specific. At most SMTP_PARAMETER_LIMIT parameters.
 * RFC     5321 §4.1.1, 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 (RET ENVID NOTIFY ORCPT),
 *         3030 §2 (BDAT)
 */
#ifndef PROTOCOL_SMTP_COMMAND_H
#define PROTOCOL_SMTP_COMMAND_H

#include "protocol/smtp_path.h"

enum smtp_verb {
    SMTP_UNKNOWN,
    SMTP_HELO,
    SMTP_EHLO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_STARTTLS,
    SMTP_XCLIENT, /* Postfix's; see protocol/xclient */
    SMTP_VERB_COUNT,
};

enum smtp_command_result {
    SMTP_COMMAND_OK,
    SMTP_COMMAND_UNKNOWN,       /* 500: no such verb */
    SMTP_COMMAND_SYNTAX,        /* 501: arguments missing, extra or malformed */
    SMTP_COMMAND_BAD_PATH,      /* 501 5.1.7 / 5.1.3: the path does not parse */
    SMTP_COMMAND_PATH_TOO_LONG, /* 501 5.1.7 / 5.1.3 */
    SMTP_COMMAND_BAD_UTF8,      /* 553 5.6.7 */
    SMTP_COMMAND_BAD_PARAMETER, /* 501 5.5.4: "KEY=VALUE" malformed, twice, or too many */
};

enum { SMTP_PARAMETER_LIMIT = 16 };

struct smtp_parameter {
    struct bytes name;
    struct bytes value;
    bool has_value;
};

struct smtp_command {
    enum smtp_verb verb;
    struct bytes argument;    /* all behind the verb; HELO/EHLO: the name */
    struct smtp_mailbox path; /* MAIL, RCPT */
    struct smtp_parameter parameters[SMTP_PARAMETER_LIMIT];
    size_t parameter_count;
    uint64_t chunk_size; /* BDAT */
    bool is_last_chunk;
};

/* The blank between "FROM:" or "TO:" and "<" is taken, as every peer does. HELO/EHLO names are
 * checked for printable ASCII without blanks only; what they mean is policy. */
enum smtp_command_result smtp_command_parse(struct bytes line, bool allow_utf8,
                                            struct arena *arena, struct smtp_command *command);
const struct smtp_parameter *smtp_command_parameter(const struct smtp_command *command,
                                                    struct bytes name); /* or NULL; any case */
/* "MAIL" ... */
const char *smtp_verb_text(enum smtp_verb verb);

#endif
