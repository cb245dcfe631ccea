/*
 * One author after the other, and for each:
 *
 *   1 ask_ahead        everything that may be needed, so that one round answers it
 *   2 find_record      the author's own record, or that of the organization or suffix above
 *   3 find_alignment   a proven name that belongs to the author
 *   4 conclude         pass, fail with a policy, or what stood in the way
 */
#include "auth/dmarc_check.h"

#include "auth/idn_domain.h"

enum { WALK_LABELS = 8 }; /* queries of one walk; longer names jump (RFC 9989 §4.10) */

static const char record_prefix[] = "_dmarc.";

enum lookup { LOOKUP_FOUND, LOOKUP_NOTHING, LOOKUP_UNKNOWN, LOOKUP_FAILED };

struct candidate {
    enum dmarc_method method;
    enum auth_result result;
    struct bytes domain; /* A-labels; empty: no domain */
};

struct check {
    struct dns_facts *facts;
    struct arena *arena;
    struct candidate *candidates;
    size_t candidate_count;
};

/* The records on the way up from a name. */
struct walk {
    enum lookup state; /* FOUND: read to its end */
    struct dmarc_record records[WALK_LABELS];
    struct bytes names[WALK_LABELS];
    size_t count;
    struct bytes organization;
};

/* What is known of one author. */
struct judgement {
    struct check *check;
    struct bytes author;
    struct walk walk; /* from the author up; state UNKNOWN until it is walked */
    struct dmarc_record record;
    bool is_own_record; /* it stands at the author domain itself */
    size_t walks;
    struct dmarc_verdict *verdict;
};

/* ---- names ------------------------------------------------------------------------------- */

static size_t count_labels(struct bytes name)
{
    size_t labels = name.len != 0;

    for (size_t i = 0; i < name.len; i++) {
        labels += name.data[i] == '.';
    }
    return labels;
}

static struct bytes last_labels(struct bytes name, size_t labels)
{
    for (size_t have = count_labels(name); have > labels; have--) {
        (void)bytes_cut(&name, '.');
    }
    return name;
}

/* Shared organizations have at least two labels, so names without two in common have none. */
static bool may_share_organization(struct bytes a, struct bytes b)
{
    return count_labels(a) > 1 && count_labels(b) > 1 &&
           bytes_equal(last_labels(a, 2), last_labels(b, 2));
}

static size_t list_walk(struct bytes start, struct bytes names[WALK_LABELS])
{
    size_t labels = count_labels(start);
    size_t count = 0;

    names[count++] = start;
    for (labels = labels > WALK_LABELS ? WALK_LABELS - 1 : labels - 1; labels > 0; labels--) {
        names[count++] = last_labels(start, labels);
    }
    return count;
}

/* ---- DNS --------------------------------------------------------------------------------- */

static const struct dns_answer *ask_record(const struct check *check, struct bytes name)
{
    char text[sizeof record_prefix + DNS_NAME_LIMIT];
    size_t prefix = sizeof record_prefix - 1;

    memcpy(text, record_prefix, prefix);
    memcpy(text + prefix, name.data, name.len);
    return dns_facts_get(check->facts, bytes_of(text, prefix + name.len), DNS_TYPE_TXT);
}

static void ask_walk(const struct check *check, struct bytes start)
{
    struct bytes names[WALK_LABELS];
    size_t count = list_walk(start, names);

    for (size_t i = 0; i < count; i++) {
        (void)ask_record(check, names[i]);
    }
}

/* Records of something else do not count; several DMARC records count as none. */
static enum lookup find_record_at(const struct check *check, struct bytes name,
                                  struct dmarc_record *record)
{
    const struct dns_answer *answer = ask_record(check, name);
    struct dmarc_record candidate;
    size_t found = 0;

