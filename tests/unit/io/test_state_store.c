#include "support/check.h"

#include "io/clock.h"
#include "io/state_copy.h"
#include "io/state_store.h"

#include <stdlib.h>
#include <unistd.h>

struct place {
    char directory[40];
    struct strbuf why;
    struct event_loop *loop;
    struct state_store *store;
    enum state_status status;
    uint64_t count;
    char value[100];
    size_t value_len;
};

static void open_store(struct place *place, size_t entries)
{
    place->store = state_store_open(place->directory, entries, &place->why);
    if (place->store == NULL) {
        fail_msg("not opened: %s", strbuf_text(&place->why));
    }
}

static void make_place(struct place *place, size_t entries)
{
    *place = (struct place){.directory = "/tmp/test-state-XXXXXX"};
    assert_non_null(mkdtemp(place->directory));
    strbuf_init(&place->why, 1000);
    place->loop = event_loop_new();
    open_store(place, entries);
}

static void remove_place(struct place *place)
{
    char command[80];

    state_store_close(&place->store);
    event_loop_free(&place->loop);
    snprintf(command, sizeof(command), "rm -rf %s", place->directory);
    assert_int_equal(system(command), 0);
    strbuf_clear(&place->why);
}

static void on_put(void *context, enum state_status status)
{
    struct place *place = context;

    place->status = status;
    event_loop_stop(place->loop);
}

static void on_get(void *context, enum state_status status, struct bytes value)
{
    struct place *place = context;

    place->status = status;
    place->value_len = value.len;
    assert_true(value.len <= sizeof(place->value));
    if (value.len > 0) {
        memcpy(place->value, value.data, value.len);
    }
    event_loop_stop(place->loop);
}

static enum state_status put(struct place *place, struct bytes key, struct bytes value,
                             int64_t seconds)
{
    state_store_put(place->store, place->loop, key, value, clock_unix_ms() + seconds * 1000,
                    on_put, place);
    event_loop_run(place->loop);
    return place->status;
}

static enum state_status get(struct place *place, struct bytes key)
{
    state_store_get(place->store, place->loop, key, on_get, place);
    event_loop_run(place->loop);
    return place->status;
}

static void value_survives(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 10);
    CHECK_INT("missing", get(&place, BYTES("k")), STATE_MISSING);
    CHECK_INT("put", put(&place, BYTES("k\0k"), BYTES("v\0v"), 60), STATE_OK);
    state_store_close(&place.store);
    open_store(&place, 10);
    CHECK_INT("get", get(&place, BYTES("k\0k")), STATE_OK);
    CHECK_BYTES("value", bytes_of(place.value, place.value_len), BYTES("v\0v"));
    CHECK_INT("another key", get(&place, BYTES("k\0l")), STATE_MISSING);
    CHECK_INT("replace", put(&place, BYTES("k\0k"), BYTES("new"), 60), STATE_OK);
    CHECK_INT("get", get(&place, BYTES("k\0k")), STATE_OK);
    CHECK_BYTES("value", bytes_of(place.value, place.value_len), BYTES("new"));
    remove_place(&place);
}

