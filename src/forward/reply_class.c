#include "forward/reply_class.h"

#include "base/strbuf.h"

#include <stdlib.h>

enum validity { ANY, TEMPORARY, PERMANENT };

/* What one enhanced code means: class.subject.first..last. */
struct code_rule {
    enum validity validity;
    unsigned subject, first, last;
    enum reply_class class;
};

/* Words that occur in a text, in lower case. */
struct word_rule {
    enum validity validity;
    enum reply_class class;
    const char *words;
};

struct reading {
    bool is_temporary;
    unsigned subject, detail; /* both 0: nothing said */
    struct bytes text;        /* lower case */
};

/* clang-format off */

/* Codes that say one thing only; those with three digits are Microsoft's. */
static const struct code_rule exact_codes[] = {
    {TEMPORARY, 7, 28, 28, REPLY_CLASS_RATE_LIMIT},      /* Gmail */
    {PERMANENT, 7, 28, 28, REPLY_CLASS_REPUTATION},
    {TEMPORARY, 7, 500, 500, REPLY_CLASS_RATE_LIMIT},    /* "Server busy ... from [address]" */
    {TEMPORARY, 7, 650, 659, REPLY_CLASS_RATE_LIMIT},
    {ANY, 7, 20, 24, REPLY_CLASS_AUTHENTICATION},        /* RFC 7372: DKIM, SPF */
    {ANY, 7, 25, 25, REPLY_CLASS_POLICY},                /* RFC 7372: reverse DNS */
    {ANY, 7, 26, 27, REPLY_CLASS_AUTHENTICATION},        /* RFC 7372: several; 27: Gmail, SPF */
    {ANY, 7, 29, 29, REPLY_CLASS_TLS},                   /* Gmail */
    {ANY, 7, 30, 30, REPLY_CLASS_AUTHENTICATION},        /* Gmail: DKIM */
    {ANY, 7, 32, 32, REPLY_CLASS_AUTHENTICATION},        /* Gmail: alignment */
    {ANY, 7, 10, 10, REPLY_CLASS_TLS},                   /* RFC 7504: encryption needed */
    {ANY, 7, 509, 509, REPLY_CLASS_AUTHENTICATION},      /* DMARC */
    {ANY, 7, 515, 515, REPLY_CLASS_AUTHENTICATION},
    {ANY, 7, 501, 508, REPLY_CLASS_REPUTATION},
    {ANY, 7, 510, 514, REPLY_CLASS_REPUTATION},
    {ANY, 7, 606, 649, REPLY_CLASS_REPUTATION},
    {ANY, 7, 703, 750, REPLY_CLASS_REPUTATION},
    {ANY, 2, 2, 2, REPLY_CLASS_MAILBOX_FULL},
    {ANY, 2, 3, 3, REPLY_CLASS_TOO_BIG},
    {ANY, 3, 4, 4, REPLY_CLASS_TOO_BIG},
    {ANY, 4, 6, 6, REPLY_CLASS_LOOP},
    {ANY, 4, 14, 14, REPLY_CLASS_LOOP},
    {PERMANENT, 1, 10, 10, REPLY_CLASS_UNKNOWN_USER},    /* Exchange; RFC 7505 means the domain by it */
    {ANY, 5, 3, 3, REPLY_CLASS_OTHER},                   /* too many recipients */
};

/* The first that matches counts, so the order is part of the meaning: "your IP is greylisted" is no
 * blocklist, "blocked, see spamhaus.org" is no spam filter. */
