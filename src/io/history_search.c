#include "io/history_search.h"

#include "history_files.h"
#include "history_segment.h"

#include "base/hash_table.h"
#include "base/memory.h"
#include "io/entropy.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DAY_MS = 86400000;

struct search {
    const struct history_question *question;
    struct arena *arena;
    struct history_answer *answer;
    struct hash_table *subjects; /* those that have a line already, when one is enough */
    struct history_line *lines;  /* newest first */
    size_t limit, capacity;
};

static void add_line(struct search *search, sqlite3_stmt *statement)
{
    struct bytes line =
        bytes_of(sqlite3_column_text(statement, 1), (size_t)sqlite3_column_bytes(statement, 1));

    if (search->answer->count == search->limit) {
        search->answer->has_more = true;
        return;
    }
    if (search->answer->count == search->capacity) {
        search->capacity = search->capacity * 2 + 64;
        search->lines = memory_resize(search->lines, search->capacity, sizeof *search->lines);
    }
    search->lines[search->answer->count++] = (struct history_line){
        .time_ms = sqlite3_column_int64(statement, 0),
        .line = arena_copy(search->arena, line),
    };
}

static bool has_hash(const unsigned char *hashes, int size, uint64_t wanted)
{
    for (int i = 0; i + SEGMENT_HASH <= size; i += SEGMENT_HASH) {
        if (memcmp(hashes + i, &wanted, SEGMENT_HASH) == 0) {
            return true;
        }
    }
    return false;
}

/* There are enough, or nobody waits for more. */
static bool is_over(struct search *search)
{
    const atomic_bool *is_stopped = search->question->is_stopped;

    if (is_stopped != NULL && atomic_load_explicit(is_stopped, memory_order_relaxed)) {
        search->answer->has_more = true;
    }
    return search->answer->has_more;
}

/* Is it the first line of its subject? */
static bool is_wanted(struct search *search, struct bytes subject)
{
    if (search->subjects == NULL) {
        return true;
    }
    if (hash_table_get(search->subjects, subject) != NULL) {
        return false;
    }
    hash_table_put(search->subjects, arena_copy(search->arena, subject), search);
    return true;
}

static int take_event(struct search *search, sqlite3_stmt *event, sqlite3_stmt *key)
{
    struct bytes subject =
        bytes_of(sqlite3_column_text(key, 1), (size_t)sqlite3_column_bytes(key, 1));
    int code;

    sqlite3_bind_int64(event, 1, sqlite3_column_int64(key, 0));
    code = sqlite3_step(event);
    if (code == SQLITE_ROW && sqlite3_column_int64(event, 0) >= search->question->since_ms &&
        is_wanted(search, subject)) {
        add_line(search, event);
    }
    sqlite3_reset(event);
    return code;
}

static bool read_keys(struct search *search, struct history_segment *segment, sqlite3_stmt *key,
                      sqlite3_stmt *event)
{
    uint64_t wanted = htole64(history_segment_hash(&segment->hash_key, &search->question->key));
    int code = SQLITE_ROW;

    while (!is_over(search) && (code = sqlite3_step(key)) == SQLITE_ROW) {
        if (has_hash(sqlite3_column_blob(key, 2), sqlite3_column_bytes(key, 2), wanted)) {
            code = take_event(search, event, key);
        }
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            return false;
        }
    }
    return code == SQLITE_ROW || code == SQLITE_DONE;
}

static bool read_segment(struct search *search, const char *path)
{
    static const char KEYS[] = "SELECT event, subject, hashes FROM key ORDER BY event DESC";
    static const char EVENT[] = "SELECT time, line FROM event WHERE number=?";
    sqlite3_stmt *key = NULL, *event = NULL;
    struct history_segment segment;
    enum segment_status status = history_segment_open_to_read(&segment, path);
    bool is_read = false;

    if (status != SEGMENT_OK) {
        return status == SEGMENT_EMPTY;
    }
    if (sqlite3_prepare_v2(segment.connection, KEYS, -1, &key, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(segment.connection, EVENT, -1, &event, NULL) == SQLITE_OK) {
        is_read = read_keys(search, &segment, key, event);
    }
    sqlite3_finalize(key);
    sqlite3_finalize(event);
    history_segment_close(&segment);
    return is_read;
}

/* The file of a day has the lines that were kept on that day: those of its first second may be of the day
 * before. */
static bool may_have(const struct history_file *file, int64_t since_ms)
{
    char day[HISTORY_DAY + 1];

    history_files_day(day, since_ms - DAY_MS);
    return since_ms <= 0 || strncmp(file->name, day, HISTORY_DAY) >= 0;
}

static void read_segments(struct search *search, const char *directory,
                          const struct history_files *files)
{
    for (size_t i = files->count; i-- > 0 && !is_over(search);) {
        char *path;

        if (!may_have(&files->files[i], search->question->since_ms)) {
            continue;
        }
        path = history_files_path(directory, files->files[i].name);
        if (read_segment(search, path)) {
            search->answer->segments++;
        } else if (disk_exists(path)) {
            search->answer->damaged++;
        }
        free(path);
    }
}

static void give_lines(struct search *search)
{
    size_t count = search->answer->count;
    struct history_line *lines =
        arena_alloc(search->arena, (count + 1) * sizeof(struct history_line));

    for (size_t i = 0; i < count; i++) {
        lines[i] = search->lines[count - 1 - i];
    }
    search->answer->lines = lines;
    free(search->lines);
}

bool history_search(const char *directory, const struct history_question *question,
                    struct arena *arena, struct history_answer *answer, struct strbuf *why)
{
    struct search search = {
        .question = question, .arena = arena, .answer = answer, .limit = question->limit};
    struct history_files files;
    enum disk_status status = history_files_list(&files, directory);

    *answer = (struct history_answer){.lines = NULL};
    if (status != DISK_OK && status != DISK_MISSING) {
        strbuf_addf(why, "%s: %s", directory, strerror(errno));
        history_files_clear(&files);
        return false;
    }
    if (search.limit == 0 || search.limit > HISTORY_LINES) {
        search.limit = HISTORY_LINES;
    }
    search.subjects = question->is_distinct ? hash_table_new(entropy_hash_key()) : NULL;
    read_segments(&search, directory, &files);
    give_lines(&search);
    hash_table_free(&search.subjects);
    history_files_clear(&files);
    return true;
}
