/*
 * The order of writing: what the configuration needs comes first, itself comes last. So a call that was cut short can be
 * repeated: it keeps what it finds and goes on.
 */
#include "setup_call.h"

#include "io/entropy.h"
#include "io/file_write.h"

#include <string.h>
#include <sysexits.h>

enum { PEM_LIMIT = 1024 * 1024 };

static const char CONFIGURATION[] = "postilion.conf";
static const char SECRET[] = "srs.secret";
static const char KEY[] = SETUP_SELECTOR ".pem";
static const char CHAIN[] = "tls/fullchain.pem";
static const char CHAIN_KEY[] = "tls/privkey.pem";
static const char POSTSRSD[] = "postsrsd.secret";

const char *setup_path(const struct setup_call *call, const char *file)
{
    struct bytes directory = bytes_from_text(call->directory);
    struct strbuf path;
    const char *copy;

    while (directory.len > 1 && directory.data[directory.len - 1] == '/') {
        directory.len--;
    }
    strbuf_init(&path, 8192);
    strbuf_addf(&path, BYTES_FMT "%s%s", BYTES_ARG(directory),
                bytes_equal(directory, BYTES("/")) ? "" : "/", file);
    copy = arena_copy_text(call->arena, strbuf_bytes(&path));
    strbuf_clear(&path);
    return copy;
}

const char *setup_alias_file(const struct setup_call *call, size_t domain)
{
    struct strbuf name;
    const char *copy;

    strbuf_init(&name, 8192);
    strbuf_addf(&name, BYTES_FMT ".aliases", BYTES_ARG(call->domains[domain]));
    copy = arena_copy_text(call->arena, strbuf_bytes(&name));
    strbuf_clear(&name);
    return copy;
}

/* ---- what is in them ---- */

static void add_tls(const struct setup_call *call, struct strbuf *out)
{
    if (call->certificate != NULL) {
        strbuf_addf(out, "\ntls {\n    certificate %s\n    key         %s\n}\n", CHAIN,
                    CHAIN_KEY);
    } else {
        strbuf_addf(
            out,
            "\n# No certificate for this name was found. With one, clients can encrypt:\n"
            "#tls {\n#    certificate %s\n#    key         %s\n#}\n",
            CHAIN, CHAIN_KEY);
    }
}

/* The secrets that "import postsrsd" put there are used, too. */
static void add_srs(const struct setup_call *call, struct strbuf *out)
{
    strbuf_addf(
        out,
        "\n# Forwarded mail leaves with senders of this domain, and bounces come back to it.\n"
        "srs {\n    domain      " BYTES_FMT "\n    secret-file %s\n",
        BYTES_ARG(call->srs_domain), SECRET);
    if (file_exists(setup_path(call, POSTSRSD))) {
        strbuf_addf(out, "    classic-secret-file %s\n", POSTSRSD);
    }
    strbuf_add_text(out, "}\n");
}

static void add_source(const struct setup_call *call, struct strbuf *out)
{
    if (call->unnamed.family != IP_NONE) {
        strbuf_addf(out,
                    "\n# %s has no reverse name yet, and big providers refuse mail from such "
                    "addresses.\n"
                    "# When it has one, this block can go.\n"
                    "delivery {\n    source %s\n}\n",
                    ip_address_text(&call->unnamed).text,
                    ip_address_text(&call->addresses[0]).text);
    }
}

