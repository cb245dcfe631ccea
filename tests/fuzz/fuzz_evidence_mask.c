/* Words of others, masked: the addresses, domains and hosts that are to be hidden stand there in no case; what has none of them
 * stays as it is. And stories of lines as they come: told twice they are the same, and no mask is undone by them. */
#include "base/memory.h"
#include "base/strbuf.h"
#include "mail/event_story.h"
#include "mail/evidence_mask.h"
#include "mail/story_report.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 50, REPORT_LIMIT = 64 * 1024 * 1024 };

static const char LEARNT[] = "ts=2026-11-22T08:00:00.000Z level=info event=bounced "
                             "id=6h04s18km0000 from=<anna@sender.test>"
                             " sender=\"<SRS0=P35JO7MP=JL=sender.test=anna@srs.fwd.test>\" "
                             "to=<bert.b@dest.test> orig_to=<info@fwd.test>"
                             " relay=in.other.test[192.0.2.9]:25";
static const char *const SECRETS[] = {"bert.b@dest.test", "dest.test", "in.other.test",
                                      "P35JO7MP", "192.0.2.9"};

static void need(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool holds(struct bytes text, struct bytes part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (bytes_starts_with_nocase(bytes_skip(text, i), part)) {
            return true;
        }
    }
    return false;
}

/* The length of the mask that stands at the start; 0: none does. */
static size_t mask_length(const struct evidence_mask *mask, struct bytes text)
{
    for (size_t i = 0; i < mask->count; i++) {
        if (bytes_starts_with(text, mask->secrets[i].mask)) {
            return mask->secrets[i].mask.len;
        }
    }
    return 0;
}

/* The text between masks: the end of one and what stands behind it may happen to spell a secret. */
static struct bytes without_masks(const struct evidence_mask *mask, struct bytes text,
                                  struct arena *arena)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    while (text.len > 0) {
        size_t skipped = mask_length(mask, text);

        copy[len++] = skipped > 0 ? '|' : text.data[0];
        text = bytes_skip(text, skipped > 0 ? skipped : 1);
    }
    return bytes_of(copy, len);
}

static void check_words(struct bytes text, struct arena *arena)
{
    struct evidence_mask mask;
    struct event_record record;
    struct bytes masked, shown;

    need(event_record_read(&record, bytes_from_text(LEARNT), arena));
    evidence_mask_learn(&mask, &record, 1, BYTES("6h04s18km0000"), BYTES(""), arena);
    masked = evidence_mask_text(&mask, text, true, arena);
    shown = without_masks(&mask, masked, arena);
    for (size_t i = 0; i < sizeof SECRETS / sizeof SECRETS[0]; i++) {
        need(!holds(shown, bytes_from_text(SECRETS[i])));
    }
    need(masked.data == text.data || !bytes_equal(masked, text));
}

static void check_story(struct bytes text, struct arena *arena)
{
    struct event_record *records = arena_alloc(arena, LINES * sizeof *records);
    struct story_input input = {.records = records, .id = BYTES("A"), .session = BYTES("S")};
    struct event_story story;
    struct strbuf first, second;

    while (text.len > 0 && input.count < LINES) {
        if (event_record_read(&records[input.count], bytes_cut(&text, '\n'), arena)) {
            input.count++;
        }
    }
    strbuf_init(&first, REPORT_LIMIT);
    strbuf_init(&second, REPORT_LIMIT);
    event_story_tell(&input, arena, &story);
    story_report_add_text(&first, &story);
    story_report_add_json(&first, &story);
    event_story_tell(&input, arena, &story);
    story_report_add_text(&second, &story);
    story_report_add_json(&second, &story);
    need(bytes_equal(strbuf_bytes(&first), strbuf_bytes(&second)));
    need(story.line_count <= input.count);
    strbuf_clear(&first);
    strbuf_clear(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    struct arena *arena = arena_new();

    check_words(text, arena);
    check_story(text, arena);
    arena_free(&arena);
    return 0;
}
