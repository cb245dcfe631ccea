#include "io/content.h"

#include "base/memory.h"
#include "base/shared.h"
#include "io/memory_use.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FIRST_CAPACITY = 8 * 1024,
    WRITE_SIZE = 64 * 1024, /* octets gathered for one write to the file */
};

struct content {
    struct shared shared;
    const char *directory;
    /* All octets; or, once there is a file, those behind its first file_size. */
    char *memory;
    size_t memory_len;
    size_t memory_capacity;
    int file; /* or -1 */
    uint64_t file_size;
    bool is_sealed;
    enum content_status status;
};

static atomic_size_t memory_held; /* by all contents of this process */

static void set_capacity(struct content *content, size_t capacity)
{
    /* Modulo arithmetic: less is added as a very large number. */
    atomic_fetch_add_explicit(&memory_held, capacity - content->memory_capacity,
                              memory_order_relaxed);
    memory_use_change(content->memory_capacity, capacity);
    content->memory_capacity = capacity;
}

static void drop_memory(struct content *content)
{
    free(content->memory);
    content->memory = NULL;
    set_capacity(content, 0);
}

static size_t memory_limit(void)
{
    if (memory_use_is_over()) {
        return CONTENT_MEMORY_SHORT;
    }
    return atomic_load_explicit(&memory_held, memory_order_relaxed) > CONTENT_MEMORY_TOTAL
               ? CONTENT_MEMORY_LEAST
               : CONTENT_MEMORY_LIMIT;
}

static void destroy_content(struct shared *shared)
{
    struct content *content = (struct content *)(void *)shared;

    if (content->file >= 0) {
        close(content->file);
    }
    drop_memory(content);
    free(content);
}

struct content *content_new(const char *directory)
{
    struct content *content = memory_zero(sizeof *content);

    shared_init(&content->shared, destroy_content);
    content->directory = directory;
    content->file = -1;
    return content;
}

/* Final for this content. */
static enum content_status fail(struct content *content, int error)
{
    bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;

    content->status = is_full ? CONTENT_FULL : CONTENT_FAILED;
    drop_memory(content);
    content->memory_len = 0;
    return content->status;
}

/* A file that nobody can find, in the file system where the spool will name it. */
static int open_nameless(const char *directory)
{
    char path[4096];
    int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return file;
    }
    /* This file system has no O_TMPFILE. */
    if ((size_t)snprintf(path, sizeof path, "%s/content.XXXXXX", directory) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) {
        unlink(path);
    }
    return file;
}

static enum content_status write_out(struct content *content, struct bytes octets)
{
    while (octets.len > 0) {
        ssize_t written =
            pwrite(content->file, octets.data, octets.len, (off_t)content->file_size);

        if (written < 0 && errno != EINTR) {
            return fail(content, errno);
        }
        if (written > 0) {
            content->file_size += (uint64_t)written;
            octets = bytes_skip(octets, (size_t)written);
        }
    }
    return CONTENT_OK;
}

static enum content_status write_out_memory(struct content *content)
{
    enum content_status status =
        write_out(content, bytes_of(content->memory, content->memory_len));

    content->memory_len = 0;
    return status;
}

static enum content_status move_to_file(struct content *content)
{
    content->file = open_nameless(content->directory);
    if (content->file < 0) {
        return fail(content, errno);
    }
    if (write_out_memory(content) != CONTENT_OK) {
        return content->status;
    }
    if (memory_use_is_over()) {
        drop_memory(content);
    } else {
        content->memory = memory_resize(content->memory, WRITE_SIZE, 1);
        set_capacity(content, WRITE_SIZE);
    }
    return CONTENT_OK;
}

static void add_to_memory(struct content *content, struct bytes octets)
{
    size_t capacity = content->memory_capacity == 0 ? FIRST_CAPACITY : content->memory_capacity;

    while (capacity < content->memory_len + octets.len) {
        capacity *= 2;
    }
    if (capacity != content->memory_capacity) {
        content->memory = memory_resize(content->memory, capacity, 1);
        set_capacity(content, capacity);
    }
    memcpy(content->memory + content->memory_len, octets.data, octets.len);
    content->memory_len += octets.len;
}

