#include "support/check.h"

#include "ctl/srs_command.h"
#include "mail/reply_address.h"

#include <stdlib.h>
#include <sysexits.h>

enum { TODAY = 20778 };

static const struct srs_secret secret = {{"0123456789abcdef", 16}, false};
static const struct srs_options srs = {
    .separator = '=', .max_age_days = 21, .secrets = &secret, .secret_count = 1};

#define REPLY "REPLY0=UBINDSVL=JK=example.net=alice@example.org"

/* Runs the command with its streams in memory: "code|output|first words of complaints". */
static void check_run(const char *name, uint32_t today, const char *verb, const char *address,
                      int want_code, const char *want_output, const char *want_complaint)
{
    struct srs_command_options options = {
        .srs = &srs, .srs_domain = BYTES("srs.example.org"), .today = today};
    char *words[] = {(char *)(uintptr_t)verb, (char *)(uintptr_t)address};
    FILE *out = stdout, *err = stderr;
    char *output = NULL, *complaint = NULL;
    size_t output_len, complaint_len;
    int code;

    stdout = open_memstream(&output, &output_len);
    stderr = open_memstream(&complaint, &complaint_len);
    code = srs_command_run(&options, address == NULL ? 1 : 2, words);
    fclose(stdout);
    fclose(stderr);
    stdout = out;
    stderr = err;
    CHECK_INT(name, code, want_code);
    CHECK_TEXT(name, output, want_output);
    if (strstr(complaint, want_complaint) == NULL) {
        fail_msg("%s: \"%s\" is not in \"%s\"", name, want_complaint, complaint);
    }
    free(output);
    free(complaint);
}

static void test_reverse(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        uint32_t today;
        const char *address;
        int code;
        const char *output, *complaint;
    } cases[] = {
        {"SRS", TODAY, "SRS0=3AJB5UAE=JK=example.net=alice@srs.example.org", EX_OK, "alice@example.net\n", ""},
        {"reply", TODAY, REPLY, EX_OK, "alice@example.net\n", ""},
        {"reply in brackets", TODAY, "<" REPLY ">", EX_OK, "alice@example.net\n", ""},
        {"in lower case", TODAY, "reply0=ubindsvl=jk=example.net=alice@example.org", EX_OK, "alice@example.net\n", ""},
        {"the tag of SRS", TODAY, "REPLY0=3AJB5UAE=JK=example.net=alice@example.org", EX_DATAERR, "", "forged"},
        {"the tag of a reply", TODAY, "SRS0=UBINDSVL=JK=example.net=alice@example.org", EX_DATAERR, "", "forged"},
        {"malformed", TODAY, "REPLY0=x@example.org", EX_DATAERR, "", "malformed: begins like a reply address"},
        {"malformed SRS", TODAY, "SRS0=x@example.org", EX_DATAERR, "", "malformed: begins like an SRS address"},
        {"expired", TODAY + 22, REPLY, EX_DATAERR, "", "expired"},
        {"from the future", TODAY - 2, REPLY, EX_DATAERR, "", "from the future"},
        {"neither", TODAY, "alice@example.org", EX_DATAERR, "", "not an SRS address, and not a reply address"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_run(cases[i].name, cases[i].today, "reverse", cases[i].address, cases[i].code,
                  cases[i].output, cases[i].complaint);
    }
}

/* The key says which kind of address is missing. */
static void test_stored_reply(void **state)
{
    struct smtp_mailbox author = {.local = BYTES("alice"), .domain = BYTES("example.net")};
    struct arena *arena = arena_new();
    struct smtp_mailbox made;
    struct bytes token;
    char address[100], complaint[100];

    (void)state;
    reply_address_make_stored(&srs, BYTES("example.org"), TODAY, &author, arena, &made, &token);
    snprintf(address, sizeof address, BYTES_FMT "@example.org", BYTES_ARG(made.local));
    snprintf(complaint, sizeof complaint, "no address is stored under " BYTES_FMT,
             BYTES_ARG(token));
    check_run("stored", TODAY, "reverse", address, EX_DATAERR, "", complaint);
    arena_free(&arena);
}

static void test_usage(void **state)
{
    (void)state;
    check_run("no address", TODAY, "reverse", NULL, EX_USAGE, "", "reply address");
    check_run("no verb", TODAY, "turn", REPLY, EX_USAGE, "", "usage: postilion srs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reverse),
        cmocka_unit_test(test_stored_reply),
        cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
