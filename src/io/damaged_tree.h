/*
 * damaged_tree - every row that a damaged SQLite file has, whatever of its b-trees is left.
 *
 * Order   what is reached from the roots first; then, when something could not be reached, what stands on pages
 *         that nobody has reached and that are not known to be free.
 * Memory  one octet a page, and one payload at a time.
 *
 * Private to room io.
 */
#ifndef IO_DAMAGED_TREE_H
#define IO_DAMAGED_TREE_H

#include "damaged_file.h"
#include "damaged_page.h"

enum damaged_tree {
    DAMAGED_TREE_MESSAGE,
    DAMAGED_TREE_DELIVERY,
    DAMAGED_TREE_DUE,
    DAMAGED_TREE_HELD,
    DAMAGED_TREE_ATTEMPT,
    DAMAGED_TREE_SETTING,
    DAMAGED_TREE_NONE, /* it is not known which */
    DAMAGED_TREE_COUNT,
};

struct damaged_tree_summary {
    uint64_t lost[DAMAGED_TREE_COUNT]; /* pages and cells that make no sense */
    uint64_t due_rows;
};

/* `rowid` is of a table with one. The row is good during the call. */
typedef void (*damaged_tree_row)(void *context, enum damaged_tree kind, int64_t rowid,
                                 const struct damaged_row *row);

/* What kind of row it is tells its shape: `kind` is never NONE. */
void damaged_tree_read(struct damaged_file *file, damaged_tree_row each, void *context,
                       struct damaged_tree_summary *summary);

#endif
