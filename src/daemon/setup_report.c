#include "setup_call.h"

#include "base/json.h"
#include "base/utf8.h"
#include "daemon/config.h"

#include <string.h>
#include <sysexits.h>

enum { DEFAULT_COMMANDS = 3 };

static bool is_default_place(const struct setup_call *call)
{
    return strcmp(setup_path(call, "postilion.conf"), "/etc/postilion/postilion.conf") == 0;
}

/* The commands that come next; those of another place name their configuration. */
static void next_command(const struct setup_call *call, size_t index, struct strbuf *out)
{
    const char *path = setup_path(call, "postilion.conf");

    strbuf_reset(out);
    if (!call->is_writing) {
        static const char *const words[] = {"postilion setup", "postilion check",
                                            "systemctl enable --now postilion"};
        strbuf_add_text(out, words[index]);
        for (size_t i = 0; index == 0 && i < call->domain_count; i++) {
            strbuf_addf(out, " " BYTES_FMT, BYTES_ARG(call->domains[i]));
        }
        strbuf_addf(out, "%s%s", index == 0 ? " --write " : "",
                    index == 0 ? call->directory : "");
    } else if (is_default_place(call)) {
        static const char *const words[] = {
            "postilion check", "systemctl enable --now postilion", "postilion status"};
        strbuf_add_text(out, words[index]);
    } else {
        static const char *const words[] = {"check", "serve", "status"};
        strbuf_addf(out, "postilion %s -c %s", words[index], path);
    }
}

/* ---- for people ---- */

static void add_fact(struct strbuf *out, const char *name, struct bytes value,
                     const char *source)
{
    strbuf_addf(out, "%-13s" BYTES_FMT "%s%s\n", name, BYTES_ARG(value),
                source == NULL ? "" : "   from: ", source == NULL ? "" : source);
}

static void add_facts(const struct setup_call *call, struct strbuf *out)
{
    struct strbuf addresses;

    strbuf_init(&addresses, 4096);
    for (size_t i = 0; i < call->address_count; i++) {
        strbuf_addf(&addresses, "%s%s", i > 0 ? " " : "",
                    ip_address_text(&call->addresses[i]).text);
    }
    add_fact(out, "host name", call->hostname, call->hostname_source);
    if (call->address_count > 0) {
        add_fact(out, "addresses", strbuf_bytes(&addresses), call->address_source);
    } else {
        add_fact(out, "addresses", BYTES("not known: say them with --address"), NULL);
    }
    if (call->unnamed.family != IP_NONE) {
        add_fact(out, "left out", bytes_from_text(ip_address_text(&call->unnamed).text),
                 "the default route; it has no reverse name yet, so nothing is sent from it");
    }
    add_fact(out, "SRS domain", call->srs_domain, NULL);
    add_fact(out, "certificate",
             call->certificate == NULL ? BYTES("none for this name was found")
                                       : bytes_from_text(call->certificate),
             NULL);
    strbuf_clear(&addresses);
}

static void add_files(const struct setup_call *call, struct strbuf *out)
{
    strbuf_add_text(out, "\nFiles:\n");
    for (size_t i = 0; i < call->file_count; i++) {
        const struct setup_file *file = &call->files[i];
        strbuf_addf(out, "  %-44s %s%s\n", file->path, file->is_kept ? "kept as it was: " : "",
                    file->note);
    }
}

static size_t count_state(const struct setup_call *call, enum publish_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < call->records.count; i++) {
        count += call->records.records[i].state == state;
    }
    return count;
}

static void add_records(const struct setup_call *call, struct strbuf *out)
{
    size_t right = count_state(call, PUBLISH_RIGHT),
           unknown = count_state(call, PUBLISH_UNKNOWN);

    strbuf_addf(out, "\nDNS: %zu of %zu records are right", right, call->records.count);
    if (unknown > 0) {
        strbuf_addf(out, ", %zu are not known (DNS %s)", unknown,
                    call->has_dns ? "did not answer" : "was not asked");
    }
    strbuf_add_text(out,
                    right == call->records.count ? ".\n" : ". The others, for the zone:\n\n");
    (void)publish_list_add_zone(out, &call->records);
    if (call->key == NULL) {
        strbuf_addf(out, "; and %s._domainkey." BYTES_FMT ", when --write has made the key\n",
                    SETUP_SELECTOR, BYTES_ARG(call->srs_domain));
    }
}

