#include "forward/content_rule.h"

#include "forward/reply_text.h"
#include "mail/header_block.h"

/* Names are strangers' words, and stand in quotes. */
static struct bytes clean_name(struct arena *arena, struct bytes name)
{
    return reply_text_clean(arena, name, CONTENT_NAME_LIMIT, "\"\\");
}

/* ---- files -------------------------------------------------------------------------------- */

bool content_rules_block(const struct content_rules *rules)
{
    return rules->extensions.count > 0 || rules->types.count > 0;
}

void content_findings_add(void *context, enum mime_finding finding, struct bytes text)
{
    struct content_findings *findings = context;
    bool is_type = finding == MIME_FOUND_TYPE || finding == MIME_FOUND_KIND;

    if (findings->is_blocked ||
        !(is_type ? blocked_file_type(&findings->rules->types, text)
                  : blocked_file_name(&findings->rules->extensions, text))) {
        return;
    }
    if (text.len > CONTENT_NAME_LIMIT) {
        text = bytes_skip(text, text.len - CONTENT_NAME_LIMIT);
    }
    findings->is_blocked = true;
    findings->finding = finding;
    findings->name_length = text.len;
    memcpy(findings->name, text.data, text.len);
}

static struct decision refuse_file(const struct content_findings *findings, struct bytes what,
                                   struct arena *arena)
{
    const char *pattern = NULL;
    const char *why = "blocked-type";

    switch (findings->finding) {
    case MIME_FOUND_NAME:
        pattern = "Files like \"%\" are not accepted here; send it in another way";
        why = "blocked-file";
        break;
    case MIME_FOUND_ENTRY:
        pattern =
            "An attached archive holds \"%\": such files are not accepted here; send it in "
            "another way";
        why = "blocked-file";
        break;
    case MIME_FOUND_TYPE:
        pattern = "Content of type % is not accepted here";
        break;
    case MIME_FOUND_KIND:
        pattern = "An attachment is of a kind that is not accepted here: %";
        break;
    }
    return (struct decision){DECISION_REFUSE, 550, "5.7.1",
                             reply_text_make(arena, pattern, what), why};
}

/* What is thought of trouble that is there. */
static struct decision refuse_structure(const char *why, struct arena *arena)
{
    return (struct decision){
        DECISION_REFUSE, 550, "5.6.0",
        reply_text_make(
            arena,
            "The MIME structure of this message cannot be read for certain (%); correct it "
            "and send again",
            bytes_from_text(why)),
        "mime-unreadable"};
}

void content_rule_for_files(enum blocked_content_rule rule,
                            const struct content_findings *findings, enum mime_trouble trouble,
                            const char *trouble_why, struct arena *arena,
                            struct content_answer *answer)
{
    struct decision refusal;

    *answer = (struct content_answer){.decision = {.disposition = DECISION_ACCEPT}};
    if (!findings->is_blocked && trouble == MIME_NO_TROUBLE) {
        return;
    }
    if (findings->is_blocked) {
        answer->what = clean_name(arena, bytes_of(findings->name, findings->name_length));
        refusal = refuse_file(findings, answer->what, arena);
    } else {
        answer->what = bytes_from_text(trouble_why);
        refusal = refuse_structure(trouble_why, arena);
    }
    switch (rule) {
    case BLOCKED_CONTENT_REFUSE:
        answer->decision = refusal;
        break;
    case BLOCKED_CONTENT_HOLD:
        answer->is_held = true;
        answer->mark = refusal.why;
        break;
    case BLOCKED_CONTENT_TAG:
        answer->mark = refusal.why;
        break;
    case BLOCKED_CONTENT_ACCEPT:
        break;
    }
}

/* ---- header ------------------------------------------------------------------------------- */

/* RFC 5322 §3.6: at most once, but From. */
static const char *const SINGLE[] = {"Date",       "Message-ID", "Subject", "To",
                                     "Cc",         "Bcc",        "Sender",  "In-Reply-To",
                                     "References", "Reply-To"};

enum { SINGLE_COUNT = sizeof SINGLE / sizeof SINGLE[0] };

struct header_facts {
    uint64_t fields;
    size_t largest; /* octets */
    struct bytes largest_name;
    const char *twice; /* the first that should not be; or NULL */
    bool has_from;
    unsigned seen; /* a bit for each of SINGLE */
};

