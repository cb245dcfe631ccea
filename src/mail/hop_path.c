#include "mail/hop_path.h"

#include "base/calendar.h"
#include "base/quoting.h"
#include "mail/header_block.h"
#include "mail/results_reading.h"

enum { VALUE_LIMIT = 64 * 1024 };

/* ---- Received ---------------------------------------------------------------------------- */

/* The inside of the comment at the start of the text, which is cut off. One that never ends is the
 * rest. */
static struct bytes take_comment(struct bytes *text)
{
    size_t length = quoting_comment_length(*text);
    struct bytes inside =
        length == 0 ? bytes_skip(*text, 1) : bytes_between(*text, 1, length - 1);

    *text = bytes_trim(bytes_skip(*text, length == 0 ? text->len : length));
    return bytes_trim(inside);
}

/* Up to a blank, a comment or the ";". */
static struct bytes take_word(struct bytes *text)
{
    size_t len = 0;
    struct bytes word;

    while (len < text->len && text->data[len] != ' ' && text->data[len] != '\t' &&
           text->data[len] != '(' && (text->data[len] != ';' || len == 0)) {
        len++;
    }
    word = bytes_first(*text, len);
    *text = bytes_trim(bytes_skip(*text, len));
    return word;
}

static struct bytes *find_clause(struct mail_hop *hop, struct bytes word)
{
    if (bytes_equal_nocase(word, BYTES("from"))) {
        return &hop->from;
    }
    if (bytes_equal_nocase(word, BYTES("by"))) {
        return &hop->by;
    }
    if (bytes_equal_nocase(word, BYTES("with"))) {
        return &hop->protocol;
    }
    if (bytes_equal_nocase(word, BYTES("id"))) {
        return &hop->id;
    }
    if (bytes_equal_nocase(word, BYTES("for"))) {
        return &hop->recipient;
    }
    return NULL;
}

static struct bytes without_angles(struct bytes text)
{
    return text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>'
               ? bytes_between(text, 1, text.len - 1)
               : text;
}

/* The first of each clause counts; a comment behind "from" is what the server knows of it. */
static void read_clauses(struct bytes text, struct mail_hop *hop)
{
    const struct bytes *last = NULL;

    while (text.len > 0 && text.data[0] != ';') {
        struct bytes *clause;

        if (text.data[0] == '(') {
            struct bytes comment = take_comment(&text);
            if (last == &hop->from && hop->address.len == 0) {
                hop->address = comment;
            }
            continue;
        }
        clause = find_clause(hop, take_word(&text));
        if (clause == NULL || text.len == 0 || text.data[0] == ';') {
            continue;
        }
        last = clause;
        if (text.data[0] != '(') {
            struct bytes word = without_angles(take_word(&text));
            if (clause->len == 0) {
                *clause = word;
            }
        }
    }
}

/* The unfolded value of a field; empty when it is longer than anybody would want to read. */
static struct bytes unfold(struct bytes value, struct arena *arena)
{
    struct strbuf text;
    struct bytes copy = BYTES("");

    strbuf_init(&text, VALUE_LIMIT);
    header_value_add(&text, value);
    if (!text.overflowed) {
        copy = arena_copy(arena, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    return copy;
}

static void read_hop(struct bytes value, struct arena *arena, struct mail_hop *hop)
{
    struct bytes text = unfold(value, arena);
    size_t date = bytes_find_last(text, ';');

    *hop = (struct mail_hop){.has_time = false};
    if (date < text.len) {
        hop->has_time = calendar_read_mail_date(bytes_skip(text, date + 1), &hop->unix_seconds,
                                                &hop->zone_minutes);
    }
    read_clauses(text, hop);
}

/* ---- Authentication-Results -------------------------------------------------------------- */

static struct bytes read_identity(const struct read_result *result, struct arena *arena)
{
    static const char *const keys[] = {"header.d", "header.i", "header.from", "smtp.mailfrom",
                                       "smtp.helo"};
    struct bytes identity = BYTES("");
    struct strbuf value;

    strbuf_init(&value, 1024);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && identity.len == 0; i++) {
        if (results_reading_property(result, keys[i], &value) && !value.overflowed) {
            identity = arena_copy(arena, strbuf_bytes(&value));
        }
    }
    strbuf_clear(&value);
    return identity;
}

/* Newest first, as they stand. */
static void read_results(struct bytes text, unsigned instance, struct arena *arena,
                         struct hop_path *path)
{
    struct bytes rest = text, server = take_word(&rest);
    struct results_reading reading;
    struct read_result result;
    enum results_reading_step step = results_reading_start(&reading, text);

