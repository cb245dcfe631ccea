/*
 * process - this process, its children, its threads.
 *
 * Signals   arrive as callbacks on a loop. process_signals_start and process_children_start block them in
 *           the calling thread: call them on the main thread before other threads are started
 *           (those of this room block all signals themselves).
 * Children  process_spawn forks: parent with one thread only. The child has default signals (those
 *           its parent takes on a loop wait until it takes them itself) and must
 *           leave the parent's loops and log thread alone: it makes its own. It is killed (SIGKILL:
 *           what was answered 250 is safe, and nothing stands in a new supervisor's way) when
 *           its parent dies.
 * Privileges  dropped for good: supplementary groups, real, effective and saved ids; no_new_privs;
 *           checked afterwards.
 * Errors    *why* names the step and the system's error, for the operator.
 */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "base/strbuf.h"
#include "io/event_loop.h"

#include <signal.h> /* SIGTERM, SIGINT, SIGHUP for whoever handles them */

/* SIGTERM, SIGINT, SIGHUP and SIGUSR2; one receiver per process. */
void process_signals_start(struct event_loop *loop,
                           void (*on_signal)(void *context, int number), void *context);
/* No callback after this. The signals stay blocked: a process on its way out is not disturbed. */
void process_signals_stop(void);

struct process_end {
    int id;
    int status; /* exit status, or -1 when a signal ended it */
    int signal; /* that signal, or 0 */
};

/* on_end runs once for every child that ends; one receiver per process. */
void process_children_start(struct event_loop *loop,
                            void (*on_end)(void *context, const struct process_end *end),
                            void *context);
void process_children_stop(void);
/* The child runs `run` and exits with what it returns. Returns its id, or -1 and *why. */
int process_spawn(const char *name, int (*run)(void *context), void *context,
                  struct strbuf *why);
void process_send_signal(int id, int number);
/* The program of this process as it was called; what lies there now may be a newer one. Valid for good. */
const char *process_program(void);
/* Becomes another program, with this process id; returns when that fails. In a child a deadline can be set:
 * then the system ends it. */
void process_become(const char *const *arguments, unsigned deadline_s, struct strbuf *why);

bool process_is_root(void);
/* The number of the account, or of the one we run as when the name is empty. False: there is none. */
bool process_find_user(const char *name, unsigned *id);
/* Becomes `user`. Started as that user already: fine, the rest is done. */
bool process_drop_privileges(const char *user, struct strbuf *why);
/* Raises the limit of open files as far as it goes, and the hard one to `wanted` where that is allowed;
 * returns it. */
uint64_t process_raise_file_limit(uint64_t wanted);
/* Writing to a closed pipe or socket is an error, not the end. */
void process_ignore_broken_pipes(void);

/* Sleeps. For the start of a process only: nothing else happens meanwhile. */
void process_pause_ms(unsigned ms);
int process_id(void);
size_t process_cpu_count(void); /* that this process may run on; at least 1 */
void process_add_host_name(struct strbuf *out);
_Noreturn void process_exit(int status); /* writes out the log first */

struct process_thread;

/* `name` is shown by top and gdb, 15 octets of it. Never NULL. */
struct process_thread *process_thread_start(const char *name, void (*run)(void *context),
                                            void *context);
void process_thread_join(struct process_thread **thread); /* safe on NULL; sets it to NULL */

#endif
