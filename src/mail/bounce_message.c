#include "mail/bounce_message.h"

#include "base/calendar.h"
#include "base/utf8.h"
#include "mail/header_block.h"
#include "mail/hidden_address.h"
#include "protocol/dsn_parameter.h"
#include "protocol/smtp_path.h"

enum {
    LINE_LIMIT = 998, /* without CRLF, RFC 5322 §2.1.1 */
    FOLD_COLUMN = 76,
    WORD_LIMIT = 900, /* a word is cut here, so that a line stays below LINE_LIMIT */
    DIAGNOSTIC_LIMIT = 1000,
    HISTORY_REPLY_LIMIT = 200,
    XTEXT_LIMIT = 600,
    ADDRESS_LIMIT = 512,
};

/* What the parts have in common, decided once. */
struct bounce_shape {
    bool is_utf8;        /* an address is outside ASCII: the RFC 6533 forms */
    bool is_8bit;        /* an octet above 127 stands somewhere in the message */
    struct bytes header; /* the original header as we return it */
};

/* ---- text of others ---- */

/* One or several targets of one alias may stand in one text: all of them go. */
static void add_without_hidden(struct strbuf *out, struct bytes text,
                               const struct bounce_facts *facts)
{
    struct strbuf from, to;
    size_t limit = out->limit;

    strbuf_init(&from, limit);
    strbuf_init(&to, limit);
    strbuf_add(&from, text);
    for (size_t i = 0; i < facts->recipient_count; i++) {
        struct strbuf swap;

        strbuf_reset(&to);
        hidden_address_add(&to, strbuf_bytes(&from), facts->recipients[i].hidden,
                           facts->recipients[i].alias);
        swap = from;
        from = to;
        to = swap;
    }
    strbuf_add(out, strbuf_bytes(&from));
    strbuf_clear(&from);
    strbuf_clear(&to);
}

/* One line of printable ASCII (or UTF-8 where that is allowed). */
static void add_printable(struct strbuf *out, struct bytes text, bool may_utf8)
{
    may_utf8 = may_utf8 && utf8_is_valid(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];

        if (octet == '\r' || octet == '\n' || octet == '\t') {
            strbuf_add_char(out, ' ');
        } else if (octet < ' ' || octet == 127 || (octet > 127 && !may_utf8)) {
            strbuf_add_char(out, '?');
        } else {
            strbuf_add_char(out, (char)octet);
        }
    }
}

static void add_address(struct strbuf *out, struct bytes address,
                        const struct bounce_shape *shape)
{
    add_printable(out, bytes_first(address, ADDRESS_LIMIT), shape->is_utf8);
}

/* Words, folded with CRLF and a blank; `column` is where the line stands already. */
static void add_folded(struct strbuf *out, struct bytes text, size_t column)
{
    while (text.len != 0) {
        struct bytes word = bytes_cut(&text, ' ');

        while (word.len != 0) {
            struct bytes piece = bytes_first(word, WORD_LIMIT);

            if (column + 1 + piece.len > FOLD_COLUMN && column > 1) {
                strbuf_add_text(out, "\r\n");
                column = 0;
            }
            strbuf_add_char(out, ' ');
            strbuf_add(out, piece);
            column += 1 + piece.len;
            word = bytes_skip(word, piece.len);
        }
    }
}

/* The words of the peer, ready to be shown. */
static void read_words(struct strbuf *text, struct bytes words, size_t limit,
                       const struct bounce_facts *facts)
{
    struct strbuf raw;

    strbuf_init(&raw, 64 * DIAGNOSTIC_LIMIT);
    strbuf_reset(text);
    /* Cut last: half of a hidden address would not be recognised. */
    add_without_hidden(&raw, bytes_first(words, 4 * DIAGNOSTIC_LIMIT), facts);
    add_printable(text, bytes_first(strbuf_bytes(&raw), limit), false);
    strbuf_clear(&raw);
}

static void read_diagnostic(struct strbuf *text, const struct bounce_recipient *recipient,
                            const struct bounce_facts *facts)
{
    read_words(text, recipient->diagnostic, DIAGNOSTIC_LIMIT, facts);
}

