/*
 * SPF: a world in lines, evaluated for a hostile identity. Whatever it says: only the closed
 * alphabet reaches libspf2, look-ups stay bounded, the explanation is one printable line, the
 * verdict says why or by which term, and it does not depend on how the answers come in.
 *
 * Input: first line HELO, second local part, third sender domain (empty: example.com), fourth an
 * address; every other line is a record: "TYPE DATA" for any name ("t" TXT, "m" MX, "p" PTR,
 * "a" address, "!" fails), given out in turn as names are asked for.
 */
#include "support/spf_zone.h"

enum { LINE_LIMIT = 64, LOOKUP_LIMIT = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct bytes lines[LINE_LIMIT];
    size_t count;
};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static char letter_of(uint16_t type)
{
    switch (type) {
    case DNS_TYPE_TXT:
        return 't';
    case DNS_TYPE_MX:
        return 'm';
    case DNS_TYPE_PTR:
        return 'p';
    default:
        return 'a';
    }
}

/* A name as dns_message would make it of what came over the wire. */
static struct bytes read_host(struct arena *arena, struct bytes text)
{
    struct dns_name name;

    return dns_name_read(text, &name) ? arena_copy(arena, bytes_of(name.octets, name.len))
                                      : BYTES("host.example");
}

static void fill(struct arena *arena, struct dns_record *record, uint16_t type,
                 struct bytes data, const struct ip_address *client)
{
    *record = (struct dns_record){.type = type};
    switch (type) {
    case DNS_TYPE_TXT:
        record->text = data;
        break;
    case DNS_TYPE_MX:
        record->mx.host = read_host(arena, data);
        break;
    case DNS_TYPE_PTR:
        record->name = read_host(arena, data);
        break;
    default:
        if (!ip_address_parse(data, &record->address)) {
            record->address = *client;
        }
    }
}

/* The same name and type always get the same answer: some of the lines, by the name's sum. */
static void answer(const struct input *input, const struct dns_question *question,
                   const struct ip_address *client, struct arena *arena,
                   struct dns_facts *facts)
{
    struct dns_record records[LINE_LIMIT];
    struct dns_answer made = {.status = DNS_NXDOMAIN, .records = records};
    unsigned sum = question->type, step;

    for (size_t i = 0; i < question->name.len; i++) {
        sum = sum * 31 + (unsigned char)question->name.data[i];
    }
    step = question->type == DNS_TYPE_TXT ? 64 : 1 + sum / 64 % 3;
    for (size_t i = 4 + (question->type == DNS_TYPE_TXT ? sum % 8 : 0); i < input->count; i++) {
        struct bytes line = input->lines[i];

        if (line.len > 0 && line.data[0] == letter_of(question->type)) {
            fill(arena, &records[made.count++], question->type, bytes_skip(line, 2), client);
            made.status = DNS_OK;
            i += step - 1;
        } else if (line.len > 0 && line.data[0] == '!' && sum % 5 == 0 && made.count == 0) {
            made.status = DNS_TEMPFAIL;
            break;
        }
    }
    dns_facts_put(facts, question->name, question->type, &made);
}

static unsigned replay(struct spf_checker *checker, const struct input *input,
                       const struct spf_identity *identity, size_t a_round,
                       struct dns_facts *facts, struct arena *arena,
                       struct spf_verdict *verdict)
{
    unsigned asked = 0;

    while (spf_check(checker, identity, SPF_MAIL_FROM, facts, arena, verdict) ==
           AUTH_NEEDS_DNS) {
        size_t wanted, left;

        require(verdict->result == AUTH_TEMPERROR);
        dns_facts_wanted(facts, &wanted);
        require(wanted > 0);
        for (size_t i = 0; i < wanted && i < a_round; i++) {
            struct dns_question question = dns_facts_wanted(facts, &left)[0];

            answer(input, &question, &identity->client, arena, facts);
            asked++;
        }
        require(asked <= LOOKUP_LIMIT);
    }
    return asked;
}

static void check_verdict(const struct spf_verdict *verdict)
{
    bool is_of_record = verdict->result == AUTH_PASS || verdict->result == AUTH_FAIL ||
                        verdict->result == AUTH_SOFTFAIL || verdict->result == AUTH_NEUTRAL;

    require(verdict->result != AUTH_POLICY && verdict->terms <= 10 + 1);
    require(is_of_record == (verdict->why == NULL));
    /* Our own walk over the terms comes to where libspf2 came to. */
    require(is_of_record == (verdict->mechanism.len > 0));
    require(verdict->explanation.len <= SPF_EXPLANATION_LIMIT);
    require(verdict->explanation.len == 0 || verdict->result == AUTH_FAIL);
    for (size_t i = 0; i < verdict->explanation.len; i++) {
        require(verdict->explanation.data[i] >= ' ' && verdict->explanation.data[i] <= '~');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spf_watcher watcher = {.on_library_text = spf_require_closed};
    static struct spf_checker *checker;
    struct bytes rest = bytes_of(data, size);
    struct arena *arena = arena_new();
    struct dns_facts *facts = dns_facts_new();
    struct input input = {.count = 0};
    struct spf_identity identity = {.receiver = BYTES("mx.example.org"), .unix_seconds = 1};
    struct spf_verdict all, one;

    if (checker == NULL) {
        checker = spf_checker_new();
        spf_checker_watch(checker, &watcher);
    }
    while (input.count < LINE_LIMIT && (rest.len > 0 || input.count < 4)) {
        input.lines[input.count++] = bytes_cut(&rest, '\n');
    }
    identity.helo = input.lines[0];
    identity.sender.local = input.lines[1];
    identity.sender.domain = input.lines[2].len > 0 ? input.lines[2] : BYTES("example.com");
    if (!ip_address_parse(input.lines[3], &identity.client)) {
        ip_address_parse(BYTES("2001:db8::1"), &identity.client);
    }
    replay(checker, &input, &identity, SIZE_MAX, facts, arena, &all);
    check_verdict(&all);
    dns_facts_reset(facts);
    replay(checker, &input, &identity, 1, facts, arena, &one);
    require(all.result == one.result && all.terms == one.terms && all.why == one.why);
    require(bytes_equal(all.explanation, one.explanation));
    require(bytes_equal(all.mechanism, one.mechanism));
    dns_facts_free(&facts);
    arena_free(&arena);
    return 0;
}