    if (answer == NULL) {
        return LOOKUP_UNKNOWN;
    }
    if (answer->status == DNS_TEMPFAIL) {
        return LOOKUP_FAILED;
    }
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++) {
        if (answer->records[i].type == DNS_TYPE_TXT &&
            dmarc_record_parse(answer->records[i].text, &candidate)) {
            *record = candidate;
            found++;
        }
    }
    if (found != 1) {
        return LOOKUP_NOTHING;
    }
    if (count_labels(name) == 1) {
        record->psd = DMARC_PSD_YES; /* whatever it says: nobody's organization */
    }
    return LOOKUP_FOUND;
}

/* Only the last record can carry psd=y or psd=n, because the walk ends there. */
static struct bytes organization_of(const struct walk *walk, struct bytes start)
{
    struct bytes last;

    if (walk->count == 0) {
        return start;
    }
    last = walk->names[walk->count - 1];
    if (walk->records[walk->count - 1].psd == DMARC_PSD_YES) {
        return last_labels(start, count_labels(last) + 1); /* the suffix itself: as it is */
    }
    return last;
}

static enum lookup walk_up(const struct check *check, struct bytes start, struct walk *walk)
{
    struct bytes names[WALK_LABELS];
    size_t count = list_walk(start, names);

    walk->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct dmarc_record *record = &walk->records[walk->count];

        walk->state = find_record_at(check, names[i], record);
        if (walk->state == LOOKUP_UNKNOWN) {
            ask_walk(check, start);
            return walk->state;
        }
        if (walk->state == LOOKUP_FAILED) {
            return walk->state;
        }
        if (walk->state == LOOKUP_FOUND) {
            walk->names[walk->count++] = names[i];
            if (record->psd != DMARC_PSD_UNKNOWN) {
                break;
            }
        }
    }
    walk->organization = organization_of(walk, start);
    walk->state = LOOKUP_FOUND;
    return walk->state;
}

static bool is_proven_by_name(const struct judgement *judgement, enum dmarc_method method)
{
    const struct check *check = judgement->check;

    for (size_t i = 0; i < check->candidate_count; i++) {
        const struct candidate *candidate = &check->candidates[i];

        if (candidate->method == method && candidate->result == AUTH_PASS &&
            bytes_equal(candidate->domain, judgement->author)) {
            return true;
        }
    }
    return false;
}

/* A signature of the author's own domain needs the author's own record and no more. */
static void ask_ahead(struct judgement *judgement)
{
    const struct check *check = judgement->check;
    size_t walks = 0;

    if (is_proven_by_name(judgement, DMARC_BY_DKIM)) {
        (void)ask_record(check, judgement->author);
        return;
    }
    ask_walk(check, judgement->author);
    for (size_t i = 0; i < check->candidate_count && walks < DMARC_WALK_LIMIT; i++) {
        struct bytes domain = check->candidates[i].domain;

        if (!bytes_equal(domain, judgement->author) &&
            may_share_organization(domain, judgement->author)) {
            ask_walk(check, domain);
            walks++;
        }
    }
}

/* ---- the policy record (RFC 9989 §4.10.1) ------------------------------------------------ */

static enum lookup find_record(struct judgement *judgement)
{
    struct dmarc_verdict *verdict = judgement->verdict;
    struct walk *walk = &judgement->walk;
    enum lookup state = find_record_at(judgement->check, judgement->author, &judgement->record);
    size_t chosen;

    if (state == LOOKUP_FOUND) {
        judgement->is_own_record = true;
        verdict->record_domain = judgement->author;
        return state;
    }
    if (state != LOOKUP_NOTHING) {
        return state;
    }
    state = walk_up(judgement->check, judgement->author, walk);
    if (state != LOOKUP_FOUND) {
        return state;
    }
    if (walk->count == 0) {
        return LOOKUP_NOTHING;
    }
    chosen = walk->count - 1; /* the suffix's, unless the organization has one */
    for (size_t i = 0; i < walk->count; i++) {
        if (bytes_equal(walk->names[i], walk->organization)) {
            chosen = i;
        }
    }
    judgement->record = walk->records[chosen];
    verdict->record_domain = walk->names[chosen];
    return LOOKUP_FOUND;
}

