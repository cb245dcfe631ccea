/*
 * spf_zone - DNS for tests of SPF, as a table, and a replay over it.
 *
 * Shape   one row a record; TXT, PTR and MX take text, addresses their text form; a status
 *         other than DNS_OK makes the whole name and type answer so. A name without any row is
 *         NXDOMAIN, one without this type NODATA.
 */
#ifndef TESTS_SUPPORT_SPF_ZONE_H
#define TESTS_SUPPORT_SPF_ZONE_H

#include "auth/spf_check.h"
#include "support/spf_alphabet.h"

enum { SPF_ZONE_LIMIT = 160 };

struct spf_zone_row {
    const char *name;
    uint16_t type;
    struct bytes data;
    enum dns_status status;
};

struct spf_zone {
    struct spf_zone_row rows[SPF_ZONE_LIMIT];
    size_t count;
};

static inline void spf_zone_add(struct spf_zone *zone, struct spf_zone_row row)
{
    if (zone->count == SPF_ZONE_LIMIT) {
        abort();
    }
    zone->rows[zone->count++] = row;
}

static inline uint16_t spf_zone_type(struct bytes word)
{
    static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_MX, DNS_TYPE_TXT,
                                     DNS_TYPE_PTR};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (bytes_equal(word, bytes_from_text(dns_type_text(types[i])))) {
            return types[i];
        }
    }
    abort();
}

/* Lines "NAME TYPE DATA"; "!" in the place of the data is a temporary failure. The names are
 * copied into the arena, the data is a view of the text. */
static inline void spf_zone_read(struct spf_zone *zone, struct arena *arena, const char *text)
{
    struct bytes rest = bytes_from_text(text);

    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n');
        const char *name = arena_copy_text(arena, bytes_cut(&line, ' '));
        uint16_t type = spf_zone_type(bytes_cut(&line, ' '));
        bool fails = bytes_equal(line, BYTES("!"));

        spf_zone_add(zone,
                     (struct spf_zone_row){name, type, line, fails ? DNS_TEMPFAIL : DNS_OK});
    }
}

static inline void spf_zone_fill(struct dns_record *record, const struct spf_zone_row *row)
{
    *record = (struct dns_record){.type = row->type};
    switch (row->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        ip_address_parse(row->data, &record->address);
        break;
    case DNS_TYPE_MX:
        record->mx.host = row->data;
        break;
    case DNS_TYPE_TXT:
        record->text = row->data;
        break;
    default:
        record->name = row->data;
    }
}

static inline void spf_zone_answer(const struct spf_zone *zone, struct dns_facts *facts,
                                   const struct dns_question *question)
{
    struct dns_record records[SPF_ZONE_LIMIT];
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .records = records};

    for (size_t i = 0; i < zone->count; i++) {
        const struct spf_zone_row *row = &zone->rows[i];

        if (!bytes_equal_nocase(bytes_from_text(row->name), question->name)) {
            continue;
        }
        if (row->type != question->type) {
            answer.status = answer.status == DNS_NXDOMAIN ? DNS_NODATA : answer.status;
        } else if (row->status != DNS_OK) {
            answer.status = row->status;
        } else {
            answer.status = DNS_OK;
            spf_zone_fill(&records[answer.count++], row);
        }
    }
    dns_facts_put(facts, question->name, question->type, &answer);
}

/* Rounds until the verdict is there; a round answers at most `a_round` questions (0: all). */
static inline unsigned spf_zone_replay(const struct spf_zone *zone, struct spf_checker *checker,
                                       const struct spf_identity *identity,
                                       enum spf_scope scope, size_t a_round,
                                       struct dns_facts *facts, struct arena *arena,
                                       struct spf_verdict *verdict)
{
    unsigned rounds = 1;

    while (spf_check(checker, identity, scope, facts, arena, verdict) == AUTH_NEEDS_DNS) {
        size_t count;

        if (verdict->result != AUTH_TEMPERROR ||
            (dns_facts_wanted(facts, &count), count == 0) || rounds > DNS_FACTS_LIMIT) {
            abort(); /* waits for nothing, or for ever */
        }
        count = a_round > 0 && a_round < count ? a_round : count;
        for (; count > 0; count--) {
            size_t left;
            struct dns_question question = dns_facts_wanted(facts, &left)[0];

            spf_zone_answer(zone, facts, &question);
        }
        rounds++;
    }
    return rounds;
}

#endif
