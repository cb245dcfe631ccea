/*
 * disk_recorder - notes what the shipped code does to real files, and makes what a power cut could
 * have left of it.
 *
 * Use     include it in one file of a test that is linked with DISK_RECORDER_LINKING (tests/
 *         targets_durability.mk): the system calls of io/disk and io/content go through here,
 *         and then to the real files. Nothing of io is replaced, nothing built differently.
 * Noted   names, writes, cuts of length, syncs of files and directories, and what the test says
 *         in between, below one root directory. A sync is two entries, begun and done: it covers
 *         what was written before it began.
 * Cut     recorder_restore makes the state after the first `end` entries. What was not synced
 *         then has survived as `enum survival` says, drawn from a seed.
 * Threads two at most, one at a time: at each entry and each mutex the seed says who goes on, so
 *         that the same seed gives the same recording.
 */
#ifndef TESTS_SUPPORT_DISK_RECORDER_H
#define TESTS_SUPPORT_DISK_RECORDER_H

#include "base/memory.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDER_SECTOR = 512, RECORDER_NAMES = 128, RECORDER_DESCRIPTORS = 1024 };

enum survival {
    SURVIVES_ALL,       /* the process died, the machine lives */
    SURVIVES_NOTHING,   /* of what was not synced */
    SURVIVES_TORN,      /* all but the end of the last write */
    SURVIVES_REORDERED, /* any of the writes, lengths and names, each as a whole */
    SURVIVES_SECTORS,   /* any 512 octets of any write */
    SURVIVES_BY_FILE,   /* all of some files and names, nothing of others */
    SURVIVAL_COUNT,
};

enum entry_kind {
    ENTRY_NAME,
    ENTRY_UNNAME,
    ENTRY_WRITE,
    ENTRY_LENGTH,
    ENTRY_SYNC_BEGUN,
    ENTRY_SYNC_DONE,
    ENTRY_DIRECTORY_SYNC_BEGUN,
    ENTRY_DIRECTORY_SYNC_DONE,
    ENTRY_SUBMITTED, /* the test's: a commit is under way */
    ENTRY_ANSWERED,  /* it was answered: it has happened */
};

struct entry {
    enum entry_kind kind;
    int file, name; /* or -1; of a directory: its name */
    uint64_t offset;
    size_t size; /* of data, or the length */
    char *data;
    size_t begun; /* *_DONE: the entry it began with */
};

struct recorded_file {
    bool is_directory;
    char *data; /* when the recording began: on stable storage */
    size_t size;
};

struct recorded_name {
    char path[120]; /* below the root; the root itself is "" */
    int parent;     /* a name */
    int first;      /* the file when the recording began, or -1 */
    int now;
};

struct recording {
    char root[100];
    struct entry *entries;
    size_t count, capacity;
    struct recorded_file *files;
    size_t file_count;
    struct recorded_name names[RECORDER_NAMES];
    size_t name_count;
};

/* What a lying disk would do: these syncs are answered, and mean nothing. */
static const char *recorder_lie; /* of files with such a path; NULL: none */
static bool recorder_lies_about_names;

static struct recording *recorder;                           /* under way, or NULL */
static int recorder_descriptors[RECORDER_DESCRIPTORS];       /* file + 1 */
static int recorder_directory_handles[RECORDER_DESCRIPTORS]; /* name + 1 */

/* ---- one thread at a time ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    bool is_live[2];
    int turn;
    uint64_t seed;
} recorder_baton = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {false, false}, 0, 0};

static _Thread_local int recorder_actor = -1;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static uint64_t recorder_random(uint64_t *seed)
{
    /* splitmix64 */
    uint64_t mixed = (*seed += 0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

static void recorder_wait_for_turn(void)
{
    __real_pthread_mutex_lock(&recorder_baton.mutex);
    while (recorder_baton.turn != recorder_actor) {
        pthread_cond_wait(&recorder_baton.passed, &recorder_baton.mutex);
    }
    pthread_mutex_unlock(&recorder_baton.mutex);
}

static void recorder_pass(void)
{
    __real_pthread_mutex_lock(&recorder_baton.mutex);
    recorder_baton.turn = 1 - recorder_actor;
    pthread_cond_broadcast(&recorder_baton.passed);
    pthread_mutex_unlock(&recorder_baton.mutex);
}

static bool recorder_has_company(void)
{
    return recorder_actor >= 0 && recorder_baton.is_live[1 - recorder_actor];
}

static void recorder_step(void)
{
    if (recorder_has_company() && recorder_random(&recorder_baton.seed) % 2 == 0) {
        recorder_pass();
        recorder_wait_for_turn();
    }
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!recorder_has_company()) {
        return __real_pthread_mutex_lock(mutex);
    }
    recorder_step();
    while (pthread_mutex_trylock(mutex) != 0) {
        assert(recorder_has_company()); /* or nobody is left to unlock it */
        recorder_pass();
        recorder_wait_for_turn();
    }
    return 0;
}

