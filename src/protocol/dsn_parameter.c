#include "protocol/dsn_parameter.h"

#include "base/utf8.h"

#include "protocol/smtp_path.h"

static const struct {
    const char *word;
    unsigned flag;
} NOTIFY_WORDS[] = {
    {"NEVER", DSN_NOTIFY_NEVER},
    {"SUCCESS", DSN_NOTIFY_SUCCESS},
    {"FAILURE", DSN_NOTIFY_FAILURE},
    {"DELAY", DSN_NOTIFY_DELAY},
};

enum { NOTIFY_WORD_COUNT = sizeof NOTIFY_WORDS / sizeof NOTIFY_WORDS[0] };

bool dsn_read_return(struct bytes value, enum dsn_return *ret)
{
    if (bytes_equal_nocase(value, BYTES("FULL"))) {
        *ret = DSN_RETURN_FULL;
        return true;
    }
    if (bytes_equal_nocase(value, BYTES("HDRS"))) {
        *ret = DSN_RETURN_HEADERS;
        return true;
    }
    return false;
}

static unsigned notify_flag(struct bytes word)
{
    for (size_t i = 0; i < NOTIFY_WORD_COUNT; i++) {
        if (bytes_equal_nocase(word, bytes_from_text(NOTIFY_WORDS[i].word))) {
            return NOTIFY_WORDS[i].flag;
        }
    }
    return 0;
}

bool dsn_read_notify(struct bytes value, unsigned *notify)
{
    bool has_more = true;
    unsigned found = 0;

    while (has_more) {
        has_more = bytes_find(value, ',') < value.len;
        unsigned flag = notify_flag(bytes_cut(&value, ','));
        if (flag == 0 || (found & flag) != 0) {
            return false;
        }
        found |= flag;
    }
    if ((found & DSN_NOTIFY_NEVER) != 0 && found != DSN_NOTIFY_NEVER) {
        return false; /* RFC 3461 §4.1: it stands alone */
    }
    *notify = found;
    return true;
}

static int hex_digit(char octet)
{
    if (octet >= '0' && octet <= '9') {
        return octet - '0';
    }
    return octet >= 'A' && octet <= 'F' ? octet - 'A' + 10 : -1;
}

