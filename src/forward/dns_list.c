#include "forward/dns_list.h"

#include "base/strbuf.h"
#include "forward/reply_text.h"

enum { NAME_ROOM = 2 * DNS_NAME_LIMIT };

#define LOOPBACK UINT32_C(0x7f000000)
#define NOT_LISTED UINT32_C(0x7f000001) /* also what some lists answer to whom they refuse */
#define TEST_ENTRY UINT32_C(0x7f000002)
#define REFUSALS UINT32_C(0x7fffff00)

static uint32_t number_of(const struct ip_address *address)
{
    return (uint32_t)address->octets[0] << 24 | (uint32_t)address->octets[1] << 16 |
           (uint32_t)address->octets[2] << 8 | address->octets[3];
}

static bool read_number(struct bytes text, uint32_t *number)
{
    struct ip_address address;

    if (!ip_address_parse(text, &address) || address.family != IP_V4 ||
        bytes_find(text, ':') != text.len) {
        return false;
    }
    *number = number_of(&address);
    return true;
}

bool dns_list_match_parse(struct bytes text, struct dns_list_match *match)
{
    struct bytes rest = text, first;
    bool is_range = bytes_find(text, '-') < text.len;

    *match = (struct dns_list_match){.bits = 0};
    if (bytes_starts_with(text, BYTES("&"))) {
        return read_number(bytes_skip(text, 1), &match->bits) && match->bits != 0;
    }
    first = bytes_cut(&rest, '-');
    if (!read_number(first, &match->first)) {
        return false;
    }
    match->last = match->first;
    return (!is_range || read_number(rest, &match->last)) && match->first <= match->last &&
           match->first >> 24 == 127 && match->last >> 24 == 127;
}

/* ---- names ------------------------------------------------------------------------------- */

static bool finish_name(struct strbuf *text, const struct dns_list *list, struct dns_name *out)
{
    bool is_good;

    strbuf_add(text, list->zone);
    is_good = !text->overflowed && dns_name_read(strbuf_bytes(text), out);
    strbuf_clear(text);
    return is_good;
}

static bool name_of_address(const struct dns_list *list, const struct ip_address *address,
                            struct dns_name *out)
{
    struct strbuf text;

    strbuf_init(&text, NAME_ROOM);
    dns_reverse_labels_add(&text, address);
    return finish_name(&text, list, out);
}

static bool name_of_domain(const struct dns_list *list, struct bytes domain,
                           struct dns_name *out)
{
    struct strbuf text;

    if (domain.len > 0 && domain.data[domain.len - 1] == '.') {
        domain.len--;
    }
    strbuf_init(&text, NAME_ROOM);
    strbuf_add(&text, domain);
    strbuf_add_char(&text, '.');
    return finish_name(&text, list, out);
}

bool dns_list_name(const struct dns_list *list, const struct dns_list_identity *identity,
                   struct dns_name *out)
{
    switch (list->subject) {
    case DNS_LIST_CLIENT:
        return identity->client.family != IP_NONE &&
               name_of_address(list, &identity->client, out);
    case DNS_LIST_SENDER:
        return identity->sender.len > 0 && name_of_domain(list, identity->sender, out);
    case DNS_LIST_HELO:
        return identity->helo.len > 0 && name_of_domain(list, identity->helo, out);
    }
    return false;
}

/* ::ffff:127.0.0.N for a list of IPv6 addresses. Made by hand: parsed, it would become IPv4. */
static struct ip_address test_address(enum ip_family family, uint32_t number)
{
    struct ip_address address = {.family = family};
    uint8_t *octets = address.octets;

    if (family == IP_V6) {
        octets[10] = octets[11] = 0xff;
        octets += 12;
    }
    octets[0] = (uint8_t)(number >> 24);
    octets[3] = (uint8_t)number;
    return address;
}

/* ---- answers ----------------------------------------------------------------------------- */

static bool is_refusal(uint32_t code)
{
    return code == NOT_LISTED || (code & REFUSALS) == REFUSALS;
}

static bool matches(const struct dns_list *list, uint32_t code)
{
    for (size_t i = 0; i < list->match_count; i++) {
        const struct dns_list_match *match = &list->matches[i];

        if (match->bits != 0 ? (code & match->bits) != 0
                             : code >= match->first && code <= match->last) {
            return true;
        }
    }
    return list->match_count == 0;
}

/* What the addresses of an answer say, without the guard. */
static enum dns_list_standing read_codes(const struct dns_list *list,
                                         const struct dns_answer *answer, bool takes_any,
                                         uint32_t *code)
{
    enum dns_list_standing standing = DNS_LIST_CLEAR;

    if (answer->status == DNS_TEMPFAIL) {
        return DNS_LIST_UNANSWERED;
    }
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        uint32_t number = record->type == DNS_TYPE_A ? number_of(&record->address) : 0;

        if ((number & 0xff000000) != LOOPBACK) {
            continue;
        }
        if (is_refusal(number)) {
            *code = number;
            return DNS_LIST_REFUSED;
        }
        if (standing == DNS_LIST_CLEAR && (takes_any || matches(list, number))) {
            *code = number;
            standing = DNS_LIST_LISTED;
        }
    }
    return standing;
}

/* ---- the guard --------------------------------------------------------------------------- */

struct test_entry {
    enum dns_list_standing standing;
    bool is_open; /* no answer yet */
};

