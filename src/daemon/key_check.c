/*
 *   1 list_keys        every key of every seal
 *   2 check_some       as many as DNS facts take at once:
 *   3 look_up            all their questions, until answered or too late
 *   4 report             what each answer says of its key
 *   5 report_unknown   one line about all that had no answer
 */
#include "daemon/key_check.h"

#include "base/memory.h"
#include "io/dns_resolver.h"

#include <stdlib.h>

enum { NAME_LIMIT = 1024, SHOWN_LIMIT = 1000, WHY_LIMIT = 4096 };

struct key_place {
    const struct seal *seal;
    const struct seal_key *key;
};

struct key_check {
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct dns_facts *facts;
    uint64_t deadline_ms;
    struct strbuf *out;
    struct key_check_counts counts;
    const char *why_unknown; /* of the last one; static */
};

/* ---- 1: the keys ---- */

static size_t count_keys(const struct seal *const *seals, size_t seal_count)
{
    size_t count = 0;

    for (size_t i = 0; i < seal_count; i++) {
        count += seals[i]->key_count;
    }
    return count;
}

static struct key_place *list_keys(const struct seal *const *seals, size_t seal_count,
                                   size_t count)
{
    struct key_place *places = memory_resize(NULL, count, sizeof *places);
    size_t next = 0;

    for (size_t i = 0; i < seal_count; i++) {
        for (size_t k = 0; k < seals[i]->key_count; k++) {
            places[next++] = (struct key_place){seals[i], &seals[i]->keys[k]};
        }
    }
    return places;
}

/* ---- 3: DNS ---- */

static const struct dns_answer *ask(struct key_check *check, const struct key_place *place)
{
    const struct dns_answer *answer;
    struct strbuf name;

    strbuf_init(&name, NAME_LIMIT);
    strbuf_addf(&name, BYTES_FMT "._domainkey." BYTES_FMT, BYTES_ARG(place->key->selector),
                BYTES_ARG(place->seal->domain));
    answer = dns_facts_get(check->facts, strbuf_bytes(&name), DNS_TYPE_TXT);
    strbuf_clear(&name);
    return answer;
}

static void on_answers(void *context)
{
    struct key_check *check = context;

    event_loop_stop(check->loop);
}

static void look_up(struct key_check *check)
{
    size_t wanted;

    (void)dns_facts_wanted(check->facts, &wanted);
    if (wanted > 0) {
        (void)dns_lookup_start(check->resolver, check->facts, check->deadline_ms, on_answers,
                               check);
        event_loop_run(check->loop);
    }
}

/* ---- 4: what the answers say ---- */

/* Anybody may have written it; it goes to a terminal. */
static void add_escaped(struct strbuf *out, struct bytes text)
{
    struct bytes shown = bytes_first(text, SHOWN_LIMIT);

    for (size_t i = 0; i < shown.len; i++) {
        unsigned char octet = (unsigned char)shown.data[i];
        if (octet < ' ' || octet > '~' || octet == '\\') {
            strbuf_addf(out, "\\%03u", octet);
        } else {
            strbuf_add_char(out, (char)octet);
        }
    }
    strbuf_add_text(out, shown.len < text.len ? "..." : "");
}

static void begin_line(struct key_check *check, const struct key_place *place,
                       const char *severity, const char *message)
{
    strbuf_addf(check->out, BYTES_FMT "._domainkey." BYTES_FMT ": %s: %s\n",
                BYTES_ARG(place->key->selector), BYTES_ARG(place->seal->domain), severity,
                message);
}

static void add_found(struct key_check *check, struct bytes record)
{
    strbuf_add_text(check->out, "  DNS:  ");
    add_escaped(check->out, record);
    strbuf_add_char(check->out, '\n');
}

static void add_own(struct key_check *check, const struct key_place *place)
{
    strbuf_add_text(check->out, "  ours: ");
    signing_key_add_record(place->key->key, check->out);
    strbuf_add_char(check->out, '\n');
}

static void add_wanted(struct key_check *check, const struct key_place *place)
{
    strbuf_add_text(check->out, "  publish: ");
    signing_key_add_zone_line(place->key->key, place->key->selector, place->seal->domain,
                              check->out);
    strbuf_add_char(check->out, '\n');
}

static void report_missing(struct key_check *check, const struct key_place *place)
{
    check->counts.missing++;
    begin_line(check, place, "warning",
               "DNS has no record for this key: nobody can verify what it signs");
    add_wanted(check, place);
}

static void report_wrong(struct key_check *check, const struct key_place *place,
                         const char *message, struct bytes record)
{
    check->counts.wrong++;
    begin_line(check, place, "error", message);
    add_found(check, record);
    add_own(check, place);
}

