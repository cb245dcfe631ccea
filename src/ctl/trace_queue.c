#include "trace_queue.h"

#include "base/calendar.h"
#include "ctl/queue_command.h"

#include <jansson.h>
#include <stdlib.h>
#include <sysexits.h>

static struct bytes text_of(const json_t *object, const char *name, struct arena *arena)
{
    const json_t *value = json_object_get(object, name);

    return arena_copy(arena, bytes_of(json_string_value(value), json_string_length(value)));
}

static struct story_waiting read_row(const json_t *row, struct arena *arena)
{
    json_int_t attempts = json_integer_value(json_object_get(row, "attempts"));
    struct story_waiting waiting = {
        .recipient = text_of(row, "recipient", arena),
        .reply = text_of(row, "last_reply", arena),
        .written = text_of(row, "alias", arena),
        .is_held = bytes_equal(text_of(row, "state", arena), BYTES("held")),
        .attempts = attempts > 0 ? (uint64_t)attempts : 0,
    };

    if (!calendar_read_timestamp(text_of(row, "next_attempt", arena), &waiting.next_ms)) {
        waiting.next_ms = 0;
    }
    return waiting;
}

static void read_answer(const json_t *answer, struct arena *arena, struct story_input *input)
{
    const json_t *rows = json_object_get(answer, "deliveries");
    size_t count = json_array_size(rows);
    struct story_waiting *waiting = arena_alloc(arena, (count + 1) * sizeof *waiting);

    for (size_t i = 0; i < count; i++) {
        waiting[i] = read_row(json_array_get(rows, i), arena);
    }
    input->queue = count > 0 ? STORY_QUEUE_THERE : STORY_QUEUE_NOT_THERE;
    input->waiting = waiting;
    input->waiting_count = count;
}

void trace_queue_ask(const struct trace_command_options *options, struct bytes id,
                     struct arena *arena, struct story_input *input)
{
    struct queue_command_options queue = {.spool_directory = options->spool_directory,
                                          .control_path = options->control_path};
    char queue_word[] = "queue", show_word[] = "show", json_word[] = "--json";
    char *words[] = {queue_word, show_word, arena_copy_text(arena, id), json_word, NULL};
    char *answer = NULL, *complaint = NULL;
    size_t answer_len = 0, complaint_len = 0;
    FILE *out, *err;
    int code;

    input->queue = STORY_QUEUE_UNKNOWN;
    if (options->spool_directory == NULL || id.len == 0) {
        return;
    }
    out = open_memstream(&answer, &answer_len);
    err = open_memstream(&complaint, &complaint_len);
    code = queue_command_run(&queue, 4, words, out, err);
    fclose(out);
    fclose(err);
    if (code == EX_OK) {
        json_t *object = json_loadb(answer, answer_len, 0, NULL);

        if (object != NULL) {
            read_answer(object, arena, input);
            json_decref(object);
        }
    } else if (code == EX_DATAERR &&
               memmem(complaint, complaint_len, "no such message", 15) != NULL) {
        input->queue = STORY_QUEUE_NOT_THERE;
    }
    free(answer);
    free(complaint);
}
