/*
 * spf_driver - spf_check by lines on standard input, for tests/e2e/test_spf_suites.py.
 *
 *   identity IP HELO LOCAL DOMAIN     forgets all facts; texts in hexadecimal, "-" is empty
 *   fact NAME TYPE STATUS [DATA ...]  an answer; DATA: address text, or hexadecimal
 *   check mailfrom|helo               "wanted NAME TYPE ..." or
 *                                     "done RESULT EXPLANATION MECHANISM TERMS CPU-NS"
 *   repeat N mailfrom|helo            N checks; "done" as above, with the CPU time of one
 *
 * Everything handed to libspf2 is checked against the closed alphabet; the driver dies of it.
 */
#include "auth/spf_check.h"
#include "base/encoding.h"
#include "support/spf_alphabet.h"

#include <time.h>

enum { LINE_LIMIT = 400000, WORD_LIMIT = 300 };

struct driver {
    struct spf_checker *checker;
    struct spf_identity identity;
    struct dns_facts *facts;
    struct arena *identity_arena, *arena;
    char *words[WORD_LIMIT];
    size_t word_count;
};

static struct bytes unhex(struct arena *arena, const char *word)
{
    struct strbuf out;
    struct bytes result;

    strbuf_init(&out, LINE_LIMIT);
    if (!encoding_hex_decode(bytes_from_text(strcmp(word, "-") == 0 ? "" : word), &out)) {
        fprintf(stderr, "spf_driver: not hexadecimal: %s\n", word);
        exit(64);
    }
    result = arena_copy(arena, strbuf_bytes(&out));
    strbuf_clear(&out);
    return result;
}

static void put_hex(struct bytes text)
{
    struct strbuf out;

    strbuf_init(&out, LINE_LIMIT);
    encoding_hex_add(&out, text);
    printf(" %s", out.len == 0 ? "-" : strbuf_text(&out));
    strbuf_clear(&out);
}

static void take_identity(struct driver *driver)
{
    struct spf_identity *identity = &driver->identity;
    struct arena *arena = driver->identity_arena;

    dns_facts_reset(driver->facts);
    arena_reset(arena);
    *identity = (struct spf_identity){.receiver = BYTES("receiver.example"),
                                      .unix_seconds = 1700000000};
    ip_address_parse(bytes_from_text(driver->words[1]), &identity->client);
    identity->helo = unhex(arena, driver->words[2]);
    identity->sender.local = unhex(arena, driver->words[3]);
    identity->sender.domain = unhex(arena, driver->words[4]);
}

static enum dns_status status_of(const char *word)
{
    return strcmp(word, "ok") == 0         ? DNS_OK
           : strcmp(word, "nodata") == 0   ? DNS_NODATA
           : strcmp(word, "nxdomain") == 0 ? DNS_NXDOMAIN
                                           : DNS_TEMPFAIL;
}

static void fill_record(struct driver *driver, struct dns_record *record, const char *word)
{
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        ip_address_parse(bytes_from_text(word), &record->address);
        break;
    case DNS_TYPE_MX: /* PREFERENCE:HOST */
        record->mx.preference = (uint16_t)strtoul(word, NULL, 10);
        record->mx.host = unhex(driver->arena, strchr(word, ':') + 1);
        break;
    case DNS_TYPE_TXT:
        record->text = unhex(driver->arena, word);
        break;
    default:
        record->name = unhex(driver->arena, word);
    }
}

static void take_fact(struct driver *driver)
{
    struct dns_record records[WORD_LIMIT];
    uint16_t type = (uint16_t)strtoul(driver->words[2], NULL, 10);
    struct dns_answer answer = {.status = status_of(driver->words[3]), .records = records};

    for (size_t i = 4; i < driver->word_count; i++) {
        records[answer.count] = (struct dns_record){.type = type};
        fill_record(driver, &records[answer.count++], driver->words[i]);
    }
    dns_facts_put(driver->facts, unhex(driver->arena, driver->words[1]), type, &answer);
    arena_reset(driver->arena);
}

static void put_wanted(struct driver *driver)
{
    size_t count;
    const struct dns_question *wanted = dns_facts_wanted(driver->facts, &count);

    printf("wanted");
    for (size_t i = 0; i < count; i++) {
        put_hex(wanted[i].name);
        printf(" %u", wanted[i].type);
    }
    printf("\n");
}

static void check(struct driver *driver, unsigned long repeat, const char *scope)
{
    enum spf_scope which = strcmp(scope, "helo") == 0 ? SPF_HELO : SPF_MAIL_FROM;
    enum auth_status status = AUTH_NEEDS_DNS;
    struct spf_verdict verdict;
    clock_t start = clock();

    for (unsigned long i = 0; i < repeat; i++) {
        arena_reset(driver->arena);
        status = spf_check(driver->checker, &driver->identity, which, driver->facts,
                           driver->arena, &verdict);
    }
    if (status == AUTH_NEEDS_DNS) {
        put_wanted(driver);
        return;
    }
    printf("done %s", auth_result_text(verdict.result));
    put_hex(verdict.explanation);
    put_hex(verdict.mechanism);
    printf(" %u %.0f\n", verdict.terms,
           (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / (double)repeat);
}

static void split(struct driver *driver, char *line)
{
    driver->word_count = 0;
    for (char *word = strtok(line, " \n"); word != NULL && driver->word_count < WORD_LIMIT;
         word = strtok(NULL, " \n")) {
        driver->words[driver->word_count++] = word;
    }
}

int main(void)
{
    static const struct spf_watcher watcher = {.on_library_text = spf_require_closed};
    static char line[LINE_LIMIT];
    static struct driver driver;

    driver.checker = spf_checker_new();
    driver.facts = dns_facts_new();
    driver.identity_arena = arena_new();
    driver.arena = arena_new();
    spf_checker_watch(driver.checker, &watcher);
    while (fgets(line, sizeof line, stdin) != NULL) {
        split(&driver, line);
        if (driver.word_count == 5 && strcmp(driver.words[0], "identity") == 0) {
            take_identity(&driver);
        } else if (driver.word_count >= 4 && strcmp(driver.words[0], "fact") == 0) {
            take_fact(&driver);
        } else if (driver.word_count == 2 && strcmp(driver.words[0], "check") == 0) {
            check(&driver, 1, driver.words[1]);
        } else if (driver.word_count == 3 && strcmp(driver.words[0], "repeat") == 0) {
            check(&driver, strtoul(driver.words[1], NULL, 10), driver.words[2]);
        } else {
            fprintf(stderr, "spf_driver: cannot read the line\n");
            return 64;
        }
        fflush(stdout);
    }
    spf_checker_free(&driver.checker);
    dns_facts_free(&driver.facts);
    arena_free(&driver.identity_arena);
    arena_free(&driver.arena);
    return 0;
}
