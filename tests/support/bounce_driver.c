/*
 * bounce_driver - writes one bounce for tests/e2e/test_bounce_format.py.
 *
 * usage: bounce_driver failed|expired|delayed TO ALIAS HIDDEN STATUS REMOTE DIAGNOSTIC
 *                      [ALIAS HIDDEN STATUS REMOTE DIAGNOSTIC ...]  < original header
 */
#include "mail/bounce_message.h"

#include <stdio.h>
#include <time.h>

enum { RECIPIENT_LIMIT = 8, RECIPIENT_WORDS = 5, INPUT_LIMIT = 1 << 20 };

static enum bounce_kind kind_of(const char *word)
{
    return word[0] == 'f' ? BOUNCE_FAILED : word[0] == 'e' ? BOUNCE_EXPIRED : BOUNCE_DELAYED;
}

static void read_input(struct strbuf *header)
{
    char block[4096];
    size_t got;

    while ((got = fread(block, 1, sizeof block, stdin)) > 0) {
        strbuf_add(header, bytes_of(block, got));
    }
}

int main(int argc, char **argv)
{
    struct bounce_recipient recipients[RECIPIENT_LIMIT] = {{.attempts = 0}};
    struct bounce_facts facts = {.our_name = BYTES("mx.example.org"),
                                 .from_address = BYTES("postmaster@example.org"),
                                 .message_id = BYTES("0123456789abc"),
                                 .original_id = BYTES("0123456789abd"),
                                 .recipients = recipients};
    struct strbuf header, out;
    int at = 3;

    if (argc < 3 + RECIPIENT_WORDS) {
        fputs("bounce_driver: arguments are missing\n", stderr);
        return 64;
    }
    facts.kind = kind_of(argv[1]);
    facts.to_address = bytes_from_text(argv[2]);
    facts.now = time(NULL);
    facts.arrived = facts.now - 60;
    for (; at + RECIPIENT_WORDS <= argc && facts.recipient_count < RECIPIENT_LIMIT;
         at += RECIPIENT_WORDS) {
        recipients[facts.recipient_count++] =
            (struct bounce_recipient){.alias = bytes_from_text(argv[at]),
                                      .hidden = bytes_from_text(argv[at + 1]),
                                      .status = argv[at + 2],
                                      .remote = bytes_from_text(argv[at + 3]),
                                      .diagnostic = bytes_from_text(argv[at + 4]),
                                      .is_remote = argv[at + 3][0] != '\0',
                                      .last_attempt = facts.now,
                                      .attempts = 3};
    }
    strbuf_init(&header, INPUT_LIMIT);
    strbuf_init(&out, INPUT_LIMIT);
    read_input(&header);
    facts.original_header = strbuf_bytes(&header);
    bounce_message_write(&out, &facts);
    fwrite(out.data, 1, out.len, stdout);
    strbuf_clear(&header);
    strbuf_clear(&out);
    return 0;
}
