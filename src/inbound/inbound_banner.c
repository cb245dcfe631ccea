/*
 * From the connection to the greeting, in the order it happens:
 *
 *   1 inbound_banner_begin  greets, or waits as the listener says
 *   2 inbound_banner_input  what comes before the greeting comes from no mail server
 *   3 inbound_banner_end    the time is over: the greeting
 *
 * It begins when it is known who the client is and TLS, where that comes first, is there.
 */
#include "inbound_session.h"

void inbound_banner_begin(struct inbound_session *session)
{
    if (session->banner_wait_ms == 0 || inbound_standing_is_exempt(session)) {
        inbound_session_greet(session);
        return;
    }
    inbound_session_begin_wait(session, INBOUND_WAITS_BANNER);
    loop_timer_set(session->timer, session->banner_wait_ms);
    inbound_banner_input(session); /* it may be there already */
}

static void log_early(const struct inbound_session *session)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_INFO, "early-talker");
    log_number(&line, "octets", (int64_t)stream_input(session->stream).len);
    log_end(&line);
}

void inbound_banner_input(struct inbound_session *session)
{
    static const char early[] = "you spoke before our greeting; wait for the 220 line first";

    if (session->has_talked_early || stream_input(session->stream).len == 0) {
        return;
    }
    switch (session->options->clients.rules.of[CLIENT_EARLY_TALKER].action) {
    case CLIENT_OFF:
        break;
    case CLIENT_TAG:
    case CLIENT_POINTS:
        log_early(session);
        session->has_talked_early = true;
        break;
    case CLIENT_DEFER:
        log_early(session);
        inbound_session_bye(session, 421, "4.5.1", early, "early-talker");
        break;
    case CLIENT_REFUSE:
        log_early(session);
        inbound_session_bye(session, 554, "5.5.1", early, "early-talker");
        break;
    }
}

void inbound_banner_end(struct inbound_session *session)
{
    session->wait = INBOUND_WAITS_NOTHING;
    inbound_session_greet(session);
    inbound_session_go_on(session);
}
