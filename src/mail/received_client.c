#include "mail/received_client.h"

#include "mail/header_block.h"
#include "protocol/smtp_path.h"

enum { VALUE_LIMIT = 4096 };

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]"; also without "IPv6:", as some write it. */
static bool read_bracketed(struct bytes text, struct ip_address *address)
{
    struct bytes inside;

    if (text.len < 3 || text.data[0] != '[' || text.data[text.len - 1] != ']') {
        return false;
    }
    inside = bytes_between(text, 1, text.len - 1);
    return ip_literal_parse(inside, address) || ip_address_parse(inside, address);
}

/* Words like "helo=x" and "HELO x" are followed by what the client said. */
static bool may_be_name(struct bytes word)
{
    return bytes_find(word, '=') == word.len && bytes_find(word, '[') == word.len &&
           !bytes_equal_nocase(word, BYTES("HELO")) && !bytes_equal_nocase(word, BYTES("EHLO"));
}

/* What stands between the parentheses: the address first, or behind one name. */
static bool read_comment(struct bytes comment, struct ip_address *address)
{
    struct bytes rest = comment;
    struct bytes word = bytes_cut(&rest, ' ');

    if (read_bracketed(word, address) || ip_address_parse(comment, address)) {
        return true;
    }
    return may_be_name(word) && read_bracketed(bytes_cut(&rest, ' '), address);
}

/* Up to the parenthesis that ends or begins the next comment: sendmail puts one inside. */
static struct bytes cut_comment(struct bytes text)
{
    size_t end = 0;

    while (end < text.len && text.data[end] != ')' && text.data[end] != '(') {
        end++;
    }
    return bytes_trim(bytes_first(text, end));
}

static bool is_exim_comment(struct bytes comment)
{
    return bytes_starts_with_nocase(comment, BYTES("helo=")) ||
           bytes_starts_with_nocase(comment, BYTES("port="));
}

static bool read_text(struct bytes text, struct bytes *helo, struct ip_address *address)
{
    struct bytes word = bytes_cut(&text, ' '), comment;

    if (!bytes_equal_nocase(word, BYTES("from"))) {
        return false;
    }
    word = bytes_cut(&text, ' ');
    text = bytes_trim(text);
    if (text.len == 0 || text.data[0] != '(') {
        return false; /* the word alone is what the client called itself */
    }
    comment = cut_comment(bytes_skip(text, 1));
    *helo = word;
    if (is_exim_comment(comment)) {
        *helo = BYTES("");
        return read_bracketed(word, address);
    }
    return read_comment(comment, address);
}

bool received_client_read(struct bytes value, struct arena *arena,
                          struct received_client *client)
{
    struct bytes helo = BYTES("");
    struct strbuf text;
    bool is_found;

    *client = (struct received_client){.address = {.family = IP_NONE}};
    strbuf_init(&text, VALUE_LIMIT);
    header_value_add(&text, value);
    is_found = !text.overflowed && read_text(strbuf_bytes(&text), &helo, &client->address);
    if (is_found && smtp_domain_is_valid(helo, true)) {
        client->helo = arena_copy(arena, helo);
    }
    strbuf_clear(&text);
    return is_found;
}
