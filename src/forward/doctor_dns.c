#include "forward/doctor_dns.h"

#include "auth/dmarc_check.h"
#include "auth/dmarc_record.h"
#include "auth/reverse_name.h"
#include "auth/spf_record.h"
#include "forward/doctor_mx.h"
#include "forward/reply_text.h"

enum { LINE_LIMIT = 8192, SHOWN_LIMIT = 200, NAME_LIMIT = 1024, MX_HOSTS = 20 };

static const char HOW_TO_SAY[] =
    "postilion doctor --address ADDRESS, or doctor { address ADDRESS } for the daemon";

/* What was added by a round that did not come to its end goes again. */
static enum auth_status finish(struct findings *findings, const struct findings *before,
                               enum auth_status status)
{
    if (status == AUTH_NEEDS_DNS) {
        findings_go_back(findings, before);
    }
    return status;
}

static enum auth_status both(enum auth_status a, enum auth_status b)
{
    return a == AUTH_DONE ? b : a;
}

/* ---- records to publish ------------------------------------------------------------------ */

static void set_record(struct findings *findings, struct finding *finding,
                       const struct publish_record *record)
{
    struct strbuf line;

    strbuf_init(&line, LINE_LIMIT);
    publish_record_add_line(&line, record);
    if (record->type == DNS_TYPE_PTR) {
        strbuf_add_text(&line, "\n(whoever gave you the address publishes it)");
    } else if (record->state == PUBLISH_WRONG && record->type == DNS_TYPE_TXT) {
        strbuf_add_text(&line, "\n(in the place of the record that stands there)");
    }
    finding_set_fix(findings, finding, FINDING_PUBLISH, strbuf_bytes(&line));
    strbuf_clear(&line);
}

/* The first record of this kind, or NULL. */
static const struct publish_record *find_record(const struct publish_list *list,
                                                enum publish_kind kind)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->records[i].kind == kind) {
            return &list->records[i];
        }
    }
    return NULL;
}

struct judgement {
    const char *check;
    const char *good; /* what is said of it when it is right */
    const char *why;
    enum finding_severity severity; /* when it is missing or wrong */
};

static struct finding *judge_record(struct findings *findings,
                                    const struct publish_record *record,
                                    const struct judgement *judgement)
{
    struct finding *finding = NULL;

    switch (record->state) {
    case PUBLISH_RIGHT:
        return findings_add(findings, FINDING_OK, judgement->check, BYTES_FMT " %s",
                            BYTES_ARG(record->name), judgement->good);
    case PUBLISH_MISSING:
        finding = findings_add(findings, judgement->severity, judgement->check,
                               BYTES_FMT " has no %s record", BYTES_ARG(record->name),
                               dns_type_text(record->type));
        break;
    case PUBLISH_WRONG:
        finding = findings_add(findings, judgement->severity, judgement->check,
                               BYTES_FMT " has %s " BYTES_FMT, BYTES_ARG(record->name),
                               dns_type_text(record->type),
                               BYTES_ARG(bytes_first(record->present, SHOWN_LIMIT)));
        break;
    case PUBLISH_UNKNOWN:
        finding = findings_add(findings, FINDING_UNKNOWN, judgement->check,
                               BYTES_FMT ": no answer from DNS", BYTES_ARG(record->name));
        finding_set_why(finding, judgement->why);
        return finding;
    }
    finding_set_why(finding, judgement->why);
    set_record(findings, finding, record);
    return finding;
}

/* ---- the host ---------------------------------------------------------------------------- */

static const struct judgement ADDRESS = {
    "address", "leads to the addresses that we send from",
    "Receivers look up the name we say in HELO, and do not trust one that leads elsewhere.",
    FINDING_ERROR};
static const struct judgement HELO_SPF = {
    "helo-spf", "lets each of our addresses send",
    "Bounces have no sender, so that SPF is asked about the name in HELO.", FINDING_WARNING};
static const char WHY_REVERSE[] =
    "Big providers refuse mail from addresses whose name does not lead back to them.";

