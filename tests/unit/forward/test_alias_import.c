#include "support/check.h"

#include "forward/alias_import.h"
#include "forward/alias_table.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 1024 * 1024 };

static const struct siphash_key hash_key = {{1, 2}};

static struct alias_import *read_text(enum alias_import_kind kind, const char *domain,
                                      const char *local_domain, const char *text)
{
    struct alias_import_options options = {.domain = bytes_from_text(domain),
                                           .local_domain = bytes_from_text(local_domain),
                                           .key = hash_key};
    struct alias_import *import = alias_import_new(&options);

    alias_import_add(import, kind, BYTES("f"), bytes_from_text(text));
    alias_import_finish(import);
    return import;
}

/* "[DOMAIN]\n" and its file, for each; then "!LINE: TEXT: WHY\n" for what was left out. */
static void tell(const struct alias_import *import, struct strbuf *out)
{
    for (size_t i = 0; i < alias_import_domain_count(import); i++) {
        strbuf_addf(out, "[" BYTES_FMT "]\n", BYTES_ARG(alias_import_domain_name(import, i)));
        alias_import_add_file(import, i, out);
    }
    for (size_t i = 0; i < alias_import_problem_count(import); i++) {
        const struct alias_import_problem *problem = alias_import_problem(import, i);
        strbuf_addf(out, "!%u: " BYTES_FMT ": %s\n", problem->line, BYTES_ARG(problem->text),
                    problem->why);
    }
}

static void on_problem(void *context, const struct alias_problem *problem)
{
    fail_msg("%s: our own alias file is wrong: %s", (const char *)context, problem->message);
}

/* What was written loads, and has as many names as were taken. */
static void check_loads(const char *name, const struct alias_import *import)
{
    struct alias_table *table = alias_table_new(hash_key);
    struct alias_report report = {on_problem, (void *)(uintptr_t)name};
    size_t count = alias_import_domain_count(import);
    struct strbuf *texts = calloc(count + 1, sizeof *texts);

    for (size_t i = 0; i < count; i++) {
        alias_table_add_domain(table, alias_import_domain_name(import, i), BYTES(""));
    }
    for (size_t i = 0; i < count; i++) {
        strbuf_init(&texts[i], TEXT_LIMIT);
        alias_import_add_file(import, i, &texts[i]);
        alias_table_add_text(table, i, 0, strbuf_bytes(&texts[i]), &report);
    }
    CHECK_INT(name, alias_table_entry_count(table), alias_import_entry_count(import));
    alias_table_free(&table);
    for (size_t i = 0; i < count; i++) {
        strbuf_clear(&texts[i]);
    }
    free(texts);
}

struct import_case {
    const char *name, *domain, *local_domain, *text, *want;
};

static void check_cases(enum alias_import_kind kind, const struct import_case *cases,
                        size_t count)
{
    struct strbuf out;

    strbuf_init(&out, TEXT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        struct alias_import *import =
            read_text(kind, cases[i].domain, cases[i].local_domain, cases[i].text);
        strbuf_reset(&out);
        tell(import, &out);
        CHECK_TEXT(cases[i].name, strbuf_text(&out), cases[i].want);
        check_loads(cases[i].name, import);
        alias_import_free(&import);
    }
    strbuf_clear(&out);
}

#define MAILBOX "a mailbox of that machine: say where it is now with --local DOMAIN"
#define ITSELF                                                                                 \
    "it leads to itself, which means a mailbox: say where that is now with --local DOMAIN"

