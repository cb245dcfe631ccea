#include "encoded_word.h"

#include "base/encoding.h"
#include "base/utf8.h"
#include "protocol/smtp_path.h"

static bool is_charset_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) ||
           (octet != '\0' && strchr("-_+*", octet) != NULL);
}

static bool is_charset(struct bytes charset)
{
    for (size_t i = 0; i < charset.len; i++) {
        if (!is_charset_octet(charset.data[i])) {
            return false;
        }
    }
    return charset.len != 0;
}

/* Printable ASCII without "?" (RFC 2047 §2). */
static bool is_text(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];

        if (octet <= ' ' || octet >= 127 || octet == '?') {
            return false;
        }
    }
    return true;
}

bool encoded_word_parse(struct bytes word, struct encoded_word *parsed)
{
    struct bytes rest, charset, encoding;

    if (word.len < 4 || !bytes_starts_with(word, BYTES("=?")) ||
        !bytes_ends_with_nocase(word, BYTES("?="))) {
        return false;
    }
    rest = bytes_between(word, 2, word.len - 2);
    charset = bytes_cut(&rest, '?');
    encoding = bytes_cut(&rest, '?');
    if (encoding.len != 1 || !is_charset(charset) || !is_text(rest)) {
        return false;
    }
    parsed->encoding = (char)ascii_lower((unsigned char)encoding.data[0]);
    parsed->charset = bytes_first(charset, bytes_find(charset, '*'));
    parsed->text = rest;
    return parsed->encoding == 'b' || parsed->encoding == 'q';
}

static bool is_utf8(struct bytes charset)
{
    return bytes_equal_nocase(charset, BYTES("utf-8")) ||
           bytes_equal_nocase(charset, BYTES("utf8"));
}

static bool is_single_octet_set(struct bytes charset)
{
    return bytes_equal_nocase(charset, BYTES("us-ascii")) ||
           bytes_equal_nocase(charset, BYTES("ascii")) ||
           bytes_equal_nocase(charset, BYTES("latin1")) ||
           bytes_equal_nocase(charset, BYTES("koi8-r")) ||
           bytes_equal_nocase(charset, BYTES("koi8-u")) ||
           bytes_starts_with_nocase(charset, BYTES("iso-8859-")) ||
           bytes_starts_with_nocase(charset, BYTES("windows-125")) ||
           bytes_starts_with_nocase(charset, BYTES("cp125"));
}

static bool decode_q(struct bytes text, struct strbuf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '_') {
            strbuf_add_char(out, ' ');
        } else if (text.data[i] != '=') {
            strbuf_add_char(out, text.data[i]);
        } else if (i + 2 >= text.len ||
                   !encoding_hex_decode(bytes_between(text, i + 1, i + 3), out)) {
            return false;
        } else {
            i += 2;
        }
    }
    return !out->overflowed;
}

bool encoded_word_decode(const struct encoded_word *word, struct strbuf *out)
{
    if (!is_utf8(word->charset) && !is_single_octet_set(word->charset)) {
        return false;
    }
    if (word->encoding == 'b' ? !encoding_base64_decode(word->text, out)
                              : !decode_q(word->text, out)) {
        return false;
    }
    return !is_utf8(word->charset) || utf8_is_valid(strbuf_bytes(out));
}

void encoded_word_add_for_phrase(struct strbuf *out, struct bytes whole,
                                 const struct encoded_word *word)
{
    size_t text_at = (size_t)(word->text.data - whole.data);

    if (word->encoding == 'b') {
        strbuf_add(out, whole);
        return;
    }
    strbuf_add(out, bytes_first(whole, text_at));
    for (size_t i = 0; i < word->text.len; i++) {
        char octet = word->text.data[i];

        if (ascii_is_alnum((unsigned char)octet) || strchr("!*+-/=_", octet) != NULL) {
            strbuf_add_char(out, octet);
        } else {
            strbuf_addf(out, "=%02X", (unsigned)(unsigned char)octet);
        }
    }
    strbuf_add_text(out, "?=");
}
