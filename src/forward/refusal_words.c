#include "forward/refusal_words.h"

struct entry {
    struct bytes why;
    const char *means, *change;
};

/* clang-format off */
static const struct entry entries[] = {
    /* recipients */
    {BYTES("relay-denied"), "the recipient's domain is none of ours, so mail for it is not taken here",
     "a \"domain\" block for it, when it should be one of ours"},
    {BYTES("unknown-recipient"), "the domain is ours, but no alias has this name",
     "an alias for it: \"forward NAME to ADDRESS\" in the domain's block, or a line in its alias file"},
    {BYTES("alias-refuse"), "the alias says so (refuse)", "the alias"},
    {BYTES("alias-defer"), "the alias says so (defer)", "the alias"},
    {BYTES("alias-depth"), "the aliases lead in a circle, or through more than ten others", "the aliases"},
    {BYTES("srs-forged"), "it looks like a return address of ours, but was not made with our secret: it is made up, "
     "cut short, or the secret was changed", "the former secret as a further line of \"srs { secret-file }\""},
    {BYTES("srs-expired"), "the return address is older than it may be", "\"srs { max-age }\""},
    {BYTES("srs-future"), "the return address is stamped in the future: one of two clocks is wrong", "the clock"},
    {BYTES("srs-malformed"), "the return address is damaged", NULL},
    {BYTES("srs-token-gone"), "the sender behind this return address was stored, and is not there any more", NULL},
    {BYTES("srs-sender-not-null"), "return addresses take bounces only, and this mail is none: its envelope sender is "
     "not empty", "\"srs { accept any }\""},
    {BYTES("reply-forged"), "it looks like a reply address of ours, but was not made with our secret", NULL},
    {BYTES("reply-expired"), "the reply address is older than it may be", "\"srs { max-age }\""},
    {BYTES("reply-future"), "the reply address is stamped in the future: one of two clocks is wrong", "the clock"},
    {BYTES("reply-malformed"), "the reply address is damaged", NULL},
    {BYTES("reply-token-gone"), "the author behind this reply address was stored, and is not there any more", NULL},
    {BYTES("sender-too-long"), "the sender's address is too long to be part of a return address",
     "\"srs { long store }\""},
    {BYTES("sender-domain-unusable"), "no bounce could ever be brought back to this sender: its domain is no name in DNS",
     NULL},
    {BYTES("recipient-unknown-there"), "the server behind the alias says that there is no such mailbox",
     "the alias's target; \"verify-recipients\" is why it was asked"},
    {BYTES("recipient-refused-there"), "the server behind the alias refuses this recipient",
     "the alias's target; \"verify-recipients\" is why it was asked"},
    {BYTES("recipient-unverified"), "the server behind the alias was asked and did not answer", "\"verify-recipients\""},
    {BYTES("greylisted"), "who is new here is asked to come again in some minutes, which mail servers do and most senders "
     "of spam do not", "\"policy { greylist }\""},
    /* clients */
    {BYTES("early-talker"), "the client spoke before it was greeted, as senders of spam do", "\"client { early-talker }\""},
    {BYTES("pipelining"), "the client sent commands without waiting for the answer to EHLO", "\"client { pipelining }\""},
    {BYTES("helo"), "what the client calls itself in HELO cannot be its name", "\"client { helo }\""},
    {BYTES("helo-local"), "what the client calls itself in HELO is no name of the Internet", "\"client { helo-local }\""},
    {BYTES("reverse-name"), "the client's address has no name, or the name does not lead back to it", "\"client { reverse-name }\""},
    {BYTES("reverse-name-temperror"), "the name of the client's address cannot be looked up now", "\"client { reverse-name }\""},
    {BYTES("blocklist"), "a block list names the client or its domain: the reply has the list and its words",
     "\"blocklist\"; \"allowlist\" lets one in all the same"},
    {BYTES("sender-domain"), "the sender's domain does not exist, or takes no mail: a bounce would go nowhere",
     "\"client { sender-domain }\""},
    {BYTES("sender-domain-temperror"), "the sender's domain cannot be looked up now", "\"client { sender-domain }\""},
    {BYTES("client-score"), "no finding about the client is enough, but together they are: see \"found\" in the log",
     "\"client { refuse-at defer-at }\""},
    /* who sent it */
    {BYTES("spf-fail"), "SPF of the sender's domain says that this client may not send its mail",
     "\"policy { spf-fail }\"; a relay of yours in front is named by \"trust\""},
    {BYTES("iprev"), "the client's address has no name that leads back to it", "\"policy { iprev }\""},
    {BYTES("from-field"), "From cannot be read, or there are several: nobody can say who wrote it",
     "\"policy { dmarc-reject }\""},
    {BYTES("own-domain-spoof"), "From says a domain of ours, and nothing proves it: no valid DKIM signature of it, and SPF "
     "does not pass for it", "\"policy { own-domain-spoof }\"; your own senders should sign with DKIM"},
    {BYTES("dmarc-reject"), "DMARC failed, and the author's domain asks that such mail be rejected",
     "\"policy { dmarc-reject }\"; a list or forwarder in front can be trusted by \"arc-trust\""},
    {BYTES("dmarc-quarantine"), "DMARC failed, and the author's domain asks that such mail be put aside",
     "\"policy { dmarc-quarantine }\""},
    {BYTES("doomed"), "it is fine here, but DMARC must fail at the next hop: SPF cannot pass for the author's domain "
     "after forwarding, and no DKIM signature of it will be valid", "\"policy { doomed munge-from }\""},
    {BYTES("own-domain-temperror"), "DNS gave no answer to what could prove that a domain of ours sent it", "the resolver"},
    {BYTES("dmarc-temperror"), "the DMARC record of the author's domain cannot be looked up now", "the resolver"},
    {BYTES("dkim-temperror"), "the key of a DKIM signature cannot be looked up now", "the resolver"},
    {BYTES("spf-temperror"), "SPF of the sender's domain cannot be looked up now", "\"policy { auth-temperror }\""},
    {BYTES("iprev-temperror"), "the client's name cannot be looked up now", "\"policy { auth-temperror }\""},
    {BYTES("arc-temperror"), "it would be refused, but a trusted sealer may vouch for it, whose key cannot be looked up now",
     "the resolver"},
    /* content */
    {BYTES("bare-cr-or-lf"), "it has line ends that servers read in different ways, which is how mail is smuggled", NULL},
    {BYTES("hidden-dot"), "it has an end of data that only some servers see, which is how mail is smuggled", NULL},
    {BYTES("too-large"), "it is larger than messages may be", "\"limits { message-size }\""},
    {BYTES("header-too-large"), "its header is larger than headers may be", "\"limits { header-size }\""},
    {BYTES("too-many-fields"), "its header has more fields than it may have", "\"content { fields }\""},
    {BYTES("field-too-large"), "a field of its header is larger than it may be", "\"content { field-size }\""},
    {BYTES("blocked-file"), "it carries a file of a kind that is not let through", "\"policy { blocked-content }\""},
    {BYTES("blocked-type"), "it carries a type of content that is not let through", "\"policy { blocked-content }\""},
    {BYTES("mime-unreadable"), "mail programs would read its parts in more than one way, so nobody can say what it carries",
     "\"policy { blocked-content }\""},
    {BYTES("header-nul"), "its header has a NUL octet", "\"policy { header-sanity }\""},
    {BYTES("header-duplicate"), "a field stands twice in its header that may stand there once",
     "\"policy { header-sanity }\""},
    {BYTES("header-no-from"), "its header has no From", "\"policy { header-sanity }\""},
    {BYTES("header-8bit"), "its header has octets beyond ASCII, and nobody said SMTPUTF8", "\"policy { header-8bit }\""},
    {BYTES("virus"), "clamd found a virus", "\"scan { virus }\""},
    {BYTES("spam"), "rspamd wants it rejected", "\"scan { spam }\", and rspamd's own settings"},
    {BYTES("spam-later"), "rspamd wants the client to come again", "rspamd's own settings"},
    {BYTES("scan-failed"), "a scanner gave no answer", "\"scan { on-failure }\"; is it running?"},
    {BYTES("scan-too-large"), "it is larger than what scanners are shown", "\"scan { max-size too-large }\""},
    {BYTES("hops"), "it has passed more servers than any mail does: it goes round in a circle", "\"limits { hops }\""},
    {BYTES("loop"), "it has been forwarded by this very alias before: it goes round in a circle",
     "whatever sends it back to us"},
    /* what is used up */
    {BYTES("message-rate"), "the client sends more messages a minute than one may", "\"limits { client-message-rate }\""},
    {BYTES("recipient-rate"), "the client names more recipients a minute than one may",
     "\"limits { client-recipient-rate }\""},
    {BYTES("forward-budget"), "a mailbox behind the address has had its messages of this hour or day",
     "\"policy { forwards-per-hour forwards-per-day }\""},
    {BYTES("destination-budget"), "the destination has had its recipients of this hour",
     "\"delivery { destination-rate }\""},
    {BYTES("return-rate"), "the return address has had its bounces of this hour", "\"srs { return-rate }\""},
    {BYTES("return-used-up"), "the return address has had all the bounces it may have", "\"srs { return-uses }\""},
    {BYTES("storage-full"), "the disk is full, or nearly", "\"limits { free-space }\", and the disk"},
    {BYTES("content-failed"), "the disk failed", "the disk"},
    {BYTES("storage-failed"), "the disk failed", "the disk"},
    {BYTES("sender-store-failed"), "the state store could not be written", "the disk"},
    {BYTES("refused-by-next-hop"), "every next hop has refused it for good", "see its words: \"postilion probe\""},
};

