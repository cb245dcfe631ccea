#include "mail/mime_walk.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "mail/mime_parameters.h"
#include "mime_view.h"

#include <stdlib.h>

enum {
    BOUNDARIES = 64,
    BOUNDARY_LIMIT = 256, /* octets of one; RFC 2046 §5.1.1 allows 70 */
    BOUNDARY_TEXT = 4096,
    VIEWS = 6,
    TYPE_LIMIT = 128,
};

/* The fields that say what a part is. */
enum field { FIELD_OTHER, FIELD_TYPE, FIELD_DISPOSITION, FIELD_ENCODING };

struct boundary {
    unsigned level; /* the parts between it are at this depth */
    size_t at, length;
    bool is_used; /* a line was it */
};

/* What the fields of a part say; each may say several things. */
struct entity {
    bool has_type;
    bool is_multipart, is_digest, is_message, is_text, is_plain;
    bool is_leaf; /* a type that is neither multipart nor message */
    bool has_name;
    bool is_opened;     /* its parts, or its message, are being read */
    unsigned encodings; /* 1 << enum mime_encoding */
};

struct mime_walk {
    struct mime_message *message;
    struct mime_message own; /* of the outermost walk */
    char held[MIME_LINE];    /* a line that has not come whole */
    size_t held_length;
    bool is_in_long_line;
    /* Both, where a line that is no field stands in a header. */
    bool is_in_header, is_in_body;
    enum field field_kind; /* of the field being gathered */
    struct strbuf field;
    struct strbuf type; /* the last Content-Type of the part */
    struct entity entity;
    unsigned depth;
    bool is_digest[MIME_DEPTH + 1];
    struct boundary boundaries[BOUNDARIES];
    size_t boundary_count;
    char boundary_text[BOUNDARY_TEXT];
    size_t boundary_text_length;
    struct mime_view views[VIEWS]; /* of the part that is read */
    size_t view_count;
    struct mime_view uuencoded; /* what "begin" in a text began */
    struct mime_view whole;     /* of a multipart or message that is encoded */
    unsigned whole_depth;
};

static void note(struct mime_walk *walk, enum mime_trouble trouble, const char *why)
{
    mime_message_note(walk->message, trouble, why);
}

static bool is_over(const struct mime_walk *walk)
{
    return walk->message->trouble == MIME_TOO_COMPLEX;
}

static void tell(struct mime_walk *walk, enum mime_finding finding, struct bytes text)
{
    mime_message_tell(walk->message, finding, text);
}

/* ---- boundaries ---------------------------------------------------------------------------- */

static struct bytes boundary_text(const struct mime_walk *walk, const struct boundary *boundary)
{
    return bytes_of(walk->boundary_text + boundary->at, boundary->length);
}

static void drop_boundaries_below(struct mime_walk *walk, unsigned level)
{
    while (walk->boundary_count > 0 &&
           walk->boundaries[walk->boundary_count - 1].level > level) {
        walk->boundary_text_length -= walk->boundaries[--walk->boundary_count].length;
    }
}

static struct bytes without_blanks_behind(struct bytes text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL &&
           text.data[text.len - 1] != '\0') {
        text.len--;
    }
    return text;
}

static bool has_boundary(const struct mime_walk *walk, unsigned level, struct bytes text)
{
    for (size_t i = walk->boundary_count; i > 0 && walk->boundaries[i - 1].level == level;
         i--) {
        if (bytes_equal(boundary_text(walk, &walk->boundaries[i - 1]), text)) {
            return true;
        }
    }
    return false;
}

static void on_boundary(void *context, enum mime_reading reading, struct bytes text)
{
    struct mime_walk *walk = context;
    unsigned level = walk->depth + 1;

    text = without_blanks_behind(text);
    if (reading == MIME_READS_DOUBTFUL) {
        note(walk, MIME_AMBIGUOUS, "boundary");
        return;
    }
    if (text.len == 0 || text.data[0] == '"' || has_boundary(walk, level, text)) {
        return;
    }
    if (level > MIME_DEPTH) {
        note(walk, MIME_TOO_COMPLEX, "depth");
        return;
    }
    if (text.len > BOUNDARY_LIMIT || walk->boundary_count == BOUNDARIES ||
        walk->boundary_text_length + text.len > BOUNDARY_TEXT) {
        note(walk, MIME_TOO_COMPLEX, "boundary");
        return;
    }
    memcpy(walk->boundary_text + walk->boundary_text_length, text.data, text.len);
    walk->boundaries[walk->boundary_count++] =
        (struct boundary){level, walk->boundary_text_length, text.len, false};
    walk->boundary_text_length += text.len;
}

