#include "support/check.h"

#include "base/hash_table.h"

enum { COUNT = 5000 };

struct entry {
    char key[16];
    bool is_in;
    bool was_seen;
};

static const struct siphash_key KEY = {{1, 2}};

static void put_get_replace_remove(void **state)
{
    struct hash_table *table = hash_table_new(KEY);
    int one = 1, two = 2;

    (void)state;
    assert_null(hash_table_get(table, BYTES("a")));
    assert_null(hash_table_put(table, BYTES("a"), &one));
    assert_ptr_equal(hash_table_get(table, BYTES("a")), &one);
    assert_null(hash_table_get(table, BYTES("A")));
    assert_null(hash_table_get(table, BYTES("a\0")));
    assert_ptr_equal(hash_table_put(table, BYTES("a"), &two), &one);
    CHECK_INT("replaced, not added", hash_table_count(table), 1);
    assert_null(hash_table_put(table, BYTES(""), &one));
    assert_ptr_equal(hash_table_get(table, BYTES("")), &one);
    assert_ptr_equal(hash_table_remove(table, BYTES("a")), &two);
    assert_null(hash_table_remove(table, BYTES("a")));
    CHECK_INT("left", hash_table_count(table), 1);
    hash_table_free(&table);
    assert_null(table);
    hash_table_free(&table);
}

static void check_walk(struct hash_table *table, struct entry *entries)
{
    size_t position = 0, seen = 0;
    struct entry *entry;

    for (int i = 0; i < COUNT; i++) {
        entries[i].was_seen = false;
    }
    while ((entry = hash_table_next(table, &position)) != NULL) {
        CHECK_TRUE("each once, none removed", entry->is_in && !entry->was_seen);
        entry->was_seen = true;
        seen++;
    }
    CHECK_INT("all", seen, hash_table_count(table));
}

/* Thousands of entries come and go in no order: the table always agrees with a plain array. */
static void it_agrees_with_a_plain_array(void **state)
{
    static struct entry entries[COUNT];
    struct hash_table *table = hash_table_new(KEY);
    uint32_t random = 12345;
    size_t count = 0;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(entries[i].key, sizeof entries[i].key, "key-%d", i);
    }
    for (int step = 0; step < 100000; step++) {
        struct entry *entry;
        struct bytes key;

        random = random * 1103515245 + 12345;
        entry = &entries[(random >> 8) % COUNT];
        key = bytes_from_text(entry->key);
        assert_ptr_equal(hash_table_get(table, key), entry->is_in ? entry : NULL);
        if (entry->is_in) {
            assert_ptr_equal(hash_table_remove(table, key), entry);
            count--;
        } else {
            assert_null(hash_table_put(table, key, entry));
            count++;
        }
        entry->is_in = !entry->is_in;
        CHECK_INT("count", hash_table_count(table), count);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(hash_table_get(table, bytes_from_text(entries[i].key)),
                         entries[i].is_in ? &entries[i] : NULL);
    }
    check_walk(table, entries);
    hash_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_replace_remove),
        cmocka_unit_test(it_agrees_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
