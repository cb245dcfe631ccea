/*
 * damaged_page - one page of a SQLite file that nobody vouches for: its cells, and the rows in them.
 *
 * Input   SPOOL_PAGE_SIZE octets, any octets; nothing is trusted, every place is checked against the page.
 * Output  views into the page, or into the payload that was put together from it.
 * Format  https://www.sqlite.org/fileformat2.html §1.6, §2.1
 *
 * Private to room io.
 */
#ifndef IO_DAMAGED_PAGE_H
#define IO_DAMAGED_PAGE_H

#include "base/bytes.h"

enum { DAMAGED_ROW_VALUES = 24 };

enum damaged_page_kind {
    DAMAGED_INDEX_INSIDE = 2,
    DAMAGED_TABLE_INSIDE = 5,
    DAMAGED_INDEX_LEAF = 10,
    DAMAGED_TABLE_LEAF = 13,
};

struct damaged_page {
    const unsigned char *octets;
    enum damaged_page_kind kind;
    size_t header; /* where it begins: page 1 has the file's header before it */
    size_t cells;
    size_t content; /* where cells may begin */
};

/* False: this is not a page of a b-tree, or not any more. */
bool damaged_page_parse(const unsigned char *octets, uint32_t number,
                        struct damaged_page *page);
bool damaged_page_is_inside(const struct damaged_page *page);
/* The `index`th child of a page inside, cells + 1 of them; 0: there is no sense in it. */
uint32_t damaged_page_child(const struct damaged_page *page, size_t index);

struct damaged_cell {
    int64_t rowid;
    uint64_t size;      /* of the payload */
    struct bytes local; /* what of it is in the page */
    uint32_t overflow;  /* where it goes on; 0: it is all there */
};

/* Not of DAMAGED_TABLE_INSIDE, which has no payload. */
bool damaged_page_cell(const struct damaged_page *page, size_t index,
                       struct damaged_cell *cell);

enum damaged_value_kind {
    DAMAGED_NULL,
    DAMAGED_NUMBER,
    DAMAGED_REAL,
    DAMAGED_TEXT,
    DAMAGED_BLOB
};

struct damaged_value {
    enum damaged_value_kind kind;
    int64_t number;
    struct bytes octets; /* TEXT, BLOB */
};

struct damaged_row {
    size_t count;
    struct damaged_value values[DAMAGED_ROW_VALUES];
};

/* False: the payload is not a row of at most DAMAGED_ROW_VALUES values. */
bool damaged_row_parse(struct bytes payload, struct damaged_row *row);

#endif
