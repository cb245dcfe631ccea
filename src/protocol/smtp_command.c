#include "protocol/smtp_command.h"

#include "base/utf8.h"

static const char *const VERBS[SMTP_VERB_COUNT] = {
    [SMTP_UNKNOWN] = "unknown", [SMTP_HELO] = "HELO",         [SMTP_EHLO] = "EHLO",
    [SMTP_MAIL] = "MAIL",       [SMTP_RCPT] = "RCPT",         [SMTP_DATA] = "DATA",
    [SMTP_BDAT] = "BDAT",       [SMTP_RSET] = "RSET",         [SMTP_NOOP] = "NOOP",
    [SMTP_QUIT] = "QUIT",       [SMTP_VRFY] = "VRFY",         [SMTP_EXPN] = "EXPN",
    [SMTP_HELP] = "HELP",       [SMTP_STARTTLS] = "STARTTLS", [SMTP_XCLIENT] = "XCLIENT",
};

const char *smtp_verb_text(enum smtp_verb verb)
{
    return VERBS[verb];
}

static enum smtp_verb find_verb(struct bytes word)
{
    for (int verb = SMTP_UNKNOWN + 1; verb < SMTP_VERB_COUNT; verb++) {
        if (bytes_equal_nocase(word, bytes_from_text(VERBS[verb]))) {
            return (enum smtp_verb)verb;
        }
    }
    return SMTP_UNKNOWN;
}

static struct bytes skip_blanks(struct bytes text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text = bytes_skip(text, 1);
    }
    return text;
}

/* Blanks at the end of a line mean nothing (RFC 5321 §4.1.1). */
static struct bytes drop_end_blanks(struct bytes text)
{
    while (text.len > 0 &&
           (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* RFC 5321 §4.1.2: esmtp-keyword. */
static bool is_keyword(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_alnum((unsigned char)name.data[i]) && (i == 0 || name.data[i] != '-')) {
            return false;
        }
    }
    return name.len > 0;
}

/* RFC 5321 §4.1.2: esmtp-value, with RFC 6531 §3.3 when UTF-8 may come. */
static bool is_parameter_value(struct bytes value, bool allow_utf8)
{
    bool is_ascii = true;

    for (size_t i = 0; i < value.len; i++) {
        unsigned char octet = (unsigned char)value.data[i];
        if (octet <= ' ' || octet == '=' || octet == 0x7f) {
            return false;
        }
        is_ascii = is_ascii && octet < 0x80;
    }
    return value.len > 0 && (is_ascii || (allow_utf8 && utf8_is_valid(value)));
}

static enum smtp_command_result parse_parameters(struct bytes rest, bool allow_utf8,
                                                 struct smtp_command *command)
{
    for (rest = skip_blanks(rest); rest.len > 0; rest = skip_blanks(rest)) {
        struct bytes word = bytes_cut(&rest, ' ');
        size_t equals = bytes_find(word, '=');
        struct smtp_parameter parameter = {bytes_first(word, equals),
                                           bytes_skip(word, equals + 1), equals < word.len};

        if (command->parameter_count == SMTP_PARAMETER_LIMIT || !is_keyword(parameter.name) ||
            (parameter.has_value && !is_parameter_value(parameter.value, allow_utf8)) ||
            smtp_command_parameter(command, parameter.name) != NULL) {
            return SMTP_COMMAND_BAD_PARAMETER;
        }
        command->parameters[command->parameter_count++] = parameter;
    }
    return SMTP_COMMAND_OK;
}

/* Only the null path may come without a domain in MAIL, only <postmaster> in RCPT. */
static bool path_fits_verb(const struct smtp_command *command)
{
    return command->path.domain.len > 0 ||
           smtp_mailbox_is_null(&command->path) == (command->verb == SMTP_MAIL);
}

static enum smtp_command_result parse_path(struct bytes keyword, bool allow_utf8,
                                           struct arena *arena, struct smtp_command *command)
{
    struct bytes rest = command->argument;
    size_t used = 0;

    if (!bytes_starts_with_nocase(rest, keyword)) {
        return SMTP_COMMAND_SYNTAX;
    }
    rest = skip_blanks(bytes_skip(rest, keyword.len));
    switch (smtp_path_parse(rest, allow_utf8, arena, &command->path, &used)) {
    case SMTP_PATH_OK:
        break;
    case SMTP_PATH_SYNTAX:
        return SMTP_COMMAND_BAD_PATH;
    case SMTP_PATH_TOO_LONG:
        return SMTP_COMMAND_PATH_TOO_LONG;
    case SMTP_PATH_BAD_UTF8:
        return SMTP_COMMAND_BAD_UTF8;
    }
    if (!path_fits_verb(command)) {
        return SMTP_COMMAND_BAD_PATH;
    }
    rest = bytes_skip(rest, used);
    if (rest.len > 0 && rest.data[0] != ' ') {
        return SMTP_COMMAND_SYNTAX;
    }
    return parse_parameters(rest, allow_utf8, command);
}

/* RFC 3030 §2: nothing but digits, and LAST. Who read anything else into it would disagree with its
 * client about where the octets end. */
static bool parse_chunk(struct smtp_command *command)
{
    struct bytes rest = command->argument;
    struct bytes size = bytes_cut(&rest, ' ');

    rest = skip_blanks(rest);
    command->is_last_chunk = bytes_equal_nocase(rest, BYTES("LAST"));
    return bytes_to_u64(size, &command->chunk_size) &&
           (rest.len == 0 || command->is_last_chunk);
}

static enum smtp_command_result ok_when(bool condition)
{
    return condition ? SMTP_COMMAND_OK : SMTP_COMMAND_SYNTAX;
}

enum smtp_command_result smtp_command_parse(struct bytes line, bool allow_utf8,
                                            struct arena *arena, struct smtp_command *command)
{
    struct bytes rest = drop_end_blanks(line);

    /* The parameters are read only up to their count; clearing them is not needed. */
    command->path = (struct smtp_mailbox){.is_literal = false};
    command->parameter_count = 0;
    command->verb = find_verb(bytes_cut(&rest, ' '));
    command->argument = skip_blanks(rest);
    switch (command->verb) {
    case SMTP_UNKNOWN:
    case SMTP_VERB_COUNT:
        return SMTP_COMMAND_UNKNOWN;
    case SMTP_HELO:
    case SMTP_EHLO:
        return ok_when(command->argument.len > 0 && is_visible(command->argument));
    case SMTP_MAIL:
        return parse_path(BYTES("FROM:"), allow_utf8, arena, command);
    case SMTP_RCPT:
        return parse_path(BYTES("TO:"), allow_utf8, arena, command);
    case SMTP_DATA:
    case SMTP_RSET:
    case SMTP_QUIT:
    case SMTP_STARTTLS:
        return ok_when(command->argument.len == 0);
    case SMTP_BDAT:
        return ok_when(parse_chunk(command));
    case SMTP_VRFY:
    case SMTP_EXPN:
    case SMTP_XCLIENT:
        return ok_when(command->argument.len > 0);
    case SMTP_NOOP:
    case SMTP_HELP:
        return SMTP_COMMAND_OK;
    }
    return SMTP_COMMAND_UNKNOWN;
}

const struct smtp_parameter *smtp_command_parameter(const struct smtp_command *command,
                                                    struct bytes name)
{
    for (size_t i = 0; i < command->parameter_count; i++) {
        if (bytes_equal_nocase(command->parameters[i].name, name)) {
            return &command->parameters[i];
        }
    }
    return NULL;
}