static void test_virtual(void **state)
{
    /* clang-format off */
    static const struct import_case cases[] = {
        {"nothing", "", "", "", ""},
        {"one", "", "", "info@a.test anna@x.test\n", "[a.test]\ninfo: anna@x.test\n"},
        {"no line end", "", "", "info@a.test\tanna@x.test", "[a.test]\ninfo: anna@x.test\n"},
        {"CRLF", "", "", "info@a.test anna@x.test\r\nb@a.test c@x.test\r\n", "[a.test]\ninfo: anna@x.test\nb: c@x.test\n"},
        {"several targets, commas and blanks", "", "", "i@a.test a@x.test, b@x.test c@x.test,d@x.test\n",
         "[a.test]\ni: a@x.test, b@x.test, c@x.test, d@x.test\n"},
        {"goes on", "", "", "i@a.test a@x.test,\n  b@x.test\n\tc@x.test\n", "[a.test]\ni: a@x.test, b@x.test, c@x.test\n"},
        {"goes on behind a comment", "", "", "i@a.test a@x.test,\n# note\n\n  b@x.test\nj@a.test c@x.test\n",
         "[a.test]\n# note\n\ni: a@x.test, b@x.test\nj: c@x.test\n"},
        {"comments stay with what is below them", "", "", "# A\ni@a.test a@x.test\n# B\n\ni@b.test a@x.test\n# end\n",
         "[a.test]\n# A\ni: a@x.test\n[b.test]\n# B\n\ni: a@x.test\n# end\n"},
        {"grouped by domain", "", "", "i@a.test a@x.test\ni@b.test b@x.test\nj@A.test c@x.test\n",
         "[a.test]\ni: a@x.test\nj: c@x.test\n[b.test]\ni: b@x.test\n"},
        {"catch-all", "", "", "@a.test all@x.test\n", "[a.test]\n*: all@x.test\n"},
        {"domain to domain", "", "", "@a.test @x.test\n", "[a.test]\n*: *@x.test\n"},
        {"name to domain", "", "", "info@a.test @x.test\n", "[a.test]\ninfo: info@x.test\n"},
        {"domains are declared", "", "", "a.test anything\nb.test virtual\ni@a.test a@x.test\n", "[a.test]\ni: a@x.test\n[b.test]\n"},
        {"user without a domain", "", "", "postmaster a@x.test\n",
         "!1: postmaster a@x.test: the name has no domain: say which with --domain DOMAIN\n"},
        {"user, and the domain is said", "a.test", "", "postmaster a@x.test\njohn.doe b@x.test\n",
         "[a.test]\npostmaster: a@x.test\njohn.doe: b@x.test\n"},
        {"mailbox of that machine", "", "", "i@a.test bob, c@x.test\n",
         "[a.test]\n# left out: bob   (" MAILBOX ")\ni: c@x.test\n!1: bob: " MAILBOX "\n"},
        {"mailbox, and where it is now", "", "in.test", "i@a.test bob, c@x.test\n", "[a.test]\ni: bob@in.test, c@x.test\n"},
        {"to itself", "", "", "i@a.test I@A.TEST\n@a.test c@x.test\n",
         "[a.test]\n# left out: I   (" ITSELF ")\ni: :defer:\n*: c@x.test\n!1: I: " ITSELF "\n"},
        {"to itself, and where it is now", "", "in.test", "i@a.test i@a.test\n", "[a.test]\ni: i@in.test\n"},
        {"set twice", "", "", "i@a.test a@x.test\nI@a.test b@x.test\n",
         "[a.test]\ni: a@x.test\n# left out: I@a.test b@x.test   (this name came before, and the first one counts)\n"
         "!2: I@a.test b@x.test: this name came before, and the first one counts\n"},
        {"quoted name", "", "", "\"john doe\"@a.test a@x.test\n", "[a.test]\n\"john doe\": a@x.test\n"},
        {"quotes around nothing", "", "", "\"\"@a.test a@x.test\n", "!1: \"\"@a.test a@x.test: the name is no local part of an address\n"},
        {"needless quotes", "", "", "\"john\"@a.test \"anna\"@x.test\n", "[a.test]\njohn: anna@x.test\n"},
        {"names that would be something else", "", "", "\"*\"@a.test a@x.test\n\"/x/\"@a.test a@x.test\n#no\n\"#y\"@a.test \"#z\"@x.test \"*\"@x.test\n",
         "[a.test]\n\"*\": a@x.test\n\"/x/\": a@x.test\n#no\n\"#y\": \"#z\"@x.test, \"*\"@x.test\n"},
        {"UTF-8", "", "", "j\xc3\xb6rg@b\xc3\xbc" "cher.test a@x.test\ni@xn--bcher-kva.test b@x.test\n",
         "[xn--bcher-kva.test]\nj\xc3\xb6rg: a@x.test\ni: b@x.test\n"},
        {"address literal", "", "", "i@a.test a@[192.0.2.1]\n", "[a.test]\ni: a@[192.0.2.1]\n"},
        {"program and file", "", "", "i@a.test |/bin/x, /var/mail/i\n",
         "[a.test]\n# left out: |/bin/x   (a program: mail is only forwarded here)\n# left out: /var/mail/i   (a file: mail is only forwarded here)\n"
         "!1: |/bin/x: a program: mail is only forwarded here\n!1: /var/mail/i: a file: mail is only forwarded here\n"},
        {"begins with a blank", "", "", " i@a.test a@x.test\nj@a.test b@x.test\n",
         "[a.test]\n# left out: i@a.test a@x.test   (it begins with a blank, and goes on with nothing)\nj: b@x.test\n"
         "!1: i@a.test a@x.test: it begins with a blank, and goes on with nothing\n"},
        {"no target", "", "", "i@a.test\nj@a.test b@x.test\n",
         "[a.test]\n# left out: i@a.test   (no target behind the name)\nj: b@x.test\n!1: i@a.test: no target behind the name\n"},
        {"no address", "", "", "i@a.test a@@x.test b@x..test\n",
         "[a.test]\n# left out: a@@x.test   (this is no address)\n# left out: b@x..test   (this is no address)\n"
         "!1: a@@x.test: this is no address\n!1: b@x..test: this is no address\n"},
        {"no name", "", "", "a b@a.test c@x.test\n@ c@x.test\n..@a.test c@x.test\n",
         "!1: a b@a.test c@x.test: the name has no domain: say which with --domain DOMAIN\n"
         "!2: @ c@x.test: the name has no good domain behind its @\n!3: ..@a.test c@x.test: the name is no local part of an address\n"},
        {"what stands behind #", "", "", "i@a.test a@x.test # Anna, b@x.test\n", "[a.test]\ni: a@x.test\n"},
        {"a colon behind the name", "", "", "i@a.test: a@x.test\nj@a.test:b@x.test\n", "[a.test]\ni: a@x.test\nj: b@x.test\n"},
        {"OpenSMTPD's refusal", "", "", "i@a.test error:550 No such user here\nj@a.test error:451 Later\n",
         "[a.test]\ni: :refuse: 550 No such user here\nj: :defer: 451 Later\n"},
        {"NUL is seen", "", "", "i@a.test a@x.test\rb\n", "!1: i@a.test a@x.test\rb: the line holds NUL or CR: this is no text file\n"},
        {"a star was everybody", "", "", "*@a.test a@x.test\n", "[a.test]\n\"*\": a@x.test\n"},
        {"pattern", "", "", "/^info-.*@a\\.test$/ a@x.test\n", "[a.test]\n/info-.*/: a@x.test\n"},
        {"pattern, not from the start", "", "", "/sales@a.test/ a@x.test\n", "[a.test]\n/.*sales/: a@x.test\n"},
        {"pattern for a whole domain", "", "", "/@a\\.test$/ a@x.test\n/^(.*)@b\\.test$/ ${1}@x.test\n/^(.+)@c\\.test$/ $1@x.test\n",
         "[a.test]\n*: a@x.test\n[b.test]\n*: *@x.test\n[c.test]\n*: *@x.test\n"},
        {"pattern with @ in a set", "", "", "/^a[^@]*@a\\.test$/ a@x.test\n", "[a.test]\n/a[^@]*/: a@x.test\n"},
        {"pattern with a choice", "", "", "/^(info|sales)@a\\.test$/ a@x.test\n", "[a.test]\n/(info|sales)/: a@x.test\n"},
        {"pattern with a slash", "", "", "/^a\\/b.*@a\\.test$/ a@x.test\n", "[a.test]\n/a\\/b.*/: a@x.test\n"},
        {"pattern for all domains", "", "", "/^abuse@/ a@x.test\n", "!1: /^abuse@/ a@x.test: the name has no domain: say which with --domain DOMAIN\n"},
        {"pattern for all domains, one is said", "a.test", "", "/^abuse@/ a@x.test\n", "[a.test]\n/abuse/: a@x.test\n"},
        {"pattern that puts in what it found", "", "", "/^x-(.*)@a\\.test$/ $1@x.test\n",
         "[a.test]\n# left out: $1@x.test   (what the pattern found cannot be put into targets here)\n"
         "!1: $1@x.test: what the pattern found cannot be put into targets here\n"},
    };
    /* clang-format on */

    (void)state;
    check_cases(ALIAS_IMPORT_VIRTUAL, cases, COUNT_OF(cases));
}

