#include "auth/reverse_name.h"

#include "protocol/smtp_path.h"

enum { REVERSE_TEXT_LIMIT = 80 }; /* 32 nibbles with dots and "ip6.arpa" */

static const struct dns_answer *ask_names(const struct ip_address *client,
                                          struct dns_facts *facts)
{
    const struct dns_answer *answer;
    struct strbuf name;

    strbuf_init(&name, REVERSE_TEXT_LIMIT);
    dns_reverse_name_add(&name, client);
    answer = dns_facts_get(facts, strbuf_bytes(&name), DNS_TYPE_PTR);
    strbuf_clear(&name);
    return answer;
}

static size_t list_hosts(const struct dns_answer *answer,
                         struct bytes hosts[REVERSE_NAME_LIMIT])
{
    size_t count = 0;

    for (size_t i = 0; i < answer->count && i < REVERSE_NAME_LIMIT; i++) {
        const struct dns_record *record = &answer->records[i];

        if (record->type == DNS_TYPE_PTR && smtp_domain_is_valid(record->name, false)) {
            hosts[count++] = record->name;
        }
    }
    return count;
}

static bool leads_back(const struct dns_answer *answer, const struct ip_address *client)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];

        if ((record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA) &&
            ip_address_equal(&record->address, client)) {
            return true;
        }
    }
    return false;
}

static enum auth_status state_verdict(struct reverse_name_verdict *verdict,
                                      enum auth_result result, const char *why)
{
    verdict->result = result;
    verdict->why = why;
    return AUTH_DONE;
}

/* Names are judged in their order, so that the same answers always give the same name. */
static enum auth_status confirm(const struct bytes *hosts, size_t count,
                                const struct ip_address *client, struct dns_facts *facts,
                                struct arena *arena, struct reverse_name_verdict *verdict)
{
    uint16_t type = client->family == IP_V4 ? DNS_TYPE_A : DNS_TYPE_AAAA;
    bool has_address = false, is_missing = false;

    for (size_t i = 0; i < count; i++) {
        (void)dns_facts_get(facts, hosts[i], type);
    }
    for (size_t i = 0; i < count; i++) {
        const struct dns_answer *answer = dns_facts_get(facts, hosts[i], type);

        if (answer == NULL) {
            return AUTH_NEEDS_DNS;
        }
        if (leads_back(answer, client)) {
            verdict->name = arena_copy(arena, hosts[i]);
            return state_verdict(verdict, AUTH_PASS, "confirmed");
        }
        is_missing |= answer->status == DNS_TEMPFAIL;
        has_address |= answer->status == DNS_OK;
    }
    if (is_missing) {
        return state_verdict(verdict, AUTH_TEMPERROR, "dns");
    }
    return has_address ? state_verdict(verdict, AUTH_FAIL, "mismatch")
                       : state_verdict(verdict, AUTH_PERMERROR, "no-address");
}

enum auth_status reverse_name_check(const struct ip_address *client, struct dns_facts *facts,
                                    struct arena *arena, struct reverse_name_verdict *verdict)
{
    const struct dns_answer *answer;
    struct bytes hosts[REVERSE_NAME_LIMIT];
    size_t count;

    *verdict = (struct reverse_name_verdict){.result = AUTH_TEMPERROR, .why = "dns"};
    if (client->family == IP_NONE) {
        return state_verdict(verdict, AUTH_PERMERROR, "no-name");
    }
    answer = ask_names(client, facts);
    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    if (answer->status == DNS_TEMPFAIL) {
        return state_verdict(verdict, AUTH_TEMPERROR, "dns");
    }
    count = list_hosts(answer, hosts);
    if (count == 0) {
        return state_verdict(verdict, AUTH_PERMERROR, "no-name");
    }
    return confirm(hosts, count, client, facts, arena, verdict);
}
