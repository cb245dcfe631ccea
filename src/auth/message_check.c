#include "auth/message_check.h"

#include "base/memory.h"
#include "mail/header_block.h"

#include <stdlib.h>

struct message_checker {
    struct spf_checker *spf;
    struct dkim_library *dkim;
    struct dkim_key_cache *arc_keys;
};

struct message_check {
    struct message_checker *checker;
    struct spf_identity identity;
    struct dns_facts *dns;
    struct arena *arena;
    struct dkim_verifier *verifier; /* from the header on, or NULL */
    struct arc_verifier *chain;     /* the same */
    struct message_forwarding forwarding;
    struct bytes header; /* borrowed */
    bool has_ended;
    bool is_client_late; /* and not told yet */
    /* What has its last word is not asked again. */
    bool has_iprev, has_spf_helo, has_spf_mail_from, has_dkim, has_arc;
    struct message_verdicts verdicts;
};

struct message_checker *message_checker_new(void)
{
    struct message_checker *checker = memory_zero(sizeof *checker);

    checker->spf = spf_checker_new();
    checker->dkim = dkim_library_new();
    checker->arc_keys = dkim_key_cache_new();
    return checker;
}

void message_checker_free(struct message_checker **checker)
{
    if (*checker != NULL) {
        spf_checker_free(&(*checker)->spf);
        dkim_library_free(&(*checker)->dkim);
        dkim_key_cache_free(&(*checker)->arc_keys);
        free(*checker);
        *checker = NULL;
    }
}

struct message_check *message_check_new(struct message_checker *checker,
                                        const struct message_check_facts *facts)
{
    struct message_check *check = memory_zero(sizeof *check);

    check->checker = checker;
    check->identity = (struct spf_identity){
        .client = facts->client,
        .helo = facts->helo,
        .sender = facts->sender,
        .receiver = facts->receiver,
        .unix_seconds = facts->unix_seconds,
    };
    check->is_client_late = facts->is_client_late;
    check->dns = dns_facts_new();
    check->arena = arena_new();
    check->verdicts.iprev.result = AUTH_TEMPERROR;
    check->verdicts.spf_helo.result = AUTH_TEMPERROR;
    check->verdicts.spf_mail_from.result = AUTH_TEMPERROR;
    check->verdicts.arc.result = AUTH_TEMPERROR;
    check->verdicts.dmarc.result = AUTH_TEMPERROR;
    check->verdicts.forwarded.result = AUTH_TEMPERROR;
    return check;
}

void message_check_free(struct message_check **check)
{
    if (*check != NULL) {
        dkim_verifier_free(&(*check)->verifier);
        arc_verifier_free(&(*check)->chain);
        dns_facts_free(&(*check)->dns);
        arena_free(&(*check)->arena);
        free(*check);
        *check = NULL;
    }
}

void message_check_client(struct message_check *check, const struct ip_address *client,
                          struct bytes helo)
{
    struct message_verdicts *verdicts = &check->verdicts;
    static const char why[] = "the relay does not say who its client is";

    check->is_client_late = false;
    if (client != NULL) {
        check->identity.client = *client;
        check->identity.helo = helo;
        return;
    }
    verdicts->iprev = (struct reverse_name_verdict){.result = AUTH_NONE, .why = why};
    verdicts->spf_helo = (struct spf_verdict){.result = AUTH_NONE, .why = why};
    verdicts->spf_mail_from = verdicts->spf_helo;
    verdicts->spf_mail_from.domain = check->identity.sender.domain;
    check->has_iprev = check->has_spf_helo = check->has_spf_mail_from = true;
}

void message_check_header(struct message_check *check, struct bytes header)
{
    check->header = header;
    from_domains_read(header, check->arena, &check->verdicts.from);
    check->verifier = dkim_verifier_new(check->checker->dkim, check->identity.unix_seconds);
    dkim_verifier_header(check->verifier, header, check->dns);
    check->chain = arc_verifier_new(check->checker->arc_keys, check->identity.unix_seconds);
    arc_verifier_header(check->chain, header, check->dns);
}

