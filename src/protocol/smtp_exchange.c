#include "protocol/smtp_exchange.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

enum { HELO_LIMIT = 512, MAIL_LINE_LIMIT = 4096 };

/* Whose reply is awaited; the stage that callers see follows from it. */
enum await {
    AWAIT_BANNER,
    AWAIT_EHLO,
    AWAIT_HELO,
    AWAIT_STARTTLS,
    AWAIT_HANDSHAKE, /* the caller's, nothing from the server in clear */
    AWAIT_NOTHING,   /* between transactions */
    AWAIT_RSET,      /* of a transaction before this one */
    AWAIT_MAIL,
    AWAIT_RCPT, /* of recipients[next] */
    AWAIT_DATA,
    AWAIT_CONTENT, /* the caller's content, nothing from the server */
    AWAIT_DOT,
    AWAIT_LONE_DOT,  /* ends a content nobody is to get */
    AWAIT_LAST_RSET, /* nothing is to be sent: ends the transaction */
    AWAIT_QUIT,
};

struct smtp_exchange {
    enum await await;
    bool is_broken;
    bool is_group;   /* MAIL, RCPT ... DATA were sent in one go */
    bool is_chunked; /* no DATA: the content goes by BDAT */
    bool is_asking;  /* no DATA, no content */
    bool has_refused_chunk;
    bool needs_reset; /* the server still holds a transaction that we have given up */
    struct smtp_extensions extensions;
    struct smtp_reply last;
    struct strbuf pending; /* octets of a reply that has not arrived whole */
    struct strbuf helo_name;
    struct strbuf mail_line; /* kept only while RSET must be answered first */
    struct smtp_exchange_recipient *recipients; /* borrowed; NULL between transactions */
    size_t count;
    size_t next;     /* recipient whose RCPT reply comes next */
    size_t accepted; /* RCPTs answered 2xx */
};

struct smtp_exchange *smtp_exchange_new(struct bytes helo_name)
{
    struct smtp_exchange *exchange = memory_zero(sizeof *exchange);

    strbuf_init(&exchange->pending, (size_t)SMTP_REPLY_LINES * SMTP_REPLY_LINE_LIMIT);
    strbuf_init(&exchange->helo_name, HELO_LIMIT);
    strbuf_init(&exchange->mail_line, MAIL_LINE_LIMIT);
    strbuf_add(&exchange->helo_name, helo_name);
    return exchange;
}

void smtp_exchange_free(struct smtp_exchange **exchange)
{
    if (*exchange == NULL) {
        return;
    }
    strbuf_clear(&(*exchange)->pending);
    strbuf_clear(&(*exchange)->helo_name);
    strbuf_clear(&(*exchange)->mail_line);
    free(*exchange);
    *exchange = NULL;
}

/* --- what we say --- */

static void add_command(struct strbuf *out, const char *verb, struct bytes argument)
{
    strbuf_add_text(out, verb);
    strbuf_add(out, argument);
    strbuf_add(out, BYTES("\r\n"));
}

static void add_rcpt(struct strbuf *out, const struct smtp_exchange_recipient *recipient)
{
    strbuf_add(out, BYTES("RCPT TO:<"));
    strbuf_add(out, recipient->path);
    strbuf_add_char(out, '>');
    add_command(out, "", recipient->parameters);
}

/* MAIL alone, or everything up to DATA. */
static void add_envelope(struct smtp_exchange *exchange, struct bytes mail_line,
                         struct strbuf *out)
{
    add_command(out, "MAIL FROM:", mail_line);
    if (exchange->is_group) {
        for (size_t i = 0; i < exchange->count; i++) {
            add_rcpt(out, &exchange->recipients[i]);
        }
        if (exchange->is_asking) {
            add_command(out, "RSET", BYTES(""));
        } else if (!exchange->is_chunked) {
            add_command(out, "DATA", BYTES(""));
        }
    }
}

/* --- the results --- */

/* Of the command, not of what it carried: with an enhanced code it says so (RFC 3463 §3.6). */
static bool is_command_unknown(const struct smtp_reply *reply)
{
    switch (reply->code) {
    case 500:
    case 502:
    case 503:
    case 504:
        return reply->enhanced[0] == '\0' || strncmp(reply->enhanced, "5.5.", 4) == 0;
    default:
        return false;
    }
}

static bool is_positive(const struct smtp_reply *reply)
{
    return reply->code / 100 == 2;
}

