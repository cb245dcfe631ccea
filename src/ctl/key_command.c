#include "ctl/key_command.h"

#include "auth/idn_domain.h"
#include "auth/signing_key.h"
#include "base/memory.h"
#include "io/file_read.h"
#include "io/file_write.h"
#include "protocol/dns_message.h"

#include <sysexits.h>

enum { TEXT_LIMIT = 64 * 1024, LABEL_LIMIT = 63 };

static const char usage[] =
    "usage: postilion key make SELECTOR [--domain D] [--type rsa|ed25519] [--out FILE]\n"
    "       postilion key show FILE [--selector S [--domain D]]\n";

struct key_call {
    FILE *out, *err;
    struct arena *arena;
    struct bytes word; /* SELECTOR or FILE */
    struct bytes selector, domain;
    struct bytes path; /* NUL-terminated; empty: not given */
    enum signing_algorithm algorithm;
};

/* ---- the command line ---- */

static int refuse(const struct key_call *call, struct bytes what, const char *why)
{
    fprintf(call->err, "postilion key: " BYTES_FMT ": %s\n%s", BYTES_ARG(what), why, usage);
    return EX_USAGE;
}

static bool is_host_label(struct bytes label)
{
    for (size_t i = 0; i < label.len; i++) {
        if (!ascii_is_alnum((unsigned char)label.data[i]) && label.data[i] != '-') {
            return false;
        }
    }
    return label.len > 0 && label.len <= LABEL_LIMIT && label.data[0] != '-' &&
           label.data[label.len - 1] != '-';
}

/* RFC 6376 §3.1: a selector may have dots, its parts are those of host names. */
static bool is_host_name(struct bytes name)
{
    do {
        bool is_last = bytes_find(name, '.') == name.len;
        if (!is_host_label(bytes_cut(&name, '.')) || (!is_last && name.len == 0)) {
            return false;
        }
    } while (name.len > 0);
    return true;
}

static int take_selector(struct key_call *call, struct bytes text)
{
    if (!is_host_name(text)) {
        return refuse(call, text, "a selector has letters, digits and hyphens, as a host name");
    }
    call->selector = arena_copy_lower(call->arena, text);
    return EX_OK;
}

static int take_domain(struct key_call *call, struct bytes text)
{
    if (!idn_domain_to_ascii(text, call->arena, &call->domain) || !is_host_name(call->domain) ||
        bytes_find(call->domain, '.') == call->domain.len) {
        return refuse(call, text, "this is no domain name");
    }
    return EX_OK;
}

static int take_type(struct key_call *call, struct bytes text)
{
    if (bytes_equal(text, BYTES("rsa"))) {
        call->algorithm = SIGNING_RSA_SHA256;
    } else if (bytes_equal(text, BYTES("ed25519"))) {
        call->algorithm = SIGNING_ED25519_SHA256;
    } else {
        return refuse(call, text, "a key's type is rsa or ed25519");
    }
    return EX_OK;
}

static int take_option(struct key_call *call, bool is_make, struct bytes name,
                       struct bytes value)
{
    if (bytes_equal(name, BYTES("--domain"))) {
        return take_domain(call, value);
    }
    if (!is_make && bytes_equal(name, BYTES("--selector"))) {
        return take_selector(call, value);
    }
    if (is_make && bytes_equal(name, BYTES("--type"))) {
        return take_type(call, value);
    }
    if (is_make && bytes_equal(name, BYTES("--out"))) {
        call->path = value;
        return value.len > 0 ? EX_OK : refuse(call, name, "the value is missing");
    }
    return refuse(call, name, "unknown option");
}

/* From argv[2] on. Values stand behind their option, or behind "=" in the same word. */
static int take_arguments(struct key_call *call, bool is_make, int argc, char **argv)
{
    int status = EX_OK;

    for (int i = 2; i < argc && status == EX_OK; i++) {
        struct bytes rest = bytes_from_text(argv[i]), name;
        if (!bytes_starts_with(rest, BYTES("--"))) {
            if (call->word.data != NULL) {
                return refuse(call, rest, "this word is too much");
            }
            call->word = rest;
            continue;
        }
        name = bytes_cut(&rest, '=');
        if (strchr(argv[i], '=') != NULL) {
            status = take_option(call, is_make, name, rest);
        } else if (i + 1 < argc) {
            status = take_option(call, is_make, name, bytes_from_text(argv[++i]));
        } else {
            status = refuse(call, name, "the value is missing");
        }
    }
    if (status == EX_OK && call->word.len == 0) {
        return is_make ? refuse(call, BYTES("SELECTOR"), "the key's selector is missing")
                       : refuse(call, BYTES("FILE"), "the file of the key is missing");
    }
    if (status == EX_OK && is_make) {
        status = take_selector(call, call->word);
    }
    if (status == EX_OK && call->domain.len > 0 && call->selector.len == 0) {
        return refuse(call, BYTES("--domain"), "it needs --selector, too");
    }
    if (call->selector.len + sizeof "._domainkey." - 1 + call->domain.len > DNS_NAME_LIMIT) {
        return refuse(call, call->selector, "the name of its record is too long");
    }
    return status;
}

/* ---- what is printed ---- */

static void wipe(struct strbuf *text)
{
    if (text->data != NULL) {
        memory_wipe(text->data, text->capacity);
    }
    strbuf_clear(text);
}

