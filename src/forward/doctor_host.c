#include "forward/doctor_host.h"

#include "base/calendar.h"

#include <inttypes.h>

enum { DAY_SECONDS = 86400, DATE_LENGTH = 10, KIB = 1024, SHOWN_LIMIT = 200, ALL = 0777 };

/* ---- files ------------------------------------------------------------------------------- */

static const char *file_check(enum doctor_file_kind kind)
{
    switch (kind) {
    case DOCTOR_FILE_SECRET:
        return "secret-file";
    case DOCTOR_FILE_RULES:
        return "file-rights";
    case DOCTOR_DIRECTORY:
        return "directory";
    }
    return "";
}

/* NULL: nothing is wrong. */
static const char *wrong_mode(const struct doctor_file *file)
{
    bool is_secret = file->kind == DOCTOR_FILE_SECRET;

    if ((file->mode & 0002) != 0) {
        return "everybody can write it";
    }
    if (is_secret && (file->mode & 0004) != 0) {
        return "everybody can read it";
    }
    if (file->kind == DOCTOR_DIRECTORY && (file->mode & 0004) != 0) {
        return "everybody can see what is in it";
    }
    return is_secret && (file->mode & 0020) != 0 ? "its group can write it" : NULL;
}

static const char *why_mode(enum doctor_file_kind kind)
{
    switch (kind) {
    case DOCTOR_FILE_SECRET:
        return "Who reads it can sign in our name: send bounces through us, or mail as our "
               "domains.";
    case DOCTOR_FILE_RULES:
        return "Who writes it says where mail goes.";
    case DOCTOR_DIRECTORY:
        return "Mail of others lies in it.";
    }
    return "";
}

static unsigned right_mode(const struct doctor_file *file)
{
    switch (file->kind) {
    case DOCTOR_FILE_SECRET:
        return file->mode & ALL & ~027U;
    case DOCTOR_FILE_RULES:
        return file->mode & ALL & ~02U;
    case DOCTOR_DIRECTORY:
        return 0700;
    }
    return 0;
}

static void judge_owner(struct findings *findings, const struct doctor_file *file,
                        const struct doctor_account *account)
{
    bool is_ours =
        file->owner == account->id || (file->owner == 0 && file->kind != DOCTOR_DIRECTORY);
    struct finding *finding;

    if (!account->is_known || is_ours) {
        return;
    }
    finding = findings_add(
        findings, file->kind == DOCTOR_FILE_RULES ? FINDING_NOTE : FINDING_ERROR,
        file_check(file->kind), BYTES_FMT " belongs to account %u, the daemon is %u",
        BYTES_ARG(file->path), file->owner, account->id);
    finding_set_why(finding, file->kind == DOCTOR_DIRECTORY
                                 ? "The daemon cannot work in a directory that is not its own."
                                 : "Its owner can change it at any time.");
    if (account->name.len > 0) {
        finding_set_fixf(findings, finding, FINDING_RUN, "chown " BYTES_FMT " " BYTES_FMT,
                         BYTES_ARG(account->name), BYTES_ARG(file->path));
    } else {
        finding_set_fixf(findings, finding, FINDING_RUN, "chown %u " BYTES_FMT, account->id,
                         BYTES_ARG(file->path));
    }
}

static void judge_file(struct findings *findings, const struct doctor_file *file,
                       const struct doctor_account *account)
{
    const char *wrong = file->is_known ? wrong_mode(file) : NULL;
    struct finding *finding;

    if (!file->is_known) {
        finding = findings_add(findings, FINDING_UNKNOWN, file_check(file->kind),
                               BYTES_FMT " could not be looked at", BYTES_ARG(file->path));
        finding_set_why(finding, why_mode(file->kind));
        return;
    }
    judge_owner(findings, file, account);
    if (wrong == NULL) {
        return;
    }
    finding =
        findings_add(findings,
                     file->kind == DOCTOR_DIRECTORY && (file->mode & 0002) == 0 ? FINDING_NOTE
                     : (file->mode & 0006) != 0                                 ? FINDING_ERROR
                                                : FINDING_WARNING,
                     file_check(file->kind), BYTES_FMT " (mode %03o): %s",
                     BYTES_ARG(file->path), file->mode & ALL, wrong);
    finding_set_why(finding, why_mode(file->kind));
    finding_set_fixf(findings, finding, FINDING_RUN, "chmod %03o " BYTES_FMT, right_mode(file),
                     BYTES_ARG(file->path));
}