/* The octet that "+XX" at the start stands for; -1: it is none. */
static int hex_pair(struct bytes text)
{
    int high, low;

    if (text.len < 3 || text.data[0] != '+') {
        return -1;
    }
    high = hex_digit(text.data[1]);
    low = hex_digit(text.data[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* RFC 3461 §4: xchar. */
static bool is_xchar(char octet)
{
    return octet >= '!' && octet <= '~' && octet != '+' && octet != '=';
}

/* What it stands for ends up in reports: printable ASCII, and no control characters. */
static bool is_xtext(struct bytes text)
{
    while (text.len > 0) {
        int octet = hex_pair(text);
        if (octet < 0 && !is_xchar(text.data[0])) {
            return false;
        }
        if (octet >= 0 && (octet < ' ' || octet > '~')) {
            return false;
        }
        text = bytes_skip(text, octet < 0 ? 1 : 3);
    }
    return true;
}

bool dsn_envid_is_valid(struct bytes value)
{
    return value.len > 0 && value.len <= DSN_ENVID_LIMIT && is_xtext(value);
}

/* RFC 6533 §3: utf-8-addr-xtext and utf-8-addr-unitext. What stands in braces is not looked into:
 * it is passed on as it is. */
static bool is_utf8_address(struct bytes text, bool allow_utf8)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (octet <= ' ' || octet == 0x7f || (octet >= 0x80 && !allow_utf8) || octet == '=' ||
            octet == '+') {
            return false;
        }
    }
    return utf8_is_valid(text);
}

/* RFC 3461 §4.2: an atom. */
static bool is_address_type(struct bytes type)
{
    for (size_t i = 0; i < type.len; i++) {
        if (!ascii_is_alnum((unsigned char)type.data[i]) && type.data[i] != '-') {
            return false;
        }
    }
    return type.len > 0;
}

bool dsn_orcpt_is_valid(struct bytes value, bool allow_utf8)
{
    struct bytes address = value;
    struct bytes type = bytes_cut(&address, ';');

    if (value.len > DSN_ORCPT_LIMIT || address.len == 0 || !is_address_type(type)) {
        return false;
    }
    return is_xtext(address) ||
           (bytes_equal_nocase(type, BYTES("utf-8")) && is_utf8_address(address, allow_utf8));
}

unsigned dsn_notify_without_success(unsigned notify)
{
    if ((notify & DSN_NOTIFY_SUCCESS) == 0) {
        return notify;
    }
    notify &= ~(unsigned)DSN_NOTIFY_SUCCESS;
    /* Nothing left is not the same as nothing said: who asked for success only is told of nothing
     * else. */
    return notify == 0 ? DSN_NOTIFY_NEVER : notify;
}

unsigned dsn_notify_both(unsigned one, unsigned other)
{
    if (one == DSN_NOTIFY_NEVER || one == other) {
        return other;
    }
    if (other == DSN_NOTIFY_NEVER) {
        return one;
    }
    /* Nothing said means failures. */
    return (one == 0 ? DSN_NOTIFY_FAILURE : one) | (other == 0 ? DSN_NOTIFY_FAILURE : other);
}

void dsn_add_mail_parameters(struct strbuf *out, enum dsn_return ret, struct bytes envid)
{
    switch (ret) {
    case DSN_RETURN_UNSAID:
        break;
    case DSN_RETURN_FULL:
        strbuf_add_text(out, " RET=FULL");
        break;
    case DSN_RETURN_HEADERS:
        strbuf_add_text(out, " RET=HDRS");
        break;
    }
    if (envid.len > 0) {
        strbuf_add_text(out, " ENVID=");
        strbuf_add(out, envid);
    }
}

static unsigned long code_point(struct bytes sequence)
{
    unsigned char lead = (unsigned char)sequence.data[0];
    unsigned long code = sequence.len == 2   ? lead & 0x1fU
                         : sequence.len == 3 ? lead & 0x0fU
                                             : lead & 0x07U;

    for (size_t i = 1; i < sequence.len; i++) {
        code = code << 6 | ((unsigned char)sequence.data[i] & 0x3fU);
    }
    return code;
}

/* RFC 6533 §3: utf-8-addr-xtext. It is valid UTF-8, or it would not have been taken. */
static void add_in_ascii(struct strbuf *out, struct bytes orcpt)
{
    while (orcpt.len > 0) {
        struct bytes sequence = bytes_first(orcpt, utf8_length(orcpt));

        if (sequence.len == 1) {
            strbuf_add_char(out, orcpt.data[0]);
        } else {
            strbuf_addf(out, "\\x{%lX}", code_point(sequence));
        }
        orcpt = bytes_skip(orcpt, sequence.len);
    }
}

void dsn_add_rcpt_parameters(struct strbuf *out, unsigned notify, struct bytes orcpt,
                             bool is_utf8)
{
    const char *before = " NOTIFY=";

    for (size_t i = 0; i < NOTIFY_WORD_COUNT; i++) {
        if ((notify & NOTIFY_WORDS[i].flag) != 0) {
            strbuf_add_text(out, before);
            strbuf_add_text(out, NOTIFY_WORDS[i].word);
            before = ",";
        }
    }
    if (orcpt.len > 0) {
        strbuf_add_text(out, " ORCPT=");
        if (is_utf8) {
            strbuf_add(out, orcpt);
        } else {
            add_in_ascii(out, orcpt);
        }
    }
}

void dsn_add_orcpt(struct strbuf *out, struct bytes address)
{
    static const char DIGITS[] = "0123456789ABCDEF";

    strbuf_add_text(out, "rfc822;");
    for (size_t i = 0; i < address.len; i++) {
        unsigned char octet = (unsigned char)address.data[i];
        if (is_xchar(address.data[i])) {
            strbuf_add_char(out, address.data[i]);
        } else {
            strbuf_add_char(out, '+');
            strbuf_add_char(out, DIGITS[octet >> 4]);
            strbuf_add_char(out, DIGITS[octet & 15]);
        }
    }
}

void dsn_xtext_decode(struct strbuf *out, struct bytes xtext)
{
    while (xtext.len > 0) {
        int octet = hex_pair(xtext);
        strbuf_add_char(out, octet < 0 ? xtext.data[0] : (char)octet);
        xtext = bytes_skip(xtext, octet < 0 ? 1 : 3);
    }
}
