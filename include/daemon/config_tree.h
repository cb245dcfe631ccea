/*
 * config_tree - the configuration language: text to a tree of directives, each with its place.
 *
 * Form    one directive a line: words separated by blanks; "{" as its last word opens a block,
 *         "}" closes it; "#" at the start of a word: a comment up to the end of the line; "..."
 *         holds blanks, with \" and \\ inside. No line is ever continued.
 * Pure    no files: `include` is an ordinary directive here (daemon/config_load follows it).
 * Errors  all of them go to `errors`; the tree holds what could be read.
 */
#ifndef DAEMON_CONFIG_TREE_H
#define DAEMON_CONFIG_TREE_H

#include "base/arena.h"
#include "daemon/config_errors.h"

enum { CONFIG_DEPTH_LIMIT = 8 };

struct config_word {
    struct bytes text; /* without quotes */
    struct config_place place;
    bool is_quoted;
};

struct config_node {
    struct config_word *words; /* the first is the name */
    size_t count;
    bool has_block;
    bool is_broken;           /* an error in it was told already */
    bool is_unclosed;         /* what follows in it may belong outside */
    struct config_place open; /* the brace */
    struct config_node *parent;
    struct config_node *first_child, *last_child;
    struct config_node *next;
};

/* The root has no words. Nodes live in the arena; texts are views of the file or lie there too.
 */
struct config_node *config_tree_parse(const struct config_file *file, struct arena *arena,
                                      struct config_errors *errors);

/* In a block that stands in another one itself: policy of a domain. */
static inline bool config_node_is_nested(const struct config_node *node)
{
    return node->parent != NULL && node->parent->parent != NULL &&
           node->parent->parent->count > 0;
}

#endif
