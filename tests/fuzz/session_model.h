/*
 * session_model - what a server of SMTP owes a client that has sent these octets: the reference that
 * fuzz_inbound_session holds the sessions of room inbound against.
 *
 * Input   all octets of the client, and the codes of all replies, the banner first.
 * Checks  each command is answered once and in order; nothing is answered that was not said; who is
 *         granted something has said before what must come before; content ends where RFC 5321
 *         §4.1.1.4 says and nowhere else, and what came out is that content; when the session has to
 *         end, nothing follows.
 * Shape   own code from line to dot: nothing of room protocol is used here.
 */
#ifndef TESTS_FUZZ_SESSION_MODEL_H
#define TESTS_FUZZ_SESSION_MODEL_H

#include "base/strbuf.h"
#include "queue/queue.h"

#include <stdlib.h>

enum {
    MODEL_LINE = 2048,
    MODEL_MESSAGE = 2048, /* octets of content that are accepted */
    MODEL_HEADER = 1024,
    MODEL_EXCESS = 4, /* times that are read */
    MODEL_ERRORS = 10,
    MODEL_RECIPIENTS = 3,
    MODEL_HOPS = 3,
    MODEL_COMMANDS = 1000 + 2 * MODEL_RECIPIENTS,
    MODEL_SUBMISSIONS = 4096,
};

enum model_phase {
    MODEL_CONNECTED,
    MODEL_GREETED,
    MODEL_SENDER,
    MODEL_RECIPIENT,
    MODEL_CHUNKS
};

struct model_submission {
    struct strbuf content;
    enum queue_verdict verdict;
};

struct model {
    /* in */
    struct bytes input; /* the rest of it */
    const unsigned *codes;
    size_t code_count;
    const struct model_submission *submissions;
    size_t submission_count;
    bool has_ended;  /* the server closed */
    bool is_trusted; /* XCLIENT is believed */
    bool is_judging; /* DNS is asked who sent it: refusals are not foreseen */
    /* private */
    size_t next_code, next_submission;
    enum model_phase phase;
    bool is_esmtp, must_end;
    bool is_usual_sender; /* one for whom every alias works */
    unsigned errors, commands, recipients, discarded;
    struct strbuf content; /* chunks so far */
};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* ---- replies ---- */

/* The reply that is owed now. */
static unsigned take_code(struct model *model)
{
    require(model->next_code < model->code_count);
    return model->codes[model->next_code++];
}

/* It was counted; too many errors end the session with one reply more. */
static void count_error(struct model *model, unsigned code)
{
    if (code >= 500 && ++model->errors >= MODEL_ERRORS) {
        require(take_code(model) == 421);
        model->must_end = true;
    }
}

static unsigned answered(struct model *model)
{
    unsigned code = take_code(model);

    count_error(model, code);
    return code;
}

static void answered_by(struct model *model, unsigned want)
{
    require(answered(model) == want);
}

static void last_words(struct model *model, unsigned want)
{
    require(take_code(model) == want);
    model->must_end = true;
}

static bool is_one_of(unsigned code, const unsigned *codes)
{
    while (*codes != 0 && *codes != code) {
        codes++;
    }
    return *codes != 0;
}

/* ---- content ---- */

/* A CR or LF that is not part of CRLF; a CR at the end may still get its LF. */
static bool has_bare(struct bytes text, bool is_whole)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_pair = text.data[i] == '\r' && i + 1 < text.len && text.data[i + 1] == '\n';

        if (is_pair) {
            i++;
        } else if (text.data[i] == '\n' ||
                   (text.data[i] == '\r' && (is_whole || i + 1 < text.len))) {
            return true;
        }
    }
    return false;
}

/* A dot that stands at the start of a line for whoever throws NULs away. */
static bool has_hidden_dot(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t at = i;

        if (i > 0 && !(i >= 2 && text.data[i - 2] == '\r' && text.data[i - 1] == '\n')) {
            continue;
        }
        while (at < text.len && text.data[at] == '\0') {
            at++;
        }
        if (at > i && at < text.len && text.data[at] == '.') {
            return true;
        }
    }
    return false;
}

static bool may_be_looping(struct bytes content)
{
    unsigned fields = 0;

    for (size_t i = 0; i < content.len; i++) {
        fields += bytes_starts_with_nocase(bytes_skip(content, i), BYTES("Received"));
    }
    return fields > MODEL_HOPS;
}