static void report_record(struct key_check *check, const struct key_place *place,
                          enum key_publication publication, struct bytes record)
{
    switch (publication) {
    case KEY_PUBLISHED:
        check->counts.published++;
        break;
    case KEY_NOT_A_RECORD:
        check->counts.missing++;
        begin_line(check, place, "warning", "what DNS has is no key record");
        add_found(check, record);
        add_wanted(check, place);
        break;
    case KEY_REVOKED:
        report_wrong(check, place, "DNS says that this key is revoked (p= is empty)", record);
        break;
    case KEY_OTHER:
        report_wrong(check, place, "DNS has another key: what ours signs fails everywhere",
                     record);
        break;
    case KEY_RESTRICTED:
        report_wrong(check, place,
                     "DNS has our key, but its k=, h= or s= keeps it from signing mail",
                     record);
        break;
    }
}

/* Several records are one too many: which of them a verifier takes is undefined (RFC 6376
 * §3.6.2.2). Ours among others is not certain to fail, so it is told, but no error. */
static void report_several(struct key_check *check, const struct key_place *place)
{
    check->counts.missing++;
    begin_line(check, place, "warning",
               "DNS has our key, but other TXT records beside it: remove them");
}

static void report_records(struct key_check *check, const struct key_place *place,
                           const struct dns_answer *answer)
{
    enum key_publication best = KEY_NOT_A_RECORD;
    struct bytes record = BYTES("");
    size_t count = 0;

    for (size_t i = 0; i < answer->count; i++) {
        enum key_publication found;
        if (answer->records[i].type != DNS_TYPE_TXT) {
            continue;
        }
        found = signing_key_compare(place->key->key, answer->records[i].text);
        if (count++ == 0 || found == KEY_PUBLISHED || best == KEY_NOT_A_RECORD) {
            best = found;
            record = answer->records[i].text;
        }
    }
    if (count == 0) {
        report_missing(check, place);
    } else if (count > 1 && best == KEY_PUBLISHED) {
        report_several(check, place);
    } else {
        report_record(check, place, best, record);
    }
}

static void report(struct key_check *check, const struct key_place *place,
                   const struct dns_answer *answer)
{
    switch (answer->status) {
    case DNS_OK:
        report_records(check, place, answer);
        break;
    case DNS_NODATA:
    case DNS_NXDOMAIN:
        report_missing(check, place);
        break;
    case DNS_TEMPFAIL:
        check->counts.unknown++;
        check->why_unknown = answer->why;
        break;
    }
}

/* ---- 5: what is not known ---- */

static void report_unknown(struct key_check *check)
{
    size_t count = check->counts.unknown;

    if (count > 0) {
        strbuf_addf(check->out, "note: %zu %s not compared with DNS: %s\n", count,
                    count == 1 ? "key was" : "keys were",
                    check->why_unknown == NULL ? "no answer" : check->why_unknown);
    }
}

/* ---- all of it ---- */

static void check_some(struct key_check *check, const struct key_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)ask(check, &places[i]);
    }
    look_up(check);
    for (size_t i = 0; i < count; i++) {
        const struct dns_answer *answer = ask(check, &places[i]);
        if (answer != NULL) {
            report(check, &places[i], answer);
        } else {
            check->counts.unknown++;
        }
    }
    dns_facts_reset(check->facts);
}

static void check_all(struct key_check *check, const struct key_place *places, size_t count)
{
    check->facts = dns_facts_new();
    check->deadline_ms = event_loop_now_ms(check->loop) + KEY_CHECK_MS;
    for (size_t at = 0; at < count; at += DNS_FACTS_LIMIT) {
        size_t left = count - at;
        check_some(check, places + at, left < DNS_FACTS_LIMIT ? left : DNS_FACTS_LIMIT);
    }
    dns_facts_free(&check->facts);
}

struct key_check_counts key_check_run(const struct seal *const *seals, size_t seal_count,
                                      const struct ip_endpoint *resolvers,
                                      size_t resolver_count, struct strbuf *out)
{
    const struct dns_resolver_options options = {.servers = resolvers,
                                                 .server_count = resolver_count};
    struct key_check check = {.out = out};
    size_t count = count_keys(seals, seal_count);
    struct key_place *places;
    struct strbuf why;

    if (count == 0) {
        return check.counts;
    }
    places = list_keys(seals, seal_count, count);
    strbuf_init(&why, WHY_LIMIT);
    check.loop = event_loop_new();
    check.resolver = dns_resolver_new(check.loop, &options, &why);
    if (check.resolver != NULL) {
        check_all(&check, places, count);
        dns_resolver_free(&check.resolver);
    } else {
        check.counts.unknown = count;
        check.why_unknown = "no resolver can be used";
    }
    report_unknown(&check);
    event_loop_free(&check.loop);
    strbuf_clear(&why);
    free(places);
    return check.counts;
}
