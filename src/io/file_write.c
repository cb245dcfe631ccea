#include "io/file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.data, text.len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        text = bytes_skip(text, written > 0 ? (size_t)written : 0);
    }
    return true;
}

enum file_write_status file_write_secret(const char *path, struct bytes text,
                                         struct strbuf *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
    bool is_written;

    if (fd < 0) {
        bool exists = errno == EEXIST;
        strbuf_add_text(why, strerror(errno));
        return exists ? FILE_WRITE_EXISTS : FILE_WRITE_FAILED;
    }
    is_written = write_all(fd, text) && fsync(fd) == 0;
    if (!is_written) {
        strbuf_add_text(why, strerror(errno));
    }
    if (close(fd) != 0 && is_written) {
        strbuf_add_text(why, strerror(errno));
        is_written = false;
    }
    if (!is_written) {
        (void)unlink(path);
    }
    return is_written ? FILE_WRITE_OK : FILE_WRITE_FAILED;
}
