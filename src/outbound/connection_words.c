#include "outbound/connection_words.h"

#include <stdlib.h>

#define THEM "the operator of the next hop"
#define YOU "you"
#define BOTH "you or your provider first, then the operator of the next hop"

static struct connection_words words(const char *what, const char *means, const char *who)
{
    return (struct connection_words){what, means, who};
}

static struct connection_words of_connect(enum stream_end end)
{
    switch (end) {
    case STREAM_END_REFUSED:
        return words("connection refused",
                     "the host is up, but nothing listens on that port: its mail server is "
                     "stopped, the port is "
                     "wrong, or a firewall answers for it",
                     THEM);
    case STREAM_END_RESET:
    case STREAM_END_EOF:
        return words("connection reset",
                     "a firewall cuts connections like ours off before the server sees them",
                     BOTH);
    case STREAM_END_TIMEOUT:
        return words("no answer: timeout",
                     "packets vanish: a firewall drops them (many providers block outgoing "
                     "port 25), or the host "
                     "is down. When other hosts answer on port 25, it is theirs; when none "
                     "does, it is yours",
                     BOTH);
    case STREAM_END_UNREACHABLE:
        return words("network unreachable",
                     "there is no way to that address: this machine has no route for it (an "
                     "IPv6 address, and no "
                     "IPv6 here?), or a router on the way says so",
                     BOTH);
    case STREAM_END_NO_RESOURCES:
        return words("no socket", "this machine has no file descriptor or no port left", YOU);
    case STREAM_END_TLS:
    case STREAM_END_FAILED:
        return words("cannot connect",
                     "the system would not even try: is \"delivery { source }\" an address of "
                     "this machine?",
                     YOU);
    }
    abort();
}

/* It said goodbye to TCP, or somebody cut the line. */
static const char *lost(enum stream_end end, const char *closed, const char *reset)
{
    return end == STREAM_END_RESET ? reset : closed;
}

static struct connection_words of_end(enum stream_end end, enum smtp_stage stage)
{
    switch (stage) {
    case SMTP_STAGE_BANNER:
        return words(lost(end, "connection closed before the banner",
                          "connection reset before the banner"),
                     "it took the connection and hung up without a word: too many connections "
                     "there, or it does "
                     "not want any from our address",
                     THEM);
    case SMTP_STAGE_EHLO:
        return words(lost(end, "connection closed after EHLO", "connection reset after EHLO"),
                     "its mail server broke, or it turns our HELO name or address away without "
                     "saying so",
                     THEM);
    case SMTP_STAGE_STARTTLS:
        return words(
            lost(end, "connection closed during STARTTLS", "connection reset during STARTTLS"),
            "its TLS is broken or misconfigured", THEM);
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_IDLE:
    case SMTP_STAGE_QUIT:
        return words(lost(end, "connection closed in the middle of the envelope",
                          "connection reset in the middle of the envelope"),
                     "its mail server broke, or a filter in front of it does not want our mail "
                     "and does not say "
                     "so",
                     THEM);
    case SMTP_STAGE_DATA:
    case SMTP_STAGE_CONTENT:
        return words(
            lost(end, "connection closed while the message went out",
                 "connection reset while the message went out"),
            "a content filter that breaks, or a network that loses large packets (MTU)", THEM);
    case SMTP_STAGE_DOT:
        return words(lost(end, "connection closed before the answer to the message",
                          "connection reset before the answer to the message"),
                     "nobody knows whether it has taken the message: a delivery tries again "
                     "and may double it",
                     THEM);
    }
    abort();
}

static struct connection_words of_timeout(enum smtp_stage stage)
{
    switch (stage) {
    case SMTP_STAGE_BANNER:
        return words("connected, but no banner in time",
                     "the server is overloaded, makes strangers wait, or a firewall in front "
                     "takes connections it "
                     "cannot pass on. Deliveries wait 5 minutes: see with --timeout 300",
                     THEM);
    case SMTP_STAGE_EHLO:
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_IDLE:
    case SMTP_STAGE_QUIT:
        return words("no answer in time",
                     "the server is overloaded, or waits itself for something: its DNS, a "
                     "directory, a policy "
                     "server. Deliveries wait 5 minutes: see with --timeout 300",
                     THEM);
    case SMTP_STAGE_STARTTLS:
        return words("STARTTLS was not finished in time",
                     "its TLS is broken, or it is overloaded", THEM);
    case SMTP_STAGE_DATA:
        return words(
            "no answer to DATA in time",
            "the server is overloaded. Deliveries wait 2 minutes: see with --timeout 120",
            THEM);
    case SMTP_STAGE_CONTENT:
        return words("it does not take the message",
                     "octets go out and are not acknowledged: often a network that loses large "
                     "packets (MTU)",
                     BOTH);
    case SMTP_STAGE_DOT:
        return words(
            "no answer to the message in time",
            "its content filter is slow. Deliveries wait 10 minutes: see with --timeout 600",
            THEM);
    }
    abort();
}

struct connection_words connection_words_of_reply(unsigned code, enum smtp_stage stage)
{
    bool is_greeting = stage == SMTP_STAGE_BANNER || stage == SMTP_STAGE_EHLO;

    if (code == 421) {
        return words(is_greeting ? "it takes nobody now (421)" : "it hangs up (421)",
                     "too many connections there, from us or from all, or it is being "
                     "restarted; some say it to "
                     "addresses they do not trust",
                     "nobody for now: postilion tries again by itself");
    }
    if (code == 521) {
        return words("it never takes mail (521)",
                     "this host says for good that it is no mail server: the MX record or the "
                     "route is wrong",
                     "whoever set the MX record or the route");
    }
    if (code >= 500 && is_greeting) {
        return words("it does not talk with us",
                     "our address is on a list of theirs, or has no reverse name they like; "
                     "the words of the "
                     "reply say which",
                     "you, then the operator of the next hop");
    }
    if (code >= 400) {
        return words("not now", "the server has trouble of its own, or is too busy for us",
                     "nobody for now: postilion tries again by itself");
    }
    return words("an answer that is no SMTP",
                 "what listens there is no mail server, or a firewall rewrites what it says",
                 THEM);
}

struct connection_words connection_words_of(enum connection_fault fault, enum stream_end end,
                                            enum smtp_stage stage)
{
    switch (fault) {
    case CONNECTION_FAULT_CONNECT:
        return of_connect(end);
    case CONNECTION_FAULT_END:
        return of_end(end, stage);
    case CONNECTION_FAULT_TIMEOUT:
        return of_timeout(stage);
    case CONNECTION_FAULT_REPLY:
        return connection_words_of_reply(0, stage);
    case CONNECTION_FAULT_TLS:
        return words(
            "no TLS as the policy wants it",
            "a certificate that is out of date, for another name or of an authority nobody "
            "knows; or no "
            "STARTTLS at all",
            "the operator of the next hop, or you: \"delivery-tls DOMAIN\" says what may do");
    case CONNECTION_FAULT_NONE:
    case CONNECTION_FAULT_CONTENT:
        return words("nothing of the next hop's", "our own content could not be read", YOU);
    }
    abort();
}
