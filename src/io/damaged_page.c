#include "damaged_page.h"

#include "spool_schema.h"

enum { FILE_HEADER = 100, CELL_LEAST = 4 };

static uint32_t read_u16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t read_u32(const unsigned char *at)
{
    return read_u16(at) << 16 | read_u16(at + 2);
}

static size_t header_size(const struct damaged_page *page)
{
    return damaged_page_is_inside(page) ? 12 : 8;
}

bool damaged_page_is_inside(const struct damaged_page *page)
{
    return page->kind == DAMAGED_INDEX_INSIDE || page->kind == DAMAGED_TABLE_INSIDE;
}

bool damaged_page_parse(const unsigned char *octets, uint32_t number, struct damaged_page *page)
{
    size_t header = number == 1 ? FILE_HEADER : 0;
    unsigned char kind = octets[header];

    if (kind != DAMAGED_INDEX_INSIDE && kind != DAMAGED_TABLE_INSIDE &&
        kind != DAMAGED_INDEX_LEAF && kind != DAMAGED_TABLE_LEAF) {
        return false;
    }
    *page = (struct damaged_page){.octets = octets,
                                  .kind = (enum damaged_page_kind)kind,
                                  .header = header,
                                  .cells = read_u16(octets + header + 3),
                                  .content = read_u16(octets + header + 5)};
    return page->content >= header + header_size(page) + 2 * page->cells &&
           page->content <= SPOOL_PAGE_SIZE && read_u16(octets + header + 1) < SPOOL_PAGE_SIZE;
}

/* 0: outside of the page. */
static size_t cell_place(const struct damaged_page *page, size_t index)
{
    size_t place = read_u16(page->octets + page->header + header_size(page) + 2 * index);

    return place >= page->content && place <= SPOOL_PAGE_SIZE - CELL_LEAST ? place : 0;
}

uint32_t damaged_page_child(const struct damaged_page *page, size_t index)
{
    size_t place = index == page->cells ? page->header + 8 : cell_place(page, index);

    return place == 0 ? 0 : read_u32(page->octets + place);
}

/* Up to nine octets, high bits first. False: it goes on behind the end. */
static bool take_varint(struct bytes *rest, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < rest->len && i < 9; i++) {
        unsigned char octet = (unsigned char)rest->data[i];

        *number = i == 8 ? *number << 8 | octet : *number << 7 | (octet & 0x7f);
        if (i == 8 || octet < 0x80) {
            *rest = bytes_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

/* How much of a payload stands in the page itself. */
static size_t local_size(const struct damaged_page *page, uint64_t size)
{
    size_t most = page->kind == DAMAGED_TABLE_LEAF ? SPOOL_PAGE_SIZE - 35
                                                   : (SPOOL_PAGE_SIZE - 12) * 64 / 255 - 23;
    size_t least = (SPOOL_PAGE_SIZE - 12) * 32 / 255 - 23;
    size_t wanted;

    if (size <= most) {
        return (size_t)size;
    }
    wanted = least + (size_t)((size - least) % (SPOOL_PAGE_SIZE - 4));
    return wanted <= most ? wanted : least;
}

bool damaged_page_cell(const struct damaged_page *page, size_t index, struct damaged_cell *cell)
{
    size_t place = cell_place(page, index);
    struct bytes rest;
    uint64_t rowid = 0;
    size_t local;

    *cell = (struct damaged_cell){0};
    if (place == 0 || page->kind == DAMAGED_TABLE_INSIDE) {
        return false;
    }
    rest = bytes_of((const char *)page->octets + place, SPOOL_PAGE_SIZE - place);
    if (page->kind == DAMAGED_INDEX_INSIDE) {
        rest = bytes_skip(rest, 4);
    }
    if (!take_varint(&rest, &cell->size) ||
        (page->kind == DAMAGED_TABLE_LEAF && !take_varint(&rest, &rowid))) {
        return false;
    }
    cell->rowid = (int64_t)rowid;
    local = local_size(page, cell->size);
    if (local > rest.len || (local < cell->size && local + 4 > rest.len)) {
        return false;
    }
    cell->local = bytes_first(rest, local);
    if (local < cell->size) {
        cell->overflow = read_u32((const unsigned char *)rest.data + local);
    }
    return local == cell->size || cell->overflow != 0;
}

static bool take_value(struct bytes *rest, uint64_t type, struct damaged_value *value)
{
    static const unsigned char widths[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
    size_t width;

    *value = (struct damaged_value){.kind = DAMAGED_NUMBER};
    if (type >= 12) {
        uint64_t length = (type - 12) / 2;

        if (length > rest->len) {
            return false;
        }
        value->kind = type % 2 == 0 ? DAMAGED_BLOB : DAMAGED_TEXT;
        value->octets = bytes_first(*rest, (size_t)length);
        *rest = bytes_skip(*rest, (size_t)length);
        return true;
    }
    if (type >= sizeof widths || widths[type] > rest->len) {
        return false;
    }
    width = widths[type];
    value->kind = type == 0 ? DAMAGED_NULL : type == 7 ? DAMAGED_REAL : DAMAGED_NUMBER;
    value->number = type == 9;
    if (width > 0) {
        uint64_t number = (signed char)rest->data[0] < 0 ? UINT64_MAX : 0;

        for (size_t i = 0; i < width; i++) {
            number = number << 8 | (unsigned char)rest->data[i];
        }
        value->number = (int64_t)number;
    }
    *rest = bytes_skip(*rest, width);
    return true;
}

bool damaged_row_parse(struct bytes payload, struct damaged_row *row)
{
    struct bytes types = payload, rest;
    uint64_t size, type;
    size_t length;

    row->count = 0;
    if (!take_varint(&types, &size) || size > payload.len || size < payload.len - types.len) {
        return false;
    }
    length = (size_t)size;
    types = bytes_first(types, length - (payload.len - types.len));
    rest = bytes_skip(payload, length);
    while (types.len > 0) {
        if (row->count == DAMAGED_ROW_VALUES || !take_varint(&types, &type) ||
            !take_value(&rest, type, &row->values[row->count])) {
            return false;
        }
        row->count++;
    }
    return rest.len == 0;
}