static void say_unknown(struct findings *findings, const char *check, const char *why)
{
    struct finding *finding =
        findings_add(findings, FINDING_UNKNOWN, check,
                     "under which address the world sees this host cannot be known from here");

    finding_set_why(finding, why);
    finding_set_fix(findings, finding, FINDING_RUN, bytes_from_text(HOW_TO_SAY));
}

static const char *reverse_trouble(const struct reverse_name_verdict *verdict)
{
    if (verdict->result == AUTH_FAIL) {
        return "has a name that leads elsewhere";
    }
    return strcmp(verdict->why, "no-address") == 0 ? "has a name that leads nowhere"
                                                   : "has no reverse name";
}

static void add_reverse(struct findings *findings, const struct doctor_names *names,
                        const struct ip_address *address,
                        const struct reverse_name_verdict *verdict)
{
    struct ip_text text = ip_address_text(address);
    struct finding *finding;
    struct strbuf line;

    if (verdict->result == AUTH_PASS && bytes_equal_nocase(verdict->name, names->helo)) {
        findings_add(findings, FINDING_OK, "reverse-name", "%s is " BYTES_FMT ", both ways",
                     text.text, BYTES_ARG(names->helo));
        return;
    }
    if (verdict->result == AUTH_PASS) {
        finding =
            findings_add(findings, FINDING_NOTE, "reverse-name",
                         "%s is " BYTES_FMT ", both ways, while we say that we are " BYTES_FMT,
                         text.text, BYTES_ARG(verdict->name), BYTES_ARG(names->helo));
    } else if (verdict->result == AUTH_TEMPERROR) {
        finding = findings_add(findings, FINDING_UNKNOWN, "reverse-name",
                               "%s: no answer from DNS", text.text);
    } else {
        finding = findings_add(findings, FINDING_ERROR, "reverse-name", "%s %s", text.text,
                               reverse_trouble(verdict));
    }
    finding_set_why(finding, WHY_REVERSE);
    if (verdict->result != AUTH_TEMPERROR) {
        strbuf_init(&line, LINE_LIMIT);
        dns_reverse_name_add(&line, address);
        strbuf_addf(&line,
                    ". IN PTR " BYTES_FMT ".\n(whoever gave you the address publishes it)",
                    BYTES_ARG(names->helo));
        finding_set_fix(findings, finding, FINDING_PUBLISH, strbuf_bytes(&line));
        strbuf_clear(&line);
    }
}

static enum auth_status check_reverse(const struct doctor_names *names, struct dns_facts *facts,
                                      struct findings *findings)
{
    enum auth_status status = AUTH_DONE;

    for (size_t i = 0; i < names->sending_count; i++) {
        struct reverse_name_verdict verdict;

        status = both(reverse_name_check(&names->sending[i], facts, findings->arena, &verdict),
                      status);
        add_reverse(findings, names, &names->sending[i], &verdict);
    }
    return status;
}

static void judge_addresses(struct findings *findings, const struct publish_list *list)
{
    size_t wrong = 0, count = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (list->records[i].kind != PUBLISH_HOST_ADDRESS) {
            continue;
        }
        count++;
        if (list->records[i].state != PUBLISH_RIGHT) {
            wrong++;
            judge_record(findings, &list->records[i], &ADDRESS);
        }
    }
    if (wrong == 0 && count > 0) {
        judge_record(findings, find_record(list, PUBLISH_HOST_ADDRESS), &ADDRESS);
    }
}

enum auth_status doctor_dns_host(const struct doctor_names *names, struct dns_facts *facts,
                                 struct findings *findings)
{
    const struct publish_host host = {.hostname = names->helo,
                                      .addresses = names->sending,
                                      .address_count = names->sending_count};
    struct findings before = *findings;
    struct publish_list list;
    enum auth_status status;

    if (names->sending_count == 0) {
        say_unknown(findings, "address", WHY_REVERSE);
        return AUTH_DONE;
    }
    status = publish_records(&host, facts, findings->arena, &list);
    judge_addresses(findings, &list);
    status = both(check_reverse(names, facts, findings), status);
    judge_record(findings, find_record(&list, PUBLISH_HOST_SPF), &HELO_SPF);
    return finish(findings, &before, status);
}