void message_check_body(struct message_check *check, struct bytes octets)
{
    if (check->verifier != NULL && dkim_verifier_needs_body(check->verifier)) {
        dkim_verifier_body(check->verifier, octets);
    }
    if (check->chain != NULL && arc_verifier_needs_body(check->chain)) {
        arc_verifier_body(check->chain, octets);
    }
}

void message_check_forwarded(struct message_check *check,
                             const struct message_forwarding *forwarding)
{
    check->verdicts.has_forwarded = true;
    check->forwarding = *forwarding;
    check->forwarding.sender_domain = arena_copy(check->arena, forwarding->sender_domain);
    check->forwarding.signature_domain = arena_copy(check->arena, forwarding->signature_domain);
}

void message_check_end(struct message_check *check)
{
    if (check->verifier == NULL) {
        message_check_header(check, BYTES("")); /* an empty message has an empty header */
    }
    check->has_ended = true;
}

static bool step_envelope(struct message_check *check)
{
    struct message_verdicts *verdicts = &check->verdicts;
    struct spf_checker *spf = check->checker->spf;

    if (check->is_client_late) {
        return false;
    }
    check->has_iprev =
        check->has_iprev || reverse_name_check(&check->identity.client, check->dns,
                                               check->arena, &verdicts->iprev) == AUTH_DONE;
    check->has_spf_helo =
        check->has_spf_helo || spf_check(spf, &check->identity, SPF_HELO, check->dns,
                                         check->arena, &verdicts->spf_helo) == AUTH_DONE;
    check->has_spf_mail_from = check->has_spf_mail_from ||
                               spf_check(spf, &check->identity, SPF_MAIL_FROM, check->dns,
                                         check->arena, &verdicts->spf_mail_from) == AUTH_DONE;
    return check->has_iprev && check->has_spf_helo && check->has_spf_mail_from;
}

static size_t times_signed(struct bytes names, struct bytes name)
{
    size_t count = 0;

    while (names.len > 0) {
        count += bytes_equal_nocase(bytes_trim(bytes_cut(&names, ':')), name);
    }
    return count;
}

/* A signature covers the lowest fields of a name; one that names it more often than it is there covers
 * that nothing was put on top (RFC 6376 §5.4.2). A signature does not count itself. */
static bool lasts_under(const struct message_check *check, const struct dkim_verdict *signature,
                        struct bytes name)
{
    size_t times = times_signed(signature->signed_names, name);
    size_t there;

    if (times == 0) {
        return true;
    }
    there = header_block_count(check->header, name) -
            bytes_equal_nocase(name, BYTES("DKIM-Signature"));
    return times <= there && !(check->forwarding.loses_results &&
                               bytes_equal_nocase(name, BYTES("Authentication-Results")));
}

/* Do the fields we put on top of what we send on leave it whole? Asked once for each of ours: h= may
 * name one of them hundreds of times. */
static bool lasts(const struct message_check *check, const struct dkim_verdict *signature)
{
    static const struct {
        struct bytes name;
        enum { ALWAYS, WITH_ARC, WITH_DKIM } when;
    } fields[] = {
        {BYTES("Received"), ALWAYS},
        {BYTES("Received-SPF"), ALWAYS},
        {BYTES("Authentication-Results"), ALWAYS},
        {BYTES("X-Postilion-Loop"), ALWAYS},
        {BYTES("ARC-Seal"), WITH_ARC},
        {BYTES("ARC-Message-Signature"), WITH_ARC},
        {BYTES("ARC-Authentication-Results"), WITH_ARC},
        {BYTES("DKIM-Signature"), WITH_DKIM},
    };
    const struct message_forwarding *forwarding = &check->forwarding;

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        bool is_added = fields[i].when == ALWAYS ||
                        (fields[i].when == WITH_ARC && forwarding->with_arc) ||
                        (fields[i].when == WITH_DKIM && forwarding->signature_domain.len > 0);
        if (is_added && !lasts_under(check, signature, fields[i].name)) {
            return false;
        }
    }
    return true;
}

static bool has_lasting_signatures(const struct message_check *check)
{
    for (size_t i = 0; i < check->verdicts.dkim.count; i++) {
        if (!lasts(check, &check->verdicts.dkim.verdicts[i])) {
            return false;
        }
    }
    return true;
}

