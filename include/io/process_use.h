/*
 * process_use - what this process uses of the machine.
 *
 * Cost   a few system calls; the descriptors are counted by reading a directory.
 */
#ifndef IO_PROCESS_USE_H
#define IO_PROCESS_USE_H

#include <stdint.h>

/* 0: not known. */
struct process_use {
    uint64_t resident, virtual_size; /* octets of memory */
    uint64_t descriptors, descriptor_limit;
    uint64_t cpu_ms; /* user and system, all threads */
    uint64_t threads;
};

void process_use_now(struct process_use *use);

#endif
