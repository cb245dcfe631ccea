/*
 * check - assertions for unit tests that say what was got and what was wanted.
 *
 * Use     include it first in a test; it brings cmocka and what cmocka needs. Table tests: pass the
 *         case's name, so that a failure says which row it was.
 */
#ifndef TESTS_SUPPORT_CHECK_H
#define TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define CHECK_INT(name, got, want)                                                             \
    do {                                                                                       \
        long long check_got = (long long)(got), check_want = (long long)(want);                \
        if (check_got != check_want) {                                                         \
            fail_msg("%s: %s is %lld, want %lld", (name), #got, check_got, check_want);        \
        }                                                                                      \
    } while (0)

#define CHECK_BYTES(name, got, want)                                                           \
    do {                                                                                       \
        struct bytes check_got = (got), check_want = (want);                                   \
        if (!bytes_equal(check_got, check_want)) {                                             \
            fail_msg("%s: %s is \"" BYTES_FMT "\", want \"" BYTES_FMT "\"", (name), #got,      \
                     BYTES_ARG(check_got), BYTES_ARG(check_want));                             \
        }                                                                                      \
    } while (0)

#define CHECK_TEXT(name, got, want)                                                            \
    CHECK_BYTES(name, bytes_from_text(got), bytes_from_text(want))

#define CHECK_TRUE(name, condition)                                                            \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fail_msg("%s: not true: %s", (name), #condition);                                  \
        }                                                                                      \
    } while (0)

#endif
