#include "forward/postsrsd_settings.h"

#include "protocol/smtp_path.h"

struct setting {
    struct bytes name, value, line;
    unsigned number;
};

/* ---- lines ---- */

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (!ascii_is_alnum(octet) && octet != '_' && octet != '-') {
            return false;
        }
    }
    return text.len > 0;
}

static struct bytes unquoted(struct bytes value)
{
    if (value.len >= 2 && (value.data[0] == '"' || value.data[0] == '\'')) {
        size_t end = bytes_find(bytes_skip(value, 1), value.data[0]);
        return bytes_between(value, 1, end + 1);
    }
    value = bytes_first(value, bytes_find(value, '#')); /* a comment behind it */
    return bytes_trim(value);
}

/* "{ a, b }" goes on to its brace. */
static struct bytes take_list(struct bytes value, struct bytes *rest, unsigned *number)
{
    struct bytes whole = value;

    while (rest->len > 0 && bytes_find(whole, '}') == whole.len) {
        struct bytes line = bytes_cut(rest, '\n');
        (*number)++;
        whole.len = (size_t)(line.data + line.len - whole.data);
    }
    return whole;
}

/* The next "name = value"; what is none is passed over. */
static bool next_setting(struct bytes *rest, unsigned *number, struct setting *setting)
{
    while (rest->len > 0) {
        struct bytes line = bytes_trim(bytes_cut(rest, '\n')), value = line, name;

        setting->number = ++*number;
        if (line.len == 0 || line.data[0] == '#' || bytes_starts_with(line, BYTES("//"))) {
            continue;
        }
        name = bytes_trim(bytes_cut(&value, '='));
        if (bytes_starts_with(name, BYTES("export "))) {
            name = bytes_trim(bytes_skip(name, 7));
        }
        if (!is_name(name) || name.len == line.len) {
            continue;
        }
        value = bytes_trim(value);
        *setting = (struct setting){name, value, line, setting->number};
        if (value.len > 0 && value.data[0] == '{') {
            setting->value = take_list(value, rest, number);
        } else {
            setting->value = unquoted(value);
        }
        return true;
    }
    return false;
}

/* ---- what they mean ---- */

enum meaning {
    IS_DOMAIN,
    IS_SECRET,
    IS_SEPARATOR,
    IS_LENGTH,
    IS_DOMAINS,
    IS_EXCLUDED,
    IS_ALWAYS,
    IS_DATABASE,
    IS_EXTRA,
    IS_ITS_OWN,
};

static const struct {
    struct bytes name;
    enum meaning meaning;
} names[] = {
    {{"SRS_DOMAIN", 10}, IS_DOMAIN},
    {{"SRS_EXCLUDE_DOMAINS", 19}, IS_EXCLUDED},
    {{"SRS_SEPARATOR", 13}, IS_SEPARATOR},
    {{"SRS_SECRET", 10}, IS_SECRET},
    {{"SRS_HASHLENGTH", 14}, IS_LENGTH},
    {{"SRS_HASHMIN", 11}, IS_LENGTH},
    {{"SRS_EXTRA_OPTIONS", 17}, IS_EXTRA},
    {{"SRS_FORWARD_PORT", 16}, IS_ITS_OWN},
    {{"SRS_REVERSE_PORT", 16}, IS_ITS_OWN},
    {{"SRS_LISTEN_ADDR", 15}, IS_ITS_OWN},
    {{"RUN_AS", 6}, IS_ITS_OWN},
    {{"CHROOT", 6}, IS_ITS_OWN},
    {{"srs-domain", 10}, IS_DOMAIN},
    {{"domains", 7}, IS_DOMAINS},
    {{"domains-file", 12}, IS_ITS_OWN},
    {{"secrets-file", 12}, IS_SECRET},
    {{"separator", 9}, IS_SEPARATOR},
    {{"hash-length", 11}, IS_LENGTH},
    {{"hash-minimum", 12}, IS_LENGTH},
    {{"always-rewrite", 14}, IS_ALWAYS},
    {{"original-envelope", 17}, IS_DATABASE},
    {{"socketmap", 9}, IS_ITS_OWN},
    {{"milter", 6}, IS_ITS_OWN},
    {{"unprivileged-user", 17}, IS_ITS_OWN},
    {{"chroot-dir", 10}, IS_ITS_OWN},
};

static bool find_meaning(struct bytes name, enum meaning *meaning)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bytes_equal(names[i].name, name)) {
            *meaning = names[i].meaning;
            return true;
        }
    }
    return false;
}