static const struct word_rule word_rules[] = {
    {ANY, REPLY_CLASS_MAILBOX_BUSY, "receiving mail at a rate"},
    {ANY, REPLY_CLASS_MAILBOX_BUSY, "receiving mail too quickly"},
    {ANY, REPLY_CLASS_MAILBOX_BUSY, "recipient thread limit exceeded"},
    {ANY, REPLY_CLASS_MAILBOX_BUSY, "too many messages for this recipient"},
    {ANY, REPLY_CLASS_MAILBOX_BUSY, "recipient's incoming mail rate"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "greylist"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "graylist"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "grey list"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "gray list"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "grey-list"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "postgrey"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "not yet authorized to deliver"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "first time sender"},
    {TEMPORARY, REPLY_CLASS_GREYLIST, "triplet"},
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "unusual rate of"},
    {PERMANENT, REPLY_CLASS_REPUTATION, "unusual rate of"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "rate limit"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "ratelimit"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "rate-limit"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "rate exceeded"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "connection rate"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "message rate"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "throttl"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many connections"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many concurrent"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many simultaneous"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many parallel"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many sessions"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many smtp sessions"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many messages"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many mails"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too many emails"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "too much mail"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "sending too"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "received this hour"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "messages can be sent per hour"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "connection limit"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "connections limit"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "connection count"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "maximum number of connections"},
    {ANY, REPLY_CLASS_RATE_LIMIT, "excessive connections"},
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "unexpected volume"},       /* Yahoo, [TSS04] */
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "user complaints"},         /* Yahoo, [TS01] */
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "temporarily deferred due to"},
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "slow down"},
    {TEMPORARY, REPLY_CLASS_RATE_LIMIT, "reduce your"},
    {ANY, REPLY_CLASS_TLS, "starttls"},
    {ANY, REPLY_CLASS_TLS, "tls required"},
    {ANY, REPLY_CLASS_TLS, "tls is required"},
    {ANY, REPLY_CLASS_TLS, "requires tls"},
    {ANY, REPLY_CLASS_TLS, "encryption required"},
    {ANY, REPLY_CLASS_TLS, "encryption needed"},
    {ANY, REPLY_CLASS_TLS, "encrypted connection"},
    {ANY, REPLY_CLASS_POLICY, "authentication required"},           /* that of users */
    {ANY, REPLY_CLASS_POLICY, "authentication is required"},
    {ANY, REPLY_CLASS_POLICY, "client was not authenticated"},
    {ANY, REPLY_CLASS_POLICY, "reverse dns"},
    {ANY, REPLY_CLASS_POLICY, "reverse hostname"},
    {ANY, REPLY_CLASS_POLICY, "cannot find your hostname"},
    {ANY, REPLY_CLASS_POLICY, "ptr record"},
    {ANY, REPLY_CLASS_POLICY, "fcrdns"},
    {ANY, REPLY_CLASS_POLICY, "helo command rejected"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "dmarc"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "dkim"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "spf"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "sender policy framework"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "unauthenticated"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "not authenticated"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "authentication information"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "authentication level"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "authentication check"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "authentication result"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "anti-spoofing"},
    {ANY, REPLY_CLASS_AUTHENTICATION, "spoof"},
    {ANY, REPLY_CLASS_REPUTATION, "spamhaus"},
    {ANY, REPLY_CLASS_REPUTATION, "spamcop"},
    {ANY, REPLY_CLASS_REPUTATION, "barracuda"},
    {ANY, REPLY_CLASS_REPUTATION, "sorbs.net"},
    {ANY, REPLY_CLASS_REPUTATION, "uceprotect"},
    {ANY, REPLY_CLASS_REPUTATION, "abusix"},
    {ANY, REPLY_CLASS_REPUTATION, "cloudmark"},
    {ANY, REPLY_CLASS_REPUTATION, "senderscore"},
    {ANY, REPLY_CLASS_REPUTATION, "ipcheck.proofpoint"},
    {ANY, REPLY_CLASS_REPUTATION, "reputation"},
    {ANY, REPLY_CLASS_REPUTATION, "blacklist"},
    {ANY, REPLY_CLASS_REPUTATION, "black list"},
    {ANY, REPLY_CLASS_REPUTATION, "blocklist"},
    {ANY, REPLY_CLASS_REPUTATION, "block list"},
    {ANY, REPLY_CLASS_REPUTATION, "denylist"},
    {ANY, REPLY_CLASS_REPUTATION, "dnsbl"},
    {ANY, REPLY_CLASS_REPUTATION, " rbl"},
    {ANY, REPLY_CLASS_REPUTATION, "rbl."},
    {ANY, REPLY_CLASS_REPUTATION, "blocked using"},
    {ANY, REPLY_CLASS_REPUTATION, "blocked by"},
    {ANY, REPLY_CLASS_REPUTATION, "is blocked"},
    {ANY, REPLY_CLASS_REPUTATION, "has been blocked for abuse"},
    {ANY, REPLY_CLASS_REPUTATION, "listed at "},
    {ANY, REPLY_CLASS_REPUTATION, "listed by "},
    {ANY, REPLY_CLASS_REPUTATION, "listed in "},
    {ANY, REPLY_CLASS_REPUTATION, "listed on "},
    {ANY, REPLY_CLASS_REPUTATION, "s3140"},                         /* Outlook */
    {ANY, REPLY_CLASS_REPUTATION, "s3150"},
    {ANY, REPLY_CLASS_REPUTATION, "banned"},
    {ANY, REPLY_CLASS_REPUTATION, "spam abuse detected"},
    {ANY, REPLY_CLASS_REPUTATION, "part of their network"},
    {ANY, REPLY_CLASS_REPUTATION, "connections will not be accepted"}, /* Yahoo, [BL21] */
    {ANY, REPLY_CLASS_REPUTATION, "will be permanently deferred"},     /* Yahoo, [TS03] */
    {ANY, REPLY_CLASS_REPUTATION, "tosa@rx.t-online"},
    {ANY, REPLY_CLASS_REPUTATION, "dynamic ip"},
    {ANY, REPLY_CLASS_REPUTATION, "dialup"},
    {ANY, REPLY_CLASS_REPUTATION, "residential"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "mailbox full"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "mailbox is full"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "mailbox size limit"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "inbox is full"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "inbox is out of storage"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "quota"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "storage limit"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "storage space"},
    {ANY, REPLY_CLASS_MAILBOX_FULL, "exceeded storage"},
    {ANY, REPLY_CLASS_LOOP, "too many hops"},
    {ANY, REPLY_CLASS_LOOP, "hop count"},
    {ANY, REPLY_CLASS_LOOP, "mail loop"},
    {ANY, REPLY_CLASS_LOOP, "routing loop"},
    {ANY, REPLY_CLASS_LOOP, "loops back"},
    {ANY, REPLY_CLASS_TOO_BIG, "size limit"},
    {ANY, REPLY_CLASS_TOO_BIG, "message size"},
    {ANY, REPLY_CLASS_TOO_BIG, "message length"},
    {ANY, REPLY_CLASS_TOO_BIG, "message too large"},
    {ANY, REPLY_CLASS_TOO_BIG, "message is too large"},
    {ANY, REPLY_CLASS_TOO_BIG, "message too big"},
    {ANY, REPLY_CLASS_TOO_BIG, "message is too big"},
    {ANY, REPLY_CLASS_TOO_BIG, "larger than"},
    {ANY, REPLY_CLASS_POLICY, "sender address rejected"},
    {ANY, REPLY_CLASS_POLICY, "sender rejected"},
    {ANY, REPLY_CLASS_POLICY, "sender verify failed"},
    {ANY, REPLY_CLASS_POLICY, "relay access denied"},
    {ANY, REPLY_CLASS_POLICY, "relay not permitted"},
    {ANY, REPLY_CLASS_POLICY, "relaying denied"},
    {ANY, REPLY_CLASS_POLICY, "unable to relay"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "user unknown"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unknown user"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unknown recipient"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unknown address"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unknown local part"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "no such"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "no mailbox here"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "recipient not found"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "recipientnotfound"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "user not found"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "mailbox not found"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "mailbox unavailable"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "mailbox disabled"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "mailbox is disabled"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "does not exist"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "doesn't exist"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "doesn't have a"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "is disabled"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "is inactive"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "invalid recipient"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "invalid mailbox"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "not a valid"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unrouteable address"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "unroutable address"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "recipient address rejected: access denied"},
    {PERMANENT, REPLY_CLASS_UNKNOWN_USER, "recipient rejected"},
    {ANY, REPLY_CLASS_CONTENT, "spam"},
    {ANY, REPLY_CLASS_CONTENT, "virus"},
    {ANY, REPLY_CLASS_CONTENT, "malware"},
    {ANY, REPLY_CLASS_CONTENT, "phish"},
    {ANY, REPLY_CLASS_CONTENT, "unsolicited"},
    {ANY, REPLY_CLASS_CONTENT, "content"},
    {ANY, REPLY_CLASS_CONTENT, "suspicious"},
    {ANY, REPLY_CLASS_CONTENT, "attachment"},
    {ANY, REPLY_CLASS_CONTENT, "bare lf"},
    {ANY, REPLY_CLASS_CONTENT, "bare cr"},
    {ANY, REPLY_CLASS_CONTENT, "line too long"},
    {ANY, REPLY_CLASS_CONTENT, "lines too long"},
    {ANY, REPLY_CLASS_CONTENT, "bad header"},
    {ANY, REPLY_CLASS_CONTENT, "rfc 5322"},
    {TEMPORARY, REPLY_CLASS_SERVER, "lookup failure"},
    {TEMPORARY, REPLY_CLASS_SERVER, "local error"},
    {TEMPORARY, REPLY_CLASS_SERVER, "local problem"},
    {TEMPORARY, REPLY_CLASS_SERVER, "internal error"},
    {TEMPORARY, REPLY_CLASS_SERVER, "server configuration"},
    {TEMPORARY, REPLY_CLASS_SERVER, "system storage"},
    {TEMPORARY, REPLY_CLASS_SERVER, "could not complete sender verify"},
    {TEMPORARY, REPLY_CLASS_SERVER, "ports are busy"},
    {TEMPORARY, REPLY_CLASS_SERVER, "service unavailable"},
    {TEMPORARY, REPLY_CLASS_SERVER, "service not available"},
    {ANY, REPLY_CLASS_POLICY, "policy"},
    {ANY, REPLY_CLASS_POLICY, "access denied"},
    {ANY, REPLY_CLASS_POLICY, "not permitted"},
    {ANY, REPLY_CLASS_POLICY, "prohibited"},
    {ANY, REPLY_CLASS_POLICY, "not allowed"},
};

