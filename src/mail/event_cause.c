#include "mail/event_cause.h"

#define SENDER EVENT_SIDE_SENDER
#define OURS EVENT_SIDE_OURS
#define NEXT_HOP EVENT_SIDE_NEXT_HOP

/* clang-format off */

/* `why` of message-refused, message-deferred, recipient-refused, recipient-deferred. */
static const struct event_cause refusals[] = {
    {"bare-cr-or-lf", SENDER, "the message has bare CR or LF, which no mail may have", "its mail program has to be mended; SMTP smuggling looks the same"},
    {"hidden-dot", SENDER, "a NUL stands before a dot at the start of a line, which some servers take for the end", "this is how SMTP smuggling looks"},
    {"too-large", SENDER, "it is larger than we take (limits.message-size)", "the sender has to send less, or limits.message-size has to be raised"},
    {"header-too-large", SENDER, "its header is larger than we take (limits.header-size)", "look at the header for what makes it so long"},
    {"too-many-fields", SENDER, "its header has more fields than we take (content.fields)", "look at the header for what repeats"},
    {"field-too-large", SENDER, "a field of its header is larger than we take (content.field-size)", "look at the header for what is so long"},
    {"blocked-file", SENDER, "it carries a file that content { } forbids", "the sender has to send it some other way"},
    {"blocked-type", SENDER, "it carries a type that content { } forbids", "the sender has to send it some other way"},
    {"mime-unreadable", SENDER, "its parts can be read in more than one way", "its mail program has to be mended"},
    {"header-nul", SENDER, "its header has NUL in it", "its mail program has to be mended"},
    {"header-duplicate", SENDER, "its header has a field twice that may stand there once", "its mail program has to be mended"},
    {"header-no-from", SENDER, "it has no From field", "its mail program has to be mended"},
    {"header-8bit", SENDER, "its header has octets beyond ASCII without SMTPUTF8", "its mail program has to be mended"},
    {"virus", SENDER, "the virus scanner found something", "the sender has to look for it"},
    {"spam", SENDER, "the spam scanner refuses it", "scan { } and rspamd's own log say by which rules"},
    {"spam-later", SENDER, "the spam scanner wants it to come again later", "scan { } and rspamd's own log say by which rules"},
    {"scan-failed", OURS, "a scanner gave no answer", "look at the scanner: the scan-failed lines say what was wrong"},
    {"scan-too-large", OURS, "it is larger than our scanners are shown", "raise the scanner's limit, or scan.too-large"},
    {"hops", SENDER, "it has passed more servers than we allow (limits.hops)", "its Received fields say where it goes round: postilion headers"},
    {"loop", OURS, "it has been forwarded here before", "its Received fields say who sends it back: postilion headers"},
    {"from-field", SENDER, "its From field cannot be read, or there are several", "its mail program has to be mended"},
    {"own-domain-spoof", SENDER, "it says it is from a domain of ours and does not prove it", "if it is genuine, that server needs to stand in the SPF record or to sign with DKIM"},
    {"dmarc-reject", SENDER, "DMARC failed, and the author's domain asks for refusal", "the sender's SPF and DKIM have to be put right"},
    {"dmarc-quarantine", SENDER, "DMARC failed, and the author's domain asks for quarantine", "the sender's SPF and DKIM have to be put right"},
    {"spf-fail", SENDER, "the sender's domain does not allow this client (SPF)", "the sender's SPF record has to name that server"},
    {"iprev", SENDER, "the client's address has no name that leads back to it", "the owner of that address has to set its reverse name"},
    {"doomed", SENDER, "it is fine here, but after forwarding its DMARC cannot pass: only SPF proves it", "the sender has to sign with DKIM"},
    {"own-domain-temperror", SENDER, "DNS had no answer that could have saved it", "the sender's system tries again; if it lasts, look at the sender's DNS and at our resolver"},
    {"dmarc-temperror", SENDER, "DNS had no answer for its DMARC record", "the sender's system tries again; if it lasts, look at the sender's DNS and at our resolver"},
    {"dkim-temperror", SENDER, "DNS had no answer for a DKIM key", "the sender's system tries again; if it lasts, look at the sender's DNS and at our resolver"},
    {"spf-temperror", SENDER, "DNS had no answer for its SPF record", "the sender's system tries again; if it lasts, look at the sender's DNS and at our resolver"},
    {"iprev-temperror", SENDER, "DNS had no answer for the client's reverse name", "the sender's system tries again; if it lasts, look at the client's DNS and at our resolver"},
    {"arc-temperror", SENDER, "DNS had no answer for a key of its ARC chain", "the sender's system tries again; if it lasts, look at the sealer's DNS and at our resolver"},
    {"refused-by-next-hop", NEXT_HOP, "every server it was to be forwarded to refused it for good while the client waited", "the refused lines have their words"},
    {"storage-full", OURS, "our disk is full", "make room on the spool's file system"},
    {"storage-failed", OURS, "our disk failed", "look at the kernel's log"},
    {"content-failed", OURS, "our disk failed", "look at the kernel's log"},
    {"sender-store-failed", OURS, "an over-long sender could not be stored", "look at the state directory and at the kernel's log"},
    {"forward-budget", OURS, "the mailbox behind it has had its messages of this hour or day", "the sender's system tries again; forwards-per-hour and forwards-per-day say how many"},
    {"destination-budget", OURS, "its destination has had its recipients of this time", "the sender's system tries again; destination-rate says how many"},
    {"return-rate", OURS, "an address we signed has had its messages of this hour", "the sender's system tries again; return-rate says how many"},
    {"return-used-up", OURS, "an address we signed has had all messages it may have", "return-uses says how many"},
    {"relay-denied", SENDER, "it is for a domain that is none of ours", "if it should be ours: it needs a domain { } here; else the sender's server or the domain's MX is wrong"},
    {"unknown-recipient", SENDER, "there is no such address here", "the sender mistyped it, or the alias is missing"},
    {"alias-refuse", OURS, "the alias says: refuse", "the alias says so on purpose"},
    {"alias-defer", OURS, "the alias says: defer", "the alias says so on purpose"},
    {"alias-depth", OURS, "aliases lead in a circle, or too far", "postilion check names them"},
    {"srs-forged", SENDER, "it is for a return address that we did not sign", "if it is an old one: is its secret still listed? Else somebody guesses"},
    {"srs-expired", SENDER, "it is for a return address that is too old (srs.max-age)", "nothing waits that long: it is seldom a bounce"},
    {"srs-future", SENDER, "it is for a return address that was signed in the future", "is our clock right?"},
    {"srs-malformed", SENDER, "it is for a return address that is damaged", "the server that sends it back has changed the address"},
    {"srs-token-gone", OURS, "the sender behind this return address was stored, and is gone", "was the state directory deleted?"},
    {"srs-sender-not-null", SENDER, "it is for a return address and is no bounce", "only bounces come back there (srs.accept)"},
    {"reply-forged", SENDER, "it is for a reply address that we did not sign", "if it is an old one: is its secret still listed? Else somebody guesses"},
    {"reply-expired", SENDER, "it is for a reply address that is too old (srs.max-age)", "the author's own address still works"},
    {"reply-future", SENDER, "it is for a reply address that was signed in the future", "is our clock right?"},
    {"reply-malformed", SENDER, "it is for a reply address that is damaged", "a mail program has changed the address"},
    {"reply-token-gone", OURS, "the author behind this reply address was stored, and is gone", "was the state directory deleted?"},
    {"sender-too-long", SENDER, "the sender's address is too long to be rewritten (srs.long)", "srs { long store } takes it"},
    {"sender-domain-unusable", SENDER, "no mail can be brought back to the sender's domain", "the sender has to use a real domain"},
    {"early-talker", SENDER, "the client spoke before it was greeted", "no mail server does that"},
    {"pipelining", SENDER, "the client sent commands without waiting", "no mail server does that"},
    {"helo", SENDER, "the name the client gives itself cannot be right", "that server's own name has to be put right"},
    {"helo-local", SENDER, "the name the client gives itself means nothing outside of its network", "that server's own name has to be put right"},
    {"reverse-name", SENDER, "the client's address has no name that leads back to it", "the owner of that address has to set its reverse name"},
    {"reverse-name-temperror", SENDER, "DNS had no answer for the client's reverse name", "the sender's system tries again; if it lasts, look at the client's DNS and at our resolver"},
    {"blocklist", SENDER, "the client, its name or the sender's domain is in a block list", "the reply names the list: the sender has to ask there"},
    {"sender-domain", SENDER, "the sender's domain does not exist, or takes no mail", "the sender has to use a real domain"},
    {"sender-domain-temperror", SENDER, "DNS had no answer for the sender's domain", "the sender's system tries again; if it lasts, look at the sender's DNS and at our resolver"},
    {"client-score", SENDER, "too much speaks against the client", "the client-judged line says what"},
    {"recipient-unknown-there", NEXT_HOP, "the server behind the alias says that there is no such mailbox", "the alias leads to an address that is gone, or that server is wrong"},
    {"recipient-refused-there", NEXT_HOP, "the server behind the alias refuses the recipient", "its words are the reply"},
    {"recipient-unverified", NEXT_HOP, "the server behind the alias could not be asked", "verify-down and verify-unanswered lines say why"},
    {"greylisted", OURS, "the sender is new here, and was asked to come again (policy { greylist })", "the sender's system tries again within minutes"},
};