/* Patterns that are left to the operator, each with its reason. */
static void test_foreign_patterns(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"/^a@x\\.test$|^b@x\\.test$/ a@y.test", "cannot be cut"},
        {"/^(a@x|b@y)\\.test$/ a@y.test", "more than one domain"},
        {"/^a@(x|y)\\.test$/ a@y.test", "more than one domain"},
        {"/^a|b@x\\.test$/ a@y.test", "cannot be cut"},
        {"/^\\d+@x\\.test$/ a@y.test", "pcre's own syntax"},
        {"/^(?:a|b)@x\\.test$/ a@y.test", "pcre's own syntax"},
        {"/^a++@x\\.test$/ a@y.test", "pcre's own syntax"},
        {"/^a$/ a@y.test", "no domain behind an @"},
        {"/^@x\\.test$/ a@y.test", "no good regular expression"},
        {"/^a(@x\\.test$/ a@y.test", "cannot be cut"},
        {"/^a[@x\\.test$/ a@y.test", "no domain behind an @"},
        {"/^a{2@x\\.test$/ a@y.test", "no good regular expression"},
        {"/^a@x\\.test$/i a@y.test", "flags behind the pattern"},
        {"/^a@x\\.test$ a@y.test", "no closing slash"},
        {"!/^a@x\\.test$/ a@y.test", "if, endif and !"},
        {"if /@x\\.test$/", "if, endif and !"},
        {"endif", "if, endif and !"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct alias_import *import = read_text(ALIAS_IMPORT_VIRTUAL, "", "", cases[i].line);
        const char *why;

        CHECK_INT(cases[i].line, alias_import_problem_count(import), 1);
        CHECK_INT(cases[i].line, alias_import_entry_count(import), 0);
        why = alias_import_problem(import, 0)->why;
        if (strstr(why, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].line, why);
        }
        alias_import_free(&import);
    }
}

