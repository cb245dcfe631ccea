#include "support/check.h"

#include "forward/doctor_host.h"

enum { TEXT_LIMIT = 65536, NOW = 1800000000, DAY = 86400 };

static struct arena *arena;
static struct findings findings;

static void begin(void)
{
    findings_init(&findings, arena);
    findings_begin(&findings, "host", BYTES("mx.example"));
}

/* "error clock: ...|fix": a line each. */
static void check_lines(const char *name, const char *want)
{
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    for (const struct finding *at = findings.first; at != NULL; at = at->next) {
        strbuf_addf(&text, "%s %s: " BYTES_FMT "%s" BYTES_FMT "\n",
                    finding_severity_text(at->severity), at->check, BYTES_ARG(at->found),
                    at->remedy == FINDING_NO_REMEDY ? "" : " | ", BYTES_ARG(at->fix));
        CHECK_TRUE(name, at->severity == FINDING_OK || at->why != NULL ||
                             at->severity == FINDING_UNKNOWN);
    }
    CHECK_TEXT(name, strbuf_text(&text), want);
    strbuf_clear(&text);
}

static void test_files(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum doctor_file_kind kind;
        bool is_known;
        unsigned owner, mode;
        const char *want;
    } cases[] = {
        {"a secret of root's", DOCTOR_FILE_SECRET, true, 0, 0640, "ok file-rights: owner and mode of 1 files and directories\n"},
        {"a secret of ours", DOCTOR_FILE_SECRET, true, 7, 0600, "ok file-rights: owner and mode of 1 files and directories\n"},
        {"a secret everybody reads", DOCTOR_FILE_SECRET, true, 0, 0644, "error secret-file: /f (mode 644): everybody can read it | chmod 640 /f\n"},
        {"a secret everybody writes", DOCTOR_FILE_SECRET, true, 0, 0666, "error secret-file: /f (mode 666): everybody can write it | chmod 640 /f\n"},
        {"a secret its group writes", DOCTOR_FILE_SECRET, true, 0, 0660, "warning secret-file: /f (mode 660): its group can write it | chmod 640 /f\n"},
        {"a secret of somebody else", DOCTOR_FILE_SECRET, true, 99, 0600,
         "error secret-file: /f belongs to account 99, the daemon is 7 | chown postilion /f\n"},
        {"configuration", DOCTOR_FILE_RULES, true, 0, 0644, "ok file-rights: owner and mode of 1 files and directories\n"},
        {"configuration of an admin", DOCTOR_FILE_RULES, true, 99, 0644,
         "note file-rights: /f belongs to account 99, the daemon is 7 | chown postilion /f\n"},
        {"configuration everybody writes", DOCTOR_FILE_RULES, true, 0, 0646, "error file-rights: /f (mode 646): everybody can write it | chmod 644 /f\n"},
        {"spool", DOCTOR_DIRECTORY, true, 7, 0700, "ok file-rights: owner and mode of 1 files and directories\n"},
        {"spool of root's", DOCTOR_DIRECTORY, true, 0, 0700, "error directory: /f belongs to account 0, the daemon is 7 | chown postilion /f\n"},
        {"spool to be seen", DOCTOR_DIRECTORY, true, 7, 0755, "note directory: /f (mode 755): everybody can see what is in it | chmod 700 /f\n"},
        {"spool everybody writes", DOCTOR_DIRECTORY, true, 7, 01777, "error directory: /f (mode 777): everybody can write it | chmod 700 /f\n"},
        {"not to be seen", DOCTOR_FILE_SECRET, false, 0, 0, "unknown secret-file: /f could not be looked at\n"},
    };
    /* clang-format on */
    const struct doctor_account account = {
        .is_known = true, .id = 7, .name = BYTES("postilion")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct doctor_file file = {cases[i].kind, BYTES("/f"), cases[i].is_known,
                                         cases[i].owner, cases[i].mode};

        begin();
        doctor_host_files(&findings, &file, 1, &account);
        check_lines(cases[i].name, cases[i].want);
    }
}

static void test_secrets(void **state)
{
    static const struct {
        const char *secret;
        unsigned least, most; /* bits */
    } cases[] = {
        {"", 0, 0},
        {"aaaaaaaaaaaaaaaaaaaaaaaa", 0, 4},
        {"abababababababababababab", 0, 4},
        {"1234567890123456", 0, 40},
        {"abcdefghijklmnopqrstuvwxyz", 0, 12},
        {"8301957264091837", 40, 55}, /* only digits */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 0, 20},
        {"3f9a1c07e5b2d8460f7ae913bd52c86f", 120, 128},
        {"q8Xv2LpTz6RnYc4K", 85, 92}, /* sixteen octets, as base64 has them */
        {"kfQ2vZ8xT4mW9pLr7BnC3dYh6sGj1aUe", 150, 190},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned bits = doctor_secret_bits(bytes_from_text(cases[i].secret));

        CHECK_TRUE(cases[i].secret, bits >= cases[i].least && bits <= cases[i].most);
    }
    begin();
    doctor_host_secret(&findings, BYTES("/s"), 1, BYTES("3f9a1c07e5b2d8460f7ae913bd52c86f"));
    check_lines("good", "ok secret: line 1 of /s is hard to guess\n");
    begin();
    doctor_host_secret(&findings, BYTES("/s"), 2, BYTES("8301957264091837"));
    CHECK_INT("weak", findings.first->severity, FINDING_WARNING);
    doctor_host_secret(&findings, BYTES("/s"), 1, BYTES("aaaaaaaaaaaaaaaaaaaaaaaa"));
    CHECK_INT("very weak", findings.first->next->severity, FINDING_ERROR);
    begin();
    doctor_host_secret(&findings, BYTES("/s"), 1,
                       BYTES("kfQ2vZ8xT4mW9pLr-Password-7BnC3dYh6sGj1aUe"));
    CHECK_BYTES("of a manual", findings.first->found,
                BYTES("line 1 of /s has the word \"password\" in it"));
    CHECK_TRUE("never shown",
               bytes_find_part(findings.first->fix, BYTES("kfQ2")) == findings.first->fix.len);
}

