/*
 * seal_driver - signs the message on standard input as ours, for tests beside other programs.
 *
 * usage: seal_driver domain=DOMAIN key=SELECTOR:FILE ... [now=SECONDS] [add=dkim|arc|both]
 *                    [results=TEXT] [repeat=TIMES] [NAME ANSWER] ...
 *
 * Writes the message with what was added on top. ARC: the chain that is there is verified first, with
 * the TXT record ANSWER for each NAME; a name that is not given is NXDOMAIN, "!tempfail" is
 * TEMPFAIL. repeat: seals so often and writes the CPU microseconds of one time instead (without the
 * verification, with the body's hash).
 */
#include "auth/message_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MESSAGE_LIMIT = 64 * 1024 * 1024, ADDED_LIMIT = 1024 * 1024, KEY_LIMIT = 4 };

struct driver {
    int64_t now;
    unsigned long repeat;
    char **pairs;
    int pair_count;
    struct strbuf message;
    struct bytes header, body, results;
    struct seal seal;
    struct seal_key keys[KEY_LIMIT];
    struct signing_key *parsed[KEY_LIMIT];
};

static void fail(const char *what)
{
    fprintf(stderr, "seal_driver: %s\n", what);
    exit(65);
}

static void read_all(FILE *file, struct strbuf *text)
{
    static char octets[64 * 1024];
    size_t got;

    strbuf_init(text, MESSAGE_LIMIT);
    while ((got = fread(octets, 1, sizeof octets, file)) != 0) {
        strbuf_add(text, bytes_of(octets, got));
    }
    if (text->overflowed) {
        fail("message too long");
    }
}

static void read_key(struct driver *driver, struct bytes value)
{
    struct bytes selector = bytes_cut(&value, ':');
    FILE *file = fopen(value.data, "rb");
    const char *why = "no such key file";
    struct strbuf pem;
    size_t i = driver->seal.key_count;

    if (file == NULL || i == KEY_LIMIT) {
        fail(why);
    }
    read_all(file, &pem);
    fclose(file);
    driver->parsed[i] = signing_key_read(strbuf_bytes(&pem), &why);
    strbuf_clear(&pem);
    if (driver->parsed[i] == NULL) {
        fail(why);
    }
    driver->keys[i] = (struct seal_key){selector, driver->parsed[i]};
    driver->seal.key_count++;
}

static bool read_setting(struct driver *driver, const char *argument)
{
    struct bytes value = bytes_from_text(argument);
    struct bytes name = bytes_cut(&value, '=');

    if (bytes_equal(name, BYTES("now"))) {
        driver->now = strtoll(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("repeat"))) {
        driver->repeat = strtoul(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("domain"))) {
        driver->seal.domain = value;
    } else if (bytes_equal(name, BYTES("results"))) {
        driver->results = value;
    } else if (bytes_equal(name, BYTES("add"))) {
        driver->seal.with_dkim = !bytes_equal(value, BYTES("arc"));
        driver->seal.with_arc = !bytes_equal(value, BYTES("dkim"));
    } else if (bytes_equal(name, BYTES("key"))) {
        read_key(driver, value);
    } else {
        return false;
    }
    return true;
}

static void answer(const struct driver *driver, const struct dns_question *question,
                   struct dns_facts *facts)
{
    struct dns_record record = {.type = DNS_TYPE_TXT};
    struct dns_answer found = {.status = DNS_NXDOMAIN};

    for (int i = 0; i + 1 < driver->pair_count; i += 2) {
        if (!bytes_equal_nocase(bytes_from_text(driver->pairs[i]), question->name)) {
            continue;
        }
        record.text = bytes_from_text(driver->pairs[i + 1]);
        found =
            (struct dns_answer){.status = DNS_OK, .ttl = 300, .records = &record, .count = 1};
        if (bytes_equal(record.text, BYTES("!tempfail"))) {
            found = (struct dns_answer){.status = DNS_TEMPFAIL};
        }
    }
    dns_facts_put(facts, question->name, question->type, &found);
}

