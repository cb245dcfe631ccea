#include "auth/results_text.h"

#include "auth/idn_domain.h"
#include "mail/results_field.h"

enum { PROPERTY_LIMIT = 4, MAILBOX_LIMIT = 1024, SEALERS_LIMIT = 16 * 1024 };

/* The entries of one field while they are gathered. */
struct gathering {
    struct arena *arena;
    struct result_entry *entries;
    size_t count;
    struct result_property *properties; /* PROPERTY_LIMIT for each entry */
};

static void add_entry(struct gathering *gathering, const char *method, enum auth_result result,
                      struct bytes comment)
{
    gathering->entries[gathering->count] = (struct result_entry){
        .method = method,
        .result = auth_result_text(result),
        .comment = comment,
        .properties = &gathering->properties[gathering->count * PROPERTY_LIMIT],
    };
    gathering->count++;
}

/* To the entry added last; what is not known is left out. */
static void add_property(struct gathering *gathering, const char *type, const char *name,
                         struct bytes value)
{
    size_t last = gathering->count - 1;
    struct result_entry *entry = &gathering->entries[last];

    if (value.len > 0) {
        gathering->properties[last * PROPERTY_LIMIT + entry->property_count++] =
            (struct result_property){type, name, value};
    }
}

static struct bytes address_text(struct arena *arena, const struct ip_address *address)
{
    return arena_copy(arena, bytes_from_text(ip_address_text(address).text));
}

static struct bytes readable_domain(struct arena *arena, struct bytes domain)
{
    struct bytes ascii;

    return idn_domain_to_ascii(domain, arena, &ascii) ? ascii : domain;
}

static struct bytes sender_text(struct arena *arena, const struct message_check_facts *facts)
{
    struct smtp_mailbox mailbox = facts->sender;
    struct bytes result;
    struct strbuf text;

    if (smtp_mailbox_is_null(&mailbox)) {
        mailbox = (struct smtp_mailbox){.local = BYTES("postmaster"), .domain = facts->helo};
    }
    if (!mailbox.is_literal) {
        mailbox.domain = readable_domain(arena, mailbox.domain);
    }
    strbuf_init(&text, MAILBOX_LIMIT);
    smtp_mailbox_add(&text, &mailbox);
    result = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return result;
}

/* What decided: the term that matched, or what is wrong. */
static struct bytes spf_comment(const struct spf_verdict *verdict)
{
    return verdict->mechanism.len > 0 ? verdict->mechanism : bytes_from_text(verdict->why);
}

static void add_iprev(struct gathering *gathering, const struct message_check_facts *facts,
                      const struct reverse_name_verdict *verdict)
{
    struct bytes client = address_text(gathering->arena, &facts->client);

    add_entry(gathering, "iprev", verdict->result,
              verdict->name.len > 0 ? verdict->name : bytes_from_text(verdict->why));
    add_property(gathering, "policy", "iprev", client);
    add_property(gathering, "smtp", "remote-ip", client);
}

static void add_spf(struct gathering *gathering, const struct message_check_facts *facts,
                    const struct message_verdicts *verdicts)
{
    add_entry(gathering, "spf", verdicts->spf_mail_from.result,
              spf_comment(&verdicts->spf_mail_from));
    add_property(gathering, "smtp", "mailfrom", sender_text(gathering->arena, facts));
    add_entry(gathering, "spf", verdicts->spf_helo.result, spf_comment(&verdicts->spf_helo));
    add_property(gathering, "smtp", "helo", readable_domain(gathering->arena, facts->helo));
}

static void add_signature(struct gathering *gathering, const struct dkim_verdict *verdict)
{
    const char *comment = verdict->why != NULL  ? verdict->why
                          : verdict->is_testing ? "the key is being tested"
                                                : "";

    add_entry(gathering, "dkim", verdict->result, bytes_from_text(comment));
    add_property(gathering, "header", "d", verdict->domain);
    add_property(gathering, "header", "s", verdict->selector);
    add_property(gathering, "header", "a", bytes_from_text(verdict->algorithm));
    add_property(gathering, "header", "b", verdict->signature_start);
}

