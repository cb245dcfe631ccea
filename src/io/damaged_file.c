#include "damaged_file.h"

#include "base/memory.h"
#include "io/disk.h"
#include "spool_schema.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FILE_HEADER = 100,
    LOG_HEADER = 32,
    FRAME_HEADER = 24,
    FRAME_SIZE = FRAME_HEADER + SPOOL_PAGE_SIZE,
    /* More than SQLite can address is not believed. */
    PAGES_LIMIT = 0x7ffffffe,
};

struct damaged_file {
    int handle, log_handle; /* -1: there is none */
    uint32_t pages;
    bool has_header;
    unsigned char header[FILE_HEADER];
    uint32_t *frames; /* by page: its last frame in the log, from 1; 0: it is in the file */
    uint32_t frame_pages;
};

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- the log ---- */

struct log_sum {
    bool is_big_endian;
    uint32_t words[2];
};

static void add_to_sum(struct log_sum *sum, const unsigned char *octets, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        for (size_t k = 0; k < 2; k++) {
            uint32_t word = read_u32(octets + i + 4 * k);

            sum->words[k] +=
                (sum->is_big_endian ? word : __builtin_bswap32(word)) + sum->words[1 - k];
        }
    }
}

static bool is_sum(const struct log_sum *sum, const unsigned char *at)
{
    return sum->words[0] == read_u32(at) && sum->words[1] == read_u32(at + 4);
}

static bool read_log(const struct damaged_file *file, uint64_t offset, unsigned char *octets,
                     size_t size)
{
    size_t got;

    return disk_read(file->log_handle, offset, octets, size, &got) == DISK_OK && got == size;
}

static uint64_t frame_offset(uint32_t frame)
{
    return LOG_HEADER + (uint64_t)(frame - 1) * FRAME_SIZE;
}

/* The last frame of the last commit; 0: there is none. *pages: how long the database is then. */
static uint32_t find_last_commit(const struct damaged_file *file, uint32_t *pages)
{
    unsigned char header[LOG_HEADER], *frame = memory_alloc(FRAME_SIZE);
    struct log_sum sum = {0};
    uint32_t last = 0, magic;

    if (!read_log(file, 0, header, sizeof header)) {
        free(frame);
        return 0;
    }
    magic = read_u32(header);
    sum.is_big_endian = magic & 1;
    add_to_sum(&sum, header, 24);
    if ((magic & ~UINT32_C(1)) != 0x377f0682 || read_u32(header + 8) != SPOOL_PAGE_SIZE ||
        !is_sum(&sum, header + 24)) {
        free(frame);
        return 0;
    }
    for (uint32_t i = 1; read_log(file, frame_offset(i), frame, FRAME_SIZE); i++) {
        add_to_sum(&sum, frame, 8);
        add_to_sum(&sum, frame + FRAME_HEADER, SPOOL_PAGE_SIZE);
        if (memcmp(frame + 8, header + 16, 8) != 0 || !is_sum(&sum, frame + 16) ||
            read_u32(frame) == 0) {
            break;
        }
        if (read_u32(frame + 4) != 0) {
            last = i;
            *pages = read_u32(frame + 4);
        }
    }
    free(frame);
    return last;
}

static void use_log(struct damaged_file *file)
{
    uint32_t pages = 0, last = find_last_commit(file, &pages);
    unsigned char start[4];

    if (last == 0 || pages > PAGES_LIMIT) {
        return;
    }
    file->frames = memory_zero(((size_t)pages + 1) * sizeof *file->frames);
    file->frame_pages = pages;
    file->pages = pages;
    for (uint32_t i = 1; i <= last; i++) {
        if (read_log(file, frame_offset(i), start, sizeof start) && read_u32(start) <= pages) {
            file->frames[read_u32(start)] = i;
        }
    }
}

/* ---- the file ---- */