/* ---- fields -------------------------------------------------------------------------------- */

static void on_name(void *context, enum mime_reading reading, struct bytes text)
{
    struct mime_walk *walk = context;

    if (reading == MIME_READS_DOUBTFUL) {
        note(walk, MIME_AMBIGUOUS, "name");
        return;
    }
    walk->entity.has_name = true;
    tell(walk, MIME_FOUND_NAME, text);
}

/* Reports have lines that look like a header, but name nothing. */
static bool is_report(struct bytes type)
{
    return bytes_ends_with_nocase(type, BYTES("delivery-status")) ||
           bytes_ends_with_nocase(type, BYTES("disposition-notification")) ||
           bytes_equal(type, BYTES("message/feedback-report")) ||
           bytes_equal(type, BYTES("message/tracking-status"));
}

static void take_type(struct mime_walk *walk, struct bytes value)
{
    struct entity *entity = &walk->entity;
    char text[TYPE_LIMIT];
    struct bytes type = bytes_of(text, mime_parameters_type(value, text, sizeof text));

    mime_parameters_find(value, BYTES("name"), on_name, walk);
    if (type.len == 0) {
        return;
    }
    entity->has_type = true;
    tell(walk, MIME_FOUND_TYPE, type);
    if (bytes_starts_with(type, BYTES("multipart"))) {
        entity->is_multipart = true;
        entity->is_digest |= bytes_equal(type, BYTES("multipart/digest"));
        if (walk->depth < MIME_DEPTH && !entity->is_opened) {
            walk->is_digest[walk->depth + 1] = entity->is_digest;
        }
        mime_parameters_find(value, BYTES("boundary"), on_boundary, walk);
    } else if (bytes_starts_with(type, BYTES("message/")) && !is_report(type)) {
        entity->is_message = true;
    } else {
        entity->is_leaf = true;
        entity->is_text |= bytes_starts_with(type, BYTES("text"));
        entity->is_plain |= bytes_starts_with(type, BYTES("text/plain"));
    }
    strbuf_reset(&walk->type);
    strbuf_add(&walk->type, value);
}

static bool has_part_nocase(struct bytes text, struct bytes part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (bytes_equal_nocase(bytes_between(text, i, i + part.len), part)) {
            return true;
        }
    }
    return false;
}

static void take_encoding(struct mime_walk *walk, struct bytes value)
{
    static const struct {
        struct bytes name;
        enum mime_encoding encoding;
    } NAMES[] = {
        {{"base64", 6}, MIME_BASE64},
        {{"quoted-printable", 16}, MIME_QUOTED_PRINTABLE},
        {{"uue", 3}, MIME_UUENCODE},
        {{"uuencode", 8}, MIME_UUENCODE},
    };
    unsigned before = walk->entity.encodings;

    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (has_part_nocase(value, NAMES[i].name)) {
            walk->entity.encodings |= 1u << NAMES[i].encoding;
        }
    }
    if (walk->entity.encodings == before && before == 0) {
        walk->entity.encodings |= 1u << MIME_IDENTITY;
    }
}

static void finish_field(struct mime_walk *walk)
{
    struct bytes value = strbuf_bytes(&walk->field);

    if (walk->field.overflowed) {
        note(walk, MIME_TOO_COMPLEX, "field");
        strbuf_reset(&walk->field);
        return; /* how much of it came depends on the cuts */
    }
    switch (walk->field_kind) {
    case FIELD_OTHER:
        return;
    case FIELD_TYPE:
        take_type(walk, value);
        break;
    case FIELD_DISPOSITION:
        mime_parameters_find(value, BYTES("name"), on_name, walk);
        break;
    case FIELD_ENCODING:
        take_encoding(walk, value);
        break;
    }
    walk->field_kind = FIELD_OTHER;
    strbuf_reset(&walk->field);
}

/* Octets of the name with its colon, 0: the line is no field. */
static size_t field_name(struct bytes line, struct bytes *name)
{
    size_t at = 0;

    while (at < line.len && line.data[at] > ' ' && line.data[at] < 127 &&
           line.data[at] != ':') {
        at++;
    }
    *name = bytes_first(line, at);
    while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t')) {
        at++;
    }
    return name->len > 0 && at < line.len && line.data[at] == ':' ? at + 1 : 0;
}