    while (step == RESULTS_NEXT && path->verdict_count < HOP_VERDICT_LIMIT &&
           (step = results_reading_next(&reading, &result)) == RESULTS_NEXT) {
        path->verdicts[path->verdict_count++] = (struct hop_verdict){
            .server = server,
            .arc_instance = instance,
            .method = arena_copy(arena, bytes_from_text(result.method)),
            .result = result.result,
            .identity = read_identity(&result, arena),
            .hop = path->count, /* below so many of the newest; turned round in the end */
        };
    }
}

/* "i=2; mx.example; spf=pass ..." */
static void read_arc_results(struct bytes text, struct arena *arena, struct hop_path *path)
{
    struct bytes rest = text;
    struct bytes tag = bytes_trim(bytes_cut(&rest, ';'));
    uint64_t instance;

    if (bytes_equal_nocase(bytes_trim(bytes_cut(&tag, '=')), BYTES("i")) &&
        bytes_to_u64(bytes_trim(tag), &instance) && instance > 0 && instance <= 1000) {
        read_results(bytes_trim(rest), (unsigned)instance, arena, path);
    }
}

/* ---- the whole --------------------------------------------------------------------------- */

static void read_fields(struct bytes header, struct arena *arena, struct hop_path *path)
{
    struct header_field field;
    int zone;

    while (header_field_next(&header, &field)) {
        if (bytes_equal_nocase(field.name, BYTES("Received"))) {
            if (path->count < HOP_LIMIT) {
                read_hop(field.value, arena, &path->hops[path->count++]);
            } else {
                path->left_out++;
            }
        } else if (bytes_equal_nocase(field.name, BYTES("Authentication-Results"))) {
            read_results(unfold(field.value, arena), 0, arena, path);
        } else if (bytes_equal_nocase(field.name, BYTES("ARC-Authentication-Results"))) {
            read_arc_results(unfold(field.value, arena), arena, path);
        } else if (bytes_equal_nocase(field.name, BYTES("Date")) && !path->has_written) {
            path->has_written = calendar_read_mail_date(unfold(field.value, arena),
                                                        &path->written_seconds, &zone);
        }
    }
}

static bool is_below(struct bytes name, struct bytes domain)
{
    return name.len > domain.len && name.data[name.len - domain.len - 1] == '.' &&
           bytes_equal_nocase(bytes_skip(name, name.len - domain.len), domain);
}

/* Results are written on top of the server's own Received field, or (by filters) beneath it: the one that
 * has their name, or the one they stand on. verdict->hop still counts the hops above. */
static size_t find_writer(const struct hop_path *path, const struct hop_verdict *verdict)
{
    size_t below = path->count - verdict->hop; /* how many are further down in the header */

    if (below == 0) {
        return 0;
    }
    if (below < path->count && verdict->server.len > 0) {
        struct bytes by = path->hops[below].by;

        if (bytes_equal_nocase(by, verdict->server) || is_below(by, verdict->server)) {
            return below;
        }
    }
    return below - 1;
}

/* From the order of the header to that of travel. */
static void turn_round(struct hop_path *path)
{
    for (size_t i = 0; i < path->count / 2; i++) {
        struct mail_hop hop = path->hops[i];
        path->hops[i] = path->hops[path->count - 1 - i];
        path->hops[path->count - 1 - i] = hop;
    }
    for (size_t i = 0; i < path->verdict_count / 2; i++) {
        struct hop_verdict verdict = path->verdicts[i];
        path->verdicts[i] = path->verdicts[path->verdict_count - 1 - i];
        path->verdicts[path->verdict_count - 1 - i] = verdict;
    }
    for (size_t i = 0; i < path->verdict_count; i++) {
        path->verdicts[i].hop = find_writer(path, &path->verdicts[i]);
    }
}

static void measure(struct hop_path *path)
{
    const struct mail_hop *before = NULL, *first = NULL;
    int64_t longest = 0;

    path->slowest = path->count;
    for (size_t i = 0; i < path->count; i++) {
        struct mail_hop *hop = &path->hops[i];

        if (!hop->has_time) {
            continue;
        }
        if (before == NULL) {
            first = hop;
        } else {
            hop->has_delay = true;
            hop->delay_seconds = hop->unix_seconds - before->unix_seconds;
            path->has_total = true;
            path->total_seconds = hop->unix_seconds - first->unix_seconds;
            path->skewed += hop->delay_seconds < 0;
            if (hop->delay_seconds > longest) {
                longest = hop->delay_seconds;
                path->slowest = i;
            }
        }
        before = hop;
    }
}

static bool is_pass(const struct hop_verdict *verdict)
{
    return bytes_equal_nocase(verdict->result, BYTES("pass"));
}

/* SPF is about another sender at each hop and is seldom the same twice; where it is, it broke. */
static void find_broken(struct hop_path *path)
{
    for (size_t i = 0; i < path->verdict_count; i++) {
        struct hop_verdict *late = &path->verdicts[i];

        for (size_t j = 0; j < i && !late->is_broken && !is_pass(late); j++) {
            const struct hop_verdict *early = &path->verdicts[j];

            late->is_broken = is_pass(early) && bytes_equal(early->method, late->method) &&
                              bytes_equal_nocase(early->identity, late->identity);
        }
    }
}

void hop_path_read(struct bytes header, struct arena *arena, struct hop_path *path)
{
    memset(path, 0, sizeof *path);
    read_fields(header, arena, path);
    turn_round(path);
    measure(path);
    find_broken(path);
}
