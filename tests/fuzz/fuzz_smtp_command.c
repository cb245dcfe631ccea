/*
 * Lines and commands: every part of a command points into the line or into the arena, and what
 * smtp_line_next finds does not depend on how much has arrived behind it. The size of a chunk is what
 * its digits say.
 */
#include "protocol/smtp_command.h"
#include "protocol/smtp_line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_inside(struct bytes part, struct bytes whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_mailbox(const struct smtp_mailbox *mailbox, struct bytes line)
{
    require(is_inside(mailbox->domain, line));
    require(mailbox->local.len <= 64 && mailbox->domain.len <= 255);
    /* The local part may be a decoded copy; it never holds what could break a line. */
    require(bytes_find(mailbox->local, '\r') == mailbox->local.len);
    require(bytes_find(mailbox->local, '\n') == mailbox->local.len);
    require(bytes_find(mailbox->local, '\0') == mailbox->local.len);
}

/* Who reads the size digit by digit comes to the same number, and nothing but LAST stands behind it. */
static void check_chunk(const struct smtp_command *command)
{
    struct bytes rest = command->argument;
    uint64_t size = 0;
    size_t digits = 0;

    while (digits < rest.len && rest.data[digits] >= '0' && rest.data[digits] <= '9') {
        size = size * 10 + (uint64_t)(rest.data[digits++] - '0');
    }
    require(digits > 0 && size == command->chunk_size);
    rest = bytes_skip(rest, digits);
    while (rest.len > 0 && rest.data[0] == ' ') {
        rest = bytes_skip(rest, 1);
    }
    require(command->is_last_chunk ? bytes_equal_nocase(rest, BYTES("LAST")) : rest.len == 0);
}

static void check_line(struct bytes line, bool allow_utf8)
{
    struct arena *arena = arena_new();
    struct smtp_command command;
    enum smtp_command_result result = smtp_command_parse(line, allow_utf8, arena, &command);

    require(command.verb < SMTP_VERB_COUNT);
    require((command.verb == SMTP_UNKNOWN) == (result == SMTP_COMMAND_UNKNOWN));
    require(is_inside(command.argument, line));
    require(command.parameter_count <= SMTP_PARAMETER_LIMIT);
    for (size_t i = 0; i < command.parameter_count; i++) {
        require(is_inside(command.parameters[i].name, line));
        require(is_inside(command.parameters[i].value, line));
        require(smtp_command_parameter(&command, command.parameters[i].name) ==
                &command.parameters[i]);
    }
    if (result == SMTP_COMMAND_OK && (command.verb == SMTP_MAIL || command.verb == SMTP_RCPT)) {
        check_mailbox(&command.path, line);
    }
    if (result == SMTP_COMMAND_OK && command.verb == SMTP_BDAT) {
        check_chunk(&command);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LIMIT = 512 };
    struct bytes input = bytes_of(data, size);

    for (;;) {
        struct bytes line = BYTES(""), again = BYTES("");
        size_t used = 0, used_again = 0;
        enum smtp_line_result result = smtp_line_next(input, LIMIT, &line, &used);

        if (result == SMTP_LINE_NEED_MORE) {
            check_line(input, false);
            return 0;
        }
        require(used > 0 && used <= input.len);
        require(smtp_line_next(bytes_first(input, used), LIMIT, &again, &used_again) == result);
        require(used_again == used && line.data == again.data && line.len == again.len);
        if (result == SMTP_LINE_READY) {
            require(is_inside(line, input) && line.len + 2 == used);
            check_line(line, false);
            check_line(line, true);
        }
        input = bytes_skip(input, used);
    }
}