/* ---- the original header ---- */

static void add_header_line(struct strbuf *out, struct bytes line)
{
    size_t limit = LINE_LIMIT;

    if (line.len > limit) {
        /* Not in the middle of a UTF-8 sequence. */
        while (limit > LINE_LIMIT - 4 && ((unsigned char)line.data[limit] & 0xc0) == 0x80) {
            limit--;
        }
        line = bytes_first(line, limit);
    }
    for (size_t i = 0; i < line.len; i++) {
        char octet = line.data[i];

        strbuf_add_char(out, octet == '\r' || octet == '\n' || octet == '\0' ? '?' : octet);
    }
    strbuf_add_text(out, "\r\n");
}

/* Whole lines up to the limit, none of them over 998 octets, none that looks like our boundary.
 */
static void copy_header(struct strbuf *out, struct bytes header, struct bytes boundary)
{
    while (header.len != 0) {
        size_t end = bytes_find_part(header, BYTES("\r\n"));
        struct bytes line = bytes_first(header, end);

        if (out->len + (line.len < LINE_LIMIT ? line.len : LINE_LIMIT) + 2 >
            BOUNCE_HEADER_LIMIT) {
            return;
        }
        if (bytes_find_part(line, boundary) == line.len) {
            add_header_line(out, line);
        }
        header = bytes_skip(header, end + 2);
    }
}

static void read_header(struct strbuf *out, const struct bounce_facts *facts,
                        struct bytes boundary)
{
    struct bytes header =
        bytes_first(facts->original_header, header_block_length(facts->original_header));
    struct strbuf raw;

    strbuf_init(&raw, 64 * BOUNCE_HEADER_LIMIT);
    add_without_hidden(&raw, bytes_first(header, 2 * BOUNCE_HEADER_LIMIT), facts);
    copy_header(out, strbuf_bytes(&raw), boundary);
    strbuf_clear(&raw);
}

/* ---- top ---- */

static const char *subject_of(enum bounce_kind kind)
{
    switch (kind) {
    case BOUNCE_FAILED:
        return "Undelivered mail returned to sender";
    case BOUNCE_EXPIRED:
        return "Undelivered mail returned to sender (gave up trying)";
    case BOUNCE_DELAYED:
        return "Delayed mail (still being retried)";
    case BOUNCE_RELAYED:
        return "Mail passed on";
    }
    return "";
}

/* "In-Reply-To" and "References" let a mail program show the bounce beside what was sent. */
static void add_thread(struct strbuf *out, struct bytes header)
{
    struct header_field field;
    struct strbuf id;

    if (!header_block_find(header, BYTES("Message-ID"), &field)) {
        return;
    }
    strbuf_init(&id, FOLD_COLUMN * 4);
    header_value_add(&id, field.value);
    if (!id.overflowed && id.len > 2 && id.data[0] == '<' && id.data[id.len - 1] == '>' &&
        bytes_find(strbuf_bytes(&id), ' ') == id.len && bytes_is_ascii(strbuf_bytes(&id))) {
        strbuf_add_text(out, "In-Reply-To: ");
        add_printable(out, strbuf_bytes(&id), false);
        strbuf_add_text(out, "\r\nReferences: ");
        add_printable(out, strbuf_bytes(&id), false);
        strbuf_add_text(out, "\r\n");
    }
    strbuf_clear(&id);
}

static void add_top(struct strbuf *out, const struct bounce_facts *facts,
                    const struct bounce_shape *shape, struct bytes boundary)
{
    strbuf_add_text(out, "Date: ");
    calendar_add_mail_date(out, facts->now);
    strbuf_add_text(out, "\r\nFrom: Mail Delivery System <");
    add_address(out, facts->from_address, shape);
    strbuf_add_text(out, ">\r\nTo: <");
    add_address(out, facts->to_address, shape);
    strbuf_add_text(out, ">\r\nSubject: ");
    strbuf_add_text(out, subject_of(facts->kind));
    strbuf_add_text(out, "\r\nMessage-ID: <");
    strbuf_add(out, facts->message_id);
    strbuf_add_char(out, '@');
    strbuf_add(out, facts->our_name);
    strbuf_add_text(out, ">\r\n");
    add_thread(out, shape->header);
    strbuf_add_text(out, "Auto-Submitted: auto-replied\r\n"
                         "MIME-Version: 1.0\r\n"
                         "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                         "\tboundary=\"");
    strbuf_add(out, boundary);
    strbuf_add_text(out, "\"\r\n");
    if (shape->is_8bit) {
        strbuf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
    }
    strbuf_add_text(out, "\r\n");
}