struct recorder_task {
    void (*run)(void *context);
    void *context;
};

static void recorder_leave(void)
{
    recorder_baton.is_live[recorder_actor] = false;
    recorder_pass();
    recorder_actor = -1;
}

static void *recorder_run_task(void *context)
{
    struct recorder_task *task = context;

    recorder_actor = 1;
    recorder_wait_for_turn();
    task->run(task->context);
    recorder_leave();
    return NULL;
}

/* Runs both at once, as far as the seed lets each. */
static void recorder_run_both(uint64_t seed, struct recorder_task first,
                              struct recorder_task second)
{
    pthread_t thread;

    recorder_baton.is_live[0] = recorder_baton.is_live[1] = true;
    recorder_baton.seed = seed;
    recorder_baton.turn = 0;
    recorder_actor = 0;
    if (pthread_create(&thread, NULL, recorder_run_task, &second) != 0) {
        abort();
    }
    first.run(first.context);
    recorder_leave();
    pthread_join(thread, NULL);
}

/* ---- noting ---- */

static size_t recorder_note(struct entry entry)
{
    struct recording *recording = recorder;

    if (recording->count == recording->capacity) {
        recording->capacity = recording->capacity * 2 + 256;
        recording->entries =
            memory_resize(recording->entries, recording->capacity, sizeof(*recording->entries));
    }
    recording->entries[recording->count] = entry;
    return recording->count++;
}

/* The place below the root, or NULL. */
static const char *recorder_below(const char *path)
{
    size_t length = recorder == NULL ? 0 : strlen(recorder->root);

    if (recorder == NULL || strncmp(path, recorder->root, length) != 0 ||
        (path[length] != '/' && path[length] != '\0')) {
        return NULL;
    }
    return path[length] == '/' ? path + length + 1 : path + length;
}

static int recorder_name(struct recording *recording, const char *path)
{
    struct recorded_name *name;
    const char *slash = strrchr(path, '/');
    char parent[sizeof(name->path)];

    for (size_t i = 0; i < recording->name_count; i++) {
        if (strcmp(recording->names[i].path, path) == 0) {
            return (int)i;
        }
    }
    assert(strlen(path) < sizeof(parent) && recording->name_count + 2 < RECORDER_NAMES);
    snprintf(parent, sizeof(parent), "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
    int above = path[0] == '\0' ? -1 : recorder_name(recording, parent);

    name = &recording->names[recording->name_count];
    snprintf(name->path, sizeof(name->path), "%s", path);
    name->parent = above;
    name->first = name->now = -1;
    return (int)recording->name_count++;
}

static int recorder_file(struct recording *recording, bool is_directory)
{
    recording->files =
        memory_resize(recording->files, recording->file_count + 1, sizeof(*recording->files));
    recording->files[recording->file_count] =
        (struct recorded_file){.is_directory = is_directory};
    return (int)recording->file_count++;
}

static void recorder_give_name(const char *below, int file)
{
    int name = recorder_name(recorder, below);

    recorder->names[name].now = file;
    recorder_note((struct entry){.kind = ENTRY_NAME, .file = file, .name = name});
}

static void recorder_opened(int descriptor, const char *path, int flags)
{
    const char *below = recorder_below(path);
    int name, file;

    assert(descriptor < RECORDER_DESCRIPTORS);
    recorder_descriptors[descriptor] = recorder_directory_handles[descriptor] = 0;
    if (below == NULL) {
        return;
    }
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        recorder_descriptors[descriptor] = recorder_file(recorder, false) + 1;
        return;
    }
    name = recorder_name(recorder, below);
    if ((flags & O_DIRECTORY) != 0) {
        recorder_directory_handles[descriptor] = name + 1;
        return;
    }
    file = recorder->names[name].now;
    if (file < 0) {
        file = recorder_file(recorder, false);
        recorder_give_name(below, file);
    }
    recorder_descriptors[descriptor] = file + 1;
}

