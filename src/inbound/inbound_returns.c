/*
 * How often an address we signed may be used, in the order it happens:
 *
 *   1 inbound_returns_count  the content is whole and good: each such recipient is counted ...
 *   2 on_rate_counted        ... within this hour, which is all there is to it for reply addresses ...
 *   3 on_use_counted         ... and in all
 *
 * A valid address proves that we made it, and nothing about who has got hold of it since. Counted is
 * what would be sent on, so that asking whether an address exists costs it nothing; in the state store,
 * so that a restart forgives nothing. What cannot be counted is let in: a bounce that is lost is worse.
 */
#include "inbound_session.h"

#include "io/clock.h"

enum { KEY_LIMIT = 2048 };

#define HOUR_MS (INT64_C(3600) * 1000)

static bool count_next(struct inbound_session *session);

/* The same for all ways to write one address: any case, and any of the separators SRS knows. */
static void add_key(struct strbuf *key, const char *kind, struct bytes address)
{
    bool is_before_separator = true;

    strbuf_add_text(key, kind);
    for (size_t i = 0; i < address.len; i++) {
        char octet = (char)ascii_lower((unsigned char)address.data[i]);
        if (is_before_separator && (octet == '+' || octet == '-' || octet == '=')) {
            octet = '=';
            is_before_separator = false;
        }
        strbuf_add_char(key, octet);
    }
}

static void count_use(struct inbound_session *session, const char *kind, uint64_t limit,
                      int64_t lasts_ms,
                      void (*done)(struct inbound_session *session, enum state_status status,
                                   uint64_t count))
{
    struct inbound_transaction *transaction = &session->transaction;
    struct strbuf key;

    strbuf_init(&key, KEY_LIMIT);
    add_key(&key, kind, transaction->recipients[transaction->counted].route.alias);
    inbound_count_use(session, strbuf_bytes(&key), limit, clock_unix_ms() + lasts_ms, done);
    strbuf_clear(&key);
}

static void stop(struct inbound_session *session, enum inbound_return_verdict verdict)
{
    session->wait = INBOUND_WAITS_NOTHING;
    inbound_content_counted(session, verdict);
    inbound_session_go_on(session);
}

static void go_on(struct inbound_session *session)
{
    if (!count_next(session)) {
        stop(session, INBOUND_RETURN_FINE);
    }
}

static void on_use_counted(struct inbound_session *session, enum state_status status,
                           uint64_t count)
{
    if (status == STATE_OK && count > session->options->return_uses) {
        stop(session, INBOUND_RETURN_USED_UP);
        return;
    }
    session->transaction.counted++;
    session->transaction.is_rate_counted = false;
    go_on(session);
}

static void on_rate_counted(struct inbound_session *session, enum state_status status,
                            uint64_t count)
{
    if (status == STATE_OK && count > session->options->return_rate) {
        stop(session, INBOUND_RETURN_TOO_OFTEN);
        return;
    }
    session->transaction.is_rate_counted = true;
    go_on(session);
}

/* False: all are counted. */
static bool count_next(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    const struct inbound_options *options = session->options;
    int64_t life_ms = ((int64_t)options->routes.srs->max_age_days + 1) * 24 * HOUR_MS;

    for (; transaction->counted < transaction->recipient_count; transaction->counted++) {
        enum route_kind kind = transaction->recipients[transaction->counted].route.kind;
        bool is_limited = kind == ROUTE_RETURN || kind == ROUTE_REPLY;

        if (is_limited && !transaction->is_rate_counted && options->return_rate > 0) {
            count_use(session, "hour ", options->return_rate, HOUR_MS, on_rate_counted);
            return true;
        }
        if (kind == ROUTE_RETURN && options->return_uses > 0) {
            count_use(session, "uses ", options->return_uses, life_ms, on_use_counted);
            return true;
        }
        transaction->is_rate_counted = false;
    }
    return false;
}

bool inbound_returns_count(struct inbound_session *session)
{
    if (!inbound_has_state(session) || !count_next(session)) {
        return false;
    }
    inbound_session_begin_wait(session, INBOUND_WAITS_STORE);
    return true;
}
