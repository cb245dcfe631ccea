/*
 * In the order it happens:
 *
 *   1 find_free_pages  the list of free pages, if it is as long as the header says
 *   2 find_roots       where the trees begin: by the schema, or where they begin in every new spool
 *   3 walk             each tree from its root; every page that makes no sense is noted
 *   4 read_strays      the other pages that are not free: their parents may be lost
 */
#include "damaged_tree.h"

#include "base/memory.h"
#include "spool_schema.h"

#include <stdlib.h>

enum page_state { PAGE_UNKNOWN, PAGE_FREE, PAGE_USED, PAGE_LOST };

enum {
    DEPTH_LIMIT = 20, /* of a tree: SQLite's own */
    FREE_IN_TRUNK = SPOOL_PAGE_SIZE / 4 - 2,
};

/* In the order spool_schema_create makes them, which is how it numbers the pages. */
static const struct {
    const char *name;
    uint32_t first_root;
} TREES[DAMAGED_TREE_NONE] = {
    [DAMAGED_TREE_MESSAGE] = {"message", 2}, [DAMAGED_TREE_DELIVERY] = {"delivery", 3},
    [DAMAGED_TREE_DUE] = {"due", 4},         [DAMAGED_TREE_HELD] = {"held", 5},
    [DAMAGED_TREE_ATTEMPT] = {"attempt", 6}, [DAMAGED_TREE_SETTING] = {"setting", 7},
};

struct reading {
    struct damaged_file *file;
    damaged_tree_row each;
    void *context;
    struct damaged_tree_summary *summary;
    uint32_t pages;
    unsigned char *states; /* enum page_state, by page */
    bool is_free_list_known;
    uint32_t roots[DAMAGED_TREE_NONE];
    enum damaged_tree tree; /* that is being walked */
    bool is_schema;
    char *payload;
    size_t capacity;
};

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- free pages ---- */

static bool take_free(struct reading *reading, uint32_t page)
{
    if (page < 2 || page > reading->pages || reading->states[page] != PAGE_UNKNOWN) {
        return false;
    }
    reading->states[page] = PAGE_FREE;
    return true;
}

static bool read_free_list(struct reading *reading)
{
    unsigned char trunk[SPOOL_PAGE_SIZE];
    uint32_t page, count, found = 0;

    if (!damaged_file_has_header(reading->file)) {
        return false;
    }
    damaged_file_free_list(reading->file, &page, &count);
    while (page != 0) {
        uint32_t leaves;

        if (!take_free(reading, page) || !damaged_file_read(reading->file, page, trunk)) {
            return false;
        }
        leaves = read_u32(trunk + 4);
        if (leaves > FREE_IN_TRUNK) {
            return false;
        }
        for (uint32_t i = 0; i < leaves; i++) {
            if (!take_free(reading, read_u32(trunk + 8 + 4 * i))) {
                return false;
            }
        }
        found += 1 + leaves;
        page = read_u32(trunk);
    }
    return found == count;
}

static void find_free_pages(struct reading *reading)
{
    reading->is_free_list_known = read_free_list(reading);
    if (!reading->is_free_list_known) {
        memset(reading->states, PAGE_UNKNOWN, (size_t)reading->pages + 1);
    }
}

/* ---- rows ---- */

static bool are(const struct damaged_row *row, size_t first, size_t count,
                enum damaged_value_kind kind)
{
    for (size_t i = first; i < first + count; i++) {
        if (row->values[i].kind != kind) {
            return false;
        }
    }
    return true;
}

