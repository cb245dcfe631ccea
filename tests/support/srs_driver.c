/*
 * srs_driver - `postilion srs` without a configuration, for tests beside other SRS programs.
 *
 * usage: srs_driver [format=classic] [separator=+] [secret=S ...] [classic-secret=S ...]
 *                   [domain=D] [own=D ...] [max-age=DAYS] [today=DAYS] [long=refuse]
 *                   forward|reverse ADDRESS ...
 */
#include "ctl/srs_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OWN_LIMIT = 8 };

struct driver {
    struct srs_secret secrets[SRS_SECRET_LIMIT];
    struct srs_options srs;
    struct srs_command_options command;
    struct bytes own[OWN_LIMIT];
    size_t own_count;
};

static bool is_own_domain(void *context, struct bytes domain)
{
    const struct driver *driver = context;

    for (size_t i = 0; i < driver->own_count; i++) {
        if (bytes_equal_nocase(driver->own[i], domain)) {
            return true;
        }
    }
    return bytes_equal_nocase(driver->command.srs_domain, domain);
}

static void add_secret(struct driver *driver, struct bytes value, bool is_classic)
{
    if (driver->srs.secret_count < SRS_SECRET_LIMIT) {
        driver->secrets[driver->srs.secret_count++] = (struct srs_secret){value, is_classic};
    }
}

/* False: no setting, the command begins here. */
static bool read_setting(struct driver *driver, const char *argument)
{
    struct bytes value = bytes_from_text(argument);
    struct bytes name = bytes_cut(&value, '=');

    if (bytes_equal(name, BYTES("format"))) {
        driver->srs.format =
            bytes_equal(value, BYTES("classic")) ? SRS_FORMAT_CLASSIC : SRS_FORMAT_MODERN;
    } else if (bytes_equal(name, BYTES("separator"))) {
        driver->srs.separator = value.data[0];
    } else if (bytes_equal(name, BYTES("secret"))) {
        add_secret(driver, value, false);
    } else if (bytes_equal(name, BYTES("classic-secret"))) {
        add_secret(driver, value, true);
    } else if (bytes_equal(name, BYTES("domain"))) {
        driver->command.srs_domain = value;
    } else if (bytes_equal(name, BYTES("own")) && driver->own_count < OWN_LIMIT) {
        driver->own[driver->own_count++] = value;
    } else if (bytes_equal(name, BYTES("max-age"))) {
        driver->srs.max_age_days = (unsigned)strtoul(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("today"))) {
        driver->command.today = (uint32_t)strtoul(value.data, NULL, 10);
    } else if (bytes_equal(name, BYTES("long"))) {
        driver->command.long_rule =
            bytes_equal(value, BYTES("refuse")) ? LONG_SENDER_REFUSE : LONG_SENDER_STORE;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct driver driver;
    int at = 1;

    driver.srs = (struct srs_options){.separator = '=',
                                      .max_age_days = 21,
                                      .secrets = driver.secrets,
                                      .is_own_domain = is_own_domain,
                                      .own_domain_context = &driver};
    driver.command = (struct srs_command_options){.srs = &driver.srs,
                                                  .srs_domain = BYTES("srs.example.org"),
                                                  .today = (uint32_t)(time(NULL) / 86400)};
    while (at < argc && read_setting(&driver, argv[at])) {
        at++;
    }
    if (driver.srs.secret_count == 0) {
        fputs("srs_driver: no secret\n", stderr);
        return 64;
    }
    return srs_command_run(&driver.command, argc - at, argv + at);
}