static struct test_entry ask_entry(const struct dns_list *list, const struct dns_name *name,
                                   struct dns_facts *facts)
{
    const struct dns_answer *answer =
        dns_facts_get(facts, bytes_of(name->octets, name->len), DNS_TYPE_A);
    struct test_entry entry = {.standing = DNS_LIST_UNANSWERED, .is_open = answer == NULL};
    uint32_t code;

    if (answer != NULL) {
        entry.standing = read_codes(list, answer, true, &code);
    }
    return entry;
}

static struct test_entry ask_test(const struct dns_list *list, enum ip_family family,
                                  uint32_t number, struct dns_facts *facts)
{
    struct ip_address address = test_address(family, number);
    struct dns_name name;
    bool is_good =
        list->subject == DNS_LIST_CLIENT
            ? name_of_address(list, &address, &name)
            : name_of_domain(list, number == TEST_ENTRY ? BYTES("test") : BYTES("invalid"),
                             &name);

    if (!is_good) {
        return (struct test_entry){DNS_LIST_CLEAR, false};
    }
    return ask_entry(list, &name, facts);
}

/* Lists of both families have the entry of IPv4 at least; those of IPv6 alone have their own. */
static struct test_entry ask_for_test(const struct dns_list *list, enum ip_family family,
                                      struct dns_facts *facts)
{
    struct test_entry own = ask_test(list, family, TEST_ENTRY, facts);
    struct test_entry other;

    if (list->subject != DNS_LIST_CLIENT || family == IP_V4) {
        return own;
    }
    other = ask_test(list, IP_V4, TEST_ENTRY, facts);
    if (own.standing == DNS_LIST_LISTED || other.standing == DNS_LIST_LISTED) {
        return (struct test_entry){DNS_LIST_LISTED, false};
    }
    return own.is_open || own.standing == DNS_LIST_UNANSWERED ? own : other;
}

static enum auth_status apply_guard(const struct dns_list *list, enum ip_family family,
                                    struct dns_facts *facts, struct dns_list_verdict *verdict)
{
    struct test_entry nobody = ask_test(list, family, NOT_LISTED, facts);
    struct test_entry test = ask_for_test(list, family, facts);

    if (nobody.standing == DNS_LIST_LISTED) {
        verdict->standing = DNS_LIST_HAS_EVERYBODY;
    } else if (nobody.is_open || test.is_open) {
        return AUTH_NEEDS_DNS;
    } else if (nobody.standing == DNS_LIST_REFUSED || test.standing == DNS_LIST_REFUSED) {
        verdict->standing = DNS_LIST_REFUSED;
    } else if (nobody.standing == DNS_LIST_CLEAR && test.standing == DNS_LIST_CLEAR) {
        verdict->standing = DNS_LIST_HAS_NO_TEST;
    } else if (nobody.standing == DNS_LIST_CLEAR && test.standing == DNS_LIST_LISTED) {
        verdict->standing = DNS_LIST_LISTED;
    }
    return AUTH_DONE;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* The words of a stranger: what cannot stand in a reply or in the log becomes "?". */
static void keep_text(const struct dns_answer *answer, struct arena *arena,
                      struct dns_list_verdict *verdict)
{
    struct bytes text;

    if (answer->status != DNS_OK || answer->count == 0 ||
        answer->records[0].type != DNS_TYPE_TXT) {
        return;
    }
    text = bytes_trim(bytes_first(answer->records[0].text, DNS_LIST_TEXT_LIMIT));
    verdict->text = reply_text_clean(arena, text, DNS_LIST_TEXT_LIMIT, "");
}

enum auth_status dns_list_check(const struct dns_list *list,
                                const struct dns_list_identity *identity,
                                struct dns_facts *facts, struct arena *arena,
                                struct dns_list_verdict *verdict)
{
    const struct dns_answer *answer;
    struct dns_name name;
    struct bytes asked;
    enum dns_list_standing standing;

    *verdict = (struct dns_list_verdict){.standing = DNS_LIST_CLEAR};
    if (!dns_list_name(list, identity, &name)) {
        return AUTH_DONE;
    }
    asked = bytes_of(name.octets, name.len);
    answer = dns_facts_get(facts, asked, DNS_TYPE_A);
    verdict->standing = DNS_LIST_UNANSWERED;
    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    standing = read_codes(list, answer, false, &verdict->code);
    if (standing != DNS_LIST_LISTED) {
        verdict->standing = standing;
        return AUTH_DONE;
    }
    answer = dns_facts_get(facts, asked, DNS_TYPE_TXT);
    if (apply_guard(list, identity->client.family, facts, verdict) == AUTH_NEEDS_DNS) {
        return AUTH_NEEDS_DNS;
    }
    if (verdict->standing != DNS_LIST_LISTED) {
        return AUTH_DONE;
    }
    if (answer == NULL) {
        verdict->standing = DNS_LIST_UNANSWERED;
        return AUTH_NEEDS_DNS;
    }
    keep_text(answer, arena, verdict);
    return AUTH_DONE;
}

const char *dns_list_trouble(enum dns_list_standing standing)
{
    switch (standing) {
    case DNS_LIST_CLEAR:
    case DNS_LIST_LISTED:
    case DNS_LIST_UNANSWERED:
        break;
    case DNS_LIST_REFUSED:
        return "query-refused";
    case DNS_LIST_HAS_EVERYBODY:
        return "lists-everybody";
    case DNS_LIST_HAS_NO_TEST:
        return "no-test-entry";
    }
    return NULL;
}
