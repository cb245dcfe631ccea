#include "support/check.h"

#include "daemon/descriptors.h"

static void test_room(void **state)
{
    static const struct {
        const char *name;
        uint64_t connections, limit, want;
    } cases[] = {
        {"plenty", 10000, 1048576, 10000},
        {"just enough", 10000, 10512, 10000},
        {"one too few", 10000, 10511, 9999},
        {"the usual soft limit", 10000, 1024, 512},
        {"fewer than the reserve", 10000, 300, 150},
        {"none", 10000, 0, 0},
        {"few are wanted", 5, 64, 5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config config = {.limits = {.connections = cases[i].connections}};

        CHECK_INT(cases[i].name, descriptors_connections(&config, cases[i].limit),
                  cases[i].want);
    }
}

static void test_warning(void **state)
{
    static const struct {
        const char *name;
        uint64_t limit;
        const char *want; /* NULL: no warning */
    } cases[] = {
        {"plenty", 10512, NULL},
        {"too few", 4096,
         "limits.connections 10000 needs 10512 open files; here 4096 are allowed, room for "
         "3584 clients"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_file file = {.name = "p.conf", .text = BYTES("limits {\n")};
        struct config config = {.limits = {.connections = 10000}, .files = &file};
        struct config_errors *errors = config_errors_new();
        const struct config_error *error;

        descriptors_report(&config, cases[i].limit, errors);
        error = config_errors_get(errors, 0);
        CHECK_INT(cases[i].name, config_errors_count(errors, CONFIG_WARNING),
                  cases[i].want != NULL);
        if (error != NULL && cases[i].want != NULL) {
            CHECK_TEXT(cases[i].name, error->message, cases[i].want);
        }
        config_errors_free(&errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
