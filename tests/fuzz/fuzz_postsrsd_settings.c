/*
 * Any octets as a settings file of postsrsd, and as one of secrets. Properties: every part lies inside the text; domains are domains; lines of
 * problems exist; secrets are not empty and hold no line end; what was read twice says the same.
 */
#include "forward/postsrsd_settings.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_inside(struct bytes part, struct bytes whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_settings(struct bytes text)
{
    struct postsrsd_settings settings = {.separator = 0}, again = {.separator = 0};
    unsigned lines = 1;

    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n';
    }
    postsrsd_settings_read(text, &settings);
    postsrsd_settings_read(text, &again);
    require(is_inside(settings.srs_domain, text) && is_inside(settings.first_domain, text));
    require(is_inside(settings.secret_path, text));
    require(settings.srs_domain.len == 0 || smtp_domain_is_valid(settings.srs_domain, true));
    require(settings.first_domain.len == 0 ||
            smtp_domain_is_valid(settings.first_domain, true));
    require(settings.separator == 0 || strchr("=+-", settings.separator) != NULL);
    require(settings.problem_count <= POSTSRSD_PROBLEM_LIMIT);
    for (size_t i = 0; i < settings.problem_count; i++) {
        require(settings.problems[i].why != NULL && is_inside(settings.problems[i].text, text));
        require(settings.problems[i].line > 0 && settings.problems[i].line <= lines);
    }
    require(bytes_equal(settings.srs_domain, again.srs_domain) &&
            settings.problem_count == again.problem_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size), rest = text, secret;

    (void)postsrsd_settings_are_meant(text);
    check_settings(text);
    while (postsrsd_next_secret(&rest, &secret)) {
        require(secret.len > 0 && is_inside(secret, text));
        require(memchr(secret.data, '\n', secret.len) == NULL);
    }
    return 0;
}
