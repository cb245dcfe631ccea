/* Property: whatever a client calls itself, whatever its sender's domain and its address, the name that
 * a list is asked for is a DNS name that ends in the list's zone; whatever the list answers, a listing
 * ends after a few rounds, and the reply to it is printable and not too long. Input: kind of list,
 * length of the HELO, HELO, then what is answered: a status, an address, a text. */
#include "forward/client_score.h"
#include "forward/dns_list.h"
#include "forward/helo_check.h"

#include <stdlib.h>

enum { ROUNDS = 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static unsigned take(struct bytes *input)
{
    unsigned octet = input->len > 0 ? (unsigned char)input->data[0] : 0;

    *input = bytes_skip(*input, 1);
    return octet;
}

static void check_name(const struct dns_list *list, const struct dns_list_identity *identity)
{
    struct dns_name name, again;
    struct bytes asked;

    if (!dns_list_name(list, identity, &name)) {
        return;
    }
    asked = bytes_of(name.octets, name.len);
    demand(name.len <= DNS_NAME_LIMIT && name.len > list->zone.len);
    demand(bytes_ends_with_nocase(asked, list->zone));
    demand(asked.data[name.len - list->zone.len - 1] == '.');
    demand(dns_name_read(asked, &again) && again.len == name.len);
}

/* What is left of the input answers each question in turn. */
static void answer(struct dns_facts *facts, struct dns_question question, struct bytes *input)
{
    struct dns_record record = {.type = question.type};
    struct dns_answer said = {.status = (enum dns_status)(take(input) % 4)};

    if (said.status == DNS_OK) {
        said.records = &record;
        said.count = 1;
        if (question.type == DNS_TYPE_A) {
            record.address.family = IP_V4;
            record.address.octets[0] = take(input) % 8 == 0 ? 192 : 127;
            record.address.octets[3] = (uint8_t)take(input);
        } else {
            unsigned len = take(input);

            record.text = bytes_first(*input, len);
            *input = bytes_skip(*input, record.text.len);
        }
    }
    dns_facts_put(facts, question.name, question.type, &said);
}

static void check_reply(struct arena *arena, const struct client_finding *finding)
{
    struct client_rules rules = {.of = {[CLIENT_HELO] = {CLIENT_REFUSE, 0}}};
    struct client_judgement judgement = {.rules = &rules, .arena = arena};
    struct bytes text;

    client_score_add(&judgement, finding);
    text = client_score_judge(&judgement).decision.text;
    demand(text.len > 0 && text.len <= CLIENT_TEXT_LIMIT);
    for (size_t i = 0; i < text.len; i++) {
        demand(text.data[i] >= ' ' && text.data[i] <= '~');
    }
}

static void check_helo(struct arena *arena, struct bytes helo, const struct ip_address *client)
{
    static const struct bytes own_names[] = {{"mx.test", 7}};
    struct helo_facts facts = {
        .helo = helo, .client = *client, .own_names = own_names, .own_name_count = 1};
    enum helo_flaw flaw = helo_check(&facts);
    struct client_finding finding = {.control = CLIENT_HELO,
                                     .what = helo_flaw_text(flaw),
                                     .words = helo_flaw_words(flaw),
                                     .subject = helo};

    demand(flaw != HELO_OUR_NAME || bytes_starts_with_nocase(bytes_trim(helo), own_names[0]));
    demand(flaw != HELO_FINE || !helo_flaw_is_local(flaw));
    check_reply(arena, &finding);
}

static void check_list(struct arena *arena, const struct dns_list *list,
                       const struct dns_list_identity *identity, struct bytes input)
{
    struct dns_facts *facts = dns_facts_new();
    struct dns_list_verdict verdict;
    unsigned rounds = 0;

    while (dns_list_check(list, identity, facts, arena, &verdict) == AUTH_NEEDS_DNS) {
        size_t count;
        const struct dns_question *wanted = dns_facts_wanted(facts, &count);

        demand(verdict.standing == DNS_LIST_UNANSWERED && count > 0 && rounds++ < ROUNDS);
        answer(facts, wanted[0], &input);
    }
    if (verdict.standing == DNS_LIST_LISTED) {
        struct client_finding finding = {.control = CLIENT_BLOCKLIST,
                                         .rule = list->rule,
                                         .subject = list->zone,
                                         .listed = identity->sender,
                                         .text = verdict.text};
        check_reply(arena, &finding);
    }
    dns_facts_free(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct dns_list list = {.zone = BYTES("bl.example.test"), .rule = {CLIENT_REFUSE, 0}};
    struct dns_list_identity identity = {.client = {.family = IP_V4}};
    struct arena *arena = arena_new();
    struct bytes said;
    unsigned kind = take(&input), len;

    list.subject = (enum dns_list_subject)(kind % 3);
    identity.client.family = (kind & 0x80) != 0 ? IP_V6 : IP_V4;
    for (size_t i = 0; i < (identity.client.family == IP_V6 ? 16u : 4u); i++) {
        identity.client.octets[i] = (uint8_t)take(&input);
    }
    len = take(&input);
    said = bytes_first(input, len);
    identity.helo = helo_name(said);
    identity.sender = said;
    check_name(&list, &identity);
    check_helo(arena, said, &identity.client);
    check_list(arena, &list, &identity, bytes_skip(input, said.len));
    arena_free(&arena);
    return 0;
}