static void add_part(struct strbuf *out, struct bytes boundary, const char *type, bool is_8bit)
{
    strbuf_add_text(out, "--");
    strbuf_add(out, boundary);
    strbuf_add_text(out, "\r\nContent-Type: ");
    strbuf_add_text(out, type);
    if (is_8bit) {
        strbuf_add_text(out, "\r\nContent-Transfer-Encoding: 8bit");
    }
    strbuf_add_text(out, "\r\n\r\n");
}

/* ---- for people ---- */

static const char *opening_of(enum bounce_kind kind)
{
    switch (kind) {
    case BOUNCE_FAILED:
        return "your message could not be delivered to the addresses below. Nothing\r\n"
               "more will be tried; the reason stands under each address.\r\n";
    case BOUNCE_EXPIRED:
        return "your message could not be delivered to the addresses below. It was\r\n"
               "tried again and again until its time was over; the last reason stands\r\n"
               "under each address.\r\n";
    case BOUNCE_DELAYED:
        return "your message has not yet been delivered to the addresses below. It\r\n"
               "will be tried again; YOU DO NOT NEED TO SEND IT AGAIN. The last reason\r\n"
               "stands under each address.\r\n";
    case BOUNCE_RELAYED:
        return "your message has been passed on for the addresses below, to servers that\r\n"
               "will not report any further. You asked for this notice.\r\n";
    }
    return "";
}

/* When, where, and what was said each time. */
static void add_history(struct strbuf *out, const struct bounce_recipient *recipient,
                        const struct bounce_facts *facts, struct strbuf *words)
{
    if (recipient->history_count == 0 || facts->kind != BOUNCE_EXPIRED) {
        return;
    }
    strbuf_addf(out, "   Tried %u times:\r\n", recipient->attempts);
    if (recipient->history_count < recipient->attempts) {
        strbuf_addf(out, "   (the last %u of them)\r\n", (unsigned)recipient->history_count);
    }
    for (size_t i = 0; i < recipient->history_count; i++) {
        const struct bounce_attempt *attempt = &recipient->history[i];

        strbuf_add_text(out, "   ");
        calendar_add_mail_date(out, attempt->at);
        if (attempt->host.len > 0) {
            strbuf_add_text(out, "  ");
            add_printable(out, bytes_first(attempt->host, 255), false);
        }
        strbuf_add_text(out, "\r\n     ");
        read_words(words, attempt->reply, HISTORY_REPLY_LIMIT, facts);
        add_folded(out, strbuf_bytes(words), 5);
        strbuf_add_text(out, "\r\n");
    }
}

static void add_explanation(struct strbuf *out, const struct bounce_recipient *recipient)
{
    if (recipient->explanation == NULL) {
        return;
    }
    strbuf_add_text(out, "   That is:");
    add_folded(out, bytes_from_text(recipient->explanation), 11);
    strbuf_add_text(out, ".\r\n");
}

