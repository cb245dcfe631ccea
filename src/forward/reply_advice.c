#include "forward/reply_advice.h"

#include <stdlib.h>

#define YOU "you"
#define NOBODY "nobody for now: postilion tries again by itself"
#define THEM "the operator of the next hop"

static struct reply_advice advice(const char *who, const char *what)
{
    return (struct reply_advice){who, what};
}

struct reply_advice reply_advice_of(enum reply_class class, bool is_permanent)
{
    switch (class) {
    case REPLY_CLASS_OTHER:
        return advice(is_permanent ? THEM : NOBODY,
                      "read the reply; when it does not help, send it to their postmaster");
    case REPLY_CLASS_DNS:
        return advice(
            is_permanent ? YOU : "whoever runs the DNS of that domain, or our resolver",
            is_permanent ? "see whether the domain is spelled right; mail for it goes nowhere"
                         : "see which of the questions had no answer, and ask another resolver "
                           "the same");
    case REPLY_CLASS_CONNECTION:
        return advice("the operator of the next hop, or of the network between",
                      "see whether other machines reach it, and whether this one may connect "
                      "to port 25 at all");
    case REPLY_CLASS_TLS:
        return advice("the operator of the next hop, or you",
                      "have their certificate or TLS mended; until then \"delivery-tls "
                      "DOMAIN\" says what may do");
    case REPLY_CLASS_GREYLIST:
        return advice(NOBODY,
                      "wait some minutes; whoever comes again from the same address is let in");
    case REPLY_CLASS_RATE_LIMIT:
        return advice(
            YOU, "find out what makes so much mail (\"postilion queue list --by-domain\"), "
                 "then send it "
                 "slower: \"delivery { concurrency }\", \"delivery { destination-rate }\"");
    case REPLY_CLASS_AUTHENTICATION:
        return advice(YOU, "see that SPF of the envelope sender's domain names the address we "
                           "send from, and that "
                           "a seal signs what is forwarded (\"seal { }\")");
    case REPLY_CLASS_REPUTATION:
        return advice(YOU, "open the page the reply names and ask to be removed, but first "
                           "stop what got us listed");
    case REPLY_CLASS_POLICY:
        return advice("you, or the operator of the next hop",
                      "the reply names the rule: often the reverse name of our address, the "
                      "HELO name, or the "
                      "envelope sender's domain; when none fits, send it to their postmaster");
    case REPLY_CLASS_SERVER:
        return advice(is_permanent ? THEM : NOBODY,
                      "wait; when it lasts for hours, tell their postmaster");
    case REPLY_CLASS_MAILBOX_BUSY:
        return advice(
            NOBODY,
            "wait; when it happens every day, see what makes so much mail for this address");
    case REPLY_CLASS_MAILBOX_FULL:
        return advice("the recipient", "tell them, by another way than mail, to make room");
    case REPLY_CLASS_UNKNOWN_USER:
        return advice(YOU,
                      is_permanent
                          ? "ask whoever the alias is for, then correct its target or remove it"
                          : "wait; when it stays so, ask whoever the alias is for");
    case REPLY_CLASS_CONTENT:
        return advice(
            "the sender",
            "have the message changed; when all mail is refused so, filter spam before it "
            "is forwarded: they count it as ours");
    case REPLY_CLASS_TOO_BIG:
        return advice("the sender",
                      "send less; a lower \"limits { message-size }\" refuses it here already");
    case REPLY_CLASS_LOOP:
        return advice(
            YOU,
            "the target forwards back to us, there or on the way: break the circle at one end");
    }
    abort();
}