void doctor_host_files(struct findings *findings, const struct doctor_file *files, size_t count,
                       const struct doctor_account *account)
{
    unsigned before = findings->counts[FINDING_ERROR] + findings->counts[FINDING_WARNING] +
                      findings->counts[FINDING_UNKNOWN] + findings->counts[FINDING_NOTE];

    for (size_t i = 0; i < count; i++) {
        judge_file(findings, &files[i], account);
    }
    if (before == findings->counts[FINDING_ERROR] + findings->counts[FINDING_WARNING] +
                      findings->counts[FINDING_UNKNOWN] + findings->counts[FINDING_NOTE]) {
        findings_add(findings, FINDING_OK, "file-rights",
                     "owner and mode of %zu files and directories", count);
    }
}

/* ---- secrets ----------------------------------------------------------------------------- */

/* Tenths of a bit an octet, by the letters it seems to be drawn from. */
static unsigned alphabet_bits(struct bytes secret)
{
    bool has_digit = false, has_hex = false, has_lower = false, has_upper = false,
         has_other = false;

    for (size_t i = 0; i < secret.len; i++) {
        unsigned char octet = (unsigned char)secret.data[i];
        unsigned char folded = ascii_lower(octet);

        if (ascii_is_digit(octet)) {
            has_digit = true;
        } else if (!ascii_is_alpha(octet)) {
            has_other = true;
        } else if (octet == folded) {
            has_lower = true;
        } else {
            has_upper = true;
        }
        has_hex = has_hex || (ascii_is_alpha(octet) && folded > 'f');
    }
    if (has_other || (has_lower && has_upper)) {
        return has_other ? 60 : 57;
    }
    if (!has_lower && !has_upper) {
        return 33;
    }
    return has_hex ? (has_digit ? 51 : 47) : (has_digit ? 40 : 26);
}

static unsigned distinct_octets(struct bytes secret)
{
    bool seen[256] = {false};
    unsigned count = 0;

    for (size_t i = 0; i < secret.len; i++) {
        count += !seen[(unsigned char)secret.data[i]];
        seen[(unsigned char)secret.data[i]] = true;
    }
    return count;
}

/* Octets that do not follow from those before: repetition of the whole, same steps (aaaa, 1234). */
static size_t free_octets(struct bytes secret)
{
    size_t period = 1, count = 0;

    while (period < secret.len &&
           memcmp(secret.data, secret.data + period, secret.len - period) != 0) {
        period++;
    }
    for (size_t i = 0; i < period; i++) {
        bool follows =
            i >= 2 && (unsigned char)secret.data[i] - (unsigned char)secret.data[i - 1] ==
                          (unsigned char)secret.data[i - 1] - (unsigned char)secret.data[i - 2];
        count += !follows;
    }
    return count;
}

unsigned doctor_secret_bits(struct bytes secret)
{
    unsigned each = alphabet_bits(secret), distinct = distinct_octets(secret), by_distinct = 0;
    bool is_sparse = (size_t)4 * distinct < secret.len;

    if (secret.len == 0) {
        return 0;
    }
    /* Few different ones in a long text: it was not drawn from all of its alphabet. */
    for (unsigned power = 1; power < distinct; power *= 2) {
        by_distinct += 10;
    }
    return (unsigned)(free_octets(secret) *
                      (is_sparse && by_distinct < each ? by_distinct : each) / 10);
}