static int recorder_file_of(int descriptor)
{
    return recorder == NULL ? -1 : recorder_descriptors[descriptor] - 1;
}

/* ---- system calls ---- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_close(int descriptor);
int __wrap_close(int descriptor);
ssize_t __real_pwrite(int descriptor, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int descriptor, const void *data, size_t size, off_t offset);
int __real_ftruncate(int descriptor, off_t size);
int __wrap_ftruncate(int descriptor, off_t size);
int __wrap_fdatasync(int descriptor);
int __wrap_fsync(int descriptor);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_linkat(int from, const char *path, int to, const char *new_path, int flags);
int __wrap_linkat(int from, const char *path, int to, const char *new_path, int flags);

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;
    int descriptor;

    va_start(arguments, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    recorder_step();
    descriptor = __real_open(path, flags, mode);
    if (recorder != NULL && descriptor >= 0) {
        recorder_opened(descriptor, path, flags);
    }
    return descriptor;
}

int __wrap_close(int descriptor)
{
    if (recorder != NULL) {
        recorder_descriptors[descriptor] = recorder_directory_handles[descriptor] = 0;
    }
    return __real_close(descriptor);
}

ssize_t __wrap_pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    int file = recorder_file_of(descriptor);
    ssize_t done;

    recorder_step();
    done = __real_pwrite(descriptor, data, size, offset);
    if (file >= 0 && done > 0) {
        char *copy = memory_alloc((size_t)done);

        memcpy(copy, data, (size_t)done);
        recorder_note((struct entry){.kind = ENTRY_WRITE,
                                     .file = file,
                                     .name = -1,
                                     .offset = (uint64_t)offset,
                                     .size = (size_t)done,
                                     .data = copy});
    }
    return done;
}

int __wrap_ftruncate(int descriptor, off_t size)
{
    int file = recorder_file_of(descriptor);
    int result;

    recorder_step();
    result = __real_ftruncate(descriptor, size);
    if (file >= 0 && result == 0) {
        recorder_note((struct entry){
            .kind = ENTRY_LENGTH, .file = file, .name = -1, .size = (size_t)size});
    }
    return result;
}

/* The real sync would tell us nothing: no power is cut. */
static int recorder_sync(int descriptor)
{
    int file = recorder_file_of(descriptor);
    int name = recorder == NULL ? -1 : recorder_directory_handles[descriptor] - 1;
    struct entry entry = {.file = file, .name = name};

    recorder_step();
    if (file < 0 && name < 0) {
        return 0;
    }
    entry.kind = file >= 0 ? ENTRY_SYNC_BEGUN : ENTRY_DIRECTORY_SYNC_BEGUN;
    entry.begun = recorder_note(entry);
    recorder_step();
    entry.kind = file >= 0 ? ENTRY_SYNC_DONE : ENTRY_DIRECTORY_SYNC_DONE;
    recorder_note(entry);
    return 0;
}

int __wrap_fdatasync(int descriptor)
{
    return recorder_sync(descriptor);
}

int __wrap_fsync(int descriptor)
{
    return recorder_sync(descriptor);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    const char *below = recorder_below(path);
    int result = __real_mkdir(path, mode);

    if (below != NULL && result == 0) {
        recorder_give_name(below, recorder_file(recorder, true));
    }
    return result;
}

int __wrap_unlink(const char *path)
{
    const char *below = recorder_below(path);
    int result;

    recorder_step();
    result = __real_unlink(path);
    if (below != NULL && result == 0) {
        int name = recorder_name(recorder, below);

        recorder->names[name].now = -1;
        recorder_note((struct entry){.kind = ENTRY_UNNAME, .file = -1, .name = name});
    }
    return result;
}