static const struct entry forecasts[] = {
    {BYTES("aligned-dkim"), "a DKIM signature of the author's domain stays valid: forwarding changes nothing it signs", NULL},
    {BYTES("own-sender"), "the author's domain is one of ours, for which SPF passes at the next hop, too", NULL},
    {BYTES("spf-only"), "it passes here by SPF alone, and after forwarding SPF is asked about us, not about the author; no "
     "DKIM signature of the author's domain stands in for it", NULL},
    {BYTES("dkim-broken"), "what we take out or put on top breaks the DKIM signature it lives by", NULL},
    {BYTES("failed-on-arrival"), "it fails here already", NULL},
    {BYTES("arc-trusted"), "it will fail, but a sealer in \"arc-trust\" vouches for it", NULL},
    {BYTES("p-none"), "it may fail, and the author's domain does not mind (p=none)", NULL},
    {BYTES("no-record"), "the author's domain has no DMARC record, so the next hop has nothing to hold it against", NULL},
    {BYTES("temperror"), "the DMARC record cannot be looked up now", NULL},
    {BYTES("permerror"), "the DMARC record is damaged, and nobody can go by it", NULL},
    {BYTES("unknown"), "nobody was asked who wrote it", NULL},
};
/* clang-format on */

static const struct entry *find(const struct entry *table, size_t count, struct bytes why)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(table[i].why, why)) {
            return &table[i];
        }
    }
    return NULL;
}

struct refusal_words refusal_words_of(struct bytes why)
{
    const struct entry *found = find(entries, sizeof entries / sizeof entries[0], why);

    return found == NULL ? (struct refusal_words){.means = NULL}
                         : (struct refusal_words){found->means, found->change};
}

const char *refusal_words_of_forecast(struct bytes why)
{
    const struct entry *found = find(forecasts, sizeof forecasts / sizeof forecasts[0], why);

    return found == NULL ? NULL : found->means;
}
