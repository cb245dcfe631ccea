/*
 * The daemon's own log.c, its lines going to the world's log instead of standard error. log_start
 * is not called in the simulation: lines are written by whoever makes them.
 */
#include "sim_internal.h"

#include <unistd.h>

#define write sim_log_write
#include "io/log.c"