void setup_add_configuration(const struct setup_call *call, struct strbuf *out)
{
    strbuf_addf(out,
                "# Made by \"postilion setup\". Every option: postilion.conf(5), postilion "
                "explain-option NAME.\n"
                "# Files are looked for beside this one.\n"
                "hostname " BYTES_FMT "\n"
                "listen   0.0.0.0:25 [::]:25\n",
                BYTES_ARG(call->hostname));
    if (strcmp(call->user, "postilion") != 0) {
        strbuf_addf(out, "user     %s\n", call->user);
    }
    add_tls(call, out);
    add_srs(call, out);
    strbuf_addf(out,
                "\n# What is forwarded is sealed (ARC). DNS must have the key.\n"
                "seal {\n    domain   " BYTES_FMT "\n    selector " SETUP_SELECTOR
                "\n    key-file %s\n}\n",
                BYTES_ARG(call->srs_domain), KEY);
    add_source(call, out);
    for (size_t i = 0; i < call->domain_count; i++) {
        strbuf_addf(out, "\ndomain " BYTES_FMT " {\n    aliases %s\n}\n",
                    BYTES_ARG(call->domains[i]), setup_alias_file(call, i));
    }
}

static void add_aliases(const struct setup_call *call, struct strbuf *out)
{
    strbuf_add_text(out, "# name: target, target          (postilion.conf(5), \"aliases\")\n"
                         "# Read again by itself when it changes.\n");
    if (call->postmaster.len > 0) {
        strbuf_addf(out, "postmaster: " BYTES_FMT "\nabuse: " BYTES_FMT "\n",
                    BYTES_ARG(call->postmaster), BYTES_ARG(call->postmaster));
    } else {
        strbuf_add_text(out, "#\n# Somebody must read mail to these two: put your address "
                             "behind them, and take the # away.\n"
                             "#postmaster: you@mailbox.example\n"
                             "#abuse: you@mailbox.example\n");
    }
    strbuf_add_text(out, "#\n#info: anna@mailbox.example, bob@corp.example\n");
}

/* ---- one file ---- */

static void note_file(struct setup_call *call, const char *path, const char *note, bool is_kept)
{
    call->files[call->file_count++] = (struct setup_file){path, note, is_kept};
}

static int say(const struct setup_call *call, const char *path, const char *why, int status)
{
    fprintf(call->err, "postilion setup: %s: %s\n", path, why);
    return status;
}

enum who { FOR_EVERYBODY, FOR_THE_ACCOUNT };

/* A file of the new directory, unless it is there. */
static int make_file(struct setup_call *call, const char *file, struct bytes text, enum who who,
                     const char *note)
{
    const char *path = setup_path(call, file);
    enum file_write_status status = FILE_WRITE_FAILED;
    int result = EX_OK;
    struct strbuf why;

    strbuf_init(&why, SETUP_WHY_LIMIT);
    switch (who) {
    case FOR_EVERYBODY:
        status = file_write_public(path, text, &why);
        break;
    case FOR_THE_ACCOUNT:
        status = file_write_shared(path, text, call->user, &why);
        break;
    }
    if (status == FILE_WRITE_FAILED) {
        result = say(call, path, strbuf_text(&why), EX_CANTCREAT);
    } else {
        note_file(call, path, note, status == FILE_WRITE_EXISTS);
    }
    strbuf_clear(&why);
    return result;
}

static int make_directory(struct setup_call *call, const char *path)
{
    int result = EX_OK;
    struct strbuf why;

    strbuf_init(&why, SETUP_WHY_LIMIT);
    if (file_write_directory(path, &why) == FILE_WRITE_FAILED) {
        result = say(call, path, strbuf_text(&why), EX_CANTCREAT);
    }
    strbuf_clear(&why);
    return result;
}

/* ---- each of them ---- */

static int make_secret(struct setup_call *call)
{
    struct strbuf text;
    int status;

    strbuf_init(&text, 256);
    entropy_add_secret(&text);
    status = make_file(call, SECRET, strbuf_bytes(&text), FOR_THE_ACCOUNT,
                       "the secret of return addresses: whoever loses it loses bounces");
    strbuf_clear_wiped(&text);
    return status;
}