static bool is_negative(const struct smtp_reply *reply)
{
    return reply->code / 100 == 4 || reply->code / 100 == 5;
}

/* The last reply decides for everybody who has no answer of its own yet. */
static void answer_the_rest(struct smtp_exchange *exchange, bool is_accepted)
{
    for (size_t i = 0; i < exchange->count; i++) {
        struct smtp_exchange_recipient *recipient = &exchange->recipients[i];

        if (!recipient->is_answered) {
            recipient->reply = exchange->last;
            recipient->is_answered = true;
            recipient->is_accepted = is_accepted;
        }
    }
}

static enum smtp_exchange_event end_transaction(struct smtp_exchange *exchange)
{
    exchange->await = AWAIT_NOTHING;
    exchange->recipients = NULL;
    exchange->count = 0;
    return SMTP_EXCHANGE_DONE;
}

static enum smtp_exchange_event break_off(struct smtp_exchange *exchange)
{
    exchange->is_broken = true;
    return SMTP_EXCHANGE_BROKEN;
}

/* --- what the server says: one function for each reply awaited --- */

/* RFC 9422 §5: 1 to 999999, no leading zero; whatever else is said is no limit. */
static unsigned read_limit(struct bytes value)
{
    uint64_t number = 0;

    if (value.len == 0 || value.len > 6 || value.data[0] == '0' ||
        !bytes_to_u64(value, &number)) {
        return 0;
    }
    return (unsigned)number;
}

static void read_limits(struct smtp_extensions *extensions, struct bytes text)
{
    const struct {
        struct bytes name;
        unsigned *limit;
    } known[] = {
        {BYTES("MAILMAX"), &extensions->mail_max},
        {BYTES("RCPTMAX"), &extensions->rcpt_max},
        {BYTES("RCPTDOMAINMAX"), &extensions->rcpt_domain_max},
    };

    while (text.len > 0) {
        struct bytes value = bytes_cut(&text, ' ');
        struct bytes name = bytes_cut(&value, '=');

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (bytes_equal_nocase(name, known[i].name)) {
                *known[i].limit = read_limit(value);
            }
        }
    }
}

static void read_extension(void *context, struct bytes text)
{
    struct smtp_extensions *extensions = context;
    struct bytes keyword = bytes_cut(&text, ' ');
    const struct {
        struct bytes name;
        bool *offered;
    } known[] = {
        {BYTES("PIPELINING"), &extensions->pipelining},
        {BYTES("SIZE"), &extensions->size},
        {BYTES("8BITMIME"), &extensions->eight_bit_mime},
        {BYTES("SMTPUTF8"), &extensions->smtputf8},
        {BYTES("STARTTLS"), &extensions->starttls},
        {BYTES("CHUNKING"), &extensions->chunking},
        {BYTES("DSN"), &extensions->dsn},
        {BYTES("ENHANCEDSTATUSCODES"), &extensions->enhanced_status_codes},
        {BYTES("REQUIRETLS"), &extensions->requiretls},
    };

    if (!extensions->esmtp) {
        extensions->esmtp = true; /* the first line is the server's name, not a keyword */
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (bytes_equal_nocase(keyword, known[i].name)) {
            *known[i].offered = true;
        }
    }
    if (bytes_equal_nocase(keyword, BYTES("SIZE")) &&
        !bytes_to_u64(bytes_trim(text), &extensions->size_limit)) {
        extensions->size_limit = 0;
    }
    if (bytes_equal_nocase(keyword, BYTES("LIMITS"))) {
        read_limits(extensions, bytes_trim(text));
    }
}

static enum smtp_exchange_event on_banner(struct smtp_exchange *exchange, struct strbuf *out)
{
    if (!is_positive(&exchange->last)) {
        return break_off(exchange);
    }
    add_command(out, "EHLO ", strbuf_bytes(&exchange->helo_name));
    exchange->await = AWAIT_EHLO;
    return SMTP_EXCHANGE_WAIT;
}

static enum smtp_exchange_event on_ehlo(struct smtp_exchange *exchange,
                                        struct bytes reply_octets, struct strbuf *out)
{
    if (exchange->last.code / 100 == 5) {
        add_command(out, "HELO ", strbuf_bytes(&exchange->helo_name)); /* RFC 5321 §3.2 */
        exchange->await = AWAIT_HELO;
        return SMTP_EXCHANGE_WAIT;
    }
    if (!is_positive(&exchange->last)) {
        return break_off(exchange);
    }
    smtp_reply_each_line(reply_octets, read_extension, &exchange->extensions);
    exchange->await = AWAIT_NOTHING;
    return SMTP_EXCHANGE_READY;
}

