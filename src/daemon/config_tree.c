#include "daemon/config_tree.h"

struct parser {
    const struct config_file *file;
    size_t at; /* next octet */
    struct arena *arena;
    struct config_errors *errors;
    struct config_node *block; /* where directives go now */
    struct config_node *node;  /* the directive being read, or NULL */
    size_t capacity;           /* of its words */
    unsigned depth;
};

static struct config_place place(const struct parser *parser, size_t offset, size_t len)
{
    return (struct config_place){parser->file, offset, len};
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r';
}

static bool is_word_end(struct bytes text, size_t at)
{
    return at >= text.len || is_blank(text.data[at]) || text.data[at] == '\n';
}

static void append_child(struct config_node *parent, struct config_node *node)
{
    node->parent = parent;
    if (parent->last_child == NULL) {
        parent->first_child = node;
    } else {
        parent->last_child->next = node;
    }
    parent->last_child = node;
}

static void add_word(struct parser *parser, struct config_word word)
{
    if (parser->node == NULL) {
        parser->node = arena_alloc(parser->arena, sizeof *parser->node);
        parser->capacity = 0;
        append_child(parser->block, parser->node);
    }
    if (parser->node->count == parser->capacity) {
        size_t capacity = parser->capacity == 0 ? 4 : parser->capacity * 2;
        struct config_word *words = arena_alloc(parser->arena, capacity * sizeof *words);
        if (parser->node->count > 0) {
            memcpy(words, parser->node->words, parser->node->count * sizeof *words);
        }
        parser->node->words = words;
        parser->capacity = capacity;
    }
    parser->node->words[parser->node->count++] = word;
}

static void open_block(struct parser *parser, size_t offset)
{
    if (parser->node == NULL) {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, offset, 1),
                          "write the block's name before the brace: srs {",
                          "a block without a name");
        add_word(parser, (struct config_word){BYTES(""), place(parser, offset, 1), false});
    }
    if (parser->depth == CONFIG_DEPTH_LIMIT) {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, offset, 1), NULL,
                          "blocks inside blocks, more than 8 deep");
        parser->node = NULL;
        parser->at = parser->file->text.len;
        return;
    }
    parser->node->has_block = true;
    parser->node->open = place(parser, offset, 1);
    parser->block = parser->node;
    parser->node = NULL;
    parser->depth++;
}

static void close_block(struct parser *parser, size_t offset)
{
    parser->node = NULL;
    if (parser->block->parent == NULL) {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, offset, 1), NULL,
                          "no block is open here");
        return;
    }
    parser->block = parser->block->parent;
    parser->depth--;
}

/* From the quote to the one that closes it, on the same line. */
static void read_quoted(struct parser *parser)
{
    struct bytes text = parser->file->text;
    size_t start = parser->at, at = start + 1, len = 0;
    char *octets;

    while (at < text.len && text.data[at] != '"' && text.data[at] != '\n') {
        at += text.data[at] == '\\' && at + 1 < text.len && text.data[at + 1] != '\n' ? 2 : 1;
    }
    if (at >= text.len || text.data[at] == '\n') {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, start, 1),
                          "a quoted word ends on the line it began on",
                          "this quote is never closed");
        parser->at = at < text.len ? at : text.len;
        add_word(parser, (struct config_word){BYTES(""), place(parser, start, 1), true});
        parser->node->is_broken = true;
        return;
    }
    octets = arena_alloc(parser->arena, at - start);
    for (size_t i = start + 1; i < at; i++) {
        if (text.data[i] == '\\') {
            i++;
        }
        octets[len++] = text.data[i];
    }
    parser->at = at + 1;
    add_word(parser, (struct config_word){bytes_of(octets, len),
                                          place(parser, start, at + 1 - start), true});
    if (!is_word_end(text, parser->at)) {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, parser->at, 1),
                          "put the whole word in quotes; a quote inside is written \\\"",
                          "no blank behind the closing quote");
        while (!is_word_end(text, parser->at)) {
            parser->at++;
        }
    }
}

static bool is_substitution(struct bytes word)
{
    return bytes_starts_with(word, BYTES("{file:")) || bytes_starts_with(word, BYTES("{env:"));
}

static void read_plain(struct parser *parser)
{
    struct bytes text = parser->file->text;
    size_t start = parser->at;
    struct bytes word;

    while (!is_word_end(text, parser->at)) {
        unsigned char octet = (unsigned char)text.data[parser->at];
        if (octet < ' ' || octet == 0x7f) {
            config_errors_add(parser->errors, CONFIG_ERROR, place(parser, parser->at, 1), NULL,
                              "control character 0x%02x", octet);
        }
        parser->at++;
    }
    word = bytes_between(text, start, parser->at);
    if (bytes_equal(word, BYTES("{"))) {
        open_block(parser, start);
    } else if (bytes_equal(word, BYTES("}"))) {
        close_block(parser, start);
    } else if ((word.data[0] == '{' && !is_substitution(word)) ||
               (word.data[word.len - 1] == '{' && word.data[0] != '/')) {
        config_errors_add(parser->errors, CONFIG_ERROR, place(parser, start, word.len),
                          "write \"srs {\" and the first directive on the next line",
                          "a brace stands alone, with blanks around it");
        if (word.data[word.len - 1] == '{') {
            add_word(parser, (struct config_word){bytes_first(word, word.len - 1),
                                                  place(parser, start, word.len - 1), false});
            open_block(parser, parser->at - 1);
        }
    } else {
        add_word(parser, (struct config_word){word, place(parser, start, word.len), false});
    }
}

static void skip_comment(struct parser *parser)
{
    struct bytes text = parser->file->text;

    while (parser->at < text.len && text.data[parser->at] != '\n') {
        parser->at++;
    }
}

struct config_node *config_tree_parse(const struct config_file *file, struct arena *arena,
                                      struct config_errors *errors)
{
    struct config_node *root = arena_alloc(arena, sizeof *root);
    struct parser parser = {.file = file, .arena = arena, .errors = errors, .block = root};

    if (bytes_starts_with(file->text, BYTES("\xef\xbb\xbf"))) {
        parser.at = 3; /* a byte order mark, as some editors write it */
    }
    while (parser.at < file->text.len) {
        char octet = file->text.data[parser.at];
        if (octet == '\n') {
            parser.node = NULL;
            parser.at++;
        } else if (is_blank(octet)) {
            parser.at++;
        } else if (octet == '#') {
            skip_comment(&parser);
        } else if (octet == '"') {
            read_quoted(&parser);
        } else {
            read_plain(&parser);
        }
    }
    for (struct config_node *open = parser.block; open->parent != NULL; open = open->parent) {
        open->is_unclosed = true;
        config_errors_add(errors, CONFIG_ERROR, open->open, "add a line with \"}\"",
                          "this block is never closed");
    }
    return root;
}