/* The key that is there is the one DNS is to have. */
static int read_key(struct setup_call *call, const char *path)
{
    const char *why_bad = "";
    struct strbuf pem, why;
    int status = EX_OK;

    strbuf_init(&pem, PEM_LIMIT);
    strbuf_init(&why, SETUP_WHY_LIMIT);
    if (!file_read_whole(path, PEM_LIMIT, &pem, NULL, &why)) {
        status = say(call, path, strbuf_text(&why), EX_DATAERR);
    } else if ((call->key = signing_key_read(strbuf_bytes(&pem), &why_bad)) == NULL) {
        status = say(call, path, why_bad, EX_DATAERR);
    }
    strbuf_clear_wiped(&pem);
    strbuf_clear(&why);
    return status;
}

static int make_key(struct setup_call *call)
{
    static const char note[] = "the key of seals";
    const char *path = setup_path(call, KEY);
    struct strbuf pem;
    int status;

    if (file_exists(path)) {
        note_file(call, path, note, true);
        return read_key(call, path);
    }
    call->key = signing_key_make(SIGNING_RSA_SHA256);
    if (call->key == NULL) {
        return say(call, path, "libcrypto makes no key", EX_SOFTWARE);
    }
    strbuf_init(&pem, PEM_LIMIT);
    signing_key_add_pem(call->key, &pem);
    status = make_file(call, KEY, strbuf_bytes(&pem), FOR_THE_ACCOUNT, note);
    strbuf_clear_wiped(&pem);
    return status;
}

static int make_aliases(struct setup_call *call)
{
    int status = EX_OK;
    struct strbuf text;

    strbuf_init(&text, SETUP_TEXT_LIMIT);
    add_aliases(call, &text);
    for (size_t i = 0; i < call->domain_count && status == EX_OK; i++) {
        status =
            make_file(call, setup_alias_file(call, i), strbuf_bytes(&text), FOR_EVERYBODY,
                      call->postmaster.len > 0 ? "the aliases: add yours"
                                               : "the aliases: fill in postmaster and abuse");
    }
    strbuf_clear(&text);
    return status;
}

static int copy_file(struct setup_call *call, const char *from, const char *to, enum who who,
                     const char *note)
{
    struct strbuf text, why;
    int status;

    strbuf_init(&text, PEM_LIMIT);
    strbuf_init(&why, SETUP_WHY_LIMIT);
    if (file_read_whole(from, PEM_LIMIT, &text, NULL, &why)) {
        status = make_file(call, to, strbuf_bytes(&text), who, note);
    } else {
        status = say(call, from, strbuf_text(&why), EX_NOINPUT);
    }
    strbuf_clear_wiped(&text);
    strbuf_clear(&why);
    return status;
}

/* Copies: the daemon's account may not look into the places where they were found. */
static int copy_certificate(struct setup_call *call)
{
    int status;

    if (call->certificate == NULL) {
        return EX_OK;
    }
    status = make_directory(call, setup_path(call, "tls"));
    if (status == EX_OK) {
        status = copy_file(call, call->certificate, CHAIN, FOR_EVERYBODY,
                           "a copy: copy it again after each renewal");
    }
    if (status == EX_OK) {
        status = copy_file(call, call->certificate_key, CHAIN_KEY, FOR_THE_ACCOUNT,
                           "its key, the same");
    }
    return status;
}

static int make_configuration(struct setup_call *call)
{
    struct strbuf text;
    int status;

    strbuf_init(&text, SETUP_TEXT_LIMIT);
    setup_add_configuration(call, &text);
    status =
        make_file(call, CONFIGURATION, strbuf_bytes(&text), FOR_EVERYBODY, "the configuration");
    strbuf_clear(&text);
    return status;
}

int setup_write_files(struct setup_call *call)
{
    int (*const steps[])(struct setup_call *) = {make_secret, make_key, make_aliases,
                                                 copy_certificate, make_configuration};
    int status;

    call->files = arena_alloc(call->arena, (call->domain_count + 8) * sizeof *call->files);
    if (file_exists(setup_path(call, CONFIGURATION))) {
        return say(call, setup_path(call, CONFIGURATION),
                   "it is there already, and nothing is written over", EX_CANTCREAT);
    }
    status = make_directory(call, call->directory);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == EX_OK; i++) {
        status = steps[i](call);
    }
    return status;
}