static enum smtp_exchange_event on_helo(struct smtp_exchange *exchange)
{
    if (!is_positive(&exchange->last)) {
        return break_off(exchange);
    }
    exchange->await = AWAIT_NOTHING;
    return SMTP_EXCHANGE_READY;
}

static enum smtp_exchange_event on_starttls(struct smtp_exchange *exchange)
{
    if (is_positive(&exchange->last)) {
        exchange->await = AWAIT_HANDSHAKE;
        return SMTP_EXCHANGE_START_TLS;
    }
    if (!is_negative(&exchange->last)) {
        return break_off(exchange);
    }
    exchange->await = AWAIT_NOTHING;
    return SMTP_EXCHANGE_TLS_REFUSED;
}

static enum smtp_exchange_event on_rset(struct smtp_exchange *exchange, struct strbuf *out)
{
    if (!is_positive(&exchange->last)) {
        return break_off(exchange); /* nobody knows what the server still holds */
    }
    exchange->needs_reset = false;
    exchange->await = AWAIT_MAIL;
    if (!exchange->is_group) {
        add_envelope(exchange, strbuf_bytes(&exchange->mail_line), out);
    }
    return SMTP_EXCHANGE_WAIT;
}

static enum smtp_exchange_event on_mail(struct smtp_exchange *exchange, struct strbuf *out)
{
    if (is_positive(&exchange->last)) {
        exchange->needs_reset = true;
    } else if (is_negative(&exchange->last)) {
        answer_the_rest(exchange, false);
        if (!exchange->is_group) {
            return end_transaction(exchange);
        }
    } else {
        return break_off(exchange);
    }
    exchange->await = AWAIT_RCPT;
    if (!exchange->is_group) {
        add_rcpt(out, &exchange->recipients[0]);
    }
    return SMTP_EXCHANGE_WAIT;
}

static enum smtp_exchange_event end_asking(struct smtp_exchange *exchange, struct strbuf *out)
{
    if (!exchange->is_group) {
        add_command(out, "RSET", BYTES(""));
    }
    exchange->await = AWAIT_LAST_RSET;
    return SMTP_EXCHANGE_WAIT;
}

/* The answers are there whatever is said to it; refused, it comes again in front of the next MAIL. */
static enum smtp_exchange_event on_last_rset(struct smtp_exchange *exchange)
{
    if (!is_positive(&exchange->last) && !is_negative(&exchange->last)) {
        return break_off(exchange);
    }
    exchange->needs_reset = exchange->needs_reset && is_negative(&exchange->last);
    return end_transaction(exchange);
}

/* Every recipient has its answer. A DATA that was sent with them has one to come. */
static enum smtp_exchange_event end_envelope(struct smtp_exchange *exchange, struct strbuf *out)
{
    bool is_data_sent = exchange->is_group && !exchange->is_chunked;

    if (exchange->is_asking) {
        return end_asking(exchange, out);
    }
    if (exchange->accepted == 0 && !is_data_sent) {
        return end_transaction(exchange);
    }
    if (exchange->is_chunked) {
        exchange->await = AWAIT_CONTENT;
        return SMTP_EXCHANGE_READY_FOR_CONTENT;
    }
    if (!is_data_sent) {
        add_command(out, "DATA", BYTES(""));
    }
    exchange->await = AWAIT_DATA;
    return SMTP_EXCHANGE_WAIT;
}

static enum smtp_exchange_event on_rcpt(struct smtp_exchange *exchange, struct strbuf *out)
{
    struct smtp_exchange_recipient *recipient = &exchange->recipients[exchange->next++];

    if (!is_positive(&exchange->last) && !is_negative(&exchange->last)) {
        return break_off(exchange);
    }
    /* Answered before its own reply came: MAIL failed, and that is the reason to tell. */
    if (!recipient->is_answered) {
        bool is_accepted = is_positive(&exchange->last);

        exchange->accepted += is_accepted;
        if (!is_accepted || exchange->is_asking) {
            recipient->reply = exchange->last;
            recipient->is_answered = true;
            recipient->is_accepted = is_accepted;
            recipient->is_own = true;
        }
    }
    if (exchange->next < exchange->count) {
        if (!exchange->is_group) {
            add_rcpt(out, &exchange->recipients[exchange->next]);
        }
        return SMTP_EXCHANGE_WAIT;
    }
    return end_envelope(exchange, out);
}