static void test_aliases(void **state)
{
    /* clang-format off */
    static const struct import_case cases[] = {
        {"one", "a.test", "", "root: a@x.test\n", "[a.test]\nroot: a@x.test\n"},
        {"another alias", "a.test", "", "postmaster: root\nroot: a@x.test\n", "[a.test]\npostmaster: root@a.test\nroot: a@x.test\n"},
        {"without the domain", "", "", "root: a@x.test\n", "!1: root: a@x.test: the name has no domain: say which with --domain DOMAIN\n"},
        {"a mailbox, kept beside a copy", "a.test", "", "bob: \\bob, b@x.test\n",
         "[a.test]\n# left out: bob   (" ITSELF ")\nbob: b@x.test\n!1: bob: " ITSELF "\n"},
        {"to itself", "a.test", "in.test", "bob: bob, b@x.test\n", "[a.test]\nbob: bob@in.test, b@x.test\n"},
        {"program in quotes", "a.test", "", "list: \"|/usr/bin/list post, all\", a@x.test\n",
         "[a.test]\n# left out: |/usr/bin/list post, all   (a program: mail is only forwarded here)\nlist: a@x.test\n"
         "!1: |/usr/bin/list post, all: a program: mail is only forwarded here\n"},
        {"include", "a.test", "", "list: :include:/etc/list\n",
         "[a.test]\n# left out: :include:/etc/list   (import that file, too: its addresses belong here)\n"
         "!1: :include:/etc/list: import that file, too: its addresses belong here\n"},
        {"nowhere", "a.test", "", "nobody: /dev/null\nnoreply: :blackhole:\nboth: /dev/null, a@x.test\n",
         "[a.test]\nnobody: :discard:\nnoreply: :discard:\nboth: a@x.test\n"},
        {"Exim's refusals", "a.test", "", "gone: :fail: 550 has left, sorry\nlater: :defer: come back\nno: :unknown:\n",
         "[a.test]\ngone: :refuse: 550 has left, sorry\nlater: :defer: come back\nno: :refuse:\n"},
        {"full names", "a.test", "", "anna: Anna B <anna@x.test>, \"B, C\" <b@x.test>\n", "[a.test]\nanna: anna@x.test, b@x.test\n"},
        {"catch-all", "a.test", "", "*: a@x.test\n", "[a.test]\n*: a@x.test\n"},
        {"quoted name", "a.test", "", "\"john doe\" : a@x.test\n", "[a.test]\n\"john doe\": a@x.test\n"},
        {"a domain of its own", "a.test", "", "i@b.test: a@x.test\n", "[a.test]\n[b.test]\ni: a@x.test\n"},
        {"goes on", "a.test", "", "i: a@x.test,\n b@x.test\n", "[a.test]\ni: a@x.test, b@x.test\n"},
        {"no colon", "a.test", "", "i a@x.test\n",
         "[a.test]\n# left out: i a@x.test   (no target behind the name and its colon)\n!1: i a@x.test: no target behind the name and its colon\n"},
        {"a program's mail went to the catch-all", "a.test", "", "list: |/bin/list\n*: boss@x.test\n",
         "[a.test]\n# left out: |/bin/list   (a program: mail is only forwarded here)\nlist: :defer:\n*: boss@x.test\n"
         "!1: |/bin/list: a program: mail is only forwarded here\n"},
        {"only commas", "a.test", "", "i: , ,\n", "[a.test]\n# left out: i: , ,   (no target behind the name)\n!1: i: , ,: no target behind the name\n"},
    };
    /* clang-format on */

    (void)state;
    check_cases(ALIAS_IMPORT_ALIASES, cases, COUNT_OF(cases));
}