static void add_dkim(struct gathering *gathering, const struct dkim_verdicts *dkim)
{
    for (size_t i = 0; i < dkim->count; i++) {
        add_signature(gathering, &dkim->verdicts[i]);
    }
    if (dkim->unchecked > 0) {
        add_entry(gathering, "dkim", AUTH_POLICY,
                  BYTES("too many signatures, the rest was not checked"));
    } else if (dkim->count == 0) {
        add_entry(gathering, "dkim", AUTH_NONE, BYTES(""));
    }
}

static void add_dmarc(struct gathering *gathering, const struct message_verdicts *verdicts)
{
    const struct dmarc_verdict *dmarc = &verdicts->dmarc;
    struct bytes author = dmarc->author;

    if (author.len == 0 && verdicts->from.count > 0) {
        author = verdicts->from.domains[0];
    }
    add_entry(gathering, "dmarc", dmarc->result, bytes_from_text(dmarc->why));
    add_property(gathering, "header", "from", author);
    if (dmarc->record_domain.len > 0) {
        add_property(gathering, "polrec", "p",
                     bytes_from_text(dmarc_policy_text(dmarc->published)));
        add_property(gathering, "polrec", "domain", dmarc->record_domain);
    }
}

/* "i=2 lists.example, relay.example": who has sealed it, in the order they did. */
static struct bytes sealers_text(struct arena *arena, const struct arc_verdict *arc)
{
    struct bytes result;
    struct strbuf text;

    strbuf_init(&text, SEALERS_LIMIT);
    strbuf_addf(&text, "i=%u", arc->newest);
    for (size_t i = 0; i < arc->sealer_count; i++) {
        strbuf_add_text(&text, i == 0 ? " " : ", ");
        strbuf_add(&text, arc->sealers[i].domain);
    }
    result = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return result;
}

static void add_arc(struct gathering *gathering, const struct message_check_facts *facts,
                    const struct arc_verdict *arc)
{
    add_entry(gathering, "arc", arc->result,
              arc->result == AUTH_PASS ? sealers_text(gathering->arena, arc)
                                       : bytes_from_text(arc->why));
    if (arc->result == AUTH_NONE) {
        return;
    }
    if (arc->result == AUTH_PASS) {
        add_property(gathering, "header", "oldest-pass", BYTES("0"));
    }
    add_property(gathering, "smtp", "remote-ip",
                 address_text(gathering->arena, &facts->client));
}

void results_text_add(struct strbuf *out, struct bytes authserv_id,
                      const struct message_verdicts *verdicts,
                      const struct message_check_facts *facts)
{
    struct arena *arena = arena_new();
    size_t room = verdicts->dkim.count + 6; /* iprev, SPF twice, one more DKIM, DMARC, ARC */
    struct gathering gathering = {
        .arena = arena,
        .entries = arena_alloc(arena, room * sizeof *gathering.entries),
        .properties = arena_alloc(arena, room * PROPERTY_LIMIT * sizeof *gathering.properties),
    };

    add_iprev(&gathering, facts, &verdicts->iprev);
    add_spf(&gathering, facts, verdicts);
    add_dkim(&gathering, &verdicts->dkim);
    add_dmarc(&gathering, verdicts);
    add_arc(&gathering, facts, &verdicts->arc);
    results_field_add(out, authserv_id, gathering.entries, gathering.count);
    arena_free(&arena);
}

void results_text_add_received_spf(struct strbuf *out, const struct message_verdicts *verdicts,
                                   const struct message_check_facts *facts)
{
    struct arena *arena = arena_new();
    const struct received_spf field = {
        .result = auth_result_text(verdicts->spf_mail_from.result),
        .comment = bytes_from_text(verdicts->spf_mail_from.why),
        .client_ip = address_text(arena, &facts->client),
        .envelope_from = sender_text(arena, facts),
        .helo = readable_domain(arena, facts->helo),
        .receiver = facts->receiver,
        .identity = "mailfrom",
        .mechanism = verdicts->spf_mail_from.mechanism,
    };

    results_field_add_received_spf(out, &field);
    arena_free(&arena);
}