static enum content_status add_to_file(struct content *content, struct bytes octets)
{
    bool is_short = memory_use_is_over();
    size_t gathered = is_short ? CONTENT_MEMORY_SHORT : WRITE_SIZE;

    if (content->memory_len + octets.len > gathered &&
        write_out_memory(content) != CONTENT_OK) {
        return content->status;
    }
    if (is_short && content->memory_len == 0) {
        drop_memory(content);
    }
    if (octets.len >= gathered) {
        return write_out(content, octets);
    }
    add_to_memory(content, octets);
    return CONTENT_OK;
}

enum content_status content_append(struct content *content, struct bytes octets)
{
    assert(!content->is_sealed);
    if (content->status != CONTENT_OK || octets.len == 0) {
        return content->status;
    }
    if (content->file < 0) {
        if (content->memory_len + octets.len <= memory_limit()) {
            add_to_memory(content, octets);
            return CONTENT_OK;
        }
        if (move_to_file(content) != CONTENT_OK) {
            return content->status;
        }
    }
    return add_to_file(content, octets);
}

enum content_status content_seal(struct content *content)
{
    content->is_sealed = true;
    if (content->status == CONTENT_OK && content->file >= 0) {
        write_out_memory(content);
        drop_memory(content);
    }
    return content->status;
}

struct content *content_from_bytes(struct bytes octets)
{
    struct content *content = content_new(NULL);

    if (octets.len > 0) {
        content->memory = memory_alloc(octets.len);
        content->memory_len = octets.len;
        set_capacity(content, octets.len);
        memcpy(content->memory, octets.data, octets.len);
    }
    content->is_sealed = true;
    return content;
}

struct content *content_from_file(int handle, uint64_t size)
{
    struct content *content = content_new(NULL);

    content->file = handle;
    content->file_size = size;
    content->is_sealed = true;
    return content;
}

uint64_t content_size(const struct content *content)
{
    return content->file_size + content->memory_len;
}

struct bytes content_memory(const struct content *content)
{
    if (content->file >= 0 || content->status != CONTENT_OK) {
        return (struct bytes){NULL, 0};
    }
    return content->memory == NULL ? BYTES("") : bytes_of(content->memory, content->memory_len);
}

static bool read_file(const struct content *content, uint64_t offset, char *data, size_t size,
                      size_t *got)
{
    while (*got < size) {
        ssize_t part = pread(content->file, data + *got, size - *got, (off_t)(offset + *got));

        if (part == 0 || (part < 0 && errno != EINTR)) {
            return false; /* shorter than it was written: as bad as an error */
        }
        *got += part > 0 ? (size_t)part : 0;
    }
    return true;
}

bool content_read(const struct content *content, uint64_t offset, void *data, size_t size,
                  size_t *got)
{
    uint64_t total = content_size(content);
    size_t from_file = 0;

    *got = 0;
    if (content->status != CONTENT_OK) {
        return false;
    }
    if (offset >= total) {
        return true;
    }
    size = size < total - offset ? size : (size_t)(total - offset);
    if (offset < content->file_size) {
        from_file =
            size < content->file_size - offset ? size : (size_t)(content->file_size - offset);
    }
    if (from_file > 0 && !read_file(content, offset, data, from_file, got)) {
        return false;
    }
    if (size > from_file) {
        memcpy((char *)data + from_file,
               content->memory + (offset + from_file - content->file_size), size - from_file);
        *got = size;
    }
    return true;
}

int content_file(const struct content *content)
{
    return content->file;
}

void content_hold(struct content *content)
{
    shared_hold(&content->shared);
}

void content_drop(struct content **content)
{
    if (*content != NULL) {
        shared_drop(&(*content)->shared);
        *content = NULL;
    }
}