int __wrap_linkat(int from, const char *path, int to, const char *new_path, int flags)
{
    const char *below = recorder_below(new_path);
    int result, descriptor;

    recorder_step();
    result = __real_linkat(from, path, to, new_path, flags);
    if (below != NULL && result == 0) {
        if (sscanf(path, "/proc/self/fd/%d", &descriptor) != 1 ||
            recorder_file_of(descriptor) < 0) {
            abort(); /* a way of naming that is not noted */
        }
        recorder_give_name(below, recorder_file_of(descriptor));
    }
    return result;
}

/* ---- a recording from its beginning to its end ---- */

static char *recorder_slurp(const char *path, size_t *size)
{
    FILE *stream = fopen(path, "rb");
    struct stat facts;
    char *data;

    if (stream == NULL || fstat(fileno(stream), &facts) != 0) {
        abort();
    }
    *size = (size_t)facts.st_size;
    data = memory_alloc(*size + 1);
    if (fread(data, 1, *size, stream) != *size) {
        abort();
    }
    fclose(stream);
    return data;
}

/* Calls `each` with the path below the root of all there is, directories first. */
static void recorder_walk(const char *root, const char *below,
                          void (*each)(void *context, const char *below, const char *path,
                                       bool is_directory),
                          void *context)
{
    char path[512], inner[400];
    struct dirent **found;
    struct stat facts;
    int count;

    snprintf(path, sizeof(path), "%s%s%s", root, below[0] == '\0' ? "" : "/", below);
    count = scandir(path, &found, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (strcmp(found[i]->d_name, ".") != 0 && strcmp(found[i]->d_name, "..") != 0) {
            snprintf(inner, sizeof(inner), "%s%s%s", below, below[0] == '\0' ? "" : "/",
                     found[i]->d_name);
            snprintf(path, sizeof(path), "%s/%s", root, inner);
            if (stat(path, &facts) == 0) {
                each(context, inner, path, S_ISDIR(facts.st_mode));
                if (S_ISDIR(facts.st_mode)) {
                    recorder_walk(root, inner, each, context);
                }
            }
        }
        free(found[i]);
    }
    if (count >= 0) {
        free(found);
    }
}

static void recorder_adopt(void *context, const char *below, const char *path,
                           bool is_directory)
{
    struct recording *recording = context;
    int file = recorder_file(recording, is_directory);
    int name = recorder_name(recording, below);

    if (!is_directory) {
        recording->files[file].data = recorder_slurp(path, &recording->files[file].size);
    }
    recording->names[name].first = recording->names[name].now = file;
}

/* What lies below the root is on stable storage. */
static struct recording *recorder_begin(const char *root)
{
    struct recording *recording = memory_zero(sizeof(*recording));
    int top;

    assert(recorder == NULL && strlen(root) < sizeof(recording->root));
    snprintf(recording->root, sizeof(recording->root), "%s", root);
    top = recorder_name(recording, "");
    recording->names[top].first = recording->names[top].now = recorder_file(recording, true);
    recorder_walk(root, "", recorder_adopt, recording);
    memset(recorder_descriptors, 0, sizeof(recorder_descriptors));
    memset(recorder_directory_handles, 0, sizeof(recorder_directory_handles));
    recorder = recording;
    return recording;
}

static void recorder_end(void)
{
    recorder = NULL;
}

/* ---- after the cut ---- */

struct restored_file {
    char *data;
    size_t size, capacity;
};

struct restoring {
    const struct recording *recording;
    size_t end;
    enum survival survival;
    uint64_t seed;
    size_t torn; /* this entry, of SURVIVES_TORN */
};

static void recorder_set_size(struct restored_file *file, size_t size)
{
    if (size > file->capacity) {
        file->capacity = size + size / 2 + 4096;
        file->data = memory_resize(file->data, file->capacity, 1);
    }
    if (size > file->size) {
        memset(file->data + file->size, 0, size - file->size);
    }
    file->size = size;
}

static void recorder_put(struct restored_file *file, uint64_t offset, const char *data,
                         size_t size)
{
    if (offset + size > file->size) {
        recorder_set_size(file, offset + size);
    }
    memcpy(file->data + offset, data, size);
}