static enum damaged_tree kind_of_row(bool has_rowid, const struct damaged_row *row)
{
    if (has_rowid) {
        return row->count == 8 && are(row, 0, 1, DAMAGED_NULL) &&
                       are(row, 1, 4, DAMAGED_NUMBER) && are(row, 5, 3, DAMAGED_BLOB)
                   ? DAMAGED_TREE_MESSAGE
                   : DAMAGED_TREE_NONE;
    }
    if (row->count == 2 && are(row, 0, 2, DAMAGED_TEXT)) {
        return DAMAGED_TREE_SETTING;
    }
    if (row->count == 3 && are(row, 0, 3, DAMAGED_NUMBER)) {
        return DAMAGED_TREE_HELD;
    }
    if ((row->count == 5 || row->count == 6) && are(row, 0, 1, DAMAGED_TEXT) &&
        are(row, 1, row->count - 1, DAMAGED_NUMBER)) {
        return DAMAGED_TREE_DUE;
    }
    if (row->count == 6 && are(row, 0, 4, DAMAGED_NUMBER) && are(row, 4, 2, DAMAGED_TEXT)) {
        return DAMAGED_TREE_ATTEMPT;
    }
    /* 11 columns in version 1, and what was added since. */
    if (row->count >= 11 && row->count <= 16 && are(row, 0, 6, DAMAGED_NUMBER) &&
        are(row, 6, 5, DAMAGED_TEXT) && (row->count < 12 || are(row, 11, 1, DAMAGED_NUMBER)) &&
        (row->count < 13 || are(row, 12, 1, DAMAGED_TEXT)) &&
        (row->count < 14 || are(row, 13, 1, DAMAGED_TEXT)) &&
        (row->count < 15 || are(row, 14, row->count - 14, DAMAGED_NUMBER))) {
        return DAMAGED_TREE_DELIVERY;
    }
    return DAMAGED_TREE_NONE;
}

static void note_lost(struct reading *reading)
{
    if (!reading->is_schema) {
        reading->summary->lost[reading->tree]++;
    }
}

static void use_schema_row(struct reading *reading, const struct damaged_row *row)
{
    if (row->count != 5 || row->values[1].kind != DAMAGED_TEXT ||
        row->values[3].kind != DAMAGED_NUMBER) {
        return;
    }
    for (size_t i = 0; i < DAMAGED_TREE_NONE; i++) {
        if (bytes_equal(row->values[1].octets, bytes_from_text(TREES[i].name)) &&
            row->values[3].number > 1 && row->values[3].number <= reading->pages) {
            reading->roots[i] = (uint32_t)row->values[3].number;
        }
    }
}

static void use_payload(struct reading *reading, bool has_rowid, int64_t rowid,
                        struct bytes payload)
{
    struct damaged_row row;
    enum damaged_tree kind;

    if (!damaged_row_parse(payload, &row)) {
        note_lost(reading);
        return;
    }
    if (reading->is_schema) {
        use_schema_row(reading, &row);
        return;
    }
    kind = kind_of_row(has_rowid, &row);
    if (kind == DAMAGED_TREE_NONE ||
        (reading->tree != DAMAGED_TREE_NONE && kind != reading->tree)) {
        note_lost(reading); /* its shape, or that it stands here, makes no sense */
    }
    if (kind != DAMAGED_TREE_NONE) {
        reading->summary->due_rows += kind == DAMAGED_TREE_DUE;
        reading->each(reading->context, kind, rowid, &row);
    }
}

/* The rest of a payload. Its pages are one row's only. */
static bool gather(struct reading *reading, const struct damaged_cell *cell)
{
    unsigned char page[SPOOL_PAGE_SIZE];
    size_t done = cell->local.len, size = (size_t)cell->size;
    uint32_t next = cell->overflow;

    if (cell->size > (uint64_t)reading->pages * SPOOL_PAGE_SIZE) {
        return false;
    }
    if (size > reading->capacity) {
        reading->payload = memory_resize(reading->payload, size, 1);
        reading->capacity = size;
    }
    memcpy(reading->payload, cell->local.data, done);
    while (done < size) {
        size_t part = size - done < SPOOL_PAGE_SIZE - 4 ? size - done : SPOOL_PAGE_SIZE - 4;

        if (next < 2 || next > reading->pages || reading->states[next] != PAGE_UNKNOWN ||
            !damaged_file_read(reading->file, next, page)) {
            return false;
        }
        reading->states[next] = PAGE_USED;
        memcpy(reading->payload + done, page + 4, part);
        done += part;
        next = read_u32(page);
    }
    return true;
}