/* ---- SPF of an SRS domain ---------------------------------------------------------------- */

static const struct judgement RETURN_SPF = {"srs-spf", "lets each of our addresses send",
                                            "Forwarded mail leaves with senders of this "
                                            "domain: without SPF pass it is refused as forged.",
                                            FINDING_ERROR};

static bool lets_everybody(struct bytes record)
{
    struct bytes rest = record;

    while (rest.len > 0) {
        struct bytes term = bytes_cut(&rest, ' ');

        if (bytes_equal_nocase(term, BYTES("all")) || bytes_equal_nocase(term, BYTES("+all"))) {
            return true;
        }
    }
    return false;
}

/* One that lets everybody send passes for us, too. */
static void judge_open_spf(struct findings *findings, struct bytes domain,
                           const struct dns_answer *answer)
{
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        struct finding *finding;

        if (record->type != DNS_TYPE_TXT || !spf_record_is_spf(record->text) ||
            !lets_everybody(record->text)) {
            continue;
        }
        finding = findings_add(findings, FINDING_WARNING, "srs-spf",
                               BYTES_FMT " lets everybody send: " BYTES_FMT, BYTES_ARG(domain),
                               BYTES_ARG(bytes_first(record->text, SHOWN_LIMIT)));
        finding_set_why(finding, "Whoever likes can send as one of our SRS addresses.");
        finding_set_fix(findings, finding, FINDING_DO,
                        BYTES("let the record end in -all instead"));
    }
}

static enum auth_status judge_return_spf(const struct doctor_names *names, struct bytes domain,
                                         struct dns_facts *facts, struct findings *findings)
{
    const struct publish_host host = {.hostname =
                                          domain, /* its SPF is asked about as a host's is */
                                      .addresses = names->sending,
                                      .address_count = names->sending_count};
    struct publish_list list;
    enum auth_status status;

    if (names->sending_count == 0) {
        say_unknown(findings, "srs-spf", RETURN_SPF.why);
        return AUTH_DONE;
    }
    status = publish_records(&host, facts, findings->arena, &list);
    judge_record(findings, find_record(&list, PUBLISH_HOST_SPF), &RETURN_SPF);
    judge_open_spf(findings, domain, dns_facts_get(facts, domain, DNS_TYPE_TXT));
    return status;
}

enum auth_status doctor_dns_return(const struct doctor_names *names, struct bytes domain,
                                   struct dns_facts *facts, struct findings *findings)
{
    struct findings before = *findings;
    enum auth_status status = doctor_mx_check(names, domain, DOCTOR_MX_RETURN, facts, findings);

    status = both(judge_return_spf(names, domain, facts, findings), status);
    return finish(findings, &before, status);
}

/* ---- DMARC ------------------------------------------------------------------------------- */

static const char WHY_DMARC[] =
    "Without it anybody can write mail as this domain, and big providers want one.";

static void suggest_dmarc(struct findings *findings, struct finding *finding,
                          struct bytes domain)
{
    finding_set_why(finding, WHY_DMARC);
    finding_set_fixf(findings, finding, FINDING_PUBLISH,
                     "_dmarc." BYTES_FMT
                     ". IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@" BYTES_FMT "\"",
                     BYTES_ARG(domain), BYTES_ARG(domain));
}

static void judge_policy(struct findings *findings, struct bytes domain,
                         const struct dmarc_record *record)
{
    struct finding *finding;

    if (!record->has_policy) {
        finding = findings_add(findings, FINDING_WARNING, "dmarc",
                               "the record of " BYTES_FMT " asks for nothing that can be read",
                               BYTES_ARG(domain));
        suggest_dmarc(findings, finding, domain);
    } else if (record->own == DMARC_POLICY_NONE) {
        finding = findings_add(findings, FINDING_NOTE, "dmarc", BYTES_FMT " has p=none",
                               BYTES_ARG(domain));
        finding_set_why(
            finding,
            "p=none only asks for reports: mail that forges this domain is not refused.");
    } else {
        findings_add(findings, FINDING_OK, "dmarc", BYTES_FMT " has p=%s%s", BYTES_ARG(domain),
                     dmarc_policy_text(record->own),
                     record->is_testing ? " (t=y: only a test)" : "");
    }
}