static void recorder_put_sectors(struct restoring *restoring, struct restored_file *file,
                                 const struct entry *entry)
{
    size_t size;

    for (size_t done = 0; done < entry->size; done += size) {
        uint64_t offset = entry->offset + done;

        size = RECORDER_SECTOR - offset % RECORDER_SECTOR;
        size = size < entry->size - done ? size : entry->size - done;
        if (recorder_random(&restoring->seed) % 2 == 0) {
            recorder_put(file, offset, entry->data + done, size);
        }
    }
    /* The length may have come without the octets. */
    if (entry->offset + entry->size > file->size &&
        recorder_random(&restoring->seed) % 4 == 0) {
        recorder_set_size(file, entry->offset + entry->size);
    }
}

static void recorder_put_torn(struct restoring *restoring, struct restored_file *file,
                              const struct entry *entry)
{
    size_t sectors = entry->size / RECORDER_SECTOR;
    size_t size =
        sectors == 0 ? 0 : recorder_random(&restoring->seed) % sectors * RECORDER_SECTOR;

    recorder_put(file, entry->offset, entry->data, size);
}

static void recorder_apply(struct restored_file *file, const struct entry *entry)
{
    if (entry->kind == ENTRY_WRITE) {
        recorder_put(file, entry->offset, entry->data, entry->size);
    } else {
        recorder_set_size(file, entry->size);
    }
}

/* An entry that was not synced. `keep`: drawn for the whole file. */
static void recorder_apply_unsafe(struct restoring *restoring, struct restored_file *file,
                                  size_t at, bool keep)
{
    const struct entry *entry = &restoring->recording->entries[at];

    switch (restoring->survival) {
    case SURVIVES_ALL:
        recorder_apply(file, entry);
        return;
    case SURVIVES_NOTHING:
        return;
    case SURVIVES_TORN:
        if (at == restoring->torn) {
            recorder_put_torn(restoring, file, entry);
        } else {
            recorder_apply(file, entry);
        }
        return;
    case SURVIVES_SECTORS:
        if (entry->kind == ENTRY_WRITE) {
            recorder_put_sectors(restoring, file, entry);
        } else if (recorder_random(&restoring->seed) % 2 == 0) {
            recorder_apply(file, entry);
        }
        return;
    case SURVIVES_REORDERED:
        if (recorder_random(&restoring->seed) % 2 == 0) {
            recorder_apply(file, entry);
        }
        return;
    case SURVIVES_BY_FILE:
        if (keep) {
            recorder_apply(file, entry);
        }
        return;
    case SURVIVAL_COUNT:
        break;
    }
    abort();
}