static enum smtp_exchange_event on_data(struct smtp_exchange *exchange, struct strbuf *out)
{
    if (is_negative(&exchange->last)) {
        answer_the_rest(exchange, false);
        return end_transaction(exchange);
    }
    if (exchange->last.code != 354) {
        return break_off(exchange);
    }
    if (exchange->accepted == 0) {
        strbuf_add(out, BYTES(".\r\n")); /* RFC 2920 §3.1 */
        exchange->await = AWAIT_LONE_DOT;
        return SMTP_EXCHANGE_WAIT;
    }
    exchange->await = AWAIT_CONTENT;
    return SMTP_EXCHANGE_READY_FOR_CONTENT;
}

/* True: BDAT is not known here, so this is no answer for anybody. */
static bool note_refused_chunk(struct smtp_exchange *exchange)
{
    exchange->has_refused_chunk = exchange->is_chunked && is_command_unknown(&exchange->last);
    if (exchange->has_refused_chunk) {
        exchange->extensions.chunking = false;
    }
    return exchange->has_refused_chunk;
}

/* The server does not want to hear the rest. */
static enum smtp_exchange_event on_early_answer(struct smtp_exchange *exchange)
{
    if (is_negative(&exchange->last) && !note_refused_chunk(exchange)) {
        answer_the_rest(exchange, false);
    }
    return break_off(exchange);
}

static enum smtp_exchange_event on_dot(struct smtp_exchange *exchange)
{
    if (!is_positive(&exchange->last) && !is_negative(&exchange->last)) {
        return break_off(exchange);
    }
    if (note_refused_chunk(exchange)) {
        return end_transaction(exchange); /* it still has the envelope: needs_reset */
    }
    exchange->needs_reset = false; /* whatever the answer, the transaction is over */
    answer_the_rest(exchange, is_positive(&exchange->last));
    return end_transaction(exchange);
}

static enum smtp_exchange_event on_reply(struct smtp_exchange *exchange,
                                         struct bytes reply_octets, struct strbuf *out)
{
    if (exchange->last.code == 421 && exchange->await != AWAIT_QUIT) {
        /* The server leaves (RFC 5321 §3.8); that is an answer to all that is open. */
        answer_the_rest(exchange, false);
        return break_off(exchange);
    }
    switch (exchange->await) {
    case AWAIT_BANNER:
        return on_banner(exchange, out);
    case AWAIT_EHLO:
        return on_ehlo(exchange, reply_octets, out);
    case AWAIT_HELO:
        return on_helo(exchange);
    case AWAIT_STARTTLS:
        return on_starttls(exchange);
    case AWAIT_RSET:
        return on_rset(exchange, out);
    case AWAIT_MAIL:
        return on_mail(exchange, out);
    case AWAIT_RCPT:
        return on_rcpt(exchange, out);
    case AWAIT_DATA:
        return on_data(exchange, out);
    case AWAIT_DOT:
    case AWAIT_LONE_DOT:
        return on_dot(exchange);
    case AWAIT_LAST_RSET:
        return on_last_rset(exchange);
    case AWAIT_CONTENT:
        return on_early_answer(exchange);
    case AWAIT_QUIT:
    case AWAIT_HANDSHAKE:
    case AWAIT_NOTHING:
        break;
    }
    return break_off(exchange);
}

/* --- from octets to replies --- */

/* Adds octets to the reply that has begun, up to the end of a line; true when it is worth
 * looking at it again. Looking once a line, not once for whatever arrives, keeps a server that
 * sends octet by octet from costing more than it sends. */
static bool collect_line(struct smtp_exchange *exchange, struct bytes input, size_t *used)
{
    struct strbuf *pending = &exchange->pending;
    size_t last_end = bytes_find_last(strbuf_bytes(pending), '\n');
    size_t line_start = last_end == pending->len ? 0 : last_end + 1;
    size_t end = bytes_find(input, '\n');
    bool has_end = end < input.len;

    *used = has_end ? end + 1 : input.len;
    strbuf_add(pending, bytes_first(input, *used));
    return has_end || pending->overflowed || pending->len - line_start >= SMTP_REPLY_LINE_LIMIT;
}

/* What has been read becomes `last` only when it is a reply or certainly none: half a reply
 * must not hide the one before it. */
