/* Property: every part read lies in the payload, methods are lower case and not empty; the same payload
 * reads the same behind a comment, and is nothing at all when quoted or inside of one. */
#include "mail/results_reading.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void demand_inside(struct bytes part, struct bytes whole)
{
    demand(part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

/* How many results are read, and how it ended. */
static size_t read_all(struct bytes payload, enum results_reading_step *end)
{
    struct results_reading reading;
    struct read_result result;
    struct strbuf value;
    enum results_reading_step step = results_reading_start(&reading, payload);
    size_t count = 0;

    strbuf_init(&value, payload.len + 1);
    while (step == RESULTS_NEXT &&
           (step = results_reading_next(&reading, &result)) == RESULTS_NEXT) {
        size_t length = strlen(result.method);

        count++;
        demand(length != 0 && length <= RESULT_KEY_LIMIT);
        for (size_t i = 0; i < length; i++) {
            demand(result.method[i] < 'A' || result.method[i] > 'Z');
        }
        demand(result.result.len != 0);
        demand_inside(result.result, payload);
        demand_inside(result.properties, payload);
        if (results_reading_property(&result, "header.from", &value)) {
            demand(value.len < result.properties.len);
        }
    }
    strbuf_clear(&value);
    *end = step;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes payload = bytes_of(data, size);
    enum results_reading_step end, other_end;
    size_t count = read_all(payload, &end);
    struct strbuf wrapped;

    /* The same behind a comment, and all of it inside of one or inside of quotes. */
    strbuf_init(&wrapped, 2 * size + 64);
    strbuf_add_text(&wrapped, "(x) ");
    strbuf_add(&wrapped, payload);
    demand(read_all(strbuf_bytes(&wrapped), &other_end) == count && other_end == end);
    strbuf_reset(&wrapped);
    strbuf_add_text(&wrapped, "mx; a=\"");
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            strbuf_add_char(&wrapped, '\\');
        }
        strbuf_add_char(&wrapped, (char)data[i]);
    }
    strbuf_add_text(&wrapped, "\"");
    demand(read_all(strbuf_bytes(&wrapped), &other_end) == 1 && other_end == RESULTS_END);
    strbuf_reset(&wrapped);
    strbuf_add_text(&wrapped, "mx; a=b (");
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '(' || data[i] == ')' || data[i] == '\\') {
            strbuf_add_char(&wrapped, '\\');
        }
        strbuf_add_char(&wrapped, (char)data[i]);
    }
    strbuf_add_text(&wrapped, ")");
    demand(read_all(strbuf_bytes(&wrapped), &other_end) == 1 && other_end == RESULTS_END);
    strbuf_clear(&wrapped);
    return 0;
}