/* `class` of deferred, bounced, dropped, held, refused. */
static const struct event_cause failures[] = {
    {"dns", NEXT_HOP, "the next hop could not be found in DNS", "look at the DNS of the recipient's domain, and at our resolver"},
    {"connection", NEXT_HOP, "the next hop could not be reached, or the connection was lost", "ask whether it was down; if others are not reached either, look at our network (port 25 outgoing)"},
    {"tls", NEXT_HOP, "no encrypted connection could be made with the next hop", "its certificate or TLS has to be put right, or the policy asks for more than it has"},
    {"greylist", NEXT_HOP, "the next hop asked to come again later", "waiting helps: nothing has to be done"},
    {"rate-limit", NEXT_HOP, "the next hop takes no more from us for now", "waiting helps; if it lasts, send less there (concurrency, destination-rate) or ask its operator"},
    {"mailbox-busy", NEXT_HOP, "the recipient gets more mail than the next hop takes at a time", "waiting helps"},
    {"mailbox-full", NEXT_HOP, "the recipient's mailbox is full", "tell the recipient some other way"},
    {"unknown-user", NEXT_HOP, "the mailbox the alias leads to does not exist, or is disabled", "ask the owner of the alias for a new address"},
    {"authentication", NEXT_HOP, "the next hop could not verify who sent it (SPF, DKIM or DMARC)", "compare what it says with the checks above"},
    {"reputation", OURS, "the next hop blocks our server because of its reputation", "its words name the list or the form: postilion doctor shows listings"},
    {"content", SENDER, "the next hop does not like what the message contains", "its words and its logs say why; spam that we forward costs our good name"},
    {"too-big", SENDER, "the message is too big for the next hop", "the sender has to send less"},
    {"loop", NEXT_HOP, "the next hop says that the message goes round in a circle", "does the mailbox behind the alias forward to the alias?"},
    {"policy", NEXT_HOP, "a rule of the next hop forbids it", "its words and its logs say which"},
    {"server", NEXT_HOP, "the next hop has trouble of its own", "its operator has to act; we try again as long as it may help"},
    {"other", NEXT_HOP, "the next hop did not say why in words that are known here", "its logs say more"},
};

