/*
 * history_files - the segments of a history as files: their names, which are there, which have to go.
 *
 * Shape   "2026-11-22.0001.db", a number for each segment of a UTC day, so that names sort by age. Each may
 *         have "-wal", "-shm" and "-journal" beside it. Other names in the directory are left alone.
 */
#ifndef IO_HISTORY_FILES_H
#define IO_HISTORY_FILES_H

#include "base/bytes.h"
#include "io/disk.h"

enum { HISTORY_NAME = 18, HISTORY_DAY = 10, HISTORY_NUMBER_MOST = 9999 };

struct history_file {
    char name[HISTORY_NAME + 1];
    uint64_t size; /* octets, with what stands beside it */
};

struct history_files {
    struct history_file *files; /* oldest first */
    size_t count, capacity;
};

/* The first HISTORY_DAY characters of the names of this day. */
void history_files_day(char day[HISTORY_DAY + 1], int64_t unix_ms);
void history_files_name(char name[HISTORY_NAME + 1], const char *day, unsigned number);
unsigned history_files_number(const char *name); /* of a name */
/* To be freed. */
char *history_files_path(const char *directory, const char *name);

/* DISK_MISSING: there is no directory, and so there are none. */
enum disk_status history_files_list(struct history_files *files, const char *directory);
void history_files_clear(struct history_files *files);
uint64_t history_files_octets(const struct history_files *files);
void history_files_delete(const char *directory, const char *name);

struct history_bounds {
    int64_t now_ms;
    uint64_t span_ms;    /* 0: nothing is too old */
    uint64_t size;       /* octets in all */
    const char *current; /* the name of the segment that is written to; it stays. NULL: none */
};

/* Deletes what is too old, then what is too much: what says it is of a day to come (a clock was wrong) first, then
 * the oldest. Returns the octets that are left. */
uint64_t history_files_trim(const char *directory, const struct history_bounds *bounds);

#endif