static bool may_be_too_large(struct bytes content)
{
    size_t end = bytes_find_part(content, BYTES("\r\n\r\n"));

    return content.len > MODEL_MESSAGE || (end > MODEL_HEADER && content.len > MODEL_HEADER);
}

static void end_transaction(struct model *model)
{
    model->phase = MODEL_GREETED;
    model->recipients = model->discarded = 0;
    strbuf_reset(&model->content);
}

static unsigned code_of(enum queue_verdict verdict)
{
    switch (verdict) {
    case QUEUE_SAFE:
    case QUEUE_DELIVERED:
        return 250;
    case QUEUE_REFUSED:
        return 550;
    case QUEUE_FULL:
        return 452;
    case QUEUE_FAILED:
        return 451;
    }
    abort();
}

/* Is this what came out next, and was it answered so? */
static bool has_come_out(const struct model *model, struct bytes content, unsigned code)
{
    const struct model_submission *submission = &model->submissions[model->next_submission];

    return model->next_submission < model->submission_count &&
           code == code_of(submission->verdict) &&
           bytes_equal(strbuf_bytes(&submission->content), content);
}

/* The content is whole: its one answer, and its one way out. */
static void end_content(struct model *model, struct bytes content)
{
    unsigned code = take_code(model);

    if (has_bare(content, true) || has_hidden_dot(content)) {
        require(code == 550);
        count_error(model, code);
        model->must_end = true;
        return;
    }
    count_error(model, code);
    if (content.len > MODEL_MESSAGE) {
        require(code == 552);
    } else if (code == 552) {
        require(may_be_too_large(content));
    } else if (code == 554) {
        require(may_be_looping(content) || model->is_judging);
    } else if (model->discarded == model->recipients && code == 250) {
        model->commands = 0;
    } else if (has_come_out(model, content, code)) {
        model->next_submission++;
        model->commands = code == 250 ? 0 : model->commands;
    } else {
        require(model->is_judging && (code == 550 || code == 451));
    }
    end_transaction(model);
}

/* From behind the 354. The end is searched in the octets as they came, and only then dots go. */
static void read_content(struct model *model)
{
    struct bytes raw = model->input;
    size_t end = bytes_starts_with(raw, BYTES(".\r\n"))
                     ? 0
                     : bytes_find_part(raw, BYTES("\r\n.\r\n")) + 2;
    bool is_whole = end <= raw.len;
    struct strbuf content;

    raw = bytes_first(raw, end);
    strbuf_init(&content, SIZE_MAX / 2);
    for (size_t i = 0; i < raw.len; i++) {
        bool is_start =
            i == 0 || (i >= 2 && raw.data[i - 2] == '\r' && raw.data[i - 1] == '\n');

        if (!is_start || raw.data[i] != '.') {
            strbuf_add_char(&content, raw.data[i]);
        }
    }
    model->input = is_whole ? bytes_skip(model->input, end + 3) : BYTES("");
    if (content.len > MODEL_EXCESS * MODEL_MESSAGE && model->has_ended &&
        model->next_code + 1 == model->code_count) {
        last_words(model, 552); /* it was not read to its end */
    } else if (is_whole) {
        end_content(model, strbuf_bytes(&content));
    }
    strbuf_clear(&content);
}

/* ---- BDAT ---- */

