/* Property: whatever header and body come, through guard and libopendkim there are at most
 * DKIM_SIGNATURE_LIMIT verdicts, names in them are host names or empty, a reason stands beside each
 * that is no pass, a stranger's key verifies nothing, and the cut of the body changes nothing.
 * Input: first octet chooses the key's answer (one kind takes the first line as key record), the
 * second the cut; the rest is the message. */
#include "auth/dkim_header_guard.h"
#include "auth/dkim_verify.h"

#include <stdlib.h>

enum { NOW = 1790000000, KEY_KINDS = 6 };

/* The public key of RFC 6376 C: no input here signs with its private half. */
#define STRANGERS_KEY                                                                          \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"         \
    "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/"              \
    "NMqJ0fzfVjH4OuKhi"                                                                        \
    "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

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
    struct bytes record;
    struct bytes header;
    struct bytes body;
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
    } else if (input->kind == 1) {
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
    demand(count <= DKIM_SIGNATURE_LIMIT);
    while (count != 0) {
        dns_facts_put(facts, wanted[0].name, wanted[0].type, &answer);
        wanted = dns_facts_wanted(facts, &count);
    }
}

static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        char octet = name.data[i];

        if (!ascii_is_alnum((unsigned char)octet) && octet != '.' && octet != '-' &&
            octet != '_') {
            return false;
        }
    }
    return name.len <= DNS_NAME_LIMIT;
}

static void check(const struct input *input, const struct dkim_verdicts *verdicts)
{
    demand(verdicts->count <= DKIM_SIGNATURE_LIMIT);
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct dkim_verdict *verdict = &verdicts->verdicts[i];

        demand(is_plain_name(verdict->domain) && is_plain_name(verdict->selector));
        demand(verdict->signature_start.len <= 8);
        demand((verdict->why == NULL) == (verdict->result == AUTH_PASS));
        demand(verdict->result != AUTH_PASS || input->kind == 5);
        demand(verdict->result != AUTH_TEMPERROR || input->kind == 1 || input->kind == 5);
    }
}

static void run(struct dkim_library *library, const struct input *input, size_t cut,
                struct arena *arena, struct dkim_verdicts *verdicts)
{
    struct dkim_verifier *verifier = dkim_verifier_new(library, NOW);
    struct dns_facts *facts = dns_facts_new();
    struct bytes body = input->body;

    dkim_verifier_header(verifier, input->header, facts);
    put_keys(input, facts);
    while (body.len != 0) {
        dkim_verifier_body(verifier, bytes_first(body, cut));
        body = bytes_skip(body, cut);
    }
    demand(dkim_verifier_finish(verifier, facts, arena, verdicts) == AUTH_DONE);
    check(input, verdicts);
    dkim_verifier_free(&verifier);
    dns_facts_free(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dkim_library *library;
    struct bytes message = bytes_of(data, size);
    struct arena *arena = arena_new();
    struct dkim_verdicts whole, cut;
    struct input input = {0};

    if (library == NULL) {
        library = dkim_library_new();
    }
    if (size >= 2) {
        input.kind = data[0] % KEY_KINDS;
        input.cut = data[1] + 1u;
        message = bytes_skip(message, 2);
    }
    if (input.kind == 5) {
        input.record = bytes_cut(&message, '\n');
    }
    input.header = bytes_first(message, bytes_find_part(message, BYTES("\r\n\r\n")) + 2);
    input.body = bytes_skip(message, input.header.len + 2);
    run(library, &input, SIZE_MAX, arena, &whole);
    run(library, &input, input.cut == 0 ? 1 : input.cut, arena, &cut);
    demand(whole.count == cut.count && whole.unchecked == cut.unchecked);
    for (size_t i = 0; i < whole.count; i++) {
        demand(whole.verdicts[i].result == cut.verdicts[i].result);
    }
    arena_free(&arena);
    return 0;
}
