/* Property: what is read survives being written down and read again; unknown tags and blanks
 * around separators change nothing; a record without a policy asks for nothing; a check with
 * this record at every name ends, and passes only with an aligned name. */
#include "auth/dmarc_check.h"
#include "base/strbuf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_same(const struct dmarc_record *a, const struct dmarc_record *b)
{
    return a->has_policy == b->has_policy && a->own == b->own && a->below == b->below &&
           a->nowhere == b->nowhere && a->psd == b->psd && a->is_testing == b->is_testing &&
           a->is_strict_dkim == b->is_strict_dkim && a->is_strict_spf == b->is_strict_spf &&
           a->has_report_address == b->has_report_address;
}

static void write_record(struct strbuf *out, const struct dmarc_record *record)
{
    static const char *const psd[] = {"u", "n", "y"};

    strbuf_addf(out, "v=DMARC1 ; xyz=1;pct=0;psd=%s;t=%c;adkim=%c;aspf=%c", psd[record->psd],
                record->is_testing ? 'y' : 'n', record->is_strict_dkim ? 's' : 'r',
                record->is_strict_spf ? 's' : 'r');
    if (record->has_policy) {
        strbuf_addf(out, " ; p\t= %s ;sp=%s;np=%s", dmarc_policy_text(record->own),
                    dmarc_policy_text(record->below), dmarc_policy_text(record->nowhere));
    }
    strbuf_addf(out, "%s", record->has_report_address ? ";rua=mailto:a@b.example" : "");
}

static void check_record(struct bytes text)
{
    struct dmarc_record record, again;
    struct strbuf written;

    if (!dmarc_record_parse(text, &record)) {
        return;
    }
    demand(record.has_policy ||
           (record.own == DMARC_POLICY_NONE && record.below == DMARC_POLICY_NONE &&
            record.nowhere == DMARC_POLICY_NONE));
    strbuf_init(&written, 512);
    write_record(&written, &record);
    demand(dmarc_record_parse(strbuf_bytes(&written), &again) && is_same(&record, &again));
    strbuf_clear(&written);
}

static void check_message(struct bytes text, bool is_aligned)
{
    struct dns_record published = {.type = DNS_TYPE_TXT, .text = text};
    struct dns_answer answer = {.status = DNS_OK, .records = &published, .count = 1};
    struct bytes author = BYTES("a.b.example.org");
    struct dmarc_identifier identifier = {DMARC_BY_DKIM, AUTH_PASS,
                                          is_aligned ? author : BYTES("b.example.net")};
    struct dmarc_input input = {&author, 1, &identifier, 1};
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct dmarc_verdict verdict;
    size_t rounds = 0;

    while (dmarc_check(&input, facts, arena, &verdict) == AUTH_NEEDS_DNS) {
        struct dns_question asked;
        size_t count;

        demand(++rounds < 20);
        asked = dns_facts_wanted(facts, &count)[0];
        demand(count != 0);
        dns_facts_put(facts, asked.name, asked.type, &answer);
    }
    demand(verdict.result == AUTH_NONE ||
           verdict.result == (is_aligned ? AUTH_PASS : AUTH_FAIL));
    demand(verdict.policy <= verdict.published);
    demand(verdict.is_every_author_proven == is_aligned);
    dns_facts_free(&facts);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);

    check_record(text);
    check_message(text, true);
    check_message(text, false);
    return 0;
}