static enum field field_of(struct bytes name)
{
    if (bytes_equal_nocase(name, BYTES("Content-Type"))) {
        return FIELD_TYPE;
    }
    if (bytes_equal_nocase(name, BYTES("Content-Disposition"))) {
        return FIELD_DISPOSITION;
    }
    if (bytes_equal_nocase(name, BYTES("Content-Transfer-Encoding"))) {
        return FIELD_ENCODING;
    }
    return FIELD_OTHER;
}

/* ---- parts --------------------------------------------------------------------------------- */

static void count_part(struct mime_walk *walk)
{
    if (++walk->message->parts > MIME_PARTS) {
        note(walk, MIME_TOO_COMPLEX, "parts");
    }
}

static void begin_part(struct mime_walk *walk)
{
    count_part(walk);
    walk->entity = (struct entity){0};
    walk->field_kind = FIELD_OTHER;
    strbuf_reset(&walk->field);
    walk->is_in_header = true;
    walk->is_in_body = false;
}

static void close_views(struct mime_walk *walk)
{
    for (size_t i = 0; i < walk->view_count; i++) {
        mime_view_close(&walk->views[i], walk->message);
    }
    walk->view_count = 0;
    mime_view_close(&walk->uuencoded, walk->message);
}

/* Text is looked through for uuencode, anything else for archives; what has a name for both. */
static void open_view(struct mime_walk *walk, enum mime_encoding encoding)
{
    const struct entity *entity = &walk->entity;
    bool is_plain = !entity->has_type || entity->is_plain;
    bool wants_scan = entity->has_name || (entity->is_leaf && !entity->is_text);
    bool wants_walk = is_plain && encoding != MIME_IDENTITY;
    struct mime_view *view;

    if (!wants_scan && !wants_walk) {
        return;
    }
    if (walk->view_count == VIEWS) {
        note(walk, MIME_AMBIGUOUS, "encoding");
        return;
    }
    view = &walk->views[walk->view_count++];
    mime_view_open(view, walk->message, encoding);
    if (wants_scan) {
        mime_view_add_scan(view, walk->message);
    }
    if (wants_walk) {
        mime_view_add_walk(view, walk->message, NULL);
    }
}

static void open_views(struct mime_walk *walk)
{
    unsigned encodings = walk->entity.encodings;

    if (encodings == 0) {
        encodings = 1u << MIME_IDENTITY;
    }
    for (int i = 0; i < MIME_ENCODINGS; i++) {
        if ((encodings & 1u << i) != 0) {
            open_view(walk, (enum mime_encoding)i);
        }
    }
}

static bool go_deeper(struct mime_walk *walk)
{
    if (walk->depth == MIME_DEPTH) {
        note(walk, MIME_TOO_COMPLEX, "depth");
        return false;
    }
    walk->depth++;
    return true;
}

/* A multipart or a message whose encoding is none by RFC 2045 §6.4: some clients decode it all the
 * same, others read it as it is. Both are done. */
static void open_whole(struct mime_walk *walk, bool is_message)
{
    unsigned encodings = walk->entity.encodings;
    enum mime_encoding encoding = MIME_QUOTED_PRINTABLE;
    struct strbuf header;
    struct bytes text;

    if ((encodings & ~(1u << MIME_IDENTITY)) == 0) {
        return;
    }
    if ((encodings & 1u << MIME_BASE64) != 0) {
        encoding = MIME_BASE64;
    } else if ((encodings & 1u << MIME_UUENCODE) != 0) {
        encoding = MIME_UUENCODE;
    }
    if (walk->whole.is_open || (encodings & ~(1u << MIME_IDENTITY)) != 1u << encoding) {
        note(walk, MIME_AMBIGUOUS, "encoding");
    }
    if (walk->whole.is_open) {
        return;
    }
    strbuf_init(&header, MIME_VALUE_LIMIT + 100);
    if (!is_message) {
        strbuf_add_text(&header, "Content-Type:");
        strbuf_add(&header, strbuf_bytes(&walk->type));
        strbuf_add_text(&header, "\n\n");
    }
    text = strbuf_bytes(&header);
    mime_view_open(&walk->whole, walk->message, encoding);
    mime_view_add_walk(&walk->whole, walk->message, &text);
    walk->whole_depth = walk->depth;
    strbuf_clear(&header);
}

