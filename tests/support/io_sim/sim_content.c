/*
 * The daemon's own content.c, its files without a name being on the simulated disk.
 */
#include "sim_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define open sim_content_open
#define pwrite sim_content_pwrite
#define pread sim_content_pread
#define close sim_content_close
#include "io/content.c"