static const struct code_rule general_codes[] = {
    {TEMPORARY, 7, 0, 9, REPLY_CLASS_GREYLIST}, /* nothing but "later": most are */
    {PERMANENT, 1, 1, 1, REPLY_CLASS_UNKNOWN_USER},
    {PERMANENT, 1, 2, 2, REPLY_CLASS_UNKNOWN_USER},
    {PERMANENT, 1, 3, 3, REPLY_CLASS_UNKNOWN_USER},
    {PERMANENT, 1, 6, 6, REPLY_CLASS_UNKNOWN_USER},
    {ANY, 1, 7, 8, REPLY_CLASS_POLICY}, /* the sender's address */
    {PERMANENT, 2, 1, 1, REPLY_CLASS_UNKNOWN_USER},
    {TEMPORARY, 2, 1, 1, REPLY_CLASS_MAILBOX_BUSY},
    {ANY, 3, 0, 999, REPLY_CLASS_SERVER},
    {ANY, 4, 0, 999, REPLY_CLASS_SERVER},
    {PERMANENT, 6, 7, 10, REPLY_CLASS_OTHER}, /* RFC 6531: no SMTPUTF8 there */
    {ANY, 6, 0, 999, REPLY_CLASS_CONTENT},
    {ANY, 7, 0, 999, REPLY_CLASS_POLICY},
};