/* No record of its own: that of a domain above it, or none. */
static enum auth_status judge_inherited(struct bytes domain, struct dns_facts *facts,
                                        struct findings *findings)
{
    const struct dmarc_input input = {.authors = &domain, .author_count = 1};
    struct dmarc_verdict verdict;
    enum auth_status status = dmarc_check(&input, facts, findings->arena, &verdict);

    if (verdict.record_domain.len > 0) {
        findings_add(findings,
                     verdict.published == DMARC_POLICY_NONE ? FINDING_NOTE : FINDING_OK,
                     "dmarc", BYTES_FMT " has p=%s from " BYTES_FMT, BYTES_ARG(domain),
                     dmarc_policy_text(verdict.published), BYTES_ARG(verdict.record_domain));
    } else if (verdict.result == AUTH_TEMPERROR) {
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "dmarc",
                                     BYTES_FMT ": no answer from DNS", BYTES_ARG(domain)),
                        WHY_DMARC);
    } else {
        suggest_dmarc(findings,
                      findings_add(findings, FINDING_WARNING, "dmarc",
                                   BYTES_FMT " has no DMARC record", BYTES_ARG(domain)),
                      domain);
    }
    return status;
}

static enum auth_status judge_dmarc(struct bytes domain, struct dns_facts *facts,
                                    struct findings *findings)
{
    struct dmarc_record record, last = {.has_policy = false};
    const struct dns_answer *answer;
    struct strbuf name;
    size_t count = 0;

    strbuf_init(&name, NAME_LIMIT);
    strbuf_addf(&name, "_dmarc." BYTES_FMT, BYTES_ARG(domain));
    answer = dns_facts_get(facts, strbuf_bytes(&name), DNS_TYPE_TXT);
    strbuf_clear(&name);
    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->records[i].type == DNS_TYPE_TXT &&
            dmarc_record_parse(answer->records[i].text, &record)) {
            last = record;
            count++;
        }
    }
    if (count > 1) {
        struct finding *finding =
            findings_add(findings, FINDING_ERROR, "dmarc", BYTES_FMT " has %zu DMARC records",
                         BYTES_ARG(domain), count);
        finding_set_why(finding, "Several records count as none.");
        finding_set_fix(findings, finding, FINDING_DO, BYTES("remove all but one"));
        return AUTH_DONE;
    }
    if (count == 1) {
        judge_policy(findings, domain, &last);
        return AUTH_DONE;
    }
    return judge_inherited(domain, facts, findings);
}

enum auth_status doctor_dns_domain(const struct doctor_names *names, struct bytes domain,
                                   struct dns_facts *facts, struct findings *findings)
{
    struct findings before = *findings;
    enum auth_status status = doctor_mx_check(names, domain, DOCTOR_MX_DOMAIN, facts, findings);

    status = both(judge_dmarc(domain, facts, findings), status);
    return finish(findings, &before, status);
}

/* ---- keys -------------------------------------------------------------------------------- */

static const char WHY_KEY[] =
    "What we sign with this key cannot be verified, or fails, wherever it goes.";

/* NULL: it is there as it should be. */
static const char *key_trouble(enum key_publication publication, size_t count)
{
    switch (publication) {
    case KEY_PUBLISHED:
        return count > 1 ? "has our key, but other TXT records beside it" : NULL;
    case KEY_NOT_A_RECORD:
        return "has something that is no key record";
    case KEY_REVOKED:
        return "says that this key is revoked (p= is empty)";
    case KEY_OTHER:
        return "has another key";
    case KEY_RESTRICTED:
        return "has our key, but its k=, h= or s= keeps it from signing mail";
    }
    return "";
}