static void look_at_name(struct header_facts *facts, struct bytes name)
{
    for (unsigned i = 0; i < SINGLE_COUNT; i++) {
        if (name.len > 0 &&
            ascii_lower((unsigned char)name.data[0]) ==
                ascii_lower((unsigned char)SINGLE[i][0]) &&
            bytes_equal_nocase(name, bytes_from_text(SINGLE[i]))) {
            if ((facts->seen & 1u << i) != 0 && facts->twice == NULL) {
                facts->twice = SINGLE[i];
            }
            facts->seen |= 1u << i;
            return;
        }
    }
    facts->has_from |= bytes_equal_nocase(name, BYTES("From"));
}

static void look_at_field(struct header_facts *facts, const struct header_field *field)
{
    facts->fields++;
    if (field->whole.len > facts->largest) {
        facts->largest = field->whole.len;
        facts->largest_name = field->name;
    }
    look_at_name(facts, field->name);
}

/* The fields go on behind a line that is none: others read on there. */
static struct header_facts look_at_header(struct bytes header)
{
    struct header_facts facts = {0};
    struct header_field field;

    while (header.len > 0) {
        while (header_field_next(&header, &field)) {
            look_at_field(&facts, &field);
        }
        header = bytes_skip(header, bytes_find_part(header, BYTES("\r\n")) + 2);
    }
    return facts;
}

/* The first that is wrong by header-sanity; accept: nothing is. */
static struct decision judge_sanity(const struct header_facts *facts, struct bytes header,
                                    struct arena *arena)
{
    if (bytes_find(header, '\0') < header.len) {
        return (struct decision){DECISION_REFUSE, 550, "5.6.0",
                                 BYTES("The header holds a NUL, which no message may"),
                                 "header-nul"};
    }
    if (facts->twice != NULL) {
        return (struct decision){
            DECISION_REFUSE, 550, "5.6.0",
            reply_text_make(arena,
                            "A message has at most one % field (RFC 5322); this one has more",
                            bytes_from_text(facts->twice)),
            "header-duplicate"};
    }
    if (!facts->has_from) {
        return (struct decision){
            DECISION_REFUSE, 550, "5.6.0",
            BYTES("A message has a From field (RFC 5322); this one has none"),
            "header-no-from"};
    }
    return (struct decision){.disposition = DECISION_ACCEPT};
}

static struct decision judge_caps(const struct content_rules *rules,
                                  const struct header_facts *facts, struct arena *arena)
{
    if (rules->fields > 0 && facts->fields > rules->fields) {
        return (struct decision){DECISION_REFUSE, 552, "5.3.4",
                                 BYTES("The header has too many fields"), "too-many-fields"};
    }
    if (rules->field_size > 0 && facts->largest > rules->field_size) {
        return (struct decision){DECISION_REFUSE, 552, "5.3.4",
                                 reply_text_make(arena, "The header field % is too large",
                                                 clean_name(arena, facts->largest_name)),
                                 "field-too-large"};
    }
    return (struct decision){.disposition = DECISION_ACCEPT};
}

static void apply(struct content_answer *answer, const struct decision *refusal,
                  bool is_refused)
{
    if (refusal->disposition == DECISION_ACCEPT ||
        answer->decision.disposition != DECISION_ACCEPT) {
        return;
    }
    if (is_refused) {
        answer->decision = *refusal;
    } else if (answer->mark == NULL) {
        answer->mark = refusal->why;
    }
}

void content_rule_for_header(const struct content_rules *rules, enum header_sanity_rule sanity,
                             enum header_8bit_rule eight_bit, struct bytes header, bool is_utf8,
                             struct arena *arena, struct content_answer *answer)
{
    struct header_facts facts = look_at_header(header);
    struct decision caps = judge_caps(rules, &facts, arena);

    *answer = (struct content_answer){.decision = {.disposition = DECISION_ACCEPT}};
    apply(answer, &caps, true);
    if (sanity != HEADER_SANITY_OFF) {
        struct decision insane = judge_sanity(&facts, header, arena);

        apply(answer, &insane, sanity == HEADER_SANITY_REFUSE);
        if (insane.disposition == DECISION_REFUSE && facts.twice != NULL) {
            answer->what = bytes_from_text(facts.twice);
        }
    }
    if (eight_bit != HEADER_8BIT_ACCEPT && !is_utf8 && !bytes_is_ascii(header)) {
        struct decision eight = {
            DECISION_REFUSE, 550, "5.6.7",
            BYTES("The header has octets beyond ASCII, which need SMTPUTF8; encode them"),
            "header-8bit"};

        apply(answer, &eight, eight_bit == HEADER_8BIT_REFUSE);
    }
}