static const struct {
    const char *text, *explanation;
} names[REPLY_CLASS_COUNT] = {
    [REPLY_CLASS_OTHER] = {"other", "the receiving server did not say why in words that are known here"},
    [REPLY_CLASS_DNS] = {"dns", "the receiving server could not be found in DNS"},
    [REPLY_CLASS_CONNECTION] = {"connection", "the receiving server could not be reached"},
    [REPLY_CLASS_TLS] = {"tls", "no encrypted connection could be made with the receiving server"},
    [REPLY_CLASS_GREYLIST] = {"greylist", "the receiving server asked to try again later"},
    [REPLY_CLASS_RATE_LIMIT] = {"rate-limit", "the receiving server takes no more mail from this server for now"},
    [REPLY_CLASS_MAILBOX_BUSY] = {"mailbox-busy", "the recipient gets more mail than the receiving server takes at a time"},
    [REPLY_CLASS_MAILBOX_FULL] = {"mailbox-full", "the recipient's mailbox is full"},
    [REPLY_CLASS_UNKNOWN_USER] = {"unknown-user", "the recipient's mailbox does not exist or is disabled"},
    [REPLY_CLASS_AUTHENTICATION] = {"authentication", "the receiving server could not verify who sent the message (SPF, DKIM or DMARC)"},
    [REPLY_CLASS_REPUTATION] = {"reputation", "the receiving server blocks this server because of its reputation"},
    [REPLY_CLASS_CONTENT] = {"content", "the receiving server does not like what the message contains"},
    [REPLY_CLASS_TOO_BIG] = {"too-big", "the message is too big for the receiving server"},
    [REPLY_CLASS_LOOP] = {"loop", "the message goes round in a circle"},
    [REPLY_CLASS_POLICY] = {"policy", "a rule of the receiving server forbids it"},
    [REPLY_CLASS_SERVER] = {"server", "the receiving server has trouble of its own"},
};
/* clang-format on */

static bool is_valid(enum validity validity, const struct reading *reading)
{
    switch (validity) {
    case ANY:
        return true;
    case TEMPORARY:
        return reading->is_temporary;
    case PERMANENT:
        return !reading->is_temporary;
    }
    return false;
}

