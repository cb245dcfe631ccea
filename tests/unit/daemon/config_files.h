/*
 * config_files - a directory of files for tests that load configurations, and loading them.
 *
 * Shape  config_files_make, config_files_write, config_files_load ..., config_files_remove. The directory has
 *        a `secret`; a configuration under test is called DIRECTORY/test.conf, which need not be there.
 */
#ifndef TESTS_CONFIG_FILES_H
#define TESTS_CONFIG_FILES_H

#include "support/check.h"

#include "auth/signing_key.h"
#include "daemon/config.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static inline const char *config_files_path(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static inline void config_files_write(const char *name, struct bytes text, unsigned mode)
{
    FILE *file = fopen(config_files_path(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(config_files_path(name), mode), 0);
}

static inline void config_files_write_key(const char *name, enum signing_algorithm algorithm,
                                          unsigned mode)
{
    struct signing_key *key = signing_key_make(algorithm);
    struct strbuf pem;

    strbuf_init(&pem, 65536);
    signing_key_add_pem(key, &pem);
    config_files_write(name, strbuf_bytes(&pem), mode);
    strbuf_clear(&pem);
    signing_key_free(&key);
}

/* As a set-up of cmocka, or the start of one. */
static inline int config_files_make(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/postilion-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    config_files_write("secret", BYTES("a secret of sixteen octets and more\n"), 0600);
    return 0;
}

static inline int config_files_remove_one(const char *path, const struct stat *facts, int type,
                                          struct FTW *where)
{
    (void)facts;
    (void)type;
    (void)where;
    return remove(path);
}

static inline int config_files_remove(void **state)
{
    (void)state;
    return nftw(directory, config_files_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct config *config_files_load(const char *text, struct config_errors *errors)
{
    return config_load_text(config_files_path("test.conf"), bytes_from_text(text), errors);
}

/* What the loader says about it is added to `told`. */
static inline struct config *config_files_load_telling(const char *text, struct strbuf *told)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_files_load(text, errors);

    config_errors_print(errors, told);
    config_errors_free(&errors);
    return config;
}

/* Nothing may be said about it. */
static inline struct config *config_files_load_good(const char *text)
{
    struct config *config;
    struct strbuf told;

    strbuf_init(&told, 100000);
    config = config_files_load_telling(text, &told);
    if (config == NULL || told.len > 0) {
        fail_msg("%s", strbuf_text(&told));
    }
    strbuf_clear(&told);
    return config;
}

/* In front of what tests of one block are about. */
#define CONFIG_FILES_HEAD                                                                      \
    "hostname mx.own.test\nsrs {\n secret-file secret\n}\ndomain own.test {\n forward "        \
    "postmaster to a@b.test\n forward abuse to a@b.test\n}\n"

#endif
