#include "protocol/rspamd_reply.h"

#include <jansson.h>

/* ---- the question ------------------------------------------------------------------------- */

static void add_field(struct strbuf *out, const char *name, struct bytes value)
{
    strbuf_add_text(out, name);
    strbuf_add_text(out, ": ");
    for (size_t i = 0; i < value.len; i++) {
        unsigned char octet = (unsigned char)value.data[i];

        strbuf_add_char(out, octet < ' ' || octet == 0x7f ? '?' : (char)octet);
    }
    strbuf_add_text(out, "\r\n");
}

static void add_field_if_any(struct strbuf *out, const char *name, struct bytes value)
{
    if (value.len > 0) {
        add_field(out, name, value);
    }
}

void rspamd_question_add(struct strbuf *out, const struct rspamd_question *question)
{
    strbuf_add_text(out, "POST /checkv2 HTTP/1.1\r\n"
                         "Host: rspamd\r\n"
                         "User-Agent: postilion\r\n"
                         "Connection: close\r\n"
                         "Content-Length: ");
    strbuf_add_u64(out, question->size);
    strbuf_add_text(out, "\r\n");
    add_field(out, "From", question->sender.len > 0 ? question->sender : BYTES("<>"));
    for (size_t i = 0; i < question->recipient_count; i++) {
        add_field(out, "Rcpt", question->recipients[i]);
    }
    add_field_if_any(out, "IP", question->ip);
    add_field_if_any(out, "Helo", question->helo);
    add_field_if_any(out, "Hostname", question->client_name);
    add_field_if_any(out, "Queue-Id", question->id);
    add_field_if_any(out, "MTA-Name", question->our_name);
    add_field_if_any(out, "TLS-Version", question->tls_version);
    strbuf_add_text(out, "\r\n");
}

/* ---- the answer --------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum rspamd_action action;
} ACTIONS[] = {
    {"no action", RSPAMD_NO_ACTION},   {"greylist", RSPAMD_GREYLIST},
    {"add header", RSPAMD_ADD_HEADER}, {"rewrite subject", RSPAMD_REWRITE_SUBJECT},
    {"quarantine", RSPAMD_QUARANTINE}, {"soft reject", RSPAMD_SOFT_REJECT},
    {"reject", RSPAMD_REJECT},         {"discard", RSPAMD_REJECT},
};

enum { ACTION_COUNT = sizeof ACTIONS / sizeof ACTIONS[0] };

const char *rspamd_action_text(enum rspamd_action action)
{
    switch (action) {
    case RSPAMD_NO_ACTION:
        return "no-action";
    case RSPAMD_GREYLIST:
        return "greylist";
    case RSPAMD_ADD_HEADER:
        return "add-header";
    case RSPAMD_REWRITE_SUBJECT:
        return "rewrite-subject";
    case RSPAMD_QUARANTINE:
        return "quarantine";
    case RSPAMD_SOFT_REJECT:
        return "soft-reject";
    case RSPAMD_REJECT:
        return "reject";
    }
    return "";
}

static bool read_action(const json_t *value, enum rspamd_action *action)
{
    const char *text = json_string_value(value);

    for (size_t i = 0; text != NULL && i < ACTION_COUNT; i++) {
        if (strcmp(text, ACTIONS[i].text) == 0) {
            *action = ACTIONS[i].action;
            return true;
        }
    }
    return false;
}

/* As numbers of any size may stand there. */
static double clamp(double score)
{
    if (score > 99999.0) {
        return 99999.0;
    }
    return score < -99999.0 ? -99999.0 : score;
}

static struct bytes write_score(const json_t *root, struct arena *arena)
{
    const json_t *score = json_object_get(root, "score");
    const json_t *required = json_object_get(root, "required_score");
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, RSPAMD_SCORE_LIMIT);
    if (json_is_number(score)) {
        strbuf_addf(&text, "%.2f", clamp(json_number_value(score)));
        if (json_is_number(required)) {
            strbuf_addf(&text, "/%.2f", clamp(json_number_value(required)));
        }
    }
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static void add_name(struct strbuf *out, const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        strbuf_add_char(out, *at <= ' ' || *at > '~' || *at == ',' ? '?' : *at);
    }
}

static struct bytes write_symbols(json_t *symbols, struct arena *arena)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, RSPAMD_SYMBOLS_LIMIT);
    for (void *at = json_object_iter(symbols); at != NULL;
         at = json_object_iter_next(symbols, at)) {
        size_t before = text.len;

        if (before > 0) {
            strbuf_add_char(&text, ',');
        }
        add_name(&text, json_object_iter_key(at));
        if (text.overflowed) {
            strbuf_truncate(&text, before);
            break;
        }
    }
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

bool rspamd_reply_read(struct bytes json, struct arena *arena, struct rspamd_reply *reply)
{
    json_t *root = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
    bool is_read;

    *reply = (struct rspamd_reply){.action = RSPAMD_NO_ACTION};
    is_read = read_action(json_object_get(root, "action"), &reply->action);
    if (is_read) {
        reply->score = write_score(root, arena);
        reply->symbols = write_symbols(json_object_get(root, "symbols"), arena);
    }
    json_decref(root);
    return is_read;
}