static bool recorder_is_lie(const struct recording *recording, const struct entry *entry)
{
    if (entry->kind == ENTRY_DIRECTORY_SYNC_DONE) {
        return recorder_lies_about_names;
    }
    for (size_t i = 0; recorder_lie != NULL && i < recording->count; i++) {
        const struct entry *other = &recording->entries[i];

        if (other->kind == ENTRY_NAME && other->file == entry->file &&
            fnmatch(recorder_lie, recording->names[other->name].path, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* Entries of this file (or in this directory) before this one are safe. */
static size_t recorder_safe_until(const struct restoring *restoring, enum entry_kind done,
                                  int file, int name)
{
    for (size_t i = restoring->end; i > 0; i--) {
        const struct entry *entry = &restoring->recording->entries[i - 1];

        if (entry->kind == done && entry->file == file && entry->name == name &&
            !recorder_is_lie(restoring->recording, entry)) {
            return entry->begun;
        }
    }
    return 0;
}

static void recorder_restore_file(struct restoring *restoring, int number, const char *path)
{
    const struct recorded_file *recorded = &restoring->recording->files[number];
    size_t safe = recorder_safe_until(restoring, ENTRY_SYNC_DONE, number, -1);
    bool keep = recorder_random(&restoring->seed) % 2 == 0;
    struct restored_file file = {0};
    FILE *stream;

    recorder_set_size(&file, 1); /* so that there is memory, however little is put into it */
    recorder_set_size(&file, 0);
    recorder_put(&file, 0, recorded->size == 0 ? "" : recorded->data, recorded->size);
    for (size_t i = 0; i < restoring->end; i++) {
        const struct entry *entry = &restoring->recording->entries[i];

        if (entry->file != number ||
            (entry->kind != ENTRY_WRITE && entry->kind != ENTRY_LENGTH)) {
            continue;
        }
        if (i < safe) {
            recorder_apply(&file, entry);
        } else {
            recorder_apply_unsafe(restoring, &file, i, keep);
        }
    }
    stream = fopen(path, "wb");
    if (stream == NULL || fwrite(file.data, 1, file.size, stream) != file.size ||
        fclose(stream) != 0) {
        abort();
    }
    free(file.data);
}

/* What stands under this name now. Changes of one name stay in their order. */
static int recorder_stands_for(struct restoring *restoring, int number)
{
    const struct recorded_name *name = &restoring->recording->names[number];
    size_t safe = recorder_safe_until(restoring, ENTRY_DIRECTORY_SYNC_DONE, -1, name->parent);
    bool keep = recorder_random(&restoring->seed) % 2 == 0;
    int file = name->first;

    if (name->parent < 0) {
        return file;
    }
    for (size_t i = 0; i < restoring->end; i++) {
        const struct entry *entry = &restoring->recording->entries[i];

        if (entry->name != number ||
            (entry->kind != ENTRY_NAME && entry->kind != ENTRY_UNNAME)) {
            continue;
        }
        if (i >= safe) {
            switch (restoring->survival) {
            case SURVIVES_ALL:
            case SURVIVES_TORN:
                break;
            case SURVIVES_NOTHING:
                return file;
            case SURVIVES_REORDERED:
            case SURVIVES_SECTORS:
                if (recorder_random(&restoring->seed) % 2 == 0) {
                    return file;
                }
                break;
            case SURVIVES_BY_FILE:
                if (!keep) {
                    return file;
                }
                break;
            case SURVIVAL_COUNT:
                abort();
            }
        }
        file = entry->file;
    }
    return file;
}

/* Makes in the empty directory `root` what is left after the first `end` entries. */
static void recorder_restore(const struct recording *recording, size_t end,
                             enum survival survival, uint64_t seed, const char *root)
{
    struct restoring restoring = {recording, end, survival, seed, SIZE_MAX};
    int stands[RECORDER_NAMES];
    char path[512];

    for (size_t i = 0; i < end; i++) {
        if (recording->entries[i].kind == ENTRY_WRITE) {
            restoring.torn = i;
        }
    }
    for (size_t i = 0; i < recording->name_count; i++) { /* parents come first */
        int parent = recording->names[i].parent;

        stands[i] = recorder_stands_for(&restoring, (int)i);
        snprintf(path, sizeof(path), "%s/%s", root, recording->names[i].path);
        if (parent < 0 || stands[i] < 0) {
            continue;
        }
        if (stands[parent] < 0) {
            stands[i] = -1;
        } else if (recording->files[stands[i]].is_directory) {
            __real_mkdir(path, 0700);
        } else {
            recorder_restore_file(&restoring, stands[i], path);
        }
    }
}

/* Is anything in doubt after so many entries? If not, all that may survive is the same. */
static bool recorder_is_in_doubt(const struct recording *recording, size_t end)
{
    struct restoring restoring = {.recording = recording, .end = end};

    for (size_t i = 0; i < end; i++) {
        const struct entry *entry = &recording->entries[i];
        size_t safe = i + 1;

        if (entry->kind == ENTRY_WRITE || entry->kind == ENTRY_LENGTH) {
            safe = recorder_safe_until(&restoring, ENTRY_SYNC_DONE, entry->file, -1);
        } else if (entry->kind == ENTRY_NAME || entry->kind == ENTRY_UNNAME) {
            safe = recorder_safe_until(&restoring, ENTRY_DIRECTORY_SYNC_DONE, -1,
                                       recording->names[entry->name].parent);
        }
        if (i >= safe) {
            return true;
        }
    }
    return false;
}

static void recorder_free(struct recording **recording)
{
    struct recording *old = *recording;

    for (size_t i = 0; i < old->count; i++) {
        free(old->entries[i].data);
    }
    for (size_t i = 0; i < old->file_count; i++) {
        free(old->files[i].data);
    }
    free(old->entries);
    free(old->files);
    free(old);
    *recording = NULL;
}

#endif