static bool read_number(struct bytes text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');

        if (text.data[i] < '0' || text.data[i] > '9' || *number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    return text.len > 0;
}

static void end_chunk(struct model *model, bool is_last)
{
    struct strbuf *content = &model->content;
    unsigned code;

    if (is_last) {
        if (content->len > 0 && !has_bare(strbuf_bytes(content), true) &&
            content->data[content->len - 1] != '\n') {
            strbuf_add_text(content, "\r\n");
        }
        end_content(model, strbuf_bytes(content));
        return;
    }
    code = answered(model);
    if (has_bare(strbuf_bytes(content), false) || has_hidden_dot(strbuf_bytes(content))) {
        require(code == 550);
        model->must_end = true;
    } else if (code == 552) {
        require(may_be_too_large(strbuf_bytes(content)));
        end_transaction(model);
    } else {
        require(code == 250);
    }
}

static void read_chunk(struct model *model, struct bytes argument)
{
    struct bytes rest = argument, size_text = bytes_cut(&rest, ' '), octets;
    bool may_come =
        (model->phase == MODEL_RECIPIENT || model->phase == MODEL_CHUNKS) && model->is_esmtp;
    uint64_t size;
    bool is_last;

    rest = bytes_trim(rest);
    is_last = bytes_equal_nocase(rest, BYTES("LAST"));
    if (!read_number(size_text, &size) || (rest.len > 0 && !is_last)) {
        last_words(model, 501);
        return;
    }
    if (size > MODEL_EXCESS * MODEL_MESSAGE ||
        size + model->content.len > MODEL_EXCESS * MODEL_MESSAGE) {
        last_words(model, 552);
        return;
    }
    if (may_come) {
        model->phase = MODEL_CHUNKS;
    }
    octets = bytes_first(model->input, (size_t)size);
    model->input = bytes_skip(model->input, (size_t)size);
    if (octets.len < size) {
        return; /* the rest never came: there is no answer */
    }
    if (!may_come) {
        unsigned code = answered(model);
        require(code == 503 || (code == 554 && model->phase == MODEL_SENDER));
        return;
    }
    model->commands -= size >= 512;
    strbuf_add(&model->content, octets);
    end_chunk(model, is_last);
}

/* ---- commands ---- */

static bool is_hello_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static void say_hello(struct model *model, struct bytes argument, bool is_esmtp)
{
    if (!is_hello_name(argument)) {
        answered_by(model, 501);
        return;
    }
    answered_by(model, 250);
    end_transaction(model);
    model->is_esmtp = is_esmtp;
}

static void say_mail(struct model *model, struct bytes line)
{
    static const unsigned BEFORE[] = {501, 503, 553, 0}, HERE[] = {250, 501, 552, 553, 555, 0};
    unsigned code = answered(model);
    bool is_here = model->phase == MODEL_GREETED;
    bool is_usual = bytes_equal(line, BYTES("MAIL FROM:<s@far.test>"));

    require(is_one_of(code, is_here ? HERE : BEFORE));
    if (is_usual) {
        require(code == (is_here ? 250 : 503));
    }
    if (code == 250) {
        model->is_usual_sender = is_usual;
        end_transaction(model);
        model->phase = MODEL_SENDER;
    }
}

static bool is_for_nobody(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (bytes_starts_with_nocase(bytes_skip(line, i), BYTES("void"))) {
            return true;
        }
    }
    return false;
}

static void say_rcpt(struct model *model, struct bytes line)
{
    static const unsigned BEFORE[] = {501, 503, 553, 0},
                          HERE[] = {250, 450, 451, 452, 501, 550, 553, 555, 0};
    bool is_here = model->phase == MODEL_SENDER || model->phase == MODEL_RECIPIENT;
    unsigned code = answered(model);

    require(is_one_of(code, is_here ? HERE : BEFORE));
    if (bytes_equal(line, BYTES("RCPT TO:<info@own.test>")) && !model->is_judging &&
        (!is_here || model->is_usual_sender)) {
        require(code == (!is_here ? 503 : model->recipients == MODEL_RECIPIENTS ? 452 : 250));
    }
    if (code == 250) {
        require(model->recipients < MODEL_RECIPIENTS);
        model->phase = MODEL_RECIPIENT;
        model->recipients++;
        model->discarded += is_for_nobody(line);
    }
}

static void say_data(struct model *model)
{
    if (model->phase == MODEL_RECIPIENT) {
        answered_by(model, 354);
        read_content(model);
    } else {
        answered_by(model, model->phase == MODEL_SENDER ? 554 : 503);
    }
}

static void say_xclient(struct model *model)
{
    static const unsigned HERE[] = {220, 501, 0};
    unsigned code = answered(model);

    if (model->phase != MODEL_CONNECTED && model->phase != MODEL_GREETED) {
        require(code == 503);
    } else if (!model->is_trusted) {
        require(code == 550);
    } else {
        require(is_one_of(code, HERE));
        if (code == 220) {
            end_transaction(model);
            model->phase = MODEL_CONNECTED;
            model->is_esmtp = false;
        }
    }
}

