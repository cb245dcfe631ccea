/*
 * load_counts - what load_generator and load_sink know together: a file both map.
 *
 * Each message carries "X-Load-Id: <run>-<sequence>", so the sink can tell whether every message
 * of a run came exactly once. The generator clears the counts when a run begins.
 */
#ifndef TESTS_BENCH_LOAD_COUNTS_H
#define TESTS_BENCH_LOAD_COUNTS_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOAD_MESSAGES_MAX 400000u /* in one run */

struct load_counts {
    _Atomic uint64_t run;            /* the sink counts only messages of this run */
    _Atomic uint64_t delivered;      /* duplicates left out */
    _Atomic uint64_t duplicates;     /* second copies */
    _Atomic uint64_t wrong_envelope; /* the sender is not an SRS0 address of today */
    _Atomic uint64_t foreign;        /* no id, or another run's: bounces, notices */
    _Atomic uint64_t connections;
    _Atomic int64_t last_ns; /* when the last message of the run came */
    _Atomic uint8_t seen[LOAD_MESSAGES_MAX];
};

static inline void die(const char *what)
{
    perror(what);
    exit(2);
}

static inline int64_t load_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct load_counts *load_counts_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(struct load_counts)) != 0) {
        die(path);
    }
    void *map =
        mmap(NULL, sizeof(struct load_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        die("mmap");
    }
    close(fd);
    return map;
}

#endif
