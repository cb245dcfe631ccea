#include "forward/helo_check.h"

#include "protocol/smtp_path.h"

static struct bytes without_dot(struct bytes name)
{
    return name.len > 1 && name.data[name.len - 1] == '.' ? bytes_first(name, name.len - 1)
                                                          : name;
}

static bool is_own_address(const struct helo_facts *facts, const struct ip_address *address)
{
    for (size_t i = 0; i < facts->own_address_count; i++) {
        if (ip_address_equal(&facts->own_addresses[i], address)) {
            return true;
        }
    }
    return false;
}

/* Who connects from one of our addresses may call itself by it. */
static enum helo_flaw judge_address(const struct helo_facts *facts,
                                    const struct ip_address *address, enum helo_flaw usual)
{
    if (!ip_address_equal(address, &facts->client) && is_own_address(facts, address)) {
        return HELO_OUR_ADDRESS;
    }
    return usual;
}

static enum helo_flaw judge_literal(const struct helo_facts *facts, struct bytes inside)
{
    struct ip_address address;

    /* RFC 5321 §4.1.3 wants "IPv6:" before such an address; without it the meaning is clear. */
    if (!ip_literal_parse(inside, &address) && !ip_address_parse(inside, &address)) {
        return HELO_MALFORMED;
    }
    return ip_address_equal(&address, &facts->client)
               ? HELO_FINE
               : judge_address(facts, &address, HELO_OTHER_ADDRESS);
}

static enum helo_flaw judge_name(const struct helo_facts *facts, struct bytes name)
{
    size_t dot = bytes_find_last(name, '.');
    struct bytes last = bytes_skip(name, dot + 1);

    if (!is_own_address(facts, &facts->client)) {
        for (size_t i = 0; i < facts->own_name_count; i++) {
            if (bytes_equal_nocase(name, facts->own_names[i])) {
                return HELO_OUR_NAME;
            }
        }
    }
    if (dot == name.len) {
        return HELO_SINGLE_LABEL;
    }
    return bytes_equal_nocase(last, BYTES("local")) ||
                   bytes_equal_nocase(last, BYTES("localdomain"))
               ? HELO_LOCAL_NAME
               : HELO_FINE;
}

enum helo_flaw helo_check(const struct helo_facts *facts)
{
    struct bytes helo = bytes_trim(facts->helo);
    struct ip_address address;

    if (helo.len > 2 && helo.data[0] == '[' && helo.data[helo.len - 1] == ']') {
        return judge_literal(facts, bytes_between(helo, 1, helo.len - 1));
    }
    if (ip_address_parse(helo, &address)) {
        return judge_address(facts, &address, HELO_BARE_ADDRESS);
    }
    if (helo_name(helo).len == 0) {
        return HELO_MALFORMED;
    }
    return judge_name(facts, helo_name(helo));
}

bool helo_flaw_is_local(enum helo_flaw flaw)
{
    return flaw == HELO_SINGLE_LABEL || flaw == HELO_LOCAL_NAME || flaw == HELO_OTHER_ADDRESS;
}

static const struct {
    const char *text, *words;
} flaws[] = {
    [HELO_FINE] = {"fine", "is fine"},
    [HELO_MALFORMED] = {"malformed", "is neither a host name nor an address literal"},
    [HELO_BARE_ADDRESS] = {"bare-address", "is an address without brackets"},
    [HELO_OUR_NAME] = {"our-name", "is our own name"},
    [HELO_OUR_ADDRESS] = {"our-address", "is our own address"},
    [HELO_SINGLE_LABEL] = {"single-label", "is not a full name"},
    [HELO_LOCAL_NAME] = {"local-name", "is no name on the Internet"},
    [HELO_OTHER_ADDRESS] = {"other-address", "is not the address you come from"},
};

const char *helo_flaw_text(enum helo_flaw flaw)
{
    return flaws[flaw].text;
}

const char *helo_flaw_words(enum helo_flaw flaw)
{
    return flaws[flaw].words;
}

struct bytes helo_name(struct bytes helo)
{
    struct bytes name = without_dot(bytes_trim(helo));
    struct ip_address address;

    return smtp_domain_is_valid(name, true) && !ip_address_parse(name, &address) ? name
                                                                                 : BYTES("");
}