/* Only NXDOMAIN for the name itself says that it does not exist; one at the far end of a CNAME
 * is about another name (RFC 8020 §2). */
static enum lookup find_existence(const struct judgement *judgement, bool *exists)
{
    const struct dns_answer *answer =
        dns_facts_get(judgement->check->facts, judgement->author, DNS_TYPE_A);

    *exists = true;
    if (answer == NULL) {
        return LOOKUP_UNKNOWN;
    }
    if (answer->status == DNS_TEMPFAIL) {
        return LOOKUP_FAILED;
    }
    *exists = answer->status != DNS_NXDOMAIN ||
              (answer->owner.len != 0 && !bytes_equal(answer->owner, judgement->author));
    return LOOKUP_FOUND;
}

static enum lookup find_published(const struct judgement *judgement, enum dmarc_policy *policy)
{
    const struct dmarc_record *record = &judgement->record;
    enum lookup state;
    bool exists;

    *policy = judgement->is_own_record ? record->own : record->below;
    if (judgement->is_own_record || record->below == record->nowhere) {
        return LOOKUP_FOUND;
    }
    state = find_existence(judgement, &exists);
    if (!exists || (state == LOOKUP_FAILED && record->nowhere > record->below)) {
        *policy = record->nowhere;
    }
    return state;
}

static enum dmarc_policy to_apply(enum dmarc_policy published, bool is_testing)
{
    switch (published) {
    case DMARC_POLICY_NONE:
        return DMARC_POLICY_NONE;
    case DMARC_POLICY_QUARANTINE:
        return is_testing ? DMARC_POLICY_NONE : DMARC_POLICY_QUARANTINE;
    case DMARC_POLICY_REJECT:
        return is_testing ? DMARC_POLICY_QUARANTINE : DMARC_POLICY_REJECT;
    }
    return published;
}

/* ---- alignment (RFC 9989 §4.4, §4.10.2) -------------------------------------------------- */

static enum lookup share_organization(struct judgement *judgement, struct bytes domain)
{
    struct walk walk;

    if (!may_share_organization(domain, judgement->author) ||
        judgement->walks == DMARC_WALK_LIMIT) {
        return LOOKUP_NOTHING;
    }
    judgement->walks++;
    if (judgement->walk.state == LOOKUP_UNKNOWN) {
        (void)walk_up(judgement->check, judgement->author, &judgement->walk);
    }
    (void)walk_up(judgement->check, domain, &walk);
    if (judgement->walk.state != LOOKUP_FOUND) {
        return judgement->walk.state;
    }
    if (walk.state != LOOKUP_FOUND) {
        return walk.state;
    }
    return bytes_equal(walk.organization, judgement->walk.organization) ? LOOKUP_FOUND
                                                                        : LOOKUP_NOTHING;
}

static enum lookup is_aligned(struct judgement *judgement, const struct candidate *candidate)
{
    bool is_strict = candidate->method == DMARC_BY_DKIM ? judgement->record.is_strict_dkim
                                                        : judgement->record.is_strict_spf;

    if (bytes_equal(candidate->domain, judgement->author)) {
        return LOOKUP_FOUND;
    }
    /* Without a record in sight an author is an organization of its own. */
    if (is_strict || judgement->verdict->record_domain.len == 0) {
        return LOOKUP_NOTHING;
    }
    return share_organization(judgement, candidate->domain);
}

/* The first aligned name among those of one method with one result. */
static enum lookup find_aligned(struct judgement *judgement, enum dmarc_method method,
                                enum auth_result result)
{
    const struct check *check = judgement->check;

    for (size_t i = 0; i < check->candidate_count; i++) {
        const struct candidate *candidate = &check->candidates[i];
        enum lookup state;

        if (candidate->method != method || candidate->result != result) {
            continue;
        }
        state = is_aligned(judgement, candidate);
        if (state == LOOKUP_FOUND && result == AUTH_PASS) {
            judgement->verdict->aligned_by = method;
            judgement->verdict->aligned_domain = candidate->domain;
        }
        if (state == LOOKUP_FOUND || state == LOOKUP_UNKNOWN) {
            return state;
        }
        judgement->verdict->is_unsettled |= state == LOOKUP_FAILED;
    }
    return LOOKUP_NOTHING;
}

