/*
 * Content that is too large for a row: a file of its own, named and synced before the commit
 * that names it, removed after the commit that drops it.
 */
#include "spool_internal.h"

#include "base/memory.h"
#include "base/siphash.h"

#include <stdio.h>
#include <stdlib.h>

enum { ID_DIGITS = 16 };

char *spool_content_path(const struct spool_database *database, uint64_t id)
{
    size_t size = strlen(database->content_directory) + 1 + ID_DIGITS + 1;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%016llx", database->content_directory, (unsigned long long)id);
    return path;
}

bool spool_content_is_large(const struct content *content)
{
    return content != NULL &&
           (content_file(content) >= 0 || content_size(content) > CONTENT_MEMORY_LIMIT);
}

uint64_t spool_content_checksum(const struct spool_message *message, struct bytes content)
{
    /* Not a secret: it finds octets that changed on the disk. SipHash is the fastest here. */
    static const struct siphash_key key = {{0x706f7374696c696f, 0x6e}};
    struct siphash_key chained = key;

    chained.words[1] ^= siphash(&chained, message->envelope);
    chained.words[1] ^= siphash(&chained, message->prefix);
    return siphash(&chained, content);
}

bool spool_request_has_file(const struct spool_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct spool_change *change = &request->changes[i];

        if (change->kind == SPOOL_ADD && spool_content_is_large(change->message->content)) {
            return true;
        }
    }
    return false;
}

static enum spool_status status_of_disk(enum disk_status status)
{
    switch (status) {
    case DISK_OK:
        return SPOOL_OK;
    case DISK_FULL:
        return SPOOL_FULL;
    case DISK_FAILED:
    case DISK_MISSING:
    case DISK_EXISTS:
    case DISK_LOCKED:
        return SPOOL_FAILED;
    }
    abort();
}

static enum disk_status copy_to(const struct content *content, int handle)
{
    enum disk_status status = DISK_OK;
    size_t size = 64 * 1024, got = size;
    char *part = memory_alloc(size);

    for (uint64_t offset = 0; status == DISK_OK && got == size; offset += got) {
        if (!content_read(content, offset, part, size, &got)) {
            status = DISK_FAILED;
        } else {
            status = disk_write(handle, offset, bytes_of(part, got));
        }
    }
    free(part);
    return status;
}

/* A copy, where the file cannot be given a name or there is none. */
static enum disk_status write_copy(const struct content *content, const char *path)
{
    enum disk_status status;
    int handle;

    if (disk_exists(path)) {
        return DISK_EXISTS;
    }
    status = disk_open(path, true, &handle);
    if (status != DISK_OK) {
        return status;
    }
    status = copy_to(content, handle);
    if (status == DISK_OK) {
        status = disk_sync(handle);
    }
    disk_close(handle);
    if (status != DISK_OK) {
        disk_delete(path);
    }
    return status;
}

static enum disk_status store_file(const struct content *content, const char *path)
{
    int handle = content_file(content);
    enum disk_status status;

    if (handle < 0) {
        return write_copy(content, path);
    }
    status = disk_sync(handle); /* octets first: a name must never stand for half a message */
    if (status != DISK_OK) {
        return status;
    }
    status = disk_link(handle, path);
    if (status == DISK_FAILED || status == DISK_MISSING) {
        status = write_copy(content, path); /* another file system, or no /proc */
    }
    return status;
}

static void remove_file(const struct spool_database *database, uint64_t id)
{
    char *path = spool_content_path(database, id);

    disk_delete(path);
    free(path);
}

void spool_database_store_content(const struct spool_database *database,
                                  struct spool_request *request)
{
    enum disk_status status = DISK_OK;
    size_t done = 0;

    for (; done < request->count && status == DISK_OK; done++) {
        const struct spool_change *change = &request->changes[done];
        char *path;

        if (change->kind != SPOOL_ADD || !spool_content_is_large(change->message->content)) {
            continue;
        }
        path = spool_content_path(database, change->message->id);
        status = store_file(change->message->content, path);
        free(path);
        if (status != DISK_OK) {
            break;
        }
    }
    if (status == DISK_OK) {
        status = disk_sync_directory(database->content_directory);
    }
    request->status = status_of_disk(status);
    request->is_stored = status == DISK_OK;
    for (size_t i = 0; i < done && status != DISK_OK; i++) {
        const struct spool_change *change = &request->changes[i];

        if (change->kind == SPOOL_ADD && spool_content_is_large(change->message->content)) {
            remove_file(database, change->message->id);
        }
    }
}

static void remove_orphan(void *context, const char *name)
{
    struct spool_database *database = context;
    sqlite3_stmt *statement = database->statements[STATEMENT_HAS_MESSAGE];
    char *end;
    uint64_t id = strtoull(name, &end, 16);
    int code;

    if (strlen(name) != ID_DIGITS || *end != '\0') {
        return; /* not ours */
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    code = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (code == SQLITE_DONE) {
        remove_file(database, id);
    }
}

void spool_content_remove_orphans(struct spool_database *database)
{
    disk_list(database->content_directory, remove_orphan, database);
}
