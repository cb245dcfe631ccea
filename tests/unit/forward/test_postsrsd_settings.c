#include "support/check.h"

#include "forward/postsrsd_settings.h"

static void test_settings(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *text, *domain, *secret;
        char separator;
        const char *problem;
    } cases[] = {
        {"1.x", "# comment\nSRS_DOMAIN=srs.a.test\nSRS_SEPARATOR==\nSRS_SECRET=/etc/postsrsd.secret\nSRS_HASHLENGTH=4\nSRS_HASHMIN=4\nRUN_AS=postsrsd\n",
         "srs.a.test", "/etc/postsrsd.secret", '=', ""},
        {"quotes, export, comment behind", "export SRS_DOMAIN=\"srs.a.test\" # ours\nSRS_SEPARATOR='+'\nSRS_SECRET=/s # here\n", "srs.a.test", "/s", '+', ""},
        {"the last one counts", "SRS_DOMAIN=a.test\nSRS_DOMAIN=b.test\n", "b.test", "", 0, ""},
        {"of the shell", "SRS_DOMAIN=\"`postconf -h mydomain || true`\"\n", "", "", 0, "1: only a shell knows what this is"},
        {"no domain", "SRS_DOMAIN=a b\n", "", "", 0, "1: this is no domain: say which with --domain DOMAIN"},
        {"excluded", "\nSRS_EXCLUDE_DOMAINS=.a.test,b.test\n", "", "", 0, "2: senders are left as they are in the domains of domain { } only"},
        {"nothing excluded", "SRS_EXCLUDE_DOMAINS=\n", "", "", 0, ""},
        {"long tags", "SRS_HASHLENGTH=8\n", "", "", 0, ""},
        {"tags too short", "SRS_HASHMIN=2\n", "", "", 0, "1: tags of 4 to 26 characters are taken here"},
        {"always", "SRS_EXTRA_OPTIONS=-A\n", "", "", 0, "1: senders in domains of ours are never rewritten here"},
        {"separator", "SRS_SEPARATOR=_\n", "", "", 0, "1: the separator is =, + or -"},
        {"2.x", "domains = {\"a.test\", \"b.test\"}\nsrs-domain = \"srs.a.test\"\nsecrets-file = \"/s\"\nseparator = \"-\"\nhash-length = 6\n", "srs.a.test", "/s", '-', ""},
        {"2.x, a list over lines", "domains = {\n  \"a.test\",\n  \"b.test\"\n}\nsecrets-file = \"/s\"\n", "", "/s", 0, ""},
        {"2.x, a database", "// other comment\noriginal-envelope = database\n", "", "", 0,
         "2: the database is not read: its addresses only lead back while postsrsd runs"},
        {"2.x, embedded", "original-envelope = embedded\nalways-rewrite = off\n", "", "", 0, ""},
        {"2.x, always", "always-rewrite = on\n", "", "", 0, "1: senders in domains of ours are never rewritten here"},
        {"a list without its end", "domains = {\"a.test\"\nx", "", "", 0, ""},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct postsrsd_settings settings = {.separator = 0};
        struct bytes text = bytes_from_text(cases[i].text);
        char problem[200] = "";

        CHECK_TRUE(cases[i].name, postsrsd_settings_are_meant(text));
        postsrsd_settings_read(text, &settings);
        CHECK_BYTES(cases[i].name, settings.srs_domain, bytes_from_text(cases[i].domain));
        CHECK_BYTES(cases[i].name, settings.secret_path, bytes_from_text(cases[i].secret));
        CHECK_INT(cases[i].name, settings.separator, cases[i].separator);
        if (settings.problem_count > 0) {
            snprintf(problem, sizeof problem, "%u: %s", settings.problems[0].line,
                     settings.problems[0].why);
        }
        CHECK_TEXT(cases[i].name, problem, cases[i].problem);
        CHECK_TRUE(cases[i].name, settings.problem_count <= 1);
    }
}

static void test_first_domain(void **state)
{
    struct postsrsd_settings settings = {.separator = 0};

    (void)state;
    postsrsd_settings_read(BYTES("domains = {\n \"a.test\",\n \"b.test\" }\n"), &settings);
    CHECK_BYTES("first", settings.first_domain, BYTES("a.test"));
}

static void test_many_problems(void **state)
{
    struct postsrsd_settings settings = {.separator = 0};

    (void)state;
    for (int i = 0; i < 2 * POSTSRSD_PROBLEM_LIMIT; i++) {
        postsrsd_settings_read(BYTES("SRS_HASHMIN=1"), &settings);
    }
    CHECK_INT("kept", settings.problem_count, POSTSRSD_PROBLEM_LIMIT);
}

static void test_secrets(void **state)
{
    static const char *const wants[] = {"kWPqaTVB8Hg=", "older + one"};
    struct bytes rest = BYTES("\nkWPqaTVB8Hg=\r\n\n older + one \n\n"), secret;

    (void)state;
    CHECK_TRUE("no settings", !postsrsd_settings_are_meant(rest));
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        CHECK_TRUE(wants[i], postsrsd_next_secret(&rest, &secret));
        CHECK_BYTES(wants[i], secret, bytes_from_text(wants[i]));
    }
    CHECK_TRUE("end", !postsrsd_next_secret(&rest, &secret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test(test_first_domain),
        cmocka_unit_test(test_many_problems), cmocka_unit_test(test_secrets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