/* Names DKIM came to an answer about, and `others` behind them: what no forwarding changes comes
 * first and is what is said to prove the author. */
static enum auth_status ask_dmarc(struct message_check *check, bool is_forwarded,
                                  const struct dmarc_identifier *others, size_t other_count,
                                  struct dmarc_verdict *verdict)
{
    const struct message_verdicts *verdicts = &check->verdicts;
    size_t signatures = verdicts->dkim.count;
    size_t count = signatures + other_count;
    struct dmarc_identifier *identifiers =
        arena_alloc(check->arena, count * sizeof *identifiers);
    struct dmarc_input input = {
        .authors = verdicts->from.domains,
        .author_count = verdicts->from.count,
        .identifiers = identifiers,
        .identifier_count = count,
    };

    for (size_t i = 0; i < signatures; i++) {
        const struct dkim_verdict *signature = &verdicts->dkim.verdicts[i];
        bool is_broken = is_forwarded && !lasts(check, signature);
        identifiers[i] = (struct dmarc_identifier){
            DMARC_BY_DKIM, is_broken ? AUTH_FAIL : signature->result, signature->domain};
    }
    memcpy(identifiers + signatures, others, other_count * sizeof *others);
    return dmarc_check(&input, check->dns, check->arena, verdict);
}

/* DMARC is asked as soon as the author is known, though what it builds on may still be open:
 * the policy record is wanted in any case. */
static bool step_dmarc(struct message_check *check)
{
    struct message_verdicts *verdicts = &check->verdicts;
    struct dmarc_identifier sender = {DMARC_BY_SPF, verdicts->spf_mail_from.result,
                                      verdicts->spf_mail_from.domain};

    return ask_dmarc(check, false, &sender, 1, &verdicts->dmarc) == AUTH_DONE;
}

/* The next hop sees the same signatures, and our sender instead of the one that came. Where nothing
 * that changes decides, its verdict is ours. */
static bool step_forwarded(struct message_check *check)
{
    struct message_verdicts *verdicts = &check->verdicts;
    const struct dmarc_verdict *here = &verdicts->dmarc;
    struct dmarc_identifier ours[] = {
        {DMARC_BY_SPF, AUTH_PASS, check->forwarding.sender_domain},
        {DMARC_BY_DKIM, AUTH_PASS, check->forwarding.signature_domain},
    };

    if (!verdicts->has_forwarded) {
        return true;
    }
    if (here->result == AUTH_NONE ||
        (here->result == AUTH_PASS && verdicts->from.count == 1 &&
         here->aligned_by == DMARC_BY_DKIM && has_lasting_signatures(check))) {
        verdicts->forwarded = *here;
        return true;
    }
    return ask_dmarc(check, true, ours, check->forwarding.signature_domain.len > 0 ? 2 : 1,
                     &verdicts->forwarded) == AUTH_DONE;
}

enum auth_status message_check_step(struct message_check *check)
{
    bool is_done = step_envelope(check);

    if (check->verifier == NULL) {
        return AUTH_NEEDS_DNS;
    }
    if (check->has_ended && !check->has_dkim) {
        check->has_dkim = dkim_verifier_finish(check->verifier, check->dns, check->arena,
                                               &check->verdicts.dkim) == AUTH_DONE;
    }
    if (check->has_ended && !check->has_arc) {
        check->has_arc = arc_verifier_finish(check->chain, check->dns, check->arena,
                                             &check->verdicts.arc) == AUTH_DONE;
    }
    is_done = step_dmarc(check) && check->has_dkim && check->has_arc && is_done;
    return is_done && step_forwarded(check) ? AUTH_DONE : AUTH_NEEDS_DNS;
}

bool message_check_knows_sender(const struct message_check *check)
{
    return check->has_iprev && check->has_spf_helo && check->has_spf_mail_from;
}

struct dns_facts *message_check_dns(struct message_check *check)
{
    return check->dns;
}

const struct message_verdicts *message_check_verdicts(const struct message_check *check)
{
    return &check->verdicts;
}
