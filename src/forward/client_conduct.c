#include "forward/client_conduct.h"

enum { FIRST_DELAY_MS = 500, DOUBLED_MOST = 20 };

/* The words of forward/recipient_route and recipient_check. What was signed here once and is too old now is nobody's
 * fault. */
static const struct {
    const char *why;
    enum client_offence offence;
} offences[] = {
    {"unknown-recipient", CLIENT_UNKNOWN_RECIPIENT},
    {"recipient-unknown-there", CLIENT_UNKNOWN_RECIPIENT},
    {"srs-forged", CLIENT_BAD_SIGNATURE},
    {"srs-future", CLIENT_BAD_SIGNATURE},
    {"srs-malformed", CLIENT_BAD_SIGNATURE},
    {"reply-forged", CLIENT_BAD_SIGNATURE},
    {"reply-future", CLIENT_BAD_SIGNATURE},
    {"reply-malformed", CLIENT_BAD_SIGNATURE},
};

enum client_offence client_conduct_offence(const struct decision *decision)
{
    for (size_t i = 0; i < sizeof offences / sizeof offences[0]; i++) {
        if (strcmp(decision->why, offences[i].why) == 0) {
            return offences[i].offence;
        }
    }
    return CLIENT_NO_OFFENCE;
}

static uint64_t delay_after(uint64_t slow, uint64_t most_ms)
{
    uint64_t doubled = slow < DOUBLED_MOST ? slow : DOUBLED_MOST;
    uint64_t delay_ms = (uint64_t)FIRST_DELAY_MS << (doubled - 1);

    return delay_ms < most_ms ? delay_ms : most_ms;
}

uint64_t client_conduct_blame(struct client_conduct *conduct,
                              const struct client_limits *limits, enum client_offence offence,
                              uint64_t open, bool *is_over)
{
    bool is_unknown = offence == CLIENT_UNKNOWN_RECIPIENT;
    uint64_t budget = is_unknown ? limits->unknown_recipients : limits->bad_signatures;
    uint64_t credit = is_unknown ? conduct->accepted + open : 0;
    uint64_t count;

    *is_over = false;
    if (offence == CLIENT_NO_OFFENCE || budget == 0) {
        return 0;
    }
    count = ++conduct->offences[offence];
    *is_over = count >= budget + credit;
    return count <= budget / 4 + credit
               ? 0
               : delay_after(count - budget / 4 - credit, limits->delay_ms);
}

struct decision client_conduct_end(enum client_offence offence)
{
    bool is_unknown = offence == CLIENT_UNKNOWN_RECIPIENT;

    return (struct decision){
        .disposition = DECISION_DEFER,
        .code = 421,
        .enhanced = "4.7.0",
        .text = is_unknown ? BYTES("too many unknown recipients, closing connection")
                           : BYTES("too many addresses that were not signed here, closing "
                                   "connection"),
        .why = is_unknown ? "unknown-recipients" : "bad-signatures",
    };
}
