/*
 *   1 publish_records     one function a kind; each says which record is wanted and asks DNS what stands there
 *   2 judge_...           right, missing or wrong, by what the record is for
 *   3 the zone's form
 */
#include "forward/publish_record.h"

#include "auth/dmarc_check.h"
#include "auth/spf_check.h"
#include "auth/spf_record.h"
#include "base/encoding.h"
#include "base/utf8.h"
#include "forward/spf_merge.h"
#include "protocol/dns_record_text.h"

enum { VALUE_LIMIT = 65535, SPF_RECORDS_KEPT = 8, TXT_STRING_OCTETS = 255 };

struct publisher {
    const struct publish_host *host;
    struct dns_facts *facts; /* NULL: nobody is asked */
    struct arena *arena;
    struct publish_list *list;
    bool is_waiting; /* for an answer */
};

/* ---- common to all ---- */

static struct bytes copy(struct publisher *publisher, struct strbuf *text)
{
    struct bytes kept = bytes_from_text(arena_copy_text(publisher->arena, strbuf_bytes(text)));

    strbuf_clear(text);
    return kept;
}

static struct bytes joined(struct publisher *publisher, struct bytes first, const char *between,
                           struct bytes second)
{
    struct strbuf text;

    strbuf_init(&text, VALUE_LIMIT);
    strbuf_addf(&text, BYTES_FMT "%s" BYTES_FMT, BYTES_ARG(first), between, BYTES_ARG(second));
    return copy(publisher, &text);
}

/* NULL: not known (yet). */
static const struct dns_answer *ask(struct publisher *publisher, struct bytes name,
                                    uint16_t type)
{
    const struct dns_answer *answer =
        publisher->facts == NULL ? NULL : dns_facts_get(publisher->facts, name, type);

    publisher->is_waiting =
        publisher->is_waiting || (answer == NULL && publisher->facts != NULL);
    return answer != NULL && answer->status != DNS_TEMPFAIL ? answer : NULL;
}

/* A new entry; NULL when there is one of this name and type (and value, where there may be several). */
static struct publish_record *add(struct publisher *publisher, enum publish_kind kind,
                                  uint16_t type, struct bytes name, struct bytes value)
{
    struct publish_list *list = publisher->list;
    struct publish_record *record;

    for (size_t i = 0; i < list->count; i++) {
        const struct publish_record *other = &list->records[i];
        bool is_same = type == DNS_TYPE_TXT
                           ? other->type == type
                           : other->type == type && bytes_equal(other->value, value);
        if (is_same && bytes_equal_nocase(other->name, name)) {
            return NULL;
        }
    }
    record = &list->records[list->count++];
    *record = (struct publish_record){
        .kind = kind, .state = PUBLISH_UNKNOWN, .name = name, .type = type, .value = value};
    return record;
}

/* What stands there, of one type, as text for people. */
static struct bytes shown(struct publisher *publisher, const struct dns_answer *answer,
                          uint16_t type)
{
    struct strbuf all, one;

    strbuf_init(&all, VALUE_LIMIT);
    strbuf_init(&one, VALUE_LIMIT);
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->records[i].type == type) {
            strbuf_reset(&one);
            dns_record_text_add(&one, &answer->records[i]);
            strbuf_add_text(&all, all.len > 0 ? ", " : "");
            utf8_add_printable(&all, strbuf_bytes(&one));
        }
    }
    strbuf_clear(&one);
    return copy(publisher, &all);
}

static size_t count_type(const struct dns_answer *answer, uint16_t type)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->count; i++) {
        count += answer->records[i].type == type;
    }
    return count;
}

/* Right when `is_there`; else missing, or wrong when there are others. */
static void settle(struct publisher *publisher, struct publish_record *record,
                   const struct dns_answer *answer, bool is_there)
{
    if (is_there) {
        record->state = PUBLISH_RIGHT;
    } else if (count_type(answer, record->type) == 0) {
        record->state = PUBLISH_MISSING;
    } else {
        record->state = PUBLISH_WRONG;
        record->present = shown(publisher, answer, record->type);
    }
}

/* ---- the host: addresses and their names ---- */

static bool has_address(const struct dns_answer *answer, const struct ip_address *address)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        if ((record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA) &&
            ip_address_equal(&record->address, address)) {
            return true;
        }
    }
    return false;
}

