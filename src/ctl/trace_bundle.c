/*
 * In this order:
 *
 *   1 learn      what the lines hold that is private
 *   2 mask_all   the lines, and what the queue says
 *   3 add_text   a head that says what is masked, the story told once more from these, and the lines
 *     add_json
 *   4 everything is looked through once more, whatever it came from
 */
#include "trace_bundle.h"

#include "base/calendar.h"
#include "base/json.h"
#include "io/clock.h"
#include "mail/evidence_mask.h"
#include "mail/story_report.h"

enum { BUNDLE_LIMIT = 256 * 1024 * 1024 };

static const struct {
    enum evidence_kind kind;
    const char *name, *mask, *words;
} kinds[] = {
    {EVIDENCE_TARGET, "targets", "target-N", "addresses it was forwarded to"},
    {EVIDENCE_DOMAIN, "domains", "hidden-N.invalid", "domains of these"},
    {EVIDENCE_RELAY, "relays", "relay-N.invalid", "servers there"},
    {EVIDENCE_RECIPIENT, "recipients", "recipient-N", "other recipients"},
    {EVIDENCE_HASH, "hashes", "hash-N", "hashes of addresses we signed"},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* What the queue has and no line speaks of, since nothing was tried yet. */
static struct event_record line_of(const struct story_waiting *waiting, struct arena *arena)
{
    struct event_field *fields = arena_alloc(arena, 2 * sizeof *fields);

    fields[0] = (struct event_field){BYTES("to"), waiting->recipient};
    fields[1] = (struct event_field){BYTES("orig_to"), waiting->written};
    return (struct event_record){.event = BYTES("waiting"), .fields = fields, .count = 2};
}

static void learn(struct evidence_mask *mask, const struct story_input *input,
                  const struct event_story *story, struct arena *arena)
{
    size_t count = story->line_count + input->waiting_count;
    struct event_record *lines = arena_alloc(arena, (count + 1) * sizeof *lines);

    for (size_t i = 0; i < story->line_count; i++) {
        lines[i] = *story->lines[i];
    }
    for (size_t i = 0; i < input->waiting_count; i++) {
        lines[story->line_count + i] = line_of(&input->waiting[i], arena);
    }
    evidence_mask_learn(mask, lines, count, story->id, input->address, arena);
}

static struct story_input mask_all(const struct evidence_mask *mask,
                                   const struct story_input *input, struct arena *arena)
{
    struct story_input masked = *input;
    struct event_record *records = arena_alloc(arena, (input->count + 1) * sizeof *records);
    struct story_waiting *waiting =
        arena_alloc(arena, (input->waiting_count + 1) * sizeof *waiting);

    for (size_t i = 0; i < input->count; i++) {
        records[i] = evidence_mask_record(mask, &input->records[i], arena);
    }
    for (size_t i = 0; i < input->waiting_count; i++) {
        waiting[i] = input->waiting[i];
        waiting[i].recipient = evidence_mask_text(mask, waiting[i].recipient, false, arena);
        waiting[i].reply = evidence_mask_words(mask, waiting[i].reply, arena);
    }
    masked.records = records;
    masked.waiting = waiting;
    masked.address = evidence_mask_text(mask, input->address, false, arena);
    return masked;
}

static void add_head(struct strbuf *out, const struct evidence_mask *mask,
                     const struct trace_command_options *options)
{
    strbuf_add_text(out, "Evidence about one message, from the log of ");
    strbuf_add(out, options->hostname.len > 0 ? options->hostname : BYTES("a host"));
    strbuf_addf(out, " (postilion %s), made at ", options->version);
    calendar_add_timestamp(out, clock_unix_ms());
    strbuf_add_text(out,
                    ".\nAll times are UTC. What is private is masked, the same always by the "
                    "same word:\n");
    for (size_t i = 0; i < KINDS; i++) {
        size_t count = evidence_mask_count(mask, kinds[i].kind);

        if (count > 0) {
            strbuf_addf(out, "  %-17s %s: %zu\n", kinds[i].mask, kinds[i].words, count);
        }
    }
    strbuf_add_text(out, "Not masked: the client, and what is the sender's own.\n\n");
}

static void add_text(struct strbuf *out, const struct evidence_mask *mask,
                     const struct event_story *story,
                     const struct trace_command_options *options)
{
    add_head(out, mask, options);
    story_report_add_text(out, story);
    strbuf_add_text(out, "\nThe lines of the log:\n");
    for (size_t i = 0; i < story->line_count; i++) {
        story_report_add_line(out, story->lines[i]);
    }
}

static void add_json(struct strbuf *out, const struct evidence_mask *mask,
                     const struct event_story *story,
                     const struct trace_command_options *options)
{
    struct strbuf line;

    json_open_object(out, NULL);
    json_text(out, "host", options->hostname);
    json_words(out, "version", options->version);
    json_time(out, "made", clock_unix_ms());
    json_open_object(out, "masked");
    for (size_t i = 0; i < KINDS; i++) {
        json_number(out, kinds[i].name, (int64_t)evidence_mask_count(mask, kinds[i].kind));
    }
    json_close_object(out);
    strbuf_add_text(out, ",\"story\":");
    story_report_add_json(out, story);
    json_open_array(out, "lines");
    strbuf_init(&line, BUNDLE_LIMIT);
    for (size_t i = 0; i < story->line_count; i++) {
        strbuf_reset(&line);
        story_report_add_line(&line, story->lines[i]);
        json_text(out, NULL, bytes_trim(strbuf_bytes(&line)));
    }
    strbuf_clear(&line);
    json_close_array(out);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}

bool trace_bundle_add(struct strbuf *out, const struct story_input *input,
                      const struct event_story *story,
                      const struct trace_command_options *options, bool is_json,
                      struct arena *arena)
{
    struct evidence_mask mask;
    struct story_input masked;
    struct event_story told;
    struct strbuf report;

    learn(&mask, input, story, arena);
    if (mask.has_overflowed) {
        return false;
    }
    masked = mask_all(&mask, input, arena);
    event_story_tell(&masked, arena, &told);
    strbuf_init(&report, BUNDLE_LIMIT);
    if (is_json) {
        add_json(&report, &mask, &told, options);
    } else {
        add_text(&report, &mask, &told, options);
    }
    strbuf_add(out, evidence_mask_text(&mask, strbuf_bytes(&report), false, arena));
    strbuf_clear(&report);
    return true;
}
