#include "support/check.h"

#include "forward/alias_table.h"
#include "forward/doctor_routes.h"

enum { TODAY = 20000 };

static const struct siphash_key KEY = {{3, 4}};
static struct arena *arena;
static struct findings findings;

static void check_lines(const char *name, const char *want)
{
    struct strbuf text;

    strbuf_init(&text, 10000);
    for (const struct finding *at = findings.first; at != NULL; at = at->next) {
        strbuf_addf(&text, "%s %s: " BYTES_FMT "%s" BYTES_FMT "\n",
                    finding_severity_text(at->severity), at->check, BYTES_ARG(at->found),
                    at->remedy == FINDING_NO_REMEDY ? "" : " | ", BYTES_ARG(at->fix));
    }
    CHECK_TEXT(name, strbuf_text(&text), want);
    strbuf_clear(&text);
}

static bool owns_all(void *context, struct bytes domain)
{
    (void)context, (void)domain;
    return true;
}

static void test_srs(void **state)
{
    const struct srs_secret secrets[] = {{BYTES("kfQ2vZ8xT4mW9pLr7BnC3d"), false},
                                         {BYTES("YckfQ2vZ8xT4mW9pLr7BnC"), false},
                                         {BYTES("an old classic one"), true}};
    struct srs_options options = {
        .format = SRS_FORMAT_MODERN, .separator = '=', .max_age_days = 21, .secrets = secrets};

    (void)state;
    for (unsigned format = 0; format < 2; format++) {
        options.format = format == 0 ? SRS_FORMAT_MODERN : SRS_FORMAT_CLASSIC;
        options.secret_count = 3;
        options.max_age_days = 21;
        options.is_own_domain = NULL;
        findings_init(&findings, arena);
        doctor_routes_srs(&findings, &options, BYTES("srs.example"), TODAY);
        check_lines("works", "ok srs: addresses lead back; forged, expired and future ones are "
                             "refused (3 secrets)\n");
        /* Nothing ever expires: the stamp wraps after 1024 days. */
        options.max_age_days = 1023;
        findings_init(&findings, arena);
        doctor_routes_srs(&findings, &options, BYTES("srs.example"), TODAY);
        CHECK_INT("never expires", findings.first->severity, FINDING_ERROR);
        options.max_age_days = 21;
        options.is_own_domain = owns_all;
        findings_init(&findings, arena);
        doctor_routes_srs(&findings, &options, BYTES("srs.example"), TODAY);
        check_lines("rewrites nobody", "error srs: with secret 1: a sender cannot be rewritten "
                                       "| look whether the clock is right "
                                       "(date -u), and the program whole\n");
    }
}

static void ignore_problem(void *context, const struct alias_problem *problem)
{
    (void)context, (void)problem;
}

static void test_domains(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *aliases, *want;
    } cases[] = {
        {"all well", "postmaster: a@x.test\nabuse: postmaster@own.test\n",
         "ok postmaster: mail to postmaster@own.test is forwarded\nok abuse: mail to abuse@own.test is forwarded\n"},
        {"no abuse", "postmaster: a@x.test\n",
         "ok postmaster: mail to postmaster@own.test is forwarded\n"
         "warning abuse: mail to abuse@own.test is not taken | domain own.test { forward abuse to YOUR-ADDRESS }\n"},
        {"thrown away", "postmaster: :discard:\nabuse: :refuse: 550 5.7.1 no\n",
         "error postmaster: mail to postmaster@own.test is thrown away | domain own.test { forward postmaster to YOUR-ADDRESS }\n"
         "warning abuse: mail to abuse@own.test is not taken | domain own.test { forward abuse to YOUR-ADDRESS }\n"},
        {"catch-all", "postmaster: a@x.test\n*: a@x.test\n",
         "ok postmaster: mail to postmaster@own.test is forwarded\nok abuse: mail to abuse@own.test is forwarded\n"
         "warning catch-all: every address of own.test is taken | name the addresses there are, and leave \"*\" out\n"},
        {"mapped", "*: *@new.test\n",
         "ok postmaster: mail to postmaster@own.test is forwarded\nok abuse: mail to abuse@own.test is forwarded\n"},
        {"refused", "postmaster: a@x.test\nabuse: a@x.test\n*: :refuse: 550 5.1.1 no\n",
         "ok postmaster: mail to postmaster@own.test is forwarded\nok abuse: mail to abuse@own.test is forwarded\n"},
    };
    /* clang-format on */
    const struct alias_report report = {ignore_problem, NULL};
    const struct srs_secret secret = {BYTES("kfQ2vZ8xT4mW9pLr7BnC3d"), false};
    const struct srs_options srs = {
        .separator = '=', .max_age_days = 21, .secrets = &secret, .secret_count = 1};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct alias_table *table = alias_table_new(KEY);
        struct route_options options = {
            .aliases = table, .srs = &srs, .srs_domain = BYTES("srs.test")};

        struct bytes targets[2];

        (void)alias_table_add_domain(table, BYTES("own.test"), BYTES(""));
        alias_table_add_text(table, 0, 1, bytes_from_text(cases[i].aliases), &report);
        findings_init(&findings, arena);
        doctor_routes_domain(&findings, &options, BYTES("own.test"), TODAY);
        check_lines(cases[i].name, cases[i].want);
        if (i == 0) {
            CHECK_INT(
                "targets",
                doctor_routes_targets(&options, BYTES("own.test"), TODAY, arena, targets, 2),
                1);
            CHECK_BYTES("where to", targets[0], BYTES("x.test"));
        }
        alias_table_free(&table);
    }
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_srs),
        cmocka_unit_test(test_domains),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
