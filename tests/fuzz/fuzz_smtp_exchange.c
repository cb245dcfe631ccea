/*
 * The client against any server: it comes to an end, asks for content only behind a 354 (or
 * where CHUNKING was offered) with a recipient accepted and never for a question, tells results only that a reply gave, and does all that the same however
 * the server's octets are cut.
 */
#include "protocol/smtp_exchange.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

enum { RECIPIENTS = 3 };

struct run {
    struct smtp_exchange *exchange;
    struct smtp_exchange_recipient recipients[RECIPIENTS];
    struct strbuf sent;
    bool is_over, is_secure, is_asking;
};

static void start_mail(struct run *run)
{
    if (run->is_asking) {
        smtp_exchange_ask(run->exchange, BYTES("<>"), run->recipients, RECIPIENTS, &run->sent);
    } else {
        smtp_exchange_mail(run->exchange, BYTES("<a@b>"), run->recipients, RECIPIENTS,
                           &run->sent);
    }
}

static void act(struct run *run, enum smtp_exchange_event event)
{
    switch (event) {
    case SMTP_EXCHANGE_WAIT:
        break;
    case SMTP_EXCHANGE_READY:
        require(smtp_exchange_last(run->exchange)->code / 100 == 2);
        if (smtp_exchange_extensions(run->exchange)->starttls && !run->is_secure) {
            smtp_exchange_start_tls(run->exchange, &run->sent);
        } else {
            start_mail(run);
        }
        break;
    case SMTP_EXCHANGE_START_TLS:
        require(!run->is_secure && smtp_exchange_last(run->exchange)->code / 100 == 2);
        run->is_secure = true;
        smtp_exchange_secured(run->exchange, &run->sent);
        require(!smtp_exchange_extensions(run->exchange)->esmtp);
        break;
    case SMTP_EXCHANGE_TLS_REFUSED:
        require(smtp_exchange_last(run->exchange)->code >= 400);
        start_mail(run);
        break;
    case SMTP_EXCHANGE_READY_FOR_CONTENT: {
        size_t open = 0;

        require(!run->is_asking);
        require(smtp_exchange_last(run->exchange)->code == 354 ||
                smtp_exchange_is_chunked(run->exchange));
        require(smtp_exchange_is_chunked(run->exchange) ==
                smtp_exchange_extensions(run->exchange)->chunking);
        for (size_t i = 0; i < RECIPIENTS; i++) {
            open += !run->recipients[i].is_answered;
        }
        require(open > 0);
        strbuf_add_text(&run->sent, "{content}");
        smtp_exchange_content_sent(run->exchange);
        break;
    }
    case SMTP_EXCHANGE_DONE:
        for (size_t i = 0; i < RECIPIENTS; i++) {
            unsigned kind = run->recipients[i].reply.code / 100;

            if (smtp_exchange_has_refused_chunk(run->exchange) &&
                !run->recipients[i].is_answered) {
                require(!smtp_exchange_extensions(run->exchange)->chunking);
                continue;
            }
            require(run->recipients[i].is_answered);
            require(run->recipients[i].is_own || !run->is_asking ||
                    !run->recipients[i].is_accepted);
            require(run->recipients[i].is_accepted ? kind == 2 : kind == 4 || kind == 5);
        }
        run->is_asking = !run->is_asking; /* questions and messages take turns */
        start_mail(run);
        break;
    case SMTP_EXCHANGE_BROKEN:
        run->is_over = true;
        break;
    }
}

static void feed(struct run *run, struct bytes piece)
{
    while (!run->is_over && piece.len > 0) {
        size_t used = 0;
        enum smtp_exchange_event event =
            smtp_exchange_input(run->exchange, piece, &used, &run->sent);

        require(used <= piece.len);
        require(used > 0 && (event != SMTP_EXCHANGE_WAIT || used == piece.len));
        piece = bytes_skip(piece, used);
        act(run, event);
    }
}

static void play(struct run *run, struct bytes server, size_t fixed_step)
{
    *run = (struct run){.exchange = smtp_exchange_new(BYTES("us.example"))};
    strbuf_init(&run->sent, 1 << 20);
    for (size_t i = 0; i < RECIPIENTS; i++) {
        run->recipients[i].path = BYTES("r@x");
    }
    for (size_t at = 0; at < server.len && !run->is_over;) {
        size_t step = fixed_step != 0 ? fixed_step : 1 + ((unsigned char)server.data[at] & 15);
        struct bytes piece = bytes_first(bytes_skip(server, at), step);

        feed(run, piece);
        at += piece.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t STEPS[] = {SIZE_MAX, 1, 0};
    static struct run runs[3];

    for (int i = 0; i < 3; i++) {
        play(&runs[i], bytes_of(data, size), STEPS[i]);
        require(runs[i].is_over == runs[0].is_over);
        require(bytes_equal(strbuf_bytes(&runs[i].sent), strbuf_bytes(&runs[0].sent)));
        require(smtp_exchange_stage(runs[i].exchange) == smtp_exchange_stage(runs[0].exchange));
        for (size_t j = 0; j < RECIPIENTS; j++) {
            require(runs[i].recipients[j].is_accepted == runs[0].recipients[j].is_accepted);
        }
    }
    for (int i = 0; i < 3; i++) {
        strbuf_clear(&runs[i].sent);
        smtp_exchange_free(&runs[i].exchange);
    }
    return 0;
}