/* The header of a part is over, or may be. */
static void open_body(struct mime_walk *walk)
{
    struct entity *entity = &walk->entity;
    bool is_message = entity->is_message ||
                      (!entity->has_type && walk->depth > 0 && walk->is_digest[walk->depth]);

    if (entity->is_multipart + is_message + entity->is_leaf > 1) {
        note(walk, MIME_AMBIGUOUS, "type");
    }
    walk->is_in_body = true;
    if (entity->is_multipart) {
        if (walk->boundary_count == 0 ||
            walk->boundaries[walk->boundary_count - 1].level <= walk->depth) {
            note(walk, MIME_AMBIGUOUS, "no-boundary");
        }
        entity->is_opened = true;
        if (go_deeper(walk)) {
            open_whole(walk, false);
        }
    } else if (is_message) {
        if (go_deeper(walk)) {
            walk->is_digest[walk->depth] = false;
            open_whole(walk, true);
            begin_part(walk);
        }
        return;
    }
    open_views(walk);
}

/* ---- lines --------------------------------------------------------------------------------- */

enum delimiter { DELIMITER_NONE, DELIMITER_PART, DELIMITER_CLOSE };

/* The innermost boundary that the line is. One that only begins like a boundary is what some clients
 * take for it. */
static enum delimiter find_delimiter(struct mime_walk *walk, struct bytes line, size_t *index)
{
    struct bytes text = bytes_skip(without_blanks_behind(line), 2);
    enum delimiter delimiter = DELIMITER_NONE;
    bool is_like_one = false;

    for (size_t i = walk->boundary_count; i > 0; i--) {
        struct bytes boundary = boundary_text(walk, &walk->boundaries[i - 1]);

        if (!bytes_starts_with(text, boundary)) {
            continue;
        }
        if (text.len == boundary.len) {
            *index = i - 1;
            return DELIMITER_PART;
        }
        if (delimiter == DELIMITER_NONE &&
            bytes_equal(bytes_skip(text, boundary.len), BYTES("--"))) {
            *index = i - 1;
            delimiter = DELIMITER_CLOSE;
        }
        is_like_one = true;
    }
    if (delimiter == DELIMITER_NONE && is_like_one) {
        note(walk, MIME_AMBIGUOUS, "boundary");
    }
    return delimiter;
}

/* What stands behind the closing delimiter is text for nobody, unless a part begins there again. */
static void begin_epilogue(struct mime_walk *walk)
{
    walk->entity = (struct entity){.has_type = true, .is_text = true};
    walk->is_in_header = false;
    walk->is_in_body = true;
}

/* Whoever goes by one boundary of a multipart, or reads such a line to its end, sees no delimiter where we
 * do, and one part where we see two. */
static void use_boundary(struct mime_walk *walk, size_t index, struct bytes line)
{
    struct boundary *boundaries = walk->boundaries;
    bool is_doubtful = line.len == MIME_LINE && line.data[line.len - 1] != '\n';

    for (size_t i = 0; i < walk->boundary_count; i++) {
        is_doubtful |= i != index && boundaries[i].is_used &&
                       boundaries[i].level == boundaries[index].level;
    }
    if (is_doubtful) {
        note(walk, MIME_AMBIGUOUS, "boundary");
    }
    boundaries[index].is_used = true;
}

static bool take_delimiter(struct mime_walk *walk, struct bytes line)
{
    size_t index = 0;
    enum delimiter delimiter = find_delimiter(walk, line, &index);

    if (delimiter == DELIMITER_NONE) {
        return false;
    }
    use_boundary(walk, index, line);
    finish_field(walk);
    close_views(walk);
    walk->depth = walk->boundaries[index].level;
    drop_boundaries_below(walk, walk->depth);
    if (walk->whole.is_open && walk->whole_depth > walk->depth) {
        mime_view_close(&walk->whole, walk->message);
    }
    if (delimiter == DELIMITER_PART) {
        begin_part(walk);
    } else {
        begin_epilogue(walk);
    }
    return true;
}

static bool is_begin_mode(struct bytes mode)
{
    for (size_t i = 0; i < mode.len; i++) {
        if (mode.data[i] < '0' || mode.data[i] > '7') {
            return false;
        }
    }
    return mode.len >= 3 && mode.len <= 6;
}

