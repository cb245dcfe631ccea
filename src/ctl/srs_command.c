#include "ctl/srs_command.h"

#include "io/state_store.h"
#include "mail/reply_address.h"

#include <stdio.h>
#include <sysexits.h>

enum { ADDRESS_LIMIT = 1024 };

static const char usage[] =
    "usage: postilion srs forward ADDRESS ...   what a sender becomes when it is forwarded\n"
    "       postilion srs reverse ADDRESS ...   the sender behind an SRS address (SRS0=, "
    "SRS1=),\n"
    "                                           the author behind a reply address (REPLY0=)\n"
    "       postilion srs secret [--add FILE]   a new secret, or one more in FILE\n";

static void print_mailbox(const struct smtp_mailbox *mailbox)
{
    struct strbuf text;

    strbuf_init(&text, ADDRESS_LIMIT);
    smtp_mailbox_add(&text, mailbox);
    printf("%s\n", mailbox->local.len + mailbox->domain.len == 0 ? "<>" : strbuf_text(&text));
    strbuf_clear(&text);
}

static int say_unchanged(const char *address, const struct smtp_mailbox *mailbox,
                         const char *why)
{
    print_mailbox(mailbox);
    fprintf(stderr, "%s: not rewritten: %s\n", address, why);
    return EX_OK;
}

static int say_bad(const char *address, const char *why)
{
    fprintf(stderr, "%s: %s\n", address, why);
    return EX_DATAERR;
}

static int forward_long(const struct srs_command_options *options, const char *address,
                        const struct smtp_mailbox *sender, struct arena *arena)
{
    struct smtp_mailbox rewritten;
    struct bytes token;

    switch (options->long_rule) {
    case LONG_SENDER_STORE:
        srs_forward_stored(options->srs, options->srs_domain, options->today, sender, arena,
                           &rewritten, &token);
        print_mailbox(&rewritten);
        fprintf(stderr,
                "%s: too long to be part of the address: the daemon stores it under " BYTES_FMT
                "\n",
                address, BYTES_ARG(token));
        return EX_OK;
    case LONG_SENDER_REFUSE:
        return say_bad(address, "too-long: the rewritten local part would be over 64 octets");
    }
    return EX_DATAERR;
}

static int forward_one(const struct srs_command_options *options, const char *address,
                       const struct smtp_mailbox *sender, struct arena *arena)
{
    struct smtp_mailbox rewritten;

    switch (srs_forward(options->srs, options->srs_domain, options->today, sender, arena,
                        &rewritten)) {
    case SRS_OK:
        print_mailbox(&rewritten);
        return EX_OK;
    case SRS_NOT_NEEDED:
        return say_unchanged(address, sender,
                             smtp_mailbox_is_null(sender) ? "the null sender stays null"
                                                          : "the domain is one of our own");
    case SRS_TOO_LONG:
        return forward_long(options, address, sender, arena);
    case SRS_MALFORMED:
    case SRS_FORGED:
    case SRS_EXPIRED:
    case SRS_FUTURE:
    case SRS_TOKEN:
        break;
    }
    return say_bad(address, "malformed: no mail can be brought back to this domain");
}

static int print_stored(const struct srs_command_options *options, const char *address,
                        struct bytes token)
{
    enum state_status found = STATE_MISSING;
    struct strbuf stored, why;
    int status = EX_DATAERR;

    strbuf_init(&stored, ADDRESS_LIMIT);
    strbuf_init(&why, 4096);
    if (options->state_directory != NULL) {
        found = state_store_read(options->state_directory, token, &stored, &why);
    }
    switch (found) {
    case STATE_OK:
        printf("%s\n", strbuf_text(&stored));
        status = EX_OK;
        break;
    case STATE_MISSING:
        fprintf(stderr,
                "%s: unknown token: the tag is good, but no address is stored under " BYTES_FMT
                "\n",
                address, BYTES_ARG(token));
        break;
    case STATE_FULL:
    case STATE_FAILED:
        fprintf(stderr, "%s: the tag is good, but stored addresses cannot be read now: %s\n",
                address, strbuf_text(&why));
        status = EX_TEMPFAIL;
        break;
    }
    strbuf_clear(&why);
    strbuf_clear(&stored);
    return status;
}

static enum srs_result read_signed(const struct srs_command_options *options,
                                   const struct smtp_mailbox *recipient, struct arena *arena,
                                   struct smtp_mailbox *original, struct bytes *token)
{
    if (reply_address_is_reply(recipient->local)) {
        return reply_address_reverse(options->srs, options->today, recipient, arena, original,
                                     token);
    }
    return srs_reverse(options->srs, options->today, recipient, arena, original, token);
}

static int reverse_one(const struct srs_command_options *options, const char *address,
                       const struct smtp_mailbox *recipient, struct arena *arena)
{
    struct smtp_mailbox original;
    struct bytes token;

    switch (read_signed(options, recipient, arena, &original, &token)) {
    case SRS_OK:
        print_mailbox(&original);
        return EX_OK;
    case SRS_TOKEN:
        return print_stored(options, address, token);
    case SRS_NOT_NEEDED:
        return say_bad(address, "not an SRS address, and not a reply address");
    case SRS_MALFORMED:
        return say_bad(address, reply_address_is_reply(recipient->local)
                                    ? "malformed: begins like a reply address, but is none we "
                                      "could have made"
                                    : "malformed: begins like an SRS address, but is none we "
                                      "could have made");
    case SRS_FORGED:
        return say_bad(address, "forged: no secret of ours makes this tag");
    case SRS_EXPIRED:
        return say_bad(address, "expired: the tag is good, but older than max-age");
    case SRS_FUTURE:
        return say_bad(address,
                       "from the future: the tag is good, but stamped later than today");
    case SRS_TOO_LONG:
        break;
    }
    return EX_DATAERR;
}

static struct bytes without_brackets(struct bytes text)
{
    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>') {
        return bytes_between(text, 1, text.len - 1);
    }
    return text;
}

static int read_address(const char *address, struct arena *arena, struct smtp_mailbox *mailbox)
{
    struct bytes text = without_brackets(bytes_from_text(address));

    *mailbox = (struct smtp_mailbox){.is_literal = false};
    if (text.len == 0) {
        return EX_OK; /* the null path */
    }
    if (text.len > ADDRESS_LIMIT / 2) {
        return say_bad(address, "bad address: too long");
    }
    switch (smtp_mailbox_parse(text, true, true, arena, mailbox)) {
    case SMTP_PATH_OK:
        return EX_OK;
    case SMTP_PATH_SYNTAX:
        return say_bad(address, "bad address: local@domain is wanted");
    case SMTP_PATH_TOO_LONG:
        return say_bad(address, "bad address: too long");
    case SMTP_PATH_BAD_UTF8:
        return say_bad(address, "bad address: not valid UTF-8");
    }
    return EX_DATAERR;
}

int srs_command_run(const struct srs_command_options *options, int argc, char **argv)
{
    bool is_forward = argc > 0 && strcmp(argv[0], "forward") == 0;
    struct arena *arena;
    int worst = EX_OK;

    if (argc < 2 || (!is_forward && strcmp(argv[0], "reverse") != 0)) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    arena = arena_new();
    for (int i = 1; i < argc; i++) {
        struct smtp_mailbox mailbox;
        int status = read_address(argv[i], arena, &mailbox);

        if (status == EX_OK) {
            status = is_forward ? forward_one(options, argv[i], &mailbox, arena)
                                : reverse_one(options, argv[i], &mailbox, arena);
        }
        worst = status > worst ? status : worst;
        arena_reset(arena);
    }
    arena_free(&arena);
    return worst;
}