/* Words that stand in manuals. */
static const char *known_word(struct bytes secret)
{
    static const char *const words[] = {"secret",    "password", "passwort",  "changeme",
                                        "change-me", "example",  "postilion", "qwerty"};
    char folded[SHOWN_LIMIT];
    struct bytes text = bytes_first(secret, sizeof folded);

    bytes_fold(folded, text);
    text.data = folded;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_find_part(text, bytes_from_text(words[i])) < text.len) {
            return words[i];
        }
    }
    return NULL;
}

void doctor_host_secret(struct findings *findings, struct bytes path, size_t number,
                        struct bytes secret)
{
    unsigned bits = doctor_secret_bits(secret);
    const char *word = known_word(secret);
    struct finding *finding;

    if (bits >= DOCTOR_STRONG_BITS && word == NULL) {
        findings_add(findings, FINDING_OK, "secret",
                     "line %zu of " BYTES_FMT " is hard to guess", number, BYTES_ARG(path));
        return;
    }
    finding =
        word != NULL
            ? findings_add(findings, FINDING_WARNING, "secret",
                           "line %zu of " BYTES_FMT " has the word \"%s\" in it", number,
                           BYTES_ARG(path), word)
            : findings_add(findings, bits < DOCTOR_WEAK_BITS ? FINDING_ERROR : FINDING_WARNING,
                           "secret", "line %zu of " BYTES_FMT " takes about 2^%u guesses",
                           number, BYTES_ARG(path), bits);
    finding_set_why(finding,
                    "Anybody can try guesses against one address we have written, and then "
                    "send through us.");
    finding_set_fixf(findings, finding, FINDING_RUN,
                     "postilion srs secret --add " BYTES_FMT
                     "\npostilion reload\n(and take the old line out after srs.max-age)",
                     BYTES_ARG(path));
}

/* ---- disks ------------------------------------------------------------------------------- */

static uint64_t mebibytes(uint64_t octets)
{
    return octets / KIB / KIB;
}

static void judge_files_left(struct findings *findings, const struct doctor_disk *disk)
{
    struct finding *finding;

    if (disk->most_files == 0 || disk->free_files >= disk->most_files / 20) {
        return;
    }
    finding = findings_add(
        findings, disk->free_files < disk->most_files / 100 ? FINDING_ERROR : FINDING_WARNING,
        "disk", "%s " BYTES_FMT ": %" PRIu64 " of %" PRIu64 " inodes are free", disk->what,
        BYTES_ARG(disk->path), disk->free_files, disk->most_files);
    finding_set_why(finding,
                    "Without inodes no big message can be stored, however much space is left.");
    finding_set_fixf(findings, finding, FINDING_RUN, "df -i " BYTES_FMT, BYTES_ARG(disk->path));
}

void doctor_host_disk(struct findings *findings, const struct doctor_disk *disk)
{
    bool is_full = disk->free < disk->floor;
    struct finding *finding;

    if (!disk->is_known) {
        findings_add(findings, FINDING_UNKNOWN, "disk",
                     "%s " BYTES_FMT ": how much is free cannot be seen from here", disk->what,
                     BYTES_ARG(disk->path));
        return;
    }
    judge_files_left(findings, disk);
    if (disk->free >= 4 * disk->floor) {
        findings_add(findings, FINDING_OK, "disk", "%s " BYTES_FMT ": %" PRIu64 " MB free",
                     disk->what, BYTES_ARG(disk->path), mebibytes(disk->free));
        return;
    }
    finding = findings_add(
        findings, is_full ? FINDING_ERROR : FINDING_WARNING, "disk",
        "%s " BYTES_FMT ": %" PRIu64 " MB free, under %" PRIu64 " MB mail is deferred",
        disk->what, BYTES_ARG(disk->path), mebibytes(disk->free), mebibytes(disk->floor));
    finding_set_why(finding, is_full ? "Nothing that would have to be stored is taken."
                                     : "Soon nothing that would have to be stored is taken.");
    finding_set_fixf(findings, finding, FINDING_RUN, "df -h " BYTES_FMT, BYTES_ARG(disk->path));
}