/* `why` of held and dropped. */
static const struct event_cause holds[] = {
    {"null-sender", SENDER, "it has no sender who could be told (it is a bounce itself)", "an operator may look at it and delete it"},
    {"double-bounce", OURS, "it is a bounce of ours that could not be delivered", "an operator may look at it and delete it"},
    {"sender-not-proven", SENDER, "the sender did not prove to be that sender, and the innocent are not told", "an operator may release, bounce or delete it"},
    {"not-own-domain", OURS, "only senders of our own domains are told (delivery.bounce)", "an operator may release, bounce or delete it"},
    {"bounces-off", OURS, "nobody is told of failures (delivery.bounce)", "an operator may release, bounce or delete it"},
    {"bounce-limit", OURS, "this sender has had all the bounces we send in a day (delivery.bounce-limit)", "an operator may release, bounce or delete it"},
    {"not-wanted", SENDER, "the sender asked not to be told (NOTIFY)", "nothing has to be done"},
    {"hold-over", OURS, "it was kept for hold-for, and no operator came", "look at held messages earlier: postilion queue list --held"},
    {"damaged-envelope", OURS, "its record in the spool is damaged", "postilion queue show and the kernel's log may say more"},
    {"content-missing", OURS, "its content is gone from the spool", "was a file of the spool deleted?"},
};

/* clang-format on */

static const struct event_cause *find(const struct event_cause *causes, size_t count,
                                      struct bytes word)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(word, bytes_from_text(causes[i].word))) {
            return &causes[i];
        }
    }
    return NULL;
}

const struct event_cause *event_cause_of_refusal(struct bytes why)
{
    return find(refusals, sizeof refusals / sizeof refusals[0], why);
}

const struct event_cause *event_cause_of_failure(struct bytes class)
{
    return find(failures, sizeof failures / sizeof failures[0], class);
}

const struct event_cause *event_cause_of_hold(struct bytes why)
{
    return find(holds, sizeof holds / sizeof holds[0], why);
}

const char *event_side_text(enum event_side side)
{
    switch (side) {
    case EVENT_SIDE_NONE:
        return "none";
    case EVENT_SIDE_SENDER:
        return "sender";
    case EVENT_SIDE_OURS:
        return "ours";
    case EVENT_SIDE_NEXT_HOP:
        return "next-hop";
    }
    return "none";
}