static int print(const struct key_call *call, struct strbuf *text)
{
    bool is_written = fputs(strbuf_text(text), call->out) >= 0 && fflush(call->out) == 0;

    strbuf_clear(text);
    return is_written ? EX_OK : EX_IOERR;
}

static void add_zone_line(const struct key_call *call, const struct signing_key *key,
                          struct strbuf *text)
{
    signing_key_add_zone_line(key, call->selector, call->domain, text);
    strbuf_add_char(text, '\n');
}

/* Comments, so that all of it can go into a zone as it is. */
static void add_advice(const struct key_call *call, struct strbuf *text)
{
    strbuf_addf(text,
                "; for postilion.conf, when the record is published:\n"
                ";   seal {\n"
                ";       domain   %s" BYTES_FMT "\n"
                ";       selector " BYTES_FMT "\n"
                ";       key-file " BYTES_FMT "\n"
                ";   }\n",
                call->domain.len == 0 ? "DOMAIN" : "", BYTES_ARG(call->domain),
                BYTES_ARG(call->selector), BYTES_ARG(call->path));
}

/* ---- key make ---- */

static void choose_path(struct key_call *call)
{
    struct strbuf path;

    if (call->path.len > 0) {
        return;
    }
    strbuf_init(&path, TEXT_LIMIT);
    strbuf_add(&path, call->selector);
    if (call->domain.len > 0) {
        strbuf_addf(&path, "." BYTES_FMT, BYTES_ARG(call->domain));
    }
    strbuf_add_text(&path, ".pem");
    call->path = bytes_from_text(arena_copy_text(call->arena, strbuf_bytes(&path)));
    strbuf_clear(&path);
}

static int write_key(const struct key_call *call, const struct signing_key *key)
{
    int status = EX_CANTCREAT;
    struct strbuf pem, why;

    strbuf_init(&pem, TEXT_LIMIT);
    strbuf_init(&why, TEXT_LIMIT);
    signing_key_add_pem(key, &pem);
    switch (file_write_secret(call->path.data, strbuf_bytes(&pem), &why)) {
    case FILE_WRITE_OK:
        status = EX_OK;
        break;
    case FILE_WRITE_EXISTS:
        fprintf(call->err,
                "postilion key: %s: it is there already, and a key is never written over\n",
                call->path.data);
        break;
    case FILE_WRITE_FAILED:
        fprintf(call->err, "postilion key: %s: %s\n", call->path.data, strbuf_text(&why));
        break;
    }
    wipe(&pem);
    strbuf_clear(&why);
    return status;
}

static int run_make(struct key_call *call)
{
    struct signing_key *key = signing_key_make(call->algorithm);
    struct strbuf text;
    int status;

    if (key == NULL) {
        fputs("postilion key: libcrypto makes no key\n", call->err);
        return EX_SOFTWARE;
    }
    choose_path(call);
    status = write_key(call, key);
    if (status == EX_OK) {
        strbuf_init(&text, TEXT_LIMIT);
        add_zone_line(call, key, &text);
        add_advice(call, &text);
        status = print(call, &text);
    }
    signing_key_free(&key);
    return status;
}

/* ---- key show ---- */

static struct signing_key *read_key(const struct key_call *call, int *status)
{
    struct file_stamp stamp = {.is_open_to_others = false};
    struct signing_key *key = NULL;
    struct strbuf pem, why;
    const char *why_bad;

    strbuf_init(&pem, TEXT_LIMIT);
    strbuf_init(&why, TEXT_LIMIT);
    *status = EX_OK;
    if (!file_read_whole(call->path.data, TEXT_LIMIT, &pem, &stamp, &why)) {
        fprintf(call->err, "postilion key: %s: %s\n", call->path.data, strbuf_text(&why));
        *status = EX_NOINPUT;
    } else if ((key = signing_key_read(strbuf_bytes(&pem), &why_bad)) == NULL) {
        fprintf(call->err, "postilion key: %s: %s\n", call->path.data, why_bad);
        *status = EX_DATAERR;
    } else if (stamp.is_open_to_others) {
        fprintf(call->err, "postilion key: %s: warning: anybody on this machine may read it\n",
                call->path.data);
    }
    wipe(&pem);
    strbuf_clear(&why);
    return key;
}

static int run_show(struct key_call *call)
{
    struct signing_key *key;
    struct strbuf text;
    int status;

    call->path = call->word;
    key = read_key(call, &status);
    if (key == NULL) {
        return status;
    }
    strbuf_init(&text, TEXT_LIMIT);
    if (call->selector.len > 0) {
        add_zone_line(call, key, &text);
    } else {
        signing_key_add_record(key, &text);
        strbuf_add_char(&text, '\n');
    }
    signing_key_free(&key);
    return print(call, &text);
}

int key_command_run(int argc, char **argv, FILE *out, FILE *err)
{
    bool is_make = argc > 1 && strcmp(argv[1], "make") == 0;
    struct key_call call = {.out = out, .err = err, .algorithm = SIGNING_RSA_SHA256};
    int status;

    if (argc < 2 || (!is_make && strcmp(argv[1], "show") != 0)) {
        fputs(usage, err);
        return EX_USAGE;
    }
    call.arena = arena_new();
    status = take_arguments(&call, is_make, argc, argv);
    if (status == EX_OK) {
        status = is_make ? run_make(&call) : run_show(&call);
    }
    arena_free(&call.arena);
    return status;
}
