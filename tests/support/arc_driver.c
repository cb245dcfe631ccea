/*
 * arc_driver - the verdict on the ARC chain of the message on standard input, for tests beside other
 * ARC programs.
 *
 * usage: arc_driver [now=SECONDS] [cut=OCTETS] [repeat=TIMES] [author=DOMAIN trust=DOMAIN]
 *                   [NAME ANSWER] ...
 *
 * ANSWER is the text of a TXT record (a NAME may come more than once) or one of !nxdomain !nodata
 * !tempfail; a NAME that is not given is never answered. cut: the body is fed in such pieces.
 * Writes "wanted NAME" for each question, "sealer INSTANCE DOMAIN SELECTOR" for each sealer, and last
 * one line, parts separated by TAB: result, newest instance, "closed" or nothing, the domain that
 * vouches for the author or nothing, why. repeat: verifies so often and writes the CPU microseconds of
 * one time instead.
 */
#include "auth/arc_chain.h"

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
    struct bytes author, trusted;
    struct dkim_key_cache *keys;
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
        fputs("arc_driver: message too long\n", stderr);
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
    } else if (bytes_equal(name, BYTES("author"))) {
        driver->author = value;
    } else if (bytes_equal(name, BYTES("trust"))) {
        driver->trusted = value;
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

static void write_verdict(const struct driver *driver, const struct arc_verdict *verdict)
{
    struct arc_trust trust = {.domains = &driver->trusted, .count = 1};
    const struct arc_sealer *voucher =
        driver->trusted.len == 0 ? NULL : arc_chain_voucher(verdict, &trust, driver->author);

    for (size_t i = 0; i < verdict->sealer_count; i++) {
        const struct arc_sealer *sealer = &verdict->sealers[i];

        printf("sealer %u " BYTES_FMT " " BYTES_FMT "\n", sealer->instance,
               BYTES_ARG(sealer->domain), BYTES_ARG(sealer->selector));
    }
    printf("%s\t%u\t%s\t" BYTES_FMT "\t%s\n", auth_result_text(verdict->result),
           verdict->newest, verdict->is_closed ? "closed" : "",
           BYTES_ARG(voucher == NULL ? BYTES("") : voucher->domain),
           verdict->why == NULL ? "" : verdict->why);
}

static void verify_message(const struct driver *driver, bool is_quiet)
{
    struct bytes message = strbuf_bytes(&driver->message);
    struct bytes header = bytes_first(message, header_block_length(message));
    struct bytes body = bytes_skip(message, header.len);
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct arc_verifier *verifier = arc_verifier_new(driver->keys, driver->now);
    struct arc_verdict verdict;
    const struct dns_question *wanted;
    size_t count;

    arc_verifier_header(verifier, header, facts);
    wanted = dns_facts_wanted(facts, &count);
    for (size_t i = 0; i < count && !is_quiet; i++) {
        printf("wanted " BYTES_FMT "\n", BYTES_ARG(wanted[i].name));
    }
    put_answers(driver, facts);
    body = bytes_starts_with(body, BYTES("\r\n")) ? bytes_skip(body, 2) : body;
    while (body.len != 0) {
        arc_verifier_body(verifier, bytes_first(body, driver->cut));
        body = bytes_skip(body, driver->cut);
    }
    (void)arc_verifier_finish(verifier, facts, arena, &verdict);
    if (!is_quiet) {
        write_verdict(driver, &verdict);
    }
    arc_verifier_free(&verifier);
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
    driver.keys = dkim_key_cache_new();
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
    dkim_key_cache_free(&driver.keys);
    strbuf_clear(&driver.message);
    return 0;
}