/* Verbs with the same answer whatever came before; `bare`: with no argument, or 0 where it may have one
 * or none. */
static bool say_plain(struct model *model, struct bytes verb, struct bytes argument)
{
    static const struct {
        struct bytes verb;
        unsigned bare, with;
    } PLAIN[] = {
        {BYTES("NOOP"), 250, 250}, {BYTES("HELP"), 214, 214},   {BYTES("VRFY"), 501, 252},
        {BYTES("EXPN"), 501, 502}, {BYTES("RSET"), 250, 501},   {BYTES("QUIT"), 221, 501},
        {BYTES("DATA"), 0, 501},   {BYTES("STARTTLS"), 0, 501}, {BYTES("XCLIENT"), 501, 0},
    };

    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++) {
        unsigned code = argument.len > 0 ? PLAIN[i].with : PLAIN[i].bare;

        if (bytes_equal_nocase(verb, PLAIN[i].verb) && code != 0) {
            answered_by(model, code);
            model->must_end = model->must_end || code == 221;
            if (code == 250 && bytes_equal_nocase(verb, BYTES("RSET")) &&
                model->phase > MODEL_GREETED) {
                end_transaction(model);
            }
            return true;
        }
    }
    return false;
}

static void say(struct model *model, struct bytes line)
{
    struct bytes rest = line, verb;

    while (rest.len > 0 &&
           (rest.data[rest.len - 1] == ' ' || rest.data[rest.len - 1] == '\t')) {
        rest.len--;
    }
    verb = bytes_cut(&rest, ' ');
    while (rest.len > 0 && rest.data[0] == ' ') {
        rest = bytes_skip(rest, 1);
    }
    if (++model->commands > MODEL_COMMANDS) {
        last_words(model, 421);
    } else if (say_plain(model, verb, rest)) {
        return;
    } else if (bytes_equal_nocase(verb, BYTES("HELO")) ||
               bytes_equal_nocase(verb, BYTES("EHLO"))) {
        say_hello(model, rest, ascii_lower((unsigned char)verb.data[0]) == 'e');
    } else if (bytes_equal_nocase(verb, BYTES("MAIL"))) {
        say_mail(model, line);
    } else if (bytes_equal_nocase(verb, BYTES("RCPT"))) {
        say_rcpt(model, line);
    } else if (bytes_equal_nocase(verb, BYTES("DATA"))) {
        say_data(model);
    } else if (bytes_equal_nocase(verb, BYTES("BDAT"))) {
        read_chunk(model, rest);
    } else if (bytes_equal_nocase(verb, BYTES("XCLIENT"))) {
        say_xclient(model);
    } else if (bytes_equal_nocase(verb, BYTES("STARTTLS"))) {
        answered_by(model, model->phase == MODEL_GREETED ? 502 : 503);
    } else {
        answered_by(model, 500);
    }
}

/* ---- lines ---- */

static bool begins_like_chunk(struct bytes input)
{
    return bytes_starts_with_nocase(input, BYTES("BDAT")) &&
           (input.len == 4 || !ascii_is_alnum((unsigned char)input.data[4]));
}

/* False: it has not come whole. */
static bool read_line(struct model *model)
{
    struct bytes input = model->input;
    size_t end = bytes_find(input, '\n');
    struct bytes line = bytes_first(input, end == 0 ? 0 : end - 1);
    bool is_too_long = end >= MODEL_LINE;

    if (end == input.len && input.len < MODEL_LINE) {
        return false;
    }
    model->input = bytes_skip(input, end < input.len ? end + 1 : end);
    if (!is_too_long && end > 0 && input.data[end - 1] == '\r' &&
        bytes_find(line, '\r') == line.len && bytes_find(line, '\0') == line.len) {
        say(model, line);
    } else if (begins_like_chunk(input)) {
        last_words(model, 501);
    } else {
        answered_by(model, 500);
    }
    return true;
}

static void model_check(struct model *model)
{
    strbuf_init(&model->content, SIZE_MAX / 2);
    require(take_code(model) == 220);
    while (!model->must_end && model->input.len > 0 && read_line(model)) {
    }
    require(model->next_code == model->code_count);
    require(model->next_submission == model->submission_count);
    require(model->must_end == model->has_ended);
    strbuf_clear(&model->content);
}

#endif
