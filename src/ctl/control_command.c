#include "ctl/control_command.h"

#include "daemon_call.h"

#include <string.h>
#include <sysexits.h>

enum { LINE_LIMIT = 1024 };

/* A blank would make two words of one on the wire. */
static bool is_word(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ') {
            return false;
        }
    }
    return text[0] != '\0';
}

static bool is_in_order(int argc, char **argv)
{
    if (strcmp(argv[0], "reload") == 0 || strcmp(argv[0], "restart") == 0) {
        return argc == 1;
    }
    if (strcmp(argv[0], "status") == 0) {
        return argc == 1 || (argc == 2 && (strcmp(argv[1], "--json") == 0 ||
                                           strcmp(argv[1], "--metrics") == 0));
    }
    return argc == 2 && argv[1][0] != '-' && is_word(argv[1]);
}

static const char *arguments_of(const char *command)
{
    if (strcmp(command, "status") == 0) {
        return "[--json|--metrics]";
    }
    return command[0] == 'p' || strcmp(command, "resume") == 0 ? "inbound|outbound|DESTINATION"
                                                               : "";
}

int control_command_run(const char *control_path, int argc, char **argv, FILE *out, FILE *err)
{
    struct strbuf line;
    int code = EX_OK;

    if (!is_in_order(argc, argv)) {
        fprintf(err, "usage: postilion %s %s\n", argv[0], arguments_of(argv[0]));
        return EX_USAGE;
    }
    strbuf_init(&line, LINE_LIMIT);
    strbuf_addf(&line, "%s%s%s\n", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    if (line.overflowed) {
        fprintf(err, "postilion %s: that is too long\n", argv[0]);
        code = EX_USAGE;
    } else if (!daemon_call(control_path, strbuf_bytes(&line), out, err, &code)) {
        fprintf(err, "postilion: it is not running\n");
        code = EX_UNAVAILABLE;
    }
    strbuf_clear(&line);
    return code;
}