static void add_text(const struct setup_call *call, struct strbuf *out)
{
    struct strbuf command;

    add_facts(call, out);
    if (call->is_writing) {
        add_files(call, out);
    } else {
        strbuf_addf(out, "\n%s, with --write:\n\n", setup_path(call, "postilion.conf"));
        setup_add_configuration(call, out);
    }
    add_records(call, out);
    strbuf_add_text(out, "\nNext:\n");
    if (call->is_writing && call->postmaster.len == 0) {
        strbuf_addf(out, "  fill in postmaster and abuse in %s\n",
                    setup_path(call, setup_alias_file(call, 0)));
    }
    strbuf_init(&command, 8192);
    for (size_t i = 0; i < DEFAULT_COMMANDS; i++) {
        next_command(call, i, &command);
        strbuf_addf(out, "  %s\n", strbuf_text(&command));
    }
    if (call->is_writing && call->certificate != NULL) {
        strbuf_addf(out,
                    "After each renewal of the certificate:\n  cp %s %s\n  cp %s %s\n  "
                    "postilion reload\n",
                    call->certificate, setup_path(call, "tls/fullchain.pem"),
                    call->certificate_key, setup_path(call, "tls/privkey.pem"));
    }
    strbuf_clear(&command);
}

/* ---- for programs ---- */

static void add_record_json(const struct publish_record *record, struct strbuf *out)
{
    struct strbuf line;

    strbuf_init(&line, SETUP_TEXT_LIMIT);
    publish_record_add_line(&line, record);
    json_open_object(out, NULL);
    json_text(out, "name", record->name);
    json_words(out, "type", dns_type_text(record->type));
    json_text(out, "value", record->value);
    json_text(out, "zone_line", strbuf_bytes(&line));
    json_words(out, "state", publish_state_text(record->state));
    json_text(out, "present", record->present);
    json_words(out, "why", record->why);
    json_words(out, "advice", record->advice);
    json_close_object(out);
    strbuf_clear(&line);
}

static void add_problems_json(const struct setup_call *call, struct strbuf *out)
{
    const struct config_error *error;

    json_open_array(out, "problems");
    for (size_t i = 0;
         call->errors != NULL && (error = config_errors_get(call->errors, i)) != NULL; i++) {
        json_open_object(out, NULL);
        json_words(out, "severity", error->severity == CONFIG_ERROR ? "error" : "warning");
        json_words(out, "message", error->message);
        json_words(out, "hint", error->hint);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_json(const struct setup_call *call, struct strbuf *out)
{
    struct strbuf text;

    strbuf_init(&text, SETUP_TEXT_LIMIT);
    setup_add_configuration(call, &text);
    json_open_object(out, NULL);
    json_text(out, "hostname", call->hostname);
    json_open_array(out, "addresses");
    for (size_t i = 0; i < call->address_count; i++) {
        json_words(out, NULL, ip_address_text(&call->addresses[i]).text);
    }
    json_close_array(out);
    json_text(out, "srs_domain", call->srs_domain);
    json_words(out, "certificate", call->certificate);
    json_text(out, "configuration", strbuf_bytes(&text));
    json_open_array(out, "files");
    for (size_t i = 0; i < call->file_count; i++) {
        json_open_object(out, NULL);
        json_words(out, "path", call->files[i].path);
        json_bool(out, "kept", call->files[i].is_kept);
        json_close_object(out);
    }
    json_close_array(out);
    json_open_array(out, "records");
    for (size_t i = 0; i < call->records.count; i++) {
        add_record_json(&call->records.records[i], out);
    }
    json_close_array(out);
    add_problems_json(call, out);
    json_open_array(out, "next");
    for (size_t i = 0; i < DEFAULT_COMMANDS; i++) {
        next_command(call, i, &text);
        json_text(out, NULL, strbuf_bytes(&text));
    }
    json_close_array(out);
    json_close_object(out);
    strbuf_add_char(out, '\n');
    strbuf_clear(&text);
}

int setup_report(const struct setup_call *call)
{
    struct strbuf text;
    bool is_written;

    strbuf_init(&text, SETUP_TEXT_LIMIT);
    if (call->is_json) {
        add_json(call, &text);
    } else {
        add_text(call, &text);
    }
    is_written = fwrite(strbuf_text(&text), 1, text.len, call->out) == text.len &&
                 fflush(call->out) == 0;
    strbuf_clear(&text);
    return is_written ? EX_OK : EX_IOERR;
}
