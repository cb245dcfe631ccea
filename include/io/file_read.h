/*
 * file_read - whole files and lists of files, for configuration.
 *
 * Limit   given by the caller in octets; a bigger file is an error, not a cut one.
 * Errors  *why gets the reason in words ("No such file or directory").
 */
#ifndef IO_FILE_READ_H
#define IO_FILE_READ_H

#include "base/arena.h"
#include "base/strbuf.h"

/* Tells whether a file is still the one that was read. */
struct file_stamp {
    int64_t modified_ns;
    uint64_t size;
    uint64_t inode;
    bool is_open_to_others;     /* anybody may read it */
    bool is_writable_by_others; /* anybody may write it */
};

/* Who may do what with something that need not be readable. */
struct file_rights {
    unsigned owner;
    bool is_directory;
    bool is_sticky; /* a directory whose names only their owners may remove */
    bool others_may_write;
    unsigned mode; /* permission bits */
};

/* Replaces what is in *out; no copy is made. `stamp` may be NULL. */
bool file_read_whole(const char *path, size_t limit, struct strbuf *out,
                     struct file_stamp *stamp, struct strbuf *why);
/* Standard input to its end, up to the limit of *out. */
bool file_read_input(struct strbuf *out, struct strbuf *why);
/* False: it is not there, or nobody may look. */
bool file_read_rights(const char *path, struct file_rights *rights);
bool file_read_stamp(const char *path, struct file_stamp *stamp);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
/* Without symbolic links; as it is when there is no such file. */
const char *file_real_path(const char *path, struct arena *arena);
/* Paths that match a shell pattern, sorted; their number. */
size_t file_glob(const char *pattern, struct arena *arena, char ***paths);
/* Is there such a file or directory? */
bool file_exists(const char *path);

#endif