#define MB (UINT64_C(1024) * 1024)

static void test_disks(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct doctor_disk disk;
        const char *want;
    } cases[] = {
        {"fine", {"spool", {"/q", 2}, true, 900 * MB, 100 * MB, 1000, 2000}, "ok disk: spool /q: 900 MB free\n"},
        {"soon full", {"spool", {"/q", 2}, true, 300 * MB, 100 * MB, 1000, 2000},
         "warning disk: spool /q: 300 MB free, under 100 MB mail is deferred | df -h /q\n"},
        {"full", {"spool", {"/q", 2}, true, 99 * MB, 100 * MB, 1000, 2000},
         "error disk: spool /q: 99 MB free, under 100 MB mail is deferred | df -h /q\n"},
        {"no inodes", {"state", {"/q", 2}, true, 900 * MB, 100 * MB, 9, 2000},
         "error disk: state /q: 9 of 2000 inodes are free | df -i /q\nok disk: state /q: 900 MB free\n"},
        {"few inodes", {"state", {"/q", 2}, true, 900 * MB, 100 * MB, 99, 2000},
         "warning disk: state /q: 99 of 2000 inodes are free | df -i /q\nok disk: state /q: 900 MB free\n"},
        {"no inodes at all (btrfs)", {"spool", {"/q", 2}, true, 900 * MB, 100 * MB, 0, 0}, "ok disk: spool /q: 900 MB free\n"},
        {"not known", {"spool", {"/q", 2}, false, 0, 0, 0, 0}, "unknown disk: spool /q: how much is free cannot be seen from here\n"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin();
        doctor_host_disk(&findings, &cases[i].disk);
        check_lines(cases[i].name, cases[i].want);
    }
}

static void test_clocks(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct doctor_clock clock;
        const char *want;
    } cases[] = {
        {"kept", {DOCTOR_CLOCK_KEPT, NULL, NOW, NOW - DAY, {"/f", 2}}, "ok clock: the kernel says that it is kept in time\n"},
        {"free", {DOCTOR_CLOCK_FREE, NULL, NOW, 0, {"", 0}}, "warning clock: nothing keeps it in time | timedatectl set-ntp true\n"},
        {"not known", {DOCTOR_CLOCK_UNKNOWN, "nobody says", NOW, 0, {"", 0}}, "unknown clock: nobody says\n"},
        {"it was later already", {DOCTOR_CLOCK_KEPT, NULL, NOW, NOW + 3 * DAY, {"the time of /f", 14}},
         "error clock: it is 72 hours before the time of /f | timedatectl set-ntp true\n"},
        {"a minute is nothing", {DOCTOR_CLOCK_KEPT, NULL, NOW, NOW + 60, {"/f", 2}}, "ok clock: the kernel says that it is kept in time\n"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin();
        doctor_host_clock(&findings, &cases[i].clock);
        check_lines(cases[i].name, cases[i].want);
    }
}

#define NAMED                                                                                  \
    "ok certificate-name: our host name and the names in our MX records are in a "             \
    "certificate\n"
#define RENEW " | get a new one, put it and its key in place, then: postilion reload\n"