static enum smtp_exchange_event on_reply_result(struct smtp_exchange *exchange,
                                                enum smtp_reply_result result,
                                                const struct smtp_reply *reply,
                                                struct bytes reply_octets, struct strbuf *out)
{
    switch (result) {
    case SMTP_REPLY_READY:
        exchange->last = *reply;
        return on_reply(exchange, reply_octets, out);
    case SMTP_REPLY_NEED_MORE:
        return SMTP_EXCHANGE_WAIT;
    case SMTP_REPLY_MALFORMED:
        break;
    }
    exchange->last = *reply;
    return break_off(exchange);
}

static enum smtp_exchange_event read_reply(struct smtp_exchange *exchange, struct bytes input,
                                           size_t *used, struct strbuf *out)
{
    struct strbuf *pending = &exchange->pending;
    enum smtp_exchange_event event;
    enum smtp_reply_result result;
    struct smtp_reply reply;
    size_t len;

    if (pending->len == 0) {
        result = smtp_reply_next(input, &reply, used);
        if (result != SMTP_REPLY_NEED_MORE) {
            return on_reply_result(exchange, result, &reply, bytes_first(input, *used), out);
        }
        strbuf_add(pending, input);
        *used = input.len;
        return SMTP_EXCHANGE_WAIT;
    }
    if (!collect_line(exchange, input, used)) {
        return SMTP_EXCHANGE_WAIT;
    }
    result = smtp_reply_next(strbuf_bytes(pending), &reply, &len);
    if (result == SMTP_REPLY_NEED_MORE && pending->overflowed) {
        result = SMTP_REPLY_MALFORMED;
    }
    event = on_reply_result(exchange, result, &reply, strbuf_bytes(pending), out);
    if (result != SMTP_REPLY_NEED_MORE) {
        strbuf_reset(pending);
    }
    return event;
}

/* Somebody speaks who was not asked. What is said goes into `last`: a server that leaves
 * between two messages tells why. */
static enum smtp_exchange_event on_unasked(struct smtp_exchange *exchange, struct bytes input)
{
    struct smtp_reply reply;
    size_t len;

    on_reply_result(exchange, smtp_reply_next(input, &reply, &len), &reply, input, NULL);
    return break_off(exchange);
}

enum smtp_exchange_event smtp_exchange_input(struct smtp_exchange *exchange, struct bytes input,
                                             size_t *used, struct strbuf *out)
{
    enum smtp_exchange_event event = SMTP_EXCHANGE_WAIT;

    *used = 0;
    while (event == SMTP_EXCHANGE_WAIT && *used < input.len && !exchange->is_broken) {
        struct bytes rest = bytes_skip(input, *used);
        size_t len = 0;

        if (exchange->await == AWAIT_NOTHING || exchange->await == AWAIT_HANDSHAKE) {
            event = on_unasked(exchange, rest);
        } else {
            event = read_reply(exchange, rest, &len, out);
        }
        *used += len;
    }
    if (exchange->is_broken) {
        *used = input.len;
        return SMTP_EXCHANGE_BROKEN;
    }
    return event;
}

/* --- what the caller starts --- */

void smtp_exchange_start_tls(struct smtp_exchange *exchange, struct strbuf *out)
{
    assert(exchange->await == AWAIT_NOTHING && !exchange->is_broken);
    add_command(out, "STARTTLS", BYTES(""));
    exchange->await = AWAIT_STARTTLS;
}

void smtp_exchange_secured(struct smtp_exchange *exchange, struct strbuf *out)
{
    assert(exchange->await == AWAIT_HANDSHAKE && !exchange->is_broken);
    exchange->extensions = (struct smtp_extensions){.esmtp = false};
    add_command(out, "EHLO ", strbuf_bytes(&exchange->helo_name));
    exchange->await = AWAIT_EHLO;
}

static void begin_transaction(struct smtp_exchange *exchange, struct bytes mail_line,
                              struct smtp_exchange_recipient *recipients, size_t count,
                              struct strbuf *out)
{
    assert(exchange->await == AWAIT_NOTHING && !exchange->is_broken && count > 0);
    exchange->recipients = recipients;
    exchange->count = count;
    exchange->next = 0;
    exchange->accepted = 0;
    exchange->is_group = exchange->extensions.pipelining;
    exchange->is_chunked = exchange->extensions.chunking;
    exchange->has_refused_chunk = false;
    for (size_t i = 0; i < count; i++) {
        recipients[i].is_accepted = false;
        recipients[i].is_answered = false;
        recipients[i].is_own = false;
        recipients[i].reply = (struct smtp_reply){.code = 0};
    }
    exchange->await = AWAIT_MAIL;
    if (exchange->needs_reset) {
        add_command(out, "RSET", BYTES(""));
        exchange->await = AWAIT_RSET;
        if (!exchange->is_group) {
            strbuf_reset(&exchange->mail_line);
            strbuf_add(&exchange->mail_line, mail_line);
            assert(!exchange->mail_line.overflowed);
            return;
        }
    }
    add_envelope(exchange, mail_line, out);
}

