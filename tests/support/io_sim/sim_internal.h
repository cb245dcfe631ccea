/*
 * sim_internal - what the parts of the simulated world need from each other.
 *
 * Event    something that happens at a time; a member of what it is about. With a loop it runs as
 *          one of its callbacks: deferred work follows, and not at all when its host has no power.
 */
#ifndef TESTS_IO_SIM_SIM_INTERNAL_H
#define TESTS_IO_SIM_SIM_INTERNAL_H

#include "sim_world.h"

#include "base/list.h"
#include "io/event_loop.h"

struct sim_event {
    uint64_t when_us, order;
    size_t place; /* in the agenda + 1; 0: not in it */
    struct event_loop *loop;
    void (*run)(void *context);
    void *context;
};

/* Puts it in, or moves it. Not before now. */
void sim_event_set(struct sim_event *event, uint64_t when_us);
void sim_event_after(struct sim_event *event, uint64_t delay_us);
void sim_event_stop(struct sim_event *event);
uint64_t sim_now_us(void);
uint64_t sim_random_u64(void);

enum sim_host sim_host_at_work(void);
bool sim_host_is_on(enum sim_host host);

/* Things a loop frees when its turn ends. */
struct sim_garbage {
    struct list link;
    void (*destroy)(struct sim_garbage *garbage);
};

enum sim_host sim_loop_host(const struct event_loop *loop);
void sim_loop_defer_flush(struct event_loop *loop, struct loop_task *task);
void sim_loop_discard(struct event_loop *loop, struct sim_garbage *garbage);
void sim_loop_enter(struct event_loop *loop);
void sim_loop_leave(struct event_loop *loop);

/* Beginning, power cut and end of each part. */
void sim_disk_begin(void);
void sim_disk_restore(void);
void sim_disk_end(void);
void sim_network_begin(void);
void sim_network_cut(void);
/* Finishing streams belong to the loop and go with it. */
void sim_streams_forget_loop(struct event_loop *loop);
void sim_network_end(void);
void sim_dns_begin(void);
void sim_dns_end(void);
void sim_state_begin(void);
void sim_state_end(void);

/* content.c on the simulated disk. */
int sim_content_open(const char *path, int flags, ...);
long sim_content_pwrite(int handle, const void *data, size_t size, long offset);
long sim_content_pread(int handle, void *data, size_t size, long offset);
int sim_content_close(int handle);
/* log.c on the world's log. */
long sim_log_write(int handle, const void *data, size_t size);

#endif