static void test_certificates(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct doctor_certificate certificate;
        size_t missing;
        const char *want;
    } cases[] = {
        {"good", {{"/c", 2}, true, NOW - DAY, NOW + 80 * DAY, NULL, false}, 0,
         "ok certificate: /c is valid until 2027-04-05 (80 days), its key matches\n" NAMED},
        {"soon over", {{"/c", 2}, true, NOW - DAY, NOW + 9 * DAY, NULL, false}, 0,
         "warning certificate: /c expires on 2027-01-24, in 9 days" RENEW NAMED},
        {"over", {{"/c", 2}, true, NOW - DAY, NOW, NULL, false}, 0, "error certificate: /c has expired on 2027-01-15" RENEW NAMED},
        {"not yet", {{"/c", 2}, true, NOW + DAY, NOW + 9 * DAY, NULL, false}, 0,
         "error certificate: /c is valid from 2027-01-16 on | look whether the clock is right: date -u\n" NAMED},
        {"disorder", {{"/c", 2}, true, NOW - DAY, NOW + 80 * DAY, "it stands alone", false}, 0,
         "ok certificate: /c is valid until 2027-04-05 (80 days), its key matches\n"
         "warning certificate: /c: it stands alone | put the certificate first, then the one that signed it, and so on\n" NAMED},
        {"renewed, not read", {{"/c", 2}, true, NOW - DAY, NOW + 80 * DAY, NULL, true}, 0,
         "warning certificate: /c is another one now than the daemon uses | postilion reload\n"
         "ok certificate: /c is valid until 2027-04-05 (80 days), its key matches\n" NAMED},
        {"another name", {{"/c", 2}, true, NOW - DAY, NOW + 80 * DAY, NULL, false}, 1,
         "ok certificate: /c is valid until 2027-04-05 (80 days), its key matches\n"
         "warning certificate-name: no certificate is for mx.example | get a certificate that names mx.example\n"},
        {"not known", {{"/c", 2}, false, 0, 0, NULL, false}, 0, "unknown certificate: /c could not be looked at\n" NAMED},
    };
    /* clang-format on */
    const struct bytes missing = BYTES("mx.example");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin();
        doctor_host_certificates(&findings, &cases[i].certificate, 1, &missing,
                                 cases[i].missing, NOW);
        check_lines(cases[i].name, cases[i].want);
    }
    begin();
    doctor_host_certificates(&findings, NULL, 0, &missing, 1, NOW);
    check_lines(
        "none",
        "note certificate: there is none | add tls { certificate FILE and key FILE }\n");
}

static void test_relay(void **state)
{
    struct doctor_relay_try tries[] = {{BYTES("a@b.example"), 550}, {BYTES("a%b@c"), 550}};

    (void)state;
    begin();
    doctor_host_relay(&findings, tries, 2);
    check_lines("closed",
                "ok open-relay: a stranger's mail to a stranger is refused, in 2 forms\n");
    tries[1].code = 250;
    begin();
    doctor_host_relay(&findings, tries, 2);
    check_lines("open", "error open-relay: RCPT TO:<a%b@c> was answered 250 | postilion "
                        "explain stranger@sender.example 'a%b@c'\n");
    tries[1].code = 451;
    begin();
    doctor_host_relay(&findings, tries, 2);
    check_lines("deferred", "warning open-relay: RCPT TO:<a%b@c> was answered 451 | postilion "
                            "explain stranger@sender.example 'a%b@c'\n");
    tries[1].code = 0;
    begin();
    doctor_host_relay(&findings, tries, 2);
    check_lines("no answer", "unknown open-relay: 1 of 2 tries had no answer\n");
}

static struct doctor_call call_of(enum doctor_call_result result, const char *host,
                                  const char *banner)
{
    struct doctor_call call = {.result = result,
                               .host = bytes_from_text(host),
                               .code = 220,
                               .banner = bytes_from_text(banner)};

    assert_true(ip_endpoint_parse(BYTES("192.0.2.1:25"), 0, &call.endpoint));
    return call;
}

static void test_listeners(void **state)
{
    const struct doctor_call calls[] = {
        call_of(DOCTOR_CALL_GREETED, "", "mx.example ESMTP"),
        call_of(DOCTOR_CALL_GREETED, "", "mx.example.org ESMTP"),
        call_of(DOCTOR_CALL_CLOSED, "", ""),
        call_of(DOCTOR_CALL_UNKNOWN, "", ""),
    };

    (void)state;
    begin();
    doctor_host_listeners(&findings, calls, COUNT_OF(calls), BYTES("mx.example"));
    check_lines("listeners",
                "ok listener: 192.0.2.1:25 greets as mx.example\n"
                "error listener: 192.0.2.1:25 is somebody else: 220 mx.example.org ESMTP | ss "
                "-ltnp 'sport = :25'\n"
                "error listener: 192.0.2.1:25: nobody listens | systemctl restart postilion\n"
                "unknown listener: 192.0.2.1:25: not tried\n");
}

static void test_port_25(void **state)
{
    struct doctor_call calls[] = {call_of(DOCTOR_CALL_SILENT, "mx.a.example", ""),
                                  call_of(DOCTOR_CALL_GREETED, "mx.b.example", "mx.b.example")};

    (void)state;
    begin();
    doctor_host_port_25(&findings, calls, 2);
    check_lines("one is enough", "ok port-25: mx.b.example 192.0.2.1:25: answers\n");
    calls[1].result = DOCTOR_CALL_NO_WAY;
    begin();
    doctor_host_port_25(&findings, calls, 2);
    check_lines(
        "closed",
        "error port-25: mx.a.example 192.0.2.1:25: no answer in time; mx.b.example "
        "192.0.2.1:25: no route | ask the "
        "provider of this machine to let port 25 out, or route mail to a host it may reach\n");
    begin();
    doctor_host_port_25(&findings, calls, 0);
    check_lines("nobody to try",
                "unknown port-25: there is no host to be tried: --port-25 HOST names one\n");
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
        cmocka_unit_test(test_files),        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_disks),        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_relay),
        cmocka_unit_test(test_listeners),    cmocka_unit_test(test_port_25),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