void smtp_exchange_mail(struct smtp_exchange *exchange, struct bytes mail_line,
                        struct smtp_exchange_recipient *recipients, size_t count,
                        struct strbuf *out)
{
    exchange->is_asking = false;
    begin_transaction(exchange, mail_line, recipients, count, out);
}

void smtp_exchange_ask(struct smtp_exchange *exchange, struct bytes mail_line,
                       struct smtp_exchange_recipient *recipients, size_t count,
                       struct strbuf *out)
{
    exchange->is_asking = true;
    begin_transaction(exchange, mail_line, recipients, count, out);
}

void smtp_exchange_content_sent(struct smtp_exchange *exchange)
{
    assert(exchange->await == AWAIT_CONTENT || exchange->is_broken);
    exchange->await = AWAIT_DOT;
}

void smtp_exchange_quit(struct smtp_exchange *exchange, struct strbuf *out)
{
    assert(exchange->await == AWAIT_NOTHING && !exchange->is_broken);
    add_command(out, "QUIT", BYTES(""));
    exchange->await = AWAIT_QUIT;
}

bool smtp_exchange_is_chunked(const struct smtp_exchange *exchange)
{
    return exchange->is_chunked;
}

void smtp_exchange_forgo_chunks(struct smtp_exchange *exchange)
{
    exchange->extensions.chunking = false;
}

bool smtp_exchange_has_refused_chunk(const struct smtp_exchange *exchange)
{
    return exchange->has_refused_chunk;
}

enum smtp_stage smtp_exchange_stage(const struct smtp_exchange *exchange)
{
    switch (exchange->await) {
    case AWAIT_BANNER:
        return SMTP_STAGE_BANNER;
    case AWAIT_EHLO:
    case AWAIT_HELO:
        return SMTP_STAGE_EHLO;
    case AWAIT_STARTTLS:
    case AWAIT_HANDSHAKE:
        return SMTP_STAGE_STARTTLS;
    case AWAIT_NOTHING:
        return SMTP_STAGE_IDLE;
    case AWAIT_RSET:
    case AWAIT_LAST_RSET:
        return SMTP_STAGE_RSET;
    case AWAIT_MAIL:
        return SMTP_STAGE_MAIL;
    case AWAIT_RCPT:
        return exchange->is_group ? SMTP_STAGE_MAIL : SMTP_STAGE_RCPT;
    case AWAIT_DATA:
        return SMTP_STAGE_DATA;
    case AWAIT_CONTENT:
        return SMTP_STAGE_CONTENT;
    case AWAIT_DOT:
    case AWAIT_LONE_DOT:
        return SMTP_STAGE_DOT;
    case AWAIT_QUIT:
        break;
    }
    return SMTP_STAGE_QUIT;
}

const struct smtp_extensions *smtp_exchange_extensions(const struct smtp_exchange *exchange)
{
    return &exchange->extensions;
}

const struct smtp_reply *smtp_exchange_last(const struct smtp_exchange *exchange)
{
    return &exchange->last;
}

bool smtp_exchange_is_in_doubt(const struct smtp_exchange *exchange)
{
    /* A 421 is an answer; only silence or garbage leaves a doubt. */
    return exchange->await == AWAIT_DOT && !(exchange->is_broken && exchange->last.code == 421);
}

const char *smtp_stage_text(enum smtp_stage stage)
{
    switch (stage) {
    case SMTP_STAGE_BANNER:
        return "banner";
    case SMTP_STAGE_EHLO:
        return "ehlo";
    case SMTP_STAGE_STARTTLS:
        return "starttls";
    case SMTP_STAGE_MAIL:
        return "mail";
    case SMTP_STAGE_RCPT:
        return "rcpt";
    case SMTP_STAGE_DATA:
        return "data";
    case SMTP_STAGE_CONTENT:
        return "content";
    case SMTP_STAGE_DOT:
        return "dot";
    case SMTP_STAGE_RSET:
        return "rset";
    case SMTP_STAGE_IDLE:
        return "idle";
    case SMTP_STAGE_QUIT:
        break;
    }
    return "quit";
}