/* "begin 644 name" in a text, with two blanks and no mode for old clients; "begin-base64"; yEnc. */
static void look_for_begin(struct mime_walk *walk, struct bytes line)
{
    struct bytes rest = bytes_trim(line);
    struct bytes word = bytes_cut(&rest, ' ');
    struct bytes mode;
    size_t at;

    if (bytes_equal_nocase(word, BYTES("=ybegin"))) {
        at = bytes_find_part(rest, BYTES("name="));
        tell(walk, MIME_FOUND_NAME, bytes_skip(rest, at + 5));
        return;
    }
    if (!bytes_equal_nocase(word, BYTES("begin")) &&
        !bytes_equal_nocase(word, BYTES("begin-base64"))) {
        return;
    }
    mode = bytes_trim(rest);
    rest = mode;
    mode = bytes_cut(&rest, ' ');
    rest = bytes_trim(rest);
    if (rest.len == 0 && bytes_starts_with(bytes_skip(line, word.len), BYTES("  "))) {
        tell(walk, MIME_FOUND_NAME, mode);
    } else if (rest.len > 0 && is_begin_mode(mode)) {
        count_part(walk);
        tell(walk, MIME_FOUND_NAME, rest);
        mime_view_open(&walk->uuencoded, walk->message,
                       word.len == 5 ? MIME_UUENCODE : MIME_BASE64);
        mime_view_add_scan(&walk->uuencoded, walk->message);
    }
}

static void take_body(struct mime_walk *walk, struct bytes octets, bool is_start)
{
    for (size_t i = 0; i < walk->view_count; i++) {
        mime_view_feed(&walk->views[i], octets);
    }
    if (walk->uuencoded.is_open) {
        mime_view_feed(&walk->uuencoded, octets);
    }
    if (is_start && octets.len > 2 &&
        (octets.data[0] == 'b' || octets.data[0] == 'B' || octets.data[0] == '=')) {
        look_for_begin(walk, octets);
    }
}

static void end_header(struct mime_walk *walk)
{
    const struct entity *entity = &walk->entity;

    walk->is_in_header = false;
    finish_field(walk);
    if (!walk->is_in_body ||
        ((entity->is_multipart || entity->is_message) && !entity->is_opened)) {
        open_body(walk);
    } else {
        /* For those who read on in the header the body begins only here. */
        open_views(walk);
    }
}

/* A line that is none of a header: some end the header there, others pass it over. */
static void break_header(struct mime_walk *walk, struct bytes line)
{
    bool had_whole = walk->whole.is_open;

    finish_field(walk);
    if (!walk->is_in_body) {
        open_body(walk); /* it stays in the header, too */
    }
    if (walk->whole.is_open && !had_whole) {
        mime_view_feed(&walk->whole, line);
    }
    take_body(walk, line, true);
}

static void take_header_line(struct mime_walk *walk, struct bytes line)
{
    struct bytes text = without_blanks_behind(line);
    struct bytes name;
    size_t length;

    if (text.len == 0) {
        if (line.data[0] == '\r' || line.data[0] == '\n') {
            end_header(walk);
        } else {
            break_header(walk, line); /* blanks only: a fold to some, the end to others */
        }
        return;
    }
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        if (walk->field_kind != FIELD_OTHER) {
            strbuf_add(&walk->field, line);
        }
        if (walk->is_in_body) {
            take_body(walk, line, true);
        }
        return;
    }
    length = field_name(line, &name);
    if (length == 0) {
        break_header(walk, line);
        return;
    }
    finish_field(walk);
    walk->field_kind = field_of(name);
    if (walk->field_kind != FIELD_OTHER) {
        strbuf_add(&walk->field, bytes_skip(line, length));
    }
    if (walk->is_in_body) {
        take_body(walk, line, true);
    }
}

/* A line, or its first MIME_LINE octets. */
static void take_line(struct mime_walk *walk, struct bytes line)
{
    if (is_over(walk)) {
        return;
    }
    if (line.len > 2 && line.data[0] == '-' && line.data[1] == '-' &&
        take_delimiter(walk, line)) {
        return;
    }
    if (walk->whole.is_open) {
        mime_view_feed(&walk->whole, line);
    }
    if (walk->is_in_header) {
        take_header_line(walk, line);
    } else {
        take_body(walk, line, true);
    }
}

/* What follows of a line that is longer. */
static void take_rest(struct mime_walk *walk, struct bytes octets)
{
    if (is_over(walk)) {
        return;
    }
    if (walk->whole.is_open) {
        mime_view_feed(&walk->whole, octets);
    }
    if (walk->is_in_header && walk->field_kind != FIELD_OTHER) {
        strbuf_add(&walk->field, octets);
    }
    if (walk->is_in_body) {
        take_body(walk, octets, false);
    }
}

/* ---- octets -------------------------------------------------------------------------------- */

