/*
 * spool_vfs - SQLite's view of the disk: one process, few system calls, nothing believed twice.
 *
 * Log      what is appended to the write-ahead log waits in memory and goes out in one write
 * just before the sync (SQLite alone makes two writes a page). Locks    between the connections
 * of this process only, in memory, as is the log's index: the database must be held against
 * other processes with disk_lock. Errors   spool_vfs_trouble tells what the disk said first.
 * After trouble, close all connections without a checkpoint and call spool_vfs_cut_log before
 * opening again: a sync that failed may have left the end of the log in the page cache only.
 * Threads  connections may be used by different threads, each connection by one at a time.
 */
#ifndef IO_SPOOL_VFS_H
#define IO_SPOOL_VFS_H

#include "io/disk.h"

struct spool_vfs;

struct spool_vfs *spool_vfs_new(void);
void spool_vfs_free(struct spool_vfs **vfs); /* when its connections are closed */
/* The name for sqlite3_open_v2. */
const char *spool_vfs_name(const struct spool_vfs *vfs);
enum disk_status spool_vfs_trouble(const struct spool_vfs *vfs);
void spool_vfs_forget_trouble(struct spool_vfs *vfs);
/* While frozen nothing is written: every attempt fails. */
void spool_vfs_freeze(struct spool_vfs *vfs, bool freeze);
/* Cuts the log of this database back to what was synced, and syncs that. To be tried again until it is
 * DISK_OK. One thread at a time. */
enum disk_status spool_vfs_cut_log(struct spool_vfs *vfs, const char *database_path);
/* Makes a name safe: syncs the directory it stands in. */
enum disk_status spool_vfs_sync_parent(const char *path);

#endif