static void add_host_address(struct publisher *publisher, const struct ip_address *address)
{
    uint16_t type = address->family == IP_V4 ? DNS_TYPE_A : DNS_TYPE_AAAA;
    struct ip_text text = ip_address_text(address);
    struct bytes value = arena_copy(publisher->arena, bytes_from_text(text.text));
    struct publish_record *record =
        add(publisher, PUBLISH_HOST_ADDRESS, type, publisher->host->hostname, value);
    const struct dns_answer *answer;

    if (record == NULL) {
        return;
    }
    record->why = "the address of this host: its name leads here";
    answer = ask(publisher, record->name, type);
    if (answer != NULL) {
        settle(publisher, record, answer, has_address(answer, address));
        record->advice =
            record->state == PUBLISH_WRONG
                ? "as one more record when both addresses are ours, else in its place"
                : NULL;
    }
}

static void add_reverse_name(struct publisher *publisher, const struct ip_address *address)
{
    struct bytes hostname = publisher->host->hostname;
    struct publish_record *record;
    const struct dns_answer *answer;
    bool is_there = false;
    struct strbuf name;

    strbuf_init(&name, VALUE_LIMIT);
    dns_reverse_name_add(&name, address);
    record = add(publisher, PUBLISH_REVERSE_NAME, DNS_TYPE_PTR, copy(publisher, &name),
                 joined(publisher, hostname, ".", BYTES("")));
    if (record == NULL) {
        return;
    }
    record->why = "the name of the address: without it big providers refuse everything";
    answer = ask(publisher, record->name, DNS_TYPE_PTR);
    if (answer != NULL) {
        for (size_t i = 0; i < answer->count; i++) {
            is_there = is_there || (answer->records[i].type == DNS_TYPE_PTR &&
                                    bytes_equal_nocase(answer->records[i].name, hostname));
        }
        settle(publisher, record, answer, is_there);
    }
    if (record->state != PUBLISH_RIGHT) {
        record->advice = "it is set where the address was rented, not in a zone of yours";
    }
}

/* ---- MX ---- */