static bool find_code(const struct code_rule *rules, size_t count,
                      const struct reading *reading, enum reply_class *class)
{
    for (size_t i = 0; i < count; i++) {
        if (rules[i].subject == reading->subject && reading->detail >= rules[i].first &&
            reading->detail <= rules[i].last && is_valid(rules[i].validity, reading)) {
            *class = rules[i].class;
            return true;
        }
    }
    return false;
}

static bool find_words(const struct reading *reading, enum reply_class *class)
{
    for (size_t i = 0; i < sizeof word_rules / sizeof word_rules[0]; i++) {
        const struct word_rule *rule = &word_rules[i];

        if (is_valid(rule->validity, reading) &&
            bytes_find_part(reading->text, bytes_from_text(rule->words)) < reading->text.len) {
            *class = rule->class;
            return true;
        }
    }
    return false;
}

/* "4.7.28": what stands behind the first and the second full stop. */
static void read_enhanced(struct reading *reading, const char *enhanced)
{
    char *end;

    if (enhanced[0] == '\0' || enhanced[1] != '.') {
        return;
    }
    reading->subject = (unsigned)strtoul(enhanced + 2, &end, 10);
    if (*end == '.') {
        reading->detail = (unsigned)strtoul(end + 1, NULL, 10);
    }
}

/* All that DNS can say is that there is no way, or that it leads back here. */
static enum reply_class class_of_dns(const struct reading *reading)
{
    return reading->subject == 4 && reading->detail == 6 ? REPLY_CLASS_LOOP : REPLY_CLASS_DNS;
}

static enum reply_class guess(const struct reply_facts *facts, const struct reading *reading)
{
    if (facts->origin == REPLY_FROM_CONNECTION) {
        return REPLY_CLASS_CONNECTION;
    }
    if (facts->code == 421) {
        return REPLY_CLASS_SERVER;
    }
    if (facts->code == 552) { /* RFC 5321 §4.2.3: exceeded storage allocation */
        return facts->is_after_content ? REPLY_CLASS_TOO_BIG : REPLY_CLASS_MAILBOX_FULL;
    }
    if (reading->is_temporary && (facts->code == 450 || facts->code == 451) &&
        !facts->is_after_content) {
        return REPLY_CLASS_GREYLIST;
    }
    return REPLY_CLASS_OTHER;
}

static enum reply_class class_of_reading(const struct reply_facts *facts,
                                         const struct reading *reading)
{
    enum reply_class class;

    if (find_code(exact_codes, sizeof exact_codes / sizeof exact_codes[0], reading, &class) ||
        find_words(reading, &class)) {
        return class;
    }
    if (facts->origin == REPLY_FROM_PEER && reading->subject != 0 &&
        find_code(general_codes, sizeof general_codes / sizeof general_codes[0], reading,
                  &class)) {
        return class;
    }
    return guess(facts, reading);
}

enum reply_class reply_class_of(const struct reply_facts *facts)
{
    struct reading reading = {.is_temporary = facts->enhanced[0] == '4' ||
                                              (facts->code >= 400 && facts->code < 500)};
    struct strbuf lower;
    enum reply_class class;

    read_enhanced(&reading, facts->enhanced);
    if (facts->origin == REPLY_FROM_DNS) {
        return class_of_dns(&reading);
    }
    if (facts->origin == REPLY_FROM_TLS) {
        return REPLY_CLASS_TLS;
    }
    if (facts->origin == REPLY_FROM_CONNECTION && facts->code == 0) {
        return REPLY_CLASS_CONNECTION;
    }
    strbuf_init(&lower, REPLY_CLASS_TEXT);
    strbuf_add(&lower, bytes_first(facts->text, REPLY_CLASS_TEXT));
    for (size_t i = 0; i < lower.len; i++) {
        if (lower.data[i] >= 'A' && lower.data[i] <= 'Z') {
            lower.data[i] = (char)(lower.data[i] - 'A' + 'a');
        }
    }
    reading.text = strbuf_bytes(&lower);
    class = class_of_reading(facts, &reading);
    strbuf_clear(&lower);
    return class;
}

const char *reply_class_text(enum reply_class class)
{
    return names[class].text;
}

const char *reply_class_explanation(enum reply_class class)
{
    return names[class].explanation;
}

bool reply_class_is_block(enum reply_class class)
{
    return class == REPLY_CLASS_REPUTATION || class == REPLY_CLASS_RATE_LIMIT;
}