/* DKIM first: it is what will still hold at the next hop. Then what may prove the author when
 * it is asked for again. */
static enum lookup find_alignment(struct judgement *judgement)
{
    static const enum dmarc_method methods[] = {DMARC_BY_DKIM, DMARC_BY_SPF};
    enum lookup state = LOOKUP_NOTHING;

    for (size_t i = 0; i < 2 && state == LOOKUP_NOTHING; i++) {
        state = find_aligned(judgement, methods[i], AUTH_PASS);
    }
    for (size_t i = 0; i < 2 && state == LOOKUP_NOTHING; i++) {
        enum lookup later = find_aligned(judgement, methods[i], AUTH_TEMPERROR);

        judgement->verdict->is_unsettled |= later == LOOKUP_FOUND;
        if (later == LOOKUP_UNKNOWN) {
            state = later;
        }
    }
    return state;
}

/* ---- the verdict ------------------------------------------------------------------------- */

static void state_verdict(struct dmarc_verdict *verdict, enum auth_result result,
                          enum dmarc_policy policy, const char *why)
{
    verdict->result = result;
    verdict->policy = policy;
    verdict->why = why;
}

/* The record cannot be had now. With a name that equals the author's it could only say pass. */
static void conclude_without_record(struct judgement *judgement)
{
    (void)find_alignment(judgement);
    state_verdict(judgement->verdict, AUTH_TEMPERROR,
                  judgement->verdict->aligned_by != DMARC_BY_NOTHING ? DMARC_POLICY_NONE
                                                                     : DMARC_POLICY_REJECT,
                  "record-lookup");
}

static enum auth_status conclude_failure(struct judgement *judgement)
{
    struct dmarc_verdict *verdict = judgement->verdict;
    enum lookup state = find_published(judgement, &verdict->published);
    enum dmarc_policy policy = to_apply(verdict->published, verdict->is_testing);

    switch (state) {
    case LOOKUP_UNKNOWN:
        return AUTH_NEEDS_DNS;
    case LOOKUP_FAILED:
        state_verdict(verdict, AUTH_TEMPERROR, policy, "existence-lookup");
        return AUTH_DONE;
    case LOOKUP_FOUND:
    case LOOKUP_NOTHING:
        break;
    }
    if (verdict->is_unsettled) {
        state_verdict(verdict, AUTH_TEMPERROR, policy, "alignment-unsettled");
    } else {
        state_verdict(verdict, AUTH_FAIL, policy, "not-aligned");
    }
    return AUTH_DONE;
}

static enum auth_status conclude(struct judgement *judgement)
{
    struct dmarc_verdict *verdict = judgement->verdict;

    verdict->is_testing = judgement->record.is_testing;
    verdict->published =
        judgement->is_own_record ? judgement->record.own : judgement->record.below;
    if (find_alignment(judgement) == LOOKUP_UNKNOWN) {
        return AUTH_NEEDS_DNS;
    }
    if (!judgement->record.has_policy) {
        state_verdict(verdict, AUTH_NONE, DMARC_POLICY_NONE, "no-usable-policy");
        return AUTH_DONE;
    }
    if (verdict->aligned_by != DMARC_BY_NOTHING) {
        state_verdict(verdict, AUTH_PASS, DMARC_POLICY_NONE, "aligned");
        return AUTH_DONE;
    }
    return conclude_failure(judgement);
}

static enum auth_status judge_author(struct check *check, struct bytes author,
                                     struct dmarc_verdict *verdict)
{
    struct judgement judgement = {.check = check, .verdict = verdict};