/* ---- clock ------------------------------------------------------------------------------- */

static const char WHY_CLOCK[] = "A wrong clock makes valid signatures and certificates "
                                "invalid, and SRS addresses expire or "
                                "come from the future.";

void doctor_host_clock(struct findings *findings, const struct doctor_clock *clock)
{
    struct finding *finding;

    if (clock->latest > clock->now + DAY_SECONDS / 24) {
        finding = findings_add(findings, FINDING_ERROR, "clock",
                               "it is %" PRId64 " hours before " BYTES_FMT,
                               (clock->latest - clock->now) / 3600, BYTES_ARG(clock->what));
        finding_set_why(finding, WHY_CLOCK);
        finding_set_fix(findings, finding, FINDING_RUN, BYTES("timedatectl set-ntp true"));
        return;
    }
    switch (clock->state) {
    case DOCTOR_CLOCK_KEPT:
        findings_add(findings, FINDING_OK, "clock", "the kernel says that it is kept in time");
        return;
    case DOCTOR_CLOCK_FREE:
        finding = findings_add(findings, FINDING_WARNING, "clock", "nothing keeps it in time");
        finding_set_why(finding, WHY_CLOCK);
        finding_set_fix(findings, finding, FINDING_RUN, BYTES("timedatectl set-ntp true"));
        return;
    case DOCTOR_CLOCK_UNKNOWN:
        finding = findings_add(findings, FINDING_UNKNOWN, "clock", "%s", clock->why_unknown);
        finding_set_why(finding, WHY_CLOCK);
        return;
    }
}

/* ---- certificates ------------------------------------------------------------------------ */

static struct bytes date_of(struct strbuf *text, int64_t seconds)
{
    strbuf_reset(text);
    calendar_add_timestamp(text, seconds * 1000);
    return bytes_first(strbuf_bytes(text), DATE_LENGTH);
}

static const char HOW_TO_RENEW[] =
    "get a new one, put it and its key in place, then: postilion reload";

static void judge_dates(struct findings *findings, const struct doctor_certificate *certificate,
                        int64_t now)
{
    int64_t days = (certificate->expires - now) / DAY_SECONDS;
    struct finding *finding;
    struct strbuf date;

    strbuf_init(&date, SHOWN_LIMIT);
    if (certificate->begins > now) {
        finding = findings_add(
            findings, FINDING_ERROR, "certificate", BYTES_FMT " is valid from " BYTES_FMT " on",
            BYTES_ARG(certificate->path), BYTES_ARG(date_of(&date, certificate->begins)));
        finding_set_fix(findings, finding, FINDING_DO,
                        BYTES("look whether the clock is right: date -u"));
    } else if (certificate->expires <= now) {
        finding = findings_add(
            findings, FINDING_ERROR, "certificate", BYTES_FMT " has expired on " BYTES_FMT,
            BYTES_ARG(certificate->path), BYTES_ARG(date_of(&date, certificate->expires)));
        finding_set_fix(findings, finding, FINDING_DO, bytes_from_text(HOW_TO_RENEW));
    } else if (days < DOCTOR_SOON_DAYS) {
        finding = findings_add(findings, FINDING_WARNING, "certificate",
                               BYTES_FMT " expires on " BYTES_FMT ", in %" PRId64 " days",
                               BYTES_ARG(certificate->path),
                               BYTES_ARG(date_of(&date, certificate->expires)), days);
        finding_set_fix(findings, finding, FINDING_DO, bytes_from_text(HOW_TO_RENEW));
    } else {
        finding = findings_add(findings, FINDING_OK, "certificate",
                               BYTES_FMT " is valid until " BYTES_FMT " (%" PRId64
                                         " days), its key matches",
                               BYTES_ARG(certificate->path),
                               BYTES_ARG(date_of(&date, certificate->expires)), days);
    }
    finding_set_why(
        finding,
        "Senders that verify us (MTA-STS, DANE) do not deliver to an invalid certificate.");
    strbuf_clear(&date);
}