static void add_text_part(struct strbuf *out, const struct bounce_facts *facts,
                          const struct bounce_shape *shape)
{
    struct strbuf reason;

    strbuf_init(&reason, 64 * DIAGNOSTIC_LIMIT);
    strbuf_add_text(out, "This is the mail system at ");
    strbuf_add(out, facts->our_name);
    strbuf_add_text(out, ":\r\n");
    strbuf_add_text(out, opening_of(facts->kind));
    for (size_t i = 0; i < facts->recipient_count; i++) {
        const struct bounce_recipient *recipient = &facts->recipients[i];

        strbuf_add_text(out, "\r\n<");
        add_address(out, recipient->alias, shape);
        strbuf_add_text(out, recipient->is_relayed && facts->kind != BOUNCE_RELAYED
                                 ? "> (this one has been passed on):\r\n   "
                                 : ">:\r\n   ");
        read_diagnostic(&reason, recipient, facts);
        if (recipient->remote.len != 0 && recipient->is_remote) {
            struct strbuf said;

            strbuf_init(&said, 65 * DIAGNOSTIC_LIMIT);
            strbuf_add_text(&said, "host ");
            add_printable(&said, bytes_first(recipient->remote, 255), false);
            strbuf_add_text(&said, " said: ");
            strbuf_add(&said, strbuf_bytes(&reason));
            add_folded(out, strbuf_bytes(&said), 3);
            strbuf_clear(&said);
        } else {
            add_folded(out, strbuf_bytes(&reason), 3);
        }
        strbuf_add_text(out, "\r\n");
        add_explanation(out, recipient);
        add_history(out, recipient, facts, &reason);
    }
    strbuf_add_text(out, "\r\nOur reference: ");
    strbuf_add(out, facts->original_id);
    strbuf_add_text(out, "\r\n\r\n");
    strbuf_clear(&reason);
}

/* ---- for programs (RFC 3464) ---- */

static void add_date(struct strbuf *out, const char *name, int64_t unix_seconds)
{
    strbuf_add_text(out, name);
    calendar_add_mail_date(out, unix_seconds);
    strbuf_add_text(out, "\r\n");
}

/* What xtext stands for, made one printable line; beyond ASCII only where the RFC 6533 forms are used. */
static void add_xtext(struct strbuf *out, struct bytes xtext, bool may_utf8)
{
    struct strbuf text;

    strbuf_init(&text, 2 * XTEXT_LIMIT);
    dsn_xtext_decode(&text, bytes_first(xtext, XTEXT_LIMIT));
    if (!bytes_is_ascii(strbuf_bytes(&text)) && !may_utf8) {
        add_printable(out, bytes_first(xtext, XTEXT_LIMIT), false);
    } else {
        add_printable(out, strbuf_bytes(&text), may_utf8);
    }
    strbuf_clear(&text);
}

static void add_original_recipient(struct strbuf *out, struct bytes orcpt, bool may_utf8)
{
    size_t type = bytes_find(orcpt, ';');

    if (type == orcpt.len) {
        return;
    }
    strbuf_add_text(out, "Original-Recipient: ");
    add_printable(out, bytes_first(orcpt, type), false);
    strbuf_add_text(out, "; ");
    add_xtext(out, bytes_skip(orcpt, type + 1), may_utf8);
    strbuf_add_text(out, "\r\n");
}

static const char *action_of(enum bounce_kind kind)
{
    switch (kind) {
    case BOUNCE_FAILED:
    case BOUNCE_EXPIRED:
        return "failed";
    case BOUNCE_DELAYED:
        return "delayed";
    case BOUNCE_RELAYED:
        return "relayed";
    }
    return "";
}