static void leave_out(struct postsrsd_settings *settings, const struct setting *setting,
                      const char *why)
{
    if (settings->problem_count < POSTSRSD_PROBLEM_LIMIT) {
        settings->problems[settings->problem_count++] =
            (struct postsrsd_problem){setting->number, setting->line, why};
    }
}

static void take_domain(struct postsrsd_settings *settings, const struct setting *setting)
{
    if (smtp_domain_is_valid(setting->value, true)) {
        settings->srs_domain = setting->value;
    } else if (setting->value.len > 0) {
        leave_out(settings, setting, "this is no domain: say which with --domain DOMAIN");
    }
}

static void take_separator(struct postsrsd_settings *settings, const struct setting *setting)
{
    if (setting->value.len == 1 && strchr("=+-", setting->value.data[0]) != NULL) {
        settings->separator = setting->value.data[0];
    } else if (setting->value.len > 0) {
        leave_out(settings, setting, "the separator is =, + or -");
    }
}

/* Shorter tags than 4 digits were never safe, and are not taken here. */
static void check_length(struct postsrsd_settings *settings, const struct setting *setting)
{
    uint64_t length;

    if (setting->value.len > 0 &&
        (!bytes_to_u64(setting->value, &length) || length < 4 || length > 26)) {
        leave_out(settings, setting, "tags of 4 to 26 characters are taken here");
    }
}

/* The first of "{ "a", "b" }". */
static void take_first_domain(struct postsrsd_settings *settings, const struct setting *setting)
{
    struct bytes list = bytes_skip(setting->value, 1), first;

    list = bytes_first(list, bytes_find(list, '}'));
    first = unquoted(bytes_trim(bytes_cut(&list, ',')));
    if (smtp_domain_is_valid(first, true)) {
        settings->first_domain = first;
    }
}

static bool is_switched_on(struct bytes value)
{
    return bytes_equal_nocase(value, BYTES("on")) || bytes_equal_nocase(value, BYTES("true")) ||
           bytes_equal_nocase(value, BYTES("yes"));
}

static void take(struct postsrsd_settings *settings, const struct setting *setting,
                 enum meaning meaning)
{
    switch (meaning) {
    case IS_DOMAIN:
        take_domain(settings, setting);
        break;
    case IS_SECRET:
        settings->secret_path = setting->value;
        break;
    case IS_SEPARATOR:
        take_separator(settings, setting);
        break;
    case IS_LENGTH:
        check_length(settings, setting);
        break;
    case IS_DOMAINS:
        take_first_domain(settings, setting);
        break;
    case IS_EXCLUDED:
        if (setting->value.len > 0) {
            leave_out(settings, setting,
                      "senders are left as they are in the domains of domain { } only");
        }
        break;
    case IS_ALWAYS:
        if (is_switched_on(setting->value)) {
            leave_out(settings, setting, "senders in domains of ours are never rewritten here");
        }
        break;
    case IS_EXTRA:
        if (bytes_find_part(setting->value, BYTES("-A")) < setting->value.len) {
            leave_out(settings, setting, "senders in domains of ours are never rewritten here");
        }
        break;
    case IS_DATABASE:
        if (bytes_equal_nocase(setting->value, BYTES("database"))) {
            leave_out(
                settings, setting,
                "the database is not read: its addresses only lead back while postsrsd runs");
        }
        break;
    case IS_ITS_OWN:
        break;
    }
}

bool postsrsd_settings_are_meant(struct bytes text)
{
    struct setting setting;
    unsigned number = 0;

    while (next_setting(&text, &number, &setting)) {
        enum meaning meaning;
        if (find_meaning(setting.name, &meaning)) {
            return true;
        }
    }
    return false;
}

void postsrsd_settings_read(struct bytes text, struct postsrsd_settings *settings)
{
    struct setting setting;
    unsigned number = 0;

    while (next_setting(&text, &number, &setting)) {
        enum meaning meaning;

        if (!find_meaning(setting.name, &meaning)) {
            continue;
        }
        if (setting.value.len > 0 && meaning != IS_ITS_OWN &&
            (memchr(setting.value.data, '$', setting.value.len) != NULL ||
             memchr(setting.value.data, '`', setting.value.len) != NULL)) {
            leave_out(settings, &setting, "only a shell knows what this is");
        } else {
            take(settings, &setting, meaning);
        }
    }
}

bool postsrsd_next_secret(struct bytes *rest, struct bytes *secret)
{
    while (rest->len > 0) {
        *secret = bytes_trim(bytes_cut(rest, '\n'));
        if (secret->len > 0) {
            return true;
        }
    }
    return false;
}