static void test_wrong_person_got_mail(void **state)
{
    /* clang-format off */
    static const struct import_case cases[] = {
        {"a mailbox's mail went to the catch-all", "", "", "info@a.test info@a.test\n@a.test boss@x.test\n",
         "[a.test]\n# left out: info   (it leads to itself, which means a mailbox: say where that is now with --local DOMAIN)\n"
         "info: :defer:\n*: boss@x.test\n"
         "!1: info: it leads to itself, which means a mailbox: say where that is now with --local DOMAIN\n"},
        {"a name below a pattern won", "", "", "/^sales.*@a\\.test$/ anna@x.test\nSales1@a.test bob@x.test\nmy-sales@a.test eve@x.test\n",
         "[a.test]\n/sales.*/: anna@x.test\n"
         "# left out: Sales1@a.test bob@x.test   (a pattern that came before takes this mail, and the first one counts)\n"
         "my-sales: eve@x.test\n"
         "!2: Sales1@a.test bob@x.test: a pattern that came before takes this mail, and the first one counts\n"},
        {"a pattern below one for everything won", "", "", "/@a\\.test$/ anna@x.test\n/^b.*@a\\.test$/ bob@x.test\n",
         "[a.test]\n*: anna@x.test\n"
         "# left out: /^b.*@a\\.test$/ bob@x.test   (a pattern that came before takes this mail, and the first one counts)\n"
         "!2: /^b.*@a\\.test$/ bob@x.test: a pattern that came before takes this mail, and the first one counts\n"},
        {"a name above keeps its mail", "", "", "sales1@a.test bob@x.test\n/^sales.*@a\\.test$/ anna@x.test\n@a.test c@x.test\n",
         "[a.test]\nsales1: bob@x.test\n/sales.*/: anna@x.test\n*: c@x.test\n"},
    };
    /* clang-format on */

    (void)state;
    check_cases(ALIAS_IMPORT_VIRTUAL, cases, COUNT_OF(cases));
}

/* What alias_line could not take is left out, and not cut. */
static void test_limits(void **state)
{
    struct alias_import *import;
    struct strbuf text;

    (void)state;
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_add_text(&text, "i@a.test ");
    for (int i = 0; i < ALIAS_TARGETS_LIMIT + 2; i++) {
        strbuf_addf(&text, "%da@x.test ", i);
    }
    strbuf_add_text(&text, "\nj@a.test ");
    while (text.len < ALIAS_LINE_LIMIT) {
        strbuf_add_text(&text, "a@x.test ");
    }
    strbuf_add_text(&text, "\nk1234567890123456789012345678901234567890123456789012345678901234"
                           "56789@a.test b@x.test\n");
    import = read_text(ALIAS_IMPORT_VIRTUAL, "", "", strbuf_text(&text));
    CHECK_INT("problems", alias_import_problem_count(import), 4);
    CHECK_INT("entries", alias_import_entry_count(import), 1);
    check_loads("limits", import);
    alias_import_free(&import);
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual), cmocka_unit_test(test_foreign_patterns),
        cmocka_unit_test(test_aliases), cmocka_unit_test(test_wrong_person_got_mail),
        cmocka_unit_test(test_limits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