static void add_recipient_fields(struct strbuf *out, const struct bounce_recipient *recipient,
                                 const struct bounce_facts *facts,
                                 const struct bounce_shape *shape, struct strbuf *reason)
{
    size_t line;

    strbuf_add_text(out, "\r\n");
    add_original_recipient(out, recipient->orcpt, shape->is_utf8);
    strbuf_add_text(out, "Final-Recipient: ");
    /* RFC 6533 §3: the utf-8 type only for addresses that need it. */
    strbuf_add_text(out, !bytes_is_ascii(recipient->alias) ? "utf-8; " : "rfc822; ");
    add_address(out, recipient->alias, shape);
    strbuf_addf(out, "\r\nAction: %s\r\nStatus: ",
                recipient->is_relayed ? "relayed" : action_of(facts->kind));
    strbuf_add_text(out, recipient->status);
    strbuf_add_text(out, "\r\n");
    if (recipient->remote.len != 0) {
        strbuf_add_text(out, "Remote-MTA: dns; ");
        add_printable(out, bytes_first(recipient->remote, 255), false);
        strbuf_add_text(out, "\r\n");
    }
    read_diagnostic(reason, recipient, facts);
    if (reason->len != 0) {
        line = out->len;
        strbuf_add_text(out, recipient->is_remote ? "Diagnostic-Code: smtp;"
                                                  : "Diagnostic-Code: x-postilion;");
        add_folded(out, strbuf_bytes(reason), out->len - line);
        strbuf_add_text(out, "\r\n");
    }
    if (recipient->last_attempt > 0) {
        add_date(out, "Last-Attempt-Date: ", recipient->last_attempt);
    }
    /* RFC 3464 §2.3.9: of delays only. */
    if (facts->kind == BOUNCE_DELAYED && !recipient->is_relayed && facts->retry_until > 0) {
        add_date(out, "Will-Retry-Until: ", facts->retry_until);
    }
    strbuf_addf(out, "X-Postilion-Attempts: %u\r\n", recipient->attempts);
}

static void add_status_part(struct strbuf *out, const struct bounce_facts *facts,
                            const struct bounce_shape *shape)
{
    struct strbuf reason;

    strbuf_init(&reason, 64 * DIAGNOSTIC_LIMIT);
    if (facts->envid.len > 0) {
        strbuf_add_text(out, "Original-Envelope-Id: ");
        add_xtext(out, facts->envid, false);
        strbuf_add_text(out, "\r\n");
    }
    strbuf_add_text(out, "Reporting-MTA: dns; ");
    strbuf_add(out, facts->our_name);
    strbuf_add_text(out, "\r\nX-Postilion-Message-ID: ");
    strbuf_add(out, facts->original_id);
    strbuf_add_text(out, "\r\n");
    add_date(out, "Arrival-Date: ", facts->arrived);
    for (size_t i = 0; i < facts->recipient_count; i++) {
        add_recipient_fields(out, &facts->recipients[i], facts, shape, &reason);
    }
    strbuf_add_text(out, "\r\n");
    strbuf_clear(&reason);
}

static struct bounce_shape decide_shape(const struct bounce_facts *facts, struct bytes header)
{
    struct bounce_shape shape = {.header = header};

    shape.is_utf8 = !bytes_is_ascii(facts->to_address) || !bytes_is_ascii(facts->from_address);
    for (size_t i = 0; i < facts->recipient_count; i++) {
        shape.is_utf8 |= !bytes_is_ascii(facts->recipients[i].alias);
    }
    shape.is_8bit = shape.is_utf8 || !bytes_is_ascii(header);
    return shape;
}

void bounce_message_write(struct strbuf *out, const struct bounce_facts *facts)
{
    struct strbuf boundary_text, header;
    struct bounce_shape shape;
    struct bytes boundary;

    strbuf_init(&boundary_text, 100);
    strbuf_init(&header, 2 * BOUNCE_HEADER_LIMIT);
    strbuf_add_text(&boundary_text, "=_postilion_");
    strbuf_add(&boundary_text, facts->message_id);
    boundary = strbuf_bytes(&boundary_text);
    read_header(&header, facts, boundary);
    shape = decide_shape(facts, strbuf_bytes(&header));

    add_top(out, facts, &shape, boundary);
    add_part(out, boundary,
             shape.is_utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
             shape.is_utf8);
    add_text_part(out, facts, &shape);
    add_part(out, boundary,
             shape.is_utf8 ? "message/global-delivery-status" : "message/delivery-status",
             shape.is_utf8);
    add_status_part(out, facts, &shape);
    /* RFC 6533 §5: message/global-headers belongs to messages that use the utf-8 forms. */
    add_part(out, boundary, shape.is_utf8 ? "message/global-headers" : "text/rfc822-headers",
             !bytes_is_ascii(shape.header));
    strbuf_add(out, shape.header);
    strbuf_add_text(out, "\r\n--");
    strbuf_add(out, boundary);
    strbuf_add_text(out, "--\r\n");
    strbuf_clear(&boundary_text);
    strbuf_clear(&header);
}
