#include "protocol/smtp_path.h"

#include "base/utf8.h"

#include "protocol/ip_address.h"

enum { LOCAL_LIMIT = 64, DOMAIN_LIMIT = 255, PATH_LIMIT = 256, LABEL_LIMIT = 63 };

/* RFC 5322 §3.2.3; octets above 127 by RFC 6531 §3.3. */
static bool is_atext(unsigned char octet)
{
    return ascii_is_alnum(octet) || octet >= 0x80 ||
           (octet != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", octet) != NULL);
}

static bool is_domain_octet(unsigned char octet)
{
    return ascii_is_alnum(octet) || octet == '-' || octet == '_' || octet >= 0x80;
}

/* Octets of "atom.atom.atom" at the start of text, 0 when there is none. */
static size_t dot_string(struct bytes text)
{
    size_t at = 0;

    for (;;) {
        size_t start = at;
        while (at < text.len && is_atext((unsigned char)text.data[at])) {
            at++;
        }
        if (at == start) {
            return 0;
        }
        if (at == text.len || text.data[at] != '.') {
            return at;
        }
        at++;
    }
}

static bool label_is_valid(struct bytes label)
{
    size_t characters = 0;

    for (size_t i = 0; i < label.len; i++) {
        /* An octet that goes on with a UTF-8 character is not counted: the limit is one on the
         * label's ASCII form, which is never shorter than the characters in it. */
        characters += ((unsigned char)label.data[i] & 0xc0) != 0x80;
        if (!is_domain_octet((unsigned char)label.data[i])) {
            return false;
        }
    }
    return characters >= 1 && characters <= LABEL_LIMIT && label.data[0] != '-' &&
           label.data[label.len - 1] != '-';
}

static bool labels_are_valid(struct bytes domain)
{
    if (domain.len == 0 || domain.data[domain.len - 1] == '.') {
        return false;
    }
    while (domain.len > 0) {
        if (!label_is_valid(bytes_cut(&domain, '.'))) {
            return false;
        }
    }
    return true;
}

bool smtp_domain_is_valid(struct bytes domain, bool allow_utf8)
{
    return domain.len <= DOMAIN_LIMIT && labels_are_valid(domain) &&
           (bytes_is_ascii(domain) || (allow_utf8 && utf8_is_valid(domain)));
}

/* Octets of a domain at the start of text, 0 when there is none. */
static size_t domain_part(struct bytes text)
{
    size_t end = 0;

    while (end < text.len &&
           (is_domain_octet((unsigned char)text.data[end]) || text.data[end] == '.')) {
        end++;
    }
    return labels_are_valid(bytes_first(text, end)) ? end : 0;
}

/* "@a,@b:" in front of a mailbox: passed over (RFC 5321 §4.1.1.3). */
static bool skip_source_route(struct bytes *rest)
{
    if (rest->len == 0 || rest->data[0] != '@') {
        return true;
    }
    for (;;) {
        size_t end;

        if (rest->len == 0 || rest->data[0] != '@') {
            return false;
        }
        *rest = bytes_skip(*rest, 1);
        end = domain_part(*rest);
        if (end == 0 || end == rest->len) {
            return false;
        }
        char separator = rest->data[end];
        *rest = bytes_skip(*rest, end + 1);
        if (separator == ':') {
            return true;
        }
        if (separator != ',') {
            return false;
        }
    }
}

/* The octets between the quotes, still with their backslashes; *rest moves behind the closing
 * quote (RFC 5321 §4.1.2, Quoted-string). */
static bool take_quoted(struct bytes *rest, struct bytes *inside, size_t *backslashes)
{
    *backslashes = 0;
    for (size_t at = 1; at < rest->len; at++) {
        unsigned char octet = (unsigned char)rest->data[at];

        if (octet == '"') {
            *inside = bytes_between(*rest, 1, at);
            *rest = bytes_skip(*rest, at + 1);
            return true;
        }
        if (octet == '\\') {
            ++*backslashes;
            if (++at == rest->len) {
                return false;
            }
            octet = (unsigned char)rest->data[at];
            if (octet >= 0x80) {
                return false; /* RFC 6531 §3.3 widens quoted text, not quoted pairs */
            }
        }
        if (octet < 0x20 || octet == 0x7f) {
            return false;
        }
    }
    return false;
}

static struct bytes unquote(struct bytes inside, size_t backslashes, struct arena *arena)
{
    size_t len = 0;
    char *decoded;

    if (backslashes == 0) {
        return inside;
    }
    decoded = arena_alloc(arena, inside.len - backslashes);
    for (size_t at = 0; at < inside.len; at++) {
        if (inside.data[at] == '\\') {
            at++;
        }
        decoded[len++] = inside.data[at];
    }
    return bytes_of(decoded, len);
}

static bool take_local_part(struct bytes *rest, struct arena *arena, struct bytes *local)
{
    struct bytes inside;
    size_t len, backslashes;

    if (rest->len > 0 && rest->data[0] == '"') {
        if (!take_quoted(rest, &inside, &backslashes)) {
            return false;
        }
        *local = unquote(inside, backslashes, arena);
        return true;
    }
    len = dot_string(*rest);
    *local = bytes_first(*rest, len);
    *rest = bytes_skip(*rest, len);
    return len > 0;
}

static bool take_domain(struct bytes *rest, struct smtp_mailbox *mailbox)
{
    size_t len;

    if (rest->len > 0 && rest->data[0] == '[') {
        struct ip_address address;

        len = bytes_find(*rest, ']');
        if (len == rest->len) {
            return false;
        }
        mailbox->domain = bytes_between(*rest, 1, len);
        mailbox->is_literal = true;
        *rest = bytes_skip(*rest, len + 1);
        return ip_literal_parse(mailbox->domain, &address);
    }
    len = domain_part(*rest);
    mailbox->domain = bytes_first(*rest, len);
    *rest = bytes_skip(*rest, len);
    return len > 0;
}

static bool take_mailbox(struct bytes *rest, struct arena *arena, struct smtp_mailbox *mailbox)
{
    if (!take_local_part(rest, arena, &mailbox->local) || rest->len == 0 ||
        rest->data[0] != '@') {
        return false;
    }
    *rest = bytes_skip(*rest, 1);
    return take_domain(rest, mailbox);
}

static enum smtp_path_result check_octets(struct bytes written, bool allow_utf8,
                                          struct smtp_mailbox *mailbox)
{
    if (bytes_is_ascii(written)) {
        return SMTP_PATH_OK;
    }
    if (!allow_utf8) {
        return SMTP_PATH_SYNTAX;
    }
    mailbox->is_utf8 = !bytes_is_ascii(mailbox->local) || !bytes_is_ascii(mailbox->domain);
    return utf8_is_valid(written) ? SMTP_PATH_OK : SMTP_PATH_BAD_UTF8;
}

enum smtp_path_result smtp_path_parse(struct bytes input, bool allow_utf8, struct arena *arena,
                                      struct smtp_mailbox *mailbox, size_t *used)
{
    struct bytes rest = bytes_skip(input, 1);
    enum smtp_path_result result;

    *mailbox = (struct smtp_mailbox){.is_literal = false};
    if (input.len == 0 || input.data[0] != '<') {
        return SMTP_PATH_SYNTAX;
    }
    if (bytes_starts_with(rest, BYTES(">"))) {
        *used = 2;
        return SMTP_PATH_OK;
    }
    if (bytes_starts_with_nocase(rest, BYTES("postmaster>"))) {
        mailbox->local = bytes_first(rest, 10);
        *used = 12;
        return SMTP_PATH_OK;
    }
    if (!skip_source_route(&rest) || !take_mailbox(&rest, arena, mailbox) || rest.len == 0 ||
        rest.data[0] != '>') {
        return SMTP_PATH_SYNTAX;
    }
    *used = input.len - rest.len + 1;
    result = check_octets(bytes_first(input, *used), allow_utf8, mailbox);
    if (result == SMTP_PATH_OK && (mailbox->local.len > LOCAL_LIMIT ||
                                   mailbox->domain.len > DOMAIN_LIMIT || *used > PATH_LIMIT)) {
        return SMTP_PATH_TOO_LONG;
    }
    return result;
}

enum smtp_path_result smtp_mailbox_parse(struct bytes input, bool allow_utf8, bool long_local,
                                         struct arena *arena, struct smtp_mailbox *mailbox)
{
    struct bytes rest = input;
    enum smtp_path_result result;

    *mailbox = (struct smtp_mailbox){.is_literal = false};
    if (!take_mailbox(&rest, arena, mailbox) || rest.len > 0) {
        return SMTP_PATH_SYNTAX;
    }
    result = check_octets(input, allow_utf8, mailbox);
    if (result == SMTP_PATH_OK && ((mailbox->local.len > LOCAL_LIMIT && !long_local) ||
                                   mailbox->domain.len > DOMAIN_LIMIT)) {
        return SMTP_PATH_TOO_LONG;
    }
    return result;
}

static void add_quoted(struct strbuf *out, struct bytes local)
{
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < local.len; i++) {
        if (local.data[i] == '"' || local.data[i] == '\\') {
            strbuf_add_char(out, '\\');
        }
        strbuf_add_char(out, local.data[i]);
    }
    strbuf_add_char(out, '"');
}

void smtp_mailbox_add(struct strbuf *out, const struct smtp_mailbox *mailbox)
{
    if (smtp_mailbox_is_null(mailbox)) {
        return;
    }
    if (mailbox->local.len > 0 && dot_string(mailbox->local) == mailbox->local.len) {
        strbuf_add(out, mailbox->local);
    } else {
        add_quoted(out, mailbox->local);
    }
    if (mailbox->domain.len > 0) {
        strbuf_add_text(out, mailbox->is_literal ? "@[" : "@");
        strbuf_add(out, mailbox->domain);
        strbuf_add_text(out, mailbox->is_literal ? "]" : "");
    }
}

void smtp_path_add(struct strbuf *out, const struct smtp_mailbox *mailbox)
{
    strbuf_add_char(out, '<');
    smtp_mailbox_add(out, mailbox);
    strbuf_add_char(out, '>');
}

bool smtp_mailbox_equal(const struct smtp_mailbox *a, const struct smtp_mailbox *b)
{
    return bytes_equal(a->local, b->local) && a->is_literal == b->is_literal &&
           bytes_equal_nocase(a->domain, b->domain);
}