static void judge_certificate(struct findings *findings,
                              const struct doctor_certificate *certificate, int64_t now)
{
    struct finding *finding;

    if (certificate->is_replaced) {
        finding = findings_add(findings, FINDING_WARNING, "certificate",
                               BYTES_FMT " is another one now than the daemon uses",
                               BYTES_ARG(certificate->path));
        finding_set_why(finding, "A renewed certificate is of no use before it is read.");
        finding_set_fix(findings, finding, FINDING_RUN, BYTES("postilion reload"));
    }
    if (!certificate->is_known) {
        findings_add(findings, FINDING_UNKNOWN, "certificate",
                     BYTES_FMT " could not be looked at", BYTES_ARG(certificate->path));
        return;
    }
    judge_dates(findings, certificate, now);
    if (certificate->chain_trouble != NULL) {
        finding = findings_add(findings, FINDING_WARNING, "certificate", BYTES_FMT ": %s",
                               BYTES_ARG(certificate->path), certificate->chain_trouble);
        finding_set_why(finding, "Who verifies us needs every certificate up to an authority.");
        finding_set_fix(
            findings, finding, FINDING_DO,
            BYTES("put the certificate first, then the one that signed it, and so on"));
    }
}

void doctor_host_certificates(struct findings *findings,
                              const struct doctor_certificate *certificates, size_t count,
                              const struct bytes *missing, size_t missing_count, int64_t now)
{
    struct finding *finding;

    if (count == 0) {
        finding = findings_add(findings, FINDING_NOTE, "certificate", "there is none");
        finding_set_why(finding, "Without a certificate mail comes to us in clear.");
        finding_set_fix(findings, finding, FINDING_DO,
                        BYTES("add tls { certificate FILE and key FILE }"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        judge_certificate(findings, &certificates[i], now);
    }
    for (size_t i = 0; i < missing_count; i++) {
        finding = findings_add(findings, FINDING_WARNING, "certificate-name",
                               "no certificate is for " BYTES_FMT, BYTES_ARG(missing[i]));
        finding_set_why(
            finding, "Senders that verify us ask for the name that stands in our MX records.");
        finding_set_fixf(findings, finding, FINDING_DO,
                         "get a certificate that names " BYTES_FMT, BYTES_ARG(missing[i]));
    }
    if (missing_count == 0) {
        findings_add(findings, FINDING_OK, "certificate-name",
                     "our host name and the names in our MX records are in a certificate");
    }
}

/* ---- relay ------------------------------------------------------------------------------- */

static const char WHY_RELAY[] =
    "An open relay is found within hours, and is on every block list after that.";

void doctor_host_relay(struct findings *findings, const struct doctor_relay_try *tries,
                       size_t count)
{
    size_t refused = 0, unanswered = 0;

    for (size_t i = 0; i < count; i++) {
        struct finding *finding;

        refused += tries[i].code >= 500;
        unanswered += tries[i].code == 0;
        if (tries[i].code == 0 || tries[i].code >= 500) {
            continue;
        }
        finding = findings_add(findings, tries[i].code < 400 ? FINDING_ERROR : FINDING_WARNING,
                               "open-relay", "RCPT TO:<" BYTES_FMT "> was answered %u",
                               BYTES_ARG(tries[i].recipient), tries[i].code);
        finding_set_why(finding, WHY_RELAY);
        finding_set_fixf(findings, finding, FINDING_RUN,
                         "postilion explain stranger@sender.example '" BYTES_FMT "'",
                         BYTES_ARG(tries[i].recipient));
    }
    if (unanswered > 0) {
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "open-relay",
                                     "%zu of %zu tries had no answer", unanswered, count),
                        WHY_RELAY);
    } else if (refused == count) {
        findings_add(findings, FINDING_OK, "open-relay",
                     "a stranger's mail to a stranger is refused, in %zu forms", count);
    }
}