static void read_cells(struct reading *reading, const struct damaged_page *page)
{
    bool has_rowid = page->kind == DAMAGED_TABLE_LEAF;

    for (size_t i = 0; i < page->cells && page->kind != DAMAGED_TABLE_INSIDE; i++) {
        struct damaged_cell cell;

        if (!damaged_page_cell(page, i, &cell)) {
            note_lost(reading);
        } else if (cell.overflow == 0) {
            use_payload(reading, has_rowid, cell.rowid, cell.local);
        } else if (gather(reading, &cell)) {
            use_payload(reading, has_rowid, cell.rowid,
                        bytes_of(reading->payload, (size_t)cell.size));
        } else {
            note_lost(reading);
        }
    }
}

/* ---- trees ---- */

static bool is_of_tree(const struct reading *reading, const struct damaged_page *page)
{
    bool is_table = page->kind == DAMAGED_TABLE_INSIDE || page->kind == DAMAGED_TABLE_LEAF;

    return is_table == (reading->is_schema || reading->tree == DAMAGED_TREE_MESSAGE);
}

static void walk(struct reading *reading, uint32_t number, unsigned depth)
{
    unsigned char *octets;
    struct damaged_page page;

    if (number == 0 || number > reading->pages || depth > DEPTH_LIMIT ||
        reading->states[number] != PAGE_UNKNOWN) {
        note_lost(reading);
        return;
    }
    octets = memory_zero(SPOOL_PAGE_SIZE);
    if (!damaged_file_read(reading->file, number, octets) ||
        !damaged_page_parse(octets, number, &page) || !is_of_tree(reading, &page)) {
        /* A page of another tree is read there, or as a stray. */
        reading->states[number] =
            damaged_page_parse(octets, number, &page) ? PAGE_UNKNOWN : PAGE_LOST;
        note_lost(reading);
        free(octets);
        return;
    }
    reading->states[number] = PAGE_USED;
    read_cells(reading, &page);
    for (size_t i = 0; damaged_page_is_inside(&page) && i <= page.cells; i++) {
        walk(reading, damaged_page_child(&page, i), depth + 1);
    }
    free(octets);
}

static void find_roots(struct reading *reading)
{
    for (size_t i = 0; i < DAMAGED_TREE_NONE; i++) {
        reading->roots[i] = TREES[i].first_root;
    }
    if (damaged_file_has_header(reading->file)) {
        reading->is_schema = true;
        walk(reading, 1, 0);
        reading->is_schema = false;
    }
    reading->states[1] = PAGE_USED;
}

static bool has_lost(const struct reading *reading)
{
    for (size_t i = 0; i < DAMAGED_TREE_COUNT; i++) {
        if (reading->summary->lost[i] > 0) {
            return true;
        }
    }
    return false;
}

/* When it is known what is free, a page that is neither that nor anything else has been something. */
static void read_strays(struct reading *reading)
{
    unsigned char *octets = memory_alloc(SPOOL_PAGE_SIZE);
    struct damaged_page page;

    reading->tree = DAMAGED_TREE_NONE;
    for (uint32_t i = 2; i <= reading->pages; i++) {
        if (reading->states[i] == PAGE_UNKNOWN && damaged_file_read(reading->file, i, octets) &&
            damaged_page_parse(octets, i, &page)) {
            reading->states[i] = PAGE_USED;
            read_cells(reading, &page);
        }
    }
    for (uint32_t i = 2; i <= reading->pages && reading->is_free_list_known; i++) {
        reading->summary->lost[DAMAGED_TREE_NONE] += reading->states[i] == PAGE_UNKNOWN;
    }
    free(octets);
}

void damaged_tree_read(struct damaged_file *file, damaged_tree_row each, void *context,
                       struct damaged_tree_summary *summary)
{
    struct reading reading = {.file = file,
                              .each = each,
                              .context = context,
                              .summary = summary,
                              .pages = damaged_file_pages(file)};

    *summary = (struct damaged_tree_summary){0};
    reading.states = memory_zero((size_t)reading.pages + 2);
    find_free_pages(&reading);
    find_roots(&reading);
    for (size_t i = 0; i < DAMAGED_TREE_NONE; i++) {
        reading.tree = (enum damaged_tree)i;
        walk(&reading, reading.roots[i], 0);
    }
    if (has_lost(&reading)) {
        read_strays(&reading);
    }
    free(reading.payload);
    free(reading.states);
}
