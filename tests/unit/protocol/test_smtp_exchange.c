#include "support/check.h"

#include "protocol/smtp_exchange.h"

#define PIPELINING "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
#define PLAIN "220 mx\r\n250-mx\r\n250 8BITMIME\r\n"
#define OFFERING "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
#define CHUNKING "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define CHUNKING_ALONE "220 mx\r\n250-mx\r\n250 CHUNKING\r\n"
#define EHLO "EHLO us.example\r\n"
#define MAIL "MAIL FROM:<s@x>\r\n"
#define RCPTS "RCPT TO:<a@y>\r\nRCPT TO:<b@y> NOTIFY=NEVER\r\n"
#define GROUP MAIL RCPTS "DATA\r\n"
#define ASKED MAIL RCPTS "RSET\r\n"

/* A transaction for two recipients, or two of them, over one connection. What the server says
 * is all there is to a case; what we say, each event and the results are wanted in return. */
/* clang-format off */
static const struct {
    const char *name;
    const char *server;
    const char *want_sent;
    const char *want_events;  /* R(eady) T(LS) F(or TLS a refusal) C(ontent) D(one) B(roken) */
    const char *want_results; /* of the last transaction; code and + when accepted */
    unsigned want_last;
    enum smtp_stage want_stage;
    bool want_doubt;
    int mails;
} CASES[] = {
    {"pipelined", PIPELINING "250 ok\r\n250 ok\r\n251 ok\r\n354 go\r\n250 2.0.0 kept\r\n",
     EHLO GROUP "{content}", "RCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"one by one", PLAIN "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO GROUP "{content}", "RCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"replies of several lines", PLAIN "250-a\r\n250 b\r\n250-a\r\n250-b\r\n250\r\n250 ok\r\n354-x\r\n354 go\r\n250-a\r\n250 b\r\n",
     EHLO GROUP "{content}", "RCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"HELO after EHLO is unknown", "220 mx\r\n502 what\r\n250 mx\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO "HELO us.example\r\n" GROUP "{content}", "RCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"greeting refused", "554 go away\r\n", "", "B", "", 554, SMTP_STAGE_BANNER, false, 1},
    {"greeting deferred", "421-busy\r\n421 later\r\n", "", "B", "", 421, SMTP_STAGE_BANNER, false, 1},
    {"EHLO deferred", "220 mx\r\n450 later\r\n", EHLO, "B", "", 450, SMTP_STAGE_EHLO, false, 1},
    {"HELO refused", "220 mx\r\n500 what\r\n550 no\r\n", EHLO "HELO us.example\r\n", "B", "", 550, SMTP_STAGE_EHLO, false, 1},
    {"garbage for a greeting", "SSH-2.0-x\r\n", "", "B", "", 0, SMTP_STAGE_BANNER, false, 1},
    {"one recipient refused, pipelined", PIPELINING "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO GROUP "{content}", "RCD", "550 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"one recipient refused, one by one", PLAIN "250 ok\r\n250 ok\r\n450 later\r\n354 go\r\n550 spam\r\n",
     EHLO GROUP "{content}", "RCD", "550 450", 550, SMTP_STAGE_IDLE, false, 1},
    {"all refused, DATA refused too", PIPELINING "250 ok\r\n550 no\r\n551 no\r\n503 no\r\n",
     EHLO GROUP, "RD", "550 551", 503, SMTP_STAGE_IDLE, false, 1},
    {"all refused, DATA taken", PIPELINING "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n554 nobody\r\n",
     EHLO GROUP ".\r\n", "RD", "550 450", 554, SMTP_STAGE_IDLE, false, 1},
    {"all refused, lone dot taken", PIPELINING "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n250 ok\r\n",
     EHLO GROUP ".\r\n", "RD", "550 450", 250, SMTP_STAGE_IDLE, false, 1},
    {"lone dot unanswered", PIPELINING "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n",
     EHLO GROUP ".\r\n", "R", "550 450", 354, SMTP_STAGE_DOT, false, 1},
    {"all refused, one by one", PLAIN "250 ok\r\n550 no\r\n450 no\r\n",
     EHLO MAIL RCPTS, "RD", "550 450", 450, SMTP_STAGE_IDLE, false, 1},
    {"MAIL refused, pipelined", PIPELINING "552 too big\r\n503 no\r\n503 no\r\n503 no\r\n",
     EHLO GROUP, "RD", "552 552", 503, SMTP_STAGE_IDLE, false, 1},
    {"MAIL refused, the rest taken", PIPELINING "451 later\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
     EHLO GROUP ".\r\n", "RD", "451 451", 250, SMTP_STAGE_IDLE, false, 1},
    {"MAIL refused, one by one", PLAIN "550 no\r\n", EHLO MAIL, "RD", "550 550", 550, SMTP_STAGE_IDLE, false, 1},
    {"DATA refused", PIPELINING "250 ok\r\n550 no\r\n250 ok\r\n451 later\r\n",
     EHLO GROUP, "RD", "550 451", 451, SMTP_STAGE_IDLE, false, 1},
    {"DATA answered 250", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n",
     EHLO GROUP, "RB", "- -", 250, SMTP_STAGE_DATA, false, 1},
    {"DATA answered 355", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n355 ok\r\n",
     EHLO GROUP, "RB", "- -", 355, SMTP_STAGE_DATA, false, 1},
    {"MAIL answered 354", PLAIN "354 go\r\n", EHLO MAIL, "RB", "- -", 354, SMTP_STAGE_MAIL, false, 1},
    {"RCPT answered 354", PLAIN "250 ok\r\n354 go\r\n", EHLO MAIL "RCPT TO:<a@y>\r\n", "RB", "- -", 354, SMTP_STAGE_RCPT, false, 1},
    {"dot refused", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 5.7.1 spam\r\n",
     EHLO GROUP "{content}", "RCD", "554 554", 554, SMTP_STAGE_IDLE, false, 1},
    {"dot unanswered", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250-ke",
     EHLO GROUP "{content}", "RC", "- -", 354, SMTP_STAGE_DOT, true, 1},
    {"dot answered with garbage", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\nwhat\r\n",
     EHLO GROUP "{content}", "RCB", "- -", 0, SMTP_STAGE_DOT, true, 1},
    {"dot answered 354", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n354 go\r\n",
     EHLO GROUP "{content}", "RCB", "- -", 354, SMTP_STAGE_DOT, true, 1},
    {"421 for MAIL", PIPELINING "421 bye\r\n", EHLO GROUP, "RB", "421 421", 421, SMTP_STAGE_MAIL, false, 1},
    {"421 for a recipient", PIPELINING "250 ok\r\n550 no\r\n421 bye\r\n",
     EHLO GROUP, "RB", "550 421", 421, SMTP_STAGE_MAIL, false, 1},
    {"421 for DATA", PLAIN "250 ok\r\n550 no\r\n250 ok\r\n421 bye\r\n",
     EHLO GROUP, "RB", "550 421", 421, SMTP_STAGE_DATA, false, 1},
    {"421 for the dot", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n421 bye\r\n",
     EHLO GROUP "{content}", "RCB", "421 421", 421, SMTP_STAGE_DOT, false, 1},
    {"a reply too many after the transaction", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n250 ok\r\n",
     EHLO GROUP "{content}", "RCDB", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"replies one too early", PLAIN "250 more\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
     EHLO GROUP, "RB", "- -", 250, SMTP_STAGE_DATA, false, 1},
    {"two messages", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 kept\r\n",
     EHLO GROUP "{content}" GROUP "{content}", "RCDCD", "250+ 550", 250, SMTP_STAGE_IDLE, false, 2},
    {"RSET before the second, pipelined", PIPELINING "250 ok\r\n550 no\r\n551 no\r\n503 no\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO GROUP "RSET\r\n" GROUP "{content}", "RDCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 2},
    {"RSET before the second, one by one", PLAIN "250 ok\r\n550 no\r\n551 no\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO MAIL RCPTS "RSET\r\n" GROUP "{content}", "RDCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 2},
    {"RSET refused", PLAIN "250 ok\r\n550 no\r\n551 no\r\n500 no\r\n",
     EHLO MAIL RCPTS "RSET\r\n", "RDB", "- -", 500, SMTP_STAGE_RSET, false, 2},
    {"TLS, and what was offered in clear is forgotten", OFFERING "220 go\r\n250-mx\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO "STARTTLS\r\n{tls}" EHLO GROUP "{content}", "RTRCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"TLS, several lines", OFFERING "220-go\r\n220 go\r\n", EHLO "STARTTLS\r\n{tls}" EHLO, "RT", "", 220, SMTP_STAGE_EHLO, false, 1},
    {"TLS not now", OFFERING "454 no key\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO "STARTTLS\r\n" GROUP "{content}", "RFCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"TLS refused and gone", OFFERING "421 bye\r\n", EHLO "STARTTLS\r\n", "RB", "", 421, SMTP_STAGE_STARTTLS, false, 1},
    {"STARTTLS answered 354", OFFERING "354 go\r\n", EHLO "STARTTLS\r\n", "RB", "", 354, SMTP_STAGE_STARTTLS, false, 1},
    {"STARTTLS unanswered", OFFERING "220-go\r\n22", EHLO "STARTTLS\r\n", "R", "", 250, SMTP_STAGE_STARTTLS, false, 1},
    {"EHLO refused behind TLS", OFFERING "220 go\r\n550 no\r\n450 no\r\n", EHLO "STARTTLS\r\n{tls}" EHLO "HELO us.example\r\n", "RTB", "", 450, SMTP_STAGE_EHLO, false, 1},
    {"chunk, pipelined", CHUNKING "250 ok\r\n250 ok\r\n251 ok\r\n250 2.0.0 kept\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"chunk, one by one", CHUNKING_ALONE "250 ok\r\n550 no\r\n251 ok\r\n250 2.0.0 kept\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCD", "550 250+", 250, SMTP_STAGE_IDLE, false, 1},
    {"chunk: all refused, pipelined", CHUNKING "250 ok\r\n550 no\r\n450 no\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 kept\r\n",
     EHLO MAIL RCPTS "RSET\r\n" MAIL RCPTS "{chunk}", "RDCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 2},
    {"chunk: MAIL refused, pipelined", CHUNKING "550 no\r\n503 no\r\n503 no\r\n",
     EHLO MAIL RCPTS, "RD", "550 550", 503, SMTP_STAGE_IDLE, false, 1},
    {"chunk: MAIL refused, RCPT taken", CHUNKING "550 no\r\n250 ok\r\n250 ok\r\n",
     EHLO MAIL RCPTS, "RD", "550 550", 250, SMTP_STAGE_IDLE, false, 1},
    {"chunk refused", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n552 too big\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCD", "552 552", 552, SMTP_STAGE_IDLE, false, 1},
    {"BDAT is not known: by DATA, when what is left is undone", CHUNKING "250 ok\r\n550 no\r\n250 ok\r\n502 5.5.1 what\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n",
     EHLO MAIL RCPTS "{chunk}" "RSET\r\n" GROUP "{content}", "RCDCD", "250+ 250+", 250, SMTP_STAGE_IDLE, false, 2},
    {"BDAT is not known: nobody has an answer", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n500 what\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCD", "- -", 500, SMTP_STAGE_IDLE, false, 1},
    {"500 about the content", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n500 5.6.0 spam\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCD", "500 500", 500, SMTP_STAGE_IDLE, false, 1},
    {"500 behind DATA is an answer", PIPELINING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n500 what\r\n",
     EHLO GROUP "{content}", "RCD", "500 500", 500, SMTP_STAGE_IDLE, false, 1},
    {"chunk unanswered", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n25",
     EHLO MAIL RCPTS "{chunk}", "RC", "- -", 250, SMTP_STAGE_DOT, true, 1},
    {"354 for a chunk", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
     EHLO MAIL RCPTS "{chunk}", "RCB", "- -", 354, SMTP_STAGE_DOT, true, 1},
    {"an answer to a DATA that was not said", CHUNKING "250 ok\r\n550 no\r\n550 no\r\n550 no\r\n",
     EHLO MAIL RCPTS, "RDB", "550 550", 550, SMTP_STAGE_IDLE, false, 1},
    {"no RSET after a lone dot", PIPELINING "250 ok\r\n550 no\r\n450 no\r\n354 go\r\n554 nobody\r\n550 no\r\n503 no\r\n503 no\r\n503 no\r\n",
     EHLO GROUP ".\r\n" GROUP, "RDD", "550 550", 503, SMTP_STAGE_IDLE, false, 2},
    {"no RSET after a refused MAIL", PLAIN "550 no\r\n550 no\r\n", EHLO MAIL MAIL, "RDD", "550 550", 550, SMTP_STAGE_IDLE, false, 2},
};
/* clang-format on */

/* The same for questions: no content ever goes out. Results: o(wn answer) or m(ail's). */
/* clang-format off */
static const struct {
    const char *name;
    const char *server;
    const char *want_sent;
    const char *want_events;
    const char *want_results;
    const char *want_own;
    enum smtp_stage want_stage;
    int asks;
    int mails; /* behind them */
} QUESTIONS[] = {
    {"pipelined", PIPELINING "250 ok\r\n250 ok\r\n550 no\r\n250 reset\r\n",
     EHLO ASKED, "RD", "250+ 550", "oo", SMTP_STAGE_IDLE, 1, 0},
    {"one by one", PLAIN "250 ok\r\n450 later\r\n251 ok\r\n250 reset\r\n",
     EHLO ASKED, "RD", "450 251+", "oo", SMTP_STAGE_IDLE, 1, 0},
    {"CHUNKING changes nothing", CHUNKING "250 ok\r\n250 ok\r\n250 ok\r\n250 reset\r\n",
     EHLO ASKED, "RD", "250+ 250+", "oo", SMTP_STAGE_IDLE, 1, 0},
    {"MAIL refused, pipelined", PIPELINING "550 no\r\n503 no\r\n250 ok\r\n250 reset\r\n",
     EHLO ASKED, "RD", "550 550", "mm", SMTP_STAGE_IDLE, 1, 0},
    {"MAIL refused, one by one", PLAIN "550 no\r\n", EHLO MAIL, "RD", "550 550", "mm", SMTP_STAGE_IDLE, 1, 0},
    {"two questions", PIPELINING "250 ok\r\n250 ok\r\n550 no\r\n250 reset\r\n250 ok\r\n551 no\r\n250 ok\r\n250 reset\r\n",
     EHLO ASKED ASKED, "RDD", "551 250+", "oo", SMTP_STAGE_IDLE, 2, 0},
    {"a message behind a question", PIPELINING "250 ok\r\n550 no\r\n550 no\r\n250 reset\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 kept\r\n",
     EHLO ASKED GROUP "{content}", "RDCD", "250+ 550", "mo", SMTP_STAGE_IDLE, 1, 1},
    {"RSET refused: the answers stand, and it is said again before more", PIPELINING "250 ok\r\n250 ok\r\n550 no\r\n554 too many\r\n",
     EHLO ASKED "RSET\r\n" ASKED, "RD", "- -", "mm", SMTP_STAGE_RSET, 2, 0},
    {"RSET refused, no more is asked", PIPELINING "250 ok\r\n250 ok\r\n550 no\r\n554 too many\r\n",
     EHLO ASKED, "RD", "250+ 550", "oo", SMTP_STAGE_IDLE, 1, 0},
    {"RSET answered 354", PIPELINING "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n",
     EHLO ASKED, "RB", "250+ 550", "oo", SMTP_STAGE_RSET, 1, 0},
    {"RCPT answered 354", PIPELINING "250 ok\r\n354 go\r\n", EHLO ASKED, "RB", "- -", "mm", SMTP_STAGE_MAIL, 1, 0},
    {"421 for the second", PIPELINING "250 ok\r\n550 no\r\n421 bye\r\n",
     EHLO ASKED, "RB", "550 421", "om", SMTP_STAGE_MAIL, 1, 0},
};
/* clang-format on */

struct run {
    struct smtp_exchange *exchange;
    struct smtp_exchange_recipient recipients[2];
    struct strbuf sent, events;
    int asks_left, mails_left;
    bool is_secure;
};

static void start_mail(struct run *run)
{
    if (run->asks_left > 0) {
        run->asks_left--;
        smtp_exchange_ask(run->exchange, BYTES("<s@x>"), run->recipients, 2, &run->sent);
    } else if (run->mails_left > 0) {
        run->mails_left--;
        smtp_exchange_mail(run->exchange, BYTES("<s@x>"), run->recipients, 2, &run->sent);
    }
}

static void act(struct run *run, enum smtp_exchange_event event)
{
    switch (event) {
    case SMTP_EXCHANGE_WAIT:
        break;
    case SMTP_EXCHANGE_READY:
        strbuf_add_char(&run->events, 'R');
        if (smtp_exchange_extensions(run->exchange)->starttls && !run->is_secure) {
            smtp_exchange_start_tls(run->exchange, &run->sent);
        } else {
            start_mail(run);
        }
        break;
    case SMTP_EXCHANGE_START_TLS:
        strbuf_add_char(&run->events, 'T');
        strbuf_add_text(&run->sent, "{tls}");
        run->is_secure = true;
        smtp_exchange_secured(run->exchange, &run->sent);
        break;
    case SMTP_EXCHANGE_TLS_REFUSED:
        strbuf_add_char(&run->events, 'F');
        start_mail(run);
        break;
    case SMTP_EXCHANGE_READY_FOR_CONTENT:
        strbuf_add_char(&run->events, 'C');
        strbuf_add_text(&run->sent,
                        smtp_exchange_is_chunked(run->exchange) ? "{chunk}" : "{content}");
        smtp_exchange_content_sent(run->exchange);
        break;
    case SMTP_EXCHANGE_DONE:
        strbuf_add_char(&run->events, 'D');
        start_mail(run);
        break;
    case SMTP_EXCHANGE_BROKEN:
        strbuf_add_char(&run->events, 'B');
        break;
    }
}

static void feed(struct run *run, struct bytes piece)
{
    enum smtp_exchange_event event;
    size_t used;

    while (piece.len > 0) {
        event = smtp_exchange_input(run->exchange, piece, &used, &run->sent);
        piece = bytes_skip(piece, used);
        act(run, event);
        if (event == SMTP_EXCHANGE_BROKEN || event == SMTP_EXCHANGE_WAIT) {
            break; /* WAIT with octets left over shows in what follows */
        }
    }
}

static void start_run(struct run *run, int mails)
{
    *run =
        (struct run){.exchange = smtp_exchange_new(BYTES("us.example")), .mails_left = mails};
    run->recipients[0].path = BYTES("a@y");
    run->recipients[1].path = BYTES("b@y");
    run->recipients[1].parameters = BYTES(" NOTIFY=NEVER");
    strbuf_init(&run->sent, 100000);
    strbuf_init(&run->events, 1000);
}

static void end_run(struct run *run)
{
    strbuf_clear(&run->sent);
    strbuf_clear(&run->events);
    smtp_exchange_free(&run->exchange);
}

static void check_results(const char *name, const struct run *run, const char *want)
{
    struct strbuf results;

    strbuf_init(&results, 100);
    for (size_t i = 0; i < 2 && want[0] != '\0'; i++) {
        const struct smtp_exchange_recipient *recipient = &run->recipients[i];

        strbuf_add_text(&results, i > 0 ? " " : "");
        if (recipient->is_answered) {
            strbuf_add_u64(&results, recipient->reply.code);
        } else {
            strbuf_add_char(&results, '-');
        }
        strbuf_add_text(&results, recipient->is_accepted ? "+" : "");
    }
    CHECK_TEXT(name, strbuf_text(&results), want);
    strbuf_clear(&results);
}

static void check_case(size_t i, size_t step)
{
    struct run run;
    const char *name = CASES[i].name;
    struct bytes server = bytes_from_text(CASES[i].server);

    start_run(&run, CASES[i].mails);
    for (; server.len > 0; server = bytes_skip(server, step)) {
        size_t event_count = run.events.len;

        feed(&run, bytes_first(server, step));
        if (run.events.len > event_count && run.events.data[run.events.len - 1] == 'B') {
            break;
        }
    }
    CHECK_TEXT(name, strbuf_text(&run.sent), CASES[i].want_sent);
    CHECK_TEXT(name, strbuf_text(&run.events), CASES[i].want_events);
    check_results(name, &run, CASES[i].want_results);
    CHECK_INT(name, smtp_exchange_last(run.exchange)->code, CASES[i].want_last);
    CHECK_INT(name, smtp_exchange_stage(run.exchange), CASES[i].want_stage);
    CHECK_INT(name, smtp_exchange_is_in_doubt(run.exchange), CASES[i].want_doubt);
    end_run(&run);
}

static void check_question(size_t i, size_t step)
{
    const char *name = QUESTIONS[i].name;
    struct bytes server = bytes_from_text(QUESTIONS[i].server);
    struct run run;
    char own[3] = "";

    start_run(&run, QUESTIONS[i].mails);
    run.asks_left = QUESTIONS[i].asks;
    for (; server.len > 0; server = bytes_skip(server, step)) {
        feed(&run, bytes_first(server, step));
    }
    CHECK_TEXT(name, strbuf_text(&run.sent), QUESTIONS[i].want_sent);
    CHECK_TEXT(name, strbuf_text(&run.events), QUESTIONS[i].want_events);
    check_results(name, &run, QUESTIONS[i].want_results);
    for (size_t j = 0; j < 2; j++) {
        own[j] = run.recipients[j].is_own ? 'o' : 'm';
    }
    CHECK_TEXT(name, own, QUESTIONS[i].want_own);
    CHECK_INT(name, smtp_exchange_stage(run.exchange), QUESTIONS[i].want_stage);
    end_run(&run);
}

static void questions_bring_no_content(void **state)
{
    static const size_t STEPS[] = {1000000, 1, 2, 3, 5, 7};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(QUESTIONS); i++) {
        for (size_t step = 0; step < COUNT_OF(STEPS); step++) {
            check_question(i, STEPS[step]);
        }
    }
}

static void transactions_come_out_right_however_replies_are_cut(void **state)
{
    static const size_t STEPS[] = {1000000, 1, 2, 3, 5, 7, 11, 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        for (size_t step = 0; step < COUNT_OF(STEPS); step++) {
            check_case(i, STEPS[step]);
        }
    }
}

static void extensions_are_read(void **state)
{
    const struct smtp_extensions *extensions;
    struct run run;

    (void)state;
    start_run(&run, 0);
    feed(&run,
         BYTES("220 mx\r\n250-size 5\r\n250-pipelining\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
               "250-STARTTLS\r\n250-CHUNKING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
               "250-AUTH=LOGIN\r\n250-X\r\n250-limits rcptmax=7  RCPTDOMAINMAX=999999 NEW=a=b "
               "MAILMAX=20 \r\n250-RequireTLS\r\n250 SIZE 52428800\r\n"));
    extensions = smtp_exchange_extensions(run.exchange);
    CHECK_TRUE("all", extensions->esmtp && extensions->pipelining && extensions->size &&
                          extensions->eight_bit_mime && extensions->smtputf8 &&
                          extensions->starttls && extensions->chunking && extensions->dsn &&
                          extensions->enhanced_status_codes);
    CHECK_INT("size", extensions->size_limit, 52428800);
    CHECK_TRUE("REQUIRETLS", extensions->requiretls);
    CHECK_INT("RCPTMAX", extensions->rcpt_max, 7);
    CHECK_INT("RCPTDOMAINMAX", extensions->rcpt_domain_max, 999999);
    CHECK_INT("MAILMAX", extensions->mail_max, 20);
    end_run(&run);

    start_run(&run, 0);
    feed(&run, BYTES("220 mx\r\n250-PIPELINING\r\n250-SIZE\r\n250 PIPELININGS\r\n"));
    extensions = smtp_exchange_extensions(run.exchange);
    CHECK_TRUE("a server named as a keyword", !extensions->pipelining);
    CHECK_TRUE("no size told", extensions->size && extensions->size_limit == 0);
    end_run(&run);

    start_run(&run, 0);
    feed(&run, BYTES("220 mx\r\n500 what\r\n250-mx\r\n250 PIPELINING\r\n"));
    CHECK_TRUE("HELO has none", !smtp_exchange_extensions(run.exchange)->esmtp &&
                                    !smtp_exchange_extensions(run.exchange)->pipelining);
    end_run(&run);
}

static void a_server_that_leaves_while_idle(void **state)
{
    struct run run;

    (void)state;
    start_run(&run, 0);
    feed(&run, BYTES(PLAIN));
    feed(&run, BYTES("421 4.4.2 timeout\r\n"));
    CHECK_TEXT("events", strbuf_text(&run.events), "RB");
    CHECK_INT("reason", smtp_exchange_last(run.exchange)->code, 421);
    feed(&run, BYTES("250 ok\r\n"));
    CHECK_TEXT("stays broken", strbuf_text(&run.events), "RBB");
    end_run(&run);
}

static void a_server_that_speaks_during_the_content(void **state)
{
    static const struct {
        const char *offered;
        struct bytes said;
        enum smtp_exchange_event want;
        const char *want_results;
        bool want_refused_chunk;
    } SAID[] = {
        {PIPELINING, BYTES("250 kept\r\n"), SMTP_EXCHANGE_BROKEN, "- -", false},
        {PIPELINING, BYTES("552 too big\r\n"), SMTP_EXCHANGE_BROKEN, "552 552", false},
        {PIPELINING, BYTES("552-too\r\n552 big\r\n"), SMTP_EXCHANGE_BROKEN, "552 552", false},
        {PIPELINING, BYTES("451 later\r\n"), SMTP_EXCHANGE_BROKEN, "451 451", false},
        {PIPELINING, BYTES("421 bye\r\n"), SMTP_EXCHANGE_BROKEN, "421 421", false},
        {PIPELINING, BYTES("502 what\r\n"), SMTP_EXCHANGE_BROKEN, "502 502", false},
        {PIPELINING, BYTES("what\r\n"), SMTP_EXCHANGE_BROKEN, "- -", false},
        {PIPELINING, BYTES("552-too big\r\n"), SMTP_EXCHANGE_WAIT, "- -", false},
        {PIPELINING, BYTES("2"), SMTP_EXCHANGE_WAIT, "- -", false},
        {CHUNKING, BYTES("502 what\r\n"), SMTP_EXCHANGE_BROKEN, "- -", true},
        {CHUNKING, BYTES("552 too big\r\n"), SMTP_EXCHANGE_BROKEN, "552 552", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(SAID); i++) {
        struct run run;
        size_t used;

        start_run(&run, 1);
        feed(&run, bytes_from_text(SAID[i].offered));
        feed(&run, BYTES("250 ok\r\n250 ok\r\n"));
        if (!smtp_exchange_is_chunked(run.exchange)) {
            feed(&run, BYTES("250 ok\r\n"));
        }
        CHECK_INT("go",
                  smtp_exchange_input(run.exchange,
                                      smtp_exchange_is_chunked(run.exchange)
                                          ? BYTES("250 ok\r\n")
                                          : BYTES("354 go\r\n"),
                                      &used, &run.sent),
                  SMTP_EXCHANGE_READY_FOR_CONTENT);
        CHECK_INT("stage", smtp_exchange_stage(run.exchange), SMTP_STAGE_CONTENT);
        CHECK_INT("event", smtp_exchange_input(run.exchange, SAID[i].said, &used, &run.sent),
                  SAID[i].want);
        CHECK_INT("all is used", used, SAID[i].said.len);
        CHECK_INT("chunk", smtp_exchange_has_refused_chunk(run.exchange),
                  SAID[i].want_refused_chunk);
        CHECK_TRUE("no doubt before the dot", !smtp_exchange_is_in_doubt(run.exchange));
        check_results("said during the content", &run, SAID[i].want_results);
        end_run(&run);
    }
}

static void a_reply_without_end_breaks_the_connection(void **state)
{
    struct run run;
    int lines = 0;

    (void)state;
    start_run(&run, 0);
    for (; lines < 1000 && run.events.len == 0; lines++) {
        feed(&run, BYTES("220-x\r\n"));
    }
    CHECK_TEXT("lines", strbuf_text(&run.events), "B");
    CHECK_TRUE("in time", lines <= SMTP_REPLY_LINES + 1);
    end_run(&run);

    start_run(&run, 0);
    feed(&run, BYTES("220 "));
    for (int i = 0; i < SMTP_REPLY_LINE_LIMIT && run.events.len == 0; i++) {
        feed(&run, BYTES("x"));
    }
    CHECK_TEXT("one line", strbuf_text(&run.events), "B");
    end_run(&run);
}

static void a_server_that_speaks_during_the_handshake(void **state)
{
    struct smtp_exchange *exchange = smtp_exchange_new(BYTES("us.example"));
    struct bytes server = BYTES(OFFERING "220 go\r\n250 injected\r\n");
    struct strbuf sent;
    size_t used;

    (void)state;
    strbuf_init(&sent, 1000);
    CHECK_INT("ready", smtp_exchange_input(exchange, server, &used, &sent),
              SMTP_EXCHANGE_READY);
    server = bytes_skip(server, used);
    smtp_exchange_start_tls(exchange, &sent);
    CHECK_INT("go", smtp_exchange_input(exchange, server, &used, &sent),
              SMTP_EXCHANGE_START_TLS);
    server = bytes_skip(server, used);
    CHECK_BYTES("left for the caller to see", server, BYTES("250 injected\r\n"));
    CHECK_INT("never taken", smtp_exchange_input(exchange, server, &used, &sent),
              SMTP_EXCHANGE_BROKEN);
    smtp_exchange_free(&exchange);
    strbuf_clear(&sent);
}

static void quit_ends_it(void **state)
{
    struct run run;

    (void)state;
    start_run(&run, 0);
    feed(&run, BYTES(PLAIN));
    smtp_exchange_quit(run.exchange, &run.sent);
    CHECK_TEXT("sent", strbuf_text(&run.sent), EHLO "QUIT\r\n");
    CHECK_TEXT("stage", smtp_stage_text(smtp_exchange_stage(run.exchange)), "quit");
    feed(&run, BYTES("221 bye\r\n"));
    CHECK_TEXT("close", strbuf_text(&run.events), "RB");
    end_run(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_come_out_right_however_replies_are_cut),
        cmocka_unit_test(questions_bring_no_content),
        cmocka_unit_test(extensions_are_read),
        cmocka_unit_test(a_server_that_leaves_while_idle),
        cmocka_unit_test(a_server_that_speaks_during_the_content),
        cmocka_unit_test(a_reply_without_end_breaks_the_connection),
        cmocka_unit_test(a_server_that_speaks_during_the_handshake),
        cmocka_unit_test(quit_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