static void verify_chain(const struct driver *driver, struct arena *arena,
                         struct arc_verdict *verdict)
{
    struct dkim_key_cache *keys = dkim_key_cache_new();
    struct arc_verifier *verifier = arc_verifier_new(keys, driver->now);
    struct dns_facts *facts = dns_facts_new();
    const struct dns_question *wanted;
    size_t count;

    arc_verifier_header(verifier, driver->header, facts);
    for (wanted = dns_facts_wanted(facts, &count); count != 0;
         wanted = dns_facts_wanted(facts, &count)) {
        answer(driver, &wanted[0], facts);
    }
    arc_verifier_body(verifier, driver->body);
    (void)arc_verifier_finish(verifier, facts, arena, verdict);
    arc_verifier_free(&verifier);
    dns_facts_free(&facts);
    dkim_key_cache_free(&keys);
}

/* What is added, into `out`. */
static void seal(const struct driver *driver, const struct arc_verdict *chain,
                 struct strbuf *out)
{
    struct seal_input input = {.header = driver->header,
                               .unix_seconds = driver->now,
                               .results = driver->results,
                               .chain = chain};
    struct body_hash *hash = body_hash_new(CANONICAL_RELAXED);
    struct strbuf header, set;
    bool is_done = true;

    body_hash_add(hash, driver->body);
    body_hash_finish(hash, input.body_hash);
    body_hash_free(&hash);
    if (driver->seal.with_dkim) {
        is_done = message_seal_add_dkim(out, &driver->seal, &input);
    }
    if (driver->seal.with_arc) {
        strbuf_init(&header, MESSAGE_LIMIT);
        strbuf_init(&set, ADDED_LIMIT);
        strbuf_add(&header, strbuf_bytes(out));
        strbuf_add(&header, driver->header);
        input.header = strbuf_bytes(&header);
        is_done = is_done && message_seal_add_arc(&set, &driver->seal, &input);
        strbuf_add(&set, strbuf_bytes(out));
        strbuf_reset(out);
        strbuf_add(out, strbuf_bytes(&set));
        strbuf_clear(&header);
        strbuf_clear(&set);
    }
    if (!is_done || out->overflowed) {
        fail("not sealed");
    }
}

int main(int argc, char **argv)
{
    static struct driver driver;
    struct arc_verdict chain = {.result = AUTH_NONE};
    struct arena *arena = arena_new();
    struct strbuf out;
    clock_t start;
    int at = 1;

    driver.now = time(NULL);
    driver.results = BYTES("mx.example.org; none");
    driver.seal.keys = driver.keys;
    driver.seal.with_arc = driver.seal.with_dkim = true;
    while (at < argc && read_setting(&driver, argv[at])) {
        at++;
    }
    driver.pairs = argv + at;
    driver.pair_count = argc - at;
    read_all(stdin, &driver.message);
    driver.header = strbuf_bytes(&driver.message);
    driver.header.len = header_block_length(driver.header);
    driver.body = bytes_skip(strbuf_bytes(&driver.message), driver.header.len + 2);
    verify_chain(&driver, arena, &chain);
    strbuf_init(&out, ADDED_LIMIT);
    start = clock();
    for (unsigned long i = 0; i < driver.repeat; i++) {
        strbuf_reset(&out);
        seal(&driver, &chain, &out);
    }
    if (driver.repeat != 0) {
        printf("%.1f\n",
               (double)(clock() - start) * 1e6 / CLOCKS_PER_SEC / (double)driver.repeat);
    } else {
        seal(&driver, &chain, &out);
        fwrite(strbuf_text(&out), 1, out.len, stdout);
        fwrite(driver.message.data, 1, driver.message.len, stdout);
    }
    strbuf_clear(&out);
    strbuf_clear(&driver.message);
    arena_free(&arena);
    for (size_t i = 0; i < driver.seal.key_count; i++) {
        signing_key_free(&driver.parsed[i]);
    }
    return 0;
}
