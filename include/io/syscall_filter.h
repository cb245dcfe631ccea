/*
 * syscall_filter - the system calls this process still needs, and none else (seccomp).
 *
 * Use     once, before other threads are started; it holds for all threads and for good.
 * Rest    a call that is not on the list fails with EPERM when it is a known danger (programs, other
 *         processes, modules, mounts ...), with ENOSYS otherwise: what a next version of the C library tries
 *         first then does without. Strict: either ends the process (SIGSYS), for tests.
 * Threads yes, processes no; memory is writable or executable, never both; sockets of the families
 *         IPv4, IPv6, Unix and Netlink, none listening.
 */
#ifndef IO_SYSCALL_FILTER_H
#define IO_SYSCALL_FILTER_H

#include "io/sandbox.h"

/* *why gets the reason when it is not on. A sanitizer's build has none: its runtime needs more calls. */
enum sandbox_result syscall_filter_enter(bool is_strict, struct strbuf *why);

#endif