/* Of several records the one that is most like ours says what is the matter. */
static size_t best_key(const struct publish_key *key, const struct dns_answer *answer,
                       enum key_publication *best)
{
    size_t count = 0;

    *best = KEY_NOT_A_RECORD;
    for (size_t i = 0; i < answer->count; i++) {
        enum key_publication found;

        if (answer->records[i].type != DNS_TYPE_TXT) {
            continue;
        }
        found = signing_key_compare(key->key, answer->records[i].text);
        if (count++ == 0 || found == KEY_PUBLISHED || *best == KEY_NOT_A_RECORD) {
            *best = found;
        }
    }
    return count;
}

static void judge_key(struct findings *findings, const struct publish_key *key,
                      struct bytes name, const struct dns_answer *answer)
{
    enum key_publication best;
    size_t count = best_key(key, answer, &best);
    const char *trouble = count == 0 ? "is not in DNS" : key_trouble(best, count);
    struct finding *finding;
    struct strbuf line;

    if (answer->status == DNS_TEMPFAIL) {
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "key",
                                     BYTES_FMT ": no answer from DNS", BYTES_ARG(name)),
                        WHY_KEY);
        return;
    }
    if (trouble == NULL) {
        findings_add(findings, FINDING_OK, "key", BYTES_FMT " is our %s key", BYTES_ARG(name),
                     signing_algorithm_text(signing_key_algorithm(key->key)));
        return;
    }
    finding = findings_add(
        findings, count == 0 || best == KEY_PUBLISHED ? FINDING_WARNING : FINDING_ERROR, "key",
        BYTES_FMT " %s", BYTES_ARG(name), trouble);
    finding_set_why(finding, WHY_KEY);
    if (best == KEY_REVOKED && count > 0) { /* somebody had a reason */
        finding_set_fixf(findings, finding, FINDING_RUN,
                         "postilion key make NEW-SELECTOR --domain " BYTES_FMT
                         " --out FILE\n(then publish it, name it in seal "
                         "{ }, and reload)",
                         BYTES_ARG(key->domain));
        return;
    }
    strbuf_init(&line, LINE_LIMIT);
    signing_key_add_zone_line(key->key, key->selector, key->domain, &line);
    strbuf_add_text(&line, count > 0 ? "\n(in the place of what stands there)" : "");
    finding_set_fix(findings, finding, FINDING_PUBLISH, strbuf_bytes(&line));
    strbuf_clear(&line);
}

enum auth_status doctor_dns_key(const struct publish_key *key, struct dns_facts *facts,
                                struct findings *findings)
{
    const struct dns_answer *answer;
    struct strbuf name;

    strbuf_init(&name, NAME_LIMIT);
    strbuf_addf(&name, BYTES_FMT "._domainkey." BYTES_FMT, BYTES_ARG(key->selector),
                BYTES_ARG(key->domain));
    answer = dns_facts_get(facts, strbuf_bytes(&name), DNS_TYPE_TXT);
    if (answer != NULL) {
        judge_key(findings, key, strbuf_bytes(&name), answer);
    }
    strbuf_clear(&name);
    return answer == NULL ? AUTH_NEEDS_DNS : AUTH_DONE;
}

/* ---- names for certificates -------------------------------------------------------------- */

size_t doctor_dns_own_hosts(const struct doctor_names *names, struct bytes domain,
                            struct dns_facts *facts, struct arena *arena, struct bytes *hosts,
                            size_t limit)
{
    const struct dns_answer *answer = dns_facts_get(facts, domain, DNS_TYPE_MX);
    size_t count = 0;

    for (size_t i = 0; answer != NULL && i < answer->count && i < MX_HOSTS && count < limit;
         i++) {
        const struct dns_record *record = &answer->records[i];

        if (record->type == DNS_TYPE_MX && doctor_mx_is_ours(names, record->mx.host, facts)) {
            hosts[count++] = arena_copy(arena, record->mx.host);
        }
    }
    return count;
}