    *verdict = (struct dmarc_verdict){.result = AUTH_NONE};
    if (!idn_domain_to_ascii(author, check->arena, &judgement.author)) {
        verdict->author = arena_copy(check->arena, author);
        state_verdict(verdict, AUTH_PERMERROR, DMARC_POLICY_REJECT, "bad-author-domain");
        return AUTH_DONE;
    }
    verdict->author = judgement.author;
    judgement.walk.state = LOOKUP_UNKNOWN;
    ask_ahead(&judgement);
    switch (find_record(&judgement)) {
    case LOOKUP_UNKNOWN:
        return AUTH_NEEDS_DNS;
    case LOOKUP_FAILED:
        conclude_without_record(&judgement);
        return AUTH_DONE;
    case LOOKUP_NOTHING:
        (void)find_alignment(&judgement);
        state_verdict(verdict, AUTH_NONE, DMARC_POLICY_NONE, "no-record");
        return AUTH_DONE;
    case LOOKUP_FOUND:
        break;
    }
    return conclude(&judgement);
}

/* What counts more, when authors differ: a stranger's own pass never covers a second name. */
static unsigned weight(const struct dmarc_verdict *verdict)
{
    switch (verdict->result) {
    case AUTH_FAIL:
        return verdict->policy == DMARC_POLICY_REJECT       ? 7
               : verdict->policy == DMARC_POLICY_QUARANTINE ? 5
                                                            : 3;
    case AUTH_TEMPERROR:
        return verdict->policy == DMARC_POLICY_NONE ? 2 : 6;
    case AUTH_PERMERROR:
        return 8;
    case AUTH_NONE:
        return 1;
    case AUTH_PASS:
    case AUTH_SOFTFAIL:
    case AUTH_NEUTRAL:
    case AUTH_POLICY:
        return 0;
    }
    return 0;
}

static void take_candidates(struct check *check, const struct dmarc_input *input)
{
    check->candidates =
        arena_alloc(check->arena, input->identifier_count * sizeof *check->candidates + 1);
    for (size_t i = 0; i < input->identifier_count; i++) {
        const struct dmarc_identifier *identifier = &input->identifiers[i];
        struct candidate *candidate = &check->candidates[check->candidate_count];

        if ((identifier->result == AUTH_PASS || identifier->result == AUTH_TEMPERROR) &&
            idn_domain_to_ascii(identifier->domain, check->arena, &candidate->domain)) {
            candidate->method = identifier->method;
            candidate->result = identifier->result;
            check->candidate_count++;
        }
    }
}

enum auth_status dmarc_check(const struct dmarc_input *input, struct dns_facts *facts,
                             struct arena *arena, struct dmarc_verdict *verdict)
{
    struct check check = {.facts = facts, .arena = arena};
    enum auth_status status = AUTH_DONE;
    bool is_proven = input->author_count != 0, is_hopeless = false, is_unsettled = false;

    *verdict = (struct dmarc_verdict){.result = AUTH_NONE, .why = "no-author"};
    if (input->author_count > DMARC_AUTHOR_LIMIT) {
        state_verdict(verdict, AUTH_PERMERROR, DMARC_POLICY_REJECT, "too-many-authors");
        return AUTH_DONE;
    }
    take_candidates(&check, input);
    for (size_t i = 0; i < input->author_count; i++) {
        struct dmarc_verdict one;

        if (judge_author(&check, input->authors[i], &one) == AUTH_NEEDS_DNS) {
            status = AUTH_NEEDS_DNS; /* go on: the others' questions go out with these */
        }
        if (one.aligned_by == DMARC_BY_NOTHING) {
            is_proven = false;
            is_unsettled |= one.is_unsettled || one.result == AUTH_TEMPERROR;
            is_hopeless |= !one.is_unsettled && one.result != AUTH_TEMPERROR;
        }
        if (i == 0 || weight(&one) > weight(verdict)) {
            *verdict = one;
        }
    }
    if (status == AUTH_NEEDS_DNS) {
        *verdict = (struct dmarc_verdict){
            .result = AUTH_TEMPERROR, .policy = DMARC_POLICY_REJECT, .why = "needs-dns"};
        return status;
    }
    verdict->is_every_author_proven = is_proven;
    verdict->is_unsettled = is_unsettled && !is_hopeless;
    return status;
}