/* Does the name have one of our addresses? *is_known becomes false when an answer is missing. */
static bool leads_here(struct publisher *publisher, struct bytes name, bool *is_known)
{
    const struct dns_answer *answers[] = {ask(publisher, name, DNS_TYPE_A),
                                          ask(publisher, name, DNS_TYPE_AAAA)};

    for (size_t i = 0; i < 2; i++) {
        *is_known = *is_known && answers[i] != NULL;
        for (size_t k = 0; answers[i] != NULL && k < publisher->host->address_count; k++) {
            if (has_address(answers[i], &publisher->host->addresses[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool mx_leads_here(struct publisher *publisher, const struct dns_answer *answer,
                          bool *is_known)
{
    bool is_here = false;
    size_t hosts = 0;

    for (size_t i = 0; i < answer->count && hosts < PUBLISH_MX_LIMIT; i++) {
        const struct dns_record *record = &answer->records[i];
        if (record->type != DNS_TYPE_MX || record->mx.host.len == 0) {
            continue;
        }
        hosts++;
        if (bytes_equal_nocase(record->mx.host, publisher->host->hostname)) {
            return true;
        }
        /* all of them are asked about before the first answer is looked at */
        is_here = leads_here(publisher, record->mx.host, is_known) || is_here;
    }
    return is_here;
}

/* Without MX records the name's own address is where its mail goes (RFC 5321 §5.1). */
static void judge_mx(struct publisher *publisher, struct publish_record *record)
{
    const struct dns_answer *answer = ask(publisher, record->name, DNS_TYPE_MX);
    bool is_known = true, is_here;

    if (answer == NULL) {
        return;
    }
    is_here = count_type(answer, DNS_TYPE_MX) > 0
                  ? mx_leads_here(publisher, answer, &is_known)
                  : leads_here(publisher, record->name, &is_known);
    if (is_here || is_known) {
        settle(publisher, record, answer, is_here);
    }
    if (record->state == PUBLISH_WRONG) {
        record->advice =
            "until it is changed the mail goes there; lower its TTL the day before";
    }
}

static void add_mx(struct publisher *publisher, enum publish_kind kind, struct bytes domain,
                   const char *why)
{
    struct publish_record *record =
        add(publisher, kind, DNS_TYPE_MX, domain,
            joined(publisher, BYTES("10 "), "",
                   joined(publisher, publisher->host->hostname, ".", BYTES(""))));

    if (record != NULL) {
        record->why = why;
        judge_mx(publisher, record);
    }
}

/* ---- SPF ---- */

struct spf_present {
    struct bytes records[SPF_RECORDS_KEPT];
    size_t count;
};

static void find_spf(const struct dns_answer *answer, struct spf_present *present)
{
    for (size_t i = 0; i < answer->count && present->count < SPF_RECORDS_KEPT; i++) {
        if (answer->records[i].type == DNS_TYPE_TXT &&
            spf_record_is_spf(answer->records[i].text)) {
            present->records[present->count++] = answer->records[i].text;
        }
    }
}

/* Those of our addresses that do not pass; false when that is not known. */
static bool find_failing(struct publisher *publisher, struct bytes domain,
                         struct ip_address *failing, size_t *count)
{
    struct spf_checker *checker = spf_checker_new();
    struct spf_identity identity = {
        .helo = domain,
        .sender = {.local = BYTES("postmaster"), .domain = domain},
        .receiver = publisher->host->hostname,
    };
    bool is_known = true;

    *count = 0;
    for (size_t i = 0; i < publisher->host->address_count; i++) {
        struct spf_verdict verdict;
        identity.client = publisher->host->addresses[i];
        if (spf_check(checker, &identity, SPF_MAIL_FROM, publisher->facts, publisher->arena,
                      &verdict) == AUTH_NEEDS_DNS) {
            publisher->is_waiting = true;
            is_known = false;
        } else if (verdict.result == AUTH_TEMPERROR) {
            is_known = false;
        } else if (verdict.result != AUTH_PASS) {
            failing[(*count)++] = identity.client;
        }
    }
    spf_checker_free(&checker);
    return is_known;
}

static const char *spf_advice(const struct publish_record *record,
                              const struct spf_present *present)
{
    struct bytes text = present->count == 1 ? present->records[0] : BYTES("");
    size_t start = bytes_find_last(text, ' ');
    struct bytes last = start < text.len ? bytes_skip(text, start + 1) : BYTES("");

    if (present->count > 1) {
        return "several SPF records count as none: this one in place of all of them";
    }
    if (record->state == PUBLISH_WRONG) {
        return "in place of the record that stands there, not beside it";
    }
    if (bytes_equal_nocase(last, BYTES("+all")) || bytes_equal_nocase(last, BYTES("all"))) {
        return "it ends in +all, which lets anybody send in this name: -all";
    }
    if (bytes_equal_nocase(last, BYTES("~all")) || bytes_equal_nocase(last, BYTES("?all"))) {
        return "-all at its end says that nothing else sends for this name";
    }
    return NULL;
}

static void judge_spf(struct publisher *publisher, struct publish_record *record)
{
    const struct publish_host *host = publisher->host;
    const struct dns_answer *answer = ask(publisher, record->name, DNS_TYPE_TXT);
    struct spf_present present = {.count = 0};
    struct ip_address *failing =
        arena_alloc(publisher->arena, (host->address_count + 1) * sizeof *failing);
    size_t failing_count;
    struct strbuf value, shown_text;

    if (answer == NULL || !find_failing(publisher, record->name, failing, &failing_count)) {
        return;
    }
    find_spf(answer, &present);
    if (present.count == 1 && failing_count == 0) {
        record->state = PUBLISH_RIGHT;
    } else {
        record->state = present.count == 0 ? PUBLISH_MISSING : PUBLISH_WRONG;
        strbuf_init(&value, VALUE_LIMIT);
        spf_merge_add(&value, present.records, present.count, failing, failing_count);
        record->value = copy(publisher, &value);
        strbuf_init(&shown_text, VALUE_LIMIT);
        for (size_t i = 0; i < present.count; i++) {
            strbuf_add_text(&shown_text, i > 0 ? ", " : "");
            utf8_add_printable(&shown_text, present.records[i]);
        }
        record->present = copy(publisher, &shown_text);
    }
    record->advice = spf_advice(record, &present);
}

static void add_spf(struct publisher *publisher, enum publish_kind kind, struct bytes domain,
                    const char *why)
{
    struct publish_record *record;
    struct strbuf value;

    strbuf_init(&value, VALUE_LIMIT);
    spf_merge_add(&value, NULL, 0, publisher->host->addresses, publisher->host->address_count);
    record = add(publisher, kind, DNS_TYPE_TXT, domain, copy(publisher, &value));
    if (record != NULL) {
        record->why = why;
        judge_spf(publisher, record);
    }
}

/* ---- keys ---- */

static void judge_key(struct publisher *publisher, struct publish_record *record,
                      const struct signing_key *key)
{
    const struct dns_answer *answer = ask(publisher, record->name, DNS_TYPE_TXT);
    size_t count;
    bool is_there = false;

    if (answer == NULL) {
        return;
    }
    count = count_type(answer, DNS_TYPE_TXT);
    for (size_t i = 0; i < answer->count; i++) {
        is_there =
            is_there || (answer->records[i].type == DNS_TYPE_TXT &&
                         signing_key_compare(key, answer->records[i].text) == KEY_PUBLISHED);
    }
    /* which of several a verifier takes is undefined (RFC 6376 §3.6.2.2) */
    settle(publisher, record, answer, is_there && count == 1);
    if (record->state == PUBLISH_WRONG) {
        record->advice =
            is_there ? "alone: the other TXT records of this name go away"
                     : "in its place; or, when that key is in use, take another selector";
    }
}

static void add_key(struct publisher *publisher, const struct publish_key *key)
{
    struct publish_record *record;
    struct strbuf value;

    strbuf_init(&value, VALUE_LIMIT);
    signing_key_add_record(key->key, &value);
    record = add(publisher, PUBLISH_KEY, DNS_TYPE_TXT,
                 joined(publisher, key->selector, "._domainkey.", key->domain),
                 copy(publisher, &value));
    if (record != NULL) {
        record->why = "the key of our seals: whoever gets forwarded mail can verify them";
        judge_key(publisher, record, key->key);
    }
}

/* ---- DMARC ---- */

static void judge_dmarc(struct publisher *publisher, struct publish_record *record,
                        struct bytes domain)
{
    const struct dns_answer *answer = ask(publisher, record->name, DNS_TYPE_TXT);
    struct dmarc_input input = {.authors = &domain, .author_count = 1};
    struct dmarc_verdict verdict;

    if (answer == NULL) {
        return;
    }
    if (dmarc_check(&input, publisher->facts, publisher->arena, &verdict) == AUTH_NEEDS_DNS) {
        publisher->is_waiting = true;
    } else if (verdict.record_domain.len > 0) {
        record->state = PUBLISH_RIGHT;
    } else if (verdict.result != AUTH_TEMPERROR) {
        settle(publisher, record, answer, false);
    }
    if (record->state == PUBLISH_WRONG) {
        record->advice = "what stands there cannot be read as one DMARC record";
    }
}

/* Then the record of that domain is good for it, too. */
static bool is_below_a_domain(const struct publish_host *host, struct bytes name)
{
    for (size_t i = 0; i < host->domain_count; i++) {
        struct bytes domain = host->domains[i];
        if (name.len > domain.len && name.data[name.len - domain.len - 1] == '.' &&
            bytes_ends_with_nocase(name, domain)) {
            return true;
        }
    }
    return false;
}

static void add_dmarc(struct publisher *publisher, struct bytes domain, const char *why)
{
    struct publish_record *record =
        add(publisher, PUBLISH_DMARC, DNS_TYPE_TXT,
            joined(publisher, BYTES("_dmarc."), "", domain), BYTES("v=DMARC1; p=none"));

    if (record != NULL) {
        record->why = why;
        judge_dmarc(publisher, record, domain);
    }
}

/* ---- TLSA ---- */

static void add_tlsa(struct publisher *publisher)
{
    struct bytes digest = bytes_of(publisher->host->tlsa_digest, PUBLISH_DIGEST_OCTETS);
    struct publish_record *record;
    const struct dns_answer *answer;
    bool is_there = false;
    struct strbuf value;

    strbuf_init(&value, VALUE_LIMIT);
    strbuf_add_text(&value, "3 1 1 ");
    encoding_hex_add(&value, digest);
    record = add(publisher, PUBLISH_TLSA, DNS_TYPE_TLSA,
                 joined(publisher, BYTES("_25._tcp."), "", publisher->host->hostname),
                 copy(publisher, &value));
    record->why = "whoever sends to us knows the key to expect (only in a zone with DNSSEC)";
    answer = ask(publisher, record->name, DNS_TYPE_TLSA);
    if (answer == NULL) {
        return;
    }
    for (size_t i = 0; i < answer->count; i++) {
        struct bytes rdata = answer->records[i].rdata;
        is_there = is_there || (answer->records[i].type == DNS_TYPE_TLSA &&
                                bytes_starts_with(rdata, BYTES("\3\1\1")) &&
                                bytes_equal(bytes_skip(rdata, 3), digest));
    }
    settle(publisher, record, answer, is_there);
    if (record->state == PUBLISH_WRONG) {
        record->advice =
            "before the certificate is used: senders that know DANE refuse another key";
    } else if (record->state == PUBLISH_RIGHT && !answer->is_secure) {
        record->advice = "nobody looks at it: the zone, or our resolver, has no DNSSEC";
    }
}

/* ---- all of them ---- */

enum auth_status publish_records(const struct publish_host *host, struct dns_facts *facts,
                                 struct arena *arena, struct publish_list *list)
{
    struct publisher publisher = {.host = host, .facts = facts, .arena = arena, .list = list};
    size_t limit = 2 * host->address_count + 2 * host->domain_count +
                   3 * host->srs_domain_count + host->key_count + 2;

    *list = (struct publish_list){.records = arena_alloc(arena, limit * sizeof *list->records)};
    for (size_t i = 0; i < host->address_count; i++) {
        add_host_address(&publisher, &host->addresses[i]);
        add_reverse_name(&publisher, &host->addresses[i]);
    }
    for (size_t i = 0; i < host->domain_count; i++) {
        add_mx(&publisher, PUBLISH_DOMAIN_MX, host->domains[i],
               "mail to the aliases of this domain comes here");
    }
    for (size_t i = 0; i < host->srs_domain_count; i++) {
        add_mx(&publisher, PUBLISH_RETURN_MX, host->srs_domains[i],
               "bounces of forwarded mail come back here");
        add_spf(
            &publisher, PUBLISH_RETURN_SPF, host->srs_domains[i],
            "forwarded mail leaves with senders of this domain: SPF passes at the next hop");
    }
    add_spf(&publisher, PUBLISH_HOST_SPF, host->hostname,
            "bounces have no sender: SPF is asked about the name in HELO");
    for (size_t i = 0; i < host->key_count; i++) {
        add_key(&publisher, &host->keys[i]);
    }
    for (size_t i = 0; i < host->domain_count; i++) {
        add_dmarc(&publisher, host->domains[i],
                  "says what receivers do with mail that only claims to be from this domain");
    }
    for (size_t i = 0; i < host->srs_domain_count; i++) {
        if (!is_below_a_domain(host, host->srs_domains[i])) {
            add_dmarc(&publisher, host->srs_domains[i],
                      "some providers want one of any domain that mail comes from");
        }
    }
    if (host->tlsa_digest != NULL) {
        add_tlsa(&publisher);
    }
    return publisher.is_waiting ? AUTH_NEEDS_DNS : AUTH_DONE;
}

const char *publish_state_text(enum publish_state state)
{
    switch (state) {
    case PUBLISH_RIGHT:
        return "right";
    case PUBLISH_MISSING:
        return "missing";
    case PUBLISH_WRONG:
        return "wrong";
    case PUBLISH_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

/* ---- as a zone file has them ---- */

static void add_string(struct strbuf *out, struct bytes text)
{
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (octet == '"' || octet == '\\') {
            strbuf_addf(out, "\\%c", octet);
        } else if (octet < ' ' || octet > '~') {
            strbuf_addf(out, "\\%03u", octet);
        } else {
            strbuf_add_char(out, (char)octet);
        }
    }
    strbuf_add_char(out, '"');
}

void publish_record_add_value(struct strbuf *out, const struct publish_record *record)
{
    struct bytes rest = record->value;

    if (record->type != DNS_TYPE_TXT) {
        strbuf_add(out, rest);
        return;
    }
    add_string(out, bytes_first(rest, TXT_STRING_OCTETS));
    while ((rest = bytes_skip(rest, TXT_STRING_OCTETS)).len > 0) {
        strbuf_add_char(out, ' ');
        add_string(out, bytes_first(rest, TXT_STRING_OCTETS));
    }
}

void publish_record_add_line(struct strbuf *out, const struct publish_record *record)
{
    strbuf_addf(out, BYTES_FMT ". IN %s ", BYTES_ARG(record->name),
                dns_type_text(record->type));
    publish_record_add_value(out, record);
}

size_t publish_list_add_zone(struct strbuf *out, const struct publish_list *list)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct publish_record *record = &list->records[i];
        if (record->state == PUBLISH_RIGHT) {
            continue;
        }
        count++;
        strbuf_addf(out, "; %s\n", record->why);
        if (record->state == PUBLISH_WRONG) {
            strbuf_addf(out, "; now: " BYTES_FMT "\n", BYTES_ARG(record->present));
        }
        if (record->advice != NULL) {
            strbuf_addf(out, "; %s\n", record->advice);
        }
        strbuf_add_text(out, record->type == DNS_TYPE_PTR ? ";" : "");
        publish_record_add_line(out, record);
        strbuf_add_char(out, '\n');
    }
    return count;
}
