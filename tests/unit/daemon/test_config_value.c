#include "support/check.h"

#include "daemon/config_schema.h"
#include "daemon/config_value.h"

static const struct {
    struct bytes word;
    bool want;
    uint64_t want_value;
} durations[] = {
    {BYTES("5m"), true, 300000},
    {BYTES("90s"), true, 90000},
    {BYTES("250ms"), true, 250},
    {BYTES("1h30m"), true, 5400000},
    {BYTES("21d"), true, 1814400000},
    {BYTES("2w"), true, 1209600000},
    {BYTES("0"), true, 0},
    {BYTES("5"), false, 0},
    {BYTES(""), false, 0},
    {BYTES("m"), false, 0},
    {BYTES("-5m"), false, 0},
    {BYTES("5 m"), false, 0},
    {BYTES("5M"), false, 0},
    {BYTES("99999999999999999999d"), false, 0},
    {BYTES("9999999999999999d"), false, 0},
};

static const struct {
    struct bytes word;
    bool want;
    uint64_t want_value;
} sizes[] = {
    {BYTES("0"), true, 0},           {BYTES("1000"), true, 1000},
    {BYTES("512K"), true, 524288},   {BYTES("10m"), true, 10485760},
    {BYTES("10MB"), true, 10485760}, {BYTES("10MiB"), true, 10485760},
    {BYTES("2G"), true, 2147483648}, {BYTES("7B"), true, 7},
    {BYTES("7iB"), false, 0},        {BYTES("10X"), false, 0},
    {BYTES("K"), false, 0},          {BYTES(""), false, 0},
    {BYTES("1.5M"), false, 0},       {BYTES("99999999999999T"), false, 0},
};

static void test_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        uint64_t value = 0;
        CHECK_INT(durations[i].word.data, config_value_duration(durations[i].word, &value),
                  durations[i].want);
        if (durations[i].want) {
            CHECK_INT(durations[i].word.data, value, durations[i].want_value);
        }
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t value = 0;
        CHECK_INT(sizes[i].word.data, config_value_size(sizes[i].word, &value), sizes[i].want);
        if (sizes[i].want) {
            CHECK_INT(sizes[i].word.data, value, sizes[i].want_value);
        }
    }
}

static void test_writing(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 100);
    config_value_add_duration(&out, 300000);
    strbuf_add_char(&out, ' ');
    config_value_add_duration(&out, 86400000);
    strbuf_add_char(&out, ' ');
    config_value_add_duration(&out, 1500);
    strbuf_add_char(&out, ' ');
    config_value_add_size(&out, 262144);
    strbuf_add_char(&out, ' ');
    config_value_add_size(&out, 1000);
    CHECK_TEXT("units", strbuf_text(&out), "5m 1d 1500ms 256K 1000");
    strbuf_clear(&out);
}

static void test_choices(void **state)
{
    (void)state;
    CHECK_INT("first", config_value_choice(BYTES("a"), "a|bc|d"), 0);
    CHECK_INT("last", config_value_choice(BYTES("d"), "a|bc|d"), 2);
    CHECK_INT("part", config_value_choice(BYTES("b"), "a|bc|d"), -1);
    CHECK_INT("empty", config_value_choice(BYTES(""), "a|bc|d"), -1);
    CHECK_INT("both", config_value_choice(BYTES("a|bc"), "a|bc|d"), -1);
}

static const struct {
    struct bytes a, b;
    size_t want;
} distances[] = {
    {BYTES("port"), BYTES("port"), 0}, {BYTES("prot"), BYTES("port"), 1},
    {BYTES("por"), BYTES("port"), 1},  {BYTES("sport"), BYTES("port"), 1},
    {BYTES("pOrt"), BYTES("port"), 0}, {BYTES("part"), BYTES("port"), 1},
    {BYTES(""), BYTES("ab"), 2},       {BYTES("zzzz"), BYTES("port"), 3},
};

static void test_distance(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(distances); i++) {
        CHECK_INT(distances[i].a.data,
                  config_schema_distance(distances[i].a, distances[i].b, 2), distances[i].want);
    }
    CHECK_TEXT("hint", config_schema_suggest("", BYTES("hostnmae")), "hostname");
    CHECK_TEXT("hint", config_schema_suggest("limits", BYTES("recipents")), "recipients");
    CHECK_TRUE("nothing near", config_schema_suggest("", BYTES("frobnicate")) == NULL);
}

/* Every row of the table says what people need to know. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        struct strbuf out;
        strbuf_init(&out, 10000);
        CHECK_TRUE(option->name, strlen(option->documentation) > 10);
        CHECK_TRUE(option->name, option->arguments != NULL);
        CHECK_TRUE(option->name, option->sample != NULL || option->fallback != NULL ||
                                     option->type == CONFIG_BLOCK ||
                                     option->type == CONFIG_SEAL);
        CHECK_TRUE(option->name, option->least <= option->most);
        CHECK_TRUE(option->name, config_schema_find(option->context,
                                                    bytes_from_text(option->name)) == option);
        CHECK_TRUE(option->name, config_schema_explain(bytes_from_text(option->name), &out));
        CHECK_TRUE(option->name, strstr(out.data, option->arguments) != NULL);
        strbuf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_writing),
        cmocka_unit_test(test_choices), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
