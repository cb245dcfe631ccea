/*
 * Any octets as a configuration. Properties: every word lies inside the file, in order, and is what
 * stands there; every error points into the file; what is read from memory alone loads or
 * tells an error.
 */
#include "daemon/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static size_t check_node(const struct config_file *file, const struct config_node *node,
                         size_t after)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_word *word = &node->words[i];
        require(word->place.file == file && word->place.offset >= after);
        require(word->place.len > 0);
        require(word->place.offset + word->place.len <= file->text.len);
        after = word->place.offset + word->place.len;
        if (!word->is_quoted && word->text.len > 0) {
            require(
                bytes_equal(word->text, bytes_between(file->text, word->place.offset, after)));
        }
    }
    for (const struct config_node *child = node->first_child; child != NULL;
         child = child->next) {
        require(child->parent == node && child->count > 0 && node->has_block);
        after = check_node(file, child, after);
    }
    return after;
}

static void check_tree(struct bytes text)
{
    struct config_file file = {.name = "fuzz", .text = text};
    struct config_errors *errors = config_errors_new();
    struct arena *arena = arena_new();
    struct config_node *root = config_tree_parse(&file, arena, errors);
    size_t after = 0;

    for (const struct config_node *node = root->first_child; node != NULL; node = node->next) {
        require(node->parent == root && node->count > 0);
        after = check_node(&file, node, after);
    }
    arena_free(&arena);
    config_errors_free(&errors);
}

static void check_errors(const struct config_errors *errors, const struct config *config)
{
    require((config == NULL) == (config_errors_count(errors, CONFIG_ERROR) > 0));
    for (size_t i = 0; config_errors_get(errors, i) != NULL; i++) {
        require(config_errors_get(errors, i)->text.len > 0);
    }
}

/* Whatever would read other files stays out. */
static bool reads_files(struct bytes text)
{
    static const char *const words[] = {"include", "file", "aliases", "env"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_find_part(text, bytes_from_text(words[i])) < text.len) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct config_errors *errors;
    struct config *config;

    check_tree(text);
    if (reads_files(text)) {
        return 0;
    }
    errors = config_errors_new();
    config = config_load_text("fuzz", text, errors);
    check_errors(errors, config);
    require(config == NULL); /* no secret-file, so never whole */
    config_errors_free(&errors);
    return 0;
}
