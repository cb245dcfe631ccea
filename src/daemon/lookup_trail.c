#include "daemon/lookup_trail.h"

#include "base/json.h"
#include "base/utf8.h"
#include "protocol/dns_record_text.h"

enum { RECORD_LIMIT = 64 * 1024 };

void lookup_trail_init(struct lookup_trail *trail, struct arena *arena)
{
    trail->arena = arena;
    trail->first = NULL;
    trail->end = &trail->first;
}

const struct lookup_note *lookup_trail_add(struct lookup_trail *trail, const char *stage,
                                           struct bytes name, uint16_t type,
                                           const struct dns_answer *answer)
{
    struct lookup_note *note = arena_alloc(trail->arena, sizeof *note);
    struct strbuf text;

    *note = (struct lookup_note){.stage = stage,
                                 .name = arena_copy(trail->arena, name),
                                 .type = type,
                                 .status = dns_status_text(answer->status),
                                 .why = answer->why,
                                 .is_secure = answer->is_secure};
    report_lines_init(&note->records);
    strbuf_init(&text, RECORD_LIMIT);
    for (size_t i = 0; i < answer->count; i++) {
        strbuf_reset(&text);
        dns_record_text_add(&text, &answer->records[i]);
        report_lines_add(&note->records, trail->arena, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    *trail->end = note;
    trail->end = &note->next;
    return note;
}

/* The words of DNS, for those who do not ask it every day. */
static const char *meaning_of(const char *status)
{
    if (strcmp(status, dns_status_text(DNS_NXDOMAIN)) == 0) {
        return ": no such name";
    }
    if (strcmp(status, dns_status_text(DNS_NODATA)) == 0) {
        return ": no such record";
    }
    return strcmp(status, dns_status_text(DNS_TEMPFAIL)) == 0 ? ": no answer for now" : "";
}

void lookup_note_add_text(struct strbuf *out, const struct lookup_note *note)
{
    strbuf_addf(out, "  %-5s ", dns_type_text(note->type));
    utf8_add_printable(out, note->name);
    strbuf_addf(out, "  %s%s", note->status, meaning_of(note->status));
    if (note->why != NULL) {
        strbuf_addf(out, " (%s)", note->why);
    }
    strbuf_add_text(out, note->is_secure ? " (DNSSEC)\n" : "\n");
    report_lines_add_text(out, "          ", &note->records);
}

void lookup_trail_add_text(struct strbuf *out, const struct lookup_trail *trail)
{
    const char *stage = NULL;

    for (const struct lookup_note *at = trail->first; at != NULL; at = at->next) {
        if (at->stage != stage) {
            stage = at->stage;
            strbuf_addf(out, "  (%s)\n", stage);
        }
        lookup_note_add_text(out, at);
    }
}

void lookup_trail_add_json(struct strbuf *out, const struct lookup_trail *trail)
{
    json_open_array(out, "lookups");
    for (const struct lookup_note *at = trail->first; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_words(out, "stage", at->stage);
        json_text(out, "name", at->name);
        json_words(out, "type", dns_type_text(at->type));
        json_words(out, "status", at->status);
        json_words(out, "why", at->why);
        json_bool(out, "secure", at->is_secure);
        report_lines_add_json(out, "records", &at->records);
        json_close_object(out);
    }
    json_close_array(out);
}
