#include "auth/arc_chain.h"

#include "auth/idn_domain.h"
#include "mail/results_reading.h"

static bool is_trusted(const struct arc_trust *trust, struct bytes domain)
{
    for (size_t i = 0; i < trust->count; i++) {
        if (bytes_equal_nocase(trust->domains[i], domain)) {
            return true;
        }
    }
    return false;
}

static bool is_domain(struct bytes text, struct bytes author, struct arena *arena)
{
    struct bytes name;

    return idn_domain_to_ascii(text, arena, &name) && bytes_equal(name, author);
}

/* dmarc=pass for this author, no other dmarc result but pass, and all of it readable. */
static bool says_pass(struct bytes results, struct bytes author, struct arena *arena)
{
    struct results_reading reading;
    struct read_result result;
    struct strbuf domain;
    enum results_reading_step step = results_reading_start(&reading, results);
    bool has_author = false, is_all_pass = true;

    strbuf_init(&domain, IDN_INPUT_LIMIT);
    while (step == RESULTS_NEXT &&
           (step = results_reading_next(&reading, &result)) == RESULTS_NEXT) {
        if (!results_reading_is_method(&result, "dmarc")) {
            continue;
        }
        is_all_pass = is_all_pass && bytes_equal_nocase(result.result, BYTES("pass"));
        has_author = has_author ||
                     (results_reading_property(&result, "header.from", &domain) &&
                      !domain.overflowed && is_domain(strbuf_bytes(&domain), author, arena));
    }
    strbuf_clear(&domain);
    return step == RESULTS_END && has_author && is_all_pass;
}

const struct arc_sealer *arc_chain_voucher(const struct arc_verdict *verdict,
                                           const struct arc_trust *trust, struct bytes author)
{
    const struct arc_sealer *voucher = NULL;
    struct arena *arena;
    struct bytes name;

    if (verdict->result != AUTH_PASS || trust->count == 0) {
        return NULL;
    }
    arena = arena_new();
    for (size_t i = verdict->sealer_count;
         i > 0 && voucher == NULL && is_trusted(trust, verdict->sealers[i - 1].domain); i--) {
        if (idn_domain_to_ascii(author, arena, &name) &&
            says_pass(verdict->sealers[i - 1].results, name, arena)) {
            voucher = &verdict->sealers[i - 1];
        }
    }
    arena_free(&arena);
    return voucher;
}

bool arc_chain_may_vouch(const struct arc_verdict *verdict, const struct arc_trust *trust)
{
    return verdict->sealer_count > 0 &&
           is_trusted(trust, verdict->sealers[verdict->sealer_count - 1].domain);
}
