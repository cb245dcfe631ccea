/*
 * history - what the log said about messages, kept for a time so that it can be looked up.
 *
 * Shape    history_take is a receiver of log_watch: it copies lines into a bounded queue and never waits
 *          for the disk. A thread of its own asks `describe` what each is about and appends them, a
 *          second's worth in one commit, to a segment: a SQLite file of its own
 *          (DIRECTORY/2026-11-22.0001.db; a new one each UTC day, and at a sixteenth of the size), so that
 *          what is too old or too much is deleted file by file. io/history_search reads.
 * Promise  no line is kept longer than span_ms, rounded up to the whole day; the files together are at most
 *          `size` octets, give or take one batch. Mail never depends on it: a full disk, a damaged or foreign
 *          file, a directory that is gone or belongs to somebody else cost lines of history, which are
 *          counted and said in the log once until it works again. Every file may be deleted at any time.
 * Limit    HISTORY_QUEUE octets wait; what does not fit is dropped. HISTORY_KEYS keys of a line count.
 * Rights   files 0600, directory 0700. Below free_space octets on the file system nothing is written.
 * Clock    a wall clock that has jumped by more than an hour deletes nothing because of its age for an hour.
 * Threads  history_take by one thread at a time, the rest by one (another) thread.
 */
#ifndef IO_HISTORY_H
#define IO_HISTORY_H

#include "base/arena.h"
#include "base/bytes.h"

enum { HISTORY_QUEUE = 4 * 1024 * 1024, HISTORY_KEYS = 64 };

/* Values are compared octet by octet: addresses are given in lower case and without brackets, both when
 * they are kept and when they are asked for (daemon/event_keys does it for lines). */
enum history_kind {
    HISTORY_MESSAGE, /* our id of a message; with bounce_of, of both */
    HISTORY_SESSION,
    HISTORY_ADDRESS,
    HISTORY_MESSAGE_ID, /* the field of the header */
    HISTORY_EVENT,      /* the name of the event */
};

struct history_key {
    enum history_kind kind;
    struct bytes value;
};

/* What one line is about. */
struct history_facts {
    int64_t time_ms;   /* unix */
    struct bytes line; /* the part that is kept */
    struct history_key
        keys[HISTORY_KEYS]; /* the first: what it belongs to, a message or a session */
    size_t count;
};

/* Pure. False: the line is not kept. What it needs it takes of the arena. */
typedef bool history_describe(struct bytes line, struct arena *arena,
                              struct history_facts *facts);

struct history_settings {
    uint64_t span_ms; /* 0: off */
    uint64_t size;    /* octets, all files together */
    uint64_t free_space;
};

struct history_numbers {
    uint64_t kept, dropped; /* lines since the start */
    uint64_t octets;        /* of all files, as of the last look */
    bool is_in_trouble;     /* nothing can be written now */
};

struct history;

/* `directory` is *copied*; it is made when the first line is to be written, and so is the thread. */
struct history *history_new(const char *directory, const struct history_settings *settings,
                            history_describe *describe);
/* From now on; after trouble the next lines are tried at once. Off: what was kept stays. */
void history_set(struct history *history, const struct history_settings *settings);
/* Whole lines, each with its end. The context is the history. */
void history_take(void *context, struct bytes lines);
struct history_numbers history_numbers_now(struct history *history);
/* Waits until what was taken is kept or dropped; false: not within timeout_ms. */
bool history_flush(struct history *history, unsigned timeout_ms);
/* Writes out what waits, for two seconds at most; safe on NULL. Nothing may be taken any more. */
void history_free(struct history **history);

#endif
