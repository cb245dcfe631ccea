#include "history_files.h"

#include "base/calendar.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "io/file_read.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t DAY_MS = 86400000;

static const char *const BESIDE[] = {"-wal", "-shm", "-journal"};

enum { BESIDES = sizeof BESIDE / sizeof BESIDE[0] };

void history_files_day(char day[HISTORY_DAY + 1], int64_t unix_ms)
{
    struct strbuf text;

    strbuf_init(&text, 64);
    calendar_add_timestamp(&text, unix_ms < 0 ? 0 : unix_ms);
    memcpy(day, text.data, HISTORY_DAY);
    day[HISTORY_DAY] = '\0';
    strbuf_clear(&text);
}

void history_files_name(char name[HISTORY_NAME + 1], const char *day, unsigned number)
{
    snprintf(name, HISTORY_NAME + 1, "%.10s.%04u.db", day, number % (HISTORY_NUMBER_MOST + 1));
}

/* A digit wherever the pattern has one, else the same. */
static bool is_name(const char *text)
{
    static const char PATTERN[] = "0000-00-00.0000.db";

    for (size_t i = 0; i < sizeof PATTERN; i++) {
        if (PATTERN[i] == '0' ? !ascii_is_digit((unsigned char)text[i])
                              : text[i] != PATTERN[i]) {
            return false;
        }
    }
    return true;
}

unsigned history_files_number(const char *name)
{
    uint64_t number = 0;

    bytes_to_u64(bytes_of(name + HISTORY_DAY + 1, 4), &number);
    return (unsigned)number;
}

char *history_files_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static char *path_beside(const char *directory, const char *name, const char *suffix)
{
    size_t size = strlen(directory) + strlen(name) + strlen(suffix) + 2;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s%s", directory, name, suffix);
    return path;
}

static uint64_t size_of(const char *directory, const char *name, const char *suffix)
{
    char *path = path_beside(directory, name, suffix);
    struct file_stamp stamp;
    bool is_there = file_read_stamp(path, &stamp);

    free(path);
    return is_there ? stamp.size : 0;
}

static void add_name(void *context, const char *name)
{
    struct history_files *files = context;

    if (!is_name(name)) {
        return;
    }
    if (files->count == files->capacity) {
        files->capacity = files->capacity * 2 + 32;
        files->files = memory_resize(files->files, files->capacity, sizeof *files->files);
    }
    files->files[files->count] = (struct history_file){.size = 0};
    memcpy(files->files[files->count++].name, name, HISTORY_NAME);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct history_file *)a)->name,
                  ((const struct history_file *)b)->name);
}

enum disk_status history_files_list(struct history_files *files, const char *directory)
{
    enum disk_status status;

    *files = (struct history_files){.files = NULL};
    status = disk_list(directory, add_name, files);
    if (files->count > 1) {
        qsort(files->files, files->count, sizeof *files->files, compare_names);
    }
    for (size_t i = 0; i < files->count; i++) {
        struct history_file *file = &files->files[i];

        file->size = size_of(directory, file->name, "");
        for (size_t j = 0; j < BESIDES; j++) {
            file->size += size_of(directory, file->name, BESIDE[j]);
        }
    }
    return status;
}

void history_files_clear(struct history_files *files)
{
    free(files->files);
    *files = (struct history_files){.files = NULL};
}

uint64_t history_files_octets(const struct history_files *files)
{
    uint64_t octets = 0;

    for (size_t i = 0; i < files->count; i++) {
        octets += files->files[i].size;
    }
    return octets;
}

void history_files_delete(const char *directory, const char *name)
{
    char *path = history_files_path(directory, name);

    (void)disk_delete(path);
    free(path);
    for (size_t i = 0; i < BESIDES; i++) {
        path = path_beside(directory, name, BESIDE[i]);
        (void)disk_delete(path);
        free(path);
    }
}

static bool is_current(const struct history_bounds *bounds, const struct history_file *file)
{
    return bounds->current != NULL && strcmp(bounds->current, file->name) == 0;
}

static bool is_before(const struct history_file *file, const char *day)
{
    return strncmp(file->name, day, HISTORY_DAY) < 0;
}

/* Which one is deleted next, by its place; `count` when none is left that may be. */
static size_t find_victim(const struct history_files *files,
                          const struct history_bounds *bounds)
{
    char tomorrow[HISTORY_DAY + 1];
    size_t oldest = files->count;

    history_files_day(tomorrow, bounds->now_ms + DAY_MS);
    for (size_t i = files->count; i-- > 0;) {
        const struct history_file *file = &files->files[i];

        if (file->size == 0 || is_current(bounds, file)) {
            continue;
        }
        if (strncmp(file->name, tomorrow, HISTORY_DAY) > 0) {
            return i;
        }
        oldest = i;
    }
    return oldest;
}

uint64_t history_files_trim(const char *directory, const struct history_bounds *bounds)
{
    int64_t since_ms = bounds->now_ms - (int64_t)bounds->span_ms;
    char first_day[HISTORY_DAY + 1];
    struct history_files files;
    uint64_t octets;

    history_files_list(&files, directory);
    octets = history_files_octets(&files);
    history_files_day(first_day, since_ms);
    for (size_t i = 0; i < files.count && bounds->span_ms > 0; i++) {
        if (is_before(&files.files[i], first_day) && !is_current(bounds, &files.files[i])) {
            history_files_delete(directory, files.files[i].name);
            octets -= files.files[i].size;
            files.files[i].size = 0;
        }
    }
    while (octets > bounds->size) {
        size_t victim = find_victim(&files, bounds);

        if (victim == files.count) {
            break;
        }
        history_files_delete(directory, files.files[victim].name);
        octets -= files.files[victim].size;
        files.files[victim].size = 0;
    }
    history_files_clear(&files);
    return octets;
}