static void expired_is_missing(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 10);
    CHECK_INT("put", put(&place, BYTES("old"), BYTES("v"), -1), STATE_OK);
    CHECK_INT("expired", get(&place, BYTES("old")), STATE_MISSING);
    CHECK_INT("put", put(&place, BYTES("k"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("an earlier expiry", put(&place, BYTES("k"), BYTES("w"), -1), STATE_OK);
    CHECK_INT("the later one counts", get(&place, BYTES("k")), STATE_OK);
    remove_place(&place);
}

static void full_store_refuses_new_keys(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 2);
    CHECK_INT("1", put(&place, BYTES("1"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("2", put(&place, BYTES("2"), BYTES("v"), -1), STATE_OK);
    CHECK_INT("3, for 2 has expired", put(&place, BYTES("3"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("4", put(&place, BYTES("4"), BYTES("v"), 60), STATE_FULL);
    CHECK_INT("4 is not there", get(&place, BYTES("4")), STATE_MISSING);
    CHECK_INT("1 again", put(&place, BYTES("1"), BYTES("w"), 60), STATE_OK);
    state_store_close(&place.store);
    open_store(&place, 2);
    CHECK_INT("counted at the start", put(&place, BYTES("4"), BYTES("v"), 60), STATE_FULL);
    remove_place(&place);
}

static enum state_status remember(struct place *place, struct bytes key)
{
    state_store_remember(place->store, place->loop, key, BYTES("v"), clock_unix_ms() + 60000,
                         on_put, place);
    event_loop_run(place->loop);
    return place->status;
}

/* Strangers choose how many keys that makes; the other half is for what must not be lost. */
static void what_may_be_forgotten_takes_half_the_room(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 4);
    CHECK_INT("1", remember(&place, BYTES("1")), STATE_OK);
    CHECK_INT("2", remember(&place, BYTES("2")), STATE_OK);
    CHECK_INT("3 is too many", remember(&place, BYTES("3")), STATE_FULL);
    CHECK_INT("1 again", remember(&place, BYTES("1")), STATE_OK);
    CHECK_INT("room for others", put(&place, BYTES("4"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("and more", put(&place, BYTES("5"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("all of it is taken", put(&place, BYTES("6"), BYTES("v"), 60), STATE_FULL);
    remove_place(&place);
}

static void second_opener_is_refused(void **state)
{
    struct place place;
    struct state_store *second;

    (void)state;
    make_place(&place, 2);
    second = state_store_open(place.directory, 2, &place.why);
    CHECK_TRUE("refused", second == NULL);
    CHECK_TRUE("says why", strstr(strbuf_text(&place.why), "in use") != NULL);
    remove_place(&place);
}

static void read_without_a_daemon(void **state)
{
    static const struct {
        const char *name;
        struct bytes key;
        bool is_closed;
        enum state_status want;
        const char *value, *why;
    } cases[] = {
        {"in use", BYTES("k"), false, STATE_FAILED, "", "in use"},
        {"there", BYTES("k"), true, STATE_OK, "v", ""},
        {"expired", BYTES("old"), true, STATE_MISSING, "", ""},
        {"missing", BYTES("l"), true, STATE_MISSING, "", ""},
    };
    struct place place;
    struct strbuf value;

    (void)state;
    make_place(&place, 10);
    strbuf_init(&value, 100);
    CHECK_INT("put", put(&place, BYTES("k"), BYTES("v"), 60), STATE_OK);
    CHECK_INT("put", put(&place, BYTES("old"), BYTES("v"), -1), STATE_OK);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].is_closed) {
            state_store_close(&place.store);
        }
        strbuf_reset(&value);
        strbuf_reset(&place.why);
        CHECK_INT(cases[i].name,
                  state_store_read(place.directory, cases[i].key, &value, &place.why),
                  cases[i].want);
        CHECK_TEXT(cases[i].name, strbuf_text(&value), cases[i].value);
        CHECK_TRUE(cases[i].name, strstr(strbuf_text(&place.why), cases[i].why) != NULL);
    }
    CHECK_INT("nowhere", state_store_read("/proc/not/there", BYTES("k"), &value, &place.why),
              STATE_MISSING);
    open_store(&place, 10);
    CHECK_INT("nothing was changed", get(&place, BYTES("k")), STATE_OK);
    strbuf_clear(&value);
    remove_place(&place);
}

static void on_count(void *context, enum state_status status, uint64_t count)
{
    struct place *place = context;

    place->status = status;
    place->count = count;
    event_loop_stop(place->loop);
}

static uint64_t count_use(struct place *place, const char *key, uint64_t limit,
                          int64_t milliseconds)
{
    state_store_count(place->store, place->loop, bytes_from_text(key), limit,
                      clock_unix_ms() + milliseconds, on_count, place);
    event_loop_run(place->loop);
    return place->count;
}

static void uses_are_counted(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 2);
    CHECK_INT("first", count_use(&place, "a", 3, 60000), 1);
    CHECK_INT("second", count_use(&place, "a", 3, 60000), 2);
    CHECK_INT("another one", count_use(&place, "b", 3, 60000), 1);
    state_store_close(&place.store);
    open_store(&place, 2);
    CHECK_INT("survives a restart", count_use(&place, "a", 3, 60000), 3);
    CHECK_INT("over", count_use(&place, "a", 3, 60000), 4);
    CHECK_INT("and over", count_use(&place, "a", 3, 60000), 4);
    CHECK_INT("with more room", count_use(&place, "a", 10, 60000), 4);
    CHECK_INT("status", place.status, STATE_OK);
    count_use(&place, "c", 3, 60000);
    CHECK_INT("no room for a new key", place.status, STATE_FULL);
    remove_place(&place);
}

static void counts_begin_anew(void **state)
{
    struct place place;

    (void)state;
    make_place(&place, 10);
    CHECK_INT("first", count_use(&place, "a", 9, 80), 1);
    CHECK_INT("does not prolong it", count_use(&place, "a", 9, 60000), 2);
    usleep(100 * 1000);
    CHECK_INT("anew", count_use(&place, "a", 9, 60000), 1);
    remove_place(&place);
}

static unsigned files_in(const char *directory)
{
    char command[100];
    unsigned count = 0;
    FILE *list;

    snprintf(command, sizeof command, "find %s -type f | wc -l", directory);
    list = popen(command, "r");
    assert_non_null(list);
    assert_int_equal(fscanf(list, "%u", &count), 1);
    pclose(list);
    return count;
}

/* The store stays open, what it wrote last is only in its log; a copy sees it, and stays as it is. */
static void a_copy_is_read_while_it_is_open(void **state)
{
    struct state_copy *copy;
    struct strbuf value;
    struct place place;

    (void)state;
    make_place(&place, 10);
    strbuf_init(&value, 100);
    CHECK_INT("put", put(&place, BYTES("k"), BYTES("v"), 60), STATE_OK);
    copy = state_copy_new(place.directory, &place.why);
    assert_non_null(copy);
    CHECK_INT("put", put(&place, BYTES("l"), BYTES("w"), 60), STATE_OK);
    CHECK_INT("read", state_copy_read(copy, BYTES("k"), &value, &place.why), STATE_OK);
    CHECK_BYTES("value", strbuf_bytes(&value), BYTES("v"));
    CHECK_INT("later", state_copy_read(copy, BYTES("l"), &value, &place.why), STATE_MISSING);
    state_copy_free(&copy);
    CHECK_INT("store", get(&place, BYTES("l")), STATE_OK);
    strbuf_clear(&value);
    remove_place(&place);
}

static void a_copy_of_nothing_is_empty(void **state)
{
    char directory[] = "/tmp/test-state-XXXXXX";
    struct state_copy *copy;
    struct strbuf value, why;

    (void)state;
    assert_non_null(mkdtemp(directory));
    strbuf_init(&value, 100);
    strbuf_init(&why, 1000);
    copy = state_copy_new(directory, &why);
    assert_non_null(copy);
    CHECK_INT("read", state_copy_read(copy, BYTES("k"), &value, &why), STATE_MISSING);
    state_copy_free(&copy);
    CHECK_INT("made", files_in(directory), 0);
    assert_int_equal(rmdir(directory), 0);
    strbuf_clear(&value);
    strbuf_clear(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_survives),
        cmocka_unit_test(expired_is_missing),
        cmocka_unit_test(full_store_refuses_new_keys),
        cmocka_unit_test(what_may_be_forgotten_takes_half_the_room),
        cmocka_unit_test(second_opener_is_refused),
        cmocka_unit_test(read_without_a_daemon),
        cmocka_unit_test(a_copy_is_read_while_it_is_open),
        cmocka_unit_test(a_copy_of_nothing_is_empty),
        cmocka_unit_test(uses_are_counted),
        cmocka_unit_test(counts_begin_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
