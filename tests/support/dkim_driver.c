/*
 * dkim_driver - verdicts on the message on standard input, for tests beside other DKIM programs.
 *
 * usage: dkim_driver [now=SECONDS] [cut=OCTETS] [repeat=TIMES] [NAME ANSWER] ...
 *
 * ANSWER is the text of a TXT record (a NAME may come more than once) or one of !nxdomain !nodata
 * !tempfail; a NAME that is not given is never answered. cut: the body is fed in such pieces.
 * Writes "wanted NAME" for each question and one line, parts separated by TAB, for each verdict:
 * result, domain, selector, algorithm, start of b=, "testing" or nothing, why. repeat: verifies so
 * often and writes the CPU microseconds of one time instead.
 */
#include "auth/dkim_verify.h"

#include "mail/header_block.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MESSAGE_LIMIT = 64 * 1024 * 1024, RECORD_LIMIT = 4 };

struct driver {
    int64_t now;
    size_t cut;
    unsigned long repeat;
    char **pairs;
    int pair_count;
    struct strbuf message;
    struct dkim_library *library;
};

static void read_message(struct strbuf *message)
{
    static char octets[64 * 1024];
    size_t got;

    strbuf_init(message, MESSAGE_LIMIT);
    while ((got = fread(octets, 1, sizeof octets, stdin)) != 0) {
        strbuf_add(message, bytes_of(octets, got));
    }
    if (message->overflowed) {
        fputs("dkim_driver: message too long\n", stderr);
        exit(65);
    }
}

static bool read_setting(struct driver *driver, const char *argument)
{
    struct bytes value = bytes_from_text(argument);
    struct bytes name = bytes_cut(&value, '=');

    if (bytes_equal(name, BYTES("now"))) {
        driver->now = strtoll(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("cut"))) {
        driver->cut = strtoul(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("repeat"))) {
        driver->repeat = strtoul(value.data, NULL, 10);
    } else {
        return false;
    }
    return true;
}

static void put_answers(const struct driver *driver, struct dns_facts *facts)
{
    for (int i = 0; i + 1 < driver->pair_count; i += 2) {
        struct dns_record records[RECORD_LIMIT];
        struct dns_answer answer = {.status = DNS_OK, .ttl = 300, .records = records};
        const char *name = driver->pairs[i];

        for (int j = 0; j + 1 < driver->pair_count; j += 2) {
            const char *text = driver->pairs[j + 1];

            if (strcmp(driver->pairs[j], name) != 0) {
                continue;
            }
            if (strcmp(text, "!nxdomain") == 0) {
                answer.status = DNS_NXDOMAIN;
            } else if (strcmp(text, "!nodata") == 0) {
                answer.status = DNS_NODATA;
            } else if (strcmp(text, "!tempfail") == 0) {
                answer.status = DNS_TEMPFAIL;
            } else if (answer.count < RECORD_LIMIT) {
                records[answer.count++] =
                    (struct dns_record){.type = DNS_TYPE_TXT, .text = bytes_from_text(text)};
            }
        }
        dns_facts_put(facts, bytes_from_text(name), DNS_TYPE_TXT, &answer);
    }
}

static void write_verdict(const struct dkim_verdict *verdict)
{
    printf("%s\t" BYTES_FMT "\t" BYTES_FMT "\t%s\t" BYTES_FMT "\t%s\t%s\n",
           auth_result_text(verdict->result), BYTES_ARG(verdict->domain),
           BYTES_ARG(verdict->selector), verdict->algorithm == NULL ? "" : verdict->algorithm,
           BYTES_ARG(verdict->signature_start), verdict->is_testing ? "testing" : "",
           verdict->why == NULL ? "" : verdict->why);
}

static void verify_message(const struct driver *driver, bool is_quiet)
{
    struct bytes message = strbuf_bytes(&driver->message);
    struct bytes header = bytes_first(message, header_block_length(message));
    struct bytes body = bytes_skip(message, header.len);
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct dkim_verifier *verifier = dkim_verifier_new(driver->library, driver->now);
    struct dkim_verdicts verdicts;
    const struct dns_question *wanted;
    size_t count;

    dkim_verifier_header(verifier, header, facts);
    wanted = dns_facts_wanted(facts, &count);
    for (size_t i = 0; i < count && !is_quiet; i++) {
        printf("wanted " BYTES_FMT "\n", BYTES_ARG(wanted[i].name));
    }
    put_answers(driver, facts);
    body = bytes_starts_with(body, BYTES("\r\n")) ? bytes_skip(body, 2) : body;
    while (body.len != 0) {
        dkim_verifier_body(verifier, bytes_first(body, driver->cut));
        body = bytes_skip(body, driver->cut);
    }
    dkim_verifier_finish(verifier, facts, arena, &verdicts);
    for (size_t i = 0; i < verdicts.count && !is_quiet; i++) {
        write_verdict(&verdicts.verdicts[i]);
    }
    dkim_verifier_free(&verifier);
    arena_free(&arena);
    dns_facts_free(&facts);
}

int main(int argc, char **argv)
{
    static struct driver driver;
    int at = 1;

    driver.now = time(NULL);
    driver.cut = 64 * 1024;
    while (at < argc && read_setting(&driver, argv[at])) {
        at++;
    }
    driver.pairs = argv + at;
    driver.pair_count = argc - at;
    read_message(&driver.message);
    driver.library = dkim_library_new();
    if (driver.repeat == 0) {
        verify_message(&driver, false);
    } else {
        clock_t start = clock();

        for (unsigned long i = 0; i < driver.repeat; i++) {
            verify_message(&driver, true);
        }
        printf("%.1f\n",
               (double)(clock() - start) * 1e6 / CLOCKS_PER_SEC / (double)driver.repeat);
    }
    dkim_library_free(&driver.library);
    strbuf_clear(&driver.message);
    return 0;
}
