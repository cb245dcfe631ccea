/* Property: whatever header and body come, the verdict has its shape, at most ARC_KEY_LIMIT keys are
 * wanted, names in it are host names, a stranger's key never lets a chain pass, nobody vouches but for a
 * chain that passes, and neither the cut of the body nor the order of the answers changes anything.
 * Input: first octet chooses the keys' answer (one kind takes the first line as key record), the second
 * the cut; the rest is the message. */
#include "auth/arc_chain.h"
#include "mail/header_block.h"

#include <stdlib.h>

enum { NOW = 1790000000, KEY_KINDS = 6, OWN_RECORD = 5, NO_ANSWER = 1 };

/* The public keys of RFC 6376 C and RFC 8463 A: no input here signs with their private halves. */
#define STRANGERS_KEY                                                                          \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"         \
    "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/"              \
    "NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct input {
    unsigned kind;
    size_t cut;
    struct bytes record, header, body;
};

static void put_keys(const struct input *input, struct dns_facts *facts)
{
    struct dns_record records[] = {{.type = DNS_TYPE_TXT, .text = input->record},
                                   {.type = DNS_TYPE_TXT, .text = BYTES("v=DKIM1; p=")}};
    struct dns_answer answer = {.status = DNS_OK, .records = records, .count = 1};
    const struct dns_question *wanted;
    size_t count;

    if (input->kind == 0) {
        answer = (struct dns_answer){.status = DNS_NXDOMAIN};
    } else if (input->kind == NO_ANSWER) {
        answer = (struct dns_answer){.status = DNS_TEMPFAIL};
    } else if (input->kind == 2) {
        answer.count = 2;
    } else if (input->kind == 3) {
        records[0].text = BYTES("v=DKIM1; k=rsa; p=" STRANGERS_KEY);
    } else if (input->kind == 4) {
        records[0].text =
            BYTES("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }
    wanted = dns_facts_wanted(facts, &count);
    demand(count <= ARC_KEY_LIMIT);
    while (count != 0) {
        dns_facts_put(facts, wanted[0].name, wanted[0].type, &answer);
        wanted = dns_facts_wanted(facts, &count);
    }
}

static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        char octet = name.data[i];

        if ((!ascii_is_alnum((unsigned char)octet) && octet != '.' && octet != '-' &&
             octet != '_') ||
            (octet >= 'A' && octet <= 'Z')) {
            return false;
        }
    }
    return name.len != 0 && name.len <= DNS_NAME_LIMIT;
}

static void check(const struct input *input, const struct arc_verdict *verdict)
{
    bool is_whole = verdict->result == AUTH_PASS || verdict->result == AUTH_TEMPERROR;
    struct bytes trusted = BYTES("one.example");
    struct arc_trust trust = {.domains = &trusted, .count = 1};
    const struct arc_sealer *voucher =
        arc_chain_voucher(verdict, &trust, BYTES("author.example"));

    demand(is_whole || verdict->result == AUTH_NONE || verdict->result == AUTH_FAIL);
    demand((verdict->why == NULL) ==
           (verdict->result == AUTH_PASS || verdict->result == AUTH_NONE));
    demand(verdict->result != AUTH_NONE || verdict->newest == 0);
    demand(verdict->result != AUTH_PASS || input->kind == OWN_RECORD);
    demand(verdict->result != AUTH_TEMPERROR || input->kind == NO_ANSWER);
    demand(!verdict->is_closed || verdict->result == AUTH_FAIL);
    demand(verdict->newest <= 99 && (!is_whole || verdict->newest <= ARC_SET_LIMIT));
    demand(verdict->sealer_count == (is_whole ? verdict->newest : 0));
    demand(voucher == NULL || verdict->result == AUTH_PASS);
    for (size_t i = 0; i < verdict->sealer_count; i++) {
        demand(verdict->sealers[i].instance == i + 1);
        demand(is_plain_name(verdict->sealers[i].domain));
        demand(is_plain_name(verdict->sealers[i].selector));
        demand(verdict->sealers[i].results.len <= ARC_FIELD_OCTETS);
    }
}

static void run(struct dkim_key_cache *keys, const struct input *input, size_t cut,
                bool is_early, struct arena *arena, struct arc_verdict *verdict)
{
    struct arc_verifier *verifier = arc_verifier_new(keys, NOW);
    struct dns_facts *facts = dns_facts_new();
    struct bytes body = input->body;

    arc_verifier_header(verifier, input->header, facts);
    if (!is_early) {
        put_keys(input, facts);
    }
    while (body.len != 0) {
        arc_verifier_body(verifier, bytes_first(body, cut));
        body = bytes_skip(body, cut);
    }
    if (is_early) {
        if (arc_verifier_finish(verifier, facts, arena, verdict) == AUTH_NEEDS_DNS) {
            demand(verdict->result == AUTH_TEMPERROR);
        }
        put_keys(input, facts);
    }
    demand(arc_verifier_finish(verifier, facts, arena, verdict) == AUTH_DONE);
    check(input, verdict);
    arc_verifier_free(&verifier);
    dns_facts_free(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dkim_key_cache *keys;
    struct bytes message = bytes_of(data, size);
    struct arena *arena = arena_new();
    struct arc_verdict whole, cut;
    struct input input = {0};

    if (keys == NULL) {
        keys = dkim_key_cache_new();
    }
    if (size >= 2) {
        input.kind = data[0] % KEY_KINDS;
        input.cut = data[1] + 1u;
        message = bytes_skip(message, 2);
    }
    if (input.kind == OWN_RECORD) {
        input.record = bytes_cut(&message, '\n');
    }
    input.header = bytes_first(message, header_block_length(message));
    input.body = bytes_skip(message, input.header.len);
    if (bytes_starts_with(input.body, BYTES("\r\n"))) {
        input.body = bytes_skip(input.body, 2);
    }
    run(keys, &input, SIZE_MAX, false, arena, &whole);
    run(keys, &input, input.cut == 0 ? 1 : input.cut, true, arena, &cut);
    demand(whole.result == cut.result && whole.newest == cut.newest &&
           whole.is_closed == cut.is_closed && whole.sealer_count == cut.sealer_count);
    arena_free(&arena);
    return 0;
}