/* ---- connections ------------------------------------------------------------------------- */

static const char *call_words(const struct doctor_call *call)
{
    if (call->why != NULL) {
        return call->why;
    }
    switch (call->result) {
    case DOCTOR_CALL_GREETED:
        return "answers";
    case DOCTOR_CALL_CLOSED:
        return "nobody listens";
    case DOCTOR_CALL_SILENT:
        return "no answer in time";
    case DOCTOR_CALL_NO_WAY:
        return "no route";
    case DOCTOR_CALL_UNKNOWN:
        return "not tried";
    }
    return "";
}

static bool says_name(struct bytes banner, struct bytes hostname)
{
    return bytes_starts_with_nocase(banner, hostname) &&
           (banner.len == hostname.len || banner.data[hostname.len] == ' ');
}

static void judge_listener(struct findings *findings, const struct doctor_call *call,
                           struct bytes hostname)
{
    struct ip_text where = ip_endpoint_text(&call->endpoint);
    struct finding *finding;

    if (call->result == DOCTOR_CALL_UNKNOWN) {
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "listener", "%s: %s",
                                     where.text, call_words(call)),
                        "Who does not listen gets no mail.");
    } else if (call->result == DOCTOR_CALL_GREETED && says_name(call->banner, hostname)) {
        findings_add(findings, FINDING_OK, "listener", "%s greets as " BYTES_FMT, where.text,
                     BYTES_ARG(hostname));
    } else if (call->result == DOCTOR_CALL_GREETED) {
        finding = findings_add(findings, FINDING_ERROR, "listener",
                               "%s is somebody else: %u " BYTES_FMT, where.text, call->code,
                               BYTES_ARG(bytes_first(call->banner, SHOWN_LIMIT)));
        finding_set_why(finding, "Mail for us is given to another program on this machine.");
        finding_set_fixf(findings, finding, FINDING_RUN, "ss -ltnp 'sport = :%u'",
                         call->endpoint.port);
    } else {
        finding = findings_add(findings, FINDING_ERROR, "listener", "%s: %s", where.text,
                               call_words(call));
        finding_set_why(finding, "While nobody answers, senders wait and then give up.");
        finding_set_fix(findings, finding, FINDING_RUN, BYTES("systemctl restart postilion"));
    }
}

void doctor_host_listeners(struct findings *findings, const struct doctor_call *calls,
                           size_t count, struct bytes hostname)
{
    for (size_t i = 0; i < count; i++) {
        judge_listener(findings, &calls[i], hostname);
    }
}

static void add_call(struct strbuf *text, const struct doctor_call *call)
{
    strbuf_addf(text, "%s" BYTES_FMT "%s%s: %s", text->len > 0 ? "; " : "",
                BYTES_ARG(call->host), call->host.len > 0 ? " " : "",
                ip_endpoint_text(&call->endpoint).text, call_words(call));
}

void doctor_host_port_25(struct findings *findings, const struct doctor_call *calls,
                         size_t count)
{
    struct finding *finding;
    struct strbuf text;

    if (count == 0) {
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "port-25",
                                     "there is no host to be tried: --port-25 HOST names one"),
                        "Many networks do not let anybody out to port 25.");
        return;
    }
    strbuf_init(&text, FINDING_TEXT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].result == DOCTOR_CALL_GREETED) {
            strbuf_reset(&text);
            add_call(&text, &calls[i]);
            findings_add(findings, FINDING_OK, "port-25", "%s", strbuf_text(&text));
            strbuf_clear(&text);
            return;
        }
        add_call(&text, &calls[i]);
    }
    finding = findings_add(findings, FINDING_ERROR, "port-25", "%s", strbuf_text(&text));
    finding_set_why(
        finding,
        "Without it nothing can be sent on; many providers open port 25 only when asked to.");
    finding_set_fix(findings, finding, FINDING_DO,
                    BYTES("ask the provider of this machine to let port 25 out, or route mail "
                          "to a host it may reach"));
    strbuf_clear(&text);
}