static void read_header(struct damaged_file *file)
{
    static const char magic[16] = "SQLite format 3";
    unsigned char *page = memory_alloc(SPOOL_PAGE_SIZE);
    uint32_t pages;

    if (damaged_file_read(file, 1, page)) {
        memcpy(file->header, page, sizeof file->header);
    }
    free(page);
    file->has_header = memcmp(file->header, magic, sizeof magic) == 0 &&
                       read_u32(file->header + 16) >> 16 == SPOOL_PAGE_SIZE &&
                       file->header[20] == 0;
    pages = read_u32(file->header + 28);
    /* What stands behind the end is no part of it. */
    if (file->has_header && file->frames == NULL && pages > 0 && pages < file->pages &&
        memcmp(file->header + 24, file->header + 92, 4) == 0) {
        file->pages = pages;
    }
}

static char *path_of(const char *directory, const char *name)
{
    size_t size = strlen(directory) + 1 + strlen(name) + 1;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static enum spool_status hold(const char *path, int *handle, struct strbuf *why)
{
    switch (disk_hold(path, handle)) {
    case DISK_OK:
        return SPOOL_OK;
    case DISK_LOCKED:
        strbuf_addf(why, "%s is in use by another process", path);
        return SPOOL_LOCKED;
    case DISK_MISSING:
        strbuf_addf(why, "there is no %s", path);
        return SPOOL_GONE;
    case DISK_FULL:
    case DISK_FAILED:
    case DISK_EXISTS:
        strbuf_addf(why, "%s cannot be opened", path);
        return SPOOL_FAILED;
    }
    abort();
}

struct damaged_file *damaged_file_open(const char *directory, enum spool_status *status,
                                       struct strbuf *why)
{
    char *path = path_of(directory, "spool.db"), *log_path = path_of(directory, "spool.db-wal");
    struct damaged_file *file = memory_zero(sizeof *file);
    uint64_t size = 0;

    file->log_handle = -1;
    *status = hold(path, &file->handle, why);
    if (*status != SPOOL_OK) {
        file->handle = -1;
        damaged_file_close(&file);
    } else {
        disk_size(file->handle, &size);
        size = (size + SPOOL_PAGE_SIZE - 1) / SPOOL_PAGE_SIZE;
        file->pages = size > PAGES_LIMIT ? PAGES_LIMIT : (uint32_t)size;
        if (disk_open_to_read(log_path, &file->log_handle) == DISK_OK) {
            use_log(file);
        } else {
            file->log_handle = -1;
        }
        read_header(file);
    }
    free(path);
    free(log_path);
    return file;
}

void damaged_file_close(struct damaged_file **file)
{
    if (*file == NULL) {
        return;
    }
    if ((*file)->log_handle >= 0) {
        disk_close((*file)->log_handle);
    }
    if ((*file)->handle >= 0) {
        disk_close((*file)->handle);
    }
    free((*file)->frames);
    free(*file);
    *file = NULL;
}

uint32_t damaged_file_pages(const struct damaged_file *file)
{
    return file->pages;
}

bool damaged_file_read(struct damaged_file *file, uint32_t page, unsigned char *octets)
{
    size_t got = 0;

    if (page == 0 || page > file->pages) {
        return false;
    }
    if (page <= file->frame_pages && file->frames[page] != 0) {
        return read_log(file, frame_offset(file->frames[page]) + FRAME_HEADER, octets,
                        SPOOL_PAGE_SIZE);
    }
    if (disk_read(file->handle, (uint64_t)(page - 1) * SPOOL_PAGE_SIZE, octets, SPOOL_PAGE_SIZE,
                  &got) != DISK_OK ||
        got == 0) {
        return false;
    }
    memset(octets + got, 0, SPOOL_PAGE_SIZE - got);
    return true;
}

bool damaged_file_has_header(const struct damaged_file *file)
{
    return file->has_header;
}

void damaged_file_free_list(const struct damaged_file *file, uint32_t *first, uint32_t *count)
{
    *first = read_u32(file->header + 32);
    *count = read_u32(file->header + 36);
}