/* A body without views in which this line says nothing: most lines there are. */
static bool is_idle(const struct mime_walk *walk, char first)
{
    return first != '-' && first != 'b' && first != 'B' && first != '=' &&
           !walk->is_in_header && walk->view_count == 0 && !walk->uuencoded.is_open &&
           !walk->whole.is_open;
}

/* The piece has no LF but for its last octet. */
static void take_piece(struct mime_walk *walk, struct bytes piece, bool is_line_end)
{
    size_t room = MIME_LINE - walk->held_length;

    if (walk->is_in_long_line) {
        take_rest(walk, piece);
    } else if (walk->held_length == 0 && (is_line_end || piece.len >= MIME_LINE)) {
        take_line(walk, bytes_first(piece, MIME_LINE));
        if (piece.len > MIME_LINE) {
            take_rest(walk, bytes_skip(piece, MIME_LINE));
        }
    } else {
        struct bytes held = bytes_first(piece, room);

        memcpy(walk->held + walk->held_length, held.data, held.len);
        walk->held_length += held.len;
        if (!is_line_end && walk->held_length < MIME_LINE) {
            return;
        }
        take_line(walk, bytes_of(walk->held, walk->held_length));
        walk->held_length = 0;
        if (piece.len > held.len) {
            take_rest(walk, bytes_skip(piece, held.len));
        }
    }
    walk->is_in_long_line = !is_line_end;
}

void mime_walk_add(struct mime_walk *walk, struct bytes octets)
{
    const char *at = octets.data;
    const char *end = octets.len == 0 ? at : at + octets.len;

    while (at < end && !is_over(walk)) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *next = lf == NULL ? end : lf + 1;

        if (lf == NULL || walk->is_in_long_line || walk->held_length > 0 ||
            !is_idle(walk, *at)) {
            take_piece(walk, bytes_of(at, (size_t)(next - at)), lf != NULL);
        }
        at = next;
    }
}

void mime_walk_end(struct mime_walk *walk)
{
    if (walk->held_length > 0) {
        take_line(walk, bytes_of(walk->held, walk->held_length));
        walk->held_length = 0;
    }
    finish_field(walk);
    close_views(walk);
    mime_view_close(&walk->whole, walk->message);
}

/* ---- life ---------------------------------------------------------------------------------- */

static struct mime_walk *make(struct mime_message *message)
{
    struct mime_walk *walk = memory_zero(sizeof *walk);

    walk->message = message == NULL ? &walk->own : message;
    walk->message->memory += sizeof *walk;
    walk->message->walks++;
    strbuf_init(&walk->field, MIME_VALUE_LIMIT);
    strbuf_init(&walk->type, MIME_VALUE_LIMIT);
    return walk;
}

struct mime_walk *mime_walk_new(void (*found)(void *context, enum mime_finding finding,
                                              struct bytes text),
                                void *context)
{
    struct mime_walk *walk = make(NULL);

    walk->own.found = found;
    walk->own.context = context;
    walk->own.archive_budget = ARCHIVE_BUDGET;
    begin_part(walk);
    return walk;
}

struct mime_walk *mime_walk_nested(struct mime_message *message, const struct bytes *header)
{
    struct mime_walk *walk;

    if (message->walks == MIME_WALKS) {
        mime_message_note(message, MIME_TOO_COMPLEX, "encoding");
        return NULL;
    }
    walk = make(message);
    begin_part(walk);
    if (header == NULL) {
        walk->is_in_header = false;
        walk->is_in_body = true;
    } else {
        mime_walk_add(walk, *header);
    }
    return walk;
}

void mime_walk_drop(struct mime_walk **walk)
{
    struct mime_walk *old = *walk;

    if (old == NULL) {
        return;
    }
    *walk = NULL;
    old->message->memory -= sizeof *old;
    old->message->walks--;
    strbuf_clear(&old->field);
    strbuf_clear(&old->type);
    free(old);
}

static void ignore(void *context, enum mime_finding finding, struct bytes text)
{
    (void)context;
    (void)finding;
    (void)text;
}

void mime_walk_free(struct mime_walk **walk)
{
    if (*walk != NULL) {
        (*walk)->own.found = ignore;
        mime_walk_end(*walk);
        mime_walk_drop(walk);
    }
}

enum mime_trouble mime_walk_trouble(const struct mime_walk *walk)
{
    return walk->message->trouble;
}

const char *mime_walk_why(const struct mime_walk *walk)
{
    return walk->message->why;
}

size_t mime_walk_memory(const struct mime_walk *walk)
{
    return walk->message->memory;
}
